/*
    sequence_order.c - what order and shape do: filling and freeing in three orders, holes that are
    just too small, and the same allocations in few blocks and in many.
*/
#include "contest.h"
#include "sequences.h"

#include <math.h>
#include <stdlib.h>

/* ------------------------------------------------------------------ fill */

typedef enum Order { ORDER_SAME, ORDER_REVERSE, ORDER_RANDOM, ORDER_COUNT } Order;

static const char* const order_names[] = {"in order", "in reverse", "at random"};

typedef struct FillTimes {
    double fill[MAX_ROUNDS], free[MAX_ROUNDS];
} FillTimes;

static const Column fill_columns[] = {
    {"live", "live", "%.0f"},
    {"order", "freed", NULL},
    {"subject", "subject", NULL},
    {"nsPerAllocate", "ns to allocate (min..max)", "%.1f"},
    {"nsPerFree", "ns to free (min..max)", "%.1f"},
    {"ratio", "ours/it, both", "%.2f"},
    {"committedOverLive", "committed/live", "%.3f"},
};

static void fill_and_free(const Churn* churn, Contestant* contestant, const uint32_t* order,
                          double* fill_ns, double* free_ns) {
    const SubjectKind* kind = contestant->kind;
    Random random = {RANDOM_SEED};
    double start = thread_seconds();
    for (uint32_t i = 0; i < churn->live; i++) {
        uint64_t size = random_size(&random, churn->lo, churn->hi, churn->unit);
        contestant->slots[i] = kind->allocate(contestant->subject, size, churn->alignment, 0);
        if (contestant->slots[i] == NULL) {
            die("%s: no room", kind->name);
        }
    }
    double middle = thread_seconds();
    contestant->usage = usage_of(contestant->subject);
    double again = thread_seconds();
    for (uint32_t i = 0; i < churn->live; i++) {
        kind->release(contestant->subject, contestant->slots[order[i]]);
        contestant->slots[order[i]] = NULL;
    }
    *fill_ns = (middle - start) * 1e9 / churn->live;
    *free_ns = (thread_seconds() - again) * 1e9 / churn->live;
}

static void fill_rounds(Contest* contest, const char* name, const uint32_t* order,
                        FillTimes* times) {
    const Churn* churn = &contest->churn;
    double empty_fill, empty_free, fill, release;
    for (uint32_t round = 0; round <= settings.rounds; round++) {
        fill_and_free(churn, &contest->nothing, order, &empty_fill, &empty_free);
        for (uint32_t turn = 0; turn < contest->count; turn++) {
            uint32_t i = (round + turn) % contest->count;
            progress("fill, freed %s: round %u of %u", name, round, settings.rounds);
            fill_and_free(churn, &contest->contestants[i], order, &fill, &release);
            if (round > 0) { /* the first one warms up */
                times[i].fill[round - 1] = fmax(fill - empty_fill, 0);
                times[i].free[round - 1] = fmax(release - empty_free, 0);
            }
        }
    }
}

static void fill_row(Table* table, const Contest* contest, uint32_t which, Order order,
                     const FillTimes* times) {
    const Contestant* contestant = &contest->contestants[which];
    double ratios[MAX_ROUNDS];
    for (uint32_t round = 0; round < settings.rounds; round++) {
        double theirs = times[which].fill[round] + times[which].free[round];
        ratios[round] = (times[0].fill[round] + times[0].free[round]) / fmax(theirs, 1e-3);
    }
    table_row(table);
    table_number(table, "live", contest->churn.live);
    table_text(table, "order", order_names[order]);
    table_text(table, "subject", contestant->kind->name);
    table_spread(table, "nsPerAllocate", spread_of(times[which].fill, settings.rounds));
    table_spread(table, "nsPerFree", spread_of(times[which].free, settings.rounds));
    if (which > 0) {
        table_spread(table, "ratio", spread_of(ratios, settings.rounds));
    }
    table_usage(table, &contestant->usage);
}

static void make_order(Order kind, uint32_t* order, uint32_t count) {
    Random random = {RANDOM_SEED};
    for (uint32_t i = 0; i < count; i++) {
        order[i] = kind == ORDER_REVERSE ? count - 1 - i : i;
    }
    if (kind == ORDER_RANDOM) {
        random_shuffle(&random, order, count);
    }
}

