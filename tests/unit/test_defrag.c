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

static VkBool32 VKAPI_PTR count_one(void* user, SxvkAllocator allocator,
                                    SxvkAllocation allocation) {
    assert_true(sxvkIsAllocationValid(allocator, allocation));
    ++*(uint32_t*)user;
    return VK_TRUE;
}

/*  Everybody who counts allocations has to come to this. */
static void check_count(Rig* rig, uint32_t expected) {
    SxvkTotalStatistics total;
    uint32_t visited = 0;
    assert_int_equal(rig_statistics(rig).allocationCount, expected);
    sxvkForEachAllocation(rig->allocator, count_one, &visited);
    assert_int_equal(visited, expected);
    sxvkCalculateStatistics(rig->allocator, &total);
    assert_int_equal(total.total.statistics.allocationCount, expected);
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
        check_count(rig, before.allocationCount);
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

/* ------------------------------------------------------------------ moves */

/*  A pool of four blocks of 1 MiB in which three ranges of 256 KiB each are free, and one lives. */
typedef struct Site {
    Rig* rig;
    SxvkPool pool;
    Things things;
    SxvkDefragmentationContext context;
    SxvkDefragmentationPassMoveInfo pass;
} Site;

static void site_open(Site* site, SxvkAllocationCreateFlags flags, VkDeviceSize size,
                      SxvkAllocatorCreateFlags allocator_flags, VkDeviceSize margin) {
    RigOptions options = rig_options();
    SxvkDebugInfo debug = {.margin = margin};
    SxvkAllocationCreateInfo info = {.flags = flags};
    memset(site, 0, sizeof *site);
    options.sim.backing = true;
    options.info.flags = allocator_flags;
    options.info.pDebugInfo = &debug;
    site->rig = rig_create(&options);
    site->pool = create_pool(site->rig);
    info.pool = site->pool;
    things_open(&site->things, site->rig, 64);
    for (uint32_t i = 0; i < 16; i++) {
        assert_non_null(things_add(&site->things, &info, size));
    }
    for (uint32_t i = 0; i < 16; i++) {
        if (i % 4 != 0) {
            things_remove(&site->things, &site->things.all[i]);
        }
    }
    assert_int_equal(pool_statistics(site->rig, site->pool).blockCount, 4);
}

static VkResult site_begin(Site* site, SxvkDefragmentationFlags flags) {
    SxvkDefragmentationInfo info = {.flags = flags, .pool = site->pool};
    assert_int_equal(sxvkBeginDefragmentation(site->rig->allocator, &info, &site->context),
                     VK_SUCCESS);
    return sxvkBeginDefragmentationPass(site->rig->allocator, site->context, &site->pass);
}

static VkResult site_end_pass(Site* site) {
    VkResult result = sxvkEndDefragmentationPass(site->rig->allocator, site->context, &site->pass);
    assert_int_equal(sxvkCheckIntegrity(site->rig->allocator), VK_SUCCESS);
    return result;
}

static SxvkDefragmentationStats site_end(Site* site) {
    SxvkDefragmentationStats stats;
    sxvkEndDefragmentation(site->rig->allocator, site->context, &stats);
    site->context = NULL;
    assert_int_equal(sxvkCheckIntegrity(site->rig->allocator), VK_SUCCESS);
    return stats;
}

static void site_close(Site* site) {
    rig_expect_silence(site->rig);
    things_compare(&site->things);
    things_close(&site->things);
    sxvkDestroyPool(site->rig->allocator, site->pool);
    rig_destroy(site->rig);
}

/*  The rest of a run, every move copied. */
static void site_run(Site* site) {
    (void)things_run(&site->things, site->context);
}

static void test_ignored_moves(void** state) {
    Site site;
    SxvkDefragmentationStats stats;
    (void)state;
    site_open(&site, 0, 256 * KIB, 0, 0);
    assert_int_equal(site_begin(&site, 0), VK_INCOMPLETE);
    assert_int_equal(site.pass.moveCount, 3);
    for (uint32_t i = 0; i < 3; i++) {
        site.pass.pMoves[i].operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_IGNORE;
    }
    assert_int_equal(site_end_pass(&site), VK_INCOMPLETE);
    assert_int_equal(site.pass.moveCount, 0);
    while (sxvkBeginDefragmentationPass(site.rig->allocator, site.context, &site.pass) ==
           VK_INCOMPLETE) { /* whatever is tried next is ignored as well: it ends */
        for (uint32_t i = 0; i < site.pass.moveCount; i++) {
            site.pass.pMoves[i].operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_IGNORE;
        }
        (void)site_end_pass(&site);
    }
    stats = site_end(&site);
    assert_int_equal(stats.bytesMoved, 0);
    assert_int_equal(stats.bytesFreed, 0);
    assert_int_equal(pool_statistics(site.rig, site.pool).blockCount, 4);
    assert_int_equal(pool_statistics(site.rig, site.pool).allocationCount, 4);
    site_close(&site);
}

/*  One is destroyed, one freed by somebody else before the pass ends, one moved. */
static void test_what_goes_meanwhile(void** state) {
    Site site;
    SxvkDefragmentationStats stats;
    Thing* thing;
    SxvkAllocation freed;
    (void)state;
    site_open(&site, 0, 256 * KIB, 0, 0);
    assert_int_equal(site_begin(&site, 0), VK_INCOMPLETE);
    assert_int_equal(site.pass.moveCount, 3);
    thing = things_of(&site.things, site.pass.pMoves[0].srcAllocation);
    site.rig->allocator->device.vk.fn.vkDestroyBuffer(
        sim_device(site.rig->sim), thing->buffer,
        site.rig->allocator->device.host.driver_callbacks);
    memset(thing, 0, sizeof *thing);
    site.pass.pMoves[0].operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_DESTROY;
    freed = site.pass.pMoves[1].srcAllocation;
    things_move(&site.things, &site.pass.pMoves[1]);
    things_remove(&site.things, things_of(&site.things, freed));
    things_move(&site.things, &site.pass.pMoves[2]);
    assert_int_equal(site_end_pass(&site), VK_INCOMPLETE);
    assert_false(sxvkIsAllocationValid(site.rig->allocator, freed));
    site_run(&site);
    stats = site_end(&site);
    assert_int_equal(stats.allocationsMoved, 1);
    assert_int_equal(stats.bytesMoved, 256 * KIB);
    assert_int_equal(stats.deviceMemoryBlocksFreed, 3);
    assert_int_equal(stats.bytesFreed, 3 * MIB);
    assert_int_equal(pool_statistics(site.rig, site.pool).allocationCount, 2);
    site_close(&site);
}

/*  Who frees the target himself is told, and nothing moves. */
static void test_a_target_that_was_freed(void** state) {
    Site site;
    (void)state;
    site_open(&site, 0, 256 * KIB, 0, 0);
    assert_int_equal(site_begin(&site, 0), VK_INCOMPLETE);
    assert_true(sxvkIsAllocationValid(site.rig->allocator, site.pass.pMoves[0].dstTmpAllocation));
    sxvkFreeMemory(site.rig->allocator, site.pass.pMoves[0].dstTmpAllocation);
    site.pass.pMoves[1].operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_IGNORE;
    site.pass.pMoves[2].operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_IGNORE;
    assert_int_equal(site_end_pass(&site), VK_INCOMPLETE);
    rig_expect(site.rig, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
    (void)site_end(&site);
    assert_int_equal(pool_statistics(site.rig, site.pool).allocationCount, 4);
    site_close(&site);
}

/*  Handle, name and user data stay, and the statistics say what lives: the target is a range of its
    own only while the pass goes on. */
static void test_what_stays(void** state) {
    Site site;
    SxvkAllocation moved, target;
    SxvkAllocationInfo before, after;
    (void)state;
    site_open(&site, 0, 256 * KIB, 0, 0);
    assert_int_equal(site_begin(&site, 0), VK_INCOMPLETE);
    moved = site.pass.pMoves[0].srcAllocation;
    target = site.pass.pMoves[0].dstTmpAllocation;
    assert_int_equal(sxvkSetAllocationName(site.rig->allocator, moved, "Ahab"), VK_SUCCESS);
    sxvkGetAllocationInfo(site.rig->allocator, moved, &before);
    assert_int_equal(pool_statistics(site.rig, site.pool).allocationCount, 7);
    for (uint32_t i = 0; i < site.pass.moveCount; i++) {
        things_move(&site.things, &site.pass.pMoves[i]);
    }
    assert_int_equal(site_end_pass(&site), VK_INCOMPLETE);
    sxvkGetAllocationInfo(site.rig->allocator, moved, &after);
    assert_string_equal(after.pName, "Ahab");
    assert_ptr_equal(after.pUserData, before.pUserData);
    assert_int_equal(after.size, before.size);
    assert_ptr_not_equal(after.deviceMemory, before.deviceMemory);
    assert_false(sxvkIsAllocationValid(site.rig->allocator, target));
    assert_int_equal(pool_statistics(site.rig, site.pool).allocationCount, 4);
    (void)site_end(&site);
    site_close(&site);
}

/* ------------------------------------------------------------------ what must stay where it is */

static void test_pinned(void** state) {
    Site site;
    (void)state;
    site_open(&site, SXVK_ALLOCATION_CREATE_PINNED_BIT, 256 * KIB, 0, 0);
    assert_int_equal(site_begin(&site, SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT),
                     VK_SUCCESS);
    (void)site_end(&site);
    assert_int_equal(pool_statistics(site.rig, site.pool).blockCount, 4);
    site_close(&site);
}

/*  What rings and arenas have allocated is theirs: nobody is asked to move it. */
static void test_rings_and_arenas_stay(void** state) {
    Rig* rig = create_rig();
    SxvkBufferArenaCreateInfo info = {.usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT};
    SxvkDefragmentationInfo run = {.flags = SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT |
                                            SXVK_DEFRAGMENTATION_FLAG_MOVE_MAPPED_BIT};
    SxvkDefragmentationContext context;
    SxvkDefragmentationPassMoveInfo pass;
    SxvkBufferArena arenas[40];
    SxvkArenaAllocation slices[40];
    (void)state;
    for (uint32_t i = 0; i < 40; i++) {
        assert_int_equal(sxvkCreateBufferArena(rig->allocator, &info, &arenas[i]), VK_SUCCESS);
        assert_int_equal(sxvkAllocateFromBufferArena(arenas[i], 64 * KIB, 0, &slices[i], NULL),
                         VK_SUCCESS);
    }
    for (uint32_t i = 0; i < 40; i++) {
        if (i % 4 != 0) {
            sxvkFreeToBufferArena(arenas[i], slices[i]);
            sxvkDestroyBufferArena(rig->allocator, arenas[i]);
        }
    }
    assert_int_equal(sxvkBeginDefragmentation(rig->allocator, &run, &context), VK_SUCCESS);
    assert_int_equal(sxvkBeginDefragmentationPass(rig->allocator, context, &pass), VK_SUCCESS);
    sxvkEndDefragmentation(rig->allocator, context, NULL);
    for (uint32_t i = 0; i < 40; i += 4) {
        sxvkFreeToBufferArena(arenas[i], slices[i]);
        sxvkDestroyBufferArena(rig->allocator, arenas[i]);
    }
    rig_destroy(rig);
}

/*  What was mapped before it was planned stays; what is mapped when the pass ends waits. */
static void test_mapped_by_the_user(void** state) {
    Site site;
    SxvkAllocation waits;
    void* data;
    (void)state;
    site_open(&site, 0, 256 * KIB, SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT, 0);
    for (uint32_t i = 0; i < 16; i += 4) {
        assert_int_equal(sxvkMapMemory(site.rig->allocator, site.things.all[i].allocation, &data),
                         VK_SUCCESS);
    }
    assert_int_equal(site_begin(&site, 0), VK_SUCCESS);
    (void)site_end(&site);
    for (uint32_t i = 0; i < 16; i += 4) {
        sxvkUnmapMemory(site.rig->allocator, site.things.all[i].allocation);
    }
    assert_int_equal(site_begin(&site, 0), VK_INCOMPLETE);
    for (uint32_t i = 0; i < site.pass.moveCount; i++) {
        things_move(&site.things, &site.pass.pMoves[i]);
    }
    waits = site.pass.pMoves[1].srcAllocation;
    assert_int_equal(sxvkMapMemory(site.rig->allocator, waits, &data), VK_SUCCESS);
    assert_int_equal(site_end_pass(&site), VK_NOT_READY);
    assert_int_equal(site.pass.moveCount, 1);
    assert_ptr_equal(site.pass.pMoves[0].srcAllocation, waits);
    assert_int_equal(site_end_pass(&site), VK_NOT_READY);
    sxvkUnmapMemory(site.rig->allocator, waits);
    assert_int_equal(site_end_pass(&site), VK_INCOMPLETE);
    site_run(&site);
    assert_int_equal(site_end(&site).allocationsMoved, 3);
    assert_int_equal(pool_statistics(site.rig, site.pool).blockCount, 1);
    site_close(&site);
}

/*  Mapped for ever, and with a margin: only where it is allowed, and mapped then as well. Slots, too.
    */
static void mapped_for_ever(VkDeviceSize margin) {
    Site site;
    SxvkAllocation moved;
    SxvkAllocationInfo before, target, after;
    site_open(&site, SXVK_ALLOCATION_CREATE_MAPPED_BIT, 200 * KIB,
              SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT, margin);
    assert_int_equal(site_begin(&site, 0), VK_SUCCESS);
    (void)site_end(&site);
    assert_int_equal(site_begin(&site, SXVK_DEFRAGMENTATION_FLAG_MOVE_MAPPED_BIT), VK_INCOMPLETE);
    moved = site.pass.pMoves[0].srcAllocation;
    sxvkGetAllocationInfo(site.rig->allocator, moved, &before);
    sxvkGetAllocationInfo(site.rig->allocator, site.pass.pMoves[0].dstTmpAllocation, &target);
    assert_non_null(target.pMappedData);
    for (uint32_t i = 0; i < site.pass.moveCount; i++) {
        things_move(&site.things, &site.pass.pMoves[i]);
    }
    assert_int_equal(site_end_pass(&site), VK_INCOMPLETE);
    sxvkGetAllocationInfo(site.rig->allocator, moved, &after);
    assert_ptr_equal(after.pMappedData, target.pMappedData);
    assert_ptr_not_equal(after.pMappedData, before.pMappedData);
    site_run(&site);
    (void)site_end(&site);
    assert_int_equal(sxvkCheckCorruption(site.rig->allocator, UINT32_MAX),
                     margin != 0 ? VK_SUCCESS : VK_ERROR_FEATURE_NOT_PRESENT);
    site_close(&site);
}

static void test_mapped_for_ever(void** state) {
    (void)state;
    mapped_for_ever(0);
    mapped_for_ever(256);
}

/*  The same of slots: the mapping goes with them, and what is left behind can be unmapped. */
static void test_mapped_slots(void** state) {
    RigOptions options = rig_options();
    SxvkAllocationCreateInfo info = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT,
                                     .memoryTypeBits = 1 << HOST};
    SxvkDefragmentationInfo run = {.flags = SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT |
                                            SXVK_DEFRAGMENTATION_FLAG_MOVE_MAPPED_BIT};
    Things things;
    Rig* rig;
    (void)state;
    options.sim.backing = true;
    options.info.flags = SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT;
    rig = rig_create(&options);
    things_open(&things, rig, 8000);
    fill(&things, &info, 8000, 64, 8 * KIB, 9);
    assert_true(things_defragment(&things, &run).allocationsMoved > 100);
    things_compare(&things);
    for (uint32_t i = 0; i < things.count; i++) {
        if (things.all[i].buffer != VK_NULL_HANDLE) {
            SxvkAllocationInfo now;
            sxvkGetAllocationInfo(rig->allocator, things.all[i].allocation, &now);
            assert_int_equal(((unsigned char*)now.pMappedData)[0],
                             things_byte(things.all[i].seed, 0));
        }
    }
    things_close(&things);
    rig_destroy(rig);
}

/*  A large alignment, which the range itself does not remember. */
static void test_alignment_stays(void** state) {
    Rig* rig = create_rig();
    SxvkPoolCreateInfo create = {.memoryTypeIndex = HOST, .blockSize = 8 * MIB};
    SxvkDefragmentationInfo run = {0};
    SxvkAllocationCreateInfo info = {.minAlignment = 512 * KIB};
    Things things;
    (void)state;
    assert_int_equal(sxvkCreatePool(rig->allocator, &create, &info.pool), VK_SUCCESS);
    run.pool = info.pool;
    things_open(&things, rig, 400);
    fill(&things, &info, 100, 1000, 300 * KIB, 6);
    info.minAlignment = 0;
    for (uint32_t i = 0; i < 40; i++) {
        assert_non_null(things_add(&things, &info, 10 * KIB + 1));
    }
    assert_true(things_defragment(&things, &run).allocationsMoved > 5);
    for (uint32_t i = 0; i < 100; i++) {
        if (things.all[i].size > 10 * KIB + 1 && i % 6 == 0) {
            SxvkAllocationInfo now;
            sxvkGetAllocationInfo(rig->allocator, things.all[i].allocation, &now);
            assert_int_equal(now.offset % (512 * KIB), 0);
        }
    }
    things_compare(&things);
    things_close(&things);
    sxvkDestroyPool(rig->allocator, info.pool);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ limits, and room for others */

static VkBool32 VKAPI_PTR always(void* user) {
    ++*(uint32_t*)user;
    return VK_TRUE;
}

static void test_limits(void** state) {
    Rig* rig = create_rig();
    SxvkPool pool = create_pool(rig);
    SxvkAllocationCreateInfo info = {.pool = pool};
    SxvkDefragmentationInfo run = {.pool = pool, .maxAllocationsPerPass = 3};
    SxvkDefragmentationPassMoveInfo pass;
    SxvkDefragmentationContext context;
    Things things;
    uint32_t passes = 0, asks = 0;
    (void)state;
    things_open(&things, rig, 400);
    fill(&things, &info, 400, 4 * KIB, 128 * KIB, 5);
    run.maxBytesPerPass = 100 * KIB;
    assert_int_equal(sxvkBeginDefragmentation(rig->allocator, &run, &context), VK_SUCCESS);
    while (sxvkBeginDefragmentationPass(rig->allocator, context, &pass) == VK_INCOMPLETE) {
        VkDeviceSize bytes = 0;
        assert_in_range(pass.moveCount, 1, 3);
        for (uint32_t i = 0; i < pass.moveCount; i++) {
            SxvkAllocationInfo source;
            sxvkGetAllocationInfo(rig->allocator, pass.pMoves[i].srcAllocation, &source);
            bytes += source.size;
            things_move(&things, &pass.pMoves[i]);
        }
        assert_true(bytes <= 100 * KIB);
        (void)sxvkEndDefragmentationPass(rig->allocator, context, &pass);
        passes++;
    }
    sxvkEndDefragmentation(rig->allocator, context, NULL);
    assert_true(passes > 3);
    /* Whoever stops it at each ask gets to the end as well. */
    memset(&run, 0, sizeof run);
    run.pool = pool;
    run.flags = SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT;
    run.pfnBreakCallback = always;
    run.pBreakCallbackUserData = &asks;
    (void)things_defragment(&things, &run);
    assert_true(asks > 10);
    things_compare(&things);
    things_close(&things);
    sxvkDestroyPool(rig->allocator, pool);
    rig_destroy(rig);
}

/*  With a microsecond for each pass it takes many of them, of few moves, and the same is done. */
static void test_time_limit(void** state) {
    uint32_t most[2] = {0, 0}, passes[2] = {0, 0};
    VkDeviceSize committed[2];
    (void)state;
    for (uint32_t timed = 0; timed < 2; timed++) {
        Rig* rig = create_rig();
        SxvkPool pool = create_pool(rig);
        SxvkAllocationCreateInfo info = {.pool = pool};
        SxvkDefragmentationInfo run = {.pool = pool, .maxMicrosecondsPerPass = timed};
        SxvkDefragmentationPassMoveInfo pass;
        SxvkDefragmentationContext context;
        Things things;
        things_open(&things, rig, 2000);
        fill(&things, &info, 2000, 256, 16 * KIB, 5);
        assert_int_equal(sxvkBeginDefragmentation(rig->allocator, &run, &context), VK_SUCCESS);
        while (sxvkBeginDefragmentationPass(rig->allocator, context, &pass) == VK_INCOMPLETE) {
            most[timed] = pass.moveCount > most[timed] ? pass.moveCount : most[timed];
            for (uint32_t i = 0; i < pass.moveCount; i++) {
                things_move(&things, &pass.pMoves[i]);
            }
            (void)sxvkEndDefragmentationPass(rig->allocator, context, &pass);
            assert_true(++passes[timed] < 100000);
        }
        sxvkEndDefragmentation(rig->allocator, context, NULL);
        committed[timed] = pool_statistics(rig, pool).blockBytes;
        things_compare(&things);
        things_close(&things);
        sxvkDestroyPool(rig->allocator, pool);
        rig_destroy(rig);
    }
    assert_true(passes[1] > 10 && passes[1] > 2 * passes[0]);
    assert_true(most[1] < most[0] / 2);
    assert_in_range(committed[1], 0, committed[0] + MIB);
}

/*  Room in frozen blocks is found before a new block is made, and the moves under way go on. */
static void test_revival(void** state) {
    Site site;
    SxvkAllocationCreateInfo info = {0};
    uint64_t calls;
    (void)state;
    site_open(&site, 0, 256 * KIB, 0, 0);
    info.pool = site.pool;
    assert_int_equal(site_begin(&site, 0), VK_INCOMPLETE);
    calls = sim_calls(site.rig->sim, SIM_CALL_ALLOCATE_MEMORY);
    for (uint32_t i = 0; i < 9; i++) {
        assert_non_null(things_add(&site.things, &info, 256 * KIB));
    }
    assert_int_equal(sim_calls(site.rig->sim, SIM_CALL_ALLOCATE_MEMORY), calls);
    assert_int_equal(sxvkCheckIntegrity(site.rig->allocator), VK_SUCCESS);
    for (uint32_t i = 0; i < site.pass.moveCount; i++) {
        things_move(&site.things, &site.pass.pMoves[i]);
    }
    assert_int_equal(site_end_pass(&site), VK_INCOMPLETE);
    things_compare(&site.things);
    site_run(&site);
    (void)site_end(&site);
    site_close(&site);
}

/*  The same where a slab is in the way: it hands out slots again. */
static void test_revived_slabs(void** state) {
    Rig* rig = create_rig();
    SxvkAllocationCreateInfo info = {.memoryTypeBits = 1 << HOST};
    SxvkDefragmentationInfo run = {.flags = SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT};
    SxvkDefragmentationContext context;
    SxvkDefragmentationPassMoveInfo pass;
    Things things;
    VkDeviceSize committed;
    (void)state;
    things_open(&things, rig, 30000);
    fill(&things, &info, 20000, 256, 1 * KIB, 3);
    assert_int_equal(sxvkBeginDefragmentation(rig->allocator, &run, &context), VK_SUCCESS);
    assert_int_equal(sxvkBeginDefragmentationPass(rig->allocator, context, &pass), VK_INCOMPLETE);
    committed = rig_statistics(rig).blockBytes;
    for (uint32_t i = 0; i < 8000; i++) {
        assert_non_null(things_add(&things, &info, 300));
    }
    assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_SUCCESS);
    assert_true(rig_statistics(rig).blockBytes <= committed + 2 * MIB);
    sxvkEndDefragmentation(rig->allocator, context, NULL);
    things_compare(&things);
    things_close(&things);
    rig_destroy(rig);
}

/*  Where nothing else fits a smaller block takes what is left, and the old one goes. */
static void test_a_smaller_block(void** state) {
    Rig* rig = create_rig();
    SxvkAllocationCreateInfo info = {.memoryTypeBits = 1 << HOST};
    SxvkDefragmentationInfo run = {.flags = SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT};
    SxvkDefragmentationStats stats;
    SxvkStatistics before, after;
    Things things;
    (void)state;
    things_open(&things, rig, 16);
    fill(&things, &info, 8, 900 * KIB, 1000 * KIB, 4);
    before = rig_statistics(rig);
    stats = things_defragment(&things, &run);
    after = rig_statistics(rig);
    assert_true(after.blockBytes * 100 <= after.allocationBytes * 107);
    assert_int_equal(before.blockBytes - after.blockBytes, stats.bytesFreed);
    things_compare(&things);
    things_close(&things);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ failures */

/*  Each host allocation of a run fails once, and everything from there on; then it is done again. */
static void test_host_memory_fails_anywhere(void** state) {
    uint32_t nth;
    int failed = 1;
    (void)state;
    for (nth = 1; failed; nth++) {
        Rig* rig = create_rig();
        SxvkAllocationCreateInfo info = {.memoryTypeBits = 1 << HOST};
        SxvkDefragmentationInfo run = {.flags = SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT,
                                       .maxAllocationsPerPass = 20};
        SxvkDefragmentationContext context = NULL;
        SxvkDefragmentationPassMoveInfo pass;
        SxvkStatistics before, after;
        Things things;
        VkResult result = VK_INCOMPLETE;
        things_open(&things, rig, 700);
        fill(&things, &info, 700, 512, 16 * KIB, 4);
        before = rig_statistics(rig);
        (void)sxvkTrim(rig->allocator); /* no spare records */
        host_fail(&rig->host, nth, nth % 2 != 0 ? 1 : UINT32_MAX);
        failed = 0;
        while (result == VK_INCOMPLETE || result == VK_ERROR_OUT_OF_HOST_MEMORY) {
            if (context == NULL) {
                result = sxvkBeginDefragmentation(rig->allocator, &run, &context);
                result = result == VK_SUCCESS ? VK_INCOMPLETE : result;
            } else {
                result = sxvkBeginDefragmentationPass(rig->allocator, context, &pass);
                if (result == VK_INCOMPLETE) {
                    host_fail(&rig->host, 0, 0); /* the copies need some, too */
                    for (uint32_t i = 0; i < pass.moveCount; i++) {
                        things_move(&things, &pass.pMoves[i]);
                    }
                    host_fail(&rig->host, 1, UINT32_MAX); /* the end of a pass needs none */
                    result = sxvkEndDefragmentationPass(rig->allocator, context, &pass);
                    assert_true(result == VK_INCOMPLETE || result == VK_SUCCESS);
                    host_fail(&rig->host, 0, 0);
                    result = VK_INCOMPLETE;
                }
            }
            assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_SUCCESS);
            if (result == VK_ERROR_OUT_OF_HOST_MEMORY) {
                failed = 1;
                host_fail(&rig->host, 0, 0);
            }
        }
        assert_int_equal(result, VK_SUCCESS);
        failed |= rig->host.failed != 0;
        host_fail(&rig->host, 0, 0);
        sxvkEndDefragmentation(rig->allocator, context, NULL);
        after = rig_statistics(rig);
        assert_int_equal(before.allocationCount, after.allocationCount);
        assert_true(after.blockBytes <= before.blockBytes);
        things_compare(&things);
        messages_clear(&rig->messages);
        things_close(&things);
        rig_destroy(rig);
        assert_true(nth < 2000);
    }
    assert_true(nth > 5);
}

/*  Two blocks, of which the one that should be emptied is mapped, and the other one is not, and
    cannot be for `times` times. Returns the blocks that are left. */
static uint32_t map_fails(uint32_t times, VkResult how, uint32_t errors, uint32_t messages) {
    RigOptions options = rig_options();
    SxvkAllocationCreateInfo plain = {0}, mapped = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT};
    SxvkDefragmentationInfo run = {.flags = SXVK_DEFRAGMENTATION_FLAG_MOVE_MAPPED_BIT};
    SxvkDefragmentationPassMoveInfo pass;
    SxvkDefragmentationContext context;
    VkResult result;
    SxvkStatistics stats;
    Things things;
    Rig* rig;
    options.sim.backing = true;
    options.info.flags = SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT;
    rig = rig_create(&options);
    plain.pool = mapped.pool = run.pool = create_pool(rig);
    things_open(&things, rig, 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_non_null(things_add(&things, i < 5 ? &plain : &mapped, 200 * KIB));
    }
    for (uint32_t i = 0; i < 10; i++) {
        if (i != 1 && i != 2 && i != 7) {
            things_remove(&things, &things.all[i]);
        }
    }
    assert_int_equal(pool_statistics(rig, run.pool).blockCount, 2);
    assert_true(sim_fail(rig->sim, SIM_CALL_MAP_MEMORY, 1, times, how));
    assert_int_equal(sxvkBeginDefragmentation(rig->allocator, &run, &context), VK_SUCCESS);
    while ((result = sxvkBeginDefragmentationPass(rig->allocator, context, &pass)) != VK_SUCCESS) {
        if (result == how) {
            assert_true(errors-- != 0);
            continue;
        }
        assert_int_equal(result, VK_INCOMPLETE);
        for (uint32_t i = 0; i < pass.moveCount; i++) {
            things_move(&things, &pass.pMoves[i]);
        }
        (void)sxvkEndDefragmentationPass(rig->allocator, context, &pass);
    }
    assert_int_equal(errors, 0);
    sxvkEndDefragmentation(rig->allocator, context, NULL);
    sim_clear_faults(rig->sim);
    assert_int_equal(rig->messages.counts[SXVK_MESSAGE_MOVE_FAILED], messages);
    messages_clear(&rig->messages);
    stats = pool_statistics(rig, run.pool);
    assert_int_equal(stats.allocationCount, 3);
    things_compare(&things);
    things_close(&things);
    sxvkDestroyPool(rig->allocator, run.pool);
    rig_destroy(rig);
    return stats.blockCount;
}

