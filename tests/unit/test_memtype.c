/*  test_memtype.c - which memory type a request gets, on every GPU of gpu_profiles.json.

    The table says what each of 53 devices should do, worked out from its heaps and flags by the
    rules of >>memtype; random wishes then hold those rules on any mixture of masks; the named cases
    are reports from users of other allocators. Run by CTest (unit.memtype), or by hand without
    arguments.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "testing.h"

#define MIB          ((VkDeviceSize)1 << 20)
#define LOCAL        ((VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT)
#define VISIBLE      ((VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT)
#define COHERENT     ((VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)
#define CACHED       ((VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_HOST_CACHED_BIT)
#define LAZY         ((VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT)
#define PROTECTED    ((VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_PROTECTED_BIT)
#define AMD_COHERENT ((VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD)
#define AMD_UNCACHED ((VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD)
#define AMD          (AMD_COHERENT | AMD_UNCACHED)
#define RDMA         ((VkMemoryPropertyFlags)0x100)
#define SPECIAL      (LAZY | PROTECTED | AMD | RDMA)

#define WRITE        ((VkFlags)SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT)
#define RANDOM       ((VkFlags)SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT)
#define TRANSFER     ((VkFlags)SXVK_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT)

static SimProfile* profiles;
static uint32_t profile_count;

static int load_profiles(void** state) {
    (void)state;
    return sim_load_profiles(TESTING_PROFILES, &profiles, &profile_count) ? 0 : -1;
}

static int free_profiles(void** state) {
    (void)state;
    sim_free_profiles(profiles);
    return 0;
}

static Rig* open_rig(const char* name, SxvkAllocatorCreateFlags flags) {
    RigOptions options = rig_options();
    options.profile = sim_find_profile(profiles, profile_count, name);
    assert_non_null(options.profile);
    options.info.flags = flags;
    options.sim.deviceCoherentMemory =
        (flags & SXVK_ALLOCATOR_CREATE_AMD_DEVICE_COHERENT_MEMORY_BIT) != 0;
    return rig_create(&options);
}

/* ------------------------------------------------------------------ questions */

typedef enum Kind { BUFFER, LINEAR, OPTIMAL } Kind;

typedef struct Question {
    const char* name;
    SxvkMemoryUsage usage;
    SxvkAllocationCreateFlags flags;
    VkMemoryPropertyFlags required;
    VkBufferUsageFlags buffer;
    VkImageUsageFlags image;
} Question;

#define AUTO          SXVK_MEMORY_USAGE_AUTO
#define PREFER_DEVICE SXVK_MEMORY_USAGE_AUTO_PREFER_DEVICE
#define PREFER_HOST   SXVK_MEMORY_USAGE_AUTO_PREFER_HOST
#define UNKNOWN       SXVK_MEMORY_USAGE_UNKNOWN
#define LAZILY        SXVK_MEMORY_USAGE_GPU_LAZILY_ALLOCATED

#define MESH          (VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT)
#define TEXTURE       (VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT)
#define BUFFER_SRC    VK_BUFFER_USAGE_TRANSFER_SRC_BIT
#define BUFFER_DST    VK_BUFFER_USAGE_TRANSFER_DST_BIT
#define UNIFORM_DATA  VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT
#define IMAGE_SRC     VK_IMAGE_USAGE_TRANSFER_SRC_BIT
#define IMAGE_DST     VK_IMAGE_USAGE_TRANSFER_DST_BIT
#define TARGET_DATA   VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT
#define TRANSIENT     (TARGET_DATA | VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT)

/* clang-format off */

/*  Of buffers and of linear images: the columns of Row::linear. */
enum { DEVICE, STAGING, UNIFORM, READBACK, UPLOAD, HOST, MAPPABLE, LINEAR_COUNT };
static const Question linear_questions[LINEAR_COUNT] = {
    {"device",      AUTO,        0,                0,       MESH,         TEXTURE},
    {"staging",     AUTO,        WRITE,            0,       BUFFER_SRC,   IMAGE_SRC},
    {"uniform",     AUTO,        WRITE,            0,       UNIFORM_DATA, TEXTURE},
    {"readback",    AUTO,        RANDOM,           0,       BUFFER_DST,   IMAGE_DST},
    {"big upload",  AUTO,        WRITE | TRANSFER, 0,       MESH,         TEXTURE},
    {"prefer host", PREFER_HOST, 0,                0,       MESH,         TEXTURE},
    {"mappable",    UNKNOWN,     0,                VISIBLE, MESH,         TEXTURE},
};

/*  Of optimal images: the columns of Row::optimal. */
enum { SAMPLED, TARGET, TILE, OPTIMAL_HOST, TILE_LAZY, OPTIMAL_MAPPABLE, OPTIMAL_COUNT };
static const Question optimal_questions[OPTIMAL_COUNT] = {
    {"sampled",     AUTO,          0, 0,       0, TEXTURE},
    {"target",      PREFER_DEVICE, 0, 0,       0, TARGET_DATA},
    {"transient",   AUTO,          0, 0,       0, TRANSIENT},
    {"prefer host", PREFER_HOST,   0, 0,       0, TEXTURE},
    {"lazy",        LAZILY,        0, 0,       0, TRANSIENT},
    {"mappable",    UNKNOWN,       0, VISIBLE, 0, TEXTURE},
};

/* clang-format on */

static uint32_t question_count(Kind kind) {
    return kind == OPTIMAL ? OPTIMAL_COUNT : LINEAR_COUNT;
}

/*  A question as the structs that the allocator takes. */
typedef struct Ask {
    const char* name;
    Kind kind;
    SxvkAllocationCreateInfo info;
    VkBufferCreateInfo buffer;
    VkImageCreateInfo image;
} Ask;

static Ask ask_of(Kind kind, uint32_t index) {
    const Question* question =
        kind == OPTIMAL ? &optimal_questions[index] : &linear_questions[index];
    Ask ask = {
        .name = question->name,
        .kind = kind,
        .info = {.usage = question->usage,
                 .flags = question->flags,
                 .requiredFlags = question->required},
        .buffer = testing_buffer(65536, question->buffer),
        .image = testing_image(64, 64,
                               kind == LINEAR ? VK_IMAGE_TILING_LINEAR : VK_IMAGE_TILING_OPTIMAL),
    };
    ask.image.usage = question->image;
    return ask;
}

/*  As the device says for the resource, by the query of Vulkan 1.3. */
static uint32_t type_bits(Rig* rig, const Ask* ask) {
    PFN_vkGetDeviceProcAddr get = sim_get_device_proc_addr();
    VkDevice device = sim_device(rig->sim);
    VkMemoryRequirements2 requirements = {.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2};
    if (ask->kind == BUFFER) {
        VkDeviceBufferMemoryRequirements info = {
            .sType = VK_STRUCTURE_TYPE_DEVICE_BUFFER_MEMORY_REQUIREMENTS,
            .pCreateInfo = &ask->buffer};
        PFN_vkGetDeviceBufferMemoryRequirements requirements_of =
            (PFN_vkGetDeviceBufferMemoryRequirements)get(device,
                                                         "vkGetDeviceBufferMemoryRequirements");
        requirements_of(device, &info, &requirements);
    } else {
        VkDeviceImageMemoryRequirements info = {
            .sType = VK_STRUCTURE_TYPE_DEVICE_IMAGE_MEMORY_REQUIREMENTS,
            .pCreateInfo = &ask->image};
        PFN_vkGetDeviceImageMemoryRequirements requirements_of =
            (PFN_vkGetDeviceImageMemoryRequirements)get(device,
                                                        "vkGetDeviceImageMemoryRequirements");
        requirements_of(device, &info, &requirements);
    }
    return requirements.memoryRequirements.memoryTypeBits;
}

static void purpose_of(const Ask* ask, sxvki_purpose* purpose) {
    if (ask->kind == BUFFER) {
        sxvki_purpose_of_buffer(purpose, &ask->buffer);
    } else {
        sxvki_purpose_of_image(purpose, &ask->image);
    }
}

static void model_of(const SimProfile* profile, int amd_coherent, sxvki_memory_model* model) {
    sxvki_memory_model_init(model, &profile->memory, profile->deviceType, amd_coherent);
}

/*  A question for the pure functions, which know the device as a list of numbers only. */
static void wish_of(const SimProfile* profile, uint32_t bits, const Ask* ask,
                    sxvki_memory_model* model, sxvki_wish* wish) {
    sxvki_purpose purpose;
    model_of(profile, 0, model);
    purpose_of(ask, &purpose);
    sxvki_wish_init(wish, model, bits, &ask->info, &purpose);
}

static uint32_t pure_answer(const SimProfile* profile, uint32_t bits, const Ask* ask) {
    sxvki_memory_model model;
    sxvki_wish wish;
    wish_of(profile, bits, ask, &model, &wish);
    return sxvki_memory_type_best(&model, &wish);
}

static VkResult find_type(Rig* rig, const Ask* ask, uint32_t* type) {
    return ask->kind == BUFFER
               ? sxvkFindMemoryTypeIndexForBufferInfo(rig->allocator, &ask->buffer, &ask->info,
                                                      type)
               : sxvkFindMemoryTypeIndexForImageInfo(rig->allocator, &ask->image, &ask->info, type);
}

/*  Make the resource, see where it landed, destroy it. */
static VkResult create_and_look(Rig* rig, const Ask* ask, uint32_t* type) {
    SxvkAllocation allocation = VK_NULL_HANDLE;
    SxvkAllocationInfo info;
    VkBuffer buffer = VK_NULL_HANDLE;
    VkImage image = VK_NULL_HANDLE;
    VkResult result =
        ask->kind == BUFFER
            ? sxvkCreateBuffer(rig->allocator, &ask->buffer, &ask->info, &buffer, &allocation,
                               &info)
            : sxvkCreateImage(rig->allocator, &ask->image, &ask->info, &image, &allocation, &info);
    *type = result == VK_SUCCESS ? info.memoryType : UINT32_MAX;
    if (ask->kind == BUFFER) {
        sxvkDestroyBuffer(rig->allocator, buffer, allocation);
    } else {
        sxvkDestroyImage(rig->allocator, image, allocation);
    }
    return result;
}

/* ------------------------------------------------------------------ the table */

/*  Heaps and types stand above each row as the driver lists them: D = a device heap, then
    heap:flags in hexadecimal, 1 DEVICE_LOCAL, 2 HOST_VISIBLE, 4 COHERENT, 8 CACHED, 10 LAZILY, 20
    PROTECTED, c0 AMD. A BAR is a device heap of at most an eighth of the largest. */
typedef struct Row {
    const char* name;
    int8_t linear[LINEAR_COUNT];
    int8_t optimal[OPTIMAL_COUNT];
} Row;

#define NO (-1)

/* clang-format off */

