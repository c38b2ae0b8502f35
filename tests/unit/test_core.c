/*  test_core.c - the ladder of fallbacks and the limits that always hold.

    Each test makes memory scarce in one way and looks at where requests land. How large blocks are
    and when memory is dedicated is policy and not asserted; that limits hold, that other heaps are
    tried, and that nothing is left behind is. Run by CTest (unit.core).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB       ((VkDeviceSize)1 << 10)
#define MIB       ((VkDeviceSize)1 << 20)
#define GIB       ((VkDeviceSize)1 << 30)
#define ALL_TYPES UINT32_MAX

/* Memory types of sim_profile_discrete. */
enum { LOCAL, HOST, CACHED, BAR };

/* ------------------------------------------------------------------ small helpers */

/*  A list of allocations that frees itself. */
typedef struct List {
    SxvkAllocation* items;
    size_t count;
    size_t capacity;
} List;

static void list_add(List* list, SxvkAllocation allocation) {
    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 64;
        list->items = realloc(list->items, list->capacity * sizeof list->items[0]);
        assert_non_null(list->items);
    }
    list->items[list->count++] = allocation;
}

static void list_free(Rig* rig, List* list) {
    sxvkFreeMemoryPages(rig->allocator, list->count, list->items);
    free(list->items);
    memset(list, 0, sizeof *list);
}

static VkResult allocate(Rig* rig, VkDeviceSize size, uint32_t types,
                         SxvkAllocationCreateFlags flags, SxvkAllocation* allocation,
                         SxvkAllocationInfo* info) {
    VkMemoryRequirements requirements = testing_requirements(size, 1, types);
    SxvkAllocationCreateInfo create = {.flags = flags,
                                       .preferredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT};
    return sxvkAllocateMemory(rig->allocator, &requirements, &create, allocation, info);
}

/*  Until it fails or `bytes` are allocated; gives the result of the last call. */
static VkResult fill(Rig* rig, List* list, VkDeviceSize size, uint32_t types, VkDeviceSize bytes) {
    VkDeviceSize done;
    for (done = 0; done < bytes; done += size) {
        SxvkAllocation allocation;
        VkResult result = allocate(rig, size, types, 0, &allocation, NULL);
        if (result != VK_SUCCESS) {
            assert_null(allocation);
            return result;
        }
        list_add(list, allocation);
    }
    return VK_SUCCESS;
}

static bool is_dedicated(Rig* rig, SxvkAllocation allocation) {
    SxvkAllocationInfo2 info;
    sxvkGetAllocationInfo2(rig->allocator, allocation, &info);
    assert_non_null(info.allocationInfo.deviceMemory);
    return info.dedicatedMemory != VK_FALSE;
}

static size_t count_dedicated(Rig* rig, const List* list) {
    size_t count = 0;
    size_t i;
    for (i = 0; i < list->count; i++) {
        count += is_dedicated(rig, list->items[i]);
    }
    return count;
}

static VkDeviceSize bytes_in_type(Rig* rig, const List* list, uint32_t type) {
    VkDeviceSize bytes = 0;
    size_t i;
    for (i = 0; i < list->count; i++) {
        SxvkAllocationInfo info;
        sxvkGetAllocationInfo(rig->allocator, list->items[i], &info);
        bytes += info.memoryType == type ? info.size : 0;
    }
    return bytes;
}

/*  Two heaps, one memory type each: the device's and the host's. */
static SimProfile two_heaps(VkDeviceSize device, VkDeviceSize host) {
    SimProfile profile = sim_profile_discrete();
    profile.memory.memoryHeaps[0].size = device;
    profile.memory.memoryHeaps[1].size = host;
    profile.memory.memoryHeapCount = 2;
    profile.memory.memoryTypeCount = 2;
    return profile;
}

static void assert_heaps_kept(Rig* rig) {
    const VkPhysicalDeviceMemoryProperties* memory = &sim_profile(rig->sim)->memory;
    uint32_t h;
    for (h = 0; h < memory->memoryHeapCount; h++) {
        assert_true(sim_peak_memory_bytes(rig->sim, h) <= memory->memoryHeaps[h].size);
    }
}

/* ------------------------------------------------------------------ full heaps */

/*  VMA#545, VMA#278: a small heap is full of tiny resources while another heap has room. VMA goes
    on in the full one with thousands of dedicated allocations. */
static void test_full_heap_gives_way_to_the_next(void** state) {
    SimProfile profile = two_heaps(256 * MIB, 8 * GIB);
    RigOptions options = rig_options();
    List list = {0};
    Rig* rig;
    (void)state;
    options.profile = &profile;
    rig = rig_create(&options);
    assert_int_equal(fill(rig, &list, KIB, ALL_TYPES, 320 * MIB), VK_SUCCESS);
    assert_heaps_kept(rig);
    assert_int_equal(count_dedicated(rig, &list), 0);
    assert_true(sim_live_memory_count(rig->sim) < 500);
    /* The first choice was used up before the second was touched. */
    assert_true(bytes_in_type(rig, &list, 0) > 250 * MIB);
    assert_true(bytes_in_type(rig, &list, 1) >= 64 * MIB);
    rig_check(rig);
    list_free(rig, &list);
    rig_destroy(rig);
}

