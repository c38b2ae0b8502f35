/*  test_public.c - the public functions as a program uses them: pages, walks, handles, names,
    leaks.

    Wrong arguments are for test_validate.c, failures for test_faults.c. Run by CTest (unit.public).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)

/* Memory types of sim_profile_discrete. */
enum { LOCAL, HOST, CACHED, BAR };

static SxvkAllocation allocate(Rig* rig, const SxvkAllocationCreateInfo* create, VkDeviceSize size,
                               SxvkAllocationInfo* info) {
    VkMemoryRequirements requirements = testing_requirements(size, 16, UINT32_MAX);
    SxvkAllocation allocation;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, create, &allocation, info),
                     VK_SUCCESS);
    assert_non_null(allocation);
    return allocation;
}

/* ------------------------------------------------------------ what the allocator says of itself */

static void test_properties(void** state) {
    static const VkMemoryPropertyFlags expected[] = {
        VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT |
            VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
        VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
            VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
    };
    Rig* rig = rig_create(NULL);
    const VkPhysicalDeviceProperties* device;
    const VkPhysicalDeviceMemoryProperties* memory;
    SxvkAllocatorInfo info;
    VkMemoryPropertyFlags flags;
    SxvkAllocation allocation;
    uint32_t type;
    (void)state;
    sxvkGetAllocatorInfo(rig->allocator, &info);
    assert_ptr_equal(info.instance, sim_instance(rig->sim));
    assert_ptr_equal(info.physicalDevice, sim_physical_device(rig->sim));
    assert_ptr_equal(info.device, sim_device(rig->sim));
    sxvkGetPhysicalDeviceProperties(rig->allocator, &device);
    assert_int_equal(device->limits.bufferImageGranularity, 1024);
    assert_int_equal(device->limits.nonCoherentAtomSize, 64);
    sxvkGetMemoryProperties(rig->allocator, &memory);
    assert_int_equal(memory->memoryTypeCount, 4);
    assert_int_equal(memory->memoryHeapCount, 3);
    for (type = 0; type < 4; type++) {
        sxvkGetMemoryTypeProperties(rig->allocator, type, &flags);
        assert_int_equal(flags, expected[type]);
        allocation = rig_allocate(rig, type, KIB);
        sxvkGetAllocationMemoryProperties(rig->allocator, allocation, &flags);
        assert_int_equal(flags, expected[type]);
        sxvkFreeMemory(rig->allocator, allocation);
    }
    rig_destroy(rig);
}

static void test_info(void** state) {
    SxvkAllocationCreateInfo create = {.requiredFlags = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT,
                                       .memoryTypeBits = 1u << HOST,
                                       .flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT,
                                       .pName = "vertices",
                                       .pUserData = &create};
    Rig* rig = rig_create(NULL);
    SxvkAllocationInfo info, again;
    SxvkAllocationInfo2 info2;
    SxvkAllocation allocation = allocate(rig, &create, 12345, &info);
    (void)state;
    assert_int_equal(info.memoryType, HOST);
    assert_int_equal(info.size, 12345);
    assert_non_null(info.deviceMemory);
    assert_non_null(info.pMappedData);
    assert_string_equal(info.pName, "vertices");
    assert_ptr_equal(info.pUserData, &create);
    sxvkGetAllocationInfo(rig->allocator, allocation, &again);
    assert_memory_equal(&info, &again, sizeof info);
    sxvkGetAllocationInfo2(rig->allocator, allocation, &info2);
    assert_memory_equal(&info, &info2.allocationInfo, sizeof info);
    assert_false(info2.dedicatedMemory);
    assert_true(info2.blockSize >= 12345);
    sxvkFreeMemory(rig->allocator, allocation);

    create.flags |= SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    allocation = allocate(rig, &create, 12345, &info);
    sxvkGetAllocationInfo2(rig->allocator, allocation, &info2);
    assert_true(info2.dedicatedMemory);
    assert_int_equal(info2.blockSize, 12345);
    assert_int_equal(info2.allocationInfo.offset, 0);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

#if SX_VKALLOC_STATIC_VULKAN_FUNCTIONS
/*  Vulkan's prototypes are linked here, and the loader has something to say for each name. Who
    gives vkGetInstanceProcAddr alone gets what that one finds, and nothing of the loader's. */
static void test_instance_proc_addr_beside_prototypes(void** state) {
    VkBufferCreateInfo buffer_info = testing_buffer(KIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO};
    Rig* rig = rig_create_bare(NULL);
    SxvkAllocation allocation;
    VkBuffer buffer;
    (void)state;
    rig->functions.vkGetDeviceProcAddr = NULL;
    assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator), VK_SUCCESS);
    assert_true(rig->allocator->device.vk.fn.vkGetInstanceProcAddr == sim_get_instance_proc_addr());
    assert_true(rig->allocator->device.vk.fn.vkGetDeviceProcAddr == sim_get_device_proc_addr());
    sim_reset_calls(rig->sim);
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &allocation, NULL),
        VK_SUCCESS);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_CREATE_BUFFER), 1);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_ALLOCATE_MEMORY), 1);
    sxvkDestroyBuffer(rig->allocator, buffer, allocation);
    rig_destroy(rig);
}
#endif

