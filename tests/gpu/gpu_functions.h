/*
    gpu_functions.h - ways to give an allocator its Vulkan functions, for the tests that have the
    linked prototypes and for those that do without.
*/
#ifndef GPU_FUNCTIONS_H
#define GPU_FUNCTIONS_H

#include "gpu_fixture.h"

/*  A buffer and an image through an allocator made with this info; both hold their bytes. */
static inline void create_and_use(Fixture* fixture, const SxvkAllocatorCreateInfo* info) {
    SxvkAllocator allocator;
    assert_ok(sxvkCreateAllocator(info, &allocator));
    SxvkAllocatorInfo handles;
    sxvkGetAllocatorInfo(allocator, &handles);
    assert_ptr_equal(handles.instance, info->instance);
    assert_ptr_equal(handles.physicalDevice, info->physicalDevice);
    assert_ptr_equal(handles.device, info->device);

    const VkBufferCreateInfo bufferInfo = buffer_info(5000, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    const VkImageCreateInfo imageInfo = image_info(VK_FORMAT_R8G8B8A8_UNORM, 30, 20, 2);
    const SxvkAllocationCreateInfo allocationInfo =
        auto_info(SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT);
    const SxvkAllocationCreateInfo imageAllocationInfo = auto_info(0);
    VkBuffer buffer;
    VkImage image;
    SxvkAllocation bufferMemory, imageMemory;
    uint32_t type;
    assert_ok(sxvkFindMemoryTypeIndexForBufferInfo(allocator, &bufferInfo, &allocationInfo, &type));
    assert_ok(
        sxvkCreateBuffer(allocator, &bufferInfo, &allocationInfo, &buffer, &bufferMemory, NULL));
    assert_ok(
        sxvkCreateImage(allocator, &imageInfo, &imageAllocationInfo, &image, &imageMemory, NULL));
    gpu_write_buffer(fixture, buffer, 5000, 1);
    gpu_write_image(fixture, image, &imageInfo, 2);
    gpu_check_image(fixture, image, &imageInfo, 2);
    uint8_t bytes[5000];
    assert_ok(sxvkCopyAllocationToMemory(allocator, bufferMemory, 0, bytes, sizeof bytes));
    check_pattern(bytes, sizeof bytes, 1);
    sxvkSetCurrentFrameIndex(allocator, 1); /* asks for the budget */
    assert_ok(sxvkCheckIntegrity(allocator));
    sxvkDestroyBuffer(allocator, buffer, bufferMemory);
    sxvkDestroyImage(allocator, image, imageMemory);
    sxvkDestroyAllocator(allocator);
}

/*  The two functions alone. */
static inline void check_proc_addr(Fixture* fixture) {
    SxvkAllocatorCreateInfo info = fixture_allocator_info(fixture);
    const SxvkVulkanFunctions functions = {
        .vkGetInstanceProcAddr = vkGetInstanceProcAddr,
        .vkGetDeviceProcAddr = vkGetDeviceProcAddr,
    };
    info.pVulkanFunctions = &functions;
    create_and_use(fixture, &info);
}

static uint32_t allocateCalls, freeCalls;

static inline VKAPI_ATTR VkResult VKAPI_CALL
counting_allocate(VkDevice device, const VkMemoryAllocateInfo* info,
                  const VkAllocationCallbacks* callbacks, VkDeviceMemory* memory) {
    allocateCalls++;
    return vkAllocateMemory(device, info, callbacks, memory);
}

static inline VKAPI_ATTR void VKAPI_CALL counting_free(VkDevice device, VkDeviceMemory memory,
                                                       const VkAllocationCallbacks* callbacks) {
    freeCalls++;
    vkFreeMemory(device, memory, callbacks);
}

/*  Every function that the driver has, and not the two that look others up. */
static inline void check_full_table(Fixture* fixture) {
    SxvkVulkanFunctions functions;
    memset(&functions, 0, sizeof functions);
#define LOOK_UP(name)                                                                              \
    functions.name = (PFN_##name)vkGetInstanceProcAddr(fixture->gpu.instance, #name);
    SXVK_REQUIRED_FUNCTIONS(LOOK_UP)
    SXVK_OPTIONAL_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
    functions.vkAllocateMemory = counting_allocate;
    functions.vkFreeMemory = counting_free;
    allocateCalls = freeCalls = 0;
    SxvkAllocatorCreateInfo info = fixture_allocator_info(fixture);
    info.pVulkanFunctions = &functions;
    create_and_use(fixture, &info);
    assert_true(allocateCalls > 0);
    assert_int_equal(allocateCalls, freeCalls);
}

#endif /* GPU_FUNCTIONS_H */
