/*  test_sim.c - the simulated device answers, counts, fails and complains as sim.h says.

    Every check of the caller is provoked once and must fire once, with its own text; the same call
    without the mistake must pass in silence. Run by CTest (unit.sim), or by hand without arguments.
*/
#define _DEFAULT_SOURCE /* mkstemp under -std=c99 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

#define PROFILES SXVK_TEST_DATA_DIR "/gpu_profiles.json"

#define KIB      ((VkDeviceSize)1 << 10)
#define MIB      ((VkDeviceSize)1 << 20)
#define GIB      ((VkDeviceSize)1 << 30)

/* Memory types of sim_profile_discrete. */
enum { LOCAL, HOST, CACHED, BAR };

/* ------------------------------------------------------------------ fixture */

#define FUNCTIONS(X)                         \
    X(vkAllocateMemory)                      \
    X(vkFreeMemory)                          \
    X(vkMapMemory)                           \
    X(vkUnmapMemory)                         \
    X(vkFlushMappedMemoryRanges)             \
    X(vkInvalidateMappedMemoryRanges)        \
    X(vkBindBufferMemory)                    \
    X(vkBindBufferMemory2)                   \
    X(vkBindImageMemory)                     \
    X(vkBindImageMemory2)                    \
    X(vkGetBufferMemoryRequirements)         \
    X(vkGetBufferMemoryRequirements2)        \
    X(vkGetImageMemoryRequirements)          \
    X(vkGetImageMemoryRequirements2)         \
    X(vkGetDeviceBufferMemoryRequirements)   \
    X(vkGetDeviceImageMemoryRequirements)    \
    X(vkCreateBuffer)                        \
    X(vkDestroyBuffer)                       \
    X(vkCreateImage)                         \
    X(vkDestroyImage)                        \
    X(vkGetBufferDeviceAddress)              \
    X(vkSetDeviceMemoryPriorityEXT)          \
    X(vkSetDebugUtilsObjectNameEXT)          \
    X(vkGetDeviceMemoryOpaqueCaptureAddress) \
    X(vkCmdCopyImage)                        \
    X(vkCmdPipelineBarrier)                  \
    X(vkCmdCopyBuffer)

#define MEMBER(name) PFN_##name name;
typedef struct Device {
    FUNCTIONS(MEMBER)
    PFN_vkGetPhysicalDeviceProperties vkGetPhysicalDeviceProperties;
    PFN_vkGetPhysicalDeviceMemoryProperties vkGetPhysicalDeviceMemoryProperties;
    PFN_vkGetPhysicalDeviceFeatures vkGetPhysicalDeviceFeatures;
    PFN_vkGetPhysicalDeviceProperties2 vkGetPhysicalDeviceProperties2;
    PFN_vkGetPhysicalDeviceMemoryProperties2 vkGetPhysicalDeviceMemoryProperties2;
    PFN_vkGetPhysicalDeviceFeatures2 vkGetPhysicalDeviceFeatures2;
    PFN_vkEnumerateDeviceExtensionProperties vkEnumerateDeviceExtensionProperties;
    Sim* sim;
    VkDevice device;
    VkPhysicalDevice gpu;
    uint64_t expected; /* errors that the test provoked */
} Device;
#undef MEMBER

static PFN_vkVoidFunction device_proc(Sim* sim, const char* name) {
    return sim_get_device_proc_addr()(sim_device(sim), name);
}

static PFN_vkVoidFunction instance_proc(Sim* sim, const char* name) {
    return sim_get_instance_proc_addr()(sim_instance(sim), name);
}

static Device open_device(const SimProfile* profile, const SimOptions* options) {
    Device d;
    memset(&d, 0, sizeof d);
    d.sim = sim_create(profile, options);
    assert_non_null(d.sim);
    d.device = sim_device(d.sim);
    d.gpu = sim_physical_device(d.sim);
#define LOAD(name) d.name = (PFN_##name)device_proc(d.sim, #name);
    FUNCTIONS(LOAD)
#undef LOAD
#define LOAD(name) d.name = (PFN_##name)instance_proc(d.sim, #name)
    LOAD(vkGetPhysicalDeviceProperties);
    LOAD(vkGetPhysicalDeviceMemoryProperties);
    LOAD(vkGetPhysicalDeviceFeatures);
    LOAD(vkGetPhysicalDeviceProperties2);
    LOAD(vkGetPhysicalDeviceMemoryProperties2);
    LOAD(vkGetPhysicalDeviceFeatures2);
    LOAD(vkEnumerateDeviceExtensionProperties);
#undef LOAD
    return d;
}

static Device open_discrete(void) {
    SimProfile profile = sim_profile_discrete();
    return open_device(&profile, NULL);
}

/* No error but the provoked ones, and nothing leaked. */
static void close_device(Device* d) {
    assert_int_equal(sim_errors(d->sim), d->expected);
    assert_int_equal(sim_destroy(d->sim), 0);
}

/* The statement makes one mistake, and the report says so. */
#define EXPECT_ERROR(d, text, statement)                                           \
    do {                                                                           \
        sim_quiet((d)->sim, true);                                                 \
        statement;                                                                 \
        sim_quiet((d)->sim, false);                                                \
        (d)->expected++;                                                           \
        assert_int_equal(sim_errors((d)->sim), (d)->expected);                     \
        if (strstr(sim_last_error((d)->sim), (text)) == NULL) {                    \
            fail_msg("\"%s\" is not in \"%s\"", (text), sim_last_error((d)->sim)); \
        }                                                                          \
    } while (0)

#define EXPECT_INVALID(d, text, call) \
    EXPECT_ERROR(d, text, assert_int_equal(call, VK_ERROR_VALIDATION_FAILED_EXT))

#define EXPECT_SUCCESS(call) assert_int_equal(call, VK_SUCCESS)

static VkMemoryAllocateInfo memory_info(uint32_t type, VkDeviceSize size) {
    VkMemoryAllocateInfo info = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, NULL, size, type};
    return info;
}

static VkResult try_allocate(Device* d, uint32_t type, VkDeviceSize size, const void* chain,
                             VkDeviceMemory* pMemory) {
    VkMemoryAllocateInfo info = memory_info(type, size);
    info.pNext = chain;
    return d->vkAllocateMemory(d->device, &info, NULL, pMemory);
}

static VkDeviceMemory allocate(Device* d, uint32_t type, VkDeviceSize size) {
    VkDeviceMemory memory = VK_NULL_HANDLE;
    EXPECT_SUCCESS(try_allocate(d, type, size, NULL, &memory));
    assert_true(memory != VK_NULL_HANDLE);
    return memory;
}

static void release(Device* d, VkDeviceMemory memory) {
    d->vkFreeMemory(d->device, memory, NULL);
}

static VkBufferCreateInfo buffer_info(VkDeviceSize size, VkBufferUsageFlags usage) {
    VkBufferCreateInfo info;
    memset(&info, 0, sizeof info);
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = size;
    info.usage = usage;
    return info;
}

static VkBuffer make_buffer(Device* d, VkDeviceSize size, VkBufferUsageFlags usage) {
    VkBufferCreateInfo info = buffer_info(size, usage);
    VkBuffer buffer = VK_NULL_HANDLE;
    EXPECT_SUCCESS(d->vkCreateBuffer(d->device, &info, NULL, &buffer));
    return buffer;
}

static VkBuffer plain_buffer(Device* d, VkDeviceSize size) {
    return make_buffer(d, size,
                       VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT);
}

static void destroy_buffer(Device* d, VkBuffer buffer) {
    d->vkDestroyBuffer(d->device, buffer, NULL);
}

static VkImageCreateInfo image_info(VkFormat format, uint32_t width, uint32_t height,
                                    VkImageUsageFlags usage) {
    VkImageCreateInfo info;
    memset(&info, 0, sizeof info);
    info.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
    info.imageType = VK_IMAGE_TYPE_2D;
    info.format = format;
    info.extent.width = width;
    info.extent.height = height;
    info.extent.depth = 1;
    info.mipLevels = 1;
    info.arrayLayers = 1;
    info.samples = VK_SAMPLE_COUNT_1_BIT;
    info.tiling = VK_IMAGE_TILING_OPTIMAL;
    info.usage = usage;
    return info;
}

static VkImage make_image(Device* d, const VkImageCreateInfo* info) {
    VkImage image = VK_NULL_HANDLE;
    EXPECT_SUCCESS(d->vkCreateImage(d->device, info, NULL, &image));
    return image;
}

/* 1024 bytes, aligned to 1024. */
static VkImage small_image(Device* d) {
    VkImageCreateInfo info =
        image_info(VK_FORMAT_R8G8B8A8_UNORM, 16, 16, VK_IMAGE_USAGE_SAMPLED_BIT);
    return make_image(d, &info);
}

static void destroy_image(Device* d, VkImage image) {
    d->vkDestroyImage(d->device, image, NULL);
}

static VkMemoryRequirements needs_of(Device* d, const VkImageCreateInfo* info) {
    VkImage image = make_image(d, info);
    VkMemoryRequirements needs;
    d->vkGetImageMemoryRequirements(d->device, image, &needs);
    destroy_image(d, image);
    return needs;
}

static VkMemoryRequirements buffer_needs_of(Device* d, VkDeviceSize size,
                                            VkBufferUsageFlags usage) {
    VkBuffer buffer = make_buffer(d, size, usage);
    VkMemoryRequirements needs;
    d->vkGetBufferMemoryRequirements(d->device, buffer, &needs);
    destroy_buffer(d, buffer);
    return needs;
}

/* ------------------------------------------------------------------ profiles */

typedef struct Profiles {
    SimProfile* list;
    uint32_t count;
} Profiles;

static Profiles load_profiles(void) {
    Profiles profiles;
    assert_true(sim_load_profiles(PROFILES, &profiles.list, &profiles.count));
    return profiles;
}

static const SimProfile* pick(const Profiles* profiles, const char* name) {
    const SimProfile* profile = sim_find_profile(profiles->list, profiles->count, name);
    assert_non_null(profile);
    return profile;
}

static void test_all_profiles_load(void** state) {
    (void)state;
    Profiles all = load_profiles();
    assert_int_equal(all.count, 53);
    for (uint32_t i = 0; i < all.count; i++) {
        const SimProfile* p = &all.list[i];
        assert_ptr_equal(sim_find_profile(all.list, all.count, p->name), p);
        assert_true(p->memory.memoryHeapCount != 0 && p->memory.memoryTypeCount != 0);
        assert_true(p->bufferImageGranularity != 0 && p->nonCoherentAtomSize != 0);
        assert_true(p->maxMemoryAllocationCount != 0 && p->minMemoryMapAlignment != 0);
        for (uint32_t heap = 0; heap < p->memory.memoryHeapCount; heap++) {
            assert_true(p->memory.memoryHeaps[heap].size != 0);
        }
    }
    assert_null(sim_find_profile(all.list, all.count, "no such gpu"));
    sim_free_profiles(all.list);
}

