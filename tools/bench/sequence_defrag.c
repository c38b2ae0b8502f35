/*
    sequence_defrag.c - what a defragmentation gets back, and for how much: after the unloads of the
    game, at the ends of the traces, and of small allocations of which four fifths were freed.

    Nothing is copied: what a copy costs is the device's matter, and what counts is how many bytes.
*/
#include "contest.h"
#include "defrag.h"
#include "sequences.h"

#include <math.h>
#include <stdlib.h>

static const Column defrag_columns[] = {
    {"workload", "workload", NULL},
    {"subject", "subject", NULL},
    {"algorithm", "algorithm", NULL},
    {"liveMiB", "live MiB", "%.1f"},
    {"blocksBefore", "blocks", "%.0f"},
    {"blocks", "then", "%.0f"},
    {"before", "committed/live", "%.3f"},
    {"committedOverLive", "then", "%.3f"},
    {"movedOverFreed", "moved/freed", "%.3f"},
    {"moves", "moves", "%.0f"},
    {"passes", "passes", "%.0f"},
    {"milliseconds", "CPU ms", "%.2f"},
    {"longestMicroseconds", "longest portion us", "%.0f"},
};

void defrag_row(Table* table, const char* workload, Subject* subject, uint32_t algorithm) {
    static const char* const algorithms[] = {"fast", "balanced", "full", "extensive"};
    Defragmentation run = {.algorithm = algorithm, .passBytes = 64 * MIB};
    Usage before = usage_of(subject);
    if (algorithm == DEFRAG_EXTENSIVE && (subject->kind->traits & IS_OURS) == 0) {
        return; /* VMA 3.2.1 reads behind the end of its list of blocks */
    }
    subject->kind->defragment(subject, &run);
    if (subject->kind->checkIntegrity != NULL) {
        subject->kind->checkIntegrity(subject);
    }
    Usage after = usage_of(subject);
    if (after.liveBytes != before.liveBytes) {
        die("%s has other live bytes than before", subject->kind->name);
    }
    if (before.committedBytes - after.committedBytes != run.bytesFreed) {
        die("%s says that it freed other bytes than the device saw", subject->kind->name);
    }
    table_row(table);
    table_text(table, "workload", workload);
    table_text(table, "subject", subject->kind->name);
    table_text(table, "algorithm", algorithms[algorithm]);
    table_number(table, "liveMiB", (double)before.liveBytes / (double)MIB);
    table_number(table, "blocksBefore", (double)before.blocks);
    table_number(table, "before",
                 before.liveBytes > 0 ? (double)before.committedBytes / (double)before.liveBytes
                                      : NAN);
    table_usage(table, &after);
    table_number(table, "bytesMoved", (double)run.bytesMoved);
    table_number(table, "bytesFreed", (double)run.bytesFreed);
    table_number(table, "movedOverFreed",
                 run.bytesFreed > 0 ? (double)run.bytesMoved / (double)run.bytesFreed : 0);
    table_number(table, "moves", run.moves);
    table_number(table, "passes", run.passes);
    table_number(table, "milliseconds", run.seconds * 1e3);
    table_number(table, "longestMicroseconds", run.longestSeconds * 1e6);
}