static const Row rows[] = {
    /*  Columns: device, staging, uniform, readback, big upload, prefer host, mappable;
        sampled, target, transient, prefer host, lazy, mappable */

    /* --- NVIDIA: type 0 is system memory, and so are all flagless types */

    /* D 6 G, 8 G; 1:0 0:1 0:1 1:6 1:e 0:7. Buffers fit 2 to 5. All VRAM is mappable: a big upload
       goes there directly. Prefer host: write-combined and cached are equal, the lower index. */
    {"nvidia_rtx3060_laptop_rebar",             {2, 3, 5, 4, 5, 3, 3},        {1, 1, 1, 1, NO, NO}},
    /* The same types with no masks known: now the flagless system type may hold buffers and, for
       "prefer host", images; type 2 repeats type 1. */
    {"nvidia_rtx5080_rebar_r610",               {1, 3, 5, 4, 5, 0, 3},        {1, 1, 1, 0, NO, 5}},
    /* D 8 G, 16 G, D 214 M; as above, but 2:7. The BAR is for what the host writes and the device
       reads (uniform); a big upload that may be a transfer stays in VRAM. */
    {"nvidia_rtx2060super_no_rebar_r516",       {1, 3, 5, 4, 1, 0, 3},        {1, 1, 1, 1, NO, NO}},
    /* D 6 G, 47 G, D 246 M; 0 to 6 flagless, 0:1 1:6 1:e 2:7. Colour images fit 1 and 7. */
    {"nvidia_rtx2060_no_rebar_r450",            {7, 8, 10, 9, 7, 0, 8},       {7, 7, 7, 1, NO, NO}},
    /* D 11 G, 64 G; 0 to 6 flagless, 0:1 0:1 1:6 1:e. No BAR type: uniforms are read over the bus,
       and write-combined memory is better for that than cached. */
    {"nvidia_gtx1080ti_r397_no_bar_type",       {7, 9, 9, 10, 7, 0, 9},       {7, 7, 7, 0, NO, NO}},
    {"nvidia_geforce_940m_gran64k",             {7, 9, 9, 10, 7, 0, 9},       {7, 7, 7, 0, NO, NO}},
    /* integrated, D 1.5 G; 1 1 7 b. One heap: DEVICE_LOCAL says nothing. Reading wants the cache of
       type 3 though it is not coherent; all else takes the coherent type 2. A transfer would be a
       copy within the same memory: a big upload is mapped. */
    {"nvidia_tegra_x1",                         {0, 2, 2, 3, 2, 0, 2},        {0, 0, 0, 0, NO, 2}},
    /* D 140 G, 94 G; 1:0 0:1 1:6 1:e 0:7. All VRAM is mappable. */
    {"nvidia_h200_linux_r580",                  {1, 2, 4, 3, 4, 0, 2},        {1, 1, 1, 0, NO, NO}},
    /* D 2 G, D 256 M, 12 G; 0:1 1:7 2:e. A BAR, by exactly an eighth, that comes before system
       memory. Staging: cached system memory rather than the BAR. A mappable optimal image has only
       the BAR to go to. */
    {"nvk_mx450_small_bar",                     {0, 2, 1, 2, 0, 2, 2},        {0, 0, 0, 0, NO, 1}},
    /* D 8 G, 24 G; 0:1 0:7 1:e. Who asks for HOST_VISIBLE and not for DEVICE_LOCAL gets the host's
       memory: reading VRAM through the bus is slow, and the index proves nothing. */
    {"nvk_rebar",                               {0, 2, 1, 2, 1, 2, 2},        {0, 0, 0, 0, NO, 1}},

    /* --- AMD: c1, c6, c7, ce are never taken; no mask for images: those that are DEVICE_LOCAL */

    /* D 3.75 G, 4 G, D 256 M; 0:1 1:6 2:7 1:e. Images cannot leave device memory. */
    {"amd_rx480_windows_2017",                  {0, 1, 2, 3, 0, 1, 1},        {0, 0, 0, 0, NO, 2}},
    {"amd_rdna_windows_8type_device_coherent",  {0, 1, 2, 3, 0, 1, 1},        {0, 0, 0, 0, NO, 2}},
    /* D 16 G, 32 G; 0:1 1:6 0:7 1:e */
    {"amd_rx9070xt_windows_rebar",              {0, 1, 2, 3, 2, 1, 1},        {0, 0, 0, 0, NO, 2}},
    /* integrated, D 768 M, 7 G, D 256 M; 0:1 1:6 2:7 1:e, twice. A third of the largest device heap
       is no BAR. Images fit 0 to 7, system memory among them: "prefer host" and "mappable" go
       there. */
    {"amd_vega_igpu_windows_16type",            {0, 1, 2, 3, 2, 1, 1},        {0, 0, 0, 1, NO, 1}},
    /* integrated, D 3.75 G, 14 G, D 256 M. A transfer buys nothing where the device works in the
       host's memory: a big upload is a uniform, and for those the BAR is there. */
    {"amd_vega_apu_windows_3_75gb",             {0, 1, 2, 3, 2, 1, 1},        {0, 0, 0, 0, NO, 2}},
    /* integrated, 14 G, D 2 G; 1:1 0:6 1:7 0:e, with AMD, twice. Heap 0 is not the device's. */
    {"amdvlk_apu_reversed_heaps_16type",        {0, 1, 2, 3, 2, 1, 1},        {0, 0, 0, 0, NO, 2}},

    /* --- RADV: types that repeat for 32-bit addresses are not in the masks */

    /* D 7.75 G, 15.6 G, D 256 M; 0:1 - 1:6 2:7 - 1:e */
    {"radv_rx5700_small_bar",                   {0, 2, 3, 5, 0, 2, 2},        {0, 0, 0, 0, NO, 3}},
    /* 15.6 G, D 8 G; 1:1 - 0:6 1:7 - 0:e */
    {"radv_navi_rebar",                         {0, 2, 3, 5, 3, 2, 2},        {0, 0, 0, 0, NO, 3}},
    /* integrated, 5 G, D 10 G; the same types */
    {"radv_apu_2_3_split",                      {0, 2, 3, 5, 3, 2, 2},        {0, 0, 0, 0, NO, 3}},
    /* integrated, D 16 G; 1 - 7: no cached type, readback does without */
    {"radv_apu_unified_heap_option",            {0, 2, 2, 2, 2, 0, 2},        {0, 0, 0, 0, NO, 2}},
    /* D 7.7 G, D 222 M, 8 G; 0:1 2:6 1:7 2:e */
    {"radv_polaris10_2017",                     {0, 1, 2, 3, 0, 1, 1},        {0, 0, 0, 0, NO, 2}},

    /* --- Intel */

    /* integrated, D 11.6 G; 1 7 f 21 and repeats for descriptor buffers. Writes in order want the
       type without CPU cache, reads the one with it. Type 3 is for protected resources. */
    {"anv_igpu_llc_tgl",                        {0, 1, 1, 2, 1, 0, 1},        {0, 0, 0, 0, NO, 1}},
    /* integrated, D 10.5 G, D 1 G; 0:f 1:f. Equal flags: the larger heap. */
    {"anv_hd520_2018",                          {0, 0, 0, 0, 0, 0, 0},        {0, 0, 0, 0, NO, 0}},
    /* integrated, D 2 G; 7 b. Only readback has a use for the cache that must be flushed. */
    {"anv_atom_no_llc",                         {0, 0, 0, 1, 0, 0, 0},        {0, 0, 0, 0, NO, 0}},
    /* integrated, D 16 G; 1 7 f and repeats. Type 0 is compressed, for images alone; buffers fit 1
       and 2, which are equal to the device. */
    {"anv_lunarlake_xe_compressed",             {1, 1, 1, 2, 1, 1, 1},        {0, 0, 0, 0, NO, 1}},
    /* D 16 G, 16 G; 0:1 1:e 0:7 and repeats. The only system type is cached: good enough for
       staging. Mappable: two flags more than asked either way, and the host's memory wins. */
    {"anv_arc_a770_full_bar",                   {0, 1, 2, 1, 2, 1, 1},        {0, 0, 0, 1, NO, 1}},
    /* D 16 G, 16 G, D 256 M; 0:1 1:e 2:7 */
    {"anv_arc_small_bar",                       {0, 1, 2, 1, 0, 1, 1},        {0, 0, 0, 1, NO, 1}},
    /* D 12 G, 16 G; 0:1 0:1 1:e 0:7. Type 0 is compressed, for images alone. */
    {"anv_battlemage",                          {1, 2, 3, 2, 3, 2, 2},        {0, 0, 0, 2, NO, 2}},
    /* integrated, D 8 G; 1 7 f */
    {"intel_uhd_windows",                       {0, 1, 1, 2, 1, 0, 1},        {0, 0, 0, 0, NO, 1}},
    /* integrated, D 16 G; 7 f. All is mappable; the plainer type where the host does not read. */
    {"intel_meteorlake_windows_all_mappable",   {0, 0, 0, 1, 0, 0, 0},        {0, 0, 0, 0, NO, 0}},
    /* D 16 G, 16 G; 0:1 1:6 1:e 0:7 */
    {"intel_arc_a770_windows",                  {0, 1, 3, 2, 3, 1, 1},        {0, 0, 0, 0, NO, 3}},

    /* --- phones: integrated, one heap that is DEVICE_LOCAL */

    /* 7 f 11. Transient attachments get lazily allocated memory, others never. */
    {"mali_g78_pixel6",                         {0, 0, 0, 1, 0, 0, 0},        {0, 0, 2, 0, 2, 0}},
    /* 7 b 11 */
    {"mali_bifrost_gran_4k_INFERRED",           {0, 0, 0, 1, 0, 0, 0},        {0, 0, 2, 0, 2, 0}},
    /* 1 b f 1 7. What comes first for the host, b, is worst: it needs flushes. Readback: f. */
    {"adreno_540",                              {0, 4, 4, 2, 4, 0, 4},        {0, 0, 0, 0, NO, 4}},
    /* ... 1:21 in a protected heap of its own */
    {"adreno_6xx_2heap",                        {0, 4, 4, 2, 4, 0, 4},        {0, 0, 0, 0, NO, 4}},
    /* ... 0:11 1:21 1:21 0:31. Type 8 is lazy and protected: too much of a good thing. */
    {"adreno_7xx_lazy_9type",                   {0, 4, 4, 2, 4, 0, 4},        {0, 0, 5, 0, 5, 4}},
    /* 7 f b */
    {"turnip_cached_coherent",                  {0, 0, 0, 1, 0, 0, 0},        {0, 0, 0, 0, NO, 0}},
    /* 7 */
    {"powervr_ge8300",                          {0, 0, 0, 0, 0, 0, 0},        {0, 0, 0, 0, NO, 0}},
    /* D 8 G, D 64 M; 0:7 0:1 1:7 1:1. What the host does not touch goes where it does not see,
       wherever that stands in the list; the 64 MiB are left alone. */
    {"android_first_type_is_mappable_16type",   {1, 0, 0, 0, 0, 1, 0},        {1, 1, 1, 1, NO, 0}},

    /* --- Apple: integrated, one heap, but for the Mac with an AMD card */

    /* 1 f b 11. Coherent f before b; optimal images fit 0 and 2, so a mappable one must flush. */
    {"moltenvk_1_2_apple_m1",                   {0, 1, 1, 1, 1, 0, 1},        {0, 0, 3, 0, 3, 2}},
    /* 1 f 11; optimal images fit 0, transient ones also 2 */
    {"moltenvk_head_apple_silicon",             {0, 1, 1, 1, 1, 0, 1},        {0, 0, 2, 0, 2, NO}},
    /* D 4 G, 16 G; 0:1 1:e 0:b. The mirror of VRAM, b, is not coherent, but it is where the device
       reads its uniforms. */
    {"moltenvk_intel_mac_amd_dgpu",             {0, 1, 2, 1, 2, 1, 1},        {0, 0, 0, 0, NO, 2}},
    /* f */
    {"honeykrisp_or_kosmickrisp_apple_m5",      {0, 0, 0, 0, 0, 0, 0},        {0, 0, 0, 0, NO, 0}},

    /* --- one type for all: 7 without a cached one, then f */

    {"v3dv_raspberrypi4",                       {0, 0, 0, 0, 0, 0, 0},        {0, 0, 0, 0, NO, 0}},
    {"v3dv_raspberrypi5",                       {0, 0, 0, 0, 0, 0, 0},        {0, 0, 0, 0, NO, 0}},
    {"lavapipe",                                {0, 0, 0, 0, 0, 0, 0},        {0, 0, 0, 0, NO, 0}},
    {"swiftshader",                             {0, 0, 0, 0, 0, 0, 0},        {0, 0, 0, 0, NO, 0}},

    /* --- made up, and late additions */

    /* D 1 G, 1 G; 0:1 1:6 1:e */
    {"synthetic_maxcount_16_gran_64k",          {0, 1, 1, 2, 0, 1, 1},        {0, 0, 0, 0, NO, NO}},
    /* D 4 G, 8 G, D 16 M; 0:1 1:6 2:7 1:e */
    {"synthetic_tiny_bar_16m",                  {0, 1, 2, 3, 0, 1, 1},        {0, 0, 0, 0, NO, 2}},
    /* integrated, D 1 G; 1 b 7 */
    {"synthetic_atom_4096",                     {0, 2, 2, 1, 2, 0, 2},        {0, 0, 0, 0, NO, 2}},
    /* Heap h of (h + 1) * 256 M, even ones D; 1 6 f a from heap 0 on, eight times. So of equal
       types the largest heap's: 1 in 12, 6 in 13, f in 14, a (cached, not coherent) in 15. Each is
       listed again 16 later. */
    {"synthetic_32_types_16_heaps",   {12, 13, 14, 15, 14, 13, 13}, {12, 12, 12, 12, NO, 14}},
    /* integrated, D 256 M, 15 G, D 256 M; 0:1 1:6 2:7 1:e. Neither is small beside the other. */
    {"amd_raphael_igpu_windows_8type",          {0, 1, 2, 3, 2, 1, 1},        {0, 0, 0, 0, NO, 2}},
    /* D 16 M, D 8 G, 8 G; 0:1 2:6 1:7 2:e. The part of VRAM that the host does not see is 16 MiB:
       nothing to fill first. */
    {"radv_2020_heap0_16mib_bogus_budget",      {2, 1, 2, 3, 2, 1, 1},        {2, 2, 2, 2, NO, 2}},
};