static void test_spot_values(void** state) {
    (void)state;
    Profiles all = load_profiles();
    const SimProfile* p = pick(&all, "nvidia_h200_linux_r580");
    assert_int_equal(p->deviceType, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
    assert_int_equal(p->memory.memoryHeapCount, 2);
    assert_int_equal(p->memory.memoryTypeCount, 5);
    assert_true(p->memory.memoryHeaps[0].size == UINT64_C(150754820096));
    assert_int_equal(p->memory.memoryHeaps[0].flags, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT);
    assert_int_equal(p->memory.memoryHeaps[1].flags, 0);
    assert_int_equal(p->memory.memoryTypes[3].heapIndex, 1);
    assert_int_equal(p->memory.memoryTypes[3].propertyFlags, 0xE);
    assert_int_equal(p->memory.memoryTypes[4].heapIndex, 0);
    assert_int_equal(p->memory.memoryTypes[4].propertyFlags, 0x7);
    assert_true(p->maxMemoryAllocationSize == 4292870144u);
    assert_int_equal(p->maxMemoryAllocationCount, UINT32_MAX);
    assert_int_equal(p->bufferImageGranularity, 1024);
    assert_int_equal(p->masks.imageOptimal, 0x3);
    assert_int_equal(p->masks.imageLinear, 0x1F);
    assert_true(p->hasBudgetReport);
    assert_true(p->budget[0] == UINT64_C(150092709888));
    assert_true(p->usage[1] == 1601536);

    p = pick(&all, "nvidia_rtx5080_rebar_r610");
    assert_true(p->maxMemoryAllocationSize == (uint64_t)INT64_MAX);
    assert_false(p->hasBudgetReport);

    p = pick(&all, "radv_2020_heap0_16mib_bogus_budget");
    assert_true(p->budget[0] == UINT64_C(18446744073271062528)); /* needs all 64 bits */

    p = pick(&all, "amd_rdna_windows_8type_device_coherent");
    assert_int_equal(p->memory.memoryTypes[4].propertyFlags, 0xC1);
    assert_int_equal(p->memory.memoryHeaps[0].flags,
                     VK_MEMORY_HEAP_DEVICE_LOCAL_BIT | VK_MEMORY_HEAP_MULTI_INSTANCE_BIT);

    p = pick(&all, "synthetic_32_types_16_heaps");
    assert_int_equal(p->memory.memoryTypeCount, VK_MAX_MEMORY_TYPES);
    assert_int_equal(p->memory.memoryHeapCount, VK_MAX_MEMORY_HEAPS);

    p = pick(&all, "lavapipe");
    assert_int_equal(p->deviceType, VK_PHYSICAL_DEVICE_TYPE_CPU);
    assert_int_equal(pick(&all, "nvidia_geforce_940m_gran64k")->maxMemoryAllocationSize, 0);
    sim_free_profiles(all.list);
}

static bool loads(const char* text) {
    char path[] = "/tmp/sxvk_sim_XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    FILE* file = fdopen(descriptor, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    SimProfile* profiles = NULL;
    uint32_t count = 0;
    bool good = sim_load_profiles(path, &profiles, &count);
    assert_true(good == (profiles != NULL) && good == (count != 0));
    sim_free_profiles(profiles);
    (void)remove(path);
    return good;
}

static bool profile_loads(const char* heaps, const char* types, const char* rest) {
    char text[2048];
    (void)snprintf(text, sizeof text,
                   "[{\"name\":\"x\",\"device_type\":\"CPU\",\"heaps\":[%s],\"types\":[%s],"
                   "\"limits\":{\"bufferImageGranularity\":1,\"nonCoherentAtomSize\":1,"
                   "\"maxMemoryAllocationCount\":1,\"minMemoryMapAlignment\":64}%s}]",
                   heaps, types, rest);
    return loads(text);
}

static void test_malformed_profiles_are_refused(void** state) {
    (void)state;
    const char* heap = "{\"size\":1024,\"flags\":[\"DEVICE_LOCAL\"]}";
    const char* type = "{\"heap\":0,\"flags\":[\"DEVICE_LOCAL\"],\"flags_hex\":\"0x1\"}";
    assert_true(profile_loads(heap, type, ""));
    assert_true(profile_loads(heap, type, ",\"resource_type_masks\":{\"buffer\":\"0x1\"}"));
    assert_false(profile_loads(heap, type, ",\"resource_type_masks\":{\"bufer\":\"0x1\"}"));
    assert_false(profile_loads("", type, ""));
    assert_false(profile_loads(heap, "", ""));
    /* A type that names no heap, flags that disagree, an unknown flag. */
    assert_false(profile_loads(heap, "{\"heap\":1,\"flags\":[],\"flags_hex\":\"0x0\"}", ""));
    assert_false(profile_loads(heap, "{\"heap\":0,\"flags\":[],\"flags_hex\":\"0x1\"}", ""));
    assert_false(
        profile_loads(heap, "{\"heap\":0,\"flags\":[\"FAST\"],\"flags_hex\":\"0x0\"}", ""));
    /* 2^53 + 2 would come out of a double as it is, 2^53 + 1 would not: neither is trusted. */
    assert_true(profile_loads("{\"size\":9007199254740992,\"flags\":[]}", type, ""));
    assert_false(profile_loads("{\"size\":9007199254740994,\"flags\":[]}", type, ""));
    assert_true(profile_loads("{\"size\":\"9007199254740993\",\"flags\":[]}", type, ""));
    assert_false(profile_loads("{\"size\":-1,\"flags\":[]}", type, ""));
    /* A budget for a heap that is not there. */
    assert_false(profile_loads(heap, type, ",\"memory_budget_reported\":[]"));
    assert_false(loads("{}"));
    assert_false(loads("[]"));
    assert_false(loads("no json"));
    SimProfile* profiles;
    uint32_t count;
    assert_false(sim_load_profiles("/nonexistent/file.json", &profiles, &count));
    assert_null(profiles);
}

/* ------------------------------------------------------------------ what the GPU says */

static void test_memory_type_bits(void** state) {
    (void)state;
    const VkImageUsageFlags color = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT;
    const VkImageUsageFlags depth = VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT;
    const VkImageUsageFlags lazy = color | VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT;
    const struct {
        const char* profile;
        uint32_t buffer;
        uint32_t color;
        uint32_t depth16;
        uint32_t transient;
        uint32_t linear;
    } rows[] = {
        {"nvidia_h200_linux_r580",         0x1F,  0x3,   0x3,   0x3,   0x1F },
 /* Old NVIDIA: a type per depth format. */
        {"nvidia_rtx2060_no_rebar_r450",   0x781, 0x82,  0x84,  0x82,  0x781},
 /* RADV never shows types 1, 4 and 6 to applications. */
        {"radv_rx5700_small_bar",          0x7AD, 0x289, 0x289, 0x289, 0x7AD},
        {"mali_g78_pixel6",                0x3,   0x3,   0x3,   0x7,   0x3  },
        {"moltenvk_1_2_apple_m1",          0x7,   0x5,   0x5,   0xD,   0x7  },
 /* Compressed memory is for images only. */
        {"anv_lunarlake_xe_compressed",    0x6,   0x7,   0x7,   0x7,   0x6  },
        {"adreno_7xx_lazy_9type",          0x1F,  0x1F,  0x1F,  0x3F,  0x1F },
        {"synthetic_maxcount_16_gran_64k", 0x7,   0x1,   0x1,   0x1,   0x7  },
    };
    Profiles all = load_profiles();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Device d = open_device(pick(&all, rows[i].profile), NULL);
        VkImageCreateInfo info = image_info(VK_FORMAT_R8G8B8A8_UNORM, 64, 64, color);
        assert_int_equal(needs_of(&d, &info).memoryTypeBits, rows[i].color);
        info.usage = lazy;
        assert_int_equal(needs_of(&d, &info).memoryTypeBits, rows[i].transient);
        info.usage = depth;
        info.format = VK_FORMAT_D16_UNORM;
        assert_int_equal(needs_of(&d, &info).memoryTypeBits, rows[i].depth16);
        info = image_info(VK_FORMAT_R8G8B8A8_UNORM, 64, 64, VK_IMAGE_USAGE_SAMPLED_BIT);
        info.tiling = VK_IMAGE_TILING_LINEAR;
        assert_int_equal(needs_of(&d, &info).memoryTypeBits, rows[i].linear);
        VkMemoryRequirements needs = buffer_needs_of(&d, 100, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
        assert_int_equal(needs.memoryTypeBits, rows[i].buffer);
        close_device(&d);
    }
    Device d = open_device(pick(&all, "anv_igpu_llc_tgl"), NULL);
    VkMemoryRequirements needs =
        buffer_needs_of(&d, 100, VK_BUFFER_USAGE_RESOURCE_DESCRIPTOR_BUFFER_BIT_EXT);
    assert_int_equal(needs.memoryTypeBits, 0x70);
    close_device(&d);

    const struct {
        VkFormat format;
        uint32_t bits;
    } depths[] = {
        {VK_FORMAT_D16_UNORM,           0x84},
        {VK_FORMAT_D24_UNORM_S8_UINT,   0x88},
        {VK_FORMAT_X8_D24_UNORM_PACK32, 0x88},
        {VK_FORMAT_D32_SFLOAT,          0x90},
        {VK_FORMAT_D32_SFLOAT_S8_UINT,  0xA0},
        {VK_FORMAT_S8_UINT,             0xC0},
    };
    d = open_device(pick(&all, "nvidia_rtx2060_no_rebar_r450"), NULL);
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        VkImageCreateInfo info = image_info(depths[i].format, 64, 64, depth);
        assert_int_equal(needs_of(&d, &info).memoryTypeBits, depths[i].bits);
    }
    close_device(&d);
    sim_free_profiles(all.list);
}

