/*  fuzz_linear.c - linear pools against a naive model, which tells where every range goes.

    The model keeps, for each pool, its blocks, the newest in use first, and in each block the live
    ranges in an array by offset. So it says of every allocation in which block and at which offset
    it must be, or that there is no room. Pools of several sizes and limits and one of the general
    kind live side by side, so that records wander between them. After each step the totals, the
    gaps and the handles agree, and every invariant holds; handles of long ago stay invalid.

        fuzz_linear                       a few seconds, from seed 1 on
        fuzz_linear --seconds 300         longer
        fuzz_linear --seed 7              just this one

    What fails prints its seed and step.
*/

#ifndef SX_VKALLOC_DEBUG
#define SX_VKALLOC_DEBUG 2
#endif
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "sim.h"
#include "testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POOL_COUNT  4 /* the last one is general */
#define BLOCK_MAX   12
#define RANGE_MAX   256
#define OLD_MAX     512
#define GENERAL_MAX 64
#define STEPS       3000
#define HOST_TYPE   1 /* of sim_profile_discrete */

typedef struct Range {
    VkDeviceSize offset, end; /* with what the margin takes */
    VkDeviceSize size;
    SxvkAllocation allocation;
    uint32_t maps;
    bool named;
} Range;

typedef struct Block {
    VkDeviceMemory memory;
    Range ranges[RANGE_MAX]; /* by offset */
    uint32_t count;
    int low;   /* index of the newest low one; -1: none */
    int upper; /* of the lowest upper one; -1: none */
} Block;

typedef struct Pool {
    SxvkPool pool;
    VkDeviceSize blockSize;
    size_t maxBlocks;
    Block* blocks[BLOCK_MAX]; /* in use, the newest first; then empty, the longest empty first */
    uint32_t count, used;
} Pool;

typedef struct World {
    uint64_t seed, random;
    uint32_t step;
    Rig* rig;
    Pool pools[POOL_COUNT];
    SxvkAllocation general[GENERAL_MAX];
    uint32_t generalCount;
    SxvkAllocation old[OLD_MAX];
    uint32_t oldCount;
    VkDeviceSize margin;
} World;

static World* current;

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("FAILED, seed %" PRIu64 ", step %u: %s: ", current->seed, current->step,        \
                   #condition);                                                                    \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static uint32_t below(World* world, uint32_t n) {
    return testing_below(&world->random, n);
}

static VkDeviceSize up(VkDeviceSize x, VkDeviceSize alignment) {
    return (x + alignment - 1) / alignment * alignment;
}

/* ------------------------------------------------------------------ the model */

/*  Where a range goes in a block, and before which one; -1: no room. */
static int place(const Block* block, VkDeviceSize blockSize, VkDeviceSize size,
                 VkDeviceSize alignment, bool upper, VkDeviceSize* offset) {
    uint32_t at = (uint32_t)(block->low + 1);
    VkDeviceSize from = at == 0 ? 0 : block->ranges[at - 1].end;
    VkDeviceSize to = at == block->count ? blockSize : block->ranges[at].offset;
    if (upper) {
        bool wrapped = at != block->count && (int)at != block->upper;
        *offset = to >= size ? (to - size) / alignment * alignment : 0;
        return wrapped || to < size || *offset < from ? -1 : (int)at;
    }
    *offset = up(from, alignment);
    if (*offset + size <= to) {
        return (int)at;
    }
    *offset = 0;
    return at == block->count && at != 0 && size <= block->ranges[0].offset ? 0 : -1;
}

static void insert(Block* block, int at, bool upper, const Range* range) {
    memmove(block->ranges + at + 1, block->ranges + at,
            (block->count - (uint32_t)at) * sizeof *block->ranges);
    block->ranges[at] = *range;
    block->count++;
    if (upper) {
        block->upper = at;
        return;
    }
    block->low = at;
    block->upper += block->upper >= 0;
}

static void erase(Block* block, int at) {
    block->count--;
    memmove(block->ranges + at, block->ranges + at + 1,
            (block->count - (uint32_t)at) * sizeof *block->ranges);
    if (block->upper > at) {
        block->upper--;
    } else if (block->upper == at && at == (int)block->count) {
        block->upper = -1;
    }
    block->low -= block->low >= at;
    if (block->low < 0 && block->upper < 0) {
        block->low = (int)block->count - 1;
    }
}

