/*
    test_defrag.c - >>defrag, and what stands below it: frozen blocks, exchanged ranges, victims.

    First what needs no device. Then with buffers on the simulated device, of which every byte is
    compared. Random programs are in fuzz_defrag; threads are there as well.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "things.h"

#define LOCAL 0 /* memory types of the discrete GPU */
#define HOST  1
#define KIB   ((VkDeviceSize)1 << 10)
#define MIB   ((VkDeviceSize)1 << 20)

/* ------------------------------------------------------------------ frozen blocks */

#define BLOCKS     4u
#define BLOCK_SIZE 4096u
#define RANGES     600u

/*  Bins with some blocks, and what was taken of them. */
typedef struct Field {
    Host host;
    sxvki_host memory;
    sxvki_records records;
    sxvki_bins bins;
    uint32_t first[BLOCKS];
    sxvki_frozen frozen[BLOCKS];
    int is_frozen[BLOCKS]; /* 1: being frozen, 2: frozen, 3: being thawed */
    uint32_t taken[RANGES];
    uint32_t count;
} Field;

static void field_open(Field* field) {
    uint32_t i;
    memset(field, 0, sizeof *field);
    host_init(&field->host);
    sxvki_host_init(&field->memory, &field->host.callbacks);
    assert_true(sxvki_records_init(&field->records, &field->memory, 77, 0));
    sxvki_bins_init(&field->bins, &field->records, BLOCK_SIZE);
    for (i = 0; i < BLOCKS; i++) {
        assert_true(sxvki_bins_prepare(&field->bins));
        field->first[i] = sxvki_bins_add_block(&field->bins, i, BLOCK_SIZE);
    }
}

static void field_check(Field* field) {
    uint32_t i, free_count = 0;
    for (i = 0; i < BLOCKS; i++) {
        assert_true(
            sxvki_bins_block_is_valid(&field->bins, field->first[i], i, BLOCK_SIZE, &free_count));
    }
    assert_true(sxvki_bins_is_valid(&field->bins, free_count));
}

static void field_take(Field* field, uint64_t size) {
    uint32_t index;
    assert_true(sxvki_bins_prepare(&field->bins));
    index = sxvki_bins_take(&field->bins, size, 1, SXVKI_STRATEGY_MIN_TIME);
    if (index != SXVKI_NONE) {
        sxvki_record* r = sxvki_record_at(&field->records, index);
        assert_int_not_equal(field->is_frozen[sxvki_record_block(r)], 2);
        sxvki_record_age(r);
        field->taken[field->count++] = index;
    }
}

static void field_give(Field* field, uint32_t i) {
    uint32_t block = sxvki_record_block(sxvki_record_at(&field->records, field->taken[i]));
    uint32_t index = sxvki_bins_give(&field->bins, field->taken[i]);
    field->taken[i] = field->taken[--field->count];
    if (field->is_frozen[block] != 0) {
        sxvki_frozen_follow(&field->bins, &field->frozen[block], index);
        if (field->is_frozen[block] != 3) {
            sxvki_frozen_take(&field->bins, &field->frozen[block], index);
        }
    }
}

/*  One step of a walk that freezes, or thaws. */
static void field_step(Field* field, uint32_t block) {
    sxvki_frozen* frozen = &field->frozen[block];
    uint32_t index;
    if (field->is_frozen[block] == 0) {
        assert_true(sxvki_bins_prepare(&field->bins));
        sxvki_frozen_begin(&field->bins, frozen, field->first[block]);
        field->is_frozen[block] = 1;
    } else if (field->is_frozen[block] == 2) {
        sxvki_frozen_rewind(frozen, field->first[block]);
        field->is_frozen[block] = 3;
    }
    index = sxvki_frozen_next(&field->bins, frozen);
    if (index == SXVKI_NONE && field->is_frozen[block] == 3) {
        sxvki_frozen_end(&field->bins, frozen);
        field->is_frozen[block] = 0;
    } else if (index == SXVKI_NONE) {
        field->is_frozen[block] = 2;
    } else if (!sxvki_record_is_live(sxvki_record_at(&field->records, index))) {
        if (field->is_frozen[block] == 3) {
            sxvki_frozen_give(&field->bins, index);
        } else {
            sxvki_frozen_take(&field->bins, frozen, index);
        }
    }
}