/* Handles that carry their requirements give the same as those in the table. */
static void test_sizes_and_alignments(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    for (int checks = 0; checks < 2; checks++) {
        options.checks = checks != 0;
        Device d = open_device(&profile, &options);
        VkMemoryRequirements needs = buffer_needs_of(&d, 100, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
        assert_int_equal(needs.size, 112);
        assert_int_equal(needs.alignment, 16);
        needs = buffer_needs_of(&d, 1, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        assert_int_equal(needs.size, 16);
        assert_int_equal(needs.alignment, 64);
        needs = buffer_needs_of(&d, 256, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
        assert_int_equal(needs.size, 256);
        assert_int_equal(needs.alignment, 256);
        needs = buffer_needs_of(&d, (VkDeviceSize)1 << 50, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
        assert_true(needs.size == (VkDeviceSize)1 << 50);

        const VkImageUsageFlags sampled = VK_IMAGE_USAGE_SAMPLED_BIT;
        VkImageCreateInfo info = image_info(VK_FORMAT_R8G8B8A8_UNORM, 10, 10, sampled);
        assert_int_equal(needs_of(&d, &info).size, 1024);
        assert_int_equal(needs_of(&d, &info).alignment, 1024);
        info = image_info(VK_FORMAT_R8G8B8A8_UNORM, 256, 256, sampled);
        assert_int_equal(needs_of(&d, &info).size, 256 * KIB);
        assert_int_equal(needs_of(&d, &info).alignment, 4096);
        info.mipLevels = 9; /* 87381 texels */
        assert_int_equal(needs_of(&d, &info).size, 352256);
        info.mipLevels = 1;
        info.arrayLayers = 6;
        info.samples = VK_SAMPLE_COUNT_4_BIT;
        assert_int_equal(needs_of(&d, &info).size, 6 * MIB);
        info = image_info(VK_FORMAT_BC1_RGB_UNORM_BLOCK, 1024, 1024, sampled);
        assert_int_equal(needs_of(&d, &info).size, 512 * KIB);
        info = image_info(VK_FORMAT_BC7_SRGB_BLOCK, 1021, 1021, sampled);
        assert_int_equal(needs_of(&d, &info).size, MIB);
        info = image_info(VK_FORMAT_R32G32B32A32_SFLOAT, 64, 64, sampled);
        info.tiling = VK_IMAGE_TILING_LINEAR;
        assert_int_equal(needs_of(&d, &info).size, 64 * KIB);
        assert_int_equal(needs_of(&d, &info).alignment, 256);
        info = image_info(VK_FORMAT_D32_SFLOAT, 1024, 1024,
                          VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT);
        assert_int_equal(needs_of(&d, &info).alignment, 65536);
        info = image_info(VK_FORMAT_G8_B8R8_2PLANE_420_UNORM, 1024, 1024, sampled);
        assert_int_equal(needs_of(&d, &info).size, 1536 * KIB);
        close_device(&d);
    }
}

static void test_dedicated_requirements(void** state) {
    (void)state;
    Device d = open_discrete();
    const VkImageUsageFlags color = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT;
    VkMemoryDedicatedRequirements dedicated = {VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS,
                                               NULL, 9, 9};
    VkMemoryRequirements2 needs;
    memset(&needs, 0, sizeof needs);
    needs.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2;
    needs.pNext = &dedicated;
    for (uint32_t width = 1024; width <= 2048; width *= 2) { /* 8 and 16 MiB */
        VkImageCreateInfo info = image_info(VK_FORMAT_R8G8B8A8_UNORM, width, 2048, color);
        VkImage image = make_image(&d, &info);
        VkImageMemoryRequirementsInfo2 ask = {VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2,
                                              NULL, image};
        d.vkGetImageMemoryRequirements2(d.device, &ask, &needs);
        assert_int_equal(dedicated.prefersDedicatedAllocation, width == 2048);
        assert_int_equal(dedicated.requiresDedicatedAllocation, VK_FALSE);
        assert_int_equal(needs.memoryRequirements.size, (VkDeviceSize)width * 8192);
        destroy_image(&d, image);

        dedicated.prefersDedicatedAllocation = 9;
        VkDeviceImageMemoryRequirements describe;
        memset(&describe, 0, sizeof describe);
        describe.sType = VK_STRUCTURE_TYPE_DEVICE_IMAGE_MEMORY_REQUIREMENTS;
        describe.pCreateInfo = &info;
        d.vkGetDeviceImageMemoryRequirements(d.device, &describe, &needs);
        assert_int_equal(dedicated.prefersDedicatedAllocation, width == 2048);
        assert_int_equal(needs.memoryRequirements.size, (VkDeviceSize)width * 8192);
    }
    VkBufferCreateInfo info = buffer_info(1000, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    VkDeviceBufferMemoryRequirements describe = {
        VK_STRUCTURE_TYPE_DEVICE_BUFFER_MEMORY_REQUIREMENTS, NULL, &info};
    d.vkGetDeviceBufferMemoryRequirements(d.device, &describe, &needs);
    assert_int_equal(needs.memoryRequirements.size, 1008);
    assert_int_equal(needs.memoryRequirements.alignment, 256);
    VkBuffer buffer = make_buffer(&d, 1000, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    VkBufferMemoryRequirementsInfo2 ask = {VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2,
                                           NULL, buffer};
    memset(&needs.memoryRequirements, 0, sizeof needs.memoryRequirements);
    d.vkGetBufferMemoryRequirements2(d.device, &ask, &needs);
    assert_int_equal(needs.memoryRequirements.size, 1008);
    destroy_buffer(&d, buffer);
    close_device(&d);
}

static void override_needs(void* pUser, const VkBufferCreateInfo* pBuffer,
                           const VkImageCreateInfo* pImage, SimRequirements* pRequirements) {
    assert_true((pBuffer == NULL) != (pImage == NULL));
    *pRequirements = *(const SimRequirements*)pUser;
}

static void test_requirements_hook(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    for (int checks = 0; checks < 2; checks++) {
        options.checks = checks != 0;
        Device d = open_device(&profile, &options);
        SimRequirements wanted;
        memset(&wanted, 0, sizeof wanted);
        wanted.memory.size = 12345;
        wanted.memory.alignment = 3; /* not even a power of two: it is the test's to say */
        wanted.memory.memoryTypeBits = 0x6;
        wanted.requiresDedicated = true;
        sim_set_requirements(d.sim, override_needs, &wanted);
        VkImageCreateInfo info = image_info(VK_FORMAT_R8_UNORM, 4, 4, VK_IMAGE_USAGE_SAMPLED_BIT);
        VkMemoryRequirements needs = needs_of(&d, &info);
        assert_memory_equal(&needs, &wanted.memory, sizeof needs);
        needs = buffer_needs_of(&d, 4, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
        assert_memory_equal(&needs, &wanted.memory, sizeof needs);
        sim_set_requirements(d.sim, NULL, NULL);
        assert_int_equal(buffer_needs_of(&d, 4, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT).size, 16);
        close_device(&d);
    }
}

static void test_property_chains(void** state) {
    (void)state;
    Profiles all = load_profiles();
    VkPhysicalDeviceMaintenance3Properties m3;
    VkPhysicalDeviceMaintenance4Properties m4;
    VkPhysicalDeviceProperties2 properties;
    memset(&m3, 0, sizeof m3);
    memset(&m4, 0, sizeof m4);
    memset(&properties, 0, sizeof properties);
    m3.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES;
    m3.pNext = &m4;
    m4.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES;
    /* A structure that the sim does not know, in front of those that it does. */
    VkPhysicalDeviceSubgroupProperties other = {
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, &m3, 7, 7, 7, 7};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    properties.pNext = &other;
    Device d = open_device(pick(&all, "amd_rx9070xt_windows_rebar"), NULL);
    d.vkGetPhysicalDeviceProperties2(d.gpu, &properties);
    assert_string_equal(properties.properties.deviceName, "amd_rx9070xt_windows_rebar");
    assert_int_equal(properties.properties.vendorID, 0x1002);
    assert_int_equal(properties.properties.limits.nonCoherentAtomSize, 128);
    assert_int_equal(properties.properties.limits.maxMemoryAllocationCount, UINT32_MAX);
    assert_true(m3.maxMemoryAllocationSize == 2 * GIB);
    assert_true(m4.maxBufferSize != 0);
    assert_int_equal(other.subgroupSize, 7);
    close_device(&d);

    d = open_discrete();
    d.vkGetPhysicalDeviceProperties2(d.gpu, &properties);
    assert_true(m3.maxMemoryAllocationSize == (VkDeviceSize)1 << 40); /* not known */
    close_device(&d);
    sim_free_profiles(all.list);
}

static void test_plain_queries(void** state) {
    (void)state;
    Device d = open_discrete();
    const SimProfile* profile = sim_profile(d.sim);
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
    VkPhysicalDeviceFeatures features;
    d.vkGetPhysicalDeviceProperties(d.gpu, &properties);
    assert_string_equal(properties.deviceName, profile->name);
    assert_int_equal(properties.deviceType, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
    assert_int_equal(properties.apiVersion, VK_API_VERSION_1_3);
    assert_int_equal(properties.limits.bufferImageGranularity, 1024);
    assert_int_equal(properties.limits.minMemoryMapAlignment, 64);
    d.vkGetPhysicalDeviceMemoryProperties(d.gpu, &memory);
    assert_memory_equal(&memory, &profile->memory, sizeof memory);
    memset(&features, 0xFF, sizeof features);
    d.vkGetPhysicalDeviceFeatures(d.gpu, &features);
    assert_int_equal(features.sparseBinding, VK_FALSE);

    VkPhysicalDeviceVulkan11Properties v11;
    VkPhysicalDeviceVulkan13Properties v13;
    VkPhysicalDeviceDriverProperties driver;
    VkPhysicalDeviceProperties2 properties2;
    memset(&v11, 0, sizeof v11);
    memset(&v13, 0, sizeof v13);
    memset(&driver, 0, sizeof driver);
    memset(&properties2, 0, sizeof properties2);
    v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES;
    v11.pNext = &v13;
    v13.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES;
    v13.pNext = &driver;
    driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
    properties2.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    properties2.pNext = &v11;
    d.vkGetPhysicalDeviceProperties2(d.gpu, &properties2);
    assert_true(v11.maxMemoryAllocationSize == (VkDeviceSize)1 << 40);
    assert_true(v13.maxBufferSize == (VkDeviceSize)1 << 40);
    assert_string_equal(driver.driverName, "sim");
    close_device(&d);
}

static bool has_extension(Device* d, const char* name) {
    VkExtensionProperties list[64];
    uint32_t count = 0;
    EXPECT_SUCCESS(d->vkEnumerateDeviceExtensionProperties(d->gpu, NULL, &count, NULL));
    assert_true(count < 64);
    EXPECT_SUCCESS(d->vkEnumerateDeviceExtensionProperties(d->gpu, NULL, &count, list));
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(list[i].extensionName, name) == 0) {
            return true;
        }
    }
    return false;
}

static void test_features_and_extensions(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    for (int on = 0; on < 2; on++) {
        options.memoryPriority = on != 0;
        options.memoryBudget = on != 0;
        options.bufferDeviceAddress = on != 0;
        options.pageableDeviceLocal = on != 0;
        options.deviceCoherentMemory = on != 0;
        Device d = open_device(&profile, &options);
        VkPhysicalDeviceMemoryPriorityFeaturesEXT priority = {
            VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PRIORITY_FEATURES_EXT, NULL, 9};
        VkPhysicalDeviceVulkan13Features v13;
        VkPhysicalDeviceVulkan12Features v12;
        memset(&v13, 0, sizeof v13);
        memset(&v12, 0, sizeof v12);
        v13.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES;
        v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
        v12.pNext = &v13;
        VkPhysicalDeviceCoherentMemoryFeaturesAMD coherent = {
            VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COHERENT_MEMORY_FEATURES_AMD, &v12, 9};
        VkPhysicalDeviceMaintenance4Features maintenance4 = {
            VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES, &coherent, 9};
        VkPhysicalDevicePageableDeviceLocalMemoryFeaturesEXT pageable = {
            VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PAGEABLE_DEVICE_LOCAL_MEMORY_FEATURES_EXT,
            &maintenance4, 9};
        VkPhysicalDeviceBufferDeviceAddressFeatures address;
        VkPhysicalDeviceFeatures2 features;
        memset(&address, 0, sizeof address);
        memset(&features, 0, sizeof features);
        address.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES;
        address.pNext = &priority;
        priority.pNext = &pageable;
        features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
        features.pNext = &address;
        d.vkGetPhysicalDeviceFeatures2(d.gpu, &features);
        assert_int_equal(priority.memoryPriority, on);
        assert_int_equal(address.bufferDeviceAddress, on);
        assert_int_equal(v12.bufferDeviceAddress, on);
        assert_int_equal(pageable.pageableDeviceLocalMemory, on);
        assert_int_equal(coherent.deviceCoherentMemory, on);
        assert_int_equal(maintenance4.maintenance4, VK_TRUE); /* core */
        assert_int_equal(v13.maintenance4, VK_TRUE);
        assert_int_equal(has_extension(&d, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME), on);
        assert_int_equal(has_extension(&d, VK_EXT_MEMORY_PRIORITY_EXTENSION_NAME), on);
        assert_true((d.vkSetDeviceMemoryPriorityEXT != NULL) == (on != 0));
        assert_true(has_extension(&d, VK_KHR_DEDICATED_ALLOCATION_EXTENSION_NAME));
        VkExtensionProperties one;
        uint32_t count = 1;
        assert_int_equal(d.vkEnumerateDeviceExtensionProperties(d.gpu, NULL, &count, &one),
                         VK_INCOMPLETE);
        assert_int_equal(count, 1);
        close_device(&d);
    }
}

static void test_proc_addresses(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    const struct {
        const char* name;
        uint32_t since; /* minor version */
    } core[] = {
        {"vkGetBufferMemoryRequirements",       0},
        {"vkGetBufferMemoryRequirements2",      1},
        {"vkBindImageMemory2",                  1},
        {"vkGetBufferDeviceAddress",            2},
        {"vkGetDeviceImageMemoryRequirements",  3},
        {"vkGetDeviceBufferMemoryRequirements", 3},
    };
    for (uint32_t minor = 0; minor <= 4; minor++) {
        options.apiVersion = VK_MAKE_API_VERSION(0, 1, minor, 0);
        Sim* sim = sim_create(&profile, &options);
        for (size_t i = 0; i < sizeof core / sizeof core[0]; i++) {
            assert_int_equal(device_proc(sim, core[i].name) != NULL, minor >= core[i].since);
            assert_int_equal(instance_proc(sim, core[i].name) != NULL, minor >= core[i].since);
        }
        assert_int_equal(instance_proc(sim, "vkGetPhysicalDeviceProperties2") != NULL, minor >= 1);
        assert_non_null(device_proc(sim, "vkGetBufferMemoryRequirements2KHR"));
        assert_non_null(instance_proc(sim, "vkGetPhysicalDeviceMemoryProperties2KHR"));
        assert_int_equal(sim_destroy(sim), 0);
    }
    options = sim_default_options();
    options.apiVersion = VK_API_VERSION_1_0;
    options.khrNames = false;
    options.maintenance4 = false;
    options.bufferDeviceAddress = false;
    options.debugUtils = false;
    Sim* sim = sim_create(&profile, &options);
    assert_null(device_proc(sim, "vkGetBufferMemoryRequirements2KHR"));
    assert_null(device_proc(sim, "vkBindBufferMemory2KHR"));
    assert_null(device_proc(sim, "vkGetDeviceBufferMemoryRequirementsKHR"));
    assert_null(device_proc(sim, "vkGetBufferDeviceAddressKHR"));
    assert_null(device_proc(sim, "vkSetDebugUtilsObjectNameEXT"));
    assert_null(instance_proc(sim, "vkGetPhysicalDeviceProperties2KHR"));
    /* Unknown names; what is not the device's; no instance, no function. */
    assert_null(device_proc(sim, "vkNoSuchFunction"));
    assert_null(instance_proc(sim, ""));
    assert_null(device_proc(sim, "vkGetPhysicalDeviceProperties"));
    assert_null(device_proc(sim, "vkGetInstanceProcAddr"));
    assert_non_null(instance_proc(sim, "vkGetDeviceProcAddr"));
    assert_null(sim_get_instance_proc_addr()(NULL, "vkAllocateMemory"));
    assert_non_null(sim_get_instance_proc_addr()(NULL, "vkGetInstanceProcAddr"));
    assert_int_equal(sim_destroy(sim), 0);
}

/* ------------------------------------------------------------------ checks: allocation */

static void test_allocate_checks(void** state) {
    (void)state;
    Device d = open_discrete();
    VkDeviceMemory memory;
    EXPECT_INVALID(&d, "memoryTypeIndex", try_allocate(&d, 4, 1024, NULL, &memory));
    EXPECT_INVALID(&d, "allocationSize is 0", try_allocate(&d, LOCAL, 0, NULL, &memory));
    assert_true(memory == VK_NULL_HANDLE);
    VkMemoryAllocateInfo info = memory_info(LOCAL, 1024);
    info.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    EXPECT_INVALID(&d, "sType", d.vkAllocateMemory(d.device, &info, NULL, &memory));
    EXPECT_ERROR(&d, "from heap 2, which has",
                 assert_int_equal(try_allocate(&d, BAR, 257 * MIB, NULL, &memory),
                                  VK_ERROR_OUT_OF_DEVICE_MEMORY));
    assert_int_equal(sim_live_memory_count(d.sim), 0);
    close_device(&d);

    Profiles all = load_profiles();
    d = open_device(pick(&all, "nvidia_h200_linux_r580"), NULL);
    EXPECT_ERROR(&d, "maxMemoryAllocationSize",
                 assert_int_equal(try_allocate(&d, 1, UINT64_C(4292870145), NULL, &memory),
                                  VK_ERROR_OUT_OF_DEVICE_MEMORY));
    release(&d, allocate(&d, 1, UINT64_C(4292870144)));
    close_device(&d);

    d = open_device(pick(&all, "synthetic_maxcount_16_gran_64k"), NULL);
    VkDeviceMemory many[16];
    for (int i = 0; i < 16; i++) {
        many[i] = allocate(&d, 0, 1024);
    }
    EXPECT_ERROR(
        &d, "maxMemoryAllocationCount = 16",
        assert_int_equal(try_allocate(&d, 0, 1024, NULL, &memory), VK_ERROR_TOO_MANY_OBJECTS));
    for (int i = 0; i < 16; i++) {
        release(&d, many[i]);
    }
    release(&d, allocate(&d, 0, 1024));
    close_device(&d);
    sim_free_profiles(all.list);
}

static void test_feature_checks(void** state) {
    (void)state;
    Profiles all = load_profiles();
    VkDeviceMemory memory;
    SimOptions options = sim_default_options();
    Device d = open_device(pick(&all, "amd_rdna_windows_8type_device_coherent"), NULL);
    EXPECT_INVALID(&d, "DEVICE_COHERENT_AMD", try_allocate(&d, 4, 1024, NULL, &memory));
    close_device(&d);
    options.deviceCoherentMemory = true;
    d = open_device(pick(&all, "amd_rdna_windows_8type_device_coherent"), &options);
    release(&d, allocate(&d, 4, 1024));
    close_device(&d);
    d = open_device(pick(&all, "anv_igpu_llc_tgl"), NULL);
    EXPECT_INVALID(&d, "PROTECTED", try_allocate(&d, 3, 1024, NULL, &memory));
    close_device(&d);
    sim_free_profiles(all.list);

    SimProfile profile = sim_profile_discrete();
    VkMemoryPriorityAllocateInfoEXT priority = {VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT,
                                                NULL, 0.5f};
    VkMemoryAllocateFlagsInfo flags = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO, NULL,
                                       VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT, 0};
    options = sim_default_options();
    options.memoryPriority = false;
    options.bufferDeviceAddress = false;
    d = open_device(&profile, &options);
    EXPECT_INVALID(&d, "without the extension", try_allocate(&d, LOCAL, 1024, &priority, &memory));
    EXPECT_INVALID(&d, "without the feature", try_allocate(&d, LOCAL, 1024, &flags, &memory));
    VkBufferCreateInfo info = buffer_info(64, VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT);
    VkBuffer buffer;
    EXPECT_INVALID(&d, "without the feature", d.vkCreateBuffer(d.device, &info, NULL, &buffer));
    assert_true(buffer == VK_NULL_HANDLE);
    close_device(&d);
}

static void test_priority(void** state) {
    (void)state;
    Device d = open_discrete();
    VkDeviceMemory memory;
    SimMemoryInfo info;
    VkMemoryPriorityAllocateInfoEXT priority = {VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT,
                                                NULL, 1.5f};
    EXPECT_INVALID(&d, "priority", try_allocate(&d, LOCAL, 1024, &priority, &memory));
    priority.priority = -0.1f;
    EXPECT_INVALID(&d, "priority", try_allocate(&d, LOCAL, 1024, &priority, &memory));
    priority.priority = 1.0f;
    EXPECT_SUCCESS(try_allocate(&d, LOCAL, 1024, &priority, &memory));
    assert_true(sim_memory_info(d.sim, memory, &info));
    assert_true(info.hasPriority && info.priority >= 1.0f);
    d.vkSetDeviceMemoryPriorityEXT(d.device, memory, 0.25f);
    EXPECT_ERROR(&d, "priority 2", d.vkSetDeviceMemoryPriorityEXT(d.device, memory, 2.0f));
    assert_true(sim_memory_info(d.sim, memory, &info));
    assert_true(info.priority > 0.2f && info.priority < 0.3f);
    release(&d, memory);
    EXPECT_ERROR(&d, "no live memory", d.vkSetDeviceMemoryPriorityEXT(d.device, memory, 0.5f));
    close_device(&d);
}

static void test_dedicated_checks(void** state) {
    (void)state;
    Device d = open_discrete();
    VkDeviceMemory memory;
    VkMemoryDedicatedAllocateInfo dedicated;
    memset(&dedicated, 0, sizeof dedicated);
    dedicated.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO;
    VkBuffer buffer = plain_buffer(&d, 1024);
    VkBuffer other = plain_buffer(&d, 1024);
    VkImage image = small_image(&d);

    dedicated.buffer = buffer;
    EXPECT_INVALID(&d, "dedicated allocation of 2048 bytes",
                   try_allocate(&d, LOCAL, 2048, &dedicated, &memory));
    dedicated.image = image;
    EXPECT_INVALID(&d, "a buffer and an image", try_allocate(&d, LOCAL, 1024, &dedicated, &memory));
    dedicated.image = VK_NULL_HANDLE;
    EXPECT_SUCCESS(try_allocate(&d, LOCAL, 1024, &dedicated, &memory));
    EXPECT_INVALID(&d, "dedicated to another", d.vkBindBufferMemory(d.device, other, memory, 0));
    EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, buffer, memory, 0));
    VkDeviceMemory second;
    EXPECT_INVALID(&d, "already bound", try_allocate(&d, LOCAL, 1024, &dedicated, &second));
    destroy_buffer(&d, buffer);
    release(&d, memory);
    EXPECT_INVALID(&d, "no live buffer or image",
                   try_allocate(&d, LOCAL, 1024, &dedicated, &memory));

    dedicated.buffer = VK_NULL_HANDLE;
    dedicated.image = image;
    EXPECT_SUCCESS(try_allocate(&d, LOCAL, 1024, &dedicated, &memory));
    SimMemoryInfo info;
    assert_true(sim_memory_info(d.sim, memory, &info));
    assert_true(info.dedicatedImage == image && info.dedicatedBuffer == VK_NULL_HANDLE);
    EXPECT_SUCCESS(d.vkBindImageMemory(d.device, image, memory, 0));
    destroy_image(&d, image);
    release(&d, memory);
    destroy_buffer(&d, other);

    SimRequirements wanted;
    memset(&wanted, 0, sizeof wanted);
    wanted.memory.size = 1024;
    wanted.memory.alignment = 1;
    wanted.memory.memoryTypeBits = 0xF;
    wanted.requiresDedicated = true;
    sim_set_requirements(d.sim, override_needs, &wanted);
    buffer = plain_buffer(&d, 1024);
    memory = allocate(&d, LOCAL, 4096);
    EXPECT_INVALID(&d, "requires dedicated", d.vkBindBufferMemory(d.device, buffer, memory, 0));
    release(&d, memory);
    destroy_buffer(&d, buffer);
    close_device(&d);
}

static void test_allocate_chain_is_remembered(void** state) {
    (void)state;
    Device d = open_discrete();
    VkExportMemoryAllocateInfo export_info = {VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO, NULL,
                                              VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    VkMemoryAllocateFlagsInfo flags = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO, &export_info,
                                       VK_MEMORY_ALLOCATE_DEVICE_MASK_BIT, 1};
    VkDeviceMemory memory;
    SimMemoryInfo info;
    EXPECT_SUCCESS(try_allocate(&d, HOST, 4096, &flags, &memory));
    assert_true(sim_memory_info(d.sim, memory, &info));
    assert_int_equal(info.size, 4096);
    assert_int_equal(info.memoryTypeIndex, HOST);
    assert_int_equal(info.exportTypes, VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT);
    assert_int_equal(info.flags, VK_MEMORY_ALLOCATE_DEVICE_MASK_BIT);
    assert_int_equal(info.deviceMask, 1);
    assert_false(info.imported || info.mapped || info.hasPriority);
    release(&d, memory);
    assert_false(sim_memory_info(d.sim, memory, &info));

    VkImportMemoryFdInfoKHR import_fd = {VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR, NULL,
                                         VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT, -1};
    EXPECT_SUCCESS(try_allocate(&d, HOST, 4096, &import_fd, &memory));
    assert_true(sim_memory_info(d.sim, memory, &info));
    assert_true(info.imported);
    release(&d, memory);

    char bytes[4096];
    VkImportMemoryHostPointerInfoEXT import = {
        VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT, NULL,
        VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT, bytes};
    EXPECT_SUCCESS(try_allocate(&d, HOST, sizeof bytes, &import, &memory));
    void* data;
    EXPECT_SUCCESS(d.vkMapMemory(d.device, memory, 16, VK_WHOLE_SIZE, 0, &data));
    assert_ptr_equal(data, bytes + 16);
    release(&d, memory);
    close_device(&d);
}

/* ------------------------------------------------------------------ checks: handles */

static void test_stale_handles(void** state) {
    (void)state;
    Device d = open_discrete();
    VkDeviceMemory memory = allocate(&d, HOST, 4096);
    release(&d, memory);
    VkDeviceMemory next = allocate(&d, HOST, 4096);
    assert_true(next != memory); /* same slot or not, the old handle stays dead */
    EXPECT_ERROR(&d, "vkFreeMemory: no live memory", release(&d, memory));
    void* data;
    EXPECT_INVALID(&d, "vkMapMemory: no live memory",
                   d.vkMapMemory(d.device, memory, 0, 64, 0, &data));
    EXPECT_ERROR(&d, "vkUnmapMemory: no live memory", d.vkUnmapMemory(d.device, memory));
    VkBuffer buffer = plain_buffer(&d, 1024);
    EXPECT_INVALID(&d, "no live memory", d.vkBindBufferMemory(d.device, buffer, memory, 0));
    destroy_buffer(&d, buffer);
    EXPECT_ERROR(&d, "vkDestroyBuffer: no live object", destroy_buffer(&d, buffer));
    EXPECT_INVALID(&d, "no live object", d.vkBindBufferMemory(d.device, buffer, next, 0));
    VkMemoryRequirements needs;
    EXPECT_ERROR(&d, "no live object", d.vkGetBufferMemoryRequirements(d.device, buffer, &needs));
    VkImage image = small_image(&d);
    destroy_image(&d, image);
    EXPECT_ERROR(&d, "vkDestroyImage: no live object", destroy_image(&d, image));
    EXPECT_ERROR(&d, "no live object", d.vkGetImageMemoryRequirements(d.device, image, &needs));
    release(&d, next);
    /* Null is no handle and no mistake. */
    release(&d, VK_NULL_HANDLE);
    destroy_buffer(&d, VK_NULL_HANDLE);
    destroy_image(&d, VK_NULL_HANDLE);
    close_device(&d);
}

static void test_sims_do_not_know_each_other(void** state) {
    (void)state;
    Device a = open_discrete();
    Device b = open_discrete();
    VkDeviceMemory memory = allocate(&a, LOCAL, 4096);
    VkDeviceMemory own = allocate(&b, LOCAL, 8192);
    VkBuffer buffer = plain_buffer(&a, 1024);
    EXPECT_ERROR(&b, "no live memory", release(&b, memory));
    EXPECT_ERROR(&b, "no live object", destroy_buffer(&b, buffer));
    assert_int_equal(sim_errors(a.sim), 0);
    assert_int_equal(sim_live_memory_total(a.sim), 4096);
    assert_int_equal(sim_live_memory_total(b.sim), 8192);
    assert_int_equal(sim_calls(a.sim, SIM_CALL_FREE_MEMORY), 0);
    assert_int_equal(sim_calls(b.sim, SIM_CALL_FREE_MEMORY), 1);
    destroy_buffer(&a, buffer);
    release(&a, memory);
    release(&b, own);
    close_device(&a);
    close_device(&b);
}

static void test_allocation_callbacks_match(void** state) {
    (void)state;
    Device d = open_discrete();
    VkAllocationCallbacks callbacks;
    memset(&callbacks, 0, sizeof callbacks);
    VkMemoryAllocateInfo info = memory_info(LOCAL, 1024);
    VkDeviceMemory memory;
    EXPECT_SUCCESS(d.vkAllocateMemory(d.device, &info, &callbacks, &memory));
    EXPECT_ERROR(&d, "were given", release(&d, memory));
    EXPECT_SUCCESS(d.vkAllocateMemory(d.device, &info, &callbacks, &memory));
    d.vkFreeMemory(d.device, memory, &callbacks);
    VkBuffer buffer = plain_buffer(&d, 64);
    EXPECT_ERROR(&d, "were not given", d.vkDestroyBuffer(d.device, buffer, &callbacks));
    close_device(&d);
}

static void test_leaks_are_counted(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    for (int checks = 0; checks < 2; checks++) {
        options.checks = checks != 0;
        Device d = open_device(&profile, &options);
        (void)allocate(&d, LOCAL, 4096);
        (void)plain_buffer(&d, 64);
        (void)small_image(&d);
        VkImage image = small_image(&d);
        assert_int_equal(sim_live_resource_count(d.sim), 3);
        destroy_image(&d, image);
        assert_int_equal(sim_live_resource_count(d.sim), 2);
        sim_quiet(d.sim, true);
        assert_int_equal(sim_destroy(d.sim), 3);
    }
    assert_int_equal(sim_destroy(NULL), 0);
}

static void test_create_checks(void** state) {
    (void)state;
    Device d = open_discrete();
    VkBuffer buffer;
    VkImage image;
    VkBufferCreateInfo good = buffer_info(64, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    VkBufferCreateInfo info = good;
    info.size = 0;
    EXPECT_INVALID(&d, "size is 0", d.vkCreateBuffer(d.device, &info, NULL, &buffer));
    info = good;
    info.usage = 0;
    EXPECT_INVALID(&d, "usage is 0", d.vkCreateBuffer(d.device, &info, NULL, &buffer));
    info = good;
    info.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    EXPECT_INVALID(&d, "sType", d.vkCreateBuffer(d.device, &info, NULL, &buffer));
    VkMemoryRequirements2 needs;
    memset(&needs, 0, sizeof needs);
    VkDeviceBufferMemoryRequirements describe = {
        VK_STRUCTURE_TYPE_DEVICE_BUFFER_MEMORY_REQUIREMENTS, NULL, &info};
    EXPECT_ERROR(&d, "sType", d.vkGetDeviceBufferMemoryRequirements(d.device, &describe, &needs));
    /* No mistake of the caller, but more than any device has. */
    info = buffer_info(UINT64_MAX, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    assert_int_equal(d.vkCreateBuffer(d.device, &info, NULL, &buffer),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_true(buffer == VK_NULL_HANDLE);

    VkImageCreateInfo proper = image_info(VK_FORMAT_R8_UNORM, 4, 4, VK_IMAGE_USAGE_SAMPLED_BIT);
    VkImageCreateInfo bad = proper;
    bad.extent.depth = 0;
    EXPECT_INVALID(&d, "extent is 0", d.vkCreateImage(d.device, &bad, NULL, &image));
    bad = proper;
    bad.mipLevels = 0;
    EXPECT_INVALID(&d, "mipLevels", d.vkCreateImage(d.device, &bad, NULL, &image));
    bad = proper;
    bad.usage = 0;
    EXPECT_INVALID(&d, "usage is 0", d.vkCreateImage(d.device, &bad, NULL, &image));
    bad = proper;
    bad.flags = VK_IMAGE_CREATE_DISJOINT_BIT;
    EXPECT_INVALID(&d, "DISJOINT", d.vkCreateImage(d.device, &bad, NULL, &image));
    bad = proper;
    bad.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    EXPECT_INVALID(&d, "sType", d.vkCreateImage(d.device, &bad, NULL, &image));
    VkDeviceImageMemoryRequirements describe_image;
    memset(&describe_image, 0, sizeof describe_image);
    describe_image.pCreateInfo = &bad;
    EXPECT_ERROR(&d, "sType",
                 d.vkGetDeviceImageMemoryRequirements(d.device, &describe_image, &needs));
    close_device(&d);
}

/* ------------------------------------------------------------------ checks: bind */

static void test_bind_checks(void** state) {
    (void)state;
    Device d = open_discrete();
    VkDeviceMemory memory = allocate(&d, LOCAL, 64 * KIB);
    VkBuffer buffer = make_buffer(&d, 1000, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    VkBuffer second = make_buffer(&d, 1000, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    EXPECT_INVALID(&d, "alignment 256", d.vkBindBufferMemory(d.device, buffer, memory, 128));
    EXPECT_INVALID(&d, "exceed", d.vkBindBufferMemory(d.device, buffer, memory, 64 * KIB - 768));
    EXPECT_INVALID(&d, "exceed", d.vkBindBufferMemory(d.device, buffer, memory, 64 * KIB));
    EXPECT_INVALID(&d, "exceed",
                   d.vkBindBufferMemory(d.device, buffer, memory, 0 - (VkDeviceSize)256));
    EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, buffer, memory, 64 * KIB - 1024));
    EXPECT_INVALID(&d, "already bound", d.vkBindBufferMemory(d.device, buffer, memory, 0));
    EXPECT_INVALID(&d, "overlaps", d.vkBindBufferMemory(d.device, second, memory, 64 * KIB - 1024));
    EXPECT_INVALID(&d, "overlaps",
                   d.vkBindBufferMemory(d.device, second, memory, 64 * KIB - 2048 + 256));
    EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, second, memory, 64 * KIB - 2048));

    VkDeviceMemory where;
    VkDeviceSize offset;
    assert_true(sim_buffer_binding(d.sim, second, &where, &offset));
    assert_true(where == memory && offset == 64 * KIB - 2048);
    SimMemoryInfo info;
    assert_true(sim_memory_info(d.sim, memory, &info));
    assert_int_equal(info.boundCount, 2);
    destroy_buffer(&d, buffer);
    EXPECT_ERROR(&d, "1 live resource", release(&d, memory));
    destroy_buffer(&d, second); /* its memory is gone: no matter */

    memory = allocate(&d, HOST, 4096);
    VkImage image = small_image(&d);
    EXPECT_INVALID(&d, "memoryTypeBits", d.vkBindImageMemory(d.device, image, memory, 0));
    assert_false(sim_image_binding(d.sim, image, &where, &offset));
    release(&d, memory);
    memory = allocate(&d, LOCAL, 4096);
    EXPECT_SUCCESS(d.vkBindImageMemory(d.device, image, memory, 1024));
    assert_true(sim_image_binding(d.sim, image, &where, &offset));
    assert_int_equal(offset, 1024);
    destroy_image(&d, image);

    VkBufferCreateInfo sparse = buffer_info(64, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    sparse.flags = VK_BUFFER_CREATE_SPARSE_BINDING_BIT;
    EXPECT_SUCCESS(d.vkCreateBuffer(d.device, &sparse, NULL, &buffer));
    EXPECT_INVALID(&d, "sparse", d.vkBindBufferMemory(d.device, buffer, memory, 0));
    destroy_buffer(&d, buffer);
    release(&d, memory);
    close_device(&d);
}

static void test_device_address(void** state) {
    (void)state;
    Device d = open_discrete();
    const VkBufferUsageFlags usage = VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    VkBuffer buffer = make_buffer(&d, 1024, usage);
    VkBuffer plain = plain_buffer(&d, 1024);
    VkDeviceMemory without = allocate(&d, LOCAL, 4096);
    EXPECT_INVALID(&d, "DEVICE_ADDRESS_BIT", d.vkBindBufferMemory(d.device, buffer, without, 0));
    VkBufferDeviceAddressInfo ask = {VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, NULL, buffer};
    EXPECT_ERROR(&d, "not bound", assert_int_equal(d.vkGetBufferDeviceAddress(d.device, &ask), 0));
    VkMemoryAllocateFlagsInfo flags = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO, NULL,
                                       VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT, 0};
    VkDeviceMemory memory;
    EXPECT_SUCCESS(try_allocate(&d, LOCAL, 4096, &flags, &memory));
    EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, buffer, memory, 512));
    VkDeviceMemoryOpaqueCaptureAddressInfo base = {
        VK_STRUCTURE_TYPE_DEVICE_MEMORY_OPAQUE_CAPTURE_ADDRESS_INFO, NULL, memory};
    uint64_t begin = d.vkGetDeviceMemoryOpaqueCaptureAddress(d.device, &base);
    assert_true(begin != 0);
    assert_true(d.vkGetBufferDeviceAddress(d.device, &ask) == begin + 512);
    ask.buffer = plain;
    EXPECT_ERROR(&d, "without VK_BUFFER_USAGE", (void)d.vkGetBufferDeviceAddress(d.device, &ask));
    destroy_buffer(&d, buffer);
    destroy_buffer(&d, plain);
    ask.buffer = buffer;
    EXPECT_ERROR(&d, "no live object", (void)d.vkGetBufferDeviceAddress(d.device, &ask));
    release(&d, memory);
    EXPECT_ERROR(&d, "no live memory",
                 (void)d.vkGetDeviceMemoryOpaqueCaptureAddress(d.device, &base));
    release(&d, without);
    close_device(&d);
}

static void test_bind2(void** state) {
    (void)state;
    Device d = open_discrete();
    VkDeviceMemory memory = allocate(&d, LOCAL, 64 * KIB);
    VkBuffer buffers[2] = {plain_buffer(&d, 1024), plain_buffer(&d, 1024)};
    VkBindBufferMemoryInfo binds[2] = {
        {VK_STRUCTURE_TYPE_BIND_BUFFER_MEMORY_INFO, NULL, buffers[0], memory, 0  },
        {VK_STRUCTURE_TYPE_BIND_BUFFER_MEMORY_INFO, NULL, buffers[1], memory, 512},
    };
    EXPECT_INVALID(&d, "overlaps", d.vkBindBufferMemory2(d.device, 2, binds));
    binds[1].memoryOffset = 1024;
    EXPECT_SUCCESS(d.vkBindBufferMemory2(d.device, 1, &binds[1])); /* [0] was bound above */
    VkImage image = small_image(&d);
    VkBindImageMemoryInfo bind = {VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_INFO, NULL, image, memory,
                                  2048};
    EXPECT_SUCCESS(d.vkBindImageMemory2(d.device, 1, &bind));
    bind.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    EXPECT_ERROR(&d, "sType", (void)d.vkBindImageMemory2(d.device, 1, &bind));
    binds[0].sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    EXPECT_ERROR(&d, "sType", (void)d.vkBindBufferMemory2(d.device, 1, binds));
    destroy_image(&d, image);
    destroy_buffer(&d, buffers[0]);
    destroy_buffer(&d, buffers[1]);
    release(&d, memory);
    close_device(&d);
}

static void test_disjoint_images(void** state) {
    (void)state;
    Device d = open_discrete();
    VkDeviceMemory memory = allocate(&d, LOCAL, 64 * KIB);
    VkImageCreateInfo info =
        image_info(VK_FORMAT_G8_B8_R8_3PLANE_420_UNORM, 64, 64, VK_IMAGE_USAGE_SAMPLED_BIT);
    info.flags = VK_IMAGE_CREATE_DISJOINT_BIT;
    VkImage image = make_image(&d, &info);
    const VkImageAspectFlagBits aspects[3] = {
        VK_IMAGE_ASPECT_PLANE_0_BIT, VK_IMAGE_ASPECT_PLANE_1_BIT, VK_IMAGE_ASPECT_PLANE_2_BIT};
    VkBindImagePlaneMemoryInfo planes[3];
    VkBindImageMemoryInfo binds[3];
    VkDeviceSize offset = 0;
    for (int i = 0; i < 3; i++) {
        VkImagePlaneMemoryRequirementsInfo plane = {
            VK_STRUCTURE_TYPE_IMAGE_PLANE_MEMORY_REQUIREMENTS_INFO, NULL, aspects[i]};
        VkImageMemoryRequirementsInfo2 ask = {VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2,
                                              &plane, image};
        VkMemoryRequirements2 needs;
        memset(&needs, 0, sizeof needs);
        needs.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2;
        d.vkGetImageMemoryRequirements2(d.device, &ask, &needs);
        assert_int_equal(needs.memoryRequirements.size, i == 0 ? 4096 : 1024);
        VkBindImagePlaneMemoryInfo p = {VK_STRUCTURE_TYPE_BIND_IMAGE_PLANE_MEMORY_INFO, NULL,
                                        aspects[i]};
        planes[i] = p;
        VkBindImageMemoryInfo b = {VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_INFO, &planes[i], image,
                                   memory, offset};
        binds[i] = b;
        offset += needs.memoryRequirements.size;
    }
    VkDeviceImageMemoryRequirements describe = {VK_STRUCTURE_TYPE_DEVICE_IMAGE_MEMORY_REQUIREMENTS,
                                                NULL, &info, VK_IMAGE_ASPECT_PLANE_0_BIT};
    for (int i = 0; i < 3; i++) {
        VkMemoryRequirements2 described;
        memset(&described, 0, sizeof described);
        describe.planeAspect = aspects[i];
        d.vkGetDeviceImageMemoryRequirements(d.device, &describe, &described);
        assert_int_equal(described.memoryRequirements.size, i == 0 ? 4096 : 1024);
    }
    VkMemoryDedicatedAllocateInfo dedicated = {VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
                                               NULL, image, VK_NULL_HANDLE};
    VkDeviceMemory none;
    EXPECT_INVALID(&d, "a disjoint image", try_allocate(&d, LOCAL, 6144, &dedicated, &none));
    VkMemoryRequirements needs;
    EXPECT_ERROR(&d, "needs a plane", d.vkGetImageMemoryRequirements(d.device, image, &needs));
    EXPECT_INVALID(&d, "needs a plane", d.vkBindImageMemory(d.device, image, memory, 0));
    EXPECT_SUCCESS(d.vkBindImageMemory2(d.device, 3, binds));
    EXPECT_INVALID(&d, "already bound", d.vkBindImageMemory2(d.device, 1, &binds[2]));
    SimMemoryInfo memory_state;
    assert_true(sim_memory_info(d.sim, memory, &memory_state));
    assert_int_equal(memory_state.boundCount, 3);
    destroy_image(&d, image);
    assert_true(sim_memory_info(d.sim, memory, &memory_state));
    assert_int_equal(memory_state.boundCount, 0);

    info.format = VK_FORMAT_G8_B8R8_2PLANE_420_UNORM;
    image = make_image(&d, &info);
    binds[2].image = image;
    EXPECT_INVALID(&d, "no plane 2", d.vkBindImageMemory2(d.device, 1, &binds[2]));
    destroy_image(&d, image);
    image = small_image(&d);
    binds[0].image = image;
    EXPECT_INVALID(&d, "not disjoint", d.vkBindImageMemory2(d.device, 1, &binds[0]));
    destroy_image(&d, image);
    release(&d, memory);
    close_device(&d);
}

/* A linear and an optimal resource on one page: from both sides, and with either kind first. */
static void test_granularity(void** state) {
    (void)state;
    Profiles all = load_profiles();
    SimProfile profile = *pick(&all, "synthetic_maxcount_16_gran_64k");
    sim_free_profiles(all.list);
    Device d = open_device(&profile, NULL);
    VkDeviceMemory memory = allocate(&d, 0, MIB);
    VkBuffer buffer = plain_buffer(&d, 1024);
    VkImage image = small_image(&d);
    EXPECT_SUCCESS(d.vkBindImageMemory(d.device, image, memory, 128 * KIB + 1024));
    EXPECT_INVALID(&d, "bufferImageGranularity = 65536",
                   d.vkBindBufferMemory(d.device, buffer, memory, 128 * KIB));
    EXPECT_INVALID(&d, "bufferImageGranularity",
                   d.vkBindBufferMemory(d.device, buffer, memory, 192 * KIB - 1024));
    EXPECT_INVALID(&d, "bufferImageGranularity",
                   d.vkBindBufferMemory(d.device, buffer, memory, 128 * KIB - 512));
    EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, buffer, memory, 192 * KIB));
    destroy_image(&d, image);
    image = small_image(&d);
    EXPECT_INVALID(&d, "bufferImageGranularity",
                   d.vkBindImageMemory(d.device, image, memory, 256 * KIB - 1024));
    EXPECT_SUCCESS(d.vkBindImageMemory(d.device, image, memory, 192 * KIB - 1024));
    /* Two of a kind may share. */
    VkBuffer neighbour = plain_buffer(&d, 1024);
    EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, neighbour, memory, 192 * KIB + 1024));
    /* A linear image is linear. */
    VkImageCreateInfo info = image_info(VK_FORMAT_R8_UNORM, 16, 16, VK_IMAGE_USAGE_SAMPLED_BIT);
    info.tiling = VK_IMAGE_TILING_LINEAR;
    VkImage linear = make_image(&d, &info);
    EXPECT_SUCCESS(d.vkBindImageMemory(d.device, linear, memory, 192 * KIB + 2048));
    destroy_image(&d, linear);
    destroy_image(&d, image);
    destroy_buffer(&d, buffer);
    destroy_buffer(&d, neighbour);
    release(&d, memory);
    close_device(&d);
}

