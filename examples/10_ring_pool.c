/*
    Shows a linear pool as a ring buffer: 12 MiB are streamed to the GPU in chunks of any size, each
    through a staging buffer of its own. The staging memory is one block of 1 MiB, where the next
    chunk goes behind the last one, and a chunk's place is free again once the GPU has read it.

    Build and run, from the repository:
        cc -std=c99 -I. examples/10_ring_pool.c -o ring_pool -lvulkan -pthread
        ./ring_pool
*/

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "example_device.h"

#define RING_SIZE   ((VkDeviceSize)1 << 20)
#define STREAM_SIZE ((VkDeviceSize)12 << 20)
#define CHUNK_MAX   ((VkDeviceSize)200 << 10)
#define IN_FLIGHT   16 /* at most */

/*  One copy on its way. */
typedef struct Chunk {
    VkBuffer buffer;
    SxvkAllocation allocation;
    VkCommandBuffer commands;
    VkFence fence;
} Chunk;

/*  Wait for the GPU, then give the chunk's memory back. */
static void retire(const ExampleDevice* example, SxvkAllocator allocator, Chunk* chunk) {
    EXAMPLE_CHECK(vkWaitForFences(example->device, 1, &chunk->fence, VK_TRUE, UINT64_MAX) ==
                  VK_SUCCESS);
    EXAMPLE_CHECK(vkResetFences(example->device, 1, &chunk->fence) == VK_SUCCESS);
    vkFreeCommandBuffers(example->device, example->commandPool, 1, &chunk->commands);
    sxvkDestroyBuffer(allocator, chunk->buffer, chunk->allocation);
}

/*  Copy without waiting. */
static void submit(const ExampleDevice* example, Chunk* chunk, VkBuffer to,
                   const VkBufferCopy* region) {
    VkSubmitInfo info = {0};
    info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    info.commandBufferCount = 1;
    info.pCommandBuffers = &chunk->commands;
    chunk->commands = example_begin(example);
    vkCmdCopyBuffer(chunk->commands, chunk->buffer, to, 1, region);
    EXAMPLE_CHECK(vkEndCommandBuffer(chunk->commands) == VK_SUCCESS);
    EXAMPLE_CHECK(vkQueueSubmit(example->queue, 1, &info, chunk->fence) == VK_SUCCESS);
}

static unsigned char byte_at(VkDeviceSize i) {
    return (unsigned char)(i * 2654435761u >> 13);
}

