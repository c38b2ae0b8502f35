/*  fuzz_virtual.c - virtual blocks against a naive list of intervals.

    Random allocations of any size, alignment and strategy, frees, stale frees, growth, clearing and
    host memory that fails. After each step: a range that was handed out is aligned, inside of the
    block and apart from every other; a refusal has a reason; what a failed call should not change
    stays. Every few steps the statistics are added up from the list, every info is compared, and
    every invariant of the block is checked. At the end no host memory is left.

    One block in three is a linear one: a ring, a stack, two stacks, or all of them by turns. There
    the model says where each range lies, and which ones are refused.

        fuzz_virtual                              some seeds, a second or two
        fuzz_virtual --seconds 30                 smoke; 300 before a merge, 3600 before a release
        fuzz_virtual --seed 7                     one seed

    What fails prints its seed.
*/
#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "testing.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ITEM_MAX  3000
#define STALE_MAX 64
#define STEPS     20000
#define NONE      UINT32_MAX

typedef struct Item {
    SxvkVirtualAllocation handle;
    VkDeviceSize offset;
    VkDeviceSize size;
    void* data;
    bool upper;
} Item;

typedef struct World {
    uint64_t seed;
    uint64_t random;
    Host host;
    Messages messages;
    SxvkVirtualBlock block;
    VkDeviceSize size;
    VkDeviceSize granularity;
    VkDeviceSize most;  /* of one allocation */
    uint32_t live_most; /* allocations */
    bool same_sizes;
    bool linear;
    uint32_t pattern; /* of linear: which one goes first, see release */
    uint32_t step;
    Item items[ITEM_MAX]; /* by offset */
    uint32_t count;
    uint32_t low; /* of linear: the newest item that is not an upper one; NONE */
    SxvkVirtualAllocation stale[STALE_MAX];
    uint32_t stale_count;
    uint64_t layout; /* a hash of all offsets */
    uint64_t taken, refused, starved;
} World;

static void fail_at(const World* world, int line, const char* what) {
    fprintf(stderr, "fuzz_virtual: --seed %" PRIu64 ", step %u: line %d: %s\n", world->seed,
            world->step, line, what);
    exit(1);
}

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_at(world, __LINE__, #condition);                                                  \
        }                                                                                          \
    } while (0)

static uint32_t below(World* world, uint32_t n) {
    return testing_below(&world->random, n);
}

/* ------------------------------------------------------------------ the model */

