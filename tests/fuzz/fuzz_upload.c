/*  fuzz_upload.c - frame rings, smart buffers and buffer arenas against naive models.

    Each seed is a GPU of the profiles (or a plain discrete one) with small heaps, and on it some rings,
    smart buffers and arenas with random create infos. Then random begins, completions, slices, writes,
    reads and frees, wrong ones among them, while host memory and the driver fail now and then. What
    the models say:

        rings    where each slice lies, when a further buffer is made and how large it is, and every
                 statistic. Each slice has a pattern, which its last byte keeps until the value of
                 the slice is complete: the CPU looks at it, and the device by a copy
        smart    what each byte is, of each copy, and which copy is written next
        arenas   no two slices overlap, a buffer is made only where no free range surely fits and no
                 buffer is empty, its size is as promised, at most one buffer is empty; bytes in
                 relation to what was ever needed at once
        all      slices inside their buffer, aligned, mapped pointer and device address those of
                 the buffer; a failing call changes nothing; a wrong one gives one message; in the
                 end no memory of host or device is left

        fuzz_upload                               some seeds, a few seconds
        fuzz_upload --seconds 30                  smoke; 300 before a merge, 3600 before a release
        fuzz_upload --seed 7                      one seed

    What fails prints its seed.
*/
#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "testing.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEPS         3000
#define RINGS         2
#define SMARTS        4
#define ARENAS        2
#define SLICES        400 /* of a ring or an arena */
#define ENDS          32  /* values that stand apart, as sxvkCompleteFrameRing says */
#define SHRINK_TIME   256 /* values, as sxvkCreateFrameRing says */
#define RETIRED       64
#define COPIES        8
#define SMART_MOST    6000 /* bytes */
#define BUFFERS       400
#define STALE         64
#define CHECK_BYTES   65536                   /* seen by the device */
#define PATTERN_BYTES 16384                   /* at each end of a large slice */
#define MODEST        ((VkDeviceSize)4 << 20) /* what is not larger may not fail without a reason */

#define HOST_FLAGS                                                                                 \
    (SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT |                                     \
     SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT | SXVK_ALLOCATION_CREATE_MAPPED_BIT)
#define BOTH_COPIES (VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT)

/*  A VkBuffer that the library made. */
typedef struct Buffer {
    VkBuffer buffer;
    VkDeviceSize size;
    VkBufferUsageFlags usage;
    const void* owner;
    VkDeviceAddress address;
    char* data; /* of its first byte, once a slice has told */
} Buffer;

typedef struct Slice {
    SxvkBufferSlice slice;
    SxvkArenaAllocation handle; /* of an arena */
    VkDeviceSize taken;         /* bytes, rounded up */
    VkDeviceSize alignment;
    uint64_t value; /* of a ring */
    uint64_t key;   /* of the pattern */
    bool filled;
} Slice;

typedef struct End {
    uint64_t value;
    uint64_t position;
} End;

typedef struct Ring {
    SxvkFrameRing ring;
    VkBufferUsageFlags usage;
    VkDeviceSize alignment;
    VkDeviceSize least;
    bool pooled;
    uint64_t begun, completed;
    VkBuffer buffer; /* the current one */
    VkDeviceSize size;
    uint64_t head, tail; /* positions; a fresh buffer begins at 0 */
    End ends[ENDS];
    uint32_t endCount;
    End retired[RETIRED]; /* the last value, and the bytes */
    uint32_t retiredCount;
    uint64_t frameStart, frameSpilled;
    uint64_t peak, framePeak, recentPeak;
    uint32_t begins, spills;
    Slice slices[SLICES];
    uint32_t count;
} Ring;

typedef struct Smart {
    SxvkSmartBuffer buffer;
    Ring* ring;
    SxvkSmartBufferAccess access;
    VkBufferUsageFlags usage;
    VkDeviceSize size, stride;
    bool staged;
    char* base; /* of copy 0; null: not mapped */
    uint32_t copies, copy;
    uint64_t values[COPIES];
    uint8_t bytes[COPIES][SMART_MOST];
    uint8_t known[COPIES][SMART_MOST];
    uint8_t seen[SMART_MOST]; /* READBACK: by the CPU, where it is told */
    uint8_t told[SMART_MOST];
} Smart;

typedef struct Arena {
    SxvkBufferArena arena;
    SxvkBufferArenaCreateInfo info;
    VkDeviceSize unit;
    Slice slices[SLICES];
    uint32_t count;
    SxvkArenaAllocation stale[STALE];
    uint32_t staleCount;
    VkDeviceSize largest;  /* buffer ever */
    VkDeviceSize peakNeed; /* see need_of */
} Arena;

typedef struct World {
    uint64_t seed;
    uint64_t random;
    uint32_t step;
    Rig* rig;
    const VkPhysicalDeviceLimits* limits;
    bool addresses;
    VkDeviceSize debugAlignment;
    SxvkPool pool;
    VkMemoryPropertyFlags poolFlags;
    VkBuffer check; /* the device's view: copied here, and read */
    SxvkAllocation checkMemory;
    uint8_t* checkData;
    Ring rings[RINGS];
    Smart smarts[SMARTS];
    Arena arenas[ARENAS];
    Buffer buffers[BUFFERS];
    uint32_t bufferCount;
    const void* owner; /* of what is made now */
    uint64_t refusals; /* calls of the driver that gave no buffer or memory */
    uint64_t hurtBefore;
    uint64_t key;
} World;

static World world;
static PFN_vkCreateBuffer realCreateBuffer;
static PFN_vkDestroyBuffer realDestroyBuffer;
static PFN_vkAllocateMemory realAllocateMemory;
static uint64_t slicesTaken, spillsSeen, failuresSeen, worstShare;

static void fail_at(int line, const char* what) {
    fprintf(stderr, "fuzz_upload: --seed %" PRIu64 ", step %u: line %d: %s; last message: %s\n",
            world.seed, world.step, line, what, world.rig != NULL ? world.rig->messages.text : "");
    exit(1);
}

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_at(__LINE__, #condition);                                                         \
        }                                                                                          \
    } while (0)

static uint32_t below(uint32_t n) {
    return testing_below(&world.random, n);
}

static bool one_in(uint32_t n) {
    return below(n) == 0;
}

static VkDeviceSize between(VkDeviceSize lo, VkDeviceSize hi) {
    return testing_log_uniform(&world.random, lo, hi);
}

static VkDeviceSize up(VkDeviceSize size, VkDeviceSize multiple) {
    return (size + multiple - 1) / multiple * multiple;
}

static VkDeviceSize most_of(VkDeviceSize a, VkDeviceSize b) {
    return a > b ? a : b;
}

static VkDeviceSize pow2_up(VkDeviceSize size) {
    VkDeviceSize power = 1;
    while (power < size) {
        power *= 2;
    }
    return power;
}

/* ------------------------------------------------------------------ what the driver is asked for */

