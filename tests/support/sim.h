/*  sim.h - a simulated Vulkan device to test allocators against.

    It answers like the real GPU of a profile (heaps, types, limits, budgets), checks its caller
    as a validation layer would, counts every call and fails calls on demand. No loader, no
    driver.

        SimOptions options = sim_default_options();
        SimProfile profile = sim_profile_discrete();
        Sim* sim = sim_create(&profile, &options);
        ... give sim_instance(), sim_physical_device(), sim_device() and the two proc-addr functions
            to the code under test ...
        assert_int_equal(sim_errors(sim), 0);
        assert_int_equal(sim_destroy(sim), 0);

    Any number of sims may live at once; Vulkan calls on one may come from any thread. Settings
    (hooks, faults, limits) may change at any time, but a hook must be set while no other thread
    is inside a call. Compile and link: sim.c, cJSON, pthread. Works with and without
    VK_NO_PROTOTYPES, from C and C++.
*/
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct Sim Sim;

/* ------------------------------------------------------------------ profiles */

/*  memoryTypeBits per kind of resource; 0 = the profile does not say, a sensible rule decides:
    buffers and linear images: all types but PROTECTED and LAZILY_ALLOCATED ones; optimal
    images: the DEVICE_LOCAL and the flagless types among them; transient attachments: these and
    the lazy ones. */
typedef struct SimMasks {
    uint32_t buffer;
    uint32_t descriptorBuffer;
    uint32_t imageLinear;
    uint32_t imageOptimal;
    uint32_t imageTransient;
    uint32_t imageD16;
    uint32_t imageD24S8;
    uint32_t imageD32;
    uint32_t imageD32S8;
    uint32_t imageS8;
    uint32_t appVisible; /* ANDed to all of the above; 0 = all types */
} SimMasks;

typedef struct SimProfile {
    char name[64];
    VkPhysicalDeviceType deviceType;
    VkPhysicalDeviceMemoryProperties memory;
    VkDeviceSize bufferImageGranularity;
    VkDeviceSize nonCoherentAtomSize;
    VkDeviceSize minMemoryMapAlignment;
    VkDeviceSize maxMemoryAllocationSize; /* bytes; 0 = not known, 1 TiB is reported */
    uint32_t maxMemoryAllocationCount;
    SimMasks masks;
    bool hasBudgetReport; /* else: budget = heap size less 1 %, usage of others = 0 */
    VkDeviceSize budget[VK_MAX_MEMORY_HEAPS];
    VkDeviceSize usage[VK_MAX_MEMORY_HEAPS]; /* by others, before we allocate anything */
} SimProfile;

/*  Reads tests/data/gpu_profiles.json. On failure: false, a line on stderr, both outputs zero. */
bool sim_load_profiles(const char* path, SimProfile** ppProfiles, uint32_t* pCount);
void sim_free_profiles(SimProfile* profiles);
const SimProfile* sim_find_profile(const SimProfile* profiles, uint32_t count, const char* name);

/*  No file needed: heaps 8 GiB device, 16 GiB system, 256 MiB BAR; types 0 DEVICE_LOCAL, 1
    HOST_VISIBLE | COHERENT, 2 that | CACHED, 3 DEVICE_LOCAL | HOST_VISIBLE | COHERENT in the
    BAR; granularity 1024, atom 64, 4096 allocations. */
SimProfile sim_profile_discrete(void);

/* ------------------------------------------------------------------ life */

typedef struct SimOptions {
    uint32_t apiVersion; /* of instance and device; decides which core names exist */

    /* Validate the caller. Off: a call costs a few ns, and mistakes go unseen. */
    bool checks;

    /* Real bytes behind every memory, so that contents can be compared. Off: vkMapMemory gives
       addresses that must not be touched, distinct per memory. */
    bool backing;

    /* The KHR names of what is core since 1.1: get_physical_device_properties2,
       get_memory_requirements2, dedicated_allocation, bind_memory2, maintenance3. */
    bool khrNames;

    bool debugUtils;
    bool memoryBudget;
    bool memoryPriority;
    bool pageableDeviceLocal;
    bool bufferDeviceAddress;
    bool maintenance4;         /* the KHR extension; core with 1.3 whatever stands here */
    bool maintenance5;         /* where the headers know it */
    bool deviceCoherentMemory; /* the AMD feature; without it, using such a type is an error */
} SimOptions;