/*  VMA#545 with no way out: nearly all of both heaps is used, and it ends with an error rather than
    with one VkDeviceMemory for each resource. */
static void test_all_heaps_full(void** state) {
    SimProfile profile = two_heaps(64 * MIB, 64 * MIB);
    RigOptions options = rig_options();
    List list = {0};
    VkResult result;
    Rig* rig;
    (void)state;
    options.profile = &profile;
    rig = rig_create(&options);
    result = fill(rig, &list, KIB, ALL_TYPES, GIB);
    assert_true(result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_TOO_MANY_OBJECTS);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    assert_heaps_kept(rig);
    assert_true(list.count * KIB > 120 * MIB);
    assert_true(sim_peak_memory_count(rig->sim) < 1000);
    rig_check(rig);

    /* What is freed can be had again. */
    sxvkFreeMemory(rig->allocator, list.items[--list.count]);
    assert_int_equal(fill(rig, &list, KIB, ALL_TYPES, KIB), VK_SUCCESS);
    list_free(rig, &list);
    rig_destroy(rig);
}

/*  A heap that accepts but says it is over budget: the budget is advice, the heap is not. */
static void test_over_budget_without_the_flag(void** state) {
    SimProfile profile = two_heaps(256 * MIB, 64 * MIB);
    RigOptions options = rig_options();
    List list = {0};
    Rig* rig;
    (void)state;
    options.profile = &profile;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    rig = rig_create(&options);
    sim_set_budget(rig->sim, 0, 16 * MIB, 0);
    assert_int_equal(fill(rig, &list, 64 * KIB, 1u << 0, 100 * MIB), VK_SUCCESS);
    assert_heaps_kept(rig);
    assert_true(sim_live_memory_count(rig->sim) < 1000);
    rig_check(rig);
    list_free(rig, &list);
    rig_destroy(rig);
}

/*  VMA#229, VMA#157: 16,777,224 bytes were asked of a heap of 16 MiB. */
static void test_heap_is_never_exceeded(void** state) {
    SimProfile profile = testing_profile(TESTING_PROFILES, "synthetic_tiny_bar_16m");
    const uint32_t bar = 2;
    RigOptions options = rig_options();
    uint64_t seed = 0x1234;
    SxvkAllocation allocation;
    List list = {0};
    Rig* rig;
    int i;
    (void)state;
    options.profile = &profile;
    rig = rig_create(&options);
    sim_reset_calls(rig->sim);
    assert_int_equal(allocate(rig, 16777224, 1u << bar, 0, &allocation, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_ALLOCATE_MEMORY), 0);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);

    /* The heap to the last byte, and then not one more. */
    allocation = rig_allocate(rig, bar, 16 * MIB);
    assert_int_equal(allocate(rig, 1, 1u << bar, 0, &(SxvkAllocation){0}, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    sxvkFreeMemory(rig->allocator, allocation);

    for (i = 0; i < 2000; i++) {
        if (allocate(rig, testing_log_uniform(&seed, 256, 4 * MIB), 1u << bar, 0, &allocation,
                     NULL) == VK_SUCCESS) {
            list_add(&list, allocation);
        } else {
            uint32_t victim = testing_below(&seed, (uint32_t)list.count);
            sxvkFreeMemory(rig->allocator, list.items[victim]);
            list.items[victim] = list.items[--list.count];
        }
    }
    assert_true(rig->messages.counts[SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY] != 0);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, rig->messages.total);
    assert_heaps_kept(rig);
    rig_check(rig);
    list_free(rig, &list);
    rig_destroy(rig);
}