/* ------------------------------------------------------------------ pages */

#define PAGES 20

static void test_pages(void** state) {
    Rig* rig = rig_create(NULL);
    VkMemoryRequirements requirements[PAGES];
    SxvkAllocationCreateInfo creates[PAGES];
    SxvkAllocation allocations[PAGES];
    SxvkAllocationInfo infos[PAGES];
    SxvkStatistics before, after;
    size_t i;
    (void)state;
    memset(creates, 0, sizeof creates);
    for (i = 0; i < PAGES; i++) {
        requirements[i] = testing_requirements(64 * KIB, 64 * KIB, 1u << (i % 3));
    }
    assert_int_equal(
        sxvkAllocateMemoryPages(rig->allocator, requirements, creates, PAGES, allocations, infos),
        VK_SUCCESS);
    for (i = 0; i < PAGES; i++) {
        assert_true(sxvkIsAllocationValid(rig->allocator, allocations[i]));
        assert_int_equal(infos[i].memoryType, i % 3);
        assert_int_equal(infos[i].offset % (64 * KIB), 0);
    }
    sxvkFreeMemoryPages(rig->allocator, PAGES, allocations);
    assert_int_equal(
        sxvkAllocateMemoryPages(rig->allocator, requirements, creates, PAGES, allocations, NULL),
        VK_SUCCESS);

    /* All or none: number 13 cannot be had. */
    before = rig_statistics(rig);
    requirements[13].size = (VkDeviceSize)1 << 40;
    {
        SxvkAllocation none[PAGES];
        memset(none, 0xAA, sizeof none);
        memset(infos, 0xAA, sizeof infos);
        assert_int_equal(
            sxvkAllocateMemoryPages(rig->allocator, requirements, creates, PAGES, none, infos),
            VK_ERROR_OUT_OF_DEVICE_MEMORY);
        for (i = 0; i < PAGES; i++) {
            assert_null(none[i]);
            assert_null(infos[i].deviceMemory);
            assert_int_equal(infos[i].size, 0);
        }
    }
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    after = rig_statistics(rig);
    assert_int_equal(after.allocationCount, before.allocationCount);
    assert_int_equal(after.allocationBytes, before.allocationBytes);
    rig_check(rig);

    /* And the same for a mistake in the middle. */
    requirements[13] = requirements[0];
    creates[13].flags = 0x40000000;
    {
        SxvkAllocation none[PAGES];
        assert_int_equal(
            sxvkAllocateMemoryPages(rig->allocator, requirements, creates, PAGES, none, infos),
            VK_ERROR_VALIDATION_FAILED_EXT);
        assert_null(none[0]);
    }
    rig_expect(rig, SXVK_MESSAGE_UNKNOWN_FLAGS, 1);
    assert_int_equal(rig_statistics(rig).allocationCount, before.allocationCount);

    /* One stale handle and one null among the others: the others go. */
    sxvkFreeMemory(rig->allocator, allocations[5]);
    allocations[6] = (sxvkFreeMemory(rig->allocator, allocations[6]), VK_NULL_HANDLE);
    sxvkFreeMemoryPages(rig->allocator, PAGES, allocations);
    rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
    assert_int_equal(rig_statistics(rig).allocationCount, 0);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ walks */

typedef struct Walk {
    SxvkAllocation seen[300];
    uint32_t count;
    uint32_t stopAfter;
    bool freeThem;
    bool allocate;
    Rig* rig;
} Walk;

static VkBool32 VKAPI_PTR visit(void* pUserData, SxvkAllocator allocator,
                                SxvkAllocation allocation) {
    Walk* walk = (Walk*)pUserData;
    assert_ptr_equal(allocator, walk->rig->allocator);
    assert_true(sxvkIsAllocationValid(allocator, allocation));
    assert_in_range(walk->count, 0, 299);
    walk->seen[walk->count++] = allocation;
    if (walk->freeThem) {
        sxvkFreeMemory(allocator, allocation);
    }
    if (walk->allocate) { /* every lock is free here */
        sxvkFreeMemory(allocator, rig_allocate(walk->rig, HOST, KIB));
    }
    return walk->count == walk->stopAfter ? VK_FALSE : VK_TRUE;
}

static void test_for_each(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocationCreateInfo dedicated = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    SxvkAllocation mine[100];
    Walk walk = {.rig = rig};
    uint32_t i, j;
    (void)state;
    sxvkForEachAllocation(rig->allocator, visit, &walk);
    assert_int_equal(walk.count, 0);
    for (i = 0; i < 100; i++) {
        mine[i] =
            i % 10 == 0 ? allocate(rig, &dedicated, KIB, NULL) : rig_allocate(rig, i % 3, 100 + i);
    }
    for (i = 0; i < 100; i += 7) {
        sxvkFreeMemory(rig->allocator, mine[i]);
        mine[i] = VK_NULL_HANDLE;
    }
    walk.allocate = true;
    sxvkForEachAllocation(rig->allocator, visit, &walk);
    assert_int_equal(walk.count, rig_statistics(rig).allocationCount);
    for (i = 0; i < 100; i++) { /* each one once */
        uint32_t times = 0;
        for (j = 0; j < walk.count; j++) {
            times += walk.seen[j] == mine[i];
        }
        assert_int_equal(times, mine[i] != VK_NULL_HANDLE);
    }

    walk = (Walk){.rig = rig, .stopAfter = 5};
    sxvkForEachAllocation(rig->allocator, visit, &walk);
    assert_int_equal(walk.count, 5);

    walk = (Walk){.rig = rig, .freeThem = true};
    i = rig_statistics(rig).allocationCount;
    sxvkForEachAllocation(rig->allocator, visit, &walk);
    assert_int_equal(walk.count, i);
    assert_int_equal(rig_statistics(rig).allocationCount, 0);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ handles */

static void test_stale_handles(void** state) {
    SxvkAllocationCreateInfo dedicated = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    Rig* rig = rig_create(NULL);
    SxvkAllocation old[400];
    uint32_t i;
    (void)state;
    /* The same place over and over: each handle is another, and only the last one is alive. */
    for (i = 0; i < 400; i++) {
        uint32_t j;
        old[i] = i % 2 == 0 ? rig_allocate(rig, LOCAL, KIB) : allocate(rig, &dedicated, KIB, NULL);
        assert_true(sxvkIsAllocationValid(rig->allocator, old[i]));
        for (j = 0; j < i; j++) {
            assert_false(sxvkIsAllocationValid(rig->allocator, old[j]));
        }
        sxvkFreeMemory(rig->allocator, old[i]);
    }
    rig_expect_silence(rig);
    for (i = 0; i < 400; i++) {
        sxvkFreeMemory(rig->allocator, old[i]); /* double free */
    }
    rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, 400);
    assert_false(sxvkIsAllocationValid(rig->allocator, VK_NULL_HANDLE));
    assert_false(sxvkIsAllocationValid(rig->allocator, (SxvkAllocation)UINTPTR_MAX));
    rig_destroy(rig);
}

/*  Two allocators of one program: neither takes the other's handles. */
static void test_foreign_handles(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocation mine[50], theirs[50];
    SxvkAllocator other;
    VkMemoryRequirements requirements = testing_requirements(KIB, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo create = {0};
    uint32_t i;
    (void)state;
    assert_int_equal(sxvkCreateAllocator(&rig->info, &other), VK_SUCCESS);
    for (i = 0; i < 50; i++) {
        mine[i] = rig_allocate(rig, LOCAL, KIB);
        assert_int_equal(sxvkAllocateMemory(other, &requirements, &create, &theirs[i], NULL),
                         VK_SUCCESS);
    }
    for (i = 0; i < 50; i++) {
        assert_false(sxvkIsAllocationValid(rig->allocator, theirs[i]));
        assert_false(sxvkIsAllocationValid(other, mine[i]));
        sxvkFreeMemory(rig->allocator, theirs[i]);
        sxvkFreeMemory(other, mine[i]);
    }
    rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, 100);
    sxvkFreeMemoryPages(rig->allocator, 50, mine);
    sxvkFreeMemoryPages(other, 50, theirs);
    rig_expect_silence(rig);
    sxvkDestroyAllocator(other);
    rig_destroy(rig);
}

/*  Host memory that starts anew once all of it was freed: what is made in it in the same order gets
    the same addresses each time. */
typedef struct Arena {
    VkAllocationCallbacks callbacks;
    size_t used;
    uint32_t live;
    uint64_t memory[1 << 17];
} Arena;

static void* VKAPI_PTR arena_allocate(void* pUserData, size_t size, size_t alignment,
                                      VkSystemAllocationScope scope) {
    Arena* arena = (Arena*)pUserData;
    uintptr_t base = (uintptr_t)arena->memory;
    uintptr_t address = (base + arena->used + alignment - 1) & ~(uintptr_t)(alignment - 1);
    (void)scope;
    if (address - base > sizeof arena->memory || size > sizeof arena->memory - (address - base)) {
        return NULL;
    }
    arena->used = (size_t)(address - base) + size;
    arena->live++;
    return (void*)address;
}

static void* VKAPI_PTR arena_reallocate(void* pUserData, void* pOriginal, size_t size,
                                        size_t alignment, VkSystemAllocationScope scope) {
    return pOriginal == NULL ? arena_allocate(pUserData, size, alignment, scope) : NULL;
}

static void VKAPI_PTR arena_free(void* pUserData, void* pMemory) {
    Arena* arena = (Arena*)pUserData;
    if (pMemory != NULL && --arena->live == 0) {
        arena->used = 0;
    }
}

#define ROUNDS 50
#define KEPT   12

/*  One allocator after the other at the same address, with the same records handed out equally
    often: nobody takes a handle of those before it, and to free one changes nothing. */
static void test_handles_of_former_allocators(void** state) {
    static Arena arena;
    SxvkAllocationCreateInfo dedicated = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    SxvkAllocation old[ROUNDS * KEPT];
    Rig* rig = rig_create_bare(NULL);
    SxvkAllocator first = VK_NULL_HANDLE;
    uint32_t round, i;
    (void)state;
    if (sizeof(SxvkAllocation) < 8) {
        rig_destroy(rig);
        skip(); /* 10 bits of generation are too few to tell 50 allocators apart */
    }
    arena.callbacks.pUserData = &arena;
    arena.callbacks.pfnAllocation = arena_allocate;
    arena.callbacks.pfnReallocation = arena_reallocate;
    arena.callbacks.pfnFree = arena_free;
    rig->info.pAllocationCallbacks = &arena.callbacks;
    for (round = 0; round < ROUNDS; round++) {
        SxvkAllocation* now = &old[round * KEPT];
        SxvkStatistics before, after;
        uint64_t calls;
        assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator), VK_SUCCESS);
        first = round == 0 ? rig->allocator : first;
        assert_ptr_equal(rig->allocator, first);
        for (i = 0; i < round % 3; i++) { /* nor do those of records that are one use older */
            sxvkFreeMemory(rig->allocator, rig_allocate(rig, LOCAL, KIB));
        }
        for (i = 0; i < KEPT; i++) {
            now[i] =
                i % 4 == 3 ? allocate(rig, &dedicated, KIB, NULL) : rig_allocate(rig, i % 3, KIB);
        }
        before = rig_statistics(rig);
        calls = rig_calls(rig);
        for (i = 0; i < round * KEPT; i++) {
            assert_false(sxvkIsAllocationValid(rig->allocator, old[i]));
            sxvkFreeMemory(rig->allocator, old[i]);
        }
        rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, round * KEPT);
        after = rig_statistics(rig);
        assert_memory_equal(&before, &after, sizeof after);
        assert_int_equal(rig_calls(rig), calls);
        for (i = 0; i < KEPT; i++) {
            assert_true(sxvkIsAllocationValid(rig->allocator, now[i]));
        }
        rig_check(rig);
        sxvkFreeMemoryPages(rig->allocator, KEPT, now);
        rig_destroy_allocator(rig);
        assert_int_equal(arena.live, 0);
    }
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ names and user data */

