/*  test_linear.c - linear pools: stack, double stack, ring buffer, memory freed at once, and resets.

    Most pools here ignore bufferImageGranularity, so that ranges of any size stand side by side and
    every offset can be told. Run by CTest (unit.linear).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

/*  To reach a record takes a bit scan: their number is a measure of work that is the same in every
    run. Of this thread alone. */
static __thread uint64_t bit_scans;
#define __builtin_clzll(x) (bit_scans++, __builtin_clzll(x))

#define SX_VKALLOC_DEBUG   2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB   ((VkDeviceSize)1 << 10)
#define MIB   ((VkDeviceSize)1 << 20)
#define UPPER SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT
#define FULL  UINT64_MAX /* for an offset: there was no room */

/* Memory types of sim_profile_discrete. */
enum { LOCAL, HOST, CACHED, BAR };

/* ------------------------------------------------------------------ small helpers */

static SxvkPoolCreateInfo linear_info(VkDeviceSize blockSize, size_t maxBlockCount) {
    SxvkPoolCreateInfo info = {.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT |
                                        SXVK_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT,
                               .memoryTypeIndex = HOST,
                               .blockSize = blockSize,
                               .maxBlockCount = maxBlockCount};
    return info;
}

static SxvkPool create_pool(Rig* rig, const SxvkPoolCreateInfo* info) {
    SxvkPool pool;
    assert_int_equal(sxvkCreatePool(rig->allocator, info, &pool), VK_SUCCESS);
    return pool;
}

static SxvkPool linear_pool(Rig* rig, VkDeviceSize blockSize, size_t maxBlockCount) {
    SxvkPoolCreateInfo info = linear_info(blockSize, maxBlockCount);
    return create_pool(rig, &info);
}

/*  An allocation, and where it went. */
typedef struct Range {
    SxvkAllocation allocation;
    VkDeviceMemory memory;
    VkDeviceSize offset; /* FULL: there was no room */
    VkDeviceSize size;
} Range;

static Range take_aligned(Rig* rig, SxvkPool pool, VkDeviceSize size, VkDeviceSize alignment,
                          SxvkAllocationCreateFlags flags) {
    VkMemoryRequirements requirements = testing_requirements(size, alignment, UINT32_MAX);
    SxvkAllocationCreateInfo create = {.flags = flags, .pool = pool};
    SxvkAllocationInfo info;
    Range range = {.offset = FULL};
    VkResult result =
        sxvkAllocateMemory(rig->allocator, &requirements, &create, &range.allocation, &info);
    if (result == VK_SUCCESS) {
        assert_int_equal(info.size, size);
        assert_int_equal(info.offset % alignment, 0);
        range.memory = info.deviceMemory;
        range.offset = info.offset;
        range.size = size;
    } else { /* a message only where the pool could never do it */
        assert_int_equal(result, VK_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_null(range.allocation);
        rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, size > pool->block_size);
    }
    return range;
}

static Range take(Rig* rig, SxvkPool pool, VkDeviceSize size) {
    return take_aligned(rig, pool, size, 1, 0);
}

static Range take_upper(Rig* rig, SxvkPool pool, VkDeviceSize size) {
    return take_aligned(rig, pool, size, 1, UPPER);
}

/*  Takes a range and says where it is to be. */
#define TAKE_AT(rig, pool, size, at)  take_at((rig), (pool), (size), 0, (at))
#define UPPER_AT(rig, pool, size, at) take_at((rig), (pool), (size), UPPER, (at))

static SxvkAllocation take_at(Rig* rig, SxvkPool pool, VkDeviceSize size,
                              SxvkAllocationCreateFlags flags, VkDeviceSize at) {
    Range range = take_aligned(rig, pool, size, 1, flags);
    assert_int_equal(range.offset, at);
    assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_SUCCESS);
    return range.allocation;
}

static void give(Rig* rig, SxvkAllocation allocation) {
    sxvkFreeMemory(rig->allocator, allocation);
    assert_false(sxvkIsAllocationValid(rig->allocator, allocation));
}

static SxvkStatistics pool_statistics(Rig* rig, SxvkPool pool) {
    SxvkStatistics stats;
    sxvkGetPoolStatistics(rig->allocator, pool, &stats);
    return stats;
}

static void finish(Rig* rig, SxvkPool pool) {
    rig_check(rig);
    sxvkDestroyPool(rig->allocator, pool);
    assert_int_equal(sim_live_memory_count(rig->sim), 0);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ patterns in one block */

/*  Last in, first out: what is taken again lies where what was given lay. */
static void test_stack(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 64 * KIB, 1);
    SxvkAllocation stack[64];
    VkDeviceSize top = 0;
    uint64_t seed = 3;
    uint32_t depth = 0, i;
    VkDeviceSize sizes[64];
    (void)state;
    for (i = 0; i < 4000; i++) {
        if (depth != 0 && testing_below(&seed, 2) == 0) {
            depth--;
            give(rig, stack[depth]);
            top -= sizes[depth];
        } else if (depth < 64) {
            sizes[depth] = 16 * (1 + testing_below(&seed, 64));
            stack[depth] = TAKE_AT(rig, pool, sizes[depth], top);
            top += sizes[depth++];
        }
    }
    sim_reset_calls(rig->sim);
    while (depth != 0) {
        give(rig, stack[--depth]);
    }
    assert_int_equal(rig_calls(rig), 0);
    finish(rig, pool);
}

/*  The block is used to its last byte, and that byte is there. */
static void test_fill_to_the_last_byte(void** state) {
    static const VkDeviceSize sizes[] = {16, 48, 1000, 4096, 65536};
    RigOptions options = rig_options();
    Rig* rig;
    size_t s;
    (void)state;
    options.sim.backing = true;
    rig = rig_create(&options);
    for (s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        VkDeviceSize step = (sizes[s] + 15) / 16 * 16;
        SxvkPool pool = linear_pool(rig, 60 * step, 1);
        uint32_t flip;
        for (flip = 0; flip < 3; flip++) { /* all from below, all from above, in turns */
            SxvkAllocation ranges[60];
            VkDeviceSize low = 0, high = 60 * step;
            uint32_t i;
            for (i = 0; i < 60; i++) {
                int upper = flip == 1 || (flip == 2 && i % 2 != 0);
                void* data;
                high -= upper ? step : 0;
                ranges[i] = take_at(rig, pool, sizes[s], upper ? UPPER : 0, upper ? high : low);
                low += upper ? 0 : step;
                assert_int_equal(sxvkMapMemory(rig->allocator, ranges[i], &data), VK_SUCCESS);
                memset(data, (int)i, (size_t)sizes[s]);
            }
            assert_int_equal(low, high);
            assert_int_equal(take(rig, pool, 1).offset, FULL);
            assert_int_equal(take_upper(rig, pool, 1).offset, FULL);
            for (i = 0; i < 60; i++) {
                SxvkAllocationInfo info;
                VkDeviceSize b;
                sxvkGetAllocationInfo(rig->allocator, ranges[i], &info);
                for (b = 0; b < sizes[s]; b++) {
                    assert_int_equal(((unsigned char*)info.pMappedData)[b], i);
                }
                sxvkUnmapMemory(rig->allocator, ranges[i]);
                give(rig, ranges[i]);
            }
        }
        sxvkDestroyPool(rig->allocator, pool);
    }
    rig_destroy(rig);
}