/*  A target that cannot be mapped: its victim is given up with a message, and tried again when they
    are chosen one by one. For want of host memory the pass fails, and the next one goes on. */
static void test_mapping_fails(void** state) {
    (void)state;
    assert_int_equal(map_fails(1, VK_ERROR_MEMORY_MAP_FAILED, 0, 1), 1);
    assert_int_equal(map_fails(UINT32_MAX, VK_ERROR_MEMORY_MAP_FAILED, 0, 2),
                     1); /* the other one */
    assert_int_equal(map_fails(3, VK_ERROR_OUT_OF_HOST_MEMORY, 3, 0), 1);
}

/*  What each frame has done, while all that can become of a move does: moves are no allocations. */
static void test_moves_are_no_allocations(void** state) {
    RigOptions options = rig_options();
    SxvkDefragmentationInfo run = {.flags = SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT,
                                   .maxAllocationsPerPass = 50};
    SxvkAllocationCreateInfo info = {.memoryTypeBits = 1 << HOST};
    SxvkDefragmentationPassMoveInfo pass;
    SxvkDefragmentationContext context;
    SxvkFrameStatistics frame;
    uint32_t destroyed, index = 1, one;
    uint64_t moved = 0, freed = 0;
    uint32_t ignored = 0;
    SxvkMoveStatistics stats;
    SxvkStatistics before, after;
    char wanted[64];
    char* text;
    Things things;
    Rig* rig;
    (void)state;
    options.sim.backing = true;
    options.info.frameHistoryCount = 1;
    rig = rig_create(&options);
    things_open(&things, rig, 30000);
    fill(&things, &info, 20000, 256, 4 * KIB, 3);
    before = rig_statistics(rig);
    sxvkSetCurrentFrameIndex(rig->allocator, index++);
    assert_int_equal(sxvkBeginDefragmentation(rig->allocator, &run, &context), VK_SUCCESS);
    while (sxvkBeginDefragmentationPass(rig->allocator, context, &pass) == VK_INCOMPLETE) {
        destroyed = 0;
        for (uint32_t i = 0; i < pass.moveCount; i++) {
            if (i % 7 == 3) {
                Thing* thing = things_of(&things, pass.pMoves[i].srcAllocation);
                sxvki_destroy_pair(&rig->allocator->device, thing->buffer, VK_NULL_HANDLE);
                memset(thing, 0, sizeof *thing);
                pass.pMoves[i].operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_DESTROY;
                destroyed++;
            } else if (i % 7 == 5) {
                things_remove(&things, things_of(&things, pass.pMoves[i].srcAllocation));
                destroyed++;
            } else if (index % 8 == 0 && i == pass.moveCount - 1) {
                pass.pMoves[i].operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_IGNORE;
                ignored++;
            } else {
                things_move(&things, &pass.pMoves[i]);
            }
        }
        for (uint32_t half = 0; half < 2; half++) {
            if (half == 1) {
                (void)sxvkEndDefragmentationPass(rig->allocator, context, &pass);
            }
            sxvkSetCurrentFrameIndex(rig->allocator, index++);
            one = 1;
            assert_int_equal(sxvkGetFrameHistory(rig->allocator, &one, &frame), VK_SUCCESS);
            moved += frame.movedBytes;
            freed += frame.freedBytes;
            assert_int_equal(frame.allocationCount, 0);
            destroyed -= frame.freeCount;
        }
        assert_int_equal(destroyed, 0);
    }
    sxvkEndDefragmentation(rig->allocator, context, NULL);
    sxvkSetCurrentFrameIndex(rig->allocator, index++);
    assert_int_equal(sxvkGetFrameHistory(rig->allocator, &one, &frame), VK_SUCCESS);
    freed += frame.freedBytes;
    assert_true(moved != 0 && freed != 0 && ignored != 0);
    sxvkGetMoveStatistics(rig->allocator, &stats);
    assert_int_equal(stats.runCount, 1);
    assert_true(stats.passCount > 1 && stats.moveCount > stats.passCount);
    assert_int_equal(stats.refusedCount, ignored);
    assert_int_equal(stats.bytesMoved, moved);
    assert_int_equal(stats.bytesFreed, freed);
    assert_int_equal(freed, before.blockBytes - rig_statistics(rig).blockBytes);
    assert_true(stats.blocksFreed != 0 && stats.microseconds >= stats.longestMicroseconds);
    after = rig_statistics(rig);
    assert_float_equal(stats.fragmentationBefore,
                       1 - (float)before.allocationBytes / (float)before.blockBytes, 0.001f);
    assert_float_equal(stats.fragmentationAfter,
                       1 - (float)after.allocationBytes / (float)after.blockBytes, 0.001f);
    assert_int_equal(sxvkBuildStatsString(rig->allocator, &text, VK_FALSE), VK_SUCCESS);
    (void)snprintf(wanted, sizeof wanted, "\"FreedBytes\": %llu", (unsigned long long)freed);
    assert_non_null(strstr(strstr(text, "\"Moves\": {"), wanted));
    sxvkFreeStatsString(rig->allocator, text);
    assert_int_equal(sxvki_load64(&rig->allocator->device.doubles), 0);
    things_close(&things);
    rig_destroy(rig);
}

