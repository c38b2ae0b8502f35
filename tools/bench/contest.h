/*
    contest.h - the sequence "churn", which several benchmarks are made of: fill with N, then free a
    random one and allocate another size in its place. Ours and the peers take turns, round by
    round, each with the same numbers, so that what disturbs the machine disturbs all.
*/
#ifndef CONTEST_H
#define CONTEST_H

#include "report.h"
#include "subject.h"

typedef struct Churn {
    const char* name;
    uint32_t live;
    double lo, hi; /* bytes, log-uniform */
    uint64_t unit; /* sizes are multiples of this */
    uint64_t alignment;
    uint32_t pairs; /* of one round */
} Churn;

/*  What a subject holds; zero for those without a device. */
typedef struct Usage {
    uint64_t liveBytes, committedBytes, blocks;
    uint64_t memoryCalls; /* of vkAllocateMemory, since the start */
    uint64_t hostBytes;
} Usage;

Usage usage_of(Subject* subject);

/*  liveBytes, committedBytes, committedOverLive, blocks, vkAllocateMemory, hostBytes of a row. */
void table_usage(Table* table, const Usage* usage);

typedef struct Contestant {
    const SubjectKind* kind;
    Subject* subject;
    void** slots; /* NULL: empty */
    Random random;
    double nsPerPair[MAX_ROUNDS]; /* the cost of the sequence itself taken off */
    double ratio[MAX_ROUNDS];     /* our time in this round as a share of this one's */
    uint64_t failures;            /* since the fill */
    Usage usage;                  /* after the rounds */
    uint64_t hostBytesEmpty;      /* before the first allocation */
    uint64_t hostBytesAfter;      /* all freed, and trimmed */
} Contestant;

typedef struct Contest {
    Churn churn;
    bool mayFail; /* no room is a figure, not a mistake */
    Contestant nothing;
    Contestant contestants[MAX_SUBJECTS]; /* ours is the first */
    uint32_t count;
} Contest;

/*  Opens the subjects with one of these traits (0 = all). What the setup leaves 0 of span, grain
    and maxLive follows from the churn. */
void contest_open(Contest* contest, const Churn* churn, const Setup* setup, unsigned traits);
void contest_fill(Contest* contest);

/*  A warm-up, the rounds, and a look at the usage; or one by one, where contests alternate. */
void contest_run(Contest* contest);
void contest_warm_up(Contest* contest);
void contest_round(Contest* contest, uint32_t round);
void contest_look(Contest* contest);

void contest_time_operations(Contest* contest, uint32_t which, uint32_t pairs, Latencies* allocate,
                             Latencies* release);
void contest_empty(Contest* contest); /* frees all, trims, checks what can be checked */
void contest_settle(Contest* contest); /* waits until host memory is back, for hostBytesAfter */
void contest_close(Contest* contest);

#endif /* CONTEST_H */
