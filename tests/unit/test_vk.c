/*  test_vk.c - ways to find Vulkan's functions, versions with and without extensions, limits.

    No prototypes are linked here, so that a table is all there is. Run by CTest (unit.vk).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#define SX_VKALLOC_DEBUG                   2
#define SX_VKALLOC_STATIC_VULKAN_FUNCTIONS 0
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)

/* Memory types of sim_profile_discrete. */
enum { LOCAL, HOST, CACHED, BAR };

/*  A buffer, an image and a map: a call of most of the table. */
static void use(Rig* rig) {
    VkBufferCreateInfo buffer_info = testing_buffer(KIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(16, 16, VK_IMAGE_TILING_OPTIMAL);
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO};
    SxvkAllocation a, b, c;
    VkBuffer buffer;
    VkImage image;
    void* data;
    uint32_t type;
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &a, NULL),
                     VK_SUCCESS);
    assert_int_equal(sxvkCreateImage(rig->allocator, &image_info, &create, &image, &b, NULL),
                     VK_SUCCESS);
    assert_int_equal(
        sxvkFindMemoryTypeIndexForBufferInfo(rig->allocator, &buffer_info, &create, &type),
        VK_SUCCESS);
    assert_int_equal(
        sxvkFindMemoryTypeIndexForImageInfo(rig->allocator, &image_info, &create, &type),
        VK_SUCCESS);
    c = rig_allocate(rig, HOST, KIB);
    assert_int_equal(sxvkMapMemory(rig->allocator, c, &data), VK_SUCCESS);
    assert_int_equal(sxvkFlushAllocation(rig->allocator, c, 0, VK_WHOLE_SIZE), VK_SUCCESS);
    sxvkUnmapMemory(rig->allocator, c);
    sxvkFreeMemory(rig->allocator, c);
    sxvkDestroyBuffer(rig->allocator, buffer, a);
    sxvkDestroyImage(rig->allocator, image, b);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
}

static void create_allocator(Rig* rig) {
    assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator), VK_SUCCESS);
}

/* ------------------------------------------------------------------ ways to get functions */

static void test_two_proc_addrs_alone(void** state) {
    Rig* rig = rig_create(NULL); /* which is what it does */
    (void)state;
    use(rig);
    rig_destroy(rig);
}

static void test_instance_proc_addr_alone(void** state) {
    Rig* rig = rig_create_bare(NULL);
    (void)state;
    rig->functions.vkGetDeviceProcAddr = NULL;
    create_allocator(rig);
    use(rig);
    rig_destroy(rig);
}

/*  All functions and none to look them up by. */
static void test_full_table(void** state) {
    Rig* rig = rig_create_bare(NULL);
    SxvkVulkanFunctions table;
    (void)state;
    memset(&table, 0, sizeof table);
#define X(name)                                                                                    \
    table.name = (PFN_##name)sim_get_instance_proc_addr()(sim_instance(rig->sim), #name);
    SXVK_REQUIRED_FUNCTIONS(X)
    SXVK_OPTIONAL_FUNCTIONS(X)
#undef X
    assert_non_null(table.vkAllocateMemory);
    assert_non_null(table.vkGetDeviceBufferMemoryRequirements);
    rig->info.pVulkanFunctions = &table;
    sim_reset_calls(rig->sim);
    create_allocator(rig);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_GET_DEVICE_PROC_ADDR), 0);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_GET_INSTANCE_PROC_ADDR), 0);
    memset(&table, 0, sizeof table); /* it was copied */
    use(rig);
    rig_destroy(rig);
}

static void test_no_table_at_all(void** state) {
    Rig* rig = rig_create_bare(NULL);
    SxvkAllocator allocator = (SxvkAllocator)&allocator;
    (void)state;
    rig->info.pVulkanFunctions = NULL;
    assert_int_equal(sxvkCreateAllocator(&rig->info, &allocator), VK_ERROR_VALIDATION_FAILED_EXT);
    assert_null(allocator);
    rig_expect(rig, SXVK_MESSAGE_MISSING_FUNCTION, 1);
    rig_destroy(rig);
}

/*  What stands in the table goes before what would be found. */
static uint32_t own_calls;

static void VKAPI_PTR own_properties(VkPhysicalDevice device,
                                     VkPhysicalDeviceProperties* pProperties) {
    (void)device;
    own_calls++;
    memset(pProperties, 0, sizeof *pProperties);
    pProperties->limits.bufferImageGranularity = 1;
    pProperties->limits.nonCoherentAtomSize = 1;
    pProperties->limits.maxMemoryAllocationCount = 4096;
}

