/*  test_budget.c - counters per heap, what the driver says about them, and how little it is
    believed.

    Where threads meet between two steps, the other one is played by a hook in the library's
    internal assertions. Run by CTest (unit.budget).
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

/*  What another thread does, once, between two words that this one reads. */
static void (*while_reading)(void);

static void check_assertion(int holds, const char* text) {
    void (*act)(void) = while_reading;
    if (!holds) {
        fprintf(stderr, "assertion: %s\n", text);
        abort();
    }
    if (act != NULL && strcmp(text, "*limit != 0") == 0) {
        while_reading = NULL;
        act();
    }
}

#define SX_VKALLOC_ASSERT(x) check_assertion((x) ? 1 : 0, #x)
#define SX_VKALLOC_DEBUG     2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)
#define GIB ((VkDeviceSize)1 << 30)

/* Memory types of sim_profile_discrete. */
enum { LOCAL, HOST, CACHED, BAR };

static Rig* budget_rig(void) {
    RigOptions options = rig_options();
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    return rig_create(&options);
}

static SxvkBudget get(Rig* rig, uint32_t heap) {
    SxvkBudget budget;
    sxvkGetHeapBudget(rig->allocator, heap, &budget);
    return budget;
}

static uint64_t queries(Rig* rig) {
    return sim_calls(rig->sim, SIM_CALL_GET_PHYSICAL_DEVICE_MEMORY_PROPERTIES2);
}

static VkResult allocate_within(Rig* rig, VkDeviceSize size, SxvkAllocation* allocation) {
    VkMemoryRequirements requirements = testing_requirements(size, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT};
    return sxvkAllocateMemory(rig->allocator, &requirements, &create, allocation, NULL);
}

/* ------------------------------------------------------------------ what is reported */