/*  It may end at any time: nothing of a pass that was not ended has happened. */
static void test_ends_early(void** state) {
    Site site;
    (void)state;
    site_open(&site, 0, 256 * KIB, 0, 0);
    assert_int_equal(site_begin(&site, 0), VK_INCOMPLETE);
    (void)site_end(&site);
    assert_int_equal(pool_statistics(site.rig, site.pool).allocationCount, 4);
    assert_int_equal(pool_statistics(site.rig, site.pool).blockCount, 4);
    site_close(&site);
    /* The pool goes, with a pass under way, and then the allocator with the context. */
    site_open(&site, 0, 256 * KIB, 0, 0);
    assert_int_equal(site_begin(&site, 0), VK_INCOMPLETE);
    things_close(&site.things);
    sxvkDestroyPool(site.rig->allocator, site.pool);
    assert_int_equal(sxvkEndDefragmentationPass(site.rig->allocator, site.context, &site.pass),
                     VK_ERROR_VALIDATION_FAILED_EXT); /* its moves are over */
    rig_expect(site.rig, SXVK_MESSAGE_BAD_STRUCT, 1);
    assert_int_equal(sxvkBeginDefragmentationPass(site.rig->allocator, site.context, &site.pass),
                     VK_ERROR_VALIDATION_FAILED_EXT); /* one was begun */
    rig_expect(site.rig, SXVK_MESSAGE_BAD_STRUCT, 1);
    assert_int_equal(sxvkEndDefragmentationPass(site.rig->allocator, site.context, &site.pass),
                     VK_SUCCESS);
    rig_destroy(site.rig);
}