static void test_table_goes_first(void** state) {
    Rig* rig = rig_create_bare(NULL);
    (void)state;
    own_calls = 0;
    rig->functions.vkGetPhysicalDeviceProperties = own_properties;
    create_allocator(rig);
    assert_true(own_calls != 0);
    assert_int_equal(rig->allocator->device.vk.granularity, 1);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ missing functions */

static const char* missing_name;

static PFN_vkVoidFunction VKAPI_PTR lacking_device(VkDevice device, const char* pName) {
    return strncmp(pName, missing_name, strlen(missing_name)) == 0
               ? NULL
               : sim_get_device_proc_addr()(device, pName);
}

static PFN_vkVoidFunction VKAPI_PTR lacking_instance(VkInstance instance, const char* pName) {
    return strncmp(pName, missing_name, strlen(missing_name)) == 0
               ? NULL
               : sim_get_instance_proc_addr()(instance, pName);
}

/*  Without `name` (and its KHR twin) the allocator cannot be made, and the message names it. */
static void lacks(uint32_t version, SxvkAllocatorCreateFlags flags, const char* name) {
    RigOptions options = rig_options();
    SxvkAllocator allocator = (SxvkAllocator)&allocator;
    Rig* rig;
    options.sim.apiVersion = version;
    options.info.flags = flags;
    rig = rig_create_bare(&options);
    missing_name = name;
    rig->functions.vkGetInstanceProcAddr = lacking_instance;
    rig->functions.vkGetDeviceProcAddr = lacking_device;
    assert_int_equal(sxvkCreateAllocator(&rig->info, &allocator), VK_ERROR_VALIDATION_FAILED_EXT);
    assert_null(allocator);
    assert_non_null(strstr(rig->messages.text, name));
    rig_expect(rig, SXVK_MESSAGE_MISSING_FUNCTION, 1);
    rig_destroy(rig);
}

/*  It can be made without `name`. */
static void does_without(uint32_t version, SxvkAllocatorCreateFlags flags, const char* name) {
    RigOptions options = rig_options();
    Rig* rig;
    options.sim.apiVersion = version;
    options.info.flags = flags;
    rig = rig_create_bare(&options);
    missing_name = name;
    rig->functions.vkGetInstanceProcAddr = lacking_instance;
    rig->functions.vkGetDeviceProcAddr = lacking_device;
    create_allocator(rig);
    use(rig);
    rig_destroy(rig);
}

static void test_missing_functions(void** state) {
    /* Not those whose name begins that of another: the other would be missed first. */
    static const char* const required[] = {
        "vkAllocateMemory",   "vkFreeMemory",       "vkMapMemory",
        "vkUnmapMemory",      "vkCreateBuffer",     "vkDestroyBuffer",
        "vkCreateImage",      "vkDestroyImage",     "vkFlushMapped",
        "vkInvalidateMapped", "vkBindBufferMemory", "vkGetImageMemoryRequirements",
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof required / sizeof required[0]; i++) {
        lacks(VK_API_VERSION_1_0, 0, required[i]);
        lacks(VK_API_VERSION_1_3, 0, required[i]);
    }
    lacks(VK_API_VERSION_1_1, 0, "vkGetBufferMemoryRequirements2");
    lacks(VK_API_VERSION_1_1, 0, "vkGetImageMemoryRequirements2");
    lacks(VK_API_VERSION_1_1, 0, "vkBindBufferMemory2");
    lacks(VK_API_VERSION_1_1, 0, "vkBindImageMemory2");
    lacks(VK_API_VERSION_1_3, 0, "vkGetDeviceBufferMemoryRequirements");
    lacks(VK_API_VERSION_1_3, 0, "vkGetDeviceImageMemoryRequirements");
    lacks(VK_API_VERSION_1_0, SXVK_ALLOCATOR_CREATE_KHR_DEDICATED_ALLOCATION_BIT,
          "vkGetBufferMemoryRequirements2");
    lacks(VK_API_VERSION_1_0, SXVK_ALLOCATOR_CREATE_KHR_BIND_MEMORY2_BIT, "vkBindImageMemory2");
    lacks(VK_API_VERSION_1_1, SXVK_ALLOCATOR_CREATE_KHR_MAINTENANCE4_BIT,
          "vkGetDeviceBufferMemoryRequirements");
    lacks(VK_API_VERSION_1_1, SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT,
          "vkGetPhysicalDeviceMemoryProperties2");
    lacks(VK_API_VERSION_1_1, SXVK_ALLOCATOR_CREATE_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_BIT,
          "vkSetDeviceMemoryPriorityEXT");

    does_without(VK_API_VERSION_1_0, 0, "vkGetBufferMemoryRequirements2");
    does_without(VK_API_VERSION_1_0, 0, "vkBindBufferMemory2");
    does_without(VK_API_VERSION_1_1, 0, "vkGetDeviceBufferMemoryRequirements");
    does_without(VK_API_VERSION_1_1, 0, "vkGetPhysicalDeviceMemoryProperties2");
    does_without(VK_API_VERSION_1_1, 0, "vkGetPhysicalDeviceProperties2");
    does_without(VK_API_VERSION_1_3, 0, "vkSetDeviceMemoryPriorityEXT");
    does_without(VK_API_VERSION_1_3, SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT,
                 "vkGetBufferDeviceAddress");
    does_without(VK_API_VERSION_1_0, 0, "vkCmdCopyBuffer");
    does_without(VK_API_VERSION_1_0, 0, "vkCmdPipelineBarrier");
}

/* ------------------------------------------------------------------ versions */

typedef struct Ways {
    bool requirements2;
    bool bind2;
    bool maintenance4;
    bool budget;
} Ways;

/*  Which functions are called, by version and flags. */
static void expect_ways(uint32_t device_version, uint32_t version, SxvkAllocatorCreateFlags flags,
                        bool khr_names, Ways ways) {
    VkBindBufferMemoryDeviceGroupInfo chain = {
        .sType = VK_STRUCTURE_TYPE_BIND_BUFFER_MEMORY_DEVICE_GROUP_INFO};
    VkBufferCreateInfo buffer_info = testing_buffer(KIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO,
                                       .flags = SXVK_ALLOCATION_CREATE_DONT_BIND_BIT};
    RigOptions options = rig_options();
    SxvkAllocation allocation;
    VkBuffer buffer;
    VkResult result;
    Rig* rig;
    options.sim.apiVersion = device_version;
    options.sim.khrNames = khr_names;
    options.info.vulkanApiVersion = version;
    options.info.flags = flags;
    rig = rig_create(&options);
    sim_reset_calls(rig->sim);
    use(rig);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_GET_BUFFER_MEMORY_REQUIREMENTS2) != 0,
                     ways.requirements2);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_GET_IMAGE_MEMORY_REQUIREMENTS2) != 0,
                     ways.requirements2);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_GET_DEVICE_BUFFER_MEMORY_REQUIREMENTS) != 0,
                     ways.maintenance4);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_GET_DEVICE_IMAGE_MEMORY_REQUIREMENTS) != 0,
                     ways.maintenance4);
    /* Without maintenance4 the questions cost one resource each. */
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_CREATE_BUFFER), ways.maintenance4 ? 1 : 2);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_CREATE_IMAGE), ways.maintenance4 ? 1 : 2);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_GET_PHYSICAL_DEVICE_MEMORY_PROPERTIES2) != 0,
                     ways.budget);

    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &allocation, NULL),
        VK_SUCCESS);
    result = sxvkBindBufferMemory2(rig->allocator, allocation, 0, buffer, &chain);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_BIND_BUFFER_MEMORY2) != 0, ways.bind2);
    if (ways.bind2) {
        assert_int_equal(result, VK_SUCCESS);
    } else {
        assert_int_equal(result, VK_ERROR_VALIDATION_FAILED_EXT);
        rig_expect(rig, SXVK_MESSAGE_MISSING_FEATURE, 1);
    }
    sxvkDestroyBuffer(rig->allocator, buffer, allocation);
    rig_destroy(rig);
}