/* clang-format on */

/*  Linear images are like buffers but here, where they fit types 0, 1, 3, 4 and 5. */
static const Row linear_image_rows[] = {
    {"nvidia_rtx3060_laptop_rebar", {1, 3, 5, 4, 5, 0, 3}, {0}},
};

static int expected_type(const Row* row, Kind kind, uint32_t question) {
    if (kind == LINEAR && strcmp(row->name, linear_image_rows[0].name) == 0) {
        row = &linear_image_rows[0];
    }
    return kind == OPTIMAL ? row->optimal[question] : row->linear[question];
}

/*  Counts answers that differ, so that one run shows them all. */
static uint32_t compare(const Row* row, const Ask* ask, const char* who, int expected,
                        uint32_t type, VkResult result) {
    static const char* const kinds[] = {"buffer", "linear image", "optimal image"};
    VkResult expected_result = expected == NO ? VK_ERROR_FEATURE_NOT_PRESENT : VK_SUCCESS;
    if (type == (uint32_t)expected && result == expected_result) {
        return 0;
    }
    print_error("%s, %s, %s, %s: type %d, expected %d\n", row->name, kinds[ask->kind], ask->name,
                who, (int)type, expected);
    return 1;
}

static uint32_t check_answer(Rig* rig, const Row* row, Kind kind, uint32_t question, bool pure) {
    Ask ask = ask_of(kind, question);
    int expected = expected_type(row, kind, question);
    uint32_t wrong = 0;
    uint32_t type;
    VkResult result;
    if (pure) {
        type = pure_answer(sim_profile(rig->sim), type_bits(rig, &ask), &ask);
        result = type == SXVKI_NONE ? VK_ERROR_FEATURE_NOT_PRESENT : VK_SUCCESS;
        wrong += compare(row, &ask, "pure", expected, type, result);
    }
    result = find_type(rig, &ask, &type);
    wrong += compare(row, &ask, "found", expected, type, result);
    rig_expect(rig, SXVK_MESSAGE_NO_MEMORY_TYPE, expected == NO);
    result = create_and_look(rig, &ask, &type);
    wrong += compare(row, &ask, "created", expected, type, result);
    rig_expect(rig, SXVK_MESSAGE_NO_MEMORY_TYPE, expected == NO);
    return wrong;
}

/*  api_version 1.0 has to ask through a resource that is made and destroyed. */
static void check_table(uint32_t api_version, bool pure) {
    uint32_t wrong = 0;
    uint32_t i;
    assert_int_equal(sizeof rows / sizeof rows[0], profile_count);
    for (i = 0; i < profile_count; i++) {
        RigOptions options = rig_options();
        Rig* rig;
        int kind;
        assert_string_equal(rows[i].name, profiles[i].name);
        options.profile = &profiles[i];
        options.sim.apiVersion = api_version;
        rig = rig_create(&options);
        for (kind = BUFFER; kind <= OPTIMAL; kind++) {
            uint32_t question;
            for (question = 0; question < question_count((Kind)kind); question++) {
                wrong += check_answer(rig, &rows[i], (Kind)kind, question, pure);
            }
        }
        rig_destroy(rig);
    }
    assert_int_equal(wrong, 0);
}

static void test_table(void** state) {
    (void)state;
    check_table(VK_API_VERSION_1_3, true);
}

static void test_table_vulkan_1_0(void** state) {
    (void)state;
    check_table(VK_API_VERSION_1_0, false);
}

/*  No device lists a lazily allocated type for buffers. */
static void test_lazy_buffer(void** state) {
    uint32_t i;
    (void)state;
    for (i = 0; i < profile_count; i++) {
        Rig* rig = open_rig(profiles[i].name, 0);
        Ask ask = ask_of(BUFFER, DEVICE);
        uint32_t type = 0;
        ask.info.usage = LAZILY;
        assert_int_equal(find_type(rig, &ask, &type), VK_ERROR_FEATURE_NOT_PRESENT);
        assert_int_equal(type, UINT32_MAX);
        rig_expect(rig, SXVK_MESSAGE_NO_MEMORY_TYPE, 1);
        rig_destroy(rig);
    }
}

/* ------------------------------------------------------------------ random wishes */

typedef struct Draw {
    sxvki_memory_model model;
    SxvkAllocationCreateInfo info;
    sxvki_purpose purpose;
    uint32_t bits;
} Draw;

static bool chance(uint64_t* random, uint32_t percent) {
    return testing_below(random, 100) < percent;
}

static VkMemoryPropertyFlags draw_flags(uint64_t* random, uint32_t percent) {
    static const VkMemoryPropertyFlags flags[] = {
        LOCAL, VISIBLE, COHERENT, CACHED, LAZY, PROTECTED, AMD_COHERENT, AMD_UNCACHED, RDMA};
    VkMemoryPropertyFlags drawn = 0;
    uint32_t i;
    for (i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        drawn |= chance(random, flags[i] & SPECIAL ? percent / 3 : percent) ? flags[i] : 0;
    }
    return drawn;
}

static void draw_purpose(uint64_t* random, sxvki_purpose* purpose) {
    static const VkBufferUsageFlags buffers[] = {VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
                                                 VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                                 VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT, MESH};
    static const VkImageUsageFlags images[] = {
        VK_IMAGE_USAGE_TRANSFER_DST_BIT, VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT, TEXTURE, TRANSIENT};
    if (chance(random, 50)) {
        VkBufferCreateInfo info = testing_buffer(1, buffers[testing_below(random, 4)]);
        info.flags = chance(random, 5) ? (VkFlags)VK_BUFFER_CREATE_PROTECTED_BIT : 0;
        sxvki_purpose_of_buffer(purpose, &info);
    } else {
        VkImageCreateInfo info = testing_image(1, 1, VK_IMAGE_TILING_OPTIMAL);
        info.usage = images[testing_below(random, 4)];
        info.flags = chance(random, 5) ? (VkFlags)VK_IMAGE_CREATE_PROTECTED_BIT : 0;
        sxvki_purpose_of_image(purpose, &info);
    }
}

/*  masks: the user's flags and masks are drawn too, else there are none. */
static void draw_wish(uint64_t* random, const SimProfile* profile, bool masks, Draw* draw) {
    static const SxvkMemoryUsage usages[] = {AUTO,        AUTO,    PREFER_DEVICE,
                                             PREFER_HOST, UNKNOWN, LAZILY};
    static const VkFlags access[] = {0, 0, WRITE, RANDOM, WRITE | TRANSFER, RANDOM | TRANSFER};
    memset(draw, 0, sizeof *draw);
    model_of(profile, chance(random, 30), &draw->model);
    draw_purpose(random, &draw->purpose);
    draw->info.usage = usages[testing_below(random, 6)];
    draw->info.flags = access[testing_below(random, 6)];
    draw->bits = UINT32_MAX;
    if (masks) {
        draw->info.requiredFlags = chance(random, 40) ? draw_flags(random, 20) : 0;
        draw->info.preferredFlags = chance(random, 40) ? draw_flags(random, 30) : 0;
        draw->info.avoidedFlags =
            chance(random, 40) ? draw_flags(random, 30) & ~draw->info.requiredFlags : 0;
        draw->info.memoryTypeBits = chance(random, 20) ? (uint32_t)testing_random(random) : 0;
        draw->bits = chance(random, 50) ? (uint32_t)testing_random(random) : UINT32_MAX;
    }
}

static bool is_auto(const Draw* draw) {
    return draw->info.usage >= AUTO;
}

static VkMemoryPropertyFlags flags_of(const Draw* draw, uint32_t type) {
    return draw->model.properties.memoryTypes[type].propertyFlags;
}

static VkDeviceSize heap_size(const sxvki_memory_model* model, uint32_t type) {
    uint32_t heap = model->properties.memoryTypes[type].heapIndex;
    return model->properties.memoryHeaps[heap].size;
}