static void test_names_and_user_data(void** state) {
    SxvkAllocationCreateInfo create = {0};
    char name[] = "first";
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocations[200];
    SxvkAllocationInfo info;
    uint32_t i;
    (void)state;
    create.pName = name;
    allocations[0] = allocate(rig, &create, KIB, &info);
    memset(name, '?', sizeof name - 1); /* it was copied */
    assert_string_equal(info.pName, "first");
    assert_null(info.pUserData);
    assert_int_equal(sxvkSetAllocationName(rig->allocator, allocations[0], "second, and longer"),
                     VK_SUCCESS);
    assert_int_equal(sxvkSetAllocationUserData(rig->allocator, allocations[0], name), VK_SUCCESS);
    sxvkGetAllocationInfo(rig->allocator, allocations[0], &info);
    assert_string_equal(info.pName, "second, and longer");
    assert_ptr_equal(info.pUserData, name);
    assert_int_equal(sxvkSetAllocationName(rig->allocator, allocations[0], NULL), VK_SUCCESS);
    assert_int_equal(sxvkSetAllocationUserData(rig->allocator, allocations[0], NULL), VK_SUCCESS);
    sxvkGetAllocationInfo(rig->allocator, allocations[0], &info);
    assert_null(info.pName);
    assert_null(info.pUserData);
    sxvkFreeMemory(rig->allocator, allocations[0]);

    /* Whoever gets a place after another inherits nothing of him. */
    for (i = 0; i < 200; i++) {
        char text[16];
        snprintf(text, sizeof text, "number %u", i);
        allocations[i] = rig_allocate(rig, HOST, 100);
        assert_int_equal(sxvkSetAllocationName(rig->allocator, allocations[i], text), VK_SUCCESS);
        assert_int_equal(sxvkSetAllocationUserData(rig->allocator, allocations[i], &allocations[i]),
                         VK_SUCCESS);
    }
    for (i = 0; i < 200; i++) {
        char text[16];
        snprintf(text, sizeof text, "number %u", i);
        sxvkGetAllocationInfo(rig->allocator, allocations[i], &info);
        assert_string_equal(info.pName, text);
        assert_ptr_equal(info.pUserData, &allocations[i]);
    }
    sxvkFreeMemoryPages(rig->allocator, 200, allocations);
    for (i = 0; i < 200; i++) {
        allocations[i] = rig_allocate(rig, HOST, 100);
        sxvkGetAllocationInfo(rig->allocator, allocations[i], &info);
        assert_null(info.pName);
        assert_null(info.pUserData);
    }
    sxvkFreeMemoryPages(rig->allocator, 200, allocations);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ leaks */

typedef struct Leaks {
    char names[8][32]; /* found in messages, in any order */
    uint32_t found[8];
    uint32_t allocations;
    uint32_t pools;
    uint32_t others;
} Leaks;

static void VKAPI_PTR count_leak(void* pUserData, const SxvkMessageInfo* pInfo) {
    Leaks* leaks = (Leaks*)pUserData;
    uint32_t i;
    for (i = 0; i < 8; i++) {
        leaks->found[i] += leaks->names[i][0] != 0 && strstr(pInfo->pText, leaks->names[i]) != NULL;
    }
    leaks->allocations += pInfo->message == SXVK_MESSAGE_LEAKED_ALLOCATION;
    leaks->pools += pInfo->message == SXVK_MESSAGE_LEAKED_POOL;
    leaks->others += pInfo->message != SXVK_MESSAGE_LEAKED_ALLOCATION &&
                     pInfo->message != SXVK_MESSAGE_LEAKED_POOL;
    assert_int_equal(pInfo->severity, SXVK_MESSAGE_SEVERITY_ERROR);
}

/*  VMA#130, VMA#276, VMA#409: who leaked what? One message for each, by name, and all memory goes
    back. */
static void test_leaks_of_the_allocator(void** state) {
    Leaks leaks = {.names = {"shadow map", "(no name)", "777", "terrain", "pool of leaks"}};
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = HOST};
    RigOptions options = rig_options();
    SxvkAllocationCreateInfo create = {0};
    SxvkAllocation allocation;
    SxvkPool pool;
    Rig* rig;
    uint32_t i;
    (void)state;
    options.info.pfnMessage = count_leak;
    options.info.pMessageUserData = &leaks;
    rig = rig_create(&options);
    create.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    create.pName = "shadow map";
    allocate(rig, &create, MIB, NULL);
    create.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT;
    create.requiredFlags = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    create.pName = NULL;
    allocate(rig, &create, 777, NULL);
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
    assert_int_equal(sxvkSetPoolName(rig->allocator, pool, "pool of leaks"), VK_SUCCESS);
    create = (SxvkAllocationCreateInfo){.pool = pool, .pName = "terrain"};
    for (i = 0; i < 5; i++) {
        allocation = allocate(rig, &create, KIB, NULL);
    }
    sxvkFreeMemory(rig->allocator, allocation); /* one of them was freed after all */
    rig_destroy_allocator(rig);
    assert_int_equal(leaks.allocations, 6);
    assert_int_equal(leaks.pools, 1);
    assert_int_equal(leaks.others, 0);
    assert_int_equal(leaks.found[0], 1);
    assert_int_equal(leaks.found[1], 1);
    assert_int_equal(leaks.found[2], 1);
    assert_int_equal(leaks.found[3], 4);
    assert_int_equal(leaks.found[4], 1);
    assert_int_equal(sim_live_memory_count(rig->sim), 0);
    rig_destroy(rig);
}

