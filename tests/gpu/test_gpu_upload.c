/*
    test_gpu_upload.c - frame rings, smart buffers and buffer arenas on a real driver: the CPU writes
    the next frames while the device still reads the ones before, and every byte that the device saw
    is compared. The layer watches memory and, with synchronisation validation, hazards.

    Where the device works in the CPU's memory only STREAMING is staged: one test makes the allocator
    believe that there is other memory, see
    "a device with memory of its own".

    Run by CTest (gpu.gpu_upload), or by hand; SXVK_DEVICE chooses the device.
*/
#include "gpu_fixture.h"
#include "sim.h"

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

/* --- a device with memory of its own ----------------------------------------------------------- */

/*  What the allocator believes: the heaps and types of sim_profile_discrete, as which the real type
    is told of. Of memory that is said to be the device's alone, no map is let through. */
typedef struct Disguise {
    SimProfile profile;
    uint32_t realType;
    VkDeviceMemory memories[64]; /* that are said not to be host-visible */
    uint32_t count;
} Disguise;

static Disguise disguise;

static VKAPI_ATTR void VKAPI_CALL disguised_properties(VkPhysicalDevice physicalDevice,
                                                       VkPhysicalDeviceProperties* properties) {
    vkGetPhysicalDeviceProperties(physicalDevice, properties);
    properties->deviceType = disguise.profile.deviceType;
}

static VKAPI_ATTR void VKAPI_CALL disguised_memory(VkPhysicalDevice physicalDevice,
                                                   VkPhysicalDeviceMemoryProperties* memory) {
    (void)physicalDevice;
    *memory = disguise.profile.memory;
}

static void disguise_bits(VkMemoryRequirements* needs) {
    bool fits = (needs->memoryTypeBits & (1u << disguise.realType)) != 0;
    needs->memoryTypeBits = fits ? (1u << disguise.profile.memory.memoryTypeCount) - 1 : 0;
}

static VKAPI_ATTR void VKAPI_CALL disguised_needs(VkDevice device,
                                                  const VkBufferMemoryRequirementsInfo2* info,
                                                  VkMemoryRequirements2* needs) {
    vkGetBufferMemoryRequirements2(device, info, needs);
    disguise_bits(&needs->memoryRequirements);
}

static VKAPI_ATTR void VKAPI_CALL disguised_needs_of_info(
    VkDevice device, const VkDeviceBufferMemoryRequirements* info, VkMemoryRequirements2* needs) {
    vkGetDeviceBufferMemoryRequirements(device, info, needs);
    disguise_bits(&needs->memoryRequirements);
}