/*  Freed at once, in any order: only then the room is back, and all of it. */
static void test_free_at_once(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 100 * KIB, 1);
    uint64_t seed = 11;
    uint32_t round;
    (void)state;
    for (round = 0; round < 20; round++) {
        SxvkAllocation ranges[100];
        uint32_t i;
        for (i = 0; i < 100; i++) {
            ranges[i] = TAKE_AT(rig, pool, KIB, i * KIB);
        }
        for (i = 100; i != 0; i--) {
            uint32_t pick = testing_below(&seed, i);
            give(rig, ranges[pick]);
            ranges[pick] = ranges[i - 1];
            assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_SUCCESS);
        }
    }
    finish(rig, pool);
}

/*  First in, first out, round and round. */
static void test_ring(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 10 * KIB, 1);
    SxvkAllocation ring[10];
    uint32_t i;
    (void)state;
    for (i = 0; i < 10; i++) {
        ring[i] = TAKE_AT(rig, pool, KIB, i * KIB);
    }
    for (i = 10; i < 1000; i++) {
        assert_int_equal(take(rig, pool, 16).offset, FULL);
        give(rig, ring[i % 10]);
        ring[i % 10] = TAKE_AT(rig, pool, KIB, i % 10 * KIB);
    }
    /* The rest at the end is too small, so it is left: 1.5 KiB go to the start. */
    give(rig, ring[0]);
    give(rig, ring[1]);
    ring[0] = TAKE_AT(rig, pool, KIB + KIB / 2, 0);
    assert_int_equal(take(rig, pool, KIB).offset, FULL);
    ring[1] = TAKE_AT(rig, pool, KIB / 2, KIB + KIB / 2);
    for (i = 0; i < 10; i++) {
        give(rig, ring[(i + 2) % 10]);
    }
    finish(rig, pool);
}

/*  When all that had wrapped is gone, the ring goes on behind the rest, and wraps anew. */
static void test_ring_unwraps(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 10 * KIB, 1);
    SxvkAllocation a = TAKE_AT(rig, pool, 4 * KIB, 0);
    SxvkAllocation b = TAKE_AT(rig, pool, 4 * KIB, 4 * KIB);
    SxvkAllocation c, d;
    (void)state;
    give(rig, a);
    c = TAKE_AT(rig, pool, 3 * KIB, 0); /* does not fit behind b */
    d = TAKE_AT(rig, pool, KIB, 3 * KIB);
    give(rig, d);
    give(rig, c);
    c = TAKE_AT(rig, pool, 2 * KIB, 8 * KIB); /* fits behind b */
    d = TAKE_AT(rig, pool, 4 * KIB, 0);
    assert_int_equal(take(rig, pool, 16).offset, FULL);
    give(rig, b);
    give(rig, c);
    a = TAKE_AT(rig, pool, 6 * KIB, 4 * KIB);
    give(rig, a);
    give(rig, d);
    finish(rig, pool);
}

/*  Two stacks that grow towards each other, and meet. */
static void test_double_stack(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 10 * KIB, 1);
    SxvkAllocation low[3], upper[3];
    (void)state;
    low[0] = TAKE_AT(rig, pool, 2 * KIB, 0);
    upper[0] = UPPER_AT(rig, pool, KIB, 9 * KIB);
    upper[1] = UPPER_AT(rig, pool, 3 * KIB, 6 * KIB);
    low[1] = TAKE_AT(rig, pool, 3 * KIB, 2 * KIB);
    assert_int_equal(take(rig, pool, KIB + 1).offset, FULL);
    assert_int_equal(take_upper(rig, pool, KIB + 1).offset, FULL);
    upper[2] = UPPER_AT(rig, pool, KIB, 5 * KIB);
    assert_int_equal(take(rig, pool, 1).offset, FULL);
    give(rig, upper[2]);
    give(rig, upper[1]);
    low[2] = TAKE_AT(rig, pool, 4 * KIB, 5 * KIB);
    assert_int_equal(take_upper(rig, pool, 1).offset, FULL);
    /* Either stack may go first, and the other one goes on. */
    give(rig, low[2]);
    give(rig, low[1]);
    give(rig, low[0]);
    upper[1] = UPPER_AT(rig, pool, 9 * KIB, 0);
    assert_int_equal(take(rig, pool, 1).offset, FULL);
    give(rig, upper[1]);
    low[0] = TAKE_AT(rig, pool, KIB, 0);
    give(rig, upper[0]);
    upper[0] = UPPER_AT(rig, pool, 9 * KIB, KIB);
    give(rig, low[0]);
    give(rig, upper[0]);
    finish(rig, pool);
}

/*  A ring that has wrapped has no end to grow from; two stacks do not wrap. */
static void test_ring_or_double_stack(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 10 * KIB, 1);
    SxvkAllocation a = TAKE_AT(rig, pool, 4 * KIB, 0);
    SxvkAllocation b = TAKE_AT(rig, pool, 4 * KIB, 4 * KIB);
    SxvkAllocation c, d;
    (void)state;
    give(rig, a);
    c = UPPER_AT(rig, pool, KIB, 9 * KIB);
    assert_int_equal(take(rig, pool, 3 * KIB).offset, FULL);
    give(rig, c);
    c = TAKE_AT(rig, pool, 3 * KIB, 0);
    assert_int_equal(take_upper(rig, pool, KIB).offset, FULL);
    give(rig, b); /* the ring has come round: no tail is left behind c */
    d = UPPER_AT(rig, pool, 7 * KIB, 3 * KIB);
    give(rig, d);
    give(rig, c);
    finish(rig, pool);
}

/*  Out of order: room comes back when the end of the stack or ring passes it. */
static void test_wrong_order(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 8 * KIB, 1);
    SxvkAllocation a[8];
    uint32_t i;
    (void)state;
    for (i = 0; i < 6; i++) {
        a[i] = TAKE_AT(rig, pool, KIB, i * KIB);
    }
    give(rig, a[3]);
    give(rig, a[4]);
    a[6] = TAKE_AT(rig, pool, KIB, 6 * KIB); /* not into the hole */
    give(rig, a[5]);
    give(rig, a[6]);
    a[3] = TAKE_AT(rig, pool, 5 * KIB, 3 * KIB); /* behind 2: the hole is back */
    give(rig, a[1]);
    assert_int_equal(take(rig, pool, KIB).offset, FULL); /* 0 keeps the start */
    give(rig, a[0]);
    a[0] = TAKE_AT(rig, pool, 2 * KIB, 0); /* both, as one */
    give(rig, a[2]);
    a[1] = TAKE_AT(rig, pool, KIB, 2 * KIB);
    give(rig, a[3]);
    a[3] = TAKE_AT(rig, pool, 5 * KIB, 3 * KIB);
    give(rig, a[0]);
    give(rig, a[1]);
    give(rig, a[3]);

    /* The same from above. */
    for (i = 0; i < 4; i++) {
        a[i] = UPPER_AT(rig, pool, KIB, (7 - i) * KIB);
    }
    give(rig, a[0]);
    give(rig, a[2]);
    a[4] = UPPER_AT(rig, pool, KIB, 3 * KIB);
    give(rig, a[4]);
    give(rig, a[3]);
    a[2] = UPPER_AT(rig, pool, 6 * KIB, 0);
    give(rig, a[2]);
    give(rig, a[1]);
    a[0] = UPPER_AT(rig, pool, 8 * KIB, 0);
    give(rig, a[0]);
    finish(rig, pool);
}

