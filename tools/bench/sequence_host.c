/*
    sequence_host.c - memory of the CPU: what an empty allocator keeps, what each allocation adds,
    and what stays when all is freed and trimmed. Counted by the allocation callbacks, in the bytes
    that were asked for.
*/
#include "contest.h"
#include "sequences.h"

#include <stdlib.h>

static const Column columns[] = {
    {"live", "live", "%.0f"},
    {"subject", "subject", NULL},
    {"hostBytesEmpty", "empty B", "%.0f"},
    {"hostBytes", "at N B", "%.0f"},
    {"hostBytesPerLive", "B/live", "%.1f"},
    {"hostBytesAddedPerLive", "added B/live", "%.1f"},
    {"hostPeakBytes", "peak B", "%.0f"},
    {"hostBytesAfterTrim", "freed, trimmed B", "%.0f"},
    {"blocks", "blocks", "%.0f"},
};

void run_host(void) {
    const Churn cases[] = {
        {"host", 10000, 256, 1048576, 256, 256, 1},
        {"host", 100000, 256, 262144, 256, 256, 1},
        {"host", 1000000, 256, 16384, 256, 256, 1},
    };
    Table table = TABLE("host", "CPU memory: filled with N as for churn, freed, trimmed",
                        "B/live counts all of the allocator's memory, added B/live what came since "
                        "it was empty",
                        columns);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const Setup setup = {0};
        Contest contest;
        Churn churn = cases[c];
        churn.live /= (uint32_t)at_scale(1, 1, 50);
        if (churn.live > settings.maxLive) {
            continue;
        }
        contest_open(&contest, &churn, &setup, HAS_DEVICE);
        contest_fill(&contest);
        contest_look(&contest);
        contest_empty(&contest);
        contest_settle(&contest);
        for (uint32_t i = 0; i < contest.count; i++) {
            const Contestant* contestant = &contest.contestants[i];
            double bytes = (double)contestant->usage.hostBytes;
            double empty = (double)contestant->hostBytesEmpty;
            table_row(&table);
            table_number(&table, "live", churn.live);
            table_text(&table, "subject", contestant->kind->name);
            table_usage(&table, &contestant->usage);
            table_number(&table, "hostBytesEmpty", empty);
            table_number(&table, "hostBytesPerLive", bytes / churn.live);
            table_number(&table, "hostBytesAddedPerLive", (bytes - empty) / churn.live);
            table_number(&table, "hostPeakBytes",
                         (double)contestant->subject->device->host.peakBytes);
            table_number(&table, "hostBytesAfterTrim", (double)contestant->hostBytesAfter);
        }
        contest_close(&contest);
    }
    table_print(&table);
}
