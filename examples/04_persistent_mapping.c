/*
    Shows memory that stays mapped: uniform data for three frames in flight, written through one
    pointer, frame after frame, with no call to map or unmap.

    Build and run, from the repository:
        cc -std=c99 -I. examples/04_persistent_mapping.c -o persistent_mapping -lvulkan -pthread
        ./persistent_mapping
*/

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "example_device.h"

#define FRAMES_IN_FLIGHT 3
#define FRAMES           10

typedef struct Uniforms {
    float transform[16];
    float time;
    uint32_t frame;
} Uniforms;

/*  As large as the strictest uniform buffer alignment that Vulkan permits. */
#define SLOT_SIZE ((VkDeviceSize)256)

int main(void) {
    ExampleDevice example;
    example_create_instance(&example);
    example_create_device(&example);

    SxvkAllocator allocator = example_create_allocator(&example);

    VkBufferCreateInfo bufferInfo = {0};
    bufferInfo.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    bufferInfo.size = FRAMES_IN_FLIGHT * SLOT_SIZE;
    bufferInfo.usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT;
    SxvkAllocationCreateInfo allocationInfo = {0};
    allocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;
    allocationInfo.flags =
        SXVK_ALLOCATION_CREATE_MAPPED_BIT | SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT;
    VkBuffer uniformBuffer;
    SxvkAllocation uniforms;
    SxvkAllocationInfo uniformsInfo;
    EXAMPLE_CHECK(sxvkCreateBuffer(allocator, &bufferInfo, &allocationInfo, &uniformBuffer,
                                   &uniforms, &uniformsInfo) == VK_SUCCESS);
    EXAMPLE_CHECK(uniformsInfo.pMappedData != NULL);

    /* What the GPU saw comes back through a second mapped buffer, one that the CPU reads. */
    bufferInfo.size = sizeof(Uniforms);
    bufferInfo.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    allocationInfo.flags =
        SXVK_ALLOCATION_CREATE_MAPPED_BIT | SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;
    VkBuffer seenBuffer;
    SxvkAllocation seen;
    SxvkAllocationInfo seenInfo;
    EXAMPLE_CHECK(sxvkCreateBuffer(allocator, &bufferInfo, &allocationInfo, &seenBuffer, &seen,
                                   &seenInfo) == VK_SUCCESS);

    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        VkDeviceSize offset = (frame % FRAMES_IN_FLIGHT) * SLOT_SIZE;
        Uniforms values = {{0}, 0, 0};
        values.transform[0] = values.transform[5] = values.transform[10] = values.transform[15] = 1;
        values.time = (float)frame / 60.0f;
        values.frame = frame;
        memcpy((char*)uniformsInfo.pMappedData + offset, &values, sizeof values);
        /* Does nothing on coherent memory, so there is no need to look which kind it is. */
        EXAMPLE_CHECK(sxvkFlushAllocation(allocator, uniforms, offset, sizeof values) ==
                      VK_SUCCESS);

        VkBufferCopy region = {0};
        region.srcOffset = offset;
        region.size = sizeof values;
        VkCommandBuffer commands = example_begin(&example);
        vkCmdCopyBuffer(commands, uniformBuffer, seenBuffer, 1, &region);
        example_submit_and_wait(&example, commands);

        EXAMPLE_CHECK(sxvkInvalidateAllocation(allocator, seen, 0, VK_WHOLE_SIZE) == VK_SUCCESS);
        EXAMPLE_CHECK(memcmp(seenInfo.pMappedData, &values, sizeof values) == 0);
        sxvkSetCurrentFrameIndex(allocator, frame);
    }
    printf("%d frames written through the pointer %p, and the GPU saw each\n", FRAMES,
           uniformsInfo.pMappedData);

    sxvkDestroyBuffer(allocator, seenBuffer, seen);
    sxvkDestroyBuffer(allocator, uniformBuffer, uniforms);
    sxvkDestroyAllocator(allocator);
    example_destroy(&example);
    return 0;
}
