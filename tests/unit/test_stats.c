/*  test_stats.c - statistics, the dump, margins, and the integrity check itself.

    Three books are kept of each random state and compared: the allocator's counters, its walk over
    all ranges, and the test's own; and the dump is read back with cJSON. Then every invariant is
    broken by hand, to see that the check finds it. Run by CTest (unit.stats).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)

/* Memory types of sim_profile_discrete. */
enum { LOCAL, HOST, CACHED, BAR, TYPES };

/* ------------------------------------------------------------- a random state, and a book of it */

#define SLOTS 160

typedef struct Book {
    SxvkStatistics types[TYPES];
    VkDeviceSize min[TYPES];
    VkDeviceSize max[TYPES];
} Book;

typedef struct World {
    Rig* rig;
    SxvkPool pools[3];
    SxvkAllocation live[SLOTS];
} World;

static const char nasty_name[] = "quote \" backslash \\ tab \t newline \n bell \a slash / \x7f end";

static World make_world(uint64_t seed, uint32_t steps) {
    static const SxvkPoolCreateInfo pool_infos[3] = {
        {.memoryTypeIndex = HOST},
        {.memoryTypeIndex = LOCAL, .blockSize = 2 * MIB, .minBlockCount = 1},
        {.memoryTypeIndex = HOST, .blockSize = MIB + 48, .minAllocationAlignment = 512},
    };
    World world;
    uint32_t i;
    memset(&world, 0, sizeof world);
    world.rig = rig_create(NULL);
    for (i = 0; i < 3; i++) {
        assert_int_equal(sxvkCreatePool(world.rig->allocator, &pool_infos[i], &world.pools[i]),
                         VK_SUCCESS);
    }
    assert_int_equal(sxvkSetPoolName(world.rig->allocator, world.pools[1], nasty_name), VK_SUCCESS);
    for (i = 0; i < steps; i++) {
        uint32_t slot = testing_below(&seed, SLOTS);
        uint32_t pool = testing_below(&seed, 6);
        VkDeviceSize size = testing_log_uniform(&seed, 1, pool < 3 ? MIB : 3 * MIB);
        VkMemoryRequirements requirements =
            testing_requirements(size, (VkDeviceSize)1 << testing_below(&seed, 12),
                                 pool < 3 ? UINT32_MAX : 1u << testing_below(&seed, TYPES));
        SxvkAllocationCreateInfo create = {0};
        sxvkFreeMemory(world.rig->allocator, world.live[slot]);
        create.pool = pool < 3 ? world.pools[pool] : VK_NULL_HANDLE;
        create.flags = testing_below(&seed, 20) == 0
                           ? (VkFlags)SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT
                           : 0;
        create.pName = testing_below(&seed, 5) == 0 ? nasty_name : NULL;
        create.pUserData = testing_below(&seed, 7) == 0 ? &world : NULL;
        if (sxvkAllocateMemory(world.rig->allocator, &requirements, &create, &world.live[slot],
                               NULL) != VK_SUCCESS) {
            /* With its alignment it did not fit into a block of fixed size. */
            assert_true(create.pool != VK_NULL_HANDLE);
            messages_clear(&world.rig->messages);
        }
    }
    return world;
}

static void destroy_world(World* world) {
    uint32_t i;
    sxvkFreeMemoryPages(world->rig->allocator, SLOTS, world->live);
    for (i = 0; i < 3; i++) {
        sxvkDestroyPool(world->rig->allocator, world->pools[i]);
    }
    rig_destroy(world->rig);
}

/*  Allocations by the handles that the test holds; blocks by the device. */
static Book make_book(const World* world) {
    Book book;
    uint32_t i;
    memset(&book, 0, sizeof book);
    for (i = 0; i < TYPES; i++) {
        book.min[i] = VK_WHOLE_SIZE;
    }
    for (i = 0; i < SLOTS; i++) {
        if (world->live[i] != VK_NULL_HANDLE) {
            SxvkAllocationInfo info;
            sxvkGetAllocationInfo(world->rig->allocator, world->live[i], &info);
            book.types[info.memoryType].allocationCount++;
            book.types[info.memoryType].allocationBytes += info.size;
            book.min[info.memoryType] = sxvki_min64(book.min[info.memoryType], info.size);
            book.max[info.memoryType] = sxvki_max64(book.max[info.memoryType], info.size);
        }
    }
    return book;
}

static void add(SxvkStatistics* to, const SxvkStatistics* from) {
    to->blockCount += from->blockCount;
    to->blockBytes += from->blockBytes;
    to->allocationCount += from->allocationCount;
    to->allocationBytes += from->allocationBytes;
}

static void assert_same(const SxvkStatistics* a, const SxvkStatistics* b) {
    assert_int_equal(a->blockCount, b->blockCount);
    assert_int_equal(a->blockBytes, b->blockBytes);
    assert_int_equal(a->allocationCount, b->allocationCount);
    assert_int_equal(a->allocationBytes, b->allocationBytes);
}

