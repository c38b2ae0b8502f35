/*
    test_bins.c - >>bins: size classes, take and give against a naive list of intervals, the repros
    of other allocators' bugs, work that does not grow with the number of holes, and the checkers
    themselves, by breaking each invariant by hand. One unit is a granule; bins know no bytes.

    Run by CTest (unit.bins), or by hand: test_bins [first seed]. The model prints its seeds.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

/*  To reach a record takes a bit scan, and so does the bin of a size: their number is a measure of
    work that, unlike time, is the same in every run. */
static uint64_t bit_scans;
#define __builtin_clzll(x) (bit_scans++, __builtin_clzll(x))

#define SX_VKALLOC_DEBUG   2
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"
#include "testing.h"

/*  The record behind a handle, or null where the handle is not valid. */
static sxvki_record* handle_record(const sxvki_records* records, SxvkAllocation handle) {
    return sxvki_handle_is_valid(records, handle)
               ? sxvki_record_at(records, sxvki_handle_index(handle))
               : NULL;
}

#define BLOCKS          12
#define MAX             SXVKI_GRANULES_MAX
#define NONE            SXVKI_NONE
#define TOP_BLOCK_ID    SXVKI_BLOCK_ID_MASK
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t first_seed = 1;

/*  Bins with their records and host memory, and the blocks that were added. */
typedef struct block {
    uint64_t size; /* 0: no block */
    uint32_t first;
    uint32_t id;
} block;

typedef struct world {
    Host counted;
    sxvki_host host;
    sxvki_records records;
    sxvki_bins bins;
    block blocks[BLOCKS];
} world;

static void world_init(world* w, uint64_t max_size) {
    memset(w, 0, sizeof(*w));
    host_init(&w->counted);
    sxvki_host_init(&w->host, &w->counted.callbacks);
    assert_true(sxvki_records_init(&w->records, &w->host, 0, 0));
    sxvki_bins_init(&w->bins, &w->records, max_size);
}

static sxvki_record* at(const world* w, uint32_t index) {
    return sxvki_record_at(&w->records, index);
}

/*  Both checkers, over all blocks. */
static bool is_valid(const world* w) {
    uint32_t free_count = 0;
    for (int i = 0; i < BLOCKS; i++) {
        const block* b = &w->blocks[i];
        if (b->size != 0 &&
            !sxvki_bins_block_is_valid(&w->bins, b->first, b->id, b->size, &free_count)) {
            return false;
        }
    }
    return sxvki_bins_is_valid(&w->bins, free_count);
}

static uint32_t add(world* w, uint64_t size) {
    uint32_t i = 0;
    while (w->blocks[i].size != 0) {
        i++;
        assert_true(i < BLOCKS);
    }
    block* b = &w->blocks[i];
    assert_true(sxvki_bins_prepare(&w->bins));
    b->size = size;
    b->id = TOP_BLOCK_ID - (BLOCKS - 1) + i;
    b->first = sxvki_bins_add_block(&w->bins, b->id, size);
    return i;
}

static bool is_empty(const world* w, uint32_t i) {
    return sxvki_bins_block_is_empty(&w->bins, w->blocks[i].first);
}

static void drop_block(world* w, uint32_t i) {
    assert_true(is_empty(w, i));
    sxvki_bins_remove_block(&w->bins, w->blocks[i].first);
    w->blocks[i].size = 0;
}

/*  As the owner does: take, then say that the range is handed out. */
static uint32_t take_prepared(world* w, uint64_t size, uint64_t alignment,
                              sxvki_strategy strategy) {
    uint32_t index = sxvki_bins_take(&w->bins, size, alignment, strategy);
    if (index != NONE) {
        sxvki_record_age(at(w, index));
    }
    return index;
}

static uint32_t take(world* w, uint64_t size, uint64_t alignment, sxvki_strategy strategy) {
    assert_true(sxvki_bins_prepare(&w->bins));
    return take_prepared(w, size, alignment, strategy);
}

/*  What must succeed, and what must not. */
static uint32_t must_take(world* w, uint64_t size, uint64_t alignment) {
    uint32_t index = take(w, size, alignment, SXVKI_STRATEGY_MIN_TIME);
    assert_true(index != NONE);
    assert_true(sxvki_record_size(at(w, index)) == size);
    assert_true(sxvki_record_offset(at(w, index)) % alignment == 0);
    assert_true(sxvki_record_is_live(at(w, index)));
    assert_true(is_valid(w));
    return index;
}

static void must_fail(world* w, uint64_t size, uint64_t alignment) {
    for (int s = SXVKI_STRATEGY_MIN_TIME; s <= SXVKI_STRATEGY_MIN_OFFSET; s++) {
        assert_true(take(w, size, alignment, (sxvki_strategy)s) == NONE);
    }
    assert_true(is_valid(w));
}

static void give(world* w, uint32_t index) {
    (void)sxvki_bins_give(&w->bins, index);
    assert_true(is_valid(w));
}

static uint64_t offset_of(const world* w, uint32_t index) {
    return sxvki_record_offset(at(w, index));
}

/*  All blocks are one free range again; remove them; then nothing may be left in the bins, and no
    record may be missing. */
static void world_shutdown(world* w) {
    for (uint32_t i = 0; i < BLOCKS; i++) {
        if (w->blocks[i].size != 0) {
            assert_true(sxvki_record_size(at(w, w->blocks[i].first)) == w->blocks[i].size);
            drop_block(w, i);
        }
    }
    assert_true(is_valid(w));
    assert_int_equal(w->bins.free_count, 0);
    assert_int_equal(w->bins.free_size, 0);
    assert_int_equal(w->bins.top, 0);
    sxvki_bins_shutdown(&w->bins);
    assert_null(w->bins.heads);
    sxvki_bins_shutdown(&w->bins); /* a zeroed one is all right */
    for (uint32_t k = 0; k < SXVKI_TABLE_CHUNKS; k++) {
        assert_int_equal(w->records.hot.used[k], 0);
    }
    sxvki_records_shutdown(&w->records);
    assert_int_equal(w->counted.liveCount, 0);
    assert_int_equal(w->counted.mistakes, 0);
}

/*  Bins with one block. */
static void world_of(world* w, uint64_t block_size) {
    world_init(w, block_size);
    (void)add(w, block_size);
}

static uint64_t random_size(uint64_t* seed, uint64_t max) {
    return testing_log_uniform(seed, 1, max);
}

static const char* strategy_name(sxvki_strategy strategy) {
    static const char* const names[] = {"min time", "min memory", "min offset"};
    return names[strategy];
}

/* --- size classes ----------------------------------------------------------------------------- */

/*  Properties of one size and the next. */
static void check_bins_of(uint64_t size) {
    uint32_t own = sxvki_bin_of(size);
    uint32_t above = sxvki_bin_above(size);
    assert_true(sxvki_bin_of(size + 1) == own || sxvki_bin_of(size + 1) == own + 1);
    assert_true(sxvki_bin_above(size + 1) == above || sxvki_bin_above(size + 1) == above + 1);
    assert_true(above == own || above == own + 1);
    /* Its own bin will do if and only if it is the smallest size there. */
    assert_true((above == own) == (size == 0 || sxvki_bin_of(size - 1) != own));
}

static void test_bins_of_small_sizes(void** state) {
    (void)state;
    static uint64_t smallest[1024], largest[1024];
    uint32_t last = 0;
    for (uint64_t size = 0; size < 1u << 20; size++) {
        uint32_t bin = sxvki_bin_of(size);
        check_bins_of(size);
        if (bin != last || size == 0) {
            smallest[bin] = size;
        }
        largest[bin] = size;
        last = bin;
    }
    for (uint32_t bin = 0; bin < last; bin++) {
        /* Every size below 32 has a bin of its own; no gap is over 1/32. */
        assert_true((largest[bin] - smallest[bin]) * 32 < smallest[bin] || bin < 32);
        assert_true(bin >= 32 || largest[bin] == smallest[bin]);
    }
    for (uint64_t size = 0; size < 1u << 19; size++) {
        uint32_t above = sxvki_bin_above(size);
        assert_true(smallest[above] >= size);
        assert_true(above == 0 || smallest[above - 1] < size);
    }
}