static void field_close(Field* field) {
    uint32_t i;
    for (i = 0; i < BLOCKS; i++) {
        while (field->is_frozen[i] != 0) {
            field_step(field, i);
        }
    }
    while (field->count != 0) {
        field_give(field, 0);
    }
    field_check(field);
    for (i = 0; i < BLOCKS; i++) {
        assert_true(sxvki_bins_block_is_empty(&field->bins, field->first[i]));
        sxvki_bins_remove_block(&field->bins, field->first[i]);
    }
    sxvki_bins_shutdown(&field->bins);
    sxvki_records_shutdown(&field->records);
    assert_int_equal(field->host.liveCount, 0);
    assert_int_equal(field->host.mistakes, 0);
}

/*  While a block freezes and thaws in steps, ranges are taken and given at random: nothing is taken
    of it once it is frozen, and all is found again once it has thawed. */
static void test_frozen_blocks(void** state) {
    static Field field;
    uint64_t random = 5;
    uint32_t i;
    (void)state;
    field_open(&field);
    for (i = 0; i < 60000; i++) {
        uint32_t what = testing_below(&random, 10);
        if (what < 4 && field.count < RANGES) {
            field_take(&field, testing_log_uniform(&random, 1, 200));
        } else if (what < 8 && field.count != 0) {
            field_give(&field, testing_below(&random, field.count));
        } else {
            field_step(&field, testing_below(&random, 2)); /* the others never are */
        }
        if (i % 16 == 0) {
            field_check(&field);
        }
    }
    field_close(&field);
}

/*  Two ranges of two blocks, at the start, in between and at the end of them. */
static void test_exchange(void** state) {
    static Field field;
    uint64_t random = 9;
    uint32_t i;
    (void)state;
    field_open(&field);
    while (field.bins.free_size != 0) {
        field_take(&field, 64);
    }
    for (i = 0; i < 10000; i++) {
        uint32_t a = field.taken[testing_below(&random, field.count)];
        uint32_t b = field.taken[testing_below(&random, field.count)];
        const sxvki_record* ra = sxvki_record_at(&field.records, a);
        const sxvki_record* rb = sxvki_record_at(&field.records, b);
        uint64_t place_a = ra->place, place_b = rb->place;
        if (sxvki_record_block(ra) == sxvki_record_block(rb)) {
            field_give(&field, testing_below(&random, field.count));
            field_take(&field, 64);
            continue;
        }
        sxvki_ranges_exchange(&field.records, a, b);
        assert_true(ra->place == place_b && rb->place == place_a);
        field.first[sxvki_record_block(ra)] =
            ra->prev == SXVKI_NONE ? a : field.first[sxvki_record_block(ra)];
        field.first[sxvki_record_block(rb)] =
            rb->prev == SXVKI_NONE ? b : field.first[sxvki_record_block(rb)];
        field_check(&field);
    }
    field_close(&field);
}

/* ------------------------------------------------------------------ which blocks */

static void test_choice_of_blocks(void** state) {
    sxvki_shares shares;
    uint64_t most;
    (void)state;
    memset(&shares, 0, sizeof shares);
    assert_int_equal(sxvki_shares_choose(&shares, SXVKI_PRICE_ALL, &most), SXVKI_PRICE_ALL);
    assert_int_equal(most, 0);
    /* One block is emptied into the other, and not the other way. */
    sxvki_shares_add(&shares, 100, 1000);
    sxvki_shares_add(&shares, 500, 1000);
    assert_in_range(sxvki_shares_choose(&shares, SXVKI_PRICE_ALL, &most), 7, 33);
    assert_in_range(most, 100, 350);
    /* The price forbids it. */
    (void)sxvki_shares_choose(&shares, 6, &most);
    assert_int_equal(most, 0);
    /* No room: two blocks that are nearly full. */
    memset(&shares, 0, sizeof shares);
    sxvki_shares_add(&shares, 950, 1000);
    sxvki_shares_add(&shares, 950, 1000);
    (void)sxvki_shares_choose(&shares, SXVKI_PRICE_ALL, &most);
    assert_true(most < 950);
    /* Ten that are half full: five can go. */
    memset(&shares, 0, sizeof shares);
    for (uint32_t i = 0; i < 10; i++) {
        sxvki_shares_add(&shares, 5000, 10000);
    }
    (void)sxvki_shares_choose(&shares, SXVKI_PRICE_ALL, &most);
    assert_in_range(most, 24000, 25000);
}

/* ------------------------------------------------------------------ runs */

static Rig* create_rig(void) {
    RigOptions options = rig_options();
    options.sim.backing = true;
    return rig_create(&options);
}

static const SxvkPoolCreateInfo small_blocks = {.memoryTypeIndex = HOST, .blockSize = 1 << 20};

static SxvkPool create_pool(Rig* rig) {
    SxvkPool pool;
    assert_int_equal(sxvkCreatePool(rig->allocator, &small_blocks, &pool), VK_SUCCESS);
    return pool;
}