static void move_block(Pool* pool, uint32_t from, uint32_t to) {
    Block* block = pool->blocks[from];
    Block** at = pool->blocks;
    if (from < to) {
        memmove(at + from, at + from + 1, (to - from) * sizeof *at);
    } else {
        memmove(at + to + 1, at + to, (from - to) * sizeof *at);
    }
    at[to] = block;
}

static Block* add_block(Pool* pool) {
    Block* block = (Block*)calloc(1, sizeof *block);
    CHECK(block != NULL, "no memory");
    block->low = -1;
    block->upper = -1;
    pool->blocks[pool->count++] = block;
    return block;
}

static void drop_block(Pool* pool, uint32_t index) {
    move_block(pool, index, pool->count - 1);
    free(pool->blocks[--pool->count]);
}

static void drop_empty_blocks(Pool* pool) {
    while (pool->count > pool->used) {
        drop_block(pool, pool->count - 1);
    }
}

/*  After a failure empty blocks of all pools may have been given back: look which are left. */
static void learn_empty_blocks(World* world) {
    uint32_t p;
    for (p = 0; p + 1 < POOL_COUNT; p++) {
        Pool* pool = &world->pools[p];
        const sxvki_domain* domain = sxvki_pool_domain(pool->pool, 0);
        uint32_t id = domain != NULL ? domain->empty_first : SXVKI_NONE;
        drop_empty_blocks(pool);
        for (; id != SXVKI_NONE; id = sxvki_block_at(pool->pool->device, id)->next) {
            add_block(pool)->memory = sxvki_block_at(pool->pool->device, id)->memory;
        }
    }
}

/* ------------------------------------------------------------------ steps */

static SxvkStatistics statistics(World* world, const Pool* pool) {
    SxvkStatistics stats;
    sxvkGetPoolStatistics(world->rig->allocator, pool->pool, &stats);
    return stats;
}

static void retire(World* world, SxvkAllocation allocation) {
    world->old[world->oldCount < OLD_MAX ? world->oldCount++ : below(world, OLD_MAX)] = allocation;
}

/*  Is the failure of `result` one that was ordered? */
static bool was_fault(World* world, uint64_t faults) {
    bool fired = world->rig->host.failed + sim_faults_fired(world->rig->sim) != faults;
    messages_clear(&world->rig->messages);
    return fired;
}

static void step_take(World* world, Pool* pool) {
    VkDeviceSize most = pool->blockSize / (VkDeviceSize)(1 + below(world, 12));
    VkDeviceSize size = 1 + below(world, (uint32_t)most);
    VkDeviceSize alignment = (VkDeviceSize)1 << below(world, below(world, 2) ? 5 : 11);
    VkDeviceSize room = up(size + world->margin, 16);
    VkDeviceSize grain = alignment < 16 ? 16 : alignment;
    bool upper = below(world, 4) == 0;
    VkMemoryRequirements needs = testing_requirements(size, alignment, UINT32_MAX);
    SxvkAllocationCreateInfo create = {
        .pool = pool->pool,
        .flags = (upper ? SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT : 0) |
                 (below(world, 3) == 0 ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0),
        .pName = below(world, 8) == 0 ? "named" : NULL};
    uint64_t faults = world->rig->host.failed + sim_faults_fired(world->rig->sim);
    Range range = {.size = size};
    SxvkAllocationInfo info;
    uint32_t index = 0;
    int at = -1;
    VkResult result;
    bool faulty;
    if (pool->used != 0) {
        at = place(pool->blocks[0], pool->blockSize, room, grain, upper, &range.offset);
    }
    if (at < 0 && pool->used < pool->count) { /* the longest empty one */
        index = pool->used;
        at = place(pool->blocks[index], pool->blockSize, room, grain, upper, &range.offset);
    }
    result = sxvkAllocateMemory(world->rig->allocator, &needs, &create, &range.allocation, &info);
    faulty = was_fault(world, faults);
    if (result != VK_SUCCESS) {
        CHECK(faulty || (at < 0 && (room > pool->blockSize || pool->count == pool->maxBlocks)),
              "no room, but there is");
        learn_empty_blocks(world);
        return;
    }
    if (faulty && (pool->used == 0 || info.deviceMemory != pool->blocks[0]->memory)) {
        at = -1; /* empty blocks were given back for it */
        drop_empty_blocks(pool);
    }
    if (at < 0) {
        CHECK(room <= pool->blockSize && pool->count < pool->maxBlocks, "room, but there is none");
        index = pool->count;
        at = place(add_block(pool), pool->blockSize, room, grain, upper, &range.offset);
        CHECK(at == 0, "the model");
        pool->blocks[index]->memory = info.deviceMemory;
    }
    if (index >= pool->used) {
        move_block(pool, index, 0);
        pool->used++;
    }
    CHECK(info.deviceMemory == pool->blocks[0]->memory, "another block");
    CHECK(info.offset == range.offset, "at %" PRIu64 ", not at %" PRIu64, (uint64_t)info.offset,
          (uint64_t)range.offset);
    CHECK(info.size == size && info.offset % alignment == 0, "size or alignment");
    range.end = range.offset + room;
    range.named = create.pName != NULL;
    CHECK(pool->blocks[0]->count < RANGE_MAX, "too many ranges for the model");
    insert(pool->blocks[0], at, upper, &range);
    if (faulty) {
        learn_empty_blocks(world);
    }
}

