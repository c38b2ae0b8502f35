/*
    test_records.c - >>records: fields of 38 bits, handles that only match what they were made for,
    the chain of free records, and the cold side table. The checkers that watch over the records'
    invariants are those of the bins, and broken records are in test_bins.c.

    Run by CTest (unit.records), or by hand without arguments. Worth running under ThreadSanitizer.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"
#include "testing.h"

/*  The record behind a handle, or null where the handle is not valid. */
static sxvki_record* handle_record(const sxvki_records* records, SxvkAllocation handle) {
    return sxvki_handle_is_valid(records, handle)
               ? sxvki_record_at(records, sxvki_handle_index(handle))
               : NULL;
}

#define SALT          0x12345678u
#define LIVE          192
#define PATTERNS      200000
#define THREADS       4
#define THREAD_ROUNDS 2000

typedef struct world {
    Host counted;
    sxvki_host host;
    sxvki_records records;
} world;

static void world_init(world* w, uint32_t salt) {
    host_init(&w->counted);
    sxvki_host_init(&w->host, &w->counted.callbacks);
    assert_true(sxvki_records_init(&w->records, &w->host, salt, 1));
}

static void world_shutdown(world* w) {
    sxvki_records_shutdown(&w->records);
    assert_int_equal(w->counted.liveCount, 0);
    assert_int_equal(w->counted.mistakes, 0);
}

/*  One record that is handed out. */
static uint32_t take_live(world* w) {
    uint32_t index = SXVKI_NONE;
    assert_int_equal(sxvki_records_take(&w->records, 1, &index), 1);
    assert_false(sxvki_record_is_live(sxvki_record_at(&w->records, index)));
    sxvki_record_age(sxvki_record_at(&w->records, index));
    return index;
}

static SxvkAllocation handle_of(const world* w, uint32_t index) {
    return sxvki_handle_make(sxvki_record_at(&w->records, index)->generation, index);
}

/*  Elements of a table that nobody has. */
static uint32_t unused_count(const sxvki_table* table) {
    uint32_t k, i, count = 0;
    for (k = 0; k < SXVKI_TABLE_CHUNKS; k++) {
        uint32_t chunk = 0;
        i = (table->has_unused >> k) & 1 ? table->unused[k] : SXVKI_NONE;
        for (; i != SXVKI_NONE; i = *sxvki_table_link(table, i)) {
            assert_true(i < table->capacity);
            assert_int_equal(sxvki_table_chunk(table, i), k);
            chunk++;
        }
        assert_true((chunk != 0) == ((table->has_unused >> k) & 1));
        count += chunk;
    }
    return count;
}

static uint32_t chain_length(const world* w, uint32_t head) {
    uint32_t length = 0;
    for (; head != SXVKI_NONE; head = sxvki_record_at(&w->records, head)->next) {
        assert_true(head < w->records.hot.capacity);
        length++;
    }
    return length;
}

/* --- fields ----------------------------------------------------------------------------------- */

static void check_fields(uint32_t block, uint64_t offset, uint64_t size) {
    sxvki_record r;
    memset(&r, 0xFF, sizeof(r));
    r.generation = 41;
    sxvki_record_set(&r, block, offset, size);
    assert_int_equal(sxvki_record_block(&r), block);
    assert_true(sxvki_record_offset(&r) == offset);
    assert_true(sxvki_record_size(&r) == size);
    assert_int_equal(r.generation, 41);
    assert_int_equal(r.prev, UINT32_MAX);
    assert_int_equal(r.link_a, UINT32_MAX);
}

/*  Three fields share the word `block`; none may leak into another. */
static void test_fields_hold_38_bits(void** state) {
    (void)state;
    static const uint64_t values[] = {
        0, 1, UINT32_MAX, (uint64_t)1 << 32, ((uint64_t)1 << 37) + 1, SXVKI_GRANULES_MAX};
    static const uint32_t blocks[] = {0, 1, SXVKI_BLOCK_ID_MASK - 1, SXVKI_BLOCK_ID_MASK};
    const size_t count = sizeof(values) / sizeof(values[0]);
    uint64_t seed = 4;
    for (size_t i = 0; i < count * count * 4; i++) {
        check_fields(blocks[i % 4], values[i / 4 % count], values[i / 4 / count]);
    }
    for (int i = 0; i < 10000; i++) {
        uint32_t block = (uint32_t)testing_random(&seed) & SXVKI_BLOCK_ID_MASK;
        uint64_t offset = testing_random(&seed) & SXVKI_GRANULES_MAX;
        check_fields(block, offset, testing_random(&seed) & SXVKI_GRANULES_MAX);
    }
}