static bool is_window(const sxvki_memory_model* model, uint32_t type) {
    const VkMemoryHeap* heaps = model->properties.memoryHeaps;
    const VkMemoryHeap* heap = &heaps[model->properties.memoryTypes[type].heapIndex];
    VkDeviceSize largest = 0;
    uint32_t h;
    for (h = 0; h < model->properties.memoryHeapCount; h++) {
        bool device = (heaps[h].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0;
        largest = device && heaps[h].size > largest ? heaps[h].size : largest;
    }
    return (heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0 && heap->size * 8 <= largest;
}

/*  The host does not touch it, or need not. */
static bool is_device_only(const Draw* draw) {
    const SxvkAllocationCreateInfo* info = &draw->info;
    if (!is_auto(draw) || ((info->requiredFlags | info->preferredFlags) & VISIBLE) != 0) {
        return false;
    }
    if ((info->flags & (WRITE | RANDOM)) == 0) {
        return true;
    }
    return (info->flags & TRANSFER) != 0 && draw->purpose.device_access &&
           info->usage != PREFER_HOST && !draw->model.unified;
}

/*  So do masks that do not ask for device memory. */
static bool keeps_out_of_windows(const Draw* draw) {
    VkMemoryPropertyFlags asked = draw->info.requiredFlags | draw->info.preferredFlags;
    return is_device_only(draw) || (draw->info.usage == UNKNOWN && (asked & LOCAL) == 0);
}

/*  May this type serve the request at all? */
static bool is_eligible(const Draw* draw, const sxvki_wish* wish, uint32_t type) {
    VkMemoryPropertyFlags flags = flags_of(draw, type);
    VkMemoryPropertyFlags asked = draw->info.requiredFlags | draw->info.preferredFlags;
    if ((is_auto(draw) && draw->purpose.transient) || draw->info.usage == LAZILY) {
        asked |= LAZY;
    }
    if (draw->purpose.is_protected) {
        asked |= PROTECTED;
    }
    if (asked & AMD) {
        asked |= AMD; /* real types have both flags: who asks for one takes the other */
    }
    return (draw->bits >> type & 1) != 0 &&
           (draw->info.memoryTypeBits == 0 || (draw->info.memoryTypeBits >> type & 1) != 0) &&
           (wish->required & ~flags) == 0 && (flags & SPECIAL & ~asked) == 0 &&
           ((flags & AMD) == 0 || draw->model.amd_coherent);
}

/*  What the user gave flags for and does not get. */
static uint32_t disappointments(const Draw* draw, uint32_t type) {
    VkMemoryPropertyFlags flags = flags_of(draw, type);
    return sxvki_count_bits((draw->info.preferredFlags & ~flags) |
                            (draw->info.avoidedFlags & flags));
}

/*  What is required: what the user says, HOST_VISIBLE for the host's access, LAZILY_ALLOCATED and
    PROTECTED where the resource is of that kind. Never DEVICE_LOCAL, never HOST_CACHED. */
static void check_required(const Draw* draw, const sxvki_wish* wish) {
    VkMemoryPropertyFlags required = draw->info.requiredFlags;
    bool host_access = (draw->info.flags & (WRITE | RANDOM)) != 0;
    required |= is_auto(draw) && host_access && (wish->required & VISIBLE) != 0 ? VISIBLE : 0;
    required |= draw->info.usage == LAZILY ? LAZY : 0;
    required |= draw->purpose.is_protected ? PROTECTED : 0;
    assert_int_equal(wish->required, required);
    if (is_auto(draw) && host_access && (draw->info.flags & TRANSFER) == 0) {
        assert_true((wish->required & VISIBLE) != 0);
    }
}

/*  The ladder visits what is eligible, each type once, in an order that respects the user, and
    keeps out of small windows unless there is nothing else. */
static void check_ladder(const Draw* draw, const sxvki_wish* wish) {
    sxvki_wish left = *wish;
    uint32_t eligible = 0, windows = 0, visited = 0;
    uint32_t worst = 0;
    uint32_t type;
    for (type = 0; type < draw->model.properties.memoryTypeCount; type++) {
        eligible |= is_eligible(draw, wish, type) ? 1u << type : 0;
        windows |= is_window(&draw->model, type) ? 1u << type : 0;
    }
    if (keeps_out_of_windows(draw) && (eligible & ~windows) != 0) {
        eligible &= ~windows;
    }
    for (type = sxvki_memory_type_best(&draw->model, &left); type != SXVKI_NONE;
         type = sxvki_memory_type_next(&draw->model, &left, type)) {
        assert_true(type < draw->model.properties.memoryTypeCount);
        assert_int_equal(visited >> type & 1, 0);
        assert_int_equal(eligible >> type & 1, 1);
        assert_true(disappointments(draw, type) >= worst);
        worst = disappointments(draw, type);
        visited |= 1u << type;
    }
    assert_int_equal(visited, eligible);
}

static void test_any_wish(void** state) {
    uint64_t random = 1;
    uint32_t i;
    (void)state;
    for (i = 0; i < profile_count; i++) {
        uint32_t n;
        for (n = 0; n < 2000; n++) {
            sxvki_wish wish;
            Draw draw;
            draw_wish(&random, &profiles[i], n % 4 != 0, &draw);
            if (n % 5 == 0) {
                /* Special types where no device has one, RDMA among them. */
                uint32_t type = testing_below(&random, profiles[i].memory.memoryTypeCount);
                draw.model.properties.memoryTypes[type].propertyFlags |=
                    draw_flags(&random, 90) & SPECIAL;
            }
            sxvki_wish_init(&wish, &draw.model, draw.bits, &draw.info, &draw.purpose);
            check_required(&draw, &wish);
            check_ladder(&draw, &wish);
        }
    }
}

static void shuffle(uint64_t* random, uint32_t count, uint32_t* places) {
    uint32_t i;
    for (i = 0; i < count; i++) {
        uint32_t j = testing_below(random, i + 1);
        places[i] = places[j];
        places[j] = i;
    }
}

static uint32_t move_bits(uint32_t bits, uint32_t count, const uint32_t* places) {
    uint32_t moved = 0;
    uint32_t i;
    for (i = 0; i < count; i++) {
        moved |= (bits >> i & 1) << places[i];
    }
    return moved;
}

/*  The same device with its types and heaps listed in another order; old type t is new type
    places[t]. */
static SimProfile reorder(uint64_t* random, const SimProfile* profile, uint32_t* places) {
    const VkPhysicalDeviceMemoryProperties* from = &profile->memory;
    SimProfile other = *profile;
    uint32_t heaps[VK_MAX_MEMORY_HEAPS];
    uint32_t i;
    shuffle(random, from->memoryHeapCount, heaps);
    shuffle(random, from->memoryTypeCount, places);
    for (i = 0; i < from->memoryHeapCount; i++) {
        other.memory.memoryHeaps[heaps[i]] = from->memoryHeaps[i];
    }
    for (i = 0; i < from->memoryTypeCount; i++) {
        other.memory.memoryTypes[places[i]] = from->memoryTypes[i];
        other.memory.memoryTypes[places[i]].heapIndex = heaps[from->memoryTypes[i].heapIndex];
    }
    return other;
}

/*  13 of 49 real devices break the specification's rule of order, so order must not matter: it
    only decides between types of equal cost, and there the lower index wins. */
static void test_order_of_types(void** state) {
    uint64_t random = 2;
    uint32_t i;
    (void)state;
    for (i = 0; i < profile_count; i++) {
        uint32_t count = profiles[i].memory.memoryTypeCount;
        uint32_t n;
        for (n = 0; n < 300; n++) {
            uint32_t places[VK_MAX_MEMORY_TYPES];
            SimProfile other = reorder(&random, &profiles[i], places);
            sxvki_wish wish, other_wish;
            uint32_t best, type;
            Draw draw, moved;
            draw_wish(&random, &profiles[i], n % 2 == 0, &draw);
            moved = draw;
            model_of(&other, draw.model.amd_coherent, &moved.model);
            moved.bits = move_bits(draw.bits, count, places);
            if (draw.info.memoryTypeBits != 0) {
                moved.info.memoryTypeBits = move_bits(draw.info.memoryTypeBits, count, places);
                if (moved.info.memoryTypeBits == 0) {
                    continue; /* names only types that the device lacks, and 0 would mean all */
                }
            }
            sxvki_wish_init(&wish, &draw.model, draw.bits, &draw.info, &draw.purpose);
            sxvki_wish_init(&other_wish, &moved.model, moved.bits, &moved.info, &moved.purpose);
            best = sxvki_memory_type_best(&moved.model, &other_wish);
            for (type = 0; type < count; type++) {
                uint32_t cost = sxvki_memory_type_cost(&draw.model, &wish, type);
                uint32_t place = places[type];
                assert_int_equal(cost, sxvki_memory_type_cost(&moved.model, &other_wish, place));
                if (best == SXVKI_NONE) {
                    assert_int_equal(cost, SXVKI_COST_OUT);
                } else {
                    uint32_t least = sxvki_memory_type_cost(&moved.model, &other_wish, best);
                    assert_true(cost > least || (cost == least && place >= best));
                }
            }
        }
    }
}

/*  Is there an eligible type, no small window, that has all of `with` and none of `without`? */
static bool exists(const Draw* draw, const sxvki_wish* wish, VkMemoryPropertyFlags with,
                   VkMemoryPropertyFlags without) {
    uint32_t type;
    for (type = 0; type < draw->model.properties.memoryTypeCount; type++) {
        VkMemoryPropertyFlags flags = flags_of(draw, type);
        if (is_eligible(draw, wish, type) && !is_window(&draw->model, type) &&
            (flags & with) == with && (flags & without) == 0) {
            return true;
        }
    }
    return false;
}

#define ASSERT_PREFERS(with, without)                                                              \
    do {                                                                                           \
        if (exists(&draw, &wish, (with), (without))) {                                             \
            assert_int_equal(flags&(with), (with));                                                \
            assert_int_equal(flags&(without), 0);                                                  \
        }                                                                                          \
    } while (0)

/*  What each intent is for, on any device in any order and with any memoryTypeBits. */
static void test_intents(void** state) {
    uint64_t random = 3;
    uint32_t i;
    (void)state;
    for (i = 0; i < profile_count; i++) {
        uint32_t n;
        for (n = 0; n < 200; n++) {
            uint32_t places[VK_MAX_MEMORY_TYPES];
            SimProfile other = reorder(&random, &profiles[i], places);
            uint32_t question = n % LINEAR_COUNT;
            Ask ask = ask_of(BUFFER, question);
            sxvki_wish wish;
            VkMemoryPropertyFlags flags;
            uint32_t best, type;
            Draw draw;
            memset(&draw, 0, sizeof draw);
            draw.info = ask.info;
            draw.bits = chance(&random, 50) ? (uint32_t)testing_random(&random) : UINT32_MAX;
            model_of(&other, 0, &draw.model);
            purpose_of(&ask, &draw.purpose);
            sxvki_wish_init(&wish, &draw.model, draw.bits, &draw.info, &draw.purpose);
            best = sxvki_memory_type_best(&draw.model, &wish);
            if (best == SXVKI_NONE || is_window(&draw.model, best)) {
                continue; /* uniforms like small windows, and others may have nothing else */
            }
            flags = flags_of(&draw, best);
            switch (question) {
            case DEVICE:
                ASSERT_PREFERS(LOCAL, 0);
                ASSERT_PREFERS(LOCAL, VISIBLE);
                break;
            case STAGING:
                ASSERT_PREFERS(0, LOCAL);
                ASSERT_PREFERS(0, LOCAL | CACHED);
                break;
            case UNIFORM:
                ASSERT_PREFERS(LOCAL, 0);
                ASSERT_PREFERS(LOCAL | COHERENT, CACHED);
                break;
            case READBACK:
                ASSERT_PREFERS(0, LOCAL);
                ASSERT_PREFERS(CACHED, LOCAL);
                ASSERT_PREFERS(CACHED | COHERENT, LOCAL);
                break;
            case UPLOAD:
                ASSERT_PREFERS(LOCAL, 0);
                ASSERT_PREFERS(LOCAL | VISIBLE, 0);
                break;
            case HOST: ASSERT_PREFERS(0, LOCAL); break;
            default:
                ASSERT_PREFERS(COHERENT, 0);
                ASSERT_PREFERS(COHERENT, LOCAL);
                ASSERT_PREFERS(COHERENT, LOCAL | CACHED);
                break;
            }
            for (type = 0; type < draw.model.properties.memoryTypeCount; type++) {
                /* Equal flags: the larger heap. */
                assert_true(!is_eligible(&draw, &wish, type) || flags_of(&draw, type) != flags ||
                            heap_size(&draw.model, type) <= heap_size(&draw.model, best));
            }
        }
    }
}

/* ------------------------------------------------------------------ reports from the wild */

#define MAX_CHUNKS 128

/*  Buffers of one kind that stay until chunks_free; which heaps they landed in. */
typedef struct Chunks {
    VkBuffer buffers[MAX_CHUNKS];
    SxvkAllocation allocations[MAX_CHUNKS];
    uint32_t count;
    uint32_t types; /* bit t: one of them is in type t */
} Chunks;

static void chunks_add(Chunks* chunks, Rig* rig, uint32_t question, VkDeviceSize size,
                       uint32_t count) {
    Ask ask = ask_of(BUFFER, question);
    ask.buffer.size = size;
    for (; count != 0; count--, chunks->count++) {
        SxvkAllocationInfo info;
        assert_true(chunks->count < MAX_CHUNKS);
        assert_int_equal(sxvkCreateBuffer(rig->allocator, &ask.buffer, &ask.info,
                                          &chunks->buffers[chunks->count],
                                          &chunks->allocations[chunks->count], &info),
                         VK_SUCCESS);
        chunks->types |= 1u << info.memoryType;
    }
}

static void chunks_free(Chunks* chunks, Rig* rig) {
    for (; chunks->count != 0; chunks->count--) {
        sxvkDestroyBuffer(rig->allocator, chunks->buffers[chunks->count - 1],
                          chunks->allocations[chunks->count - 1]);
    }
    rig_destroy(rig);
}

/*  upscayl#1314: out of memory in the 256 MiB window of a large GPU. When VRAM is full, system
    memory comes next, not the window. */
static void test_upscayl_1314(void** state) {
    static const struct {
        const char* name;
        uint32_t types; /* VRAM and system memory */
    } cards[] = {
        {"radv_rx5700_small_bar", 1u << 0 | 1u << 2},
        {"anv_arc_small_bar", 1u << 0 | 1u << 1},
        {"amd_rdna_windows_8type_device_coherent", 1u << 0 | 1u << 1},
    };
    uint32_t i;
    (void)state;
    for (i = 0; i < sizeof cards / sizeof cards[0]; i++) {
        Rig* rig = open_rig(cards[i].name, 0);
        Chunks chunks = {.count = 0};
        sim_heap_limit(rig->sim, 0, 128 * MIB);
        chunks_add(&chunks, rig, DEVICE, 4 * MIB, 64);
        assert_int_equal(chunks.types, cards[i].types);
        assert_int_equal(sim_peak_memory_bytes(rig->sim, 2), 0);
        chunks_free(&chunks, rig);
    }
}

/*  VMA#157: 16777224 bytes asked of a heap of 16 MiB, whose budget the driver gave as 16 EiB. And
    node-llama-cpp#653: a budget above the heap's size. */
static void test_vma_157_budget_of_16_eib(void** state) {
    Rig* rig =
        open_rig("radv_2020_heap0_16mib_bogus_budget", SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT);
    SxvkAllocationCreateInfo local = {.requiredFlags = LOCAL};
    VkMemoryRequirements requirements = testing_requirements(16777224, 256, 0xF);
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
    Chunks chunks = {.count = 0};
    SxvkBudget budget;
    (void)state;
    sxvkGetHeapBudget(rig->allocator, 0, &budget);
    assert_true(budget.budget <= 16 * MIB);
    /* The device's own choice is the 8 GiB heap from the start ... */
    chunks_add(&chunks, rig, DEVICE, 4 * MIB, 16);
    assert_int_equal(chunks.types, 1u << 2);
    /* ... and whoever insists on flags alone does not get more out of a heap than it has. */
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &local, &allocation, &info),
                     VK_SUCCESS);
    assert_int_equal(info.memoryType, 2);
    assert_int_equal(sim_peak_memory_bytes(rig->sim, 0), 0);
    sxvkFreeMemory(rig->allocator, allocation);
    chunks_free(&chunks, rig);
}

