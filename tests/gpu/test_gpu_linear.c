/*
    test_gpu_linear.c - linear pools on a real driver: buffers in a ring, on two stacks, and beside
    images, filled by the GPU and read back byte by byte; and a reset between frames.

    Run by CTest (gpu.gpu_linear), or by hand; SXVK_DEVICE chooses the device.
*/
#include "gpu_fixture.h"

/*  A buffer with its memory, filled by the GPU with a pattern of its own. */
typedef struct Filled {
    VkBuffer buffer;
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
    size_t size;
    uint64_t seed;
} Filled;

/*  False: the pool is full. */
static bool fill(Fixture* fixture, Filled* filled, SxvkPool pool, SxvkAllocationCreateFlags flags,
                 size_t size, uint64_t seed) {
    const VkBufferCreateInfo info = buffer_info(size, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    SxvkAllocationCreateInfo allocationInfo = auto_info(flags);
    allocationInfo.pool = pool;
    VkResult result = sxvkCreateBuffer(fixture->allocator, &info, &allocationInfo, &filled->buffer,
                                       &filled->allocation, &filled->info);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY) {
        expect_no_messages(fixture);
        return false;
    }
    assert_ok(result);
    filled->size = size;
    filled->seed = seed;
    gpu_write_buffer(fixture, filled->buffer, size, seed);
    return true;
}

static void check_and_destroy(Fixture* fixture, const Filled* filled) {
    gpu_check_buffer(fixture, filled->buffer, filled->size, filled->seed);
    sxvkDestroyBuffer(fixture->allocator, filled->buffer, filled->allocation);
}

