/*  fuzz_foreign.c - threads that free what another one allocated, in a ring, on the simulated device.

    Nothing is owned by a thread, so memory must not creep to where nobody finds it again: committed
    over live bytes, averaged over the second half of a run, may be at most 1.1 times what it is when
    one thread does all the work. Meanwhile a watcher looks at the statistics and checks every
    invariant; at the end nothing is left, and the counters say so.

        fuzz_foreign                    a few seconds
        fuzz_foreign --seconds 300      a soak: before a release, or after a change to threads
        fuzz_foreign --threads 8        at most so many; 4 by default
*/
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "sim.h"
#include "testing.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LIVE        5000 /* per thread */
#define PLACES      (2 * LIVE)
#define THREADS_MAX 16
#define RATIO_MAX   1.1

typedef struct Ring {
    Rig* rig;
    uint32_t threads;
    uint32_t arrived;                           /* atomic */
    int stop;                                   /* atomic */
    uint64_t pairs;                             /* atomic; of all threads */
    SxvkAllocation places[THREADS_MAX][PLACES]; /* atomic; null where nothing is */
} Ring;

typedef struct Worker {
    Ring* ring;
    uint32_t index;
    uint64_t random;
} Worker;

static Ring ring;

static void fail(const char* format, ...) {
    va_list arguments;
    fprintf(stderr, "FAILED with %u threads: ", (unsigned)ring.threads);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    _exit(1);
}

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void sleep_ms(long ms) {
    struct timespec time = {.tv_sec = 0, .tv_nsec = ms * 1000000};
    (void)nanosleep(&time, NULL);
}

/* ------------------------------------------------------------------ work */

static SxvkAllocation take(Worker* worker) {
    VkDeviceSize size = (testing_log_uniform(&worker->random, 256, 1048576) + 255) / 256 * 256;
    VkMemoryRequirements requirements = testing_requirements(size, 256, 1);
    SxvkAllocationCreateInfo info = {0};
    SxvkAllocation allocation;
    VkResult result =
        sxvkAllocateMemory(worker->ring->rig->allocator, &requirements, &info, &allocation, NULL);
    if (result != VK_SUCCESS) {
        fail("no memory: %d", (int)result);
    }
    return allocation;
}

/*  Put something where nothing is. Null, without waiting any longer, where the ring stops. */
static SxvkAllocation put(Worker* worker, SxvkAllocation* places, SxvkAllocation allocation) {
    uint32_t tries;
    for (tries = 1;; tries++) {
        SxvkAllocation* place = &places[testing_below(&worker->random, PLACES)];
        SxvkAllocation empty = NULL;
        if (__atomic_compare_exchange_n(place, &empty, allocation, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            return NULL;
        }
        if (tries % 256 == 0) {
            if (__atomic_load_n(&worker->ring->stop, __ATOMIC_RELAXED)) {
                return allocation;
            }
            (void)sched_yield();
        }
    }
}

static SxvkAllocation get(Worker* worker, SxvkAllocation* places) {
    uint32_t tries;
    for (tries = 1;; tries++) {
        SxvkAllocation* place = &places[testing_below(&worker->random, PLACES)];
        if (__atomic_load_n(place, __ATOMIC_RELAXED) != NULL) {
            SxvkAllocation found = __atomic_exchange_n(place, NULL, __ATOMIC_ACQ_REL);
            if (found != NULL) {
                return found;
            }
        }
        if (tries % 256 == 0) {
            if (__atomic_load_n(&worker->ring->stop, __ATOMIC_RELAXED)) {
                return NULL;
            }
            (void)sched_yield();
        }
    }
}

static void* work(void* user) {
    Worker* worker = (Worker*)user;
    Ring* r = worker->ring;
    SxvkAllocation* mine = r->places[worker->index];
    SxvkAllocation* next = r->places[(worker->index + 1) % r->threads];
    uint32_t i;
    for (i = 0; i < LIVE; i++) {
        next[i] = take(worker);
    }
    (void)__atomic_add_fetch(&r->arrived, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&r->arrived, __ATOMIC_ACQUIRE) != r->threads) {
        (void)sched_yield();
    }
    for (i = 0; !__atomic_load_n(&r->stop, __ATOMIC_RELAXED); i++) {
        sxvkFreeMemory(r->rig->allocator, get(worker, mine));
        sxvkFreeMemory(r->rig->allocator, put(worker, next, take(worker)));
    }
    (void)__atomic_add_fetch(&r->pairs, i, __ATOMIC_ACQ_REL);
    return NULL;
}

/* ------------------------------------------------------------------ watching */

static double committed_over_live(Rig* rig) {
    return (double)sim_live_memory_total(rig->sim) / (double)rig_statistics(rig).allocationBytes;
}

