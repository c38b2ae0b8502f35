/*
    test_gpu_debug.c - debugging aids on a real driver: the names that blocks and resources get stand in
    what the validation layer says, and what fills memory is what the GPU reads there.

    Run by CTest (gpu.gpu_debug), or by hand; SXVK_DEVICE chooses the device.
*/
#include "gpu_fixture.h"

/*  All that the layer said, one after the other. */
typedef struct Said {
    char text[4096];
    uint32_t count;
} Said;

static VKAPI_ATTR VkBool32 VKAPI_CALL listen(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                             VkDebugUtilsMessageTypeFlagsEXT types,
                                             const VkDebugUtilsMessengerCallbackDataEXT* data,
                                             void* userData) {
    Said* said = (Said*)userData;
    size_t used = strlen(said->text);
    (void)severity;
    (void)types;
    (void)snprintf(said->text + used, sizeof said->text - used, "%s\n", data->pMessage);
    said->count++;
    return VK_FALSE;
}

static VkDebugUtilsMessengerEXT start_to_listen(Fixture* fixture, Said* said) {
    const VkDebugUtilsMessengerCreateInfoEXT info = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = listen,
        .pUserData = said,
    };
    PFN_vkCreateDebugUtilsMessengerEXT create =
        (PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr(fixture->gpu.instance,
                                                                  "vkCreateDebugUtilsMessengerEXT");
    VkDebugUtilsMessengerEXT messenger = VK_NULL_HANDLE;
    memset(said, 0, sizeof *said);
    assert_non_null(create);
    assert_ok(create(fixture->gpu.instance, &info, NULL, &messenger));
    fixture->gpu.quiet = true;
    return messenger;
}

/*  The mistakes were meant: forget them. */
static void stop_to_listen(Fixture* fixture, VkDebugUtilsMessengerEXT messenger) {
    PFN_vkDestroyDebugUtilsMessengerEXT destroy =
        (PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
            fixture->gpu.instance, "vkDestroyDebugUtilsMessengerEXT");
    destroy(fixture->gpu.instance, messenger, NULL);
    fixture->gpu.messageCount = 0;
    fixture->gpu.quiet = false;
}

/*  To bind what is bound is a mistake, and the layer says of what: the buffer, and its memory. */
static void test_names_stand_in_messages(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocationCreateInfo create = auto_info(0);
    const VkBufferCreateInfo info = buffer_info(4096, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    VkDebugUtilsMessengerEXT messenger;
    SxvkAllocationInfo where;
    SxvkAllocation allocation;
    VkBuffer buffer;
    Said said;
    create.pName = "hero's vertices";
    assert_ok(sxvkCreateBuffer(fixture->allocator, &info, &create, &buffer, &allocation, &where));
    messenger = start_to_listen(fixture, &said);
    (void)vkBindBufferMemory(fixture->gpu.device, buffer, where.deviceMemory, where.offset);
    stop_to_listen(fixture, messenger);
    assert_in_range(said.count, 1, 4);
    assert_non_null(strstr(said.text, "hero's vertices"));
    assert_non_null(strstr(said.text, "sx_vkalloc type "));
    assert_non_null(strstr(said.text, ", block "));
    sxvkDestroyBuffer(fixture->allocator, buffer, allocation);
}

static void test_names_of_dedicated_images(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocationCreateInfo create = auto_info(SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT);
    const VkImageCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
        .imageType = VK_IMAGE_TYPE_2D,
        .format = VK_FORMAT_R8G8B8A8_UNORM,
        .extent = {64, 64, 1},
        .mipLevels = 1,
        .arrayLayers = 1,
        .samples = VK_SAMPLE_COUNT_1_BIT,
        .usage = VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT,
    };
    VkDebugUtilsMessengerEXT messenger;
    SxvkAllocationInfo where;
    SxvkAllocation allocation;
    VkImage image;
    const char* at;
    Said said;
    create.pName = "shadow map";
    assert_ok(sxvkCreateImage(fixture->allocator, &info, &create, &image, &allocation, &where));
    messenger = start_to_listen(fixture, &said);
    (void)vkBindImageMemory(fixture->gpu.device, image, where.deviceMemory, 0);
    stop_to_listen(fixture, messenger);
    at = strstr(said.text, "shadow map");
    assert_non_null(at);
    assert_non_null(strstr(at + 1, "shadow map")); /* the image, and its memory */
    sxvkDestroyImage(fixture->allocator, image, allocation);
}

/*  The GPU reads what filled the memory. */
static void test_fill_is_seen_by_the_gpu(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkDebugInfo debug = {.fillOnAllocate = 0xA5, .fillOnFree = 0x5A, .margin = 32};
    SxvkAllocatorCreateInfo allocatorInfo = fixture_allocator_info(fixture);
    SxvkAllocationCreateInfo create =
        auto_info(SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT);
    const VkBufferCreateInfo info = buffer_info(70000, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
    SxvkAllocator allocator;
    allocatorInfo.pDebugInfo = &debug;
    assert_ok(sxvkCreateAllocator(&allocatorInfo, &allocator));
    for (uint32_t round = 0; round < 3; round++) { /* the same place: 0x5A by then */
        SxvkAllocation allocation;
        VkBuffer buffer;
        assert_ok(sxvkCreateBuffer(allocator, &info, &create, &buffer, &allocation, NULL));
        memset(fixture->carrierData, 0, 70000);
        gpu_copy_buffer(fixture, buffer, fixture->carrier, 70000);
        for (uint32_t i = 0; i < 70000; i++) {
            assert_int_equal(fixture->carrierData[i], 0xA5);
        }
        assert_ok(sxvkCheckCorruption(allocator, UINT32_MAX));
        sxvkDestroyBuffer(allocator, buffer, allocation);
    }
    sxvkDestroyAllocator(allocator);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        gpu_test(test_names_stand_in_messages),
        gpu_test(test_names_of_dedicated_images),
        gpu_test(test_fill_is_seen_by_the_gpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