static SxvkPool linear_pool(Fixture* fixture, VkDeviceSize blockSize, size_t maxBlockCount) {
    const VkBufferCreateInfo bufferInfo = buffer_info(4096, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    const SxvkAllocationCreateInfo allocationInfo = auto_info(0);
    SxvkPoolCreateInfo info = {.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT,
                               .blockSize = blockSize,
                               .maxBlockCount = maxBlockCount};
    SxvkPool pool;
    assert_ok(sxvkFindMemoryTypeIndexForBufferInfo(fixture->allocator, &bufferInfo, &allocationInfo,
                                                   &info.memoryTypeIndex));
    assert_ok(sxvkCreatePool(fixture->allocator, &info, &pool));
    return pool;
}

static void test_ring(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { MOST = 64 };
    SxvkPool pool = linear_pool(fixture, 512 * KIB, 1);
    Filled ring[MOST];
    uint64_t random = 1;
    uint32_t oldest = 0, wraps = 0;
    VkDeviceSize last = 0;
    for (uint32_t i = 0; i < 300; i++) {
        size_t size = 100 + random_below(&random, 100000);
        while (i - oldest == MOST || !fill(fixture, &ring[i % MOST], pool, 0, size, i)) {
            check_and_destroy(fixture, &ring[oldest++ % MOST]);
        }
        wraps += ring[i % MOST].info.offset < last;
        last = ring[i % MOST].info.offset;
    }
    assert_in_range(wraps, 10, 100);
    for (; oldest < 300; oldest++) {
        check_and_destroy(fixture, &ring[oldest % MOST]);
    }
    sxvkDestroyPool(fixture->allocator, pool);
}

static void test_double_stack(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { MOST = 64 };
    SxvkPool pool = linear_pool(fixture, 512 * KIB, 1);
    Filled stacks[2][MOST];
    uint32_t depth[2] = {0, 0}, full = 0;
    uint64_t random = 2;
    for (uint32_t i = 0; i < 400; i++) {
        uint32_t which = (uint32_t)random_below(&random, 2);
        SxvkAllocationCreateFlags flags = which ? SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT : 0;
        size_t size = 100 + random_below(&random, 60000);
        bool push = depth[which] < MOST && random_below(&random, 5) < 3;
        if (push && fill(fixture, &stacks[which][depth[which]], pool, flags, size, i)) {
            depth[which]++;
        } else if (depth[which] != 0) {
            full += push;
            check_and_destroy(fixture, &stacks[which][--depth[which]]);
        }
    }
    assert_true(full > 10);
    for (uint32_t which = 0; which < 2; which++) {
        while (depth[which] != 0) {
            check_and_destroy(fixture, &stacks[which][--depth[which]]);
        }
    }
    sxvkDestroyPool(fixture->allocator, pool);
}

/*  Frames of buffers that go all at once, over several blocks, which are made only in the first. */
static void test_reset(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { COUNT = 40 };
    SxvkPool pool = linear_pool(fixture, 256 * KIB, 0);
    SxvkStatistics first, now;
    for (uint32_t frame = 0; frame < 8; frame++) {
        Filled filled[COUNT];
        uint64_t random = 3;
        for (uint32_t i = 0; i < COUNT; i++) {
            assert_true(fill(fixture, &filled[i], pool, 0, 100 + random_below(&random, 50000),
                             frame * COUNT + i));
        }
        for (uint32_t i = 0; i < COUNT; i++) {
            gpu_check_buffer(fixture, filled[i].buffer, filled[i].size, filled[i].seed);
            vkDestroyBuffer(fixture->gpu.device, filled[i].buffer, NULL);
        }
        assert_ok(sxvkResetPool(fixture->allocator, pool));
        assert_false(sxvkIsAllocationValid(fixture->allocator, filled[COUNT / 2].allocation));
        sxvkGetPoolStatistics(fixture->allocator, pool, frame == 0 ? &first : &now);
        assert_int_equal(frame == 0 ? first.allocationCount : now.allocationCount, 0);
    }
    assert_true(first.blockCount > 2);
    assert_int_equal(now.blockCount, first.blockCount);
    assert_int_equal(sxvkTrim(fixture->allocator), now.blockBytes);
    sxvkDestroyPool(fixture->allocator, pool);
}

/*  Images and buffers in turns: neither harms its neighbour. */
static void test_images_beside_buffers(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { COUNT = 12 };
    const VkImageCreateInfo imageInfo = image_info(VK_FORMAT_R8G8B8A8_UNORM, 60, 40, 1);
    const VkBufferCreateInfo bufferInfo = buffer_info(4096, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    SxvkAllocationCreateInfo allocationInfo = auto_info(0);
    SxvkPoolCreateInfo info = {.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT,
                               .blockSize = 1 << 20};
    SxvkPool pool;
    assert_ok(sxvkFindMemoryTypeIndexForImageInfo(fixture->allocator, &imageInfo, &allocationInfo,
                                                  &info.memoryTypeIndex));
    assert_ok(sxvkCreatePool(fixture->allocator, &info, &pool));
    allocationInfo.pool = pool;
    VkImage images[COUNT];
    SxvkAllocation allocations[COUNT];
    Filled filled[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_ok(sxvkCreateImage(fixture->allocator, &imageInfo, &allocationInfo, &images[i],
                                  &allocations[i], NULL));
        VkResult result = sxvkCreateBuffer(fixture->allocator, &bufferInfo, &allocationInfo,
                                           &filled[i].buffer, &filled[i].allocation, NULL);
        assert_ok(result);
        filled[i].size = 4096;
        filled[i].seed = i;
        gpu_write_image(fixture, images[i], &imageInfo, i * 100);
        gpu_write_buffer(fixture, filled[i].buffer, 4096, i);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        gpu_check_image(fixture, images[i], &imageInfo, i * 100);
        sxvkDestroyImage(fixture->allocator, images[i], allocations[i]);
        check_and_destroy(fixture, &filled[i]);
    }
    sxvkDestroyPool(fixture->allocator, pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        gpu_test(test_ring),
        gpu_test(test_double_stack),
        gpu_test(test_reset),
        gpu_test(test_images_beside_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