/*  The average of committed / live in the second half of the time. */
static double watch(double seconds) {
    double start = now(), sum = 0;
    uint32_t count = 0, looks = 0;
    while (__atomic_load_n(&ring.arrived, __ATOMIC_ACQUIRE) != ring.threads) {
        sleep_ms(1);
    }
    while (now() - start < seconds || count == 0) {
        sleep_ms(10);
        if (now() - start > seconds / 2) {
            sum += committed_over_live(ring.rig);
            count++;
        }
        if (++looks % 8 == 0 && sxvkCheckIntegrity(ring.rig->allocator) != VK_SUCCESS) {
            fail("an invariant is broken");
        }
    }
    return sum / count;
}

static void free_rest(void) {
    SxvkStatistics stats;
    uint32_t t, i, count = 0;
    for (t = 0; t < ring.threads; t++) {
        for (i = 0; i < PLACES; i++) {
            count += ring.places[t][i] != NULL;
        }
    }
    stats = rig_statistics(ring.rig);
    if (stats.allocationCount != count) {
        fail("%u allocations, but the statistics say %u", (unsigned)count,
             (unsigned)stats.allocationCount);
    }
    for (t = 0; t < ring.threads; t++) {
        for (i = 0; i < PLACES; i++) {
            sxvkFreeMemory(ring.rig->allocator, ring.places[t][i]);
        }
    }
    stats = rig_statistics(ring.rig);
    if (stats.allocationCount != 0 || stats.allocationBytes != 0) {
        fail("%u allocations are live when all is freed", (unsigned)stats.allocationCount);
    }
}

static double run(uint32_t threads, double seconds) {
    SimProfile profile = sim_profile_discrete();
    RigOptions options = rig_options();
    Worker workers[THREADS_MAX];
    pthread_t handles[THREADS_MAX];
    double ratio;
    uint32_t t;
    memset(&ring, 0, sizeof ring);
    profile.memory.memoryHeaps[profile.memory.memoryTypes[0].heapIndex].size = (VkDeviceSize)64
                                                                               << 30;
    options.profile = &profile;
    ring.rig = rig_create(&options);
    ring.threads = threads;
    for (t = 0; t < threads; t++) {
        workers[t].ring = &ring;
        workers[t].index = t;
        workers[t].random = t + 1;
        if (pthread_create(&handles[t], NULL, work, &workers[t]) != 0) {
            fail("cannot start thread %u", (unsigned)t);
        }
    }
    ratio = watch(seconds);
    __atomic_store_n(&ring.stop, 1, __ATOMIC_RELAXED);
    for (t = 0; t < threads; t++) {
        (void)pthread_join(handles[t], NULL);
    }
    free_rest();
    printf("%2u threads: committed / live %.3f, %.0f pairs a second\n", (unsigned)threads, ratio,
           (double)ring.pairs / seconds);
    rig_destroy(ring.rig);
    return ratio;
}

static void usage(FILE* file) {
    fprintf(file,
            "fuzz_foreign [--seconds T] [--threads N]\n"
            "    T   above 0, 4 without it\n"
            "    N   2 to %d, 4 without it\n",
            THREADS_MAX);
}

/*  A soak with a slip of the pen must not pass in no time. */
static double number(const char* option, const char* text, double least, double most) {
    char* end = NULL;
    double value = text != NULL ? strtod(text, &end) : 0;
    if (text == NULL || end == text || *end != '\0' || !(value >= least && value <= most)) {
        fprintf(stderr, "%s: '%s' is out of range\n", option, text != NULL ? text : "");
        usage(stderr);
        exit(2);
    }
    return value;
}

int main(int argc, char** argv) {
    double seconds = 4, alone;
    uint32_t most = 4, threads, steps = 1;
    int i;
    for (i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0) {
            seconds = number(argv[i], argv[i + 1], 0.001, 1e6);
        } else if (strcmp(argv[i], "--threads") == 0) {
            double threads_max = number(argv[i], argv[i + 1], 2, THREADS_MAX);
            most = (uint32_t)threads_max;
            if (threads_max != most) {
                usage(stderr);
                return 2;
            }
        } else {
            int is_help = strcmp(argv[i], "--help") == 0;
            usage(is_help ? stdout : stderr);
            return is_help ? 0 : 2;
        }
    }
    for (threads = 2; threads <= most; threads *= 2) {
        steps++;
    }
    (void)alarm((unsigned)seconds + 120); /* a deadlock ends here */
    alone = run(1, seconds / steps);
    for (threads = 2; threads <= most; threads *= 2) {
        double ratio = run(threads, seconds / steps);
        if (ratio > RATIO_MAX * alone) {
            fail("committed / live is %.3f, with one thread it was %.3f", ratio, alone);
        }
    }
    return 0;
}