static void test_alignment(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, MIB, 1);
    uint64_t seed = 5;
    uint32_t i;
    (void)state;
    for (i = 0; i < 500; i++) {
        VkDeviceSize alignment = (VkDeviceSize)1 << testing_below(&seed, 18);
        Range low = take_aligned(rig, pool, 1 + testing_below(&seed, 3000), alignment, 0);
        Range upper = take_aligned(rig, pool, 1 + testing_below(&seed, 3000), alignment, UPPER);
        Range second = take_aligned(rig, pool, 100, alignment, 0);
        assert_int_equal(low.offset, 0);
        assert_true(upper.offset + upper.size <= MIB);
        assert_true(upper.offset + upper.size + alignment + 16 > MIB);
        assert_true(second.offset >= low.size && second.offset < low.size + alignment + 16);
        give(rig, low.allocation);
        give(rig, upper.allocation);
        give(rig, second.allocation);
    }
    finish(rig, pool);
}

/*  Buffers against optimal images: never on one page of bufferImageGranularity. */
static void test_granularity(void** state) {
    SxvkPoolCreateInfo info = {.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT,
                               .memoryTypeIndex = LOCAL,
                               .blockSize = 4 * MIB,
                               .maxBlockCount = 1};
    VkBufferCreateInfo buffer_info = testing_buffer(1000, VK_BUFFER_USAGE_TRANSFER_DST_BIT);
    VkImageCreateInfo image_info = testing_image(16, 16, VK_IMAGE_TILING_OPTIMAL);
    Rig* rig = rig_create(NULL);
    SxvkPool pool = create_pool(rig, &info);
    const VkDeviceSize page = 1024; /* of the profile */
    SxvkAllocationInfo ends[60];
    SxvkAllocation allocations[60];
    VkBuffer buffers[60] = {VK_NULL_HANDLE};
    VkImage images[60] = {VK_NULL_HANDLE};
    uint64_t seed = 9;
    uint32_t i, j;
    (void)state;
    for (i = 0; i < 60; i++) {
        SxvkAllocationCreateInfo create = {.pool = pool,
                                           .flags = testing_below(&seed, 2) ? UPPER : 0};
        VkResult result = testing_below(&seed, 2)
                              ? sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffers[i],
                                                 &allocations[i], &ends[i])
                              : sxvkCreateImage(rig->allocator, &image_info, &create, &images[i],
                                                &allocations[i], &ends[i]);
        assert_int_equal(result, VK_SUCCESS);
        for (j = 0; j < i; j++) {
            VkDeviceSize first = ends[j].offset, second = ends[i].offset;
            assert_true(first + ends[j].size <= second || second + ends[i].size <= first);
            if ((buffers[i] == VK_NULL_HANDLE) != (buffers[j] == VK_NULL_HANDLE)) {
                assert_true((first + ends[j].size - 1) / page < second / page ||
                            (second + ends[i].size - 1) / page < first / page);
            }
        }
    }
    rig_check(rig);
    for (i = 0; i < 60; i++) {
        if (images[i] != VK_NULL_HANDLE) {
            sxvkDestroyImage(rig->allocator, images[i], allocations[i]);
        } else {
            sxvkDestroyBuffer(rig->allocator, buffers[i], allocations[i]);
        }
    }
    finish(rig, pool);
}

/*  On memory that is not coherent no atom is shared. */
static void test_atoms(void** state) {
    SimProfile profile = sim_profile_discrete();
    RigOptions options = rig_options();
    SxvkPoolCreateInfo info = linear_info(64 * KIB, 1);
    SxvkPool pool;
    Range a, b, c;
    Rig* rig;
    (void)state;
    profile.memory.memoryTypes[CACHED].propertyFlags &=
        ~(VkFlags)VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    profile.nonCoherentAtomSize = 256;
    options.profile = &profile;
    rig = rig_create(&options);
    info.memoryTypeIndex = CACHED;
    pool = create_pool(rig, &info);
    a = take(rig, pool, 100);
    b = take(rig, pool, 300);
    c = take_upper(rig, pool, 100);
    assert_int_equal(b.offset, 256);
    assert_int_equal(c.offset, 64 * KIB - 256);
    give(rig, a.allocation);
    give(rig, b.allocation);
    give(rig, c.allocation);
    finish(rig, pool);
}

/* ------------------------------------------------------------------ several blocks */

/*  A stack over many blocks: the block before goes on when the newest one is empty. One empty block
    is kept, so that a stack that works around the end of a block makes no driver calls. */
static void test_stack_of_blocks(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 10 * KIB, 0);
    Range stack[35];
    uint32_t i, k;
    (void)state;
    for (i = 0; i < 35; i++) {
        stack[i] = take(rig, pool, 3 * KIB);
        assert_int_equal(stack[i].offset, i % 3 * 3 * KIB);
    }
    assert_int_equal(pool_statistics(rig, pool).blockCount, 12);
    while (i > 3) {
        give(rig, stack[--i].allocation);
        assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_SUCCESS);
        assert_in_range(pool_statistics(rig, pool).blockCount, (i + 2) / 3, (i + 2) / 3 + 1);
        /* One more goes where that one was. */
        stack[i] = take(rig, pool, 3 * KIB);
        assert_int_equal(stack[i].offset, i % 3 * 3 * KIB);
        give(rig, stack[i].allocation);
    }
    sim_reset_calls(rig->sim);
    for (k = 0; k < 100; k++) { /* around the end of the first block */
        stack[3] = take(rig, pool, 3 * KIB);
        assert_int_equal(stack[3].offset, 0);
        give(rig, stack[3].allocation);
    }
    assert_int_equal(rig_calls(rig), 0);
    assert_int_equal(sxvkTrim(rig->allocator), 10 * KIB);
    assert_int_equal(pool_statistics(rig, pool).blockCount, 1);
    while (i != 0) {
        give(rig, stack[--i].allocation);
    }
    finish(rig, pool);
}

/*  A ring over several blocks: the oldest block runs empty first, and is used again. */
static void test_ring_of_blocks(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 4 * KIB, 3);
    SxvkAllocation ring[12];
    uint32_t i;
    (void)state;
    for (i = 0; i < 12; i++) {
        ring[i] = TAKE_AT(rig, pool, KIB, i % 4 * KIB);
    }
    assert_int_equal(pool_statistics(rig, pool).blockCount, 3);
    assert_int_equal(take(rig, pool, 1).offset, FULL);
    sim_reset_calls(rig->sim);
    for (; i < 400; i += 4) {
        uint32_t k;
        for (k = i; k < i + 4; k++) {
            give(rig, ring[k % 12]);
        }
        for (k = i; k < i + 4; k++) {
            ring[k % 12] = TAKE_AT(rig, pool, KIB, k % 4 * KIB);
        }
    }
    assert_int_equal(rig_calls(rig), 0);
    sxvkFreeMemoryPages(rig->allocator, 12, ring);
    finish(rig, pool);
}

