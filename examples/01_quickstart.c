/*
    Shows the whole life of an allocator: make it, create a buffer and an image with memory behind
    them, ask where they landed, destroy everything.

    Build and run, from the repository:
        cc -std=c99 -I. examples/01_quickstart.c -o quickstart -lvulkan -pthread
        ./quickstart
*/

#include "example_device.h"

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

static void print_place(SxvkAllocator allocator, const char* what, SxvkAllocation allocation) {
    SxvkAllocationInfo2 info;
    sxvkGetAllocationInfo2(allocator, allocation, &info);
    VkMemoryPropertyFlags flags;
    sxvkGetAllocationMemoryProperties(allocator, allocation, &flags);
    printf("%s: %llu bytes at offset %llu of a %s of %llu bytes, memory type %u:", what,
           (unsigned long long)info.allocationInfo.size,
           (unsigned long long)info.allocationInfo.offset,
           info.dedicatedMemory ? "dedicated block" : "block", (unsigned long long)info.blockSize,
           info.allocationInfo.memoryType);
    example_print_flags(flags);
    printf("\n");
}

int main(void) {
    ExampleDevice example;
    example_create_instance(&example);
    example_create_device(&example);

    SxvkAllocatorCreateInfo info = {0};
    info.instance = example.instance;
    info.physicalDevice = example.physicalDevice;
    info.device = example.device;
    info.vulkanApiVersion = VK_API_VERSION_1_1;
    SxvkAllocator allocator;
    EXAMPLE_CHECK(sxvkCreateAllocator(&info, &allocator) == VK_SUCCESS);

    /* Say what the resource is for, and nothing about memory: AUTO finds the best type. */
    SxvkAllocationCreateInfo allocationInfo = {0};
    allocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;

    VkBufferCreateInfo bufferInfo = {0};
    bufferInfo.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    bufferInfo.size = 65536;
    bufferInfo.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    VkBuffer buffer;
    SxvkAllocation bufferMemory;
    EXAMPLE_CHECK(sxvkCreateBuffer(allocator, &bufferInfo, &allocationInfo, &buffer, &bufferMemory,
                                   NULL) == VK_SUCCESS);
    print_place(allocator, "vertex buffer", bufferMemory);

    VkImageCreateInfo imageInfo = {0};
    imageInfo.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
    imageInfo.imageType = VK_IMAGE_TYPE_2D;
    imageInfo.format = VK_FORMAT_R8G8B8A8_UNORM;
    imageInfo.extent.width = 256;
    imageInfo.extent.height = 256;
    imageInfo.extent.depth = 1;
    imageInfo.mipLevels = 9;
    imageInfo.arrayLayers = 1;
    imageInfo.samples = VK_SAMPLE_COUNT_1_BIT;
    imageInfo.tiling = VK_IMAGE_TILING_OPTIMAL;
    imageInfo.usage = VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
    VkImage image;
    SxvkAllocation imageMemory;
    EXAMPLE_CHECK(sxvkCreateImage(allocator, &imageInfo, &allocationInfo, &image, &imageMemory,
                                  NULL) == VK_SUCCESS);
    print_place(allocator, "texture", imageMemory);

    SxvkTotalStatistics statistics;
    sxvkCalculateStatistics(allocator, &statistics);
    EXAMPLE_CHECK(statistics.total.statistics.allocationCount == 2);

    sxvkDestroyImage(allocator, image, imageMemory);
    sxvkDestroyBuffer(allocator, buffer, bufferMemory);
    EXAMPLE_CHECK(!sxvkIsAllocationValid(allocator, bufferMemory));

    sxvkDestroyAllocator(allocator);
    example_destroy(&example);
    printf("all released\n");
    return 0;
}