/*  The smallest size of a bin, by bisection over sxvki_bin_of, which is monotone. */
static uint64_t smallest_of_bin(uint32_t bin) {
    uint64_t low = 0, high = (uint64_t)1 << 40;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (sxvki_bin_of(middle) >= bin) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static void check_large(uint64_t size) {
    uint32_t own = sxvki_bin_of(size);
    uint64_t low = smallest_of_bin(own);
    uint64_t high = smallest_of_bin(own + 1) - 1;
    check_bins_of(size);
    assert_true(low <= size && size <= high);
    assert_true((high - low) < (low + 31) / 32 || low < 64);
    assert_true(smallest_of_bin(sxvki_bin_above(size)) >= size);
    assert_true(sxvki_bin_of(size) < SXVKI_BIN_WORDS * 64);
}

static void test_bins_of_large_sizes(void** state) {
    (void)state;
    uint64_t seed = first_seed;
    for (uint32_t shift = 6; shift < 38; shift++) {
        uint64_t power = (uint64_t)1 << shift;
        check_large(power - 1);
        check_large(power);
        check_large(power + 1);
        for (int i = 0; i < 200; i++) {
            check_large(power + testing_random(&seed) % power);
        }
    }
    check_large(MAX);
}

/*  VMA#367: a bit scan that was off led to list 42. No size leads beyond the lists, be it of a
    range or asked for, whatever the largest block is. */
static void test_no_size_leads_beyond_the_lists_VMA_367(void** state) {
    (void)state;
    for (uint32_t shift = 0; shift <= 38; shift++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t max = ((uint64_t)1 << shift) + (uint64_t)(int64_t)delta;
            world w;
            if (max == 0 || max > MAX) {
                continue;
            }
            world_of(&w, max);
            assert_true(sxvki_bin_of(max) < w.bins.bin_count);
            must_fail(&w, max + 1, 1);
            must_fail(&w, max + 1, (uint64_t)1 << 36);
            must_fail(&w, 2 * max + 1, 1);
            give(&w, must_take(&w, max, 1));
            give(&w, must_take(&w, 1, (uint64_t)1 << 36));
            world_shutdown(&w);
        }
    }
}

/*  The lowest bin at or above another, against a loop. */
static void test_find(void** state) {
    (void)state;
    uint64_t seed = first_seed;
    world w;
    world_init(&w, MAX);
    for (int round = 0; round < 200; round++) {
        uint32_t count = testing_below(&seed, 20);
        memset(w.bins.map, 0, sizeof(w.bins.map));
        w.bins.top = 0;
        while (count-- != 0) {
            uint32_t bin = testing_below(&seed, w.bins.bin_count);
            w.bins.map[bin / 64] |= (uint64_t)1 << (bin % 64);
            w.bins.top |= (uint64_t)1 << (bin / 64);
        }
        uint32_t expected = NONE;
        assert_true(sxvki_bins_find(&w.bins, w.bins.bin_count) == NONE);
        assert_true(sxvki_bins_find(&w.bins, UINT32_MAX) == NONE);
        for (uint32_t from = w.bins.bin_count; from-- != 0;) {
            if ((w.bins.map[from / 64] >> (from % 64)) & 1) {
                expected = from;
            }
            assert_true(sxvki_bins_find(&w.bins, from) == expected);
        }
    }
    memset(w.bins.map, 0, sizeof(w.bins.map));
    w.bins.top = 0;
    world_shutdown(&w);
}

/* --- exact fit -------------------------------------------------------------------------------- */

/*  A fresh block serves a request of its whole size, and then is full. */
static void check_whole_block(uint64_t size) {
    world w;
    world_of(&w, size);
    for (int s = SXVKI_STRATEGY_MIN_TIME; s <= SXVKI_STRATEGY_MIN_OFFSET; s++) {
        uint32_t index = take(&w, size, 1, (sxvki_strategy)s);
        assert_true(index != NONE);
        assert_int_equal(offset_of(&w, index), 0);
        assert_int_equal(w.bins.free_size, 0);
        assert_int_equal(w.bins.free_count, 0);
        assert_true(take(&w, 1, 1, (sxvki_strategy)s) == NONE);
        give(&w, index);
        assert_true(w.bins.free_size == size);
        /* Offset 0 is aligned to everything. */
        index = take(&w, size, (uint64_t)1 << 36, (sxvki_strategy)s);
        assert_true(index != NONE);
        give(&w, index);
    }
    world_shutdown(&w);
}

static void test_whole_block_of_any_size(void** state) {
    (void)state;
    uint64_t seed = first_seed;
    for (uint64_t size = 1; size <= 300; size++) {
        check_whole_block(size);
    }
    for (uint32_t shift = 9; shift < 38; shift++) {
        uint64_t power = (uint64_t)1 << shift;
        check_whole_block(power - 1);
        check_whole_block(power);
        check_whole_block(power + 1);
        check_whole_block(power + testing_random(&seed) % power);
    }
    check_whole_block(MAX);
}

/*  Whatever was taken from a block, the rest is there to the last unit. */
static void test_rest_is_there_to_the_last_unit(void** state) {
    (void)state;
    world w;
    for (uint64_t size = 2; size <= 400; size++) {
        world_of(&w, size);
        for (uint64_t part = 1; part < size; part++) {
            uint32_t a = take(&w, part, 1, SXVKI_STRATEGY_MIN_TIME);
            uint32_t b = take(&w, size - part, 1, SXVKI_STRATEGY_MIN_TIME);
            assert_true(a != NONE && b != NONE);
            (void)sxvki_bins_give(&w.bins, a);
            (void)sxvki_bins_give(&w.bins, b);
        }
        assert_true(is_valid(&w));
        world_shutdown(&w);
    }
}

/* --- other allocators' bugs ------------------------------------------------------------------- */

/*  VMA#230, #231: a list index out of bounds. In bytes as there, and in granules. */
static void test_block_of_48_mib_VMA_230_231(void** state) {
    (void)state;
    static const uint64_t sizes[] = {576, 648, 720};
    static const uint64_t units[] = {1, 16};
    for (size_t unit = 0; unit < COUNT_OF(units); unit++) {
        for (size_t freed = 0; freed < COUNT_OF(sizes); freed++) {
            world w;
            uint32_t taken[COUNT_OF(sizes)];
            world_of(&w, 50331648 / units[unit]);
            for (size_t i = 0; i < COUNT_OF(sizes); i++) {
                taken[i] = must_take(&w, sizes[i] / units[unit], 2);
                if (i == freed) {
                    give(&w, taken[i]);
                }
            }
            for (size_t i = 0; i < COUNT_OF(sizes); i++) {
                if (i != freed) {
                    give(&w, taken[i]);
                }
            }
            assert_true(is_empty(&w, 0));
            world_shutdown(&w);
        }
    }
}

/*  Holes of one size, kept apart by ranges of one unit, then the rest of the block. */
static void make_holes(world* w, uint32_t count, uint64_t size) {
    uint32_t* holes = malloc(count * sizeof(*holes));
    assert_non_null(holes);
    for (uint32_t i = 0; i < count; i++) {
        holes[i] = take(w, size, 1, SXVKI_STRATEGY_MIN_TIME);
        assert_true(holes[i] != NONE && take(w, 1, 1, SXVKI_STRATEGY_MIN_TIME) != NONE);
    }
    for (uint32_t i = 0; i < count; i++) {
        (void)sxvki_bins_give(&w->bins, holes[i]);
    }
    free(holes);
}

static void give_all(world* w) {
    for (int b = 0; b < BLOCKS; b++) {
        if (w->blocks[b].size == 0) {
            continue;
        }
        /* Each give may join ranges: go on from the one that results. */
        for (uint32_t i = w->blocks[b].first; i != NONE; i = at(w, i)->next) {
            if (sxvki_record_is_live(at(w, i))) {
                i = sxvki_bins_give(&w->bins, i);
            }
        }
    }
    assert_true(is_valid(w));
}

/*  VMA#343: no range of the next class up, so all lists were searched. The holes of the request's
    own class are one unit short; what is bigger serves, and where nothing is, the answer is no. */
