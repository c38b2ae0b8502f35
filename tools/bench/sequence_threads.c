/*
    sequence_threads.c - threads that churn on one allocator at the same time, 10,000 live each: in
    one memory type, each in its own, and each freeing what another one allocated.

    Figures are wall time, from when all start to when the last one is done.
*/
#include "contest.h"
#include "sequences.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_COUNT 16u

typedef enum Mode { MODE_SAME_TYPE, MODE_OWN_TYPES, MODE_FOREIGN, MODE_COUNT } Mode;

static const char* const mode_names[] = {"one memory type", "a type each", "free another's"};

/*  Sizes are drawn beforehand: the cost of drawing would count as work that scales. */
#define SIZE_COUNT 4096u

typedef struct Shared {
    Subject* subject;
    Mode mode;
    uint32_t threads, live, pairs;
    void*** places; /* per thread; foreign mode: twice live, and NULL where nothing is */
    pthread_barrier_t barrier;
} Shared;

typedef struct Worker {
    Shared* shared;
    uint32_t index;
    uint32_t type;
    Random random;
    double start, end;
    uint32_t sizes[SIZE_COUNT];
} Worker;

/* ------------------------------------------------------------------ work */

static void* take(Worker* worker, uint32_t i) {
    Subject* subject = worker->shared->subject;
    void* taken =
        subject->kind->allocate(subject, worker->sizes[i % SIZE_COUNT], 256, worker->type);
    if (taken == NULL) {
        die("%s: no room", subject->kind->name);
    }
    return taken;
}

static void churn_own(Worker* worker, uint32_t pairs) {
    Subject* subject = worker->shared->subject;
    void** places = worker->shared->places[worker->index];
    for (uint32_t i = 0; i < pairs; i++) {
        uint32_t place = random_below(&worker->random, worker->shared->live);
        subject->kind->release(subject, places[place]);
        places[place] = take(worker, i);
    }
}

/*  Take what is in some place of the array, or put something where nothing is. Another thread is to
    blame when that lasts: let it run. */
