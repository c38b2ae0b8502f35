/*
    test_gpu_upload.c - frame rings, smart buffers and buffer arenas on a real driver: the CPU writes
    the next frames while the device still reads the ones before, and every byte that the device saw
    is compared. The layer watches memory and, with synchronisation validation, hazards.

    Run by CTest (gpu.gpu_upload), or by hand; SXVK_DEVICE chooses the device.
*/
#include "gpu_fixture.h"

#define IN_FLIGHT 3
#define FRAMES    60
#define SLOT      ((size_t)(64 * KIB)) /* of a frame in the buffer of results */

/*  A queue of frames: commands and a fence for each in flight, and a buffer that has, for each frame
    of the run, what the device saw in it. */
typedef struct Frames {
    Fixture* fixture;
    SxvkFrameRing ring;
    VkCommandPool commandPool;
    VkCommandBuffer commands[IN_FLIGHT];
    VkFence fences[IN_FLIGHT];
    VkBuffer results;
    SxvkAllocation resultsMemory;
    SxvkAllocationInfo resultsInfo;
} Frames;

static void frames_open(Frames* frames, Fixture* fixture, VkDeviceSize ringSize,
                        VkBufferUsageFlags usage) {
    VkDevice device = fixture->gpu.device;
    const VkCommandPoolCreateInfo poolInfo = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
        .queueFamilyIndex = fixture->gpu.queueFamily,
    };
    VkCommandBufferAllocateInfo commandInfo = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = IN_FLIGHT,
    };
    const VkFenceCreateInfo fenceInfo = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    const VkBufferCreateInfo resultsInfo = buffer_info(FRAMES * SLOT, 0);
    const SxvkAllocationCreateInfo hostInfo = auto_info(
        SXVK_ALLOCATION_CREATE_MAPPED_BIT | SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT);
    const SxvkFrameRingCreateInfo ringInfo = {.usage = usage, .size = ringSize};
    memset(frames, 0, sizeof *frames);
    frames->fixture = fixture;
    assert_ok(vkCreateCommandPool(device, &poolInfo, NULL, &frames->commandPool));
    commandInfo.commandPool = frames->commandPool;
    assert_ok(vkAllocateCommandBuffers(device, &commandInfo, frames->commands));
    for (int i = 0; i < IN_FLIGHT; i++) {
        assert_ok(vkCreateFence(device, &fenceInfo, NULL, &frames->fences[i]));
    }
    assert_ok(sxvkCreateBuffer(fixture->allocator, &resultsInfo, &hostInfo, &frames->results,
                               &frames->resultsMemory, &frames->resultsInfo));
    assert_ok(sxvkCreateFrameRing(fixture->allocator, &ringInfo, &frames->ring));
}

/*  Waits until frame `frame - IN_FLIGHT` is done, which was the last to use these commands. */
static VkCommandBuffer frames_begin(Frames* frames, uint64_t frame) {
    VkDevice device = frames->fixture->gpu.device;
    VkCommandBuffer commands = frames->commands[frame % IN_FLIGHT];
    const VkCommandBufferBeginInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
        .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
    };
    if (frame > IN_FLIGHT) {
        VkFence* fence = &frames->fences[frame % IN_FLIGHT];
        assert_ok(vkWaitForFences(device, 1, fence, VK_TRUE, UINT64_MAX));
        assert_ok(vkResetFences(device, 1, fence));
        assert_ok(sxvkCompleteFrameRing(frames->ring, frame - IN_FLIGHT));
    }
    assert_ok(vkBeginCommandBuffer(commands, &info)); /* resets it */
    assert_ok(sxvkBeginFrameRing(frames->ring, frame));
    return commands;
}

static void frames_submit(Frames* frames, uint64_t frame) {
    VkCommandBuffer commands = frames->commands[frame % IN_FLIGHT];
    const VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_HOST_READ_BIT,
    };
    const VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                 .commandBufferCount = 1,
                                 .pCommandBuffers = &commands};
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                         &barrier, 0, NULL, 0, NULL);
    assert_ok(vkEndCommandBuffer(commands));
    assert_ok(
        vkQueueSubmit(frames->fixture->gpu.queue, 1, &submit, frames->fences[frame % IN_FLIGHT]));
}