int main(void) {
    ExampleDevice example;
    example_create_instance(&example);
    example_create_device(&example);

    SxvkAllocator allocator = example_create_allocator(&example);

    /* The ring: a linear pool of one block, of the type that suits staging buffers. */
    VkBufferCreateInfo staging = {0};
    staging.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    staging.size = CHUNK_MAX;
    staging.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT;
    SxvkAllocationCreateInfo allocationInfo = {0};
    allocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;
    allocationInfo.flags =
        SXVK_ALLOCATION_CREATE_MAPPED_BIT | SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT;
    SxvkPoolCreateInfo poolInfo = {0};
    poolInfo.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT;
    poolInfo.blockSize = RING_SIZE;
    poolInfo.minBlockCount = 1;
    poolInfo.maxBlockCount = 1;
    EXAMPLE_CHECK(sxvkFindMemoryTypeIndexForBufferInfo(allocator, &staging, &allocationInfo,
                                                       &poolInfo.memoryTypeIndex) == VK_SUCCESS);
    SxvkPool ring;
    EXAMPLE_CHECK(sxvkCreatePool(allocator, &poolInfo, &ring) == VK_SUCCESS);
    allocationInfo.pool = ring;
    allocationInfo.flags |=
        SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT; /* when full, say so at once */

    /* Where it all goes; readable here, so that the example can look. */
    VkBufferCreateInfo targetInfo = {0};
    targetInfo.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    targetInfo.size = STREAM_SIZE;
    targetInfo.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    SxvkAllocationCreateInfo targetAllocationInfo = {0};
    targetAllocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;
    targetAllocationInfo.flags =
        SXVK_ALLOCATION_CREATE_MAPPED_BIT | SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;
    VkBuffer target;
    SxvkAllocation targetAllocation;
    SxvkAllocationInfo targetMemory;
    EXAMPLE_CHECK(sxvkCreateBuffer(allocator, &targetInfo, &targetAllocationInfo, &target,
                                   &targetAllocation, &targetMemory) == VK_SUCCESS);

    Chunk chunks[IN_FLIGHT] = {{0}};
    VkFenceCreateInfo fenceInfo = {0};
    fenceInfo.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
    for (int i = 0; i < IN_FLIGHT; i++) {
        EXAMPLE_CHECK(vkCreateFence(example.device, &fenceInfo, NULL, &chunks[i].fence) ==
                      VK_SUCCESS);
    }

    uint32_t sent = 0, retired = 0, most = 0;
    VkDeviceSize at = 0;
    while (at < STREAM_SIZE) {
        Chunk* chunk = &chunks[sent % IN_FLIGHT];
        SxvkAllocationInfo memory;
        VkBufferCopy region = {0};
        region.dstOffset = at;
        region.size = 1000 + sent * 7919u % (CHUNK_MAX - 1000);
        region.size = region.size < STREAM_SIZE - at ? region.size : STREAM_SIZE - at;
        if (sent - retired == IN_FLIGHT) {
            retire(&example, allocator, &chunks[retired++ % IN_FLIGHT]);
        }
        /* Full means that the GPU has yet to read what lies there: wait for the oldest copy. */
        staging.size = region.size;
        VkResult result = sxvkCreateBuffer(allocator, &staging, &allocationInfo, &chunk->buffer,
                                           &chunk->allocation, &memory);
        while (result == VK_ERROR_OUT_OF_DEVICE_MEMORY && retired < sent) {
            retire(&example, allocator, &chunks[retired++ % IN_FLIGHT]);
            result = sxvkCreateBuffer(allocator, &staging, &allocationInfo, &chunk->buffer,
                                      &chunk->allocation, &memory);
        }
        EXAMPLE_CHECK(result == VK_SUCCESS);
        for (VkDeviceSize i = 0; i < region.size; i++) {
            ((unsigned char*)memory.pMappedData)[i] = byte_at(at + i);
        }
        EXAMPLE_CHECK(sxvkFlushAllocation(allocator, chunk->allocation, 0, VK_WHOLE_SIZE) ==
                      VK_SUCCESS);
        submit(&example, chunk, target, &region);
        at += region.size;
        sent++;
        most = sent - retired > most ? sent - retired : most;
    }
    while (retired < sent) {
        retire(&example, allocator, &chunks[retired++ % IN_FLIGHT]);
    }

    /* Does it say what was sent? The barrier makes the copies visible to the CPU. */
    example_submit_and_wait(&example, example_begin(&example));
    EXAMPLE_CHECK(sxvkInvalidateAllocation(allocator, targetAllocation, 0, VK_WHOLE_SIZE) ==
                  VK_SUCCESS);
    for (VkDeviceSize i = 0; i < STREAM_SIZE; i++) {
        EXAMPLE_CHECK(((unsigned char*)targetMemory.pMappedData)[i] == byte_at(i));
    }

    SxvkStatistics statistics;
    sxvkGetPoolStatistics(allocator, ring, &statistics);
    EXAMPLE_CHECK(statistics.blockCount == 1 && statistics.allocationCount == 0);
    printf("%u chunks, %u MiB, up to %u in flight, every byte right\n", sent,
           (unsigned)(STREAM_SIZE >> 20), most);
    printf("staging memory: %u vkAllocateMemory of %u KiB; one for each chunk: %u, up to %u KiB\n",
           statistics.blockCount, (unsigned)(statistics.blockBytes >> 10), sent,
           (unsigned)(IN_FLIGHT * CHUNK_MAX >> 10));

    for (int i = 0; i < IN_FLIGHT; i++) {
        vkDestroyFence(example.device, chunks[i].fence, NULL);
    }
    sxvkDestroyBuffer(allocator, target, targetAllocation);
    sxvkDestroyPool(allocator, ring);
    sxvkDestroyAllocator(allocator);
    example_destroy(&example);
    return 0;
}