/* Declared aliases may overlap, and then share pages by design; a mere neighbour still may not. */
static void test_aliasing(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    profile.bufferImageGranularity = 4096;
    Device d = open_device(&profile, NULL);
    VkDeviceMemory memory = allocate(&d, LOCAL, 64 * KIB);
    VkBuffer a = plain_buffer(&d, 1024);
    VkBuffer b = plain_buffer(&d, 1024);
    VkBuffer beside = plain_buffer(&d, 1024);
    VkImage image = small_image(&d);
    EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, a, memory, 8192));
    EXPECT_INVALID(&d, "overlaps", d.vkBindBufferMemory(d.device, b, memory, 8192 + 512));
    EXPECT_INVALID(&d, "overlaps", d.vkBindImageMemory(d.device, image, memory, 8192));
    sim_allow_aliasing(d.sim, true);
    EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, b, memory, 8192 + 512));
    EXPECT_SUCCESS(d.vkBindImageMemory(d.device, image, memory, 8192));
    EXPECT_INVALID(&d, "bufferImageGranularity",
                   d.vkBindBufferMemory(d.device, beside, memory, 8192 + 2048));
    EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, beside, memory, 12288));
    destroy_image(&d, image);
    destroy_buffer(&d, a);
    destroy_buffer(&d, b);
    destroy_buffer(&d, beside);
    release(&d, memory);
    close_device(&d);
}