static void test_leaks_of_a_pool(void** state) {
    Leaks leaks = {.names = {"left behind"}};
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = HOST};
    RigOptions options = rig_options();
    SxvkAllocationCreateInfo create = {.pName = "left behind"};
    SxvkAllocation in_pool, dedicated, outside;
    Rig* rig;
    (void)state;
    options.info.pfnMessage = count_leak;
    options.info.pMessageUserData = &leaks;
    rig = rig_create(&options);
    outside = rig_allocate(rig, HOST, KIB);
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &create.pool), VK_SUCCESS);
    in_pool = allocate(rig, &create, KIB, NULL);
    create.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    dedicated = allocate(rig, &create, KIB, NULL);
    sxvkDestroyPool(rig->allocator, create.pool);
    assert_int_equal(leaks.allocations, 2);
    assert_int_equal(leaks.found[0], 2);
    assert_int_equal(leaks.pools, 0);
    assert_false(sxvkIsAllocationValid(rig->allocator, in_pool));
    assert_false(sxvkIsAllocationValid(rig->allocator, dedicated));
    assert_true(sxvkIsAllocationValid(rig->allocator, outside));
    assert_int_equal(rig_statistics(rig).allocationCount, 1);
    rig_check(rig);
    sxvkFreeMemory(rig->allocator, outside);
    rig_destroy(rig);
}