void run_fill(void) {
    const Churn churn = {
        "256 B-256 KiB", (uint32_t)at_scale(100000, 100000, 2000), 256, 262144, 256, 256, 1};
    const Setup setup = {0};
    uint32_t* order = allocate_or_die(churn.live, sizeof *order);
    FillTimes* times = allocate_or_die(MAX_SUBJECTS, sizeof *times);
    Table table =
        TABLE("fill", "allocate N of 256 B-256 KiB, then free them all",
              "blocks that were let go, and pages that a malloc gave back, are made anew each "
              "time",
              fill_columns);
    for (int kind = 0; kind < ORDER_COUNT; kind++) {
        Contest contest;
        make_order((Order)kind, order, churn.live);
        contest_open(&contest, &churn, &setup, 0);
        fill_rounds(&contest, order_names[kind], order, times);
        contest_empty(&contest);
        for (uint32_t i = 0; i < contest.count; i++) {
            fill_row(&table, &contest, i, (Order)kind, times);
        }
        contest_close(&contest);
    }
    table_print(&table);
    free(times);
    free(order);
}

/* ------------------------------------------------------------------ holes */

#define HOLES_PER_BLOCK 61680u /* 4 KiB of hole and 256 B between two: 256 MiB */

static const Column hole_columns[] = {
    {"holes", "holes", "%.0f"},
    {"subject", "subject", NULL},
    {"nsPerAllocate", "ns to allocate (min..max)", "%.1f"},
    {"ratio", "ours/it", "%.3g"},
    {"allocate.p50", "p50", "%.0f"},
    {"allocate.p99", "p99", "%.0f"},
    {"allocate.max", "max", "%.0f"},
    {"blocks", "blocks", "%.0f"},
    {"blocksAfter", "after", "%.0f"},
};

typedef struct Holes {
    uint32_t holes, tries;
    void** keep;
    void** taken; /* the holes while they are filled, then the tries */
} Holes;

static void* take(Subject* subject, uint64_t size) {
    void* taken = subject->kind->allocate(subject, size, 256, 0);
    if (taken == NULL) {
        die("%s: no room for %u bytes", subject->kind->name, (unsigned)size);
    }
    return taken;
}

static void make_holes(Subject* subject, Holes* holes) {
    for (uint32_t i = 0; i < holes->holes; i++) {
        holes->taken[i] = take(subject, 4096);
        holes->keep[i] = take(subject, 256);
    }
    for (uint32_t i = 0; i < holes->holes; i++) {
        subject->kind->release(subject, holes->taken[i]);
    }
}

/*  ns an allocation. A round ends early when it has taken half a second: one that walks through the
    holes needs milliseconds for each. */
static double try_holes(Subject* subject, Holes* holes, Latencies* latencies) {
    uint32_t done = 0;
    double start = thread_seconds(), seconds = 0;
    while (done < holes->tries && seconds < 0.5) {
        for (uint32_t i = 0; i < 64 && done < holes->tries; i++) {
            uint64_t before = latencies != NULL ? ticks_now() : 0;
            holes->taken[done++] = take(subject, 4100);
            if (latencies != NULL) {
                latencies_add(latencies, ticks_now() - before);
            }
        }
        seconds = thread_seconds() - start;
    }
    for (uint32_t i = 0; i < done; i++) {
        subject->kind->release(subject, holes->taken[i]);
    }
    return seconds * 1e9 / done;
}

static void measure_holes(Table* table, Subject* subject, Holes* holes, double ours) {
    double times[MAX_ROUNDS];
    Latencies latencies;
    make_holes(subject, holes);
    table_row(table);
    table_number(table, "holes", holes->holes);
    table_text(table, "subject", subject->kind->name);
    Usage usage = usage_of(subject);
    table_usage(table, &usage);
    (void)try_holes(subject, holes, NULL);
    for (uint32_t round = 0; round < settings.rounds; round++) {
        progress("holes: %u of them, round %u of %u, %s", holes->holes, round + 1, settings.rounds,
                 subject->kind->name);
        times[round] = try_holes(subject, holes, NULL);
    }
    latencies_init(&latencies, holes->tries);
    (void)try_holes(subject, holes, &latencies);
    usage = usage_of(subject);
    table_number(table, "blocksAfter", (double)usage.blocks);
    Spread spread = spread_of(times, settings.rounds);
    table_spread(table, "nsPerAllocate", spread);
    table_percentiles(table, "allocate", latencies_percentiles(&latencies));
    if (ours > 0) {
        table_number(table, "ratio", ours / spread.median);
    }
    for (uint32_t i = 0; i < holes->holes; i++) {
        subject->kind->release(subject, holes->keep[i]);
    }
    latencies_free(&latencies);
}