static void test_no_fit_in_own_class_VMA_343(void** state) {
    (void)state;
    const uint64_t hole = 64; /* shares its class with 65 */
    world w;
    world_of(&w, 1000 * (hole + 1) + 2 * hole);
    assert_int_equal(sxvki_bin_of(hole), sxvki_bin_of(hole + 1));
    make_holes(&w, 1000, hole);
    uint32_t rest = must_take(&w, hole + 1, 1);
    assert_int_equal(offset_of(&w, rest), 1000 * (hole + 1));
    must_fail(&w, hole + 1, 1);
    must_take(&w, hole, 1);
    give_all(&w);
    world_shutdown(&w);
}

/*  sebbbi/OffsetAllocator#3, #10: one allocation less than the maximum fitted. */
static void test_as_many_as_there_are_units_OffsetAllocator_3_10(void** state) {
    (void)state;
    for (uint32_t count = 1; count <= 257; count++) {
        world w;
        uint32_t last = NONE;
        world_of(&w, count);
        for (uint32_t i = 0; i < count; i++) {
            last = take(&w, 1, 1, SXVKI_STRATEGY_MIN_TIME);
            assert_true(last != NONE);
        }
        must_fail(&w, 1, 1);
        give(&w, last);
        must_take(&w, 1, 1);
        must_fail(&w, 1, 1);
        give_all(&w);
        world_shutdown(&w);
    }
}

/*  sebbbi/OffsetAllocator#11, #14: ranges were filed rounded down and searched rounded up, so that
    what fitted was not found. The naive remedy handed out overlapping ranges. */
static void test_rounding_OffsetAllocator_11_14(void** state) {
    (void)state;
    world w;
    world_of(&w, 699050);
    uint32_t big = must_take(&w, 664908, 1);
    uint32_t rest = must_take(&w, 699050 - 664908, 1);
    assert_int_equal(w.bins.free_size, 0);
    assert_int_equal(offset_of(&w, big) == 0 ? offset_of(&w, rest) : 664908, 664908);
    give_all(&w);
    world_shutdown(&w);

    world_of(&w, 324);
    must_take(&w, 255, 1);
    must_take(&w, 67, 1);
    must_take(&w, 2, 1);
    must_fail(&w, 1, 1);
    give_all(&w);
    world_shutdown(&w);
}

/*  pcwalton/offset-allocator#9: 513 of 513. */
static void test_513_of_513_offset_allocator_9(void** state) {
    (void)state;
    world w;
    world_of(&w, 513);
    give(&w, must_take(&w, 513, 1));
    must_take(&w, 513, 1);
    must_fail(&w, 1, 1);
    give_all(&w);
    world_shutdown(&w);
}

/*  3dem/relion#1369: a hole of exactly the size asked for was skipped. */
static void test_hole_of_exactly_that_size_relion_1369(void** state) {
    (void)state;
    for (uint64_t size = 1; size <= 2000; size += 1 + size / 40) {
        world w;
        world_of(&w, size + 2);
        must_take(&w, 1, 1);
        uint32_t hole = must_take(&w, size, 1);
        must_take(&w, 1, 1);
        give(&w, hole);
        must_fail(&w, size + 1, 1);
        assert_int_equal(offset_of(&w, must_take(&w, size, 1)), 1);
        give_all(&w);
        world_shutdown(&w);
    }
}

/*  mellinoe/veldrid#127: neighbours were not joined. Four ranges, freed in each order. */
static void test_neighbours_join_veldrid_127(void** state) {
    (void)state;
    for (uint32_t order = 0; order < 4 * 4 * 4 * 4; order++) {
        const uint32_t steps[] = {order % 4, order / 4 % 4, order / 16 % 4, order / 64};
        if ((1u << steps[0] | 1u << steps[1] | 1u << steps[2] | 1u << steps[3]) != 15) {
            continue; /* not a permutation */
        }
        world w;
        uint32_t taken[4];
        bool is_free[6] = {false}; /* with a neighbour that does not exist at each end */
        uint32_t expected = 0;
        world_of(&w, 400);
        for (int i = 0; i < 4; i++) {
            taken[i] = must_take(&w, 100, 1);
            assert_int_equal(offset_of(&w, taken[i]), 100 * i);
        }
        for (int i = 0; i < 4; i++) {
            uint32_t k = steps[i] + 1;
            give(&w, taken[steps[i]]);
            is_free[k] = true;
            expected = expected + 1 - is_free[k - 1] - is_free[k + 1];
            assert_int_equal(w.bins.free_count, expected);
            assert_int_equal(w.bins.free_size, 100 * (i + 1));
        }
        assert_true(is_empty(&w, 0));
        must_take(&w, 400, 1);
        give_all(&w);
        world_shutdown(&w);
    }
}

/*  DustinHLand/vkDOOM3#19: a freed range was not marked as free, and was lost. */
static void test_freed_range_serves_again_vkDOOM3_19(void** state) {
    (void)state;
    world w;
    world_of(&w, 300);
    uint32_t a = must_take(&w, 100, 1);
    uint32_t b = must_take(&w, 100, 1);
    uint32_t c = must_take(&w, 100, 1);
    must_fail(&w, 100, 1);
    for (int round = 0; round < 10; round++) {
        give(&w, b);
        assert_false(sxvki_record_is_live(at(&w, b)));
        assert_int_equal(w.bins.free_size, 100);
        b = must_take(&w, 100, 1);
        assert_int_equal(offset_of(&w, b), 100);
    }
    give(&w, a);
    give(&w, b);
    give(&w, c);
    world_shutdown(&w);
}

/*  zakarumych/gpu-alloc#44, #45: what alignment skipped was lost, and the free total drifted. */
static void test_pads_stay_free_gpu_alloc_44_45(void** state) {
    (void)state;
    const uint64_t size = 4096;
    uint64_t seed = first_seed;
    world w;
    world_of(&w, size);
    for (int round = 0; round < 100; round++) {
        uint64_t used = 0;
        int count = 0;
        for (; count < 64; count++) {
            uint64_t alignment = (uint64_t)1 << testing_below(&seed, 9);
            uint64_t want = 1 + testing_below(&seed, 60);
            if (take(&w, want, alignment, SXVKI_STRATEGY_MIN_TIME) == NONE) {
                break;
            }
            used += want;
            assert_int_equal(w.bins.free_size, size - used);
        }
        assert_true(count > 16);
        /* Pads are taken like anything else: what is free goes away to the last unit. */
        while (take(&w, 1, 1, SXVKI_STRATEGY_MIN_TIME) != NONE) {
            used++;
        }
        assert_int_equal(used, size);
        assert_int_equal(w.bins.free_size, 0);
        assert_int_equal(w.bins.free_count, 0);
        give_all(&w);
        assert_true(is_empty(&w, 0));
        assert_int_equal(w.bins.free_size, size);
    }
    world_shutdown(&w);
}

/* --- strategies and blocks -------------------------------------------------------------------- */

/*  In lists of one size the range of the lower block comes first, in whatever order they were
    freed; so high blocks run empty. */
