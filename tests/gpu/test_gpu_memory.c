/*
    test_gpu_memory.c - everything about memory that is not a single resource, on a real driver: custom
    pools, mapping, flushing and copying, pages, statistics and budget against the driver's own, and
    the JSON dump read back by a JSON parser.

    Run by CTest (gpu.gpu_memory), or by hand; SXVK_DEVICE chooses the device.
*/
#include "gpu_fixture.h"

#include <cjson/cJSON.h>

/*  A buffer with its memory, filled by the GPU with a pattern of its own. */
typedef struct Filled {
    VkBuffer buffer;
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
    size_t size;
    uint64_t seed;
} Filled;

static VkResult try_filled(Fixture* fixture, Filled* filled, size_t size, uint64_t seed,
                           const SxvkAllocationCreateInfo* allocationInfo) {
    const VkBufferCreateInfo info = buffer_info(size, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkResult result = sxvkCreateBuffer(fixture->allocator, &info, allocationInfo, &filled->buffer,
                                       &filled->allocation, &filled->info);
    if (result == VK_SUCCESS) {
        filled->size = size;
        filled->seed = seed;
        gpu_write_buffer(fixture, filled->buffer, size, seed);
    }
    return result;
}

static Filled make_filled(Fixture* fixture, size_t size, uint64_t seed,
                          const SxvkAllocationCreateInfo* allocationInfo) {
    Filled filled;
    assert_ok(try_filled(fixture, &filled, size, seed, allocationInfo));
    return filled;
}

static void check_and_destroy(Fixture* fixture, const Filled* filled) {
    gpu_check_buffer(fixture, filled->buffer, filled->size, filled->seed);
    sxvkDestroyBuffer(fixture->allocator, filled->buffer, filled->allocation);
}

/* --- custom pools -------------------------------------------------------------------------------- */

static SxvkPoolCreateInfo pool_info(const Fixture* fixture, SxvkAllocationCreateFlags flags) {
    SxvkPoolCreateInfo info = {.flags = 0};
    const VkBufferCreateInfo bufferInfo = buffer_info(4096, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    const SxvkAllocationCreateInfo allocationInfo = auto_info(flags);
    assert_ok(sxvkFindMemoryTypeIndexForBufferInfo(fixture->allocator, &bufferInfo, &allocationInfo,
                                                   &info.memoryTypeIndex));
    return info;
}

static void test_pool_with_limit(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { MOST = 100 };
    SxvkPoolCreateInfo info = pool_info(fixture, 0);
    info.blockSize = 256 * KIB;
    info.minBlockCount = 1;
    info.maxBlockCount = 3;
    SxvkPool pool;
    assert_ok(sxvkCreatePool(fixture->allocator, &info, &pool));
    SxvkStatistics statistics;
    sxvkGetPoolStatistics(fixture->allocator, pool, &statistics);
    assert_int_equal(statistics.blockCount, 1);
    assert_int_equal(statistics.blockBytes, info.blockSize);

    SxvkAllocationCreateInfo allocationInfo = auto_info(0);
    allocationInfo.pool = pool;
    Filled filled[MOST];
    uint32_t count = 0;
    VkResult result = VK_SUCCESS;
    while (count < MOST) {
        result = try_filled(fixture, &filled[count], 16384, count, &allocationInfo);
        if (result != VK_SUCCESS) {
            break;
        }
        assert_int_equal(filled[count].info.memoryType, info.memoryTypeIndex);
        count++;
    }
    assert_int_equal(result, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    expect_no_messages(fixture); /* the pool does as it was told */
    sxvkGetPoolStatistics(fixture->allocator, pool, &statistics);
    assert_int_equal(statistics.blockCount, 3);
    assert_int_equal(statistics.allocationCount, count);
    /* Full means full: what is left over does not hold one more. */
    assert_true(statistics.blockBytes - statistics.allocationBytes < 3 * filled[0].info.size);

    for (uint32_t i = 0; i < count; i++) {
        check_and_destroy(fixture, &filled[i]);
    }
    sxvkTrim(fixture->allocator);
    sxvkGetPoolStatistics(fixture->allocator, pool, &statistics);
    assert_int_equal(statistics.blockCount, 1);
    assert_int_equal(statistics.allocationCount, 0);
    sxvkDestroyPool(fixture->allocator, pool);
}

static void test_pool_that_grows(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { COUNT = 60 };
    const SxvkPoolCreateInfo info = pool_info(fixture, 0);
    SxvkPool pool;
    assert_ok(sxvkCreatePool(fixture->allocator, &info, &pool));
    assert_ok(sxvkSetPoolName(fixture->allocator, pool, "terrain"));
    const char* name;
    sxvkGetPoolName(fixture->allocator, pool, &name);
    assert_string_equal(name, "terrain");

    SxvkAllocationCreateInfo allocationInfo = auto_info(0);
    allocationInfo.pool = pool;
    Filled filled[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        filled[i] = make_filled(fixture, 1000 + (size_t)i * 5000, i, &allocationInfo);
    }
    SxvkDetailedStatistics detailed;
    SxvkStatistics statistics;
    sxvkCalculatePoolStatistics(fixture->allocator, pool, &detailed);
    sxvkGetPoolStatistics(fixture->allocator, pool, &statistics);
    assert_memory_equal(&detailed.statistics, &statistics, sizeof statistics);
    assert_int_equal(statistics.allocationCount, COUNT);
    assert_int_equal(detailed.allocationSizeMin, filled[0].info.size);
    assert_int_equal(detailed.allocationSizeMax, filled[COUNT - 1].info.size);
    for (uint32_t i = 0; i < COUNT; i++) {
        check_and_destroy(fixture, &filled[i]);
    }
    sxvkDestroyPool(fixture->allocator, pool);
}

static void test_pool_with_alignment_priority_and_chain(void** state) {
    Fixture* fixture = (Fixture*)*state;
    const VkExportMemoryAllocateInfo chain = {
        .sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
    };
    SxvkPoolCreateInfo info = pool_info(fixture, 0);
    info.minAllocationAlignment = 4096;
    info.priority = 0.9f;
    info.pMemoryAllocateNext = &chain;
    SxvkPool pool;
    assert_ok(sxvkCreatePool(fixture->allocator, &info, &pool));
    SxvkAllocationCreateInfo allocationInfo = auto_info(0);
    allocationInfo.pool = pool;
    Filled filled[20];
    for (uint32_t i = 0; i < 20; i++) {
        filled[i] = make_filled(fixture, 300 + i, i, &allocationInfo);
        assert_int_equal(filled[i].info.offset % 4096, 0);
    }
    for (uint32_t i = 0; i < 20; i++) {
        check_and_destroy(fixture, &filled[i]);
    }
    sxvkDestroyPool(fixture->allocator, pool);
}

static void test_pool_of_images(void** state) {
    Fixture* fixture = (Fixture*)*state;
    const VkImageCreateInfo imageInfo = image_info(VK_FORMAT_R8G8B8A8_UNORM, 60, 40, 3);
    SxvkAllocationCreateInfo allocationInfo = auto_info(0);
    SxvkPoolCreateInfo info = {.flags = SXVK_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT};
    assert_ok(sxvkFindMemoryTypeIndexForImageInfo(fixture->allocator, &imageInfo, &allocationInfo,
                                                  &info.memoryTypeIndex));
    SxvkPool pool;
    assert_ok(sxvkCreatePool(fixture->allocator, &info, &pool));
    allocationInfo.pool = pool;
    VkImage images[30];
    SxvkAllocation allocations[30];
    for (uint32_t i = 0; i < 30; i++) {
        assert_ok(sxvkCreateImage(fixture->allocator, &imageInfo, &allocationInfo, &images[i],
                                  &allocations[i], NULL));
        gpu_write_image(fixture, images[i], &imageInfo, i * 100);
    }
    for (uint32_t i = 0; i < 30; i++) {
        gpu_check_image(fixture, images[i], &imageInfo, i * 100);
        sxvkDestroyImage(fixture->allocator, images[i], allocations[i]);
    }
    sxvkDestroyPool(fixture->allocator, pool);
}

static void test_priorities(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocationCreateInfo info = auto_info(SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT);
    info.priority = 1.0f;
    Filled filled = make_filled(fixture, 70000, 1, &info);
    VkResult result = sxvkSetAllocationPriority(fixture->allocator, filled.allocation, 0.25f);
    if (fixture->gpu.pageableDeviceLocalMemory) {
        assert_ok(result);
    } else {
        assert_int_equal(result, VK_ERROR_FEATURE_NOT_PRESENT);
        memset(fixture->messages, 0, sizeof fixture->messages);
    }
    check_and_destroy(fixture, &filled);
}

/* --- mapping ------------------------------------------------------------------------------------- */

static const SxvkAllocationCreateFlags hostRead = SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;

static void test_map_and_unmap(void** state) {
    Fixture* fixture = (Fixture*)*state;
    const SxvkAllocationCreateInfo info = auto_info(hostRead);
    Filled a = make_filled(fixture, 10000, 1, &info);
    Filled b = make_filled(fixture, 20000, 2, &info);
    assert_true(a.info.deviceMemory == b.info.deviceMemory); /* one block, one vkMapMemory */
    void *mapA, *again, *mapB;
    assert_ok(sxvkMapMemory(fixture->allocator, a.allocation, &mapA));
    assert_ok(sxvkMapMemory(fixture->allocator, b.allocation, &mapB));
    assert_ok(sxvkMapMemory(fixture->allocator, a.allocation, &again));
    assert_ptr_equal(mapA, again);
    assert_true((VkDeviceSize)((char*)mapB - (char*)mapA) == b.info.offset - a.info.offset);
    SxvkAllocationInfo now;
    sxvkGetAllocationInfo(fixture->allocator, a.allocation, &now);
    assert_ptr_equal(now.pMappedData, mapA);

    assert_ok(sxvkInvalidateAllocation(fixture->allocator, a.allocation, 0, VK_WHOLE_SIZE));
    check_pattern((const uint8_t*)mapA, a.size, a.seed);
    sxvkUnmapMemory(fixture->allocator, a.allocation);
    assert_ok(sxvkInvalidateAllocation(fixture->allocator, b.allocation, 0, VK_WHOLE_SIZE));
    check_pattern((const uint8_t*)mapB, b.size, b.seed);
    sxvkUnmapMemory(fixture->allocator, b.allocation);
    sxvkUnmapMemory(fixture->allocator, a.allocation);
    sxvkGetAllocationInfo(fixture->allocator, a.allocation, &now);
    assert_null(now.pMappedData);
    check_and_destroy(fixture, &a);
    check_and_destroy(fixture, &b);
}

/*  Write parts by the CPU, flushed by offset and size; the rest stays what the GPU wrote. */
static void test_flush_parts(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { SIZE = 5000 };
    const SxvkAllocationCreateInfo info = auto_info(hostRead | SXVK_ALLOCATION_CREATE_MAPPED_BIT);
    Filled filled = make_filled(fixture, SIZE, 7, &info);
    uint8_t expected[SIZE];
    fill_pattern(expected, SIZE, 7);
    uint8_t* data = (uint8_t*)filled.info.pMappedData;
    assert_non_null(data);
    assert_ok(sxvkInvalidateAllocation(fixture->allocator, filled.allocation, 0, SIZE));
    static const struct {
        size_t offset, size;
    } parts[] = {{0, 1}, {1, 1}, {63, 2}, {100, 900}, {4096, 64}, {SIZE - 1, 1}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        memset(data + parts[i].offset, (int)i, parts[i].size);
        memset(expected + parts[i].offset, (int)i, parts[i].size);
        assert_ok(sxvkFlushAllocation(fixture->allocator, filled.allocation, parts[i].offset,
                                      parts[i].size));
    }
    memset(fixture->carrierData, 0xcc, SIZE);
    gpu_copy_buffer(fixture, filled.buffer, fixture->carrier, SIZE);
    assert_memory_equal(fixture->carrierData, expected, SIZE);
    sxvkDestroyBuffer(fixture->allocator, filled.buffer, filled.allocation);
}

static void test_flush_many(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { COUNT = 100 }; /* more than the driver gets at once */
    const SxvkAllocationCreateInfo info = auto_info(hostRead | SXVK_ALLOCATION_CREATE_MAPPED_BIT);
    Filled filled[COUNT];
    SxvkAllocation allocations[COUNT];
    VkDeviceSize offsets[COUNT], sizes[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        filled[i] = make_filled(fixture, 200 + i, i, &info);
        allocations[i] = filled[i].allocation;
        offsets[i] = i;
        sizes[i] = i % 2 ? VK_WHOLE_SIZE : 100;
    }
    assert_ok(sxvkInvalidateAllocations(fixture->allocator, COUNT, allocations, NULL, NULL));
    for (uint32_t i = 0; i < COUNT; i++) {
        check_pattern((const uint8_t*)filled[i].info.pMappedData, filled[i].size, filled[i].seed);
        filled[i].seed = 1000 + i;
        fill_pattern((uint8_t*)filled[i].info.pMappedData, filled[i].size, filled[i].seed);
    }
    assert_ok(sxvkFlushAllocations(fixture->allocator, COUNT, allocations, NULL, NULL));
    assert_ok(sxvkFlushAllocations(fixture->allocator, COUNT, allocations, offsets, sizes));
    assert_ok(sxvkInvalidateAllocations(fixture->allocator, COUNT, allocations, offsets, sizes));
    assert_ok(sxvkFlushAllocations(fixture->allocator, 0, NULL, NULL, NULL));
    for (uint32_t i = 0; i < COUNT; i++) {
        check_and_destroy(fixture, &filled[i]);
    }
}

static void test_copy_both_ways(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { SIZE = 30000, PART = 777, AT = 12345 };
    static uint8_t sent[SIZE], received[SIZE];
    const SxvkAllocationCreateInfo info = auto_info(hostRead);
    const VkBufferCreateInfo bufferInfo = buffer_info(SIZE, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    VkBuffer buffer;
    SxvkAllocation allocation;
    assert_ok(sxvkCreateBuffer(fixture->allocator, &bufferInfo, &info, &buffer, &allocation, NULL));
    fill_pattern(sent, SIZE, 1);
    assert_ok(sxvkCopyMemoryToAllocation(fixture->allocator, sent, allocation, 0, SIZE));
    fill_pattern(sent + AT, PART, 2);
    assert_ok(sxvkCopyMemoryToAllocation(fixture->allocator, sent + AT, allocation, AT, PART));

    memset(fixture->carrierData, 0xcc, SIZE);
    gpu_copy_buffer(fixture, buffer, fixture->carrier, SIZE);
    assert_memory_equal(fixture->carrierData, sent, SIZE);

    gpu_write_buffer(fixture, buffer, SIZE, 3);
    fill_pattern(sent, SIZE, 3);
    assert_ok(sxvkCopyAllocationToMemory(fixture->allocator, allocation, 0, received, SIZE));
    assert_memory_equal(received, sent, SIZE);
    memset(received, 0, PART);
    assert_ok(sxvkCopyAllocationToMemory(fixture->allocator, allocation, AT, received, PART));
    assert_memory_equal(received, sent + AT, PART);

    SxvkAllocationInfo now;
    sxvkGetAllocationInfo(fixture->allocator, allocation, &now);
    assert_null(now.pMappedData); /* the copies leave no mapping behind */
    sxvkDestroyBuffer(fixture->allocator, buffer, allocation);
}

/*  With UNMAP_UNUSED_BLOCKS the layer sees a vkUnmapMemory for each last unmap. */
static void test_unmap_unused_blocks(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocator usual = fixture->allocator;
    SxvkAllocatorCreateInfo allocatorInfo = fixture_allocator_info(fixture);
    allocatorInfo.flags |= SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT;
    assert_ok(sxvkCreateAllocator(&allocatorInfo, &fixture->allocator));
    const SxvkAllocationCreateInfo info = auto_info(hostRead);
    Filled a = make_filled(fixture, 3000, 1, &info);
    Filled b = make_filled(fixture, 3000, 2, &info);
    for (int round = 0; round < 3; round++) {
        void *mapA, *mapB;
        assert_ok(sxvkMapMemory(fixture->allocator, a.allocation, &mapA));
        assert_ok(sxvkMapMemory(fixture->allocator, b.allocation, &mapB));
        assert_ok(sxvkInvalidateAllocation(fixture->allocator, b.allocation, 0, VK_WHOLE_SIZE));
        sxvkUnmapMemory(fixture->allocator, a.allocation);
        check_pattern((const uint8_t*)mapB, b.size, b.seed);
        sxvkUnmapMemory(fixture->allocator, b.allocation);
        SxvkAllocationInfo now;
        sxvkGetAllocationInfo(fixture->allocator, b.allocation, &now);
        assert_null(now.pMappedData);
    }
    check_and_destroy(fixture, &a);
    check_and_destroy(fixture, &b);
    sxvkDestroyAllocator(fixture->allocator);
    fixture->allocator = usual;
}

/*  A write past the end of an allocation, by the GPU, is found by its margin. */
static void test_margins(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocator usual = fixture->allocator;
    const SxvkDebugInfo debug = {.margin = 64};
    SxvkAllocatorCreateInfo allocatorInfo = fixture_allocator_info(fixture);
    allocatorInfo.pDebugInfo = &debug;
    assert_ok(sxvkCreateAllocator(&allocatorInfo, &fixture->allocator));
    SxvkAllocationCreateInfo info = auto_info(hostRead | SXVK_ALLOCATION_CREATE_MAPPED_BIT);
    info.requiredFlags = VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    Filled a = make_filled(fixture, 4096, 1, &info);
    Filled b = make_filled(fixture, 4096, 2, &info);
    assert_ok(sxvkCheckCorruption(fixture->allocator, UINT32_MAX));
    ((uint8_t*)a.info.pMappedData)[a.info.size] ^= 0x5a;
    assert_int_equal(sxvkCheckCorruption(fixture->allocator, UINT32_MAX), VK_ERROR_UNKNOWN);
    assert_true(fixture->messages[SXVK_MESSAGE_CORRUPTED_MARGIN] >= 1);
    memset(fixture->messages, 0, sizeof fixture->messages);
    ((uint8_t*)a.info.pMappedData)[a.info.size] ^= 0x5a;
    assert_ok(sxvkCheckCorruption(fixture->allocator, UINT32_MAX));
    check_and_destroy(fixture, &a);
    check_and_destroy(fixture, &b);
    sxvkDestroyAllocator(fixture->allocator);
    fixture->allocator = usual;
}

/* --- pages --------------------------------------------------------------------------------------- */

static void test_pages(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { COUNT = 64 };
    const VkBufferCreateInfo bufferInfo = buffer_info(3000, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkBuffer buffers[COUNT];
    SxvkAllocation pages[COUNT];
    SxvkAllocationInfo infos[COUNT];
    SxvkAllocationCreateInfo createInfos[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_ok(vkCreateBuffer(fixture->gpu.device, &bufferInfo, NULL, &buffers[i]));
        createInfos[i] = (SxvkAllocationCreateInfo){
            .preferredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
        };
    }
    VkMemoryRequirements one;
    vkGetBufferMemoryRequirements(fixture->gpu.device, buffers[0], &one);
    VkMemoryRequirements needs[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        needs[i] = one;
    }
    assert_ok(sxvkAllocateMemoryPages(fixture->allocator, needs, createInfos, COUNT, pages, infos));
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(infos[i].size, one.size);
        assert_ok(sxvkBindBufferMemory(fixture->allocator, pages[i], buffers[i]));
        gpu_write_buffer(fixture, buffers[i], 3000, i);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        gpu_check_buffer(fixture, buffers[i], 3000, i);
        vkDestroyBuffer(fixture->gpu.device, buffers[i], NULL);
    }
    sxvkFreeMemoryPages(fixture->allocator, COUNT, pages);

    /* The last one cannot be had: then there is none at all. */
    createInfos[COUNT - 1].flags = SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT;
    needs[COUNT - 1].size = (VkDeviceSize)1 << 30;
    assert_int_equal(
        sxvkAllocateMemoryPages(fixture->allocator, needs, createInfos, COUNT, pages, infos),
        VK_ERROR_OUT_OF_DEVICE_MEMORY);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_null(pages[i]);
        assert_true(infos[i].deviceMemory == VK_NULL_HANDLE);
    }
    expect_no_messages(fixture);
    SxvkTotalStatistics statistics;
    sxvkCalculateStatistics(fixture->allocator, &statistics);
    assert_int_equal(statistics.total.statistics.allocationCount, 0);
}

/* --- statistics, budget and dump ------------------------------------------------------------------ */

/*  Something in the default pools, in a custom pool, and dedicated. */
typedef struct World {
    Filled plain[40], pooled[10], dedicated[3];
    SxvkPool pool;
    VkImage image;
    SxvkAllocation imageMemory;
} World;

static void make_world(Fixture* fixture, World* world) {
    SxvkPoolCreateInfo info = pool_info(fixture, 0);
    info.blockSize = 512 * KIB;
    assert_ok(sxvkCreatePool(fixture->allocator, &info, &world->pool));
    assert_ok(sxvkSetPoolName(fixture->allocator, world->pool, "particles \"quoted\"\n"));
    for (uint32_t i = 0; i < 40; i++) {
        SxvkAllocationCreateInfo allocationInfo = auto_info(i % 3 == 0 ? hostRead : 0);
        char name[32];
        (void)snprintf(name, sizeof name, "plain \\ %u", i);
        allocationInfo.pName = name;
        world->plain[i] = make_filled(fixture, 200 + (size_t)i * i * 400, i, &allocationInfo);
    }
    SxvkAllocationCreateInfo pooled = auto_info(0);
    pooled.pool = world->pool;
    for (uint32_t i = 0; i < 10; i++) {
        world->pooled[i] = make_filled(fixture, 90000, 100 + i, &pooled);
    }
    SxvkAllocationCreateInfo dedicated = auto_info(SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT);
    for (uint32_t i = 0; i < 3; i++) {
        dedicated.pName = "on its own";
        world->dedicated[i] = make_filled(fixture, 123456, 200 + i, &dedicated);
    }
    const VkImageCreateInfo imageInfo = image_info(VK_FORMAT_R8G8B8A8_UNORM, 128, 128, 8);
    const SxvkAllocationCreateInfo imageAllocation = auto_info(0);
    assert_ok(sxvkCreateImage(fixture->allocator, &imageInfo, &imageAllocation, &world->image,
                              &world->imageMemory, NULL));
    /* Gaps, so that there are free ranges between used ones. */
    for (uint32_t i = 0; i < 40; i += 4) {
        check_and_destroy(fixture, &world->plain[i]);
    }
}

static void destroy_world(Fixture* fixture, World* world) {
    for (uint32_t i = 0; i < 40; i++) {
        if (i % 4 != 0) {
            check_and_destroy(fixture, &world->plain[i]);
        }
    }
    for (uint32_t i = 0; i < 10; i++) {
        check_and_destroy(fixture, &world->pooled[i]);
    }
    for (uint32_t i = 0; i < 3; i++) {
        check_and_destroy(fixture, &world->dedicated[i]);
    }
    sxvkDestroyImage(fixture->allocator, world->image, world->imageMemory);
    sxvkDestroyPool(fixture->allocator, world->pool);
}

static VkDeviceSize driverBytes; /* by the callbacks, which see every vkAllocateMemory */
static uint32_t driverBlocks;

static VKAPI_ATTR void VKAPI_CALL on_allocate(SxvkAllocator allocator, uint32_t memoryType,
                                              VkDeviceMemory memory, VkDeviceSize size,
                                              void* userData) {
    (void)memoryType;
    assert_non_null(allocator);
    assert_true(memory != VK_NULL_HANDLE);
    assert_ptr_equal(userData, &driverBytes);
    driverBytes += size;
    driverBlocks++;
}

static VKAPI_ATTR void VKAPI_CALL on_free(SxvkAllocator allocator, uint32_t memoryType,
                                          VkDeviceMemory memory, VkDeviceSize size,
                                          void* userData) {
    (void)memoryType;
    assert_non_null(allocator);
    assert_true(memory != VK_NULL_HANDLE);
    assert_ptr_equal(userData, &driverBytes);
    assert_true(driverBytes >= size && driverBlocks > 0);
    driverBytes -= size;
    driverBlocks--;
}

static void test_statistics(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocator usual = fixture->allocator;
    const SxvkDeviceMemoryCallbacks callbacks = {on_allocate, on_free, &driverBytes};
    SxvkAllocatorCreateInfo allocatorInfo = fixture_allocator_info(fixture);
    allocatorInfo.pDeviceMemoryCallbacks = &callbacks;
    driverBytes = 0;
    driverBlocks = 0;
    assert_ok(sxvkCreateAllocator(&allocatorInfo, &fixture->allocator));
    World world;
    make_world(fixture, &world);

    SxvkTotalStatistics statistics;
    sxvkCalculateStatistics(fixture->allocator, &statistics);
    const SxvkDetailedStatistics* total = &statistics.total;
    assert_int_equal(total->statistics.blockBytes, driverBytes);
    assert_int_equal(total->statistics.blockCount, driverBlocks);
    assert_int_equal(total->statistics.allocationCount, 30 + 10 + 3 + 1);
    VkDeviceSize live = 0;
    SxvkAllocationInfo info;
    for (uint32_t i = 0; i < 40; i++) {
        live += i % 4 != 0 ? world.plain[i].info.size : 0;
    }
    for (uint32_t i = 0; i < 10; i++) {
        live += world.pooled[i].info.size;
    }
    for (uint32_t i = 0; i < 3; i++) {
        live += world.dedicated[i].info.size;
    }
    sxvkGetAllocationInfo(fixture->allocator, world.imageMemory, &info);
    live += info.size;
    assert_int_equal(total->statistics.allocationBytes, live);

    /* Heaps are the sums of their types, and the fast counters say the same. */
    SxvkStatistics heapSum[VK_MAX_MEMORY_HEAPS];
    memset(heapSum, 0, sizeof heapSum);
    for (uint32_t i = 0; i < fixture->gpu.memory.memoryTypeCount; i++) {
        const SxvkStatistics* type = &statistics.memoryType[i].statistics;
        SxvkStatistics* heap = &heapSum[fixture->gpu.memory.memoryTypes[i].heapIndex];
        heap->blockCount += type->blockCount;
        heap->blockBytes += type->blockBytes;
        heap->allocationCount += type->allocationCount;
        heap->allocationBytes += type->allocationBytes;
    }
    for (uint32_t i = 0; i < fixture->gpu.memory.memoryHeapCount; i++) {
        SxvkBudget budget;
        sxvkGetHeapBudget(fixture->allocator, i, &budget);
        assert_memory_equal(&heapSum[i], &budget.statistics, sizeof heapSum[i]);
        assert_memory_equal(&heapSum[i], &statistics.memoryHeap[i].statistics, sizeof heapSum[i]);
    }
    destroy_world(fixture, &world);
    sxvkDestroyAllocator(fixture->allocator);
    assert_int_equal(driverBytes, 0);
    assert_int_equal(driverBlocks, 0);
    fixture->allocator = usual;
}

static VkPhysicalDeviceMemoryBudgetPropertiesEXT ask_driver(const Fixture* fixture) {
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT,
    };
    VkPhysicalDeviceMemoryProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
        .pNext = &budget,
    };
    vkGetPhysicalDeviceMemoryProperties2(fixture->gpu.physicalDevice, &properties);
    return budget;
}

/*  The driver counts the whole machine or process, which does not stand still: near is enough. */
static void assert_near(VkDeviceSize ours, VkDeviceSize before, VkDeviceSize after) {
    const VkDeviceSize slack = 1024 * MIB;
    VkDeviceSize low = before < after ? before : after;
    VkDeviceSize high = before < after ? after : before;
    assert_true(ours + slack >= low && ours <= high + slack);
}

static void test_budget(void** state) {
    Fixture* fixture = (Fixture*)*state;
    World world;
    make_world(fixture, &world);
    VkPhysicalDeviceMemoryBudgetPropertiesEXT before = {.pNext = NULL}, after = {.pNext = NULL};
    if (fixture->gpu.memoryBudget) {
        before = ask_driver(fixture);
    }
    sxvkSetCurrentFrameIndex(fixture->allocator, 1);
    for (uint32_t i = 0; i < fixture->gpu.memory.memoryHeapCount; i++) {
        const VkDeviceSize heapSize = fixture->gpu.memory.memoryHeaps[i].size;
        SxvkBudget budget;
        sxvkGetHeapBudget(fixture->allocator, i, &budget);
        assert_true(budget.budget <= heapSize);
        if (fixture->gpu.memoryBudget) {
            after = ask_driver(fixture);
            assert_near(budget.usage, before.heapUsage[i], after.heapUsage[i]);
            assert_near(budget.budget, before.heapBudget[i], after.heapBudget[i]);
        } else {
            assert_int_equal(budget.usage, budget.statistics.blockBytes);
            assert_in_range(budget.budget, heapSize / 5 * 4, heapSize / 5 * 4 + 4); /* 80 % */
        }
    }
    destroy_world(fixture, &world);
}

/*  A limit of our own stands in for the size of the heap: held, and told. */
static void test_heap_size_limit(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocator usual = fixture->allocator;
    VkDeviceSize limits[VK_MAX_MEMORY_HEAPS];
    for (uint32_t i = 0; i < VK_MAX_MEMORY_HEAPS; i++) {
        limits[i] = 4 * MIB;
    }
    SxvkAllocatorCreateInfo allocatorInfo = fixture_allocator_info(fixture);
    allocatorInfo.pHeapSizeLimit = limits;
    assert_ok(sxvkCreateAllocator(&allocatorInfo, &fixture->allocator));
    const VkPhysicalDeviceMemoryProperties* memory;
    sxvkGetMemoryProperties(fixture->allocator, &memory);
    assert_int_equal(memory->memoryHeaps[0].size, 4 * MIB);
    enum { MOST = 64 };
    Filled filled[MOST];
    uint32_t count = 0;
    VkResult result = VK_SUCCESS;
    const SxvkAllocationCreateInfo info = auto_info(0);
    while (count < MOST) {
        result = try_filled(fixture, &filled[count], (size_t)(512 * KIB), count, &info);
        if (result != VK_SUCCESS) {
            break;
        }
        count++;
    }
    assert_int_equal(result, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    expect_messages(fixture, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    for (uint32_t i = 0; i < memory->memoryHeapCount; i++) {
        SxvkBudget budget;
        sxvkGetHeapBudget(fixture->allocator, i, &budget);
        assert_true(budget.statistics.blockBytes <= 4 * MIB);
    }
    /* Most of the first heap is to be had, whatever way the blocks grew. */
    assert_true(count >= 6);
    for (uint32_t i = 0; i < count; i++) {
        check_and_destroy(fixture, &filled[i]);
    }
    sxvkDestroyAllocator(fixture->allocator);
    fixture->allocator = usual;
}

/* --- the dump ------------------------------------------------------------------------------------ */

static uint64_t number(const cJSON* object, const char* key) {
    const cJSON* value = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsNumber(value)) {
        fail_msg("the dump has no number \"%s\" here", key);
    }
    return (uint64_t)value->valuedouble;
}

static const cJSON* member(const cJSON* object, const char* key) {
    const cJSON* value = cJSON_GetObjectItemCaseSensitive(object, key);
    if (value == NULL) {
        fail_msg("the dump has no \"%s\" here", key);
    }
    return value;
}

static void check_stats(const cJSON* stats, const SxvkDetailedStatistics* expected) {
    assert_int_equal(number(stats, "BlockCount"), expected->statistics.blockCount);
    assert_int_equal(number(stats, "BlockBytes"), expected->statistics.blockBytes);
    assert_int_equal(number(stats, "AllocationCount"), expected->statistics.allocationCount);
    assert_int_equal(number(stats, "AllocationBytes"), expected->statistics.allocationBytes);
    assert_int_equal(number(stats, "UnusedRangeCount"), expected->unusedRangeCount);
    if (expected->statistics.allocationCount > 0) {
        assert_int_equal(number(stats, "AllocationSizeMin"), expected->allocationSizeMin);
        assert_int_equal(number(stats, "AllocationSizeMax"), expected->allocationSizeMax);
    }
    if (expected->unusedRangeCount > 0) {
        assert_int_equal(number(stats, "UnusedRangeSizeMin"), expected->unusedRangeSizeMin);
        assert_int_equal(number(stats, "UnusedRangeSizeMax"), expected->unusedRangeSizeMax);
    }
}

/*  Adds up a pool of the dump; every block is covered from 0 to its end without gap or overlap. */
static void add_pool(const cJSON* pool, SxvkStatistics* sum, uint32_t* names) {
    const cJSON *block, *range;
    cJSON_ArrayForEach(block, member(pool, "Blocks")) {
        uint64_t end = 0, unused = 0;
        uint32_t allocations = 0, unusedRanges = 0;
        bool wasFree = false;
        cJSON_ArrayForEach(range, member(block, "Suballocations")) {
            uint64_t size = number(range, "Size");
            bool isFree = strcmp(member(range, "Type")->valuestring, "FREE") == 0;
            assert_int_equal(number(range, "Offset"), end);
            assert_true(size > 0);
            assert_false(isFree && wasFree); /* neighbours would be one range */
            wasFree = isFree;
            end += size;
            unused += isFree ? size : 0;
            unusedRanges += isFree;
            allocations += !isFree;
            *names += cJSON_GetObjectItemCaseSensitive(range, "Name") != NULL;
        }
        assert_int_equal(end, number(block, "TotalBytes"));
        assert_int_equal(unused, number(block, "UnusedBytes"));
        assert_int_equal(allocations, number(block, "Allocations"));
        assert_int_equal(unusedRanges, number(block, "UnusedRanges"));
        sum->blockCount++;
        sum->blockBytes += end;
        sum->allocationCount += allocations;
        sum->allocationBytes += end - unused;
    }
    cJSON_ArrayForEach(range, member(pool, "DedicatedAllocations")) {
        uint64_t size = number(range, "Size");
        sum->blockCount++;
        sum->blockBytes += size;
        sum->allocationCount++;
        sum->allocationBytes += size;
        *names += cJSON_GetObjectItemCaseSensitive(range, "Name") != NULL;
    }
}

static void test_dump(void** state) {
    Fixture* fixture = (Fixture*)*state;
    World world;
    make_world(fixture, &world);
    SxvkTotalStatistics statistics;
    sxvkCalculateStatistics(fixture->allocator, &statistics);
    char* text;
    assert_ok(sxvkBuildStatsString(fixture->allocator, &text, VK_TRUE));
    cJSON* root = cJSON_Parse(text);
    assert_non_null(root);
    sxvkFreeStatsString(fixture->allocator, text);

    assert_string_equal(member(member(root, "General"), "GPU")->valuestring,
                        fixture->gpu.properties.deviceName);
    check_stats(member(member(root, "Total"), "Stats"), &statistics.total);
    char key[32];
    for (uint32_t i = 0; i < fixture->gpu.memory.memoryHeapCount; i++) {
        (void)snprintf(key, sizeof key, "Heap %u", i);
        const cJSON* heap = member(member(root, "MemoryInfo"), key);
        check_stats(member(heap, "Stats"), &statistics.memoryHeap[i]);
        for (uint32_t t = 0; t < fixture->gpu.memory.memoryTypeCount; t++) {
            if (fixture->gpu.memory.memoryTypes[t].heapIndex == i) {
                (void)snprintf(key, sizeof key, "Type %u", t);
                const cJSON* type = member(member(heap, "MemoryPools"), key);
                check_stats(member(type, "Stats"), &statistics.memoryType[t]);
            }
        }
    }

    uint32_t names = 0, customPools = 0;
    for (uint32_t t = 0; t < fixture->gpu.memory.memoryTypeCount; t++) {
        SxvkStatistics sum;
        memset(&sum, 0, sizeof sum);
        (void)snprintf(key, sizeof key, "Type %u", t);
        const cJSON* pool = cJSON_GetObjectItemCaseSensitive(member(root, "DefaultPools"), key);
        if (pool != NULL) {
            add_pool(pool, &sum, &names);
        }
        cJSON_ArrayForEach(pool,
                           cJSON_GetObjectItemCaseSensitive(member(root, "CustomPools"), key)) {
            add_pool(pool, &sum, &names);
            customPools++;
            /* VMA puts the pool's number before its name. */
            assert_non_null(strstr(member(pool, "Name")->valuestring, "particles \"quoted\"\n"));
        }
        assert_memory_equal(&sum, &statistics.memoryType[t].statistics, sizeof sum);
    }
    assert_int_equal(customPools, 1);
    assert_int_equal(names, 30 + 3);
    cJSON_Delete(root);

    /* Without the map: the sums alone. */
    assert_ok(sxvkBuildStatsString(fixture->allocator, &text, VK_FALSE));
    root = cJSON_Parse(text);
    assert_non_null(root);
    assert_null(strstr(text, "Suballocations"));
    check_stats(member(member(root, "Total"), "Stats"), &statistics.total);
    sxvkFreeStatsString(fixture->allocator, text);
    cJSON_Delete(root);
    destroy_world(fixture, &world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        gpu_test(test_pool_with_limit),
        gpu_test(test_pool_that_grows),
        gpu_test(test_pool_with_alignment_priority_and_chain),
        gpu_test(test_pool_of_images),
        gpu_test(test_priorities),
        gpu_test(test_map_and_unmap),
        gpu_test(test_flush_parts),
        gpu_test(test_flush_many),
        gpu_test(test_copy_both_ways),
        gpu_test(test_unmap_unused_blocks),
        gpu_test(test_margins),
        gpu_test(test_pages),
        gpu_test(test_statistics),
        gpu_test(test_budget),
        gpu_test(test_heap_size_limit),
        gpu_test(test_dump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
