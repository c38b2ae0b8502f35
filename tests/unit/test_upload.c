/*
    test_upload.c - >>upload: frame rings, smart buffers and buffer arenas.

    Rings and arenas run against naive models, with the memory behind them filled and read back;
    smart buffers run on every GPU of the profiles. That nothing leaks when something fails is for
    unit.faults. Run by CTest (unit.upload), or by hand without arguments; worth running under
    ThreadSanitizer.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)

/* Memory types of sim_profile_discrete. */
enum { LOCAL, HOST, CACHED, BAR };

static Rig* upload_rig(SxvkAllocatorCreateFlags flags) {
    RigOptions options = rig_options();
    options.sim.backing = true;
    options.info.flags = flags;
    return rig_create(&options);
}

static SxvkFrameRing make_ring(Rig* rig, VkDeviceSize size, VkBufferUsageFlags usage) {
    SxvkFrameRingCreateInfo info = {.usage = usage, .size = size, .pName = "ring"};
    SxvkFrameRing ring;
    assert_int_equal(sxvkCreateFrameRing(rig->allocator, &info, &ring), VK_SUCCESS);
    return ring;
}

static SxvkFrameRingStatistics ring_statistics(SxvkFrameRing ring) {
    SxvkFrameRingStatistics stats;
    sxvkGetFrameRingStatistics(ring, &stats);
    return stats;
}

static SxvkBufferSlice take(SxvkFrameRing ring, VkDeviceSize size) {
    SxvkBufferSlice slice;
    assert_int_equal(sxvkAllocateFromFrameRing(ring, size, 0, &slice), VK_SUCCESS);
    assert_int_equal(slice.size, size);
    assert_non_null(slice.pMappedData);
    return slice;
}

/* ------------------------------------------------------------------ frame rings */

/*  Three frames in flight, each with a third of the ring: one buffer for ever, no call of the driver,
    and what is handed out again is the oldest. */
