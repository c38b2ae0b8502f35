/*
    Shows how bytes reach GPU memory and come back: a staging buffer that the CPU fills, a copy by
    the GPU into a buffer in device memory, a second copy into a buffer that the CPU reads.

    Build and run, from the repository:
        cc -std=c99 -I. examples/02_upload_readback.c -o upload_readback -lvulkan -pthread
        ./upload_readback
*/

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "example_device.h"

typedef struct Buffer {
    VkBuffer buffer;
    SxvkAllocation allocation;
} Buffer;

static Buffer create_buffer(SxvkAllocator allocator, VkDeviceSize size, VkBufferUsageFlags usage,
                            SxvkAllocationCreateFlags flags) {
    VkBufferCreateInfo bufferInfo = {0};
    bufferInfo.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    bufferInfo.size = size;
    bufferInfo.usage = usage;
    SxvkAllocationCreateInfo allocationInfo = {0};
    allocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;
    allocationInfo.flags = flags;
    Buffer result;
    EXAMPLE_CHECK(sxvkCreateBuffer(allocator, &bufferInfo, &allocationInfo, &result.buffer,
                                   &result.allocation, NULL) == VK_SUCCESS);
    return result;
}

int main(void) {
    ExampleDevice example;
    example_create_instance(&example);
    example_create_device(&example);

    SxvkAllocator allocator = example_create_allocator(&example);

    /* SEQUENTIAL_WRITE: the CPU writes and never reads. RANDOM: it reads, so cached memory is
       better. Neither: the CPU does not come near it, so it is free to live where the GPU is fast. */
    const VkDeviceSize size = 1000000;
    Buffer staging = create_buffer(allocator, size, VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
                                   SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT);
    Buffer storage =
        create_buffer(allocator, size,
                      VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT |
                          VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
                      0);
    Buffer readback = create_buffer(allocator, size, VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                    SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT);

    uint8_t* sent = (uint8_t*)malloc((size_t)size);
    uint8_t* received = (uint8_t*)calloc(1, (size_t)size);
    EXAMPLE_CHECK(sent && received);
    for (size_t i = 0; i < (size_t)size; i++) {
        sent[i] = (uint8_t)(i * 31 + (i >> 8));
    }

    /* Maps, copies, flushes where the memory needs it, and unmaps. */
    EXAMPLE_CHECK(sxvkCopyMemoryToAllocation(allocator, sent, staging.allocation, 0, size) ==
                  VK_SUCCESS);

    VkBufferCopy region = {0};
    region.size = size;
    VkCommandBuffer commands = example_begin(&example);
    vkCmdCopyBuffer(commands, staging.buffer, storage.buffer, 1, &region);
    example_copy_barrier(commands);
    vkCmdCopyBuffer(commands, storage.buffer, readback.buffer, 1, &region);
    example_submit_and_wait(&example, commands);

    EXAMPLE_CHECK(sxvkCopyAllocationToMemory(allocator, readback.allocation, 0, received, size) ==
                  VK_SUCCESS);
    EXAMPLE_CHECK(memcmp(sent, received, (size_t)size) == 0);
    printf("%llu bytes went to the GPU and came back unchanged\n", (unsigned long long)size);

    free(received);
    free(sent);
    sxvkDestroyBuffer(allocator, readback.buffer, readback.allocation);
    sxvkDestroyBuffer(allocator, storage.buffer, storage.allocation);
    sxvkDestroyBuffer(allocator, staging.buffer, staging.allocation);
    sxvkDestroyAllocator(allocator);
    example_destroy(&example);
    return 0;
}