static void test_fast_is_detailed_is_the_book(void** state) {
    uint64_t seed;
    (void)state;
    for (seed = 1; seed <= 6; seed++) {
        World world = make_world(seed, 200 * (uint32_t)seed);
        Rig* rig = world.rig;
        const VkPhysicalDeviceMemoryProperties* memory;
        Book book = make_book(&world);
        SxvkTotalStatistics total;
        SxvkStatistics sum = {0};
        uint32_t i;
        sxvkGetMemoryProperties(rig->allocator, &memory);
        sxvkCalculateStatistics(rig->allocator, &total);
        for (i = 0; i < TYPES; i++) {
            const SxvkDetailedStatistics* type = &total.memoryType[i];
            assert_int_equal(type->statistics.allocationCount, book.types[i].allocationCount);
            assert_int_equal(type->statistics.allocationBytes, book.types[i].allocationBytes);
            assert_int_equal(type->allocationSizeMin, book.min[i]);
            assert_int_equal(type->allocationSizeMax, book.max[i]);
            assert_true(type->unusedRangeSizeMax <= type->statistics.blockBytes);
            add(&sum, &type->statistics);
        }
        assert_same(&sum, &total.total.statistics);
        for (i = 0; i < memory->memoryHeapCount; i++) {
            SxvkBudget budget;
            sxvkGetHeapBudget(rig->allocator, i, &budget);
            assert_same(&budget.statistics, &total.memoryHeap[i].statistics);
            assert_int_equal(budget.statistics.blockBytes, sim_live_memory_bytes(rig->sim, i));
        }
        for (i = TYPES; i < VK_MAX_MEMORY_TYPES; i++) {
            assert_int_equal(total.memoryType[i].statistics.blockCount, 0);
            assert_true(total.memoryType[i].allocationSizeMin == VK_WHOLE_SIZE);
        }
        for (i = 0; i < 3; i++) {
            SxvkDetailedStatistics detailed;
            SxvkStatistics fast;
            sxvkGetPoolStatistics(rig->allocator, world.pools[i], &fast);
            sxvkCalculatePoolStatistics(rig->allocator, world.pools[i], &detailed);
            assert_same(&fast, &detailed.statistics);
        }
        rig_check(rig);
        destroy_world(&world);
    }
}

/*  VMA#451: statistics said that a pool was empty while its block was still being freed; the user
    destroyed the pool, and the allocator went on in freed memory. */
typedef struct Impatient {
    Rig* rig;
    SxvkPool pool;
} Impatient;

static void destroy_when_empty(void* pUser, SimCall call) {
    Impatient* impatient = (Impatient*)pUser;
    SxvkStatistics stats;
    if (call != SIM_CALL_FREE_MEMORY || impatient->pool == VK_NULL_HANDLE) {
        return;
    }
    sxvkGetPoolStatistics(impatient->rig->allocator, impatient->pool, &stats);
    if (stats.allocationCount == 0) {
        SxvkPool pool = impatient->pool;
        impatient->pool = VK_NULL_HANDLE;
        sxvkDestroyPool(impatient->rig->allocator, pool);
    }
}

static void test_pool_destroyed_as_soon_as_it_is_empty(void** state) {
    static const SxvkAllocationCreateFlags flags[] = {0,
                                                      SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        SxvkPoolCreateInfo info = {.memoryTypeIndex = LOCAL};
        VkMemoryRequirements requirements = testing_requirements(KIB, 16, UINT32_MAX);
        SxvkAllocationCreateInfo create = {.flags = flags[i]};
        RigOptions options = rig_options();
        SxvkAllocation allocation;
        Impatient impatient;
        Rig* rig;
        options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
        rig = rig_create(&options);
        assert_int_equal(sxvkCreatePool(rig->allocator, &info, &create.pool), VK_SUCCESS);
        assert_int_equal(
            sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocation, NULL),
            VK_SUCCESS);
        sim_set_budget(rig->sim, 0, 1, 0); /* over budget: no empty block is kept */
        sxvkSetCurrentFrameIndex(rig->allocator, 1);
        impatient.rig = rig;
        impatient.pool = create.pool;
        sim_set_call_hook(rig->sim, destroy_when_empty, &impatient);
        sxvkFreeMemory(rig->allocator, allocation);
        assert_null(impatient.pool);
        sim_set_call_hook(rig->sim, NULL, NULL);
        rig_destroy(rig);
    }
}

/* ------------------------------------------------------------------ the dump */

static const cJSON* item(const cJSON* object, const char* key) {
    const cJSON* found = cJSON_GetObjectItemCaseSensitive(object, key);
    if (found == NULL) {
        fail_msg("the dump has no \"%s\" here", key);
    }
    return found;
}

static const cJSON* numbered(const cJSON* object, const char* prefix, uint32_t number) {
    char key[32];
    snprintf(key, sizeof key, "%s%u", prefix, number);
    return item(object, key);
}

static uint64_t number(const cJSON* object, const char* key) {
    const cJSON* found = item(object, key);
    assert_true(cJSON_IsNumber(found) && found->valuedouble >= 0);
    return (uint64_t)found->valuedouble;
}

static SxvkDetailedStatistics read_stats(const cJSON* object) {
    const cJSON* stats = item(object, "Stats");
    SxvkDetailedStatistics s;
    memset(&s, 0, sizeof s);
    s.statistics.blockCount = (uint32_t)number(stats, "BlockCount");
    s.statistics.blockBytes = number(stats, "BlockBytes");
    s.statistics.allocationCount = (uint32_t)number(stats, "AllocationCount");
    s.statistics.allocationBytes = number(stats, "AllocationBytes");
    s.unusedRangeCount = (uint32_t)number(stats, "UnusedRangeCount");
    return s;
}

/*  What the ranges of a dump sum up to; names and user data that were seen. */
typedef struct Seen {
    SxvkStatistics stats;
    uint32_t unusedRanges;
    uint32_t names;
    uint32_t customData;
} Seen;