/* splitmix64 */
static uint64_t next_random(uint64_t* pState) {
    uint64_t z = (*pState += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint32_t below(uint64_t* pState, uint32_t n) {
    return (uint32_t)((next_random(pState) >> 32) * n >> 32);
}

typedef struct Bound {
    VkBuffer buffer;
    VkImage image;
    VkDeviceSize begin;
    VkDeviceSize end;
} Bound;

static bool fits(const Bound* live, uint32_t count, const Bound* candidate, VkDeviceSize page) {
    for (uint32_t i = 0; i < count; i++) {
        const Bound* other = &live[i];
        bool mixed = (other->buffer != VK_NULL_HANDLE) != (candidate->buffer != VK_NULL_HANDLE);
        VkDeviceSize unit = mixed ? page : 1;
        if (candidate->begin / unit <= (other->end - 1) / unit &&
            other->begin / unit <= (candidate->end - 1) / unit) {
            return false;
        }
    }
    return true;
}

/* The ordered structure behind the neighbour checks says what a look at every pair says. */
static void test_neighbours_against_a_list(void** state) {
    (void)state;
    enum { MOST = 200 };
    static const VkDeviceSize pages[] = {1, 16, 1024, 4096, 65536};
    Bound live[MOST];
    uint64_t random = 0x1234;
    for (size_t p = 0; p < sizeof pages / sizeof pages[0]; p++) {
        SimProfile profile = sim_profile_discrete();
        profile.bufferImageGranularity = pages[p];
        Device d = open_device(&profile, NULL);
        sim_quiet(d.sim, true);
        VkDeviceMemory memory = allocate(&d, LOCAL, 512 * KIB);
        uint32_t count = 0;
        uint32_t refused = 0;
        for (int step = 0; step < 8000; step++) {
            if (count == MOST || (count != 0 && below(&random, 10) < 4)) {
                uint32_t gone = below(&random, count);
                destroy_buffer(&d, live[gone].buffer);
                destroy_image(&d, live[gone].image);
                live[gone] = live[--count];
                continue;
            }
            Bound new_one;
            memset(&new_one, 0, sizeof new_one);
            bool is_buffer = below(&random, 2) == 0;
            VkResult result;
            if (is_buffer) {
                VkDeviceSize size = 16 * (1 + (VkDeviceSize)below(&random, 256));
                new_one.buffer = plain_buffer(&d, size);
                new_one.begin = 16 * (VkDeviceSize)below(&random, 512 * 64 - 256);
                new_one.end = new_one.begin + size;
                result = d.vkBindBufferMemory(d.device, new_one.buffer, memory, new_one.begin);
            } else {
                new_one.image = small_image(&d);
                new_one.begin = 1024 * (VkDeviceSize)below(&random, 512);
                new_one.end = new_one.begin + 1024;
                result = d.vkBindImageMemory(d.device, new_one.image, memory, new_one.begin);
            }
            assert_int_equal(result == VK_SUCCESS, fits(live, count, &new_one, pages[p]));
            if (result == VK_SUCCESS) {
                live[count++] = new_one;
            } else {
                refused++;
                destroy_buffer(&d, new_one.buffer);
                destroy_image(&d, new_one.image);
            }
        }
        assert_true(refused > 100 && count > 10);
        assert_int_equal(sim_errors(d.sim), refused);
        SimMemoryInfo info;
        assert_true(sim_memory_info(d.sim, memory, &info));
        assert_int_equal(info.boundCount, count);
        while (count != 0) {
            count--;
            destroy_buffer(&d, live[count].buffer);
            destroy_image(&d, live[count].image);
        }
        release(&d, memory);
        d.expected = refused;
        close_device(&d);
    }
}

/* ------------------------------------------------------------------ checks: mapping */

static void test_map_checks(void** state) {
    (void)state;
    Device d = open_discrete();
    VkDeviceMemory local = allocate(&d, LOCAL, 4096);
    VkDeviceMemory memory = allocate(&d, HOST, 4096);
    SimMemoryInfo info;
    void* data = &d;
    EXPECT_INVALID(&d, "not HOST_VISIBLE",
                   d.vkMapMemory(d.device, local, 0, VK_WHOLE_SIZE, 0, &data));
    assert_null(data);
    EXPECT_INVALID(&d, "offset 4096",
                   d.vkMapMemory(d.device, memory, 4096, VK_WHOLE_SIZE, 0, &data));
    EXPECT_INVALID(&d, "size 0", d.vkMapMemory(d.device, memory, 0, 0, 0, &data));
    EXPECT_INVALID(&d, "size 4000", d.vkMapMemory(d.device, memory, 1024, 4000, 0, &data));
    EXPECT_ERROR(&d, "is not mapped", d.vkUnmapMemory(d.device, memory));
    EXPECT_SUCCESS(d.vkMapMemory(d.device, memory, 1024, VK_WHOLE_SIZE, 0, &data));
    assert_non_null(data);
    assert_true(sim_memory_info(d.sim, memory, &info));
    assert_true(info.mapped && info.mapOffset == 1024 && info.mapSize == 3072);
    EXPECT_INVALID(&d, "already mapped",
                   d.vkMapMemory(d.device, memory, 0, VK_WHOLE_SIZE, 0, &data));
    d.vkUnmapMemory(d.device, memory);
    EXPECT_SUCCESS(d.vkMapMemory(d.device, memory, 0, 4096, 0, &data));
    release(&d, memory); /* unmaps */
    release(&d, local);
    close_device(&d);
}

static void test_flush_checks(void** state) {
    (void)state;
    Device d = open_discrete(); /* atom 64 */
    VkDeviceMemory memory = allocate(&d, HOST, 1000);
    VkMappedMemoryRange range = {VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE, NULL, memory, 0, 64};
    SimMemoryInfo info;
    void* data;
#define FLUSH(o, s) \
    (range.offset = (o), range.size = (s), d.vkFlushMappedMemoryRanges(d.device, 1, &range))
#define INVALIDATE(o, s) \
    (range.offset = (o), range.size = (s), d.vkInvalidateMappedMemoryRanges(d.device, 1, &range))
    EXPECT_INVALID(&d, "vkFlushMappedMemoryRanges: the memory is not mapped", FLUSH(0, 64));
    EXPECT_SUCCESS(d.vkMapMemory(d.device, memory, 0, VK_WHOLE_SIZE, 0, &data));
    EXPECT_SUCCESS(FLUSH(0, 64));
    EXPECT_SUCCESS(FLUSH(64, VK_WHOLE_SIZE));
    EXPECT_SUCCESS(FLUSH(960, 40)); /* the end of the memory */
    EXPECT_INVALID(&d, "the offset is no multiple", FLUSH(32, 64));
    EXPECT_INVALID(&d, "the end is neither", FLUSH(64, 32));
    EXPECT_INVALID(&d, "empty or begins outside", FLUSH(0, 0));
    EXPECT_INVALID(&d, "empty or begins outside", FLUSH(1024, VK_WHOLE_SIZE));
    EXPECT_INVALID(&d, "ends outside", FLUSH(960, 64));
    EXPECT_INVALID(&d, "vkInvalidateMappedMemoryRanges: the offset", INVALIDATE(32, 64));
    EXPECT_SUCCESS(INVALIDATE(128, 128));
    assert_true(sim_memory_info(d.sim, memory, &info));
    assert_true(info.lastFlush.offset == 960 && info.lastFlush.size == 40);
    assert_true(info.lastInvalidate.offset == 128 && info.lastInvalidate.size == 128);
    EXPECT_INVALID(&d, "memoryRangeCount", d.vkFlushMappedMemoryRanges(d.device, 0, &range));
    range.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    EXPECT_INVALID(&d, "sType", FLUSH(0, 64));
    range.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE;
    d.vkUnmapMemory(d.device, memory);
    /* Only what is mapped; VK_WHOLE_SIZE means to the end of the mapping. */
    EXPECT_SUCCESS(d.vkMapMemory(d.device, memory, 64, 100, 0, &data));
    EXPECT_INVALID(&d, "begins outside", FLUSH(0, 128));
    EXPECT_INVALID(&d, "the end is neither", FLUSH(64, VK_WHOLE_SIZE));
    EXPECT_SUCCESS(FLUSH(64, 64));
    release(&d, memory);
    EXPECT_INVALID(&d, "no live memory", FLUSH(0, 64));
#undef FLUSH
#undef INVALIDATE
    close_device(&d);
}

static void test_addresses_without_backing(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    options.checks = false;
    Device d = open_device(&profile, &options);
    enum { COUNT = 32 };
    VkDeviceMemory memories[COUNT];
    uintptr_t previous = 0;
    for (int i = 0; i < COUNT; i++) {
        memories[i] = allocate(&d, HOST, 100 * MIB + 1);
        void* data;
        EXPECT_SUCCESS(d.vkMapMemory(d.device, memories[i], 0, VK_WHOLE_SIZE, 0, &data));
        assert_true((uintptr_t)data % 4096 == 0);
        assert_true(previous == 0 || (uintptr_t)data - previous > 100 * MIB);
        previous = (uintptr_t)data;
        d.vkUnmapMemory(d.device, memories[i]);
        EXPECT_SUCCESS(d.vkMapMemory(d.device, memories[i], 64, VK_WHOLE_SIZE, 0, &data));
        assert_true((uintptr_t)data == previous + 64);
    }
    for (int i = 0; i < COUNT; i++) {
        release(&d, memories[i]);
    }
    close_device(&d);
}

/* The address space starts over when it is used up. */
static void test_addresses_wrap(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    profile.memory.memoryHeaps[1].size = 1024 * GIB;
    Device d = open_device(&profile, NULL);
    uintptr_t first = 0;
    bool wrapped = false;
    for (int i = 0; i < 64; i++) {
        VkDeviceMemory memory = allocate(&d, HOST, 1024 * GIB);
        void* data;
        EXPECT_SUCCESS(d.vkMapMemory(d.device, memory, 0, VK_WHOLE_SIZE, 0, &data));
        first = i == 0 ? (uintptr_t)data : first;
        assert_true((uintptr_t)data >= first);
        wrapped = wrapped || (i != 0 && (uintptr_t)data == first);
        release(&d, memory);
    }
    assert_true(wrapped);
    close_device(&d);
}

static void test_map_without_host_memory(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    profile.memory.memoryHeaps[1].size = UINT64_MAX;
    profile.maxMemoryAllocationSize = UINT64_MAX;
    options.backing = true;
    Device d = open_device(&profile, &options);
    static const VkDeviceSize sizes[] = {(VkDeviceSize)1 << 60, UINT64_MAX - 4096};
    for (int i = 0; i < 2; i++) {
        VkDeviceMemory memory = allocate(&d, HOST, sizes[i]);
        void* data;
        assert_int_equal(d.vkMapMemory(d.device, memory, 0, VK_WHOLE_SIZE, 0, &data),
                         VK_ERROR_MEMORY_MAP_FAILED);
        EXPECT_ERROR(&d, "is not mapped", d.vkUnmapMemory(d.device, memory));
        VkBuffer buffer = plain_buffer(&d, 64);
        VkBufferCopy region = {0, 32, 32};
        EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, buffer, memory, 0));
        EXPECT_ERROR(&d, "the host has no memory",
                     d.vkCmdCopyBuffer(sim_command_buffer(d.sim), buffer, buffer, 1, &region));
        destroy_buffer(&d, buffer);
        release(&d, memory);
    }
    close_device(&d);
}