/*  What the user asked for, whatever was added to it. */
static void test_bytes_asked_for(void** state) {
    (void)state;
    sxvki_record r = {.link_a = 15};
    sxvki_record_set(&r, 3, 7, SXVKI_GRANULES_MAX);
    assert_true(sxvki_record_bytes(&r) == (SXVKI_GRANULES_MAX << SXVKI_GRANULE_SHIFT) - 15);
    r.link_b = SXVKI_STATE_COLD | 5;
    assert_int_equal(sxvki_record_state(&r), SXVKI_STATE_COLD | 5);
}

/* --- handles ---------------------------------------------------------------------------------- */

static void test_stale_and_doubly_freed(void** state) {
    (void)state;
    world w;
    world_init(&w, SALT);
    uint32_t index = take_live(&w);
    sxvki_record* r = sxvki_record_at(&w.records, index);
    SxvkAllocation first = handle_of(&w, index);
    assert_ptr_equal(handle_record(&w.records, first), r);
    assert_int_equal(sxvki_handle_index(first), index);
    sxvki_record_age(r); /* freed: a second free finds nothing */
    assert_null(handle_record(&w.records, first));
    sxvki_record_age(r); /* handed out again, to somebody else */
    SxvkAllocation second = handle_of(&w, index);
    assert_ptr_not_equal(first, second);
    assert_null(handle_record(&w.records, first));
    assert_ptr_equal(handle_record(&w.records, second), r);
    world_shutdown(&w);
}

/*  A handle of one allocator, given to another one that has the same record in use. */
static void test_foreign(void** state) {
    (void)state;
    world a, b;
    world_init(&a, SALT);
    world_init(&b, SALT + 0x22);
    for (int i = 0; i < LIVE; i++) {
        uint32_t index = take_live(&a);
        assert_int_equal(take_live(&b), index);
        SxvkAllocation ours = handle_of(&a, index);
        SxvkAllocation theirs = handle_of(&b, index);
        assert_non_null(handle_record(&a.records, ours));
        assert_non_null(handle_record(&b.records, theirs));
        assert_null(handle_record(&a.records, theirs));
        assert_null(handle_record(&b.records, ours));
    }
    world_shutdown(&a);
    world_shutdown(&b);
}

/*  Index 0 is a record like any other, and its handle is not null. An allocator that was just made
    has no record at all. */
static void test_null(void** state) {
    (void)state;
    world w;
    world_init(&w, 0);
    assert_null(handle_record(&w.records, NULL));
    uint32_t index = take_live(&w);
    assert_int_equal(index, 0);
    assert_non_null(handle_of(&w, 0));
    assert_null(handle_record(&w.records, NULL));
    sxvki_record_age(sxvki_record_at(&w.records, 0));
    assert_null(handle_record(&w.records, NULL));
    world_shutdown(&w);
}

static void test_index_beyond_capacity(void** state) {
    (void)state;
    world w;
    world_init(&w, SALT);
    (void)take_live(&w);
    const uintptr_t top = ((uintptr_t)1 << SXVKI_HANDLE_INDEX_BITS) - 1;
    const uintptr_t generation = (uintptr_t)(SALT + 1) << SXVKI_HANDLE_INDEX_BITS;
    assert_non_null(handle_record(&w.records, (SxvkAllocation)generation));
    for (uintptr_t index = w.records.hot.capacity; index <= top; index = index * 2 + 1) {
        assert_null(handle_record(&w.records, (SxvkAllocation)(generation | index)));
    }
    assert_null(handle_record(&w.records, (SxvkAllocation)(generation | top)));
    assert_null(handle_record(&w.records, (SxvkAllocation)UINTPTR_MAX));
    world_shutdown(&w);
}

/*  A bit pattern is a handle if it is that of a live record, bit for bit, and never else. */
static bool is_handle(const world* w, SxvkAllocation pattern) {
    uint32_t index = sxvki_handle_index(pattern);
    return index < w->records.hot.capacity && pattern == handle_of(w, index) &&
           sxvki_record_is_live(sxvki_record_at(&w->records, index));
}