static VKAPI_ATTR VkResult VKAPI_CALL watch_create(VkDevice device, const VkBufferCreateInfo* info,
                                                   const VkAllocationCallbacks* callbacks,
                                                   VkBuffer* made) {
    VkResult result = realCreateBuffer(device, info, callbacks, made);
    world.refusals += result != VK_SUCCESS;
    if (result == VK_SUCCESS) {
        Buffer* b = &world.buffers[world.bufferCount++];
        EXPECT(world.bufferCount < BUFFERS);
        memset(b, 0, sizeof *b);
        b->buffer = *made;
        b->size = info->size;
        b->usage = info->usage;
        b->owner = world.owner;
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL watch_destroy(VkDevice device, VkBuffer buffer,
                                                const VkAllocationCallbacks* callbacks) {
    uint32_t i = 0;
    while (i < world.bufferCount && world.buffers[i].buffer != buffer) {
        i++;
    }
    EXPECT(i < world.bufferCount);
    world.buffers[i] = world.buffers[--world.bufferCount];
    realDestroyBuffer(device, buffer, callbacks);
}

static VKAPI_ATTR VkResult VKAPI_CALL watch_allocate(VkDevice device,
                                                     const VkMemoryAllocateInfo* info,
                                                     const VkAllocationCallbacks* callbacks,
                                                     VkDeviceMemory* made) {
    VkResult result = realAllocateMemory(device, info, callbacks, made);
    world.refusals += result != VK_SUCCESS;
    return result;
}

static Buffer* buffer_of(VkBuffer buffer) {
    for (uint32_t i = 0; i < world.bufferCount; i++) {
        if (world.buffers[i].buffer == buffer) {
            return &world.buffers[i];
        }
    }
    return NULL;
}

static uint32_t buffers_of(const void* owner, VkDeviceSize* bytes) {
    uint32_t count = 0;
    *bytes = 0;
    for (uint32_t i = 0; i < world.bufferCount; i++) {
        if (world.buffers[i].owner == owner) {
            count++;
            *bytes += world.buffers[i].size;
        }
    }
    return count;
}

/* ------------------------------------------------------------------ calls that may fail */

static uint64_t hurts(void) {
    return world.rig->host.failed + sim_faults_fired(world.rig->sim) + world.refusals;
}

/*  Before a call on behalf of this object: perhaps something is going to fail. */
static void call_begins(const void* owner) {
    static const VkResult results[] = {VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_OUT_OF_HOST_MEMORY};
    uint32_t times = one_in(2) ? UINT32_MAX : 1 + below(3);
    world.owner = owner;
    world.hurtBefore = hurts();
    EXPECT(world.rig->messages.total == 0);
    if (one_in(10)) {
        host_fail(&world.rig->host, 1 + below(4), times);
    } else if (one_in(10)) {
        EXPECT(sim_fail(world.rig->sim, SIM_CALL_ANY_FAILABLE, 1 + below(4), times,
                        results[below(2)]));
    }
}

/*  After it. Returns true where something did fail, or the device has too many memories. */
static bool call_ends(VkResult result) {
    bool hurt = hurts() != world.hurtBefore || result == VK_ERROR_TOO_MANY_OBJECTS;
    host_fail(&world.rig->host, 0, 0);
    sim_clear_faults(world.rig->sim);
    for (uint32_t h = 0; h < sim_profile(world.rig->sim)->memory.memoryHeapCount; h++) {
        sim_heap_limit(world.rig->sim, h, (VkDeviceSize)256 << 20);
    }
    if (hurt) {
        messages_clear(&world.rig->messages);
        failuresSeen++;
    }
    return hurt;
}

static void expect_silence(void) {
    EXPECT(world.rig->messages.total == 0);
}

/*  A wrong call: refused with this message alone. */
static void expect_refused(VkResult result, SxvkMessage message) {
    EXPECT(result == VK_ERROR_VALIDATION_FAILED_EXT);
    EXPECT(world.rig->messages.total == 1 && world.rig->messages.counts[message] == 1);
    messages_clear(&world.rig->messages);
}

/* ------------------------------------------------------------------ bytes */

/*  Of larger slices the first and the last bytes. */
static VkDeviceSize pattern_gap(VkDeviceSize i, VkDeviceSize size) {
    return i == PATTERN_BYTES && size > 2 * PATTERN_BYTES ? (size - PATTERN_BYTES) / 8 * 8 : i;
}

static uint64_t pattern_word(uint64_t key, VkDeviceSize i) {
    return (key + i) * UINT64_C(0x9E3779B97F4A7C15);
}

static void fill(void* data, uint64_t key, VkDeviceSize size) {
    for (VkDeviceSize i = 0; i < size; i = pattern_gap(i + 8, size)) {
        uint64_t word = pattern_word(key, i);
        memcpy((char*)data + i, &word, size - i < 8 ? (size_t)(size - i) : 8);
    }
}

static bool is_filled(const void* data, uint64_t key, VkDeviceSize size) {
    VkDeviceSize i = 0;
    bool same = true;
    for (; same && i + 8 <= size; i = pattern_gap(i + 8, size)) {
        uint64_t word;
        memcpy(&word, (const char*)data + i, 8);
        same = word == pattern_word(key, i);
    }
    if (same && i < size) {
        uint64_t word = pattern_word(key, i);
        same = memcmp((const char*)data + i, &word, (size_t)(size - i)) == 0;
    }
    return same;
}

static void copy(VkBuffer from, VkDeviceSize fromOffset, VkBuffer to, VkDeviceSize toOffset,
                 VkDeviceSize size) {
    const VkBufferCopy region = {fromOffset, toOffset, size};
    world.rig->allocator->device.vk.fn.vkCmdCopyBuffer(sim_command_buffer(world.rig->sim), from, to,
                                                       1, &region);
}

/*  The first bytes of a slice, as the device sees them. */
static const uint8_t* device_view(const SxvkBufferSlice* slice, VkDeviceSize size) {
    copy(slice->buffer, slice->offset, world.check, 0, size);
    return world.checkData;
}

static bool has_usage(VkBuffer buffer, VkBufferUsageFlags usage) {
    return (buffer_of(buffer)->usage & usage) == usage;
}

/*  By the CPU where it can, else by the device. */
static void write_slice(Slice* s) {
    VkDeviceSize size = s->slice.size <= CHECK_BYTES ? s->slice.size : PATTERN_BYTES;
    s->key = world.key += 1000003;
    s->filled = true;
    if (s->slice.pMappedData != NULL) {
        fill(s->slice.pMappedData, s->key, s->slice.size);
    } else if (has_usage(s->slice.buffer, BOTH_COPIES)) {
        fill(world.checkData, s->key, size);
        copy(world.check, 0, s->slice.buffer, s->slice.offset, size);
    } else {
        s->filled = false;
    }
}

static void check_slice(const Slice* s) {
    VkDeviceSize size = s->slice.size <= CHECK_BYTES ? s->slice.size : PATTERN_BYTES;
    if (s->filled && s->slice.pMappedData != NULL) {
        EXPECT(is_filled(s->slice.pMappedData, s->key, s->slice.size));
    }
    if (s->filled && has_usage(s->slice.buffer, VK_BUFFER_USAGE_TRANSFER_SRC_BIT)) {
        EXPECT(is_filled(device_view(&s->slice, size), s->key, size));
    }
}

/*  What is said of any slice. */
static void check_place(const SxvkBufferSlice* slice, const void* owner, VkDeviceSize alignment,
                        VkDeviceSize size) {
    Buffer* b = buffer_of(slice->buffer);
    EXPECT(b != NULL && b->owner == owner);
    EXPECT(slice->size == size && slice->offset % alignment == 0);
    EXPECT(slice->offset <= b->size && slice->size <= b->size - slice->offset);
    EXPECT(sxvkIsAllocationValid(world.rig->allocator, slice->allocation));
    if (b->usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) {
        const VkBufferDeviceAddressInfo info = {
            .sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, .buffer = b->buffer};
        const sxvki_vk* vk = &world.rig->allocator->device.vk;
        b->address = vk->fn.vkGetBufferDeviceAddress(vk->device, &info);
        EXPECT(slice->deviceAddress == b->address + slice->offset);
    } else {
        EXPECT(slice->deviceAddress == 0);
    }
    if (slice->pMappedData != NULL) {
        char* data = (char*)slice->pMappedData - slice->offset;
        EXPECT(b->data == NULL || b->data == data);
        b->data = data;
    } else {
        EXPECT(b->data == NULL);
    }
}

static void check_apart(const Slice* slices, uint32_t count, const Slice* s) {
    for (uint32_t i = 0; i < count; i++) {
        const Slice* other = &slices[i];
        EXPECT(other->slice.buffer != s->slice.buffer ||
               other->slice.offset + other->taken <= s->slice.offset ||
               s->slice.offset + s->taken <= other->slice.offset);
    }
}

static void expect_zero(const void* data, size_t size) {
    const char* bytes = (const char*)data;
    for (size_t i = 0; i < size; i++) {
        EXPECT(bytes[i] == 0);
    }
}

/* ------------------------------------------------------------------ create infos */

static VkBufferUsageFlags random_usage(void) {
    static const VkBufferUsageFlags bits[] = {
        VK_BUFFER_USAGE_TRANSFER_SRC_BIT,         VK_BUFFER_USAGE_TRANSFER_DST_BIT,
        VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT, VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT,
        VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT,       VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
        VK_BUFFER_USAGE_INDEX_BUFFER_BIT,         VK_BUFFER_USAGE_VERTEX_BUFFER_BIT,
        VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT};
    VkBufferUsageFlags usage = bits[below(sizeof bits / sizeof *bits)];
    while (one_in(2)) {
        usage |= bits[below(sizeof bits / sizeof *bits)];
    }
    if (world.addresses && one_in(3)) {
        usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    }
    return usage;
}

static VkDeviceSize usage_alignment(VkBufferUsageFlags usage) {
    VkDeviceSize alignment = 16;
    if (usage & VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT) {
        alignment = most_of(alignment, world.limits->minUniformBufferOffsetAlignment);
    }
    if (usage & VK_BUFFER_USAGE_STORAGE_BUFFER_BIT) {
        alignment = most_of(alignment, world.limits->minStorageBufferOffsetAlignment);
    }
    if (usage &
        (VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT)) {
        alignment = most_of(alignment, world.limits->minTexelBufferOffsetAlignment);
    }
    return pow2_up(alignment);
}

static SxvkMemoryUsage random_memory_usage(void) {
    static const SxvkMemoryUsage usages[] = {SXVK_MEMORY_USAGE_UNKNOWN, SXVK_MEMORY_USAGE_AUTO,
                                             SXVK_MEMORY_USAGE_AUTO_PREFER_DEVICE,
                                             SXVK_MEMORY_USAGE_AUTO_PREFER_HOST};
    return usages[below(4)];
}

/*  Legal, but where the wrong one of these is drawn: then *message says what comes. */
static SxvkFrameRingCreateInfo random_ring_info(SxvkMessage* message) {
    const VkFlags need = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    SxvkFrameRingCreateInfo info = {.usage = one_in(8) ? 0 : random_usage(),
                                    .size = one_in(3) ? 0 : between(1, 300000),
                                    .memoryUsage = random_memory_usage(),
                                    .pName = one_in(2) ? "ring" : NULL};
    if (one_in(3)) {
        info.minAlignment = (VkDeviceSize)1 << below(one_in(4) ? 21 : 12);
    }
    if (one_in(3) && world.pool != VK_NULL_HANDLE) {
        info.pool = world.pool;
    }
    *message = info.pool != VK_NULL_HANDLE && (world.poolFlags & need) != need
                   ? SXVK_MESSAGE_BAD_STRUCT
                   : SXVK_MESSAGE_NONE;
    if (one_in(6) && *message == SXVK_MESSAGE_NONE) {
        switch (below(6)) {
        case 0: info.flags = 1u << below(32), *message = SXVK_MESSAGE_UNKNOWN_FLAGS; break;
        case 1:
            info.size = (VkDeviceSize)1 << (40 + below(24)), *message = SXVK_MESSAGE_BAD_SIZE;
            break;
        case 2:
            info.minAlignment = 3 + 4 * (VkDeviceSize)below(1000),
            *message = SXVK_MESSAGE_BAD_ALIGNMENT;
            break;
        case 3:
            info.minAlignment = (VkDeviceSize)1 << (32 + below(32)),
            *message = SXVK_MESSAGE_BAD_ALIGNMENT;
            break;
        case 4:
            info.memoryUsage = (SxvkMemoryUsage)(1 + below(6)), *message = SXVK_MESSAGE_BAD_ENUM;
            break;
        default:
            if (!world.addresses) {
                info.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
                *message = SXVK_MESSAGE_MISSING_FEATURE;
            }
        }
    }
    return info;
}

static SxvkSmartBufferCreateInfo random_smart_info(Ring* ring, SxvkMessage* message) {
    SxvkSmartBufferCreateInfo info = {.flags = below(2),
                                      .size = between(1, SMART_MOST),
                                      .usage = random_usage(),
                                      .access = (SxvkSmartBufferAccess)below(5),
                                      .ring = ring->ring,
                                      .framesInFlight = below(COPIES + 1)};
    bool dynamic = info.access == SXVK_SMART_BUFFER_ACCESS_DYNAMIC ||
                   (info.access == SXVK_SMART_BUFFER_ACCESS_DEFAULT &&
                    info.usage == VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    if (one_in(4) && world.pool != VK_NULL_HANDLE) {
        info.pool = world.pool;
    }
    *message = dynamic && info.pool != VK_NULL_HANDLE &&
                       !(world.poolFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT)
                   ? SXVK_MESSAGE_BAD_STRUCT
                   : SXVK_MESSAGE_NONE;
    if (one_in(6) && *message == SXVK_MESSAGE_NONE) {
        switch (below(6)) {
        case 0: info.flags = 2u << below(31), *message = SXVK_MESSAGE_UNKNOWN_FLAGS; break;
        case 1: info.size = 0, *message = SXVK_MESSAGE_BAD_SIZE; break;
        case 2:
            info.size = (VkDeviceSize)1 << (40 + below(24)), *message = SXVK_MESSAGE_BAD_SIZE;
            break;
        case 3:
            info.access = (SxvkSmartBufferAccess)(5 + below(100)), *message = SXVK_MESSAGE_BAD_ENUM;
            break;
        case 4: info.ring = VK_NULL_HANDLE, *message = SXVK_MESSAGE_NULL_ARGUMENT; break;
        default: info.framesInFlight = 9 + below(1000), *message = SXVK_MESSAGE_BAD_SIZE;
        }
    }
    return info;
}

static SxvkBufferArenaCreateInfo random_arena_info(SxvkMessage* message) {
    SxvkBufferArenaCreateInfo info = {.usage = random_usage(),
                                      .bufferSize = one_in(2) ? 0 : between(1, 3000000),
                                      .memoryUsage = random_memory_usage()};
    info.allocationFlags =
        one_in(2) ? 0
                  : SXVK_ALLOCATION_CREATE_MAPPED_BIT |
                        (one_in(2) ? SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT
                                   : SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT);
    info.allocationFlags |= one_in(8) ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
    info.allocationFlags |= one_in(8) ? SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT : 0;
    info.minAlignment = one_in(2) ? 0 : (VkDeviceSize)1 << below(17);
    info.pool = one_in(4) && !(info.allocationFlags & SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT)
                    ? world.pool
                    : VK_NULL_HANDLE;
    *message = SXVK_MESSAGE_NONE;
    if (one_in(6)) {
        switch (below(7)) {
        case 0: info.flags = 1u << below(32), *message = SXVK_MESSAGE_UNKNOWN_FLAGS; break;
        case 1: info.usage = 0, *message = SXVK_MESSAGE_BAD_STRUCT; break;
        case 2:
            info.bufferSize = (VkDeviceSize)1 << (40 + below(24)), *message = SXVK_MESSAGE_BAD_SIZE;
            break;
        case 3:
            info.minAlignment = 3 + 4 * (VkDeviceSize)below(1000),
            *message = SXVK_MESSAGE_BAD_ALIGNMENT;
            break;
        case 4:
            info.minAlignment = (VkDeviceSize)1 << (17 + below(47)),
            *message = SXVK_MESSAGE_BAD_ALIGNMENT;
            break;
        case 5:
            info.allocationFlags |= SXVK_ALLOCATION_CREATE_DONT_BIND_BIT,
                *message = SXVK_MESSAGE_UNKNOWN_FLAGS;
            break;
        default:
            info.memoryUsage = (SxvkMemoryUsage)(1 + below(5)), *message = SXVK_MESSAGE_BAD_ENUM;
        }
    }
    return info;
}

/* ------------------------------------------------------------------ rings */

static uint64_t in_flight(const Ring* ring) {
    uint64_t bytes = ring->head - ring->tail;
    for (uint32_t i = 0; i < ring->retiredCount; i++) {
        bytes += ring->retired[i].position;
    }
    return bytes;
}

static void note_peaks(Ring* ring) {
    uint64_t frame = ring->head - ring->frameStart + ring->frameSpilled;
    ring->peak = most_of(ring->peak, in_flight(ring));
    ring->recentPeak = most_of(ring->recentPeak, in_flight(ring));
    ring->framePeak = most_of(ring->framePeak, frame);
}

static void check_ring(Ring* ring) {
    SxvkFrameRingStatistics stats;
    VkDeviceSize bytes;
    note_peaks(ring);
    sxvkGetFrameRingStatistics(ring->ring, &stats);
    EXPECT(stats.size == ring->size);
    EXPECT(stats.bufferCount == 1 + ring->retiredCount);
    EXPECT(stats.bufferCount == buffers_of(ring, &bytes));
    EXPECT(buffer_of(ring->buffer)->size == ring->size);
    EXPECT(stats.spillCount == ring->spills);
    EXPECT(stats.bytesInFlight == in_flight(ring));
    EXPECT(stats.peakBytesInFlight == ring->peak);
    EXPECT(stats.peakFrameBytes == ring->framePeak);
    EXPECT(stats.begunValue == ring->begun && stats.completedValue == ring->completed);
    EXPECT(sxvki_ring_is_valid(ring->ring));
}

/*  The ring goes on in the buffer that was made last. */
static void go_on(Ring* ring) {
    End* old = &ring->retired[ring->retiredCount];
    note_peaks(ring);
    EXPECT(++ring->retiredCount < RETIRED);
    old->value = ring->begun;
    old->position = ring->head - ring->tail;
    ring->frameSpilled += ring->head - ring->frameStart;
    ring->buffer = world.buffers[world.bufferCount - 1].buffer;
    ring->size = world.buffers[world.bufferCount - 1].size;
    ring->head = ring->tail = ring->frameStart = 0;
    ring->endCount = 0;
}

static void check_ring_memory(const Ring* ring) {
    const VkFlags need = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const Buffer* b = buffer_of(ring->buffer);
    VkMemoryPropertyFlags flags;
    VkDeviceMemory memory;
    VkDeviceSize offset;
    SimMemoryInfo info;
    EXPECT(b != NULL && b->owner == ring);
    EXPECT(sim_buffer_binding(world.rig->sim, b->buffer, &memory, &offset));
    EXPECT(sim_memory_info(world.rig->sim, memory, &info));
    sxvkGetMemoryTypeProperties(world.rig->allocator, info.memoryTypeIndex, &flags);
    EXPECT((flags & need) == need);
}

static void create_ring(Ring* ring) {
    SxvkMessage message;
    SxvkFrameRingCreateInfo info = random_ring_info(&message);
    VkResult result;
    bool hurt;
    memset(ring, 0, sizeof *ring);
    call_begins(ring);
    result = sxvkCreateFrameRing(world.rig->allocator, &info, &ring->ring);
    if (message != SXVK_MESSAGE_NONE) {
        expect_refused(result, message);
    }
    hurt = call_ends(result);
    if (result != VK_SUCCESS) {
        VkDeviceSize bytes;
        EXPECT(hurt || message != SXVK_MESSAGE_NONE || info.pool != VK_NULL_HANDLE);
        EXPECT(ring->ring == VK_NULL_HANDLE && buffers_of(ring, &bytes) == 0);
        messages_clear(&world.rig->messages);
        return;
    }
    expect_silence();
    ring->usage = info.usage | VK_BUFFER_USAGE_TRANSFER_SRC_BIT;
    ring->alignment = most_of(usage_alignment(ring->usage), info.minAlignment);
    ring->least = pow2_up(most_of(info.size != 0 ? info.size : 65536, ring->alignment));
    ring->pooled = info.pool != VK_NULL_HANDLE;
    ring->buffer = world.buffers[world.bufferCount - 1].buffer;
    ring->size = ring->least;
    check_ring_memory(ring);
    check_ring(ring);
}

/*  Slices up to a value still hold their bytes; then they are gone. */
static void drop_slices(Ring* ring, uint64_t value) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ring->count; i++) {
        if (ring->slices[i].value <= value) {
            check_slice(&ring->slices[i]);
        } else {
            ring->slices[kept++] = ring->slices[i];
        }
    }
    ring->count = kept;
}

static void complete_ring(Ring* ring) {
    uint64_t value = ring->completed;
    uint32_t kept = 0;
    VkResult result;
    if (one_in(20)) {
        value = ring->begun + 1 + below(5);
        result = sxvkCompleteFrameRing(ring->ring, value);
        expect_refused(result, SXVK_MESSAGE_BAD_FRAME_VALUE);
        return;
    }
    value += ring->begun == value ? 0 : 1 + below((uint32_t)(ring->begun - value)); /* or between */
    value -= one_in(30) && value != 0; /* was complete already: nothing happens */
    drop_slices(ring, value);
    note_peaks(ring);
    call_begins(ring);
    EXPECT(sxvkCompleteFrameRing(ring->ring, value) == VK_SUCCESS);
    EXPECT(!call_ends(VK_SUCCESS));
    expect_silence();
    if (value > ring->completed) {
        uint32_t done = 0;
        ring->completed = value;
        while (done < ring->endCount && ring->ends[done].value <= value) {
            ring->tail = ring->ends[done++].position;
        }
        ring->endCount -= done;
        memmove(ring->ends, &ring->ends[done], ring->endCount * sizeof(End));
        ring->tail = value == ring->begun ? ring->head : ring->tail;
        for (uint32_t i = 0; i < ring->retiredCount; i++) {
            if (ring->retired[i].value > value) {
                ring->retired[kept++] = ring->retired[i];
            }
        }
        ring->retiredCount = kept;
    }
    check_ring(ring);
}

static void note_end(Ring* ring) {
    uint64_t last = ring->endCount != 0 ? ring->ends[ring->endCount - 1].position : ring->tail;
    if (ring->head != last) {
        ring->endCount += ring->endCount < ENDS;
        ring->ends[ring->endCount - 1].value = ring->begun;
        ring->ends[ring->endCount - 1].position = ring->head;
    }
}

static void begin_ring(Ring* ring) {
    uint64_t value = ring->begun + 1 + (one_in(3) ? below(10) : 0);
    VkDeviceSize smaller = 0;
    uint64_t made;
    bool hurt;
    if (one_in(20)) {
        VkResult result = sxvkBeginFrameRing(ring->ring, one_in(2) ? ring->begun : 0);
        expect_refused(result, SXVK_MESSAGE_BAD_FRAME_VALUE);
        return;
    }
    note_peaks(ring);
    if (ring->begun == ring->completed) {
        ring->head = ring->tail = 0;
    } else {
        note_end(ring);
    }
    ring->begun = value;
    ring->frameStart = ring->head;
    ring->frameSpilled = 0;
    if (++ring->begins % SHRINK_TIME == 0) {
        smaller = most_of(pow2_up(ring->recentPeak * 2), ring->least);
        ring->recentPeak = 0;
    }
    made = sim_calls(world.rig->sim, SIM_CALL_CREATE_BUFFER);
    call_begins(ring);
    EXPECT(sxvkBeginFrameRing(ring->ring, value) == VK_SUCCESS);
    hurt = call_ends(VK_SUCCESS);
    if (smaller != 0 && smaller <= ring->size / 2 &&
        (!hurt || world.buffers[world.bufferCount - 1].size == smaller) &&
        buffers_of(ring, &(VkDeviceSize){0}) > 1 + ring->retiredCount) {
        go_on(ring);
        EXPECT(ring->size == smaller);
    } else {
        EXPECT(smaller == 0 || smaller > ring->size / 2 || hurt || ring->pooled);
        EXPECT(hurt || ring->pooled || sim_calls(world.rig->sim, SIM_CALL_CREATE_BUFFER) == made);
    }
    messages_clear(&world.rig->messages);
    check_ring(ring);
}

/*  What a slice that a call took did to the ring. The slice may be null: nobody saw it. */
static void ring_took(Ring* ring, VkDeviceSize size, VkDeviceSize alignment, bool hurt,
                      uint64_t made, const SxvkBufferSlice* slice) {
    uint64_t start;
    bool fits;
    alignment = most_of(alignment, ring->alignment);
    start = up(ring->head, alignment < ring->size ? alignment : ring->size);
    start = start % ring->size + size > ring->size ? up(start, ring->size) : start;
    fits = start + size - ring->tail <= ring->size;
    if (fits) {
        EXPECT(!hurt && sim_calls(world.rig->sim, SIM_CALL_CREATE_BUFFER) == made);
    } else {
        VkDeviceSize least = pow2_up(most_of(size, ring->alignment));
        VkDeviceSize most = pow2_up(most_of(in_flight(ring) + least, ring->size + 1));
        ring->spills++;
        spillsSeen++;
        go_on(ring);
        EXPECT(ring->size <= most && ring->size >= least);
        EXPECT(hurt || ring->pooled || ring->size == most);
        check_ring_memory(ring);
        start = 0;
    }
    ring->head = start + size;
    if (slice != NULL) {
        Slice* s = &ring->slices[ring->count];
        EXPECT(slice->buffer == ring->buffer && slice->offset == start % ring->size);
        EXPECT(slice->pMappedData != NULL);
        check_place(slice, ring, alignment, size);
        memset(s, 0, sizeof *s);
        s->slice = *slice;
        s->taken = size;
        s->value = ring->begun;
        check_apart(ring->slices, ring->count, s);
        ring->count++;
        EXPECT(ring->count <= SLICES);
        slicesTaken++;
    }
}

static VkDeviceSize random_alignment(void) {
    return one_in(3) ? (VkDeviceSize)1 << (one_in(8) ? below(32) : below(13)) : 0;
}

static VkDeviceSize random_size(const Ring* ring) {
    VkDeviceSize size = ring->size < 100000 ? ring->size : 100000;
    return one_in(200)  ? between(1, 2000000)
           : one_in(10) ? size - (size > 100 ? below(100) : 0)
                        : between(1, most_of(2, size / 4));
}

/*  A slice, or a reason for none. Returns true where there is one. */
static bool take_from_ring(Ring* ring, VkDeviceSize size, VkDeviceSize alignment) {
    SxvkBufferSlice slice;
    uint64_t made = sim_calls(world.rig->sim, SIM_CALL_CREATE_BUFFER);
    VkResult result;
    bool hurt;
    if (ring->count == SLICES || ring->retiredCount + 1 == RETIRED) {
        return false;
    }
    call_begins(ring);
    memset(&slice, 0xAA, sizeof slice);
    result = sxvkAllocateFromFrameRing(ring->ring, size, alignment, &slice);
    if (ring->begun == ring->completed) {
        expect_refused(result, SXVK_MESSAGE_BAD_FRAME_VALUE);
        (void)call_ends(VK_SUCCESS);
        expect_zero(&slice, sizeof slice);
        return false;
    }
    hurt = call_ends(result);
    if (result != VK_SUCCESS) {
        EXPECT(hurt || ring->pooled || size > MODEST);
        messages_clear(&world.rig->messages);
        expect_zero(&slice, sizeof slice);
        check_ring(ring);
        return false;
    }
    EXPECT(ring->pooled || world.rig->messages.total == 0);
    messages_clear(&world.rig->messages);
    ring_took(ring, size, alignment, hurt, made, &slice);
    write_slice(&ring->slices[ring->count - 1]);
    check_ring(ring);
    return true;
}

static void take_wrongly(Ring* ring) {
    SxvkBufferSlice slice;
    VkDeviceSize size = one_in(2) ? 0 : (VkDeviceSize)1 << (40 + below(24));
    VkDeviceSize alignment = one_in(2) ? 3 : (VkDeviceSize)1 << (32 + below(32));
    memset(&slice, 0xAA, sizeof slice);
    if (one_in(2)) {
        expect_refused(sxvkAllocateFromFrameRing(ring->ring, size, 0, &slice),
                       SXVK_MESSAGE_BAD_SIZE);
    } else {
        expect_refused(sxvkAllocateFromFrameRing(ring->ring, 16, alignment, &slice),
                       SXVK_MESSAGE_BAD_ALIGNMENT);
    }
    expect_zero(&slice, sizeof slice);
}

/*  Many values: of little use, so that the ring shrinks, or more in flight than stand apart. */
static void rush_ring(Ring* ring) {
    uint32_t lag = one_in(3) ? below(90) : below(4);
    for (uint32_t i = 20 + below(200); i != 0; i--) {
        begin_ring(ring);
        if (!one_in(4)) {
            (void)take_from_ring(ring, between(1, 300), 0);
        }
        while (ring->begun - ring->completed > lag && ring->begun != ring->completed) {
            complete_ring(ring);
        }
    }
}

static void step_ring(Ring* ring, uint32_t pace) {
    uint32_t draw = below(100);
    if (draw < 2) {
        take_wrongly(ring);
    } else if (one_in(100)) {
        rush_ring(ring);
    } else if (draw < 12 + 20 * (pace == 1)) {
        begin_ring(ring);
    } else if (draw < 20 + 20 * (pace == 2) || ring->count == SLICES ||
               ring->retiredCount + 2 >= RETIRED) {
        complete_ring(ring);
    } else {
        (void)take_from_ring(ring, random_size(ring), random_alignment());
    }
}

static void destroy_ring(Ring* ring) {
    VkDeviceSize bytes;
    drop_slices(ring, UINT64_MAX);
    sxvkDestroyFrameRing(world.rig->allocator, ring->ring);
    ring->ring = VK_NULL_HANDLE;
    EXPECT(buffers_of(ring, &bytes) == 0);
    expect_silence();
}

/* ------------------------------------------------------------------ smart buffers */

static void create_smart(Smart* smart, Ring* ring) {
    SxvkMessage message;
    SxvkSmartBufferCreateInfo info = random_smart_info(ring, &message);
    SxvkSmartBufferInfo got;
    VkResult result;
    bool hurt;
    memset(smart, 0, sizeof *smart);
    call_begins(smart);
    result = sxvkCreateSmartBuffer(world.rig->allocator, &info, &smart->buffer);
    if (message != SXVK_MESSAGE_NONE) {
        expect_refused(result, message);
    }
    hurt = call_ends(result);
    if (result != VK_SUCCESS) {
        VkDeviceSize bytes;
        EXPECT(hurt || message != SXVK_MESSAGE_NONE || info.pool != VK_NULL_HANDLE);
        EXPECT(smart->buffer == VK_NULL_HANDLE && buffers_of(smart, &bytes) == 0);
        messages_clear(&world.rig->messages);
        return;
    }
    expect_silence();
    sxvkGetSmartBufferInfo(smart->buffer, &got);
    smart->ring = ring;
    smart->size = info.size;
    smart->access =
        info.access != SXVK_SMART_BUFFER_ACCESS_DEFAULT    ? info.access
        : info.usage == VK_BUFFER_USAGE_TRANSFER_DST_BIT   ? SXVK_SMART_BUFFER_ACCESS_READBACK
        : info.usage == VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT ? SXVK_SMART_BUFFER_ACCESS_DYNAMIC
                                                           : SXVK_SMART_BUFFER_ACCESS_STATIC;
    smart->copies = 1;
    if (smart->access == SXVK_SMART_BUFFER_ACCESS_DYNAMIC) {
        smart->copies = info.framesInFlight != 0 ? info.framesInFlight : 3;
        smart->stride =
            up(info.size, most_of(usage_alignment(info.usage), world.limits->nonCoherentAtomSize));
    }
    smart->usage = buffer_of(got.slice.buffer)->usage;
    smart->base = (char*)got.slice.pMappedData;
    smart->staged = got.isStaged != VK_FALSE;
    EXPECT(got.access == smart->access);
    EXPECT(smart->staged ==
           (smart->access == SXVK_SMART_BUFFER_ACCESS_STREAMING || smart->base == NULL));
    EXPECT(smart->access != SXVK_SMART_BUFFER_ACCESS_DYNAMIC || smart->base != NULL);
    EXPECT((smart->usage & info.usage) == info.usage);
    check_place(&got.slice, smart, 1, info.size);
    EXPECT(buffer_of(got.slice.buffer)->size == (smart->copies - 1) * smart->stride + info.size);
}

/*  All that is known, of all copies. */
static void check_smart(const Smart* smart) {
    SxvkSmartBufferInfo info;
    sxvkGetSmartBufferInfo(smart->buffer, &info);
    EXPECT(info.slice.offset == smart->copy * smart->stride && info.slice.size == smart->size);
    for (uint32_t c = 0; c < smart->copies; c++) {
        const uint8_t* bytes = (const uint8_t*)smart->base + c * smart->stride;
        SxvkBufferSlice slice = info.slice;
        slice.offset = c * smart->stride;
        if (has_usage(slice.buffer, VK_BUFFER_USAGE_TRANSFER_SRC_BIT)) {
            bytes = device_view(&slice, smart->size);
        } else if (smart->base == NULL) {
            return;
        }
        for (VkDeviceSize i = 0; i < smart->size; i++) {
            EXPECT(!smart->known[c][i] || bytes[i] == smart->bytes[c][i]);
        }
    }
}

static void check_flushed(const Smart* smart, VkDeviceSize offset, VkDeviceSize size) {
    SxvkSmartBufferInfo info;
    SxvkAllocationInfo memory;
    SimMemoryInfo state;
    VkMemoryPropertyFlags flags;
    sxvkGetSmartBufferInfo(smart->buffer, &info);
    sxvkGetAllocationInfo(world.rig->allocator, info.slice.allocation, &memory);
    sxvkGetMemoryTypeProperties(world.rig->allocator, memory.memoryType, &flags);
    if (!(flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)) {
        offset += memory.offset + smart->copy * smart->stride;
        EXPECT(sim_memory_info(world.rig->sim, memory.deviceMemory, &state));
        EXPECT(state.lastFlush.sType != 0 && state.lastFlush.offset <= offset &&
               (state.lastFlush.size == VK_WHOLE_SIZE ||
                state.lastFlush.offset + state.lastFlush.size >= offset + size));
    }
}

/*  The copy that is written now. False: the one that is due is in use. */
static bool turn_smart(Smart* smart) {
    uint32_t next = (smart->copy + 1) % smart->copies;
    if (smart->access != SXVK_SMART_BUFFER_ACCESS_DYNAMIC ||
        smart->values[smart->copy] == smart->ring->begun) {
        return true;
    }
    if (smart->values[next] > smart->ring->completed) {
        return false;
    }
    smart->copy = next;
    smart->values[next] = smart->ring->begun;
    memset(smart->known[next], 0, sizeof smart->known[next]);
    return true;
}

static void note_write(Smart* smart, VkDeviceSize offset, VkDeviceSize size, const uint8_t* data) {
    memcpy(smart->bytes[smart->copy] + offset, data, (size_t)size);
    memset(smart->known[smart->copy] + offset, 1, (size_t)size);
    if (!smart->staged) {
        check_flushed(smart, offset, size);
    }
}

static void write_smart_wrongly(Smart* smart) {
    uint8_t byte = 0;
    VkCommandBuffer commands = sim_command_buffer(world.rig->sim);
    SxvkSmartBufferWrite write;
    if (smart->access == SXVK_SMART_BUFFER_ACCESS_READBACK) {
        expect_refused(sxvkWriteSmartBuffer(smart->buffer, commands, 0, 1, &byte),
                       SXVK_MESSAGE_BAD_STRUCT);
        expect_refused(sxvkReadSmartBuffer(smart->buffer, smart->size, 1, &byte),
                       SXVK_MESSAGE_BAD_RANGE);
        return;
    }
    expect_refused(sxvkReadSmartBuffer(smart->buffer, 0, 1, &byte), SXVK_MESSAGE_BAD_STRUCT);
    expect_refused(sxvkRecordSmartBufferRead(smart->buffer, commands, 0, 1),
                   SXVK_MESSAGE_BAD_STRUCT);
    expect_refused(sxvkPrepareSmartBufferWrite(smart->buffer, smart->size + below(2), 1, &write),
                   SXVK_MESSAGE_BAD_RANGE);
    expect_zero(&write, sizeof write);
    expect_refused(sxvkPrepareSmartBufferWrite(smart->buffer, 0, smart->size + 1, &write),
                   SXVK_MESSAGE_BAD_RANGE);
}

/*  In one call. */
static void write_smart(Smart* smart) {
    static uint8_t data[SMART_MOST];
    VkDeviceSize offset = below((uint32_t)smart->size);
    VkDeviceSize size = 1 + below((uint32_t)(smart->size - offset));
    Ring* ring = smart->ring;
    uint64_t made = sim_calls(world.rig->sim, SIM_CALL_CREATE_BUFFER);
    bool open = ring->begun != ring->completed;
    bool hurt, turned;
    VkResult result;
    if (ring->retiredCount + 2 >= RETIRED) {
        return;
    }
    fill(data, world.key += 1000003, size);
    call_begins(ring);
    result =
        sxvkWriteSmartBuffer(smart->buffer, sim_command_buffer(world.rig->sim), offset, size, data);
    if (!open) {
        expect_refused(result, SXVK_MESSAGE_BAD_FRAME_VALUE);
        (void)call_ends(VK_SUCCESS);
        return;
    }
    turned = smart->staged || turn_smart(smart);
    if (!turned) {
        expect_refused(result, SXVK_MESSAGE_BAD_FRAME_VALUE);
        (void)call_ends(VK_SUCCESS);
        return;
    }
    hurt = call_ends(result);
    if (result != VK_SUCCESS) {
        EXPECT(hurt || ring->pooled);
        messages_clear(&world.rig->messages);
        if (!smart->staged) { /* written, but not flushed */
            memset(smart->known[smart->copy] + offset, 0, (size_t)size);
        }
        return;
    }
    messages_clear(&world.rig->messages);
    if (smart->staged) {
        ring_took(ring, size, 0, hurt, made, NULL);
    }
    note_write(smart, offset, size, data);
}

/*  In two steps, with other slices between them. */
static void write_smart_in_steps(Smart* smart) {
    VkDeviceSize offset = below((uint32_t)smart->size);
    VkDeviceSize size = 1 + below((uint32_t)(smart->size - offset));
    Ring* ring = smart->ring;
    uint64_t made = sim_calls(world.rig->sim, SIM_CALL_CREATE_BUFFER);
    static uint8_t data[SMART_MOST];
    SxvkSmartBufferWrite write;
    VkResult result;
    bool hurt;
    if (ring->begun == ring->completed || ring->count + 4 > SLICES ||
        ring->retiredCount + 6 >= RETIRED || (!smart->staged && !turn_smart(smart))) {
        return;
    }
    call_begins(ring);
    result = sxvkPrepareSmartBufferWrite(smart->buffer, offset, size, &write);
    hurt = call_ends(result);
    messages_clear(&world.rig->messages);
    if (result != VK_SUCCESS) {
        EXPECT(hurt || ring->pooled);
        expect_zero(&write, sizeof write);
        return;
    }
    if (smart->staged) {
        ring_took(ring, size, 0, hurt, made, &write.staging);
        EXPECT(write.pData == write.staging.pMappedData);
    } else {
        expect_zero(&write.staging, sizeof write.staging);
        EXPECT(write.pData == smart->base + smart->copy * smart->stride + offset);
    }
    EXPECT(write.size == size);
    fill(write.pData, world.key += 1000003, size);
    if (smart->staged) { /* the bytes are to stay until the value is complete */
        ring->slices[ring->count - 1].key = world.key;
        ring->slices[ring->count - 1].filled = true;
    }
    fill(data, world.key, size);
    for (uint32_t i = below(3); i != 0; i--) {
        (void)take_from_ring(ring, random_size(ring), 0);
    }
    call_begins(ring);
    result = sxvkRecordSmartBufferWrite(smart->buffer, sim_command_buffer(world.rig->sim), &write);
    hurt = call_ends(result);
    EXPECT(result == VK_SUCCESS || hurt);
    if (result == VK_SUCCESS) {
        note_write(smart, offset, size, data);
    } else {
        memset(smart->known[smart->copy] + offset, 0, (size_t)size);
    }
}

/*  The device writes, the CPU reads. */
static void read_smart(Smart* smart) {
    static uint8_t data[SMART_MOST];
    VkDeviceSize offset = below((uint32_t)smart->size);
    VkDeviceSize size = 1 + below((uint32_t)(smart->size - offset));
    SxvkSmartBufferInfo info;
    VkResult result;
    bool hurt;
    sxvkGetSmartBufferInfo(smart->buffer, &info);
    if (one_in(2) && (smart->usage & VK_BUFFER_USAGE_TRANSFER_DST_BIT)) {
        fill(world.checkData, world.key += 1000003, size);
        fill(smart->bytes[0] + offset, world.key, size);
        memset(smart->known[0] + offset, 1, (size_t)size);
        copy(world.check, 0, info.slice.buffer, offset, size);
    }
    if (one_in(2)) {
        EXPECT(sxvkRecordSmartBufferRead(smart->buffer, sim_command_buffer(world.rig->sim), offset,
                                         size) == VK_SUCCESS);
        memcpy(smart->seen + offset, smart->bytes[0] + offset, (size_t)size);
        memcpy(smart->told + offset, smart->known[0] + offset, (size_t)size);
    }
    call_begins(smart);
    result = sxvkReadSmartBuffer(smart->buffer, offset, size, data);
    hurt = call_ends(result);
    EXPECT(result == VK_SUCCESS || hurt);
    for (VkDeviceSize i = 0; result == VK_SUCCESS && i < size; i++) {
        const uint8_t* seen = smart->staged ? smart->seen : smart->bytes[0];
        const uint8_t* told = smart->staged ? smart->told : smart->known[0];
        EXPECT(!told[offset + i] || data[i] == seen[offset + i]);
    }
    expect_silence();
}

static void step_smart(Smart* smart) {
    if (one_in(20)) {
        write_smart_wrongly(smart);
    } else if (smart->access == SXVK_SMART_BUFFER_ACCESS_READBACK) {
        read_smart(smart);
    } else if (one_in(2)) {
        write_smart(smart);
    } else {
        write_smart_in_steps(smart);
    }
    if (one_in(8)) {
        check_smart(smart);
        check_ring(smart->ring);
    }
}

static void destroy_smart(Smart* smart) {
    VkDeviceSize bytes;
    check_smart(smart);
    sxvkDestroySmartBuffer(world.rig->allocator, smart->buffer);
    smart->buffer = VK_NULL_HANDLE;
    EXPECT(buffers_of(smart, &bytes) == 0);
    expect_silence();
}

/* ------------------------------------------------------------------ arenas */

static void create_arena(Arena* arena) {
    SxvkMessage message;
    VkResult result;
    bool hurt;
    memset(arena, 0, sizeof *arena);
    arena->info = random_arena_info(&message);
    call_begins(arena);
    result = sxvkCreateBufferArena(world.rig->allocator, &arena->info, &arena->arena);
    if (message != SXVK_MESSAGE_NONE) {
        expect_refused(result, message);
    }
    hurt = call_ends(result);
    if (result != VK_SUCCESS) {
        EXPECT((hurt || message != SXVK_MESSAGE_NONE) && arena->arena == VK_NULL_HANDLE);
        return;
    }
    expect_silence();
    arena->unit = most_of(usage_alignment(arena->info.usage), arena->info.minAlignment);
    arena->unit = most_of(arena->unit, world.debugAlignment);
    if (arena->info.allocationFlags & HOST_FLAGS) {
        arena->unit = most_of(arena->unit, world.limits->nonCoherentAtomSize);
    }
}

static uint32_t slices_in(const Arena* arena, VkBuffer buffer) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < arena->count; i++) {
        count += arena->slices[i].slice.buffer == buffer;
    }
    return count;
}