static void test_low_blocks_serve_first(void** state) {
    (void)state;
    for (uint32_t order = 0; order < 6; order++) {
        static const uint32_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                              {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
        uint32_t whole[3];
        world w;
        world_init(&w, 100);
        for (int i = 0; i < 3; i++) {
            uint32_t b = add(&w, 100);
            whole[i] = must_take(&w, 100, 1);
            assert_int_equal(sxvki_record_block(at(&w, whole[i])), w.blocks[b].id);
        }
        for (int i = 0; i < 3; i++) {
            give(&w, whole[orders[order][i]]);
        }
        uint32_t served = must_take(&w, 50, 1);
        assert_int_equal(sxvki_record_block(at(&w, served)), w.blocks[0].id);
        assert_true(is_empty(&w, 1) && is_empty(&w, 2));
        give(&w, served);
        world_shutdown(&w);
    }
}

/*  So a freed range may stand second in its list, behind one that is too small: it still serves. */
static void test_freed_range_behind_a_low_one(void** state) {
    (void)state;
    const uint64_t small = 1029, large = 1040;
    world w;
    world_init(&w, 2000);
    (void)add(&w, small + 1);
    uint32_t low = must_take(&w, small, 1);
    must_take(&w, 1, 1);
    give(&w, low);
    (void)add(&w, large);
    for (int round = 0; round < 3; round++) {
        uint32_t high = must_take(&w, large, 1);
        must_fail(&w, large, 1);
        give(&w, high);
        assert_int_equal(w.bins.heads[sxvki_bin_of(large)], low);
    }
    give_all(&w);
    world_shutdown(&w);
}

/*  Offset 0 is aligned to everything: an empty block serves what it can hold, though the first
    range that is large enough is badly aligned, and size and alignment together exceed all. */
static void test_empty_block_serves_any_alignment(void** state) {
    (void)state;
    const uint64_t size = 60000, alignment = 8192, hole = 62000;
    for (int s = SXVKI_STRATEGY_MIN_TIME; s <= SXVKI_STRATEGY_MIN_OFFSET; s++) {
        world w;
        world_init(&w, 65536);
        (void)add(&w, hole + 2);
        must_take(&w, 1, 1);
        uint32_t crooked = must_take(&w, hole, 1);
        must_take(&w, 1, 1);
        give(&w, crooked);
        must_fail(&w, size, alignment);
        uint32_t b = add(&w, 65536);
        uint32_t index = take(&w, size, alignment, (sxvki_strategy)s);
        assert_true(index != NONE);
        assert_int_equal(sxvki_record_block(at(&w, index)), w.blocks[b].id);
        assert_int_equal(offset_of(&w, index), 0);
        give_all(&w);
        world_shutdown(&w);
    }
}

/*  The range that starts a block keeps its record; a block goes when it is empty, others stay. */
static void test_blocks_come_and_go(void** state) {
    (void)state;
    world w;
    world_init(&w, 1000);
    uint32_t a = add(&w, 500), b = add(&w, 1000), c = add(&w, 700);
    assert_int_equal(w.bins.free_size, 2200);
    uint32_t in_b = must_take(&w, 900, 1);
    assert_int_equal(sxvki_record_block(at(&w, in_b)), w.blocks[b].id);
    assert_int_equal(in_b, w.blocks[b].first);
    assert_false(is_empty(&w, b));
    drop_block(&w, a);
    drop_block(&w, c);
    assert_true(is_valid(&w));
    assert_int_equal(w.bins.free_size, 100);
    must_fail(&w, 101, 1);
    uint32_t first = must_take(&w, 100, 1);
    give(&w, in_b);
    assert_false(is_empty(&w, b));
    assert_int_equal(at(&w, w.blocks[b].first)->next, first);
    give(&w, first);
    assert_true(is_empty(&w, b));
    assert_int_equal(w.bins.free_count, 1);
    uint32_t again = add(&w, 300);
    assert_int_equal(w.bins.free_size, 1300);
    drop_block(&w, again);
    world_shutdown(&w);
}

/*  MIN_MEMORY finds the best of its own class where the head does not fit. */
static void test_min_memory_looks_behind_the_head(void** state) {
    (void)state;
    static const uint64_t holes[] = {1050, 1044, 1047, 1030}; /* one class; 1030 will be its head */
    uint32_t taken[COUNT_OF(holes)];
    world w;
    world_of(&w, 20000);
    for (size_t i = 0; i < COUNT_OF(holes); i++) {
        assert_int_equal(sxvki_bin_of(holes[i]), sxvki_bin_of(holes[0]));
        taken[i] = must_take(&w, holes[i], 1);
        must_take(&w, 1, 1);
    }
    for (size_t i = 0; i < COUNT_OF(holes); i++) {
        give(&w, taken[i]);
    }
    uint64_t best = offset_of(&w, taken[1]);
    uint32_t quick = must_take(&w, 1044, 1);
    assert_true(offset_of(&w, quick) > offset_of(&w, taken[3])); /* of the rest of the block */
    give(&w, quick);
    uint32_t careful = take(&w, 1044, 1, SXVKI_STRATEGY_MIN_MEMORY);
    assert_int_equal(offset_of(&w, careful), best);
    give_all(&w);
    world_shutdown(&w);
}

/* --- against a model -------------------------------------------------------------------------- */

/*  The model knows the ranges handed out, sorted by offset; all else of a block is free. */
#define MODEL_RANGES 400

typedef struct interval {
    uint64_t offset;
    uint64_t size;
    uint32_t index;
    SxvkAllocation handle;
} interval;

typedef struct model {
    world w;
    interval live[BLOCKS][MODEL_RANGES];
    uint32_t count[BLOCKS];
    uint64_t layout; /* a hash of all results so far */
    uint32_t taken, refused;
    /* what to draw from */
    uint64_t max_block, max_size;
    uint32_t max_alignment_shift;
} model;

static void model_note(model* m, uint64_t x) {
    m->layout = (m->layout ^ x) * 0x100000001B3u;
}

/*  The records of each block are the model's intervals, with one free range in each gap. */
static void check_layout(const model* m) {
    const world* w = &m->w;
    uint64_t free_size = 0;
    for (uint32_t b = 0; b < BLOCKS; b++) {
        uint64_t end = 0;
        uint32_t next = 0;
        uint32_t index = w->blocks[b].first;
        if (w->blocks[b].size == 0) {
            continue;
        }
        while (end != w->blocks[b].size) {
            const sxvki_record* r = at(w, index);
            const interval* i = next < m->count[b] ? &m->live[b][next] : NULL;
            uint64_t stop = w->blocks[b].size;
            assert_true(sxvki_record_offset(r) == end && sxvki_record_block(r) == w->blocks[b].id);
            if (i != NULL && i->offset == end) {
                assert_true(sxvki_record_is_live(r) && index == i->index);
                assert_true(handle_record(&w->records, i->handle) == r);
                stop = end + i->size;
                next++;
            } else {
                assert_false(sxvki_record_is_live(r));
                stop = i != NULL ? i->offset : stop;
                free_size += stop - end;
            }
            assert_true(sxvki_record_size(r) == stop - end);
            end = stop;
            index = r->next;
        }
        assert_true(index == NONE && next == m->count[b]);
    }
    assert_true(free_size == w->bins.free_size);
    assert_true(is_valid(w));
}

static bool fits(const sxvki_record* r, uint64_t size, uint64_t alignment, uint64_t* start) {
    uint64_t offset = sxvki_record_offset(r);
    *start = (offset + alignment - 1) / alignment * alignment;
    return *start + size <= offset + sxvki_record_size(r);
}

/*  What a request must come to, seen before it, by loops over all bins. */
typedef struct verdict {
    bool head_fits;     /* of any bin */
    uint32_t low_block; /* MIN_OFFSET: the lowest place; NONE: that of another strategy */
    uint64_t low_start;
    uint64_t best_size; /* MIN_MEMORY: the smallest of the first ranges of its own class; or 0 */
} verdict;

/*  The lowest place in the first ranges of a list. */
static void foresee_lowest(const world* w, uint32_t index, uint32_t most, uint64_t size,
                           uint64_t alignment, verdict* v) {
    for (uint32_t i = 0; i < most && index != NONE; i++) {
        uint64_t start;
        uint32_t id = sxvki_record_block(at(w, index));
        if (fits(at(w, index), size, alignment, &start) &&
            (id < v->low_block || (id == v->low_block && start < v->low_start))) {
            v->low_block = id;
            v->low_start = start;
        }
        index = at(w, index)->link_b;
    }
}

static verdict foresee(const world* w, uint64_t size, uint64_t alignment) {
    verdict v = {.low_block = NONE};
    const uint32_t own = sxvki_bin_of(size);
    const uint32_t surely = sxvki_bin_above(size + alignment - 1);
    uint64_t start;
    for (uint32_t bin = own; bin < w->bins.bin_count; bin++) {
        uint32_t index = w->bins.heads[bin];
        if (index == NONE) {
            continue;
        }
        bool head_fits = fits(at(w, index), size, alignment, &start);
        assert_true(head_fits || bin < surely);
        v.head_fits |= head_fits;
        if (w->bins.free_count <= SXVKI_LOW_FEW) {
            foresee_lowest(w, index, UINT32_MAX, size, alignment, &v);
        } else if (bin <= own + SXVKI_LOW_BINS) {
            foresee_lowest(w, index, SXVKI_LOW_PROBES, size, alignment, &v);
        }
    }
    if (own < w->bins.bin_count) {
        uint32_t index = w->bins.heads[own];
        for (int i = 0; i < SXVKI_OWN_BIN_PROBES && index != NONE; i++) {
            const sxvki_record* r = at(w, index);
            uint64_t r_size = sxvki_record_size(r);
            if (fits(r, size, alignment, &start) && (v.best_size == 0 || r_size < v.best_size)) {
                v.best_size = r_size;
            }
            index = r->link_b;
        }
    }
    return v;
}

/*  The gap of the model that holds [offset, offset + size), and where in the list it stands. */
static uint64_t gap_around(const model* m, uint32_t b, uint64_t offset, uint64_t size,
                           uint32_t* place) {
    uint64_t from = 0;
    uint32_t i = 0;
    while (i < m->count[b] && m->live[b][i].offset < offset) {
        from = m->live[b][i].offset + m->live[b][i].size;
        i++;
    }
    uint64_t to = i < m->count[b] ? m->live[b][i].offset : m->w.blocks[b].size;
    assert_true(from <= offset && offset + size <= to);
    *place = i;
    return to - from;
}

static bool model_take(model* m, uint64_t size, uint64_t alignment, sxvki_strategy strategy) {
    world* w = &m->w;
    assert_true(sxvki_bins_prepare(&w->bins)); /* so that there are lists to look at */
    verdict v = foresee(w, size, alignment);
    uint32_t index = take(w, size, alignment, strategy);
    uint32_t b = 0;
    uint32_t place;
    if (index == NONE) {
        assert_false(v.head_fits); /* nothing is refused that the head of a list can serve */
        assert_true(strategy != SXVKI_STRATEGY_MIN_OFFSET || v.low_block == NONE);
        assert_true(strategy != SXVKI_STRATEGY_MIN_MEMORY || v.best_size == 0);
        m->refused++;
        model_note(m, NONE);
        return false;
    }
    const sxvki_record* r = at(w, index);
    uint64_t offset = sxvki_record_offset(r);
    while (w->blocks[b].size == 0 || w->blocks[b].id != sxvki_record_block(r)) {
        b++;
        assert_true(b < BLOCKS);
    }
    assert_true(sxvki_record_size(r) == size && offset % alignment == 0);
    assert_true(r->link_a == 0 && r->link_b == 0); /* tail and state, for the owner to fill */
    uint64_t gap = gap_around(m, b, offset, size, &place);
    if (strategy == SXVKI_STRATEGY_MIN_OFFSET && v.low_block != NONE) {
        assert_true(w->blocks[b].id == v.low_block && offset == v.low_start);
    }
    if (strategy == SXVKI_STRATEGY_MIN_MEMORY && v.best_size != 0) {
        assert_true(gap == v.best_size);
    }
    interval* i = &m->live[b][place];
    memmove(i + 1, i, (m->count[b] - place) * sizeof(*i));
    *i = (interval){offset, size, index, sxvki_handle_make(r->generation, index)};
    m->count[b]++;
    m->taken++;
    model_note(m, (uint64_t)b << 40 | offset);
    return true;
}

static void model_give(model* m, uint32_t b, uint32_t place) {
    interval gone = m->live[b][place];
    interval* i = &m->live[b][place];
    m->count[b]--;
    memmove(i, i + 1, (m->count[b] - place) * sizeof(*i));
    uint32_t free_range = sxvki_bins_give(&m->w.bins, gone.index);
    const sxvki_record* r = at(&m->w, free_range);
    assert_true(sxvki_record_offset(r) <= gone.offset);
    assert_true(sxvki_record_offset(r) + sxvki_record_size(r) >= gone.offset + gone.size);
    assert_null(handle_record(&m->w.records, gone.handle));
    assert_int_equal(is_empty(&m->w, b), m->count[b] == 0);
}

/*  A fresh block of at least this size, where there is a place for one. */
static bool model_add(model* m, uint64_t* seed, uint64_t size) {
    uint32_t used = 0;
    for (int b = 0; b < BLOCKS; b++) {
        used += m->w.blocks[b].size != 0;
    }
    if (used == BLOCKS) {
        return false;
    }
    uint64_t more = testing_below(seed, 4) == 0 ? size : random_size(seed, m->max_block);
    (void)add(&m->w, sxvki_max64(size, more));
    return true;
}

static void model_step(model* m, uint64_t* seed, uint32_t step, sxvki_strategy strategy) {
    bool filling = step / 400 % 3 != 2; /* fill, fill, drain */
    uint32_t b = testing_below(seed, BLOCKS);
    if (testing_below(seed, 100) < (filling ? 65u : 20u)) {
        uint64_t size = random_size(seed, m->max_size);
        uint64_t alignment = (uint64_t)1 << testing_below(seed, m->max_alignment_shift + 1);
        uint32_t most = 0;
        for (uint32_t i = 0; i < BLOCKS; i++) {
            most = m->count[i] > most ? m->count[i] : most;
        }
        if (most < MODEL_RANGES && !model_take(m, size, alignment, strategy)) {
            (void)model_add(m, seed, size);
        }
    } else if (m->w.blocks[b].size != 0 && m->count[b] != 0) {
        model_give(m, b, testing_below(seed, m->count[b]));
    } else if (m->w.blocks[b].size != 0 && testing_below(seed, 4) == 0) {
        drop_block(&m->w, b);
    }
}

typedef struct scale {
    const char* name;
    uint64_t max_block, max_size;
    uint32_t max_alignment_shift;
    uint32_t steps;
} scale;

/*  One run; returns the hash of its layout. */
static uint64_t run_model(uint64_t seed, const scale* s, sxvki_strategy strategy) {
    static model m;
    memset(&m, 0, sizeof(m));
    world_init(&m.w, s->max_block);
    m.max_block = s->max_block;
    m.max_size = s->max_size;
    m.max_alignment_shift = s->max_alignment_shift;
    for (uint32_t step = 0; step < s->steps; step++) {
        model_step(&m, &seed, step, strategy);
        check_layout(&m);
    }
    assert_true(m.taken > s->steps / 4 && m.refused > 0);
    for (uint32_t b = 0; b < BLOCKS; b++) {
        while (m.count[b] != 0) {
            model_give(&m, b, testing_below(&seed, m.count[b]));
            check_layout(&m);
        }
    }
    world_shutdown(&m.w);
    return m.layout;
}

static void test_model(void** state) {
    (void)state;
    static const scale scales[] = {
        {"tiny blocks", 600, 64, 4, 1500},
        {"usual blocks", (uint64_t)1 << 20, 1 << 16, 12, 1500},
        /* Blocks above 64 GiB, to the last of 4 TiB. */
        {"38 bits", MAX, (uint64_t)1 << 37, 36, 1500},
    };
    for (uint64_t seed = first_seed; seed < first_seed + 3; seed++) {
        for (size_t i = 0; i < COUNT_OF(scales); i++) {
            for (int s = SXVKI_STRATEGY_MIN_TIME; s <= SXVKI_STRATEGY_MIN_OFFSET; s++) {
                print_message("    seed %" PRIu64 ", %s, %s\n", seed, scales[i].name,
                              strategy_name((sxvki_strategy)s));
                (void)run_model(seed, &scales[i], (sxvki_strategy)s);
            }
        }
    }
}

static void test_same_seed_same_layout(void** state) {
    (void)state;
    static const scale s = {"usual blocks", (uint64_t)1 << 20, 1 << 16, 12, 1000};
    uint64_t layout = run_model(first_seed, &s, SXVKI_STRATEGY_MIN_TIME);
    assert_true(layout == run_model(first_seed, &s, SXVKI_STRATEGY_MIN_TIME));
    assert_true(layout != run_model(first_seed + 1, &s, SXVKI_STRATEGY_MIN_TIME));
}

/*  The last units of the largest block there can be: 38 bits of offset. */
static void test_ends_of_the_largest_block(void** state) {
    (void)state;
    world w;
    world_of(&w, MAX);
    uint32_t low = must_take(&w, MAX - 3, 1);
    uint32_t high = must_take(&w, 3, 1);
    assert_true(offset_of(&w, high) == MAX - 3);
    give(&w, low);
    assert_true(w.bins.free_size == MAX - 3);
    uint32_t middle = must_take(&w, 1, (uint64_t)1 << 37);
    assert_true(offset_of(&w, middle) == (uint64_t)1 << 37 || offset_of(&w, middle) == 0);
    give(&w, high);
    give(&w, middle);
    world_shutdown(&w);
}

/* --- host memory fails ------------------------------------------------------------------------ */

static void test_first_prepare_fails(void** state) {
    (void)state;
    world w;
    world_init(&w, 100);
    for (uint64_t nth = 1; nth <= 3; nth++) {
        const uint64_t calls = w.counted.calls;
        host_fail(&w.counted, nth, 1);
        assert_false(sxvki_bins_prepare(&w.bins));
        assert_int_equal(w.counted.calls, calls + nth);
        assert_int_equal(w.bins.spare_count, 0);
        assert_true(is_valid(&w));
        sxvki_records_give_all(&w.records, sxvki_bins_trim(&w.bins, 0));
        assert_null(w.bins.heads);
    }
    host_fail(&w.counted, 0, 0);
    assert_true(sxvki_bins_prepare(&w.bins));
    world_shutdown(&w);
}

/*  No records: prepare says so, and nothing changes; ranges can still be given back and joined, and
    all goes on when there is memory again. */
static void test_out_of_records(void** state) {
    (void)state;
    for (uint64_t nth = 1; nth <= 4; nth++) {
        uint32_t taken[2000];
        uint32_t count = 0;
        world w;
        world_of(&w, 100000);
        host_fail(&w.counted, nth, UINT32_MAX);
        while (count < COUNT_OF(taken) && sxvki_bins_prepare(&w.bins)) {
            /* Alignment leaves pads, so that two records at a time are spent. */
            taken[count] = take_prepared(&w, 3, 8, SXVKI_STRATEGY_MIN_TIME);
            assert_true(taken[count] != NONE);
            count++;
        }
        assert_in_range(count, 10, COUNT_OF(taken) - 1);
        sxvki_bins before;
        memcpy(&before, &w.bins, sizeof(before));
        assert_false(sxvki_bins_prepare(&w.bins));
        assert_memory_equal(&w.bins, &before, sizeof(before));
        assert_true(is_valid(&w));

        give(&w, taken[count / 2]); /* gives need none; joining sets records free */
        give(&w, taken[count / 2 + 1]);
        assert_true(sxvki_bins_prepare(&w.bins));
        host_fail(&w.counted, 0, 0);
        must_take(&w, 1, 1);
        must_take(&w, 1000, 1);
        give_all(&w);
        world_shutdown(&w);
    }
}

/* --- work ------------------------------------------------------------------------------------- */

/*  Bit scans of a take that must pass by all the holes, and of giving it back. */
static uint64_t work_of_pair(world* w, uint64_t size, uint64_t alignment, sxvki_strategy strategy) {
    assert_true(sxvki_bins_prepare(&w->bins));
    bit_scans = 0;
    uint32_t index = take_prepared(w, size, alignment, strategy);
    if (index != NONE) {
        (void)sxvki_bins_give(&w->bins, index);
    }
    return bit_scans;
}

/*  The work of one allocation among holes of the request's own class that are too small, or big
    enough but badly aligned: with and without a larger range beyond them. */
static void measure_holes(uint32_t holes, uint64_t work[3][4]) {
    world w;
    world_of(&w, (uint64_t)holes * 70 + 10000);
    make_holes(&w, holes, 64);
    uint32_t rest = NONE;
    for (int has_rest = 1; has_rest >= 0; has_rest--) {
        for (int s = SXVKI_STRATEGY_MIN_TIME; s <= SXVKI_STRATEGY_MIN_OFFSET; s++) {
            work[s][2 * has_rest] = work_of_pair(&w, 65, 1, (sxvki_strategy)s);
            work[s][2 * has_rest + 1] = work_of_pair(&w, 64, 4096, (sxvki_strategy)s);
        }
        if (has_rest) {
            rest = take(&w, w.blocks[0].size - (uint64_t)holes * 65, 1, SXVKI_STRATEGY_MIN_TIME);
            assert_true(rest != NONE);
        }
    }
    assert_true(is_valid(&w));
    give_all(&w);
    world_shutdown(&w);
}

static void test_work_does_not_grow_with_holes(void** state) {
    (void)state;
    uint64_t few[3][4], many[3][4];
    measure_holes(1000, few);
    measure_holes(61680, many);
    for (int s = SXVKI_STRATEGY_MIN_TIME; s <= SXVKI_STRATEGY_MIN_OFFSET; s++) {
        for (int i = 0; i < 4; i++) {
            assert_int_equal(few[s][i], many[s][i]);
            assert_in_range(few[s][i], 1, 100);
        }
    }
}

/*  One hole of each size and no other: MIN_TIME and MIN_OFFSET look at a few, however badly they are
    aligned. */
static void test_work_among_holes_of_all_sizes(void** state) {
    (void)state;
    enum { SIZES = 1500 };
    uint32_t holes[SIZES];
    world w;
    world_of(&w, (uint64_t)SIZES * SIZES);
    for (uint32_t i = 0; i < SIZES; i++) {
        holes[i] = take(&w, i + 1, 1, SXVKI_STRATEGY_MIN_TIME);
        assert_true(holes[i] != NONE && take(&w, 1, 1, SXVKI_STRATEGY_MIN_TIME) != NONE);
    }
    for (uint32_t i = 0; i < SIZES; i++) {
        (void)sxvki_bins_give(&w.bins, holes[i]);
    }
    for (uint64_t size = 1; size < 700; size += 7) {
        for (uint64_t alignment = 1; alignment <= 256; alignment *= 2) {
            assert_in_range(work_of_pair(&w, size, alignment, SXVKI_STRATEGY_MIN_TIME), 1, 60);
            assert_in_range(work_of_pair(&w, size, alignment, SXVKI_STRATEGY_MIN_OFFSET), 1, 100);
        }
    }
    give_all(&w);
    world_shutdown(&w);
}

/*  Nor with the number of blocks. */
static void test_work_does_not_grow_with_blocks(void** state) {
    (void)state;
    static const uint32_t counts[] = {2, 1000};
    static uint32_t firsts[1000];
    uint64_t work[COUNT_OF(counts)];
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        world w;
        world_init(&w, 1000);
        for (uint32_t b = 0; b < counts[i]; b++) {
            assert_true(sxvki_bins_prepare(&w.bins));
            firsts[b] = sxvki_bins_add_block(&w.bins, b, 1000);
        }
        work[i] = work_of_pair(&w, 10, 1, SXVKI_STRATEGY_MIN_TIME);
        for (uint32_t b = 0; b < counts[i]; b++) {
            sxvki_bins_remove_block(&w.bins, firsts[b]);
        }
        world_shutdown(&w);
    }
    assert_int_equal(work[0], work[1]);
    assert_in_range(work[0], 1, 50);
}

