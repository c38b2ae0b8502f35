/*  fuzz_allocator.c - the whole allocator against a naive model, on the simulated device.

    Random operations, valid ones and wrong ones, with failures of driver and host thrown in. The
    model is a list of the live allocations. After every step: each one lies in its memory, aligned
    and apart from its neighbours; sizes, infos, names and contents are what they were; totals, dump
    and the device agree with the list; a failure has a reason; every invariant of the allocator
    holds. At the end nothing is left, on the device or the host. Then the same operations run
    again, and must give the same layout.

        fuzz_allocator                            a few seconds: some seeds over very different GPUs
        fuzz_allocator --seconds 30               smoke; 300 before a merge, 3600 before a release
        fuzz_allocator --seed 7 --steps 20000     one seed over the GPUs
        fuzz_allocator --profile lavapipe ...     one GPU of tests/data/gpu_profiles.json
        fuzz_allocator --profile X --seed 7 --ops 1f,2c    just these operations, told in words

    What fails is shrunk to a short sequence, which is printed as such a command line. A crash counts
    as a failure: each run is a process of its own.

    As a libFuzzer target, whose input is 8 bytes for the seed and 4 for each operation:

        clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -DSXVK_LIBFUZZER -UNDEBUG \
            -D_POSIX_C_SOURCE=200809L -DSXVK_TEST_DATA_DIR='"tests/data"' \
            -I. -Itests/support tests/fuzz/fuzz_allocator.c tests/support/testing.c \
            tests/support/sim.c -lvulkan -lcjson -lm -lpthread -o fuzz_allocator
*/

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS under -std=c99 */
#ifndef SX_VKALLOC_DEBUG
#define SX_VKALLOC_DEBUG 3 /* the allocator checks itself after each change, too */
#endif
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "sim.h"
#include "testing.h"

#include <cjson/cJSON.h>

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ITEM_MAX   300
#define POOL_MAX   5
#define MODULE_MAX 4
#define STALE_MAX  64
#define MIB        ((VkDeviceSize)1 << 20)

static const char* const defaultProfiles[] = {
    "nvidia_rtx2060super_no_rebar_r516",
    "amd_raphael_igpu_windows_8type",
    "swiftshader",
    "synthetic_atom_4096",
    "synthetic_maxcount_16_gran_64k",
    "lavapipe",
    "mali_bifrost_gran_4k_INFERRED",
    "synthetic_tiny_bar_16m",
};
#define DEFAULT_PROFILE_COUNT (sizeof defaultProfiles / sizeof defaultProfiles[0])

/* ------------------------------------------------------------------ the model */

/*  To bufferImageGranularity: what is not known is in conflict with everything. */
typedef enum Kind { KIND_LINEAR, KIND_OPTIMAL, KIND_UNKNOWN } Kind;

typedef enum Make {
    MAKE_BUFFER,
    MAKE_BUFFER_ALIGNED,
    MAKE_BUFFER_DEDICATED,
    MAKE_BUFFER_BY_HAND, /* vkCreateBuffer, sxvkAllocateMemoryForBuffer, sxvkBindBufferMemory */
    MAKE_IMAGE,
    MAKE_IMAGE_DEDICATED,
    MAKE_IMAGE_BY_HAND,
    MAKE_MEMORY,
    MAKE_MEMORY_DEDICATED,
    MAKE_COUNT
} Make;

static const char* const makeNames[MAKE_COUNT] = {
    "buffer",          "aligned buffer", "dedicated buffer", "buffer by hand",   "image",
    "dedicated image", "image by hand",  "memory",           "dedicated memory",
};

/*  An allocation to ask for, and what the device says that it needs. */
typedef struct Request {
    Make make;
    Kind kind;
    SxvkAllocationCreateInfo info;
    VkBufferCreateInfo buffer;
    VkImageCreateInfo image;
    VkDeviceSize alignment; /* of MAKE_BUFFER_ALIGNED; 1 elsewhere */
    VkMemoryRequirements needs;
    VkMemoryPriorityAllocateInfoEXT chain;
} Request;

typedef struct Item {
    SxvkAllocation allocation;
    VkBuffer buffer;
    VkImage image;
    Request request; /* its pointers are dead */
    struct Pool* pool;
    SxvkAllocationInfo info; /* as it was first, but for what was set since */
    VkDeviceSize blockSize;
    VkDeviceSize alignment;
    VkMemoryPropertyFlags properties;
    bool dedicated;
    bool persistent; /* MAPPED_BIT on memory that the host sees */
    uint32_t maps;
    uint64_t pattern; /* 0: its contents are anybody's guess */
    SxvkModule module;
    bool touched;
    uint32_t touchedFrame;
    char name[24];
} Item;

typedef struct Pool {
    SxvkPool pool;
    SxvkPoolCreateInfo info;
    char name[24];
} Pool;

typedef struct Module {
    SxvkModule module; /* null: there is none now */
    SxvkModuleCreateInfo info;
    SxvkPressureLevel level; /* as it was told */
    VkDeviceSize peak;
} Module;

/*  What the parent learns of a run in a child. */
typedef struct Report {
    bool failed;
    uint32_t step;
    uint64_t layout; /* a hash of where everything went */
    char text[512];
} Report;

/*  A run is determined by this alone. */
typedef struct Plan {
    const SimProfile* profile;
    uint64_t seed; /* how allocator and device are set up */
    uint32_t* ops;
    uint32_t count;
} Plan;

typedef struct World {
    const SimProfile* profile;
    Sim* sim;
    SxvkAllocator allocator;
    SxvkAllocatorCreateInfo info;
    SxvkDebugInfo debug;
    SxvkVulkanFunctions functions;
    SimOptions options;
    const VkAllocationCallbacks* callbacks;
    Host host;
    Messages messages;
    VkDeviceSize heapSizeLimit[VK_MAX_MEMORY_HEAPS];   /* what the allocator was told */
    VkDeviceSize heapDriverLimit[VK_MAX_MEMORY_HEAPS]; /* what the device gives at the moment */
    VkDeviceSize granularity;
    VkDeviceSize atom;
    VkDeviceSize sizeMax;
    bool oddNeeds; /* requirements as no driver rounds them */

    Item items[ITEM_MAX];
    uint32_t itemCount;
    Pool pools[POOL_MAX];
    uint32_t poolCount;
    Module modules[MODULE_MAX];
    SxvkPressureCreateInfo pressure;
    SxvkPressureLevel heapLevel[VK_MAX_MEMORY_HEAPS]; /* as it was told */
    uint32_t toldInside;
    uint32_t toldWrong;
    SxvkAllocation stale[STALE_MAX];
    uint32_t staleCount;

    uint64_t random; /* of the step */
    uint32_t frame;
    uint64_t faultsBefore; /* of driver and host, when the step began */
    bool verbose;
    bool replay; /* only the layout is wanted */
    Report* report;
    jmp_buf escape;
} World;

static void fail(World* world, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(world->report->text, sizeof world->report->text, format, arguments);
    va_end(arguments);
    world->report->failed = true;
    longjmp(world->escape, 1);
}

/*  CHECK(condition, format, ...): `world` is in scope. */
#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail(world, __VA_ARGS__);                                                              \
        }                                                                                          \
    } while (0)

static void say(const World* world, const char* format, ...) {
    va_list arguments;
    if (world->verbose) {
        va_start(arguments, format);
        (void)vprintf(format, arguments);
        va_end(arguments);
        (void)fflush(stdout);
    }
}

static uint32_t below(World* world, uint32_t n) {
    return testing_below(&world->random, n);
}

static bool chance(World* world, uint32_t percent) {
    return below(world, 100) < percent;
}

static VkDeviceSize align_up(VkDeviceSize x, VkDeviceSize alignment) {
    return (x + alignment - 1) / alignment * alignment;
}

static VkDeviceSize max_size(VkDeviceSize a, VkDeviceSize b) {
    return a > b ? a : b;
}

static VkDeviceSize min_size(VkDeviceSize a, VkDeviceSize b) {
    return a < b ? a : b;
}

/*  Did the step run into a failure that was planted? */
static bool is_faulty(World* world) {
    return sim_faults_fired(world->sim) + world->host.failed != world->faultsBefore;
}

/*  The step made the library report just this, once. */
static void expect_message(World* world, SxvkMessage message) {
    CHECK(world->messages.counts[message] == 1 && world->messages.total == 1,
          "%s came %u times of %u messages, expected 1 of 1; the last one: %s",
          message_name(message), world->messages.counts[message], world->messages.total,
          world->messages.text);
    messages_clear(&world->messages);
}

/*  Plant a failure of driver or host for the call that follows, sometimes; reap() ends it. */
static void plant(World* world) {
    static const VkResult results[] = {VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_OUT_OF_HOST_MEMORY,
                                       VK_ERROR_TOO_MANY_OBJECTS};
    uint32_t kind = below(world, 20);
    uint32_t times = chance(world, 60) ? 1 : chance(world, 50) ? 3 : UINT32_MAX;
    uint32_t nth = 1 + below(world, 4);
    VkResult result = results[below(world, 3)];
    if (kind == 0) {
        (void)sim_fail(world->sim, SIM_CALL_ANY_FAILABLE, nth, times, result);
    } else if (kind == 1) {
        (void)sim_fail(world->sim, SIM_CALL_ALLOCATE_MEMORY, 1, times, result);
    } else if (kind == 2) {
        host_fail(&world->host, nth, times);
    }
    if (kind <= 2) {
        say(world, "planted: %s fails %s, call %u, %u times\n",
            kind == 2 ? "the host" : "the driver", kind == 1 ? "vkAllocateMemory" : "anything",
            kind == 1 ? 1 : nth, times);
    }
}

static void reap(World* world) {
    uint32_t h;
    sim_clear_faults(world->sim);
    for (h = 0; h < world->profile->memory.memoryHeapCount; h++) {
        sim_heap_limit(world->sim, h, world->heapDriverLimit[h]);
    }
    host_fail(&world->host, 1, 0);
}

static uint32_t type_count(const World* world) {
    return world->profile->memory.memoryTypeCount;
}

static VkMemoryPropertyFlags type_flags(const World* world, uint32_t type) {
    return world->profile->memory.memoryTypes[type].propertyFlags;
}

static uint32_t type_heap(const World* world, uint32_t type) {
    return world->profile->memory.memoryTypes[type].heapIndex;
}

static bool is_coherent_visible(VkMemoryPropertyFlags flags) {
    const VkMemoryPropertyFlags both =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    return (flags & both) == both;
}

static bool wants_flush(VkMemoryPropertyFlags flags) {
    return (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0 && !is_coherent_visible(flags);
}

/*  VkMemoryDedicatedRequirements and ..AllocateInfo are in use. */
static bool knows_dedicated(const World* world) {
    return world->info.vulkanApiVersion >= VK_API_VERSION_1_1 ||
           (world->info.flags & SXVK_ALLOCATOR_CREATE_KHR_DEDICATED_ALLOCATION_BIT) != 0;
}

static VkDeviceSize margin_of(const World* world, const Item* item) {
    return is_coherent_visible(item->properties) && !item->dedicated ? world->debug.margin : 0;
}

/* ------------------------------------------------------------------ contents */

static uint8_t pattern_byte(uint64_t pattern, VkDeviceSize offset) {
    uint64_t x = (pattern + offset) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint8_t)(x >> 56);
}

/*  The offsets that are written and compared: all, or both ends and some between. */
static VkDeviceSize next_touch(VkDeviceSize offset, VkDeviceSize size) {
    const VkDeviceSize edge = 200;
    if (size <= 2048 || offset + 1 < edge || offset + edge >= size) {
        return offset + 1;
    }
    return min_size(offset + size / 24, size - edge);
}

/*  Map with the function that users call, so that mapping is tested all the time. */
static uint8_t* map_item(World* world, Item* item) {
    void* data = NULL;
    VkResult result = sxvkMapMemory(world->allocator, item->allocation, &data);
    CHECK(result == VK_SUCCESS && data != NULL, "sxvkMapMemory gave %d", (int)result);
    return (uint8_t*)data;
}

static void fill_item(World* world, Item* item, uint64_t pattern) {
    uint8_t* data = map_item(world, item);
    VkDeviceSize i;
    for (i = 0; i < item->info.size; i = next_touch(i, item->info.size)) {
        data[i] = pattern_byte(pattern, i);
    }
    CHECK(sxvkFlushAllocation(world->allocator, item->allocation, 0, VK_WHOLE_SIZE) == VK_SUCCESS,
          "the flush failed");
    sxvkUnmapMemory(world->allocator, item->allocation);
    item->pattern = pattern;
}

static void verify_item(World* world, Item* item) {
    uint8_t* data;
    VkDeviceSize i;
    if (item->pattern == 0) {
        return;
    }
    data = map_item(world, item);
    CHECK(sxvkInvalidateAllocation(world->allocator, item->allocation, 0, VK_WHOLE_SIZE) ==
              VK_SUCCESS,
          "the invalidate failed");
    for (i = 0; i < item->info.size; i = next_touch(i, item->info.size)) {
        CHECK(data[i] == pattern_byte(item->pattern, i),
              "byte %" PRIu64 " of %" PRIu64 " at offset %" PRIu64 " was overwritten", i,
              item->info.size, item->info.offset);
    }
    sxvkUnmapMemory(world->allocator, item->allocation);
}

/* ------------------------------------------------------------------ checks of one allocation */

/*  What the library says of an item is what it was. */
static void check_info(World* world, const Item* item) {
    SxvkAllocationInfo2 info;
    const SxvkAllocationInfo* first = &item->info;
    const SxvkAllocationInfo* now = &info.allocationInfo;
    bool mapped = item->persistent || item->maps != 0;
    sxvkGetAllocationInfo2(world->allocator, item->allocation, &info);
    CHECK(now->memoryType == first->memoryType && now->deviceMemory == first->deviceMemory &&
              now->offset == first->offset && now->size == first->size,
          "info changed: type %u to %u, offset %" PRIu64 " to %" PRIu64 ", size %" PRIu64
          " to %" PRIu64,
          first->memoryType, now->memoryType, first->offset, now->offset, first->size, now->size);
    CHECK(info.blockSize == item->blockSize && (info.dedicatedMemory != 0) == item->dedicated,
          "blockSize or dedicatedMemory changed");
    CHECK(now->pUserData == first->pUserData, "the user data changed");
    CHECK(item->name[0] == 0 ? now->pName == NULL
                             : now->pName != NULL && strcmp(now->pName, item->name) == 0,
          "the name is \"%s\", not \"%s\"", now->pName != NULL ? now->pName : "(null)", item->name);
    CHECK((now->pMappedData != NULL) == mapped, "pMappedData is %p with %u maps, %s",
          now->pMappedData, item->maps, item->persistent ? "MAPPED_BIT" : "no MAPPED_BIT");
    CHECK(sxvkIsAllocationValid(world->allocator, item->allocation), "the handle became invalid");
}