static void test_without_the_extension(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocation;
    SxvkBudget budget = get(rig, 0);
    (void)state;
    assert_int_equal(budget.usage, 0);
    assert_int_equal(budget.budget, 8 * GIB - 8 * GIB / 5);
    allocation = rig_allocate(rig, LOCAL, 5 * MIB);
    budget = get(rig, 0);
    assert_int_equal(budget.usage, sim_live_memory_bytes(rig->sim, 0));
    assert_int_equal(budget.statistics.allocationBytes, 5 * MIB);
    assert_int_equal(budget.statistics.blockBytes, budget.usage);
    assert_int_equal(get(rig, 1).usage, 0);
    assert_int_equal(queries(rig), 0);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

static void test_with_the_extension(void** state) {
    Rig* rig = budget_rig();
    SxvkAllocation allocation;
    VkDeviceSize before;
    (void)state;
    sim_set_budget(rig->sim, 0, 6 * GIB, 100 * MIB);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    assert_int_equal(get(rig, 0).budget, 6 * GIB);
    assert_int_equal(get(rig, 0).usage, 100 * MIB);

    /* Between two queries our own bytes are added to what the driver said. */
    allocation = rig_allocate(rig, LOCAL, 3 * MIB);
    before = queries(rig);
    assert_int_equal(get(rig, 0).usage, 100 * MIB + sim_live_memory_bytes(rig->sim, 0));
    assert_int_equal(queries(rig), before);
    sxvkSetCurrentFrameIndex(rig->allocator, 2);
    assert_int_equal(queries(rig), before + 1);
    assert_int_equal(get(rig, 0).usage, 100 * MIB + sim_live_memory_bytes(rig->sim, 0));
    sxvkFreeMemory(rig->allocator, allocation);
    sxvkTrim(rig->allocator);
    assert_int_equal(get(rig, 0).usage, 100 * MIB);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ nonsense */

/*  VMA#157: a budget of 16 EiB; node-llama-cpp#653: a budget larger than the heap; drivers that say
    0. */
static void test_nonsense_is_clamped(void** state) {
    static const VkDeviceSize nonsense[] = {UINT64_MAX, UINT64_MAX - 4096, (VkDeviceSize)1 << 63,
                                            9 * GIB, 0};
    size_t i;
    (void)state;
    for (i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        Rig* rig = budget_rig();
        SxvkAllocation allocation;
        sim_set_budget(rig->sim, 0, nonsense[i], 0);
        sxvkSetCurrentFrameIndex(rig->allocator, 1);
        assert_int_equal(get(rig, 0).budget, 8 * GIB);
        assert_int_equal(allocate_within(rig, KIB, &allocation), VK_SUCCESS);
        sxvkFreeMemory(rig->allocator, allocation);
        rig_destroy(rig);
    }
}

/*  A usage near 2^64, or less than what we know that we hold, must not wrap around. */
static void test_usage_saturates(void** state) {
    Rig* rig = budget_rig();
    SxvkAllocation first = rig_allocate(rig, LOCAL, 100 * MIB);
    SxvkAllocation second;
    VkDeviceSize ours;
    (void)state;
    sim_set_budget(rig->sim, 0, 7 * GIB, UINT64_MAX);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    ours = sim_live_memory_bytes(rig->sim, 0);
    assert_int_equal(get(rig, 0).usage, ours); /* what nobody can believe counts as not known */

    sim_set_budget(rig->sim, 0, 7 * GIB, 6 * GIB);
    sxvkSetCurrentFrameIndex(rig->allocator, 2);
    assert_int_equal(get(rig, 0).usage, ours + 6 * GIB);
    second = rig_allocate(rig, LOCAL, 20 * MIB);
    sxvkFreeMemory(rig->allocator, first);
    sxvkFreeMemory(rig->allocator, second);
    sxvkTrim(rig->allocator);
    assert_int_equal(get(rig, 0).usage, 6 * GIB);
    rig_destroy(rig);
}

/*  The budget shrinks below what is in use: no unsigned underflow, nothing more within the budget,
    and plain allocations go on. */
static void test_budget_shrinks_below_usage(void** state) {
    Rig* rig = budget_rig();
    SxvkAllocation big = rig_allocate(rig, LOCAL, 100 * MIB);
    SxvkAllocation allocation;
    (void)state;
    sim_set_budget(rig->sim, 0, 50 * MIB, 10 * MIB);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    assert_int_equal(get(rig, 0).budget, 50 * MIB);
    assert_int_equal(get(rig, 0).usage, 110 * MIB);
    assert_int_equal(allocate_within(rig, KIB, &allocation), VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_null(allocation);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    allocation = rig_allocate(rig, LOCAL, KIB);
    sxvkFreeMemory(rig->allocator, allocation);
    sxvkFreeMemory(rig->allocator, big);
    assert_int_equal(sim_live_memory_count(rig->sim), 0); /* over budget no empty block is kept */
    rig_check(rig);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ queries are rare */

/*  VMA#204: a query costs 4 to 5 ms on some drivers; wgpu#9769: it came with every allocation.
    Allocating and freeing in blocks asks nothing, nor does asking for statistics. */
static void test_no_query_on_the_hot_path(void** state) {
    Rig* rig = budget_rig();
    SxvkAllocation allocations[200];
    uint64_t before, blocks;
    uint32_t round, i;
    (void)state;
    for (i = 0; i < 200; i++) {
        allocations[i] = rig_allocate(rig, LOCAL, 4 * KIB);
    }
    before = queries(rig);
    for (round = 0; round < 20; round++) {
        for (i = 0; i < 200; i++) {
            sxvkFreeMemory(rig->allocator, allocations[i]);
            allocations[i] = rig_allocate(rig, LOCAL, 4 * KIB);
            get(rig, i % 3);
        }
    }
    assert_int_equal(queries(rig), before);
    sxvkFreeMemoryPages(rig->allocator, 200, allocations);

    /* New blocks ask only once a good part of the heap has moved. */
    sim_reset_calls(rig->sim);
    for (i = 0; i < 200; i++) {
        allocations[i] = rig_allocate(rig, LOCAL, 900 * KIB);
    }
    blocks = sim_calls(rig->sim, SIM_CALL_ALLOCATE_MEMORY);
    assert_true(blocks >= 8);
    assert_true(queries(rig) * 4 <= blocks);

    /* A tick asks once. */
    sim_reset_calls(rig->sim);
    sxvkSetCurrentFrameIndex(rig->allocator, 7);
    assert_int_equal(queries(rig), 1);
    sxvkFreeMemoryPages(rig->allocator, 200, allocations);
    rig_destroy(rig);
}

/*  A driver whose usage of two heaps is off by `moved` bytes, from the one to the other. */
static PFN_vkGetPhysicalDeviceMemoryProperties2 real_properties2;
static VkDeviceSize moved;

static void VKAPI_PTR moving_properties2(VkPhysicalDevice device,
                                         VkPhysicalDeviceMemoryProperties2* pProperties) {
    VkPhysicalDeviceMemoryBudgetPropertiesEXT* budget =
        (VkPhysicalDeviceMemoryBudgetPropertiesEXT*)pProperties->pNext;
    real_properties2(device, pProperties);
    if (budget != NULL) {
        assert_int_equal(budget->sType,
                         VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT);
        budget->heapUsage[0] -= moved; /* may pass below 0, as it did there */
        budget->heapUsage[1] += moved;
    }
}

/*  wgpu#9742, wgpu#9747, wgpu#9905: a driver charged memory to one heap and credited it to another,
    until one heap seemed full and the usage of the other was below zero. Nothing wraps around;
    neither heap refuses a plain allocation; our own counters stay exact; and when the driver comes
    to its senses, so do we. */
static void test_usage_in_the_wrong_heap(void** state) {
    static const VkDeviceSize sizes[] = {50 * MIB, 300 * MIB, 20 * GIB};
    SxvkVulkanFunctions functions;
    RigOptions options = rig_options();
    size_t i;
    (void)state;
    memset(&functions, 0, sizeof functions);
    functions.vkGetInstanceProcAddr = sim_get_instance_proc_addr();
    functions.vkGetDeviceProcAddr = sim_get_device_proc_addr();
    functions.vkGetPhysicalDeviceMemoryProperties2 = moving_properties2;
    options.info.pVulkanFunctions = &functions;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        Rig* rig = rig_create_bare(&options);
        SxvkAllocation local, host, more, within;
        VkDeviceSize ours;
        real_properties2 =
            (PFN_vkGetPhysicalDeviceMemoryProperties2)(void (*)(void))sim_get_instance_proc_addr()(
                rig->info.instance, "vkGetPhysicalDeviceMemoryProperties2");
        moved = 0;
        assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator), VK_SUCCESS);
        local = rig_allocate(rig, LOCAL, 100 * MIB);
        host = rig_allocate(rig, HOST, 100 * MIB);
        moved = sizes[i];
        sxvkSetCurrentFrameIndex(rig->allocator, 1);
        ours = sim_live_memory_bytes(rig->sim, 0);
        assert_int_equal(get(rig, 0).usage, sizes[i] <= ours ? ours - sizes[i] : ours);
        assert_int_equal(get(rig, 1).usage, sim_live_memory_bytes(rig->sim, 1) + sizes[i]);
        assert_int_equal(allocate_within(rig, MIB, &within), VK_SUCCESS);
        more = rig_allocate(rig, HOST, 100 * MIB); /* 20 GiB: the heap seems more than full */
        assert_int_equal(get(rig, 0).statistics.allocationBytes, 101 * MIB);
        assert_int_equal(get(rig, 1).statistics.allocationBytes, 200 * MIB);
        rig_check(rig);

        /* All that is ours goes, and leaves no more than the driver's error. */
        sxvkFreeMemory(rig->allocator, local);
        sxvkFreeMemory(rig->allocator, host);
        sxvkFreeMemory(rig->allocator, more);
        sxvkFreeMemory(rig->allocator, within);
        sxvkTrim(rig->allocator);
        assert_int_equal(sim_live_memory_count(rig->sim), 0);
        assert_int_equal(get(rig, 0).usage, 0);
        assert_int_equal(get(rig, 1).usage, sizes[i]);
        assert_true(get(rig, 0).budget <= 8 * GIB);
        moved = 0;
        sxvkSetCurrentFrameIndex(rig->allocator, 2);
        assert_int_equal(get(rig, 0).usage, 0);
        assert_int_equal(get(rig, 1).usage, 0);
        rig_destroy(rig);
    }
}

/*  VMA#439, VMA#220: the budgets came as an array of one per heap, and who passed one element got
    his stack overwritten. Here one heap is asked about at a time: with 1 heap and with 16, and with
    an index that is none, nothing but that one struct is written. */
static void test_one_heap_at_a_time(void** state) {
    static const char* const names[] = {"lavapipe", "synthetic_32_types_16_heaps"};
    unsigned char guard[sizeof(SxvkBudget)];
    size_t i;
    (void)state;
    memset(guard, 0x5A, sizeof guard);
    for (i = 0; i < 2; i++) {
        SimProfile profile = testing_profile(TESTING_PROFILES, names[i]);
        RigOptions options = rig_options();
        SxvkAllocation allocation;
        SxvkBudget budgets[3];
        uint32_t heaps, heap;
        Rig* rig;
        options.profile = &profile;
        options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
        rig = rig_create(&options);
        allocation = rig_allocate(rig, 0, MIB);
        heaps = profile.memory.memoryHeapCount;
        assert_int_equal(heaps, i == 0 ? 1 : 16);
        for (heap = 0; heap <= heaps; heap++) {
            bool holds = heap == profile.memory.memoryTypes[0].heapIndex;
            memset(budgets, 0x5A, sizeof budgets);
            sxvkGetHeapBudget(rig->allocator, heap, &budgets[1]);
            rig_expect(rig, SXVK_MESSAGE_BAD_INDEX, heap == heaps);
            assert_memory_equal(&budgets[0], guard, sizeof guard);
            assert_memory_equal(&budgets[2], guard, sizeof guard);
            assert_int_equal(budgets[1].statistics.allocationBytes, holds ? MIB : 0);
            assert_int_equal(budgets[1].budget != 0, heap < heaps);
            if (heap < heaps) {
                assert_true(budgets[1].budget <= profile.memory.memoryHeaps[heap].size);
            }
        }
        sxvkFreeMemory(rig->allocator, allocation);
        rig_destroy(rig);
    }
}

/*  VMA 6a63f2c, a420c3d: when some of many pages could not be had, those that were there already
    were freed but stayed in the budget. Whichever page fails, both heaps are as before to the last
    byte, usage included, and so is what the driver holds. VMA 3dd4b20: and a dedicated allocation
    that fails is no crash. */
static void test_pages_that_fail_are_not_booked(void** state) {
    VkMemoryRequirements requirements[12];
    SxvkAllocationCreateInfo creates[12];
    SxvkAllocation allocations[12];
    uint32_t with, nth, i;
    (void)state;
    memset(creates, 0, sizeof creates);
    for (i = 0; i < 12; i++) {
        requirements[i] = testing_requirements(MIB + i, 16, 1u << (i % 2 == 0 ? LOCAL : HOST));
        creates[i].flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    }
    for (with = 0; with < 2; with++) {
        Rig* rig = with ? budget_rig() : rig_create(NULL);
        SxvkAllocation kept = rig_allocate(rig, LOCAL, 5 * MIB);
        SxvkBudget before[2];
        before[0] = get(rig, 0);
        before[1] = get(rig, 1);
        for (nth = 1; nth <= 12; nth++) {
            uint64_t count = rig->allocator->device.budget.memory_count;
            assert_true(sim_fail(rig->sim, SIM_CALL_ALLOCATE_MEMORY, nth, UINT32_MAX,
                                 VK_ERROR_OUT_OF_DEVICE_MEMORY));
            assert_int_equal(sxvkAllocateMemoryPages(rig->allocator, requirements, creates, 12,
                                                     allocations, NULL),
                             VK_ERROR_OUT_OF_DEVICE_MEMORY);
            sim_clear_faults(rig->sim);
            rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
            for (i = 0; i < 12; i++) {
                assert_null(allocations[i]);
            }
            for (i = 0; i < 2; i++) {
                SxvkBudget after = get(rig, i);
                assert_memory_equal(&after, &before[i], offsetof(SxvkBudget, percentage));
                assert_true(after.percentage == before[i].percentage);
                assert_int_equal(after.isOverBudget, before[i].isOverBudget);
                assert_int_equal(after.level, before[i].level);
                assert_int_equal(after.statistics.blockBytes, sim_live_memory_bytes(rig->sim, i));
            }
            assert_int_equal(rig->allocator->device.budget.memory_count, count);
            rig_check(rig);
        }
        assert_int_equal(
            sxvkAllocateMemoryPages(rig->allocator, requirements, creates, 12, allocations, NULL),
            VK_SUCCESS);
        sxvkFreeMemoryPages(rig->allocator, 12, allocations);
        sxvkFreeMemory(rig->allocator, kept);
        rig_destroy(rig);
    }
}

/*  Near the limit it asks again, so that it does not fail by an old answer. */
static void test_asks_again_near_the_limit(void** state) {
    Rig* rig = budget_rig();
    SxvkAllocation allocation;
    (void)state;
    sim_set_budget(rig->sim, 0, 10 * MIB, 10 * MIB);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    assert_int_equal(allocate_within(rig, KIB, &allocation), VK_ERROR_OUT_OF_DEVICE_MEMORY);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    sim_set_budget(rig->sim, 0, 6 * GIB, 0); /* another program has ended; there was no tick yet */
    assert_int_equal(allocate_within(rig, KIB, &allocation), VK_SUCCESS);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ limits */

/*  VMA#300, VMA 2606c00: maxMemoryAllocationCount is UINT32_MAX, and 32-bit arithmetic on it
    overflowed. See also test_count_of_uint32_max. */
static void test_no_count_limit(void** state) {
    SimProfile profile = sim_profile_discrete();
    RigOptions options = rig_options();
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    VkMemoryRequirements requirements = testing_requirements(KIB, 16, 1u << LOCAL);
    SxvkAllocation allocations[50];
    Rig* rig;
    size_t i;
    (void)state;
    profile.maxMemoryAllocationCount = UINT32_MAX;
    options.profile = &profile;
    rig = rig_create(&options);
    for (i = 0; i < 50; i++) {
        assert_int_equal(
            sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocations[i], NULL),
            VK_SUCCESS);
    }
    rig_check(rig);
    sxvkFreeMemoryPages(rig->allocator, 50, allocations);
    rig_destroy(rig);
}

/*  pHeapSizeLimit: as if the heap were that small, for the whole life, whatever is asked. */
static void test_heap_size_limit(void** state) {
    VkDeviceSize limits[3] = {40 * MIB, VK_WHOLE_SIZE, 0};
    RigOptions options = rig_options();
    const VkPhysicalDeviceMemoryProperties* memory;
    SxvkAllocation live[60];
    uint64_t seed = 31;
    uint32_t refused = 0;
    uint32_t i;
    Rig* rig;
    (void)state;
    options.info.pHeapSizeLimit = limits;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    rig = rig_create(&options);
    memset(live, 0, sizeof live);
    sxvkGetMemoryProperties(rig->allocator, &memory);
    assert_int_equal(memory->memoryHeaps[0].size, 40 * MIB);
    assert_int_equal(memory->memoryHeaps[1].size, 16 * GIB);
    assert_int_equal(memory->memoryHeaps[2].size, 0);
    assert_true(get(rig, 0).budget <= 40 * MIB);
    for (i = 0; i < 1500; i++) {
        uint32_t slot = testing_below(&seed, 60);
        VkMemoryRequirements requirements =
            testing_requirements(testing_log_uniform(&seed, KIB, 20 * MIB), 16, 1u << LOCAL);
        SxvkAllocationCreateInfo create = {
            .flags = testing_below(&seed, 5) == 0
                         ? (VkFlags)SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT
                         : 0};
        sxvkFreeMemory(rig->allocator, live[slot]);
        refused += sxvkAllocateMemory(rig->allocator, &requirements, &create, &live[slot], NULL) !=
                   VK_SUCCESS;
        assert_true(sim_live_memory_bytes(rig->sim, 0) <= 40 * MIB);
    }
    assert_true(refused != 0);
    assert_true(sim_peak_memory_bytes(rig->sim, 0) > 30 * MIB);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, refused);
    {
        VkMemoryRequirements requirements = testing_requirements(1, 1, 1u << BAR);
        SxvkAllocationCreateInfo create = {0};
        SxvkAllocation none;
        assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &none, NULL),
                         VK_ERROR_OUT_OF_DEVICE_MEMORY);
        rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    }
    sxvkFreeMemoryPages(rig->allocator, 60, live);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ the counters themselves */

