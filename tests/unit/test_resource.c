/*  test_resource.c - buffers and images: created, allocated, bound, aliased, and undone in the
    reverse order.

    The device checks each bind (alignment, type bits, size, overlap). Run by CTest (unit.resource).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)

/* Memory types of sim_profile_discrete. */
enum { LOCAL, HOST, CACHED, BAR };

static const SxvkAllocationCreateInfo automatic = {.usage = SXVK_MEMORY_USAGE_AUTO};

/* ------------------------------------------------------------------ create and destroy */

/*  Where the device has it is where the allocator says. */
static void assert_bound(Rig* rig, VkBuffer buffer, VkImage image, const SxvkAllocationInfo* info,
                         VkDeviceSize offset) {
    VkDeviceMemory memory = VK_NULL_HANDLE;
    VkDeviceSize at = 0;
    if (buffer != VK_NULL_HANDLE) {
        assert_true(sim_buffer_binding(rig->sim, buffer, &memory, &at));
    } else {
        assert_true(sim_image_binding(rig->sim, image, &memory, &at));
    }
    assert_true(memory == info->deviceMemory);
    assert_int_equal(at, info->offset + offset);
}

static void test_buffers(void** state) {
    static const VkDeviceSize sizes[] = {1, 255, 4 * KIB, 70001, 3 * MIB, 40 * MIB};
    Rig* rig = rig_create(NULL);
    size_t i;
    (void)state;
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        VkBufferCreateInfo info = testing_buffer(sizes[i], VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
        SxvkAllocationInfo allocation_info;
        SxvkAllocation allocation;
        VkBuffer buffer;
        assert_int_equal(sxvkCreateBuffer(rig->allocator, &info, &automatic, &buffer, &allocation,
                                          &allocation_info),
                         VK_SUCCESS);
        assert_true(allocation_info.size >= sizes[i]);
        assert_bound(rig, buffer, VK_NULL_HANDLE, &allocation_info, 0);
        sxvkDestroyBuffer(rig->allocator, buffer, allocation);
        assert_int_equal(sim_live_resource_count(rig->sim), 0);
        assert_false(sxvkIsAllocationValid(rig->allocator, allocation));
    }
    rig_destroy(rig);
}

static void test_images(void** state) {
    static const VkImageTiling tilings[] = {VK_IMAGE_TILING_OPTIMAL, VK_IMAGE_TILING_LINEAR};
    Rig* rig = rig_create(NULL);
    uint32_t size;
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        for (size = 1; size <= 4096; size *= 16) {
            VkImageCreateInfo info = testing_image(size, size, tilings[i]);
            SxvkAllocationInfo allocation_info;
            SxvkAllocation allocation;
            VkImage image;
            assert_int_equal(sxvkCreateImage(rig->allocator, &info, &automatic, &image, &allocation,
                                             &allocation_info),
                             VK_SUCCESS);
            assert_bound(rig, VK_NULL_HANDLE, image, &allocation_info, 0);
            sxvkDestroyImage(rig->allocator, image, allocation);
        }
    }
    assert_int_equal(sim_live_resource_count(rig->sim), 0);
    rig_destroy(rig);
}

/*  Either of the two may be null. */
static void test_destroying_halves(void** state) {
    VkBufferCreateInfo info = testing_buffer(KIB, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(16, 16, VK_IMAGE_TILING_OPTIMAL);
    Rig* rig = rig_create(NULL);
    SxvkAllocation a, b;
    VkBuffer buffer;
    VkImage image;
    (void)state;
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &info, &automatic, &buffer, &a, NULL),
                     VK_SUCCESS);
    assert_int_equal(sxvkCreateImage(rig->allocator, &image_info, &automatic, &image, &b, NULL),
                     VK_SUCCESS);
    sxvkDestroyBuffer(rig->allocator, buffer, VK_NULL_HANDLE);
    assert_true(sxvkIsAllocationValid(rig->allocator, a));
    sxvkDestroyImage(rig->allocator, image, VK_NULL_HANDLE);
    assert_int_equal(sim_live_resource_count(rig->sim), 0);
    sxvkDestroyBuffer(rig->allocator, VK_NULL_HANDLE, a);
    sxvkDestroyImage(rig->allocator, VK_NULL_HANDLE, b);
    assert_int_equal(rig_statistics(rig).allocationCount, 0);
    rig_destroy(rig);
}

/*  A stale handle says that the buffer is gone as well: it is not destroyed a second time. */
static void test_destroying_twice(void** state) {
    VkBufferCreateInfo info = testing_buffer(KIB, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocation;
    VkBuffer buffer;
    (void)state;
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &info, &automatic, &buffer, &allocation, NULL),
        VK_SUCCESS);
    sxvkDestroyBuffer(rig->allocator, buffer, allocation);
    sxvkDestroyBuffer(rig->allocator, buffer, allocation);
    rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
    assert_int_equal(sim_errors(rig->sim), 0);
    rig_destroy(rig);
}