#define MANY 5000

typedef struct ManyLeaks {
    uint32_t times[MANY]; /* by size: number i has KIB + i bytes */
    uint32_t total;
    uint32_t others; /* other messages, and texts that do not name their allocation */
} ManyLeaks;

static bool leak_is_named(uint32_t i) {
    return i % 3 == 0;
}

static void VKAPI_PTR count_each_leak(void* pUserData, const SxvkMessageInfo* pInfo) {
    ManyLeaks* leaks = (ManyLeaks*)pUserData;
    char expected[64];
    unsigned size;
    if (pInfo->message != SXVK_MESSAGE_LEAKED_ALLOCATION ||
        sscanf(pInfo->pText, "%*[^,], %u", &size) != 1 || size < KIB || size >= KIB + MANY) {
        leaks->others++;
        return;
    }
    size -= (unsigned)KIB;
    snprintf(expected, sizeof expected, leak_is_named(size) ? ": leak %u, " : ": (no name), ",
             size);
    leaks->others += strstr(pInfo->pText, expected) == NULL;
    leaks->times[size]++;
    leaks->total++;
}

/*  5,000 leaks of one pool, in blocks and dedicated, mapped and not, with and without a name: one
    message each, and other pools keep what they have. */
static void test_many_leaks_of_a_pool(void** state) {
    static SxvkAllocation lost[MANY];
    static ManyLeaks leaks;
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = HOST};
    RigOptions options = rig_options();
    SxvkAllocation kept[60];
    SxvkAllocationInfo infos[60], info;
    SxvkPool pool, other;
    Rig* rig;
    uint32_t i;
    (void)state;
    memset(&leaks, 0, sizeof leaks);
    options.info.pfnMessage = count_each_leak;
    options.info.pMessageUserData = &leaks;
    rig = rig_create(&options);
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &other), VK_SUCCESS);
    for (i = 0; i < MANY; i++) {
        SxvkAllocationCreateInfo create = {.pool = pool};
        char name[32];
        snprintf(name, sizeof name, "leak %u", i);
        create.pName = leak_is_named(i) ? name : NULL;
        create.flags |= i % 4 == 1 ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0;
        create.flags |= i % 10 == 7 ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
        lost[i] = allocate(rig, &create, KIB + i, NULL);
        if (i % 100 == 0) { /* records and memory of the others lie between */
            create = (SxvkAllocationCreateInfo){.pName = "kept"};
            create.memoryTypeBits = 1u << HOST;
            create.flags = i % 200 == 0 ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0;
            create.flags |= i % 500 == 0 ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
            create.pool = i % 300 == 0 ? other : VK_NULL_HANDLE;
            kept[i / 100] = allocate(rig, &create, KIB, &infos[i / 100]);
        }
    }
    sxvkDestroyPool(rig->allocator, pool);
    assert_int_equal(leaks.total, MANY);
    assert_int_equal(leaks.others, 0);
    for (i = 0; i < MANY; i++) {
        assert_int_equal(leaks.times[i], 1);
        assert_false(sxvkIsAllocationValid(rig->allocator, lost[i]));
    }
    for (i = 0; i < MANY / 100; i++) {
        sxvkGetAllocationInfo(rig->allocator, kept[i], &info);
        assert_memory_equal(&info, &infos[i], sizeof info);
    }
    assert_int_equal(rig_statistics(rig).allocationCount, MANY / 100);
    rig_check(rig);
    sxvkFreeMemoryPages(rig->allocator, MANY / 100, kept);
    sxvkDestroyPool(rig->allocator, other);
    rig_destroy_allocator(rig);
    assert_int_equal(leaks.total, MANY);
    assert_int_equal(leaks.others, 0);
    rig_destroy(rig);
}