static void test_backing_keeps_bytes(void** state) {
    (void)state;
    Profiles all = load_profiles();
    SimProfile profile =
        *pick(&all, "honeykrisp_or_kosmickrisp_apple_m5"); /* map alignment 16 KiB */
    sim_free_profiles(all.list);
    SimOptions options = sim_default_options();
    options.backing = true;
    for (int checks = 0; checks < 2; checks++) {
        options.checks = checks != 0;
        Device d = open_device(&profile, &options);
        VkCommandBuffer commands = sim_command_buffer(d.sim);
        VkDeviceMemory memory = allocate(&d, 0, 64 * KIB);
        VkDeviceMemory other = allocate(&d, 0, 2 * GIB); /* costs what is touched */
        VkBuffer source = plain_buffer(&d, 1000);
        VkBuffer target = plain_buffer(&d, 1000);
        EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, source, memory, 256));
        EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, target, other, GIB));
        unsigned char* bytes;
        void* data;
        EXPECT_SUCCESS(d.vkMapMemory(d.device, memory, 0, VK_WHOLE_SIZE, 0, &data));
        assert_true((uintptr_t)data % 16384 == 0);
        bytes = (unsigned char*)data;
        for (int i = 0; i < 1000; i++) {
            bytes[256 + i] = (unsigned char)(i * 7);
        }
        d.vkUnmapMemory(d.device, memory);
        VkBufferCopy regions[2] = {
            {0,   500, 100},
            {100, 0,   500}
        };
        d.vkCmdCopyBuffer(commands, source, target, 2, regions);
        EXPECT_SUCCESS(d.vkMapMemory(d.device, other, GIB, 1000, 0, &data));
        bytes = (unsigned char*)data;
        for (int i = 0; i < 500; i++) {
            assert_int_equal(bytes[i], (unsigned char)((i + 100) * 7));
        }
        for (int i = 500; i < 1000; i++) {
            assert_int_equal(bytes[i], i < 600 ? (unsigned char)((i - 500) * 7) : 0);
        }
        EXPECT_SUCCESS(d.vkMapMemory(d.device, memory, 256, VK_WHOLE_SIZE, 0, &data));
        assert_int_equal(((unsigned char*)data)[999],
                         (unsigned char)(999 * 7)); /* kept while unmapped */
        destroy_buffer(&d, source);
        destroy_buffer(&d, target);
        release(&d, memory);
        release(&d, other);
        close_device(&d);
    }
}

static void test_copy_checks(void** state) {
    (void)state;
    Device d = open_discrete();
    VkCommandBuffer commands = sim_command_buffer(d.sim);
    VkDeviceMemory memory = allocate(&d, HOST, 4096);
    VkBuffer a = make_buffer(&d, 64, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
    VkBuffer b = make_buffer(&d, 64, VK_BUFFER_USAGE_TRANSFER_DST_BIT);
    VkBufferCopy region = {0, 0, 64};
    EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, a, memory, 0));
    EXPECT_ERROR(&d, "destination: the buffer is not bound",
                 d.vkCmdCopyBuffer(commands, a, b, 1, &region));
    EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, b, memory, 64));
    d.vkCmdCopyBuffer(commands, a, b, 1, &region);
    VkBufferCopy long_region = {32, 0, 33};
    EXPECT_ERROR(&d, "leaves a buffer", d.vkCmdCopyBuffer(commands, a, b, 1, &long_region));
    VkBuffer c = make_buffer(&d, 64, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
    EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, c, memory, 128));
    EXPECT_ERROR(&d, "destination: the buffer has no TRANSFER",
                 d.vkCmdCopyBuffer(commands, a, c, 1, &region));
    destroy_buffer(&d, a);
    EXPECT_ERROR(&d, "source: no live object", d.vkCmdCopyBuffer(commands, a, b, 1, &region));
    destroy_buffer(&d, b);
    destroy_buffer(&d, c);
    release(&d, memory);
    close_device(&d);
}

/*  All of an image, from the layouts that are for it, and not before it is executed. */
static void test_image_copies(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    options.backing = true;
    Device d = open_device(&profile, &options);
    VkCommandBuffer commands = sim_command_buffer(d.sim);
    VkImageCreateInfo info =
        image_info(VK_FORMAT_R8G8B8A8_UNORM, 16, 16,
                   VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT);
    info.tiling = VK_IMAGE_TILING_LINEAR;
    VkDeviceMemory memory = allocate(&d, HOST, 64 * KIB);
    VkImage a = make_image(&d, &info);
    VkImage b = make_image(&d, &info);
    EXPECT_SUCCESS(d.vkBindImageMemory(d.device, a, memory, 0));
    EXPECT_SUCCESS(d.vkBindImageMemory(d.device, b, memory, 32 * KIB));
    void* data;
    EXPECT_SUCCESS(d.vkMapMemory(d.device, memory, 0, VK_WHOLE_SIZE, 0, &data));
    memset(data, 0x5A, 1024);
    VkImageCopy region = {.srcSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
                          .dstSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
                          .extent = {16, 16, 1}};
    const VkImageLayout from = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    const VkImageLayout to = VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
    sim_defer_copies(d.sim, true);
    EXPECT_ERROR(&d, "layout for a copy",
                 d.vkCmdCopyImage(commands, a, from, b, to, 1, &region));
    VkImageMemoryBarrier barriers[2] = {
        {.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
         .newLayout = from,
         .image = a,
         .subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1}},
        {.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
         .newLayout = to,
         .image = b,
         .subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1}},
    };
    const VkPipelineStageFlags all = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    d.vkCmdPipelineBarrier(commands, all, all, 0, 0, NULL, 0, NULL, 2, barriers);
    barriers[0].oldLayout = VK_IMAGE_LAYOUT_GENERAL;
    EXPECT_ERROR(&d, "is in layout",
                 d.vkCmdPipelineBarrier(commands, all, all, 0, 0, NULL, 0, NULL, 1, barriers));
    region.extent.width = 8;
    EXPECT_ERROR(&d, "not all of both", d.vkCmdCopyImage(commands, a, from, b, to, 1, &region));
    region.extent.width = 16;
    d.vkCmdCopyImage(commands, a, from, b, to, 1, &region);
    assert_int_equal(((unsigned char*)data)[32 * KIB], 0);
    sim_execute_copies(d.sim);
    assert_int_equal(((unsigned char*)data)[32 * KIB], 0x5A);
    assert_int_equal(((unsigned char*)data)[32 * KIB + 1023], 0x5A);
    d.vkCmdCopyImage(commands, a, from, b, to, 1, &region);
    destroy_image(&d, a);
    EXPECT_ERROR(&d, "source: no live object", sim_execute_copies(d.sim));
    destroy_image(&d, b);
    d.vkUnmapMemory(d.device, memory);
    release(&d, memory);
    close_device(&d);
}

