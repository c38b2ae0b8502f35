/*
    test_gpu_functions_dynamic.c - an allocator that was compiled without Vulkan prototypes gets its
    functions from the create info, and says so where there are none.

    Run by CTest (gpu.gpu_functions_dynamic), or by hand; SXVK_DEVICE chooses the device.
*/
#define SX_VKALLOC_STATIC_VULKAN_FUNCTIONS 0
#define SX_VKALLOC_DEBUG                   3
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "gpu_fixture.h"

#include "gpu_functions.h"

/*  The fixture's own allocator could not be made here. */
static int open_device(void** state) {
    Fixture* fixture = (Fixture*)malloc(sizeof(Fixture));
    assert_non_null(fixture);
    fixture_open_device(fixture, NULL);
    *state = fixture;
    return 0;
}

static void test_proc_addr(void** state) {
    check_proc_addr((Fixture*)*state);
}

static void test_full_table(void** state) {
    check_full_table((Fixture*)*state);
}

static void test_no_functions(void** state) {
    Fixture* fixture = (Fixture*)*state;
    const SxvkVulkanFunctions nothing = {.vkGetInstanceProcAddr = NULL};
    SxvkAllocatorCreateInfo info = fixture_allocator_info(fixture);
    for (int i = 0; i < 2; i++) {
        SxvkAllocator allocator;
        assert_int_equal(sxvkCreateAllocator(&info, &allocator), VK_ERROR_VALIDATION_FAILED_EXT);
        assert_null(allocator);
        expect_messages(fixture, SXVK_MESSAGE_MISSING_FUNCTION, 1);
        info.pVulkanFunctions = &nothing;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_proc_addr, open_device, fixture_close),
        cmocka_unit_test_setup_teardown(test_full_table, open_device, fixture_close),
        cmocka_unit_test_setup_teardown(test_no_functions, open_device, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
