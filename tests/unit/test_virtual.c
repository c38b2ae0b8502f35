/*  test_virtual.c - >>virtual: ranges and slots of plain numbers, growth, handles, statistics, the
    dump, wrong arguments and host memory that fails. No device is needed. Run by CTest
    (unit.virtual).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define GIB        ((VkDeviceSize)1 << 30)
#define MIN_MEMORY SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT
#define MIN_TIME   SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT
#define MIN_OFFSET SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT
#define UPPER      SXVK_VIRTUAL_ALLOCATION_CREATE_UPPER_ADDRESS_BIT

/* ------------------------------------------------------------------ a site */

typedef struct Site {
    Host host;
    Messages messages;
    SxvkVirtualBlockCreateInfo info;
    SxvkVirtualBlock block;
} Site;

static void site_prepare(Site* site, VkDeviceSize size) {
    memset(site, 0, sizeof *site);
    host_init(&site->host);
    site->info.size = size;
    site->info.pAllocationCallbacks = &site->host.callbacks;
    site->info.pfnMessage = messages_callback;
    site->info.pMessageUserData = &site->messages;
}

static void site_open(Site* site, VkDeviceSize size) {
    site_prepare(site, size);
    assert_int_equal(sxvkCreateVirtualBlock(&site->info, &site->block), VK_SUCCESS);
}

/*  This message came so often, and no other one. */
static void expect(Site* site, SxvkMessage message, uint32_t count) {
    assert_int_equal(site->messages.counts[message], count);
    assert_int_equal(site->messages.total, count);
    messages_clear(&site->messages);
}

static void check(const Site* site) {
    assert_true(sxvki_virtual_is_valid(site->block));
}

static void site_close(Site* site) {
    check(site);
    sxvkDestroyVirtualBlock(site->block);
    assert_int_equal(site->messages.total, 0);
    assert_int_equal(site->host.liveCount, 0);
    assert_int_equal(site->host.mistakes, 0);
}

static VkResult try_take(const Site* site, VkDeviceSize size, VkDeviceSize alignment, VkFlags flags,
                         SxvkVirtualAllocation* allocation, VkDeviceSize* offset) {
    SxvkVirtualAllocationCreateInfo info = {0};
    info.size = size;
    info.alignment = alignment;
    info.flags = flags;
    return sxvkVirtualAllocate(site->block, &info, allocation, offset);
}

static SxvkVirtualAllocation take(const Site* site, VkDeviceSize size, VkDeviceSize* offset) {
    SxvkVirtualAllocation allocation = NULL;
    assert_int_equal(try_take(site, size, 0, 0, &allocation, offset), VK_SUCCESS);
    assert_non_null(allocation);
    return allocation;
}

static SxvkVirtualAllocationInfo info_of(const Site* site, SxvkVirtualAllocation allocation) {
    SxvkVirtualAllocationInfo info;
    sxvkGetVirtualAllocationInfo(site->block, allocation, &info);
    return info;
}

static SxvkStatistics statistics(const Site* site) {
    SxvkStatistics stats;
    sxvkGetVirtualBlockStatistics(site->block, &stats);
    return stats;
}

/* ------------------------------------------------------------------ ranges */