/*  Double stacks work in the newest block. What fits no block is refused without a driver call. */
static void test_upper_in_several_blocks(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 4 * KIB, 0);
    Range a = take(rig, pool, 2 * KIB);
    Range b = take_upper(rig, pool, 2 * KIB);
    Range c = take_upper(rig, pool, KIB);
    Range d = take(rig, pool, 3 * KIB);
    (void)state;
    assert_true(a.memory == b.memory && c.memory == d.memory && a.memory != c.memory);
    assert_int_equal(b.offset, 2 * KIB);
    assert_int_equal(c.offset, 3 * KIB);
    assert_int_equal(d.offset, 0);
    sim_reset_calls(rig->sim);
    assert_int_equal(take_upper(rig, pool, 4 * KIB + 1).offset, FULL);
    assert_int_equal(rig_calls(rig), 0);
    give(rig, a.allocation);
    give(rig, b.allocation);
    give(rig, c.allocation);
    give(rig, d.allocation);
    finish(rig, pool);
}

static void test_counts_and_never_allocate(void** state) {
    SxvkPoolCreateInfo info = linear_info(4 * KIB, 0);
    Rig* rig = rig_create(NULL);
    SxvkPool pool;
    Range a, b;
    (void)state;
    info.minBlockCount = 2;
    pool = create_pool(rig, &info);
    assert_int_equal(sim_live_memory_count(rig->sim), 2);
    sim_reset_calls(rig->sim);
    a = take_aligned(rig, pool, 4 * KIB, 1, SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT);
    b = take_aligned(rig, pool, 4 * KIB, 1, SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT);
    assert_int_equal(b.offset, 0);
    assert_int_equal(
        take_aligned(rig, pool, 1, 1, SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT).offset, FULL);
    assert_int_equal(rig_calls(rig), 0);
    give(rig, a.allocation);
    give(rig, b.allocation);
    sxvkTrim(rig->allocator);
    assert_int_equal(sim_live_memory_count(rig->sim), 2);
    finish(rig, pool);
}

/*  Without a block size a linear pool has blocks of the preferred one. */
static void test_preferred_block_size(void** state) {
    RigOptions options = rig_options();
    SxvkPoolCreateInfo info = linear_info(0, 0);
    SxvkAllocationInfo2 where;
    SxvkPool pool;
    Range a;
    Rig* rig;
    (void)state;
    options.info.preferredLargeHeapBlockSize = 8 * MIB;
    rig = rig_create(&options);
    pool = create_pool(rig, &info);
    a = take(rig, pool, 1);
    sxvkGetAllocationInfo2(rig->allocator, a.allocation, &where);
    assert_int_equal(where.blockSize, 8 * MIB);
    assert_false(where.dedicatedMemory);
    give(rig, a.allocation);
    finish(rig, pool);
}

/* ------------------------------------------------------------------ reset */

#define EPOCHS    300
#define PER_EPOCH 7

/*  Every handle ever given out is remembered; after any number of resets and re-uses none of the old
    ones matches, and all of the new ones do. */
static void test_reset_and_stale_handles(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 64 * KIB, 1);
    static SxvkAllocation old[EPOCHS * PER_EPOCH];
    uint32_t count = 0, epoch, i;
    uint64_t seed = 17;
    (void)state;
    sim_reset_calls(rig->sim);
    for (epoch = 0; epoch < EPOCHS; epoch++) {
        uint32_t before = count;
        uint32_t most = 1 + testing_below(&seed, PER_EPOCH);
        VkDeviceSize at = 0;
        for (i = 0; i < most; i++) {
            old[count++] = TAKE_AT(rig, pool, KIB, at);
            at += KIB;
        }
        for (i = 0; i < before; i++) {
            assert_false(sxvkIsAllocationValid(rig->allocator, old[i]));
        }
        for (; i < count; i++) {
            assert_true(sxvkIsAllocationValid(rig->allocator, old[i]));
        }
        if (testing_below(&seed, 3) == 0) {
            give(rig, old[before]); /* so that some records are dead, some stale */
        }
        assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
        assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_SUCCESS);
        assert_int_equal(pool_statistics(rig, pool).allocationCount, 0);
        assert_int_equal(pool_statistics(rig, pool).allocationBytes, 0);
    }
    for (i = 0; i < count; i++) {
        assert_false(sxvkIsAllocationValid(rig->allocator, old[i]));
    }
    assert_in_range(sim_calls(rig->sim, SIM_CALL_ANY), 1, 1); /* for the block */
    rig_expect_silence(rig);
    give(rig, old[0]);
    sxvkFreeMemory(rig->allocator, old[count - 1]);
    rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, 2);

    /* Nor do they match when the records live elsewhere. */
    sxvkDestroyPool(rig->allocator, pool);
    rig_expect_silence(rig);
    {
        SxvkPoolCreateInfo general = {.memoryTypeIndex = HOST, .blockSize = MIB};
        SxvkPool pools[2] = {create_pool(rig, &general), linear_pool(rig, MIB, 0)};
        static Range ranges[2][200];
        uint32_t p;
        for (i = 0; i < 200; i++) {
            for (p = 0; p < 2; p++) {
                ranges[p][i] = take(rig, pools[p], KIB);
            }
        }
        for (i = 0; i < count; i++) {
            assert_false(sxvkIsAllocationValid(rig->allocator, old[i]));
        }
        for (p = 0; p < 2; p++) {
            sxvkResetPool(rig->allocator, pools[p]); /* of either kind */
            assert_int_equal(pool_statistics(rig, pools[p]).allocationCount, 0);
            for (i = 0; i < 200; i++) {
                assert_false(sxvkIsAllocationValid(rig->allocator, ranges[p][i].allocation));
            }
            sxvkDestroyPool(rig->allocator, pools[p]);
        }
    }
    rig_destroy(rig);
}

/*  The handles of an epoch long ago do not come round, even where generations have few bits, nor when
    the epoch itself wraps: white box, with the epoch moved on as if by many resets. */
static void test_epochs_go_round(void** state) {
    static const uint32_t epochs[] = {SXVKI_HANDLE_GENERATION_MASK / 4, UINT32_MAX};
    uint32_t e;
    (void)state;
    for (e = 0; e < 2; e++) {
        Rig* rig = rig_create(NULL);
        SxvkPool pool = linear_pool(rig, 64 * KIB, 1);
        SxvkAllocation old = TAKE_AT(rig, pool, KIB, 0);
        sxvki_domain* domain = sxvki_pool_domain(pool, 0);
        assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
        assert_int_not_equal(domain->linear.stale, SXVKI_NONE);
        domain->linear.epoch = epochs[e];
        sxvki_store32(&sxvki_block_at(domain->pool->device, domain->block_first)->epoch, epochs[e]);
        give(rig, TAKE_AT(rig, pool, KIB, 0));
        (void)TAKE_AT(rig, pool, KIB, 0);
        assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
        assert_int_equal(domain->linear.stale, SXVKI_NONE); /* swept */
        assert_int_not_equal(domain->linear.epoch, 0);
        give(rig, TAKE_AT(rig, pool, KIB, 0));
        assert_false(sxvkIsAllocationValid(rig->allocator, old));
        finish(rig, pool);
    }
}