static void holes_case(Table* table, uint32_t blocks) {
    const SubjectKind* kinds[MAX_SUBJECTS];
    uint32_t count = subjects_with(HAS_DEVICE | FIXED_RANGE, kinds);
    Holes holes = {blocks * (HOLES_PER_BLOCK / (uint32_t)at_scale(1, 1, 20)), 4096, NULL, NULL};
    uint32_t most = holes.holes > holes.tries ? holes.holes : holes.tries;
    const Setup setup = {.blockBytes = 256 * MIB,
                         .poolIgnoresGranularity = true,
                         .spanBytes = (blocks + 1) * 256 * MIB,
                         .grain = 256,
                         .maxLive = holes.holes * 2 + holes.tries};
    double ours = 0;
    holes.keep = allocate_or_die(holes.holes, sizeof *holes.keep);
    holes.taken = allocate_or_die(most, sizeof *holes.taken);
    for (uint32_t i = 0; i < count; i++) {
        Subject* subject = kinds[i]->open(&setup);
        measure_holes(table, subject, &holes, ours);
        if (i == 0) {
            const cJSON* spread = cJSON_GetObjectItemCaseSensitive(table->row, "nsPerAllocate");
            ours = strtod(cJSON_GetObjectItemCaseSensitive(spread, "median")->valuestring, NULL);
        }
        kinds[i]->close(subject);
    }
    free(holes.keep);
    free(holes.taken);
}

void run_holes(void) {
    Table table = TABLE("holes", "4100 B where every hole has 4096 B",
                        "256 MiB blocks of 4 KiB holes between 256 B live ones; blocks before and "
                        "after the requests",
                        hole_columns);
    holes_case(&table, 1);
    holes_case(&table, 16);
    table_print(&table);
}

/* ------------------------------------------------------------------ blocks */

static const Column block_columns[] = {
    {"subject", "subject", NULL},
    {"live", "live", "%.0f"},
    {"blockMiB", "block MiB", "%.2f"},
    {"blocks", "blocks", "%.0f"},
    {"nsPerPair", "ns a pair (min..max)", "%.1f"},
    {"toFewest", "to fewest blocks (min..max)", "%.2f"},
    {"committedOverLive", "committed/live", "%.3f"},
};

void run_blocks(void) {
    /* At 100k live these make 2, 15, 118 and some 1,240 blocks. */
    static const uint64_t block_bytes[] = {2048 * MIB, 256 * MIB, 32 * MIB, 3200 * 1024};
    enum { COUNT = sizeof block_bytes / sizeof *block_bytes };
    const Churn churn = {"blocks", (uint32_t)at_scale(100000, 100000, 5000), 256, 262144, 256,
                         256,      (uint32_t)at_scale(400000, 60000, 2000)};
    Contest* contests = allocate_or_die(COUNT, sizeof *contests);
    Table table = TABLE("blocks", "churn of 256 B-256 KiB in custom pools of few and many blocks",
                        NULL, block_columns);
    for (size_t b = 0; b < COUNT; b++) {
        const Setup setup = {.blockBytes = block_bytes[b]};
        contest_open(&contests[b], &churn, &setup, HAS_DEVICE);
        contest_fill(&contests[b]);
        contest_warm_up(&contests[b]);
    }
    for (uint32_t round = 0; round < settings.rounds; round++) {
        for (size_t b = 0; b < COUNT; b++) {
            contest_round(&contests[b], round);
        }
    }
    for (uint32_t i = 0; i < contests[0].count; i++) {
        for (size_t b = 0; b < COUNT; b++) {
            const Contestant* contestant = &contests[b].contestants[i];
            double ratios[MAX_ROUNDS];
            for (uint32_t round = 0; round < settings.rounds; round++) {
                ratios[round] = contestant->nsPerPair[round] /
                                fmax(contests[0].contestants[i].nsPerPair[round], 1e-3);
            }
            contest_look(&contests[b]);
            table_row(&table);
            table_text(&table, "subject", contestant->kind->name);
            table_number(&table, "live", churn.live);
            table_number(&table, "blockMiB", (double)block_bytes[b] / (double)MIB);
            table_usage(&table, &contestant->usage);
            table_spread(&table, "nsPerPair", spread_of(contestant->nsPerPair, settings.rounds));
            table_spread(&table, "toFewest", spread_of(ratios, settings.rounds));
        }
    }
    for (size_t b = 0; b < COUNT; b++) {
        contest_empty(&contests[b]);
        contest_close(&contests[b]);
    }
    table_print(&table);
    free(contests);
}