/*  Empty blocks of one memory type stand in the way of another type in the same heap. */
static void test_empty_blocks_are_given_back_first(void** state) {
    SimProfile profile = two_heaps(256 * MIB, 64 * MIB);
    RigOptions options = rig_options();
    SxvkAllocation big;
    List list = {0};
    Rig* rig;
    (void)state;
    profile.memory.memoryTypes[1] = profile.memory.memoryTypes[0];
    profile.memory.memoryTypes[1].propertyFlags |=
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    options.profile = &profile;
    rig = rig_create(&options);
    assert_int_equal(fill(rig, &list, 64 * KIB, 1u << 0, 200 * MIB), VK_SUCCESS);
    list_free(rig, &list);
    assert_true(sim_live_memory_total(rig->sim) != 0); /* else there is nothing to test */
    big = rig_allocate(rig, 1, 256 * MIB);
    rig_check(rig);
    sxvkFreeMemory(rig->allocator, big);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ the driver refuses */

/*  The driver gives nothing large: blocks are halved until it does. */
static void test_large_allocations_fail(void** state) {
    Rig* rig = rig_create(NULL);
    List list = {0};
    (void)state;
    sim_fail_allocations_above(rig->sim, MIB, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(fill(rig, &list, 64 * KIB, 1u << LOCAL, 32 * MIB), VK_SUCCESS);
    assert_int_equal(count_dedicated(rig, &list), 0);
    list_free(rig, &list);
    sxvkTrim(rig->allocator);
    rig_destroy(rig);
}

/*  Not even a small block: dedicated memory as a last resort, but a part of the allocation count
    stays for those that have no other way. */
static void test_last_resort_leaves_a_reserve(void** state) {
    SimProfile profile = sim_profile_discrete();
    RigOptions options = rig_options();
    SxvkAllocation dedicated;
    List list = {0};
    VkResult result;
    Rig* rig;
    (void)state;
    profile.maxMemoryAllocationCount = 64;
    options.profile = &profile;
    rig = rig_create(&options);
    sim_fail_allocations_above(rig->sim, 16 * KIB, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    result = fill(rig, &list, 16 * KIB, 1u << LOCAL, MIB);
    assert_int_equal(result, VK_ERROR_TOO_MANY_OBJECTS);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    assert_in_range(list.count, 1, 63);
    assert_int_equal(count_dedicated(rig, &list), list.count);

    assert_int_equal(allocate(rig, KIB, 1u << LOCAL, SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT,
                              &dedicated, NULL),
                     VK_SUCCESS);
    sxvkFreeMemory(rig->allocator, dedicated);
    list_free(rig, &list);
    rig_destroy(rig);
}

/*  16 VkDeviceMemory in all, and images that need pages of 64 KiB to themselves. */
static void test_allocation_count_of_16(void** state) {
    SimProfile profile = testing_profile(TESTING_PROFILES, "synthetic_maxcount_16_gran_64k");
    RigOptions options = rig_options();
    SxvkAllocationCreateInfo info = {.usage = SXVK_MEMORY_USAGE_AUTO};
    VkImageCreateInfo image_info = testing_image(512, 512, VK_IMAGE_TILING_OPTIMAL);
    VkBufferCreateInfo buffer_info = testing_buffer(300 * KIB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    VkBuffer buffers[200];
    VkImage images[200];
    SxvkAllocation allocations[400];
    Rig* rig;
    int i;
    (void)state;
    options.profile = &profile;
    rig = rig_create(&options);
    for (i = 0; i < 200; i++) {
        assert_int_equal(sxvkCreateBuffer(rig->allocator, &buffer_info, &info, &buffers[i],
                                          &allocations[2 * i], NULL),
                         VK_SUCCESS);
        assert_int_equal(sxvkCreateImage(rig->allocator, &image_info, &info, &images[i],
                                         &allocations[2 * i + 1], NULL),
                         VK_SUCCESS);
    }
    assert_true(sim_peak_memory_count(rig->sim) <= 16);
    rig_check(rig);
    for (i = 0; i < 200; i++) {
        sxvkDestroyBuffer(rig->allocator, buffers[i], allocations[2 * i]);
        sxvkDestroyImage(rig->allocator, images[i], allocations[2 * i + 1]);
    }
    rig_destroy(rig);
}

/*  Dedicated memory by demand may use the whole count, and the end is an error before the driver is
    asked for more than it allows. */
static void test_count_limit_is_exact(void** state) {
    SimProfile profile = testing_profile(TESTING_PROFILES, "synthetic_maxcount_16_gran_64k");
    RigOptions options = rig_options();
    SxvkAllocation allocation;
    List list = {0};
    VkResult result;
    Rig* rig;
    (void)state;
    options.profile = &profile;
    rig = rig_create(&options);
    for (;;) {
        result = allocate(rig, 4 * KIB, 1u << 0, SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT,
                          &allocation, NULL);
        if (result != VK_SUCCESS) {
            break;
        }
        list_add(&list, allocation);
    }
    assert_int_equal(result, VK_ERROR_TOO_MANY_OBJECTS);
    assert_int_equal(list.count, 16);
    assert_null(allocation);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    rig_check(rig);
    list_free(rig, &list);
    rig_destroy(rig);
}

/*  What vkAllocateMemory is not supposed to return comes back as an error, once, and leaves
    nothing. */
static void test_results_that_no_specification_lists(void** state) {
    static const VkResult results[] = {
        VK_ERROR_DEVICE_LOST,        VK_ERROR_INITIALIZATION_FAILED,
        VK_ERROR_FRAGMENTED_POOL,    VK_ERROR_UNKNOWN,
        VK_ERROR_OUT_OF_POOL_MEMORY, VK_ERROR_INVALID_EXTERNAL_HANDLE,
        VK_ERROR_FRAGMENTATION,      (VkResult)-123456,
    };
    static const VkResult positive[] = {VK_NOT_READY, VK_TIMEOUT, VK_INCOMPLETE};
    Rig* rig = rig_create(NULL);
    SxvkAllocationInfo info;
    SxvkAllocation allocation;
    size_t i;
    (void)state;
    for (i = 0; i < sizeof results / sizeof results[0]; i++) {
        memset(&info, 0xFF, sizeof info);
        assert_true(sim_fail(rig->sim, SIM_CALL_ALLOCATE_MEMORY, 1, 1, results[i]));
        assert_int_equal(allocate(rig, KIB, 1u << LOCAL, 0, &allocation, &info), results[i]);
        assert_null(allocation);
        assert_null(info.deviceMemory);
        assert_int_equal(info.size, 0);
        rig_check(rig);
        assert_int_equal(sim_live_memory_count(rig->sim), 0);
    }
    for (i = 0; i < sizeof positive / sizeof positive[0]; i++) {
        assert_true(sim_fail(rig->sim, SIM_CALL_ALLOCATE_MEMORY, 1, UINT32_MAX, positive[i]));
        assert_true(allocate(rig, KIB, 1u << LOCAL, 0, &allocation, NULL) < 0);
        assert_null(allocation);
        sim_clear_faults(rig->sim);
        messages_clear(&rig->messages);
    }
    sxvkFreeMemory(rig->allocator, rig_allocate(rig, LOCAL, KIB));
    rig_destroy(rig);
}

/*  The first type is refused by the driver; the small BAR is no fallback for device memory. */
static void test_order_of_fallbacks(void** state) {
    VkBufferCreateInfo buffer_info = testing_buffer(MIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO};
    Rig* rig = rig_create(NULL);
    SxvkAllocationInfo info;
    SxvkAllocation first, second;
    VkBuffer buffers[2];
    VkBuffer none;
    SxvkAllocation nothing;
    (void)state;
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffers[0], &first, &info),
        VK_SUCCESS);
    assert_int_equal(info.memoryType, LOCAL);
    sxvkDestroyBuffer(rig->allocator, buffers[0], first);
    sxvkTrim(rig->allocator);

    sim_heap_limit(rig->sim, 0, 0);
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffers[1], &second, &info),
        VK_SUCCESS);
    assert_in_range(info.memoryType, HOST, CACHED);
    assert_int_equal(sim_live_memory_bytes(rig->sim, 2), 0);

    sim_heap_limit(rig->sim, 1, sim_live_memory_bytes(rig->sim, 1));
    buffer_info.size = 64 * MIB;
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &none, &nothing, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(sim_peak_memory_bytes(rig->sim, 2), 0);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    sxvkDestroyBuffer(rig->allocator, buffers[1], second);
    rig_destroy(rig);
}