/*  The largest empty buffer; at most one is. */
static VkDeviceSize empty_bytes(const Arena* arena) {
    VkDeviceSize bytes = 0;
    for (uint32_t i = 0; i < world.bufferCount; i++) {
        if (world.buffers[i].owner == arena && slices_in(arena, world.buffers[i].buffer) == 0) {
            EXPECT(bytes == 0);
            bytes = world.buffers[i].size;
        }
    }
    return bytes;
}

/*  A further buffer was made for this: no other one had a range that is large enough wherever it
    begins, as the bins round sizes. */
static void check_no_room(const Arena* arena, const Slice* s) {
    const struct SxvkBufferArena_T* a = arena->arena;
    uint64_t need = (s->taken + s->alignment) / arena->unit;
    need += need / 32 + 1;
    for (uint32_t id = 0; id < a->buffers.capacity; id++) {
        const sxvki_arena_buffer* b = sxvki_arena_buffer_at(a, id);
        if (b->backing.buffer != VK_NULL_HANDLE && b->backing.buffer != s->slice.buffer) {
            const sxvki_record* r;
            for (uint32_t index = b->first; index != SXVKI_NONE; index = r->next) {
                r = sxvki_record_at(&a->ranges.records, index);
                EXPECT(sxvki_record_is_live(r) || sxvki_record_size(r) < need);
            }
        }
    }
}

