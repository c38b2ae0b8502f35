/*  sim.c - the simulated Vulkan device of sim.h.

    One mutex per sim guards all bookkeeping. Objects live in a table of slots; a handle is slot
    number and generation, so a stale handle is found however soon its slot is used again. With
    neither checks nor backing, buffers and images carry their requirements inside the handle
    instead (Vulkan allows that), so that the calls that benchmarks make most touch neither
    table nor mutex.
*/
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS under -std=c99 */

#include "sim.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cjson/cJSON.h>

#define DEFAULT_MAX_ALLOCATION_SIZE ((VkDeviceSize)1 << 40)
#define MAX_BUFFER_SIZE             ((VkDeviceSize)1 << 40)
#define PLANE_COUNT                 3
#define RULE_COUNT                  16
#define STRIPE_COUNT                64
#define CHUNK_SLOTS                 1024u
#define CHUNK_COUNT                 16384u
#define LEAKS_LISTED                8

/* The simulated GPU's address space; with backing off, also what vkMapMemory returns. */
#define VA_FIRST (((uint64_t)1 << 44) + ((uint64_t)1 << 28))
#define VA_LAST  ((uint64_t)1 << 46)
#define VA_STEP  ((uint64_t)1 << 16)

#define AMD_COHERENT_BITS                                                 \
    ((VkMemoryPropertyFlags)(VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | \
                             VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD))

/* ------------------------------------------------------------------ types */

typedef enum ObjectKind {
    KIND_NONE,
    KIND_MEMORY,
    KIND_BUFFER,
    KIND_IMAGE,
    KIND_PLANE /* of a disjoint image: bound by itself, never seen by the caller */
} ObjectKind;

typedef struct Memory {
    SimMemoryInfo info;
    uint64_t va;
    uint8_t* bytes; /* aligned to minMemoryMapAlignment; NULL until somebody looks */
    void* reserved; /* what munmap gets back; NULL if the bytes are not ours */
    size_t reservedSize;
    uint32_t linearRoot; /* trees of the bound ranges: slot + 1, 0 = empty */
    uint32_t optimalRoot;
    pthread_t user; /* the thread inside a call that needs the memory for itself */
    uint32_t userDepth;
} Memory;

typedef struct Resource {
    SimRequirements needs;
    VkDeviceSize size; /* of a buffer, as its creator gave it */
    VkFlags usage;
    VkExtent3D extent; /* of an image, as are the next three */
    uint32_t mipLevels;
    uint32_t arrayLayers;
    VkImageLayout layout; /* after all barriers recorded so far */
    bool linear;
    bool sparse;
    bool disjoint;
    uint32_t planes[PLANE_COUNT]; /* slot + 1 of each plane of a disjoint image */
    uint64_t memory;              /* handle; 0 = not bound */
    VkDeviceSize offset;
    VkDeviceSize end;
    VkDeviceSize maxEnd; /* of the subtree */
    uint32_t left;
    uint32_t right;
} Resource;

typedef struct Object {
    uint32_t generation; /* 31 bits */
    uint32_t nextFree;   /* slot + 1 */
    ObjectKind kind;
    bool hasAllocator; /* made with VkAllocationCallbacks */
    char* name;
    union {
        Memory memory;
        Resource resource;
    } as;
} Object;

/* Kinds of resources that differ in memoryTypeBits; at most 16 (the width in an encoded handle). */
typedef enum MaskClass {
    MASK_BUFFER,
    MASK_DESCRIPTOR_BUFFER,
    MASK_IMAGE_LINEAR,
    MASK_IMAGE_OPTIMAL,
    MASK_IMAGE_TRANSIENT,
    MASK_IMAGE_D16,
    MASK_IMAGE_D24S8,
    MASK_IMAGE_D32,
    MASK_IMAGE_D32S8,
    MASK_IMAGE_S8,
    MASK_COUNT
} MaskClass;

typedef struct Rule {
    SimCall call;
    uint32_t skip;
    uint32_t times; /* 0 = free slot */
    VkResult result;
} Rule;

/* What vkCmdCopyBuffer and vkCmdCopyImage were told. */
typedef struct Copy {
    SimCall call;
    uint64_t source;
    uint64_t target;
    VkBufferCopy region;
} Copy;

/* A dispatchable handle points at one of these. */
typedef struct Dispatch {
    uint64_t magic;
    Sim* sim;
} Dispatch;

#define DISPATCH_MAGIC UINT64_C(0x53494d5f56554c4b)

/* Threads count in different cache lines: benchmarks must not measure our counters. */
#define COUNTER_BORN  SIM_CALL_COUNT       /* encoded resources created, */
#define COUNTER_DIED  (SIM_CALL_COUNT + 1) /* and destroyed */
#define COUNTER_COUNT (SIM_CALL_COUNT + 2)

typedef struct Stripe {
    uint64_t counts[COUNTER_COUNT];
} __attribute__((aligned(128))) Stripe;

enum { ARMED_HOOK = 1, ARMED_RULES = 2 };

struct Sim {
    Stripe stripes[STRIPE_COUNT];
    Dispatch instance;
    Dispatch physicalDevice;
    Dispatch device;
    Dispatch commandBuffer;
    SimProfile profile;
    SimOptions options;
    uint32_t masks[MASK_COUNT];
    uint32_t armed; /* atomic: ARMED_ bits, so that a call costs one load when nothing is set */

    SimCallHook hook;
    void* pHookUser;
    SimRequirementsHook needsHook;
    void* pNeedsUser;

    pthread_mutex_t mutex; /* guards everything below */
    bool defers;           /* copies wait for sim_execute_copies */
    Copy* copies;
    size_t copyCount;
    size_t copyCapacity;
    Object* chunks[CHUNK_COUNT];
    uint32_t slotCount;
    uint32_t freeSlots; /* slot + 1 */
    uint32_t firstGeneration;
    uint64_t liveResources; /* those in the table */
    uint64_t liveCount;
    uint64_t peakCount;
    VkDeviceSize liveBytes[VK_MAX_MEMORY_HEAPS];
    VkDeviceSize peakBytes[VK_MAX_MEMORY_HEAPS];
    VkDeviceSize liveTotal;
    VkDeviceSize peakTotal;
    uint64_t nextVa;
    VkDeviceSize failAbove;
    VkResult failAboveResult;
    VkDeviceSize heapLimit[VK_MAX_MEMORY_HEAPS];
    VkDeviceSize budget[VK_MAX_MEMORY_HEAPS];
    VkDeviceSize usageOfOthers[VK_MAX_MEMORY_HEAPS];
    Rule rules[RULE_COUNT];
    uint64_t faultsFired;
    uint64_t errors;
    char lastError[512];
    bool quiet;
    bool aliasing;
};

/* ------------------------------------------------------------------ small tools */

static VkDeviceSize align_up(VkDeviceSize value, VkDeviceSize alignment) {
    return (value + alignment - 1) / alignment * alignment;
}

static VkDeviceSize max_size(VkDeviceSize a, VkDeviceSize b) {
    return a > b ? a : b;
}

static VkDeviceSize min_size(VkDeviceSize a, VkDeviceSize b) {
    return a < b ? a : b;
}

static const void* find_in_chain(const void* chain, VkStructureType type) {
    const VkBaseInStructure* s = (const VkBaseInStructure*)chain;
    while (s != NULL && s->sType != type) {
        s = s->pNext;
    }
    return s;
}

#if VK_USE_64_BIT_PTR_DEFINES == 1
#define MAKE_HANDLE(Type, bits) ((Type)(uintptr_t)(bits))
#else
#define MAKE_HANDLE(Type, bits) ((Type)(bits))
#endif

static void lock(Sim* sim) {
    (void)pthread_mutex_lock(&sim->mutex);
}

static void unlock(Sim* sim) {
    (void)pthread_mutex_unlock(&sim->mutex);
}

/*  Stacks of different threads are some MiB apart, so the stack pointer picks the stripe without a
    thread-local variable. */
static void count(Sim* sim, uint32_t counter) {
    uintptr_t stack = (uintptr_t)__builtin_frame_address(0);
    Stripe* stripe = &sim->stripes[(stack >> 23) % STRIPE_COUNT];
    (void)__atomic_fetch_add(&stripe->counts[counter], 1, __ATOMIC_RELAXED);
}

static uint64_t counted(Sim* sim, uint32_t counter) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < STRIPE_COUNT; i++) {
        sum += __atomic_load_n(&sim->stripes[i].counts[counter], __ATOMIC_RELAXED);
    }
    return sum;
}

/*  Report a mistake of the caller; the mutex is held. */
__attribute__((format(printf, 3, 4))) static void report(Sim* sim, SimCall call, const char* format,
                                                         ...) {
    if (!sim->options.checks) {
        return;
    }
    int used = snprintf(sim->lastError, sizeof sim->lastError, "%s: ", sim_call_name(call));
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sim->lastError + used, sizeof sim->lastError - (size_t)used, format, arguments);
    va_end(arguments);
    sim->errors++;
    if (!sim->quiet) {
        (void)fprintf(stderr, SIM_ERROR_PREFIX "%s\n", sim->lastError);
    }
}

/* For printf. */
#define ULL(value) ((unsigned long long)(value))

#define INVALID    VK_ERROR_VALIDATION_FAILED_EXT

/* ------------------------------------------------------------------ handle table */

static Object* object_at(Sim* sim, uint32_t slot) {
    return &sim->chunks[slot / CHUNK_SLOTS][slot % CHUNK_SLOTS];
}

static uint64_t handle_of(Sim* sim, uint32_t slot) {
    return (uint64_t)object_at(sim, slot)->generation << 32 | (slot + 1);
}

static uint32_t slot_of(uint64_t handle) {
    return (uint32_t)handle - 1;
}

static Object* find(Sim* sim, uint64_t handle, ObjectKind kind) {
    uint32_t slot = slot_of(handle);
    if (slot >= sim->slotCount) {
        return NULL;
    }
    Object* object = object_at(sim, slot);
    return object->generation == handle >> 32 && object->kind == kind ? object : NULL;
}

static Memory* find_memory(Sim* sim, uint64_t handle) {
    Object* object = find(sim, handle, KIND_MEMORY);
    return object != NULL ? &object->as.memory : NULL;
}

static Resource* find_resource(Sim* sim, uint64_t handle, ObjectKind kind) {
    Object* object = find(sim, handle, kind);
    return object != NULL ? &object->as.resource : NULL;
}

static Resource* resource_at(Sim* sim, uint32_t slot) {
    return &object_at(sim, slot)->as.resource;
}

/*  Take a slot; 0 when host memory is out, else slot + 1. */
static uint32_t take_slot(Sim* sim, ObjectKind kind) {
    uint32_t slot;
    if (sim->freeSlots != 0) {
        slot = sim->freeSlots - 1;
        sim->freeSlots = object_at(sim, slot)->nextFree;
    } else {
        slot = sim->slotCount;
        if (slot / CHUNK_SLOTS == CHUNK_COUNT) {
            return 0;
        }
        if (slot % CHUNK_SLOTS == 0) {
            Object* chunk = (Object*)calloc(CHUNK_SLOTS, sizeof *chunk);
            if (chunk == NULL) {
                return 0;
            }
            for (uint32_t i = 0; i < CHUNK_SLOTS; i++) {
                chunk[i].generation = sim->firstGeneration;
            }
            sim->chunks[slot / CHUNK_SLOTS] = chunk;
        }
        sim->slotCount++;
    }
    Object* object = object_at(sim, slot);
    memset(&object->as, 0, sizeof object->as);
    object->hasAllocator = false;
    object->kind = kind;
    return slot + 1;
}

static void give_slot(Sim* sim, uint32_t slot) {
    Object* object = object_at(sim, slot);
    free(object->name);
    object->name = NULL;
    object->kind = KIND_NONE;
    object->generation = (object->generation + 1) & INT32_MAX;
    object->nextFree = sim->freeSlots;
    sim->freeSlots = slot + 1;
}

/* ------------------------------------------------------------------ bound ranges */

/*  Each memory has two interval trees over what is bound to it, one for linear and one for
    optimal resources: treaps ordered by (offset, slot), with the greatest end of each subtree.
    Links are slot + 1, 0 = none; a node's priority is a hash of its slot. All costs are O(log
    n). */

static uint32_t tree_priority(uint32_t node) {
    uint32_t x = node * UINT32_C(0x9E3779B1);
    x ^= x >> 15;
    return x * UINT32_C(0x85EBCA77);
}

static Resource* tree_node(Sim* sim, uint32_t node) {
    return resource_at(sim, node - 1);
}

static bool tree_before(Sim* sim, uint32_t a, uint32_t b) {
    VkDeviceSize x = tree_node(sim, a)->offset;
    VkDeviceSize y = tree_node(sim, b)->offset;
    return x != y ? x < y : a < b;
}

static void tree_update(Sim* sim, uint32_t node) {
    Resource* r = tree_node(sim, node);
    r->maxEnd = r->end;
    if (r->left != 0) {
        r->maxEnd = max_size(r->maxEnd, tree_node(sim, r->left)->maxEnd);
    }
    if (r->right != 0) {
        r->maxEnd = max_size(r->maxEnd, tree_node(sim, r->right)->maxEnd);
    }
}

/*  Split a tree into what stands before `key` and the rest. */
static void tree_split(Sim* sim, uint32_t root, uint32_t key, uint32_t* pBefore, uint32_t* pAfter) {
    if (root == 0) {
        *pBefore = 0;
        *pAfter = 0;
        return;
    }
    Resource* r = tree_node(sim, root);
    if (tree_before(sim, root, key)) {
        *pBefore = root;
        tree_split(sim, r->right, key, &r->right, pAfter);
    } else {
        *pAfter = root;
        tree_split(sim, r->left, key, pBefore, &r->left);
    }
    tree_update(sim, root);
}

static uint32_t tree_merge(Sim* sim, uint32_t before, uint32_t after) {
    if (before == 0 || after == 0) {
        return before + after;
    }
    uint32_t root;
    if (tree_priority(before) > tree_priority(after)) {
        Resource* r = tree_node(sim, before);
        r->right = tree_merge(sim, r->right, after);
        root = before;
    } else {
        Resource* r = tree_node(sim, after);
        r->left = tree_merge(sim, before, r->left);
        root = after;
    }
    tree_update(sim, root);
    return root;
}

static uint32_t tree_insert(Sim* sim, uint32_t root, uint32_t node) {
    if (root != 0 && tree_priority(root) >= tree_priority(node)) {
        Resource* r = tree_node(sim, root);
        uint32_t* child = tree_before(sim, node, root) ? &r->left : &r->right;
        *child = tree_insert(sim, *child, node);
        tree_update(sim, root);
        return root;
    }
    Resource* r = tree_node(sim, node);
    tree_split(sim, root, node, &r->left, &r->right);
    tree_update(sim, node);
    return node;
}

static uint32_t tree_remove(Sim* sim, uint32_t root, uint32_t node) {
    if (root == 0) {
        return 0;
    }
    Resource* r = tree_node(sim, root);
    if (root == node) {
        return tree_merge(sim, r->left, r->right);
    }
    uint32_t* child = tree_before(sim, node, root) ? &r->left : &r->right;
    *child = tree_remove(sim, *child, node);
    tree_update(sim, root);
    return root;
}

typedef struct Span {
    VkDeviceSize begin;
    VkDeviceSize end;
} Span;

static bool touches(const Resource* r, Span span) {
    return r->offset < span.end && r->end > span.begin;
}

/*  A node that touches `span` and does not touch `except`; 0 if there is none. */
static uint32_t tree_find(Sim* sim, uint32_t root, Span span, Span except) {
    if (root == 0) {
        return 0;
    }
    const Resource* r = tree_node(sim, root);
    if (r->maxEnd <= span.begin) {
        return 0;
    }
    uint32_t found = tree_find(sim, r->left, span, except);
    if (found != 0 || r->offset >= span.end) {
        return found;
    }
    if (touches(r, span) && !touches(r, except)) {
        return root;
    }
    return tree_find(sim, r->right, span, except);
}

static uint32_t* tree_of(Memory* memory, const Resource* resource) {
    return resource->linear ? &memory->linearRoot : &memory->optimalRoot;
}

/* ------------------------------------------------------------------ entering a call */

static Sim* sim_of(const void* handle) {
    const Dispatch* dispatch = (const Dispatch*)handle;
    if (dispatch == NULL || dispatch->magic != DISPATCH_MAGIC) {
        (void)fprintf(stderr, SIM_ERROR_PREFIX "a dispatchable handle is none of a live sim\n");
        abort();
    }
    return dispatch->sim;
}

