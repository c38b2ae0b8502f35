/*
    A program as one writes it for AMD's Vulkan Memory Allocator. tests/compile/readme.sh sends it
    through the sed line of README.md; what comes out must compile against sx_vkalloc.h.
*/
#define VMA_IMPLEMENTATION
#include "vk_mem_alloc.h"

typedef struct Scene {
    VmaAllocator allocator;
    VmaPool pool;
    VkBuffer buffer;
    VmaAllocation allocation;
    VkImage image;
    VmaAllocation imageAllocation;
} Scene;

static void VKAPI_PTR on_allocate(VmaAllocator allocator, uint32_t memoryType,
                                  VkDeviceMemory memory, VkDeviceSize size, void* pUserData) {
    (void)allocator;
    (void)memoryType;
    (void)memory;
    *(VkDeviceSize*)pUserData += size;
}

VkResult scene_open(Scene* scene, VkInstance instance, VkPhysicalDevice physicalDevice,
                    VkDevice device, VkDeviceSize* total);
VkResult scene_open(Scene* scene, VkInstance instance, VkPhysicalDevice physicalDevice,
                    VkDevice device, VkDeviceSize* total) {
    const PFN_vmaAllocateDeviceMemoryFunction callback = on_allocate;
    VmaDeviceMemoryCallbacks callbacks = {0};
    callbacks.pfnAllocate = callback;
    callbacks.pUserData = total;
    VmaVulkanFunctions functions = {0};
    functions.vkGetInstanceProcAddr = vkGetInstanceProcAddr;
    functions.vkGetDeviceProcAddr = vkGetDeviceProcAddr;
    VmaAllocatorCreateInfo info = {0};
    info.flags = VMA_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    info.instance = instance;
    info.physicalDevice = physicalDevice;
    info.device = device;
    info.vulkanApiVersion = VK_API_VERSION_1_1;
    info.pDeviceMemoryCallbacks = &callbacks;
    info.pVulkanFunctions = &functions;
    VkResult result = vmaCreateAllocator(&info, &scene->allocator);
    if (result != VK_SUCCESS) {
        return result;
    }

    VkBufferCreateInfo bufferInfo = {0};
    bufferInfo.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    bufferInfo.size = 4096;
    bufferInfo.usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT;
    VmaAllocationCreateInfo allocationInfo = {0};
    allocationInfo.usage = VMA_MEMORY_USAGE_AUTO;
    allocationInfo.flags =
        VMA_ALLOCATION_CREATE_MAPPED_BIT | VMA_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT;
    VmaPoolCreateInfo poolInfo = {0};
    result = vmaFindMemoryTypeIndexForBufferInfo(scene->allocator, &bufferInfo, &allocationInfo,
                                                 &poolInfo.memoryTypeIndex);
    if (result == VK_SUCCESS) {
        result = vmaCreatePool(scene->allocator, &poolInfo, &scene->pool);
    }
    if (result == VK_SUCCESS) {
        VmaAllocationInfo allocated;
        allocationInfo.pool = scene->pool;
        result = vmaCreateBuffer(scene->allocator, &bufferInfo, &allocationInfo, &scene->buffer,
                                 &scene->allocation, &allocated);
        vmaSetAllocationName(scene->allocator, scene->allocation, "uniforms");
    }
    return result;
}

void scene_write(Scene* scene, const void* data, VkDeviceSize size);
void scene_write(Scene* scene, const void* data, VkDeviceSize size) {
    void* mapped;
    if (vmaMapMemory(scene->allocator, scene->allocation, &mapped) == VK_SUCCESS) {
        memcpy(mapped, data, (size_t)size);
        vmaFlushAllocation(scene->allocator, scene->allocation, 0, VK_WHOLE_SIZE);
        vmaUnmapMemory(scene->allocator, scene->allocation);
    }
}

VkResult scene_defragment(Scene* scene);
VkResult scene_defragment(Scene* scene) {
    VmaDefragmentationInfo info = {0};
    VmaDefragmentationContext context;
    VmaDefragmentationPassMoveInfo pass;
    VmaDefragmentationStats stats;
    VkResult result;
    info.flags = VMA_DEFRAGMENTATION_FLAG_ALGORITHM_FAST_BIT;
    info.pool = scene->pool;
    info.maxAllocationsPerPass = 16;
    result = vmaBeginDefragmentation(scene->allocator, &info, &context);
    if (result != VK_SUCCESS) {
        return result;
    }
    while (vmaBeginDefragmentationPass(scene->allocator, context, &pass) == VK_INCOMPLETE) {
        for (uint32_t i = 0; i < pass.moveCount; i++) {
            pass.pMoves[i].operation = VMA_DEFRAGMENTATION_MOVE_OPERATION_IGNORE;
        }
        vmaEndDefragmentationPass(scene->allocator, context, &pass);
    }
    vmaEndDefragmentation(scene->allocator, context, &stats);
    return VK_SUCCESS;
}

void scene_close(Scene* scene);
void scene_close(Scene* scene) {
    VmaTotalStatistics statistics;
    char* text;
    vmaCalculateStatistics(scene->allocator, &statistics);
    vmaBuildStatsString(scene->allocator, &text, VK_TRUE);
    vmaFreeStatsString(scene->allocator, text);
    vmaDestroyImage(scene->allocator, scene->image, scene->imageAllocation);
    vmaDestroyBuffer(scene->allocator, scene->buffer, scene->allocation);
    vmaDestroyPool(scene->allocator, scene->pool);
    vmaDestroyAllocator(scene->allocator);
}
