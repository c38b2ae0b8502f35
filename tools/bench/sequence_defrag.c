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
}
