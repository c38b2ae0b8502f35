/*
    test_gpu_churn.c - thousands of buffers and images of all sizes come and go on a real driver; each
    is filled when it is made and compared when it goes, so that any two that overlap are found. Once
    by one thread with the GPU carrying every byte, once by four threads at the same time.

    Run by CTest (gpu.gpu_churn), or by hand: test_gpu_churn [seed]. SXVK_DEVICE chooses the device.
*/
#include "gpu_fixture.h"

static uint64_t firstSeed = 0x1234;

/*  Log-uniform: as many small ones as large ones. */
static size_t random_size(uint64_t* random, uint32_t lowestBit, uint32_t highestBit) {
    uint64_t bits = lowestBit + random_below(random, highestBit - lowestBit);
    return (size_t)(((uint64_t)1 << bits) + random_below(random, (uint64_t)1 << bits));
}

typedef struct Item {
    VkBuffer buffer; /* or */
    VkImage image;
    VkImageCreateInfo imageInfo;
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
    size_t size;
    uint64_t seed;
} Item;

static SxvkAllocationCreateInfo random_allocation_info(uint64_t* random, SxvkPool pool) {
    static const SxvkAllocationCreateFlags strategies[] = {
        0, SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT,
        SXVK_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT,
        SXVK_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT};
    SxvkAllocationCreateInfo info = auto_info(strategies[random_below(random, 4)]);
    if (random_below(random, 4) == 0) {
        info.flags |= SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;
        info.flags |= random_below(random, 2) ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0;
    } else if (random_below(random, 6) == 0) {
        info.pool = pool;
    } else if (random_below(random, 30) == 0) {
        info.flags |= SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    }
    if (random_below(random, 10) == 0) {
        info.minAlignment = (VkDeviceSize)1 << random_below(random, 14);
    }
    return info;
}

/* --- one thread, the GPU carries ------------------------------------------------------------------ */

