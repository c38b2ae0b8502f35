/*
    contest.c - see contest.h.
*/
#include "contest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* ------------------------------------------------------------------ usage */

Usage usage_of(Subject* subject) {
    Usage usage = {0, 0, 0, 0, 0};
    if (subject->device != NULL) {
        usage.liveBytes = subject->kind->liveBytes(subject);
        usage.committedBytes = device_committed(subject->device);
        usage.blocks = sim_live_memory_count(subject->device->sim);
        usage.memoryCalls = device_memory_calls(subject->device);
        usage.hostBytes = subject->device->host.bytes;
        if (usage.committedBytes < usage.liveBytes) {
            die("%s: less is committed than is live", subject->kind->name);
        }
    }
    return usage;
}

void table_usage(Table* table, const Usage* usage) {
    if (usage->hostBytes == 0) {
        return; /* no device */
    }
    table_number(table, "liveBytes", (double)usage->liveBytes);
    table_number(table, "committedBytes", (double)usage->committedBytes);
    if (usage->liveBytes > 0) {
        table_number(table, "committedOverLive",
                     (double)usage->committedBytes / (double)usage->liveBytes);
    }
    table_number(table, "blocks", (double)usage->blocks);
    table_number(table, "vkAllocateMemory", (double)usage->memoryCalls);
    table_number(table, "hostBytes", (double)usage->hostBytes);
}

/* ------------------------------------------------------------------ one contestant */

static void open_contestant(Contestant* contestant, const SubjectKind* kind, const Setup* setup,
                            uint32_t live) {
    memset(contestant, 0, sizeof *contestant);
    contestant->kind = kind;
    contestant->subject = kind->open(setup);
    contestant->slots = allocate_or_die(live, sizeof *contestant->slots);
    contestant->random.state = RANDOM_SEED;
    contestant->hostBytesEmpty = usage_of(contestant->subject).hostBytes;
}

static void* take(Contestant* contestant, const Contest* contest, uint64_t size) {
    Subject* subject = contestant->subject;
    void* taken = contestant->kind->allocate(subject, size, contest->churn.alignment, 0);
    if (taken == NULL) {
        if (!contest->mayFail) {
            die("%s: no room for %llu bytes", contestant->kind->name, (unsigned long long)size);
        }
        contestant->failures++;
    }
    return taken;
}

static void fill(Contest* contest, Contestant* contestant) {
    const Churn* churn = &contest->churn;
    for (uint32_t i = 0; i < churn->live; i++) {
        uint64_t size = random_size(&contestant->random, churn->lo, churn->hi, churn->unit);
        contestant->slots[i] = take(contestant, contest, size);
    }
}

/*  Seconds of CPU time. */
static double pairs_of(Contest* contest, Contestant* contestant, uint32_t pairs) {
    const Churn* churn = &contest->churn;
    Subject* subject = contestant->subject;
    Random random = contestant->random;
    double start = thread_seconds();
    for (uint32_t i = 0; i < pairs; i++) {
        uint32_t slot = random_below(&random, churn->live);
        uint64_t size = random_size(&random, churn->lo, churn->hi, churn->unit);
        if (contestant->slots[slot] != NULL) {
            contestant->kind->release(subject, contestant->slots[slot]);
        }
        contestant->slots[slot] = take(contestant, contest, size);
    }
    double seconds = thread_seconds() - start;
    contestant->random = random;
    return seconds;
}

static double round_of(Contest* contest, Contestant* contestant) {
    return pairs_of(contest, contestant, contest->churn.pairs);
}

static void release_all(Contest* contest, Contestant* contestant) {
    for (uint32_t i = 0; i < contest->churn.live; i++) {
        if (contestant->slots[i] != NULL) {
            contestant->kind->release(contestant->subject, contestant->slots[i]);
            contestant->slots[i] = NULL;
        }
    }
}

/* ------------------------------------------------------------------ all of them */

/*  glibc makes every page of a million allocations real: half of the time of a quick run. */
static void leave_out(const SubjectKind* kind, const SubjectKind** kinds, uint32_t* count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        if (kinds[i] != kind) {
            kinds[kept++] = kinds[i];
        }
    }
    *count = kept;
}

void contest_open(Contest* contest, const Churn* churn, const Setup* setup, unsigned traits) {
    const SubjectKind* kinds[MAX_SUBJECTS];
    Setup full = *setup;
    double live_bytes = churn->live * mean_size(churn->lo, churn->hi, churn->unit);
    if (full.spanBytes == 0) {
        full.spanBytes = (uint64_t)(live_bytes * 1.5) / MIB * MIB + 64 * MIB;
    }
    if (full.grain == 0) {
        full.grain = churn->alignment;
    }
    if (full.maxLive == 0) {
        full.maxLive = churn->live;
    }
    contest->churn = *churn;
    contest->mayFail = false;
    contest->count = subjects_with(traits, kinds);
    if (settings.scale == SCALE_QUICK && churn->live >= 1000000) {
        leave_out(&subject_glibc, kinds, &contest->count);
    }
    open_contestant(&contest->nothing, &subject_nothing, &full, churn->live);
    for (uint32_t i = 0; i < contest->count; i++) {
        open_contestant(&contest->contestants[i], kinds[i], &full, churn->live);
    }
}

void contest_fill(Contest* contest) {
    fill(contest, &contest->nothing);
    for (uint32_t i = 0; i < contest->count; i++) {
        progress("%s, %u live: %s fills", contest->churn.name, contest->churn.live,
                 contest->contestants[i].kind->name);
        fill(contest, &contest->contestants[i]);
        contest->contestants[i].failures = 0;
    }
}

