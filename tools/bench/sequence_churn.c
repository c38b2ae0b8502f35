/*
    sequence_churn.c - churn: ns a pair, the time of single operations, and an arena that is barely
    large enough.
*/
#include "contest.h"
#include "plot.h"
#include "sequences.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ churn */

static const Column churn_columns[] = {
    {"case", "sizes", NULL},
    {"live", "live", "%.0f"},
    {"subject", "subject", NULL},
    {"nsPerPair", "ns a pair (min..max)", "%.1f"},
    {"ratio", "ours/it (min..max)", "%.2f"},
    {"committedOverLive", "committed/live", "%.3f"},
    {"blocks", "blocks", "%.0f"},
    {"hostBytesPerLive", "host B/live", "%.1f"},
    {"hostBytesAfterTrim", "host B after", "%.0f"},
};

static const Column latency_columns[] = {
    {"case", "sizes", NULL},         {"live", "live", "%.0f"},
    {"subject", "subject", NULL},    {"allocate.p50", "allocate p50", "%.0f"},
    {"allocate.p99", "p99", "%.0f"}, {"allocate.p999", "p99.9", "%.0f"},
    {"allocate.max", "max", "%.0f"}, {"free.p50", "free p50", "%.0f"},
    {"free.p99", "p99", "%.0f"},     {"free.p999", "p99.9", "%.0f"},
    {"free.max", "max", "%.0f"},
};

static void begin_row(Table* table, const Churn* churn, const SubjectKind* kind) {
    table_row(table);
    table_text(table, "case", churn->name);
    table_number(table, "live", churn->live);
    table_text(table, "subject", kind->name);
}

static void churn_row(Table* table, const Contest* contest, uint32_t which) {
    const Contestant* contestant = &contest->contestants[which];
    begin_row(table, &contest->churn, contestant->kind);
    table_number(table, "pairs", (double)contest->churn.pairs * settings.rounds);
    table_spread(table, "nsPerPair", spread_of(contestant->nsPerPair, settings.rounds));
    if (which > 0) {
        table_spread(table, "ratio", spread_of(contestant->ratio, settings.rounds));
    }
    table_usage(table, &contestant->usage);
    if (contestant->usage.hostBytes > 0) {
        table_number(table, "hostBytesPerLive",
                     (double)contestant->usage.hostBytes / contest->churn.live);
        table_number(table, "hostBytesEmpty", (double)contestant->hostBytesEmpty);
        table_number(table, "hostBytesAfterTrim", (double)contestant->hostBytesAfter);
    }
}

static void latency_rows(Table* table, Contest* contest) {
    uint32_t pairs = (uint32_t)at_scale(1000000, 100000, 2000);
    for (uint32_t i = 0; i < contest->count; i++) {
        Latencies allocate, release;
        contest_time_operations(contest, i, pairs, &allocate, &release);
        begin_row(table, &contest->churn, contest->contestants[i].kind);
        table_number(table, "operations", pairs);
        table_percentiles(table, "allocate", latencies_percentiles(&allocate));
        table_percentiles(table, "free", latencies_percentiles(&release));
        latencies_free(&allocate);
        latencies_free(&release);
    }
}

static PlotSeries* series_of(Plot* plot, const char* name) {
    for (size_t s = 0; s < plot->count; s++) {
        if (strcmp(plot->series[s].name, name) == 0) {
            return &plot->series[s];
        }
    }
    return plot_series(plot, name, PLOT_MARKED, 16);
}

static void churn_case(const Churn* churn, Table* rows, Table* latencies, Plot* plot) {
    const Setup setup = {0};
    Contest contest;
    contest_open(&contest, churn, &setup, 0);
    contest_fill(&contest);
    contest_run(&contest);
    latency_rows(latencies, &contest);
    contest_empty(&contest);
    contest_settle(&contest);
    for (uint32_t i = 0; i < contest.count; i++) {
        Contestant* contestant = &contest.contestants[i];
        churn_row(rows, &contest, i);
        if (plot != NULL) {
            PlotSeries* series = series_of(plot, contestant->kind->name);
            Spread spread = spread_of(contestant->nsPerPair, settings.rounds);
            plot_point(series, churn->live, spread.median, spread.min, spread.max);
        }
    }
    contest_close(&contest);
}