static VkResult apply_rules(Sim* sim, SimCall call) {
    VkResult result = VK_SUCCESS;
    uint32_t alive = 0;
    lock(sim);
    for (uint32_t i = 0; i < RULE_COUNT; i++) {
        Rule* rule = &sim->rules[i];
        if (rule->times != 0 && (rule->call == call || rule->call == SIM_CALL_ANY_FAILABLE)) {
            if (rule->skip != 0) {
                rule->skip--;
            } else {
                result = result != VK_SUCCESS ? result : rule->result;
                rule->times -= rule->times != UINT32_MAX;
            }
        }
        alive += rule->times != 0;
    }
    sim->faultsFired += result != VK_SUCCESS;
    if (alive == 0) {
        (void)__atomic_fetch_and(&sim->armed, ~(uint32_t)ARMED_RULES, __ATOMIC_RELAXED);
    }
    unlock(sim);
    return result;
}

/*  The start of every call: count it, tell the hook, and say whether it shall fail. */
static VkResult enter(Sim* sim, SimCall call) {
    count(sim, (uint32_t)call);
    uint32_t armed = __atomic_load_n(&sim->armed, __ATOMIC_ACQUIRE);
    if (armed == 0) {
        return VK_SUCCESS;
    }
    if ((armed & ARMED_HOOK) != 0) {
        sim->hook(sim->pHookUser, call);
    }
    if ((armed & ARMED_RULES) != 0 && sim_call_is_failable(call)) {
        return apply_rules(sim, call);
    }
    return VK_SUCCESS;
}

/*  vkMapMemory, vkUnmapMemory and vkFreeMemory need the memory externally synchronised: mark it
    for the time of the call, which starts before the hook, and give other threads a chance to
    show up meanwhile. */
static bool begin_exclusive(Sim* sim, SimCall call, VkDeviceMemory handle) {
    if (!sim->options.checks) {
        return false;
    }
    bool mine = false;
    lock(sim);
    Memory* memory = find_memory(sim, SIM_HANDLE(handle));
    if (memory != NULL) {
        mine = memory->userDepth == 0 || pthread_equal(memory->user, pthread_self()) != 0;
        if (mine) {
            memory->user = pthread_self();
            memory->userDepth++;
        } else {
            report(sim, call, "another thread is inside a map, unmap or free of the same memory");
        }
    }
    unlock(sim);
    (void)sched_yield();
    return mine;
}

static void end_exclusive(Sim* sim, VkDeviceMemory handle, bool mine) {
    if (!mine) {
        return;
    }
    lock(sim);
    Memory* memory = find_memory(sim, SIM_HANDLE(handle));
    if (memory != NULL) {
        memory->userDepth--;
    }
    unlock(sim);
}

/* ------------------------------------------------------------------ requirements */

typedef struct FormatRow {
    VkFormat last; /* rows are in order; a row covers what follows the row before it */
    uint8_t bytes; /* per block */
    uint8_t width;
    uint8_t height;
} FormatRow;

static const FormatRow formatRows[] = {
    {VK_FORMAT_UNDEFINED,                4,  1, 1},
    {VK_FORMAT_R4G4_UNORM_PACK8,         1,  1, 1},
    {VK_FORMAT_A1R5G5B5_UNORM_PACK16,    2,  1, 1},
    {VK_FORMAT_R8_SRGB,                  1,  1, 1},
    {VK_FORMAT_R8G8_SRGB,                2,  1, 1},
    {VK_FORMAT_B8G8R8_SRGB,              3,  1, 1},
    {VK_FORMAT_A2B10G10R10_SINT_PACK32,  4,  1, 1},
    {VK_FORMAT_R16_SFLOAT,               2,  1, 1},
    {VK_FORMAT_R16G16_SFLOAT,            4,  1, 1},
    {VK_FORMAT_R16G16B16_SFLOAT,         6,  1, 1},
    {VK_FORMAT_R16G16B16A16_SFLOAT,      8,  1, 1},
    {VK_FORMAT_R32_SFLOAT,               4,  1, 1},
    {VK_FORMAT_R32G32_SFLOAT,            8,  1, 1},
    {VK_FORMAT_R32G32B32_SFLOAT,         12, 1, 1},
    {VK_FORMAT_R32G32B32A32_SFLOAT,      16, 1, 1},
    {VK_FORMAT_R64_SFLOAT,               8,  1, 1},
    {VK_FORMAT_R64G64_SFLOAT,            16, 1, 1},
    {VK_FORMAT_R64G64B64_SFLOAT,         24, 1, 1},
    {VK_FORMAT_R64G64B64A64_SFLOAT,      32, 1, 1},
    {VK_FORMAT_E5B9G9R9_UFLOAT_PACK32,   4,  1, 1},
    {VK_FORMAT_D16_UNORM,                2,  1, 1},
    {VK_FORMAT_D32_SFLOAT,               4,  1, 1},
    {VK_FORMAT_S8_UINT,                  1,  1, 1},
    {VK_FORMAT_D24_UNORM_S8_UINT,        4,  1, 1},
    {VK_FORMAT_D32_SFLOAT_S8_UINT,       8,  1, 1},
    {VK_FORMAT_BC1_RGBA_SRGB_BLOCK,      8,  4, 4},
    {VK_FORMAT_BC3_SRGB_BLOCK,           16, 4, 4},
    {VK_FORMAT_BC4_SNORM_BLOCK,          8,  4, 4},
    {VK_FORMAT_BC7_SRGB_BLOCK,           16, 4, 4},
    {VK_FORMAT_ETC2_R8G8B8A1_SRGB_BLOCK, 8,  4, 4},
    {VK_FORMAT_ETC2_R8G8B8A8_SRGB_BLOCK, 16, 4, 4},
    {VK_FORMAT_EAC_R11_SNORM_BLOCK,      8,  4, 4},
    {VK_FORMAT_EAC_R11G11_SNORM_BLOCK,   16, 4, 4},
    {VK_FORMAT_ASTC_4x4_SRGB_BLOCK,      16, 4, 4},
    {VK_FORMAT_ASTC_5x4_SRGB_BLOCK,      16, 5, 4},
    {VK_FORMAT_ASTC_5x5_SRGB_BLOCK,      16, 5, 5},
    {VK_FORMAT_ASTC_6x5_SRGB_BLOCK,      16, 6, 5},
    {VK_FORMAT_ASTC_6x6_SRGB_BLOCK,      16, 6, 6},
    {VK_FORMAT_ASTC_8x5_SRGB_BLOCK,      16, 8, 5},
    {VK_FORMAT_ASTC_8x6_SRGB_BLOCK,      16, 8, 6},
    {VK_FORMAT_ASTC_8x8_SRGB_BLOCK,      16, 8, 8},
};

typedef struct PlanarRow {
    VkFormat format;
    uint8_t count;
    uint8_t bytes; /* per texel of plane 0; a plane 1 of two planes has twice as many */
    uint8_t divideWidth;
    uint8_t divideHeight;
} PlanarRow;

static const PlanarRow planarRows[] = {
    {VK_FORMAT_G8_B8_R8_3PLANE_420_UNORM,                 3, 1, 2, 2},
    {VK_FORMAT_G8_B8R8_2PLANE_420_UNORM,                  2, 1, 2, 2},
    {VK_FORMAT_G8_B8_R8_3PLANE_422_UNORM,                 3, 1, 2, 1},
    {VK_FORMAT_G8_B8R8_2PLANE_422_UNORM,                  2, 1, 2, 1},
    {VK_FORMAT_G8_B8_R8_3PLANE_444_UNORM,                 3, 1, 1, 1},
    {VK_FORMAT_G10X6_B10X6R10X6_2PLANE_420_UNORM_3PACK16, 2, 2, 2, 2},
    {VK_FORMAT_G16_B16_R16_3PLANE_420_UNORM,              3, 2, 2, 2},
    {VK_FORMAT_G16_B16R16_2PLANE_420_UNORM,               2, 2, 2, 2},
};

static const PlanarRow* planar_row(VkFormat format) {
    for (size_t i = 0; i < sizeof planarRows / sizeof planarRows[0]; i++) {
        if (planarRows[i].format == format) {
            return &planarRows[i];
        }
    }
    return NULL;
}

static FormatRow format_row(VkFormat format) {
    size_t rowCount = sizeof formatRows / sizeof formatRows[0];
    for (size_t i = 0; i < rowCount; i++) {
        if (format <= formatRows[i].last) {
            return formatRows[i];
        }
    }
    return formatRows[0];
}

/*  Bytes of one plane's texels, all mips, layers and samples. */
static VkDeviceSize plane_size(const VkImageCreateInfo* info, uint32_t plane) {
    const PlanarRow* planar = planar_row(info->format);
    FormatRow row = format_row(info->format);
    VkExtent3D extent = info->extent;
    if (planar != NULL) {
        row.bytes = planar->bytes;
        if (plane != 0) {
            row.bytes = (uint8_t)(row.bytes * (planar->count == 2 ? 2 : 1));
            extent.width /= planar->divideWidth;
            extent.height /= planar->divideHeight;
        }
    }
    VkDeviceSize size = 0;
    for (uint32_t mip = 0; mip < info->mipLevels && mip < 32; mip++) {
        VkDeviceSize width = max_size(extent.width >> mip, 1);
        VkDeviceSize height = max_size(extent.height >> mip, 1);
        VkDeviceSize depth = max_size(extent.depth >> mip, 1);
        size += (width + row.width - 1) / row.width * ((height + row.height - 1) / row.height) *
                depth * row.bytes;
    }
    return size * info->arrayLayers * (VkDeviceSize)info->samples;
}

static MaskClass image_class(const VkImageCreateInfo* info) {
    if (info->tiling == VK_IMAGE_TILING_LINEAR) {
        return MASK_IMAGE_LINEAR;
    }
    if ((info->usage & VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT) != 0) {
        return MASK_IMAGE_TRANSIENT;
    }
    switch (info->format) {
    case VK_FORMAT_D16_UNORM:
    case VK_FORMAT_D16_UNORM_S8_UINT: return MASK_IMAGE_D16;
    case VK_FORMAT_X8_D24_UNORM_PACK32:
    case VK_FORMAT_D24_UNORM_S8_UINT: return MASK_IMAGE_D24S8;
    case VK_FORMAT_D32_SFLOAT: return MASK_IMAGE_D32;
    case VK_FORMAT_D32_SFLOAT_S8_UINT: return MASK_IMAGE_D32S8;
    case VK_FORMAT_S8_UINT: return MASK_IMAGE_S8;
    default: return MASK_IMAGE_OPTIMAL;
    }
}

static VkBufferUsageFlags buffer_usage(const VkBufferCreateInfo* info) {
#ifdef VK_KHR_maintenance5
    const VkBufferUsageFlags2CreateInfoKHR* usage2 =
        (const VkBufferUsageFlags2CreateInfoKHR*)find_in_chain(
            info->pNext, VK_STRUCTURE_TYPE_BUFFER_USAGE_FLAGS_2_CREATE_INFO_KHR);
    if (usage2 != NULL) {
        return (VkBufferUsageFlags)usage2->usage;
    }
#endif
    return info->usage;
}

#ifdef VK_EXT_descriptor_buffer
#define DESCRIPTOR_BUFFER_BITS                                                \
    ((VkBufferUsageFlags)(VK_BUFFER_USAGE_SAMPLER_DESCRIPTOR_BUFFER_BIT_EXT | \
                          VK_BUFFER_USAGE_RESOURCE_DESCRIPTOR_BUFFER_BIT_EXT))
#else
#define DESCRIPTOR_BUFFER_BITS ((VkBufferUsageFlags)0)
#endif

static MaskClass buffer_needs(Sim* sim, const VkBufferCreateInfo* info, SimRequirements* needs) {
    VkBufferUsageFlags usage = buffer_usage(info);
    MaskClass class = (usage & DESCRIPTOR_BUFFER_BITS) != 0 ? MASK_DESCRIPTOR_BUFFER : MASK_BUFFER;
    VkDeviceSize alignment = 16;
    if ((usage & VK_BUFFER_USAGE_STORAGE_BUFFER_BIT) != 0) {
        alignment = 64;
    }
    if ((usage & VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT) != 0) {
        alignment = 256;
    }
    memset(needs, 0, sizeof *needs);
    needs->memory.alignment = alignment;
    needs->memory.size = align_up(info->size, 16);
    needs->memory.memoryTypeBits = sim->masks[class];
    return class;
}

/*  Of one plane, or of the whole image for plane == PLANE_COUNT. */
static MaskClass image_needs(Sim* sim, const VkImageCreateInfo* info, uint32_t plane,
                             SimRequirements* needs) {
    const VkImageUsageFlags attachment =
        VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT;
    const PlanarRow* planar = planar_row(info->format);
    VkDeviceSize size = 0;
    if (plane < PLANE_COUNT) {
        size = plane_size(info, plane);
    } else {
        for (uint32_t i = 0; i < (planar != NULL ? planar->count : 1u); i++) {
            size += plane_size(info, i);
        }
    }
    bool target = (info->usage & attachment) != 0;
    VkDeviceSize alignment = size > 64 * 1024 ? 4096 : 1024;
    if (target && size >= 1024 * 1024) {
        alignment = 65536;
    }
    if (info->tiling == VK_IMAGE_TILING_LINEAR) {
        alignment = 256;
    }
    MaskClass class = image_class(info);
    memset(needs, 0, sizeof *needs);
    needs->memory.alignment = alignment;
    needs->memory.size = align_up(size, alignment);
    needs->memory.memoryTypeBits = sim->masks[class];
    needs->prefersDedicated = target && needs->memory.size >= 16 * 1024 * 1024;
    return class;
}

static void call_needs_hook(Sim* sim, const VkBufferCreateInfo* buffer,
                            const VkImageCreateInfo* image, SimRequirements* needs) {
    if (sim->needsHook != NULL) {
        sim->needsHook(sim->pNeedsUser, buffer, image, needs);
    }
}

/*  Encoded handles: bit 63 set, size / 16 in bits 0..39, log2 of the alignment in 40..45,
    MaskClass in 46..49, prefersDedicated in 50. */
#define ENCODED_BIT ((uint64_t)1 << 63)

static bool is_encoded(uint64_t handle) {
    return (handle & ENCODED_BIT) != 0;
}

static bool may_encode(Sim* sim, const SimRequirements* needs) {
    return !sim->options.checks && !sim->options.backing && sim->needsHook == NULL &&
           needs->memory.size / 16 < (uint64_t)1 << 40;
}

static uint64_t encode(const SimRequirements* needs, MaskClass class) {
    uint64_t shift = (uint64_t)__builtin_ctzll(needs->memory.alignment);
    return ENCODED_BIT | needs->memory.size / 16 | shift << 40 | (uint64_t) class << 46 |
           (uint64_t)needs->prefersDedicated << 50;
}

static void decode(Sim* sim, uint64_t handle, SimRequirements* needs) {
    needs->memory.size = (handle & (((uint64_t)1 << 40) - 1)) * 16;
    needs->memory.alignment = (VkDeviceSize)1 << (handle >> 40 & 63);
    needs->memory.memoryTypeBits = sim->masks[handle >> 46 & 15];
    needs->prefersDedicated = (handle >> 50 & 1) != 0;
    needs->requiresDedicated = false;
}

/* ------------------------------------------------------------------ physical device */

static void fill_limits(Sim* sim, VkPhysicalDeviceLimits* limits) {
    const SimProfile* p = &sim->profile;
    memset(limits, 0, sizeof *limits);
    limits->maxImageDimension1D = 16384;
    limits->maxImageDimension2D = 16384;
    limits->maxImageDimension3D = 2048;
    limits->maxImageDimensionCube = 16384;
    limits->maxImageArrayLayers = 2048;
    limits->maxTexelBufferElements = 1u << 27;
    limits->maxUniformBufferRange = 65536;
    limits->maxStorageBufferRange = UINT32_MAX;
    limits->maxPushConstantsSize = 256;
    limits->maxMemoryAllocationCount = p->maxMemoryAllocationCount;
    limits->maxSamplerAllocationCount = 4000;
    limits->bufferImageGranularity = p->bufferImageGranularity;
    limits->maxBoundDescriptorSets = 32;
    limits->minMemoryMapAlignment = (size_t)p->minMemoryMapAlignment;
    limits->minTexelBufferOffsetAlignment = 16;
    limits->minUniformBufferOffsetAlignment = 256;
    limits->minStorageBufferOffsetAlignment = 64;
    limits->optimalBufferCopyOffsetAlignment = 1;
    limits->optimalBufferCopyRowPitchAlignment = 1;
    limits->nonCoherentAtomSize = p->nonCoherentAtomSize;
    limits->timestampPeriod = 1.0f;
}

static void fill_properties(Sim* sim, VkPhysicalDeviceProperties* properties) {
    static const struct {
        const char* prefix;
        uint32_t vendor;
    } vendors[] = {
        {"nv",     0x10DE           },
        {"amd",    0x1002           },
        {"radv",   0x1002           },
        {"anv",    0x8086           },
        {"intel",  0x8086           },
        {"mali",   0x13B5           },
        {"adreno", 0x5143           },
        {"turnip", 0x5143           },
        {"power",  0x1010           },
        {"molten", 0x106B           },
        {"honey",  0x106B           },
        {"v3dv",   0x14E4           },
        {"swift",  0x1AE0           },
        {"lava",   VK_VENDOR_ID_MESA},
    };
    memset(properties, 0, sizeof *properties);
    properties->apiVersion = sim->options.apiVersion;
    properties->driverVersion = 1;
    for (size_t i = 0; i < sizeof vendors / sizeof vendors[0]; i++) {
        if (strncmp(sim->profile.name, vendors[i].prefix, strlen(vendors[i].prefix)) == 0) {
            properties->vendorID = vendors[i].vendor;
        }
    }
    properties->deviceType = sim->profile.deviceType;
    (void)snprintf(properties->deviceName, sizeof properties->deviceName, "%s", sim->profile.name);
    fill_limits(sim, &properties->limits);
}