/*  VMA#266: staging memory landed in the BAR, which is slow. In no order of types does it, nor does
    memory that is only asked to be host-visible, with a usage or, the way of old, without. */
static void test_vma_266_staging_in_bar(void** state) {
    uint64_t random = 4;
    uint32_t i;
    (void)state;
    for (i = 0; i < profile_count; i++) {
        Ask staging = ask_of(BUFFER, STAGING);
        Ask required = ask_of(BUFFER, STAGING);
        Ask old = ask_of(BUFFER, MAPPABLE);
        bool has_host_type = false;
        uint32_t type, n;
        required.info.flags = 0;
        required.info.requiredFlags = VISIBLE;
        old.info.requiredFlags = VISIBLE | COHERENT;
        for (type = 0; type < profiles[i].memory.memoryTypeCount; type++) {
            VkMemoryPropertyFlags flags = profiles[i].memory.memoryTypes[type].propertyFlags;
            has_host_type |=
                (flags & (VISIBLE | COHERENT | LOCAL | SPECIAL)) == (VISIBLE | COHERENT);
        }
        for (n = 0; n < 20 && has_host_type; n++) {
            uint32_t places[VK_MAX_MEMORY_TYPES];
            SimProfile other = reorder(&random, &profiles[i], places);
            type = pure_answer(&other, UINT32_MAX, &staging);
            assert_int_equal(other.memory.memoryTypes[type].propertyFlags & LOCAL, 0);
            type = pure_answer(&other, UINT32_MAX, &required);
            assert_int_equal(other.memory.memoryTypes[type].propertyFlags & LOCAL, 0);
            type = pure_answer(&other, UINT32_MAX, &old);
            assert_int_equal(other.memory.memoryTypes[type].propertyFlags & LOCAL, 0);
        }
    }
}

/*  vkd3d-proton#1306: the small BAR is for uploads, and it fills up. They go on in system memory;
    VRAM is no help, because the host does not see it. */
static void test_vkd3d_1306_full_bar(void** state) {
    Rig* rig = open_rig("amd_rx480_windows_2017", 0);
    Chunks chunks = {.count = 0};
    (void)state;
    chunks_add(&chunks, rig, UNIFORM, 4 * MIB, 8);
    assert_int_equal(chunks.types, 1u << 2);
    chunks_add(&chunks, rig, UNIFORM, 4 * MIB, 80);
    assert_int_equal(chunks.types, 1u << 2 | 1u << 1);
    assert_true(sim_peak_memory_bytes(rig->sim, 2) <= 256 * MIB);
    assert_int_equal(sim_peak_memory_bytes(rig->sim, 0), 0);
    chunks_free(&chunks, rig);
}

/*  VMA#98: the DEVICE_COHERENT types of AMD were chosen by accident. They want the feature and the
    question. */
static void test_vma_98_amd_coherent(void** state) {
    const SxvkAllocatorCreateFlags feature = SXVK_ALLOCATOR_CREATE_AMD_DEVICE_COHERENT_MEMORY_BIT;
    const uint32_t amd_types = 0xF0;
    uint32_t enabled;
    (void)state;
    for (enabled = 0; enabled < 2; enabled++) {
        Rig* rig = open_rig("amd_rdna_windows_8type_device_coherent", enabled ? feature : 0);
        SxvkAllocationCreateInfo info = {.usage = AUTO};
        VkResult expected = enabled ? VK_SUCCESS : VK_ERROR_FEATURE_NOT_PRESENT;
        Ask ask = ask_of(BUFFER, DEVICE);
        uint32_t type;
        /* Nothing else there, and still not taken. */
        assert_int_equal(sxvkFindMemoryTypeIndex(rig->allocator, amd_types, &info, &type),
                         VK_ERROR_FEATURE_NOT_PRESENT);
        assert_int_equal(type, UINT32_MAX);
        rig_expect(rig, SXVK_MESSAGE_NO_MEMORY_TYPE, 1);
        ask.info.requiredFlags = AMD_COHERENT;
        assert_int_equal(create_and_look(rig, &ask, &type), expected);
        assert_int_equal(type, enabled ? 4 : UINT32_MAX);
        rig_expect(rig, SXVK_MESSAGE_NO_MEMORY_TYPE, !enabled);
        /* A preference is a question too, but it can be refused. */
        ask.info.requiredFlags = 0;
        ask.info.preferredFlags = AMD_COHERENT;
        assert_int_equal(create_and_look(rig, &ask, &type), VK_SUCCESS);
        assert_int_equal(type, enabled ? 4 : 0);
        rig_destroy(rig);
    }
}

/*  VMA#362: no HOST_CACHED type on the Raspberry Pi. Readback does without, unless it is the user
    who insists. */
static void test_vma_362_no_cached_type(void** state) {
    Rig* rig = open_rig("v3dv_raspberrypi4", 0);
    Ask ask = ask_of(BUFFER, READBACK);
    uint32_t type;
    (void)state;
    ask.info.preferredFlags = CACHED;
    assert_int_equal(create_and_look(rig, &ask, &type), VK_SUCCESS);
    assert_int_equal(type, 0);
    ask.info.requiredFlags = CACHED;
    assert_int_equal(create_and_look(rig, &ask, &type), VK_ERROR_FEATURE_NOT_PRESENT);
    rig_expect(rig, SXVK_MESSAGE_NO_MEMORY_TYPE, 1);
    rig_destroy(rig);
}

