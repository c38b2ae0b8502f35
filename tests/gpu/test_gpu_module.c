/*
    test_gpu_module.c - modules, pressure and eviction on a real driver: images that stay have what was
    written into them, whatever went beside them, and no allocation fails.

    Run by CTest (gpu.gpu_module), or by hand; SXVK_DEVICE chooses the device.
*/
#include "gpu_fixture.h"

enum { IMAGE_COUNT = 60 };

#define LIMIT (12 * MIB)

typedef struct Eviction {
    Fixture* fixture;
    VkImage images[IMAGE_COUNT];
    SxvkAllocation allocations[IMAGE_COUNT];
    uint32_t evicted, asked, changes;
    SxvkPressureLevel last;
} Eviction;

/*  The coldest go, until there are so many bytes. */
static VkBool32 VKAPI_PTR make_room(void* userData, SxvkAllocator allocator,
                                    const SxvkPressureInfo* info) {
    Eviction* eviction = (Eviction*)userData;
    SxvkColdAllocation cold[IMAGE_COUNT];
    uint32_t count = IMAGE_COUNT;
    if (info->bytesNeeded == 0) {
        eviction->changes++;
        eviction->last = info->heapIndex != UINT32_MAX ? info->level : eviction->last;
        return VK_FALSE;
    }
    eviction->asked++;
    assert_ok(sxvkGetColdestAllocations(allocator, info->heapIndex, VK_NULL_HANDLE,
                                        info->bytesNeeded + LIMIT / 4, &count, cold));
    for (uint32_t k = 0; k < count; k++) {
        uint32_t i = 0;
        while (eviction->allocations[i] != cold[k].allocation) {
            i++;
            assert_true(i < IMAGE_COUNT);
        }
        sxvkDestroyImage(allocator, eviction->images[i], eviction->allocations[i]);
        eviction->images[i] = VK_NULL_HANDLE;
        eviction->allocations[i] = VK_NULL_HANDLE;
        eviction->evicted++;
    }
    return count != 0;
}

/*  Four times what the heap may hold, image after image. */
static void test_eviction(void** state) {
    Fixture* fixture = (Fixture*)*state;
    const VkImageCreateInfo imageInfo = image_info(VK_FORMAT_R8G8B8A8_UNORM, 400, 300, 5);
    SxvkAllocatorCreateInfo info = fixture_allocator_info(fixture);
    SxvkModuleCreateInfo moduleInfo = {.pName = "images"};
    SxvkAllocationCreateInfo allocationInfo = auto_info(0);
    SxvkPressureCreateInfo pressure = {.pfnCallback = make_room};
    VkDeviceSize limits[VK_MAX_MEMORY_HEAPS];
    SxvkModuleStatistics stats;
    SxvkAllocator allocator;
    Eviction eviction;
    memset(&eviction, 0, sizeof eviction);
    eviction.fixture = fixture;
    for (uint32_t h = 0; h < VK_MAX_MEMORY_HEAPS; h++) {
        limits[h] = LIMIT;
    }
    pressure.pUserData = &eviction;
    info.pHeapSizeLimit = limits;
    info.pPressureInfo = &pressure;
    assert_ok(sxvkCreateAllocator(&info, &allocator));
    assert_ok(sxvkCreateModule(allocator, &moduleInfo, &allocationInfo.module));
    allocationInfo.requiredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    for (uint32_t i = 0; i < IMAGE_COUNT; i++) {
        VkImage image;
        SxvkAllocation allocation;
        sxvkSetCurrentFrameIndex(allocator, i);
        assert_ok(
            sxvkCreateImage(allocator, &imageInfo, &allocationInfo, &image, &allocation, NULL));
        assert_ok(sxvkTouchAllocation(allocator, allocation));
        eviction.images[i] = image;
        eviction.allocations[i] = allocation;
        gpu_write_image(fixture, image, &imageInfo, i * 100);
    }
    assert_true(eviction.asked != 0 && eviction.evicted != 0 && eviction.changes != 0);
    sxvkGetModuleStatistics(allocator, allocationInfo.module, &stats);
    assert_int_equal(stats.allocationCount, IMAGE_COUNT - eviction.evicted);
    assert_true(stats.peakBytes <= LIMIT && stats.allocationBytes > LIMIT / 4);
    for (uint32_t i = 0; i < IMAGE_COUNT; i++) {
        if (eviction.images[i] != VK_NULL_HANDLE) {
            gpu_check_image(fixture, eviction.images[i], &imageInfo, i * 100);
            sxvkDestroyImage(allocator, eviction.images[i], eviction.allocations[i]);
        }
    }
    sxvkDestroyModule(allocator, allocationInfo.module);
    sxvkTrim(allocator);
    assert_int_equal(eviction.last, SXVK_PRESSURE_LEVEL_NORMAL);
    sxvkDestroyAllocator(allocator);
}

/*  A pool that is full: the second choice has other memory, and the bytes get there. */
static void test_fallback(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { COUNT = 20 };
    const size_t size = 64 * KIB;
    const VkBufferCreateInfo bufferInfo = buffer_info(size, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    SxvkModuleCreateInfo moduleInfo = {
        .pName = "buffers",
        .minBufferAlignment = 4096,
        .fallbackRequiredFlags = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT,
    };
    SxvkAllocationCreateInfo allocationInfo = auto_info(0);
    SxvkPoolCreateInfo poolInfo = {.blockSize = MIB / 2, .maxBlockCount = 1};
    SxvkModuleStatistics stats;
    SxvkModule module;
    VkBuffer buffers[COUNT];
    SxvkAllocation allocations[COUNT];
    uint32_t second = 0;
    assert_ok(sxvkCreateModule(fixture->allocator, &moduleInfo, &module));
    assert_ok(sxvkFindMemoryTypeIndexForBufferInfo(fixture->allocator, &bufferInfo, &allocationInfo,
                                                   &poolInfo.memoryTypeIndex));
    poolInfo.module = module;
    assert_ok(sxvkCreatePool(fixture->allocator, &poolInfo, &allocationInfo.pool));
    for (uint32_t i = 0; i < COUNT; i++) {
        SxvkAllocationInfo2 got;
        assert_ok(sxvkCreateBuffer(fixture->allocator, &bufferInfo, &allocationInfo, &buffers[i],
                                   &allocations[i], NULL));
        sxvkGetAllocationInfo2(fixture->allocator, allocations[i], &got);
        assert_int_equal(got.isFallback, i >= MIB / 2 / size);
        assert_int_equal(got.allocationInfo.offset % 4096, 0);
        assert_ptr_equal(got.module, module);
        second += got.isFallback;
        gpu_write_buffer(fixture, buffers[i], size, i);
    }
    sxvkGetModuleStatistics(fixture->allocator, module, &stats);
    assert_int_equal(stats.fallbackCount, second);
    assert_int_equal(stats.allocationCount, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        gpu_check_buffer(fixture, buffers[i], size, i);
        sxvkDestroyBuffer(fixture->allocator, buffers[i], allocations[i]);
    }
    sxvkDestroyPool(fixture->allocator, allocationInfo.pool);
    sxvkDestroyModule(fixture->allocator, module);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        gpu_test(test_eviction),
        gpu_test(test_fallback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