static void see_allocation(Seen* seen, const cJSON* object) {
    const cJSON* name = cJSON_GetObjectItemCaseSensitive(object, "Name");
    seen->stats.allocationCount++;
    seen->stats.allocationBytes += number(object, "Size");
    if (name != NULL) {
        assert_string_equal(name->valuestring, nasty_name);
        seen->names++;
    }
    seen->customData += cJSON_GetObjectItemCaseSensitive(object, "CustomData") != NULL;
}

/*  Ranges follow each other from 0 to the end of the block. */
static void see_block(Seen* seen, const cJSON* block) {
    uint64_t total = number(block, "TotalBytes");
    uint64_t end = 0, used = 0, allocations = 0, gaps = 0;
    bool after_gap = false;
    const cJSON* range;
    cJSON_ArrayForEach(range, item(block, "Suballocations")) {
        bool gap = strcmp(item(range, "Type")->valuestring, "FREE") == 0;
        assert_int_equal(number(range, "Offset"), end);
        assert_true(number(range, "Size") != 0);
        assert_false(gap && after_gap);
        end += number(range, "Size");
        if (gap) {
            gaps++;
        } else {
            see_allocation(seen, range);
            allocations++;
            used += number(range, "Size");
        }
        after_gap = gap;
    }
    assert_int_equal(end, total);
    assert_int_equal(number(block, "UnusedBytes"), total - used);
    assert_int_equal(number(block, "Allocations"), allocations);
    assert_int_equal(number(block, "UnusedRanges"), gaps);
    assert_int_equal(number(block, "MapRefCount"), 0);
    seen->stats.blockCount++;
    seen->stats.blockBytes += total;
    seen->unusedRanges += (uint32_t)gaps;
}

static void see_pool(Seen* seen, const cJSON* pool) {
    const cJSON* child;
    assert_true(number(pool, "PreferredBlockSize") != 0);
    cJSON_ArrayForEach(child, item(pool, "Blocks")) {
        see_block(seen, child);
    }
    cJSON_ArrayForEach(child, item(pool, "DedicatedAllocations")) {
        see_allocation(seen, child);
        seen->stats.blockCount++;
        seen->stats.blockBytes += number(child, "Size");
    }
}

static cJSON* parse_dump(Rig* rig, VkBool32 detailed) {
    char* text;
    cJSON* json;
    assert_int_equal(sxvkBuildStatsString(rig->allocator, &text, detailed), VK_SUCCESS);
    json = cJSON_ParseWithOpts(text, NULL, 1); /* and nothing behind it */
    if (json == NULL) {
        fail_msg("not JSON: %.60s", cJSON_GetErrorPtr());
    }
    sxvkFreeStatsString(rig->allocator, text);
    return json;
}

static void check_dump(World* world) {
    Rig* rig = world->rig;
    const VkPhysicalDeviceMemoryProperties* memory;
    cJSON* json = parse_dump(rig, VK_TRUE);
    SxvkTotalStatistics truth;
    SxvkDetailedStatistics total = read_stats(item(json, "Total"));
    SxvkStatistics heaps_sum = {0};
    uint32_t named_pools = 0;
    uint32_t heap, type;
    sxvkGetMemoryProperties(rig->allocator, &memory);
    sxvkCalculateStatistics(rig->allocator, &truth);
    assert_same(&total.statistics, &truth.total.statistics);
    assert_int_equal(total.unusedRangeCount, truth.total.unusedRangeCount);
    for (heap = 0; heap < memory->memoryHeapCount; heap++) {
        const cJSON* object = numbered(item(json, "MemoryInfo"), "Heap ", heap);
        SxvkDetailedStatistics stats = read_stats(object);
        SxvkStatistics types_sum = {0};
        assert_int_equal(number(object, "Size"), memory->memoryHeaps[heap].size);
        assert_true(number(item(object, "Budget"), "BudgetBytes") <=
                    memory->memoryHeaps[heap].size);
        assert_int_equal(number(item(object, "Budget"), "UsageBytes"),
                         sim_live_memory_bytes(rig->sim, heap));
        for (type = 0; type < memory->memoryTypeCount; type++) {
            if (memory->memoryTypes[type].heapIndex == heap) {
                const cJSON* type_object = numbered(item(object, "MemoryPools"), "Type ", type);
                SxvkDetailedStatistics type_stats = read_stats(type_object);
                assert_same(&type_stats.statistics, &truth.memoryType[type].statistics);
                assert_int_equal(type_stats.unusedRangeCount,
                                 truth.memoryType[type].unusedRangeCount);
                add(&types_sum, &type_stats.statistics);
            }
        }
        assert_same(&types_sum, &stats.statistics);
        add(&heaps_sum, &stats.statistics);
    }
    assert_same(&heaps_sum, &total.statistics);

    for (type = 0; type < memory->memoryTypeCount; type++) {
        char key[32];
        const cJSON* pools;
        const cJSON* pool;
        Seen seen = {0};
        snprintf(key, sizeof key, "Type %u", type);
        pool = cJSON_GetObjectItemCaseSensitive(item(json, "DefaultPools"), key);
        if (pool != NULL) {
            see_pool(&seen, pool);
        }
        pools = cJSON_GetObjectItemCaseSensitive(item(json, "CustomPools"), key);
        cJSON_ArrayForEach(pool, pools) {
            const cJSON* name = cJSON_GetObjectItemCaseSensitive(pool, "Name");
            if (name != NULL) {
                assert_string_equal(name->valuestring, nasty_name);
                named_pools++;
            }
            see_pool(&seen, pool);
        }
        assert_same(&seen.stats, &truth.memoryType[type].statistics);
        assert_int_equal(seen.unusedRanges, truth.memoryType[type].unusedRangeCount);
        assert_true(seen.names == 0 || seen.stats.allocationCount >= seen.names);
    }
    assert_int_equal(named_pools, 1);
    cJSON_Delete(json);
}