/*  Two allocations of one memory. */
static void check_apart(World* world, const Item* a, const Item* b) {
    VkDeviceSize end, page = world->granularity;
    bool conflict = a->request.kind == KIND_UNKNOWN || b->request.kind == KIND_UNKNOWN ||
                    a->request.kind != b->request.kind;
    if (a->info.deviceMemory != b->info.deviceMemory) {
        return;
    }
    if (a->info.offset > b->info.offset) {
        const Item* swap = a;
        a = b;
        b = swap;
    }
    end = a->info.offset + a->info.size;
    CHECK(end + margin_of(world, a) <= b->info.offset,
          "overlap: %" PRIu64 " bytes at %" PRIu64 ", and %" PRIu64 " at %" PRIu64, a->info.size,
          a->info.offset, b->info.size, b->info.offset);
    CHECK(a->pool == b->pool && !a->dedicated && !b->dedicated,
          "two pools, or a dedicated allocation and another one, share a memory");
    if (a->pool != NULL &&
        (a->pool->info.flags & SXVK_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT) != 0) {
        conflict = false;
    }
    CHECK(!conflict || (end - 1) / page != b->info.offset / page,
          "a %s ends at %" PRIu64 " and a %s begins at %" PRIu64 " on the same page of %" PRIu64,
          makeNames[a->request.make], end, makeNames[b->request.make], b->info.offset, page);
    CHECK(!wants_flush(a->properties) || (end - 1) / world->atom != b->info.offset / world->atom,
          "offsets %" PRIu64 " and %" PRIu64 " share an atom of %" PRIu64, end, b->info.offset,
          world->atom);
}

