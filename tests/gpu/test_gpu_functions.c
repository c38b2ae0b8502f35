/*
    test_gpu_functions.c - the allocator finds its Vulkan functions: through the linked prototypes,
    through the two proc-addr functions in the create info, from a full table, and in each Vulkan
    version, with and without extensions. test_gpu_functions_dynamic.c and test_gpu_volk.c do the same
    where there are no prototypes.

    Run by CTest (gpu.gpu_functions), or by hand; SXVK_DEVICE chooses the device.
*/
#include "gpu_fixture.h"

#include "gpu_functions.h"

static void test_prototypes(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocatorCreateInfo info = fixture_allocator_info(fixture);
    assert_null(info.pVulkanFunctions);
    create_and_use(fixture, &info);
}

static void test_proc_addr(void** state) {
    check_proc_addr((Fixture*)*state);
}

static void test_full_table(void** state) {
    check_full_table((Fixture*)*state);
}

/*  Some members given, the others looked up. */
static void test_part_of_a_table(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocatorCreateInfo info = fixture_allocator_info(fixture);
    const SxvkVulkanFunctions functions = {
        .vkAllocateMemory = counting_allocate,
        .vkFreeMemory = counting_free,
    };
    info.pVulkanFunctions = &functions;
    allocateCalls = freeCalls = 0;
    create_and_use(fixture, &info);
    assert_true(allocateCalls > 0);
    assert_int_equal(allocateCalls, freeCalls);
}

/*  Vulkan 1.0 to 1.3, with the extensions that carry later features, and without. The allocator is
    told what is there; the layer watches that it calls nothing else. */
static void test_every_version(void** state) {
    (void)state;
    static const uint32_t versions[] = {VK_API_VERSION_1_0, VK_API_VERSION_1_1, VK_API_VERSION_1_2,
                                        VK_API_VERSION_1_3};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        for (int without = 0; without < 2; without++) {
            Fixture fixture;
            const GpuOptions options = {.apiVersion = versions[i],
                                        .withoutExtensions = without != 0};
            fixture_open_device(&fixture, &options);
            SxvkAllocatorCreateInfo info = fixture_allocator_info(&fixture);
            create_and_use(&fixture, &info);
            expect_no_messages(&fixture);
            fixture_close_device(&fixture);
        }
    }
}

/*  A version above what anybody knows is taken as it is. */
static void test_later_version(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocatorCreateInfo info = fixture_allocator_info(fixture);
    if (info.vulkanApiVersion < VK_API_VERSION_1_3) {
        skip();
    }
    info.vulkanApiVersion = VK_MAKE_API_VERSION(0, 1, 9, 0);
    create_and_use(fixture, &info);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL forgetful_proc_addr(VkDevice device,
                                                                    const char* name) {
    return strcmp(name, "vkBindImageMemory") == 0 ? NULL : vkGetDeviceProcAddr(device, name);
}

static void test_missing_function(void** state) {
    Fixture* fixture = (Fixture*)*state;
    SxvkAllocatorCreateInfo info = fixture_allocator_info(fixture);
    const SxvkVulkanFunctions functions = {
        .vkGetInstanceProcAddr = vkGetInstanceProcAddr,
        .vkGetDeviceProcAddr = forgetful_proc_addr,
    };
    info.pVulkanFunctions = &functions;
    SxvkAllocator allocator;
    assert_int_equal(sxvkCreateAllocator(&info, &allocator), VK_ERROR_VALIDATION_FAILED_EXT);
    assert_null(allocator);
    assert_non_null(strstr(fixture->lastText, "vkBindImageMemory"));
    expect_messages(fixture, SXVK_MESSAGE_MISSING_FUNCTION, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        gpu_test(test_prototypes),
        gpu_test(test_proc_addr),
        gpu_test(test_full_table),
        gpu_test(test_part_of_a_table),
        gpu_test(test_later_version),
        gpu_test(test_missing_function),
        cmocka_unit_test(test_every_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