/*  One message for each leak, be it still mapped or not. */
static void test_leaks_that_are_mapped(void** state) {
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = HOST};
    SxvkAllocationCreateInfo create = {0};
    Rig* rig = rig_create(NULL);
    void* data;
    (void)state;
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &create.pool), VK_SUCCESS);
    assert_int_equal(sxvkMapMemory(rig->allocator, allocate(rig, &create, KIB, NULL), &data),
                     VK_SUCCESS);
    create.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    assert_int_equal(sxvkMapMemory(rig->allocator, allocate(rig, &create, KIB, NULL), &data),
                     VK_SUCCESS);
    sxvkDestroyPool(rig->allocator, create.pool);
    rig_expect(rig, SXVK_MESSAGE_LEAKED_ALLOCATION, 2);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ priorities */

static void test_priorities(void** state) {
    RigOptions options = rig_options();
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT,
                                       .priority = 0.25f};
    SxvkAllocation dedicated, plain;
    SxvkAllocationInfo info;
    SimMemoryInfo memory;
    Rig* rig;
    (void)state;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_PRIORITY_BIT |
                         SXVK_ALLOCATOR_CREATE_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_BIT;
    rig = rig_create(&options);
    dedicated = allocate(rig, &create, KIB, &info);
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_true(memory.hasPriority && memory.priority == 0.25f);
    assert_int_equal(sxvkSetAllocationPriority(rig->allocator, dedicated, 1.0f), VK_SUCCESS);
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_true(memory.priority == 1.0f);
    assert_int_equal(sxvkSetAllocationPriority(rig->allocator, dedicated, 0.0f), VK_SUCCESS);
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_true(memory.priority == 0.0f);
    plain = rig_allocate(rig, LOCAL, KIB);
    sxvkGetAllocationInfo(rig->allocator, plain, &info);
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_true(memory.hasPriority && memory.priority == 0.5f);
    assert_int_equal(sxvkSetAllocationPriority(rig->allocator, plain, 1.0f),
                     VK_ERROR_FEATURE_NOT_PRESENT);
    sxvkFreeMemory(rig->allocator, plain);
    sxvkFreeMemory(rig->allocator, dedicated);
    rig_destroy(rig);

    rig = rig_create(NULL); /* without the extensions */
    dedicated = allocate(rig, &create, KIB, &info);
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_false(memory.hasPriority);
    assert_int_equal(sxvkSetAllocationPriority(rig->allocator, dedicated, 1.0f),
                     VK_ERROR_FEATURE_NOT_PRESENT);
    sxvkFreeMemory(rig->allocator, dedicated);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ ways to ask for memory */