/*  A reset costs the same for 10 allocations and for 10,000. */
static void test_reset_costs_no_walk(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, MIB, 1);
    uint64_t cost[2];
    uint32_t round, i;
    (void)state;
    for (round = 0; round < 2; round++) {
        uint32_t count = round == 0 ? 10 : 10000;
        for (i = 0; i < count; i++) {
            assert_int_not_equal(take(rig, pool, 16).offset, FULL);
        }
        bit_scans = 0;
        assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
        cost[round] = bit_scans;
    }
    assert_true(cost[0] != 0);
    assert_int_equal(cost[0], cost[1]);
    finish(rig, pool);
}

/*  Blocks stay for what comes next: a program that fills and resets each frame makes no calls. */
static void test_reset_keeps_blocks(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 64 * KIB, 0);
    uint32_t frame, i;
    (void)state;
    for (frame = 0; frame < 50; frame++) {
        for (i = 0; i < 300; i++) {
            assert_int_not_equal(take(rig, pool, KIB).offset, FULL);
        }
        assert_int_equal(pool_statistics(rig, pool).blockCount, 5);
        assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
        if (frame == 0) {
            sim_reset_calls(rig->sim);
        }
    }
    assert_int_equal(rig_calls(rig), 0);
    assert_int_equal(rig_statistics(rig).allocationBytes, 0);
    assert_int_equal(rig_statistics(rig).blockBytes, 5 * 64 * KIB);
    assert_int_equal(sxvkTrim(rig->allocator), 5 * 64 * KIB);
    assert_int_equal(take(rig, pool, 64 * KIB).offset, 0); /* and on it goes */
    assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
    finish(rig, pool);
}

/*  Names and user data go with the allocation, also where its record is used again. */
static void test_reset_and_names(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 64 * KIB, 1);
    uint64_t host_before = 0;
    uint32_t round, i;
    (void)state;
    for (round = 0; round < 4; round++) {
        for (i = 0; i < 20; i++) {
            SxvkAllocation a = take(rig, pool, KIB).allocation;
            SxvkAllocationInfo info;
            sxvkGetAllocationInfo(rig->allocator, a, &info);
            assert_null(info.pName);
            assert_null(info.pUserData);
            if (round < 2) {
                assert_int_equal(sxvkSetAllocationName(rig->allocator, a, "one"), VK_SUCCESS);
                assert_int_equal(sxvkSetAllocationUserData(rig->allocator, a, &i), VK_SUCCESS);
            }
        }
        if (round == 1) {
            host_before = rig->host.liveCount;
        }
        assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
    }
    assert_int_equal(rig->host.liveCount, host_before - 20); /* the names */
    finish(rig, pool);
}

/*  A reset ends mappings; with UNMAP_UNUSED_BLOCKS the block is unmapped. */
static void test_reset_and_mappings(void** state) {
    static const SxvkAllocatorCreateFlags flags[] = {0,
                                                     SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT};
    uint32_t f;
    (void)state;
    for (f = 0; f < 2; f++) {
        RigOptions options = rig_options();
        SxvkPool pool;
        SimMemoryInfo memory;
        VkDeviceMemory first;
        uint32_t round, i;
        Rig* rig;
        options.info.flags = flags[f];
        rig = rig_create(&options);
        pool = linear_pool(rig, 8 * KIB, 0);
        for (round = 0; round < 3; round++) {
            for (i = 0; i < 24; i++) { /* three blocks */
                Range a =
                    take_aligned(rig, pool, KIB, 1, i % 2 ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0);
                void* data;
                assert_int_equal(sxvkMapMemory(rig->allocator, a.allocation, &data), VK_SUCCESS);
                first = a.memory;
            }
            assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
            assert_true(sim_memory_info(rig->sim, first, &memory));
            assert_int_equal(memory.mapped, f == 0);
        }
        assert_int_equal(sim_calls(rig->sim, SIM_CALL_MAP_MEMORY), f == 0 ? 3 : 9);
        assert_int_equal(sim_calls(rig->sim, SIM_CALL_UNMAP_MEMORY), f == 0 ? 0 : 9);
        finish(rig, pool);
    }
}

/*  Margins are checked at a free, at a reset, and by sxvkCheckCorruption. */
static void test_margins(void** state) {
    RigOptions options = rig_options();
    SxvkDebugInfo debug = {.margin = 32};
    SxvkAllocationInfo info;
    SxvkPool pool;
    Range a, b;
    Rig* rig;
    (void)state;
    options.sim.backing = true;
    options.info.pDebugInfo = &debug;
    rig = rig_create(&options);
    pool = linear_pool(rig, 8 * KIB, 1);
    a = take_aligned(rig, pool, 100, 1, SXVK_ALLOCATION_CREATE_MAPPED_BIT);
    b = take(rig, pool, 100);
    assert_int_equal(b.offset, 144);
    assert_int_equal(sxvkCheckPoolCorruption(rig->allocator, pool), VK_SUCCESS);
    sxvkGetAllocationInfo(rig->allocator, a.allocation, &info);
    ((char*)info.pMappedData)[100] = 0;
    assert_int_equal(sxvkCheckPoolCorruption(rig->allocator, pool), VK_ERROR_UNKNOWN);
    rig_expect(rig, SXVK_MESSAGE_CORRUPTED_MARGIN, 1);
    assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
    rig_expect(rig, SXVK_MESSAGE_CORRUPTED_MARGIN, 1);
    assert_int_equal(sxvkCheckPoolCorruption(rig->allocator, pool), VK_ERROR_FEATURE_NOT_PRESENT);
    a = take_aligned(rig, pool, 100, 1, SXVK_ALLOCATION_CREATE_MAPPED_BIT);
    sxvkGetAllocationInfo(rig->allocator, a.allocation, &info);
    ((char*)info.pMappedData)[131] = 0;
    give(rig, a.allocation);
    rig_expect(rig, SXVK_MESSAGE_CORRUPTED_MARGIN, 1);
    finish(rig, pool);
}

/*  Dedicated allocations of the pool go with the rest. */
static void test_reset_and_dedicated(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 8 * KIB, 1);
    Range a = take_aligned(rig, pool, 100, 1, SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT);
    Range b = take_aligned(rig, pool, 100, 1, SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT);
    Range c = take(rig, pool, 100);
    (void)state;
    assert_int_equal(pool_statistics(rig, pool).blockCount, 3);
    assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
    assert_int_equal(pool_statistics(rig, pool).blockCount, 1);
    assert_false(sxvkIsAllocationValid(rig->allocator, a.allocation));
    assert_false(sxvkIsAllocationValid(rig->allocator, b.allocation));
    assert_false(sxvkIsAllocationValid(rig->allocator, c.allocation));
    rig_expect_silence(rig);
    finish(rig, pool);
}