/*  The first item at or behind an offset. */
static uint32_t item_behind(const World* world, VkDeviceSize offset) {
    uint32_t lo = 0;
    uint32_t hi = world->count;
    while (lo < hi) {
        uint32_t middle = (lo + hi) / 2;
        if (world->items[middle].offset < offset) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    return lo;
}

static void insert(World* world, Item item) {
    uint32_t at = item_behind(world, item.offset);
    EXPECT(item.offset <= world->size && item.size <= world->size - item.offset);
    EXPECT(at == 0 || world->items[at - 1].offset + world->items[at - 1].size <= item.offset);
    EXPECT(at == world->count || item.offset + item.size <= world->items[at].offset);
    memmove(&world->items[at + 1], &world->items[at], (world->count - at) * sizeof item);
    world->items[at] = item;
    world->count++;
    if (!item.upper) {
        world->low = at;
    }
}

/*  The first of those that grow down; count: none. */
static uint32_t first_upper(const World* world) {
    uint32_t at = world->count;
    while (at != 0 && world->items[at - 1].upper) {
        at--;
    }
    return at;
}

static void take_out(World* world, uint32_t at) {
    world->stale[world->stale_count++ % STALE_MAX] = world->items[at].handle;
    world->count--;
    memmove(&world->items[at], &world->items[at + 1], (world->count - at) * sizeof(Item));
    if (world->low != NONE && at <= world->low) {
        world->low--; /* NONE from 0 */
    }
    if (world->low == NONE && first_upper(world) == world->count) {
        world->low = world->count - 1; /* a ring that is not wrapped any more; NONE if empty */
    }
}

/*  Where a linear block must put it; VK_WHOLE_SIZE where it must refuse. */
static VkDeviceSize foresee(const World* world, const SxvkVirtualAllocationCreateInfo* info) {
    const Item* low = world->low == NONE ? NULL : &world->items[world->low];
    VkDeviceSize mask = info->alignment == 0 ? 0 : info->alignment - 1;
    uint32_t next = world->low + 1;
    VkDeviceSize from = low == NULL ? 0 : low->offset + low->size;
    VkDeviceSize to = next == world->count ? world->size : world->items[next].offset;
    VkDeviceSize start = (from + mask) & ~mask;
    if (info->flags & SXVK_VIRTUAL_ALLOCATION_CREATE_UPPER_ADDRESS_BIT) {
        if (info->size > to || next != first_upper(world)) {
            return VK_WHOLE_SIZE;
        }
        start = (to - info->size) & ~mask;
        return start >= from ? start : VK_WHOLE_SIZE;
    }
    if (start + info->size <= to) {
        return start;
    }
    return next == world->count && next != 0 && info->size <= world->items[0].offset
               ? 0
               : VK_WHOLE_SIZE;
}

static SxvkStatistics sum_of(const World* world) {
    SxvkStatistics sum = {1, world->count, world->size, 0};
    for (uint32_t i = 0; i < world->count; i++) {
        sum.allocationBytes += world->items[i].size;
    }
    return sum;
}

static void check_detailed(World* world, const SxvkStatistics* sum) {
    SxvkDetailedStatistics stats;
    uint32_t gaps = 0;
    VkDeviceSize end = 0;
    VkDeviceSize gap_most = 0;
    VkDeviceSize gap_least = VK_WHOLE_SIZE;
    for (uint32_t i = 0; i <= world->count; i++) {
        VkDeviceSize next = i == world->count ? world->size : world->items[i].offset;
        if (next != end) {
            gaps++;
            gap_most = next - end > gap_most ? next - end : gap_most;
            gap_least = next - end < gap_least ? next - end : gap_least;
        }
        end = i == world->count ? next : next + world->items[i].size;
    }
    sxvkCalculateVirtualBlockStatistics(world->block, &stats);
    EXPECT(stats.statistics.blockCount == 1 && stats.statistics.blockBytes == world->size);
    EXPECT(stats.statistics.allocationCount == sum->allocationCount);
    EXPECT(stats.statistics.allocationBytes == sum->allocationBytes);
    EXPECT(stats.unusedRangeCount == gaps);
    EXPECT(stats.unusedRangeSizeMax == gap_most && stats.unusedRangeSizeMin == gap_least);
}

static void check_all(World* world) {
    SxvkStatistics sum = sum_of(world);
    SxvkStatistics stats;
    EXPECT(sxvki_virtual_is_valid(world->block));
    sxvkGetVirtualBlockStatistics(world->block, &stats);
    EXPECT(stats.blockCount == 1 && stats.blockBytes == sum.blockBytes);
    EXPECT(stats.allocationCount == sum.allocationCount);
    EXPECT(stats.allocationBytes == sum.allocationBytes);
    EXPECT((sxvkIsVirtualBlockEmpty(world->block) != VK_FALSE) == (world->count == 0));
    check_detailed(world, &sum);
    for (uint32_t i = 0; i < world->count; i++) {
        const Item* item = &world->items[i];
        SxvkVirtualAllocationInfo info;
        sxvkGetVirtualAllocationInfo(world->block, item->handle, &info);
        EXPECT(info.offset == item->offset && info.size == item->size);
        EXPECT(info.pUserData == item->data);
    }
}

/* ------------------------------------------------------------------ operations */

static void expect_messages(World* world, SxvkMessage message, uint32_t count) {
    EXPECT(world->messages.total == count);
    EXPECT(message == SXVK_MESSAGE_NONE || world->messages.counts[message] == count);
    messages_clear(&world->messages);
}

/*  May it be refused? Not where a range of the bins is so large that every search finds it. */
static bool may_refuse(const World* world, const SxvkVirtualAllocationCreateInfo* info) {
    VkDeviceSize most = 0;
    VkDeviceSize need = (info->size + info->alignment) / world->granularity;
    const sxvki_record* r;
    uint32_t index;
    for (index = world->block->first; index != world->block->end; index = r->next) {
        r = sxvki_record_at(&world->block->records, index);
        if (!sxvki_record_is_live(r) && sxvki_record_size(r) > most) {
            most = sxvki_record_size(r);
        }
    }
    return most < need + need / 32 + 1;
}

static SxvkVirtualAllocationCreateInfo random_request(World* world) {
    static const VkFlags strategies[] = {0,
                                         0,
                                         0,
                                         SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT,
                                         SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT,
                                         SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT};
    SxvkVirtualAllocationCreateInfo info;
    memset(&info, 0, sizeof info);
    info.size = world->same_sizes && below(world, 8) != 0
                    ? world->most / 3 + 1
                    : testing_log_uniform(&world->random, 1, world->most + 1);
    info.size *= world->granularity;
    if (below(world, 50) == 0) {
        info.size = world->size;
    }
    if (below(world, 3) == 0) {
        info.alignment = (VkDeviceSize)1 << below(world, below(world, 20) == 0 ? 64 : 10);
    }
    info.flags = strategies[below(world, sizeof strategies / sizeof *strategies)];
    if (world->linear && world->pattern >= 2 && below(world, 2) == 0) {
        info.flags |= SXVK_VIRTUAL_ALLOCATION_CREATE_UPPER_ADDRESS_BIT;
    }
    info.pUserData = below(world, 4) == 0 ? world : NULL;
    return info;
}

static void allocate(World* world) {
    SxvkVirtualAllocationCreateInfo info = random_request(world);
    bool starve = below(world, 20) == 0;
    Item item;
    VkResult result;
    uint64_t failed = world->host.failed;
    VkDeviceSize foreseen = world->linear ? foresee(world, &info) : 0;
    if (world->count == ITEM_MAX) {
        return;
    }
    host_fail(&world->host, 1, starve ? UINT32_MAX : 0);
    result = sxvkVirtualAllocate(world->block, &info, &item.handle, &item.offset);
    host_fail(&world->host, 1, 0);
    if (result == VK_SUCCESS) {
        item.size = info.size;
        item.data = info.pUserData;
        item.upper = (info.flags & SXVK_VIRTUAL_ALLOCATION_CREATE_UPPER_ADDRESS_BIT) != 0;
        EXPECT(item.handle != NULL);
        EXPECT(!world->linear || item.offset == foreseen);
        EXPECT((item.offset & (info.alignment == 0 ? 0 : info.alignment - 1)) == 0);
        EXPECT((item.offset & (world->granularity - 1)) == 0);
        insert(world, item);
        world->layout = (world->layout ^ item.offset) * UINT64_C(0x9E3779B97F4A7C15);
        world->taken++;
        expect_messages(world, SXVK_MESSAGE_NONE, 0);
        return;
    }
    EXPECT(item.handle == NULL && item.offset == VK_WHOLE_SIZE);
    if (result == VK_ERROR_OUT_OF_HOST_MEMORY) {
        EXPECT(starve && world->host.failed > failed);
        expect_messages(world, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
        world->starved++;
    } else {
        EXPECT(result == VK_ERROR_OUT_OF_DEVICE_MEMORY);
        EXPECT(world->count != 0 || info.size > world->size);
        EXPECT(world->linear ? foreseen == VK_WHOLE_SIZE
                             : info.size > world->size || may_refuse(world, &info));
        expect_messages(world, SXVK_MESSAGE_NONE, 0);
        world->refused++;
    }
}

/*  The oldest of a ring, the newest of a stack, or of two, or any. */
static uint32_t next_to_go(World* world) {
    uint32_t pattern = world->pattern == 4 ? below(world, 4) : world->pattern;
    uint32_t upper = first_upper(world);
    if (!world->linear || pattern == 3 || below(world, 100) == 0) {
        return below(world, world->count);
    }
    if (pattern == 2 && upper != world->count && (upper == 0 || below(world, 2) == 0)) {
        return upper;
    }
    return pattern == 0 || world->low == NONE ? (world->low + 1) % world->count : world->low;
}

static void release(World* world) {
    if (world->count != 0) {
        uint32_t at = next_to_go(world);
        sxvkVirtualFree(world->block, world->items[at].handle);
        take_out(world, at);
        expect_messages(world, SXVK_MESSAGE_NONE, 0);
    }
}

static void release_stale(World* world) {
    uint32_t have = world->stale_count < STALE_MAX ? world->stale_count : STALE_MAX;
    if (have != 0) {
        SxvkVirtualAllocation stale = world->stale[below(world, have)];
        sxvkVirtualFree(world->block, stale);
        expect_messages(world, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
    }
}

static void set_data(World* world) {
    if (world->count != 0) {
        Item* item = &world->items[below(world, world->count)];
        item->data = item->data == NULL ? (void*)item : NULL;
        EXPECT(sxvkSetVirtualAllocationUserData(world->block, item->handle, item->data) ==
               VK_SUCCESS);
    }
}

static void grow(World* world) {
    VkDeviceSize more = testing_log_uniform(&world->random, 1, world->most + 2);
    bool starve = below(world, 2) == 0;
    VkResult result;
    if (world->size / world->granularity > SXVKI_VIRTUAL_MAX / 2) {
        return;
    }
    more *= world->granularity;
    host_fail(&world->host, 1, starve ? UINT32_MAX : 0);
    result = sxvkGrowVirtualBlock(world->block, world->size + more);
    host_fail(&world->host, 1, 0);
    if (result == VK_SUCCESS) {
        EXPECT(!world->linear || first_upper(world) == world->count);
        world->size += more;
        expect_messages(world, SXVK_MESSAGE_NONE, 0);
    } else if (result == VK_ERROR_FEATURE_NOT_PRESENT) {
        EXPECT(world->linear && first_upper(world) != world->count);
        expect_messages(world, SXVK_MESSAGE_BAD_STRUCT, 1);
    } else {
        EXPECT(starve && result == VK_ERROR_OUT_OF_HOST_MEMORY);
        expect_messages(world, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
    }
}

static void clear(World* world) {
    sxvkClearVirtualBlock(world->block);
    while (world->count != 0) {
        take_out(world, world->count - 1);
    }
    EXPECT(sxvkIsVirtualBlockEmpty(world->block));
}

static void step(World* world) {
    uint32_t draw = below(world, 2000);
    bool want = world->count < world->live_most && below(world, 4) != 0;
    if (draw == 0) {
        clear(world);
    } else if (draw < 4) {
        grow(world);
    } else if (draw < 40) {
        release_stale(world);
    } else if (draw < 100) {
        set_data(world);
    } else if (want || below(world, 2) == 0) {
        allocate(world);
    } else {
        release(world);
    }
}

/* ------------------------------------------------------------------ a run */

/*  Returns a hash of where everything was. */
static uint64_t run(uint64_t seed, uint64_t* refused) {
    static World storage;
    World* world = &storage;
    SxvkVirtualBlockCreateInfo info;
    uint64_t layout;
    memset(world, 0, sizeof *world);
    memset(&info, 0, sizeof info);
    world->seed = seed;
    world->random = seed;
    host_init(&world->host);
    world->granularity = below(world, 4) == 0 ? (VkDeviceSize)1 << below(world, 20) : 1;
    world->size = testing_log_uniform(&world->random, 1, (uint64_t)1 << (4 + below(world, 34)));
    world->most = world->size / (1 + below(world, 1000)) + 1;
    world->live_most = 1 + below(world, ITEM_MAX);
    world->same_sizes = below(world, 3) == 0;
    world->linear = seed % 3 == 0;
    world->pattern = below(world, 5);
    world->low = NONE;
    world->size *= world->granularity;
    info.size = world->size;
    info.granularity = world->granularity;
    info.flags = world->linear ? SXVK_VIRTUAL_BLOCK_CREATE_LINEAR_ALGORITHM_BIT : 0;
    info.pAllocationCallbacks = &world->host.callbacks;
    info.pfnMessage = messages_callback;
    info.pMessageUserData = &world->messages;
    EXPECT(sxvkCreateVirtualBlock(&info, &world->block) == VK_SUCCESS);
    for (world->step = 0; world->step < STEPS; world->step++) {
        step(world);
        if (world->step % 257 == 0) {
            check_all(world);
        }
    }
    check_all(world);
    while (world->count != 0) {
        release(world);
    }
    check_all(world);
    EXPECT(world->block->domain.slab_count == 0);
    sxvkDestroyVirtualBlock(world->block);
    expect_messages(world, SXVK_MESSAGE_NONE, 0);
    EXPECT(world->host.liveCount == 0 && world->host.mistakes == 0);
    layout = world->layout ^ world->taken;
    *refused += world->refused;
    return layout;
}

int main(int argc, char** argv) {
    uint64_t seed = 1;
    uint64_t refused = 0;
    uint32_t runs = 0;
    uint32_t least = 40;
    double seconds = 0;
    time_t start = time(NULL);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 10);
            least = 1;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            seconds = strtod(argv[i + 1], NULL);
        } else {
            fprintf(stderr, "usage: fuzz_virtual [--seed N] [--seconds S]\n");
            return 2;
        }
    }
    do {
        uint64_t ignored = 0;
        if (run(seed, &refused) != run(seed, &ignored)) {
            fprintf(stderr, "fuzz_virtual: --seed %" PRIu64 ": another layout the second time\n",
                    seed);
            return 1;
        }
        seed++;
        runs++;
    } while (runs < least || difftime(time(NULL), start) < seconds);
    printf("fuzz_virtual: seeds up to %" PRIu64 ", twice %u runs of %u steps, %" PRIu64
           " refused\n",
           seed - 1, runs, STEPS, refused);
    return 0;
}