static void test_bit_patterns(void** state) {
    (void)state;
    uint64_t seed = 5;
    uint32_t matches = 0;
    world w;
    world_init(&w, SALT);
    for (int i = 0; i < LIVE; i++) {
        uint32_t index = take_live(&w);
        for (uint32_t age = testing_below(&seed, 6); age != 0; age--) {
            sxvki_record_age(sxvki_record_at(&w.records, index)); /* half of them end up dead */
        }
    }
    for (int i = 0; i < PATTERNS; i++) {
        SxvkAllocation wild = (SxvkAllocation)(uintptr_t)testing_random(&seed);
        assert_int_equal(handle_record(&w.records, wild) != NULL, is_handle(&w, wild));
        /* A generation near the real ones, at a real index. */
        uintptr_t generation = SALT + testing_below(&seed, 8);
        uintptr_t index = testing_below(&seed, LIVE);
        SxvkAllocation near = (SxvkAllocation)(generation << SXVKI_HANDLE_INDEX_BITS | index);
        sxvki_record* found = handle_record(&w.records, near);
        assert_int_equal(found != NULL, is_handle(&w, near));
        matches += found != NULL;
    }
    assert_in_range(matches, PATTERNS / 32, PATTERNS / 8);
    /* Each handle with one bit turned; if that is another record's handle, it is right to match. */
    for (uint32_t index = 0; index < LIVE; index++) {
        uintptr_t handle = (uintptr_t)handle_of(&w, index);
        for (uint32_t bit = 0; bit < sizeof(handle) * 8; bit++) {
            SxvkAllocation turned = (SxvkAllocation)(handle ^ (uintptr_t)1 << bit);
            assert_int_equal(handle_record(&w.records, turned) != NULL,
                             is_handle(&w, turned));
        }
    }
    world_shutdown(&w);
}

/*  After 2^30 lives a record starts over; in the life around 0 nothing is taken for null. */
static void test_generation_wraps(void** state) {
    (void)state;
    world w;
    world_init(&w, UINT32_MAX); /* the salt is made even, and not claimed */
    uint32_t index = take_live(&w);
    sxvki_record* r = sxvki_record_at(&w.records, index);
    assert_int_equal(index, 0);
    assert_int_equal(r->generation, UINT32_MAX / 2);
    SxvkAllocation before = handle_of(&w, index);
    assert_ptr_equal(handle_record(&w.records, before), r);
    sxvki_record_age(r);
    assert_int_equal(r->generation, 0);
    assert_false(sxvki_record_is_live(r));
    assert_null(handle_record(&w.records, before));
    assert_null(handle_record(&w.records, NULL));
    sxvki_record_age(r);
    SxvkAllocation after = handle_of(&w, index);
    assert_non_null(after);
    assert_ptr_equal(handle_record(&w.records, after), r);
    assert_null(handle_record(&w.records, before));
    world_shutdown(&w);
}

/* --- the chain of free records ---------------------------------------------------------------- */

static void test_take_and_give(void** state) {
    (void)state;
    enum { TAKEN = 500 };
    static bool seen[4096];
    world w;
    world_init(&w, SALT);
    uint32_t head = take_live(&w); /* what is already in the chain stays behind what is taken */
    const uint32_t old = head;
    sxvki_record_at(&w.records, old)->next = SXVKI_NONE;
    assert_int_equal(sxvki_records_take(&w.records, 0, &head), 0);
    assert_int_equal(head, old);
    assert_int_equal(sxvki_records_take(&w.records, TAKEN, &head), TAKEN);
    assert_int_equal(chain_length(&w, head), TAKEN + 1);
    uint32_t last = head;
    for (uint32_t i = head; i != SXVKI_NONE; i = sxvki_record_at(&w.records, i)->next) {
        assert_false(seen[i]);
        seen[i] = true;
        last = i;
        assert_int_equal(sxvki_record_at(&w.records, i)->generation, SALT + (i == old));
    }
    assert_int_equal(last, old);

    /* All are there after they were given back, and serve again without host memory. */
    const uint64_t calls = w.counted.calls;
    const uint32_t capacity = w.records.hot.capacity;
    sxvki_record_age(sxvki_record_at(&w.records, old));
    sxvki_records_give(&w.records, head);
    sxvki_records_give(&w.records, SXVKI_NONE);
    assert_int_equal(unused_count(&w.records.hot), capacity);
    head = SXVKI_NONE;
    assert_int_equal(sxvki_records_take(&w.records, capacity, &head), capacity);
    assert_int_equal(w.counted.calls, calls);
    assert_int_equal(unused_count(&w.records.hot), 0);
    assert_int_equal(sxvki_record_at(&w.records, old)->generation, SALT + 2);
    sxvki_records_give(&w.records, head);
    world_shutdown(&w);
}