/* --- the checkers, checked -------------------------------------------------------------------- */

/*  A block of 1000: used 100, free 100, used 100, free 200, used 100, free 200, used 100, free 100;
    the two of 200 share a list, and so do those of 100. And an empty block of 500. */
typedef struct patient {
    world w;
    uint32_t parts[8];
} patient;

static void patient_init(patient* p) {
    static const uint64_t sizes[8] = {100, 100, 100, 200, 100, 200, 100, 100};
    world_init(&p->w, MAX / 2);
    (void)add(&p->w, 1000);
    for (int i = 0; i < 8; i++) {
        p->parts[i] = must_take(&p->w, sizes[i], 1);
        assert_true(i == 0 || offset_of(&p->w, p->parts[i]) > offset_of(&p->w, p->parts[i - 1]));
    }
    for (int i = 1; i < 8; i += 2) {
        give(&p->w, p->parts[i]);
    }
    (void)add(&p->w, 500);
    assert_true(is_valid(&p->w));
}

static void patient_shutdown(patient* p) {
    assert_true(is_valid(&p->w));
    give_all(&p->w);
    world_shutdown(&p->w);
}

static sxvki_record* part(patient* p, int i) {
    return at(&p->w, p->parts[i]);
}

/*  A word that is wrong is seen, and seen to be mended. */
#define EXPECT_CAUGHT(p, word, bad)                                                                \
    do {                                                                                           \
        unsigned char good[sizeof(word)];                                                          \
        memcpy(good, &(word), sizeof(word));                                                       \
        (word) = (bad);                                                                            \
        assert_memory_not_equal(good, &(word), sizeof(word));                                      \
        assert_false(is_valid(&(p)->w));                                                           \
        memcpy(&(word), good, sizeof(word));                                                       \
        assert_true(is_valid(&(p)->w));                                                            \
    } while (0)