static void test_names(void** state) {
    (void)state;
    Device d = open_discrete();
    VkDeviceMemory memory = allocate(&d, LOCAL, 4096);
    VkDebugUtilsObjectNameInfoEXT info = {VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT, NULL,
                                          VK_OBJECT_TYPE_DEVICE_MEMORY, SIM_HANDLE(memory),
                                          "block 1"};
    assert_string_equal(sim_object_name(d.sim, SIM_HANDLE(memory)), "");
    EXPECT_SUCCESS(d.vkSetDebugUtilsObjectNameEXT(d.device, &info));
    assert_string_equal(sim_object_name(d.sim, SIM_HANDLE(memory)), "block 1");
    info.pObjectName = NULL;
    EXPECT_SUCCESS(d.vkSetDebugUtilsObjectNameEXT(d.device, &info));
    assert_string_equal(sim_object_name(d.sim, SIM_HANDLE(memory)), "");
    info.objectType = VK_OBJECT_TYPE_BUFFER;
    EXPECT_INVALID(&d, "no live object", d.vkSetDebugUtilsObjectNameEXT(d.device, &info));
    release(&d, memory);
    assert_string_equal(sim_object_name(d.sim, SIM_HANDLE(memory)), "");
    close_device(&d);
}

/* ------------------------------------------------------------------ errors, calls, faults */

static void test_error_text(void** state) {
    (void)state;
    Device d = open_discrete();
    assert_string_equal(sim_last_error(d.sim), "");
    sim_quiet(d.sim, true);
    d.vkUnmapMemory(d.device, VK_NULL_HANDLE);
    assert_int_equal(sim_errors(d.sim), 1);
    assert_non_null(strstr(sim_last_error(d.sim), "vkUnmapMemory: no live memory"));
    sim_clear_errors(d.sim);
    assert_int_equal(sim_errors(d.sim), 0);
    assert_string_equal(sim_last_error(d.sim), "");
    close_device(&d);

    /* Without checks the same call is no error, and does no harm. */
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    options.checks = false;
    d = open_device(&profile, &options);
    VkDeviceMemory memory = allocate(&d, LOCAL, 64);
    release(&d, memory);
    release(&d, memory);
    d.vkUnmapMemory(d.device, memory);
    close_device(&d);
}

/* What the statements print on stderr. */
static FILE* begin_capture(int* pStderr) {
    FILE* file = tmpfile();
    assert_non_null(file);
    (void)fflush(stderr);
    *pStderr = dup(STDERR_FILENO);
    assert_true(*pStderr >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    return file;
}

static void end_capture(FILE* file, int saved, char* text, size_t size) {
    (void)fflush(stderr);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    (void)fclose(file);
}

static void test_errors_and_leaks_are_printed(void** state) {
    (void)state;
    char text[4096];
    int saved;
    Device d = open_discrete();
    VkDeviceMemory memory = allocate(&d, LOCAL, 64);
    VkDebugUtilsObjectNameInfoEXT name = {VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT, NULL,
                                          VK_OBJECT_TYPE_DEVICE_MEMORY, SIM_HANDLE(memory),
                                          "shadow map"};
    EXPECT_SUCCESS(d.vkSetDebugUtilsObjectNameEXT(d.device, &name));
    FILE* file = begin_capture(&saved);
    d.vkUnmapMemory(d.device, memory);
    sim_quiet(d.sim, true);
    d.vkUnmapMemory(d.device, memory);
    sim_quiet(d.sim, false);
    uint64_t leaks = sim_destroy(d.sim);
    end_capture(file, saved, text, sizeof text);
    assert_int_equal(leaks, 1);
    assert_non_null(strstr(text, SIM_ERROR_PREFIX "vkUnmapMemory: the memory is not mapped\n"));
    assert_null(strstr(strstr(text, "vkUnmapMemory") + 1, "vkUnmapMemory")); /* once */
    assert_non_null(strstr(text, "leaked memory"));
    assert_non_null(strstr(text, "\"shadow map\""));
}

static void test_calls_are_counted(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    for (int checks = 0; checks < 2; checks++) {
        options.checks = checks != 0;
        Device d = open_device(&profile, &options);
        assert_true(sim_calls(d.sim, SIM_CALL_GET_DEVICE_PROC_ADDR) > 20);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_ANY), 0); /* look-ups are not in the sum */
        VkBuffer buffer = plain_buffer(&d, 64);
        VkMemoryRequirements needs;
        d.vkGetBufferMemoryRequirements(d.device, buffer, &needs);
        VkDeviceMemory memory = allocate(&d, HOST, 4096);
        EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, buffer, memory, 0));
        destroy_buffer(&d, buffer);
        release(&d, memory);
        release(&d, VK_NULL_HANDLE); /* a call is a call */
        assert_int_equal(sim_calls(d.sim, SIM_CALL_CREATE_BUFFER), 1);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_GET_BUFFER_MEMORY_REQUIREMENTS), 1);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_ALLOCATE_MEMORY), 1);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_BIND_BUFFER_MEMORY), 1);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_DESTROY_BUFFER), 1);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_FREE_MEMORY), 2);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_MAP_MEMORY), 0);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_ANY), 7);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_ANY_FAILABLE), 3);
        sim_reset_calls(d.sim);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_ANY), 0);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_GET_DEVICE_PROC_ADDR), 0);
        close_device(&d);
    }
    assert_string_equal(sim_call_name(SIM_CALL_ALLOCATE_MEMORY), "vkAllocateMemory");
    assert_string_equal(sim_call_name(SIM_CALL_CMD_COPY_BUFFER), "vkCmdCopyBuffer");
    assert_string_equal(sim_call_name(SIM_CALL_ANY), "any");
    assert_true(sim_call_is_failable(SIM_CALL_ANY_FAILABLE));
    assert_false(sim_call_is_failable(SIM_CALL_ANY));
    assert_false(sim_call_is_failable(SIM_CALL_FREE_MEMORY));
}

static void test_live_and_peak(void** state) {
    (void)state;
    Device d = open_discrete();
    VkDeviceMemory a = allocate(&d, LOCAL, MIB);
    VkDeviceMemory b = allocate(&d, HOST, 2 * MIB);
    VkDeviceMemory c = allocate(&d, CACHED, 4 * MIB);
    release(&d, b);
    assert_int_equal(sim_live_memory_count(d.sim), 2);
    assert_int_equal(sim_peak_memory_count(d.sim), 3);
    assert_int_equal(sim_live_memory_bytes(d.sim, 0), MIB);
    assert_int_equal(sim_live_memory_bytes(d.sim, 1), 4 * MIB);
    assert_int_equal(sim_peak_memory_bytes(d.sim, 1), 6 * MIB);
    assert_int_equal(sim_live_memory_total(d.sim), 5 * MIB);
    assert_int_equal(sim_peak_memory_total(d.sim), 7 * MIB);
    sim_reset_peaks(d.sim);
    assert_int_equal(sim_peak_memory_count(d.sim), 2);
    assert_int_equal(sim_peak_memory_bytes(d.sim, 1), 4 * MIB);
    assert_int_equal(sim_peak_memory_total(d.sim), 5 * MIB);
    release(&d, a);
    release(&d, c);
    assert_int_equal(sim_live_memory_total(d.sim), 0);
    close_device(&d);
}

static void test_nth_call_fails(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    for (int checks = 0; checks < 2; checks++) {
        options.checks = checks != 0;
        Device d = open_device(&profile, &options);
        VkDeviceMemory memory;
        assert_true(sim_fail(d.sim, SIM_CALL_ALLOCATE_MEMORY, 3, 2, VK_ERROR_OUT_OF_HOST_MEMORY));
        for (int call = 1; call <= 6; call++) {
            bool fails = call == 3 || call == 4;
            assert_int_equal(try_allocate(&d, LOCAL, 1024, NULL, &memory),
                             fails ? VK_ERROR_OUT_OF_HOST_MEMORY : VK_SUCCESS);
            assert_true(fails == (memory == VK_NULL_HANDLE));
            release(&d, memory);
        }
        assert_int_equal(sim_faults_fired(d.sim), 2);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_ALLOCATE_MEMORY), 6);

        /* For ever, until cleared; other calls are not touched. */
        VkBuffer buffer;
        VkBufferCreateInfo info = buffer_info(64, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
        assert_true(
            sim_fail(d.sim, SIM_CALL_CREATE_BUFFER, 1, UINT32_MAX, VK_ERROR_OUT_OF_DEVICE_MEMORY));
        for (int i = 0; i < 10; i++) {
            assert_int_equal(d.vkCreateBuffer(d.device, &info, NULL, &buffer),
                             VK_ERROR_OUT_OF_DEVICE_MEMORY);
            assert_true(buffer == VK_NULL_HANDLE);
            release(&d, allocate(&d, LOCAL, 1024));
        }
        sim_clear_faults(d.sim);
        EXPECT_SUCCESS(d.vkCreateBuffer(d.device, &info, NULL, &buffer));

        /* Any: the second failable call from now, whichever it is. */
        assert_true(sim_fail(d.sim, SIM_CALL_ANY_FAILABLE, 2, 1, VK_ERROR_DEVICE_LOST));
        memory = allocate(&d, LOCAL, 1024);
        VkMemoryRequirements needs;
        d.vkGetBufferMemoryRequirements(d.device, buffer, &needs); /* does not count */
        assert_int_equal(d.vkBindBufferMemory(d.device, buffer, memory, 0), VK_ERROR_DEVICE_LOST);
        EXPECT_SUCCESS(d.vkBindBufferMemory(d.device, buffer, memory, 0));
        destroy_buffer(&d, buffer);
        release(&d, memory);

        assert_false(sim_fail(d.sim, SIM_CALL_FREE_MEMORY, 1, 1, VK_ERROR_UNKNOWN));
        assert_false(sim_fail(d.sim, SIM_CALL_MAP_MEMORY, 0, 1, VK_ERROR_UNKNOWN));
        assert_false(sim_fail(d.sim, SIM_CALL_MAP_MEMORY, 1, 0, VK_ERROR_UNKNOWN));
        for (int i = 0; i < 16; i++) {
            assert_true(sim_fail(d.sim, SIM_CALL_MAP_MEMORY, 1000, 1, VK_ERROR_UNKNOWN));
        }
        assert_false(sim_fail(d.sim, SIM_CALL_MAP_MEMORY, 1, 1, VK_ERROR_UNKNOWN));
        close_device(&d);
    }
}