static VKAPI_ATTR void VKAPI_CALL sim_vkGetPhysicalDeviceProperties(
    VkPhysicalDevice physicalDevice, VkPhysicalDeviceProperties* pProperties) {
    Sim* sim = sim_of(physicalDevice);
    (void)enter(sim, SIM_CALL_GET_PHYSICAL_DEVICE_PROPERTIES);
    fill_properties(sim, pProperties);
}

static VkDeviceSize max_allocation_size(Sim* sim) {
    VkDeviceSize size = sim->profile.maxMemoryAllocationSize;
    return size != 0 ? size : DEFAULT_MAX_ALLOCATION_SIZE;
}

static bool has_maintenance4(Sim* sim) {
    return sim->options.maintenance4 || sim->options.apiVersion >= VK_API_VERSION_1_3;
}

static VKAPI_ATTR void VKAPI_CALL sim_vkGetPhysicalDeviceProperties2(
    VkPhysicalDevice physicalDevice, VkPhysicalDeviceProperties2* pProperties) {
    Sim* sim = sim_of(physicalDevice);
    (void)enter(sim, SIM_CALL_GET_PHYSICAL_DEVICE_PROPERTIES2);
    fill_properties(sim, &pProperties->properties);
    for (VkBaseOutStructure* s = (VkBaseOutStructure*)pProperties->pNext; s != NULL; s = s->pNext) {
        switch (s->sType) {
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES: {
            VkPhysicalDeviceMaintenance3Properties* p = (VkPhysicalDeviceMaintenance3Properties*)s;
            p->maxPerSetDescriptors = 1024;
            p->maxMemoryAllocationSize = max_allocation_size(sim);
            break;
        }
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES: {
            VkPhysicalDeviceVulkan11Properties* p = (VkPhysicalDeviceVulkan11Properties*)s;
            p->maxPerSetDescriptors = 1024;
            p->maxMemoryAllocationSize = max_allocation_size(sim);
            break;
        }
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES:
            if (has_maintenance4(sim)) {
                ((VkPhysicalDeviceMaintenance4Properties*)s)->maxBufferSize = MAX_BUFFER_SIZE;
            }
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES:
            ((VkPhysicalDeviceVulkan13Properties*)s)->maxBufferSize = MAX_BUFFER_SIZE;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES: {
            VkPhysicalDeviceDriverProperties* p = (VkPhysicalDeviceDriverProperties*)s;
            (void)snprintf(p->driverName, sizeof p->driverName, "sim");
            (void)snprintf(p->driverInfo, sizeof p->driverInfo, "%s", sim->profile.name);
            break;
        }
        default: break;
        }
    }
}

static VKAPI_ATTR void VKAPI_CALL sim_vkGetPhysicalDeviceMemoryProperties(
    VkPhysicalDevice physicalDevice, VkPhysicalDeviceMemoryProperties* pMemoryProperties) {
    Sim* sim = sim_of(physicalDevice);
    (void)enter(sim, SIM_CALL_GET_PHYSICAL_DEVICE_MEMORY_PROPERTIES);
    *pMemoryProperties = sim->profile.memory;
}

static void fill_budget(Sim* sim, VkPhysicalDeviceMemoryBudgetPropertiesEXT* budget) {
    lock(sim);
    for (uint32_t i = 0; i < VK_MAX_MEMORY_HEAPS; i++) {
        VkDeviceSize usage = sim->liveBytes[i] + sim->usageOfOthers[i];
        budget->heapBudget[i] = sim->budget[i];
        budget->heapUsage[i] = usage >= sim->liveBytes[i] ? usage : UINT64_MAX;
    }
    unlock(sim);
}

static VKAPI_ATTR void VKAPI_CALL sim_vkGetPhysicalDeviceMemoryProperties2(
    VkPhysicalDevice physicalDevice, VkPhysicalDeviceMemoryProperties2* pMemoryProperties) {
    Sim* sim = sim_of(physicalDevice);
    (void)enter(sim, SIM_CALL_GET_PHYSICAL_DEVICE_MEMORY_PROPERTIES2);
    pMemoryProperties->memoryProperties = sim->profile.memory;
    for (VkBaseOutStructure* s = (VkBaseOutStructure*)pMemoryProperties->pNext; s != NULL;
         s = s->pNext) {
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT &&
            sim->options.memoryBudget) {
            fill_budget(sim, (VkPhysicalDeviceMemoryBudgetPropertiesEXT*)s);
        }
    }
}

static VKAPI_ATTR void VKAPI_CALL sim_vkGetPhysicalDeviceFeatures(
    VkPhysicalDevice physicalDevice, VkPhysicalDeviceFeatures* pFeatures) {
    Sim* sim = sim_of(physicalDevice);
    (void)enter(sim, SIM_CALL_GET_PHYSICAL_DEVICE_FEATURES);
    memset(pFeatures, 0, sizeof *pFeatures);
}

static VKAPI_ATTR void VKAPI_CALL sim_vkGetPhysicalDeviceFeatures2(
    VkPhysicalDevice physicalDevice, VkPhysicalDeviceFeatures2* pFeatures) {
    Sim* sim = sim_of(physicalDevice);
    const SimOptions* o = &sim->options;
    (void)enter(sim, SIM_CALL_GET_PHYSICAL_DEVICE_FEATURES2);
    memset(&pFeatures->features, 0, sizeof pFeatures->features);
    for (VkBaseOutStructure* s = (VkBaseOutStructure*)pFeatures->pNext; s != NULL; s = s->pNext) {
        switch (s->sType) {
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PRIORITY_FEATURES_EXT:
            ((VkPhysicalDeviceMemoryPriorityFeaturesEXT*)s)->memoryPriority = o->memoryPriority;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PAGEABLE_DEVICE_LOCAL_MEMORY_FEATURES_EXT:
            ((VkPhysicalDevicePageableDeviceLocalMemoryFeaturesEXT*)s)->pageableDeviceLocalMemory =
                o->pageableDeviceLocal;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES:
            ((VkPhysicalDeviceBufferDeviceAddressFeatures*)s)->bufferDeviceAddress =
                o->bufferDeviceAddress;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES:
            ((VkPhysicalDeviceVulkan12Features*)s)->bufferDeviceAddress = o->bufferDeviceAddress;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES:
            ((VkPhysicalDeviceMaintenance4Features*)s)->maintenance4 = has_maintenance4(sim);
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES:
            ((VkPhysicalDeviceVulkan13Features*)s)->maintenance4 = VK_TRUE;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COHERENT_MEMORY_FEATURES_AMD:
            ((VkPhysicalDeviceCoherentMemoryFeaturesAMD*)s)->deviceCoherentMemory =
                o->deviceCoherentMemory;
            break;
#ifdef VK_KHR_maintenance5
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_5_FEATURES_KHR:
            ((VkPhysicalDeviceMaintenance5FeaturesKHR*)s)->maintenance5 = o->maintenance5;
            break;
#endif
        default: break;
        }
    }
}

static uint32_t list_extensions(Sim* sim, VkExtensionProperties* list) {
    const SimOptions* o = &sim->options;
    const struct {
        const char* name;
        bool on;
    } extensions[] = {
        {VK_KHR_GET_MEMORY_REQUIREMENTS_2_EXTENSION_NAME,    o->khrNames            },
        {VK_KHR_DEDICATED_ALLOCATION_EXTENSION_NAME,         o->khrNames            },
        {VK_KHR_BIND_MEMORY_2_EXTENSION_NAME,                o->khrNames            },
        {VK_KHR_MAINTENANCE_3_EXTENSION_NAME,                o->khrNames            },
        {VK_EXT_MEMORY_BUDGET_EXTENSION_NAME,                o->memoryBudget        },
        {VK_EXT_MEMORY_PRIORITY_EXTENSION_NAME,              o->memoryPriority      },
        {VK_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_EXTENSION_NAME, o->pageableDeviceLocal },
        {VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME,        o->bufferDeviceAddress },
        {VK_KHR_MAINTENANCE_4_EXTENSION_NAME,                o->maintenance4        },
        {VK_AMD_DEVICE_COHERENT_MEMORY_EXTENSION_NAME,       o->deviceCoherentMemory},
#ifdef VK_KHR_maintenance5
        {VK_KHR_MAINTENANCE_5_EXTENSION_NAME,                o->maintenance5        },
#endif
    };
    uint32_t used = 0;
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++) {
        if (extensions[i].on) {
            if (list != NULL) {
                memset(&list[used], 0, sizeof list[used]);
                (void)snprintf(list[used].extensionName, sizeof list[used].extensionName, "%s",
                               extensions[i].name);
                list[used].specVersion = 1;
            }
            used++;
        }
    }
    return used;
}

static VKAPI_ATTR VkResult VKAPI_CALL sim_vkEnumerateDeviceExtensionProperties(
    VkPhysicalDevice physicalDevice, const char* pLayerName, uint32_t* pPropertyCount,
    VkExtensionProperties* pProperties) {
    Sim* sim = sim_of(physicalDevice);
    VkResult result = enter(sim, SIM_CALL_ENUMERATE_DEVICE_EXTENSION_PROPERTIES);
    if (result != VK_SUCCESS) {
        return result;
    }
    VkExtensionProperties all[32];
    uint32_t available = pLayerName == NULL ? list_extensions(sim, all) : 0;
    if (pProperties == NULL) {
        *pPropertyCount = available;
        return VK_SUCCESS;
    }
    if (*pPropertyCount < available) {
        result = VK_INCOMPLETE;
    } else {
        *pPropertyCount = available;
    }
    memcpy(pProperties, all, *pPropertyCount * sizeof *pProperties);
    return result;
}

/* ------------------------------------------------------------------ memory */

static bool check_dedicated(Sim* sim, const VkMemoryDedicatedAllocateInfo* dedicated,
                            VkDeviceSize size) {
    const SimCall call = SIM_CALL_ALLOCATE_MEMORY;
    if (dedicated->buffer != VK_NULL_HANDLE && dedicated->image != VK_NULL_HANDLE) {
        report(sim, call, "VkMemoryDedicatedAllocateInfo names a buffer and an image");
        return false;
    }
    const Resource* r = dedicated->buffer != VK_NULL_HANDLE
                            ? find_resource(sim, SIM_HANDLE(dedicated->buffer), KIND_BUFFER)
                            : find_resource(sim, SIM_HANDLE(dedicated->image), KIND_IMAGE);
    if (r == NULL) {
        report(sim, call, "VkMemoryDedicatedAllocateInfo names no live buffer or image");
    } else if (r->memory != 0) {
        report(sim, call, "VkMemoryDedicatedAllocateInfo names a resource that is already bound");
    } else if (r->disjoint) {
        report(sim, call, "VkMemoryDedicatedAllocateInfo names a disjoint image");
    } else if (r->needs.memory.size != size) {
        report(sim, call, "dedicated allocation of %llu bytes for a resource that needs %llu",
               ULL(size), ULL(r->needs.memory.size));
    } else {
        return true;
    }
    return false;
}

/*  Fill `info` from the request and its chain; false if the caller erred. */
static bool read_allocate_info(Sim* sim, const VkMemoryAllocateInfo* request, SimMemoryInfo* info,
                               void** pHostPointer) {
    const SimCall call = SIM_CALL_ALLOCATE_MEMORY;
    bool bad = false;
    memset(info, 0, sizeof *info);
    info->size = request->allocationSize;
    info->memoryTypeIndex = request->memoryTypeIndex;
    *pHostPointer = NULL;
    for (const VkBaseInStructure* s = (const VkBaseInStructure*)request->pNext; s != NULL;
         s = s->pNext) {
        switch ((uint32_t)s->sType) {
        case VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO: {
            const VkMemoryDedicatedAllocateInfo* p =
                (const VkMemoryDedicatedAllocateInfo*)(const void*)s;
            info->dedicatedBuffer = p->buffer;
            info->dedicatedImage = p->image;
            if (sim->options.checks &&
                (p->buffer != VK_NULL_HANDLE || p->image != VK_NULL_HANDLE) &&
                !check_dedicated(sim, p, request->allocationSize)) {
                bad = true;
            }
            break;
        }
        case VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO: {
            const VkMemoryAllocateFlagsInfo* p = (const VkMemoryAllocateFlagsInfo*)(const void*)s;
            info->flags = p->flags;
            info->deviceMask = p->deviceMask;
            if ((p->flags & VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT) != 0 &&
                !sim->options.bufferDeviceAddress) {
                report(sim, call, "VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT without the feature");
                bad = true;
            }
            break;
        }
        case VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT: {
            const VkMemoryPriorityAllocateInfoEXT* p =
                (const VkMemoryPriorityAllocateInfoEXT*)(const void*)s;
            info->hasPriority = true;
            info->priority = p->priority;
            if (!sim->options.memoryPriority) {
                report(sim, call, "VkMemoryPriorityAllocateInfoEXT without the extension");
                bad = true;
            } else if (!(p->priority >= 0.0f && p->priority <= 1.0f)) {
                report(sim, call, "priority %g is not in 0..1", (double)p->priority);
                bad = true;
            }
            break;
        }
        case VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO:
            info->exportTypes = ((const VkExportMemoryAllocateInfo*)(const void*)s)->handleTypes;
            break;
        case VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT:
            info->imported = true;
            *pHostPointer = ((const VkImportMemoryHostPointerInfoEXT*)(const void*)s)->pHostPointer;
            break;
        case VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR: info->imported = true; break;
        default: break;
        }
    }
    return !bad;
}

