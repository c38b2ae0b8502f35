/*
    bench.h - what all sequences share: the settings of a run, the random numbers,
    clocks, statistics, and the one way to give up.
*/
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MIB         ((uint64_t)1 << 20)
#define GIB         ((uint64_t)1 << 30)

#define MAX_ROUNDS  99
#define MAX_THREADS 64

/* ------------------------------------------------------------------ settings */

/*  How thorough: every sequence has three sizes of itself. */
typedef enum Scale { SCALE_FULL, SCALE_QUICK, SCALE_SMOKE } Scale;

typedef struct Settings {
    Scale scale;
    uint32_t rounds;      /* measured ones; a warm-up comes before them */
    uint32_t threads;     /* at most so many */
    uint64_t granularity; /* bufferImageGranularity of the simulated device, bytes */
    uint64_t maxLive;     /* churn and host leave out what has more allocations alive */
    bool progress;
    bool progressOnTerminal;
    const char* peers;     /* comma-separated keys; NULL = all that are there */
    const char* jsonPath;  /* NULL = none */
    const char* plotsPath; /* a folder; NULL = none */
    const char* dataPath;  /* tests/data */
    const char* device;    /* of createbuffer: part of a name, or an index; NULL = see there */
} Settings;

extern Settings settings;

uint64_t at_scale(uint64_t full, uint64_t quick, uint64_t smoke);

/* ------------------------------------------------------------------ giving up */

#if defined(__GNUC__)
#define BENCH_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define BENCH_NORETURN            __attribute__((noreturn))
#else
#define BENCH_PRINTF(text, first)
#define BENCH_NORETURN
#endif

/*  Say why on stderr and end the program with 1: a figure that might be wrong is worth nothing. */
void die(const char* format, ...) BENCH_PRINTF(1, 2) BENCH_NORETURN;

/*  Die unless the result is VK_SUCCESS. */
void check(VkResult result, const char* what);

void* allocate_or_die(size_t count, size_t size); /* zeroed; end it with free() */

/*  What is going on, on stderr, where somebody wants to know. */
void progress(const char* format, ...) BENCH_PRINTF(1, 2);
void progress_end(void);

/* ------------------------------------------------------------------ random sequences */

#define RANDOM_SEED 0x1234u

typedef struct Random { /* splitmix64 */
    uint64_t state;
} Random;

uint64_t random_next(Random* random);
uint32_t random_below(Random* random, uint32_t n);

/*  floor(lo * 2^(u * log2(hi / lo))), rounded up to a multiple of unit. */
uint64_t random_size(Random* random, double lo, double hi, uint64_t unit);

/*  The mean of random_size, to the accuracy that planning needs. */
double mean_size(double lo, double hi, uint64_t unit);

void random_shuffle(Random* random, uint32_t* values, uint32_t count);

/* ------------------------------------------------------------------ clocks */

double thread_seconds(void); /* CPU time of this thread */
double wall_seconds(void);

/*  A clock cheap enough to stand around one operation: the time-stamp counter on x86-64, else the
    monotonic clock. Its own cost is measured and taken off each difference. */
void ticks_calibrate(void);
uint64_t ticks_now(void);
double ticks_cost_ns(void);
double ticks_step_ns(void); /* the least by which two readings were seen to differ */
double ticks_ns(double ticks);
const char* ticks_name(void);

/* ------------------------------------------------------------------ statistics */

typedef struct Spread {
    double median, min, q1, q3, max;
} Spread;

Spread spread_of(const double* values, size_t count);
double median_of(const double* values, size_t count);

/*  The time of every single operation, so that percentiles are exact. */
typedef struct Latencies {
    uint32_t* ticks;
    size_t count, capacity;
} Latencies;

typedef struct Percentiles { /* ns, the clock's cost taken off */
    double p50, p99, p999, max;
} Percentiles;

void latencies_init(Latencies* latencies, size_t capacity); /* touches all of its memory */
void latencies_add(Latencies* latencies, uint64_t ticks);
Percentiles latencies_percentiles(Latencies* latencies); /* sorts */
void latencies_free(Latencies* latencies);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_H */
