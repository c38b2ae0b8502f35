/*  test_block.c - one VkDeviceMemory: its chain of infos, its slot, its mapping.

    Run by CTest (unit.block).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <time.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)
#define GIB ((VkDeviceSize)1 << 30)

/* Memory types of sim_profile_discrete. */
enum { LOCAL, HOST, CACHED, BAR };

static Rig* flags_rig(SxvkAllocatorCreateFlags flags) {
    RigOptions options = rig_options();
    options.info.flags = flags;
    return rig_create(&options);
}

static sxvki_block* block_of(Rig* rig, SxvkAllocation allocation) {
    sxvki_device* device = &rig->allocator->device;
    assert_true(sxvki_handle_is_valid(&device->records, allocation));
    return sxvki_block_of(device, sxvki_handle_index(allocation));
}

static SimMemoryInfo memory_of(Rig* rig, SxvkAllocation allocation) {
    SxvkAllocationInfo info;
    SimMemoryInfo memory;
    sxvkGetAllocationInfo(rig->allocator, allocation, &info);
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    return memory;
}

/* ------------------------------------------------------------------ mapping states */

/*  0 -> MAPPED|1 -> MAPPED|n -> MAPPED|0: the default. */
static void test_stays_mapped(void** state) {
    Rig* rig = flags_rig(0);
    SxvkAllocation allocation = rig_allocate(rig, HOST, KIB);
    sxvki_block* block = block_of(rig, allocation);
    sxvki_device* device = &rig->allocator->device;
    void* first;
    void* again;
    (void)state;
    assert_int_equal(block->map_word, 0);
    assert_null(sxvki_block_pointer(block));
    assert_int_equal(sxvki_block_map(device, block, &first), VK_SUCCESS);
    assert_int_equal(block->map_word, SXVKI_MAP_MAPPED | 1);
    assert_ptr_equal(sxvki_block_pointer(block), first);
    assert_int_equal(sxvki_block_map(device, block, &again), VK_SUCCESS);
    assert_ptr_equal(first, again);
    assert_int_equal(block->map_word, SXVKI_MAP_MAPPED | 2);
    sxvki_block_unmap(device, block);
    sxvki_block_unmap(device, block);
    assert_int_equal(block->map_word, SXVKI_MAP_MAPPED);
    assert_ptr_equal(sxvki_block_pointer(block), first);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_MAP_MEMORY), 1);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_UNMAP_MEMORY), 0);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

static void test_unmaps_at_zero(void** state) {
    Rig* rig = flags_rig(SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT);
    SxvkAllocation a = rig_allocate(rig, HOST, KIB);
    SxvkAllocation b = rig_allocate(rig, HOST, KIB);
    sxvki_block* block = block_of(rig, a);
    void* data;
    int i;
    (void)state;
    assert_ptr_equal(block, block_of(rig, b));
    for (i = 1; i <= 3; i++) {
        assert_int_equal(sxvkMapMemory(rig->allocator, a, &data), VK_SUCCESS);
        assert_int_equal(sxvkMapMemory(rig->allocator, b, &data), VK_SUCCESS);
        assert_int_equal(sim_calls(rig->sim, SIM_CALL_MAP_MEMORY), i);
        sxvkUnmapMemory(rig->allocator, a);
        assert_true(memory_of(rig, a).mapped);
        sxvkUnmapMemory(rig->allocator, b);
        assert_false(memory_of(rig, a).mapped);
        assert_int_equal(sim_calls(rig->sim, SIM_CALL_UNMAP_MEMORY), i);
        assert_int_equal(block->map_word, 0);
        assert_null(block->mapped);
    }
    sxvkFreeMemory(rig->allocator, a);
    sxvkFreeMemory(rig->allocator, b);
    rig_destroy(rig);
}