static void test_min_alignment(void** state) {
    VkBufferCreateInfo info = testing_buffer(100, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocations[17];
    VkBuffer buffers[17];
    uint32_t i;
    (void)state;
    for (i = 0; i < 17; i++) {
        SxvkAllocationInfo allocation_info;
        assert_int_equal(sxvkCreateBufferWithAlignment(rig->allocator, &info, &automatic,
                                                       (VkDeviceSize)1 << i, &buffers[i],
                                                       &allocations[i], &allocation_info),
                         VK_SUCCESS);
        assert_int_equal(allocation_info.offset % ((VkDeviceSize)1 << i), 0);
        assert_bound(rig, buffers[i], VK_NULL_HANDLE, &allocation_info, 0);
    }
    for (i = 0; i < 17; i++) {
        sxvkDestroyBuffer(rig->allocator, buffers[i], allocations[i]);
    }
    rig_destroy(rig);
}

static void align_to_512(void* pUser, const VkBufferCreateInfo* pBuffer,
                         const VkImageCreateInfo* pImage, SimRequirements* pRequirements) {
    (void)pUser;
    (void)pBuffer;
    (void)pImage;
    pRequirements->memory.alignment = 512;
}

/*  minAlignment 0 asks for nothing beyond what the resource needs, and takes nothing away from the
    create info. */
static void test_min_alignment_of_0(void** state) {
    VkBufferCreateInfo info = testing_buffer(100, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    SxvkAllocationCreateInfo create = automatic;
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocations[16];
    VkBuffer buffers[16];
    VkDeviceSize offsets = 0;
    uint32_t i;
    (void)state;
    sim_set_requirements(rig->sim, align_to_512, NULL);
    for (i = 0; i < 16; i++) {
        SxvkAllocationInfo allocation_info;
        create.minAlignment = i < 8 ? 0 : 8 * KIB;
        assert_int_equal(sxvkCreateBufferWithAlignment(rig->allocator, &info, &create, 0,
                                                       &buffers[i], &allocations[i],
                                                       &allocation_info),
                         VK_SUCCESS);
        assert_int_equal(allocation_info.offset % (i < 8 ? 512 : 8 * KIB), 0);
        assert_bound(rig, buffers[i], VK_NULL_HANDLE, &allocation_info, 0);
        offsets |= i < 8 ? allocation_info.offset : 0;
    }
    assert_int_equal(offsets & 512, 512); /* no more than that */
    for (i = 0; i < 16; i++) {
        sxvkDestroyBuffer(rig->allocator, buffers[i], allocations[i]);
    }
    rig_destroy(rig);
}

static void test_dedicated_with_a_chain(void** state) {
    VkExternalMemoryBufferCreateInfo external_buffer = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
        .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    VkExternalMemoryImageCreateInfo external_image = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
        .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    VkExportMemoryAllocateInfo exported = {.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
                                           .handleTypes =
                                               VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    VkBufferCreateInfo info = testing_buffer(KIB, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(16, 16, VK_IMAGE_TILING_OPTIMAL);
    Rig* rig = rig_create(NULL);
    SxvkAllocationInfo allocation_info;
    SxvkAllocation a, b;
    SimMemoryInfo memory;
    VkBuffer buffer;
    VkImage image;
    (void)state;
    info.pNext = &external_buffer;
    image_info.pNext = &external_image;
    assert_int_equal(sxvkCreateDedicatedBuffer(rig->allocator, &info, &automatic, &exported,
                                               &buffer, &a, &allocation_info),
                     VK_SUCCESS);
    assert_true(sim_memory_info(rig->sim, allocation_info.deviceMemory, &memory));
    assert_true(memory.dedicatedBuffer == buffer);
    assert_int_equal(memory.exportTypes, exported.handleTypes);
    assert_int_equal(sxvkCreateDedicatedImage(rig->allocator, &image_info, &automatic, &exported,
                                              &image, &b, &allocation_info),
                     VK_SUCCESS);
    assert_true(sim_memory_info(rig->sim, allocation_info.deviceMemory, &memory));
    assert_true(memory.dedicatedImage == image);
    assert_int_equal(memory.exportTypes, exported.handleTypes);
    sxvkDestroyBuffer(rig->allocator, buffer, a);
    sxvkDestroyImage(rig->allocator, image, b);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ binding by hand */

static void test_binding_by_hand(void** state) {
    VkBufferCreateInfo info = testing_buffer(KIB, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(16, 16, VK_IMAGE_TILING_OPTIMAL);
    SxvkAllocationCreateInfo unbound = automatic;
    VkBindBufferMemoryDeviceGroupInfo buffer_chain = {
        .sType = VK_STRUCTURE_TYPE_BIND_BUFFER_MEMORY_DEVICE_GROUP_INFO};
    VkBindImageMemoryDeviceGroupInfo image_chain = {
        .sType = VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_DEVICE_GROUP_INFO};
    Rig* rig = rig_create(NULL);
    SxvkAllocationInfo at;
    SxvkAllocation allocations[4];
    SxvkAllocation big;
    VkBuffer buffers[3];
    VkImage images[2];
    VkDeviceMemory memory;
    VkDeviceSize offset;
    (void)state;
    unbound.flags = SXVK_ALLOCATION_CREATE_DONT_BIND_BIT;
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &info, &unbound, &buffers[0], &allocations[0], &at),
        VK_SUCCESS);
    assert_false(sim_buffer_binding(rig->sim, buffers[0], &memory, &offset));
    assert_int_equal(sxvkBindBufferMemory(rig->allocator, allocations[0], buffers[0]), VK_SUCCESS);
    assert_bound(rig, buffers[0], VK_NULL_HANDLE, &at, 0);

    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &info, &unbound, &buffers[1], &allocations[1], &at),
        VK_SUCCESS);
    assert_int_equal(
        sxvkBindBufferMemory2(rig->allocator, allocations[1], 0, buffers[1], &buffer_chain),
        VK_SUCCESS);
    assert_bound(rig, buffers[1], VK_NULL_HANDLE, &at, 0);

    assert_int_equal(
        sxvkCreateImage(rig->allocator, &image_info, &unbound, &images[0], &allocations[2], &at),
        VK_SUCCESS);
    assert_int_equal(sxvkBindImageMemory(rig->allocator, allocations[2], images[0]), VK_SUCCESS);
    assert_bound(rig, VK_NULL_HANDLE, images[0], &at, 0);

    assert_int_equal(
        sxvkCreateImage(rig->allocator, &image_info, &unbound, &images[1], &allocations[3], &at),
        VK_SUCCESS);
    assert_int_equal(
        sxvkBindImageMemory2(rig->allocator, allocations[3], 0, images[1], &image_chain),
        VK_SUCCESS);
    assert_bound(rig, VK_NULL_HANDLE, images[1], &at, 0);

    /* Somewhere in the middle of memory that was allocated by itself. */
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &info, &unbound, &buffers[2], &big, NULL),
                     VK_SUCCESS);
    sxvkFreeMemory(rig->allocator, big);
    big = rig_allocate(rig, LOCAL, 64 * KIB);
    sxvkGetAllocationInfo(rig->allocator, big, &at);
    assert_int_equal(sxvkBindBufferMemory2(rig->allocator, big, 32 * KIB, buffers[2], NULL),
                     VK_SUCCESS);
    assert_bound(rig, buffers[2], VK_NULL_HANDLE, &at, 32 * KIB);

    sxvkDestroyBuffer(rig->allocator, buffers[0], allocations[0]);
    sxvkDestroyBuffer(rig->allocator, buffers[1], allocations[1]);
    sxvkDestroyBuffer(rig->allocator, buffers[2], big);
    sxvkDestroyImage(rig->allocator, images[0], allocations[2]);
    sxvkDestroyImage(rig->allocator, images[1], allocations[3]);
    rig_destroy(rig);
}