static void test_the_dump_adds_up(void** state) {
    uint64_t seed;
    (void)state;
    for (seed = 11; seed <= 16; seed++) {
        World world = make_world(seed, 100 * (uint32_t)(seed - 10));
        check_dump(&world);
        destroy_world(&world);
    }
}

/*  Of an empty allocator, and without the map of ranges. */
static void test_short_dumps(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocation;
    const cJSON* general;
    cJSON* json;
    (void)state;
    json = parse_dump(rig, VK_TRUE);
    general = item(json, "General");
    assert_string_equal(item(general, "API")->valuestring, "Vulkan");
    assert_string_equal(item(general, "apiVersion")->valuestring, "1.3");
    assert_string_equal(item(general, "deviceType")->valuestring, "DISCRETE_GPU");
    assert_int_equal(number(general, "bufferImageGranularity"), 1024);
    assert_int_equal(number(general, "memoryTypeCount"), TYPES);
    assert_int_equal(read_stats(item(json, "Total")).statistics.blockCount, 0);
    cJSON_Delete(json);

    allocation = rig_allocate(rig, LOCAL, KIB);
    json = parse_dump(rig, VK_FALSE);
    assert_null(cJSON_GetObjectItemCaseSensitive(json, "DefaultPools"));
    assert_null(cJSON_GetObjectItemCaseSensitive(json, "CustomPools"));
    assert_int_equal(read_stats(item(json, "Total")).statistics.allocationBytes, KIB);
    cJSON_Delete(json);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

/*  Kind and usage of resources stand in the dump. */
static void test_dump_of_resources(void** state) {
    VkBufferCreateInfo buffer_info = testing_buffer(1000, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(64, 64, VK_IMAGE_TILING_OPTIMAL);
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO};
    Rig* rig = rig_create(NULL);
    SxvkAllocation a, b;
    VkBuffer buffer;
    VkImage image;
    const cJSON* block;
    const cJSON* range;
    uint32_t buffers = 0, images = 0;
    cJSON* json;
    (void)state;
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &a, NULL),
                     VK_SUCCESS);
    assert_int_equal(sxvkCreateImage(rig->allocator, &image_info, &create, &image, &b, NULL),
                     VK_SUCCESS);
    json = parse_dump(rig, VK_TRUE);
    cJSON_ArrayForEach(block,
                       item(numbered(item(json, "DefaultPools"), "Type ", LOCAL), "Blocks")) {
        cJSON_ArrayForEach(range, item(block, "Suballocations")) {
            const char* type = item(range, "Type")->valuestring;
            if (strcmp(type, "BUFFER") == 0) {
                assert_int_equal(number(range, "Usage"), buffer_info.usage);
                buffers++;
            } else if (strcmp(type, "IMAGE_OPTIMAL") == 0) {
                assert_int_equal(number(range, "Usage"), image_info.usage);
                images++;
            }
        }
    }
    assert_int_equal(buffers, 1);
    assert_int_equal(images, 1);
    cJSON_Delete(json);
    sxvkDestroyBuffer(rig->allocator, buffer, a);
    sxvkDestroyImage(rig->allocator, image, b);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ margins */

static Rig* margin_rig(SxvkDebugInfo* debug, VkDeviceSize margin, SxvkAllocatorCreateFlags flags) {
    RigOptions options = rig_options();
    memset(debug, 0, sizeof *debug);
    debug->margin = margin;
    options.info.pDebugInfo = debug;
    options.info.flags = flags;
    options.sim.backing = true;
    return rig_create(&options);
}

static unsigned char* map(Rig* rig, SxvkAllocation allocation) {
    void* data;
    assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_SUCCESS);
    return (unsigned char*)data;
}

static void test_margins(void** state) {
    static const VkDeviceSize margins[] = {4, 16, 60, 4096};
    static const SxvkAllocatorCreateFlags flags[] = {0,
                                                     SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT};
    size_t m;
    (void)state;
    for (m = 0; m < 8; m++) {
        VkDeviceSize margin = margins[m / 2];
        SxvkDebugInfo debug;
        Rig* rig = margin_rig(&debug, margin, flags[m % 2]);
        SxvkAllocation allocations[10];
        unsigned char* data;
        size_t i;
        for (i = 0; i < 10; i++) {
            allocations[i] = rig_allocate(rig, HOST, 100 + i);
            data = map(rig, allocations[i]);
            memset(data, 0xFF, 100 + i); /* all that is ours */
            sxvkUnmapMemory(rig->allocator, allocations[i]);
        }
        assert_int_equal(sxvkCheckCorruption(rig->allocator, UINT32_MAX), VK_SUCCESS);

        /* The first and the last byte of a margin. */
        data = map(rig, allocations[3]);
        data[103] ^= 1;
        assert_int_equal(sxvkCheckCorruption(rig->allocator, 1u << HOST), VK_ERROR_UNKNOWN);
        rig_expect(rig, SXVK_MESSAGE_CORRUPTED_MARGIN, 1);
        assert_int_equal(sxvkCheckCorruption(rig->allocator, 1u << LOCAL),
                         VK_ERROR_FEATURE_NOT_PRESENT);
        data[103] ^= 1;
        assert_int_equal(sxvkCheckCorruption(rig->allocator, 1u << HOST), VK_SUCCESS);
        data[103 + margin - 1] ^= 0x80;
        sxvkUnmapMemory(rig->allocator, allocations[3]);
        assert_int_equal(sxvkSetAllocationName(rig->allocator, allocations[3], "overrun"),
                         VK_SUCCESS);
        assert_int_equal(sxvkCheckCorruption(rig->allocator, UINT32_MAX), VK_ERROR_UNKNOWN);
        rig_expect(rig, SXVK_MESSAGE_CORRUPTED_MARGIN, 1);
        for (i = 0; i < 10; i++) {
            sxvkFreeMemory(rig->allocator, allocations[i]);
        }
        assert_non_null(strstr(rig->messages.text, "overrun"));
        rig_expect(rig, SXVK_MESSAGE_CORRUPTED_MARGIN, 1);
        assert_int_equal(sxvkCheckCorruption(rig->allocator, UINT32_MAX),
                         VK_ERROR_FEATURE_NOT_PRESENT);
        rig_destroy(rig);
    }
}

