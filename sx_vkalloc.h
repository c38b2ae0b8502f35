/*
    sx_vkalloc.h - v0.1.0 - Vulkan memory allocator in one C99 header - MIT licence

    Creates buffers and images with memory behind them: picks the memory type, takes ranges out of
    large blocks in O(1), maps, flushes, keeps to the budget, catches misuse, and tells where every
    byte went. The habits are those of AMD's VMA; the engine inside is another one.

DO THIS
    Copy this file into your project. In exactly one C or C++ file write

        #define SX_VKALLOC_IMPLEMENTATION
        #include "sx_vkalloc.h"

    and include it everywhere else without the macro. On Linux link with -lvulkan and -pthread.
    It includes <vulkan/vulkan.h> (1.3.204 or newer), the C standard library, pthread or Win32.

DOES NOT
    - make sparse or external memory: see the README
    - hold a lock while it calls the driver, or share state between allocators
    - abort: host and device out-of-memory, and misuse, come back as VkResult and as a message

QUICK START
        SxvkAllocatorCreateInfo info = {0};
        info.instance = instance;
        info.physicalDevice = physicalDevice;
        info.device = device;
        info.vulkanApiVersion = VK_API_VERSION_1_1;
        SxvkAllocator allocator;
        sxvkCreateAllocator(&info, &allocator);

        VkBufferCreateInfo bufferInfo = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
        bufferInfo.size = 65536;
        bufferInfo.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
        SxvkAllocationCreateInfo allocationInfo = {0};
        allocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;
        VkBuffer buffer;
        SxvkAllocation allocation;
        sxvkCreateBuffer(allocator, &bufferInfo, &allocationInfo, &buffer, &allocation, NULL);
        ...
        sxvkDestroyBuffer(allocator, buffer, allocation);
        sxvkDestroyAllocator(allocator);

CONTENTS (grep for the tag)
    declarations
    >>config     macros to define before including      >>types      handles, flags, structs
    >>api        functions
    implementation, strictly downward: a section uses only what stands above it
    >>util       align, checked arithmetic, bit scans   >>thread     atomics and one kind of lock
    >>host       host memory, tables that never move    >>text       string builder and JSON writer
    >>records    32 bytes per range, and its handle     >>bins       segregated fit over many blocks
    >>slabs      equal slots for small ranges           >>linear     stacks, rings, all at once
    >>memtype    which memory type suits a request      >>vk         function table, device snapshot
    >>report     messages to the user                   >>budget     bytes and counts per heap
    >>module     who holds how much; pressure           >>block      one VkDeviceMemory, its mapping
    >>pool       blocks of one type; growth             >>core       the allocator and its ladder
    >>resource   requirements of buffers, images        >>map        mapping, flushing, copying
    >>movable    what can be made again                 >>defrag     emptying blocks
    >>stats      statistics, dump, integrity            >>moves      moving what can be made again
    >>virtual    the engine over plain numbers          >>upload     rings, smart buffers, arenas
    >>validate   argument checks                        >>public     the thin entry points

VOCABULARY
    block        one VkDeviceMemory                  range        a used or free interval of a block
    allocation   a range handed out                  dedicated    an allocation with its own block
    pool         the blocks of one memory type       domain       the small or the large ranges of
                 that follow one set of rules                     a pool: one lock, one set of bins
    granule      16 bytes, the unit of ranges        committed    bytes of all blocks
    slab         a range cut into equal slots        shard        the domains of a pool that one
                 for small allocations                            thread uses, where threads collide
    virtual      nothing but a size, whose ranges    module       a part of the program, for which
    block        are handed out                                   is counted what it holds

CONTRACT (each function adds only its differences)
    Units     Sizes and offsets are bytes.
    Results   VK_SUCCESS or a negative VkResult. A failing call changes nothing and sets every
              output to null or zero. VK_ERROR_VALIDATION_FAILED_EXT: an argument was wrong, the
              message names the function and the field. VK_ERROR_OUT_OF_HOST_MEMORY: a host
              allocation failed.
    Null      Destroy and Free accept VK_NULL_HANDLE. Optional pointers are called optional. A null
              allocator, ring, arena, smart buffer, virtual block, or pCreateInfo that says where
              messages go, is VALIDATION_FAILED without a message: there is nobody to tell.
    Zero      A zeroed struct is valid; 0 means the default that stands at the field.
    Handles   The handle of an allocation or a module carries an index and a generation: stale,
              doubly freed and foreign handles are recognised in release builds, reported, and
              change nothing. (32-bit programs: until 512 others had the same index since.)
    Threads   Every function may be called by any thread at any time, except that creating and
              destroying the allocator, and destroying one object twice or while in use, are yours
              to keep apart. With ..._EXTERNALLY_SYNCHRONIZED_BIT you keep all calls apart, and
              always those that name one virtual block.
    Locks     No lock is held while the driver, a message or pressure callback or a profiler's macro
              runs. Host allocation callbacks may run under a lock and must not call back into the
              allocator.
    Memory    Structs and strings that you pass are copied where they outlive the call. Host memory
              grows with the most that was ever live at once; sxvkTrim gives it back, the tables
              that stale handles may name a second or more later.
*/

#ifndef SX_VKALLOC_H
#define SX_VKALLOC_H

#define SX_VKALLOC_VERSION_MAJOR 0
#define SX_VKALLOC_VERSION_MINOR 1
#define SX_VKALLOC_VERSION_PATCH 0

/* ============================================================================================== */
/*  >>config     macros to define before including                                                */
/* ============================================================================================== */
/*
    No macro changes the layout of a struct. D: must be equal in every file that includes the
    header. The others matter only where the implementation is compiled.

    SX_VKALLOC_IMPLEMENTATION           define in one file: compiles the implementation there
    SX_VKALLOC_STATIC                 D define: all functions are static, one file uses them
    SX_VKALLOC_API                    D linkage, e.g. __declspec(dllexport); default extern
    SX_VKALLOC_CONFIG_H               D a header with these macros to include first, e.g. "my_vk.h"
    SX_VKALLOC_VULKAN_H               D the Vulkan header to include, e.g. "volk.h";
                                        default <vulkan/vulkan.h>
    SX_VKALLOC_VULKAN_VERSION           highest Vulkan version to use: 1000000, 1001000 .. 1004000;
                                        default: no ceiling
    SX_VKALLOC_STATIC_VULKAN_FUNCTIONS  1: find Vulkan functions through the linked prototypes of
                                        vkGetInstanceProcAddr and vkGetDeviceProcAddr;
                                        default 1, or 0 where VK_NO_PROTOTYPES is defined
    SX_VKALLOC_DEBUG                    0 no assertions, 1 cheap ones, 2 internal ones, 3 a full
                                        walk of the changed pool after each change; default 0 with
                                        NDEBUG, else 1. From 1 on, messages go to stderr where no
                                        callback is set
    SX_VKALLOC_VALIDATE                 0: skip the checks of arguments, but for handles; default 1
    SX_VKALLOC_ASSERT(x)                default assert of <assert.h>
    SX_VKALLOC_MALLOC(n)                default malloc; used without pAllocationCallbacks;
    SX_VKALLOC_FREE(p)                  default free; define both or none
    SX_VKALLOC_NO_THREADS               1: no atomics, no locks: one thread only; default 0
    SX_VKALLOC_MUTEX                    your lock type, with the next four; define all or none
    SX_VKALLOC_MUTEX_INIT(m)            must yield nonzero on success; m is a pointer
    SX_VKALLOC_MUTEX_DESTROY(m)
    SX_VKALLOC_MUTEX_LOCK(m)
    SX_VKALLOC_MUTEX_UNLOCK(m)
    SX_VKALLOC_NO_STATS_STRING        D 1: leave out the JSON dump and explanations; default 0
    SX_VKALLOC_NO_VIRTUAL             D 1: leave out virtual blocks, and buffer arenas, which stand
                                        on them; default 0
    SX_VKALLOC_NO_STDIO                 1: never use <stdio.h>; default 0
    SX_VKALLOC_NO_DEFRAG              D 1: leave out defragmentation; default 0
    SX_VKALLOC_NO_UPLOAD              D 1: leave out frame rings, smart buffers and buffer arenas;
                                        default 0
    SX_VKALLOC_NO_INTRINSICS            1: bit scans in plain C; default 0
    SX_VKALLOC_STACK_TRACES             1: remember where each allocation was made, from who called
                                        the library on, and tell it with its leak; implies
                                        SXVK_DEBUG_TRACK_ALLOCATIONS_BIT. glibc, macOS, Windows
                                        (there addresses alone); default 0
    SX_VKALLOC_PROFILE_SCOPE(name)      for profilers: a declaration or statement at the start of
                                        each function that may take long, that ends with its scope
                                        by itself; name is a string literal
    SX_VKALLOC_ON_ALLOCATE(allocator, allocation, memoryType, size, name)
    SX_VKALLOC_ON_FREE(allocator, allocation, memoryType, size, name)
                                        each allocation, once it is made and before it is freed;
                                        outside every lock; name may be null; must not use the
                                        allocator; define both or none
*/

#ifdef SX_VKALLOC_CONFIG_H
#include SX_VKALLOC_CONFIG_H
#endif

#ifdef SX_VKALLOC_VULKAN_H
#include SX_VKALLOC_VULKAN_H
#else
#include <vulkan/vulkan.h>
#endif

#ifndef VK_VERSION_1_3
#error "sx_vkalloc.h needs Vulkan-Headers 1.3.204 or newer"
#endif

#include <stddef.h>
#include <stdint.h>

#ifndef SX_VKALLOC_API
#if defined(SX_VKALLOC_STATIC) && defined(__GNUC__)
#define SX_VKALLOC_API static __attribute__((unused))
#elif defined(SX_VKALLOC_STATIC)
#define SX_VKALLOC_API static
#else
#define SX_VKALLOC_API extern
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ============================================================================================== */
/*  >>types      handles, flags, structs                                                          */
/* ============================================================================================== */

typedef struct SxvkAllocator_T* SxvkAllocator;
typedef struct SxvkPool_T* SxvkPool;

/*  Neither is a pointer to anything: an index and a generation, see CONTRACT. */
typedef struct SxvkModule_T* SxvkModule;
typedef struct SxvkAllocation_T* SxvkAllocation;

typedef enum SxvkAllocatorCreateFlagBits {
    /* No locks are taken: you keep all calls on this allocator apart. */
    SXVK_ALLOCATOR_CREATE_EXTERNALLY_SYNCHRONIZED_BIT = 0x00000001,
    /* The extensions below are enabled on the device. Where the same thing is core in
       vulkanApiVersion the bit is not needed. */
    SXVK_ALLOCATOR_CREATE_KHR_DEDICATED_ALLOCATION_BIT = 0x00000002,
    SXVK_ALLOCATOR_CREATE_KHR_BIND_MEMORY2_BIT = 0x00000004,
    SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT = 0x00000008,
    SXVK_ALLOCATOR_CREATE_AMD_DEVICE_COHERENT_MEMORY_BIT = 0x00000010,
    /* The feature bufferDeviceAddress is enabled: all memory is allocated with
       VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT, but where a chain of yours has a
       VkMemoryAllocateFlagsInfo: set it there. Vulkan asks for the feature, even in 1.2. */
    SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT = 0x00000020,
    SXVK_ALLOCATOR_CREATE_EXT_MEMORY_PRIORITY_BIT = 0x00000040,
    SXVK_ALLOCATOR_CREATE_KHR_MAINTENANCE4_BIT = 0x00000080,
    SXVK_ALLOCATOR_CREATE_KHR_MAINTENANCE5_BIT = 0x00000100, /* usage flags 2 need no bit */
    /* VK_EXT_pageable_device_local_memory: sxvkSetAllocationPriority works. */
    SXVK_ALLOCATOR_CREATE_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_BIT = 0x00000400,
    /* VK_EXT_debug_utils is enabled on the instance: each VkDeviceMemory gets a name of its pool,
       type and number, or where it is dedicated the pName of its allocation, and so does the buffer
       or image that is created with it. They show in validation messages and in tools such as
       RenderDoc. sxvkSetAllocationName renames neither: what is in an allocation is not remembered,
       and nobody else may use an object while it gets a name. */
    SXVK_ALLOCATOR_CREATE_EXT_DEBUG_UTILS_BIT = 0x00000800,
    /* Unmap a block when its last mapping ends, to save address space in 32-bit programs.
       Default: a block stays mapped from its first mapping on. */
    SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT = 0x00010000,
    SXVK_ALLOCATOR_CREATE_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
} SxvkAllocatorCreateFlagBits;
typedef VkFlags SxvkAllocatorCreateFlags;

typedef enum SxvkMemoryUsage {
    /* No intent: requiredFlags, preferredFlags and avoidedFlags alone decide. */
    SXVK_MEMORY_USAGE_UNKNOWN = 0,
    /* A type with LAZILY_ALLOCATED, for transient attachments; none: FEATURE_NOT_PRESENT. With
       _AUTO a transient attachment prefers such a type and does without where there is none. */
    SXVK_MEMORY_USAGE_GPU_LAZILY_ALLOCATED = 6,
    /* The best type by the usage of the resource and the HOST_ACCESS flags. Where the resource is
       not known (sxvkAllocateMemory), it is taken for one that the device works on. */
    SXVK_MEMORY_USAGE_AUTO = 7,
    SXVK_MEMORY_USAGE_AUTO_PREFER_DEVICE = 8,
    SXVK_MEMORY_USAGE_AUTO_PREFER_HOST = 9,
    SXVK_MEMORY_USAGE_MAX_ENUM = 0x7FFFFFFF
} SxvkMemoryUsage;

typedef enum SxvkAllocationCreateFlagBits {
    /* A VkDeviceMemory of its own. */
    SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT = 0x00000001,
    /* Only from existing blocks: no driver call, VK_ERROR_OUT_OF_DEVICE_MEMORY instead. The search
       takes a bounded number of steps and may miss a range that would only just fit; see
       STRATEGY_MIN_MEMORY. To find none is no message. */
    SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT = 0x00000002,
    /* Mapped for its whole life; SxvkAllocationInfo::pMappedData. Ignored where the memory is not
       host-visible (with _UNKNOWN, _AUTO without HOST_ACCESS, ALLOW_TRANSFER_INSTEAD, pools). */
    SXVK_ALLOCATION_CREATE_MAPPED_BIT = 0x00000004,
    /* In a linear pool: from the end of the block downwards, the second of two stacks. Not while
       the block is a ring that has wrapped; nor does a ring wrap while there are such ranges. */
    SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT = 0x00000040,
    /* sxvkCreateBuffer and sxvkCreateImage leave the binding to you. */
    SXVK_ALLOCATION_CREATE_DONT_BIND_BIT = 0x00000080,
    /* Fail rather than take the heap over its budget. */
    SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT = 0x00000100,
    /* Other resources, of any kind, will be bound here as well: keeps clear of neighbours as
       sxvkAllocateMemory does, and keeps VkMemoryDedicatedAllocateInfo away unless the driver
       demands it. */
    SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT = 0x00000200,
    /* The CPU writes in order and never reads: write-combined memory will do. */
    SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT = 0x00000400,
    /* The CPU reads, or writes at random: prefers HOST_CACHED. */
    SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT = 0x00000800,
    /* sxvkCreateBuffer and sxvkCreateImage alone: the library keeps the create info, adds
       TRANSFER_SRC and TRANSFER_DST to the usage, and can move the resource by itself, see
       sxvkRecordMoves and sxvkDefragmentationTick. Destroy it with sxvkDestroyBuffer or ..Image,
       which find the handle that it has by then. Refused are flags for sparse, protected and
       disjoint resources, acceleration structures, transient attachments, formats of several
       planes, and a chain but VkImageFormatListCreateInfo, VkImageStencilUsageCreateInfo and
       VkBufferUsageFlags2CreateInfo. About 350 bytes of host memory. */
    SXVK_ALLOCATION_CREATE_MOVABLE_BIT = 0x00004000,
    /* Defragmentation leaves it where it is, and its block with it. */
    SXVK_ALLOCATION_CREATE_PINNED_BIT = 0x04000000,
    /* With one of the two above: memory that is not host-visible is fine where it is better; look
       at the memory type that you got, and copy through staging memory if you must. */
    SXVK_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT = 0x00001000,
    /* Search harder for a tight fit; still a bounded number of steps. Not in slots of more than
       8 KiB where there is room elsewhere; and in pools that grow, dedicated memory from half the
       size on that gets it by default: less memory, more calls of the driver. (Linear pools take no
       notice of strategies.) */
    SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT = 0x00010000,
    /* The first range that surely fits. The default does so below 1 MiB, and searches for a tight
       fit above. */
    SXVK_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT = 0x00020000,
    /* Prefer low blocks and offsets: the lowest place of all where free ranges are few, else among
       a bounded number of about the size. */
    SXVK_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT = 0x00040000,
    SXVK_ALLOCATION_CREATE_STRATEGY_BEST_FIT_BIT = SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT,
    SXVK_ALLOCATION_CREATE_STRATEGY_FIRST_FIT_BIT = SXVK_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT,
    SXVK_ALLOCATION_CREATE_STRATEGY_MASK = 0x00070000,
    SXVK_ALLOCATION_CREATE_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
} SxvkAllocationCreateFlagBits;
typedef VkFlags SxvkAllocationCreateFlags;

typedef enum SxvkPoolCreateFlagBits {
    /* Only buffers, or only optimal images, live here: nothing is padded for
       bufferImageGranularity. */
    SXVK_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT = 0x00000002,
    /* A range goes directly above the one before: the order in which you free makes the pool a
       stack, a double stack (UPPER_ADDRESS), a ring buffer, or memory that is freed at once, be it
       one by one or by sxvkResetPool. Any order is legal; but room below the newest range comes
       back only once that is freed, and room below the oldest only when the ring wraps. What does
       not fit into the newest block goes to an empty or a new one; room in older blocks is not
       looked for. When the newest block runs empty the one before it goes on. One empty block
       stays, for as long as other empty blocks may; a pool of one block needs maxBlockCount 1. */
    SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT = 0x00000004,
    /* No lock is taken for this pool. You keep apart the calls that name it or its allocations, and
       those that look at all pools: statistics, budgets, dumps, checks, sxvkForEachAllocation,
       sxvkTrim. */
    SXVK_POOL_CREATE_EXTERNALLY_SYNCHRONIZED_BIT = 0x00010000,
    SXVK_POOL_CREATE_ALGORITHM_MASK = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT,
    SXVK_POOL_CREATE_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
} SxvkPoolCreateFlagBits;
typedef VkFlags SxvkPoolCreateFlags;

typedef enum SxvkDebugFlagBits {
    /* Every allocation gets a VkDeviceMemory of its own, so that tools see each one. */
    SXVK_DEBUG_ALWAYS_DEDICATED_BIT = 0x00000001,
    /* Remember the frame in which each allocation was made, so that leaks are told with their age;
       with SX_VKALLOC_STACK_TRACES also the stack. About 40 bytes of host memory for each. */
    SXVK_DEBUG_TRACK_ALLOCATIONS_BIT = 0x00000002,
    /* A message for each allocation that was made, or freed, or about each choice of a memory type:
       which one was taken, and whether it was the first choice. */
    SXVK_DEBUG_LOG_ALLOCATIONS_BIT = 0x00000004,
    SXVK_DEBUG_LOG_FREES_BIT = 0x00000008,
    SXVK_DEBUG_LOG_MEMORY_TYPES_BIT = 0x00000010,
    SXVK_DEBUG_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
} SxvkDebugFlagBits;
typedef VkFlags SxvkDebugFlags;

typedef enum SxvkMessageSeverity {
    SXVK_MESSAGE_SEVERITY_INFO = 0, /* only what SxvkDebugFlags ask for */
    SXVK_MESSAGE_SEVERITY_WARNING = 1,
    SXVK_MESSAGE_SEVERITY_ERROR = 2,
    SXVK_MESSAGE_SEVERITY_MAX_ENUM = 0x7FFFFFFF
} SxvkMessageSeverity;

/*  What a message is about: X(id, severity, what it means). The text that comes with a message says
    more; compare ids, never texts. */
#define SXVK_MESSAGES(X)                                                                           \
    X(NULL_ARGUMENT, ERROR, "a pointer or handle that is not optional is null")                    \
    X(UNKNOWN_FLAGS, ERROR, "unknown flag bits are set; is the struct zero-initialised?")          \
    X(CONFLICTING_FLAGS, ERROR, "flags exclude each other")                                        \
    X(BAD_ENUM, ERROR, "a value is not of its enumeration")                                        \
    X(BAD_SIZE, ERROR, "a size is zero or out of range")                                           \
    X(BAD_ALIGNMENT, ERROR, "an alignment is not a power of two, or too small or large")           \
    X(BAD_INDEX, ERROR, "an index is out of range")                                                \
    X(BAD_RANGE, ERROR, "a range leaves what it is a part of")                                     \
    X(BAD_SHARE, ERROR, "a share is out of its bounds, or thresholds are out of order")            \
    X(BAD_PRIORITY, ERROR, "a priority is not between 0 and 1")                                    \
    X(BAD_STRUCT, ERROR, "an object or value that the function does not take")                     \
    X(MISSING_FEATURE, ERROR, "the allocator was not created with the flag this needs")            \
    X(MISSING_FUNCTION, ERROR, "a Vulkan function was not found")                                  \
    X(NO_MEMORY_TYPE, WARNING, "no memory type meets the request")                                 \
    X(INVALID_ALLOCATION, ERROR, "stale, doubly freed or foreign allocation handle")               \
    X(INVALID_POOL, ERROR, "the pool does not belong to this allocator")                           \
    X(NOT_HOST_VISIBLE, ERROR, "memory that is not host-visible cannot be mapped")                 \
    X(TOO_MANY_MAPS, ERROR, "an allocation is mapped more than 255 times")                         \
    X(NOT_MAPPED, ERROR, "the memory is not mapped")                                               \
    X(FREED_WHILE_MAPPED, WARNING, "an allocation was freed while mapped")                         \
    X(LEAKED_ALLOCATION, ERROR, "an allocation was alive when its owner was destroyed")            \
    X(LEAKED_POOL, ERROR, "a pool was alive when the allocator was destroyed")                     \
    X(LEAKED_MODULE, ERROR, "a module was alive when the allocator was destroyed")                 \
    X(INVALID_MODULE, ERROR, "the module was destroyed, or is not of this allocator")              \
    X(MODULE_IN_USE, WARNING, "the module is destroyed; this belongs to none from now on")         \
    X(CORRUPTED_MARGIN, ERROR, "somebody wrote past the end of an allocation")                     \
    X(BROKEN_INVARIANT, ERROR, "the allocator's own data is inconsistent")                         \
    X(OUT_OF_HOST_MEMORY, WARNING, "a host allocation failed")                                     \
    X(OUT_OF_DEVICE_MEMORY, WARNING, "the device could not serve a request")                       \
    X(BAD_FRAME_VALUE, ERROR, "a value goes back, was not begun, is complete, or in flight")       \
    X(MOVE_FAILED, WARNING, "an allocation could not be moved, and stays where it is")             \
    X(ALLOCATED, INFO, "memory was allocated")                                                     \
    X(FREED, INFO, "memory was freed")                                                             \
    X(MEMORY_TYPE_CHOSEN, INFO, "the memory type that was chosen")

typedef enum SxvkMessage {
    SXVK_MESSAGE_NONE = 0,
#define SXVKI_X(id, severity, text) SXVK_MESSAGE_##id,
    SXVK_MESSAGES(SXVKI_X)
#undef SXVKI_X
    SXVK_MESSAGE_COUNT,
    SXVK_MESSAGE_MAX_ENUM = 0x7FFFFFFF
} SxvkMessage;

/*  The strings live until the callback returns. */
typedef struct SxvkMessageInfo {
    SxvkMessageSeverity severity;
    SxvkMessage message;
    const char* pText; /* one line without its end; of long names the first 200 bytes */
    const char* pTag;  /* whose allocation it is about: the name of its module, or as many whole
                          characters as fit into 63 bytes; null: not known, or of none */
    /* What it is about, or null. Valid in messages about leaks and new allocations, so that it may
       be asked for its info; in others it may be gone. */
    SxvkAllocation allocation;
    uint32_t age;       /* frames since it was made; UINT32_MAX: not known */
    const char* pStack; /* a line for each caller, the latest first; null: not known */
} SxvkMessageInfo;

/*  Called outside every lock, by the thread that caused the message; may use the allocator. */
typedef void(VKAPI_PTR* PFN_sxvkMessageCallback)(void* pUserData, const SxvkMessageInfo* pInfo);

/*  Called after vkAllocateMemory and before vkFreeMemory, outside every lock. Must not allocate
    from a pool with a maxBlockCount: it may be this block that it would wait for. */
typedef void(VKAPI_PTR* PFN_sxvkAllocateDeviceMemoryFunction)(
    SxvkAllocator allocator, uint32_t memoryType, VkDeviceMemory memory, VkDeviceSize size,
    void* pUserData);
typedef void(VKAPI_PTR* PFN_sxvkFreeDeviceMemoryFunction)(
    SxvkAllocator allocator, uint32_t memoryType, VkDeviceMemory memory, VkDeviceSize size,
    void* pUserData);

/*  See sxvkForEachAllocation; return VK_FALSE to stop. */
typedef VkBool32(VKAPI_PTR* PFN_sxvkAllocationCallback)(void* pUserData, SxvkAllocator allocator,
                                                        SxvkAllocation allocation);

/*  How near a heap is to its budget, or a module to its soft limit. See SxvkPressureCreateInfo. */
typedef enum SxvkPressureLevel {
    SXVK_PRESSURE_LEVEL_NORMAL = 0,
    SXVK_PRESSURE_LEVEL_WARNING = 1,  /* from 85 % of it on */
    SXVK_PRESSURE_LEVEL_CRITICAL = 2, /* from 95 % on */
    SXVK_PRESSURE_LEVEL_OVER = 3,     /* more than all of it is in use */
    SXVK_PRESSURE_LEVEL_MAX_ENUM = 0x7FFFFFFF
} SxvkPressureLevel;

typedef struct SxvkPressureInfo {
    SxvkPressureLevel level;
    SxvkPressureLevel previousLevel; /* the same where bytesNeeded is not 0 */
    uint32_t heapIndex;              /* UINT32_MAX where it is about a module */
    SxvkModule module;               /* null where it is about a heap */
    VkDeviceSize usage;              /* bytes */
    VkDeviceSize budget;             /* bytes; of a module the soft limit */
    /* 0, or the size of an allocation that is about to fail in this heap. */
    VkDeviceSize bytesNeeded;
} SxvkPressureInfo;

/*  A level has changed; or an allocation is about to fail, after the ladder of memory types and its
    fallback: then VK_TRUE says that something was freed, and it is tried once more. Such a failure
    is told for each heap that would do, once and the best first, until it has its memory; one of a
    ring or an arena when the smallest buffer that would do has failed as well, and both may be used
    meanwhile. What is returned matters nowhere else. What has reached a limit of its own, a pool
    with maxBlockCount blocks or an allocation with NEVER_ALLOCATE_BIT, fails untold: no heap is
    short of memory.
    Called outside every lock, by the thread that caused it, when the function that it called is
    done but for this; with bytesNeeded in the middle of it: its outputs, a VkImage among them, may
    be written already, and are not yours yet. The callback may use the allocator as anybody may,
    but not destroy what that function was given.
    A change is told once. Those of levels come one after the other, never at once and never from
    within each other: what happens meanwhile is told afterwards, or by the next call, and only if
    the level is still another one. A failure may be told by several threads at once, by 64 at most:
    further ones just fail, and so does what fails inside of that callback. */
typedef VkBool32(VKAPI_PTR* PFN_sxvkPressureCallback)(void* pUserData, SxvkAllocator allocator,
                                                      const SxvkPressureInfo* pInfo);

/*  Thresholds are shares, from 0 to 1, of the budget of a heap, or of a soft limit. */
typedef struct SxvkPressureCreateInfo {
    PFN_sxvkPressureCallback pfnCallback; /* optional */
    void* pUserData;
    float warningThreshold;  /* 0 = 0.85 */
    float criticalThreshold; /* 0 = 0.95; not below the one above, defaults counted */
    /* 0 = 0.05, at most 0.5: a level ends where the usage is by so much below its threshold. */
    float hysteresis;
} SxvkPressureCreateInfo;

typedef struct SxvkDeviceMemoryCallbacks {
    PFN_sxvkAllocateDeviceMemoryFunction pfnAllocate; /* optional */
    PFN_sxvkFreeDeviceMemoryFunction pfnFree;         /* optional */
    void* pUserData;
} SxvkDeviceMemoryCallbacks;

/*  The Vulkan functions that the allocator calls, X(name): the first list is needed always, the
    second depends on flags and versions. */
#define SXVK_REQUIRED_FUNCTIONS(X)                                                                 \
    X(vkGetPhysicalDeviceProperties)                                                               \
    X(vkGetPhysicalDeviceMemoryProperties)                                                         \
    X(vkAllocateMemory)                                                                            \
    X(vkFreeMemory)                                                                                \
    X(vkMapMemory)                                                                                 \
    X(vkUnmapMemory)                                                                               \
    X(vkFlushMappedMemoryRanges)                                                                   \
    X(vkInvalidateMappedMemoryRanges)                                                              \
    X(vkBindBufferMemory)                                                                          \
    X(vkBindImageMemory)                                                                           \
    X(vkGetBufferMemoryRequirements)                                                               \
    X(vkGetImageMemoryRequirements)                                                                \
    X(vkCreateBuffer)                                                                              \
    X(vkDestroyBuffer)                                                                             \
    X(vkCreateImage)                                                                               \
    X(vkDestroyImage)
#define SXVK_OPTIONAL_FUNCTIONS(X)                                                                 \
    X(vkGetPhysicalDeviceProperties2)                                                              \
    X(vkGetPhysicalDeviceMemoryProperties2)                                                        \
    X(vkGetBufferMemoryRequirements2)                                                              \
    X(vkGetImageMemoryRequirements2)                                                               \
    X(vkBindBufferMemory2)                                                                         \
    X(vkBindImageMemory2)                                                                          \
    X(vkGetDeviceBufferMemoryRequirements)                                                         \
    X(vkGetDeviceImageMemoryRequirements)                                                          \
    X(vkSetDeviceMemoryPriorityEXT)                                                                \
    X(vkSetDebugUtilsObjectNameEXT)                                                                \
    X(vkGetBufferDeviceAddress)                                                                    \
    X(vkCmdCopyBuffer)                                                                             \
    X(vkCmdCopyImage)                                                                              \
    X(vkCmdPipelineBarrier)

/*  Null members are looked up through the first two; those are enough by themselves. Where a
    function began as an extension its KHR twin is taken if the core name is not there. */
typedef struct SxvkVulkanFunctions {
    PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr;
    PFN_vkGetDeviceProcAddr vkGetDeviceProcAddr;
#define SXVKI_X(name) PFN_##name name;
    SXVK_REQUIRED_FUNCTIONS(SXVKI_X)
    SXVK_OPTIONAL_FUNCTIONS(SXVKI_X)
#undef SXVKI_X
} SxvkVulkanFunctions;

/*  Debugging aids, chosen at run time. */
typedef struct SxvkDebugInfo {
    SxvkDebugFlags flags;
    /* Bytes behind each sub-allocation of host-visible, coherent memory that are filled with a
       pattern and checked by sxvkCheckCorruption and at each free; 0 = none; multiple of 4,
       at most 65536. The allocator maps such blocks. */
    VkDeviceSize margin;
    VkDeviceSize minAlignment;             /* bytes, a power of two; 0 = none; of each allocation */
    VkDeviceSize minBufferImageGranularity; /* bytes, a power of two; 0 = the device's */
    /* Bytes, 1 to 255, that fill host-visible memory when it is allocated and when it is freed, to
       its last byte; 0 = none. The allocator maps such memory. Memory with a pNext chain of its
       own is left as it is: it may have been imported. */
    uint32_t fillOnAllocate;
    uint32_t fillOnFree;
} SxvkDebugInfo;

typedef struct SxvkAllocatorCreateInfo {
    SxvkAllocatorCreateFlags flags;
    VkPhysicalDevice physicalDevice;
    VkDevice device;
    /* Bytes; 0 = 256 MiB. Ceiling on the size of blocks in heaps above 1 GiB; elsewhere it is an
       eighth of the heap. Blocks start small and grow with what is used. */
    VkDeviceSize preferredLargeHeapBlockSize;
    const VkAllocationCallbacks* pAllocationCallbacks;       /* optional; the driver gets it too */
    const SxvkDeviceMemoryCallbacks* pDeviceMemoryCallbacks; /* optional */
    /* Optional: memoryHeapCount limits in bytes, VK_WHOLE_SIZE = none. The allocator behaves as if
       the heap were that big: it never holds more. */
    const VkDeviceSize* pHeapSizeLimit;
    const SxvkVulkanFunctions* pVulkanFunctions; /* optional with static functions */
    VkInstance instance;
    uint32_t vulkanApiVersion; /* VK_API_VERSION_1_x that the device was created for; 0 = 1.0 */
    PFN_sxvkMessageCallback pfnMessage; /* optional; see SX_VKALLOC_DEBUG */
    void* pMessageUserData;
    const SxvkDebugInfo* pDebugInfo; /* optional */
    const SxvkPressureCreateInfo* pPressureInfo; /* optional */
    /* Frames that sxvkGetFrameHistory remembers, at most 65536; 0 = none. 48 bytes for each, and
       half a microsecond in each tick of a program with 4,000 allocations. */
    uint32_t frameHistoryCount;
} SxvkAllocatorCreateInfo;

typedef struct SxvkAllocatorInfo {
    VkInstance instance;
    VkPhysicalDevice physicalDevice;
    VkDevice device;
} SxvkAllocatorInfo;

typedef enum SxvkModuleStrategy {
    SXVK_MODULE_STRATEGY_DEFAULT = 0,
    SXVK_MODULE_STRATEGY_SPEED = 1,  /* SXVK_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT */
    SXVK_MODULE_STRATEGY_MEMORY = 2, /* SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT */
    SXVK_MODULE_STRATEGY_MAX_ENUM = 0x7FFFFFFF
} SxvkModuleStrategy;

typedef struct SxvkModuleCreateInfo {
    VkFlags flags;     /* 0 */
    const char* pName; /* UTF-8; copied; no two modules have the same one */
    SxvkModuleStrategy strategy; /* of allocations with no STRATEGY flag of their own */
    /* Bytes, a power of two; 0 = what the buffer needs. Of memory for buffers; the largest of all
       that ask counts. */
    VkDeviceSize minBufferAlignment;
    VkDeviceSize softLimit; /* bytes, for the pressure level alone: nothing fails; 0 = none */
    float warningThreshold; /* 0 = that of the allocator; not above its criticalThreshold */
    /* As in SxvkAllocationCreateInfo, for allocations that have none. */
    SxvkMemoryUsage fallbackUsage;
    VkMemoryPropertyFlags fallbackRequiredFlags;
    void* pUserData;
} SxvkModuleCreateInfo;

typedef struct SxvkAllocationCreateInfo {
    SxvkAllocationCreateFlags flags;
    SxvkMemoryUsage usage;
    VkMemoryPropertyFlags requiredFlags;  /* a type without one of these is out */
    VkMemoryPropertyFlags preferredFlags; /* weigh more than what the usage prefers */
    uint32_t memoryTypeBits;              /* types to choose from; 0 = all */
    SxvkPool pool;                        /* optional; its memory type then decides alone */
    void* pUserData;
    /* 0 to 1, for a dedicated allocation with EXT_MEMORY_PRIORITY_BIT; 0 = 0.5, the default of the
       Vulkan specification (the lowest is any tiny positive number). */
    float priority;
    VkDeviceSize minAlignment;          /* bytes, a power of two; 0 = what the resource needs */
    VkMemoryPropertyFlags avoidedFlags; /* a type with one of these comes later */
    const char* pName;                  /* optional; UTF-8; copied */
    /* Optional chain for VkMemoryAllocateInfo, in place of the pool's; makes the allocation
       dedicated. */
    const void* pNext;
    SxvkModule module; /* optional; who holds it; null = the pool's */
    /* A second choice of memory, tried where the first one has none, or where no type fits it: in
       the default pools, with the same flags and memoryTypeBits, and these in place of usage and
       requiredFlags. Both 0 = the module's. SxvkAllocationInfo2 says which one it was. */
    SxvkMemoryUsage fallbackUsage;
    VkMemoryPropertyFlags fallbackRequiredFlags;
} SxvkAllocationCreateInfo;

typedef struct SxvkPoolCreateInfo {
    SxvkPoolCreateFlags flags;
    uint32_t memoryTypeIndex;
    /* Bytes of every block, at most 4 TiB; 0 = grow from small as the default pools do, or the
       preferred block size where the pool is linear or one of the counts below is set. A pool with
       a block size makes no dedicated allocation unless it is asked for. */
    VkDeviceSize blockSize;
    size_t minBlockCount; /* blocks made at once and kept */
    /* 0 = no limit. A full pool answers VK_ERROR_OUT_OF_DEVICE_MEMORY, without a message: it does
       as it was told. See NEVER_ALLOCATE for what it may miss. */
    size_t maxBlockCount;
    float priority;       /* 0 to 1, with EXT_MEMORY_PRIORITY_BIT; 0 = 0.5 */
    VkDeviceSize minAllocationAlignment; /* bytes, a power of two; 0 = none */
    /* Optional chain for the VkMemoryAllocateInfo of each block; must live as long as the pool. */
    const void* pMemoryAllocateNext;
    SxvkModule module; /* optional; of allocations that name none */
} SxvkPoolCreateInfo;

typedef struct SxvkAllocationInfo {
    uint32_t memoryType;         /* index; where the ladder of fallbacks ended */
    VkDeviceMemory deviceMemory; /* shared with others unless dedicated */
    VkDeviceSize offset;         /* in deviceMemory */
    VkDeviceSize size;           /* as asked for, never rounded */
    void* pMappedData;           /* null unless mapped, see sxvkMapMemory and MAPPED_BIT */
    void* pUserData;
    const char* pName; /* until it is set anew or the allocation is freed */
} SxvkAllocationInfo;

typedef struct SxvkAllocationInfo2 {
    SxvkAllocationInfo allocationInfo;
    VkDeviceSize blockSize;   /* of deviceMemory */
    VkBool32 dedicatedMemory;
    VkBool32 isFallback; /* it is memory of the second choice */
    SxvkModule module;   /* null: none, or one that was destroyed */
} SxvkAllocationInfo2;

typedef struct SxvkStatistics {
    uint32_t blockCount;      /* VkDeviceMemory objects, dedicated ones included */
    uint32_t allocationCount;
    VkDeviceSize blockBytes;      /* committed */
    VkDeviceSize allocationBytes; /* live, as asked for */
} SxvkStatistics;

typedef struct SxvkDetailedStatistics {
    SxvkStatistics statistics;
    uint32_t unusedRangeCount;
    VkDeviceSize allocationSizeMin; /* VK_WHOLE_SIZE where there is none */
    VkDeviceSize allocationSizeMax;
    VkDeviceSize unusedRangeSizeMin; /* VK_WHOLE_SIZE where there is none */
    VkDeviceSize unusedRangeSizeMax;
    VkDeviceSize largestRangeBytes; /* the largest unused range of each block, added up */
    /* 1 - largestRangeBytes / unused bytes: the share of what is unused that does not lie in one
       piece in its block. 0: at most one hole in each block, or nothing is unused; near 1: crumbs.
       That a block has a hole at all is no fragmentation: it can be filled. */
    float fragmentation;
} SxvkDetailedStatistics;

typedef struct SxvkTotalStatistics {
    SxvkDetailedStatistics memoryType[VK_MAX_MEMORY_TYPES];
    SxvkDetailedStatistics memoryHeap[VK_MAX_MEMORY_HEAPS];
    SxvkDetailedStatistics total;
} SxvkTotalStatistics;

typedef struct SxvkBudget {
    SxvkStatistics statistics; /* of this allocator in this heap */
    VkDeviceSize usage;        /* of the whole process, as the driver says, else our own bytes */
    VkDeviceSize budget;       /* never above the heap; 80 % of it without EXT_MEMORY_BUDGET_BIT */
    /* Of the budget that is in use; may be above 100. Of a budget of 0: 100 for any usage, 0 for
       none. */
    float percentage;
    VkBool32 isOverBudget;
    /* As told last: NORMAL up to the first frame tick or new block, and where a change is still to
       be told. */
    SxvkPressureLevel level;
} SxvkBudget;

typedef struct SxvkModuleStatistics {
    const char* pName; /* until the module is destroyed */
    void* pUserData;
    uint32_t allocationCount;
    uint32_t fallbackCount;       /* allocations, ever, of memory of the second choice */
    VkDeviceSize allocationBytes; /* live, as asked for, as are the next two */
    VkDeviceSize peakBytes;       /* the most that there ever were */
    VkDeviceSize heapBytes[VK_MAX_MEMORY_HEAPS];
    VkDeviceSize softLimit;
    SxvkPressureLevel level;
    /* Of the memory types that it has memory of: 1 - bytes of allocations / bytes of blocks, in the
       default pools, which all modules share, so it tells of the types rather than of the module.
       0 to 1; 0 where there is nothing. Not SxvkDetailedStatistics::fragmentation. */
    float unusedShare;
} SxvkModuleStatistics;

/*  See sxvkGetColdestAllocations. */
typedef struct SxvkColdAllocation {
    SxvkAllocation allocation;
    SxvkModule module;  /* null: none */
    VkDeviceSize size;  /* bytes */
    uint32_t heapIndex;
    uint32_t age; /* frames since it was touched */
} SxvkColdAllocation;

/*  What happened from one sxvkSetCurrentFrameIndex to the next. */
typedef struct SxvkFrameStatistics {
    uint32_t frameIndex;         /* as it was told at the start */
    uint32_t allocationCount;    /* made in this frame, as are the next two; no moves */
    uint32_t freeCount;
    uint32_t driverCallCount;    /* that allocate, free, map or unmap a VkDeviceMemory */
    uint32_t liveCount;          /* at its end, as are the next two */
    VkDeviceSize liveBytes;      /* as asked for */
    VkDeviceSize committedBytes; /* of all blocks */
    VkDeviceSize movedBytes;     /* by defragmentation, in this frame */
} SxvkFrameStatistics;

typedef struct SxvkDefragmentationContext_T* SxvkDefragmentationContext;

#if !defined(SX_VKALLOC_NO_DEFRAG) || SX_VKALLOC_NO_DEFRAG == 0
typedef enum SxvkDefragmentationFlagBits {
    /* Which blocks are worth being emptied: at most one of the four. A block is emptied into others
       of its pool where they have room; what lives in it is what is moved, all of its size what is
       freed. FAST empties those of which less than a quarter lives; BALANCED, the default, less
       than five eighths; FULL less than seven eighths; EXTENSIVE all that fit. The cheapest come
       first with each, and no more than fit are begun. What fits nowhere may get a smaller new
       block: never with FAST, with BALANCED where less is moved than that frees, with FULL where it
       is less than twice as much, with EXTENSIVE always. */
    SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_FAST_BIT = 0x00000001,
    SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_BALANCED_BIT = 0x00000002,
    SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_FULL_BIT = 0x00000004,
    SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT = 0x00000008,
    SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_MASK = 0x0000000F,
    /* Also allocations with ..._MAPPED_BIT: pMappedData is another one once the pass has ended. */
    SXVK_DEFRAGMENTATION_FLAG_MOVE_MAPPED_BIT = 0x00000010,
    /* Only resources made with ..._MOVABLE_BIT, which passes leave alone: for sxvkRecordMoves. */
    SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT = 0x00000020,
    SXVK_DEFRAGMENTATION_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
} SxvkDefragmentationFlagBits;
typedef VkFlags SxvkDefragmentationFlags;

/*  Called while a pass is planned, outside every lock and some 10 us apart; VK_TRUE ends the
    planning of this pass. Must not touch the context. */
typedef VkBool32(VKAPI_PTR* PFN_sxvkCheckDefragmentationBreakFunction)(void* pUserData);

typedef struct SxvkDefragmentationInfo {
    SxvkDefragmentationFlags flags;
    SxvkPool pool; /* optional; null = all default pools */
    /* Bytes; 0 = no limit. What is larger is never moved. */
    VkDeviceSize maxBytesPerPass;
    uint32_t maxAllocationsPerPass; /* 0 = no limit */
    PFN_sxvkCheckDefragmentationBreakFunction pfnBreakCallback; /* optional */
    void* pBreakCallbackUserData;
    uint32_t maxMicrosecondsPerPass; /* for planning one, and one step more; 0 = no limit */
} SxvkDefragmentationInfo;

typedef enum SxvkDefragmentationMoveOperation {
    /* The contents are at dstTmpAllocation by now: srcAllocation is there from now on. */
    SXVK_DEFRAGMENTATION_MOVE_OPERATION_COPY = 0,
    /* It cannot be moved: srcAllocation stays. Its block is given up. */
    SXVK_DEFRAGMENTATION_MOVE_OPERATION_IGNORE = 1,
    /* The resource was destroyed: srcAllocation is freed. */
    SXVK_DEFRAGMENTATION_MOVE_OPERATION_DESTROY = 2,
    SXVK_DEFRAGMENTATION_MOVE_OPERATION_MAX_ENUM = 0x7FFFFFFF
} SxvkDefragmentationMoveOperation;

typedef struct SxvkDefragmentationMove {
    SxvkDefragmentationMoveOperation operation; /* yours to set; COPY at first */
    SxvkAllocation srcAllocation;
    /* Where it should go, for the length of the pass: bind a new resource to it, copy, map it; do
       not free it. As large and as aligned as the source, of the same memory type. */
    SxvkAllocation dstTmpAllocation;
} SxvkDefragmentationMove;

typedef struct SxvkDefragmentationPassMoveInfo {
    uint32_t moveCount;
    SxvkDefragmentationMove* pMoves; /* the context's, until the pass has ended; null for none */
} SxvkDefragmentationPassMoveInfo;

typedef struct SxvkDefragmentationStats {
    VkDeviceSize bytesMoved;
    VkDeviceSize bytesFreed; /* of blocks that went back to the driver */
    uint32_t allocationsMoved;
    uint32_t deviceMemoryBlocksFreed;
} SxvkDefragmentationStats;

/*  A resource made with ..._MOVABLE_BIT, as the callbacks below see it. */
typedef struct SxvkMovableResource {
    SxvkAllocation allocation;
    void* pUserData; /* of the allocation */
    VkBuffer buffer; /* one of the two is null */
    VkImage image;
    const VkBufferCreateInfo* pBufferCreateInfo; /* of a buffer, else null; with what was added */
    const VkImageCreateInfo* pImageCreateInfo;   /* of an image, else null */
} SxvkMovableResource;

/*  What the commands before and behind a copy do with the resource. */
typedef struct SxvkMoveUsage {
    VkPipelineStageFlags srcStages; /* that have used it; 0 = ALL_COMMANDS */
    VkAccessFlags srcAccess;        /* their writes; at first MEMORY_WRITE */
    VkPipelineStageFlags dstStages; /* that will use the new one; 0 = ALL_COMMANDS */
    VkAccessFlags dstAccess;        /* in which ways; at first MEMORY_READ and MEMORY_WRITE */
    /* Of all of an image: you must say. UNDEFINED: its contents do not matter and are not copied,
       the new one is UNDEFINED as well. */
    VkImageLayout oldLayout;
    VkImageLayout newLayout; /* UNDEFINED, as at first = oldLayout */
    /* That owns it, where its sharing mode is EXCLUSIVE; at first that of the command buffer. With
       another one it is left where it is. */
    uint32_t queueFamilyIndex;
    /* No commands that are recorded or running use the buffer, nor does the CPU, until pfnMoved is
       called: it may be copied by the CPU, see ..._CPU_COPY_BIT. */
    VkBool32 isIdle;
} SxvkMoveUsage;

/*  Asked before a resource moves; VK_FALSE leaves it where it is, and its block with it. Outside of
    every lock; must not record moves or destroy pools. */
typedef VkBool32(VKAPI_PTR* PFN_sxvkMoveQuery)(void* pUserData,
                                               const SxvkMovableResource* pResource,
                                               SxvkMoveUsage* pUsage);
/*  Told once the copy is recorded: from here on, in this command buffer and behind it, the new
    handle is the resource. Make new views, write descriptors anew. The old handle is destroyed by
    sxvkCompleteMoves, its views are yours. Under the same rules. */
typedef void(VKAPI_PTR* PFN_sxvkMoved)(void* pUserData, const SxvkMovableResource* pOld,
                                       const SxvkMovableResource* pNew);

typedef enum SxvkMoveFlagBits {
    /* Buffers that are idle and host-visible are copied by the CPU, at once. */
    SXVK_MOVE_CPU_COPY_BIT = 0x00000001,
    /* sxvkMakeRoom alone: also allocations with ..._MAPPED_BIT. pMappedData is another one in
       pfnMoved. */
    SXVK_MOVE_MAPPED_BIT = 0x00000002,
    SXVK_MOVE_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
} SxvkMoveFlagBits;
typedef VkFlags SxvkMoveFlags;

typedef struct SxvkMoveInfo {
    SxvkMoveFlags flags;
    /* Outside of a render pass, of a queue that may copy what is movable (for depth, stencil and
       multisampled images: a graphics queue). Optional: without it only the CPU copies. */
    VkCommandBuffer commandBuffer;
    uint32_t queueFamilyIndex; /* of the command buffer */
    /* What counts the work of the device (a frame number, a value of a timeline semaphore): when it
       reaches this, the commands are done. Greater than all that is complete, never less than in
       the call before. */
    uint64_t value;
    uint32_t maxMicroseconds;    /* of the CPU, for planning and recording; 0 = no limit */
    PFN_sxvkMoveQuery pfnQuery;
    PFN_sxvkMoved pfnMoved;
    void* pUserData;
} SxvkMoveInfo;

typedef enum SxvkDefragmentationTickFlagBits {
    /* The program has nothing better to do: begins at half the waste, and goes further. */
    SXVK_DEFRAGMENTATION_TICK_IDLE_BIT = 0x00000001,
    /* Also allocations with ..._MAPPED_BIT: pMappedData is another one in pfnMoved. */
    SXVK_DEFRAGMENTATION_TICK_MOVE_MAPPED_BIT = 0x00000002,
    SXVK_DEFRAGMENTATION_TICK_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
} SxvkDefragmentationTickFlagBits;
typedef VkFlags SxvkDefragmentationTickFlags;

typedef struct SxvkDefragmentationTickInfo {
    SxvkDefragmentationTickFlags flags;
    VkDeviceSize maxBytes; /* to move in one call; 0 = 16 MiB. What is larger stays */
    /* 0 to 1: begin when so much of what is committed is not used; 0 = 0.25. A heap over its budget
       begins at a sixteenth. */
    float wasteShare;
    SxvkMoveInfo moves; /* maxMicroseconds: 0 = 500 */
} SxvkDefragmentationTickInfo;

/*  Of all moves that the library itself has made since the allocator was. */
typedef struct SxvkMoveStatistics {
    uint32_t runCount;     /* defragmentations begun */
    uint32_t passCount;    /* calls that have moved something */
    uint32_t moveCount;    /* resources moved */
    uint32_t refusedCount; /* left where they are: by pfnQuery, or because something failed */
    uint32_t movesInFlight;
    uint32_t blocksFreed;
    VkDeviceSize bytesMoved;
    VkDeviceSize bytesInFlight; /* of old places that wait for sxvkCompleteMoves */
    VkDeviceSize bytesFreed;    /* of blocks that went back to the driver */
    uint64_t microseconds;      /* of the CPU */
    uint64_t longestMicroseconds; /* of one call */
    /* 1 - live / committed of the default pools, when the last tick's run began, and ended. */
    float fragmentationBefore;
    float fragmentationAfter;
} SxvkMoveStatistics;
#endif

#if !defined(SX_VKALLOC_NO_UPLOAD) || SX_VKALLOC_NO_UPLOAD == 0
typedef struct SxvkFrameRing_T* SxvkFrameRing;
typedef struct SxvkSmartBuffer_T* SxvkSmartBuffer;

/*  A piece of a larger buffer. */
typedef struct SxvkBufferSlice {
    VkBuffer buffer;     /* shared with others */
    VkDeviceSize offset; /* bytes, in buffer */
    VkDeviceSize size;   /* bytes, as asked for */
    void* pMappedData;   /* the first byte of the piece; null where the memory is not mapped */
    VkDeviceAddress deviceAddress; /* the same; 0 without SHADER_DEVICE_ADDRESS in the usage */
    SxvkAllocation allocation;     /* that of buffer: for sxvkFlushAllocation with the offset above,
                                      not yours to free */
} SxvkBufferSlice;

typedef struct SxvkFrameRingCreateInfo {
    VkFlags flags;            /* 0 */
    VkBufferUsageFlags usage; /* TRANSFER_SRC is added */
    VkDeviceSize size;        /* bytes to start with and never to shrink below; below 2^40;
                                 0 = 64 KiB */
    /* Bytes, a power of two below 2^32, of the offset of each slice; 0 = the least that the device
       allows for the usage. */
    VkDeviceSize minAlignment;
    SxvkMemoryUsage memoryUsage; /* 0 = AUTO; not GPU_LAZILY_ALLOCATED */
    SxvkPool pool;               /* optional; of a type that is HOST_VISIBLE and HOST_COHERENT */
    const char* pName;           /* of the buffers' memory; copied; null = "frame ring" */
    SxvkModule module;           /* optional; of the buffers' memory; outlives the ring */
} SxvkFrameRingCreateInfo;

typedef struct SxvkFrameRingStatistics {
    VkDeviceSize size;          /* bytes of the buffer that slices come from */
    uint32_t bufferCount;       /* it, and full ones that wait for their last value */
    uint32_t spillCount;        /* times that the buffer was full and another one took over */
    VkDeviceSize bytesInFlight; /* handed out and not complete, pads included */
    VkDeviceSize peakBytesInFlight;
    VkDeviceSize peakFrameBytes; /* of one value, pads included */
    uint64_t begunValue;
    uint64_t completedValue;
} SxvkFrameRingStatistics;

/*  How a smart buffer is used. What the columns mean stands at sxvkCreateSmartBuffer. */
typedef enum SxvkSmartBufferAccess {
    /* By usage: TRANSFER_DST alone is READBACK, UNIFORM_BUFFER alone is DYNAMIC, else STATIC. */
    SXVK_SMART_BUFFER_ACCESS_DEFAULT = 0,
    SXVK_SMART_BUFFER_ACCESS_STATIC = 1,    /* written while the device does not use it */
    SXVK_SMART_BUFFER_ACCESS_DYNAMIC = 2,   /* written anew in each frame that uses it */
    SXVK_SMART_BUFFER_ACCESS_STREAMING = 3, /* parts are written while the device uses the rest */
    SXVK_SMART_BUFFER_ACCESS_READBACK = 4,  /* written by the device, read by the CPU */
    SXVK_SMART_BUFFER_ACCESS_MAX_ENUM = 0x7FFFFFFF
} SxvkSmartBufferAccess;

typedef enum SxvkSmartBufferCreateFlagBits {
    /* Copies are recorded bare: the barriers are yours, one for many copies. */
    SXVK_SMART_BUFFER_CREATE_NO_BARRIERS_BIT = 0x00000001,
    SXVK_SMART_BUFFER_CREATE_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
} SxvkSmartBufferCreateFlagBits;
typedef VkFlags SxvkSmartBufferCreateFlags;

typedef struct SxvkSmartBufferCreateInfo {
    SxvkSmartBufferCreateFlags flags;
    VkDeviceSize size;        /* bytes; not 0, below 2^40 */
    VkBufferUsageFlags usage; /* what the copies need is added */
    SxvkSmartBufferAccess access;
    SxvkFrameRing ring;      /* lends staging memory and counts frames; outlives the buffer */
    uint32_t framesInFlight; /* DYNAMIC: copies of the content; 1 to 8; 0 = 3 */
    SxvkPool pool;           /* optional; its memory type then decides alone */
    const char* pName;       /* of its memory; copied; null = "smart buffer" */
    SxvkModule module;       /* optional */
} SxvkSmartBufferCreateInfo;

typedef struct SxvkSmartBufferInfo {
    SxvkBufferSlice slice;        /* DYNAMIC: the copy that was written last */
    SxvkSmartBufferAccess access; /* never DEFAULT */
    VkBool32 isStaged;            /* writes or reads go through a copy on the device */
} SxvkSmartBufferInfo;

/*  A write between sxvkPrepareSmartBufferWrite and sxvkRecordSmartBufferWrite. */
typedef struct SxvkSmartBufferWrite {
    void* pData;             /* write `size` bytes here, in order, and do not read */
    VkDeviceSize size;       /* bytes */
    VkDeviceSize dstOffset;  /* in the buffer; the library's, as is all below */
    SxvkBufferSlice staging; /* all zero where pData is the buffer itself */
    SxvkSmartBuffer buffer;  /* which it was prepared for */
    uint64_t value;          /* in which that was */
} SxvkSmartBufferWrite;

#if !defined(SX_VKALLOC_NO_VIRTUAL) || SX_VKALLOC_NO_VIRTUAL == 0
typedef struct SxvkBufferArena_T* SxvkBufferArena;

/*  A slice of an arena: not a pointer to anything, an index and a generation, see CONTRACT. */
typedef struct SxvkArenaAllocation_T* SxvkArenaAllocation;

typedef struct SxvkBufferArenaCreateInfo {
    VkFlags flags; /* 0 */
    VkBufferUsageFlags usage;
    /* HOST_ACCESS flags, MAPPED, WITHIN_BUDGET, DEDICATED_MEMORY; of each VkBuffer. */
    SxvkAllocationCreateFlags allocationFlags;
    SxvkMemoryUsage memoryUsage; /* 0 = AUTO; not GPU_LAZILY_ALLOCATED */
    /* Bytes of each VkBuffer, below 2^40; 0 = from 256 KiB on growing with what is used, to 64 MiB.
       A larger slice gets a VkBuffer of its size. */
    VkDeviceSize bufferSize;
    /* Bytes, a power of two, at most 64 KiB, of the offset of each slice; sizes are rounded up to
       it. 0 = the least that the device allows for the usage. */
    VkDeviceSize minAlignment;
    SxvkPool pool;     /* optional; its memory type then decides alone */
    const char* pName; /* of the buffers' memory; copied; null = "buffer arena" */
    SxvkModule module; /* optional; of the buffers' memory; outlives the arena */
} SxvkBufferArenaCreateInfo;
#endif
#endif

#if !defined(SX_VKALLOC_NO_VIRTUAL) || SX_VKALLOC_NO_VIRTUAL == 0
typedef struct SxvkVirtualBlock_T* SxvkVirtualBlock;
typedef struct SxvkVirtualAllocation_T*
    SxvkVirtualAllocation; /* index and generation, never null */

typedef enum SxvkVirtualBlockCreateFlagBits {
    /* Free at once, stack, double stack, ring, by the order of your calls, as in a linear pool:
       each range goes behind the newest one that is alive, or to the start where that is free. */
    SXVK_VIRTUAL_BLOCK_CREATE_LINEAR_ALGORITHM_BIT = 0x00000001,
    SXVK_VIRTUAL_BLOCK_CREATE_ALGORITHM_MASK = 0x00000001,
    SXVK_VIRTUAL_BLOCK_CREATE_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
} SxvkVirtualBlockCreateFlagBits;
typedef VkFlags SxvkVirtualBlockCreateFlags;

typedef enum SxvkVirtualAllocationCreateFlagBits {
    /* From the end downwards, the second of two stacks; only in a block with LINEAR_ALGORITHM_BIT.
       Not while the block is a ring that has wrapped (VK_ERROR_OUT_OF_DEVICE_MEMORY); nor does a
       ring wrap while there are such ranges. */
    SXVK_VIRTUAL_ALLOCATION_CREATE_UPPER_ADDRESS_BIT = 0x00000040,
    /* The tightest place among a bounded number; no slots, see sxvkVirtualAllocate. */
    SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT = 0x00010000,
    /* The default. */
    SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT = 0x00020000,
    /* The lowest place of all where free ranges are few, else among a bounded number of about the
       size; no slots. */
    SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT = 0x00040000,
    SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MASK = 0x00070000,
    SXVK_VIRTUAL_ALLOCATION_CREATE_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
} SxvkVirtualAllocationCreateFlagBits;
typedef VkFlags SxvkVirtualAllocationCreateFlags;

/*  A unit is whatever you count: bytes, descriptors, pages. */
typedef struct SxvkVirtualBlockCreateInfo {
    VkDeviceSize size; /* units, not 0; at most 2^38 - 2 times the granularity */
    SxvkVirtualBlockCreateFlags flags;
    const VkAllocationCallbacks* pAllocationCallbacks; /* optional */
    /* Units, a power of two up to 2^24; 0 = 1. Every size must be a multiple of it, and every
       offset is; for blocks that would be too large otherwise. */
    VkDeviceSize granularity;
    PFN_sxvkMessageCallback pfnMessage; /* optional; see SX_VKALLOC_DEBUG */
    void* pMessageUserData;
} SxvkVirtualBlockCreateInfo;

typedef struct SxvkVirtualAllocationCreateInfo {
    VkDeviceSize size;      /* units, not 0 */
    VkDeviceSize alignment; /* of the offset; a power of two; 0 = 1 */
    SxvkVirtualAllocationCreateFlags flags;
    void* pUserData;
} SxvkVirtualAllocationCreateInfo;

typedef struct SxvkVirtualAllocationInfo {
    VkDeviceSize offset;
    VkDeviceSize size; /* as asked for */
    void* pUserData;
} SxvkVirtualAllocationInfo;
#endif

/* ============================================================================================== */
/*  >>api        functions                                                                        */
/* ============================================================================================== */

/* --- allocator ------------------------------------------------------------------------------ */

/*  Make an allocator for a device. Calls nothing on the device but queries.
    Returns   VK_SUCCESS, OUT_OF_HOST_MEMORY, VALIDATION_FAILED (also a Vulkan function not found)
    Owner     caller: sxvkDestroyAllocator, before the device and the instance
*/
SX_VKALLOC_API VkResult sxvkCreateAllocator(const SxvkAllocatorCreateInfo* pCreateInfo,
                                            SxvkAllocator* pAllocator);

/*  Reports every pool and allocation that is still alive, one message each, and frees all memory
    thereafter; then the modules. The message callback may ask the allocator anything, and free what
    is told: sxvkBuildStatsString writes all leaks. What it makes itself and leaves is freed, told
    or not.
    Of a ring, smart buffer or arena that is alive it is the memory that is named and freed: the
    VkBuffers, and the host memory of the object, leak.
    Threads   nobody else may use the allocator any more
*/
SX_VKALLOC_API void sxvkDestroyAllocator(SxvkAllocator allocator);

#ifdef VOLK_H_
/*  Fill a function table through volk's vkGetInstanceProcAddr and vkGetDeviceProcAddr. */
SX_VKALLOC_API VkResult sxvkImportVulkanFunctionsFromVolk(
    const SxvkAllocatorCreateInfo* pCreateInfo, SxvkVulkanFunctions* pVulkanFunctions);
#endif

SX_VKALLOC_API void sxvkGetAllocatorInfo(SxvkAllocator allocator, SxvkAllocatorInfo* pInfo);
SX_VKALLOC_API void sxvkGetPhysicalDeviceProperties(
    SxvkAllocator allocator, const VkPhysicalDeviceProperties** ppProperties);
/*  Heap sizes as after pHeapSizeLimit. The pointers live as long as the allocator. */
SX_VKALLOC_API void sxvkGetMemoryProperties(SxvkAllocator allocator,
                                            const VkPhysicalDeviceMemoryProperties** ppProperties);
SX_VKALLOC_API void sxvkGetMemoryTypeProperties(SxvkAllocator allocator, uint32_t memoryTypeIndex,
                                                VkMemoryPropertyFlags* pFlags);

/*  Call once per frame with a number that grows (and may wrap): refreshes the budget, tells of
    levels of pressure that are others now (PFN_sxvkPressureCallback), and lets go of one block that
    has been empty for 360 frames (6 s at 60 Hz), and in a heap that is over its budget, of all
    empty blocks at once. Pools with ..._EXTERNALLY_SYNCHRONIZED_BIT keep theirs. It
    also frees the host memory that sxvkTrim left for later, and writes the frame history.
    Cost      O(memory types + custom pools); at most one query and, within budget, one vkFreeMemory
*/
SX_VKALLOC_API void sxvkSetCurrentFrameIndex(SxvkAllocator allocator, uint32_t frameIndex);

/*  Free every empty block that no minBlockCount keeps, and the host memory behind it: the tables
    of allocations and blocks as far as their ends are unused, so that little more than the pools
    is left once everything is freed. Handles from before stay invalid. Returns the bytes of the
    blocks.
    The tables go back to the host in the first sxvkTrim or sxvkSetCurrentFrameIndex that comes one
    to two seconds later: another thread may be looking at one of them, without a lock, by a handle
    that was freed long ago. That is a bug of the program, but one that should get its message, and
    no thread stands still for a second between two instructions. With the allocator's
    ..._EXTERNALLY_SYNCHRONIZED_BIT they go back at once.
    Cost      one vkFreeMemory for each block; O(memory types + custom pools + host memory freed)
*/
SX_VKALLOC_API VkDeviceSize sxvkTrim(SxvkAllocator allocator);

/* --- choice of memory type ------------------------------------------------------------------- */

/*  The type that an allocation would try first.
    Returns   VK_SUCCESS, FEATURE_NOT_PRESENT (no type fits), VALIDATION_FAILED; on failure
              *pMemoryTypeIndex is UINT32_MAX
    Cost      O(memory types); the Info forms ask the driver, without VK_KHR_maintenance4 through a
              resource that is made and destroyed
*/
SX_VKALLOC_API VkResult sxvkFindMemoryTypeIndex(
    SxvkAllocator allocator, uint32_t memoryTypeBits,
    const SxvkAllocationCreateInfo* pAllocationCreateInfo, uint32_t* pMemoryTypeIndex);
SX_VKALLOC_API VkResult sxvkFindMemoryTypeIndexForBufferInfo(
    SxvkAllocator allocator, const VkBufferCreateInfo* pBufferCreateInfo,
    const SxvkAllocationCreateInfo* pAllocationCreateInfo, uint32_t* pMemoryTypeIndex);
SX_VKALLOC_API VkResult sxvkFindMemoryTypeIndexForImageInfo(
    SxvkAllocator allocator, const VkImageCreateInfo* pImageCreateInfo,
    const SxvkAllocationCreateInfo* pAllocationCreateInfo, uint32_t* pMemoryTypeIndex);

#if !defined(SX_VKALLOC_NO_STATS_STRING) || SX_VKALLOC_NO_STATS_STRING == 0
/*  A table in words: the types in the order in which they would be tried, and why each one won or
    lost. Give the create info of a buffer or of an image, or neither.
    Owner     caller: sxvkFreeStatsString
*/
SX_VKALLOC_API VkResult sxvkExplainMemoryType(SxvkAllocator allocator, uint32_t memoryTypeBits,
                                              const SxvkAllocationCreateInfo* pAllocationCreateInfo,
                                              const VkBufferCreateInfo* pBufferCreateInfo,
                                              const VkImageCreateInfo* pImageCreateInfo,
                                              char** ppText);
#endif

/* --- memory ---------------------------------------------------------------------------------- */

/*  Allocate memory by its requirements alone. Where bufferImageGranularity is above 1 the range
    keeps clear of neighbours of any kind; the ForBuffer and ForImage forms know more and waste
    less.
    Returns   VK_SUCCESS, OUT_OF_HOST_MEMORY, OUT_OF_DEVICE_MEMORY, TOO_MANY_OBJECTS,
              FEATURE_NOT_PRESENT (no type fits), VALIDATION_FAILED
    Messages  for each of these but VK_SUCCESS; not where only NEVER_ALLOCATE or the pool's
              maxBlockCount stood in the way
    Owner     caller: sxvkFreeMemory
    Cost      O(1) host work where a block has room; else one vkAllocateMemory, more when it fails.
              Empty blocks of other pools are given back where the driver or a budget refused
*/
SX_VKALLOC_API VkResult sxvkAllocateMemory(SxvkAllocator allocator,
                                           const VkMemoryRequirements* pMemoryRequirements,
                                           const SxvkAllocationCreateInfo* pCreateInfo,
                                           SxvkAllocation* pAllocation,
                                           SxvkAllocationInfo* pAllocationInfo);

/*  Always a VkDeviceMemory of its own; pMemoryAllocateNext (optional) joins
    VkMemoryAllocateInfo. */
SX_VKALLOC_API VkResult sxvkAllocateDedicatedMemory(SxvkAllocator allocator,
                                                    const VkMemoryRequirements* pMemoryRequirements,
                                                    const SxvkAllocationCreateInfo* pCreateInfo,
                                                    void* pMemoryAllocateNext,
                                                    SxvkAllocation* pAllocation,
                                                    SxvkAllocationInfo* pAllocationInfo);

/*  allocationCount allocations, all or none. The arrays have allocationCount elements each;
    pAllocationInfos is optional. Up to 32 of them go under one hold of a lock, here and when they
    are freed. */
SX_VKALLOC_API VkResult sxvkAllocateMemoryPages(SxvkAllocator allocator,
                                                const VkMemoryRequirements* pMemoryRequirements,
                                                const SxvkAllocationCreateInfo* pCreateInfos,
                                                size_t allocationCount,
                                                SxvkAllocation* pAllocations,
                                                SxvkAllocationInfo* pAllocationInfos);

/*  Memory for a resource that you made; bind it yourself, with sxvkBindBufferMemory or
    sxvkBindImageMemory. Dedicated where the driver wants it. */
SX_VKALLOC_API VkResult sxvkAllocateMemoryForBuffer(SxvkAllocator allocator, VkBuffer buffer,
                                                    const SxvkAllocationCreateInfo* pCreateInfo,
                                                    SxvkAllocation* pAllocation,
                                                    SxvkAllocationInfo* pAllocationInfo);
SX_VKALLOC_API VkResult sxvkAllocateMemoryForImage(SxvkAllocator allocator, VkImage image,
                                                   const SxvkAllocationCreateInfo* pCreateInfo,
                                                   SxvkAllocation* pAllocation,
                                                   SxvkAllocationInfo* pAllocationInfo);

/*  Free what any function above gave; the resources in it must be destroyed or never used again.
    Cost      O(1); at most one vkFreeMemory
*/
SX_VKALLOC_API void sxvkFreeMemory(SxvkAllocator allocator, SxvkAllocation allocation);
SX_VKALLOC_API void sxvkFreeMemoryPages(SxvkAllocator allocator, size_t allocationCount,
                                        const SxvkAllocation* pAllocations);

/*  Is this a live allocation of this allocator? Reports nothing. Cost: O(1), no lock. */
SX_VKALLOC_API VkBool32 sxvkIsAllocationValid(SxvkAllocator allocator, SxvkAllocation allocation);

/*  Zeroes the struct where the handle is invalid. Cost: O(1), no lock. */
SX_VKALLOC_API void sxvkGetAllocationInfo(SxvkAllocator allocator, SxvkAllocation allocation,
                                          SxvkAllocationInfo* pAllocationInfo);
SX_VKALLOC_API void sxvkGetAllocationInfo2(SxvkAllocator allocator, SxvkAllocation allocation,
                                           SxvkAllocationInfo2* pAllocationInfo);
SX_VKALLOC_API void sxvkGetAllocationMemoryProperties(SxvkAllocator allocator,
                                                      SxvkAllocation allocation,
                                                      VkMemoryPropertyFlags* pFlags);

/*  The first use of either may allocate host memory, so unlike VMA's they can fail.
    Returns   VK_SUCCESS, OUT_OF_HOST_MEMORY (the old value stays), VALIDATION_FAILED
    Threads   not with other calls on the same allocation
*/
SX_VKALLOC_API VkResult sxvkSetAllocationUserData(SxvkAllocator allocator,
                                                  SxvkAllocation allocation, void* pUserData);
SX_VKALLOC_API VkResult sxvkSetAllocationName(SxvkAllocator allocator, SxvkAllocation allocation,
                                              const char* pName);

/*  Tell the driver which memory to keep in VRAM: 0 to 1, for dedicated allocations.
    Returns   VK_SUCCESS, FEATURE_NOT_PRESENT (not dedicated, or the allocator was made without
              ..._EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_BIT), VALIDATION_FAILED
*/
SX_VKALLOC_API VkResult sxvkSetAllocationPriority(SxvkAllocator allocator,
                                                  SxvkAllocation allocation, float priority);

/*  Call pfnCallback for each live allocation until it returns VK_FALSE. The callback runs outside
    every lock and may use the allocator, even free. Allocations made meanwhile may be missed, or be
    seen before they have a name, user data or a mapping. Keep apart from it what frees or renames
    the allocations that the callback looks at.
    Cost      O(most allocations that ever lived at once)
*/
SX_VKALLOC_API void sxvkForEachAllocation(SxvkAllocator allocator,
                                          PFN_sxvkAllocationCallback pfnCallback, void* pUserData);

/* --- mapping --------------------------------------------------------------------------------- */

/*  Give a pointer to the first byte. Maps are counted: each one needs its sxvkUnmapMemory. The
    pointer is the same each time, and MAPPED_BIT has it in SxvkAllocationInfo already.
    Returns   VK_SUCCESS, MEMORY_MAP_FAILED (also: not host-visible, or mapped 255 times already),
              VALIDATION_FAILED
    Cost      O(1); vkMapMemory once per block
*/
SX_VKALLOC_API VkResult sxvkMapMemory(SxvkAllocator allocator, SxvkAllocation allocation,
                                      void** ppData);
SX_VKALLOC_API void sxvkUnmapMemory(SxvkAllocator allocator, SxvkAllocation allocation);

/*  Flush after the CPU wrote, invalidate before it reads; rounded out to nonCoherentAtomSize and
    nothing at all on coherent memory. offset and size are relative to the allocation; VK_WHOLE_SIZE
    = to its end. The memory must be mapped. The plural forms make one driver call per 32 ranges;
    their offsets and sizes are optional (0, VK_WHOLE_SIZE).
*/
SX_VKALLOC_API VkResult sxvkFlushAllocation(SxvkAllocator allocator, SxvkAllocation allocation,
                                            VkDeviceSize offset, VkDeviceSize size);
SX_VKALLOC_API VkResult sxvkInvalidateAllocation(SxvkAllocator allocator, SxvkAllocation allocation,
                                                 VkDeviceSize offset, VkDeviceSize size);
SX_VKALLOC_API VkResult sxvkFlushAllocations(SxvkAllocator allocator, uint32_t allocationCount,
                                             const SxvkAllocation* allocations,
                                             const VkDeviceSize* offsets,
                                             const VkDeviceSize* sizes);
SX_VKALLOC_API VkResult sxvkInvalidateAllocations(SxvkAllocator allocator, uint32_t allocationCount,
                                                  const SxvkAllocation* allocations,
                                                  const VkDeviceSize* offsets,
                                                  const VkDeviceSize* sizes);

/*  Map, copy, flush and unmap in one; and map, invalidate, copy and unmap. */
SX_VKALLOC_API VkResult sxvkCopyMemoryToAllocation(SxvkAllocator allocator,
                                                   const void* pSrcHostPointer,
                                                   SxvkAllocation dstAllocation,
                                                   VkDeviceSize dstAllocationLocalOffset,
                                                   VkDeviceSize size);
SX_VKALLOC_API VkResult sxvkCopyAllocationToMemory(SxvkAllocator allocator,
                                                   SxvkAllocation srcAllocation,
                                                   VkDeviceSize srcAllocationLocalOffset,
                                                   void* pDstHostPointer, VkDeviceSize size);

/* --- buffers and images ---------------------------------------------------------------------- */

/*  Bind a resource at the start of an allocation; the 2 forms at an offset, with a chain for
    VkBindBufferMemoryInfo or VkBindImageMemoryInfo (needs Vulkan 1.1 or KHR_BIND_MEMORY2_BIT).
    Returns   what vkBind..Memory returns, VALIDATION_FAILED
*/
SX_VKALLOC_API VkResult sxvkBindBufferMemory(SxvkAllocator allocator, SxvkAllocation allocation,
                                             VkBuffer buffer);
SX_VKALLOC_API VkResult sxvkBindBufferMemory2(SxvkAllocator allocator, SxvkAllocation allocation,
                                              VkDeviceSize allocationLocalOffset, VkBuffer buffer,
                                              const void* pNext);
SX_VKALLOC_API VkResult sxvkBindImageMemory(SxvkAllocator allocator, SxvkAllocation allocation,
                                            VkImage image);
SX_VKALLOC_API VkResult sxvkBindImageMemory2(SxvkAllocator allocator, SxvkAllocation allocation,
                                             VkDeviceSize allocationLocalOffset, VkImage image,
                                             const void* pNext);

/*  Create a buffer, allocate memory for it and bind the two.
    Returns   as sxvkAllocateMemory, and what vkCreateBuffer and vkBindBufferMemory return
    Owner     caller: sxvkDestroyBuffer
    Cost      as sxvkAllocateMemory, and the three or four driver calls for the buffer
*/
SX_VKALLOC_API VkResult sxvkCreateBuffer(SxvkAllocator allocator,
                                         const VkBufferCreateInfo* pBufferCreateInfo,
                                         const SxvkAllocationCreateInfo* pAllocationCreateInfo,
                                         VkBuffer* pBuffer, SxvkAllocation* pAllocation,
                                         SxvkAllocationInfo* pAllocationInfo);
SX_VKALLOC_API VkResult sxvkCreateBufferWithAlignment(
    SxvkAllocator allocator, const VkBufferCreateInfo* pBufferCreateInfo,
    const SxvkAllocationCreateInfo* pAllocationCreateInfo, VkDeviceSize minAlignment,
    VkBuffer* pBuffer, SxvkAllocation* pAllocation, SxvkAllocationInfo* pAllocationInfo);
SX_VKALLOC_API VkResult sxvkCreateDedicatedBuffer(
    SxvkAllocator allocator, const VkBufferCreateInfo* pBufferCreateInfo,
    const SxvkAllocationCreateInfo* pAllocationCreateInfo, void* pMemoryAllocateNext,
    VkBuffer* pBuffer, SxvkAllocation* pAllocation, SxvkAllocationInfo* pAllocationInfo);

/*  A further buffer in memory that exists; destroy it with vkDestroyBuffer. */
SX_VKALLOC_API VkResult sxvkCreateAliasingBuffer(SxvkAllocator allocator, SxvkAllocation allocation,
                                                 const VkBufferCreateInfo* pBufferCreateInfo,
                                                 VkBuffer* pBuffer);
SX_VKALLOC_API VkResult sxvkCreateAliasingBuffer2(SxvkAllocator allocator,
                                                  SxvkAllocation allocation,
                                                  VkDeviceSize allocationLocalOffset,
                                                  const VkBufferCreateInfo* pBufferCreateInfo,
                                                  VkBuffer* pBuffer);

/*  Destroy the buffer, then free the memory; either may be null. Where the allocation is not valid
    any more nothing happens to the buffer either: it may be gone as well. */
SX_VKALLOC_API void sxvkDestroyBuffer(SxvkAllocator allocator, VkBuffer buffer,
                                      SxvkAllocation allocation);

/*  Many buffers at once, all or none. The arrays have bufferCount elements each;
    pAllocationInfos is optional. One driver call binds up to 32 of them (with Vulkan 1.1 or
    KHR_BIND_MEMORY2_BIT), and as many go under one hold of a lock, here and when they are
    destroyed. */
SX_VKALLOC_API VkResult sxvkCreateBuffers(SxvkAllocator allocator, uint32_t bufferCount,
                                          const VkBufferCreateInfo* pBufferCreateInfos,
                                          const SxvkAllocationCreateInfo* pAllocationCreateInfos,
                                          VkBuffer* pBuffers, SxvkAllocation* pAllocations,
                                          SxvkAllocationInfo* pAllocationInfos);
/*  As sxvkDestroyBuffer for each; either array may be null. */
SX_VKALLOC_API void sxvkDestroyBuffers(SxvkAllocator allocator, uint32_t bufferCount,
                                       const VkBuffer* pBuffers,
                                       const SxvkAllocation* pAllocations);

/*  The same for images. Disjoint multi-planar images are not supported: VALIDATION_FAILED. */
SX_VKALLOC_API VkResult sxvkCreateImage(SxvkAllocator allocator,
                                        const VkImageCreateInfo* pImageCreateInfo,
                                        const SxvkAllocationCreateInfo* pAllocationCreateInfo,
                                        VkImage* pImage, SxvkAllocation* pAllocation,
                                        SxvkAllocationInfo* pAllocationInfo);
SX_VKALLOC_API VkResult sxvkCreateDedicatedImage(
    SxvkAllocator allocator, const VkImageCreateInfo* pImageCreateInfo,
    const SxvkAllocationCreateInfo* pAllocationCreateInfo, void* pMemoryAllocateNext,
    VkImage* pImage, SxvkAllocation* pAllocation, SxvkAllocationInfo* pAllocationInfo);
SX_VKALLOC_API VkResult sxvkCreateAliasingImage(SxvkAllocator allocator, SxvkAllocation allocation,
                                                const VkImageCreateInfo* pImageCreateInfo,
                                                VkImage* pImage);
SX_VKALLOC_API VkResult sxvkCreateAliasingImage2(SxvkAllocator allocator, SxvkAllocation allocation,
                                                 VkDeviceSize allocationLocalOffset,
                                                 const VkImageCreateInfo* pImageCreateInfo,
                                                 VkImage* pImage);
SX_VKALLOC_API void sxvkDestroyImage(SxvkAllocator allocator, VkImage image,
                                     SxvkAllocation allocation);

/*  Many images at once, all or none. The arrays have imageCount elements each;
    pAllocationInfos is optional. One driver call binds up to 32 of them (with Vulkan 1.1 or
    KHR_BIND_MEMORY2_BIT), and as many go under one hold of a lock, here and when they are
    destroyed. */
SX_VKALLOC_API VkResult sxvkCreateImages(SxvkAllocator allocator, uint32_t imageCount,
                                         const VkImageCreateInfo* pImageCreateInfos,
                                         const SxvkAllocationCreateInfo* pAllocationCreateInfos,
                                         VkImage* pImages, SxvkAllocation* pAllocations,
                                         SxvkAllocationInfo* pAllocationInfos);
/*  As sxvkDestroyImage for each; either array may be null. */
SX_VKALLOC_API void sxvkDestroyImages(SxvkAllocator allocator, uint32_t imageCount,
                                      const VkImage* pImages, const SxvkAllocation* pAllocations);

/* --- custom pools ---------------------------------------------------------------------------- */

/*  Returns   VK_SUCCESS, OUT_OF_HOST_MEMORY, VALIDATION_FAILED; with minBlockCount also
              OUT_OF_DEVICE_MEMORY, TOO_MANY_OBJECTS
    Owner     caller: sxvkDestroyPool, before the allocator

    A linear pool for a level of a game, as two stacks:

        poolInfo.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT;
        sxvkCreatePool(allocator, &poolInfo, &info.pool);
        sxvkCreateBuffer(allocator, &mesh, &info, ...);       what the level keeps, from below
        info.flags |= SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT;
        sxvkCreateBuffer(allocator, &scratch, &info, ...);    what its loading needs, from above
        ...
        sxvkResetPool(allocator, info.pool);                  the next level, please
*/
SX_VKALLOC_API VkResult sxvkCreatePool(SxvkAllocator allocator,
                                       const SxvkPoolCreateInfo* pCreateInfo, SxvkPool* pPool);
/*  Reports every allocation that is still alive, one message each, and frees all memory. */
SX_VKALLOC_API void sxvkDestroyPool(SxvkAllocator allocator, SxvkPool pool);
/*  Free all allocations of a pool at once; the resources in them must be destroyed or never used
    again. Their handles are invalid from then on, their mappings end, their names go. Margins,
    where there are any, are checked first. The blocks of a linear pool stay, empty, for what comes
    next: sxvkTrim gives them back.
    Returns   VK_SUCCESS, VALIDATION_FAILED
    Threads   keep it apart from other calls that name the pool or its allocations
    Cost      of a linear pool O(blocks), however many allocations (O(allocations) where some have
              a module), and with ..._UNMAP_UNUSED_BLOCKS_BIT a vkUnmapMemory for each block that is
              mapped; of any other pool, and for dedicated ones, as if each were freed
*/
SX_VKALLOC_API VkResult sxvkResetPool(SxvkAllocator allocator, SxvkPool pool);
/*  The name lives until it is set anew. */
SX_VKALLOC_API void sxvkGetPoolName(SxvkAllocator allocator, SxvkPool pool, const char** ppName);
SX_VKALLOC_API VkResult sxvkSetPoolName(SxvkAllocator allocator, SxvkPool pool, const char* pName);

/* --- modules ---------------------------------------------------------------------------------- */

/*  A part of the program that holds memory: textures, meshes, a plugin. It counts what allocations
    of it have; the memory itself comes from where everybody's does.
    Returns   VK_SUCCESS, OUT_OF_HOST_MEMORY, VALIDATION_FAILED (also a name that is in use)
    Owner     caller: sxvkDestroyModule, before the allocator
    Cost      O(modules). To allocate for a module takes some 500 instructions more, to free 180:
              the first needs the side table, as a name or user data do, and no lock
*/
SX_VKALLOC_API VkResult sxvkCreateModule(SxvkAllocator allocator,
                                         const SxvkModuleCreateInfo* pCreateInfo,
                                         SxvkModule* pModule);
/*  Reports every pool and every allocation of the module that is still alive, one message each.
    They live on, and belong to no module. A stale handle is reported and changes nothing; a handle
    comes back when 65,536 modules have been destroyed in its place.
    Threads   keep it apart from what names the module, and, where allocations of it are alive,
              from what frees or renames these
    Cost      O(modules); where allocations are alive as sxvkForEachAllocation
*/
SX_VKALLOC_API void sxvkDestroyModule(SxvkAllocator allocator, SxvkModule module);
/*  Counters only, whatever lives: fit for every frame. Zeroes the struct on a stale handle, which
    is reported.
    Threads   safe, and waits for nobody, see sxvkGetHeapBudget
    Cost      O(memory types); for unusedShare some 600 instructions for each type it has memory of
*/
SX_VKALLOC_API void sxvkGetModuleStatistics(SxvkAllocator allocator, SxvkModule module,
                                            SxvkModuleStatistics* pStatistics);
/*  Null: of no module, or of one that was destroyed, or a stale handle, which is reported. Cost:
    O(1), no lock. */
SX_VKALLOC_API SxvkModule sxvkGetAllocationModule(SxvkAllocator allocator,
                                                  SxvkAllocation allocation);

/* --- pressure --------------------------------------------------------------------------------- */

/*  The allocation was used in the current frame, see sxvkSetCurrentFrameIndex.
    Returns   VK_SUCCESS, OUT_OF_HOST_MEMORY (only the first time; nothing is stamped),
              VALIDATION_FAILED
    Cost      O(1), no lock: some 50 instructions after the first time; twice that in linear pools
*/
SX_VKALLOC_API VkResult sxvkTouchAllocation(SxvkAllocator allocator, SxvkAllocation allocation);

/*  Which allocations to drop or shrink first: those that were touched longest ago, the coldest
    first and of two as cold the larger; up to *pCount, and no more than it takes to have `bytes`
    together (0 = any number). What was never touched is not listed. heapIndex UINT32_MAX = of all
    heaps; a module (optional) = only of it. *pCount becomes how many there are. What is younger
    than the frames in flight the device may still use: look at age, which is right for 2^31
    frames.
    Returns   VK_SUCCESS, VALIDATION_FAILED; on failure *pCount is 0
    Threads   safe; what is listed may have been touched or freed by others meanwhile
    Cost      as sxvkForEachAllocation; no lock, no memory but pAllocations
*/
SX_VKALLOC_API VkResult sxvkGetColdestAllocations(SxvkAllocator allocator, uint32_t heapIndex,
                                                  SxvkModule module, VkDeviceSize bytes,
                                                  uint32_t* pCount,
                                                  SxvkColdAllocation* pAllocations);

/*  As pHeapSizeLimit, from now on: bytes; never above what the heap had when the allocator was
    made, VK_WHOLE_SIZE = that. Where more is held already, it stays, and nothing is added.
    Returns   VK_SUCCESS, VALIDATION_FAILED
*/
SX_VKALLOC_API VkResult sxvkSetHeapSizeLimit(SxvkAllocator allocator, uint32_t heapIndex,
                                             VkDeviceSize limit);

/* --- statistics and diagnosis ----------------------------------------------------------------- */

/*  Counters only, no walk and no driver call: fit for every frame. Zeroes the struct on bad
    arguments.
    Threads   safe, and waits for nobody. Exact where nobody else is at work. What other threads do
              at this moment is in it or not, as are the last 15 frees from where one of them just
              allocates. Only who destroys a pool waits for it
    Cost      O(pools of the heap), some 600 instructions for each that has slabs
*/
SX_VKALLOC_API void sxvkGetHeapBudget(SxvkAllocator allocator, uint32_t heapIndex,
                                      SxvkBudget* pBudget);
/*  As sxvkGetHeapBudget, of one pool. */
SX_VKALLOC_API void sxvkGetPoolStatistics(SxvkAllocator allocator, SxvkPool pool,
                                          SxvkStatistics* pPoolStats);

/*  The last frames, the oldest first; see frameHistoryCount. With pFrames null *pCount becomes the
    number that there are; else it says how many fit, the latest ones are written, and it becomes
    their number. Pools with ..._EXTERNALLY_SYNCHRONIZED_BIT are left out, but for their blocks.
    Returns   VK_SUCCESS, VALIDATION_FAILED; on failure *pCount is 0
*/
SX_VKALLOC_API VkResult sxvkGetFrameHistory(SxvkAllocator allocator, uint32_t* pCount,
                                            SxvkFrameStatistics* pFrames);

/*  Walk every range, with the lock held that others need for memory of that type: 5 to 50 ms for a
    million. For debugging, as are the checks below. */
SX_VKALLOC_API void sxvkCalculateStatistics(SxvkAllocator allocator, SxvkTotalStatistics* pStats);
SX_VKALLOC_API void sxvkCalculatePoolStatistics(SxvkAllocator allocator, SxvkPool pool,
                                                SxvkDetailedStatistics* pPoolStats);

#if !defined(SX_VKALLOC_NO_STATS_STRING) || SX_VKALLOC_NO_STATS_STRING == 0
/*  A JSON dump with VMA's keys; detailedMap lists every range. Besides: Fragmentation, the
    PressureLevel of heaps, Modules, History (frameHistoryCount); of an allocation its Module and
    its Age in frames (SXVK_DEBUG_TRACK_ALLOCATIONS_BIT). Called in the message callback for a
    LEAKED_POOL or LEAKED_ALLOCATION of sxvkDestroyAllocator it has Leaks: what is alive, each with
    its Stack (SX_VKALLOC_STACK_TRACES). tools/memview shows all of it. On failure *ppStatsString is
    null.
    Owner     caller: sxvkFreeStatsString
    Threads   safe; no lock is held for longer than it takes to look at 128 ranges, or at all
              blocks of a pool. So ranges that come and go meanwhile may be in the dump or not; but
              those in it do not overlap.
    Cost      1 to 2 us for each range; of host memory the text, and up to 150 bytes for each range
              of the block it is at
*/
SX_VKALLOC_API VkResult sxvkBuildStatsString(SxvkAllocator allocator, char** ppStatsString,
                                             VkBool32 detailedMap);
SX_VKALLOC_API void sxvkFreeStatsString(SxvkAllocator allocator, char* pStatsString);

/*  A report for a log: heaps with their budgets and pressure, memory types, custom pools, modules,
    the 16 largest allocations, and the frame history in brief. On failure *ppStatsText is null.
    Owner     caller: sxvkFreeStatsText
    Cost      walks every range, a few at a time under a lock, as sxvkBuildStatsString does
*/
SX_VKALLOC_API VkResult sxvkBuildStatsText(SxvkAllocator allocator, char** ppStatsText);
SX_VKALLOC_API void sxvkFreeStatsText(SxvkAllocator allocator, char* pStatsText);
#endif

/*  Check the margins (SxvkDebugInfo) of all allocations in types of memoryTypeBits, or of a pool.
    Returns   VK_SUCCESS, FEATURE_NOT_PRESENT (nothing there has margins), UNKNOWN (a margin was
              overwritten; one message, about the first), VALIDATION_FAILED
*/
SX_VKALLOC_API VkResult sxvkCheckCorruption(SxvkAllocator allocator, uint32_t memoryTypeBits);
SX_VKALLOC_API VkResult sxvkCheckPoolCorruption(SxvkAllocator allocator, SxvkPool pool);

/*  Walk everything and check every invariant.
    Returns   VK_SUCCESS, UNKNOWN (one message, about the first pool that is broken)
*/
SX_VKALLOC_API VkResult sxvkCheckIntegrity(SxvkAllocator allocator);

#if !defined(SX_VKALLOC_NO_DEFRAG) || SX_VKALLOC_NO_DEFRAG == 0
/* --- defragmentation ------------------------------------------------------------------------- */

/*  Empty blocks, and give them back to the driver, by moving what lives in them. In passes: begin
    one, make a new resource at each dstTmpAllocation, copy, wait until the device has copied,
    destroy the old resources, end the pass; until the beginning of one says VK_SUCCESS. Other
    threads may allocate, free, map and ask at any time, also what is about to move: what is freed
    is not moved, and what they allocate meanwhile takes a block back that was to be emptied rather
    than a new one.

    Not moved, and their blocks left alone, are allocations with ..._PINNED_BIT, dedicated ones,
    those that are mapped by sxvkMapMemory when the pass is planned, those with ..._MAPPED_BIT but
    where ..._MOVE_MAPPED_BIT is set, and those of linear pools. What you do not know you ignore: an
    allocation can be in a pass before the call that makes it has returned. Handles, names and user
    data stay. Info that you have asked for before, memory and offset, is that of the old place.

    Returns   VK_SUCCESS, OUT_OF_HOST_MEMORY, FEATURE_NOT_PRESENT (a linear pool), VALIDATION_FAILED
    Owner     caller: sxvkEndDefragmentation, before the pool
    Threads   safe; but keep the calls that name one context apart
*/
SX_VKALLOC_API VkResult sxvkBeginDefragmentation(SxvkAllocator allocator,
                                                 const SxvkDefragmentationInfo* pInfo,
                                                 SxvkDefragmentationContext* pContext);
/*  Plan a pass.
    Returns   VK_SUCCESS (nothing is left to be done, no pass was begun), VK_INCOMPLETE (a pass was
              begun; moveCount may be 0 where its time was up or the break callback ended it: the
              next one goes on from there), OUT_OF_HOST_MEMORY (try again, or end it),
              VALIDATION_FAILED
    Messages  MOVE_FAILED: what is mapped for ever had its new place not mapped by the driver; it
              stays, and its block with it, at least for now
    Cost      5 to 50 us for each block that it looks into, and one vkFreeMemory for each that is
              empty
*/
SX_VKALLOC_API VkResult sxvkBeginDefragmentationPass(SxvkAllocator allocator,
                                                     SxvkDefragmentationContext context,
                                                     SxvkDefragmentationPassMoveInfo* pPassInfo);
/*  Do what the operations say.
    Returns   VK_SUCCESS (that was the last pass), VK_INCOMPLETE (begin another one), VK_NOT_READY
              (what is in *pPassInfo now is mapped by sxvkMapMemory and cannot be committed before
              that ends: call again; the rest is done), VALIDATION_FAILED
    Cost      under 1 us for each move, and one vkFreeMemory for each block that runs empty
*/
SX_VKALLOC_API VkResult sxvkEndDefragmentationPass(SxvkAllocator allocator,
                                                   SxvkDefragmentationContext context,
                                                   SxvkDefragmentationPassMoveInfo* pPassInfo);
/*  May come at any time: all moves of a pass that was not ended are ignored. pStats is optional. */
SX_VKALLOC_API void sxvkEndDefragmentation(SxvkAllocator allocator,
                                           SxvkDefragmentationContext context,
                                           SxvkDefragmentationStats* pStats);

/*  Begin to empty the one block that the allocation lives in, whatever that costs: to take it from
    the driver's hands, or to get what lives there out of the way. Go on as with any context: where
    the allocation is movable by sxvkRecordMoves, else by passes, and what lives beside it must be
    of the same sort. Of pInfo the limits and MOVE_MAPPED count.
    Returns   as sxvkBeginDefragmentation; FEATURE_NOT_PRESENT also where it is dedicated
*/
SX_VKALLOC_API VkResult sxvkBeginEvacuation(SxvkAllocator allocator, SxvkAllocation allocation,
                                            const SxvkDefragmentationInfo* pInfo,
                                            SxvkDefragmentationContext* pContext);

/*  Move resources that were made with SXVK_ALLOCATION_CREATE_MOVABLE_BIT: for each one a new one is
    made, with the create info of the old, and bound to the new place; barriers and copies are
    recorded, of all aspects, mips and layers; pfnMoved is told. When the device has reached
    pInfo->value call sxvkCompleteMoves, which destroys the old ones. So with each call the library
    does a part of the work, and the device does the rest between other commands:

        sxvkBeginDefragmentation(allocator, &with_movables_only, &context);
        each frame, until it says VK_SUCCESS:
            sxvkRecordMoves(allocator, context, &moves);     moves.value = frame
            ... submit ...
            sxvkCompleteMoves(allocator, the last frame that the device has done);
        sxvkEndDefragmentation(allocator, context, &stats);

    The context has SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT; its limits per pass are those of a
    call. An allocation, its name and user data stay; from pfnMoved on its place is the new one,
    which has the contents once the copy was executed: until then the CPU must not touch it. What is
    recorded must be submitted. Commands that were recorded before and are submitted behind this
    command buffer must not use the old handle, but to read. A resource that is destroyed meanwhile
    is destroyed when its move is complete. Where something fails in a move the resource stays where
    it is.
    Returns   VK_SUCCESS (nothing is left to be done), VK_INCOMPLETE (call again), VK_NOT_READY
              (nothing to record before moves in flight are complete), what making the resource
              returned where that failed and nothing was recorded (call again: it is passed over),
              VALIDATION_FAILED
    Threads   safe; but keep the calls that move, complete and tick apart, and none of them runs
              while a pool is destroyed or reset in which something is in flight
    Cost      3 to 5 driver calls and under 2 us of our own for each move; as
              sxvkBeginDefragmentationPass for the plan
*/
SX_VKALLOC_API VkResult sxvkRecordMoves(SxvkAllocator allocator, SxvkDefragmentationContext context,
                                        const SxvkMoveInfo* pInfo);
/*  The device has reached value: the resources that were moved up to it are destroyed, and their
    memory is free. Nothing happens where it was complete before.
    Cost      O(moves completed); one vkDestroy.. for each
*/
SX_VKALLOC_API void sxvkCompleteMoves(SxvkAllocator allocator, uint64_t value);

/*  Defragment in the background: call once per frame. It begins a run where enough of what the
    default pools have committed is not used, or a heap is over its budget; not again for the same
    waste, nor within 60 calls after a run; and gives up at once where an allocation needs the room
    that it was about to free: it moves no more, and undoes what was begun in this and the next
    calls. It moves as sxvkRecordMoves does; call sxvkCompleteMoves as well.
    Returns   VK_SUCCESS (at rest), VK_INCOMPLETE (at work), as sxvkRecordMoves
    Cost      at rest O(pools), counters only; else at most moves.maxMicroseconds and what the last
              step takes, whatever there is to do: some 20 us and a few driver calls
*/
SX_VKALLOC_API VkResult sxvkDefragmentationTick(SxvkAllocator allocator,
                                                const SxvkDefragmentationTickInfo* pInfo);

/*  After an allocation has failed: free size bytes in the heap of a memory type, by giving back
    what is empty and emptying the cheapest blocks, of all types in the heap, until it is enough.
    Returns   VK_SUCCESS (that much was freed: try again), VK_INCOMPLETE (it will be when pInfo's
              value is complete), OUT_OF_DEVICE_MEMORY (less can be freed, and is),
              OUT_OF_HOST_MEMORY (a second call may do more), VALIDATION_FAILED
    Cost      unbounded but for maxMicroseconds
*/
SX_VKALLOC_API VkResult sxvkMakeRoom(SxvkAllocator allocator, uint32_t memoryTypeIndex,
                                     VkDeviceSize size, const SxvkMoveInfo* pInfo);

SX_VKALLOC_API void sxvkGetMoveStatistics(SxvkAllocator allocator, SxvkMoveStatistics* pStatistics);
#endif

#if !defined(SX_VKALLOC_NO_UPLOAD) || SX_VKALLOC_NO_UPLOAD == 0
/* --- frame rings ------------------------------------------------------------------------------ */

/*  Memory for what the CPU writes once and the device reads soon: uniforms, instance data, staging.
    A persistently mapped buffer from which slices are cut in a circle. Each slice belongs to the
    value that was begun last (a frame number, a value of a timeline semaphore, a count of
    submissions) and is never freed by itself: completing a value takes back all slices up to it.

        sxvkBeginFrameRing(ring, frame);
        sxvkAllocateFromFrameRing(ring, sizeof uniforms, 0, &slice);
        memcpy(slice.pMappedData, &uniforms, sizeof uniforms);
        ... bind slice.buffer at slice.offset, submit, and when that work is done ...
        sxvkCompleteFrameRing(ring, frame);

    A ring that is full goes on in a buffer of at least twice the size; the full one lives until
    its last value is complete. So nothing fails while the device has memory, and slice.buffer is
    the same one nearly always: compare it before you update a descriptor. After 256 values that
    needed less than a quarter, the next one begins in a smaller buffer. The memory is
    HOST_COHERENT, so that there is nothing to flush: every device has such a type, and every buffer
    may live in it (Vulkan specification, vkGetBufferMemoryRequirements).
    Returns   as sxvkCreateBuffer; MISSING_FUNCTION where the usage has SHADER_DEVICE_ADDRESS
    Owner     caller: sxvkDestroyFrameRing, before the allocator; the device must be done with it
*/
SX_VKALLOC_API VkResult sxvkCreateFrameRing(SxvkAllocator allocator,
                                            const SxvkFrameRingCreateInfo* pCreateInfo,
                                            SxvkFrameRing* pRing);
SX_VKALLOC_API void sxvkDestroyFrameRing(SxvkAllocator allocator, SxvkFrameRing ring);

/*  What is allocated from now on belongs to value, which is greater than any before and not 0.
    Threads   safe; but an allocation that runs meanwhile may still belong to the value before
    Cost      O(1); after a time of little use one buffer is made
*/
SX_VKALLOC_API VkResult sxvkBeginFrameRing(SxvkFrameRing ring, uint64_t value);

/*  The device is done with all slices up to value, which is not above the one begun last; nothing
    happens where it, or a later one, was completed before. It need not be one that was begun: one
    between two of them, where the counter of a timeline semaphore may stand, completes those below
    it. To complete the value begun last ends it: the next allocation needs another begin. No
    allocation that may belong to value is still running. Up to 32 values stand apart; where more
    are in flight, the later ones are taken back together.
    Cost      O(values completed); destroys the buffers that waited for them
*/
SX_VKALLOC_API VkResult sxvkCompleteFrameRing(SxvkFrameRing ring, uint64_t value);

/*  size bytes, 1 to 2^40 - 1, at an offset that is a multiple of alignment, a power of two below
    2^32; 0 = the ring's. An alignment above the size of the ring is offset 0. On failure *pSlice is
    zero.
    Returns   VK_SUCCESS, VALIDATION_FAILED; where the ring is full also as sxvkCreateBuffer
    Threads   safe; but a message or memory callback must not allocate from the ring that grows
    Cost      one compare-and-swap; where the ring is full one buffer is made
*/
SX_VKALLOC_API VkResult sxvkAllocateFromFrameRing(SxvkFrameRing ring, VkDeviceSize size,
                                                  VkDeviceSize alignment, SxvkBufferSlice* pSlice);
SX_VKALLOC_API void sxvkGetFrameRingStatistics(SxvkFrameRing ring,
                                               SxvkFrameRingStatistics* pStatistics);

/* --- smart buffers ---------------------------------------------------------------------------- */

/*  A buffer that is written, or read back, by one piece of code on every device: whether the CPU
    reaches its memory or a copy must be recorded is the library's business.

        access     memory                             a write
        STATIC     device memory                      where the CPU reaches that (integrated GPUs,
                                                      resizable BAR) at once, else staged
        STREAMING  device memory                      always staged: in the order of commands
        DYNAMIC    that both reach, one copy of the   at once, into this frame's copy, see
                   content for each frame in flight   sxvkGetSmartBufferInfo
        READBACK   cached memory of the CPU; with     by the device; sxvkRecordSmartBufferRead,
                   shaders on a discrete GPU device   then sxvkReadSmartBuffer
                   memory, and a copy for the CPU

    What holds for all devices is the stricter of both ways: a range of a STATIC buffer may be
    written only while no submitted, unfinished work uses it, and the commands that see the write
    are submitted after it.

    What is recorded, unless NO_BARRIERS is set: the copy; behind it a barrier from TRANSFER to
    ALL_COMMANDS over the range; for STREAMING one from ALL_COMMANDS to TRANSFER before it.
    A read back: a barrier from ALL_COMMANDS to HOST; or a copy with one from ALL_COMMANDS before it
    and one to HOST and ALL_COMMANDS behind it, so that later commands may write the range again.
    So what remains to you: to record outside of render passes, on a queue that may copy, semaphores
    between queues, and to wait until the device is done before you read; until you have read, no
    commands that write the range are submitted. A buffer belongs to one queue family.
    Returns   as sxvkCreateBuffer; VALIDATION_FAILED also where Vulkan functions are missing
    Owner     caller: sxvkDestroySmartBuffer, before its ring; the device must be done with it
*/
SX_VKALLOC_API VkResult sxvkCreateSmartBuffer(SxvkAllocator allocator,
                                              const SxvkSmartBufferCreateInfo* pCreateInfo,
                                              SxvkSmartBuffer* pBuffer);
SX_VKALLOC_API void sxvkDestroySmartBuffer(SxvkAllocator allocator, SxvkSmartBuffer buffer);
SX_VKALLOC_API void sxvkGetSmartBufferInfo(SxvkSmartBuffer buffer, SxvkSmartBufferInfo* pInfo);

/*  Write size bytes of pData at dstOffset, in a value that the ring has begun. commands may be null
    for DYNAMIC alone. A DYNAMIC buffer begins a fresh copy, of undefined content, at the first
    write after each begin of its ring.
    Returns   as sxvkAllocateFromFrameRing, and what vkFlushMappedMemoryRanges returns
    Threads   safe for ranges that do not overlap; the command buffer is yours to keep apart
*/
SX_VKALLOC_API VkResult sxvkWriteSmartBuffer(SxvkSmartBuffer buffer, VkCommandBuffer commands,
                                             VkDeviceSize dstOffset, VkDeviceSize size,
                                             const void* pData);

/*  The same in two steps, for data that is made in place: write to pWrite->pData between them. Both
    belong to one value of the ring: a write whose value is complete, or that another buffer
    prepared, is VALIDATION_FAILED.

        sxvkPrepareSmartBufferWrite(buffer, 0, count * sizeof(Instance), &write);
        fill_instances((Instance*)write.pData, count);
        sxvkRecordSmartBufferWrite(buffer, commands, &write);
*/
SX_VKALLOC_API VkResult sxvkPrepareSmartBufferWrite(SxvkSmartBuffer buffer, VkDeviceSize dstOffset,
                                                    VkDeviceSize size,
                                                    SxvkSmartBufferWrite* pWrite);
SX_VKALLOC_API VkResult sxvkRecordSmartBufferWrite(SxvkSmartBuffer buffer, VkCommandBuffer commands,
                                                   const SxvkSmartBufferWrite* pWrite);

/*  READBACK: make what earlier commands wrote into a range readable; and, when the device has done
    that, read it. */
SX_VKALLOC_API VkResult sxvkRecordSmartBufferRead(SxvkSmartBuffer buffer, VkCommandBuffer commands,
                                                  VkDeviceSize srcOffset, VkDeviceSize size);
SX_VKALLOC_API VkResult sxvkReadSmartBuffer(SxvkSmartBuffer buffer, VkDeviceSize srcOffset,
                                            VkDeviceSize size, void* pData);

#if !defined(SX_VKALLOC_NO_VIRTUAL) || SX_VKALLOC_NO_VIRTUAL == 0
/* --- buffer arenas ---------------------------------------------------------------------------- */

/*  Slices that live as long as you like, out of few VkBuffers: meshes, materials, small uniforms.
    The arena grows and shrinks by whole VkBuffers, of which it keeps an empty one.

        sxvkAllocateFromBufferArena(arena, bytes, 0, &mesh.allocation, &mesh.slice);
        ... copy to mesh.slice.buffer at mesh.slice.offset, and draw from there ...
        sxvkFreeToBufferArena(arena, mesh.allocation);

    Returns   VK_SUCCESS, OUT_OF_HOST_MEMORY, VALIDATION_FAILED; makes no buffer yet
    Owner     caller: sxvkDestroyBufferArena, before the allocator; it takes all slices with it, and
              reports how many there were
*/
SX_VKALLOC_API VkResult sxvkCreateBufferArena(SxvkAllocator allocator,
                                              const SxvkBufferArenaCreateInfo* pCreateInfo,
                                              SxvkBufferArena* pArena);
SX_VKALLOC_API void sxvkDestroyBufferArena(SxvkAllocator allocator, SxvkBufferArena arena);

/*  size bytes, 1 to 2^40 - 1, at an offset that is a multiple of alignment, a power of two below
    2^32; 0 = the arena's. pSlice is optional. On failure the outputs are null.
    Returns   VK_SUCCESS, OUT_OF_HOST_MEMORY, VALIDATION_FAILED; where no buffer has room also as
              sxvkCreateBuffer
    Threads   safe; but a message or memory callback must not allocate from the arena that grows
    Cost      O(1), however many slices and buffers; where none has room, one buffer is made
*/
SX_VKALLOC_API VkResult sxvkAllocateFromBufferArena(SxvkBufferArena arena, VkDeviceSize size,
                                                    VkDeviceSize alignment,
                                                    SxvkArenaAllocation* pAllocation,
                                                    SxvkBufferSlice* pSlice);
/*  The device must be done with the slice. A stale handle is reported and changes nothing.
    Cost      O(1); the second buffer that runs empty is destroyed
*/
SX_VKALLOC_API void sxvkFreeToBufferArena(SxvkBufferArena arena, SxvkArenaAllocation allocation);
/*  Where a slice is, with its size rounded up to the arena's alignment; all zero for a stale
    handle, which is reported. */
SX_VKALLOC_API void sxvkGetBufferArenaSlice(SxvkBufferArena arena, SxvkArenaAllocation allocation,
                                            SxvkBufferSlice* pSlice);
/*  blockCount and blockBytes are those of the VkBuffers; allocationBytes are rounded up. */
SX_VKALLOC_API void sxvkGetBufferArenaStatistics(SxvkBufferArena arena,
                                                 SxvkStatistics* pStatistics);
#endif
#endif

#if !defined(SX_VKALLOC_NO_VIRTUAL) || SX_VKALLOC_NO_VIRTUAL == 0
/* --- virtual blocks --------------------------------------------------------------------------- */
/*
    Ranges of a block that is nothing but its size: slices of a buffer of yours, descriptors, pages,
    rows of a table. No allocator and no device is needed, nor, with
    SX_VKALLOC_STATIC_VULKAN_FUNCTIONS 0, a Vulkan library; nothing is shared between blocks.

    Threads   not synchronised: one block, one thread at a time
    Memory    through pAllocationCallbacks; about 4 KiB for a block, 16 to 64 bytes an allocation
*/

/*  Returns   VK_SUCCESS, OUT_OF_HOST_MEMORY, VALIDATION_FAILED
    Owner     caller: sxvkDestroyVirtualBlock
*/
SX_VKALLOC_API VkResult sxvkCreateVirtualBlock(const SxvkVirtualBlockCreateInfo* pCreateInfo,
                                               SxvkVirtualBlock* pVirtualBlock);

/*  One message where allocations are still alive; they end with the block. */
SX_VKALLOC_API void sxvkDestroyVirtualBlock(SxvkVirtualBlock virtualBlock);

/*  Enlarge the block at its end; what was allocated stays.
    Returns   VK_SUCCESS, OUT_OF_HOST_MEMORY, VALIDATION_FAILED (also a newSize below the size),
              FEATURE_NOT_PRESENT (UPPER_ADDRESS allocations are alive: they stand at the end)
    Cost      O(1)
*/
SX_VKALLOC_API VkResult sxvkGrowVirtualBlock(SxvkVirtualBlock virtualBlock, VkDeviceSize newSize);

SX_VKALLOC_API VkBool32 sxvkIsVirtualBlockEmpty(SxvkVirtualBlock virtualBlock); /* O(1) */

/*  Zeroes the struct on a bad handle. */
SX_VKALLOC_API void sxvkGetVirtualAllocationInfo(SxvkVirtualBlock virtualBlock,
                                                 SxvkVirtualAllocation allocation,
                                                 SxvkVirtualAllocationInfo* pVirtualAllocInfo);

/*  Hand out a range. The null handle is never a valid one, whatever the offset. While the block has
    much room, sizes of which there are many come in slots that may be up to 1/8 larger than asked
    for; the MIN_MEMORY and MIN_OFFSET strategies do without. A linear block has no slots, and
    takes no notice of strategies.
    Returns   VK_SUCCESS, OUT_OF_DEVICE_MEMORY (no room was found), OUT_OF_HOST_MEMORY,
              VALIDATION_FAILED; on failure *pAllocation is null and *pOffset VK_WHOLE_SIZE
    Cost      O(1), whatever the number of ranges and holes
*/
SX_VKALLOC_API VkResult sxvkVirtualAllocate(SxvkVirtualBlock virtualBlock,
                                            const SxvkVirtualAllocationCreateInfo* pCreateInfo,
                                            SxvkVirtualAllocation* pAllocation,
                                            VkDeviceSize* pOffset); /* optional */

/*  Stale and doubly freed handles are reported, and change nothing. */
SX_VKALLOC_API void sxvkVirtualFree(SxvkVirtualBlock virtualBlock,
                                    SxvkVirtualAllocation allocation); /* O(1) */

/*  Free all. The handles become stale. O(allocations); O(1) in a linear block. */
SX_VKALLOC_API void sxvkClearVirtualBlock(SxvkVirtualBlock virtualBlock);

/*  The first use may allocate host memory, so unlike VMA's it can fail.
    Returns   VK_SUCCESS, OUT_OF_HOST_MEMORY (the old value stays), VALIDATION_FAILED
*/
SX_VKALLOC_API VkResult sxvkSetVirtualAllocationUserData(SxvkVirtualBlock virtualBlock,
                                                         SxvkVirtualAllocation allocation,
                                                         void* pUserData);

/*  Counters only. blockCount is 1, blockBytes the size. */
SX_VKALLOC_API void sxvkGetVirtualBlockStatistics(SxvkVirtualBlock virtualBlock,
                                                  SxvkStatistics* pStats);

/*  Walks every range. */
SX_VKALLOC_API void sxvkCalculateVirtualBlockStatistics(SxvkVirtualBlock virtualBlock,
                                                        SxvkDetailedStatistics* pStats);

#if !defined(SX_VKALLOC_NO_STATS_STRING) || SX_VKALLOC_NO_STATS_STRING == 0
/*  A JSON dump with VMA's keys; detailedMap lists every range. On failure *ppStatsString is null.
    Owner     caller: sxvkFreeVirtualBlockStatsString
*/
SX_VKALLOC_API VkResult sxvkBuildVirtualBlockStatsString(SxvkVirtualBlock virtualBlock,
                                                         char** ppStatsString,
                                                         VkBool32 detailedMap);
SX_VKALLOC_API void sxvkFreeVirtualBlockStatsString(SxvkVirtualBlock virtualBlock,
                                                    char* pStatsString);
#endif
#endif

#ifdef __cplusplus
}
#endif

#endif /* SX_VKALLOC_H */

/* ============================================================================================== */
/*                           Stop here if you only want to use the API.                           */
/* ============================================================================================== */

#if defined(__INTELLISENSE__) || defined(__CLANGD__) || defined(Q_CREATOR_RUN)
#define SX_VKALLOC_IMPLEMENTATION /* so that editors show the code below in colour */
#endif

#if defined(SX_VKALLOC_IMPLEMENTATION) && !defined(SXVKI_IMPLEMENTATION_GUARD)
#define SXVKI_IMPLEMENTATION_GUARD

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef SX_VKALLOC_DEBUG
#ifdef NDEBUG
#define SX_VKALLOC_DEBUG 0
#else
#define SX_VKALLOC_DEBUG 1
#endif
#endif
#ifndef SX_VKALLOC_VALIDATE
#define SX_VKALLOC_VALIDATE 1
#endif
#ifndef SX_VKALLOC_NO_THREADS
#define SX_VKALLOC_NO_THREADS 0
#endif
#ifndef SX_VKALLOC_NO_STATS_STRING
#define SX_VKALLOC_NO_STATS_STRING 0
#endif
#ifndef SX_VKALLOC_NO_VIRTUAL
#define SX_VKALLOC_NO_VIRTUAL 0
#endif
#ifndef SX_VKALLOC_NO_STDIO
#define SX_VKALLOC_NO_STDIO 0
#endif
#ifndef SX_VKALLOC_NO_INTRINSICS
#define SX_VKALLOC_NO_INTRINSICS 0
#endif
#ifndef SX_VKALLOC_NO_DEFRAG
#define SX_VKALLOC_NO_DEFRAG 0
#endif

#ifndef SX_VKALLOC_NO_UPLOAD
#define SX_VKALLOC_NO_UPLOAD 0
#endif
#ifndef SX_VKALLOC_STACK_TRACES
#define SX_VKALLOC_STACK_TRACES 0
#endif
#ifndef SX_VKALLOC_VULKAN_VERSION
#define SX_VKALLOC_VULKAN_VERSION 999000000 /* no ceiling */
#endif
#ifndef SX_VKALLOC_STATIC_VULKAN_FUNCTIONS
#ifdef VK_NO_PROTOTYPES
#define SX_VKALLOC_STATIC_VULKAN_FUNCTIONS 0
#else
#define SX_VKALLOC_STATIC_VULKAN_FUNCTIONS 1
#endif
#endif

#if !defined(SX_VKALLOC_MALLOC) && !defined(SX_VKALLOC_FREE)
#define SX_VKALLOC_MALLOC(n) malloc(n)
#define SX_VKALLOC_FREE(p)   free(p)
#elif !defined(SX_VKALLOC_MALLOC) || !defined(SX_VKALLOC_FREE)
#error "define SX_VKALLOC_MALLOC and SX_VKALLOC_FREE both, or neither"
#endif

#ifdef SX_VKALLOC_MUTEX
#if !defined(SX_VKALLOC_MUTEX_INIT) || !defined(SX_VKALLOC_MUTEX_DESTROY) ||                       \
    !defined(SX_VKALLOC_MUTEX_LOCK) || !defined(SX_VKALLOC_MUTEX_UNLOCK)
#error "SX_VKALLOC_MUTEX needs SX_VKALLOC_MUTEX_INIT, _DESTROY, _LOCK and _UNLOCK"
#endif
#elif defined(SX_VKALLOC_MUTEX_INIT) || defined(SX_VKALLOC_MUTEX_DESTROY) ||                       \
    defined(SX_VKALLOC_MUTEX_LOCK) || defined(SX_VKALLOC_MUTEX_UNLOCK)
#error "SX_VKALLOC_MUTEX_INIT and its family need SX_VKALLOC_MUTEX, the type"
#endif

#if defined(SX_VKALLOC_ON_ALLOCATE) != defined(SX_VKALLOC_ON_FREE)
#error "define SX_VKALLOC_ON_ALLOCATE and SX_VKALLOC_ON_FREE both, or neither"
#elif defined(SX_VKALLOC_ON_ALLOCATE)
#define SXVKI_HAS_HOOKS 1
#else
#define SXVKI_HAS_HOOKS                                                        0
#define SX_VKALLOC_ON_ALLOCATE(allocator, allocation, memory_type, size, name) ((void)0)
#define SX_VKALLOC_ON_FREE(allocator, allocation, memory_type, size, name)     ((void)0)
#endif
#ifdef SX_VKALLOC_PROFILE_SCOPE
#define SXVKI_PROFILE(name) SX_VKALLOC_PROFILE_SCOPE(name)
#else
#define SXVKI_PROFILE(name) ((void)0)
#endif

#if SX_VKALLOC_DEBUG >= 1
#ifndef SX_VKALLOC_ASSERT
#include <assert.h>
#define SX_VKALLOC_ASSERT(x) assert(x)
#endif
#define SXVKI_ASSERT(x) SX_VKALLOC_ASSERT(x)
#else
#define SXVKI_ASSERT(x) ((void)0)
#endif
#if SX_VKALLOC_DEBUG >= 2
#define SXVKI_ASSERT_INTERNAL(x) SX_VKALLOC_ASSERT(x)
#else
#define SXVKI_ASSERT_INTERNAL(x) ((void)0)
#endif

#if SX_VKALLOC_DEBUG >= 1 && !SX_VKALLOC_NO_STDIO
#include <stdio.h>
#endif
#if !SX_VKALLOC_NO_THREADS || SX_VKALLOC_STACK_TRACES
#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#elif !SX_VKALLOC_NO_THREADS && !defined(SX_VKALLOC_MUTEX)
#include <pthread.h>
#endif
#endif
#if SX_VKALLOC_STACK_TRACES && (defined(__GLIBC__) || defined(__APPLE__))
#include <execinfo.h>
#endif
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SXVKI_STATIC_ASSERT(name, x) typedef char sxvki_assert_##name[(x) ? 1 : -1]
#define SXVKI_NONE                   UINT32_MAX /* no record, no block, no type */

/*  UNUSED: for helpers that some configurations do not call. COLD: runs rarely, or takes the time
    that the driver takes, so that it is made for size and kept away from the hot code (89 KB of
    code and 1.5 s of compiling became 72 KB, 1.25 s). HOT: on the way of nearly every call, where
    another call would take 20 to 25 instructions of some 300. APART: not rare, but its caller has
    a shorter way that should save no registers. */
#if defined(__GNUC__)
#define SXVKI_APART       __attribute__((noinline))
#define SXVKI_COLD        __attribute__((cold))
#define SXVKI_UNUSED      __attribute__((unused))
#define SXVKI_INLINE      static inline __attribute__((unused))
#define SXVKI_HOT         static inline __attribute__((unused, always_inline))
#define SXVKI_LIKELY(x)   __builtin_expect(!!(x), 1)
#define SXVKI_PREFETCH(p) __builtin_prefetch(p, 1) /* to write */
#else
#define SXVKI_APART
#define SXVKI_COLD
#define SXVKI_UNUSED
#define SXVKI_INLINE      static inline
#define SXVKI_HOT         static inline
#define SXVKI_LIKELY(x)   (x)
#define SXVKI_PREFETCH(p) ((void)0)
#endif

/* ============================================================================================== */
/*  >>util       align, checked arithmetic, bit scans                                             */
/* ============================================================================================== */

/*  Outputs, which may be a null pointer themselves. */
#define SXVKI_NULL_ALL(outputs, count)                                                             \
    do {                                                                                           \
        if ((outputs) != NULL) {                                                                   \
            memset((outputs), 0, (count) * sizeof *(outputs));                                     \
        }                                                                                          \
    } while (0)

#define SXVKI_NULL(output) SXVKI_NULL_ALL(output, 1)

SXVKI_INLINE uint64_t sxvki_min64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

SXVKI_INLINE uint64_t sxvki_max64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

SXVKI_INLINE uint64_t sxvki_saturating_sub(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

SXVKI_INLINE uint64_t sxvki_saturating_add(uint64_t a, uint64_t b) {
    return a + b < a ? UINT64_MAX : a + b;
}

SXVKI_INLINE int sxvki_is_pow2(uint64_t x) {
    return x != 0 && (x & (x - 1)) == 0;
}

/*  alignment is a power of two, and x + alignment does not overflow. */
SXVKI_INLINE uint64_t sxvki_align_up(uint64_t x, uint64_t alignment) {
    return (x + alignment - 1) & ~(alignment - 1);
}

SXVKI_INLINE uint64_t sxvki_align_down(uint64_t x, uint64_t alignment) {
    return x & ~(alignment - 1);
}

/*  Index of the highest and of the lowest set bit; x is not 0. */
SXVKI_INLINE uint32_t sxvki_high_bit(uint64_t x) {
#if defined(__GNUC__) && !SX_VKALLOC_NO_INTRINSICS
    return 63u ^ (uint32_t)__builtin_clzll(x);
#elif defined(_MSC_VER) && defined(_WIN64) && !SX_VKALLOC_NO_INTRINSICS
    unsigned long i;
    _BitScanReverse64(&i, x);
    return (uint32_t)i;
#else
    uint32_t i = 0;
    uint32_t step;
    for (step = 32; step != 0; step >>= 1) {
        if (x >> step) {
            x >>= step;
            i += step;
        }
    }
    return i;
#endif
}

SXVKI_INLINE uint32_t sxvki_low_bit(uint64_t x) {
#if defined(__GNUC__) && !SX_VKALLOC_NO_INTRINSICS
    return (uint32_t)__builtin_ctzll(x);
#elif defined(_MSC_VER) && defined(_WIN64) && !SX_VKALLOC_NO_INTRINSICS
    unsigned long i;
    _BitScanForward64(&i, x);
    return (uint32_t)i;
#else
    return sxvki_high_bit(x & (~x + 1));
#endif
}

SXVKI_INLINE uint32_t sxvki_count_bits(uint32_t x) {
    uint32_t n = 0;
    for (; x != 0; x &= x - 1) {
        n++;
    }
    return n;
}

/*  The largest power of two that is not above x, and the smallest not below; x is not 0. */
SXVKI_INLINE uint64_t sxvki_pow2_floor(uint64_t x) {
    return (uint64_t)1 << sxvki_high_bit(x);
}

SXVKI_INLINE uint64_t sxvki_pow2_ceil(uint64_t x) {
    return x <= 1 ? 1 : sxvki_pow2_floor(x - 1) << 1;
}

/*  Spread the bits of a pointer or counter. */
SXVKI_INLINE uint64_t sxvki_mix(uint64_t x) {
    x ^= x >> 32;
    x *= 0x9E3779B97F4A7C15u;
    x ^= x >> 29;
    x *= 0xBF58476D1CE4E5B9u;
    return x ^ (x >> 32);
}

/* ============================================================================================== */
/*  >>thread     atomics and one kind of lock                                                     */
/* ============================================================================================== */
/*
    Loads acquire, stores release, read-modify-writes do both; relaxed and ordered say so. C99 has
    no atomics, so they come from the compiler.

    The lock is a word that says 0 free, 1 held, 2 held and somebody may sleep. The uncontended path
    is one compare-and-swap and one exchange (7 ns a pair where a pthread mutex took 16). A thread
    that does not get it spins a little, because who allocates or frees holds it for well under 1 us
    (a trim for up to 0.1 ms, a detailed dump for the text of a domain). Then it sleeps on a
    condition variable. It sets the word to 2 while it holds `park`, and an unlocker that sees 2
    takes `park` before it signals: so no wake-up is lost. On Windows an SRWLOCK is all that.

    A lock that is `off` (externally synchronised) does nothing.
*/

/*  i386 aligns 64-bit members to 4 bytes only, too little for an atomic access. */
#if defined(__GNUC__)
typedef uint64_t sxvki_shared64 __attribute__((aligned(8)));
#else
typedef uint64_t sxvki_shared64;
#endif

#if !SX_VKALLOC_NO_THREADS && defined(__GNUC__)
SXVKI_INLINE uint32_t sxvki_load32(const uint32_t* p) {
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

SXVKI_INLINE uint32_t sxvki_load32_relaxed(const uint32_t* p) {
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

SXVKI_INLINE uint64_t sxvki_load64(const sxvki_shared64* p) {
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

SXVKI_INLINE uint64_t sxvki_load64_relaxed(const sxvki_shared64* p) {
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

SXVKI_INLINE void* sxvki_load_ptr(void* const* p) {
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

SXVKI_INLINE void sxvki_store32(uint32_t* p, uint32_t v) {
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

SXVKI_INLINE void sxvki_store32_relaxed(uint32_t* p, uint32_t v) {
    __atomic_store_n(p, v, __ATOMIC_RELAXED);
}

SXVKI_INLINE void sxvki_store64(sxvki_shared64* p, uint64_t v) {
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

SXVKI_INLINE void sxvki_store64_relaxed(sxvki_shared64* p, uint64_t v) {
    __atomic_store_n(p, v, __ATOMIC_RELAXED);
}

SXVKI_INLINE void sxvki_store_ptr(void** p, void* v) {
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/*  This one and sxvki_load32_ordered have one order that all threads agree on: of two threads that
    exchange one word and then load the other's, at least one sees what the other one did. */
SXVKI_INLINE uint32_t sxvki_exchange32(uint32_t* p, uint32_t v) {
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
}

SXVKI_INLINE uint32_t sxvki_load32_ordered(const uint32_t* p) {
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

/*  The new value. */
SXVKI_INLINE uint64_t sxvki_add64(sxvki_shared64* p, uint64_t v) {
    return __atomic_add_fetch(p, v, __ATOMIC_ACQ_REL);
}

/*  The old value. */
SXVKI_INLINE uint64_t sxvki_or64(sxvki_shared64* p, uint64_t v) {
    return __atomic_fetch_or(p, v, __ATOMIC_ACQ_REL);
}

/*  Compare and swap; where they fail they leave what they saw in *expected. */
SXVKI_INLINE int sxvki_cas32(uint32_t* p, uint32_t* expected, uint32_t v) {
    return __atomic_compare_exchange_n(p, expected, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}

SXVKI_INLINE int sxvki_cas64(sxvki_shared64* p, uint64_t* expected, uint64_t v) {
    return __atomic_compare_exchange_n(p, expected, v, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

SXVKI_INLINE int sxvki_cas_ptr(void** p, void** expected, void* v) {
    return __atomic_compare_exchange_n(p, expected, v, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
#else
/*  One body for MSVC and for no threads: a volatile access, fenced where the hardware may
    reorder. */
#if SX_VKALLOC_NO_THREADS
#define SXVKI_FENCE() ((void)0)
#elif defined(_MSC_VER)
#define SXVKI_FENCE() MemoryBarrier()
#else
#error "no atomics known for this compiler: define SX_VKALLOC_NO_THREADS to 1"
#endif

SXVKI_INLINE uint32_t sxvki_load32_relaxed(const uint32_t* p) {
    return *(const volatile uint32_t*)p;
}

SXVKI_INLINE uint32_t sxvki_load32(const uint32_t* p) {
    uint32_t v = *(const volatile uint32_t*)p;
    SXVKI_FENCE();
    return v;
}

SXVKI_INLINE uint64_t sxvki_load64_relaxed(const sxvki_shared64* p) {
    return *(const volatile uint64_t*)p;
}

SXVKI_INLINE uint64_t sxvki_load64(const sxvki_shared64* p) {
    uint64_t v = *(const volatile uint64_t*)p;
    SXVKI_FENCE();
    return v;
}

SXVKI_INLINE void* sxvki_load_ptr(void* const* p) {
    void* v = *(void* const volatile*)p;
    SXVKI_FENCE();
    return v;
}

SXVKI_INLINE void sxvki_store32_relaxed(uint32_t* p, uint32_t v) {
    *(volatile uint32_t*)p = v;
}

SXVKI_INLINE void sxvki_store32(uint32_t* p, uint32_t v) {
    SXVKI_FENCE();
    *(volatile uint32_t*)p = v;
}

SXVKI_INLINE void sxvki_store64(sxvki_shared64* p, uint64_t v) {
    SXVKI_FENCE();
    *(volatile uint64_t*)p = v;
}

SXVKI_INLINE void sxvki_store64_relaxed(sxvki_shared64* p, uint64_t v) {
    *(volatile uint64_t*)p = v;
}

SXVKI_INLINE void sxvki_store_ptr(void** p, void* v) {
    void* volatile* target = p;
    SXVKI_FENCE();
    *target = v;
}

#if SX_VKALLOC_NO_THREADS
#define SXVKI_SWAP_IF(T, p, expected, v)                                                           \
    T old = *(p);                                                                                  \
    int same = old == *(expected);                                                                 \
    *(p) = same ? (v) : old;                                                                       \
    *(expected) = old;                                                                             \
    return same
#else
#define SXVKI_SWAP_IF(T, p, expected, v)                                                           \
    T wanted = *(expected);                                                                        \
    *(expected) =                                                                                  \
        (T)(sizeof(T) == 4                                                                         \
                ? (T)InterlockedCompareExchange((volatile LONG*)(p), (LONG)(v), (LONG)wanted)      \
                : (T)InterlockedCompareExchange64((volatile LONG64*)(p), (LONG64)(v),              \
                                                  (LONG64)wanted));                                \
    return *(expected) == wanted
#endif

SXVKI_INLINE int sxvki_cas32(uint32_t* p, uint32_t* expected, uint32_t v) {
    SXVKI_SWAP_IF(uint32_t, p, expected, v);
}

SXVKI_INLINE int sxvki_cas64(sxvki_shared64* p, uint64_t* expected, uint64_t v) {
    SXVKI_SWAP_IF(uint64_t, p, expected, v);
}

SXVKI_INLINE int sxvki_cas_ptr(void** p, void** expected, void* v) {
#if SX_VKALLOC_NO_THREADS
    SXVKI_SWAP_IF(void*, p, expected, v);
#else
    void* wanted = *expected;
    *expected = InterlockedCompareExchangePointer(p, v, wanted);
    return *expected == wanted;
#endif
}

SXVKI_INLINE uint64_t sxvki_add64(sxvki_shared64* p, uint64_t v) {
    uint64_t old = *p;
    while (!sxvki_cas64(p, &old, old + v)) {
    }
    return old + v;
}

SXVKI_INLINE uint64_t sxvki_or64(sxvki_shared64* p, uint64_t v) {
    uint64_t old = *p;
    while (!sxvki_cas64(p, &old, old | v)) {
    }
    return old;
}

SXVKI_INLINE uint32_t sxvki_exchange32(uint32_t* p, uint32_t v) {
    uint32_t old = *p;
    while (!sxvki_cas32(p, &old, v)) {
    }
    return old;
}

SXVKI_INLINE uint32_t sxvki_load32_ordered(const uint32_t* p) {
    return sxvki_load32(p); /* what came before was an interlocked one, and so a full fence */
}
#endif

/*  A counter that only who holds a lock changes, and others read without: no locked instruction. */
SXVKI_INLINE void sxvki_count32(uint32_t* counter, uint32_t more) {
    sxvki_store32_relaxed(counter, *counter + more);
}

SXVKI_INLINE void sxvki_count64(sxvki_shared64* counter, uint64_t more) {
    sxvki_store64_relaxed(counter, *counter + more);
}

/*  One step of a spin loop; give the core away now and then. */
SXVKI_INLINE void sxvki_spin_pause(uint32_t step) {
#if SX_VKALLOC_NO_THREADS
    (void)step;
#elif defined(_WIN32)
    if (step < 64) {
        YieldProcessor();
    } else {
        SwitchToThread();
    }
#else
    if (step < 64) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ __volatile__("yield");
#endif
    } else {
        /* sched_yield needs no more than POSIX; <pthread.h> includes <sched.h>. */
#ifndef SX_VKALLOC_MUTEX
        sched_yield();
#endif
    }
#endif
}

/*  Which one of several equal things a thread uses, in all pools of all allocators: 0 until it was
    moved because threads waited for each other. The only variable in this file, but for debugging,
    and a hint. */
#if SX_VKALLOC_NO_THREADS || defined(SX_VKALLOC_MUTEX)
#define SXVKI_HAS_THREAD_HINT 0
#elif defined(__GNUC__)
#define SXVKI_HAS_THREAD_HINT 1
static __thread uint32_t sxvki_thread_hint;
#elif defined(_MSC_VER)
#define SXVKI_HAS_THREAD_HINT 1
static __declspec(thread) uint32_t sxvki_thread_hint;
#else
#define SXVKI_HAS_THREAD_HINT 0
#endif

/*  Where the public function that this thread is in was called from: there the stacks of what it
    allocates begin. How many functions of ours lie above it is up to the compiler. */
#if SX_VKALLOC_STACK_TRACES && defined(_MSC_VER) && !defined(__clang__)
static __declspec(thread) void* sxvki_caller;
#define SXVKI_ENTRY   __declspec(noinline)
#define SXVKI_ENTER() ((void)(sxvki_caller = _ReturnAddress()))
#elif SX_VKALLOC_STACK_TRACES
static __thread void* sxvki_caller;
#define SXVKI_ENTRY   __attribute__((noinline))
#define SXVKI_ENTER() ((void)(sxvki_caller = __builtin_return_address(0)))
#else
#define SXVKI_ENTRY
#define SXVKI_ENTER() ((void)0)
#endif

SXVKI_INLINE uint32_t sxvki_hint_get(void) {
#if SXVKI_HAS_THREAD_HINT
    return sxvki_thread_hint;
#else
    return 0;
#endif
}

/*  Differs between threads that live at the same time. */
SXVKI_INLINE void* sxvki_thread_id(void) {
#if SXVKI_HAS_THREAD_HINT
    return &sxvki_thread_hint;
#else
    return NULL;
#endif
}

SXVKI_INLINE void sxvki_hint_set(uint32_t hint) {
#if SXVKI_HAS_THREAD_HINT
    sxvki_thread_hint = hint;
#else
    (void)hint;
#endif
}

typedef struct sxvki_lock {
#if SX_VKALLOC_NO_THREADS
    int unused;
#elif defined(SX_VKALLOC_MUTEX)
    SX_VKALLOC_MUTEX mutex;
#elif defined(_WIN32)
    SRWLOCK mutex;
#else
    uint32_t word; /* 0 free, 1 held, 2 held and somebody may sleep */
    pthread_mutex_t park;
    pthread_cond_t wake;
#endif
    uint32_t on; /* 0: not initialised, or externally synchronised */
} sxvki_lock;

/*  Returns 0 where the system has no more locks. */
SXVKI_UNUSED static int sxvki_lock_init(sxvki_lock* lock, int on) {
    memset(lock, 0, sizeof *lock);
    if (!on || SX_VKALLOC_NO_THREADS) {
        return 1;
    }
#if SX_VKALLOC_NO_THREADS
#elif defined(SX_VKALLOC_MUTEX)
    if (!SX_VKALLOC_MUTEX_INIT(&lock->mutex)) {
        return 0;
    }
#elif defined(_WIN32)
    InitializeSRWLock(&lock->mutex);
#else
    if (pthread_mutex_init(&lock->park, NULL) != 0) {
        return 0;
    }
    if (pthread_cond_init(&lock->wake, NULL) != 0) {
        pthread_mutex_destroy(&lock->park);
        return 0;
    }
#endif
    lock->on = 1;
    return 1;
}

SXVKI_UNUSED static void sxvki_lock_shutdown(sxvki_lock* lock) {
    if (!lock->on) {
        return;
    }
    lock->on = 0;
#if SX_VKALLOC_NO_THREADS
#elif defined(SX_VKALLOC_MUTEX)
    SX_VKALLOC_MUTEX_DESTROY(&lock->mutex);
#elif !defined(_WIN32)
    pthread_cond_destroy(&lock->wake);
    pthread_mutex_destroy(&lock->park);
#endif
}

#if !SX_VKALLOC_NO_THREADS && !defined(SX_VKALLOC_MUTEX) && !defined(_WIN32)
SXVKI_APART static void sxvki_lock_wait(sxvki_lock* lock) {
    uint32_t step;
    for (step = 0; step < 64; step++) {
        uint32_t expected = 0;
        if (sxvki_load32_relaxed(&lock->word) == 0 && sxvki_cas32(&lock->word, &expected, 1)) {
            return;
        }
        sxvki_spin_pause(step);
    }
    pthread_mutex_lock(&lock->park);
    while (sxvki_exchange32(&lock->word, 2) != 0) {
        pthread_cond_wait(&lock->wake, &lock->park);
    }
    pthread_mutex_unlock(&lock->park);
}

SXVKI_APART static void sxvki_lock_wake(sxvki_lock* lock) {
    pthread_mutex_lock(&lock->park);
    pthread_cond_signal(&lock->wake);
    pthread_mutex_unlock(&lock->park);
}
#endif

SXVKI_INLINE void sxvki_lock_take(sxvki_lock* lock) {
    if (!lock->on) {
        return;
    }
#if SX_VKALLOC_NO_THREADS
#elif defined(SX_VKALLOC_MUTEX)
    SX_VKALLOC_MUTEX_LOCK(&lock->mutex);
#elif defined(_WIN32)
    AcquireSRWLockExclusive(&lock->mutex);
#else
    {
        uint32_t expected = 0;
        if (!sxvki_cas32(&lock->word, &expected, 1)) {
            sxvki_lock_wait(lock);
        }
    }
#endif
}

/*  Take the lock if that needs no waiting. A lock of the user's type has no such thing. */
SXVKI_INLINE int sxvki_lock_try(sxvki_lock* lock) {
    if (!lock->on) {
        return 1;
    }
#if SX_VKALLOC_NO_THREADS || defined(SX_VKALLOC_MUTEX)
    sxvki_lock_take(lock);
    return 1;
#elif defined(_WIN32)
    return TryAcquireSRWLockExclusive(&lock->mutex) != 0;
#else
    {
        uint32_t expected = 0;
        return sxvki_cas32(&lock->word, &expected, 1);
    }
#endif
}

SXVKI_INLINE void sxvki_lock_drop(sxvki_lock* lock) {
    if (!lock->on) {
        return;
    }
#if SX_VKALLOC_NO_THREADS
#elif defined(SX_VKALLOC_MUTEX)
    SX_VKALLOC_MUTEX_UNLOCK(&lock->mutex);
#elif defined(_WIN32)
    ReleaseSRWLockExclusive(&lock->mutex);
#else
    if (sxvki_exchange32(&lock->word, 0) == 2) {
        sxvki_lock_wake(lock);
    }
#endif
}

/* ============================================================================================== */
/*  >>host       host memory, tables that never move                                              */
/* ============================================================================================== */
/*
    All host memory goes through sxvki_host: the user's VkAllocationCallbacks, or malloc. Failure is
    an ordinary result and travels up as VK_ERROR_OUT_OF_HOST_MEMORY.

    A table hands out elements by index and never moves one, so that readers need no lock. Chunk k
    holds first << k elements: 26 pointers reach 2^26 * first, at most 2^31, and index to address is
    a bit scan.

    Elements that nobody has are chained within their chunk, and taken from the lowest chunk that
    has one, so that after a peak the highest chunks run empty. Those can be given back, in steps,
    because readers need no lock:

          retire    capacity falls below the chunks: who looks from now on finds no such index
          ...       the owner waits until nobody looks who saw the old capacity, see >>core
          detach    the chunks leave the table, under its lock. But if anybody needed one of their
                    elements meanwhile, he has raised the capacity again: they stay
          drop      they are freed, without the lock
*/

typedef struct sxvki_host {
    VkAllocationCallbacks callbacks;
    const VkAllocationCallbacks* driver_callbacks; /* what the driver gets: &callbacks or null */
} sxvki_host;

static void sxvki_host_init(sxvki_host* host, const VkAllocationCallbacks* callbacks) {
    memset(host, 0, sizeof *host);
    if (callbacks != NULL) {
        host->callbacks = *callbacks;
        host->driver_callbacks = &host->callbacks;
    }
}

/*  alignment is a power of two. Null where there is no more memory. */
static void* sxvki_host_alloc(const sxvki_host* host, size_t size, size_t alignment) {
    const VkAllocationCallbacks* c = &host->callbacks;
    if (c->pfnAllocation != NULL) {
        return c->pfnAllocation(c->pUserData, size, alignment, VK_SYSTEM_ALLOCATION_SCOPE_OBJECT);
    } else {
        /* malloc with the pointer that it gave stored before the aligned address. */
        size_t room = alignment - 1 + sizeof(void*);
        char* base;
        uintptr_t address;
        if (size > SIZE_MAX - room) {
            return NULL;
        }
        base = (char*)SX_VKALLOC_MALLOC(size + room);
        if (base == NULL) {
            return NULL;
        }
        address = ((uintptr_t)base + room) & ~(uintptr_t)(alignment - 1);
        memcpy((char*)address - sizeof(void*), &base, sizeof base);
        return (void*)address;
    }
}

static void sxvki_host_free(const sxvki_host* host, void* memory) {
    const VkAllocationCallbacks* c = &host->callbacks;
    if (memory == NULL) {
        return;
    }
    if (c->pfnFree != NULL) {
        c->pfnFree(c->pUserData, memory);
    } else {
        void* base;
        memcpy(&base, (char*)memory - sizeof(void*), sizeof base);
        SX_VKALLOC_FREE(base);
    }
}

static void* sxvki_host_alloc_zeroed(const sxvki_host* host, size_t size) {
    void* memory = sxvki_host_alloc(host, size, 64);
    if (memory != NULL) {
        memset(memory, 0, size);
    }
    return memory;
}

/*  A null string gives null in *copy and succeeds. */
static int sxvki_host_copy_string(const sxvki_host* host, const char* text, char** copy) {
    size_t size;
    *copy = NULL;
    if (text == NULL) {
        return 1;
    }
    size = strlen(text) + 1;
    *copy = (char*)sxvki_host_alloc(host, size, 1);
    if (*copy == NULL) {
        return 0;
    }
    memcpy(*copy, text, size);
    return 1;
}

#define SXVKI_TABLE_CHUNKS 26

typedef struct sxvki_table {
    void* chunks[SXVKI_TABLE_CHUNKS];
    uint32_t unused[SXVKI_TABLE_CHUNKS]; /* chain of a chunk's elements that nobody has */
    uint32_t used[SXVKI_TABLE_CHUNKS];   /* count of its others */
    uint32_t has_unused;  /* a bit for each chunk with a chain, but for those retired */
    uint32_t capacity;    /* atomic; elements that may be looked at */
    uint32_t made;        /* elements that exist: more than that while some are retired */
    uint32_t first_shift; /* chunk 0 holds 1 << first_shift elements */
    uint32_t element_size;
    uint32_t link;       /* where in an element that nobody has the next one's index stands */
    uint32_t retired_at; /* sxvki_seconds, when the last chunks were retired */
} sxvki_table;

static void sxvki_table_init(sxvki_table* table, uint32_t first_shift, size_t element_size,
                             size_t link) {
    memset(table, 0, sizeof *table);
    table->first_shift = first_shift;
    table->element_size = (uint32_t)element_size;
    table->link = (uint32_t)link;
}

/*  index is below the capacity that this thread has seen. first_shift and element_size are those of
    the table, as constants: this is on every hot path, and folds into a bit scan and shifts. */
SXVKI_INLINE void* sxvki_table_at(const sxvki_table* table, uint32_t index, uint32_t first_shift,
                                  uint32_t element_size) {
    size_t biased = (size_t)index + ((size_t)1 << first_shift);
    size_t high = sxvki_high_bit(biased);
    char* chunk = (char*)table->chunks[high - first_shift];
    SXVKI_ASSERT_INTERNAL(first_shift == table->first_shift);
    SXVKI_ASSERT_INTERNAL(element_size == table->element_size);
    return chunk + (biased ^ (size_t)1 << high) * element_size;
}

#define SXVKI_TABLE_STEP 64 /* elements; to make a large chunk at once would take milliseconds */

/*  Add up to `most` zeroed elements, and a chunk for them where one is full. Elements *from up to
    *to are new, and belong to the caller until he publishes them. Returns 0 where there is no more
    memory or the table is full. The caller holds the lock of the table, here and below. */
SXVKI_COLD static int sxvki_table_grow(sxvki_table* table, const sxvki_host* host, uint32_t most,
                                       uint32_t* from, uint32_t* to) {
    uint32_t first = 1u << table->first_shift;
    uint32_t k = sxvki_high_bit(table->capacity + first) - table->first_shift;
    uint32_t used, count;
    if (k >= SXVKI_TABLE_CHUNKS || k + table->first_shift >= 31) {
        return 0;
    }
    count = first << k;
    used = table->capacity + first - count; /* of the chunk */
    if (count > SIZE_MAX / table->element_size) {
        return 0;
    }
    if (table->chunks[k] == NULL) {
        table->chunks[k] = sxvki_host_alloc(host, (size_t)count * table->element_size, 64);
        if (table->chunks[k] == NULL) {
            return 0;
        }
    }
    count = (uint32_t)sxvki_min64(count - used, most);
    memset((char*)table->chunks[k] + (size_t)used * table->element_size, 0,
           (size_t)count * table->element_size);
    *from = table->capacity;
    *to = table->capacity + count;
    return 1;
}

static void sxvki_table_publish(sxvki_table* table, uint32_t capacity) {
    table->made = capacity;
    sxvki_store32(&table->capacity, capacity);
}

/*  The chunk that an index stands in, and the first index of a chunk. */
SXVKI_INLINE uint32_t sxvki_table_chunk(const sxvki_table* table, uint32_t index) {
    return sxvki_high_bit(index + (1u << table->first_shift)) - table->first_shift;
}

SXVKI_INLINE uint32_t sxvki_table_first(const sxvki_table* table, uint32_t chunk) {
    return (1u << (table->first_shift + chunk)) - (1u << table->first_shift);
}

SXVKI_INLINE uint32_t* sxvki_table_link(const sxvki_table* table, uint32_t index) {
    char* element = (char*)sxvki_table_at(table, index, table->first_shift, table->element_size);
    return (uint32_t*)(void*)(element + table->link);
}

/*  Give an element back that was taken; link is the member that sxvki_table_init was told of. */
static void sxvki_table_give(sxvki_table* table, uint32_t index, uint32_t* link) {
    uint32_t k = sxvki_table_chunk(table, index);
    uint32_t bit = 1u << k;
    *link = table->has_unused & bit ? table->unused[k] : SXVKI_NONE;
    table->unused[k] = index;
    table->has_unused |= bit;
    table->used[k]--;
}

/*  Publish what sxvki_table_grow has added, as elements that nobody has. */
static void sxvki_table_add(sxvki_table* table, uint32_t from, uint32_t to) {
    uint32_t i;
    table->used[sxvki_table_chunk(table, from)] += to - from;
    for (i = to; i-- != from;) {
        sxvki_table_give(table, i, sxvki_table_link(table, i));
    }
    sxvki_table_publish(table, to);
}

/*  Back to what it was before sxvki_table_retire. */
SXVKI_COLD static void sxvki_table_restore(sxvki_table* table) {
    uint32_t end = table->made;
    while (end != table->capacity) {
        uint32_t k = sxvki_table_chunk(table, end - 1);
        table->has_unused |= 1u << k;
        end = sxvki_table_first(table, k);
    }
    sxvki_store32(&table->capacity, table->made);
}

/*  An element that nobody has; SXVKI_NONE where the table must grow. */
static uint32_t sxvki_table_take(sxvki_table* table) {
    uint32_t k, index;
    if (table->has_unused == 0) {
        sxvki_table_restore(table);
        if (table->has_unused == 0) {
            return SXVKI_NONE;
        }
    }
    k = sxvki_low_bit(table->has_unused);
    index = table->unused[k];
    table->unused[k] = *sxvki_table_link(table, index);
    table->has_unused &= ~((uint32_t)(table->unused[k] == SXVKI_NONE) << k);
    table->used[k]++;
    return index;
}

static uint32_t sxvki_seconds(void) {
    return (uint32_t)time(NULL);
}

/*  Hide the highest chunks if nobody has anything of them. Returns 0 where there are no more. */
SXVKI_COLD static int sxvki_table_retire(sxvki_table* table) {
    uint32_t end = table->capacity;
    while (end != 0 && table->used[sxvki_table_chunk(table, end - 1)] == 0) {
        uint32_t k = sxvki_table_chunk(table, end - 1);
        table->has_unused &= ~(1u << k);
        end = sxvki_table_first(table, k);
    }
    if (end == table->capacity) {
        return 0;
    }
    table->retired_at = sxvki_seconds();
    sxvki_store32(&table->capacity, end);
    return 1;
}

SXVKI_INLINE int sxvki_table_has_retired(const sxvki_table* table) {
    return table->made != table->capacity;
}

/*  Is anything retired, and has been for `grace` seconds? */
SXVKI_COLD static int sxvki_table_is_due(sxvki_table* table, uint32_t grace) {
    uint32_t now = sxvki_seconds();
    if ((int32_t)(now - table->retired_at) < 0) {
        table->retired_at = now; /* the clock was set back */
    }
    return sxvki_table_has_retired(table) && now - table->retired_at >= grace;
}

/*  Move the chunks that are retired to a table that is only there to be dropped. */
SXVKI_COLD static void sxvki_table_detach(sxvki_table* table, sxvki_table* gone) {
    *gone = *table;
    while (sxvki_table_has_retired(table)) {
        uint32_t k = sxvki_table_chunk(table, table->made - 1);
        table->chunks[k] = NULL;
        table->made = sxvki_table_first(table, k);
    }
}

/*  Free the chunks that are retired. */
SXVKI_COLD static void sxvki_table_drop(sxvki_table* table, const sxvki_host* host) {
    while (sxvki_table_has_retired(table)) {
        uint32_t k = sxvki_table_chunk(table, table->made - 1);
        sxvki_host_free(host, table->chunks[k]);
        table->chunks[k] = NULL;
        table->made = sxvki_table_first(table, k);
    }
}

SXVKI_COLD static void sxvki_table_shutdown(sxvki_table* table, const sxvki_host* host) {
    uint32_t k;
    for (k = 0; k < SXVKI_TABLE_CHUNKS; k++) {
        sxvki_host_free(host, table->chunks[k]);
    }
    memset(table, 0, sizeof *table);
}

/* ============================================================================================== */
/*  >>text       string builder and JSON writer                                                   */
/* ============================================================================================== */
/*
    A text grows in host memory; the first failed allocation makes it `failed` and every later call
    a no-op, so that only the end has to look. The JSON writer keeps commas and indentation, nests
    as deep as SXVKI_JSON_DEPTH and escapes what JSON wants escaped; bytes that are no UTF-8 become
    U+FFFD.
*/

/*  Writes the digits of x to the end of a buffer and returns where they start. */
SXVKI_COLD static char* sxvki_digits(char* end, uint64_t x, uint32_t base) {
    *end = 0;
    do {
        *--end = "0123456789abcdef"[x % base];
        x /= base;
    } while (x != 0);
    return end;
}

/*  Bytes of the character that the text begins with; 0 where they are no valid UTF-8: cut short,
    longer than need be, a surrogate, or beyond the last one. */
SXVKI_COLD SXVKI_UNUSED static uint32_t sxvki_utf8_size(const char* text) {
    const unsigned char* c = (const unsigned char*)text;
    uint32_t size = c[0] < 0x80 ? 1 : c[0] < 0xC2 ? 0 : c[0] < 0xE0 ? 2 : c[0] < 0xF0 ? 3 : 4;
    uint32_t i;
    if (c[0] > 0xF4 || (c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xED && c[1] > 0x9F) ||
        (c[0] == 0xF0 && c[1] < 0x90) || (c[0] == 0xF4 && c[1] > 0x8F)) {
        return 0;
    }
    for (i = 1; i < size; i++) {
        if ((c[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return size;
}

/*  How many bytes of a text of whole characters fit into `most`. */
SXVKI_COLD static size_t sxvki_utf8_fit(const char* text, size_t most) {
    size_t size = strlen(text);
    if (size > most) {
        size = most;
        while (size != 0 && ((unsigned char)text[size] & 0xC0) == 0x80) {
            size--;
        }
    }
    return size;
}

#if !SX_VKALLOC_NO_STATS_STRING
typedef struct sxvki_text {
    const sxvki_host* host;
    char* data; /* zero-terminated once anything was added */
    size_t size;
    size_t capacity;
    int failed;
} sxvki_text;

SXVKI_COLD static void sxvki_text_init(sxvki_text* text, const sxvki_host* host) {
    memset(text, 0, sizeof *text);
    text->host = host;
}

SXVKI_COLD static void sxvki_text_shutdown(sxvki_text* text) {
    sxvki_host_free(text->host, text->data);
    memset(text, 0, sizeof *text);
}

SXVKI_COLD static void sxvki_text_add_bytes(sxvki_text* text, const char* bytes, size_t count) {
    if (text->failed) {
        return;
    }
    if (count >= text->capacity - text->size) {
        size_t capacity = (size_t)sxvki_max64(256, 2 * (uint64_t)(text->size + count) + 1);
        char* data = (char*)sxvki_host_alloc(text->host, capacity, 1);
        if (data == NULL) {
            text->failed = 1;
            return;
        }
        if (text->size != 0) {
            memcpy(data, text->data, text->size);
        }
        sxvki_host_free(text->host, text->data);
        text->data = data;
        text->capacity = capacity;
    }
    memcpy(text->data + text->size, bytes, count);
    text->size += count;
    text->data[text->size] = 0;
}

SXVKI_COLD static void sxvki_text_add(sxvki_text* text, const char* string) {
    sxvki_text_add_bytes(text, string, strlen(string));
}

SXVKI_COLD static void sxvki_text_add_u64(sxvki_text* text, uint64_t x) {
    char digits[24];
    sxvki_text_add(text, sxvki_digits(digits + 23, x, 10));
}

SXVKI_COLD static void sxvki_text_add_hex(sxvki_text* text, uint64_t x) {
    char digits[24];
    sxvki_text_add(text, "0x");
    sxvki_text_add(text, sxvki_digits(digits + 23, x, 16));
}

#define SXVKI_JSON_DEPTH 32

typedef struct sxvki_json {
    sxvki_text* text;
    uint32_t depth;
    uint32_t filled; /* bit d: level d has an element, so the next one wants a comma */
    int after_key;
} sxvki_json;

SXVKI_COLD static void sxvki_json_element(sxvki_json* json) {
    static const char spaces[] = "                                                                ";
    if (json->after_key) {
        json->after_key = 0;
        return;
    }
    if (json->depth == 0) {
        return;
    }
    sxvki_text_add(json->text, (json->filled >> json->depth) & 1 ? ",\n" : "\n");
    sxvki_text_add_bytes(json->text, spaces, 2 * (size_t)json->depth);
    json->filled |= 1u << json->depth;
}

SXVKI_COLD static void sxvki_json_string_body(sxvki_json* json, const char* string) {
    const char* from = string;
    sxvki_text_add(json->text, "\"");
    for (; *string != 0; string++) {
        unsigned char c = (unsigned char)*string;
        uint32_t size = sxvki_utf8_size(string);
        if (c >= 32 && c != '"' && c != '\\' && size != 0) {
            string += size - 1;
            continue;
        }
        sxvki_text_add_bytes(json->text, from, (size_t)(string - from));
        from = string + 1;
        if (size == 0) {
            sxvki_text_add(json->text, "\\ufffd");
        } else if (c >= 32) {
            char escape[3] = {'\\', (char)c, 0};
            sxvki_text_add(json->text, escape);
        } else {
            char escape[7] = {'\\', 'u', '0', '0', (char)('0' + c / 16), "0123456789abcdef"[c % 16],
                              0};
            sxvki_text_add(json->text, escape);
        }
    }
    sxvki_text_add_bytes(json->text, from, (size_t)(string - from));
    sxvki_text_add(json->text, "\"");
}

SXVKI_COLD static void sxvki_json_key(sxvki_json* json, const char* key) {
    sxvki_json_element(json);
    sxvki_json_string_body(json, key);
    sxvki_text_add(json->text, ": ");
    json->after_key = 1;
}

/*  A key of a word and a number, such as "Heap 3", or of a number alone. */
SXVKI_COLD static void sxvki_json_key_u64(sxvki_json* json, const char* word, uint64_t x) {
    sxvki_json_element(json);
    sxvki_text_add(json->text, "\"");
    sxvki_text_add(json->text, word);
    sxvki_text_add_u64(json->text, x);
    sxvki_text_add(json->text, "\": ");
    json->after_key = 1;
}

SXVKI_COLD static void sxvki_json_string(sxvki_json* json, const char* string) {
    sxvki_json_element(json);
    sxvki_json_string_body(json, string);
}

SXVKI_COLD static void sxvki_json_u64(sxvki_json* json, uint64_t x) {
    sxvki_json_element(json);
    sxvki_text_add_u64(json->text, x);
}

/*  A number from 0 on, with 4 places: "0.0250". */
SXVKI_COLD static void sxvki_text_add_ratio(sxvki_text* text, double x) {
    uint64_t parts = (uint64_t)(x * 10000.0 + 0.5);
    char digits[24];
    char* places = sxvki_digits(digits + 23, parts % 10000 + 10000, 10);
    places[0] = '.';
    sxvki_text_add_u64(text, parts / 10000);
    sxvki_text_add(text, places);
}

SXVKI_COLD static void sxvki_json_ratio(sxvki_json* json, double x) {
    sxvki_json_element(json);
    sxvki_text_add_ratio(json->text, x);
}

SXVKI_COLD static void sxvki_json_begin(sxvki_json* json, const char* bracket) {
    sxvki_json_element(json);
    sxvki_text_add(json->text, bracket);
    json->depth++;
    SXVKI_ASSERT_INTERNAL(json->depth < SXVKI_JSON_DEPTH);
    json->filled &= ~(1u << json->depth);
}

SXVKI_COLD static void sxvki_json_end(sxvki_json* json, const char* bracket) {
    int filled = (json->filled >> json->depth) & 1;
    json->depth--;
    if (filled) {
        json->after_key = 0;
        sxvki_text_add(json->text, "\n");
        sxvki_text_add_bytes(json->text,
                             "                                                                ",
                             2 * (size_t)json->depth);
    }
    sxvki_text_add(json->text, bracket);
}

SXVKI_COLD static void sxvki_json_pair_u64(sxvki_json* json, const char* key, uint64_t x) {
    sxvki_json_key(json, key);
    sxvki_json_u64(json, x);
}

SXVKI_COLD static void sxvki_json_pair_string(sxvki_json* json, const char* key,
                                              const char* string) {
    sxvki_json_key(json, key);
    sxvki_json_string(json, string);
}
#endif

/* ============================================================================================== */
/*  >>records    32 bytes per range, and its handle                                               */
/* ============================================================================================== */
/*
    A record describes one range of a block, free or handed out. Hot and cold are apart: what every
    allocation needs is here, half a cache line; user data and name stand in a side table that is
    only made for those that set them. At 100k live allocations this size decides the speed.

    Records are recycled and never moved, so that a stale handle can always be looked up. The
    generation is odd while the record is handed out, and grows by one at each step: a handle is
    valid if and only if its generation equals the record's. Who frees sets its top bit first, by
    one compare-and-swap: so of several that free the same handle one wins, without a lock, and the
    range and its block stay until he gave it back. When the memory of records goes back to the
    host, see sxvkTrim, the latest of their generations is what new records start with: so their
    handles stay stale. All this until one record has lived 2^30 times (512 times on 32-bit ABIs):
    then its generations come round, and a handle that old may be taken for a new one.

          free, even  -- take, under the lock -->  live, odd  -- one that frees -->  claimed, odd
               ^                                                                        |
               +------------------------------- give, under the lock -------------------+

    A slot is claimed by raising its generation to even: only its bit says when it is free, >>slabs.

    I1  generation is odd  <=>  the range is handed out, or claimed by who frees it
    I2  link_a, link_b are the neighbours in a bin while free; `tail` and `state` while handed out

    A record belongs to the bins that took it, under their lock; the table has a lock of its own for
    growing, and for records that bins take, and give back in a trim or when they go.

    A small range may be a slot of a slab instead, see >>slabs: 16 bytes for what its neighbours do
    not share. A handle's index with SXVKI_HANDLE_SLAB_BIT names a slab and a slot in it; its handle
    is valid by the same rule. With SXVKI_HANDLE_LINEAR_BIT it names a record whose
    generation counts together with its block's epoch, see >>linear.
*/

#define SXVKI_GRANULE_SHIFT 4
#define SXVKI_GRANULE       ((VkDeviceSize)1 << SXVKI_GRANULE_SHIFT)

/*  Offsets and sizes have 38 bits of granules: 4 TiB. */
#define SXVKI_GRANULES_MAX  (((uint64_t)1 << 38) - 1)
#define SXVKI_BLOCK_ID_BITS 20
#define SXVKI_BLOCK_ID_MASK ((1u << SXVKI_BLOCK_ID_BITS) - 1)

/*  Block and offset are one word: who has an allocation may ask where it is while a defragmentation
    moves it, and finds the old place or the new one. */
typedef struct sxvki_record {
    sxvki_shared64 place; /* atomic; 38 bits offset, 6 bits high part of size, 20 bits block id */
    uint32_t size_low;
    uint32_t generation;
    uint32_t prev; /* neighbours in the block, by offset */
    uint32_t next;
    uint32_t link_a;
    uint32_t link_b; /* stored atomically, too: see sxvkForEachAllocation */
} sxvki_record;

#define SXVKI_PLACE_OFFSET_BITS 38
#define SXVKI_PLACE_BLOCK_SHIFT 44

SXVKI_STATIC_ASSERT(record_is_32_bytes, sizeof(sxvki_record) == 32);

/*  The word `state`, in link_b of a range handed out. */
#define SXVKI_STATE_MAPS_MASK 0x000000FFu /* times mapped by sxvkMapMemory */
#define SXVKI_STATE_MAPPED    0x00000100u /* MAPPED_BIT */
#define SXVKI_STATE_COLD      0x00000200u /* there may be something in the side table */
#define SXVKI_STATE_HELD      0x00002000u /* its block is mapped for margins, or to be filled */
#define SXVKI_STATE_SLAB      0x00004000u /* the range is a slab; `tail` is the slab's index */
#define SXVKI_STATE_WATCHED   0x00008000u /* somebody wants to know when it is freed */
#define SXVKI_STATE_LINEAR    0x01000000u /* lives in a linear pool */
#define SXVKI_STATE_AWAY      0x02000000u /* of a slot: it lives in a range, see >>defrag */
#define SXVKI_STATE_HOST      0x02000000u /* of a range: such a one; `tail` is the slot's index */
#define SXVKI_STATE_PINNED    0x04000000u /* PINNED_BIT, the same bit */
#define SXVKI_STATE_TARGET    0x08000000u /* where an allocation is about to move to */
#define SXVKI_STATE_LEAVES    0x08000000u /* of a slot that is AWAY: its place is still read */
#define SXVKI_STATE_FALLBACK  0x10000000u /* memory of the second choice */
#define SXVKI_STATE_LOCKED    0x80000000u /* it moves at this moment: not to be mapped */
#define SXVKI_STATE_PLANNED   0x20000000u /* somebody means to move it */
#define SXVKI_STATE_MOVED     0x40000000u /* changes with each move */
#define SXVKI_STATE_MAPPINGS  (SXVKI_STATE_MAPS_MASK | SXVKI_STATE_MAPPED | SXVKI_STATE_HELD)
/* Of what is not just given back. */
#define SXVKI_STATE_ATTENDED    (SXVKI_STATE_MAPPINGS | SXVKI_STATE_WATCHED | SXVKI_STATE_AWAY)
#define SXVKI_STATE_KIND_SHIFT  10 /* 3 bits: sxvki_kind */
#define SXVKI_STATE_CLASS_SHIFT 16 /* 8 bits: index into sxvki_classes, for the dump */

/*  What lives in a range. Buffers and linear images are alike to bufferImageGranularity. */
typedef enum sxvki_kind {
    SXVKI_KIND_UNKNOWN,
    SXVKI_KIND_BUFFER,
    SXVKI_KIND_IMAGE_UNKNOWN,
    SXVKI_KIND_IMAGE_LINEAR,
    SXVKI_KIND_IMAGE_OPTIMAL
} sxvki_kind;

typedef struct sxvki_cold {
    void* user_data; /* both atomic: sxvkForEachAllocation may look */
    void* name;      /* char* */
} sxvki_cold;

/*  What else the side table of an allocator has. All of it is atomic, so that a walk over all
    allocations needs no lock; it changes only while the allocation lives. */
typedef struct sxvki_track {
    sxvki_shared64 extent; /* bytes << 8 | memory type; 0 while the rest is */
    uint32_t module;       /* 0: of none; see >>module */
    uint32_t touched;      /* SXVKI_TOUCHED and the frame, see sxvkTouchAllocation */
} sxvki_track;

#define SXVKI_TOUCHED 0x80000000u

/*  Where an allocation comes from: behind the rest of a page, if that is recorded. */
typedef struct sxvki_origin {
    uint32_t frame; /* atomic, as is the next: a dump may look */
    uint32_t stack; /* see sxvki_stacks; SXVKI_NONE: not known */
} sxvki_origin;

/*  One of the equal parts of a slab. */
typedef struct sxvki_slot {
    uint32_t generation; /* atomic, as all of it but `tail` */
    uint32_t state;
    uint32_t tail; /* bytes behind what the user asked for */
    uint32_t size; /* in a virtual block, which has no tail: granules asked for; elsewhere of a slot
                      that is away: the record of its range */
} sxvki_slot;

#define SXVKI_SLAB_SLOTS 63

/*  See >>slabs. All but `word`, `owner` and `cold` is set before the slab is seen, and stays while
    a slot is handed out; the links are guarded by the owner. */
typedef struct sxvki_slab {
    sxvki_shared64 word; /* atomic; free slots, and SXVKI_SLAB_HELD */
    void* owner;         /* atomic; the domain */
    void* cold;          /* atomic; sxvki_cold of its slots, made when first needed */
    uint64_t offset;     /* in the block, in granules */
    uint32_t block;      /* atomic */
    uint32_t record;     /* its range; SXVKI_NONE: hollow */
    uint32_t slot_size;  /* granules */
    uint32_t slot_count;
    uint32_t class_index;
    uint32_t prev; /* in the list of its class */
    uint32_t next;
    uint32_t is_listed;                     /* SXVKI_SLAB_ value */
    sxvki_slot slots[SXVKI_SLAB_SLOTS + 1]; /* the last one fills the cache line */
} sxvki_slab;

#define SXVKI_RECORDS_FIRST_SHIFT 6  /* 64 records to start with */
#define SXVKI_SLABS_FIRST_SHIFT   2  /* 4 slabs */
#define SXVKI_COLD_PAGE           64 /* entries of the side table that are made at once */

typedef struct sxvki_records {
    sxvki_table hot;
    sxvki_table cold; /* one pointer to a page of sxvki_cold for each SXVKI_COLD_PAGE records */
    sxvki_table slabs;
    const sxvki_host* host;
    sxvki_lock lock;           /* guards the tables' growth, and the next */
    uint32_t origin;           /* differs between allocators, so that foreign handles are caught */
    uint32_t first_generation; /* of new records: the origin, or the latest that a trim forgot */
    uint32_t has_origins;      /* set before the first allocation */
    sxvki_shared64 pins;       /* atomic; threads that look at records they do not own */
    int has_tracks;            /* a page of the side table has its sxvki_cold, then sxvki_track */
} sxvki_records;

#if UINTPTR_MAX > 0xFFFFFFFFu
#define SXVKI_HANDLE_INDEX_BITS 32
#else
#define SXVKI_HANDLE_INDEX_BITS 22
#endif
#define SXVKI_HANDLE_SLAB_BIT    (1u << (SXVKI_HANDLE_INDEX_BITS - 1))
#define SXVKI_HANDLE_LINEAR_BIT  (SXVKI_HANDLE_SLAB_BIT / 2)
#define SXVKI_RECORDS_MAX        SXVKI_HANDLE_SLAB_BIT        /* half of it is the limit, so that */
#define SXVKI_SLABS_MAX          (SXVKI_HANDLE_SLAB_BIT / 64) /* no index has LINEAR_BIT */
#define SXVKI_GENERATION_CLAIMED 0x80000000u
#define SXVKI_HANDLE_GENERATION_MASK                                                               \
    ((uint32_t)(UINTPTR_MAX >> SXVKI_HANDLE_INDEX_BITS) & ~SXVKI_GENERATION_CLAIMED)

SXVKI_INLINE sxvki_record* sxvki_record_at(const sxvki_records* records, uint32_t index) {
    return (sxvki_record*)sxvki_table_at(&records->hot, index, SXVKI_RECORDS_FIRST_SHIFT,
                                         sizeof(sxvki_record));
}

SXVKI_INLINE sxvki_slab* sxvki_slab_at(const sxvki_records* records, uint32_t id) {
    return (sxvki_slab*)sxvki_table_at(&records->slabs, id, SXVKI_SLABS_FIRST_SHIFT,
                                       sizeof(sxvki_slab));
}

/*  Not after a trim took it away. */
SXVKI_INLINE int sxvki_slab_exists(const sxvki_records* records, uint32_t id) {
    return id < sxvki_load32(&records->slabs.capacity);
}

/*  The slab that an index with the slab bit names. */
SXVKI_INLINE uint32_t sxvki_slot_slab(uint32_t index) {
    return (index & ~SXVKI_HANDLE_SLAB_BIT) / 64;
}

SXVKI_INLINE sxvki_slab* sxvki_slab_of(const sxvki_records* records, uint32_t index) {
    return sxvki_slab_at(records, sxvki_slot_slab(index));
}

SXVKI_INLINE uint32_t sxvki_slot_index(uint32_t slab, uint32_t slot) {
    return SXVKI_HANDLE_SLAB_BIT | slab * 64 | slot;
}

SXVKI_INLINE uint64_t sxvki_place_offset(uint64_t place) {
    return place & SXVKI_GRANULES_MAX;
}

/*  The same for both places of a move. */
SXVKI_INLINE uint64_t sxvki_place_size_high(uint64_t place) {
    return (place >> SXVKI_PLACE_OFFSET_BITS & 63) << 32;
}

SXVKI_INLINE uint32_t sxvki_place_block(uint64_t place) {
    return (uint32_t)(place >> SXVKI_PLACE_BLOCK_SHIFT);
}

SXVKI_INLINE uint64_t sxvki_record_offset(const sxvki_record* r) {
    return sxvki_place_offset(r->place);
}

SXVKI_INLINE uint64_t sxvki_record_size(const sxvki_record* r) {
    return sxvki_place_size_high(r->place) | r->size_low;
}

SXVKI_INLINE uint32_t sxvki_record_block(const sxvki_record* r) {
    return sxvki_place_block(sxvki_load64_relaxed(&r->place));
}

SXVKI_INLINE uint64_t sxvki_record_end(const sxvki_record* r) {
    return sxvki_record_offset(r) + sxvki_record_size(r);
}

/*  `place` and `generation` are stored atomically because a thread with a stale handle may look.
    It may even try to claim what it saw, too late: so the owner also reads the generation so. */
SXVKI_INLINE void sxvki_record_set(sxvki_record* r, uint32_t block, uint64_t offset,
                                   uint64_t size) {
    r->size_low = (uint32_t)size;
    sxvki_store64_relaxed(&r->place, (uint64_t)block << SXVKI_PLACE_BLOCK_SHIFT |
                                         size >> 32 << SXVKI_PLACE_OFFSET_BITS | offset);
}

SXVKI_INLINE uint32_t sxvki_record_generation(const sxvki_record* r) {
    return sxvki_load32_relaxed(&r->generation);
}

SXVKI_INLINE int sxvki_record_is_live(const sxvki_record* r) {
    return (int)(sxvki_record_generation(r) & 1);
}

SXVKI_INLINE uint32_t sxvki_generation_after(uint32_t generation) {
    return (generation + 1) & ~SXVKI_GENERATION_CLAIMED;
}

/*  Release: who sees the new generation sees what was written before, see sxvkForEachAllocation. */
SXVKI_INLINE void sxvki_record_age(sxvki_record* r) {
    sxvki_store32(&r->generation, sxvki_generation_after(sxvki_record_generation(r)));
}

/*  Acquire: who set a bit had made what it stands for, the margin or the side table's entry. */
SXVKI_INLINE uint32_t sxvki_record_state(const sxvki_record* r) {
    return sxvki_load32(&r->link_b);
}

/*  Bytes that the user asked for. */
SXVKI_INLINE VkDeviceSize sxvki_record_bytes(const sxvki_record* r) {
    return (sxvki_record_size(r) << SXVKI_GRANULE_SHIFT) - r->link_a;
}

SXVKI_INLINE SxvkAllocation sxvki_handle_make(uint32_t generation, uint32_t index) {
    uintptr_t high = generation & SXVKI_HANDLE_GENERATION_MASK;
    return (SxvkAllocation)(high << SXVKI_HANDLE_INDEX_BITS | index);
}

SXVKI_INLINE uint32_t sxvki_handle_index(SxvkAllocation handle) {
    return (uint32_t)((uintptr_t)handle & (((uintptr_t)1 << SXVKI_HANDLE_INDEX_BITS) - 1));
}

/*  What the allocator calls a live allocation inside: the index without SXVKI_HANDLE_LINEAR_BIT. */
SXVKI_INLINE uint32_t sxvki_allocation_index(SxvkAllocation handle) {
    return sxvki_handle_index(handle) & ~SXVKI_HANDLE_LINEAR_BIT;
}

SXVKI_INLINE int sxvki_handle_matches(SxvkAllocation handle, uint32_t generation) {
    return (generation & (SXVKI_GENERATION_CLAIMED | 1)) == 1 &&
           (generation & SXVKI_HANDLE_GENERATION_MASK) ==
               (uint32_t)((uintptr_t)handle >> SXVKI_HANDLE_INDEX_BITS);
}

/*  Where the generation of an index stands; null where there is no such index. */
SXVKI_INLINE uint32_t* sxvki_generation_of(const sxvki_records* records, uint32_t index) {
    if (index & SXVKI_HANDLE_SLAB_BIT) {
        uint32_t id = sxvki_slot_slab(index);
        return sxvki_slab_exists(records, id)
                   ? &sxvki_slab_at(records, id)->slots[index % 64].generation
                   : NULL;
    }
    return index < sxvki_load32(&records->hot.capacity)
               ? &sxvki_record_at(records, index)->generation
               : NULL;
}

/*  0 for a stale, freed or foreign handle, and for those of linear pools. */
SXVKI_INLINE int sxvki_handle_is_valid(const sxvki_records* records, SxvkAllocation handle) {
    const uint32_t* generation = sxvki_generation_of(records, sxvki_handle_index(handle));
    return generation != NULL && sxvki_handle_matches(handle, sxvki_load32(generation));
}

static int sxvki_records_init(sxvki_records* records, const sxvki_host* host, uint32_t salt,
                              int locked) {
    memset(records, 0, sizeof *records);
    sxvki_table_init(&records->hot, SXVKI_RECORDS_FIRST_SHIFT, sizeof(sxvki_record),
                     offsetof(sxvki_record, next));
    sxvki_table_init(&records->cold, 0, sizeof(void*), 0);
    sxvki_table_init(&records->slabs, SXVKI_SLABS_FIRST_SHIFT, sizeof(sxvki_slab),
                     offsetof(sxvki_slab, next));
    records->host = host;
    records->origin = salt & ~(SXVKI_GENERATION_CLAIMED | 1);
    records->first_generation = records->origin;
    return sxvki_lock_init(&records->lock, locked);
}

/*  Add some records and pointers to their cold pages. Caller holds the lock. */
SXVKI_COLD static int sxvki_records_grow(sxvki_records* records) {
    uint32_t from, to, i;
    if (records->hot.capacity >= SXVKI_RECORDS_MAX / 2) {
        return 0;
    }
    if (records->cold.capacity * SXVKI_COLD_PAGE <= records->hot.capacity) {
        if (!sxvki_table_grow(&records->cold, records->host, SXVKI_TABLE_STEP, &from, &to)) {
            return 0;
        }
        sxvki_table_publish(&records->cold, to);
    }
    if (!sxvki_table_grow(&records->hot, records->host, SXVKI_TABLE_STEP, &from, &to)) {
        return 0;
    }
    for (i = from; i != to; i++) {
        sxvki_record_at(records, i)->generation = records->first_generation;
    }
    sxvki_table_add(&records->hot, from, to);
    return 1;
}

/*  Put up to count records in front of the chain *head; returns how many it was. */
static uint32_t sxvki_records_take(sxvki_records* records, uint32_t count, uint32_t* head) {
    uint32_t taken = 0;
    sxvki_lock_take(&records->lock);
    while (taken < count) {
        uint32_t index = sxvki_table_take(&records->hot);
        if (index == SXVKI_NONE) {
            if (!sxvki_records_grow(records)) {
                break;
            }
            continue;
        }
        sxvki_record_at(records, index)->next = *head;
        *head = index;
        taken++;
    }
    sxvki_lock_drop(&records->lock);
    return taken;
}

/*  Give a chain of records back; they must be dead. */
static void sxvki_records_give(sxvki_records* records, uint32_t head) {
    sxvki_lock_take(&records->lock);
    while (head != SXVKI_NONE) {
        sxvki_record* r = sxvki_record_at(records, head);
        uint32_t next = r->next;
        SXVKI_ASSERT_INTERNAL(!sxvki_record_is_live(r));
        sxvki_table_give(&records->hot, head, &r->next);
        head = next;
    }
    sxvki_lock_drop(&records->lock);
}

#define SXVKI_GIVE_PORTION 64 /* 1 us under the lock */

/*  The same for a chain of any length, in portions: others want the lock. Who trims takes no lock
    meanwhile that keeps others from allocating. */
SXVKI_COLD static void sxvki_records_give_all(sxvki_records* records, uint32_t chain) {
    while (chain != SXVKI_NONE) {
        uint32_t head = chain, count;
        sxvki_record* last = sxvki_record_at(records, head);
        for (count = 1; count < SXVKI_GIVE_PORTION && last->next != SXVKI_NONE; count++) {
            last = sxvki_record_at(records, last->next);
        }
        chain = last->next;
        last->next = SXVKI_NONE;
        sxvki_records_give(records, head);
    }
}

/*  Where the page of the side table is named that has the entry of an index. */
SXVKI_INLINE void** sxvki_cold_page(const sxvki_records* records, uint32_t index) {
    if (index & SXVKI_HANDLE_SLAB_BIT) {
        return &sxvki_slab_of(records, index)->cold;
    }
    return (void**)sxvki_table_at(&records->cold, index / SXVKI_COLD_PAGE, 0, sizeof(void*));
}

/*  The side table's entry, or null where its page was never made. */
static sxvki_cold* sxvki_cold_find(const sxvki_records* records, uint32_t index) {
    void** page = sxvki_cold_page(records, index);
    sxvki_cold* entries = (sxvki_cold*)sxvki_load_ptr(page);
    return entries == NULL ? NULL : &entries[index % SXVKI_COLD_PAGE];
}

/*  The side table's entry; null where there is no host memory for it. */
SXVKI_APART static sxvki_cold* sxvki_cold_make(sxvki_records* records, uint32_t index) {
    sxvki_cold* cold = sxvki_cold_find(records, index);
    if (cold == NULL) {
        void** page = sxvki_cold_page(records, index);
        size_t each = sizeof(sxvki_cold) + (records->has_tracks ? sizeof(sxvki_track) : 0) +
                      (records->has_origins ? sizeof(sxvki_origin) : 0);
        void* fresh = sxvki_host_alloc_zeroed(records->host, SXVKI_COLD_PAGE * each);
        void* seen = NULL;
        if (fresh == NULL) {
            return NULL;
        }
        if (!sxvki_cas_ptr(page, &seen, fresh)) {
            sxvki_host_free(records->host, fresh); /* another thread was faster */
        }
        cold = sxvki_cold_find(records, index);
    }
    return cold;
}

/*  The track beside an entry of the side table. */
SXVKI_INLINE sxvki_track* sxvki_track_of(sxvki_cold* cold, uint32_t index) {
    uint32_t i = index % SXVKI_COLD_PAGE;
    return (sxvki_track*)(void*)(cold - i + SXVKI_COLD_PAGE) + i;
}

/*  Null where its page was never made. */
SXVKI_INLINE sxvki_track* sxvki_track_find(const sxvki_records* records, uint32_t index) {
    sxvki_cold* cold = sxvki_cold_find(records, index);
    return cold == NULL ? NULL : sxvki_track_of(cold, index);
}

/*  Where an allocation comes from; null where that was not recorded. */
SXVKI_COLD static sxvki_origin* sxvki_origin_find(const sxvki_records* records, uint32_t index) {
    sxvki_cold* entries = (sxvki_cold*)sxvki_load_ptr(sxvki_cold_page(records, index));
    return entries == NULL || !records->has_origins
               ? NULL
               : (sxvki_origin*)(void*)(sxvki_track_of(entries, 0) + SXVKI_COLD_PAGE) +
                     index % SXVKI_COLD_PAGE;
}

static void sxvki_cold_clear(sxvki_records* records, uint32_t index) {
    sxvki_cold* cold = sxvki_cold_find(records, index);
    if (cold != NULL) {
        sxvki_host_free(records->host, cold->name);
        sxvki_store_ptr(&cold->name, NULL);
        sxvki_store_ptr(&cold->user_data, NULL);
        if (records->has_tracks) {
            sxvki_track* track = sxvki_track_of(cold, index);
            sxvki_store32_relaxed(&track->touched, 0);
            sxvki_store32_relaxed(&track->module, 0);
            sxvki_store64_relaxed(&track->extent, 0);
        }
    }
}

/*  Free what is retired of the tables, with the pages of the side table. */
SXVKI_COLD static void sxvki_records_free_retired(sxvki_records* records) {
    uint32_t i;
    for (i = records->cold.capacity; i < records->cold.made; i++) {
        sxvki_host_free(records->host, *sxvki_cold_page(records, i * SXVKI_COLD_PAGE));
    }
    for (i = records->slabs.capacity; i < records->slabs.made; i++) {
        sxvki_host_free(records->host, sxvki_slab_at(records, i)->cold);
    }
    sxvki_table_drop(&records->slabs, records->host);
    sxvki_table_drop(&records->cold, records->host);
    sxvki_table_drop(&records->hot, records->host);
}

/*  In between a thread may look at records that it does not own. A trim lowers the capacity and
    then asks for the count, by an atomic addition as well. So either it finds the pin, or who pins
    finds the capacity lowered. */
SXVKI_INLINE void sxvki_records_pin(sxvki_records* records) {
    sxvki_add64(&records->pins, 1);
}

SXVKI_INLINE void sxvki_records_unpin(sxvki_records* records) {
    sxvki_add64(&records->pins, (uint64_t)0 - 1);
}

/*  Let *latest be this generation if that is the later one, counted from the origin. Should
    somebody need what is retired, and so have it in use, the one after it is even as well. */
SXVKI_INLINE void sxvki_records_remember(const sxvki_records* records, const uint32_t* generation,
                                         uint32_t* latest) {
    uint32_t dead = (sxvki_load32_relaxed(generation) + 1) & ~(SXVKI_GENERATION_CLAIMED | 1);
    uint32_t age = (dead - records->origin) & ~SXVKI_GENERATION_CLAIMED;
    if (age > ((*latest - records->origin) & ~SXVKI_GENERATION_CLAIMED)) {
        *latest = dead;
    }
}

/*  Hide the records and slabs that nobody has, as far as they fill the highest chunks, and remember
    the latest of their generations. Returns 0 where there are no more. The memory is read without
    the lock: only who trims may free it. */
SXVKI_COLD static int sxvki_records_retire(sxvki_records* records) {
    sxvki_records retired;
    uint32_t latest, i, slot;
    int some;
    memset(&retired, 0, sizeof retired);
    sxvki_lock_take(&records->lock);
    some = sxvki_table_retire(&records->hot);
    some |= sxvki_table_retire(&records->slabs);
    retired.hot = records->hot;
    retired.slabs = records->slabs;
    latest = records->first_generation;
    sxvki_lock_drop(&records->lock);
    if (!some) {
        return 0;
    }
    for (i = retired.hot.capacity; i < retired.hot.made; i++) {
        sxvki_records_remember(records, &sxvki_record_at(&retired, i)->generation, &latest);
    }
    for (i = retired.slabs.capacity; i < retired.slabs.made; i++) {
        for (slot = 0; slot < SXVKI_SLAB_SLOTS; slot++) {
            sxvki_slab* slab = sxvki_slab_at(&retired, i);
            sxvki_records_remember(records, &slab->slots[slot].generation, &latest);
        }
    }
    sxvki_lock_take(&records->lock);
    records->first_generation = latest;
    sxvki_lock_drop(&records->lock);
    return 1;
}

/*  Free what was retired `grace` seconds ago; nobody looks at it any more but who has pinned it.
    Returns 0 where nothing is retired any more. O(what is freed), but for the lock. */
SXVKI_COLD static int sxvki_records_drop(sxvki_records* records, uint32_t grace) {
    sxvki_records gone;
    int some;
    memset(&gone, 0, sizeof gone);
    gone.host = records->host;
    sxvki_lock_take(&records->lock);
    if (sxvki_add64(&records->pins, 0) == 0) {
        if (sxvki_table_is_due(&records->hot, grace)) {
            records->cold.capacity = records->hot.capacity / SXVKI_COLD_PAGE;
            sxvki_table_detach(&records->hot, &gone.hot);
            sxvki_table_detach(&records->cold, &gone.cold);
        }
        if (sxvki_table_is_due(&records->slabs, grace)) {
            sxvki_table_detach(&records->slabs, &gone.slabs);
        }
    }
    some = sxvki_table_has_retired(&records->hot) || sxvki_table_has_retired(&records->slabs);
    sxvki_lock_drop(&records->lock);
    sxvki_records_free_retired(&gone);
    return some;
}

SXVKI_COLD static void sxvki_records_shutdown(sxvki_records* records) {
    records->hot.capacity = 0;
    records->cold.capacity = 0;
    records->slabs.capacity = 0;
    sxvki_records_free_retired(records);
    sxvki_lock_shutdown(&records->lock);
}

/* ============================================================================================== */
/*  >>bins       segregated fit over many blocks                                                  */
/* ============================================================================================== */
/*
    The free ranges of all blocks of a domain stand in lists by size, and a two-level bitmap says
    which lists are not empty: to find room is two bit scans, however many blocks and holes there
    are.

    A bin is a small float with 5 bits of mantissa: sizes of a bin differ by at most 1/32. A search
    rounds the request up to the next bin and takes the head of the first list at or above it, which
    surely fits, so that no list is ever walked. Measured committed/live 1.124; with 4 bits 1.135,
    with 3 bits 1.160. Only where no higher bin has anything are the first ranges of the
    request's own bin looked at, so that a free range serves a request of exactly its size.

          size      0 .. 31   32 33 .. 63   64 66 .. 126   128 132 ..     (granules)
          bin       0 .. 31   32 33 .. 63   64 65 .. 95    96  97 ..

    Take from a range, with a pad in front for alignment; pads and rests stay free ranges:

          | free                                   |        prev and next chain the ranges of
          | pad  | handed out        | rest        |        a block in the order of their offsets

    Give joins a range with its free neighbours. The range that starts a block keeps its record, but
    where two ranges exchange their places; so a block needs to know only that one.

    I1  no two neighbours are both free
    I2  the ranges of a block touch each other, from 0 to its size
    I3  a free range stands in the bin of its size, or in the list of its frozen block, and in no
        other; no other range stands in a bin
    I4  a bit of the map is set  <=>  its list is not empty; a bit of top  <=>  its word is not 0
    I5  the size of a range is not 0

    The owner's lock guards everything. Units are granules; bins know nothing of memory or of bytes.
*/

#define SXVKI_BIN_MANTISSA 5
#define SXVKI_BIN_WORDS    18 /* 64 bins each: enough for 38 bits */

typedef enum sxvki_strategy {
    SXVKI_STRATEGY_MIN_TIME,
    SXVKI_STRATEGY_MIN_MEMORY,
    SXVKI_STRATEGY_MIN_OFFSET,
    SXVKI_STRATEGY_UPPER /* linear pools only: from the end downwards */
} sxvki_strategy;

#define SXVKI_OWN_BIN_PROBES 16 /* ranges of the request's own bin that MIN_MEMORY looks at */
#define SXVKI_LAST_PROBES    4  /* and that every strategy looks at before it gives up */

/*  MIN_OFFSET takes the lowest place of all where there are few free ranges, else among so many of
    each of so many bins above the request's own. To look at all bins puts small ranges into large
    holes, and large ones find none then: of 750,000 requests in 1.15 times the mean live bytes
    4,894, 296, 945 failed at 1k, 10k, 100k live; so it is 2,511, 0, 0; best fit 3,979, 0, 0. And
    what lives ends lower: with room to spare at 1.26, 1.10, 1.05 times the live bytes, not at 1.29,
    1.16, 1.15. */
#define SXVKI_LOW_FEW    16
#define SXVKI_LOW_BINS   4
#define SXVKI_LOW_PROBES 4

typedef struct sxvki_bins {
    sxvki_records* records;
    uint32_t* heads; /* bin_count of them; null: not a single block */
    uint32_t bin_count;
    uint32_t spare; /* chain of records for new ranges */
    uint32_t spare_count;
    uint32_t free_count;      /* free ranges */
    uint32_t frozen;          /* the anchors of frozen blocks, a chain; see "frozen blocks" */
    sxvki_shared64 free_size; /* atomic, but only the owner writes */
    uint64_t top;
    uint64_t map[SXVKI_BIN_WORDS];
} sxvki_bins;

SXVKI_STATIC_ASSERT(bins_reach_38_bits,
                    (38 - SXVKI_BIN_MANTISSA + 1) << SXVKI_BIN_MANTISSA <= SXVKI_BIN_WORDS * 64);

/*  The bin that a range of this size stands in. */
SXVKI_INLINE uint32_t sxvki_bin_of(uint64_t size) {
    uint32_t e;
    if (size < (1u << SXVKI_BIN_MANTISSA)) {
        return (uint32_t)size;
    }
    e = sxvki_high_bit(size) - SXVKI_BIN_MANTISSA;
    return (e << SXVKI_BIN_MANTISSA) + (uint32_t)(size >> e);
}

/*  The first bin of which every range has at least this size. */
SXVKI_INLINE uint32_t sxvki_bin_above(uint64_t size) {
    uint32_t e;
    if (size < (1u << SXVKI_BIN_MANTISSA)) {
        return (uint32_t)size;
    }
    e = sxvki_high_bit(size) - SXVKI_BIN_MANTISSA;
    return sxvki_bin_of(size + ((uint64_t)1 << e) - 1);
}

/*  For ranges of at most max_size. Needs no host memory yet. */
static void sxvki_bins_init(sxvki_bins* bins, sxvki_records* records, uint64_t max_size) {
    memset(bins, 0, sizeof *bins);
    bins->records = records;
    bins->spare = SXVKI_NONE;
    bins->frozen = SXVKI_NONE;
    bins->bin_count = sxvki_bin_of(max_size) + 1;
}

#if !SX_VKALLOC_NO_VIRTUAL
/*  From now on for ranges of at most max_size, no less than before. Returns 0 where there is no
    host memory. */
SXVKI_COLD static int sxvki_bins_reserve(sxvki_bins* bins, uint64_t max_size) {
    uint32_t count = sxvki_bin_of(max_size) + 1;
    uint32_t* heads = bins->heads;
    uint32_t i;
    if (count > bins->bin_count && heads != NULL) {
        heads = (uint32_t*)sxvki_host_alloc(bins->records->host, count * sizeof(uint32_t), 64);
        if (heads == NULL) {
            return 0;
        }
        for (i = 0; i < count; i++) {
            heads[i] = i < bins->bin_count ? bins->heads[i] : SXVKI_NONE;
        }
        sxvki_host_free(bins->records->host, bins->heads);
        bins->heads = heads;
    }
    bins->bin_count = count > bins->bin_count ? count : bins->bin_count;
    return 1;
}
#endif

/*  The lowest bin that is not empty, at or above `from`; SXVKI_NONE where there is none. */
SXVKI_INLINE uint32_t sxvki_bins_find(const sxvki_bins* bins, uint32_t from) {
    uint32_t word = from / 64;
    uint64_t bits;
    if (from >= bins->bin_count) {
        return SXVKI_NONE;
    }
    bits = bins->map[word] & (~(uint64_t)0 << (from % 64));
    if (bits == 0) {
        uint64_t words = bins->top & (~(uint64_t)0 << (word + 1));
        if (words == 0) {
            return SXVKI_NONE;
        }
        word = sxvki_low_bit(words);
        bits = bins->map[word];
    }
    return word * 64 + sxvki_low_bit(bits);
}

/*  Behind the head when the head's block is lower: low blocks fill, and high ones run empty and
    can be freed (2 points of memory for one compare). */
static void sxvki_bins_link(sxvki_bins* bins, uint32_t index, sxvki_record* r) {
    uint64_t size = sxvki_record_size(r);
    uint32_t bin = sxvki_bin_of(size);
    uint32_t head = bins->heads[bin];
    SXVKI_ASSERT_INTERNAL(bin < bins->bin_count && size != 0);
    r->link_a = SXVKI_NONE;
    sxvki_store32_relaxed(&r->link_b, SXVKI_NONE);
    if (head == SXVKI_NONE) {
        bins->heads[bin] = index;
        bins->map[bin / 64] |= (uint64_t)1 << (bin % 64);
        bins->top |= (uint64_t)1 << (bin / 64);
    } else {
        sxvki_record* first = sxvki_record_at(bins->records, head);
        if (sxvki_record_block(first) < sxvki_record_block(r)) {
            r->link_a = head;
            sxvki_store32_relaxed(&r->link_b, first->link_b);
            if (first->link_b != SXVKI_NONE) {
                sxvki_record_at(bins->records, first->link_b)->link_a = index;
            }
            sxvki_store32_relaxed(&first->link_b, index);
        } else {
            sxvki_store32_relaxed(&r->link_b, head);
            first->link_a = index;
            bins->heads[bin] = index;
        }
    }
    bins->free_count++;
    sxvki_store64_relaxed(&bins->free_size, bins->free_size + size);
}

static void sxvki_bins_unlink(sxvki_bins* bins, sxvki_record* r) {
    uint64_t size = sxvki_record_size(r);
    if (r->link_b != SXVKI_NONE) {
        sxvki_record_at(bins->records, r->link_b)->link_a = r->link_a;
    }
    if (r->link_a != SXVKI_NONE) {
        sxvki_store32_relaxed(&sxvki_record_at(bins->records, r->link_a)->link_b, r->link_b);
    } else {
        uint32_t bin = sxvki_bin_of(size);
        bins->heads[bin] = r->link_b;
        if (r->link_b == SXVKI_NONE) {
            bins->map[bin / 64] &= ~((uint64_t)1 << (bin % 64));
            if (bins->map[bin / 64] == 0) {
                bins->top &= ~((uint64_t)1 << (bin / 64));
            }
        }
    }
    bins->free_count--;
    sxvki_store64_relaxed(&bins->free_size, bins->free_size - size);
}

static int sxvki_bins_refill(sxvki_bins* bins) {
    if (bins->heads == NULL) {
        size_t size = bins->bin_count * sizeof(uint32_t);
        bins->heads = (uint32_t*)sxvki_host_alloc(bins->records->host, size, 64);
        if (bins->heads == NULL) {
            return 0;
        }
        memset(bins->heads, 0xFF, size); /* SXVKI_NONE */
    }
    bins->spare_count += sxvki_records_take(bins->records, 30, &bins->spare);
    return bins->spare_count >= 2;
}

/*  Make sure that the next operation finds the records it may need. Returns 0: no host memory. */
SXVKI_INLINE int sxvki_bins_prepare(sxvki_bins* bins) {
    return SXVKI_LIKELY(bins->spare_count >= 2) || sxvki_bins_refill(bins);
}

static uint32_t sxvki_bins_new_record(sxvki_bins* bins) {
    uint32_t index = bins->spare;
    SXVKI_ASSERT_INTERNAL(bins->spare_count != 0);
    bins->spare = sxvki_record_at(bins->records, index)->next;
    bins->spare_count--;
    return index;
}

static void sxvki_bins_drop_record(sxvki_bins* bins, uint32_t index) {
    sxvki_record_at(bins->records, index)->next = bins->spare;
    bins->spare = index;
    bins->spare_count++;
}

/*  Does [size] fit into r when aligned? Gives the offset. */
SXVKI_INLINE int sxvki_range_fits(const sxvki_record* r, uint64_t size, uint64_t alignment,
                                  uint64_t* start) {
    uint64_t offset = sxvki_record_offset(r);
    *start = sxvki_align_up(offset, alignment);
    return *start - offset + size <= sxvki_record_size(r);
}

/*  Insert the range [start, start + size) of the same block behind `before`, with a new record. */
static uint32_t sxvki_bins_split(sxvki_bins* bins, uint32_t before, uint64_t start, uint64_t size) {
    uint32_t index = sxvki_bins_new_record(bins);
    sxvki_record* r = sxvki_record_at(bins->records, index);
    sxvki_record* p = sxvki_record_at(bins->records, before);
    sxvki_record_set(r, sxvki_record_block(p), start, size);
    r->prev = before;
    r->next = p->next;
    if (p->next != SXVKI_NONE) {
        sxvki_record_at(bins->records, p->next)->prev = index;
    }
    p->next = index;
    return index;
}

/*  Take [start, start + size) of a free range out of it; the caller ages the record once it says
    all that it should. bins_prepare was called. */
static uint32_t sxvki_bins_carve(sxvki_bins* bins, uint32_t index, uint64_t start, uint64_t size) {
    sxvki_record* r = sxvki_record_at(bins->records, index);
    uint32_t block = sxvki_record_block(r);
    uint64_t offset = sxvki_record_offset(r);
    uint64_t end = offset + sxvki_record_size(r);
    sxvki_bins_unlink(bins, r);
    if (start != offset) {
        sxvki_record_set(r, block, offset, start - offset);
        sxvki_bins_link(bins, index, r);
        index = sxvki_bins_split(bins, index, start, size);
        r = sxvki_record_at(bins->records, index);
    } else {
        sxvki_record_set(r, block, offset, size);
    }
    if (start + size != end) {
        uint32_t rest = sxvki_bins_split(bins, index, start + size, end - start - size);
        sxvki_bins_link(bins, rest, sxvki_record_at(bins->records, rest));
    }
    r->link_a = 0;
    sxvki_store32_relaxed(&r->link_b, 0);
    return index;
}

/*  The lowest place in the first ranges of each bin from that of the size to `last`. */
static uint32_t sxvki_bins_lowest(const sxvki_bins* bins, uint32_t last, uint32_t probes,
                                  uint64_t size, uint64_t alignment, uint64_t* start) {
    uint32_t best = SXVKI_NONE;
    uint32_t best_block = SXVKI_NONE;
    uint32_t bin = sxvki_bins_find(bins, sxvki_bin_of(size));
    for (; bin <= last && bin != SXVKI_NONE; bin = sxvki_bins_find(bins, bin + 1)) {
        uint32_t index = bins->heads[bin];
        uint32_t i;
        for (i = 0; i < probes && index != SXVKI_NONE; i++) {
            const sxvki_record* r = sxvki_record_at(bins->records, index);
            uint32_t block = sxvki_record_block(r);
            uint64_t at;
            if (sxvki_range_fits(r, size, alignment, &at) &&
                (block < best_block || (block == best_block && at < *start))) {
                best = index;
                best_block = block;
                *start = at;
            }
            index = r->link_b;
        }
    }
    return best;
}

/*  Look at a few ranges of one bin for the smallest that fits. */
static uint32_t sxvki_bins_probe(const sxvki_bins* bins, uint32_t bin, uint32_t probes,
                                 uint64_t size, uint64_t alignment, uint64_t* start) {
    uint32_t best = SXVKI_NONE;
    uint64_t best_size = UINT64_MAX;
    uint32_t index = bin < bins->bin_count ? bins->heads[bin] : SXVKI_NONE;
    for (; index != SXVKI_NONE && probes != 0; probes--) {
        const sxvki_record* r = sxvki_record_at(bins->records, index);
        uint64_t at;
        if (sxvki_record_size(r) < best_size && sxvki_range_fits(r, size, alignment, &at)) {
            best = index;
            best_size = sxvki_record_size(r);
            *start = at;
        }
        index = r->link_b;
    }
    return best;
}

/*  A free range with room, and where in it; SXVKI_NONE where there is none. */
static uint32_t sxvki_bins_search(const sxvki_bins* bins, uint64_t size, uint64_t alignment,
                                  sxvki_strategy strategy, uint64_t* start) {
    uint32_t index = SXVKI_NONE;
    uint32_t bin;
    if (strategy == SXVKI_STRATEGY_MIN_OFFSET) {
        int few = bins->free_count <= SXVKI_LOW_FEW;
        index = sxvki_bins_lowest(bins, few ? bins->bin_count : sxvki_bin_of(size) + SXVKI_LOW_BINS,
                                  few ? SXVKI_LOW_FEW : SXVKI_LOW_PROBES, size, alignment, start);
    } else if (strategy == SXVKI_STRATEGY_MIN_MEMORY) {
        index = sxvki_bins_probe(bins, sxvki_bin_of(size), SXVKI_OWN_BIN_PROBES, size, alignment,
                                 start);
    }
    if (index != SXVKI_NONE) {
        return index;
    }
    bin = sxvki_bins_find(bins, sxvki_bin_above(size));
    if (bin != SXVKI_NONE) {
        index = bins->heads[bin];
        if (sxvki_range_fits(sxvki_record_at(bins->records, index), size, alignment, start)) {
            return index;
        }
        /* The head is big enough but badly aligned; size + alignment - 1 fits at any offset. */
        bin = sxvki_bins_find(bins, sxvki_bin_above(size + alignment - 1));
        if (bin != SXVKI_NONE) {
            index = bins->heads[bin];
            if (sxvki_range_fits(sxvki_record_at(bins->records, index), size, alignment, start)) {
                return index;
            }
        }
    }
    index = sxvki_bins_probe(bins, sxvki_bin_of(size), SXVKI_LAST_PROBES, size, alignment, start);
    if (index == SXVKI_NONE && alignment > 1) {
        /* About to refuse: a higher head may be aligned well, above all that of an empty block. */
        index = sxvki_bins_lowest(bins, bins->bin_count, 1, size, alignment, start);
    }
    return index;
}

/*  The same where there is room; SXVKI_NONE where no free range is found. O(1). */
static uint32_t sxvki_bins_take(sxvki_bins* bins, uint64_t size, uint64_t alignment,
                                sxvki_strategy strategy) {
    uint64_t start = 0;
    uint32_t index = sxvki_bins_search(bins, size, alignment, strategy, &start);
    return index == SXVKI_NONE ? SXVKI_NONE : sxvki_bins_carve(bins, index, start, size);
}

/*  Take a range back and join it with its free neighbours. Returns the free range that results.
    O(1). */
static uint32_t sxvki_bins_give(sxvki_bins* bins, uint32_t index) {
    sxvki_record* r = sxvki_record_at(bins->records, index);
    uint32_t block = sxvki_record_block(r);
    uint64_t offset = sxvki_record_offset(r);
    uint64_t size = sxvki_record_size(r);
    SXVKI_ASSERT_INTERNAL(sxvki_record_is_live(r));
    sxvki_record_age(r);
    if (r->next != SXVKI_NONE) {
        uint32_t next = r->next;
        sxvki_record* n = sxvki_record_at(bins->records, next);
        if (!sxvki_record_is_live(n)) {
            sxvki_bins_unlink(bins, n);
            size += sxvki_record_size(n);
            r->next = n->next;
            sxvki_bins_drop_record(bins, next);
        }
    }
    if (r->prev != SXVKI_NONE) {
        uint32_t prev = r->prev;
        sxvki_record* p = sxvki_record_at(bins->records, prev);
        if (!sxvki_record_is_live(p)) {
            sxvki_bins_unlink(bins, p);
            offset = sxvki_record_offset(p);
            size += sxvki_record_size(p);
            p->next = r->next;
            sxvki_bins_drop_record(bins, index);
            index = prev;
            r = p;
        }
    }
    if (r->next != SXVKI_NONE) {
        sxvki_record_at(bins->records, r->next)->prev = index;
    }
    sxvki_record_set(r, block, offset, size);
    sxvki_bins_link(bins, index, r);
    return index;
}

/*  Add a block as one free range; returns its first record. bins_prepare was called. */
static uint32_t sxvki_bins_add_block(sxvki_bins* bins, uint32_t block, uint64_t size) {
    uint32_t index = sxvki_bins_new_record(bins);
    sxvki_record* r = sxvki_record_at(bins->records, index);
    sxvki_record_set(r, block, 0, size);
    r->prev = SXVKI_NONE;
    r->next = SXVKI_NONE;
    sxvki_bins_link(bins, index, r);
    return index;
}

/*  Is the range that starts here the whole block, and free? */
SXVKI_INLINE int sxvki_bins_block_is_empty(const sxvki_bins* bins, uint32_t first) {
    const sxvki_record* r = sxvki_record_at(bins->records, first);
    return !sxvki_record_is_live(r) && r->next == SXVKI_NONE;
}

static void sxvki_bins_remove_block(sxvki_bins* bins, uint32_t first) {
    SXVKI_ASSERT_INTERNAL(sxvki_bins_block_is_empty(bins, first));
    sxvki_bins_unlink(bins, sxvki_record_at(bins->records, first));
    sxvki_bins_drop_record(bins, first);
}

/* --- frozen blocks: nothing is handed out there any more, and what lives in them may be given back

    The free ranges of a frozen block stand in a list of their own, behind an anchor: a record that
    is no range. So they are unlinked like any other, and whoever takes and gives knows nothing of
    it. To freeze, and to thaw, is to walk through the block, a few steps under one lock: the cursor
    stays right meanwhile if each give in the block is told to it, because only a give drops
    records. */

typedef struct sxvki_frozen {
    uint32_t anchor;
    uint32_t cursor; /* the next range of the walk; SXVKI_NONE: at the end */
    uint64_t at;     /* its offset */
} sxvki_frozen;

/*  Walk from the first range of the block on. */
static void sxvki_frozen_rewind(sxvki_frozen* frozen, uint32_t first) {
    frozen->cursor = first;
    frozen->at = 0;
}

/*  bins_prepare was called. */
SXVKI_UNUSED static void sxvki_frozen_begin(sxvki_bins* bins, sxvki_frozen* frozen,
                                            uint32_t first) {
    sxvki_record* r;
    frozen->anchor = sxvki_bins_new_record(bins);
    r = sxvki_record_at(bins->records, frozen->anchor);
    sxvki_store32_relaxed(&r->link_b, SXVKI_NONE);
    r->prev = SXVKI_NONE;
    r->next = bins->frozen;
    if (r->next != SXVKI_NONE) {
        sxvki_record_at(bins->records, r->next)->prev = frozen->anchor;
    }
    bins->frozen = frozen->anchor;
    sxvki_frozen_rewind(frozen, first);
}

/*  Its list is empty. */
static void sxvki_frozen_end(sxvki_bins* bins, const sxvki_frozen* frozen) {
    const sxvki_record* r = sxvki_record_at(bins->records, frozen->anchor);
    SXVKI_ASSERT_INTERNAL(r->link_b == SXVKI_NONE);
    if (r->prev != SXVKI_NONE) {
        sxvki_record_at(bins->records, r->prev)->next = r->next;
    } else {
        bins->frozen = r->next;
    }
    if (r->next != SXVKI_NONE) {
        sxvki_record_at(bins->records, r->next)->prev = r->prev;
    }
    sxvki_bins_drop_record(bins, frozen->anchor);
}

/*  The next range of the walk, SXVKI_NONE at the end. The cursor has left it, so it may go. */
static uint32_t sxvki_frozen_next(const sxvki_bins* bins, sxvki_frozen* frozen) {
    uint32_t index = frozen->cursor;
    if (index != SXVKI_NONE) {
        const sxvki_record* r = sxvki_record_at(bins->records, index);
        frozen->cursor = r->next;
        frozen->at += sxvki_record_size(r);
    }
    return index;
}

/*  A give in the block left this free range: has it swallowed what the cursor stands at? */
static void sxvki_frozen_follow(const sxvki_bins* bins, sxvki_frozen* frozen, uint32_t index) {
    const sxvki_record* r = sxvki_record_at(bins->records, index);
    uint64_t offset = sxvki_record_offset(r);
    if (frozen->cursor != SXVKI_NONE && offset <= frozen->at && frozen->at < sxvki_record_end(r)) {
        frozen->cursor = index;
        frozen->at = offset;
    }
}

/*  Put a free range into the list of the frozen ones, wherever it stands. */
static void sxvki_frozen_take(sxvki_bins* bins, const sxvki_frozen* frozen, uint32_t index) {
    sxvki_record* r = sxvki_record_at(bins->records, index);
    sxvki_record* anchor = sxvki_record_at(bins->records, frozen->anchor);
    uint64_t size = sxvki_record_size(r);
    sxvki_bins_unlink(bins, r);
    r->link_a = frozen->anchor;
    sxvki_store32_relaxed(&r->link_b, anchor->link_b);
    if (r->link_b != SXVKI_NONE) {
        sxvki_record_at(bins->records, r->link_b)->link_a = index;
    }
    sxvki_store32_relaxed(&anchor->link_b, index);
    bins->free_count++;
    sxvki_store64_relaxed(&bins->free_size, bins->free_size + size);
}

/*  Put a free range where it can be found again, wherever it stands. */
static void sxvki_frozen_give(sxvki_bins* bins, uint32_t index) {
    sxvki_record* r = sxvki_record_at(bins->records, index);
    sxvki_bins_unlink(bins, r);
    sxvki_bins_link(bins, index, r);
}

/*  Let the neighbours of a range say that it has another record. */
SXVKI_UNUSED static void sxvki_range_rename(const sxvki_records* records, const sxvki_record* r,
                                            uint32_t index) {
    if (r->prev != SXVKI_NONE) {
        sxvki_record_at(records, r->prev)->next = index;
    }
    if (r->next != SXVKI_NONE) {
        sxvki_record_at(records, r->next)->prev = index;
    }
}

/*  Exchange the places of two ranges of one size that are handed out, in two blocks. What the
    records say besides stays: so an allocation moves, and its handle does not. */
SXVKI_UNUSED static void sxvki_ranges_exchange(const sxvki_records* records, uint32_t a,
                                               uint32_t b) {
    sxvki_record* ra = sxvki_record_at(records, a);
    sxvki_record* rb = sxvki_record_at(records, b);
    uint64_t place = ra->place;
    uint32_t prev = ra->prev, next = ra->next;
    uint64_t seen = place;
    SXVKI_ASSERT_INTERNAL(sxvki_record_size(ra) == sxvki_record_size(rb) &&
                          sxvki_record_block(ra) != sxvki_record_block(rb));
    sxvki_range_rename(records, ra, b);
    sxvki_range_rename(records, rb, a);
    ra->prev = rb->prev;
    ra->next = rb->next;
    rb->prev = prev;
    rb->next = next;
    (void)sxvki_cas64(&ra->place, &seen, rb->place); /* release: who finds it finds the block */
    sxvki_store64_relaxed(&rb->place, place);
}

/*  Let go of what sxvki_bins_prepare makes again: the heads of the lists where there is no block,
    and the spare records. Returns the chain of those: it may be long, and the caller, who holds a
    lock, gives it back later. O(1). */
SXVKI_COLD static uint32_t sxvki_bins_trim(sxvki_bins* bins, int has_blocks) {
    uint32_t chain = bins->spare;
    bins->spare = SXVKI_NONE;
    bins->spare_count = 0;
    if (!has_blocks) {
        sxvki_host_free(bins->records->host, bins->heads);
        bins->heads = NULL;
    }
    return chain;
}

/*  All blocks were removed. */
SXVKI_COLD static void sxvki_bins_shutdown(sxvki_bins* bins) {
    if (bins->records != NULL) {
        sxvki_records_give_all(bins->records, sxvki_bins_trim(bins, 0));
        memset(bins, 0, sizeof *bins);
    }
}

/*  I3 for one free range: the list of its bin leads to it. */
SXVKI_COLD static int sxvki_bins_lists(const sxvki_bins* bins, uint32_t index,
                                       const sxvki_record* r) {
    uint32_t bin = sxvki_bin_of(sxvki_record_size(r));
    if (r->link_a == SXVKI_NONE) {
        return bin < bins->bin_count && bins->heads[bin] == index;
    }
    return r->link_a < sxvki_load32(&bins->records->hot.capacity) && r->link_a != index &&
           sxvki_record_at(bins->records, r->link_a)->link_b == index;
}

/*  I1, I2, I5 for one block, and I3 for its free ranges, which it counts. */
SXVKI_COLD static int sxvki_bins_block_is_valid(const sxvki_bins* bins, uint32_t first,
                                                uint32_t block, uint64_t size,
                                                uint32_t* free_count) {
    uint64_t end = 0;
    uint32_t prev = SXVKI_NONE;
    uint32_t index;
    int prev_free = 0;
    for (index = first; index != SXVKI_NONE;) {
        const sxvki_record* r = sxvki_record_at(bins->records, index);
        int is_free = !sxvki_record_is_live(r);
        if (sxvki_record_block(r) != block || sxvki_record_offset(r) != end || r->prev != prev ||
            sxvki_record_size(r) == 0 || sxvki_record_size(r) > size - end) {
            return 0;
        }
        if (is_free && (prev_free || !sxvki_bins_lists(bins, index, r))) {
            return 0;
        }
        *free_count += (uint32_t)is_free;
        prev_free = is_free;
        end += sxvki_record_size(r);
        prev = index;
        index = r->next;
        if (index != SXVKI_NONE && index >= sxvki_load32(&bins->records->hot.capacity)) {
            return 0;
        }
    }
    return end == size;
}

/*  Add the frozen ranges up; 0 where a list is broken. */
SXVKI_COLD static int sxvki_bins_add_frozen(const sxvki_bins* bins, uint32_t most, uint32_t* count,
                                            uint64_t* size) {
    uint32_t anchor, prev, index;
    for (anchor = bins->frozen; anchor != SXVKI_NONE;
         anchor = sxvki_record_at(bins->records, anchor)->next) {
        prev = anchor;
        for (index = sxvki_record_at(bins->records, anchor)->link_b; index != SXVKI_NONE;
             index = sxvki_record_at(bins->records, index)->link_b) {
            const sxvki_record* r = sxvki_record_at(bins->records, index);
            if (sxvki_record_is_live(r) || r->link_a != prev || *count == most) {
                return 0;
            }
            *size += sxvki_record_size(r);
            *count += 1;
            prev = index;
        }
    }
    return 1;
}

/*  I3, I4 and the totals; free_count is the sum over the blocks. */
SXVKI_COLD static int sxvki_bins_is_valid(const sxvki_bins* bins, uint32_t free_count) {
    uint32_t bin_count = bins->heads != NULL ? bins->bin_count : 0;
    uint32_t bin, count = 0;
    uint64_t size = 0;
    for (bin = 0; bin < bin_count; bin++) {
        uint32_t prev = SXVKI_NONE;
        uint32_t index = bins->heads[bin];
        int bit = (int)((bins->map[bin / 64] >> (bin % 64)) & 1);
        if (bit != (index != SXVKI_NONE)) {
            return 0;
        }
        for (; index != SXVKI_NONE; count++) {
            const sxvki_record* r;
            if (index >= sxvki_load32(&bins->records->hot.capacity) || count > free_count) {
                return 0;
            }
            r = sxvki_record_at(bins->records, index);
            if (sxvki_record_is_live(r) || r->link_a != prev ||
                sxvki_bin_of(sxvki_record_size(r)) != bin) {
                return 0;
            }
            size += sxvki_record_size(r);
            prev = index;
            index = r->link_b;
        }
    }
    for (; bin < SXVKI_BIN_WORDS * 64; bin++) {
        if ((bins->map[bin / 64] >> (bin % 64)) & 1) {
            return 0;
        }
    }
    for (bin = 0; bin < 64; bin++) {
        int bit = (int)((bins->top >> bin) & 1);
        if (bit != (bin < SXVKI_BIN_WORDS && bins->map[bin] != 0)) {
            return 0;
        }
    }
    return sxvki_bins_add_frozen(bins, free_count, &count, &size) && count == free_count &&
           count == bins->free_count && size == bins->free_size;
}

/* ============================================================================================== */
/*  >>slabs      equal slots for small ranges                                                     */
/* ============================================================================================== */
/*
    A slab is a range of the bins that is cut into up to 63 equal slots. To take or give one is an
    atomic operation on one word, where the bins touch half a dozen records; and a slot costs 16
    bytes of host memory where a range costs 32 and as many for the hole beside it. There are 8
    classes of sizes per power of two; a request takes the next class that is a multiple of its
    alignment, so that every slot of every slab of the class is aligned.

    A bit of `word` is set while its slot is free. HELD says that the slab is in its class's list,
    or on the way there:

          take    under the owner's lock, from a slab in the list: clear a bit. If that was the last
                  one clear HELD with it, and unlink the slab: nobody refers to it any more but its
                  allocations
          give    without a lock: raise the slot's generation, then set its bit and HELD. If HELD
                  was clear: take the lock, and put the slab into the list, or leave a letter that
                  it belongs there. If all bits are set now: take the lock, and close the slab

    Why this is safe:

    S1  Only who holds the lock clears bits, so a slab in the list has a free slot until he takes
        it.
    S2  A slot is in one hand: its taker's from the clearing of the bit on, its giver's from the
        raising of the generation on, which one of several givers wins, to the setting of the bit.
    S3  While any slot is in a hand the slab is not closed, so its giver may read all of it. After
        he set the bit it may be gone: he, or who reads his letter, touches it again only under the
        lock of the domain that he read before, if it still belongs to that domain.
    S4  Under that lock, what is HELD and not in the list belongs there, whoever comes first, and
        what is in the list with all bits set may be closed: by one compare-and-swap to 0, so no
        slot of it is in a hand then. The last giver of several does both, if need be.
    S5  A slab that is frozen, because its block is to run empty, or hollow, because all that lives
        in it lives elsewhere by now, is in no list and not on the way there; S4 holds but for that.
        See >>defrag.
    S6  Slabs stand in a table that never moves and are used again, so a late look at one (S3, stale
        handles) finds a slab; or, after a trim, that the table has no such index any more.
        Generations go on, so a stale handle stays stale.
*/

#define SXVKI_SLAB_HELD      ((uint64_t)1 << 63)
#define SXVKI_SLAB_STEPS     8     /* classes per power of two */
#define SXVKI_SLAB_SIZE_MAX  2048u /* granules: 32 KiB */
#define SXVKI_SLAB_CLASSES   73    /* up to that size */
#define SXVKI_SLAB_SIZE_BITS 20    /* of the largest slot of a virtual block */
#define SXVKI_SLAB_SLOTS_MIN 8
#define SXVKI_SLAB_PAD_MAX   16u /* granules that alignment may waste in a slot */

/*  The granules of a slot for a request. Needs size and alignment up to SXVKI_SLAB_SIZE_MAX. */
SXVKI_INLINE uint32_t sxvki_slab_slot_size(uint32_t size, uint32_t alignment) {
    uint32_t step = size < 2 * SXVKI_SLAB_STEPS ? 1 : 1u << (sxvki_high_bit(size) - 3);
    return (uint32_t)sxvki_align_up(size, sxvki_max64(step, alignment));
}

/*  The class of a slot size: 0 .. 7 as they are, then 8 per power of two. */
SXVKI_INLINE uint32_t sxvki_slab_class_of(uint32_t slot_size) {
    uint32_t e;
    if (slot_size < SXVKI_SLAB_STEPS) {
        return slot_size;
    }
    e = sxvki_high_bit(slot_size) - 3;
    return e * SXVKI_SLAB_STEPS + (slot_size >> e);
}

/*  All slots. */
SXVKI_INLINE uint64_t sxvki_slab_full(const sxvki_slab* slab) {
    return ((uint64_t)1 << slab->slot_count) - 1;
}

/*  Bytes that the user asked for in a slot. */
SXVKI_INLINE VkDeviceSize sxvki_slot_bytes(const sxvki_slab* slab, uint32_t i) {
    return ((VkDeviceSize)slab->slot_size << SXVKI_GRANULE_SHIFT) - slab->slots[i].tail;
}

/*  A slab without a range; SXVKI_NONE where there is no host memory. */
SXVKI_COLD static uint32_t sxvki_slab_new(sxvki_records* records) {
    uint32_t id, from, to, i, slot;
    sxvki_lock_take(&records->lock);
    id = sxvki_table_take(&records->slabs);
    if (id == SXVKI_NONE && records->slabs.capacity < SXVKI_SLABS_MAX / 2 &&
        sxvki_table_grow(&records->slabs, records->host, 4, &from, &to)) {
        for (i = from; i != to; i++) {
            for (slot = 0; slot < SXVKI_SLAB_SLOTS; slot++) {
                sxvki_slab_at(records, i)->slots[slot].generation = records->first_generation;
            }
        }
        sxvki_table_add(&records->slabs, from, to);
        id = sxvki_table_take(&records->slabs);
    }
    sxvki_lock_drop(&records->lock);
    return id;
}

static void sxvki_slab_delete(sxvki_records* records, uint32_t id) {
    sxvki_lock_take(&records->lock);
    sxvki_table_give(&records->slabs, id, &sxvki_slab_at(records, id)->next);
    sxvki_lock_drop(&records->lock);
}

/*  What is_listed says. */
#define SXVKI_SLAB_OUT    0u
#define SXVKI_SLAB_LISTED 1u
#define SXVKI_SLAB_FROZEN 2u /* see S5 */

/*  Lists of slabs with free slots, the latest first. */
SXVKI_INLINE void sxvki_slab_list_push(const sxvki_records* records, uint32_t* head, uint32_t id,
                                       sxvki_slab* slab) {
    uint32_t next = *head;
    slab->prev = SXVKI_NONE;
    slab->next = next;
    slab->is_listed = SXVKI_SLAB_LISTED;
    *head = id;
    if (next != SXVKI_NONE) {
        sxvki_slab_at(records, next)->prev = id;
    }
}

SXVKI_INLINE void sxvki_slab_list_remove(const sxvki_records* records, uint32_t* head,
                                         sxvki_slab* slab) {
    uint32_t next = slab->next;
    slab->is_listed = SXVKI_SLAB_OUT;
    if (slab->prev == SXVKI_NONE) {
        *head = next;
    } else {
        sxvki_slab_at(records, slab->prev)->next = next;
    }
    if (next != SXVKI_NONE) {
        sxvki_slab_at(records, next)->prev = slab->prev;
    }
}

/*  Take a slot of a slab in a list; the caller holds the lock, and unlinks what is full now. */
SXVKI_INLINE uint32_t sxvki_slab_take(sxvki_slab* slab, int* is_full) {
    uint64_t word = sxvki_load64_relaxed(&slab->word);
    uint64_t left;
    do {
        left = word & (word - 1);
        left = left == SXVKI_SLAB_HELD ? 0 : left;
    } while (!sxvki_cas64(&slab->word, &word, left));
    *is_full = left == 0;
    return sxvki_low_bit(word);
}

/*  A bit says that a slot is free  =>  its generation says so. */
SXVKI_COLD static int sxvki_slab_is_valid(const sxvki_slab* slab) {
    uint64_t word = sxvki_load64(&slab->word);
    uint32_t i;
    if (slab->slot_count < SXVKI_SLAB_SLOTS_MIN || slab->slot_count > SXVKI_SLAB_SLOTS ||
        slab->slot_size == 0 || slab->slot_size >> SXVKI_SLAB_SIZE_BITS != 0 ||
        slab->class_index != sxvki_slab_class_of(slab->slot_size) ||
        (word & ~SXVKI_SLAB_HELD & ~sxvki_slab_full(slab)) != 0 ||
        (slab->is_listed == SXVKI_SLAB_LISTED &&
         ((word & SXVKI_SLAB_HELD) == 0 || word == SXVKI_SLAB_HELD))) {
        return 0;
    }
    for (i = 0; i < SXVKI_SLAB_SLOTS; i++) {
        int is_free = i >= slab->slot_count || (word >> i & 1) != 0;
        if (is_free && (sxvki_load32_relaxed(&slab->slots[i].generation) & 1) != 0) {
            return 0;
        }
    }
    return 1;
}

/* ============================================================================================== */
/*  >>linear     stacks, rings, all at once                                                       */
/* ============================================================================================== */
/*
    A block of a linear pool keeps its live ranges in one list, in the order of their offsets. `low`
    is the newest of those that grow upwards; the next one goes directly above it, below whatever
    comes next. That alone makes all the patterns, so there are no modes:

          stack           | 1 2 3 4 . . . . . . . . |     low = 4; freed from 4 downwards
          ring            | 7 8 . . . 3 4 5 6 . . . |     low = 8; wrapped when 7 did not fit
          double stack    | 1 2 3 . . . . . . b b a |     low = 3, upper = the lower b

    To take is to insert behind `low`, or, where that does not fit, nothing lies above and the start
    of the block is free, at the start: the ring wraps. To give is to unlink a record, in any order;
    if it was `low`, the one before is low now, if it was `upper`, the one behind; and when all that
    had wrapped is gone, the last one is low again. So to give what was just taken brings back what
    was before. Free ranges have no records, and nothing is joined: room is what lies between two
    neighbours.

    I1  the list is in the order of the offsets, and no two ranges overlap
    I2  `upper` and all behind it grow down from the end; while there is one, low stands before it
    I3  without an upper one low is none only where the list is empty
    I4  `from` is where low ends, `to` where what comes next begins

    Reset. All ranges go at once, so no record can be touched; but no old handle may match any more.
    So the generation of such a handle is the record's plus twice the epoch of its block: a reset
    moves the epoch on, and hangs the list, as it is, in front of the chain of stale records. Stale
    records are used first; sweeping the rest is left to who needs it.

    E1  All blocks of a pool have the pool's epoch, and a record leaves the pool only when it is
        dead, with twice the epoch added to its generation. So the sum grows with every allocation
        that uses the record, wherever it lives: no handle is ever made twice.
    E2  A record that is odd is live or stale, and lies in a block of the pool, so that the sum
        means what it should: before a block goes the stale ones are swept.
    E3  After a reset the sum of a stale record is above every handle of it, by 2 for each reset.
        Where handles have few bits for it a sweep comes before it has gone round.
*/

/*  The live ranges of one block. */
typedef struct sxvki_lane {
    uint32_t first;
    uint32_t last;
    uint32_t low;
    uint32_t upper;
    sxvki_record* low_record; /* of `low`, or null */
    uint64_t from;            /* the room behind `low`, up to what comes next */
    uint64_t to;
} sxvki_lane;

/*  What the blocks of a linear pool share. */
typedef struct sxvki_linear {
    sxvki_records* records;
    uint32_t epoch; /* 1 more than there were resets; 0: not a linear pool */
    uint32_t spare; /* chain of records for new ranges */
    uint32_t stale; /* the same of those that a reset left: still odd, perhaps with a name */
} sxvki_linear;

#define SXVKI_LINEAR_SPARES 30  /* records to fetch at once */
#define SXVKI_SWEEP_PORTION 256 /* to sweep under one lock: 10 to 20 us */

static void sxvki_linear_init(sxvki_linear* linear, sxvki_records* records) {
    linear->records = records;
    linear->epoch = 1;
    linear->spare = SXVKI_NONE;
    linear->stale = SXVKI_NONE;
}

static void sxvki_lane_init(sxvki_lane* lane, uint64_t capacity) {
    lane->first = SXVKI_NONE;
    lane->last = SXVKI_NONE;
    lane->low = SXVKI_NONE;
    lane->upper = SXVKI_NONE;
    lane->low_record = NULL;
    lane->from = 0;
    lane->to = capacity;
}

#if !SX_VKALLOC_NO_VIRTUAL
/*  There is no upper range. */
SXVKI_COLD static void sxvki_lane_grow(sxvki_lane* lane, uint64_t capacity) {
    if (lane->low == lane->last) { /* else the ring has wrapped */
        lane->to = capacity;
    }
}
#endif

SXVKI_INLINE int sxvki_linear_has_record(const sxvki_linear* linear) {
    return linear->spare != SXVKI_NONE || linear->stale != SXVKI_NONE;
}

/*  Make sure that there is a record for the next range. Returns 0: no host memory. */
SXVKI_INLINE int sxvki_linear_prepare(sxvki_linear* linear) {
    return SXVKI_LIKELY(sxvki_linear_has_record(linear)) ||
           sxvki_records_take(linear->records, SXVKI_LINEAR_SPARES, &linear->spare) != 0;
}

/*  Null for SXVKI_NONE. */
SXVKI_INLINE sxvki_record* sxvki_linear_at(const sxvki_linear* linear, uint32_t index) {
    return index != SXVKI_NONE ? sxvki_record_at(linear->records, index) : NULL;
}

/*  A dead record for a new range; what a reset has left in it goes first. linear_prepare was
    called. */
SXVKI_INLINE sxvki_record* sxvki_linear_new_record(sxvki_linear* linear, uint32_t* index) {
    uint32_t* chain = linear->stale != SXVKI_NONE ? &linear->stale : &linear->spare;
    sxvki_record* r = sxvki_record_at(linear->records, *chain);
    *index = *chain;
    *chain = r->next;
    if (sxvki_record_is_live(r)) {
        if (sxvki_record_state(r) & SXVKI_STATE_COLD) {
            sxvki_cold_clear(linear->records, *index);
        }
        sxvki_record_age(r);
    }
    return r;
}

SXVKI_INLINE void sxvki_linear_drop_record(sxvki_linear* linear, uint32_t index, sxvki_record* r) {
    r->next = linear->spare;
    linear->spare = index;
}

/*  Make up to `most` stale records dead ones. */
SXVKI_COLD static void sxvki_linear_sweep_some(sxvki_linear* linear, uint32_t most) {
    for (; linear->stale != SXVKI_NONE && most != 0; most--) {
        uint32_t index;
        sxvki_record* r = sxvki_linear_new_record(linear, &index);
        sxvki_linear_drop_record(linear, index, r);
    }
}

SXVKI_COLD static void sxvki_linear_sweep(sxvki_linear* linear) {
    sxvki_linear_sweep_some(linear, UINT32_MAX);
}

/*  Take a range of a block; null where there is no room. The caller ages the record once it says
    all that it should. There is a record, see linear_prepare. O(1). */
SXVKI_HOT sxvki_record* sxvki_linear_take(sxvki_linear* linear, sxvki_lane* lane, uint32_t block,
                                          uint64_t size, uint64_t alignment, int is_upper,
                                          uint32_t* index) {
    sxvki_record* below = lane->low_record;
    uint32_t prev = lane->low;
    uint32_t next = below != NULL ? below->next : lane->first;
    sxvki_record* above = sxvki_linear_at(linear, next);
    uint64_t start = sxvki_align_up(lane->from, alignment);
    sxvki_record* r;
    if (is_upper) {
        start = sxvki_align_down(lane->to - sxvki_min64(size, lane->to), alignment);
        if (size > lane->to || start < lane->from || next != lane->upper) {
            return NULL;
        }
        lane->to = start;
    } else if (start + size <= lane->to) {
        lane->from = start + size;
    } else { /* to the start of the block, if that is free */
        above = next == SXVKI_NONE ? sxvki_linear_at(linear, lane->first) : NULL;
        if (above == NULL || size > sxvki_record_offset(above)) {
            return NULL;
        }
        next = lane->first;
        prev = SXVKI_NONE;
        below = NULL;
        start = 0;
        lane->from = size;
        lane->to = sxvki_record_offset(above);
    }
    r = sxvki_linear_new_record(linear, index);
    sxvki_record_set(r, block, start, size);
    r->prev = prev;
    r->next = next;
    *(below != NULL ? &below->next : &lane->first) = *index;
    *(above != NULL ? &above->prev : &lane->last) = *index;
    if (is_upper) {
        lane->upper = *index;
    } else {
        lane->low = *index;
        lane->low_record = r;
    }
    return r;
}

/*  Take a range of a block of `capacity` granules back. O(1), in any order. */
SXVKI_HOT void sxvki_linear_give(sxvki_linear* linear, sxvki_lane* lane, uint64_t capacity,
                                 uint32_t index, sxvki_record* r) {
    uint32_t prev = r->prev;
    uint32_t next = r->next;
    sxvki_record* below = sxvki_linear_at(linear, prev);
    sxvki_record* above = sxvki_linear_at(linear, next);
    *(below != NULL ? &below->next : &lane->first) = next;
    *(above != NULL ? &above->prev : &lane->last) = prev;
    if (lane->upper == index) {
        lane->upper = next;
    } else if (lane->low == index) {
        lane->low = prev;
        lane->low_record = below;
    }
    if (lane->low == prev) { /* the room grows, on either side */
        if (prev == SXVKI_NONE && lane->upper == SXVKI_NONE) {
            lane->low = lane->last; /* what had wrapped is gone: go on behind the rest */
            lane->low_record = below = sxvki_linear_at(linear, lane->low);
            above = NULL;
        }
        lane->from = below != NULL ? sxvki_record_end(below) : 0;
        lane->to = above != NULL ? sxvki_record_offset(above) : capacity;
    }
    sxvki_record_age(r);
    sxvki_linear_drop_record(linear, index, r);
}

/*  Let go of all ranges of a block. The caller moves the epoch on. O(1). */
static void sxvki_linear_drop(sxvki_linear* linear, sxvki_lane* lane, uint64_t capacity) {
    if (lane->last != SXVKI_NONE) {
        sxvki_record_at(linear->records, lane->last)->next = linear->stale;
        linear->stale = lane->first;
        sxvki_lane_init(lane, capacity);
    }
}

/*  A further epoch, which the caller tells to all blocks. See E3: on 64-bit ABIs the sweep comes
    after 2^29 resets, on others after 256. */
static void sxvki_linear_next_epoch(sxvki_linear* linear) {
    if (++linear->epoch % (SXVKI_HANDLE_GENERATION_MASK / 4 + 1) == 0) {
        sxvki_linear_sweep(linear);
        linear->epoch += linear->epoch == 0;
    }
}

/*  Give a chain of records back that was `spare` when this was the epoch, see E1. */
SXVKI_COLD static void sxvki_linear_give_all(sxvki_records* records, uint32_t chain,
                                             uint32_t epoch) {
    uint32_t index;
    for (index = chain; index != SXVKI_NONE;) {
        sxvki_record* r = sxvki_record_at(records, index);
        sxvki_store32(&r->generation,
                      (sxvki_record_generation(r) + 2 * epoch) & ~SXVKI_GENERATION_CLAIMED);
        index = r->next;
    }
    sxvki_records_give_all(records, chain);
}

SXVKI_COLD static int sxvki_lane_room_is_valid(const sxvki_records* records, const sxvki_lane* lane,
                                               uint64_t capacity) {
    const sxvki_record* low = lane->low == SXVKI_NONE ? NULL : sxvki_record_at(records, lane->low);
    uint32_t next = low != NULL ? low->next : lane->first;
    return lane->low_record == low && lane->from == (low != NULL ? sxvki_record_end(low) : 0) &&
           lane->to == (next == SXVKI_NONE ? capacity
                                           : sxvki_record_offset(sxvki_record_at(records, next)));
}

/*  I1 to I4 for one block. */
SXVKI_COLD static int sxvki_lane_is_valid(const sxvki_records* records, const sxvki_lane* lane,
                                          uint32_t block, uint64_t capacity) {
    uint32_t index, prev = SXVKI_NONE;
    uint64_t end = 0;
    int has_low = lane->low == SXVKI_NONE, has_upper = lane->upper == SXVKI_NONE;
    for (index = lane->first; index != SXVKI_NONE;) {
        const sxvki_record* r;
        if (index >= sxvki_load32(&records->hot.capacity)) {
            return 0;
        }
        r = sxvki_record_at(records, index);
        if (!sxvki_record_is_live(r) || sxvki_record_block(r) != block || r->prev != prev ||
            (sxvki_record_state(r) & SXVKI_STATE_LINEAR) == 0 || sxvki_record_size(r) == 0 ||
            sxvki_record_offset(r) < end || sxvki_record_offset(r) > capacity ||
            sxvki_record_size(r) > capacity - sxvki_record_offset(r) ||
            (lane->upper == index && prev != lane->low)) {
            return 0;
        }
        has_low |= lane->low == index;
        has_upper |= lane->upper == index;
        end = sxvki_record_end(r);
        prev = index;
        index = r->next;
    }
    return has_low && has_upper && prev == lane->last &&
           sxvki_lane_room_is_valid(records, lane, capacity) &&
           (lane->low != SXVKI_NONE || lane->first == lane->upper);
}

/*  All records of a chain are live, or none is; and there are at most *left of them. */
SXVKI_COLD static int sxvki_linear_chain_is_valid(const sxvki_records* records, uint32_t index,
                                                  int live, uint32_t* left) {
    uint32_t capacity = sxvki_load32(&records->hot.capacity);
    for (; index != SXVKI_NONE; (*left)--) {
        const sxvki_record* r = index < capacity ? sxvki_record_at(records, index) : NULL;
        if (r == NULL || *left == 0 || sxvki_record_is_live(r) != live) {
            return 0;
        }
        index = r->next;
    }
    return 1;
}

SXVKI_COLD static int sxvki_linear_is_valid(const sxvki_linear* linear) {
    uint32_t left = sxvki_load32(&linear->records->hot.capacity);
    return sxvki_linear_chain_is_valid(linear->records, linear->spare, 0, &left) &&
           sxvki_linear_chain_is_valid(linear->records, linear->stale, 1, &left);
}

/* ============================================================================================== */
/*  >>memtype    which memory type suits a request                                                */
/* ============================================================================================== */
/*
    Types are scored, not taken first: 13 of 49 real GPUs list a type before one whose flags are a
    subset of it, against the rule of the Vulkan specification, so that order proves nothing. Each
    eligible type gets a cost, lower is better, from parts that do not mix:

        BAR      a request of the device alone in a small window of device memory that the host sees
        USER     one of preferredFlags is missing, one of avoidedFlags is there
        INTENT   what the usage wants of DEVICE_LOCAL, HOST_VISIBLE, HOST_CACHED, LAZILY_ALLOCATED
        TIE      coherent before not; memory that only the device sees for requests of the device;
                 the larger heap; at last the lower index

    Never taken unless asked for: LAZILY_ALLOCATED, PROTECTED, the AMD coherent and uncached types,
    RDMA. HOST_CACHED is never a must: some GPUs have none (Raspberry Pi). DEVICE_LOCAL is a must
    only where the user says so. Pure: works on a snapshot of the device's properties.
*/

#define SXVKI_RDMA_NV 0x00000100u /* VK_MEMORY_PROPERTY_RDMA_CAPABLE_BIT_NV */
#define SXVKI_SPECIAL_FLAGS                                                                        \
    (VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT | VK_MEMORY_PROPERTY_PROTECTED_BIT |                  \
     VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD |     \
     SXVKI_RDMA_NV)
#define SXVKI_AMD_FLAGS                                                                            \
    (VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD)

/*  Flags of an allocation that matter here. */
#define SXVKI_ACCESS_FLAGS                                                                         \
    ((uint32_t)SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT |                           \
     (uint32_t)SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT |                                     \
     (uint32_t)SXVK_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT)

/*  A device heap is a small window where the largest device heap is this many times as big. */
#define SXVKI_WINDOW_RATIO      8

#define SXVKI_COST_BAR          0x100000u
#define SXVKI_COST_USER         0x2000u /* times up to 31 flags: stays below BAR */
#define SXVKI_COST_DEVICE       0x800u
#define SXVKI_COST_VISIBLE      0x400u
#define SXVKI_COST_LAZY         0x400u
#define SXVKI_COST_CACHED       0x100u
#define SXVKI_COST_NOT_COHERENT 0x80u
#define SXVKI_COST_HOST_SEES    0x10u
#define SXVKI_COST_EXTRA        0x10u /* a flag that nobody asked for, where only masks count */
#define SXVKI_COST_OUT          UINT32_MAX

typedef struct sxvki_memory_model {
    VkPhysicalDeviceMemoryProperties properties;
    uint32_t window_heaps;                   /* bit h: heap h is a small window of device memory */
    uint32_t heap_rank[VK_MAX_MEMORY_HEAPS]; /* heaps of its sort that are larger */
    uint32_t all_types;
    int unified;      /* the device works in the host's memory */
    int amd_coherent; /* the feature deviceCoherentMemory is on */
} sxvki_memory_model;

/*  What a request wants of its memory. */
typedef struct sxvki_wish {
    VkMemoryPropertyFlags required;
    VkMemoryPropertyFlags preferred;
    VkMemoryPropertyFlags avoided;
    VkMemoryPropertyFlags intent; /* as preferred, from the usage; weighs less */
    VkMemoryPropertyFlags against;
    VkMemoryPropertyFlags special; /* of SXVKI_SPECIAL_FLAGS, the ones that are asked for */
    uint32_t type_bits;
    int device_only; /* the host does not touch it: small windows are for others */
    int no_intent;   /* SXVK_MEMORY_USAGE_UNKNOWN */
} sxvki_wish;

/*  What the memory is for, as far as known. */
typedef struct sxvki_purpose {
    uint64_t usage; /* VkBufferUsageFlags(2) or VkImageUsageFlags, by kind; 0 = not known */
    sxvki_kind kind;
    int device_access; /* 0 or 1, as the next two: the device does more with it than copying */
    int transient;     /* an image that may live in LAZILY_ALLOCATED memory */
    int is_protected;
} sxvki_purpose;

SXVKI_COLD static void sxvki_memory_model_init(sxvki_memory_model* model,
                                               const VkPhysicalDeviceMemoryProperties* properties,
                                               VkPhysicalDeviceType device_type, int amd_coherent) {
    VkDeviceSize largest = 0;
    uint32_t h, other;
    memset(model, 0, sizeof *model);
    model->properties = *properties;
    model->amd_coherent = amd_coherent;
    model->unified = device_type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU ||
                     device_type == VK_PHYSICAL_DEVICE_TYPE_CPU;
    model->all_types =
        properties->memoryTypeCount >= 32 ? UINT32_MAX : (1u << properties->memoryTypeCount) - 1;
    for (h = 0; h < properties->memoryHeapCount; h++) {
        if (properties->memoryHeaps[h].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) {
            largest = sxvki_max64(largest, properties->memoryHeaps[h].size);
        }
    }
    for (h = 0; h < properties->memoryHeapCount; h++) {
        const VkMemoryHeap* heap = &properties->memoryHeaps[h];
        if ((heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) &&
            heap->size <= largest / SXVKI_WINDOW_RATIO) {
            model->window_heaps |= 1u << h;
        }
        for (other = 0; other < properties->memoryHeapCount; other++) {
            const VkMemoryHeap* o = &properties->memoryHeaps[other];
            int same_sort = ((o->flags ^ heap->flags) & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) == 0;
            model->heap_rank[h] += same_sort && o->size > heap->size;
        }
    }
}

/*  The host will write in order or at random. */
static void sxvki_wish_of_host_access(sxvki_wish* wish, const sxvki_memory_model* model,
                                      const SxvkAllocationCreateInfo* info, int device_access) {
    int random = (info->flags & SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT) != 0;
    int transfer_will_do =
        (info->flags & SXVK_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT) != 0;
    int prefer_host = info->usage == SXVK_MEMORY_USAGE_AUTO_PREFER_HOST;
    if (random) {
        wish->intent |= VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    } else {
        wish->against |= VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    }
    if (transfer_will_do && device_access && !prefer_host && !model->unified) {
        /* Device memory before all; that the host sees it is a gift, but not out of a small BAR. */
        wish->intent |= VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
        wish->device_only = 1;
        return;
    }
    wish->required |= VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    if (info->usage == SXVK_MEMORY_USAGE_AUTO_PREFER_DEVICE ||
        (device_access && !prefer_host && !random)) {
        wish->intent |= VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    } else {
        /* Staging and readback: the host's own memory, the device only copies. */
        wish->against |= VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    }
}

/*  From what the user said and what the memory is for. */
static void sxvki_wish_init(sxvki_wish* wish, const sxvki_memory_model* model, uint32_t type_bits,
                            const SxvkAllocationCreateInfo* info, const sxvki_purpose* purpose) {
    const VkFlags host_access = SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT |
                                SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;
    memset(wish, 0, sizeof *wish);
    wish->type_bits = type_bits & model->all_types;
    if (info->memoryTypeBits != 0) {
        wish->type_bits &= info->memoryTypeBits;
    }
    wish->required = info->requiredFlags;
    wish->preferred = info->preferredFlags;
    wish->avoided = info->avoidedFlags;
    wish->special = (info->requiredFlags | info->preferredFlags) & SXVKI_SPECIAL_FLAGS;
    if (wish->special & SXVKI_AMD_FLAGS) {
        wish->special |= SXVKI_AMD_FLAGS; /* real types have both or none */
    }
    if (purpose->is_protected) {
        wish->required |= VK_MEMORY_PROPERTY_PROTECTED_BIT;
        wish->special |= VK_MEMORY_PROPERTY_PROTECTED_BIT;
    }
    switch (info->usage) {
    case SXVK_MEMORY_USAGE_AUTO:
    case SXVK_MEMORY_USAGE_AUTO_PREFER_DEVICE:
    case SXVK_MEMORY_USAGE_AUTO_PREFER_HOST:
        if (info->flags & host_access) {
            sxvki_wish_of_host_access(wish, model, info, purpose->device_access);
        } else {
            if (info->usage == SXVK_MEMORY_USAGE_AUTO_PREFER_HOST ||
                (!purpose->device_access &&
                 (info->requiredFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0)) {
                wish->against |= VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
            } else {
                wish->intent |= VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
            }
            wish->device_only = 1;
        }
        if (purpose->transient) {
            wish->intent |= VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT;
            wish->special |= VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT;
        }
        break;
    case SXVK_MEMORY_USAGE_GPU_LAZILY_ALLOCATED:
        wish->required |= VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT;
        wish->special |= VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT;
        break;
    default: wish->no_intent = 1; break;
    }
    if ((wish->required | wish->preferred) & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) {
        wish->device_only = 0;
    }
}

/*  Lower is better; SXVKI_COST_OUT where the type cannot serve the wish. */
static uint32_t sxvki_memory_type_cost(const sxvki_memory_model* model, const sxvki_wish* wish,
                                       uint32_t type) {
    VkMemoryPropertyFlags flags = model->properties.memoryTypes[type].propertyFlags;
    uint32_t heap = model->properties.memoryTypes[type].heapIndex;
    VkMemoryPropertyFlags off = (wish->intent & ~flags) | (wish->against & flags);
    int window = (int)((model->window_heaps >> heap) & 1);
    uint32_t cost;
    if (((wish->type_bits >> type) & 1) == 0 || (wish->required & ~flags) != 0 ||
        (flags & SXVKI_SPECIAL_FLAGS & ~wish->special) != 0 ||
        ((flags & SXVKI_AMD_FLAGS) != 0 && !model->amd_coherent)) {
        return SXVKI_COST_OUT;
    }
    cost = SXVKI_COST_USER * sxvki_count_bits((wish->preferred & ~flags) | (wish->avoided & flags));
    cost += off & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT ? SXVKI_COST_DEVICE : 0;
    cost += off & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT ? SXVKI_COST_VISIBLE : 0;
    cost += off & VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT ? SXVKI_COST_LAZY : 0;
    cost += off & VK_MEMORY_PROPERTY_HOST_CACHED_BIT ? SXVKI_COST_CACHED : 0;
    if ((flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0) {
        cost += (flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT) == 0 ? SXVKI_COST_NOT_COHERENT : 0;
        cost += wish->device_only && (wish->intent & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) == 0
                    ? SXVKI_COST_HOST_SEES
                    : 0;
    }
    if (window &&
        (wish->device_only || (wish->no_intent && ((wish->required | wish->preferred) &
                                                   VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) == 0))) {
        cost += SXVKI_COST_BAR;
    }
    if (wish->no_intent) {
        /* Nothing but masks to go by: the plainest type that meets them, and where the host is to
           see it, its own memory before the device's. */
        VkMemoryPropertyFlags asked = wish->required | wish->preferred;
        cost += SXVKI_COST_EXTRA * sxvki_count_bits(flags & ~asked);
        if ((asked & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0 &&
            (flags & ~asked & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) != 0) {
            cost += SXVKI_COST_EXTRA;
        }
    }
    return cost + model->heap_rank[heap] % 16;
}

/*  The cheapest type; SXVKI_NONE where none is eligible. */
static uint32_t sxvki_memory_type_best(const sxvki_memory_model* model, const sxvki_wish* wish) {
    uint32_t best = SXVKI_NONE;
    uint32_t best_cost = SXVKI_COST_OUT;
    uint32_t bits = wish->type_bits;
    for (; bits != 0; bits &= bits - 1) {
        uint32_t type = sxvki_low_bit(bits);
        uint32_t cost = sxvki_memory_type_cost(model, wish, type);
        if (cost < best_cost) {
            best = type;
            best_cost = cost;
        }
    }
    return best;
}

/*  The next type to try after `type`, which is struck off the wish. A request that had a choice
    outside the small windows never falls into one. */
static uint32_t sxvki_memory_type_next(const sxvki_memory_model* model, sxvki_wish* wish,
                                       uint32_t type) {
    uint32_t next;
    uint32_t cost = sxvki_memory_type_cost(model, wish, type);
    wish->type_bits &= ~(1u << type);
    next = sxvki_memory_type_best(model, wish);
    if (next != SXVKI_NONE && cost < SXVKI_COST_BAR &&
        sxvki_memory_type_cost(model, wish, next) >= SXVKI_COST_BAR) {
        return SXVKI_NONE;
    }
    return next;
}

/*  Decisions are remembered, because a program asks the same few dozen questions for ever: to score
    16 types costs 400 instructions, to find the answer 45. An entry is written once and never
    changes; when the table is full further questions are just scored. */
#define SXVKI_DECISIONS       64
#define SXVKI_DECISION_PROBES 4
#define SXVKI_DECISION_BUSY   1u
#define SXVKI_DECISION_READY  2u

/*  A question, packed so that three compares tell it from others. */
typedef struct sxvki_question {
    uint64_t what;  /* types, usage, access, purpose */
    uint64_t masks; /* required and preferred */
    uint64_t avoided;
} sxvki_question;

typedef struct sxvki_decision {
    sxvki_question question;
    uint32_t word; /* atomic: 0 unused, BUSY, or READY and the type above it */
} sxvki_decision;

/*  Score, and remember the answer in the entry if nobody has taken it; null: there is none. */
SXVKI_COLD static uint32_t sxvki_memory_type_answer(
    const sxvki_memory_model* model, sxvki_decision* entry, const sxvki_question* question,
    uint32_t type_bits, const SxvkAllocationCreateInfo* info, const sxvki_purpose* purpose) {
    sxvki_wish wish;
    uint32_t type, unused = 0;
    sxvki_wish_init(&wish, model, type_bits, info, purpose);
    type = sxvki_memory_type_best(model, &wish);
    if (type != SXVKI_NONE && entry != NULL &&
        sxvki_cas32(&entry->word, &unused, SXVKI_DECISION_BUSY)) {
        entry->question = *question;
        sxvki_store32(&entry->word, SXVKI_DECISION_READY | type << 2);
    }
    return type;
}

SXVKI_INLINE uint32_t sxvki_memory_type_decide(const sxvki_memory_model* model,
                                               sxvki_decision* decisions, uint32_t type_bits,
                                               const SxvkAllocationCreateInfo* info,
                                               const sxvki_purpose* purpose) {
    uint32_t types = info->memoryTypeBits != 0 ? type_bits & info->memoryTypeBits : type_bits;
    sxvki_decision* entry = NULL;
    sxvki_question q;
    uint32_t slot, probe;
    q.what = (uint64_t)types << 32 | (info->flags & SXVKI_ACCESS_FLAGS) |
             (uint32_t)info->usage << 16 | (uint32_t)purpose->device_access << 24 |
             (uint32_t)purpose->transient << 25 | (uint32_t)purpose->is_protected << 26;
    q.masks = (uint64_t)info->requiredFlags << 32 | info->preferredFlags;
    q.avoided = info->avoidedFlags;
    slot = (uint32_t)((q.what ^ q.masks * 3 ^ q.avoided * 5) * 0x9E3779B97F4A7C15u >> 58);
    for (probe = 0; probe < SXVKI_DECISION_PROBES; probe++) {
        sxvki_decision* d = &decisions[(slot + probe) % SXVKI_DECISIONS];
        uint32_t word = sxvki_load32(&d->word);
        if (SXVKI_LIKELY((word & SXVKI_DECISION_READY) != 0 && d->question.what == q.what &&
                         d->question.masks == q.masks && d->question.avoided == q.avoided)) {
            return word >> 2;
        }
        if (word == 0) {
            entry = d;
            break;
        }
    }
    return sxvki_memory_type_answer(model, entry, &q, type_bits, info, purpose);
}

#if !SX_VKALLOC_NO_STATS_STRING
typedef struct sxvki_flag_name {
    VkFlags flag;
    char name[20]; /* no pointer: the tables stay in read-only memory */
} sxvki_flag_name;

static const sxvki_flag_name sxvki_type_flag_names[] = {
    {VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, "DEVICE_LOCAL"},
    {VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT, "HOST_VISIBLE"},
    {VK_MEMORY_PROPERTY_HOST_COHERENT_BIT, "HOST_COHERENT"},
    {VK_MEMORY_PROPERTY_HOST_CACHED_BIT, "HOST_CACHED"},
    {VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT, "LAZILY_ALLOCATED"},
    {VK_MEMORY_PROPERTY_PROTECTED_BIT, "PROTECTED"},
    {VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD, "DEVICE_COHERENT_AMD"},
    {VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD, "DEVICE_UNCACHED_AMD"},
    {SXVKI_RDMA_NV, "RDMA_CAPABLE_NV"},
    {0, ""}};

static const sxvki_flag_name sxvki_heap_flag_names[] = {
    {VK_MEMORY_HEAP_DEVICE_LOCAL_BIT, "DEVICE_LOCAL"},
    {VK_MEMORY_HEAP_MULTI_INSTANCE_BIT, "MULTI_INSTANCE"},
    {0, ""}};

/*  The names of the flags with something between them; "none" where there are none. */
SXVKI_COLD static void sxvki_text_add_flags(sxvki_text* text, const sxvki_flag_name* names,
                                            VkFlags flags, const char* between) {
    const char* before = "";
    if (flags == 0) {
        sxvki_text_add(text, "none");
    }
    for (; names->flag != 0; names++) {
        if (flags & names->flag) {
            sxvki_text_add(text, before);
            sxvki_text_add(text, names->name);
            before = between;
            flags &= ~names->flag;
        }
    }
    if (flags != 0) {
        sxvki_text_add(text, before);
        sxvki_text_add_hex(text, flags);
    }
}

SXVKI_COLD static void sxvki_explain_clause(sxvki_text* text, const char* clause, VkFlags flags) {
    if (flags != 0) {
        sxvki_text_add(text, "; ");
        sxvki_text_add(text, clause);
        sxvki_text_add_flags(text, sxvki_type_flag_names, flags, "|");
    }
}

/*  Why a type is out, or what its cost is made of. */
SXVKI_COLD static void sxvki_explain_type(sxvki_text* text, const sxvki_memory_model* model,
                                          const sxvki_wish* wish, uint32_t type) {
    VkMemoryPropertyFlags flags = model->properties.memoryTypes[type].propertyFlags;
    uint32_t heap = model->properties.memoryTypes[type].heapIndex;
    VkMemoryPropertyFlags known =
        VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
        VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    uint32_t cost = sxvki_memory_type_cost(model, wish, type);
    sxvki_text_add(text, "type ");
    sxvki_text_add_u64(text, type);
    sxvki_text_add(text, " (heap ");
    sxvki_text_add_u64(text, heap);
    sxvki_text_add(text, ", ");
    sxvki_text_add_u64(text, model->properties.memoryHeaps[heap].size >> 20);
    sxvki_text_add(text, " MiB, ");
    sxvki_text_add_flags(text, sxvki_type_flag_names, flags, "|");
    sxvki_text_add(text, ")");
    if (cost == SXVKI_COST_OUT) {
        VkFlags unasked = flags & SXVKI_SPECIAL_FLAGS & ~wish->special;
        if (((wish->type_bits >> type) & 1) == 0) {
            sxvki_text_add(text, "; not in memoryTypeBits");
        }
        sxvki_explain_clause(text, "lacks required ", wish->required & ~flags);
        sxvki_explain_clause(text, "taken only when asked for: ", unasked);
        if ((flags & SXVKI_AMD_FLAGS) != 0 && !model->amd_coherent) {
            sxvki_text_add(text, "; deviceCoherentMemory is not enabled");
        }
    } else {
        sxvki_text_add(text, ", cost ");
        sxvki_text_add_u64(text, cost);
        if (cost >= SXVKI_COST_BAR) {
            sxvki_text_add(text, "; a small window of device memory");
        }
        sxvki_explain_clause(text, "lacks preferred ", wish->preferred & ~flags);
        sxvki_explain_clause(text, "has avoided ", wish->avoided & flags);
        sxvki_explain_clause(text, "the usage would like ", wish->intent & ~flags & known);
        sxvki_explain_clause(text, "the usage would rather not have ",
                             wish->against & flags & known);
        if ((flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0) {
            if ((flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT) == 0) {
                sxvki_text_add(text, "; needs flushes");
            }
            if (wish->device_only && (wish->intent & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) == 0) {
                sxvki_text_add(text, "; the host sees it without need");
            }
        }
        if (wish->no_intent) {
            sxvki_explain_clause(text, "has unasked ", flags & ~(wish->required | wish->preferred));
        }
        if (cost == model->heap_rank[heap] % 16) {
            sxvki_text_add(text, "; all that was wished for");
        }
        if (model->heap_rank[heap] != 0) {
            sxvki_text_add(text, "; larger heaps of its sort: ");
            sxvki_text_add_u64(text, model->heap_rank[heap]);
        }
    }
    sxvki_text_add(text, "\n");
}

/*  Types in the order of the ladder, then those that are out. */
SXVKI_COLD static void sxvki_explain(sxvki_text* text, const sxvki_memory_model* model,
                                     const sxvki_wish* wish) {
    sxvki_wish left = *wish;
    uint32_t rank = 1;
    uint32_t tried = 0;
    uint32_t type = sxvki_memory_type_best(model, &left);
    if (type == SXVKI_NONE) {
        sxvki_text_add(text, "no memory type fits\n");
    }
    for (; type != SXVKI_NONE; type = sxvki_memory_type_next(model, &left, type)) {
        sxvki_text_add_u64(text, rank++);
        sxvki_text_add(text, ". ");
        sxvki_explain_type(text, model, wish, type);
        tried |= 1u << type;
    }
    for (type = 0; type < model->properties.memoryTypeCount; type++) {
        if (((tried >> type) & 1) == 0) {
            sxvki_text_add(text, "-. ");
            sxvki_explain_type(text, model, wish, type);
        }
    }
}
#endif

/* ============================================================================================== */
/*  >>vk         function table, device snapshot                                                  */
/* ============================================================================================== */
/*
    Everything that is asked of the device once, when the allocator is made: functions, limits, and
    which of several ways of doing a thing are open. Later code tests the snapshot, never a version.
*/

typedef struct sxvki_vk {
    SxvkVulkanFunctions fn;
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    VkPhysicalDeviceProperties properties;
    VkDeviceSize max_allocation_size; /* of one VkDeviceMemory */
    VkDeviceSize granularity;         /* bufferImageGranularity, a power of two */
    VkDeviceSize atom;                /* nonCoherentAtomSize, a power of two */
    uint32_t max_allocation_count;
    uint32_t version;  /* as 1003000 */
    int requirements2; /* vkGet..MemoryRequirements2, and with it dedicated allocation */
    int bind2;
    int memory_budget;
    int memory_priority;
    int set_priority;
    int device_address;
    int maintenance4;
    int debug_utils;
} sxvki_vk;

SXVKI_INLINE uint32_t sxvki_version_of(uint32_t api_version) {
    return VK_API_VERSION_MAJOR(api_version) * 1000000u + VK_API_VERSION_MINOR(api_version) * 1000u;
}

/*  A function by name. Device functions come from the device alone: for them the loader's instance
    has something to give even where the device has nothing. */
static PFN_vkVoidFunction sxvki_vk_find(const sxvki_vk* vk, const char* name) {
    static const char of_instance[] = "vkGetPhysicalDevice";
    if (strncmp(name, of_instance, sizeof of_instance - 1) != 0 &&
        vk->fn.vkGetDeviceProcAddr != NULL) {
        return vk->fn.vkGetDeviceProcAddr(vk->device, name);
    }
    return vk->fn.vkGetInstanceProcAddr != NULL ? vk->fn.vkGetInstanceProcAddr(vk->instance, name)
                                                : NULL;
}

/*  The core name or that of the extension it came from: in Vulkan 1.0 the loader gives core
    names that it has no driver for, so the extension goes first. */
static PFN_vkVoidFunction sxvki_vk_find_either(const sxvki_vk* vk, const char* core) {
    int is_new = vk->version >= 1001000;
    size_t size = strlen(core);
    PFN_vkVoidFunction function;
    char khr[64];
    memcpy(khr, core, size);
    memcpy(khr + size, "KHR", 4);
    function = sxvki_vk_find(vk, is_new ? core : khr);
    return function != NULL ? function : sxvki_vk_find(vk, is_new ? khr : core);
}

/*  Names the first function that is missing. The members of the table behind the first two are
    filled by a loop over their names: a statement for each was 1.9 KB of code. */
SXVKI_COLD static const char* sxvki_vk_load(sxvki_vk* vk, const SxvkVulkanFunctions* functions) {
#define SXVKI_X(name) #name,
    static const char* const names[] = {SXVK_REQUIRED_FUNCTIONS(SXVKI_X)
                                            SXVK_OPTIONAL_FUNCTIONS(SXVKI_X)};
#undef SXVKI_X
#define SXVKI_X(name) +1
    const size_t required = 0 SXVK_REQUIRED_FUNCTIONS(SXVKI_X);
#undef SXVKI_X
    char* member = (char*)&vk->fn + 2 * sizeof(PFN_vkVoidFunction);
    const char* missing = NULL;
    PFN_vkVoidFunction function;
    size_t i;
    if (functions != NULL) {
        vk->fn = *functions;
    }
#if SX_VKALLOC_STATIC_VULKAN_FUNCTIONS
    if (vk->fn.vkGetInstanceProcAddr == NULL && vk->fn.vkGetDeviceProcAddr == NULL) {
        vk->fn.vkGetInstanceProcAddr = vkGetInstanceProcAddr;
        vk->fn.vkGetDeviceProcAddr = vkGetDeviceProcAddr;
    }
#endif
    if (vk->fn.vkGetDeviceProcAddr == NULL && vk->fn.vkGetInstanceProcAddr != NULL) {
        vk->fn.vkGetDeviceProcAddr = (PFN_vkGetDeviceProcAddr)vk->fn.vkGetInstanceProcAddr(
            vk->instance, "vkGetDeviceProcAddr");
    }
    for (i = 0; i < sizeof names / sizeof *names; i++, member += sizeof function) {
        memcpy(&function, member, sizeof function);
        if (function == NULL) {
            function =
                i < required ? sxvki_vk_find(vk, names[i]) : sxvki_vk_find_either(vk, names[i]);
            memcpy(member, &function, sizeof function);
        }
        if (function == NULL && i < required && missing == NULL) {
            missing = names[i];
        }
    }
    return missing;
}

/*  What is open by version or flag; names the first function that is missing for it. */
SXVKI_COLD static const char* sxvki_vk_choose(sxvki_vk* vk, SxvkAllocatorCreateFlags flags) {
    SxvkVulkanFunctions* fn = &vk->fn;
    vk->requirements2 =
        vk->version >= 1001000 || (flags & SXVK_ALLOCATOR_CREATE_KHR_DEDICATED_ALLOCATION_BIT) != 0;
    vk->bind2 = vk->version >= 1001000 || (flags & SXVK_ALLOCATOR_CREATE_KHR_BIND_MEMORY2_BIT) != 0;
    vk->maintenance4 =
        vk->version >= 1003000 || (flags & SXVK_ALLOCATOR_CREATE_KHR_MAINTENANCE4_BIT) != 0;
    vk->memory_budget = (flags & SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT) != 0;
    vk->memory_priority = (flags & SXVK_ALLOCATOR_CREATE_EXT_MEMORY_PRIORITY_BIT) != 0;
    vk->set_priority = (flags & SXVK_ALLOCATOR_CREATE_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_BIT) != 0;
    vk->device_address = (flags & SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT) != 0;
    vk->debug_utils = (flags & SXVK_ALLOCATOR_CREATE_EXT_DEBUG_UTILS_BIT) != 0;
    if (vk->debug_utils && fn->vkSetDebugUtilsObjectNameEXT == NULL &&
        fn->vkGetInstanceProcAddr != NULL) { /* of an instance extension: the device may not say */
        fn->vkSetDebugUtilsObjectNameEXT =
            (PFN_vkSetDebugUtilsObjectNameEXT)fn->vkGetInstanceProcAddr(
                vk->instance, "vkSetDebugUtilsObjectNameEXT");
    }
#define SXVKI_NEED(condition, name)                                                                \
    if ((condition) && fn->name == NULL) {                                                         \
        return #name;                                                                              \
    }
    SXVKI_NEED(vk->requirements2, vkGetBufferMemoryRequirements2)
    SXVKI_NEED(vk->requirements2, vkGetImageMemoryRequirements2)
    SXVKI_NEED(vk->bind2, vkBindBufferMemory2)
    SXVKI_NEED(vk->bind2, vkBindImageMemory2)
    SXVKI_NEED(vk->maintenance4, vkGetDeviceBufferMemoryRequirements)
    SXVKI_NEED(vk->maintenance4, vkGetDeviceImageMemoryRequirements)
    SXVKI_NEED(vk->memory_budget, vkGetPhysicalDeviceMemoryProperties2)
    SXVKI_NEED(vk->set_priority, vkSetDeviceMemoryPriorityEXT)
    SXVKI_NEED(vk->debug_utils, vkSetDebugUtilsObjectNameEXT)
#undef SXVKI_NEED
    return NULL;
}

SXVKI_COLD static void sxvki_vk_ask_limits(sxvki_vk* vk, VkDeviceSize min_granularity) {
    const VkPhysicalDeviceLimits* limits;
    vk->fn.vkGetPhysicalDeviceProperties(vk->physical_device, &vk->properties);
    limits = &vk->properties.limits;
    vk->max_allocation_size = UINT64_MAX;
    if (vk->version >= 1001000 && vk->fn.vkGetPhysicalDeviceProperties2 != NULL) {
        VkPhysicalDeviceMaintenance3Properties maintenance3;
        VkPhysicalDeviceProperties2 properties2;
        memset(&maintenance3, 0, sizeof maintenance3);
        memset(&properties2, 0, sizeof properties2);
        maintenance3.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES;
        properties2.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
        properties2.pNext = &maintenance3;
        vk->fn.vkGetPhysicalDeviceProperties2(vk->physical_device, &properties2);
        if (maintenance3.maxMemoryAllocationSize != 0) {
            vk->max_allocation_size = maintenance3.maxMemoryAllocationSize;
        }
    }
    vk->granularity = sxvki_max64(1, limits->bufferImageGranularity);
    vk->granularity = sxvki_max64(vk->granularity, min_granularity);
    vk->atom = sxvki_max64(1, limits->nonCoherentAtomSize);
    vk->max_allocation_count = limits->maxMemoryAllocationCount;
}

/*  A handle as the number that names are given to. */
#if VK_USE_64_BIT_PTR_DEFINES == 1
#define SXVKI_OBJECT(handle) ((uint64_t)(uintptr_t)(handle))
#else
#define SXVKI_OBJECT(handle) ((uint64_t)(handle))
#endif

/*  Give an object that nobody else knows yet a name. A name is no reason to fail. */
SXVKI_COLD static void sxvki_vk_name(const sxvki_vk* vk, VkObjectType type, uint64_t object,
                                     const char* name) {
    VkDebugUtilsObjectNameInfoEXT info;
    memset(&info, 0, sizeof info);
    info.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT;
    info.objectType = type;
    info.objectHandle = object;
    info.pObjectName = name;
    (void)vk->fn.vkSetDebugUtilsObjectNameEXT(vk->device, &info);
}

/*  What a driver returns that is neither success nor an error counts as an error. */
SXVKI_INLINE VkResult sxvki_vk_result(VkResult result) {
    return result <= VK_SUCCESS ? result : VK_ERROR_UNKNOWN;
}

/*  Prepend an element to a chain of `in` structures. */
#define SXVKI_CHAIN(head, element)                                                                 \
    do {                                                                                           \
        (element).pNext = (head);                                                                  \
        (head) = &(element);                                                                       \
    } while (0)

/*  The structure of a chain with this type, or null. */
static const void* sxvki_chain_find(const void* chain, VkStructureType type) {
    const VkBaseInStructure* s = (const VkBaseInStructure*)chain;
    while (s != NULL && s->sType != type) {
        s = s->pNext;
    }
    return s;
}

/* ============================================================================================== */
/*  >>report     messages to the user                                                             */
/* ============================================================================================== */
/*
    A message is put together in a buffer on the stack, so that it needs no memory, and goes to the
    callback; without one, from SX_VKALLOC_DEBUG 1 on, to stderr. Never called under a lock.
*/

#define SXVKI_LINE_SIZE 512
#define SXVKI_LINE_NAME 200 /* bytes of a name in it: function, size and meaning fit as well */

typedef struct sxvki_line {
    char text[SXVKI_LINE_SIZE];
    size_t size;
} sxvki_line;

typedef struct sxvki_reporter {
    PFN_sxvkMessageCallback callback;
    void* user_data;
} sxvki_reporter;

SXVKI_COLD static void sxvki_line_add(sxvki_line* line, const char* text) {
    size_t count = strlen(text);
    if (count > SXVKI_LINE_SIZE - 1 - line->size) {
        count = SXVKI_LINE_SIZE - 1 - line->size;
    }
    memcpy(line->text + line->size, text, count);
    line->size += count;
    line->text[line->size] = 0;
}

/*  A name in a line: a long one is cut, what would break the line becomes a space, and a byte that
    is no UTF-8 a question mark. */
SXVKI_COLD static void sxvki_line_add_name(sxvki_line* line, const char* name) {
    char part[SXVKI_LINE_NAME + 1];
    size_t size = sxvki_utf8_fit(name, SXVKI_LINE_NAME);
    size_t i;
    memcpy(part, name, size);
    part[size] = 0;
    for (i = 0; i < size; i += sxvki_utf8_size(part + i)) {
        if (sxvki_utf8_size(part + i) == 0) {
            part[i] = '?';
        } else if ((unsigned char)part[i] < 32 || part[i] == 127) {
            part[i] = ' ';
        }
    }
    sxvki_line_add(line, part);
    if (name[size] != 0) {
        sxvki_line_add(line, "...");
    }
}

SXVKI_COLD static void sxvki_line_add_u64(sxvki_line* line, uint64_t x, uint32_t base) {
    char digits[24];
    sxvki_line_add(line, sxvki_digits(digits + 23, x, base));
}

SXVKI_COLD static SxvkMessageSeverity sxvki_message_severity(SxvkMessage message) {
    static const unsigned char severities[] = {SXVK_MESSAGE_SEVERITY_INFO,
#define SXVKI_X(id, severity, text) SXVK_MESSAGE_SEVERITY_##severity,
                                               SXVK_MESSAGES(SXVKI_X)
#undef SXVKI_X
    };
    return (SxvkMessageSeverity)severities[message];
}

/*  What the message means, from the list of messages: one string holds them all. */
SXVKI_COLD static const char* sxvki_message_text(SxvkMessage message) {
#define SXVKI_X(id, severity, text) "\0" text
    const char* text = "" SXVK_MESSAGES(SXVKI_X);
#undef SXVKI_X
    uint32_t i;
    for (i = 0; i < (uint32_t)message; i++) {
        text += strlen(text) + 1;
    }
    return text;
}

SXVKI_COLD static void sxvki_report_info(const sxvki_reporter* reporter,
                                         const SxvkMessageInfo* info) {
    if (reporter->callback != NULL) {
        reporter->callback(reporter->user_data, info);
    } else {
#if SX_VKALLOC_DEBUG >= 1 && !SX_VKALLOC_NO_STDIO
        fprintf(stderr, "sx_vkalloc: %s\n%s", info->pText,
                info->pStack != NULL ? info->pStack : "");
#endif
    }
}

SXVKI_COLD static void sxvki_report_line(const sxvki_reporter* reporter, SxvkMessage message,
                                         const sxvki_line* line) {
    SxvkMessageInfo info;
    memset(&info, 0, sizeof info);
    info.severity = sxvki_message_severity(message);
    info.message = message;
    info.pText = line->text;
    info.age = UINT32_MAX;
    sxvki_report_info(reporter, &info);
}

#if SX_VKALLOC_STACK_TRACES
/* --- stacks ---

   Where allocations were made: each stack once, however many allocations it made. A hash table of
   as many chains as there are stacks; what is in it never moves and stays until the end. */

#define SXVKI_STACK_DEPTH     24u
#define SXVKI_STACK_OURS      16u /* frames of ours above these, at most */
#define SXVKI_STACKS_FIRST    6u  /* as a shift: 64 stacks to start with */
#define SXVKI_STACK_TEXT_SIZE 4096u

typedef struct sxvki_stack {
    uint64_t hash;
    uint32_t next; /* in its chain */
    uint32_t depth;
    void* callers[SXVKI_STACK_DEPTH]; /* return addresses, the latest first */
} sxvki_stack;

typedef struct sxvki_stacks {
    sxvki_lock lock; /* guards all of it */
    sxvki_table table;
    uint32_t* chains; /* as many as the table's capacity or more, a power of two */
    uint32_t chain_count;
} sxvki_stacks;

SXVKI_INLINE sxvki_stack* sxvki_stack_at(const sxvki_stacks* stacks, uint32_t id) {
    return (sxvki_stack*)sxvki_table_at(&stacks->table, id, SXVKI_STACKS_FIRST,
                                        sizeof(sxvki_stack));
}

SXVKI_COLD static sxvki_stacks* sxvki_stacks_create(const sxvki_host* host, int locked) {
    sxvki_stacks* stacks = (sxvki_stacks*)sxvki_host_alloc_zeroed(host, sizeof *stacks);
    if (stacks != NULL && !sxvki_lock_init(&stacks->lock, locked)) {
        sxvki_host_free(host, stacks);
        return NULL;
    }
    if (stacks != NULL) {
        sxvki_table_init(&stacks->table, SXVKI_STACKS_FIRST, sizeof(sxvki_stack),
                         offsetof(sxvki_stack, next));
    }
    return stacks;
}

SXVKI_COLD static void sxvki_stacks_destroy(sxvki_stacks* stacks, const sxvki_host* host) {
    if (stacks != NULL) {
        sxvki_host_free(host, stacks->chains);
        sxvki_table_shutdown(&stacks->table, host);
        sxvki_lock_shutdown(&stacks->lock);
        sxvki_host_free(host, stacks);
    }
}

/*  Room for one more stack, and chains as many. Returns 0 where there is no host memory. */
SXVKI_COLD static int sxvki_stacks_grow(sxvki_stacks* stacks, const sxvki_host* host) {
    uint32_t count = (uint32_t)sxvki_max64(1u << SXVKI_STACKS_FIRST, 2 * stacks->chain_count);
    uint32_t from, to, id;
    uint32_t* chains;
    if (stacks->table.capacity < stacks->chain_count) {
        if (!sxvki_table_grow(&stacks->table, host, SXVKI_TABLE_STEP, &from, &to)) {
            return 0;
        }
        sxvki_table_add(&stacks->table, from, to);
        return 1;
    }
    chains = (uint32_t*)sxvki_host_alloc(host, count * sizeof *chains, 64);
    if (chains == NULL) {
        return 0;
    }
    memset(chains, 0xFF, count * sizeof *chains); /* SXVKI_NONE */
    for (id = 0; id < stacks->table.capacity; id++) {
        sxvki_stack* stack = sxvki_stack_at(stacks, id);
        uint32_t* chain = &chains[stack->hash & (count - 1)];
        stack->next = *chain;
        *chain = id;
    }
    sxvki_host_free(host, stacks->chains);
    stacks->chains = chains;
    stacks->chain_count = count;
    return sxvki_stacks_grow(stacks, host);
}

/*  The id of a stack; SXVKI_NONE where there is no host memory for a new one. */
SXVKI_COLD static uint32_t sxvki_stacks_add(sxvki_stacks* stacks, const sxvki_host* host,
                                            void* const* callers, uint32_t depth) {
    uint64_t hash = depth;
    uint32_t id = SXVKI_NONE;
    uint32_t i;
    for (i = 0; i < depth; i++) {
        hash = sxvki_mix(hash ^ (uintptr_t)callers[i]);
    }
    sxvki_lock_take(&stacks->lock);
    if (stacks->chain_count != 0) {
        id = stacks->chains[hash & (stacks->chain_count - 1)];
    }
    while (id != SXVKI_NONE && sxvki_stack_at(stacks, id)->hash != hash) {
        id = sxvki_stack_at(stacks, id)->next;
    }
    if (id == SXVKI_NONE) {
        if (stacks->table.has_unused != 0 || sxvki_stacks_grow(stacks, host)) {
            uint32_t* chain = &stacks->chains[hash & (stacks->chain_count - 1)];
            sxvki_stack* stack;
            id = sxvki_table_take(&stacks->table);
            stack = sxvki_stack_at(stacks, id);
            stack->hash = hash;
            stack->depth = depth;
            memcpy(stack->callers, callers, depth * sizeof *callers);
            stack->next = *chain;
            *chain = id;
        }
    }
    sxvki_lock_drop(&stacks->lock);
    return id;
}

/*  The stack of the calling thread, from who called us on; all of it where that is not found, as
    after a callback that called us as well. */
SXVKI_COLD static uint32_t sxvki_stacks_capture(sxvki_stacks* stacks, const sxvki_host* host) {
    void* callers[SXVKI_STACK_OURS + SXVKI_STACK_DEPTH];
    uint32_t depth = 0, ours = 0;
#if defined(_WIN32)
    depth = RtlCaptureStackBackTrace(0, SXVKI_STACK_OURS + SXVKI_STACK_DEPTH, callers, NULL);
#elif defined(__GLIBC__) || defined(__APPLE__)
    depth = (uint32_t)backtrace(callers, (int)(SXVKI_STACK_OURS + SXVKI_STACK_DEPTH));
#endif
    while (ours < depth && callers[ours] != sxvki_caller) {
        ours++;
    }
    ours = ours < depth ? ours : 0;
    depth = (uint32_t)sxvki_min64(depth - ours, SXVKI_STACK_DEPTH);
    return depth == 0 ? SXVKI_NONE : sxvki_stacks_add(stacks, host, callers + ours, depth);
}

typedef struct sxvki_stack_text {
    char text[SXVKI_STACK_TEXT_SIZE];
    size_t size;
} sxvki_stack_text;

SXVKI_COLD static void sxvki_stack_text_add(sxvki_stack_text* text, const char* part) {
    size_t count = (size_t)sxvki_min64(strlen(part), SXVKI_STACK_TEXT_SIZE - 1 - text->size);
    memcpy(text->text + text->size, part, count);
    text->size += count;
    text->text[text->size] = 0;
}

/*  A line for each caller: its symbol where the platform has one, else its address. */
SXVKI_COLD static void sxvki_stacks_describe(sxvki_stacks* stacks, uint32_t id,
                                             sxvki_stack_text* text) {
    sxvki_stack stack;
    char** symbols = NULL;
    uint32_t i;
    sxvki_lock_take(&stacks->lock);
    stack = *sxvki_stack_at(stacks, id);
    sxvki_lock_drop(&stacks->lock);
#if !defined(_WIN32) && (defined(__GLIBC__) || defined(__APPLE__))
    symbols = backtrace_symbols(stack.callers, (int)stack.depth);
#endif
    text->size = 0;
    for (i = 0; i < stack.depth; i++) {
        char digits[24];
        sxvki_stack_text_add(text, symbols != NULL ? "  at " : "  at 0x");
        sxvki_stack_text_add(
            text, symbols != NULL ? symbols[i]
                                  : sxvki_digits(digits + 23, (uintptr_t)stack.callers[i], 16));
        sxvki_stack_text_add(text, "\n");
    }
    free(symbols); /* of the C library, whatever SX_VKALLOC_FREE is */
}
#endif

/*  "function: field: what the message means"; field is optional. */
SXVKI_COLD static void sxvki_report(const sxvki_reporter* reporter, SxvkMessage message,
                                    const char* function, const char* field) {
    sxvki_line line;
    line.size = 0;
    sxvki_line_add(&line, function);
    sxvki_line_add(&line, ": ");
    if (field != NULL) {
        sxvki_line_add_name(&line, field);
        sxvki_line_add(&line, ": ");
    }
    sxvki_line_add(&line, sxvki_message_text(message));
    sxvki_report_line(reporter, message, &line);
}

/*  One message for all that was alive in an owner that is destroyed; none for none. */
SXVKI_UNUSED SXVKI_COLD static void sxvki_report_leaks(const sxvki_reporter* reporter,
                                                       const char* function, uint32_t count) {
    if (count != 0) {
        sxvki_line line;
        line.size = 0;
        sxvki_line_add(&line, function);
        sxvki_line_add(&line, ": ");
        sxvki_line_add_u64(&line, count, 10);
        sxvki_line_add(&line, " still alive: ");
        sxvki_line_add(&line, sxvki_message_text(SXVK_MESSAGE_LEAKED_ALLOCATION));
        sxvki_report_line(reporter, SXVK_MESSAGE_LEAKED_ALLOCATION, &line);
    }
}

/* ============================================================================================== */
/*  >>budget     bytes and counts per heap                                                        */
/* ============================================================================================== */
/*
    Our own counters are exact and atomic. They are raised before vkAllocateMemory and lowered after
    vkFreeMemory, so they never say less than what the device holds, and a limit checked against
    them holds with any number of threads. What VK_EXT_memory_budget says is advice: asked on the
    frame tick and before an allocation once a good part of the heap has moved since, because a
    query costs milliseconds on some drivers; clamped to the heap, because some report 16 EiB.

    Of the usage that the driver says only what others hold is kept, which is the rest when what we
    held is taken off. But what we held when it answered lies between two bounds, for others make
    and free meanwhile. With sums that only grow, read before the query (0) and after it (1):

      at least  made 0 - going 1     made is raised after vkAllocateMemory, going before
                                     vkFreeMemory: the one had come, the other not yet begun to go
      at most   booked 1 - gone 0    booked is raised before vkAllocateMemory, gone after
                                     vkFreeMemory; booked is block_bytes + gone

    WITHIN_BUDGET books against the budget less the most that others may hold, and so never takes a
    heap over it. What is told is the figure within both bounds that is nearest to the last one: it
    stays where nothing but our own memory moved, and is exact where none did. Were it the most,
    what we make during a query would look like an excess of others until the next one.

    One thread asks at a time, and who comes meanwhile goes on with the last answer. Of answers
    there are two places, written in turn, so that readers never wait, nor see halves of two.

    I1  block_bytes <= limit_max, and memory_count <= max_count
*/

/*  What is told of the driver's answer. Others hold less than 0 where it errs. */
typedef struct sxvki_heap_answer {
    sxvki_shared64 budget; /* atomic; may be above the limit */
    sxvki_shared64 others; /* atomic; bytes that others hold */
} sxvki_heap_answer;

typedef struct sxvki_heap_budget {
    uint64_t limit_max;         /* the heap, or pHeapSizeLimit */
    sxvki_shared64 limit;       /* atomic, as is all below; never hold more: sxvkSetHeapSizeLimit */
    sxvki_shared64 block_bytes; /* booked and not gone */
    sxvki_shared64 made;        /* sums of bytes, ever: what vkAllocateMemory has given */
    sxvki_shared64 going;       /* what vkFreeMemory was called for, or is about to be */
    sxvki_shared64 gone;        /* booked once, and no more */
    sxvki_shared64 bytes_then;  /* block_bytes when the driver was asked */
    sxvki_shared64 others_most; /* bytes that others hold at most */
    sxvki_shared64 within;      /* the driver's budget less these */
    sxvki_heap_answer answers[2];
    uint32_t turn;    /* the lowest bit says which answer is the last one */
    uint32_t is_news; /* there is something new for >>module to look at */
} sxvki_heap_budget;

typedef struct sxvki_budget {
    sxvki_heap_budget heaps[VK_MAX_MEMORY_HEAPS];
    sxvki_shared64 memory_count; /* atomic: VkDeviceMemory objects */
    uint64_t max_count;
    uint32_t heap_count;
    uint32_t is_asking; /* atomic */
    int has_driver;     /* VK_EXT_memory_budget */
} sxvki_budget;

/*  Of maxMemoryAllocationCount, how far a kind of allocation may go: the rest is for those that
    have no other way. */
typedef enum sxvki_reserve {
    SXVKI_RESERVE_QUARTER, /* blocks, and dedicated memory by choice */
    SXVKI_RESERVE_EIGHTH,  /* dedicated as a last resort */
    SXVKI_RESERVE_NONE     /* the driver or the user demands it */
} sxvki_reserve;

/*  x and a number that may be negative, in 0 to 2^64 - 1. */
static uint64_t sxvki_add_signed(uint64_t x, uint64_t number) {
    return number >> 63 ? sxvki_saturating_sub(x, 0 - number) : sxvki_saturating_add(x, number);
}

/*  The driver's answer. Others hold between the two numbers, which are near to each other. Only the
    thread that asks comes here. */
static void sxvki_heap_learn(sxvki_heap_budget* heap, uint64_t budget, uint64_t others_least,
                             uint64_t others_most) {
    const sxvki_heap_answer* last = &heap->answers[heap->turn & 1];
    sxvki_heap_answer* next = &heap->answers[(heap->turn + 1) & 1];
    uint64_t others = sxvki_load64_relaxed(&last->others);
    if (others - others_least > others_most - others_least) { /* outside: signed, so no < */
        others = others - others_most < others_least - others ? others_most : others_least;
    }
    sxvki_store64_relaxed(&heap->others_most, others_most);
    sxvki_store64_relaxed(&heap->within, sxvki_add_signed(budget, 0 - others_most));
    if (budget != sxvki_load64_relaxed(&last->budget) ||
        others != sxvki_load64_relaxed(&last->others)) {
        sxvki_store64(&next->budget, budget);
        sxvki_store64(&next->others, others);
        sxvki_store32(&heap->turn, heap->turn + 1);
        sxvki_store32(&heap->is_news, 1);
    }
}

/*  How many bytes of ours are within the budget and the limit. Two words of two answers do no harm:
    each is a bound by itself. */
static uint64_t sxvki_budget_within(const sxvki_budget* budget, uint32_t h) {
    const sxvki_heap_budget* heap = &budget->heaps[h];
    uint64_t limit = sxvki_load64_relaxed(&heap->limit);
    if (!budget->has_driver) {
        return limit - limit / 5;
    }
    limit = sxvki_add_signed(limit, 0 - sxvki_load64_relaxed(&heap->others_most));
    return sxvki_min64(limit, sxvki_load64_relaxed(&heap->within));
}

static void sxvki_budget_init(sxvki_budget* budget, const VkPhysicalDeviceMemoryProperties* p,
                              uint32_t max_count, int has_driver) {
    uint32_t h;
    memset(budget, 0, sizeof *budget);
    budget->heap_count = p->memoryHeapCount;
    budget->max_count = max_count;
    budget->has_driver = has_driver;
    for (h = 0; h < p->memoryHeapCount; h++) {
        sxvki_heap_budget* heap = &budget->heaps[h];
        heap->limit_max = p->memoryHeaps[h].size;
        heap->limit = heap->limit_max;
        heap->within = UINT64_MAX;
        heap->answers[0].budget = UINT64_MAX;
        heap->is_news = 1;
    }
}

/*  Ask the driver, unless another thread does. A query is a driver call: no lock is held. */
SXVKI_COLD static void sxvki_budget_refresh(sxvki_budget* budget, const sxvki_vk* vk) {
    VkPhysicalDeviceMemoryBudgetPropertiesEXT answer;
    VkPhysicalDeviceMemoryProperties2 properties2;
    uint64_t made[VK_MAX_MEMORY_HEAPS], gone[VK_MAX_MEMORY_HEAPS];
    uint32_t nobody = 0;
    uint32_t h;
    if (!budget->has_driver || !sxvki_cas32(&budget->is_asking, &nobody, 1)) {
        return;
    }
    memset(&answer, 0, sizeof answer);
    memset(&properties2, 0, sizeof properties2);
    answer.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
    properties2.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
    properties2.pNext = &answer;
    for (h = 0; h < budget->heap_count; h++) {
        made[h] = sxvki_load64(&budget->heaps[h].made);
        gone[h] = sxvki_load64(&budget->heaps[h].gone);
    }
    vk->fn.vkGetPhysicalDeviceMemoryProperties2(vk->physical_device, &properties2);
    for (h = 0; h < budget->heap_count; h++) {
        sxvki_heap_budget* heap = &budget->heaps[h];
        uint64_t ours_least = made[h] - sxvki_load64(&heap->going);
        uint64_t held = sxvki_load64(&heap->block_bytes); /* before gone: none is missed */
        uint64_t ours_most = held + sxvki_load64(&heap->gone) - gone[h];
        uint64_t usage = answer.heapUsage[h];
        int is_known = usage <= UINT64_MAX / 2;
        /* 0 is what drivers say that do not know. */
        uint64_t limit = answer.heapBudget[h] == 0 ? UINT64_MAX : answer.heapBudget[h];
        sxvki_heap_learn(heap, limit, is_known ? usage - ours_most : 0,
                         is_known ? usage - ours_least : 0);
        sxvki_store64_relaxed(&heap->bytes_then, held);
    }
    sxvki_store32(&budget->is_asking, 0);
}

/*  Usage and budget of one answer; returns what of the usage others hold. Who sees a word of the
    next answer but one sees that it is not this one's turn any more: words are released after the
    turn before. */
static uint64_t sxvki_budget_get(const sxvki_budget* budget, uint32_t h, uint64_t* usage,
                                 uint64_t* limit) {
    const sxvki_heap_budget* heap = &budget->heaps[h];
    uint64_t most = sxvki_load64_relaxed(&heap->limit);
    uint32_t turn = sxvki_load32(&heap->turn);
    uint64_t others;
    uint32_t seen;
    do {
        const sxvki_heap_answer* last = &heap->answers[turn & 1];
        seen = turn;
        *limit = sxvki_load64(&last->budget);
        SXVKI_ASSERT_INTERNAL(*limit != 0); /* no answer says so, see sxvki_budget_refresh */
        others = sxvki_load64(&last->others);
        turn = sxvki_load32(&heap->turn);
    } while (turn != seen);
    *limit = budget->has_driver ? sxvki_min64(*limit, most) : most - most / 5;
    *usage = sxvki_add_signed(sxvki_load64_relaxed(&heap->block_bytes), others);
    return others;
}

/*  Hold no more than this from now on; what is held already stays. */
static void sxvki_budget_set_limit(sxvki_budget* budget, uint32_t h, uint64_t limit) {
    sxvki_heap_budget* heap = &budget->heaps[h];
    sxvki_store64_relaxed(&heap->limit, sxvki_min64(limit, heap->limit_max));
    sxvki_store32(&heap->is_news, 1);
}

/*  What we hold in all heaps. */
static uint64_t sxvki_budget_total(const sxvki_budget* budget) {
    uint64_t total = 0;
    uint32_t h;
    for (h = 0; h < budget->heap_count; h++) {
        total += sxvki_load64_relaxed(&budget->heaps[h].block_bytes);
    }
    return total;
}

static int sxvki_budget_has_room(const sxvki_budget* budget, uint32_t h, uint64_t bytes) {
    const sxvki_heap_budget* heap = &budget->heaps[h];
    uint64_t ours = sxvki_load64_relaxed(&heap->block_bytes);
    uint64_t within = sxvki_budget_within(budget, h);
    return ours <= within && bytes <= within - ours;
}

/*  Has so much moved since the last query, or is the end so near, that asking again is worth it? */
static int sxvki_budget_is_stale(const sxvki_budget* budget, uint32_t h, uint64_t bytes) {
    const sxvki_heap_budget* heap = &budget->heaps[h];
    uint64_t ours = sxvki_load64_relaxed(&heap->block_bytes);
    uint64_t then = sxvki_load64_relaxed(&heap->bytes_then);
    uint64_t moved = ours > then ? ours - then : then - ours;
    uint64_t limit = sxvki_load64_relaxed(&heap->limit);
    return budget->has_driver && (moved + bytes > sxvki_max64((uint64_t)64 << 20, limit / 64) ||
                                  !sxvki_budget_has_room(budget, h, bytes + limit / 16));
}

/*  Raise a counter unless that takes it above the limit. */
static int sxvki_raise_below(sxvki_shared64* counter, uint64_t amount, uint64_t limit) {
    uint64_t seen = sxvki_load64_relaxed(counter);
    do {
        if (seen > limit || amount > limit - seen) {
            return 0;
        }
    } while (!sxvki_cas64(counter, &seen, seen + amount));
    return 1;
}

/*  Book one VkDeviceMemory before it is allocated. */
static VkResult sxvki_budget_reserve(sxvki_budget* budget, uint32_t h, uint64_t bytes,
                                     sxvki_reserve reserve, int within_budget) {
    sxvki_heap_budget* heap = &budget->heaps[h];
    uint64_t most = sxvki_load64_relaxed(&heap->limit);
    uint64_t left = reserve == SXVKI_RESERVE_NONE     ? 0
                    : reserve == SXVKI_RESERVE_EIGHTH ? budget->max_count / 8
                                                      : budget->max_count / 4;
    if (!sxvki_raise_below(&budget->memory_count, 1, budget->max_count - left)) {
        return VK_ERROR_TOO_MANY_OBJECTS;
    }
    if (within_budget) {
        most = sxvki_min64(most, sxvki_budget_within(budget, h));
    }
    if (!sxvki_raise_below(&heap->block_bytes, bytes, most)) {
        sxvki_add64(&budget->memory_count, ~(uint64_t)0);
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    return VK_SUCCESS;
}

/*  What was booked is there; what is there is about to go. */
static void sxvki_budget_made(sxvki_budget* budget, uint32_t h, uint64_t bytes) {
    sxvki_add64(&budget->heaps[h].made, bytes);
}

static void sxvki_budget_going(sxvki_budget* budget, uint32_t h, uint64_t bytes) {
    sxvki_add64(&budget->heaps[h].going, bytes);
}

static void sxvki_budget_release(sxvki_budget* budget, uint32_t h, uint64_t bytes) {
    sxvki_heap_budget* heap = &budget->heaps[h];
    sxvki_add64(&heap->gone, bytes); /* first: see sxvki_budget_refresh */
    sxvki_add64(&heap->block_bytes, 0 - bytes);
    sxvki_add64(&budget->memory_count, ~(uint64_t)0);
}

/*  I1, and the count: both hold at every moment, whatever other threads do. */
SXVKI_COLD static int sxvki_budget_is_valid(const sxvki_budget* budget) {
    uint32_t h;
    for (h = 0; h < budget->heap_count; h++) {
        if (sxvki_load64_relaxed(&budget->heaps[h].block_bytes) > budget->heaps[h].limit_max) {
            return 0;
        }
    }
    return sxvki_load64_relaxed(&budget->memory_count) <= budget->max_count;
}

/* ============================================================================================== */
/*  >>module     who holds how much; pressure                                                     */
/* ============================================================================================== */
/*
    A module is an accountant, not an engine: memory comes from the pools that all share, and what
    is counted is bytes as asked for, by atomic additions. An allocation names its module in the
    side table, so that who has none pays a few instructions and no memory.

    `refs` keeps the place of a module in the table: SXVKI_OWNER for its life, for each pool that
    names it and while its gauge is queued, and 1 for each allocation. So an allocation that
    outlives its module gives back to a place that is still there, and that nobody has taken over.

    Pressure. A gauge is what has a level: each heap, by what the whole process uses of the budget,
    and each module, by its bytes against its soft limit. The level rises where the use reaches a
    threshold, and falls where it is a margin below, so that it does not flutter. Who moves the use
    across a threshold queues the gauge, under whatever lock; the public function that was called
    settles the queue when it holds none. One thread at a time settles, the one that finds the queue
    not empty: so callbacks are never nested and come in order, and what a callback itself changes
    is told when it has returned. Where it drives a level up and down for ever, the rest is left to
    the next call after SXVKI_SETTLE_ROUNDS.

    I1  bytes and the sum of type_bytes agree, and so does what live allocations of it have
    I2  is_queued is set  <=>  the gauge is in the queue, or being put there
*/

#define SXVKI_MODULES_FIRST_SHIFT 2
#define SXVKI_MODULES_MAX         0xFFFFu /* an id has 16 bits for the place + 1, 16 generation */
#define SXVKI_OWNER               ((uint64_t)1 << 40)
#define SXVKI_SETTLE_ROUNDS       8
#define SXVKI_ASKERS              64
#define SXVKI_LEVELS              4

/*  A level begins at `from` and ends below `back`; the first one has neither. */
typedef struct sxvki_limits {
    uint64_t from[SXVKI_LEVELS];
    uint64_t back[SXVKI_LEVELS];
} sxvki_limits;

typedef struct sxvki_gauge {
    sxvki_shared64
        rise; /* atomic, as is all but `next`; of a module: it is to be queued where its */
    sxvki_shared64 fall; /* bytes are not below, or are below */
    uint32_t level;      /* SxvkPressureLevel */
    uint32_t is_queued;
    uint32_t next; /* in the queue */
} sxvki_gauge;

typedef struct sxvki_module {
    uint32_t id;         /* atomic; the handle; 0 while there is no such module */
    uint32_t next;       /* that is unused as well */
    uint32_t generation; /* of the place */
    uint32_t is_leaving; /* atomic; being destroyed */
    sxvki_shared64 refs; /* atomic, as are the next four */
    sxvki_shared64 bytes;
    sxvki_shared64 peak;
    sxvki_shared64 fallbacks;
    sxvki_shared64 type_bytes[VK_MAX_MEMORY_TYPES];
    sxvki_gauge gauge;
    sxvki_limits limits;
    SxvkModuleCreateInfo info; /* with a name of our own */
    char* name;                /* guarded by the lock of the table, for those who do not own it */
} sxvki_module;

typedef struct sxvki_modules {
    sxvki_table table;
    sxvki_lock lock; /* guards the table's growth, ids and names; taken inside of any other */
    const sxvki_host* host;
    uint32_t salt;
} sxvki_modules;

/*  Gauges have numbers: the heaps, then the modules by their places. */
typedef struct sxvki_pressure {
    SxvkPressureCreateInfo info; /* no zeros */
    uint32_t queue;              /* atomic; number + 1 of the first gauge */
    uint32_t is_settling;        /* atomic */
    void* askers[SXVKI_ASKERS];  /* atomic; threads that are in the callback for want of memory */
    sxvki_gauge heaps[VK_MAX_MEMORY_HEAPS];
} sxvki_pressure;

/* --- levels --- */

/*  A share of 0 to 1 of any number, rounded. The double of 2^64 - 1 would be 2^64, and that of half
    of it 2^63; less than all of that is less than 2^63. */
static uint64_t sxvki_share_of(uint64_t whole, float share) {
    if (share >= 1.0f) {
        return whole;
    }
    return whole >> 63 ? (uint64_t)((double)(whole / 2) * (double)share) * 2
                       : (uint64_t)((double)whole * (double)share + 0.5);
}

static void sxvki_limits_init(sxvki_limits* limits, const SxvkPressureCreateInfo* info,
                              float warning, uint64_t budget) {
    uint64_t margin = sxvki_share_of(budget, info->hysteresis);
    uint32_t i;
    limits->from[SXVK_PRESSURE_LEVEL_NORMAL] = 0;
    limits->from[SXVK_PRESSURE_LEVEL_WARNING] = sxvki_max64(1, sxvki_share_of(budget, warning));
    limits->from[SXVK_PRESSURE_LEVEL_CRITICAL] = sxvki_max64(
        limits->from[SXVK_PRESSURE_LEVEL_WARNING], sxvki_share_of(budget, info->criticalThreshold));
    limits->from[SXVK_PRESSURE_LEVEL_OVER] = sxvki_saturating_add(budget, 1);
    for (i = 0; i < SXVKI_LEVELS; i++) {
        limits->back[i] = limits->from[i] - sxvki_min64(margin, limits->from[i] / 2);
    }
}

static uint32_t sxvki_level_after(const sxvki_limits* limits, uint32_t level, uint64_t usage) {
    while (level < SXVKI_LEVELS - 1 && usage >= limits->from[level + 1]) {
        level++;
    }
    while (level > 0 && usage < limits->back[level]) {
        level--;
    }
    return level;
}

static void sxvki_pressure_defaults(SxvkPressureCreateInfo* info) {
    if (info->warningThreshold == 0.0f) {
        info->warningThreshold = 0.85f;
    }
    if (info->criticalThreshold == 0.0f) {
        info->criticalThreshold = 0.95f;
    }
    if (info->hysteresis == 0.0f) {
        info->hysteresis = 0.05f;
    }
}

static void sxvki_pressure_init(sxvki_pressure* pressure, const SxvkPressureCreateInfo* info) {
    memset(pressure, 0, sizeof *pressure);
    if (info != NULL) {
        pressure->info = *info;
    }
    sxvki_pressure_defaults(&pressure->info);
}

/*  Returns 0 where it is in the queue already. */
static int sxvki_gauge_queue(sxvki_pressure* pressure, sxvki_gauge* gauge, uint32_t number) {
    uint32_t seen = 0;
    if (!sxvki_cas32(&gauge->is_queued, &seen, 1)) {
        return 0;
    }
    seen = sxvki_load32(&pressure->queue);
    do {
        gauge->next = seen;
    } while (!sxvki_cas32(&pressure->queue, &seen, number + 1));
    return 1;
}

/*  A gauge has this level, and is queued when its bytes leave it. Of a heap these are bytes of
    ours, for which what others hold is taken off: less than nothing is nothing. */
static void sxvki_gauge_set(sxvki_gauge* gauge, const sxvki_limits* limits, uint32_t level,
                            uint64_t others) {
    int is_last = level == SXVKI_LEVELS - 1 || limits->from[level + 1] == UINT64_MAX;
    int is_first = level == SXVK_PRESSURE_LEVEL_NORMAL; /* however little there is */
    sxvki_store64_relaxed(
        &gauge->rise, is_last ? UINT64_MAX : sxvki_add_signed(limits->from[level + 1], 0 - others));
    sxvki_store64_relaxed(&gauge->fall,
                          is_first ? 0 : sxvki_add_signed(limits->back[level], 0 - others));
    sxvki_exchange32(&gauge->level, level);
}

SXVKI_INLINE int sxvki_gauge_is_left(const sxvki_gauge* gauge, uint64_t bytes) {
    return bytes >= sxvki_load64_relaxed(&gauge->rise) ||
           bytes < sxvki_load64_relaxed(&gauge->fall);
}

/*  Of the bytes that we hold in a heap some came or went. */
SXVKI_INLINE void sxvki_pressure_note(sxvki_pressure* pressure, const sxvki_budget* budget,
                                      uint32_t h) {
    sxvki_gauge* gauge = &pressure->heaps[h];
    if (sxvki_gauge_is_left(gauge, sxvki_load64_relaxed(&budget->heaps[h].block_bytes))) {
        sxvki_gauge_queue(pressure, gauge, h);
    }
}

/*  A heap's level by its usage and budget; *before is the one it had. Who changes the bytes looks
    at the thresholds afterwards, this looks at the bytes after it has published them: so one of the
    two sees what the other did. */
static uint32_t sxvki_heap_settle(sxvki_pressure* pressure, sxvki_budget* budget, uint32_t h,
                                  SxvkPressureInfo* info, uint32_t* before) {
    sxvki_gauge* gauge = &pressure->heaps[h];
    sxvki_shared64* bytes = &budget->heaps[h].block_bytes;
    uint32_t level = sxvki_load32(&gauge->level);
    sxvki_limits limits;
    uint64_t others, seen;
    *before = level;
    do {
        seen = sxvki_add64(bytes, 0);
        others = sxvki_budget_get(budget, h, &info->usage, &info->budget);
        sxvki_limits_init(&limits, &pressure->info, pressure->info.warningThreshold, info->budget);
        level = sxvki_level_after(&limits, level, info->usage);
        sxvki_gauge_set(gauge, &limits, level, others);
    } while (sxvki_add64(bytes, 0) != seen &&
             sxvki_gauge_is_left(gauge, sxvki_load64_relaxed(bytes)));
    return level;
}

/*  Ask the driver, and let all heaps be looked at. No lock is held. */
SXVKI_COLD static void sxvki_pressure_refresh(sxvki_pressure* pressure, sxvki_budget* budget,
                                              const sxvki_vk* vk) {
    uint32_t h;
    sxvki_budget_refresh(budget, vk);
    for (h = 0; h < budget->heap_count; h++) {
        if (sxvki_exchange32(&budget->heaps[h].is_news, 0)) {
            sxvki_gauge_queue(pressure, &pressure->heaps[h], h);
        }
    }
}

/*  Is this thread, or where threads cannot be told apart any, in the callback for want of memory?
    Then what fails in there just fails. */
static int sxvki_pressure_is_asking(sxvki_pressure* pressure) {
    uint32_t i;
    for (i = 0; i < SXVKI_ASKERS; i++) {
        if (sxvki_load_ptr(&pressure->askers[i]) ==
            (SXVKI_HAS_THREAD_HINT ? sxvki_thread_id() : (void*)pressure)) {
            return 1;
        }
    }
    return 0;
}

/*  Ask the user for memory. No lock is held. Returns 0 where he has none, or is being asked. */
SXVKI_COLD static int sxvki_pressure_ask(sxvki_pressure* pressure, const sxvki_budget* budget,
                                         SxvkAllocator allocator, uint32_t h, uint64_t bytes) {
    void* me = SXVKI_HAS_THREAD_HINT ? sxvki_thread_id() : (void*)pressure;
    void* nobody = NULL;
    SxvkPressureInfo info;
    VkBool32 has_freed;
    uint32_t i = 0;
    if (pressure->info.pfnCallback == NULL || sxvki_pressure_is_asking(pressure)) {
        return 0;
    }
    while (i < SXVKI_ASKERS && !sxvki_cas_ptr(&pressure->askers[i], &nobody, me)) {
        nobody = NULL;
        i++;
    }
    if (i == SXVKI_ASKERS) {
        return 0;
    }
    memset(&info, 0, sizeof info);
    info.heapIndex = h;
    info.bytesNeeded = bytes;
    info.level = (SxvkPressureLevel)sxvki_load32_relaxed(&pressure->heaps[h].level);
    info.previousLevel = info.level;
    sxvki_budget_get(budget, h, &info.usage, &info.budget);
    has_freed = pressure->info.pfnCallback(pressure->info.pUserData, allocator, &info);
    sxvki_store_ptr(&pressure->askers[i], NULL);
    return has_freed != VK_FALSE;
}

/* --- modules --- */

SXVKI_INLINE sxvki_module* sxvki_module_at(const sxvki_modules* modules, uint32_t place) {
    return (sxvki_module*)sxvki_table_at(&modules->table, place, SXVKI_MODULES_FIRST_SHIFT,
                                         sizeof(sxvki_module));
}

SXVKI_INLINE uint32_t sxvki_module_place(uint32_t id) {
    return (id & 0xFFFFu) - 1;
}

SXVKI_INLINE SxvkModule sxvki_module_handle(uint32_t id) {
    return (SxvkModule)(uintptr_t)id;
}

/*  Null for an id of no module that there is now. */
static sxvki_module* sxvki_module_find(const sxvki_modules* modules, uint32_t id) {
    uint32_t place = sxvki_module_place(id);
    sxvki_module* module;
    if (id == 0 || place >= sxvki_load32(&modules->table.capacity)) {
        return NULL;
    }
    module = sxvki_module_at(modules, place);
    return sxvki_load32(&module->id) == id ? module : NULL;
}

/*  The same by handle, which has no bits besides the id's. */
SXVKI_INLINE sxvki_module* sxvki_module_get(const sxvki_modules* modules, SxvkModule handle) {
    return (uintptr_t)handle == (uint32_t)(uintptr_t)handle
               ? sxvki_module_find(modules, (uint32_t)(uintptr_t)handle)
               : NULL;
}

static int sxvki_modules_init(sxvki_modules* modules, const sxvki_host* host, uint32_t salt,
                              int locked) {
    memset(modules, 0, sizeof *modules);
    modules->host = host;
    modules->salt = salt;
    sxvki_table_init(&modules->table, SXVKI_MODULES_FIRST_SHIFT, sizeof(sxvki_module),
                     offsetof(sxvki_module, next));
    return sxvki_lock_init(&modules->lock, locked);
}

SXVKI_COLD static void sxvki_modules_shutdown(sxvki_modules* modules) {
    uint32_t place;
    for (place = 0; place < modules->table.capacity; place++) {
        sxvki_host_free(modules->host, sxvki_module_at(modules, place)->name);
    }
    sxvki_table_shutdown(&modules->table, modules->host);
    sxvki_lock_shutdown(&modules->lock);
}

/*  Caller holds the lock. */
SXVKI_COLD static sxvki_module* sxvki_module_named(const sxvki_modules* modules, const char* name) {
    uint32_t place;
    for (place = 0; place < modules->table.capacity; place++) {
        sxvki_module* module = sxvki_module_at(modules, place);
        if (module->id != 0 && strcmp(module->name, name) == 0) {
            return module;
        }
    }
    return NULL;
}

/*  A place that nobody has; SXVKI_NONE where there is no host memory. Caller holds the lock. */
SXVKI_COLD static uint32_t sxvki_modules_take(sxvki_modules* modules) {
    uint32_t place = sxvki_table_take(&modules->table);
    uint32_t from, to, i;
    if (place == SXVKI_NONE && modules->table.capacity < SXVKI_MODULES_MAX - 64 &&
        sxvki_table_grow(&modules->table, modules->host, SXVKI_TABLE_STEP, &from, &to)) {
        for (i = from; i != to; i++) {
            sxvki_module_at(modules, i)->generation = modules->salt;
        }
        sxvki_table_add(&modules->table, from, to);
        place = sxvki_table_take(&modules->table);
    }
    return place;
}

/*  The info is valid, but for the name, which may be another module's: VK_INCOMPLETE. */
SXVKI_COLD static VkResult sxvki_module_create(sxvki_modules* modules,
                                               const SxvkPressureCreateInfo* pressure,
                                               const SxvkModuleCreateInfo* info, uint32_t* id) {
    float warning =
        info->warningThreshold != 0.0f ? info->warningThreshold : pressure->warningThreshold;
    uint32_t place = SXVKI_NONE;
    VkResult result = VK_ERROR_OUT_OF_HOST_MEMORY;
    char* name;
    if (!sxvki_host_copy_string(modules->host, info->pName, &name)) {
        return result;
    }
    sxvki_lock_take(&modules->lock);
    if (sxvki_module_named(modules, name) != NULL) {
        result = VK_INCOMPLETE;
    } else {
        place = sxvki_modules_take(modules);
    }
    if (place != SXVKI_NONE) {
        sxvki_module* module = sxvki_module_at(modules, place);
        uint32_t generation = module->generation;
        /* All but the id, which is 0 and which others look at. */
        memset(&module->next, 0, sizeof *module - offsetof(sxvki_module, next));
        module->generation = generation;
        module->refs = SXVKI_OWNER;
        module->info = *info;
        module->info.pName = name;
        module->name = name;
        sxvki_limits_init(&module->limits, pressure, warning, info->softLimit);
        if (info->softLimit == 0) {
            memset(&module->limits, 0xFF, sizeof module->limits);
            module->limits.back[SXVK_PRESSURE_LEVEL_NORMAL] = 0;
        }
        sxvki_gauge_set(&module->gauge, &module->limits, SXVK_PRESSURE_LEVEL_NORMAL, 0);
        *id = (generation & 0xFFFFu) << 16 | (place + 1);
        sxvki_store32(&module->id, *id);
        result = VK_SUCCESS;
    }
    sxvki_lock_drop(&modules->lock);
    if (result != VK_SUCCESS) {
        sxvki_host_free(modules->host, name);
    }
    return result;
}

/*  Give references back; with the last one goes the place. */
static void sxvki_module_release(sxvki_modules* modules, uint32_t id, uint64_t refs) {
    uint32_t place = sxvki_module_place(id);
    sxvki_module* module = sxvki_module_at(modules, place);
    if (sxvki_add64(&module->refs, 0 - refs) == 0) {
        sxvki_lock_take(&modules->lock);
        module->generation++;
        sxvki_table_give(&modules->table, place, &module->next);
        sxvki_lock_drop(&modules->lock);
    }
}

/*  The handle is invalid from now on; what names the module still may live. */
SXVKI_COLD static void sxvki_module_destroy(sxvki_modules* modules, sxvki_module* module) {
    uint32_t id = module->id;
    char* name;
    sxvki_lock_take(&modules->lock);
    name = module->name;
    module->name = NULL;
    sxvki_store32(&module->id, 0);
    sxvki_lock_drop(&modules->lock);
    sxvki_host_free(modules->host, name);
    sxvki_module_release(modules, id, SXVKI_OWNER);
}

/*  Its bytes have crossed a threshold. The caller has a reference. */
SXVKI_APART static void sxvki_module_note(sxvki_modules* modules, sxvki_pressure* pressure,
                                          sxvki_module* module, uint32_t id) {
    if (sxvki_load32_relaxed(&module->gauge.is_queued) == 0) {
        sxvki_add64(&module->refs, SXVKI_OWNER);
        if (!sxvki_gauge_queue(pressure, &module->gauge,
                               VK_MAX_MEMORY_HEAPS + sxvki_module_place(id))) {
            sxvki_module_release(modules, id, SXVKI_OWNER);
        }
    }
}

/*  An allocation of a module that there is. */
static void sxvki_module_add(sxvki_modules* modules, sxvki_pressure* pressure, sxvki_module* module,
                             uint32_t id, uint64_t extent) {
    uint64_t size = extent >> 8;
    uint64_t peak = sxvki_load64_relaxed(&module->peak);
    uint64_t bytes;
    sxvki_add64(&module->refs, 1);
    sxvki_add64(&module->type_bytes[extent & 0xFF], size);
    bytes = sxvki_add64(&module->bytes, size);
    while (bytes > peak && !sxvki_cas64(&module->peak, &peak, bytes)) {
    }
    if (sxvki_gauge_is_left(&module->gauge, bytes)) {
        sxvki_module_note(modules, pressure, module, id);
    }
}

/*  And of one that may be gone. */
static void sxvki_module_sub(sxvki_modules* modules, sxvki_pressure* pressure, uint32_t id,
                             uint64_t extent) {
    sxvki_module* module = sxvki_module_at(modules, sxvki_module_place(id));
    uint64_t size = extent >> 8;
    sxvki_add64(&module->type_bytes[extent & 0xFF], 0 - size);
    if (sxvki_gauge_is_left(&module->gauge, sxvki_add64(&module->bytes, 0 - size))) {
        sxvki_module_note(modules, pressure, module, id);
    }
    sxvki_module_release(modules, id, 1);
}

SXVKI_INLINE uint32_t sxvki_module_count(const sxvki_module* module) {
    return (uint32_t)(sxvki_load64_relaxed(&module->refs) & (SXVKI_OWNER - 1));
}

/*  All but the sums over heaps, and the unused share, which need more than the module. */
static void sxvki_module_read(const sxvki_module* module, SxvkModuleStatistics* stats) {
    memset(stats, 0, sizeof *stats);
    stats->pName = module->name;
    stats->pUserData = module->info.pUserData;
    stats->allocationCount = sxvki_module_count(module);
    stats->fallbackCount = (uint32_t)sxvki_load64_relaxed(&module->fallbacks);
    stats->allocationBytes = sxvki_load64_relaxed(&module->bytes);
    stats->peakBytes = sxvki_load64_relaxed(&module->peak);
    stats->softLimit = module->info.softLimit;
    stats->level = (SxvkPressureLevel)sxvki_load32_relaxed(&module->gauge.level);
}

/*  What an allocation of it has in its flags where it says nothing itself. */
static SxvkAllocationCreateFlags sxvki_module_strategy(const sxvki_module* module) {
    return module->info.strategy == SXVK_MODULE_STRATEGY_SPEED
               ? (VkFlags)SXVK_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT
           : module->info.strategy == SXVK_MODULE_STRATEGY_MEMORY
               ? (VkFlags)SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT
               : 0;
}

/*  I1: the sums, while no other thread counts. */
SXVKI_UNUSED SXVKI_COLD static int sxvki_modules_are_valid(const sxvki_modules* modules) {
    uint32_t place, type;
    for (place = 0; place < modules->table.capacity; place++) {
        const sxvki_module* module = sxvki_module_at(modules, place);
        uint64_t sum = 0;
        for (type = 0; type < VK_MAX_MEMORY_TYPES; type++) {
            sum += sxvki_load64_relaxed(&module->type_bytes[type]);
        }
        if (sum != sxvki_load64_relaxed(&module->bytes) ||
            sum > sxvki_load64_relaxed(&module->peak)) {
            return 0;
        }
    }
    return 1;
}

/* --- settling --- */

/*  A module's level by its bytes, in the same way; on return *before is the one it had. */
static uint32_t sxvki_module_settle(sxvki_module* module, uint32_t* before) {
    uint32_t level = sxvki_load32(&module->gauge.level);
    uint32_t seen;
    *before = level;
    do {
        seen = level;
        level = sxvki_level_after(&module->limits, seen, sxvki_add64(&module->bytes, 0));
        sxvki_gauge_set(&module->gauge, &module->limits, level, 0);
    } while (level != seen);
    return level;
}

/*  Give a gauge its level, and tell. */
SXVKI_COLD static void sxvki_gauge_settle(sxvki_pressure* pressure, sxvki_budget* budget,
                                          sxvki_modules* modules, SxvkAllocator allocator,
                                          uint32_t number) {
    SxvkPressureInfo info;
    uint32_t level, before, id = 0;
    memset(&info, 0, sizeof info);
    info.heapIndex = UINT32_MAX;
    if (number < VK_MAX_MEMORY_HEAPS) {
        level = sxvki_heap_settle(pressure, budget, number, &info, &before);
        info.heapIndex = number;
    } else {
        sxvki_module* module = sxvki_module_at(modules, number - VK_MAX_MEMORY_HEAPS);
        level = sxvki_module_settle(module, &before);
        id = sxvki_load32(&module->id);
        info.module = sxvki_module_handle(id);
        info.usage = sxvki_load64_relaxed(&module->bytes);
        info.budget = module->info.softLimit;
    }
    info.level = (SxvkPressureLevel)level;
    info.previousLevel = (SxvkPressureLevel)before;
    if (level != before && (id != 0 || number < VK_MAX_MEMORY_HEAPS) &&
        pressure->info.pfnCallback != NULL) {
        pressure->info.pfnCallback(pressure->info.pUserData, allocator, &info);
    }
}

/*  What is queued. No lock is held. */
SXVKI_COLD static void sxvki_pressure_settle(sxvki_pressure* pressure, sxvki_budget* budget,
                                             sxvki_modules* modules, SxvkAllocator allocator) {
    uint32_t round;
    for (round = 0; round < SXVKI_SETTLE_ROUNDS && sxvki_load32_ordered(&pressure->queue) != 0;
         round++) {
        uint32_t idle = 0;
        uint32_t first;
        if (!sxvki_cas32(&pressure->is_settling, &idle, 1)) {
            return; /* who is at it looks once more before he leaves */
        }
        first = sxvki_exchange32(&pressure->queue, 0);
        while (first != 0) {
            uint32_t number = first - 1;
            int is_heap = number < VK_MAX_MEMORY_HEAPS;
            sxvki_gauge* gauge =
                is_heap ? &pressure->heaps[number]
                        : &sxvki_module_at(modules, number - VK_MAX_MEMORY_HEAPS)->gauge;
            first = gauge->next;
            sxvki_exchange32(&gauge->is_queued, 0);
            sxvki_gauge_settle(pressure, budget, modules, allocator, number);
            if (!is_heap) {
                sxvki_module_release(modules, number - VK_MAX_MEMORY_HEAPS + 1, SXVKI_OWNER);
            }
        }
        sxvki_exchange32(&pressure->is_settling, 0);
    }
}

/* ============================================================================================== */
/*  >>block      one VkDeviceMemory, its mapping                                                  */
/* ============================================================================================== */
/*
    Blocks stand in a table that never moves, so a record can name its block by 20 bits. A block is
    either cut into ranges by the bins of a domain, or dedicated: one allocation fills it.

    Mapping. vkMapMemory wants one thread at a time per VkDeviceMemory, and no lock may be held
    across it. So `map_word` counts the users of the mapping and has a busy bit: who finds neither a
    mapping nor the bit sets it, calls the driver, and stores the result; who finds the bit waits,
    because he needs just that result. Other work in the pool goes on meanwhile.

        0 --> BUSY --> MAPPED|1 <--> MAPPED|n <--> MAPPED|0       stays mapped: the default
                       MAPPED|1  --> BUSY --> 0                   UNMAP_UNUSED_BLOCKS_BIT
*/

#define SXVKI_BLOCKS_FIRST_SHIFT 3 /* 8 blocks to start with */
#define SXVKI_MAP_BUSY           0x80000000u
#define SXVKI_MAP_MAPPED         0x40000000u

struct sxvki_domain;

#define SXVKI_BUSY_ABOVE 31u /* see SXVKI_MAIL_MAX */

/*  What a defragmentation asks of a block. */
typedef struct sxvki_stock {
    uint64_t live_size;          /* granules of the ranges handed out */
    struct sxvki_victim* victim; /* it is to run empty; else null */
    uint32_t tried;              /* which one tried to empty it last */
} sxvki_stock;

typedef struct sxvki_block {
    VkDeviceMemory memory; /* null while the slot is unused */
    VkDeviceSize size;     /* bytes */
    void* mapped;          /* atomic; the first byte, while map_word says MAPPED */
    SxvkPool pool;
    struct sxvki_domain* domain; /* null: dedicated */
    uint32_t map_word;           /* atomic */
    uint32_t id;
    uint32_t type;
    uint32_t epoch;    /* atomic; see >>linear; 0: not of a linear pool */
    uint32_t is_busy;  /* atomic; live_count is above SXVKI_BUSY_ABOVE */
    uint32_t apart[1]; /* what follows changes often, what is above other threads read */
    uint32_t first;    /* the record at offset 0; guarded by the domain, as is all below */
    uint32_t prev;     /* in the list of the domain, or of the dedicated blocks of the pool */
    uint32_t next;
    uint32_t live_count; /* allocations in it */
    uint32_t since;      /* by the domain's clock: when live_count became, or ceased to be, 0 */
    union {
        sxvki_lane lane;   /* instead of `first` in a linear pool */
        sxvki_stock stock; /* in others */
    } in;
    uint32_t rest[1]; /* to the end of the cache line */
} sxvki_block;

/*  Of giving host memory back. */
#define SXVKI_TRIM_IDLE  0u
#define SXVKI_TRIM_BUSY  1u /* one thread does it */
#define SXVKI_TRIM_WAITS 2u /* something is retired */

/*  From when it is retired until it is freed, see sxvkTrim. The clock has full seconds, so this is
    one at least. */
#define SXVKI_TRIM_GRACE 2u

/*  Everything that the pools of one allocator share. */
typedef struct sxvki_device {
    sxvki_host host;
    sxvki_vk vk;
    sxvki_memory_model model;
    sxvki_budget budget;
    sxvki_pressure pressure;
    sxvki_modules modules;
    sxvki_records records;
    sxvki_reporter reporter;
    sxvki_table blocks;
    sxvki_lock blocks_lock;     /* guards the table's growth */
    uint32_t trim_state;        /* atomic; SXVKI_TRIM_ */
    uint32_t frame;             /* atomic; sxvkSetCurrentFrameIndex */
    sxvki_shared64 resets;      /* atomic; of all linear pools; see sxvki_sweep_if_reset */
    sxvki_shared64 revivals;    /* atomic; times that a frozen block was needed after all */
    sxvki_shared64 moved_bytes; /* atomic; by defragmentation, ever */
    sxvki_shared64 doubles;     /* atomic; ranges of what moves, beside the one that it lives in */
    SxvkAllocator allocator;
    SxvkAllocatorCreateFlags flags;
    SxvkDeviceMemoryCallbacks callbacks;
    SxvkDebugInfo debug;
    int attends; /* debugging has something to do for each allocation, see sxvki_attend */
    VkDeviceSize preferred_block_size;
    sxvki_shared64 driver_calls; /* atomic; that allocate, free, map or unmap a block */
    void* stacks;                /* sxvki_stacks; null: not recorded */
} sxvki_device;

SXVKI_INLINE sxvki_block* sxvki_block_at(const sxvki_device* device, uint32_t id) {
    return (sxvki_block*)sxvki_table_at(&device->blocks, id, SXVKI_BLOCKS_FIRST_SHIFT,
                                        sizeof(sxvki_block));
}

SXVKI_INLINE VkMemoryPropertyFlags sxvki_type_flags(const sxvki_device* device, uint32_t type) {
    return device->model.properties.memoryTypes[type].propertyFlags;
}

SXVKI_INLINE uint32_t sxvki_type_heap(const sxvki_device* device, uint32_t type) {
    return device->model.properties.memoryTypes[type].heapIndex;
}

/*  Host-visible memory that wants flushes: atoms must not be shared by two allocations. */
SXVKI_INLINE int sxvki_type_wants_flush(const sxvki_device* device, uint32_t type) {
    return (sxvki_type_flags(device, type) &
            (VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)) ==
           VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
}

/*  Margins need memory that the host may read at any time without telling the driver. */
SXVKI_INLINE VkDeviceSize sxvki_type_margin(const sxvki_device* device, uint32_t type) {
    const VkMemoryPropertyFlags need =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    return (sxvki_type_flags(device, type) & need) == need ? device->debug.margin : 0;
}

/*  An allocation, be it a record or a slot of a slab. Stays right while the allocation lives, and
    until it moves: >>defrag. */
typedef struct sxvki_view {
    sxvki_block* block;
    uint32_t* state;     /* atomic; SXVKI_STATE_ bits */
    uint32_t seen;       /* what that was before the rest was read */
    VkDeviceSize offset; /* bytes in the block */
    VkDeviceSize size;   /* bytes that the user asked for */
} sxvki_view;

/*  The block that a range is in at this moment. */
SXVKI_INLINE sxvki_block* sxvki_block_of_range(const sxvki_device* device, const sxvki_record* r) {
    return sxvki_block_at(device, sxvki_place_block(sxvki_load64(&r->place)));
}

/*  Is it a slot that lives elsewhere? */
SXVKI_INLINE int sxvki_slot_is_away(const sxvki_device* device, uint32_t index) {
    const sxvki_slab* slab = sxvki_slab_of(&device->records, index);
    return (sxvki_load32(&slab->slots[index % 64].state) & SXVKI_STATE_AWAY) != 0;
}

/*  The record of the range that an allocation lives in, be it a slot that is away. */
SXVKI_INLINE uint32_t sxvki_range_of(const sxvki_device* device, uint32_t index) {
    return index & SXVKI_HANDLE_SLAB_BIT
               ? sxvki_slab_of(&device->records, index)->slots[index % 64].size
               : index;
}

/*  The block of an allocation, also where another thread may have freed it meanwhile. */
SXVKI_UNUSED static sxvki_block* sxvki_block_of(const sxvki_device* device, uint32_t index) {
    const sxvki_records* records = &device->records;
    if ((index & SXVKI_HANDLE_SLAB_BIT) != 0 && !sxvki_slot_is_away(device, index)) {
        return sxvki_block_at(device, sxvki_load32_relaxed(&sxvki_slab_of(records, index)->block));
    }
    return sxvki_block_of_range(device, sxvki_record_at(records, sxvki_range_of(device, index)));
}

/*  The word with the SXVKI_STATE_ bits, the same. */
SXVKI_INLINE uint32_t* sxvki_state_of(const sxvki_device* device, uint32_t index) {
    const sxvki_records* records = &device->records;
    return index & SXVKI_HANDLE_SLAB_BIT ? &sxvki_slab_of(records, index)->slots[index % 64].state
                                         : &sxvki_record_at(records, index)->link_b;
}

/*  index belongs to a live allocation. */
SXVKI_HOT sxvki_view sxvki_look_here(const sxvki_device* device, uint32_t index) {
    sxvki_view view;
    if (index & SXVKI_HANDLE_SLAB_BIT) {
        sxvki_slab* slab = sxvki_slab_of(&device->records, index);
        sxvki_slot* slot = &slab->slots[index % 64];
        VkDeviceSize size = (VkDeviceSize)slab->slot_size << SXVKI_GRANULE_SHIFT;
        view.state = &slot->state;
        view.seen = sxvki_load32(view.state);
        view.size = size - slot->tail;
        if (view.seen & SXVKI_STATE_AWAY) {
            uint64_t place = sxvki_load64(&sxvki_record_at(&device->records, slot->size)->place);
            view.block = sxvki_block_at(device, sxvki_place_block(place));
            view.offset = sxvki_place_offset(place) << SXVKI_GRANULE_SHIFT;
        } else {
            view.block = sxvki_block_at(device, slab->block);
            view.offset = (slab->offset << SXVKI_GRANULE_SHIFT) + index % 64 * size;
        }
    } else {
        sxvki_record* r = sxvki_record_at(&device->records, index);
        uint64_t place;
        view.state = &r->link_b;
        view.seen = sxvki_load32(view.state);
        place = sxvki_load64(&r->place);
        view.block = sxvki_block_at(device, sxvki_place_block(place));
        view.offset = sxvki_place_offset(place) << SXVKI_GRANULE_SHIFT;
        view.size = sxvki_place_size_high(place) + r->size_low;
        view.size = (view.size << SXVKI_GRANULE_SHIFT) - r->link_a;
    }
    return view;
}

/*  The same where it is not hot: in each place it would be 150 bytes of code. */
SXVKI_UNUSED static sxvki_view sxvki_look(const sxvki_device* device, uint32_t index) {
    return sxvki_look_here(device, index);
}

/*  Acquire: who set a bit had made what it stands for, the margin or the side table's entry. */
SXVKI_INLINE uint32_t sxvki_view_state(const sxvki_view* view) {
    return sxvki_load32(view->state);
}

/*  The handle to a record of a linear pool that had this odd generation. */
SXVKI_APART static SxvkAllocation sxvki_linear_handle(const sxvki_device* device, uint32_t index,
                                                      uint32_t generation) {
    const sxvki_record* r = sxvki_record_at(&device->records, index);
    const sxvki_block* block = sxvki_block_at(device, sxvki_record_block(r));
    return sxvki_handle_make(generation + 2 * sxvki_load32_relaxed(&block->epoch),
                             SXVKI_HANDLE_LINEAR_BIT | index);
}

/*  The handle of a live allocation. */
SXVKI_INLINE SxvkAllocation sxvki_handle_of(const sxvki_device* device, uint32_t index) {
    uint32_t generation = sxvki_load32_relaxed(sxvki_generation_of(&device->records, index));
    if ((index & SXVKI_HANDLE_SLAB_BIT) == 0 &&
        (sxvki_load32_relaxed(sxvki_state_of(device, index)) & SXVKI_STATE_LINEAR) != 0) {
        return sxvki_linear_handle(device, index, generation);
    }
    return sxvki_handle_make(generation, index);
}

/*  Who moves an allocation claims it for less than 1 us, and locks its state around that, so that
    a claim by who frees it is another matter. Returns 0 where the handle is not valid, as it
    seemed; 1 where it is worth another look. */
SXVKI_COLD static int sxvki_wait_for_move(const sxvki_device* device, SxvkAllocation handle) {
    uint32_t index = sxvki_handle_index(handle);
    const uint32_t* generation = sxvki_generation_of(&device->records, index);
    uint32_t step = 0;
    while (generation != NULL) {
        uint32_t seen = sxvki_load32(generation);
        if (!sxvki_handle_matches(handle, seen & ~SXVKI_GENERATION_CLAIMED)) {
            return 0;
        }
        if ((seen & SXVKI_GENERATION_CLAIMED) == 0) {
            return 1;
        }
        if ((sxvki_load32(sxvki_state_of(device, index)) & SXVKI_STATE_LOCKED) == 0 &&
            sxvki_load32(generation) == seen) {
            return 0;
        }
        sxvki_spin_pause(step++);
    }
    return 0;
}

/*  0 for whatever is not the handle of a live allocation in a linear pool. */
static int sxvki_linear_handle_is_valid(const sxvki_device* device, SxvkAllocation handle) {
    uint32_t index = sxvki_handle_index(handle) ^ SXVKI_HANDLE_LINEAR_BIT;
    uint32_t generation;
    if (index >= sxvki_load32(&device->records.hot.capacity)) {
        return 0; /* also without the bit, or with that of a slab */
    }
    generation = sxvki_load32(&sxvki_record_at(&device->records, index)->generation);
    return (generation & (SXVKI_GENERATION_CLAIMED | 1)) == 1 &&
           sxvki_linear_handle(device, index, generation) == handle;
}

/*  As the next one, where the quick look found nothing. */
SXVKI_APART static int sxvki_allocation_is_valid_after_all(const sxvki_device* device,
                                                           SxvkAllocation handle) {
    return sxvki_linear_handle_is_valid(device, handle) || sxvki_wait_for_move(device, handle);
}

/*  0 for a stale, freed or foreign handle. */
SXVKI_INLINE int sxvki_allocation_is_valid(const sxvki_device* device, SxvkAllocation handle) {
    return SXVKI_LIKELY(sxvki_handle_is_valid(&device->records, handle)) ||
           sxvki_allocation_is_valid_after_all(device, handle);
}

static uint32_t sxvki_block_slot_take(sxvki_device* device) {
    uint32_t id, from, to, i;
    sxvki_lock_take(&device->blocks_lock);
    id = sxvki_table_take(&device->blocks);
    if (id == SXVKI_NONE && device->blocks.capacity < SXVKI_BLOCK_ID_MASK / 2 - 4 &&
        sxvki_table_grow(&device->blocks, &device->host, SXVKI_TABLE_STEP, &from, &to)) {
        for (i = from; i != to; i++) {
            sxvki_block_at(device, i)->id = i;
        }
        sxvki_table_add(&device->blocks, from, to);
        id = sxvki_table_take(&device->blocks);
    }
    sxvki_lock_drop(&device->blocks_lock);
    return id;
}

static void sxvki_block_slot_give(sxvki_device* device, uint32_t id) {
    sxvki_block* block = sxvki_block_at(device, id);
    sxvki_lock_take(&device->blocks_lock);
    memset(block, 0, sizeof *block);
    block->id = id;
    sxvki_table_give(&device->blocks, id, &block->next);
    sxvki_lock_drop(&device->blocks_lock);
}

/*  Hide the records, slabs and blocks that nobody has, as far as they fill the highest chunks of
    their tables. Returns 0 where there are no more. */
SXVKI_COLD static int sxvki_device_retire(sxvki_device* device) {
    int some = sxvki_records_retire(&device->records);
    sxvki_lock_take(&device->blocks_lock);
    some |= sxvki_table_retire(&device->blocks);
    sxvki_lock_drop(&device->blocks_lock);
    return some;
}

/*  Free what was retired long enough ago. Returns 0 where nothing is retired any more. */
SXVKI_COLD static int sxvki_device_drop(sxvki_device* device) {
    uint32_t grace = device->records.lock.on ? SXVKI_TRIM_GRACE : 0; /* 0: no other thread looks */
    int some = sxvki_records_drop(&device->records, grace);
    sxvki_table gone;
    memset(&gone, 0, sizeof gone);
    sxvki_lock_take(&device->blocks_lock);
    if (sxvki_add64(&device->records.pins, 0) == 0 && sxvki_table_is_due(&device->blocks, grace)) {
        sxvki_table_detach(&device->blocks, &gone);
    }
    some |= sxvki_table_has_retired(&device->blocks);
    sxvki_lock_drop(&device->blocks_lock);
    sxvki_table_drop(&gone, &device->host);
    return some;
}

/*  What a VkDeviceMemory is to be. */
typedef struct sxvki_memory_request {
    VkDeviceSize size;
    uint32_t type;
    float priority;
    sxvki_reserve reserve;
    int within_budget;
    VkBuffer dedicated_buffer; /* for VkMemoryDedicatedAllocateInfo; at most one is not null */
    VkImage dedicated_image;
    int device_address;
    const void* next; /* the user's chain */
} sxvki_memory_request;

/*  vkAllocateMemory with its chain of infos. */
SXVKI_COLD static VkResult sxvki_memory_allocate(const sxvki_device* device,
                                                 const sxvki_memory_request* request,
                                                 VkDeviceMemory* memory) {
    SXVKI_PROFILE("vkAllocateMemory");
    VkMemoryDedicatedAllocateInfo dedicated;
    VkMemoryAllocateFlagsInfo address;
    VkMemoryPriorityAllocateInfoEXT priority;
    VkMemoryAllocateInfo info;
    const void* chain = request->next;
    memset(&info, 0, sizeof info);
    if ((request->dedicated_buffer != VK_NULL_HANDLE ||
         request->dedicated_image != VK_NULL_HANDLE) &&
        sxvki_chain_find(chain, VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO) == NULL) {
        memset(&dedicated, 0, sizeof dedicated);
        dedicated.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO;
        dedicated.buffer = request->dedicated_buffer;
        dedicated.image = request->dedicated_image;
        SXVKI_CHAIN(chain, dedicated);
    }
    if (request->device_address &&
        sxvki_chain_find(chain, VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO) == NULL) {
        memset(&address, 0, sizeof address);
        address.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO;
        address.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT;
        SXVKI_CHAIN(chain, address);
    }
    if (device->vk.memory_priority &&
        sxvki_chain_find(chain, VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT) == NULL) {
        memset(&priority, 0, sizeof priority);
        priority.sType = VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT;
        priority.priority = request->priority;
        SXVKI_CHAIN(chain, priority);
    }
    info.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
    info.pNext = chain;
    info.allocationSize = request->size;
    info.memoryTypeIndex = request->type;
    return device->vk.fn.vkAllocateMemory(device->vk.device, &info, device->host.driver_callbacks,
                                          memory);
}

/*  Book, allocate, tell the user. The block belongs to no list yet. */
SXVKI_COLD static VkResult sxvki_block_create(sxvki_device* device,
                                              const sxvki_memory_request* request, SxvkPool pool,
                                              sxvki_block** created) {
    uint32_t heap = sxvki_type_heap(device, request->type);
    VkDeviceMemory memory = VK_NULL_HANDLE;
    sxvki_block* block;
    VkResult result;
    uint32_t id;
    *created = NULL;
    if (request->size > device->vk.max_allocation_size) {
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    if (sxvki_budget_is_stale(&device->budget, heap, request->size)) {
        sxvki_pressure_refresh(&device->pressure, &device->budget, &device->vk);
    }
    id = sxvki_block_slot_take(device);
    if (id == SXVKI_NONE) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    result = sxvki_budget_reserve(&device->budget, heap, request->size, request->reserve,
                                  request->within_budget);
    if (result != VK_SUCCESS) {
        goto fail_slot;
    }
    sxvki_add64(&device->driver_calls, 1);
    result = sxvki_memory_allocate(device, request, &memory);
    if (result != VK_SUCCESS) {
        goto fail_budget;
    }
    sxvki_budget_made(&device->budget, heap, request->size);
    sxvki_pressure_note(&device->pressure, &device->budget, heap);
    block = sxvki_block_at(device, id);
    block->memory = memory;
    block->size = request->size;
    block->pool = pool;
    block->type = request->type;
    block->first = SXVKI_NONE;
    block->prev = SXVKI_NONE;
    block->next = SXVKI_NONE;
    if (device->callbacks.pfnAllocate != NULL) {
        device->callbacks.pfnAllocate(device->allocator, request->type, memory, request->size,
                                      device->callbacks.pUserData);
    }
    *created = block;
    return VK_SUCCESS;

fail_budget:
    sxvki_budget_release(&device->budget, heap, request->size);
fail_slot:
    sxvki_block_slot_give(device, id);
    return result < 0 ? result : VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

/*  The block was taken out of its list; nobody can reach it any more. */
SXVKI_COLD static void sxvki_block_destroy(sxvki_device* device, sxvki_block* block) {
    uint32_t heap = sxvki_type_heap(device, block->type);
    SXVKI_PROFILE("vkFreeMemory");
    if (device->callbacks.pfnFree != NULL) {
        device->callbacks.pfnFree(device->allocator, block->type, block->memory, block->size,
                                  device->callbacks.pUserData);
    }
    sxvki_budget_going(&device->budget, heap, block->size);
    sxvki_add64(&device->driver_calls, 1);
    device->vk.fn.vkFreeMemory(device->vk.device, block->memory, device->host.driver_callbacks);
    sxvki_budget_release(&device->budget, heap, block->size);
    sxvki_pressure_note(&device->pressure, &device->budget, heap);
    sxvki_block_slot_give(device, block->id);
}

/*  Add a user of the mapping. */
static VkResult sxvki_block_map(sxvki_device* device, sxvki_block* block, void** data) {
    uint32_t word = sxvki_load32(&block->map_word);
    uint32_t step = 0;
    VkResult result;
    for (;;) {
        if (word & SXVKI_MAP_MAPPED) {
            if (sxvki_cas32(&block->map_word, &word, word + 1)) {
                *data = sxvki_load_ptr(&block->mapped);
                return VK_SUCCESS;
            }
        } else if (word & SXVKI_MAP_BUSY) {
            sxvki_spin_pause(step++);
            word = sxvki_load32(&block->map_word);
        } else if (sxvki_cas32(&block->map_word, &word, SXVKI_MAP_BUSY)) {
            break;
        }
    }
    sxvki_add64(&device->driver_calls, 1);
    result = sxvki_vk_result(
        device->vk.fn.vkMapMemory(device->vk.device, block->memory, 0, VK_WHOLE_SIZE, 0, data));
    if (result == VK_SUCCESS) {
        sxvki_store_ptr(&block->mapped, *data);
        sxvki_store32(&block->map_word, SXVKI_MAP_MAPPED | 1);
    } else {
        *data = NULL;
        sxvki_store32(&block->map_word, 0);
    }
    return result;
}

/*  Remove a user of the mapping. */
static void sxvki_block_unmap(sxvki_device* device, sxvki_block* block) {
    uint32_t word = sxvki_load32(&block->map_word);
    for (;;) {
        int last = word == (SXVKI_MAP_MAPPED | 1) &&
                   (device->flags & SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT) != 0;
        SXVKI_ASSERT(word > SXVKI_MAP_MAPPED);
        if (sxvki_cas32(&block->map_word, &word, last ? SXVKI_MAP_BUSY : word - 1)) {
            if (last) {
                sxvki_store_ptr(&block->mapped, NULL);
                sxvki_add64(&device->driver_calls, 1);
                device->vk.fn.vkUnmapMemory(device->vk.device, block->memory);
                sxvki_store32(&block->map_word, 0);
            }
            return;
        }
    }
}

/*  End all uses of the mapping, of which nobody begins or ends one meanwhile. */
static void sxvki_block_unmap_all(sxvki_device* device, sxvki_block* block) {
    uint32_t word = sxvki_load32(&block->map_word);
    if (word > SXVKI_MAP_MAPPED) {
        sxvki_store32(&block->map_word, SXVKI_MAP_MAPPED | 1);
        sxvki_block_unmap(device, block);
    }
}

/*  The start of a mapped block, or null. */
SXVKI_INLINE char* sxvki_block_pointer(const sxvki_block* block) {
    int is_mapped = (sxvki_load32(&block->map_word) & SXVKI_MAP_MAPPED) != 0;
    return is_mapped ? (char*)sxvki_load_ptr(&block->mapped) : NULL;
}

/* ============================================================================================== */
/*  >>pool       blocks of one type; growth                                                       */
/* ============================================================================================== */
/*
    A pool has up to four domains, made when first needed: ranges below 128 KiB and others, which
    have their own blocks, each for optimal images and for the rest where bufferImageGranularity is
    large. A domain is a lock, the bins, the slabs and the list of its blocks. A pool with a fixed
    block size has one domain for everything. Small and large ranges are apart because one small
    range can keep a large block alive. But a program that holds little pays for each block that it
    opens: until it holds SXVKI_MIX_BELOW, the other domain of the pair is asked for room before one
    grows.

    bufferImageGranularity G without a page table: where buffers and optimal images share blocks,
    the optimal images, and all of which the kind is not known, start at multiples of G and are
    padded to multiples of G, so that no neighbour can be on one of their pages.

    Growth. The driver is called without a lock: book a place in block_count under the lock, unlock,
    allocate, lock, publish. Two threads that both find no room both grow; at worst there is one
    block per thread too many, which serves the next requests.

    Shards. Where threads that allocate wait for each other, the pool gets a further shard, its own
    four domains, and one of the threads moves there. Nothing is owned by a thread: what it frees
    goes back to the domain that it came from, whoever frees it; a thread whose shard has no room
    looks into the others where these have much, or where the program holds little, before its own
    grows. Measured on 16 cores, 10,000 live each: 16 threads do about 8 times the work of one, with
    the same committed / live; with one lock for all two threads did half the work of one.

    The size of a block. Most waste is the tail of the newest block of each domain, and what does
    not divide a block. So a block is as large as what lives in the domain, less where the domain
    grows slowly, but a small part of what the program holds in all; it has room for a few of the
    ranges that it is made for, and for a whole number of them. What is large even against all that
    the program holds gets dedicated memory.

    Retention. A block that runs empty stays while the empty ones are a small part of what the
    program holds, and where the domain breathes: where it needed a block within a few frames after
    it had given one back. So a working set that comes and goes with the frames costs calls only at
    first. A pool likewise takes sizes into blocks of which it saw dedicated memory come and go. The
    frame tick frees the blocks that stayed empty for SXVKI_RETAIN_FRAMES, one per tick, and ends
    the breathing; sxvkTrim frees all empty ones; over budget none is kept.

    The list of blocks holds those in use first, then the empty ones, the longest empty first.

    I1  block_bytes, listed_count and empty_bytes are the sums over the list
    I2  a block is in the empty part of the list  <=>  its live_count is 0
    I3  live_count and live_bytes are the sums over the live ranges
*/

/*  Figures: committed / live, averaged over the events of a trace, with the calls to
    vkAllocateMemory, for a neighbour of the value that stands here; "game" is the synthetic
    sequence of 1,500 items of which 80 % are unloaded, "10k" and "100k" are churn with so many
    live. All are from `sxvk_bench --quick traces game tiny churn`. The values hang together: a
    change of one by a little moves single traces by a few points to either side. */

/*  Ranges below it are small. 64 KiB: blender 1.167 for 1.140, game after the unload 2.47 for 2.33;
    256 KiB: openarena 1.497 with 50 calls for 1.428 with 48, tiny sets 265 calls for 218; 1 MiB:
    warzone 1.210 for 1.129, tiny sets 2.08 for 1.89. */
#define SXVKI_SMALL_LIMIT ((VkDeviceSize)128 << 10)

/*  What the program holds from which on small and large ranges do not share blocks at all: sharing
    saves calls, and costs memory once the blocks are many. 512 MiB: stellarium 62 calls for 56, but
    100k live 1.072 for 1.090; 2 GiB: stellarium 53 calls, 100k 1.125, game after the unload 2.50
    for 2.33. Always sharing: 3.00. */
#define SXVKI_MIX_BELOW ((VkDeviceSize)1 << 30)

/*  The least block: 1 MiB is what a program with one small buffer holds. Large ones of 1 MiB:
    stk 1.523 for 1.458, openarena 1.500 with 54 calls for 1.428 with 48; of 4 MiB: gcompris 1.535
    for 1.314. */
#define SXVKI_SMALL_BLOCK_MIN ((VkDeviceSize)1 << 20)
#define SXVKI_LARGE_BLOCK_MIN ((VkDeviceSize)2 << 20)

/*  The largest block. 16 MiB: stellarium 84 calls for 56, nexuiz 47 for 37, game 1,304 for 954;
    64 MiB: stellarium 1.230 for 1.194, game after the unload 4.01 for 2.33. */
#define SXVKI_BLOCK_MAX ((VkDeviceSize)32 << 20)

/*  A block is at most one part in so many of what the program holds. 6: blender 1.195 for 1.140,
    openarena 1.567 for 1.428; 12: openarena 66 calls for 48, stellarium 76 for 56. */
#define SXVKI_BLOCK_SHARE 8

/*  A block has room for so many ranges of the size that it is made for. 3: gcompris 1.863 for
    1.314, tiny sets 450 calls for 218; 6: gcompris 1.672, warzone 1.454 for 1.129. */
#define SXVKI_BLOCK_NEEDS 4

/*  A block is a whole number of the ranges that it is made for, where that is no more than so many;
    else it is rounded to a quarter of a power of two. 1: game 1.206 for 1.086, blender 1.212 for
    1.140; 8 and 32: openarena 1.498 and 1.508 for 1.428. */
#define SXVKI_BLOCK_FIT  16
#define SXVKI_BLOCK_UNIT ((VkDeviceSize)64 << 10)

/*  A domain that handed out so many ranges since it grew needs just half of what lives in it, four
    times as many a quarter: calls are rare then. Never: minetest 1.367 for 1.296. */
#define SXVKI_SLOW_GROWTH 512

/*  From this size on a range of the request's own size is looked for before a larger one is cut.
    Never: blender 1.164 for 1.140, game after the unload 2.43 for 2.33; 256 KiB: 2.45. */
#define SXVKI_BEST_FIT_ABOVE ((VkDeviceSize)1 << 20)

/*  What is above both this and one part in so many of what the program holds gets dedicated memory.
    8 MiB: stk 1.663 with 20 calls for 1.458 with 24; 4 MiB: blender 1.131 with 120 calls for 1.140
    with 112, game after the unload 2.58 for 2.33. A share of 128: game 1.117 with 826 calls for
    1.086 with 954; of 256: 1.068 with 1,608. */
#define SXVKI_DEDICATED_ABOVE ((VkDeviceSize)6 << 20)
#define SXVKI_DEDICATED_SHARE 192

/*  Who wants the least memory pays with calls: for them it is so much lower. 20, 60 and 200 live of
    256 KiB to 24 MiB: committed / live 1.54, 1.31 and 1.17 with some 450 calls in 6,000 replaces.
    1: 1.87, 1.47 and 1.28 with 126; 4: 1.29, 1.19 and 1.11 with 1,000. Who wants the least time
    saves no calls when it is higher: 136, 128 and 104 with twice that, else 138, 122 and 104. */
#define SXVKI_DEDICATED_TIGHT 2

/*  Empty blocks stay while they are no more than one part in so many of what the program holds, and
    the only empty block of a domain up to a size. 32: 10k 1.210 for 1.183; 64: game 1,010 calls for
    954. Only up to 2 MiB: warzone 1.406 for 1.129, tiny sets 519 calls for 218; 8 MiB: minetest
    1.336 for 1.296. */
#define SXVKI_EMPTY_SHARE     48
#define SXVKI_EMPTY_BLOCK_MAX ((VkDeviceSize)4 << 20)

/*  What a domain gave back and needs again within so many frames, it keeps from then on. 1: warzone
    36 calls for 23, blender 129 for 112. */
#define SXVKI_BREATH_FRAMES 4

/*  Without frames, so many allocations of a domain count as one. 16: game after the unload 2.44 for
    2.33; 64: 2.79. */
#define SXVKI_TAKES_PER_FRAME 8

/*  How long an empty block may stay. 120: stellarium 65 calls for 56; 1200: stk 1.724 for 1.458. */
#define SXVKI_RETAIN_FRAMES 360

/*  Allocations without a slot that earn a class a slab. 8: game after the unload 2.55 for 2.33, 10k
    live 1.19 for 1.17. */
#define SXVKI_SLAB_EARNED 16

/*  A slab is at most one part in so many of what lives in its pool's domain, FEW of it or much. So
    the eight traces hold what they hold without slabs. 64 from the start: minetest 1.331 for 1.296,
    openarena 1.501 for 1.428; 512 for ever: 37 bytes of host memory for each of 1M live for 19. */
#define SXVKI_SLAB_SHARE             64
#define SXVKI_SLAB_SHARE_FEW         512
#define SXVKI_SLAB_FEW               ((uint64_t)16 << 20)

#define SXVKI_SHARED_GRANULARITY_MAX 4096 /* above it optimal images have their own domains */
#define SXVKI_DOMAIN_LARGE           1u
#define SXVKI_DOMAIN_OPTIMAL         2u
#define SXVKI_DOMAIN_KINDS           4u

/*  Shards of a pool. A further one is made where allocations waited so often for the lock, and one
    in so many of them came from another thread than the one before. */
#define SXVKI_SHARDS         32u
#define SXVKI_SHARD_WAITS    16u
#define SXVKI_SHARD_SWITCHES 16u

/*  A shard gives to other threads where more than one part in so many of its blocks is free, and
    every shard does while the program holds little. 2 threads that free each other's memory hold
    1.06 times what one holds; 4: 1.11 to 1.22, 12: no less, and 16 threads are a tenth slower.
    Little, were it 64 MiB: 2 and 4 threads with 5,000 live each had more than 1.1 times what one
    has in 4 of 8 runs, and were no faster; as it stands 1.03 times in the worst of 8. */
#define SXVKI_SPARSE_SHARE 8u
#define SXVKI_SPLIT_ABOVE  ((VkDeviceSize)512 << 20)

#define SXVKI_DOMAIN_COUNT (SXVKI_SHARDS * SXVKI_DOMAIN_KINDS)

/*  See "mail". A block is busy while it has more live ranges than letters can be under way: as many
    in the mail, and as many that were taken out of it and are being worked on. */
#define SXVKI_MAIL_MAX 15u /* one cache line, with the word that says which are in use */
SXVKI_STATIC_ASSERT(busy_is_above_the_mail, SXVKI_BUSY_ABOVE > 2 * SXVKI_MAIL_MAX); /* M4 */
#define SXVKI_MAIL_EVERY 8u /* allocations from which the mail is read */

/*  Slots of one size. */
typedef struct sxvki_slab_class {
    sxvki_shared64 taken; /* slots, and above SXVKI_SLOTS_COUNT_BITS the bytes asked for in them */
    uint32_t list;        /* slabs with free slots, the latest first */
    uint32_t demand;      /* allocations that found no slot; stops at SXVKI_SLAB_EARNED */
} sxvki_slab_class;

/*  All of a domain. The sums only grow, modulo 2^64, and what was taken less what was given is
    live. They are apart because one thread may take and another one give. */
typedef struct sxvki_slab_classes {
    sxvki_slab_class classes[SXVKI_SLAB_CLASSES];
    uint64_t apart[8];
    sxvki_shared64 given[SXVKI_SLAB_CLASSES]; /* atomic; as `taken`, of slots given back */
} sxvki_slab_classes;

#define SXVKI_SLOTS_COUNT_BITS 28
#define SXVKI_SLOTS_COUNT_MASK (((uint64_t)1 << SXVKI_SLOTS_COUNT_BITS) - 1)
#define SXVKI_SLOTS_BYTES_MAX  ((uint64_t)1 << 35) /* half of what fits: no more slabs then */

typedef struct sxvki_domain {
    uint32_t mail_bits;            /* atomic; which of `mail` are in use; one cache line with it */
    uint32_t mail[SXVKI_MAIL_MAX]; /* atomic; see sxvki_domain_post */
    SxvkPool pool;                 /* this line changes seldom; null: of a virtual block, no list */
    sxvki_slab_class* classes;     /* class_count of them; null: no slabs here, or no block */
    sxvki_shared64* given;         /* see sxvki_slab_classes, which both point into; null: `taken`
                                      is less what was given back */
    void* last_thread;             /* atomic; that allocated here */
    uint32_t index;                /* SXVKI_DOMAIN_ bits, above SXVKI_DOMAIN_KINDS the shard */
    uint32_t block_first;          /* list of blocks */
    uint32_t block_last;
    uint32_t empty_first;  /* the first empty one in it */
    sxvki_block* front;    /* `block_first`, or null */
    uint32_t block_count;  /* in the list, and being made */
    uint32_t listed_count; /* in the list; this and what is called told may be read at any time */
    uint32_t calm_count;   /* atomic; times that a block ceased to be busy */
    uint32_t has_mail;     /* it may be used */
    sxvki_lock lock;       /* guards all but the mail, the records of its ranges, and its blocks */
    sxvki_bins bins;
    sxvki_linear linear;        /* instead of the bins in a linear pool */
    uint32_t empty_count;       /* told */
    uint32_t live_count;        /* told */
    uint32_t op_count;          /* allocations tried, all since a thread last left */
    uint32_t switch_count;      /* of these, by another thread than the one before */
    uint32_t wait_count;        /* of these, that waited for the lock */
    uint32_t take_count;        /* ranges handed out, ever */
    uint32_t slab_take_count;   /* of these, slabs */
    uint32_t gone_slot_count;   /* slots handed out, ever, of classes that a trim has freed */
    uint32_t takes_then;        /* when the last block was made */
    uint32_t freed_then;        /* by the clock of the domain: when it last gave a block back */
    int has_freed;              /* ... if ever */
    int breathes;               /* needed a block soon after */
    sxvki_shared64 block_bytes; /* told */
    uint64_t empty_bytes;
    sxvki_shared64 live_bytes; /* told; of ranges handed out, slabs among them */
    sxvki_shared64 slab_bytes; /* told */
    uint32_t slab_count;       /* told; with a range */
    uint32_t hollow_count;
    uint32_t class_count;
    void* victims;      /* atomic; sxvki_victim, see "victims" */
    void* visits;       /* sxvki_visit, see "the list of blocks" */
    void* slab_classes; /* atomic; what `classes` points into, for who holds no lock */
} sxvki_domain;

struct SxvkPool_T {
    sxvki_device* device;
    void* domains[SXVKI_DOMAIN_COUNT]; /* atomic; sxvki_domain* */
    VkDeviceSize block_size;           /* of every block; 0: grow from small */
    VkDeviceSize max_block_size;
    VkDeviceSize unit;            /* bytes; ranges start at multiples of it and are such in size */
    VkDeviceSize mixed_unit;      /* the same where buffers and optimal images must be kept apart */
    VkDeviceSize mixed_alignment; /* bytes; the larger of mixed_unit and min_alignment */
    VkDeviceSize margin;          /* bytes behind each */
    VkDeviceSize min_alignment;   /* bytes */
    VkDeviceSize granularity;     /* bytes, 1: nothing to keep apart */
    size_t min_block_count;
    size_t max_block_count; /* SIZE_MAX: no limit */
    const void* next;       /* chain for VkMemoryAllocateInfo */
    float priority;
    uint32_t type;
    uint32_t movable_count; /* entries of >>movable; under its lock */
    SxvkPoolCreateFlags flags;
    int is_custom;
    int is_plainly_linear; /* a linear pool without margins and module, not always dedicated */
    int split_kinds;       /* optimal images in domains of their own */
    int has_slabs;
    uint32_t shards; /* atomic; in use, 1 to SXVKI_SHARDS */
    uint32_t shards_max;
    sxvki_lock dedicated_lock; /* guards the next five, the name, and dedicated records */
    uint32_t dedicated_first;
    uint32_t dedicated_count;            /* told, see sxvki_domain */
    uint32_t dedicated_take_count;       /* ever */
    sxvki_shared64 dedicated_bytes;      /* told; of blocks */
    sxvki_shared64 dedicated_live_bytes; /* told */
    uint32_t module;                     /* atomic; id, see >>module; 0: none */
    uint32_t has_tracks;                 /* atomic; allocations of it may have modules */
    sxvki_shared64 widest;     /* atomic; the largest alignment that a range had, in granules */
    sxvki_shared64 brief_size; /* atomic; the largest dedicated one that lived a few frames */
    uint32_t brief_frame;      /* atomic; when such a one was last seen */
    char* name;
    uint64_t serial;    /* of a custom pool: higher than those of all before; 0: a default one */
    SxvkPool prev_pool; /* list of custom pools, the newest in front */
    void* next_pool;    /* atomic; SxvkPool */
};

/*  A request for memory, past validation. */
typedef struct sxvki_request {
    VkDeviceSize size; /* bytes that the user asked for */
    VkDeviceSize alignment;
    sxvki_kind kind;
    uint32_t state; /* SXVKI_STATE_ bits of the allocation */
    SxvkAllocationCreateFlags flags;
    sxvki_domain* full; /* the thread's domain where room was looked for in vain, or null */
    float priority;
    int needs_dedicated;
    int prefers_dedicated;
    VkBuffer buffer; /* for VkMemoryDedicatedAllocateInfo */
    VkImage image;
    const void* next; /* chain for VkMemoryAllocateInfo */
} sxvki_request;

/*  Where a request goes inside a pool, in granules. */
typedef struct sxvki_place {
    uint32_t domain;
    uint64_t size;
    uint64_t alignment;
    uint32_t tail;      /* bytes of the range behind what the user asked for */
    uint32_t slot_size; /* granules of a slot that would do; 0: no slab */
    uint32_t state;     /* SXVKI_STATE_ bits of the allocation */
    sxvki_strategy strategy;
} sxvki_place;

static VkDeviceSize sxvki_default_block_ceiling(const sxvki_device* device, uint32_t type) {
    VkDeviceSize heap = device->model.properties.memoryHeaps[sxvki_type_heap(device, type)].size;
    VkDeviceSize ceiling = heap / 8;
    if (heap > (VkDeviceSize)1 << 30) {
        ceiling = sxvki_min64(ceiling, device->preferred_block_size);
    }
    ceiling = sxvki_min64(ceiling, device->vk.max_allocation_size);
    return sxvki_max64(sxvki_align_down(ceiling, SXVKI_GRANULE), SXVKI_GRANULE);
}

SXVKI_INLINE int sxvki_pool_is_linear(const struct SxvkPool_T* pool) {
    return (pool->flags & SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT) != 0;
}

SXVKI_INLINE int sxvki_domain_is_linear(const sxvki_domain* domain) {
    return domain->linear.epoch != 0;
}

/*  info is null for the default pool of a type. Returns 0 where the system has no more locks. */
SXVKI_COLD static int sxvki_pool_init(SxvkPool pool, sxvki_device* device, uint32_t type,
                                      const SxvkPoolCreateInfo* info) {
    int ignore =
        info != NULL && (info->flags & SXVK_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT) != 0;
    int locked =
        (device->flags & SXVK_ALLOCATOR_CREATE_EXTERNALLY_SYNCHRONIZED_BIT) == 0 &&
        !(info != NULL && (info->flags & SXVK_POOL_CREATE_EXTERNALLY_SYNCHRONIZED_BIT) != 0);
    memset(pool, 0, sizeof *pool);
    pool->device = device;
    pool->type = type;
    pool->priority = 0.5f;
    pool->max_block_count = SIZE_MAX;
    pool->max_block_size = sxvki_default_block_ceiling(device, type);
    pool->min_alignment = sxvki_max64(device->debug.minAlignment, 1);
    pool->granularity = ignore ? 1 : device->vk.granularity;
    pool->dedicated_first = SXVKI_NONE;
    if (info != NULL) {
        pool->is_custom = 1;
        pool->flags = info->flags;
        pool->next = info->pMemoryAllocateNext;
        pool->min_block_count = info->minBlockCount;
        pool->module = (uint32_t)(uintptr_t)info->module;
        pool->block_size = sxvki_align_up(info->blockSize, SXVKI_GRANULE);
        if (info->priority != 0.0f) {
            pool->priority = info->priority;
        }
        if (info->minAllocationAlignment != 0) {
            pool->min_alignment = sxvki_max64(pool->min_alignment, info->minAllocationAlignment);
        }
        if (info->maxBlockCount != 0) {
            pool->max_block_count = info->maxBlockCount;
        }
        if (pool->block_size == 0 &&
            (info->minBlockCount != 0 || info->maxBlockCount != 0 || sxvki_pool_is_linear(pool))) {
            pool->block_size = pool->max_block_size;
        }
        if (pool->block_size != 0) {
            pool->max_block_size = pool->block_size;
        }
    }
    pool->split_kinds = pool->block_size == 0 && pool->granularity > SXVKI_SHARED_GRANULARITY_MAX;
    pool->unit = SXVKI_GRANULE;
    if (sxvki_type_wants_flush(device, type)) {
        pool->unit = sxvki_max64(pool->unit, device->vk.atom);
    }
    pool->mixed_unit = sxvki_max64(pool->unit, pool->granularity);
    pool->mixed_alignment = sxvki_max64(pool->mixed_unit, pool->min_alignment);
    pool->margin = sxvki_type_margin(device, type);
    pool->is_plainly_linear = sxvki_pool_is_linear(pool) && pool->margin == 0 &&
                              (device->debug.flags & SXVK_DEBUG_ALWAYS_DEDICATED_BIT) == 0 &&
                              pool->module == 0;
    pool->has_slabs = pool->block_size == 0 && pool->margin == 0;
    pool->widest = SXVKI_SLAB_SIZE_MAX; /* what is less is not noted */
    pool->shards = 1;
    pool->shards_max = pool->block_size == 0 && locked && SXVKI_HAS_THREAD_HINT ? SXVKI_SHARDS : 1;
    return sxvki_lock_init(&pool->dedicated_lock, locked);
}

/*  Domains beyond it were never made. */
SXVKI_INLINE uint32_t sxvki_pool_domain_count(const struct SxvkPool_T* pool) {
    return sxvki_load32_relaxed(&pool->shards) * SXVKI_DOMAIN_KINDS;
}

SXVKI_INLINE sxvki_domain* sxvki_pool_domain(const struct SxvkPool_T* pool, uint32_t index) {
    return (sxvki_domain*)sxvki_load_ptr(&pool->domains[index]);
}

SXVKI_COLD static void sxvki_domain_shutdown(sxvki_domain* domain) {
    sxvki_bins_shutdown(&domain->bins);
    if (sxvki_domain_is_linear(domain)) {
        sxvki_linear_sweep(&domain->linear);
        sxvki_linear_give_all(domain->linear.records, domain->linear.spare, domain->linear.epoch);
    }
    sxvki_lock_shutdown(&domain->lock);
    sxvki_host_free(&domain->pool->device->host, domain->classes);
    sxvki_host_free(&domain->pool->device->host, domain);
}

/*  No block of the domain is larger. */
static VkDeviceSize sxvki_pool_largest_block(const struct SxvkPool_T* pool, uint32_t index) {
    int is_small = pool->block_size == 0 && (index & SXVKI_DOMAIN_LARGE) == 0;
    return is_small ? sxvki_max64(SXVKI_SMALL_LIMIT, pool->max_block_size) : pool->max_block_size;
}

/*  What a domain with blocks has. Returns 0 where there is no host memory. Caller holds the
    lock. */
SXVKI_COLD static int sxvki_domain_make_classes(sxvki_domain* domain) {
    sxvki_slab_classes* all;
    uint32_t i;
    if (domain->classes != NULL || !domain->pool->has_slabs ||
        (domain->index & SXVKI_DOMAIN_LARGE) != 0) {
        return 1;
    }
    all = (sxvki_slab_classes*)sxvki_host_alloc_zeroed(&domain->pool->device->host, sizeof *all);
    if (all == NULL) {
        return 0;
    }
    for (i = 0; i < SXVKI_SLAB_CLASSES; i++) {
        all->classes[i].list = SXVKI_NONE;
    }
    domain->classes = all->classes;
    domain->given = all->given;
    domain->class_count = SXVKI_SLAB_CLASSES;
    sxvki_store_ptr(&domain->slab_classes, all);
    return 1;
}

/*  Make the domain if it is not there; null where there is no host memory. */
SXVKI_COLD static sxvki_domain* sxvki_pool_make_domain(SxvkPool pool, uint32_t index) {
    sxvki_domain* domain = sxvki_pool_domain(pool, index);
    void* seen = NULL;
    if (domain != NULL) {
        return domain;
    }
    domain = (sxvki_domain*)sxvki_host_alloc_zeroed(&pool->device->host, sizeof *domain);
    if (domain == NULL) {
        return NULL;
    }
    domain->pool = pool;
    domain->index = index;
    domain->block_first = SXVKI_NONE;
    domain->block_last = SXVKI_NONE;
    domain->empty_first = SXVKI_NONE;
    domain->has_mail =
        pool->dedicated_lock.on && SXVKI_HAS_THREAD_HINT && !sxvki_pool_is_linear(pool);
    if (sxvki_pool_is_linear(pool)) {
        sxvki_linear_init(&domain->linear, &pool->device->records);
    }
    sxvki_bins_init(&domain->bins, &pool->device->records,
                    sxvki_pool_largest_block(pool, index) >> SXVKI_GRANULE_SHIFT);
    if (!sxvki_lock_init(&domain->lock, (int)pool->dedicated_lock.on)) {
        sxvki_domain_shutdown(domain);
        return NULL;
    }
    if (!sxvki_cas_ptr(&pool->domains[index], &seen, domain)) {
        sxvki_domain_shutdown(domain); /* another thread was faster */
        domain = (sxvki_domain*)seen;
    }
    return domain;
}

SXVKI_INLINE sxvki_strategy sxvki_strategy_of(SxvkAllocationCreateFlags flags, VkDeviceSize size) {
    const VkFlags any =
        SXVK_ALLOCATION_CREATE_STRATEGY_MASK | SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT;
    if ((flags & any) == 0) {
        return size >= SXVKI_BEST_FIT_ABOVE ? SXVKI_STRATEGY_MIN_MEMORY : SXVKI_STRATEGY_MIN_TIME;
    }
    return flags & SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT         ? SXVKI_STRATEGY_UPPER
           : flags & SXVK_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT ? SXVKI_STRATEGY_MIN_OFFSET
           : flags & SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT ? SXVKI_STRATEGY_MIN_MEMORY
                                                                    : SXVKI_STRATEGY_MIN_TIME;
}

/*  Ranges for such a resource start at multiples of it and are such in size. *is_split: in a domain
    for optimal images alone. */
SXVKI_INLINE VkDeviceSize sxvki_pool_unit(const struct SxvkPool_T* pool, sxvki_kind kind,
                                          int* is_split) {
    int is_linear = kind == SXVKI_KIND_BUFFER || kind == SXVKI_KIND_IMAGE_LINEAR;
    *is_split = !is_linear && pool->split_kinds && kind == SXVKI_KIND_IMAGE_OPTIMAL;
    return is_linear || *is_split ? pool->unit : pool->mixed_unit;
}

/*  Remember an alignment, for who moves ranges: they do not know their own. */
SXVKI_COLD static void sxvki_pool_note_alignment(SxvkPool pool, uint64_t alignment) {
    uint64_t seen = sxvki_load64_relaxed(&pool->widest);
    while (alignment > seen && !sxvki_cas64(&pool->widest, &seen, alignment)) {
    }
}

/*  Size, alignment and domain of a request. Returns 0 for what no block can hold. */
SXVKI_HOT int sxvki_pool_place(SxvkPool pool, const sxvki_request* request, sxvki_place* place) {
    int is_split;
    VkDeviceSize unit = sxvki_pool_unit(pool, request->kind, &is_split);
    VkDeviceSize alignment =
        sxvki_max64(request->alignment, sxvki_max64(pool->min_alignment, unit));
    VkDeviceSize size = sxvki_align_up(request->size + pool->margin, unit);
    if (request->size > SXVKI_GRANULES_MAX << SXVKI_GRANULE_SHIFT) {
        return 0;
    }
    place->domain = is_split ? SXVKI_DOMAIN_OPTIMAL : 0;
    place->size = size >> SXVKI_GRANULE_SHIFT;
    place->alignment = alignment >> SXVKI_GRANULE_SHIFT;
    place->tail = (uint32_t)(size - request->size);
    place->slot_size = 0;
    place->state = request->state | (request->flags & SXVKI_STATE_PINNED);
    place->strategy = sxvki_strategy_of(request->flags, request->size);
    if (sxvki_max64(place->size, place->alignment) <= SXVKI_SLAB_SIZE_MAX) {
        uint32_t least = (uint32_t)place->size;
        uint32_t slot_size = sxvki_slab_slot_size(least, (uint32_t)place->alignment);
        uint32_t most = least + least / SXVKI_SLAB_STEPS;
        if (pool->has_slabs && (slot_size <= most || slot_size <= least + SXVKI_SLAB_PAD_MAX)) {
            place->slot_size = slot_size;
        }
        return 1;
    }
    if (size >= SXVKI_SMALL_LIMIT && pool->block_size == 0) {
        place->domain |= SXVKI_DOMAIN_LARGE;
    }
    if (place->alignment > sxvki_load64_relaxed(&pool->widest)) {
        sxvki_pool_note_alignment(pool, place->alignment);
    }
    return place->size <= SXVKI_GRANULES_MAX && place->alignment <= SXVKI_GRANULES_MAX / 2;
}

/* --- the list of blocks; caller holds the lock of the domain --- */

/*  A walk over the blocks in use, a few of them under one lock. It sees each that stays in use. */
typedef struct sxvki_visit {
    sxvki_domain* domain; /* null: it has ended */
    struct sxvki_visit* prev;
    struct sxvki_visit* next;
    uint32_t block; /* to see next */
} sxvki_visit;

#if !SX_VKALLOC_NO_DEFRAG
SXVKI_COLD static void sxvki_visit_begin(sxvki_visit* visit, sxvki_domain* domain) {
    visit->domain = domain;
    visit->block = domain->block_first;
    visit->prev = NULL;
    visit->next = (sxvki_visit*)domain->visits;
    if (visit->next != NULL) {
        visit->next->prev = visit;
    }
    domain->visits = visit;
}

SXVKI_COLD static void sxvki_visit_end(sxvki_visit* visit) {
    if (visit->prev != NULL) {
        visit->prev->next = visit->next;
    } else {
        visit->domain->visits = visit->next;
    }
    if (visit->next != NULL) {
        visit->next->prev = visit->prev;
    }
    visit->domain = NULL;
}

/*  Null after the last, and the walk has ended then. */
SXVKI_COLD static sxvki_block* sxvki_visit_next(sxvki_visit* visit) {
    sxvki_block* block = visit->block == SXVKI_NONE
                             ? NULL
                             : sxvki_block_at(visit->domain->pool->device, visit->block);
    if (block == NULL || block->live_count == 0) {
        sxvki_visit_end(visit);
        return NULL;
    }
    visit->block = block->next;
    return block;
}
#endif /* !SX_VKALLOC_NO_DEFRAG */

/*  A block leaves its place in the list: walks that would see it next go on behind it. */
SXVKI_COLD static void sxvki_visits_pass(const sxvki_domain* domain, const sxvki_block* block) {
    sxvki_visit* visit;
    for (visit = (sxvki_visit*)domain->visits; visit != NULL; visit = visit->next) {
        if (visit->block == block->id) {
            visit->block = block->next;
        }
    }
}

static void sxvki_domain_list_remove(sxvki_domain* domain, sxvki_block* block) {
    const sxvki_device* device = domain->pool->device;
    sxvki_block* next = block->next == SXVKI_NONE ? NULL : sxvki_block_at(device, block->next);
    if (domain->visits != NULL) {
        sxvki_visits_pass(domain, block);
    }
    if (block->prev != SXVKI_NONE) {
        sxvki_block_at(device, block->prev)->next = block->next;
    } else {
        domain->block_first = block->next;
        domain->front = next;
    }
    if (next != NULL) {
        next->prev = block->prev;
    } else {
        domain->block_last = block->prev;
    }
    if (domain->empty_first == block->id) {
        domain->empty_first = block->next;
    }
}

/*  A block in use goes to the front, an empty one to the end. */
static void sxvki_domain_list_insert(sxvki_domain* domain, sxvki_block* block, int is_empty) {
    const sxvki_device* device = domain->pool->device;
    block->prev = is_empty ? domain->block_last : SXVKI_NONE;
    block->next = is_empty ? SXVKI_NONE : domain->block_first;
    if (block->prev != SXVKI_NONE) {
        sxvki_block_at(device, block->prev)->next = block->id;
    } else {
        domain->block_first = block->id;
        domain->front = block;
    }
    if (block->next != SXVKI_NONE) {
        sxvki_block_at(device, block->next)->prev = block->id;
    } else {
        domain->block_last = block->id;
    }
    if (is_empty && domain->empty_first == SXVKI_NONE) {
        domain->empty_first = block->id;
    }
}

/*  The frame; while the program has not told of any, every few allocations count as one. */
SXVKI_INLINE uint32_t sxvki_domain_clock(const sxvki_domain* domain) {
    uint32_t frame = sxvki_load32_relaxed(&domain->pool->device->frame);
    return frame != 0 ? frame : domain->take_count / SXVKI_TAKES_PER_FRAME;
}

/*  Move a block whose live_count became 0, or stopped being 0. */
static void sxvki_domain_mark(sxvki_domain* domain, sxvki_block* block, int is_empty) {
    sxvki_domain_list_remove(domain, block);
    sxvki_domain_list_insert(domain, block, is_empty);
    block->since = sxvki_domain_clock(domain);
    if (is_empty) {
        sxvki_count32(&domain->empty_count, 1);
        domain->empty_bytes += block->size;
    } else {
        sxvki_count32(&domain->empty_count, UINT32_MAX);
        domain->empty_bytes -= block->size;
    }
}

/* --- victims: blocks that a defragmentation wants to run empty; caller holds the lock ---

    A victim is frozen: nothing new is handed out there. It belongs to who froze it, but its domain
    may end that: when the block runs empty it goes back to the driver, whatever else would keep it,
    and when the domain finds no room elsewhere the block thaws, see sxvki_domain_revive.

         FREEZES -> FROZEN -> gone     a walk each to freeze and to thaw; `block` is null once it is
             \        |                gone, or has thawed
              +-> THAWS -> thawed
*/

typedef enum sxvki_victim_state {
    SXVKI_VICTIM_FREEZES,
    SXVKI_VICTIM_FROZEN,
    SXVKI_VICTIM_THAWS
} sxvki_victim_state;

typedef struct sxvki_victim {
    sxvki_domain* domain;
    sxvki_block* block; /* guarded by the domain, as is all below */
    struct sxvki_victim* prev;
    struct sxvki_victim* next;
    sxvki_frozen frozen;
    sxvki_victim_state state;
    VkDeviceSize freed; /* bytes of the block, once it is gone */
} sxvki_victim;

#define SXVKI_VICTIM_PORTION 64u /* steps of a walk under one lock: 10 us where memory is far */

SXVKI_INLINE sxvki_victim* sxvki_block_victim(const sxvki_block* block) {
    return block->epoch != 0 ? NULL : block->in.stock.victim; /* not of a linear pool */
}

/*  Not being frozen yet, nor thawing, nor over. */
SXVKI_UNUSED static int sxvki_victim_is_frozen(const sxvki_victim* victim) {
    return victim->block != NULL && victim->state == SXVKI_VICTIM_FROZEN;
}

/*  The block is a victim no more. */
SXVKI_COLD static void sxvki_victim_end(sxvki_victim* victim) {
    sxvki_domain* domain = victim->domain;
    sxvki_frozen_end(&domain->bins, &victim->frozen);
    victim->block->in.stock.victim = NULL;
    victim->block = NULL;
    if (victim->prev != NULL) {
        victim->prev->next = victim->next;
    } else {
        sxvki_store_ptr(&domain->victims, victim->next);
    }
    if (victim->next != NULL) {
        victim->next->prev = victim->prev;
    }
}

/*  The block goes, and was taken out of the bins. */
SXVKI_COLD static void sxvki_victim_succeed(sxvki_block* block) {
    sxvki_victim* victim = block->in.stock.victim;
    victim->freed = block->size;
    sxvki_victim_end(victim);
}

/*  What was given back in the block left this free range. */
SXVKI_COLD static void sxvki_victim_follow(sxvki_victim* victim, uint32_t index) {
    sxvki_bins* bins = &victim->domain->bins;
    sxvki_frozen_follow(bins, &victim->frozen, index);
    if (victim->state != SXVKI_VICTIM_THAWS) {
        sxvki_frozen_take(bins, &victim->frozen, index);
    }
}

/*  Make sure that there is what a new block may need. Returns 0: no host memory. */
SXVKI_COLD static int sxvki_domain_prepare(sxvki_domain* domain) {
    return sxvki_domain_is_linear(domain)
               ? sxvki_linear_prepare(&domain->linear)
               : sxvki_bins_prepare(&domain->bins) && sxvki_domain_make_classes(domain);
}

/*  Take an empty block out of everything but its slot. */
SXVKI_COLD static void sxvki_domain_forget(sxvki_domain* domain, sxvki_block* block) {
    if (sxvki_domain_is_linear(domain)) {
        sxvki_linear_sweep(&domain->linear);
    } else {
        sxvki_bins_remove_block(&domain->bins, block->first);
    }
    if (sxvki_block_victim(block) != NULL) {
        sxvki_victim_succeed(block);
    }
    sxvki_domain_list_remove(domain, block);
    domain->block_count--;
    sxvki_count32(&domain->listed_count, UINT32_MAX);
    sxvki_count64(&domain->block_bytes, 0 - block->size);
    sxvki_count32(&domain->empty_count, UINT32_MAX);
    domain->empty_bytes -= block->size;
}

/*  Room for a new block: an empty one, in the list and in the bins. domain_prepare was called. */
static void sxvki_domain_adopt(sxvki_domain* domain, sxvki_block* block) {
    block->domain = domain;
    if (sxvki_domain_is_linear(domain)) {
        sxvki_lane_init(&block->in.lane, block->size >> SXVKI_GRANULE_SHIFT);
        sxvki_store32_relaxed(&block->epoch, domain->linear.epoch);
    } else {
        block->first =
            sxvki_bins_add_block(&domain->bins, block->id, block->size >> SXVKI_GRANULE_SHIFT);
        memset(&block->in.stock, 0, sizeof block->in.stock);
    }
    sxvki_domain_list_insert(domain, block, 1);
    block->since = sxvki_domain_clock(domain);
    sxvki_count32(&domain->listed_count, 1);
    sxvki_count64(&domain->block_bytes, block->size);
    sxvki_count32(&domain->empty_count, 1);
    domain->empty_bytes += block->size;
}

/*  From the range handed out to the allocation: counters and the record's state. */
static SxvkAllocation sxvki_domain_account(sxvki_domain* domain, uint32_t index,
                                           const sxvki_place* place) {
    sxvki_record* r = sxvki_record_at(domain->bins.records, index);
    sxvki_block* block =
        domain->pool == NULL ? NULL : sxvki_block_at(domain->pool->device, sxvki_record_block(r));
    r->link_a = place->tail;
    sxvki_store32_relaxed(&r->link_b, place->state);
    sxvki_record_age(r);
    if (block != NULL) {
        block->in.stock.live_size += place->size;
        if (block->live_count++ == 0) {
            sxvki_domain_mark(domain, block, 0);
        }
        if (block->live_count == SXVKI_BUSY_ABOVE + 1) {
            sxvki_store32_relaxed(&block->is_busy, 1);
        }
    }
    sxvki_count32(&domain->live_count, 1);
    domain->take_count++;
    sxvki_count64(&domain->live_bytes, (place->size << SXVKI_GRANULE_SHIFT) - place->tail);
    return sxvki_handle_make(sxvki_record_generation(r), index);
}

/* --- linear pools; the caller holds the lock of the domain --- */

/*  A range of this block; null where it has no room. linear_prepare was called. */
SXVKI_HOT SxvkAllocation sxvki_block_take_linear(sxvki_domain* domain, sxvki_block* block,
                                                 uint64_t size, uint64_t alignment, uint32_t tail,
                                                 uint32_t state, int is_upper) {
    uint32_t index;
    sxvki_record* r = sxvki_linear_take(&domain->linear, &block->in.lane, block->id, size,
                                        alignment, is_upper, &index);
    if (r == NULL) {
        return VK_NULL_HANDLE;
    }
    r->link_a = tail;
    sxvki_store32_relaxed(&r->link_b, state | SXVKI_STATE_LINEAR);
    sxvki_record_age(r);
    if (block->live_count++ == 0) {
        sxvki_domain_mark(domain, block, 0);
    }
    sxvki_count32(&domain->live_count, 1);
    domain->take_count++;
    sxvki_count64(&domain->live_bytes, (size << SXVKI_GRANULE_SHIFT) - tail);
    return sxvki_handle_make(sxvki_record_generation(r) + 2 * domain->linear.epoch,
                             SXVKI_HANDLE_LINEAR_BIT | index);
}

/*  A range of the newest block in use, else of an empty one, which is the newest then. As the list
    has the newest in front, popping a stack block by block goes back through it. */
SXVKI_APART static VkResult sxvki_domain_take_linear(sxvki_domain* domain, const sxvki_place* place,
                                                     SxvkAllocation* taken) {
    sxvki_block* block = domain->front;
    if (!sxvki_linear_prepare(&domain->linear)) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    while (block != NULL) {
        *taken = sxvki_block_take_linear(domain, block, place->size, place->alignment, place->tail,
                                         place->state, place->strategy == SXVKI_STRATEGY_UPPER);
        if (*taken != VK_NULL_HANDLE) {
            return VK_SUCCESS;
        }
        block = block->live_count != 0 && domain->empty_first != SXVKI_NONE
                    ? sxvki_block_at(domain->pool->device, domain->empty_first)
                    : NULL;
    }
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

/*  Let go of all ranges; the blocks stay, empty. */
static void sxvki_domain_reset(sxvki_domain* domain) {
    const sxvki_device* device = domain->pool->device;
    uint32_t id;
    while (domain->block_first != domain->empty_first) {
        sxvki_block* block = sxvki_block_at(device, domain->block_first);
        sxvki_linear_drop(&domain->linear, &block->in.lane, block->size >> SXVKI_GRANULE_SHIFT);
        block->live_count = 0;
        sxvki_domain_mark(domain, block, 1);
    }
    sxvki_linear_next_epoch(&domain->linear);
    for (id = domain->block_first; id != SXVKI_NONE; id = sxvki_block_at(device, id)->next) {
        sxvki_store32_relaxed(&sxvki_block_at(device, id)->epoch, domain->linear.epoch);
    }
    sxvki_store32_relaxed(&domain->live_count, 0);
    sxvki_store64_relaxed(&domain->live_bytes, 0);
}

/* --- slabs of a domain; the caller holds the lock, but for sxvki_domain_give_slot --- */

/*  Live slots of a class and their bytes. */
SXVKI_INLINE uint64_t sxvki_domain_live_slots(const sxvki_domain* domain, uint32_t class_index) {
    uint64_t given = domain->given == NULL ? 0 : sxvki_load64_relaxed(&domain->given[class_index]);
    return domain->classes[class_index].taken - given;
}

static void sxvki_domain_list_slab(sxvki_domain* domain, uint32_t id, sxvki_slab* slab) {
    sxvki_slab_list_push(domain->bins.records, &domain->classes[slab->class_index].list, id, slab);
}

static void sxvki_domain_unlist_slab(sxvki_domain* domain, sxvki_slab* slab) {
    sxvki_slab_list_remove(domain->bins.records, &domain->classes[slab->class_index].list, slab);
}

/*  How many slots a new slab should have; 0: none. It is small against what the class has, and
    against all that is live. So slabs start small, and a small program has none. */
static uint32_t sxvki_domain_slab_slots(const sxvki_domain* domain, uint32_t class_index,
                                        uint32_t slot_size) {
    uint64_t live = sxvki_domain_live_slots(domain, class_index);
    uint64_t count = live & SXVKI_SLOTS_COUNT_MASK;
    int is_few = domain->pool != NULL && domain->live_bytes < SXVKI_SLAB_FEW;
    uint32_t share = is_few ? SXVKI_SLAB_SHARE_FEW : SXVKI_SLAB_SHARE;
    uint64_t most = (domain->live_bytes / share) >> SXVKI_GRANULE_SHIFT;
    most = sxvki_min64(most / slot_size, SXVKI_SLAB_SLOTS);
    if (most < SXVKI_SLAB_SLOTS_MIN || count >= SXVKI_SLOTS_COUNT_MASK / 2 ||
        live >> SXVKI_SLOTS_COUNT_BITS >= SXVKI_SLOTS_BYTES_MAX) {
        return 0;
    }
    return (uint32_t)sxvki_min64(most, sxvki_max64(count / 4, SXVKI_SLAB_SLOTS_MIN));
}

/*  A slab for a class that has earned one by a few allocations that found no slot, in the list of
    the class; if it may have one, and there is room. bins_prepare was called. */
SXVKI_COLD static int sxvki_domain_open_slab(sxvki_domain* domain, uint32_t slot_size) {
    uint32_t class_index = sxvki_slab_class_of(slot_size);
    sxvki_slab_class* c = &domain->classes[class_index];
    uint32_t slots = sxvki_domain_slab_slots(domain, class_index, slot_size);
    sxvki_records* records = domain->bins.records;
    sxvki_place place;
    sxvki_record* r;
    sxvki_slab* slab;
    uint32_t id, index;
    if (slots == 0) {
        return 0;
    }
    c->demand = 0; /* also where it fails: not to be tried each time */
    id = sxvki_slab_new(records);
    if (id == SXVKI_NONE) {
        return 0;
    }
    memset(&place, 0, sizeof place);
    place.size = (uint64_t)slots * slot_size;
    place.alignment = slot_size & (~slot_size + 1); /* so every slot has what its class allows */
    place.state = SXVKI_STATE_SLAB;
    index = sxvki_bins_take(&domain->bins, place.size, place.alignment, SXVKI_STRATEGY_MIN_TIME);
    if (index == SXVKI_NONE) {
        sxvki_slab_delete(records, id);
        return 0;
    }
    sxvki_domain_account(domain, index, &place);
    r = sxvki_record_at(records, index);
    r->link_a = id; /* only looked at under the lock */
    slab = sxvki_slab_at(records, id);
    slab->offset = sxvki_record_offset(r);
    sxvki_store32_relaxed(&slab->block, sxvki_record_block(r));
    slab->record = index;
    slab->slot_size = slot_size;
    slab->slot_count = slots;
    slab->class_index = class_index;
    sxvki_store_ptr(&slab->owner, domain);
    sxvki_store64_relaxed(&slab->word, sxvki_slab_full(slab) | SXVKI_SLAB_HELD);
    sxvki_domain_list_slab(domain, id, slab);
    sxvki_count32(&domain->slab_count, 1);
    domain->slab_take_count++;
    sxvki_count64(&domain->slab_bytes, place.size << SXVKI_GRANULE_SHIFT);
    c->demand = SXVKI_SLAB_EARNED;
    return 1;
}

/*  A slot of a listed slab; null where the class has none. */
SXVKI_HOT SxvkAllocation sxvki_domain_take_slot(sxvki_domain* domain, const sxvki_place* place) {
    sxvki_slab_class* c = &domain->classes[sxvki_slab_class_of(place->slot_size)];
    uint64_t bytes = (place->size << SXVKI_GRANULE_SHIFT) - place->tail;
    uint32_t id = c->list;
    uint32_t generation, i;
    sxvki_slab* slab;
    sxvki_slot* slot;
    int is_full;
    if (id == SXVKI_NONE) {
        return VK_NULL_HANDLE;
    }
    slab = sxvki_slab_at(domain->bins.records, id);
    i = sxvki_slab_take(slab, &is_full);
    if (is_full) {
        sxvki_domain_unlist_slab(domain, slab);
    }
    slot = &slab->slots[i];
    slot->tail = (uint32_t)(((uint64_t)place->slot_size << SXVKI_GRANULE_SHIFT) - bytes);
    sxvki_store32_relaxed(&slot->state, place->state);
    generation = sxvki_generation_after(sxvki_load32_relaxed(&slot->generation));
    sxvki_store32(&slot->generation, generation);
    sxvki_count64(&c->taken, bytes << SXVKI_SLOTS_COUNT_BITS | 1);
    return sxvki_handle_make(generation, sxvki_slot_index(id, i));
}

/*  Slots are neither the tightest nor the lowest places: the last resort for who wants these. */
SXVKI_INLINE int sxvki_place_uses_slabs(const sxvki_place* place) {
    return place->strategy == SXVKI_STRATEGY_MIN_TIME ||
           (place->strategy == SXVKI_STRATEGY_MIN_MEMORY &&
            place->slot_size <= SXVKI_SLAB_SIZE_MAX / 4);
}

/*  Should a block that has just run empty stay? */
static int sxvki_domain_retains(const sxvki_domain* domain, const sxvki_block* block) {
    const sxvki_device* device = domain->pool->device;
    if (domain->listed_count <= domain->pool->min_block_count) {
        return 1;
    }
    if (!sxvki_budget_has_room(&device->budget, sxvki_type_heap(device, block->type), 0)) {
        return 0;
    }
    if (domain->breathes && sxvki_domain_clock(domain) - block->since <= SXVKI_BREATH_FRAMES) {
        return 1;
    }
    if (domain->empty_count == 0 &&
        (block->size <= SXVKI_EMPTY_BLOCK_MAX || sxvki_domain_is_linear(domain))) {
        return 1;
    }
    return domain->empty_bytes + block->size <=
           sxvki_budget_total(&device->budget) / SXVKI_EMPTY_SHARE;
}

/*  A block has just run empty. It goes to *chain if it is to be destroyed, once the lock is
    dropped; with no chain it stays. */
static void sxvki_domain_empties(sxvki_domain* domain, sxvki_block* block, sxvki_block** chain) {
    int is_victim = sxvki_block_victim(block) != NULL;
    int retain = chain == NULL || (is_victim ? domain->listed_count <= domain->pool->min_block_count
                                             : sxvki_domain_retains(domain, block));
    sxvki_domain_mark(domain, block, 1);
    if (!retain) {
        domain->has_freed |= !is_victim;
        domain->freed_then = block->since;
        sxvki_domain_forget(domain, block);
        block->next = *chain == NULL ? SXVKI_NONE : (*chain)->id;
        *chain = block;
    }
}

/*  Take back a range of a linear pool that was claimed. What becomes of its block: as above. */
SXVKI_HOT void sxvki_domain_give_linear(sxvki_domain* domain, sxvki_block* block, uint32_t index,
                                        sxvki_record* r, sxvki_block** chain) {
    sxvki_count32(&domain->live_count, UINT32_MAX);
    sxvki_count64(&domain->live_bytes, 0 - sxvki_record_bytes(r));
    sxvki_linear_give(&domain->linear, &block->in.lane, block->size >> SXVKI_GRANULE_SHIFT, index,
                      r);
    if (--block->live_count == 0) {
        sxvki_domain_empties(domain, block, chain);
    }
}

/*  The same for any range. */
static void sxvki_domain_give(sxvki_domain* domain, uint32_t index, sxvki_block** chain) {
    sxvki_record* r = sxvki_record_at(domain->bins.records, index);
    uint32_t id = sxvki_record_block(r);
    sxvki_block* block;
    uint64_t size;
    if (sxvki_domain_is_linear(domain)) {
        block = sxvki_block_at(domain->pool->device, id);
        sxvki_domain_give_linear(domain, block, index, r, chain);
        return;
    }
    size = sxvki_record_size(r);
    sxvki_count32(&domain->live_count, UINT32_MAX);
    sxvki_count64(&domain->live_bytes, r->link_a - (size << SXVKI_GRANULE_SHIFT));
    if (domain->pool == NULL) {
        sxvki_bins_give(&domain->bins, index);
        return;
    }
    block = sxvki_block_at(domain->pool->device, id);
    index = sxvki_bins_give(&domain->bins, index);
    block->in.stock.live_size -= size;
    if (block->in.stock.victim != NULL) {
        sxvki_victim_follow(block->in.stock.victim, index);
    }
    if (--block->live_count == SXVKI_BUSY_ABOVE) {
        sxvki_store32_relaxed(&block->is_busy, 0);
        (void)sxvki_exchange32(&domain->calm_count,
                               domain->calm_count + 1); /* then read the mail */
    }
    if (block->live_count == 0) {
        sxvki_domain_empties(domain, block, chain);
    }
}

/*  Give the range of a slab back, in which nothing lives. */
static void sxvki_domain_give_slab(sxvki_domain* domain, sxvki_slab* slab, sxvki_block** chain) {
    sxvki_record* r = sxvki_record_at(domain->bins.records, slab->record);
    sxvki_count32(&domain->slab_count, UINT32_MAX);
    sxvki_count64(&domain->slab_bytes, 0 - (sxvki_record_size(r) << SXVKI_GRANULE_SHIFT));
    r->link_a = 0;
    sxvki_domain_give(domain, slab->record, chain);
}

/*  Put a slab into its class's list if it belongs there, and close it if no slot of it is in use.
    It may have become another's meanwhile, or been closed. */
static void sxvki_domain_settle_slab(sxvki_domain* domain, uint32_t id, sxvki_block** chain) {
    sxvki_records* records = domain->bins.records;
    sxvki_slab* slab;
    uint64_t expected;
    if (!sxvki_slab_exists(records, id)) {
        return; /* trimmed meanwhile */
    }
    slab = sxvki_slab_at(records, id);
    if (sxvki_load_ptr(&slab->owner) != domain) {
        return;
    }
    if (slab->is_listed == SXVKI_SLAB_OUT && (sxvki_load64(&slab->word) & SXVKI_SLAB_HELD) != 0) {
        sxvki_domain_list_slab(domain, id, slab);
        SXVKI_PREFETCH(&slab->slots[sxvki_low_bit(sxvki_load64_relaxed(&slab->word))]);
    }
    expected = sxvki_slab_full(slab) | SXVKI_SLAB_HELD;
    if (slab->is_listed == SXVKI_SLAB_OUT || !sxvki_cas64(&slab->word, &expected, 0)) {
        return;
    }
    if (slab->is_listed == SXVKI_SLAB_LISTED) {
        sxvki_domain_unlist_slab(domain, slab);
    }
    slab->is_listed = SXVKI_SLAB_OUT;
    sxvki_store_ptr(&slab->owner, NULL);
    domain->classes[slab->class_index].demand = 0;
    if (slab->record == SXVKI_NONE) {
        domain->hollow_count--;
    } else {
        sxvki_domain_give_slab(domain, slab, chain);
    }
    sxvki_slab_delete(records, id);
}

/* --- mail: what threads give back that do not allocate here ---

    To free under the domain's lock is to drag its lock, bins, bitmaps, and neighbours of the range
    to this core, and the next allocation drags them back. So a thread that frees what another one
    allocates leaves a letter instead, and who holds the lock reads a few at once. A letter is the
    index of a range, or of a slab that belongs into its class's list.

    M1  Only ranges that were claimed, each by one thread, are posted, and he does not touch the
        range any more. They count as live until the letter is read, so the block stays.
    M2  A letter is the writer's from when he set its bit, the reader's from when it is not 0, and
        nobody's from when the reader cleared the bit. Nobody waits: a reader leaves a letter that
        is still being written, a writer who finds no room takes the lock.
    M3  The mail is read by every free that takes the lock, by one in SXVKI_MAIL_EVERY allocations,
        each run of a batch and each one that finds no room, by ticks, trims and statistics (fast
        ones leave it where the lock is taken), and before a pool goes. So statistics are exact when
        nobody else is at work.
    M4  What waits in the mail keeps no block from the driver, even if nobody ever calls again. A
        range is posted only while its block is busy. So when a block ceases to be, it has a live
        range that is in no letter, and who gives that back finds the block not busy, takes the
        lock, and reads. A writer who was late looks at `calm_count` again once his letter is there,
        at the block no more, for that may be gone: either he sees that a block ceased to be busy,
        and reads himself, or who gives after that sees the letter.
    M5  A slab needs no such care: a letter about it says only that it has free slots, and who gives
        back the last one takes the lock. The letter is late then, but what settling a slab does is
        right at any time, also to one that is closed, or another one by now.
*/

/*  Does the caller free what another thread allocates? */
SXVKI_INLINE int sxvki_domain_is_foreign(const sxvki_domain* domain) {
    return domain->has_mail && sxvki_load_ptr(&domain->last_thread) != sxvki_thread_id();
}

/*  Returns 0 where there is no room. */
static int sxvki_domain_post(sxvki_domain* domain, uint32_t what) {
    uint32_t seen = sxvki_load32_relaxed(&domain->mail_bits);
    uint32_t bit;
    do {
        bit = ~seen & (seen + 1);
        if (bit >> SXVKI_MAIL_MAX) {
            return 0;
        }
    } while (!sxvki_cas32(&domain->mail_bits, &seen, seen | bit));
    (void)sxvki_exchange32(&domain->mail[sxvki_low_bit(bit)], what + 1);
    return 1;
}

/*  Take the letters out; returns how many there are. What they are about is in the cache of another
    core: fetch it all at once. */
static uint32_t sxvki_domain_collect(sxvki_domain* domain, uint32_t* letters) {
    const sxvki_records* records = domain->bins.records;
    uint32_t seen = sxvki_load32_ordered(&domain->mail_bits);
    uint32_t count = 0, done = 0, bits;
    for (bits = seen; bits != 0; bits &= bits - 1) {
        uint32_t* letter = &domain->mail[sxvki_low_bit(bits)];
        uint32_t what = sxvki_load32_ordered(letter);
        if (what != 0) {
            letters[count++] = --what;
            sxvki_store32_relaxed(letter, 0);
            done |= bits & (~bits + 1);
            if ((what & SXVKI_HANDLE_SLAB_BIT) == 0) {
                SXVKI_PREFETCH(sxvki_record_at(records, what));
            } else if (sxvki_slab_exists(records, what & ~SXVKI_HANDLE_SLAB_BIT)) {
                SXVKI_PREFETCH(sxvki_slab_at(records, what & ~SXVKI_HANDLE_SLAB_BIT));
            }
        }
    }
    while (!sxvki_cas32(&domain->mail_bits, &seen, seen & ~done)) {
    }
    return count;
}

SXVKI_COLD static int sxvki_domain_read_letters(sxvki_domain* domain, sxvki_block** chain) {
    uint32_t letters[SXVKI_MAIL_MAX];
    uint32_t count = sxvki_domain_collect(domain, letters);
    uint32_t i;
    for (i = 0; i < count; i++) {
        if (letters[i] & SXVKI_HANDLE_SLAB_BIT) {
            sxvki_domain_settle_slab(domain, letters[i] & ~SXVKI_HANDLE_SLAB_BIT, chain);
        } else {
            sxvki_domain_give(domain, letters[i], chain);
        }
    }
    return count != 0;
}

/*  Do what the letters say; blocks that run empty go to *chain, as with sxvki_domain_give. Returns
    0 where there are none. Caller holds the lock. */
SXVKI_INLINE int sxvki_domain_read(sxvki_domain* domain, sxvki_block** chain) {
    return sxvki_load32_ordered(&domain->mail_bits) != 0 &&
           sxvki_domain_read_letters(domain, chain);
}

/*  As the next one, where no slot was found, or none was looked for. */
static VkResult sxvki_domain_take_range(sxvki_domain* domain, const sxvki_place* place,
                                        SxvkAllocation* taken) {
    int may_use_slabs = domain->classes != NULL && place->slot_size != 0;
    int use_slabs = may_use_slabs && sxvki_place_uses_slabs(place);
    sxvki_slab_class* c = NULL;
    uint32_t index;
    if (sxvki_domain_is_linear(domain)) {
        return sxvki_domain_take_linear(domain, place, taken);
    }
    if (!sxvki_bins_prepare(&domain->bins)) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    if (use_slabs) {
        c = &domain->classes[sxvki_slab_class_of(place->slot_size)];
        if (c->demand == SXVKI_SLAB_EARNED) {
            if (sxvki_domain_open_slab(domain, place->slot_size)) {
                *taken = sxvki_domain_take_slot(domain, place);
                return VK_SUCCESS;
            }
            c = NULL; /* does not count towards the next one */
        }
    }
    index = sxvki_bins_take(&domain->bins, place->size, place->alignment, place->strategy);
    if (index == SXVKI_NONE && sxvki_domain_read(domain, NULL)) {
        index = sxvki_bins_take(&domain->bins, place->size, place->alignment, place->strategy);
    }
    if (index != SXVKI_NONE) {
        *taken = sxvki_domain_account(domain, index, place);
        if (c != NULL) {
            c->demand++;
        }
        return VK_SUCCESS;
    }
    if (may_use_slabs && !use_slabs) { /* a slot after all */
        *taken = sxvki_domain_take_slot(domain, place);
        return *taken != VK_NULL_HANDLE ? VK_SUCCESS : VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

/*  A range in the blocks that are there. VK_ERROR_OUT_OF_DEVICE_MEMORY: no room was found. O(1).
    Caller holds the lock. */
SXVKI_HOT VkResult sxvki_domain_take_locked(sxvki_domain* domain, const sxvki_place* place,
                                            SxvkAllocation* taken) {
    if (place->slot_size != 0 && domain->classes != NULL && sxvki_place_uses_slabs(place)) {
        *taken = sxvki_domain_take_slot(domain, place);
        if (SXVKI_LIKELY(*taken != VK_NULL_HANDLE)) {
            return VK_SUCCESS;
        }
    }
    return sxvki_domain_take_range(domain, place, taken);
}

/*  The same where it is no matter of instructions. */
SXVKI_COLD SXVKI_APART static VkResult sxvki_domain_take_late(sxvki_domain* domain,
                                                              const sxvki_place* place,
                                                              SxvkAllocation* taken) {
    return sxvki_domain_take_locked(domain, place, taken);
}

SXVKI_COLD static VkResult sxvki_domain_take(sxvki_domain* domain, const sxvki_place* place,
                                             SxvkAllocation* taken) {
    VkResult result;
    sxvki_lock_take(&domain->lock);
    result = sxvki_domain_take_late(domain, place, taken);
    sxvki_lock_drop(&domain->lock);
    return result;
}

/*  Another thread is in this one's shard: wait. Where threads that allocate share a shard and wait
    for each other, this one moves to a further shard; the others stay, but for those that had to
    share one, so that what a thread holds stays together. To wait for a thread that frees is no
    reason: it will not move. */
SXVKI_COLD static void sxvki_domain_wait(sxvki_domain* domain) {
    SxvkPool pool = domain->pool;
    sxvki_lock_take(&domain->lock);
    if (++domain->wait_count >= SXVKI_SHARD_WAITS) {
        uint32_t shards = sxvki_load32_relaxed(&pool->shards);
        int shared =
            pool->shards_max != 1 && domain->switch_count > domain->op_count / SXVKI_SHARD_SWITCHES;
        if (shared && shards == pool->shards_max) {
            sxvki_hint_set(sxvki_hint_get() + 1);
        } else if (shared && sxvki_cas32(&pool->shards, &shards, shards + 1)) {
            sxvki_hint_set(shards);
        }
        domain->wait_count = 0;
        domain->switch_count = 0;
        domain->op_count = 0;
    }
}

/*  Lock the domain for such places in the thread's shard of a pool, to allocate there. Null where
    there is no host memory to make it. */
SXVKI_HOT sxvki_domain* sxvki_pool_enter(SxvkPool pool, const sxvki_place* place) {
    uint32_t shards = sxvki_load32_relaxed(&pool->shards);
    uint32_t shard = shards == 1 ? 0 : sxvki_hint_get() % shards;
    uint32_t kind = place->domain | shard * SXVKI_DOMAIN_KINDS;
    sxvki_domain* domain = sxvki_pool_domain(pool, kind);
    if (domain == NULL) {
        domain = sxvki_pool_make_domain(pool, kind);
        if (domain == NULL) {
            return NULL;
        }
    }
    if (!sxvki_lock_try(&domain->lock)) {
        sxvki_domain_wait(domain);
    }
    if (domain->has_mail) {
        if (++domain->op_count % SXVKI_MAIL_EVERY == 0) {
            sxvki_domain_read(domain, NULL);
        }
        if (domain->last_thread != sxvki_thread_id()) {
            domain->switch_count += domain->last_thread != NULL;
            sxvki_store_ptr(&domain->last_thread, sxvki_thread_id());
        }
    }
    return domain;
}

/*  The same from the thread's shard of a pool; *used is its domain. */
SXVKI_HOT VkResult sxvki_pool_take_own(SxvkPool pool, const sxvki_place* place,
                                       SxvkAllocation* taken, sxvki_domain** used) {
    sxvki_domain* domain = sxvki_pool_enter(pool, place);
    VkResult result;
    if (domain == NULL) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    *used = domain;
    result = sxvki_domain_take_locked(domain, place, taken);
    sxvki_lock_drop(&domain->lock);
    return result;
}

/*  Undo what sxvki_victim_freeze does, some steps of it. Returns 0 where there is more to do; the
    victim is ended then. Caller holds the lock. */
SXVKI_COLD static int sxvki_victim_thaw(sxvki_victim* victim) {
    sxvki_domain* domain = victim->domain;
    sxvki_records* records = domain->bins.records;
    uint32_t step;
    if (victim->state != SXVKI_VICTIM_THAWS) {
        victim->state = SXVKI_VICTIM_THAWS;
        sxvki_frozen_rewind(&victim->frozen, victim->block->first);
    }
    for (step = 0; step < SXVKI_VICTIM_PORTION; step++) {
        uint32_t index = sxvki_frozen_next(&domain->bins, &victim->frozen);
        const sxvki_record* r;
        if (index == SXVKI_NONE) {
            sxvki_victim_end(victim);
            return 1;
        }
        r = sxvki_record_at(records, index);
        if (!sxvki_record_is_live(r)) {
            sxvki_frozen_give(&domain->bins, index);
        } else if (sxvki_record_state(r) & SXVKI_STATE_SLAB) {
            sxvki_slab* slab = sxvki_slab_at(records, r->link_a);
            if (slab->is_listed == SXVKI_SLAB_FROZEN) {
                slab->is_listed = SXVKI_SLAB_OUT;
                sxvki_domain_settle_slab(domain, r->link_a, NULL);
            }
        }
    }
    return 0;
}

/*  There is no room: take it in a victim, which thaws until there is. */
SXVKI_COLD static VkResult sxvki_domain_revive(sxvki_domain* domain, const sxvki_place* place,
                                               SxvkAllocation* taken) {
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    while (result == VK_ERROR_OUT_OF_DEVICE_MEMORY && sxvki_load_ptr(&domain->victims) != NULL) {
        sxvki_add64(&domain->pool->device->revivals, 1);
        sxvki_lock_take(&domain->lock);
        if (domain->victims != NULL) {
            (void)sxvki_victim_thaw((sxvki_victim*)domain->victims);
        }
        result = sxvki_domain_take_late(domain, place, taken);
        sxvki_lock_drop(&domain->lock);
    }
    return result;
}

/*  No lock: a guess. */
static int sxvki_domain_is_sparse(const sxvki_domain* domain) {
    uint64_t room = sxvki_load64_relaxed(&domain->bins.free_size) << SXVKI_GRANULE_SHIFT;
    return room > sxvki_load64_relaxed(&domain->block_bytes) / SXVKI_SPARSE_SHARE;
}

/*  From the other domains of the pool. Unless `any` is set only from shards of the same kind that
    have much room: what a thread holds stays together, and its shard to itself, as long as that
    costs little. */
SXVKI_COLD static VkResult sxvki_pool_take_foreign(SxvkPool pool, const sxvki_place* place,
                                                   SxvkAllocation* taken, const sxvki_domain* own,
                                                   int any) {
    uint32_t end = sxvki_pool_domain_count(pool);
    uint32_t differ = SXVKI_DOMAIN_OPTIMAL | (any ? 0 : SXVKI_DOMAIN_LARGE);
    uint32_t i;
    for (i = 0; i < end; i++) {
        sxvki_domain* domain = sxvki_pool_domain(pool, i);
        if (domain != NULL && domain != own && ((i ^ place->domain) & differ) == 0 &&
            (any || sxvki_domain_is_sparse(domain))) {
            VkResult result = sxvki_domain_take(domain, place, taken);
            if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY && any) {
                result = sxvki_domain_revive(domain, place, taken);
            }
            if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY) {
                return result;
            }
        }
    }
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

/*  From other domains than the thread's own, which has no room. */
SXVKI_COLD static VkResult sxvki_pool_take_elsewhere(SxvkPool pool, const sxvki_place* place,
                                                     SxvkAllocation* taken,
                                                     const sxvki_domain* own) {
    uint64_t held = sxvki_budget_total(&pool->device->budget);
    sxvki_domain* sibling = sxvki_pool_domain(pool, own->index ^ SXVKI_DOMAIN_LARGE);
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    if (held < SXVKI_MIX_BELOW && sibling != NULL) {
        result = sxvki_domain_take(sibling, place, taken);
    }
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY && sxvki_load32_relaxed(&pool->shards) > 1) {
        result = sxvki_pool_take_foreign(pool, place, taken, own, held < SXVKI_SPLIT_ABOVE);
    }
    return result;
}

/*  Room in the blocks that are there: in the thread's shard, then in the others. */
SXVKI_HOT VkResult sxvki_pool_take(SxvkPool pool, const sxvki_place* place, SxvkAllocation* taken,
                                   sxvki_domain** used) {
    VkResult result = sxvki_pool_take_own(pool, place, taken, used);
    if (SXVKI_LIKELY(result != VK_ERROR_OUT_OF_DEVICE_MEMORY) || pool->block_size != 0) {
        return result;
    }
    return sxvki_pool_take_elsewhere(pool, place, taken, *used);
}

/*  All of a batch that go where the first one goes and have nothing yet, under one hold of the
    lock, until one finds no room; that one looks elsewhere. What is null then climbs the ladder. */
SXVKI_COLD static void sxvki_pool_take_run(const SxvkPool* pools, const sxvki_place* places,
                                           uint32_t count, SxvkAllocation* taken) {
    SxvkPool pool = pools[0];
    sxvki_domain* domain = sxvki_pool_enter(pool, &places[0]);
    VkResult result = VK_SUCCESS;
    uint32_t i, last = 0;
    if (domain == NULL) {
        return;
    }
    sxvki_domain_read(domain, NULL);
    for (i = 0; i < count && result == VK_SUCCESS; i++) {
        if (pools[i] == pool && places[i].domain == places[0].domain &&
            taken[i] == VK_NULL_HANDLE) {
            result = sxvki_domain_take_locked(domain, &places[i], &taken[i]);
            last = i;
        }
    }
    sxvki_lock_drop(&domain->lock);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY && pool->block_size == 0) {
        (void)sxvki_pool_take_elsewhere(pool, &places[last], &taken[last], domain);
    }
}

/*  What a block must at least have, so that the allocations that are left of
    maxMemoryAllocationCount can fill the heap: nothing while few are used, four times the even
    share once a quarter is. */
static VkDeviceSize sxvki_pool_size_floor(const struct SxvkPool_T* pool) {
    const sxvki_budget* budget = &pool->device->budget;
    uint64_t used = sxvki_load64_relaxed(&budget->memory_count);
    uint64_t most = sxvki_max64(budget->max_count, 1);
    VkDeviceSize limit = budget->heaps[sxvki_type_heap(pool->device, pool->type)].limit_max;
    VkDeviceSize floor = limit / most * 4 * sxvki_min64(4 * used, most) / most;
    return sxvki_min64(sxvki_pow2_ceil(floor), pool->max_block_size);
}

/*  The size that the next block of a domain should have, for a request of `need` bytes that takes
    `step` with what its alignment costs. */
static VkDeviceSize sxvki_domain_next_size(const sxvki_domain* domain, VkDeviceSize need,
                                           VkDeviceSize step) {
    const struct SxvkPool_T* pool = domain->pool;
    VkDeviceSize smallest =
        domain->index & SXVKI_DOMAIN_LARGE ? SXVKI_LARGE_BLOCK_MIN : SXVKI_SMALL_BLOCK_MIN;
    VkDeviceSize size = domain->live_bytes + need;
    uint32_t takes = domain->take_count - domain->takes_then;
    if (pool->block_size != 0) {
        return pool->block_size;
    }
    size >>= (takes >= SXVKI_SLOW_GROWTH) + (takes >= 4 * SXVKI_SLOW_GROWTH);
    size = sxvki_min64(size, sxvki_budget_total(&pool->device->budget) / SXVKI_BLOCK_SHARE);
    size = sxvki_max64(size, sxvki_max64(smallest, SXVKI_BLOCK_NEEDS * need));
    size = sxvki_min64(size, SXVKI_BLOCK_MAX);
    size = sxvki_max64(size, sxvki_pool_size_floor(pool));
    size = sxvki_min64(size, pool->max_block_size);
    if (step > size || step < size / SXVKI_BLOCK_FIT) {
        step = sxvki_pow2_ceil(size) / 4;
    }
    size = sxvki_align_up((size + step / 2) / step * step, SXVKI_BLOCK_UNIT);
    return sxvki_max64(sxvki_min64(size, pool->max_block_size), need);
}

/*  A new block for this request: as big as it should be, halved while the heap or the budget
    refuses, down to a quarter of the smallest regular block. */
SXVKI_COLD static VkResult sxvki_pool_make_block(SxvkPool pool, VkDeviceSize size,
                                                 VkDeviceSize need, int within_budget,
                                                 sxvki_block** block) {
    sxvki_device* device = pool->device;
    uint32_t heap = sxvki_type_heap(device, pool->type);
    VkDeviceSize floor = sxvki_max64(need, SXVKI_SMALL_BLOCK_MIN / 4);
    sxvki_memory_request request;
    VkResult result;
    memset(&request, 0, sizeof request);
    request.size = size;
    request.type = pool->type;
    request.priority = pool->priority;
    request.reserve = pool->is_custom ? SXVKI_RESERVE_NONE : SXVKI_RESERVE_QUARTER;
    request.within_budget = within_budget;
    request.device_address = device->vk.device_address;
    request.next = pool->next;
    if (pool->block_size != 0) {
        return sxvki_block_create(device, &request, pool, block);
    }
    for (;;) {
        int smaller = request.size / 2 >= floor;
        if (!smaller || sxvki_budget_has_room(&device->budget, heap, request.size)) {
            result = sxvki_block_create(device, &request, pool, block);
            if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY || !smaller) {
                return result;
            }
        }
        request.size = sxvki_align_down(request.size / 2, SXVKI_GRANULE);
    }
}

/*  Name a block that is in no list yet: "sx_vkalloc pool textures, type 1, block 7". */
SXVKI_COLD static void sxvki_pool_name_block(SxvkPool pool, const sxvki_block* block,
                                             const char* what) {
    const sxvki_vk* vk = &pool->device->vk;
    sxvki_line line;
    if (!vk->debug_utils) {
        return;
    }
    line.size = 0;
    sxvki_line_add(&line, "sx_vkalloc ");
    sxvki_lock_take(&pool->dedicated_lock);
    if (pool->name != NULL) {
        sxvki_line_add(&line, "pool ");
        sxvki_line_add(&line, pool->name);
        sxvki_line_add(&line, ", ");
    }
    sxvki_lock_drop(&pool->dedicated_lock);
    sxvki_line_add(&line, "type ");
    sxvki_line_add_u64(&line, pool->type, 10);
    sxvki_line_add(&line, what);
    sxvki_line_add_u64(&line, block->id, 10);
    sxvki_vk_name(vk, VK_OBJECT_TYPE_DEVICE_MEMORY, SXVKI_OBJECT(block->memory), line.text);
}

/*  There is no room, and no more blocks are wanted: maxBlockCount or NEVER_ALLOCATE. The user set
    that limit, so he gets VK_ERROR_OUT_OF_DEVICE_MEMORY and no message (for a ring it is everyday
    life); and nothing that other pools give back would help. Inside only. */
#define SXVKI_AT_LIMIT VK_INCOMPLETE

/*  Grow by a block and hand out its first range; with no place, just grow. VK_NOT_READY: there
    may be no more blocks, but another thread is making one, or failing to. SXVKI_AT_LIMIT: there
    may be no more. */
SXVKI_COLD static VkResult sxvki_domain_grow(sxvki_domain* domain, const sxvki_place* place,
                                             int within_budget, SxvkAllocation* taken) {
    SxvkPool pool = domain->pool;
    VkDeviceSize need = place == NULL ? 0 : place->size << SXVKI_GRANULE_SHIFT;
    VkDeviceSize step =
        place == NULL ? 0 : sxvki_align_up(place->size, place->alignment) << SXVKI_GRANULE_SHIFT;
    sxvki_block* block = NULL;
    VkDeviceSize size = 0;
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    if (need > sxvki_pool_largest_block(pool, domain->index)) {
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    sxvki_lock_take(&domain->lock);
    if (place != NULL) {
        /* Another thread may have added a block, or freed, since the caller looked. */
        result = sxvki_domain_take_late(domain, place, taken);
        if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY) {
            sxvki_lock_drop(&domain->lock);
            return result;
        }
    }
    if (domain->block_count < pool->max_block_count) {
        size = sxvki_domain_next_size(domain, need, step);
        domain->takes_then = domain->take_count;
        domain->breathes |= domain->has_freed &&
                            sxvki_domain_clock(domain) - domain->freed_then <= SXVKI_BREATH_FRAMES;
        domain->block_count++;
        result = VK_SUCCESS;
    } else {
        result = domain->block_count > domain->listed_count ? VK_NOT_READY : SXVKI_AT_LIMIT;
    }
    sxvki_lock_drop(&domain->lock);
    if (result != VK_SUCCESS) {
        return result;
    }
    result = sxvki_pool_make_block(pool, size, need, within_budget, &block);
    if (result == VK_SUCCESS) {
        sxvki_pool_name_block(pool, block, ", block ");
    }
    sxvki_lock_take(&domain->lock);
    if (result == VK_SUCCESS && !sxvki_domain_prepare(domain)) {
        result = VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    if (result == VK_SUCCESS) {
        sxvki_domain_adopt(domain, block);
        if (place != NULL && sxvki_domain_is_linear(domain)) {
            result = sxvki_domain_take_linear(domain, place, taken);
            SXVKI_ASSERT(result == VK_SUCCESS); /* any empty block will do */
            block = NULL;
        } else if (place != NULL) {
            uint32_t index = sxvki_bins_carve(&domain->bins, block->first, 0, place->size);
            *taken = sxvki_domain_account(domain, index, place);
        }
    } else {
        domain->block_count--;
    }
    sxvki_lock_drop(&domain->lock);
    if (result != VK_SUCCESS && block != NULL) {
        sxvki_block_destroy(pool->device, block);
    }
    return result;
}

/*  Destroy a chain of detached blocks; returns their bytes. */
static VkDeviceSize sxvki_blocks_destroy(sxvki_device* device, sxvki_block* chain) {
    VkDeviceSize bytes = 0;
    while (chain != NULL) {
        sxvki_block* next = chain->next == SXVKI_NONE ? NULL : sxvki_block_at(device, chain->next);
        bytes += chain->size;
        sxvki_block_destroy(device, chain);
        chain = next;
    }
    return bytes;
}

/*  Where a slab belongs has changed: put it there, or leave a letter. */
SXVKI_COLD static void sxvki_domain_notice_slab(sxvki_domain* domain, uint32_t id, int may_post) {
    sxvki_block* chain = NULL;
    if (may_post && sxvki_domain_is_foreign(domain) &&
        sxvki_domain_post(domain, SXVKI_HANDLE_SLAB_BIT | id)) {
        return;
    }
    sxvki_lock_take(&domain->lock);
    sxvki_domain_settle_slab(domain, id, &chain);
    sxvki_domain_read(domain, &chain);
    sxvki_lock_drop(&domain->lock);
    sxvki_blocks_destroy(domain->pool->device, chain);
}

/*  Give a slot back that is in the caller's hand; no lock is held. See >>slabs for the argument. */
SXVKI_INLINE void sxvki_domain_give_slot(sxvki_domain* domain, uint32_t id, sxvki_slab* slab,
                                         uint32_t i) {
    uint64_t bit = (uint64_t)1 << i;
    uint64_t full = sxvki_slab_full(slab);
    uint64_t bytes = sxvki_slot_bytes(slab, i);
    uint64_t seen;
    sxvki_add64(&domain->given[slab->class_index], bytes << SXVKI_SLOTS_COUNT_BITS | 1);
    seen = sxvki_or64(&slab->word, bit | SXVKI_SLAB_HELD);
    if ((seen & SXVKI_SLAB_HELD) == 0 || (seen | bit) == (full | SXVKI_SLAB_HELD)) {
        sxvki_domain_notice_slab(domain, id, (seen & SXVKI_SLAB_HELD) == 0);
    }
}

/*  Sweep some of what resets left. The caller holds the lock, but not all the time. */
SXVKI_COLD static void sxvki_domain_sweep(sxvki_domain* domain) {
    sxvki_linear_sweep_some(&domain->linear, SXVKI_SWEEP_PORTION);
    sxvki_lock_drop(&domain->lock);
    sxvki_lock_take(&domain->lock);
}

/*  Take blocks that were empty for `frames` frames out of a domain, up to *count of them, and
    put them on a chain by `next`: they are destroyed once no lock is held. */
static void sxvki_domain_detach(sxvki_domain* domain, uint32_t frames, uint32_t* count,
                                sxvki_block** chain) {
    const sxvki_device* device = domain->pool->device;
    uint32_t now = sxvki_load32_relaxed(&device->frame);
    sxvki_lock_take(&domain->lock);
    sxvki_domain_read(domain, chain);
    while (*count != 0 && domain->empty_first != SXVKI_NONE &&
           domain->listed_count > domain->pool->min_block_count) {
        sxvki_block* block = sxvki_block_at(device, domain->empty_first);
        if (frames != 0 && (int32_t)(now - block->since) < (int32_t)frames) {
            break;
        }
        if (sxvki_domain_is_linear(domain) && domain->linear.stale != SXVKI_NONE) {
            sxvki_domain_sweep(domain);
            continue;
        }
        domain->breathes = 0;
        sxvki_domain_forget(domain, block);
        block->next = *chain == NULL ? SXVKI_NONE : (*chain)->id;
        *chain = block;
        (*count)--;
    }
    sxvki_lock_drop(&domain->lock);
}

/*  Where there is nothing to do, as at nearly every tick, no lock is taken. */
SXVKI_COLD static void sxvki_pool_detach(SxvkPool pool, uint32_t frames, uint32_t* count,
                                         sxvki_block** chain) {
    uint32_t end = sxvki_pool_domain_count(pool);
    uint32_t i;
    for (i = 0; i < end; i++) {
        sxvki_domain* domain = sxvki_pool_domain(pool, i);
        if (domain != NULL && (sxvki_load32_relaxed(&domain->empty_count) |
                               sxvki_load32_ordered(&domain->mail_bits)) != 0) {
            sxvki_domain_detach(domain, frames, count, chain);
        }
    }
}

/*  Host memory that domains do not need now: chains of spare records, up to millions of them. Under
    the locks they are only collected, so that nobody waits. */
typedef struct sxvki_spares {
    uint32_t chains; /* the first records of the chains, by `prev`; link_a is the epoch */
    int is_partial;  /* there is more, for another visit */
} sxvki_spares;

static void sxvki_spares_add(sxvki_spares* spares, sxvki_records* records, uint32_t chain,
                             uint32_t epoch) {
    if (chain != SXVKI_NONE) {
        sxvki_record* r = sxvki_record_at(records, chain);
        r->prev = spares->chains;
        r->link_a = epoch;
        spares->chains = chain;
    }
}

/*  Slots handed out, ever, modulo 2^28. */
static uint32_t sxvki_domain_slots_taken(const sxvki_domain* domain) {
    uint32_t taken = domain->gone_slot_count;
    uint32_t i;
    for (i = 0; i < domain->class_count; i++) {
        taken += (uint32_t)(domain->classes[i].taken & SXVKI_SLOTS_COUNT_MASK);
    }
    return taken & (uint32_t)SXVKI_SLOTS_COUNT_MASK;
}

/*  Free the classes, in which nothing lives. Who reads them without the lock pins the records
    before he looks for them: either he is found here, and they stay until the next trim, or he
    finds none. */
SXVKI_COLD static void sxvki_domain_drop_classes(sxvki_domain* domain) {
    sxvki_device* device = domain->pool->device;
    void* classes = domain->slab_classes;
    sxvki_store_ptr(&domain->slab_classes, NULL);
    if (sxvki_add64(&device->records.pins, 0) != 0) {
        sxvki_store_ptr(&domain->slab_classes, classes);
        return;
    }
    domain->gone_slot_count = sxvki_domain_slots_taken(domain);
    domain->classes = NULL;
    domain->given = NULL;
    domain->class_count = 0;
    sxvki_host_free(&device->host, classes);
}

SXVKI_COLD static void sxvki_domain_trim(sxvki_domain* domain, sxvki_spares* spares) {
    sxvki_device* device = domain->pool->device;
    sxvki_linear* linear = &domain->linear;
    sxvki_lock_take(&domain->lock);
    sxvki_spares_add(spares, &device->records,
                     sxvki_bins_trim(&domain->bins, domain->block_count != 0), 0);
    if (sxvki_domain_is_linear(domain)) {
        if (!spares->is_partial) {
            sxvki_linear_sweep_some(linear, SXVKI_SWEEP_PORTION);
            spares->is_partial = linear->stale != SXVKI_NONE;
        }
        sxvki_spares_add(spares, &device->records, linear->spare, linear->epoch);
        linear->spare = SXVKI_NONE;
    }
    if (domain->block_count == 0 && domain->hollow_count == 0) {
        sxvki_domain_drop_classes(domain);
    }
    sxvki_lock_drop(&domain->lock);
}

SXVKI_COLD static void sxvki_pool_trim(SxvkPool pool, void* context) {
    uint32_t i;
    for (i = 0; i < sxvki_pool_domain_count(pool); i++) {
        sxvki_domain* domain = sxvki_pool_domain(pool, i);
        if (domain != NULL) {
            sxvki_domain_trim(domain, (sxvki_spares*)context);
        }
    }
}

SXVKI_COLD static void sxvki_spares_give(sxvki_records* records, const sxvki_spares* spares) {
    uint32_t chain = spares->chains;
    while (chain != SXVKI_NONE) {
        const sxvki_record* r = sxvki_record_at(records, chain);
        uint32_t next = r->prev;
        if (r->link_a != 0) {
            sxvki_linear_give_all(records, chain, r->link_a);
        } else {
            sxvki_records_give_all(records, chain);
        }
        chain = next;
    }
}

/*  Who was in one of the locks when this began has left it when it ends. */
SXVKI_COLD static void sxvki_pool_pass(SxvkPool pool, void* context) {
    uint32_t i;
    (void)context;
    for (i = 0; i < sxvki_pool_domain_count(pool); i++) {
        sxvki_domain* domain = sxvki_pool_domain(pool, i);
        if (domain != NULL) {
            sxvki_lock_take(&domain->lock);
            sxvki_lock_drop(&domain->lock);
        }
    }
    sxvki_lock_take(&pool->dedicated_lock);
    sxvki_lock_drop(&pool->dedicated_lock);
}

/*  Make the blocks that minBlockCount asks for. */
static VkResult sxvki_pool_prepare(SxvkPool pool, size_t* made) {
    for (; *made < pool->min_block_count; ++*made) {
        sxvki_domain* domain = sxvki_pool_make_domain(pool, 0);
        VkResult result = VK_ERROR_OUT_OF_HOST_MEMORY;
        if (domain != NULL) {
            result = sxvki_domain_grow(domain, NULL, 0, NULL);
        }
        if (result != VK_SUCCESS) {
            return result;
        }
    }
    return VK_SUCCESS;
}

/* --- dedicated allocations --- */

SXVKI_COLD static VkResult sxvki_pool_take_dedicated(SxvkPool pool, const sxvki_request* request,
                                                     sxvki_reserve reserve, SxvkAllocation* taken) {
    sxvki_device* device = pool->device;
    uint64_t granules = (request->size + SXVKI_GRANULE - 1) >> SXVKI_GRANULE_SHIFT;
    uint32_t chain = SXVKI_NONE;
    sxvki_memory_request memory;
    sxvki_block* block;
    sxvki_record* r;
    VkResult result;
    if (request->size > SXVKI_GRANULES_MAX << SXVKI_GRANULE_SHIFT) {
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    if (sxvki_records_take(&device->records, 1, &chain) == 0) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    memset(&memory, 0, sizeof memory);
    memory.size = request->size;
    memory.type = pool->type;
    memory.priority = request->priority != 0.0f ? request->priority : pool->priority;
    memory.reserve = reserve;
    memory.within_budget = (request->flags & SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT) != 0;
    if (device->vk.requirements2) {
        memory.dedicated_buffer = request->buffer;
        memory.dedicated_image = request->image;
    }
    memory.device_address = device->vk.device_address;
    memory.next = request->next != NULL ? request->next : pool->next;
    result = sxvki_block_create(device, &memory, pool, &block);
    if (result != VK_SUCCESS) {
        sxvki_records_give(&device->records, chain);
        return result;
    }
    sxvki_pool_name_block(pool, block, ", dedicated ");
    sxvki_lock_take(&pool->dedicated_lock);
    block->first = chain;
    block->live_count = 1;
    block->since = sxvki_load32_relaxed(&device->frame);
    block->next = pool->dedicated_first;
    if (block->next != SXVKI_NONE) {
        sxvki_block_at(device, block->next)->prev = block->id;
    }
    pool->dedicated_first = block->id;
    sxvki_count32(&pool->dedicated_count, 1);
    pool->dedicated_take_count++;
    sxvki_count64(&pool->dedicated_bytes, block->size);
    sxvki_count64(&pool->dedicated_live_bytes, request->size);
    r = sxvki_record_at(&device->records, chain);
    sxvki_record_set(r, block->id, 0, granules);
    r->prev = SXVKI_NONE;
    r->next = SXVKI_NONE;
    r->link_a = (uint32_t)((granules << SXVKI_GRANULE_SHIFT) - request->size);
    sxvki_store32_relaxed(&r->link_b, request->state);
    sxvki_record_age(r);
    *taken = sxvki_handle_make(sxvki_record_generation(r), chain);
    sxvki_lock_drop(&pool->dedicated_lock);
    return VK_SUCCESS;
}

/*  As sxvki_domain_give, for a dedicated block. The record goes back with the block's memory. */
static void sxvki_pool_give_dedicated(SxvkPool pool, sxvki_block* block, sxvki_record* r) {
    const sxvki_device* device = pool->device;
    uint32_t now = sxvki_load32_relaxed(&device->frame);
    if (block->prev != SXVKI_NONE) {
        sxvki_block_at(device, block->prev)->next = block->next;
    } else {
        pool->dedicated_first = block->next;
    }
    if (block->next != SXVKI_NONE) {
        sxvki_block_at(device, block->next)->prev = block->prev;
    }
    if (now != 0 && now - block->since <= SXVKI_BREATH_FRAMES) {
        if (block->size > pool->brief_size || now - pool->brief_frame >= SXVKI_RETAIN_FRAMES) {
            sxvki_store64_relaxed(&pool->brief_size, block->size);
        }
        sxvki_store32_relaxed(&pool->brief_frame, now);
    }
    sxvki_count32(&pool->dedicated_count, UINT32_MAX);
    sxvki_count64(&pool->dedicated_bytes, 0 - block->size);
    sxvki_count64(&pool->dedicated_live_bytes, 0 - sxvki_record_bytes(r));
    sxvki_record_age(r);
}

/*  Everything is free: give all memory back. */
SXVKI_COLD static void sxvki_pool_shutdown(SxvkPool pool) {
    uint32_t all = UINT32_MAX;
    sxvki_block* chain = NULL;
    uint32_t i;
    pool->min_block_count = 0;
    sxvki_pool_detach(pool, 0, &all, &chain);
    sxvki_blocks_destroy(pool->device, chain);
    for (i = 0; i < sxvki_pool_domain_count(pool); i++) {
        if (pool->domains[i] != NULL) {
            sxvki_domain_shutdown((sxvki_domain*)pool->domains[i]);
        }
    }
    sxvki_lock_shutdown(&pool->dedicated_lock);
    sxvki_host_free(&pool->device->host, pool->name);
}

/* --- looking at it all; the caller holds the lock of the domain --- */

/*  Allocations made in a domain, ever, modulo 2^28. */
static uint32_t sxvki_domain_takes(const sxvki_domain* domain) {
    return domain->take_count - domain->slab_take_count + sxvki_domain_slots_taken(domain);
}

/*  The same of a pool that nobody uses. */
SXVKI_COLD static uint32_t sxvki_pool_takes(const struct SxvkPool_T* pool) {
    uint32_t takes = pool->dedicated_take_count;
    uint32_t i;
    for (i = 0; i < sxvki_pool_domain_count(pool); i++) {
        const sxvki_domain* domain = sxvki_pool_domain(pool, i);
        takes += domain != NULL ? sxvki_domain_takes(domain) : 0;
    }
    return takes;
}

/*  The live allocations of a block in the order of their offsets. Slots may be given back
    meanwhile; all else stays. */
typedef struct sxvki_walk {
    const sxvki_records* records;
    uint32_t record;
    uint32_t slot;
} sxvki_walk;

/*  The first record of a block. */
SXVKI_INLINE uint32_t sxvki_block_first(const sxvki_block* block) {
    return block->epoch != 0 ? block->in.lane.first : block->first;
}

static void sxvki_walk_init(sxvki_walk* walk, const sxvki_device* device,
                            const sxvki_block* block) {
    walk->records = &device->records;
    walk->record = sxvki_block_first(block);
    walk->slot = 0;
}

/*  The next one's index; SXVKI_NONE after the last. */
static uint32_t sxvki_walk_next(sxvki_walk* walk) {
    while (walk->record != SXVKI_NONE) {
        uint32_t index = walk->record;
        const sxvki_record* r = sxvki_record_at(walk->records, index);
        if (sxvki_record_is_live(r) && (sxvki_record_state(r) & SXVKI_STATE_SLAB)) {
            const sxvki_slab* slab = sxvki_slab_at(walk->records, r->link_a);
            while (walk->slot < slab->slot_count) {
                uint32_t slot = walk->slot++;
                if ((sxvki_load32(&slab->slots[slot].generation) & 1) != 0 &&
                    (sxvki_load32(&slab->slots[slot].state) & SXVKI_STATE_AWAY) == 0) {
                    return sxvki_slot_index(r->link_a, slot);
                }
            }
            walk->slot = 0;
        }
        walk->record = r->next;
        if (sxvki_record_is_live(r) && (sxvki_record_state(r) & SXVKI_STATE_SLAB) == 0) {
            return sxvki_record_state(r) & SXVKI_STATE_HOST ? r->link_a : index;
        }
    }
    return SXVKI_NONE;
}

/*  Live slots, see sxvki_domain_live_slots. */
SXVKI_INLINE void sxvki_stats_add_slots(SxvkStatistics* stats, uint64_t live) {
    stats->allocationCount += (uint32_t)(live & SXVKI_SLOTS_COUNT_MASK);
    stats->allocationBytes += live >> SXVKI_SLOTS_COUNT_BITS;
}

/*  Count and bytes of the ranges that are allocations. */
static void sxvki_domain_add_ranges(const sxvki_domain* domain, SxvkStatistics* stats) {
    uint32_t slabs = sxvki_load32_relaxed(&domain->slab_count);
    uint64_t slab_bytes = sxvki_load64_relaxed(&domain->slab_bytes);
    uint32_t count = sxvki_load32_relaxed(&domain->live_count);
    stats->allocationCount += count > slabs ? count - slabs : 0;
    stats->allocationBytes +=
        sxvki_saturating_sub(sxvki_load64_relaxed(&domain->live_bytes), slab_bytes);
}

/*  The same of all allocations in a domain. Who does not hold its lock has pinned the records, and
    counts what other threads have under way or not, be it a slab that they open. Of slots what was
    given is read first: that was taken before. */
static void sxvki_domain_add_live(const sxvki_domain* domain, SxvkStatistics* stats) {
    const sxvki_slab_classes* all =
        (const sxvki_slab_classes*)sxvki_load_ptr(&domain->slab_classes);
    uint32_t i;
    sxvki_domain_add_ranges(domain, stats);
    if (all == NULL || sxvki_load32_relaxed(&domain->slab_count) == 0) {
        return;
    }
    for (i = 0; i < SXVKI_SLAB_CLASSES; i++) {
        uint64_t given = sxvki_load64(&all->given[i]);
        sxvki_stats_add_slots(stats, sxvki_load64_relaxed(&all->classes[i].taken) - given);
    }
}

/*  As above, with the blocks. */
static void sxvki_domain_add(const sxvki_domain* domain, SxvkStatistics* stats) {
    sxvki_domain_add_live(domain, stats);
    stats->blockCount += sxvki_load32_relaxed(&domain->listed_count);
    stats->blockBytes += sxvki_load64_relaxed(&domain->block_bytes);
}

/*  What a pool holds, without waiting for anybody: the mail is read where nobody is in the domain;
    else its letters, 15 at most, still count as live. */
static void sxvki_pool_add(SxvkPool pool, SxvkStatistics* stats) {
    uint32_t count = sxvki_load32_relaxed(&pool->dedicated_count);
    uint32_t i;
    sxvki_records_pin(&pool->device->records);
    for (i = 0; i < sxvki_pool_domain_count(pool); i++) {
        sxvki_domain* domain = sxvki_pool_domain(pool, i);
        if (domain == NULL) {
            continue;
        }
        if (sxvki_load32_ordered(&domain->mail_bits) != 0 && sxvki_lock_try(&domain->lock)) {
            sxvki_domain_read(domain, NULL);
            sxvki_lock_drop(&domain->lock);
        }
        sxvki_domain_add(domain, stats);
    }
    sxvki_records_unpin(&pool->device->records);
    stats->blockCount += count;
    stats->allocationCount += count;
    stats->blockBytes += sxvki_load64_relaxed(&pool->dedicated_bytes);
    stats->allocationBytes += sxvki_load64_relaxed(&pool->dedicated_live_bytes);
}

/*  The same of a range; it may have taken in a slot. */
SXVKI_COLD static VkDeviceSize sxvki_range_bytes(const sxvki_records* records,
                                                 const sxvki_record* r) {
    return sxvki_record_state(r) & SXVKI_STATE_HOST
               ? sxvki_slot_bytes(sxvki_slab_of(records, r->link_a), r->link_a % 64)
               : sxvki_record_bytes(r);
}

/*  The slab of one range. */
SXVKI_COLD static int sxvki_domain_slab_is_valid(const sxvki_domain* domain, uint32_t index) {
    const sxvki_records* records = domain->bins.records;
    const sxvki_record* r = sxvki_record_at(records, index);
    const sxvki_slab* slab;
    if (!sxvki_slab_exists(records, r->link_a)) {
        return 0;
    }
    slab = sxvki_slab_at(records, r->link_a);
    return sxvki_load_ptr(&slab->owner) == domain && slab->record == index &&
           slab->block == sxvki_record_block(r) && slab->offset == sxvki_record_offset(r) &&
           (uint64_t)slab->slot_size * slab->slot_count == sxvki_record_size(r) &&
           sxvki_slab_is_valid(slab);
}

/*  The lists hold `count` slabs, all of this domain and of the right class. */
SXVKI_COLD static int sxvki_domain_lists_are_valid(const sxvki_domain* domain, uint32_t count) {
    const sxvki_records* records = domain->bins.records;
    uint32_t i, seen = 0;
    for (i = 0; i < domain->class_count; i++) {
        uint32_t id, prev = SXVKI_NONE;
        for (id = domain->classes[i].list; id != SXVKI_NONE; seen++) {
            const sxvki_slab* slab;
            if (!sxvki_slab_exists(records, id) || seen >= count) {
                return 0;
            }
            slab = sxvki_slab_at(records, id);
            if (sxvki_load_ptr(&slab->owner) != domain || slab->is_listed != SXVKI_SLAB_LISTED ||
                slab->class_index != i || slab->prev != prev) {
                return 0;
            }
            prev = id;
            id = slab->next;
        }
    }
    return seen == count;
}

/*  The ranges of one block. */
SXVKI_COLD static int sxvki_domain_ranges_are_valid(const sxvki_domain* domain,
                                                    const sxvki_block* block,
                                                    uint32_t* free_count) {
    uint64_t size = block->size >> SXVKI_GRANULE_SHIFT;
    if (block->epoch != domain->linear.epoch) {
        return 0;
    }
    return sxvki_domain_is_linear(domain)
               ? sxvki_lane_is_valid(domain->linear.records, &block->in.lane, block->id, size)
               : sxvki_bins_block_is_valid(&domain->bins, block->first, block->id, size,
                                           free_count);
}

SXVKI_COLD static int sxvki_domain_is_valid(const sxvki_domain* domain) {
    const sxvki_device* device = domain->pool->device;
    uint32_t id, prev = SXVKI_NONE, free_count = 0, blocks = 0, empty = 0, live = 0;
    uint32_t slabs = 0, listed = 0;
    uint64_t bytes = 0, empty_bytes = 0, live_bytes = 0, slab_bytes = 0;
    int in_empty_part = 0;
    for (id = domain->block_first; id != SXVKI_NONE; blocks++) {
        const sxvki_block* block = sxvki_block_at(device, id);
        uint32_t index, count = 0;
        uint64_t live_size = 0;
        if (block->prev != prev || block->domain != domain || block->memory == VK_NULL_HANDLE ||
            blocks >= domain->listed_count ||
            !sxvki_domain_ranges_are_valid(domain, block, &free_count)) {
            return 0;
        }
        for (index = sxvki_block_first(block); index != SXVKI_NONE;) {
            const sxvki_record* r = sxvki_record_at(domain->bins.records, index);
            if (sxvki_record_is_live(r) && (sxvki_record_state(r) & SXVKI_STATE_SLAB)) {
                if (!sxvki_domain_slab_is_valid(domain, index)) {
                    return 0;
                }
                slabs++;
                listed +=
                    sxvki_slab_at(domain->bins.records, r->link_a)->is_listed == SXVKI_SLAB_LISTED;
                slab_bytes += sxvki_record_size(r) << SXVKI_GRANULE_SHIFT;
            } else if (sxvki_record_is_live(r)) {
                live_bytes += sxvki_range_bytes(domain->bins.records, r);
            }
            live_size += sxvki_record_is_live(r) ? sxvki_record_size(r) : 0;
            count += (uint32_t)sxvki_record_is_live(r);
            index = r->next;
        }
        in_empty_part |= id == domain->empty_first;
        if (count != block->live_count || (count == 0) != in_empty_part ||
            (!sxvki_domain_is_linear(domain) && live_size != block->in.stock.live_size)) {
            return 0;
        }
        live += count;
        bytes += block->size;
        empty += count == 0;
        empty_bytes += count == 0 ? block->size : 0;
        prev = id;
        id = block->next;
    }
    return prev == domain->block_last && blocks == domain->listed_count &&
           live == domain->live_count && bytes == domain->block_bytes &&
           live_bytes + slab_bytes == domain->live_bytes && slabs == domain->slab_count &&
           slab_bytes == domain->slab_bytes && sxvki_domain_lists_are_valid(domain, listed) &&
           empty == domain->empty_count && empty_bytes == domain->empty_bytes &&
           sxvki_bins_is_valid(&domain->bins, free_count) &&
           (!sxvki_domain_is_linear(domain) || sxvki_linear_is_valid(&domain->linear));
}

/*  Caller holds the lock of the dedicated allocations. */
SXVKI_COLD static int sxvki_pool_dedicated_is_valid(const struct SxvkPool_T* pool) {
    const sxvki_device* device = pool->device;
    uint32_t id, prev = SXVKI_NONE, count = 0;
    uint64_t bytes = 0, live_bytes = 0;
    for (id = pool->dedicated_first; id != SXVKI_NONE; count++) {
        const sxvki_block* block = sxvki_block_at(device, id);
        const sxvki_record* r;
        if (block->pool != pool || block->domain != NULL || block->prev != prev ||
            block->memory == VK_NULL_HANDLE ||
            block->first >= sxvki_load32(&device->records.hot.capacity) ||
            count >= pool->dedicated_count) {
            return 0;
        }
        r = sxvki_record_at(&device->records, block->first);
        if (!sxvki_record_is_live(r) || sxvki_record_block(r) != id ||
            sxvki_record_offset(r) != 0 || sxvki_record_bytes(r) != block->size) {
            return 0;
        }
        bytes += block->size;
        live_bytes += sxvki_record_bytes(r);
        prev = id;
        id = block->next;
    }
    return count == pool->dedicated_count && bytes == pool->dedicated_bytes &&
           live_bytes == pool->dedicated_live_bytes;
}

/* ============================================================================================== */
/*  >>core       the allocator and its ladder                                                     */
/* ============================================================================================== */
/*
    The ladder of a request, for each memory type that the wish allows, best first:

        a block that is there -> dedicated, if the size deserves it -> a new block, halving

    and when all types have failed: once more, after empty blocks were given back; then dedicated as
    a last resort, under a reserve of the allocation count that stops a full heap from turning into
    thousands of tiny allocations. Where the driver asks for dedicated memory, that comes first.
*/

/*  Resource classes: a pair of kind and usage flags, so that a record can say in 8 bits what
    lives in it. Programs have a few dozen; when the table is full the dump just knows less. */
#define SXVKI_CLASS_COUNT 256

/*  A ring of the last frames. */
typedef struct sxvki_history {
    sxvki_lock lock; /* guards all of it */
    SxvkFrameStatistics* frames;
    uint32_t capacity;   /* 0: none */
    uint32_t count;      /* frames written, ever */
    uint32_t takes;      /* at the last tick: allocations made, ever, modulo 2^28 */
    uint32_t live_count; /* of allocations: what moves counts once */
    uint64_t driver_calls;
    uint64_t moved_bytes;
} sxvki_history;

#if !SX_VKALLOC_NO_DEFRAG
/*  Made with the first entry: most programs have none. */
typedef struct sxvki_movable_tables {
    sxvki_table entries; /* sxvki_movable */
    sxvki_table heads;   /* sxvki_movable*, of the hash table's lists */
} sxvki_movable_tables;

/*  See >>movable, and from first_flight on >>moves. */
typedef struct sxvki_movables {
    sxvki_lock lock;
    uint32_t count;                     /* atomic; of entries that can be found */
    sxvki_movable_tables* tables;       /* null: there was no entry yet */
    struct sxvki_movable* first_flight; /* in the order of their values */
    struct sxvki_movable* last_flight;
    uint64_t last_value;
    uint64_t completed_value;
    SxvkDefragmentationContext tick; /* the run of the ticks, or null */
    uint32_t calm;                   /* ticks since the last run */
    uint64_t seen_revivals;
    uint64_t rest;            /* bytes that the last run has left */
    int was_full;             /* it went as far as a run does */
    SxvkMoveStatistics stats; /* under the lock */
} sxvki_movables;
#endif

struct SxvkAllocator_T {
    sxvki_device device;
    void* default_pools[VK_MAX_MEMORY_TYPES]; /* atomic; SxvkPool, made when first needed */
    sxvki_lock pools_lock;                    /* guards the list of custom pools, and the next */
    uint64_t pool_serial;                     /* of the newest custom pool */
    void* first_pool;                         /* atomic; SxvkPool */
    sxvki_shared64 pool_readers;              /* atomic; see sxvki_read_pools */
    sxvki_history history;
    uint32_t gone_takes; /* allocations that pools had made that are gone; guarded as the list */
    SxvkDefragmentationContext first_context; /* under the same lock */
#if !SX_VKALLOC_NO_DEFRAG
    sxvki_movables movables;
#endif
    sxvki_shared64 defrags;                    /* atomic; runs begun so far */
    int tells_leaks;                           /* sxvkDestroyAllocator is reporting them */
    sxvki_shared64 classes[SXVKI_CLASS_COUNT]; /* atomic; usage << 3 | kind; 0 while unused */
    sxvki_decision decisions[SXVKI_DECISIONS];
};

SXVKI_INLINE uint32_t sxvki_class_id(SxvkAllocator allocator, sxvki_kind kind, uint64_t usage) {
    uint64_t key = usage << 3 | (uint64_t)kind;
    uint32_t slot = (uint32_t)(key * 0x9E3779B97F4A7C15u >> 56);
    uint32_t probe;
    if (kind == SXVKI_KIND_UNKNOWN || usage == 0) {
        return 0;
    }
    for (probe = 0; probe < 16; probe++) {
        uint32_t id = (slot + probe) % SXVKI_CLASS_COUNT;
        sxvki_shared64* entry = allocator->classes + id;
        uint64_t seen = sxvki_load64_relaxed(entry);
        if (id == 0) {
            continue; /* 0 says that the class is not known */
        }
        if (seen == key || (seen == 0 && (sxvki_cas64(entry, &seen, key) || seen == key))) {
            return id;
        }
    }
    return 0;
}

/*  Returns 0 where the host has no lock. */
SXVKI_COLD static int sxvki_allocator_init_movables(SxvkAllocator allocator, int locked) {
#if !SX_VKALLOC_NO_DEFRAG
    allocator->movables.calm = UINT32_MAX / 2;
    return sxvki_lock_init(&allocator->movables.lock, locked);
#else
    (void)allocator;
    (void)locked;
    return 1;
#endif
}

SXVKI_COLD static void sxvki_allocator_free(SxvkAllocator allocator, const sxvki_host* host) {
    sxvki_device* device = &allocator->device;
    sxvki_table_shutdown(&device->blocks, &device->host);
    sxvki_records_shutdown(&device->records);
    sxvki_modules_shutdown(&device->modules);
    sxvki_lock_shutdown(&device->blocks_lock);
    sxvki_lock_shutdown(&allocator->pools_lock);
#if !SX_VKALLOC_NO_DEFRAG
    if (allocator->movables.tables != NULL) {
        sxvki_table_shutdown(&allocator->movables.tables->entries, host);
        sxvki_table_shutdown(&allocator->movables.tables->heads, host);
        sxvki_host_free(host, allocator->movables.tables);
    }
    sxvki_lock_shutdown(&allocator->movables.lock);
#endif
    sxvki_lock_shutdown(&allocator->history.lock);
    sxvki_host_free(host, allocator->history.frames);
#if SX_VKALLOC_STACK_TRACES
    sxvki_stacks_destroy((sxvki_stacks*)device->stacks, host);
#endif
    sxvki_host_free(host, allocator);
}

/*  Differs between allocators and virtual blocks, also between two that got the same address one
    after the other. */
static uint32_t sxvki_salt(const void* object) {
    uint64_t now = (uint64_t)clock() ^ (uint64_t)time(NULL) << 32;
#if defined(_WIN32) && !SX_VKALLOC_NO_THREADS
    LARGE_INTEGER ticks; /* clock() has milliseconds there */
    QueryPerformanceCounter(&ticks);
    now ^= (uint64_t)ticks.QuadPart;
#endif
    return (uint32_t)sxvki_mix(now ^ sxvki_mix((uintptr_t)object));
}

/*  What debugging and the history need. Returns 0 where there is no host memory. */
SXVKI_COLD static int sxvki_allocator_watch(SxvkAllocator allocator, uint32_t frames, int locked) {
    const SxvkDebugFlags any = SXVK_DEBUG_TRACK_ALLOCATIONS_BIT | SXVK_DEBUG_LOG_ALLOCATIONS_BIT |
                               SXVK_DEBUG_LOG_FREES_BIT;
    sxvki_device* device = &allocator->device;
    sxvki_history* history = &allocator->history;
    SxvkDebugInfo* debug = &device->debug;
#if SX_VKALLOC_STACK_TRACES
    debug->flags |= SXVK_DEBUG_TRACK_ALLOCATIONS_BIT;
    device->stacks = sxvki_stacks_create(&device->host, locked);
    if (device->stacks == NULL) {
        return 0;
    }
#endif
    device->records.has_origins = (debug->flags & SXVK_DEBUG_TRACK_ALLOCATIONS_BIT) != 0;
    device->attends = SXVKI_HAS_HOOKS || (debug->flags & any) != 0 || debug->margin != 0 ||
                      (debug->fillOnAllocate | debug->fillOnFree) != 0;
    if (frames != 0) {
        history->frames = (SxvkFrameStatistics*)sxvki_host_alloc_zeroed(
            &device->host, frames * sizeof *history->frames);
        history->capacity = frames;
    }
    return sxvki_lock_init(&history->lock, locked) && (frames == 0 || history->frames != NULL);
}

/*  Find the Vulkan functions; returns the name of one that is missing, else null. */
SXVKI_COLD static const char* sxvki_device_load(sxvki_device* device,
                                                const SxvkAllocatorCreateInfo* info) {
    const char* missing;
    device->vk.instance = info->instance;
    device->vk.physical_device = info->physicalDevice;
    device->vk.device = info->device;
    device->vk.version =
        sxvki_version_of(info->vulkanApiVersion != 0 ? info->vulkanApiVersion : VK_API_VERSION_1_0);
    if (device->vk.version > SX_VKALLOC_VULKAN_VERSION) {
        device->vk.version = SX_VKALLOC_VULKAN_VERSION;
    }
    missing = sxvki_vk_load(&device->vk, info->pVulkanFunctions);
    if (missing == NULL) {
        missing = sxvki_vk_choose(&device->vk, info->flags);
    }
    return missing;
}

/*  Ask for the limits, memory types and budgets. */
SXVKI_COLD static void sxvki_device_measure(sxvki_device* device,
                                            const SxvkAllocatorCreateInfo* info) {
    VkPhysicalDeviceMemoryProperties memory;
    uint32_t h;
    sxvki_vk_ask_limits(&device->vk, device->debug.minBufferImageGranularity);
    memset(&memory, 0, sizeof memory);
    device->vk.fn.vkGetPhysicalDeviceMemoryProperties(info->physicalDevice, &memory);
    sxvki_memory_model_init(&device->model, &memory, device->vk.properties.deviceType,
                            (info->flags & SXVK_ALLOCATOR_CREATE_AMD_DEVICE_COHERENT_MEMORY_BIT) !=
                                0);
    for (h = 0; info->pHeapSizeLimit != NULL && h < memory.memoryHeapCount; h++) {
        VkDeviceSize* size = &device->model.properties.memoryHeaps[h].size;
        *size = sxvki_min64(*size, info->pHeapSizeLimit[h]);
    }
    sxvki_budget_init(&device->budget, &device->model.properties, device->vk.max_allocation_count,
                      device->vk.memory_budget);
    sxvki_budget_refresh(&device->budget, &device->vk);
}

/*  The info is valid. Names the Vulkan function that is missing, if any. */
SXVKI_COLD static VkResult sxvki_allocator_make(const SxvkAllocatorCreateInfo* info,
                                                SxvkAllocator* made, const char** missing) {
    int locked = (info->flags & SXVK_ALLOCATOR_CREATE_EXTERNALLY_SYNCHRONIZED_BIT) == 0;
    SxvkAllocator allocator;
    sxvki_device* device;
    sxvki_host host;
    sxvki_host_init(&host, info->pAllocationCallbacks);
    allocator = (SxvkAllocator)sxvki_host_alloc_zeroed(&host, sizeof *allocator);
    if (allocator == NULL) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    device = &allocator->device;
    sxvki_host_init(&device->host, info->pAllocationCallbacks);
    device->allocator = allocator;
    device->flags = info->flags;
    device->reporter.callback = info->pfnMessage;
    device->reporter.user_data = info->pMessageUserData;
    device->preferred_block_size = info->preferredLargeHeapBlockSize != 0
                                       ? info->preferredLargeHeapBlockSize
                                       : (VkDeviceSize)256 << 20;
    if (info->pDeviceMemoryCallbacks != NULL) {
        device->callbacks = *info->pDeviceMemoryCallbacks;
    }
    if (info->pDebugInfo != NULL) {
        device->debug = *info->pDebugInfo;
    }
    sxvki_table_init(&device->blocks, SXVKI_BLOCKS_FIRST_SHIFT, sizeof(sxvki_block),
                     offsetof(sxvki_block, next));
    sxvki_pressure_init(&device->pressure, info->pPressureInfo);
    if (!sxvki_lock_init(&device->blocks_lock, locked) ||
        !sxvki_lock_init(&allocator->pools_lock, locked) ||
        !sxvki_modules_init(&device->modules, &device->host, sxvki_salt(device), locked) ||
        !sxvki_allocator_init_movables(allocator, locked) ||
        !sxvki_records_init(&device->records, &device->host, sxvki_salt(allocator), locked) ||
        !sxvki_allocator_watch(allocator, info->frameHistoryCount, locked)) {
        sxvki_allocator_free(allocator, &host);
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    device->records.has_tracks = 1;
    *missing = sxvki_device_load(device, info);
    if (*missing != NULL) {
        sxvki_allocator_free(allocator, &host);
        return VK_ERROR_VALIDATION_FAILED_EXT;
    }
    sxvki_device_measure(device, info);
    *made = allocator;
    return VK_SUCCESS;
}

SXVKI_INLINE SxvkPool sxvki_default_pool(const struct SxvkAllocator_T* allocator, uint32_t type) {
    return (SxvkPool)sxvki_load_ptr(&allocator->default_pools[type]);
}

/*  Null where there is no host memory. */
SXVKI_COLD static SxvkPool sxvki_make_default_pool(SxvkAllocator allocator, uint32_t type) {
    const sxvki_host* host = &allocator->device.host;
    SxvkPool pool = sxvki_default_pool(allocator, type);
    void* seen = NULL;
    if (pool != NULL) {
        return pool;
    }
    pool = (SxvkPool)sxvki_host_alloc_zeroed(host, sizeof *pool);
    if (pool == NULL || !sxvki_pool_init(pool, &allocator->device, type, NULL)) {
        sxvki_host_free(host, pool);
        return NULL;
    }
    if (!sxvki_cas_ptr(&allocator->default_pools[type], &seen, pool)) {
        sxvki_pool_shutdown(pool); /* another thread was faster */
        sxvki_host_free(host, pool);
        pool = (SxvkPool)seen;
    }
    return pool;
}

/*  Call something for each pool, default ones first. Custom pools cannot go away meanwhile,
    because their list is locked; so what is called takes locks of pools and domains, and calls
    no driver. */
typedef void (*sxvki_pool_visitor)(SxvkPool pool, void* context);

static void sxvki_visit_default_pools(SxvkAllocator allocator, sxvki_pool_visitor visit,
                                      void* context) {
    uint32_t type;
    for (type = 0; type < allocator->device.model.properties.memoryTypeCount; type++) {
        SxvkPool pool = sxvki_default_pool(allocator, type);
        if (pool != NULL) {
            visit(pool, context);
        }
    }
}

SXVKI_INLINE SxvkPool sxvki_pool_at(void* const* link) {
    return (SxvkPool)sxvki_load_ptr(link);
}

/*  The caller holds the lock, or is one of the readers. */
static void sxvki_visit_custom_pools(SxvkAllocator allocator, sxvki_pool_visitor visit,
                                     void* context) {
    SxvkPool pool = sxvki_pool_at(&allocator->first_pool);
    for (; pool != NULL; pool = sxvki_pool_at(&pool->next_pool)) {
        visit(pool, context);
    }
}

static void sxvki_visit_pools(SxvkAllocator allocator, sxvki_pool_visitor visit, void* context) {
    sxvki_visit_default_pools(allocator, visit, context);
    sxvki_lock_take(&allocator->pools_lock);
    sxvki_visit_custom_pools(allocator, visit, context);
    sxvki_lock_drop(&allocator->pools_lock);
}

/*  The same for who only reads counters, and waits for nobody: the lock is not taken. Who destroys
    a pool waits until he sees no reader. So each one either has left, or began after the pool was
    taken out of the list: both ask by an atomic addition. */
static void sxvki_read_pools(SxvkAllocator allocator, sxvki_pool_visitor visit, void* context) {
    sxvki_visit_default_pools(allocator, visit, context);
    sxvki_add64(&allocator->pool_readers, 1);
    sxvki_visit_custom_pools(allocator, visit, context);
    sxvki_add64(&allocator->pool_readers, (uint64_t)0 - 1);
}

/*  From which size on a request deserves memory of its own rather than a new block. */
static VkDeviceSize sxvki_dedicated_threshold(const struct SxvkPool_T* pool,
                                              SxvkAllocationCreateFlags flags) {
    const sxvki_device* device = pool->device;
    VkDeviceSize threshold = sxvki_max64(SXVKI_DEDICATED_ABOVE, sxvki_pool_size_floor(pool) / 2);
    uint32_t now = sxvki_load32_relaxed(&device->frame);
    threshold = sxvki_max64(threshold, sxvki_budget_total(&device->budget) / SXVKI_DEDICATED_SHARE);
    if (now - sxvki_load32_relaxed(&pool->brief_frame) < SXVKI_RETAIN_FRAMES) {
        threshold = sxvki_max64(threshold, sxvki_load64_relaxed(&pool->brief_size));
    }
    if (flags & SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT) {
        threshold /= SXVKI_DEDICATED_TIGHT;
    }
    return sxvki_min64(threshold, pool->max_block_size / 2);
}

/*  No room here, but perhaps elsewhere; any other failure ends the search, SXVKI_AT_LIMIT as
    well. */
SXVKI_INLINE int sxvki_is_full(VkResult result) {
    return result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_TOO_MANY_OBJECTS;
}

/*  A new block; or room in the one that another thread makes, where there may be no more. */
SXVKI_COLD static VkResult sxvki_pool_grow(sxvki_domain* domain, const sxvki_place* place,
                                           const sxvki_request* request, SxvkAllocation* taken) {
    int within = (request->flags & SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT) != 0;
    uint32_t step = 0;
    for (;;) {
        VkResult result = sxvki_domain_grow(domain, place, within, taken);
        if (result != VK_NOT_READY) {
            return result;
        }
        sxvki_spin_pause(step++);
    }
}

/*  One pool of the ladder. */
SXVKI_COLD static VkResult sxvki_allocate_in_pool(SxvkPool pool, const sxvki_request* request,
                                                  SxvkAllocation* taken) {
    sxvki_device* device = pool->device;
    int never = (request->flags & SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT) != 0;
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    sxvki_domain* domain;
    sxvki_place place;
    if (request->needs_dedicated || (device->debug.flags & SXVK_DEBUG_ALWAYS_DEDICATED_BIT)) {
        return never ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                     : sxvki_pool_take_dedicated(pool, request, SXVKI_RESERVE_NONE, taken);
    }
    if (request->prefers_dedicated && pool->block_size == 0 && !never) {
        result = sxvki_pool_take_dedicated(pool, request, SXVKI_RESERVE_QUARTER, taken);
        if (!sxvki_is_full(result)) {
            return result;
        }
    }
    if (!sxvki_pool_place(pool, request, &place)) {
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    domain = request->full;
    if (domain == NULL || domain->pool != pool) {
        result = sxvki_pool_take(pool, &place, taken, &domain);
    }
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY && sxvki_load_ptr(&domain->victims) != NULL) {
        result = sxvki_domain_revive(domain, &place, taken);
    }
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY && !never) {
        if (pool->block_size == 0 &&
            request->size > sxvki_dedicated_threshold(pool, request->flags)) {
            result = sxvki_pool_take_dedicated(pool, request, SXVKI_RESERVE_QUARTER, taken);
        }
        if (sxvki_is_full(result)) {
            result = sxvki_pool_grow(domain, &place, request, taken);
        }
    }
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY && pool->block_size == 0) {
        result = sxvki_pool_take_foreign(pool, &place, taken, domain, 1);
    }
    return result;
}

/*  Which empty blocks to give back. */
typedef struct sxvki_release {
    sxvki_block* chain;
    uint32_t frames; /* empty for at least so long */
    uint32_t count;  /* at most so many */
    int is_unasked;  /* not by sxvkTrim */
} sxvki_release;

SXVKI_COLD static void sxvki_release_visit(SxvkPool pool, void* context) {
    sxvki_release* release = (sxvki_release*)context;
    if (release->is_unasked && (pool->flags & SXVK_POOL_CREATE_EXTERNALLY_SYNCHRONIZED_BIT) != 0) {
        return; /* its user may be in it at this moment */
    }
    if (sxvki_budget_has_room(&pool->device->budget, sxvki_type_heap(pool->device, pool->type),
                              0)) {
        sxvki_pool_detach(pool, release->frames, &release->count, &release->chain);
    } else {
        uint32_t all = UINT32_MAX; /* over budget: at once */
        sxvki_pool_detach(pool, 0, &all, &release->chain);
    }
}

/*  Returns the bytes that went back to the driver. */
static VkDeviceSize sxvki_release_empty(SxvkAllocator allocator, uint32_t frames, uint32_t count,
                                        int is_unasked) {
    sxvki_release release;
    release.is_unasked = is_unasked;
    release.chain = NULL;
    release.frames = frames;
    release.count = count;
    sxvki_visit_pools(allocator, sxvki_release_visit, &release);
    return sxvki_blocks_destroy(&allocator->device, release.chain);
}

/*  Only one thread gives host memory back; another one that comes meanwhile leaves it to him. */
SXVKI_COLD static int sxvki_trim_begin(sxvki_device* device) {
    uint32_t seen = sxvki_load32(&device->trim_state);
    return seen != SXVKI_TRIM_BUSY && sxvki_cas32(&device->trim_state, &seen, SXVKI_TRIM_BUSY);
}

/*  Free what was retired long enough ago. */
SXVKI_COLD static void sxvki_trim_end(sxvki_device* device) {
    int waits = sxvki_device_drop(device);
    sxvki_store32(&device->trim_state, waits ? SXVKI_TRIM_WAITS : SXVKI_TRIM_IDLE);
}

/*  Give the records back that domains do not need now. */
SXVKI_COLD static void sxvki_trim_domains(SxvkAllocator allocator) {
    sxvki_spares spares;
    do {
        spares.chains = SXVKI_NONE;
        spares.is_partial = 0;
        sxvki_visit_pools(allocator, sxvki_pool_trim, &spares);
        sxvki_spares_give(&allocator->device.records, &spares);
    } while (spares.is_partial);
}

/*  Give back the tables' memory that nobody needs. Why nobody can be looking at it:

    - What a thread has, an allocation or a spare record of the domain whose lock it holds, keeps
      its chunk. So does an index that it looks at under the lock of a domain that owns it.
    - A thread that gives a slot back, or reads a letter about its slab, may come when that is
      closed already (>>slabs S3). It does so under the lock of the domain, and asks for the
      capacity there: either it left the lock before it is passed below, or it came later and finds
      the capacity lowered.
    - sxvkForEachAllocation, sxvkIsAllocationValid and the passes of a defragmentation look at what
      may be free, and pin it.
    - Whoever else comes with a stale handle has a bug, but is to get a message and not to crash.
      He takes no lock and counts nothing, which would cost those who have none. The capacity
      refuses him before and after; what he reads when he is stopped between his look at it and the
      next instructions stays for SXVKI_TRIM_GRACE seconds. */
SXVKI_COLD static void sxvki_trim_tables(SxvkAllocator allocator) {
    sxvki_device* device = &allocator->device;
    if (!sxvki_trim_begin(device)) {
        return;
    }
    (void)sxvki_device_drop(device); /* before more is retired, and all has to wait again */
    sxvki_trim_domains(allocator);
    if (sxvki_device_retire(device)) {
        sxvki_visit_pools(allocator, sxvki_pool_pass, NULL);
    }
    sxvki_trim_end(device);
}

/*  What is asked for: how much memory, and what for. The first is read where the driver or the user
    wrote it: a copy, made by wider loads than their stores were, waits for these (10 ns of 150 for
    a buffer on lavapipe). */
typedef struct sxvki_demand {
    const VkMemoryRequirements* memory; /* of the user, or in `answer` */
    VkBuffer buffer;
    VkImage image;
    VkMemoryRequirements2 answer;
    VkMemoryDedicatedRequirements dedicated;
    sxvki_purpose purpose;
} sxvki_demand;

/*  All but the purpose; memory is null where the driver is about to answer. */
static void sxvki_demand_init(sxvki_demand* demand, const VkMemoryRequirements* memory) {
    memset(demand, 0, offsetof(sxvki_demand, purpose));
    demand->memory = memory != NULL ? memory : &demand->answer.memoryRequirements;
    demand->answer.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2;
    demand->answer.pNext = &demand->dedicated;
    demand->dedicated.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS;
}

/*  The wish's types in order. */
SXVKI_COLD static VkResult sxvki_allocate_by_wish(SxvkAllocator allocator, const sxvki_wish* wish,
                                                  const sxvki_request* request, int last_resort,
                                                  SxvkAllocation* taken) {
    const sxvki_memory_model* model = &allocator->device.model;
    sxvki_wish left = *wish;
    uint32_t type = sxvki_memory_type_best(model, &left);
    VkResult result = VK_ERROR_FEATURE_NOT_PRESENT;
    for (; type != SXVKI_NONE; type = sxvki_memory_type_next(model, &left, type)) {
        SxvkPool pool = sxvki_make_default_pool(allocator, type);
        if (pool == NULL) {
            return VK_ERROR_OUT_OF_HOST_MEMORY;
        }
        result = last_resort ? sxvki_pool_take_dedicated(pool, request, SXVKI_RESERVE_EIGHTH, taken)
                             : sxvki_allocate_in_pool(pool, request, taken);
        if (!sxvki_is_full(result)) {
            return result;
        }
    }
    return result;
}

/*  A pool with blocks of one size cannot serve it, whatever is given back elsewhere. */
SXVKI_INLINE int sxvki_is_too_large(const struct SxvkPool_T* pool, const sxvki_request* request) {
    return pool != NULL && pool->block_size != 0 && !request->needs_dedicated &&
           request->size > pool->block_size;
}

/*  The whole ladder. What other domains keep empty is given back before the last resort. */
SXVKI_COLD static VkResult sxvki_climb(SxvkAllocator allocator, const sxvki_demand* demand,
                                       const SxvkAllocationCreateInfo* info,
                                       const sxvki_request* request, SxvkAllocation* taken) {
    int never = (request->flags & SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT) != 0;
    SxvkPool pool = info->pool;
    sxvki_wish wish;
    VkResult result;
    int again;
    if (pool != NULL && ((demand->memory->memoryTypeBits >> pool->type) & 1) == 0) {
        return VK_ERROR_FEATURE_NOT_PRESENT;
    }
    sxvki_wish_init(&wish, &allocator->device.model, demand->memory->memoryTypeBits, info,
                    &demand->purpose);
    for (again = 0;; again++) {
        result = pool != NULL ? sxvki_allocate_in_pool(pool, request, taken)
                              : sxvki_allocate_by_wish(allocator, &wish, request, 0, taken);
        if (!sxvki_is_full(result)) {
            return result;
        }
        if (never) {
            return SXVKI_AT_LIMIT;
        }
        if (again || sxvki_is_too_large(pool, request) ||
            sxvki_release_empty(allocator, 0, UINT32_MAX, 1) == 0) {
            break;
        }
    }
    if (pool == NULL && !request->needs_dedicated) {
        result = sxvki_allocate_by_wish(allocator, &wish, request, 1, taken);
    }
    return result;
}

/* --- freeing --- */

#define SXVKI_MARGIN_BYTE 0xDB

/*  Do the allocations of a block have margins? */
SXVKI_INLINE int sxvki_has_margin(const sxvki_device* device, const sxvki_block* block) {
    return block->domain != NULL && sxvki_type_margin(device, block->type) != 0;
}

/*  Where the margin behind an allocation is, or null. The block is mapped while margins are on. */
static unsigned char* sxvki_margin_of(const sxvki_device* device, const sxvki_view* view) {
    char* data = sxvki_block_pointer(view->block);
    if (!sxvki_has_margin(device, view->block) || data == NULL) {
        return NULL;
    }
    return (unsigned char*)data + view->offset + view->size;
}

/*  Fill an allocation whose block is mapped; nobody else uses it. Ranges of memory that wants
    flushes begin and end at atoms, or with their block. */
SXVKI_COLD static void sxvki_fill(const sxvki_device* device, const sxvki_view* view,
                                  uint32_t byte) {
    const sxvki_block* block = view->block;
    memset(sxvki_block_pointer(block) + view->offset, (int)byte, (size_t)view->size);
    if (sxvki_type_wants_flush(device, block->type)) {
        VkDeviceSize end = sxvki_align_up(view->offset + view->size, device->vk.atom);
        VkMappedMemoryRange range;
        memset(&range, 0, sizeof range);
        range.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE;
        range.memory = block->memory;
        range.offset = view->offset;
        range.size = end < block->size ? end - view->offset : VK_WHOLE_SIZE;
        (void)device->vk.fn.vkFlushMappedMemoryRanges(device->vk.device, 1, &range);
    }
}

static int sxvki_margin_is_intact(const sxvki_device* device, const sxvki_view* view) {
    const unsigned char* margin = sxvki_margin_of(device, view);
    VkDeviceSize i;
    for (i = 0; margin != NULL && i < device->debug.margin; i++) {
        if (margin[i] != SXVKI_MARGIN_BYTE) {
            return 0;
        }
    }
    return 1;
}

SXVKI_INLINE void sxvki_state_set(uint32_t* state, uint32_t bits) {
    uint32_t seen = sxvki_load32(state);
    while (!sxvki_cas32(state, &seen, seen | bits)) {
    }
}

/*  The module of an allocation, an id; 0 where it has none. */
static uint32_t sxvki_module_of(const sxvki_device* device, uint32_t index) {
    const sxvki_track* track = NULL;
    uint32_t id = 0;
    if (sxvki_load32(sxvki_state_of(device, index)) & SXVKI_STATE_COLD) {
        track = sxvki_track_find(&device->records, index);
        id = track != NULL ? sxvki_load32_relaxed(&track->module) : 0;
    }
    return sxvki_module_find(&device->modules, id) != NULL ? id : 0;
}

/*  Null where it has none. It stays while the allocation lives and is not renamed. */
SXVKI_COLD static const char* sxvki_name_of(const sxvki_device* device, uint32_t index) {
    return sxvki_load32(sxvki_state_of(device, index)) & SXVKI_STATE_COLD
               ? (const char*)sxvki_load_ptr(&sxvki_cold_find(&device->records, index)->name)
               : NULL;
}

#define SXVKI_TAG_SIZE 64

/*  What a message says of an allocation, kept for when that is gone. */
typedef struct sxvki_subject {
    sxvki_line line;
    SxvkAllocation allocation;
    uint32_t age;             /* frames; UINT32_MAX: not known */
    uint32_t stack;           /* SXVKI_NONE: not known */
    char tag[SXVKI_TAG_SIZE]; /* the start of the name of its module; "": none */
} sxvki_subject;

/*  As much of a module's name as fits. */
SXVKI_COLD static void sxvki_subject_set_tag(sxvki_subject* subject, const char* name) {
    sxvki_line line;
    line.size = 0;
    sxvki_line_add_name(&line, name);
    line.text[sxvki_utf8_fit(line.text, SXVKI_TAG_SIZE - 1)] = 0;
    memcpy(subject->tag, line.text, SXVKI_TAG_SIZE);
}

/*  Whose it is, while that is there; also in words. */
SXVKI_COLD static void sxvki_subject_tag(sxvki_subject* subject, sxvki_modules* modules,
                                         uint32_t id) {
    const sxvki_module* module;
    subject->tag[0] = 0;
    sxvki_lock_take(&modules->lock);
    module = sxvki_module_find(modules, id);
    if (module != NULL) {
        sxvki_subject_set_tag(subject, module->name);
    }
    sxvki_lock_drop(&modules->lock);
    if (subject->tag[0] != 0) {
        sxvki_line_add(&subject->line, ", module ");
        sxvki_line_add(&subject->line, subject->tag);
    }
}

/*  How many frames old an allocation is, and where it was made; see sxvki_subject. */
SXVKI_COLD static void sxvki_origin_read(const sxvki_device* device, uint32_t index, uint32_t* age,
                                         uint32_t* stack) {
    const sxvki_origin* origin = sxvki_origin_find(&device->records, index);
    *age = UINT32_MAX;
    *stack = SXVKI_NONE;
    if (origin != NULL) {
        *age = sxvki_load32_relaxed(&device->frame) - sxvki_load32_relaxed(&origin->frame);
        *stack = sxvki_load32_relaxed(&origin->stack);
    }
}

/*  About no allocation yet: "function: ". */
SXVKI_COLD static void sxvki_subject_init_plain(sxvki_subject* subject, const char* function) {
    subject->allocation = VK_NULL_HANDLE;
    subject->age = UINT32_MAX;
    subject->stack = SXVKI_NONE;
    subject->tag[0] = 0;
    subject->line.size = 0;
    sxvki_line_add(&subject->line, function);
    sxvki_line_add(&subject->line, ": ");
}

/*  The start of each: "function: name, 4096 bytes". The name is optional; 0 bytes: not known. */
SXVKI_COLD static void sxvki_subject_begin(sxvki_subject* subject, const char* function,
                                           const char* name, VkDeviceSize size) {
    sxvki_line* line = &subject->line;
    sxvki_subject_init_plain(subject, function);
    sxvki_line_add_name(line, name != NULL ? name : "(no name)");
    if (size != 0) {
        sxvki_line_add(line, ", ");
        sxvki_line_add_u64(line, size, 10);
        sxvki_line_add(line, " bytes");
    }
}

/*  What is asked for, and by which module: "function: name, 4096 bytes, module audio: ". */
SXVKI_COLD static void sxvki_subject_wanted(sxvki_subject* subject, const sxvki_device* device,
                                            const char* function,
                                            const SxvkAllocationCreateInfo* info,
                                            VkDeviceSize size) {
    uint32_t module = (uint32_t)(uintptr_t)info->module;
    if (module == 0 && info->pool != VK_NULL_HANDLE) {
        module = sxvki_load32_relaxed(&info->pool->module);
    }
    sxvki_subject_begin(subject, function, info->pName, size);
    sxvki_subject_tag(subject, &device->allocator->device.modules, module);
    sxvki_line_add(&subject->line, ": ");
}

/*  Begin a message with the allocation: "function: name, 4096 bytes of memory type 1: ". */
SXVKI_COLD static void sxvki_subject_init(sxvki_subject* subject, const sxvki_device* device,
                                          const char* function, uint32_t index,
                                          SxvkAllocation allocation) {
    sxvki_view view = sxvki_look(device, index);
    sxvki_line* line = &subject->line;
    sxvki_subject_begin(subject, function, sxvki_name_of(device, index), view.size);
    subject->allocation = allocation;
    sxvki_origin_read(device, index, &subject->age, &subject->stack);
    sxvki_line_add(line, " of memory type ");
    sxvki_line_add_u64(line, view.block->type, 10);
    sxvki_subject_tag(subject, &device->allocator->device.modules, sxvki_module_of(device, index));
    if (subject->age != UINT32_MAX) {
        sxvki_line_add(line, ", ");
        sxvki_line_add_u64(line, subject->age, 10);
        sxvki_line_add(line, " frames old");
    }
    sxvki_line_add(line, ": ");
}

/*  ... and end it, with what it means. */
SXVKI_COLD static void sxvki_report_subject(const sxvki_device* device, SxvkMessage message,
                                            const sxvki_subject* subject) {
    sxvki_line line = subject->line;
    SxvkMessageInfo info;
#if SX_VKALLOC_STACK_TRACES
    sxvki_stack_text stack;
#endif
    sxvki_line_add(&line, sxvki_message_text(message));
    memset(&info, 0, sizeof info);
    info.severity = sxvki_message_severity(message);
    info.message = message;
    info.pText = line.text;
    info.pTag = subject->tag[0] != 0 ? subject->tag : NULL;
    info.allocation = subject->allocation;
    info.age = subject->age;
#if SX_VKALLOC_STACK_TRACES
    if (subject->stack != SXVKI_NONE) {
        sxvki_stacks_describe((sxvki_stacks*)device->stacks, subject->stack, &stack);
        info.pStack = stack.text;
    }
#endif
    sxvki_report_info(&device->reporter, &info);
}

SXVKI_COLD static void sxvki_report_allocation(const sxvki_device* device, SxvkMessage message,
                                               const char* function, uint32_t index,
                                               SxvkAllocation allocation) {
    sxvki_subject subject;
    sxvki_subject_init(&subject, device, function, index, allocation);
    sxvki_report_subject(device, message, &subject);
}

/*  Guards the records and the side table of what lives in the block. */
SXVKI_INLINE sxvki_lock* sxvki_block_lock(const sxvki_block* block) {
    return block->domain != NULL ? &block->domain->lock : &block->pool->dedicated_lock;
}

/*  End the mappings that the allocation holds; each was counted in its block. */
static void sxvki_unmap_all(sxvki_device* device, sxvki_block* block, uint32_t state) {
    uint32_t maps = (state & SXVKI_STATE_MAPS_MASK) + ((state & SXVKI_STATE_MAPPED) != 0) +
                    ((state & SXVKI_STATE_HELD) != 0);
    for (; maps != 0; maps--) {
        sxvki_block_unmap(device, block);
    }
}

#if SX_VKALLOC_DEBUG >= 3
static void sxvki_check_domain(sxvki_domain* domain) {
    int is_valid;
    if (domain == NULL) {
        return; /* dedicated */
    }
    sxvki_lock_take(&domain->lock);
    is_valid = sxvki_domain_is_valid(domain);
    sxvki_lock_drop(&domain->lock);
    SX_VKALLOC_ASSERT(is_valid);
}
#define SXVKI_CHECK_DOMAIN(domain) sxvki_check_domain(domain)
#else
#define SXVKI_CHECK_DOMAIN(domain) ((void)0)
#endif

/*  An allocation that was claimed, or is being reset, belongs to no module any more. */
static void sxvki_leave_module(sxvki_device* device, uint32_t index) {
    sxvki_track* track = sxvki_track_find(&device->records, index);
    uint32_t id = track != NULL ? sxvki_load32_relaxed(&track->module) : 0;
    if (id != 0) {
        sxvki_store32_relaxed(&track->module, 0);
        sxvki_module_sub(&device->modules, &device->pressure, id,
                         sxvki_load64_relaxed(&track->extent));
    }
}

/*  What the side table has about something that was claimed; a dump may be reading it. */
SXVKI_APART static void sxvki_give_cold(sxvki_device* device, sxvki_lock* lock, uint32_t index) {
    sxvki_leave_module(device, index);
    sxvki_lock_take(lock);
    sxvki_cold_clear(&device->records, index);
    sxvki_lock_drop(lock);
}

/*  Give a slot back of which the generation was raised: nobody else has it until its bit is set; so
    the slab and its domain stay, too. */
SXVKI_HOT void sxvki_give_slot(sxvki_device* device, uint32_t index, sxvki_slab* slab) {
    sxvki_domain* domain = (sxvki_domain*)sxvki_load_ptr(&slab->owner);
    if (sxvki_load32(&slab->slots[index % 64].state) & SXVKI_STATE_COLD) {
        sxvki_give_cold(device, &domain->lock, index);
    }
    sxvki_domain_give_slot(domain, sxvki_slot_slab(index), slab, index % 64);
    SXVKI_CHECK_DOMAIN(domain);
}

/*  The same for a dedicated block that was claimed. */
static void sxvki_give_dedicated(sxvki_device* device, uint32_t index, sxvki_block* block) {
    sxvki_record* r = sxvki_record_at(&device->records, index);
    SxvkPool pool = block->pool;
    sxvki_lock_take(&pool->dedicated_lock);
    sxvki_pool_give_dedicated(pool, block, r);
    sxvki_lock_drop(&pool->dedicated_lock);
    sxvki_block_destroy(device, block);
    r->next = SXVKI_NONE;
    sxvki_records_give(&device->records, index);
}

/*  The same for a range of the bins that was claimed. */
SXVKI_INLINE void sxvki_give_range(sxvki_device* device, uint32_t index, sxvki_record* r) {
    sxvki_block* block = sxvki_block_of_range(device, r);
    sxvki_domain* domain = block->domain;
    sxvki_block* chain = NULL;
    uint32_t calm;
    int is_posted = 0;
    if (sxvki_record_state(r) & SXVKI_STATE_COLD) {
        sxvki_give_cold(device, sxvki_block_lock(block), index);
    }
    if (domain == NULL) {
        sxvki_give_dedicated(device, index, block);
        return;
    }
    calm = sxvki_load32(&domain->calm_count);
    if (sxvki_domain_is_foreign(domain) && sxvki_load32_relaxed(&block->is_busy)) {
        is_posted = sxvki_domain_post(domain, index);
        if (is_posted && sxvki_load32_ordered(&domain->calm_count) == calm) {
            return;
        }
    }
    sxvki_lock_take(&domain->lock);
    if (!is_posted) {
        sxvki_domain_give(domain, index, &chain);
    }
    sxvki_domain_read(domain, &chain);
    sxvki_lock_drop(&domain->lock);
    if (chain != NULL) {
        sxvki_blocks_destroy(device, chain);
    }
    SXVKI_CHECK_DOMAIN(domain);
}

/*  The handle of an allocation that was claimed. */
SXVKI_COLD static SxvkAllocation sxvki_claimed_handle(const sxvki_device* device, uint32_t index) {
    uint32_t generation = sxvki_load32_relaxed(sxvki_generation_of(&device->records, index));
    if (index & SXVKI_HANDLE_SLAB_BIT) {
        return sxvki_handle_make(generation - 1, index); /* a claim raises it */
    }
    return sxvki_load32_relaxed(sxvki_state_of(device, index)) & SXVKI_STATE_LINEAR
               ? sxvki_linear_handle(device, index, generation)
               : sxvki_handle_make(generation, index);
}

/*  The last that is done with an allocation whose memory is still there. */
SXVKI_COLD static void sxvki_leave(const sxvki_device* device, uint32_t index,
                                   const sxvki_view* view, SxvkAllocation allocation) {
    uint32_t state = sxvki_view_state(view);
    if ((state & SXVKI_STATE_HELD) != 0 && device->debug.fillOnFree != 0) {
        sxvki_fill(device, view, device->debug.fillOnFree);
    }
    if (state & SXVKI_STATE_WATCHED) {
        SX_VKALLOC_ON_FREE(device->allocator, allocation, view->block->type, view->size,
                           sxvki_name_of(device, index));
        (void)index;
        (void)allocation;
    }
}

/*  Give the range back that has taken in a slot, which was claimed: then the slot is where it was
    made again. Its name goes first, for it is guarded by where it lives. */
SXVKI_COLD static void sxvki_give_host(sxvki_device* device, uint32_t index) {
    sxvki_slab* slab = sxvki_slab_of(&device->records, index);
    sxvki_slot* slot = &slab->slots[index % 64];
    sxvki_domain* owner = (sxvki_domain*)sxvki_load_ptr(&slab->owner);
    sxvki_record* r = sxvki_record_at(&device->records, slot->size);
    sxvki_domain* domain = sxvki_block_of_range(device, r)->domain;
    VkDeviceSize bytes = sxvki_slot_bytes(slab, index % 64);
    uint32_t state = sxvki_load32(&slot->state);
    sxvki_block* chain = NULL;
    if (state & SXVKI_STATE_COLD) {
        sxvki_leave_module(device, index);
    }
    sxvki_lock_take(&domain->lock);
    if (state & SXVKI_STATE_COLD) {
        sxvki_cold_clear(&device->records, index);
    }
    r->link_a = (uint32_t)((sxvki_record_size(r) << SXVKI_GRANULE_SHIFT) - bytes);
    sxvki_store32_relaxed(&r->link_b, 0);
    sxvki_domain_give(domain, slot->size, &chain);
    sxvki_domain_read(domain, &chain);
    sxvki_lock_drop(&domain->lock);
    sxvki_blocks_destroy(device, chain);
    sxvki_add64(&owner->given[slab->class_index], 0 - (bytes << SXVKI_SLOTS_COUNT_BITS | 1));
    while (!sxvki_cas32(&slot->state, &state, state & ~SXVKI_STATE_AWAY)) {
    }
}

/*  Give back what is still mapped, watched, or away, and then tell what is wrong with it: the
    callback of the message may do what it likes, even destroy the pool. With no function keep
    silent. The mappings end first, so that the block stays while it is unmapped. */
SXVKI_COLD static void sxvki_give_attended(sxvki_device* device, uint32_t index,
                                           const char* function) {
    sxvki_view view = sxvki_look(device, index);
    sxvki_lock* lock = sxvki_block_lock(view.block);
    uint32_t state = sxvki_view_state(&view);
    int is_corrupted = (state & SXVKI_STATE_HELD) != 0 && !sxvki_margin_is_intact(device, &view);
    int was_mapped = (state & SXVKI_STATE_MAPS_MASK) != 0;
    int is_logged = (device->debug.flags & SXVK_DEBUG_LOG_FREES_BIT) != 0;
    sxvki_subject subject;
    sxvki_subject_init(&subject, device, function != NULL ? function : "", index,
                       sxvki_claimed_handle(device, index));
    sxvki_leave(device, index, &view, subject.allocation);
    sxvki_lock_take(lock); /* who looks at margins now does not know yet that it is claimed */
    sxvki_lock_drop(lock);
    while (!sxvki_cas32(view.state, &state, state & ~SXVKI_STATE_ATTENDED)) {
    }
    sxvki_unmap_all(device, view.block, state);
    if (state & SXVKI_STATE_AWAY) {
        sxvki_give_host(device, index);
    }
    if (index & SXVKI_HANDLE_SLAB_BIT) {
        sxvki_give_slot(device, index, sxvki_slab_of(&device->records, index));
    } else {
        sxvki_give_range(device, index, sxvki_record_at(&device->records, index));
    }
    if (is_corrupted && function != NULL) {
        sxvki_report_subject(device, SXVK_MESSAGE_CORRUPTED_MARGIN, &subject);
    }
    if (was_mapped && function != NULL) {
        sxvki_report_subject(device, SXVK_MESSAGE_FREED_WHILE_MAPPED, &subject);
    }
    if (is_logged && function != NULL) {
        sxvki_report_subject(device, SXVK_MESSAGE_FREED, &subject);
    }
}

/*  Claim what is freed: of several that free the same handle, threads or a message's callback, one
    sets the generation to `claimed`. Others look at nothing else of it. Returns 0 for those. */
SXVKI_INLINE int sxvki_free_claim(uint32_t* generation, SxvkAllocation allocation, uint32_t seen,
                                  uint32_t claimed) {
    return sxvki_handle_matches(allocation, seen) && sxvki_cas32(generation, &seen, claimed);
}

/*  The slab of a slot that was claimed; null where the handle is not valid. */
SXVKI_INLINE sxvki_slab* sxvki_claim_slot(sxvki_device* device, SxvkAllocation allocation) {
    uint32_t index = sxvki_handle_index(allocation);
    uint32_t id = sxvki_slot_slab(index);
    sxvki_slab* slab;
    uint32_t* generation;
    uint32_t seen;
    if (!sxvki_slab_exists(&device->records, id)) {
        return NULL;
    }
    slab = sxvki_slab_at(&device->records, id);
    generation = &slab->slots[index % 64].generation;
    SXVKI_PREFETCH(slab); /* another cache line, wanted soon */
    seen = sxvki_load32(generation);
    return sxvki_free_claim(generation, allocation, seen, sxvki_generation_after(seen)) ? slab
                                                                                        : NULL;
}

/*  The record of a range of the bins or a dedicated block, the same. */
SXVKI_INLINE sxvki_record* sxvki_claim_range(sxvki_device* device, SxvkAllocation allocation) {
    uint32_t index = sxvki_handle_index(allocation);
    sxvki_record* r;
    uint32_t seen;
    if (index >= sxvki_load32(&device->records.hot.capacity)) {
        return NULL;
    }
    r = sxvki_record_at(&device->records, index);
    seen = sxvki_load32(&r->generation);
    return sxvki_free_claim(&r->generation, allocation, seen, seen | SXVKI_GENERATION_CLAIMED)
               ? r
               : NULL;
}

SXVKI_INLINE void sxvki_give_claimed_slot(sxvki_device* device, uint32_t index, sxvki_slab* slab,
                                          const char* function) {
    if (sxvki_load32(&slab->slots[index % 64].state) & SXVKI_STATE_ATTENDED) {
        sxvki_give_attended(device, index, function);
    } else {
        sxvki_give_slot(device, index, slab);
    }
}

SXVKI_INLINE void sxvki_give_claimed_range(sxvki_device* device, uint32_t index, sxvki_record* r,
                                           const char* function) {
    if (sxvki_record_state(r) & SXVKI_STATE_ATTENDED) {
        sxvki_give_attended(device, index, function);
    } else {
        sxvki_give_range(device, index, r);
    }
}

/*  Give back what was claimed. With no function nothing is said of mappings that are left. */
static void sxvki_give(sxvki_device* device, uint32_t index, const char* function) {
    if (index & SXVKI_HANDLE_SLAB_BIT) {
        sxvki_slab* slab = sxvki_slab_of(&device->records, index);
        sxvki_give_claimed_slot(device, index, slab, function);
    } else {
        sxvki_record* r = sxvki_record_at(&device->records, index);
        sxvki_give_claimed_range(device, index, r, function);
    }
}

/*  Once more, where the handle was not valid, or its allocation moved at that moment. */
SXVKI_COLD static int sxvki_claim_late(sxvki_device* device, SxvkAllocation allocation) {
    int is_slot = (sxvki_handle_index(allocation) & SXVKI_HANDLE_SLAB_BIT) != 0;
    while (sxvki_wait_for_move(device, allocation)) {
        if (is_slot ? sxvki_claim_slot(device, allocation) != NULL
                    : sxvki_claim_range(device, allocation) != NULL) {
            return 1;
        }
    }
    return 0;
}

/*  As sxvki_claim_late. */
SXVKI_COLD static int sxvki_free_late(sxvki_device* device, SxvkAllocation allocation,
                                      const char* function) {
    int is_claimed = sxvki_claim_late(device, allocation);
    if (is_claimed) {
        sxvki_give(device, sxvki_handle_index(allocation), function);
    }
    return is_claimed;
}

/*  The block of a live range of a linear pool, with the lock of its domain taken; null where the
    handle is not valid. The lock keeps the epoch still. */
SXVKI_INLINE sxvki_block* sxvki_linear_enter(sxvki_device* device, SxvkAllocation allocation) {
    uint32_t index = sxvki_allocation_index(allocation);
    sxvki_block* block;
    sxvki_domain* domain;
    sxvki_record* r;
    uint32_t generation;
    if (index >= sxvki_load32(&device->records.hot.capacity)) {
        return NULL;
    }
    r = sxvki_record_at(&device->records, index);
    if ((sxvki_load32(&r->generation) & 1) == 0) {
        return NULL;
    }
    block = sxvki_block_at(device, sxvki_record_block(r));
    domain = block->domain;
    if (domain == NULL) {
        return NULL; /* dedicated by now, or the block has just gone */
    }
    sxvki_lock_take(&domain->lock);
    generation = sxvki_record_generation(r);
    if ((generation & (SXVKI_GENERATION_CLAIMED | 1)) != 1 ||
        allocation !=
            sxvki_handle_make(generation + 2 * block->epoch, SXVKI_HANDLE_LINEAR_BIT | index)) {
        sxvki_lock_drop(&domain->lock);
        return NULL;
    }
    return block;
}

/*  A slot; returns 0 where the handle is not valid, as do the next two. */
SXVKI_APART static int sxvki_free_slot(sxvki_device* device, SxvkAllocation allocation,
                                       const char* function) {
    sxvki_slab* slab = sxvki_claim_slot(device, allocation);
    if (slab == NULL) {
        return sxvki_free_late(device, allocation, function);
    }
    sxvki_give_claimed_slot(device, sxvki_handle_index(allocation), slab, function);
    return 1;
}

/*  A range of the bins, or a dedicated block. */
SXVKI_APART static int sxvki_free_range(sxvki_device* device, SxvkAllocation allocation,
                                        const char* function) {
    sxvki_record* r = sxvki_claim_range(device, allocation);
    if (r == NULL) {
        return sxvki_free_late(device, allocation, function);
    }
    sxvki_give_claimed_range(device, sxvki_handle_index(allocation), r, function);
    return 1;
}

/*  A range of a linear pool. It is claimed under the lock, which it needs anyway. */
SXVKI_APART static int sxvki_free_linear(sxvki_device* device, SxvkAllocation allocation,
                                         const char* function) {
    uint32_t index = sxvki_allocation_index(allocation);
    sxvki_block* block = sxvki_linear_enter(device, allocation);
    sxvki_block* chain = NULL;
    sxvki_domain* domain;
    sxvki_record* r;
    if (block == NULL) {
        return 0;
    }
    domain = block->domain;
    r = sxvki_record_at(&device->records, index);
    if (sxvki_record_state(r) & SXVKI_STATE_ATTENDED) {
        sxvki_store32(&r->generation, sxvki_record_generation(r) | SXVKI_GENERATION_CLAIMED);
        sxvki_lock_drop(&domain->lock);
        sxvki_give_attended(device, index, function);
        return 1;
    }
    if (sxvki_record_state(r) & SXVKI_STATE_COLD) {
        sxvki_leave_module(device, index);
        sxvki_cold_clear(&device->records, index);
    }
    sxvki_domain_give_linear(domain, block, index, r, &chain);
    sxvki_lock_drop(&domain->lock);
    if (chain != NULL) {
        sxvki_blocks_destroy(device, chain);
    }
    SXVKI_CHECK_DOMAIN(domain);
    return 1;
}

/*  Claim by handle, to give back a little later. Returns 0 where the handle is not valid. */
static int sxvki_claim(sxvki_device* device, SxvkAllocation allocation) {
    uint32_t index = sxvki_handle_index(allocation);
    if (index & SXVKI_HANDLE_SLAB_BIT) {
        return sxvki_claim_slot(device, allocation) != NULL || sxvki_claim_late(device, allocation);
    }
    if (index & SXVKI_HANDLE_LINEAR_BIT) {
        sxvki_block* block = sxvki_linear_enter(device, allocation);
        if (block != NULL) {
            sxvki_record* r = sxvki_record_at(&device->records, index ^ SXVKI_HANDLE_LINEAR_BIT);
            sxvki_store32(&r->generation, sxvki_record_generation(r) | SXVKI_GENERATION_CLAIMED);
            sxvki_lock_drop(&block->domain->lock);
        }
        return block != NULL;
    }
    return sxvki_claim_range(device, allocation) != NULL || sxvki_claim_late(device, allocation);
}

/*  Free by handle. Returns 0 where the handle is not valid, and has changed nothing then. */
SXVKI_INLINE int sxvki_free(SxvkAllocator allocator, SxvkAllocation allocation,
                            const char* function) {
    uint32_t index = sxvki_handle_index(allocation);
    return index & SXVKI_HANDLE_SLAB_BIT ? sxvki_free_slot(&allocator->device, allocation, function)
           : index & SXVKI_HANDLE_LINEAR_BIT
               ? sxvki_free_linear(&allocator->device, allocation, function)
               : sxvki_free_range(&allocator->device, allocation, function);
}

/*  How many of a batch are worked on at once: a lock is held for no more than so many. */
#define SXVKI_PORTION 32u

/*  Ranges of one domain that were claimed and wait to be given back under one hold of its lock. */
typedef struct sxvki_returns {
    sxvki_domain* domain;
    uint32_t count;
    uint32_t ranges[SXVKI_PORTION];
} sxvki_returns;

static void sxvki_returns_flush(sxvki_returns* returns) {
    sxvki_domain* domain = returns->domain;
    sxvki_block* chain = NULL;
    uint32_t i;
    if (returns->count == 0) {
        return;
    }
    sxvki_lock_take(&domain->lock);
    for (i = 0; i < returns->count; i++) {
        sxvki_domain_give(domain, returns->ranges[i], &chain);
    }
    sxvki_domain_read(domain, &chain);
    sxvki_lock_drop(&domain->lock);
    returns->count = 0;
    sxvki_blocks_destroy(domain->pool->device, chain);
    SXVKI_CHECK_DOMAIN(domain);
}

/*  Give back what was claimed; plain ranges wait for the flush. A message's callback may do what it
    likes, so nothing waits while one is called. */
static void sxvki_give_later(sxvki_device* device, sxvki_returns* returns, uint32_t index,
                             const char* function) {
    uint32_t state = sxvki_load32(sxvki_state_of(device, index));
    int is_slot = (index & SXVKI_HANDLE_SLAB_BIT) != 0;
    sxvki_domain* domain = is_slot ? NULL : sxvki_block_of(device, index)->domain;
    if (state & SXVKI_STATE_ATTENDED) {
        sxvki_returns_flush(returns);
    }
    if (domain == NULL || (state & (SXVKI_STATE_ATTENDED | SXVKI_STATE_COLD)) != 0) {
        sxvki_give(device, index, function); /* slots need no lock */
        return;
    }
    if (returns->domain != domain || returns->count == SXVKI_PORTION) {
        sxvki_returns_flush(returns);
        returns->domain = domain;
    }
    returns->ranges[returns->count++] = index;
}

/* --- allocating --- */

/*  The side table's entry of an allocation, made if need be; null where there is no host memory. */
static sxvki_cold* sxvki_cold_of(SxvkAllocator allocator, uint32_t index) {
    sxvki_records* records = &allocator->device.records;
    sxvki_cold* cold = sxvki_cold_make(records, index);
    if (cold != NULL) {
        sxvki_state_set(sxvki_state_of(&allocator->device, index), SXVKI_STATE_COLD);
    }
    return cold;
}

/*  Lock the side table of where the allocation is: a dump may be reading it. */
static sxvki_lock* sxvki_allocation_lock(SxvkAllocator allocator, uint32_t index) {
    for (;;) {
        const sxvki_block* block = sxvki_block_of(&allocator->device, index);
        sxvki_lock* lock = sxvki_block_lock(block);
        sxvki_lock_take(lock);
        if (block == sxvki_block_of(&allocator->device, index)) {
            return lock;
        }
        sxvki_lock_drop(lock); /* it has moved meanwhile */
    }
}

static VkResult sxvki_set_user_data(SxvkAllocator allocator, uint32_t index, void* user_data) {
    sxvki_cold* cold = sxvki_cold_of(allocator, index);
    sxvki_lock* lock;
    if (cold == NULL) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    lock = sxvki_allocation_lock(allocator, index);
    sxvki_store_ptr(&cold->user_data, user_data);
    sxvki_lock_drop(lock);
    return VK_SUCCESS;
}

SXVKI_COLD static VkResult sxvki_set_name(SxvkAllocator allocator, uint32_t index,
                                          const char* name) {
    const sxvki_host* host = &allocator->device.host;
    sxvki_cold* cold = sxvki_cold_of(allocator, index);
    sxvki_lock* lock;
    char* copy;
    char* old;
    if (cold == NULL || !sxvki_host_copy_string(host, name, &copy)) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    lock = sxvki_allocation_lock(allocator, index);
    old = (char*)cold->name;
    sxvki_store_ptr(&cold->name, copy);
    sxvki_lock_drop(lock);
    sxvki_host_free(host, old);
    return VK_SUCCESS;
}

/*  The track of an allocation, made if need be; null where there is no host memory. */
static sxvki_track* sxvki_track_make(SxvkAllocator allocator, uint32_t index) {
    sxvki_cold* cold = sxvki_cold_of(allocator, index);
    sxvki_track* track = NULL;
    if (cold != NULL) {
        track = sxvki_track_of(cold, index);
        if (sxvki_load64_relaxed(&track->extent) == 0) {
            sxvki_view view = sxvki_look(&allocator->device, index);
            sxvki_store64_relaxed(&track->extent, view.size << 8 | view.block->type);
        }
    }
    return track;
}

/*  The module that an allocation is to belong to, its own or the pool's; null: none. */
static sxvki_module* sxvki_module_wanted(const sxvki_device* device,
                                         const SxvkAllocationCreateInfo* info) {
    if (info->module != VK_NULL_HANDLE) {
        return sxvki_module_get(&device->modules, info->module);
    }
    return info->pool != VK_NULL_HANDLE
               ? sxvki_module_find(&device->modules, sxvki_load32_relaxed(&info->pool->module))
               : NULL;
}

SXVKI_INLINE int sxvki_wants_module(const SxvkAllocationCreateInfo* info) {
    return ((uintptr_t)info->module | (uintptr_t)info->pool) != 0 &&
           (info->module != VK_NULL_HANDLE || sxvki_load32_relaxed(&info->pool->module) != 0);
}

/*  What was just taken belongs to a module from now on. */
SXVKI_APART static VkResult sxvki_join_module(SxvkAllocator allocator, uint32_t index,
                                              SxvkModule handle) {
    sxvki_device* device = &allocator->device;
    sxvki_module* module = sxvki_module_get(&device->modules, handle);
    sxvki_track* track = sxvki_track_make(allocator, index);
    uint32_t id = (uint32_t)(uintptr_t)handle;
    if (track == NULL || module == NULL) {
        return module != NULL ? VK_ERROR_OUT_OF_HOST_MEMORY : VK_SUCCESS;
    }
    sxvki_module_add(&device->modules, &device->pressure, module, id,
                     sxvki_load64_relaxed(&track->extent));
    sxvki_store32_relaxed(&track->module, id);
    sxvki_store32_relaxed(&sxvki_block_of(device, index)->pool->has_tracks, 1);
    if (sxvki_load32(sxvki_state_of(device, index)) & SXVKI_STATE_FALLBACK) {
        sxvki_add64(&module->fallbacks, 1);
    }
    return VK_SUCCESS;
}

/*  Add one to the maps of an allocation, from where on it does not move. Returns its state as it
    was, and where it is; nothing has changed where that has the most maps. */
SXVKI_INLINE uint32_t sxvki_state_pin(const sxvki_device* device, uint32_t index,
                                      sxvki_view* view) {
    uint32_t step = 0;
    for (;;) {
        uint32_t state;
        *view = sxvki_look_here(device, index);
        state = view->seen;
        if (state & SXVKI_STATE_LOCKED) {
            sxvki_spin_pause(step++);
        } else if ((state & SXVKI_STATE_MAPS_MASK) == SXVKI_STATE_MAPS_MASK ||
                   sxvki_cas32(view->state, &view->seen, state + 1)) {
            return state;
        }
    }
}

/*  Take one off again, and set some bits. */
SXVKI_INLINE void sxvki_state_unpin(uint32_t* word, uint32_t bits) {
    uint32_t state = sxvki_load32(word);
    while (!sxvki_cas32(word, &state, (state - 1) | bits)) {
    }
}

/*  A use of the block's mapping for as long as the allocation lives: for itself (MAPPED), or to be
    filled and have its margin filled (HELD). */
static VkResult sxvki_equip_mapping(sxvki_device* device, uint32_t index, uint32_t bit,
                                    uint32_t fill) {
    sxvki_view view;
    VkResult result;
    void* data;
    (void)sxvki_state_pin(device, index, &view);
    result = sxvki_block_map(device, view.block, &data);
    if (result == VK_SUCCESS && fill != 0) {
        sxvki_fill(device, &view, fill);
    }
    if (result == VK_SUCCESS && bit == SXVKI_STATE_HELD && sxvki_has_margin(device, view.block)) {
        memset(sxvki_margin_of(device, &view), SXVKI_MARGIN_BYTE, (size_t)device->debug.margin);
    }
    sxvki_state_unpin(view.state, result == VK_SUCCESS ? bit : 0);
    return result;
}

/*  What debugging does for an allocation that was just taken. Not for one with a chain of its own,
    which may have been imported: that is neither filled nor mapped for it. */
SXVKI_COLD static VkResult sxvki_attend(sxvki_device* device, uint32_t index,
                                        const sxvki_block* block,
                                        const SxvkAllocationCreateInfo* info) {
    const SxvkDebugInfo* debug = &device->debug;
    int is_filled =
        (debug->fillOnAllocate | debug->fillOnFree) != 0 && info->pNext == NULL &&
        (sxvki_type_flags(device, block->type) & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0;
    if (is_filled || sxvki_has_margin(device, block)) { /* the checks find it mapped */
        VkResult result = sxvki_equip_mapping(device, index, SXVKI_STATE_HELD,
                                              is_filled ? debug->fillOnAllocate : 0);
        if (result != VK_SUCCESS) {
            return result;
        }
    }
    if (device->records.has_origins) {
        sxvki_origin* origin;
        if (sxvki_cold_make(&device->records, index) == NULL) {
            return VK_ERROR_OUT_OF_HOST_MEMORY;
        }
        origin = sxvki_origin_find(&device->records, index);
        sxvki_store32_relaxed(&origin->frame, sxvki_load32_relaxed(&device->frame));
#if SX_VKALLOC_STACK_TRACES
        sxvki_store32_relaxed(&origin->stack,
                              sxvki_stacks_capture((sxvki_stacks*)device->stacks, &device->host));
#else
        sxvki_store32_relaxed(&origin->stack, SXVKI_NONE);
#endif
    }
    return VK_SUCCESS;
}

/*  Tell whoever wants to know of an allocation that is complete. */
SXVKI_COLD static void sxvki_announce(sxvki_device* device, const char* function, uint32_t index,
                                      SxvkAllocation allocation) {
    sxvki_view view = sxvki_look(device, index);
    if (SXVKI_HAS_HOOKS || (device->debug.flags & SXVK_DEBUG_LOG_FREES_BIT) != 0) {
        sxvki_state_set(view.state, SXVKI_STATE_WATCHED);
    }
    SX_VKALLOC_ON_ALLOCATE(device->allocator, allocation, view.block->type, view.size,
                           sxvki_name_of(device, index));
    if (device->debug.flags & SXVK_DEBUG_LOG_ALLOCATIONS_BIT) {
        sxvki_report_allocation(device, SXVK_MESSAGE_ALLOCATED, function, index, allocation);
    }
}

/*  Mapping, margin, name and user data of memory that was just taken; it is freed where one of them
    fails. */
static VkResult sxvki_equip(SxvkAllocator allocator, const char* function,
                            const SxvkAllocationCreateInfo* info, SxvkAllocation allocation) {
    sxvki_device* device = &allocator->device;
    uint32_t index = sxvki_allocation_index(allocation);
    const sxvki_block* block = sxvki_block_of(device, index);
    VkResult result = VK_SUCCESS;
    if ((info->flags & SXVK_ALLOCATION_CREATE_MAPPED_BIT) &&
        (sxvki_type_flags(device, block->type) & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT)) {
        result = sxvki_equip_mapping(device, index, SXVKI_STATE_MAPPED, 0);
    }
    if (result == VK_SUCCESS && device->attends) {
        result = sxvki_attend(device, index, block, info);
    }
    if (result == VK_SUCCESS && info->pUserData != NULL) {
        result = sxvki_set_user_data(allocator, index, info->pUserData);
    }
    if (result == VK_SUCCESS && info->pName != NULL) {
        result = sxvki_set_name(allocator, index, info->pName);
    }
    if (result == VK_SUCCESS && info->module != VK_NULL_HANDLE) {
        result = sxvki_join_module(allocator, index, info->module);
    }
    if (result != VK_SUCCESS) {
        sxvki_free(allocator, allocation, NULL);
        return result;
    }
    if (device->vk.debug_utils && info->pName != NULL && block->domain == NULL) {
        sxvki_vk_name(&device->vk, VK_OBJECT_TYPE_DEVICE_MEMORY, SXVKI_OBJECT(block->memory),
                      info->pName);
    }
    if (device->attends) {
        sxvki_announce(device, function, index, allocation);
    }
    return VK_SUCCESS;
}

/*  What a request is to a pool. */
SXVKI_INLINE void sxvki_request_init(sxvki_request* request, const VkMemoryRequirements* memory,
                                     sxvki_kind kind, const SxvkAllocationCreateInfo* info,
                                     uint32_t state) {
    request->size = memory->size;
    request->alignment = sxvki_max64(memory->alignment, info->minAlignment);
    request->kind = info->flags & SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT ? SXVKI_KIND_UNKNOWN : kind;
    request->state = state;
    request->flags = info->flags;
}

/*  With one of these every allocation climbs the ladder. */
#define SXVKI_DEBUG_UNUSUAL                                                                        \
    ((VkFlags)SXVK_DEBUG_ALWAYS_DEDICATED_BIT | SXVK_DEBUG_LOG_MEMORY_TYPES_BIT)

/*  Where what nearly every allocation is goes first: the best memory type's pool, and the place in
    it. Null says to climb the ladder. */
SXVKI_INLINE SxvkPool sxvki_find_place(SxvkAllocator allocator, const sxvki_demand* demand,
                                       const SxvkAllocationCreateInfo* info, uint32_t state,
                                       sxvki_place* place) {
    sxvki_device* device = &allocator->device;
    const VkMemoryDedicatedRequirements* dedicated = &demand->dedicated;
    SxvkPool pool = info->pool;
    sxvki_request request;
    if ((dedicated->requiresDedicatedAllocation | dedicated->prefersDedicatedAllocation |
         (info->flags & SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT) |
         (device->debug.flags & SXVKI_DEBUG_UNUSUAL) | (uintptr_t)info->pNext) != 0) {
        return NULL;
    }
    if (pool == NULL) {
        uint32_t type =
            sxvki_memory_type_decide(&device->model, allocator->decisions,
                                     demand->memory->memoryTypeBits, info, &demand->purpose);
        pool = type != SXVKI_NONE ? sxvki_default_pool(allocator, type) : NULL;
    } else if (((demand->memory->memoryTypeBits >> pool->type) & 1) == 0) {
        return NULL;
    }
    sxvki_request_init(&request, demand->memory, demand->purpose.kind, info, state);
    return pool != NULL && sxvki_pool_place(pool, &request, place) ? pool : NULL;
}

/*  The second choice, of the allocation or of its module, as an info of its own; 0: there is none.
    It needs no pool, and no end of one. */
SXVKI_COLD static int sxvki_second_choice(const sxvki_device* device,
                                          const SxvkAllocationCreateInfo* info,
                                          SxvkAllocationCreateInfo* second) {
    const sxvki_module* module = sxvki_module_wanted(device, info);
    *second = *info;
    second->usage = info->fallbackUsage;
    second->requiredFlags = info->fallbackRequiredFlags;
    if (info->fallbackUsage == SXVK_MEMORY_USAGE_UNKNOWN && info->fallbackRequiredFlags == 0 &&
        module != NULL) {
        second->usage = module->info.fallbackUsage;
        second->requiredFlags = module->info.fallbackRequiredFlags;
    }
    second->preferredFlags = 0;
    second->avoidedFlags = 0;
    second->pool = VK_NULL_HANDLE;
    return second->usage != SXVK_MEMORY_USAGE_UNKNOWN || second->requiredFlags != 0;
}

/*  The ladder, and where that ends nowhere the one of the second choice. */
SXVKI_COLD static VkResult sxvki_climb_both(SxvkAllocator allocator, const sxvki_demand* demand,
                                            const SxvkAllocationCreateInfo* info,
                                            const sxvki_request* request, SxvkAllocation* taken) {
    VkResult result = sxvki_climb(allocator, demand, info, request, taken);
    SxvkAllocationCreateInfo second;
    if ((sxvki_is_full(result) || result == SXVKI_AT_LIMIT ||
         result == VK_ERROR_FEATURE_NOT_PRESENT) &&
        sxvki_second_choice(&allocator->device, info, &second)) {
        sxvki_request other = *request;
        VkResult other_result;
        other.full = NULL;
        other.flags &= ~(VkFlags)SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT;
        other.state |= SXVKI_STATE_FALLBACK;
        other_result = sxvki_climb(allocator, demand, &second, &other, taken);
        if (other_result != VK_ERROR_FEATURE_NOT_PRESENT) {
            result = other_result;
        }
    }
    return result;
}

/*  Heaps, each once. */
typedef struct sxvki_heap_list {
    uint32_t count;
    uint32_t heaps[VK_MAX_MEMORY_HEAPS];
} sxvki_heap_list;

static void sxvki_heap_list_add(sxvki_heap_list* list, uint32_t heap) {
    uint32_t i = 0;
    while (i < list->count && list->heaps[i] != heap) {
        i++;
    }
    if (i == list->count) {
        list->heaps[list->count++] = heap;
    }
}

/*  The heaps where room would serve the request, the best first. */
SXVKI_COLD static void sxvki_heap_list_want(sxvki_heap_list* list, const sxvki_device* device,
                                            const sxvki_demand* demand,
                                            const SxvkAllocationCreateInfo* info,
                                            const sxvki_request* request) {
    sxvki_wish wish;
    uint32_t type = SXVKI_NONE;
    if (info->pool == VK_NULL_HANDLE) {
        sxvki_wish_init(&wish, &device->model, demand->memory->memoryTypeBits, info,
                        &demand->purpose);
        type = sxvki_memory_type_best(&device->model, &wish);
    } else if (((demand->memory->memoryTypeBits >> info->pool->type) & 1) != 0 &&
               !sxvki_is_too_large(info->pool, request)) {
        sxvki_heap_list_add(list, sxvki_type_heap(device, info->pool->type));
    }
    while (type != SXVKI_NONE) {
        sxvki_heap_list_add(list, sxvki_type_heap(device, type));
        type = sxvki_memory_type_next(&device->model, &wish, type);
    }
}

/*  Of an allocation of ours: it fails untold, because there is another way. No flag of the API. */
#define SXVKI_ALLOCATION_UNTOLD ((VkFlags)0x40000000)

/*  Is this a failure that the user may do something about? */
SXVKI_COLD static int sxvki_is_worth_asking(SxvkAllocator allocator, VkResult result) {
    return sxvki_is_full(result) && allocator->device.pressure.info.pfnCallback != NULL;
}

/*  Let the user make room in a heap, unless it is too small. Returns whether he has. */
SXVKI_COLD static int sxvki_ask(SxvkAllocator allocator, uint32_t heap, VkDeviceSize bytes) {
    sxvki_device* device = &allocator->device;
    return bytes <= sxvki_load64_relaxed(&device->budget.heaps[heap].limit) &&
           sxvki_pressure_ask(&device->pressure, &device->budget, allocator, heap, bytes);
}

/*  After this failure let the user make room, heap after heap, and climb again where he has. */
SXVKI_COLD static VkResult sxvki_ask_and_climb(SxvkAllocator allocator, VkResult result,
                                               const sxvki_demand* demand,
                                               const SxvkAllocationCreateInfo* info,
                                               sxvki_request* request, SxvkAllocation* taken) {
    const sxvki_device* device = &allocator->device;
    SxvkAllocationCreateInfo second;
    sxvki_heap_list list;
    uint32_t i;
    list.count = 0;
    sxvki_heap_list_want(&list, device, demand, info, request);
    if (sxvki_second_choice(device, info, &second)) {
        sxvki_heap_list_want(&list, device, demand, &second, request);
    }
    for (i = 0; i < list.count && sxvki_is_full(result); i++) {
        if (sxvki_ask(allocator, list.heaps[i], request->size)) {
            request->full = NULL;
            result = sxvki_climb_both(allocator, demand, info, request, taken);
        }
    }
    return result;
}

/*  "function: name, 4096 bytes: type 1 of heap 0, choice 2 of 3: what the message means". */
SXVKI_COLD static void sxvki_log_choice(SxvkAllocator allocator, const char* function,
                                        const sxvki_demand* demand,
                                        const SxvkAllocationCreateInfo* info,
                                        SxvkAllocation taken) {
    const sxvki_device* device = &allocator->device;
    uint32_t chosen = sxvki_block_of(device, sxvki_allocation_index(taken))->type;
    uint32_t type, rank = 0, count = 0;
    sxvki_wish wish;
    sxvki_subject subject;
    sxvki_line* line = &subject.line;
    sxvki_wish_init(&wish, &device->model, demand->memory->memoryTypeBits, info, &demand->purpose);
    for (type = sxvki_memory_type_best(&device->model, &wish); type != SXVKI_NONE;
         type = sxvki_memory_type_next(&device->model, &wish, type)) {
        count++;
        rank = type == chosen ? count : rank;
    }
    sxvki_subject_wanted(&subject, device, function, info, demand->memory->size);
    sxvki_line_add(line, "type ");
    sxvki_line_add_u64(line, chosen, 10);
    sxvki_line_add(line, " of heap ");
    sxvki_line_add_u64(line, sxvki_type_heap(device, chosen), 10);
    if (info->pool != VK_NULL_HANDLE) {
        sxvki_line_add(line, ", by its pool: ");
    } else {
        sxvki_line_add(line, ", choice ");
        sxvki_line_add_u64(line, rank, 10);
        sxvki_line_add(line, " of ");
        sxvki_line_add_u64(line, count, 10);
        sxvki_line_add(line, ": ");
    }
    sxvki_report_subject(device, SXVK_MESSAGE_MEMORY_TYPE_CHOSEN, &subject);
}

/*  The ladder for a request that had no luck so far. */
SXVKI_COLD static VkResult sxvki_allocate_slowly(SxvkAllocator allocator, const char* function,
                                                 const sxvki_demand* demand,
                                                 const SxvkAllocationCreateInfo* info,
                                                 uint32_t state, sxvki_domain* full,
                                                 SxvkAllocation* taken) {
    int can_alias = (info->flags & SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT) != 0;
    int names_resource = !can_alias || demand->dedicated.requiresDedicatedAllocation;
    sxvki_request request;
    VkResult result;
    sxvki_request_init(&request, demand->memory, demand->purpose.kind, info, state);
    request.full = full;
    request.priority = info->priority;
    request.next = info->pNext;
    request.buffer = names_resource ? demand->buffer : VK_NULL_HANDLE;
    request.image = names_resource ? demand->image : VK_NULL_HANDLE;
    request.needs_dedicated = demand->dedicated.requiresDedicatedAllocation ||
                              info->pNext != NULL ||
                              (info->flags & SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT) != 0;
    request.prefers_dedicated = demand->dedicated.prefersDedicatedAllocation != 0;
    result = sxvki_climb_both(allocator, demand, info, &request, taken);
    if ((info->flags & SXVKI_ALLOCATION_UNTOLD) == 0 && sxvki_is_worth_asking(allocator, result)) {
        result = sxvki_ask_and_climb(allocator, result, demand, info, &request, taken);
    }
    if (result == VK_SUCCESS &&
        (allocator->device.debug.flags & SXVK_DEBUG_LOG_MEMORY_TYPES_BIT) != 0) {
        sxvki_log_choice(allocator, function, demand, info, *taken);
    }
    return result;
}

/*  Flags that change nothing in a linear pool that has room, or are looked at afterwards. */
#define SXVKI_LINEAR_FLAGS                                                                         \
    ((VkFlags)SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT | SXVK_ALLOCATION_CREATE_MAPPED_BIT |       \
     SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT | SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT |        \
     SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT)

/*  The short way to memory of a linear pool: nothing is to be decided, so the tests here are all,
    and whatever is unusual, wrong, or finds no room in the newest block goes the long way, of twice
    the instructions. Null then; nothing was checked before. */
SXVKI_HOT SxvkAllocation sxvki_allocate_linear(SxvkPool pool, const VkMemoryRequirements* memory,
                                               const SxvkAllocationCreateInfo* info) {
    sxvki_domain* domain = sxvki_pool_domain(pool, 0);
    SxvkAllocation taken = VK_NULL_HANDLE;
    uint32_t tail = (uint32_t)((0 - memory->size) & (pool->mixed_unit - 1));
    if ((info->flags & ~SXVKI_LINEAR_FLAGS) != 0 || info->pNext != NULL ||
        info->usage != SXVK_MEMORY_USAGE_UNKNOWN ||
        (info->requiredFlags | info->avoidedFlags) != 0 || info->priority != 0.0f ||
        info->minAlignment != 0 || info->module != VK_NULL_HANDLE || domain == NULL ||
        ((memory->memoryTypeBits >> pool->type) & 1) == 0 || memory->size - 1 >= pool->block_size ||
        memory->alignment - 1 >= pool->block_size || !sxvki_is_pow2(memory->alignment)) {
        return VK_NULL_HANDLE;
    }
    sxvki_lock_take(&domain->lock);
    if (domain->front != NULL && sxvki_linear_has_record(&domain->linear)) {
        taken = sxvki_block_take_linear(
            domain, domain->front, (memory->size + tail) >> SXVKI_GRANULE_SHIFT,
            sxvki_max64(memory->alignment, pool->mixed_alignment) >> SXVKI_GRANULE_SHIFT, tail,
            (uint32_t)SXVKI_KIND_UNKNOWN << SXVKI_STATE_KIND_SHIFT,
            (info->flags & SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT) != 0);
    }
    sxvki_lock_drop(&domain->lock);
    return taken;
}

/*  The SXVKI_STATE_ bits of a new allocation. */
SXVKI_INLINE uint32_t sxvki_state_for(SxvkAllocator allocator, const sxvki_purpose* purpose) {
    return (uint32_t)purpose->kind << SXVKI_STATE_KIND_SHIFT |
           sxvki_class_id(allocator, purpose->kind, purpose->usage) << SXVKI_STATE_CLASS_SHIFT;
}

/*  What remains to be done with memory that was just taken; on failure it is freed and null. */
SXVKI_INLINE VkResult sxvki_finish(SxvkAllocator allocator, const char* function,
                                   const SxvkAllocationCreateInfo* info,
                                   SxvkAllocation* allocation) {
    if (((info->flags & SXVK_ALLOCATION_CREATE_MAPPED_BIT) | (uint32_t)allocator->device.attends |
         (uintptr_t)info->pUserData | (uintptr_t)info->pName | (uintptr_t)info->module) != 0) {
        VkResult result = sxvki_equip(allocator, function, info, *allocation);
        if (result != VK_SUCCESS) {
            *allocation = VK_NULL_HANDLE;
            return result;
        }
    }
    SXVKI_CHECK_DOMAIN(
        sxvki_block_of(&allocator->device, sxvki_allocation_index(*allocation))->domain);
    return VK_SUCCESS;
}

/*  Allocate, without a thought of modules. */
SXVKI_APART static VkResult sxvki_allocate_here(SxvkAllocator allocator, const char* function,
                                                const sxvki_demand* demand,
                                                const SxvkAllocationCreateInfo* info,
                                                SxvkAllocation* allocation) {
    uint32_t state = sxvki_state_for(allocator, &demand->purpose);
    SxvkAllocation taken = VK_NULL_HANDLE;
    sxvki_domain* full = NULL;
    sxvki_place place;
    SxvkPool pool = sxvki_find_place(allocator, demand, info, state, &place);
    VkResult result = pool != NULL ? sxvki_pool_take(pool, &place, &taken, &full) : VK_NOT_READY;
    if (result != VK_SUCCESS) {
        full = result == VK_ERROR_OUT_OF_DEVICE_MEMORY ? full : NULL;
        result = sxvki_allocate_slowly(allocator, function, demand, info, state, full, &taken);
    }
    if (result != VK_SUCCESS) {
        *allocation = VK_NULL_HANDLE;
        return result;
    }
    *allocation = taken;
    return sxvki_finish(allocator, function, info, allocation);
}

/*  Allocate for a module, which has its say where the allocation has none. */
SXVKI_APART static VkResult sxvki_allocate_for_module(SxvkAllocator allocator, const char* function,
                                                      const sxvki_demand* demand,
                                                      const SxvkAllocationCreateInfo* info,
                                                      SxvkAllocation* allocation) {
    const sxvki_module* module = sxvki_module_wanted(&allocator->device, info);
    SxvkAllocationCreateInfo own = *info;
    own.module = VK_NULL_HANDLE;
    if (module != NULL) {
        own.module = sxvki_module_handle(sxvki_load32(&module->id));
        if ((own.flags & SXVK_ALLOCATION_CREATE_STRATEGY_MASK) == 0) {
            own.flags |= sxvki_module_strategy(module);
        }
        if (demand->purpose.kind == SXVKI_KIND_BUFFER) {
            own.minAlignment = sxvki_max64(own.minAlignment, module->info.minBufferAlignment);
        }
    }
    return sxvki_allocate_here(allocator, function, demand, &own, allocation);
}

/*  Allocate; arguments are valid. On failure *allocation is null and nothing has changed. What
    failed may be tried in another way: the public function reports it at the end. */
static VkResult sxvki_allocate(SxvkAllocator allocator, const char* function,
                               const sxvki_demand* demand, const SxvkAllocationCreateInfo* info,
                               SxvkAllocation* allocation) {
    if (sxvki_wants_module(info)) {
        return sxvki_allocate_for_module(allocator, function, demand, info, allocation);
    }
    return sxvki_allocate_here(allocator, function, demand, info, allocation);
}

/*  What of a batch has failed. */
typedef struct sxvki_culprit {
    size_t index;      /* SIZE_MAX: none of them alone */
    VkDeviceSize size; /* bytes that it needs; 0: not known */
} sxvki_culprit;

/*  Up to SXVKI_PORTION, for which the outputs are null: those that go to the same domain at once.
    On failure the caller frees what was made. */
static VkResult sxvki_allocate_portion(SxvkAllocator allocator, const char* function,
                                       uint32_t count, const sxvki_demand* demands,
                                       const SxvkAllocationCreateInfo* infos,
                                       SxvkAllocation* allocations, sxvki_culprit* culprit) {
    sxvki_place places[SXVKI_PORTION];
    SxvkPool pools[SXVKI_PORTION];
    VkResult result = VK_SUCCESS;
    uint32_t i;
    for (i = 0; i < count; i++) {
        const sxvki_demand* d = &demands[i];
        pools[i] = sxvki_wants_module(&infos[i])
                       ? NULL
                       : sxvki_find_place(allocator, d, &infos[i],
                                          sxvki_state_for(allocator, &d->purpose), &places[i]);
    }
    for (i = 0; i < count && result == VK_SUCCESS; i++) {
        if (allocations[i] == VK_NULL_HANDLE && pools[i] != NULL) {
            sxvki_pool_take_run(&pools[i], &places[i], count - i, &allocations[i]);
        }
        if (allocations[i] != VK_NULL_HANDLE) {
            result = sxvki_finish(allocator, function, &infos[i], &allocations[i]);
        } else {
            result = sxvki_allocate(allocator, function, &demands[i], &infos[i], &allocations[i]);
        }
    }
    if (result != VK_SUCCESS) {
        culprit->index = i - 1;
        culprit->size = demands[i - 1].memory->size;
    }
    return result;
}

/*  No lock: what it reads does not change while the allocation lives. */
static void sxvki_get_info(SxvkAllocator allocator, uint32_t index, SxvkAllocationInfo* info) {
    const sxvki_device* device = &allocator->device;
    sxvki_view view = sxvki_look_here(device, index);
    uint32_t state = view.seen;
    memset(info, 0, sizeof *info);
    info->memoryType = view.block->type;
    info->deviceMemory = view.block->memory;
    info->offset = view.offset;
    info->size = view.size;
    if (state & (SXVKI_STATE_MAPS_MASK | SXVKI_STATE_MAPPED)) {
        char* data = sxvki_block_pointer(view.block);
        info->pMappedData = data != NULL ? data + info->offset : NULL;
    }
    if (state & SXVKI_STATE_COLD) {
        const sxvki_cold* cold = sxvki_cold_find(&device->records, index);
        info->pUserData = sxvki_load_ptr(&cold->user_data);
        info->pName = (const char*)sxvki_load_ptr(&cold->name);
    }
}

/*  Free one allocation that its owner takes along; with a function, say so. */
SXVKI_COLD static void sxvki_free_leak(SxvkAllocator allocator, uint32_t index, SxvkMessage message,
                                       const char* function) {
    SxvkAllocation allocation = sxvki_handle_of(&allocator->device, index);
    if (function != NULL) {
        sxvki_report_allocation(&allocator->device, message, function, index, allocation);
    }
    /* If the message's callback has not freed it. One message will do. */
    sxvki_free(allocator, allocation, NULL);
}

/*  Does the domain have allocations? Their letters are read, so what is found is not claimed. */
SXVKI_COLD static int sxvki_domain_has_leaks(sxvki_domain* domain) {
    sxvki_lock_take(&domain->lock);
    sxvki_domain_read(domain, NULL);
    sxvki_lock_drop(&domain->lock);
    return domain->live_count != 0;
}

/*  All of a pool. Nobody else uses the pool meanwhile; what was freed in a block has become one
    range, so to look for the next one takes two steps, or the slots of one slab. As many are told
    as there are: what a message's callback allocates in the pool is freed without a word. */
SXVKI_COLD static void sxvki_free_all(SxvkAllocator allocator, SxvkPool pool, SxvkMessage message,
                                      const char* function) {
    const sxvki_device* device = &allocator->device;
    SxvkStatistics stats;
    uint32_t i, told = 0;
    memset(&stats, 0, sizeof stats);
    sxvki_pool_add(pool, &stats);
    for (i = 0; i < sxvki_pool_domain_count(pool); i++) {
        sxvki_domain* domain = sxvki_pool_domain(pool, i);
        while (domain != NULL && sxvki_domain_has_leaks(domain)) {
            sxvki_walk walk;
            sxvki_walk_init(&walk, device, sxvki_block_at(device, domain->block_first));
            sxvki_free_leak(allocator, sxvki_walk_next(&walk), message,
                            told++ < stats.allocationCount ? function : NULL);
        }
    }
    while (pool->dedicated_first != SXVKI_NONE) {
        sxvki_free_leak(allocator, sxvki_block_at(device, pool->dedicated_first)->first, message,
                        told++ < stats.allocationCount ? function : NULL);
    }
}

/*  The first blocks of a pool; for each that there is no memory for the user is asked once. */
SXVKI_COLD static VkResult sxvki_pool_fill(SxvkAllocator allocator, SxvkPool pool) {
    uint32_t heap = sxvki_type_heap(&allocator->device, pool->type);
    size_t made = 0, asked = SIZE_MAX;
    VkResult result = sxvki_pool_prepare(pool, &made);
    while (sxvki_is_worth_asking(allocator, result) && made != asked &&
           sxvki_ask(allocator, heap, pool->block_size)) {
        asked = made;
        result = sxvki_pool_prepare(pool, &made);
    }
    return result;
}

static VkResult sxvki_create_pool(SxvkAllocator allocator, const SxvkPoolCreateInfo* info,
                                  SxvkPool* created) {
    const sxvki_host* host = &allocator->device.host;
    SxvkPool pool = (SxvkPool)sxvki_host_alloc_zeroed(host, sizeof *pool);
    SxvkPool next;
    VkResult result;
    if (pool == NULL || !sxvki_pool_init(pool, &allocator->device, info->memoryTypeIndex, info)) {
        sxvki_host_free(host, pool);
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    result = sxvki_pool_fill(allocator, pool);
    if (result != VK_SUCCESS) {
        sxvki_pool_shutdown(pool);
        sxvki_host_free(host, pool);
        return result;
    }
    if (pool->module != 0) {
        sxvki_add64(
            &sxvki_module_at(&allocator->device.modules, sxvki_module_place(pool->module))->refs,
            SXVKI_OWNER);
    }
    sxvki_lock_take(&allocator->pools_lock);
    pool->serial = ++allocator->pool_serial;
    next = sxvki_pool_at(&allocator->first_pool);
    pool->next_pool = next;
    if (next != NULL) {
        next->prev_pool = pool;
    }
    sxvki_store_ptr(&allocator->first_pool, pool);
    sxvki_lock_drop(&allocator->pools_lock);
    *created = pool;
    return VK_SUCCESS;
}

/*  End the mappings of the blocks in use. Their allocations keep them in their part of the list;
    the empty ones behind them may come and go. */
static void sxvki_domain_unmap_all(sxvki_domain* domain) {
    sxvki_device* device = domain->pool->device;
    sxvki_block* block = NULL;
    uint32_t id;
    for (;;) {
        sxvki_lock_take(&domain->lock);
        id = block == NULL ? domain->block_first : block->next;
        id = id == domain->empty_first ? SXVKI_NONE : id;
        sxvki_lock_drop(&domain->lock);
        if (id == SXVKI_NONE) {
            return;
        }
        block = sxvki_block_at(device, id);
        sxvki_block_unmap_all(device, block);
    }
}

/*  What lives in a linear pool leaves its modules. The caller holds the lock. */
SXVKI_COLD static void sxvki_domain_leave_modules(sxvki_domain* domain) {
    sxvki_device* device = domain->pool->device;
    uint32_t id, index;
    for (id = domain->block_first; id != SXVKI_NONE; id = sxvki_block_at(device, id)->next) {
        sxvki_walk walk;
        sxvki_walk_init(&walk, device, sxvki_block_at(device, id));
        while ((index = sxvki_walk_next(&walk)) != SXVKI_NONE) {
            if (sxvki_load32(sxvki_state_of(device, index)) & SXVKI_STATE_COLD) {
                sxvki_leave_module(device, index);
            }
        }
    }
    sxvki_store32_relaxed(&domain->pool->has_tracks, 0);
}

/*  Before all ranges of a linear pool are freed at once: what is done where each one is. */
SXVKI_COLD static void sxvki_domain_leave_all(sxvki_domain* domain, const char* function) {
    const sxvki_device* device = domain->pool->device;
    uint32_t id, index;
    for (id = domain->block_first; id != SXVKI_NONE; id = sxvki_block_at(device, id)->next) {
        sxvki_walk walk;
        sxvki_walk_init(&walk, device, sxvki_block_at(device, id));
        while ((index = sxvki_walk_next(&walk)) != SXVKI_NONE) {
            sxvki_view view = sxvki_look(device, index);
            SxvkAllocation allocation = sxvki_handle_of(device, index);
            sxvki_leave(device, index, &view, allocation);
            if (device->debug.flags & SXVK_DEBUG_LOG_FREES_BIT) {
                sxvki_report_allocation(device, SXVK_MESSAGE_FREED, function, index, allocation);
            }
        }
    }
}

/*  Free all of a pool, which nobody else uses meanwhile. */
static void sxvki_reset_pool(SxvkAllocator allocator, SxvkPool pool, const char* function) {
    sxvki_domain* domain = sxvki_pool_domain(pool, 0);
    if (sxvki_pool_is_linear(pool) && domain != NULL && domain->live_count != 0) {
        if (allocator->device.attends) {
            sxvki_domain_leave_all(domain, function);
        }
        sxvki_domain_unmap_all(domain);
        sxvki_lock_take(&domain->lock);
        if (sxvki_load32_relaxed(&pool->has_tracks)) {
            sxvki_domain_leave_modules(domain);
        }
        sxvki_domain_reset(domain);
        sxvki_lock_drop(&domain->lock);
        sxvki_add64(&allocator->device.resets, 1);
        SXVKI_CHECK_DOMAIN(domain);
    }
    /* What is dedicated, or not of a linear pool. */
    sxvki_free_all(allocator, pool, SXVK_MESSAGE_FREED,
                   (allocator->device.debug.flags & SXVK_DEBUG_LOG_FREES_BIT) ? function : NULL);
}

static void sxvki_sweep_visit(SxvkPool pool, void* context) {
    sxvki_domain* domain = sxvki_pool_domain(pool, 0);
    int* is_partial = (int*)context;
    if (sxvki_pool_is_linear(pool) && domain != NULL && !*is_partial) {
        sxvki_lock_take(&domain->lock);
        sxvki_linear_sweep_some(&domain->linear, SXVKI_SWEEP_PORTION);
        *is_partial = domain->linear.stale != SXVKI_NONE;
        sxvki_lock_drop(&domain->lock);
    }
}

/*  What resets left looks live to who walks the records. *seen is the number of resets by then. */
static void sxvki_sweep_if_reset(SxvkAllocator allocator, uint64_t* seen) {
    uint64_t resets = sxvki_load64(&allocator->device.resets);
    if (resets != *seen) {
        int is_partial;
        *seen = resets;
        do {
            is_partial = 0;
            sxvki_visit_pools(allocator, sxvki_sweep_visit, &is_partial);
        } while (is_partial);
    }
}

/*  Ranges that hold a slab, have taken in a slot, or wait for what moves there are no allocations.
    */
SXVKI_INLINE VkBool32 sxvki_visit_live(SxvkAllocator allocator, uint32_t index, uint32_t generation,
                                       PFN_sxvkAllocationCallback callback, void* user_data) {
    const sxvki_device* device = &allocator->device;
    uint32_t state = sxvki_load32(sxvki_state_of(device, index));
    if ((state & (SXVKI_STATE_SLAB | SXVKI_STATE_HOST | SXVKI_STATE_TARGET)) != 0 &&
        (index & SXVKI_HANDLE_SLAB_BIT) == 0) {
        return VK_TRUE;
    }
    return callback(user_data, allocator,
                    state & SXVKI_STATE_LINEAR ? sxvki_linear_handle(device, index, generation)
                                               : sxvki_handle_make(generation, index));
}

/*  One that was claimed: by who frees it, or by who moves it, for a moment. */
SXVKI_APART static VkBool32 sxvki_visit_claimed(SxvkAllocator allocator, uint32_t index,
                                                PFN_sxvkAllocationCallback callback,
                                                void* user_data) {
    const uint32_t* word = sxvki_generation_of(&allocator->device.records, index);
    uint32_t generation = word != NULL ? sxvki_load32(word) & ~SXVKI_GENERATION_CLAIMED : 0;
    return (generation & 1) == 0 ||
                   !sxvki_wait_for_move(&allocator->device, sxvki_handle_make(generation, index))
               ? VK_TRUE
               : sxvki_visit_live(allocator, index, generation, callback, user_data);
}

SXVKI_INLINE VkBool32 sxvki_visit_allocation(SxvkAllocator allocator, uint32_t index,
                                             PFN_sxvkAllocationCallback callback, void* user_data) {
    const uint32_t* word = sxvki_generation_of(&allocator->device.records, index);
    uint32_t generation = word != NULL ? sxvki_load32(word) : 0; /* null: being trimmed */
    if (generation & SXVKI_GENERATION_CLAIMED) {
        return sxvki_visit_claimed(allocator, index, callback, user_data);
    }
    return (generation & 1) == 0
               ? VK_TRUE
               : sxvki_visit_live(allocator, index, generation, callback, user_data);
}

/*  See sxvkForEachAllocation: no lock is held where the callback is called. It may allocate, but
    what makes the tables longer is not visited: so this ends. */
static void sxvki_visit_allocations(SxvkAllocator allocator, PFN_sxvkAllocationCallback callback,
                                    void* user_data) {
    sxvki_records* records = &allocator->device.records;
    uint64_t resets = 0;
    VkBool32 goes_on = VK_TRUE;
    uint32_t end, id, slot, index;
    sxvki_records_pin(records);
    end = sxvki_load32(&records->hot.capacity);
    for (index = 0; goes_on && index < end; index++) {
        sxvki_sweep_if_reset(allocator, &resets);
        goes_on = sxvki_visit_allocation(allocator, index, callback, user_data);
    }
    end = sxvki_load32(&records->slabs.capacity);
    for (id = 0; goes_on && id < end; id++) {
        for (slot = 0; goes_on && slot < SXVKI_SLAB_SLOTS; slot++) {
            index = sxvki_slot_index(id, slot);
            goes_on = sxvki_visit_allocation(allocator, index, callback, user_data);
        }
    }
    sxvki_records_unpin(records);
}

/*  Take a custom pool out of the list and give everything back. */
SXVKI_COLD static void sxvki_destroy_pool(SxvkAllocator allocator, SxvkPool pool,
                                          const char* function) {
    uint32_t step = 0;
    SxvkPool next;
    sxvki_free_all(allocator, pool, SXVK_MESSAGE_LEAKED_ALLOCATION, function);
    sxvki_lock_take(&allocator->pools_lock);
    if ((pool->flags & SXVK_POOL_CREATE_EXTERNALLY_SYNCHRONIZED_BIT) == 0) {
        allocator->gone_takes += sxvki_pool_takes(pool);
    }
    next = sxvki_pool_at(&pool->next_pool);
    sxvki_store_ptr(pool->prev_pool != NULL ? &pool->prev_pool->next_pool : &allocator->first_pool,
                    next);
    if (next != NULL) {
        next->prev_pool = pool->prev_pool;
    }
    sxvki_lock_drop(&allocator->pools_lock);
    while (sxvki_add64(&allocator->pool_readers, 0) != 0) {
        sxvki_spin_pause(step++);
    }
    if (pool->module != 0) {
        sxvki_module_release(&allocator->device.modules, pool->module, SXVKI_OWNER);
    }
    sxvki_pool_shutdown(pool);
    sxvki_host_free(&allocator->device.host, pool);
}

static VkBool32 VKAPI_PTR sxvki_leak_visit(void* function, SxvkAllocator allocator,
                                           SxvkAllocation allocation) {
    sxvki_report_allocation(&allocator->device, SXVK_MESSAGE_LEAKED_ALLOCATION,
                            (const char*)function, sxvki_allocation_index(allocation), allocation);
    return VK_TRUE;
}

/*  Tell of all pools and allocations that are alive, while all of them are: so the callback of a
    message finds them in a dump. It may free them, or destroy the pools: these are found again by
    their serial numbers, which go down. What it makes itself may be told as well, but not for ever:
    pools have higher numbers, and the tables are walked once. */
SXVKI_COLD static void sxvki_report_alive(SxvkAllocator allocator, const char* function) {
    uint64_t serial = UINT64_MAX;
    SxvkPool pool = sxvki_pool_at(&allocator->first_pool);
    allocator->tells_leaks = 1;
    while (pool != NULL) {
        serial = pool->serial;
        sxvki_report(&allocator->device.reporter, SXVK_MESSAGE_LEAKED_POOL, function, pool->name);
        pool = sxvki_pool_at(&allocator->first_pool);
        while (pool != NULL && pool->serial >= serial) {
            pool = sxvki_pool_at(&pool->next_pool);
        }
    }
    sxvki_visit_allocations(allocator, sxvki_leak_visit, (void*)(uintptr_t)function);
    allocator->tells_leaks = 0;
}

/*  Free all without a word. What is about to go cannot be found any more. */
SXVKI_COLD static void sxvki_destroy_pools(SxvkAllocator allocator) {
    uint32_t type;
    while (allocator->first_pool != NULL) {
        sxvki_destroy_pool(allocator, sxvki_pool_at(&allocator->first_pool), NULL);
    }
    for (type = 0; type < VK_MAX_MEMORY_TYPES; type++) {
        SxvkPool pool = sxvki_default_pool(allocator, type);
        if (pool != NULL) {
            sxvki_free_all(allocator, pool, SXVK_MESSAGE_NONE, NULL);
            sxvki_store_ptr(&allocator->default_pools[type], NULL);
            sxvki_pool_shutdown(pool);
            sxvki_host_free(&allocator->device.host, pool);
        }
    }
}

SXVKI_COLD static void sxvki_destroy_allocator(SxvkAllocator allocator, const char* function) {
    sxvki_device* device = &allocator->device;
    sxvki_host host = device->host;
    uint32_t places, place;
    sxvki_report_alive(allocator, function);
    sxvki_destroy_pools(allocator);
    places = device->modules.table.capacity; /* a message's callback may make more */
    for (place = 0; place < places; place++) {
        const sxvki_module* module = sxvki_module_at(&device->modules, place);
        if (module->id != 0) {
            sxvki_subject subject;
            sxvki_subject_init_plain(&subject, function);
            sxvki_subject_set_tag(&subject, module->name);
            sxvki_line_add_name(&subject.line, module->name);
            sxvki_line_add(&subject.line, ": ");
            sxvki_report_subject(device, SXVK_MESSAGE_LEAKED_MODULE, &subject);
        }
    }
    sxvki_destroy_pools(allocator); /* if a message's callback has made some */
    sxvki_allocator_free(allocator, &host);
}

SXVKI_COLD SXVKI_APART static VkResult sxvki_settle_queue(SxvkAllocator allocator,
                                                          VkResult result) {
    sxvki_device* device = &allocator->device;
    sxvki_pressure_settle(&device->pressure, &device->budget, &device->modules, allocator);
    return result;
}

/*  Tell of levels that the call has changed, with no lock held any more: the last thing that a
    public function does, so that nothing need be kept for after it. */
SXVKI_INLINE VkResult sxvki_settled(SxvkAllocator allocator, VkResult result) {
    return SXVKI_LIKELY(sxvki_load32_relaxed(&allocator->device.pressure.queue) == 0)
               ? result
               : sxvki_settle_queue(allocator, result);
}

SXVKI_INLINE void sxvki_settle(SxvkAllocator allocator) {
    (void)sxvki_settled(allocator, VK_SUCCESS);
}

/* ============================================================================================== */
/*  >>resource   requirements of buffers, images                                                  */
/* ============================================================================================== */
/*
    What a buffer or an image needs, and what it is for. With vkGet..MemoryRequirements2 the driver
    also says whether it wants dedicated memory; with VK_KHR_maintenance4 it answers for a resource
    that does not exist.
*/

static uint64_t sxvki_buffer_usage(const VkBufferCreateInfo* info) {
#ifdef VK_KHR_maintenance5
    const VkBufferUsageFlags2CreateInfoKHR* usage2 =
        (const VkBufferUsageFlags2CreateInfoKHR*)sxvki_chain_find(
            info->pNext, VK_STRUCTURE_TYPE_BUFFER_USAGE_FLAGS_2_CREATE_INFO_KHR);
    if (usage2 != NULL) {
        return usage2->usage;
    }
#endif
    return info->usage;
}

/*  Memory of which nothing is known may be for anything. */
static void sxvki_purpose_unknown(sxvki_purpose* purpose, sxvki_kind kind) {
    memset(purpose, 0, sizeof *purpose);
    purpose->kind = kind;
    purpose->device_access = 1;
}

static void sxvki_purpose_of_buffer(sxvki_purpose* purpose, const VkBufferCreateInfo* info) {
    const uint64_t copies = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    purpose->usage = sxvki_buffer_usage(info);
    purpose->kind = SXVKI_KIND_BUFFER;
    purpose->device_access = (purpose->usage & ~copies) != 0;
    purpose->transient = 0;
    purpose->is_protected = (info->flags & VK_BUFFER_CREATE_PROTECTED_BIT) != 0;
}

static void sxvki_purpose_of_image(sxvki_purpose* purpose, const VkImageCreateInfo* info) {
    const uint64_t copies = VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
    purpose->usage = info->usage;
    purpose->kind = info->tiling == VK_IMAGE_TILING_LINEAR    ? SXVKI_KIND_IMAGE_LINEAR
                    : info->tiling == VK_IMAGE_TILING_OPTIMAL ? SXVKI_KIND_IMAGE_OPTIMAL
                                                              : SXVKI_KIND_IMAGE_UNKNOWN;
    purpose->device_access = (purpose->usage & ~copies) != 0;
    purpose->transient = (info->usage & VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT) != 0;
    purpose->is_protected = (info->flags & VK_IMAGE_CREATE_PROTECTED_BIT) != 0;
}

/*  A buffer or an image: where its handle is, or goes, and what it is made of, which need not be
    known of one that is there. For a batch the first of each array. */
typedef struct sxvki_resource {
    int is_image;
    union {
        VkBuffer* buffer;
        VkImage* image;
    } handle;
    union {
        const VkBufferCreateInfo* buffer;
        const VkImageCreateInfo* image;
    } info;
} sxvki_resource;

SXVKI_INLINE sxvki_resource sxvki_resource_buffer(VkBuffer* buffer,
                                                  const VkBufferCreateInfo* info) {
    sxvki_resource r;
    r.is_image = 0;
    r.handle.buffer = buffer;
    r.info.buffer = info;
    return r;
}

SXVKI_INLINE sxvki_resource sxvki_resource_image(VkImage* image, const VkImageCreateInfo* info) {
    sxvki_resource r;
    r.is_image = 1;
    r.handle.image = image;
    r.info.image = info;
    return r;
}

/*  One of a batch. */
SXVKI_INLINE sxvki_resource sxvki_resource_at(const sxvki_resource* first, uint32_t i) {
    return first->is_image
               ? sxvki_resource_image(&first->handle.image[i], &first->info.image[i])
               : sxvki_resource_buffer(&first->handle.buffer[i], &first->info.buffer[i]);
}

/*  A handle that is an output may have no place. */
static void sxvki_resource_null(const sxvki_resource* r) {
    if (r->is_image) {
        SXVKI_NULL(r->handle.image);
    } else {
        SXVKI_NULL(r->handle.buffer);
    }
}

SXVKI_INLINE void sxvki_purpose_of(sxvki_purpose* purpose, const sxvki_resource* r) {
    if (r->is_image) {
        sxvki_purpose_of_image(purpose, r->info.image);
    } else {
        sxvki_purpose_of_buffer(purpose, r->info.buffer);
    }
}

/*  Null where it fails. */
SXVKI_INLINE VkResult sxvki_resource_make(const sxvki_device* device, const sxvki_resource* r) {
    const VkAllocationCallbacks* callbacks = device->host.driver_callbacks;
    const sxvki_vk* vk = &device->vk;
    VkResult result = sxvki_vk_result(
        r->is_image
            ? vk->fn.vkCreateImage(vk->device, r->info.image, callbacks, r->handle.image)
            : vk->fn.vkCreateBuffer(vk->device, r->info.buffer, callbacks, r->handle.buffer));
    if (result != VK_SUCCESS) {
        sxvki_resource_null(r);
    }
    return result;
}

/*  One of the two, or none. */
SXVKI_INLINE void sxvki_destroy_pair(const sxvki_device* device, VkBuffer buffer, VkImage image) {
    const sxvki_vk* vk = &device->vk;
    if (buffer != VK_NULL_HANDLE) {
        vk->fn.vkDestroyBuffer(vk->device, buffer, device->host.driver_callbacks);
    }
    if (image != VK_NULL_HANDLE) {
        vk->fn.vkDestroyImage(vk->device, image, device->host.driver_callbacks);
    }
}

static void sxvki_resource_unmake(const sxvki_device* device, const sxvki_resource* r) {
    sxvki_destroy_pair(device, r->is_image ? VK_NULL_HANDLE : *r->handle.buffer,
                       r->is_image ? *r->handle.image : VK_NULL_HANDLE);
    sxvki_resource_null(r);
}

/*  For tools: what was just created has the name of its memory. */
SXVKI_COLD static void sxvki_resource_name(const sxvki_vk* vk, const sxvki_resource* r,
                                           const SxvkAllocationCreateInfo* info) {
    if (info->pName != NULL) {
        sxvki_vk_name(vk, r->is_image ? VK_OBJECT_TYPE_IMAGE : VK_OBJECT_TYPE_BUFFER,
                      r->is_image ? SXVKI_OBJECT(*r->handle.image)
                                  : SXVKI_OBJECT(*r->handle.buffer),
                      info->pName);
    }
}

static void sxvki_resource_needs(const sxvki_vk* vk, const sxvki_resource* r,
                                 VkMemoryRequirements* needs) {
    if (r->is_image) {
        vk->fn.vkGetImageMemoryRequirements(vk->device, *r->handle.image, needs);
    } else {
        vk->fn.vkGetBufferMemoryRequirements(vk->device, *r->handle.buffer, needs);
    }
}

/*  All but the purpose, as the driver says. */
static void sxvki_resource_ask(const sxvki_vk* vk, const sxvki_resource* r, sxvki_demand* demand) {
    VkMemoryRequirements* plain = &demand->answer.memoryRequirements;
    sxvki_demand_init(demand, NULL);
    if (r->is_image) {
        VkImageMemoryRequirementsInfo2 info;
        demand->image = *r->handle.image;
        if (!vk->requirements2) {
            vk->fn.vkGetImageMemoryRequirements(vk->device, *r->handle.image, plain);
            return;
        }
        info.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2;
        info.pNext = NULL;
        info.image = *r->handle.image;
        vk->fn.vkGetImageMemoryRequirements2(vk->device, &info, &demand->answer);
    } else {
        VkBufferMemoryRequirementsInfo2 info;
        demand->buffer = *r->handle.buffer;
        if (!vk->requirements2) {
            vk->fn.vkGetBufferMemoryRequirements(vk->device, *r->handle.buffer, plain);
            return;
        }
        info.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2;
        info.pNext = NULL;
        info.buffer = *r->handle.buffer;
        vk->fn.vkGetBufferMemoryRequirements2(vk->device, &info, &demand->answer);
    }
}

/*  memoryTypeBits for what does not exist: where the driver cannot tell, it is made. */
SXVKI_COLD static VkResult sxvki_type_bits_by_making(const sxvki_device* device,
                                                     const sxvki_resource* r, uint32_t* bits) {
    VkResult result = sxvki_resource_make(device, r);
    if (result == VK_SUCCESS) {
        VkMemoryRequirements needs;
        sxvki_resource_needs(&device->vk, r, &needs);
        sxvki_resource_unmake(device, r);
        *bits = needs.memoryTypeBits;
    }
    return result;
}

SXVKI_COLD static VkResult sxvki_type_bits_for_buffer(const sxvki_device* device,
                                                      const VkBufferCreateInfo* buffer_info,
                                                      uint32_t* bits) {
    VkBuffer buffer;
    sxvki_resource r = sxvki_resource_buffer(&buffer, buffer_info);
    VkDeviceBufferMemoryRequirements info;
    VkMemoryRequirements2 answer;
    if (!device->vk.maintenance4) {
        return sxvki_type_bits_by_making(device, &r, bits);
    }
    memset(&info, 0, sizeof info);
    memset(&answer, 0, sizeof answer);
    info.sType = VK_STRUCTURE_TYPE_DEVICE_BUFFER_MEMORY_REQUIREMENTS;
    info.pCreateInfo = buffer_info;
    answer.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2;
    device->vk.fn.vkGetDeviceBufferMemoryRequirements(device->vk.device, &info, &answer);
    *bits = answer.memoryRequirements.memoryTypeBits;
    return VK_SUCCESS;
}

SXVKI_COLD static VkResult sxvki_type_bits_for_image(const sxvki_device* device,
                                                     const VkImageCreateInfo* image_info,
                                                     uint32_t* bits) {
    VkImage image;
    sxvki_resource r = sxvki_resource_image(&image, image_info);
    VkDeviceImageMemoryRequirements info;
    VkMemoryRequirements2 answer;
    if (!device->vk.maintenance4) {
        return sxvki_type_bits_by_making(device, &r, bits);
    }
    memset(&info, 0, sizeof info);
    memset(&answer, 0, sizeof answer);
    info.sType = VK_STRUCTURE_TYPE_DEVICE_IMAGE_MEMORY_REQUIREMENTS;
    info.pCreateInfo = image_info;
    answer.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2;
    device->vk.fn.vkGetDeviceImageMemoryRequirements(device->vk.device, &info, &answer);
    *bits = answer.memoryRequirements.memoryTypeBits;
    return VK_SUCCESS;
}

#define SXVKI_BIND_BATCH 32

/*  What vkBind..Memory2 is to bind, all of one kind. */
typedef union sxvki_binds {
    VkBindBufferMemoryInfo buffers[SXVKI_BIND_BATCH];
    VkBindImageMemoryInfo images[SXVKI_BIND_BATCH];
} sxvki_binds;

static void sxvki_binds_set(sxvki_binds* binds, uint32_t i, const sxvki_resource* r,
                            const sxvki_view* view, VkDeviceSize offset, const void* next) {
    if (r->is_image) {
        VkBindImageMemoryInfo* info = &binds->images[i];
        info->sType = VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_INFO;
        info->pNext = next;
        info->image = *r->handle.image;
        info->memory = view->block->memory;
        info->memoryOffset = view->offset + offset;
    } else {
        VkBindBufferMemoryInfo* info = &binds->buffers[i];
        info->sType = VK_STRUCTURE_TYPE_BIND_BUFFER_MEMORY_INFO;
        info->pNext = next;
        info->buffer = *r->handle.buffer;
        info->memory = view->block->memory;
        info->memoryOffset = view->offset + offset;
    }
}

static VkResult sxvki_binds_do(const sxvki_vk* vk, const sxvki_binds* binds, uint32_t count,
                               int are_images) {
    return sxvki_vk_result(are_images
                               ? vk->fn.vkBindImageMemory2(vk->device, count, binds->images)
                               : vk->fn.vkBindBufferMemory2(vk->device, count, binds->buffers));
}

/*  With a chain. */
SXVKI_COLD static VkResult sxvki_resource_bind_next(const sxvki_device* device,
                                                    const sxvki_resource* r, uint32_t index,
                                                    VkDeviceSize offset, const void* next) {
    sxvki_view view = sxvki_look(device, index);
    sxvki_binds bind;
    sxvki_binds_set(&bind, 0, r, &view, offset, next);
    return sxvki_binds_do(&device->vk, &bind, 1, r->is_image);
}

static VkResult sxvki_resource_bind(const sxvki_device* device, const sxvki_resource* r,
                                    uint32_t index, VkDeviceSize offset) {
    const sxvki_vk* vk = &device->vk;
    sxvki_view view = sxvki_look_here(device, index);
    VkDeviceMemory memory = view.block->memory;
    offset += view.offset;
    return sxvki_vk_result(
        r->is_image ? vk->fn.vkBindImageMemory(vk->device, *r->handle.image, memory, offset)
                    : vk->fn.vkBindBufferMemory(vk->device, *r->handle.buffer, memory, offset));
}

/*  For messages: bytes that are asked for; of an image only the driver can tell them. */
static VkDeviceSize sxvki_resource_size(const sxvki_resource* r) {
    return r->is_image ? 0 : r->info.buffer->size;
}

/*  Make, allocate, bind unless that is left to the user; undone in reverse order. On failure the
    outputs are null, and *size is what messages say of it; 0: not known. */
static VkResult sxvki_resource_create(SxvkAllocator allocator, const char* function,
                                      const sxvki_resource* r, const SxvkAllocationCreateInfo* info,
                                      SxvkAllocation* allocation, VkDeviceSize* size) {
    const sxvki_device* device = &allocator->device;
    sxvki_demand demand;
    VkResult result = sxvki_resource_make(device, r);
    if (result != VK_SUCCESS) {
        *size = sxvki_resource_size(r);
        return result;
    }
    sxvki_resource_ask(&device->vk, r, &demand);
    sxvki_purpose_of(&demand.purpose, r);
    result = sxvki_allocate(allocator, function, &demand, info, allocation);
    if (result != VK_SUCCESS) {
        goto fail_resource;
    }
    if (device->vk.debug_utils) {
        sxvki_resource_name(&device->vk, r, info);
    }
    if ((info->flags & SXVK_ALLOCATION_CREATE_DONT_BIND_BIT) == 0) {
        result = sxvki_resource_bind(device, r, sxvki_allocation_index(*allocation), 0);
        if (result != VK_SUCCESS) {
            goto fail_allocation;
        }
    }
    return VK_SUCCESS;

fail_allocation:
    sxvki_free(allocator, *allocation, function);
    *allocation = VK_NULL_HANDLE;
fail_resource:
    *size = r->is_image ? demand.memory->size : sxvki_resource_size(r);
    sxvki_resource_unmake(device, r);
    return result;
}

/*  Bind what was made without binding, in batches where the driver takes them. */
static VkResult sxvki_bind_batch(const sxvki_device* device, uint32_t count,
                                 const sxvki_resource* first, const SxvkAllocationCreateInfo* infos,
                                 const SxvkAllocation* allocations) {
    sxvki_binds binds;
    VkResult result = VK_SUCCESS;
    uint32_t filled = 0;
    uint32_t i;
    for (i = 0; i < count && result == VK_SUCCESS; i++) {
        uint32_t index = sxvki_allocation_index(allocations[i]);
        sxvki_resource r = sxvki_resource_at(first, i);
        if ((infos[i].flags & SXVK_ALLOCATION_CREATE_DONT_BIND_BIT) != 0) {
            /* left to the user */
        } else if (device->vk.bind2) {
            sxvki_view view = sxvki_look(device, index);
            sxvki_binds_set(&binds, filled++, &r, &view, 0, NULL);
        } else {
            result = sxvki_resource_bind(device, &r, index, 0);
        }
        if (filled == SXVKI_BIND_BATCH || (i + 1 == count && filled != 0)) {
            result = sxvki_binds_do(&device->vk, &binds, filled, first->is_image);
            filled = 0;
        }
    }
    return result;
}

/*  Up to SXVKI_PORTION: made, and with memory. What was made before a failure stays. */
static VkResult sxvki_create_portion(SxvkAllocator allocator, const char* function, uint32_t count,
                                     const sxvki_resource* first,
                                     const SxvkAllocationCreateInfo* infos,
                                     SxvkAllocation* allocations, sxvki_culprit* culprit) {
    const sxvki_device* device = &allocator->device;
    sxvki_demand demands[SXVKI_PORTION];
    uint32_t i;
    for (i = 0; i < count; i++) {
        sxvki_resource r = sxvki_resource_at(first, i);
        VkResult result = sxvki_resource_make(device, &r);
        if (result != VK_SUCCESS) {
            culprit->index = i;
            culprit->size = 0;
            return result;
        }
        if (device->vk.debug_utils) {
            sxvki_resource_name(&device->vk, &r, &infos[i]);
        }
        sxvki_resource_ask(&device->vk, &r, &demands[i]);
        sxvki_purpose_of(&demands[i].purpose, &r);
    }
    return sxvki_allocate_portion(allocator, function, count, demands, infos, allocations, culprit);
}

/*  All or none; arguments are valid, and the outputs null. */
static VkResult sxvki_create_all(SxvkAllocator allocator, const char* function, uint32_t count,
                                 const sxvki_resource* first, const SxvkAllocationCreateInfo* infos,
                                 SxvkAllocation* allocations, sxvki_culprit* culprit) {
    const sxvki_device* device = &allocator->device;
    VkResult result = VK_SUCCESS;
    uint32_t i, portion;
    culprit->index = SIZE_MAX;
    for (i = 0; i < count && result == VK_SUCCESS; i += portion) {
        sxvki_resource r = sxvki_resource_at(first, i);
        portion = (uint32_t)sxvki_min64(count - i, SXVKI_PORTION);
        result = sxvki_create_portion(allocator, function, portion, &r, &infos[i], &allocations[i],
                                      culprit);
        if (result != VK_SUCCESS) {
            culprit->index += i;
            if (!first->is_image) { /* as for a single one */
                culprit->size = first->info.buffer[culprit->index].size;
            }
        }
    }
    if (result == VK_SUCCESS) {
        result = sxvki_bind_batch(device, count, first, infos, allocations);
    }
    while (result != VK_SUCCESS && i-- != 0) {
        sxvki_resource r = sxvki_resource_at(first, i);
        sxvki_resource_unmake(device, &r);
        if (allocations[i] != VK_NULL_HANDLE) {
            sxvki_free(allocator, allocations[i], function);
            allocations[i] = VK_NULL_HANDLE;
        }
    }
    return result;
}

/* ============================================================================================== */
/*  >>map        mapping, flushing, copying                                                       */
/* ============================================================================================== */
/*
    Maps are counted twice: per allocation in `state`, so that an unmap too many is caught, and per
    block, so that the mapping lives as long as anyone needs it. What is mapped by sxvkMapMemory
    stays where it is, see >>defrag. Flushes are rounded out to nonCoherentAtomSize; ranges of such
    memory begin and end on atoms, so that no neighbour's bytes are flushed or, worse, invalidated.
*/

static VkResult sxvki_map(SxvkAllocator allocator, const char* function, uint32_t index,
                          void** data) {
    sxvki_device* device = &allocator->device;
    sxvki_view view;
    void* base = NULL;
    VkResult result;
    *data = NULL;
    if ((sxvki_state_pin(device, index, &view) & SXVKI_STATE_MAPS_MASK) == SXVKI_STATE_MAPS_MASK) {
        sxvki_report_allocation(device, SXVK_MESSAGE_TOO_MANY_MAPS, function, index,
                                sxvki_handle_of(device, index));
        return VK_ERROR_MEMORY_MAP_FAILED;
    }
    if ((sxvki_type_flags(device, view.block->type) & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) == 0) {
        sxvki_state_unpin(view.state, 0);
        sxvki_report_allocation(device, SXVK_MESSAGE_NOT_HOST_VISIBLE, function, index,
                                sxvki_handle_of(device, index));
        return VK_ERROR_MEMORY_MAP_FAILED;
    }
    result = sxvki_block_map(device, view.block, &base);
    if (result != VK_SUCCESS) {
        sxvki_state_unpin(view.state, 0);
        return result;
    }
    *data = (char*)base + view.offset;
    return VK_SUCCESS;
}

/*  Returns 0 where the allocation is not mapped. */
static int sxvki_unmap(SxvkAllocator allocator, uint32_t index) {
    sxvki_device* device = &allocator->device;
    uint32_t* word = sxvki_state_of(device, index);
    uint32_t state = sxvki_load32(word);
    sxvki_block* block = sxvki_block_of(device, index); /* it may move once it is not mapped */
    do {
        if ((state & SXVKI_STATE_MAPS_MASK) == 0) {
            return 0;
        }
    } while (!sxvki_cas32(word, &state, state - 1));
    sxvki_block_unmap(device, block);
    return 1;
}

/*  The part of an allocation to flush, in whole atoms. Returns 0 where there is nothing to do. */
static int sxvki_flush_range(const sxvki_device* device, uint32_t index, VkDeviceSize offset,
                             VkDeviceSize size, VkMappedMemoryRange* range) {
    sxvki_view view = sxvki_look(device, index);
    VkDeviceSize start = view.offset + offset;
    VkDeviceSize end;
    if (size == VK_WHOLE_SIZE) {
        size = view.size - offset;
    }
    if (size == 0 || !sxvki_type_wants_flush(device, view.block->type)) {
        return 0;
    }
    end = sxvki_align_up(start + size, device->vk.atom);
    memset(range, 0, sizeof *range);
    range->sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE;
    range->memory = view.block->memory;
    range->offset = sxvki_align_down(start, device->vk.atom);
    range->size = sxvki_min64(end, view.block->size) - range->offset;
    return 1;
}

typedef enum sxvki_cache_operation {
    SXVKI_CACHE_FLUSH,
    SXVKI_CACHE_INVALIDATE
} sxvki_cache_operation;

#define SXVKI_FLUSH_BATCH 32

/*  Handles and ranges are valid. Null offsets are 0, null sizes are all. */
static VkResult sxvki_flush(const sxvki_device* device, sxvki_cache_operation operation,
                            uint32_t count, const SxvkAllocation* allocations,
                            const VkDeviceSize* offsets, const VkDeviceSize* sizes) {
    VkMappedMemoryRange ranges[SXVKI_FLUSH_BATCH];
    VkResult result = VK_SUCCESS;
    uint32_t filled = 0;
    uint32_t i;
    for (i = 0; i < count && result == VK_SUCCESS; i++) {
        filled += (uint32_t)sxvki_flush_range(
            device, sxvki_allocation_index(allocations[i]), offsets != NULL ? offsets[i] : 0,
            sizes != NULL ? sizes[i] : VK_WHOLE_SIZE, &ranges[filled]);
        if (filled == SXVKI_FLUSH_BATCH || (i + 1 == count && filled != 0)) {
            result =
                operation == SXVKI_CACHE_FLUSH
                    ? device->vk.fn.vkFlushMappedMemoryRanges(device->vk.device, filled, ranges)
                    : device->vk.fn.vkInvalidateMappedMemoryRanges(device->vk.device, filled,
                                                                   ranges);
            result = sxvki_vk_result(result);
            filled = 0;
        }
    }
    return result;
}

/*  Between host memory and an allocation: from `from`, or to `to`; the other is null. The range is
    valid. */
static VkResult sxvki_copy(SxvkAllocator allocator, const char* function, SxvkAllocation allocation,
                           VkDeviceSize offset, VkDeviceSize size, void* to, const void* from) {
    const sxvki_device* device = &allocator->device;
    uint32_t index = sxvki_allocation_index(allocation);
    void* data;
    VkResult result = sxvki_map(allocator, function, index, &data);
    if (result != VK_SUCCESS) {
        return result;
    }
    data = (char*)data + offset;
    if (from != NULL) {
        memcpy(data, from, (size_t)size);
        result = sxvki_flush(device, SXVKI_CACHE_FLUSH, 1, &allocation, &offset, &size);
    } else {
        result = sxvki_flush(device, SXVKI_CACHE_INVALIDATE, 1, &allocation, &offset, &size);
        if (result == VK_SUCCESS) {
            memcpy(to, data, (size_t)size);
        }
    }
    sxvki_unmap(allocator, index);
    return result;
}

/* ============================================================================================== */
/*  >>movable    resources that can be made again                                                 */
/* ============================================================================================== */
/*
    What was made with MOVABLE_BIT has an entry here: the handles that its owner uses and a copy of
    its create info, found by the allocation's handle in a hash table under one lock, which nobody
    holds while he takes another one. Others have none, and pay for it with one look at a counter
    when a resource is destroyed. Entries stand in a table of their own: a hundred thousand that go
    back to malloc one by one cost who asks it for memory next, in a tick, 2 ms. What becomes of an
    entry:

        RESTING -> MOVING     a new resource is being made; back where that fails
                -> FLYING     the allocation is at its new place, and the device copies
                -> RESTING    it is done: the old resource is destroyed, its place given back

    An entry that is not at rest does not go: when its owner destroys it, it leaves the table and
    the allocation is claimed, so that the handle is invalid as it should be; what is left is done
    by who ends the move.
*/
#if !SX_VKALLOC_NO_DEFRAG

/*  Of the create info as much as can be copied without knowing what it means. */
#define SXVKI_MOVABLE_LIST_MAX 64u /* queue families, or formats */
#define SXVKI_MIPS_MAX         32u /* no less than an extent of 32 bits has */

static int sxvki_format_is_planar(VkFormat format) {
    uint32_t f = (uint32_t)format;
    return (f >= 1000156000u && f <= 1000156033u) || (f >= 1000330000u && f <= 1000330003u);
}

static VkImageAspectFlags sxvki_format_aspects(VkFormat format) {
    switch (format) {
    case VK_FORMAT_D16_UNORM:
    case VK_FORMAT_X8_D24_UNORM_PACK32:
    case VK_FORMAT_D32_SFLOAT: return VK_IMAGE_ASPECT_DEPTH_BIT;
    case VK_FORMAT_S8_UINT: return VK_IMAGE_ASPECT_STENCIL_BIT;
    case VK_FORMAT_D16_UNORM_S8_UINT:
    case VK_FORMAT_D24_UNORM_S8_UINT:
    case VK_FORMAT_D32_SFLOAT_S8_UINT:
        return VK_IMAGE_ASPECT_DEPTH_BIT | VK_IMAGE_ASPECT_STENCIL_BIT;
    default: return VK_IMAGE_ASPECT_COLOR_BIT;
    }
}

typedef enum sxvki_movable_state {
    SXVKI_MOVABLE_RESTING,
    SXVKI_MOVABLE_MOVING,
    SXVKI_MOVABLE_FLYING
} sxvki_movable_state;

/*  What its owner has done with one that was not at rest. */
typedef enum sxvki_movable_fate {
    SXVKI_MOVABLE_LIVES,
    SXVKI_MOVABLE_DEAD, /* destroyed it */
    SXVKI_MOVABLE_GONE  /* freed the memory alone: the resource is no business of ours */
} sxvki_movable_fate;

typedef struct sxvki_movable {
    uint32_t id;   /* in the table of entries */
    uint32_t link; /* while nobody has it */
    SxvkAllocation allocation;
    struct sxvki_movable* next; /* with the same hash */
    SxvkPool pool;              /* null: a default one */
    VkBuffer buffer;            /* one of the two */
    VkImage image;
    sxvki_movable_state state;
    sxvki_movable_fate fate;
    uint32_t dead_index; /* of its allocation, which is claimed; SXVKI_NONE: of none */
    /* FLYING */
    struct sxvki_movable* next_flight;
    uint64_t value;
    VkBuffer old_buffer;
    VkImage old_image;
    uint64_t old_bytes;
    uint32_t old_range; /* claimed; SXVKI_NONE where a slot has left its slab */
    struct sxvki_hunt* hunt;
    SxvkDefragmentationContext context;
    /* as it is made again; lists and chain are copies */
    VkBufferCreateInfo buffer_info;
    VkImageCreateInfo image_info;
    VkImageFormatListCreateInfo formats;
    VkImageStencilUsageCreateInfo stencil;
#ifdef VK_KHR_maintenance5
    VkBufferUsageFlags2CreateInfoKHR usage2;
#endif
    uint32_t* lists; /* queue families, then formats; null: none */
} sxvki_movable;

#define SXVKI_MOVABLES_FIRST_SHIFT 4 /* entries to start with */
#define SXVKI_HEADS_FIRST_SHIFT    6
#define SXVKI_MOVABLES_STEP        8 /* entries that are made at once: 3 KB */

static sxvki_movable* sxvki_movable_at(const sxvki_movables* movables, uint32_t id) {
    return (sxvki_movable*)sxvki_table_at(&movables->tables->entries, id,
                                          SXVKI_MOVABLES_FIRST_SHIFT, sizeof(sxvki_movable));
}

/*  Caller holds the lock. Returns 0: no host memory. */
SXVKI_COLD static int sxvki_movables_make_tables(sxvki_movables* movables, const sxvki_host* host) {
    sxvki_movable_tables* tables = movables->tables;
    if (tables != NULL) {
        return 1;
    }
    tables = (sxvki_movable_tables*)sxvki_host_alloc_zeroed(host, sizeof *tables);
    if (tables == NULL) {
        return 0;
    }
    sxvki_table_init(&tables->entries, SXVKI_MOVABLES_FIRST_SHIFT, sizeof(sxvki_movable),
                     offsetof(sxvki_movable, link));
    sxvki_table_init(&tables->heads, SXVKI_HEADS_FIRST_SHIFT, sizeof(sxvki_movable*), 0);
    movables->tables = tables;
    return 1;
}

/*  An entry that nobody has; else SXVKI_NONE: no host memory. Caller holds the lock. */
SXVKI_COLD static uint32_t sxvki_movables_take(sxvki_movables* movables, const sxvki_host* host) {
    sxvki_table* entries;
    uint32_t id, from, to;
    if (!sxvki_movables_make_tables(movables, host)) {
        return SXVKI_NONE;
    }
    entries = &movables->tables->entries;
    id = sxvki_table_take(entries);
    if (id == SXVKI_NONE && sxvki_table_grow(entries, host, SXVKI_MOVABLES_STEP, &from, &to)) {
        sxvki_table_add(entries, from, to);
        id = sxvki_table_take(entries);
    }
    return id;
}

/*  A new entry, all zero; null: no host memory. */
SXVKI_COLD static sxvki_movable* sxvki_movable_new(sxvki_movables* movables,
                                                   const sxvki_host* host) {
    sxvki_movable* m = NULL;
    uint32_t id;
    sxvki_lock_take(&movables->lock);
    id = sxvki_movables_take(movables, host);
    if (id != SXVKI_NONE) {
        m = sxvki_movable_at(movables, id);
        memset(m, 0, sizeof *m);
        m->id = id;
    }
    sxvki_lock_drop(&movables->lock);
    return m;
}

/*  Nobody can find it any more. Caller holds the lock. */
SXVKI_COLD static void sxvki_movable_drop(sxvki_movables* movables, const sxvki_host* host,
                                          sxvki_movable* m) {
    sxvki_host_free(host, m->lists);
    sxvki_table_give(&movables->tables->entries, m->id, &m->link);
}

SXVKI_COLD static void sxvki_movable_delete(sxvki_movables* movables, const sxvki_host* host,
                                            sxvki_movable* m) {
    sxvki_lock_take(&movables->lock);
    sxvki_movable_drop(movables, host, m);
    sxvki_lock_drop(&movables->lock);
}

/*  Give back the host memory that entries were in. */
SXVKI_COLD static void sxvki_movables_trim(sxvki_movables* movables, const sxvki_host* host) {
    sxvki_movable_tables* tables;
    sxvki_table entries, heads;
    sxvki_lock_take(&movables->lock);
    tables = movables->tables;
    if (tables == NULL) {
        sxvki_lock_drop(&movables->lock);
        return;
    }
    (void)sxvki_table_retire(&tables->entries);
    sxvki_table_detach(&tables->entries, &entries);
    if (movables->count == 0) {
        (void)sxvki_table_retire(&tables->heads);
    }
    sxvki_table_detach(&tables->heads, &heads);
    sxvki_lock_drop(&movables->lock);
    sxvki_table_drop(&entries, host);
    sxvki_table_drop(&heads, host);
}

/* --- the hash table, which has as many lists as there are entries: it grows by one with each, and
       shares out one of the others. Grown to twice the size at once, with the lock held, it took a
       millisecond for 100,000 --- */

static uint32_t sxvki_movable_heads(const sxvki_movables* movables) {
    return movables->tables == NULL ? 0 : movables->tables->heads.capacity;
}

static sxvki_movable** sxvki_movable_head(const sxvki_movables* movables, uint32_t i) {
    return (sxvki_movable**)sxvki_table_at(&movables->tables->heads, i, SXVKI_HEADS_FIRST_SHIFT,
                                           sizeof(sxvki_movable*));
}

/*  The list for an allocation, where there are so many. */
static uint32_t sxvki_movable_slot(uint32_t heads, SxvkAllocation allocation) {
    uint32_t half = 1u << sxvki_high_bit(heads);
    uint32_t hash = (uint32_t)sxvki_mix((uintptr_t)allocation);
    uint32_t i = hash & (2 * half - 1);
    return i < heads ? i : i ^ half;
}

/*  Where an entry hangs, null if there is none. Caller holds the lock. */
static sxvki_movable** sxvki_movable_link(sxvki_movables* movables, SxvkAllocation allocation) {
    uint32_t heads = sxvki_movable_heads(movables);
    sxvki_movable** link;
    if (heads == 0) {
        return NULL;
    }
    link = sxvki_movable_head(movables, sxvki_movable_slot(heads, allocation));
    while (*link != NULL && (*link)->allocation != allocation) {
        link = &(*link)->next;
    }
    return *link != NULL ? link : NULL;
}

/*  One more list. Where there is no memory they get longer. Caller holds the lock. */
SXVKI_COLD static void sxvki_movables_grow(sxvki_movables* movables, const sxvki_host* host) {
    sxvki_table* heads = &movables->tables->heads;
    uint32_t from, to;
    sxvki_movable **link, **head;
    if (!sxvki_table_grow(heads, host, 1, &from, &to)) {
        return;
    }
    sxvki_table_publish(heads, to);
    if (from == 0) {
        return;
    }
    head = sxvki_movable_head(movables, from);
    link = sxvki_movable_head(movables, from ^ (1u << sxvki_high_bit(from)));
    while (*link != NULL) {
        sxvki_movable* m = *link;
        if (sxvki_movable_slot(to, m->allocation) == from) {
            *link = m->next;
            m->next = *head;
            *head = m;
        } else {
            link = &m->next;
        }
    }
}

/*  One more, or less, can be found. Caller holds the lock. */
static void sxvki_movable_count(sxvki_movables* movables, const sxvki_movable* m, uint32_t change) {
    sxvki_store32_relaxed(&movables->count, movables->count + change);
    if (m->pool != VK_NULL_HANDLE) {
        m->pool->movable_count += change;
    }
}

/*  Returns 0: no host memory. */
SXVKI_COLD static int sxvki_movable_join(sxvki_movables* movables, const sxvki_host* host,
                                         sxvki_movable* m) {
    sxvki_movable** link;
    sxvki_lock_take(&movables->lock);
    if (movables->count >= sxvki_movable_heads(movables)) {
        sxvki_movables_grow(movables, host);
    }
    if (sxvki_movable_heads(movables) == 0) {
        sxvki_lock_drop(&movables->lock);
        return 0;
    }
    link = sxvki_movable_link(movables, m->allocation);
    if (link != NULL) { /* somebody has freed the memory alone, and the handle has come again */
        sxvki_movable* stale = *link;
        *link = stale->next;
        stale->fate = SXVKI_MOVABLE_GONE;
        stale->dead_index = SXVKI_NONE;
        sxvki_movable_count(movables, stale, 0 - 1u);
        if (stale->state == SXVKI_MOVABLE_RESTING) {
            sxvki_movable_drop(movables, host, stale);
        }
    }
    link = sxvki_movable_head(movables,
                              sxvki_movable_slot(sxvki_movable_heads(movables), m->allocation));
    m->next = *link;
    *link = m;
    sxvki_movable_count(movables, m, 1);
    sxvki_lock_drop(&movables->lock);
    return 1;
}

/*  An allocation was claimed, to be freed with its resource. Returns 1 where that has to wait for
    the end of a move, which does it; else a handle that is not null becomes the one that the
    resource has by now: who destroys it may not have heard of the last move yet. */
SXVKI_COLD static int sxvki_movable_leave(sxvki_movables* movables, const sxvki_host* host,
                                          SxvkAllocation allocation, uint32_t index,
                                          VkBuffer* buffer, VkImage* image) {
    int has_buffer = buffer != NULL && *buffer != VK_NULL_HANDLE;
    int has_image = image != NULL && *image != VK_NULL_HANDLE;
    sxvki_movable** link;
    int waits = 0;
    sxvki_lock_take(&movables->lock);
    link = sxvki_movable_link(movables, allocation);
    if (link != NULL) {
        sxvki_movable* m = *link;
        *link = m->next;
        sxvki_movable_count(movables, m, 0 - 1u);
        waits = m->state != SXVKI_MOVABLE_RESTING;
        if (waits) {
            m->fate = has_buffer || has_image ? SXVKI_MOVABLE_DEAD : SXVKI_MOVABLE_GONE;
            m->dead_index = index;
        } else {
            if (has_buffer) {
                *buffer = m->buffer;
            }
            if (has_image) {
                *image = m->image;
            }
            sxvki_movable_drop(movables, host, m);
        }
    }
    sxvki_lock_drop(&movables->lock);
    return waits;
}

/*  May an allocation be moved: by the library the ones that have an entry, by passes the others?
    *waits: not now, but later. */
SXVKI_COLD static int sxvki_movable_suits(sxvki_movables* movables, SxvkAllocation allocation,
                                          int by_library, int* waits) {
    sxvki_movable** link;
    int is_movable, is_busy;
    sxvki_lock_take(&movables->lock);
    link = sxvki_movable_link(movables, allocation);
    is_movable = link != NULL;
    is_busy = is_movable && (*link)->state != SXVKI_MOVABLE_RESTING;
    sxvki_lock_drop(&movables->lock);
    *waits |= by_library && is_busy;
    return is_movable == by_library && !is_busy;
}

SXVKI_COLD static int sxvki_movable_exists(sxvki_movables* movables, SxvkAllocation allocation) {
    int exists;
    sxvki_lock_take(&movables->lock);
    exists = sxvki_movable_link(movables, allocation) != NULL;
    sxvki_lock_drop(&movables->lock);
    return exists;
}

/*  Take one that is at rest, to move it; else null. */
SXVKI_COLD static sxvki_movable* sxvki_movable_take(sxvki_movables* movables,
                                                    SxvkAllocation allocation) {
    sxvki_movable** link;
    sxvki_movable* m = NULL;
    sxvki_lock_take(&movables->lock);
    link = sxvki_movable_link(movables, allocation);
    if (link != NULL && (*link)->state == SXVKI_MOVABLE_RESTING) {
        m = *link;
        m->state = SXVKI_MOVABLE_MOVING;
    }
    sxvki_lock_drop(&movables->lock);
    return m;
}

/*  Is what hangs on a create info known, and nothing in it that a copy would miss? Names the field
    that is wrong, else null. */
SXVKI_COLD static const char* sxvki_movable_refuse_chain(const void* next) {
    const VkBaseInStructure* s = (const VkBaseInStructure*)next;
    for (; s != NULL; s = s->pNext) {
        switch ((uint32_t)s->sType) {
        case VK_STRUCTURE_TYPE_IMAGE_FORMAT_LIST_CREATE_INFO:
        case VK_STRUCTURE_TYPE_IMAGE_STENCIL_USAGE_CREATE_INFO:
#ifdef VK_KHR_maintenance5
        case VK_STRUCTURE_TYPE_BUFFER_USAGE_FLAGS_2_CREATE_INFO_KHR:
#endif
            break;
        default: return "pNext: a struct that the library cannot copy, with MOVABLE";
        }
    }
    return NULL;
}

SXVKI_COLD static const char* sxvki_movable_refuse_buffer(const VkBufferCreateInfo* info) {
    uint64_t usage = sxvki_buffer_usage(info);
    const VkFlags plain = 0;
    if ((info->flags & ~plain) != 0) {
        return "pBufferCreateInfo->flags, with MOVABLE: must be 0";
    }
    if ((usage & 0x00100000u) != 0) { /* ACCELERATION_STRUCTURE_STORAGE_BIT_KHR */
        return "pBufferCreateInfo->usage, with MOVABLE: acceleration structures are not copied";
    }
    if (info->sharingMode == VK_SHARING_MODE_CONCURRENT &&
        info->queueFamilyIndexCount > SXVKI_MOVABLE_LIST_MAX) {
        return "pBufferCreateInfo->queueFamilyIndexCount";
    }
    return sxvki_movable_refuse_chain(info->pNext);
}

SXVKI_COLD static const char* sxvki_movable_refuse_image(const VkImageCreateInfo* info) {
    const VkFlags plain = VK_IMAGE_CREATE_MUTABLE_FORMAT_BIT | VK_IMAGE_CREATE_CUBE_COMPATIBLE_BIT |
                          VK_IMAGE_CREATE_2D_ARRAY_COMPATIBLE_BIT |
                          VK_IMAGE_CREATE_BLOCK_TEXEL_VIEW_COMPATIBLE_BIT |
                          VK_IMAGE_CREATE_EXTENDED_USAGE_BIT;
    const VkImageFormatListCreateInfo* formats =
        (const VkImageFormatListCreateInfo*)sxvki_chain_find(
            info->pNext, VK_STRUCTURE_TYPE_IMAGE_FORMAT_LIST_CREATE_INFO);
    if ((info->flags & ~plain) != 0) {
        return "pImageCreateInfo->flags, with MOVABLE: one that it excludes";
    }
    if (info->mipLevels > SXVKI_MIPS_MAX) {
        return "pImageCreateInfo->mipLevels, with MOVABLE: more than an extent has";
    }
    if (info->tiling != VK_IMAGE_TILING_OPTIMAL && info->tiling != VK_IMAGE_TILING_LINEAR) {
        return "pImageCreateInfo->tiling, with MOVABLE: must be OPTIMAL or LINEAR";
    }
    if ((info->usage & VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT) != 0) {
        return "pImageCreateInfo->usage, TRANSIENT_ATTACHMENT with MOVABLE";
    }
    if (info->format == VK_FORMAT_UNDEFINED || sxvki_format_is_planar(info->format)) {
        return "pImageCreateInfo->format, with MOVABLE: must have one plane";
    }
    if ((info->sharingMode == VK_SHARING_MODE_CONCURRENT &&
         info->queueFamilyIndexCount > SXVKI_MOVABLE_LIST_MAX) ||
        (formats != NULL && formats->viewFormatCount > SXVKI_MOVABLE_LIST_MAX)) {
        return "pImageCreateInfo->queueFamilyIndexCount or viewFormatCount";
    }
    return sxvki_movable_refuse_chain(info->pNext);
}

/*  An entry with the lists copied; null: no host memory. */
SXVKI_COLD static sxvki_movable* sxvki_movable_make(sxvki_movables* movables,
                                                    const sxvki_host* host, uint32_t family_count,
                                                    const uint32_t* families, const void* chain) {
    const VkImageFormatListCreateInfo* formats =
        (const VkImageFormatListCreateInfo*)sxvki_chain_find(
            chain, VK_STRUCTURE_TYPE_IMAGE_FORMAT_LIST_CREATE_INFO);
    uint32_t format_count = formats != NULL ? formats->viewFormatCount : 0;
    sxvki_movable* m = sxvki_movable_new(movables, host);
    if (m == NULL) {
        return NULL;
    }
    if (family_count + format_count != 0) {
        m->lists = (uint32_t*)sxvki_host_alloc(
            host, (family_count + format_count) * sizeof(uint32_t), sizeof(uint32_t));
        if (m->lists == NULL) {
            sxvki_movable_delete(movables, host, m);
            return NULL;
        }
    }
    if (family_count != 0) {
        memcpy(m->lists, families, family_count * sizeof(uint32_t));
    }
    if (formats != NULL) {
        m->formats = *formats;
        m->formats.pNext = NULL;
        if (format_count != 0) {
            memcpy(m->lists + family_count, formats->pViewFormats, format_count * sizeof(VkFormat));
            m->formats.pViewFormats = (const VkFormat*)(const void*)(m->lists + family_count);
        }
    }
    return m;
}

SXVKI_STATIC_ASSERT(formats_are_words, sizeof(VkFormat) == sizeof(uint32_t));

SXVKI_COLD static sxvki_movable* sxvki_movable_of_buffer(sxvki_movables* movables,
                                                         const sxvki_host* host,
                                                         const VkBufferCreateInfo* info) {
    const VkBufferUsageFlags copies =
        VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    uint32_t count =
        info->sharingMode == VK_SHARING_MODE_CONCURRENT ? info->queueFamilyIndexCount : 0;
    sxvki_movable* m = sxvki_movable_make(movables, host, count, info->pQueueFamilyIndices, NULL);
    if (m == NULL) {
        return NULL;
    }
    m->buffer_info = *info;
    m->buffer_info.pNext = NULL;
    m->buffer_info.usage |= copies;
    m->buffer_info.queueFamilyIndexCount = count;
    m->buffer_info.pQueueFamilyIndices = count != 0 ? m->lists : NULL;
#ifdef VK_KHR_maintenance5
    {
        const VkBufferUsageFlags2CreateInfoKHR* usage2 =
            (const VkBufferUsageFlags2CreateInfoKHR*)sxvki_chain_find(
                info->pNext, VK_STRUCTURE_TYPE_BUFFER_USAGE_FLAGS_2_CREATE_INFO_KHR);
        if (usage2 != NULL) {
            m->usage2 = *usage2;
            m->usage2.usage |= copies;
            m->usage2.pNext = NULL;
            m->buffer_info.pNext = &m->usage2;
        }
    }
#endif
    return m;
}

SXVKI_COLD static sxvki_movable* sxvki_movable_of_image(sxvki_movables* movables,
                                                        const sxvki_host* host,
                                                        const VkImageCreateInfo* info) {
    const VkImageUsageFlags copies =
        VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
    const VkImageStencilUsageCreateInfo* stencil =
        (const VkImageStencilUsageCreateInfo*)sxvki_chain_find(
            info->pNext, VK_STRUCTURE_TYPE_IMAGE_STENCIL_USAGE_CREATE_INFO);
    uint32_t count =
        info->sharingMode == VK_SHARING_MODE_CONCURRENT ? info->queueFamilyIndexCount : 0;
    sxvki_movable* m =
        sxvki_movable_make(movables, host, count, info->pQueueFamilyIndices, info->pNext);
    const void* chain = NULL;
    if (m == NULL) {
        return NULL;
    }
    if (stencil != NULL) {
        m->stencil = *stencil;
        m->stencil.stencilUsage |= copies;
        m->stencil.pNext = chain;
        chain = &m->stencil;
    }
    if (m->formats.sType != 0) {
        m->formats.pNext = chain;
        chain = &m->formats;
    }
    m->image_info = *info;
    m->image_info.pNext = chain;
    m->image_info.usage |= copies;
    m->image_info.queueFamilyIndexCount = count;
    m->image_info.pQueueFamilyIndices = count != 0 ? m->lists : NULL;
    return m;
}

#define SXVKI_FORGET_PORTION 64u /* lists under one lock */

/*  Those of one list that are of a pool, or all. Caller holds the lock. */
SXVKI_COLD static void sxvki_movables_forget_list(sxvki_movables* movables, const sxvki_host* host,
                                                  sxvki_movable** link, SxvkPool pool) {
    while (*link != NULL) {
        sxvki_movable* m = *link;
        if (pool != NULL && m->pool != pool) {
            link = &m->next;
            continue;
        }
        *link = m->next;
        sxvki_movable_count(movables, m, 0 - 1u);
        sxvki_movable_drop(movables, host, m);
    }
}

/*  Forget those of a pool, or all. What flies has been completed. Lists that are added meanwhile
    share out such that are still to be seen, or were seen. O(1) for a pool that has none. */
SXVKI_COLD static void sxvki_movables_forget(sxvki_movables* movables, const sxvki_host* host,
                                             SxvkPool pool) {
    uint32_t i = 0, end = 1;
    while (i < end) {
        uint32_t last = i + SXVKI_FORGET_PORTION;
        sxvki_lock_take(&movables->lock);
        end = pool != NULL && pool->movable_count == 0 ? 0 : sxvki_movable_heads(movables);
        for (; i < end && i < last; i++) {
            sxvki_movables_forget_list(movables, host, sxvki_movable_head(movables, i), pool);
        }
        sxvki_lock_drop(&movables->lock);
    }
}
#endif /* !SX_VKALLOC_NO_DEFRAG */

/* ============================================================================================== */
/*  >>defrag     emptying blocks                                                                  */
/* ============================================================================================== */
/*
    To give memory back to the driver is to empty blocks. So what is chosen is blocks, not moves: of
    those that hold the same kind of ranges the ones with the smallest live share, as many as fit
    into the room of the others. They are frozen all at once, so that nothing moves twice; then one
    after the other is planned as a whole: every allocation in it gets a target, the largest first,
    by best fit; if one finds none, all targets go back and the block thaws. Then the rest is tried
    one by one, by the room that is left; and where that does not do, what finds no target may get a
    new block of just its size, if that frees enough for what it moves. Nobody else notices but for
    the room that he does not find: before a domain grows it takes a frozen block back.

    For each group of domains that may share their blocks:

        ENTER -> SWEEP -> SURVEY
        CHOOSE -> FREEZE, for each victim, or for the next one
        NEXT -> COLLECT -> PLACE -> (GROW ->) HAND_OUT -> NEXT, for each victim that is not planned
                      \        \        \        \
                       +--------+--------+--------+-> UNDO -> SHRINK -> THAW   it is given up
        NEXT -> FINISH -> THAW, for each of which all moves have ended; if the block is not gone

    sxvki_defrag_step does a small part of that, some 10 us, or one call of the driver, and takes no
    lock for longer; who calls it looks at the clock, and stops where he likes. So no step goes
    through anything that grows with what there is: blocks are walked over some at a time (visits),
    victims wait in lists by what lives in them, moves in a queue of parts. Everything in it may
    fail for want of host memory: then the same step is done again by the next call.

    What uses it:

        sxvki_defrag_init       which pools, at what price, and which allocations not to touch
        sxvki_defrag_step       plan on; READY: sxvki_defrag_next has a move; DONE: nothing is left
        sxvki_defrag_next       the next move: the caller copies, and does one of the next two
        sxvki_defrag_commit     the allocation is where the target was, and the target is gone
        sxvki_defrag_cancel     the allocation stays; the block it is in is given up
        sxvki_defrag_stop       from here on the steps end what was begun, and begin nothing
        sxvki_defrag_shutdown   cancels what is open; may be called at any time

    A move is an exchange: the records of the source and of the target change their places, so the
    source's handle, name, user data and mappings stay, and what is given back then is the target.
    A slot's place follows from its handle, so there it is another way: its target becomes its host,
    and the slot is AWAY, an entry that says no more than in which range it lives. Once all of a
    slab are free or away it is hollow: its range goes back, and its 1 KB of host memory when the
    last one is freed. (Slabs are small: 8 of 1,300 MiB in the game sequence; but there is one in
    most blocks of small ranges.) A slot that moves on is an exchange again, of its host.

    Why this is safe while others allocate, free, map and ask:

    D1  A victim hands nothing out. What is free in it, and what becomes so, is in the list behind
        its anchor; a slab in it is FROZEN and in no list, so no slot of it is taken. All of that is
        said and unsaid under the lock of its domain.
    D2  Where an allocation is changes only in a commit, under the locks of the domains of source
        and target (the lower address first; nobody else holds two), while the source is claimed. So
        neither who freed it and has not given it back yet (M1, S2) nor who walks over the blocks
        ever sees a move happen.
    D3  A commit locks the state, then claims the generation, then undoes both; and it does neither
        where the state has maps. So who frees a handle and finds it claimed but locked waits, some
        ns, and who maps waits, too; who is mapped stays. Whoever only asks reads one word (a
        place), and goes by what it said before or says after.
    D4  A block's memory goes when its last range does. A source keeps its block up to the commit,
        and a target keeps its own from then on; so no place that anybody has just read is gone,
        unless he asked where an allocation is while its owner ended a move of it, and used it
        after.
    D5  Source and target are of one size, and the target's alignment is no less than what the
        source asked for: as much as its offset shows, up to the largest that the pool ever saw.
        They lie in blocks of one pool and kind. So what holds of the source holds of the target:
        granularity, atoms, margins.
    D6  What somebody plans to move is marked so (PLANNED), and nobody else does.

    It ends: each block is tried once when victims are chosen together, and once when they are
    chosen one by one; of that there is a repetition only where a block could not be emptied because
    moves to it were under way, and no more than SXVKI_DEFRAG_REPEATS of them. Blocks that others
    make meanwhile do not count: no more are tried than there were.

    Memory that is tight needs no more than sxvki_defrag_stop, or to stop stepping: a frozen block
    is found by who needs it.
*/
#if !SX_VKALLOC_NO_DEFRAG

/* --- which blocks --- */

#define SXVKI_SHARES 64u

/*  Blocks by their live share, in granules: [i] from i / SXVKI_SHARES on. */
typedef struct sxvki_shares {
    uint64_t live[SXVKI_SHARES + 1];
    uint64_t size[SXVKI_SHARES + 1];
} sxvki_shares;

SXVKI_INLINE uint32_t sxvki_live_share(uint64_t live, uint64_t size) {
    return (uint32_t)(live * SXVKI_SHARES / size);
}

static void sxvki_shares_add(sxvki_shares* shares, uint64_t live, uint64_t size) {
    uint32_t share = sxvki_live_share(live, size);
    shares->live[share] += live;
    shares->size[share] += size;
}

/*  Returns the share up to which (and without which) blocks should be emptied, the least first, as
    long as all that lives in them is no more than *most: what fits into the others. */
static uint32_t sxvki_shares_choose(const sxvki_shares* shares, uint32_t price, uint64_t* most) {
    uint64_t room = 0, live = 0;
    uint32_t i;
    for (i = 0; i <= SXVKI_SHARES; i++) {
        room += shares->size[i] - shares->live[i];
    }
    for (i = 0; i < price; i++) {
        uint64_t lost = shares->size[i] - shares->live[i];
        if (shares->size[i] == 0) {
            continue;
        }
        if (live + shares->live[i] > room - lost) { /* all of these do not fit, but some may */
            *most = live + shares->live[i] / 64 * ((room - live) / (shares->size[i] / 64 + 1));
            return i + 1;
        }
        live += shares->live[i];
        room -= lost;
    }
    *most = live;
    return price;
}

/* --- a run --- */

#define SXVKI_SIZES 39u /* powers of two of granules */

typedef struct sxvki_move {
    SxvkAllocation source;
    SxvkAllocation target; /* null: none yet */
    struct sxvki_hunt* hunt;
    struct sxvki_move* next; /* of its size, to have a target */
    sxvki_domain* domain;    /* of the target */
    uint64_t size;           /* granules */
    uint64_t alignment;
    uint32_t tail;  /* bytes */
    uint32_t state; /* SXVKI_STATE_ bits of the target */
} sxvki_move;

/*  A victim and what its owner knows of it. */
typedef struct sxvki_hunt {
    sxvki_victim victim;
    struct sxvki_hunt* next; /* in a list of the run's */
    uint32_t open;           /* moves under way */
    uint64_t live;           /* granules; a guess until the plan is made */
    uint64_t size;
    int is_planned;
    int is_refused;     /* something stays in it */
    int is_promised;    /* its moves are under way, all of them */
    VkDeviceSize grown; /* bytes of the new block for what lives in it; 0: none */
} sxvki_hunt;

typedef enum sxvki_phase {
    SXVKI_PHASE_ENTER,
    SXVKI_PHASE_SWEEP,
    SXVKI_PHASE_SURVEY,
    SXVKI_PHASE_CHOOSE,
    SXVKI_PHASE_FREEZE,
    SXVKI_PHASE_NEXT,
    SXVKI_PHASE_COLLECT,
    SXVKI_PHASE_PLACE,
    SXVKI_PHASE_GROW,
    SXVKI_PHASE_HAND_OUT,
    SXVKI_PHASE_UNDO,
    SXVKI_PHASE_SHRINK,
    SXVKI_PHASE_FINISH,
    SXVKI_PHASE_THAW,
    SXVKI_PHASE_DONE
} sxvki_phase;

#define SXVKI_BLOCK_GONE (SXVKI_NONE - 1) /* no block has this id */

/*  The moves of a victim, first in, first out. In parts, because a list that grows by copying takes
    as long as it is, and so does the system for its memory. */
#define SXVKI_QUEUE_PART 128u /* moves; 9 KB */

typedef struct sxvki_queue_part {
    struct sxvki_queue_part* next;
    sxvki_move moves[SXVKI_QUEUE_PART];
} sxvki_queue_part;

typedef struct sxvki_queue {
    sxvki_queue_part* first; /* begins at `begin` */
    sxvki_queue_part* last;  /* ends at `end`; a part behind it is spare */
    uint32_t begin;
    uint32_t end;
    uint32_t count;
} sxvki_queue;

/*  Moves of one power of two of granules that have no target yet. */
typedef struct sxvki_move_list {
    sxvki_move* first;
    sxvki_move* last;
} sxvki_move_list;

typedef struct sxvki_defrag {
    SxvkAllocator allocator;
    SxvkPool only;       /* null: all default pools */
    uint32_t only_block; /* SXVKI_NONE: all; SXVKI_BLOCK_GONE: it was emptied */
    uint32_t serial;     /* differs between runs */
    uint32_t price;      /* blocks of a live share from here on, in SXVKI_SHARES, are left alone */
    uint32_t new_price;  /* the same of what is moved against what is freed, where that takes a new,
                           smaller block; 0: no such */
    uint32_t keep;       /* SXVKI_STATE_ bits of allocations that must not be moved */
    uint64_t max_size;   /* granules of what may be moved */
    sxvki_phase phase;
    uint32_t type; /* the group: memory type, where there is no pool, and domains */
    uint32_t kind;
    uint32_t differ; /* domains of the group differ in no such SXVKI_DOMAIN_ bit from `kind` */
    SxvkPool pool;
    int is_single;  /* the group's victims one by one: after as many at once as should fit */
    int is_last;    /* all groups were looked at, or it was stopped */
    int by_library; /* only what the library can move by itself; else only the rest */
    int waits;      /* some could not be emptied because something is about to move there */
    uint32_t repeats;
    uint32_t left;       /* victims that may yet be chosen: others may make blocks meanwhile */
    uint32_t domain;     /* SWEEP, SURVEY and CHOOSE: of the pool, the next to look at */
    sxvki_visit visit;   /* of the one before it, where it has not ended */
    uint32_t share;      /* CHOOSE: blocks of less are taken; see sxvki_shares_choose */
    uint64_t most;       /* ... that hold no more than this in all, */
    uint64_t most_last;  /* ... and those of the last share before it than this */
    uint32_t next_share; /* single: the least that was seen above */
    int is_searched;     /* there is nothing more to choose in the group */
    sxvki_shares shares; /* of the group */
    sxvki_hunt* spare;   /* for the next victim */
    sxvki_hunt* waiting[SXVKI_SIZES]; /* to be planned, by what lives there: powers of two */
    uint64_t waiting_bits;            /* for each list of them */
    sxvki_hunt* ended;                /* planned, and no move is under way any more */
    uint32_t hunts;                   /* these, `current`, and those with moves under way */
    uint64_t promised;                /* granules of the last ones */
    sxvki_hunt* current;              /* at work; in no list */
    uint32_t slot;                    /* COLLECT: of the slab at the cursor */
    sxvki_queue plan;                 /* for `current` */
    sxvki_move_list unplaced[SXVKI_SIZES];
    uint32_t level;         /* PLACE: the larger ones have a target */
    uint64_t unplaced_size; /* granules, aligned */
    uint64_t bytes_moved;
    uint64_t bytes_freed;
    uint64_t bytes_made; /* of new blocks */
    uint32_t moves;
    uint32_t blocks_freed;
} sxvki_defrag;

#define SXVKI_DEFRAG_READY   VK_INCOMPLETE /* there is a move to hand out */
#define SXVKI_DEFRAG_MORE    VK_NOT_READY  /* there is more to plan */
#define SXVKI_DEFRAG_DONE    VK_SUCCESS
#define SXVKI_DEFRAG_PORTION 32u /* moves that are planned under one lock */
#define SXVKI_DEFRAG_REPEATS 8u  /* of going through a group one by one */
#define SXVKI_DEFRAG_GAIN    16u /* a new block is less by one part in so many */

/*  Live shares, in SXVKI_SHARES, from which on a block is left alone, and what may be moved for
    what a new block frees. The game after its unloads, committed / live and moved / freed: FAST
    1.14 and 1.24 for 0.08, BALANCED 1.03 and 1.05 for 0.12, FULL 1.02 and 1.05 for 0.14, ALL 1.01
    for 0.25; the traces at their ends ALL 1.003 to 1.05 for up to 2.6, FULL 1.01 to 1.18 for up to
    0.9. No new blocks: the game BALANCED 1.05 and 1.09, openarena ALL 1.17. `sxvk_bench defrag`. */
#define SXVKI_PRICE_FAST         16u
#define SXVKI_PRICE_BALANCED     40u
#define SXVKI_PRICE_FULL         56u
#define SXVKI_PRICE_ALL          (SXVKI_SHARES + 1)

#define SXVKI_NEW_PRICE_BALANCED 64u
#define SXVKI_NEW_PRICE_FULL     128u
#define SXVKI_NEW_PRICE_ALL      UINT32_MAX

SXVKI_COLD static void sxvki_defrag_init(sxvki_defrag* d, SxvkAllocator allocator, SxvkPool pool) {
    memset(d, 0, sizeof *d);
    d->allocator = allocator;
    d->only = pool;
    d->pool = pool;
    d->serial = (uint32_t)sxvki_add64(&allocator->defrags, 1);
    d->price = SXVKI_PRICE_ALL;
    d->differ = SXVKI_DOMAIN_OPTIMAL;
    if (sxvki_budget_total(&allocator->device.budget) >= SXVKI_MIX_BELOW) {
        d->differ |= SXVKI_DOMAIN_LARGE;
    }
    d->keep = SXVKI_STATE_PINNED | SXVKI_STATE_PLANNED | SXVKI_STATE_TARGET | SXVKI_STATE_MAPS_MASK;
    d->max_size = UINT64_MAX;
    d->only_block = SXVKI_NONE;
    d->phase = SXVKI_PHASE_ENTER;
}

/*  The domain with this index, if it belongs to the group. */
static sxvki_domain* sxvki_defrag_domain(const sxvki_defrag* d, uint32_t index) {
    return ((index ^ d->kind) & d->differ) == 0 ? sxvki_pool_domain(d->pool, index) : NULL;
}

/*  On to what comes next in a group, or to the next one; returns 0 where there is none. Small and
    large ranges share blocks in a program that holds little, as they do otherwise. */
SXVKI_COLD static int sxvki_defrag_next_group(sxvki_defrag* d) {
    uint32_t types = d->allocator->device.model.properties.memoryTypeCount;
    int again = d->is_single && d->waits && d->repeats++ < SXVKI_DEFRAG_REPEATS;
    if (!d->is_single || again) {
        d->serial = (uint32_t)sxvki_add64(&d->allocator->defrags, 1);
        d->is_single = 1;
        d->waits = 0;
        return 1;
    }
    d->is_single = 0;
    d->repeats = 0;
    if (++d->kind == SXVKI_DOMAIN_KINDS) {
        d->kind = 0;
        if (d->only != NULL || ++d->type == types) {
            return 0;
        }
    }
    return 1;
}

/*  What lives in a block, in granules; of its slabs as much as lives in those of the domain on
    average. Scale is that share of what the domain has handed out, in 2^16. Caller holds the lock.
    */
SXVKI_COLD static uint64_t sxvki_domain_scale(const sxvki_domain* domain) {
    SxvkStatistics stats;
    memset(&stats, 0, sizeof stats);
    sxvki_domain_add_live(domain, &stats);
    return domain->live_bytes == 0 ? 0 : (stats.allocationBytes << 16) / domain->live_bytes;
}

SXVKI_INLINE uint64_t sxvki_block_live(const sxvki_block* block, uint64_t scale) {
    return (block->in.stock.live_size * scale) >> 16;
}

/*  Begin with a group, or with what comes next in it. */
SXVKI_COLD static VkResult sxvki_defrag_enter(sxvki_defrag* d) {
    d->pool = d->only != NULL ? d->only : sxvki_default_pool(d->allocator, d->type);
    d->is_searched = d->pool == NULL || (d->kind & ~d->differ) != 0;
    d->phase = d->is_searched ? SXVKI_PHASE_NEXT : SXVKI_PHASE_SWEEP;
    d->domain = 0;
    d->left = 0;
    memset(&d->shares, 0, sizeof d->shares);
    return SXVKI_DEFRAG_MORE;
}

/*  Give back what is empty anyway, a block at a time: as many as a domain had to begin with. */
SXVKI_COLD static VkResult sxvki_defrag_sweep(sxvki_defrag* d) {
    sxvki_domain* domain = sxvki_defrag_domain(d, d->domain);
    sxvki_block* chain = NULL;
    uint32_t one = 1;
    if (domain != NULL && d->left == 0) {
        sxvki_lock_take(&domain->lock);
        d->left = domain->empty_count;
        sxvki_lock_drop(&domain->lock);
    }
    if (d->left != 0) {
        sxvki_domain_detach(domain, 0, &one, &chain);
        d->blocks_freed += 1 - one;
        d->bytes_freed += sxvki_blocks_destroy(&d->allocator->device, chain);
        d->left = one != 0 ? 0 : d->left - 1;
    }
    if (d->left == 0 && ++d->domain >= sxvki_pool_domain_count(d->pool)) {
        d->domain = 0;
        d->phase = SXVKI_PHASE_SURVEY;
    }
    return SXVKI_DEFRAG_MORE;
}

/*  The domain in which the walk over the blocks of the group goes on, with its lock held; null
    after the last. */
SXVKI_COLD static sxvki_domain* sxvki_defrag_lock_next(sxvki_defrag* d) {
    sxvki_domain* domain = d->visit.domain;
    while (domain == NULL && d->domain < sxvki_pool_domain_count(d->pool)) {
        domain = sxvki_defrag_domain(d, d->domain++);
    }
    if (domain != NULL) {
        sxvki_lock_take(&domain->lock);
        if (d->visit.domain == NULL) {
            sxvki_visit_begin(&d->visit, domain);
        }
    }
    return domain;
}

/*  Leave the walk over the blocks, wherever it is. */
SXVKI_COLD static void sxvki_defrag_leave(sxvki_defrag* d) {
    sxvki_domain* domain = d->visit.domain;
    if (domain != NULL) {
        sxvki_lock_take(&domain->lock);
        sxvki_visit_end(&d->visit);
        sxvki_lock_drop(&domain->lock);
    }
}

/*  What to look for in the group, once its blocks were seen. One by one: those of the least share
    first, so all shares come, one walk for each that there is. */
SXVKI_COLD static void sxvki_defrag_set_shares(sxvki_defrag* d) {
    uint32_t i;
    d->share = sxvki_shares_choose(&d->shares, d->price, &d->most);
    d->most_last = d->most;
    for (i = 0; i + 1 < d->share; i++) {
        d->most_last -= sxvki_min64(d->shares.live[i], d->most_last);
    }
    if (d->is_single) {
        d->share = 1;
        d->most = UINT64_MAX;
        d->most_last = UINT64_MAX;
    }
    d->next_share = d->price;
    d->domain = 0;
    d->phase = SXVKI_PHASE_CHOOSE;
}

/*  Look at some blocks of the group. */
SXVKI_COLD static VkResult sxvki_defrag_survey(sxvki_defrag* d) {
    sxvki_domain* domain = sxvki_defrag_lock_next(d);
    const sxvki_block* block;
    uint64_t scale;
    uint32_t step;
    if (domain == NULL) {
        sxvki_defrag_set_shares(d);
        return SXVKI_DEFRAG_MORE;
    }
    scale = sxvki_domain_scale(domain);
    for (step = 0; step < SXVKI_VICTIM_PORTION; step++) {
        block = sxvki_visit_next(&d->visit);
        if (block == NULL) {
            break;
        }
        sxvki_shares_add(&d->shares, sxvki_block_live(block, scale),
                         block->size >> SXVKI_GRANULE_SHIFT);
        d->left++;
    }
    sxvki_lock_drop(&domain->lock);
    return SXVKI_DEFRAG_MORE;
}

/*  Should this block be emptied? Caller holds the lock. */
SXVKI_COLD static int sxvki_defrag_wants(sxvki_defrag* d, const sxvki_block* block, uint64_t live,
                                         uint32_t share) {
    if (block->in.stock.victim != NULL || block->in.stock.tried == d->serial ||
        (d->only_block != SXVKI_NONE && d->only_block != block->id)) {
        return 0;
    }
    if (share >= d->share) {
        d->next_share = share < d->next_share ? share : d->next_share;
        return 0;
    }
    return live <= d->most && (share + 1 != d->share || live <= d->most_last);
}

/*  A block becomes a victim. Caller holds the lock. */
SXVKI_COLD static void sxvki_victim_begin(sxvki_victim* victim, sxvki_domain* domain,
                                          sxvki_block* block) {
    victim->domain = domain;
    victim->block = block;
    victim->state = SXVKI_VICTIM_FREEZES;
    victim->next = (sxvki_victim*)domain->victims;
    if (victim->next != NULL) {
        victim->next->prev = victim;
    }
    sxvki_store_ptr(&domain->victims, victim);
    sxvki_frozen_begin(&domain->bins, &victim->frozen, block->first);
    block->in.stock.victim = victim;
}

/*  The walk over the group is over: there may be another one, for blocks of more. */
SXVKI_COLD static void sxvki_defrag_search_again(sxvki_defrag* d) {
    sxvki_defrag_leave(d);
    if (d->is_single && d->left != 0 && d->next_share < d->price) {
        d->share = d->next_share + 1;
        d->next_share = d->price;
        d->domain = 0;
    } else {
        d->is_searched = 1;
        d->phase = SXVKI_PHASE_NEXT;
    }
}

/*  This one. Caller holds the lock, and has prepared the bins. */
SXVKI_COLD static void sxvki_defrag_chase(sxvki_defrag* d, sxvki_domain* domain, sxvki_block* block,
                                          uint64_t live, uint32_t share) {
    sxvki_hunt* hunt = d->spare;
    sxvki_victim_begin(&hunt->victim, domain, block);
    block->in.stock.tried = d->serial;
    hunt->live = live;
    hunt->size = block->size >> SXVKI_GRANULE_SHIFT;
    d->spare = NULL;
    if (!d->is_single) {
        d->most -= live;
        d->most_last -= share + 1 == d->share ? live : 0;
    }
    d->left--;
    d->hunts++;
    d->current = hunt;
    d->phase = SXVKI_PHASE_FREEZE;
}

/*  Look at some blocks for one more victim. */
SXVKI_COLD static VkResult sxvki_defrag_choose(sxvki_defrag* d) {
    sxvki_domain* domain;
    uint64_t scale;
    uint32_t step;
    if (d->spare == NULL) {
        d->spare =
            (sxvki_hunt*)sxvki_host_alloc_zeroed(&d->allocator->device.host, sizeof *d->spare);
        if (d->spare == NULL) {
            return VK_ERROR_OUT_OF_HOST_MEMORY;
        }
    }
    domain = d->left != 0 && d->most != 0 ? sxvki_defrag_lock_next(d) : NULL;
    if (domain == NULL) {
        sxvki_defrag_search_again(d);
        return SXVKI_DEFRAG_MORE;
    }
    if (!sxvki_bins_prepare(&domain->bins)) {
        sxvki_lock_drop(&domain->lock);
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    scale = sxvki_domain_scale(domain);
    for (step = 0; step < SXVKI_VICTIM_PORTION && d->phase == SXVKI_PHASE_CHOOSE; step++) {
        sxvki_block* block = sxvki_visit_next(&d->visit);
        uint64_t live = block != NULL ? sxvki_block_live(block, scale) : 0;
        uint32_t share;
        if (block == NULL) {
            break;
        }
        share = sxvki_live_share(live, block->size >> SXVKI_GRANULE_SHIFT);
        if (sxvki_defrag_wants(d, block, live, share)) {
            sxvki_defrag_chase(d, domain, block, live, share);
        }
    }
    sxvki_lock_drop(&domain->lock);
    return SXVKI_DEFRAG_MORE;
}

/*  Some steps of freezing. Returns 0 where there are more. Caller holds the lock. */
SXVKI_COLD static int sxvki_victim_freeze(sxvki_victim* victim) {
    sxvki_domain* domain = victim->domain;
    sxvki_records* records = domain->bins.records;
    uint32_t step;
    for (step = 0; step < SXVKI_VICTIM_PORTION; step++) {
        uint32_t index = sxvki_frozen_next(&domain->bins, &victim->frozen);
        const sxvki_record* r;
        if (index == SXVKI_NONE) {
            victim->state = SXVKI_VICTIM_FROZEN;
            return 1;
        }
        r = sxvki_record_at(records, index);
        if (!sxvki_record_is_live(r)) {
            sxvki_frozen_take(&domain->bins, &victim->frozen, index);
        } else if (sxvki_record_state(r) & SXVKI_STATE_SLAB) {
            sxvki_slab* slab = sxvki_slab_at(records, r->link_a);
            if (slab->is_listed == SXVKI_SLAB_LISTED) {
                sxvki_domain_unlist_slab(domain, slab);
            }
            slab->is_listed = SXVKI_SLAB_FROZEN;
        }
    }
    return 0;
}

/* --- the lists of hunts: none is walked through --- */

/*  The current one waits to be planned, after those in which half as much lives. By their shares:
    small ones of which 80 % were freed end with 1.82 times what lives, for 1.47. */
SXVKI_COLD static void sxvki_defrag_delay(sxvki_defrag* d) {
    sxvki_hunt* hunt = d->current;
    uint32_t i = hunt->live != 0 ? sxvki_high_bit(hunt->live) : 0;
    hunt->next = d->waiting[i];
    d->waiting[i] = hunt;
    d->waiting_bits |= (uint64_t)1 << i;
    d->current = NULL;
}

/*  One to work on: of which all moves have ended, or to be planned; null: none. */
SXVKI_COLD static sxvki_hunt* sxvki_defrag_pop(sxvki_defrag* d) {
    uint32_t i = d->waiting_bits != 0 ? sxvki_low_bit(d->waiting_bits) : 0;
    sxvki_hunt** list = d->ended != NULL ? &d->ended : &d->waiting[i];
    sxvki_hunt* hunt = *list;
    if (hunt != NULL) {
        *list = hunt->next;
        if (d->waiting[i] == NULL) {
            d->waiting_bits &= ~((uint64_t)1 << i);
        }
    }
    return hunt;
}

/*  A move of a hunt's is over. */
SXVKI_COLD static void sxvki_hunt_close(sxvki_defrag* d, sxvki_hunt* hunt) {
    if (--hunt->open == 0 && hunt != d->current) {
        hunt->next = d->ended;
        d->ended = hunt;
    }
}

/*  All moves that it has are under way: if they are done, its block goes. */
SXVKI_COLD static void sxvki_hunt_promise(sxvki_defrag* d, sxvki_hunt* hunt) {
    hunt->is_promised = !hunt->is_refused;
    d->promised += hunt->is_promised ? hunt->size : 0;
}

SXVKI_COLD static void sxvki_hunt_break_promise(sxvki_defrag* d, sxvki_hunt* hunt) {
    d->promised -= hunt->is_promised ? hunt->size : 0;
    hunt->is_promised = 0;
}

SXVKI_COLD static VkResult sxvki_defrag_freeze(sxvki_defrag* d) {
    sxvki_victim* victim = &d->current->victim;
    int is_done = 1;
    sxvki_lock_take(&victim->domain->lock);
    if (victim->block != NULL && victim->state == SXVKI_VICTIM_FREEZES) {
        is_done = sxvki_victim_freeze(victim);
    }
    sxvki_lock_drop(&victim->domain->lock);
    if (is_done) {
        sxvki_defrag_delay(d);
        d->phase = d->is_single ? SXVKI_PHASE_NEXT : SXVKI_PHASE_CHOOSE;
    }
    return SXVKI_DEFRAG_MORE;
}

/*  The current one is over. */
SXVKI_COLD static void sxvki_defrag_drop_hunt(sxvki_defrag* d) {
    sxvki_hunt* hunt = d->current;
    sxvki_hunt_break_promise(d, hunt);
    d->current = NULL;
    d->hunts--;
    if (hunt->victim.freed != 0) {
        d->blocks_freed++;
        d->bytes_freed += hunt->victim.freed;
        d->only_block = d->only_block != SXVKI_NONE ? SXVKI_BLOCK_GONE : SXVKI_NONE;
    }
    sxvki_host_free(&d->allocator->device.host, hunt);
}

/*  Work on a victim: plan it, unless the run is stopped, or finish it, unless it has ended already.
    */
SXVKI_COLD static void sxvki_defrag_resume(sxvki_defrag* d, sxvki_hunt* hunt) {
    sxvki_victim* victim = &hunt->victim;
    d->current = hunt;
    d->phase = SXVKI_PHASE_THAW;
    d->unplaced_size = 0;
    d->level = 0;
    d->slot = 0;
    hunt->is_planned |= d->is_last;
    sxvki_lock_take(&victim->domain->lock);
    if (sxvki_victim_is_frozen(victim)) {
        sxvki_frozen_rewind(&victim->frozen, victim->block->first);
        d->phase = hunt->is_planned ? SXVKI_PHASE_FINISH : SXVKI_PHASE_COLLECT;
        hunt->live = hunt->is_planned ? hunt->live : 0;
    }
    sxvki_lock_drop(&victim->domain->lock);
}

/*  What to do next: finish what was moved, plan a victim in which little lives, choose other ones.
    Once all is planned there is nothing to do until moves end. */
SXVKI_COLD static VkResult sxvki_defrag_choose_next(sxvki_defrag* d) {
    sxvki_hunt* hunt = sxvki_defrag_pop(d);
    if (hunt != NULL) {
        sxvki_defrag_resume(d, hunt);
    } else if (d->is_last) {
        d->phase = d->hunts != 0 ? SXVKI_PHASE_NEXT : SXVKI_PHASE_DONE;
        return SXVKI_DEFRAG_DONE;
    } else if (!d->is_searched) {
        d->phase = SXVKI_PHASE_CHOOSE;
    } else if (d->waits && d->hunts != 0) {
        return SXVKI_DEFRAG_DONE;
    } else {
        d->is_last = !sxvki_defrag_next_group(d);
        d->phase = d->is_last ? SXVKI_PHASE_NEXT : SXVKI_PHASE_ENTER;
    }
    return SXVKI_DEFRAG_MORE;
}

/* --- a queue of moves --- */

/*  Room for so many more moves, no more than a part has. Returns 0: no host memory. */
SXVKI_COLD static int sxvki_queue_reserve(sxvki_queue* queue, const sxvki_host* host,
                                          uint32_t count) {
    sxvki_queue_part* part;
    if (queue->last != NULL &&
        (queue->last->next != NULL || SXVKI_QUEUE_PART - queue->end >= count)) {
        return 1;
    }
    part = (sxvki_queue_part*)sxvki_host_alloc(host, sizeof *part, 64);
    if (part == NULL) {
        return 0;
    }
    part->next = NULL;
    if (queue->last != NULL) {
        queue->last->next = part;
    } else {
        queue->first = part;
        queue->last = part;
    }
    return 1;
}

/*  Where the next move goes, which has room. It stays there until it is taken out. */
static sxvki_move* sxvki_queue_place(sxvki_queue* queue) {
    if (queue->end == SXVKI_QUEUE_PART) {
        queue->last = queue->last->next;
        queue->end = 0;
    }
    return &queue->last->moves[queue->end];
}

static void sxvki_queue_add(sxvki_queue* queue) {
    queue->end++;
    queue->count++;
}

/*  The first move, of a plan that has one. */
static sxvki_move* sxvki_queue_first(const sxvki_queue* queue) {
    return &queue->first->moves[queue->begin];
}

static void sxvki_queue_take(sxvki_queue* queue, const sxvki_host* host, sxvki_move* move) {
    sxvki_queue_part* part = queue->first;
    *move = part->moves[queue->begin++];
    if (--queue->count == 0) {
        queue->begin = 0;
        queue->end = 0;
        queue->first = queue->last;
    } else if (queue->begin == SXVKI_QUEUE_PART) {
        queue->begin = 0;
        queue->first = part->next;
    }
    if (part != queue->first) {
        sxvki_host_free(host, part);
    }
}

/*  It is empty. */
SXVKI_COLD static void sxvki_queue_shutdown(sxvki_queue* queue, const sxvki_host* host) {
    while (queue->first != NULL) {
        sxvki_queue_part* part = queue->first;
        queue->first = part->next;
        sxvki_host_free(host, part);
    }
    queue->last = NULL;
}

/* --- planning a victim --- */

/*  The alignment that a range may have asked for. */
static uint64_t sxvki_defrag_alignment(const struct SxvkPool_T* pool, uint64_t offset) {
    uint64_t widest = sxvki_load64_relaxed(&pool->widest);
    uint64_t low = offset & (0 - offset);
    return offset == 0 || low > widest ? widest : low;
}

/*  Is it one of those that this run moves? */
static int sxvki_defrag_suits(sxvki_defrag* d, SxvkAllocation allocation) {
    sxvki_movables* movables = &d->allocator->movables;
    return sxvki_load32_relaxed(&movables->count) == 0
               ? !d->by_library
               : sxvki_movable_suits(movables, allocation, d->by_library, &d->waits);
}

/*  A move that is planned has no target yet. */
SXVKI_COLD static void sxvki_defrag_await(sxvki_defrag* d, sxvki_move* move) {
    uint32_t size = sxvki_high_bit(move->size);
    sxvki_move_list* list = &d->unplaced[size];
    if (list->first == NULL) {
        list->first = move;
    } else {
        list->last->next = move;
    }
    list->last = move;
    d->unplaced_size += sxvki_align_up(move->size, move->alignment);
    d->level = size > d->level ? size : d->level;
}

/*  Plan for an allocation. Returns 0 where it cannot be moved. Caller holds the lock of the
    victim's domain, and there is room in the plan. */
SXVKI_COLD static int sxvki_defrag_add(sxvki_defrag* d, uint32_t index, const sxvki_record* host) {
    const sxvki_device* device = &d->allocator->device;
    uint32_t generation = sxvki_load32(sxvki_generation_of(&device->records, index));
    uint32_t* word = sxvki_state_of(device, index);
    uint32_t state = sxvki_load32(word);
    sxvki_move* move = sxvki_queue_place(&d->plan);
    if ((generation & (SXVKI_GENERATION_CLAIMED | 1)) != 1) {
        return 1; /* it goes anyway */
    }
    memset(move, 0, sizeof *move);
    if (host != NULL) {
        move->size = sxvki_record_size(host);
        move->alignment = sxvki_defrag_alignment(d->pool, sxvki_record_offset(host));
        move->tail =
            (uint32_t)((move->size << SXVKI_GRANULE_SHIFT) - sxvki_look(device, index).size);
    } else {
        const sxvki_slab* slab = sxvki_slab_of(&device->records, index);
        sxvki_kind kind = (sxvki_kind)(state >> SXVKI_STATE_KIND_SHIFT & 7);
        VkDeviceSize bytes = sxvki_slot_bytes(slab, index % 64);
        int is_split;
        VkDeviceSize size = sxvki_align_up(bytes, sxvki_pool_unit(d->pool, kind, &is_split));
        move->size = size >> SXVKI_GRANULE_SHIFT;
        move->alignment = slab->slot_size & (~slab->slot_size + 1);
        move->tail = (uint32_t)(size - bytes);
    }
    move->source = sxvki_handle_make(generation, index);
    if ((state & d->keep) != 0 || move->size > d->max_size ||
        !sxvki_defrag_suits(d, move->source)) {
        d->waits |= (state & SXVKI_STATE_TARGET) != 0;
        return 0;
    }
    move->hunt = d->current;
    move->state = state & (7u << SXVKI_STATE_KIND_SHIFT | 0xFFu << SXVKI_STATE_CLASS_SHIFT);
    sxvki_state_set(word, SXVKI_STATE_PLANNED);
    d->current->live += move->size; /* exact by now */
    sxvki_queue_add(&d->plan);
    sxvki_defrag_await(d, move);
    return 1;
}

#define SXVKI_SLAB_PORTION 16u /* slots */

/*  The same for what lives in a range: itself, the slot that it has taken in, or some of a slab:
    the next time come the ones from `slot` on, unless that is 0. */
SXVKI_COLD static int sxvki_defrag_add_range(sxvki_defrag* d, uint32_t index) {
    const sxvki_records* records = &d->allocator->device.records;
    const sxvki_record* r = sxvki_record_at(records, index);
    uint32_t state = sxvki_record_state(r);
    const sxvki_slab* slab;
    uint32_t i = d->slot, last = i + SXVKI_SLAB_PORTION;
    d->slot = 0;
    if (!sxvki_record_is_live(r)) {
        return 1;
    }
    if ((state & SXVKI_STATE_SLAB) == 0) {
        return sxvki_defrag_add(d, state & SXVKI_STATE_HOST ? r->link_a : index, r);
    }
    slab = sxvki_slab_at(records, r->link_a);
    for (; i < slab->slot_count && i != last; i++) {
        uint32_t slot = sxvki_load32(&slab->slots[i].state);
        if ((slot & SXVKI_STATE_AWAY) == 0) {
            if (!sxvki_defrag_add(d, sxvki_slot_index(r->link_a, i), NULL)) {
                return 0;
            }
        } else if (slot & SXVKI_STATE_LEAVES) {
            d->waits = 1; /* it was a victim before, and the device still copies from there */
            return 0;
        }
    }
    d->slot = i == slab->slot_count ? 0 : i;
    return 1;
}

/*  Plan for some of what lives in the victim. With entries that are to be looked up each takes up
    to 1 us. */
SXVKI_COLD static VkResult sxvki_defrag_collect(sxvki_defrag* d) {
    sxvki_victim* victim = &d->current->victim;
    uint32_t most = d->plan.count + SXVKI_DEFRAG_PORTION;
    uint32_t step;
    if (!sxvki_queue_reserve(&d->plan, &d->allocator->device.host,
                             SXVKI_DEFRAG_PORTION + SXVKI_SLAB_PORTION)) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    sxvki_lock_take(&victim->domain->lock);
    for (step = 0; step < SXVKI_VICTIM_PORTION && d->plan.count < most; step += 1 + d->slot) {
        uint32_t index = victim->frozen.cursor;
        if (!sxvki_victim_is_frozen(victim)) {
            d->phase = SXVKI_PHASE_UNDO; /* gone, or revived */
            break;
        }
        if (index == SXVKI_NONE) {
            int is_worth_it = sxvki_live_share(d->current->live, d->current->size) < d->price;
            d->phase = is_worth_it ? SXVKI_PHASE_PLACE : SXVKI_PHASE_UNDO;
            break;
        }
        if (!sxvki_defrag_add_range(d, index)) {
            d->phase = SXVKI_PHASE_UNDO;
            break;
        }
        if (d->slot == 0) {
            (void)sxvki_frozen_next(&victim->domain->bins, &victim->frozen);
        }
    }
    sxvki_lock_drop(&victim->domain->lock);
    return SXVKI_DEFRAG_MORE;
}

/*  Take a range for a move in a domain. */
SXVKI_COLD static VkResult sxvki_defrag_take(const sxvki_defrag* d, sxvki_move* move,
                                             sxvki_domain* domain) {
    const sxvki_device* device = domain->pool->device;
    const sxvki_victim* victim = &d->current->victim;
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    sxvki_place place;
    uint32_t index;
    memset(&place, 0, sizeof place);
    place.size = move->size;
    place.tail = move->tail;
    place.state = move->state | SXVKI_STATE_TARGET;
    sxvki_lock_take(&domain->lock);
    if (domain->listed_count == 0) {
        index = SXVKI_NONE;
    } else if (domain == victim->domain && !sxvki_victim_is_frozen(victim)) {
        index = SXVKI_NONE; /* revived: nothing should move within it */
        result = VK_ERROR_UNKNOWN;
    } else if (!sxvki_bins_prepare(&domain->bins)) {
        index = SXVKI_NONE;
        result = VK_ERROR_OUT_OF_HOST_MEMORY;
    } else {
        index =
            sxvki_bins_take(&domain->bins, move->size, move->alignment, SXVKI_STRATEGY_MIN_MEMORY);
    }
    if (index != SXVKI_NONE) {
        const sxvki_record* r = sxvki_record_at(domain->bins.records, index);
        const sxvki_block* block = sxvki_block_at(device, sxvki_record_block(r));
        int was_empty = block->live_count == 0 && block->in.stock.tried != d->serial;
        SxvkAllocation target = sxvki_domain_account(domain, index, &place);
        domain->take_count--; /* nothing was allocated */
        if (was_empty) {      /* it had better go; but one was made for this */
            sxvki_domain_give(domain, index, NULL);
        } else {
            move->target = target;
            move->domain = domain;
            sxvki_add64(&domain->pool->device->doubles, 1);
            result = VK_SUCCESS;
        }
    }
    sxvki_lock_drop(&domain->lock);
    return result;
}

/*  A target for a move, in the victim's own domain first. *takes counts the locks. */
SXVKI_COLD static VkResult sxvki_defrag_place(const sxvki_defrag* d, sxvki_move* move,
                                              uint32_t* takes) {
    sxvki_domain* own = d->current->victim.domain;
    VkResult result = sxvki_defrag_take(d, move, own);
    uint32_t i;
    ++*takes;
    for (i = 0; i < sxvki_pool_domain_count(d->pool) && result == VK_ERROR_OUT_OF_DEVICE_MEMORY;
         i++) {
        sxvki_domain* domain = sxvki_defrag_domain(d, i);
        if (domain != NULL && domain != own) {
            result = sxvki_defrag_take(d, move, domain);
            ++*takes;
        }
    }
    return result;
}

/*  Targets for some moves: those of one power of two after the other, so that the large ones find
    room. */
SXVKI_COLD static VkResult sxvki_defrag_place_some(sxvki_defrag* d) {
    uint32_t takes = 0;
    while (takes < SXVKI_DEFRAG_PORTION) {
        sxvki_move_list* list = &d->unplaced[d->level];
        sxvki_move* move = list->first;
        VkResult result;
        if (move == NULL && d->level == 0) {
            d->current->is_planned = 1;
            d->phase = SXVKI_PHASE_HAND_OUT;
            break;
        }
        if (move == NULL) {
            d->level--;
            continue;
        }
        result = sxvki_defrag_place(d, move, &takes);
        if (result == VK_ERROR_OUT_OF_HOST_MEMORY) {
            return result;
        }
        if (result != VK_SUCCESS) {
            d->phase = SXVKI_PHASE_GROW;
            break;
        }
        list->first = move->next;
        d->unplaced_size -= sxvki_align_up(move->size, move->alignment);
    }
    return SXVKI_DEFRAG_MORE;
}

/*  0 where the victim was revived, or is gone. */
SXVKI_COLD static int sxvki_hunt_is_on(const sxvki_hunt* hunt) {
    sxvki_domain* domain = hunt->victim.domain;
    int is_on;
    sxvki_lock_take(&domain->lock);
    is_on = sxvki_victim_is_frozen(&hunt->victim);
    sxvki_lock_drop(&domain->lock);
    return is_on;
}

/*  What has no target yet does not fit anywhere: may it have a block of its own, smaller than the
    victim? Returns its size in bytes, or 0. */
SXVKI_COLD static VkDeviceSize sxvki_defrag_new_size(const sxvki_defrag* d) {
    const struct SxvkPool_T* pool = d->pool;
    const sxvki_hunt* hunt = d->current;
    VkDeviceSize old = hunt->size << SXVKI_GRANULE_SHIFT;
    VkDeviceSize size = d->unplaced_size << SXVKI_GRANULE_SHIFT;
    if (!sxvki_hunt_is_on(hunt) || !d->is_single || d->new_price == 0 || hunt->grown != 0 ||
        pool->block_size != 0) {
        return 0;
    }
    size = sxvki_align_up(size, SXVKI_BLOCK_UNIT);
    size = sxvki_max64(size, sxvki_pool_size_floor(pool));
    return size + old / SXVKI_DEFRAG_GAIN <= old &&
                   (hunt->live << SXVKI_GRANULE_SHIFT) / (old - size) * SXVKI_SHARES < d->new_price
               ? size
               : 0;
}

/*  No room for what is left of a plan: a new block, or the victim is given up. */
SXVKI_COLD static VkResult sxvki_defrag_grow(sxvki_defrag* d) {
    sxvki_device* device = &d->allocator->device;
    sxvki_domain* domain = d->current->victim.domain;
    VkDeviceSize size = sxvki_defrag_new_size(d);
    sxvki_block* block = NULL;
    int is_prepared;
    if (size == 0 || sxvki_pool_make_block(d->pool, size, size, 1, &block) != VK_SUCCESS) {
        d->phase = SXVKI_PHASE_UNDO;
        return SXVKI_DEFRAG_MORE;
    }
    sxvki_lock_take(&domain->lock);
    is_prepared = sxvki_domain_prepare(domain);
    if (is_prepared) {
        domain->block_count++;
        sxvki_domain_adopt(domain, block);
        block->in.stock.tried = d->serial;
    }
    sxvki_lock_drop(&domain->lock);
    if (!is_prepared) {
        sxvki_block_destroy(device, block);
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    d->current->grown = size;
    d->bytes_made += size;
    d->phase = SXVKI_PHASE_PLACE;
    return SXVKI_DEFRAG_MORE;
}

/* --- moving --- */

static void sxvki_state_clear(uint32_t* state, uint32_t bits) {
    uint32_t seen = sxvki_load32(state);
    while (!sxvki_cas32(state, &seen, seen & ~bits)) {
    }
}

/*  The end of a move: who read the state before must notice. */
SXVKI_COLD static void sxvki_state_moved(uint32_t* state) {
    uint32_t seen = sxvki_load32(state);
    while (!sxvki_cas32(state, &seen,
                        (seen & ~(SXVKI_STATE_LOCKED | SXVKI_STATE_PLANNED)) ^ SXVKI_STATE_MOVED)) {
    }
}

/*  Take two locks of domains, of which no other order is ever used. */
SXVKI_COLD static void sxvki_domains_lock(sxvki_domain* a, sxvki_domain* b) {
    sxvki_domain* first = (uintptr_t)a < (uintptr_t)b ? a : b;
    sxvki_lock_take(&first->lock);
    if (a != b) {
        sxvki_lock_take(first == a ? &b->lock : &a->lock);
    }
}

SXVKI_COLD static void sxvki_domains_unlock(sxvki_domain* a, sxvki_domain* b) {
    if (a != b) {
        sxvki_lock_drop(&b->lock);
    }
    sxvki_lock_drop(&a->lock);
}

/*  A range has got another record: who remembers the former one, as the first of the block or where
    a walk goes on, should know. */
SXVKI_COLD static void sxvki_range_settle(const sxvki_device* device, uint32_t index,
                                          uint32_t former) {
    const sxvki_record* r = sxvki_record_at(&device->records, index);
    sxvki_block* block = sxvki_block_at(device, sxvki_record_block(r));
    if (r->prev == SXVKI_NONE) {
        block->first = index;
    }
    if (block->in.stock.victim != NULL && block->in.stock.victim->frozen.cursor == former) {
        block->in.stock.victim->frozen.cursor = index;
    }
}

/*  Let a slot live in a range from now on. The range's handle is over, the slot's is not; from the
    counters of its class the slot goes, because the range is counted. */
SXVKI_COLD static void sxvki_slot_leave(sxvki_domain* domain, uint32_t index, uint32_t host) {
    sxvki_records* records = domain->bins.records;
    sxvki_slab* slab = sxvki_slab_of(records, index);
    sxvki_record* r = sxvki_record_at(records, host);
    uint32_t generation = r->generation & ~SXVKI_GENERATION_CLAIMED;
    slab->slots[index % 64].size = host;
    r->link_a = index;
    sxvki_store32_relaxed(&r->link_b, SXVKI_STATE_HOST);
    sxvki_store32(&r->generation, sxvki_generation_after(generation + 1));
    sxvki_state_set(&slab->slots[index % 64].state, SXVKI_STATE_AWAY | SXVKI_STATE_LEAVES);
    sxvki_add64(&domain->given[slab->class_index],
                sxvki_slot_bytes(slab, index % 64) << SXVKI_SLOTS_COUNT_BITS | 1);
}

/*  Nobody reads the slot's former place any more. The slot is in use, be it claimed. */
SXVKI_COLD static void sxvki_slot_left(const sxvki_device* device, SxvkAllocation slot) {
    sxvki_state_clear(sxvki_state_of(device, sxvki_handle_index(slot)), SXVKI_STATE_LEAVES);
}

typedef enum sxvki_move_result {
    SXVKI_MOVE_DONE,    /* the source is where the target was; *left is to be given back, if any */
    SXVKI_MOVE_GONE,    /* the source was freed; *left is the target */
    SXVKI_MOVE_MAPPED,  /* it is mapped: nothing has changed */
    SXVKI_MOVE_DIFFERS, /* the same, but the target is not equipped as the source is */
    SXVKI_MOVE_LOST     /* the target was freed, which is not the caller's to do */
} sxvki_move_result;

/*  Both locks are held: what the handle names stays if it is valid, at least until they are
    dropped. *leaves is a block of which a mapping is to be ended then, or null. */
SXVKI_COLD static sxvki_move_result sxvki_move_swap(const sxvki_device* device,
                                                    const sxvki_move* move, uint32_t* left,
                                                    sxvki_block** leaves) {
    uint32_t index = sxvki_handle_index(move->source);
    uint32_t target = sxvki_handle_index(move->target);
    uint32_t* generation = sxvki_generation_of(&device->records, index);
    uint32_t seen = generation != NULL ? sxvki_load32(generation) : 0;
    uint32_t* word;
    uint32_t state;
    if (!sxvki_handle_matches(move->source, seen)) {
        return SXVKI_MOVE_GONE; /* for long, if there is no such index any more */
    }
    word = sxvki_state_of(device, index);
    state = sxvki_load32(word);
    do {
        if (state & SXVKI_STATE_MAPS_MASK) {
            return SXVKI_MOVE_MAPPED;
        }
        if (((state ^ move->state) & SXVKI_STATE_MAPPINGS) != 0) {
            return SXVKI_MOVE_DIFFERS;
        }
    } while (!sxvki_cas32(word, &state, state | SXVKI_STATE_LOCKED));
    if (!sxvki_cas32(generation, &seen, seen | SXVKI_GENERATION_CLAIMED)) {
        sxvki_state_clear(word, SXVKI_STATE_LOCKED);
        return SXVKI_MOVE_GONE;
    }
    if ((index & SXVKI_HANDLE_SLAB_BIT) != 0 && (state & SXVKI_STATE_AWAY) == 0) {
        if (state & SXVKI_STATE_MAPPED) {
            *leaves = sxvki_block_of(device, index); /* the host's mapping is the slot's then */
        }
        sxvki_slot_leave(move->hunt->victim.domain, index, target);
        *left = SXVKI_NONE;
    } else {
        uint32_t range = sxvki_range_of(device, index);
        sxvki_ranges_exchange(&device->records, range, target);
        sxvki_range_settle(device, range, target);
        sxvki_range_settle(device, target, range);
    }
    sxvki_store32(generation, seen);
    sxvki_state_moved(word);
    return SXVKI_MOVE_DONE;
}

/*  Let the target be mapped, and have a margin, as its source. */
SXVKI_COLD static VkResult sxvki_move_equip(sxvki_device* device, sxvki_move* move) {
    static const uint32_t bits[] = {SXVKI_STATE_MAPPED, SXVKI_STATE_HELD};
    uint32_t wanted = sxvki_load32(sxvki_state_of(device, sxvki_handle_index(move->source)));
    uint32_t target = sxvki_handle_index(move->target);
    uint32_t i;
    for (i = 0; i < 2; i++) {
        VkResult result = VK_SUCCESS;
        if ((wanted & bits[i]) != 0 && (move->state & bits[i]) == 0) {
            result = sxvki_equip_mapping(device, target, bits[i], 0);
        }
        if (result != VK_SUCCESS) {
            return result;
        }
        move->state |= wanted & bits[i];
    }
    return VK_SUCCESS;
}

/*  One try at what follows; the target is claimed and belongs to nobody else. */
SXVKI_COLD static sxvki_move_result sxvki_move_try(sxvki_device* device, const sxvki_move* move,
                                                   uint32_t* left) {
    sxvki_domain* from = move->hunt->victim.domain;
    sxvki_block* leaves = NULL;
    sxvki_move_result result;
    *left = sxvki_handle_index(move->target);
    sxvki_domains_lock(from, move->domain);
    result = sxvki_move_swap(device, move, left, &leaves);
    sxvki_domains_unlock(from, move->domain);
    if (leaves != NULL) {
        sxvki_block_unmap(device, leaves);
    }
    return result;
}

/*  A target, or a former place, goes back. */
static void sxvki_doubles_drop(sxvki_device* device, int count) {
    sxvki_add64(&device->doubles, 0 - (uint64_t)count);
}

/*  What was copied takes effect. What is left of the target is claimed, and the caller's to give
    back, see sxvki_give_later; SXVKI_NONE where there is nothing. An allocation that was planned
    before it was mapped for ever, because the call that makes it was not over, gets its target
    equipped now; should that fail it counts as mapped. */
SXVKI_COLD static sxvki_move_result sxvki_defrag_commit(sxvki_defrag* d, sxvki_move* move,
                                                        uint32_t* left) {
    sxvki_device* device = &d->allocator->device;
    sxvki_move_result result;
    *left = SXVKI_NONE;
    if (!sxvki_claim(device, move->target)) {
        return SXVKI_MOVE_LOST;
    }
    do {
        result = sxvki_move_try(device, move, left);
    } while (result == SXVKI_MOVE_DIFFERS && sxvki_move_equip(device, move) == VK_SUCCESS);
    if (result == SXVKI_MOVE_MAPPED || result == SXVKI_MOVE_DIFFERS) {
        uint32_t* generation = &sxvki_record_at(&device->records, *left)->generation;
        sxvki_store32(generation, *generation & ~SXVKI_GENERATION_CLAIMED);
        *left = SXVKI_NONE;
        return SXVKI_MOVE_MAPPED;
    }
    sxvki_hunt_close(d, move->hunt);
    if (result == SXVKI_MOVE_DONE) {
        sxvki_doubles_drop(device, *left == SXVKI_NONE);
        d->moves++;
        d->bytes_moved += move->size << SXVKI_GRANULE_SHIFT;
        sxvki_add64(&device->moved_bytes, move->size << SXVKI_GRANULE_SHIFT);
    }
    return result;
}

/*  The allocation stays where it is, if it is there yet. */
SXVKI_COLD static void sxvki_move_forget(sxvki_defrag* d, const sxvki_move* move) {
    sxvki_device* device = &d->allocator->device;
    sxvki_domain* domain = move->hunt->victim.domain;
    uint32_t index = sxvki_handle_index(move->source);
    sxvki_lock_take(&domain->lock);
    if (sxvki_handle_is_valid(&device->records, move->source)) {
        sxvki_state_clear(sxvki_state_of(device, index), SXVKI_STATE_PLANNED);
    }
    sxvki_lock_drop(&domain->lock);
    if (move->target != VK_NULL_HANDLE) {
        (void)sxvki_free(d->allocator, move->target, NULL);
        sxvki_doubles_drop(device, 1);
    }
}

SXVKI_COLD static void sxvki_defrag_cancel(sxvki_defrag* d, const sxvki_move* move) {
    sxvki_hunt_break_promise(d, move->hunt);
    move->hunt->is_refused = 1;
    sxvki_move_forget(d, move);
    sxvki_hunt_close(d, move->hunt);
}

/*  The victim is given up; there may be moves under way yet. */
SXVKI_COLD static void sxvki_defrag_give_up(sxvki_defrag* d) {
    d->phase = SXVKI_PHASE_THAW;
    if (d->current->open != 0) {
        d->phase = SXVKI_PHASE_NEXT;
        d->current = NULL;
    }
}

/*  Undo some of what is left of a plan, and give the victim up. */
SXVKI_COLD static VkResult sxvki_defrag_undo(sxvki_defrag* d) {
    uint32_t step;
    for (step = 0; step < SXVKI_DEFRAG_PORTION && d->plan.count != 0; step++) {
        sxvki_move move;
        sxvki_queue_take(&d->plan, &d->allocator->device.host, &move);
        sxvki_move_forget(d, &move);
    }
    if (d->plan.count == 0) {
        memset(d->unplaced, 0, sizeof d->unplaced);
        d->current->is_planned = 1;
        d->current->is_refused = 1;
        d->phase = SXVKI_PHASE_SHRINK;
    }
    return SXVKI_DEFRAG_MORE;
}

/*  A new block was made for nothing: give it back, with what else is empty, one at a time. */
SXVKI_COLD static VkResult sxvki_defrag_shrink(sxvki_defrag* d) {
    sxvki_hunt* hunt = d->current;
    sxvki_block* chain = NULL;
    VkDeviceSize freed, unmade;
    uint32_t one = 1;
    if (hunt->grown != 0) {
        sxvki_domain_detach(hunt->victim.domain, 0, &one, &chain);
        freed = sxvki_blocks_destroy(&d->allocator->device, chain);
        unmade = sxvki_min64(freed, hunt->grown);
        hunt->grown -= unmade;
        d->bytes_made -= unmade;
        d->bytes_freed += freed - unmade;
    }
    if (one != 0) {
        sxvki_defrag_give_up(d);
    }
    return SXVKI_DEFRAG_MORE;
}

/*  Give the range of a slab back of which all slots are free, or away and no longer read. */
SXVKI_COLD static void sxvki_slab_hollow(sxvki_domain* domain, sxvki_slab* slab,
                                         sxvki_block** chain) {
    uint64_t word = sxvki_load64(&slab->word);
    uint32_t i;
    for (i = 0; i < slab->slot_count; i++) {
        uint32_t slot = sxvki_load32(&slab->slots[i].state);
        if ((word >> i & 1) == 0 &&
            (slot & (SXVKI_STATE_AWAY | SXVKI_STATE_LEAVES)) != SXVKI_STATE_AWAY) {
            return;
        }
    }
    sxvki_domain_give_slab(domain, slab, chain);
    slab->record = SXVKI_NONE;
    domain->hollow_count++;
}

/*  All of a victim was moved, or is free: now its slabs can go, and the block with them. */
SXVKI_COLD static VkResult sxvki_defrag_finish(sxvki_defrag* d) {
    sxvki_victim* victim = &d->current->victim;
    sxvki_domain* domain = victim->domain;
    sxvki_block* chain = NULL;
    uint32_t step;
    sxvki_lock_take(&domain->lock);
    for (step = 0; step < SXVKI_VICTIM_PORTION && d->phase == SXVKI_PHASE_FINISH; step++) {
        uint32_t index = SXVKI_NONE;
        if (sxvki_victim_is_frozen(victim)) {
            index = sxvki_frozen_next(&domain->bins, &victim->frozen);
        }
        if (index != SXVKI_NONE) {
            const sxvki_record* r = sxvki_record_at(domain->bins.records, index);
            if (sxvki_record_is_live(r) && (sxvki_record_state(r) & SXVKI_STATE_SLAB) != 0) {
                sxvki_slab* slab = sxvki_slab_at(domain->bins.records, r->link_a);
                step += slab->slot_count / 4; /* its slots are in so many cache lines */
                sxvki_slab_hollow(domain, slab, &chain);
            }
            continue;
        }
        if (victim->block != NULL && victim->block->live_count == 0 &&
            domain->listed_count > domain->pool->min_block_count) {
            sxvki_block* block = victim->block;
            sxvki_domain_forget(domain, block); /* emptied by who could not free it */
            block->next = chain == NULL ? SXVKI_NONE : chain->id;
            chain = block;
        }
        d->phase = SXVKI_PHASE_THAW;
    }
    sxvki_lock_drop(&domain->lock);
    sxvki_blocks_destroy(&d->allocator->device, chain);
    return SXVKI_DEFRAG_MORE;
}

/*  The end of a victim, whichever way. */
SXVKI_COLD static VkResult sxvki_defrag_thaw(sxvki_defrag* d) {
    sxvki_victim* victim = &d->current->victim;
    int is_done;
    sxvki_lock_take(&victim->domain->lock);
    is_done = victim->block == NULL || sxvki_victim_thaw(victim);
    sxvki_lock_drop(&victim->domain->lock);
    if (is_done) {
        sxvki_defrag_drop_hunt(d);
        d->phase = SXVKI_PHASE_NEXT;
    }
    return SXVKI_DEFRAG_MORE;
}

/*  The moves of the plan are there for sxvki_defrag_next, unless one was refused, or the victim was
    revived. */
SXVKI_COLD static VkResult sxvki_defrag_offer(sxvki_defrag* d) {
    sxvki_hunt* hunt = d->current;
    if (d->plan.count == 0 && hunt->open == 0) {
        sxvki_defrag_resume(d, hunt);
    } else if (d->plan.count == 0) {
        sxvki_hunt_promise(d, hunt);
        d->current = NULL;
        d->phase = SXVKI_PHASE_NEXT;
    } else if (hunt->is_refused || !sxvki_hunt_is_on(hunt)) {
        d->phase = SXVKI_PHASE_UNDO;
    } else {
        return SXVKI_DEFRAG_READY;
    }
    return SXVKI_DEFRAG_MORE;
}

/*  See the head of this section. DONE while moves are under way says that there is nothing to do
    until they end. */
SXVKI_COLD static VkResult sxvki_defrag_step(sxvki_defrag* d) {
    switch (d->phase) {
    case SXVKI_PHASE_ENTER: return sxvki_defrag_enter(d);
    case SXVKI_PHASE_SWEEP: return sxvki_defrag_sweep(d);
    case SXVKI_PHASE_SURVEY: return sxvki_defrag_survey(d);
    case SXVKI_PHASE_CHOOSE: return sxvki_defrag_choose(d);
    case SXVKI_PHASE_FREEZE: return sxvki_defrag_freeze(d);
    case SXVKI_PHASE_NEXT: return sxvki_defrag_choose_next(d);
    case SXVKI_PHASE_COLLECT: return sxvki_defrag_collect(d);
    case SXVKI_PHASE_PLACE: return sxvki_defrag_place_some(d);
    case SXVKI_PHASE_GROW: return sxvki_defrag_grow(d);
    case SXVKI_PHASE_HAND_OUT: return sxvki_defrag_offer(d);
    case SXVKI_PHASE_UNDO: return sxvki_defrag_undo(d);
    case SXVKI_PHASE_SHRINK: return sxvki_defrag_shrink(d);
    case SXVKI_PHASE_FINISH: return sxvki_defrag_finish(d);
    case SXVKI_PHASE_THAW: return sxvki_defrag_thaw(d);
    case SXVKI_PHASE_DONE: break;
    }
    return SXVKI_DEFRAG_DONE;
}

/*  The next move, where a step has just said READY; its target is mapped where the source is for
    ever. VK_NOT_READY: not this time, step on. Where there is no host memory the same comes next
    time. */
SXVKI_COLD static VkResult sxvki_defrag_next(sxvki_defrag* d, sxvki_move* move,
                                             const char* function) {
    sxvki_device* device = &d->allocator->device;
    int is_valid = sxvki_allocation_is_valid(device, sxvki_queue_first(&d->plan)->source);
    VkResult result = is_valid ? sxvki_move_equip(device, sxvki_queue_first(&d->plan)) : VK_SUCCESS;
    if (result == VK_ERROR_OUT_OF_HOST_MEMORY) {
        return result;
    }
    sxvki_queue_take(&d->plan, &device->host, move);
    if (is_valid && result == VK_SUCCESS) {
        move->hunt->open++;
        return VK_SUCCESS;
    }
    if (is_valid) {
        sxvki_report(&device->reporter, SXVK_MESSAGE_MOVE_FAILED, function, NULL);
        move->hunt->is_refused = 1;
    }
    sxvki_move_forget(d, move); /* else it was freed meanwhile */
    return VK_NOT_READY;
}

/*  Plan no more: from here on the steps undo what was not handed out, and finish what was moved;
    victims with moves under way stay until these end. O(1). */
SXVKI_COLD static void sxvki_defrag_stop(sxvki_defrag* d) {
    switch (d->phase) {
    case SXVKI_PHASE_COLLECT:
    case SXVKI_PHASE_PLACE:
    case SXVKI_PHASE_GROW: d->phase = SXVKI_PHASE_UNDO; break;
    case SXVKI_PHASE_HAND_OUT:
        d->phase = d->plan.count != 0 ? SXVKI_PHASE_UNDO : SXVKI_PHASE_HAND_OUT;
        break;
    case SXVKI_PHASE_FREEZE:
        sxvki_defrag_delay(d);
        d->phase = SXVKI_PHASE_NEXT;
        break;
    case SXVKI_PHASE_ENTER:
    case SXVKI_PHASE_SWEEP:
    case SXVKI_PHASE_SURVEY:
    case SXVKI_PHASE_CHOOSE: d->phase = SXVKI_PHASE_NEXT; break;
    default: break;
    }
    sxvki_defrag_leave(d);
    d->is_last = 1;
}

/*  The same, and take these steps. */
SXVKI_COLD static void sxvki_defrag_wind_up(sxvki_defrag* d) {
    sxvki_defrag_stop(d);
    while (sxvki_defrag_step(d) == SXVKI_DEFRAG_MORE) {
    }
}

/*  End the run; what is open must have been committed or cancelled. */
SXVKI_COLD static void sxvki_defrag_shutdown(sxvki_defrag* d) {
    const sxvki_host* host = &d->allocator->device.host;
    sxvki_defrag_wind_up(d);
    sxvki_queue_shutdown(&d->plan, host);
    sxvki_host_free(host, d->spare);
    d->spare = NULL;
    d->phase = SXVKI_PHASE_DONE;
}

SXVKI_COLD static void sxvki_defrag_get_stats(const sxvki_defrag* d,
                                              SxvkDefragmentationStats* stats) {
    stats->bytesMoved = d->bytes_moved;
    stats->bytesFreed = d->bytes_freed - sxvki_min64(d->bytes_freed, d->bytes_made);
    stats->allocationsMoved = d->moves;
    stats->deviceMemoryBlocksFreed = d->blocks_freed;
}

/* --- passes, as VMA has them --- */

/*  Of a clock that does not go back, where there is one. */
static uint64_t sxvki_microseconds(void) {
#if defined(_WIN32) && !SX_VKALLOC_NO_THREADS
    LARGE_INTEGER ticks, frequency;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&frequency);
    return (uint64_t)ticks.QuadPart / (uint64_t)frequency.QuadPart * 1000000u +
           (uint64_t)ticks.QuadPart % (uint64_t)frequency.QuadPart * 1000000u /
               (uint64_t)frequency.QuadPart;
#elif defined(CLOCK_MONOTONIC)
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
#elif defined(TIME_UTC)
    struct timespec now;
    (void)timespec_get(&now, TIME_UTC);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
#else
    return (uint64_t)clock() * (1000000u / CLOCKS_PER_SEC);
#endif
}

struct SxvkDefragmentationContext_T {
    sxvki_defrag run;
    uint64_t max_bytes;
    uint32_t max_moves;
    uint32_t max_microseconds; /* 0: no limit */
    PFN_sxvkCheckDefragmentationBreakFunction stops;
    void* stops_data;
    sxvki_move* moves; /* of the pass, and what the user sees of them */
    SxvkDefragmentationMove* shown;
    uint32_t count;
    uint32_t capacity;
    int in_pass;
    int is_stopped;       /* its pool has gone */
    int is_ended;         /* by its user; it goes when the last flight has landed, see >>moves */
    uint32_t flights;     /* moves of the library's that the device has not done yet */
    uint32_t told_blocks; /* what of the run is in SxvkMoveStatistics */
    uint64_t told_bytes;
    SxvkDefragmentationContext prev; /* in the allocator's list */
    SxvkDefragmentationContext next;
};

/*  The prices of a flag. */
SXVKI_COLD static void sxvki_defrag_set_flags(sxvki_defrag* d, SxvkDefragmentationFlags flags) {
    d->price = SXVKI_PRICE_BALANCED;
    d->new_price = SXVKI_NEW_PRICE_BALANCED;
    if (flags & SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_FAST_BIT) {
        d->price = SXVKI_PRICE_FAST;
        d->new_price = 0;
    } else if (flags & SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_FULL_BIT) {
        d->price = SXVKI_PRICE_FULL;
        d->new_price = SXVKI_NEW_PRICE_FULL;
    } else if (flags & SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT) {
        d->price = SXVKI_PRICE_ALL;
        d->new_price = SXVKI_NEW_PRICE_ALL;
    }
    if ((flags & SXVK_DEFRAGMENTATION_FLAG_MOVE_MAPPED_BIT) == 0) {
        d->keep |= SXVKI_STATE_MAPPED;
    }
    d->by_library = (flags & SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT) != 0;
}

SXVKI_COLD static VkResult sxvki_begin_defragmentation(SxvkAllocator allocator,
                                                       const SxvkDefragmentationInfo* info,
                                                       SxvkDefragmentationContext* begun) {
    SxvkDefragmentationContext context = (SxvkDefragmentationContext)sxvki_host_alloc_zeroed(
        &allocator->device.host, sizeof *context);
    if (context == NULL) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    sxvki_defrag_init(&context->run, allocator, info->pool);
    sxvki_defrag_set_flags(&context->run, info->flags);
    context->max_bytes = info->maxBytesPerPass != 0 ? info->maxBytesPerPass : UINT64_MAX;
    context->max_moves =
        info->maxAllocationsPerPass != 0 ? info->maxAllocationsPerPass : UINT32_MAX;
    context->run.max_size = context->max_bytes >> SXVKI_GRANULE_SHIFT;
    context->max_microseconds = info->maxMicrosecondsPerPass;
    context->stops = info->pfnBreakCallback;
    context->stops_data = info->pBreakCallbackUserData;
    sxvki_lock_take(&allocator->pools_lock);
    context->next = allocator->first_context;
    if (context->next != NULL) {
        context->next->prev = context;
    }
    allocator->first_context = context;
    sxvki_lock_drop(&allocator->pools_lock);
    *begun = context;
    return VK_SUCCESS;
}

/*  Room for one more move in a pass. Returns 0: no host memory. */
SXVKI_COLD static int sxvki_pass_reserve(SxvkDefragmentationContext context) {
    const sxvki_host* host = &context->run.allocator->device.host;
    uint32_t capacity = context->capacity * 2 + 32;
    sxvki_move* moves;
    SxvkDefragmentationMove* shown;
    if (context->count != context->capacity) {
        return 1;
    }
    moves = (sxvki_move*)sxvki_host_alloc(host, capacity * sizeof *moves, 64);
    shown = (SxvkDefragmentationMove*)sxvki_host_alloc(host, capacity * sizeof *shown, 64);
    if (moves == NULL || shown == NULL) {
        sxvki_host_free(host, moves);
        sxvki_host_free(host, shown);
        return 0;
    }
    if (context->count != 0) {
        memcpy(moves, context->moves, context->count * sizeof *moves);
        memcpy(shown, context->shown, context->count * sizeof *shown);
    }
    sxvki_host_free(host, context->moves);
    sxvki_host_free(host, context->shown);
    context->moves = moves;
    context->shown = shown;
    context->capacity = capacity;
    return 1;
}

/*  A step has said READY: add its move, unless the pass is full. */
SXVKI_COLD static VkResult sxvki_pass_add(SxvkDefragmentationContext context, uint64_t* bytes) {
    sxvki_defrag* d = &context->run;
    uint64_t size = sxvki_queue_first(&d->plan)->size << SXVKI_GRANULE_SHIFT;
    SxvkDefragmentationMove* shown;
    VkResult result;
    if (size > context->max_bytes - *bytes || context->count == context->max_moves) {
        return VK_INCOMPLETE;
    }
    if (!sxvki_pass_reserve(context)) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    result = sxvki_defrag_next(d, &context->moves[context->count], "sxvkBeginDefragmentationPass");
    if (result != VK_SUCCESS) {
        return result < 0 ? result : VK_SUCCESS;
    }
    shown = &context->shown[context->count];
    shown->operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_COPY;
    shown->srcAllocation = context->moves[context->count].source;
    shown->dstTmpAllocation = context->moves[context->count].target;
    context->count++;
    *bytes += size;
    return VK_SUCCESS;
}

/*  Is the time of a pass up, or does the user want it to end? */
static int sxvki_pass_is_over(const struct SxvkDefragmentationContext_T* context, uint64_t began) {
    uint64_t most = context->max_microseconds;
    return (most != 0 && sxvki_microseconds() - began >= most) ||
           (context->stops != NULL && context->stops(context->stops_data));
}

/*  An error ends a pass that has moves as the break callback does: the next one meets it again. */
SXVKI_COLD static VkResult sxvki_begin_pass(SxvkDefragmentationContext context,
                                            SxvkDefragmentationPassMoveInfo* info) {
    sxvki_defrag* d = &context->run;
    uint64_t began = context->max_microseconds != 0 ? sxvki_microseconds() : 0;
    uint64_t bytes = 0;
    VkResult result;
    sxvki_records_pin(&d->allocator->device.records); /* it looks at what may be free by now */
    do {
        result = sxvki_defrag_step(d);
        if (result == SXVKI_DEFRAG_READY) {
            result = sxvki_pass_add(context, &bytes);
            if (result != VK_SUCCESS) {
                break;
            }
        } else if (result != SXVKI_DEFRAG_MORE) {
            break;
        }
    } while (!sxvki_pass_is_over(context, began));
    sxvki_records_unpin(&d->allocator->device.records);
    if (result < 0 && context->count == 0) {
        return result;
    }
    context->in_pass = context->count != 0 || d->phase != SXVKI_PHASE_DONE;
    info->moveCount = context->count;
    info->pMoves = context->count != 0 ? context->shown : NULL;
    return context->in_pass ? VK_INCOMPLETE : VK_SUCCESS;
}

/*  Do what the user says to one move. Returns 0 where it has to wait. */
SXVKI_COLD static int sxvki_pass_end_move(SxvkDefragmentationContext context, uint32_t i,
                                          sxvki_returns* returns, const char* function) {
    sxvki_defrag* d = &context->run;
    sxvki_device* device = &d->allocator->device;
    sxvki_move* move = &context->moves[i];
    sxvki_move_result result;
    uint32_t left;
    if (context->shown[i].operation == SXVK_DEFRAGMENTATION_MOVE_OPERATION_DESTROY) {
        (void)sxvki_free(d->allocator, move->source, function);
        (void)sxvki_free(d->allocator, move->target, NULL);
        sxvki_doubles_drop(device, 1);
        sxvki_hunt_close(d, move->hunt);
        return 1;
    }
    if (context->shown[i].operation == SXVK_DEFRAGMENTATION_MOVE_OPERATION_IGNORE) {
        sxvki_defrag_cancel(d, move);
        return 1;
    }
    result = sxvki_defrag_commit(d, move, &left);
    if (result == SXVKI_MOVE_LOST) {
        if (sxvki_allocation_is_valid(device, move->source)) {
            sxvki_report(&device->reporter, SXVK_MESSAGE_INVALID_ALLOCATION, function,
                         "pMoves[].dstTmpAllocation");
        }
        sxvki_defrag_cancel(d, move);
    }
    if (left != SXVKI_NONE) {
        sxvki_give_later(device, returns, left, NULL);
        sxvki_doubles_drop(device, 1);
    } else if (result == SXVKI_MOVE_DONE) {
        sxvki_slot_left(device, move->source);
    }
    return result != SXVKI_MOVE_MAPPED;
}

SXVKI_COLD static VkResult sxvki_end_pass(SxvkDefragmentationContext context,
                                          SxvkDefragmentationPassMoveInfo* info,
                                          const char* function) {
    sxvki_returns returns;
    uint32_t i, waiting = 0;
    returns.domain = NULL;
    returns.count = 0;
    sxvki_records_pin(&context->run.allocator->device.records);
    for (i = 0; i < context->count; i++) {
        if (!sxvki_pass_end_move(context, i, &returns, function)) {
            context->moves[waiting] = context->moves[i];
            context->shown[waiting++] = context->shown[i];
        }
    }
    sxvki_returns_flush(&returns);
    sxvki_records_unpin(&context->run.allocator->device.records);
    context->count = waiting;
    info->moveCount = waiting;
    info->pMoves = waiting != 0 ? context->shown : NULL;
    if (waiting != 0) {
        return VK_NOT_READY;
    }
    context->in_pass = 0;
    return context->run.phase == SXVKI_PHASE_DONE ? VK_SUCCESS : VK_INCOMPLETE;
}

/*  Let go of everything; what is open stays where it is. */
SXVKI_COLD static void sxvki_defragmentation_stop(SxvkDefragmentationContext context) {
    sxvki_records* records = &context->run.allocator->device.records;
    uint32_t i;
    sxvki_records_pin(records);
    for (i = 0; i < context->count; i++) {
        sxvki_defrag_cancel(&context->run, &context->moves[i]);
    }
    context->count = 0;
    sxvki_defrag_shutdown(&context->run);
    sxvki_records_unpin(records);
}

/*  What a run of the library's has freed, for sxvkGetMoveStatistics. */
SXVKI_COLD static void sxvki_context_tell(SxvkDefragmentationContext context) {
    sxvki_movables* movables = &context->run.allocator->movables;
    if (context->run.by_library) {
        sxvki_lock_take(&movables->lock);
        movables->stats.blocksFreed += context->run.blocks_freed - context->told_blocks;
        movables->stats.bytesFreed += context->run.bytes_freed - context->told_bytes;
        sxvki_lock_drop(&movables->lock);
        context->told_blocks = context->run.blocks_freed;
        context->told_bytes = context->run.bytes_freed;
    }
}

SXVKI_COLD static void sxvki_end_defragmentation(SxvkDefragmentationContext context,
                                                 SxvkDefragmentationStats* stats) {
    SxvkAllocator allocator = context->run.allocator;
    const sxvki_host* host = &allocator->device.host;
    sxvki_defragmentation_stop(context);
    sxvki_context_tell(context);
    if (stats != NULL) {
        sxvki_defrag_get_stats(&context->run, stats);
    }
    sxvki_lock_take(&allocator->pools_lock);
    if (context->prev != NULL) {
        context->prev->next = context->next;
    } else {
        allocator->first_context = context->next;
    }
    if (context->next != NULL) {
        context->next->prev = context->prev;
    }
    sxvki_lock_drop(&allocator->pools_lock);
    sxvki_host_free(host, context->moves);
    sxvki_host_free(host, context->shown);
    sxvki_host_free(host, context);
}

/*  One that is at work in the pool, which goes; null: none. Others come and go meanwhile. */
SXVKI_COLD static SxvkDefragmentationContext sxvki_context_in(SxvkAllocator allocator,
                                                              SxvkPool pool) {
    SxvkDefragmentationContext context;
    sxvki_lock_take(&allocator->pools_lock);
    context = allocator->first_context;
    while (context != NULL && (context->run.only != pool || context->is_stopped)) {
        context = context->next;
    }
    sxvki_lock_drop(&allocator->pools_lock);
    return context;
}

/*  A pool goes: what is still at work in it stops. With no pool the allocator goes, and the
    contexts with it. Nobody else uses these meanwhile. */
SXVKI_COLD static void sxvki_defragmentations_leave(SxvkAllocator allocator, SxvkPool pool) {
    SxvkDefragmentationContext context = NULL;
    while (pool == NULL && allocator->first_context != NULL) {
        sxvki_end_defragmentation(allocator->first_context, NULL);
    }
    while (pool != NULL && (context = sxvki_context_in(allocator, pool)) != NULL) {
        sxvki_defragmentation_stop(context);
        context->is_stopped = 1;
    }
}
#endif /* !SX_VKALLOC_NO_DEFRAG */

/* ============================================================================================== */
/*  >>stats      statistics, dump, integrity                                                      */
/* ============================================================================================== */
/*
    Fast statistics and the frame history add up counters that the domains keep anyway, the former
    without a lock. The detailed ones, the margins and the integrity check walk every range, one
    domain under its lock at a time: the picture of each domain is consistent, the whole is as of no
    single moment while other threads work. Those who want the lock wait meanwhile, so these are for
    debugging; the dump and the report in words go in portions, see below.
*/

/*  For sxvki_read_pools: the pools of one heap. */
typedef struct sxvki_heap_sum {
    SxvkStatistics stats;
    uint32_t takes;
    uint32_t heap;
} sxvki_heap_sum;

static void sxvki_heap_visit(SxvkPool pool, void* context) {
    sxvki_heap_sum* sum = (sxvki_heap_sum*)context;
    if (sxvki_type_heap(pool->device, pool->type) == sum->heap) {
        sxvki_pool_add(pool, &sum->stats);
    }
}

/* --- the frame history --- */

/*  Under the locks, for what was freed is what was made less what is alive. */
static void sxvki_history_visit(SxvkPool pool, void* context) {
    sxvki_heap_sum* sum = (sxvki_heap_sum*)context;
    uint32_t i;
    if ((pool->flags & SXVK_POOL_CREATE_EXTERNALLY_SYNCHRONIZED_BIT) != 0) {
        return; /* its user may be in it */
    }
    for (i = 0; i < sxvki_pool_domain_count(pool); i++) {
        sxvki_domain* domain = sxvki_pool_domain(pool, i);
        if (domain != NULL) {
            sxvki_lock_take(&domain->lock);
            sxvki_domain_read(domain, NULL);
            sxvki_domain_add_live(domain, &sum->stats);
            sum->takes += sxvki_domain_takes(domain);
            sxvki_lock_drop(&domain->lock);
        }
    }
    sxvki_lock_take(&pool->dedicated_lock);
    sum->stats.allocationCount += pool->dedicated_count;
    sum->stats.allocationBytes += pool->dedicated_live_bytes;
    sum->takes += pool->dedicated_take_count;
    sxvki_lock_drop(&pool->dedicated_lock);
}

/*  A frame has ended. Counters alone, O(pools), where there is a history. */
SXVKI_COLD static void sxvki_history_write(SxvkAllocator allocator) {
    sxvki_device* device = &allocator->device;
    sxvki_history* history = &allocator->history;
    SxvkFrameStatistics* frame;
    sxvki_heap_sum sum;
    uint64_t calls, moved;
    uint32_t live, most;
    memset(&sum, 0, sizeof sum);
    sxvki_lock_take(&history->lock); /* of two frames that end at once one counts after the other */
    calls = sxvki_load64_relaxed(&device->driver_calls);
    moved = sxvki_load64_relaxed(&device->moved_bytes);
    sxvki_visit_default_pools(allocator, sxvki_history_visit, &sum);
    sxvki_lock_take(&allocator->pools_lock);
    sxvki_visit_custom_pools(allocator, sxvki_history_visit, &sum);
    sum.takes += allocator->gone_takes; /* with the list: a pool is in one of the two */
    sxvki_lock_drop(&allocator->pools_lock);
    frame = &history->frames[history->count++ % history->capacity];
    frame->frameIndex = sxvki_load32_relaxed(&device->frame);
    frame->allocationCount =
        (sum.takes - history->takes) & (uint32_t)SXVKI_SLOTS_COUNT_MASK; /* as slots are counted */
    live = sum.stats.allocationCount - (uint32_t)sxvki_load64_relaxed(&device->doubles);
    most = history->live_count + frame->allocationCount;
    live = (int32_t)(most - live) < 0 ? most : live; /* something moved while we counted */
    frame->freeCount = most - live;
    frame->driverCallCount = (uint32_t)(calls - history->driver_calls);
    frame->liveCount = sum.stats.allocationCount;
    frame->liveBytes = sum.stats.allocationBytes;
    frame->committedBytes = sxvki_budget_total(&device->budget);
    frame->movedBytes = moved - history->moved_bytes;
    history->moved_bytes = moved;
    history->takes = sum.takes;
    history->live_count = live;
    history->driver_calls = calls;
    sxvki_lock_drop(&history->lock);
}

/*  The latest `most` frames, the oldest first; returns how many there are. */
SXVKI_COLD static uint32_t sxvki_history_read(sxvki_history* history, uint32_t most,
                                              SxvkFrameStatistics* frames) {
    uint32_t count, i;
    sxvki_lock_take(&history->lock);
    count = (uint32_t)sxvki_min64(history->count, history->capacity);
    count = frames != NULL ? (uint32_t)sxvki_min64(count, most) : count;
    for (i = 0; frames != NULL && i < count; i++) {
        frames[i] = history->frames[(history->count - count + i) % history->capacity];
    }
    sxvki_lock_drop(&history->lock);
    return count;
}

/* --- detailed statistics --- */

SXVKI_COLD static void sxvki_detailed_init(SxvkDetailedStatistics* stats) {
    memset(stats, 0, sizeof *stats);
    stats->allocationSizeMin = VK_WHOLE_SIZE;
    stats->unusedRangeSizeMin = VK_WHOLE_SIZE;
}

SXVKI_COLD static void sxvki_detailed_add_live(SxvkDetailedStatistics* stats, VkDeviceSize size) {
    stats->statistics.allocationCount++;
    stats->statistics.allocationBytes += size;
    stats->allocationSizeMin = sxvki_min64(stats->allocationSizeMin, size);
    stats->allocationSizeMax = sxvki_max64(stats->allocationSizeMax, size);
}

/*  An unused range is what lies between two allocations: free, or padding, or both. *largest is
    the largest of the block so far. */
SXVKI_COLD static void sxvki_detailed_add_gap(SxvkDetailedStatistics* stats, VkDeviceSize from,
                                              VkDeviceSize to, VkDeviceSize* largest) {
    *largest = sxvki_max64(*largest, to - from);
    if (from != to) {
        stats->unusedRangeCount++;
        stats->unusedRangeSizeMin = sxvki_min64(stats->unusedRangeSizeMin, to - from);
        stats->unusedRangeSizeMax = sxvki_max64(stats->unusedRangeSizeMax, to - from);
    }
}

SXVKI_COLD static void sxvki_detailed_merge(SxvkDetailedStatistics* to,
                                            const SxvkDetailedStatistics* from) {
    to->statistics.blockCount += from->statistics.blockCount;
    to->statistics.blockBytes += from->statistics.blockBytes;
    to->statistics.allocationCount += from->statistics.allocationCount;
    to->statistics.allocationBytes += from->statistics.allocationBytes;
    to->unusedRangeCount += from->unusedRangeCount;
    to->allocationSizeMin = sxvki_min64(to->allocationSizeMin, from->allocationSizeMin);
    to->allocationSizeMax = sxvki_max64(to->allocationSizeMax, from->allocationSizeMax);
    to->unusedRangeSizeMin = sxvki_min64(to->unusedRangeSizeMin, from->unusedRangeSizeMin);
    to->unusedRangeSizeMax = sxvki_max64(to->unusedRangeSizeMax, from->unusedRangeSizeMax);
    to->largestRangeBytes += from->largestRangeBytes;
}

/*  Once the blocks are in. */
SXVKI_COLD static void sxvki_detailed_finish(SxvkDetailedStatistics* stats) {
    VkDeviceSize unused = stats->statistics.blockBytes - stats->statistics.allocationBytes;
    stats->fragmentation =
        unused == 0 ? 0.0f : (float)(unused - stats->largestRangeBytes) / (float)unused;
}

/*  An allocation and what lies before it; *end is where the one before ends. */
SXVKI_COLD static void sxvki_detailed_add_range(SxvkDetailedStatistics* stats,
                                                const sxvki_view* view, VkDeviceSize* end,
                                                VkDeviceSize* largest) {
    sxvki_detailed_add_gap(stats, *end, view->offset, largest);
    sxvki_detailed_add_live(stats, view->size);
    *end = view->offset + view->size;
}

/*  One block and its ranges; the caller holds the lock of its list. */
SXVKI_COLD static void sxvki_detailed_add_block(SxvkDetailedStatistics* stats,
                                                const sxvki_device* device,
                                                const sxvki_block* block) {
    VkDeviceSize end = 0;
    VkDeviceSize largest = 0;
    sxvki_walk walk;
    uint32_t index;
    stats->statistics.blockCount++;
    stats->statistics.blockBytes += block->size;
    sxvki_walk_init(&walk, device, block);
    while ((index = sxvki_walk_next(&walk)) != SXVKI_NONE) {
        sxvki_view view = sxvki_look(device, index);
        sxvki_detailed_add_range(stats, &view, &end, &largest);
    }
    sxvki_detailed_add_gap(stats, end, block->size, &largest);
    stats->largestRangeBytes += largest;
}

SXVKI_COLD static void sxvki_add_detailed(SxvkDetailedStatistics* stats, SxvkPool pool) {
    const sxvki_device* device = pool->device;
    uint32_t i, id;
    for (i = 0; i < sxvki_pool_domain_count(pool); i++) {
        sxvki_domain* domain = sxvki_pool_domain(pool, i);
        if (domain == NULL) {
            continue;
        }
        sxvki_lock_take(&domain->lock);
        sxvki_domain_read(domain, NULL);
        for (id = domain->block_first; id != SXVKI_NONE; id = sxvki_block_at(device, id)->next) {
            sxvki_detailed_add_block(stats, device, sxvki_block_at(device, id));
        }
        sxvki_lock_drop(&domain->lock);
    }
    sxvki_lock_take(&pool->dedicated_lock);
    for (id = pool->dedicated_first; id != SXVKI_NONE; id = sxvki_block_at(device, id)->next) {
        sxvki_detailed_add_block(stats, device, sxvki_block_at(device, id));
    }
    sxvki_lock_drop(&pool->dedicated_lock);
}

static void sxvki_total_visit(SxvkPool pool, void* context) {
    SxvkTotalStatistics* total = (SxvkTotalStatistics*)context;
    sxvki_add_detailed(&total->memoryType[pool->type], pool);
}

SXVKI_COLD static void sxvki_total_init(SxvkTotalStatistics* total) {
    uint32_t i;
    sxvki_detailed_init(&total->total);
    for (i = 0; i < VK_MAX_MEMORY_TYPES; i++) {
        sxvki_detailed_init(&total->memoryType[i]);
    }
    for (i = 0; i < VK_MAX_MEMORY_HEAPS; i++) {
        sxvki_detailed_init(&total->memoryHeap[i]);
    }
}

/*  The sums of the memory types. */
SXVKI_COLD static void sxvki_total_add_up(SxvkTotalStatistics* total, const sxvki_device* device) {
    uint32_t i;
    for (i = 0; i < device->model.properties.memoryTypeCount; i++) {
        sxvki_detailed_merge(&total->memoryHeap[sxvki_type_heap(device, i)], &total->memoryType[i]);
        sxvki_detailed_merge(&total->total, &total->memoryType[i]);
        sxvki_detailed_finish(&total->memoryType[i]);
    }
    for (i = 0; i < device->model.properties.memoryHeapCount; i++) {
        sxvki_detailed_finish(&total->memoryHeap[i]);
    }
    sxvki_detailed_finish(&total->total);
}

SXVKI_COLD static void sxvki_calculate_total(SxvkAllocator allocator, SxvkTotalStatistics* total) {
    sxvki_total_init(total);
    sxvki_visit_pools(allocator, sxvki_total_visit, total);
    sxvki_total_add_up(total, &allocator->device);
}

/* --- margins and integrity --- */

/*  What a walk over pools found. */
typedef struct sxvki_findings {
    const char* function;
    uint32_t type_bits; /* in: memory types to look at */
    uint32_t checked;   /* allocations that have a margin */
    uint32_t broken;
    sxvki_subject subject; /* about the first that is broken */
} sxvki_findings;

SXVKI_COLD static void sxvki_findings_init(sxvki_findings* findings, const char* function,
                                           uint32_t type_bits) {
    memset(findings, 0, sizeof *findings);
    findings->function = function;
    findings->type_bits = type_bits;
}

SXVKI_COLD static void sxvki_findings_note(sxvki_findings* findings, const struct SxvkPool_T* pool,
                                           const char* what, uint64_t where) {
    if (findings->broken++ == 0) {
        sxvki_line* line = &findings->subject.line;
        sxvki_subject_init_plain(&findings->subject, findings->function);
        sxvki_line_add(line, "memory type ");
        sxvki_line_add_u64(line, pool->type, 10);
        sxvki_line_add(line, what);
        sxvki_line_add_u64(line, where, 10);
        sxvki_line_add(line, ": ");
    }
}

SXVKI_COLD static void sxvki_margin_visit(SxvkPool pool, void* context) {
    sxvki_findings* findings = (sxvki_findings*)context;
    const sxvki_device* device = pool->device;
    uint32_t i, id, index;
    sxvki_walk walk;
    if (((findings->type_bits >> pool->type) & 1) == 0 ||
        sxvki_type_margin(device, pool->type) == 0) {
        return;
    }
    for (i = 0; i < sxvki_pool_domain_count(pool); i++) {
        sxvki_domain* domain = sxvki_pool_domain(pool, i);
        if (domain == NULL) {
            continue;
        }
        sxvki_lock_take(&domain->lock);
        for (id = domain->block_first; id != SXVKI_NONE; id = sxvki_block_at(device, id)->next) {
            sxvki_walk_init(&walk, device, sxvki_block_at(device, id));
            while ((index = sxvki_walk_next(&walk)) != SXVKI_NONE) {
                sxvki_view view = sxvki_look(device, index);
                uint32_t state = sxvki_view_state(&view);
                if ((state & SXVKI_STATE_HELD) != 0 &&
                    sxvki_allocation_is_valid(device, sxvki_handle_of(device, index))) {
                    findings->checked++;
                    if (!sxvki_margin_is_intact(device, &view) && findings->broken++ == 0) {
                        sxvki_subject_init(&findings->subject, device, findings->function, index,
                                           sxvki_handle_of(device, index));
                    }
                }
            }
        }
        sxvki_lock_drop(&domain->lock);
    }
}

SXVKI_COLD static void sxvki_integrity_visit(SxvkPool pool, void* context) {
    sxvki_findings* findings = (sxvki_findings*)context;
    uint32_t i;
    for (i = 0; i < sxvki_pool_domain_count(pool); i++) {
        sxvki_domain* domain = sxvki_pool_domain(pool, i);
        if (domain != NULL) {
            sxvki_lock_take(&domain->lock);
            if (!sxvki_domain_is_valid(domain)) {
                sxvki_findings_note(findings, pool, ", domain ", i);
            }
            sxvki_lock_drop(&domain->lock);
        }
    }
    sxvki_lock_take(&pool->dedicated_lock);
    if (!sxvki_pool_dedicated_is_valid(pool)) {
        sxvki_findings_note(findings, pool, ", dedicated allocations: ", pool->dedicated_count);
    }
    sxvki_lock_drop(&pool->dedicated_lock);
}

/*  Report what was found, once no lock is held. */
SXVKI_COLD static VkResult sxvki_findings_report(const sxvki_device* device,
                                                 const sxvki_findings* findings,
                                                 SxvkMessage message) {
    if (findings->broken == 0) {
        return VK_SUCCESS;
    }
    sxvki_report_subject(device, message, &findings->subject);
    return VK_ERROR_UNKNOWN;
}

/* --- the JSON dump --- */

/*
    To write down a range takes a microsecond, and there may be a million of them: others cannot
    wait for that. So a dump looks in portions, with the lock held, at what there is, and writes
    without.

    In between the block may change in all ways: ranges are split and joined, slabs closed, pools
    reset, the block goes away. What was seen has its handle, and while that is valid, and in this
    block, its range is where it was. So the tour goes on behind the newest one that is still there,
    or, where none is, from the start of the block, and passes what lies before the end of what it
    saw last. Handles may be asked for at any time, as the records are pinned. Each range in the
    dump was live when it was looked at; they are in the order of their offsets and do not overlap,
    no allocation comes twice but one that moves meanwhile, and what lies between them is free, or
    was at some time since.

    Custom pools are found again by their serial number, blocks by their id, in O(pools + blocks).
*/

#if !SX_VKALLOC_NO_STATS_STRING
#define SXVKI_TOUR_PORTION 128u /* ranges to look at under one lock: 3 to 7 us */

/*  Of the largest allocations, what the report says. */
#define SXVKI_LARGEST_COUNT 16u
#define SXVKI_LARGEST_NAME  64u

typedef struct sxvki_large {
    VkDeviceSize size;
    uint32_t type;
    uint32_t module;
    int is_dedicated;
    char name[SXVKI_LARGEST_NAME]; /* cut off where it is longer */
} sxvki_large;

typedef struct sxvki_largest {
    uint32_t count;
    sxvki_large items[SXVKI_LARGEST_COUNT]; /* the largest first */
} sxvki_largest;

/*  An allocation as it was when the tour passed. */
typedef struct sxvki_sight {
    SxvkAllocation handle;
    VkDeviceSize offset;
    VkDeviceSize size;
    void* user_data;
    char* name; /* a copy */
    uint32_t state;
    uint32_t module;
    uint32_t age;   /* UINT32_MAX: not known; of one that is just being made, maybe that of the */
    uint32_t stack; /* one which was in its place before; SXVKI_NONE: not known */
} sxvki_sight;

typedef struct sxvki_tour {
    SxvkAllocator allocator;
    SxvkPool pool;
    uint64_t serial;             /* of the pool */
    VkDeviceSize max_block_size; /* the same, as are the next two */
    int is_linear;
    char* name;      /* a copy; only custom pools have one */
    uint32_t domain; /* where the block is */
    uint32_t block;  /* its id; SXVKI_NONE: before the first one */
    uint32_t maps;   /* times that the block is mapped */
    VkDeviceSize block_size;
    VkDeviceSize end;      /* of the last range seen */
    SxvkAllocation passed; /* a range before `end`, or null */
    sxvki_sight* sights;   /* of this block, or of the pool's dedicated allocations */
    uint32_t count;
    uint32_t capacity;
    sxvki_largest* largest; /* of all that is seen; optional */
    int failed;             /* there was no host memory */
} sxvki_tour;

SXVKI_COLD static void sxvki_largest_add(sxvki_largest* largest, const sxvki_sight* sight,
                                         const sxvki_block* block) {
    uint32_t i = largest->count;
    sxvki_large* item;
    size_t size;
    if (i == SXVKI_LARGEST_COUNT && sight->size <= largest->items[i - 1].size) {
        return;
    }
    largest->count += i < SXVKI_LARGEST_COUNT;
    for (i = largest->count - 1; i != 0 && largest->items[i - 1].size < sight->size; i--) {
        largest->items[i] = largest->items[i - 1];
    }
    item = &largest->items[i];
    size = sight->name == NULL ? 0 : sxvki_utf8_fit(sight->name, SXVKI_LARGEST_NAME - 1);
    item->size = sight->size;
    item->type = block->type;
    item->module = sight->module;
    item->is_dedicated = block->domain == NULL;
    if (size != 0) {
        memcpy(item->name, sight->name, size);
    }
    item->name[size] = 0;
}

SXVKI_COLD static void sxvki_tour_clear(sxvki_tour* tour) {
    while (tour->count != 0) {
        sxvki_host_free(&tour->allocator->device.host, tour->sights[--tour->count].name);
    }
    tour->end = 0;
    tour->passed = VK_NULL_HANDLE;
}

SXVKI_COLD static void sxvki_tour_shutdown(sxvki_tour* tour) {
    const sxvki_host* host = &tour->allocator->device.host;
    sxvki_tour_clear(tour);
    sxvki_host_free(host, tour->sights);
    sxvki_host_free(host, tour->name);
}

/*  Room for another portion. Returns 0 where there is no host memory. */
SXVKI_COLD static int sxvki_tour_reserve(sxvki_tour* tour) {
    const sxvki_host* host = &tour->allocator->device.host;
    uint32_t capacity = 2 * tour->count + SXVKI_TOUR_PORTION;
    sxvki_sight* sights;
    if (tour->failed || tour->capacity - tour->count >= SXVKI_TOUR_PORTION) {
        return !tour->failed;
    }
    sights = (sxvki_sight*)sxvki_host_alloc(host, capacity * sizeof *sights, 64);
    if (sights == NULL) {
        tour->failed = 1;
        return 0;
    }
    if (tour->count != 0) {
        memcpy(sights, tour->sights, tour->count * sizeof *sights);
    }
    sxvki_host_free(host, tour->sights);
    tour->sights = sights;
    tour->capacity = capacity;
    return 1;
}

/*  Note a range, unless it is being freed. The caller holds the lock, and has reserved room. */
SXVKI_COLD static void sxvki_tour_see(sxvki_tour* tour, uint32_t index) {
    const sxvki_device* device = &tour->allocator->device;
    sxvki_sight* sight = &tour->sights[tour->count];
    sxvki_view view = sxvki_look(device, index);
    sight->handle = sxvki_handle_of(device, index);
    if (!sxvki_allocation_is_valid(device, sight->handle)) {
        return;
    }
    sight->offset = view.offset;
    sight->size = view.size;
    sight->state = sxvki_view_state(&view);
    sight->user_data = NULL;
    sight->name = NULL;
    sight->module = 0;
    sxvki_origin_read(device, index, &sight->age, &sight->stack);
    if (sight->state & SXVKI_STATE_COLD) {
        const sxvki_cold* cold = sxvki_cold_find(&device->records, index);
        const char* name = (const char*)sxvki_load_ptr(&cold->name);
        sight->user_data = sxvki_load_ptr(&cold->user_data);
        sight->module = sxvki_load32_relaxed(&sxvki_track_find(&device->records, index)->module);
        tour->failed |= !sxvki_host_copy_string(&device->host, name, &sight->name);
    }
    if (tour->largest != NULL) {
        sxvki_largest_add(tour->largest, sight, view.block);
    }
    tour->end = view.offset + view.size;
    tour->passed = VK_NULL_HANDLE;
    tour->count++;
}

/*  Keep the pool from going away, for a short time. Returns 0 where it is gone. */
SXVKI_COLD static int sxvki_tour_enter_pool(sxvki_tour* tour) {
    SxvkPool pool;
    if (tour->serial == 0) {
        return 1;
    }
    sxvki_lock_take(&tour->allocator->pools_lock);
    pool = sxvki_pool_at(&tour->allocator->first_pool);
    for (; pool != NULL; pool = sxvki_pool_at(&pool->next_pool)) {
        if (pool->serial == tour->serial) {
            return 1;
        }
    }
    sxvki_lock_drop(&tour->allocator->pools_lock);
    return 0;
}

SXVKI_COLD static void sxvki_tour_leave_pool(sxvki_tour* tour) {
    if (tour->serial != 0) {
        sxvki_lock_drop(&tour->allocator->pools_lock);
    }
}

/*  Go to a pool, before its first block. */
SXVKI_COLD static void sxvki_tour_set_pool(sxvki_tour* tour, SxvkPool pool) {
    tour->pool = pool;
    tour->serial = pool->serial;
    tour->max_block_size = pool->max_block_size;
    tour->is_linear = sxvki_pool_is_linear(pool);
    tour->block = SXVKI_NONE;
}

/*  The next custom pool of a type; they are in the order of their serial numbers. To begin, tell a
    number that is higher than all. Returns 0 after the last. */
SXVKI_COLD static int sxvki_tour_next_pool(sxvki_tour* tour, uint32_t type, uint64_t* serial) {
    SxvkAllocator allocator = tour->allocator;
    SxvkPool pool;
    sxvki_host_free(&allocator->device.host, tour->name);
    tour->name = NULL;
    sxvki_lock_take(&allocator->pools_lock);
    pool = sxvki_pool_at(&allocator->first_pool);
    while (pool != NULL && (pool->type != type || pool->serial >= *serial)) {
        pool = sxvki_pool_at(&pool->next_pool);
    }
    if (pool != NULL) {
        *serial = pool->serial;
        sxvki_tour_set_pool(tour, pool);
        tour->failed |= !sxvki_host_copy_string(&allocator->device.host, pool->name, &tour->name);
    }
    sxvki_lock_drop(&allocator->pools_lock);
    return pool != NULL;
}

/*  The block with the next higher id. Returns 0 after the last. */
SXVKI_COLD static int sxvki_tour_next_block(sxvki_tour* tour) {
    const sxvki_device* device = &tour->allocator->device;
    uint32_t i, id, least = tour->block + 1;
    tour->block = SXVKI_NONE;
    sxvki_tour_clear(tour);
    if (!sxvki_tour_enter_pool(tour)) {
        return 0;
    }
    for (i = 0; i < sxvki_pool_domain_count(tour->pool); i++) {
        sxvki_domain* domain = sxvki_pool_domain(tour->pool, i);
        if (domain == NULL) {
            continue;
        }
        sxvki_lock_take(&domain->lock);
        for (id = domain->block_first; id != SXVKI_NONE; id = sxvki_block_at(device, id)->next) {
            if (id >= least && id < tour->block) {
                tour->block = id;
                tour->domain = i;
                tour->block_size = sxvki_block_at(device, id)->size;
                tour->maps = sxvki_load32(&sxvki_block_at(device, id)->map_word) & 0xFFFFFFu;
            }
        }
        sxvki_lock_drop(&domain->lock);
    }
    sxvki_tour_leave_pool(tour);
    return tour->block != SXVKI_NONE;
}

/*  Neither freed nor moved to another block. */
SXVKI_COLD static int sxvki_tour_finds(const sxvki_tour* tour, int dedicated,
                                       SxvkAllocation handle) {
    const sxvki_device* device = &tour->allocator->device;
    return sxvki_allocation_is_valid(device, handle) &&
           (dedicated || sxvki_block_of(device, sxvki_allocation_index(handle))->id == tour->block);
}

/*  The newest of what was seen that is still there, or null. No lock is held. */
SXVKI_COLD static SxvkAllocation sxvki_tour_known(const sxvki_tour* tour, int dedicated) {
    uint32_t i = tour->count;
    if (tour->passed != VK_NULL_HANDLE && sxvki_tour_finds(tour, dedicated, tour->passed)) {
        return tour->passed;
    }
    while (i-- != 0) {
        if (sxvki_tour_finds(tour, dedicated, tour->sights[i].handle)) {
            return tour->sights[i].handle;
        }
    }
    return VK_NULL_HANDLE;
}

/*  Lock what the tour is at, and name in *known what it can go on behind; null: from the start.
    Returns null, and no lock is held, where the pool is gone. */
SXVKI_COLD static sxvki_lock* sxvki_tour_enter(sxvki_tour* tour, int dedicated,
                                               SxvkAllocation* known) {
    for (;;) {
        sxvki_lock* lock;
        *known = sxvki_tour_known(tour, dedicated);
        if (!sxvki_tour_enter_pool(tour)) {
            return NULL;
        }
        lock = dedicated ? &tour->pool->dedicated_lock
                         : &sxvki_pool_domain(tour->pool, tour->domain)->lock;
        sxvki_lock_take(lock);
        if (*known == VK_NULL_HANDLE || sxvki_tour_finds(tour, dedicated, *known)) {
            return lock;
        }
        sxvki_lock_drop(lock);
        sxvki_tour_leave_pool(tour);
    }
}

SXVKI_COLD static void sxvki_tour_leave(sxvki_tour* tour, sxvki_lock* lock) {
    sxvki_lock_drop(lock);
    sxvki_tour_leave_pool(tour);
}

/*  Begin behind an allocation, which keeps its block, or at the start of the block. Returns 0 where
    that is gone. */
SXVKI_COLD static int sxvki_tour_start(sxvki_tour* tour, SxvkAllocation known, sxvki_walk* walk) {
    const sxvki_device* device = &tour->allocator->device;
    uint32_t index = sxvki_allocation_index(known);
    sxvki_domain* domain = sxvki_pool_domain(tour->pool, tour->domain);
    uint32_t id;
    walk->records = &device->records;
    walk->slot = 0;
    if (known == VK_NULL_HANDLE) {
        sxvki_domain_read(domain, NULL);
        id = domain->block_first;
        while (id != SXVKI_NONE && id != tour->block) {
            id = sxvki_block_at(device, id)->next;
        }
        if (id == SXVKI_NONE || sxvki_block_at(device, id)->size != tour->block_size) {
            return 0;
        }
        walk->record = sxvki_block_first(sxvki_block_at(device, id));
    } else if ((index & SXVKI_HANDLE_SLAB_BIT) != 0 && !sxvki_slot_is_away(device, index)) {
        walk->record = sxvki_slab_of(walk->records, index)->record;
        walk->slot = index % 64 + 1;
    } else {
        walk->record = sxvki_record_at(walk->records, sxvki_range_of(device, index))->next;
    }
    return 1;
}

/*  Look at up to `most` ranges of the block. Returns 0 after the last. */
SXVKI_COLD static int sxvki_tour_see_some(sxvki_tour* tour, uint32_t most) {
    const sxvki_device* device = &tour->allocator->device;
    uint32_t last = tour->count + SXVKI_TOUR_PORTION;
    uint32_t index = SXVKI_NONE;
    SxvkAllocation known;
    sxvki_walk walk;
    sxvki_lock* lock = sxvki_tour_enter(tour, 0, &known);
    if (lock == NULL) {
        return 0;
    }
    if (sxvki_tour_start(tour, known, &walk)) {
        while (most-- != 0 && tour->count != last &&
               (index = sxvki_walk_next(&walk)) != SXVKI_NONE) {
            if (sxvki_look(device, index).offset >= tour->end) {
                sxvki_tour_see(tour, index);
            } else {
                tour->passed = sxvki_handle_of(device, index);
            }
        }
    }
    sxvki_tour_leave(tour, lock);
    return index != SXVKI_NONE;
}

/*  All of the block. Others may free and allocate as fast as this one walks: portions grow a little
    where nothing new was seen, and so it comes to an end. */
SXVKI_COLD static void sxvki_tour_see_block(sxvki_tour* tour) {
    uint32_t most = SXVKI_TOUR_PORTION;
    uint32_t count = 0;
    while (sxvki_tour_reserve(tour) && sxvki_tour_see_some(tour, most)) {
        most = tour->count != count ? SXVKI_TOUR_PORTION : most + SXVKI_TOUR_PORTION / 16;
        count = tour->count;
    }
}

/*  The dedicated allocations of the pool. New ones come in front, so those that were not seen yet
    are behind what was. */
SXVKI_COLD static void sxvki_tour_see_dedicated(sxvki_tour* tour) {
    const sxvki_device* device = &tour->allocator->device;
    uint32_t id = 0;
    sxvki_tour_clear(tour);
    while (id != SXVKI_NONE && sxvki_tour_reserve(tour)) {
        SxvkAllocation known;
        sxvki_lock* lock = sxvki_tour_enter(tour, 1, &known);
        uint32_t most = SXVKI_TOUR_PORTION;
        if (lock == NULL) {
            return;
        }
        id = known == VK_NULL_HANDLE ? tour->pool->dedicated_first
                                     : sxvki_block_of(device, sxvki_allocation_index(known))->next;
        for (; id != SXVKI_NONE && most-- != 0; id = sxvki_block_at(device, id)->next) {
            sxvki_tour_see(tour, sxvki_block_at(device, id)->first);
        }
        sxvki_tour_leave(tour, lock);
    }
}

/*  What the tour has seen of its block. */
SXVKI_COLD static void sxvki_tour_add_block(const sxvki_tour* tour, SxvkDetailedStatistics* stats) {
    VkDeviceSize end = 0;
    VkDeviceSize largest = 0;
    uint32_t i;
    stats->statistics.blockCount++;
    stats->statistics.blockBytes += tour->block_size;
    for (i = 0; i < tour->count; i++) {
        sxvki_detailed_add_gap(stats, end, tour->sights[i].offset, &largest);
        sxvki_detailed_add_live(stats, tour->sights[i].size);
        end = tour->sights[i].offset + tour->sights[i].size;
    }
    sxvki_detailed_add_gap(stats, end, tour->block_size, &largest);
    stats->largestRangeBytes += largest;
}

SXVKI_COLD static void sxvki_tour_add_pool(sxvki_tour* tour, SxvkDetailedStatistics* stats) {
    uint32_t i;
    while (sxvki_tour_next_block(tour)) {
        sxvki_tour_see_block(tour);
        sxvki_tour_add_block(tour, stats);
    }
    sxvki_tour_see_dedicated(tour);
    for (i = 0; i < tour->count; i++) {
        stats->statistics.blockCount++;
        stats->statistics.blockBytes += tour->sights[i].size;
        sxvki_detailed_add_live(stats, tour->sights[i].size);
    }
}

/*  With the unit that reads best: "900 B", "12.50 KiB". */
SXVKI_COLD static void sxvki_text_add_bytes_of(sxvki_text* text, uint64_t bytes) {
    static const char units[][5] = {" B", " KiB", " MiB", " GiB", " TiB"};
    uint64_t hundredths;
    uint32_t unit = 0;
    while (unit < 4 && bytes >> (10 * (unit + 1)) != 0) {
        unit++;
    }
    sxvki_text_add_u64(text, bytes >> (10 * unit));
    if (unit != 0) {
        hundredths = ((bytes >> (10 * (unit - 1))) % 1024) * 100 / 1024;
        sxvki_text_add(text, hundredths < 10 ? ".0" : ".");
        sxvki_text_add_u64(text, hundredths);
    }
    sxvki_text_add(text, units[unit]);
}

/*  "3 blocks, 12.00 MiB; 100 allocations, 10.00 MiB; fragmentation 0.1250". */
SXVKI_COLD static void sxvki_text_add_stats(sxvki_text* text, const SxvkDetailedStatistics* stats) {
    sxvki_text_add_u64(text, stats->statistics.blockCount);
    sxvki_text_add(text, " blocks, ");
    sxvki_text_add_bytes_of(text, stats->statistics.blockBytes);
    sxvki_text_add(text, "; ");
    sxvki_text_add_u64(text, stats->statistics.allocationCount);
    sxvki_text_add(text, " allocations, ");
    sxvki_text_add_bytes_of(text, stats->statistics.allocationBytes);
    sxvki_text_add(text, "; ");
    sxvki_text_add_u64(text, stats->unusedRangeCount);
    sxvki_text_add(text, " holes, fragmentation ");
    sxvki_text_add_ratio(text, stats->fragmentation);
    sxvki_text_add(text, "\n");
}

/*  A name, which must not look like a line of the text; null: none. */
SXVKI_COLD static void sxvki_text_add_name(sxvki_text* text, const char* name) {
    sxvki_line line;
    line.size = 0;
    sxvki_line_add_name(&line, name != NULL && name[0] != 0 ? name : "(no name)");
    sxvki_text_add(text, line.text);
}

/*  The custom pool that a tour is at: "pool streaming, type 1", and its figures. */
SXVKI_COLD static void sxvki_text_add_pool(sxvki_text* text, const sxvki_tour* tour, uint32_t type,
                                           SxvkDetailedStatistics* stats) {
    sxvki_detailed_finish(stats);
    sxvki_text_add(text, "pool ");
    sxvki_text_add_name(text, tour->name);
    sxvki_text_add(text, ", type ");
    sxvki_text_add_u64(text, type);
    sxvki_text_add(text, "\n    ");
    sxvki_text_add_stats(text, stats);
}

/*  What sxvki_calculate_total tells, in portions; and, optional, each custom pool in words. */
SXVKI_COLD static void sxvki_tour_total(sxvki_tour* tour, SxvkTotalStatistics* total,
                                        sxvki_text* pools) {
    const sxvki_device* device = &tour->allocator->device;
    uint32_t type;
    sxvki_total_init(total);
    for (type = 0; type < device->model.properties.memoryTypeCount; type++) {
        SxvkPool pool = sxvki_default_pool(tour->allocator, type);
        uint64_t serial = UINT64_MAX;
        if (pool != NULL) {
            sxvki_tour_set_pool(tour, pool);
            sxvki_tour_add_pool(tour, &total->memoryType[type]);
        }
        while (sxvki_tour_next_pool(tour, type, &serial)) {
            SxvkDetailedStatistics stats;
            sxvki_detailed_init(&stats);
            sxvki_tour_add_pool(tour, &stats);
            if (pools != NULL) {
                sxvki_text_add_pool(pools, tour, type, &stats);
            }
            sxvki_detailed_merge(&total->memoryType[type], &stats);
        }
    }
    sxvki_total_add_up(total, device);
}

/* --- and what it writes --- */

SXVKI_COLD static void sxvki_json_flags(sxvki_json* json, const sxvki_flag_name* names,
                                        VkFlags flags) {
    sxvki_json_key(json, "Flags");
    sxvki_json_begin(json, "[");
    for (; names->flag != 0; names++) {
        if (flags & names->flag) {
            sxvki_json_string(json, names->name);
        }
    }
    sxvki_json_end(json, "]");
}

SXVKI_COLD static void sxvki_json_stats(sxvki_json* json, const SxvkDetailedStatistics* stats) {
    sxvki_json_key(json, "Stats");
    sxvki_json_begin(json, "{");
    sxvki_json_pair_u64(json, "BlockCount", stats->statistics.blockCount);
    sxvki_json_pair_u64(json, "BlockBytes", stats->statistics.blockBytes);
    sxvki_json_pair_u64(json, "AllocationCount", stats->statistics.allocationCount);
    sxvki_json_pair_u64(json, "AllocationBytes", stats->statistics.allocationBytes);
    sxvki_json_pair_u64(json, "UnusedRangeCount", stats->unusedRangeCount);
    if (stats->statistics.allocationCount > 1) {
        sxvki_json_pair_u64(json, "AllocationSizeMin", stats->allocationSizeMin);
        sxvki_json_pair_u64(json, "AllocationSizeMax", stats->allocationSizeMax);
    }
    if (stats->unusedRangeCount > 1) {
        sxvki_json_pair_u64(json, "UnusedRangeSizeMin", stats->unusedRangeSizeMin);
        sxvki_json_pair_u64(json, "UnusedRangeSizeMax", stats->unusedRangeSizeMax);
    }
    sxvki_json_key(json, "Fragmentation");
    sxvki_json_ratio(json, stats->fragmentation);
    sxvki_json_end(json, "}");
}

/*  What a module has, with a copy of its name, as it may go meanwhile. Returns 0 where it has gone,
    or there is no host memory. */
SXVKI_COLD static int sxvki_text_look_at_module(sxvki_text* text, sxvki_device* device, uint32_t id,
                                                SxvkModuleStatistics* stats, char** name) {
    const sxvki_module* module;
    *name = NULL;
    sxvki_lock_take(&device->modules.lock);
    module = sxvki_module_find(&device->modules, id);
    if (module != NULL) {
        sxvki_module_read(module, stats);
        text->failed |= !sxvki_host_copy_string(&device->host, module->name, name);
    }
    sxvki_lock_drop(&device->modules.lock);
    return *name != NULL;
}

SXVKI_COLD static void sxvki_json_module_of(sxvki_json* json, sxvki_device* device, uint32_t id) {
    SxvkModuleStatistics stats;
    char* name;
    if (sxvki_text_look_at_module(json->text, device, id, &stats, &name)) {
        sxvki_json_pair_string(json, "Module", name);
        sxvki_host_free(&device->host, name);
    }
}

/*  The members of an allocation, inside of its object. */
SXVKI_COLD static void sxvki_json_allocation(sxvki_json* json, SxvkAllocator allocator,
                                             const sxvki_sight* sight) {
    static const char kinds[][16] = {"UNKNOWN", "BUFFER", "IMAGE_UNKNOWN", "IMAGE_LINEAR",
                                     "IMAGE_OPTIMAL"};
    uint32_t class_id = (sight->state >> SXVKI_STATE_CLASS_SHIFT) & 0xFF;
    sxvki_json_pair_string(json, "Type", kinds[(sight->state >> SXVKI_STATE_KIND_SHIFT) & 7]);
    sxvki_json_pair_u64(json, "Size", sight->size);
    if (class_id != 0) {
        sxvki_json_pair_u64(json, "Usage",
                            sxvki_load64_relaxed(&allocator->classes[class_id]) >> 3);
    }
    if (sight->user_data != NULL) {
        char digits[24];
        sxvki_json_pair_string(json, "CustomData",
                               sxvki_digits(digits + 23, (uintptr_t)sight->user_data, 16));
    }
    if (sight->name != NULL) {
        sxvki_json_pair_string(json, "Name", sight->name);
    }
    sxvki_json_module_of(json, &allocator->device, sight->module);
    if (sight->state & SXVKI_STATE_FALLBACK) {
        sxvki_json_pair_u64(json, "Fallback", 1);
    }
    if (sight->age != UINT32_MAX) {
        sxvki_json_pair_u64(json, "Age", sight->age);
    }
}

SXVKI_COLD static void sxvki_json_gap(sxvki_json* json, VkDeviceSize from, VkDeviceSize to) {
    if (from != to) {
        sxvki_json_begin(json, "{");
        sxvki_json_pair_u64(json, "Offset", from);
        sxvki_json_pair_string(json, "Type", "FREE");
        sxvki_json_pair_u64(json, "Size", to - from);
        sxvki_json_end(json, "}");
    }
}

/*  What is in a block, and the start of the list of its ranges. */
SXVKI_COLD static void sxvki_json_begin_ranges(sxvki_json* json,
                                               const SxvkDetailedStatistics* stats) {
    const SxvkStatistics* s = &stats->statistics;
    sxvki_json_pair_u64(json, "TotalBytes", s->blockBytes);
    sxvki_json_pair_u64(json, "UnusedBytes", s->blockBytes - s->allocationBytes);
    sxvki_json_pair_u64(json, "Allocations", s->allocationCount);
    sxvki_json_pair_u64(json, "UnusedRanges", stats->unusedRangeCount);
    sxvki_json_key(json, "Suballocations");
    sxvki_json_begin(json, "[");
}

/*  The block that a tour is at. */
SXVKI_COLD static void sxvki_json_block(sxvki_json* json, const sxvki_tour* tour) {
    SxvkDetailedStatistics stats;
    VkDeviceSize end = 0;
    uint32_t i;
    sxvki_detailed_init(&stats);
    sxvki_tour_add_block(tour, &stats);
    sxvki_json_key_u64(json, "", tour->block);
    sxvki_json_begin(json, "{");
    sxvki_json_pair_u64(json, "MapRefCount", tour->maps);
    sxvki_json_begin_ranges(json, &stats);
    for (i = 0; i < tour->count; i++) {
        const sxvki_sight* sight = &tour->sights[i];
        sxvki_json_gap(json, end, sight->offset);
        sxvki_json_begin(json, "{");
        sxvki_json_pair_u64(json, "Offset", sight->offset);
        sxvki_json_allocation(json, tour->allocator, sight);
        sxvki_json_end(json, "}");
        end = sight->offset + sight->size;
    }
    sxvki_json_gap(json, end, tour->block_size);
    sxvki_json_end(json, "]");
    sxvki_json_end(json, "}");
}

/*  The members of the pool that a tour is at, inside of its object. */
SXVKI_COLD static void sxvki_json_pool(sxvki_json* json, sxvki_tour* tour) {
    uint32_t i;
    sxvki_json_pair_u64(json, "PreferredBlockSize", tour->max_block_size);
    sxvki_json_key(json, "Blocks");
    sxvki_json_begin(json, "{");
    while (sxvki_tour_next_block(tour)) {
        sxvki_tour_see_block(tour);
        sxvki_json_block(json, tour);
    }
    sxvki_json_end(json, "}");
    sxvki_json_key(json, "DedicatedAllocations");
    sxvki_json_begin(json, "[");
    sxvki_tour_see_dedicated(tour);
    for (i = 0; i < tour->count; i++) {
        sxvki_json_begin(json, "{");
        sxvki_json_allocation(json, tour->allocator, &tour->sights[i]);
        sxvki_json_end(json, "}");
    }
    sxvki_json_end(json, "]");
}

SXVKI_COLD static void sxvki_json_general(sxvki_json* json, const sxvki_device* device) {
    static const char device_types[][16] = {"OTHER", "INTEGRATED_GPU", "DISCRETE_GPU",
                                            "VIRTUAL_GPU", "CPU"};
    const VkPhysicalDeviceProperties* p = &device->vk.properties;
    uint32_t type = (uint32_t)p->deviceType;
    sxvki_line version;
    version.size = 0;
    sxvki_line_add_u64(&version, device->vk.version / 1000000, 10);
    sxvki_line_add(&version, ".");
    sxvki_line_add_u64(&version, device->vk.version / 1000 % 1000, 10);
    sxvki_json_key(json, "General");
    sxvki_json_begin(json, "{");
    sxvki_json_pair_string(json, "API", "Vulkan");
    sxvki_json_pair_string(json, "apiVersion", version.text);
    sxvki_json_pair_string(json, "GPU", p->deviceName);
    sxvki_json_pair_string(json, "deviceType", device_types[type < 5 ? type : 0]);
    sxvki_json_pair_u64(json, "maxMemoryAllocationCount", p->limits.maxMemoryAllocationCount);
    sxvki_json_pair_u64(json, "bufferImageGranularity", p->limits.bufferImageGranularity);
    sxvki_json_pair_u64(json, "nonCoherentAtomSize", p->limits.nonCoherentAtomSize);
    sxvki_json_pair_u64(json, "memoryHeapCount", device->model.properties.memoryHeapCount);
    sxvki_json_pair_u64(json, "memoryTypeCount", device->model.properties.memoryTypeCount);
    sxvki_json_end(json, "}");
}

SXVKI_COLD static const char* sxvki_level_name(uint32_t level) {
    static const char levels[SXVKI_LEVELS][9] = {"NORMAL", "WARNING", "CRITICAL", "OVER"};
    return levels[level];
}

SXVKI_COLD static void sxvki_json_level(sxvki_json* json, uint32_t level) {
    sxvki_json_pair_string(json, "PressureLevel", sxvki_level_name(level));
}

/*  An object of all modules by their names. */
SXVKI_COLD static void sxvki_json_modules(sxvki_json* json, sxvki_device* device) {
    const sxvki_modules* modules = &device->modules;
    uint32_t place;
    sxvki_json_key(json, "Modules");
    sxvki_json_begin(json, "{");
    for (place = 0; place < sxvki_load32(&modules->table.capacity); place++) {
        uint32_t id = sxvki_load32(&sxvki_module_at(modules, place)->id);
        SxvkModuleStatistics stats;
        char* name;
        if (sxvki_text_look_at_module(json->text, device, id, &stats, &name)) {
            sxvki_json_key(json, name);
            sxvki_json_begin(json, "{");
            sxvki_json_pair_u64(json, "Bytes", stats.allocationBytes);
            sxvki_json_pair_u64(json, "PeakBytes", stats.peakBytes);
            sxvki_json_pair_u64(json, "Allocations", stats.allocationCount);
            sxvki_json_pair_u64(json, "Fallbacks", stats.fallbackCount);
            sxvki_json_pair_u64(json, "SoftLimit", stats.softLimit);
            sxvki_json_level(json, (uint32_t)stats.level);
            sxvki_json_end(json, "}");
            sxvki_host_free(&device->host, name);
        }
    }
    sxvki_json_end(json, "}");
}

SXVKI_COLD static void sxvki_json_heaps(sxvki_json* json, const sxvki_device* device,
                                        const SxvkTotalStatistics* total) {
    const VkPhysicalDeviceMemoryProperties* p = &device->model.properties;
    uint32_t h, type;
    sxvki_json_key(json, "MemoryInfo");
    sxvki_json_begin(json, "{");
    for (h = 0; h < p->memoryHeapCount; h++) {
        uint64_t usage, budget;
        sxvki_budget_get(&device->budget, h, &usage, &budget);
        sxvki_json_key_u64(json, "Heap ", h);
        sxvki_json_begin(json, "{");
        sxvki_json_flags(json, sxvki_heap_flag_names, p->memoryHeaps[h].flags);
        sxvki_json_pair_u64(json, "Size", p->memoryHeaps[h].size);
        sxvki_json_key(json, "Budget");
        sxvki_json_begin(json, "{");
        sxvki_json_pair_u64(json, "BudgetBytes", budget);
        sxvki_json_pair_u64(json, "UsageBytes", usage);
        sxvki_json_level(json, sxvki_load32_relaxed(&device->pressure.heaps[h].level));
        sxvki_json_end(json, "}");
        sxvki_json_stats(json, &total->memoryHeap[h]);
        sxvki_json_key(json, "MemoryPools");
        sxvki_json_begin(json, "{");
        for (type = 0; type < p->memoryTypeCount; type++) {
            if (p->memoryTypes[type].heapIndex == h) {
                sxvki_json_key_u64(json, "Type ", type);
                sxvki_json_begin(json, "{");
                sxvki_json_flags(json, sxvki_type_flag_names, p->memoryTypes[type].propertyFlags);
                sxvki_json_stats(json, &total->memoryType[type]);
                sxvki_json_end(json, "}");
            }
        }
        sxvki_json_end(json, "}");
        sxvki_json_end(json, "}");
    }
    sxvki_json_end(json, "}");
}

/*  Custom pools of one memory type: an array under the type. */
SXVKI_COLD static void sxvki_json_custom_pools(sxvki_json* json, sxvki_tour* tour, uint32_t type) {
    uint64_t serial = UINT64_MAX;
    int any = 0;
    while (sxvki_tour_next_pool(tour, type, &serial)) {
        if (!any) {
            sxvki_json_key_u64(json, "Type ", type);
            sxvki_json_begin(json, "[");
            any = 1;
        }
        sxvki_json_begin(json, "{");
        if (tour->name != NULL) {
            sxvki_json_pair_string(json, "Name", tour->name);
        }
        if (tour->is_linear) {
            sxvki_json_pair_string(json, "Algorithm", "LinearAlgorithm");
        }
        sxvki_json_pool(json, tour);
        sxvki_json_end(json, "}");
    }
    if (any) {
        sxvki_json_end(json, "]");
    }
}

/*  The frame history as of one moment: an array to free, of *count frames. */
SXVKI_COLD static SxvkFrameStatistics* sxvki_history_copy(SxvkAllocator allocator,
                                                          uint32_t* count) {
    sxvki_history* history = &allocator->history;
    SxvkFrameStatistics* frames = (SxvkFrameStatistics*)sxvki_host_alloc(
        &allocator->device.host, ((size_t)history->capacity + 1) * sizeof *frames, 64);
    *count = frames != NULL ? sxvki_history_read(history, history->capacity, frames) : 0;
    return frames;
}

SXVKI_COLD static void sxvki_json_history(sxvki_json* json, SxvkAllocator allocator) {
    uint32_t i, count;
    SxvkFrameStatistics* frames = sxvki_history_copy(allocator, &count);
    json->text->failed |= frames == NULL;
    sxvki_json_key(json, "History");
    sxvki_json_begin(json, "[");
    for (i = 0; i < count; i++) {
        sxvki_json_begin(json, "{");
        sxvki_json_pair_u64(json, "Frame", frames[i].frameIndex);
        sxvki_json_pair_u64(json, "LiveBytes", frames[i].liveBytes);
        sxvki_json_pair_u64(json, "CommittedBytes", frames[i].committedBytes);
        sxvki_json_pair_u64(json, "Allocations", frames[i].allocationCount);
        sxvki_json_pair_u64(json, "Frees", frames[i].freeCount);
        sxvki_json_pair_u64(json, "DriverCalls", frames[i].driverCallCount);
        sxvki_json_pair_u64(json, "MovedBytes", frames[i].movedBytes);
        sxvki_json_end(json, "}");
    }
    sxvki_json_end(json, "]");
    sxvki_host_free(&allocator->device.host, frames);
}

#if !SX_VKALLOC_NO_DEFRAG
/*  What the library has moved by itself. */
SXVKI_COLD static void sxvki_json_moves(sxvki_json* json, sxvki_movables* movables) {
    SxvkMoveStatistics stats;
    sxvki_lock_take(&movables->lock);
    stats = movables->stats;
    sxvki_lock_drop(&movables->lock);
    if (stats.runCount == 0 && stats.passCount == 0) {
        return;
    }
    sxvki_json_key(json, "Moves");
    sxvki_json_begin(json, "{");
    sxvki_json_pair_u64(json, "Runs", stats.runCount);
    sxvki_json_pair_u64(json, "Passes", stats.passCount);
    sxvki_json_pair_u64(json, "Moves", stats.moveCount);
    sxvki_json_pair_u64(json, "Refused", stats.refusedCount);
    sxvki_json_pair_u64(json, "InFlight", stats.movesInFlight);
    sxvki_json_pair_u64(json, "BlocksFreed", stats.blocksFreed);
    sxvki_json_pair_u64(json, "MovedBytes", stats.bytesMoved);
    sxvki_json_pair_u64(json, "FreedBytes", stats.bytesFreed);
    sxvki_json_pair_u64(json, "InFlightBytes", stats.bytesInFlight);
    sxvki_json_pair_u64(json, "Microseconds", stats.microseconds);
    sxvki_json_pair_u64(json, "LongestMicroseconds", stats.longestMicroseconds);
    sxvki_json_pair_u64(json, "WastePercentBefore", (uint64_t)(stats.fragmentationBefore * 100));
    sxvki_json_pair_u64(json, "WastePercentAfter", (uint64_t)(stats.fragmentationAfter * 100));
    sxvki_json_end(json, "}");
}
#endif

/*  All pools: default ones under their type, custom ones in arrays under theirs. */
SXVKI_COLD static void sxvki_json_pools(sxvki_json* json, sxvki_tour* tour) {
    uint32_t count = tour->allocator->device.model.properties.memoryTypeCount;
    uint32_t type;
    sxvki_json_key(json, "DefaultPools");
    sxvki_json_begin(json, "{");
    for (type = 0; type < count; type++) {
        SxvkPool pool = sxvki_default_pool(tour->allocator, type);
        if (pool != NULL) {
            sxvki_tour_set_pool(tour, pool);
            sxvki_json_key_u64(json, "Type ", type);
            sxvki_json_begin(json, "{");
            sxvki_json_pool(json, tour);
            sxvki_json_end(json, "}");
        }
    }
    sxvki_json_end(json, "}");
    sxvki_json_key(json, "CustomPools");
    sxvki_json_begin(json, "{");
    for (type = 0; type < count; type++) {
        sxvki_json_custom_pools(json, tour, type);
    }
    sxvki_json_end(json, "}");
}

/*  An allocation that is being reported as a leak, with its stack: nobody else makes any now. */
SXVKI_COLD static void sxvki_json_leak(sxvki_json* json, SxvkAllocator allocator,
                                       const sxvki_sight* sight, uint32_t type) {
    sxvki_json_begin(json, "{");
    sxvki_json_allocation(json, allocator, sight);
    sxvki_json_pair_u64(json, "MemoryType", type);
#if SX_VKALLOC_STACK_TRACES
    if (sight->stack != SXVKI_NONE) {
        sxvki_stack_text stack;
        sxvki_stacks_describe((sxvki_stacks*)allocator->device.stacks, sight->stack, &stack);
        sxvki_json_pair_string(json, "Stack", stack.text);
    }
#endif
    sxvki_json_end(json, "}");
}

SXVKI_COLD static void sxvki_json_pool_leaks(sxvki_json* json, sxvki_tour* tour, uint32_t type) {
    int has_block;
    do {
        uint32_t i;
        has_block = sxvki_tour_next_block(tour);
        if (has_block) {
            sxvki_tour_see_block(tour);
        } else {
            sxvki_tour_see_dedicated(tour);
        }
        for (i = 0; i < tour->count; i++) {
            sxvki_json_leak(json, tour->allocator, &tour->sights[i], type);
        }
    } while (has_block);
}

/*  What nobody gave back, in an array. */
SXVKI_COLD static void sxvki_json_leaks(sxvki_json* json, sxvki_tour* tour) {
    uint32_t type;
    sxvki_json_key(json, "Leaks");
    sxvki_json_begin(json, "[");
    for (type = 0; type < tour->allocator->device.model.properties.memoryTypeCount; type++) {
        SxvkPool pool = sxvki_default_pool(tour->allocator, type);
        uint64_t serial = UINT64_MAX;
        if (pool != NULL) {
            sxvki_tour_set_pool(tour, pool);
            sxvki_json_pool_leaks(json, tour, type);
        }
        while (sxvki_tour_next_pool(tour, type, &serial)) {
            sxvki_json_pool_leaks(json, tour, type);
        }
    }
    sxvki_json_end(json, "]");
}

SXVKI_COLD static void sxvki_json_dump(sxvki_json* json, SxvkAllocator allocator, int detailed) {
    sxvki_device* device = &allocator->device;
    SxvkTotalStatistics total;
    sxvki_tour tour;
    memset(&tour, 0, sizeof tour);
    tour.allocator = allocator;
    sxvki_records_pin(&device->records);
    sxvki_tour_total(&tour, &total, NULL);
    sxvki_json_begin(json, "{");
    sxvki_json_general(json, device);
    sxvki_json_key(json, "Total");
    sxvki_json_begin(json, "{");
    sxvki_json_stats(json, &total.total);
    sxvki_json_end(json, "}");
    sxvki_json_heaps(json, device, &total);
    sxvki_json_modules(json, device);
    if (allocator->history.capacity != 0) {
        sxvki_json_history(json, allocator);
    }
#if !SX_VKALLOC_NO_DEFRAG
    sxvki_json_moves(json, &allocator->movables);
#endif
    if (allocator->tells_leaks) {
        sxvki_json_leaks(json, &tour);
    }
    if (detailed) {
        sxvki_json_pools(json, &tour);
    }
    sxvki_json_end(json, "}");
    sxvki_text_add(json->text, "\n");
    json->text->failed |= tour.failed;
    sxvki_tour_shutdown(&tour);
    sxvki_records_unpin(&device->records);
}

/* --- the report in words --- */

SXVKI_COLD static void sxvki_text_add_level(sxvki_text* text, uint32_t level) {
    sxvki_text_add(text, ", pressure ");
    sxvki_text_add(text, sxvki_level_name(level));
}

SXVKI_COLD static void sxvki_text_add_heap(sxvki_text* text, const sxvki_device* device,
                                           const SxvkTotalStatistics* total, uint32_t h) {
    const VkPhysicalDeviceMemoryProperties* p = &device->model.properties;
    uint64_t usage, budget;
    uint32_t type;
    sxvki_budget_get(&device->budget, h, &usage, &budget);
    sxvki_text_add(text, "heap ");
    sxvki_text_add_u64(text, h);
    sxvki_text_add(text, ", ");
    sxvki_text_add_flags(text, sxvki_heap_flag_names, p->memoryHeaps[h].flags, "|");
    sxvki_text_add(text, ", ");
    sxvki_text_add_bytes_of(text, p->memoryHeaps[h].size);
    sxvki_text_add(text, ": uses ");
    sxvki_text_add_bytes_of(text, usage);
    sxvki_text_add(text, " of a budget of ");
    sxvki_text_add_bytes_of(text, budget);
    sxvki_text_add_level(text, sxvki_load32_relaxed(&device->pressure.heaps[h].level));
    sxvki_text_add(text, "\n    ");
    sxvki_text_add_stats(text, &total->memoryHeap[h]);
    for (type = 0; type < p->memoryTypeCount; type++) {
        if (p->memoryTypes[type].heapIndex == h &&
            total->memoryType[type].statistics.blockCount != 0) {
            sxvki_text_add(text, "  type ");
            sxvki_text_add_u64(text, type);
            sxvki_text_add(text, ", ");
            sxvki_text_add_flags(text, sxvki_type_flag_names, p->memoryTypes[type].propertyFlags,
                                 "|");
            sxvki_text_add(text, "\n    ");
            sxvki_text_add_stats(text, &total->memoryType[type]);
        }
    }
}

/*  A line for each module: "module audio: 3 allocations, 1.50 MiB, at most 2.00 MiB; ...". */
SXVKI_COLD static void sxvki_text_add_modules(sxvki_text* text, sxvki_device* device) {
    const sxvki_modules* modules = &device->modules;
    uint32_t place;
    for (place = 0; place < sxvki_load32(&modules->table.capacity); place++) {
        uint32_t id = sxvki_load32(&sxvki_module_at(modules, place)->id);
        SxvkModuleStatistics stats;
        char* name;
        if (sxvki_text_look_at_module(text, device, id, &stats, &name)) {
            sxvki_text_add(text, "module ");
            sxvki_text_add_name(text, name);
            sxvki_text_add(text, ": ");
            sxvki_text_add_u64(text, stats.allocationCount);
            sxvki_text_add(text, " allocations, ");
            sxvki_text_add_bytes_of(text, stats.allocationBytes);
            sxvki_text_add(text, ", at most ");
            sxvki_text_add_bytes_of(text, stats.peakBytes);
            if (stats.softLimit != 0) {
                sxvki_text_add(text, "; soft limit ");
                sxvki_text_add_bytes_of(text, stats.softLimit);
                sxvki_text_add_level(text, (uint32_t)stats.level);
            }
            sxvki_text_add(text, "\n");
            sxvki_host_free(&device->host, name);
        }
    }
}

/*  The history in a line: what a frame did at most, and all did. */
SXVKI_COLD static void sxvki_text_add_history(sxvki_text* text, SxvkAllocator allocator) {
    uint64_t allocations = 0, frees = 0, calls = 0, live = 0, committed = 0;
    uint32_t i, count;
    SxvkFrameStatistics* frames = sxvki_history_copy(allocator, &count);
    text->failed |= frames == NULL;
    for (i = 0; i < count; i++) {
        allocations += frames[i].allocationCount;
        frees += frames[i].freeCount;
        calls += frames[i].driverCallCount;
        live = sxvki_max64(live, frames[i].liveBytes);
        committed = sxvki_max64(committed, frames[i].committedBytes);
    }
    sxvki_host_free(&allocator->device.host, frames);
    sxvki_text_add(text, "last ");
    sxvki_text_add_u64(text, count);
    sxvki_text_add(text, " frames: ");
    sxvki_text_add_u64(text, allocations);
    sxvki_text_add(text, " allocations, ");
    sxvki_text_add_u64(text, frees);
    sxvki_text_add(text, " frees, ");
    sxvki_text_add_u64(text, calls);
    sxvki_text_add(text, " driver calls; at most ");
    sxvki_text_add_bytes_of(text, live);
    sxvki_text_add(text, " live, ");
    sxvki_text_add_bytes_of(text, committed);
    sxvki_text_add(text, " committed\n");
}

SXVKI_COLD static void sxvki_text_add_largest(sxvki_text* text, sxvki_device* device,
                                              const sxvki_largest* largest) {
    SxvkModuleStatistics stats;
    char* module;
    uint32_t i;
    sxvki_text_add(text, largest->count != 0 ? "largest allocations\n" : "no allocations\n");
    for (i = 0; i < largest->count; i++) {
        const sxvki_large* item = &largest->items[i];
        sxvki_text_add(text, "    ");
        sxvki_text_add_bytes_of(text, item->size);
        sxvki_text_add(text, " of type ");
        sxvki_text_add_u64(text, item->type);
        sxvki_text_add(text, item->is_dedicated ? ", dedicated: " : ": ");
        sxvki_text_add_name(text, item->name);
        if (sxvki_text_look_at_module(text, device, item->module, &stats, &module)) {
            sxvki_text_add(text, ", module ");
            sxvki_text_add_name(text, module);
            sxvki_host_free(&device->host, module);
        }
        sxvki_text_add(text, "\n");
    }
}

SXVKI_COLD static void sxvki_text_report(sxvki_text* text, SxvkAllocator allocator) {
    sxvki_device* device = &allocator->device;
    SxvkTotalStatistics total;
    sxvki_largest largest;
    sxvki_text pools;
    sxvki_tour tour;
    uint32_t h;
    memset(&largest, 0, sizeof largest);
    memset(&tour, 0, sizeof tour);
    tour.allocator = allocator;
    tour.largest = &largest;
    sxvki_text_init(&pools, &device->host);
    sxvki_text_add(&pools, ""); /* so that there is one */
    sxvki_records_pin(&device->records);
    sxvki_tour_total(&tour, &total, &pools);
    sxvki_records_unpin(&device->records);
    sxvki_text_add(text, device->vk.properties.deviceName);
    sxvki_text_add(text, ", frame ");
    sxvki_text_add_u64(text, sxvki_load32_relaxed(&device->frame));
    sxvki_text_add(text, "\n    ");
    sxvki_text_add_stats(text, &total.total);
    for (h = 0; h < device->model.properties.memoryHeapCount; h++) {
        sxvki_text_add_heap(text, device, &total, h);
    }
    if (!pools.failed) {
        sxvki_text_add(text, pools.data);
    }
    sxvki_text_add_modules(text, device);
    sxvki_text_add_largest(text, device, &largest);
    if (allocator->history.capacity != 0) {
        sxvki_text_add_history(text, allocator);
    }
    text->failed |= pools.failed | tour.failed;
    sxvki_text_shutdown(&pools);
    sxvki_tour_shutdown(&tour);
}
#endif

/* ============================================================================================== */
/*  >>moves      moving what can be made again                                                    */
/* ============================================================================================== */
/*
    What drives a plan of >>defrag without the user: for each move it makes the resource again at
    the target, lets the commit take effect, records the copy, and tells. The commit comes first, so
    that it can still be refused: behind it nothing can fail. From then on the allocation is where
    the copy will be, and its former place belongs to the flight: claimed, so that nobody takes it
    for an allocation, until the device has copied. The victim counts a flight as a move that is
    open, so it is not taken apart before.

    Flights stand in a list by the value that ends them. A context that its user ends before its
    flights lives on without planning, and goes with the last of them.

    Only who moves, completes or ticks uses the list and the contexts, and the user keeps those
    calls apart. Other threads create and destroy: they meet it at the entries, see >>movable.
*/
#if !SX_VKALLOC_NO_DEFRAG

#define SXVKI_MOVER_BATCH 16u /* resources between two pairs of barriers */

/*  One call that moves. */
typedef struct sxvki_mover {
    SxvkDefragmentationContext context;
    const SxvkMoveInfo* info;
    const char* function; /* that the user has called */
    uint64_t began;
    uint64_t goal;  /* bytes to free; 0: all that pays */
    uint64_t bytes; /* moved */
    uint32_t moves;
    uint32_t refused;
    VkResult failure; /* the last one */
    uint32_t count;   /* of the batch: recorded together */
    sxvki_movable* batch[SXVKI_MOVER_BATCH];
    SxvkMoveUsage usages[SXVKI_MOVER_BATCH];
} sxvki_mover;

static void sxvki_movable_show(SxvkAllocator allocator, const sxvki_movable* m, int is_old,
                               SxvkMovableResource* shown) {
    memset(shown, 0, sizeof *shown);
    shown->allocation = m->allocation;
    shown->buffer = is_old ? m->old_buffer : m->buffer;
    shown->image = is_old ? m->old_image : m->image;
    shown->pBufferCreateInfo = m->buffer_info.sType != 0 ? &m->buffer_info : NULL;
    shown->pImageCreateInfo = m->image_info.sType != 0 ? &m->image_info : NULL;
    if (sxvki_allocation_is_valid(&allocator->device, m->allocation)) {
        SxvkAllocationInfo info;
        sxvki_get_info(allocator, sxvki_allocation_index(m->allocation), &info);
        shown->pUserData = info.pUserData;
    }
}

/*  A move of an entry is over, whichever way: it rests, or goes, if its owner has destroyed it. */
SXVKI_COLD static void sxvki_movable_rest(SxvkAllocator allocator, sxvki_movable* m) {
    sxvki_device* device = &allocator->device;
    sxvki_movable_fate fate;
    sxvki_lock_take(&allocator->movables.lock);
    m->state = SXVKI_MOVABLE_RESTING;
    fate = m->fate;
    sxvki_lock_drop(&allocator->movables.lock);
    if (fate == SXVKI_MOVABLE_LIVES) {
        return;
    }
    if (fate == SXVKI_MOVABLE_DEAD) {
        sxvki_destroy_pair(device, m->buffer, m->image);
    }
    if (m->dead_index != SXVKI_NONE) {
        sxvki_give(device, m->dead_index, NULL);
    }
    sxvki_movable_delete(&allocator->movables, &device->host, m);
}

/* --- one move --- */

/*  May it move, and what is it used for? */
SXVKI_COLD static int sxvki_mover_ask(sxvki_mover* mover, const sxvki_movable* m,
                                      SxvkMoveUsage* usage) {
    SxvkAllocator allocator = mover->context->run.allocator;
    VkSharingMode sharing =
        m->buffer != VK_NULL_HANDLE ? m->buffer_info.sharingMode : m->image_info.sharingMode;
    SxvkMovableResource shown;
    memset(usage, 0, sizeof *usage);
    usage->srcAccess = VK_ACCESS_MEMORY_WRITE_BIT;
    usage->dstAccess = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT;
    usage->oldLayout = VK_IMAGE_LAYOUT_MAX_ENUM;
    usage->queueFamilyIndex = mover->info->queueFamilyIndex;
    sxvki_movable_show(allocator, m, 0, &shown);
    if (!mover->info->pfnQuery(mover->info->pUserData, &shown, usage) ||
        (sharing == VK_SHARING_MODE_EXCLUSIVE &&
         usage->queueFamilyIndex != mover->info->queueFamilyIndex)) {
        return 0;
    }
    usage->srcStages =
        usage->srcStages != 0 ? usage->srcStages : (VkFlags)VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    usage->dstStages =
        usage->dstStages != 0 ? usage->dstStages : (VkFlags)VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    if (m->image == VK_NULL_HANDLE) {
        return 1;
    }
    if (usage->newLayout == VK_IMAGE_LAYOUT_UNDEFINED) {
        usage->newLayout = usage->oldLayout;
    }
    if (usage->oldLayout == VK_IMAGE_LAYOUT_MAX_ENUM ||
        usage->newLayout == VK_IMAGE_LAYOUT_PREINITIALIZED) {
        sxvki_report(&allocator->device.reporter, SXVK_MESSAGE_BAD_ENUM, "pfnQuery",
                     "pUsage->oldLayout or newLayout");
        return 0;
    }
    return 1;
}

static int sxvki_mover_by_cpu(const sxvki_mover* mover, const sxvki_movable* m,
                              const SxvkMoveUsage* usage) {
    const sxvki_device* device = &mover->context->run.allocator->device;
    const sxvki_block* block = sxvki_block_of(device, sxvki_allocation_index(m->allocation));
    return (mover->info->flags & SXVK_MOVE_CPU_COPY_BIT) != 0 && usage->isIdle &&
           m->buffer != VK_NULL_HANDLE &&
           (sxvki_type_flags(device, block->type) & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0;
}

/*  Does the target hold what was made? It does where the driver asks for the same as before. */
static int sxvki_target_fits(const sxvki_device* device, SxvkAllocation target,
                             const VkMemoryRequirements* needs) {
    sxvki_view view = sxvki_look(device, sxvki_allocation_index(target));
    return needs->size <= view.size && view.offset % needs->alignment == 0 &&
           ((needs->memoryTypeBits >> view.block->type) & 1) != 0;
}

/*  Make the resource again, at the target. */
SXVKI_COLD static VkResult sxvki_movable_remake(const sxvki_device* device, const sxvki_movable* m,
                                                SxvkAllocation target, VkBuffer* buffer,
                                                VkImage* image) {
    sxvki_resource r = m->buffer != VK_NULL_HANDLE ? sxvki_resource_buffer(buffer, &m->buffer_info)
                                                   : sxvki_resource_image(image, &m->image_info);
    VkMemoryRequirements needs;
    VkResult result;
    *buffer = VK_NULL_HANDLE;
    *image = VK_NULL_HANDLE;
    result = sxvki_resource_make(device, &r);
    if (result != VK_SUCCESS) {
        return result;
    }
    sxvki_resource_needs(&device->vk, &r, &needs);
    result = sxvki_target_fits(device, target, &needs)
                 ? sxvki_resource_bind(device, &r, sxvki_allocation_index(target), 0)
                 : VK_ERROR_FEATURE_NOT_PRESENT;
    if (result != VK_SUCCESS) {
        sxvki_resource_unmake(device, &r);
    }
    return result;
}

/*  Copy a buffer that nobody uses. */
SXVKI_COLD static VkResult sxvki_movable_copy(sxvki_device* device, const sxvki_movable* m,
                                              SxvkAllocation target) {
    sxvki_view from = sxvki_look(device, sxvki_allocation_index(m->allocation));
    sxvki_view to = sxvki_look(device, sxvki_allocation_index(target));
    VkDeviceSize offset = 0, size = m->buffer_info.size;
    void *source, *copy;
    VkResult result = sxvki_block_map(device, from.block, &source);
    if (result != VK_SUCCESS) {
        return result;
    }
    result = sxvki_block_map(device, to.block, &copy);
    if (result == VK_SUCCESS) {
        result = sxvki_flush(device, SXVKI_CACHE_INVALIDATE, 1, &m->allocation, &offset, &size);
        if (result == VK_SUCCESS) {
            memcpy((char*)copy + to.offset, (char*)source + from.offset, (size_t)size);
            result = sxvki_flush(device, SXVKI_CACHE_FLUSH, 1, &target, &offset, &size);
        }
        sxvki_block_unmap(device, to.block);
    }
    sxvki_block_unmap(device, from.block);
    return result;
}

/*  Let the move take effect, with the victim held. Returns 0 where it does not: it was freed, or is
    mapped; what is left to do about the move is done, and the new resource
    destroyed before anybody else can have its place. */
SXVKI_COLD static int sxvki_mover_commit(sxvki_mover* mover, sxvki_move* move, uint32_t* left,
                                         VkBuffer buffer, VkImage image) {
    sxvki_defrag* d = &mover->context->run;
    sxvki_move_result result;
    move->hunt->open++;
    result = sxvki_defrag_commit(d, move, left);
    if (result == SXVKI_MOVE_DONE) {
        return 1;
    }
    sxvki_destroy_pair(&d->allocator->device, buffer, image);
    sxvki_hunt_close(d, move->hunt);
    if (result != SXVKI_MOVE_GONE) {
        sxvki_defrag_cancel(d, move);
    } else if (*left != SXVKI_NONE) {
        sxvki_give(&d->allocator->device, *left, NULL);
        sxvki_doubles_drop(&d->allocator->device, 1);
    }
    return 0;
}

/*  The old resource and its place are the flight's from now on. */
SXVKI_COLD static void sxvki_movable_depart(sxvki_mover* mover, sxvki_movable* m,
                                            const sxvki_move* move, uint32_t left, VkBuffer buffer,
                                            VkImage image) {
    sxvki_movables* movables = &mover->context->run.allocator->movables;
    sxvki_lock_take(&movables->lock);
    m->old_buffer = m->buffer;
    m->old_image = m->image;
    m->old_range = left;
    m->old_bytes = move->size << SXVKI_GRANULE_SHIFT;
    m->buffer = buffer;
    m->image = image;
    m->hunt = move->hunt;
    m->context = mover->context;
    m->value = mover->info->value;
    m->next_flight = NULL;
    m->state = SXVKI_MOVABLE_FLYING;
    movables->stats.movesInFlight++;
    movables->stats.bytesInFlight += m->old_bytes;
    sxvki_lock_drop(&movables->lock);
    m->context->flights++;
}

/*  It lands when the device has reached its value. */
SXVKI_COLD static void sxvki_movable_wait(sxvki_movables* movables, sxvki_movable* m) {
    sxvki_lock_take(&movables->lock);
    if (movables->last_flight != NULL) {
        movables->last_flight->next_flight = m;
    } else {
        movables->first_flight = m;
    }
    movables->last_flight = m;
    movables->last_value = m->value;
    sxvki_lock_drop(&movables->lock);
}

/*  A flight has landed, and is in the list no more. */
SXVKI_COLD static void sxvki_movable_land(SxvkAllocator allocator, sxvki_movable* m,
                                          sxvki_returns* returns) {
    SxvkDefragmentationContext context = m->context;
    sxvki_device* device = &allocator->device;
    sxvki_lock_take(&allocator->movables.lock);
    allocator->movables.stats.movesInFlight--;
    allocator->movables.stats.bytesInFlight -= m->old_bytes;
    sxvki_lock_drop(&allocator->movables.lock);
    sxvki_destroy_pair(device, m->old_buffer, m->old_image);
    if (m->old_range != SXVKI_NONE) {
        sxvki_give_later(device, returns, m->old_range, NULL);
        sxvki_doubles_drop(device, 1);
    } else {
        sxvki_slot_left(device, m->allocation);
    }
    sxvki_hunt_close(&context->run, m->hunt);
    context->flights--;
    sxvki_movable_rest(allocator, m);
}

/* --- recording --- */

static void sxvki_image_barrier(VkImageMemoryBarrier* barrier, const sxvki_movable* m,
                                VkImage image, VkAccessFlags from, VkAccessFlags to,
                                VkImageLayout old_layout, VkImageLayout new_layout) {
    memset(barrier, 0, sizeof *barrier);
    barrier->sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER;
    barrier->srcAccessMask = from;
    barrier->dstAccessMask = to;
    barrier->oldLayout = old_layout;
    barrier->newLayout = new_layout;
    barrier->srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    barrier->dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    barrier->image = image;
    barrier->subresourceRange.aspectMask = sxvki_format_aspects(m->image_info.format);
    barrier->subresourceRange.levelCount = m->image_info.mipLevels;
    barrier->subresourceRange.layerCount = m->image_info.arrayLayers;
}

/*  All that came before is visible to the copies; the images are in the layouts for them. One
    barrier for all buffers: to name each costs the driver more than it saves the device. */
SXVKI_COLD static void sxvki_mover_record_before(const sxvki_mover* mover) {
    const sxvki_vk* vk = &mover->context->run.allocator->device.vk;
    VkImageMemoryBarrier images[2 * SXVKI_MOVER_BATCH];
    VkPipelineStageFlags stages = 0;
    VkMemoryBarrier memory;
    uint32_t i, count = 0;
    memset(&memory, 0, sizeof memory);
    memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    memory.dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    for (i = 0; i < mover->count; i++) {
        const sxvki_movable* m = mover->batch[i];
        const SxvkMoveUsage* usage = &mover->usages[i];
        stages |= usage->srcStages;
        memory.srcAccessMask |= usage->srcAccess;
        if (m->image != VK_NULL_HANDLE) {
            sxvki_image_barrier(&images[count++], m, m->old_image, usage->srcAccess,
                                VK_ACCESS_TRANSFER_READ_BIT, usage->oldLayout,
                                VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
            sxvki_image_barrier(&images[count++], m, m->image, 0, VK_ACCESS_TRANSFER_WRITE_BIT,
                                VK_IMAGE_LAYOUT_UNDEFINED, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
        }
    }
    vk->fn.vkCmdPipelineBarrier(mover->info->commandBuffer, stages, VK_PIPELINE_STAGE_TRANSFER_BIT,
                                0, 1, &memory, 0, NULL, count, images);
}

SXVKI_COLD static void sxvki_mover_record_after(const sxvki_mover* mover) {
    const sxvki_vk* vk = &mover->context->run.allocator->device.vk;
    VkImageMemoryBarrier images[SXVKI_MOVER_BATCH];
    VkPipelineStageFlags stages = 0;
    VkMemoryBarrier memory;
    uint32_t i, count = 0;
    memset(&memory, 0, sizeof memory);
    memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    memory.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    for (i = 0; i < mover->count; i++) {
        const sxvki_movable* m = mover->batch[i];
        const SxvkMoveUsage* usage = &mover->usages[i];
        stages |= usage->dstStages;
        memory.dstAccessMask |= usage->dstAccess;
        if (m->image != VK_NULL_HANDLE) {
            sxvki_image_barrier(&images[count++], m, m->image, VK_ACCESS_TRANSFER_WRITE_BIT,
                                usage->dstAccess, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                                usage->newLayout);
        }
    }
    vk->fn.vkCmdPipelineBarrier(mover->info->commandBuffer, VK_PIPELINE_STAGE_TRANSFER_BIT, stages,
                                0, 1, &memory, 0, NULL, count, images);
}

static uint32_t sxvki_mip_extent(uint32_t extent, uint32_t mip) {
    return extent >> mip != 0 ? extent >> mip : 1;
}

SXVKI_COLD static void sxvki_record_image_copy(const sxvki_vk* vk, VkCommandBuffer commands,
                                               const sxvki_movable* m) {
    VkImageCopy regions[SXVKI_MIPS_MAX];
    uint32_t mip;
    memset(regions, 0, sizeof regions);
    for (mip = 0; mip < m->image_info.mipLevels; mip++) {
        VkImageCopy* region = &regions[mip];
        region->srcSubresource.aspectMask = sxvki_format_aspects(m->image_info.format);
        region->srcSubresource.mipLevel = mip;
        region->srcSubresource.layerCount = m->image_info.arrayLayers;
        region->dstSubresource = region->srcSubresource;
        region->extent.width = sxvki_mip_extent(m->image_info.extent.width, mip);
        region->extent.height = sxvki_mip_extent(m->image_info.extent.height, mip);
        region->extent.depth = sxvki_mip_extent(m->image_info.extent.depth, mip);
    }
    vk->fn.vkCmdCopyImage(commands, m->old_image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, m->image,
                          VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, m->image_info.mipLevels, regions);
}

static void sxvki_mover_tell(const sxvki_mover* mover, const sxvki_movable* m) {
    SxvkMovableResource before, after;
    sxvki_movable_show(mover->context->run.allocator, m, 1, &before);
    sxvki_movable_show(mover->context->run.allocator, m, 0, &after);
    mover->info->pfnMoved(mover->info->pUserData, &before, &after);
}

/*  Record the batch, and tell of it. */
SXVKI_COLD static void sxvki_mover_flush(sxvki_mover* mover) {
    const sxvki_vk* vk = &mover->context->run.allocator->device.vk;
    uint32_t i;
    if (mover->count == 0) {
        return;
    }
    sxvki_mover_record_before(mover);
    for (i = 0; i < mover->count; i++) {
        const sxvki_movable* m = mover->batch[i];
        if (m->image != VK_NULL_HANDLE) {
            sxvki_record_image_copy(vk, mover->info->commandBuffer, m);
        } else {
            VkBufferCopy all;
            memset(&all, 0, sizeof all);
            all.size = m->buffer_info.size;
            vk->fn.vkCmdCopyBuffer(mover->info->commandBuffer, m->old_buffer, m->buffer, 1, &all);
        }
    }
    sxvki_mover_record_after(mover);
    for (i = 0; i < mover->count; i++) {
        sxvki_mover_tell(mover, mover->batch[i]);
    }
    mover->count = 0;
}

/* --- a call --- */

/*  Move what was asked about: make, copy or record, commit. Returns 0 where it stays; the move is
    over then. */
SXVKI_COLD static int sxvki_mover_move(sxvki_mover* mover, sxvki_movable* m, sxvki_move* move,
                                       const SxvkMoveUsage* usage) {
    SxvkAllocator allocator = mover->context->run.allocator;
    sxvki_device* device = &allocator->device;
    int by_cpu = sxvki_mover_by_cpu(mover, m, usage);
    int is_empty = m->image != VK_NULL_HANDLE && usage->oldLayout == VK_IMAGE_LAYOUT_UNDEFINED;
    VkResult result = VK_SUCCESS;
    VkBuffer buffer;
    VkImage image;
    uint32_t left;
    if (!by_cpu && !is_empty && mover->info->commandBuffer == VK_NULL_HANDLE) {
        sxvki_defrag_cancel(&mover->context->run, move);
        return 0;
    }
    result = sxvki_movable_remake(device, m, move->target, &buffer, &image);
    if (result == VK_SUCCESS && by_cpu) {
        result = sxvki_movable_copy(device, m, move->target);
    }
    if (result != VK_SUCCESS) {
        mover->failure = result;
        sxvki_destroy_pair(device, buffer, image);
        sxvki_defrag_cancel(&mover->context->run, move);
        return 0;
    }
    if (!sxvki_mover_commit(mover, move, &left, buffer, image)) {
        return 0;
    }
    sxvki_movable_depart(mover, m, move, left, buffer, image);
    if (!by_cpu) {
        sxvki_movable_wait(&allocator->movables, m);
    }
    if (!by_cpu && !is_empty) {
        mover->usages[mover->count] = *usage;
        mover->batch[mover->count++] = m;
        return 1;
    }
    sxvki_mover_tell(mover, m);
    if (by_cpu) {
        sxvki_returns returns;
        returns.domain = NULL;
        returns.count = 0;
        sxvki_movable_land(allocator, m, &returns);
        sxvki_returns_flush(&returns);
    }
    return 1;
}

/*  A step has said READY: take its move. VK_INCOMPLETE: the call has moved its share. */
SXVKI_COLD static VkResult sxvki_mover_add(sxvki_mover* mover) {
    SxvkDefragmentationContext context = mover->context;
    sxvki_defrag* d = &context->run;
    SxvkAllocator allocator = d->allocator;
    uint64_t size = sxvki_queue_first(&d->plan)->size << SXVKI_GRANULE_SHIFT;
    SxvkMoveUsage usage;
    sxvki_movable* m;
    sxvki_move move;
    VkResult result;
    if ((mover->bytes != 0 && mover->bytes + size > context->max_bytes) ||
        mover->moves == context->max_moves) {
        return VK_INCOMPLETE;
    }
    result = sxvki_defrag_next(d, &move, mover->function);
    if (result != VK_SUCCESS) {
        return result < 0 ? result : VK_SUCCESS;
    }
    m = sxvki_movable_take(&allocator->movables, move.source);
    if (m == NULL) { /* destroyed meanwhile */
        sxvki_defrag_cancel(d, &move);
        return VK_SUCCESS;
    }
    if (!sxvki_mover_ask(mover, m, &usage)) {
        sxvki_defrag_cancel(d, &move);
    } else if (sxvki_mover_move(mover, m, &move, &usage)) {
        mover->bytes += size;
        mover->moves++;
        if (mover->count == SXVKI_MOVER_BATCH) {
            sxvki_mover_flush(mover);
        }
        return VK_SUCCESS;
    }
    mover->refused++;
    sxvki_movable_rest(allocator, m);
    return VK_SUCCESS;
}

/*  Bytes of the blocks that are free, and of those that will be once all flights have landed. */
static uint64_t sxvki_defrag_promised(const sxvki_defrag* d) {
    return d->bytes_freed + (d->promised << SXVKI_GRANULE_SHIFT);
}

static int sxvki_mover_is_over(const sxvki_mover* mover) {
    const SxvkDefragmentationContext context = mover->context;
    uint64_t most = mover->info->maxMicroseconds;
    return (most != 0 && sxvki_microseconds() - mover->began >= most) ||
           (mover->goal != 0 && sxvki_defrag_promised(&context->run) >= mover->goal) ||
           sxvki_pass_is_over(context, mover->began);
}

/*  What a call has done, for sxvkGetMoveStatistics. */
SXVKI_COLD static void sxvki_mover_account(sxvki_mover* mover) {
    SxvkDefragmentationContext context = mover->context;
    sxvki_movables* movables = &context->run.allocator->movables;
    SxvkMoveStatistics* stats = &movables->stats;
    uint64_t took = sxvki_microseconds() - mover->began;
    sxvki_lock_take(&movables->lock);
    stats->passCount += mover->moves != 0;
    stats->moveCount += mover->moves;
    stats->bytesMoved += mover->bytes;
    stats->refusedCount += mover->refused;
    stats->microseconds += took;
    stats->longestMicroseconds = sxvki_max64(stats->longestMicroseconds, took);
    sxvki_lock_drop(&movables->lock);
    sxvki_context_tell(context);
}

SXVKI_COLD static VkResult sxvki_record_moves(SxvkDefragmentationContext context,
                                              const SxvkMoveInfo* info, uint64_t goal,
                                              const char* function) {
    sxvki_defrag* d = &context->run;
    sxvki_mover mover;
    VkResult result = VK_INCOMPLETE;
    mover.context = context;
    mover.info = info;
    mover.function = function;
    mover.began = sxvki_microseconds();
    mover.goal = goal;
    mover.bytes = 0;
    mover.moves = 0;
    mover.refused = 0;
    mover.failure = VK_SUCCESS;
    mover.count = 0;
    sxvki_records_pin(&d->allocator->device.records);
    do {
        result = sxvki_defrag_step(d);
        if (result == SXVKI_DEFRAG_READY) {
            result = sxvki_mover_add(&mover);
            if (result != VK_SUCCESS) {
                break;
            }
        } else if (result != SXVKI_DEFRAG_MORE) {
            break;
        }
        result = VK_INCOMPLETE;
    } while (!sxvki_mover_is_over(&mover));
    sxvki_records_unpin(&d->allocator->device.records);
    sxvki_mover_flush(&mover);
    sxvki_mover_account(&mover);
    if (mover.moves == 0 && (mover.failure != VK_SUCCESS || result < 0)) {
        return result < 0 ? result : mover.failure;
    }
    if (result == SXVKI_DEFRAG_DONE && d->phase != SXVKI_PHASE_DONE) {
        return mover.moves == 0 ? VK_NOT_READY : VK_INCOMPLETE; /* flights first */
    }
    return result < 0 || (result == SXVKI_DEFRAG_DONE && context->flights != 0) ? VK_INCOMPLETE
                                                                                : result;
}

/* --- contexts and flights --- */

/*  The user is done with a context; its flights may not be. */
SXVKI_COLD static void sxvki_leave_context(SxvkDefragmentationContext context,
                                           SxvkDefragmentationStats* stats) {
    if (context->flights == 0) {
        sxvki_end_defragmentation(context, stats);
        return;
    }
    sxvki_records_pin(&context->run.allocator->device.records);
    sxvki_defrag_wind_up(&context->run);
    sxvki_records_unpin(&context->run.allocator->device.records);
    if (stats != NULL) {
        sxvki_defrag_get_stats(&context->run, stats);
    }
    context->is_ended = 1;
}

#define SXVKI_FLIGHTS_PORTION 64u /* that are taken out under one lock */

/*  Out of the list, but in its order, some of those that have landed; null: none has. Pools may go
    at the same time in several threads. */
SXVKI_COLD static sxvki_movable* sxvki_flights_take(sxvki_movables* movables, uint64_t value,
                                                    int any, SxvkPool pool) {
    uint32_t most = any ? UINT32_MAX : SXVKI_FLIGHTS_PORTION;
    sxvki_movable** link = &movables->first_flight;
    sxvki_movable* last = NULL;
    sxvki_movable* taken = NULL;
    sxvki_movable** end = &taken;
    sxvki_lock_take(&movables->lock);
    while (*link != NULL && most != 0 && (any || (*link)->value <= value)) {
        sxvki_movable* m = *link;
        if (any && pool != NULL && m->pool != pool) {
            last = m;
            link = &m->next_flight;
        } else {
            *link = m->next_flight;
            *end = m;
            end = &m->next_flight;
            most--;
        }
    }
    *end = NULL;
    if (*link == NULL) {
        movables->last_flight = last;
    }
    sxvki_lock_drop(&movables->lock);
    return taken;
}

/*  End the flights up to a value, or those of a pool, which goes; null: all of them. */
SXVKI_COLD static void sxvki_flights_land(SxvkAllocator allocator, uint64_t value, int any,
                                          SxvkPool pool) {
    sxvki_movable* m = NULL;
    sxvki_returns returns;
    returns.domain = NULL;
    returns.count = 0;
    while (m != NULL || (m = sxvki_flights_take(&allocator->movables, value, any, pool)) != NULL) {
        sxvki_movable* next = m->next_flight;
        SxvkDefragmentationContext context = m->context;
        sxvki_movable_land(allocator, m, &returns);
        if (context->flights == 0 && context->is_ended) {
            sxvki_returns_flush(&returns);
            sxvki_end_defragmentation(context, NULL);
        }
        m = next;
    }
    sxvki_returns_flush(&returns);
}

/*  A pool goes, or is reset; null: the allocator goes. The device is done with what lives there. */
SXVKI_COLD static void sxvki_moves_leave(SxvkAllocator allocator, SxvkPool pool) {
    sxvki_flights_land(allocator, 0, 1, pool);
    sxvki_movables_forget(&allocator->movables, &allocator->device.host, pool);
}

/*  A run of the library's own. */
SXVKI_COLD static VkResult sxvki_begin_run(SxvkAllocator allocator, SxvkDefragmentationFlags flags,
                                           SxvkPool pool, SxvkDefragmentationContext* context) {
    SxvkDefragmentationInfo info;
    VkResult result;
    memset(&info, 0, sizeof info);
    info.flags = flags | SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT;
    info.pool = pool;
    result = sxvki_begin_defragmentation(allocator, &info, context);
    if (result == VK_SUCCESS) {
        sxvki_lock_take(&allocator->movables.lock);
        allocator->movables.stats.runCount++;
        sxvki_lock_drop(&allocator->movables.lock);
    }
    return result;
}

/*  Empty the one block, if it is one that can be. */
SXVKI_COLD static VkResult sxvki_begin_evacuation(SxvkAllocator allocator,
                                                  SxvkAllocation allocation,
                                                  const SxvkDefragmentationInfo* info,
                                                  SxvkDefragmentationContext* context) {
    sxvki_block* block = sxvki_block_of(&allocator->device, sxvki_allocation_index(allocation));
    SxvkDefragmentationInfo all = *info;
    VkResult result;
    if (block->domain == NULL || sxvki_pool_is_linear(block->pool)) {
        return VK_ERROR_FEATURE_NOT_PRESENT;
    }
    all.pool = block->pool;
    all.flags &= ~(VkFlags)SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_MASK;
    all.flags |= SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT;
    all.flags &= ~(VkFlags)SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT;
    if (sxvki_movable_exists(&allocator->movables, allocation)) {
        all.flags |= SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT;
    }
    result = sxvki_begin_defragmentation(allocator, &all, context);
    if (result == VK_SUCCESS) {
        (*context)->run.only_block = block->id;
    }
    return result;
}

/* --- ticks --- */

#define SXVKI_TICK_CALM  60u /* ticks of rest after a run */
#define SXVKI_TICK_LOOK  8u  /* ticks between looks at the counters */
#define SXVKI_TICK_BYTES ((uint64_t)16 << 20)
#define SXVKI_TICK_TIME  500u

/*  What the default pools hold, by heap. */
SXVKI_COLD static void sxvki_tick_survey(SxvkAllocator allocator, SxvkStatistics* heaps,
                                         SxvkStatistics* all) {
    uint32_t type, h;
    memset(heaps, 0, VK_MAX_MEMORY_HEAPS * sizeof *heaps);
    memset(all, 0, sizeof *all);
    for (type = 0; type < allocator->device.model.properties.memoryTypeCount; type++) {
        SxvkPool pool = sxvki_default_pool(allocator, type);
        if (pool != NULL) {
            sxvki_pool_add(pool, &heaps[sxvki_type_heap(&allocator->device, type)]);
        }
    }
    for (h = 0; h < VK_MAX_MEMORY_HEAPS; h++) {
        all->blockBytes += heaps[h].blockBytes;
        all->allocationBytes += heaps[h].allocationBytes;
    }
}

static uint64_t sxvki_waste_of(const SxvkStatistics* stats) {
    return stats->blockBytes - sxvki_min64(stats->allocationBytes, stats->blockBytes);
}

static float sxvki_fragmentation_of(const SxvkStatistics* stats) {
    return stats->blockBytes == 0
               ? 0.0f
               : (float)((double)sxvki_waste_of(stats) / (double)stats->blockBytes);
}

/*  Is there a heap over its budget in which a good part is not used? */
static int sxvki_tick_is_tight(SxvkAllocator allocator, const SxvkStatistics* heaps) {
    uint32_t h;
    for (h = 0; h < allocator->device.model.properties.memoryHeapCount; h++) {
        uint64_t usage, limit;
        sxvki_budget_get(&allocator->device.budget, h, &usage, &limit);
        if (usage > limit && sxvki_waste_of(&heaps[h]) > heaps[h].blockBytes / 16) {
            return 1;
        }
    }
    return 0;
}

/*  Is it time for a run? Not for what the last one has left, however much that is. */
SXVKI_COLD static int sxvki_tick_wants(SxvkAllocator allocator,
                                       const SxvkDefragmentationTickInfo* info,
                                       SxvkDefragmentationFlags* flags) {
    sxvki_movables* movables = &allocator->movables;
    double share = info->wasteShare != 0.0f ? (double)info->wasteShare : 0.25;
    SxvkStatistics heaps[VK_MAX_MEMORY_HEAPS];
    SxvkStatistics all;
    uint64_t waste, rest;
    int is_idle = (info->flags & SXVK_DEFRAGMENTATION_TICK_IDLE_BIT) != 0;
    int is_tight;
    if (sxvki_load32_relaxed(&movables->count) == 0 || movables->calm < SXVKI_TICK_CALM ||
        movables->calm % SXVKI_TICK_LOOK != 0) {
        return 0;
    }
    sxvki_tick_survey(allocator, heaps, &all);
    waste = sxvki_waste_of(&all);
    movables->rest = sxvki_min64(movables->rest, waste);
    is_tight = sxvki_tick_is_tight(allocator, heaps);
    share = is_idle ? share / 2 : share;
    rest = (is_idle || is_tight) && !movables->was_full ? 0 : movables->rest;
    if (waste - rest < all.blockBytes / 16 || waste == 0 ||
        (!is_tight && (double)waste < share * (double)all.blockBytes)) {
        return 0;
    }
    movables->was_full = is_idle || is_tight;
    *flags = movables->was_full ? SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_FULL_BIT
                                : SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_BALANCED_BIT;
    if (info->flags & SXVK_DEFRAGMENTATION_TICK_MOVE_MAPPED_BIT) {
        *flags |= SXVK_DEFRAGMENTATION_FLAG_MOVE_MAPPED_BIT;
    }
    sxvki_lock_take(&movables->lock);
    movables->stats.fragmentationBefore = sxvki_fragmentation_of(&all);
    sxvki_lock_drop(&movables->lock);
    return 1;
}

SXVKI_COLD static void sxvki_tick_end(SxvkAllocator allocator) {
    sxvki_movables* movables = &allocator->movables;
    SxvkStatistics heaps[VK_MAX_MEMORY_HEAPS];
    SxvkStatistics all;
    sxvki_leave_context(movables->tick, NULL);
    movables->tick = NULL;
    movables->calm = 0;
    sxvki_tick_survey(allocator, heaps, &all);
    movables->rest = sxvki_waste_of(&all);
    sxvki_lock_take(&movables->lock);
    movables->stats.fragmentationAfter = sxvki_fragmentation_of(&all);
    sxvki_lock_drop(&movables->lock);
}

SXVKI_COLD static VkResult sxvki_tick(SxvkAllocator allocator,
                                      const SxvkDefragmentationTickInfo* info) {
    sxvki_movables* movables = &allocator->movables;
    uint64_t revivals = sxvki_load64(&allocator->device.revivals);
    SxvkDefragmentationFlags flags = 0;
    SxvkMoveInfo moves = info->moves;
    VkResult result;
    if (movables->tick != NULL && movables->seen_revivals != revivals) {
        sxvki_defrag_stop(&movables->tick->run); /* somebody needs the room */
    }
    if (movables->tick == NULL) {
        movables->calm++;
        if (!sxvki_tick_wants(allocator, info, &flags)) {
            return VK_SUCCESS;
        }
        result = sxvki_begin_run(allocator, flags, VK_NULL_HANDLE, &movables->tick);
        if (result != VK_SUCCESS) {
            movables->tick = NULL;
            movables->calm = 0;
            return result;
        }
        movables->seen_revivals = revivals;
    }
    moves.maxMicroseconds = moves.maxMicroseconds != 0 ? moves.maxMicroseconds : SXVKI_TICK_TIME;
    movables->tick->max_bytes = info->maxBytes != 0 ? info->maxBytes : SXVKI_TICK_BYTES;
    movables->tick->run.max_size = movables->tick->max_bytes >> SXVKI_GRANULE_SHIFT;
    result = sxvki_record_moves(movables->tick, &moves, 0, "sxvkDefragmentationTick");
    if (result == VK_SUCCESS) {
        sxvki_tick_end(allocator);
    }
    return result == VK_NOT_READY ? VK_INCOMPLETE : result;
}

/* --- room for a request --- */

/*  Free or promise *size bytes less what one type can give. A block of the size of what is wanted
    would be no gain, so none is made. */
SXVKI_COLD static VkResult sxvki_make_room_in(SxvkPool pool, const SxvkMoveInfo* info,
                                              uint64_t* freed, uint64_t* promised, uint64_t size) {
    SxvkAllocator allocator = pool->device->allocator;
    SxvkDefragmentationFlags flags = SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT;
    SxvkDefragmentationContext context;
    VkResult result;
    if (info->flags & SXVK_MOVE_MAPPED_BIT) {
        flags |= SXVK_DEFRAGMENTATION_FLAG_MOVE_MAPPED_BIT;
    }
    result = sxvki_begin_run(allocator, flags, pool, &context);
    if (result != VK_SUCCESS) {
        return result;
    }
    context->run.new_price = 0;
    result = sxvki_record_moves(context, info, size, "sxvkMakeRoom");
    *promised += sxvki_defrag_promised(&context->run) - context->run.bytes_freed;
    *freed += context->run.bytes_freed;
    sxvki_leave_context(context, NULL);
    return result < 0 ? result : VK_SUCCESS;
}

SXVKI_COLD static VkResult sxvki_make_room(SxvkAllocator allocator, uint32_t heap, uint64_t size,
                                           const SxvkMoveInfo* info) {
    const sxvki_device* device = &allocator->device;
    uint64_t freed = 0, promised = 0;
    VkResult failure = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    uint32_t type;
    for (type = 0; type < device->model.properties.memoryTypeCount; type++) {
        SxvkPool pool = sxvki_default_pool(allocator, type);
        if (pool != NULL && sxvki_type_heap(device, type) == heap && freed + promised < size) {
            VkResult result =
                sxvki_make_room_in(pool, info, &freed, &promised, size - freed - promised);
            failure = result == VK_ERROR_OUT_OF_HOST_MEMORY ? result : failure;
        }
    }
    return freed >= size ? VK_SUCCESS : freed + promised >= size ? VK_INCOMPLETE : failure;
}
#endif /* !SX_VKALLOC_NO_DEFRAG */

/* ============================================================================================== */
/*  >>virtual    the engine over plain numbers                                                    */
/* ============================================================================================== */
/*
    A virtual block is records of its own and a domain without a pool: the bins and the slabs that
    memory has, where a granule stands for one unit of the user's, or for `granularity` of them. So
    what the engine counts in bytes is a 16th of a granule here.

    The one block of the domain is a granule longer than the user's: its last one is handed out for
    ever. That keeps the end of the user's at hand, behind which sxvkGrowVirtualBlock adds room.

    Slabs make most operations three times as fast, but a slot may be larger than what is in it, and
    free slots serve few sizes. The user gave the block its size and no other block helps out, so

      - a class whose slots are all of one size gets slots of just that size; with others its
        slots get the largest size of the class, so that they serve all of them
      - slabs are only opened while SXVKI_VIRTUAL_ROOM of the block is free
      - what the bins have no room for gets a slot of any class that is large enough

    A linear block has a lane instead of bins and slabs, and an epoch, which is 0 in others: so a
    handle's generation is the record's plus twice the epoch in all of them, see >>linear.

    No lock is taken and no step is atomic: what >>slabs says of `word` holds, step by step.
*/

#if !SX_VKALLOC_NO_VIRTUAL

#define SXVKI_VIRTUAL_MAX (SXVKI_GRANULES_MAX - 1) /* granules */

/*  Slabs are opened while more than one part in so many of the block is free in the bins. Requests
    that fail in 1.15 times the mean live bytes, of 750,000, with 1k and 10k live of 256 B to 1 MiB:
    4,498 and 0, where best fit fails 3,979 and 0; 4: 4,771 and 4. */
#define SXVKI_VIRTUAL_ROOM 3

/*  Allocations without a slot that earn a class a slab. A block has its size, however much of it is
    in slabs, so they need not wait as in memory: with 16, and SXVKI_SLAB_SHARE_FEW, a pair of equal
    sizes takes 236 instructions for 180, of mixed ones 343 for 285. */
#define SXVKI_VIRTUAL_EARNED 8

/*  Slabs of a class that are looked at for a slot that is large enough. */
#define SXVKI_VIRTUAL_PROBES 4

struct SxvkVirtualBlock_T {
    sxvki_domain domain; /* pool is null */
    uint64_t size;       /* granules */
    uint32_t shift;      /* a granule is 1 << shift of the user's units */
    uint64_t room;       /* granules: slabs are only opened while more is free */
    uint32_t slot_max;   /* granules; 0: no slabs */
    uint32_t first;      /* the range that starts the block */
    uint32_t end;        /* the granule behind it; linear: SXVKI_NONE */
    sxvki_lane lane;     /* instead of `first` in a linear block */
    sxvki_records records;
    sxvki_host host;
    sxvki_reporter reporter;
};

/*  At least so many classes. Returns 0 where there is no host memory. */
SXVKI_COLD static int sxvki_virtual_reserve_classes(SxvkVirtualBlock block, uint32_t count) {
    sxvki_domain* domain = &block->domain;
    sxvki_slab_class* classes;
    uint32_t i = domain->class_count;
    if (count <= i) {
        return 1;
    }
    classes = (sxvki_slab_class*)sxvki_host_alloc_zeroed(&block->host, count * sizeof *classes);
    if (classes == NULL) {
        return 0;
    }
    if (i != 0) {
        memcpy(classes, domain->classes, i * sizeof *classes);
    }
    for (; i < count; i++) {
        classes[i].list = SXVKI_NONE;
    }
    sxvki_host_free(&block->host, domain->classes);
    domain->classes = classes;
    domain->class_count = count;
    return 1;
}

/*  Host memory for a block of this size: the bins and the classes. A slab of the largest slots is
    still worth opening when all else is taken. */
SXVKI_COLD static int sxvki_virtual_reserve(SxvkVirtualBlock block, uint64_t size) {
    uint64_t most = size / ((uint64_t)SXVKI_SLAB_SHARE * SXVKI_SLAB_SLOTS_MIN);
    uint32_t slot_max = (uint32_t)sxvki_min64(most, (1u << SXVKI_SLAB_SIZE_BITS) - 1);
    uint32_t classes = slot_max == 0 ? 0 : sxvki_slab_class_of(slot_max) + 1;
    if (!sxvki_bins_reserve(&block->domain.bins, size + 1) ||
        !sxvki_virtual_reserve_classes(block, classes)) {
        return 0;
    }
    block->slot_max = slot_max;
    block->room = size / SXVKI_VIRTUAL_ROOM;
    return 1;
}

/*  `host` is set. The block may grow up to so many granules. Returns 0 where there is no host
    memory; then, too, shut it down. */
SXVKI_COLD static int sxvki_virtual_init(SxvkVirtualBlock block, uint64_t most) {
    sxvki_bins_init(&block->domain.bins, &block->records, most);
    return sxvki_records_init(&block->records, &block->host, sxvki_salt(block), 0);
}

SXVKI_COLD static void sxvki_virtual_shutdown(SxvkVirtualBlock block) {
    sxvki_bins_shutdown(&block->domain.bins);
    sxvki_host_free(&block->host, block->domain.classes);
    sxvki_records_shutdown(&block->records);
}

SXVKI_COLD static void sxvki_virtual_destroy(SxvkVirtualBlock block) {
    sxvki_host host = block->host;
    sxvki_virtual_shutdown(block);
    sxvki_host_free(&host, block);
}

SXVKI_INLINE int sxvki_virtual_is_linear(const struct SxvkVirtualBlock_T* block) {
    return sxvki_domain_is_linear(&block->domain);
}

/*  One free range, or an empty lane. Returns 0 where there is no host memory. */
SXVKI_COLD static int sxvki_virtual_fill(SxvkVirtualBlock block,
                                         SxvkVirtualBlockCreateFlags flags) {
    sxvki_bins* bins = &block->domain.bins;
    if (flags & SXVK_VIRTUAL_BLOCK_CREATE_LINEAR_ALGORITHM_BIT) {
        sxvki_linear_init(&block->domain.linear, &block->records);
        sxvki_lane_init(&block->lane, block->size);
        block->end = SXVKI_NONE;
        return 1;
    }
    if (!sxvki_virtual_reserve(block, block->size) || !sxvki_bins_prepare(bins)) {
        return 0;
    }
    block->first = sxvki_bins_add_block(bins, 0, block->size + 1);
    block->end = sxvki_bins_carve(bins, block->first, block->size, 1);
    sxvki_record_age(sxvki_record_at(&block->records, block->end));
    return 1;
}

/*  The info is valid. */
SXVKI_COLD static VkResult sxvki_virtual_create(const SxvkVirtualBlockCreateInfo* info,
                                                SxvkVirtualBlock* made) {
    sxvki_host host;
    SxvkVirtualBlock block;
    sxvki_host_init(&host, info->pAllocationCallbacks);
    block = (SxvkVirtualBlock)sxvki_host_alloc_zeroed(&host, sizeof *block);
    if (block == NULL) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    sxvki_host_init(&block->host, info->pAllocationCallbacks);
    block->reporter.callback = info->pfnMessage;
    block->reporter.user_data = info->pMessageUserData;
    block->shift = info->granularity == 0 ? 0 : sxvki_high_bit(info->granularity);
    block->size = info->size >> block->shift;
    if (!sxvki_virtual_init(block, block->size + 1) || !sxvki_virtual_fill(block, info->flags)) {
        sxvki_virtual_destroy(block);
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    *made = block;
    return VK_SUCCESS;
}

/*  Size is larger than the block's, which is not a linear one. */
SXVKI_COLD static int sxvki_virtual_grow_bins(SxvkVirtualBlock block, uint64_t size) {
    sxvki_bins* bins = &block->domain.bins;
    sxvki_record* end = sxvki_record_at(&block->records, block->end);
    uint32_t last = end->prev;
    sxvki_record* r = sxvki_record_at(&block->records, last);
    if (!sxvki_bins_prepare(bins) || !sxvki_virtual_reserve(block, size)) {
        return 0;
    }
    if (sxvki_record_is_live(r)) {
        last = sxvki_bins_split(bins, last, block->size, size - block->size);
        r = sxvki_record_at(&block->records, last);
    } else {
        uint64_t offset = sxvki_record_offset(r);
        sxvki_bins_unlink(bins, r);
        sxvki_record_set(r, 0, offset, size - offset);
    }
    sxvki_bins_link(bins, last, r);
    sxvki_record_set(end, 0, size, 1);
    return 1;
}

/*  Size is larger than the block's. What grows down from the end of a linear block would keep the
    room behind it from ever being used: there VK_ERROR_FEATURE_NOT_PRESENT. */
SXVKI_COLD static VkResult sxvki_virtual_grow(SxvkVirtualBlock block, uint64_t size) {
    if (!sxvki_virtual_is_linear(block)) {
        if (!sxvki_virtual_grow_bins(block, size)) {
            return VK_ERROR_OUT_OF_HOST_MEMORY;
        }
    } else if (block->lane.upper != SXVKI_NONE) {
        return VK_ERROR_FEATURE_NOT_PRESENT;
    } else {
        sxvki_lane_grow(&block->lane, size);
    }
    block->size = size;
    return VK_SUCCESS;
}

/* --- taking and giving; sizes are granules --- */

/*  What was taken. */
typedef struct sxvki_virtual_spot {
    uint64_t offset;
    uint32_t index;
    uint32_t generation;
} sxvki_virtual_spot;

/*  A slot of a listed slab. Returns 1 where it was the last one: unlist the slab then. */
SXVKI_HOT int sxvki_virtual_take_slot(sxvki_slab_class* c, uint32_t id, sxvki_slab* slab,
                                      uint64_t size, sxvki_virtual_spot* spot) {
    uint64_t word = sxvki_load64_relaxed(&slab->word);
    uint64_t left = word & (word - 1);
    uint32_t i = sxvki_low_bit(word);
    sxvki_slot* slot = &slab->slots[i];
    slot->size = (uint32_t)size;
    slot->state = 0;
    slot->generation++;
    c->taken += size << (SXVKI_GRANULE_SHIFT + SXVKI_SLOTS_COUNT_BITS) | 1;
    spot->offset = slab->offset + (uint64_t)slab->slot_size * i;
    spot->index = sxvki_slot_index(id, i);
    spot->generation = slot->generation;
    sxvki_store64_relaxed(&slab->word, left);
    return left == SXVKI_SLAB_HELD;
}

/*  A slab that is full now. */
SXVKI_APART static void sxvki_virtual_unlist(SxvkVirtualBlock block, sxvki_slab* slab) {
    sxvki_store64_relaxed(&slab->word, 0);
    sxvki_domain_unlist_slab(&block->domain, slab);
}

/*  One of the first slabs of a class with a slot that is large enough; SXVKI_NONE: none of them. */
static uint32_t sxvki_virtual_probe(const sxvki_domain* domain, const sxvki_slab_class* c,
                                    uint64_t size, uint64_t alignment) {
    uint32_t probes = SXVKI_VIRTUAL_PROBES;
    uint32_t id = c->list;
    while (id != SXVKI_NONE && probes-- != 0) {
        const sxvki_slab* slab = sxvki_slab_at(domain->bins.records, id);
        if (slab->slot_size >= size && (slab->slot_size & (alignment - 1)) == 0) {
            return id;
        }
        id = slab->next;
    }
    return SXVKI_NONE;
}

/*  There is no other room: a slot that may be much too large. */
SXVKI_COLD static uint32_t sxvki_virtual_probe_all(const struct SxvkVirtualBlock_T* block,
                                                   uint64_t size, uint64_t alignment) {
    const sxvki_domain* domain = &block->domain;
    uint32_t id = SXVKI_NONE;
    if (domain->slab_count != 0 && size <= block->slot_max) {
        uint32_t i = sxvki_slab_class_of((uint32_t)size);
        for (; id == SXVKI_NONE && i < domain->class_count; i++) {
            id = sxvki_virtual_probe(domain, &domain->classes[i], size, alignment);
        }
    }
    return id;
}

/*  For a slab of such slots: live_bytes is what sxvki_domain_slab_slots asks first. */
SXVKI_INLINE int sxvki_virtual_has_room(const struct SxvkVirtualBlock_T* block,
                                        uint32_t slot_size) {
    const sxvki_domain* domain = &block->domain;
    uint64_t least = (uint64_t)slot_size * SXVKI_SLAB_SLOTS_MIN * SXVKI_SLAB_SHARE;
    return domain->live_bytes >= least << SXVKI_GRANULE_SHIFT &&
           domain->bins.free_size > block->room;
}

/*  A slab for a class that had no slot for this. */
SXVKI_COLD static int sxvki_virtual_open_slab(SxvkVirtualBlock block, sxvki_slab_class* c,
                                              uint64_t size, uint64_t alignment,
                                              uint32_t slot_size) {
    uint64_t live = sxvki_domain_live_slots(&block->domain, (uint32_t)(c - block->domain.classes));
    uint64_t count = live & SXVKI_SLOTS_COUNT_MASK;
    int has_others = c->list != SXVKI_NONE;
    if (live >> SXVKI_SLOTS_COUNT_BITS != (count * size) << SXVKI_GRANULE_SHIFT) {
        uint32_t e = slot_size < SXVKI_SLAB_STEPS ? 0 : sxvki_high_bit(slot_size) - 3;
        uint64_t next = (uint64_t)((slot_size >> e) + 1) << e; /* where the next class begins */
        slot_size = (uint32_t)sxvki_align_down(next - 1, alignment);
    }
    if (!sxvki_domain_open_slab(&block->domain, slot_size)) {
        return 0;
    }
    if (has_others) {
        c->demand = 0; /* their slots are too small, but free: earn the next slab anew */
    }
    return 1;
}

/*  There is no other room: a slot of any class that is large enough. */
SXVKI_COLD static VkResult sxvki_virtual_take_any_slot(SxvkVirtualBlock block, uint64_t size,
                                                       uint64_t alignment,
                                                       sxvki_virtual_spot* spot) {
    uint32_t id = sxvki_virtual_probe_all(block, size, alignment);
    sxvki_slab* slab;
    if (id == SXVKI_NONE) {
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    slab = sxvki_slab_at(&block->records, id);
    if (sxvki_virtual_take_slot(&block->domain.classes[slab->class_index], id, slab, size, spot)) {
        sxvki_virtual_unlist(block, slab);
    }
    return VK_SUCCESS;
}

/*  Of a range that was taken: no tail, and no state but this. */
SXVKI_INLINE void sxvki_virtual_count_in(SxvkVirtualBlock block, sxvki_record* r, uint32_t state,
                                         sxvki_virtual_spot* spot) {
    r->link_a = 0;
    r->link_b = state;
    sxvki_record_age(r);
    block->domain.live_count++;
    block->domain.live_bytes += sxvki_record_bytes(r);
    spot->offset = sxvki_record_offset(r);
    spot->generation = r->generation + 2 * block->domain.linear.epoch;
}

/*  A range of the bins. */
static VkResult sxvki_virtual_take_range(SxvkVirtualBlock block, uint64_t size, uint64_t alignment,
                                         sxvki_strategy strategy, sxvki_virtual_spot* spot) {
    spot->index = sxvki_bins_take(&block->domain.bins, size, alignment, strategy);
    if (spot->index == SXVKI_NONE) {
        return sxvki_virtual_take_any_slot(block, size, alignment, spot);
    }
    sxvki_virtual_count_in(block, sxvki_record_at(&block->records, spot->index), 0, spot);
    return VK_SUCCESS;
}

/*  A range of the lane. */
SXVKI_HOT VkResult sxvki_virtual_take_linear(SxvkVirtualBlock block, uint64_t size,
                                             uint64_t alignment, int is_upper,
                                             sxvki_virtual_spot* spot) {
    sxvki_linear* linear = &block->domain.linear;
    sxvki_record* r;
    if (!sxvki_linear_prepare(linear)) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    r = sxvki_linear_take(linear, &block->lane, 0, size, alignment, is_upper, &spot->index);
    if (r == NULL) {
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    sxvki_virtual_count_in(block, r, SXVKI_STATE_LINEAR, spot);
    return VK_SUCCESS;
}

/*  May a slot serve this? `step` is the size up to its alignment. */
SXVKI_INLINE int sxvki_virtual_suits_slots(const struct SxvkVirtualBlock_T* block, uint64_t size,
                                           uint64_t step) {
    return step - 1 < block->slot_max && step - size <= size / SXVKI_SLAB_STEPS;
}

/*  A slot of the class, or the first one of a new slab that it earned. Returns 0: a range, then. */
static int sxvki_virtual_take_of_class(SxvkVirtualBlock block, uint64_t size, uint64_t alignment,
                                       uint32_t slot_size, sxvki_virtual_spot* spot) {
    sxvki_slab_class* c = &block->domain.classes[sxvki_slab_class_of(slot_size)];
    uint32_t id = sxvki_virtual_probe(&block->domain, c, size, alignment);
    sxvki_slab* slab;
    if (id == SXVKI_NONE) {
        if (c->demand < SXVKI_VIRTUAL_EARNED) {
            c->demand++;
            return 0;
        }
        if (!sxvki_virtual_has_room(block, slot_size) ||
            !sxvki_virtual_open_slab(block, c, size, alignment, slot_size)) {
            return 0;
        }
        id = c->list;
    }
    slab = sxvki_slab_at(&block->records, id);
    if (sxvki_virtual_take_slot(c, id, slab, size, spot)) {
        sxvki_virtual_unlist(block, slab);
    }
    return 1;
}

/*  VK_ERROR_OUT_OF_DEVICE_MEMORY: no room was found. O(1). */
static VkResult sxvki_virtual_take(SxvkVirtualBlock block, uint64_t size, uint64_t alignment,
                                   sxvki_strategy strategy, sxvki_virtual_spot* spot) {
    uint64_t step = sxvki_align_up(size, alignment);
    if (size > block->size) {
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    alignment = sxvki_min64(alignment, SXVKI_GRANULES_MAX + 1); /* only offset 0 has more */
    if (sxvki_virtual_is_linear(block)) {
        return sxvki_virtual_take_linear(block, size, alignment, strategy == SXVKI_STRATEGY_UPPER,
                                         spot);
    }
    if (!sxvki_bins_prepare(&block->domain.bins)) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    if (strategy == SXVKI_STRATEGY_MIN_TIME && sxvki_virtual_suits_slots(block, size, step) &&
        sxvki_virtual_take_of_class(block, size, alignment, (uint32_t)step, spot)) {
        return VK_SUCCESS;
    }
    return sxvki_virtual_take_range(block, size, alignment, strategy, spot);
}

/*  Nothing but a size and an alignment, both valid: by far most requests. */
SXVKI_INLINE int sxvki_virtual_is_plain(const struct SxvkVirtualBlock_T* block,
                                        const SxvkVirtualAllocationCreateInfo* info) {
    return (info->flags | block->shift | (uintptr_t)info->pUserData |
            (info->alignment & (info->alignment - 1))) == 0 &&
           info->size != 0;
}

/*  The common case: plain, and the first slab of the class will do. Returns 0 where not. *full is
    the slab if it is to be unlisted, else null. */
SXVKI_HOT int sxvki_virtual_take_first(SxvkVirtualBlock block,
                                       const SxvkVirtualAllocationCreateInfo* info,
                                       sxvki_virtual_spot* spot, sxvki_slab** full) {
    uint64_t size = info->size;
    uint64_t mask = info->alignment - (info->alignment != 0);
    uint64_t step = (size + mask) & ~mask;
    sxvki_slab_class* c;
    sxvki_slab* slab;
    if (!sxvki_virtual_suits_slots(block, size, step)) {
        return 0;
    }
    c = &block->domain.classes[sxvki_slab_class_of((uint32_t)step)];
    if (c->list == SXVKI_NONE) {
        return 0;
    }
    slab = sxvki_slab_at(&block->records, c->list);
    if (slab->slot_size < size || (slab->slot_size & mask) != 0) {
        return 0;
    }
    *full = sxvki_virtual_take_slot(c, c->list, slab, size, spot) ? slab : NULL;
    return 1;
}

/*  Give a slot back. */
SXVKI_INLINE void sxvki_virtual_give_slot(sxvki_domain* domain, uint32_t id, sxvki_slab* slab,
                                          uint32_t i) {
    sxvki_slab_class* c = &domain->classes[slab->class_index];
    sxvki_slot* slot = &slab->slots[i];
    uint64_t seen = sxvki_load64_relaxed(&slab->word);
    uint64_t word = seen | (uint64_t)1 << i | SXVKI_SLAB_HELD;
    slot->generation++;
    c->taken -= (uint64_t)slot->size << (SXVKI_GRANULE_SHIFT + SXVKI_SLOTS_COUNT_BITS) | 1;
    sxvki_store64_relaxed(&slab->word, word);
    if ((seen & SXVKI_SLAB_HELD) == 0) {
        sxvki_slab_list_push(domain->bins.records, &c->list, id, slab);
    }
    if (word == (sxvki_slab_full(slab) | SXVKI_SLAB_HELD)) {
        sxvki_domain_settle_slab(domain, id, NULL); /* which closes it */
    }
}

SXVKI_INLINE SxvkVirtualAllocation sxvki_virtual_handle(const sxvki_virtual_spot* spot) {
    return (SxvkVirtualAllocation)(void*)sxvki_handle_make(spot->generation, spot->index);
}

/*  Is this a handle of a live range? In a linear block the index of a slot is never one. */
SXVKI_INLINE int sxvki_virtual_handle_is_valid(const struct SxvkVirtualBlock_T* block,
                                               SxvkAllocation handle) {
    uint32_t index = sxvki_handle_index(handle);
    const uint32_t* generation = sxvki_generation_of(&block->records, index);
    return generation != NULL && (*generation & 1) != 0 &&
           sxvki_handle_make(*generation + 2 * block->domain.linear.epoch, index) == handle;
}

SXVKI_APART static void sxvki_virtual_give_range(SxvkVirtualBlock block, uint32_t index) {
    sxvki_record* r = sxvki_record_at(&block->records, index);
    block->domain.live_count--;
    block->domain.live_bytes -= sxvki_record_bytes(r);
    if (sxvki_virtual_is_linear(block)) {
        sxvki_linear_give(&block->domain.linear, &block->lane, block->size, index, r);
    } else {
        sxvki_bins_give(&block->domain.bins, index);
    }
}

/*  Returns 0, and changes nothing, where the handle is not a valid one. O(1). */
SXVKI_HOT int sxvki_virtual_free(SxvkVirtualBlock block, SxvkAllocation handle) {
    uint32_t index = sxvki_handle_index(handle);
    if (SXVKI_LIKELY((index & SXVKI_HANDLE_SLAB_BIT) != 0)) {
        uint32_t id = sxvki_slot_slab(index);
        sxvki_slab* slab;
        if (id >= block->records.slabs.capacity) {
            return 0;
        }
        slab = sxvki_slab_at(&block->records, id);
        if (!sxvki_handle_matches(handle, slab->slots[index % 64].generation)) {
            return 0;
        }
        sxvki_virtual_give_slot(&block->domain, id, slab, index % 64);
    } else {
        if (!sxvki_virtual_handle_is_valid(block, handle)) {
            return 0;
        }
        sxvki_virtual_give_range(block, index);
    }
    return 1;
}

/* --- looking at it all --- */

/*  Where a live allocation is, in the user's units. */
static void sxvki_virtual_look(const struct SxvkVirtualBlock_T* block, uint32_t index,
                               uint64_t* offset, uint64_t* size) {
    if (index & SXVKI_HANDLE_SLAB_BIT) {
        const sxvki_slab* slab = sxvki_slab_of(&block->records, index);
        uint32_t i = index % 64;
        *offset = slab->offset + (uint64_t)slab->slot_size * i;
        *size = slab->slots[i].size;
    } else {
        const sxvki_record* r = sxvki_record_at(&block->records, index);
        *offset = sxvki_record_offset(r);
        *size = sxvki_record_size(r);
    }
    *offset <<= block->shift;
    *size <<= block->shift;
}

/*  The word `state` of a live allocation. User data is only looked at where it has STATE_COLD, so
    that nobody has to clear it. */
SXVKI_INLINE uint32_t* sxvki_virtual_state(const struct SxvkVirtualBlock_T* block, uint32_t index) {
    if (index & SXVKI_HANDLE_SLAB_BIT) {
        return &sxvki_slab_of(&block->records, index)->slots[index % 64].state;
    }
    return &sxvki_record_at(&block->records, index)->link_b;
}

static void* sxvki_virtual_user_data(const struct SxvkVirtualBlock_T* block, uint32_t index) {
    return *sxvki_virtual_state(block, index) & SXVKI_STATE_COLD
               ? sxvki_cold_find(&block->records, index)->user_data
               : NULL;
}

/*  Returns 0 where there is no host memory. */
static int sxvki_virtual_set_user_data(SxvkVirtualBlock block, uint32_t index, void* data) {
    uint32_t* state = sxvki_virtual_state(block, index);
    if (data != NULL || (*state & SXVKI_STATE_COLD) != 0) {
        sxvki_cold* cold = sxvki_cold_make(&block->records, index);
        if (cold == NULL) {
            return 0;
        }
        cold->user_data = data;
        *state |= SXVKI_STATE_COLD;
    }
    return 1;
}

static sxvki_strategy sxvki_virtual_strategy(VkFlags flags) {
    return flags & SXVK_VIRTUAL_ALLOCATION_CREATE_UPPER_ADDRESS_BIT ? SXVKI_STRATEGY_UPPER
           : flags & SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT
               ? SXVKI_STRATEGY_MIN_MEMORY
           : flags & SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT
               ? SXVKI_STRATEGY_MIN_OFFSET
               : SXVKI_STRATEGY_MIN_TIME;
}

/*  The info is valid; offset is optional. */
SXVKI_APART static VkResult sxvki_virtual_allocate(SxvkVirtualBlock block,
                                                   const SxvkVirtualAllocationCreateInfo* info,
                                                   SxvkVirtualAllocation* allocation,
                                                   VkDeviceSize* offset) {
    uint64_t alignment = sxvki_max64(info->alignment >> block->shift, 1);
    sxvki_virtual_spot spot;
    VkResult result = sxvki_virtual_take(block, info->size >> block->shift, alignment,
                                         sxvki_virtual_strategy(info->flags), &spot);
    if (result == VK_SUCCESS && info->pUserData != NULL &&
        !sxvki_virtual_set_user_data(block, spot.index, info->pUserData)) {
        sxvki_virtual_free(block, sxvki_handle_make(spot.generation, spot.index));
        result = VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    *allocation = result == VK_SUCCESS ? sxvki_virtual_handle(&spot) : NULL;
    if (offset != NULL) {
        *offset = result == VK_SUCCESS ? spot.offset << block->shift : VK_WHOLE_SIZE;
    }
    if (result == VK_ERROR_OUT_OF_HOST_MEMORY) {
        sxvki_report(&block->reporter, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, "sxvkVirtualAllocate",
                     NULL);
    }
    return result;
}

/*  The same for a plain request in a linear block. What fails is tried again, for the answer. */
SXVKI_APART static VkResult sxvki_virtual_allocate_linear(
    SxvkVirtualBlock block, const SxvkVirtualAllocationCreateInfo* info,
    SxvkVirtualAllocation* allocation, VkDeviceSize* offset) {
    sxvki_virtual_spot spot;
    if (info->size > block->size ||
        sxvki_virtual_take_linear(block, info->size, sxvki_max64(info->alignment, 1), 0, &spot) !=
            VK_SUCCESS) {
        return sxvki_virtual_allocate(block, info, allocation, offset);
    }
    *allocation = sxvki_virtual_handle(&spot);
    if (offset != NULL) {
        *offset = spot.offset;
    }
    return VK_SUCCESS;
}

/*  The live allocations in the order of their offsets. */
static int sxvki_virtual_next(const struct SxvkVirtualBlock_T* block, sxvki_walk* walk,
                              uint32_t* index) {
    *index = sxvki_walk_next(walk);
    return *index != block->end;
}

SXVKI_INLINE uint32_t sxvki_virtual_first(const struct SxvkVirtualBlock_T* block) {
    return sxvki_virtual_is_linear(block) ? block->lane.first : block->first;
}

static sxvki_walk sxvki_virtual_walk(const struct SxvkVirtualBlock_T* block) {
    sxvki_walk walk;
    walk.records = &block->records;
    walk.record = sxvki_virtual_first(block);
    walk.slot = 0;
    return walk;
}

/*  Each slab's last slot closes the slab, and its range joins the free one before it: so what is
    left is the first range or follows it. */
static void sxvki_virtual_clear_bins(SxvkVirtualBlock block) {
    uint32_t i;
    while (block->domain.live_count != 0) {
        const sxvki_record* r = sxvki_record_at(&block->records, block->first);
        uint32_t index = sxvki_record_is_live(r) ? block->first : r->next;
        r = sxvki_record_at(&block->records, index);
        if (r->link_b & SXVKI_STATE_SLAB) {
            uint32_t id = r->link_a;
            sxvki_slab* slab = sxvki_slab_at(&block->records, id);
            for (i = 0; i < slab->slot_count; i++) {
                if (slab->slots[i].generation & 1) {
                    sxvki_virtual_give_slot(&block->domain, id, slab, i);
                }
            }
        } else {
            sxvki_domain_give(&block->domain, index, NULL);
        }
    }
}

/*  O(1) in a linear block. */
static void sxvki_virtual_clear(SxvkVirtualBlock block) {
    if (sxvki_virtual_is_linear(block)) {
        sxvki_linear_drop(&block->domain.linear, &block->lane, block->size);
        sxvki_linear_next_epoch(&block->domain.linear);
        block->domain.live_count = 0;
        block->domain.live_bytes = 0;
    } else {
        sxvki_virtual_clear_bins(block);
    }
}

static void sxvki_virtual_statistics(const struct SxvkVirtualBlock_T* block,
                                     SxvkStatistics* stats) {
    uint32_t i;
    memset(stats, 0, sizeof *stats);
    sxvki_domain_add_ranges(&block->domain, stats);
    for (i = 0; i < block->domain.class_count; i++) {
        sxvki_stats_add_slots(stats, sxvki_domain_live_slots(&block->domain, i));
    }
    stats->blockCount = 1;
    stats->blockBytes = block->size << block->shift;
    stats->allocationBytes = stats->allocationBytes >> SXVKI_GRANULE_SHIFT << block->shift;
}

SXVKI_COLD static void sxvki_virtual_calculate(const struct SxvkVirtualBlock_T* block,
                                               SxvkDetailedStatistics* stats) {
    sxvki_walk walk = sxvki_virtual_walk(block);
    uint64_t offset, size, end = 0;
    VkDeviceSize largest = 0;
    uint32_t index;
    sxvki_detailed_init(stats);
    while (sxvki_virtual_next(block, &walk, &index)) {
        sxvki_virtual_look(block, index, &offset, &size);
        sxvki_detailed_add_live(stats, size);
        sxvki_detailed_add_gap(stats, end, offset, &largest);
        end = offset + size;
    }
    stats->statistics.blockCount = 1;
    stats->statistics.blockBytes = block->size << block->shift;
    sxvki_detailed_add_gap(stats, end, stats->statistics.blockBytes, &largest);
    stats->largestRangeBytes = largest;
    sxvki_detailed_finish(stats);
}

#if !SX_VKALLOC_NO_STATS_STRING
SXVKI_COLD static void sxvki_json_virtual_map(sxvki_json* json,
                                              const struct SxvkVirtualBlock_T* block,
                                              const SxvkDetailedStatistics* stats) {
    sxvki_walk walk = sxvki_virtual_walk(block);
    uint64_t offset, size, end = 0;
    uint32_t index;
    sxvki_json_key(json, "Details");
    sxvki_json_begin(json, "{");
    sxvki_json_begin_ranges(json, stats);
    while (sxvki_virtual_next(block, &walk, &index)) {
        const void* data = sxvki_virtual_user_data(block, index);
        sxvki_virtual_look(block, index, &offset, &size);
        sxvki_json_gap(json, end, offset);
        sxvki_json_begin(json, "{");
        sxvki_json_pair_u64(json, "Offset", offset);
        sxvki_json_pair_u64(json, "Size", size);
        if (data != NULL) {
            char digits[24];
            sxvki_json_pair_string(json, "CustomData",
                                   sxvki_digits(digits + 23, (uintptr_t)data, 16));
        }
        sxvki_json_end(json, "}");
        end = offset + size;
    }
    sxvki_json_gap(json, end, stats->statistics.blockBytes);
    sxvki_json_end(json, "]");
    sxvki_json_end(json, "}");
}

SXVKI_COLD static void sxvki_json_virtual(sxvki_json* json, const struct SxvkVirtualBlock_T* block,
                                          int detailed) {
    SxvkDetailedStatistics stats;
    sxvki_virtual_calculate(block, &stats);
    sxvki_json_begin(json, "{");
    sxvki_json_stats(json, &stats);
    if (detailed) {
        sxvki_json_virtual_map(json, block, &stats);
    }
    sxvki_json_end(json, "}");
}
#endif

SXVKI_COLD static int sxvki_virtual_ranges_are_valid(const struct SxvkVirtualBlock_T* block,
                                                     uint32_t* free_count) {
    const sxvki_record* end;
    if (sxvki_virtual_is_linear(block)) {
        return sxvki_lane_is_valid(&block->records, &block->lane, 0, block->size) &&
               sxvki_linear_is_valid(&block->domain.linear);
    }
    end = sxvki_record_at(&block->records, block->end);
    return sxvki_record_is_live(end) && end->next == SXVKI_NONE &&
           sxvki_bins_block_is_valid(&block->domain.bins, block->first, 0, block->size + 1,
                                     free_count);
}

/*  Every invariant of the ranges, the slabs and the sums. */
SXVKI_COLD SXVKI_UNUSED static int sxvki_virtual_is_valid(const struct SxvkVirtualBlock_T* block) {
    const sxvki_domain* domain = &block->domain;
    const sxvki_record* r;
    uint32_t index, free_count = 0, live = 0, slabs = 0, listed = 0;
    uint64_t bytes = 0, slab_bytes = 0;
    if (!sxvki_virtual_ranges_are_valid(block, &free_count)) {
        return 0;
    }
    for (index = sxvki_virtual_first(block); index != block->end; index = r->next) {
        r = sxvki_record_at(&block->records, index);
        if (sxvki_record_is_live(r) && (sxvki_record_state(r) & SXVKI_STATE_SLAB)) {
            if (!sxvki_domain_slab_is_valid(domain, index)) {
                return 0;
            }
            slabs++;
            listed += sxvki_slab_at(&block->records, r->link_a)->is_listed;
            slab_bytes += sxvki_record_size(r) << SXVKI_GRANULE_SHIFT;
        } else if (sxvki_record_is_live(r)) {
            bytes += sxvki_record_bytes(r);
        }
        live += (uint32_t)sxvki_record_is_live(r);
    }
    return live == domain->live_count && bytes + slab_bytes == domain->live_bytes &&
           slabs == domain->slab_count && slab_bytes == domain->slab_bytes &&
           sxvki_domain_lists_are_valid(domain, listed) &&
           sxvki_bins_is_valid(&domain->bins, free_count);
}
#endif

/* ============================================================================================== */
/*  >>upload     frame rings, smart buffers, buffer arenas                                        */
/* ============================================================================================== */
/*
    Pieces of few VkBuffers in place of many VkBuffers. All three stand on one helper, a buffer with
    its memory, mapping and address, which is made and destroyed outside every lock.

    A ring counts positions that grow for ever; modulo the size they are offsets:

        0 ...... tail ======== in flight ======== head ...... tail + size

    Allocation moves the head by compare-and-swap, and needs no lock. `ends` says for each value
    that is not complete where its slices end; completing a value moves the tail there. A slice
    does not wrap: it begins the next lap where this one has no room.

    Where head would pass tail + size, the ring goes on in a larger buffer: the old head gets the
    bit CLOSED, on which a thread that is late fails, and the old buffer waits in `retired` for its
    last value. Its struct is used again, never freed before the ring, from a position on that is
    beyond its old head, so a compare-and-swap that waited through all that fails as well.

    I1  tail <= head <= tail + size
    I2  values and positions in `ends` grow, between tail and head; all values are above `completed`
    I3  a head is CLOSED  <=>  the buffer is retired or spare, or no value is open

    An arena is a virtual block of which each VkBuffer is a part, as the blocks of a pool are parts
    of a domain: bins and slabs are over all of them, so to find the buffer with room is what finds
    the room. One lock; the driver is called outside of it, by one thread at a time, while others
    that need a buffer wait.
*/

#if !SX_VKALLOC_NO_UPLOAD

#define SXVKI_UPLOAD_WRITES                                                                        \
    ((VkFlags)SXVK_ALLOCATION_CREATE_MAPPED_BIT |                                                  \
     (VkFlags)SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT)
#define SXVKI_UPLOAD_READS                                                                         \
    ((VkFlags)SXVK_ALLOCATION_CREATE_MAPPED_BIT |                                                  \
     (VkFlags)SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT)

/*  A buffer and all that there is to know of it. */
typedef struct sxvki_backing {
    VkBuffer buffer;
    SxvkAllocation allocation;
    char* data;              /* null where the host does not see it */
    VkDeviceAddress address; /* 0 where the usage does not ask for it */
    VkDeviceSize size;
} sxvki_backing;

/*  How backings are made, now and later. Rings, smart buffers and arenas begin with it. */
typedef struct sxvki_plan {
    SxvkAllocator allocator;
    SxvkAllocationCreateInfo info; /* with a name of our own */
    VkBufferUsageFlags usage;
} sxvki_plan;

/*  A zeroed object that begins with its plan, which is filled in; null where there is no host
    memory. Without a name the memory has that of what it is for, which messages then show. */
SXVKI_COLD static void* sxvki_plan_create(SxvkAllocator allocator, size_t object_size,
                                          VkBufferUsageFlags usage, SxvkMemoryUsage memory_usage,
                                          SxvkPool pool, SxvkModule module, const char* name,
                                          const char* kind) {
    const sxvki_host* host = &allocator->device.host;
    sxvki_plan* plan = (sxvki_plan*)sxvki_host_alloc_zeroed(host, object_size);
    char* copy;
    if (plan == NULL || !sxvki_host_copy_string(host, name != NULL ? name : kind, &copy)) {
        sxvki_host_free(host, plan);
        return NULL;
    }
    plan->allocator = allocator;
    plan->usage = usage;
    plan->info.usage =
        memory_usage == SXVK_MEMORY_USAGE_UNKNOWN ? SXVK_MEMORY_USAGE_AUTO : memory_usage;
    plan->info.pool = pool;
    plan->info.module = module;
    plan->info.pName = copy;
    return plan;
}

/*  The whole object. */
SXVKI_COLD static void sxvki_plan_destroy(sxvki_plan* plan) {
    const sxvki_host* host = &plan->allocator->device.host;
    union {
        const char* given;
        void* ours;
    } name;
    name.given = plan->info.pName;
    sxvki_host_free(host, name.ours);
    sxvki_host_free(host, plan);
}

/*  With flags besides those of the plan. */
SXVKI_COLD static VkResult sxvki_backing_create(const sxvki_plan* plan, const char* function,
                                                VkDeviceSize size, VkFlags flags,
                                                sxvki_backing* made) {
    const sxvki_vk* vk = &plan->allocator->device.vk;
    SxvkAllocationCreateInfo pinned = plan->info;
    VkBufferCreateInfo info;
    SxvkAllocationInfo got;
    sxvki_resource buffer;
    VkDeviceSize needed;
    VkResult result;
    memset(made, 0, sizeof *made);
    memset(&info, 0, sizeof info);
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = size;
    info.usage = plan->usage;
    pinned.flags |= flags;
    pinned.flags |= SXVK_ALLOCATION_CREATE_PINNED_BIT; /* nobody who moves things knows of it */
    buffer = sxvki_resource_buffer(&made->buffer, &info);
    result = sxvki_resource_create(plan->allocator, function, &buffer, &pinned, &made->allocation,
                                   &needed);
    if (result != VK_SUCCESS) {
        return result;
    }
    sxvki_get_info(plan->allocator, sxvki_allocation_index(made->allocation), &got);
    made->data = (char*)got.pMappedData;
    made->size = size;
    if ((plan->usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0) {
        VkBufferDeviceAddressInfo of;
        memset(&of, 0, sizeof of);
        of.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO;
        of.buffer = made->buffer;
        made->address = vk->fn.vkGetBufferDeviceAddress(vk->device, &of);
    }
    return VK_SUCCESS;
}

/*  As large as may be: half as much, again and again, where the device has no more. The user is not
    asked for memory: who is at it keeps others from the same ring or arena, which the user may turn
    to when he is asked, and a smaller buffer may do. */
SXVKI_COLD static VkResult sxvki_backing_create_most(const sxvki_plan* plan, const char* function,
                                                     VkDeviceSize most, VkDeviceSize least,
                                                     sxvki_backing* made) {
    for (;;) {
        VkResult result = sxvki_backing_create(plan, function, most, SXVKI_ALLOCATION_UNTOLD, made);
        if ((!sxvki_is_full(result) && result != SXVKI_AT_LIMIT) || most <= least) {
            return result;
        }
        most = sxvki_max64(sxvki_align_down(most / 2, plan->info.minAlignment), least);
    }
}

SXVKI_COLD static void sxvki_backing_destroy(SxvkAllocator allocator, sxvki_backing* backing,
                                             const char* function) {
    const sxvki_device* device = &allocator->device;
    if (backing->buffer != VK_NULL_HANDLE) {
        device->vk.fn.vkDestroyBuffer(device->vk.device, backing->buffer,
                                      device->host.driver_callbacks);
        sxvki_free(allocator, backing->allocation, function);
        memset(backing, 0, sizeof *backing);
    }
}

static void sxvki_backing_slice(const sxvki_backing* backing, VkDeviceSize offset,
                                VkDeviceSize size, SxvkBufferSlice* slice) {
    slice->buffer = backing->buffer;
    slice->offset = offset;
    slice->size = size;
    slice->pMappedData = backing->data != NULL ? backing->data + offset : NULL;
    slice->deviceAddress = backing->address != 0 ? backing->address + offset : 0;
    slice->allocation = backing->allocation;
}

/*  What the offset of a piece must be a multiple of. 16 serves what has no limit of its own:
    vertices, indices, indirect commands, copies to images. */
SXVKI_COLD static VkDeviceSize sxvki_usage_alignment(const sxvki_vk* vk, VkBufferUsageFlags usage) {
    const VkPhysicalDeviceLimits* limits = &vk->properties.limits;
    VkDeviceSize alignment = 16;
    if ((usage & VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT) != 0) {
        alignment = sxvki_max64(alignment, limits->minUniformBufferOffsetAlignment);
    }
    if ((usage & VK_BUFFER_USAGE_STORAGE_BUFFER_BIT) != 0) {
        alignment = sxvki_max64(alignment, limits->minStorageBufferOffsetAlignment);
    }
    if ((usage & (VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT |
                  VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT)) != 0) {
        alignment = sxvki_max64(alignment, limits->minTexelBufferOffsetAlignment);
    }
    return sxvki_pow2_ceil(alignment);
}

/* --- frame rings --- */

#define SXVKI_RING_SIZE        ((VkDeviceSize)64 << 10)
#define SXVKI_RING_CLOSED      ((uint64_t)1 << 63)
#define SXVKI_RING_ENDS        32
#define SXVKI_RING_SHRINK_TIME 256 /* values */

typedef struct sxvki_ring_buffer {
    sxvki_shared64 head; /* atomic; a position, and CLOSED */
    sxvki_shared64 tail; /* atomic */
    sxvki_shared64 mask; /* atomic; size - 1, the size being a power of two */
    sxvki_backing backing;
    uint64_t last_value; /* while retired */
    struct sxvki_ring_buffer* next;
} sxvki_ring_buffer;

typedef struct sxvki_ring_end {
    uint64_t value;
    uint64_t position;
} sxvki_ring_end;

struct SxvkFrameRing_T {
    sxvki_plan plan;
    void* current; /* atomic; sxvki_ring_buffer* */
    VkDeviceSize alignment;
    VkDeviceSize min_size;
    sxvki_lock lock;            /* guards all below, and what the current buffer is */
    sxvki_ring_buffer* retired; /* the oldest first */
    sxvki_ring_buffer* retired_last;
    sxvki_ring_buffer* spare;
    uint64_t value; /* begun last */
    uint64_t completed;
    int is_growing;     /* a thread makes a buffer */
    uint32_t end_first; /* of the circle `ends` */
    uint32_t end_count;
    uint64_t frame_start;   /* position where the open value began in the current buffer */
    uint64_t frame_spilled; /* bytes of that value in buffers that are retired already */
    uint64_t recent_peak;   /* bytes in flight, in this stretch of SHRINK_TIME */
    uint32_t begin_count;
    VkDeviceSize retired_bytes; /* in flight there */
    SxvkFrameRingStatistics stats;
    sxvki_ring_end ends[SXVKI_RING_ENDS];
};

SXVKI_INLINE uint64_t sxvki_ring_head(const sxvki_ring_buffer* b) {
    return sxvki_load64(&b->head) & ~SXVKI_RING_CLOSED;
}

/*  Where a slice would begin: here, or in the next lap. */
SXVKI_INLINE uint64_t sxvki_ring_start(uint64_t head, uint64_t mask, uint64_t size,
                                       uint64_t alignment) {
    uint64_t start = sxvki_align_up(head, alignment);
    return (start & mask) + size > mask + 1 ? sxvki_align_up(start, mask + 1) : start;
}

/*  Returns 0 where the buffer is full or closed. Who sees a head sees the mask that belongs to it;
    a tail that has moved on meanwhile does no harm. */
SXVKI_INLINE int sxvki_ring_bump(sxvki_ring_buffer* b, uint64_t size, uint64_t alignment,
                                 uint64_t* offset) {
    uint64_t head = sxvki_load64(&b->head);
    for (;;) {
        uint64_t mask = sxvki_load64_relaxed(&b->mask);
        uint64_t start = sxvki_ring_start(head, mask, size, alignment);
        if ((head & SXVKI_RING_CLOSED) != 0 || start + size - sxvki_load64(&b->tail) > mask + 1) {
            return 0;
        }
        if (sxvki_cas64(&b->head, &head, start + size)) {
            *offset = start & mask;
            return 1;
        }
    }
}

/*  Store a tail, or the head of a buffer that no thread can move because it is closed. Caller holds
    the lock, as of all down to sxvki_ring_retire. */
SXVKI_COLD static void sxvki_ring_set(sxvki_shared64* word, uint64_t position) {
    uint64_t seen = sxvki_load64_relaxed(word);
    sxvki_cas64(word, &seen, position);
}

static sxvki_ring_end* sxvki_ring_end_at(SxvkFrameRing ring, uint32_t i) {
    return &ring->ends[(ring->end_first + i) % SXVKI_RING_ENDS];
}

/*  The open value's slices end here. Where the circle is full, its last two become one. */
SXVKI_COLD static void sxvki_ring_note_end(SxvkFrameRing ring, uint64_t head) {
    uint64_t last = ring->end_count != 0
                        ? sxvki_ring_end_at(ring, ring->end_count - 1)->position
                        : sxvki_load64_relaxed(&((sxvki_ring_buffer*)ring->current)->tail);
    if (head != last) {
        ring->end_count += ring->end_count < SXVKI_RING_ENDS;
        sxvki_ring_end_at(ring, ring->end_count - 1)->value = ring->value;
        sxvki_ring_end_at(ring, ring->end_count - 1)->position = head;
    }
}

/*  The bytes in flight are at their peak before a tail moves, and when a value ends. Returns the
    head that they were counted with. */
SXVKI_COLD static uint64_t sxvki_ring_note_peak(SxvkFrameRing ring) {
    const sxvki_ring_buffer* b = (const sxvki_ring_buffer*)ring->current;
    uint64_t head = sxvki_ring_head(b);
    uint64_t frame = head - ring->frame_start + ring->frame_spilled;
    SxvkFrameRingStatistics* stats = &ring->stats;
    stats->bytesInFlight = head - sxvki_load64_relaxed(&b->tail) + ring->retired_bytes;
    stats->peakBytesInFlight = sxvki_max64(stats->peakBytesInFlight, stats->bytesInFlight);
    stats->peakFrameBytes = sxvki_max64(stats->peakFrameBytes, frame);
    ring->recent_peak = sxvki_max64(ring->recent_peak, stats->bytesInFlight);
    return head;
}

SXVKI_COLD static void sxvki_ring_retire(SxvkFrameRing ring, sxvki_ring_buffer* b) {
    uint64_t head = sxvki_or64(&b->head, SXVKI_RING_CLOSED) & ~SXVKI_RING_CLOSED;
    ring->frame_spilled += head - ring->frame_start;
    ring->retired_bytes += head - sxvki_load64_relaxed(&b->tail);
    ring->end_count = 0;
    b->last_value = ring->value;
    b->next = NULL;
    if (ring->retired == NULL) {
        ring->retired = b;
    } else {
        ring->retired_last->next = b;
    }
    ring->retired_last = b;
    ring->stats.bufferCount++;
}

/*  The buffer of one that has seen its last value complete; a null one where there is none. Takes
    the lock. */
SXVKI_COLD static void sxvki_ring_take_retired(SxvkFrameRing ring, sxvki_backing* gone) {
    sxvki_ring_buffer* b;
    gone->buffer = VK_NULL_HANDLE;
    sxvki_lock_take(&ring->lock);
    b = ring->retired;
    if (b != NULL && b->last_value <= ring->completed) {
        ring->retired = b->next;
        ring->retired_bytes -= sxvki_ring_head(b) - sxvki_load64_relaxed(&b->tail);
        ring->stats.bufferCount--;
        *gone = b->backing;
        b->next = ring->spare;
        ring->spare = b;
    }
    sxvki_lock_drop(&ring->lock);
}

/*  Destroy what has seen its last value complete. Caller does not hold the lock. */
SXVKI_COLD static void sxvki_ring_release(SxvkFrameRing ring, const char* function) {
    sxvki_backing gone;
    for (sxvki_ring_take_retired(ring, &gone); gone.buffer != VK_NULL_HANDLE;
         sxvki_ring_take_retired(ring, &gone)) {
        sxvki_backing_destroy(ring->plan.allocator, &gone, function);
    }
}

/*  A struct for a new buffer; null where there is no host memory. Takes the lock. */
SXVKI_COLD static sxvki_ring_buffer* sxvki_ring_take_spare(SxvkFrameRing ring) {
    sxvki_ring_buffer* b;
    sxvki_lock_take(&ring->lock);
    b = ring->spare;
    if (b != NULL) {
        ring->spare = b->next;
    }
    sxvki_lock_drop(&ring->lock);
    if (b == NULL) {
        b = (sxvki_ring_buffer*)sxvki_host_alloc_zeroed(&ring->plan.allocator->device.host,
                                                        sizeof *b);
        if (b != NULL) {
            b->head = SXVKI_RING_CLOSED;
        }
    }
    return b;
}

/*  Go on in a new buffer. The caller holds the lock. */
SXVKI_COLD static void sxvki_ring_install(SxvkFrameRing ring, sxvki_ring_buffer* b) {
    sxvki_ring_buffer* old = (sxvki_ring_buffer*)ring->current;
    /* Never the head that it had: a thread that still waits with it would succeed. */
    uint64_t start = sxvki_align_up(sxvki_ring_head(b) + 1, b->backing.size);
    uint64_t closed = SXVKI_RING_CLOSED;
    if (old != NULL) {
        closed = sxvki_load64(&old->head) & SXVKI_RING_CLOSED;
        sxvki_ring_note_peak(ring);
        sxvki_ring_retire(ring, old);
    }
    sxvki_store64_relaxed(&b->mask, b->backing.size - 1);
    sxvki_ring_set(&b->tail, start);
    sxvki_ring_set(&b->head, start | closed);
    ring->frame_start = start;
    ring->stats.size = b->backing.size;
    sxvki_store_ptr(&ring->current, b);
}

/*  Go on in another buffer than `old`. The caller does not hold the lock, and has set is_growing.
    Where the user is asked for memory it is not set, for he may use the ring meanwhile: who then
    finds another buffer than the old one leaves it. */
SXVKI_COLD static VkResult sxvki_ring_replace(SxvkFrameRing ring, const char* function,
                                              const sxvki_ring_buffer* old, VkDeviceSize most,
                                              VkDeviceSize least, int asks) {
    sxvki_ring_buffer* b = sxvki_ring_take_spare(ring);
    VkResult result = VK_ERROR_OUT_OF_HOST_MEMORY;
    sxvki_backing unused;
    unused.buffer = VK_NULL_HANDLE;
    if (b != NULL) {
        result = asks ? sxvki_backing_create(&ring->plan, function, least, 0, &b->backing)
                      : sxvki_backing_create_most(&ring->plan, function, most, least, &b->backing);
    }
    sxvki_lock_take(&ring->lock);
    ring->is_growing &= asks;
    if (result == VK_SUCCESS && ring->current == old) {
        ring->stats.spillCount += old != NULL && most > ring->stats.size;
        sxvki_ring_install(ring, b);
    } else if (b != NULL) {
        if (result == VK_SUCCESS) {
            unused = b->backing;
        }
        b->next = ring->spare;
        ring->spare = b;
    }
    sxvki_lock_drop(&ring->lock);
    sxvki_backing_destroy(ring->plan.allocator, &unused, function);
    sxvki_ring_release(ring, function); /* the old one, where all was completed meanwhile */
    return result;
}

SXVKI_COLD static VkResult sxvki_ring_reject(SxvkFrameRing ring, const char* function,
                                             const char* why) {
    sxvki_report(&ring->plan.allocator->device.reporter, SXVK_MESSAGE_BAD_FRAME_VALUE, function,
                 why);
    return VK_ERROR_VALIDATION_FAILED_EXT;
}

#define SXVKI_RING_IS_CLOSED "no value is open, sxvkBeginFrameRing begins one"

/*  The slow path: another thread has made room, or this one does; in the end by asking the user,
    after which there is a last look at what he has made of the ring. */
SXVKI_COLD static VkResult sxvki_ring_overflow(SxvkFrameRing ring, const char* function,
                                               uint64_t size, uint64_t alignment,
                                               sxvki_ring_buffer** from, uint64_t* offset) {
    uint64_t least = sxvki_pow2_ceil(sxvki_max64(size, ring->alignment));
    VkResult result = VK_SUCCESS, failure = VK_SUCCESS;
    int asks = 0;
    uint32_t step;
    for (step = 0; result == VK_SUCCESS; step++) {
        sxvki_ring_buffer* b;
        uint64_t most, head;
        int must_wait;
        sxvki_lock_take(&ring->lock);
        b = (sxvki_ring_buffer*)ring->current;
        /* Of what is aligned to more than the buffer's size there is offset 0 in each lap. */
        if (sxvki_ring_bump(b, size, sxvki_min64(alignment, b->backing.size), offset)) {
            sxvki_lock_drop(&ring->lock);
            *from = b;
            return VK_SUCCESS;
        }
        head = sxvki_load64(&b->head);
        must_wait = ring->is_growing && !asks;
        most = ring->retired_bytes + (head - sxvki_load64_relaxed(&b->tail)) + least;
        most = sxvki_pow2_ceil(sxvki_max64(most, ring->stats.size + 1));
        if ((head & SXVKI_RING_CLOSED) == 0 && !asks) {
            ring->is_growing = 1;
        }
        sxvki_lock_drop(&ring->lock);
        if ((head & SXVKI_RING_CLOSED) != 0) {
            result = sxvki_ring_reject(ring, function, SXVKI_RING_IS_CLOSED);
        } else if (must_wait) {
            sxvki_spin_pause(step);
        } else if (failure != VK_SUCCESS) {
            result = failure;
        } else {
            result = sxvki_ring_replace(ring, function, b, most, least, asks);
            if (sxvki_is_worth_asking(ring->plan.allocator, result)) {
                failure = asks ? result : VK_SUCCESS;
                result = VK_SUCCESS;
                asks = 1;
            }
        }
    }
    return result;
}

static VkResult sxvki_ring_allocate(SxvkFrameRing ring, const char* function, VkDeviceSize size,
                                    VkDeviceSize alignment, SxvkBufferSlice* slice) {
    sxvki_ring_buffer* b = (sxvki_ring_buffer*)sxvki_load_ptr(&ring->current);
    uint64_t offset;
    alignment = sxvki_max64(alignment, ring->alignment);
    if (!sxvki_ring_bump(b, size, alignment, &offset)) {
        VkResult result = sxvki_ring_overflow(ring, function, size, alignment, &b, &offset);
        sxvki_settle(ring->plan.allocator);
        if (result != VK_SUCCESS) {
            return result;
        }
    }
    sxvki_backing_slice(&b->backing, offset, size, slice);
    return VK_SUCCESS;
}

/*  A smaller size that would have done for some time; 0 where there is none. */
SXVKI_COLD static VkDeviceSize sxvki_ring_smaller_size(SxvkFrameRing ring) {
    VkDeviceSize size = sxvki_max64(sxvki_pow2_ceil(ring->recent_peak * 2), ring->min_size);
    if (++ring->begin_count % SXVKI_RING_SHRINK_TIME != 0) {
        return 0;
    }
    ring->recent_peak = 0;
    return size <= ring->stats.size / 2 && !ring->is_growing ? size : 0;
}

SXVKI_COLD static VkResult sxvki_ring_begin(SxvkFrameRing ring, const char* function,
                                            uint64_t value) {
    sxvki_ring_buffer* b;
    VkDeviceSize smaller = 0;
    int is_later;
    sxvki_lock_take(&ring->lock);
    b = (sxvki_ring_buffer*)ring->current;
    is_later = value > ring->value;
    if (is_later) {
        uint64_t head = sxvki_ring_note_peak(ring);
        if (ring->value == ring->completed) {
            /* From the start of a lap, the whole size is there. */
            head = sxvki_align_up(head, b->backing.size);
            sxvki_ring_set(&b->tail, head);
            sxvki_ring_set(&b->head, head);
        } else {
            sxvki_ring_note_end(ring, head);
        }
        ring->value = value;
        ring->frame_start = head;
        ring->frame_spilled = 0;
        smaller = sxvki_ring_smaller_size(ring);
        ring->is_growing |= smaller != 0;
    }
    sxvki_lock_drop(&ring->lock);
    if (!is_later) {
        return sxvki_ring_reject(ring, function, "value, which must be greater than any before");
    }
    if (smaller != 0) {
        sxvki_ring_replace(ring, function, b, smaller, smaller, 0); /* it need not */
        sxvki_settle(ring->plan.allocator);
    }
    return VK_SUCCESS;
}

SXVKI_COLD static VkResult sxvki_ring_complete(SxvkFrameRing ring, const char* function,
                                               uint64_t value) {
    sxvki_ring_buffer* b;
    int is_begun;
    sxvki_lock_take(&ring->lock);
    b = (sxvki_ring_buffer*)ring->current;
    is_begun = value <= ring->value;
    if (is_begun && value > ring->completed) {
        sxvki_ring_note_peak(ring);
        ring->completed = value;
        while (ring->end_count != 0 && sxvki_ring_end_at(ring, 0)->value <= value) {
            sxvki_ring_set(&b->tail, sxvki_ring_end_at(ring, 0)->position);
            ring->end_first = (ring->end_first + 1) % SXVKI_RING_ENDS;
            ring->end_count--;
        }
        if (value == ring->value) {
            sxvki_or64(&b->head, SXVKI_RING_CLOSED);
            sxvki_ring_set(&b->tail, sxvki_ring_head(b));
        }
    }
    sxvki_lock_drop(&ring->lock);
    if (!is_begun) {
        return sxvki_ring_reject(ring, function, "value, which was not begun");
    }
    sxvki_ring_release(ring, function);
    return sxvki_settled(ring->plan.allocator, VK_SUCCESS);
}

SXVKI_UNUSED SXVKI_COLD static int sxvki_ring_is_complete(SxvkFrameRing ring, uint64_t value) {
    int is_complete;
    sxvki_lock_take(&ring->lock);
    is_complete = value <= ring->completed;
    sxvki_lock_drop(&ring->lock);
    return is_complete;
}

SXVKI_COLD static void sxvki_ring_statistics(SxvkFrameRing ring, SxvkFrameRingStatistics* stats) {
    sxvki_lock_take(&ring->lock);
    sxvki_ring_note_peak(ring);
    *stats = ring->stats;
    stats->begunValue = ring->value;
    stats->completedValue = ring->completed;
    sxvki_lock_drop(&ring->lock);
}

/*  Accepts one that was made in part. */
SXVKI_COLD static void sxvki_ring_destroy(SxvkFrameRing ring, const char* function) {
    SxvkAllocator allocator = ring->plan.allocator;
    const sxvki_host* host = &allocator->device.host;
    sxvki_ring_buffer* b = (sxvki_ring_buffer*)ring->current;
    ring->completed = UINT64_MAX;
    sxvki_ring_release(ring, function);
    if (b != NULL) {
        sxvki_backing_destroy(allocator, &b->backing, function);
        sxvki_host_free(host, b);
    }
    while (ring->spare != NULL) {
        b = ring->spare;
        ring->spare = b->next;
        sxvki_host_free(host, b);
    }
    sxvki_lock_shutdown(&ring->lock);
    sxvki_plan_destroy(&ring->plan);
}

/*  The info is valid. */
SXVKI_COLD static VkResult sxvki_ring_create(SxvkAllocator allocator, const char* function,
                                             const SxvkFrameRingCreateInfo* info,
                                             SxvkFrameRing* made) {
    const sxvki_device* device = &allocator->device;
    VkBufferUsageFlags usage = info->usage | VK_BUFFER_USAGE_TRANSFER_SRC_BIT;
    SxvkFrameRing ring =
        (SxvkFrameRing)sxvki_plan_create(allocator, sizeof *ring, usage, info->memoryUsage,
                                         info->pool, info->module, info->pName, "frame ring");
    VkResult result = VK_ERROR_OUT_OF_HOST_MEMORY;
    if (ring == NULL) {
        return result;
    }
    if (!sxvki_lock_init(&ring->lock, device->blocks_lock.on != 0)) {
        sxvki_plan_destroy(&ring->plan);
        return result;
    }
    ring->alignment = sxvki_max64(sxvki_usage_alignment(&device->vk, usage), info->minAlignment);
    ring->min_size = sxvki_pow2_ceil(
        sxvki_max64(info->size != 0 ? info->size : SXVKI_RING_SIZE, ring->alignment));
    ring->plan.info.flags = SXVKI_UPLOAD_WRITES;
    ring->plan.info.requiredFlags =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    ring->plan.info.minAlignment = ring->alignment;
    ring->stats.bufferCount = 1;
    result = sxvki_ring_replace(ring, function, NULL, ring->min_size, ring->min_size, 1);
    if (result != VK_SUCCESS) {
        sxvki_ring_destroy(ring, function);
        return result;
    }
    *made = ring;
    return VK_SUCCESS;
}

/*  I1, I2, I3. The caller keeps other threads away. */
SXVKI_UNUSED SXVKI_COLD static int sxvki_ring_is_valid(SxvkFrameRing ring) {
    const sxvki_ring_buffer* b = (const sxvki_ring_buffer*)ring->current;
    uint64_t position = b->tail;
    uint64_t value = ring->completed;
    uint32_t i;
    if (b->mask != b->backing.size - 1 || sxvki_ring_head(b) < b->tail ||
        sxvki_ring_head(b) - b->tail > b->backing.size ||
        ((b->head & SXVKI_RING_CLOSED) != 0) != (ring->completed == ring->value)) {
        return 0;
    }
    for (i = 0; i < ring->end_count; i++) {
        const sxvki_ring_end* end = sxvki_ring_end_at(ring, i);
        if (end->value <= value || end->position <= position ||
            end->position > sxvki_ring_head(b)) {
            return 0;
        }
        value = end->value;
        position = end->position;
    }
    for (b = ring->retired; b != NULL; b = b->next) {
        if ((b->head & SXVKI_RING_CLOSED) == 0 || b->last_value <= ring->completed ||
            (b->next == NULL && b != ring->retired_last)) {
            return 0;
        }
    }
    for (b = ring->spare; b != NULL; b = b->next) {
        if ((b->head & SXVKI_RING_CLOSED) == 0) {
            return 0;
        }
    }
    return 1;
}

/* --- smart buffers --- */

#define SXVKI_SMART_COPIES_MAX 8

struct SxvkSmartBuffer_T {
    sxvki_plan plan;
    SxvkFrameRing ring;
    sxvki_backing backing;
    sxvki_backing shadow; /* READBACK: what the CPU reads, where that is not the backing */
    VkDeviceSize size;
    VkDeviceSize stride; /* from copy to copy */
    SxvkSmartBufferAccess access;
    int barriers;
    int is_staged;
    uint32_t copy_count;
    uint32_t copy; /* atomic, guarded by the ring's lock for writing, as are the values */
    uint64_t copy_values[SXVKI_SMART_COPIES_MAX];
};

SXVKI_COLD static SxvkSmartBufferAccess sxvki_smart_access(const SxvkSmartBufferCreateInfo* info) {
    if (info->access != SXVK_SMART_BUFFER_ACCESS_DEFAULT) {
        return info->access;
    }
    return info->usage == VK_BUFFER_USAGE_TRANSFER_DST_BIT     ? SXVK_SMART_BUFFER_ACCESS_READBACK
           : info->usage == VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT ? SXVK_SMART_BUFFER_ACCESS_DYNAMIC
                                                               : SXVK_SMART_BUFFER_ACCESS_STATIC;
}

/*  Flags of the allocation. Where the GPU has memory of its own, reading that by the CPU is so slow
    (uncached, over the bus) that a copy pays. */
SXVKI_COLD static SxvkAllocationCreateFlags sxvki_smart_flags(
    const struct SxvkSmartBuffer_T* buffer, VkBufferUsageFlags usage) {
    const VkFlags copies = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    switch (buffer->access) {
    case SXVK_SMART_BUFFER_ACCESS_STATIC:
        return SXVKI_UPLOAD_WRITES | SXVK_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT;
    case SXVK_SMART_BUFFER_ACCESS_DYNAMIC: return SXVKI_UPLOAD_WRITES;
    case SXVK_SMART_BUFFER_ACCESS_READBACK:
        return (usage & ~copies) == 0 || buffer->plan.allocator->device.model.unified
                   ? SXVKI_UPLOAD_READS
                   : 0;
    default: return 0;
    }
}

/*  READBACK out of memory that the CPU does not see. */
SXVKI_COLD static VkResult sxvki_smart_make_shadow(SxvkSmartBuffer buffer, const char* function) {
    sxvki_plan plan = buffer->plan;
    plan.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    plan.info.pool = VK_NULL_HANDLE;
    plan.info.flags = SXVKI_UPLOAD_READS;
    return sxvki_backing_create(&plan, function, buffer->size, 0, &buffer->shadow);
}

/*  Accepts one that was made in part. */
SXVKI_COLD static void sxvki_smart_destroy(SxvkSmartBuffer buffer, const char* function) {
    SxvkAllocator allocator = buffer->plan.allocator;
    sxvki_backing_destroy(allocator, &buffer->shadow, function);
    sxvki_backing_destroy(allocator, &buffer->backing, function);
    sxvki_plan_destroy(&buffer->plan);
}

/*  The info is valid. */
SXVKI_COLD static VkResult sxvki_smart_create(SxvkAllocator allocator, const char* function,
                                              const SxvkSmartBufferCreateInfo* info,
                                              SxvkSmartBuffer* made) {
    const sxvki_device* device = &allocator->device;
    SxvkSmartBufferAccess access = sxvki_smart_access(info);
    int reads = access == SXVK_SMART_BUFFER_ACCESS_READBACK;
    SxvkSmartBuffer buffer = (SxvkSmartBuffer)sxvki_plan_create(
        allocator, sizeof *buffer,
        info->usage |
            (VkFlags)(reads ? VK_BUFFER_USAGE_TRANSFER_SRC_BIT : VK_BUFFER_USAGE_TRANSFER_DST_BIT),
        SXVK_MEMORY_USAGE_AUTO, info->pool, info->module, info->pName, "smart buffer");
    VkResult result;
    if (buffer == NULL) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    buffer->access = access;
    buffer->ring = info->ring;
    buffer->size = info->size;
    buffer->barriers = (info->flags & SXVK_SMART_BUFFER_CREATE_NO_BARRIERS_BIT) == 0;
    buffer->copy_count = 1;
    if (access == SXVK_SMART_BUFFER_ACCESS_DYNAMIC) {
        buffer->copy_count = info->framesInFlight != 0 ? info->framesInFlight : 3;
        /* Copies of two frames must not share an atom, see >>map. */
        buffer->stride =
            sxvki_align_up(info->size, sxvki_max64(sxvki_usage_alignment(&device->vk, info->usage),
                                                   device->vk.atom));
    }
    buffer->plan.info.flags = sxvki_smart_flags(buffer, info->usage);
    result = sxvki_backing_create(&buffer->plan, function,
                                  (buffer->copy_count - 1) * buffer->stride + info->size, 0,
                                  &buffer->backing);
    buffer->is_staged =
        access == SXVK_SMART_BUFFER_ACCESS_STREAMING || buffer->backing.data == NULL;
    if (result == VK_SUCCESS && reads && buffer->is_staged) {
        result = sxvki_smart_make_shadow(buffer, function);
    }
    if (result != VK_SUCCESS) {
        sxvki_smart_destroy(buffer, function);
        return result;
    }
    *made = buffer;
    return VK_SUCCESS;
}

/*  The copy that the open value writes; for DYNAMIC a fresh one at its first write. Fails where no
    value is open also on devices that need no staging, so that a mistake shows on all. */
SXVKI_COLD static VkResult sxvki_smart_turn(SxvkSmartBuffer buffer, const char* function,
                                            uint32_t* copy, uint64_t* value) {
    SxvkFrameRing ring = buffer->ring;
    int is_open, is_free = 1;
    sxvki_lock_take(&ring->lock);
    *copy = buffer->copy;
    *value = ring->value;
    is_open = ring->value != ring->completed;
    if (is_open && buffer->access == SXVK_SMART_BUFFER_ACCESS_DYNAMIC &&
        buffer->copy_values[*copy] != ring->value) {
        *copy = (*copy + 1) % buffer->copy_count;
        is_free = buffer->copy_values[*copy] <= ring->completed;
        if (is_free) {
            buffer->copy_values[*copy] = ring->value;
            sxvki_store32(&buffer->copy, *copy);
        }
    }
    sxvki_lock_drop(&ring->lock);
    if (is_open && is_free) {
        return VK_SUCCESS;
    }
    return sxvki_ring_reject(ring, function,
                             is_open ? "more frames are in flight than framesInFlight said"
                                     : SXVKI_RING_IS_CLOSED);
}

/*  The range is valid, and *write zero. The value is read first: what is staged belongs to that one
    or to a later one. */
SXVKI_COLD static VkResult sxvki_smart_prepare(SxvkSmartBuffer buffer, const char* function,
                                               VkDeviceSize offset, VkDeviceSize size,
                                               SxvkSmartBufferWrite* write) {
    uint32_t copy;
    uint64_t value;
    VkResult result = sxvki_smart_turn(buffer, function, &copy, &value);
    if (result == VK_SUCCESS && buffer->is_staged) {
        result = sxvki_ring_allocate(buffer->ring, function, size, 0, &write->staging);
    }
    if (result == VK_SUCCESS) {
        write->buffer = buffer;
        write->value = value;
        write->size = size;
        write->dstOffset = offset + copy * buffer->stride;
        write->pData = buffer->is_staged ? write->staging.pMappedData
                                         : buffer->backing.data + write->dstOffset;
    }
    return result;
}

/*  Over a range of a buffer: all work of the stages `from` before all of `to`. */
SXVKI_COLD static void sxvki_record_barrier(const sxvki_vk* vk, VkCommandBuffer commands,
                                            VkBuffer buffer, const VkBufferCopy* at,
                                            VkPipelineStageFlags from, VkAccessFlags writes,
                                            VkPipelineStageFlags to, VkAccessFlags accesses) {
    VkBufferMemoryBarrier barrier;
    memset(&barrier, 0, sizeof barrier);
    barrier.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER;
    barrier.srcAccessMask = writes;
    barrier.dstAccessMask = accesses;
    barrier.srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    barrier.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    barrier.buffer = buffer;
    barrier.offset = at->dstOffset;
    barrier.size = at->size;
    vk->fn.vkCmdPipelineBarrier(commands, from, to, 0, 0, NULL, 1, &barrier, 0, NULL);
}

SXVKI_COLD static VkResult sxvki_smart_record_write(SxvkSmartBuffer buffer,
                                                    VkCommandBuffer commands,
                                                    const SxvkSmartBufferWrite* write) {
    const sxvki_device* device = &buffer->plan.allocator->device;
    VkBuffer target = buffer->backing.buffer;
    VkBufferCopy region;
    if (!buffer->is_staged) {
        return sxvki_flush(device, SXVKI_CACHE_FLUSH, 1, &buffer->backing.allocation,
                           &write->dstOffset, &write->size);
    }
    region.srcOffset = write->staging.offset;
    region.dstOffset = write->dstOffset;
    region.size = write->size;
    if (buffer->barriers && buffer->access == SXVK_SMART_BUFFER_ACCESS_STREAMING) {
        sxvki_record_barrier(&device->vk, commands, target, &region,
                             VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_ACCESS_MEMORY_WRITE_BIT,
                             VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT);
    }
    device->vk.fn.vkCmdCopyBuffer(commands, write->staging.buffer, target, 1, &region);
    if (buffer->barriers) {
        sxvki_record_barrier(&device->vk, commands, target, &region, VK_PIPELINE_STAGE_TRANSFER_BIT,
                             VK_ACCESS_TRANSFER_WRITE_BIT, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                             VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT);
    }
    return VK_SUCCESS;
}

SXVKI_COLD static void sxvki_smart_record_read(SxvkSmartBuffer buffer, VkCommandBuffer commands,
                                               VkDeviceSize offset, VkDeviceSize size) {
    const sxvki_vk* vk = &buffer->plan.allocator->device.vk;
    VkBuffer seen = buffer->is_staged ? buffer->shadow.buffer : buffer->backing.buffer;
    VkPipelineStageFlags by = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    VkPipelineStageFlags next = VK_PIPELINE_STAGE_TRANSFER_BIT;
    VkBufferCopy region;
    region.srcOffset = offset;
    region.dstOffset = offset;
    region.size = size;
    if (buffer->is_staged) {
        if (buffer->barriers) {
            sxvki_record_barrier(vk, commands, buffer->backing.buffer, &region, by,
                                 VK_ACCESS_MEMORY_WRITE_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT,
                                 VK_ACCESS_TRANSFER_READ_BIT);
        }
        vk->fn.vkCmdCopyBuffer(commands, buffer->backing.buffer, seen, 1, &region);
        by = VK_PIPELINE_STAGE_TRANSFER_BIT;
        next = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    }
    if (buffer->barriers) {
        /* The next copy to the same place must not come before this one is done, nor the next
           shader write to where this one reads. */
        sxvki_record_barrier(vk, commands, seen, &region, by, VK_ACCESS_MEMORY_WRITE_BIT,
                             VK_PIPELINE_STAGE_HOST_BIT | next,
                             VK_ACCESS_HOST_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
    }
}

SXVKI_COLD static VkResult sxvki_smart_read(SxvkSmartBuffer buffer, VkDeviceSize offset,
                                            VkDeviceSize size, void* data) {
    const sxvki_backing* seen = buffer->is_staged ? &buffer->shadow : &buffer->backing;
    VkResult result = sxvki_flush(&buffer->plan.allocator->device, SXVKI_CACHE_INVALIDATE, 1,
                                  &seen->allocation, &offset, &size);
    if (result == VK_SUCCESS) {
        memcpy(data, seen->data + offset, (size_t)size);
    }
    return result;
}

/* --- buffer arenas --- */

#if !SX_VKALLOC_NO_VIRTUAL

#define SXVKI_ARENA_BUFFER_MIN          ((VkDeviceSize)256 << 10)
#define SXVKI_ARENA_BUFFER_MAX          ((VkDeviceSize)64 << 20)
#define SXVKI_ARENA_BUFFERS_FIRST_SHIFT 3

typedef struct sxvki_arena_buffer {
    sxvki_backing backing;
    uint32_t first; /* the record at offset 0 */
    uint32_t next;  /* one that is unused as well */
} sxvki_arena_buffer;

struct SxvkBufferArena_T {
    sxvki_plan plan;
    VkDeviceSize buffer_size; /* 0 = grow */
    sxvki_lock lock;          /* guards all below */
    /* A granule of it is the arena's alignment; its size is that of all buffers together. */
    struct SxvkVirtualBlock_T ranges;
    sxvki_table buffers;
    uint32_t empty; /* the buffer that is kept although it is empty, or SXVKI_NONE */
    uint32_t buffer_count;
    int is_growing; /* a thread makes a buffer */
};

static sxvki_arena_buffer* sxvki_arena_buffer_at(const struct SxvkBufferArena_T* arena,
                                                 uint32_t id) {
    return (sxvki_arena_buffer*)sxvki_table_at(&arena->buffers, id, SXVKI_ARENA_BUFFERS_FIRST_SHIFT,
                                               sizeof(sxvki_arena_buffer));
}

/*  Room for the books of one more buffer. Returns 0 where there is no host memory. Caller holds the
    lock, as of all down to sxvki_arena_allocate. */
SXVKI_COLD static int sxvki_arena_reserve(SxvkBufferArena arena) {
    uint32_t from, to;
    if (!sxvki_bins_prepare(&arena->ranges.domain.bins)) {
        return 0;
    }
    if (arena->buffers.has_unused == 0) {
        if (arena->buffers.capacity >= SXVKI_BLOCK_ID_MASK ||
            !sxvki_table_grow(&arena->buffers, &arena->ranges.host, 1, &from, &to)) {
            return 0;
        }
        sxvki_table_add(&arena->buffers, from, to);
    }
    return 1;
}

/*  Hand out a range at the start of an empty buffer; bins_prepare was called. */
SXVKI_COLD static void sxvki_arena_carve(SxvkBufferArena arena, const sxvki_arena_buffer* buffer,
                                         uint64_t size, sxvki_virtual_spot* spot) {
    spot->index = sxvki_bins_carve(&arena->ranges.domain.bins, buffer->first, 0, size);
    sxvki_virtual_count_in(&arena->ranges, sxvki_record_at(&arena->ranges.records, spot->index), 0,
                           spot);
}

/*  What no search finds may be an empty buffer all the same: its range is in the bin of the size,
    behind others that are too small. Returns 0 where it is not. */
SXVKI_COLD static int sxvki_arena_take_empty(SxvkBufferArena arena, uint64_t size,
                                             sxvki_virtual_spot* spot) {
    const sxvki_arena_buffer* buffer;
    if (arena->empty == SXVKI_NONE) {
        return 0;
    }
    buffer = sxvki_arena_buffer_at(arena, arena->empty);
    if (buffer->backing.size >> arena->ranges.shift < size) {
        return 0;
    }
    sxvki_arena_carve(arena, buffer, size, spot);
    arena->empty = SXVKI_NONE;
    return 1;
}

/*  With a range at its start that is handed out: arena_reserve was called. */
SXVKI_COLD static void sxvki_arena_add_buffer(SxvkBufferArena arena, const sxvki_backing* backing,
                                              uint64_t taken, sxvki_virtual_spot* spot) {
    uint32_t id = sxvki_table_take(&arena->buffers);
    uint64_t size = backing->size >> arena->ranges.shift;
    sxvki_arena_buffer* buffer = sxvki_arena_buffer_at(arena, id);
    buffer->backing = *backing;
    buffer->first = sxvki_bins_add_block(&arena->ranges.domain.bins, id, size);
    arena->ranges.size += size;
    arena->buffer_count++;
    sxvki_arena_carve(arena, buffer, taken, spot);
}

SXVKI_COLD static void sxvki_arena_remove_buffer(SxvkBufferArena arena, uint32_t id,
                                                 sxvki_backing* gone) {
    sxvki_arena_buffer* buffer = sxvki_arena_buffer_at(arena, id);
    *gone = buffer->backing;
    memset(&buffer->backing, 0, sizeof buffer->backing);
    sxvki_bins_remove_block(&arena->ranges.domain.bins, buffer->first);
    sxvki_table_give(&arena->buffers, id, &buffer->next);
    arena->ranges.size -= gone->size >> arena->ranges.shift;
    arena->buffer_count--;
}

/*  One more buffer, and what is wished for from its start: a search might find a range of another
    buffer before it, one that is aligned badly or that was freed meanwhile. VK_NOT_READY: another
    thread has made one. Where the user is asked for memory he may use the arena meanwhile, so that
    other threads do not wait for that. */
SXVKI_COLD static VkResult sxvki_arena_grow(SxvkBufferArena arena, const char* function,
                                            uint64_t size, uint32_t step, int asks,
                                            sxvki_virtual_spot* spot) {
    VkDeviceSize least = size << arena->ranges.shift;
    VkDeviceSize most = arena->buffer_size;
    sxvki_backing made;
    VkResult result;
    if (arena->is_growing && !asks) {
        sxvki_lock_drop(&arena->lock);
        sxvki_spin_pause(step);
        sxvki_lock_take(&arena->lock);
        return VK_NOT_READY;
    }
    if (most == 0) {
        /* Half of what is used, not of what there is: slices with large alignments leave most of a
           buffer empty, and would make the next one larger still. */
        most = arena->ranges.domain.live_bytes >> SXVKI_GRANULE_SHIFT << arena->ranges.shift >> 1;
        most = sxvki_pow2_floor(sxvki_max64(most, SXVKI_ARENA_BUFFER_MIN));
        most = sxvki_min64(most, SXVKI_ARENA_BUFFER_MAX);
    }
    arena->is_growing |= !asks;
    sxvki_lock_drop(&arena->lock);
    most = sxvki_max64(sxvki_align_down(most, (VkDeviceSize)1 << arena->ranges.shift), least);
    result = asks ? sxvki_backing_create(&arena->plan, function, least, 0, &made)
                  : sxvki_backing_create_most(&arena->plan, function, most, least, &made);
    sxvki_lock_take(&arena->lock);
    arena->is_growing &= asks;
    if (result == VK_SUCCESS) {
        if (sxvki_arena_reserve(arena)) {
            sxvki_arena_add_buffer(arena, &made, size, spot);
        } else {
            sxvki_lock_drop(&arena->lock);
            sxvki_backing_destroy(arena->plan.allocator, &made, function);
            sxvki_lock_take(&arena->lock);
            result = VK_ERROR_OUT_OF_HOST_MEMORY;
        }
    }
    return result;
}

/*  The buffer that a slice is in. */
static uint32_t sxvki_arena_buffer_of(const struct SxvkBufferArena_T* arena, uint32_t index) {
    const sxvki_records* records = &arena->ranges.records;
    return index & SXVKI_HANDLE_SLAB_BIT ? sxvki_slab_of(records, index)->block
                                         : sxvki_record_block(sxvki_record_at(records, index));
}

SXVKI_APART static void sxvki_arena_slice(const struct SxvkBufferArena_T* arena, uint32_t index,
                                          VkDeviceSize offset, VkDeviceSize size,
                                          SxvkBufferSlice* slice) {
    uint32_t id = sxvki_arena_buffer_of(arena, index);
    sxvki_backing_slice(&sxvki_arena_buffer_at(arena, id)->backing, offset, size, slice);
}

/*  A range, a new slab, the empty buffer, or a further one: in the end by asking the user, after
    which there is a last look at what he has made of the arena. */
SXVKI_APART static VkResult sxvki_arena_take(SxvkBufferArena arena, const char* function,
                                             const SxvkVirtualAllocationCreateInfo* wish,
                                             sxvki_virtual_spot* spot) {
    VkResult result = VK_NOT_READY, failure = VK_SUCCESS;
    int asks = 0;
    uint32_t step;
    for (step = 0; result == VK_NOT_READY; step++) {
        result = sxvki_virtual_take(&arena->ranges, wish->size, wish->alignment,
                                    SXVKI_STRATEGY_MIN_TIME, spot);
        if (result == VK_SUCCESS) {
            uint32_t id = sxvki_arena_buffer_of(arena, spot->index);
            arena->empty = id == arena->empty ? SXVKI_NONE : arena->empty;
        } else if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY) {
            result = sxvki_arena_take_empty(arena, wish->size, spot) ? VK_SUCCESS
                     : failure != VK_SUCCESS
                         ? failure
                         : sxvki_arena_grow(arena, function, wish->size, step, asks, spot);
            if (failure == VK_SUCCESS && sxvki_is_worth_asking(arena->plan.allocator, result)) {
                failure = asks ? result : VK_SUCCESS;
                result = VK_NOT_READY;
                asks = 1;
            }
        }
    }
    return result;
}

/*  Arguments are valid; slice is optional. A slab that is there tells that its buffer is not the
    empty one. */
static VkResult sxvki_arena_allocate(SxvkBufferArena arena, const char* function, VkDeviceSize size,
                                     VkDeviceSize alignment, SxvkArenaAllocation* allocation,
                                     SxvkBufferSlice* slice) {
    uint32_t shift = arena->ranges.shift;
    SxvkVirtualAllocationCreateInfo wish;
    sxvki_virtual_spot spot;
    VkResult result = VK_SUCCESS;
    sxvki_slab* full;
    int may_grow;
    wish.size = (size + ((VkDeviceSize)1 << shift) - 1) >> shift;
    wish.alignment = sxvki_max64(alignment >> shift, 1);
    sxvki_lock_take(&arena->lock);
    may_grow = !sxvki_virtual_take_first(&arena->ranges, &wish, &spot, &full);
    if (may_grow) {
        result = sxvki_arena_take(arena, function, &wish, &spot);
    } else if (full != NULL) {
        sxvki_virtual_unlist(&arena->ranges, full);
    }
    if (SXVKI_LIKELY(result == VK_SUCCESS)) {
        *allocation = (SxvkArenaAllocation)(void*)sxvki_virtual_handle(&spot);
        if (slice != NULL) {
            sxvki_arena_slice(arena, spot.index, spot.offset << shift, size, slice);
        }
    }
    sxvki_lock_drop(&arena->lock);
    if (may_grow) {
        sxvki_settle(arena->plan.allocator);
    }
    return result;
}

SXVKI_COLD static void sxvki_arena_reject(SxvkBufferArena arena, const char* function) {
    sxvki_report(&arena->plan.allocator->device.reporter, SXVK_MESSAGE_INVALID_ALLOCATION, function,
                 "allocation");
}

/*  A range of this buffer was given back: was it the last? Takes the lock over, and drops it. */
SXVKI_APART static void sxvki_arena_settle(SxvkBufferArena arena, const char* function,
                                           uint32_t id) {
    sxvki_backing gone;
    gone.buffer = VK_NULL_HANDLE;
    if (sxvki_bins_block_is_empty(&arena->ranges.domain.bins,
                                  sxvki_arena_buffer_at(arena, id)->first)) {
        if (arena->empty == SXVKI_NONE) {
            arena->empty = id;
        } else {
            sxvki_arena_remove_buffer(arena, id, &gone);
        }
    }
    sxvki_lock_drop(&arena->lock);
    sxvki_backing_destroy(arena->plan.allocator, &gone, function);
    sxvki_settle(arena->plan.allocator);
}

/*  Most slices are slots, and leave their slab where it is: then there is nothing else to look at.
    A slab that was closed stays readable. */
static void sxvki_arena_free(SxvkBufferArena arena, const char* function,
                             SxvkArenaAllocation allocation) {
    SxvkAllocation handle = (SxvkAllocation)(void*)allocation;
    const sxvki_records* records = &arena->ranges.records;
    uint32_t index = sxvki_handle_index(handle);
    uint32_t ranges, id = SXVKI_NONE;
    int is_valid;
    sxvki_lock_take(&arena->lock);
    ranges = arena->ranges.domain.live_count;
    if ((index & SXVKI_HANDLE_SLAB_BIT) == 0 && sxvki_handle_is_valid(records, handle)) {
        id = sxvki_arena_buffer_of(arena, index);
    }
    is_valid = sxvki_virtual_free(&arena->ranges, handle);
    if (arena->ranges.domain.live_count != ranges) {
        id = id == SXVKI_NONE ? sxvki_arena_buffer_of(arena, index) : id;
        sxvki_arena_settle(arena, function, id);
        return;
    }
    sxvki_lock_drop(&arena->lock);
    if (!is_valid) {
        sxvki_arena_reject(arena, function);
    }
}

/*  Where a slice is; zero, and a message, where the handle is stale. */
SXVKI_COLD static void sxvki_arena_look(SxvkBufferArena arena, const char* function,
                                        SxvkArenaAllocation allocation, SxvkBufferSlice* slice) {
    SxvkAllocation handle = (SxvkAllocation)(void*)allocation;
    uint32_t index = sxvki_handle_index(handle);
    uint64_t offset, size;
    int is_valid;
    sxvki_lock_take(&arena->lock);
    is_valid = sxvki_handle_is_valid(&arena->ranges.records, handle);
    if (SXVKI_LIKELY(is_valid)) {
        sxvki_virtual_look(&arena->ranges, index, &offset, &size);
        sxvki_arena_slice(arena, index, offset, size, slice);
    }
    sxvki_lock_drop(&arena->lock);
    if (!is_valid) {
        sxvki_arena_reject(arena, function);
    }
}

SXVKI_COLD static void sxvki_arena_statistics(SxvkBufferArena arena, SxvkStatistics* stats) {
    sxvki_lock_take(&arena->lock);
    sxvki_virtual_statistics(&arena->ranges, stats);
    stats->blockCount = arena->buffer_count;
    sxvki_lock_drop(&arena->lock);
}

/*  Accepts one that was made in part. */
SXVKI_COLD static void sxvki_arena_destroy(SxvkBufferArena arena, const char* function) {
    SxvkAllocator allocator = arena->plan.allocator;
    uint32_t id;
    for (id = 0; id < arena->buffers.capacity; id++) {
        sxvki_backing_destroy(allocator, &sxvki_arena_buffer_at(arena, id)->backing, function);
    }
    sxvki_table_shutdown(&arena->buffers, &arena->ranges.host);
    sxvki_virtual_shutdown(&arena->ranges);
    sxvki_lock_shutdown(&arena->lock);
    sxvki_plan_destroy(&arena->plan);
}

/*  The info is valid. */
SXVKI_COLD static VkResult sxvki_arena_create(SxvkAllocator allocator,
                                              const SxvkBufferArenaCreateInfo* info,
                                              SxvkBufferArena* made) {
    const sxvki_device* device = &allocator->device;
    VkDeviceSize unit = sxvki_max64(sxvki_usage_alignment(&device->vk, info->usage),
                                    sxvki_max64(info->minAlignment, device->debug.minAlignment));
    SxvkBufferArena arena =
        (SxvkBufferArena)sxvki_plan_create(allocator, sizeof *arena, info->usage, info->memoryUsage,
                                           info->pool, info->module, info->pName, "buffer arena");
    if (arena == NULL) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    if ((info->allocationFlags & (SXVKI_UPLOAD_WRITES | SXVKI_UPLOAD_READS)) != 0) {
        unit = sxvki_max64(unit, device->vk.atom); /* slices must not share an atom, see >>map */
    }
    arena->ranges.host = device->host;
    arena->ranges.shift = sxvki_high_bit(unit);
    if (!sxvki_virtual_init(&arena->ranges, SXVKI_GRANULES_MAX) ||
        !sxvki_virtual_reserve(&arena->ranges, SXVKI_ARENA_BUFFER_MAX >> arena->ranges.shift) ||
        !sxvki_lock_init(&arena->lock, device->blocks_lock.on != 0)) {
        sxvki_arena_destroy(arena, NULL);
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    sxvki_table_init(&arena->buffers, SXVKI_ARENA_BUFFERS_FIRST_SHIFT, sizeof(sxvki_arena_buffer),
                     offsetof(sxvki_arena_buffer, next));
    arena->ranges.room = 0; /* there is always room for a slab: in a further buffer */
    arena->plan.info.flags = info->allocationFlags;
    arena->plan.info.minAlignment = unit;
    arena->buffer_size = info->bufferSize;
    arena->empty = SXVKI_NONE;
    *made = arena;
    return VK_SUCCESS;
}

/*  What the bins promise, and that the totals agree. The caller keeps other threads away. */
SXVKI_UNUSED SXVKI_COLD static int sxvki_arena_is_valid(SxvkBufferArena arena) {
    const sxvki_bins* bins = &arena->ranges.domain.bins;
    uint32_t id, count = 0, free_count = 0;
    VkDeviceSize bytes = 0;
    for (id = 0; id < arena->buffers.capacity; id++) {
        const sxvki_arena_buffer* buffer = sxvki_arena_buffer_at(arena, id);
        if (buffer->backing.buffer != VK_NULL_HANDLE) {
            count++;
            bytes += buffer->backing.size;
            if (!sxvki_bins_block_is_valid(bins, buffer->first, id,
                                           buffer->backing.size >> arena->ranges.shift,
                                           &free_count) ||
                (id != arena->empty && sxvki_bins_block_is_empty(bins, buffer->first))) {
                return 0;
            }
        }
    }
    return count == arena->buffer_count && bytes >> arena->ranges.shift == arena->ranges.size &&
           sxvki_bins_is_valid(bins, free_count);
}

#endif /* !SX_VKALLOC_NO_VIRTUAL */
#endif /* !SX_VKALLOC_NO_UPLOAD */

/* ============================================================================================== */
/*  >>validate   argument checks                                                                  */
/* ============================================================================================== */
/*
    One function per public struct or handle, of one-line conditions. A failed check reports what is
    wrong, by function and field, and gives VK_ERROR_VALIDATION_FAILED_EXT. Handles of allocations
    are checked in every build, the rest unless SX_VKALLOC_VALIDATE is 0.
*/

SXVKI_COLD static VkResult sxvki_reject_to(const sxvki_reporter* reporter, SxvkMessage message,
                                           const char* function, const char* field) {
    sxvki_report(reporter, message, function, field);
    return VK_ERROR_VALIDATION_FAILED_EXT;
}

SXVKI_COLD static VkResult sxvki_reject(SxvkAllocator allocator, SxvkMessage message,
                                        const char* function, const char* field) {
    return sxvki_reject_to(&allocator->device.reporter, message, function, field);
}

#if SX_VKALLOC_VALIDATE
#define SXVKI_REJECT_TO_IF(reporter, condition, message, field)                                    \
    do {                                                                                           \
        if (condition) {                                                                           \
            return sxvki_reject_to((reporter), SXVK_MESSAGE_##message, function, (field));         \
        }                                                                                          \
    } while (0)
#else
#define SXVKI_REJECT_TO_IF(reporter, condition, message, field)                                    \
    do {                                                                                           \
        (void)(reporter);                                                                          \
        (void)function;                                                                            \
        (void)sizeof(condition);                                                                   \
        (void)(field);                                                                             \
    } while (0)
#endif

#define SXVKI_REJECT_IF(condition, message, field)                                                 \
    SXVKI_REJECT_TO_IF(&allocator->device.reporter, condition, message, field)

/*  For the body of a public function: leave with the result of a failed check. */
#define SXVKI_CHECK(check)                                                                         \
    do {                                                                                           \
        VkResult checked_ = (check);                                                               \
        if (checked_ != VK_SUCCESS) {                                                              \
            return checked_;                                                                       \
        }                                                                                          \
    } while (0)

/*  0 says that there is none. */
SXVKI_INLINE int sxvki_is_alignment(VkDeviceSize alignment, uint32_t bits) {
    return (alignment & (alignment - 1)) == 0 && alignment >> bits == 0;
}

SXVKI_INLINE int sxvki_is_share(float x) {
    return x >= 0.0f && x <= 1.0f;
}

/*  Null where either both functions are there or none. */
SXVKI_INLINE int sxvki_is_host(const VkAllocationCallbacks* host) {
    return host == NULL || (host->pfnAllocation != NULL && host->pfnFree != NULL);
}

#define SXVKI_KNOWN_ALLOCATOR_FLAGS  0x00010DFFu
#define SXVKI_KNOWN_ALLOCATION_FLAGS 0x04075FC7u
#define SXVKI_KNOWN_POOL_FLAGS       0x00010006u
#define SXVKI_KNOWN_DEBUG_FLAGS      0x0000001Fu
#define SXVKI_KNOWN_DEFRAG_FLAGS     0x0000003Fu
#define SXVKI_KNOWN_MOVE_FLAGS       0x00000003u
#define SXVKI_KNOWN_TICK_FLAGS       0x00000003u

/*  Nobody can be told of an allocator that is null. */
#define SXVKI_CHECK_ALLOCATOR(allocator)                                                           \
    do {                                                                                           \
        if ((allocator) == VK_NULL_HANDLE) {                                                       \
            return VK_ERROR_VALIDATION_FAILED_EXT;                                                 \
        }                                                                                          \
    } while (0)

static VkResult sxvki_check_pointer(SxvkAllocator allocator, const char* function,
                                    const void* pointer, const char* field) {
    SXVKI_CHECK_ALLOCATOR(allocator);
    SXVKI_REJECT_IF(pointer == NULL, NULL_ARGUMENT, field);
    return VK_SUCCESS;
}

/*  As sxvki_check_allocation, of what it does not know. */
SXVKI_APART static VkResult sxvki_check_linear(SxvkAllocator allocator, const char* function,
                                               SxvkAllocation allocation, uint32_t* index) {
    *index = sxvki_allocation_index(allocation);
    if (sxvki_allocation_is_valid_after_all(&allocator->device, allocation)) {
        return VK_SUCCESS;
    }
    return sxvki_reject(allocator,
                        allocation == VK_NULL_HANDLE ? SXVK_MESSAGE_NULL_ARGUMENT
                                                     : SXVK_MESSAGE_INVALID_ALLOCATION,
                        function, "allocation");
}

/*  Always on. Gives the index of the record. */
static VkResult sxvki_check_allocation(SxvkAllocator allocator, const char* function,
                                       SxvkAllocation allocation, uint32_t* index) {
    SXVKI_CHECK_ALLOCATOR(allocator);
    *index = sxvki_handle_index(allocation);
    if (SXVKI_LIKELY(sxvki_handle_is_valid(&allocator->device.records, allocation))) {
        return VK_SUCCESS;
    }
    return sxvki_check_linear(allocator, function, allocation, index);
}

/*  Always on. Claim an allocation that is to be freed; returns 0 where it is not valid, told when
    nothing is left in `returns`, which may be null. */
static int sxvki_claim_checked(SxvkAllocator allocator, const char* function, const char* field,
                               SxvkAllocation allocation, sxvki_returns* returns) {
    if (SXVKI_LIKELY(sxvki_claim(&allocator->device, allocation))) {
        return 1;
    }
    if (returns != NULL) {
        sxvki_returns_flush(returns);
    }
    sxvki_reject(allocator, SXVK_MESSAGE_INVALID_ALLOCATION, function, field);
    return 0;
}

/*  Always on. A module that may be null, in a field. */
SXVKI_APART static VkResult sxvki_check_module(SxvkAllocator allocator, const char* function,
                                               SxvkModule module, const char* field) {
    if (module != VK_NULL_HANDLE && sxvki_module_get(&allocator->device.modules, module) == NULL) {
        return sxvki_reject(allocator, SXVK_MESSAGE_INVALID_MODULE, function, field);
    }
    return VK_SUCCESS;
}

SXVKI_COLD static VkResult sxvki_check_usage(SxvkAllocator allocator, const char* function,
                                             SxvkMemoryUsage usage, const char* field) {
    SXVKI_REJECT_IF(usage != SXVK_MEMORY_USAGE_UNKNOWN &&
                        (usage < SXVK_MEMORY_USAGE_GPU_LAZILY_ALLOCATED ||
                         usage > SXVK_MEMORY_USAGE_AUTO_PREFER_HOST),
                    BAD_ENUM, field);
    return VK_SUCCESS;
}

SXVKI_COLD static VkResult sxvki_check_module_info(SxvkAllocator allocator, const char* function,
                                                   const SxvkModuleCreateInfo* info) {
    SXVKI_REJECT_IF(info == NULL, NULL_ARGUMENT, "pCreateInfo");
    SXVKI_REJECT_IF(info->flags != 0, UNKNOWN_FLAGS, "pCreateInfo->flags");
    if (info->pName == NULL || info->pName[0] == 0) { /* always on: it is looked at */
        return sxvki_reject(allocator, SXVK_MESSAGE_NULL_ARGUMENT, function, "pCreateInfo->pName");
    }
    SXVKI_REJECT_IF((uint32_t)info->strategy > SXVK_MODULE_STRATEGY_MEMORY, BAD_ENUM,
                    "pCreateInfo->strategy");
    SXVKI_REJECT_IF(!sxvki_is_alignment(info->minBufferAlignment, 40), BAD_ALIGNMENT,
                    "pCreateInfo->minBufferAlignment");
    SXVKI_REJECT_IF(!sxvki_is_share(info->warningThreshold), BAD_SHARE,
                    "pCreateInfo->warningThreshold");
    return sxvki_check_usage(allocator, function, info->fallbackUsage,
                             "pCreateInfo->fallbackUsage");
}

static VkResult sxvki_check_pool(SxvkAllocator allocator, const char* function, SxvkPool pool) {
    SXVKI_CHECK_ALLOCATOR(allocator);
    SXVKI_REJECT_IF(pool == VK_NULL_HANDLE, NULL_ARGUMENT, "pool");
    SXVKI_REJECT_IF(pool->device != &allocator->device, INVALID_POOL, "pool");
    return VK_SUCCESS;
}

#if !SX_VKALLOC_NO_DEFRAG
SXVKI_COLD static VkResult sxvki_check_defragmentation_info(SxvkAllocator allocator,
                                                            const char* function,
                                                            const SxvkDefragmentationInfo* info) {
    VkFlags algorithm;
    SXVKI_REJECT_IF(info == NULL, NULL_ARGUMENT, "pInfo");
    algorithm = info->flags & SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_MASK;
    SXVKI_REJECT_IF((info->flags & ~SXVKI_KNOWN_DEFRAG_FLAGS) != 0, UNKNOWN_FLAGS, "flags");
    SXVKI_REJECT_IF((algorithm & (algorithm - 1)) != 0, CONFLICTING_FLAGS, "flags");
    return info->pool != VK_NULL_HANDLE ? sxvki_check_pool(allocator, function, info->pool)
                                        : VK_SUCCESS;
}

/*  An info without MOVABLE_BIT, and the resource that was to have it. Always on: what is refused
    here would be moved wrongly. */
SXVKI_COLD static VkResult sxvki_check_movable(SxvkAllocator allocator, const char* function,
                                               const SxvkAllocationCreateInfo* info,
                                               const sxvki_resource* r) {
    const VkFlags never = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT |
                          SXVK_ALLOCATION_CREATE_DONT_BIND_BIT |
                          SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT | SXVK_ALLOCATION_CREATE_PINNED_BIT;
    const char* wrong = r->is_image ? sxvki_movable_refuse_image(r->info.image)
                                    : sxvki_movable_refuse_buffer(r->info.buffer);
    if ((info->flags & never) != 0 || info->pNext != NULL) {
        return sxvki_reject(allocator, SXVK_MESSAGE_CONFLICTING_FLAGS, function,
                            "pCreateInfo->flags or pNext, with MOVABLE");
    }
    if (info->pool != VK_NULL_HANDLE && sxvki_pool_is_linear(info->pool)) {
        return sxvki_reject(allocator, SXVK_MESSAGE_CONFLICTING_FLAGS, function,
                            "pCreateInfo->pool: linear, with MOVABLE");
    }
    return wrong == NULL ? VK_SUCCESS
                         : sxvki_reject(allocator, SXVK_MESSAGE_BAD_STRUCT, function, wrong);
}

SXVKI_COLD static VkResult sxvki_check_move_info(SxvkAllocator allocator, const char* function,
                                                 const SxvkMoveInfo* info) {
    const sxvki_movables* movables = &allocator->movables;
    const sxvki_vk* vk = &allocator->device.vk;
    SXVKI_REJECT_IF(info == NULL, NULL_ARGUMENT, "pInfo");
    SXVKI_REJECT_IF((info->flags & ~SXVKI_KNOWN_MOVE_FLAGS) != 0, UNKNOWN_FLAGS, "flags");
    SXVKI_REJECT_IF(info->pfnQuery == NULL, NULL_ARGUMENT, "pfnQuery");
    SXVKI_REJECT_IF(info->pfnMoved == NULL, NULL_ARGUMENT, "pfnMoved");
    SXVKI_REJECT_IF(info->value <= movables->completed_value || info->value < movables->last_value,
                    BAD_FRAME_VALUE, "value");
    if (info->commandBuffer != VK_NULL_HANDLE &&
        (vk->fn.vkCmdCopyBuffer == NULL || vk->fn.vkCmdCopyImage == NULL ||
         vk->fn.vkCmdPipelineBarrier == NULL)) {
        return sxvki_reject(allocator, SXVK_MESSAGE_MISSING_FUNCTION, function,
                            "vkCmdCopyBuffer, vkCmdCopyImage or vkCmdPipelineBarrier");
    }
    return VK_SUCCESS;
}

SXVKI_COLD static VkResult sxvki_check_tick_info(SxvkAllocator allocator, const char* function,
                                                 const SxvkDefragmentationTickInfo* info) {
    SXVKI_REJECT_IF(info == NULL, NULL_ARGUMENT, "pInfo");
    SXVKI_REJECT_IF((info->flags & ~SXVKI_KNOWN_TICK_FLAGS) != 0, UNKNOWN_FLAGS, "flags");
    SXVKI_REJECT_IF(!sxvki_is_share(info->wasteShare), BAD_SIZE, "wasteShare");
    return sxvki_check_move_info(allocator, function, &info->moves);
}

SXVKI_COLD static VkResult sxvki_check_context(SxvkAllocator allocator, const char* function,
                                               SxvkDefragmentationContext context) {
    SXVKI_CHECK_ALLOCATOR(allocator);
    SXVKI_REJECT_IF(context == NULL, NULL_ARGUMENT, "context");
    SXVKI_REJECT_IF(context->run.allocator != allocator, BAD_STRUCT, "context");
    return VK_SUCCESS;
}

SXVKI_COLD static VkResult sxvki_check_pass(SxvkAllocator allocator, const char* function,
                                            SxvkDefragmentationContext context,
                                            const SxvkDefragmentationPassMoveInfo* info) {
    uint32_t i;
    SXVKI_REJECT_IF(info == NULL, NULL_ARGUMENT, "pPassInfo");
    SXVKI_REJECT_IF(!context->in_pass, BAD_STRUCT, "context: no pass was begun");
    SXVKI_REJECT_IF(info->moveCount != context->count, BAD_STRUCT, "moveCount");
    SXVKI_REJECT_IF(info->moveCount != 0 && info->pMoves != context->shown, BAD_STRUCT, "pMoves");
    for (i = 0; i < context->count; i++) {
        const SxvkDefragmentationMove* move = &context->shown[i];
        SXVKI_REJECT_IF((uint32_t)move->operation >
                            (uint32_t)SXVK_DEFRAGMENTATION_MOVE_OPERATION_DESTROY,
                        BAD_ENUM, "pMoves[].operation");
        SXVKI_REJECT_IF(move->srcAllocation != context->moves[i].source ||
                            move->dstTmpAllocation != context->moves[i].target,
                        BAD_STRUCT, "pMoves[]");
    }
    return VK_SUCCESS;
}
#endif

SXVKI_COLD static VkResult sxvki_check_pressure_info(const SxvkPressureCreateInfo* pressure,
                                                     const char* function,
                                                     const sxvki_reporter* reporter) {
    SxvkPressureCreateInfo info = *pressure;
    sxvki_pressure_defaults(&info);
    SXVKI_REJECT_TO_IF(reporter, !sxvki_is_share(info.warningThreshold), BAD_SHARE,
                       "pCreateInfo->pPressureInfo->warningThreshold");
    SXVKI_REJECT_TO_IF(
        reporter,
        !(info.criticalThreshold >= info.warningThreshold && info.criticalThreshold <= 1.0f),
        BAD_SHARE, "pCreateInfo->pPressureInfo->criticalThreshold");
    SXVKI_REJECT_TO_IF(reporter, !(info.hysteresis >= 0.0f && info.hysteresis <= 0.5f), BAD_SHARE,
                       "pCreateInfo->pPressureInfo->hysteresis");
    return VK_SUCCESS;
}

SXVKI_COLD static VkResult sxvki_check_debug_info(const SxvkDebugInfo* debug, const char* function,
                                                  const sxvki_reporter* reporter) {
    SXVKI_REJECT_TO_IF(reporter, (debug->flags & ~SXVKI_KNOWN_DEBUG_FLAGS) != 0, UNKNOWN_FLAGS,
                       "pCreateInfo->pDebugInfo->flags");
    SXVKI_REJECT_TO_IF(reporter, debug->margin % 4 != 0 || debug->margin > 65536, BAD_SIZE,
                       "pCreateInfo->pDebugInfo->margin");
    SXVKI_REJECT_TO_IF(reporter, !sxvki_is_alignment(debug->minAlignment, 32), BAD_ALIGNMENT,
                       "pCreateInfo->pDebugInfo->minAlignment");
    SXVKI_REJECT_TO_IF(reporter, !sxvki_is_alignment(debug->minBufferImageGranularity, 25),
                       BAD_ALIGNMENT, "pCreateInfo->pDebugInfo->minBufferImageGranularity");
    SXVKI_REJECT_TO_IF(reporter, debug->fillOnAllocate > 255, BAD_SIZE,
                       "pCreateInfo->pDebugInfo->fillOnAllocate");
    SXVKI_REJECT_TO_IF(reporter, debug->fillOnFree > 255, BAD_SIZE,
                       "pCreateInfo->pDebugInfo->fillOnFree");
    return VK_SUCCESS;
}

/*  There is no allocator yet, so the messages go to the callback in the info. */
SXVKI_COLD static VkResult sxvki_check_allocator_info(const SxvkAllocatorCreateInfo* info,
                                                      const char* function,
                                                      const sxvki_reporter* reporter) {
    if (info->pPressureInfo != NULL) {
        SXVKI_CHECK(sxvki_check_pressure_info(info->pPressureInfo, function, reporter));
    }
    SXVKI_REJECT_TO_IF(reporter, info->flags & ~SXVKI_KNOWN_ALLOCATOR_FLAGS, UNKNOWN_FLAGS,
                       "pCreateInfo->flags");
    SXVKI_REJECT_TO_IF(reporter, info->instance == VK_NULL_HANDLE, NULL_ARGUMENT,
                       "pCreateInfo->instance");
    SXVKI_REJECT_TO_IF(reporter, info->physicalDevice == VK_NULL_HANDLE, NULL_ARGUMENT,
                       "pCreateInfo->physicalDevice");
    SXVKI_REJECT_TO_IF(reporter, info->device == VK_NULL_HANDLE, NULL_ARGUMENT,
                       "pCreateInfo->device");
    SXVKI_REJECT_TO_IF(reporter, !sxvki_is_host(info->pAllocationCallbacks), NULL_ARGUMENT,
                       "pCreateInfo->pAllocationCallbacks->pfnAllocation and pfnFree");
    SXVKI_REJECT_TO_IF(reporter,
                       info->vulkanApiVersion != 0 && info->vulkanApiVersion < VK_API_VERSION_1_0,
                       BAD_ENUM, "pCreateInfo->vulkanApiVersion, which wants a VK_API_VERSION_1_x");
    if (info->pDebugInfo != NULL) {
        SXVKI_CHECK(sxvki_check_debug_info(info->pDebugInfo, function, reporter));
    }
    SXVKI_REJECT_TO_IF(reporter, info->frameHistoryCount > 65536, BAD_SIZE,
                       "pCreateInfo->frameHistoryCount");
    return VK_SUCCESS;
}

#define SXVKI_ACCESS_RULE                                                                          \
    "HOST_ACCESS_SEQUENTIAL_WRITE or HOST_ACCESS_RANDOM, one of which ALLOW_TRANSFER_INSTEAD "     \
    "needs"

SXVKI_COLD static VkResult sxvki_check_access(SxvkAllocator allocator, const char* function,
                                              SxvkAllocationCreateFlags flags, const char* field) {
    const VkFlags both = SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT |
                         SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;
    SXVKI_REJECT_IF((flags & both) == both ||
                        (flags & SXVKI_ACCESS_FLAGS) ==
                            (VkFlags)SXVK_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT,
                    CONFLICTING_FLAGS, field);
    return VK_SUCCESS;
}

SXVKI_COLD static VkResult sxvki_check_unusual_info(SxvkAllocator allocator, const char* function,
                                                    const SxvkAllocationCreateInfo* info) {
    const VkFlags never = SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT;
    const VkFlags strategy = SXVK_ALLOCATION_CREATE_STRATEGY_MASK;
    SXVKI_CHECK(sxvki_check_module(allocator, function, info->module, "pCreateInfo->module"));
    SXVKI_REJECT_IF(info->flags & ~SXVKI_KNOWN_ALLOCATION_FLAGS, UNKNOWN_FLAGS,
                    "pCreateInfo->flags");
    SXVKI_REJECT_IF(info->flags & SXVK_ALLOCATION_CREATE_MOVABLE_BIT, CONFLICTING_FLAGS,
                    "pCreateInfo->flags, MOVABLE: sxvkCreateBuffer and sxvkCreateImage alone");
    SXVKI_CHECK(sxvki_check_usage(allocator, function, info->usage, "pCreateInfo->usage"));
    SXVKI_CHECK(
        sxvki_check_usage(allocator, function, info->fallbackUsage, "pCreateInfo->fallbackUsage"));
    SXVKI_CHECK(sxvki_check_access(allocator, function, info->flags,
                                   "pCreateInfo->flags, " SXVKI_ACCESS_RULE));
    SXVKI_REJECT_IF((info->flags & never) != 0 &&
                        (info->pNext != NULL ||
                         (info->flags & SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT) != 0),
                    CONFLICTING_FLAGS, "pCreateInfo->flags, NEVER_ALLOCATE and dedicated memory");
    SXVKI_REJECT_IF(sxvki_count_bits(info->flags & strategy) > 1, CONFLICTING_FLAGS,
                    "pCreateInfo->flags, more than one STRATEGY");
    SXVKI_REJECT_IF((info->requiredFlags & info->avoidedFlags) != 0, CONFLICTING_FLAGS,
                    "pCreateInfo->requiredFlags and avoidedFlags");
    SXVKI_REJECT_IF(!sxvki_is_share(info->priority), BAD_PRIORITY, "pCreateInfo->priority");
    SXVKI_REJECT_IF(!sxvki_is_alignment(info->minAlignment, 40), BAD_ALIGNMENT,
                    "pCreateInfo->minAlignment");
    SXVKI_REJECT_IF(info->pool != VK_NULL_HANDLE && info->pool->device != &allocator->device,
                    INVALID_POOL, "pCreateInfo->pool");
    SXVKI_REJECT_IF((info->flags & SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT) != 0 &&
                        (info->pool == VK_NULL_HANDLE || !sxvki_pool_is_linear(info->pool) ||
                         info->pNext != NULL ||
                         (info->flags & SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT) != 0),
                    CONFLICTING_FLAGS,
                    "pCreateInfo->flags, UPPER_ADDRESS outside of the blocks of a linear pool");
    return VK_SUCCESS;
}

/*  Flags of which no two exclude each other. */
#define SXVKI_HARMLESS_FLAGS                                                                       \
    ((VkFlags)SXVK_ALLOCATION_CREATE_MAPPED_BIT | SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT |       \
     SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT)

/*  One test lets pass what nearly every info is: 20 instructions for 47. */
SXVKI_INLINE VkResult sxvki_check_allocation_info(SxvkAllocator allocator, const char* function,
                                                  const SxvkAllocationCreateInfo* info) {
    SXVKI_REJECT_IF(info == NULL, NULL_ARGUMENT, "pCreateInfo");
    if (SXVKI_LIKELY(
            !SX_VKALLOC_VALIDATE ||
            ((info->flags & ~SXVKI_HARMLESS_FLAGS) == 0 &&
             (info->pool == VK_NULL_HANDLE || info->pool->device == &allocator->device) &&
             (info->usage == SXVK_MEMORY_USAGE_UNKNOWN ||
              (info->usage >= SXVK_MEMORY_USAGE_AUTO &&
               info->usage <= SXVK_MEMORY_USAGE_AUTO_PREFER_HOST)) &&
             ((info->requiredFlags & info->avoidedFlags) | (uint32_t)info->fallbackUsage) == 0 &&
             info->priority == 0.0f && info->minAlignment == 0))) {
        return SXVKI_LIKELY(info->module == VK_NULL_HANDLE)
                   ? VK_SUCCESS
                   : sxvki_check_module(allocator, function, info->module, "pCreateInfo->module");
    }
    return sxvki_check_unusual_info(allocator, function, info);
}

static VkResult sxvki_check_requirements(SxvkAllocator allocator, const char* function,
                                         const VkMemoryRequirements* requirements) {
    SXVKI_REJECT_IF(requirements == NULL, NULL_ARGUMENT, "pMemoryRequirements");
    SXVKI_REJECT_IF(requirements->size == 0 || requirements->size > (VkDeviceSize)1 << 62, BAD_SIZE,
                    "pMemoryRequirements->size");
    SXVKI_REJECT_IF(!sxvki_is_pow2(requirements->alignment) || requirements->alignment >> 40 != 0,
                    BAD_ALIGNMENT, "pMemoryRequirements->alignment");
    return VK_SUCCESS;
}

static VkResult sxvki_check_buffer_info(SxvkAllocator allocator, const char* function,
                                        const VkBufferCreateInfo* info) {
    SXVKI_REJECT_IF(info == NULL, NULL_ARGUMENT, "pBufferCreateInfo");
    SXVKI_REJECT_IF(info->sType != VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, BAD_STRUCT,
                    "pBufferCreateInfo->sType");
    SXVKI_REJECT_IF(info->size == 0, BAD_SIZE, "pBufferCreateInfo->size");
    SXVKI_REJECT_IF((sxvki_buffer_usage(info) & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0 &&
                        !allocator->device.vk.device_address,
                    MISSING_FEATURE,
                    "pBufferCreateInfo->usage, SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT");
    return VK_SUCCESS;
}

static VkResult sxvki_check_image_info(SxvkAllocator allocator, const char* function,
                                       const VkImageCreateInfo* info) {
    SXVKI_REJECT_IF(info == NULL, NULL_ARGUMENT, "pImageCreateInfo");
    SXVKI_REJECT_IF(info->sType != VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO, BAD_STRUCT,
                    "pImageCreateInfo->sType");
    SXVKI_REJECT_IF(info->extent.width == 0 || info->extent.height == 0 || info->extent.depth == 0,
                    BAD_SIZE, "pImageCreateInfo->extent");
    SXVKI_REJECT_IF(info->mipLevels == 0, BAD_SIZE, "pImageCreateInfo->mipLevels");
    SXVKI_REJECT_IF(info->arrayLayers == 0, BAD_SIZE, "pImageCreateInfo->arrayLayers");
    SXVKI_REJECT_IF((info->flags & VK_IMAGE_CREATE_DISJOINT_BIT) != 0, BAD_STRUCT,
                    "pImageCreateInfo->flags, VK_IMAGE_CREATE_DISJOINT_BIT");
    return VK_SUCCESS;
}

SXVKI_INLINE VkResult sxvki_check_resource_info(SxvkAllocator allocator, const char* function,
                                                const sxvki_resource* r) {
    return r->is_image ? sxvki_check_image_info(allocator, function, r->info.image)
                       : sxvki_check_buffer_info(allocator, function, r->info.buffer);
}

/*  Where its handle goes. */
SXVKI_INLINE VkResult sxvki_check_resource_output(SxvkAllocator allocator, const char* function,
                                                  const sxvki_resource* r) {
    SXVKI_REJECT_IF(r->is_image ? r->handle.image == NULL : r->handle.buffer == NULL, NULL_ARGUMENT,
                    r->is_image ? "pImage" : "pBuffer");
    return VK_SUCCESS;
}

SXVKI_COLD static VkResult sxvki_check_pool_info(SxvkAllocator allocator, const char* function,
                                                 const SxvkPoolCreateInfo* info) {
    const sxvki_device* device = &allocator->device;
    SXVKI_REJECT_IF(info == NULL, NULL_ARGUMENT, "pCreateInfo");
    SXVKI_CHECK(sxvki_check_module(allocator, function, info->module, "pCreateInfo->module"));
    SXVKI_REJECT_IF(info->flags & ~SXVKI_KNOWN_POOL_FLAGS, UNKNOWN_FLAGS, "pCreateInfo->flags");
    SXVKI_REJECT_IF(info->memoryTypeIndex >= device->model.properties.memoryTypeCount, BAD_INDEX,
                    "pCreateInfo->memoryTypeIndex");
    SXVKI_REJECT_IF((sxvki_type_flags(device, info->memoryTypeIndex) & SXVKI_AMD_FLAGS) != 0 &&
                        !device->model.amd_coherent,
                    MISSING_FEATURE,
                    "pCreateInfo->memoryTypeIndex, "
                    "SXVK_ALLOCATOR_CREATE_AMD_DEVICE_COHERENT_MEMORY_BIT");
    SXVKI_REJECT_IF(info->blockSize > SXVKI_GRANULES_MAX << SXVKI_GRANULE_SHIFT ||
                        info->blockSize > device->vk.max_allocation_size,
                    BAD_SIZE, "pCreateInfo->blockSize");
    SXVKI_REJECT_IF(info->maxBlockCount != 0 && info->minBlockCount > info->maxBlockCount, BAD_SIZE,
                    "pCreateInfo->minBlockCount");
    SXVKI_REJECT_IF(!sxvki_is_share(info->priority), BAD_PRIORITY, "pCreateInfo->priority");
    SXVKI_REJECT_IF(!sxvki_is_alignment(info->minAllocationAlignment, 40), BAD_ALIGNMENT,
                    "pCreateInfo->minAllocationAlignment");
    return VK_SUCCESS;
}

/*  [offset, offset + size) of an allocation; VK_WHOLE_SIZE is allowed where whole is set. */
static VkResult sxvki_check_range(SxvkAllocator allocator, const char* function, uint32_t index,
                                  VkDeviceSize offset, VkDeviceSize size, int whole) {
    VkDeviceSize bytes = sxvki_look(&allocator->device, index).size;
    SXVKI_REJECT_IF(offset > bytes, BAD_RANGE, "offset");
    SXVKI_REJECT_IF(!(whole && size == VK_WHOLE_SIZE) && size > bytes - offset, BAD_RANGE, "size");
    return VK_SUCCESS;
}

/*  Memory to flush must be mapped (VUID-VkMappedMemoryRange-memory-00684). */
static VkResult sxvki_check_mapped(SxvkAllocator allocator, const char* function, uint32_t index) {
    const sxvki_device* device = &allocator->device;
    const sxvki_block* block = sxvki_block_of(device, index);
    SXVKI_REJECT_IF(sxvki_type_wants_flush(device, block->type) &&
                        sxvki_block_pointer(block) == NULL,
                    NOT_MAPPED, "allocation");
    return VK_SUCCESS;
}

/*  A resource at an offset of an allocation: is it the memory that the resource needs? */
static VkResult sxvki_check_fit(SxvkAllocator allocator, const char* function, uint32_t index,
                                VkDeviceSize offset, const VkMemoryRequirements* needs) {
    sxvki_view view = sxvki_look(&allocator->device, index);
    SXVKI_REJECT_IF(offset > view.size || needs->size > view.size - offset, BAD_RANGE,
                    "the resource is larger than what is left of the allocation");
    SXVKI_REJECT_IF((view.offset + offset) % needs->alignment != 0, BAD_ALIGNMENT,
                    "the resource needs a stricter alignment than the allocation or offset has");
    SXVKI_REJECT_IF(((needs->memoryTypeBits >> view.block->type) & 1) == 0, BAD_STRUCT,
                    "the resource cannot live in the memory type of the allocation");
    return VK_SUCCESS;
}

/*  The same, asking the driver what it needs. */
static VkResult sxvki_check_fit_of(SxvkAllocator allocator, const char* function, uint32_t index,
                                   VkDeviceSize offset, const sxvki_resource* r) {
    VkMemoryRequirements needs;
    sxvki_resource_needs(&allocator->device.vk, r, &needs);
    return sxvki_check_fit(allocator, function, index, offset, &needs);
}

/*  vkBind..Memory2 is needed for a chain. */
static VkResult sxvki_check_bind(SxvkAllocator allocator, const char* function,
                                 const sxvki_resource* r, const void* next) {
    SXVKI_REJECT_IF(r->is_image ? *r->handle.image == VK_NULL_HANDLE
                                : *r->handle.buffer == VK_NULL_HANDLE,
                    NULL_ARGUMENT, "buffer or image");
    if (next != NULL && !allocator->device.vk.bind2) {
        return sxvki_reject(allocator, SXVK_MESSAGE_MISSING_FEATURE, function,
                            "pNext, SXVK_ALLOCATOR_CREATE_KHR_BIND_MEMORY2_BIT");
    }
    return VK_SUCCESS;
}

#if !SX_VKALLOC_NO_VIRTUAL
#define SXVKI_KNOWN_VIRTUAL_FLAGS 0x00070040u

SXVKI_COLD static VkResult sxvki_check_virtual_info(const SxvkVirtualBlockCreateInfo* info,
                                                    const char* function,
                                                    const sxvki_reporter* reporter) {
    VkDeviceSize granularity = info->granularity == 0 ? 1 : info->granularity;
    SXVKI_REJECT_TO_IF(reporter, info->flags & ~(VkFlags)SXVK_VIRTUAL_BLOCK_CREATE_ALGORITHM_MASK,
                       UNKNOWN_FLAGS, "pCreateInfo->flags");
    SXVKI_REJECT_TO_IF(reporter, !sxvki_is_alignment(granularity, 25), BAD_ALIGNMENT,
                       "pCreateInfo->granularity");
    SXVKI_REJECT_TO_IF(reporter, info->size == 0 || (info->size & (granularity - 1)) != 0, BAD_SIZE,
                       "pCreateInfo->size");
    SXVKI_REJECT_TO_IF(reporter, !sxvki_is_host(info->pAllocationCallbacks), NULL_ARGUMENT,
                       "pCreateInfo->pAllocationCallbacks->pfnAllocation and pfnFree");
    SXVKI_REJECT_TO_IF(reporter, info->size / granularity > SXVKI_VIRTUAL_MAX, BAD_SIZE,
                       "pCreateInfo->size, which wants a larger pCreateInfo->granularity");
    return VK_SUCCESS;
}

static VkResult sxvki_check_virtual_request(SxvkVirtualBlock block, const char* function,
                                            const SxvkVirtualAllocationCreateInfo* info) {
    const sxvki_reporter* reporter = &block->reporter;
    VkFlags strategy = info->flags & SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MASK;
    VkDeviceSize granularity = (VkDeviceSize)1 << block->shift;
    if (info->size != 0 && (info->flags | (info->size & (granularity - 1)) |
                            (info->alignment & (info->alignment - 1))) == 0) {
        return VK_SUCCESS; /* most are right, and this is the least to look at */
    }
    SXVKI_REJECT_TO_IF(reporter, info->flags & ~SXVKI_KNOWN_VIRTUAL_FLAGS, UNKNOWN_FLAGS,
                       "pCreateInfo->flags");
    SXVKI_REJECT_TO_IF(reporter, (strategy & (strategy - 1)) != 0, CONFLICTING_FLAGS,
                       "pCreateInfo->flags, STRATEGY");
    SXVKI_REJECT_TO_IF(reporter,
                       (info->flags & SXVK_VIRTUAL_ALLOCATION_CREATE_UPPER_ADDRESS_BIT) != 0 &&
                           !sxvki_virtual_is_linear(block),
                       CONFLICTING_FLAGS,
                       "pCreateInfo->flags, UPPER_ADDRESS_BIT without LINEAR_ALGORITHM_BIT");
    SXVKI_REJECT_TO_IF(reporter, info->size == 0 || (info->size & (granularity - 1)) != 0, BAD_SIZE,
                       "pCreateInfo->size");
    SXVKI_REJECT_TO_IF(reporter, (info->alignment & (info->alignment - 1)) != 0, BAD_ALIGNMENT,
                       "pCreateInfo->alignment");
    return VK_SUCCESS;
}

/*  Always on. Gives the index of the record or slot. */
SXVKI_APART static VkResult sxvki_check_virtual_allocation(SxvkVirtualBlock block,
                                                           const char* function,
                                                           SxvkVirtualAllocation allocation,
                                                           uint32_t* index) {
    SxvkAllocation handle = (SxvkAllocation)(void*)allocation;
    *index = sxvki_handle_index(handle);
    if (SXVKI_LIKELY(sxvki_virtual_handle_is_valid(block, handle))) {
        return VK_SUCCESS;
    }
    return sxvki_reject_to(&block->reporter,
                           allocation == NULL ? SXVK_MESSAGE_NULL_ARGUMENT
                                              : SXVK_MESSAGE_INVALID_ALLOCATION,
                           function, "allocation");
}
#endif

#if !SX_VKALLOC_NO_UPLOAD
/*  A ring, smart buffer or arena, by its plan: is it one of this allocator? */
SXVKI_COLD static VkResult sxvki_check_owner(SxvkAllocator allocator, const char* function,
                                             const sxvki_plan* plan, const char* field) {
    SXVKI_REJECT_IF(plan->allocator != allocator, BAD_STRUCT, field);
    return VK_SUCCESS;
}

/*  What rings, smart buffers and arenas have in common. */
SXVKI_COLD static VkResult sxvki_check_plan(SxvkAllocator allocator, const char* function,
                                            VkBufferUsageFlags usage, SxvkMemoryUsage memory_usage,
                                            SxvkPool pool) {
    const sxvki_vk* vk = &allocator->device.vk;
    const int has_address = (usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0;
    SXVKI_REJECT_IF(memory_usage != SXVK_MEMORY_USAGE_UNKNOWN &&
                        (memory_usage < SXVK_MEMORY_USAGE_AUTO ||
                         memory_usage > SXVK_MEMORY_USAGE_AUTO_PREFER_HOST),
                    BAD_ENUM, "pCreateInfo->memoryUsage");
    SXVKI_REJECT_IF(has_address && !vk->device_address, MISSING_FEATURE,
                    "pCreateInfo->usage, SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT");
    SXVKI_REJECT_IF(pool != VK_NULL_HANDLE && pool->device != &allocator->device, INVALID_POOL,
                    "pCreateInfo->pool");
    if (has_address && vk->fn.vkGetBufferDeviceAddress == NULL) {
        return sxvki_reject(allocator, SXVK_MESSAGE_MISSING_FUNCTION, function,
                            "vkGetBufferDeviceAddress");
    }
    return VK_SUCCESS;
}

SXVKI_COLD static VkResult sxvki_check_ring_info(SxvkAllocator allocator, const char* function,
                                                 const SxvkFrameRingCreateInfo* info) {
    const VkFlags need = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    SXVKI_REJECT_IF(info == NULL, NULL_ARGUMENT, "pCreateInfo");
    SXVKI_CHECK(sxvki_check_module(allocator, function, info->module, "pCreateInfo->module"));
    SXVKI_REJECT_IF(info->flags != 0, UNKNOWN_FLAGS, "pCreateInfo->flags");
    SXVKI_REJECT_IF(info->size >> 40 != 0, BAD_SIZE, "pCreateInfo->size");
    SXVKI_REJECT_IF(!sxvki_is_alignment(info->minAlignment, 32), BAD_ALIGNMENT,
                    "pCreateInfo->minAlignment");
    SXVKI_CHECK(sxvki_check_plan(allocator, function, info->usage, info->memoryUsage, info->pool));
    SXVKI_REJECT_IF(info->pool != VK_NULL_HANDLE &&
                        (sxvki_type_flags(&allocator->device, info->pool->type) & need) != need,
                    BAD_STRUCT, "pCreateInfo->pool, not of HOST_VISIBLE and HOST_COHERENT memory");
    return VK_SUCCESS;
}

SXVKI_COLD static VkResult sxvki_check_smart_info(SxvkAllocator allocator, const char* function,
                                                  const SxvkSmartBufferCreateInfo* info) {
    const sxvki_vk* vk = &allocator->device.vk;
    SXVKI_REJECT_IF(info == NULL, NULL_ARGUMENT, "pCreateInfo");
    SXVKI_CHECK(sxvki_check_module(allocator, function, info->module, "pCreateInfo->module"));
    SXVKI_REJECT_IF(info->flags & ~(VkFlags)SXVK_SMART_BUFFER_CREATE_NO_BARRIERS_BIT, UNKNOWN_FLAGS,
                    "pCreateInfo->flags");
    SXVKI_REJECT_IF(info->size == 0 || info->size >> 40 != 0, BAD_SIZE, "pCreateInfo->size");
    SXVKI_REJECT_IF((uint32_t)info->access > SXVK_SMART_BUFFER_ACCESS_READBACK, BAD_ENUM,
                    "pCreateInfo->access");
    SXVKI_REJECT_IF(info->ring == VK_NULL_HANDLE, NULL_ARGUMENT, "pCreateInfo->ring");
    SXVKI_CHECK(sxvki_check_owner(allocator, function, &info->ring->plan,
                                  "pCreateInfo->ring, of another allocator"));
    SXVKI_REJECT_IF(info->framesInFlight > SXVKI_SMART_COPIES_MAX, BAD_SIZE,
                    "pCreateInfo->framesInFlight");
    SXVKI_CHECK(
        sxvki_check_plan(allocator, function, info->usage, SXVK_MEMORY_USAGE_AUTO, info->pool));
    SXVKI_REJECT_IF(info->pool != VK_NULL_HANDLE &&
                        sxvki_smart_access(info) == SXVK_SMART_BUFFER_ACCESS_DYNAMIC &&
                        (sxvki_type_flags(&allocator->device, info->pool->type) &
                         VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) == 0,
                    BAD_STRUCT, "pCreateInfo->pool, not of HOST_VISIBLE memory");
    if (vk->fn.vkCmdCopyBuffer == NULL || vk->fn.vkCmdPipelineBarrier == NULL) {
        return sxvki_reject(allocator, SXVK_MESSAGE_MISSING_FUNCTION, function,
                            "vkCmdCopyBuffer or vkCmdPipelineBarrier");
    }
    return VK_SUCCESS;
}

/*  A range of a smart buffer that is read, or written. */
SXVKI_COLD static VkResult sxvki_check_smart_range(SxvkSmartBuffer buffer, const char* function,
                                                   int reads, VkDeviceSize offset,
                                                   VkDeviceSize size) {
    SxvkAllocator allocator = buffer->plan.allocator;
    SXVKI_REJECT_IF((buffer->access == SXVK_SMART_BUFFER_ACCESS_READBACK) != reads, BAD_STRUCT,
                    "buffer, a READBACK one is read, all others are written");
    SXVKI_REJECT_IF(size == 0, BAD_SIZE, "size");
    SXVKI_REJECT_IF(offset > buffer->size, BAD_RANGE, reads ? "srcOffset" : "dstOffset");
    SXVKI_REJECT_IF(size > buffer->size - offset, BAD_RANGE, "size");
    return VK_SUCCESS;
}

/*  Once its value is complete, the memory of a write may be another's. */
SXVKI_COLD static VkResult sxvki_check_write(SxvkSmartBuffer buffer, const char* function,
                                             const SxvkSmartBufferWrite* write) {
    SxvkAllocator allocator = buffer->plan.allocator;
    SXVKI_REJECT_IF(write->buffer != buffer, BAD_STRUCT,
                    "pWrite, which was not prepared for this buffer");
    SXVKI_REJECT_IF(sxvki_ring_is_complete(buffer->ring, write->value), BAD_FRAME_VALUE,
                    "pWrite, which was prepared in a value that is complete");
    return VK_SUCCESS;
}

/*  On every device alike, whether a copy is recorded or not. */
SXVKI_COLD static VkResult sxvki_check_commands(SxvkSmartBuffer buffer, const char* function,
                                                VkCommandBuffer commands) {
    SxvkAllocator allocator = buffer->plan.allocator;
    SXVKI_REJECT_IF(commands == NULL && buffer->access != SXVK_SMART_BUFFER_ACCESS_DYNAMIC,
                    NULL_ARGUMENT, "commands");
    return VK_SUCCESS;
}

/*  The size and alignment of a slice. */
static VkResult sxvki_check_slice(SxvkAllocator allocator, const char* function, VkDeviceSize size,
                                  VkDeviceSize alignment) {
    SXVKI_REJECT_IF(size == 0 || size >> 40 != 0, BAD_SIZE, "size");
    SXVKI_REJECT_IF(!sxvki_is_alignment(alignment, 32), BAD_ALIGNMENT, "alignment");
    return VK_SUCCESS;
}

#if !SX_VKALLOC_NO_VIRTUAL
SXVKI_COLD static VkResult sxvki_check_arena_info(SxvkAllocator allocator, const char* function,
                                                  const SxvkBufferArenaCreateInfo* info) {
    const VkFlags flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT |
                          SXVK_ALLOCATION_CREATE_MAPPED_BIT |
                          SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT | SXVKI_ACCESS_FLAGS;
    SXVKI_REJECT_IF(info == NULL, NULL_ARGUMENT, "pCreateInfo");
    SXVKI_CHECK(sxvki_check_module(allocator, function, info->module, "pCreateInfo->module"));
    SXVKI_REJECT_IF(info->flags != 0, UNKNOWN_FLAGS, "pCreateInfo->flags");
    SXVKI_REJECT_IF(info->usage == 0, BAD_STRUCT, "pCreateInfo->usage");
    SXVKI_REJECT_IF(info->allocationFlags & ~flags, UNKNOWN_FLAGS, "pCreateInfo->allocationFlags");
    SXVKI_CHECK(sxvki_check_access(allocator, function, info->allocationFlags,
                                   "pCreateInfo->allocationFlags, " SXVKI_ACCESS_RULE));
    SXVKI_REJECT_IF(info->bufferSize >> 40 != 0, BAD_SIZE, "pCreateInfo->bufferSize");
    SXVKI_REJECT_IF(info->minAlignment != 0 &&
                        (!sxvki_is_pow2(info->minAlignment) || info->minAlignment > 65536),
                    BAD_ALIGNMENT, "pCreateInfo->minAlignment");
    return sxvki_check_plan(allocator, function, info->usage, info->memoryUsage, info->pool);
}
#endif
#endif

/* ============================================================================================== */
/*  >>public     the thin entry points                                                            */
/* ============================================================================================== */
/*
    Null the outputs, check, call the section that does the work. A null allocator cannot be
    reported to anybody: such a call returns VK_ERROR_VALIDATION_FAILED_EXT, or does nothing.
*/

static void sxvki_null_outputs(SxvkAllocation* allocation, SxvkAllocationInfo* info) {
    SXVKI_NULL(allocation);
    SXVKI_NULL(info);
}

/*  The name, for messages and for profilers. */
#define SXVKI_FUNCTION(name)                                                                       \
    const char* function = (name);                                                                 \
    SXVKI_PROFILE(name)

#define SXVKI_CHECK_POINTER(pointer)                                                               \
    SXVKI_CHECK(sxvki_check_pointer(allocator, function, (pointer), #pointer))

/*  The only output. */
#define SXVKI_CHECK_OUTPUT(output)                                                                 \
    do {                                                                                           \
        SXVKI_NULL(output);                                                                        \
        SXVKI_CHECK_POINTER(output);                                                               \
    } while (0)

/*  The message for a failure that was not told yet, or NONE. */
SXVKI_COLD static SxvkMessage sxvki_failure_message(VkResult result) {
    return result == SXVKI_AT_LIMIT                 ? SXVK_MESSAGE_NONE
           : result == VK_ERROR_FEATURE_NOT_PRESENT ? SXVK_MESSAGE_NO_MEMORY_TYPE
           : result == VK_ERROR_OUT_OF_HOST_MEMORY  ? SXVK_MESSAGE_OUT_OF_HOST_MEMORY
           : sxvki_is_full(result)                  ? SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY
                                                    : SXVK_MESSAGE_NONE;
}

/*  Report a failure: here and once, whatever was tried on the way. */
SXVKI_COLD static VkResult sxvki_failed(SxvkAllocator allocator, const char* function,
                                        VkResult result) {
    SxvkMessage message = sxvki_failure_message(result);
    if (message != SXVK_MESSAGE_NONE) {
        sxvki_report(&allocator->device.reporter, message, function, NULL);
    }
    return sxvki_settled(allocator,
                         result == SXVKI_AT_LIMIT ? VK_ERROR_OUT_OF_DEVICE_MEMORY : result);
}

/*  The same for one allocation; 0 bytes: not known. */
SXVKI_COLD static VkResult sxvki_failed_for(SxvkAllocator allocator, const char* function,
                                            VkResult result, const SxvkAllocationCreateInfo* info,
                                            VkDeviceSize size) {
    SxvkMessage message = sxvki_failure_message(result);
    if (message != SXVK_MESSAGE_NONE) {
        sxvki_subject subject;
        sxvki_subject_wanted(&subject, &allocator->device, function, info, size);
        sxvki_report_subject(&allocator->device, message, &subject);
    }
    return sxvki_settled(allocator,
                         result == SXVKI_AT_LIMIT ? VK_ERROR_OUT_OF_DEVICE_MEMORY : result);
}

/*  The same for one of a batch, where it was one. */
SXVKI_COLD static VkResult sxvki_failed_in_batch(SxvkAllocator allocator, const char* function,
                                                 VkResult result,
                                                 const SxvkAllocationCreateInfo* infos,
                                                 const sxvki_culprit* culprit) {
    return culprit->index == SIZE_MAX ? sxvki_failed(allocator, function, result)
                                      : sxvki_failed_for(allocator, function, result,
                                                         &infos[culprit->index], culprit->size);
}

/*  Pass a result on, and report what failed. */
SXVKI_INLINE VkResult sxvki_reported(SxvkAllocator allocator, const char* function,
                                     VkResult result) {
    return SXVKI_LIKELY(result == VK_SUCCESS) ? result : sxvki_failed(allocator, function, result);
}

/*  The same, of what may be more than VK_SUCCESS; and tell of levels that the call has changed. */
SXVKI_COLD static VkResult sxvki_reported_last(SxvkAllocator allocator, const char* function,
                                               VkResult result) {
    return result < 0 ? sxvki_failed(allocator, function, result)
                      : sxvki_settled(allocator, result);
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkCreateAllocator(const SxvkAllocatorCreateInfo* pCreateInfo,
                                                       SxvkAllocator* pAllocator) {
    const char* missing = NULL;
    sxvki_reporter reporter;
    VkResult result;
    SXVKI_FUNCTION("sxvkCreateAllocator");
    SXVKI_NULL(pAllocator);
    if (pCreateInfo == NULL) {
        return VK_ERROR_VALIDATION_FAILED_EXT;
    }
    reporter.callback = pCreateInfo->pfnMessage;
    reporter.user_data = pCreateInfo->pMessageUserData;
    if (pAllocator == NULL) {
        return sxvki_reject_to(&reporter, SXVK_MESSAGE_NULL_ARGUMENT, function, "pAllocator");
    }
    SXVKI_CHECK(sxvki_check_allocator_info(pCreateInfo, function, &reporter));
    result = sxvki_allocator_make(pCreateInfo, pAllocator, &missing);
    if (result != VK_SUCCESS) {
        sxvki_report(&reporter,
                     missing != NULL ? SXVK_MESSAGE_MISSING_FUNCTION
                                     : SXVK_MESSAGE_OUT_OF_HOST_MEMORY,
                     function, missing);
    }
    return result;
}

SX_VKALLOC_API SXVKI_COLD void sxvkDestroyAllocator(SxvkAllocator allocator) {
    SXVKI_PROFILE("sxvkDestroyAllocator");
    if (allocator != VK_NULL_HANDLE) {
#if !SX_VKALLOC_NO_DEFRAG
        sxvki_moves_leave(allocator, VK_NULL_HANDLE);
        sxvki_defragmentations_leave(allocator, NULL);
#endif
        sxvki_destroy_allocator(allocator, "sxvkDestroyAllocator");
    }
}

#ifdef VOLK_H_
SX_VKALLOC_API SXVKI_COLD VkResult sxvkImportVulkanFunctionsFromVolk(
    const SxvkAllocatorCreateInfo* pCreateInfo, SxvkVulkanFunctions* pVulkanFunctions) {
    sxvki_vk vk;
    if (pVulkanFunctions == NULL) {
        return VK_ERROR_VALIDATION_FAILED_EXT;
    }
    memset(pVulkanFunctions, 0, sizeof *pVulkanFunctions);
    if (pCreateInfo == NULL || pCreateInfo->instance == VK_NULL_HANDLE ||
        pCreateInfo->device == VK_NULL_HANDLE) {
        return VK_ERROR_VALIDATION_FAILED_EXT;
    }
    memset(&vk, 0, sizeof vk);
    vk.instance = pCreateInfo->instance;
    vk.device = pCreateInfo->device;
    vk.version = sxvki_version_of(pCreateInfo->vulkanApiVersion);
    vk.fn.vkGetInstanceProcAddr = vkGetInstanceProcAddr;
    vk.fn.vkGetDeviceProcAddr = vkGetDeviceProcAddr;
    if (sxvki_vk_load(&vk, &vk.fn) != NULL) {
        return VK_ERROR_INITIALIZATION_FAILED;
    }
    *pVulkanFunctions = vk.fn;
    return VK_SUCCESS;
}
#endif

SX_VKALLOC_API SXVKI_COLD void sxvkGetAllocatorInfo(SxvkAllocator allocator,
                                                    SxvkAllocatorInfo* pInfo) {
    SXVKI_NULL(pInfo);
    if (pInfo != NULL && allocator != VK_NULL_HANDLE) {
        pInfo->instance = allocator->device.vk.instance;
        pInfo->physicalDevice = allocator->device.vk.physical_device;
        pInfo->device = allocator->device.vk.device;
    }
}

SX_VKALLOC_API void sxvkGetPhysicalDeviceProperties(
    SxvkAllocator allocator, const VkPhysicalDeviceProperties** ppProperties) {
    if (ppProperties != NULL) {
        *ppProperties = allocator != VK_NULL_HANDLE ? &allocator->device.vk.properties : NULL;
    }
}

SX_VKALLOC_API void sxvkGetMemoryProperties(SxvkAllocator allocator,
                                            const VkPhysicalDeviceMemoryProperties** ppProperties) {
    if (ppProperties != NULL) {
        *ppProperties = allocator != VK_NULL_HANDLE ? &allocator->device.model.properties : NULL;
    }
}

SX_VKALLOC_API void sxvkGetMemoryTypeProperties(SxvkAllocator allocator, uint32_t memoryTypeIndex,
                                                VkMemoryPropertyFlags* pFlags) {
    const char* function = "sxvkGetMemoryTypeProperties";
    SXVKI_NULL(pFlags);
    if (pFlags == NULL || allocator == VK_NULL_HANDLE) {
        return;
    }
    if (memoryTypeIndex >= allocator->device.model.properties.memoryTypeCount) {
        sxvki_reject(allocator, SXVK_MESSAGE_BAD_INDEX, function, "memoryTypeIndex");
        return;
    }
    *pFlags = sxvki_type_flags(&allocator->device, memoryTypeIndex);
}

SX_VKALLOC_API void sxvkSetCurrentFrameIndex(SxvkAllocator allocator, uint32_t frameIndex) {
    SXVKI_PROFILE("sxvkSetCurrentFrameIndex");
    if (allocator != VK_NULL_HANDLE) {
        if (allocator->history.capacity != 0) {
            sxvki_history_write(allocator);
        }
        sxvki_store32_relaxed(&allocator->device.frame, frameIndex);
        sxvki_pressure_refresh(&allocator->device.pressure, &allocator->device.budget,
                               &allocator->device.vk);
        sxvki_release_empty(allocator, SXVKI_RETAIN_FRAMES, 1, 1);
        if (sxvki_load32_relaxed(&allocator->device.trim_state) == SXVKI_TRIM_WAITS &&
            sxvki_trim_begin(&allocator->device)) {
            sxvki_trim_end(&allocator->device);
        }
        sxvki_settle(allocator);
    }
}

SX_VKALLOC_API SXVKI_COLD VkDeviceSize sxvkTrim(SxvkAllocator allocator) {
    VkDeviceSize bytes = 0;
    SXVKI_PROFILE("sxvkTrim");
    if (allocator != VK_NULL_HANDLE) {
        sxvki_trim_domains(allocator); /* sweeps what would be swept with a pool's last block */
        bytes = sxvki_release_empty(allocator, 0, UINT32_MAX, 0);
        sxvki_trim_tables(allocator);
#if !SX_VKALLOC_NO_DEFRAG
        sxvki_movables_trim(&allocator->movables, &allocator->device.host);
#endif
        sxvki_settle(allocator);
    }
    return bytes;
}

/* --- choice of memory type --- */

/*  What a resource is for that does not exist, and which types it may have. */
SXVKI_COLD static VkResult sxvki_ask_about(SxvkAllocator allocator, const char* function,
                                           const sxvki_resource* r, sxvki_purpose* purpose,
                                           uint32_t* bits) {
    const sxvki_device* device = &allocator->device;
    SXVKI_CHECK(sxvki_check_resource_info(allocator, function, r));
    sxvki_purpose_of(purpose, r);
    return sxvki_reported(allocator, function,
                          r->is_image ? sxvki_type_bits_for_image(device, r->info.image, bits)
                                      : sxvki_type_bits_for_buffer(device, r->info.buffer, bits));
}

/*  For a resource, or for the unknown with these type bits. */
static VkResult sxvki_find_type(SxvkAllocator allocator, const char* function,
                                const sxvki_resource* r, uint32_t type_bits,
                                const SxvkAllocationCreateInfo* info, uint32_t* pMemoryTypeIndex) {
    sxvki_purpose purpose;
    sxvki_wish wish;
    uint32_t type;
    if (pMemoryTypeIndex != NULL) {
        *pMemoryTypeIndex = UINT32_MAX;
    }
    SXVKI_CHECK_POINTER(pMemoryTypeIndex);
    if (r != NULL) {
        SXVKI_CHECK(sxvki_check_resource_info(allocator, function, r));
    }
    SXVKI_CHECK(sxvki_check_allocation_info(allocator, function, info));
    if (r != NULL) {
        SXVKI_CHECK(sxvki_ask_about(allocator, function, r, &purpose, &type_bits));
    } else {
        sxvki_purpose_unknown(&purpose, SXVKI_KIND_UNKNOWN);
    }
    sxvki_wish_init(&wish, &allocator->device.model, type_bits, info, &purpose);
    if (info->pool == VK_NULL_HANDLE) {
        type = sxvki_memory_type_best(&allocator->device.model, &wish);
    } else {
        type = (type_bits >> info->pool->type) & 1 ? info->pool->type : SXVKI_NONE;
    }
    *pMemoryTypeIndex = type;
    return type != SXVKI_NONE
               ? VK_SUCCESS
               : sxvki_failed_for(allocator, function, VK_ERROR_FEATURE_NOT_PRESENT, info, 0);
}

SX_VKALLOC_API VkResult sxvkFindMemoryTypeIndex(
    SxvkAllocator allocator, uint32_t memoryTypeBits,
    const SxvkAllocationCreateInfo* pAllocationCreateInfo, uint32_t* pMemoryTypeIndex) {
    return sxvki_find_type(allocator, "sxvkFindMemoryTypeIndex", NULL, memoryTypeBits,
                           pAllocationCreateInfo, pMemoryTypeIndex);
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkFindMemoryTypeIndexForBufferInfo(
    SxvkAllocator allocator, const VkBufferCreateInfo* pBufferCreateInfo,
    const SxvkAllocationCreateInfo* pAllocationCreateInfo, uint32_t* pMemoryTypeIndex) {
    sxvki_resource r = sxvki_resource_buffer(NULL, pBufferCreateInfo);
    return sxvki_find_type(allocator, "sxvkFindMemoryTypeIndexForBufferInfo", &r, 0,
                           pAllocationCreateInfo, pMemoryTypeIndex);
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkFindMemoryTypeIndexForImageInfo(
    SxvkAllocator allocator, const VkImageCreateInfo* pImageCreateInfo,
    const SxvkAllocationCreateInfo* pAllocationCreateInfo, uint32_t* pMemoryTypeIndex) {
    sxvki_resource r = sxvki_resource_image(NULL, pImageCreateInfo);
    return sxvki_find_type(allocator, "sxvkFindMemoryTypeIndexForImageInfo", &r, 0,
                           pAllocationCreateInfo, pMemoryTypeIndex);
}

#if !SX_VKALLOC_NO_STATS_STRING
/*  Hand the text over, or report that there was no memory for it. */
SXVKI_COLD static VkResult sxvki_text_hand_over(const sxvki_reporter* reporter,
                                                const char* function, sxvki_text* text,
                                                char** string) {
    if (text->failed) {
        sxvki_text_shutdown(text);
        sxvki_report(reporter, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, function, NULL);
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    *string = text->data;
    return VK_SUCCESS;
}

SX_VKALLOC_API SXVKI_COLD VkResult
sxvkExplainMemoryType(SxvkAllocator allocator, uint32_t memoryTypeBits,
                      const SxvkAllocationCreateInfo* pAllocationCreateInfo,
                      const VkBufferCreateInfo* pBufferCreateInfo,
                      const VkImageCreateInfo* pImageCreateInfo, char** ppText) {
    const char* function = "sxvkExplainMemoryType";
    sxvki_purpose purpose;
    sxvki_wish wish;
    sxvki_text text;
    uint32_t bits;
    SXVKI_CHECK_OUTPUT(ppText);
    SXVKI_CHECK(sxvki_check_allocation_info(allocator, function, pAllocationCreateInfo));
    SXVKI_REJECT_IF(pBufferCreateInfo != NULL && pImageCreateInfo != NULL, BAD_STRUCT,
                    "pBufferCreateInfo and pImageCreateInfo");
    sxvki_purpose_unknown(&purpose, SXVKI_KIND_UNKNOWN);
    if (pBufferCreateInfo != NULL || pImageCreateInfo != NULL) {
        sxvki_resource r = pBufferCreateInfo != NULL
                               ? sxvki_resource_buffer(NULL, pBufferCreateInfo)
                               : sxvki_resource_image(NULL, pImageCreateInfo);
        SXVKI_CHECK(sxvki_ask_about(allocator, function, &r, &purpose, &bits));
        memoryTypeBits &= bits;
    }
    sxvki_text_init(&text, &allocator->device.host);
    if (pAllocationCreateInfo->pool != VK_NULL_HANDLE) {
        uint32_t type = pAllocationCreateInfo->pool->type;
        sxvki_text_add(&text, "the pool decides: memory type ");
        sxvki_text_add_u64(&text, type);
        sxvki_text_add(&text, (memoryTypeBits >> type) & 1 ? "\n" : ", which is not allowed\n");
    } else {
        sxvki_wish_init(&wish, &allocator->device.model, memoryTypeBits, pAllocationCreateInfo,
                        &purpose);
        sxvki_explain(&text, &allocator->device.model, &wish);
    }
    return sxvki_text_hand_over(&allocator->device.reporter, function, &text, ppText);
}
#endif

/* --- memory --- */

/*  The optional info of a new allocation, which is looked up by pointer: an argument beside the
    call that makes it may be read before that call. */
SXVKI_APART static VkResult sxvki_give_info_now(SxvkAllocator allocator,
                                                const SxvkAllocation* allocation,
                                                SxvkAllocationInfo* info) {
    if (info != NULL) {
        sxvki_get_info(allocator, sxvki_allocation_index(*allocation), info);
    }
    return sxvki_settled(allocator, VK_SUCCESS);
}

/*  The same for a batch. */
static VkResult sxvki_give_infos(SxvkAllocator allocator, size_t count,
                                 const SxvkAllocation* allocations, SxvkAllocationInfo* infos) {
    size_t i;
    for (i = 0; i < count && infos != NULL; i++) {
        sxvki_get_info(allocator, sxvki_allocation_index(allocations[i]), &infos[i]);
    }
    return sxvki_settled(allocator, VK_SUCCESS);
}

/*  As sxvki_reported, with the info. */
SXVKI_INLINE VkResult sxvki_give_info(SxvkAllocator allocator, const char* function,
                                      VkResult result, const SxvkAllocationCreateInfo* wanted,
                                      VkDeviceSize size, const SxvkAllocation* allocation,
                                      SxvkAllocationInfo* info) {
    if (result != VK_SUCCESS) {
        return sxvki_failed_for(allocator, function, result, wanted, size);
    }
    return info == NULL && sxvki_load32_relaxed(&allocator->device.pressure.queue) == 0
               ? VK_SUCCESS
               : sxvki_give_info_now(allocator, allocation, info);
}

/*  The long way: any pool, any info. */
SXVKI_APART static VkResult sxvki_allocate_any(SxvkAllocator allocator, const char* function,
                                               const VkMemoryRequirements* memory,
                                               const SxvkAllocationCreateInfo* info,
                                               SxvkAllocation* allocation,
                                               SxvkAllocationInfo* allocation_info) {
    sxvki_demand demand;
    SXVKI_CHECK(sxvki_check_requirements(allocator, function, memory));
    SXVKI_CHECK(sxvki_check_allocation_info(allocator, function, info));
    sxvki_demand_init(&demand, memory);
    sxvki_purpose_unknown(&demand.purpose, SXVKI_KIND_UNKNOWN);
    return sxvki_give_info(allocator, function,
                           sxvki_allocate(allocator, function, &demand, info, allocation), info,
                           demand.memory->size, allocation, allocation_info);
}

/*  In a linear pool without margins. */
SXVKI_APART static VkResult sxvki_allocate_shortly(SxvkAllocator allocator, const char* function,
                                                   const VkMemoryRequirements* memory,
                                                   const SxvkAllocationCreateInfo* info,
                                                   SxvkAllocation* allocation,
                                                   SxvkAllocationInfo* allocation_info) {
    SxvkAllocation taken = sxvki_allocate_linear(info->pool, memory, info);
    if (taken == VK_NULL_HANDLE) {
        return sxvki_allocate_any(allocator, function, memory, info, allocation, allocation_info);
    }
    *allocation = taken;
    return sxvki_give_info(allocator, function, sxvki_finish(allocator, function, info, allocation),
                           info, memory->size, allocation, allocation_info);
}

SXVKI_INLINE VkResult sxvki_allocate_plain(SxvkAllocator allocator, const char* function,
                                           const VkMemoryRequirements* memory,
                                           const SxvkAllocationCreateInfo* info,
                                           SxvkAllocation* allocation,
                                           SxvkAllocationInfo* allocation_info) {
    SxvkPool pool = memory != NULL && info != NULL ? info->pool : NULL;
    return pool != NULL && pool->is_plainly_linear && pool->device == &allocator->device
               ? sxvki_allocate_shortly(allocator, function, memory, info, allocation,
                                        allocation_info)
               : sxvki_allocate_any(allocator, function, memory, info, allocation, allocation_info);
}

SX_VKALLOC_API SXVKI_ENTRY VkResult
sxvkAllocateMemory(SxvkAllocator allocator, const VkMemoryRequirements* pMemoryRequirements,
                   const SxvkAllocationCreateInfo* pCreateInfo, SxvkAllocation* pAllocation,
                   SxvkAllocationInfo* pAllocationInfo) {
    SXVKI_FUNCTION("sxvkAllocateMemory");
    SXVKI_ENTER();
    sxvki_null_outputs(pAllocation, pAllocationInfo);
    SXVKI_CHECK_POINTER(pAllocation);
    return sxvki_allocate_plain(allocator, function, pMemoryRequirements, pCreateInfo, pAllocation,
                                pAllocationInfo);
}

/*  The same wishes, dedicated, with a chain. */
static SxvkAllocationCreateInfo sxvki_dedicated_info(const SxvkAllocationCreateInfo* info,
                                                     const void* next) {
    SxvkAllocationCreateInfo dedicated = *info;
    dedicated.flags |= SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    if (next != NULL) {
        dedicated.pNext = next;
    }
    return dedicated;
}

SX_VKALLOC_API SXVKI_ENTRY SXVKI_COLD VkResult sxvkAllocateDedicatedMemory(
    SxvkAllocator allocator, const VkMemoryRequirements* pMemoryRequirements,
    const SxvkAllocationCreateInfo* pCreateInfo, void* pMemoryAllocateNext,
    SxvkAllocation* pAllocation, SxvkAllocationInfo* pAllocationInfo) {
    SxvkAllocationCreateInfo dedicated;
    SXVKI_FUNCTION("sxvkAllocateDedicatedMemory");
    SXVKI_ENTER();
    sxvki_null_outputs(pAllocation, pAllocationInfo);
    SXVKI_CHECK_POINTER(pAllocation);
    SXVKI_CHECK_POINTER(pCreateInfo);
    dedicated = sxvki_dedicated_info(pCreateInfo, pMemoryAllocateNext);
    return sxvki_allocate_plain(allocator, function, pMemoryRequirements, &dedicated, pAllocation,
                                pAllocationInfo);
}

/*  As sxvki_allocate_portion, for nobody knows what. */
static VkResult sxvki_allocate_pages(SxvkAllocator allocator, const char* function, uint32_t count,
                                     const VkMemoryRequirements* memory,
                                     const SxvkAllocationCreateInfo* infos,
                                     SxvkAllocation* allocations, sxvki_culprit* culprit) {
    sxvki_demand demands[SXVKI_PORTION];
    uint32_t i;
    for (i = 0; i < count; i++) {
        sxvki_demand_init(&demands[i], &memory[i]);
        sxvki_purpose_unknown(&demands[i].purpose, SXVKI_KIND_UNKNOWN);
    }
    return sxvki_allocate_portion(allocator, function, count, demands, infos, allocations, culprit);
}

SX_VKALLOC_API SXVKI_ENTRY VkResult
sxvkAllocateMemoryPages(SxvkAllocator allocator, const VkMemoryRequirements* pMemoryRequirements,
                        const SxvkAllocationCreateInfo* pCreateInfos, size_t allocationCount,
                        SxvkAllocation* pAllocations, SxvkAllocationInfo* pAllocationInfos) {
    VkResult result = VK_SUCCESS;
    sxvki_culprit culprit = {0, 0};
    uint32_t portion;
    size_t i;
    SXVKI_FUNCTION("sxvkAllocateMemoryPages");
    SXVKI_ENTER();
    SXVKI_NULL_ALL(pAllocations, allocationCount);
    SXVKI_NULL_ALL(pAllocationInfos, allocationCount);
    SXVKI_CHECK_ALLOCATOR(allocator);
    if (allocationCount == 0) {
        return VK_SUCCESS;
    }
    SXVKI_CHECK_POINTER(pAllocations);
    SXVKI_CHECK_POINTER(pMemoryRequirements);
    SXVKI_CHECK_POINTER(pCreateInfos);
    for (i = 0; i < allocationCount; i++) {
        SXVKI_CHECK(sxvki_check_requirements(allocator, function, &pMemoryRequirements[i]));
        SXVKI_CHECK(sxvki_check_allocation_info(allocator, function, &pCreateInfos[i]));
    }
    for (i = 0; i < allocationCount && result == VK_SUCCESS; i += portion) {
        portion = (uint32_t)sxvki_min64(allocationCount - i, SXVKI_PORTION);
        result = sxvki_allocate_pages(allocator, function, portion, &pMemoryRequirements[i],
                                      &pCreateInfos[i], &pAllocations[i], &culprit);
        culprit.index += i; /* looked at where it failed */
    }
    while (result != VK_SUCCESS && i-- != 0) {
        if (pAllocations[i] != VK_NULL_HANDLE) {
            sxvki_free(allocator, pAllocations[i], function);
            pAllocations[i] = VK_NULL_HANDLE;
        }
    }
    if (result != VK_SUCCESS) {
        return sxvki_failed_in_batch(allocator, function, result, pCreateInfos, &culprit);
    }
    return sxvki_give_infos(allocator, allocationCount, pAllocations, pAllocationInfos);
}

/*  Memory for a buffer or an image that is there. */
SXVKI_INLINE VkResult sxvki_allocate_for(SxvkAllocator allocator, const char* function,
                                         const sxvki_resource* r,
                                         const SxvkAllocationCreateInfo* pCreateInfo,
                                         SxvkAllocation* pAllocation,
                                         SxvkAllocationInfo* pAllocationInfo) {
    sxvki_demand demand;
    sxvki_null_outputs(pAllocation, pAllocationInfo);
    SXVKI_CHECK_POINTER(pAllocation);
    SXVKI_CHECK(sxvki_check_bind(allocator, function, r, NULL));
    SXVKI_CHECK(sxvki_check_allocation_info(allocator, function, pCreateInfo));
    sxvki_resource_ask(&allocator->device.vk, r, &demand);
    sxvki_purpose_unknown(&demand.purpose,
                          r->is_image ? SXVKI_KIND_IMAGE_UNKNOWN : SXVKI_KIND_BUFFER);
    return sxvki_give_info(allocator, function,
                           sxvki_allocate(allocator, function, &demand, pCreateInfo, pAllocation),
                           pCreateInfo, demand.memory->size, pAllocation, pAllocationInfo);
}

SX_VKALLOC_API SXVKI_ENTRY VkResult sxvkAllocateMemoryForBuffer(
    SxvkAllocator allocator, VkBuffer buffer, const SxvkAllocationCreateInfo* pCreateInfo,
    SxvkAllocation* pAllocation, SxvkAllocationInfo* pAllocationInfo) {
    sxvki_resource r = sxvki_resource_buffer(&buffer, NULL);
    SXVKI_ENTER();
    SXVKI_PROFILE("sxvkAllocateMemoryForBuffer");
    return sxvki_allocate_for(allocator, "sxvkAllocateMemoryForBuffer", &r, pCreateInfo,
                              pAllocation, pAllocationInfo);
}

SX_VKALLOC_API SXVKI_ENTRY VkResult sxvkAllocateMemoryForImage(
    SxvkAllocator allocator, VkImage image, const SxvkAllocationCreateInfo* pCreateInfo,
    SxvkAllocation* pAllocation, SxvkAllocationInfo* pAllocationInfo) {
    sxvki_resource r = sxvki_resource_image(&image, NULL);
    SXVKI_ENTER();
    SXVKI_PROFILE("sxvkAllocateMemoryForImage");
    return sxvki_allocate_for(allocator, "sxvkAllocateMemoryForImage", &r, pCreateInfo, pAllocation,
                              pAllocationInfo);
}

/*  Of what was claimed: does the library move it right now? Then it goes, and a resource whose
    handle is not null with it, when that is over. */
SXVKI_INLINE int sxvki_leaves_later(SxvkAllocator allocator, SxvkAllocation allocation,
                                    VkBuffer* buffer, VkImage* image) {
#if !SX_VKALLOC_NO_DEFRAG
    return sxvki_load32_relaxed(&allocator->movables.count) != 0 && allocation != VK_NULL_HANDLE &&
           sxvki_movable_leave(&allocator->movables, &allocator->device.host, allocation,
                               sxvki_allocation_index(allocation), buffer, image);
#else
    (void)allocator;
    (void)allocation;
    (void)buffer;
    (void)image;
    return 0;
#endif
}

#if !SX_VKALLOC_NO_DEFRAG
/*  sxvkFreeMemory, where something is movable. */
SXVKI_COLD SXVKI_APART static void sxvki_free_movable(SxvkAllocator allocator,
                                                      SxvkAllocation allocation,
                                                      const char* function) {
    if (sxvki_claim_checked(allocator, function, "allocation", allocation, NULL) &&
        !sxvki_leaves_later(allocator, allocation, NULL, NULL)) {
        sxvki_give(&allocator->device, sxvki_allocation_index(allocation), function);
    }
    sxvki_settle(allocator);
}
#endif

SX_VKALLOC_API void sxvkFreeMemory(SxvkAllocator allocator, SxvkAllocation allocation) {
    SXVKI_FUNCTION("sxvkFreeMemory");
    if (allocator == VK_NULL_HANDLE || allocation == VK_NULL_HANDLE) {
        return;
    }
#if !SX_VKALLOC_NO_DEFRAG
    if (sxvki_load32_relaxed(&allocator->movables.count) != 0) {
        sxvki_free_movable(allocator, allocation, function);
        return;
    }
#endif
    if (!sxvki_free(allocator, allocation, function)) {
        sxvki_reject(allocator, SXVK_MESSAGE_INVALID_ALLOCATION, function, "allocation");
    }
    sxvki_settle(allocator);
}

SX_VKALLOC_API void sxvkFreeMemoryPages(SxvkAllocator allocator, size_t allocationCount,
                                        const SxvkAllocation* pAllocations) {
    sxvki_returns returns;
    size_t i;
    SXVKI_FUNCTION("sxvkFreeMemoryPages");
    if (allocator == VK_NULL_HANDLE || pAllocations == NULL) {
        return;
    }
    returns.count = 0;
    for (i = 0; i < allocationCount; i++) {
        if (pAllocations[i] != VK_NULL_HANDLE &&
            sxvki_claim_checked(allocator, function, "pAllocations", pAllocations[i], &returns) &&
            !sxvki_leaves_later(allocator, pAllocations[i], NULL, NULL)) {
            sxvki_give_later(&allocator->device, &returns, sxvki_allocation_index(pAllocations[i]),
                             function);
        }
    }
    sxvki_returns_flush(&returns);
    sxvki_settle(allocator);
}

SX_VKALLOC_API VkBool32 sxvkIsAllocationValid(SxvkAllocator allocator, SxvkAllocation allocation) {
    int is_valid = 0;
    if (allocator != VK_NULL_HANDLE) {
        sxvki_records* records = &allocator->device.records;
        sxvki_records_pin(records); /* a trim may free what a stale handle names */
        is_valid = sxvki_allocation_is_valid(&allocator->device, allocation);
        sxvki_records_unpin(records);
    }
    return is_valid ? VK_TRUE : VK_FALSE;
}

SX_VKALLOC_API void sxvkGetAllocationInfo(SxvkAllocator allocator, SxvkAllocation allocation,
                                          SxvkAllocationInfo* pAllocationInfo) {
    const char* function = "sxvkGetAllocationInfo";
    uint32_t index;
    SXVKI_NULL(pAllocationInfo);
    if (pAllocationInfo != NULL &&
        sxvki_check_allocation(allocator, function, allocation, &index) == VK_SUCCESS) {
        sxvki_get_info(allocator, index, pAllocationInfo);
    }
}

SX_VKALLOC_API void sxvkGetAllocationInfo2(SxvkAllocator allocator, SxvkAllocation allocation,
                                           SxvkAllocationInfo2* pAllocationInfo) {
    const char* function = "sxvkGetAllocationInfo2";
    uint32_t index;
    SXVKI_NULL(pAllocationInfo);
    if (pAllocationInfo != NULL &&
        sxvki_check_allocation(allocator, function, allocation, &index) == VK_SUCCESS) {
        const sxvki_device* device = &allocator->device;
        const sxvki_block* block = sxvki_block_of(device, index);
        sxvki_get_info(allocator, index, &pAllocationInfo->allocationInfo);
        pAllocationInfo->blockSize = block->size;
        pAllocationInfo->dedicatedMemory = block->domain == NULL ? VK_TRUE : VK_FALSE;
        pAllocationInfo->isFallback =
            sxvki_load32(sxvki_state_of(device, index)) & SXVKI_STATE_FALLBACK ? VK_TRUE : VK_FALSE;
        pAllocationInfo->module = sxvki_module_handle(sxvki_module_of(device, index));
    }
}

SX_VKALLOC_API void sxvkGetAllocationMemoryProperties(SxvkAllocator allocator,
                                                      SxvkAllocation allocation,
                                                      VkMemoryPropertyFlags* pFlags) {
    const char* function = "sxvkGetAllocationMemoryProperties";
    uint32_t index;
    SXVKI_NULL(pFlags);
    if (pFlags != NULL &&
        sxvki_check_allocation(allocator, function, allocation, &index) == VK_SUCCESS) {
        const sxvki_device* device = &allocator->device;
        *pFlags = sxvki_type_flags(device, sxvki_block_of(device, index)->type);
    }
}

SX_VKALLOC_API VkResult sxvkSetAllocationUserData(SxvkAllocator allocator,
                                                  SxvkAllocation allocation, void* pUserData) {
    const char* function = "sxvkSetAllocationUserData";
    uint32_t index;
    SXVKI_CHECK(sxvki_check_allocation(allocator, function, allocation, &index));
    return sxvki_reported(allocator, function, sxvki_set_user_data(allocator, index, pUserData));
}

SX_VKALLOC_API VkResult sxvkSetAllocationName(SxvkAllocator allocator, SxvkAllocation allocation,
                                              const char* pName) {
    const char* function = "sxvkSetAllocationName";
    uint32_t index;
    SXVKI_CHECK(sxvki_check_allocation(allocator, function, allocation, &index));
    return sxvki_reported(allocator, function, sxvki_set_name(allocator, index, pName));
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkSetAllocationPriority(SxvkAllocator allocator,
                                                             SxvkAllocation allocation,
                                                             float priority) {
    const char* function = "sxvkSetAllocationPriority";
    const sxvki_device* device;
    const sxvki_block* block;
    uint32_t index;
    SXVKI_CHECK(sxvki_check_allocation(allocator, function, allocation, &index));
    SXVKI_REJECT_IF(!sxvki_is_share(priority), BAD_PRIORITY, "priority");
    device = &allocator->device;
    block = sxvki_block_of(device, index);
    if (!device->vk.set_priority || block->domain != NULL) {
        return VK_ERROR_FEATURE_NOT_PRESENT;
    }
    device->vk.fn.vkSetDeviceMemoryPriorityEXT(device->vk.device, block->memory, priority);
    return VK_SUCCESS;
}

/*  The track of an allocation that was touched before; null for any other, for those of linear
    pools, and where the handle is not valid. One look at each table, and no call: a frame may touch
    all that it draws. */
SXVKI_HOT sxvki_track* sxvki_track_touched(const sxvki_records* records,
                                           SxvkAllocation allocation) {
    uint32_t index = sxvki_handle_index(allocation);
    uint32_t generation;
    sxvki_cold* page;
    sxvki_track* track;
    if (index & SXVKI_HANDLE_SLAB_BIT) {
        sxvki_slab* slab;
        if (!sxvki_slab_exists(records, sxvki_slot_slab(index))) {
            return NULL;
        }
        slab = sxvki_slab_of(records, index);
        generation = sxvki_load32(&slab->slots[index % 64].generation);
        page = (sxvki_cold*)sxvki_load_ptr(&slab->cold);
    } else {
        if (index >= sxvki_load32(&records->hot.capacity)) {
            return NULL;
        }
        generation = sxvki_load32(&sxvki_record_at(records, index)->generation);
        page = (sxvki_cold*)sxvki_load_ptr(sxvki_cold_page(records, index));
    }
    if (!sxvki_handle_matches(allocation, generation) || page == NULL) {
        return NULL;
    }
    track = sxvki_track_of(page + index % SXVKI_COLD_PAGE, index);
    return sxvki_load32_relaxed(&track->touched) != 0 ? track : NULL;
}

/*  The first time, and whatever is unusual or wrong. */
SXVKI_APART static VkResult sxvki_touch(SxvkAllocator allocator, SxvkAllocation allocation,
                                        uint32_t stamp) {
    const char* function = "sxvkTouchAllocation";
    sxvki_track* track;
    uint32_t index;
    SXVKI_CHECK(sxvki_check_allocation(allocator, function, allocation, &index));
    track = sxvki_track_make(allocator, index);
    if (track == NULL) {
        return sxvki_reported(allocator, function, VK_ERROR_OUT_OF_HOST_MEMORY);
    }
    sxvki_store32(&track->touched, stamp); /* after the extent */
    return VK_SUCCESS;
}

SX_VKALLOC_API VkResult sxvkTouchAllocation(SxvkAllocator allocator, SxvkAllocation allocation) {
    sxvki_track* track;
    uint32_t stamp;
    SXVKI_CHECK_ALLOCATOR(allocator);
    stamp = sxvki_load32_relaxed(&allocator->device.frame) | SXVKI_TOUCHED;
    track = sxvki_track_touched(&allocator->device.records, allocation);
    if (track == NULL) {
        return sxvki_touch(allocator, allocation, stamp);
    }
    sxvki_store32_relaxed(&track->touched, stamp);
    return VK_SUCCESS;
}

SX_VKALLOC_API SxvkModule sxvkGetAllocationModule(SxvkAllocator allocator,
                                                  SxvkAllocation allocation) {
    uint32_t index;
    if (sxvki_check_allocation(allocator, "sxvkGetAllocationModule", allocation, &index) !=
        VK_SUCCESS) {
        return VK_NULL_HANDLE;
    }
    return sxvki_module_handle(sxvki_module_of(&allocator->device, index));
}

SX_VKALLOC_API void sxvkForEachAllocation(SxvkAllocator allocator,
                                          PFN_sxvkAllocationCallback pfnCallback, void* pUserData) {
    if (allocator != VK_NULL_HANDLE && pfnCallback != NULL) {
        sxvki_visit_allocations(allocator, pfnCallback, pUserData);
    }
}

/* --- the coldest allocations --- */

/*  What is looked for, and the `count` coldest so far of at most `most`: a heap, of which the first
    one is the hottest and makes room for what is colder. */
typedef struct sxvki_cold_search {
    SxvkColdAllocation* found;
    uint32_t count;
    uint32_t most;
    uint32_t heap;   /* UINT32_MAX: any */
    uint32_t module; /* 0: any, or none */
} sxvki_cold_search;

/*  Of two that are as old the smaller one counts as hotter: to free it gives less. */
static int sxvki_is_hotter(const SxvkColdAllocation* a, const SxvkColdAllocation* b) {
    return a->age < b->age || (a->age == b->age && a->size < b->size);
}

/*  Put x where element `hole` of the heap was, or below it. */
static void sxvki_cold_sink(SxvkColdAllocation* heap, uint32_t count, uint32_t hole,
                            SxvkColdAllocation x) {
    uint32_t child = 2 * hole + 1;
    while (child < count) {
        child += child + 1 < count && sxvki_is_hotter(&heap[child + 1], &heap[child]);
        if (!sxvki_is_hotter(&heap[child], &x)) {
            break;
        }
        heap[hole] = heap[child];
        hole = child;
        child = 2 * hole + 1;
    }
    heap[hole] = x;
}

static void sxvki_cold_add(sxvki_cold_search* search, SxvkColdAllocation x) {
    SxvkColdAllocation* heap = search->found;
    if (search->count < search->most) {
        uint32_t hole = search->count++;
        while (hole != 0 && sxvki_is_hotter(&x, &heap[(hole - 1) / 2])) {
            heap[hole] = heap[(hole - 1) / 2];
            hole = (hole - 1) / 2;
        }
        heap[hole] = x;
    } else if (search->most != 0 && sxvki_is_hotter(&heap[0], &x)) {
        sxvki_cold_sink(heap, search->count, 0, x);
    }
}

/*  The coldest first. */
static void sxvki_cold_sort(sxvki_cold_search* search) {
    uint32_t left;
    for (left = search->count; left > 1; left--) {
        SxvkColdAllocation last = search->found[left - 1];
        search->found[left - 1] = search->found[0];
        sxvki_cold_sink(search->found, left - 1, 0, last);
    }
}

/*  One that others may be freeing: all that is read is atomic, and counts if the handle is still
    valid afterwards. */
static VkBool32 VKAPI_PTR sxvki_cold_visit(void* context, SxvkAllocator allocator,
                                           SxvkAllocation allocation) {
    sxvki_cold_search* search = (sxvki_cold_search*)context;
    const sxvki_device* device = &allocator->device;
    uint32_t index = sxvki_allocation_index(allocation);
    const sxvki_track* track = NULL;
    SxvkColdAllocation x;
    uint32_t touched, id;
    uint64_t extent;
    if (sxvki_load32(sxvki_state_of(device, index)) & SXVKI_STATE_COLD) {
        track = sxvki_track_find(&device->records, index);
    }
    touched = track != NULL ? sxvki_load32(&track->touched) : 0;
    extent = touched != 0 ? sxvki_load64(&track->extent) : 0;
    if (extent == 0) { /* never touched, or just being freed */
        return VK_TRUE;
    }
    id = sxvki_load32(&track->module);
    x.allocation = allocation;
    x.module = sxvki_module_handle(sxvki_module_find(&device->modules, id) != NULL ? id : 0);
    x.size = extent >> 8;
    x.heapIndex = sxvki_type_heap(device, (uint32_t)(extent & 0xFF));
    x.age = (sxvki_load32_relaxed(&device->frame) - touched) & ~SXVKI_TOUCHED;
    if ((search->heap == UINT32_MAX || search->heap == x.heapIndex) &&
        (search->module == 0 || search->module == id) &&
        sxvki_allocation_is_valid(device, allocation)) {
        sxvki_cold_add(search, x);
    }
    return VK_TRUE;
}

SX_VKALLOC_API VkResult sxvkGetColdestAllocations(SxvkAllocator allocator, uint32_t heapIndex,
                                                  SxvkModule module, VkDeviceSize bytes,
                                                  uint32_t* pCount,
                                                  SxvkColdAllocation* pAllocations) {
    const char* function = "sxvkGetColdestAllocations";
    sxvki_cold_search search;
    VkDeviceSize sum = 0;
    uint32_t i;
    search.most = pCount != NULL ? *pCount : 0;
    if (pCount != NULL) {
        *pCount = 0;
    }
    SXVKI_CHECK_POINTER(pCount);
    SXVKI_CHECK_POINTER(pAllocations);
    SXVKI_CHECK(sxvki_check_module(allocator, function, module, "module"));
    SXVKI_REJECT_IF(heapIndex != UINT32_MAX &&
                        heapIndex >= allocator->device.model.properties.memoryHeapCount,
                    BAD_INDEX, "heapIndex");
    search.found = pAllocations;
    search.count = 0;
    search.heap = heapIndex;
    search.module = (uint32_t)(uintptr_t)module;
    sxvkForEachAllocation(allocator, sxvki_cold_visit, &search);
    sxvki_cold_sort(&search);
    for (i = 0; i < search.count && (bytes == 0 || sum < bytes); i++) {
        sum += pAllocations[i].size;
    }
    *pCount = i;
    return VK_SUCCESS;
}

/* --- mapping --- */

SX_VKALLOC_API VkResult sxvkMapMemory(SxvkAllocator allocator, SxvkAllocation allocation,
                                      void** ppData) {
    const char* function = "sxvkMapMemory";
    uint32_t index;
    SXVKI_CHECK_OUTPUT(ppData);
    SXVKI_CHECK(sxvki_check_allocation(allocator, function, allocation, &index));
    return sxvki_reported(allocator, function, sxvki_map(allocator, function, index, ppData));
}

SX_VKALLOC_API void sxvkUnmapMemory(SxvkAllocator allocator, SxvkAllocation allocation) {
    const char* function = "sxvkUnmapMemory";
    uint32_t index;
    if (sxvki_check_allocation(allocator, function, allocation, &index) != VK_SUCCESS) {
        return;
    }
    if (!sxvki_unmap(allocator, index)) {
        sxvki_report_allocation(&allocator->device, SXVK_MESSAGE_NOT_MAPPED, function, index,
                                sxvki_handle_of(&allocator->device, index));
    }
}

/*  Check all handles and ranges before the first driver call. */
static VkResult sxvki_flush_checked(SxvkAllocator allocator, const char* function,
                                    sxvki_cache_operation operation, uint32_t count,
                                    const SxvkAllocation* allocations, const VkDeviceSize* offsets,
                                    const VkDeviceSize* sizes) {
    uint32_t i;
    SXVKI_CHECK_ALLOCATOR(allocator);
    if (count != 0) {
        SXVKI_CHECK_POINTER(allocations);
    }
    for (i = 0; i < count; i++) {
        uint32_t index;
        SXVKI_CHECK(sxvki_check_allocation(allocator, function, allocations[i], &index));
        SXVKI_CHECK(sxvki_check_range(allocator, function, index, offsets != NULL ? offsets[i] : 0,
                                      sizes != NULL ? sizes[i] : VK_WHOLE_SIZE, 1));
        SXVKI_CHECK(sxvki_check_mapped(allocator, function, index));
    }
    return sxvki_reported(
        allocator, function,
        sxvki_flush(&allocator->device, operation, count, allocations, offsets, sizes));
}

SX_VKALLOC_API VkResult sxvkFlushAllocation(SxvkAllocator allocator, SxvkAllocation allocation,
                                            VkDeviceSize offset, VkDeviceSize size) {
    return sxvki_flush_checked(allocator, "sxvkFlushAllocation", SXVKI_CACHE_FLUSH, 1, &allocation,
                               &offset, &size);
}

SX_VKALLOC_API VkResult sxvkInvalidateAllocation(SxvkAllocator allocator, SxvkAllocation allocation,
                                                 VkDeviceSize offset, VkDeviceSize size) {
    return sxvki_flush_checked(allocator, "sxvkInvalidateAllocation", SXVKI_CACHE_INVALIDATE, 1,
                               &allocation, &offset, &size);
}

SX_VKALLOC_API VkResult sxvkFlushAllocations(SxvkAllocator allocator, uint32_t allocationCount,
                                             const SxvkAllocation* allocations,
                                             const VkDeviceSize* offsets,
                                             const VkDeviceSize* sizes) {
    return sxvki_flush_checked(allocator, "sxvkFlushAllocations", SXVKI_CACHE_FLUSH,
                               allocationCount, allocations, offsets, sizes);
}

SX_VKALLOC_API VkResult sxvkInvalidateAllocations(SxvkAllocator allocator, uint32_t allocationCount,
                                                  const SxvkAllocation* allocations,
                                                  const VkDeviceSize* offsets,
                                                  const VkDeviceSize* sizes) {
    return sxvki_flush_checked(allocator, "sxvkInvalidateAllocations", SXVKI_CACHE_INVALIDATE,
                               allocationCount, allocations, offsets, sizes);
}

/*  Into the allocation from `from`, or from it to `to`; the other is null. */
static VkResult sxvki_copy_checked(SxvkAllocator allocator, const char* function,
                                   SxvkAllocation allocation, VkDeviceSize offset,
                                   VkDeviceSize size, void* to, const void* from,
                                   const char* field) {
    uint32_t index;
    SXVKI_CHECK(sxvki_check_allocation(allocator, function, allocation, &index));
    SXVKI_CHECK(sxvki_check_range(allocator, function, index, offset, size, 0));
    if (size == 0) {
        return VK_SUCCESS;
    }
    SXVKI_REJECT_IF(to == NULL && from == NULL, NULL_ARGUMENT, field);
    return sxvki_reported(allocator, function,
                          sxvki_copy(allocator, function, allocation, offset, size, to, from));
}

SX_VKALLOC_API VkResult sxvkCopyMemoryToAllocation(SxvkAllocator allocator,
                                                   const void* pSrcHostPointer,
                                                   SxvkAllocation dstAllocation,
                                                   VkDeviceSize dstAllocationLocalOffset,
                                                   VkDeviceSize size) {
    return sxvki_copy_checked(allocator, "sxvkCopyMemoryToAllocation", dstAllocation,
                              dstAllocationLocalOffset, size, NULL, pSrcHostPointer,
                              "pSrcHostPointer");
}

SX_VKALLOC_API VkResult sxvkCopyAllocationToMemory(SxvkAllocator allocator,
                                                   SxvkAllocation srcAllocation,
                                                   VkDeviceSize srcAllocationLocalOffset,
                                                   void* pDstHostPointer, VkDeviceSize size) {
    return sxvki_copy_checked(allocator, "sxvkCopyAllocationToMemory", srcAllocation,
                              srcAllocationLocalOffset, size, pDstHostPointer, NULL,
                              "pDstHostPointer");
}

/* --- buffers and images --- */

SXVKI_COLD static VkResult sxvki_bind_checked(SxvkAllocator allocator, const char* function,
                                              SxvkAllocation allocation, VkDeviceSize offset,
                                              const sxvki_resource* r, const void* next) {
    uint32_t index;
    SXVKI_CHECK(sxvki_check_allocation(allocator, function, allocation, &index));
    SXVKI_CHECK(sxvki_check_bind(allocator, function, r, next));
    SXVKI_CHECK(sxvki_check_range(allocator, function, index, offset, VK_WHOLE_SIZE, 1));
    if (next != NULL) { /* a chain may change what is needed */
        return sxvki_reported(allocator, function,
                              sxvki_resource_bind_next(&allocator->device, r, index, offset, next));
    }
    if (SX_VKALLOC_VALIDATE) {
        SXVKI_CHECK(sxvki_check_fit_of(allocator, function, index, offset, r));
    }
    return sxvki_reported(allocator, function,
                          sxvki_resource_bind(&allocator->device, r, index, offset));
}

SX_VKALLOC_API VkResult sxvkBindBufferMemory(SxvkAllocator allocator, SxvkAllocation allocation,
                                             VkBuffer buffer) {
    sxvki_resource r = sxvki_resource_buffer(&buffer, NULL);
    return sxvki_bind_checked(allocator, "sxvkBindBufferMemory", allocation, 0, &r, NULL);
}

SX_VKALLOC_API VkResult sxvkBindBufferMemory2(SxvkAllocator allocator, SxvkAllocation allocation,
                                              VkDeviceSize allocationLocalOffset, VkBuffer buffer,
                                              const void* pNext) {
    sxvki_resource r = sxvki_resource_buffer(&buffer, NULL);
    return sxvki_bind_checked(allocator, "sxvkBindBufferMemory2", allocation, allocationLocalOffset,
                              &r, pNext);
}

SX_VKALLOC_API VkResult sxvkBindImageMemory(SxvkAllocator allocator, SxvkAllocation allocation,
                                            VkImage image) {
    sxvki_resource r = sxvki_resource_image(&image, NULL);
    return sxvki_bind_checked(allocator, "sxvkBindImageMemory", allocation, 0, &r, NULL);
}

SX_VKALLOC_API VkResult sxvkBindImageMemory2(SxvkAllocator allocator, SxvkAllocation allocation,
                                             VkDeviceSize allocationLocalOffset, VkImage image,
                                             const void* pNext) {
    sxvki_resource r = sxvki_resource_image(&image, NULL);
    return sxvki_bind_checked(allocator, "sxvkBindImageMemory2", allocation, allocationLocalOffset,
                              &r, pNext);
}

/*  Once the outputs are null. Not for a movable one. */
SXVKI_APART static VkResult sxvki_create_checked(SxvkAllocator allocator, const char* function,
                                                 const sxvki_resource* r,
                                                 const SxvkAllocationCreateInfo* info,
                                                 SxvkAllocation* pAllocation,
                                                 SxvkAllocationInfo* allocation_info) {
    VkDeviceSize size = 0;
    VkResult result;
    SXVKI_CHECK(sxvki_check_resource_output(allocator, function, r));
    SXVKI_CHECK_POINTER(pAllocation);
    SXVKI_CHECK(sxvki_check_resource_info(allocator, function, r));
    SXVKI_CHECK(sxvki_check_allocation_info(allocator, function, info));
    result = sxvki_resource_create(allocator, function, r, info, pAllocation, &size);
    return sxvki_give_info(allocator, function, result, info, size, pAllocation, allocation_info);
}

#if !SX_VKALLOC_NO_DEFRAG
/*  As above, with an entry for >>movable. */
SXVKI_COLD static VkResult sxvki_create_movable(SxvkAllocator allocator, const char* function,
                                                const sxvki_resource* r,
                                                const SxvkAllocationCreateInfo* info,
                                                SxvkAllocation* pAllocation,
                                                SxvkAllocationInfo* allocation_info) {
    sxvki_device* device = &allocator->device;
    SxvkAllocationCreateInfo wish = *info;
    sxvki_resource made = *r;
    sxvki_movable* m;
    VkResult result;
    wish.flags &= ~(VkFlags)SXVK_ALLOCATION_CREATE_MOVABLE_BIT;
    SXVKI_CHECK(sxvki_check_resource_output(allocator, function, r));
    SXVKI_CHECK_POINTER(pAllocation);
    SXVKI_CHECK(sxvki_check_resource_info(allocator, function, r));
    SXVKI_CHECK(sxvki_check_allocation_info(allocator, function, &wish));
    SXVKI_CHECK(sxvki_check_movable(allocator, function, &wish, r));
    m = r->is_image ? sxvki_movable_of_image(&allocator->movables, &device->host, r->info.image)
                    : sxvki_movable_of_buffer(&allocator->movables, &device->host, r->info.buffer);
    if (m == NULL) {
        return sxvki_failed_for(allocator, function, VK_ERROR_OUT_OF_HOST_MEMORY, &wish,
                                sxvki_resource_size(r));
    }
    if (r->is_image) {
        made.info.image = &m->image_info;
    } else {
        made.info.buffer = &m->buffer_info;
    }
    result = sxvki_create_checked(allocator, function, &made, &wish, pAllocation, allocation_info);
    if (result == VK_SUCCESS) {
        m->allocation = *pAllocation;
        m->buffer = r->is_image ? VK_NULL_HANDLE : *r->handle.buffer;
        m->image = r->is_image ? *r->handle.image : VK_NULL_HANDLE;
        m->pool = wish.pool;
        m->image_info.initialLayout = VK_IMAGE_LAYOUT_UNDEFINED; /* of the next */
        if (sxvki_movable_join(&allocator->movables, &device->host, m)) {
            return VK_SUCCESS;
        }
        sxvki_resource_unmake(device, r);
        (void)sxvki_free(allocator, *pAllocation, function);
        sxvki_null_outputs(pAllocation, allocation_info);
        result = sxvki_failed_for(allocator, function, VK_ERROR_OUT_OF_HOST_MEMORY, &wish,
                                  sxvki_resource_size(r));
    }
    sxvki_movable_delete(&allocator->movables, &device->host, m);
    return result;
}
#endif

SXVKI_INLINE VkResult sxvki_create(SxvkAllocator allocator, const char* function,
                                   const sxvki_resource* r, const SxvkAllocationCreateInfo* info,
                                   SxvkAllocation* pAllocation,
                                   SxvkAllocationInfo* allocation_info) {
    sxvki_resource_null(r);
    sxvki_null_outputs(pAllocation, allocation_info);
    SXVKI_CHECK_ALLOCATOR(allocator);
#if !SX_VKALLOC_NO_DEFRAG
    if (info != NULL && (info->flags & SXVK_ALLOCATION_CREATE_MOVABLE_BIT) != 0) {
        return sxvki_create_movable(allocator, function, r, info, pAllocation, allocation_info);
    }
#endif
    return sxvki_create_checked(allocator, function, r, info, pAllocation, allocation_info);
}

SXVKI_COLD static VkResult sxvki_create_dedicated(SxvkAllocator allocator, const char* function,
                                                  const sxvki_resource* r,
                                                  const SxvkAllocationCreateInfo* info,
                                                  const void* next, SxvkAllocation* pAllocation,
                                                  SxvkAllocationInfo* allocation_info) {
    SxvkAllocationCreateInfo dedicated;
    sxvki_resource_null(r);
    sxvki_null_outputs(pAllocation, allocation_info);
    SXVKI_REJECT_IF(info == NULL, NULL_ARGUMENT, "pAllocationCreateInfo");
    dedicated = sxvki_dedicated_info(info, next);
    return sxvki_create_checked(allocator, function, r, &dedicated, pAllocation, allocation_info);
}

SX_VKALLOC_API SXVKI_ENTRY VkResult
sxvkCreateBuffer(SxvkAllocator allocator, const VkBufferCreateInfo* pBufferCreateInfo,
                 const SxvkAllocationCreateInfo* pAllocationCreateInfo, VkBuffer* pBuffer,
                 SxvkAllocation* pAllocation, SxvkAllocationInfo* pAllocationInfo) {
    sxvki_resource r = sxvki_resource_buffer(pBuffer, pBufferCreateInfo);
    SXVKI_ENTER();
    SXVKI_PROFILE("sxvkCreateBuffer");
    return sxvki_create(allocator, "sxvkCreateBuffer", &r, pAllocationCreateInfo, pAllocation,
                        pAllocationInfo);
}

SX_VKALLOC_API SXVKI_ENTRY SXVKI_COLD VkResult sxvkCreateBufferWithAlignment(
    SxvkAllocator allocator, const VkBufferCreateInfo* pBufferCreateInfo,
    const SxvkAllocationCreateInfo* pAllocationCreateInfo, VkDeviceSize minAlignment,
    VkBuffer* pBuffer, SxvkAllocation* pAllocation, SxvkAllocationInfo* pAllocationInfo) {
    sxvki_resource r = sxvki_resource_buffer(pBuffer, pBufferCreateInfo);
    SxvkAllocationCreateInfo aligned;
    SXVKI_FUNCTION("sxvkCreateBufferWithAlignment");
    SXVKI_ENTER();
    sxvki_resource_null(&r);
    sxvki_null_outputs(pAllocation, pAllocationInfo);
    SXVKI_CHECK_POINTER(pAllocationCreateInfo);
    SXVKI_REJECT_IF(minAlignment != 0 && !sxvki_is_pow2(minAlignment), BAD_ALIGNMENT,
                    "minAlignment");
    aligned = *pAllocationCreateInfo;
    aligned.minAlignment = sxvki_max64(aligned.minAlignment, minAlignment);
    return sxvki_create(allocator, function, &r, &aligned, pAllocation, pAllocationInfo);
}

SX_VKALLOC_API SXVKI_ENTRY SXVKI_COLD VkResult sxvkCreateDedicatedBuffer(
    SxvkAllocator allocator, const VkBufferCreateInfo* pBufferCreateInfo,
    const SxvkAllocationCreateInfo* pAllocationCreateInfo, void* pMemoryAllocateNext,
    VkBuffer* pBuffer, SxvkAllocation* pAllocation, SxvkAllocationInfo* pAllocationInfo) {
    sxvki_resource r = sxvki_resource_buffer(pBuffer, pBufferCreateInfo);
    SXVKI_ENTER();
    SXVKI_PROFILE("sxvkCreateDedicatedBuffer");
    return sxvki_create_dedicated(allocator, "sxvkCreateDedicatedBuffer", &r, pAllocationCreateInfo,
                                  pMemoryAllocateNext, pAllocation, pAllocationInfo);
}

SX_VKALLOC_API SXVKI_ENTRY VkResult
sxvkCreateImage(SxvkAllocator allocator, const VkImageCreateInfo* pImageCreateInfo,
                const SxvkAllocationCreateInfo* pAllocationCreateInfo, VkImage* pImage,
                SxvkAllocation* pAllocation, SxvkAllocationInfo* pAllocationInfo) {
    sxvki_resource r = sxvki_resource_image(pImage, pImageCreateInfo);
    SXVKI_ENTER();
    SXVKI_PROFILE("sxvkCreateImage");
    return sxvki_create(allocator, "sxvkCreateImage", &r, pAllocationCreateInfo, pAllocation,
                        pAllocationInfo);
}

SX_VKALLOC_API SXVKI_ENTRY SXVKI_COLD VkResult sxvkCreateDedicatedImage(
    SxvkAllocator allocator, const VkImageCreateInfo* pImageCreateInfo,
    const SxvkAllocationCreateInfo* pAllocationCreateInfo, void* pMemoryAllocateNext,
    VkImage* pImage, SxvkAllocation* pAllocation, SxvkAllocationInfo* pAllocationInfo) {
    sxvki_resource r = sxvki_resource_image(pImage, pImageCreateInfo);
    SXVKI_ENTER();
    SXVKI_PROFILE("sxvkCreateDedicatedImage");
    return sxvki_create_dedicated(allocator, "sxvkCreateDedicatedImage", &r, pAllocationCreateInfo,
                                  pMemoryAllocateNext, pAllocation, pAllocationInfo);
}

SXVKI_COLD static VkResult sxvki_create_alias(SxvkAllocator allocator, const char* function,
                                              SxvkAllocation allocation, VkDeviceSize offset,
                                              const sxvki_resource* r) {
    uint32_t index;
    VkResult result;
    sxvki_resource_null(r);
    SXVKI_CHECK_ALLOCATOR(allocator);
    SXVKI_CHECK(sxvki_check_resource_output(allocator, function, r));
    SXVKI_CHECK(sxvki_check_allocation(allocator, function, allocation, &index));
    SXVKI_CHECK(sxvki_check_resource_info(allocator, function, r));
    SXVKI_CHECK(sxvki_check_range(allocator, function, index, offset,
                                  r->is_image ? VK_WHOLE_SIZE : r->info.buffer->size, r->is_image));
    result = sxvki_resource_make(&allocator->device, r);
    if (result == VK_SUCCESS) {
        result = sxvki_check_fit_of(allocator, function, index, offset, r);
        if (result == VK_SUCCESS) {
            result = sxvki_resource_bind(&allocator->device, r, index, offset);
        }
        if (result != VK_SUCCESS) {
            sxvki_resource_unmake(&allocator->device, r);
        }
    }
    return sxvki_reported(allocator, function, result);
}

SX_VKALLOC_API SXVKI_COLD VkResult
sxvkCreateAliasingBuffer(SxvkAllocator allocator, SxvkAllocation allocation,
                         const VkBufferCreateInfo* pBufferCreateInfo, VkBuffer* pBuffer) {
    sxvki_resource r = sxvki_resource_buffer(pBuffer, pBufferCreateInfo);
    return sxvki_create_alias(allocator, "sxvkCreateAliasingBuffer", allocation, 0, &r);
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkCreateAliasingBuffer2(
    SxvkAllocator allocator, SxvkAllocation allocation, VkDeviceSize allocationLocalOffset,
    const VkBufferCreateInfo* pBufferCreateInfo, VkBuffer* pBuffer) {
    sxvki_resource r = sxvki_resource_buffer(pBuffer, pBufferCreateInfo);
    return sxvki_create_alias(allocator, "sxvkCreateAliasingBuffer2", allocation,
                              allocationLocalOffset, &r);
}

SX_VKALLOC_API SXVKI_COLD VkResult
sxvkCreateAliasingImage(SxvkAllocator allocator, SxvkAllocation allocation,
                        const VkImageCreateInfo* pImageCreateInfo, VkImage* pImage) {
    sxvki_resource r = sxvki_resource_image(pImage, pImageCreateInfo);
    return sxvki_create_alias(allocator, "sxvkCreateAliasingImage", allocation, 0, &r);
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkCreateAliasingImage2(
    SxvkAllocator allocator, SxvkAllocation allocation, VkDeviceSize allocationLocalOffset,
    const VkImageCreateInfo* pImageCreateInfo, VkImage* pImage) {
    sxvki_resource r = sxvki_resource_image(pImage, pImageCreateInfo);
    return sxvki_create_alias(allocator, "sxvkCreateAliasingImage2", allocation,
                              allocationLocalOffset, &r);
}

/*  A buffer or an image, and its memory. With no `returns` that goes back at once. */
static void sxvki_destroy(SxvkAllocator allocator, const char* function, VkBuffer buffer,
                          VkImage image, SxvkAllocation allocation, sxvki_returns* returns) {
    sxvki_device* device = &allocator->device;
    if (allocation != VK_NULL_HANDLE &&
        !sxvki_claim_checked(allocator, function, "allocation", allocation, returns)) {
        return; /* a stale handle: the resource is gone as well */
    }
    if (sxvki_leaves_later(allocator, allocation, &buffer, &image)) {
        return;
    }
    sxvki_destroy_pair(device, buffer, image);
    if (allocation == VK_NULL_HANDLE) {
        return;
    }
    if (returns == NULL) {
        sxvki_give(device, sxvki_allocation_index(allocation), function);
    } else {
        sxvki_give_later(device, returns, sxvki_allocation_index(allocation), function);
    }
}

SX_VKALLOC_API void sxvkDestroyBuffer(SxvkAllocator allocator, VkBuffer buffer,
                                      SxvkAllocation allocation) {
    SXVKI_PROFILE("sxvkDestroyBuffer");
    if (allocator != VK_NULL_HANDLE) {
        sxvki_destroy(allocator, "sxvkDestroyBuffer", buffer, VK_NULL_HANDLE, allocation, NULL);
        sxvki_settle(allocator);
    }
}

SX_VKALLOC_API void sxvkDestroyImage(SxvkAllocator allocator, VkImage image,
                                     SxvkAllocation allocation) {
    SXVKI_PROFILE("sxvkDestroyImage");
    if (allocator != VK_NULL_HANDLE) {
        sxvki_destroy(allocator, "sxvkDestroyImage", VK_NULL_HANDLE, image, allocation, NULL);
        sxvki_settle(allocator);
    }
}

/* --- batches --- */

static VkResult sxvki_create_batch(SxvkAllocator allocator, const char* function, uint32_t count,
                                   const sxvki_resource* first,
                                   const SxvkAllocationCreateInfo* pAllocationCreateInfos,
                                   SxvkAllocation* pAllocations,
                                   SxvkAllocationInfo* pAllocationInfos) {
    sxvki_culprit culprit;
    VkResult result;
    uint32_t i;
    if (first->is_image) {
        SXVKI_NULL_ALL(first->handle.image, count);
    } else {
        SXVKI_NULL_ALL(first->handle.buffer, count);
    }
    SXVKI_NULL_ALL(pAllocations, count);
    SXVKI_NULL_ALL(pAllocationInfos, count);
    SXVKI_CHECK_ALLOCATOR(allocator);
    if (count == 0) {
        return VK_SUCCESS;
    }
    SXVKI_REJECT_IF(!first->is_image && first->info.buffer == NULL, NULL_ARGUMENT,
                    "pBufferCreateInfos");
    SXVKI_REJECT_IF(first->is_image && first->info.image == NULL, NULL_ARGUMENT,
                    "pImageCreateInfos");
    SXVKI_CHECK_POINTER(pAllocationCreateInfos);
    SXVKI_REJECT_IF(!first->is_image && first->handle.buffer == NULL, NULL_ARGUMENT, "pBuffers");
    SXVKI_REJECT_IF(first->is_image && first->handle.image == NULL, NULL_ARGUMENT, "pImages");
    SXVKI_CHECK_POINTER(pAllocations);
    for (i = 0; i < count; i++) {
        sxvki_resource r = sxvki_resource_at(first, i);
        SXVKI_CHECK(sxvki_check_resource_info(allocator, function, &r));
        SXVKI_CHECK(sxvki_check_allocation_info(allocator, function, &pAllocationCreateInfos[i]));
    }
    result = sxvki_create_all(allocator, function, count, first, pAllocationCreateInfos,
                              pAllocations, &culprit);
    if (result != VK_SUCCESS) {
        return sxvki_failed_in_batch(allocator, function, result, pAllocationCreateInfos, &culprit);
    }
    return sxvki_give_infos(allocator, count, pAllocations, pAllocationInfos);
}

SX_VKALLOC_API SXVKI_ENTRY VkResult sxvkCreateBuffers(
    SxvkAllocator allocator, uint32_t bufferCount, const VkBufferCreateInfo* pBufferCreateInfos,
    const SxvkAllocationCreateInfo* pAllocationCreateInfos, VkBuffer* pBuffers,
    SxvkAllocation* pAllocations, SxvkAllocationInfo* pAllocationInfos) {
    sxvki_resource first = sxvki_resource_buffer(pBuffers, pBufferCreateInfos);
    SXVKI_ENTER();
    SXVKI_PROFILE("sxvkCreateBuffers");
    return sxvki_create_batch(allocator, "sxvkCreateBuffers", bufferCount, &first,
                              pAllocationCreateInfos, pAllocations, pAllocationInfos);
}

SX_VKALLOC_API SXVKI_ENTRY SXVKI_COLD VkResult sxvkCreateImages(
    SxvkAllocator allocator, uint32_t imageCount, const VkImageCreateInfo* pImageCreateInfos,
    const SxvkAllocationCreateInfo* pAllocationCreateInfos, VkImage* pImages,
    SxvkAllocation* pAllocations, SxvkAllocationInfo* pAllocationInfos) {
    sxvki_resource first = sxvki_resource_image(pImages, pImageCreateInfos);
    SXVKI_ENTER();
    SXVKI_PROFILE("sxvkCreateImages");
    return sxvki_create_batch(allocator, "sxvkCreateImages", imageCount, &first,
                              pAllocationCreateInfos, pAllocations, pAllocationInfos);
}

/*  Buffers or images, or memory alone. */
static void sxvki_destroy_batch(SxvkAllocator allocator, const char* function, uint32_t count,
                                const VkBuffer* buffers, const VkImage* images,
                                const SxvkAllocation* allocations) {
    sxvki_returns returns;
    uint32_t i;
    if (allocator == VK_NULL_HANDLE) {
        return;
    }
    returns.count = 0;
    for (i = 0; i < count; i++) {
        sxvki_destroy(allocator, function, buffers != NULL ? buffers[i] : VK_NULL_HANDLE,
                      images != NULL ? images[i] : VK_NULL_HANDLE,
                      allocations != NULL ? allocations[i] : VK_NULL_HANDLE, &returns);
    }
    sxvki_returns_flush(&returns);
    sxvki_settle(allocator);
}

SX_VKALLOC_API void sxvkDestroyBuffers(SxvkAllocator allocator, uint32_t bufferCount,
                                       const VkBuffer* pBuffers,
                                       const SxvkAllocation* pAllocations) {
    SXVKI_PROFILE("sxvkDestroyBuffers");
    sxvki_destroy_batch(allocator, "sxvkDestroyBuffers", bufferCount, pBuffers, NULL, pAllocations);
}

SX_VKALLOC_API SXVKI_COLD void sxvkDestroyImages(SxvkAllocator allocator, uint32_t imageCount,
                                                 const VkImage* pImages,
                                                 const SxvkAllocation* pAllocations) {
    SXVKI_PROFILE("sxvkDestroyImages");
    sxvki_destroy_batch(allocator, "sxvkDestroyImages", imageCount, NULL, pImages, pAllocations);
}

/* --- custom pools --- */

SX_VKALLOC_API SXVKI_COLD VkResult sxvkCreatePool(SxvkAllocator allocator,
                                                  const SxvkPoolCreateInfo* pCreateInfo,
                                                  SxvkPool* pPool) {
    SXVKI_FUNCTION("sxvkCreatePool");
    SXVKI_CHECK_OUTPUT(pPool);
    SXVKI_CHECK(sxvki_check_pool_info(allocator, function, pCreateInfo));
    return sxvki_reported_last(allocator, function,
                               sxvki_create_pool(allocator, pCreateInfo, pPool));
}

SX_VKALLOC_API VkResult sxvkResetPool(SxvkAllocator allocator, SxvkPool pool) {
    sxvki_findings findings;
    SXVKI_FUNCTION("sxvkResetPool");
    SXVKI_CHECK(sxvki_check_pool(allocator, function, pool));
    sxvki_findings_init(&findings, function, UINT32_MAX);
    sxvki_margin_visit(pool, &findings);
    sxvki_findings_report(&allocator->device, &findings, SXVK_MESSAGE_CORRUPTED_MARGIN);
#if !SX_VKALLOC_NO_DEFRAG
    sxvki_moves_leave(allocator, pool);
#endif
    sxvki_reset_pool(allocator, pool, function);
    return sxvki_settled(allocator, VK_SUCCESS);
}

SX_VKALLOC_API SXVKI_COLD void sxvkDestroyPool(SxvkAllocator allocator, SxvkPool pool) {
    SXVKI_FUNCTION("sxvkDestroyPool");
    if (allocator != VK_NULL_HANDLE && pool != VK_NULL_HANDLE &&
        sxvki_check_pool(allocator, function, pool) == VK_SUCCESS) {
#if !SX_VKALLOC_NO_DEFRAG
        sxvki_moves_leave(allocator, pool);
        sxvki_defragmentations_leave(allocator, pool);
#endif
        sxvki_destroy_pool(allocator, pool, function);
        sxvki_settle(allocator);
    }
}

SX_VKALLOC_API SXVKI_COLD void sxvkGetPoolName(SxvkAllocator allocator, SxvkPool pool,
                                               const char** ppName) {
    const char* function = "sxvkGetPoolName";
    SXVKI_NULL(ppName);
    if (ppName != NULL && sxvki_check_pool(allocator, function, pool) == VK_SUCCESS) {
        *ppName = pool->name;
    }
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkSetPoolName(SxvkAllocator allocator, SxvkPool pool,
                                                   const char* pName) {
    const char* function = "sxvkSetPoolName";
    char* copy;
    char* old;
    SXVKI_CHECK(sxvki_check_pool(allocator, function, pool));
    if (!sxvki_host_copy_string(&allocator->device.host, pName, &copy)) {
        return sxvki_reported(allocator, function, VK_ERROR_OUT_OF_HOST_MEMORY);
    }
    sxvki_lock_take(&allocator->pools_lock); /* a dump may be copying it */
    sxvki_lock_take(&pool->dedicated_lock);  /* a block may be taking it over */
    old = pool->name;
    pool->name = copy;
    sxvki_lock_drop(&pool->dedicated_lock);
    sxvki_lock_drop(&allocator->pools_lock);
    sxvki_host_free(&allocator->device.host, old);
    return VK_SUCCESS;
}

/* --- defragmentation --- */

#if !SX_VKALLOC_NO_DEFRAG
SX_VKALLOC_API SXVKI_COLD VkResult sxvkBeginDefragmentation(SxvkAllocator allocator,
                                                            const SxvkDefragmentationInfo* pInfo,
                                                            SxvkDefragmentationContext* pContext) {
    SXVKI_FUNCTION("sxvkBeginDefragmentation");
    SXVKI_CHECK_OUTPUT(pContext);
    SXVKI_CHECK(sxvki_check_defragmentation_info(allocator, function, pInfo));
    if (pInfo->pool != VK_NULL_HANDLE && sxvki_pool_is_linear(pInfo->pool)) {
        return VK_ERROR_FEATURE_NOT_PRESENT;
    }
    return sxvki_reported(allocator, function,
                          sxvki_begin_defragmentation(allocator, pInfo, pContext));
}

SX_VKALLOC_API SXVKI_COLD VkResult
sxvkBeginDefragmentationPass(SxvkAllocator allocator, SxvkDefragmentationContext context,
                             SxvkDefragmentationPassMoveInfo* pPassInfo) {
    SXVKI_FUNCTION("sxvkBeginDefragmentationPass");
    SXVKI_NULL(pPassInfo);
    SXVKI_CHECK(sxvki_check_context(allocator, function, context));
    SXVKI_CHECK_POINTER(pPassInfo);
    SXVKI_REJECT_IF(context->in_pass, BAD_STRUCT, "context: a pass was begun");
    SXVKI_REJECT_IF(context->run.by_library, BAD_STRUCT, "context: with MOVABLES_ONLY");
    return sxvki_reported_last(allocator, function, sxvki_begin_pass(context, pPassInfo));
}

SX_VKALLOC_API SXVKI_COLD VkResult
sxvkEndDefragmentationPass(SxvkAllocator allocator, SxvkDefragmentationContext context,
                           SxvkDefragmentationPassMoveInfo* pPassInfo) {
    SXVKI_FUNCTION("sxvkEndDefragmentationPass");
    SXVKI_CHECK(sxvki_check_context(allocator, function, context));
    SXVKI_CHECK(sxvki_check_pass(allocator, function, context, pPassInfo));
    return sxvki_settled(allocator, sxvki_end_pass(context, pPassInfo, function));
}

SX_VKALLOC_API SXVKI_COLD void sxvkEndDefragmentation(SxvkAllocator allocator,
                                                      SxvkDefragmentationContext context,
                                                      SxvkDefragmentationStats* pStats) {
    SXVKI_FUNCTION("sxvkEndDefragmentation");
    SXVKI_NULL(pStats);
    if (allocator != VK_NULL_HANDLE && context != NULL &&
        sxvki_check_context(allocator, function, context) == VK_SUCCESS) {
        sxvki_leave_context(context, pStats);
        sxvki_settle(allocator);
    }
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkBeginEvacuation(SxvkAllocator allocator,
                                                       SxvkAllocation allocation,
                                                       const SxvkDefragmentationInfo* pInfo,
                                                       SxvkDefragmentationContext* pContext) {
    uint32_t index;
    SXVKI_FUNCTION("sxvkBeginEvacuation");
    SXVKI_CHECK_OUTPUT(pContext);
    SXVKI_CHECK(sxvki_check_allocation(allocator, function, allocation, &index));
    SXVKI_CHECK(sxvki_check_defragmentation_info(allocator, function, pInfo));
    return sxvki_reported(allocator, function,
                          sxvki_begin_evacuation(allocator, allocation, pInfo, pContext));
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkRecordMoves(SxvkAllocator allocator,
                                                   SxvkDefragmentationContext context,
                                                   const SxvkMoveInfo* pInfo) {
    SXVKI_FUNCTION("sxvkRecordMoves");
    SXVKI_CHECK(sxvki_check_context(allocator, function, context));
    SXVKI_REJECT_IF(!context->run.by_library, BAD_STRUCT, "context: without MOVABLES_ONLY");
    SXVKI_CHECK(sxvki_check_move_info(allocator, function, pInfo));
    return sxvki_reported_last(allocator, function,
                               sxvki_record_moves(context, pInfo, 0, function));
}

SX_VKALLOC_API SXVKI_COLD void sxvkCompleteMoves(SxvkAllocator allocator, uint64_t value) {
    SXVKI_PROFILE("sxvkCompleteMoves");
    if (allocator != VK_NULL_HANDLE && value > allocator->movables.completed_value) {
        allocator->movables.completed_value = value;
        sxvki_flights_land(allocator, value, 0, VK_NULL_HANDLE);
        sxvki_settle(allocator);
    }
}

SX_VKALLOC_API SXVKI_COLD VkResult
sxvkDefragmentationTick(SxvkAllocator allocator, const SxvkDefragmentationTickInfo* pInfo) {
    SXVKI_FUNCTION("sxvkDefragmentationTick");
    SXVKI_CHECK_ALLOCATOR(allocator);
    SXVKI_CHECK(sxvki_check_tick_info(allocator, function, pInfo));
    return sxvki_reported_last(allocator, function, sxvki_tick(allocator, pInfo));
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkMakeRoom(SxvkAllocator allocator, uint32_t memoryTypeIndex,
                                                VkDeviceSize size, const SxvkMoveInfo* pInfo) {
    SXVKI_FUNCTION("sxvkMakeRoom");
    SXVKI_CHECK_ALLOCATOR(allocator);
    SXVKI_CHECK(sxvki_check_move_info(allocator, function, pInfo));
    SXVKI_REJECT_IF(memoryTypeIndex >= allocator->device.model.properties.memoryTypeCount,
                    BAD_INDEX, "memoryTypeIndex");
    SXVKI_REJECT_IF(size == 0, BAD_SIZE, "size");
    return sxvki_settled(
        allocator, sxvki_make_room(allocator, sxvki_type_heap(&allocator->device, memoryTypeIndex),
                                   size, pInfo));
}

SX_VKALLOC_API SXVKI_COLD void sxvkGetMoveStatistics(SxvkAllocator allocator,
                                                     SxvkMoveStatistics* pStatistics) {
    SXVKI_NULL(pStatistics);
    if (pStatistics != NULL && allocator != VK_NULL_HANDLE) {
        sxvki_lock_take(&allocator->movables.lock);
        *pStatistics = allocator->movables.stats;
        sxvki_lock_drop(&allocator->movables.lock);
    }
}
#endif

/* --- statistics and diagnosis --- */

/* --- modules --- */

SX_VKALLOC_API SXVKI_COLD VkResult sxvkCreateModule(SxvkAllocator allocator,
                                                    const SxvkModuleCreateInfo* pCreateInfo,
                                                    SxvkModule* pModule) {
    const char* function = "sxvkCreateModule";
    VkResult result;
    uint32_t id = 0;
    SXVKI_CHECK_OUTPUT(pModule);
    SXVKI_CHECK(sxvki_check_module_info(allocator, function, pCreateInfo));
    SXVKI_REJECT_IF(pCreateInfo->warningThreshold >
                        allocator->device.pressure.info.criticalThreshold,
                    BAD_SHARE, "pCreateInfo->warningThreshold, above the criticalThreshold");
    result = sxvki_module_create(&allocator->device.modules, &allocator->device.pressure.info,
                                 pCreateInfo, &id);
    if (result == VK_INCOMPLETE) {
        return sxvki_reject(allocator, SXVK_MESSAGE_BAD_STRUCT, function,
                            "pCreateInfo->pName, which another module has");
    }
    *pModule = sxvki_module_handle(id);
    return sxvki_reported(allocator, function, result);
}

/*  For sxvkForEachAllocation: report what belongs to a module that is about to go. */
typedef struct sxvki_farewell {
    const char* function;
    uint32_t module;
} sxvki_farewell;

static VkBool32 VKAPI_PTR sxvki_farewell_visit(void* context, SxvkAllocator allocator,
                                               SxvkAllocation allocation) {
    const sxvki_farewell* farewell = (const sxvki_farewell*)context;
    uint32_t index = sxvki_allocation_index(allocation);
    if (sxvki_module_of(&allocator->device, index) == farewell->module) {
        sxvki_report_allocation(&allocator->device, SXVK_MESSAGE_MODULE_IN_USE, farewell->function,
                                index, allocation);
    }
    return VK_TRUE;
}

/*  Take the module from a pool that names it, and begin a message. Returns 0 where none does. */
SXVKI_COLD static int sxvki_disown_pool(SxvkAllocator allocator, uint32_t id,
                                        sxvki_subject* subject) {
    SxvkPool pool;
    sxvki_lock_take(&allocator->pools_lock);
    pool = sxvki_pool_at(&allocator->first_pool);
    while (pool != NULL && pool->module != id) {
        pool = sxvki_pool_at(&pool->next_pool);
    }
    if (pool != NULL) {
        sxvki_store32_relaxed(&pool->module, 0);
        sxvki_line_add_name(&subject->line, pool->name != NULL ? pool->name : "(no name)");
        sxvki_line_add(&subject->line, ", a pool");
    }
    sxvki_lock_drop(&allocator->pools_lock);
    sxvki_subject_tag(subject, &allocator->device.modules, id);
    sxvki_line_add(&subject->line, ": ");
    return pool != NULL;
}

SX_VKALLOC_API SXVKI_COLD void sxvkDestroyModule(SxvkAllocator allocator, SxvkModule module) {
    const char* function = "sxvkDestroyModule";
    sxvki_farewell farewell;
    sxvki_modules* modules;
    sxvki_module* m;
    if (allocator == VK_NULL_HANDLE || module == VK_NULL_HANDLE ||
        sxvki_check_module(allocator, function, module, "module") != VK_SUCCESS) {
        return;
    }
    modules = &allocator->device.modules;
    m = sxvki_module_get(modules, module);
    if (sxvki_exchange32(&m->is_leaving, 1) != 0) { /* in a callback for what it still has */
        sxvki_reject(allocator, SXVK_MESSAGE_INVALID_MODULE, function, "module");
        return;
    }
    farewell.function = function;
    farewell.module = (uint32_t)(uintptr_t)module;
    if (sxvki_module_count(m) != 0) {
        sxvkForEachAllocation(allocator, sxvki_farewell_visit, &farewell);
    }
    for (;;) {
        sxvki_subject subject;
        sxvki_subject_init_plain(&subject, function);
        if (!sxvki_disown_pool(allocator, farewell.module, &subject)) {
            break;
        }
        sxvki_module_release(modules, farewell.module, SXVKI_OWNER);
        sxvki_report_subject(&allocator->device, SXVK_MESSAGE_MODULE_IN_USE, &subject);
    }
    sxvki_module_destroy(modules, m);
}

/*  Of the default pools of the types that a module has memory of. */
static float sxvki_module_unused_share(SxvkAllocator allocator, const sxvki_module* module) {
    SxvkStatistics stats;
    uint32_t type;
    memset(&stats, 0, sizeof stats);
    for (type = 0; type < allocator->device.model.properties.memoryTypeCount; type++) {
        SxvkPool pool = sxvki_default_pool(allocator, type);
        if (pool != NULL && sxvki_load64_relaxed(&module->type_bytes[type]) != 0) {
            sxvki_pool_add(pool, &stats);
        }
    }
    return stats.blockBytes > stats.allocationBytes
               ? (float)(1.0 - (double)stats.allocationBytes / (double)stats.blockBytes)
               : 0.0f;
}

SX_VKALLOC_API void sxvkGetModuleStatistics(SxvkAllocator allocator, SxvkModule module,
                                            SxvkModuleStatistics* pStatistics) {
    const char* function = "sxvkGetModuleStatistics";
    const sxvki_module* m;
    uint32_t type;
    SXVKI_NULL(pStatistics);
    if (pStatistics == NULL || allocator == VK_NULL_HANDLE) {
        return;
    }
    m = sxvki_module_get(&allocator->device.modules, module);
    if (m == NULL) {
        sxvki_reject(allocator, SXVK_MESSAGE_INVALID_MODULE, function, "module");
        return;
    }
    sxvki_module_read(m, pStatistics);
    for (type = 0; type < allocator->device.model.properties.memoryTypeCount; type++) {
        pStatistics->heapBytes[sxvki_type_heap(&allocator->device, type)] +=
            sxvki_load64_relaxed(&m->type_bytes[type]);
    }
    pStatistics->unusedShare = sxvki_module_unused_share(allocator, m);
}

/* --- budgets --- */

SX_VKALLOC_API SXVKI_COLD VkResult sxvkSetHeapSizeLimit(SxvkAllocator allocator, uint32_t heapIndex,
                                                        VkDeviceSize limit) {
    const char* function = "sxvkSetHeapSizeLimit";
    sxvki_device* device;
    SXVKI_CHECK_ALLOCATOR(allocator);
    device = &allocator->device;
    if (heapIndex >= device->budget.heap_count) {
        return sxvki_reject(allocator, SXVK_MESSAGE_BAD_INDEX, function, "heapIndex");
    }
    sxvki_budget_set_limit(&device->budget, heapIndex, limit);
    sxvki_pressure_refresh(&device->pressure, &device->budget, &device->vk);
    return sxvki_settled(allocator, VK_SUCCESS);
}

/*  100 for any part of nothing. */
static float sxvki_percentage(uint64_t part, uint64_t whole) {
    return whole != 0 ? (float)(100.0 * (double)part / (double)whole) : part != 0 ? 100.0f : 0.0f;
}

SX_VKALLOC_API void sxvkGetHeapBudget(SxvkAllocator allocator, uint32_t heapIndex,
                                      SxvkBudget* pBudget) {
    const char* function = "sxvkGetHeapBudget";
    sxvki_heap_sum sum;
    SXVKI_NULL(pBudget);
    if (pBudget == NULL || allocator == VK_NULL_HANDLE) {
        return;
    }
    if (heapIndex >= allocator->device.model.properties.memoryHeapCount) {
        sxvki_reject(allocator, SXVK_MESSAGE_BAD_INDEX, function, "heapIndex");
        return;
    }
    memset(&sum, 0, sizeof sum);
    sum.heap = heapIndex;
    sxvki_read_pools(allocator, sxvki_heap_visit, &sum);
    pBudget->statistics = sum.stats;
    sxvki_budget_get(&allocator->device.budget, heapIndex, &pBudget->usage, &pBudget->budget);
    pBudget->isOverBudget = pBudget->usage > pBudget->budget ? VK_TRUE : VK_FALSE;
    pBudget->percentage = sxvki_percentage(pBudget->usage, pBudget->budget);
    pBudget->level =
        (SxvkPressureLevel)sxvki_load32_relaxed(&allocator->device.pressure.heaps[heapIndex].level);
}

SX_VKALLOC_API SXVKI_COLD void sxvkGetPoolStatistics(SxvkAllocator allocator, SxvkPool pool,
                                                     SxvkStatistics* pPoolStats) {
    const char* function = "sxvkGetPoolStatistics";
    SXVKI_NULL(pPoolStats);
    if (pPoolStats != NULL && sxvki_check_pool(allocator, function, pool) == VK_SUCCESS) {
        sxvki_pool_add(pool, pPoolStats);
    }
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkGetFrameHistory(SxvkAllocator allocator, uint32_t* pCount,
                                                       SxvkFrameStatistics* pFrames) {
    const char* function = "sxvkGetFrameHistory";
    uint32_t most = pCount != NULL ? *pCount : 0;
    if (pCount != NULL) {
        *pCount = 0;
    }
    SXVKI_CHECK_POINTER(pCount);
    *pCount = sxvki_history_read(&allocator->history, most, pFrames);
    return VK_SUCCESS;
}

SX_VKALLOC_API SXVKI_COLD void sxvkCalculateStatistics(SxvkAllocator allocator,
                                                       SxvkTotalStatistics* pStats) {
    SXVKI_PROFILE("sxvkCalculateStatistics");
    SXVKI_NULL(pStats);
    if (pStats != NULL && allocator != VK_NULL_HANDLE) {
        sxvki_calculate_total(allocator, pStats);
    }
}

SX_VKALLOC_API SXVKI_COLD void sxvkCalculatePoolStatistics(SxvkAllocator allocator, SxvkPool pool,
                                                           SxvkDetailedStatistics* pPoolStats) {
    SXVKI_FUNCTION("sxvkCalculatePoolStatistics");
    SXVKI_NULL(pPoolStats);
    if (pPoolStats != NULL && sxvki_check_pool(allocator, function, pool) == VK_SUCCESS) {
        sxvki_detailed_init(pPoolStats);
        sxvki_add_detailed(pPoolStats, pool);
        sxvki_detailed_finish(pPoolStats);
    }
}

#if !SX_VKALLOC_NO_STATS_STRING
SX_VKALLOC_API SXVKI_COLD VkResult sxvkBuildStatsString(SxvkAllocator allocator,
                                                        char** ppStatsString,
                                                        VkBool32 detailedMap) {
    sxvki_text text;
    sxvki_json json;
    SXVKI_FUNCTION("sxvkBuildStatsString");
    SXVKI_CHECK_OUTPUT(ppStatsString);
    sxvki_text_init(&text, &allocator->device.host);
    memset(&json, 0, sizeof json);
    json.text = &text;
    sxvki_json_dump(&json, allocator, detailedMap != VK_FALSE);
    return sxvki_text_hand_over(&allocator->device.reporter, function, &text, ppStatsString);
}

SX_VKALLOC_API SXVKI_COLD void sxvkFreeStatsString(SxvkAllocator allocator, char* pStatsString) {
    if (allocator != VK_NULL_HANDLE) {
        sxvki_host_free(&allocator->device.host, pStatsString);
    }
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkBuildStatsText(SxvkAllocator allocator, char** ppStatsText) {
    sxvki_text text;
    SXVKI_FUNCTION("sxvkBuildStatsText");
    SXVKI_CHECK_OUTPUT(ppStatsText);
    sxvki_text_init(&text, &allocator->device.host);
    sxvki_text_report(&text, allocator);
    return sxvki_text_hand_over(&allocator->device.reporter, function, &text, ppStatsText);
}

SX_VKALLOC_API SXVKI_COLD void sxvkFreeStatsText(SxvkAllocator allocator, char* pStatsText) {
    sxvkFreeStatsString(allocator, pStatsText);
}
#endif

static VkResult sxvki_corruption_result(SxvkAllocator allocator, const sxvki_findings* findings) {
    if (findings->checked == 0) {
        return VK_ERROR_FEATURE_NOT_PRESENT;
    }
    return sxvki_findings_report(&allocator->device, findings, SXVK_MESSAGE_CORRUPTED_MARGIN);
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkCheckCorruption(SxvkAllocator allocator,
                                                       uint32_t memoryTypeBits) {
    sxvki_findings findings;
    SXVKI_PROFILE("sxvkCheckCorruption");
    SXVKI_CHECK_ALLOCATOR(allocator);
    sxvki_findings_init(&findings, "sxvkCheckCorruption", memoryTypeBits);
    sxvki_visit_pools(allocator, sxvki_margin_visit, &findings);
    return sxvki_corruption_result(allocator, &findings);
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkCheckPoolCorruption(SxvkAllocator allocator, SxvkPool pool) {
    sxvki_findings findings;
    SXVKI_FUNCTION("sxvkCheckPoolCorruption");
    SXVKI_CHECK(sxvki_check_pool(allocator, function, pool));
    sxvki_findings_init(&findings, function, UINT32_MAX);
    sxvki_margin_visit(pool, &findings);
    return sxvki_corruption_result(allocator, &findings);
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkCheckIntegrity(SxvkAllocator allocator) {
    sxvki_findings findings;
    SXVKI_PROFILE("sxvkCheckIntegrity");
    SXVKI_CHECK_ALLOCATOR(allocator);
    sxvki_findings_init(&findings, "sxvkCheckIntegrity", 0);
    sxvki_visit_pools(allocator, sxvki_integrity_visit, &findings);
    if (!sxvki_budget_is_valid(&allocator->device.budget) && findings.broken++ == 0) {
        sxvki_subject_init_plain(&findings.subject, findings.function);
        sxvki_line_add(&findings.subject.line, "budget: ");
    }
    return sxvki_findings_report(&allocator->device, &findings, SXVK_MESSAGE_BROKEN_INVARIANT);
}

#if !SX_VKALLOC_NO_VIRTUAL
/* --- virtual blocks --- */

SX_VKALLOC_API SXVKI_COLD VkResult sxvkCreateVirtualBlock(
    const SxvkVirtualBlockCreateInfo* pCreateInfo, SxvkVirtualBlock* pVirtualBlock) {
    const char* function = "sxvkCreateVirtualBlock";
    sxvki_reporter reporter;
    VkResult result;
    SXVKI_NULL(pVirtualBlock);
    if (pCreateInfo == NULL) {
        return VK_ERROR_VALIDATION_FAILED_EXT;
    }
    reporter.callback = pCreateInfo->pfnMessage;
    reporter.user_data = pCreateInfo->pMessageUserData;
    if (pVirtualBlock == NULL) {
        return sxvki_reject_to(&reporter, SXVK_MESSAGE_NULL_ARGUMENT, function, "pVirtualBlock");
    }
    SXVKI_CHECK(sxvki_check_virtual_info(pCreateInfo, function, &reporter));
    result = sxvki_virtual_create(pCreateInfo, pVirtualBlock);
    if (result != VK_SUCCESS) {
        sxvki_report(&reporter, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, function, NULL);
    }
    return result;
}

SX_VKALLOC_API SXVKI_COLD void sxvkDestroyVirtualBlock(SxvkVirtualBlock virtualBlock) {
    if (virtualBlock != NULL) {
        SxvkStatistics stats;
        sxvki_virtual_statistics(virtualBlock, &stats);
        sxvki_report_leaks(&virtualBlock->reporter, "sxvkDestroyVirtualBlock",
                           stats.allocationCount);
        sxvki_virtual_destroy(virtualBlock);
    }
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkGrowVirtualBlock(SxvkVirtualBlock virtualBlock,
                                                        VkDeviceSize newSize) {
    const char* function = "sxvkGrowVirtualBlock";
    VkResult result;
    uint64_t size;
    if (virtualBlock == NULL) {
        return VK_ERROR_VALIDATION_FAILED_EXT;
    }
    size = newSize >> virtualBlock->shift;
    if (size < virtualBlock->size || size > SXVKI_VIRTUAL_MAX ||
        size << virtualBlock->shift != newSize) {
        return sxvki_reject_to(&virtualBlock->reporter, SXVK_MESSAGE_BAD_SIZE, function, "newSize");
    }
    result = size == virtualBlock->size ? VK_SUCCESS : sxvki_virtual_grow(virtualBlock, size);
    if (result == VK_ERROR_OUT_OF_HOST_MEMORY) {
        sxvki_report(&virtualBlock->reporter, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, function, NULL);
    } else if (result != VK_SUCCESS) {
        sxvki_report(&virtualBlock->reporter, SXVK_MESSAGE_BAD_STRUCT, function,
                     "virtualBlock, where UPPER_ADDRESS allocations are alive");
    }
    return result;
}

SX_VKALLOC_API VkBool32 sxvkIsVirtualBlockEmpty(SxvkVirtualBlock virtualBlock) {
    return virtualBlock == NULL || virtualBlock->domain.live_count == 0;
}

SX_VKALLOC_API void sxvkGetVirtualAllocationInfo(SxvkVirtualBlock virtualBlock,
                                                 SxvkVirtualAllocation allocation,
                                                 SxvkVirtualAllocationInfo* pVirtualAllocInfo) {
    uint32_t index;
    SXVKI_NULL(pVirtualAllocInfo);
    if (pVirtualAllocInfo != NULL && virtualBlock != NULL &&
        sxvki_check_virtual_allocation(virtualBlock, "sxvkGetVirtualAllocationInfo", allocation,
                                       &index) == VK_SUCCESS) {
        sxvki_virtual_look(virtualBlock, index, &pVirtualAllocInfo->offset,
                           &pVirtualAllocInfo->size);
        pVirtualAllocInfo->pUserData = sxvki_virtual_user_data(virtualBlock, index);
    }
}

/*  What is not plain, or wrong. */
SXVKI_APART static VkResult sxvki_virtual_allocate_checked(
    SxvkVirtualBlock virtualBlock, const SxvkVirtualAllocationCreateInfo* pCreateInfo,
    SxvkVirtualAllocation* pAllocation, VkDeviceSize* pOffset) {
    const char* function = "sxvkVirtualAllocate";
    if (pOffset != NULL) {
        *pOffset = VK_WHOLE_SIZE;
    }
    SXVKI_NULL(pAllocation);
    if (virtualBlock == NULL) {
        return VK_ERROR_VALIDATION_FAILED_EXT;
    }
    if (pCreateInfo == NULL || pAllocation == NULL) {
        return sxvki_reject_to(&virtualBlock->reporter, SXVK_MESSAGE_NULL_ARGUMENT, function,
                               pCreateInfo == NULL ? "pCreateInfo" : "pAllocation");
    }
    SXVKI_CHECK(sxvki_check_virtual_request(virtualBlock, function, pCreateInfo));
    return sxvki_virtual_allocate(virtualBlock, pCreateInfo, pAllocation, pOffset);
}

SX_VKALLOC_API VkResult sxvkVirtualAllocate(SxvkVirtualBlock virtualBlock,
                                            const SxvkVirtualAllocationCreateInfo* pCreateInfo,
                                            SxvkVirtualAllocation* pAllocation,
                                            VkDeviceSize* pOffset) {
    sxvki_virtual_spot spot;
    sxvki_slab* full;
    if (SXVKI_LIKELY(virtualBlock != NULL && pCreateInfo != NULL && pAllocation != NULL &&
                     sxvki_virtual_is_plain(virtualBlock, pCreateInfo))) {
        if (sxvki_virtual_is_linear(virtualBlock)) {
            return sxvki_virtual_allocate_linear(virtualBlock, pCreateInfo, pAllocation, pOffset);
        }
        if (!sxvki_virtual_take_first(virtualBlock, pCreateInfo, &spot, &full)) {
            return sxvki_virtual_allocate(virtualBlock, pCreateInfo, pAllocation, pOffset);
        }
        *pAllocation = sxvki_virtual_handle(&spot);
        if (pOffset != NULL) {
            *pOffset = spot.offset;
        }
        if (full != NULL) {
            sxvki_virtual_unlist(virtualBlock, full);
        }
        return VK_SUCCESS;
    }
    return sxvki_virtual_allocate_checked(virtualBlock, pCreateInfo, pAllocation, pOffset);
}

SX_VKALLOC_API void sxvkVirtualFree(SxvkVirtualBlock virtualBlock,
                                    SxvkVirtualAllocation allocation) {
    if (virtualBlock != NULL && allocation != NULL &&
        !sxvki_virtual_free(virtualBlock, (SxvkAllocation)(void*)allocation)) {
        sxvki_reject_to(&virtualBlock->reporter, SXVK_MESSAGE_INVALID_ALLOCATION, "sxvkVirtualFree",
                        "allocation");
    }
}

SX_VKALLOC_API void sxvkClearVirtualBlock(SxvkVirtualBlock virtualBlock) {
    if (virtualBlock != NULL) {
        sxvki_virtual_clear(virtualBlock);
    }
}

SX_VKALLOC_API VkResult sxvkSetVirtualAllocationUserData(SxvkVirtualBlock virtualBlock,
                                                         SxvkVirtualAllocation allocation,
                                                         void* pUserData) {
    const char* function = "sxvkSetVirtualAllocationUserData";
    uint32_t index;
    if (virtualBlock == NULL) {
        return VK_ERROR_VALIDATION_FAILED_EXT;
    }
    SXVKI_CHECK(sxvki_check_virtual_allocation(virtualBlock, function, allocation, &index));
    if (!sxvki_virtual_set_user_data(virtualBlock, index, pUserData)) {
        sxvki_report(&virtualBlock->reporter, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, function, NULL);
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    return VK_SUCCESS;
}

SX_VKALLOC_API void sxvkGetVirtualBlockStatistics(SxvkVirtualBlock virtualBlock,
                                                  SxvkStatistics* pStats) {
    SXVKI_NULL(pStats);
    if (pStats != NULL && virtualBlock != NULL) {
        sxvki_virtual_statistics(virtualBlock, pStats);
    }
}

SX_VKALLOC_API SXVKI_COLD void sxvkCalculateVirtualBlockStatistics(SxvkVirtualBlock virtualBlock,
                                                                   SxvkDetailedStatistics* pStats) {
    SXVKI_NULL(pStats);
    if (pStats != NULL && virtualBlock != NULL) {
        sxvki_virtual_calculate(virtualBlock, pStats);
    }
}

#if !SX_VKALLOC_NO_STATS_STRING
SX_VKALLOC_API SXVKI_COLD VkResult sxvkBuildVirtualBlockStatsString(SxvkVirtualBlock virtualBlock,
                                                                    char** ppStatsString,
                                                                    VkBool32 detailedMap) {
    const char* function = "sxvkBuildVirtualBlockStatsString";
    sxvki_text text;
    sxvki_json json;
    SXVKI_NULL(ppStatsString);
    if (virtualBlock == NULL) {
        return VK_ERROR_VALIDATION_FAILED_EXT;
    }
    if (ppStatsString == NULL) {
        return sxvki_reject_to(&virtualBlock->reporter, SXVK_MESSAGE_NULL_ARGUMENT, function,
                               "ppStatsString");
    }
    sxvki_text_init(&text, &virtualBlock->host);
    memset(&json, 0, sizeof json);
    json.text = &text;
    sxvki_json_virtual(&json, virtualBlock, detailedMap != VK_FALSE);
    return sxvki_text_hand_over(&virtualBlock->reporter, function, &text, ppStatsString);
}

SX_VKALLOC_API SXVKI_COLD void sxvkFreeVirtualBlockStatsString(SxvkVirtualBlock virtualBlock,
                                                               char* pStatsString) {
    if (virtualBlock != NULL) {
        sxvki_host_free(&virtualBlock->host, pStatsString);
    }
}
#endif
#endif

#if !SX_VKALLOC_NO_UPLOAD
/*  Of a ring, a smart buffer or an arena, which may be null. */
#define SXVKI_ALLOCATOR_OF(object)                                                                 \
    ((object) != VK_NULL_HANDLE ? (object)->plan.allocator : VK_NULL_HANDLE)

/* --- frame rings --- */

SX_VKALLOC_API SXVKI_ENTRY SXVKI_COLD VkResult sxvkCreateFrameRing(
    SxvkAllocator allocator, const SxvkFrameRingCreateInfo* pCreateInfo, SxvkFrameRing* pRing) {
    const char* function = "sxvkCreateFrameRing";
    SXVKI_ENTER();
    SXVKI_CHECK_OUTPUT(pRing);
    SXVKI_CHECK(sxvki_check_ring_info(allocator, function, pCreateInfo));
    return sxvki_reported_last(allocator, function,
                               sxvki_ring_create(allocator, function, pCreateInfo, pRing));
}

SX_VKALLOC_API SXVKI_COLD void sxvkDestroyFrameRing(SxvkAllocator allocator, SxvkFrameRing ring) {
    const char* function = "sxvkDestroyFrameRing";
    if (allocator != VK_NULL_HANDLE && ring != VK_NULL_HANDLE &&
        sxvki_check_owner(allocator, function, &ring->plan, "ring, of another allocator") ==
            VK_SUCCESS) {
        sxvki_ring_destroy(ring, function);
        sxvki_settle(allocator);
    }
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkBeginFrameRing(SxvkFrameRing ring, uint64_t value) {
    return ring == VK_NULL_HANDLE ? VK_ERROR_VALIDATION_FAILED_EXT
                                  : sxvki_ring_begin(ring, "sxvkBeginFrameRing", value);
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkCompleteFrameRing(SxvkFrameRing ring, uint64_t value) {
    return ring == VK_NULL_HANDLE ? VK_ERROR_VALIDATION_FAILED_EXT
                                  : sxvki_ring_complete(ring, "sxvkCompleteFrameRing", value);
}

SX_VKALLOC_API SXVKI_ENTRY VkResult sxvkAllocateFromFrameRing(SxvkFrameRing ring, VkDeviceSize size,
                                                              VkDeviceSize alignment,
                                                              SxvkBufferSlice* pSlice) {
    const char* function = "sxvkAllocateFromFrameRing";
    SxvkAllocator allocator = SXVKI_ALLOCATOR_OF(ring);
    SXVKI_ENTER();
    SXVKI_CHECK_OUTPUT(pSlice);
    SXVKI_CHECK(sxvki_check_slice(allocator, function, size, alignment));
    return sxvki_reported(allocator, function,
                          sxvki_ring_allocate(ring, function, size, alignment, pSlice));
}

SX_VKALLOC_API SXVKI_COLD void sxvkGetFrameRingStatistics(SxvkFrameRing ring,
                                                          SxvkFrameRingStatistics* pStatistics) {
    SXVKI_NULL(pStatistics);
    if (pStatistics != NULL && ring != VK_NULL_HANDLE) {
        sxvki_ring_statistics(ring, pStatistics);
    }
}

/* --- smart buffers --- */

SX_VKALLOC_API SXVKI_ENTRY SXVKI_COLD VkResult
sxvkCreateSmartBuffer(SxvkAllocator allocator, const SxvkSmartBufferCreateInfo* pCreateInfo,
                      SxvkSmartBuffer* pBuffer) {
    const char* function = "sxvkCreateSmartBuffer";
    SXVKI_ENTER();
    SXVKI_CHECK_OUTPUT(pBuffer);
    SXVKI_CHECK(sxvki_check_smart_info(allocator, function, pCreateInfo));
    return sxvki_reported_last(allocator, function,
                               sxvki_smart_create(allocator, function, pCreateInfo, pBuffer));
}

SX_VKALLOC_API SXVKI_COLD void sxvkDestroySmartBuffer(SxvkAllocator allocator,
                                                      SxvkSmartBuffer buffer) {
    const char* function = "sxvkDestroySmartBuffer";
    if (allocator != VK_NULL_HANDLE && buffer != VK_NULL_HANDLE &&
        sxvki_check_owner(allocator, function, &buffer->plan, "buffer, of another allocator") ==
            VK_SUCCESS) {
        sxvki_smart_destroy(buffer, function);
        sxvki_settle(allocator);
    }
}

SX_VKALLOC_API SXVKI_COLD void sxvkGetSmartBufferInfo(SxvkSmartBuffer buffer,
                                                      SxvkSmartBufferInfo* pInfo) {
    SXVKI_NULL(pInfo);
    if (pInfo != NULL && buffer != VK_NULL_HANDLE) {
        sxvki_backing_slice(&buffer->backing, sxvki_load32(&buffer->copy) * buffer->stride,
                            buffer->size, &pInfo->slice);
        pInfo->access = buffer->access;
        pInfo->isStaged = buffer->is_staged ? VK_TRUE : VK_FALSE;
    }
}

SX_VKALLOC_API SXVKI_ENTRY SXVKI_COLD VkResult
sxvkPrepareSmartBufferWrite(SxvkSmartBuffer buffer, VkDeviceSize dstOffset, VkDeviceSize size,
                            SxvkSmartBufferWrite* pWrite) {
    const char* function = "sxvkPrepareSmartBufferWrite";
    SxvkAllocator allocator = SXVKI_ALLOCATOR_OF(buffer);
    SXVKI_ENTER();
    SXVKI_CHECK_OUTPUT(pWrite);
    SXVKI_CHECK(sxvki_check_smart_range(buffer, function, 0, dstOffset, size));
    return sxvki_reported(allocator, function,
                          sxvki_smart_prepare(buffer, function, dstOffset, size, pWrite));
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkRecordSmartBufferWrite(SxvkSmartBuffer buffer,
                                                              VkCommandBuffer commands,
                                                              const SxvkSmartBufferWrite* pWrite) {
    const char* function = "sxvkRecordSmartBufferWrite";
    SxvkAllocator allocator = SXVKI_ALLOCATOR_OF(buffer);
    SXVKI_CHECK_POINTER(pWrite);
    SXVKI_CHECK(sxvki_check_write(buffer, function, pWrite));
    SXVKI_CHECK(sxvki_check_commands(buffer, function, commands));
    return sxvki_reported(allocator, function, sxvki_smart_record_write(buffer, commands, pWrite));
}

SX_VKALLOC_API SXVKI_ENTRY SXVKI_COLD VkResult sxvkWriteSmartBuffer(SxvkSmartBuffer buffer,
                                                                    VkCommandBuffer commands,
                                                                    VkDeviceSize dstOffset,
                                                                    VkDeviceSize size,
                                                                    const void* pData) {
    const char* function = "sxvkWriteSmartBuffer";
    SxvkAllocator allocator = SXVKI_ALLOCATOR_OF(buffer);
    SxvkSmartBufferWrite write;
    SXVKI_ENTER();
    SXVKI_CHECK_POINTER(pData);
    SXVKI_CHECK(sxvki_check_smart_range(buffer, function, 0, dstOffset, size));
    SXVKI_CHECK(sxvki_check_commands(buffer, function, commands));
    memset(&write, 0, sizeof write);
    SXVKI_CHECK(sxvki_reported(allocator, function,
                               sxvki_smart_prepare(buffer, function, dstOffset, size, &write)));
    memcpy(write.pData, pData, (size_t)size);
    return sxvki_reported(allocator, function, sxvki_smart_record_write(buffer, commands, &write));
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkRecordSmartBufferRead(SxvkSmartBuffer buffer,
                                                             VkCommandBuffer commands,
                                                             VkDeviceSize srcOffset,
                                                             VkDeviceSize size) {
    const char* function = "sxvkRecordSmartBufferRead";
    if (buffer == VK_NULL_HANDLE) {
        return VK_ERROR_VALIDATION_FAILED_EXT;
    }
    SXVKI_CHECK(sxvki_check_smart_range(buffer, function, 1, srcOffset, size));
    SXVKI_CHECK(sxvki_check_commands(buffer, function, commands));
    sxvki_smart_record_read(buffer, commands, srcOffset, size);
    return VK_SUCCESS;
}

SX_VKALLOC_API SXVKI_COLD VkResult sxvkReadSmartBuffer(SxvkSmartBuffer buffer,
                                                       VkDeviceSize srcOffset, VkDeviceSize size,
                                                       void* pData) {
    const char* function = "sxvkReadSmartBuffer";
    SxvkAllocator allocator = SXVKI_ALLOCATOR_OF(buffer);
    SXVKI_CHECK_POINTER(pData);
    SXVKI_CHECK(sxvki_check_smart_range(buffer, function, 1, srcOffset, size));
    return sxvki_reported(allocator, function, sxvki_smart_read(buffer, srcOffset, size, pData));
}

#if !SX_VKALLOC_NO_VIRTUAL
/* --- buffer arenas --- */

SX_VKALLOC_API SXVKI_ENTRY SXVKI_COLD VkResult
sxvkCreateBufferArena(SxvkAllocator allocator, const SxvkBufferArenaCreateInfo* pCreateInfo,
                      SxvkBufferArena* pArena) {
    const char* function = "sxvkCreateBufferArena";
    SXVKI_ENTER();
    SXVKI_CHECK_OUTPUT(pArena);
    SXVKI_CHECK(sxvki_check_arena_info(allocator, function, pCreateInfo));
    return sxvki_reported(allocator, function, sxvki_arena_create(allocator, pCreateInfo, pArena));
}

SX_VKALLOC_API SXVKI_COLD void sxvkDestroyBufferArena(SxvkAllocator allocator,
                                                      SxvkBufferArena arena) {
    const char* function = "sxvkDestroyBufferArena";
    SxvkStatistics stats;
    if (allocator != VK_NULL_HANDLE && arena != VK_NULL_HANDLE &&
        sxvki_check_owner(allocator, function, &arena->plan, "arena, of another allocator") ==
            VK_SUCCESS) {
        sxvki_arena_statistics(arena, &stats);
        sxvki_report_leaks(&allocator->device.reporter, function, stats.allocationCount);
        sxvki_arena_destroy(arena, function);
        sxvki_settle(allocator);
    }
}

SX_VKALLOC_API SXVKI_ENTRY VkResult sxvkAllocateFromBufferArena(SxvkBufferArena arena,
                                                                VkDeviceSize size,
                                                                VkDeviceSize alignment,
                                                                SxvkArenaAllocation* pAllocation,
                                                                SxvkBufferSlice* pSlice) {
    const char* function = "sxvkAllocateFromBufferArena";
    SxvkAllocator allocator = SXVKI_ALLOCATOR_OF(arena);
    SXVKI_ENTER();
    SXVKI_NULL(pAllocation);
    SXVKI_NULL(pSlice);
    SXVKI_CHECK_POINTER(pAllocation);
    SXVKI_CHECK(sxvki_check_slice(allocator, function, size, alignment));
    return sxvki_reported(
        allocator, function,
        sxvki_arena_allocate(arena, function, size, alignment, pAllocation, pSlice));
}

SX_VKALLOC_API void sxvkFreeToBufferArena(SxvkBufferArena arena, SxvkArenaAllocation allocation) {
    if (arena != VK_NULL_HANDLE && allocation != VK_NULL_HANDLE) {
        sxvki_arena_free(arena, "sxvkFreeToBufferArena", allocation);
    }
}

SX_VKALLOC_API SXVKI_COLD void sxvkGetBufferArenaSlice(SxvkBufferArena arena,
                                                       SxvkArenaAllocation allocation,
                                                       SxvkBufferSlice* pSlice) {
    SXVKI_NULL(pSlice);
    if (pSlice != NULL && arena != VK_NULL_HANDLE) {
        sxvki_arena_look(arena, "sxvkGetBufferArenaSlice", allocation, pSlice);
    }
}

SX_VKALLOC_API SXVKI_COLD void sxvkGetBufferArenaStatistics(SxvkBufferArena arena,
                                                            SxvkStatistics* pStatistics) {
    SXVKI_NULL(pStatistics);
    if (pStatistics != NULL && arena != VK_NULL_HANDLE) {
        sxvki_arena_statistics(arena, pStatistics);
    }
}
#endif
#endif

#ifdef __cplusplus
}
#endif

#endif /* SX_VKALLOC_IMPLEMENTATION */