void contest_round(Contest* contest, uint32_t round) {
    const Churn* churn = &contest->churn;
    double nothing = round_of(contest, &contest->nothing);
    for (uint32_t turn = 0; turn < contest->count; turn++) {
        /* Another one begins each time: nobody always runs in the cache of the same neighbour. */
        Contestant* contestant = &contest->contestants[(round + turn) % contest->count];
        progress("%s, %u live: round %u of %u, %s", churn->name, churn->live, round + 1,
                 settings.rounds, contestant->kind->name);
        double seconds = round_of(contest, contestant) - nothing;
        contestant->nsPerPair[round] = fmax(seconds, 0) * 1e9 / churn->pairs;
    }
    for (uint32_t i = 0; i < contest->count; i++) {
        Contestant* contestant = &contest->contestants[i];
        contestant->ratio[round] =
            contest->contestants[0].nsPerPair[round] / fmax(contestant->nsPerPair[round], 1e-3);
    }
}

/*  Pages that became real for this process, or came back to it, so far. */
static double page_faults(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (double)usage.ru_minflt : 0;
}

/*  Until nearly every place has changed hands: a heap just filled is not what churn makes of it.
    And for a while longer where memory still becomes real, which only the mallocs touch: a page
    costs as much as twenty pairs, and a program that has run for a time has paid for it. */
static void warm_up(Contest* contest, Contestant* contestant) {
    const Churn* churn = &contest->churn;
    uint32_t pairs = churn->live * 2 > churn->pairs ? churn->live * 2 : churn->pairs;
    double seconds = pairs_of(contest, contestant, pairs);
    const double most = (double)at_scale(10000, 1000, 50) * 1e-3;
    bool settled = false;
    while (!settled && seconds < most) {
        double before = page_faults();
        seconds += round_of(contest, contestant);
        settled = page_faults() - before < churn->pairs * 1e-3;
    }
}

void contest_warm_up(Contest* contest) {
    warm_up(contest, &contest->nothing);
    for (uint32_t i = 0; i < contest->count; i++) {
        progress("%s, %u live: %s warms up", contest->churn.name, contest->churn.live,
                 contest->contestants[i].kind->name);
        warm_up(contest, &contest->contestants[i]);
        contest->contestants[i].failures = 0;
    }
}

void contest_look(Contest* contest) {
    for (uint32_t i = 0; i < contest->count; i++) {
        contest->contestants[i].usage = usage_of(contest->contestants[i].subject);
    }
}

void contest_run(Contest* contest) {
    contest_warm_up(contest);
    for (uint32_t round = 0; round < settings.rounds; round++) {
        contest_round(contest, round);
    }
    contest_look(contest);
}

void contest_time_operations(Contest* contest, uint32_t which, uint32_t pairs, Latencies* allocate,
                             Latencies* release) {
    const Churn* churn = &contest->churn;
    Contestant* contestant = &contest->contestants[which];
    latencies_init(allocate, pairs);
    latencies_init(release, pairs);
    progress("%s, %u live: single operations of %s", churn->name, churn->live,
             contestant->kind->name);
    for (uint32_t i = 0; i < pairs; i++) {
        uint32_t slot = random_below(&contestant->random, churn->live);
        uint64_t size = random_size(&contestant->random, churn->lo, churn->hi, churn->unit);
        void* old = contestant->slots[slot];
        uint64_t start = ticks_now();
        contestant->kind->release(contestant->subject, old);
        uint64_t middle = ticks_now();
        contestant->slots[slot] = take(contestant, contest, size);
        uint64_t end = ticks_now();
        latencies_add(release, middle - start);
        latencies_add(allocate, end - middle);
    }
}

void contest_empty(Contest* contest) {
    release_all(contest, &contest->nothing);
    for (uint32_t i = 0; i < contest->count; i++) {
        Contestant* contestant = &contest->contestants[i];
        Subject* subject = contestant->subject;
        if (contestant->kind->checkIntegrity != NULL) {
            contestant->kind->checkIntegrity(subject);
        }
        release_all(contest, contestant);
        if (contestant->kind->trim != NULL) {
            contestant->kind->trim(subject);
            if (usage_of(subject).committedBytes != 0) {
                die("%s: something is committed when all is freed", contestant->kind->name);
            }
        }
        Usage usage = usage_of(subject);
        if (usage.liveBytes != 0) {
            die("%s: something is live when all is freed", contestant->kind->name);
        }
        contestant->hostBytesAfter = usage.hostBytes;
    }
}

void contest_settle(Contest* contest) {
    const struct timespec grace = {2, 0}; /* see sxvkTrim */
    (void)nanosleep(&grace, NULL);
    for (uint32_t i = 0; i < contest->count; i++) {
        Contestant* contestant = &contest->contestants[i];
        if (contestant->kind->trim != NULL) {
            contestant->kind->trim(contestant->subject);
        }
        contestant->hostBytesAfter = usage_of(contestant->subject).hostBytes;
    }
}

static void close_contestant(Contestant* contestant) {
    contestant->kind->close(contestant->subject);
    free(contestant->slots);
}

void contest_close(Contest* contest) {
    close_contestant(&contest->nothing);
    for (uint32_t i = 0; i < contest->count; i++) {
        close_contestant(&contest->contestants[i]);
    }
}