/*  Pools of the other kind, with slabs and many sizes. */
static void test_reset_of_a_general_pool(void** state) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = LOCAL};
    Rig* rig = rig_create(NULL);
    SxvkPool pool = create_pool(rig, &info);
    static Range ranges[3000];
    uint64_t seed = 23;
    uint32_t i;
    (void)state;
    for (i = 0; i < 3000; i++) {
        ranges[i] = take(rig, pool, testing_log_uniform(&seed, 16, 256 * KIB));
    }
    assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
    for (i = 0; i < 3000; i++) {
        assert_false(sxvkIsAllocationValid(rig->allocator, ranges[i].allocation));
    }
    assert_int_equal(pool_statistics(rig, pool).allocationCount, 0);
    rig_expect_silence(rig);
    finish(rig, pool);
}

/* ------------------------------------------------------------------ misuse */

static void test_misuse(void** state) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = HOST, .blockSize = MIB};
    VkMemoryRequirements requirements = testing_requirements(KIB, 1, UINT32_MAX);
    Rig* rig = rig_create(NULL);
    SxvkPool general = create_pool(rig, &info);
    SxvkPool pool = linear_pool(rig, MIB, 1);
    SxvkAllocationCreateInfo create = {.flags = UPPER};
    SxvkAllocation a = TAKE_AT(rig, pool, KIB, 0), b;
    (void)state;
    give(rig, a);
    sxvkFreeMemory(rig->allocator, a); /* twice */
    rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
    b = TAKE_AT(rig, pool, KIB, 0);
    sxvkFreeMemory(rig->allocator, a); /* the record lives again */
    rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
    /* The same index without the bit that says linear, and with that of a slab. */
    a = (SxvkAllocation)((uintptr_t)b ^ SXVKI_HANDLE_LINEAR_BIT);
    assert_false(sxvkIsAllocationValid(rig->allocator, a));
    a = (SxvkAllocation)((uintptr_t)b ^ SXVKI_HANDLE_SLAB_BIT);
    assert_false(sxvkIsAllocationValid(rig->allocator, a));
    give(rig, b);

    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &a, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    create.pool = general;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &a, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    create.pool = pool;
    create.flags |= SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &a, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_CONFLICTING_FLAGS, 3);

    /* As in VMA, strategies do nothing here. */
    create.flags = SXVK_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT | UPPER;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &a, NULL),
                     VK_SUCCESS);
    create.flags = SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &b, NULL),
                     VK_SUCCESS);
    give(rig, a);
    give(rig, b);

    assert_int_equal(sxvkResetPool(VK_NULL_HANDLE, pool), VK_ERROR_VALIDATION_FAILED_EXT);
    assert_int_equal(sxvkResetPool(rig->allocator, VK_NULL_HANDLE), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    info.flags = 0x8;
    assert_int_equal(sxvkCreatePool(rig->allocator, &info, &general),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_UNKNOWN_FLAGS, 1);
    assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS); /* nothing in it */
    rig_destroy_allocator(rig);
    rig_expect(rig, SXVK_MESSAGE_LEAKED_POOL, 2);
    rig_destroy(rig);
}

/*  What is alive when its pool goes is a leak; what a reset dropped is not. */
static void test_leaks(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 4 * KIB, 0);
    uint32_t i;
    (void)state;
    for (i = 0; i < 10; i++) {
        assert_int_not_equal(take(rig, pool, KIB).offset, FULL);
    }
    assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
    for (i = 0; i < 6; i++) {
        assert_int_not_equal(take(rig, pool, KIB).offset, FULL);
    }
    sxvkDestroyPool(rig->allocator, pool);
    rig_expect(rig, SXVK_MESSAGE_LEAKED_ALLOCATION, 6);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ looking at it */

static void test_statistics_and_dump(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 16 * KIB, 0);
    SxvkDetailedStatistics stats;
    SxvkAllocation a[4];
    const char* at;
    char* text;
    uint32_t i;
    (void)state;
    a[0] = TAKE_AT(rig, pool, KIB, 0);
    a[1] = TAKE_AT(rig, pool, 2 * KIB, KIB);
    a[2] = TAKE_AT(rig, pool, KIB, 3 * KIB);
    a[3] = UPPER_AT(rig, pool, KIB, 15 * KIB);
    give(rig, a[1]);
    sxvkCalculatePoolStatistics(rig->allocator, pool, &stats);
    assert_int_equal(stats.statistics.blockCount, 1);
    assert_int_equal(stats.statistics.allocationCount, 3);
    assert_int_equal(stats.statistics.allocationBytes, 3 * KIB);
    assert_int_equal(stats.unusedRangeCount, 2);
    assert_int_equal(stats.unusedRangeSizeMin, 2 * KIB);
    assert_int_equal(stats.unusedRangeSizeMax, 11 * KIB);
    assert_int_equal(rig_statistics(rig).allocationBytes, 3 * KIB);

    assert_int_equal(sxvkBuildStatsString(rig->allocator, &text, VK_TRUE), VK_SUCCESS);
    at = strstr(text, "\"Algorithm\": \"LinearAlgorithm\"");
    for (i = 0; i < 5; i++) { /* in the order of the offsets, gaps included */
        static const char* const offsets[] = {"\"Offset\": 0,", "\"Offset\": 1024,",
                                              "\"Offset\": 3072,", "\"Offset\": 4096,",
                                              "\"Offset\": 15360,"};
        assert_non_null(at);
        at = strstr(at, offsets[i]);
    }
    assert_non_null(at);
    sxvkFreeStatsString(rig->allocator, text);
    give(rig, a[0]);
    give(rig, a[2]);
    give(rig, a[3]);
    finish(rig, pool);
}

typedef struct Seen {
    SxvkAllocation allocations[64];
    uint32_t count;
    SxvkPool reset_at_third; /* then this pool is reset; optional */
    int free_each;
} Seen;

static VkBool32 VKAPI_PTR see(void* pSeen, SxvkAllocator allocator, SxvkAllocation allocation) {
    Seen* seen = (Seen*)pSeen;
    assert_true(sxvkIsAllocationValid(allocator, allocation));
    assert_true(seen->count < 64);
    seen->allocations[seen->count++] = allocation;
    if (seen->free_each) {
        sxvkFreeMemory(allocator, allocation);
    }
    if (seen->count == 3 && seen->reset_at_third != VK_NULL_HANDLE) {
        assert_int_equal(sxvkResetPool(allocator, seen->reset_at_third), VK_SUCCESS);
    }
    return VK_TRUE;
}

static int has_seen(const Seen* seen, SxvkAllocation allocation) {
    uint32_t i;
    for (i = 0; i < seen->count && seen->allocations[i] != allocation; i++) {
    }
    return i != seen->count;
}