/*  A buffer with MAPPED_BIT and what became of it. */
static void create_mapped(Rig* rig, uint32_t question, VkBuffer* buffer, SxvkAllocation* allocation,
                          SxvkAllocationInfo* info) {
    Ask ask = ask_of(BUFFER, question);
    ask.info.flags |= SXVK_ALLOCATION_CREATE_MAPPED_BIT;
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &ask.buffer, &ask.info, buffer, allocation, info),
        VK_SUCCESS);
}

/*  VMA#515: an assertion about missing HOST_ACCESS flags where every type is mappable. Here that is
    no mistake: whatever is host-visible gets mapped. */
static void test_vma_515_everything_mappable(void** state) {
    static const char* const names[] = {"lavapipe", "intel_meteorlake_windows_all_mappable"};
    uint32_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        Rig* rig = open_rig(names[i], 0);
        SxvkAllocation allocation;
        SxvkAllocationInfo info;
        VkBuffer buffer;
        create_mapped(rig, DEVICE, &buffer, &allocation, &info);
        assert_non_null(info.pMappedData);
        sxvkDestroyBuffer(rig->allocator, buffer, allocation);
        rig_destroy(rig);
    }
}

/*  VMA#407: memory that the host does not see was mapped. It is refused, before the driver hears of
    it, and MAPPED_BIT is a wish that may stay unmet. */
static void test_vma_407_map_of_vram(void** state) {
    Rig* rig = open_rig("anv_arc_small_bar", 0);
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
    VkMemoryPropertyFlags flags;
    VkBuffer buffer;
    void* data = &data;
    (void)state;
    create_mapped(rig, UPLOAD, &buffer, &allocation, &info);
    assert_null(info.pMappedData);
    sxvkGetAllocationMemoryProperties(rig->allocator, allocation, &flags);
    assert_int_equal(flags, LOCAL);
    assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_ERROR_MEMORY_MAP_FAILED);
    assert_null(data);
    rig_expect(rig, SXVK_MESSAGE_NOT_HOST_VISIBLE, 1);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_MAP_MEMORY), 0);
    sxvkDestroyBuffer(rig->allocator, buffer, allocation);
    rig_destroy(rig);
}

/*  What the driver was asked with VK_KHR_maintenance4, before it answers. */
static struct {
    PFN_vkGetDeviceBufferMemoryRequirements bufferRequirements;
    PFN_vkGetDeviceImageMemoryRequirements imageRequirements;
    const void* pCreateInfo; /* the last one, and its chain */
    const void* pNext;
    uint32_t calls;
} driver;

static void look_at_answer(const VkMemoryRequirements2* pRequirements) {
    const VkBaseInStructure* next = (const VkBaseInStructure*)pRequirements->pNext;
    assert_int_equal(pRequirements->sType, VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2);
    assert_true(next == NULL || (next->sType == VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS &&
                                 next->pNext == NULL));
    driver.calls++;
}

static void VKAPI_PTR look_at_buffer(VkDevice device, const VkDeviceBufferMemoryRequirements* pInfo,
                                     VkMemoryRequirements2* pRequirements) {
    assert_int_equal(pInfo->sType, VK_STRUCTURE_TYPE_DEVICE_BUFFER_MEMORY_REQUIREMENTS);
    assert_null(pInfo->pNext);
    look_at_answer(pRequirements);
    driver.pCreateInfo = pInfo->pCreateInfo;
    driver.pNext = pInfo->pCreateInfo->pNext;
    driver.bufferRequirements(device, pInfo, pRequirements);
}

static void VKAPI_PTR look_at_image(VkDevice device, const VkDeviceImageMemoryRequirements* pInfo,
                                    VkMemoryRequirements2* pRequirements) {
    assert_int_equal(pInfo->sType, VK_STRUCTURE_TYPE_DEVICE_IMAGE_MEMORY_REQUIREMENTS);
    assert_null(pInfo->pNext);
    assert_int_equal(pInfo->planeAspect, 0);
    look_at_answer(pRequirements);
    driver.pCreateInfo = pInfo->pCreateInfo;
    driver.pNext = pInfo->pCreateInfo->pNext;
    driver.imageRequirements(device, pInfo, pRequirements);
}

/*  VMA#506: pointers in the structures of VK_KHR_maintenance4. The driver gets the user's create
    info itself, chain and all, in structures whose every field is set; nothing is created to ask;
    and the answer decides, for host access too. As the extension and as a part of Vulkan 1.3. */
static void test_vma_506_maintenance4(void** state) {
    static const uint32_t versions[] = {VK_API_VERSION_1_1, VK_API_VERSION_1_3};
    static const char* const names[] = {
        "vkGetDeviceBufferMemoryRequirementsKHR", "vkGetDeviceBufferMemoryRequirements",
        "vkGetDeviceImageMemoryRequirementsKHR", "vkGetDeviceImageMemoryRequirements"};
    PFN_vkGetDeviceProcAddr get = sim_get_device_proc_addr();
    VkExternalMemoryBufferCreateInfo buffer_chain = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
        .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    VkExternalMemoryImageCreateInfo image_chain = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
        .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    uint32_t i, type;
    (void)state;
    for (i = 0; i < 2; i++) {
        SimProfile profile = sim_profile_discrete();
        RigOptions options = rig_options();
        Ask buffer = ask_of(BUFFER, READBACK);
        Ask image = ask_of(LINEAR, READBACK);
        Rig* rig;
        profile.masks.buffer = 0x3; /* readback prefers type 2; here it is not for buffers */
        profile.masks.imageLinear = 0x5;
        options.profile = &profile;
        options.sim.apiVersion = versions[i];
        options.info.flags = i == 0 ? (VkFlags)SXVK_ALLOCATOR_CREATE_KHR_MAINTENANCE4_BIT : 0;
        rig = rig_create_bare(&options);
        rig->functions.vkGetDeviceBufferMemoryRequirements = look_at_buffer;
        rig->functions.vkGetDeviceImageMemoryRequirements = look_at_image;
        assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator), VK_SUCCESS);
        memset(&driver, 0, sizeof driver);
        driver.bufferRequirements =
            (PFN_vkGetDeviceBufferMemoryRequirements)get(rig->info.device, names[i]);
        driver.imageRequirements =
            (PFN_vkGetDeviceImageMemoryRequirements)get(rig->info.device, names[2 + i]);
        buffer.buffer.pNext = &buffer_chain;
        assert_int_equal(sxvkFindMemoryTypeIndexForBufferInfo(rig->allocator, &buffer.buffer,
                                                              &buffer.info, &type),
                         VK_SUCCESS);
        assert_int_equal(type, 1);
        assert_ptr_equal(driver.pCreateInfo, &buffer.buffer);
        assert_ptr_equal(driver.pNext, &buffer_chain);
        assert_int_equal(driver.calls, 1);
        image.image.pNext = &image_chain;
        assert_int_equal(
            sxvkFindMemoryTypeIndexForImageInfo(rig->allocator, &image.image, &image.info, &type),
            VK_SUCCESS);
        assert_int_equal(type, 2);
        assert_ptr_equal(driver.pCreateInfo, &image.image);
        assert_ptr_equal(driver.pNext, &image_chain);
        assert_int_equal(driver.calls, 2);
        assert_int_equal(sim_calls(rig->sim, SIM_CALL_CREATE_BUFFER), 0);
        assert_int_equal(sim_calls(rig->sim, SIM_CALL_CREATE_IMAGE), 0);
        rig_destroy(rig);
    }
}

/*  flutter/engine#43339: no lazily allocated type on some phones, and dedicated memory in its place
    was slow. Transient attachments share blocks then; only GPU_LAZILY_ALLOCATED fails. */
static void test_flutter_43339_no_lazy_type(void** state) {
    Rig* rig = open_rig("adreno_540", 0);
    Ask ask = ask_of(OPTIMAL, TILE);
    SxvkAllocation allocations[2];
    SxvkAllocationInfo2 infos[2];
    VkImage images[2];
    uint32_t type, i;
    (void)state;
    for (i = 0; i < 2; i++) {
        assert_int_equal(sxvkCreateImage(rig->allocator, &ask.image, &ask.info, &images[i],
                                         &allocations[i], NULL),
                         VK_SUCCESS);
        sxvkGetAllocationInfo2(rig->allocator, allocations[i], &infos[i]);
        assert_int_equal(infos[i].dedicatedMemory, VK_FALSE);
        assert_int_equal(infos[i].allocationInfo.memoryType, 0);
    }
    assert_true(infos[0].allocationInfo.deviceMemory == infos[1].allocationInfo.deviceMemory);
    for (i = 0; i < 2; i++) {
        sxvkDestroyImage(rig->allocator, images[i], allocations[i]);
    }
    ask = ask_of(OPTIMAL, TILE_LAZY);
    assert_int_equal(create_and_look(rig, &ask, &type), VK_ERROR_FEATURE_NOT_PRESENT);
    rig_expect(rig, SXVK_MESSAGE_NO_MEMORY_TYPE, 1);
    rig_destroy(rig);
}

/*  steelbrain/reims-vgpu#92: crashes on NVK, which lists its small window before system memory, so
    that the first host-visible type is the wrong one. Bulk data of the host stays out of it; with
    system memory full, staging may use it. */
static void test_reims_92_nvk_window_first(void** state) {
    static const uint32_t bulk[] = {STAGING, READBACK, HOST, MAPPABLE};
    Rig* rig = open_rig("nvk_mx450_small_bar", 0);
    Chunks chunks = {.count = 0};
    uint32_t i;
    (void)state;
    for (i = 0; i < sizeof bulk / sizeof bulk[0]; i++) {
        chunks_add(&chunks, rig, bulk[i], 4 * MIB, 8);
    }
    assert_int_equal(chunks.types, 1u << 2);
    assert_int_equal(sim_peak_memory_bytes(rig->sim, 1), 0);
    sim_heap_limit(rig->sim, 2, sim_live_memory_bytes(rig->sim, 2));
    chunks_add(&chunks, rig, STAGING, 4 * MIB, 16);
    assert_int_equal(chunks.types, 1u << 2 | 1u << 1);
    chunks_free(&chunks, rig);
}

/*  An APU whose device-local heaps are 256 MiB each, beside 15 GiB of the same memory: DEVICE_LOCAL
    is a preference. The first two heaps fill up, the rest goes on elsewhere. */
static void test_apu_of_256_mib(void** state) {
    Rig* rig = open_rig("amd_raphael_igpu_windows_8type", 0);
    SxvkAllocationCreateInfo local = {.requiredFlags = LOCAL};
    VkMemoryRequirements requirements = testing_requirements(4 * MIB, 256, 0xFF);
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
    Chunks chunks = {.count = 0};
    (void)state;
    chunks_add(&chunks, rig, DEVICE, 4 * MIB, 8);
    assert_int_equal(chunks.types, 1u << 0);
    chunks_add(&chunks, rig, DEVICE, 16 * MIB, 64);
    assert_int_equal(chunks.types, 1u << 0 | 1u << 2 | 1u << 1);
    /* With DEVICE_LOCAL as a must there are small gaps left at best, and never system memory. */
    while (sxvkAllocateMemory(rig->allocator, &requirements, &local, &allocation, &info) ==
           VK_SUCCESS) {
        assert_true(info.memoryType == 0 || info.memoryType == 2);
        assert_true(chunks.count < MAX_CHUNKS);
        chunks.buffers[chunks.count] = VK_NULL_HANDLE;
        chunks.allocations[chunks.count++] = allocation;
    }
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    chunks_free(&chunks, rig);
}