/*  Of the size that the create info promises: by what is used, with slots that are free. */
static void check_growth(const Arena* arena, const Slice* s, VkDeviceSize used, bool hurt) {
    VkDeviceSize size = buffer_of(s->slice.buffer)->size;
    VkDeviceSize most = arena->info.bufferSize;
    if (most == 0) {
        most = pow2_up(used / 2 + 1) / 2;
        most = most < 256 * 1024 ? 256 * 1024 : most > 64 * 1024 * 1024 ? 64 * 1024 * 1024 : most;
    }
    most = most_of(most / arena->unit * arena->unit, s->taken);
    EXPECT(size <= most && size >= s->taken && size % arena->unit == 0);
    EXPECT(hurt || arena->info.pool != VK_NULL_HANDLE ||
           (arena->info.allocationFlags & SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT) ||
           size == most);
    EXPECT(s->slice.offset == 0);
}

static void check_arena(Arena* arena) {
    SxvkStatistics stats;
    VkDeviceSize bytes, live = 0;
    uint32_t count = buffers_of(arena, &bytes);
    for (uint32_t i = 0; i < arena->count; i++) {
        live += arena->slices[i].taken;
    }
    sxvkGetBufferArenaStatistics(arena->arena, &stats);
    EXPECT(stats.blockCount == count && stats.blockBytes == bytes);
    EXPECT(stats.allocationCount == arena->count && stats.allocationBytes == live);
    EXPECT(sxvki_arena_is_valid(arena->arena));
    (void)empty_bytes(arena);
    if (arena->peakNeed != 0) {
        VkDeviceSize spare = 2 * arena->largest;
        uint64_t share = (bytes > spare ? bytes - spare : 0) * 100 / arena->peakNeed;
        worstShare = most_of(worstShare, share);
        EXPECT(share <= 200);
    }
}