/*  What a reset left is never seen, not even where the callback resets. */
static void test_for_each(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 64 * KIB, 1);
    SxvkPool other = linear_pool(rig, 64 * KIB, 1);
    Seen seen = {.count = 0};
    SxvkAllocation a[10], b;
    uint32_t i;
    (void)state;
    for (i = 0; i < 10; i++) {
        a[i] = take(rig, pool, KIB).allocation;
    }
    sxvkForEachAllocation(rig->allocator, see, &seen);
    assert_int_equal(seen.count, 10);
    for (i = 0; i < 10; i++) {
        assert_true(has_seen(&seen, a[i]));
    }
    sxvkResetPool(rig->allocator, pool);
    b = take(rig, pool, KIB).allocation;
    memset(&seen, 0, sizeof seen);
    sxvkForEachAllocation(rig->allocator, see, &seen);
    assert_int_equal(seen.count, 1);
    assert_true(seen.allocations[0] == b);
    rig_check(rig);

    for (i = 0; i < 10; i++) {
        a[i] = take(rig, i % 2 ? other : pool, KIB).allocation;
    }
    memset(&seen, 0, sizeof seen);
    seen.reset_at_third = pool;
    sxvkForEachAllocation(rig->allocator, see, &seen);
    assert_in_range(seen.count, 5, 8); /* all 5 of the other pool */
    assert_int_equal(pool_statistics(rig, pool).allocationCount, 0);
    memset(&seen, 0, sizeof seen);
    seen.free_each = 1;
    sxvkForEachAllocation(rig->allocator, see, &seen);
    assert_int_equal(seen.count, 5);
    assert_int_equal(pool_statistics(rig, other).allocationCount, 0);
    sxvkDestroyPool(rig->allocator, other);
    finish(rig, pool);
}

/*  The checker checks: each invariant broken by hand is seen. */
static void test_integrity(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPool pool = linear_pool(rig, 16 * KIB, 1);
    SxvkAllocation a = TAKE_AT(rig, pool, KIB, 0);
    SxvkAllocation b = TAKE_AT(rig, pool, KIB, KIB);
    SxvkAllocation c = UPPER_AT(rig, pool, KIB, 15 * KIB);
    sxvki_domain* domain = sxvki_pool_domain(pool, 0);
    sxvki_block* block = sxvki_block_at(pool->device, domain->block_first);
    const sxvki_records* records = &pool->device->records;
    sxvki_record* r = sxvki_record_at(records, sxvki_allocation_index(b));
    uint32_t broken = 0;
    (void)state;
    block->in.lane.from++;
    assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_ERROR_UNKNOWN);
    block->in.lane.from--;
    block->in.lane.to--;
    assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_ERROR_UNKNOWN);
    block->in.lane.to++;
    block->in.lane.low_record = sxvki_record_at(records, sxvki_allocation_index(a));
    assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_ERROR_UNKNOWN);
    block->in.lane.low_record = r;
    broken += 3;
#define BREAKS(field, value)                                                                       \
    do {                                                                                           \
        unsigned char kept_[sizeof(field)];                                                        \
        memcpy(kept_, &(field), sizeof kept_);                                                     \
        assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_SUCCESS);                          \
        (field) = (value);                                                                         \
        assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_ERROR_UNKNOWN);                    \
        memcpy(&(field), kept_, sizeof kept_);                                                     \
        broken++;                                                                                  \
    } while (0)
    BREAKS(block->in.lane.first, sxvki_allocation_index(b));
    BREAKS(block->in.lane.last, sxvki_allocation_index(b));
    BREAKS(block->in.lane.low, sxvki_allocation_index(a));
    BREAKS(block->in.lane.low, SXVKI_NONE);
    BREAKS(block->in.lane.upper, sxvki_allocation_index(b));
    BREAKS(block->in.lane.upper, sxvki_allocation_index(a));
    BREAKS(block->epoch, 7);
    BREAKS(domain->linear.epoch, 7);
    BREAKS(r->place, r->place - sxvki_record_offset(r) + 10); /* overlaps a */
    BREAKS(r->size_low, (uint32_t)(15 * KIB) / 16);           /* overlaps c */
    BREAKS(r->size_low, 0);
    BREAKS(r->prev, SXVKI_NONE);
    BREAKS(r->next, records->hot.capacity);
    BREAKS(r->generation, r->generation + 1);
    BREAKS(r->link_b, 0);
    BREAKS(domain->linear.stale, domain->linear.spare);
    BREAKS(domain->linear.spare, sxvki_allocation_index(b));
    BREAKS(domain->linear.spare, records->hot.capacity);
#undef BREAKS
    rig_expect(rig, SXVK_MESSAGE_BROKEN_INVARIANT, broken);
    give(rig, a);
    give(rig, b);
    give(rig, c);
    finish(rig, pool);
}

static void test_externally_synchronized(void** state) {
    SxvkPoolCreateInfo info = linear_info(16 * KIB, 1);
    Rig* rig = rig_create(NULL);
    SxvkAllocation a[16];
    SxvkPool pool;
    uint32_t i, round;
    (void)state;
    info.flags |= SXVK_POOL_CREATE_EXTERNALLY_SYNCHRONIZED_BIT;
    pool = create_pool(rig, &info);
    for (round = 0; round < 10; round++) {
        for (i = 0; i < 16; i++) {
            a[i] = TAKE_AT(rig, pool, KIB, i * KIB);
        }
        if (round % 2) {
            sxvkFreeMemoryPages(rig->allocator, 16, a);
        } else {
            assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
        }
    }
    finish(rig, pool);
}

/*  A trim takes records and blocks that nobody has; what is live stays where it is, and no handle
    from before, freed or reset, is ever taken for a new one. */
static void test_trim(void** state) {
    enum { PEAK = 2000 };
    static SxvkAllocation old[PEAK], fresh[PEAK];
    SxvkPoolCreateInfo info = linear_info(MIB, 0);
    Rig* rig = rig_create(NULL);
    SxvkPool pool = create_pool(rig, &info);
    SxvkAllocation kept = TAKE_AT(rig, pool, KIB, 0);
    SxvkAllocationInfo where;
    uint64_t peak_bytes, first_bytes = 0;
    uint32_t round, i;
    (void)state;
    for (round = 0; round < 6; round++) {
        for (i = 0; i < PEAK; i++) {
            old[i] = take(rig, pool, KIB).allocation;
        }
        peak_bytes = rig->host.liveBytes;
        if (round % 2 == 0) {
            sxvkFreeMemoryPages(rig->allocator, PEAK, old);
        } else {
            assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
            assert_false(sxvkIsAllocationValid(rig->allocator, kept));
            kept = take(rig, pool, KIB).allocation;
        }
        assert_true(sxvkTrim(rig->allocator) != 0);
        rig->allocator->device.records.hot.retired_at -= SXVKI_TRIM_GRACE; /* time goes by */
        rig->allocator->device.blocks.retired_at -= SXVKI_TRIM_GRACE;
        assert_int_equal(sxvkTrim(rig->allocator), 0);
        assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_SUCCESS);
        assert_true(rig->host.liveBytes < peak_bytes);
        first_bytes = round == 1 ? rig->host.liveBytes : first_bytes;
        assert_true(round == 0 || rig->host.liveBytes <= first_bytes);
        assert_int_equal(sim_live_memory_count(rig->sim), 1);
        sxvkGetAllocationInfo(rig->allocator, kept, &where);
        assert_int_equal(where.size, KIB);
        for (i = 0; i < PEAK; i++) {
            fresh[i] = take(rig, pool, KIB).allocation;
        }
        for (i = 0; i < PEAK; i++) {
            assert_false(sxvkIsAllocationValid(rig->allocator, old[i]));
            assert_true(sxvkIsAllocationValid(rig->allocator, fresh[i]));
        }
        sxvkFreeMemoryPages(rig->allocator, PEAK, fresh);
    }
    give(rig, kept);
    assert_true(sxvkTrim(rig->allocator) != 0);
    assert_int_equal(pool->device->records.hot.capacity, 0);
    assert_int_equal(sim_live_memory_count(rig->sim), 0);
    finish(rig, pool);
}