/*  Margins are checked for as long as the allocation lives, whoever maps and unmaps the block. */
static void test_margins_outlive_maps(void** state) {
    VkMemoryRequirements requirements = testing_requirements(100, 4, 1u << HOST);
    SxvkAllocationCreateInfo mapped = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT};
    SxvkDebugInfo debug;
    Rig* rig = margin_rig(&debug, 16, SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT);
    SxvkAllocation first, second;
    SxvkAllocationInfo info;
    unsigned char* data;
    (void)state;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &mapped, &first, &info),
                     VK_SUCCESS);
    second = rig_allocate(rig, HOST, 100);
    sxvkFreeMemory(rig->allocator, first);
    data = map(rig, second);
    data[100] ^= 1;
    sxvkUnmapMemory(rig->allocator, second);
    assert_int_equal(sxvkCheckCorruption(rig->allocator, UINT32_MAX), VK_ERROR_UNKNOWN);
    rig_expect(rig, SXVK_MESSAGE_CORRUPTED_MARGIN, 1);
    sxvkFreeMemory(rig->allocator, second);
    rig_expect(rig, SXVK_MESSAGE_CORRUPTED_MARGIN, 1);
    rig_destroy(rig);
}

static void test_margins_of_a_pool(void** state) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = HOST, .blockSize = MIB};
    VkMemoryRequirements requirements = testing_requirements(100, 4, 1u << HOST);
    SxvkAllocationCreateInfo create = {0};
    SxvkAllocation allocation;
    SxvkDebugInfo debug;
    Rig* rig = margin_rig(&debug, 16, 0);
    SxvkPool pool;
    unsigned char* data;
    (void)state;
    assert_int_equal(sxvkCreatePool(rig->allocator, &info, &pool), VK_SUCCESS);
    assert_int_equal(sxvkCheckPoolCorruption(rig->allocator, pool), VK_ERROR_FEATURE_NOT_PRESENT);
    create.pool = pool;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocation, NULL),
                     VK_SUCCESS);
    assert_int_equal(sxvkCheckPoolCorruption(rig->allocator, pool), VK_SUCCESS);
    data = map(rig, allocation);
    data[101] = 0;
    assert_int_equal(sxvkCheckPoolCorruption(rig->allocator, pool), VK_ERROR_UNKNOWN);
    rig_expect(rig, SXVK_MESSAGE_CORRUPTED_MARGIN, 1);
    data[101] = SXVKI_MARGIN_BYTE;
    assert_int_equal(sxvkCheckPoolCorruption(rig->allocator, pool), VK_SUCCESS);
    sxvkUnmapMemory(rig->allocator, allocation);
    sxvkFreeMemory(rig->allocator, allocation);
    sxvkDestroyPool(rig->allocator, pool);
    rig_destroy(rig);
}

/*  Device memory has no margins, and dedicated memory ends with the allocation. */
static void test_no_margins(void** state) {
    VkMemoryRequirements requirements = testing_requirements(100, 4, 1u << HOST);
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    SxvkAllocation dedicated, device;
    SxvkDebugInfo debug;
    Rig* rig = margin_rig(&debug, 16, 0);
    (void)state;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &dedicated, NULL),
                     VK_SUCCESS);
    device = rig_allocate(rig, LOCAL, 100);
    assert_int_equal(sxvkCheckCorruption(rig->allocator, UINT32_MAX), VK_ERROR_FEATURE_NOT_PRESENT);
    sxvkFreeMemory(rig->allocator, dedicated);
    sxvkFreeMemory(rig->allocator, device);
    rig_destroy(rig);
    rig = rig_create(NULL); /* and without the option there are none at all */
    device = rig_allocate(rig, HOST, 100);
    assert_int_equal(sxvkCheckCorruption(rig->allocator, UINT32_MAX), VK_ERROR_FEATURE_NOT_PRESENT);
    sxvkFreeMemory(rig->allocator, device);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ the checkers are checked */

static void assert_broken(Rig* rig, const char* what) {
    if (sxvkCheckIntegrity(rig->allocator) != VK_ERROR_UNKNOWN) {
        fail_msg("not found: %s", what);
    }
    rig_expect(rig, SXVK_MESSAGE_BROKEN_INVARIANT, 1);
}