static VKAPI_ATTR VkResult VKAPI_CALL disguised_allocate(VkDevice device,
                                                         const VkMemoryAllocateInfo* info,
                                                         const VkAllocationCallbacks* callbacks,
                                                         VkDeviceMemory* memory) {
    VkMemoryAllocateInfo real = *info;
    const VkMemoryType* told = &disguise.profile.memory.memoryTypes[info->memoryTypeIndex];
    real.memoryTypeIndex = disguise.realType;
    VkResult result = vkAllocateMemory(device, &real, callbacks, memory);
    if (result == VK_SUCCESS && !(told->propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT)) {
        assert_true(disguise.count < 64);
        disguise.memories[disguise.count++] = *memory;
    }
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL disguised_map(VkDevice device, VkDeviceMemory memory,
                                                    VkDeviceSize offset, VkDeviceSize size,
                                                    VkMemoryMapFlags flags, void** data) {
    for (uint32_t i = 0; i < disguise.count; i++) {
        assert_true(disguise.memories[i] != memory);
    }
    return vkMapMemory(device, memory, offset, size, flags, data);
}

/*  In place of the allocator that the fixture has. */
static void put_on_disguise(Fixture* fixture) {
    const SxvkVulkanFunctions functions = {
        .vkGetInstanceProcAddr = vkGetInstanceProcAddr,
        .vkGetDeviceProcAddr = vkGetDeviceProcAddr,
        .vkGetPhysicalDeviceProperties = disguised_properties,
        .vkGetPhysicalDeviceMemoryProperties = disguised_memory,
        .vkGetBufferMemoryRequirements2 = disguised_needs,
        .vkGetDeviceBufferMemoryRequirements = disguised_needs_of_info,
        .vkAllocateMemory = disguised_allocate,
        .vkMapMemory = disguised_map,
    };
    SxvkAllocatorCreateInfo info = fixture_allocator_info(fixture);
    memset(&disguise, 0, sizeof disguise);
    disguise.profile = sim_profile_discrete();
    disguise.realType = find_coherent_type(fixture, UINT32_MAX);
    info.pVulkanFunctions = &functions;
    info.flags &= ~(SxvkAllocatorCreateFlags)SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    sxvkDestroyAllocator(fixture->allocator);
    assert_ok(sxvkCreateAllocator(&info, &fixture->allocator));
}

/*  Must be staged, or must not, as on a discrete GPU with a small BAR. */
static SxvkSmartBuffer disguised_buffer(const Frames* frames, SxvkSmartBufferAccess access,
                                        VkDeviceSize size, VkBufferUsageFlags usage, bool staged) {
    const SxvkSmartBufferCreateInfo info = {.size = size,
                                            .usage = usage,
                                            .access = access,
                                            .ring = frames->ring,
                                            .framesInFlight = IN_FLIGHT};
    SxvkSmartBuffer buffer;
    SxvkSmartBufferInfo smart;
    assert_ok(sxvkCreateSmartBuffer(frames->fixture->allocator, &info, &buffer));
    sxvkGetSmartBufferInfo(buffer, &smart);
    assert_int_equal(smart.isStaged, staged);
    assert_int_equal(smart.slice.pMappedData == NULL, staged);
    return buffer;
}

#define PART         1000 /* bytes of the static buffer that each frame writes, and all later ones read */
#define ANEW         3001 /* of the dynamic one */
#define STREAM       20000
#define BACK         4096 /* of what is read back, of each frame that may be in flight */
#define BACKS        (IN_FLIGHT + 1)
#define PART_AT      0 /* in the results of a frame: its part, and that of the frame before */
#define ANEW_AT      4096
#define STREAM_AT(i) (8192 + (i)*24576)

/*  What the frame before wrote into the static buffer is read along: nothing has overwritten it. */
static void copy_parts(Frames* frames, uint64_t frame, const SxvkBufferSlice* all) {
    uint64_t first = frame > 1 ? frame - 2 : 0;
    SxvkBufferSlice parts = *all;
    parts.offset += first * PART;
    parts.size = (frame - first) * PART;
    copy_to_result(frames, frame, PART_AT, &parts);
}

static void check_parts(const Frames* frames, uint64_t frame) {
    const uint8_t* result = frames_result(frames, frame) + PART_AT;
    if (frame > 1) {
        check_pattern(result, PART, 1000 + frame - 1);
        result += PART;
    }
    check_pattern(result, PART, 1000 + frame);
}

/*  The device copies this frame's content into the READBACK buffer, where each frame in flight has
    a place; what was there was read by the CPU before. */
static void record_back(VkCommandBuffer commands, SxvkSmartBuffer back, uint64_t frame,
                        const SxvkBufferSlice* from) {
    SxvkSmartBufferInfo smart;
    sxvkGetSmartBufferInfo(back, &smart);
    const VkBufferCopy region = {
        .srcOffset = from->offset, .dstOffset = frame % BACKS * BACK, .size = from->size};
    everything_barrier(commands);
    vkCmdCopyBuffer(commands, from->buffer, smart.slice.buffer, 1, &region);
    assert_ok(sxvkRecordSmartBufferRead(back, commands, frame % BACKS * BACK, BACK));
}

static void check_back(SxvkSmartBuffer back, uint64_t frame) {
    uint8_t bytes[ANEW];
    assert_ok(sxvkReadSmartBuffer(back, frame % BACKS * BACK, ANEW, bytes));
    check_pattern(bytes, ANEW, 2000 + frame);
}

/*  All four kinds at once, where STATIC, STREAMING and READBACK go through a copy. */
static void test_staged(void** state) {
    Fixture* fixture = (Fixture*)*state;
    static uint8_t bytes[STREAM];
    static uint8_t model[STREAM];
    static uint8_t seen[FRAMES + 1][2][STREAM];
    const VkBufferUsageFlags usage =
        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT;
    SxvkSmartBufferInfo smart;
    Frames frames;
    uint64_t seed = 77;
    put_on_disguise(fixture);
    frames_open(&frames, fixture, 4096, 0);
    SxvkSmartBuffer fixed =
        disguised_buffer(&frames, SXVK_SMART_BUFFER_ACCESS_STATIC, FRAMES * PART, usage, true);
    SxvkSmartBuffer stream =
        disguised_buffer(&frames, SXVK_SMART_BUFFER_ACCESS_STREAMING, STREAM, usage, true);
    SxvkSmartBuffer anew =
        disguised_buffer(&frames, SXVK_SMART_BUFFER_ACCESS_DYNAMIC, ANEW, usage, false);
    SxvkSmartBuffer back =
        disguised_buffer(&frames, SXVK_SMART_BUFFER_ACCESS_READBACK, BACKS * BACK,
                         usage | VK_BUFFER_USAGE_TRANSFER_DST_BIT, true);
    assert_true(disguise.count > 0);
    for (uint64_t frame = 1; frame <= FRAMES; frame++) {
        VkCommandBuffer commands = frames_begin(&frames, frame);
        if (frame > IN_FLIGHT) {
            check_back(back, frame - IN_FLIGHT);
        }
        SxvkSmartBufferWrite write;
        assert_ok(sxvkPrepareSmartBufferWrite(fixed, (frame - 1) * PART, PART, &write));
        fill_pattern((uint8_t*)write.pData, PART, 1000 + frame);
        assert_ok(sxvkRecordSmartBufferWrite(fixed, commands, &write));
        sxvkGetSmartBufferInfo(fixed, &smart);
        copy_parts(&frames, frame, &smart.slice);

        fill_pattern(bytes, ANEW, 2000 + frame);
        assert_ok(sxvkWriteSmartBuffer(anew, NULL, 0, ANEW, bytes));
        sxvkGetSmartBufferInfo(anew, &smart);
        copy_to_result(&frames, frame, ANEW_AT, &smart.slice);
        record_back(commands, back, frame, &smart.slice);

        sxvkGetSmartBufferInfo(stream, &smart);
        for (size_t i = 0; i < 2; i++) { /* the second write waits for the read before it */
            bool whole = frame == 1 && i == 0;
            size_t offset = whole ? 0 : random_below(&seed, STREAM - 4);
            size_t size = whole ? STREAM : 1 + random_below(&seed, STREAM - offset);
            fill_pattern(model + offset, size, seed);
            assert_ok(sxvkWriteSmartBuffer(stream, commands, offset, size, model + offset));
            copy_to_result(&frames, frame, STREAM_AT(i), &smart.slice);
            memcpy(seen[frame][i], model, STREAM);
        }
        frames_submit(&frames, frame);
    }
    frames_finish(&frames, FRAMES);
    for (uint64_t frame = 1; frame <= FRAMES; frame++) {
        check_parts(&frames, frame);
        check_pattern(frames_result(&frames, frame) + ANEW_AT, ANEW, 2000 + frame);
        for (size_t i = 0; i < 2; i++) {
            const uint8_t* result = frames_result(&frames, frame) + STREAM_AT(i);
            assert_memory_equal(result, seen[frame][i], STREAM);
        }
        if (frame > FRAMES - IN_FLIGHT) {
            check_back(back, frame);
        }
    }
    sxvkDestroySmartBuffer(fixture->allocator, back);
    sxvkDestroySmartBuffer(fixture->allocator, anew);
    sxvkDestroySmartBuffer(fixture->allocator, stream);
    sxvkDestroySmartBuffer(fixture->allocator, fixed);
    frames_close(&frames);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        gpu_test(test_ring),  gpu_test(test_streaming), gpu_test(test_dynamic_static_readback),
        gpu_test(test_arena), gpu_test(test_staged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