static sxvki_budget make_budget(uint32_t max_count, uint64_t heap_size) {
    VkPhysicalDeviceMemoryProperties properties;
    sxvki_budget budget;
    memset(&properties, 0, sizeof properties);
    properties.memoryHeapCount = 2;
    properties.memoryHeaps[0].size = heap_size;
    properties.memoryHeaps[1].size = UINT64_MAX;
    sxvki_budget_init(&budget, &properties, max_count, 0);
    return budget;
}

static void test_reserve_and_release(void** state) {
    sxvki_budget budget = make_budget(100, 1000);
    (void)state;
    assert_int_equal(sxvki_budget_reserve(&budget, 0, 600, SXVKI_RESERVE_QUARTER, 0), VK_SUCCESS);
    assert_int_equal(sxvki_budget_reserve(&budget, 0, 401, SXVKI_RESERVE_QUARTER, 0),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(budget.memory_count, 1); /* the refused one is not booked */
    assert_int_equal(sxvki_budget_reserve(&budget, 0, UINT64_MAX, SXVKI_RESERVE_QUARTER, 0),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(sxvki_budget_reserve(&budget, 0, 400, SXVKI_RESERVE_QUARTER, 0), VK_SUCCESS);
    assert_int_equal(budget.heaps[0].block_bytes, 1000);
    assert_true(sxvki_budget_is_valid(&budget));
    sxvki_budget_release(&budget, 0, 400);
    sxvki_budget_release(&budget, 0, 600);
    assert_int_equal(budget.heaps[0].block_bytes, 0);
    assert_int_equal(budget.memory_count, 0);

    /* A heap of 2^64 - 1 bytes. */
    assert_int_equal(sxvki_budget_reserve(&budget, 1, UINT64_MAX, SXVKI_RESERVE_NONE, 0),
                     VK_SUCCESS);
    assert_int_equal(sxvki_budget_reserve(&budget, 1, 1, SXVKI_RESERVE_NONE, 0),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    sxvki_budget_release(&budget, 1, UINT64_MAX);
    assert_true(sxvki_budget_is_valid(&budget));
}

/*  Blocks may take three quarters of the count, the last resort seven eighths, a demand all of it.
    */
static void test_reserve_levels(void** state) {
    static const uint32_t counts[] = {16, 100, 4096};
    size_t i;
    (void)state;
    for (i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        sxvki_budget budget = make_budget(counts[i], UINT64_MAX);
        uint32_t quarter = 0, eighth = 0, all = 0;
        while (sxvki_budget_reserve(&budget, 0, 1, SXVKI_RESERVE_QUARTER, 0) == VK_SUCCESS) {
            quarter++;
        }
        assert_int_equal(quarter, counts[i] - counts[i] / 4);
        while (sxvki_budget_reserve(&budget, 0, 1, SXVKI_RESERVE_EIGHTH, 0) == VK_SUCCESS) {
            eighth++;
        }
        assert_int_equal(quarter + eighth, counts[i] - counts[i] / 8);
        while (sxvki_budget_reserve(&budget, 0, 1, SXVKI_RESERVE_NONE, 0) == VK_SUCCESS) {
            all++;
        }
        assert_int_equal(quarter + eighth + all, counts[i]);
        assert_int_equal(sxvki_budget_reserve(&budget, 0, 1, SXVKI_RESERVE_NONE, 0),
                         VK_ERROR_TOO_MANY_OBJECTS);
        assert_true(sxvki_budget_is_valid(&budget));
    }
}

/*  VMA#300, VMA 2606c00, near the end of 32 bits: each level ends where it should, and the count
    after the last one is an error rather than 0. */
static void test_count_of_uint32_max(void** state) {
    static const struct {
        sxvki_reserve reserve;
        uint64_t count;
    } levels[] = {
        {SXVKI_RESERVE_QUARTER, UINT64_C(0xC0000000)},
        {SXVKI_RESERVE_EIGHTH, UINT64_C(0xE0000000)},
        {SXVKI_RESERVE_NONE, UINT64_C(0xFFFFFFFF)},
    };
    sxvki_budget budget = make_budget(UINT32_MAX, UINT64_MAX);
    size_t i;
    (void)state;
    for (i = 0; i < 3; i++) {
        budget.memory_count = levels[i].count - 1;
        assert_int_equal(sxvki_budget_reserve(&budget, 0, 1, levels[i].reserve, 0), VK_SUCCESS);
        assert_true(budget.memory_count == levels[i].count);
        assert_int_equal(sxvki_budget_reserve(&budget, 0, 1, levels[i].reserve, 0),
                         VK_ERROR_TOO_MANY_OBJECTS);
        assert_true(budget.memory_count == levels[i].count);
        assert_int_equal(budget.heaps[0].block_bytes, i + 1);
        assert_true(sxvki_budget_is_valid(&budget));
    }
}

/*  An answer of the driver's while nothing else moved. */
static void learn(sxvki_budget* budget, uint64_t limit, uint64_t others) {
    sxvki_heap_learn(&budget->heaps[0], limit, others, others);
}

static void test_room(void** state) {
    sxvki_budget budget = make_budget(100, 1000);
    uint64_t usage, limit;
    (void)state;
    sxvki_budget_get(&budget, 0, &usage, &limit);
    assert_int_equal(usage, 0);
    assert_int_equal(limit, 800);
    assert_true(sxvki_budget_has_room(&budget, 0, 800));
    assert_false(sxvki_budget_has_room(&budget, 0, 801));
    assert_false(sxvki_budget_has_room(&budget, 0, UINT64_MAX));
    assert_int_equal(sxvki_budget_reserve(&budget, 0, 900, SXVKI_RESERVE_NONE, 0), VK_SUCCESS);
    assert_false(sxvki_budget_has_room(&budget, 0, 0));

    budget.has_driver = 1;
    /* By the driver: usage that it counted before we freed, and after we allocated. */
    learn(&budget, 1000, (uint64_t)500 - 950); /* we hold less than then */
    sxvki_budget_get(&budget, 0, &usage, &limit);
    assert_int_equal(usage, 450);
    assert_true(sxvki_budget_has_room(&budget, 0, 550));
    assert_false(sxvki_budget_has_room(&budget, 0, 551));
    learn(&budget, 1000, (uint64_t)10 - 950); /* more was given back since */
    sxvki_budget_get(&budget, 0, &usage, &limit);
    assert_int_equal(usage, 0);
    learn(&budget, UINT64_MAX, UINT64_MAX / 2); /* no more than the heap */
    sxvki_budget_get(&budget, 0, &usage, &limit);
    assert_int_equal(limit, 1000);
    assert_int_equal(usage, UINT64_MAX / 2 + 900);
    assert_false(sxvki_budget_has_room(&budget, 0, 0));
}

/*  Within the budget is a number of our own bytes: it saturates at both ends. */
static void test_within(void** state) {
    static const struct {
        uint64_t budget, others, within;
    } cases[] = {
        {800, 0, 800},          {800, 300, 500},
        {800, 800, 0},          {800, 801, 0},
        {800, UINT64_MAX, 801}, /* -1: the driver says less than we hold */
        {5000, 100, 900},       {0, 0, 0},
        {800, INT64_MAX, 0},    {1000, (uint64_t)INT64_MIN + 1, (uint64_t)INT64_MAX + 1000},
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sxvki_budget budget = make_budget(100, 1000);
        uint64_t most;
        budget.has_driver = 1;
        learn(&budget, cases[i].budget, cases[i].others);
        assert_true(sxvki_budget_within(&budget, 0) == cases[i].within);
        most = cases[i].within > 1000 ? 1000 : cases[i].within;
        assert_int_equal(sxvki_budget_reserve(&budget, 0, most + 1, SXVKI_RESERVE_NONE, 1),
                         VK_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_int_equal(sxvki_budget_reserve(&budget, 0, most, SXVKI_RESERVE_NONE, 1), VK_SUCCESS);
        assert_int_equal(sxvki_budget_reserve(&budget, 0, 1, SXVKI_RESERVE_NONE, 1),
                         VK_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_int_equal(sxvki_budget_reserve(&budget, 0, 1, SXVKI_RESERVE_NONE, 0),
                         most < 1000 ? VK_SUCCESS : VK_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_true(sxvki_budget_is_valid(&budget));
    }
}

/*  What is told stays where the bounds allow it, and goes to the nearest of them where they do not;
    what counts for WITHIN_BUDGET is the upper one. Of numbers below 0 too. */
static void test_bounds(void** state) {
    static const struct {
        uint64_t least, most, others;
    } steps[] = {
        {100, 300, 100},
        {50, 400, 100},
        {150, 400, 150},
        {20, 80, 80},
        {(uint64_t)-50, 90, 80},
        {(uint64_t)-50, (uint64_t)-10, (uint64_t)-10},
        {(uint64_t)-30, 5, (uint64_t)-10},
        {(uint64_t)-5, (uint64_t)-5, (uint64_t)-5},
        {7, 7, 7},
    };
    sxvki_budget budget = make_budget(100, 1000);
    uint64_t usage, limit;
    size_t i;
    (void)state;
    budget.has_driver = 1;
    assert_int_equal(sxvki_budget_reserve(&budget, 0, 100, SXVKI_RESERVE_NONE, 0), VK_SUCCESS);
    for (i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        sxvki_heap_learn(&budget.heaps[0], 900, steps[i].least, steps[i].most);
        assert_true(sxvki_budget_get(&budget, 0, &usage, &limit) == steps[i].others);
        assert_true(usage == 100 + steps[i].others);
        assert_int_equal(limit, 900);
        assert_true(sxvki_budget_within(&budget, 0) == 900 - steps[i].most);
    }
}

/*  While the driver is asked, something is freed or made, before or after it looks. */
typedef enum Step { FREE_BEFORE = 1, MAKE_BEFORE = 2, FREE_AFTER = 4, MAKE_AFTER = 8 } Step;

static struct {
    Rig* rig;
    SxvkAllocation live;
    uint32_t steps;
} busy;

static SxvkAllocation make_dedicated(Rig* rig, VkDeviceSize size, VkFlags flags) {
    VkMemoryRequirements requirements = testing_requirements(size, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo create = {.flags =
                                           flags | SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    SxvkAllocation allocation;
    (void)sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocation, NULL);
    return allocation;
}

static void busy_step(uint32_t steps, uint32_t free_step, uint32_t make_step) {
    if (steps & free_step) {
        sxvkFreeMemory(busy.rig->allocator, busy.live);
        busy.live = VK_NULL_HANDLE;
    }
    if (steps & make_step) {
        sxvkFreeMemory(busy.rig->allocator, busy.live);
        busy.live = make_dedicated(busy.rig, 100 * MIB, 0);
        assert_non_null(busy.live);
    }
}

static void VKAPI_PTR busy_properties2(VkPhysicalDevice device,
                                       VkPhysicalDeviceMemoryProperties2* pProperties) {
    uint32_t steps = busy.steps;
    busy.steps = 0;
    busy_step(steps, FREE_BEFORE, MAKE_BEFORE);
    real_properties2(device, pProperties);
    busy_step(steps, FREE_AFTER, MAKE_AFTER);
}

/*  Whatever moves during a query: others, who hold 50 MiB, are told to hold what they did, and
    WITHIN_BUDGET does not take the heap over its budget. */
static void test_moves_during_a_query(void** state) {
    SxvkVulkanFunctions functions;
    RigOptions options = rig_options();
    uint32_t steps;
    (void)state;
    memset(&functions, 0, sizeof functions);
    functions.vkGetInstanceProcAddr = sim_get_instance_proc_addr();
    functions.vkGetDeviceProcAddr = sim_get_device_proc_addr();
    functions.vkGetPhysicalDeviceMemoryProperties2 = busy_properties2;
    options.info.pVulkanFunctions = &functions;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    for (steps = 0; steps < 16; steps++) {
        SxvkAllocation more[64];
        uint32_t count = 0;
        busy.steps = 0;
        busy.rig = rig_create_bare(&options);
        real_properties2 =
            (PFN_vkGetPhysicalDeviceMemoryProperties2)(void (*)(void))sim_get_instance_proc_addr()(
                busy.rig->info.instance, "vkGetPhysicalDeviceMemoryProperties2");
        sim_set_budget(busy.rig->sim, 0, 1000 * MIB, 50 * MIB);
        assert_int_equal(sxvkCreateAllocator(&busy.rig->info, &busy.rig->allocator), VK_SUCCESS);
        busy.live = make_dedicated(busy.rig, 100 * MIB, 0);
        sxvkSetCurrentFrameIndex(busy.rig->allocator, 1);
        busy.steps = steps;
        sxvkSetCurrentFrameIndex(busy.rig->allocator, 2);
        assert_int_equal(get(busy.rig, 0).usage,
                         sim_live_memory_bytes(busy.rig->sim, 0) + 50 * MIB);
        busy.steps = steps; /* and again when the first of these asks */
        while (count < 64 && (more[count] = make_dedicated(
                                  busy.rig, 25 * MIB, SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT)) !=
                                 VK_NULL_HANDLE) {
            count++;
            busy.steps = steps;
        }
        assert_true(count >= 25);
        assert_in_range(sim_peak_memory_bytes(busy.rig->sim, 0), 750 * MIB, 950 * MIB);
        messages_clear(&busy.rig->messages);
        sxvkFreeMemoryPages(busy.rig->allocator, count, more);
        sxvkFreeMemory(busy.rig->allocator, busy.live);
        rig_destroy(busy.rig);
    }
}

/*  Two threads that refresh at once, and two that read: budget and usage are of one answer. The
    driver's answers are 1000 MiB of which others hold nothing, and 4000 and 3000. */
static uint32_t answered;

static void VKAPI_PTR either_properties2(VkPhysicalDevice device,
                                         VkPhysicalDeviceMemoryProperties2* pProperties) {
    VkPhysicalDeviceMemoryBudgetPropertiesEXT* budget =
        (VkPhysicalDeviceMemoryBudgetPropertiesEXT*)pProperties->pNext;
    real_properties2(device, pProperties);
    if (budget != NULL) {
        bool odd = __atomic_fetch_add(&answered, 1, __ATOMIC_RELAXED) & 1;
        budget->heapBudget[0] = odd ? 4000 * MIB : 1000 * MIB;
        budget->heapUsage[0] = odd ? 3000 * MIB : 0;
    }
}

static void* refresh_often(void* context) {
    Rig* rig = (Rig*)context;
    uint32_t i;
    for (i = 0; i < 5000; i++) {
        sxvkSetCurrentFrameIndex(rig->allocator, i);
    }
    return NULL;
}

static void* read_often(void* context) {
    Rig* rig = (Rig*)context;
    uint32_t i;
    for (i = 0; i < 20000; i++) {
        uint64_t usage, limit;
        sxvki_budget_get(&rig->allocator->device.budget, 0, &usage, &limit);
        if (usage != (limit == 1000 * MIB ? 0 : 3000 * MIB) ||
            sxvki_budget_within(&rig->allocator->device.budget, 0) != 1000 * MIB) {
            return rig;
        }
    }
    return NULL;
}

static void test_threads_and_answers(void** state) {
    SxvkVulkanFunctions functions;
    RigOptions options = rig_options();
    pthread_t threads[4];
    uint32_t i;
    Rig* rig;
    (void)state;
    memset(&functions, 0, sizeof functions);
    functions.vkGetInstanceProcAddr = sim_get_instance_proc_addr();
    functions.vkGetDeviceProcAddr = sim_get_device_proc_addr();
    functions.vkGetPhysicalDeviceMemoryProperties2 = either_properties2;
    options.info.pVulkanFunctions = &functions;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    rig = rig_create_bare(&options);
    real_properties2 =
        (PFN_vkGetPhysicalDeviceMemoryProperties2)(void (*)(void))sim_get_instance_proc_addr()(
            rig->info.instance, "vkGetPhysicalDeviceMemoryProperties2");
    answered = 0;
    assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator), VK_SUCCESS);
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, i % 2 ? read_often : refresh_often, rig),
                         0);
    }
    for (i = 0; i < 4; i++) {
        void* broken;
        pthread_join(threads[i], &broken);
        assert_null(broken);
    }
    rig_destroy(rig);
}

/*  The same with threads that meet for certain: two answers come between the two words of one that
    is read; and somebody wants an answer while the driver is asked. */
static sxvki_budget* answering;

static void answer_twice(void) {
    sxvki_heap_learn(&answering->heaps[0], 500 * MIB, 100 * MIB, 100 * MIB);
    sxvki_heap_learn(&answering->heaps[0], 4000 * MIB, 3000 * MIB, 3000 * MIB);
}

static void test_answers_while_reading(void** state) {
    Rig* rig = budget_rig();
    uint64_t usage, limit;
    (void)state;
    answering = &rig->allocator->device.budget;
    sxvki_heap_learn(&answering->heaps[0], 1000 * MIB, 0, 0);
    while_reading = answer_twice;
    sxvki_budget_get(answering, 0, &usage, &limit);
    assert_null(while_reading);
    assert_int_equal(limit, 4000 * MIB);
    assert_int_equal(usage, 3000 * MIB);
    rig_destroy(rig);
}

static Rig* asking;
static uint32_t asked;

static void VKAPI_PTR nested_properties2(VkPhysicalDevice device,
                                         VkPhysicalDeviceMemoryProperties2* pProperties) {
    real_properties2(device, pProperties);
    if (pProperties->pNext != NULL && asking != NULL && ++asked < 10) {
        sxvkSetCurrentFrameIndex(asking->allocator, 100 + asked);
    }
}

static void test_one_asks(void** state) {
    SxvkVulkanFunctions functions;
    RigOptions options = rig_options();
    Rig* rig;
    (void)state;
    memset(&functions, 0, sizeof functions);
    functions.vkGetInstanceProcAddr = sim_get_instance_proc_addr();
    functions.vkGetDeviceProcAddr = sim_get_device_proc_addr();
    functions.vkGetPhysicalDeviceMemoryProperties2 = nested_properties2;
    options.info.pVulkanFunctions = &functions;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    rig = rig_create_bare(&options);
    real_properties2 =
        (PFN_vkGetPhysicalDeviceMemoryProperties2)(void (*)(void))sim_get_instance_proc_addr()(
            rig->info.instance, "vkGetPhysicalDeviceMemoryProperties2");
    assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator), VK_SUCCESS);
    asking = rig;
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    assert_int_equal(asked, 1);
    sxvkSetCurrentFrameIndex(rig->allocator, 2); /* and again when that is over */
    assert_int_equal(asked, 2);
    asking = NULL;
    rig_destroy(rig);
}

