/*  fuzz_threads.c - four threads churn, a fifth one watches, on the simulated device.

    The workers allocate, map, write, name, free, and hand allocations to each other, so that one
    frees what another made; some allocations they all use at once. Meanwhile the watcher calls
    everything that looks at the whole: trim, tick, budgets, statistics, dump, integrity, margins.
    What was written is compared on free, and at the end nothing is left. Each round has a mode:

        shared      one allocator
        own         an allocator per thread, on one device
        pools       custom pools, one of them with a single block; others come and go
        external    EXTERNALLY_SYNCHRONIZED: all calls under a mutex of ours
        faults      one allocator, and a driver that fails now and then

    and a setup by its seed: GPU, unmapping of unused blocks, margins. Worth most under ThreadSanitizer
    (cmake --preset tsan): most calls stay away from the device, whose lock would hide races.

        fuzz_threads                          a few seconds
        fuzz_threads --seconds 30             smoke; 300 before a merge, 3600 before a release
        fuzz_threads --seed 7 --mode pools    the rounds of one seed, of one mode

    Threads interleave as they like: a seed brings a failure back with luck, and the more seconds the
    more luck.
*/

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "sim.h"
#include "testing.h"

#include <cjson/cJSON.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORKER_COUNT 4
#define ITEM_MAX     60 /* per worker */
#define EXCHANGE_MAX 16
#define COMMON_COUNT 6
#define COMMON_LANE  512 /* bytes of a common allocation that belong to one worker */
#define POOL_COUNT   4
#define EDGE         64 /* bytes at each end of an allocation that are written and compared */

typedef enum Mode {
    MODE_SHARED,
    MODE_OWN,
    MODE_POOLS,
    MODE_EXTERNAL,
    MODE_FAULTS,
    MODE_COUNT
} Mode;

static const char* const modeNames[MODE_COUNT] = {"shared", "own", "pools", "external", "faults"};

/*  An allocator, and what guards it where it does not guard itself. */
typedef struct Arena {
    SxvkAllocator allocator;
    Host host;
    Messages messages;
    pthread_mutex_t guard;
    bool guarded;
    SxvkPool pools[POOL_COUNT];
} Arena;

typedef struct Item {
    Arena* arena;
    SxvkAllocation allocation;
    VkBuffer buffer;
    VkDeviceSize size;
    uint32_t pattern; /* 0: not written */
    uint32_t maps;
} Item;

/*  An allocation that all use at the same time. */
typedef struct Common {
    SxvkAllocation allocation;
    void* pointer; /* atomic: where it is mapped, once known */
} Common;

typedef struct World {
    Mode mode;
    uint64_t seed;
    Sim* sim;
    Arena arenas[WORKER_COUNT];
    uint32_t arenaCount;
    SxvkVulkanFunctions functions;
    SxvkDebugInfo debug;
    SxvkAllocatorCreateFlags flags;
    Common common[COMMON_COUNT];
    SxvkPool quiet; /* of the last two common ones, whose block comes and goes from being mapped */
    pthread_mutex_t exchangeLock;
    Item exchange[EXCHANGE_MAX];
    uint32_t hookCalls;  /* atomic */
    int stop;            /* atomic */
    uint64_t operations; /* atomic */
} World;

typedef struct Worker {
    World* world;
    Arena* arena;
    uint32_t number;
    uint64_t random;
    Item items[ITEM_MAX];
    uint32_t itemCount;
} Worker;

/* ------------------------------------------------------------------ small things */

static const World* current; /* for the message of a failure */

static void fail(int line, const char* format, ...) {
    va_list arguments;
    fprintf(stderr, "FAILED: --seed %" PRIu64 " --mode %s, line %d: ", current->seed,
            modeNames[current->mode], line);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    _exit(1);
}

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail(__LINE__, __VA_ARGS__);                                                           \
        }                                                                                          \
    } while (0)

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool chance(uint64_t* random, uint32_t percent) {
    return testing_below(random, 100) < percent;
}

static void enter(Arena* arena) {
    if (arena->guarded) {
        (void)pthread_mutex_lock(&arena->guard);
    }
}

static void leave(Arena* arena) {
    if (arena->guarded) {
        (void)pthread_mutex_unlock(&arena->guard);
    }
}

