/*
    test_gpu_misuse.c - what goes wrong is told by a message and changes nothing, with a real driver
    below: leaks are named when their owner goes, stale and foreign handles are refused, and what the
    driver could not do is refused before it hears of it.

    Run by CTest (gpu.gpu_misuse), or by hand; SXVK_DEVICE chooses the device.
*/
#include "gpu_fixture.h"

/*  Messages of an allocator that is about to go, with their texts. */
typedef struct Leaks {
    char texts[8][256];
    SxvkMessage messages[8];
    uint32_t count;
} Leaks;

static VKAPI_ATTR void VKAPI_CALL on_leak(void* userData, const SxvkMessageInfo* pInfo) {
    Leaks* leaks = (Leaks*)userData;
    assert_int_equal(pInfo->severity, SXVK_MESSAGE_SEVERITY_ERROR);
    assert_true(leaks->count < 8);
    leaks->messages[leaks->count] = pInfo->message;
    (void)snprintf(leaks->texts[leaks->count++], sizeof leaks->texts[0], "%s", pInfo->pText);
}

static uint32_t leaks_that_mention(const Leaks* leaks, SxvkMessage message, const char* name) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < leaks->count; i++) {
        count += leaks->messages[i] == message && strstr(leaks->texts[i], name) != NULL;
    }
    return count;
}

/*  The resources are destroyed, their memory is forgotten: the allocator frees it and says what it was. */
static void test_leaks_are_named(void** state) {
    Fixture* fixture = (Fixture*)*state;
    Leaks leaks = {.count = 0};
    SxvkAllocatorCreateInfo allocatorInfo = gpu_allocator_info(&fixture->gpu);
    allocatorInfo.pfnMessage = on_leak;
    allocatorInfo.pMessageUserData = &leaks;
    SxvkAllocator allocator;
    assert_ok(sxvkCreateAllocator(&allocatorInfo, &allocator));

    SxvkPoolCreateInfo poolInfo = {.blockSize = MIB};
    SxvkPool pool;
    const VkBufferCreateInfo info = buffer_info(1234, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    SxvkAllocationCreateInfo allocationInfo = auto_info(0);
    assert_ok(sxvkFindMemoryTypeIndexForBufferInfo(allocator, &info, &allocationInfo,
                                                   &poolInfo.memoryTypeIndex));
    assert_ok(sxvkCreatePool(allocator, &poolInfo, &pool));
    assert_ok(sxvkSetPoolName(allocator, pool, "forgotten pool"));
    static const char* const names[] = {"forgotten plain", "forgotten dedicated",
                                        "forgotten pooled", NULL};
    for (uint32_t i = 0; i < 4; i++) {
        allocationInfo.pName = names[i];
        allocationInfo.flags = i == 1 ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
        allocationInfo.pool = i == 2 ? pool : NULL;
        VkBuffer buffer;
        SxvkAllocation allocation;
        assert_ok(sxvkCreateBuffer(allocator, &info, &allocationInfo, &buffer, &allocation, NULL));
        vkDestroyBuffer(fixture->gpu.device, buffer, NULL);
    }
    assert_int_equal(leaks.count, 0);
    sxvkDestroyAllocator(allocator);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(leaks_that_mention(&leaks, SXVK_MESSAGE_LEAKED_ALLOCATION, names[i]), 1);
    }
    assert_int_equal(leaks_that_mention(&leaks, SXVK_MESSAGE_LEAKED_ALLOCATION, ""), 4);
    assert_int_equal(leaks_that_mention(&leaks, SXVK_MESSAGE_LEAKED_POOL, "forgotten pool"), 1);
    assert_int_equal(leaks.count, 5);
    /* The fixture asserts that the layer found no memory left over. */
}

