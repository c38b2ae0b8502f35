/*
    Shows a linear pool as two stacks that are freed at once: what a level needs grows from below,
    what only its loading needs from above, and when the level is over, one call frees all of it.
    The memory is one block, used again by each level.

    Build and run, from the repository:
        cc -std=c99 -I. examples/14_level_pool.c -o level_pool -lvulkan -pthread
        ./level_pool
*/

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "example_device.h"

#define LEVELS  5
#define OBJECTS 400

/*  A stack of buffers that are mapped, each with a byte of its own. */
typedef struct Stack {
    VkBuffer buffers[OBJECTS];
    SxvkAllocation allocations[OBJECTS];
    unsigned char* data[OBJECTS];
    VkDeviceSize sizes[OBJECTS];
    uint32_t count;
} Stack;

static void push(SxvkAllocator allocator, const SxvkAllocationCreateInfo* info, Stack* stack,
                 VkDeviceSize size) {
    VkBufferCreateInfo bufferInfo = {0};
    bufferInfo.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    bufferInfo.size = size;
    bufferInfo.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT;
    SxvkAllocationInfo memory;
    uint32_t i = stack->count++;
    EXAMPLE_CHECK(sxvkCreateBuffer(allocator, &bufferInfo, info, &stack->buffers[i],
                                   &stack->allocations[i], &memory) == VK_SUCCESS);
    stack->data[i] = (unsigned char*)memory.pMappedData;
    stack->sizes[i] = size;
    memset(stack->data[i], (int)(i & 0xFF), (size_t)size);
}

static void check(const Stack* stack) {
    for (uint32_t i = 0; i < stack->count; i++) {
        for (VkDeviceSize at = 0; at < stack->sizes[i]; at++) {
            EXAMPLE_CHECK(stack->data[i][at] == (i & 0xFF));
        }
    }
}

/*  The buffers alone: their memory goes with the pool's. */
static void destroy_buffers(SxvkAllocator allocator, Stack* stack) {
    while (stack->count != 0) {
        sxvkDestroyBuffer(allocator, stack->buffers[--stack->count], VK_NULL_HANDLE);
    }
}

int main(void) {
    static Stack level, loading;
    ExampleDevice example;
    example_create_instance(&example);
    example_create_device(&example);
    SxvkAllocator allocator = example_create_allocator(&example);

    VkBufferCreateInfo typical = {0};
    typical.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    typical.size = 65536;
    typical.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT;
    SxvkAllocationCreateInfo below = {0};
    below.usage = SXVK_MEMORY_USAGE_AUTO;
    below.flags =
        SXVK_ALLOCATION_CREATE_MAPPED_BIT | SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT;
    SxvkPoolCreateInfo poolInfo = {0};
    poolInfo.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT;
    poolInfo.blockSize = (VkDeviceSize)4 << 20;
    poolInfo.maxBlockCount = 1; /* two stacks want one block */
    EXAMPLE_CHECK(sxvkFindMemoryTypeIndexForBufferInfo(allocator, &typical, &below,
                                                       &poolInfo.memoryTypeIndex) == VK_SUCCESS);
    SxvkPool pool;
    EXAMPLE_CHECK(sxvkCreatePool(allocator, &poolInfo, &pool) == VK_SUCCESS);
    below.pool = pool;
    SxvkAllocationCreateInfo above = below;
    above.flags |= SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT;

    uint32_t pushed = 0;
    SxvkStatistics statistics = {0};
    for (uint32_t n = 0; n < LEVELS; n++) {
        while (level.count < OBJECTS) {
            push(allocator, &below, &level, 500 + (level.count + n) * 7919 % 8000);
            if (level.count % 4 == 0) { /* what it is made from, for a moment */
                push(allocator, &above, &loading, 20000);
            }
            if (level.count % 40 == 0) { /* the last in is the first out */
                check(&loading);
                pushed += loading.count;
                while (loading.count != 0) {
                    loading.count--;
                    sxvkDestroyBuffer(allocator, loading.buffers[loading.count],
                                      loading.allocations[loading.count]);
                }
            }
        }
        check(&level);
        pushed += level.count;
        sxvkGetPoolStatistics(allocator, pool, &statistics);
        EXAMPLE_CHECK(statistics.blockCount == 1 && statistics.allocationCount == OBJECTS);

        /* The level is over. Whoever kept a handle is told, not harmed. */
        destroy_buffers(allocator, &level);
        EXAMPLE_CHECK(sxvkResetPool(allocator, pool) == VK_SUCCESS);
        EXAMPLE_CHECK(!sxvkIsAllocationValid(allocator, level.allocations[0]));
        sxvkGetPoolStatistics(allocator, pool, &statistics);
        EXAMPLE_CHECK(statistics.allocationCount == 0);
    }
    printf("%u allocations in %u levels, %u freed by %u calls; all out of %u block of %u KiB\n",
           pushed, LEVELS, LEVELS * OBJECTS, LEVELS, statistics.blockCount,
           (uint32_t)(statistics.blockBytes / 1024));

    sxvkDestroyPool(allocator, pool);
    sxvkDestroyAllocator(allocator);
    example_destroy(&example);
    return 0;
}
