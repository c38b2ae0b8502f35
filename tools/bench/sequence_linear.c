/*
    sequence_linear.c - what linear pools and linear virtual blocks are for: a ring, a stack, two
    stacks, and a frame that is freed one by one or at once. The mallocs do the same without knowing
    of it.
*/
#include "contest.h"
#include "sequences.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LINEAR_LIVE  1000u
#define LINEAR_SIZES 4096u /* drawn beforehand */

typedef struct Linear {
    const SubjectKind* kind;
    Subject* subject;
    void** slots; /* LINEAR_LIVE; both stacks of a double one have half of them */
    const uint64_t* sizes;
    uint32_t steps;
} Linear;

static void* linear_take(Linear* linear, uint32_t i, bool upper) {
    uint64_t size = linear->sizes[i % LINEAR_SIZES];
    void* taken = upper && linear->kind->allocateUpper != NULL
                      ? linear->kind->allocateUpper(linear->subject, size, 256)
                      : linear->kind->allocate(linear->subject, size, 256, 0);
    if (taken == NULL) {
        die("%s: no room", linear->kind->name);
    }
    return taken;
}

/*  Each returns the number of pairs. All are empty before and after. */

static uint32_t run_ring(Linear* linear) {
    for (uint32_t i = 0; i < linear->steps; i++) {
        void** slot = &linear->slots[i % LINEAR_LIVE];
        if (i >= LINEAR_LIVE) {
            linear->kind->release(linear->subject, *slot);
        }
        *slot = linear_take(linear, i, false);
    }
    for (uint32_t i = linear->steps; i < linear->steps + LINEAR_LIVE; i++) {
        linear->kind->release(linear->subject, linear->slots[i % LINEAR_LIVE]);
    }
    return linear->steps;
}

/*  Up and down by some 30 of up to LINEAR_LIVE; with two stacks in turns. */
static uint32_t run_stacks(Linear* linear, uint32_t count) {
    uint32_t most = LINEAR_LIVE / count;
    uint32_t depth[2] = {0, 0};
    uint32_t pairs = 0;
    for (uint32_t i = 0; pairs < linear->steps; i++) {
        uint32_t which = i % count;
        void** stack = linear->slots + which * most;
        uint32_t goal = (uint32_t)(linear->sizes[i % LINEAR_SIZES] / 256 * 37 % most);
        goal = goal > depth[which] + 30 ? depth[which] + 30 : goal;
        goal = goal + 30 < depth[which] ? depth[which] - 30 : goal;
        for (; depth[which] < goal; depth[which]++, pairs++) {
            stack[depth[which]] = linear_take(linear, pairs, which != 0);
        }
        for (; depth[which] > goal; depth[which]--) {
            linear->kind->release(linear->subject, stack[depth[which] - 1]);
        }
    }
    for (uint32_t which = 0; which < count; which++) {
        while (depth[which] > 0) {
            linear->kind->release(linear->subject, linear->slots[which * most + --depth[which]]);
        }
    }
    return pairs;
}

static uint32_t run_stack(Linear* linear) {
    return run_stacks(linear, 1);
}

static uint32_t run_double_stack(Linear* linear) {
    return run_stacks(linear, 2);
}

static uint32_t run_frames_of(Linear* linear, bool at_once) {
    uint32_t pairs = 0;
    while (pairs < linear->steps) {
        for (uint32_t i = 0; i < LINEAR_LIVE; i++, pairs++) {
            linear->slots[i] = linear_take(linear, pairs, false);
        }
        if (at_once && linear->kind->reset != NULL) {
            linear->kind->reset(linear->subject);
        } else {
            for (uint32_t i = 0; i < LINEAR_LIVE; i++) {
                linear->kind->release(linear->subject, linear->slots[i]);
            }
        }
    }
    return pairs;
}

static uint32_t run_frame_of_frees(Linear* linear) {
    return run_frames_of(linear, false);
}

static uint32_t run_frame_and_reset(Linear* linear) {
    return run_frames_of(linear, true);
}

