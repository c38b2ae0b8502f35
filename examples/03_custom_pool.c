/*
    Shows a custom pool: one memory type, blocks of one size, a hard limit. Here a particle system
    gets 2 MiB and no more, apart from everything else, and is counted by itself.

    Build and run, from the repository:
        cc -std=c99 -I. examples/03_custom_pool.c -o custom_pool -lvulkan -pthread
        ./custom_pool
*/

#include "example_device.h"

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#define MAX_BUFFERS 64

/*  That the pool is full is no message: it was told how much it may have. */
static VKAPI_ATTR void VKAPI_CALL on_message(void* userData, const SxvkMessageInfo* pInfo) {
    uint32_t* messageCount = (uint32_t*)userData;
    ++*messageCount;
    printf("%s: %s\n", pInfo->severity == SXVK_MESSAGE_SEVERITY_ERROR ? "error" : "warning",
           pInfo->pText);
}

int main(void) {
    ExampleDevice example;
    example_create_instance(&example);
    example_create_device(&example);

    uint32_t messageCount = 0;
    SxvkAllocatorCreateInfo info = {0};
    info.instance = example.instance;
    info.physicalDevice = example.physicalDevice;
    info.device = example.device;
    info.vulkanApiVersion = VK_API_VERSION_1_1;
    info.pfnMessage = on_message;
    info.pMessageUserData = &messageCount;
    SxvkAllocator allocator;
    EXAMPLE_CHECK(sxvkCreateAllocator(&info, &allocator) == VK_SUCCESS);

    VkBufferCreateInfo bufferInfo = {0};
    bufferInfo.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    bufferInfo.size = 65536;
    bufferInfo.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;

    /* A pool has one memory type. Let the allocator find the one that suits such a buffer. */
    SxvkAllocationCreateInfo allocationInfo = {0};
    allocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;
    SxvkPoolCreateInfo poolInfo = {0};
    EXAMPLE_CHECK(sxvkFindMemoryTypeIndexForBufferInfo(allocator, &bufferInfo, &allocationInfo,
                                                       &poolInfo.memoryTypeIndex) == VK_SUCCESS);
    poolInfo.flags = SXVK_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT; /* only buffers */
    poolInfo.blockSize = 1024 * 1024;
    poolInfo.minBlockCount = 1; /* made now, so the first buffer waits for nothing */
    poolInfo.maxBlockCount = 2;
    SxvkPool pool;
    EXAMPLE_CHECK(sxvkCreatePool(allocator, &poolInfo, &pool) == VK_SUCCESS);
    EXAMPLE_CHECK(sxvkSetPoolName(allocator, pool, "particles") == VK_SUCCESS);

    VkBuffer buffers[MAX_BUFFERS];
    SxvkAllocation allocations[MAX_BUFFERS];
    uint32_t count = 0;
    VkResult result = VK_SUCCESS;
    allocationInfo.pool = pool;
    while (count < MAX_BUFFERS) {
        result = sxvkCreateBuffer(allocator, &bufferInfo, &allocationInfo, &buffers[count],
                                  &allocations[count], NULL);
        if (result != VK_SUCCESS) {
            break;
        }
        count++;
    }
    EXAMPLE_CHECK(result == VK_ERROR_OUT_OF_DEVICE_MEMORY);
    EXAMPLE_CHECK(messageCount == 0);

    SxvkStatistics statistics;
    sxvkGetPoolStatistics(allocator, pool, &statistics);
    printf("%u buffers in %u blocks, %llu of %llu bytes used; one more did not fit\n",
           statistics.allocationCount, statistics.blockCount,
           (unsigned long long)statistics.allocationBytes,
           (unsigned long long)statistics.blockBytes);
    EXAMPLE_CHECK(statistics.allocationCount == count);
    EXAMPLE_CHECK(statistics.blockCount == 2);
    EXAMPLE_CHECK(statistics.blockBytes == 2 * poolInfo.blockSize);
    EXAMPLE_CHECK(statistics.allocationBytes >= count * bufferInfo.size);

    for (uint32_t i = 0; i < count; i++) {
        sxvkDestroyBuffer(allocator, buffers[i], allocations[i]);
    }
    sxvkTrim(allocator);
    sxvkGetPoolStatistics(allocator, pool, &statistics);
    EXAMPLE_CHECK(statistics.blockCount == 1); /* minBlockCount keeps it */

    sxvkDestroyPool(allocator, pool);
    sxvkDestroyAllocator(allocator);
    example_destroy(&example);
    return 0;
}