/*  Wait for all, and end all but the results. */
static void frames_finish(Frames* frames, uint64_t last) {
    assert_ok(vkDeviceWaitIdle(frames->fixture->gpu.device));
    assert_ok(sxvkCompleteFrameRing(frames->ring, last));
    assert_ok(sxvkInvalidateAllocation(frames->fixture->allocator, frames->resultsMemory, 0,
                                       VK_WHOLE_SIZE));
}

static void frames_close(Frames* frames) {
    VkDevice device = frames->fixture->gpu.device;
    sxvkDestroyFrameRing(frames->fixture->allocator, frames->ring);
    sxvkDestroyBuffer(frames->fixture->allocator, frames->results, frames->resultsMemory);
    for (int i = 0; i < IN_FLIGHT; i++) {
        vkDestroyFence(device, frames->fences[i], NULL);
    }
    vkDestroyCommandPool(device, frames->commandPool, NULL);
}

static const uint8_t* frames_result(const Frames* frames, uint64_t frame) {
    return (const uint8_t*)frames->resultsInfo.pMappedData + (frame - 1) * SLOT;
}

static void copy_to_result(Frames* frames, uint64_t frame, VkDeviceSize at,
                           const SxvkBufferSlice* from) {
    const VkBufferCopy region = {
        .srcOffset = from->offset, .dstOffset = (frame - 1) * SLOT + at, .size = from->size};
    vkCmdCopyBuffer(frames->commands[frame % IN_FLIGHT], from->buffer, frames->results, 1, &region);
}