/* ------------------------------------------------------------------ failures */

/*  A pool, ranges with names and mappings in two blocks, a reset, more ranges: with the n-th request
    for memory, of either kind, failing. Returns 0 once no fault was hit. */
static int run_with_fault(uint32_t n, uint32_t times, int of_host) {
    Rig* rig = rig_create(NULL);
    SxvkPoolCreateInfo info = linear_info(16 * KIB, 0);
    SxvkPool pool = VK_NULL_HANDLE;
    uint64_t fired;
    uint32_t i;
    info.minBlockCount = 1;
    if (of_host) {
        host_fail(&rig->host, n, times);
    } else {
        sim_fail(rig->sim, SIM_CALL_ANY_FAILABLE, n, times, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    }
    if (sxvkCreatePool(rig->allocator, &info, &pool) == VK_SUCCESS) {
        for (i = 0; i < 120; i++) {
            VkMemoryRequirements requirements = testing_requirements(KIB, 1, UINT32_MAX);
            SxvkAllocationCreateInfo create = {
                .pool = pool,
                .flags = (i % 3 ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0) | (i % 2 ? UPPER : 0),
                .pName = i % 5 ? NULL : "name"};
            SxvkStatistics before = pool_statistics(rig, pool);
            SxvkAllocation allocation;
            VkResult result =
                sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocation, NULL);
            assert_true((result == VK_SUCCESS) == (allocation != VK_NULL_HANDLE));
            assert_int_equal(pool_statistics(rig, pool).allocationCount,
                             before.allocationCount + (result == VK_SUCCESS));
            assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_SUCCESS);
            if (i == 40 || i == 80) {
                assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
            } else if (i % 7 == 0) {
                sxvkFreeMemory(rig->allocator, allocation);
            }
        }
        sxvkResetPool(rig->allocator, pool);
        rig_check(rig);
        sxvkDestroyPool(rig->allocator, pool);
    } else {
        assert_null(pool);
    }
    fired = rig->host.failed + sim_faults_fired(rig->sim);
    host_fail(&rig->host, 0, 0);
    sim_clear_faults(rig->sim);
    messages_clear(&rig->messages);
    rig_destroy(rig);
    return fired != 0;
}

static void test_faults(void** state) {
    uint32_t n, of_host, forever;
    (void)state;
    for (of_host = 0; of_host < 2; of_host++) {
        for (forever = 0; forever < 2; forever++) {
            n = 1;
            while (run_with_fault(n, forever ? UINT32_MAX : 1, (int)of_host)) {
                n++;
            }
            assert_true(n > 3);
        }
    }
}

/* ------------------------------------------------------------------ threads */

#define THREADS 4
#define ROUNDS  4000

typedef struct Worker {
    pthread_t thread;
    Rig* rig;
    SxvkPool pool;
    uint64_t seed;
} Worker;

/*  Each range is written by its owner, and nobody else's bytes are ever found in it. */
static void* work(void* pWorker) {
    Worker* worker = (Worker*)pWorker;
    Range held[16];
    uint32_t count = 0, i;
    for (i = 0; i < ROUNDS; i++) {
        if (count < 16 && testing_below(&worker->seed, 2)) {
            VkMemoryRequirements requirements =
                testing_requirements(64 * (1 + testing_below(&worker->seed, 8)), 64, UINT32_MAX);
            SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT,
                                               .pool = worker->pool};
            SxvkAllocationInfo info;
            if (sxvkAllocateMemory(worker->rig->allocator, &requirements, &create,
                                   &held[count].allocation, &info) == VK_SUCCESS) {
                memset(info.pMappedData, (int)(worker->seed & 0xFF), (size_t)info.size);
                held[count].size = info.size;
                held[count++].offset = worker->seed & 0xFF;
            }
        } else if (count != 0) {
            uint32_t pick = testing_below(&worker->seed, count);
            SxvkAllocationInfo info;
            VkDeviceSize b;
            sxvkGetAllocationInfo(worker->rig->allocator, held[pick].allocation, &info);
            for (b = 0; b < held[pick].size; b++) {
                assert_int_equal(((unsigned char*)info.pMappedData)[b], held[pick].offset);
            }
            sxvkFreeMemory(worker->rig->allocator, held[pick].allocation);
            held[pick] = held[--count];
        }
        if (i % 512 == 0) {
            SxvkDetailedStatistics stats;
            sxvkCalculatePoolStatistics(worker->rig->allocator, worker->pool, &stats);
            sxvkTrim(worker->rig->allocator);
        }
    }
    while (count != 0) {
        sxvkFreeMemory(worker->rig->allocator, held[--count].allocation);
    }
    return NULL;
}

static void test_threads(void** state) {
    RigOptions options = rig_options();
    Worker workers[THREADS];
    uint32_t i, round;
    SxvkPool pool;
    Rig* rig;
    (void)state;
    options.sim.backing = true;
    rig = rig_create(&options);
    pool = linear_pool(rig, 8 * KIB, 0);
    for (round = 0; round < 3; round++) {
        for (i = 0; i < THREADS; i++) {
            workers[i].rig = rig;
            workers[i].pool = pool;
            workers[i].seed = 100 * round + i;
            assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
        }
        for (i = 0; i < THREADS; i++) {
            pthread_join(workers[i].thread, NULL);
        }
        assert_int_equal(pool_statistics(rig, pool).allocationCount, 0);
        assert_int_not_equal(take(rig, pool, KIB).offset, FULL);
        assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
        rig_check(rig);
    }
    finish(rig, pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stack),
        cmocka_unit_test(test_fill_to_the_last_byte),
        cmocka_unit_test(test_free_at_once),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_ring_unwraps),
        cmocka_unit_test(test_double_stack),
        cmocka_unit_test(test_ring_or_double_stack),
        cmocka_unit_test(test_wrong_order),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_granularity),
        cmocka_unit_test(test_atoms),
        cmocka_unit_test(test_stack_of_blocks),
        cmocka_unit_test(test_ring_of_blocks),
        cmocka_unit_test(test_upper_in_several_blocks),
        cmocka_unit_test(test_counts_and_never_allocate),
        cmocka_unit_test(test_preferred_block_size),
        cmocka_unit_test(test_reset_and_stale_handles),
        cmocka_unit_test(test_epochs_go_round),
        cmocka_unit_test(test_reset_costs_no_walk),
        cmocka_unit_test(test_reset_keeps_blocks),
        cmocka_unit_test(test_reset_and_names),
        cmocka_unit_test(test_reset_and_mappings),
        cmocka_unit_test(test_margins),
        cmocka_unit_test(test_reset_and_dedicated),
        cmocka_unit_test(test_reset_of_a_general_pool),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_leaks),
        cmocka_unit_test(test_statistics_and_dump),
        cmocka_unit_test(test_for_each),
        cmocka_unit_test(test_integrity),
        cmocka_unit_test(test_externally_synchronized),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