static bool is_visible(Arena* arena, SxvkAllocation allocation) {
    VkMemoryPropertyFlags flags = 0;
    sxvkGetAllocationMemoryProperties(arena->allocator, allocation, &flags);
    return (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0;
}

/* ------------------------------------------------------------------ items; the caller has entered */

static void* edge_of(uint8_t* data, VkDeviceSize size, uint32_t end) {
    return end == 0 || size <= EDGE ? data : data + size - EDGE;
}

static void write_item(Item* item, uint32_t pattern) {
    VkDeviceSize size = item->size < EDGE ? item->size : EDGE;
    void* data = NULL;
    VkResult result = sxvkMapMemory(item->arena->allocator, item->allocation, &data);
    CHECK(result == VK_SUCCESS || current->mode == MODE_FAULTS, "map: VkResult %d", (int)result);
    if (result != VK_SUCCESS) {
        return;
    }
    memset(edge_of((uint8_t*)data, item->size, 0), (int)(pattern & 255), (size_t)size);
    memset(edge_of((uint8_t*)data, item->size, 1), (int)(pattern & 255), (size_t)size);
    result = sxvkFlushAllocation(item->arena->allocator, item->allocation, 0, VK_WHOLE_SIZE);
    CHECK(result == VK_SUCCESS || current->mode == MODE_FAULTS, "flush: VkResult %d", (int)result);
    sxvkUnmapMemory(item->arena->allocator, item->allocation);
    item->pattern = pattern;
}

static void verify_item(Item* item) {
    VkDeviceSize i, size = item->size < EDGE ? item->size : EDGE;
    void* data = NULL;
    uint32_t end;
    if (item->pattern == 0 ||
        sxvkMapMemory(item->arena->allocator, item->allocation, &data) != VK_SUCCESS) {
        return;
    }
    for (end = 0; end < 2; end++) {
        const uint8_t* edge = (const uint8_t*)edge_of((uint8_t*)data, item->size, end);
        for (i = 0; i < size; i++) {
            CHECK(edge[i] == (uint8_t)item->pattern, "the contents of %" PRIu64 " bytes changed",
                  item->size);
        }
    }
    sxvkUnmapMemory(item->arena->allocator, item->allocation);
}

static void free_item(Item* item) {
    SxvkAllocator allocator = item->arena->allocator;
    verify_item(item);
    for (; item->maps != 0; item->maps--) {
        sxvkUnmapMemory(allocator, item->allocation);
    }
    if (item->buffer != VK_NULL_HANDLE) {
        sxvkDestroyBuffer(allocator, item->buffer, item->allocation);
    } else {
        sxvkFreeMemory(allocator, item->allocation);
    }
    CHECK(!sxvkIsAllocationValid(allocator, item->allocation), "valid after it was freed");
}

/* ------------------------------------------------------------------ what workers do */

static void random_info(Worker* worker, SxvkAllocationCreateInfo* info, VkDeviceSize* size) {
    uint64_t* random = &worker->random;
    memset(info, 0, sizeof *info);
    info->requiredFlags = chance(random, 75) ? VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT : 0;
    info->preferredFlags = chance(random, 30) ? VK_MEMORY_PROPERTY_HOST_CACHED_BIT : 0;
    info->flags = chance(random, 25) ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0;
    info->flags |= chance(random, 20) ? SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT : 0;
    info->flags |= chance(random, 4) ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
    info->pName = chance(random, 20) ? "made with a name" : NULL;
    info->pUserData = chance(random, 20) ? worker : NULL;
    *size = testing_log_uniform(random, 1, chance(random, 90) ? 8192 : 4u << 20);
    if (worker->world->mode == MODE_POOLS && chance(random, 80)) {
        info->pool = worker->arena->pools[testing_below(random, POOL_COUNT)];
        info->flags &= ~(VkFlags)SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
        *size = testing_log_uniform(random, 1, 8192);
    }
}

static void do_allocate(Worker* worker) {
    Item* item = &worker->items[worker->itemCount];
    VkMemoryRequirements needs;
    SxvkAllocationCreateInfo info;
    SxvkAllocationInfo made;
    VkBufferCreateInfo buffer;
    VkResult result;
    VkDeviceSize size;
    memset(item, 0, sizeof *item);
    item->arena = worker->arena;
    random_info(worker, &info, &size);
    enter(worker->arena);
    if (chance(&worker->random, 25)) {
        buffer = testing_buffer(size, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
        result = sxvkCreateBuffer(worker->arena->allocator, &buffer, &info, &item->buffer,
                                  &item->allocation, &made);
    } else {
        needs = testing_requirements(size, 16, UINT32_MAX);
        result =
            sxvkAllocateMemory(worker->arena->allocator, &needs, &info, &item->allocation, &made);
    }
    CHECK(result == VK_SUCCESS || worker->world->mode == MODE_FAULTS,
          "%" PRIu64 " bytes%s: VkResult %d", size, info.pool != VK_NULL_HANDLE ? " of a pool" : "",
          (int)result);
    if (result == VK_SUCCESS) {
        item->size = made.size;
        if (is_visible(worker->arena, item->allocation) && chance(&worker->random, 60)) {
            write_item(item, 1 + testing_below(&worker->random, 255));
        }
        worker->itemCount++;
    }
    leave(worker->arena);
}

static Item* pick(Worker* worker) {
    return &worker->items[testing_below(&worker->random, worker->itemCount)];
}

static void do_free(Worker* worker) {
    Item* item = pick(worker);
    enter(item->arena);
    free_item(item);
    leave(item->arena);
    *item = worker->items[--worker->itemCount];
}

/*  Leave an item for others, and take what stands there. */
static void do_exchange(Worker* worker) {
    World* world = worker->world;
    Item* mine = pick(worker);
    Item* slot = &world->exchange[testing_below(&worker->random, EXCHANGE_MAX)];
    Item taken;
    (void)pthread_mutex_lock(&world->exchangeLock);
    taken = *slot;
    *slot = *mine;
    (void)pthread_mutex_unlock(&world->exchangeLock);
    if (taken.allocation != VK_NULL_HANDLE) {
        *mine = taken;
    } else {
        *mine = worker->items[--worker->itemCount];
    }
}

static void do_map(Worker* worker) {
    Item* item = pick(worker);
    void* data = NULL;
    enter(item->arena);
    if (item->maps != 0 && chance(&worker->random, 60)) {
        sxvkUnmapMemory(item->arena->allocator, item->allocation);
        item->maps--;
    } else if (item->maps < 8 && is_visible(item->arena, item->allocation) &&
               sxvkMapMemory(item->arena->allocator, item->allocation, &data) == VK_SUCCESS) {
        SxvkAllocationInfo info;
        sxvkGetAllocationInfo(item->arena->allocator, item->allocation, &info);
        CHECK(info.pMappedData == data, "pMappedData %p, mapped at %p", info.pMappedData, data);
        item->maps++;
    }
    leave(item->arena);
}

static void do_name(Worker* worker) {
    Item* item = pick(worker);
    SxvkAllocator allocator = item->arena->allocator;
    SxvkAllocationInfo info;
    char name[32];
    (void)snprintf(name, sizeof name, "thread %u, %u", worker->number,
                   testing_below(&worker->random, 1000));
    enter(item->arena);
    CHECK(sxvkSetAllocationName(allocator, item->allocation, name) == VK_SUCCESS, "no name");
    CHECK(sxvkSetAllocationUserData(allocator, item->allocation, item) == VK_SUCCESS, "no data");
    sxvkGetAllocationInfo(allocator, item->allocation, &info);
    CHECK(info.pName != NULL && strcmp(info.pName, name) == 0 && info.pUserData == item,
          "name or user data of another");
    leave(item->arena);
}

/*  All threads map, read and write the same allocation, each its own bytes. */
static void do_common(Worker* worker) {
    World* world = worker->world;
    Common* common = &world->common[testing_below(&worker->random, COMMON_COUNT)];
    SxvkAllocator allocator = world->arenas[0].allocator;
    VkDeviceSize lane = worker->number * COMMON_LANE;
    uint8_t out[40], back[40];
    void* data = NULL;
    void* known;
    SxvkAllocationInfo info;
    VkResult result;
    enter(&world->arenas[0]);
    sxvkGetAllocationInfo(allocator, common->allocation, &info);
    result = sxvkMapMemory(allocator, common->allocation, &data);
    CHECK(result == VK_SUCCESS || world->mode == MODE_FAULTS, "VkResult %d", (int)result);
    if (result == VK_SUCCESS) {
        known = __atomic_exchange_n(&common->pointer, data, __ATOMIC_RELAXED);
        CHECK(known == NULL || known == data, "mapped at %p and %p", known, data);
        CHECK(info.pMappedData == NULL || info.pMappedData == data, "pMappedData %p, mapped at %p",
              info.pMappedData, data);
        memset((uint8_t*)data + lane, (int)worker->number, COMMON_LANE);
        memset(out, (int)testing_below(&worker->random, 256), sizeof out);
        result =
            sxvkCopyMemoryToAllocation(allocator, out, common->allocation, lane + 100, sizeof out);
        if (result == VK_SUCCESS) {
            result = sxvkCopyAllocationToMemory(allocator, common->allocation, lane + 100, back,
                                                sizeof back);
        }
        CHECK(result == VK_SUCCESS || world->mode == MODE_FAULTS, "VkResult %d", (int)result);
        CHECK(result != VK_SUCCESS || memcmp(out, back, sizeof out) == 0, "not what was copied");
        CHECK(((const uint8_t*)data)[lane + COMMON_LANE - 1] == worker->number, "overwritten");
        sxvkUnmapMemory(allocator, common->allocation);
    }
    leave(&world->arenas[0]);
}

/*  A pool that lives for a moment. */
static void do_pool(Worker* worker) {
    SxvkAllocator allocator = worker->arena->allocator;
    VkMemoryRequirements needs = testing_requirements(3000, 16, UINT32_MAX);
    SxvkAllocation allocations[5];
    SxvkAllocationCreateInfo info;
    SxvkPoolCreateInfo create;
    SxvkPool pool = VK_NULL_HANDLE;
    uint32_t i;
    memset(&info, 0, sizeof info);
    memset(&create, 0, sizeof create);
    info.requiredFlags = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    enter(worker->arena);
    CHECK(sxvkFindMemoryTypeIndex(allocator, UINT32_MAX, &info, &create.memoryTypeIndex) ==
              VK_SUCCESS,
          "no type");
    create.blockSize = 1u << 20;
    create.minBlockCount = testing_below(&worker->random, 2);
    create.flags = testing_below(&worker->random, 2) ? SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT : 0;
    if (sxvkCreatePool(allocator, &create, &pool) == VK_SUCCESS) {
        info.pool = pool;
        (void)sxvkSetPoolName(allocator, pool, "for a moment");
        for (i = 0; i < 5; i++) {
            VkResult result = sxvkAllocateMemory(allocator, &needs, &info, &allocations[i], NULL);
            CHECK(result == VK_SUCCESS || worker->world->mode == MODE_FAULTS, "VkResult %d",
                  (int)result);
        }
        if (testing_below(&worker->random, 2)) {
            CHECK(sxvkResetPool(allocator, pool) == VK_SUCCESS, "reset");
        } else {
            sxvkFreeMemoryPages(allocator, 5, allocations);
        }
        sxvkDestroyPool(allocator, pool);
    } else {
        CHECK(worker->world->mode == MODE_FAULTS, "no pool");
    }
    leave(worker->arena);
}

#define BATCH_MAX 70u /* more than the library works on at once */

/*  Slots, small and large ranges in one batch that lives for a moment, and goes in two. */
static void do_batch(Worker* worker) {
    SxvkAllocator allocator = worker->arena->allocator;
    uint32_t count = 1 + testing_below(&worker->random, BATCH_MAX);
    uint32_t half = testing_below(&worker->random, count + 1);
    VkBufferCreateInfo buffers[BATCH_MAX];
    SxvkAllocationCreateInfo infos[BATCH_MAX];
    VkBuffer made[BATCH_MAX];
    SxvkAllocation allocations[BATCH_MAX];
    VkResult result;
    uint32_t i;
    memset(infos, 0, sizeof infos);
    for (i = 0; i < count; i++) {
        buffers[i] = testing_buffer(1 + testing_below(&worker->random, i % 8 == 0 ? 300000 : 9000),
                                    VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
    }
    enter(worker->arena);
    result = sxvkCreateBuffers(allocator, count, buffers, infos, made, allocations, NULL);
    CHECK(result == VK_SUCCESS || worker->world->mode == MODE_FAULTS, "VkResult %d", (int)result);
    if (result == VK_SUCCESS) {
        sxvkDestroyBuffers(allocator, half, made, allocations);
        sxvkDestroyBuffers(allocator, count - half, made + half, allocations + half);
    }
    leave(worker->arena);
}

static void* work(void* argument) {
    Worker* worker = (Worker*)argument;
    World* world = worker->world;
    uint64_t operations = 0;
    for (; !__atomic_load_n(&world->stop, __ATOMIC_RELAXED); operations++) {
        uint32_t pick_op = testing_below(&worker->random, 100);
        if (worker->itemCount == 0 || (pick_op < 35 && worker->itemCount < ITEM_MAX)) {
            do_allocate(worker);
        } else if (pick_op < 60) {
            do_free(worker);
        } else if (pick_op < 72 && world->mode != MODE_OWN) {
            do_exchange(worker);
        } else if (pick_op < 82) {
            do_map(worker);
        } else if (pick_op < 90) {
            do_name(worker);
        } else if (pick_op < 98 && world->mode != MODE_OWN) {
            do_common(worker);
        } else if (pick_op == 98) {
            do_batch(worker);
        } else if (pick_op == 99) {
            do_pool(worker);
        }
    }
    (void)__atomic_add_fetch(&world->operations, operations, __ATOMIC_RELAXED);
    return NULL;
}

/* ------------------------------------------------------------------ what the watcher does */

typedef struct Visit {
    const World* world;
    uint32_t common;
} Visit;

/*  Others are freed while we look, but the common ones live as long as the threads do. */
static VkBool32 VKAPI_PTR visit_allocation(void* pUserData, SxvkAllocator allocator,
                                           SxvkAllocation allocation) {
    Visit* visit = (Visit*)pUserData;
    uint32_t i;
    for (i = 0; i < COMMON_COUNT; i++) {
        if (visit->world->common[i].allocation == allocation) {
            SxvkAllocationInfo info;
            sxvkGetAllocationInfo(allocator, allocation, &info);
            CHECK(info.size == WORKER_COUNT * COMMON_LANE, "size %" PRIu64, info.size);
            visit->common++;
        }
    }
    (void)sxvkIsAllocationValid(allocator, allocation);
    return VK_TRUE;
}

static void watch_dump(Arena* arena, bool parse) {
    char* text = NULL;
    CHECK(sxvkBuildStatsString(arena->allocator, &text, VK_TRUE) == VK_SUCCESS, "no dump");
    if (parse) {
        cJSON* json = cJSON_Parse(text);
        CHECK(json != NULL, "the dump is no JSON");
        cJSON_Delete(json);
    }
    sxvkFreeStatsString(arena->allocator, text);
}

static void watch_statistics(const World* world, const Arena* arena) {
    SxvkTotalStatistics total;
    uint32_t heap;
    sxvkCalculateStatistics(arena->allocator, &total);
    CHECK(total.total.statistics.blockBytes >= total.total.statistics.allocationBytes,
          "more live than committed");
    for (heap = 0; heap < sim_profile(world->sim)->memory.memoryHeapCount; heap++) {
        SxvkBudget budget;
        sxvkGetHeapBudget(arena->allocator, heap, &budget);
        CHECK(budget.statistics.blockBytes >= budget.statistics.allocationBytes,
              "more live than committed in heap %u", heap);
    }
}

static void watch_pools(const World* world, const Arena* arena, uint32_t round) {
    const char* const names[] = {"a pool", "the same pool, renamed", NULL};
    uint32_t i;
    for (i = 0; i < POOL_COUNT && world->mode == MODE_POOLS; i++) {
        SxvkDetailedStatistics detailed;
        SxvkStatistics statistics;
        sxvkGetPoolStatistics(arena->allocator, arena->pools[i], &statistics);
        sxvkCalculatePoolStatistics(arena->allocator, arena->pools[i], &detailed);
        CHECK(sxvkSetPoolName(arena->allocator, arena->pools[i], names[round % 3]) == VK_SUCCESS,
              "no name");
    }
}

static void watch_once(World* world, Arena* arena, uint32_t round) {
    Visit visit = {world, 0};
    SxvkAllocator allocator = arena->allocator;
    VkResult result;
    switch (round % 8) {
    case 0: (void)sxvkTrim(allocator); break;
    case 1: sxvkSetCurrentFrameIndex(allocator, round * 100); break;
    case 2: watch_statistics(world, arena); break;
    case 3: watch_dump(arena, round % 64 == 3); break;
    case 4:
        sxvkForEachAllocation(allocator, visit_allocation, &visit);
        CHECK(world->mode == MODE_OWN || visit.common == COMMON_COUNT,
              "visited %u of %d common allocations", visit.common, COMMON_COUNT);
        break;
    case 5: CHECK(sxvkCheckIntegrity(allocator) == VK_SUCCESS, "%s", arena->messages.text); break;
    case 6:
        result = sxvkCheckCorruption(allocator, UINT32_MAX);
        CHECK(result == VK_SUCCESS || result == VK_ERROR_FEATURE_NOT_PRESENT, "%s",
              arena->messages.text);
        break;
    default: watch_pools(world, arena, round); break;
    }
}

static void* watch(void* argument) {
    World* world = (World*)argument;
    uint64_t random = world->seed;
    uint32_t round;
    for (round = 0; !__atomic_load_n(&world->stop, __ATOMIC_RELAXED); round++) {
        Arena* arena = &world->arenas[round / 8 % world->arenaCount];
        enter(arena);
        watch_once(world, arena, round);
        leave(arena);
        if (world->mode == MODE_FAULTS) {
            (void)sim_fail(world->sim,
                           chance(&random, 50) ? SIM_CALL_ALLOCATE_MEMORY : SIM_CALL_ANY_FAILABLE,
                           1 + testing_below(&random, 10), 1 + testing_below(&random, 3),
                           VK_ERROR_OUT_OF_DEVICE_MEMORY);
        }
    }
    return NULL;
}

/*  Inside of driver calls: whoever held a lock of the allocator's across the call would hang here. */
static void call_hook(void* pUser, SimCall call) {
    World* world = (World*)pUser;
    uint32_t calls = __atomic_add_fetch(&world->hookCalls, 1, __ATOMIC_RELAXED);
    if (calls % 8 == 0 && (call == SIM_CALL_ALLOCATE_MEMORY || call == SIM_CALL_FREE_MEMORY ||
                           call == SIM_CALL_MAP_MEMORY || call == SIM_CALL_UNMAP_MEMORY)) {
        watch_statistics(world, &world->arenas[0]);
    }
}

/* ------------------------------------------------------------------ a round */

static void open_arena(World* world, Arena* arena, const SimOptions* options) {
    SxvkAllocatorCreateInfo info;
    memset(&info, 0, sizeof info);
    host_init(&arena->host);
    arena->guarded = world->mode == MODE_EXTERNAL;
    CHECK(pthread_mutex_init(&arena->guard, NULL) == 0, "no mutex");
    info.flags = world->flags;
    info.flags |= arena->guarded ? SXVK_ALLOCATOR_CREATE_EXTERNALLY_SYNCHRONIZED_BIT : 0;
    info.instance = sim_instance(world->sim);
    info.physicalDevice = sim_physical_device(world->sim);
    info.device = sim_device(world->sim);
    info.vulkanApiVersion = options->apiVersion;
    info.pVulkanFunctions = &world->functions;
    info.pAllocationCallbacks = &arena->host.callbacks;
    info.pfnMessage = messages_callback;
    info.pMessageUserData = &arena->messages;
    info.pDebugInfo = &world->debug;
    CHECK(sxvkCreateAllocator(&info, &arena->allocator) == VK_SUCCESS, "no allocator");
}

/*  The first pool has one block, made by whoever comes first, and big enough for all that the workers
    ever hold. */
static void make_pools(World* world, Arena* arena) {
    SxvkAllocationCreateInfo info;
    SxvkPoolCreateInfo create;
    uint32_t i;
    memset(&info, 0, sizeof info);
    memset(&create, 0, sizeof create);
    info.requiredFlags = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    CHECK(sxvkFindMemoryTypeIndex(arena->allocator, UINT32_MAX, &info, &create.memoryTypeIndex) ==
              VK_SUCCESS,
          "no type");
    for (i = 0; i < POOL_COUNT && world->mode == MODE_POOLS; i++) {
        create.blockSize = i == 0 ? 256u << 20 : i == 1 ? 262144 : i == 2 ? 0 : 1u << 20;
        create.flags = i == 3 ? SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT : 0;
        create.maxBlockCount = i == 0;
        create.minBlockCount = i == 1;
        CHECK(sxvkCreatePool(arena->allocator, &create, &arena->pools[i]) == VK_SUCCESS, "no pool");
    }
}

static void make_common(World* world) {
    VkMemoryRequirements needs = testing_requirements(WORKER_COUNT * COMMON_LANE, 16, UINT32_MAX);
    SxvkAllocator allocator = world->arenas[0].allocator;
    SxvkAllocationCreateInfo info;
    SxvkPoolCreateInfo create;
    uint32_t i;
    if (world->mode == MODE_OWN) {
        return;
    }
    memset(&info, 0, sizeof info);
    memset(&create, 0, sizeof create);
    info.requiredFlags = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    create.blockSize = 1u << 20;
    CHECK(sxvkFindMemoryTypeIndex(allocator, UINT32_MAX, &info, &create.memoryTypeIndex) ==
                  VK_SUCCESS &&
              sxvkCreatePool(allocator, &create, &world->quiet) == VK_SUCCESS,
          "no pool");
    for (i = 0; i < COMMON_COUNT; i++) {
        info.pool = i + 2 >= COMMON_COUNT ? world->quiet : VK_NULL_HANDLE;
        CHECK(sxvkAllocateMemory(allocator, &needs, &info, &world->common[i].allocation, NULL) ==
                  VK_SUCCESS,
              "no common allocation");
    }
}

static void open_world(World* world) {
    static const char* const profiles[] = {"nvidia_rtx2060super_no_rebar_r516",
                                           "synthetic_atom_4096", "lavapipe", "swiftshader"};
    uint64_t random = world->seed * 977;
    SimProfile profile = testing_profile(TESTING_PROFILES, profiles[testing_below(&random, 4)]);
    SimOptions options = sim_default_options();
    uint32_t i;
    options.backing = true;
    options.checks = chance(&random, 70);
    world->flags |= chance(&random, 50) ? SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT : 0;
    world->flags |= chance(&random, 50) ? SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT : 0;
    world->debug.margin = chance(&random, 40) ? 16 : 0;
    world->sim = sim_create(&profile, &options);
    CHECK(world->sim != NULL, "no simulated device");
    world->functions.vkGetInstanceProcAddr = sim_get_instance_proc_addr();
    world->functions.vkGetDeviceProcAddr = sim_get_device_proc_addr();
    world->arenaCount = world->mode == MODE_OWN ? WORKER_COUNT : 1;
    CHECK(pthread_mutex_init(&world->exchangeLock, NULL) == 0, "no mutex");
    for (i = 0; i < world->arenaCount; i++) {
        open_arena(world, &world->arenas[i], &options);
    }
    make_pools(world, &world->arenas[0]);
    make_common(world);
    if (world->mode != MODE_OWN) {
        sim_set_call_hook(world->sim, call_hook, world);
    }
}

static void close_arena(World* world, Arena* arena) {
    SxvkTotalStatistics total;
    uint32_t i;
    CHECK(sxvkCheckIntegrity(arena->allocator) == VK_SUCCESS, "%s", arena->messages.text);
    sxvkCalculateStatistics(arena->allocator, &total);
    CHECK(total.total.statistics.allocationCount == 0 &&
              total.total.statistics.allocationBytes == 0,
          "%u allocations are left", total.total.statistics.allocationCount);
    for (i = 0; i < POOL_COUNT; i++) {
        sxvkDestroyPool(arena->allocator, arena->pools[i]);
    }
    (void)sxvkTrim(arena->allocator);
    sxvkCalculateStatistics(arena->allocator, &total);
    CHECK(total.total.statistics.blockCount == 0, "%u blocks are left",
          total.total.statistics.blockCount);
    CHECK(world->mode == MODE_FAULTS || arena->messages.total == 0, "a message: %s",
          arena->messages.text);
    sxvkDestroyAllocator(arena->allocator);
    CHECK(arena->host.liveCount == 0 && arena->host.mistakes == 0,
          "%" PRIu64 " blocks of host memory are left", arena->host.liveCount);
    (void)pthread_mutex_destroy(&arena->guard);
}

static void close_world(World* world, Worker* workers) {
    uint64_t leaks;
    uint32_t i, w;
    sim_clear_faults(world->sim);
    for (w = 0; w < WORKER_COUNT; w++) {
        for (i = 0; i < workers[w].itemCount; i++) {
            free_item(&workers[w].items[i]);
        }
    }
    for (i = 0; i < EXCHANGE_MAX; i++) {
        if (world->exchange[i].allocation != VK_NULL_HANDLE) {
            free_item(&world->exchange[i]);
        }
    }
    for (i = 0; i < COMMON_COUNT; i++) {
        sxvkFreeMemory(world->arenas[0].allocator, world->common[i].allocation);
    }
    sxvkDestroyPool(world->arenas[0].allocator, world->quiet);
    sim_set_call_hook(world->sim, NULL, NULL);
    for (i = 0; i < world->arenaCount; i++) {
        close_arena(world, &world->arenas[i]);
    }
    CHECK(sim_live_memory_count(world->sim) == 0, "memory is left");
    CHECK(sim_errors(world->sim) == 0, "the device: %s", sim_last_error(world->sim));
    leaks = sim_destroy(world->sim);
    CHECK(leaks == 0, "%" PRIu64 " objects of the device are left", leaks);
    (void)pthread_mutex_destroy(&world->exchangeLock);
}

static uint64_t run_round(Mode mode, uint64_t seed, double seconds) {
    static Worker workers[WORKER_COUNT];
    static World world;
    pthread_t threads[WORKER_COUNT + 1];
    struct timespec nap;
    uint32_t i;
    memset(workers, 0, sizeof workers);
    memset(&world, 0, sizeof world);
    world.mode = mode;
    world.seed = seed;
    current = &world;
    open_world(&world);
    for (i = 0; i < WORKER_COUNT; i++) {
        workers[i].world = &world;
        workers[i].arena = &world.arenas[i % world.arenaCount];
        workers[i].number = i;
        workers[i].random = seed * 31 + i;
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0, "no thread");
    }
    CHECK(pthread_create(&threads[WORKER_COUNT], NULL, watch, &world) == 0, "no thread");
    nap.tv_sec = (time_t)seconds;
    nap.tv_nsec = (long)((seconds - (double)nap.tv_sec) * 1e9);
    (void)nanosleep(&nap, NULL);
    __atomic_store_n(&world.stop, 1, __ATOMIC_RELAXED);
    for (i = 0; i <= WORKER_COUNT; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    close_world(&world, workers);
    return world.operations;
}

int main(int argc, char** argv) {
    uint64_t seed = 1, operations = 0, rounds = 0;
    double seconds = 4, start = now(), length;
    int i, mode, only = -1;
    for (i = 1; i < argc; i += 2) {
        bool known = i + 1 < argc;
        if (known && strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 0);
        } else if (known && strcmp(argv[i], "--seconds") == 0) {
            seconds = strtod(argv[i + 1], NULL);
        } else if (known && strcmp(argv[i], "--mode") == 0) {
            for (mode = 0; mode < MODE_COUNT; mode++) {
                only = strcmp(argv[i + 1], modeNames[mode]) == 0 ? mode : only;
            }
        } else {
            fprintf(stderr, "fuzz_threads [--seed S] [--seconds T] [--mode NAME]\n");
            return 2;
        }
    }
    (void)alarm((unsigned)seconds + 120); /* a deadlock ends here */
    /* Short rounds: much of what may go wrong does when things are new. */
    length = seconds < 30 ? seconds / 20 : 1;
    for (; now() - start < seconds; seed++) {
        for (mode = 0; mode < MODE_COUNT && now() - start < seconds; mode++) {
            if (only < 0 || mode == only) {
                operations += run_round((Mode)mode, seed, length);
                rounds++;
            }
        }
    }
    printf("%" PRIu64 " rounds up to seed %" PRIu64 ", %" PRIu64 " operations, %.1f s: passed\n",
           rounds, seed - 1, operations, now() - start);
    return 0;
}
