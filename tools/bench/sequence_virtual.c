/*
    sequence_virtual.c - virtual blocks: churn with room to spare, and in a block that is barely
    large enough, where a best-fit model shows what cannot be helped.
*/
#include "contest.h"
#include "sequences.h"

#include <stdio.h>

static const Column churn_columns[] = {
    {"case", "sizes", NULL},
    {"live", "live", "%.0f"},
    {"subject", "subject", NULL},
    {"nsPerPair", "ns a pair (min..max)", "%.1f"},
    {"ratio", "ours/it (min..max)", "%.2f"},
};

static const Column tight_columns[] = {
    {"case", "sizes", NULL},
    {"live", "wanted", "%.0f"},
    {"subject", "subject", NULL},
    {"sizeOverLive", "block/mean live", "%.2f"},
    {"attempts", "attempts", "%.0f"},
    {"failures", "failed", "%.0f"},
    {"failuresPercent", "failed %", "%.4f"},
    {"nsPerPair", "ns a pair (min..max)", "%.1f"},
};

static void begin_row(Table* table, const Churn* churn, const SubjectKind* kind) {
    table_row(table);
    table_text(table, "case", churn->name);
    table_number(table, "live", churn->live);
    table_text(table, "subject", kind->name);
}

static Setup setup_of(const Churn* churn, double room, uint64_t least) {
    double live_bytes = churn->live * mean_size(churn->lo, churn->hi, churn->unit);
    Setup setup = {.spanBytes = (uint64_t)(live_bytes * room) / 65536 * 65536};
    setup.spanBytes = setup.spanBytes > least ? setup.spanBytes : least;
    return setup;
}

static void churn_case(Table* table, const Churn* churn) {
    const Setup setup = setup_of(churn, 2, 64 * MIB);
    Contest contest;
    contest_open(&contest, churn, &setup, VIRTUAL | FIXED_RANGE | FAST);
    contest_fill(&contest);
    contest_run(&contest);
    for (uint32_t i = 0; i < contest.count; i++) {
        const Contestant* contestant = &contest.contestants[i];
        begin_row(table, churn, contestant->kind);
        table_number(table, "pairs", (double)churn->pairs * settings.rounds);
        table_spread(table, "nsPerPair", spread_of(contestant->nsPerPair, settings.rounds));
        if (i > 0) {
            table_spread(table, "ratio", spread_of(contestant->ratio, settings.rounds));
        }
    }
    contest_empty(&contest);
    contest_close(&contest);
}

/*  A failure leaves its place empty until it is drawn again. */
static void tight_case(Table* table, const Churn* churn, double room) {
    const Setup setup = setup_of(churn, room, 0);
    Contest contest;
    contest_open(&contest, churn, &setup, VIRTUAL | FIXED_RANGE | MODEL);
    contest.mayFail = true;
    contest_fill(&contest);
    contest_run(&contest);
    for (uint32_t i = 0; i < contest.count; i++) {
        const Contestant* contestant = &contest.contestants[i];
        double attempts = (double)churn->pairs * settings.rounds;
        begin_row(table, churn, contestant->kind);
        table_number(table, "sizeOverLive", room);
        table_number(table, "attempts", attempts);
        table_number(table, "failures", (double)contestant->failures);
        table_number(table, "failuresPercent", (double)contestant->failures / attempts * 100);
        table_spread(table, "nsPerPair", spread_of(contestant->nsPerPair, settings.rounds));
    }
    contest_empty(&contest);
    contest_close(&contest);
}

void run_virtual(void) {
    const uint32_t pairs = (uint32_t)at_scale(400000, 60000, 2000);
    const uint32_t many = (uint32_t)at_scale(1000000, 200000, 2000);
    const Churn cases[] = {
        {"256 B-1 MiB", 1000, 256, 1048576, 256, 256, pairs},
        {"256 B-1 MiB", 10000, 256, 1048576, 256, 256, pairs},
        {"256 B-256 KiB", 100000, 256, 262144, 256, 256, pairs},
        {"256 B-16 KiB", 1000000, 256, 16384, 256, 256, many},
        {"all 256 B", 10000, 256, 256, 256, 256, pairs},
    };
    Table churn_table = TABLE(
        "virtual", "churn in a virtual block of twice the mean live bytes, and 64 MiB at least",
        "medians of thread CPU time", churn_columns);
    Table tight_table =
        TABLE("virtualTight", "churn in a tight virtual block",
              "a failed allocation leaves its place empty until it is drawn again", tight_columns);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        Churn churn = cases[c];
        churn.live /= (uint32_t)at_scale(1, 1, 50);
        if (churn.live <= settings.maxLive) {
            churn_case(&churn_table, &churn);
        }
    }
    for (size_t c = 0; c < 3; c++) {
        Churn churn = cases[c];
        churn.live /= (uint32_t)at_scale(1, 1, 10);
        if (churn.live <= settings.maxLive) {
            tight_case(&tight_table, &churn, 1.15);
        }
    }
    table_print(&churn_table);
    table_print(&tight_table);
}