/*  Vulkan 1.3, checks on, backing off, every extension on but deviceCoherentMemory. */
SimOptions sim_default_options(void);

/*  A null option pointer means the defaults. NULL when host memory is out. */
Sim* sim_create(const SimProfile* profile, const SimOptions* options);

/*  Frees everything; returns how many memories, buffers and images the caller leaked (and lists
    the first ones on stderr, unless quiet). */
uint64_t sim_destroy(Sim* sim);

VkInstance sim_instance(Sim* sim);
VkPhysicalDevice sim_physical_device(Sim* sim);
VkDevice sim_device(Sim* sim);
/*  vkCmdCopyBuffer and vkCmdCopyImage (of all of an image) copy at once, with backing;
    vkCmdPipelineBarrier looks at its arguments, and tells the layouts of images. */
VkCommandBuffer sim_command_buffer(Sim* sim);
/*  Or they wait, as on a device that has not got so far, until they are executed: what they name
    must be there then. */
void sim_defer_copies(Sim* sim, bool defer);
void sim_execute_copies(Sim* sim);
const SimProfile* sim_profile(Sim* sim);

/*  The proc-addr functions need no sim: they find it from the instance or device handle. Null
    for unknown names and for names that apiVersion and options do not enable. */
PFN_vkGetInstanceProcAddr sim_get_instance_proc_addr(void);
PFN_vkGetDeviceProcAddr sim_get_device_proc_addr(void);

/* ------------------------------------------------------------------ calls */

/*  X(id, function, failable). KHR and EXT aliases count as the core function. */
#define SIM_CALLS(X)                                                                            \
    X(GET_INSTANCE_PROC_ADDR, vkGetInstanceProcAddr, 0)                                         \
    X(GET_DEVICE_PROC_ADDR, vkGetDeviceProcAddr, 0)                                             \
    X(GET_PHYSICAL_DEVICE_PROPERTIES, vkGetPhysicalDeviceProperties, 0)                         \
    X(GET_PHYSICAL_DEVICE_PROPERTIES2, vkGetPhysicalDeviceProperties2, 0)                       \
    X(GET_PHYSICAL_DEVICE_MEMORY_PROPERTIES, vkGetPhysicalDeviceMemoryProperties, 0)            \
    X(GET_PHYSICAL_DEVICE_MEMORY_PROPERTIES2, vkGetPhysicalDeviceMemoryProperties2, 0)          \
    X(GET_PHYSICAL_DEVICE_FEATURES, vkGetPhysicalDeviceFeatures, 0)                             \
    X(GET_PHYSICAL_DEVICE_FEATURES2, vkGetPhysicalDeviceFeatures2, 0)                           \
    X(ENUMERATE_DEVICE_EXTENSION_PROPERTIES, vkEnumerateDeviceExtensionProperties, 1)           \
    X(ALLOCATE_MEMORY, vkAllocateMemory, 1)                                                     \
    X(FREE_MEMORY, vkFreeMemory, 0)                                                             \
    X(MAP_MEMORY, vkMapMemory, 1)                                                               \
    X(UNMAP_MEMORY, vkUnmapMemory, 0)                                                           \
    X(FLUSH_MAPPED_MEMORY_RANGES, vkFlushMappedMemoryRanges, 1)                                 \
    X(INVALIDATE_MAPPED_MEMORY_RANGES, vkInvalidateMappedMemoryRanges, 1)                       \
    X(BIND_BUFFER_MEMORY, vkBindBufferMemory, 1)                                                \
    X(BIND_BUFFER_MEMORY2, vkBindBufferMemory2, 1)                                              \
    X(BIND_IMAGE_MEMORY, vkBindImageMemory, 1)                                                  \
    X(BIND_IMAGE_MEMORY2, vkBindImageMemory2, 1)                                                \
    X(GET_BUFFER_MEMORY_REQUIREMENTS, vkGetBufferMemoryRequirements, 0)                         \
    X(GET_BUFFER_MEMORY_REQUIREMENTS2, vkGetBufferMemoryRequirements2, 0)                       \
    X(GET_IMAGE_MEMORY_REQUIREMENTS, vkGetImageMemoryRequirements, 0)                           \
    X(GET_IMAGE_MEMORY_REQUIREMENTS2, vkGetImageMemoryRequirements2, 0)                         \
    X(GET_DEVICE_BUFFER_MEMORY_REQUIREMENTS, vkGetDeviceBufferMemoryRequirements, 0)            \
    X(GET_DEVICE_IMAGE_MEMORY_REQUIREMENTS, vkGetDeviceImageMemoryRequirements, 0)              \
    X(CREATE_BUFFER, vkCreateBuffer, 1)                                                         \
    X(DESTROY_BUFFER, vkDestroyBuffer, 0)                                                       \
    X(CREATE_IMAGE, vkCreateImage, 1)                                                           \
    X(DESTROY_IMAGE, vkDestroyImage, 0)                                                         \
    X(GET_BUFFER_DEVICE_ADDRESS, vkGetBufferDeviceAddress, 0)                                   \
    X(GET_DEVICE_MEMORY_OPAQUE_CAPTURE_ADDRESS, vkGetDeviceMemoryOpaqueCaptureAddress, 0)       \
    X(SET_DEVICE_MEMORY_PRIORITY, vkSetDeviceMemoryPriorityEXT, 0)                              \
    X(SET_DEBUG_UTILS_OBJECT_NAME, vkSetDebugUtilsObjectNameEXT, 1)                             \
    X(CMD_COPY_BUFFER, vkCmdCopyBuffer, 0)                                                      \
    X(CMD_COPY_IMAGE, vkCmdCopyImage, 0)                                                           \
    X(CMD_PIPELINE_BARRIER, vkCmdPipelineBarrier, 0)