/*  Bytes, with what an alignment may keep from others. Frees leave holes, so an arena is allowed
    twice the most that it ever needed at once, and two buffers. */
static VkDeviceSize need_of(const Arena* arena) {
    VkDeviceSize need = 0;
    for (uint32_t i = 0; i < arena->count; i++) {
        const Slice* s = &arena->slices[i];
        VkDeviceSize gap = s->alignment < arena->largest ? s->alignment : arena->largest;
        need += s->taken + (gap > s->taken ? gap - s->taken : 0);
    }
    return need;
}

static void take_from_arena(Arena* arena) {
    Slice* s = &arena->slices[arena->count];
    VkDeviceSize size = one_in(100) ? between(1, 3000000) : between(1, one_in(8) ? 200000 : 4000);
    VkDeviceSize alignment = one_in(4) ? (VkDeviceSize)1 << below(one_in(8) ? 32 : 14) : 0;
    VkDeviceSize bytes, idle = empty_bytes(arena);
    VkDeviceSize used = arena->arena->ranges.domain.live_bytes / 16 * arena->unit;
    uint64_t made = sim_calls(world.rig->sim, SIM_CALL_CREATE_BUFFER);
    uint32_t count = buffers_of(arena, &bytes);
    VkResult result;
    bool hurt;
    if (arena->count == SLICES) {
        return;
    }
    if (arena->count > 100 && one_in(2) && arena->slices[0].slice.size < 4000) {
        size = arena->slices[0].slice.size; /* many of one size: slots */
        alignment = 0;
    }
    memset(s, 0, sizeof *s);
    call_begins(arena);
    memset(&s->slice, 0xAA, sizeof s->slice);
    result = sxvkAllocateFromBufferArena(arena->arena, size, alignment, &s->handle, &s->slice);
    hurt = call_ends(result);
    if (result != VK_SUCCESS) {
        EXPECT(hurt || arena->info.pool != VK_NULL_HANDLE || size > MODEST ||
               (arena->info.allocationFlags & SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT));
        EXPECT(s->handle == VK_NULL_HANDLE);
        expect_zero(&s->slice, sizeof s->slice);
        messages_clear(&world.rig->messages);
        EXPECT(buffers_of(arena, &bytes) == count);
        return;
    }
    s->taken = up(size, arena->unit);
    s->alignment = most_of(alignment, arena->unit);
    check_place(&s->slice, arena, s->alignment, size);
    check_apart(arena->slices, arena->count, s);
    EXPECT(s->handle != VK_NULL_HANDLE);
    if (sim_calls(world.rig->sim, SIM_CALL_CREATE_BUFFER) != made &&
        buffers_of(arena, &bytes) != count) {
        EXPECT(idle < s->taken);
        check_growth(arena, s, used, hurt);
        check_no_room(arena, s);
        arena->largest = most_of(arena->largest, buffer_of(s->slice.buffer)->size);
    } else {
        EXPECT(hurt || world.rig->messages.total == 0);
    }
    messages_clear(&world.rig->messages);
    write_slice(s);
    arena->count++;
    arena->peakNeed = most_of(arena->peakNeed, need_of(arena));
    slicesTaken++;
}