/* ------------------------------------------------------------------ pools */

/*  The answer for a pool of this type: it, if that is allowed. */
static void assert_of_pool(Rig* rig, VkResult result, uint32_t found, uint32_t type, bool allowed) {
    assert_int_equal(result, allowed ? VK_SUCCESS : VK_ERROR_FEATURE_NOT_PRESENT);
    assert_int_equal(found, allowed ? type : UINT32_MAX);
    rig_expect(rig, SXVK_MESSAGE_NO_MEMORY_TYPE, allowed ? 0 : 1);
}

/*  A pool has one type, and it decides alone: whatever the usage would like better, it is that type
    or none. All three questions say what an allocation then does. */
static void test_pool_decides(void** state) {
    static const SxvkAllocationCreateInfo wishes[] = {
        {.usage = UNKNOWN},
        {.usage = AUTO},
        {.usage = AUTO, .flags = WRITE},
        {.usage = PREFER_HOST, .flags = RANDOM},
        {.usage = PREFER_DEVICE},
        {.requiredFlags = LOCAL | VISIBLE},
        {.preferredFlags = CACHED, .avoidedFlags = LOCAL},
        {.usage = AUTO, .memoryTypeBits = 4},
    };
    const uint32_t buffer_bits = 0xD, image_bits = 0x3;
    VkBufferCreateInfo buffer_info = testing_buffer(1024, MESH);
    VkImageCreateInfo image_info = testing_image(16, 16, VK_IMAGE_TILING_OPTIMAL);
    SimProfile profile = sim_profile_discrete();
    RigOptions options = rig_options();
    uint32_t type, bits, found, i;
    Rig* rig;
    (void)state;
    profile.masks.buffer = buffer_bits;
    profile.masks.imageOptimal = image_bits;
    options.profile = &profile;
    rig = rig_create(&options);
    for (type = 0; type < 4; type++) {
        SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = type};
        SxvkPool pool;
        assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
        for (i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
            SxvkAllocationCreateInfo create = wishes[i];
            SxvkAllocation allocation;
            SxvkAllocationInfo info;
            VkBuffer buffer;
            VkImage image;
            VkResult result;
            create.pool = pool;
            for (bits = 0; bits < 16; bits++) {
                found = 0;
                result = sxvkFindMemoryTypeIndex(rig->allocator, bits, &create, &found);
                assert_of_pool(rig, result, found, type, ((bits >> type) & 1) != 0);
            }
            found = 0;
            result =
                sxvkFindMemoryTypeIndexForBufferInfo(rig->allocator, &buffer_info, &create, &found);
            assert_of_pool(rig, result, found, type, ((buffer_bits >> type) & 1) != 0);
            result = sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &buffer, &allocation,
                                      &info);
            found = result == VK_SUCCESS ? info.memoryType : UINT32_MAX;
            assert_of_pool(rig, result, found, type, ((buffer_bits >> type) & 1) != 0);
            sxvkDestroyBuffer(rig->allocator, buffer, allocation);

            found = 0;
            result =
                sxvkFindMemoryTypeIndexForImageInfo(rig->allocator, &image_info, &create, &found);
            assert_of_pool(rig, result, found, type, ((image_bits >> type) & 1) != 0);
            result =
                sxvkCreateImage(rig->allocator, &image_info, &create, &image, &allocation, &info);
            found = result == VK_SUCCESS ? info.memoryType : UINT32_MAX;
            assert_of_pool(rig, result, found, type, ((image_bits >> type) & 1) != 0);
            sxvkDestroyImage(rig->allocator, image, allocation);
        }
        sxvkDestroyPool(rig->allocator, pool);
    }
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ explanations */

static VkResult explain(Rig* rig, const Ask* ask, char** text) {
    return sxvkExplainMemoryType(rig->allocator, UINT32_MAX, &ask->info,
                                 ask->kind == BUFFER ? &ask->buffer : NULL,
                                 ask->kind == BUFFER ? NULL : &ask->image, text);
}

/*  "7. type 3 (heap 0, ...)..." or "-. type 3 (...)...": the rank, 0 for "-", and the type. */
static bool parse_line(const char* line, uint32_t* rank, uint32_t* type) {
    *rank = 0;
    if (line[0] == '-') {
        return sscanf(line, "-. type %u (heap ", type) == 1;
    }
    return sscanf(line, "%u. type %u (heap ", rank, type) == 2;
}

/*  A type that cannot be had says why. */
static void check_reason(const sxvki_wish* wish, VkMemoryPropertyFlags flags, uint32_t type,
                         const char* line) {
    const char* word = "small window";
    if ((wish->type_bits >> type & 1) == 0) {
        word = "; not in memoryTypeBits";
    } else if ((wish->required & ~flags) != 0) {
        word = "; lacks required ";
    } else if ((flags & SPECIAL & ~wish->special) != 0) {
        word = "; taken only when asked for: ";
    } else if ((flags & AMD) != 0) {
        word = "; deviceCoherentMemory is not enabled";
    }
    if (strstr(line, word) == NULL) {
        fail_msg("no \"%s\" in: %s", word, line);
    }
}

/*  Each type once, those that can be had first and in the order of the ladder, and for all but the
    winner a reason behind the parenthesis. Cuts the text into lines. */
static void check_text(const sxvki_memory_model* model, const sxvki_wish* wish, uint32_t winner,
                       char* text) {
    sxvki_wish left = *wish;
    uint32_t next = sxvki_memory_type_best(model, &left);
    uint32_t seen = 0, last_rank = 0, lines = 0;
    char* line;
    char* end;
    assert_int_equal(next, winner);
    if (winner == UINT32_MAX) {
        assert_int_equal(strncmp(text, "no memory type fits\n", 20), 0);
        text += 20;
    }
    for (line = text; *line != 0; line = end + 1, lines++) {
        uint32_t rank, type;
        end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        assert_true(parse_line(line, &rank, &type));
        assert_true(type < model->properties.memoryTypeCount);
        assert_int_equal(seen >> type & 1, 0);
        seen |= 1u << type;
        if (rank != 0) {
            assert_int_equal(lines, last_rank);
            assert_int_equal(rank, ++last_rank);
            assert_int_equal(type, next);
            next = sxvki_memory_type_next(model, &left, next);
        } else {
            check_reason(wish, model->properties.memoryTypes[type].propertyFlags, type, line);
        }
        if (rank != 1 && strstr(line, "; ") == NULL) {
            fail_msg("no reason: %s", line);
        }
    }
    assert_int_equal(lines, model->properties.memoryTypeCount);
    assert_int_equal(next, SXVKI_NONE);
}

static void test_explanations(void** state) {
    uint32_t i;
    (void)state;
    for (i = 0; i < profile_count; i++) {
        Rig* rig = open_rig(profiles[i].name, 0);
        int kind;
        for (kind = BUFFER; kind <= OPTIMAL; kind++) {
            uint32_t question;
            for (question = 0; question < question_count((Kind)kind); question++) {
                Ask ask = ask_of((Kind)kind, question);
                sxvki_memory_model model;
                sxvki_wish wish;
                uint32_t winner;
                char* text;
                VkResult result = find_type(rig, &ask, &winner);
                wish_of(&profiles[i], type_bits(rig, &ask), &ask, &model, &wish);
                rig_expect(rig, SXVK_MESSAGE_NO_MEMORY_TYPE, result != VK_SUCCESS);
                assert_int_equal(explain(rig, &ask, &text), VK_SUCCESS);
                check_text(&model, &wish, winner, text);
                sxvkFreeStatsString(rig->allocator, text);
            }
        }
        rig_destroy(rig);
    }
}

/*  Without a resource, with masks of all sorts: the winner is sxvkFindMemoryTypeIndex's. */
static void test_explanations_of_masks(void** state) {
    uint64_t random = 5;
    uint32_t i;
    (void)state;
    for (i = 0; i < profile_count; i++) {
        Rig* rig = open_rig(profiles[i].name, 0);
        uint32_t n;
        for (n = 0; n < 20; n++) {
            sxvki_purpose purpose;
            sxvki_wish wish;
            uint32_t winner;
            VkResult result;
            char* text;
            Draw draw;
            draw_wish(&random, &profiles[i], true, &draw);
            model_of(&profiles[i], 0, &draw.model);
            sxvki_purpose_unknown(&purpose, SXVKI_KIND_UNKNOWN);
            sxvki_wish_init(&wish, &draw.model, draw.bits, &draw.info, &purpose);
            result = sxvkFindMemoryTypeIndex(rig->allocator, draw.bits, &draw.info, &winner);
            rig_expect(rig, SXVK_MESSAGE_NO_MEMORY_TYPE, result != VK_SUCCESS);
            assert_int_equal(
                sxvkExplainMemoryType(rig->allocator, draw.bits, &draw.info, NULL, NULL, &text),
                VK_SUCCESS);
            check_text(&draw.model, &wish, winner, text);
            sxvkFreeStatsString(rig->allocator, text);
        }
        rig_destroy(rig);
    }
}