static void test_map_failure(void** state) {
    static const VkResult results[] = {VK_ERROR_MEMORY_MAP_FAILED, VK_ERROR_OUT_OF_HOST_MEMORY,
                                       VK_ERROR_DEVICE_LOST};
    Rig* rig = flags_rig(0);
    SxvkAllocation allocation = rig_allocate(rig, HOST, KIB);
    sxvki_block* block = block_of(rig, allocation);
    SxvkAllocationInfo info;
    void* data;
    size_t i;
    (void)state;
    for (i = 0; i < sizeof results / sizeof results[0]; i++) {
        data = &data;
        assert_true(sim_fail(rig->sim, SIM_CALL_MAP_MEMORY, 1, 1, results[i]));
        assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), results[i]);
        rig_expect(rig, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, results[i] == VK_ERROR_OUT_OF_HOST_MEMORY);
        assert_null(data);
        assert_int_equal(block->map_word, 0);
        sxvkGetAllocationInfo(rig->allocator, allocation, &info);
        assert_null(info.pMappedData);
        sxvkUnmapMemory(rig->allocator, allocation); /* it does not count as mapped */
        rig_expect(rig, SXVK_MESSAGE_NOT_MAPPED, 1);
    }
    assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_SUCCESS);
    sxvkUnmapMemory(rig->allocator, allocation);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ mapping by several threads */

#define THREADS 4

typedef struct Mapper {
    pthread_t thread;
    Rig* rig;
    SxvkAllocation allocation;
    uint32_t rounds;
    uint32_t failures;
    VkDeviceSize distance; /* from the start of the block */
} Mapper;

static void* map_and_unmap(void* pMapper) {
    Mapper* mapper = (Mapper*)pMapper;
    uint32_t i;
    for (i = 0; i < mapper->rounds; i++) {
        void* data = NULL;
        if (sxvkMapMemory(mapper->rig->allocator, mapper->allocation, &data) != VK_SUCCESS) {
            mapper->failures++;
        } else {
            sxvkUnmapMemory(mapper->rig->allocator, mapper->allocation);
        }
    }
    return NULL;
}

/*  Long enough that the other threads come while the driver maps. */
static void map_slowly(void* pUnused, SimCall call) {
    struct timespec pause = {0, 3000000};
    (void)pUnused;
    if (call == SIM_CALL_MAP_MEMORY) {
        nanosleep(&pause, NULL);
    }
}

static uint32_t run_mappers(Rig* rig, uint32_t rounds) {
    Mapper mappers[THREADS];
    uint32_t failures = 0;
    uint32_t i;
    for (i = 0; i < THREADS; i++) {
        mappers[i] =
            (Mapper){.rig = rig, .allocation = rig_allocate(rig, HOST, KIB), .rounds = rounds};
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&mappers[i].thread, NULL, map_and_unmap, &mappers[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(mappers[i].thread, NULL);
        failures += mappers[i].failures;
        sxvkFreeMemory(rig->allocator, mappers[i].allocation);
    }
    return failures;
}

/*  VMA#331, VMA#525: all at once, and the driver is called once; vkMapMemory on mapped memory would
    be a mistake that the device reports. */
static void test_threads_map_one_block(void** state) {
    Rig* rig = flags_rig(0);
    (void)state;
    sim_set_call_hook(rig->sim, map_slowly, NULL);
    assert_int_equal(run_mappers(rig, 1), 0);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_MAP_MEMORY), 1);
    rig_destroy(rig);
}

/*  The first map fails; who waited for it tries by himself. */
static void test_threads_and_a_failing_map(void** state) {
    Rig* rig = flags_rig(0);
    (void)state;
    sim_set_call_hook(rig->sim, map_slowly, NULL);
    assert_true(sim_fail(rig->sim, SIM_CALL_MAP_MEMORY, 1, 1, VK_ERROR_MEMORY_MAP_FAILED));
    assert_int_equal(run_mappers(rig, 1), 1);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_MAP_MEMORY), 2);
    rig_destroy(rig);
}

/*  Maps and unmaps race for the last reference. */
static void test_threads_with_unmap_unused(void** state) {
    Rig* rig = flags_rig(SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT);
    (void)state;
    assert_int_equal(run_mappers(rig, 500), 0);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_MAP_MEMORY),
                     sim_calls(rig->sim, SIM_CALL_UNMAP_MEMORY));
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ the chain of infos */