/*  `count` things of such sizes, of which every `keep`-th stays. */
static void fill(Things* things, const SxvkAllocationCreateInfo* info, uint32_t count,
                 VkDeviceSize lo, VkDeviceSize hi, uint32_t keep) {
    uint64_t random = 3;
    uint32_t i;
    for (i = 0; i < count; i++) {
        assert_non_null(things_add(things, info, testing_log_uniform(&random, lo, hi)));
    }
    for (i = 0; i < count; i++) {
        if (i % keep != 0) {
            things_remove(things, &things->all[i]);
        }
    }
}

static SxvkStatistics pool_statistics(Rig* rig, SxvkPool pool) {
    SxvkStatistics stats;
    sxvkGetPoolStatistics(rig->allocator, pool, &stats);
    return stats;
}

static void test_a_pool_shrinks(void** state) {
    Rig* rig = create_rig();
    SxvkPool pool = create_pool(rig);
    SxvkAllocationCreateInfo info = {.pool = pool};
    SxvkDefragmentationInfo run = {.pool = pool};
    SxvkDefragmentationStats stats;
    SxvkStatistics before, after;
    Things things;
    (void)state;
    things_open(&things, rig, 400);
    fill(&things, &info, 400, 4 * KIB, 128 * KIB, 5);
    before = pool_statistics(rig, pool);
    stats = things_defragment(&things, &run);
    after = pool_statistics(rig, pool);
    things_compare(&things);
    assert_int_equal(before.allocationCount, after.allocationCount);
    assert_int_equal(before.allocationBytes, after.allocationBytes);
    assert_int_equal(before.blockBytes - after.blockBytes, stats.bytesFreed);
    assert_int_equal(before.blockCount - after.blockCount, stats.deviceMemoryBlocksFreed);
    assert_in_range(after.blockBytes, after.allocationBytes, after.allocationBytes + 2 * MIB);
    assert_true(stats.bytesMoved >= things.moved);
    assert_true(stats.bytesMoved < stats.bytesFreed / 2);
    rig_check(rig);
    things_close(&things);
    assert_int_equal(pool_statistics(rig, pool).allocationCount, 0);
    sxvkDestroyPool(rig->allocator, pool);
    rig_destroy(rig);
}

/*  Small ones, in slabs, in the default pools. */
static void test_slots_move(void** state) {
    Rig* rig = create_rig();
    SxvkAllocationCreateInfo info = {.memoryTypeBits = 1 << HOST};
    SxvkDefragmentationInfo run = {.flags = SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT};
    SxvkStatistics before, after;
    uint32_t slots = 0, away = 0, round;
    Things things;
    (void)state;
    things_open(&things, rig, 20000);
    for (round = 0; round < 3; round++) {
        fill(&things, &info, 12000, 64, 8 * KIB, 7 + round);
        before = rig_statistics(rig);
        (void)things_defragment(&things, &run);
        after = rig_statistics(rig);
        things_compare(&things);
        assert_int_equal(before.allocationCount, after.allocationCount);
        assert_int_equal(before.allocationBytes, after.allocationBytes);
        assert_true(after.blockBytes < before.blockBytes);
        rig_check(rig);
        for (uint32_t i = 0; i < things.count; i++) {
            uint32_t index = sxvki_handle_index(things.all[i].allocation);
            if (things.all[i].buffer != VK_NULL_HANDLE && (index & SXVKI_HANDLE_SLAB_BIT) != 0) {
                slots++;
                away += (*sxvki_state_of(&rig->allocator->device, index) & SXVKI_STATE_AWAY) != 0;
            }
        }
        for (uint32_t i = 0; i < things.count; i++) {
            if (things.all[i].buffer != VK_NULL_HANDLE && i % 3 == round) {
                things_remove(&things, &things.all[i]);
            }
        }
        assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_SUCCESS);
        if (round != 2) {
            for (uint32_t i = 0; i < things.count; i++) {
                if (things.all[i].buffer != VK_NULL_HANDLE && i < 12000) {
                    things_remove(&things, &things.all[i]);
                }
            }
        }
    }
    assert_true(away > 100);
    assert_true(slots >= away);
    things_close(&things);
    assert_int_equal(rig_statistics(rig).allocationCount, 0);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frozen_blocks),    cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_choice_of_blocks), cmocka_unit_test(test_a_pool_shrinks),
        cmocka_unit_test(test_slots_move),
    };
    return cmocka_run_group_tests_name("defrag", tests, NULL, NULL);
}