static void look_at_arena(const Arena* arena, const Slice* s) {
    SxvkBufferSlice slice;
    sxvkGetBufferArenaSlice(arena->arena, s->handle, &slice);
    EXPECT(slice.size == s->taken);
    slice.size = s->slice.size;
    EXPECT(memcmp(&slice, &s->slice, sizeof slice) == 0);
}

static void free_to_arena(Arena* arena, uint32_t at) {
    Slice* s = &arena->slices[at];
    VkDeviceSize bytes, idle = empty_bytes(arena);
    bool last = slices_in(arena, s->slice.buffer) == 1;
    uint32_t count = buffers_of(arena, &bytes);
    check_slice(s);
    look_at_arena(arena, s);
    call_begins(arena);
    sxvkFreeToBufferArena(arena->arena, s->handle);
    EXPECT(!call_ends(VK_SUCCESS));
    expect_silence();
    arena->stale[arena->staleCount++ % STALE] = s->handle;
    arena->slices[at] = arena->slices[--arena->count];
    EXPECT(buffers_of(arena, &bytes) == count - (last && idle != 0)); /* one is kept */
    (void)empty_bytes(arena);
}

static void misuse_arena(Arena* arena) {
    SxvkBufferSlice slice;
    SxvkArenaAllocation handle = (SxvkArenaAllocation)(void*)arena;
    uint32_t have = arena->staleCount < STALE ? arena->staleCount : STALE;
    if (have != 0) {
        sxvkFreeToBufferArena(arena->arena, arena->stale[below(have)]);
        expect_refused(VK_ERROR_VALIDATION_FAILED_EXT, SXVK_MESSAGE_INVALID_ALLOCATION);
        memset(&slice, 0xAA, sizeof slice);
        sxvkGetBufferArenaSlice(arena->arena, arena->stale[below(have)], &slice);
        expect_refused(VK_ERROR_VALIDATION_FAILED_EXT, SXVK_MESSAGE_INVALID_ALLOCATION);
        expect_zero(&slice, sizeof slice);
    }
    expect_refused(sxvkAllocateFromBufferArena(arena->arena, 0, 0, &handle, &slice),
                   SXVK_MESSAGE_BAD_SIZE);
    EXPECT(handle == VK_NULL_HANDLE);
    expect_refused(
        sxvkAllocateFromBufferArena(arena->arena, 1, (VkDeviceSize)3 << below(62), &handle, &slice),
        SXVK_MESSAGE_BAD_ALIGNMENT);
    expect_refused(sxvkAllocateFromBufferArena(arena->arena, (VkDeviceSize)1 << (40 + below(24)), 0,
                                               &handle, &slice),
                   SXVK_MESSAGE_BAD_SIZE);
}