static void test_versions(void** state) {
    const SxvkAllocatorCreateFlags all = SXVK_ALLOCATOR_CREATE_KHR_DEDICATED_ALLOCATION_BIT |
                                         SXVK_ALLOCATOR_CREATE_KHR_BIND_MEMORY2_BIT |
                                         SXVK_ALLOCATOR_CREATE_KHR_MAINTENANCE4_BIT |
                                         SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    const Ways none = {false, false, false, false};
    const Ways core_1_1 = {true, true, false, false};
    const Ways core_1_3 = {true, true, true, false};
    const Ways every = {true, true, true, true};
    (void)state;
    expect_ways(VK_API_VERSION_1_0, VK_API_VERSION_1_0, 0, true, none);
    expect_ways(VK_API_VERSION_1_0, VK_API_VERSION_1_0, 0, false, none);
    expect_ways(VK_API_VERSION_1_0, VK_API_VERSION_1_0,
                SXVK_ALLOCATOR_CREATE_KHR_DEDICATED_ALLOCATION_BIT, true,
                (Ways){true, false, false, false});
    expect_ways(VK_API_VERSION_1_0, VK_API_VERSION_1_0, SXVK_ALLOCATOR_CREATE_KHR_BIND_MEMORY2_BIT,
                true, (Ways){false, true, false, false});
    expect_ways(VK_API_VERSION_1_0, VK_API_VERSION_1_0, all, true, every);
    expect_ways(VK_API_VERSION_1_1, VK_API_VERSION_1_1, 0, false, core_1_1);
    expect_ways(VK_API_VERSION_1_2, VK_API_VERSION_1_2, 0, false, core_1_1);
    expect_ways(VK_API_VERSION_1_1, VK_API_VERSION_1_1, all, true, every);
    expect_ways(VK_API_VERSION_1_3, VK_API_VERSION_1_3, 0, false, core_1_3);
    expect_ways(VK_API_VERSION_1_3, VK_API_VERSION_1_3, all, false, every);
    /* A device of 1.3 that the program uses as 1.1. */
    expect_ways(VK_API_VERSION_1_3, VK_API_VERSION_1_1, 0, true, core_1_1);
    /* Patch numbers mean nothing. */
    expect_ways(VK_API_VERSION_1_1, VK_MAKE_API_VERSION(0, 1, 1, 239), 0, false, core_1_1);
}