#define SIM_X(id, function, failable) SIM_CALL_##id,
typedef enum SimCall {
    SIM_CALLS(SIM_X) SIM_CALL_COUNT,
    SIM_CALL_ANY = SIM_CALL_COUNT, /* sim_calls: the sum of all, proc-addr look-ups left out */
    SIM_CALL_ANY_FAILABLE          /* sim_fail: every call that returns a VkResult */
} SimCall;
#undef SIM_X

const char* sim_call_name(SimCall call); /* "vkAllocateMemory" */
bool sim_call_is_failable(SimCall call);

/*  Calls made since the start or the last reset, failed ones too. */
uint64_t sim_calls(Sim* sim, SimCall call);
void sim_reset_calls(Sim* sim);

/*  Called at the start of every driver call (proc-addr look-ups too) while the sim holds no
    lock of its own: what the hook calls back into must not wait for a lock that the caller kept
    across the driver call. A null hook removes it. */
typedef void (*SimCallHook)(void* pUser, SimCall call);
void sim_set_call_hook(Sim* sim, SimCallHook hook, void* pUser);

/* ------------------------------------------------------------------ caller errors */

/*  Prefix of each error's line on stderr. */
#define SIM_ERROR_PREFIX "sim error: "

/*  Mistakes of the caller found so far (only with SimOptions::checks). A call that is wrong
    does nothing and gives VK_ERROR_VALIDATION_FAILED_EXT, but: vkAllocateMemory above a limit
    answers as a driver would, and vkFreeMemory with resources still bound frees. */
uint64_t sim_errors(Sim* sim);
const char* sim_last_error(Sim* sim); /* "" if none; valid until the next error */
void sim_clear_errors(Sim* sim);
void sim_quiet(Sim* sim, bool quiet); /* print nothing; errors still count */

/*  Resources may overlap in memory (default: an overlap is an error). */
void sim_allow_aliasing(Sim* sim, bool allow);

/* ------------------------------------------------------------------ failures on demand */

/*  From the nth call of this kind on (1 = the next one), `times` calls in a row fail with `result`
    (UINT32_MAX = for ever). Up to 16 rules at a time; false when there are more. */
bool sim_fail(Sim* sim, SimCall call, uint32_t nth, uint32_t times, VkResult result);