static void step_arena(Arena* arena) {
    uint32_t draw = below(100);
    uint32_t wanted = world.step / 300 % 2 == 0 ? SLICES : 10;
    if (draw < 2) {
        misuse_arena(arena);
    } else if (draw < 4) {
        check_arena(arena);
    } else if (draw < 5 && arena->count != 0 && one_in(3)) {
        while (arena->count != 0) {
            free_to_arena(arena, below(arena->count));
        }
        check_arena(arena);
    } else if (arena->count < wanted && draw < 70) {
        take_from_arena(arena);
    } else if (arena->count != 0) {
        free_to_arena(arena, below(arena->count));
    }
}

static void destroy_arena(Arena* arena) {
    VkDeviceSize bytes;
    check_arena(arena);
    while (arena->count != 0 && one_in(8) == 0) {
        free_to_arena(arena, below(arena->count));
    }
    sxvkDestroyBufferArena(world.rig->allocator, arena->arena);
    if (arena->count != 0) {
        expect_refused(VK_ERROR_VALIDATION_FAILED_EXT, SXVK_MESSAGE_LEAKED_ALLOCATION);
    }
    expect_silence();
    EXPECT(buffers_of(arena, &bytes) == 0);
    arena->arena = VK_NULL_HANDLE;
}

/* ------------------------------------------------------------------ a run */