static void step_give(World* world, Pool* pool) {
    uint32_t which = below(world, 3) == 0 ? below(world, pool->used) : 0;
    Block* block = pool->blocks[below(world, 2) ? pool->used - 1 : which];
    uint32_t index = 0;
    int at;
    while (pool->blocks[index] != block) {
        index++;
    }
    switch (below(world, 4)) { /* as a stack, a ring, or anyhow */
    case 0: at = block->low >= 0 ? block->low : block->upper; break;
    case 1: at = block->upper >= 0 ? block->upper : block->low; break;
    case 2: at = block->low + 1 < (int)block->count ? block->low + 1 : 0; break;
    default: at = (int)below(world, block->count); break;
    }
    retire(world, block->ranges[at].allocation);
    while (block->ranges[at].maps-- != 0) {
        sxvkUnmapMemory(world->rig->allocator, block->ranges[at].allocation);
    }
    sxvkFreeMemory(world->rig->allocator, block->ranges[at].allocation);
    CHECK(!sxvkIsAllocationValid(world->rig->allocator, block->ranges[at].allocation), "freed");
    erase(block, at);
    if (block->count == 0) {
        uint32_t left = statistics(world, pool).blockCount;
        pool->used--;
        move_block(pool, index, pool->count - 1);
        CHECK(left == pool->count || (left == pool->count - 1 && pool->count > pool->used + 1),
              "%u blocks are left of %u", left, pool->count);
        if (left < pool->count) {
            drop_block(pool, pool->count - 1);
        }
    }
}

static void step_look(World* world, Pool* pool) {
    Block* block = pool->blocks[below(world, pool->used)];
    Range* range = &block->ranges[below(world, block->count)];
    SxvkAllocationInfo info;
    void* data;
    sxvkGetAllocationInfo(world->rig->allocator, range->allocation, &info);
    CHECK(info.deviceMemory == block->memory && info.offset == range->offset &&
              info.size == range->size && (info.pName != NULL) == range->named &&
              info.pUserData == NULL,
          "the info");
    if (range->maps < 3 &&
        sxvkMapMemory(world->rig->allocator, range->allocation, &data) == VK_SUCCESS) {
        range->maps++;
    }
    messages_clear(&world->rig->messages);
}

static void step_reset(World* world, Pool* pool) {
    uint32_t i;
    while (pool->used != 0) {
        Block* block = pool->blocks[0];
        for (i = 0; i < block->count; i++) {
            if (below(world, 4) == 0) {
                retire(world, block->ranges[i].allocation);
            }
        }
        block->count = 0;
        block->low = -1;
        block->upper = -1;
        move_block(pool, 0, pool->count - 1);
        pool->used--;
    }
    CHECK(sxvkResetPool(world->rig->allocator, pool->pool) == VK_SUCCESS, "reset");
}