/* Each failable call, made to fail, fails and changes nothing. */
static void test_every_failable_call_fails(void** state) {
    (void)state;
    Device d = open_discrete();
    VkDeviceMemory memory = allocate(&d, HOST, 4096);
    VkBuffer buffer = plain_buffer(&d, 64);
    VkDeviceMemory local = allocate(&d, LOCAL, 4096);
    VkImage image = small_image(&d);
    VkBindBufferMemoryInfo bind_buffer = {VK_STRUCTURE_TYPE_BIND_BUFFER_MEMORY_INFO, NULL, buffer,
                                          memory, 0};
    VkBindImageMemoryInfo bind_image = {VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_INFO, NULL, image,
                                        local, 0};
    VkMappedMemoryRange range = {VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE, NULL, memory, 0,
                                 VK_WHOLE_SIZE};
    VkDebugUtilsObjectNameInfoEXT name = {VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT, NULL,
                                          VK_OBJECT_TYPE_BUFFER, SIM_HANDLE(buffer), "b"};
    VkImageCreateInfo info = image_info(VK_FORMAT_R8_UNORM, 4, 4, VK_IMAGE_USAGE_SAMPLED_BIT);
    VkImage no_image;
    void* data;
    uint32_t count;
#define FAILS(id, call)                                                             \
    assert_true(sim_fail(d.sim, SIM_CALL_##id, 1, 1, VK_ERROR_OUT_OF_HOST_MEMORY)); \
    assert_int_equal(call, VK_ERROR_OUT_OF_HOST_MEMORY)
    FAILS(MAP_MEMORY, d.vkMapMemory(d.device, memory, 0, VK_WHOLE_SIZE, 0, &data));
    EXPECT_SUCCESS(d.vkMapMemory(d.device, memory, 0, VK_WHOLE_SIZE, 0, &data));
    FAILS(FLUSH_MAPPED_MEMORY_RANGES, d.vkFlushMappedMemoryRanges(d.device, 1, &range));
    FAILS(INVALIDATE_MAPPED_MEMORY_RANGES, d.vkInvalidateMappedMemoryRanges(d.device, 1, &range));
    FAILS(BIND_BUFFER_MEMORY, d.vkBindBufferMemory(d.device, buffer, memory, 0));
    FAILS(BIND_BUFFER_MEMORY2, d.vkBindBufferMemory2(d.device, 1, &bind_buffer));
    EXPECT_SUCCESS(d.vkBindBufferMemory2(d.device, 1, &bind_buffer));
    FAILS(BIND_IMAGE_MEMORY, d.vkBindImageMemory(d.device, image, local, 0));
    FAILS(BIND_IMAGE_MEMORY2, d.vkBindImageMemory2(d.device, 1, &bind_image));
    EXPECT_SUCCESS(d.vkBindImageMemory2(d.device, 1, &bind_image));
    FAILS(CREATE_IMAGE, d.vkCreateImage(d.device, &info, NULL, &no_image));
    assert_true(no_image == VK_NULL_HANDLE);
    FAILS(SET_DEBUG_UTILS_OBJECT_NAME, d.vkSetDebugUtilsObjectNameEXT(d.device, &name));
    FAILS(ENUMERATE_DEVICE_EXTENSION_PROPERTIES,
          d.vkEnumerateDeviceExtensionProperties(d.gpu, NULL, &count, NULL));
#undef FAILS
    destroy_buffer(&d, buffer);
    destroy_image(&d, image);
    release(&d, memory);
    release(&d, local);
    close_device(&d);
}

static void test_heaps_run_full(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    for (int checks = 0; checks < 2; checks++) {
        options.checks = checks != 0;
        Device d = open_device(&profile, &options);
        VkDeviceMemory big = allocate(&d, BAR, 200 * MIB);
        VkDeviceMemory memory;
        assert_int_equal(try_allocate(&d, BAR, 56 * MIB + 1, NULL, &memory),
                         VK_ERROR_OUT_OF_DEVICE_MEMORY);
        release(&d, allocate(&d, BAR, 56 * MIB));
        release(&d, allocate(&d, LOCAL, GIB)); /* another heap */
        sim_heap_limit(d.sim, 2, 201 * MIB);
        assert_int_equal(try_allocate(&d, BAR, 2 * MIB, NULL, &memory),
                         VK_ERROR_OUT_OF_DEVICE_MEMORY);
        release(&d, allocate(&d, BAR, MIB));
        sim_heap_limit(d.sim, 2, MIB); /* below what is live */
        assert_int_equal(try_allocate(&d, BAR, 1, NULL, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
        sim_fail_allocations_above(d.sim, 64 * KIB, VK_ERROR_OUT_OF_HOST_MEMORY);
        assert_int_equal(try_allocate(&d, LOCAL, 64 * KIB + 1, NULL, &memory),
                         VK_ERROR_OUT_OF_HOST_MEMORY);
        release(&d, allocate(&d, LOCAL, 64 * KIB));
        sim_clear_faults(d.sim);
        release(&d, allocate(&d, BAR, 56 * MIB));
        release(&d, big);
        assert_int_equal(sim_live_memory_total(d.sim), 0);
        close_device(&d);
    }
}

static void ask_budget(Device* d, VkPhysicalDeviceMemoryBudgetPropertiesEXT* pBudget) {
    VkPhysicalDeviceMemoryProperties2 properties;
    memset(&properties, 0, sizeof properties);
    memset(pBudget, 0xAB, sizeof *pBudget);
    pBudget->sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
    pBudget->pNext = NULL;
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
    properties.pNext = pBudget;
    d->vkGetPhysicalDeviceMemoryProperties2(d->gpu, &properties);
    assert_int_equal(properties.memoryProperties.memoryTypeCount,
                     sim_profile(d->sim)->memory.memoryTypeCount);
}

static void test_budget(void** state) {
    (void)state;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget;
    Device d = open_discrete();
    VkDeviceMemory memory = allocate(&d, LOCAL, MIB);
    ask_budget(&d, &budget);
    assert_true(budget.heapBudget[0] == 8 * GIB - 8 * GIB / 100);
    assert_true(budget.heapUsage[0] == MIB && budget.heapUsage[1] == 0);
    assert_true(budget.heapBudget[3] == 0 &&
                budget.heapUsage[15] == 0); /* heaps that are not there */
    sim_set_budget(d.sim, 0, UINT64_C(0xFFFFFFFFE5DD3000), 5 * MIB);
    ask_budget(&d, &budget);
    assert_true(budget.heapBudget[0] == UINT64_C(0xFFFFFFFFE5DD3000));
    assert_true(budget.heapUsage[0] == 6 * MIB);
    sim_set_budget(d.sim, 0, 0, UINT64_MAX - 1);
    ask_budget(&d, &budget);
    assert_true(budget.heapBudget[0] == 0 && budget.heapUsage[0] == UINT64_MAX);
    release(&d, memory);
    release(&d, allocate(&d, LOCAL, MIB)); /* a budget is advice */
    close_device(&d);

    Profiles all = load_profiles();
    d = open_device(pick(&all, "nvidia_h200_linux_r580"), NULL);
    memory = allocate(&d, 2, MIB);
    ask_budget(&d, &budget);
    assert_true(budget.heapBudget[0] == UINT64_C(150092709888) && budget.heapUsage[0] == 0);
    assert_true(budget.heapUsage[1] == 1601536 + MIB);
    release(&d, memory);
    close_device(&d);

    SimOptions options = sim_default_options();
    options.memoryBudget = false;
    d = open_device(pick(&all, "nvidia_h200_linux_r580"), &options);
    ask_budget(&d, &budget);
    assert_true(budget.heapBudget[0] == UINT64_C(0xABABABABABABABAB)); /* left as it was */
    close_device(&d);
    sim_free_profiles(all.list);
}

/* ------------------------------------------------------------------ hook and threads */

typedef struct HookState {
    Device* device;
    uint32_t seen[SIM_CALL_COUNT];
    bool inside;
} HookState;

/* Calls the driver and asks the sim from inside: neither may hang. */
static void nested_hook(void* pUser, SimCall call) {
    HookState* hook = (HookState*)pUser;
    hook->seen[call]++;
    if (!hook->inside) {
        hook->inside = true;
        release(hook->device, allocate(hook->device, LOCAL, 64));
        (void)sim_live_memory_count(hook->device->sim);
        hook->inside = false;
    }
}

static void test_call_hook(void** state) {
    (void)state;
    Device d = open_discrete();
    HookState hook;
    memset(&hook, 0, sizeof hook);
    hook.device = &d;
    sim_set_call_hook(d.sim, nested_hook, &hook);
    VkDeviceMemory memory = allocate(&d, HOST, 4096);
    void* data;
    EXPECT_SUCCESS(d.vkMapMemory(d.device, memory, 0, VK_WHOLE_SIZE, 0, &data));
    d.vkUnmapMemory(d.device, memory);
    release(&d, memory);
    VkBuffer buffer = plain_buffer(&d, 64);
    destroy_buffer(&d, buffer);
    sim_set_call_hook(d.sim, NULL, NULL);
    (void)device_proc(d.sim, "vkFreeMemory");
    assert_int_equal(hook.seen[SIM_CALL_MAP_MEMORY], 1);
    assert_int_equal(hook.seen[SIM_CALL_ALLOCATE_MEMORY], 1 + 6);
    assert_int_equal(hook.seen[SIM_CALL_FREE_MEMORY], 1 + 6);
    assert_int_equal(hook.seen[SIM_CALL_GET_DEVICE_PROC_ADDR], 0);
    close_device(&d);
}

typedef struct Meeting {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    SimCall stopped_call; /* the first call of this kind waits in the hook for `go` */
    bool stopped;
    bool go;
    Device* device;
    VkDeviceMemory memory;
} Meeting;

static void meeting_hook(void* pUser, SimCall call) {
    Meeting* meeting = (Meeting*)pUser;
    (void)pthread_mutex_lock(&meeting->mutex);
    if (call == meeting->stopped_call && !meeting->stopped) {
        meeting->stopped = true;
        (void)pthread_cond_broadcast(&meeting->changed);
        while (!meeting->go) {
            (void)pthread_cond_wait(&meeting->changed, &meeting->mutex);
        }
    }
    (void)pthread_mutex_unlock(&meeting->mutex);
}

static void* map_thread(void* argument) {
    Meeting* meeting = (Meeting*)argument;
    void* data;
    (void)meeting->device->vkMapMemory(meeting->device->device, meeting->memory, 0, VK_WHOLE_SIZE,
                                       0, &data);
    return NULL;
}

/* One thread is stopped inside vkMapMemory; what this one may and may not do meanwhile. */
static void test_external_synchronisation(void** state) {
    (void)state;
    Device d = open_discrete();
    Meeting meeting;
    memset(&meeting, 0, sizeof meeting);
    (void)pthread_mutex_init(&meeting.mutex, NULL);
    (void)pthread_cond_init(&meeting.changed, NULL);
    meeting.stopped_call = SIM_CALL_MAP_MEMORY;
    meeting.device = &d;
    meeting.memory = allocate(&d, HOST, 4096);
    VkDeviceMemory other = allocate(&d, HOST, 4096);
    sim_set_call_hook(d.sim, meeting_hook, &meeting);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, map_thread, &meeting), 0);
    (void)pthread_mutex_lock(&meeting.mutex);
    while (!meeting.stopped) {
        (void)pthread_cond_wait(&meeting.changed, &meeting.mutex);
    }
    (void)pthread_mutex_unlock(&meeting.mutex);

    void* data;
    EXPECT_SUCCESS(d.vkMapMemory(d.device, other, 0, VK_WHOLE_SIZE, 0,
                                 &data)); /* another memory is free to use */
    d.vkUnmapMemory(d.device, other);
    EXPECT_ERROR(
        &d, "another thread is inside",
        EXPECT_SUCCESS(d.vkMapMemory(d.device, meeting.memory, 0, VK_WHOLE_SIZE, 0, &data)));
    EXPECT_ERROR(&d, "another thread is inside", d.vkUnmapMemory(d.device, meeting.memory));
    EXPECT_ERROR(&d, "another thread is inside", release(&d, meeting.memory));

    /* The memory is gone under the thread, which must find out and live. */
    (void)pthread_mutex_lock(&meeting.mutex);
    meeting.go = true;
    (void)pthread_cond_broadcast(&meeting.changed);
    (void)pthread_mutex_unlock(&meeting.mutex);
    sim_quiet(d.sim, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    d.expected++;
    assert_non_null(strstr(sim_last_error(d.sim), "vkMapMemory: no live memory"));
    sim_set_call_hook(d.sim, NULL, NULL);
    release(&d, other);
    (void)pthread_cond_destroy(&meeting.changed);
    (void)pthread_mutex_destroy(&meeting.mutex);
    close_device(&d);
}

enum { THREADS = 4, ROUNDS = 2000 };

typedef struct Worker {
    Device* device;
    uint32_t failures;
} Worker;

static void* churn_thread(void* argument) {
    Worker* worker = (Worker*)argument;
    Device* d = worker->device;
    VkMemoryAllocateInfo allocation = memory_info(HOST, 64 * KIB);
    VkBufferCreateInfo info = buffer_info(1000, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    for (int i = 0; i < ROUNDS; i++) {
        VkDeviceMemory memory;
        VkBuffer buffer;
        VkMemoryRequirements needs;
        void* data;
        if (d->vkAllocateMemory(d->device, &allocation, NULL, &memory) != VK_SUCCESS) {
            worker->failures++;
            continue;
        }
        (void)d->vkCreateBuffer(d->device, &info, NULL, &buffer);
        d->vkGetBufferMemoryRequirements(d->device, buffer, &needs);
        (void)d->vkBindBufferMemory(d->device, buffer, memory, needs.alignment);
        (void)d->vkMapMemory(d->device, memory, 0, VK_WHOLE_SIZE, 0, &data);
        d->vkUnmapMemory(d->device, memory);
        d->vkDestroyBuffer(d->device, buffer, NULL);
        d->vkFreeMemory(d->device, memory, NULL);
    }
    return NULL;
}

static void test_threads(void** state) {
    (void)state;
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    for (int checks = 0; checks < 2; checks++) {
        options.checks = checks != 0;
        Device d = open_device(&profile, &options);
        sim_reset_calls(d.sim);
        assert_true(sim_fail(d.sim, SIM_CALL_ALLOCATE_MEMORY, 100, 7, VK_ERROR_OUT_OF_HOST_MEMORY));
        pthread_t threads[THREADS];
        Worker workers[THREADS];
        uint32_t failures = 0;
        for (int i = 0; i < THREADS; i++) {
            workers[i].device = &d;
            workers[i].failures = 0;
            assert_int_equal(pthread_create(&threads[i], NULL, churn_thread, &workers[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            failures += workers[i].failures;
        }
        assert_int_equal(failures, 7);
        assert_int_equal(sim_faults_fired(d.sim), 7);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_ALLOCATE_MEMORY), THREADS * ROUNDS);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_DESTROY_BUFFER), THREADS * ROUNDS - 7);
        assert_int_equal(sim_calls(d.sim, SIM_CALL_UNMAP_MEMORY), THREADS * ROUNDS - 7);
        assert_int_equal(sim_live_memory_total(d.sim), 0);
        assert_true(sim_peak_memory_count(d.sim) <= THREADS);
        close_device(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_profiles_load),
        cmocka_unit_test(test_spot_values),
        cmocka_unit_test(test_malformed_profiles_are_refused),
        cmocka_unit_test(test_memory_type_bits),
        cmocka_unit_test(test_sizes_and_alignments),
        cmocka_unit_test(test_dedicated_requirements),
        cmocka_unit_test(test_requirements_hook),
        cmocka_unit_test(test_property_chains),
        cmocka_unit_test(test_plain_queries),
        cmocka_unit_test(test_features_and_extensions),
        cmocka_unit_test(test_proc_addresses),
        cmocka_unit_test(test_allocate_checks),
        cmocka_unit_test(test_feature_checks),
        cmocka_unit_test(test_priority),
        cmocka_unit_test(test_dedicated_checks),
        cmocka_unit_test(test_allocate_chain_is_remembered),
        cmocka_unit_test(test_stale_handles),
        cmocka_unit_test(test_sims_do_not_know_each_other),
        cmocka_unit_test(test_allocation_callbacks_match),
        cmocka_unit_test(test_leaks_are_counted),
        cmocka_unit_test(test_create_checks),
        cmocka_unit_test(test_bind_checks),
        cmocka_unit_test(test_device_address),
        cmocka_unit_test(test_bind2),
        cmocka_unit_test(test_disjoint_images),
        cmocka_unit_test(test_granularity),
        cmocka_unit_test(test_aliasing),
        cmocka_unit_test(test_neighbours_against_a_list),
        cmocka_unit_test(test_map_checks),
        cmocka_unit_test(test_flush_checks),
        cmocka_unit_test(test_addresses_without_backing),
        cmocka_unit_test(test_addresses_wrap),
        cmocka_unit_test(test_map_without_host_memory),
        cmocka_unit_test(test_backing_keeps_bytes),
        cmocka_unit_test(test_copy_checks),
        cmocka_unit_test(test_image_copies),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_error_text),
        cmocka_unit_test(test_errors_and_leaks_are_printed),
        cmocka_unit_test(test_calls_are_counted),
        cmocka_unit_test(test_live_and_peak),
        cmocka_unit_test(test_nth_call_fails),
        cmocka_unit_test(test_every_failable_call_fails),
        cmocka_unit_test(test_heaps_run_full),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_call_hook),
        cmocka_unit_test(test_external_synchronisation),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
