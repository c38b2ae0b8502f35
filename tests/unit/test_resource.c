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

/*  A bind that the driver refuses: its result, and nothing else. */
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
        cmocka_unit_test(test_aliasing),
        cmocka_unit_test(test_device_address),
        cmocka_unit_test(test_purposes),
        cmocka_unit_test(test_type_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
