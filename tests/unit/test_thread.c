/*
    test_thread.c - >>thread: atomics, and the lock: it excludes, its waiters sleep, and each of
    them wakes. A lost wake-up would hang; the watchdog turns that into a failure.

    Run by CTest (unit.thread), or by hand without arguments. Worth running under ThreadSanitizer:
    what the lock guards here is not atomic.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <time.h>
#include <unistd.h>

/*  A wake-up is lost if it comes between "I may sleep" and the sleep: make that take its time. */
static int sleep_late(pthread_cond_t* wake, pthread_mutex_t* park);
#define pthread_cond_wait(wake, park) sleep_late((wake), (park))
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"
#undef pthread_cond_wait

#define THREADS      4
#define INCREMENTS   100000
#define ROUNDS       2000
#define HANG_SECONDS 60

static void start(pthread_t* threads, int count, void* (*body)(void*), void* argument) {
    for (int i = 0; i < count; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, body, argument), 0);
    }
}

static void join(const pthread_t* threads, int count) {
    for (int i = 0; i < count; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void sleep_ms(long ms) {
    struct timespec time = {.tv_sec = 0, .tv_nsec = ms * 1000000};
    (void)nanosleep(&time, NULL);
}

static int sleep_late(pthread_cond_t* wake, pthread_mutex_t* park) {
    static uint32_t calls;
    uint32_t call, seen = sxvki_load32_relaxed(&calls);
    do {
        call = seen;
    } while (!sxvki_cas32(&calls, &seen, call + 1));
    if (call % 16 == 0) {
        sleep_ms(1);
    }
    return pthread_cond_wait(wake, park);
}

/* --- atomics ---------------------------------------------------------------------------------- */

static void test_loads_and_stores(void** state) {
    (void)state;
    uint32_t small = 0;
    uint64_t large = 0;
    int target;
    void* pointer = NULL;
    sxvki_store32(&small, 0xFFFFFFFFu);
    assert_int_equal(sxvki_load32(&small), 0xFFFFFFFFu);
    sxvki_store32_relaxed(&small, 7);
    assert_int_equal(sxvki_load32_relaxed(&small), 7);
    sxvki_store64_relaxed(&large, 0xFEDCBA9876543210u);
    assert_true(sxvki_load64_relaxed(&large) == 0xFEDCBA9876543210u);
    sxvki_store_ptr(&pointer, &target);
    assert_ptr_equal(sxvki_load_ptr(&pointer), &target);
}

/*  A swap that fails changes nothing but `expected`, which then says what was there. */
static void test_compare_and_swap(void** state) {
    (void)state;
    uint32_t small = 5, small_expected = 5;
    assert_true(sxvki_cas32(&small, &small_expected, 6));
    assert_int_equal(small, 6);
    assert_int_equal(small_expected, 5);
    assert_false(sxvki_cas32(&small, &small_expected, 7));
    assert_int_equal(small, 6);
    assert_int_equal(small_expected, 6);

    /* Differs in the high half alone. */
    const uint64_t high = (uint64_t)1 << 40;
    uint64_t large = high + 1, large_expected = 1;
    assert_false(sxvki_cas64(&large, &large_expected, 2));
    assert_true(large == high + 1 && large_expected == high + 1);
    assert_true(sxvki_cas64(&large, &large_expected, 3 * high));
    assert_true(large == 3 * high);

    int a, b;
    void* pointer = &a;
    void* expected = NULL;
    assert_false(sxvki_cas_ptr(&pointer, &expected, &b));
    assert_ptr_equal(pointer, &a);
    assert_ptr_equal(expected, &a);
    assert_true(sxvki_cas_ptr(&pointer, &expected, &b));
    assert_ptr_equal(pointer, &b);
}

/*  Add gives the new value, and a wrapping number subtracts; exchange gives the old value. */
static void test_add_and_exchange(void** state) {
    (void)state;
    uint64_t sum = UINT32_MAX;
    assert_true(sxvki_add64(&sum, 2) == (uint64_t)UINT32_MAX + 2);
    assert_true(sxvki_add64(&sum, (uint64_t)0 - 3) == (uint64_t)UINT32_MAX - 1);
    assert_true(sum == (uint64_t)UINT32_MAX - 1);
    uint32_t word = 1;
    assert_int_equal(sxvki_exchange32(&word, 2), 1);
    assert_int_equal(word, 2);
}

typedef struct counters {
    uint64_t added;
    uint64_t swapped64;
    uint32_t swapped32;
    uint32_t token; /* 1 while it lies here, 0 while a thread has it */
    uint64_t guarded;
} counters;

static void* count_up(void* argument) {
    counters* c = argument;
    for (int i = 0; i < INCREMENTS; i++) {
        uint64_t seen64 = sxvki_load64_relaxed(&c->swapped64);
        uint32_t seen32 = sxvki_load32_relaxed(&c->swapped32);
        (void)sxvki_add64(&c->added, 1);
        while (!sxvki_cas64(&c->swapped64, &seen64, seen64 + 1)) {
        }
        while (!sxvki_cas32(&c->swapped32, &seen32, seen32 + 1)) {
        }
        for (uint32_t step = 0; sxvki_exchange32(&c->token, 0) == 0; step++) {
            sxvki_spin_pause(step);
        }
        c->guarded++;
        sxvki_store32(&c->token, 1);
    }
    return NULL;
}

static void test_no_update_is_lost(void** state) {
    (void)state;
    pthread_t threads[THREADS];
    counters c = {.token = 1};
    start(threads, THREADS, count_up, &c);
    join(threads, THREADS);
    assert_int_equal(c.added, THREADS * INCREMENTS);
    assert_int_equal(c.swapped64, THREADS * INCREMENTS);
    assert_int_equal(c.swapped32, THREADS * INCREMENTS);
    assert_int_equal(c.guarded, THREADS * INCREMENTS);
}

/* --- the lock --------------------------------------------------------------------------------- */

typedef struct shared {
    sxvki_lock lock;
    pthread_barrier_t barrier;
    uint64_t counter; /* not atomic: the lock guards it */
    int inside;
    int failures;
    double most_cpu_seconds; /* of any waiter */
} shared;

static void* increment_under_lock(void* argument) {
    shared* s = argument;
    for (int i = 0; i < INCREMENTS; i++) {
        sxvki_lock_take(&s->lock);
        s->failures += s->inside;
        s->inside = 1;
        s->counter++;
        if (i % 1024 == 0) {
            sleep_ms(0); /* lose the core while holding the lock */
        }
        s->inside = 0;
        sxvki_lock_drop(&s->lock);
    }
    return NULL;
}

static void test_lock_excludes(void** state) {
    (void)state;
    pthread_t threads[THREADS];
    shared s = {.counter = 0};
    assert_true(sxvki_lock_init(&s.lock, 1));
    start(threads, THREADS, increment_under_lock, &s);
    join(threads, THREADS);
    assert_int_equal(s.counter, THREADS * INCREMENTS);
    assert_int_equal(s.failures, 0);
    assert_int_equal(s.lock.word, 0);
    sxvki_lock_shutdown(&s.lock);
}

static double thread_cpu_seconds(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void* wait_once(void* argument) {
    shared* s = argument;
    double start = thread_cpu_seconds();
    double used;
    sxvki_lock_take(&s->lock);
    used = thread_cpu_seconds() - start;
    if (used > s->most_cpu_seconds) {
        s->most_cpu_seconds = used;
    }
    s->counter++;
    sxvki_lock_drop(&s->lock);
    return NULL;
}

static void wait_until_somebody_sleeps(sxvki_lock* lock) {
    for (uint32_t step = 0; sxvki_load32_relaxed(&lock->word) != 2; step++) {
        sxvki_spin_pause(step);
    }
}

/*  The waiters of a lock held for long cost no processor time, and one drop wakes all in turn. */
static void test_waiters_sleep_and_all_wake(void** state) {
    (void)state;
    const long held_ms = 300;
    pthread_t threads[THREADS];
    shared s = {.counter = 0};
    assert_true(sxvki_lock_init(&s.lock, 1));
    sxvki_lock_take(&s.lock);
    start(threads, THREADS, wait_once, &s);
    wait_until_somebody_sleeps(&s.lock);
    sleep_ms(held_ms);
    assert_int_equal(s.counter, 0);
    sxvki_lock_drop(&s.lock);
    join(threads, THREADS);
    assert_int_equal(s.counter, THREADS);
    assert_true(s.most_cpu_seconds < (double)held_ms * 1e-3 / 3);
    assert_int_equal(s.lock.word, 0);
    sxvki_lock_shutdown(&s.lock);
}

static void* wait_in_rounds(void* argument) {
    shared* s = argument;
    for (int round = 0; round < ROUNDS; round++) {
        (void)pthread_barrier_wait(&s->barrier);
        sxvki_lock_take(&s->lock);
        s->counter++;
        sxvki_lock_drop(&s->lock);
        (void)pthread_barrier_wait(&s->barrier);
    }
    return NULL;
}

/*  The holder lets go right when a waiter has said that it may sleep; see sleep_late. One waiter
    alone: nobody else's drop can wake it. Several: they wake each other. */
static void check_rounds(int waiters) {
    pthread_t threads[THREADS];
    const uint64_t each = (uint64_t)waiters;
    shared s = {.counter = 0};
    assert_true(sxvki_lock_init(&s.lock, 1));
    assert_int_equal(pthread_barrier_init(&s.barrier, NULL, (unsigned)waiters + 1), 0);
    start(threads, waiters, wait_in_rounds, &s);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        sxvki_lock_take(&s.lock);
        (void)pthread_barrier_wait(&s.barrier);
        wait_until_somebody_sleeps(&s.lock);
        assert_int_equal(s.counter, round * each);
        sxvki_lock_drop(&s.lock);
        (void)pthread_barrier_wait(&s.barrier);
        assert_int_equal(s.counter, (round + 1) * each);
    }
    join(threads, waiters);
    assert_int_equal(s.lock.word, 0);
    assert_int_equal(pthread_barrier_destroy(&s.barrier), 0);
    sxvki_lock_shutdown(&s.lock);
}

static void test_no_wake_up_is_lost(void** state) {
    (void)state;
    check_rounds(1);
    check_rounds(THREADS);
}

/*  Externally synchronised: taken twice by one thread, which a real lock would not survive. */
static void test_lock_off_does_nothing(void** state) {
    (void)state;
    sxvki_lock lock;
    assert_true(sxvki_lock_init(&lock, 0));
    assert_int_equal(lock.on, 0);
    sxvki_lock_take(&lock);
    sxvki_lock_take(&lock);
    assert_int_equal(lock.word, 0);
    sxvki_lock_drop(&lock);
    sxvki_lock_drop(&lock);
    assert_int_equal(lock.word, 0);
    sxvki_lock_shutdown(&lock);
}

/*  The word is what the head comment says; shutdown may come twice, and a lock may live again. */
static void test_lock_life(void** state) {
    (void)state;
    sxvki_lock lock;
    for (int life = 0; life < 2; life++) {
        assert_true(sxvki_lock_init(&lock, 1));
        assert_int_equal(lock.on, 1);
        assert_int_equal(lock.word, 0);
        sxvki_lock_take(&lock);
        assert_int_equal(lock.word, 1);
        sxvki_lock_drop(&lock);
        assert_int_equal(lock.word, 0);
        sxvki_lock_shutdown(&lock);
        assert_int_equal(lock.on, 0);
        sxvki_lock_shutdown(&lock);
    }
    memset(&lock, 0, sizeof(lock));
    sxvki_lock_shutdown(&lock);
    assert_int_equal(lock.on, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loads_and_stores),
        cmocka_unit_test(test_compare_and_swap),
        cmocka_unit_test(test_add_and_exchange),
        cmocka_unit_test(test_no_update_is_lost),
        cmocka_unit_test(test_lock_excludes),
        cmocka_unit_test(test_waiters_sleep_and_all_wake),
        cmocka_unit_test(test_no_wake_up_is_lost),
        cmocka_unit_test(test_lock_off_does_nothing),
        cmocka_unit_test(test_lock_life),
    };
    (void)alarm(HANG_SECONDS); /* its signal ends the process */
    return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