/*  pHeapSizeLimit of an eighth of the device's memory: beside that much the BAR would look large.
    It is as small a window as before, and the end of the limit leads to system memory. */
static void test_heap_limit_does_not_open_the_bar(void** state) {
    VkDeviceSize limits[3] = {GIB, VK_WHOLE_SIZE, VK_WHOLE_SIZE};
    VkMemoryRequirements requirements = testing_requirements(4 * MIB, 256, ALL_TYPES);
    VkBufferCreateInfo buffer_info = testing_buffer(64 * MIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO_PREFER_DEVICE};
    RigOptions options = rig_options();
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
    List list = {0};
    VkBuffer buffer;
    Rig* rig;
    int i;
    (void)state;
    options.info.pHeapSizeLimit = limits;
    rig = rig_create(&options);
    for (i = 0; i < 320; i++) {
        assert_int_equal(
            sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocation, &info),
            VK_SUCCESS);
        assert_int_not_equal(info.memoryType, BAR);
        list_add(&list, allocation);
    }
    assert_in_range(info.memoryType, HOST, CACHED);
    assert_in_range(bytes_in_type(rig, &list, LOCAL), 1000 * MIB, GIB);
    assert_true(sim_peak_memory_bytes(rig->sim, 0) <= GIB);
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &allocation, &info),
        VK_SUCCESS);
    assert_in_range(info.memoryType, HOST, CACHED);
    sxvkDestroyBuffer(rig->allocator, buffer, allocation);

    /* Not even as the last heap that has room. */
    sxvkTrim(rig->allocator);
    sim_heap_limit(rig->sim, 1, sim_live_memory_bytes(rig->sim, 1));
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &allocation, &info),
        VK_ERROR_OUT_OF_DEVICE_MEMORY);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    assert_int_equal(sim_peak_memory_bytes(rig->sim, 2), 0);
    rig_check(rig);
    list_free(rig, &list);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ dedicated memory */

typedef struct Wants {
    bool prefers;
    bool requires;
} Wants;

static void want_dedicated(void* pUser, const VkBufferCreateInfo* pBuffer,
                           const VkImageCreateInfo* pImage, SimRequirements* pRequirements) {
    const Wants* wants = (const Wants*)pUser;
    (void)pBuffer;
    (void)pImage;
    pRequirements->prefersDedicated = wants->prefers;
    pRequirements->requiresDedicated = wants->requires;
}