/*  Records I1: a range that only looks free stands in no bin, and one that only looks handed out
    stands in one. */
static void test_checker_sees_generation(void** state) {
    (void)state;
    patient p;
    patient_init(&p);
    for (int i = 0; i < 8; i++) {
        EXPECT_CAUGHT(&p, part(&p, i)->generation, part(&p, i)->generation + 1u);
    }
    EXPECT_CAUGHT(&p, at(&p.w, p.w.blocks[1].first)->generation, 1u);
    patient_shutdown(&p);
}

/*  Records I2: the links of free ranges. Those of ranges handed out are tail and state, and may be
    anything. */
static void test_checker_sees_bin_links(void** state) {
    (void)state;
    patient p;
    patient_init(&p);
    uint32_t head = p.w.bins.heads[sxvki_bin_of(200)];
    sxvki_record* first = at(&p.w, head);
    uint32_t behind = first->link_b;
    sxvki_record* second = at(&p.w, behind);
    assert_true(behind != NONE && second->link_a == head && second->link_b == NONE);
    EXPECT_CAUGHT(&p, first->link_a, behind);
    EXPECT_CAUGHT(&p, first->link_b, NONE);           /* cut short */
    EXPECT_CAUGHT(&p, first->link_b, head);           /* a circle of one */
    EXPECT_CAUGHT(&p, first->link_b, p.parts[1]);     /* into another list */
    EXPECT_CAUGHT(&p, first->link_b, p.parts[0]);     /* to a range handed out */
    EXPECT_CAUGHT(&p, first->link_b, UINT32_MAX - 1); /* to no record */
    EXPECT_CAUGHT(&p, second->link_a, NONE);
    EXPECT_CAUGHT(&p, second->link_a, behind);
    EXPECT_CAUGHT(&p, second->link_b, head); /* a circle of two */
    EXPECT_CAUGHT(&p, second->link_b, p.w.records.hot.capacity);
    part(&p, 0)->link_a = 7;
    part(&p, 0)->link_b = SXVKI_STATE_MAPPED;
    assert_true(is_valid(&p.w));
    patient_shutdown(&p);
}