static SxvkAllocation dedicated(Rig* rig, void* next, float priority) {
    VkMemoryRequirements requirements = testing_requirements(KIB, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo create = {.priority = priority};
    SxvkAllocation allocation;
    assert_int_equal(sxvkAllocateDedicatedMemory(rig->allocator, &requirements, &create, next,
                                                 &allocation, NULL),
                     VK_SUCCESS);
    return allocation;
}

static void test_plain_chain(void** state) {
    Rig* rig = flags_rig(0);
    SxvkAllocation allocation = dedicated(rig, NULL, 0.9f);
    SimMemoryInfo memory = memory_of(rig, allocation);
    (void)state;
    assert_int_equal(memory.size, KIB);
    assert_int_equal(memory.memoryTypeIndex, LOCAL);
    assert_int_equal(memory.flags, 0);
    assert_false(memory.hasPriority); /* the extension is not enabled */
    assert_true(memory.dedicatedBuffer == VK_NULL_HANDLE);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

static PFN_vkAllocateMemory real_allocate_memory;

/*  Vulkan forbids two structs of one type in a chain, and drivers differ in which they take. */
static VkResult VKAPI_PTR allocate_memory(VkDevice device, const VkMemoryAllocateInfo* pInfo,
                                          const VkAllocationCallbacks* pAllocator,
                                          VkDeviceMemory* pMemory) {
    const VkBaseInStructure* s;
    for (s = (const VkBaseInStructure*)pInfo->pNext; s != NULL; s = s->pNext) {
        assert_null(sxvki_chain_find(s->pNext, s->sType));
    }
    return real_allocate_memory(device, pInfo, pAllocator, pMemory);
}

static void test_full_chain(void** state) {
    Rig* rig = rig_create_bare(NULL);
    VkExportMemoryAllocateInfo exported = {.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
                                           .handleTypes =
                                               VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    VkMemoryAllocateFlagsInfo mask = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                      .flags = VK_MEMORY_ALLOCATE_DEVICE_MASK_BIT,
                                      .deviceMask = 1};
    VkMemoryPriorityAllocateInfoEXT priority = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT, .priority = 0.125f};
    SxvkAllocation allocation;
    SimMemoryInfo memory;
    (void)state;
    real_allocate_memory =
        (PFN_vkAllocateMemory)sim_get_device_proc_addr()(sim_device(rig->sim), "vkAllocateMemory");
    rig->functions.vkAllocateMemory = allocate_memory;
    rig->info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_PRIORITY_BIT |
                      SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT;
    assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator), VK_SUCCESS);
    allocation = dedicated(rig, &exported, 0.9f);
    memory = memory_of(rig, allocation);
    assert_int_equal(memory.flags, VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT);
    assert_true(memory.hasPriority && memory.priority == 0.9f);
    assert_int_equal(memory.exportTypes, VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT);
    sxvkFreeMemory(rig->allocator, allocation);

    /* What the user says himself is not said twice. */
    allocation = dedicated(rig, &priority, 0.9f);
    memory = memory_of(rig, allocation);
    assert_true(memory.priority == 0.125f);
    assert_int_equal(memory.flags, VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT);
    sxvkFreeMemory(rig->allocator, allocation);
    allocation = dedicated(rig, &mask, 0);
    memory = memory_of(rig, allocation);
    assert_int_equal(memory.flags, VK_MEMORY_ALLOCATE_DEVICE_MASK_BIT);
    assert_true(memory.priority == 0.5f);
    sxvkFreeMemory(rig->allocator, allocation);
    assert_null(exported.pNext); /* the user's structs are left as they were */
    assert_null(mask.pNext);

    /* Blocks that are shared have the flag as well: any buffer in them may want an address. */
    allocation = rig_allocate(rig, HOST, KIB);
    assert_int_equal(memory_of(rig, allocation).flags, VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ sizes and slots */

/*  VVL#9231, gpu-allocator#60: the H200 has 140 GiB and gives out 4092 MiB at a time. */
static void test_max_memory_allocation_size(void** state) {
    SimProfile profile = testing_profile(TESTING_PROFILES, "nvidia_h200_linux_r580");
    const uint32_t device_type = 1;
    VkMemoryRequirements requirements =
        testing_requirements(4292870144u + 1, 16, 1u << device_type);
    SxvkAllocationCreateInfo create = {0};
    RigOptions options = rig_options();
    SxvkAllocation allocation;
    Rig* rig;
    (void)state;
    options.profile = &profile;
    rig = rig_create(&options);
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocation, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_ALLOCATE_MEMORY), 0);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    requirements.size--;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocation, NULL),
                     VK_SUCCESS);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

