/*
    Shows the allocator beside volk, which opens the Vulkan loader at run time: the program links no
    Vulkan library, and there are no prototypes. The allocator takes its functions from volk.

    Needs volk (https://github.com/zeux/volk; libvulkan-volk-dev on Debian, part of the Vulkan SDK).
    Build and run, from the repository:
        cc -std=c99 -I. examples/05_volk.c -o with_volk -ldl -pthread
        ./with_volk
*/

#define VOLK_IMPLEMENTATION
#include <volk.h> /* first: it switches the prototypes of <vulkan/vulkan.h> off */

#include "example_device.h"

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

int main(void) {
    EXAMPLE_CHECK(volkInitialize() == VK_SUCCESS);
    ExampleDevice example;
    example_create_instance(&example);
    volkLoadInstance(example.instance);
    example_create_device(&example);
    volkLoadDevice(example.device);

    SxvkAllocatorCreateInfo info = {0};
    info.instance = example.instance;
    info.physicalDevice = example.physicalDevice;
    info.device = example.device;
    info.vulkanApiVersion = VK_API_VERSION_1_1;
    SxvkVulkanFunctions functions;
    EXAMPLE_CHECK(sxvkImportVulkanFunctionsFromVolk(&info, &functions) == VK_SUCCESS);
    EXAMPLE_CHECK(functions.vkAllocateMemory == vkAllocateMemory);
    info.pVulkanFunctions = &functions;
    SxvkAllocator allocator;
    EXAMPLE_CHECK(sxvkCreateAllocator(&info, &allocator) == VK_SUCCESS);

    VkBufferCreateInfo bufferInfo = {0};
    bufferInfo.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    bufferInfo.size = 4096;
    bufferInfo.usage = VK_BUFFER_USAGE_INDEX_BUFFER_BIT;
    SxvkAllocationCreateInfo allocationInfo = {0};
    allocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;
    VkBuffer buffer;
    SxvkAllocation allocation;
    EXAMPLE_CHECK(sxvkCreateBuffer(allocator, &bufferInfo, &allocationInfo, &buffer, &allocation,
                                   NULL) == VK_SUCCESS);
    VkMemoryPropertyFlags flags;
    sxvkGetAllocationMemoryProperties(allocator, allocation, &flags);
    printf("an index buffer through volk, in memory that is");
    example_print_flags(flags);
    printf("\n");

    sxvkDestroyBuffer(allocator, buffer, allocation);
    sxvkDestroyAllocator(allocator);
    example_destroy(&example);
    return 0;
}