/*  A bind that the driver refuses: its result, a message, and nothing else. */
static void test_bind_failure(void** state) {
    VkBufferCreateInfo info = testing_buffer(KIB, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    SxvkAllocationCreateInfo unbound = automatic;
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocation;
    VkBuffer buffer;
    (void)state;
    unbound.flags = SXVK_ALLOCATION_CREATE_DONT_BIND_BIT;
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &info, &unbound, &buffer, &allocation, NULL),
                     VK_SUCCESS);
    assert_true(sim_fail(rig->sim, SIM_CALL_BIND_BUFFER_MEMORY, 1, 1, VK_ERROR_OUT_OF_HOST_MEMORY));
    assert_int_equal(sxvkBindBufferMemory(rig->allocator, allocation, buffer),
                     VK_ERROR_OUT_OF_HOST_MEMORY);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
    assert_true(sxvkIsAllocationValid(rig->allocator, allocation));
    assert_int_equal(sxvkBindBufferMemory(rig->allocator, allocation, buffer), VK_SUCCESS);
    sxvkDestroyBuffer(rig->allocator, buffer, allocation);
    rig_destroy(rig);
}

/*  Memory for resources that the program made. */
static void test_allocating_for_resources(void** state) {
    VkBufferCreateInfo info = testing_buffer(5000, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(33, 33, VK_IMAGE_TILING_OPTIMAL);
    SxvkAllocationCreateInfo create = {.preferredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT};
    Rig* rig = rig_create(NULL);
    const VkAllocationCallbacks* callbacks = rig->info.pAllocationCallbacks;
    const sxvki_vk* vk = &rig->allocator->device.vk;
    SxvkAllocationInfo at;
    SxvkAllocation a, b;
    VkBuffer buffer;
    VkImage image;
    (void)state;
    assert_int_equal(vk->fn.vkCreateBuffer(vk->device, &info, callbacks, &buffer), VK_SUCCESS);
    assert_int_equal(sxvkAllocateMemoryForBuffer(rig->allocator, buffer, &create, &a, &at),
                     VK_SUCCESS);
    assert_true(at.size >= 5000);
    assert_int_equal(at.memoryType, LOCAL);
    assert_int_equal(sxvkBindBufferMemory(rig->allocator, a, buffer), VK_SUCCESS);
    assert_bound(rig, buffer, VK_NULL_HANDLE, &at, 0);
    assert_int_equal(vk->fn.vkCreateImage(vk->device, &image_info, callbacks, &image), VK_SUCCESS);
    assert_int_equal(sxvkAllocateMemoryForImage(rig->allocator, image, &create, &b, &at),
                     VK_SUCCESS);
    assert_int_equal(sxvkBindImageMemory(rig->allocator, b, image), VK_SUCCESS);
    assert_bound(rig, VK_NULL_HANDLE, image, &at, 0);
    sxvkDestroyBuffer(rig->allocator, buffer, a);
    sxvkDestroyImage(rig->allocator, image, b);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ batches */

#define BATCH      100
#define BIND_BATCH 32 /* as the comment of sxvkCreateBuffers says */

/*  Buffers, or images: a test says which and does the same with either. */
typedef struct Batch {
    bool images;
    uint32_t count;
    VkBufferCreateInfo buffer_infos[BATCH];
    VkImageCreateInfo image_infos[BATCH];
    SxvkAllocationCreateInfo creates[BATCH];
    VkBuffer buffers[BATCH];
    VkImage pictures[BATCH];
    SxvkAllocation allocations[BATCH];
    SxvkAllocationInfo infos[BATCH];
} Batch;

/*  Each of another size; the outputs have what a careless program leaves in them. */
static Batch make_batch(bool images, uint32_t count) {
    Batch batch;
    uint32_t i;
    memset(&batch, 0xAA, sizeof batch);
    batch.images = images;
    batch.count = count;
    for (i = 0; i < BATCH; i++) {
        batch.buffer_infos[i] =
            testing_buffer(100 + 1777 * i, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                               (i % 2 == 0 ? VK_BUFFER_USAGE_TRANSFER_SRC_BIT : 0));
        batch.image_infos[i] = testing_image(1 + i, 200 - i, VK_IMAGE_TILING_OPTIMAL);
        batch.creates[i] = automatic;
    }
    return batch;
}

static VkResult create_batch(Rig* rig, Batch* batch, SxvkAllocationInfo* infos) {
    return batch->images
               ? sxvkCreateImages(rig->allocator, batch->count, batch->image_infos, batch->creates,
                                  batch->pictures, batch->allocations, infos)
               : sxvkCreateBuffers(rig->allocator, batch->count, batch->buffer_infos,
                                   batch->creates, batch->buffers, batch->allocations, infos);
}

static void destroy_batch(Rig* rig, const Batch* batch) {
    if (batch->images) {
        sxvkDestroyImages(rig->allocator, batch->count, batch->pictures, batch->allocations);
    } else {
        sxvkDestroyBuffers(rig->allocator, batch->count, batch->buffers, batch->allocations);
    }
}

static bool is_unbound(Rig* rig, const Batch* batch, uint32_t i) {
    VkDeviceMemory memory;
    VkDeviceSize offset;
    return batch->images ? !sim_image_binding(rig->sim, batch->pictures[i], &memory, &offset)
                         : !sim_buffer_binding(rig->sim, batch->buffers[i], &memory, &offset);
}

/*  Every element is where its allocation says, unless it was to be left unbound. */
static void assert_batch(Rig* rig, const Batch* batch) {
    uint32_t i;
    assert_int_equal(sim_live_resource_count(rig->sim), batch->count);
    assert_int_equal(rig_statistics(rig).allocationCount, batch->count);
    for (i = 0; i < batch->count; i++) {
        SxvkAllocationInfo info;
        sxvkGetAllocationInfo(rig->allocator, batch->allocations[i], &info);
        assert_true(batch->images || info.size >= batch->buffer_infos[i].size);
        if ((batch->creates[i].flags & SXVK_ALLOCATION_CREATE_DONT_BIND_BIT) != 0) {
            assert_true(is_unbound(rig, batch, i));
        } else {
            assert_bound(rig, batch->images ? VK_NULL_HANDLE : batch->buffers[i],
                         batch->images ? batch->pictures[i] : VK_NULL_HANDLE, &info, 0);
        }
    }
}

static void assert_infos(Rig* rig, const Batch* batch) {
    uint32_t i;
    for (i = 0; i < batch->count; i++) {
        SxvkAllocationInfo info;
        memset(&info, 0, sizeof info);
        sxvkGetAllocationInfo(rig->allocator, batch->allocations[i], &info);
        assert_memory_equal(&info, &batch->infos[i], sizeof info);
    }
}

/*  So many of the batch were bound, by calls of the one kind or of the other. */
static void assert_binds(Rig* rig, const Batch* batch, uint32_t bound, bool bind2) {
    SimCall one = batch->images ? SIM_CALL_BIND_IMAGE_MEMORY : SIM_CALL_BIND_BUFFER_MEMORY;
    SimCall many = batch->images ? SIM_CALL_BIND_IMAGE_MEMORY2 : SIM_CALL_BIND_BUFFER_MEMORY2;
    assert_int_equal(sim_calls(rig->sim, one), bind2 ? 0 : bound);
    assert_int_equal(sim_calls(rig->sim, many), bind2 ? (bound + BIND_BATCH - 1) / BIND_BATCH : 0);
    sim_reset_calls(rig->sim);
}

/*  All counts, on devices that bind many at once and on those that do not. */
static void test_batch_counts(void** state) {
    static const struct {
        uint32_t version;
        SxvkAllocatorCreateFlags flags;
        bool bind2;
    } devices[] = {
        {VK_API_VERSION_1_0, 0, false}, /* it has the function, but nobody said so */
        {VK_API_VERSION_1_0, SXVK_ALLOCATOR_CREATE_KHR_BIND_MEMORY2_BIT, true},
        {VK_API_VERSION_1_1, 0, true},
        {VK_API_VERSION_1_3, 0, true},
    };
    static const uint32_t counts[] = {0, 1, 31, 32, 33, 64, 100};
    size_t d, c;
    int images;
    (void)state;
    for (d = 0; d < sizeof devices / sizeof devices[0]; d++) {
        RigOptions options = rig_options();
        Rig* rig;
        options.sim.apiVersion = devices[d].version;
        options.info.flags = devices[d].flags;
        rig = rig_create(&options);
        for (c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            for (images = 0; images < 2; images++) {
                Batch batch = make_batch(images != 0, counts[c]);
                sim_reset_calls(rig->sim);
                assert_int_equal(create_batch(rig, &batch, batch.infos), VK_SUCCESS);
                assert_binds(rig, &batch, counts[c], devices[d].bind2);
                assert_batch(rig, &batch);
                assert_infos(rig, &batch);
                destroy_batch(rig, &batch);
                assert_int_equal(sim_live_resource_count(rig->sim), 0);
                assert_int_equal(rig_statistics(rig).allocationCount, 0);
            }
        }
        rig_destroy(rig);
    }
}

/*  Nothing is asked of the device for nothing, and no array is looked at. */
static void test_empty_batch(void** state) {
    Rig* rig = rig_create(NULL);
    uint64_t calls = rig_calls(rig);
    (void)state;
    assert_int_equal(sxvkCreateBuffers(rig->allocator, 0, NULL, NULL, NULL, NULL, NULL),
                     VK_SUCCESS);
    assert_int_equal(sxvkCreateImages(rig->allocator, 0, NULL, NULL, NULL, NULL, NULL), VK_SUCCESS);
    sxvkDestroyBuffers(rig->allocator, 0, NULL, NULL);
    sxvkDestroyImages(rig->allocator, 0, NULL, NULL);
    assert_int_equal(rig_calls(rig), calls);
    rig_destroy(rig);
}

static void test_batch_without_infos(void** state) {
    Rig* rig = rig_create(NULL);
    int images;
    (void)state;
    for (images = 0; images < 2; images++) {
        Batch batch = make_batch(images != 0, 40);
        Batch before = batch;
        assert_int_equal(create_batch(rig, &batch, NULL), VK_SUCCESS);
        assert_batch(rig, &batch);
        assert_memory_equal(batch.infos, before.infos, sizeof batch.infos);
        destroy_batch(rig, &batch);
    }
    rig_destroy(rig);
}

/*  What is not to be bound counts for no call of the driver, wherever it stands in the batch. */
static void test_batch_with_unbound_elements(void** state) {
    enum { EVERY_THIRD, ALL, NONE_BUT_THE_FIRST_32, THE_LAST, THE_FIRST_64, PATTERNS };
    static const uint32_t bound[PATTERNS] = {66, 0, 32, 99, 36};
    static const uint32_t versions[] = {VK_API_VERSION_1_0, VK_API_VERSION_1_3};
    uint32_t v, pattern, i;
    int images;
    (void)state;
    for (v = 0; v < 2 * PATTERNS; v++) {
        RigOptions options = rig_options();
        Rig* rig;
        pattern = v / 2;
        options.sim.apiVersion = versions[v % 2];
        rig = rig_create(&options);
        for (images = 0; images < 2; images++) {
            Batch batch = make_batch(images != 0, 100);
            for (i = 0; i < 100; i++) {
                bool unbound = pattern == EVERY_THIRD             ? i % 3 == 0
                               : pattern == NONE_BUT_THE_FIRST_32 ? i >= 32
                               : pattern == THE_LAST              ? i == 99
                               : pattern == THE_FIRST_64          ? i < 64
                                                                  : true;
                batch.creates[i].flags = unbound ? SXVK_ALLOCATION_CREATE_DONT_BIND_BIT : 0u;
            }
            sim_reset_calls(rig->sim);
            assert_int_equal(create_batch(rig, &batch, batch.infos), VK_SUCCESS);
            assert_binds(rig, &batch, bound[pattern], versions[v % 2] >= VK_API_VERSION_1_1);
            assert_batch(rig, &batch);
            assert_infos(rig, &batch);
            for (i = 0; i < 100; i++) {
                if (is_unbound(rig, &batch, i)) {
                    assert_int_equal(
                        images != 0 ? sxvkBindImageMemory(rig->allocator, batch.allocations[i],
                                                          batch.pictures[i])
                                    : sxvkBindBufferMemory(rig->allocator, batch.allocations[i],
                                                           batch.buffers[i]),
                        VK_SUCCESS);
                    batch.creates[i].flags = 0;
                }
            }
            assert_batch(rig, &batch);
            destroy_batch(rig, &batch);
        }
        rig_destroy(rig);
    }
}

/*  Each element is made as its own create info says. */
static void test_batch_of_all_sorts(void** state) {
    enum { PLAIN, DEDICATED, IN_A_POOL, MAPPED, NAMED, USER_DATA, ALIGNED, UNBOUND, SORTS };
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = LOCAL, .blockSize = 16 * MIB};
    int images;
    (void)state;
    for (images = 0; images < 2; images++) {
        Rig* rig = rig_create(NULL);
        Batch batch = make_batch(images != 0, BATCH);
        SxvkStatistics in_pool;
        SxvkPool pool;
        uint32_t pooled = 0;
        uint32_t i;
        assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
        for (i = 0; i < BATCH; i++) {
            SxvkAllocationCreateInfo* create = &batch.creates[i];
            switch (i % SORTS) {
            case DEDICATED: create->flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT; break;
            case IN_A_POOL: create->pool = pool; break;
            case MAPPED:
                create->flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT |
                                SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;
                batch.image_infos[i].tiling = VK_IMAGE_TILING_LINEAR;
                break;
            case NAMED: create->pName = i % 2 == 0 ? "even" : "odd"; break;
            case USER_DATA: create->pUserData = &batch.creates[i]; break;
            case ALIGNED: create->minAlignment = 64 * KIB; break;
            case UNBOUND: create->flags = SXVK_ALLOCATION_CREATE_DONT_BIND_BIT; break;
            default: break;
            }
        }
        assert_int_equal(create_batch(rig, &batch, batch.infos), VK_SUCCESS);
        assert_batch(rig, &batch);
        assert_infos(rig, &batch);
        for (i = 0; i < BATCH; i++) {
            const SxvkAllocationInfo* info = &batch.infos[i];
            SxvkAllocationInfo2 info2;
            SimMemoryInfo memory;
            sxvkGetAllocationInfo2(rig->allocator, batch.allocations[i], &info2);
            assert_true(sim_memory_info(rig->sim, info->deviceMemory, &memory));
            assert_int_equal(info2.dedicatedMemory, i % SORTS == DEDICATED);
            assert_true(
                memory.dedicatedBuffer ==
                (i % SORTS == DEDICATED && !batch.images ? batch.buffers[i] : VK_NULL_HANDLE));
            assert_true(
                memory.dedicatedImage ==
                (i % SORTS == DEDICATED && batch.images ? batch.pictures[i] : VK_NULL_HANDLE));
            assert_int_equal(info->pMappedData != NULL, i % SORTS == MAPPED);
            assert_ptr_equal(info->pUserData, i % SORTS == USER_DATA ? &batch.creates[i] : NULL);
            if (i % SORTS == NAMED) {
                assert_string_equal(info->pName, batch.creates[i].pName);
            } else {
                assert_null(info->pName);
            }
            assert_true(i % SORTS != ALIGNED || info->offset % (64 * KIB) == 0);
            pooled += i % SORTS == IN_A_POOL;
        }
        sxvkGetPoolStatistics(rig->allocator, pool, &in_pool);
        assert_int_equal(in_pool.allocationCount, pooled);
        destroy_batch(rig, &batch);
        assert_int_equal(sim_live_resource_count(rig->sim), 0);
        sxvkDestroyPool(rig->allocator, pool);
        rig_destroy(rig);
    }
}

/*  Either array may be null, and so may any element. */
static void test_destroying_halves_of_batches(void** state) {
    Rig* rig = rig_create(NULL);
    int images;
    (void)state;
    for (images = 0; images < 2; images++) {
        Batch batch = make_batch(images != 0, 50);
        Batch odd;
        uint32_t i;
        assert_int_equal(create_batch(rig, &batch, NULL), VK_SUCCESS);
        odd = batch;
        for (i = 0; i < batch.count; i += 2) {
            odd.buffers[i] = VK_NULL_HANDLE;
            odd.pictures[i] = VK_NULL_HANDLE;
            odd.allocations[i] = VK_NULL_HANDLE;
        }
        destroy_batch(rig, &odd);
        assert_int_equal(sim_live_resource_count(rig->sim), 25);
        assert_int_equal(rig_statistics(rig).allocationCount, 25);
        for (i = 0; i < batch.count; i++) {
            assert_int_equal(sxvkIsAllocationValid(rig->allocator, batch.allocations[i]),
                             i % 2 == 0);
            if (i % 2 == 1) {
                batch.buffers[i] = VK_NULL_HANDLE;
                batch.pictures[i] = VK_NULL_HANDLE;
                batch.allocations[i] = VK_NULL_HANDLE;
            }
        }
        if (images != 0) {
            sxvkDestroyImages(rig->allocator, batch.count, batch.pictures, NULL);
        } else {
            sxvkDestroyBuffers(rig->allocator, batch.count, batch.buffers, NULL);
        }
        assert_int_equal(sim_live_resource_count(rig->sim), 0);
        assert_int_equal(rig_statistics(rig).allocationCount, 25);
        if (images != 0) {
            sxvkDestroyImages(rig->allocator, batch.count, NULL, batch.allocations);
            sxvkDestroyImages(rig->allocator, batch.count, NULL, NULL);
        } else {
            sxvkDestroyBuffers(rig->allocator, batch.count, NULL, batch.allocations);
            sxvkDestroyBuffers(rig->allocator, batch.count, NULL, NULL);
        }
        assert_int_equal(rig_statistics(rig).allocationCount, 0);
    }
    rig_destroy(rig);
}

/*  Memory that may be shared names no resource; that of the elements beside it does. Further
    buffers own nothing, so they go with no array of allocations. */
static void test_aliasing_in_batches(void** state) {
    VkBufferCreateInfo part = testing_buffer(64, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkImageCreateInfo picture = testing_image(1, 1, VK_IMAGE_TILING_OPTIMAL);
    int images;
    (void)state;
    for (images = 0; images < 2; images++) {
        Rig* rig = rig_create(NULL);
        Batch batch = make_batch(images != 0, 40);
        VkBuffer buffers[40];
        VkImage pictures[40];
        uint32_t i;
        sim_allow_aliasing(rig->sim, true);
        batch.buffer_infos[0].size = 64 * KIB; /* room for what comes */
        for (i = 0; i < batch.count; i++) {
            batch.creates[i].flags = (i % 2 == 0 ? SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT : 0u) |
                                     (i % 4 < 2 ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0u);
        }
        assert_int_equal(create_batch(rig, &batch, batch.infos), VK_SUCCESS);
        assert_batch(rig, &batch);
        for (i = 0; i < batch.count; i++) {
            SimMemoryInfo memory;
            bool named = i % 4 == 1;
            assert_true(sim_memory_info(rig->sim, batch.infos[i].deviceMemory, &memory));
            assert_int_equal(memory.dedicatedBuffer != VK_NULL_HANDLE, named && images == 0);
            assert_int_equal(memory.dedicatedImage != VK_NULL_HANDLE, named && images != 0);
            buffers[i] = VK_NULL_HANDLE;
            pictures[i] = VK_NULL_HANDLE;
            if (i % 2 == 0) {
                assert_int_equal(sxvkCreateAliasingBuffer(rig->allocator, batch.allocations[i],
                                                          &part, &buffers[i]),
                                 VK_SUCCESS);
                assert_int_equal(sxvkCreateAliasingImage(rig->allocator, batch.allocations[i],
                                                         &picture, &pictures[i]),
                                 VK_SUCCESS);
            }
        }
        assert_int_equal(sim_live_resource_count(rig->sim), 40 + 20 + 20);
        assert_int_equal(rig_statistics(rig).allocationCount, 40);
        sxvkDestroyBuffers(rig->allocator, 40, buffers, NULL);
        sxvkDestroyImages(rig->allocator, 40, pictures, NULL);
        assert_batch(rig, &batch);
        destroy_batch(rig, &batch);
        rig_destroy(rig);
    }
}

/*  A portion goes to one domain under one hold of its lock: each hold counts as one operation. */
static void test_locks_of_a_batch(void** state) {
    Rig* rig = rig_create(NULL);
    Batch batch = make_batch(false, 3 * SXVKI_PORTION);
    sxvki_domain* domain;
    uint32_t before, i;
    (void)state;
    for (i = 0; i < batch.count; i++) {
        batch.buffer_infos[i].size = 48 * KIB; /* no slots */
    }
    assert_int_equal(create_batch(rig, &batch, NULL), VK_SUCCESS);
    domain = sxvki_pool_domain(sxvki_default_pool(rig->allocator, LOCAL), 0);
    destroy_batch(rig, &batch);
    batch.count = SXVKI_PORTION;
    assert_int_equal(create_batch(rig, &batch, NULL), VK_SUCCESS); /* there is room from now on */
    destroy_batch(rig, &batch);
    before = domain->op_count;
    assert_int_equal(create_batch(rig, &batch, NULL), VK_SUCCESS);
    assert_int_equal(domain->op_count, before + 1);
    assert_batch(rig, &batch);
    destroy_batch(rig, &batch);
    rig_destroy(rig);
}

/*  Two pools, small and large ranges and slots of the default one, in turns, and more of all than a
    portion. One pool is full after some: without room for all there is nothing. */
static void test_batch_of_several_domains(void** state) {
    SxvkPoolCreateInfo roomy = {.memoryTypeIndex = LOCAL, .blockSize = 16 * MIB};
    SxvkPoolCreateInfo tight = {.memoryTypeIndex = LOCAL, .blockSize = MIB, .maxBlockCount = 1};
    uint32_t last;
    (void)state;
    for (last = 16; last < 18; last++) { /* of 64 KiB in the pool of 1 MiB: 16 fit */
        Rig* rig = rig_create(NULL);
        Batch batch = make_batch(false, BATCH);
        SxvkPool pools[2];
        uint32_t i, in_tight = 0;
        assert_int_equal(sxvkCreatePool(rig->allocator, &roomy, &pools[0]), VK_SUCCESS);
        assert_int_equal(sxvkCreatePool(rig->allocator, &tight, &pools[1]), VK_SUCCESS);
        for (i = 0; i < BATCH; i++) {
            batch.buffer_infos[i].size = i % 5 == 0   ? 256
                                         : i % 5 == 1 ? 64 * KIB
                                         : i % 5 == 2 ? 300 * KIB
                                                      : 64 * KIB;
            if (i % 5 == 3 || (i % 5 == 4 && in_tight == last)) {
                batch.creates[i].pool = pools[0];
            } else if (i % 5 == 4) {
                batch.creates[i].pool = pools[1];
                in_tight++;
            }
        }
        assert_int_equal(create_batch(rig, &batch, batch.infos),
                         last == 16 ? VK_SUCCESS : VK_ERROR_OUT_OF_DEVICE_MEMORY);
        if (last == 16) {
            assert_batch(rig, &batch);
            assert_infos(rig, &batch);
            destroy_batch(rig, &batch);
        } else {
            rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 0);
            for (i = 0; i < BATCH; i++) {
                assert_true(batch.buffers[i] == VK_NULL_HANDLE);
                assert_null(batch.allocations[i]);
                assert_int_equal(batch.infos[i].size, 0);
            }
        }
        assert_int_equal(sim_live_resource_count(rig->sim), 0);
        assert_int_equal(rig_statistics(rig).allocationCount, 0);
        sxvkDestroyPool(rig->allocator, pools[0]);
        sxvkDestroyPool(rig->allocator, pools[1]);
        rig_destroy(rig);
    }
}

/*  The second time a handle comes it is stale, and its buffer is not destroyed again. */
static void test_batch_that_names_one_twice(void** state) {
    Rig* rig = rig_create(NULL);
    int images;
    (void)state;
    for (images = 0; images < 2; images++) {
        Batch batch = make_batch(images != 0, BATCH);
        Batch twice;
        assert_int_equal(create_batch(rig, &batch, NULL), VK_SUCCESS);
        twice = batch;
        twice.count = 60;
        twice.buffers[50] = batch.buffers[49]; /* while the first waits to be given back */
        twice.pictures[50] = batch.pictures[49];
        twice.allocations[50] = batch.allocations[49];
        destroy_batch(rig, &twice);
        rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
        assert_int_equal(sim_live_resource_count(rig->sim), 41);
        assert_int_equal(rig_statistics(rig).allocationCount, 41);
        rig_check(rig);
        twice.count = 41; /* what is left */
        twice.buffers[0] = batch.buffers[50];
        twice.pictures[0] = batch.pictures[50];
        twice.allocations[0] = batch.allocations[50];
        memcpy(&twice.buffers[1], &batch.buffers[60], 40 * sizeof batch.buffers[0]);
        memcpy(&twice.pictures[1], &batch.pictures[60], 40 * sizeof batch.pictures[0]);
        memcpy(&twice.allocations[1], &batch.allocations[60], 40 * sizeof batch.allocations[0]);
        destroy_batch(rig, &twice);
        assert_int_equal(sim_live_resource_count(rig->sim), 0);
        assert_int_equal(rig_statistics(rig).allocationCount, 0);
    }
    rig_destroy(rig);
}

typedef struct Reaction {
    SxvkAllocator allocator;
    SxvkPool pool;
    uint32_t mapped, stale, leaked;
} Reaction;

static void VKAPI_PTR destroy_the_pool(void* user, const SxvkMessageInfo* pInfo) {
    Reaction* reaction = (Reaction*)user;
    SxvkPool pool = reaction->pool;
    reaction->mapped += pInfo->message == SXVK_MESSAGE_FREED_WHILE_MAPPED;
    reaction->stale += pInfo->message == SXVK_MESSAGE_INVALID_ALLOCATION;
    reaction->leaked += pInfo->message == SXVK_MESSAGE_LEAKED_ALLOCATION;
    reaction->pool = VK_NULL_HANDLE;
    sxvkDestroyPool(reaction->allocator, pool);
}

/*  In the middle of a batch a message's callback destroys the pool, and finds nothing in it that is
    being freed. */
static void test_pool_destroyed_amid_a_batch(void** state) {
    SxvkPoolCreateInfo fixed = {.memoryTypeIndex = HOST, .blockSize = 4 * MIB};
    int stale;
    (void)state;
    for (stale = 0; stale < 2; stale++) {
        RigOptions options = rig_options();
        VkMemoryRequirements needs[10];
        SxvkAllocationCreateInfo creates[10] = {{0}};
        SxvkAllocation allocations[10];
        Reaction reaction = {0};
        Rig* rig;
        void* data;
        uint32_t i;
        options.info.pfnMessage = destroy_the_pool;
        options.info.pMessageUserData = &reaction;
        rig = rig_create(&options);
        assert_int_equal(sxvkCreatePool(rig->allocator, &fixed, &reaction.pool), VK_SUCCESS);
        reaction.allocator = rig->allocator;
        for (i = 0; i < 10; i++) {
            needs[i] = testing_requirements(40 * KIB, 16, 1u << HOST);
            creates[i].pool = reaction.pool;
        }
        assert_int_equal(
            sxvkAllocateMemoryPages(rig->allocator, needs, creates, 10, allocations, NULL),
            VK_SUCCESS);
        if (stale) {
            sxvkFreeMemory(rig->allocator, allocations[9]);
        } else {
            assert_int_equal(sxvkMapMemory(rig->allocator, allocations[9], &data), VK_SUCCESS);
        }
        sxvkFreeMemoryPages(rig->allocator, 10, allocations);
        assert_null(reaction.pool);
        assert_int_equal(reaction.mapped, !stale);
        assert_int_equal(reaction.stale, stale);
        assert_int_equal(reaction.leaked, 0);
        assert_int_equal(sim_live_memory_count(rig->sim), 0);
        rig_destroy(rig);
    }
}

/* ------------------------------------------------------------------ aliasing */

static void test_aliasing(void** state) {
    VkBufferCreateInfo whole = testing_buffer(64 * KIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkBufferCreateInfo part = testing_buffer(KIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkImageCreateInfo picture = testing_image(32, 32, VK_IMAGE_TILING_OPTIMAL);
    SxvkAllocationCreateInfo create = automatic;
    Rig* rig = rig_create(NULL);
    SxvkAllocationInfo at;
    SxvkAllocation allocation;
    VkBuffer first, second, third;
    VkImage image, other;
    (void)state;
    sim_allow_aliasing(rig->sim, true);
    create.flags = SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT;
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &whole, &create, &first, &allocation, &at),
                     VK_SUCCESS);
    assert_int_equal(sxvkCreateAliasingBuffer(rig->allocator, allocation, &part, &second),
                     VK_SUCCESS);
    assert_bound(rig, second, VK_NULL_HANDLE, &at, 0);
    assert_int_equal(sxvkCreateAliasingBuffer2(rig->allocator, allocation, 63 * KIB, &part, &third),
                     VK_SUCCESS);
    assert_bound(rig, third, VK_NULL_HANDLE, &at, 63 * KIB);
    assert_int_equal(sxvkCreateAliasingImage(rig->allocator, allocation, &picture, &image),
                     VK_SUCCESS);
    assert_bound(rig, VK_NULL_HANDLE, image, &at, 0);
    assert_int_equal(
        sxvkCreateAliasingImage2(rig->allocator, allocation, 16 * KIB, &picture, &other),
        VK_SUCCESS);
    assert_bound(rig, VK_NULL_HANDLE, other, &at, 16 * KIB);
    /* They own no memory. */
    assert_int_equal(rig_statistics(rig).allocationCount, 1);
    sxvkDestroyBuffer(rig->allocator, second, VK_NULL_HANDLE);
    sxvkDestroyBuffer(rig->allocator, third, VK_NULL_HANDLE);
    sxvkDestroyImage(rig->allocator, image, VK_NULL_HANDLE);
    sxvkDestroyImage(rig->allocator, other, VK_NULL_HANDLE);
    sxvkDestroyBuffer(rig->allocator, first, allocation);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ device addresses */

static void test_device_address(void** state) {
    VkBufferCreateInfo info = testing_buffer(KIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                                      VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT);
    VkBufferDeviceAddressInfo address_info = {.sType =
                                                  VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO};
    RigOptions options = rig_options();
    PFN_vkGetBufferDeviceAddress get_address;
    SxvkAllocation allocation;
    Rig* rig;
    (void)state;
    options.info.flags = SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT;
    rig = rig_create(&options);
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &info, &automatic, &address_info.buffer,
                                      &allocation, NULL),
                     VK_SUCCESS);
    get_address = (PFN_vkGetBufferDeviceAddress)sim_get_device_proc_addr()(
        sim_device(rig->sim), "vkGetBufferDeviceAddress");
    assert_true(get_address(sim_device(rig->sim), &address_info) != 0);
    sxvkDestroyBuffer(rig->allocator, address_info.buffer, allocation);
    rig_destroy(rig);
}