/*  A small ring that must grow while three frames are in flight, with slices of any size. */
static void test_ring(void** state) {
    Fixture* fixture = (Fixture*)*state;
    Frames frames;
    uint64_t seed = 42;
    uint64_t seeds[FRAMES + 1];
    size_t sizes[FRAMES + 1];
    frames_open(&frames, fixture, 4096, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    for (uint64_t frame = 1; frame <= FRAMES; frame++) {
        (void)frames_begin(&frames, frame);
        size_t most = frame % 20 < 10 ? 2000 : SLOT;
        size_t at = 0;
        seeds[frame] = seed;
        while (at < most) {
            size_t size = 4 + random_below(&seed, 3000) / 4 * 4;
            SxvkBufferSlice slice;
            size = size < SLOT - at ? size : SLOT - at;
            assert_ok(sxvkAllocateFromFrameRing(frames.ring, size, 0, &slice));
            assert_int_equal(
                slice.offset % fixture->gpu.properties.limits.minUniformBufferOffsetAlignment, 0);
            fill_pattern((uint8_t*)slice.pMappedData, size, seed);
            copy_to_result(&frames, frame, at, &slice);
            at += size;
        }
        sizes[frame] = at;
        frames_submit(&frames, frame);
    }
    frames_finish(&frames, FRAMES);
    for (uint64_t frame = 1; frame <= FRAMES; frame++) {
        seed = seeds[frame];
        for (size_t at = 0; at < sizes[frame];) {
            size_t size = 4 + random_below(&seed, 3000) / 4 * 4;
            size = size < SLOT - at ? size : SLOT - at;
            check_pattern(frames_result(&frames, frame) + at, size, seed);
            at += size;
        }
    }
    SxvkFrameRingStatistics stats;
    sxvkGetFrameRingStatistics(frames.ring, &stats);
    assert_true(stats.spillCount > 0);
    assert_true(stats.size >= 2 * SLOT);
    assert_int_equal(stats.bytesInFlight, 0);
    frames_close(&frames);
}

/*  Parts of one buffer are overwritten in each frame, in the order of commands, while the frames
    before still read them: each frame sees its own content. */
static void test_streaming(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { SIZE = 20000 };
    static uint8_t model[SIZE];
    static uint8_t seen[FRAMES + 1][SIZE];
    Frames frames;
    uint64_t seed = 4711;
    frames_open(&frames, fixture, 0, 0);
    const SxvkSmartBufferCreateInfo info = {.size = SIZE,
                                            .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                                     VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
                                            .access = SXVK_SMART_BUFFER_ACCESS_STREAMING,
                                            .ring = frames.ring};
    SxvkSmartBuffer buffer;
    SxvkSmartBufferInfo smart;
    assert_ok(sxvkCreateSmartBuffer(fixture->allocator, &info, &buffer));
    sxvkGetSmartBufferInfo(buffer, &smart);
    assert_true(smart.isStaged);
    for (uint64_t frame = 1; frame <= FRAMES; frame++) {
        VkCommandBuffer commands = frames_begin(&frames, frame);
        size_t count = frame == 1 ? 1 : 1 + random_below(&seed, 5);
        for (size_t i = 0; i < count; i++) {
            size_t offset = frame == 1 ? 0 : random_below(&seed, SIZE - 4);
            size_t size = frame == 1 ? SIZE : 1 + random_below(&seed, SIZE - offset);
            fill_pattern(model + offset, size, seed);
            assert_ok(sxvkWriteSmartBuffer(buffer, commands, offset, size, model + offset));
        }
        copy_to_result(&frames, frame, 0, &smart.slice);
        memcpy(seen[frame], model, SIZE);
        frames_submit(&frames, frame);
    }
    frames_finish(&frames, FRAMES);
    for (uint64_t frame = 1; frame <= FRAMES; frame++) {
        assert_memory_equal(frames_result(&frames, frame), seen[frame], SIZE);
    }
    sxvkDestroySmartBuffer(fixture->allocator, buffer);
    frames_close(&frames);
}

/*  A buffer that is new in each frame, a static one that all frames read, and a third that the device
    writes and the CPU reads frames later. */
static void test_dynamic_static_readback(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { SIZE = 3001 };
    static uint8_t bytes[SIZE];
    Frames frames;
    frames_open(&frames, fixture, 0, 0);
    SxvkSmartBufferCreateInfo info = {.size = SIZE,
                                      .usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT |
                                               VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
                                      .access = SXVK_SMART_BUFFER_ACCESS_DYNAMIC,
                                      .ring = frames.ring,
                                      .framesInFlight = IN_FLIGHT};
    SxvkSmartBuffer dynamic, fixed, back;
    SxvkSmartBufferInfo smart, fixedInfo, backInfo;
    assert_ok(sxvkCreateSmartBuffer(fixture->allocator, &info, &dynamic));
    info.access = SXVK_SMART_BUFFER_ACCESS_STATIC;
    assert_ok(sxvkCreateSmartBuffer(fixture->allocator, &info, &fixed));
    info.access = SXVK_SMART_BUFFER_ACCESS_READBACK;
    info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    info.size = (VkDeviceSize)FRAMES * 4;
    assert_ok(sxvkCreateSmartBuffer(fixture->allocator, &info, &back));
    sxvkGetSmartBufferInfo(fixed, &fixedInfo);
    sxvkGetSmartBufferInfo(back, &backInfo);
    for (uint64_t frame = 1; frame <= FRAMES; frame++) {
        VkCommandBuffer commands = frames_begin(&frames, frame);
        if (frame == 1) {
            SxvkSmartBufferWrite write;
            assert_ok(sxvkPrepareSmartBufferWrite(fixed, 0, SIZE, &write));
            fill_pattern((uint8_t*)write.pData, SIZE, 99);
            assert_ok(sxvkRecordSmartBufferWrite(fixed, commands, &write));
        }
        fill_pattern(bytes, SIZE, frame);
        assert_ok(sxvkWriteSmartBuffer(dynamic, commands, 0, SIZE, bytes));
        sxvkGetSmartBufferInfo(dynamic, &smart);
        assert_int_equal(smart.slice.size, SIZE);
        copy_to_result(&frames, frame, 0, &smart.slice);
        copy_to_result(&frames, frame, 4096, &fixedInfo.slice);
        const VkBufferCopy region = {
            .srcOffset = smart.slice.offset, .dstOffset = (frame - 1) * 4, .size = 4};
        vkCmdCopyBuffer(commands, smart.slice.buffer, backInfo.slice.buffer, 1, &region);
        assert_ok(sxvkRecordSmartBufferRead(back, commands, (frame - 1) * 4, 4));
        frames_submit(&frames, frame);
        if (frame > IN_FLIGHT) { /* that one is done, frames_begin has waited for it */
            uint64_t done = frame - IN_FLIGHT;
            uint8_t expected[8], got[4];
            fill_pattern(expected, 8, done);
            assert_ok(sxvkReadSmartBuffer(back, (done - 1) * 4, 4, got));
            assert_memory_equal(got, expected, 4);
        }
    }
    frames_finish(&frames, FRAMES);
    for (uint64_t frame = 1; frame <= FRAMES; frame++) {
        check_pattern(frames_result(&frames, frame), SIZE, frame);
        check_pattern(frames_result(&frames, frame) + 4096, SIZE, 99);
    }
    sxvkDestroySmartBuffer(fixture->allocator, back);
    sxvkDestroySmartBuffer(fixture->allocator, fixed);
    sxvkDestroySmartBuffer(fixture->allocator, dynamic);
    frames_close(&frames);
}

/*  Slices of an arena are filled through a ring and copied out again; a third of them comes and goes.
    No two share a byte, and the device sees that as well. */
static void test_arena(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { COUNT = 300, SIZE = 600 };
    const SxvkBufferArenaCreateInfo info = {.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT |
                                                     VK_BUFFER_USAGE_TRANSFER_DST_BIT |
                                                     VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
                                            .bufferSize = 64 * KIB};
    SxvkBufferArena arena;
    SxvkArenaAllocation allocations[COUNT];
    SxvkBufferSlice slices[COUNT];
    Frames frames;
    VkCommandBuffer commands;
    frames_open(&frames, fixture, 0, 0);
    assert_ok(sxvkCreateBufferArena(fixture->allocator, &info, &arena));
    commands = frames_begin(&frames, 1);
    for (size_t i = 0; i < COUNT; i++) {
        assert_ok(sxvkAllocateFromBufferArena(arena, SIZE - i, 0, &allocations[i], &slices[i]));
    }
    for (size_t i = 0; i < COUNT; i += 3) {
        sxvkFreeToBufferArena(arena, allocations[i]);
    }
    for (size_t i = 0; i < COUNT; i += 3) {
        assert_ok(
            sxvkAllocateFromBufferArena(arena, SIZE - (COUNT - i), 0, &allocations[i], &slices[i]));
    }
    for (size_t i = 0; i < COUNT; i++) {
        SxvkBufferSlice staging;
        assert_ok(sxvkAllocateFromFrameRing(frames.ring, slices[i].size, 0, &staging));
        fill_pattern((uint8_t*)staging.pMappedData, (size_t)staging.size, i);
        const VkBufferCopy region = {staging.offset, slices[i].offset, staging.size};
        vkCmdCopyBuffer(commands, staging.buffer, slices[i].buffer, 1, &region);
    }
    everything_barrier(commands);
    for (size_t i = 0; i < COUNT; i++) {
        copy_to_result(&frames, 1, i * SIZE, &slices[i]);
    }
    frames_submit(&frames, 1);
    frames_finish(&frames, 1);
    for (size_t i = 0; i < COUNT; i++) {
        check_pattern(frames_result(&frames, 1) + i * SIZE, (size_t)slices[i].size, i);
        sxvkFreeToBufferArena(arena, allocations[i]);
    }
    SxvkStatistics stats;
    sxvkGetBufferArenaStatistics(arena, &stats);
    assert_int_equal(stats.blockCount, 1);
    sxvkDestroyBufferArena(fixture->allocator, arena);
    frames_close(&frames);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        gpu_test(test_ring),
        gpu_test(test_streaming),
        gpu_test(test_dynamic_static_readback),
        gpu_test(test_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