static void test_driver_wants_dedicated_memory(void** state) {
    Wants wants = {.prefers = true, .requires = true};
    VkBufferCreateInfo buffer_info = testing_buffer(4 * KIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(64, 64, VK_IMAGE_TILING_OPTIMAL);
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO};
    Rig* rig = rig_create(NULL);
    SxvkAllocation a, b;
    SxvkAllocationInfo info;
    SimMemoryInfo memory;
    VkBuffer buffer;
    VkImage image;
    (void)state;
    sim_set_requirements(rig->sim, want_dedicated, &wants);
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &a, &info),
                     VK_SUCCESS);
    assert_true(is_dedicated(rig, a));
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_true(memory.dedicatedBuffer == buffer);
    wants.requires = false;
    assert_int_equal(sxvkCreateImage(rig->allocator, &image_info, &create, &image, &b, &info),
                     VK_SUCCESS);
    assert_true(is_dedicated(rig, b));
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_true(memory.dedicatedImage == image);
    rig_check(rig);
    sxvkDestroyBuffer(rig->allocator, buffer, a);
    sxvkDestroyImage(rig->allocator, image, b);

    /* Memory that may be shared is not tied to a resource, unless the driver demands it. */
    create.flags = SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT;
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &a, &info),
                     VK_SUCCESS);
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_true(memory.dedicatedBuffer == VK_NULL_HANDLE);
    sxvkDestroyBuffer(rig->allocator, buffer, a);
    wants.requires = true;
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &a, &info),
                     VK_SUCCESS);
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_true(memory.dedicatedBuffer == buffer);
    sxvkDestroyBuffer(rig->allocator, buffer, a);
    rig_destroy(rig);
}

/*  A preference gives way when the count runs out; a requirement cannot. */
static void test_preference_gives_way(void** state) {
    SimProfile profile = testing_profile(TESTING_PROFILES, "synthetic_maxcount_16_gran_64k");
    RigOptions options = rig_options();
    Wants wants = {.prefers = true, .requires = false};
    VkBufferCreateInfo buffer_info = testing_buffer(4 * KIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO};
    SxvkAllocation allocations[64];
    VkBuffer buffers[64];
    size_t dedicated = 0;
    Rig* rig;
    int i;
    (void)state;
    options.profile = &profile;
    rig = rig_create(&options);
    sim_set_requirements(rig->sim, want_dedicated, &wants);
    /* One plain block first, for those that find no memory of their own. */
    allocations[0] = rig_allocate(rig, 0, 64 * KIB);
    for (i = 1; i < 64; i++) {
        assert_int_equal(sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffers[i],
                                          &allocations[i], NULL),
                         VK_SUCCESS);
        dedicated += is_dedicated(rig, allocations[i]);
    }
    assert_in_range(dedicated, 1, 15);
    rig_check(rig);
    for (i = 1; i < 64; i++) {
        sxvkDestroyBuffer(rig->allocator, buffers[i], allocations[i]);
    }
    sxvkFreeMemory(rig->allocator, allocations[0]);
    rig_destroy(rig);
}

static void test_dedicated_by_flag_and_can_alias(void** state) {
    VkBufferCreateInfo buffer_info = testing_buffer(4 * KIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO,
                                       .flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
    SimMemoryInfo memory;
    VkBuffer buffer;
    (void)state;
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &allocation, &info),
        VK_SUCCESS);
    assert_true(is_dedicated(rig, allocation));
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_true(memory.dedicatedBuffer == buffer);
    sxvkDestroyBuffer(rig->allocator, buffer, allocation);

    /* Another resource shall fit in there, so the memory may not be tied to this one. */
    create.flags |= SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT;
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &allocation, &info),
        VK_SUCCESS);
    assert_true(is_dedicated(rig, allocation));
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_true(memory.dedicatedBuffer == VK_NULL_HANDLE);
    sxvkDestroyBuffer(rig->allocator, buffer, allocation);
    rig_destroy(rig);
}

