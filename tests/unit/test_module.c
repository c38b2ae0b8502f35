/*  test_module.c - who holds how much: modules, their counts, their say in allocations.

    Run by CTest (unit.module).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)

/* Memory types of sim_profile_discrete, and their heaps. */
enum { LOCAL, HOST, CACHED, BAR };
enum { LOCAL_HEAP, HOST_HEAP, BAR_HEAP };

static SxvkModule module_named(Rig* rig, const char* name) {
    SxvkModuleCreateInfo info = {.pName = name};
    SxvkModule module;
    assert_int_equal(sxvkCreateModule(rig->allocator, &info, &module), VK_SUCCESS);
    assert_non_null(module);
    return module;
}

static SxvkModuleStatistics stats_of(Rig* rig, SxvkModule module) {
    SxvkModuleStatistics stats;
    sxvkGetModuleStatistics(rig->allocator, module, &stats);
    return stats;
}

static void expect_held(Rig* rig, SxvkModule module, uint32_t count, VkDeviceSize bytes) {
    SxvkModuleStatistics stats = stats_of(rig, module);
    VkDeviceSize sum = 0;
    uint32_t h;
    for (h = 0; h < VK_MAX_MEMORY_HEAPS; h++) {
        sum += stats.heapBytes[h];
    }
    assert_int_equal(stats.allocationCount, count);
    assert_int_equal(stats.allocationBytes, bytes);
    assert_int_equal(sum, bytes);
    assert_true(stats.peakBytes >= bytes);
    assert_true(sxvki_modules_are_valid(&rig->allocator->device.modules));
}

static VkResult try_allocate(Rig* rig, const SxvkAllocationCreateInfo* info, uint32_t types,
                             VkDeviceSize size, SxvkAllocation* allocation) {
    VkMemoryRequirements requirements = testing_requirements(size, 16, types);
    return sxvkAllocateMemory(rig->allocator, &requirements, info, allocation, NULL);
}

static SxvkAllocation allocate_for(Rig* rig, SxvkModule module, uint32_t type, VkDeviceSize size) {
    SxvkAllocationCreateInfo info = {.module = module};
    SxvkAllocation allocation;
    assert_int_equal(try_allocate(rig, &info, 1u << type, size, &allocation), VK_SUCCESS);
    return allocation;
}

/* ------------------------------------------------------------------ life */

static void test_life(void** state) {
    Rig* rig = rig_create(NULL);
    int tag;
    SxvkModuleCreateInfo info = {.pName = "textures", .softLimit = 7 * MIB, .pUserData = &tag};
    SxvkModule textures, meshes, again;
    SxvkModuleStatistics stats;
    char name[16] = "meshes";
    (void)state;
    assert_int_equal(sxvkCreateModule(rig->allocator, &info, &textures), VK_SUCCESS);
    info.pName = name;
    info.softLimit = 0;
    assert_int_equal(sxvkCreateModule(rig->allocator, &info, &meshes), VK_SUCCESS);
    memset(name, 0, sizeof name); /* it was copied */
    assert_ptr_not_equal(textures, meshes);
    stats = stats_of(rig, textures);
    assert_string_equal(stats.pName, "textures");
    assert_ptr_equal(stats.pUserData, &tag);
    assert_int_equal(stats.softLimit, 7 * MIB);
    assert_int_equal(stats.level, SXVK_PRESSURE_LEVEL_NORMAL);
    assert_true(stats.unusedShare == 0.0f);
    assert_string_equal(stats_of(rig, meshes).pName, "meshes");
    expect_held(rig, textures, 0, 0);

    /* A name names one module, while that lives. */
    info.pName = "textures";
    assert_int_equal(sxvkCreateModule(rig->allocator, &info, &again),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_null(again);
    rig_expect(rig, SXVK_MESSAGE_BAD_STRUCT, 1);
    sxvkDestroyModule(rig->allocator, textures);
    assert_int_equal(sxvkCreateModule(rig->allocator, &info, &again), VK_SUCCESS);
    assert_ptr_not_equal(again, textures);
    sxvkDestroyModule(rig->allocator, again);
    sxvkDestroyModule(rig->allocator, meshes);
    sxvkDestroyModule(rig->allocator, VK_NULL_HANDLE);
    sxvkDestroyModule(VK_NULL_HANDLE, meshes);
    rig_expect_silence(rig);
    rig_destroy(rig);
}

static void test_many(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkModule modules[300];
    char name[24];
    uint32_t i, j;
    (void)state;
    for (i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "module %u", i);
        modules[i] = module_named(rig, name);
        for (j = 0; j < i; j++) {
            assert_ptr_not_equal(modules[i], modules[j]);
        }
    }
    for (i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "module %u", i);
        assert_string_equal(stats_of(rig, modules[i]).pName, name);
        sxvkDestroyModule(rig->allocator, modules[i]);
    }
    rig_destroy(rig);
}

