/*
    bench.c - see bench.h.
*/
#include "bench.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_TSC 1
#include <x86intrin.h>
#else
#define HAVE_TSC 0
#endif

Settings settings;

uint64_t at_scale(uint64_t full, uint64_t quick, uint64_t smoke) {
    return settings.scale == SCALE_FULL ? full : settings.scale == SCALE_QUICK ? quick : smoke;
}

/* ------------------------------------------------------------------ giving up */

void die(const char* format, ...) {
    va_list arguments;
    progress_end();
    (void)fflush(stdout);
    (void)fputs("sxvk_bench: ", stderr);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    exit(1);
}

void check(VkResult result, const char* what) {
    if (result != VK_SUCCESS) {
        die("%s gave VkResult %d", what, (int)result);
    }
}

void* allocate_or_die(size_t count, size_t size) {
    void* memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) {
        die("no memory for %zu times %zu bytes", count, size);
    }
    return memory;
}

void progress(const char* format, ...) {
    va_list arguments;
    if (!settings.progress) {
        return;
    }
    (void)fputs(settings.progressOnTerminal ? "\r\033[K" : "", stderr);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputs(settings.progressOnTerminal ? "" : "\n", stderr);
    (void)fflush(stderr);
}

void progress_end(void) {
    if (settings.progress && settings.progressOnTerminal) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
}

/* ------------------------------------------------------------------ random sequences */

uint64_t random_next(Random* random) {
    uint64_t z = (random->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint32_t random_below(Random* random, uint32_t n) {
    return (uint32_t)(((random_next(random) >> 32) * n) >> 32);
}

uint64_t random_size(Random* random, double lo, double hi, uint64_t unit) {
    double u = (double)(random_next(random) >> 11) * 0x1p-53;
    uint64_t size = (uint64_t)(lo * exp2(u * log2(hi / lo)));
    return (size + unit - 1) / unit * unit;
}

double mean_size(double lo, double hi, uint64_t unit) {
    return (hi > lo ? (hi - lo) / log(hi / lo) : lo) + (double)(unit - 1) / 2;
}

void random_shuffle(Random* random, uint32_t* values, uint32_t count) {
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = random_below(random, i);
        uint32_t value = values[i - 1];
        values[i - 1] = values[other];
        values[other] = value;
    }
}

/* ------------------------------------------------------------------ clocks */

static double seconds_of(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) != 0) {
        die("clock_gettime failed");
    }
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double thread_seconds(void) {
    return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

double wall_seconds(void) {
    return seconds_of(CLOCK_MONOTONIC);
}

static double ns_per_tick = 1;
static uint64_t cost_in_ticks;
static uint64_t step_in_ticks;

uint64_t ticks_now(void) {
#if HAVE_TSC
    /* The fences keep the operation inside: out-of-order execution would move its end past us. */
    _mm_lfence();
    uint64_t now = __rdtsc();
    _mm_lfence();
    return now;
#else
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

void ticks_calibrate(void) {
    enum { SAMPLES = 10001 };
    double* costs = allocate_or_die(SAMPLES, sizeof *costs);
    double start = wall_seconds();
    uint64_t first = ticks_now();
    while (wall_seconds() - start < 0.02) {
    }
    double seconds = wall_seconds() - start;
    ns_per_tick = HAVE_TSC ? seconds * 1e9 / (double)(ticks_now() - first) : 1;
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t before = ticks_now();
        uint64_t cost = ticks_now() - before;
        costs[i] = (double)cost;
        /* A counter that is emulated or slowed down moves in steps of many. */
        if (cost > 0 && i > 0 && costs[i] != costs[i - 1]) {
            uint64_t step = (uint64_t)fabs(costs[i] - costs[i - 1]);
            step_in_ticks = step < step_in_ticks || step_in_ticks == 0 ? step : step_in_ticks;
        }
    }
    cost_in_ticks = (uint64_t)median_of(costs, SAMPLES);
    free(costs);
}

double ticks_ns(double ticks) {
    return ticks * ns_per_tick;
}

double ticks_cost_ns(void) {
    return ticks_ns((double)cost_in_ticks);
}

double ticks_step_ns(void) {
    return ticks_ns((double)step_in_ticks);
}

const char* ticks_name(void) {
    return HAVE_TSC ? "time-stamp counter" : "monotonic clock";
}

/* ------------------------------------------------------------------ statistics */

static int compare_doubles(const void* a, const void* b) {
    double x = *(const double*)a;
    double y = *(const double*)b;
    return (x > y) - (x < y);
}

/*  Of sorted values, between neighbours by their distance. */
static double quantile(const double* sorted, size_t count, double q) {
    double at = q * (double)(count - 1);
    size_t below = (size_t)at;
    size_t above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (sorted[above] - sorted[below]) * (at - (double)below);
}

Spread spread_of(const double* values, size_t count) {
    Spread spread = {0, 0, 0, 0, 0};
    if (count == 0) {
        die("no values to take a median of");
    }
    double* sorted = allocate_or_die(count, sizeof *sorted);
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    spread.median = quantile(sorted, count, 0.5);
    spread.min = sorted[0];
    spread.q1 = quantile(sorted, count, 0.25);
    spread.q3 = quantile(sorted, count, 0.75);
    spread.max = sorted[count - 1];
    free(sorted);
    return spread;
}

double median_of(const double* values, size_t count) {
    return spread_of(values, count).median;
}

void latencies_init(Latencies* latencies, size_t capacity) {
    latencies->ticks = allocate_or_die(capacity, sizeof *latencies->ticks);
    memset(latencies->ticks, 1, capacity * sizeof *latencies->ticks);
    latencies->capacity = capacity;
    latencies->count = 0;
}

void latencies_add(Latencies* latencies, uint64_t ticks) {
    if (latencies->count == latencies->capacity) {
        die("more operations than were planned for");
    }
    ticks = ticks > cost_in_ticks ? ticks - cost_in_ticks : 0;
    latencies->ticks[latencies->count++] = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
}

static int compare_ticks(const void* a, const void* b) {
    uint32_t x = *(const uint32_t*)a;
    uint32_t y = *(const uint32_t*)b;
    return (x > y) - (x < y);
}

Percentiles latencies_percentiles(Latencies* latencies) {
    Percentiles percentiles;
    size_t count = latencies->count;
    if (count == 0) {
        die("no operation was timed");
    }
    qsort(latencies->ticks, count, sizeof *latencies->ticks, compare_ticks);
    percentiles.p50 = ticks_ns(latencies->ticks[count / 2]);
    percentiles.p99 = ticks_ns(latencies->ticks[count - 1 - count / 100]);
    percentiles.p999 = ticks_ns(latencies->ticks[count - 1 - count / 1000]);
    percentiles.max = ticks_ns(latencies->ticks[count - 1]);
    return percentiles;
}

void latencies_free(Latencies* latencies) {
    free(latencies->ticks);
    latencies->ticks = NULL;
    latencies->count = latencies->capacity = 0;
}