/*  The limits that hold for every allocation, whether or not callers are checked. */
static VkResult check_limits(Sim* sim, const VkMemoryAllocateInfo* request) {
    const SimCall call = SIM_CALL_ALLOCATE_MEMORY;
    const VkPhysicalDeviceMemoryProperties* memory = &sim->profile.memory;
    VkDeviceSize size = request->allocationSize;
    if (request->memoryTypeIndex >= memory->memoryTypeCount) {
        report(sim, call, "memoryTypeIndex %u of %u", request->memoryTypeIndex,
               memory->memoryTypeCount);
        return INVALID;
    }
    if (size == 0) {
        report(sim, call, "allocationSize is 0");
        return INVALID;
    }
    uint32_t heap = memory->memoryTypes[request->memoryTypeIndex].heapIndex;
    if (sim->liveCount >= sim->profile.maxMemoryAllocationCount) {
        report(sim, call, "more than maxMemoryAllocationCount = %u",
               sim->profile.maxMemoryAllocationCount);
        return VK_ERROR_TOO_MANY_OBJECTS;
    }
    if (size > max_allocation_size(sim)) {
        report(sim, call, "%llu bytes exceed maxMemoryAllocationSize = %llu", ULL(size),
               ULL(max_allocation_size(sim)));
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    if (size > memory->memoryHeaps[heap].size) {
        report(sim, call, "%llu bytes from heap %u, which has %llu", ULL(size), heap,
               ULL(memory->memoryHeaps[heap].size));
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    if (size > sim->failAbove) {
        return sim->failAboveResult;
    }
    VkDeviceSize limit = min_size(memory->memoryHeaps[heap].size, sim->heapLimit[heap]);
    if (limit < size || sim->liveBytes[heap] > limit - size) {
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    return VK_SUCCESS;
}

static VkResult check_type(Sim* sim, uint32_t type) {
    VkMemoryPropertyFlags flags = sim->profile.memory.memoryTypes[type].propertyFlags;
    if ((flags & AMD_COHERENT_BITS) != 0 && !sim->options.deviceCoherentMemory) {
        report(sim, SIM_CALL_ALLOCATE_MEMORY, "type %u is DEVICE_COHERENT_AMD without the feature",
               type);
        return sim->options.checks ? INVALID : VK_SUCCESS;
    }
    if ((flags & VK_MEMORY_PROPERTY_PROTECTED_BIT) != 0) {
        report(sim, SIM_CALL_ALLOCATE_MEMORY, "type %u is PROTECTED without the feature", type);
        return sim->options.checks ? INVALID : VK_SUCCESS;
    }
    return VK_SUCCESS;
}

static void account_allocation(Sim* sim, uint32_t heap, VkDeviceSize size) {
    sim->liveCount++;
    sim->liveTotal += size;
    sim->liveBytes[heap] += size;
    sim->peakCount = sim->liveCount > sim->peakCount ? sim->liveCount : sim->peakCount;
    sim->peakTotal = max_size(sim->peakTotal, sim->liveTotal);
    sim->peakBytes[heap] = max_size(sim->peakBytes[heap], sim->liveBytes[heap]);
}

static uint64_t take_va(Sim* sim, VkDeviceSize size) {
    VkDeviceSize step = align_up(size, VA_STEP);
    if (sim->nextVa + step > VA_LAST) {
        sim->nextVa =
            VA_FIRST; /* 48 TiB later the first addresses are free, or a test leaks a lot */
    }
    uint64_t va = sim->nextVa;
    sim->nextVa += step;
    return va;
}

static VkResult allocate_locked(Sim* sim, const VkMemoryAllocateInfo* request, bool hasAllocator,
                                VkDeviceMemory* pMemory) {
    if (request->sType != VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO) {
        report(sim, SIM_CALL_ALLOCATE_MEMORY, "wrong sType");
        return INVALID;
    }
    VkResult result = check_limits(sim, request);
    if (result == VK_SUCCESS) {
        result = check_type(sim, request->memoryTypeIndex);
    }
    if (result != VK_SUCCESS) {
        return result;
    }
    SimMemoryInfo info;
    void* hostPointer;
    if (!read_allocate_info(sim, request, &info, &hostPointer) && sim->options.checks) {
        return INVALID;
    }
    uint32_t node = take_slot(sim, KIND_MEMORY);
    if (node == 0) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    Object* object = object_at(sim, node - 1);
    object->hasAllocator = hasAllocator;
    object->as.memory.info = info;
    object->as.memory.bytes = (uint8_t*)hostPointer;
    object->as.memory.va = take_va(sim, info.size);
    account_allocation(sim, sim->profile.memory.memoryTypes[info.memoryTypeIndex].heapIndex,
                       info.size);
    *pMemory = MAKE_HANDLE(VkDeviceMemory, handle_of(sim, node - 1));
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL
sim_vkAllocateMemory(VkDevice device, const VkMemoryAllocateInfo* pAllocateInfo,
                     const VkAllocationCallbacks* pAllocator, VkDeviceMemory* pMemory) {
    Sim* sim = sim_of(device);
    *pMemory = VK_NULL_HANDLE;
    VkResult result = enter(sim, SIM_CALL_ALLOCATE_MEMORY);
    if (result != VK_SUCCESS) {
        return result;
    }
    lock(sim);
    result = allocate_locked(sim, pAllocateInfo, pAllocator != NULL, pMemory);
    unlock(sim);
    return result;
}

static void check_allocator(Sim* sim, SimCall call, const Object* object,
                            const VkAllocationCallbacks* pAllocator) {
    if (object->hasAllocator != (pAllocator != NULL)) {
        report(sim, call, "VkAllocationCallbacks were %s when the object was created",
               object->hasAllocator ? "given" : "not given");
    }
}

static void free_locked(Sim* sim, uint64_t handle, const VkAllocationCallbacks* pAllocator) {
    const SimCall call = SIM_CALL_FREE_MEMORY;
    Object* object = find(sim, handle, KIND_MEMORY);
    if (object == NULL) {
        report(sim, call, "no live memory of this device: %#llx", ULL(handle));
        return;
    }
    Memory* memory = &object->as.memory;
    check_allocator(sim, call, object, pAllocator);
    if (memory->info.boundCount != 0) {
        report(sim, call, "%u live resource(s) are still bound to the memory",
               memory->info.boundCount);
    }
    if (memory->reserved != NULL) {
        (void)munmap(memory->reserved, memory->reservedSize);
    }
    uint32_t heap = sim->profile.memory.memoryTypes[memory->info.memoryTypeIndex].heapIndex;
    sim->liveCount--;
    sim->liveTotal -= memory->info.size;
    sim->liveBytes[heap] -= memory->info.size;
    give_slot(sim, slot_of(handle));
}

static VKAPI_ATTR void VKAPI_CALL sim_vkFreeMemory(VkDevice device, VkDeviceMemory memory,
                                                   const VkAllocationCallbacks* pAllocator) {
    Sim* sim = sim_of(device);
    bool mine = begin_exclusive(sim, SIM_CALL_FREE_MEMORY, memory);
    (void)enter(sim, SIM_CALL_FREE_MEMORY);
    if (memory != VK_NULL_HANDLE) {
        lock(sim);
        free_locked(sim, SIM_HANDLE(memory), pAllocator);
        unlock(sim);
    }
    end_exclusive(sim, memory, mine);
}

/*  The bytes behind a memory, reserved when first asked for; NULL when the host has no room. */
static uint8_t* memory_bytes(Sim* sim, Memory* memory) {
    if (memory->bytes == NULL) {
        VkDeviceSize alignment = max_size(sim->profile.minMemoryMapAlignment, 4096);
        if (memory->info.size > SIZE_MAX - alignment) {
            return NULL;
        }
        size_t size = (size_t)(memory->info.size + alignment);
        void* reserved = mmap(NULL, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (reserved == MAP_FAILED) {
            return NULL;
        }
        memory->reserved = reserved;
        memory->reservedSize = size;
        memory->bytes =
            (uint8_t*)reserved + (alignment - (uintptr_t)reserved % alignment) % alignment;
    }
    return memory->bytes;
}

static VkResult map_locked(Sim* sim, uint64_t handle, VkDeviceSize offset, VkDeviceSize size,
                           void** ppData) {
    const SimCall call = SIM_CALL_MAP_MEMORY;
    Memory* memory = find_memory(sim, handle);
    if (memory == NULL) {
        report(sim, call, "no live memory of this device: %#llx", ULL(handle));
        return INVALID;
    }
    SimMemoryInfo* info = &memory->info;
    if (sim->options.checks) {
        VkMemoryPropertyFlags flags =
            sim->profile.memory.memoryTypes[info->memoryTypeIndex].propertyFlags;
        if ((flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) == 0) {
            report(sim, call, "memory of type %u is not HOST_VISIBLE", info->memoryTypeIndex);
            return INVALID;
        }
        if (info->mapped) {
            report(sim, call, "the memory is already mapped");
            return INVALID;
        }
        if (size == 0 || offset >= info->size ||
            (size != VK_WHOLE_SIZE && size > info->size - offset)) {
            report(sim, call, "offset %llu, size %llu of a memory of %llu bytes", ULL(offset),
                   ULL(size), ULL(info->size));
            return INVALID;
        }
    }
    if (sim->options.backing || info->imported) {
        uint8_t* bytes = memory_bytes(sim, memory);
        if (bytes == NULL) {
            return VK_ERROR_MEMORY_MAP_FAILED;
        }
        *ppData = bytes + offset;
    } else {
        *ppData = (void*)(uintptr_t)(memory->va + offset);
    }
    info->mapped = true;
    info->mapOffset = offset;
    info->mapSize = size != VK_WHOLE_SIZE ? size : info->size - offset;
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL sim_vkMapMemory(VkDevice device, VkDeviceMemory memory,
                                                      VkDeviceSize offset, VkDeviceSize size,
                                                      VkMemoryMapFlags flags, void** ppData) {
    Sim* sim = sim_of(device);
    *ppData = NULL;
    (void)flags;
    bool mine = begin_exclusive(sim, SIM_CALL_MAP_MEMORY, memory);
    VkResult result = enter(sim, SIM_CALL_MAP_MEMORY);
    if (result == VK_SUCCESS) {
        lock(sim);
        result = map_locked(sim, SIM_HANDLE(memory), offset, size, ppData);
        unlock(sim);
    }
    end_exclusive(sim, memory, mine);
    return result;
}

static VKAPI_ATTR void VKAPI_CALL sim_vkUnmapMemory(VkDevice device, VkDeviceMemory memory) {
    Sim* sim = sim_of(device);
    bool mine = begin_exclusive(sim, SIM_CALL_UNMAP_MEMORY, memory);
    (void)enter(sim, SIM_CALL_UNMAP_MEMORY);
    lock(sim);
    Memory* m = find_memory(sim, SIM_HANDLE(memory));
    if (m == NULL) {
        report(sim, SIM_CALL_UNMAP_MEMORY, "no live memory of this device: %#llx",
               ULL(SIM_HANDLE(memory)));
    } else if (!m->info.mapped) {
        report(sim, SIM_CALL_UNMAP_MEMORY, "the memory is not mapped");
    } else {
        m->info.mapped = false;
    }
    unlock(sim);
    end_exclusive(sim, memory, mine);
}

static bool check_range(Sim* sim, SimCall call, const VkMappedMemoryRange* range) {
    const SimMemoryInfo* info;
    const Memory* memory = find_memory(sim, SIM_HANDLE(range->memory));
    VkDeviceSize atom = sim->profile.nonCoherentAtomSize;
    const char* wrong = NULL;
    if (range->sType != VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE) {
        report(sim, call, "wrong sType");
        return false;
    }
    if (memory == NULL) {
        report(sim, call, "no live memory of this device: %#llx", ULL(SIM_HANDLE(range->memory)));
        return false;
    }
    info = &memory->info;
    if (!info->mapped) {
        report(sim, call, "the memory is not mapped");
        return false;
    }
    VkDeviceSize mapEnd = info->mapOffset + info->mapSize;
    VkDeviceSize size = range->size;
    if (range->offset < info->mapOffset || range->offset >= mapEnd || size == 0) {
        wrong = "the range is empty or begins outside of what is mapped";
    } else if (size != VK_WHOLE_SIZE && size > mapEnd - range->offset) {
        wrong = "the range ends outside of what is mapped";
    } else if (range->offset % atom != 0) {
        wrong = "the offset is no multiple of nonCoherentAtomSize";
    } else {
        VkDeviceSize end = size != VK_WHOLE_SIZE ? range->offset + size : mapEnd;
        if (end % atom != 0 && end != info->size) {
            wrong =
                "the end is neither a multiple of nonCoherentAtomSize nor the end of the memory";
        }
    }
    if (wrong != NULL) {
        report(sim, call, "%s (offset %llu, size %llu, memory %llu, atom %llu)", wrong,
               ULL(range->offset), ULL(size), ULL(info->size), ULL(atom));
    }
    return wrong == NULL;
}

static VkResult sync_ranges(Sim* sim, SimCall call, uint32_t rangeCount,
                            const VkMappedMemoryRange* ranges) {
    VkResult result = enter(sim, call);
    if (result != VK_SUCCESS) {
        return result;
    }
    lock(sim);
    if (rangeCount == 0) {
        report(sim, call, "memoryRangeCount is 0");
        result = INVALID;
    }
    for (uint32_t i = 0; i < rangeCount; i++) {
        if (sim->options.checks && !check_range(sim, call, &ranges[i])) {
            result = INVALID;
            continue;
        }
        Memory* memory = find_memory(sim, SIM_HANDLE(ranges[i].memory));
        if (memory != NULL) {
            bool flush = call == SIM_CALL_FLUSH_MAPPED_MEMORY_RANGES;
            *(flush ? &memory->info.lastFlush : &memory->info.lastInvalidate) = ranges[i];
        }
    }
    unlock(sim);
    return sim->options.checks ? result : VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL sim_vkFlushMappedMemoryRanges(
    VkDevice device, uint32_t memoryRangeCount, const VkMappedMemoryRange* pMemoryRanges) {
    return sync_ranges(sim_of(device), SIM_CALL_FLUSH_MAPPED_MEMORY_RANGES, memoryRangeCount,
                       pMemoryRanges);
}

static VKAPI_ATTR VkResult VKAPI_CALL sim_vkInvalidateMappedMemoryRanges(
    VkDevice device, uint32_t memoryRangeCount, const VkMappedMemoryRange* pMemoryRanges) {
    return sync_ranges(sim_of(device), SIM_CALL_INVALIDATE_MAPPED_MEMORY_RANGES, memoryRangeCount,
                       pMemoryRanges);
}

static VKAPI_ATTR void VKAPI_CALL sim_vkSetDeviceMemoryPriorityEXT(VkDevice device,
                                                                   VkDeviceMemory memory,
                                                                   float priority) {
    const SimCall call = SIM_CALL_SET_DEVICE_MEMORY_PRIORITY;
    Sim* sim = sim_of(device);
    (void)enter(sim, call);
    lock(sim);
    Memory* m = find_memory(sim, SIM_HANDLE(memory));
    if (m == NULL) {
        report(sim, call, "no live memory of this device: %#llx", ULL(SIM_HANDLE(memory)));
    } else if (!(priority >= 0.0f && priority <= 1.0f)) {
        report(sim, call, "priority %g is not in 0..1", (double)priority);
    } else {
        m->info.hasPriority = true;
        m->info.priority = priority;
    }
    unlock(sim);
}

static VKAPI_ATTR uint64_t VKAPI_CALL sim_vkGetDeviceMemoryOpaqueCaptureAddress(
    VkDevice device, const VkDeviceMemoryOpaqueCaptureAddressInfo* pInfo) {
    Sim* sim = sim_of(device);
    (void)enter(sim, SIM_CALL_GET_DEVICE_MEMORY_OPAQUE_CAPTURE_ADDRESS);
    lock(sim);
    const Memory* memory = find_memory(sim, SIM_HANDLE(pInfo->memory));
    uint64_t va = memory != NULL ? memory->va : 0;
    if (memory == NULL) {
        report(sim, SIM_CALL_GET_DEVICE_MEMORY_OPAQUE_CAPTURE_ADDRESS,
               "no live memory of this device: %#llx", ULL(SIM_HANDLE(pInfo->memory)));
    }
    unlock(sim);
    return va;
}

/* ------------------------------------------------------------------ buffers and images */

static const char* wrong_buffer_info(const VkBufferCreateInfo* info) {
    if (info->sType != VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO) {
        return "wrong sType";
    }
    if (info->size == 0) {
        return "size is 0";
    }
    return buffer_usage(info) == 0 ? "usage is 0" : NULL;
}

static const char* wrong_image_info(const VkImageCreateInfo* info) {
    if (info->sType != VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO) {
        return "wrong sType";
    }
    if (info->extent.width == 0 || info->extent.height == 0 || info->extent.depth == 0) {
        return "an extent is 0";
    }
    if (info->mipLevels == 0 || info->arrayLayers == 0 || info->samples == 0) {
        return "mipLevels, arrayLayers or samples is 0";
    }
    if (info->usage == 0) {
        return "usage is 0";
    }
    if ((info->flags & VK_IMAGE_CREATE_DISJOINT_BIT) != 0 && planar_row(info->format) == NULL) {
        return "DISJOINT with a format of one plane";
    }
    return NULL;
}

/*  Report what is wrong with a create info, if anything; true = go on. */
static bool accept_info(Sim* sim, SimCall call, const char* wrong) {
    if (wrong == NULL || !sim->options.checks) {
        return true;
    }
    lock(sim);
    report(sim, call, "%s", wrong);
    unlock(sim);
    return false;
}

/*  Put a resource into the table; the handle, or 0 when host memory is out. */
static uint64_t add_resource(Sim* sim, ObjectKind kind, const Resource* resource,
                             bool hasAllocator) {
    uint32_t node = take_slot(sim, kind);
    if (node == 0) {
        return 0;
    }
    Object* object = object_at(sim, node - 1);
    object->hasAllocator = hasAllocator;
    object->as.resource = *resource;
    return handle_of(sim, node - 1);
}

static VKAPI_ATTR VkResult VKAPI_CALL sim_vkCreateBuffer(VkDevice device,
                                                         const VkBufferCreateInfo* pCreateInfo,
                                                         const VkAllocationCallbacks* pAllocator,
                                                         VkBuffer* pBuffer) {
    const SimCall call = SIM_CALL_CREATE_BUFFER;
    Sim* sim = sim_of(device);
    *pBuffer = VK_NULL_HANDLE;
    VkResult result = enter(sim, call);
    if (result != VK_SUCCESS) {
        return result;
    }
    if (sim->options.checks && !accept_info(sim, call, wrong_buffer_info(pCreateInfo))) {
        return INVALID;
    }
    if (pCreateInfo->size > (VkDeviceSize)1 << 62) {
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    SimRequirements needs;
    MaskClass class = buffer_needs(sim, pCreateInfo, &needs);
    VkBufferUsageFlags usage = buffer_usage(pCreateInfo);
    if (may_encode(sim, &needs) && (usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) == 0) {
        count(sim, COUNTER_BORN);
        *pBuffer = MAKE_HANDLE(VkBuffer, encode(&needs, class));
        return VK_SUCCESS;
    }
    call_needs_hook(sim, pCreateInfo, NULL, &needs);
    Resource resource;
    memset(&resource, 0, sizeof resource);
    resource.needs = needs;
    resource.size = pCreateInfo->size;
    resource.usage = usage;
    resource.linear = true;
    resource.sparse = (pCreateInfo->flags & VK_BUFFER_CREATE_SPARSE_BINDING_BIT) != 0;
    lock(sim);
    if ((usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0 &&
        !sim->options.bufferDeviceAddress && sim->options.checks) {
        report(sim, call, "VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT without the feature");
        result = INVALID;
    } else {
        uint64_t handle = add_resource(sim, KIND_BUFFER, &resource, pAllocator != NULL);
        sim->liveResources += handle != 0;
        *pBuffer = MAKE_HANDLE(VkBuffer, handle);
        result = handle != 0 ? VK_SUCCESS : VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    unlock(sim);
    return result;
}

/*  The planes of a disjoint image are resources of their own. */
static bool add_planes(Sim* sim, const VkImageCreateInfo* info, Resource* image) {
    const PlanarRow* planar = planar_row(info->format);
    for (uint32_t i = 0; planar != NULL && i < planar->count; i++) {
        Resource plane = *image;
        memset(plane.planes, 0, sizeof plane.planes);
        plane.disjoint = false;
        (void)image_needs(sim, info, i, &plane.needs);
        uint64_t handle = add_resource(sim, KIND_PLANE, &plane, false);
        if (handle == 0) {
            return false;
        }
        image->planes[i] = slot_of(handle) + 1;
    }
    return true;
}

static void drop_planes(Sim* sim, const Resource* image) {
    for (uint32_t i = 0; i < PLANE_COUNT; i++) {
        if (image->planes[i] != 0) {
            give_slot(sim, image->planes[i] - 1);
        }
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL sim_vkCreateImage(VkDevice device,
                                                        const VkImageCreateInfo* pCreateInfo,
                                                        const VkAllocationCallbacks* pAllocator,
                                                        VkImage* pImage) {
    const SimCall call = SIM_CALL_CREATE_IMAGE;
    Sim* sim = sim_of(device);
    *pImage = VK_NULL_HANDLE;
    VkResult result = enter(sim, call);
    if (result != VK_SUCCESS) {
        return result;
    }
    if (sim->options.checks && !accept_info(sim, call, wrong_image_info(pCreateInfo))) {
        return INVALID;
    }
    SimRequirements needs;
    MaskClass class = image_needs(sim, pCreateInfo, PLANE_COUNT, &needs);
    bool disjoint = (pCreateInfo->flags & VK_IMAGE_CREATE_DISJOINT_BIT) != 0;
    if (may_encode(sim, &needs) && !disjoint) {
        count(sim, COUNTER_BORN);
        *pImage = MAKE_HANDLE(VkImage, encode(&needs, class));
        return VK_SUCCESS;
    }
    call_needs_hook(sim, NULL, pCreateInfo, &needs);
    Resource resource;
    memset(&resource, 0, sizeof resource);
    resource.needs = needs;
    resource.usage = pCreateInfo->usage;
    resource.extent = pCreateInfo->extent;
    resource.mipLevels = pCreateInfo->mipLevels;
    resource.arrayLayers = pCreateInfo->arrayLayers;
    resource.layout = pCreateInfo->initialLayout;
    resource.linear = pCreateInfo->tiling == VK_IMAGE_TILING_LINEAR;
    resource.sparse = (pCreateInfo->flags & VK_IMAGE_CREATE_SPARSE_BINDING_BIT) != 0;
    resource.disjoint = disjoint;
    lock(sim);
    uint64_t handle = 0;
    if (!disjoint || add_planes(sim, pCreateInfo, &resource)) {
        handle = add_resource(sim, KIND_IMAGE, &resource, pAllocator != NULL);
    }
    if (handle == 0) {
        drop_planes(sim, &resource);
    }
    sim->liveResources += handle != 0;
    unlock(sim);
    *pImage = MAKE_HANDLE(VkImage, handle);
    return handle != 0 ? VK_SUCCESS : VK_ERROR_OUT_OF_HOST_MEMORY;
}

static void unbind(Sim* sim, uint32_t slot) {
    Resource* resource = resource_at(sim, slot);
    Memory* memory = find_memory(sim, resource->memory);
    if (memory != NULL && sim->options.checks) {
        uint32_t* root = tree_of(memory, resource);
        *root = tree_remove(sim, *root, slot + 1);
        memory->info.boundCount--;
    }
    resource->memory = 0;
}

static void destroy_resource(Sim* sim, SimCall call, uint64_t handle, ObjectKind kind,
                             const VkAllocationCallbacks* pAllocator) {
    (void)enter(sim, call);
    if (handle == 0) {
        return;
    }
    if (is_encoded(handle)) {
        count(sim, COUNTER_DIED);
        return;
    }
    lock(sim);
    Object* object = find(sim, handle, kind);
    if (object == NULL) {
        report(sim, call, "no live object of this device: %#llx", ULL(handle));
    } else {
        check_allocator(sim, call, object, pAllocator);
        for (uint32_t i = 0; i < PLANE_COUNT; i++) {
            if (object->as.resource.planes[i] != 0) {
                unbind(sim, object->as.resource.planes[i] - 1);
            }
        }
        drop_planes(sim, &object->as.resource);
        unbind(sim, slot_of(handle));
        give_slot(sim, slot_of(handle));
        sim->liveResources--;
    }
    unlock(sim);
}

static VKAPI_ATTR void VKAPI_CALL sim_vkDestroyBuffer(VkDevice device, VkBuffer buffer,
                                                      const VkAllocationCallbacks* pAllocator) {
    destroy_resource(sim_of(device), SIM_CALL_DESTROY_BUFFER, SIM_HANDLE(buffer), KIND_BUFFER,
                     pAllocator);
}

static VKAPI_ATTR void VKAPI_CALL sim_vkDestroyImage(VkDevice device, VkImage image,
                                                     const VkAllocationCallbacks* pAllocator) {
    destroy_resource(sim_of(device), SIM_CALL_DESTROY_IMAGE, SIM_HANDLE(image), KIND_IMAGE,
                     pAllocator);
}

static uint32_t plane_index(VkImageAspectFlags aspect) {
    if (aspect == VK_IMAGE_ASPECT_PLANE_2_BIT) {
        return 2;
    }
    return aspect == VK_IMAGE_ASPECT_PLANE_1_BIT ? 1 : 0;
}

/*  The resource that a plane aspect of an image means: the image itself for aspect 0. NULL
    after a report. */
static Resource* pick_plane(Sim* sim, SimCall call, Resource* image, VkImageAspectFlags aspect) {
    uint32_t plane = plane_index(aspect);
    if (image->disjoint != (aspect != 0)) {
        report(sim, call,
               image->disjoint ? "a disjoint image needs a plane"
                               : "plane of an image that is not disjoint");
        return NULL;
    }
    if (!image->disjoint) {
        return image;
    }
    if (image->planes[plane] == 0) {
        report(sim, call, "the image has no plane %u", plane);
        return NULL;
    }
    return resource_at(sim, image->planes[plane] - 1);
}

static void get_needs(Sim* sim, SimCall call, uint64_t handle, ObjectKind kind,
                      VkImageAspectFlags aspect, SimRequirements* needs) {
    (void)enter(sim, call);
    if (is_encoded(handle)) {
        decode(sim, handle, needs);
        return;
    }
    memset(needs, 0, sizeof *needs);
    lock(sim);
    Resource* resource = find_resource(sim, handle, kind);
    if (resource == NULL) {
        report(sim, call, "no live object of this device: %#llx", ULL(handle));
    } else {
        resource = pick_plane(sim, call, resource, aspect);
    }
    if (resource != NULL) {
        *needs = resource->needs;
    }
    unlock(sim);
}

static void put_needs(const SimRequirements* needs, VkMemoryRequirements2* pRequirements) {
    pRequirements->memoryRequirements = needs->memory;
    for (VkBaseOutStructure* s = (VkBaseOutStructure*)pRequirements->pNext; s != NULL;
         s = s->pNext) {
        if (s->sType == VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS) {
            VkMemoryDedicatedRequirements* dedicated = (VkMemoryDedicatedRequirements*)s;
            dedicated->requiresDedicatedAllocation = needs->requiresDedicated;
            dedicated->prefersDedicatedAllocation =
                needs->prefersDedicated || needs->requiresDedicated;
        }
    }
}

static VKAPI_ATTR void VKAPI_CALL sim_vkGetBufferMemoryRequirements(
    VkDevice device, VkBuffer buffer, VkMemoryRequirements* pMemoryRequirements) {
    SimRequirements needs;
    get_needs(sim_of(device), SIM_CALL_GET_BUFFER_MEMORY_REQUIREMENTS, SIM_HANDLE(buffer),
              KIND_BUFFER, 0, &needs);
    *pMemoryRequirements = needs.memory;
}

static VKAPI_ATTR void VKAPI_CALL sim_vkGetImageMemoryRequirements(
    VkDevice device, VkImage image, VkMemoryRequirements* pMemoryRequirements) {
    SimRequirements needs;
    get_needs(sim_of(device), SIM_CALL_GET_IMAGE_MEMORY_REQUIREMENTS, SIM_HANDLE(image), KIND_IMAGE,
              0, &needs);
    *pMemoryRequirements = needs.memory;
}

static VKAPI_ATTR void VKAPI_CALL
sim_vkGetBufferMemoryRequirements2(VkDevice device, const VkBufferMemoryRequirementsInfo2* pInfo,
                                   VkMemoryRequirements2* pMemoryRequirements) {
    SimRequirements needs;
    get_needs(sim_of(device), SIM_CALL_GET_BUFFER_MEMORY_REQUIREMENTS2, SIM_HANDLE(pInfo->buffer),
              KIND_BUFFER, 0, &needs);
    put_needs(&needs, pMemoryRequirements);
}

static VKAPI_ATTR void VKAPI_CALL
sim_vkGetImageMemoryRequirements2(VkDevice device, const VkImageMemoryRequirementsInfo2* pInfo,
                                  VkMemoryRequirements2* pMemoryRequirements) {
    SimRequirements needs;
    const VkImagePlaneMemoryRequirementsInfo* plane =
        (const VkImagePlaneMemoryRequirementsInfo*)find_in_chain(
            pInfo->pNext, VK_STRUCTURE_TYPE_IMAGE_PLANE_MEMORY_REQUIREMENTS_INFO);
    get_needs(sim_of(device), SIM_CALL_GET_IMAGE_MEMORY_REQUIREMENTS2, SIM_HANDLE(pInfo->image),
              KIND_IMAGE, plane != NULL ? (VkImageAspectFlags)plane->planeAspect : 0, &needs);
    put_needs(&needs, pMemoryRequirements);
}

static VKAPI_ATTR void VKAPI_CALL sim_vkGetDeviceBufferMemoryRequirements(
    VkDevice device, const VkDeviceBufferMemoryRequirements* pInfo,
    VkMemoryRequirements2* pMemoryRequirements) {
    const SimCall call = SIM_CALL_GET_DEVICE_BUFFER_MEMORY_REQUIREMENTS;
    Sim* sim = sim_of(device);
    SimRequirements needs;
    (void)enter(sim, call);
    (void)accept_info(sim, call, wrong_buffer_info(pInfo->pCreateInfo));
    (void)buffer_needs(sim, pInfo->pCreateInfo, &needs);
    call_needs_hook(sim, pInfo->pCreateInfo, NULL, &needs);
    put_needs(&needs, pMemoryRequirements);
}

static VKAPI_ATTR void VKAPI_CALL sim_vkGetDeviceImageMemoryRequirements(
    VkDevice device, const VkDeviceImageMemoryRequirements* pInfo,
    VkMemoryRequirements2* pMemoryRequirements) {
    const SimCall call = SIM_CALL_GET_DEVICE_IMAGE_MEMORY_REQUIREMENTS;
    Sim* sim = sim_of(device);
    SimRequirements needs;
    uint32_t plane = PLANE_COUNT;
    (void)enter(sim, call);
    (void)accept_info(sim, call, wrong_image_info(pInfo->pCreateInfo));
    if ((pInfo->pCreateInfo->flags & VK_IMAGE_CREATE_DISJOINT_BIT) != 0) {
        plane = plane_index(pInfo->planeAspect);
    }
    (void)image_needs(sim, pInfo->pCreateInfo, plane, &needs);
    call_needs_hook(sim, NULL, pInfo->pCreateInfo, &needs);
    put_needs(&needs, pMemoryRequirements);
}

/* ------------------------------------------------------------------ bind */

/*  Does the new range [offset, offset + size) go with its neighbours in the memory? */
static bool check_neighbours(Sim* sim, SimCall call, Memory* memory, const Resource* resource,
                             Span span) {
    const Span none = {UINT64_MAX, 0};
    VkDeviceSize page = sim->profile.bufferImageGranularity;
    uint32_t other;
    if (!sim->aliasing) {
        other = tree_find(sim, memory->linearRoot, span, none);
        other = other != 0 ? other : tree_find(sim, memory->optimalRoot, span, none);
        if (other != 0) {
            const Resource* r = tree_node(sim, other);
            report(sim, call, "%llu..%llu overlaps a resource at %llu..%llu", ULL(span.begin),
                   ULL(span.end), ULL(r->offset), ULL(r->end));
            return false;
        }
    }
    /* Aliases share pages by design; only the others are neighbours. */
    Span pages = {span.begin / page * page, align_up(span.end, page)};
    uint32_t root = resource->linear ? memory->optimalRoot : memory->linearRoot;
    other = tree_find(sim, root, pages, sim->aliasing ? span : none);
    if (other != 0) {
        const Resource* r = tree_node(sim, other);
        report(sim, call,
               "%s resource at %llu..%llu shares a page of bufferImageGranularity = %llu "
               "with %s one at %llu..%llu",
               resource->linear ? "linear" : "optimal", ULL(span.begin), ULL(span.end), ULL(page),
               resource->linear ? "an optimal" : "a linear", ULL(r->offset), ULL(r->end));
        return false;
    }
    return true;
}

static bool check_bind(Sim* sim, SimCall call, uint64_t handle, const Resource* resource,
                       Memory* memory, VkDeviceSize offset) {
    const VkMemoryRequirements* needs = &resource->needs.memory;
    const SimMemoryInfo* info = &memory->info;
    uint64_t dedicated = SIM_HANDLE(info->dedicatedBuffer) | SIM_HANDLE(info->dedicatedImage);
    if (resource->sparse) {
        report(sim, call, "the resource is sparse");
    } else if (resource->memory != 0) {
        report(sim, call, "the resource is already bound");
    } else if ((needs->memoryTypeBits >> info->memoryTypeIndex & 1) == 0) {
        report(sim, call, "memory type %u is not in memoryTypeBits %#x", info->memoryTypeIndex,
               needs->memoryTypeBits);
    } else if (offset % needs->alignment != 0) {
        report(sim, call, "offset %llu is no multiple of the alignment %llu", ULL(offset),
               ULL(needs->alignment));
    } else if (offset >= info->size || needs->size > info->size - offset) {
        report(sim, call, "offset %llu + size %llu exceed the memory's %llu bytes", ULL(offset),
               ULL(needs->size), ULL(info->size));
    } else if (dedicated != 0 && dedicated != handle) {
        report(sim, call, "the memory is dedicated to another resource");
    } else if (resource->needs.requiresDedicated && dedicated == 0) {
        report(sim, call, "the resource requires dedicated memory");
    } else if ((resource->usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0 &&
               (info->flags & VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT) == 0) {
        report(sim, call,
               "memory without VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT for a buffer with a device "
               "address");
    } else {
        Span span = {offset, offset + needs->size};
        return check_neighbours(sim, call, memory, resource, span);
    }
    return false;
}

static VkResult bind_locked(Sim* sim, SimCall call, uint64_t handle, ObjectKind kind,
                            VkImageAspectFlags aspect, VkDeviceMemory memoryHandle,
                            VkDeviceSize offset) {
    Resource* resource = find_resource(sim, handle, kind);
    Memory* memory = find_memory(sim, SIM_HANDLE(memoryHandle));
    if (resource == NULL) {
        report(sim, call, "no live object of this device: %#llx", ULL(handle));
        return INVALID;
    }
    if (memory == NULL) {
        report(sim, call, "no live memory of this device: %#llx", ULL(SIM_HANDLE(memoryHandle)));
        return INVALID;
    }
    Resource* target = pick_plane(sim, call, resource, aspect);
    if (target == NULL) {
        return INVALID;
    }
    if (sim->options.checks && !check_bind(sim, call, handle, target, memory, offset)) {
        return INVALID;
    }
    target->memory = SIM_HANDLE(memoryHandle);
    target->offset = offset;
    target->end = offset + target->needs.memory.size;
    if (sim->options.checks) {
        uint32_t node = slot_of(handle) + 1;
        for (uint32_t i = 0; target != resource && i < PLANE_COUNT; i++) {
            if (resource->planes[i] != 0 && resource_at(sim, resource->planes[i] - 1) == target) {
                node = resource->planes[i];
            }
        }
        uint32_t* root = tree_of(memory, target);
        *root = tree_insert(sim, *root, node);
        memory->info.boundCount++;
    }
    return VK_SUCCESS;
}

static VkResult bind_one(Sim* sim, SimCall call, uint64_t handle, ObjectKind kind,
                         VkImageAspectFlags aspect, VkDeviceMemory memory, VkDeviceSize offset) {
    if (is_encoded(handle)) {
        return VK_SUCCESS;
    }
    lock(sim);
    VkResult result = bind_locked(sim, call, handle, kind, aspect, memory, offset);
    unlock(sim);
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL sim_vkBindBufferMemory(VkDevice device, VkBuffer buffer,
                                                             VkDeviceMemory memory,
                                                             VkDeviceSize memoryOffset) {
    Sim* sim = sim_of(device);
    VkResult result = enter(sim, SIM_CALL_BIND_BUFFER_MEMORY);
    if (result != VK_SUCCESS) {
        return result;
    }
    return bind_one(sim, SIM_CALL_BIND_BUFFER_MEMORY, SIM_HANDLE(buffer), KIND_BUFFER, 0, memory,
                    memoryOffset);
}

static VKAPI_ATTR VkResult VKAPI_CALL sim_vkBindImageMemory(VkDevice device, VkImage image,
                                                            VkDeviceMemory memory,
                                                            VkDeviceSize memoryOffset) {
    Sim* sim = sim_of(device);
    VkResult result = enter(sim, SIM_CALL_BIND_IMAGE_MEMORY);
    if (result != VK_SUCCESS) {
        return result;
    }
    return bind_one(sim, SIM_CALL_BIND_IMAGE_MEMORY, SIM_HANDLE(image), KIND_IMAGE, 0, memory,
                    memoryOffset);
}

static void put_bind_status(const void* chain, VkResult result) {
#ifdef VK_KHR_maintenance6
    const VkBindMemoryStatusKHR* status = (const VkBindMemoryStatusKHR*)find_in_chain(
        chain, VK_STRUCTURE_TYPE_BIND_MEMORY_STATUS_KHR);
    if (status != NULL) {
        *status->pResult = result;
    }
#else
    (void)chain;
    (void)result;
#endif
}

static VKAPI_ATTR VkResult VKAPI_CALL sim_vkBindBufferMemory2(
    VkDevice device, uint32_t bindInfoCount, const VkBindBufferMemoryInfo* pBindInfos) {
    const SimCall call = SIM_CALL_BIND_BUFFER_MEMORY2;
    Sim* sim = sim_of(device);
    VkResult first = enter(sim, call);
    VkResult injected = first;
    for (uint32_t i = 0; i < bindInfoCount; i++) {
        const VkBindBufferMemoryInfo* bind = &pBindInfos[i];
        VkResult result = injected;
        if (result == VK_SUCCESS &&
            accept_info(sim, call,
                        bind->sType != VK_STRUCTURE_TYPE_BIND_BUFFER_MEMORY_INFO ? "wrong sType"
                                                                                 : NULL)) {
            result = bind_one(sim, call, SIM_HANDLE(bind->buffer), KIND_BUFFER, 0, bind->memory,
                              bind->memoryOffset);
        }
        put_bind_status(bind->pNext, result);
        first = first != VK_SUCCESS ? first : result;
    }
    return first;
}

static VKAPI_ATTR VkResult VKAPI_CALL sim_vkBindImageMemory2(
    VkDevice device, uint32_t bindInfoCount, const VkBindImageMemoryInfo* pBindInfos) {
    const SimCall call = SIM_CALL_BIND_IMAGE_MEMORY2;
    Sim* sim = sim_of(device);
    VkResult first = enter(sim, call);
    VkResult injected = first;
    for (uint32_t i = 0; i < bindInfoCount; i++) {
        const VkBindImageMemoryInfo* bind = &pBindInfos[i];
        const VkBindImagePlaneMemoryInfo* plane = (const VkBindImagePlaneMemoryInfo*)find_in_chain(
            bind->pNext, VK_STRUCTURE_TYPE_BIND_IMAGE_PLANE_MEMORY_INFO);
        VkImageAspectFlags aspect = plane != NULL ? (VkImageAspectFlags)plane->planeAspect : 0;
        VkResult result = injected;
        if (result == VK_SUCCESS &&
            accept_info(sim, call,
                        bind->sType != VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_INFO ? "wrong sType"
                                                                                : NULL)) {
            result = bind_one(sim, call, SIM_HANDLE(bind->image), KIND_IMAGE, aspect, bind->memory,
                              bind->memoryOffset);
        }
        put_bind_status(bind->pNext, result);
        first = first != VK_SUCCESS ? first : result;
    }
    return first;
}

/* ------------------------------------------------------------------ use */

static VKAPI_ATTR VkDeviceAddress VKAPI_CALL
sim_vkGetBufferDeviceAddress(VkDevice device, const VkBufferDeviceAddressInfo* pInfo) {
    const SimCall call = SIM_CALL_GET_BUFFER_DEVICE_ADDRESS;
    Sim* sim = sim_of(device);
    VkDeviceAddress address = 0;
    (void)enter(sim, call);
    lock(sim);
    const Resource* buffer = find_resource(sim, SIM_HANDLE(pInfo->buffer), KIND_BUFFER);
    const Memory* memory = buffer != NULL ? find_memory(sim, buffer->memory) : NULL;
    if (buffer == NULL) {
        report(sim, call, "no live object of this device: %#llx", ULL(SIM_HANDLE(pInfo->buffer)));
    } else if ((buffer->usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) == 0) {
        report(sim, call, "a buffer without VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT");
    } else if (memory == NULL) {
        report(sim, call, "the buffer is not bound to live memory");
    } else {
        address = memory->va + buffer->offset;
    }
    unlock(sim);
    return address;
}

/*  A side of a copy: live, bound, and made to be copied. */
static const Resource* copy_side(Sim* sim, SimCall call, uint64_t handle, VkFlags usage,
                                 const char* side) {
    ObjectKind kind = call == SIM_CALL_CMD_COPY_BUFFER ? KIND_BUFFER : KIND_IMAGE;
    const char* what = kind == KIND_BUFFER ? "buffer" : "image";
    const Resource* resource = find_resource(sim, handle, kind);
    if (resource == NULL) {
        report(sim, call, "%s: no live object of this device: %#llx", side, ULL(handle));
        return NULL;
    }
    if ((resource->usage & usage) == 0) {
        report(sim, call, "%s: the %s has no TRANSFER usage of this side", side, what);
    }
    if (find_memory(sim, resource->memory) == NULL) {
        report(sim, call, "%s: the %s is not bound to live memory", side, what);
        return NULL;
    }
    return resource;
}

static void copy_bytes(Sim* sim, SimCall call, const Resource* source, VkDeviceSize from,
                       const Resource* target, VkDeviceSize to, VkDeviceSize size) {
    if (!sim->options.backing) {
        return;
    }
    uint8_t* read = memory_bytes(sim, find_memory(sim, source->memory));
    uint8_t* written = memory_bytes(sim, find_memory(sim, target->memory));
    if (read == NULL || written == NULL) {
        report(sim, call, "the host has no memory for the copy");
        return;
    }
    memmove(written + target->offset + to, read + source->offset + from, (size_t)size);
}

/*  Execute a copy; the region is not looked at for images, of which all is copied. */
static void copy_now(Sim* sim, const Copy* copy) {
    const VkBufferCopy* region = &copy->region;
    const Resource* source =
        copy_side(sim, copy->call, copy->source, VK_BUFFER_USAGE_TRANSFER_SRC_BIT, "source");
    const Resource* target =
        copy_side(sim, copy->call, copy->target, VK_BUFFER_USAGE_TRANSFER_DST_BIT, "destination");
    if (source == NULL || target == NULL) {
        return;
    }
    if (copy->call == SIM_CALL_CMD_COPY_IMAGE) {
        copy_bytes(sim, copy->call, source, 0, target, 0, source->needs.memory.size);
    } else if (region->size == 0 || region->srcOffset >= source->size ||
               region->size > source->size - region->srcOffset ||
               region->dstOffset >= target->size ||
        region->size > target->size - region->dstOffset) {
        report(sim, copy->call,
               "a region of %llu bytes from %llu to %llu is empty or leaves a buffer",
               ULL(region->size), ULL(region->srcOffset), ULL(region->dstOffset));
    } else {
        copy_bytes(sim, copy->call, source, region->srcOffset, target, region->dstOffset,
                   region->size);
    }
}

static void copy_or_defer(Sim* sim, const Copy* copy) {
    if (!sim->defers) {
        copy_now(sim, copy);
        return;
    }
    if (sim->copyCount == sim->copyCapacity) {
        size_t capacity = sim->copyCapacity * 2 + 64;
        Copy* copies = (Copy*)realloc(sim->copies, capacity * sizeof *copies);
        if (copies == NULL) {
            report(sim, copy->call, "the host has no memory for the copy");
        return;
    }
        sim->copies = copies;
        sim->copyCapacity = capacity;
    }
    sim->copies[sim->copyCount++] = *copy;
}

void sim_defer_copies(Sim* sim, bool defer) {
    lock(sim);
    sim->defers = defer;
    unlock(sim);
}

void sim_execute_copies(Sim* sim) {
    lock(sim);
    for (size_t i = 0; i < sim->copyCount; i++) {
        copy_now(sim, &sim->copies[i]);
    }
    sim->copyCount = 0;
    unlock(sim);
}

static VKAPI_ATTR void VKAPI_CALL sim_vkCmdCopyBuffer(VkCommandBuffer commandBuffer,
                                                      VkBuffer srcBuffer, VkBuffer dstBuffer,
                                                      uint32_t regionCount,
                                                      const VkBufferCopy* pRegions) {
    Sim* sim = sim_of(commandBuffer);
    (void)enter(sim, SIM_CALL_CMD_COPY_BUFFER);
    if (!sim->options.checks && !sim->options.backing) {
        return;
    }
    lock(sim);
    for (uint32_t i = 0; i < regionCount; i++) {
        Copy copy = {SIM_CALL_CMD_COPY_BUFFER, SIM_HANDLE(srcBuffer), SIM_HANDLE(dstBuffer),
                     pRegions[i]};
        copy_or_defer(sim, &copy);
    }
    unlock(sim);
}

static uint32_t mip_of(uint32_t extent, uint32_t mip) {
    return extent >> mip != 0 ? extent >> mip : 1;
}

/*  All mips in order, all layers, and their whole extents: nothing else is understood here. */
static bool is_whole_image(const Resource* image, uint32_t regionCount,
                           const VkImageCopy* pRegions) {
    bool whole = regionCount == image->mipLevels;
    for (uint32_t i = 0; i < regionCount && whole; i++) {
        const VkImageCopy* r = &pRegions[i];
        whole = r->srcSubresource.mipLevel == i && r->srcSubresource.baseArrayLayer == 0 &&
                r->srcSubresource.layerCount == image->arrayLayers &&
                memcmp(&r->srcSubresource, &r->dstSubresource, sizeof r->srcSubresource) == 0 &&
                r->extent.width == mip_of(image->extent.width, i) &&
                r->extent.height == mip_of(image->extent.height, i) &&
                r->extent.depth == mip_of(image->extent.depth, i) && r->srcOffset.x == 0 &&
                r->srcOffset.y == 0 && r->srcOffset.z == 0 && r->dstOffset.x == 0 &&
                r->dstOffset.y == 0 && r->dstOffset.z == 0;
    }
    return whole;
}

static VKAPI_ATTR void VKAPI_CALL sim_vkCmdCopyImage(VkCommandBuffer commandBuffer,
                                                     VkImage srcImage, VkImageLayout srcLayout,
                                                     VkImage dstImage, VkImageLayout dstLayout,
                                                     uint32_t regionCount,
                                                     const VkImageCopy* pRegions) {
    const SimCall call = SIM_CALL_CMD_COPY_IMAGE;
    Sim* sim = sim_of(commandBuffer);
    (void)enter(sim, call);
    if (!sim->options.checks && !sim->options.backing) {
        return;
    }
    lock(sim);
    const Resource* source = find_resource(sim, SIM_HANDLE(srcImage), KIND_IMAGE);
    const Resource* target = find_resource(sim, SIM_HANDLE(dstImage), KIND_IMAGE);
    if (source != NULL && target != NULL) {
        if (source->layout != srcLayout || target->layout != dstLayout ||
            srcLayout != VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL ||
            dstLayout != VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL) {
            report(sim, call, "an image is not in the layout for a copy");
        }
        if (!is_whole_image(source, regionCount, pRegions) ||
            !is_whole_image(target, regionCount, pRegions)) {
            report(sim, call, "the regions are not all of both images");
        }
    }
    Copy copy = {call, SIM_HANDLE(srcImage), SIM_HANDLE(dstImage), {0, 0, 0}};
    copy_or_defer(sim, &copy);
    unlock(sim);
}

static void image_barrier(Sim* sim, const VkImageMemoryBarrier* barrier) {
    const SimCall call = SIM_CALL_CMD_PIPELINE_BARRIER;
    Resource* image = find_resource(sim, SIM_HANDLE(barrier->image), KIND_IMAGE);
    if (image == NULL || find_memory(sim, image->memory) == NULL) {
        report(sim, call, "no image of this device that is bound: %#llx",
               ULL(SIM_HANDLE(barrier->image)));
        return;
    }
    if (barrier->oldLayout != VK_IMAGE_LAYOUT_UNDEFINED && barrier->oldLayout != image->layout) {
        report(sim, call, "an image is in layout %d, not %d", (int)image->layout,
               (int)barrier->oldLayout);
    }
    if (barrier->newLayout == VK_IMAGE_LAYOUT_UNDEFINED ||
        barrier->newLayout == VK_IMAGE_LAYOUT_PREINITIALIZED) {
        report(sim, call, "no image can be brought to layout %d", (int)barrier->newLayout);
    }
    if (barrier->subresourceRange.aspectMask == 0 ||
        barrier->subresourceRange.levelCount != image->mipLevels ||
        barrier->subresourceRange.layerCount != image->arrayLayers) {
        report(sim, call, "the range is not all of the image");
    }
    image->layout = barrier->newLayout;
}

static VKAPI_ATTR void VKAPI_CALL sim_vkCmdPipelineBarrier(
    VkCommandBuffer commandBuffer, VkPipelineStageFlags srcStageMask,
    VkPipelineStageFlags dstStageMask, VkDependencyFlags dependencyFlags,
    uint32_t memoryBarrierCount, const VkMemoryBarrier* pMemoryBarriers,
    uint32_t bufferMemoryBarrierCount, const VkBufferMemoryBarrier* pBufferMemoryBarriers,
    uint32_t imageMemoryBarrierCount, const VkImageMemoryBarrier* pImageMemoryBarriers) {
    const SimCall call = SIM_CALL_CMD_PIPELINE_BARRIER;
    Sim* sim = sim_of(commandBuffer);
    (void)enter(sim, call);
    (void)dependencyFlags;
    (void)memoryBarrierCount;
    (void)pMemoryBarriers;
    if (!sim->options.checks) {
        return;
    }
    lock(sim);
    if (srcStageMask == 0 || dstStageMask == 0) {
        report(sim, call, "a stage mask is 0");
    }
    for (uint32_t i = 0; i < bufferMemoryBarrierCount; i++) {
        const VkBufferMemoryBarrier* barrier = &pBufferMemoryBarriers[i];
        const Resource* buffer = find_resource(sim, SIM_HANDLE(barrier->buffer), KIND_BUFFER);
        if (buffer == NULL || find_memory(sim, buffer->memory) == NULL) {
            report(sim, call, "no buffer of this device that is bound: %#llx",
                   ULL(SIM_HANDLE(barrier->buffer)));
        } else if (barrier->offset >= buffer->size || barrier->size == 0 ||
                   (barrier->size != VK_WHOLE_SIZE &&
                    barrier->size > buffer->size - barrier->offset)) {
            report(sim, call, "%llu bytes at %llu are empty or leave the buffer",
                   ULL(barrier->size), ULL(barrier->offset));
        }
    }
    for (uint32_t i = 0; i < imageMemoryBarrierCount; i++) {
        image_barrier(sim, &pImageMemoryBarriers[i]);
    }
    unlock(sim);
}

static ObjectKind kind_of(VkObjectType type) {
    switch (type) {
    case VK_OBJECT_TYPE_DEVICE_MEMORY: return KIND_MEMORY;
    case VK_OBJECT_TYPE_BUFFER: return KIND_BUFFER;
    case VK_OBJECT_TYPE_IMAGE: return KIND_IMAGE;
    default: return KIND_NONE;
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL
sim_vkSetDebugUtilsObjectNameEXT(VkDevice device, const VkDebugUtilsObjectNameInfoEXT* pNameInfo) {
    Sim* sim = sim_of(device);
    VkResult result = enter(sim, SIM_CALL_SET_DEBUG_UTILS_OBJECT_NAME);
    if (result != VK_SUCCESS) {
        return result;
    }
    ObjectKind kind = kind_of(pNameInfo->objectType);
    if (kind == KIND_NONE || is_encoded(pNameInfo->objectHandle)) {
        return VK_SUCCESS;
    }
    lock(sim);
    Object* object = find(sim, pNameInfo->objectHandle, kind);
    if (object == NULL) {
        report(sim, SIM_CALL_SET_DEBUG_UTILS_OBJECT_NAME, "no live object of this device: %#llx",
               ULL(pNameInfo->objectHandle));
        result = INVALID;
    } else {
        const char* name = pNameInfo->pObjectName != NULL ? pNameInfo->pObjectName : "";
        size_t size = strlen(name) + 1;
        char* copy = (char*)malloc(size);
        if (copy == NULL) {
            result = VK_ERROR_OUT_OF_HOST_MEMORY;
        } else {
            memcpy(copy, name, size);
            free(object->name);
            object->name = copy;
        }
    }
    unlock(sim);
    return result;
}

/* ------------------------------------------------------------------ proc addresses */

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL sim_vkGetInstanceProcAddr(VkInstance instance,
                                                                          const char* pName);
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL sim_vkGetDeviceProcAddr(VkDevice device,
                                                                        const char* pName);

typedef struct Proc {
    const char* name;
    PFN_vkVoidFunction function;
    bool ofDevice;
    uint32_t core; /* version since which the name exists; 0 = the option decides */
    size_t option; /* offset of a bool in SimOptions */
} Proc;

#define V10 VK_API_VERSION_1_0
#define V11 VK_API_VERSION_1_1
#define V12 VK_API_VERSION_1_2
#define V13 VK_API_VERSION_1_3
#define ROW(name, function, ofDevice, core) \
    { name, (PFN_vkVoidFunction)(function), ofDevice, core, 0 }
#define ROW_IF(name, function, ofDevice, option) \
    { name, (PFN_vkVoidFunction)(function), ofDevice, 0, offsetof(SimOptions, option) }

static const Proc procs[] = {
    ROW("vkGetInstanceProcAddr", sim_vkGetInstanceProcAddr, false, V10),
    ROW("vkGetDeviceProcAddr", sim_vkGetDeviceProcAddr, true, V10),
    ROW("vkGetPhysicalDeviceProperties", sim_vkGetPhysicalDeviceProperties, false, V10),
    ROW("vkGetPhysicalDeviceProperties2", sim_vkGetPhysicalDeviceProperties2, false, V11),
    ROW_IF("vkGetPhysicalDeviceProperties2KHR", sim_vkGetPhysicalDeviceProperties2, false,
           khrNames),
    ROW("vkGetPhysicalDeviceMemoryProperties", sim_vkGetPhysicalDeviceMemoryProperties, false, V10),
    ROW("vkGetPhysicalDeviceMemoryProperties2", sim_vkGetPhysicalDeviceMemoryProperties2, false,
        V11),
    ROW_IF("vkGetPhysicalDeviceMemoryProperties2KHR", sim_vkGetPhysicalDeviceMemoryProperties2,
           false, khrNames),
    ROW("vkGetPhysicalDeviceFeatures", sim_vkGetPhysicalDeviceFeatures, false, V10),
    ROW("vkGetPhysicalDeviceFeatures2", sim_vkGetPhysicalDeviceFeatures2, false, V11),
    ROW_IF("vkGetPhysicalDeviceFeatures2KHR", sim_vkGetPhysicalDeviceFeatures2, false, khrNames),
    ROW("vkEnumerateDeviceExtensionProperties", sim_vkEnumerateDeviceExtensionProperties, false,
        V10),
    ROW("vkAllocateMemory", sim_vkAllocateMemory, true, V10),
    ROW("vkFreeMemory", sim_vkFreeMemory, true, V10),
    ROW("vkMapMemory", sim_vkMapMemory, true, V10),
    ROW("vkUnmapMemory", sim_vkUnmapMemory, true, V10),
    ROW("vkFlushMappedMemoryRanges", sim_vkFlushMappedMemoryRanges, true, V10),
    ROW("vkInvalidateMappedMemoryRanges", sim_vkInvalidateMappedMemoryRanges, true, V10),
    ROW("vkBindBufferMemory", sim_vkBindBufferMemory, true, V10),
    ROW("vkBindBufferMemory2", sim_vkBindBufferMemory2, true, V11),
    ROW_IF("vkBindBufferMemory2KHR", sim_vkBindBufferMemory2, true, khrNames),
    ROW("vkBindImageMemory", sim_vkBindImageMemory, true, V10),
    ROW("vkBindImageMemory2", sim_vkBindImageMemory2, true, V11),
    ROW_IF("vkBindImageMemory2KHR", sim_vkBindImageMemory2, true, khrNames),
    ROW("vkGetBufferMemoryRequirements", sim_vkGetBufferMemoryRequirements, true, V10),
    ROW("vkGetBufferMemoryRequirements2", sim_vkGetBufferMemoryRequirements2, true, V11),
    ROW_IF("vkGetBufferMemoryRequirements2KHR", sim_vkGetBufferMemoryRequirements2, true, khrNames),
    ROW("vkGetImageMemoryRequirements", sim_vkGetImageMemoryRequirements, true, V10),
    ROW("vkGetImageMemoryRequirements2", sim_vkGetImageMemoryRequirements2, true, V11),
    ROW_IF("vkGetImageMemoryRequirements2KHR", sim_vkGetImageMemoryRequirements2, true, khrNames),
    ROW("vkGetDeviceBufferMemoryRequirements", sim_vkGetDeviceBufferMemoryRequirements, true, V13),
    ROW_IF("vkGetDeviceBufferMemoryRequirementsKHR", sim_vkGetDeviceBufferMemoryRequirements, true,
           maintenance4),
    ROW("vkGetDeviceImageMemoryRequirements", sim_vkGetDeviceImageMemoryRequirements, true, V13),
    ROW_IF("vkGetDeviceImageMemoryRequirementsKHR", sim_vkGetDeviceImageMemoryRequirements, true,
           maintenance4),
    ROW("vkCreateBuffer", sim_vkCreateBuffer, true, V10),
    ROW("vkDestroyBuffer", sim_vkDestroyBuffer, true, V10),
    ROW("vkCreateImage", sim_vkCreateImage, true, V10),
    ROW("vkDestroyImage", sim_vkDestroyImage, true, V10),
    ROW("vkGetBufferDeviceAddress", sim_vkGetBufferDeviceAddress, true, V12),
    ROW_IF("vkGetBufferDeviceAddressKHR", sim_vkGetBufferDeviceAddress, true, bufferDeviceAddress),
    ROW_IF("vkGetBufferDeviceAddressEXT", sim_vkGetBufferDeviceAddress, true, bufferDeviceAddress),
    ROW("vkGetDeviceMemoryOpaqueCaptureAddress", sim_vkGetDeviceMemoryOpaqueCaptureAddress, true,
        V12),
    ROW_IF("vkGetDeviceMemoryOpaqueCaptureAddressKHR", sim_vkGetDeviceMemoryOpaqueCaptureAddress,
           true, bufferDeviceAddress),
    ROW_IF("vkSetDeviceMemoryPriorityEXT", sim_vkSetDeviceMemoryPriorityEXT, true,
           pageableDeviceLocal),
    ROW_IF("vkSetDebugUtilsObjectNameEXT", sim_vkSetDebugUtilsObjectNameEXT, true, debugUtils),
    ROW("vkCmdCopyBuffer", sim_vkCmdCopyBuffer, true, V10),
    ROW("vkCmdCopyImage", sim_vkCmdCopyImage, true, V10),
    ROW("vkCmdPipelineBarrier", sim_vkCmdPipelineBarrier, true, V10),
};

static PFN_vkVoidFunction find_proc(Sim* sim, const char* name, bool deviceOnly) {
    for (size_t i = 0; i < sizeof procs / sizeof procs[0]; i++) {
        const Proc* proc = &procs[i];
        if (strcmp(proc->name, name) == 0) {
            const bool* option =
                (const bool*)(const void*)((const char*)&sim->options + proc->option);
            bool exists = proc->core != 0 ? sim->options.apiVersion >= proc->core : *option;
            return exists && (proc->ofDevice || !deviceOnly) ? proc->function : NULL;
        }
    }
    return NULL;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL sim_vkGetInstanceProcAddr(VkInstance instance,
                                                                          const char* pName) {
    if (instance == NULL) {
        bool self = strcmp(pName, "vkGetInstanceProcAddr") == 0;
        return self ? (PFN_vkVoidFunction)sim_vkGetInstanceProcAddr : NULL;
    }
    Sim* sim = sim_of(instance);
    (void)enter(sim, SIM_CALL_GET_INSTANCE_PROC_ADDR);
    return find_proc(sim, pName, false);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL sim_vkGetDeviceProcAddr(VkDevice device,
                                                                        const char* pName) {
    Sim* sim = sim_of(device);
    (void)enter(sim, SIM_CALL_GET_DEVICE_PROC_ADDR);
    return find_proc(sim, pName, true);
}

PFN_vkGetInstanceProcAddr sim_get_instance_proc_addr(void) {
    return sim_vkGetInstanceProcAddr;
}

PFN_vkGetDeviceProcAddr sim_get_device_proc_addr(void) {
    return sim_vkGetDeviceProcAddr;
}

/* ------------------------------------------------------------------ profiles */

typedef struct NamedBit {
    const char* name;
    uint32_t bit;
} NamedBit;

static const NamedBit typeBits[] = {
    {"DEVICE_LOCAL",        VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT       },
    {"HOST_VISIBLE",        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT       },
    {"HOST_COHERENT",       VK_MEMORY_PROPERTY_HOST_COHERENT_BIT      },
    {"HOST_CACHED",         VK_MEMORY_PROPERTY_HOST_CACHED_BIT        },
    {"LAZILY_ALLOCATED",    VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT   },
    {"PROTECTED",           VK_MEMORY_PROPERTY_PROTECTED_BIT          },
    {"DEVICE_COHERENT_AMD", VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD},
    {"DEVICE_UNCACHED_AMD", VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD},
    {NULL,                  0                                         },
};

static const NamedBit heapBits[] = {
    {"DEVICE_LOCAL",   VK_MEMORY_HEAP_DEVICE_LOCAL_BIT  },
    {"MULTI_INSTANCE", VK_MEMORY_HEAP_MULTI_INSTANCE_BIT},
    {NULL,             0                                },
};

static const NamedBit deviceTypes[] = {
    {"OTHER",          VK_PHYSICAL_DEVICE_TYPE_OTHER         },
    {"INTEGRATED_GPU", VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU},
    {"DISCRETE_GPU",   VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU  },
    {"VIRTUAL_GPU",    VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU   },
    {"CPU",            VK_PHYSICAL_DEVICE_TYPE_CPU           },
    {NULL,             0                                     },
};

static bool parse_name(const char* name, const NamedBit* names, uint32_t* pBits) {
    for (; name != NULL && names->name != NULL; names++) {
        if (strcmp(names->name, name) == 0) {
            *pBits |= names->bit;
            return true;
        }
    }
    return false;
}

static bool parse_flags(const cJSON* list, const NamedBit* names, uint32_t* pBits) {
    const cJSON* item;
    *pBits = 0;
    cJSON_ArrayForEach(item, list) {
        if (!parse_name(cJSON_GetStringValue(item), names, pBits)) {
            return false;
        }
    }
    return cJSON_IsArray(list) != 0;
}

/*  A whole number, from a JSON string exactly, from a JSON number if a double holds it: cJSON
    keeps no more. INT64_MAX, which drivers use for "no limit", comes as 2^63 and is taken back. */
static bool parse_u64(const cJSON* item, uint64_t* pValue) {
    const double exact = 9007199254740992.0; /* 2^53 */
    const double int64Max = 9223372036854775807.0;
    if (cJSON_IsString(item) && item->valuestring[0] != '\0') {
        char* end = NULL;
        *pValue = strtoull(item->valuestring, &end, 0);
        return *end == '\0';
    }
    if (!cJSON_IsNumber(item) || item->valuedouble < 0.0 ||
        (item->valuedouble > exact && item->valuedouble < int64Max) ||
        item->valuedouble > int64Max) {
        return false;
    }
    *pValue = item->valuedouble < int64Max ? (uint64_t)item->valuedouble : (uint64_t)INT64_MAX;
    return true;
}

static bool parse_u32(const cJSON* item, uint32_t* pValue) {
    uint64_t value = 0;
    bool good = parse_u64(item, &value) && value <= UINT32_MAX;
    *pValue = (uint32_t)value;
    return good;
}

static const cJSON* member(const cJSON* object, const char* name) {
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static bool parse_memory(const cJSON* json, VkPhysicalDeviceMemoryProperties* memory) {
    const cJSON* item;
    cJSON_ArrayForEach(item, member(json, "heaps")) {
        if (memory->memoryHeapCount == VK_MAX_MEMORY_HEAPS) {
            return false;
        }
        VkMemoryHeap* heap = &memory->memoryHeaps[memory->memoryHeapCount++];
        if (!parse_u64(member(item, "size"), &heap->size) ||
            !parse_flags(member(item, "flags"), heapBits, &heap->flags)) {
            return false;
        }
    }
    cJSON_ArrayForEach(item, member(json, "types")) {
        if (memory->memoryTypeCount == VK_MAX_MEMORY_TYPES) {
            return false;
        }
        VkMemoryType* type = &memory->memoryTypes[memory->memoryTypeCount++];
        uint32_t hex;
        if (!parse_u32(member(item, "heap"), &type->heapIndex) ||
            type->heapIndex >= memory->memoryHeapCount ||
            !parse_flags(member(item, "flags"), typeBits, &type->propertyFlags) ||
            !parse_u32(member(item, "flags_hex"), &hex) || hex != type->propertyFlags) {
            return false;
        }
    }
    return memory->memoryHeapCount != 0 && memory->memoryTypeCount != 0;
}

static bool parse_masks(const cJSON* json, SimMasks* masks) {
    const struct {
        const char* name;
        uint32_t* pMask;
    } names[] = {
        {"buffer",                 &masks->buffer          },
        {"buffer_inferred",        &masks->buffer          },
        {"descriptor_buffer",      &masks->descriptorBuffer},
        {"image_linear",           &masks->imageLinear     },
        {"image_optimal",          &masks->imageOptimal    },
        {"image_optimal_inferred", &masks->imageOptimal    },
        {"image_optimal_color",    &masks->imageOptimal    },
        {"image_transient",        &masks->imageTransient  },
        {"image_optimal_D16",      &masks->imageD16        },
        {"image_optimal_D24S8",    &masks->imageD24S8      },
        {"image_optimal_D32",      &masks->imageD32        },
        {"image_optimal_D32S8",    &masks->imageD32S8      },
        {"image_optimal_S8",       &masks->imageS8         },
        {"app_visible",            &masks->appVisible      },
    };
    const cJSON* item;
    cJSON_ArrayForEach(item, json) {
        bool known = false;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            if (strcmp(item->string, names[i].name) == 0) {
                known = parse_u32(item, names[i].pMask);
            }
        }
        if (!known) {
            return false;
        }
    }
    return true;
}

static bool parse_budget(const cJSON* json, SimProfile* profile) {
    if (json == NULL) {
        return true;
    }
    uint32_t heap = 0;
    const cJSON* item;
    cJSON_ArrayForEach(item, json) {
        if (heap == profile->memory.memoryHeapCount ||
            !parse_u64(member(item, "budget"), &profile->budget[heap]) ||
            !parse_u64(member(item, "usage"), &profile->usage[heap])) {
            return false;
        }
        heap++;
    }
    profile->hasBudgetReport = true;
    return heap == profile->memory.memoryHeapCount;
}

static bool parse_profile(const cJSON* json, SimProfile* profile) {
    const cJSON* limits = member(json, "limits");
    const cJSON* largest = member(limits, "maxMemoryAllocationSize");
    const char* name = cJSON_GetStringValue(member(json, "name"));
    uint32_t deviceType = 0;
    if (name == NULL || strlen(name) >= sizeof profile->name) {
        return false;
    }
    (void)snprintf(profile->name, sizeof profile->name, "%s", name);
    if (!parse_name(cJSON_GetStringValue(member(json, "device_type")), deviceTypes, &deviceType)) {
        return false;
    }
    profile->deviceType = (VkPhysicalDeviceType)deviceType;
    return parse_memory(json, &profile->memory) &&
           parse_u64(member(limits, "bufferImageGranularity"), &profile->bufferImageGranularity) &&
           parse_u64(member(limits, "nonCoherentAtomSize"), &profile->nonCoherentAtomSize) &&
           parse_u64(member(limits, "minMemoryMapAlignment"), &profile->minMemoryMapAlignment) &&
           parse_u32(member(limits, "maxMemoryAllocationCount"),
                     &profile->maxMemoryAllocationCount) &&
           (largest == NULL || parse_u64(largest, &profile->maxMemoryAllocationSize)) &&
           parse_masks(member(json, "resource_type_masks"), &profile->masks) &&
           parse_budget(member(json, "memory_budget_reported"), profile);
}

/*  The whole file as a string; NULL after a message. */
static char* read_file(const char* path) {
    char* text = NULL;
    FILE* file = fopen(path, "rb");
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
        long size = ftell(file);
        text = size >= 0 ? (char*)malloc((size_t)size + 1) : NULL;
        if (text != NULL) {
            rewind(file);
            text[fread(text, 1, (size_t)size, file)] = '\0';
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (text == NULL) {
        (void)fprintf(stderr, "sim: cannot read %s\n", path);
    }
    return text;
}

bool sim_load_profiles(const char* path, SimProfile** ppProfiles, uint32_t* pCount) {
    *ppProfiles = NULL;
    *pCount = 0;
    char* text = read_file(path);
    if (text == NULL) {
        return false;
    }
    cJSON* json = cJSON_Parse(text);
    free(text);
    int size = cJSON_IsArray(json) ? cJSON_GetArraySize(json) : 0;
    SimProfile* profiles = size > 0 ? (SimProfile*)calloc((size_t)size, sizeof *profiles) : NULL;
    bool good = profiles != NULL;
    uint32_t used = 0;
    const cJSON* item;
    cJSON_ArrayForEach(item, json) {
        if (good && !parse_profile(item, &profiles[used])) {
            (void)fprintf(stderr, "sim: %s: profile %u (%s) is malformed\n", path, used,
                          profiles[used].name);
            good = false;
        }
        used++;
    }
    if (size == 0) {
        (void)fprintf(stderr, "sim: %s: not a list of profiles\n", path);
    }
    cJSON_Delete(json);
    if (!good) {
        free(profiles);
        return false;
    }
    *ppProfiles = profiles;
    *pCount = used;
    return true;
}

void sim_free_profiles(SimProfile* profiles) {
    free(profiles);
}

const SimProfile* sim_find_profile(const SimProfile* profiles, uint32_t count, const char* name) {
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(profiles[i].name, name) == 0) {
            return &profiles[i];
        }
    }
    return NULL;
}

SimProfile sim_profile_discrete(void) {
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    const VkMemoryPropertyFlags coherent =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const VkMemoryPropertyFlags cached = coherent | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    const VkMemoryType types[] = {
        {local,            0},
        {coherent,         1},
        {cached,           1},
        {local | coherent, 2}
    };
    const VkMemoryHeap heaps[] = {
        {(VkDeviceSize)8 << 30,   VK_MEMORY_HEAP_DEVICE_LOCAL_BIT},
        {(VkDeviceSize)16 << 30,  0                              },
        {(VkDeviceSize)256 << 20, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT},
    };
    SimProfile profile;
    memset(&profile, 0, sizeof profile);
    (void)snprintf(profile.name, sizeof profile.name, "sim_discrete");
    profile.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    memcpy(profile.memory.memoryTypes, types, sizeof types);
    memcpy(profile.memory.memoryHeaps, heaps, sizeof heaps);
    profile.memory.memoryTypeCount = sizeof types / sizeof types[0];
    profile.memory.memoryHeapCount = sizeof heaps / sizeof heaps[0];
    profile.bufferImageGranularity = 1024;
    profile.nonCoherentAtomSize = 64;
    profile.minMemoryMapAlignment = 64;
    profile.maxMemoryAllocationCount = 4096;
    return profile;
}

/* ------------------------------------------------------------------ life */

SimOptions sim_default_options(void) {
    SimOptions options;
    memset(&options, 0, sizeof options);
    options.apiVersion = VK_API_VERSION_1_3;
    options.checks = true;
    options.khrNames = true;
    options.debugUtils = true;
    options.memoryBudget = true;
    options.memoryPriority = true;
    options.pageableDeviceLocal = true;
    options.bufferDeviceAddress = true;
    options.maintenance4 = true;
    options.maintenance5 = true;
    return options;
}

static uint32_t first_mask(uint32_t a, uint32_t b) {
    return a != 0 ? a : b;
}

/*  What SimMasks leaves open, by the rules that stand there. */
static void resolve_masks(Sim* sim) {
    const VkPhysicalDeviceMemoryProperties* memory = &sim->profile.memory;
    const SimMasks* given = &sim->profile.masks;
    uint32_t plain = 0;
    uint32_t optimal = 0;
    uint32_t lazy = 0;
    for (uint32_t i = 0; i < memory->memoryTypeCount; i++) {
        VkMemoryPropertyFlags flags = memory->memoryTypes[i].propertyFlags;
        uint32_t bit = 1u << i;
        if ((flags & VK_MEMORY_PROPERTY_PROTECTED_BIT) != 0) {
            continue;
        }
        if ((flags & VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT) != 0) {
            lazy |= bit;
            continue;
        }
        plain |= bit;
        if (flags == 0 || (flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) != 0) {
            optimal |= bit;
        }
    }
    uint32_t image = first_mask(given->imageOptimal, first_mask(optimal, plain));
    sim->masks[MASK_BUFFER] = first_mask(given->buffer, plain);
    sim->masks[MASK_DESCRIPTOR_BUFFER] =
        first_mask(given->descriptorBuffer, sim->masks[MASK_BUFFER]);
    sim->masks[MASK_IMAGE_LINEAR] = first_mask(given->imageLinear, sim->masks[MASK_BUFFER]);
    sim->masks[MASK_IMAGE_OPTIMAL] = image;
    sim->masks[MASK_IMAGE_TRANSIENT] = first_mask(given->imageTransient, image | lazy);
    sim->masks[MASK_IMAGE_D16] = first_mask(given->imageD16, image);
    sim->masks[MASK_IMAGE_D24S8] = first_mask(given->imageD24S8, image);
    sim->masks[MASK_IMAGE_D32] = first_mask(given->imageD32, image);
    sim->masks[MASK_IMAGE_D32S8] = first_mask(given->imageD32S8, image);
    sim->masks[MASK_IMAGE_S8] = first_mask(given->imageS8, image);
    for (uint32_t i = 0; given->appVisible != 0 && i < MASK_COUNT; i++) {
        sim->masks[i] &= given->appVisible;
    }
}

static void set_dispatch(Dispatch* dispatch, Sim* sim) {
    dispatch->magic = DISPATCH_MAGIC;
    dispatch->sim = sim;
}

Sim* sim_create(const SimProfile* profile, const SimOptions* options) {
    /* A serial number per sim makes a handle of one sim unknown to the others. */
    static uint32_t serial;
    void* memory = NULL;
    if (posix_memalign(&memory, 128, sizeof(Sim)) != 0) {
        return NULL;
    }
    memset(memory, 0, sizeof(Sim));
    Sim* sim = (Sim*)memory;
    if (pthread_mutex_init(&sim->mutex, NULL) != 0) {
        free(sim);
        return NULL;
    }
    set_dispatch(&sim->instance, sim);
    set_dispatch(&sim->physicalDevice, sim);
    set_dispatch(&sim->device, sim);
    set_dispatch(&sim->commandBuffer, sim);
    sim->profile = *profile;
    sim->options = options != NULL ? *options : sim_default_options();
    sim->profile.bufferImageGranularity = max_size(profile->bufferImageGranularity, 1);
    sim->profile.nonCoherentAtomSize = max_size(profile->nonCoherentAtomSize, 1);
    resolve_masks(sim);
    uint32_t number = __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
    sim->firstGeneration = number * UINT32_C(0x9E3779B1) & INT32_MAX;
    sim->nextVa = VA_FIRST;
    for (uint32_t i = 0; i < VK_MAX_MEMORY_HEAPS; i++) {
        VkDeviceSize size = profile->memory.memoryHeaps[i].size;
        sim->budget[i] = profile->hasBudgetReport ? profile->budget[i] : size - size / 100;
        sim->usageOfOthers[i] = profile->usage[i];
    }
    sim_clear_faults(sim);
    return sim;
}

uint64_t sim_destroy(Sim* sim) {
    static const char* const kinds[] = {"", "memory", "buffer", "image", "plane"};
    if (sim == NULL) {
        return 0;
    }
    uint64_t leaks = sim->liveCount + sim_live_resource_count(sim);
    uint32_t listed = 0;
    for (uint32_t slot = 0; slot < sim->slotCount; slot++) {
        Object* object = object_at(sim, slot);
        bool counts = object->kind != KIND_NONE && object->kind != KIND_PLANE;
        if (counts && !sim->quiet && listed++ < LEAKS_LISTED) {
            (void)fprintf(stderr, "sim: leaked %s %#llx \"%s\"\n", kinds[object->kind],
                          ULL(handle_of(sim, slot)), object->name != NULL ? object->name : "");
        }
        if (object->kind == KIND_MEMORY && object->as.memory.reserved != NULL) {
            (void)munmap(object->as.memory.reserved, object->as.memory.reservedSize);
        }
        free(object->name);
    }
    for (uint32_t i = 0; i < CHUNK_COUNT && sim->chunks[i] != NULL; i++) {
        free(sim->chunks[i]);
    }
    free(sim->copies);
    (void)pthread_mutex_destroy(&sim->mutex);
    sim->device.magic = 0;
    free(sim);
    return leaks;
}

VkInstance sim_instance(Sim* sim) {
    return (VkInstance)(void*)&sim->instance;
}

VkPhysicalDevice sim_physical_device(Sim* sim) {
    return (VkPhysicalDevice)(void*)&sim->physicalDevice;
}

VkDevice sim_device(Sim* sim) {
    return (VkDevice)(void*)&sim->device;
}

VkCommandBuffer sim_command_buffer(Sim* sim) {
    return (VkCommandBuffer)(void*)&sim->commandBuffer;
}

const SimProfile* sim_profile(Sim* sim) {
    return &sim->profile;
}

/* ------------------------------------------------------------------ control */

const char* sim_call_name(SimCall call) {
#define NAME(id, function, failable) #function,
    static const char* const names[] = {SIM_CALLS(NAME)};
#undef NAME
    return call < SIM_CALL_COUNT ? names[call] : "any";
}

bool sim_call_is_failable(SimCall call) {
#define FAILABLE(id, function, failable) failable,
    static const bool failables[] = {SIM_CALLS(FAILABLE)};
#undef FAILABLE
    return call < SIM_CALL_COUNT ? failables[call] : call == SIM_CALL_ANY_FAILABLE;
}

uint64_t sim_calls(Sim* sim, SimCall call) {
    uint64_t sum = 0;
    if (call < SIM_CALL_COUNT) {
        return counted(sim, (uint32_t)call);
    }
    for (uint32_t i = SIM_CALL_GET_DEVICE_PROC_ADDR + 1; i < SIM_CALL_COUNT; i++) {
        if (call == SIM_CALL_ANY || sim_call_is_failable((SimCall)i)) {
            sum += counted(sim, i);
        }
    }
    return sum;
}

void sim_reset_calls(Sim* sim) {
    for (uint32_t i = 0; i < STRIPE_COUNT; i++) {
        for (uint32_t call = 0; call < SIM_CALL_COUNT; call++) {
            __atomic_store_n(&sim->stripes[i].counts[call], 0, __ATOMIC_RELAXED);
        }
    }
}

static void arm(Sim* sim, uint32_t bit, bool on) {
    if (on) {
        (void)__atomic_fetch_or(&sim->armed, bit, __ATOMIC_RELEASE);
    } else {
        (void)__atomic_fetch_and(&sim->armed, ~bit, __ATOMIC_RELEASE);
    }
}

void sim_set_call_hook(Sim* sim, SimCallHook hook, void* pUser) {
    arm(sim, ARMED_HOOK, false);
    sim->hook = hook;
    sim->pHookUser = pUser;
    arm(sim, ARMED_HOOK, hook != NULL);
}

uint64_t sim_errors(Sim* sim) {
    lock(sim);
    uint64_t errors = sim->errors;
    unlock(sim);
    return errors;
}

const char* sim_last_error(Sim* sim) {
    return sim->lastError;
}

void sim_clear_errors(Sim* sim) {
    lock(sim);
    sim->errors = 0;
    sim->lastError[0] = '\0';
    unlock(sim);
}

void sim_quiet(Sim* sim, bool quiet) {
    lock(sim);
    sim->quiet = quiet;
    unlock(sim);
}

void sim_allow_aliasing(Sim* sim, bool allow) {
    lock(sim);
    sim->aliasing = allow;
    unlock(sim);
}

bool sim_fail(Sim* sim, SimCall call, uint32_t nth, uint32_t times, VkResult result) {
    bool added = false;
    if (nth == 0 || times == 0 || !sim_call_is_failable(call)) {
        return false;
    }
    lock(sim);
    for (uint32_t i = 0; i < RULE_COUNT && !added; i++) {
        if (sim->rules[i].times == 0) {
            Rule rule = {call, nth - 1, times, result};
            sim->rules[i] = rule;
            added = true;
        }
    }
    arm(sim, ARMED_RULES, true);
    unlock(sim);
    return added;
}

void sim_fail_allocations_above(Sim* sim, VkDeviceSize bytes, VkResult result) {
    lock(sim);
    sim->failAbove = bytes;
    sim->failAboveResult = result;
    unlock(sim);
}

void sim_heap_limit(Sim* sim, uint32_t heap, VkDeviceSize bytes) {
    lock(sim);
    sim->heapLimit[heap] = bytes;
    unlock(sim);
}

void sim_clear_faults(Sim* sim) {
    lock(sim);
    memset(sim->rules, 0, sizeof sim->rules);
    arm(sim, ARMED_RULES, false);
    sim->failAbove = UINT64_MAX;
    for (uint32_t i = 0; i < VK_MAX_MEMORY_HEAPS; i++) {
        sim->heapLimit[i] = UINT64_MAX;
    }
    unlock(sim);
}

uint64_t sim_faults_fired(Sim* sim) {
    lock(sim);
    uint64_t fired = sim->faultsFired;
    unlock(sim);
    return fired;
}

void sim_set_budget(Sim* sim, uint32_t heap, VkDeviceSize budget, VkDeviceSize usageOfOthers) {
    lock(sim);
    sim->budget[heap] = budget;
    sim->usageOfOthers[heap] = usageOfOthers;
    unlock(sim);
}

void sim_set_requirements(Sim* sim, SimRequirementsHook hook, void* pUser) {
    sim->needsHook = hook;
    sim->pNeedsUser = pUser;
}

/* ------------------------------------------------------------------ queries */

static uint64_t read_u64(Sim* sim, const uint64_t* pValue) {
    lock(sim);
    uint64_t value = *pValue;
    unlock(sim);
    return value;
}

uint64_t sim_live_memory_count(Sim* sim) {
    return read_u64(sim, &sim->liveCount);
}

uint64_t sim_peak_memory_count(Sim* sim) {
    return read_u64(sim, &sim->peakCount);
}

VkDeviceSize sim_live_memory_bytes(Sim* sim, uint32_t heap) {
    return read_u64(sim, &sim->liveBytes[heap]);
}

VkDeviceSize sim_peak_memory_bytes(Sim* sim, uint32_t heap) {
    return read_u64(sim, &sim->peakBytes[heap]);
}

VkDeviceSize sim_live_memory_total(Sim* sim) {
    return read_u64(sim, &sim->liveTotal);
}

VkDeviceSize sim_peak_memory_total(Sim* sim) {
    return read_u64(sim, &sim->peakTotal);
}

void sim_reset_peaks(Sim* sim) {
    lock(sim);
    sim->peakCount = sim->liveCount;
    sim->peakTotal = sim->liveTotal;
    memcpy(sim->peakBytes, sim->liveBytes, sizeof sim->peakBytes);
    unlock(sim);
}

uint64_t sim_live_resource_count(Sim* sim) {
    return read_u64(sim, &sim->liveResources) + counted(sim, COUNTER_BORN) -
           counted(sim, COUNTER_DIED);
}

bool sim_memory_info(Sim* sim, VkDeviceMemory memory, SimMemoryInfo* pInfo) {
    lock(sim);
    const Memory* m = find_memory(sim, SIM_HANDLE(memory));
    if (m != NULL) {
        *pInfo = m->info;
    }
    unlock(sim);
    return m != NULL;
}

static bool read_binding(Sim* sim, uint64_t handle, ObjectKind kind, VkDeviceMemory* pMemory,
                         VkDeviceSize* pOffset) {
    lock(sim);
    const Resource* resource = find_resource(sim, handle, kind);
    bool bound = resource != NULL && resource->memory != 0;
    *pMemory = MAKE_HANDLE(VkDeviceMemory, bound ? resource->memory : 0);
    *pOffset = bound ? resource->offset : 0;
    unlock(sim);
    return bound;
}

bool sim_buffer_binding(Sim* sim, VkBuffer buffer, VkDeviceMemory* pMemory, VkDeviceSize* pOffset) {
    return read_binding(sim, SIM_HANDLE(buffer), KIND_BUFFER, pMemory, pOffset);
}

bool sim_image_binding(Sim* sim, VkImage image, VkDeviceMemory* pMemory, VkDeviceSize* pOffset) {
    return read_binding(sim, SIM_HANDLE(image), KIND_IMAGE, pMemory, pOffset);
}

const char* sim_object_name(Sim* sim, uint64_t handle) {
    const char* name = NULL;
    lock(sim);
    uint32_t slot = slot_of(handle);
    if (slot < sim->slotCount && object_at(sim, slot)->generation == handle >> 32) {
        name = object_at(sim, slot)->name;
    }
    unlock(sim);
    return name != NULL ? name : "";
}