/*  Break one thing, see it found, mend it, see peace. */
#define BREAKS(rig, lvalue, wrong)                                                                 \
    do {                                                                                           \
        unsigned char saved_[sizeof(lvalue)];                                                      \
        memcpy(saved_, &(lvalue), sizeof saved_);                                                  \
        (lvalue) = (wrong);                                                                        \
        assert_broken((rig), #lvalue " = " #wrong);                                                \
        memcpy(&(lvalue), saved_, sizeof saved_);                                                  \
        assert_int_equal(sxvkCheckIntegrity((rig)->allocator), VK_SUCCESS);                        \
    } while (0)

static void test_broken_domains_are_found(void** state) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = LOCAL, .blockSize = MIB, .minBlockCount = 4};
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocations[9];
    VkMemoryRequirements requirements = testing_requirements(200 * KIB, 16, UINT32_MAX);
    SxvkAllocationCreateInfo create = {0};
    sxvki_device* device;
    sxvki_domain* domain;
    sxvki_block* used;
    sxvki_block* empty;
    sxvki_record* r;
    SxvkPool pool;
    size_t i;
    (void)state;
    assert_int_equal(sxvkCreatePool(rig->allocator, &info, &pool), VK_SUCCESS);
    create.pool = pool;
    for (i = 0; i < 9; i++) {
        assert_int_equal(
            sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocations[i], NULL),
            VK_SUCCESS);
    }
    sxvkFreeMemory(rig->allocator, allocations[1]);
    sxvkFreeMemory(rig->allocator, allocations[3]);
    device = &rig->allocator->device;
    domain = sxvki_pool_domain(pool, 0);
    used = sxvki_block_at(device, domain->block_first);
    empty = sxvki_block_at(device, domain->empty_first);
    assert_ptr_not_equal(used, empty);

    BREAKS(rig, domain->live_count, domain->live_count + 1);
    BREAKS(rig, domain->live_bytes, domain->live_bytes - 1);
    BREAKS(rig, domain->block_bytes, domain->block_bytes + 16);
    BREAKS(rig, domain->listed_count, domain->listed_count - 1);
    BREAKS(rig, domain->listed_count, domain->listed_count + 1);
    BREAKS(rig, domain->empty_count, domain->empty_count + 1);
    BREAKS(rig, domain->empty_bytes, 0);
    BREAKS(rig, domain->empty_first, domain->block_first);
    BREAKS(rig, domain->empty_first, SXVKI_NONE);
    BREAKS(rig, domain->block_last, domain->block_first);
    BREAKS(rig, domain->block_first, used->next);

    BREAKS(rig, used->live_count, used->live_count + 1);
    BREAKS(rig, used->live_count, 0);
    BREAKS(rig, used->domain, NULL);
    BREAKS(rig, used->memory, VK_NULL_HANDLE);
    BREAKS(rig, used->size, used->size + 16);
    BREAKS(rig, used->prev, 0);
    BREAKS(rig, used->next, SXVKI_NONE);
    BREAKS(rig, used->first, empty->first);
    BREAKS(rig, empty->live_count, 1);

    /* Ranges: a live one in the middle of its block, between two others. */
    r = sxvki_record_at(&device->records, sxvki_handle_index(allocations[2]));
    BREAKS(rig, r->place, r->place + 1);
    BREAKS(rig, r->size_low, r->size_low - 1);
    BREAKS(rig, r->size_low, 0);
    BREAKS(rig, r->place, r->place + ((uint64_t)1 << SXVKI_PLACE_BLOCK_SHIFT));
    BREAKS(rig, r->generation, r->generation + 1); /* free, but in no bin */
    BREAKS(rig, r->prev, SXVKI_NONE);
    BREAKS(rig, r->next, SXVKI_NONE);
    BREAKS(rig, r->link_a, r->link_a + 1); /* the tail: bytes that nobody asked for */
    /* And a free one. */
    r = sxvki_record_at(&device->records, r->prev);
    if (sxvki_record_is_live(r)) {
        fail_msg("the neighbour was freed above");
    }
    BREAKS(rig, r->generation, r->generation + 1);
    BREAKS(rig, r->link_a, 12345);
    BREAKS(rig, r->size_low, r->size_low + 1);

    BREAKS(rig, domain->bins.free_count, domain->bins.free_count + 1);
    BREAKS(rig, domain->bins.free_size, domain->bins.free_size - 1);
    BREAKS(rig, domain->bins.top, domain->bins.top ^ 1);
    BREAKS(rig, domain->bins.map[0], domain->bins.map[0] ^ 2);

    allocations[1] = allocations[3] = VK_NULL_HANDLE;
    sxvkFreeMemoryPages(rig->allocator, 9, allocations);
    sxvkDestroyPool(rig->allocator, pool);
    rig_destroy(rig);
}

static void test_broken_dedicated_allocations_are_found(void** state) {
    VkMemoryRequirements requirements = testing_requirements(1000, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocations[3];
    sxvki_device* device;
    sxvki_block* block;
    sxvki_record* r;
    SxvkPool pool;
    size_t i;
    (void)state;
    for (i = 0; i < 3; i++) {
        assert_int_equal(
            sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocations[i], NULL),
            VK_SUCCESS);
    }
    device = &rig->allocator->device;
    pool = sxvki_default_pool(rig->allocator, LOCAL);
    block = sxvki_block_at(device, sxvki_block_at(device, pool->dedicated_first)->next);
    r = sxvki_record_at(&device->records, block->first);

    BREAKS(rig, pool->dedicated_count, 2);
    BREAKS(rig, pool->dedicated_count, 4);
    BREAKS(rig, pool->dedicated_bytes, pool->dedicated_bytes + 1);
    BREAKS(rig, pool->dedicated_live_bytes, 0);
    BREAKS(rig, pool->dedicated_first, block->id);
    BREAKS(rig, block->pool, NULL);
    BREAKS(rig, block->prev, SXVKI_NONE);
    BREAKS(rig, block->next, SXVKI_NONE);
    BREAKS(rig, block->memory, VK_NULL_HANDLE);
    BREAKS(rig, block->first, SXVKI_NONE);
    BREAKS(rig, block->size, 999);
    BREAKS(rig, r->generation, r->generation + 1);
    BREAKS(rig, r->place, r->place + ((uint64_t)1 << SXVKI_PLACE_BLOCK_SHIFT));
    BREAKS(rig, r->place, r->place | 1);
    BREAKS(rig, r->link_a, r->link_a + 1);
    sxvkFreeMemoryPages(rig->allocator, 3, allocations);
    rig_destroy(rig);
}