static void create_item(Fixture* fixture, Item* item, uint64_t* random, SxvkPool pool) {
    memset(item, 0, sizeof *item);
    item->seed = splitmix64(random);
    SxvkAllocationCreateInfo info = random_allocation_info(random, pool);
    if (random_below(random, 3) == 0) {
        static const VkFormat formats[] = {VK_FORMAT_R8_UNORM, VK_FORMAT_R8G8B8A8_UNORM,
                                           VK_FORMAT_R32G32B32A32_UINT};
        uint32_t width = (uint32_t)random_size(random, 0, 8);
        uint32_t height = (uint32_t)random_size(random, 0, 8);
        item->imageInfo = image_info(formats[random_below(random, 3)], width, height, 1);
        if (width >= 8 && height >= 8) {
            item->imageInfo.mipLevels = 1 + (uint32_t)random_below(random, 4);
        }
        item->imageInfo.arrayLayers = 1 + (uint32_t)(random_below(random, 4) == 0);
        info.pool = NULL; /* its type was chosen for buffers */
        info.flags &= ~(SxvkAllocationCreateFlags)(SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT |
                                                   SXVK_ALLOCATION_CREATE_MAPPED_BIT);
        assert_ok(sxvkCreateImage(fixture->allocator, &item->imageInfo, &info, &item->image,
                                  &item->allocation, &item->info));
        gpu_write_image(fixture, item->image, &item->imageInfo, item->seed);
    } else {
        item->size = random_size(random, 0, 19);
        const VkBufferCreateInfo bufferInfo =
            buffer_info(item->size, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        assert_ok(sxvkCreateBuffer(fixture->allocator, &bufferInfo, &info, &item->buffer,
                                   &item->allocation, &item->info));
        gpu_write_buffer(fixture, item->buffer, item->size, item->seed);
    }
    if (info.minAlignment != 0) {
        assert_int_equal(item->info.offset % info.minAlignment, 0);
    }
}

static void destroy_item(Fixture* fixture, const Item* item) {
    if (item->image != VK_NULL_HANDLE) {
        gpu_check_image(fixture, item->image, &item->imageInfo, item->seed);
        sxvkDestroyImage(fixture->allocator, item->image, item->allocation);
    } else {
        gpu_check_buffer(fixture, item->buffer, item->size, item->seed);
        sxvkDestroyBuffer(fixture->allocator, item->buffer, item->allocation);
    }
}

static void test_churn(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { LIVE = 300, REPLACES = 2000 };
    static Item items[LIVE];
    uint64_t random = firstSeed;
    SxvkPoolCreateInfo poolInfo = {.flags = 0};
    const VkBufferCreateInfo bufferInfo = buffer_info(64, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    const SxvkAllocationCreateInfo plain = auto_info(0);
    assert_ok(sxvkFindMemoryTypeIndexForBufferInfo(fixture->allocator, &bufferInfo, &plain,
                                                   &poolInfo.memoryTypeIndex));
    SxvkPool pool;
    assert_ok(sxvkCreatePool(fixture->allocator, &poolInfo, &pool));

    for (uint32_t i = 0; i < LIVE; i++) {
        create_item(fixture, &items[i], &random, pool);
    }
    for (uint32_t i = 0; i < REPLACES; i++) {
        Item* item = &items[random_below(&random, LIVE)];
        destroy_item(fixture, item);
        create_item(fixture, item, &random, pool);
        if (i % 50 == 0) {
            assert_ok(sxvkCheckIntegrity(fixture->allocator));
            sxvkSetCurrentFrameIndex(fixture->allocator, i);
        }
        if (i % 500 == 499) {
            (void)sxvkTrim(fixture->allocator);
        }
    }
    SxvkTotalStatistics statistics;
    sxvkCalculateStatistics(fixture->allocator, &statistics);
    assert_int_equal(statistics.total.statistics.allocationCount, LIVE);
    for (uint32_t i = 0; i < LIVE; i++) {
        destroy_item(fixture, &items[i]);
    }
    (void)sxvkTrim(fixture->allocator);
    sxvkCalculateStatistics(fixture->allocator, &statistics);
    assert_int_equal(statistics.total.statistics.allocationBytes, 0);
    assert_int_equal(statistics.total.statistics.blockBytes, 0);
    sxvkDestroyPool(fixture->allocator, pool);
}

/* --- four threads --------------------------------------------------------------------------------- */

enum { THREADS = 4, THREAD_LIVE = 60, THREAD_REPLACES = 500 };

/*  A mapped buffer in a place where any thread may take it, to check, destroy and replace it. */
typedef struct Slot {
    pthread_mutex_t mutex;
    VkBuffer buffer;
    SxvkAllocation allocation;
    uint8_t* data;
    size_t size;
    uint64_t seed;
} Slot;

typedef struct Shared {
    SxvkAllocator allocator;
    Slot slots[THREADS * THREAD_LIVE];
    uint32_t failures;
    pthread_mutex_t failureMutex;
} Shared;

typedef struct Worker {
    Shared* shared;
    uint64_t random;
    pthread_t thread;
} Worker;

/*  cmocka's assertions leave by longjmp, which other threads must not. */
static void thread_failed(Shared* shared, const char* what) {
    (void)pthread_mutex_lock(&shared->failureMutex);
    shared->failures++;
    (void)pthread_mutex_unlock(&shared->failureMutex);
    (void)fprintf(stderr, "thread: %s\n", what);
}

static bool pattern_is_there(const uint8_t* data, size_t size, uint64_t seed) {
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = splitmix64(&seed);
        if (memcmp(data + i, &word, size - i < 8 ? size - i : 8) != 0) {
            return false;
        }
    }
    return true;
}

static void empty_slot(Shared* shared, Slot* slot) {
    if (slot->buffer == VK_NULL_HANDLE) {
        return;
    }
    if (sxvkInvalidateAllocation(shared->allocator, slot->allocation, 0, VK_WHOLE_SIZE) !=
            VK_SUCCESS ||
        !pattern_is_there(slot->data, slot->size, slot->seed)) {
        thread_failed(shared, "bytes differ");
    }
    sxvkDestroyBuffer(shared->allocator, slot->buffer, slot->allocation);
    slot->buffer = VK_NULL_HANDLE;
}

static void fill_slot(Shared* shared, Slot* slot, uint64_t* random) {
    SxvkAllocationCreateInfo info = auto_info(SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT |
                                              SXVK_ALLOCATION_CREATE_MAPPED_BIT);
    if (random_below(random, 20) == 0) {
        info.flags |= SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    }
    if (random_below(random, 4) == 0) {
        info.pName = "named";
    }
    slot->size = random_size(random, 4, 18);
    slot->seed = splitmix64(random);
    const VkBufferCreateInfo bufferInfo =
        buffer_info(slot->size, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    SxvkAllocationInfo allocated;
    if (sxvkCreateBuffer(shared->allocator, &bufferInfo, &info, &slot->buffer, &slot->allocation,
                         &allocated) != VK_SUCCESS ||
        allocated.pMappedData == NULL) {
        thread_failed(shared, "no buffer");
        return;
    }
    slot->data = (uint8_t*)allocated.pMappedData;
    fill_pattern(slot->data, slot->size, slot->seed);
    if (sxvkFlushAllocation(shared->allocator, slot->allocation, 0, VK_WHOLE_SIZE) != VK_SUCCESS) {
        thread_failed(shared, "flush");
    }
}

/*  Images too, of this thread alone, so that driver objects of both kinds come and go. */
static void use_image(Shared* shared, uint64_t* random) {
    const VkImageCreateInfo imageInfo =
        image_info(VK_FORMAT_R8G8B8A8_UNORM, (uint32_t)random_size(random, 0, 8),
                   (uint32_t)random_size(random, 0, 8), 1);
    const SxvkAllocationCreateInfo info = auto_info(0);
    VkImage image;
    SxvkAllocation allocation;
    if (sxvkCreateImage(shared->allocator, &imageInfo, &info, &image, &allocation, NULL) !=
        VK_SUCCESS) {
        thread_failed(shared, "no image");
        return;
    }
    sxvkDestroyImage(shared->allocator, image, allocation);
}

static void* work(void* argument) {
    Worker* worker = (Worker*)argument;
    Shared* shared = worker->shared;
    for (uint32_t i = 0; i < THREAD_LIVE + THREAD_REPLACES; i++) {
        Slot* slot = &shared->slots[random_below(&worker->random, THREADS * THREAD_LIVE)];
        (void)pthread_mutex_lock(&slot->mutex);
        empty_slot(shared, slot);
        fill_slot(shared, slot, &worker->random);
        (void)pthread_mutex_unlock(&slot->mutex);
        if (i % 8 == 0) {
            use_image(shared, &worker->random);
        }
        if (i % 64 == 0) {
            SxvkTotalStatistics statistics;
            char* text;
            sxvkCalculateStatistics(shared->allocator, &statistics);
            if (sxvkCheckIntegrity(shared->allocator) != VK_SUCCESS ||
                sxvkBuildStatsString(shared->allocator, &text, VK_TRUE) != VK_SUCCESS) {
                thread_failed(shared, "integrity or dump");
            } else {
                sxvkFreeStatsString(shared->allocator, text);
            }
            sxvkSetCurrentFrameIndex(shared->allocator, i);
        }
        if (i % 200 == 199) {
            (void)sxvkTrim(shared->allocator);
        }
    }
    return NULL;
}

static void test_threads(void** state) {
    Fixture* fixture = (Fixture*)*state;
    static Shared shared;
    memset(&shared, 0, sizeof shared);
    shared.allocator = fixture->allocator;
    (void)pthread_mutex_init(&shared.failureMutex, NULL);
    for (uint32_t i = 0; i < THREADS * THREAD_LIVE; i++) {
        (void)pthread_mutex_init(&shared.slots[i].mutex, NULL);
    }
    Worker workers[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i].shared = &shared;
        workers[i].random = firstSeed + i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
    assert_int_equal(shared.failures, 0);
    assert_ok(sxvkCheckIntegrity(fixture->allocator));

    /* What the threads left is still what they wrote, and it is all that is left. */
    SxvkTotalStatistics statistics;
    sxvkCalculateStatistics(fixture->allocator, &statistics);
    uint32_t live = 0;
    for (uint32_t i = 0; i < THREADS * THREAD_LIVE; i++) {
        live += shared.slots[i].buffer != VK_NULL_HANDLE;
    }
    assert_true(live > THREADS * THREAD_LIVE / 2);
    assert_int_equal(statistics.total.statistics.allocationCount, live);
    for (uint32_t i = 0; i < THREADS * THREAD_LIVE; i++) {
        if (i % 5 == 0 && shared.slots[i].buffer != VK_NULL_HANDLE) {
            gpu_check_buffer(fixture, shared.slots[i].buffer, shared.slots[i].size,
                             shared.slots[i].seed);
        }
        empty_slot(&shared, &shared.slots[i]);
        (void)pthread_mutex_destroy(&shared.slots[i].mutex);
    }
    assert_int_equal(shared.failures, 0);
    (void)pthread_mutex_destroy(&shared.failureMutex);
}

int main(int argc, char** argv) {
    if (argc > 1) {
        firstSeed = strtoull(argv[1], NULL, 0);
    }
    (void)printf("seed 0x%llx\n", (unsigned long long)firstSeed);
    const struct CMUnitTest tests[] = {
        gpu_test(test_churn),
        gpu_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