void run_churn(void) {
    const uint32_t pairs = (uint32_t)at_scale(400000, 60000, 2000);
    const uint32_t many = (uint32_t)at_scale(1000000, 200000, 2000);
    const Churn cases[] = {
        {"256 B-1 MiB", 1000, 256, 1048576, 256, 256, pairs},
        {"256 B-1 MiB", 10000, 256, 1048576, 256, 256, pairs},
        {"256 B-256 KiB", 100000, 256, 262144, 256, 256, pairs},
        {"256 B-16 KiB", 1000000, 256, 16384, 256, 256, many},
        {"unrounded, to 1 MiB", 10000, 256, 1048576, 1, 16, pairs},
        {"unrounded, to 256 KiB", 100000, 256, 262144, 1, 16, pairs},
        {"256 B alone", 100000, 256, 256, 256, 256, pairs},
    };
    Table rows = TABLE("churn", "free a random one of N, allocate another size in its place",
                       "ns of thread CPU time, less what the sequence itself costs; host bytes are "
                       "those of the allocator",
                       churn_columns);
    Table latencies = TABLE("latency", "the same, every operation timed by itself; ns",
                            "wall time, the clock's own cost taken off: the highest figures are "
                            "also those of the scheduler",
                            latency_columns);
    Plot plot = {.title = "Time of a free and an allocation, over the number alive",
                 .subtitle = "medians of thread CPU time, bars from the least to the most; sizes "
                             "256 B to 1 MiB, at 100k to 256 KiB, at 1M to 16 KiB",
                 .xLabel = "live allocations",
                 .yLabel = "ns a pair",
                 .logX = true,
                 .logY = true};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        Churn churn = cases[c];
        churn.live /= (uint32_t)at_scale(1, 1, 50);
        if (churn.live <= settings.maxLive) {
            churn_case(&churn, &rows, &latencies, c < 4 ? &plot : NULL);
        }
    }
    table_print(&rows);
    table_print(&latencies);
    if (plot.count > 0) {
        plot_write(&plot, "churn.svg");
    }
}

/* ------------------------------------------------------------------ tight */

static const Column tight_columns[] = {
    {"case", "sizes", NULL},
    {"live", "wanted", "%.0f"},
    {"subject", "subject", NULL},
    {"arenaMiB", "arena MiB", "%.0f"},
    {"attempts", "attempts", "%.0f"},
    {"failures", "failed", "%.0f"},
    {"failuresPercent", "failed %", "%.4f"},
    {"nsPerPair", "ns a pair (min..max)", "%.1f"},
};

/*  One block of 1.15 times what is alive on average; a failure leaves its place empty until it is
    drawn again. */
static void tight_case(Table* table, const Churn* churn) {
    double live_bytes = churn->live * mean_size(churn->lo, churn->hi, churn->unit);
    uint64_t arena = (uint64_t)(live_bytes * 1.15) / 65536 * 65536;
    const Setup setup = {
        .blockBytes = arena, .maxBlocks = 1, .spanBytes = arena, .poolIgnoresGranularity = true};
    Contest contest;
    contest_open(&contest, churn, &setup, HAS_DEVICE | FIXED_RANGE);
    contest.mayFail = true;
    contest_fill(&contest);
    contest_run(&contest);
    for (uint32_t i = 0; i < contest.count; i++) {
        const Contestant* contestant = &contest.contestants[i];
        double attempts = (double)churn->pairs * settings.rounds;
        if (contestant->usage.blocks > 1) {
            die("%s: more than the one block", contestant->kind->name);
        }
        begin_row(table, churn, contestant->kind);
        table_number(table, "arenaMiB", (double)arena / (double)MIB);
        table_number(table, "attempts", attempts);
        table_number(table, "failures", (double)contestant->failures);
        table_number(table, "failuresPercent", (double)contestant->failures / attempts * 100);
        table_spread(table, "nsPerPair", spread_of(contestant->nsPerPair, settings.rounds));
        table_usage(table, &contestant->usage);
    }
    contest_empty(&contest);
    contest_close(&contest);
}

void run_tight(void) {
    const uint32_t pairs = (uint32_t)at_scale(400000, 60000, 2000);
    const Churn cases[] = {
        {"256 B-1 MiB", 10000, 256, 1048576, 256, 256, pairs},
        {"256 B-256 KiB", 100000, 256, 262144, 256, 256, pairs},
    };
    Table table =
        TABLE("tight", "churn in one block of 1.15 times the mean live bytes",
              "a failed allocation leaves its place empty until it is drawn again", tight_columns);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        Churn churn = cases[c];
        churn.live /= (uint32_t)at_scale(1, 1, 10);
        tight_case(&table, &churn);
    }
    table_print(&table);
}