static void step(void) {
    uint32_t draw = below(100);
    Ring* ring = &world.rings[below(RINGS)];
    Smart* smart = &world.smarts[below(SMARTS)];
    Arena* arena = &world.arenas[below(ARENAS)];
    uint32_t i;
    if (draw < 45) {
        if (ring->ring == VK_NULL_HANDLE) {
            create_ring(ring);
        } else {
            step_ring(ring, world.step / 200 % 3);
        }
    } else if (draw < 65) {
        if (smart->buffer != VK_NULL_HANDLE) {
            step_smart(smart);
        } else if (ring->ring != VK_NULL_HANDLE) {
            create_smart(smart, ring);
        }
    } else if (draw < 99) {
        if (arena->arena == VK_NULL_HANDLE) {
            create_arena(arena);
        } else {
            step_arena(arena);
        }
    } else if (one_in(8) && ring->ring != VK_NULL_HANDLE) {
        for (i = 0; i < SMARTS; i++) {
            if (world.smarts[i].buffer != VK_NULL_HANDLE && world.smarts[i].ring == ring) {
                destroy_smart(&world.smarts[i]);
            }
        }
        destroy_ring(ring);
    } else if (one_in(2) && smart->buffer != VK_NULL_HANDLE) {
        destroy_smart(smart);
    } else if (one_in(4) && arena->arena != VK_NULL_HANDLE) {
        destroy_arena(arena);
    }
}

static void create_pool(void) {
    const VkFlags never = VK_MEMORY_PROPERTY_PROTECTED_BIT |
                          VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT |
                          VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD;
    const VkBufferCreateInfo buffer = testing_buffer(65536, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    const SxvkAllocationCreateInfo none = {0};
    SxvkPoolCreateInfo info = {.blockSize = one_in(2) ? 0 : between(65536, 8 << 20),
                               .maxBlockCount = below(4)};
    uint32_t type, i;
    if (sxvkFindMemoryTypeIndexForBufferInfo(world.rig->allocator, &buffer, &none, &type) !=
        VK_SUCCESS) {
        return;
    }
    for (i = 0; i < 4; i++) { /* one of all that buffers may have, rather with what rings need */
        uint32_t other = below(sim_profile(world.rig->sim)->memory.memoryTypeCount);
        VkMemoryPropertyFlags flags;
        sxvkGetMemoryTypeProperties(world.rig->allocator, other, &flags);
        type = (flags & never) == 0 && (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0 ? other
                                                                                          : type;
    }
    info.memoryTypeIndex = type;
    sxvkGetMemoryTypeProperties(world.rig->allocator, type, &world.poolFlags);
    EXPECT(sxvkCreatePool(world.rig->allocator, &info, &world.pool) == VK_SUCCESS);
    expect_silence();
}

static void open_check_buffer(void) {
    const VkBufferCreateInfo info = testing_buffer(CHECK_BYTES, BOTH_COPIES);
    const SxvkAllocationCreateInfo memory = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT |
                                                      SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT,
                                             .usage = SXVK_MEMORY_USAGE_AUTO,
                                             .requiredFlags = VK_MEMORY_PROPERTY_HOST_COHERENT_BIT};
    SxvkAllocationInfo got;
    EXPECT(sxvkCreateBuffer(world.rig->allocator, &info, &memory, &world.check, &world.checkMemory,
                            &got) == VK_SUCCESS);
    world.checkData = (uint8_t*)got.pMappedData;
}

static void open_world(uint64_t seed, const SimProfile* profiles, uint32_t profileCount) {
    RigOptions options = rig_options();
    SxvkDebugInfo debug;
    SxvkVulkanFunctions* fn;
    uint32_t profile = 0;
    memset(&world, 0, sizeof world);
    memset(&debug, 0, sizeof debug);
    world.seed = seed;
    world.random = seed * 1000003;
    profile = below(profileCount + 4);
    options.profile = profile < profileCount ? &profiles[profile] : NULL;
    options.sim.backing = true;
    world.addresses = one_in(2);
    options.info.flags = (world.addresses ? SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT : 0) |
                         (one_in(4) ? SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT : 0) |
                         (one_in(4) ? SXVK_ALLOCATOR_CREATE_EXTERNALLY_SYNCHRONIZED_BIT : 0);
    if (one_in(6)) {
        debug.minAlignment = world.debugAlignment = (VkDeviceSize)1 << below(13);
        options.info.pDebugInfo = &debug;
    }
    world.rig = rig_create(&options);
    world.limits = &world.rig->allocator->device.vk.properties.limits;
    fn = &world.rig->allocator->device.vk.fn;
    realCreateBuffer = fn->vkCreateBuffer;
    realDestroyBuffer = fn->vkDestroyBuffer;
    realAllocateMemory = fn->vkAllocateMemory;
    fn->vkCreateBuffer = watch_create;
    fn->vkDestroyBuffer = watch_destroy;
    fn->vkAllocateMemory = watch_allocate;
    open_check_buffer();
    if (one_in(2)) {
        create_pool();
    }
    call_begins(NULL);
    (void)call_ends(VK_SUCCESS);
}

static void close_world(void) {
    uint32_t i;
    for (i = 0; i < SMARTS; i++) {
        if (world.smarts[i].buffer != VK_NULL_HANDLE) {
            destroy_smart(&world.smarts[i]);
        }
    }
    for (i = 0; i < RINGS; i++) {
        if (world.rings[i].ring != VK_NULL_HANDLE) {
            destroy_ring(&world.rings[i]);
        }
    }
    for (i = 0; i < ARENAS; i++) {
        if (world.arenas[i].arena != VK_NULL_HANDLE) {
            destroy_arena(&world.arenas[i]);
        }
    }
    sxvkDestroyBuffer(world.rig->allocator, world.check, world.checkMemory);
    sxvkDestroyPool(world.rig->allocator, world.pool);
    expect_silence();
    EXPECT(sxvkCheckIntegrity(world.rig->allocator) == VK_SUCCESS);
    sxvkDestroyAllocator(world.rig->allocator);
    world.rig->allocator = VK_NULL_HANDLE;
    expect_silence();
    EXPECT(world.bufferCount == 0 && sim_live_resource_count(world.rig->sim) == 0);
    EXPECT(sim_live_memory_count(world.rig->sim) == 0);
    EXPECT(sim_errors(world.rig->sim) == 0);
    EXPECT(world.rig->host.liveCount == 0 && world.rig->host.liveBytes == 0);
    EXPECT(world.rig->host.mistakes == 0);
    rig_destroy(world.rig);
    world.rig = NULL;
}

static void run(uint64_t seed, const SimProfile* profiles, uint32_t profileCount) {
    open_world(seed, profiles, profileCount);
    for (world.step = 0; world.step < STEPS; world.step++) {
        step();
        EXPECT(sim_errors(world.rig->sim) == 0);
    }
    close_world();
}

int main(int argc, char** argv) {
    uint64_t seed = 1;
    uint32_t runs = 0, least = 300, profileCount = 0;
    double seconds = 0;
    time_t start = time(NULL);
    SimProfile* profiles = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 10);
            least = 1;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            seconds = strtod(argv[i + 1], NULL);
        } else {
            fprintf(stderr, "usage: fuzz_upload [--seed N] [--seconds S]\n");
            return 2;
        }
    }
    if (!sim_load_profiles(TESTING_PROFILES, &profiles, &profileCount)) {
        return 1;
    }
    do {
        run(seed++, profiles, profileCount);
        runs++;
    } while (runs < least || difftime(time(NULL), start) < seconds);
    sim_free_profiles(profiles);
    printf("fuzz_upload: seeds up to %" PRIu64 ", %u runs of %u steps: %" PRIu64 " slices, %" PRIu64
           " spills, %" PRIu64 " failures survived; arenas at most %" PRIu64
           " %% of what they needed\n",
           seed - 1, runs, STEPS, slicesTaken, spillsSeen, failuresSeen, worstShare);
    return 0;
}