/*  Records stay where they are, and what they hold stays too. */
static void test_growth_moves_nothing(void** state) {
    (void)state;
    world w;
    world_init(&w, SALT);
    uint32_t index = take_live(&w);
    sxvki_record* r = sxvki_record_at(&w.records, index);
    SxvkAllocation handle = handle_of(&w, index);
    uint32_t chain = SXVKI_NONE;
    sxvki_record_set(r, 9, 10, 11);
    assert_int_equal(sxvki_records_take(&w.records, 20000, &chain), 20000);
    assert_ptr_equal(sxvki_record_at(&w.records, index), r);
    assert_ptr_equal(handle_record(&w.records, handle), r);
    assert_int_equal(sxvki_record_offset(r), 10);
    /* Each record has a place for its cold page. */
    assert_true((uint64_t)w.records.cold.capacity * SXVKI_COLD_PAGE >= w.records.hot.capacity);
    assert_null(sxvki_cold_find(&w.records, w.records.hot.capacity - 1));
    world_shutdown(&w);
}

/*  Growth takes two host allocations at most; wherever it fails, what was taken counts, nothing is
    lost, and the next try succeeds. */
static void test_growth_fails(void** state) {
    (void)state;
    for (uint64_t nth = 1; nth <= 12; nth++) {
        world w;
        uint32_t chain = SXVKI_NONE;
        world_init(&w, SALT);
        host_fail(&w.counted, nth, UINT32_MAX);
        uint32_t taken = sxvki_records_take(&w.records, 5000, &chain);
        assert_true(taken < 5000);
        assert_int_equal(taken, w.records.hot.capacity);
        assert_int_equal(chain_length(&w, chain), taken);
        assert_int_equal(unused_count(&w.records.hot), 0);
        assert_int_equal(sxvki_records_take(&w.records, 1, &chain), 0);
        assert_int_equal(chain_length(&w, chain), taken);
        host_fail(&w.counted, 0, 0);
        assert_int_equal(sxvki_records_take(&w.records, 5000, &chain), 5000);
        assert_int_equal(chain_length(&w, chain), taken + 5000);
        assert_true((uint64_t)w.records.cold.capacity * SXVKI_COLD_PAGE >= w.records.hot.capacity);
        sxvki_records_give(&w.records, chain);
        assert_int_equal(unused_count(&w.records.hot), w.records.hot.capacity);
        world_shutdown(&w);
    }
}

/*  At its limit the table asks for no more memory. */
static void test_growth_ends(void** state) {
    (void)state;
    world w;
    uint32_t chain = SXVKI_NONE;
    world_init(&w, SALT);
    /* As if it had grown; no record is looked at. */
    w.records.hot.capacity = SXVKI_RECORDS_MAX - 64;
    w.records.hot.made = w.records.hot.capacity;
    assert_int_equal(sxvki_records_take(&w.records, 1, &chain), 0);
    assert_int_equal(chain, SXVKI_NONE);
    assert_int_equal(w.counted.calls, 0);
    w.records.hot.capacity = 0;
    w.records.hot.made = 0;
    world_shutdown(&w);
}

static void* take_and_give(void* argument) {
    world* w = argument;
    for (uint32_t round = 0; round < THREAD_ROUNDS; round++) {
        uint32_t chain = SXVKI_NONE;
        if (sxvki_records_take(&w->records, 1 + round % 40, &chain) != 1 + round % 40) {
            return w;
        }
        /* Nobody else has these: ThreadSanitizer would see it, and so would the generations. */
        for (uint32_t i = chain; i != SXVKI_NONE; i = sxvki_record_at(&w->records, i)->next) {
            sxvki_record* r = sxvki_record_at(&w->records, i);
            if (sxvki_record_is_live(r)) {
                return w;
            }
            sxvki_record_age(r);
            sxvki_record_set(r, 1, i, i);
            sxvki_record_age(r);
        }
        sxvki_records_give(&w->records, chain);
    }
    return NULL;
}

static void test_threads_share_records(void** state) {
    (void)state;
    pthread_t threads[THREADS];
    uint64_t ages = 0, expected = 0;
    world w;
    world_init(&w, 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &w), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void* failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    for (uint32_t round = 0; round < THREAD_ROUNDS; round++) {
        expected += 2 * THREADS * (1 + round % 40);
    }
    assert_int_equal(unused_count(&w.records.hot), w.records.hot.capacity);
    for (uint32_t i = 0; i < w.records.hot.capacity; i++) {
        ages += sxvki_record_at(&w.records, i)->generation;
    }
    assert_int_equal(ages, expected);
    world_shutdown(&w);
}