static void test_leaks_of_a_pool_are_named(void** state) {
    Fixture* fixture = (Fixture*)*state;
    const VkBufferCreateInfo info = buffer_info(1234, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    SxvkAllocationCreateInfo allocationInfo = auto_info(0);
    SxvkPoolCreateInfo poolInfo = {.blockSize = MIB};
    SxvkPool pool;
    assert_ok(sxvkFindMemoryTypeIndexForBufferInfo(fixture->allocator, &info, &allocationInfo,
                                                   &poolInfo.memoryTypeIndex));
    assert_ok(sxvkCreatePool(fixture->allocator, &poolInfo, &pool));
    allocationInfo.pool = pool;
    allocationInfo.pName = "left in the pool";
    VkBuffer buffer;
    SxvkAllocation allocation;
    assert_ok(
        sxvkCreateBuffer(fixture->allocator, &info, &allocationInfo, &buffer, &allocation, NULL));
    vkDestroyBuffer(fixture->gpu.device, buffer, NULL);
    sxvkDestroyPool(fixture->allocator, pool);
    assert_non_null(strstr(fixture->lastText, "left in the pool"));
    expect_messages(fixture, SXVK_MESSAGE_LEAKED_ALLOCATION, 1);
    assert_false(sxvkIsAllocationValid(fixture->allocator, allocation));
}

static void test_stale_and_foreign_handles(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocator allocator = fixture->allocator, other;
    SxvkAllocatorCreateInfo allocatorInfo = fixture_allocator_info(fixture);
    assert_ok(sxvkCreateAllocator(&allocatorInfo, &other));
    const VkBufferCreateInfo info = buffer_info(777, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    const SxvkAllocationCreateInfo allocationInfo =
        auto_info(SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT);
    VkBuffer buffer, neighbour;
    SxvkAllocation stale, foreign;
    assert_ok(sxvkCreateBuffer(allocator, &info, &allocationInfo, &buffer, &stale, NULL));
    sxvkDestroyBuffer(allocator, buffer, stale);
    assert_ok(sxvkCreateBuffer(other, &info, &allocationInfo, &neighbour, &foreign, NULL));
    assert_ok(sxvkCreateBuffer(allocator, &info, &allocationInfo, &buffer, &stale, NULL));
    sxvkFreeMemory(allocator, NULL);
    expect_no_messages(fixture);

    SxvkAllocation live = stale;
    gpu_write_buffer(fixture, buffer, 777, 1);
    sxvkDestroyBuffer(allocator, VK_NULL_HANDLE, NULL);
    vkDestroyBuffer(fixture->gpu.device, buffer, NULL);
    sxvkFreeMemory(allocator, live);
    assert_false(sxvkIsAllocationValid(allocator, stale));
    assert_false(sxvkIsAllocationValid(allocator, foreign));
    expect_no_messages(fixture);

    const SxvkAllocation bad[] = {stale, foreign};
    for (size_t i = 0; i < 2; i++) {
        void* data = &data;
        char byte = 0;
        SxvkAllocationInfo zero;
        sxvkFreeMemory(allocator, bad[i]);
        assert_int_equal(sxvkMapMemory(allocator, bad[i], &data), VK_ERROR_VALIDATION_FAILED_EXT);
        assert_null(data);
        assert_int_equal(sxvkCopyMemoryToAllocation(allocator, &byte, bad[i], 0, 1),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        assert_int_equal(sxvkBindBufferMemory(allocator, bad[i], neighbour),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        memset(&zero, 0xcc, sizeof zero);
        sxvkGetAllocationInfo(allocator, bad[i], &zero);
        assert_true(zero.deviceMemory == VK_NULL_HANDLE && zero.size == 0);
        expect_messages(fixture, SXVK_MESSAGE_INVALID_ALLOCATION, 5);
    }
    assert_true(sxvkIsAllocationValid(other, foreign));
    sxvkDestroyBuffer(other, neighbour, foreign);
    sxvkDestroyAllocator(other);
}

static void test_maps_that_cannot_be(void** state) {
    Fixture* fixture = (Fixture*)*state;
    const VkBufferCreateInfo info = buffer_info(777, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    const SxvkAllocationCreateInfo allocationInfo =
        auto_info(SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT);
    VkBuffer buffer;
    SxvkAllocation allocation;
    assert_ok(
        sxvkCreateBuffer(fixture->allocator, &info, &allocationInfo, &buffer, &allocation, NULL));
    sxvkUnmapMemory(fixture->allocator, allocation);
    expect_messages(fixture, SXVK_MESSAGE_NOT_MAPPED, 1);

    char bytes[2] = {0, 0};
    SxvkAllocationInfo allocated;
    sxvkGetAllocationInfo(fixture->allocator, allocation, &allocated);
    assert_int_equal(
        sxvkCopyMemoryToAllocation(fixture->allocator, bytes, allocation, allocated.size - 1, 2),
        VK_ERROR_VALIDATION_FAILED_EXT);
    expect_messages(fixture, SXVK_MESSAGE_BAD_RANGE, 1);
    void* data;
    assert_ok(sxvkMapMemory(fixture->allocator, allocation, &data));
    sxvkDestroyBuffer(fixture->allocator, buffer, allocation);
    expect_messages(fixture, SXVK_MESSAGE_FREED_WHILE_MAPPED, 1);

    /* Where the device has memory that the CPU cannot see. */
    SxvkAllocationCreateInfo hidden = auto_info(0);
    hidden.avoidedFlags = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    assert_ok(sxvkCreateBuffer(fixture->allocator, &info, &hidden, &buffer, &allocation, NULL));
    VkMemoryPropertyFlags flags;
    sxvkGetAllocationMemoryProperties(fixture->allocator, allocation, &flags);
    if (!(flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT)) {
        assert_int_equal(sxvkMapMemory(fixture->allocator, allocation, &data),
                         VK_ERROR_MEMORY_MAP_FAILED);
        assert_null(data);
        expect_messages(fixture, SXVK_MESSAGE_NOT_HOST_VISIBLE, 1);
    }
    sxvkDestroyBuffer(fixture->allocator, buffer, allocation);
}

/*  None of these may reach the driver: the layer would object. */
static void test_arguments_are_checked(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocator allocator = fixture->allocator;
    VkBuffer buffer;
    VkImage image;
    SxvkAllocation allocation;
    VkBufferCreateInfo info = buffer_info(0, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkImageCreateInfo imageInfo = image_info(VK_FORMAT_R8G8B8A8_UNORM, 0, 16, 1);
    SxvkAllocationCreateInfo good = auto_info(0);

    assert_int_equal(sxvkCreateBuffer(allocator, &info, &good, &buffer, &allocation, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_true(buffer == VK_NULL_HANDLE && allocation == NULL);
    expect_messages(fixture, SXVK_MESSAGE_BAD_SIZE, 1);
    assert_int_equal(sxvkCreateImage(allocator, &imageInfo, &good, &image, &allocation, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_true(image == VK_NULL_HANDLE && allocation == NULL);
    expect_messages(fixture, SXVK_MESSAGE_BAD_SIZE, 1);

    info.size = 256;
    const struct {
        SxvkAllocationCreateInfo info;
        SxvkMessage message;
    } cases[] = {
        {{.flags = 0x80000000u, .usage = SXVK_MEMORY_USAGE_AUTO}, SXVK_MESSAGE_UNKNOWN_FLAGS},
        {{.usage = (SxvkMemoryUsage)3}, SXVK_MESSAGE_BAD_ENUM}, /* VMA's CPU_TO_GPU */
        {{.minAlignment = 48}, SXVK_MESSAGE_BAD_ALIGNMENT},
        {{.priority = 1.5f}, SXVK_MESSAGE_BAD_PRIORITY},
        {{.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT |
                   SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT},
         SXVK_MESSAGE_CONFLICTING_FLAGS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(
            sxvkCreateBuffer(allocator, &info, &cases[i].info, &buffer, &allocation, NULL),
            VK_ERROR_VALIDATION_FAILED_EXT);
        assert_true(buffer == VK_NULL_HANDLE && allocation == NULL);
        expect_messages(fixture, cases[i].message, 1);
    }
    assert_int_equal(sxvkCreateBuffer(allocator, NULL, &good, &buffer, &allocation, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    expect_messages(fixture, SXVK_MESSAGE_NULL_ARGUMENT, 1);
}

/*  More than the device has, of everything that can be asked for. */
static void test_too_much(void** state) {
    Fixture* fixture = (Fixture*)*state;
    VkDeviceSize largest = 0;
    for (uint32_t i = 0; i < fixture->gpu.memory.memoryHeapCount; i++) {
        VkDeviceSize size = fixture->gpu.memory.memoryHeaps[i].size;
        largest = size > largest ? size : largest;
    }
    const VkMemoryRequirements needs = {
        .size = largest + MIB,
        .alignment = 256,
        .memoryTypeBits = UINT32_MAX,
    };
    const SxvkAllocationCreateInfo info = {.flags = 0};
    SxvkAllocation allocation;
    SxvkAllocationInfo allocated;
    assert_int_equal(sxvkAllocateMemory(fixture->allocator, &needs, &info, &allocation, &allocated),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_null(allocation);
    assert_true(allocated.deviceMemory == VK_NULL_HANDLE);
    expect_messages(fixture, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        gpu_test(test_leaks_are_named),           gpu_test(test_leaks_of_a_pool_are_named),
        gpu_test(test_stale_and_foreign_handles), gpu_test(test_maps_that_cannot_be),
        gpu_test(test_arguments_are_checked),     gpu_test(test_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