/*  VMA#457, VMA#410: a version that nobody has heard of is the newest that is known. */
static void test_unknown_newer_version(void** state) {
    RigOptions options = rig_options();
    Rig* rig;
    (void)state;
    options.info.vulkanApiVersion = VK_MAKE_API_VERSION(0, 1, 9, 0);
    rig = rig_create(&options);
    use(rig);
    assert_true(rig->allocator->device.vk.maintenance4);
    rig_destroy(rig);
}

/*  0 is 1.0. */
static void test_version_0(void** state) {
    Rig* rig = rig_create_bare(NULL);
    (void)state;
    rig->info.vulkanApiVersion = 0;
    create_allocator(rig);
    assert_int_equal(rig->allocator->device.vk.version, 1000000);
    assert_false(rig->allocator->device.vk.requirements2);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ limits */

static void test_limits(void** state) {
    SimProfile profile = sim_profile_discrete();
    SxvkDebugInfo debug = {.minBufferImageGranularity = 4096};
    RigOptions options = rig_options();
    Rig* rig;
    (void)state;
    profile.bufferImageGranularity = 131072;
    profile.nonCoherentAtomSize = 256;
    profile.maxMemoryAllocationCount = 1234;
    profile.maxMemoryAllocationSize = 100 * MIB;
    options.profile = &profile;
    options.info.pDebugInfo = &debug;
    rig = rig_create(&options);
    assert_int_equal(rig->allocator->device.vk.granularity, 131072); /* the larger of the two */
    assert_int_equal(rig->allocator->device.vk.atom, 256);
    assert_int_equal(rig->allocator->device.vk.max_allocation_count, 1234);
    assert_int_equal(rig->allocator->device.vk.max_allocation_size, 100 * MIB);
    use(rig);
    rig_destroy(rig);

    /* In Vulkan 1.0 nobody can say how large an allocation may be. */
    profile.bufferImageGranularity = 1;
    options.sim.apiVersion = VK_API_VERSION_1_0;
    rig = rig_create(&options);
    assert_int_equal(rig->allocator->device.vk.granularity, 4096);
    assert_true(rig->allocator->device.vk.max_allocation_size >= 100 * MIB);
    rig_destroy(rig);
}

/*  Making an allocator asks; it makes nothing. */
static void test_creation_only_asks(void** state) {
    Rig* rig = rig_create(NULL);
    int call;
    (void)state;
    for (call = 0; call < SIM_CALL_COUNT; call++) {
        bool asks = strncmp(sim_call_name((SimCall)call), "vkGet", 5) == 0;
        assert_true(asks || sim_calls(rig->sim, (SimCall)call) == 0);
    }
    rig_destroy(rig);
}

static void test_chain_find(void** state) {
    VkBaseInStructure c = {VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO, NULL};
    VkBaseInStructure b = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, &c};
    VkBaseInStructure a = {VK_STRUCTURE_TYPE_APPLICATION_INFO, &b};
    (void)state;
    assert_ptr_equal(sxvki_chain_find(&a, VK_STRUCTURE_TYPE_APPLICATION_INFO), &a);
    assert_ptr_equal(sxvki_chain_find(&a, VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO), &c);
    assert_null(sxvki_chain_find(&a, VK_STRUCTURE_TYPE_FENCE_CREATE_INFO));
    assert_null(sxvki_chain_find(NULL, VK_STRUCTURE_TYPE_FENCE_CREATE_INFO));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_proc_addrs_alone),
        cmocka_unit_test(test_instance_proc_addr_alone),
        cmocka_unit_test(test_full_table),
        cmocka_unit_test(test_no_table_at_all),
        cmocka_unit_test(test_table_goes_first),
        cmocka_unit_test(test_missing_functions),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_unknown_newer_version),
        cmocka_unit_test(test_version_0),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_creation_only_asks),
        cmocka_unit_test(test_chain_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