static void test_explanation_failures(void** state) {
    RigOptions options = rig_options();
    Rig* rig;
    Ask ask = ask_of(BUFFER, DEVICE);
    SxvkAllocationCreateInfo bad = {.flags = WRITE | RANDOM};
    char* text = (char*)&ask;
    (void)state;
    options.sim.apiVersion = VK_API_VERSION_1_0;
    options.sim.maintenance4 = false;
    rig = rig_create(&options);
    assert_int_equal(sxvkExplainMemoryType(rig->allocator, 1, &bad, NULL, NULL, &text),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_null(text);
    rig_expect(rig, SXVK_MESSAGE_CONFLICTING_FLAGS, 1);
    text = (char*)&ask;
    assert_int_equal(sxvkExplainMemoryType(rig->allocator, 1, NULL, NULL, NULL, &text),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_null(text);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    assert_int_equal(sxvkExplainMemoryType(rig->allocator, 1, &ask.info, NULL, NULL, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    /* The driver refuses the buffer that Vulkan 1.0 has to ask with. */
    text = (char*)&ask;
    sim_fail(rig->sim, SIM_CALL_CREATE_BUFFER, 1, 1, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(explain(rig, &ask, &text), VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_null(text);
    messages_clear(&rig->messages);
    rig_destroy(rig);
}

/*  Fail each request for host memory in turn, until the text comes through. */
static void test_explanation_without_memory(void** state) {
    Rig* rig = open_rig("synthetic_32_types_16_heaps", 0);
    Ask ask = ask_of(BUFFER, DEVICE);
    uint64_t live_bytes = rig->host.liveBytes;
    uint64_t live = rig->host.liveCount;
    uint64_t nth;
    bool done = false;
    (void)state;
    for (nth = 1; !done; nth++) {
        char* text = (char*)&ask;
        VkResult result;
        assert_true(nth < 100);
        host_fail(&rig->host, nth, 1);
        result = explain(rig, &ask, &text);
        host_fail(&rig->host, 1, 0);
        done = result == VK_SUCCESS;
        if (!done) {
            assert_int_equal(result, VK_ERROR_OUT_OF_HOST_MEMORY);
            assert_null(text);
            rig_expect(rig, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
        } else {
            assert_true(nth > 2); /* the text grew on the way */
            assert_non_null(text);
            sxvkFreeStatsString(rig->allocator, text);
        }
        assert_int_equal(rig->host.liveCount, live);
        assert_int_equal(rig->host.liveBytes, live_bytes);
    }
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ remembered decisions */

static uint32_t scored(const Draw* draw) {
    sxvki_wish wish;
    sxvki_wish_init(&wish, &draw->model, draw->bits, &draw->info, &draw->purpose);
    return sxvki_memory_type_best(&draw->model, &wish);
}

static uint32_t decided(const Draw* draw, sxvki_decision* decisions) {
    return sxvki_memory_type_decide(&draw->model, decisions, draw->bits, &draw->info,
                                    &draw->purpose);
}

/*  The same question, but for one part of it. */
static void vary(uint64_t* random, Draw* draw) {
    static const VkFlags access[] = {0, WRITE, RANDOM, WRITE | TRANSFER, RANDOM | TRANSFER};
    static const SxvkMemoryUsage usages[] = {AUTO, PREFER_DEVICE, PREFER_HOST, UNKNOWN, LAZILY};
    VkMemoryPropertyFlags flag = (VkMemoryPropertyFlags)1 << testing_below(random, 9);
    switch (testing_below(random, 11)) {
    case 0: draw->bits ^= 1u << testing_below(random, 16); break;
    case 1: draw->info.memoryTypeBits = (uint32_t)testing_random(random); break;
    case 2: draw->info.requiredFlags ^= flag; break;
    case 3: draw->info.preferredFlags ^= flag; break;
    case 4: draw->info.avoidedFlags ^= flag; break;
    case 5: draw->info.usage = usages[testing_below(random, 5)]; break;
    case 6: draw->info.flags = access[testing_below(random, 5)]; break;
    case 7: draw->purpose.device_access = !draw->purpose.device_access; break;
    case 8: draw->purpose.transient = !draw->purpose.transient; break;
    case 9: draw->purpose.is_protected = !draw->purpose.is_protected; break;
    default: draw->info.flags ^= SXVK_ALLOCATION_CREATE_MAPPED_BIT; break; /* no matter */
    }
}

static uint32_t ready_count(const sxvki_decision* decisions) {
    uint32_t i, count = 0;
    for (i = 0; i < SXVKI_DECISIONS; i++) {
        count += (decisions[i].word & SXVKI_DECISION_READY) != 0;
    }
    return count;
}

/*  A decision is what scoring says: asked first and again, alone and among questions that are almost
    the same. */
static void test_decisions_are_scores(void** state) {
    uint64_t random = 11;
    uint32_t i, n, v;
    (void)state;
    for (i = 0; i < profile_count; i++) {
        for (n = 0; n < 60; n++) {
            sxvki_decision decisions[SXVKI_DECISIONS];
            Draw first, draw;
            memset(decisions, 0, sizeof decisions);
            draw_wish(&random, &profiles[i], n % 3 != 0, &first);
            assert_int_equal(decided(&first, decisions), scored(&first));
            assert_int_equal(ready_count(decisions), scored(&first) != SXVKI_NONE);
            for (v = 0; v < 30; v++) {
                draw = first;
                vary(&random, &draw);
                assert_int_equal(decided(&draw, decisions), scored(&draw));
                assert_int_equal(decided(&draw, decisions), scored(&draw));
                assert_int_equal(decided(&first, decisions), scored(&first));
            }
        }
    }
}

/*  A question that was answered is found, not scored: the model may be gone. */
static void test_decisions_are_remembered(void** state) {
    sxvki_decision decisions[SXVKI_DECISIONS];
    uint64_t random = 12;
    uint32_t n, type, kept = 0;
    (void)state;
    for (n = 0; n < 200; n++) {
        Draw draw;
        memset(decisions, 0, sizeof decisions);
        draw_wish(&random, &profiles[n % profile_count], false, &draw);
        type = decided(&draw, decisions);
        memset(&draw.model, 0, sizeof draw.model);
        if (type != SXVKI_NONE) {
            assert_int_equal(decided(&draw, decisions), type);
            assert_int_equal(ready_count(decisions), 1);
            kept++;
        }
    }
    assert_true(kept > 100);
}

/*  The table is full, and stays right: what is in it and what is not. */
static void test_full_table_of_decisions(void** state) {
    enum { COUNT = 2000 };
    static Draw draws[COUNT];
    uint64_t random = 13;
    uint32_t i, n;
    (void)state;
    for (i = 0; i < profile_count; i++) {
        sxvki_decision decisions[SXVKI_DECISIONS], full[SXVKI_DECISIONS];
        sxvki_memory_model model;
        memset(decisions, 0, sizeof decisions);
        model_of(&profiles[i], 0, &model);
        for (n = 0; n < COUNT; n++) {
            draw_wish(&random, &profiles[i], true, &draws[n]);
            draws[n].model = model; /* of an allocator there is one */
            assert_int_equal(decided(&draws[n], decisions), scored(&draws[n]));
        }
        assert_int_equal(ready_count(decisions), SXVKI_DECISIONS);
        memcpy(full, decisions, sizeof full);
        for (n = 0; n < COUNT; n++) {
            assert_int_equal(decided(&draws[n], decisions), scored(&draws[n]));
        }
        assert_memory_equal(full, decisions, sizeof full); /* entries never change */
    }
}

typedef struct Decider {
    pthread_t thread;
    uint64_t random;
    const Draw* draws;
    sxvki_decision* decisions;
    uint32_t wrong;
} Decider;

#define DECIDER_DRAWS 100

static uint32_t deciders_ready; /* atomic */

static void* decide_much(void* argument) {
    Decider* decider = (Decider*)argument;
    uint32_t n;
    (void)__atomic_add_fetch(&deciders_ready, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&deciders_ready, __ATOMIC_ACQUIRE) < 4) {
    }
    for (n = 0; n < 3 * DECIDER_DRAWS; n++) { /* at first all ask the same */
        uint32_t which = n < DECIDER_DRAWS ? n : testing_below(&decider->random, DECIDER_DRAWS);
        const Draw* draw = &decider->draws[which];
        decider->wrong += decided(draw, decider->decisions) != scored(draw);
    }
    return NULL;
}

/*  Threads that fill one table, again and again. */
static void test_decisions_of_threads(void** state) {
    static Draw draws[DECIDER_DRAWS];
    sxvki_decision decisions[SXVKI_DECISIONS];
    Decider deciders[4];
    uint64_t random = 14;
    uint32_t round, i;
    (void)state;
    for (round = 0; round < 150; round++) {
        const SimProfile* profile = &profiles[round % profile_count];
        memset(decisions, 0, sizeof decisions);
        deciders_ready = 0;
        for (i = 0; i < DECIDER_DRAWS; i++) {
            draw_wish(&random, profile, i % 2 == 0, &draws[i]);
            model_of(profile, 0, &draws[i].model);
        }
        for (i = 0; i < 4; i++) {
            deciders[i].random = random + round * 4 + i;
            deciders[i].draws = draws;
            deciders[i].decisions = decisions;
            deciders[i].wrong = 0;
            assert_int_equal(pthread_create(&deciders[i].thread, NULL, decide_much, &deciders[i]),
                             0);
        }
        for (i = 0; i < 4; i++) {
            (void)pthread_join(deciders[i].thread, NULL);
            assert_int_equal(deciders[i].wrong, 0);
        }
        assert_true(ready_count(decisions) > 0);
    }
}

/*  Through the API: where an allocation lands is what sxvkFindMemoryTypeIndex says, however often the
    same was asked before. */
static void test_allocations_go_where_decided(void** state) {
    uint64_t random = 15;
    uint32_t i, n, made = 0;
    (void)state;
    for (i = 0; i < profile_count; i++) {
        Rig* rig = open_rig(profiles[i].name, 0);
        for (n = 0; n < 150; n++) {
            VkMemoryRequirements needs = testing_requirements(100, 1, UINT32_MAX);
            SxvkAllocation allocation;
            SxvkAllocationInfo info;
            uint32_t type;
            VkResult result;
            Draw draw;
            draw_wish(&random, &profiles[i], n % 2 == 0, &draw);
            needs.memoryTypeBits = draw.bits;
            result = sxvkFindMemoryTypeIndex(rig->allocator, draw.bits, &draw.info, &type);
            if (result == VK_SUCCESS && (flags_of(&draw, type) & PROTECTED) != 0) {
                continue; /* a feature that the device was not made with */
            }
            assert_int_equal(
                sxvkAllocateMemory(rig->allocator, &needs, &draw.info, &allocation, &info), result);
            if (result == VK_SUCCESS) {
                assert_int_equal(info.memoryType, type);
                made++;
            }
            sxvkFreeMemory(rig->allocator, allocation);
            messages_clear(&rig->messages);
        }
        rig_destroy(rig);
    }
    assert_true(made > 2000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_table_vulkan_1_0),
        cmocka_unit_test(test_lazy_buffer),
        cmocka_unit_test(test_any_wish),
        cmocka_unit_test(test_order_of_types),
        cmocka_unit_test(test_intents),
        cmocka_unit_test(test_upscayl_1314),
        cmocka_unit_test(test_vma_157_budget_of_16_eib),
        cmocka_unit_test(test_vma_266_staging_in_bar),
        cmocka_unit_test(test_vkd3d_1306_full_bar),
        cmocka_unit_test(test_vma_98_amd_coherent),
        cmocka_unit_test(test_vma_362_no_cached_type),
        cmocka_unit_test(test_vma_515_everything_mappable),
        cmocka_unit_test(test_vma_407_map_of_vram),
        cmocka_unit_test(test_vma_506_maintenance4),
        cmocka_unit_test(test_flutter_43339_no_lazy_type),
        cmocka_unit_test(test_reims_92_nvk_window_first),
        cmocka_unit_test(test_apu_of_256_mib),
        cmocka_unit_test(test_pool_decides),
        cmocka_unit_test(test_explanations),
        cmocka_unit_test(test_explanations_of_masks),
        cmocka_unit_test(test_explanation_failures),
        cmocka_unit_test(test_explanation_without_memory),
        cmocka_unit_test(test_decisions_are_scores),
        cmocka_unit_test(test_decisions_are_remembered),
        cmocka_unit_test(test_full_table_of_decisions),
        cmocka_unit_test(test_decisions_of_threads),
        cmocka_unit_test(test_allocations_go_where_decided),
    };
    return cmocka_run_group_tests(tests, load_profiles, free_profiles);
}