static void test_broken_budget_is_found(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocation = rig_allocate(rig, LOCAL, KIB);
    sxvki_budget* budget = &rig->allocator->device.budget;
    (void)state;
    BREAKS(rig, budget->heaps[0].block_bytes, budget->heaps[0].limit + 1);
    BREAKS(rig, budget->heaps[2].block_bytes, UINT64_MAX);
    BREAKS(rig, budget->memory_count, budget->max_count + 1);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ counters without a lock */

static void lock_pool(SxvkPool pool, void* context) {
    uint32_t i;
    for (i = 0; i < sxvki_pool_domain_count(pool); i++) {
        sxvki_domain* domain = sxvki_pool_domain(pool, i);
        if (domain != NULL && context != NULL) {
            sxvki_lock_take(&domain->lock);
        } else if (domain != NULL) {
            sxvki_lock_drop(&domain->lock);
        }
    }
    if (context != NULL) {
        sxvki_lock_take(&pool->dedicated_lock);
    } else {
        sxvki_lock_drop(&pool->dedicated_lock);
    }
}

/*  Every lock is held by somebody else, and what is told each frame is told all the same. */
static void test_counters_wait_for_no_lock(void** state) {
    World world = make_world(7, 2000);
    SxvkAllocator allocator = world.rig->allocator;
    SxvkModuleCreateInfo info = {.pName = "textures"};
    SxvkAllocationCreateInfo create = {0};
    VkMemoryRequirements needs = testing_requirements(5000, 16, 1u << LOCAL);
    SxvkBudget before[2], budget;
    SxvkStatistics pool_before, pool;
    SxvkModuleStatistics module_before, module;
    SxvkAllocation allocation;
    uint32_t h;
    (void)state;
    assert_int_equal(sxvkCreateModule(allocator, &info, &create.module), VK_SUCCESS);
    assert_int_equal(sxvkAllocateMemory(allocator, &needs, &create, &allocation, NULL), VK_SUCCESS);
    sxvkGetHeapBudget(allocator, 0, &before[0]);
    sxvkGetHeapBudget(allocator, 1, &before[1]);
    sxvkGetPoolStatistics(allocator, world.pools[1], &pool_before);
    sxvkGetModuleStatistics(allocator, create.module, &module_before);
    alarm(20); /* else it would wait for ever */
    sxvki_visit_pools(allocator, lock_pool, &world);
    sxvki_lock_take(&allocator->pools_lock);
    for (h = 0; h < 2; h++) {
        sxvkGetHeapBudget(allocator, h, &budget);
        assert_memory_equal(&budget, &before[h], sizeof budget);
        assert_true(budget.statistics.allocationCount > 10);
    }
    sxvkGetPoolStatistics(allocator, world.pools[1], &pool);
    assert_memory_equal(&pool, &pool_before, sizeof pool);
    sxvkGetModuleStatistics(allocator, create.module, &module);
    assert_memory_equal(&module, &module_before, sizeof module);
    assert_true(module.unusedShare > 0 && module.allocationBytes == 5000);
    sxvki_lock_drop(&allocator->pools_lock);
    sxvki_visit_pools(allocator, lock_pool, NULL);
    alarm(0);
    sxvkFreeMemory(allocator, allocation);
    sxvkDestroyModule(allocator, create.module);
    destroy_world(&world);
}

#define WORKERS      3
#define WORKER_LIVE  600
#define WORKER_STEPS 12000

typedef struct Bureau {
    Rig* rig;
    SxvkModule module;
    void* live[WORKERS][WORKER_LIVE]; /* atomic; SxvkAllocation */
} Bureau;

typedef struct Worker {
    Bureau* bureau;
    uint32_t number;
} Worker;

/*  Allocate, free what any thread has allocated, make and destroy pools, trim. */
static void* work(void* argument) {
    Worker* worker = (Worker*)argument;
    Bureau* bureau = worker->bureau;
    SxvkAllocator allocator = bureau->rig->allocator;
    uint64_t seed = worker->number + 1;
    uint32_t i;
    for (i = 0; i < WORKER_STEPS; i++) {
        void** slot =
            &bureau->live[testing_below(&seed, WORKERS)][testing_below(&seed, WORKER_LIVE)];
        void* old = sxvki_load_ptr(slot);
        VkMemoryRequirements needs =
            testing_requirements(testing_below(&seed, 50) == 0 ? 300 * KIB : 1024, 16, 1u << LOCAL);
        SxvkAllocationCreateInfo create = {0};
        SxvkAllocation allocation = VK_NULL_HANDLE;
        create.module = i % 8 == 0 ? bureau->module : VK_NULL_HANDLE;
        if (i % 500 == 0) {
            SxvkPoolCreateInfo info = {.memoryTypeIndex = LOCAL, .blockSize = MIB};
            SxvkPool pool;
            assert_int_equal(sxvkCreatePool(allocator, &info, &pool), VK_SUCCESS);
            create.pool = pool;
            assert_int_equal(sxvkAllocateMemory(allocator, &needs, &create, &allocation, NULL),
                             VK_SUCCESS);
            sxvkFreeMemory(allocator, allocation);
            sxvkDestroyPool(allocator, pool);
            sxvkTrim(allocator);
        }
        create.pool = VK_NULL_HANDLE;
        allocation = VK_NULL_HANDLE;
        if (i < WORKER_STEPS / 2 || old == NULL) {
            assert_int_equal(sxvkAllocateMemory(allocator, &needs, &create, &allocation, NULL),
                             VK_SUCCESS);
        }
        if (!sxvki_cas_ptr(slot, &old, allocation)) {
            sxvkFreeMemory(allocator, allocation);
        } else {
            sxvkFreeMemory(allocator, (SxvkAllocation)old);
        }
    }
    return NULL;
}

/*  Meanwhile the numbers are near to what there can be, and in the end exact. */
static void test_counters_while_threads_work(void** state) {
    const uint64_t most = WORKERS * (uint64_t)WORKER_LIVE + WORKERS * (1 + SXVKI_MAIL_MAX) + 100;
    static Bureau bureau;
    SxvkModuleCreateInfo info = {.pName = "office"};
    Worker workers[WORKERS];
    pthread_t threads[WORKERS];
    SxvkModuleStatistics module;
    SxvkTotalStatistics total;
    SxvkBudget budget;
    uint32_t i, k;
    (void)state;
    memset(&bureau, 0, sizeof bureau);
    bureau.rig = rig_create(NULL);
    assert_int_equal(sxvkCreateModule(bureau.rig->allocator, &info, &bureau.module), VK_SUCCESS);
    for (i = 0; i < WORKERS; i++) {
        workers[i].bureau = &bureau;
        workers[i].number = i;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (i = 0; i < 3000; i++) {
        sxvkGetHeapBudget(bureau.rig->allocator, 0, &budget);
        assert_in_range(budget.statistics.allocationCount, 0, most);
        assert_in_range(budget.statistics.allocationBytes, 0, most * 300 * KIB);
        sxvkGetModuleStatistics(bureau.rig->allocator, bureau.module, &module);
        assert_true(module.unusedShare >= 0 && module.unusedShare <= 1);
    }
    for (i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    sxvkGetHeapBudget(bureau.rig->allocator, 0, &budget);
    sxvkCalculateStatistics(bureau.rig->allocator, &total);
    assert_memory_equal(&budget.statistics, &total.memoryHeap[0].statistics,
                        sizeof budget.statistics);
    for (i = 0; i < WORKERS; i++) {
        for (k = 0; k < WORKER_LIVE; k++) {
            sxvkFreeMemory(bureau.rig->allocator, (SxvkAllocation)bureau.live[i][k]);
        }
    }
    sxvkGetHeapBudget(bureau.rig->allocator, 0, &budget);
    assert_int_equal(budget.statistics.allocationCount, 0);
    assert_int_equal(budget.statistics.allocationBytes, 0);
    sxvkDestroyModule(bureau.rig->allocator, bureau.module);
    rig_destroy(bureau.rig);
}

typedef struct Reading {
    SxvkAllocator allocator;
    int ends; /* atomic */
} Reading;

static void* read_on(void* data) {
    Reading* reading = data;
    while (!__atomic_load_n(&reading->ends, __ATOMIC_ACQUIRE)) {
        SxvkBudget budget;
        sxvkGetHeapBudget(reading->allocator, 0, &budget);
    }
    return NULL;
}

/*  However many read, and one always does: this ends. */
static void test_pools_go_while_others_read(void** state) {
    Rig* rig = rig_create(NULL);
    Reading reading = {.allocator = rig->allocator};
    SxvkPoolCreateInfo info = {.memoryTypeIndex = LOCAL};
    SxvkPool pools[50];
    pthread_t threads[4];
    uint32_t i, round;
    (void)state;
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &reading), 0);
    }
    for (round = 0; round < 4; round++) {
        for (i = 0; i < 50; i++) {
            assert_int_equal(sxvkCreatePool(rig->allocator, &info, &pools[i]), VK_SUCCESS);
        }
        for (i = 0; i < 50; i++) {
            sxvkDestroyPool(rig->allocator, pools[i]);
        }
    }
    __atomic_store_n(&reading.ends, 1, __ATOMIC_RELEASE);
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fast_is_detailed_is_the_book),
        cmocka_unit_test(test_pool_destroyed_as_soon_as_it_is_empty),
        cmocka_unit_test(test_the_dump_adds_up),
        cmocka_unit_test(test_short_dumps),
        cmocka_unit_test(test_dump_of_resources),
        cmocka_unit_test(test_margins),
        cmocka_unit_test(test_margins_outlive_maps),
        cmocka_unit_test(test_margins_of_a_pool),
        cmocka_unit_test(test_no_margins),
        cmocka_unit_test(test_broken_domains_are_found),
        cmocka_unit_test(test_broken_dedicated_allocations_are_found),
        cmocka_unit_test(test_broken_budget_is_found),
        cmocka_unit_test(test_counters_wait_for_no_lock),
        cmocka_unit_test(test_counters_while_threads_work),
        cmocka_unit_test(test_pools_go_while_others_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