/* ------------------------------------------------------------ white box: purposes and type bits */

static void test_purposes(void** state) {
    VkBufferCreateInfo buffer = testing_buffer(KIB, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
    VkImageCreateInfo image = testing_image(16, 16, VK_IMAGE_TILING_OPTIMAL);
    sxvki_purpose purpose;
    (void)state;
    sxvki_purpose_of_buffer(&purpose, &buffer);
    assert_int_equal(purpose.kind, SXVKI_KIND_BUFFER);
    assert_int_equal(purpose.usage, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
    assert_false(purpose.device_access); /* only copied */
    buffer.usage |= VK_BUFFER_USAGE_VERTEX_BUFFER_BIT;
    buffer.flags = VK_BUFFER_CREATE_PROTECTED_BIT;
    sxvki_purpose_of_buffer(&purpose, &buffer);
    assert_true(purpose.device_access);
    assert_true(purpose.is_protected);

    sxvki_purpose_of_image(&purpose, &image);
    assert_int_equal(purpose.kind, SXVKI_KIND_IMAGE_OPTIMAL);
    assert_true(purpose.device_access);
    assert_false(purpose.transient);
    image.tiling = VK_IMAGE_TILING_LINEAR;
    image.usage = VK_IMAGE_USAGE_TRANSFER_DST_BIT;
    sxvki_purpose_of_image(&purpose, &image);
    assert_int_equal(purpose.kind, SXVKI_KIND_IMAGE_LINEAR);
    assert_false(purpose.device_access);
    image.tiling = VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT;
    image.usage = VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT | VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT;
    image.flags = VK_IMAGE_CREATE_PROTECTED_BIT;
    sxvki_purpose_of_image(&purpose, &image);
    assert_int_equal(purpose.kind, SXVKI_KIND_IMAGE_UNKNOWN);
    assert_true(purpose.transient);
    assert_true(purpose.is_protected);
}

/*  With maintenance4 and without, the answer is that of the resource itself. */
static void test_type_bits(void** state) {
    static const uint32_t versions[] = {VK_API_VERSION_1_0, VK_API_VERSION_1_3};
    VkBufferCreateInfo buffer = testing_buffer(KIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkImageCreateInfo image = testing_image(16, 16, VK_IMAGE_TILING_OPTIMAL);
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        SimProfile profile = sim_profile_discrete();
        RigOptions options = rig_options();
        uint32_t bits = 0;
        Rig* rig;
        profile.masks.buffer = 0x5;
        profile.masks.imageOptimal = 0x9;
        options.profile = &profile;
        options.sim.apiVersion = versions[i];
        rig = rig_create(&options);
        assert_int_equal(sxvki_type_bits_for_buffer(&rig->allocator->device, &buffer, &bits),
                         VK_SUCCESS);
        assert_int_equal(bits, 0x5);
        assert_int_equal(sxvki_type_bits_for_image(&rig->allocator->device, &image, &bits),
                         VK_SUCCESS);
        assert_int_equal(bits, 0x9);
        assert_int_equal(sim_live_resource_count(rig->sim), 0);
        rig_destroy(rig);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_destroying_halves),
        cmocka_unit_test(test_destroying_twice),
        cmocka_unit_test(test_min_alignment),
        cmocka_unit_test(test_min_alignment_of_0),
        cmocka_unit_test(test_dedicated_with_a_chain),
        cmocka_unit_test(test_binding_by_hand),
        cmocka_unit_test(test_bind_failure),
        cmocka_unit_test(test_allocating_for_resources),
        cmocka_unit_test(test_batch_counts),
        cmocka_unit_test(test_empty_batch),
        cmocka_unit_test(test_batch_without_infos),
        cmocka_unit_test(test_batch_with_unbound_elements),
        cmocka_unit_test(test_batch_of_all_sorts),
        cmocka_unit_test(test_destroying_halves_of_batches),
        cmocka_unit_test(test_aliasing_in_batches),
        cmocka_unit_test(test_locks_of_a_batch),
        cmocka_unit_test(test_batch_of_several_domains),
        cmocka_unit_test(test_batch_that_names_one_twice),
        cmocka_unit_test(test_pool_destroyed_amid_a_batch),
        cmocka_unit_test(test_aliasing),
        cmocka_unit_test(test_device_address),
        cmocka_unit_test(test_purposes),
        cmocka_unit_test(test_type_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