static void* exchange(Worker* worker, void** places, uint32_t count, void* put) {
    for (uint32_t tries = 1;; tries++) {
        /* A fresh place each time: going on to the next one would clot the array into long runs
           of full and of empty places. */
        uint32_t place = random_below(&worker->random, count);
        void* expected = NULL;
        if (put == NULL) {
            if (__atomic_load_n(&places[place], __ATOMIC_RELAXED) != NULL) {
                expected = __atomic_exchange_n(&places[place], NULL, __ATOMIC_ACQ_REL);
            }
            if (expected != NULL) {
                return expected;
            }
        } else if (__atomic_compare_exchange_n(&places[place], &expected, put, false,
                                               __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            return NULL;
        }
        if (tries % 256 == 0) {
            (void)sched_yield();
        }
    }
}

/*  Only the thread before this one puts things into its array: all that it frees is foreign. */
static void churn_foreign(Worker* worker, uint32_t pairs) {
    Shared* shared = worker->shared;
    Subject* subject = shared->subject;
    void** mine = shared->places[worker->index];
    void** next = shared->places[(worker->index + 1) % shared->threads];
    for (uint32_t i = 0; i < pairs; i++) {
        subject->kind->release(subject, exchange(worker, mine, shared->live * 2, NULL));
        (void)exchange(worker, next, shared->live * 2, take(worker, i));
    }
}

static void churn(Worker* worker, uint32_t pairs) {
    if (worker->shared->mode == MODE_FOREIGN) {
        churn_foreign(worker, pairs);
    } else {
        churn_own(worker, pairs);
    }
}

static void* worker_main(void* user) {
    Worker* worker = (Worker*)user;
    Shared* shared = worker->shared;
    for (uint32_t i = 0; i < SIZE_COUNT; i++) {
        worker->sizes[i] = (uint32_t)random_size(&worker->random, 256, 1048576, 256);
    }
    for (uint32_t i = 0; i < shared->live; i++) {
        shared->places[worker->index][i] = take(worker, i);
    }
    (void)pthread_barrier_wait(&shared->barrier);
    churn(worker, shared->live * 2); /* a warm-up: every place has changed hands */
    (void)pthread_barrier_wait(&shared->barrier);
    worker->start = wall_seconds();
    churn(worker, shared->pairs);
    worker->end = wall_seconds();
    return NULL;
}

/* ------------------------------------------------------------------ one run */

typedef struct Run {
    double nsPerPair; /* wall time over the pairs of all threads */
    Usage usage;
} Run;

static void release_everything(Shared* shared) {
    for (uint32_t t = 0; t < shared->threads; t++) {
        for (uint32_t i = 0; i < shared->live * 2; i++) {
            if (shared->places[t][i] != NULL) {
                shared->subject->kind->release(shared->subject, shared->places[t][i]);
            }
        }
        free(shared->places[t]);
    }
    if (usage_of(shared->subject).liveBytes != 0) {
        die("%s: something is live when all is freed", shared->subject->kind->name);
    }
    free(shared->places);
}

static double run_workers(Shared* shared) {
    pthread_t handles[MAX_THREADS];
    Worker* workers = allocate_or_die(shared->threads, sizeof *workers);
    double start = INFINITY, end = 0;
    for (uint32_t t = 0; t < shared->threads; t++) {
        workers[t].shared = shared;
        workers[t].index = t;
        workers[t].type = shared->mode == MODE_OWN_TYPES ? t % TYPE_COUNT : 0;
        workers[t].random.state = RANDOM_SEED + t;
        if (pthread_create(&handles[t], NULL, worker_main, &workers[t]) != 0) {
            die("cannot start thread %u", t + 1);
        }
    }
    for (uint32_t t = 0; t < shared->threads; t++) {
        (void)pthread_join(handles[t], NULL);
        start = fmin(start, workers[t].start);
        end = fmax(end, workers[t].end);
    }
    free(workers);
    return end - start;
}

static Run run_once(const SubjectKind* kind, Mode mode, uint32_t threads) {
    const Setup setup = {.heapBytes = 64 * GIB, .typeCount = TYPE_COUNT};
    Shared shared;
    Run run;
    memset(&shared, 0, sizeof shared);
    shared.subject = kind->open(&setup);
    shared.mode = mode;
    shared.threads = threads;
    shared.live = (uint32_t)at_scale(10000, 10000, 500);
    shared.pairs = (uint32_t)at_scale(400000, 100000, 2000);
    shared.places = allocate_or_die(threads, sizeof *shared.places);
    for (uint32_t t = 0; t < threads; t++) {
        shared.places[t] = allocate_or_die((size_t)shared.live * 2, sizeof **shared.places);
    }
    if (pthread_barrier_init(&shared.barrier, NULL, threads) != 0) {
        die("no barrier for %u threads", threads);
    }
    run.nsPerPair = run_workers(&shared) * 1e9 / ((double)shared.pairs * threads);
    run.usage = usage_of(shared.subject);
    if (kind->checkIntegrity != NULL) {
        kind->checkIntegrity(shared.subject);
    }
    (void)pthread_barrier_destroy(&shared.barrier);
    release_everything(&shared);
    kind->close(shared.subject);
    return run;
}

/* ------------------------------------------------------------------ all runs */

/*  Each one opens and fills everything anew: a quick run has fewer. */
static uint32_t rounds(void) {
    return (uint32_t)at_scale(settings.rounds, settings.rounds < 3 ? settings.rounds : 3,
                              settings.rounds);
}

#define MAX_STEPS 8 /* 1, 2, 4 .. 64 threads, and one more */

typedef struct Series { /* of one subject */
    double times[MAX_STEPS][MAX_ROUNDS];
    Usage usage[MAX_STEPS];
} Series;

static const Column thread_columns[] = {
    {"mode", "work", NULL},
    {"threads", "threads", "%.0f"},
    {"subject", "subject", NULL},
    {"nsPerPair", "wall ns a pair (min..max)", "%.1f"},
    {"throughput", "throughput, 1 thread = 1", "%.2f"},
    {"ratio", "ours/it", "%.2f"},
    {"committedOverLive", "committed/live", "%.3f"},
    {"committedToOne", "to 1 thread's", "%.3f"},
    {"hostBytes", "host B", "%.0f"},
};

/*  1, 2, 4 .. and the most that is allowed. */
static uint32_t thread_steps(uint32_t* steps) {
    uint32_t count = 0;
    for (uint32_t n = 1; n <= settings.threads && n <= MAX_THREADS; n *= 2) {
        steps[count++] = n;
    }
    if (steps[count - 1] != settings.threads) {
        steps[count++] = settings.threads;
    }
    return count;
}

static void thread_row(Table* table, Mode mode, uint32_t threads, size_t step, const char* name,
                       const Series* ours, const Series* series) {
    double throughput[MAX_ROUNDS], ratio[MAX_ROUNDS];
    for (uint32_t round = 0; round < rounds(); round++) {
        throughput[round] = series->times[0][round] / series->times[step][round];
        ratio[round] = ours->times[step][round] / series->times[step][round];
    }
    table_row(table);
    table_text(table, "mode", mode_names[mode]);
    table_number(table, "threads", threads);
    table_text(table, "subject", name);
    table_spread(table, "nsPerPair", spread_of(series->times[step], rounds()));
    table_spread(table, "throughput", spread_of(throughput, rounds()));
    if (ours != series) {
        table_spread(table, "ratio", spread_of(ratio, rounds()));
    }
    const Usage* usage = &series->usage[step];
    table_usage(table, usage);
    if (usage->liveBytes > 0) {
        double one = (double)series->usage[0].committedBytes / (double)series->usage[0].liveBytes;
        table_number(table, "committedToOne",
                     (double)usage->committedBytes / (double)usage->liveBytes / one);
    }
}

static void run_mode(Table* table, Mode mode) {
    const SubjectKind* kinds[MAX_SUBJECTS];
    uint32_t count = subjects_with(THREAD_SAFE, kinds);
    uint32_t steps[MAX_STEPS];
    uint32_t step_count = thread_steps(steps);
    Series* series = allocate_or_die(count, sizeof *series);
    for (uint32_t round = 0; round < rounds(); round++) {
        for (uint32_t step = 0; step < step_count; step++) {
            for (uint32_t turn = 0; turn < count; turn++) {
                uint32_t i = (round + turn) % count;
                progress("threads: %s, round %u of %u, %u threads, %s", mode_names[mode], round + 1,
                         rounds(), steps[step], kinds[i]->name);
                Run run = run_once(kinds[i], mode, steps[step]);
                series[i].times[step][round] = run.nsPerPair;
                series[i].usage[step] = run.usage;
            }
        }
    }
    for (uint32_t step = 0; step < step_count; step++) {
        for (uint32_t i = 0; i < count; i++) {
            thread_row(table, mode, steps[step], step, kinds[i]->name, &series[0], &series[i]);
        }
    }
    free(series);
}

void run_threads(void) {
    Table table =
        TABLE("threads", "churn of 256 B-1 MiB by threads on one allocator, 10k live each",
              "each free-another's thread takes from an array that only its neighbour "
              "fills; its 1 thread does the same with itself",
              thread_columns);
    for (int mode = 0; mode < MODE_COUNT; mode++) {
        run_mode(&table, (Mode)mode);
    }
    table_print(&table);
}