/*  vkAllocateMemory of more than this many bytes fails with `result`; UINT64_MAX = never (the
    default). */
void sim_fail_allocations_above(Sim* sim, VkDeviceSize bytes, VkResult result);

/*  vkAllocateMemory gives VK_ERROR_OUT_OF_DEVICE_MEMORY when more than this much of the heap
    would be live. Default and most: the heap's size. */
void sim_heap_limit(Sim* sim, uint32_t heap, VkDeviceSize bytes);

/*  Drops what the three functions above set. */
void sim_clear_faults(Sim* sim);

/*  How many calls sim_fail has failed since the start. */
uint64_t sim_faults_fired(Sim* sim);

/*  What VK_EXT_memory_budget reports from now on: `budget` as it is, even if it is nonsense,
    and our own live bytes + usageOfOthers (saturating) as usage. Has no influence on
    allocation. */
void sim_set_budget(Sim* sim, uint32_t heap, VkDeviceSize budget, VkDeviceSize usageOfOthers);

/*  Change what a buffer or image asks for. Called when it is created and by
    vkGetDevice*MemoryRequirements, outside the sim's lock; one of the create infos is null. A
    null hook removes it. */
typedef struct SimRequirements {
    VkMemoryRequirements memory;
    bool prefersDedicated;
    bool requiresDedicated;
} SimRequirements;

typedef void (*SimRequirementsHook)(void* pUser, const VkBufferCreateInfo* pBuffer,
                                    const VkImageCreateInfo* pImage,
                                    SimRequirements* pRequirements);
void sim_set_requirements(Sim* sim, SimRequirementsHook hook, void* pUser);

/* ------------------------------------------------------------------ what exists */

uint64_t sim_live_memory_count(Sim* sim);
uint64_t sim_peak_memory_count(Sim* sim);
VkDeviceSize sim_live_memory_bytes(Sim* sim, uint32_t heap);
VkDeviceSize sim_peak_memory_bytes(Sim* sim, uint32_t heap);
VkDeviceSize sim_live_memory_total(Sim* sim);
VkDeviceSize sim_peak_memory_total(Sim* sim);
void sim_reset_peaks(Sim* sim); /* peaks = what is live now */
uint64_t sim_live_resource_count(Sim* sim); /* buffers and images */

/*  A non-dispatchable handle as the 64-bit number that debug names use. */
#if VK_USE_64_BIT_PTR_DEFINES == 1
#define SIM_HANDLE(handle) ((uint64_t)(uintptr_t)(handle))
#else
#define SIM_HANDLE(handle) ((uint64_t)(handle))
#endif

typedef struct SimMemoryInfo {
    VkDeviceSize size;
    uint32_t memoryTypeIndex;
    uint32_t boundCount; /* live resources or planes bound to it; known only with checks */
    bool mapped;
    VkDeviceSize mapOffset;
    VkDeviceSize mapSize;
    VkBuffer dedicatedBuffer;
    VkImage dedicatedImage;
    VkMemoryAllocateFlags flags;
    uint32_t deviceMask;
    VkExternalMemoryHandleTypeFlags exportTypes;
    bool imported;
    bool hasPriority; /* given at allocation or by vkSetDeviceMemoryPriorityEXT */
    float priority;
    VkMappedMemoryRange lastFlush; /* the last range flushed here; sType 0 = none */
    VkMappedMemoryRange lastInvalidate;
} SimMemoryInfo;

/*  False if the handle is not a live memory of this sim. */
bool sim_memory_info(Sim* sim, VkDeviceMemory memory, SimMemoryInfo* pInfo);

/*  Where a live resource is bound; false if it is not (or not known: see checks). */
bool sim_buffer_binding(Sim* sim, VkBuffer buffer, VkDeviceMemory* pMemory, VkDeviceSize* pOffset);
bool sim_image_binding(Sim* sim, VkImage image, VkDeviceMemory* pMemory, VkDeviceSize* pOffset);

/*  The name that vkSetDebugUtilsObjectNameEXT gave to a live object; "" if none. */
const char* sim_object_name(Sim* sim, uint64_t handle);

#ifdef __cplusplus
}
#endif

#endif /* SIM_H */