static void test_alignments_and_strategies(void** state) {
    static const SxvkAllocationCreateFlags strategies[] = {
        0, SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT,
        SXVK_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT,
        SXVK_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT};
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocations[80];
    SxvkAllocationInfo info;
    uint32_t i;
    (void)state;
    for (i = 0; i < 80; i++) {
        SxvkAllocationCreateInfo create = {.flags = strategies[i % 4],
                                           .minAlignment = (VkDeviceSize)1 << (i % 20)};
        allocations[i] = allocate(rig, &create, 1 + 100 * i, &info);
        assert_int_equal(info.offset % create.minAlignment, 0);
        assert_int_equal(info.size, 1 + 100 * i);
    }
    rig_check(rig);
    sxvkFreeMemoryPages(rig->allocator, 80, allocations);
    rig_destroy(rig);
}

/*  Of a large hole at a low place and one that fits at a high place MIN_OFFSET takes the low one.
    */
static void test_min_offset(void** state) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = LOCAL, .blockSize = MIB};
    SxvkAllocationCreateInfo create = {0};
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocations[16];
    SxvkAllocationInfo at, hole;
    uint32_t i;
    (void)state;
    assert_int_equal(sxvkCreatePool(rig->allocator, &info, &create.pool), VK_SUCCESS);
    for (i = 0; i < 16; i++) {
        allocations[i] = allocate(rig, &create, 64 * KIB, NULL);
    }
    sxvkGetAllocationInfo(rig->allocator, allocations[0], &at);
    assert_int_equal(at.offset, 0); /* a fresh block is filled from its start */
    sxvkGetAllocationInfo(rig->allocator, allocations[2], &hole);
    for (i = 2; i < 5; i++) {
        sxvkFreeMemory(rig->allocator, allocations[i]);
    }
    sxvkFreeMemory(rig->allocator, allocations[9]);
    create.flags = SXVK_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT;
    for (i = 2; i < 5; i++) {
        allocations[i] = allocate(rig, &create, 64 * KIB, &at);
        assert_int_equal(at.offset, hole.offset + (i - 2) * 64 * KIB);
    }
    allocations[9] = allocate(rig, &create, 64 * KIB, NULL);
    assert_int_equal(sim_live_memory_count(rig->sim), 1);
    sxvkFreeMemoryPages(rig->allocator, 16, allocations);
    sxvkDestroyPool(rig->allocator, create.pool);
    rig_destroy(rig);
}

/*  No lock, one thread: everything works as before. */
static void test_externally_synchronized(void** state) {
    RigOptions options = rig_options();
    SxvkAllocation allocations[100];
    uint64_t seed = 5;
    Rig* rig;
    uint32_t i;
    (void)state;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXTERNALLY_SYNCHRONIZED_BIT;
    rig = rig_create(&options);
    memset(allocations, 0, sizeof allocations);
    for (i = 0; i < 1000; i++) {
        uint32_t slot = testing_below(&seed, 100);
        sxvkFreeMemory(rig->allocator, allocations[slot]);
        allocations[slot] = rig_allocate(rig, i % 3, testing_log_uniform(&seed, 1, MIB));
    }
    rig_check(rig);
    sxvkFreeMemoryPages(rig->allocator, 100, allocations);
    rig_destroy(rig);
}

/*  The three forms agree with where an allocation lands, and the explanation starts with that type.
    */