static void test_always_dedicated(void** state) {
    SxvkDebugInfo debug = {.flags = SXVK_DEBUG_ALWAYS_DEDICATED_BIT};
    RigOptions options = rig_options();
    List list = {0};
    Rig* rig;
    (void)state;
    options.info.pDebugInfo = &debug;
    rig = rig_create(&options);
    assert_int_equal(fill(rig, &list, KIB, 1u << HOST, 100 * KIB), VK_SUCCESS);
    assert_int_equal(count_dedicated(rig, &list), 100);
    assert_int_equal(sim_live_memory_count(rig->sim), 100);
    list_free(rig, &list);
    assert_int_equal(sim_live_memory_count(rig->sim), 0);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ flags that forbid */

static void test_never_allocate(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocation first, second;
    (void)state;
    sim_reset_calls(rig->sim);
    assert_int_equal(
        allocate(rig, KIB, 1u << LOCAL, SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT, &first, NULL),
        VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_null(first);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 0);
    assert_int_equal(rig_calls(rig), 0);

    first = rig_allocate(rig, LOCAL, KIB);
    sim_reset_calls(rig->sim);
    assert_int_equal(
        allocate(rig, KIB, 1u << LOCAL, SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT, &second, NULL),
        VK_SUCCESS);
    assert_int_equal(rig_calls(rig), 0);
    sxvkFreeMemory(rig->allocator, first);
    sxvkFreeMemory(rig->allocator, second);
    rig_destroy(rig);
}

static void test_within_budget(void** state) {
    RigOptions options = rig_options();
    SxvkAllocation allocation;
    List list = {0};
    VkResult result = VK_SUCCESS;
    Rig* rig;
    (void)state;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    rig = rig_create(&options);
    sim_set_budget(rig->sim, 0, 20 * MIB, 4 * MIB);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    while (list.count < 1000) {
        result = allocate(rig, 256 * KIB, 1u << LOCAL, SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT,
                          &allocation, NULL);
        if (result != VK_SUCCESS) {
            break;
        }
        list_add(&list, allocation);
    }
    assert_int_equal(result, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    assert_true(sim_peak_memory_bytes(rig->sim, 0) <= 16 * MIB);
    assert_true(list.count * 256 * KIB > 8 * MIB);
    /* Without the flag there is no such limit. */
    assert_int_equal(fill(rig, &list, 256 * KIB, 1u << LOCAL, 32 * MIB), VK_SUCCESS);
    rig_check(rig);
    list_free(rig, &list);

    /* Dedicated memory obeys as well. */
    sxvkTrim(rig->allocator);
    sim_set_budget(rig->sim, 0, 20 * MIB, 4 * MIB);
    sxvkSetCurrentFrameIndex(rig->allocator, 2);
    assert_int_equal(allocate(rig, 17 * MIB, 1u << LOCAL,
                              SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT |
                                  SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT,
                              &allocation, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ locks and threads */

typedef struct Reentry {
    Rig* rig;
    int depth;
    uint32_t count[SIM_CALL_COUNT];
} Reentry;

/*  Takes every lock that there is: of records and blocks (allocation and dedicated allocation), of
    all domains and pools (statistics, integrity). A lock kept across the driver call ends here for
    ever. */
static void use_allocator(void* pUser, SimCall call) {
    Reentry* reentry = (Reentry*)pUser;
    Rig* rig = reentry->rig;
    SxvkTotalStatistics total;
    SxvkAllocation small, own;
    char* dump;
    uint32_t type;
    if (reentry->depth != 0) {
        return;
    }
    reentry->depth++;
    reentry->count[call]++;
    for (type = LOCAL; type <= BAR; type++) {
        small = rig_allocate(rig, type, 3000);
        assert_int_equal(
            allocate(rig, KIB, 1u << type, SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT, &own, NULL),
            VK_SUCCESS);
        sxvkFreeMemory(rig->allocator, own);
        sxvkFreeMemory(rig->allocator, small);
    }
    sxvkCalculateStatistics(rig->allocator, &total);
    assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_SUCCESS);
    assert_int_equal(sxvkBuildStatsString(rig->allocator, &dump, VK_TRUE), VK_SUCCESS);
    sxvkFreeStatsString(rig->allocator, dump);
    reentry->depth--;
}

static void test_no_lock_is_held_across_a_driver_call(void** state) {
    RigOptions options = rig_options();
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO,
                                       .flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT |
                                                SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT};
    VkBufferCreateInfo buffer_info = testing_buffer(70000, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
    VkImageCreateInfo image_info = testing_image(100, 100, VK_IMAGE_TILING_OPTIMAL);
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = HOST, .blockSize = MIB, .minBlockCount = 2};
    SimProfile profile = sim_profile_discrete();
    Reentry reentry = {0};
    SxvkAllocation a, b, c;
    SxvkPool pool;
    VkBuffer buffer, alias;
    VkImage image;
    char bytes[100] = {0};
    uint32_t type;
    Rig* rig;
    (void)state;
    /* Not coherent, so that there is something to flush. */
    profile.memory.memoryTypes[CACHED].propertyFlags &=
        ~(VkFlags)VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    options.profile = &profile;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT |
                         SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT |
                         SXVK_ALLOCATOR_CREATE_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_BIT;
    options.sim.backing = true;
    rig = rig_create(&options);
    sim_allow_aliasing(rig->sim, true);
    reentry.rig = rig;
    alarm(30);
    sim_set_call_hook(rig->sim, use_allocator, &reentry);

    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
    create.memoryTypeBits = 1u << CACHED;
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &a, NULL),
                     VK_SUCCESS);
    assert_int_equal(sxvkCopyMemoryToAllocation(rig->allocator, bytes, a, 3, sizeof bytes),
                     VK_SUCCESS);
    assert_int_equal(sxvkCopyAllocationToMemory(rig->allocator, a, 3, bytes, sizeof bytes),
                     VK_SUCCESS);
    buffer_info.size = 1000;
    assert_int_equal(sxvkCreateAliasingBuffer(rig->allocator, a, &buffer_info, &alias), VK_SUCCESS);
    sxvkDestroyBuffer(rig->allocator, alias, VK_NULL_HANDLE);
    memset(&create, 0, sizeof create);
    create.usage = SXVK_MEMORY_USAGE_AUTO;
    assert_int_equal(sxvkCreateImage(rig->allocator, &image_info, &create, &image, &b, NULL),
                     VK_SUCCESS);
    assert_int_equal(
        sxvkFindMemoryTypeIndexForImageInfo(rig->allocator, &image_info, &create, &type),
        VK_SUCCESS);
    create.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    assert_int_equal(sxvkAllocateMemory(rig->allocator,
                                        &(VkMemoryRequirements){50 * MIB, 16, 1u << LOCAL}, &create,
                                        &c, NULL),
                     VK_SUCCESS);
    assert_int_equal(sxvkSetAllocationPriority(rig->allocator, c, 1.0f), VK_SUCCESS);
    sxvkSetCurrentFrameIndex(rig->allocator, 5);
    sxvkFreeMemory(rig->allocator, c);
    sxvkDestroyImage(rig->allocator, image, b);
    sxvkDestroyBuffer(rig->allocator, buffer, a);
    sxvkDestroyPool(rig->allocator, pool);
    sxvkTrim(rig->allocator);

    sim_set_call_hook(rig->sim, NULL, NULL);
    alarm(0);
    assert_true(reentry.count[SIM_CALL_ALLOCATE_MEMORY] != 0);
    assert_true(reentry.count[SIM_CALL_FREE_MEMORY] != 0);
    assert_true(reentry.count[SIM_CALL_MAP_MEMORY] != 0);
    assert_true(reentry.count[SIM_CALL_UNMAP_MEMORY] != 0);
    assert_true(reentry.count[SIM_CALL_FLUSH_MAPPED_MEMORY_RANGES] != 0);
    assert_true(reentry.count[SIM_CALL_INVALIDATE_MAPPED_MEMORY_RANGES] != 0);
    assert_true(reentry.count[SIM_CALL_GET_PHYSICAL_DEVICE_MEMORY_PROPERTIES2] != 0);
    assert_true(reentry.count[SIM_CALL_SET_DEVICE_MEMORY_PRIORITY] != 0);
    rig_destroy(rig);
}

typedef struct MemoryEvents {
    Rig* rig;
    VkDeviceSize live;
    uint32_t allocated;
    uint32_t freed;
    int depth;
} MemoryEvents;

static void reenter(MemoryEvents* events) {
    if (events->depth++ == 0) {
        SxvkTotalStatistics total;
        sxvkCalculateStatistics(events->rig->allocator, &total);
        sxvkFreeMemory(events->rig->allocator, rig_allocate(events->rig, HOST, KIB));
    }
    events->depth--;
}

static void VKAPI_PTR on_allocate(SxvkAllocator allocator, uint32_t memoryType,
                                  VkDeviceMemory memory, VkDeviceSize size, void* pUserData) {
    MemoryEvents* events = (MemoryEvents*)pUserData;
    SimMemoryInfo info;
    assert_ptr_equal(allocator, events->rig->allocator);
    assert_true(sim_memory_info(events->rig->sim, memory, &info)); /* after vkAllocateMemory */
    assert_int_equal(info.memoryTypeIndex, memoryType);
    assert_int_equal(info.size, size);
    events->allocated++;
    events->live += size;
    reenter(events);
}

static void VKAPI_PTR on_free(SxvkAllocator allocator, uint32_t memoryType, VkDeviceMemory memory,
                              VkDeviceSize size, void* pUserData) {
    MemoryEvents* events = (MemoryEvents*)pUserData;
    SimMemoryInfo info;
    (void)allocator;
    assert_true(sim_memory_info(events->rig->sim, memory, &info)); /* before vkFreeMemory */
    assert_int_equal(info.memoryTypeIndex, memoryType);
    assert_int_equal(info.size, size);
    events->freed++;
    events->live -= size;
    reenter(events);
}

static void test_device_memory_callbacks(void** state) {
    MemoryEvents events = {0};
    SxvkDeviceMemoryCallbacks callbacks = {on_allocate, on_free, &events};
    RigOptions options = rig_options();
    SxvkAllocation a, b;
    Rig* rig;
    (void)state;
    options.info.pDeviceMemoryCallbacks = &callbacks;
    rig = rig_create(&options);
    events.rig = rig;
    alarm(30);
    a = rig_allocate(rig, LOCAL, KIB);
    b = rig_allocate(rig, LOCAL, 200 * MIB);
    assert_int_equal(events.allocated, sim_live_memory_count(rig->sim));
    assert_int_equal(events.live, sim_live_memory_total(rig->sim));
    sxvkFreeMemory(rig->allocator, a);
    sxvkFreeMemory(rig->allocator, b);
    sxvkTrim(rig->allocator); /* its callbacks make a block anew */
    events.depth = 1;
    sxvkTrim(rig->allocator);
    assert_int_equal(events.live, 0);
    assert_int_equal(events.allocated, events.freed);
    a = rig_allocate(rig, LOCAL, KIB);
    sxvkFreeMemory(rig->allocator, a);
    rig_destroy_allocator(rig);
    alarm(0);
    assert_int_equal(events.live, 0);
    rig_destroy(rig);
}

#define THREADS 4

typedef struct Worker {
    pthread_t thread;
    Rig* rig;
    uint64_t seed;
    uint32_t served;
} Worker;

/*  Random sizes, 64 alive at a time, a pattern of its own in each. */
static void* work(void* pWorker) {
    Worker* worker = (Worker*)pWorker;
    Rig* rig = worker->rig;
    SxvkAllocation live[64] = {0};
    uint32_t i;
    for (i = 0; i < 1500; i++) {
        uint32_t slot = testing_below(&worker->seed, 64);
        uint32_t type = testing_below(&worker->seed, 3);
        sxvkFreeMemory(rig->allocator, live[slot]);
        if (allocate(rig, testing_log_uniform(&worker->seed, 256, 4 * MIB), 1u << type,
                     i % 100 == 0 ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0, &live[slot],
                     NULL) == VK_SUCCESS) {
            worker->served++;
        }
    }
    sxvkFreeMemoryPages(rig->allocator, 64, live);
    return NULL;
}

static void run_workers(const SimProfile* profile) {
    RigOptions options = rig_options();
    Worker workers[THREADS];
    uint32_t i;
    Rig* rig;
    options.profile = profile;
    rig = rig_create(&options);
    for (i = 0; i < THREADS; i++) {
        workers[i] = (Worker){.rig = rig, .seed = 77 + i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_true(workers[i].served != 0);
    }
    assert_heaps_kept(rig);
    assert_int_equal(rig_statistics(rig).allocationCount, 0);
    rig_check(rig);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, rig->messages.total);
    sxvkTrim(rig->allocator);
    assert_int_equal(sim_live_memory_count(rig->sim), 0);
    rig_destroy(rig);
}

static void test_threads(void** state) {
    SimProfile profile = sim_profile_discrete();
    (void)state;
    run_workers(&profile);
}

/*  Limits hold with any number of threads: the device would complain. */
static void test_threads_at_the_limits(void** state) {
    SimProfile count = testing_profile(TESTING_PROFILES, "synthetic_maxcount_16_gran_64k");
    SimProfile bytes = two_heaps(64 * MIB, 48 * MIB);
    (void)state;
    bytes.memory.memoryTypeCount = 3;
    bytes.memory.memoryTypes[2] = bytes.memory.memoryTypes[0];
    run_workers(&count);
    run_workers(&bytes);
}

/* ------------------------------------------------------------------ resource classes */

/*  The table of kinds and usages: an id finds its usage again, and a full table says 0. */
static void test_resource_classes(void** state) {
    Rig* rig = rig_create(NULL);
    uint32_t known = 0;
    uint64_t usage;
    (void)state;
    for (usage = 1; usage <= 1000; usage++) {
        sxvki_kind kind = usage % 2 != 0 ? SXVKI_KIND_BUFFER : SXVKI_KIND_IMAGE_OPTIMAL;
        uint32_t id = sxvki_class_id(rig->allocator, kind, usage);
        assert_true(id < SXVKI_CLASS_COUNT);
        assert_int_equal(sxvki_class_id(rig->allocator, kind, usage), id);
        if (id != 0) {
            known++;
            assert_int_equal(rig->allocator->classes[id], usage << 3 | (uint64_t)kind);
        }
    }
    assert_in_range(known, 64, SXVKI_CLASS_COUNT - 1);
    assert_int_equal(sxvki_class_id(rig->allocator, SXVKI_KIND_UNKNOWN, 1), 0);
    assert_int_equal(sxvki_class_id(rig->allocator, SXVKI_KIND_BUFFER, 0), 0);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_heap_gives_way_to_the_next),
        cmocka_unit_test(test_all_heaps_full),
        cmocka_unit_test(test_over_budget_without_the_flag),
        cmocka_unit_test(test_heap_is_never_exceeded),
        cmocka_unit_test(test_empty_blocks_are_given_back_first),
        cmocka_unit_test(test_large_allocations_fail),
        cmocka_unit_test(test_last_resort_leaves_a_reserve),
        cmocka_unit_test(test_allocation_count_of_16),
        cmocka_unit_test(test_count_limit_is_exact),
        cmocka_unit_test(test_results_that_no_specification_lists),
        cmocka_unit_test(test_order_of_fallbacks),
        cmocka_unit_test(test_heap_limit_does_not_open_the_bar),
        cmocka_unit_test(test_driver_wants_dedicated_memory),
        cmocka_unit_test(test_preference_gives_way),
        cmocka_unit_test(test_dedicated_by_flag_and_can_alias),
        cmocka_unit_test(test_always_dedicated),
        cmocka_unit_test(test_never_allocate),
        cmocka_unit_test(test_within_budget),
        cmocka_unit_test(test_no_lock_is_held_across_a_driver_call),
        cmocka_unit_test(test_device_memory_callbacks),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_threads_at_the_limits),
        cmocka_unit_test(test_resource_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