static void step_trim(World* world) {
    uint32_t p;
    (void)sxvkTrim(world->rig->allocator);
    for (p = 0; p + 1 < POOL_COUNT; p++) {
        drop_empty_blocks(&world->pools[p]);
    }
}

/*  Records that linear pools had are used elsewhere, and come back. */
static void step_general(World* world) {
    SxvkAllocationCreateInfo create = {.pool = world->pools[POOL_COUNT - 1].pool};
    VkMemoryRequirements needs = testing_requirements(1 + below(world, 40000), 16, UINT32_MAX);
    uint64_t faults = world->rig->host.failed + sim_faults_fired(world->rig->sim);
    if (world->generalCount == GENERAL_MAX || below(world, 8) == 0) {
        while (world->generalCount != 0) {
            retire(world, world->general[--world->generalCount]);
            sxvkFreeMemory(world->rig->allocator, world->general[world->generalCount]);
        }
    } else if (sxvkAllocateMemory(world->rig->allocator, &needs, &create,
                                  &world->general[world->generalCount], NULL) == VK_SUCCESS) {
        world->generalCount++;
    }
    if (was_fault(world, faults)) {
        learn_empty_blocks(world);
    }
    messages_clear(&world->rig->messages);
}

static SxvkPool open_pool(World* world, uint32_t p) {
    static const VkDeviceSize sizes[] = {4096, 65536, 20000, 1 << 20};
    static const size_t limits[] = {1, BLOCK_MAX, 3, 0};
    SxvkPoolCreateInfo info = {.flags =
                                   SXVK_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT |
                                   (p + 1 < POOL_COUNT ? SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT : 0),
                               .memoryTypeIndex = HOST_TYPE,
                               .blockSize = sizes[p],
                               .maxBlockCount = limits[p]};
    Pool* pool = &world->pools[p];
    memset(pool, 0, sizeof *pool);
    pool->blockSize = sizes[p];
    pool->maxBlocks = limits[p];
    if (sxvkCreatePool(world->rig->allocator, &info, &pool->pool) != VK_SUCCESS) {
        host_fail(&world->rig->host, 0, 0);
        sim_clear_faults(world->rig->sim);
        CHECK(sxvkCreatePool(world->rig->allocator, &info, &pool->pool) == VK_SUCCESS, "no pool");
    }
    messages_clear(&world->rig->messages);
    return pool->pool;
}

static void close_pool(World* world, Pool* pool) {
    step_reset(world, pool);
    while (pool->count != 0) {
        drop_block(pool, 0);
    }
    sxvkDestroyPool(world->rig->allocator, pool->pool);
}

/* ------------------------------------------------------------------ all agree */

static void check_pool(World* world, const Pool* pool) {
    SxvkDetailedStatistics stats;
    uint32_t count = 0, gaps = 0, b, r;
    VkDeviceSize bytes = 0;
    for (b = 0; b < pool->count; b++) {
        VkDeviceSize end = 0;
        CHECK((pool->blocks[b]->count != 0) == (b < pool->used), "the model");
        for (r = 0; r < pool->blocks[b]->count; r++) {
            const Range* range = &pool->blocks[b]->ranges[r];
            CHECK(sxvkIsAllocationValid(world->rig->allocator, range->allocation), "a live one");
            gaps += range->offset != end;
            end = range->offset + range->size;
            bytes += range->size;
            count++;
        }
        gaps += end != up(pool->blockSize, 16);
    }
    sxvkCalculatePoolStatistics(world->rig->allocator, pool->pool, &stats);
    CHECK(stats.statistics.allocationCount == count && stats.statistics.allocationBytes == bytes,
          "%u allocations, not %u", stats.statistics.allocationCount, count);
    CHECK(stats.statistics.blockCount == pool->count, "%u blocks, not %u",
          stats.statistics.blockCount, pool->count);
    CHECK(stats.unusedRangeCount == gaps, "%u gaps, not %u", stats.unusedRangeCount, gaps);
}

static VkBool32 VKAPI_PTR count_one(void* pCount, SxvkAllocator allocator,
                                    SxvkAllocation allocation) {
    CHECK(sxvkIsAllocationValid(allocator, allocation), "seen, but not valid");
    ++*(uint32_t*)pCount;
    return VK_TRUE;
}