/* --- the cold side table ---------------------------------------------------------------------- */

static void test_cold_entries(void** state) {
    (void)state;
    int data[2];
    char* name;
    world w;
    world_init(&w, SALT);
    uint32_t chain = SXVKI_NONE;
    (void)sxvki_records_take(&w.records, 5 * SXVKI_COLD_PAGE, &chain);
    const uint64_t before = w.counted.liveCount;
    for (uint32_t i = 0; i < w.records.hot.capacity; i++) {
        assert_null(sxvki_cold_find(&w.records, i));
    }
    sxvki_cold_clear(&w.records, 0);
    assert_int_equal(w.counted.liveCount, before); /* to look or to clear makes no page */

    sxvki_cold* a = sxvki_cold_make(&w.records, SXVKI_COLD_PAGE - 1);
    sxvki_cold* b = sxvki_cold_make(&w.records, SXVKI_COLD_PAGE);
    assert_int_equal(w.counted.liveCount, before + 2);
    assert_true(a->user_data == NULL && a->name == NULL && b->user_data == NULL && b->name == NULL);
    a->user_data = &data[0];
    b->user_data = &data[1];
    assert_true(sxvki_host_copy_string(&w.host, "a name", &name));
    b->name = name;
    assert_ptr_equal(sxvki_cold_make(&w.records, SXVKI_COLD_PAGE - 1), a);
    assert_ptr_equal(sxvki_cold_find(&w.records, SXVKI_COLD_PAGE), b);
    assert_ptr_equal(sxvki_cold_find(&w.records, 0), a - (SXVKI_COLD_PAGE - 1));
    assert_ptr_equal(a->user_data, &data[0]);
    assert_ptr_equal(b->user_data, &data[1]);

    sxvki_cold_clear(&w.records, SXVKI_COLD_PAGE); /* frees the name, keeps the page */
    assert_int_equal(w.counted.liveCount, before + 2);
    assert_true(b->user_data == NULL && b->name == NULL);
    assert_ptr_equal(a->user_data, &data[0]);
    sxvki_records_give(&w.records, chain);
    world_shutdown(&w);
}

static void test_cold_page_fails(void** state) {
    (void)state;
    world w;
    world_init(&w, SALT);
    uint32_t index = take_live(&w);
    host_fail(&w.counted, 1, 1);
    assert_null(sxvki_cold_make(&w.records, index));
    assert_null(sxvki_cold_find(&w.records, index));
    assert_int_equal(w.counted.failed, 1);
    assert_non_null(sxvki_cold_make(&w.records, index));
    world_shutdown(&w);
}

typedef struct race {
    world w;
    pthread_barrier_t start;
} race;

static void* make_cold(void* argument) {
    race* r = argument;
    (void)pthread_barrier_wait(&r->start);
    return sxvki_cold_make(&r->w.records, 0);
}

/*  Threads that make the same page at once all get it, and only one page stays. */
static void test_cold_page_race(void** state) {
    (void)state;
    for (int round = 0; round < 200; round++) {
        pthread_t threads[THREADS];
        race r;
        world_init(&r.w, SALT);
        (void)take_live(&r.w);
        const uint64_t before = r.w.counted.liveCount;
        assert_int_equal(pthread_barrier_init(&r.start, NULL, THREADS), 0);
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, make_cold, &r), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            void* cold = NULL;
            assert_int_equal(pthread_join(threads[i], &cold), 0);
            assert_non_null(cold);
            assert_ptr_equal(cold, sxvki_cold_find(&r.w.records, 0));
        }
        assert_int_equal(r.w.counted.liveCount, before + 1);
        assert_int_equal(pthread_barrier_destroy(&r.start), 0);
        world_shutdown(&r.w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_hold_38_bits),
        cmocka_unit_test(test_bytes_asked_for),
        cmocka_unit_test(test_stale_and_doubly_freed),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_null),
        cmocka_unit_test(test_index_beyond_capacity),
        cmocka_unit_test(test_bit_patterns),
        cmocka_unit_test(test_generation_wraps),
        cmocka_unit_test(test_take_and_give),
        cmocka_unit_test(test_growth_moves_nothing),
        cmocka_unit_test(test_growth_fails),
        cmocka_unit_test(test_growth_ends),
        cmocka_unit_test(test_threads_share_records),
        cmocka_unit_test(test_cold_entries),
        cmocka_unit_test(test_cold_page_fails),
        cmocka_unit_test(test_cold_page_race),
    };
    return cmocka_run_group_tests_name("records", tests, NULL, NULL);
}