/*  Allocations of 256 B to 256 KiB, most of them in slabs, of which one in five stays. */
static void defrag_small(Table* table) {
    const SubjectKind* kinds[MAX_SUBJECTS];
    uint32_t count = subjects_with(HAS_DEVICE, kinds);
    const uint32_t live = (uint32_t)at_scale(100000, 100000, 5000);
    const Setup setup = {0};
    void** slots = allocate_or_die(live, sizeof *slots);
    for (uint32_t i = 0; i < DEFRAG_ALGORITHMS * count; i++) {
        const SubjectKind* kind = kinds[i / DEFRAG_ALGORITHMS];
        Random random = {RANDOM_SEED};
        if (kind->defragment == NULL) {
            continue;
        }
        Subject* subject = kind->open(&setup);
        for (uint32_t s = 0; s < live; s++) {
            slots[s] = kind->allocate(subject, random_size(&random, 256, 262144, 256), 256, 0);
        }
        for (uint32_t s = 0; s < live; s++) {
            if (random_below(&random, 5) != 0) {
                kind->release(subject, slots[s]);
                slots[s] = NULL;
            }
        }
        defrag_row(table, "100k small ones, 80 % freed", subject, i % DEFRAG_ALGORITHMS);
        for (uint32_t s = 0; s < live; s++) {
            if (slots[s] != NULL) {
                kind->release(subject, slots[s]);
            }
        }
        kind->close(subject);
    }
    free(slots);
}

static const Column tick_columns[] = {
    {"workload", "workload", NULL},
    {"buffers", "buffers", "%.0f"},
    {"blocksBefore", "blocks", "%.0f"},
    {"blocks", "then", "%.0f"},
    {"before", "committed/live", "%.3f"},
    {"committedOverLive", "then", "%.3f"},
    {"ticks", "ticks", "%.0f"},
    {"budgetMicroseconds", "budget us", "%.0f"},
    {"longestMicroseconds", "longest us", "%.0f"},
};

/*  The longest tick of the best of a few rounds: something else may run in between. */
static void ticks_row(Table* table, const char* workload, Background run, uint64_t mostBytes) {
    const Setup setup = {.mostBytes = mostBytes};
    double longest = HUGE_VAL;
    for (uint64_t round = 0; round < at_scale(5, 3, 1); round++) {
        Subject* subject = subject_ours.open(&setup);
        run.seed = RANDOM_SEED + round;
        subject_ours.background(subject, &run);
        subject_ours.close(subject);
        longest = run.longestSeconds < longest ? run.longestSeconds : longest;
    }
    table_row(table);
    table_text(table, "workload", workload);
    table_number(table, "buffers", run.buffers);
    table_number(table, "blocksBefore", (double)run.blocksBefore);
    table_number(table, "blocks", (double)run.blocks);
    table_number(table, "before", run.before);
    table_number(table, "committedOverLive", run.after);
    table_number(table, "ticks", run.ticks);
    table_number(table, "budgetMicroseconds", run.budgetMicroseconds);
    table_number(table, "longestMicroseconds", longest * 1e6);
}

/*  In the background, with movable buffers: no tick should be over its budget by more than a step.
    With a budget of 1 us each tick is one. */
static void run_ticks(void) {
    const uint32_t few = (uint32_t)at_scale(20000, 20000, 2000);
    const uint32_t many = (uint32_t)at_scale(200000, 100000, 5000);
    const uint32_t wide = (uint32_t)at_scale(60000, 30000, 5000);
    Table table =
        TABLE("ticks", "defragmentation in the background, of which four fifths were freed",
              "movable buffers of 256 B to 64 KiB, in many blocks 16 to 64 KiB in blocks "
              "of 1 MiB; CPU time of the longest tick",
              tick_columns);
    for (uint32_t budget = 1; budget <= 500; budget += 499) {
        Background run = {
            .buffers = few, .budgetMicroseconds = budget, .least = 256, .most = 65536};
        ticks_row(&table, "buffers", run, 0);
        run.buffers = many;
        ticks_row(&table, "many buffers", run, 0);
        run.buffers = wide;
        run.least = 16384;
        ticks_row(&table, "many blocks", run, 1 << 20);
    }
    table_print(&table);
}

void run_defrag(void) {
    Table table =
        TABLE("defrag", "committed over live bytes before and after a defragmentation",
              "passes of at most 64 MiB; CPU ms in the allocator, the driver's calls with "
              "them; a portion is what it does between two asks whether to stop",
              defrag_columns);
    defrag_game(&table);
    defrag_traces(&table);
    defrag_small(&table);
    table_print(&table);
    run_ticks();
}