static void test_whole_size(void** state) {
    static const VkDeviceSize sizes[] = {1, 2, 31, 33, 1000, 4096, 5 * GIB + 7, (256 * GIB) - 2};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        Site site;
        VkDeviceSize offset;
        SxvkVirtualAllocation allocation;
        SxvkVirtualAllocation none;
        site_open(&site, sizes[i]);
        assert_true(sxvkIsVirtualBlockEmpty(site.block));
        assert_int_equal(try_take(&site, sizes[i] + 1, 0, 0, &none, &offset),
                         VK_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_int_equal(try_take(&site, sizes[i], (VkDeviceSize)1 << 63, 0, &allocation, &offset),
                         VK_SUCCESS);
        assert_int_equal(offset, 0);
        assert_non_null(allocation);
        assert_false(sxvkIsVirtualBlockEmpty(site.block));
        assert_int_equal(try_take(&site, 1, 0, 0, &none, &offset), VK_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_null(none);
        assert_true(offset == VK_WHOLE_SIZE);
        assert_true(info_of(&site, allocation).size == sizes[i]);
        sxvkVirtualFree(site.block, allocation);
        assert_true(sxvkIsVirtualBlockEmpty(site.block));
        site_close(&site);
    }
}

static void test_beyond_4_gib(void** state) {
    Site site;
    VkDeviceSize offset;
    SxvkVirtualAllocation a[3];
    (void)state;
    site_open(&site, 100 * GIB);
    for (uint32_t i = 0; i < 3; i++) {
        a[i] = take(&site, 30 * GIB + i, &offset);
        assert_true(offset == 30 * GIB * i + (i == 2));
        assert_true(info_of(&site, a[i]).offset == offset);
        assert_true(info_of(&site, a[i]).size == 30 * GIB + i);
    }
    assert_true(statistics(&site).allocationBytes == 90 * GIB + 3);
    sxvkVirtualFree(site.block, a[1]);
    check(&site);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

static void test_granularity(void** state) {
    Site site;
    VkDeviceSize offset;
    SxvkVirtualAllocation allocation;
    (void)state;
    site_prepare(&site, (VkDeviceSize)1 << 57);
    site.info.granularity = (VkDeviceSize)1 << 20;
    assert_int_equal(sxvkCreateVirtualBlock(&site.info, &site.block), VK_SUCCESS);
    allocation = take(&site, (VkDeviceSize)1 << 20, &offset);
    assert_int_equal(offset, 0);
    allocation = take(&site, (VkDeviceSize)1 << 56, &offset);
    assert_true(offset == (VkDeviceSize)1 << 20);
    assert_true(info_of(&site, allocation).size == (VkDeviceSize)1 << 56);
    assert_int_equal(try_take(&site, 4096, 0, 0, &allocation, &offset),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    expect(&site, SXVK_MESSAGE_BAD_SIZE, 1);
    assert_int_equal(sxvkGrowVirtualBlock(site.block, ((VkDeviceSize)1 << 57) + 1),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    expect(&site, SXVK_MESSAGE_BAD_SIZE, 1);
    assert_true(statistics(&site).blockBytes == (VkDeviceSize)1 << 57);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

/*  Twelve units, three of four taken: where the hole is each strategy finds it, and alignment. */
static void test_strategies(void** state) {
    static const VkFlags strategies[] = {0, MIN_MEMORY, MIN_TIME, MIN_OFFSET};
    (void)state;
    for (size_t i = 0; i < sizeof strategies / sizeof *strategies; i++) {
        Site site;
        VkDeviceSize offset;
        SxvkVirtualAllocation a[4];
        SxvkVirtualAllocation b;
        site_open(&site, 64);
        for (uint32_t k = 0; k < 4; k++) {
            assert_int_equal(try_take(&site, 16, 16, strategies[i], &a[k], &offset), VK_SUCCESS);
            assert_int_equal(offset, 16 * k);
        }
        sxvkVirtualFree(site.block, a[1]);
        assert_int_equal(try_take(&site, 10, 4, strategies[i], &a[1], &offset), VK_SUCCESS);
        assert_int_equal(offset, 16);
        assert_int_equal(try_take(&site, 5, 4, strategies[i], &b, &offset),
                         VK_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_int_equal(try_take(&site, 4, 4, strategies[i], &b, &offset), VK_SUCCESS);
        assert_int_equal(offset, 28);
        check(&site);
        sxvkClearVirtualBlock(site.block);
        site_close(&site);
    }
}

/*  Requests that fail in a block of 1.15 times what should live in it. */
static uint32_t tight_failures(VkFlags strategy) {
    enum { LIVE = 5000, PAIRS = 60000 };
    static SxvkVirtualAllocation all[LIVE];
    uint32_t failures = 0;
    uint64_t bytes = 0;
    uint64_t random = 3;
    Site site;
    memset(all, 0, sizeof all);
    for (uint32_t i = 0; i < LIVE; i++) {
        bytes += testing_log_uniform(&random, 1, 4096);
    }
    site_open(&site, bytes / 100 * 115);
    for (uint32_t i = 0; i < LIVE + PAIRS; i++) {
        uint32_t k = i < LIVE ? i : testing_below(&random, LIVE);
        sxvkVirtualFree(site.block, all[k]);
        failures += try_take(&site, testing_log_uniform(&random, 1, 4096), 1, strategy, &all[k],
                             NULL) != VK_SUCCESS;
    }
    check(&site);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
    return failures;
}

/*  MIN_MEMORY is close to best fit. */
static void test_tight_block(void** state) {
    uint32_t few = tight_failures(MIN_MEMORY);
    (void)state;
    assert_in_range(tight_failures(0), 0, 3 * few + 3);
    assert_in_range(tight_failures(MIN_OFFSET), 0, 3 * few + 3);
}

static void test_grow(void** state) {
    Site site;
    VkDeviceSize offset;
    SxvkVirtualAllocation first;
    SxvkVirtualAllocation second;
    (void)state;
    site_open(&site, 10);
    first = take(&site, 10, &offset);
    assert_int_equal(sxvkGrowVirtualBlock(site.block, 9), VK_ERROR_VALIDATION_FAILED_EXT);
    expect(&site, SXVK_MESSAGE_BAD_SIZE, 1);
    assert_int_equal(sxvkGrowVirtualBlock(site.block, 10), VK_SUCCESS);
    assert_int_equal(sxvkGrowVirtualBlock(site.block, 30), VK_SUCCESS); /* behind a live range */
    check(&site);
    second = take(&site, 12, &offset);
    assert_int_equal(offset, 10);
    assert_int_equal(sxvkGrowVirtualBlock(site.block, 6 * GIB), VK_SUCCESS); /* a free one */
    check(&site);
    (void)take(&site, 6 * GIB - 22, &offset);
    assert_int_equal(offset, 22);
    assert_int_equal(info_of(&site, first).offset, 0);
    assert_int_equal(info_of(&site, second).size, 12);
    sxvkVirtualFree(site.block, first);
    sxvkClearVirtualBlock(site.block);
    (void)take(&site, 6 * GIB, &offset);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

/* ------------------------------------------------------------------ slots */

#define MANY 20000

/*  Equal requests fill a block to the last unit, slabs or not, and their slots are not rounded. */
static void test_equal_sizes_fill_the_block(void** state) {
    static const VkDeviceSize sizes[] = {1, 3, 17, 19, 1000};
    static SxvkVirtualAllocation all[MANY];
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        Site site;
        SxvkVirtualAllocation none;
        VkDeviceSize offset;
        uint64_t random = 5;
        site_open(&site, sizes[i] * MANY);
        for (uint32_t round = 0; round < 3; round++) {
            for (uint32_t k = 0; k < MANY; k++) {
                all[k] = take(&site, sizes[i], &offset);
                assert_int_equal(offset % sizes[i], 0);
            }
            assert_int_equal(try_take(&site, 1, 0, 0, &none, &offset),
                             VK_ERROR_OUT_OF_DEVICE_MEMORY);
            assert_true(site.block->domain.slab_count > MANY / 100);
            check(&site);
            for (uint32_t k = MANY; k-- != 0;) {
                uint32_t j = testing_below(&random, k + 1);
                SxvkVirtualAllocation swapped = all[j];
                all[j] = all[k];
                sxvkVirtualFree(site.block, swapped);
            }
            assert_true(sxvkIsVirtualBlockEmpty(site.block));
            assert_int_equal(site.block->domain.slab_count, 0);
            check(&site);
        }
        site_close(&site);
    }
}

/*  What no range is left for gets a slot of another class, with every strategy. */
static void test_last_resort_is_a_slot(void** state) {
    static const VkFlags strategies[] = {0, MIN_MEMORY, MIN_OFFSET};
    static SxvkVirtualAllocation all[MANY];
    Site site;
    VkDeviceSize offset;
    SxvkVirtualAllocation small;
    (void)state;
    site_open(&site, 64 * MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        all[i] = take(&site, 64, &offset);
    }
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t k = MANY / 2 + i;
        assert_true(((uintptr_t)all[k] & SXVKI_HANDLE_SLAB_BIT) != 0);
        offset = info_of(&site, all[k]).offset;
        sxvkVirtualFree(site.block, all[k]);
        assert_int_equal(try_take(&site, 65, 0, strategies[i], &small, NULL),
                         VK_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_int_equal(try_take(&site, 9, 64, strategies[i], &small, NULL), VK_SUCCESS);
        assert_int_equal(info_of(&site, small).offset, offset);
        assert_int_equal(info_of(&site, small).size, 9);
        check(&site);
    }
    assert_int_equal(statistics(&site).allocationCount, MANY);
    assert_true(statistics(&site).allocationBytes == 64 * MANY - 3 * 55);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

/* ------------------------------------------------------------------ handles, user data */

static void test_stale_handles(void** state) {
    static SxvkVirtualAllocation all[MANY];
    Site site;
    Site other;
    VkDeviceSize offset;
    (void)state;
    site_open(&site, 8 * MANY);
    site_open(&other, 100);
    for (uint32_t i = 0; i < MANY; i++) {
        all[i] = take(&site, i % 2 + 1, &offset);
    }
    sxvkVirtualFree(site.block, NULL);
    for (uint32_t i = 0; i < MANY; i += 1000) {
        SxvkStatistics before;
        sxvkVirtualFree(site.block, all[i]);
        before = statistics(&site);
        sxvkVirtualFree(site.block, all[i]);
        assert_int_equal(statistics(&site).allocationCount, before.allocationCount);
        assert_int_equal(sxvkSetVirtualAllocationUserData(site.block, all[i], &site),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        assert_int_equal(info_of(&site, all[i]).size, 0);
        expect(&site, SXVK_MESSAGE_INVALID_ALLOCATION, 3);
        all[i] = take(&site, 1, &offset);
    }
    sxvkVirtualFree(other.block, all[1]);
    sxvkVirtualFree(other.block, all[MANY - 1]);
    expect(&other, SXVK_MESSAGE_INVALID_ALLOCATION, 2);
    sxvkClearVirtualBlock(site.block);
    assert_true(sxvkIsVirtualBlockEmpty(site.block));
    for (uint32_t i = 0; i < MANY; i++) {
        (void)take(&site, i % 2 + 1, &offset);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        sxvkVirtualFree(site.block, all[i]); /* its place is taken again, but not by it */
    }
    expect(&site, SXVK_MESSAGE_INVALID_ALLOCATION, MANY);
    assert_int_equal(statistics(&site).allocationCount, MANY);
    check(&site);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
    site_close(&other);
}

static void test_user_data(void** state) {
    static SxvkVirtualAllocation all[MANY];
    Site site;
    VkDeviceSize offset;
    (void)state;
    site_open(&site, 4 * MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        SxvkVirtualAllocationCreateInfo info = {0};
        info.size = 1;
        info.pUserData = i % 3 == 0 ? &all[i] : NULL;
        assert_int_equal(sxvkVirtualAllocate(site.block, &info, &all[i], &offset), VK_SUCCESS);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        assert_ptr_equal(info_of(&site, all[i]).pUserData, i % 3 == 0 ? &all[i] : NULL);
        assert_int_equal(
            sxvkSetVirtualAllocationUserData(site.block, all[i], i % 2 == 0 ? &site : NULL),
            VK_SUCCESS);
        assert_ptr_equal(info_of(&site, all[i]).pUserData, i % 2 == 0 ? &site : NULL);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        sxvkVirtualFree(site.block, all[i]);
        all[i] = take(&site, 1, &offset); /* what was there before does not come back */
        assert_null(info_of(&site, all[i]).pUserData);
    }
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

/* ------------------------------------------------------------------ statistics */

static const cJSON* member(const cJSON* json, const char* key) {
    const cJSON* found = cJSON_GetObjectItemCaseSensitive(json, key);
    assert_non_null(found);
    return found;
}

static double figure(const cJSON* json, const char* key) {
    return cJSON_GetNumberValue(member(json, key));
}

static void check_dump(const Site* site, const SxvkDetailedStatistics* stats) {
    char* text = NULL;
    cJSON* json;
    const cJSON* map;
    const cJSON* range;
    double end = 0;
    uint32_t live = 0;
    uint32_t free_ranges = 0;
    assert_int_equal(sxvkBuildVirtualBlockStatsString(site->block, &text, VK_TRUE), VK_SUCCESS);
    json = cJSON_Parse(text);
    assert_non_null(json);
    assert_true(figure(member(json, "Stats"), "BlockBytes") ==
                (double)stats->statistics.blockBytes);
    map = member(json, "Details");
    assert_true(figure(map, "TotalBytes") == (double)stats->statistics.blockBytes);
    assert_true(figure(map, "UnusedBytes") ==
                (double)(stats->statistics.blockBytes - stats->statistics.allocationBytes));
    assert_true(figure(map, "Allocations") == stats->statistics.allocationCount);
    assert_true(figure(map, "UnusedRanges") == stats->unusedRangeCount);
    cJSON_ArrayForEach(range, member(map, "Suballocations")) {
        bool is_free = cJSON_GetObjectItemCaseSensitive(range, "Type") != NULL;
        assert_true(figure(range, "Offset") == end);
        end += figure(range, "Size");
        live += !is_free;
        free_ranges += is_free;
    }
    assert_true(end == (double)stats->statistics.blockBytes);
    assert_int_equal(live, stats->statistics.allocationCount);
    assert_int_equal(free_ranges, stats->unusedRangeCount);
    cJSON_Delete(json);
    sxvkFreeVirtualBlockStatsString(site->block, text);
    assert_int_equal(sxvkBuildVirtualBlockStatsString(site->block, &text, VK_FALSE), VK_SUCCESS);
    assert_null(strstr(text, "Details"));
    sxvkFreeVirtualBlockStatsString(site->block, text);
}

static void test_statistics(void** state) {
    Site site;
    SxvkDetailedStatistics stats;
    VkDeviceSize offset;
    SxvkVirtualAllocation a;
    (void)state;
    site_open(&site, 1000);
    sxvkCalculateVirtualBlockStatistics(site.block, &stats);
    assert_int_equal(stats.statistics.blockCount, 1);
    assert_int_equal(stats.unusedRangeSizeMax, 1000);
    assert_true(stats.allocationSizeMin == VK_WHOLE_SIZE);
    check_dump(&site, &stats);
    a = take(&site, 100, &offset);
    (void)take(&site, 150, &offset);
    sxvkVirtualFree(site.block, a);
    sxvkCalculateVirtualBlockStatistics(site.block, &stats);
    assert_int_equal(stats.statistics.blockBytes, 1000);
    assert_int_equal(stats.statistics.allocationCount, 1);
    assert_int_equal(stats.statistics.allocationBytes, 150);
    assert_int_equal(stats.unusedRangeCount, 2);
    assert_int_equal(stats.unusedRangeSizeMin, 100);
    assert_int_equal(stats.unusedRangeSizeMax, 750);
    assert_int_equal(stats.allocationSizeMin, 150);
    assert_int_equal(stats.allocationSizeMax, 150);
    check_dump(&site, &stats);
    assert_int_equal(sxvkSetVirtualAllocationUserData(site.block, take(&site, 100, &offset), &site),
                     VK_SUCCESS);
    sxvkCalculateVirtualBlockStatistics(site.block, &stats);
    check_dump(&site, &stats);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

/* ------------------------------------------------------------------ linear blocks */

static void site_open_linear(Site* site, VkDeviceSize size) {
    site_prepare(site, size);
    site->info.flags = SXVK_VIRTUAL_BLOCK_CREATE_LINEAR_ALGORITHM_BIT;
    assert_int_equal(sxvkCreateVirtualBlock(&site->info, &site->block), VK_SUCCESS);
}

/*  One that must lie at this offset. */
static SxvkVirtualAllocation take_at(const Site* site, VkDeviceSize size, VkFlags flags,
                                     VkDeviceSize wanted) {
    SxvkVirtualAllocation allocation = NULL;
    VkDeviceSize offset;
    assert_int_equal(try_take(site, size, 0, flags, &allocation, &offset), VK_SUCCESS);
    assert_non_null(allocation);
    assert_true(offset == wanted);
    assert_true(info_of(site, allocation).offset == wanted);
    assert_true(info_of(site, allocation).size == size);
    check(site);
    return allocation;
}

static void take_fails(const Site* site, VkDeviceSize size, VkFlags flags) {
    SxvkVirtualAllocation allocation;
    VkDeviceSize offset;
    assert_int_equal(try_take(site, size, 0, flags, &allocation, &offset),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_null(allocation);
    assert_true(offset == VK_WHOLE_SIZE);
    check(site);
}

/*  What is freed on the way is not used before all is free. */
static void test_linear_free_at_once(void** state) {
    SxvkVirtualAllocation a[10];
    Site site;
    (void)state;
    site_open_linear(&site, 1000);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 10; i++) {
            a[i] = take_at(&site, 100, 0, 100 * i);
        }
        take_fails(&site, 1, 0);
        sxvkVirtualFree(site.block, a[4]);
        take_fails(&site, 1, 0);
        assert_int_equal(statistics(&site).allocationBytes, 900);
        if (round == 1) {
            sxvkClearVirtualBlock(site.block);
        } else {
            for (uint32_t i = 0; i < 10; i++) {
                if (i != 4) {
                    sxvkVirtualFree(site.block, a[i]);
                }
            }
        }
        assert_true(sxvkIsVirtualBlockEmpty(site.block));
        assert_int_equal(statistics(&site).allocationBytes, 0);
    }
    sxvkVirtualFree(site.block, take_at(&site, 1000, 0, 0)); /* to the last unit */
    site_close(&site);
}

static void test_linear_stack(void** state) {
    SxvkVirtualAllocation a[4];
    Site site;
    (void)state;
    site_open_linear(&site, 100);
    a[0] = take_at(&site, 10, 0, 0);
    a[1] = take_at(&site, 20, MIN_MEMORY, 10); /* strategies change nothing */
    a[2] = take_at(&site, 30, MIN_OFFSET, 30);
    sxvkVirtualFree(site.block, a[2]);
    sxvkVirtualFree(site.block, a[1]);
    a[1] = take_at(&site, 5, 0, 10);
    assert_int_equal(try_take(&site, 1, 16, 0, &a[2], NULL), VK_SUCCESS);
    assert_int_equal(info_of(&site, a[2]).offset, 16);
    a[3] = take_at(&site, 83, 0, 17);
    sxvkVirtualFree(site.block, a[3]);
    sxvkVirtualFree(site.block,
                    a[1]); /* not from the top: the room comes back with what is above */
    sxvkVirtualFree(site.block, a[2]);
    (void)take_at(&site, 90, 0, 10);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

static void test_linear_double_stack(void** state) {
    SxvkVirtualAllocation low;
    SxvkVirtualAllocation upper[2];
    Site site;
    (void)state;
    site_open_linear(&site, 100);
    low = take_at(&site, 40, 0, 0);
    upper[0] = take_at(&site, 20, UPPER, 80);
    upper[1] = take_at(&site, 30, UPPER, 50);
    take_fails(&site, 11, UPPER);
    take_fails(&site, 11, 0);
    sxvkVirtualFree(site.block, upper[1]);
    (void)take_at(&site, 40, 0, 40);
    sxvkVirtualFree(site.block, low);
    take_fails(&site, 1, 0); /* no ring while there is an upper stack */
    sxvkVirtualFree(site.block, upper[0]);
    assert_int_equal(try_take(&site, 3, 8, UPPER, &upper[0], NULL), VK_SUCCESS);
    assert_int_equal(info_of(&site, upper[0]).offset, 96);
    sxvkClearVirtualBlock(site.block);
    (void)take_at(&site, 100, UPPER, 0);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

static void test_linear_ring(void** state) {
    SxvkVirtualAllocation a[10];
    Site site;
    (void)state;
    site_open_linear(&site, 100);
    for (uint32_t i = 0; i < 10; i++) {
        a[i] = take_at(&site, 10, 0, 10 * i);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        take_fails(&site, 1, 0);
        sxvkVirtualFree(site.block, a[i % 10]);
        a[i % 10] = take_at(&site, 10, 0, i % 10 * 10);
        take_fails(&site, 1, UPPER);
    }
    sxvkVirtualFree(site.block, a[0]);
    sxvkVirtualFree(site.block, a[1]);
    a[0] = take_at(&site, 15, 0, 0);
    take_fails(&site, 6, 0);
    (void)take_at(&site, 5, 0, 15);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

/*  Clearing is O(1), and yet every handle is stale then, also with its record in use again. */
static void test_linear_handles(void** state) {
    enum { COUNT = 100, ROUNDS = 700 }; /* more than the epochs that a 32-bit handle tells apart */
    static SxvkVirtualAllocation old[COUNT];
    SxvkVirtualAllocation all[COUNT];
    SxvkVirtualAllocation foreign;
    VkDeviceSize offset;
    Site site;
    Site other;
    (void)state;
    site_open_linear(&site, COUNT);
    site_open(&other, COUNT);
    foreign = take(&other, 1, &offset);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            SxvkVirtualAllocationCreateInfo info = {0};
            info.size = 1;
            info.pUserData = (i + round) % 3 == 0 ? &all[i] : NULL;
            assert_int_equal(sxvkVirtualAllocate(site.block, &info, &all[i], &offset), VK_SUCCESS);
            assert_int_equal(offset, i);
            assert_ptr_equal(info_of(&site, all[i]).pUserData, info.pUserData);
        }
        for (uint32_t i = 0; round != 0 && i < COUNT; i++) {
            sxvkVirtualFree(site.block, old[i]);
            assert_int_equal(info_of(&site, old[i]).size, 0);
        }
        sxvkVirtualFree(site.block, foreign);
        expect(&site, SXVK_MESSAGE_INVALID_ALLOCATION, round == 0 ? 1 : 2 * COUNT + 1);
        assert_int_equal(statistics(&site).allocationCount, COUNT);
        if (round % 2 == 0) {
            sxvkVirtualFree(site.block, all[round % COUNT]);
            sxvkVirtualFree(site.block, all[round % COUNT]);
            expect(&site, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
        }
        memcpy(old, all, sizeof old);
        check(&site);
        sxvkClearVirtualBlock(site.block);
        check(&site);
    }
    sxvkVirtualFree(other.block, old[0]);
    expect(&other, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
    sxvkVirtualFree(other.block, foreign);
    site_close(&other);
    site_close(&site);
}

static void test_linear_grow(void** state) {
    SxvkVirtualAllocation low;
    SxvkVirtualAllocation upper;
    Site site;
    (void)state;
    site_open_linear(&site, 10);
    low = take_at(&site, 10, 0, 0);
    take_fails(&site, 1, 0);
    assert_int_equal(sxvkGrowVirtualBlock(site.block, 30), VK_SUCCESS);
    (void)take_at(&site, 12, 0, 10);
    upper = take_at(&site, 8, UPPER, 22);
    assert_int_equal(sxvkGrowVirtualBlock(site.block, 30), VK_SUCCESS);
    assert_int_equal(sxvkGrowVirtualBlock(site.block, 31), VK_ERROR_FEATURE_NOT_PRESENT);
    expect(&site, SXVK_MESSAGE_BAD_STRUCT, 1);
    assert_int_equal(statistics(&site).blockBytes, 30);
    sxvkVirtualFree(site.block, upper);
    assert_int_equal(sxvkGrowVirtualBlock(site.block, 100 * GIB), VK_SUCCESS);
    (void)take_at(&site, 90 * GIB, 0, 22);
    sxvkVirtualFree(site.block, low);
    sxvkClearVirtualBlock(site.block);
    (void)take_at(&site, 100 * GIB, 0, 0);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

static void test_linear_granularity(void** state) {
    Site site;
    (void)state;
    site_prepare(&site, (VkDeviceSize)1 << 57);
    site.info.granularity = (VkDeviceSize)1 << 20;
    site.info.flags = SXVK_VIRTUAL_BLOCK_CREATE_LINEAR_ALGORITHM_BIT;
    assert_int_equal(sxvkCreateVirtualBlock(&site.info, &site.block), VK_SUCCESS);
    (void)take_at(&site, (VkDeviceSize)1 << 56, 0, 0);
    (void)take_at(&site, (VkDeviceSize)1 << 20, UPPER,
                  ((VkDeviceSize)1 << 57) - ((VkDeviceSize)1 << 20));
    assert_true(statistics(&site).allocationBytes ==
                ((VkDeviceSize)1 << 56) + ((VkDeviceSize)1 << 20));
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

static void test_linear_statistics(void** state) {
    SxvkDetailedStatistics stats;
    SxvkVirtualAllocation middle;
    Site site;
    (void)state;
    site_open_linear(&site, 1000);
    sxvkCalculateVirtualBlockStatistics(site.block, &stats);
    assert_int_equal(stats.unusedRangeSizeMax, 1000);
    check_dump(&site, &stats);
    (void)take_at(&site, 100, 0, 0);
    middle = take_at(&site, 150, 0, 100);
    assert_int_equal(
        sxvkSetVirtualAllocationUserData(site.block, take_at(&site, 50, 0, 250), &site),
        VK_SUCCESS);
    (void)take_at(&site, 200, UPPER, 800);
    sxvkVirtualFree(site.block, middle);
    sxvkCalculateVirtualBlockStatistics(site.block, &stats);
    assert_int_equal(stats.statistics.allocationCount, 3);
    assert_int_equal(stats.statistics.allocationBytes, 350);
    assert_int_equal(stats.unusedRangeCount, 2);
    assert_int_equal(stats.unusedRangeSizeMin, 150);
    assert_int_equal(stats.unusedRangeSizeMax, 500);
    check_dump(&site, &stats);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

static void test_linear_host_memory_fails(void** state) {
    SxvkVirtualAllocationCreateInfo info = {0};
    SxvkVirtualAllocation allocation;
    Site site;
    (void)state;
    site_open_linear(&site, 1000);
    info.size = 1;
    info.pUserData = &site;
    for (uint64_t nth = 1;; nth++) {
        host_fail(&site.host, nth, UINT32_MAX);
        if (sxvkVirtualAllocate(site.block, &info, &allocation, NULL) == VK_SUCCESS) {
            break;
        }
        assert_null(allocation);
        expect(&site, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
        assert_true(sxvkIsVirtualBlockEmpty(site.block));
        check(&site);
    }
    host_fail(&site.host, 1, 0);
    assert_int_equal(info_of(&site, allocation).offset, 0);
    sxvkVirtualFree(site.block, allocation);
    site_close(&site);
    site_prepare(&site, 1000);
    site.info.flags = SXVK_VIRTUAL_BLOCK_CREATE_LINEAR_ALGORITHM_BIT;
    host_fail(&site.host, 1, UINT32_MAX);
    assert_int_equal(sxvkCreateVirtualBlock(&site.info, &site.block), VK_ERROR_OUT_OF_HOST_MEMORY);
    expect(&site, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
}

/* ------------------------------------------------------------------ what is wrong */

static void refuse_create(Site* site, SxvkMessage message, VkResult result) {
    SxvkVirtualBlock block = (SxvkVirtualBlock)(uintptr_t)1;
    assert_int_equal(sxvkCreateVirtualBlock(&site->info, &block), result);
    assert_null(block);
    expect(site, message, 1);
    assert_int_equal(site->host.calls, 0);
}

static void test_bad_create_infos(void** state) {
    VkAllocationCallbacks callbacks = {0};
    SxvkVirtualBlock block;
    Site site;
    (void)state;
    site_prepare(&site, 0);
    refuse_create(&site, SXVK_MESSAGE_BAD_SIZE, VK_ERROR_VALIDATION_FAILED_EXT);
    site.info.size = 256 * GIB - 1;
    refuse_create(&site, SXVK_MESSAGE_BAD_SIZE, VK_ERROR_VALIDATION_FAILED_EXT);
    site.info.size = 100;
    site.info.granularity = 3;
    refuse_create(&site, SXVK_MESSAGE_BAD_ALIGNMENT, VK_ERROR_VALIDATION_FAILED_EXT);
    site.info.granularity = 8;
    refuse_create(&site, SXVK_MESSAGE_BAD_SIZE, VK_ERROR_VALIDATION_FAILED_EXT);
    site.info.granularity = 0;
    site.info.flags = 2;
    refuse_create(&site, SXVK_MESSAGE_UNKNOWN_FLAGS, VK_ERROR_VALIDATION_FAILED_EXT);
    site.info.flags = 0;
    site.info.pAllocationCallbacks = &callbacks;
    refuse_create(&site, SXVK_MESSAGE_NULL_ARGUMENT, VK_ERROR_VALIDATION_FAILED_EXT);
    assert_int_equal(sxvkCreateVirtualBlock(NULL, &block), VK_ERROR_VALIDATION_FAILED_EXT);
    assert_int_equal(sxvkCreateVirtualBlock(&site.info, NULL), VK_ERROR_VALIDATION_FAILED_EXT);
}

static void refuse(Site* site, VkDeviceSize size, VkDeviceSize alignment, VkFlags flags,
                   SxvkMessage message) {
    SxvkVirtualAllocation allocation = (SxvkVirtualAllocation)(uintptr_t)1;
    VkDeviceSize offset = 0;
    assert_int_equal(try_take(site, size, alignment, flags, &allocation, &offset),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_null(allocation);
    assert_true(offset == VK_WHOLE_SIZE);
    expect(site, message, 1);
    check(site);
}

static void test_bad_requests(void** state) {
    SxvkVirtualAllocationCreateInfo info = {0};
    SxvkVirtualAllocation allocation;
    SxvkStatistics stats;
    SxvkDetailedStatistics detailed;
    VkDeviceSize offset;
    char* text;
    Site site;
    (void)state;
    for (uint32_t round = 0; round < 2; round++) {
        site_open(&site, round == 0 ? 100 : 100000); /* without slabs, and with them */
        refuse(&site, 0, 0, 0, SXVK_MESSAGE_BAD_SIZE);
        refuse(&site, 0, 64, 0, SXVK_MESSAGE_BAD_SIZE);
        refuse(&site, 1, 3, 0, SXVK_MESSAGE_BAD_ALIGNMENT);
        refuse(&site, 1, 0, 1, SXVK_MESSAGE_UNKNOWN_FLAGS);
        refuse(&site, 1, 0, MIN_TIME | MIN_MEMORY, SXVK_MESSAGE_CONFLICTING_FLAGS);
        refuse(&site, 1, 0, UPPER, SXVK_MESSAGE_CONFLICTING_FLAGS);
        assert_int_equal(
            try_take(&site, UINT64_MAX, (VkDeviceSize)1 << 63, 0, &allocation, &offset),
            VK_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_int_equal(sxvkVirtualAllocate(site.block, NULL, &allocation, NULL),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        assert_int_equal(sxvkVirtualAllocate(site.block, &info, NULL, &offset),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        expect(&site, SXVK_MESSAGE_NULL_ARGUMENT, 2);
        assert_int_equal(sxvkSetVirtualAllocationUserData(site.block, NULL, &site),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        expect(&site, SXVK_MESSAGE_NULL_ARGUMENT, 1);
        assert_int_equal(sxvkBuildVirtualBlockStatsString(site.block, NULL, VK_TRUE),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        expect(&site, SXVK_MESSAGE_NULL_ARGUMENT, 1);
        assert_int_equal(sxvkGrowVirtualBlock(site.block, 256 * GIB),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        expect(&site, SXVK_MESSAGE_BAD_SIZE, 1);
        site_close(&site);
    }
    /* Where there is to be a block, the info says whom to tell; without one there is nobody. */
    site_prepare(&site, 100);
    assert_int_equal(sxvkCreateVirtualBlock(&site.info, NULL), VK_ERROR_VALIDATION_FAILED_EXT);
    expect(&site, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    info.size = 1;
    assert_int_equal(sxvkVirtualAllocate(NULL, &info, &allocation, &offset),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_int_equal(sxvkGrowVirtualBlock(NULL, 5), VK_ERROR_VALIDATION_FAILED_EXT);
    assert_int_equal(sxvkBuildVirtualBlockStatsString(NULL, &text, VK_TRUE),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_true(sxvkIsVirtualBlockEmpty(NULL));
    sxvkGetVirtualBlockStatistics(NULL, &stats);
    sxvkCalculateVirtualBlockStatistics(NULL, &detailed);
    assert_int_equal(stats.blockCount + detailed.statistics.blockCount, 0);
    sxvkVirtualFree(NULL, NULL);
    sxvkClearVirtualBlock(NULL);
    sxvkDestroyVirtualBlock(NULL);
}

static void test_destroy_reports_what_lives(void** state) {
    Site site;
    VkDeviceSize offset;
    (void)state;
    site_open(&site, 100);
    (void)take(&site, 5, &offset);
    (void)take(&site, 6, &offset);
    sxvkDestroyVirtualBlock(site.block);
    assert_non_null(strstr(site.messages.text, ": 2 "));
    expect(&site, SXVK_MESSAGE_LEAKED_ALLOCATION, 1);
    assert_int_equal(site.host.liveCount, 0);
}

/* ------------------------------------------------------------------ host memory that fails */

static void test_create_fails(void** state) {
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        Site site;
        VkResult result;
        site_prepare(&site, 1000000);
        host_fail(&site.host, nth, 1);
        result = sxvkCreateVirtualBlock(&site.info, &site.block);
        if (site.host.failed == 0) {
            assert_int_equal(result, VK_SUCCESS);
            assert_true(nth > 3);
            site_close(&site);
            return;
        }
        assert_int_equal(result, VK_ERROR_OUT_OF_HOST_MEMORY);
        assert_null(site.block);
        expect(&site, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
        assert_int_equal(site.host.liveCount, 0);
    }
}

/*  Whatever fails, nothing has changed, and the next try succeeds. */
static void test_operations_fail(void** state) {
    static SxvkVirtualAllocation all[MANY];
    uint32_t failures = 0;
    Site site;
    (void)state;
    site_open(&site, 100000);
    for (uint32_t i = 0; i < MANY; i++) {
        SxvkVirtualAllocationCreateInfo info = {0};
        SxvkStatistics before = statistics(&site);
        VkDeviceSize offset = 0;
        VkResult result;
        info.size = i % 4 + 1;
        info.pUserData = i % 2 == 0 ? &site : NULL;
        host_fail(&site.host, 1, UINT32_MAX);
        result = sxvkVirtualAllocate(site.block, &info, &all[i], &offset);
        host_fail(&site.host, 1, 0);
        if (result != VK_SUCCESS) {
            SxvkStatistics after = statistics(&site);
            failures++;
            assert_int_equal(result, VK_ERROR_OUT_OF_HOST_MEMORY);
            assert_null(all[i]);
            assert_true(offset == VK_WHOLE_SIZE);
            assert_memory_equal(&before, &after, sizeof before);
            check(&site);
            assert_int_equal(sxvkVirtualAllocate(site.block, &info, &all[i], &offset), VK_SUCCESS);
        }
    }
    assert_true(failures > 100);
    assert_int_equal(site.messages.counts[SXVK_MESSAGE_OUT_OF_HOST_MEMORY], failures);
    messages_clear(&site.messages);
    host_fail(&site.host, 1, UINT32_MAX);
    assert_int_equal(sxvkGrowVirtualBlock(site.block, 100 * GIB), VK_ERROR_OUT_OF_HOST_MEMORY);
    assert_int_equal(statistics(&site).blockBytes, 100000);
    check(&site);
    host_fail(&site.host, 2, UINT32_MAX);
    assert_int_equal(sxvkGrowVirtualBlock(site.block, 100 * GIB), VK_ERROR_OUT_OF_HOST_MEMORY);
    check(&site);
    expect(&site, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 2);
    for (uint64_t nth = 1; nth < 5; nth++) {
        char* text = NULL;
        host_fail(&site.host, nth, UINT32_MAX);
        assert_int_equal(sxvkBuildVirtualBlockStatsString(site.block, &text, VK_TRUE),
                         VK_ERROR_OUT_OF_HOST_MEMORY);
        assert_null(text);
        expect(&site, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
    }
    for (uint32_t i = 0; i < MANY; i += 2) {
        sxvkVirtualFree(site.block, all[i]); /* needs no memory */
    }
    sxvkClearVirtualBlock(site.block);
    host_fail(&site.host, 1, 0);
    assert_int_equal(sxvkGrowVirtualBlock(site.block, 100 * GIB), VK_SUCCESS);
    site_close(&site);
}

/* ------------------------------------------------------------------ the checker, checked */

static void test_checker(void** state) {
    Site site;
    VkDeviceSize offset;
    sxvki_slab* slab;
    (void)state;
    site_open(&site, 64 * MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        (void)take(&site, 64, &offset);
    }
    check(&site);
    site.block->domain.live_count++;
    assert_false(sxvki_virtual_is_valid(site.block));
    site.block->domain.live_count--;
    site.block->domain.live_bytes += 16;
    assert_false(sxvki_virtual_is_valid(site.block));
    site.block->domain.live_bytes -= 16;
    site.block->domain.slab_count--;
    assert_false(sxvki_virtual_is_valid(site.block));
    site.block->domain.slab_count++;
    site.block->size--;
    assert_false(sxvki_virtual_is_valid(site.block));
    site.block->size++;
    slab = sxvki_slab_at(&site.block->records, 0);
    slab->slot_size++;
    assert_false(sxvki_virtual_is_valid(site.block));
    slab->slot_size--;
    slab->slots[slab->slot_count].generation++;
    assert_false(sxvki_virtual_is_valid(site.block));
    slab->slots[slab->slot_count].generation--;
    check(&site);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

static void test_checker_of_linear_blocks(void** state) {
    Site site;
    (void)state;
    site_open_linear(&site, 100);
    for (uint32_t i = 0; i < 10; i++) {
        (void)take_at(&site, 5, 0, 5 * i);
    }
    site.block->domain.live_bytes += 16;
    assert_false(sxvki_virtual_is_valid(site.block));
    site.block->domain.live_bytes -= 16;
    site.block->domain.live_count--;
    assert_false(sxvki_virtual_is_valid(site.block));
    site.block->domain.live_count++;
    site.block->size = 49;
    assert_false(sxvki_virtual_is_valid(site.block));
    site.block->size = 100;
    site.block->domain.linear.stale = site.block->domain.linear.spare;
    assert_false(sxvki_virtual_is_valid(site.block));
    site.block->domain.linear.stale = SXVKI_NONE;
    check(&site);
    sxvkClearVirtualBlock(site.block);
    site_close(&site);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_size),
        cmocka_unit_test(test_beyond_4_gib),
        cmocka_unit_test(test_granularity),
        cmocka_unit_test(test_strategies),
        cmocka_unit_test(test_tight_block),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_equal_sizes_fill_the_block),
        cmocka_unit_test(test_last_resort_is_a_slot),
        cmocka_unit_test(test_stale_handles),
        cmocka_unit_test(test_user_data),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_linear_free_at_once),
        cmocka_unit_test(test_linear_stack),
        cmocka_unit_test(test_linear_double_stack),
        cmocka_unit_test(test_linear_ring),
        cmocka_unit_test(test_linear_handles),
        cmocka_unit_test(test_linear_grow),
        cmocka_unit_test(test_linear_granularity),
        cmocka_unit_test(test_linear_statistics),
        cmocka_unit_test(test_linear_host_memory_fails),
        cmocka_unit_test(test_bad_create_infos),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_destroy_reports_what_lives),
        cmocka_unit_test(test_create_fails),
        cmocka_unit_test(test_operations_fail),
        cmocka_unit_test(test_checker),
        cmocka_unit_test(test_checker_of_linear_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