/*  Bins I1: a range given back by hand, into its list but not joined. All else is right. */
static void test_checker_sees_free_neighbours(void** state) {
    (void)state;
    for (int i = 0; i < 8; i += 2) {
        patient p;
        patient_init(&p);
        sxvki_record* r = part(&p, i);
        r->generation++;
        sxvki_bins_link(&p.w.bins, p.parts[i], r);
        assert_false(is_valid(&p.w));
        sxvki_bins_unlink(&p.w.bins, r);
        r->generation--;
        assert_true(is_valid(&p.w));
        patient_shutdown(&p);
    }
}

/*  Bins I2: gaps, overlaps, a chain that leads elsewhere, and a block of another size. */
static void test_checker_sees_gaps_and_overlaps(void** state) {
    (void)state;
    patient p;
    patient_init(&p);
    block* b = &p.w.blocks[0];
    for (int i = 0; i < 8; i++) {
        sxvki_record* r = part(&p, i);
        EXPECT_CAUGHT(&p, r->place, r->place + 1);
        EXPECT_CAUGHT(&p, r->place, r->place - 1);
        EXPECT_CAUGHT(&p, r->size_low, r->size_low + 1u);
        EXPECT_CAUGHT(&p, r->size_low, r->size_low - 1u);
        EXPECT_CAUGHT(&p, r->place, r->place ^ (uint64_t)1 << 44); /* its block */
        EXPECT_CAUGHT(&p, r->place, r->place ^ (uint64_t)1 << 32); /* of its offset */
        EXPECT_CAUGHT(&p, r->place, r->place ^ (uint64_t)1 << 43); /* of its size */
        EXPECT_CAUGHT(&p, r->prev, r->prev == NONE ? p.parts[1] : NONE);
        EXPECT_CAUGHT(&p, r->next, r->next == NONE ? p.parts[0] : NONE);
        EXPECT_CAUGHT(&p, r->next, p.w.records.hot.capacity);
        EXPECT_CAUGHT(&p, r->next, p.parts[i]);
    }
    EXPECT_CAUGHT(&p, part(&p, 0)->next, p.parts[2]); /* leaves one out */
    EXPECT_CAUGHT(&p, b->size, b->size + 1);
    EXPECT_CAUGHT(&p, b->size, b->size - 1);
    EXPECT_CAUGHT(&p, b->id, b->id - 1);
    EXPECT_CAUGHT(&p, b->first, p.parts[1]);
    patient_shutdown(&p);
}

/*  Take a free range out of its list, and put it by hand into that of another size. */
static void move_to_bin(sxvki_bins* bins, uint32_t index, uint32_t bin) {
    sxvki_record* r = sxvki_record_at(bins->records, index);
    sxvki_bins_unlink(bins, r);
    assert_int_equal(bins->heads[bin], NONE);
    r->link_a = NONE;
    r->link_b = NONE;
    bins->heads[bin] = index;
    bins->map[bin / 64] |= (uint64_t)1 << (bin % 64);
    bins->top |= (uint64_t)1 << (bin / 64);
    bins->free_count++;
    bins->free_size += sxvki_record_size(r);
}

static void clear_bin(sxvki_bins* bins, uint32_t bin) {
    bins->heads[bin] = NONE;
    bins->map[bin / 64] &= ~((uint64_t)1 << (bin % 64));
    bins->top &= ~((uint64_t)(bins->map[bin / 64] == 0) << (bin / 64));
}

/*  Bins I3. */
static void test_checker_sees_wrong_bins(void** state) {
    (void)state;
    patient p;
    patient_init(&p);
    sxvki_bins* bins = &p.w.bins;
    const uint32_t own = sxvki_bin_of(500);
    const uint32_t index = p.w.blocks[1].first;
    sxvki_record* r = at(&p.w, index);
    for (uint32_t bin = 0; bin < bins->bin_count; bin += bin == own - 1 ? 2 : 1) {
        if (bins->heads[bin] != NONE) {
            continue;
        }
        move_to_bin(bins, index, bin);
        assert_false(is_valid(&p.w));
        clear_bin(bins, bin);
        bins->free_count--;
        bins->free_size -= 500;
        sxvki_bins_link(bins, index, r);
        assert_true(is_valid(&p.w));
    }

    /* In no bin, though it is free. */
    sxvki_bins_unlink(bins, r);
    assert_false(is_valid(&p.w));
    sxvki_bins_link(bins, index, r);
    assert_true(is_valid(&p.w));

    /* In two bins. */
    bins->heads[own + 1] = index;
    bins->map[(own + 1) / 64] |= (uint64_t)1 << ((own + 1) % 64);
    assert_false(is_valid(&p.w));
    clear_bin(bins, own + 1);
    assert_true(is_valid(&p.w));

    /* In a bin, though it is handed out: beside the free ones, and in the place of one as large. */
    sxvki_record saved;
    memcpy(&saved, part(&p, 0), sizeof(saved));
    sxvki_bins_link(bins, p.parts[0], part(&p, 0));
    assert_false(is_valid(&p.w));
    sxvki_bins_unlink(bins, part(&p, 1));
    assert_int_equal(bins->free_count, 5);
    assert_false(is_valid(&p.w));
    sxvki_bins_link(bins, p.parts[1], part(&p, 1));
    sxvki_bins_unlink(bins, part(&p, 0));
    memcpy(part(&p, 0), &saved, sizeof(saved));
    patient_shutdown(&p);
}