static void check_world(World* world) {
    uint32_t p, b, i, seen = 0, count = world->generalCount;
    for (p = 0; p + 1 < POOL_COUNT; p++) {
        check_pool(world, &world->pools[p]);
        for (b = 0; b < world->pools[p].used; b++) {
            count += world->pools[p].blocks[b]->count;
        }
    }
    for (i = 0; i < world->oldCount; i++) {
        CHECK(!sxvkIsAllocationValid(world->rig->allocator, world->old[i]), "a handle of long ago");
    }
    if (below(world, 10) == 0) {
        sxvkForEachAllocation(world->rig->allocator, count_one, &seen);
        CHECK(seen == count, "%u were seen, not %u", seen, count);
    }
    CHECK(sxvkCheckIntegrity(world->rig->allocator) == VK_SUCCESS, "%s", world->rig->messages.text);
}

static void step(World* world) {
    Pool* pool = &world->pools[below(world, POOL_COUNT - 1)];
    uint32_t what = below(world, 1000);
    bool full = pool->used != 0 && pool->blocks[0]->count == RANGE_MAX;
    if (what < 480 && !full) {
        step_take(world, pool);
    } else if (what < 860 && pool->used != 0) {
        step_give(world, pool);
    } else if (what < 920 && pool->used != 0) {
        step_look(world, pool);
    } else if (what < 935) {
        step_reset(world, pool);
    } else if (what < 940) {
        step_trim(world);
    } else if (what < 970) {
        step_general(world);
    } else if (what < 973) {
        uint32_t p = (uint32_t)(pool - world->pools);
        close_pool(world, pool);
        (void)open_pool(world, p);
    } else if (what < 985 && world->oldCount != 0) {
        uint32_t wrong = world->rig->messages.total;
        sxvkFreeMemory(world->rig->allocator, world->old[below(world, world->oldCount)]);
        CHECK(world->rig->messages.total == wrong + 1, "a stale handle was freed");
        messages_clear(&world->rig->messages);
    } else if (what < 992) {
        host_fail(&world->rig->host, 1 + below(world, 3), 1 + below(world, 2));
    } else {
        sim_fail(world->rig->sim, SIM_CALL_ANY_FAILABLE, 1 + below(world, 3), 1 + below(world, 2),
                 VK_ERROR_OUT_OF_DEVICE_MEMORY);
    }
}

static void run_seed(uint64_t seed) {
    static World world;
    RigOptions options = rig_options();
    SxvkDebugInfo debug = {.margin = seed % 3 == 0 ? 32 : 0};
    uint32_t p;
    memset(&world, 0, sizeof world);
    current = &world;
    world.seed = seed;
    world.random = seed * 1000003;
    world.margin = debug.margin;
    options.sim.backing = debug.margin != 0;
    options.info.flags = seed % 2 ? SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT : 0;
    options.info.pDebugInfo = &debug;
    world.rig = rig_create(&options);
    for (p = 0; p < POOL_COUNT; p++) {
        (void)open_pool(&world, p);
    }
    for (world.step = 0; world.step < STEPS; world.step++) {
        step(&world);
        if (world.step % 8 == 0 || seed % 5 == 0) {
            check_world(&world);
        }
    }
    host_fail(&world.rig->host, 0, 0);
    sim_clear_faults(world.rig->sim);
    sxvkFreeMemoryPages(world.rig->allocator, world.generalCount, world.general);
    for (p = 0; p < POOL_COUNT; p++) {
        close_pool(&world, &world.pools[p]);
    }
    CHECK(sim_live_memory_count(world.rig->sim) == 0, "memory is left");
    messages_clear(&world.rig->messages);
    rig_destroy(world.rig);
}

static double now(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int argc, char** argv) {
    uint64_t seed = 1, first, last = 101;
    double seconds = 0, start = now();
    int i;
    for (i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 0);
            last = seed + 1;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            seconds = strtod(argv[i + 1], NULL);
        }
    }
    for (first = seed; seconds > 0 ? now() - start < seconds : seed < last; seed++) {
        run_seed(seed);
    }
    printf("seeds %" PRIu64 " to %" PRIu64 ", %d steps each, %.1f s: passed\n", first, seed - 1,
           STEPS, now() - start);
    return 0;
}