static void test_bad_infos(void** state) {
    static const struct {
        SxvkModuleCreateInfo info;
        SxvkMessage message;
    } cases[] = {
        {{.flags = 1, .pName = "m"}, SXVK_MESSAGE_UNKNOWN_FLAGS},
        {{.pName = NULL}, SXVK_MESSAGE_NULL_ARGUMENT},
        {{.pName = ""}, SXVK_MESSAGE_NULL_ARGUMENT},
        {{.pName = "m", .strategy = (SxvkModuleStrategy)3}, SXVK_MESSAGE_BAD_ENUM},
        {{.pName = "m", .strategy = (SxvkModuleStrategy)-1}, SXVK_MESSAGE_BAD_ENUM},
        {{.pName = "m", .minBufferAlignment = 48}, SXVK_MESSAGE_BAD_ALIGNMENT},
        {{.pName = "m", .minBufferAlignment = (VkDeviceSize)1 << 41}, SXVK_MESSAGE_BAD_ALIGNMENT},
        {{.pName = "m", .warningThreshold = 1.01f}, SXVK_MESSAGE_BAD_SHARE},
        {{.pName = "m", .warningThreshold = -0.1f}, SXVK_MESSAGE_BAD_SHARE},
        {{.pName = "m", .warningThreshold = 0.97f}, SXVK_MESSAGE_BAD_SHARE}, /* CRITICAL is 0.95 */
        {{.pName = "m", .fallbackUsage = (SxvkMemoryUsage)5}, SXVK_MESSAGE_BAD_ENUM},
        {{.pName = "m", .fallbackUsage = (SxvkMemoryUsage)10}, SXVK_MESSAGE_BAD_ENUM},
    };
    Rig* rig = rig_create(NULL);
    SxvkModule module = (SxvkModule)1;
    size_t i;
    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        module = (SxvkModule)1;
        assert_int_equal(sxvkCreateModule(rig->allocator, &cases[i].info, &module),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        assert_null(module);
        rig_expect(rig, cases[i].message, 1);
    }
    assert_int_equal(sxvkCreateModule(rig->allocator, NULL, &module),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    assert_int_equal(sxvkCreateModule(rig->allocator, &cases[0].info, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    assert_int_equal(sxvkCreateModule(VK_NULL_HANDLE, &cases[0].info, &module),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_destroy(rig);
}

/*  Of a destroyed module, of another allocator's, and what never was one: wherever a module is
    named, that is reported, nothing is allocated and nothing is counted. */
static void test_stale_handles(void** state) {
    Rig* rig = rig_create(NULL);
    Rig* other = rig_create(NULL);
    SxvkModule stale = module_named(rig, "stale");
    SxvkModule live, handles[4];
    size_t i;
    (void)state;
    sxvkDestroyModule(rig->allocator, stale);
    live = module_named(rig, "live");
    handles[0] = stale;
    handles[1] = module_named(other, "foreign");
    handles[2] = (SxvkModule)(uintptr_t)0xFFFFu;
    handles[3] = (SxvkModule)((uintptr_t)live | (uintptr_t)1 << (sizeof(uintptr_t) * 8 - 1));
    for (i = 0; i < 4; i++) {
        SxvkAllocationCreateInfo info = {.module = handles[i]};
        SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = LOCAL, .module = handles[i]};
        SxvkFrameRingCreateInfo ring_info = {.module = handles[i]};
        SxvkBufferArenaCreateInfo arena_info = {.module = handles[i],
                                                .usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT};
        SxvkColdAllocation cold;
        SxvkModuleStatistics stats = {.allocationCount = 9};
        uint32_t count = 1;
        SxvkAllocation allocation;
        SxvkBufferArena arena;
        SxvkFrameRing ring;
        SxvkPool pool;
        assert_int_equal(try_allocate(rig, &info, 1u << LOCAL, KIB, &allocation),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        rig_expect(rig, SXVK_MESSAGE_INVALID_MODULE, 1);
        assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        rig_expect(rig, SXVK_MESSAGE_INVALID_MODULE, 1);
        assert_int_equal(sxvkCreateFrameRing(rig->allocator, &ring_info, &ring),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        rig_expect(rig, SXVK_MESSAGE_INVALID_MODULE, 1);
        assert_int_equal(sxvkCreateBufferArena(rig->allocator, &arena_info, &arena),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        rig_expect(rig, SXVK_MESSAGE_INVALID_MODULE, 1);
        assert_int_equal(
            sxvkGetColdestAllocations(rig->allocator, LOCAL_HEAP, handles[i], 0, &count, &cold),
            VK_ERROR_VALIDATION_FAILED_EXT);
        assert_int_equal(count, 0);
        rig_expect(rig, SXVK_MESSAGE_INVALID_MODULE, 1);
        sxvkGetModuleStatistics(rig->allocator, handles[i], &stats);
        assert_int_equal(stats.allocationCount, 0);
        rig_expect(rig, SXVK_MESSAGE_INVALID_MODULE, 1);
        sxvkDestroyModule(rig->allocator, handles[i]);
        rig_expect(rig, SXVK_MESSAGE_INVALID_MODULE, 1);
    }
    expect_held(rig, live, 0, 0);
    sxvkGetModuleStatistics(rig->allocator, VK_NULL_HANDLE, NULL);
    sxvkDestroyModule(rig->allocator, live);
    sxvkDestroyModule(other->allocator, handles[1]);
    rig_destroy(other);
    rig_destroy(rig);
}

static void test_leaked(void** state) {
    Rig* rig = rig_create(NULL);
    (void)state;
    module_named(rig, "forgotten");
    rig_destroy_allocator(rig);
    assert_non_null(strstr(rig->messages.text, "forgotten"));
    rig_expect(rig, SXVK_MESSAGE_LEAKED_MODULE, 1);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ counting */

/*  Slots, ranges and dedicated memory, made and freed in every way there is. */
static void test_counts(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkModule a = module_named(rig, "a");
    SxvkModule b = module_named(rig, "b");
    SxvkAllocationCreateInfo for_a = {.usage = SXVK_MEMORY_USAGE_AUTO, .module = a};
    SxvkAllocationCreateInfo infos[70];
    VkMemoryRequirements requirements[70];
    SxvkAllocation allocations[70], none, one, large, resource;
    VkBufferCreateInfo buffer_info = testing_buffer(5000, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(64, 64, VK_IMAGE_TILING_OPTIMAL);
    VkBufferCreateInfo buffer_infos[3];
    SxvkAllocationCreateInfo buffer_allocations[3];
    VkBuffer buffer, buffers[3];
    VkImage image;
    VkDeviceSize bytes_a = 0, bytes_b = 0, image_bytes;
    SxvkAllocationInfo info;
    uint32_t i;
    (void)state;
    memset(infos, 0, sizeof infos);
    for (i = 0; i < 70; i++) { /* enough of a size for slabs; larger ones; a few dedicated */
        VkDeviceSize size = i % 3 == 0 ? 300 : i % 3 == 1 ? 40 * KIB + i : 2 * MIB + i;
        requirements[i] = testing_requirements(size, 16, 1u << (i % 2 ? LOCAL : HOST));
        infos[i].module = i % 5 == 0 ? VK_NULL_HANDLE : i % 5 < 3 ? a : b;
        infos[i].flags = i % 7 == 0 ? (VkFlags)SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
        bytes_a += infos[i].module == a ? size : 0;
        bytes_b += infos[i].module == b ? size : 0;
    }
    assert_int_equal(
        sxvkAllocateMemoryPages(rig->allocator, requirements, infos, 70, allocations, NULL),
        VK_SUCCESS);
    expect_held(rig, a, 28, bytes_a);
    expect_held(rig, b, 28, bytes_b);
    for (i = 0; i < 70; i++) {
        SxvkAllocationInfo2 info2;
        assert_ptr_equal(sxvkGetAllocationModule(rig->allocator, allocations[i]), infos[i].module);
        sxvkGetAllocationInfo2(rig->allocator, allocations[i], &info2);
        assert_ptr_equal(info2.module, infos[i].module);
        assert_false(info2.isFallback);
    }
    none = rig_allocate(rig, LOCAL, KIB);
    one = allocate_for(rig, a, LOCAL, 777);
    large = allocate_for(rig, a, HOST, 30 * MIB);
    assert_null(sxvkGetAllocationModule(rig->allocator, none));
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &buffer_info, &for_a, &buffer, &resource, &info),
        VK_SUCCESS);
    bytes_a += 777 + 30 * MIB + info.size;
    expect_held(rig, a, 31, bytes_a);
    sxvkDestroyBuffer(rig->allocator, buffer, resource);
    bytes_a -= info.size;
    for (i = 0; i < 3; i++) {
        buffer_infos[i] = testing_buffer(256 << i, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
        buffer_allocations[i] = for_a;
        buffer_allocations[i].module = i == 1 ? b : a;
    }
    assert_int_equal(sxvkCreateImage(rig->allocator, &image_info, &for_a, &image, &resource, &info),
                     VK_SUCCESS);
    image_bytes = info.size;
    expect_held(rig, a, 31, bytes_a + image_bytes);
    sxvkDestroyImage(rig->allocator, image, resource);
    {
        SxvkAllocation made[3];
        assert_int_equal(sxvkCreateBuffers(rig->allocator, 3, buffer_infos, buffer_allocations,
                                           buffers, made, NULL),
                         VK_SUCCESS);
        assert_int_equal(stats_of(rig, a).allocationCount, 32);
        assert_int_equal(stats_of(rig, b).allocationCount, 29);
        sxvkDestroyBuffers(rig->allocator, 3, buffers, made);
    }
    expect_held(rig, a, 30, bytes_a);
    expect_held(rig, b, 28, bytes_b);
    assert_int_equal(stats_of(rig, a).peakBytes, bytes_a + image_bytes);
    assert_true(stats_of(rig, a).heapBytes[HOST_HEAP] > 30 * MIB);
    sxvkFreeMemory(rig->allocator, one);
    sxvkFreeMemory(rig->allocator, large);
    expect_held(rig, a, 28, bytes_a - 777 - 30 * MIB);

    /* A second free of the same handle is reported, and counts nothing. */
    sxvkFreeMemory(rig->allocator, one);
    rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
    expect_held(rig, a, 28, bytes_a - 777 - 30 * MIB);
    sxvkFreeMemoryPages(rig->allocator, 70, allocations);
    sxvkFreeMemory(rig->allocator, none);
    expect_held(rig, a, 0, 0);
    expect_held(rig, b, 0, 0);
    sxvkDestroyModule(rig->allocator, a);
    sxvkDestroyModule(rig->allocator, b);
    rig_destroy(rig);
}

/*  A pool's module is that of allocations which name none; of linear pools as well, where a reset
    ends them all at once, and where they are freed one by one. */
static void test_pools(void** state) {
    static const SxvkPoolCreateFlags flags[] = {0, SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT};
    size_t kind;
    (void)state;
    for (kind = 0; kind < 2; kind++) {
        Rig* rig = rig_create(NULL);
        SxvkModule a = module_named(rig, "a");
        SxvkModule b = module_named(rig, "b");
        SxvkPoolCreateInfo pool_info = {
            .flags = flags[kind], .memoryTypeIndex = HOST, .blockSize = 4 * MIB, .module = a};
        SxvkAllocationCreateInfo plain = {0}, other = {0}, dedicated = {0};
        SxvkAllocation allocations[40];
        SxvkPool pool;
        uint32_t i, round;
        assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
        plain.pool = pool;
        other.pool = pool;
        other.module = b;
        dedicated.pool = pool;
        dedicated.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
        for (round = 0; round < 3; round++) {
            for (i = 0; i < 40; i++) {
                assert_int_equal(try_allocate(rig,
                                              i == 0       ? &dedicated
                                              : i % 4 == 3 ? &other
                                                           : &plain,
                                              1u << HOST, KIB, &allocations[i]),
                                 VK_SUCCESS);
            }
            expect_held(rig, a, 30, 30 * KIB);
            expect_held(rig, b, 10, 10 * KIB);
            if (round == 0) {
                for (i = 0; i < 40; i++) {
                    sxvkFreeMemory(rig->allocator, allocations[(i * 7) % 40]);
                }
            } else if (round == 1) {
                assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
            } else {
                sxvkDestroyPool(rig->allocator, pool);
                assert_non_null(strstr(rig->messages.text, "module "));
                rig_expect(rig, SXVK_MESSAGE_LEAKED_ALLOCATION, 40);
            }
            expect_held(rig, a, 0, 0);
            expect_held(rig, b, 0, 0);
        }
        sxvkDestroyModule(rig->allocator, a);
        sxvkDestroyModule(rig->allocator, b);
        rig_destroy(rig);
    }
}

static void test_upload_objects(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkModule a = module_named(rig, "a");
    SxvkFrameRingCreateInfo ring_info = {.usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT, .module = a};
    SxvkBufferArenaCreateInfo arena_info = {.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT,
                                            .module = a};
    SxvkSmartBufferCreateInfo smart_info = {
        .size = 5000, .usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, .module = a};
    SxvkArenaAllocation slice;
    SxvkBufferArena arena;
    SxvkSmartBuffer smart;
    SxvkFrameRing ring;
    (void)state;
    assert_int_equal(sxvkCreateFrameRing(rig->allocator, &ring_info, &ring), VK_SUCCESS);
    assert_int_equal(stats_of(rig, a).allocationCount, 1);
    assert_int_equal(sxvkCreateBufferArena(rig->allocator, &arena_info, &arena), VK_SUCCESS);
    assert_int_equal(sxvkAllocateFromBufferArena(arena, 100, 0, &slice, NULL), VK_SUCCESS);
    assert_int_equal(stats_of(rig, a).allocationCount, 2);
    smart_info.ring = ring;
    assert_int_equal(sxvkCreateSmartBuffer(rig->allocator, &smart_info, &smart), VK_SUCCESS);
    assert_int_equal(stats_of(rig, a).allocationCount, 3);
    assert_true(stats_of(rig, a).allocationBytes >= 5000 + 64 * KIB + 256 * KIB);
    sxvkDestroySmartBuffer(rig->allocator, smart);
    sxvkFreeToBufferArena(arena, slice);
    sxvkDestroyBufferArena(rig->allocator, arena);
    sxvkDestroyFrameRing(rig->allocator, ring);
    expect_held(rig, a, 0, 0);
    sxvkDestroyModule(rig->allocator, a);
    rig_destroy(rig);
}

/*  It is the share of the blocks of the default pools, of the types that the module lives in, that
    no allocation uses. */
static void test_unused_share(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkModule a = module_named(rig, "a");
    SxvkAllocation mine = allocate_for(rig, a, LOCAL, 100 * KIB);
    SxvkAllocation others = rig_allocate(rig, HOST, 64);
    SxvkTotalStatistics total;
    float expected;
    (void)state;
    sxvkCalculateStatistics(rig->allocator, &total);
    expected = 1.0f - (float)(100 * KIB) / (float)total.memoryType[LOCAL].statistics.blockBytes;
    assert_true(expected > 0.5f);
    assert_true(stats_of(rig, a).unusedShare > expected - 0.001f);
    assert_true(stats_of(rig, a).unusedShare < expected + 0.001f);
    sxvkFreeMemory(rig->allocator, mine);
    assert_true(stats_of(rig, a).unusedShare == 0.0f);
    sxvkFreeMemory(rig->allocator, others);
    sxvkDestroyModule(rig->allocator, a);
    rig_destroy(rig);
}

/*  Who destroys the module again in the message about what it still has is told that it is gone. */
static struct {
    Rig* rig;
    SxvkModule module;
    uint32_t counts[SXVK_MESSAGE_COUNT];
} again;

static void VKAPI_PTR destroy_again(void* context, const SxvkMessageInfo* info) {
    (void)context;
    again.counts[info->message]++;
    if (info->message == SXVK_MESSAGE_MODULE_IN_USE && again.counts[info->message] < 10) {
        sxvkDestroyModule(again.rig->allocator, again.module);
    }
}

static void test_destroyed_by_its_message(void** state) {
    Rig* rig = rig_create_bare(NULL);
    SxvkAllocation a;
    (void)state;
    memset(&again, 0, sizeof again);
    again.rig = rig;
    rig->info.pfnMessage = destroy_again;
    assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator), VK_SUCCESS);
    again.module = module_named(rig, "a");
    a = allocate_for(rig, again.module, LOCAL, KIB);
    sxvkDestroyModule(rig->allocator, again.module);
    assert_int_equal(again.counts[SXVK_MESSAGE_MODULE_IN_USE], 1);
    assert_int_equal(again.counts[SXVK_MESSAGE_INVALID_MODULE], 1);
    assert_null(sxvkGetAllocationModule(rig->allocator, a));
    again.module = module_named(rig, "a"); /* and its name is free */
    sxvkDestroyModule(rig->allocator, again.module);
    sxvkFreeMemory(rig->allocator, a);
    rig_destroy(rig);
}

/*  Modules come into places, and leave them, that a dump looks at. For the thread sanitizer. */
static void* come_and_go(void* context) {
    Rig* rig = (Rig*)context;
    uint32_t i;
    for (i = 0; i < 2000; i++) {
        SxvkModuleCreateInfo info = {.pName = "m"};
        SxvkModule module;
        if (sxvkCreateModule(rig->allocator, &info, &module) != VK_SUCCESS) {
            return rig;
        }
        sxvkDestroyModule(rig->allocator, module);
    }
    return NULL;
}

static void test_created_during_a_dump(void** state) {
    Rig* rig = rig_create(NULL);
    pthread_t thread;
    void* broken;
    uint32_t i;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, rig), 0);
    for (i = 0; i < 200; i++) {
        char* text;
        assert_int_equal(sxvkBuildStatsString(rig->allocator, &text, VK_FALSE), VK_SUCCESS);
        sxvkFreeStatsString(rig->allocator, text);
    }
    pthread_join(thread, &broken);
    assert_null(broken);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ destroyed with live ones */

static void test_destroyed_in_use(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkModule a = module_named(rig, "a"), fresh, next;
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = LOCAL, .blockSize = MIB, .module = a};
    SxvkAllocationCreateInfo in_pool = {0};
    SxvkAllocation named, dedicated, pooled, later;
    SxvkAllocationInfo2 info2;
    SxvkPool pool;
    (void)state;
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
    assert_int_equal(sxvkSetPoolName(rig->allocator, pool, "my pool"), VK_SUCCESS);
    in_pool.pool = pool;
    named = allocate_for(rig, a, LOCAL, 3 * KIB);
    assert_int_equal(sxvkSetAllocationName(rig->allocator, named, "sky"), VK_SUCCESS);
    sxvkDestroyModule(rig->allocator, a);
    assert_non_null(strstr(rig->messages.text, "my pool")); /* the last message */
    rig_expect(rig, SXVK_MESSAGE_MODULE_IN_USE, 2);

    /* They live on, and belong to nobody. */
    assert_true(sxvkIsAllocationValid(rig->allocator, named));
    assert_null(sxvkGetAllocationModule(rig->allocator, named));
    sxvkGetAllocationInfo2(rig->allocator, named, &info2);
    assert_null(info2.module);
    assert_string_equal(info2.allocationInfo.pName, "sky");
    assert_int_equal(try_allocate(rig, &in_pool, 1u << LOCAL, KIB, &pooled), VK_SUCCESS);
    assert_null(sxvkGetAllocationModule(rig->allocator, pooled));

    /* Whoever has the same name, or comes into the same place, is not charged with them. */
    fresh = module_named(rig, "a");
    assert_ptr_not_equal(fresh, a);
    later = allocate_for(rig, fresh, LOCAL, 500);
    expect_held(rig, fresh, 1, 500);
    sxvkFreeMemory(rig->allocator, named);
    expect_held(rig, fresh, 1, 500);
    next = module_named(rig, "next"); /* into the place that a has left now */
    expect_held(rig, next, 0, 0);
    dedicated = allocate_for(rig, next, HOST, 20 * MIB);
    sxvkDestroyModule(rig->allocator, next);
    assert_non_null(strstr(rig->messages.text, "(no name), 20971520 bytes"));
    assert_non_null(strstr(rig->messages.text, "module next"));
    rig_expect(rig, SXVK_MESSAGE_MODULE_IN_USE, 1);
    sxvkFreeMemory(rig->allocator, dedicated);
    sxvkFreeMemory(rig->allocator, pooled);
    sxvkFreeMemory(rig->allocator, later);
    sxvkDestroyPool(rig->allocator, pool);
    sxvkDestroyModule(rig->allocator, fresh);
    rig_expect_silence(rig);
    rig_destroy(rig);
}

/*  Modules come and go while their allocations stay: never does an allocation count for a module
    that it does not belong to. */
static void test_places_come_round(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocation kept[200];
    uint64_t seed = 5;
    uint32_t i;
    (void)state;
    for (i = 0; i < 200; i++) {
        SxvkModule module = module_named(rig, "m");
        expect_held(rig, module, 0, 0);
        kept[i] = allocate_for(rig, module, LOCAL, 100 + i);
        if (testing_below(&seed, 2)) {
            uint32_t victim = testing_below(&seed, i + 1);
            sxvkFreeMemory(rig->allocator, kept[victim]);
            kept[victim] = victim == i ? VK_NULL_HANDLE : kept[i];
            kept[i] = VK_NULL_HANDLE;
        }
        messages_clear(&rig->messages);
        sxvkDestroyModule(rig->allocator, module);
        messages_clear(&rig->messages);
    }
    sxvkFreeMemoryPages(rig->allocator, 200, kept);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ its say */

/*  Where a sequence of allocations and frees puts the last ones: offsets, in order. */
static void layout(SxvkModuleStrategy strategy, SxvkAllocationCreateFlags flags,
                   VkDeviceSize* offsets, uint32_t count) {
    Rig* rig = rig_create(NULL);
    SxvkModuleCreateInfo module_info = {.pName = "m", .strategy = strategy};
    SxvkAllocationCreateInfo info = {.flags = flags};
    SxvkAllocation live[400], made[64];
    uint64_t seed = 11;
    uint32_t i;
    assert_true(count <= 64);
    assert_int_equal(sxvkCreateModule(rig->allocator, &module_info, &info.module), VK_SUCCESS);
    for (i = 0; i < 400; i++) {
        live[i] = rig_allocate(rig, LOCAL, testing_log_uniform(&seed, 40 * KIB, 5 * MIB));
    }
    for (i = 0; i < 400; i += 2) {
        sxvkFreeMemory(rig->allocator, live[i]);
        live[i] = VK_NULL_HANDLE;
    }
    for (i = 0; i < count; i++) {
        SxvkAllocationInfo got;
        assert_int_equal(try_allocate(rig, &info, 1u << LOCAL,
                                      testing_log_uniform(&seed, 40 * KIB, 5 * MIB), &made[i]),
                         VK_SUCCESS);
        sxvkGetAllocationInfo(rig->allocator, made[i], &got);
        offsets[i] = got.offset;
    }
    sxvkFreeMemoryPages(rig->allocator, count, made);
    sxvkFreeMemoryPages(rig->allocator, 400, live);
    sxvkDestroyModule(rig->allocator, info.module);
    rig_destroy(rig);
}

static void test_strategy(void** state) {
    VkDeviceSize plain[64], time[64], memory[64], got[64];
    (void)state;
    layout(SXVK_MODULE_STRATEGY_DEFAULT, 0, plain, 64);
    layout(SXVK_MODULE_STRATEGY_DEFAULT, SXVK_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT, time, 64);
    layout(SXVK_MODULE_STRATEGY_DEFAULT, SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT, memory,
           64);
    assert_memory_not_equal(plain, memory, sizeof plain);
    assert_memory_not_equal(plain, time, sizeof plain);
    layout(SXVK_MODULE_STRATEGY_MEMORY, 0, got, 64);
    assert_memory_equal(got, memory, sizeof got);
    layout(SXVK_MODULE_STRATEGY_SPEED, 0, got, 64);
    assert_memory_equal(got, time, sizeof got);
    /* The allocation's own flags win. */
    layout(SXVK_MODULE_STRATEGY_SPEED, SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT, got, 64);
    assert_memory_equal(got, memory, sizeof got);
}

static void test_buffer_alignment(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkModuleCreateInfo module_info = {.pName = "m", .minBufferAlignment = 64 * KIB};
    SxvkAllocationCreateInfo info = {.usage = SXVK_MEMORY_USAGE_AUTO};
    VkBufferCreateInfo buffer_info = testing_buffer(100, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    SxvkAllocation allocations[20];
    VkBuffer buffers[20];
    SxvkAllocationInfo got;
    uint32_t i, aligned = 0;
    (void)state;
    assert_int_equal(sxvkCreateModule(rig->allocator, &module_info, &info.module), VK_SUCCESS);
    for (i = 0; i < 20; i++) {
        info.minAlignment = i == 19 ? 128 * KIB : 0; /* the larger one counts */
        assert_int_equal(sxvkCreateBuffer(rig->allocator, &buffer_info, &info, &buffers[i],
                                          &allocations[i], &got),
                         VK_SUCCESS);
        assert_int_equal(got.offset % (i == 19 ? 128 * KIB : 64 * KIB), 0);
    }
    sxvkDestroyBuffers(rig->allocator, 20, buffers, allocations);
    info.minAlignment = 0;
    for (i = 0; i < 20; i++) { /* not of what is no buffer */
        assert_int_equal(try_allocate(rig, &info, 1u << LOCAL, 100, &allocations[i]), VK_SUCCESS);
        sxvkGetAllocationInfo(rig->allocator, allocations[i], &got);
        aligned += got.offset % (64 * KIB) == 0;
    }
    assert_true(aligned < 20);
    sxvkFreeMemoryPages(rig->allocator, 20, allocations);
    sxvkDestroyModule(rig->allocator, info.module);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ the second choice */

static SxvkAllocationInfo2 info2_of(Rig* rig, SxvkAllocation allocation) {
    SxvkAllocationInfo2 info2;
    sxvkGetAllocationInfo2(rig->allocator, allocation, &info2);
    return info2;
}

static void test_fallback(void** state) {
    VkDeviceSize limits[3] = {8 * MIB, VK_WHOLE_SIZE, VK_WHOLE_SIZE};
    RigOptions options = rig_options();
    SxvkModuleCreateInfo module_info = {.pName = "m",
                                        .fallbackUsage = SXVK_MEMORY_USAGE_AUTO_PREFER_HOST};
    SxvkAllocationCreateInfo info = {.requiredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                     .memoryTypeBits = 1u << LOCAL | 1u << HOST | 1u << CACHED};
    SxvkAllocation first, second, third, none;
    SxvkModule module;
    Rig* rig;
    (void)state;
    options.info.pHeapSizeLimit = limits;
    rig = rig_create(&options);
    assert_int_equal(sxvkCreateModule(rig->allocator, &module_info, &module), VK_SUCCESS);
    assert_int_equal(try_allocate(rig, &info, UINT32_MAX, 7 * MIB, &first), VK_SUCCESS);
    assert_false(info2_of(rig, first).isFallback);

    /* None: it fails. The allocation's: it does not. */
    assert_int_equal(try_allocate(rig, &info, UINT32_MAX, 7 * MIB, &none),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    info.fallbackRequiredFlags = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    assert_int_equal(try_allocate(rig, &info, UINT32_MAX, 7 * MIB, &second), VK_SUCCESS);
    assert_true(info2_of(rig, second).isFallback);
    assert_int_equal(info2_of(rig, second).allocationInfo.memoryType, CACHED);

    /* The module's, counted; the allocation's own goes before it. */
    info.module = module;
    assert_int_equal(try_allocate(rig, &info, UINT32_MAX, 7 * MIB, &third), VK_SUCCESS);
    assert_int_equal(info2_of(rig, third).allocationInfo.memoryType, CACHED);
    assert_int_equal(stats_of(rig, module).fallbackCount, 1);
    sxvkFreeMemory(rig->allocator, third);
    info.fallbackRequiredFlags = 0;
    assert_int_equal(try_allocate(rig, &info, UINT32_MAX, 7 * MIB, &third), VK_SUCCESS);
    assert_true(info2_of(rig, third).isFallback);
    assert_int_equal(info2_of(rig, third).allocationInfo.memoryType, HOST);
    assert_int_equal(stats_of(rig, module).fallbackCount, 2);
    assert_int_equal(stats_of(rig, module).heapBytes[HOST_HEAP], 7 * MIB);
    assert_int_equal(stats_of(rig, module).heapBytes[LOCAL_HEAP], 0);
    sxvkFreeMemory(rig->allocator, first);

    /* With room the first choice is taken, and the flag does not stick to anything. */
    assert_int_equal(try_allocate(rig, &info, UINT32_MAX, 7 * MIB, &first), VK_SUCCESS);
    assert_false(info2_of(rig, first).isFallback);
    assert_int_equal(stats_of(rig, module).fallbackCount, 2);

    /* Where both fail the result is that of the failure, and one message. */
    assert_int_equal(try_allocate(rig, &info, 1u << LOCAL, 7 * MIB, &none),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_null(none);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    sxvkFreeMemory(rig->allocator, first);
    sxvkFreeMemory(rig->allocator, second);
    sxvkFreeMemory(rig->allocator, third);
    sxvkDestroyModule(rig->allocator, module);
    rig_destroy(rig);
}

/*  No memory type for the first choice; and a pool that is full, linear or not. */
static void test_fallback_of_other_failures(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocationCreateInfo info = {.requiredFlags = VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT,
                                     .fallbackUsage = SXVK_MEMORY_USAGE_AUTO};
    SxvkAllocation allocation, filler;
    uint32_t linear;
    (void)state;
    assert_int_equal(try_allocate(rig, &info, UINT32_MAX, KIB, &allocation), VK_SUCCESS);
    assert_true(info2_of(rig, allocation).isFallback);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_expect_silence(rig);
    info.fallbackUsage = SXVK_MEMORY_USAGE_GPU_LAZILY_ALLOCATED; /* neither is this one there */
    assert_int_equal(try_allocate(rig, &info, UINT32_MAX, KIB, &allocation),
                     VK_ERROR_FEATURE_NOT_PRESENT);
    rig_expect(rig, SXVK_MESSAGE_NO_MEMORY_TYPE, 1);
    for (linear = 0; linear < 2; linear++) {
        SxvkPoolCreateInfo pool_info = {
            .flags = linear ? (VkFlags)SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT : 0,
            .memoryTypeIndex = BAR,
            .blockSize = MIB,
            .maxBlockCount = 1};
        SxvkAllocationCreateInfo in_pool = {
            .flags = linear ? (VkFlags)SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT : 0};
        SxvkPool pool;
        assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
        in_pool.pool = pool;
        assert_int_equal(try_allocate(rig, &in_pool, UINT32_MAX, MIB, &filler), VK_SUCCESS);
        assert_int_equal(try_allocate(rig, &in_pool, UINT32_MAX, KIB, &allocation),
                         VK_ERROR_OUT_OF_DEVICE_MEMORY);
        in_pool.fallbackRequiredFlags = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
        assert_int_equal(try_allocate(rig, &in_pool, UINT32_MAX, KIB, &allocation), VK_SUCCESS);
        assert_true(info2_of(rig, allocation).isFallback);
        assert_int_equal(info2_of(rig, allocation).allocationInfo.memoryType, CACHED);
        sxvkFreeMemory(rig->allocator, allocation);
        sxvkFreeMemory(rig->allocator, filler);
        sxvkDestroyPool(rig->allocator, pool);
    }
    rig_expect_silence(rig);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ texts */

static void test_dump_and_leaks(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkModule a = module_named(rig, "tex\"tures");
    SxvkModule b = module_named(rig, "meshes");
    SxvkAllocation held = allocate_for(rig, a, LOCAL, 3000);
    char* text;
    (void)state;
    sxvkFreeMemory(rig->allocator, allocate_for(rig, b, LOCAL, 1000));
    assert_int_equal(sxvkBuildStatsString(rig->allocator, &text, VK_TRUE), VK_SUCCESS);
    assert_non_null(strstr(text, "\"Modules\": {\n    \"tex\\\"tures\": {\n      \"Bytes\": 3000,\n"
                                 "      \"PeakBytes\": 3000,\n      \"Allocations\": 1,"));
    assert_non_null(strstr(text, "\"meshes\": {\n      \"Bytes\": 0,\n      \"PeakBytes\": 1000,"));
    assert_non_null(strstr(text, "\"Module\": \"tex\\\"tures\""));
    assert_non_null(strstr(text, "\"PressureLevel\": \"NORMAL\""));
    sxvkFreeStatsString(rig->allocator, text);
    sxvkDestroyModule(rig->allocator, b);
    (void)held;
    rig_destroy_allocator(rig);
    assert_int_equal(rig->messages.counts[SXVK_MESSAGE_LEAKED_ALLOCATION], 1);
    assert_int_equal(rig->messages.counts[SXVK_MESSAGE_LEAKED_MODULE], 1);
    messages_clear(&rig->messages);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ strategies */

/*  How many of these are in slots. */
static uint32_t slots_of(Rig* rig, const SxvkAllocationCreateInfo* create, VkDeviceSize size) {
    enum { COUNT = 600 };
    static SxvkAllocation made[COUNT];
    VkMemoryRequirements needs = testing_requirements(size, 16, 1u << LOCAL);
    uint32_t i, count = 0;
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, create, &made[i], NULL),
                         VK_SUCCESS);
        count += (sxvki_allocation_index(made[i]) & SXVKI_HANDLE_SLAB_BIT) != 0;
    }
    for (i = 0; i < COUNT; i++) {
        sxvkFreeMemory(rig->allocator, made[i]);
    }
    return count;
}

static bool is_dedicated(Rig* rig, const SxvkAllocationCreateInfo* create, VkDeviceSize size) {
    VkMemoryRequirements needs = testing_requirements(size, 16, 1u << LOCAL);
    SxvkAllocation made;
    SxvkAllocationInfo2 info;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, create, &made, NULL), VK_SUCCESS);
    sxvkGetAllocationInfo2(rig->allocator, made, &info);
    sxvkFreeMemory(rig->allocator, made);
    return info.dedicatedMemory;
}

/*  A strategy of a module does what the flag does: the slots that are taken, and what gets dedicated
    memory. An allocation's own flag wins. */
static void test_strategies(void** state) {
    static const SxvkModuleStrategy strategies[] = {
        SXVK_MODULE_STRATEGY_DEFAULT, SXVK_MODULE_STRATEGY_SPEED, SXVK_MODULE_STRATEGY_MEMORY};
    static const SxvkAllocationCreateFlags flags[] = {
        0, SXVK_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT,
        SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT};
    uint32_t i, k;
    (void)state;
    for (i = 0; i < 3; i++) {
        for (k = 0; k < 3; k++) {
            SxvkModuleCreateInfo info = {.pName = "module", .strategy = strategies[i]};
            SxvkAllocationCreateInfo create = {.flags = flags[k]};
            bool is_tight = flags[k] == flags[2] || (k == 0 && i == 2);
            Rig* rig = rig_create(NULL);
            SxvkAllocation ballast[300];
            uint32_t b;
            if (i != 0 || k == 0) {
                assert_int_equal(sxvkCreateModule(rig->allocator, &info, &create.module),
                                 VK_SUCCESS);
            }
            assert_int_equal(is_dedicated(rig, &create, 4 * MIB), is_tight);
            assert_true(is_dedicated(rig, &create, 7 * MIB));
            assert_false(is_dedicated(rig, &create, 2 * MIB));
            for (b = 0; b < 300; b++) {
                ballast[b] = rig_allocate(rig, LOCAL, 100 * 1024); /* enough for slabs */
            }
            assert_true(slots_of(rig, &create, 4096) > 100);
            if (is_tight) {
                assert_int_equal(slots_of(rig, &create, 12 * 1024), 0);
            } else {
                assert_true(slots_of(rig, &create, 12 * 1024) > 100);
            }
            for (b = 0; b < 300; b++) {
                sxvkFreeMemory(rig->allocator, ballast[b]);
            }
            sxvkDestroyModule(rig->allocator, create.module);
            rig_destroy(rig);
        }
    }
}

/* ------------------------------------------------------------------ faults */

/*  Every host allocation and every driver call fails once: nothing is counted, nothing leaks. */
static void test_faults(void** state) {
    static const VkDeviceSize sizes[] = {300, 50 * KIB, 20 * MIB};
    uint32_t nth, i, hits = 0;
    (void)state;
    for (nth = 1; nth <= 40; nth++) {
        for (i = 0; i < 6; i++) {
            Rig* rig = rig_create(NULL);
            SxvkModuleCreateInfo module_info = {.pName = "m"};
            SxvkAllocationCreateInfo info = {.pName = "n"};
            SxvkAllocation allocation = VK_NULL_HANDLE;
            SxvkModule module = VK_NULL_HANDLE;
            VkResult result;
            if (i < 3) {
                host_fail(&rig->host, nth, 1);
            } else {
                sim_fail(rig->sim, SIM_CALL_ANY_FAILABLE, nth, 1, VK_ERROR_OUT_OF_HOST_MEMORY);
            }
            result = sxvkCreateModule(rig->allocator, &module_info, &module);
            assert_true(result == VK_SUCCESS || result == VK_ERROR_OUT_OF_HOST_MEMORY);
            assert_true((module != VK_NULL_HANDLE) == (result == VK_SUCCESS));
            if (result == VK_SUCCESS) {
                info.module = module;
                result = try_allocate(rig, &info, 1u << LOCAL, sizes[i % 3], &allocation);
                expect_held(rig, module, allocation != VK_NULL_HANDLE,
                            allocation != VK_NULL_HANDLE ? sizes[i % 3] : 0);
            }
            if (result == VK_SUCCESS) {
                result = sxvkTouchAllocation(rig->allocator, allocation);
            }
            hits += result != VK_SUCCESS;
            host_fail(&rig->host, 1, 0);
            sim_clear_faults(rig->sim);
            if (module != VK_NULL_HANDLE) {
                sxvkFreeMemory(rig->allocator, allocation);
                expect_held(rig, module, 0, 0);
                sxvkDestroyModule(rig->allocator, module);
            }
            assert_int_equal(rig->messages.total, result != VK_SUCCESS);
            messages_clear(&rig->messages);
            rig_destroy(rig);
        }
    }
    assert_true(hits >= 20);
}

/* ------------------------------------------------------------------ threads */

typedef struct Worker {
    Rig* rig;
    const SxvkModule* modules;
    uint64_t seed;
} Worker;

static void* work(void* context) {
    Worker* w = (Worker*)context;
    SxvkAllocation live[64];
    uint32_t i;
    memset(live, 0, sizeof live);
    for (i = 0; i < 4000; i++) {
        uint32_t slot = testing_below(&w->seed, 64);
        sxvkFreeMemory(w->rig->allocator, live[slot]);
        live[slot] = VK_NULL_HANDLE;
        if (testing_below(&w->seed, 4) != 0) {
            SxvkAllocationCreateInfo info = {.module = w->modules[testing_below(&w->seed, 4)]};
            VkDeviceSize size = testing_log_uniform(&w->seed, 64, 200 * KIB);
            uint32_t types = 1u << testing_below(&w->seed, 2);
            if (try_allocate(w->rig, &info, types, size, &live[slot]) != VK_SUCCESS ||
                sxvkGetAllocationModule(w->rig->allocator, live[slot]) != info.module) {
                return w;
            }
        }
        if (i % 256 == 0) {
            SxvkModuleStatistics stats;
            char* text;
            sxvkGetModuleStatistics(w->rig->allocator, w->modules[0], &stats);
            if (sxvkBuildStatsString(w->rig->allocator, &text, VK_TRUE) != VK_SUCCESS) {
                return w;
            }
            sxvkFreeStatsString(w->rig->allocator, text);
        }
        if (i % 64 == 0) { /* a module of this thread's own, that it outlives with memory */
            char name[32];
            SxvkModuleCreateInfo info = {.pName = name};
            SxvkAllocationCreateInfo own = {0};
            SxvkAllocation allocation;
            snprintf(name, sizeof name, "own %p", (void*)w);
            if (sxvkCreateModule(w->rig->allocator, &info, &own.module) != VK_SUCCESS ||
                try_allocate(w->rig, &own, 1u << LOCAL, KIB, &allocation) != VK_SUCCESS) {
                return w;
            }
            sxvkDestroyModule(w->rig->allocator, own.module);
            sxvkFreeMemory(w->rig->allocator, allocation);
        }
    }
    sxvkFreeMemoryPages(w->rig->allocator, 64, live);
    return NULL;
}

static void test_threads(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkModule modules[4] = {module_named(rig, "a"), module_named(rig, "b"), module_named(rig, "c"),
                             VK_NULL_HANDLE};
    pthread_t threads[4];
    Worker workers[4];
    uint32_t i;
    (void)state;
    for (i = 0; i < 4; i++) {
        workers[i].rig = rig;
        workers[i].modules = modules;
        workers[i].seed = 100 + i;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (i = 0; i < 4; i++) {
        void* broken;
        pthread_join(threads[i], &broken);
        assert_null(broken);
    }
    assert_true(rig->messages.counts[SXVK_MESSAGE_MODULE_IN_USE] == rig->messages.total);
    messages_clear(&rig->messages);
    for (i = 0; i < 3; i++) {
        expect_held(rig, modules[i], 0, 0);
        assert_true(stats_of(rig, modules[i]).peakBytes > 0);
        sxvkDestroyModule(rig->allocator, modules[i]);
    }
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strategies),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_bad_infos),
        cmocka_unit_test(test_stale_handles),
        cmocka_unit_test(test_leaked),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_upload_objects),
        cmocka_unit_test(test_unused_share),
        cmocka_unit_test(test_destroyed_by_its_message),
        cmocka_unit_test(test_created_during_a_dump),
        cmocka_unit_test(test_destroyed_in_use),
        cmocka_unit_test(test_places_come_round),
        cmocka_unit_test(test_strategy),
        cmocka_unit_test(test_buffer_alignment),
        cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_fallback_of_other_failures),
        cmocka_unit_test(test_dump_and_leaks),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