static void test_find_and_explain(void** state) {
    VkBufferCreateInfo buffer_info = testing_buffer(KIB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(16, 16, VK_IMAGE_TILING_OPTIMAL);
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO,
                                       .flags = SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT};
    SxvkAllocationCreateInfo image_create = {.usage = SXVK_MEMORY_USAGE_AUTO};
    SxvkAllocationCreateInfo plain = {.requiredFlags = VK_MEMORY_PROPERTY_HOST_CACHED_BIT};
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = HOST};
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
    char expected[32];
    VkBuffer buffer;
    VkImage image;
    uint32_t type;
    char* text;
    (void)state;
    assert_int_equal(sxvkFindMemoryTypeIndex(rig->allocator, UINT32_MAX, &plain, &type),
                     VK_SUCCESS);
    assert_int_equal(type, CACHED);
    assert_int_equal(sxvkFindMemoryTypeIndex(rig->allocator, ~(1u << CACHED), &plain, &type),
                     VK_ERROR_FEATURE_NOT_PRESENT);
    assert_int_equal(type, UINT32_MAX);
    rig_expect(rig, SXVK_MESSAGE_NO_MEMORY_TYPE, 1);

    assert_int_equal(
        sxvkFindMemoryTypeIndexForBufferInfo(rig->allocator, &buffer_info, &create, &type),
        VK_SUCCESS);
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &allocation, &info),
        VK_SUCCESS);
    assert_int_equal(info.memoryType, type);
    assert_int_equal(
        sxvkExplainMemoryType(rig->allocator, UINT32_MAX, &create, &buffer_info, NULL, &text),
        VK_SUCCESS);
    snprintf(expected, sizeof expected, "1. type %u ", type);
    assert_ptr_equal(strstr(text, expected), text);
    sxvkFreeStatsString(rig->allocator, text);
    sxvkDestroyBuffer(rig->allocator, buffer, allocation);

    assert_int_equal(
        sxvkFindMemoryTypeIndexForImageInfo(rig->allocator, &image_info, &image_create, &type),
        VK_SUCCESS);
    assert_int_equal(
        sxvkCreateImage(rig->allocator, &image_info, &image_create, &image, &allocation, &info),
        VK_SUCCESS);
    assert_int_equal(info.memoryType, type);
    assert_int_equal(
        sxvkExplainMemoryType(rig->allocator, UINT32_MAX, &image_create, NULL, &image_info, &text),
        VK_SUCCESS);
    snprintf(expected, sizeof expected, "1. type %u ", type);
    assert_ptr_equal(strstr(text, expected), text);
    sxvkFreeStatsString(rig->allocator, text);
    sxvkDestroyImage(rig->allocator, image, allocation);

    /* A pool leaves no choice. */
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &create.pool), VK_SUCCESS);
    assert_int_equal(
        sxvkExplainMemoryType(rig->allocator, UINT32_MAX, &create, &buffer_info, NULL, &text),
        VK_SUCCESS);
    assert_string_equal(text, "the pool decides: memory type 1\n");
    sxvkFreeStatsString(rig->allocator, text);
    assert_int_equal(sxvkExplainMemoryType(rig->allocator, ~2u, &create, NULL, NULL, &text),
                     VK_SUCCESS);
    assert_string_equal(text, "the pool decides: memory type 1, which is not allowed\n");
    sxvkFreeStatsString(rig->allocator, text);
    sxvkDestroyPool(rig->allocator, create.pool);
    rig_destroy(rig);
}

/*  Host memory does not grow without end: what is freed is used again. */
static void test_host_memory_is_reused(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocations[500];
    uint64_t bytes = 0;
    uint32_t round, i;
    (void)state;
    for (round = 0; round < 20; round++) {
        for (i = 0; i < 500; i++) {
            allocations[i] = rig_allocate(rig, LOCAL, 100 + i);
        }
        sxvkFreeMemoryPages(rig->allocator, 500, allocations);
        sxvkTrim(rig->allocator);
        if (round == 0) {
            bytes = rig->host.liveBytes;
        }
        assert_int_equal(rig->host.liveBytes, bytes);
    }
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_info),
#if SX_VKALLOC_STATIC_VULKAN_FUNCTIONS
        cmocka_unit_test(test_instance_proc_addr_beside_prototypes),
#endif
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_for_each),
        cmocka_unit_test(test_stale_handles),
        cmocka_unit_test(test_foreign_handles),
        cmocka_unit_test(test_handles_of_former_allocators),
        cmocka_unit_test(test_names_and_user_data),
        cmocka_unit_test(test_leaks_of_the_allocator),
        cmocka_unit_test(test_leaks_of_a_pool),
        cmocka_unit_test(test_many_leaks_of_a_pool),
        cmocka_unit_test(test_leaks_that_are_mapped),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_alignments_and_strategies),
        cmocka_unit_test(test_min_offset),
        cmocka_unit_test(test_externally_synchronized),
        cmocka_unit_test(test_find_and_explain),
        cmocka_unit_test(test_host_memory_is_reused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