static void test_arguments(void** state) {
    Rig* rig = create_rig();
    Rig* other = create_rig();
    SxvkPoolCreateInfo linear = {.memoryTypeIndex = HOST,
                                 .flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT};
    SxvkDefragmentationInfo info = {0};
    SxvkDefragmentationContext context;
    SxvkDefragmentationPassMoveInfo pass;
    SxvkDefragmentationStats stats;
    SxvkPool pool;
    (void)state;
    assert_int_equal(sxvkBeginDefragmentation(rig->allocator, NULL, &context),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_null(context);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    assert_int_equal(sxvkBeginDefragmentation(rig->allocator, &info, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    info.flags = 0x40;
    assert_int_equal(sxvkBeginDefragmentation(rig->allocator, &info, &context),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_UNKNOWN_FLAGS, 1);
    info.flags =
        SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_FAST_BIT | SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_FULL_BIT;
    assert_int_equal(sxvkBeginDefragmentation(rig->allocator, &info, &context),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_CONFLICTING_FLAGS, 1);
    info.flags = 0;
    assert_int_equal(sxvkCreatePool(rig->allocator, &linear, &pool), VK_SUCCESS);
    info.pool = pool;
    assert_int_equal(sxvkBeginDefragmentation(rig->allocator, &info, &context),
                     VK_ERROR_FEATURE_NOT_PRESENT);
    rig_expect(rig, SXVK_MESSAGE_CONFLICTING_FLAGS, 1);
    assert_null(context);
    assert_int_equal(sxvkBeginDefragmentation(other->allocator, &info, &context),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(other, SXVK_MESSAGE_INVALID_POOL, 1);
    info.pool = VK_NULL_HANDLE;
    assert_int_equal(sxvkBeginDefragmentation(rig->allocator, &info, &context), VK_SUCCESS);
    assert_int_equal(sxvkBeginDefragmentationPass(rig->allocator, context, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    assert_int_equal(sxvkBeginDefragmentationPass(rig->allocator, NULL, &pass),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    assert_int_equal(sxvkBeginDefragmentationPass(other->allocator, context, &pass),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(other, SXVK_MESSAGE_BAD_STRUCT, 1);
    assert_int_equal(sxvkEndDefragmentationPass(rig->allocator, context, &pass),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_BAD_STRUCT, 1);
    assert_int_equal(sxvkBeginDefragmentationPass(rig->allocator, context, &pass), VK_SUCCESS);
    assert_int_equal(pass.moveCount, 0);
    assert_null(pass.pMoves);
    sxvkEndDefragmentation(rig->allocator, NULL, &stats);
    sxvkEndDefragmentation(rig->allocator, context, &stats);
    assert_int_equal(stats.bytesMoved + stats.bytesFreed, 0);
    sxvkDestroyPool(rig->allocator, pool);
    rig_destroy(rig);
    rig_destroy(other);
}

/*  What the user gives back is looked at before anything happens. */
static void test_a_pass_that_was_changed(void** state) {
    Site site;
    SxvkDefragmentationPassMoveInfo changed;
    SxvkDefragmentationMove kept;
    (void)state;
    site_open(&site, 0, 256 * KIB, 0, 0);
    assert_int_equal(site_begin(&site, 0), VK_INCOMPLETE);
    changed = site.pass;
    changed.moveCount--;
    assert_int_equal(sxvkEndDefragmentationPass(site.rig->allocator, site.context, &changed),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(site.rig, SXVK_MESSAGE_BAD_STRUCT, 1);
    kept = site.pass.pMoves[2];
    site.pass.pMoves[2].srcAllocation = site.pass.pMoves[1].srcAllocation;
    assert_int_equal(sxvkEndDefragmentationPass(site.rig->allocator, site.context, &site.pass),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(site.rig, SXVK_MESSAGE_BAD_STRUCT, 1);
    site.pass.pMoves[2] = kept;
    site.pass.pMoves[0].operation = (SxvkDefragmentationMoveOperation)3;
    assert_int_equal(sxvkEndDefragmentationPass(site.rig->allocator, site.context, &site.pass),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(site.rig, SXVK_MESSAGE_BAD_ENUM, 1);
    (void)site_end(&site);
    assert_int_equal(pool_statistics(site.rig, site.pool).allocationCount, 4);
    site_close(&site);
}

/*  Two runs in one pool: neither touches what the other one moves. */
static void test_two_runs(void** state) {
    Site site;
    SxvkDefragmentationInfo info = {.flags = SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT};
    SxvkDefragmentationContext second;
    SxvkDefragmentationPassMoveInfo pass;
    (void)state;
    site_open(&site, 0, 256 * KIB, 0, 0);
    info.pool = site.pool;
    assert_int_equal(site_begin(&site, 0), VK_INCOMPLETE);
    assert_int_equal(sxvkBeginDefragmentation(site.rig->allocator, &info, &second), VK_SUCCESS);
    (void)sxvkBeginDefragmentationPass(site.rig->allocator, second, &pass);
    assert_int_equal(pass.moveCount, 0);
    for (uint32_t i = 0; i < site.pass.moveCount; i++) {
        things_move(&site.things, &site.pass.pMoves[i]);
    }
    assert_int_equal(site_end_pass(&site), VK_INCOMPLETE);
    site_run(&site);
    (void)site_end(&site);
    sxvkEndDefragmentation(site.rig->allocator, second, NULL);
    assert_int_equal(pool_statistics(site.rig, site.pool).blockCount, 1);
    site_close(&site);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frozen_blocks),
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_choice_of_blocks),
        cmocka_unit_test(test_a_pool_shrinks),
        cmocka_unit_test(test_slots_move),
        cmocka_unit_test(test_ignored_moves),
        cmocka_unit_test(test_what_goes_meanwhile),
        cmocka_unit_test(test_a_target_that_was_freed),
        cmocka_unit_test(test_what_stays),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_rings_and_arenas_stay),
        cmocka_unit_test(test_mapped_by_the_user),
        cmocka_unit_test(test_mapped_for_ever),
        cmocka_unit_test(test_mapped_slots),
        cmocka_unit_test(test_alignment_stays),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_time_limit),
        cmocka_unit_test(test_revival),
        cmocka_unit_test(test_revived_slabs),
        cmocka_unit_test(test_a_smaller_block),
        cmocka_unit_test(test_host_memory_fails_anywhere),
        cmocka_unit_test(test_mapping_fails),
        cmocka_unit_test(test_moves_are_no_allocations),
        cmocka_unit_test(test_ends_early),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_a_pass_that_was_changed),
        cmocka_unit_test(test_two_runs),
    };
    return cmocka_run_group_tests_name("defrag", tests, NULL, NULL);
}
