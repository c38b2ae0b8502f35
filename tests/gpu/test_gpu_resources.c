/*
    test_gpu_resources.c - buffers and images of every sort, filled and read back by the GPU, every
    byte compared: usages and host access, formats, mips and layers, dedicated, aliasing, bind2,
    device addresses, and the choice of memory type before there is a resource.

    Run by CTest (gpu.gpu_resources), or by hand; SXVK_DEVICE chooses the device.
*/
#include "gpu_fixture.h"

/* --- buffers ------------------------------------------------------------------------------------ */

/*  The CPU writes through a pointer where it may; the GPU does in any case. */
static void use_buffer(Fixture* fixture, const SxvkAllocationCreateInfo* allocationInfo,
                       VkBufferUsageFlags usage, VkDeviceSize size, uint64_t seed) {
    const VkBufferCreateInfo info = buffer_info(size, usage);
    VkBuffer buffer;
    SxvkAllocation allocation;
    SxvkAllocationInfo allocated;
    assert_ok(sxvkCreateBuffer(fixture->allocator, &info, allocationInfo, &buffer, &allocation,
                               &allocated));
    assert_true(allocated.size >= size);
    assert_true(allocated.deviceMemory != VK_NULL_HANDLE);
    VkMemoryPropertyFlags flags;
    sxvkGetAllocationMemoryProperties(fixture->allocator, allocation, &flags);
    assert_int_equal(flags, fixture->gpu.memory.memoryTypes[allocated.memoryType].propertyFlags);

    const SxvkAllocationCreateFlags hostAccess =
        SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT |
        SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;
    const bool visible = (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0;
    if ((allocationInfo->flags & hostAccess) &&
        !(allocationInfo->flags & SXVK_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT)) {
        assert_true(visible);
    }
    assert_int_equal(allocated.pMappedData != NULL,
                     visible && (allocationInfo->flags & SXVK_ALLOCATION_CREATE_MAPPED_BIT) != 0);
    if (allocated.pMappedData != NULL) {
        fill_pattern((uint8_t*)allocated.pMappedData, (size_t)size, seed);
        assert_ok(sxvkFlushAllocation(fixture->allocator, allocation, 0, VK_WHOLE_SIZE));
    } else {
        gpu_write_buffer(fixture, buffer, (size_t)size, seed);
    }
    gpu_check_buffer(fixture, buffer, (size_t)size, seed);
    sxvkDestroyBuffer(fixture->allocator, buffer, allocation);
}

static void test_every_usage_and_host_access(void** state) {
    Fixture* fixture = (Fixture*)*state;
    static const SxvkMemoryUsage usages[] = {
        SXVK_MEMORY_USAGE_AUTO,
        SXVK_MEMORY_USAGE_AUTO_PREFER_DEVICE,
        SXVK_MEMORY_USAGE_AUTO_PREFER_HOST,
        SXVK_MEMORY_USAGE_UNKNOWN,
    };
    static const SxvkAllocationCreateFlags accesses[] = {
        0,
        SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT,
        SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT,
        SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT |
            SXVK_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT,
        SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT |
            SXVK_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT,
    };
    static const VkBufferUsageFlags bufferUsages[] = {
        0, /* transfer alone, which every buffer of these tests has */
        VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT,
        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
        VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_INDEX_BUFFER_BIT,
        VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT,
        VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT,
    };
    uint64_t seed = 1;
    for (size_t u = 0; u < sizeof usages / sizeof usages[0]; u++) {
        for (size_t a = 0; a < sizeof accesses / sizeof accesses[0]; a++) {
            for (size_t b = 0; b < sizeof bufferUsages / sizeof bufferUsages[0]; b++) {
                for (SxvkAllocationCreateFlags mapped = 0; mapped < 2; mapped++) {
                    /* AUTO and MAPPED want to know how the CPU comes in. */
                    if (mapped && accesses[a] == 0 && usages[u] != SXVK_MEMORY_USAGE_UNKNOWN) {
                        continue;
                    }
                    SxvkAllocationCreateInfo info = {
                        .usage = usages[u],
                        .flags = accesses[a] | mapped * SXVK_ALLOCATION_CREATE_MAPPED_BIT,
                    };
                    if (usages[u] == SXVK_MEMORY_USAGE_UNKNOWN && accesses[a] != 0) {
                        info.requiredFlags = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
                    }
                    use_buffer(fixture, &info, bufferUsages[b], 1000 + 333 * b, ++seed);
                }
            }
        }
    }
    assert_int_equal(seed, 1 + 6 * (3 * 9 + 10));
}

static void test_sizes(void** state) {
    Fixture* fixture = (Fixture*)*state;
    static const VkDeviceSize sizes[] = {
        1, 2, 15, 17, 255, 4097, 65535, 65536, 1 << 20, (1 << 20) + 1, 3 << 20, 8 * 1024 * 1024};
    for (uint64_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        SxvkAllocationCreateInfo info = auto_info(0);
        use_buffer(fixture, &info, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, sizes[i], 1000 + i);
    }
}

/*  Neighbours in one block must keep their bytes while others come, go and are written. */
static void test_neighbours_keep_their_bytes(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { COUNT = 48 };
    VkBuffer buffers[COUNT];
    SxvkAllocation allocations[COUNT];
    const SxvkAllocationCreateInfo info = auto_info(0);
    for (size_t i = 0; i < COUNT; i++) {
        const VkBufferCreateInfo bufferInfo =
            buffer_info(100 + 777 * i, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        assert_ok(sxvkCreateBuffer(fixture->allocator, &bufferInfo, &info, &buffers[i],
                                   &allocations[i], NULL));
        gpu_write_buffer(fixture, buffers[i], 100 + 777 * i, i);
    }
    for (size_t i = 0; i < COUNT; i += 2) {
        gpu_check_buffer(fixture, buffers[i], 100 + 777 * i, i);
        sxvkDestroyBuffer(fixture->allocator, buffers[i], allocations[i]);
    }
    for (size_t i = 0; i < COUNT; i += 2) {
        const VkBufferCreateInfo bufferInfo = buffer_info(333, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
        assert_ok(sxvkCreateBuffer(fixture->allocator, &bufferInfo, &info, &buffers[i],
                                   &allocations[i], NULL));
        gpu_write_buffer(fixture, buffers[i], 333, 1000 + i);
    }
    for (size_t i = 0; i < COUNT; i++) {
        if (i % 2 == 0) {
            gpu_check_buffer(fixture, buffers[i], 333, 1000 + i);
        } else {
            gpu_check_buffer(fixture, buffers[i], 100 + 777 * i, i);
        }
        sxvkDestroyBuffer(fixture->allocator, buffers[i], allocations[i]);
    }
}

static void test_alignment(void** state) {
    Fixture* fixture = (Fixture*)*state;
    for (VkDeviceSize alignment = 1; alignment <= 1 << 20; alignment *= 4) {
        VkBuffer buffers[3];
        SxvkAllocation allocations[3];
        for (size_t i = 0; i < 3; i++) {
            const VkBufferCreateInfo bufferInfo =
                buffer_info(500 + i, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
            SxvkAllocationCreateInfo info = auto_info(0);
            SxvkAllocationInfo allocated;
            if (i == 0) { /* by the field, by the function, by both */
                info.minAlignment = alignment;
            }
            if (i == 2) {
                info.minAlignment = 16;
            }
            if (i == 0) {
                assert_ok(sxvkCreateBuffer(fixture->allocator, &bufferInfo, &info, &buffers[i],
                                           &allocations[i], &allocated));
            } else {
                assert_ok(sxvkCreateBufferWithAlignment(fixture->allocator, &bufferInfo, &info,
                                                        alignment, &buffers[i], &allocations[i],
                                                        &allocated));
            }
            assert_int_equal(allocated.offset % alignment, 0);
            gpu_write_buffer(fixture, buffers[i], 500 + i, i);
        }
        for (size_t i = 0; i < 3; i++) {
            gpu_check_buffer(fixture, buffers[i], 500 + i, i);
            sxvkDestroyBuffer(fixture->allocator, buffers[i], allocations[i]);
        }
    }
}

/* --- images ------------------------------------------------------------------------------------- */

static void use_image(Fixture* fixture, const VkImageCreateInfo* info,
                      const SxvkAllocationCreateInfo* allocationInfo, uint64_t seed) {
    VkImage image;
    SxvkAllocation allocation;
    SxvkAllocationInfo allocated;
    assert_ok(
        sxvkCreateImage(fixture->allocator, info, allocationInfo, &image, &allocation, &allocated));
    VkMemoryRequirements needs;
    vkGetImageMemoryRequirements(fixture->gpu.device, image, &needs);
    assert_int_equal(allocated.size, needs.size);
    assert_int_equal(allocated.offset % needs.alignment, 0);
    assert_true(needs.memoryTypeBits & (1u << allocated.memoryType));
    gpu_write_image(fixture, image, info, seed);
    gpu_check_image(fixture, image, info, seed);
    sxvkDestroyImage(fixture->allocator, image, allocation);
}

static void test_images(void** state) {
    Fixture* fixture = (Fixture*)*state;
    static const VkFormat formats[] = {
        VK_FORMAT_R8_UNORM,          VK_FORMAT_R5G6B5_UNORM_PACK16,  VK_FORMAT_R8G8B8A8_UNORM,
        VK_FORMAT_R32G32B32A32_UINT, VK_FORMAT_BC1_RGBA_UNORM_BLOCK, VK_FORMAT_D16_UNORM,
    };
    static const VkExtent3D extents[] = {{1, 1, 1}, {64, 64, 1}, {257, 63, 1}, {512, 256, 1}};
    uint32_t used = 0;
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++) {
        for (size_t e = 0; e < sizeof extents / sizeof extents[0]; e++) {
            for (uint32_t shape = 0; shape < 4; shape++) {
                VkImageCreateInfo info =
                    image_info(formats[f], extents[e].width, extents[e].height, 1);
                if (shape & 1) {
                    info.mipLevels = e == 0 ? 1 : 6;
                }
                if (shape & 2) {
                    info.arrayLayers = 3;
                }
                if (image_is_possible(fixture, &info)) {
                    SxvkAllocationCreateInfo allocationInfo = auto_info(0);
                    use_image(fixture, &info, &allocationInfo, ++used);
                }
            }
        }
    }
    assert_true(used >= 64); /* all of the first four formats are required by Vulkan */
}

static void test_linear_cube_and_volume_images(void** state) {
    Fixture* fixture = (Fixture*)*state;
    const SxvkAllocationCreateInfo device = auto_info(0);
    const SxvkAllocationCreateInfo host = auto_info(SXVK_ALLOCATION_CREATE_MAPPED_BIT |
                                                    SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT);
    uint32_t used = 0;

    VkImageCreateInfo linear = image_info(VK_FORMAT_R8G8B8A8_UNORM, 200, 100, 1);
    linear.tiling = VK_IMAGE_TILING_LINEAR;
    if (image_is_possible(fixture, &linear)) {
        use_image(fixture, &linear, &device, ++used);
        use_image(fixture, &linear, &host, ++used);
    }
    VkImageCreateInfo cube = image_info(VK_FORMAT_R8G8B8A8_UNORM, 64, 64, 7);
    cube.arrayLayers = 6;
    cube.flags = VK_IMAGE_CREATE_CUBE_COMPATIBLE_BIT;
    if (image_is_possible(fixture, &cube)) {
        use_image(fixture, &cube, &device, ++used);
    }
    VkImageCreateInfo volume = image_info(VK_FORMAT_R8G8B8A8_UNORM, 33, 32, 4);
    volume.imageType = VK_IMAGE_TYPE_3D;
    volume.extent.depth = 17;
    if (image_is_possible(fixture, &volume)) {
        use_image(fixture, &volume, &device, ++used);
    }
    VkImageCreateInfo line = image_info(VK_FORMAT_R8G8B8A8_UNORM, 1000, 1, 1);
    line.imageType = VK_IMAGE_TYPE_1D;
    if (image_is_possible(fixture, &line)) {
        use_image(fixture, &line, &device, ++used);
    }
    assert_true(used >= 3);
}

/*  Multisampled attachments cannot be copied: made, bound, destroyed. Transient ones prefer memory that
    a tiler never backs, and do without. */
static void test_attachments(void** state) {
    Fixture* fixture = (Fixture*)*state;
    VkImageCreateInfo info = image_info(VK_FORMAT_R8G8B8A8_UNORM, 128, 128, 1);
    info.usage = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT;
    info.samples = VK_SAMPLE_COUNT_4_BIT;
    SxvkAllocationCreateInfo allocationInfo = auto_info(0);
    VkImage image;
    SxvkAllocation allocation;
    assert_ok(
        sxvkCreateImage(fixture->allocator, &info, &allocationInfo, &image, &allocation, NULL));
    sxvkDestroyImage(fixture->allocator, image, allocation);

    bool lazy = false;
    for (uint32_t i = 0; i < fixture->gpu.memory.memoryTypeCount; i++) {
        lazy = lazy || (fixture->gpu.memory.memoryTypes[i].propertyFlags &
                        VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT);
    }
    allocationInfo.usage = SXVK_MEMORY_USAGE_GPU_LAZILY_ALLOCATED;
    VkResult result =
        sxvkCreateImage(fixture->allocator, &info, &allocationInfo, &image, &allocation, NULL);
    if (lazy) {
        assert_ok(result);
        sxvkDestroyImage(fixture->allocator, image, allocation);
    } else {
        assert_int_equal(result, VK_ERROR_FEATURE_NOT_PRESENT);
        assert_true(image == VK_NULL_HANDLE);
        assert_null(allocation);
        expect_messages(fixture, SXVK_MESSAGE_NO_MEMORY_TYPE, 1);
    }
}

/*  Linear and optimal neighbours, as close as the device lets them. */
static void test_buffers_between_images(void** state) {
    Fixture* fixture = (Fixture*)*state;
    enum { COUNT = 24 };
    VkImage images[COUNT];
    VkBuffer buffers[COUNT];
    SxvkAllocation imageMemory[COUNT], bufferMemory[COUNT];
    const SxvkAllocationCreateInfo allocationInfo = auto_info(0);
    for (uint32_t i = 0; i < COUNT; i++) {
        const VkImageCreateInfo info = image_info(VK_FORMAT_R8G8B8A8_UNORM, 8 + i, 5 + i, 1);
        const VkBufferCreateInfo bufferInfo = buffer_info(100 + i, 0);
        assert_ok(sxvkCreateImage(fixture->allocator, &info, &allocationInfo, &images[i],
                                  &imageMemory[i], NULL));
        assert_ok(sxvkCreateBuffer(fixture->allocator, &bufferInfo, &allocationInfo, &buffers[i],
                                   &bufferMemory[i], NULL));
        gpu_write_image(fixture, images[i], &info, i);
        gpu_write_buffer(fixture, buffers[i], 100 + i, 500 + i);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        const VkImageCreateInfo info = image_info(VK_FORMAT_R8G8B8A8_UNORM, 8 + i, 5 + i, 1);
        gpu_check_image(fixture, images[i], &info, i);
        gpu_check_buffer(fixture, buffers[i], 100 + i, 500 + i);
        sxvkDestroyImage(fixture->allocator, images[i], imageMemory[i]);
        sxvkDestroyBuffer(fixture->allocator, buffers[i], bufferMemory[i]);
    }
}

/* --- batches ------------------------------------------------------------------------------------ */

enum { BATCH_BUFFERS = 100, BATCH_IMAGES = 20 };

/*  Made at once, of all sorts: every third buffer and every image is written by the GPU, the mapped
    ones by the CPU; all are read back after all were written, and destroyed at once. */
static void use_batches(Fixture* fixture, SxvkAllocator allocator) {
    VkBufferCreateInfo bufferInfos[BATCH_BUFFERS];
    VkImageCreateInfo imageInfos[BATCH_IMAGES];
    SxvkAllocationCreateInfo bufferHow[BATCH_BUFFERS], imageHow[BATCH_IMAGES];
    SxvkAllocation bufferMemory[BATCH_BUFFERS], imageMemory[BATCH_IMAGES];
    SxvkAllocationInfo allocated[BATCH_BUFFERS];
    VkBuffer buffers[BATCH_BUFFERS];
    VkImage images[BATCH_IMAGES];
    for (uint32_t i = 0; i < BATCH_BUFFERS; i++) {
        bufferInfos[i] = buffer_info(100 + 777 * i, i % 2 == 0 ? VK_BUFFER_USAGE_STORAGE_BUFFER_BIT
                                                               : VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
        bufferHow[i] = auto_info(i % 10 == 1   ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT
                                 : i % 10 == 4 ? SXVK_ALLOCATION_CREATE_DONT_BIND_BIT
                                 : i % 10 == 5 ? SXVK_ALLOCATION_CREATE_MAPPED_BIT |
                                                     SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT
                                               : 0u);
        bufferHow[i].pName = i % 10 == 6 ? "a buffer of many" : NULL;
    }
    for (uint32_t i = 0; i < BATCH_IMAGES; i++) {
        imageInfos[i] = image_info(VK_FORMAT_R8G8B8A8_UNORM, 16 + 5 * i, 60 - i, 1 + i % 4);
        imageHow[i] = auto_info(i % 7 == 3 ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0u);
    }
    assert_ok(sxvkCreateBuffers(allocator, BATCH_BUFFERS, bufferInfos, bufferHow, buffers,
                                bufferMemory, allocated));
    assert_ok(
        sxvkCreateImages(allocator, BATCH_IMAGES, imageInfos, imageHow, images, imageMemory, NULL));
    for (uint32_t i = 0; i < BATCH_BUFFERS; i++) {
        const size_t size = (size_t)bufferInfos[i].size;
        if (i % 10 == 4) {
            assert_ok(sxvkBindBufferMemory(allocator, bufferMemory[i], buffers[i]));
        }
        if (allocated[i].pMappedData != NULL) {
            fill_pattern((uint8_t*)allocated[i].pMappedData, size, i);
            assert_ok(sxvkFlushAllocation(allocator, bufferMemory[i], 0, VK_WHOLE_SIZE));
        } else if (i % 3 == 0) {
            gpu_write_buffer(fixture, buffers[i], size, i);
        }
        assert_int_equal(allocated[i].pMappedData != NULL, i % 10 == 5);
    }
    for (uint32_t i = 0; i < BATCH_IMAGES; i++) {
        gpu_write_image(fixture, images[i], &imageInfos[i], 1000 + i);
    }
    for (uint32_t i = 0; i < BATCH_BUFFERS; i++) {
        if (i % 3 == 0 || i % 10 == 5) {
            gpu_check_buffer(fixture, buffers[i], (size_t)bufferInfos[i].size, i);
        }
    }
    for (uint32_t i = 0; i < BATCH_IMAGES; i++) {
        gpu_check_image(fixture, images[i], &imageInfos[i], 1000 + i);
    }
    sxvkDestroyBuffers(allocator, BATCH_BUFFERS, buffers, bufferMemory);
    sxvkDestroyImages(allocator, BATCH_IMAGES, images, imageMemory);
    SxvkTotalStatistics statistics;
    sxvkCalculateStatistics(allocator, &statistics);
    assert_int_equal(statistics.total.statistics.allocationCount, 0);
}

/*  Bound by vkBindBufferMemory2 and vkBindImageMemory2, and, for Vulkan 1.0, one by one. */
static void test_batches(void** state) {
    Fixture* fixture = (Fixture*)*state;
    use_batches(fixture, fixture->allocator);
    SxvkAllocatorCreateInfo info = fixture_allocator_info(fixture);
    SxvkAllocator old;
    info.flags = 0;
    info.vulkanApiVersion = VK_API_VERSION_1_0;
    assert_ok(sxvkCreateAllocator(&info, &old));
    use_batches(fixture, old);
    sxvkDestroyAllocator(old);
}

/* --- dedicated ---------------------------------------------------------------------------------- */

static void assert_dedicated(Fixture* fixture, SxvkAllocation allocation) {
    SxvkAllocationInfo2 info;
    sxvkGetAllocationInfo2(fixture->allocator, allocation, &info);
    assert_int_equal(info.dedicatedMemory, VK_TRUE);
    assert_int_equal(info.allocationInfo.offset, 0);
    assert_int_equal(info.blockSize, info.allocationInfo.size);
}

static void test_dedicated(void** state) {
    Fixture* fixture = (Fixture*)*state;
    const VkBufferCreateInfo bufferInfo = buffer_info(10000, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    const VkImageCreateInfo imageInfo = image_info(VK_FORMAT_R8G8B8A8_UNORM, 100, 100, 3);
    /* For Vulkan 1.1 a chain that says nothing more than the allocator does: nothing exported. */
    VkExportMemoryAllocateInfo chain = {.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO};
    for (int way = 0; way < 4; way++) {
        SxvkAllocationCreateInfo info = auto_info(0);
        VkBuffer buffer;
        VkImage image;
        SxvkAllocation bufferMemory, imageMemory;
        if (way < 2) { /* by the flag, by pNext of the create info */
            if (way == 0) {
                info.flags |= SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
            } else {
                info.pNext = &chain;
            }
            assert_ok(sxvkCreateBuffer(fixture->allocator, &bufferInfo, &info, &buffer,
                                       &bufferMemory, NULL));
            assert_ok(
                sxvkCreateImage(fixture->allocator, &imageInfo, &info, &image, &imageMemory, NULL));
        } else { /* by the function, without and with a chain */
            void* next = way == 3 ? &chain : NULL;
            assert_ok(sxvkCreateDedicatedBuffer(fixture->allocator, &bufferInfo, &info, next,
                                                &buffer, &bufferMemory, NULL));
            assert_ok(sxvkCreateDedicatedImage(fixture->allocator, &imageInfo, &info, next, &image,
                                               &imageMemory, NULL));
        }
        assert_dedicated(fixture, bufferMemory);
        assert_dedicated(fixture, imageMemory);
        gpu_write_buffer(fixture, buffer, 10000, 1);
        gpu_write_image(fixture, image, &imageInfo, 2);
        gpu_check_buffer(fixture, buffer, 10000, 1);
        gpu_check_image(fixture, image, &imageInfo, 2);
        sxvkDestroyBuffer(fixture->allocator, buffer, bufferMemory);
        sxvkDestroyImage(fixture->allocator, image, imageMemory);
    }
}

static void test_always_dedicated(void** state) {
    Fixture* fixture = (Fixture*)*state;
    const SxvkDebugInfo debug = {.flags = SXVK_DEBUG_ALWAYS_DEDICATED_BIT};
    SxvkAllocatorCreateInfo info = fixture_allocator_info(fixture);
    info.pDebugInfo = &debug;
    SxvkAllocator allocator;
    assert_ok(sxvkCreateAllocator(&info, &allocator));
    const VkBufferCreateInfo bufferInfo = buffer_info(256, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    const SxvkAllocationCreateInfo allocationInfo = auto_info(0);
    VkBuffer buffer;
    SxvkAllocation allocation;
    assert_ok(
        sxvkCreateBuffer(allocator, &bufferInfo, &allocationInfo, &buffer, &allocation, NULL));
    SxvkAllocationInfo2 allocated;
    sxvkGetAllocationInfo2(allocator, allocation, &allocated);
    assert_int_equal(allocated.dedicatedMemory, VK_TRUE);
    sxvkDestroyBuffer(allocator, buffer, allocation);
    sxvkDestroyAllocator(allocator);
}

/* --- memory for resources that the user made ----------------------------------------------------- */

static void test_bind_by_hand(void** state) {
    Fixture* fixture = (Fixture*)*state;
    VkDevice device = fixture->gpu.device;
    const VkBufferCreateInfo bufferInfo = buffer_info(5000, VK_BUFFER_USAGE_INDEX_BUFFER_BIT);
    const VkImageCreateInfo imageInfo = image_info(VK_FORMAT_R8G8B8A8_UNORM, 50, 60, 2);
    SxvkAllocationCreateInfo info = auto_info(0);
    info.preferredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    info.usage = SXVK_MEMORY_USAGE_UNKNOWN; /* the resource is unknown here but for its needs */
    /* Chains that ask for nothing, so that the driver's own 2 forms are called. */
    const VkBindBufferMemoryDeviceGroupInfo bufferChain = {
        .sType = VK_STRUCTURE_TYPE_BIND_BUFFER_MEMORY_DEVICE_GROUP_INFO,
    };
    const VkBindImageMemoryDeviceGroupInfo imageChain = {
        .sType = VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_DEVICE_GROUP_INFO,
    };
    for (int way = 0; way < 3; way++) {
        VkBuffer buffer;
        VkImage image;
        SxvkAllocation bufferMemory, imageMemory;
        assert_ok(vkCreateBuffer(device, &bufferInfo, NULL, &buffer));
        assert_ok(vkCreateImage(device, &imageInfo, NULL, &image));
        assert_ok(
            sxvkAllocateMemoryForBuffer(fixture->allocator, buffer, &info, &bufferMemory, NULL));
        assert_ok(sxvkAllocateMemoryForImage(fixture->allocator, image, &info, &imageMemory, NULL));
        if (way > 0) {
            assert_ok(sxvkBindBufferMemory2(fixture->allocator, bufferMemory, 0, buffer,
                                            way == 2 ? &bufferChain : NULL));
            assert_ok(sxvkBindImageMemory2(fixture->allocator, imageMemory, 0, image,
                                           way == 2 ? &imageChain : NULL));
        } else {
            assert_ok(sxvkBindBufferMemory(fixture->allocator, bufferMemory, buffer));
            assert_ok(sxvkBindImageMemory(fixture->allocator, imageMemory, image));
        }
        gpu_write_buffer(fixture, buffer, 5000, 3);
        gpu_write_image(fixture, image, &imageInfo, 4);
        gpu_check_buffer(fixture, buffer, 5000, 3);
        gpu_check_image(fixture, image, &imageInfo, 4);
        vkDestroyBuffer(device, buffer, NULL);
        vkDestroyImage(device, image, NULL);
        sxvkFreeMemory(fixture->allocator, bufferMemory);
        sxvkFreeMemory(fixture->allocator, imageMemory);
    }
}

static void test_dont_bind(void** state) {
    Fixture* fixture = (Fixture*)*state;
    const VkBufferCreateInfo bufferInfo = buffer_info(5000, VK_BUFFER_USAGE_INDEX_BUFFER_BIT);
    const VkImageCreateInfo imageInfo = image_info(VK_FORMAT_R8G8B8A8_UNORM, 50, 60, 2);
    const SxvkAllocationCreateInfo info = auto_info(SXVK_ALLOCATION_CREATE_DONT_BIND_BIT);
    VkBuffer buffer;
    VkImage image;
    SxvkAllocation bufferMemory, imageMemory;
    assert_ok(
        sxvkCreateBuffer(fixture->allocator, &bufferInfo, &info, &buffer, &bufferMemory, NULL));
    assert_ok(sxvkCreateImage(fixture->allocator, &imageInfo, &info, &image, &imageMemory, NULL));
    /* The layer would object to a second binding. */
    assert_ok(sxvkBindBufferMemory(fixture->allocator, bufferMemory, buffer));
    assert_ok(sxvkBindImageMemory(fixture->allocator, imageMemory, image));
    gpu_write_buffer(fixture, buffer, 5000, 3);
    gpu_check_buffer(fixture, buffer, 5000, 3);
    sxvkDestroyBuffer(fixture->allocator, buffer, bufferMemory);
    sxvkDestroyImage(fixture->allocator, image, imageMemory);
}

/*  Two buffers and two images over the same bytes, the second one of each behind an offset. */
static void test_aliasing(void** state) {
    Fixture* fixture = (Fixture*)*state;
    VkDevice device = fixture->gpu.device;
    const VkImageCreateInfo imageInfo = image_info(VK_FORMAT_R8G8B8A8_UNORM, 64, 64, 1);
    const VkBufferCreateInfo bufferInfo = buffer_info(100000, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);

    /* Memory that both kinds accept. */
    VkBuffer probeBuffer;
    VkImage probeImage;
    VkMemoryRequirements bufferNeeds, imageNeeds;
    assert_ok(vkCreateBuffer(device, &bufferInfo, NULL, &probeBuffer));
    assert_ok(vkCreateImage(device, &imageInfo, NULL, &probeImage));
    vkGetBufferMemoryRequirements(device, probeBuffer, &bufferNeeds);
    vkGetImageMemoryRequirements(device, probeImage, &imageNeeds);
    vkDestroyBuffer(device, probeBuffer, NULL);
    vkDestroyImage(device, probeImage, NULL);
    VkDeviceSize alignment =
        bufferNeeds.alignment > imageNeeds.alignment ? bufferNeeds.alignment : imageNeeds.alignment;
    VkDeviceSize largest = bufferNeeds.size > imageNeeds.size ? bufferNeeds.size : imageNeeds.size;
    const VkMemoryRequirements needs = {
        .size = 2 * largest + alignment,
        .alignment = alignment,
        .memoryTypeBits = bufferNeeds.memoryTypeBits & imageNeeds.memoryTypeBits,
    };
    assert_true(needs.memoryTypeBits != 0);
    const SxvkAllocationCreateInfo info = {
        .preferredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
        .flags = SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT,
    };
    SxvkAllocation allocation;
    assert_ok(sxvkAllocateMemory(fixture->allocator, &needs, &info, &allocation, NULL));
    VkDeviceSize behind = (largest + alignment - 1) / alignment * alignment;

    VkBuffer buffer, aliasBuffer, buffer2;
    VkImage image, image2;
    assert_ok(sxvkCreateAliasingBuffer(fixture->allocator, allocation, &bufferInfo, &buffer));
    assert_ok(sxvkCreateAliasingBuffer(fixture->allocator, allocation, &bufferInfo, &aliasBuffer));
    assert_ok(
        sxvkCreateAliasingBuffer2(fixture->allocator, allocation, behind, &bufferInfo, &buffer2));
    gpu_write_buffer(fixture, buffer, 100000, 5);
    gpu_write_buffer(fixture, buffer2, 100000, 6);
    gpu_check_buffer(fixture, aliasBuffer, 100000, 5);
    gpu_check_buffer(fixture, buffer2, 100000, 6);

    assert_ok(sxvkCreateAliasingImage(fixture->allocator, allocation, &imageInfo, &image));
    assert_ok(
        sxvkCreateAliasingImage2(fixture->allocator, allocation, behind, &imageInfo, &image2));
    gpu_write_image(fixture, image, &imageInfo, 7);
    gpu_write_image(fixture, image2, &imageInfo, 8);
    gpu_check_image(fixture, image, &imageInfo, 7);
    gpu_check_image(fixture, image2, &imageInfo, 8);

    vkDestroyImage(device, image, NULL);
    vkDestroyImage(device, image2, NULL);
    vkDestroyBuffer(device, buffer, NULL);
    vkDestroyBuffer(device, aliasBuffer, NULL);
    vkDestroyBuffer(device, buffer2, NULL);

    /* What does not fit behind the offset is refused before the driver hears of it. */
    assert_int_equal(sxvkCreateAliasingBuffer2(fixture->allocator, allocation, needs.size - 1000,
                                               &bufferInfo, &buffer),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_true(buffer == VK_NULL_HANDLE);
    expect_messages(fixture, SXVK_MESSAGE_BAD_RANGE, 1);
    sxvkFreeMemory(fixture->allocator, allocation);
}

/* --- device addresses --------------------------------------------------------------------------- */

static void test_device_address(void** state) {
    Fixture* fixture = (Fixture*)*state;
    if (!fixture->gpu.bufferDeviceAddress) {
        skip();
    }
    enum { COUNT = 6 };
    VkBuffer buffers[COUNT];
    SxvkAllocation allocations[COUNT];
    SxvkAllocationInfo allocated[COUNT];
    VkDeviceAddress addresses[COUNT];
    const SxvkAllocationCreateInfo info = auto_info(0);
    for (size_t i = 0; i < COUNT; i++) {
        const VkBufferCreateInfo bufferInfo =
            buffer_info(1000 + 100 * i, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                            VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT);
        assert_ok(sxvkCreateBuffer(fixture->allocator, &bufferInfo, &info, &buffers[i],
                                   &allocations[i], &allocated[i]));
        const VkBufferDeviceAddressInfo addressInfo = {
            .sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
            .buffer = buffers[i],
        };
        addresses[i] = vkGetBufferDeviceAddress(fixture->gpu.device, &addressInfo);
        assert_true(addresses[i] != 0);
    }
    for (size_t i = 1; i < COUNT; i++) {
        assert_true(allocated[i].deviceMemory == allocated[0].deviceMemory);
        assert_true(addresses[i] - addresses[0] == allocated[i].offset - allocated[0].offset);
    }
    for (size_t i = 0; i < COUNT; i++) {
        sxvkDestroyBuffer(fixture->allocator, buffers[i], allocations[i]);
    }
}

/* --- choice of memory type ----------------------------------------------------------------------- */

/*  The type found beforehand, with and without maintenance4, is the one that the resource gets. */
static void test_find_memory_type(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocator without;
    SxvkAllocatorCreateInfo allocatorInfo = fixture_allocator_info(fixture);
    allocatorInfo.flags &= ~(SxvkAllocatorCreateFlags)SXVK_ALLOCATOR_CREATE_KHR_MAINTENANCE4_BIT;
    if (allocatorInfo.vulkanApiVersion >= VK_API_VERSION_1_3) {
        allocatorInfo.vulkanApiVersion = VK_API_VERSION_1_2;
    }
    assert_ok(sxvkCreateAllocator(&allocatorInfo, &without));
    static const SxvkAllocationCreateFlags accesses[] = {
        0, SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT,
        SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT};
    for (size_t a = 0; a < 3; a++) {
        const SxvkAllocationCreateInfo info = auto_info(accesses[a]);
        const VkBufferCreateInfo bufferInfo = buffer_info(4096, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
        const VkImageCreateInfo imageInfo = image_info(VK_FORMAT_R8G8B8A8_UNORM, 64, 64, 1);
        uint32_t found, foundWithout;
        VkBuffer buffer;
        VkImage image;
        SxvkAllocation allocation;
        SxvkAllocationInfo allocated;
        assert_ok(
            sxvkFindMemoryTypeIndexForBufferInfo(fixture->allocator, &bufferInfo, &info, &found));
        assert_ok(sxvkFindMemoryTypeIndexForBufferInfo(without, &bufferInfo, &info, &foundWithout));
        assert_ok(sxvkCreateBuffer(fixture->allocator, &bufferInfo, &info, &buffer, &allocation,
                                   &allocated));
        assert_int_equal(found, allocated.memoryType);
        assert_int_equal(foundWithout, allocated.memoryType);
        sxvkDestroyBuffer(fixture->allocator, buffer, allocation);

        /* An optimal image need not have a host-visible type: then all three say so. */
        VkResult result =
            sxvkFindMemoryTypeIndexForImageInfo(fixture->allocator, &imageInfo, &info, &found);
        assert_int_equal(
            sxvkFindMemoryTypeIndexForImageInfo(without, &imageInfo, &info, &foundWithout), result);
        assert_int_equal(foundWithout, found);
        assert_int_equal(
            sxvkCreateImage(fixture->allocator, &imageInfo, &info, &image, &allocation, &allocated),
            result);
        if (result == VK_SUCCESS) {
            assert_int_equal(found, allocated.memoryType);
            sxvkDestroyImage(fixture->allocator, image, allocation);
        } else {
            assert_int_equal(result, VK_ERROR_FEATURE_NOT_PRESENT);
            assert_int_equal(found, UINT32_MAX);
            memset(fixture->messages, 0, sizeof fixture->messages);
        }
    }
    sxvkDestroyAllocator(without);
}

static void test_explain(void** state) {
    Fixture* fixture = (Fixture*)*state;
    const SxvkAllocationCreateInfo info = auto_info(SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT);
    const VkBufferCreateInfo bufferInfo = buffer_info(4096, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    char* text;
    assert_ok(
        sxvkExplainMemoryType(fixture->allocator, UINT32_MAX, &info, &bufferInfo, NULL, &text));
    assert_non_null(text);
    uint32_t lines = 0;
    for (const char* c = text; *c != '\0'; c++) {
        lines += *c == '\n';
    }
    assert_true(lines >= fixture->gpu.memory.memoryTypeCount);
    sxvkFreeStatsString(fixture->allocator, text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        gpu_test(test_every_usage_and_host_access),
        gpu_test(test_sizes),
        gpu_test(test_neighbours_keep_their_bytes),
        gpu_test(test_alignment),
        gpu_test(test_images),
        gpu_test(test_linear_cube_and_volume_images),
        gpu_test(test_attachments),
        gpu_test(test_buffers_between_images),
        gpu_test(test_batches),
        gpu_test(test_dedicated),
        gpu_test(test_always_dedicated),
        gpu_test(test_bind_by_hand),
        gpu_test(test_dont_bind),
        gpu_test(test_aliasing),
        gpu_test(test_device_address),
        gpu_test(test_find_memory_type),
        gpu_test(test_explain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