/*  Whoever points at one of two records with the same links points at the other. */
static void put_in_place(world* w, uint32_t bin, const sxvki_record* links, uint32_t index) {
    if (links->link_a == NONE) {
        w->bins.heads[bin] = index;
    } else {
        at(w, links->link_a)->link_b = index;
    }
    if (links->link_b != NONE) {
        at(w, links->link_b)->link_a = index;
    }
}

/*  Bins I3: a spare record, dead like a free range and of a size that goes with the list, but no
    range of any block: beside the ranges there, and in the place of each. */
static void test_checker_sees_spare_records(void** state) {
    (void)state;
    patient p;
    patient_init(&p);
    sxvki_bins* bins = &p.w.bins;
    assert_true(sxvki_bins_prepare(bins));
    const uint32_t spare = bins->spare;
    sxvki_record* dead = at(&p.w, spare);
    assert_false(sxvki_record_is_live(dead));
    for (int i = 1; i <= 9; i += 2) {
        const uint32_t index = i < 8 ? p.parts[i] : p.w.blocks[1].first;
        sxvki_record* r = at(&p.w, index);
        const uint64_t size = sxvki_record_size(r);
        const uint32_t bin = sxvki_bin_of(size);
        sxvki_record_set(dead, sxvki_record_block(r), sxvki_record_offset(r), size);
        sxvki_bins_link(bins, spare, dead);
        assert_false(is_valid(&p.w));
        bins->free_count--; /* the totals do not tell */
        bins->free_size -= size;
        assert_false(is_valid(&p.w));
        bins->free_count++;
        bins->free_size += size;
        sxvki_bins_unlink(bins, dead);
        assert_true(is_valid(&p.w));

        dead->link_a = r->link_a;
        dead->link_b = r->link_b;
        put_in_place(&p.w, bin, r, spare);
        assert_false(is_valid(&p.w));
        put_in_place(&p.w, bin, r, index);
        assert_true(is_valid(&p.w));
    }
    patient_shutdown(&p);
}

/*  Bins I4, each bit of both levels; and the heads under them. */
static void test_checker_sees_bitmap(void** state) {
    (void)state;
    patient p;
    patient_init(&p);
    sxvki_bins* bins = &p.w.bins;
    for (uint32_t bin = 0; bin < bins->bin_count; bin++) {
        EXPECT_CAUGHT(&p, bins->map[bin / 64], bins->map[bin / 64] ^ (uint64_t)1 << (bin % 64));
        EXPECT_CAUGHT(&p, bins->heads[bin], bins->heads[bin] == NONE ? p.parts[1] : NONE);
    }
    for (uint32_t word = 0; word < SXVKI_BIN_WORDS; word++) {
        EXPECT_CAUGHT(&p, bins->top, bins->top ^ (uint64_t)1 << word);
    }
    EXPECT_CAUGHT(&p, bins->heads[sxvki_bin_of(500)], p.w.records.hot.capacity);
    patient_shutdown(&p);
}

/*  Bits beyond the last list lead a search out of the array of heads. */
static void test_checker_sees_bits_beyond_the_lists(void** state) {
    (void)state;
    patient p;
    patient_init(&p);
    sxvki_bins* bins = &p.w.bins;
    assert_true(bins->bin_count < SXVKI_BIN_WORDS * 64);
    for (uint32_t bin = bins->bin_count; bin < SXVKI_BIN_WORDS * 64; bin++) {
        const uint64_t top = bins->top;
        bins->top |= (uint64_t)1 << (bin / 64); /* so that both levels agree */
        bins->map[bin / 64] ^= (uint64_t)1 << (bin % 64);
        assert_false(is_valid(&p.w));
        bins->map[bin / 64] ^= (uint64_t)1 << (bin % 64);
        bins->top = top;
        assert_true(is_valid(&p.w));
    }
    for (uint32_t word = SXVKI_BIN_WORDS; word < 64; word++) {
        EXPECT_CAUGHT(&p, bins->top, bins->top ^ (uint64_t)1 << word);
    }
    patient_shutdown(&p);
}

/*  Bins I5: a free range of no size in bin 0, which touches its neighbours and is in order else. */
static void test_checker_sees_empty_ranges(void** state) {
    (void)state;
    patient p;
    patient_init(&p);
    const uint32_t id = p.w.blocks[0].id;
    sxvki_record* hole = part(&p, 1);
    sxvki_record* used = part(&p, 2);
    sxvki_bins_unlink(&p.w.bins, hole);
    sxvki_record_set(hole, id, 100, 0);
    sxvki_record_set(used, id, 100, 200);
    p.w.bins.heads[0] = p.parts[1];
    p.w.bins.map[0] |= 1;
    p.w.bins.top |= 1;
    hole->link_a = NONE;
    hole->link_b = NONE;
    p.w.bins.free_count++;
    assert_false(is_valid(&p.w));
    clear_bin(&p.w.bins, 0);
    p.w.bins.free_count--;
    sxvki_record_set(hole, id, 100, 100);
    sxvki_record_set(used, id, 200, 100);
    sxvki_bins_link(&p.w.bins, p.parts[1], hole);
    patient_shutdown(&p);
}

static void test_checker_sees_totals(void** state) {
    (void)state;
    patient p;
    patient_init(&p);
    EXPECT_CAUGHT(&p, p.w.bins.free_count, p.w.bins.free_count + 1u);
    EXPECT_CAUGHT(&p, p.w.bins.free_count, p.w.bins.free_count - 1u);
    EXPECT_CAUGHT(&p, p.w.bins.free_size, p.w.bins.free_size + 1);
    EXPECT_CAUGHT(&p, p.w.bins.free_size, p.w.bins.free_size - 1);
    patient_shutdown(&p);
}

int main(int argc, char** argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bins_of_small_sizes),
        cmocka_unit_test(test_bins_of_large_sizes),
        cmocka_unit_test(test_no_size_leads_beyond_the_lists_VMA_367),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_whole_block_of_any_size),
        cmocka_unit_test(test_rest_is_there_to_the_last_unit),
        cmocka_unit_test(test_block_of_48_mib_VMA_230_231),
        cmocka_unit_test(test_no_fit_in_own_class_VMA_343),
        cmocka_unit_test(test_as_many_as_there_are_units_OffsetAllocator_3_10),
        cmocka_unit_test(test_rounding_OffsetAllocator_11_14),
        cmocka_unit_test(test_513_of_513_offset_allocator_9),
        cmocka_unit_test(test_hole_of_exactly_that_size_relion_1369),
        cmocka_unit_test(test_neighbours_join_veldrid_127),
        cmocka_unit_test(test_freed_range_serves_again_vkDOOM3_19),
        cmocka_unit_test(test_pads_stay_free_gpu_alloc_44_45),
        cmocka_unit_test(test_low_blocks_serve_first),
        cmocka_unit_test(test_freed_range_behind_a_low_one),
        cmocka_unit_test(test_empty_block_serves_any_alignment),
        cmocka_unit_test(test_blocks_come_and_go),
        cmocka_unit_test(test_min_memory_looks_behind_the_head),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_same_seed_same_layout),
        cmocka_unit_test(test_ends_of_the_largest_block),
        cmocka_unit_test(test_first_prepare_fails),
        cmocka_unit_test(test_out_of_records),
        cmocka_unit_test(test_work_does_not_grow_with_holes),
        cmocka_unit_test(test_work_among_holes_of_all_sizes),
        cmocka_unit_test(test_work_does_not_grow_with_blocks),
        cmocka_unit_test(test_checker_sees_generation),
        cmocka_unit_test(test_checker_sees_bin_links),
        cmocka_unit_test(test_checker_sees_free_neighbours),
        cmocka_unit_test(test_checker_sees_gaps_and_overlaps),
        cmocka_unit_test(test_checker_sees_wrong_bins),
        cmocka_unit_test(test_checker_sees_spare_records),
        cmocka_unit_test(test_checker_sees_bitmap),
        cmocka_unit_test(test_checker_sees_bits_beyond_the_lists),
        cmocka_unit_test(test_checker_sees_empty_ranges),
        cmocka_unit_test(test_checker_sees_totals),
    };
    if (argc > 1) {
        first_seed = strtoull(argv[1], NULL, 10);
    }
    return cmocka_run_group_tests_name("bins", tests, NULL, NULL);
}