static void test_ring_goes_round(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 64 * KIB, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    uint64_t calls = rig_calls(rig);
    VkBuffer buffer = VK_NULL_HANDLE;
    uint64_t frame;
    (void)state;
    for (frame = 1; frame <= 1000; frame++) {
        int i;
        if (frame > 3) {
            assert_int_equal(sxvkCompleteFrameRing(ring, frame - 3), VK_SUCCESS);
        }
        assert_int_equal(sxvkBeginFrameRing(ring, frame), VK_SUCCESS);
        for (i = 0; i < 20; i++) {
            SxvkBufferSlice slice = take(ring, 1000);
            assert_int_equal(slice.offset % 256, 0);
            assert_true(buffer == VK_NULL_HANDLE || buffer == slice.buffer);
            buffer = slice.buffer;
            memset(slice.pMappedData, (int)frame, 1000);
        }
        assert_true(sxvki_ring_is_valid(ring));
    }
    assert_int_equal(rig_calls(rig), calls);
    assert_int_equal(ring_statistics(ring).spillCount, 0);
    assert_int_equal(ring_statistics(ring).bufferCount, 1);
    assert_int_equal(ring_statistics(ring).peakFrameBytes, 20 * 1024);
    assert_true(ring_statistics(ring).peakBytesInFlight <= 64 * KIB);
    assert_int_equal(ring_statistics(ring).begunValue, 1000);
    assert_int_equal(ring_statistics(ring).completedValue, 997);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

/*  Overflow goes on in a larger buffer, once; the full one goes with its last value. After a time of
    less need the ring is small again. */
static void test_ring_grows_and_shrinks(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 4 * KIB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    SxvkBufferSlice first, other;
    uint64_t frame;
    (void)state;
    assert_int_equal(sxvkBeginFrameRing(ring, 10), VK_SUCCESS);
    first = take(ring, 4 * KIB); /* exactly its size */
    memset(first.pMappedData, 0x5A, 4 * KIB);
    other = take(ring, 100 * KIB);
    assert_ptr_not_equal(first.buffer, other.buffer);
    assert_int_equal(ring_statistics(ring).size, 256 * KIB);
    assert_int_equal(ring_statistics(ring).spillCount, 1);
    assert_int_equal(ring_statistics(ring).bufferCount, 2);
    assert_int_equal(ring_statistics(ring).bytesInFlight, 104 * KIB);
    assert_int_equal(ring_statistics(ring).peakFrameBytes, 104 * KIB);
    assert_int_equal(((unsigned char*)first.pMappedData)[4095], 0x5A);
    assert_int_equal(sxvkBeginFrameRing(ring, 11), VK_SUCCESS);
    take(ring, 50 * KIB);
    assert_int_equal(sxvkCompleteFrameRing(ring, 9), VK_SUCCESS); /* nothing to it */
    assert_int_equal(ring_statistics(ring).bufferCount, 2);
    assert_true(sxvki_ring_is_valid(ring));
    assert_int_equal(sxvkCompleteFrameRing(ring, 10), VK_SUCCESS);
    assert_int_equal(ring_statistics(ring).bufferCount, 1);
    assert_int_equal(sim_live_resource_count(rig->sim), 1);
    assert_int_equal(ring_statistics(ring).bytesInFlight, 50 * KIB);
    for (frame = 12; frame < 12 + 2 * 256; frame++) {
        assert_int_equal(sxvkCompleteFrameRing(ring, frame - 1), VK_SUCCESS);
        assert_int_equal(sxvkBeginFrameRing(ring, frame), VK_SUCCESS);
        take(ring, 1000);
        assert_true(sxvki_ring_is_valid(ring));
    }
    assert_int_equal(ring_statistics(ring).size, 4 * KIB);
    assert_int_equal(ring_statistics(ring).bufferCount, 1);
    assert_int_equal(ring_statistics(ring).spillCount, 1);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

/*  A ring that is empty serves a request of its whole size wherever it stands; a value that was
    completed before the next begin is over. */
static void test_ring_whole_size(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 4 * KIB, VK_BUFFER_USAGE_INDEX_BUFFER_BIT);
    SxvkBufferSlice slice;
    uint64_t frame;
    (void)state;
    for (frame = 1; frame < 20; frame++) {
        assert_int_equal(sxvkBeginFrameRing(ring, frame), VK_SUCCESS);
        slice = take(ring, frame % 2 != 0 ? 100 : 4 * KIB);
        assert_int_equal(slice.offset, 0);
        assert_int_equal(sxvkCompleteFrameRing(ring, frame), VK_SUCCESS);
        assert_true(sxvki_ring_is_valid(ring));
        assert_int_equal(ring_statistics(ring).bytesInFlight, 0);
        assert_int_equal(sxvkAllocateFromFrameRing(ring, 16, 0, &slice),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        rig_expect(rig, SXVK_MESSAGE_BAD_FRAME_VALUE, 1);
    }
    assert_int_equal(ring_statistics(ring).spillCount, 0);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

typedef struct ModelSlice {
    SxvkBufferSlice slice;
    uint64_t value;
    unsigned char pattern;
} ModelSlice;

static void assert_pattern(const ModelSlice* m) {
    const unsigned char* bytes = (const unsigned char*)m->slice.pMappedData;
    VkDeviceSize i;
    for (i = 0; i < m->slice.size; i++) {
        if (bytes[i] != m->pattern) {
            fail_msg("byte %u of a slice of value %u was overwritten", (unsigned)i,
                     (unsigned)m->value);
        }
    }
}

/*  Against a list of what is in flight: each slice is aligned and inside its buffer, and keeps its
    bytes until its value is complete, whatever the number of values in flight. */
static void ring_model(uint64_t seed, uint32_t most_in_flight) {
    enum { MOST = 4000 };
    static ModelSlice live[MOST];
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 1024, VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT);
    uint64_t begun = 0, completed = 0;
    uint32_t count = 0, step;
    for (step = 0; step < 1500; step++) {
        uint32_t i, kept = 0, wanted;
        uint32_t heavy = step / 100 % 3 == 1 ? 40 : 4;
        begun += 1 + testing_below(&seed, 3);
        assert_int_equal(sxvkBeginFrameRing(ring, begun), VK_SUCCESS);
        wanted = testing_below(&seed, heavy);
        for (i = 0; i < wanted && count < MOST; i++) {
            ModelSlice* m = &live[count];
            VkDeviceSize alignment = (VkDeviceSize)1 << testing_below(&seed, 10);
            VkDeviceSize size = testing_log_uniform(&seed, 1, 3000);
            assert_int_equal(sxvkAllocateFromFrameRing(ring, size, alignment, &m->slice),
                             VK_SUCCESS);
            assert_int_equal(m->slice.offset % alignment, 0);
            assert_int_equal(m->slice.offset % 16, 0);
            m->value = begun;
            m->pattern = (unsigned char)testing_below(&seed, 256);
            memset(m->slice.pMappedData, m->pattern, (size_t)size);
            count++;
        }
        if (step % 16 == 15) {
            assert_true(sxvki_ring_is_valid(ring));
            rig_check(rig);
        }
        if (begun - completed > testing_below(&seed, 2 * most_in_flight)) {
            completed += 1 + testing_below(&seed, (uint32_t)(begun - completed));
            for (i = 0; i < count; i++) {
                if (live[i].value <= completed) {
                    assert_pattern(&live[i]);
                } else {
                    live[kept++] = live[i];
                }
            }
            count = kept;
            assert_int_equal(sxvkCompleteFrameRing(ring, completed), VK_SUCCESS);
            assert_true(sxvki_ring_is_valid(ring));
        }
    }
    assert_true(ring_statistics(ring).spillCount > 0);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

static void test_ring_model(void** state) {
    (void)state;
    ring_model(1, 3);
    ring_model(2, 100); /* more than the values that stand apart */
}

static void test_ring_bad_input(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRingCreateInfo info = {.usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT};
    SxvkFrameRing ring = (SxvkFrameRing)&ring;
    SxvkBufferSlice slice;
    SxvkPoolCreateInfo poolInfo = {.memoryTypeIndex = LOCAL};
    static const SxvkBufferSlice zero;
    (void)state;
#define REFUSED(message)                                                                           \
    assert_int_equal(sxvkCreateFrameRing(rig->allocator, &info, &ring),                            \
                     VK_ERROR_VALIDATION_FAILED_EXT);                                              \
    assert_null(ring);                                                                             \
    rig_expect(rig, message, 1)
    info.flags = 1;
    REFUSED(SXVK_MESSAGE_UNKNOWN_FLAGS);
    info.flags = 0;
    info.size = (VkDeviceSize)1 << 50;
    REFUSED(SXVK_MESSAGE_BAD_SIZE);
    info.size = 0;
    info.minAlignment = 48;
    REFUSED(SXVK_MESSAGE_BAD_ALIGNMENT);
    info.minAlignment = 0;
    info.memoryUsage = SXVK_MEMORY_USAGE_GPU_LAZILY_ALLOCATED;
    REFUSED(SXVK_MESSAGE_BAD_ENUM);
    info.memoryUsage = SXVK_MEMORY_USAGE_UNKNOWN;
    info.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    REFUSED(SXVK_MESSAGE_MISSING_FEATURE);
    info.usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT;
    assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &info.pool), VK_SUCCESS);
    REFUSED(SXVK_MESSAGE_BAD_STRUCT);
    sxvkDestroyPool(rig->allocator, info.pool);
    info.pool = VK_NULL_HANDLE;
    assert_int_equal(sxvkCreateFrameRing(rig->allocator, NULL, &ring),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    assert_int_equal(sxvkCreateFrameRing(NULL, &info, &ring), VK_ERROR_VALIDATION_FAILED_EXT);
    assert_int_equal(sxvkBeginFrameRing(NULL, 1), VK_ERROR_VALIDATION_FAILED_EXT);
    sxvkDestroyFrameRing(rig->allocator, NULL);

    assert_int_equal(sxvkCreateFrameRing(rig->allocator, &info, &ring), VK_SUCCESS);
    memset(&slice, 0xAA, sizeof slice);
    assert_int_equal(sxvkAllocateFromFrameRing(ring, 16, 0, &slice),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_memory_equal(&slice, &zero, sizeof zero);
    rig_expect(rig, SXVK_MESSAGE_BAD_FRAME_VALUE, 1); /* nothing begun */
    assert_int_equal(sxvkBeginFrameRing(ring, 0), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_BAD_FRAME_VALUE, 1);
    assert_int_equal(sxvkBeginFrameRing(ring, 5), VK_SUCCESS);
    assert_int_equal(sxvkBeginFrameRing(ring, 5), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_BAD_FRAME_VALUE, 1);
    assert_int_equal(sxvkBeginFrameRing(ring, 4), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_BAD_FRAME_VALUE, 1);
    assert_int_equal(sxvkCompleteFrameRing(ring, 6), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_BAD_FRAME_VALUE, 1);
    assert_int_equal(sxvkAllocateFromFrameRing(ring, 0, 0, &slice), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_BAD_SIZE, 1);
    assert_int_equal(sxvkAllocateFromFrameRing(ring, 16, 3, &slice),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_BAD_ALIGNMENT, 1);
    assert_int_equal(sxvkAllocateFromFrameRing(ring, 16, 0, NULL), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    take(ring, 16); /* nothing of this has done harm */
    assert_true(sxvki_ring_is_valid(ring));
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
#undef REFUSED
}

/*  Where the device has no room for a larger buffer one that is large enough will do; where it has
    none at all, the call fails and changes nothing. */
static void test_ring_out_of_memory(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 64 * KIB, 0);
    SxvkBufferSlice slice;
    (void)state;
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    take(ring, 60 * KIB);
    assert_true(
        sim_fail(rig->sim, SIM_CALL_CREATE_BUFFER, 1, UINT32_MAX, VK_ERROR_OUT_OF_DEVICE_MEMORY));
    assert_int_equal(sxvkAllocateFromFrameRing(ring, 8 * KIB, 0, &slice),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_null(slice.buffer);
    assert_true(sxvki_ring_is_valid(ring));
    assert_int_equal(ring_statistics(ring).spillCount, 0);
    sim_clear_faults(rig->sim);
    assert_true(sim_fail(rig->sim, SIM_CALL_CREATE_BUFFER, 1, 2, VK_ERROR_OUT_OF_DEVICE_MEMORY));
    slice = take(ring, 8 * KIB);
    assert_int_equal(ring_statistics(ring).size, 32 * KIB); /* 128 and 64 were refused */
    assert_int_equal(ring_statistics(ring).spillCount, 1);
    assert_true(sxvki_ring_is_valid(ring));
    sim_clear_faults(rig->sim);
    messages_clear(&rig->messages);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

/*  An alignment above the size of the ring is offset 0: no buffer as large as the alignment. Where
    another slice stands at 0, the ring goes on as where it is full. */
static void test_ring_large_alignment(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 4 * KIB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    VkDeviceSize alignment = (VkDeviceSize)1 << 31;
    SxvkBufferSlice slice;
    (void)state;
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    assert_int_equal(sxvkAllocateFromFrameRing(ring, 100, alignment, &slice), VK_SUCCESS);
    assert_int_equal(slice.offset, 0);
    assert_int_equal(ring_statistics(ring).size, 4 * KIB);
    assert_int_equal(sxvkAllocateFromFrameRing(ring, 100, alignment, &slice), VK_SUCCESS);
    assert_int_equal(slice.offset, 0);
    assert_int_equal(ring_statistics(ring).size, 8 * KIB);
    assert_int_equal(ring_statistics(ring).bytesInFlight, 200);
    assert_true(sxvki_ring_is_valid(ring));
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

/*  A value between two that were begun completes the ones below it, and no slice of those above. */
static void test_ring_value_between(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 4 * KIB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    (void)state;
    assert_int_equal(sxvkBeginFrameRing(ring, 10), VK_SUCCESS);
    take(ring, 1 * KIB);
    assert_int_equal(sxvkBeginFrameRing(ring, 20), VK_SUCCESS);
    take(ring, 2 * KIB);
    assert_int_equal(sxvkCompleteFrameRing(ring, 19), VK_SUCCESS);
    assert_int_equal(ring_statistics(ring).bytesInFlight, 2 * KIB);
    assert_int_equal(ring_statistics(ring).completedValue, 19);
    take(ring, 2 * KIB - 16);                              /* value 20 is still open */
    assert_int_equal(ring_statistics(ring).spillCount, 1); /* it does not go round at 3 KiB */
    assert_int_equal(sxvkCompleteFrameRing(ring, 21), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_BAD_FRAME_VALUE, 1);
    assert_int_equal(sxvkCompleteFrameRing(ring, 20), VK_SUCCESS);
    assert_int_equal(ring_statistics(ring).bytesInFlight, 0);
    assert_true(sxvki_ring_is_valid(ring));
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

/*  What names memory in messages and dumps: the name that the caller gave, or what it is for. */
static void test_ring_names(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring;
    SxvkFrameRingCreateInfo info = {.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT};
    SxvkAllocationInfo memory;
    (void)state;
    assert_int_equal(sxvkCreateFrameRing(rig->allocator, &info, &ring), VK_SUCCESS);
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    sxvkGetAllocationInfo(rig->allocator, take(ring, 16).allocation, &memory);
    assert_string_equal(memory.pName, "frame ring");
    sxvkDestroyFrameRing(rig->allocator, ring);
    info.pName = "uniforms";
    assert_int_equal(sxvkCreateFrameRing(rig->allocator, &info, &ring), VK_SUCCESS);
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    sxvkGetAllocationInfo(rig->allocator, take(ring, 16).allocation, &memory);
    assert_string_equal(memory.pName, "uniforms");
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

static void test_ring_device_address(void** state) {
    Rig* rig = upload_rig(SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT);
    SxvkFrameRing ring = make_ring(rig, 0, VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT);
    SxvkBufferSlice a, b;
    (void)state;
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    a = take(ring, 20);
    b = take(ring, 20);
    assert_true(a.deviceAddress != 0);
    assert_int_equal(b.deviceAddress - a.deviceAddress, b.offset - a.offset);
    assert_int_equal((char*)b.pMappedData - (char*)a.pMappedData, b.offset - a.offset);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

/*  Default alignments come from the limits; the memory is coherent on every GPU. */
static void test_ring_on_every_gpu(void** state) {
    static const VkBufferUsageFlags usages[] = {
        0, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
        VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT};
    SimProfile* profiles;
    uint32_t count, i, u;
    (void)state;
    assert_true(sim_load_profiles(TESTING_PROFILES, &profiles, &count));
    assert_true(count >= 53);
    for (i = 0; i < count; i++) {
        RigOptions options = rig_options();
        Rig* rig;
        options.profile = &profiles[i];
        options.sim.backing = true;
        rig = rig_create(&options);
        for (u = 0; u < sizeof usages / sizeof usages[0]; u++) {
            const VkPhysicalDeviceLimits* limits = &rig->allocator->device.vk.properties.limits;
            SxvkFrameRing ring = make_ring(rig, 0, usages[u]);
            SxvkBufferSlice slice;
            SxvkAllocationInfo info;
            VkMemoryPropertyFlags flags;
            int k;
            assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
            for (k = 0; k < 5; k++) {
                slice = take(ring, 100);
                memset(slice.pMappedData, k, 100);
                assert_true((usages[u] & VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT) == 0 ||
                            slice.offset % limits->minUniformBufferOffsetAlignment == 0);
                assert_true((usages[u] & VK_BUFFER_USAGE_STORAGE_BUFFER_BIT) == 0 ||
                            slice.offset % limits->minStorageBufferOffsetAlignment == 0);
                assert_true((usages[u] & VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT) == 0 ||
                            slice.offset % limits->minTexelBufferOffsetAlignment == 0);
            }
            sxvkGetAllocationInfo(rig->allocator, slice.allocation, &info);
            sxvkGetMemoryTypeProperties(rig->allocator, info.memoryType, &flags);
            assert_true((flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT) != 0);
            assert_string_equal(info.pName, "ring");
            sxvkDestroyFrameRing(rig->allocator, ring);
        }
        rig_destroy(rig);
    }
    sim_free_profiles(profiles);
}

/* ------------------------------------------------------------------ rings and threads */

/*  A thread that stopped with a head in its hand fails, whatever became of the buffer meanwhile: here
    it is retired with that head, and is used again as a smaller one. */
static void test_ring_late_thread(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 4 * KIB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    sxvki_ring_buffer* late;
    uint64_t head, mask, frame;
    (void)state;
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    take(ring, 16 * KIB);
    assert_int_equal(sxvkCompleteFrameRing(ring, 1), VK_SUCCESS);
    assert_int_equal(sxvkBeginFrameRing(ring, 2), VK_SUCCESS);
    late = (sxvki_ring_buffer*)ring->current;
    head = sxvki_load64(&late->head);
    mask = late->mask;
    take(ring, 100 * KIB);
    assert_ptr_not_equal(ring->current, late);
    for (frame = 3; ring->current != late; frame++) {
        assert_int_equal(sxvkBeginFrameRing(ring, frame), VK_SUCCESS);
        assert_int_equal(sxvkCompleteFrameRing(ring, frame - 1), VK_SUCCESS);
        assert_true(frame < 2000);
    }
    assert_true(late->mask < mask);
    assert_false(sxvki_cas64(&late->head, &head, head + mask + 1));
    assert_true(sxvki_ring_is_valid(ring));
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

/*  The open value is completed while another buffer is made: the old one goes at once. */
static void test_ring_completed_while_growing(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 4 * KIB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    const sxvki_ring_buffer* old;
    SxvkBufferSlice slice;
    (void)state;
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    take(ring, 1000);
    old = (const sxvki_ring_buffer*)ring->current;
    ring->is_growing = 1; /* as the slow path does before it asks the driver */
    assert_int_equal(sxvkCompleteFrameRing(ring, 1), VK_SUCCESS);
    assert_int_equal(sxvki_ring_replace(ring, "test", old, 8 * KIB, 8 * KIB, 0), VK_SUCCESS);
    assert_true(sxvki_ring_is_valid(ring));
    assert_int_equal(ring_statistics(ring).bufferCount, 1);
    assert_int_equal(sim_live_resource_count(rig->sim), 1);
    assert_int_equal(sxvkAllocateFromFrameRing(ring, 16, 0, &slice),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_BAD_FRAME_VALUE, 1);
    assert_int_equal(sxvkBeginFrameRing(ring, 2), VK_SUCCESS);
    assert_int_equal(take(ring, 8 * KIB).offset, 0);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

#define THREADS 8
#define FRAMES  60
#define SLICES  40 /* of each thread in each frame */

typedef struct Crowd {
    SxvkFrameRing ring;
    pthread_barrier_t barrier;
    ModelSlice slices[3][THREADS][SLICES]; /* by frame modulo 3 */
} Crowd;

typedef struct Member {
    Crowd* crowd;
    uint32_t id;
} Member;

static void* member_runs(void* pMember) {
    Member* member = (Member*)pMember;
    uint64_t seed = member->id;
    uint32_t frame, i;
    for (frame = 1; frame <= FRAMES; frame++) {
        (void)pthread_barrier_wait(&member->crowd->barrier); /* the frame has begun */
        for (i = 0; i < SLICES; i++) {
            ModelSlice* m = &member->crowd->slices[frame % 3][member->id][i];
            VkDeviceSize size = testing_log_uniform(&seed, 16, frame < 30 ? 200 : 2000);
            if (sxvkAllocateFromFrameRing(member->crowd->ring, size, 0, &m->slice) != VK_SUCCESS) {
                m->slice.size = 0;
                continue;
            }
            m->value = frame;
            m->pattern = (unsigned char)(frame * THREADS + member->id);
            memset(m->slice.pMappedData, m->pattern, (size_t)size);
        }
        (void)pthread_barrier_wait(&member->crowd->barrier); /* all have written */
    }
    return NULL;
}

/*  Eight threads take slices while buffers overflow; two frames stay in flight, and every byte is
    there when a frame is complete. */
static void test_ring_threads(void** state) {
    static Crowd crowd;
    Rig* rig = upload_rig(0);
    pthread_t threads[THREADS];
    Member members[THREADS];
    uint32_t frame, i, k;
    (void)state;
    crowd.ring = make_ring(rig, 1024, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    assert_int_equal(pthread_barrier_init(&crowd.barrier, NULL, THREADS + 1), 0);
    for (i = 0; i < THREADS; i++) {
        members[i].crowd = &crowd;
        members[i].id = i;
        assert_int_equal(pthread_create(&threads[i], NULL, member_runs, &members[i]), 0);
    }
    for (frame = 1; frame <= FRAMES; frame++) {
        if (frame > 2) {
            for (i = 0; i < THREADS; i++) {
                for (k = 0; k < SLICES; k++) {
                    assert_true(crowd.slices[(frame - 2) % 3][i][k].slice.size != 0);
                    assert_pattern(&crowd.slices[(frame - 2) % 3][i][k]);
                }
            }
        }
        assert_int_equal(sxvkBeginFrameRing(crowd.ring, frame), VK_SUCCESS);
        (void)pthread_barrier_wait(&crowd.barrier);
        if (frame > 2) { /* while the others allocate */
            assert_int_equal(sxvkCompleteFrameRing(crowd.ring, frame - 2), VK_SUCCESS);
            (void)ring_statistics(crowd.ring);
        }
        (void)pthread_barrier_wait(&crowd.barrier);
        assert_true(sxvki_ring_is_valid(crowd.ring));
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    (void)pthread_barrier_destroy(&crowd.barrier);
    assert_true(ring_statistics(crowd.ring).spillCount > 2);
    assert_int_equal(ring_statistics(crowd.ring).bufferCount, 1);
    sxvkDestroyFrameRing(rig->allocator, crowd.ring);
    rig_destroy(rig);
}

/*  Threads that take slices whenever they like, while values begin and end and buffers come, grow,
    shrink and go. A thread says which value was open before it took its slice; nothing from that
    one on is completed before it has looked at its bytes again. */
typedef struct Wild {
    SxvkFrameRing ring;
    uint64_t begun;
    uint64_t oldest[THREADS]; /* UINT64_MAX: holds nothing */
    uint32_t running;
} Wild;

typedef struct WildMember {
    Wild* wild;
    uint32_t id;
    uint32_t failures;
} WildMember;

static void* wild_runs(void* pMember) {
    WildMember* member = (WildMember*)pMember;
    Wild* wild = member->wild;
    uint64_t seed = 1000 + member->id;
    uint32_t i;
    for (i = 0; i < 4000; i++) {
        VkDeviceSize size = testing_log_uniform(&seed, 16, i / 500 % 2 != 0 ? 64 : 4000);
        unsigned char pattern = (unsigned char)testing_random(&seed);
        SxvkBufferSlice slice;
        const unsigned char* bytes;
        VkDeviceSize k;
        __atomic_store_n(&wild->oldest[member->id], __atomic_load_n(&wild->begun, __ATOMIC_SEQ_CST),
                         __ATOMIC_SEQ_CST);
        if (sxvkAllocateFromFrameRing(wild->ring, size, 0, &slice) != VK_SUCCESS) {
            member->failures++;
            break;
        }
        memset(slice.pMappedData, pattern, (size_t)size);
        sxvki_spin_pause(i % 50 == 0 ? 64 : 0);
        bytes = (const unsigned char*)slice.pMappedData;
        for (k = 0; k < size; k++) {
            member->failures += bytes[k] != pattern;
        }
        __atomic_store_n(&wild->oldest[member->id], UINT64_MAX, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&wild->oldest[member->id], UINT64_MAX, __ATOMIC_SEQ_CST);
    (void)__atomic_sub_fetch(&wild->running, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void test_ring_wild_threads(void** state) {
    Rig* rig = upload_rig(0);
    pthread_t threads[THREADS];
    WildMember members[THREADS];
    Wild wild;
    uint32_t i;
    (void)state;
    wild.ring = make_ring(rig, 1024, VK_BUFFER_USAGE_INDEX_BUFFER_BIT);
    wild.begun = 1;
    wild.running = THREADS;
    assert_int_equal(sxvkBeginFrameRing(wild.ring, wild.begun), VK_SUCCESS);
    for (i = 0; i < THREADS; i++) {
        wild.oldest[i] = UINT64_MAX;
    }
    for (i = 0; i < THREADS; i++) {
        members[i].wild = &wild;
        members[i].id = i;
        members[i].failures = 0;
        assert_int_equal(pthread_create(&threads[i], NULL, wild_runs, &members[i]), 0);
    }
    while (__atomic_load_n(&wild.running, __ATOMIC_SEQ_CST) != 0) {
        uint64_t done = wild.begun;
        assert_int_equal(sxvkBeginFrameRing(wild.ring, wild.begun + 1), VK_SUCCESS);
        __atomic_store_n(&wild.begun, wild.begun + 1, __ATOMIC_SEQ_CST);
        for (i = 0; i < THREADS; i++) {
            uint64_t oldest = __atomic_load_n(&wild.oldest[i], __ATOMIC_SEQ_CST);
            done = oldest <= done ? oldest - 1 : done;
        }
        assert_int_equal(sxvkCompleteFrameRing(wild.ring, done), VK_SUCCESS);
        sxvki_spin_pause(64);
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(members[i].failures, 0);
    }
    assert_true(sxvki_ring_is_valid(wild.ring));
    assert_true(ring_statistics(wild.ring).spillCount > 0);
    sxvkDestroyFrameRing(rig->allocator, wild.ring);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ smart buffers */

static SxvkSmartBuffer make_smart(Rig* rig, SxvkFrameRing ring, SxvkSmartBufferAccess access,
                                  VkBufferUsageFlags usage, VkDeviceSize size) {
    SxvkSmartBufferCreateInfo info = {
        .size = size, .usage = usage, .access = access, .ring = ring, .pName = "smart"};
    SxvkSmartBuffer buffer;
    assert_int_equal(sxvkCreateSmartBuffer(rig->allocator, &info, &buffer), VK_SUCCESS);
    return buffer;
}

static SxvkSmartBufferInfo smart_info(SxvkSmartBuffer buffer) {
    SxvkSmartBufferInfo info;
    sxvkGetSmartBufferInfo(buffer, &info);
    return info;
}

static VkMemoryPropertyFlags smart_memory(Rig* rig, SxvkSmartBuffer buffer) {
    SxvkAllocationInfo info;
    VkMemoryPropertyFlags flags;
    sxvkGetAllocationInfo(rig->allocator, smart_info(buffer).slice.allocation, &info);
    sxvkGetMemoryTypeProperties(rig->allocator, info.memoryType, &flags);
    return flags;
}

/*  What the device sees in a slice: copied into a READBACK buffer and read. */
static void assert_device_sees(Rig* rig, SxvkSmartBuffer back, const SxvkBufferSlice* slice,
                               VkDeviceSize offset, const void* expected, VkDeviceSize size) {
    unsigned char bytes[4096];
    VkCommandBuffer commands = sim_command_buffer(rig->sim);
    VkBufferCopy region = {.srcOffset = slice->offset + offset, .size = size};
    assert_true(size <= sizeof bytes);
    rig->allocator->device.vk.fn.vkCmdCopyBuffer(commands, slice->buffer,
                                                 smart_info(back).slice.buffer, 1, &region);
    assert_int_equal(sxvkRecordSmartBufferRead(back, commands, 0, size), VK_SUCCESS);
    assert_int_equal(sxvkReadSmartBuffer(back, 0, size, bytes), VK_SUCCESS);
    assert_memory_equal(bytes, expected, (size_t)size);
}

/*  One path of the caller's. What is written is what the device sees, wherever the memory is. */
static void smart_path(Rig* rig, SxvkFrameRing ring, SxvkSmartBufferAccess access,
                       VkBufferUsageFlags usage, SxvkSmartBuffer back, uint64_t* frame) {
    enum { SIZE = 3000 };
    VkCommandBuffer commands = sim_command_buffer(rig->sim);
    SxvkSmartBuffer buffer = make_smart(rig, ring, access, usage, SIZE);
    unsigned char bytes[SIZE];
    SxvkSmartBufferWrite write;
    SxvkSmartBufferInfo info;
    uint32_t i, round;
    for (round = 0; round < 4; round++) {
        for (i = 0; i < SIZE; i++) {
            bytes[i] = (unsigned char)(i * 7 + round);
        }
        assert_int_equal(sxvkBeginFrameRing(ring, ++*frame), VK_SUCCESS);
        assert_int_equal(sxvkWriteSmartBuffer(buffer, commands, 0, 1000, bytes), VK_SUCCESS);
        assert_int_equal(sxvkPrepareSmartBufferWrite(buffer, 1000, SIZE - 1000, &write),
                         VK_SUCCESS);
        assert_int_equal(write.size, SIZE - 1000);
        memcpy(write.pData, bytes + 1000, SIZE - 1000);
        assert_int_equal(sxvkRecordSmartBufferWrite(buffer, commands, &write), VK_SUCCESS);
        info = smart_info(buffer);
        assert_device_sees(rig, back, &info.slice, 0, bytes, SIZE);
        if (*frame > 2) {
            assert_int_equal(sxvkCompleteFrameRing(ring, *frame - 2), VK_SUCCESS);
        }
    }
    if (info.isStaged) {
        assert_int_equal(access == SXVK_SMART_BUFFER_ACCESS_DYNAMIC, 0);
    } else {
        assert_non_null(info.slice.pMappedData);
        assert_true((smart_memory(rig, buffer) & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0);
    }
    sxvkDestroySmartBuffer(rig->allocator, buffer);
}

static void test_smart_on_every_gpu(void** state) {
    SimProfile* profiles;
    uint32_t count, i, access, staged = 0;
    (void)state;
    assert_true(sim_load_profiles(TESTING_PROFILES, &profiles, &count));
    for (i = 0; i < count; i++) {
        RigOptions options = rig_options();
        bool integrated = profiles[i].deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU ||
                          profiles[i].deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
        SxvkFrameRing ring;
        SxvkSmartBuffer back, shaded, fixed;
        uint64_t frame = 0;
        Rig* rig;
        options.profile = &profiles[i];
        options.sim.backing = true;
        rig = rig_create(&options);
        ring = make_ring(rig, 0, 0);
        back = make_smart(rig, ring, SXVK_SMART_BUFFER_ACCESS_DEFAULT,
                          VK_BUFFER_USAGE_TRANSFER_DST_BIT, 4096);
        assert_int_equal(smart_info(back).access, SXVK_SMART_BUFFER_ACCESS_READBACK);
        assert_false(smart_info(back).isStaged);
        for (access = SXVK_SMART_BUFFER_ACCESS_STATIC; access < SXVK_SMART_BUFFER_ACCESS_READBACK;
             access++) {
            smart_path(rig, ring, (SxvkSmartBufferAccess)access,
                       VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT, back,
                       &frame);
        }
        shaded =
            make_smart(rig, ring, SXVK_SMART_BUFFER_ACCESS_READBACK,
                       VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT, 4096);
        fixed = make_smart(rig, ring, SXVK_SMART_BUFFER_ACCESS_STATIC,
                           VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, 4096);
        if (integrated) {
            assert_false(smart_info(shaded).isStaged);
            assert_false(smart_info(fixed).isStaged);
        } else if (smart_info(fixed).isStaged) {
            staged++;
            assert_true((smart_memory(rig, fixed) & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) == 0);
        } else {
            assert_true((smart_memory(rig, fixed) & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0);
        }
        { /* read back what the device wrote, through the shadow where there is one */
            static const unsigned char bytes[4] = {1, 2, 3, 4};
            SxvkBufferSlice source;
            assert_int_equal(sxvkBeginFrameRing(ring, ++frame), VK_SUCCESS);
            source = take(ring, 4);
            memcpy(source.pMappedData, bytes, 4);
            assert_device_sees(rig, shaded, &source, 0, bytes, 4);
        }
        sxvkDestroySmartBuffer(rig->allocator, fixed);
        sxvkDestroySmartBuffer(rig->allocator, shaded);
        sxvkDestroySmartBuffer(rig->allocator, back);
        sxvkDestroyFrameRing(rig->allocator, ring);
        rig_destroy(rig);
    }
    assert_true(staged > 0 && staged < count);
    sim_free_profiles(profiles);
}

/*  Which memory, and how many calls, where the GPU has memory of its own and a small BAR. */
static void test_smart_records(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 0, 0);
    VkCommandBuffer commands = sim_command_buffer(rig->sim);
    SxvkSmartBufferCreateInfo bare = {.flags = SXVK_SMART_BUFFER_CREATE_NO_BARRIERS_BIT,
                                      .size = 64,
                                      .usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT,
                                      .access = SXVK_SMART_BUFFER_ACCESS_STREAMING,
                                      .ring = ring};
    const VkBufferUsageFlags vertices = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT;
    static const struct {
        SxvkSmartBufferAccess access;
        uint32_t type, copies, barriers;
    } rows[] = {
        {SXVK_SMART_BUFFER_ACCESS_STATIC, LOCAL, 1, 1},
        {SXVK_SMART_BUFFER_ACCESS_STREAMING, LOCAL, 1, 2},
        {SXVK_SMART_BUFFER_ACCESS_DYNAMIC, BAR, 0, 0},
        {SXVK_SMART_BUFFER_ACCESS_READBACK, LOCAL, 1, 2},
    };
    SxvkSmartBuffer buffer;
    SxvkAllocationInfo info;
    char bytes[64] = "abc";
    size_t i;
    (void)state;
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buffer = make_smart(rig, ring, rows[i].access, vertices, 64);
        sim_reset_calls(rig->sim);
        if (rows[i].access == SXVK_SMART_BUFFER_ACCESS_READBACK) {
            assert_int_equal(sxvkRecordSmartBufferRead(buffer, commands, 0, 64), VK_SUCCESS);
        } else {
            assert_int_equal(sxvkWriteSmartBuffer(buffer, commands, 0, 64, bytes), VK_SUCCESS);
        }
        assert_int_equal(sim_calls(rig->sim, SIM_CALL_CMD_COPY_BUFFER), rows[i].copies);
        assert_int_equal(sim_calls(rig->sim, SIM_CALL_CMD_PIPELINE_BARRIER), rows[i].barriers);
        sxvkGetAllocationInfo(rig->allocator, smart_info(buffer).slice.allocation, &info);
        assert_int_equal(info.memoryType, rows[i].type);
        sxvkDestroySmartBuffer(rig->allocator, buffer);
    }
    assert_int_equal(sxvkCreateSmartBuffer(rig->allocator, &bare, &buffer), VK_SUCCESS);
    sim_reset_calls(rig->sim);
    assert_int_equal(sxvkWriteSmartBuffer(buffer, commands, 60, 4, bytes), VK_SUCCESS);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_CMD_COPY_BUFFER), 1);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_CMD_PIPELINE_BARRIER), 0);
    sxvkDestroySmartBuffer(rig->allocator, buffer);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

/*  Each frame has a copy of its own; a fourth frame must wait for the first. */
static void test_smart_dynamic(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 0, 0);
    SxvkSmartBuffer buffer = make_smart(rig, ring, SXVK_SMART_BUFFER_ACCESS_DEFAULT,
                                        VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT, 100);
    VkDeviceSize offsets[4];
    uint32_t data[4] = {0};
    uint64_t frame;
    (void)state;
    assert_int_equal(smart_info(buffer).access, SXVK_SMART_BUFFER_ACCESS_DYNAMIC);
    assert_int_equal(sxvkWriteSmartBuffer(buffer, NULL, 0, 4, data),
                     VK_ERROR_VALIDATION_FAILED_EXT); /* no value is open */
    rig_expect(rig, SXVK_MESSAGE_BAD_FRAME_VALUE, 1);
    for (frame = 1; frame <= 3; frame++) {
        assert_int_equal(sxvkBeginFrameRing(ring, frame), VK_SUCCESS);
        data[0] = (uint32_t)frame;
        assert_int_equal(sxvkWriteSmartBuffer(buffer, NULL, 0, 4, data), VK_SUCCESS);
        assert_int_equal(sxvkWriteSmartBuffer(buffer, NULL, 96, 4, data), VK_SUCCESS);
        offsets[frame] = smart_info(buffer).slice.offset;
        assert_int_equal(offsets[frame] % 256, 0);
        assert_int_equal(smart_info(buffer).slice.size, 100);
    }
    assert_true(offsets[1] != offsets[2] && offsets[2] != offsets[3] && offsets[1] != offsets[3]);
    assert_int_equal(sxvkBeginFrameRing(ring, 4), VK_SUCCESS);
    assert_int_equal(sxvkWriteSmartBuffer(buffer, NULL, 0, 4, data),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_BAD_FRAME_VALUE, 1);
    assert_int_equal(smart_info(buffer).slice.offset, offsets[3]);
    assert_int_equal(sxvkCompleteFrameRing(ring, 1), VK_SUCCESS);
    assert_int_equal(sxvkWriteSmartBuffer(buffer, NULL, 0, 4, data), VK_SUCCESS);
    assert_int_equal(smart_info(buffer).slice.offset, offsets[1]);
    sxvkDestroySmartBuffer(rig->allocator, buffer);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

/*  Memory that is not coherent is flushed and invalidated. */
static void test_smart_not_coherent(void** state) {
    SimProfile profile = sim_profile_discrete();
    RigOptions options = rig_options();
    SxvkFrameRing ring;
    SxvkSmartBuffer buffer;
    char bytes[10] = "not co";
    Rig* rig;
    (void)state;
    profile.deviceType = VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;
    profile.memory.memoryTypes[CACHED].propertyFlags &=
        ~(VkFlags)VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    profile.memory.memoryTypes[BAR].propertyFlags &= ~(VkFlags)VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    options.profile = &profile;
    options.sim.backing = true;
    rig = rig_create(&options);
    ring = make_ring(rig, 0, 0);
    buffer = make_smart(rig, ring, SXVK_SMART_BUFFER_ACCESS_STATIC,
                        VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, 100);
    assert_false(smart_info(buffer).isStaged);
    assert_int_equal(sxvkWriteSmartBuffer(buffer, sim_command_buffer(rig->sim), 50, 10, bytes),
                     VK_ERROR_VALIDATION_FAILED_EXT); /* as where a ring must give staging */
    rig_expect(rig, SXVK_MESSAGE_BAD_FRAME_VALUE, 1);
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    assert_int_equal(sxvkWriteSmartBuffer(buffer, sim_command_buffer(rig->sim), 50, 10, bytes),
                     VK_SUCCESS);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_FLUSH_MAPPED_MEMORY_RANGES), 1);
    sxvkDestroySmartBuffer(rig->allocator, buffer);
    buffer = make_smart(rig, ring, SXVK_SMART_BUFFER_ACCESS_READBACK,
                        VK_BUFFER_USAGE_TRANSFER_DST_BIT, 100);
    assert_int_equal(sxvkReadSmartBuffer(buffer, 0, 10, bytes), VK_SUCCESS);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_INVALIDATE_MAPPED_MEMORY_RANGES), 1);
    sxvkDestroySmartBuffer(rig->allocator, buffer);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

/*  A write belongs to the buffer that prepared it, and to a value that is not complete: else the copy
    would leave the buffer, come from nowhere, or from memory that is another slice by now. */
static void test_smart_foreign_writes(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 4 * KIB, 0);
    VkCommandBuffer commands = sim_command_buffer(rig->sim);
    const VkBufferUsageFlags vertices = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT;
    SxvkSmartBuffer large =
        make_smart(rig, ring, SXVK_SMART_BUFFER_ACCESS_STREAMING, vertices, 4 * KIB);
    SxvkSmartBuffer small = make_smart(rig, ring, SXVK_SMART_BUFFER_ACCESS_STREAMING, vertices, 64);
    SxvkSmartBuffer direct = make_smart(rig, ring, SXVK_SMART_BUFFER_ACCESS_DYNAMIC, vertices, 64);
    SxvkSmartBufferWrite write, direct_write, none = {0};
    SxvkBufferSlice slice;
    (void)state;
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    assert_int_equal(sxvkPrepareSmartBufferWrite(large, 2048, 1024, &write), VK_SUCCESS);
    assert_int_equal(sxvkPrepareSmartBufferWrite(direct, 0, 64, &direct_write), VK_SUCCESS);
#define REFUSED(buffer, pWrite, message)                                                           \
    assert_int_equal(sxvkRecordSmartBufferWrite(buffer, commands, pWrite),                         \
                     VK_ERROR_VALIDATION_FAILED_EXT);                                              \
    rig_expect(rig, message, 1)
    REFUSED(small, &write, SXVK_MESSAGE_BAD_STRUCT);
    REFUSED(small, &direct_write, SXVK_MESSAGE_BAD_STRUCT);
    REFUSED(direct, &write, SXVK_MESSAGE_BAD_STRUCT);
    REFUSED(large, &none, SXVK_MESSAGE_BAD_STRUCT);
    assert_int_equal(sxvkBeginFrameRing(ring, 2), VK_SUCCESS); /* value 1 is in flight: harmless */
    assert_int_equal(sxvkRecordSmartBufferWrite(large, commands, &write), VK_SUCCESS);
    assert_int_equal(sxvkCompleteFrameRing(ring, 2), VK_SUCCESS);
    assert_int_equal(sxvkBeginFrameRing(ring, 3), VK_SUCCESS);
    slice = take(ring, 1024);
    assert_ptr_equal(slice.pMappedData, write.pData);
    sim_reset_calls(rig->sim);
    REFUSED(large, &write, SXVK_MESSAGE_BAD_FRAME_VALUE);
    REFUSED(direct, &direct_write, SXVK_MESSAGE_BAD_FRAME_VALUE);
    assert_int_equal(rig_calls(rig), 0);
    sxvkDestroySmartBuffer(rig->allocator, direct);
    sxvkDestroySmartBuffer(rig->allocator, small);
    sxvkDestroySmartBuffer(rig->allocator, large);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
#undef REFUSED
}

static VkPipelineStageFlags last_stages; /* that the last barrier makes wait */

static VKAPI_ATTR void VKAPI_CALL
note_barrier(VkCommandBuffer commandBuffer, VkPipelineStageFlags srcStageMask,
             VkPipelineStageFlags dstStageMask, VkDependencyFlags dependencyFlags,
             uint32_t memoryBarrierCount, const VkMemoryBarrier* pMemoryBarriers,
             uint32_t bufferMemoryBarrierCount, const VkBufferMemoryBarrier* pBufferMemoryBarriers,
             uint32_t imageMemoryBarrierCount, const VkImageMemoryBarrier* pImageMemoryBarriers) {
    (void)commandBuffer, (void)srcStageMask, (void)dependencyFlags, (void)memoryBarrierCount;
    (void)pMemoryBarriers, (void)bufferMemoryBarrierCount, (void)pBufferMemoryBarriers;
    (void)imageMemoryBarrierCount, (void)pImageMemoryBarriers;
    last_stages = dstStageMask;
}

/*  Where reading back is a copy on the device, later commands of any stage wait for it: they may
    write where it reads. */
static void test_smart_read_before_write(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 0, 0);
    SxvkSmartBuffer buffer = make_smart(rig, ring, SXVK_SMART_BUFFER_ACCESS_READBACK,
                                        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, 64);
    (void)state;
    rig->allocator->device.vk.fn.vkCmdPipelineBarrier = note_barrier;
    assert_true(smart_info(buffer).isStaged);
    assert_int_equal(sxvkRecordSmartBufferRead(buffer, sim_command_buffer(rig->sim), 0, 64),
                     VK_SUCCESS);
    assert_int_equal(last_stages, VK_PIPELINE_STAGE_HOST_BIT | VK_PIPELINE_STAGE_ALL_COMMANDS_BIT);
    sxvkDestroySmartBuffer(rig->allocator, buffer);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

static void test_smart_bad_input(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 0, 0);
    VkCommandBuffer commands = sim_command_buffer(rig->sim);
    const SxvkSmartBufferCreateInfo good = {.size = 100,
                                            .usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT,
                                            .access = SXVK_SMART_BUFFER_ACCESS_STATIC,
                                            .ring = ring};
    SxvkSmartBufferCreateInfo info = good;
    SxvkPoolCreateInfo poolInfo = {.memoryTypeIndex = LOCAL};
    SxvkSmartBuffer buffer = (SxvkSmartBuffer)&buffer;
    SxvkSmartBufferWrite write;
    char bytes[100] = {0};
    (void)state;
#define REFUSED(message)                                                                           \
    assert_int_equal(sxvkCreateSmartBuffer(rig->allocator, &info, &buffer),                        \
                     VK_ERROR_VALIDATION_FAILED_EXT);                                              \
    assert_null(buffer);                                                                           \
    rig_expect(rig, message, 1);                                                                   \
    info = good
#define FAILED(call, message)                                                                      \
    assert_int_equal(call, VK_ERROR_VALIDATION_FAILED_EXT);                                        \
    rig_expect(rig, message, 1)
    info.flags = 2;
    REFUSED(SXVK_MESSAGE_UNKNOWN_FLAGS);
    info.size = 0;
    REFUSED(SXVK_MESSAGE_BAD_SIZE);
    info.access = (SxvkSmartBufferAccess)5;
    REFUSED(SXVK_MESSAGE_BAD_ENUM);
    info.ring = NULL;
    REFUSED(SXVK_MESSAGE_NULL_ARGUMENT);
    info.framesInFlight = 9;
    REFUSED(SXVK_MESSAGE_BAD_SIZE);
    info.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    REFUSED(SXVK_MESSAGE_MISSING_FEATURE);
    assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &info.pool), VK_SUCCESS);
    info.access = SXVK_SMART_BUFFER_ACCESS_DYNAMIC;
    {
        SxvkPool pool = info.pool;
        REFUSED(SXVK_MESSAGE_BAD_STRUCT);
        sxvkDestroyPool(rig->allocator, pool);
    }
    rig->allocator->device.vk.fn.vkCmdPipelineBarrier = NULL;
    REFUSED(SXVK_MESSAGE_MISSING_FUNCTION);

    rig->allocator->device.vk.fn.vkCmdPipelineBarrier =
        (PFN_vkCmdPipelineBarrier)sim_get_device_proc_addr()(sim_device(rig->sim),
                                                             "vkCmdPipelineBarrier");
    assert_int_equal(sxvkCreateSmartBuffer(rig->allocator, &info, &buffer), VK_SUCCESS);
    FAILED(sxvkWriteSmartBuffer(buffer, commands, 0, 100, bytes), SXVK_MESSAGE_BAD_FRAME_VALUE);
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    FAILED(sxvkWriteSmartBuffer(buffer, commands, 1, 100, bytes), SXVK_MESSAGE_BAD_RANGE);
    FAILED(sxvkWriteSmartBuffer(buffer, commands, 101, 1, bytes), SXVK_MESSAGE_BAD_RANGE);
    FAILED(sxvkWriteSmartBuffer(buffer, commands, 0, 0, bytes), SXVK_MESSAGE_BAD_SIZE);
    FAILED(sxvkWriteSmartBuffer(buffer, commands, 0, 1, NULL), SXVK_MESSAGE_NULL_ARGUMENT);
    FAILED(sxvkWriteSmartBuffer(buffer, NULL, 0, 1, bytes), SXVK_MESSAGE_NULL_ARGUMENT);
    FAILED(sxvkReadSmartBuffer(buffer, 0, 1, bytes), SXVK_MESSAGE_BAD_STRUCT);
    FAILED(sxvkRecordSmartBufferRead(buffer, commands, 0, 1), SXVK_MESSAGE_BAD_STRUCT);
    (void)sxvkPrepareSmartBufferWrite(buffer, 101, 1, &write);
    assert_non_null(strstr(rig->messages.text, "dstOffset"));
    messages_clear(&rig->messages);
    FAILED(sxvkPrepareSmartBufferWrite(buffer, 0, 101, &write), SXVK_MESSAGE_BAD_RANGE);
    FAILED(sxvkRecordSmartBufferWrite(buffer, commands, &write), SXVK_MESSAGE_BAD_STRUCT);
    assert_int_equal(sxvkWriteSmartBuffer(NULL, commands, 0, 1, bytes),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    sxvkDestroySmartBuffer(rig->allocator, buffer);
    sxvkDestroySmartBuffer(rig->allocator, NULL);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
#undef REFUSED
#undef FAILED
}

/* ------------------------------------------------------------------ buffer arenas */

static SxvkBufferArena make_arena(Rig* rig, VkBufferUsageFlags usage, VkDeviceSize size,
                                  SxvkAllocationCreateFlags flags) {
    SxvkBufferArenaCreateInfo info = {
        .usage = usage, .bufferSize = size, .allocationFlags = flags, .pName = "arena"};
    SxvkBufferArena arena;
    assert_int_equal(sxvkCreateBufferArena(rig->allocator, &info, &arena), VK_SUCCESS);
    return arena;
}

static SxvkStatistics arena_statistics(SxvkBufferArena arena) {
    SxvkStatistics stats;
    sxvkGetBufferArenaStatistics(arena, &stats);
    return stats;
}

static void test_arena_basics(void** state) {
    Rig* rig = upload_rig(SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT);
    SxvkBufferArena arena = make_arena(
        rig, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT,
        64 * KIB,
        SXVK_ALLOCATION_CREATE_MAPPED_BIT |
            SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT);
    SxvkArenaAllocation a, b, c;
    SxvkBufferSlice sa, sb, sc, again;
    static const SxvkBufferSlice zero;
    (void)state;
    assert_int_equal(sim_live_resource_count(rig->sim), 0);
    assert_int_equal(sxvkAllocateFromBufferArena(arena, 100, 0, &a, &sa), VK_SUCCESS);
    assert_int_equal(sxvkAllocateFromBufferArena(arena, 300, 0, &b, &sb), VK_SUCCESS);
    assert_int_equal(sxvkAllocateFromBufferArena(arena, 200 * KIB, 4096, &c, &sc), VK_SUCCESS);
    assert_ptr_equal(sa.buffer, sb.buffer);
    assert_ptr_not_equal(sa.buffer, sc.buffer); /* larger than a buffer: one of its own */
    assert_int_equal(sa.size, 100);
    assert_int_equal(sb.offset % 256, 0);
    assert_int_equal(sb.deviceAddress - sa.deviceAddress, sb.offset - sa.offset);
    memset(sc.pMappedData, 1, 200 * KIB);
    sxvkGetBufferArenaSlice(arena, b, &again);
    assert_int_equal(again.size, 512); /* rounded up to 256 */
    again.size = 300;
    assert_memory_equal(&again, &sb, sizeof sb);
    assert_int_equal(arena_statistics(arena).blockCount, 2);
    assert_int_equal(arena_statistics(arena).blockBytes, 264 * KIB);
    assert_int_equal(arena_statistics(arena).allocationBytes, 256 + 512 + 200 * KIB);
    assert_true(sxvki_arena_is_valid(arena));

    sxvkFreeToBufferArena(arena, b);
    sxvkFreeToBufferArena(arena, b);
    rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
    sxvkGetBufferArenaSlice(arena, b, &again);
    assert_memory_equal(&again, &zero, sizeof zero);
    rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
    assert_int_equal(arena_statistics(arena).allocationCount, 2);
    sxvkFreeToBufferArena(arena, VK_NULL_HANDLE);

    sxvkFreeToBufferArena(arena, c); /* kept, as the first that is empty */
    assert_int_equal(sim_live_resource_count(rig->sim), 2);
    sxvkFreeToBufferArena(arena, a);
    assert_int_equal(sim_live_resource_count(rig->sim), 1);
    assert_int_equal(arena_statistics(arena).blockBytes, 200 * KIB);
    assert_true(sxvki_arena_is_valid(arena));
    sxvkDestroyBufferArena(rig->allocator, arena);
    rig_destroy(rig);
}

typedef struct ArenaSlice {
    SxvkArenaAllocation allocation;
    ModelSlice model;
} ArenaSlice;

/*  Random slices keep their bytes; the arena ends with one empty buffer. */
static void test_arena_model(void** state) {
    enum { MOST = 600 };
    static ArenaSlice live[MOST];
    Rig* rig = upload_rig(0);
    SxvkBufferArena arena = make_arena(
        rig, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_INDEX_BUFFER_BIT, 0,
        SXVK_ALLOCATION_CREATE_MAPPED_BIT | SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT);
    uint64_t seed = 7;
    uint32_t step, i, buffers = 0;
    (void)state;
    memset(live, 0, sizeof live);
    for (step = 0; step < 20000; step++) {
        ArenaSlice* s = &live[testing_below(&seed, step % 5000 < 3500 ? MOST : MOST / 8)];
        if (s->allocation != NULL) {
            assert_pattern(&s->model);
            sxvkFreeToBufferArena(arena, s->allocation);
            s->allocation = NULL;
        } else {
            VkDeviceSize size = testing_log_uniform(&seed, 1, 20 * KIB);
            VkDeviceSize alignment =
                testing_below(&seed, 4) == 0 ? (VkDeviceSize)1 << testing_below(&seed, 13) : 0;
            assert_int_equal(sxvkAllocateFromBufferArena(arena, size, alignment, &s->allocation,
                                                         &s->model.slice),
                             VK_SUCCESS);
            assert_int_equal(s->model.slice.size, size);
            assert_true(alignment == 0 || s->model.slice.offset % alignment == 0);
            assert_int_equal(s->model.slice.offset % 64, 0); /* the atom, as it is mapped */
            s->model.pattern = (unsigned char)testing_below(&seed, 256);
            memset(s->model.slice.pMappedData, s->model.pattern, (size_t)size);
        }
        if (arena_statistics(arena).blockCount > buffers) {
            buffers = arena_statistics(arena).blockCount;
        }
        if (step % 500 == 0) {
            assert_true(sxvki_arena_is_valid(arena));
        }
    }
    assert_true(buffers > 2 && buffers < 40);
    for (i = 0; i < MOST; i++) {
        if (live[i].allocation != NULL) {
            assert_pattern(&live[i].model);
            sxvkFreeToBufferArena(arena, live[i].allocation);
        }
    }
    assert_true(sxvki_arena_is_valid(arena));
    assert_int_equal(arena_statistics(arena).blockCount, 1);
    assert_int_equal(arena_statistics(arena).allocationBytes, 0);
    sxvkDestroyBufferArena(rig->allocator, arena);
    rig_destroy(rig);
}

/*  100,000 slices: few buffers, and no call of the driver but for those. */
static void test_arena_many(void** state) {
    enum { COUNT = 100000 };
    static SxvkArenaAllocation slices[COUNT];
    Rig* rig = rig_create(NULL);
    SxvkBufferArena arena = make_arena(rig, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, 0, 0);
    SxvkStatistics stats;
    uint64_t seed = 3;
    uint32_t i;
    (void)state;
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(sxvkAllocateFromBufferArena(arena, testing_log_uniform(&seed, 64, 4096), 0,
                                                     &slices[i], NULL),
                         VK_SUCCESS);
    }
    stats = arena_statistics(arena);
    assert_int_equal(stats.allocationCount, COUNT);
    assert_true(stats.blockCount < 20);
    assert_true(stats.blockBytes < stats.allocationBytes * 3 / 2);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_CREATE_BUFFER), stats.blockCount);
    for (i = 0; i < COUNT; i++) {
        sxvkFreeToBufferArena(arena, slices[(uint64_t)i * 7919 % COUNT]);
    }
    assert_int_equal(arena_statistics(arena).blockCount, 1);
    sxvkDestroyBufferArena(rig->allocator, arena);
    rig_destroy(rig);
}

/*  What a fresh buffer was made for lies at its start, whatever the bins would find first: here a
    range of an older buffer, as large as the fresh one's but aligned badly. */
static void test_arena_aligned(void** state) {
    Rig* rig = upload_rig(0);
    SxvkBufferArena arena = make_arena(rig, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, 1025 * KIB, 0);
    SxvkArenaAllocation first, aligned[3];
    SxvkBufferSlice slice;
    uint32_t i;
    (void)state;
    assert_int_equal(sxvkAllocateFromBufferArena(arena, 16, 0, &first, NULL), VK_SUCCESS);
    for (i = 0; i < 3; i++) {
        assert_int_equal(
            sxvkAllocateFromBufferArena(arena, 600 * KIB, 512 * KIB, &aligned[i], &slice),
            VK_SUCCESS);
        assert_int_equal(slice.offset, 0);
        assert_int_equal(sim_live_resource_count(rig->sim), i + 2);
        assert_true(sxvki_arena_is_valid(arena));
    }
    for (i = 0; i < 3; i++) {
        sxvkFreeToBufferArena(arena, aligned[i]);
    }
    sxvkFreeToBufferArena(arena, first);
    assert_int_equal(sim_live_resource_count(rig->sim), 1);
    sxvkDestroyBufferArena(rig->allocator, arena);
    rig_destroy(rig);
}

/*  An empty buffer serves all that is not larger, also where the bins do not look: in its own bin
    behind ranges that are a little too small. */
static void test_arena_empty_serves(void** state) {
    enum { COUNT = 12 };
    Rig* rig = upload_rig(0);
    SxvkBufferArena arena = make_arena(rig, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, 1040 * KIB, 0);
    SxvkArenaAllocation whole, others[COUNT], small[COUNT];
    uint32_t i;
    (void)state;
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(sxvkAllocateFromBufferArena(arena, 1039 * KIB, 0, &others[i], NULL),
                         VK_SUCCESS);
        assert_int_equal(sxvkAllocateFromBufferArena(arena, 1 * KIB, 0, &small[i], NULL),
                         VK_SUCCESS);
    }
    assert_int_equal(sxvkAllocateFromBufferArena(arena, 1040 * KIB, 0, &whole, NULL), VK_SUCCESS);
    assert_int_equal(arena_statistics(arena).blockCount, 1 + COUNT);
    sxvkFreeToBufferArena(arena, whole);
    for (i = 0; i < COUNT; i++) {
        sxvkFreeToBufferArena(arena, others[i]);
    }
    assert_int_equal(sxvkAllocateFromBufferArena(arena, 1040 * KIB, 0, &whole, NULL), VK_SUCCESS);
    assert_int_equal(arena_statistics(arena).blockCount, 1 + COUNT);
    assert_true(sxvki_arena_is_valid(arena));
    for (i = 0; i < COUNT; i++) {
        sxvkFreeToBufferArena(arena, small[i]);
    }
    sxvkFreeToBufferArena(arena, whole);
    assert_int_equal(arena_statistics(arena).blockCount, 1);
    sxvkDestroyBufferArena(rig->allocator, arena);
    rig_destroy(rig);
}

/*  Slices that no two of fit into one buffer get small ones: what is used makes buffers grow. */
static void test_arena_large_alignment(void** state) {
    enum { COUNT = 20 };
    Rig* rig = upload_rig(0);
    SxvkBufferArena arena = make_arena(rig, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, 0, 0);
    SxvkArenaAllocation slices[COUNT];
    SxvkBufferSlice slice;
    uint32_t i;
    (void)state;
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(sxvkAllocateFromBufferArena(arena, 100, 16 * MIB, &slices[i], &slice),
                         VK_SUCCESS);
        assert_int_equal(slice.offset, 0);
    }
    assert_int_equal(arena_statistics(arena).blockBytes, COUNT * 256 * KIB);
    for (i = 0; i < COUNT; i++) {
        sxvkFreeToBufferArena(arena, slices[i]);
    }
    sxvkDestroyBufferArena(rig->allocator, arena);
    rig_destroy(rig);
}

/*  Where the device has no room for a whole buffer, half of one is still a multiple of the unit. */
static void test_arena_halves(void** state) {
    Rig* rig = upload_rig(0);
    SxvkBufferArena arena = make_arena(rig, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, 1000 * 16, 0);
    SxvkArenaAllocation a;
    uint32_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        sim_fail(rig->sim, SIM_CALL_CREATE_BUFFER, 1, 4, VK_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_int_equal(sxvkAllocateFromBufferArena(arena, 800, 0, &a, NULL), VK_SUCCESS);
    }
    assert_int_equal(arena_statistics(arena).blockCount, 2);
    assert_int_equal(arena_statistics(arena).blockBytes, 2 * 992);
    assert_true(sxvki_arena_is_valid(arena));
    sxvkDestroyBufferArena(rig->allocator, arena);
    rig_expect(rig, SXVK_MESSAGE_LEAKED_ALLOCATION, 1);
    rig_destroy(rig);
}

/*  What is tried on the way is nobody's business: a smaller buffer than was wished for, a ring that
    might be smaller but need not. */
static void test_silent_attempts(void** state) {
    Rig* rig = upload_rig(0);
    SxvkBufferArena arena = make_arena(rig, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, MIB, 0);
    SxvkFrameRing ring = make_ring(rig, 4 * KIB, 0);
    const SxvkAllocationCreateInfo dedicated = {.flags =
                                                    SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    SxvkArenaAllocation a;
    uint64_t frame;
    (void)state;
    arena->plan.info.flags |= dedicated.flags; /* so that memory is asked for each time */
    ring->plan.info.flags |= dedicated.flags;
    assert_true(sim_fail(rig->sim, SIM_CALL_ALLOCATE_MEMORY, 1, 4, VK_ERROR_OUT_OF_DEVICE_MEMORY));
    assert_int_equal(sxvkAllocateFromBufferArena(arena, 800, 0, &a, NULL), VK_SUCCESS);
    assert_true(arena_statistics(arena).blockBytes < MIB);
    rig_expect_silence(rig);
    sim_clear_faults(rig->sim);
    sxvkFreeToBufferArena(arena, a);
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    take(ring, 100 * KIB);
    assert_true(
        sim_fail(rig->sim, SIM_CALL_ALLOCATE_MEMORY, 1, UINT32_MAX, VK_ERROR_OUT_OF_DEVICE_MEMORY));
    for (frame = 2; frame < 600; frame++) {
        assert_int_equal(sxvkCompleteFrameRing(ring, frame - 1), VK_SUCCESS);
        assert_int_equal(sxvkBeginFrameRing(ring, frame), VK_SUCCESS);
    }
    assert_true(sim_faults_fired(rig->sim) != 0);
    sim_clear_faults(rig->sim);
    rig_expect_silence(rig);
    sxvkDestroyFrameRing(rig->allocator, ring);
    sxvkDestroyBufferArena(rig->allocator, arena);
    rig_destroy(rig);
}

/*  A pool that is full to the limit that its user has set says nothing, here as elsewhere. */
static void test_full_pool_is_silent(void** state) {
    Rig* rig = upload_rig(0);
    const SxvkPoolCreateInfo poolInfo = {
        .memoryTypeIndex = HOST, .blockSize = 64 * KIB, .maxBlockCount = 1};
    SxvkFrameRingCreateInfo info = {.size = 16 * KIB};
    SxvkFrameRing ring;
    SxvkBufferSlice slice;
    (void)state;
    assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &info.pool), VK_SUCCESS);
    assert_int_equal(sxvkCreateFrameRing(rig->allocator, &info, &ring), VK_SUCCESS);
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    take(ring, 16 * KIB);
    take(ring, 32 * KIB); /* 64 KiB do not fit, so it is 32 */
    assert_int_equal(sxvkAllocateFromFrameRing(ring, 32 * KIB, 0, &slice),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    rig_expect_silence(rig);
    sxvkDestroyFrameRing(rig->allocator, ring);
    sxvkDestroyPool(rig->allocator, info.pool);
    rig_destroy(rig);
}

/*  What another allocator made is refused, and stays as it is. */
static void test_foreign_owner(void** state) {
    Rig* rig = upload_rig(0);
    Rig* other = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 0, 0);
    SxvkSmartBuffer buffer = make_smart(rig, ring, SXVK_SMART_BUFFER_ACCESS_STATIC,
                                        VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, 64);
    SxvkBufferArena arena = make_arena(rig, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, 0, 0);
    const SxvkSmartBufferCreateInfo info = {.size = 64, .ring = ring};
    SxvkSmartBuffer none;
    (void)state;
    sxvkDestroyBufferArena(other->allocator, arena);
    rig_expect(other, SXVK_MESSAGE_BAD_STRUCT, 1);
    sxvkDestroySmartBuffer(other->allocator, buffer);
    rig_expect(other, SXVK_MESSAGE_BAD_STRUCT, 1);
    sxvkDestroyFrameRing(other->allocator, ring);
    rig_expect(other, SXVK_MESSAGE_BAD_STRUCT, 1);
    assert_int_equal(sxvkCreateSmartBuffer(other->allocator, &info, &none),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(other, SXVK_MESSAGE_BAD_STRUCT, 1);
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    sxvkDestroyBufferArena(rig->allocator, arena);
    sxvkDestroySmartBuffer(rig->allocator, buffer);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(other);
    rig_destroy(rig);
}

static void test_arena_bad_input(void** state) {
    Rig* rig = upload_rig(0);
    const SxvkBufferArenaCreateInfo good = {.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT};
    SxvkBufferArenaCreateInfo info = good;
    SxvkBufferArena arena = (SxvkBufferArena)&arena;
    SxvkArenaAllocation allocation;
    SxvkBufferSlice slice;
    Messages messages; /* of the last refusal */
    (void)state;
#define REFUSED(message)                                                                           \
    assert_int_equal(sxvkCreateBufferArena(rig->allocator, &info, &arena),                         \
                     VK_ERROR_VALIDATION_FAILED_EXT);                                              \
    assert_null(arena);                                                                            \
    messages = rig->messages;                                                                      \
    rig_expect(rig, message, 1);                                                                   \
    info = good
    info.flags = 1;
    REFUSED(SXVK_MESSAGE_UNKNOWN_FLAGS);
    info.usage = 0;
    REFUSED(SXVK_MESSAGE_BAD_STRUCT);
    info.allocationFlags = SXVK_ALLOCATION_CREATE_DONT_BIND_BIT;
    REFUSED(SXVK_MESSAGE_UNKNOWN_FLAGS);
    info.allocationFlags = SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT |
                           SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT;
    REFUSED(SXVK_MESSAGE_CONFLICTING_FLAGS);
    assert_non_null(strstr(messages.text, "pCreateInfo->allocationFlags"));
    info.allocationFlags = SXVK_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT;
    REFUSED(SXVK_MESSAGE_CONFLICTING_FLAGS);
    info.memoryUsage = (SxvkMemoryUsage)3;
    REFUSED(SXVK_MESSAGE_BAD_ENUM);
    assert_non_null(strstr(messages.text, "pCreateInfo->memoryUsage"));
    info.memoryUsage = SXVK_MEMORY_USAGE_GPU_LAZILY_ALLOCATED; /* of images alone */
    REFUSED(SXVK_MESSAGE_BAD_ENUM);
    info.bufferSize = UINT64_MAX;
    REFUSED(SXVK_MESSAGE_BAD_SIZE);
    info.minAlignment = 131072;
    REFUSED(SXVK_MESSAGE_BAD_ALIGNMENT);
    assert_int_equal(sxvkCreateBufferArena(rig->allocator, &info, &arena), VK_SUCCESS);
    assert_int_equal(sxvkAllocateFromBufferArena(arena, 0, 0, &allocation, &slice),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_BAD_SIZE, 1);
    assert_int_equal(sxvkAllocateFromBufferArena(arena, 1, 24, &allocation, &slice),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_BAD_ALIGNMENT, 1);
    assert_int_equal(sxvkAllocateFromBufferArena(arena, 1, 0, NULL, &slice),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    /* A handle of another arena is foreign. */
    {
        SxvkBufferArena other = make_arena(rig, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, 0, 0);
        assert_int_equal(sxvkAllocateFromBufferArena(other, 1, 0, &allocation, NULL), VK_SUCCESS);
        sxvkFreeToBufferArena(arena, allocation);
        rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
        sxvkDestroyBufferArena(rig->allocator, other); /* takes its slice along, and says so */
        rig_expect(rig, SXVK_MESSAGE_LEAKED_ALLOCATION, 1);
    }
    sxvkDestroyBufferArena(rig->allocator, arena);
    sxvkDestroyBufferArena(rig->allocator, NULL);
    rig_destroy(rig);
#undef REFUSED
}

static void* arena_runs(void* pArena) {
    SxvkBufferArena arena = (SxvkBufferArena)pArena;
    uint64_t seed = (uint64_t)(uintptr_t)&seed;
    ArenaSlice live[40];
    uint32_t step, i;
    memset(live, 0, sizeof live);
    for (step = 0; step < 3000; step++) {
        ArenaSlice* s = &live[testing_below(&seed, 40)];
        if (s->allocation != NULL) {
            assert_pattern(&s->model);
            sxvkFreeToBufferArena(arena, s->allocation);
            s->allocation = NULL;
        } else {
            VkDeviceSize size = testing_log_uniform(&seed, 16, 4 * KIB);
            if (sxvkAllocateFromBufferArena(arena, size, 0, &s->allocation, &s->model.slice) ==
                VK_SUCCESS) {
                s->model.pattern = (unsigned char)step;
                memset(s->model.slice.pMappedData, (int)s->model.pattern, (size_t)size);
            }
        }
    }
    for (i = 0; i < 40; i++) {
        sxvkFreeToBufferArena(arena, live[i].allocation);
    }
    return NULL;
}

static void test_arena_threads(void** state) {
    Rig* rig = upload_rig(0);
    SxvkBufferArena arena = make_arena(rig, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, 16 * KIB,
                                       SXVK_ALLOCATION_CREATE_MAPPED_BIT |
                                           SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT);
    pthread_t threads[THREADS];
    uint32_t i;
    (void)state;
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, arena_runs, arena), 0);
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_true(sxvki_arena_is_valid(arena));
    assert_int_equal(arena_statistics(arena).allocationCount, 0);
    assert_int_equal(arena_statistics(arena).blockCount, 1);
    sxvkDestroyBufferArena(rig->allocator, arena);
    rig_destroy(rig);
}

/*  The checkers notice what is broken. */
static void test_checkers(void** state) {
    Rig* rig = upload_rig(0);
    SxvkFrameRing ring = make_ring(rig, 1024, 0);
    SxvkBufferArena arena = make_arena(rig, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, 0, 0);
    SxvkArenaAllocation allocation;
    (void)state;
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    take(ring, 100);
    assert_int_equal(sxvkBeginFrameRing(ring, 2), VK_SUCCESS);
    take(ring, 1024);
    assert_int_equal(sxvkBeginFrameRing(ring, 3), VK_SUCCESS);
    take(ring, 64);
    assert_true(sxvki_ring_is_valid(ring));
#define BROKEN(check, field, value)                                                                \
    do {                                                                                           \
        uint64_t kept_ = (uint64_t)(field);                                                        \
        (field) = (value);                                                                         \
        assert_false(check);                                                                       \
        (field) = kept_;                                                                           \
        assert_true(check);                                                                        \
    } while (0)
    {
        sxvki_ring_buffer* b = (sxvki_ring_buffer*)ring->current;
        BROKEN(sxvki_ring_is_valid(ring), b->tail, b->head + 16);
        BROKEN(sxvki_ring_is_valid(ring), b->mask, 7);
        BROKEN(sxvki_ring_is_valid(ring), b->head, b->head | SXVKI_RING_CLOSED);
        BROKEN(sxvki_ring_is_valid(ring), ring->ends[ring->end_first].value, 0);
        BROKEN(sxvki_ring_is_valid(ring), ring->retired->head,
               ring->retired->head & ~SXVKI_RING_CLOSED);
    }
    assert_int_equal(sxvkAllocateFromBufferArena(arena, 100, 0, &allocation, NULL), VK_SUCCESS);
    assert_true(sxvki_arena_is_valid(arena));
    BROKEN(sxvki_arena_is_valid(arena), arena->ranges.size, 5);
    BROKEN(sxvki_arena_is_valid(arena), arena->ranges.domain.bins.free_size, 5);
    sxvkFreeToBufferArena(arena, allocation);
    assert_true(sxvki_arena_is_valid(arena));
    {
        uint32_t kept = arena->empty;
        arena->empty = SXVKI_NONE;
        assert_false(sxvki_arena_is_valid(arena));
        arena->empty = kept;
    }
#undef BROKEN
    sxvkDestroyBufferArena(rig->allocator, arena);
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_goes_round),
        cmocka_unit_test(test_ring_grows_and_shrinks),
        cmocka_unit_test(test_ring_whole_size),
        cmocka_unit_test(test_ring_model),
        cmocka_unit_test(test_ring_bad_input),
        cmocka_unit_test(test_ring_out_of_memory),
        cmocka_unit_test(test_ring_large_alignment),
        cmocka_unit_test(test_ring_value_between),
        cmocka_unit_test(test_ring_names),
        cmocka_unit_test(test_ring_device_address),
        cmocka_unit_test(test_ring_on_every_gpu),
        cmocka_unit_test(test_ring_late_thread),
        cmocka_unit_test(test_ring_completed_while_growing),
        cmocka_unit_test(test_ring_threads),
        cmocka_unit_test(test_ring_wild_threads),
        cmocka_unit_test(test_smart_on_every_gpu),
        cmocka_unit_test(test_smart_records),
        cmocka_unit_test(test_smart_dynamic),
        cmocka_unit_test(test_smart_not_coherent),
        cmocka_unit_test(test_smart_foreign_writes),
        cmocka_unit_test(test_smart_read_before_write),
        cmocka_unit_test(test_smart_bad_input),
        cmocka_unit_test(test_arena_basics),
        cmocka_unit_test(test_arena_model),
        cmocka_unit_test(test_arena_many),
        cmocka_unit_test(test_arena_aligned),
        cmocka_unit_test(test_arena_empty_serves),
        cmocka_unit_test(test_arena_large_alignment),
        cmocka_unit_test(test_arena_halves),
        cmocka_unit_test(test_silent_attempts),
        cmocka_unit_test(test_full_pool_is_silent),
        cmocka_unit_test(test_foreign_owner),
        cmocka_unit_test(test_arena_bad_input),
        cmocka_unit_test(test_arena_threads),
        cmocka_unit_test(test_checkers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