/*  Blocks of more than 4 GiB: offsets that do not fit into 32 bits. */
static void test_large_blocks(void** state) {
    SimProfile profile = testing_profile(TESTING_PROFILES, "nvidia_h200_linux_r580");
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = 1, .blockSize = 100 * GIB};
    VkMemoryRequirements requirements = testing_requirements(7 * GIB + 3, 256, UINT32_MAX);
    SxvkAllocationCreateInfo create = {0};
    RigOptions options = rig_options();
    SxvkAllocation allocations[14];
    SxvkAllocationInfo info;
    Rig* rig;
    size_t i;
    (void)state;
    profile.maxMemoryAllocationSize = 0;
    options.profile = &profile;
    rig = rig_create(&options);
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &create.pool), VK_SUCCESS);
    for (i = 0; i < 14; i++) {
        assert_int_equal(
            sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocations[i], &info),
            VK_SUCCESS);
        assert_int_equal(info.size, 7 * GIB + 3);
        assert_int_equal(info.offset % 256, 0);
        assert_true(info.offset + info.size <= 100 * GIB);
    }
    assert_true(info.offset > 4 * GIB);
    assert_int_equal(sim_live_memory_count(rig->sim), 1);
    rig_check(rig);
    sxvkFreeMemoryPages(rig->allocator, 14, allocations);
    sxvkDestroyPool(rig->allocator, create.pool);
    rig_destroy(rig);
}

/*  Slots are used again; the table grows only with the most blocks that ever lived at once. */
static void test_slots(void** state) {
    Rig* rig = flags_rig(0);
    sxvki_device* device = &rig->allocator->device;
    SxvkAllocation live[100];
    uint32_t capacity = 0;
    uint32_t round, i;
    (void)state;
    for (round = 0; round < 5; round++) {
        for (i = 0; i < 100; i++) {
            live[i] = dedicated(rig, NULL, 0);
            assert_int_equal(block_of(rig, live[i])->live_count, 1);
            assert_true(block_of(rig, live[i])->id < device->blocks.capacity);
        }
        rig_check(rig);
        sxvkFreeMemoryPages(rig->allocator, 100, live);
        if (round == 0) {
            capacity = device->blocks.capacity;
            assert_in_range(capacity, 100, 400);
        }
        assert_int_equal(device->blocks.capacity, capacity);
    }
    rig_destroy(rig);
}

/*  A block that could not be made leaves no slot behind, nor a booking. */
static void test_slots_of_failed_blocks(void** state) {
    VkMemoryRequirements requirements = testing_requirements(KIB, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    Rig* rig = flags_rig(0);
    sxvki_device* device = &rig->allocator->device;
    SxvkAllocation allocation;
    uint32_t capacity;
    int i;
    (void)state;
    sxvkFreeMemory(rig->allocator, dedicated(rig, NULL, 0));
    capacity = device->blocks.capacity;
    assert_true(
        sim_fail(rig->sim, SIM_CALL_ALLOCATE_MEMORY, 1, UINT32_MAX, VK_ERROR_OUT_OF_DEVICE_MEMORY));
    for (i = 0; i < 100; i++) {
        assert_int_equal(
            sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocation, NULL),
            VK_ERROR_OUT_OF_DEVICE_MEMORY);
    }
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 100);
    assert_int_equal(device->blocks.capacity, capacity);
    assert_int_equal(device->budget.memory_count, 0);
    assert_int_equal(device->budget.heaps[0].block_bytes, 0);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stays_mapped),
        cmocka_unit_test(test_unmaps_at_zero),
        cmocka_unit_test(test_map_failure),
        cmocka_unit_test(test_threads_map_one_block),
        cmocka_unit_test(test_threads_and_a_failing_map),
        cmocka_unit_test(test_threads_with_unmap_unused),
        cmocka_unit_test(test_plain_chain),
        cmocka_unit_test(test_full_chain),
        cmocka_unit_test(test_max_memory_allocation_size),
        cmocka_unit_test(test_large_blocks),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_slots_of_failed_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