static const struct {
    const char* name;
    uint32_t (*run)(Linear* linear);
} patterns[] = {
    {"ring", run_ring},
    {"stack", run_stack},
    {"double stack", run_double_stack},
    {"frame, freed in order", run_frame_of_frees},
    {"frame, reset", run_frame_and_reset},
};
#define PATTERN_COUNT (sizeof patterns / sizeof *patterns)

static const Column linear_columns[] = {
    {"pattern", "pattern", NULL},
    {"subject", "subject", NULL},
    {"nsPerPair", "ns a pair (min..max)", "%.1f"},
    {"ratio", "ours/it", "%.2f"},
};

static double pattern_ns(size_t pattern, const Contestant* contestant, const uint64_t* sizes) {
    Linear linear = {contestant->kind, contestant->subject, contestant->slots, sizes,
                     (uint32_t)at_scale(200000, 100000, 4000)};
    double start = thread_seconds();
    uint32_t pairs = patterns[pattern].run(&linear);
    return (thread_seconds() - start) * 1e9 / pairs;
}

static void pattern_rounds(Contest* contest, size_t pattern, const uint64_t* sizes) {
    for (uint32_t round = 0; round <= settings.rounds; round++) {
        double nothing = pattern_ns(pattern, &contest->nothing, sizes);
        progress("linear, %s: round %u of %u", patterns[pattern].name, round, settings.rounds);
        for (uint32_t turn = 0; turn < contest->count; turn++) {
            Contestant* contestant = &contest->contestants[(round + turn) % contest->count];
            double ns = fmax(pattern_ns(pattern, contestant, sizes) - nothing, 1e-3);
            if (round > 0) { /* the first one warms up */
                contestant->nsPerPair[round - 1] = ns;
            }
        }
    }
}

static void run_patterns(Table* table, unsigned traits) {
    const Churn churn = {"linear", LINEAR_LIVE, 256, 65536, 256, 256, 1};
    Setup setup = {0};
    uint64_t* sizes = allocate_or_die(LINEAR_SIZES, sizeof *sizes);
    Random random = {RANDOM_SEED};
    Contest contest;
    setup.blockBytes = 128 * MIB;
    setup.spanBytes = 128 * MIB;
    setup.maxBlocks = 1;
    setup.poolIsLinear = true;
    setup.poolIgnoresGranularity = true;
    for (uint32_t i = 0; i < LINEAR_SIZES; i++) {
        sizes[i] = random_size(&random, churn.lo, churn.hi, churn.unit);
    }
    contest_open(&contest, &churn, &setup, traits);
    for (size_t pattern = 0; pattern < PATTERN_COUNT; pattern++) {
        pattern_rounds(&contest, pattern, sizes);
        for (uint32_t i = 0; i < contest.count; i++) {
            Contestant* contestant = &contest.contestants[i];
            for (uint32_t round = 0; round < settings.rounds; round++) {
                contestant->ratio[round] =
                    contest.contestants[0].nsPerPair[round] / contestant->nsPerPair[round];
            }
            table_row(table);
            table_text(table, "pattern", patterns[pattern].name);
            table_text(table, "subject", contestant->kind->name);
            table_spread(table, "nsPerPair", spread_of(contestant->nsPerPair, settings.rounds));
            if (i > 0) {
                table_spread(table, "ratio", spread_of(contestant->ratio, settings.rounds));
            }
        }
    }
    for (uint32_t i = 0; i < contest.count; i++) {
        memset(contest.contestants[i].slots, 0, LINEAR_LIVE * sizeof(void*)); /* all were freed */
    }
    memset(contest.nothing.slots, 0, LINEAR_LIVE * sizeof(void*));
    contest_close(&contest);
    free(sizes);
}

void run_linear(void) {
    Table pools =
        TABLE("linear", "linear pools: 1000 live of 256 B-64 KiB in one block",
              "the mallocs, and VMA where there is no reset, free one by one", linear_columns);
    Table blocks = TABLE("linearVirtual", "linear virtual blocks: 1000 live of 256 B-64 KiB",
                         "VMA clears a block as well", linear_columns);
    run_patterns(&pools, THREAD_SAFE);
    run_patterns(&blocks, VIRTUAL);
    table_print(&pools);
    table_print(&blocks);
}