static sxvki_budget shared;

static void* reserve_much(void* pUnused) {
    uint32_t i;
    (void)pUnused;
    for (i = 0; i < 20000; i++) {
        if (sxvki_budget_reserve(&shared, 0, 7, SXVKI_RESERVE_NONE, 0) == VK_SUCCESS) {
            sxvki_budget_release(&shared, 0, 7);
        }
        if (!sxvki_budget_is_valid(&shared)) {
            return &shared;
        }
    }
    return NULL;
}

/*  Room for two, four threads: never more than the limits, and at the end nothing is booked. */
static void test_threads(void** state) {
    pthread_t threads[4];
    size_t i;
    (void)state;
    shared = make_budget(2, 15);
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, reserve_much, NULL), 0);
    }
    for (i = 0; i < 4; i++) {
        void* broken;
        pthread_join(threads[i], &broken);
        assert_null(broken);
    }
    assert_int_equal(shared.memory_count, 0);
    assert_int_equal(shared.heaps[0].block_bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_the_extension),
        cmocka_unit_test(test_with_the_extension),
        cmocka_unit_test(test_nonsense_is_clamped),
        cmocka_unit_test(test_usage_saturates),
        cmocka_unit_test(test_budget_shrinks_below_usage),
        cmocka_unit_test(test_no_query_on_the_hot_path),
        cmocka_unit_test(test_usage_in_the_wrong_heap),
        cmocka_unit_test(test_one_heap_at_a_time),
        cmocka_unit_test(test_pages_that_fail_are_not_booked),
        cmocka_unit_test(test_asks_again_near_the_limit),
        cmocka_unit_test(test_no_count_limit),
        cmocka_unit_test(test_heap_size_limit),
        cmocka_unit_test(test_reserve_and_release),
        cmocka_unit_test(test_reserve_levels),
        cmocka_unit_test(test_count_of_uint32_max),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_within),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_moves_during_a_query),
        cmocka_unit_test(test_threads_and_answers),
        cmocka_unit_test(test_answers_while_reading),
        cmocka_unit_test(test_one_asks),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