/*  A new allocation, against all that the request said. */
static void check_new(World* world, Item* item) {
    const Request* request = &item->request;
    const SxvkAllocationCreateInfo* info = &request->info;
    const VkMemoryPropertyFlags special = VK_MEMORY_PROPERTY_PROTECTED_BIT |
                                          VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD |
                                          VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD;
    const VkFlags access = SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT |
                           SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;
    VkMemoryPropertyFlags flags = 0;
    SimMemoryInfo memory;
    uint32_t i;
    CHECK(sim_memory_info(world->sim, item->info.deviceMemory, &memory), "memory that is not live");
    CHECK(memory.memoryTypeIndex == item->info.memoryType && memory.size == item->blockSize,
          "type %u of %" PRIu64 " bytes, the device says %u of %" PRIu64, item->info.memoryType,
          item->blockSize, memory.memoryTypeIndex, memory.size);
    CHECK(item->info.size == request->needs.size, "%" PRIu64 " bytes asked, %" PRIu64 " given",
          request->needs.size, item->info.size);
    CHECK(item->info.offset <= memory.size && item->info.size <= memory.size - item->info.offset,
          "%" PRIu64 " bytes at %" PRIu64 " leave the memory of %" PRIu64, item->info.size,
          item->info.offset, memory.size);
    CHECK(item->info.offset % item->alignment == 0, "offset %" PRIu64 ", alignment %" PRIu64,
          item->info.offset, item->alignment);
    CHECK((request->needs.memoryTypeBits >> item->info.memoryType & 1) != 0,
          "type %u is not in %#x", item->info.memoryType, request->needs.memoryTypeBits);
    if (item->dedicated) {
        bool named =
            knows_dedicated(world) && (info->flags & SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT) == 0;
        CHECK(item->info.offset == 0 && memory.size == item->info.size, "not alone in its memory");
        CHECK(!named ||
                  (memory.dedicatedBuffer == item->buffer && memory.dedicatedImage == item->image),
              "VkMemoryDedicatedAllocateInfo does not name the resource");
    } else {
        CHECK((info->flags & SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT) == 0 &&
                  info->pNext == NULL && request->make != MAKE_BUFFER_DEDICATED &&
                  request->make != MAKE_IMAGE_DEDICATED && request->make != MAKE_MEMORY_DEDICATED,
              "not dedicated, as it was asked to be");
    }
    sxvkGetAllocationMemoryProperties(world->allocator, item->allocation, &flags);
    CHECK(flags == item->properties, "properties %#x of a type with %#x", flags, item->properties);
    if (item->pool != NULL) {
        CHECK(item->info.memoryType == item->pool->info.memoryTypeIndex, "not the pool's type");
    } else {
        CHECK((info->requiredFlags & ~item->properties) == 0, "a required flag is missing");
        CHECK(info->memoryTypeBits == 0 || (info->memoryTypeBits >> item->info.memoryType & 1) != 0,
              "type %u is not in memoryTypeBits %#x", item->info.memoryType, info->memoryTypeBits);
        CHECK((item->properties & special & ~(info->requiredFlags | info->preferredFlags)) == 0,
              "type %u is special, and nobody asked for it", item->info.memoryType);
        CHECK(info->usage < SXVK_MEMORY_USAGE_AUTO || (info->flags & access) == 0 ||
                  (info->flags & SXVK_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT) !=
                      0 ||
                  (item->properties & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0,
              "the host does not see type %u", item->info.memoryType);
    }
    check_info(world, item);
    for (i = 0; i < world->itemCount; i++) {
        if (&world->items[i] != item) {
            check_apart(world, &world->items[i], item);
        }
    }
}

/* ------------------------------------------------------------------ checks of everything */

static void check_statistics(World* world, const SxvkStatistics* seen, const SxvkStatistics* model,
                             const char* what, uint32_t index) {
    CHECK(seen->allocationCount == model->allocationCount &&
              seen->allocationBytes == model->allocationBytes &&
              seen->blockCount == model->blockCount && seen->blockBytes == model->blockBytes,
          "%s %u: %u allocations of %" PRIu64 " bytes in %u blocks of %" PRIu64
          ", the model has %u, %" PRIu64 ", %u, %" PRIu64,
          what, index, seen->allocationCount, seen->allocationBytes, seen->blockCount,
          seen->blockBytes, model->allocationCount, model->allocationBytes, model->blockCount,
          model->blockBytes);
}

/*  Counters of the heaps against list and device. */
static void check_budgets(World* world) {
    SxvkStatistics sum, total;
    uint32_t h, i;
    memset(&total, 0, sizeof total);
    for (h = 0; h < world->profile->memory.memoryHeapCount; h++) {
        SxvkBudget budget;
        memset(&sum, 0, sizeof sum);
        for (i = 0; i < world->itemCount; i++) {
            if (type_heap(world, world->items[i].info.memoryType) == h) {
                sum.allocationCount++;
                sum.allocationBytes += world->items[i].info.size;
            }
        }
        sxvkGetHeapBudget(world->allocator, h, &budget);
        sum.blockBytes = sim_live_memory_bytes(world->sim, h);
        sum.blockCount = budget.statistics.blockCount;
        total.blockCount += sum.blockCount;
        check_statistics(world, &budget.statistics, &sum, "heap", h);
        CHECK(budget.budget <= world->heapSizeLimit[h],
              "budget %" PRIu64 " of heap %u with %" PRIu64, budget.budget, h,
              world->heapSizeLimit[h]);
        CHECK(sum.blockBytes <= world->heapSizeLimit[h], "more than the heap may hold");
    }
    CHECK(total.blockCount == sim_live_memory_count(world->sim),
          "%u blocks, the device has %" PRIu64, total.blockCount,
          sim_live_memory_count(world->sim));
}

static void check_pools(World* world) {
    uint32_t p, i;
    for (p = 0; p < world->poolCount; p++) {
        const Pool* pool = &world->pools[p];
        SxvkDetailedStatistics detailed;
        SxvkStatistics fast;
        uint32_t count = 0, dedicated = 0;
        const char* name = NULL;
        VkDeviceSize bytes = 0;
        for (i = 0; i < world->itemCount; i++) {
            if (world->items[i].pool == pool) {
                count++;
                dedicated += world->items[i].dedicated;
                bytes += world->items[i].info.size;
            }
        }
        sxvkGetPoolStatistics(world->allocator, pool->pool, &fast);
        sxvkCalculatePoolStatistics(world->allocator, pool->pool, &detailed);
        check_statistics(world, &detailed.statistics, &fast, "pool", p);
        CHECK(fast.allocationCount == count && fast.allocationBytes == bytes,
              "pool %u: %u allocations of %" PRIu64 " bytes, the model has %u of %" PRIu64, p,
              fast.allocationCount, fast.allocationBytes, count, bytes);
        CHECK(fast.blockCount - dedicated >= pool->info.minBlockCount &&
                  (pool->info.maxBlockCount == 0 ||
                   fast.blockCount - dedicated <= pool->info.maxBlockCount),
              "pool %u has %u blocks, %u dedicated, of %zu to %zu", p, fast.blockCount, dedicated,
              pool->info.minBlockCount, pool->info.maxBlockCount);
        sxvkGetPoolName(world->allocator, pool->pool, &name);
        CHECK(pool->name[0] == 0 ? name == NULL : name != NULL && strcmp(name, pool->name) == 0,
              "the name of pool %u changed", p);
    }
}

/*  The detailed statistics of a memory type against the list. */
static void check_type(World* world, const SxvkTotalStatistics* total, uint32_t type) {
    const SxvkDetailedStatistics* seen = &total->memoryType[type];
    SxvkDetailedStatistics model = *seen;
    uint32_t i;
    model.statistics.allocationCount = 0;
    model.statistics.allocationBytes = 0;
    model.allocationSizeMin = VK_WHOLE_SIZE;
    model.allocationSizeMax = 0;
    for (i = 0; i < world->itemCount; i++) {
        const SxvkAllocationInfo* info = &world->items[i].info;
        if (info->memoryType == type) {
            model.statistics.allocationCount++;
            model.statistics.allocationBytes += info->size;
            model.allocationSizeMin = min_size(model.allocationSizeMin, info->size);
            model.allocationSizeMax = max_size(model.allocationSizeMax, info->size);
        }
    }
    check_statistics(world, &seen->statistics, &model.statistics, "type", type);
    CHECK(seen->allocationSizeMin == model.allocationSizeMin &&
              seen->allocationSizeMax == model.allocationSizeMax,
          "smallest or largest allocation of type %u", type);
    CHECK(seen->statistics.blockBytes - seen->statistics.allocationBytes >=
              seen->unusedRangeSizeMax,
          "an unused range of type %u is larger than all that is unused", type);
}

typedef struct Visit {
    const World* world;
    uint32_t known;
    uint32_t strange;
} Visit;

static VkBool32 VKAPI_PTR count_allocation(void* pUserData, SxvkAllocator allocator,
                                           SxvkAllocation allocation) {
    Visit* visit = (Visit*)pUserData;
    uint32_t i;
    (void)allocator;
    for (i = 0; i < visit->world->itemCount; i++) {
        if (visit->world->items[i].allocation == allocation) {
            visit->known++;
            return VK_TRUE;
        }
    }
    visit->strange++;
    return VK_TRUE;
}

/*  Ranges that are not free in all blocks of a dump's pool, and dedicated allocations. */
static uint32_t count_in_dump(const cJSON* pool) {
    const cJSON* block;
    const cJSON* range;
    uint32_t count =
        (uint32_t)cJSON_GetArraySize(cJSON_GetObjectItem(pool, "DedicatedAllocations"));
    cJSON_ArrayForEach(block, cJSON_GetObjectItem(pool, "Blocks")) {
        cJSON_ArrayForEach(range, cJSON_GetObjectItem(block, "Suballocations")) {
            const char* type = cJSON_GetStringValue(cJSON_GetObjectItem(range, "Type"));
            count += type != NULL && strcmp(type, "FREE") != 0;
        }
    }
    return count;
}

static void check_dump(World* world) {
    char* text = NULL;
    const cJSON* type;
    const cJSON* pool;
    uint32_t count = 0;
    VkResult result = sxvkBuildStatsString(world->allocator, &text, VK_TRUE);
    cJSON* dump;
    CHECK(result == VK_SUCCESS && text != NULL, "sxvkBuildStatsString gave %d", (int)result);
    dump = cJSON_Parse(text);
    CHECK(dump != NULL, "the dump is no JSON");
    cJSON_ArrayForEach(type, cJSON_GetObjectItem(dump, "DefaultPools")) {
        count += count_in_dump(type);
    }
    cJSON_ArrayForEach(type, cJSON_GetObjectItem(dump, "CustomPools")) {
        cJSON_ArrayForEach(pool, type) {
            count += count_in_dump(pool);
        }
    }
    cJSON_Delete(dump);
    sxvkFreeStatsString(world->allocator, text);
    CHECK(count == world->itemCount, "the dump lists %u allocations of %u", count,
          world->itemCount);
}

/*  Are blocks that nobody maps unmapped, and only these? Margins and fills keep them mapped. */
static void check_unmapped(World* world) {
    uint32_t i, other;
    if ((world->info.flags & SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT) == 0 ||
        (world->debug.margin | world->debug.fillOnAllocate | world->debug.fillOnFree) != 0) {
        return;
    }
    for (i = 0; i < world->itemCount; i++) {
        VkDeviceMemory memory = world->items[i].info.deviceMemory;
        SimMemoryInfo info;
        uint32_t users = 0;
        for (other = 0; other < world->itemCount; other++) {
            const Item* item = &world->items[other];
            users += item->info.deviceMemory == memory ? item->maps + item->persistent : 0;
        }
        CHECK(sim_memory_info(world->sim, memory, &info) && info.mapped == (users != 0),
              "a block with %u users of its mapping is %s", users,
              info.mapped ? "mapped" : "not mapped");
    }
}

static void check_deeply(World* world) {
    SxvkTotalStatistics total;
    Visit visit = {world, 0, 0};
    VkResult result;
    uint32_t i, other;
    for (i = 0; i < world->itemCount; i++) {
        check_info(world, &world->items[i]);
        for (other = 0; other < i; other++) {
            check_apart(world, &world->items[i], &world->items[other]);
        }
    }
    sxvkCalculateStatistics(world->allocator, &total);
    for (i = 0; i < type_count(world); i++) {
        check_type(world, &total, i);
    }
    CHECK(total.total.statistics.allocationCount == world->itemCount, "the total is another one");
    CHECK(total.total.statistics.blockBytes == sim_live_memory_total(world->sim),
          "the total of the blocks is another one");
    sxvkForEachAllocation(world->allocator, count_allocation, &visit);
    CHECK(visit.known == world->itemCount && visit.strange == 0,
          "sxvkForEachAllocation visits %u of %u, and %u that do not live", visit.known,
          world->itemCount, visit.strange);
    check_pools(world);
    check_dump(world);
    check_unmapped(world);
    result = sxvkCheckCorruption(world->allocator, UINT32_MAX);
    CHECK(result == VK_SUCCESS || result == VK_ERROR_FEATURE_NOT_PRESENT,
          "sxvkCheckCorruption gave %d", (int)result);
}

static Module* find_module(World* world, SxvkModule module) {
    uint32_t m;
    for (m = 0; m < MODULE_MAX; m++) {
        if (module != VK_NULL_HANDLE && world->modules[m].module == module) {
            return &world->modules[m];
        }
    }
    return NULL;
}

/*  Each change of a level begins where the last one has ended; nothing is told from within. */
static VkBool32 VKAPI_PTR follow_level(void* pUserData, SxvkAllocator allocator,
                                       const SxvkPressureInfo* pInfo) {
    World* world = (World*)pUserData;
    Module* module = find_module(world, pInfo->module);
    SxvkPressureLevel* level = pInfo->module == VK_NULL_HANDLE
                                   ? &world->heapLevel[pInfo->heapIndex % VK_MAX_MEMORY_HEAPS]
                                   : &module->level;
    if (allocator != world->allocator) {
        return VK_FALSE; /* the one of op_foreign */
    }
    if (pInfo->bytesNeeded != 0) {
        return pInfo->bytesNeeded % 2 ? VK_TRUE : VK_FALSE; /* also where nothing was freed */
    }
    world->toldWrong += world->toldInside++ != 0;
    world->toldWrong += *level != pInfo->previousLevel || *level == pInfo->level;
    *level = pInfo->level;
    world->toldInside--;
    return VK_FALSE;
}

/*  The counts of each module are those of its items. */
static void check_modules(World* world) {
    uint32_t m, i, h;
    CHECK(world->toldWrong == 0, "levels of pressure were told in a wrong order");
    for (m = 0; m < MODULE_MAX; m++) {
        Module* module = &world->modules[m];
        VkDeviceSize bytes[VK_MAX_MEMORY_HEAPS] = {0}, sum = 0;
        SxvkModuleStatistics stats;
        uint32_t count = 0;
        if (module->module == VK_NULL_HANDLE) {
            continue;
        }
        for (i = 0; i < world->itemCount; i++) {
            const Item* item = &world->items[i];
            if (item->module == module->module) {
                count++;
                sum += item->info.size;
                bytes[type_heap(world, item->info.memoryType)] += item->info.size;
            }
        }
        sxvkGetModuleStatistics(world->allocator, module->module, &stats);
        CHECK(stats.allocationCount == count && stats.allocationBytes == sum,
              "module %u has %u allocations of %" PRIu64 " bytes, and says %u of %" PRIu64, m,
              count, sum, stats.allocationCount, stats.allocationBytes);
        for (h = 0; h < VK_MAX_MEMORY_HEAPS; h++) {
            CHECK(stats.heapBytes[h] == bytes[h], "module %u, heap %u: another sum", m, h);
        }
        CHECK(stats.peakBytes >= sum && stats.peakBytes >= module->peak, "a peak has fallen");
        module->peak = stats.peakBytes;
        CHECK(stats.level == module->level && (module->info.softLimit != 0 || stats.level == 0),
              "module %u: level %d, told %d", m, (int)stats.level, (int)module->level);
        CHECK(module->info.softLimit == 0 || (sum > module->info.softLimit) <= (stats.level == 3),
              "module %u is over its limit, and says level %d", m, (int)stats.level);
    }
}

/*  After every step. */
static void check_world(World* world, uint32_t step) {
    const Messages* messages = &world->messages;
    uint32_t warnings = messages->counts[SXVK_MESSAGE_NO_MEMORY_TYPE] +
                        messages->counts[SXVK_MESSAGE_OUT_OF_HOST_MEMORY] +
                        messages->counts[SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY];
    CHECK(sim_errors(world->sim) == 0, "the device: %s", sim_last_error(world->sim));
    CHECK(world->host.mistakes == 0, "a mistake with host memory");
    CHECK(messages->total == warnings, "an unexpected message: %s", messages->text);
    messages_clear(&world->messages);
    if (world->replay) {
        return;
    }
    check_budgets(world);
    check_modules(world);
    if (world->itemCount < 48 || step % 8 == 0) {
        CHECK(sxvkCheckIntegrity(world->allocator) == VK_SUCCESS, "integrity: %s",
              world->messages.text);
    }
    if (step % 64 == 63) {
        check_deeply(world);
    }
}

/* ------------------------------------------------------------------ what may fail */

/*  Can a VkDeviceMemory of so many bytes be had, with some of the count to spare? */
static bool has_room(World* world, uint32_t type, VkDeviceSize bytes) {
    uint32_t heap = type_heap(world, type);
    VkDeviceSize limit = min_size(world->heapSizeLimit[heap], world->heapDriverLimit[heap]);
    VkDeviceSize live = sim_live_memory_bytes(world->sim, heap);
    return sim_live_memory_count(world->sim) < world->profile->maxMemoryAllocationCount / 2 &&
           live <= limit && bytes <= limit - live &&
           (world->profile->maxMemoryAllocationSize == 0 ||
            bytes <= world->profile->maxMemoryAllocationSize);
}

/*  The bytes of a range, with all that may be padded around it. */
static VkDeviceSize padded(const World* world, const Request* request, const Pool* pool) {
    VkDeviceSize unit = max_size(world->granularity, world->atom);
    VkDeviceSize alignment = max_size(request->needs.alignment, request->info.minAlignment);
    alignment = max_size(max_size(alignment, request->alignment), world->debug.minAlignment);
    if (pool != NULL) {
        alignment = max_size(alignment, pool->info.minAllocationAlignment);
    }
    return request->needs.size + 2 * unit + 2 * alignment + world->debug.margin + 64;
}

/*  The type that the library says it would take first, or UINT32_MAX. */
static uint32_t find_type(World* world, const Request* request) {
    uint32_t type = UINT32_MAX;
    SxvkAllocationCreateInfo info = request->info;
    if (request->make <= MAKE_BUFFER_DEDICATED) {
        (void)sxvkFindMemoryTypeIndexForBufferInfo(world->allocator, &request->buffer, &info,
                                                   &type);
    } else if (request->make == MAKE_IMAGE || request->make == MAKE_IMAGE_DEDICATED) {
        (void)sxvkFindMemoryTypeIndexForImageInfo(world->allocator, &request->image, &info, &type);
    } else {
        (void)sxvkFindMemoryTypeIndex(world->allocator, request->needs.memoryTypeBits, &info,
                                      &type);
    }
    messages_clear(&world->messages);
    return type;
}

/*  A request failed and nothing was planted: is there a reason? */
static void check_excuse(World* world, const Request* request, const Pool* pool, uint32_t best,
                         VkResult result) {
    const VkFlags modest =
        SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT | SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT;
    if (result == VK_ERROR_FEATURE_NOT_PRESENT) {
        CHECK(pool != NULL ? (request->needs.memoryTypeBits >> pool->info.memoryTypeIndex & 1) == 0
                           : best == UINT32_MAX,
              "FEATURE_NOT_PRESENT, though type %u fits", best);
        return;
    }
    CHECK(result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_TOO_MANY_OBJECTS,
          "VkResult %d without a reason", (int)result);
    if ((request->info.flags & modest) != 0) {
        return;
    }
    if (pool == NULL) {
        CHECK(!has_room(world, best, request->needs.size),
              "%" PRIu64 " bytes refused, and heap %u has room", request->needs.size,
              type_heap(world, best));
    } else if (pool->info.blockSize != 0) {
        SxvkStatistics statistics;
        bool full;
        sxvkGetPoolStatistics(world->allocator, pool->pool, &statistics);
        full =
            (pool->info.maxBlockCount != 0 && statistics.blockCount >= pool->info.maxBlockCount) ||
            padded(world, request, pool) > pool->info.blockSize;
        CHECK(full || !has_room(world, pool->info.memoryTypeIndex, pool->info.blockSize),
              "%" PRIu64 " bytes refused by a pool that may grow", request->needs.size);
    } else if (pool->info.maxBlockCount == 0 && pool->info.minBlockCount == 0) {
        VkDeviceSize need = 2 * padded(world, request, pool) + MIB;
        CHECK(!has_room(world, pool->info.memoryTypeIndex, need),
              "%" PRIu64 " bytes refused by a pool without limits", request->needs.size);
    }
}

/* ------------------------------------------------------------------ requests */

/*  Requirements that no real driver rounds so badly; the same for the same create info. */
static void odd_needs(void* pUser, const VkBufferCreateInfo* pBuffer,
                      const VkImageCreateInfo* pImage, SimRequirements* pNeeds) {
    uint64_t random = pBuffer != NULL ? pBuffer->size * 3 + pBuffer->usage
                                      : pImage->extent.width * 77 + pImage->extent.height;
    bool tellsDedicated = knows_dedicated((const World*)pUser);
    switch (testing_below(&random, 4)) {
    case 0:
        pNeeds->memory.size += testing_below(&random, 100);
        pNeeds->memory.alignment = (VkDeviceSize)1 << testing_below(&random, 5);
        break;
    case 1: pNeeds->memory.alignment <<= testing_below(&random, 9); break;
    case 2: pNeeds->prefersDedicated = tellsDedicated && testing_below(&random, 8) == 0; break;
    default: pNeeds->requiresDedicated = tellsDedicated && testing_below(&random, 16) == 0; break;
    }
}

static VkDeviceSize random_size(World* world) {
    VkDeviceSize size;
    switch (below(world, 10)) {
    case 0: size = ((VkDeviceSize)1 << below(world, 25)) + below(world, 3) - 1; break;
    case 1: size = testing_log_uniform(&world->random, 1, world->sizeMax * 16); break;
    default: size = testing_log_uniform(&world->random, 1, world->sizeMax); break;
    }
    return max_size(size, 1);
}

static void random_buffer(World* world, Request* request) {
    static const VkBufferUsageFlags usages[] = {
        VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
        VK_BUFFER_USAGE_TRANSFER_DST_BIT,
        VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
        VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT,
        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
        VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT | VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
    };
    bool address = (world->info.flags & SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT) != 0;
    request->buffer = testing_buffer(random_size(world), usages[below(world, address ? 6 : 5)]);
    request->kind = KIND_LINEAR;
}

static void random_image(World* world, Request* request) {
    bool linear = chance(world, 20);
    uint32_t top = world->sizeMax > MIB ? 2048 : 256;
    request->image = testing_image((uint32_t)testing_log_uniform(&world->random, 1, top),
                                   (uint32_t)testing_log_uniform(&world->random, 1, top),
                                   linear ? VK_IMAGE_TILING_LINEAR : VK_IMAGE_TILING_OPTIMAL);
    request->kind = linear ? KIND_LINEAR : KIND_OPTIMAL;
    if (!linear && chance(world, 30)) {
        request->image.usage = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT;
        if (chance(world, 30)) {
            request->image.usage |= VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT;
        }
    } else if (!linear && chance(world, 30)) {
        request->image.mipLevels = 4;
        request->image.arrayLayers = 1 + below(world, 3);
    }
}

/*  Ask the device itself, with a resource made for that. */
static void ask_needs(World* world, Request* request) {
    const SxvkVulkanFunctions* fn = &world->functions;
    VkDevice device = sim_device(world->sim);
    if (request->make <= MAKE_BUFFER_BY_HAND) {
        VkBuffer buffer = VK_NULL_HANDLE;
        CHECK(fn->vkCreateBuffer(device, &request->buffer, NULL, &buffer) == VK_SUCCESS,
              "no buffer");
        fn->vkGetBufferMemoryRequirements(device, buffer, &request->needs);
        fn->vkDestroyBuffer(device, buffer, NULL);
    } else if (request->make <= MAKE_IMAGE_BY_HAND) {
        VkImage image = VK_NULL_HANDLE;
        CHECK(fn->vkCreateImage(device, &request->image, NULL, &image) == VK_SUCCESS, "no image");
        fn->vkGetImageMemoryRequirements(device, image, &request->needs);
        fn->vkDestroyImage(device, image, NULL);
    }
}

static void random_needs(World* world, Request* request) {
    uint32_t all = type_count(world) == 32 ? UINT32_MAX : (1u << type_count(world)) - 1;
    request->kind = KIND_UNKNOWN;
    request->needs.size = random_size(world);
    request->needs.alignment = (VkDeviceSize)1
                               << (chance(world, 80) ? below(world, 9) : below(world, 18));
    request->needs.memoryTypeBits =
        chance(world, 70) ? all : (uint32_t)testing_random(&world->random) & all;
}

static void random_flags(World* world, SxvkAllocationCreateInfo* info) {
    const SxvkAllocationCreateFlags strategies[] = {
        SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT,
        SXVK_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT,
        SXVK_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT,
    };
    if (chance(world, 50)) {
        info->flags |= chance(world, 50) ? SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT
                                         : SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;
        if (chance(world, 20)) {
            info->flags |= SXVK_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT;
        }
    }
    info->flags |= chance(world, 30) ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0;
    info->flags |= chance(world, 30) ? strategies[below(world, 3)] : 0;
    info->flags |= chance(world, 10) ? SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT : 0;
    info->flags |= chance(world, 10) ? SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT : 0;
    switch (below(world, 30)) {
    case 0: info->flags |= SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT; break;
    case 1: info->flags |= SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT; break;
    default: break;
    }
}

static void random_wish(World* world, SxvkAllocationCreateInfo* info) {
    static const VkMemoryPropertyFlags flags[] = {
        VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT,
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
        VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
    };
    switch (below(world, 12)) {
    case 0: info->usage = SXVK_MEMORY_USAGE_GPU_LAZILY_ALLOCATED; break;
    case 1:
    case 2: info->usage = SXVK_MEMORY_USAGE_AUTO_PREFER_DEVICE; break;
    case 3:
    case 4: info->usage = SXVK_MEMORY_USAGE_AUTO_PREFER_HOST; break;
    case 5:
    case 6: info->usage = SXVK_MEMORY_USAGE_UNKNOWN; break;
    default: info->usage = SXVK_MEMORY_USAGE_AUTO; break;
    }
    info->requiredFlags = chance(world, 15) ? flags[below(world, 4)] : 0;
    info->preferredFlags = chance(world, 15) ? flags[below(world, 4)] : 0;
    info->avoidedFlags = chance(world, 10) ? flags[below(world, 4)] & ~info->requiredFlags : 0;
    info->memoryTypeBits = chance(world, 8) ? (uint32_t)testing_random(&world->random) : 0;
}

static void random_request(World* world, Request* request) {
    SxvkAllocationCreateInfo* info = &request->info;
    memset(request, 0, sizeof *request);
    request->make = (Make)below(world, MAKE_COUNT);
    if (chance(world, 55)) {
        request->make = chance(world, 70) ? MAKE_BUFFER : MAKE_IMAGE;
    }
    request->alignment =
        request->make == MAKE_BUFFER_ALIGNED ? (VkDeviceSize)1 << below(world, 17) : 1;
    if (request->make <= MAKE_BUFFER_BY_HAND) {
        random_buffer(world, request);
    } else if (request->make <= MAKE_IMAGE_BY_HAND) {
        random_image(world, request);
    } else {
        random_needs(world, request);
    }
    if (request->make == MAKE_IMAGE_BY_HAND) {
        request->kind = KIND_UNKNOWN;
    }
    ask_needs(world, request);
    random_wish(world, info);
    random_flags(world, info);
    info->minAlignment = chance(world, 10) ? (VkDeviceSize)1 << below(world, 17) : 0;
    info->priority = chance(world, 10) ? (float)below(world, 100) / 99.0f : 0.0f;
    if (chance(world, 25)) {
        info->module = world->modules[below(world, MODULE_MAX)].module;
    }
    if (chance(world, 20)) {
        info->pUserData = (void*)(uintptr_t)(1 + below(world, 1000000));
    }
    if (chance(world, 2) &&
        (world->info.flags & SXVK_ALLOCATOR_CREATE_EXT_MEMORY_PRIORITY_BIT) != 0) {
        request->chain.sType = VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT;
        request->chain.priority = 0.25f;
        info->pNext = &request->chain;
    }
    if (info->pNext != NULL || request->make == MAKE_BUFFER_DEDICATED ||
        request->make == MAKE_IMAGE_DEDICATED || request->make == MAKE_MEMORY_DEDICATED) {
        info->flags &= ~(VkFlags)SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT;
    }
}

/*  A pool that may take the request, sometimes. */
static Pool* random_pool(World* world, const Request* request) {
    Pool* pool;
    if (world->poolCount == 0 || chance(world, 65)) {
        return NULL;
    }
    pool = &world->pools[below(world, world->poolCount)];
    if ((pool->info.flags & SXVK_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT) != 0 &&
        request->kind != KIND_LINEAR) {
        return NULL;
    }
    return pool;
}

/* ------------------------------------------------------------------ allocating and freeing */

static VkResult make_by_hand(World* world, const Request* request, Item* item,
                             SxvkAllocationInfo* info) {
    const SxvkVulkanFunctions* fn = &world->functions;
    VkDevice device = sim_device(world->sim);
    VkResult result;
    if (request->make == MAKE_BUFFER_BY_HAND) {
        result = fn->vkCreateBuffer(device, &request->buffer, world->callbacks, &item->buffer);
        if (result == VK_SUCCESS) {
            result = sxvkAllocateMemoryForBuffer(world->allocator, item->buffer, &request->info,
                                                 &item->allocation, info);
        }
        if (result == VK_SUCCESS) {
            result = sxvkBindBufferMemory(world->allocator, item->allocation, item->buffer);
        }
    } else {
        result = fn->vkCreateImage(device, &request->image, world->callbacks, &item->image);
        if (result == VK_SUCCESS) {
            result = sxvkAllocateMemoryForImage(world->allocator, item->image, &request->info,
                                                &item->allocation, info);
        }
        if (result == VK_SUCCESS) {
            result = sxvkBindImageMemory(world->allocator, item->allocation, item->image);
        }
    }
    if (result != VK_SUCCESS) {
        fn->vkDestroyBuffer(device, item->buffer, world->callbacks);
        fn->vkDestroyImage(device, item->image, world->callbacks);
        sxvkFreeMemory(world->allocator, item->allocation);
        memset(item, 0, sizeof *item);
        memset(info, 0, sizeof *info);
    }
    return result;
}

static VkResult make_item(World* world, const Request* request, Item* item,
                          SxvkAllocationInfo* info) {
    SxvkAllocator allocator = world->allocator;
    switch (request->make) {
    case MAKE_BUFFER:
        return sxvkCreateBuffer(allocator, &request->buffer, &request->info, &item->buffer,
                                &item->allocation, info);
    case MAKE_BUFFER_ALIGNED:
        return sxvkCreateBufferWithAlignment(allocator, &request->buffer, &request->info,
                                             request->alignment, &item->buffer, &item->allocation,
                                             info);
    case MAKE_BUFFER_DEDICATED:
        return sxvkCreateDedicatedBuffer(allocator, &request->buffer, &request->info, NULL,
                                         &item->buffer, &item->allocation, info);
    case MAKE_IMAGE:
        return sxvkCreateImage(allocator, &request->image, &request->info, &item->image,
                               &item->allocation, info);
    case MAKE_IMAGE_DEDICATED:
        return sxvkCreateDedicatedImage(allocator, &request->image, &request->info, NULL,
                                        &item->image, &item->allocation, info);
    case MAKE_MEMORY:
        return sxvkAllocateMemory(allocator, &request->needs, &request->info, &item->allocation,
                                  info);
    case MAKE_MEMORY_DEDICATED:
        return sxvkAllocateDedicatedMemory(allocator, &request->needs, &request->info, NULL,
                                           &item->allocation, info);
    default: return make_by_hand(world, request, item, info);
    }
}

static void note_layout(World* world, uint64_t value) {
    world->report->layout =
        (world->report->layout ^ value) * UINT64_C(0x100000001B3) + (value >> 32);
}

/*  The new item, in the list. */
static void add_item(World* world, const Request* request, Pool* pool, Item* item,
                     const SxvkAllocationInfo* info) {
    SxvkAllocationInfo2 info2;
    Item* added = &world->items[world->itemCount++];
    sxvkGetAllocationInfo2(world->allocator, item->allocation, &info2);
    CHECK(memcmp(&info->offset, &info2.allocationInfo.offset, sizeof info->offset) == 0 &&
              info->size == info2.allocationInfo.size &&
              info->deviceMemory == info2.allocationInfo.deviceMemory &&
              info->memoryType == info2.allocationInfo.memoryType &&
              info->pMappedData == info2.allocationInfo.pMappedData &&
              info->pUserData == info2.allocationInfo.pUserData &&
              info->pName == info2.allocationInfo.pName,
          "the info that came with the allocation is not what sxvkGetAllocationInfo2 gives");
    *added = *item;
    added->request = *request;
    added->pool = pool;
    added->module = request->info.module;
    if (added->module == VK_NULL_HANDLE && pool != NULL) {
        added->module = pool->info.module;
    }
    CHECK(info2.module == added->module && !info2.isFallback, "another module than was asked for");
    added->info = *info;
    added->info.pName = NULL;
    added->blockSize = info2.blockSize;
    added->dedicated = info2.dedicatedMemory != VK_FALSE;
    added->properties = type_flags(world, info->memoryType);
    added->persistent = (request->info.flags & SXVK_ALLOCATION_CREATE_MAPPED_BIT) != 0 &&
                        (added->properties & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0;
    added->alignment = max_size(request->needs.alignment, request->info.minAlignment);
    added->alignment =
        max_size(max_size(added->alignment, request->alignment), world->debug.minAlignment);
    if (pool != NULL) {
        added->alignment = max_size(added->alignment, pool->info.minAllocationAlignment);
    }
    if (added->module != VK_NULL_HANDLE && request->make <= MAKE_BUFFER_BY_HAND) {
        added->alignment =
            max_size(added->alignment, find_module(world, added->module)->info.minBufferAlignment);
    }
    note_layout(world, info->offset);
    note_layout(world, info->size);
    note_layout(world, info2.blockSize * 64 + info->memoryType * 2 + added->dedicated);
    say(world, "    type %u, offset %" PRIu64 ", size %" PRIu64 ", block %" PRIu64 "%s\n",
        info->memoryType, info->offset, info->size, info2.blockSize,
        added->dedicated ? ", dedicated" : "");
}

static VkResult allocate(World* world, Request* request, Pool* pool, const char* name) {
    uint64_t calls = sim_calls(world->sim, SIM_CALL_ALLOCATE_MEMORY);
    bool never = (request->info.flags & SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT) != 0;
    uint32_t best = UINT32_MAX;
    SxvkAllocationInfo info;
    VkResult result;
    Item item;
    memset(&item, 0, sizeof item);
    memset(&info, 0xEE, sizeof info);
    request->info.pool = pool != NULL ? pool->pool : VK_NULL_HANDLE;
    request->info.pName = name;
    say(world,
        "allocate %s, %" PRIu64 " bytes, alignment %" PRIu64 ", bits %#x, flags %#x, usage %d"
        "%s\n",
        makeNames[request->make], request->needs.size, request->needs.alignment,
        request->needs.memoryTypeBits, request->info.flags, (int)request->info.usage,
        pool != NULL ? ", pool" : "");
    if (pool == NULL && !world->replay) {
        best = find_type(world, request);
    }
    plant(world);
    result = make_item(world, request, &item, &info);
    reap(world);
    note_layout(world, (uint64_t)(uint32_t)result);
    CHECK(result <= 0, "VkResult %d", (int)result);
    CHECK(!never || calls == sim_calls(world->sim, SIM_CALL_ALLOCATE_MEMORY),
          "vkAllocateMemory was called in spite of NEVER_ALLOCATE");
    if (result == VK_SUCCESS) {
        add_item(world, request, pool, &item, &info);
        if (name != NULL) {
            (void)snprintf(world->items[world->itemCount - 1].name, sizeof item.name, "%s", name);
        }
        if (!world->replay) {
            check_new(world, &world->items[world->itemCount - 1]);
        }
        return result;
    }
    say(world, "    VkResult %d\n", (int)result);
    CHECK(item.allocation == VK_NULL_HANDLE && item.buffer == VK_NULL_HANDLE &&
              item.image == VK_NULL_HANDLE,
          "a handle is not null after VkResult %d", (int)result);
    CHECK(info.deviceMemory == VK_NULL_HANDLE && info.size == 0 && info.pMappedData == NULL,
          "the info is not zero after VkResult %d", (int)result);
    if (!is_faulty(world) && !world->replay) {
        check_excuse(world, request, pool, best, result);
    }
    return result;
}

static void remember_stale(World* world, SxvkAllocation allocation) {
    world->stale[world->staleCount++ % STALE_MAX] = allocation;
}

static void remove_item(World* world, Item* item) {
    remember_stale(world, item->allocation);
    *item = world->items[--world->itemCount];
}

static void free_item(World* world, Item* item) {
    bool mapped = item->maps != 0;
    say(world, "free %s, %" PRIu64 " bytes at %" PRIu64 " of type %u, %u maps\n",
        makeNames[item->request.make], item->info.size, item->info.offset, item->info.memoryType,
        item->maps);
    verify_item(world, item);
    if (item->image != VK_NULL_HANDLE) {
        sxvkDestroyImage(world->allocator, item->image, item->allocation);
    } else if (item->buffer != VK_NULL_HANDLE) {
        sxvkDestroyBuffer(world->allocator, item->buffer, item->allocation);
    } else {
        sxvkFreeMemory(world->allocator, item->allocation);
    }
    if (mapped) {
        expect_message(world, SXVK_MESSAGE_FREED_WHILE_MAPPED);
    }
    remove_item(world, item);
}

static Item* random_item(World* world) {
    return world->itemCount == 0 ? NULL : &world->items[below(world, world->itemCount)];
}

/* ------------------------------------------------------------------ operations */

static void op_allocate(World* world) {
    char name[24];
    Request request;
    Pool* pool;
    VkResult result;
    if (world->itemCount == ITEM_MAX) {
        free_item(world, random_item(world));
        return;
    }
    random_request(world, &request);
    pool = random_pool(world, &request);
    (void)snprintf(name, sizeof name, "item %u", below(world, 100000));
    result = allocate(world, &request, pool, chance(world, 15) ? name : NULL);
    if (result == VK_SUCCESS) {
        Item* item = &world->items[world->itemCount - 1];
        if ((item->properties & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0 && chance(world, 75)) {
            fill_item(world, item, testing_random(&world->random) | 1);
        }
    }
}

static void op_free(World* world) {
    if (world->itemCount != 0) {
        free_item(world, random_item(world));
    }
}

static void op_pages(World* world) {
    enum { PAGE_MAX = 8 };
    SxvkAllocationCreateInfo infos[PAGE_MAX];
    VkMemoryRequirements needs[PAGE_MAX];
    SxvkAllocationInfo results[PAGE_MAX];
    SxvkAllocation allocations[PAGE_MAX];
    uint32_t i, count = 1 + below(world, PAGE_MAX);
    uint32_t live = world->itemCount;
    Request request;
    VkResult result;
    if (world->itemCount + count > ITEM_MAX) {
        return;
    }
    random_request(world, &request);
    request.make = MAKE_MEMORY;
    request.alignment = 1;
    random_needs(world, &request);
    for (i = 0; i < PAGE_MAX; i++) {
        infos[i] = request.info;
        needs[i] = request.needs;
    }
    say(world, "allocate %u pages of %" PRIu64 " bytes\n", count, request.needs.size);
    plant(world);
    result = sxvkAllocateMemoryPages(world->allocator, needs, infos, count, allocations, results);
    reap(world);
    note_layout(world, (uint64_t)(uint32_t)result);
    for (i = 0; i < count; i++) {
        CHECK((allocations[i] != VK_NULL_HANDLE) == (result == VK_SUCCESS), "not all or none");
        if (result == VK_SUCCESS) {
            Item item;
            memset(&item, 0, sizeof item);
            item.allocation = allocations[i];
            add_item(world, &request, NULL, &item, &results[i]);
        }
    }
    for (i = live; i < world->itemCount && !world->replay; i++) {
        check_new(world, &world->items[i]);
    }
    if (result == VK_SUCCESS && chance(world, 30)) {
        allocations[below(world, count)] = VK_NULL_HANDLE;
        sxvkFreeMemoryPages(world->allocator, count, allocations);
        for (i = world->itemCount; i-- != live;) {
            Item* item = &world->items[i];
            if (!sxvkIsAllocationValid(world->allocator, item->allocation)) {
                remove_item(world, item);
            }
        }
        CHECK(world->itemCount == live + 1, "%u of %u pages are left", world->itemCount - live,
              count);
    }
}

/*  Free, and ask for the same at once: where its block stays there is room. */
static void again(World* world, Item* item) {
    bool stays = false, exact;
    VkDeviceSize unit;
    Request request;
    Pool* pool;
    uint32_t i;
    if (item->dedicated ||
        (item->request.make != MAKE_BUFFER && item->request.make != MAKE_MEMORY)) {
        return;
    }
    for (i = 0; i < world->itemCount; i++) {
        stays = stays || (&world->items[i] != item &&
                          world->items[i].info.deviceMemory == item->info.deviceMemory);
    }
    if (!stays) {
        return;
    }
    request = item->request;
    pool = item->pool;
    unit = request.kind == KIND_UNKNOWN ||
                   (request.info.flags & SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT) != 0
               ? world->granularity
               : 1;
    unit = max_size(unit, wants_flush(item->properties) ? world->atom : 1);
    exact = max_size(unit, item->alignment) <= 16; /* else the search may miss a range */
    memset(&request.info, 0, sizeof request.info);
    request.info.minAlignment = item->alignment;
    request.info.flags = (item->request.info.flags & (SXVK_ALLOCATION_CREATE_STRATEGY_MASK |
                                                      SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT)) |
                         SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT;
    request.info.memoryTypeBits = 1u << item->info.memoryType;
    request.info.preferredFlags = item->properties; /* also where it is a special one */
    free_item(world, item);
    CHECK(allocate(world, &request, pool, NULL) == VK_SUCCESS || !exact || is_faulty(world),
          "%" PRIu64 " bytes were freed, and could not be had again", request.needs.size);
}

static void op_again(World* world) {
    if (world->itemCount != 0) {
        again(world, random_item(world));
    }
}

/*  A pool that may not grow, full of buffers of almost one size. */
static void op_fill(World* world) {
    Pool* pool = &world->pools[below(world, POOL_MAX)];
    VkDeviceSize size = pool->info.blockSize / (4 + below(world, 30));
    uint32_t first = world->itemCount, tries;
    Request request;
    if (pool >= &world->pools[world->poolCount] || pool->info.maxBlockCount == 0 || size < 1024) {
        return;
    }
    for (tries = 0; tries < 40 && world->itemCount < ITEM_MAX; tries++) {
        memset(&request, 0, sizeof request);
        request.make = MAKE_BUFFER;
        request.kind = KIND_LINEAR;
        request.alignment = 1;
        request.buffer = testing_buffer(size + below(world, (uint32_t)(size / 30)),
                                        VK_BUFFER_USAGE_TRANSFER_DST_BIT);
        ask_needs(world, &request);
        if (allocate(world, &request, pool, NULL) != VK_SUCCESS && !is_faulty(world)) {
            break;
        }
    }
    for (tries = 0; tries < 40 && first < world->itemCount; tries++) {
        Item* item = &world->items[first + below(world, world->itemCount - first)];
        if (tries % 8 == 7) {
            free_item(world, item);
        } else {
            again(world, item);
        }
    }
}

/*  Small buffers or ranges of one size, as slabs want them; then most are freed, in any order. The
    twins of an operation name the same size, so that what one leaves the next one finds. */
static void op_burst(World* world) {
    static const VkDeviceSize sizes[] = {16, 64, 200, 256, 640, 1024};
    VkDeviceSize size = sizes[below(world, 6)];
    uint32_t kept = below(world, 30), first = world->itemCount, tries = 20 + below(world, 60), i;
    uint32_t p = below(world, 2 * POOL_MAX);
    Pool* pool = p < world->poolCount ? &world->pools[p] : NULL;
    SxvkAllocationCreateFlags flags =
        chance(world, 30) ? SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT : 0;
    VkMemoryPropertyFlags required = chance(world, 50) ? VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT : 0;
    bool memory = chance(world, 30), named = chance(world, 20);
    Request request;
    char name[24];
    if (pool != NULL &&
        (pool->info.flags & SXVK_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT) != 0) {
        pool = NULL;
    }
    say(world, "burst of %u\n", tries);
    for (i = 0; i < tries && world->itemCount < ITEM_MAX; i++) {
        memset(&request, 0, sizeof request);
        request.alignment = 1;
        request.info.flags = flags;
        request.info.requiredFlags = required;
        if (memory) {
            request.make = MAKE_MEMORY;
            request.kind = KIND_UNKNOWN;
            request.needs = testing_requirements(
                size, 16, type_count(world) == 32 ? UINT32_MAX : (1u << type_count(world)) - 1);
        } else {
            request.make = MAKE_BUFFER;
            request.kind = KIND_LINEAR;
            request.buffer = testing_buffer(size, VK_BUFFER_USAGE_TRANSFER_DST_BIT);
            ask_needs(world, &request);
        }
        (void)snprintf(name, sizeof name, "burst %u", i);
        if (allocate(world, &request, pool, named && i % 5 == 0 ? name : NULL) != VK_SUCCESS) {
            continue;
        }
        if ((world->items[world->itemCount - 1].properties & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) !=
                0 &&
            i % 4 == 0) {
            fill_item(world, &world->items[world->itemCount - 1],
                      testing_random(&world->random) | 1);
        }
    }
    while (world->itemCount > first + (tries * kept) / 100) {
        free_item(world, &world->items[first + below(world, world->itemCount - first)]);
    }
}

static void op_map(World* world) {
    Item* item = random_item(world);
    uint32_t times = chance(world, 4) ? 256 : 1 + below(world, 3);
    if (item == NULL) {
        return;
    }
    say(world, "map %u times\n", times);
    while (times-- != 0) {
        void* data = NULL;
        VkResult result;
        plant(world);
        result = sxvkMapMemory(world->allocator, item->allocation, &data);
        reap(world);
        CHECK((result == VK_SUCCESS) == (data != NULL), "VkResult %d, pointer %p", (int)result,
              data);
        if ((item->properties & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) == 0) {
            CHECK(result == VK_ERROR_MEMORY_MAP_FAILED, "mapped what the host does not see");
            expect_message(world, SXVK_MESSAGE_NOT_HOST_VISIBLE);
            return;
        }
        if (item->maps == 255) {
            CHECK(result == VK_ERROR_MEMORY_MAP_FAILED, "mapped 256 times");
            expect_message(world, SXVK_MESSAGE_TOO_MANY_MAPS);
            /* Some maps must be left for the checks of contents. */
            while (item->maps > 3) {
                sxvkUnmapMemory(world->allocator, item->allocation);
                item->maps--;
            }
            return;
        }
        CHECK(result == VK_SUCCESS || is_faulty(world), "sxvkMapMemory gave %d", (int)result);
        if (result == VK_SUCCESS) {
            SxvkAllocationInfo info;
            item->maps++;
            sxvkGetAllocationInfo(world->allocator, item->allocation, &info);
            CHECK(info.pMappedData == data, "pMappedData is %p, mapped at %p", info.pMappedData,
                  data);
        }
    }
    while (item->maps > 250) {
        sxvkUnmapMemory(world->allocator, item->allocation);
        item->maps--;
    }
}

static void op_unmap(World* world) {
    Item* item = random_item(world);
    if (item == NULL) {
        return;
    }
    say(world, "unmap %u of %u\n", item->maps != 0, item->maps);
    sxvkUnmapMemory(world->allocator, item->allocation);
    if (item->maps == 0) {
        expect_message(world, SXVK_MESSAGE_NOT_MAPPED);
    } else {
        item->maps--;
    }
}

static void op_flush(World* world) {
    enum { COUNT_MAX = 40 };
    SxvkAllocation allocations[COUNT_MAX];
    VkDeviceSize offsets[COUNT_MAX];
    VkDeviceSize sizes[COUNT_MAX];
    uint32_t i, count = 0;
    bool has_null;
    VkResult result;
    for (i = 0; i < world->itemCount && count < COUNT_MAX; i++) {
        const Item* item = &world->items[i];
        if ((item->maps != 0 || item->persistent) && chance(world, 60)) {
            allocations[count] = item->allocation;
            offsets[count] = testing_log_uniform(&world->random, 1, item->info.size) - 1;
            sizes[count] =
                chance(world, 30)
                    ? VK_WHOLE_SIZE
                    : testing_log_uniform(&world->random, 1, item->info.size - offsets[count]);
            count++;
        }
    }
    say(world, "flush %u\n", count);
    has_null = count != 0 && chance(world, 10);
    if (has_null) {
        allocations[below(world, count)] = VK_NULL_HANDLE;
    }
    plant(world);
    result = chance(world, 50)
                 ? sxvkFlushAllocations(world->allocator, count, allocations, offsets, sizes)
                 : sxvkInvalidateAllocations(world->allocator, count, allocations, offsets, sizes);
    reap(world);
    CHECK(has_null ? result == VK_ERROR_VALIDATION_FAILED_EXT
                   : result == VK_SUCCESS || is_faulty(world),
          "VkResult %d", (int)result);
    if (has_null) {
        expect_message(world, SXVK_MESSAGE_NULL_ARGUMENT);
    }
}

/*  Part of an item through the copy functions. */
static void op_copy(World* world) {
    uint8_t bytes[300];
    uint8_t back[300];
    Item* item = random_item(world);
    VkDeviceSize offset, size, i;
    VkResult result;
    if (item == NULL || (item->properties & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) == 0) {
        return;
    }
    verify_item(world, item);
    size = 1 + below(world, (uint32_t)min_size(item->info.size, sizeof bytes));
    offset = testing_log_uniform(&world->random, 1, item->info.size - size + 1) - 1;
    for (i = 0; i < size; i++) {
        bytes[i] = pattern_byte(item->pattern, offset + i);
    }
    say(world, "copy %" PRIu64 " bytes to %" PRIu64 "\n", size, offset);
    plant(world);
    result = sxvkCopyMemoryToAllocation(world->allocator, bytes, item->allocation, offset, size);
    reap(world);
    CHECK(result == VK_SUCCESS || is_faulty(world), "copy to it: VkResult %d", (int)result);
    if (result == VK_SUCCESS) {
        result = sxvkCopyAllocationToMemory(world->allocator, item->allocation, offset, back, size);
        CHECK(result == VK_SUCCESS || is_faulty(world), "copy from it: VkResult %d", (int)result);
        CHECK(result != VK_SUCCESS || memcmp(bytes, back, (size_t)size) == 0,
              "not what was copied");
    }
}

static void op_name(World* world) {
    Item* item = random_item(world);
    char name[24] = "";
    VkResult result;
    if (item == NULL) {
        return;
    }
    if (chance(world, 80)) {
        (void)snprintf(name, sizeof name, "renamed \"%u\"\n\\", below(world, 10000));
    }
    say(world, "name\n");
    plant(world);
    result = sxvkSetAllocationName(world->allocator, item->allocation, name[0] != 0 ? name : NULL);
    reap(world);
    CHECK(result == VK_SUCCESS || (result == VK_ERROR_OUT_OF_HOST_MEMORY && is_faulty(world)),
          "VkResult %d", (int)result);
    if (result == VK_SUCCESS) {
        memcpy(item->name, name, sizeof name);
    }
}

static void op_user_data(World* world) {
    Item* item = random_item(world);
    void* data = (void*)(uintptr_t)below(world, 1000000);
    VkResult result;
    if (item == NULL) {
        return;
    }
    say(world, "user data\n");
    plant(world);
    result = sxvkSetAllocationUserData(world->allocator, item->allocation, data);
    reap(world);
    CHECK(result == VK_SUCCESS || (result == VK_ERROR_OUT_OF_HOST_MEMORY && is_faulty(world)),
          "VkResult %d", (int)result);
    if (result == VK_SUCCESS) {
        item->info.pUserData = data;
    }
}

static void op_priority(World* world) {
    Item* item = random_item(world);
    bool able =
        (world->info.flags & SXVK_ALLOCATOR_CREATE_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_BIT) != 0;
    VkResult result;
    if (item != NULL) {
        result = sxvkSetAllocationPriority(world->allocator, item->allocation, 0.75f);
        CHECK(result == (able && item->dedicated ? VK_SUCCESS : VK_ERROR_FEATURE_NOT_PRESENT),
              "VkResult %d", (int)result);
    }
}

/*  Empty blocks that no minBlockCount keeps: all of them go. */
static void op_trim(World* world) {
    VkDeviceSize before = sim_live_memory_total(world->sim);
    VkDeviceSize freed = sxvkTrim(world->allocator);
    say(world, "trim: %" PRIu64 " bytes\n", freed);
    CHECK(before - sim_live_memory_total(world->sim) == freed, "sxvkTrim said %" PRIu64, freed);
    CHECK(sxvkTrim(world->allocator) == 0, "a second trim found something");
    note_layout(world, freed);
}

/*  Was some heap over its budget while it still had what is freed since? */
static bool was_over_budget(World* world, const VkDeviceSize before[VK_MAX_MEMORY_HEAPS]) {
    uint32_t h;
    for (h = 0; h < world->profile->memory.memoryHeapCount; h++) {
        SxvkBudget budget;
        sxvkGetHeapBudget(world->allocator, h, &budget);
        if (budget.usage + before[h] - sim_live_memory_bytes(world->sim, h) > budget.budget) {
            return true;
        }
    }
    return false;
}

/*  One empty block a tick goes back, or all of a heap that is over its budget. */
static void op_frame(World* world) {
    uint64_t frees = sim_calls(world->sim, SIM_CALL_FREE_MEMORY);
    VkDeviceSize before[VK_MAX_MEMORY_HEAPS];
    uint32_t h;
    for (h = 0; h < VK_MAX_MEMORY_HEAPS; h++) {
        before[h] = sim_live_memory_bytes(world->sim, h);
    }
    world->frame += chance(world, 70) ? 1 : below(world, 3000);
    say(world, "frame %u\n", world->frame);
    sxvkSetCurrentFrameIndex(world->allocator, world->frame);
    CHECK(sim_calls(world->sim, SIM_CALL_FREE_MEMORY) <= frees + 1 ||
              was_over_budget(world, before),
          "a tick freed several blocks");
    note_layout(world, sim_live_memory_total(world->sim));
}

/*  What the driver says of the budget, sensible or not; and then a request that must keep to it. */
static void op_budget(World* world) {
    uint32_t heap = below(world, world->profile->memory.memoryHeapCount);
    VkDeviceSize size = world->profile->memory.memoryHeaps[heap].size;
    VkDeviceSize live = sim_live_memory_bytes(world->sim, heap);
    VkDeviceSize others = chance(world, 20) ? size / 2 : 0;
    VkDeviceSize limit =
        chance(world, 20) ? UINT64_MAX : live + others + (1 + below(world, 64)) * MIB;
    Request request;
    if (world->itemCount == ITEM_MAX) {
        return;
    }
    say(world, "budget of heap %u: %" PRIu64 ", others %" PRIu64 "\n", heap, limit, others);
    sim_set_budget(world->sim, heap, limit, others);
    sxvkSetCurrentFrameIndex(world->allocator, world->frame);
    random_request(world, &request);
    request.info.flags |= SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT;
    live = sim_live_memory_bytes(world->sim, heap);
    if (allocate(world, &request, NULL, NULL) == VK_SUCCESS &&
        (world->info.flags & SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT) != 0) {
        VkDeviceSize after = sim_live_memory_bytes(world->sim, heap);
        CHECK(after <= live || after + others <= min_size(limit, world->heapSizeLimit[heap]),
              "over a budget of %" PRIu64 ": %" PRIu64 " + %" PRIu64, limit, after, others);
    }
    if (chance(world, 70)) {
        sim_set_budget(world->sim, heap, size, 0);
        sxvkSetCurrentFrameIndex(world->allocator, world->frame);
    }
}

/*  The device runs out: from now on a heap gives only so much. */
static void op_heap_limit(World* world) {
    uint32_t heap = below(world, world->profile->memory.memoryHeapCount);
    VkDeviceSize live = sim_live_memory_bytes(world->sim, heap);
    world->heapDriverLimit[heap] =
        chance(world, 50) ? VK_WHOLE_SIZE : live + below(world, 20) * MIB;
    say(world, "heap %u gives %" PRIu64 " bytes\n", heap, world->heapDriverLimit[heap]);
    reap(world);
}

static void op_create_pool(World* world) {
    const VkMemoryPropertyFlags special =
        VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD |
        VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT;
    uint32_t type = below(world, type_count(world));
    Pool* pool = &world->pools[world->poolCount];
    SxvkPoolCreateInfo* info = &pool->info;
    VkResult result;
    if (world->poolCount == POOL_MAX || (type_flags(world, type) & special) != 0) {
        return;
    }
    memset(pool, 0, sizeof *pool);
    info->memoryTypeIndex = type;
    info->flags = chance(world, 25) ? SXVK_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT : 0;
    info->flags |= chance(world, 15) ? SXVK_POOL_CREATE_EXTERNALLY_SYNCHRONIZED_BIT : 0;
    if (chance(world, 65)) {
        info->blockSize = testing_log_uniform(&world->random, 4096, 8 * MIB);
        info->blockSize = chance(world, 70) ? align_up(info->blockSize, 65536) : info->blockSize;
    }
    info->minBlockCount = chance(world, 40) ? below(world, 3) : 0;
    info->maxBlockCount = chance(world, 40) ? info->minBlockCount + below(world, 3) : 0;
    info->module = world->modules[below(world, MODULE_MAX)].module;
    info->minAllocationAlignment = chance(world, 20) ? (VkDeviceSize)1 << below(world, 13) : 0;
    say(world, "create pool, type %u, blocks of %" PRIu64 ", %zu to %zu, flags %#x\n", type,
        info->blockSize, info->minBlockCount, info->maxBlockCount, info->flags);
    plant(world);
    result = sxvkCreatePool(world->allocator, info, &pool->pool);
    reap(world);
    note_layout(world, (uint64_t)(uint32_t)result);
    CHECK((result == VK_SUCCESS) == (pool->pool != VK_NULL_HANDLE), "VkResult %d, pool %p",
          (int)result, (void*)pool->pool);
    if (result == VK_SUCCESS) {
        world->poolCount++;
    } else {
        VkDeviceSize block = max_size(info->blockSize, 256 * MIB);
        CHECK(is_faulty(world) || info->minBlockCount != 0, "VkResult %d", (int)result);
        CHECK(is_faulty(world) || !has_room(world, type, block * info->minBlockCount),
              "VkResult %d with room for %zu blocks", (int)result, info->minBlockCount);
    }
}

/*  Destroy the resource of an item, not its memory. */
static void drop_resource(World* world, Item* item) {
    VkDevice device = sim_device(world->sim);
    world->functions.vkDestroyBuffer(device, item->buffer, world->callbacks);
    world->functions.vkDestroyImage(device, item->image, world->callbacks);
    item->buffer = VK_NULL_HANDLE;
    item->image = VK_NULL_HANDLE;
}

/*  The pool goes with what lives in it, or after it. */
static void destroy_pool(World* world, uint32_t p, bool leak) {
    Pool* pool = &world->pools[p];
    uint32_t i, leaks = 0;
    say(world, "destroy pool%s\n", leak ? " with all in it" : "");
    for (i = world->itemCount; i-- != 0;) {
        Item* item = &world->items[i];
        if (item->pool == pool && leak) {
            verify_item(world, item);
            drop_resource(world, item);
            leaks++;
            remove_item(world, item);
        } else if (item->pool == pool) {
            free_item(world, item);
        }
    }
    sxvkDestroyPool(world->allocator, pool->pool);
    CHECK(world->messages.counts[SXVK_MESSAGE_LEAKED_ALLOCATION] == leaks &&
              world->messages.total == leaks,
          "%u messages for %u leaks", world->messages.total, leaks);
    messages_clear(&world->messages);
    world->poolCount--;
    for (i = 0; i < world->itemCount; i++) {
        if (world->items[i].pool == &world->pools[world->poolCount]) {
            world->items[i].pool = pool;
        }
    }
    *pool = world->pools[world->poolCount];
}

static void op_destroy_pool(World* world) {
    if (world->poolCount != 0) {
        destroy_pool(world, below(world, world->poolCount), chance(world, 20));
    }
}

static void op_pool_name(World* world) {
    Pool* pool = &world->pools[below(world, POOL_MAX)];
    char name[24] = "";
    VkResult result;
    if (pool >= &world->pools[world->poolCount]) {
        return;
    }
    if (chance(world, 70)) {
        (void)snprintf(name, sizeof name, "pool %u", below(world, 1000));
    }
    plant(world);
    result = sxvkSetPoolName(world->allocator, pool->pool, name[0] != 0 ? name : NULL);
    reap(world);
    CHECK(result == VK_SUCCESS || (result == VK_ERROR_OUT_OF_HOST_MEMORY && is_faulty(world)),
          "VkResult %d", (int)result);
    if (result == VK_SUCCESS) {
        memcpy(pool->name, name, sizeof name);
    }
}

/*  A pool that keeps an empty block serves a request of its whole size. */
static void op_whole_block(World* world) {
    VkDeviceSize unit = max_size(max_size(world->granularity, world->atom), 16);
    uint32_t i, p = below(world, POOL_MAX);
    const Pool* pool = &world->pools[p];
    Request request;
    if (p >= world->poolCount || pool->info.minBlockCount == 0 || pool->info.blockSize == 0 ||
        pool->info.blockSize % unit != 0 || world->debug.margin != 0 ||
        (pool->info.flags & SXVK_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT) != 0 ||
        (world->debug.flags & SXVK_DEBUG_ALWAYS_DEDICATED_BIT) != 0) {
        return;
    }
    for (i = world->itemCount; i-- != 0;) {
        if (world->items[i].pool == pool) {
            free_item(world, &world->items[i]);
        }
    }
    memset(&request, 0, sizeof request);
    request.make = MAKE_MEMORY;
    request.kind = KIND_UNKNOWN;
    request.alignment = 1;
    request.needs.size = pool->info.blockSize;
    request.needs.alignment = unit;
    request.needs.memoryTypeBits = 1u << pool->info.memoryTypeIndex;
    request.info.flags = SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT;
    CHECK(world->itemCount == ITEM_MAX ||
              allocate(world, &request, &world->pools[p], NULL) == VK_SUCCESS || is_faulty(world),
          "an empty block of %" PRIu64 " bytes does not serve as many", pool->info.blockSize);
}

/*  Handles of the past: each function says so and does nothing. */
static void op_stale(World* world) {
    SxvkAllocator allocator = world->allocator;
    SxvkAllocation stale;
    SxvkAllocationInfo info;
    VkResult result = VK_ERROR_VALIDATION_FAILED_EXT;
    VkDeviceSize zero = 0;
    uint8_t byte = 0;
    void* data = &byte;
    if (world->staleCount == 0) {
        return;
    }
    stale =
        world->stale[below(world, world->staleCount < STALE_MAX ? world->staleCount : STALE_MAX)];
    CHECK(!sxvkIsAllocationValid(allocator, stale), "a freed allocation is valid");
    CHECK(world->messages.total == 0, "sxvkIsAllocationValid reported something");
    switch (below(world, 12)) {
    case 0: sxvkFreeMemory(allocator, stale); break;
    case 1: sxvkFreeMemoryPages(allocator, 1, &stale); break;
    case 2: sxvkDestroyBuffer(allocator, VK_NULL_HANDLE, stale); break;
    case 3: sxvkDestroyImage(allocator, VK_NULL_HANDLE, stale); break;
    case 4:
        result = sxvkMapMemory(allocator, stale, &data);
        CHECK(data == NULL, "a pointer into freed memory");
        break;
    case 5: sxvkUnmapMemory(allocator, stale); break;
    case 6:
        sxvkGetAllocationInfo(allocator, stale, &info);
        CHECK(info.size == 0 && info.deviceMemory == VK_NULL_HANDLE, "info of a freed allocation");
        break;
    case 7: result = sxvkSetAllocationName(allocator, stale, "ghost"); break;
    case 8: result = sxvkSetAllocationUserData(allocator, stale, &byte); break;
    case 9: result = sxvkFlushAllocations(allocator, 1, &stale, &zero, NULL); break;
    case 10: result = sxvkCopyMemoryToAllocation(allocator, &byte, stale, 0, 1); break;
    default: result = sxvkSetAllocationPriority(allocator, stale, 0.5f); break;
    }
    CHECK(result == VK_ERROR_VALIDATION_FAILED_EXT, "VkResult %d for a stale handle", (int)result);
    expect_message(world, SXVK_MESSAGE_INVALID_ALLOCATION);
}

/*  A second allocator's handle means nothing to the first. */
static void op_foreign(World* world) {
    const VkDeviceSize size = 5000;
    VkMemoryRequirements needs = testing_requirements(size, 16, UINT32_MAX);
    SxvkAllocationCreateInfo info;
    SxvkAllocator other = VK_NULL_HANDLE;
    SxvkAllocation allocation = VK_NULL_HANDLE;
    memset(&info, 0, sizeof info);
    /* The two do not know of each other, and must not exhaust the device together. */
    if (sim_live_memory_count(world->sim) >= world->profile->maxMemoryAllocationCount / 2) {
        return;
    }
    plant(world);
    (void)sxvkCreateAllocator(&world->info, &other);
    reap(world);
    if (other == VK_NULL_HANDLE) {
        messages_clear(&world->messages);
        CHECK(is_faulty(world), "no second allocator");
        return;
    }
    if (sxvkAllocateMemory(other, &needs, &info, &allocation, NULL) == VK_SUCCESS) {
        messages_clear(&world->messages);
        sxvkFreeMemory(world->allocator, allocation);
        expect_message(world, SXVK_MESSAGE_INVALID_ALLOCATION);
        sxvkFreeMemory(other, allocation);
    }
    sxvkDestroyAllocator(other);
}

/*  What validation must catch before anything happens. */
static void op_invalid(World* world) {
    static const SxvkMessage messages[] = {
        SXVK_MESSAGE_UNKNOWN_FLAGS,     SXVK_MESSAGE_BAD_SIZE,          SXVK_MESSAGE_BAD_ALIGNMENT,
        SXVK_MESSAGE_CONFLICTING_FLAGS, SXVK_MESSAGE_CONFLICTING_FLAGS, SXVK_MESSAGE_BAD_ENUM,
        SXVK_MESSAGE_BAD_PRIORITY,      SXVK_MESSAGE_BAD_ALIGNMENT,     SXVK_MESSAGE_NULL_ARGUMENT,
        SXVK_MESSAGE_BAD_SIZE,          SXVK_MESSAGE_BAD_INDEX,         SXVK_MESSAGE_BAD_RANGE,
        SXVK_MESSAGE_CONFLICTING_FLAGS,
    };
    SxvkAllocator allocator = world->allocator;
    uint32_t which = below(world, sizeof messages / sizeof messages[0]);
    VkMemoryRequirements needs = testing_requirements(256, 16, UINT32_MAX);
    VkBufferCreateInfo buffer_info = testing_buffer(256, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
    SxvkAllocation allocation = (SxvkAllocation)(uintptr_t)77;
    VkBuffer buffer = VK_NULL_HANDLE;
    SxvkPoolCreateInfo pool_info;
    SxvkPool pool = VK_NULL_HANDLE;
    SxvkAllocationCreateInfo info;
    VkResult result;
    memset(&info, 0, sizeof info);
    memset(&pool_info, 0, sizeof pool_info);
    switch (which) {
    case 0: info.flags = 0x40000000; break;
    case 1: needs.size = 0; break;
    case 2: needs.alignment = 48; break;
    case 3:
        info.flags = SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT |
                     SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT;
        break;
    case 4: info.flags = SXVK_ALLOCATION_CREATE_STRATEGY_MASK; break;
    case 5: info.usage = (SxvkMemoryUsage)3; break;
    case 6: info.priority = 1.5f; break;
    case 7: info.minAlignment = 3; break;
    case 12:
        info.flags =
            SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT | SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
        break;
    default: break;
    }
    say(world, "invalid arguments %u\n", which);
    if (which == 8) {
        result = sxvkCreateBuffer(allocator, &buffer_info, NULL, &buffer, &allocation, NULL);
    } else if (which == 9) {
        buffer_info.size = 0;
        result = sxvkCreateBuffer(allocator, &buffer_info, &info, &buffer, &allocation, NULL);
    } else if (which == 10) {
        allocation = VK_NULL_HANDLE;
        pool_info.memoryTypeIndex = type_count(world);
        result = sxvkCreatePool(allocator, &pool_info, &pool);
        CHECK(pool == VK_NULL_HANDLE, "the pool is not null");
    } else if (which == 11) {
        const Item* item = random_item(world);
        uint8_t byte = 0;
        allocation = VK_NULL_HANDLE;
        if (item == NULL) {
            return;
        }
        result =
            chance(world, 50)
                ? sxvkFlushAllocation(allocator, item->allocation, item->info.size + 1, 1)
                : sxvkCopyAllocationToMemory(allocator, item->allocation, UINT64_MAX, &byte, 1);
    } else {
        result = sxvkAllocateMemory(allocator, &needs, &info, &allocation, NULL);
    }
    CHECK(result == VK_ERROR_VALIDATION_FAILED_EXT && allocation == VK_NULL_HANDLE &&
              buffer == VK_NULL_HANDLE,
          "VkResult %d for invalid arguments", (int)result);
    expect_message(world, messages[which]);
}

/*  A second buffer over the first one. */
static void op_alias(World* world) {
    Item* item = random_item(world);
    VkBuffer alias = VK_NULL_HANDLE;
    SimMemoryInfo memory;
    VkResult result;
    if (item == NULL || item->buffer == VK_NULL_HANDLE ||
        !sim_memory_info(world->sim, item->info.deviceMemory, &memory) ||
        memory.dedicatedBuffer != VK_NULL_HANDLE) {
        return;
    }
    sim_allow_aliasing(world->sim, true);
    plant(world);
    result =
        sxvkCreateAliasingBuffer(world->allocator, item->allocation, &item->request.buffer, &alias);
    reap(world);
    CHECK((result == VK_SUCCESS) == (alias != VK_NULL_HANDLE), "VkResult %d", (int)result);
    CHECK(result == VK_SUCCESS || is_faulty(world), "VkResult %d", (int)result);
    sxvkDestroyBuffer(world->allocator, alias, VK_NULL_HANDLE);
    sim_allow_aliasing(world->sim, false);
}

/*  Write behind the end of an allocation: found while it is so, and forgotten when mended. */
static void op_overwrite(World* world) {
    Item* item = random_item(world);
    VkDeviceSize at;
    VkResult result;
    uint8_t* data;
    if (item == NULL || margin_of(world, item) == 0) {
        return;
    }
    say(world, "write behind the end of %" PRIu64 " bytes at %" PRIu64 "\n", item->info.size,
        item->info.offset);
    at = item->info.size + below(world, (uint32_t)world->debug.margin);
    data = map_item(world, item) + at;
    *data = (uint8_t) ~*data;
    sxvkUnmapMemory(world->allocator, item->allocation);
    result = sxvkCheckCorruption(world->allocator, 1u << item->info.memoryType);
    CHECK(result == VK_ERROR_UNKNOWN, "VkResult %d for a broken margin", (int)result);
    expect_message(world, SXVK_MESSAGE_CORRUPTED_MARGIN);
    data = map_item(world, item) + at;
    *data = (uint8_t) ~*data;
    sxvkUnmapMemory(world->allocator, item->allocation);
    result = sxvkCheckCorruption(world->allocator, 1u << item->info.memoryType);
    CHECK(result == VK_SUCCESS, "VkResult %d for a margin that was mended", (int)result);
}

static void op_texts(World* world) {
    char* text = NULL;
    VkBool32 detailed = chance(world, 50);
    Request request;
    VkResult result;
    plant(world);
    result = sxvkBuildStatsString(world->allocator, &text, detailed);
    reap(world);
    CHECK((result == VK_SUCCESS) == (text != NULL), "VkResult %d", (int)result);
    CHECK(result == VK_SUCCESS || (result == VK_ERROR_OUT_OF_HOST_MEMORY && is_faulty(world)),
          "sxvkBuildStatsString: VkResult %d", (int)result);
    sxvkFreeStatsString(world->allocator, text);
    random_request(world, &request);
    text = NULL;
    plant(world);
    result = sxvkExplainMemoryType(world->allocator, UINT32_MAX, &request.info,
                                   request.make <= MAKE_BUFFER_BY_HAND ? &request.buffer : NULL,
                                   NULL, &text);
    reap(world);
    CHECK((result == VK_SUCCESS) == (text != NULL), "VkResult %d", (int)result);
    CHECK(result == VK_SUCCESS || is_faulty(world), "sxvkExplainMemoryType: VkResult %d",
          (int)result);
    sxvkFreeStatsString(world->allocator, text);
}

static void op_free_many(World* world) {
    uint32_t i, percent = chance(world, 25) ? 95 : below(world, 40);
    say(world, "free %u percent\n", percent);
    for (i = world->itemCount; i-- != 0;) {
        if (chance(world, percent)) {
            free_item(world, &world->items[i]);
        }
    }
}

/*  Nothing is live, so a trim leaves what the pools were told to keep. */
static void drain(World* world) {
    uint64_t kept = 0;
    uint32_t i;
    say(world, "drain\n");
    while (world->itemCount != 0) {
        free_item(world, random_item(world));
    }
    (void)sxvkTrim(world->allocator);
    for (i = 0; i < world->poolCount; i++) {
        kept += world->pools[i].info.minBlockCount;
    }
    CHECK(sim_live_memory_count(world->sim) == kept, "%" PRIu64 " memories are left, not %" PRIu64,
          sim_live_memory_count(world->sim), kept);
}

static void op_drain(World* world) {
    if (chance(world, 30)) {
        drain(world);
    }
}

/*  A module comes, or goes with what belongs to it. */
static void op_module(World* world) {
    uint32_t m = below(world, MODULE_MAX), expected = 0, i;
    Module* module = &world->modules[m];
    SxvkModuleCreateInfo* info = &module->info;
    SxvkModule gone = module->module;
    char name[24];
    if (gone == VK_NULL_HANDLE) {
        VkResult result;
        memset(module, 0, sizeof *module);
        (void)snprintf(name, sizeof name, "module %u", m);
        info->pName = name;
        info->strategy = (SxvkModuleStrategy)below(world, 3);
        info->minBufferAlignment = chance(world, 30) ? (VkDeviceSize)1 << below(world, 13) : 0;
        info->softLimit = chance(world, 60) ? testing_log_uniform(&world->random, 1, 16 * MIB) : 0;
        info->warningThreshold = chance(world, 30) ? (float)below(world, 100) / 99.0f : 0.0f;
        say(world, "create module %u, limit %" PRIu64 "\n", m, info->softLimit);
        plant(world);
        result = sxvkCreateModule(world->allocator, info, &module->module);
        reap(world);
        CHECK((result == VK_SUCCESS) == (module->module != VK_NULL_HANDLE), "VkResult %d",
              (int)result);
        CHECK(result == VK_SUCCESS || is_faulty(world), "VkResult %d", (int)result);
        info->pName = NULL;
        return;
    }
    say(world, "destroy module %u\n", m);
    for (i = 0; i < world->itemCount; i++) {
        if (world->items[i].module == gone) {
            world->items[i].module = VK_NULL_HANDLE;
            expected++;
        }
        if (world->items[i].request.info.module == gone) {
            world->items[i].request.info.module = VK_NULL_HANDLE;
        }
    }
    for (i = 0; i < world->poolCount; i++) {
        if (world->pools[i].info.module == gone) {
            world->pools[i].info.module = VK_NULL_HANDLE;
            expected++;
        }
    }
    sxvkDestroyModule(world->allocator, gone);
    module->module = VK_NULL_HANDLE;
    CHECK(world->messages.counts[SXVK_MESSAGE_MODULE_IN_USE] == expected &&
              world->messages.total == expected,
          "%u messages, the last one: %s; there were %u users", world->messages.total,
          world->messages.text, expected);
    messages_clear(&world->messages);
    sxvkDestroyModule(world->allocator, gone);
    expect_message(world, SXVK_MESSAGE_INVALID_MODULE);
}

/*  Touch some, and ask which of all were touched longest ago. */
static void op_touch(World* world) {
    SxvkColdAllocation found[ITEM_MAX];
    uint32_t i, k, count, colder, touched = 0, percent = below(world, 50);
    uint32_t most = chance(world, 50) ? ITEM_MAX : 1 + below(world, 20);
    for (i = 0; i < world->itemCount; i++) {
        Item* item = &world->items[i];
        if (chance(world, percent)) {
            VkResult result;
            plant(world);
            result = sxvkTouchAllocation(world->allocator, item->allocation);
            reap(world);
            CHECK(result == VK_SUCCESS || is_faulty(world), "VkResult %d", (int)result);
            item->touched = item->touched || result == VK_SUCCESS;
            item->touchedFrame = result == VK_SUCCESS ? world->frame : item->touchedFrame;
        }
        touched += item->touched;
    }
    count = most;
    CHECK(sxvkGetColdestAllocations(world->allocator, UINT32_MAX, VK_NULL_HANDLE, 0, &count,
                                    found) == VK_SUCCESS,
          "no list");
    CHECK(count == (touched < most ? touched : most), "%u cold ones of %u", count, touched);
    for (k = 0; k < count; k++) {
        const Item* item = NULL;
        for (i = 0, colder = 0; i < world->itemCount; i++) {
            const Item* other = &world->items[i];
            item = other->allocation == found[k].allocation ? other : item;
            colder += other->touched && world->frame - other->touchedFrame > found[k].age;
        }
        CHECK(item != NULL && item->touched && found[k].age == world->frame - item->touchedFrame &&
                  found[k].size == item->info.size && found[k].module == item->module &&
                  found[k].heapIndex == type_heap(world, item->info.memoryType),
              "number %u of the cold ones is not so", k);
        CHECK(colder <= k, "%u are colder than number %u", colder, k);
    }
}

typedef struct Operation {
    void (*run)(World* world);
    uint32_t weight; /* of 256 */
} Operation;

static const Operation operations[] = {
    {op_allocate, 76},   {op_burst, 6},       {op_free, 50},        {op_pages, 5},
    {op_again, 14},      {op_fill, 4},        {op_map, 12},         {op_unmap, 10},
    {op_flush, 6},       {op_copy, 7},        {op_name, 5},         {op_user_data, 4},
    {op_priority, 2},    {op_trim, 2},        {op_frame, 5},        {op_budget, 2},
    {op_heap_limit, 1},  {op_create_pool, 4}, {op_destroy_pool, 2}, {op_pool_name, 1},
    {op_whole_block, 2}, {op_stale, 8},       {op_foreign, 1},      {op_invalid, 8},
    {op_alias, 3},       {op_overwrite, 5},   {op_texts, 2},        {op_free_many, 2},
    {op_drain, 1},       {op_module, 4},      {op_touch, 2},
};

/* ------------------------------------------------------------------ a run */

static void run_step(World* world, uint32_t op) {
    uint32_t pick = op & 255;
    uint32_t i;
    world->random = op;
    world->faultsBefore = sim_faults_fired(world->sim) + world->host.failed;
    for (i = 0; pick >= operations[i].weight; i++) {
        pick -= operations[i].weight;
    }
    operations[i].run(world);
}

/*  Flags, versions and debugging aids, by the seed. */
static void choose_setup(World* world, uint64_t seed) {
    static const uint32_t versions[] = {VK_API_VERSION_1_0, VK_API_VERSION_1_1, VK_API_VERSION_1_2,
                                        VK_API_VERSION_1_3};
    static const VkDeviceSize sizes[] = {16384, 65536, MIB, 4 * MIB};
    static const SxvkAllocatorCreateFlags optional[] = {
        SXVK_ALLOCATOR_CREATE_EXTERNALLY_SYNCHRONIZED_BIT,
        SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT,
        SXVK_ALLOCATOR_CREATE_EXT_MEMORY_PRIORITY_BIT,
        SXVK_ALLOCATOR_CREATE_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_BIT,
        SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT,
        SXVK_ALLOCATOR_CREATE_KHR_DEDICATED_ALLOCATION_BIT,
        SXVK_ALLOCATOR_CREATE_KHR_BIND_MEMORY2_BIT,
        SXVK_ALLOCATOR_CREATE_KHR_MAINTENANCE4_BIT,
        SXVK_ALLOCATOR_CREATE_EXT_DEBUG_UTILS_BIT,
    };
    SxvkAllocatorCreateInfo* info = &world->info;
    uint32_t h, i;
    world->random = seed;
    info->vulkanApiVersion = versions[below(world, 4)];
    for (i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        info->flags |= chance(world, 40) ? optional[i] : 0;
    }
    if (info->vulkanApiVersion >= VK_API_VERSION_1_2 && chance(world, 50)) {
        info->flags |= SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT;
    }
    world->sizeMax = sizes[below(world, 4)];
    world->oddNeeds = chance(world, 40);
    if (chance(world, 30)) {
        info->preferredLargeHeapBlockSize = MIB << below(world, 7);
    }
    world->debug.margin = chance(world, 35) ? 4 * (1 + below(world, 16)) : 0;
    world->debug.minAlignment = chance(world, 15) ? (VkDeviceSize)1 << below(world, 12) : 0;
    world->debug.minBufferImageGranularity =
        chance(world, 10) ? (VkDeviceSize)1 << below(world, 15) : 0;
    world->debug.flags = chance(world, 4) ? SXVK_DEBUG_ALWAYS_DEDICATED_BIT : 0;
    world->debug.flags |= chance(world, 15) ? SXVK_DEBUG_TRACK_ALLOCATIONS_BIT : 0;
    world->debug.fillOnAllocate = chance(world, 15) ? 1 + below(world, 255) : 0;
    world->debug.fillOnFree = chance(world, 15) ? 1 + below(world, 255) : 0;
    info->frameHistoryCount = chance(world, 30) ? 1 + below(world, 20) : 0;
    info->pDebugInfo = &world->debug;
    info->pHeapSizeLimit = world->heapSizeLimit;
    for (h = 0; h < world->profile->memory.memoryHeapCount; h++) {
        VkDeviceSize size = world->profile->memory.memoryHeaps[h].size;
        world->heapSizeLimit[h] = chance(world, 15) ? size / 2 + 12345 : size;
        world->heapDriverLimit[h] = VK_WHOLE_SIZE;
    }
    world->callbacks = chance(world, 80) ? &world->host.callbacks : NULL;
    world->granularity = max_size(max_size(world->profile->bufferImageGranularity, 1),
                                  world->debug.minBufferImageGranularity);
    world->atom = max_size(world->profile->nonCoherentAtomSize, 1);
}

static void load_functions(World* world) {
    PFN_vkGetDeviceProcAddr get = sim_get_device_proc_addr();
    VkDevice device = sim_device(world->sim);
    SxvkVulkanFunctions* fn = &world->functions;
    fn->vkGetInstanceProcAddr = sim_get_instance_proc_addr();
    fn->vkGetDeviceProcAddr = get;
    fn->vkCreateBuffer = (PFN_vkCreateBuffer)get(device, "vkCreateBuffer");
    fn->vkDestroyBuffer = (PFN_vkDestroyBuffer)get(device, "vkDestroyBuffer");
    fn->vkCreateImage = (PFN_vkCreateImage)get(device, "vkCreateImage");
    fn->vkDestroyImage = (PFN_vkDestroyImage)get(device, "vkDestroyImage");
    fn->vkGetBufferMemoryRequirements =
        (PFN_vkGetBufferMemoryRequirements)get(device, "vkGetBufferMemoryRequirements");
    fn->vkGetImageMemoryRequirements =
        (PFN_vkGetImageMemoryRequirements)get(device, "vkGetImageMemoryRequirements");
}

static void open_world(World* world, const Plan* plan) {
    SxvkAllocatorCreateInfo* info = &world->info;
    host_init(&world->host);
    choose_setup(world, plan->seed);
    world->options = sim_default_options();
    world->options.apiVersion = info->vulkanApiVersion;
    world->options.backing = true;
    world->sim = sim_create(world->profile, &world->options);
    CHECK(world->sim != NULL, "no simulated device");
    sim_quiet(world->sim, !world->verbose);
    if (world->oddNeeds) {
        sim_set_requirements(world->sim, odd_needs, world);
    }
    load_functions(world);
    info->instance = sim_instance(world->sim);
    info->physicalDevice = sim_physical_device(world->sim);
    info->device = sim_device(world->sim);
    info->pVulkanFunctions = &world->functions;
    info->pAllocationCallbacks = world->callbacks;
    info->pfnMessage = messages_callback;
    info->pMessageUserData = &world->messages;
    world->pressure.pfnCallback = follow_level;
    world->pressure.pUserData = world;
    info->pPressureInfo = &world->pressure;
    say(world,
        "setup: flags %#x, Vulkan 1.%u, margin %" PRIu64 ", minAlignment %" PRIu64
        ", granularity %" PRIu64 "\n",
        info->flags, VK_API_VERSION_MINOR(info->vulkanApiVersion), world->debug.margin,
        world->debug.minAlignment, world->granularity);
    CHECK(sxvkCreateAllocator(info, &world->allocator) == VK_SUCCESS, "no allocator: %s",
          world->messages.text);
}

/*  Everything goes, in one of two ways: freed by us, or left to the allocator to report. */
static void close_world(World* world, uint64_t seed) {
    uint32_t leaks, poolLeaks, moduleLeaks = 0, m;
    uint64_t leaked;
    bool leak;
    world->random = ~seed;
    leak = chance(world, 30);
    if (!leak) {
        drain(world);
        while (world->poolCount != 0) {
            destroy_pool(world, below(world, world->poolCount), false);
        }
        (void)sxvkTrim(world->allocator);
        CHECK(sim_live_memory_count(world->sim) == 0, "%" PRIu64 " memories are left",
              sim_live_memory_count(world->sim));
        check_budgets(world);
        check_modules(world);
        for (m = 0; m < MODULE_MAX; m++) {
            sxvkDestroyModule(world->allocator, world->modules[m].module);
            world->modules[m].module = VK_NULL_HANDLE;
        }
    }
    for (m = 0; m < MODULE_MAX; m++) {
        moduleLeaks += world->modules[m].module != VK_NULL_HANDLE;
    }
    leaks = world->itemCount;
    poolLeaks = world->poolCount;
    while (world->itemCount != 0) {
        Item* item = &world->items[0];
        verify_item(world, item);
        drop_resource(world, item);
        remove_item(world, item);
    }
    messages_clear(&world->messages);
    sxvkDestroyAllocator(world->allocator);
    CHECK(world->messages.counts[SXVK_MESSAGE_LEAKED_ALLOCATION] == leaks &&
              world->messages.counts[SXVK_MESSAGE_LEAKED_POOL] == poolLeaks &&
              world->messages.counts[SXVK_MESSAGE_LEAKED_MODULE] == moduleLeaks &&
              world->messages.total == leaks + poolLeaks + moduleLeaks,
          "%u messages for %u allocations, %u pools and %u modules; the last one: %s",
          world->messages.total, leaks, poolLeaks, moduleLeaks, world->messages.text);
    CHECK(world->host.liveCount == 0 && world->host.mistakes == 0,
          "%" PRIu64 " blocks of host memory are left", world->host.liveCount);
    CHECK(sim_errors(world->sim) == 0, "the device: %s", sim_last_error(world->sim));
    leaked = sim_destroy(world->sim);
    CHECK(leaked == 0, "%" PRIu64 " objects of the device are left", leaked);
}

/*  One time through the operations. What a failure leaves behind is lost. */
static void run_once(const Plan* plan, Report* report, bool verbose, bool replay) {
    World* world = (World*)calloc(1, sizeof *world);
    if (world == NULL) {
        abort();
    }
    world->profile = plan->profile;
    world->report = report;
    world->verbose = verbose;
    world->replay = replay;
    report->step = 0;
    report->layout = 0;
    if (setjmp(world->escape) != 0) {
        return;
    }
    open_world(world, plan);
    for (; report->step < plan->count; report->step++) {
        run_step(world, plan->ops[report->step]);
        check_world(world, report->step);
    }
    if (!replay) {
        check_deeply(world);
    }
    close_world(world, plan->seed);
    free(world);
}

/*  Twice: the second time the layout must be the same. */
static void run_plan(const Plan* plan, Report* report, bool verbose) {
    uint64_t layout;
    run_once(plan, report, verbose, false);
    layout = report->layout;
    if (!report->failed) {
        run_once(plan, report, false, true);
    }
    if (!report->failed && report->layout != layout) {
        report->failed = true;
        (void)snprintf(report->text, sizeof report->text, "the same operations, another layout");
    }
}

#ifdef SXVK_LIBFUZZER

static uint64_t read_bytes(const uint8_t* data, size_t count) {
    uint64_t x = 0;
    while (count-- != 0) {
        x = x << 8 | data[count];
    }
    return x;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static SimProfile profiles[DEFAULT_PROFILE_COUNT];
    static uint32_t ops[4096];
    Report report;
    Plan plan;
    size_t i;
    if (profiles[0].name[0] == 0) {
        for (i = 0; i < DEFAULT_PROFILE_COUNT; i++) {
            profiles[i] = testing_profile(TESTING_PROFILES, defaultProfiles[i]);
        }
    }
    if (size < 12) {
        return 0;
    }
    memset(&report, 0, sizeof report);
    plan.seed = read_bytes(data, 8);
    plan.profile = &profiles[plan.seed % DEFAULT_PROFILE_COUNT];
    plan.ops = ops;
    for (plan.count = 0; plan.count < 4096 && 12 + plan.count * 4 <= size; plan.count++) {
        ops[plan.count] = (uint32_t)read_bytes(data + 8 + plan.count * 4, 4);
    }
    run_plan(&plan, &report, false);
    if (report.failed) {
        fprintf(stderr, "%s, seed %" PRIu64 ", step %u: %s\n", plan.profile->name, plan.seed,
                report.step, report.text);
        abort();
    }
    return 0;
}

#else

/* ------------------------------------------------------------------ processes, and shrinking */

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/*  Memory that children share with us. */
static Report* shared_report(void) {
    void* memory =
        mmap(NULL, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : (Report*)memory;
}

/*  In a child, so that a crash is a failure like others. */
static bool fails(const Plan* plan, Report* report, bool quiet, bool verbose) {
    int status = 0;
    pid_t child;
    memset(report, 0, sizeof *report);
    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        if (quiet && freopen("/dev/null", "w", stderr) == NULL) {
            _exit(2);
        }
        run_plan(plan, report, verbose);
        if (report->failed || quiet) {
            _exit(report->failed);
        }
        exit(0); /* with the checks of a leak sanitizer */
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("fork");
        exit(2);
    }
    if (!report->failed && status != 0) {
        report->failed = true;
        (void)snprintf(report->text, sizeof report->text, "a crash: wait status %#x",
                       (unsigned)status);
    }
    return report->failed;
}

/*  Leave operations out while it still fails: halves, quarters, ... single ones. */
static void shrink(Plan* plan, Report* report) {
    uint32_t* all = (uint32_t*)malloc(plan->count * sizeof *all);
    double end = now() + 60;
    Report last = *report;
    uint32_t chunk;
    if (all == NULL) {
        return;
    }
    for (chunk = plan->count / 2; chunk != 0; chunk /= 2) {
        uint32_t from = 0;
        while (from < plan->count && now() < end) {
            uint32_t count = plan->count;
            uint32_t size = from + chunk <= count ? chunk : count - from;
            memcpy(all, plan->ops, count * sizeof *all);
            memmove(plan->ops + from, plan->ops + from + size, (count - from - size) * sizeof *all);
            plan->count = count - size;
            if (plan->count != 0 && fails(plan, report, true, false)) {
                last = *report;
                continue;
            }
            memcpy(plan->ops, all, count * sizeof *all);
            plan->count = count;
            from += size;
        }
    }
    *report = last;
    free(all);
}

static void explain(Plan* plan, Report* report) {
    uint32_t i;
    printf("FAILED: %s, seed %" PRIu64 ", step %u of %u: %s\n", plan->profile->name, plan->seed,
           report->step, plan->count, report->text);
    if (report->step < plan->count) {
        plan->count = report->step + 1;
    }
    shrink(plan, report);
    printf("shrunk to %u operations, the last one: %s\n    --profile %s --seed %" PRIu64 " --ops ",
           plan->count, report->text, plan->profile->name, plan->seed);
    for (i = 0; i < plan->count; i++) {
        printf("%s%x", i == 0 ? "" : ",", plan->ops[i]);
    }
    printf("\n");
    (void)fails(plan, report, false, true);
}

/* ------------------------------------------------------------------ command line */

typedef struct Arguments {
    const char* profile;
    const char* ops;
    uint64_t seed;
    bool hasSeed;
    uint32_t steps;
    double seconds;
} Arguments;

static void usage(void) {
    fprintf(stderr, "fuzz_allocator [--seed S] [--steps N] [--seconds T] [--profile NAME] "
                    "[--ops HEX,HEX...]\n");
    exit(2);
}

static Arguments read_arguments(int argc, char** argv) {
    Arguments arguments = {NULL, NULL, 1, false, 1000, 0};
    int i;
    for (i = 1; i < argc; i += 2) {
        if (i + 1 == argc) {
            usage();
        } else if (strcmp(argv[i], "--seed") == 0) {
            arguments.seed = strtoull(argv[i + 1], NULL, 0);
            arguments.hasSeed = true;
        } else if (strcmp(argv[i], "--steps") == 0) {
            arguments.steps = (uint32_t)strtoul(argv[i + 1], NULL, 0);
        } else if (strcmp(argv[i], "--seconds") == 0) {
            arguments.seconds = strtod(argv[i + 1], NULL);
        } else if (strcmp(argv[i], "--profile") == 0) {
            arguments.profile = argv[i + 1];
        } else if (strcmp(argv[i], "--ops") == 0) {
            arguments.ops = argv[i + 1];
        } else {
            usage();
        }
    }
    return arguments;
}

static uint32_t parse_ops(const char* text, uint32_t* ops, uint32_t max) {
    uint32_t count = 0;
    while (*text != 0 && count < max) {
        char* end = NULL;
        ops[count++] = (uint32_t)strtoul(text, &end, 16);
        if (end == text) {
            usage();
        }
        text = *end == ',' ? end + 1 : end;
    }
    return count;
}

/*  One seed on one device; 1 where it failed. */
static int run_seed(const SimProfile* profile, const Arguments* arguments, uint64_t seed,
                    Report* report) {
    uint32_t capacity = arguments->ops != NULL ? 65536 : arguments->steps;
    uint64_t random = seed * 1000003;
    Plan plan = {profile, seed, NULL, 0};
    int failed;
    plan.ops = (uint32_t*)malloc(((size_t)capacity + 1) * sizeof *plan.ops);
    if (plan.ops == NULL) {
        return 1;
    }
    if (arguments->ops != NULL) {
        plan.count = parse_ops(arguments->ops, plan.ops, capacity);
    }
    for (; arguments->ops == NULL && plan.count < capacity; plan.count++) {
        plan.ops[plan.count] = (uint32_t)testing_random(&random);
    }
    failed = fails(&plan, report, false, arguments->ops != NULL);
    if (failed && arguments->ops == NULL) {
        explain(&plan, report);
    } else if (failed) {
        printf("FAILED at step %u: %s\n", report->step, report->text);
    }
    free(plan.ops);
    return failed;
}

int main(int argc, char** argv) {
    Arguments arguments = read_arguments(argc, argv);
    uint64_t seed = arguments.seed, last = arguments.seed + (arguments.hasSeed ? 1 : 5), runs = 0;
    double start = now();
    Report* report = shared_report();
    size_t p;
    if (report == NULL) {
        return 2;
    }
    for (; arguments.seconds > 0 ? now() - start < arguments.seconds : seed < last; seed++) {
        for (p = 0; p < DEFAULT_PROFILE_COUNT; p++) {
            const char* name = arguments.profile != NULL ? arguments.profile : defaultProfiles[p];
            SimProfile profile = testing_profile(TESTING_PROFILES, name);
            if (run_seed(&profile, &arguments, seed, report)) {
                return 1;
            }
            runs++;
            if (arguments.profile != NULL) {
                break;
            }
        }
        if (arguments.ops != NULL) {
            break;
        }
    }
    printf("seeds %" PRIu64 " to %" PRIu64 ", %" PRIu64 " runs of %u steps, %.1f s: passed\n",
           arguments.seed, seed - 1, runs, arguments.steps, now() - start);
    return 0;
}

#endif
