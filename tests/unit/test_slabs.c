/*  test_slabs.c - slots of slabs: sizes, the life of a slab, what users see of them, threads.

    Most tests run on a site: an allocator with so much live that slabs are worth it, and with room
    in its blocks. In single threads other threads are played by a hook in the library's internal
    assertions: what takes no lock may run at any of them, all else where no lock is held. Run by
    CTest (unit.slabs).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void (*at_assertion)(void); /* what "another thread" does meanwhile */

static void check_assertion(int holds, const char* text) {
    if (!holds) {
        fprintf(stderr, "assertion: %s\n", text);
        abort();
    }
    if (at_assertion != NULL) {
        at_assertion();
    }
}

#define SX_VKALLOC_ASSERT(x) check_assertion((x) ? 1 : 0, #x)
#define SX_VKALLOC_DEBUG     2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB    ((VkDeviceSize)1 << 10)
#define MIB    ((VkDeviceSize)1 << 20)
#define ANY    UINT32_MAX
#define EARNED SXVKI_SLAB_EARNED

/* Memory types of sim_profile_discrete. */
enum { LOCAL, HOST, CACHED, BAR };

/* ------------------------------------------------------------------ a site */

#define ANCHOR_COUNT 360
#define ANCHOR_ROOM  45
#define ANCHOR_SIZE  (120 * KIB)
#define SITE_BLOCKS  512

typedef struct Setup {
    VkDeviceSize granularity; /* 0: 1 */
    VkDeviceSize atom;        /* 0: the type CACHED is coherent, else it is not */
    VkDeviceSize margin;
    SxvkAllocatorCreateFlags flags;
    uint32_t type;
    bool custom; /* allocate from a pool made with the next one */
    SxvkPoolCreateInfo pool;
} Setup;

typedef struct DeviceBlock {
    VkDeviceMemory memory;
    VkDeviceSize size;
} DeviceBlock;

typedef struct Site {
    Rig* rig;
    SxvkAllocator allocator;
    SxvkPool pool; /* null: the default pool */
    uint32_t type;
    VkDeviceSize granularity;
    VkDeviceSize atom;
    SxvkDebugInfo debug;
    SxvkDeviceMemoryCallbacks callbacks;
    SxvkAllocation anchors[ANCHOR_COUNT];
    DeviceBlock blocks[SITE_BLOCKS]; /* not for threads */
    uint32_t block_count;
} Site;

static void VKAPI_PTR note_block(SxvkAllocator allocator, uint32_t type, VkDeviceMemory memory,
                                 VkDeviceSize size, void* pUserData) {
    Site* site = (Site*)pUserData;
    (void)allocator;
    (void)type;
    assert_true(site->block_count < SITE_BLOCKS);
    site->blocks[site->block_count].memory = memory;
    site->blocks[site->block_count++].size = size;
}

static void VKAPI_PTR forget_block(SxvkAllocator allocator, uint32_t type, VkDeviceMemory memory,
                                   VkDeviceSize size, void* pUserData) {
    Site* site = (Site*)pUserData;
    uint32_t i = 0;
    (void)allocator;
    (void)type;
    (void)size;
    while (site->blocks[i].memory != memory) {
        i++;
        assert_true(i < site->block_count);
    }
    site->blocks[i] = site->blocks[--site->block_count];
}

static void site_open_bare(Site* site, const Setup* setup) {
    SimProfile profile = sim_profile_discrete();
    RigOptions options = rig_options();
    at_assertion = NULL;
    memset(site, 0, sizeof *site);
    site->granularity = setup->granularity == 0 ? 1 : setup->granularity;
    site->type = setup->type;
    profile.bufferImageGranularity = site->granularity;
    site->atom = 1;
    if (setup->atom != 0) {
        profile.nonCoherentAtomSize = setup->atom;
        profile.memory.memoryTypes[CACHED].propertyFlags &=
            ~(VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
        site->atom = setup->type == CACHED ? setup->atom : 1;
    }
    site->debug.margin = setup->margin;
    site->callbacks.pfnAllocate = note_block;
    site->callbacks.pfnFree = forget_block;
    site->callbacks.pUserData = site;
    options.profile = &profile;
    options.sim.backing = setup->margin != 0;
    options.info.flags = setup->flags;
    options.info.pDebugInfo = &site->debug;
    options.info.pDeviceMemoryCallbacks = &site->callbacks;
    site->rig = rig_create(&options);
    site->allocator = site->rig->allocator;
    if (setup->custom) {
        SxvkPoolCreateInfo info = setup->pool;
        info.memoryTypeIndex = setup->type;
        assert_int_equal(sxvkCreatePool(site->allocator, &info, &site->pool), VK_SUCCESS);
    }
}

static VkResult allocate(Site* site, VkDeviceSize size, VkDeviceSize alignment, VkFlags flags,
                         const char* name, SxvkAllocation* allocation) {
    VkMemoryRequirements needs = testing_requirements(size, alignment, 1u << site->type);
    SxvkAllocationCreateInfo info = {.flags = flags, .pool = site->pool, .pName = name};
    return sxvkAllocateMemory(site->allocator, &needs, &info, allocation, NULL);
}

static SxvkAllocation take_with(Site* site, VkDeviceSize size, VkFlags flags) {
    SxvkAllocation allocation;
    assert_int_equal(allocate(site, size, 1, flags, NULL, &allocation), VK_SUCCESS);
    return allocation;
}

static SxvkAllocation take(Site* site, VkDeviceSize size) {
    return take_with(site, size, 0);
}

static void give(Site* site, SxvkAllocation allocation) {
    sxvkFreeMemory(site->allocator, allocation);
}

/*  ANCHOR_COUNT - ANCHOR_ROOM large ranges stay, the room of the others too. */
static void anchor(Site* site) {
    uint32_t i;
    for (i = 0; i < ANCHOR_COUNT; i++) {
        site->anchors[i] = take(site, ANCHOR_SIZE);
    }
    for (i = ANCHOR_COUNT - ANCHOR_ROOM; i < ANCHOR_COUNT; i++) {
        give(site, site->anchors[i]);
        site->anchors[i] = VK_NULL_HANDLE;
    }
}

static void release_anchors(Site* site) {
    sxvkFreeMemoryPages(site->allocator, ANCHOR_COUNT, site->anchors);
    memset(site->anchors, 0, sizeof site->anchors);
}

static void site_open(Site* site, const Setup* setup) {
    static const Setup plain = {.type = HOST};
    site_open_bare(site, setup != NULL ? setup : &plain);
    anchor(site);
}

/* ------------------------------------------------------------------ looking inside */

static bool is_slot(SxvkAllocation allocation) {
    return (sxvki_handle_index(allocation) & SXVKI_HANDLE_SLAB_BIT) != 0;
}

static sxvki_domain* domain_at(const Site* site, uint32_t index) {
    SxvkPool pool =
        site->pool != NULL ? site->pool : sxvki_default_pool(site->allocator, site->type);
    return pool != NULL ? sxvki_pool_domain(pool, index) : NULL;
}

static sxvki_domain* domain_of(const Site* site) {
    sxvki_domain* domain = domain_at(site, 0);
    assert_non_null(domain);
    return domain;
}

static sxvki_slab* slab_of(const Site* site, SxvkAllocation allocation) {
    assert_true(is_slot(allocation));
    return sxvki_slab_of(&site->allocator->device.records, sxvki_handle_index(allocation));
}

static uint32_t slab_id(SxvkAllocation allocation) {
    return sxvki_slot_slab(sxvki_handle_index(allocation));
}

static void assert_pool_without_slabs(SxvkPool pool) {
    uint32_t i, c;
    for (i = 0; pool != NULL && i < SXVKI_DOMAIN_COUNT; i++) {
        const sxvki_domain* domain = sxvki_pool_domain(pool, i);
        if (domain == NULL) {
            continue;
        }
        assert_int_equal(domain->slab_count, 0);
        assert_int_equal(domain->slab_bytes, 0);
        for (c = 0; domain->classes != NULL && c < SXVKI_SLAB_CLASSES; c++) {
            assert_int_equal(domain->classes[c].list, SXVKI_NONE);
            assert_int_equal(sxvki_domain_live_slots(domain, c), 0);
        }
    }
}

/*  The slab that nobody has which is next, of those that stand in the chunk of an index. */
static uint32_t unused_slab(const Site* site, uint32_t id) {
    const sxvki_table* slabs = &site->allocator->device.records.slabs;
    uint32_t k = sxvki_table_chunk(slabs, id);
    assert_true((slabs->has_unused >> k) & 1);
    return slabs->unused[k];
}

static void assert_no_slabs(const Site* site) {
    sxvki_records* records = &site->allocator->device.records;
    uint32_t i;
    SxvkPool pool;
    for (i = 0; i < VK_MAX_MEMORY_TYPES; i++) {
        assert_pool_without_slabs(sxvki_default_pool(site->allocator, i));
    }
    for (pool = site->allocator->first_pool; pool != NULL; pool = pool->next_pool) {
        assert_pool_without_slabs(pool);
    }
    for (i = 0; i < SXVKI_TABLE_CHUNKS; i++) {
        assert_int_equal(records->slabs.used[i], 0);
    }
}

static uint64_t live_count(Site* site) {
    return rig_statistics(site->rig).allocationCount;
}

/*  All but the anchors is free again: no slab is left, and no memory. */
static void site_close(Site* site) {
    release_anchors(site);
    assert_int_equal(live_count(site), 0);
    assert_no_slabs(site);
    rig_check(site->rig);
    (void)sxvkTrim(site->allocator);
    assert_int_equal(sim_live_memory_count(site->rig->sim), 0);
    rig_destroy(site->rig);
}

/*  What a class gets before its slab; then a slot. */
static void earn(Site* site, VkDeviceSize size, SxvkAllocation* allocations) {
    uint32_t i;
    for (i = 0; i < EARNED; i++) {
        allocations[i] = take(site, size);
        assert_false(is_slot(allocations[i]));
    }
    allocations[EARNED] = take(site, size);
    assert_true(is_slot(allocations[EARNED]));
}

static void give_all(Site* site, SxvkAllocation* allocations, uint32_t count) {
    sxvkFreeMemoryPages(site->allocator, count, allocations);
    memset(allocations, 0, count * sizeof *allocations);
}

/* ------------------------------------------------------------------ sizes and classes */

static void test_slot_sizes(void** state) {
    uint32_t slot_size_of_class[SXVKI_SLAB_CLASSES] = {0};
    uint32_t alignment, size, i;
    (void)state;
    for (alignment = 1; alignment <= SXVKI_SLAB_SIZE_MAX; alignment *= 2) {
        uint32_t last = 0;
        for (size = 1; size <= SXVKI_SLAB_SIZE_MAX; size++) {
            uint32_t need = (size + alignment - 1) / alignment * alignment;
            uint32_t slot = sxvki_slab_slot_size(size, alignment);
            uint32_t c = sxvki_slab_class_of(slot);
            assert_true(slot >= size && slot <= SXVKI_SLAB_SIZE_MAX);
            assert_int_equal(slot % alignment, 0);
            assert_true(slot - need <= size / 8);
            /* Each slot of a slab whose start is aligned by the lowest bit of the slot's size. */
            assert_int_equal((slot & (~slot + 1)) % alignment, 0);
            /* As small as can be: the next smaller class is too small. */
            assert_int_equal(sxvki_slab_slot_size(slot, 1), slot);
            assert_int_equal(sxvki_slab_slot_size(slot, alignment), slot);
            assert_true(c < SXVKI_SLAB_CLASSES);
            assert_true(c >= last);
            last = c;
            if (slot_size_of_class[c] == 0) {
                slot_size_of_class[c] = slot;
            }
            assert_int_equal(slot_size_of_class[c], slot);
        }
        assert_int_equal(last, SXVKI_SLAB_CLASSES - 1);
    }
    for (i = 1; i < SXVKI_SLAB_CLASSES; i++) {
        assert_true(slot_size_of_class[i] > slot_size_of_class[i - 1]);
    }
}

/*  Would a slot waste much on the alignment, which in the bins others could use? */
static bool pads_too_much(VkDeviceSize size, VkDeviceSize alignment) {
    uint32_t least = (uint32_t)((size + 15) / 16);
    uint32_t slot = sxvki_slab_slot_size(least, alignment <= 16 ? 1 : (uint32_t)(alignment / 16));
    return slot - least > 16 && slot - least > least / 8;
}

/*  Offsets and alignments of whole slabs, through the API. */
static void test_slots_are_aligned(void** state) {
    static const VkDeviceSize sizes[] = {1, 40, 100, 129, 288, 1000, 3000, 5000, 9000, 20000};
    SxvkAllocation taken[40];
    VkDeviceSize alignment;
    uint32_t i, s;
    Site site;
    (void)state;
    site_open(&site, NULL);
    for (alignment = 1; alignment <= 32 * KIB; alignment *= 2) {
        for (s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            uint32_t slots = 0;
            for (i = 0; i < 40; i++) {
                SxvkAllocationInfo info;
                assert_int_equal(allocate(&site, sizes[s], alignment, 0, NULL, &taken[i]),
                                 VK_SUCCESS);
                sxvkGetAllocationInfo(site.allocator, taken[i], &info);
                assert_int_equal(info.offset % alignment, 0);
                assert_int_equal(info.size, sizes[s]);
                slots += is_slot(taken[i]);
            }
            if (pads_too_much(sizes[s], alignment)) {
                assert_int_equal(slots, 0);
            } else {
                assert_in_range(slots, 1, 40 - EARNED);
            }
            give_all(&site, taken, 40);
        }
        /* What wants still more has no slots. */
        assert_int_equal(domain_of(&site)->slab_count, 0);
    }
    for (i = 0; i < 40; i++) {
        assert_int_equal(allocate(&site, 16, 64 * KIB, 0, NULL, &taken[i]), VK_SUCCESS);
        assert_false(is_slot(taken[i]));
    }
    give_all(&site, taken, 40);
    for (i = 0; i < 40; i++) {
        taken[i] = take(&site, 32 * KIB + 1);
        assert_false(is_slot(taken[i]));
    }
    give_all(&site, taken, 40);
    site_close(&site);
}

/* ------------------------------------------------------------------ the life of a slab */

static void test_a_class_earns_its_slab(void** state) {
    SxvkAllocation a[EARNED + 1], b[EARNED + 1], c[EARNED + 1];
    Site site;
    (void)state;
    site_open(&site, NULL);
    earn(&site, 100, a);
    earn(&site, 200, b);    /* each class for itself */
    earn(&site, 113, c);    /* 8 granules, 100 bytes are 7 */
    give(&site, a[EARNED]); /* the only slot: closes the slab, and it must be earned again */
    give_all(&site, a, EARNED);
    earn(&site, 97, a);
    rig_check(site.rig);
    give_all(&site, a, EARNED + 1);
    give_all(&site, b, EARNED + 1);
    give_all(&site, c, EARNED + 1);
    site_close(&site);
}

/*  Later slabs are a quarter of what the class has, from 8 slots to 63; none is more than its share of
    all that lives. */
static void test_sizes_of_slabs(void** state) {
    enum { COUNT = 1500 };
    static SxvkAllocation taken[COUNT];
    uint64_t slots = 0;
    uint32_t i, opened = 0, largest = 0;
    Site site;
    (void)state;
    site_open(&site, NULL);
    for (i = 0; i < COUNT; i++) {
        const sxvki_domain* domain = domain_of(&site);
        uint32_t before = domain->slab_count;
        uint64_t live = domain->live_bytes;
        taken[i] = take(&site, 160);
        if (domain->slab_count != before) {
            const sxvki_slab* slab = slab_of(&site, taken[i]);
            uint64_t wanted = slots / 4 < 8 ? 8 : slots / 4 > 63 ? 63 : slots / 4;
            assert_int_equal(domain->slab_count, before + 1);
            assert_int_equal(slab->slot_count, wanted);
            assert_int_equal(slab->slot_size, 10);
            assert_true((uint64_t)slab->slot_count * 160 <= live / SXVKI_SLAB_SHARE);
            assert_int_equal(domain->live_bytes - live, slab->slot_count * 160);
            largest = slab->slot_count > largest ? slab->slot_count : largest;
            opened++;
        }
        assert_true(is_slot(taken[i]) == (i >= EARNED));
        slots += is_slot(taken[i]);
    }
    assert_int_equal(largest, SXVKI_SLAB_SLOTS);
    assert_true(opened > 10);
    assert_int_equal(live_count(&site), COUNT + ANCHOR_COUNT - ANCHOR_ROOM);
    give_all(&site, taken, COUNT);
    site_close(&site);
}

/*  Large slots: the share of what is live is the limit. */
static void test_share_of_what_is_live(void** state) {
    static const VkDeviceSize sizes[] = {32 * KIB, 20 * KIB, 10 * KIB, 2 * KIB};
    SxvkAllocation taken[200];
    uint32_t s, i;
    Site site;
    (void)state;
    for (s = 0; s < 4; s++) {
        uint64_t most = 0;
        site_open(&site, NULL);
        for (i = 0; i < 200; i++) {
            const sxvki_domain* domain = domain_of(&site);
            uint32_t before = domain->slab_count;
            uint64_t live = domain->live_bytes;
            taken[i] = take(&site, sizes[s]);
            if (domain->slab_count != before) {
                const sxvki_slab* slab = slab_of(&site, taken[i]);
                uint64_t bytes = (uint64_t)slab->slot_count * slab->slot_size * 16;
                assert_true(slab->slot_count >= SXVKI_SLAB_SLOTS_MIN);
                assert_true(bytes <= live / 64);
                most = bytes > most ? bytes : most;
            }
        }
        /* The limit was reached, but for 2 KiB, where a quarter of the class is less. */
        assert_true(most + 2 * sizes[s] > domain_of(&site)->live_bytes / 64 ||
                    sizes[s] <= 10 * KIB);
        assert_true(most != 0);
        give_all(&site, taken, 200);
        site_close(&site);
    }
}

/*  Eight slots at 1/512: no slab before there are 4096 times a slot's bytes. */
static void test_none_in_small_programs(void** state) {
    enum { FIRST = SXVKI_SLAB_SLOTS_MIN * SXVKI_SLAB_SHARE_FEW, COUNT = FIRST + 200 };
    static SxvkAllocation taken[COUNT];
    Setup setup = {.type = HOST};
    uint32_t i;
    Site site;
    (void)state;
    site_open_bare(&site, &setup);
    for (i = 0; i < COUNT; i++) {
        uint64_t live = i == 0 ? 0 : domain_of(&site)->live_bytes;
        taken[i] = take(&site, 240);
        if (i < FIRST) {
            assert_false(is_slot(taken[i]));
            assert_int_equal(domain_of(&site)->slab_count, 0);
        } else {
            assert_true(is_slot(taken[i]));
        }
        assert_true(live < FIRST * 240 || i >= FIRST);
    }
    give_all(&site, taken, COUNT);
    site_close(&site);
}

static void test_lifo(void** state) {
    SxvkAllocation taken[EARNED + 8 + 8 + 1], back, slot;
    SxvkAllocation* a = taken + EARNED;
    SxvkAllocation* b = taken + EARNED + 8;
    const sxvki_domain* domain;
    const sxvki_slab_class* c;
    uint32_t i;
    Site site;
    (void)state;
    site_open(&site, NULL);
    earn(&site, 64, taken);
    for (i = EARNED + 1; i < EARNED + 16; i++) {
        taken[i] = take(&site, 64);
    }
    domain = domain_of(&site);
    c = &domain->classes[sxvki_slab_class_of(4)];
    assert_int_equal(domain->slab_count, 2);
    for (i = 0; i < 8; i++) {
        assert_int_equal(slab_id(a[i]), slab_id(a[0]));
        assert_int_equal(slab_id(b[i]), slab_id(b[0]));
    }
    assert_int_not_equal(slab_id(a[0]), slab_id(b[0]));
    /* Full slabs are in no list. */
    assert_int_equal(c->list, SXVKI_NONE);
    assert_false(slab_of(&site, a[0])->is_listed);
    assert_int_equal(slab_of(&site, a[0])->word, 0);
    /* They come back with a free slot, the latest in front, once. */
    give(&site, a[3]);
    assert_int_equal(c->list, slab_id(a[0]));
    give(&site, b[5]);
    give(&site, b[2]);
    assert_int_equal(c->list, slab_id(b[0]));
    assert_int_equal(slab_of(&site, b[0])->next, slab_id(a[0]));
    assert_int_equal(slab_of(&site, a[0])->prev, slab_id(b[0]));
    assert_int_equal(slab_of(&site, b[0])->word, SXVKI_SLAB_HELD | 1u << 5 | 1u << 2);
    rig_check(site.rig);
    /* The same places again, those of the latest slab first. */
    for (i = 0; i < 2; i++) {
        back = take(&site, 60);
        slot = b[i == 0 ? 2 : 5];
        assert_int_equal(sxvki_handle_index(back), sxvki_handle_index(slot));
        assert_ptr_not_equal(back, slot);
        b[i == 0 ? 2 : 5] = back;
    }
    assert_int_equal(c->list, slab_id(a[0]));
    slot = a[3];
    a[3] = take(&site, 50);
    assert_int_equal(sxvki_handle_index(a[3]), sxvki_handle_index(slot));
    assert_int_equal(c->list, SXVKI_NONE);
    /* Full once more: a third slab, at once. */
    taken[EARNED + 16] = take(&site, 64);
    assert_true(is_slot(taken[EARNED + 16]));
    assert_int_equal(domain->slab_count, 3);
    give_all(&site, taken, EARNED + 17);
    site_close(&site);
}

/*  Out of the middle of a list, and from both its ends. */
static void test_empty_slabs_are_closed(void** state) {
    enum { SLABS = 4, COUNT = EARNED + 8 * SLABS };
    static const uint32_t order[] = {2, 0, 3, 1};
    SxvkAllocation taken[COUNT];
    const sxvki_domain* domain;
    uint64_t live;
    uint32_t i, s;
    Site site;
    (void)state;
    site_open(&site, NULL);
    domain = domain_of(&site);
    earn(&site, 256, taken);
    for (i = EARNED + 1; i < COUNT; i++) {
        taken[i] = take(&site, 256);
    }
    assert_int_equal(domain->slab_count, SLABS);
    for (s = 0; s < SLABS; s++) {
        give(&site, taken[EARNED + 8 * s]); /* all are listed */
    }
    live = domain->live_bytes;
    for (s = 0; s < SLABS; s++) {
        uint32_t id = slab_id(taken[EARNED + 8 * order[s] + 1]);
        for (i = 1; i < 8; i++) {
            assert_int_equal(domain->slab_count, SLABS - s);
            give(&site, taken[EARNED + 8 * order[s] + i]);
            rig_check(site.rig);
        }
        assert_int_equal(domain->slab_count, SLABS - s - 1);
        assert_int_equal(domain->live_bytes, live - (s + 1) * 8 * 256);
        assert_int_equal(unused_slab(&site, id), id);
        assert_null(sxvki_slab_at(&site.allocator->device.records, id)->owner);
    }
    give_all(&site, taken, EARNED);
    site_close(&site);
}

/*  With its last slot goes the slab, with the slab the block: kept as an empty one, or given back. */
static void test_blocks_of_slabs(void** state) {
    SxvkAllocation taken[EARNED + 1];
    VkDeviceMemory memory = VK_NULL_HANDLE;
    SxvkAllocationInfo info;
    uint64_t count;
    Site site;
    (void)state;
    site_open(&site, NULL);
    earn(&site, 500, taken);
    give_all(&site, taken, EARNED);
    sxvkGetAllocationInfo(site.allocator, taken[EARNED], &info);
    memory = info.deviceMemory;
    release_anchors(&site);
    (void)sxvkTrim(site.allocator);
    assert_int_equal(sim_live_memory_count(site.rig->sim), 1); /* the slab's */
    assert_int_equal(domain_of(&site)->empty_count, 0);
    give(&site, taken[EARNED]);
    assert_int_equal(sim_live_memory_count(site.rig->sim), 1);
    assert_int_equal(domain_of(&site)->empty_count, 1);
    assert_no_slabs(&site);
    assert_true(sxvkTrim(site.allocator) != 0);
    assert_int_equal(sim_live_memory_count(site.rig->sim), 0);
    /* Once more, with another block that is empty already. */
    anchor(&site);
    earn(&site, 500, taken);
    give_all(&site, taken, EARNED);
    sxvkGetAllocationInfo(site.allocator, taken[EARNED], &info);
    memory = info.deviceMemory;
    release_anchors(&site);
    assert_true(domain_of(&site)->empty_count != 0);
    count = sim_live_memory_count(site.rig->sim);
    give(&site, taken[EARNED]);
    assert_int_equal(sim_live_memory_count(site.rig->sim), count - 1);
    assert_false(sim_memory_info(site.rig->sim, memory, &(SimMemoryInfo){0}));
    site_close(&site);
}

/*  Slabs are used again, for other classes and domains; handles of their past stay stale. */
static void test_slabs_are_used_again(void** state) {
    SxvkAllocation taken[EARNED + 1], stale;
    SxvkPoolCreateInfo info = {.memoryTypeIndex = HOST};
    Setup setup = {.type = HOST};
    SxvkPool pool = VK_NULL_HANDLE;
    uint32_t round, id = 0, capacity = 0;
    Site site;
    (void)state;
    site_open_bare(&site, &setup);
    assert_int_equal(sxvkCreatePool(site.allocator, &info, &pool), VK_SUCCESS);
    for (round = 0; round < 8; round++) {
        site.pool = round % 2 == 0 ? VK_NULL_HANDLE : pool;
        anchor(&site);
        earn(&site, 100 * (1 + round), taken);
        if (round == 0) {
            id = slab_id(taken[EARNED]);
            capacity = site.allocator->device.records.slabs.capacity;
        }
        assert_int_equal(slab_id(taken[EARNED]), id);
        stale = taken[EARNED];
        give_all(&site, taken, EARNED + 1);
        release_anchors(&site);
        assert_false(sxvkIsAllocationValid(site.allocator, stale));
        rig_check(site.rig);
    }
    assert_int_equal(site.allocator->device.records.slabs.capacity, capacity);
    site.pool = VK_NULL_HANDLE;
    sxvkDestroyPool(site.allocator, pool);
    site_close(&site);
}

/* ------------------------------------------------------------------ who gets slots */

static void test_strategies(void** state) {
    const VkFlags min_offset = SXVK_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT;
    const VkFlags min_memory = SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT;
    const VkFlags min_time = SXVK_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT;
    static const VkDeviceSize sizes[] = {16, 1000, 8 * KIB, 8 * KIB + 1, 20 * KIB};
    SxvkAllocation taken[3 * EARNED + 4];
    uint32_t s, i;
    Site site;
    (void)state;
    site_open(&site, NULL);
    for (s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        uint32_t n = 0;
        for (i = 0; i < 2 * EARNED; i++) { /* these earn nothing */
            taken[n++] = take_with(&site, sizes[s], min_offset);
        }
        earn(&site, sizes[s], taken + n);
        n += EARNED + 1;
        taken[n++] = take_with(&site, sizes[s], min_time);
        assert_true(is_slot(taken[n - 1]));
        taken[n++] = take_with(&site, sizes[s], min_memory);
        assert_true(is_slot(taken[n - 1]) == (sizes[s] <= 8 * KIB));
        taken[n++] = take_with(&site, sizes[s], min_offset);
        for (i = 0; i < 2 * EARNED; i++) {
            assert_false(is_slot(taken[i]));
        }
        assert_false(is_slot(taken[n - 1]));
        give_all(&site, taken, n);
        /* MIN_MEMORY earns slabs as MIN_TIME does. */
        for (i = 0; i < EARNED + 1; i++) {
            taken[i] = take_with(&site, sizes[s], min_memory);
        }
        assert_true(is_slot(taken[EARNED]) == (sizes[s] <= 8 * KIB));
        give_all(&site, taken, EARNED + 1);
    }
    site_close(&site);
}

static uint32_t slots_of(Site* site, VkDeviceSize size, uint32_t count) {
    SxvkAllocation taken[64];
    uint32_t i, slots = 0;
    assert_true(count <= 64);
    for (i = 0; i < count; i++) {
        taken[i] = take(site, size);
        slots += is_slot(taken[i]);
    }
    rig_check(site->rig);
    give_all(site, taken, count);
    return slots;
}

static void test_pools(void** state) {
    const SxvkPoolCreateFlags external = SXVK_POOL_CREATE_EXTERNALLY_SYNCHRONIZED_BIT;
    const SxvkAllocatorCreateFlags all = SXVK_ALLOCATOR_CREATE_EXTERNALLY_SYNCHRONIZED_BIT;
    Setup setups[] = {
        {.type = HOST, .custom = true},
        {.type = LOCAL, .custom = true, .pool = {.flags = external}},
        {.type = HOST, .flags = all},
        {.type = HOST, .flags = all, .custom = true},
        {.type = HOST, .custom = true, .pool = {.minAllocationAlignment = 256}},
        {.type = HOST, .custom = true, .pool = {.blockSize = 64 * MIB}},
        {.type = HOST, .custom = true, .pool = {.maxBlockCount = 3}},
        {.type = HOST, .custom = true, .pool = {.minBlockCount = 1}},
        {.type = HOST, .margin = 16},
        {.type = LOCAL, .margin = 16}, /* which has no margins */
    };
    uint32_t i;
    (void)state;
    for (i = 0; i < sizeof setups / sizeof setups[0]; i++) {
        bool none = (i >= 5 && i <= 7) || setups[i].margin * (setups[i].type == HOST) != 0;
        Site site;
        site_open(&site, &setups[i]);
        assert_int_equal(slots_of(&site, 100, 60), none ? 0 : 60 - EARNED);
        assert_int_equal(slots_of(&site, 4096, 60), none ? 0 : 60 - EARNED);
        assert_int_equal(slots_of(&site, 20000, 60) != 0, !none);
        assert_true((domain_of(&site)->classes == NULL) == none);
        release_anchors(&site);
        assert_no_slabs(&site);
        sxvkDestroyPool(site.allocator, site.pool);
        site.pool = VK_NULL_HANDLE;
        site_close(&site);
    }
}

/*  SXVK_DEBUG_ALWAYS_DEDICATED_BIT and dedicated requests know no slabs; NEVER_ALLOCATE does. */
static void test_flags(void** state) {
    const VkFlags dedicated = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    const VkFlags never = SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT;
    const VkFlags within = SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT;
    SxvkAllocation taken[EARNED + 4];
    uint64_t calls;
    Site site;
    (void)state;
    site_open(&site, NULL);
    earn(&site, 100, taken);
    taken[EARNED + 1] = take_with(&site, 100, dedicated);
    assert_false(is_slot(taken[EARNED + 1]));
    calls = rig_calls(site.rig);
    taken[EARNED + 2] = take_with(&site, 100, never);
    taken[EARNED + 3] = take_with(&site, 100, within);
    assert_true(is_slot(taken[EARNED + 2]) && is_slot(taken[EARNED + 3]));
    assert_int_equal(rig_calls(site.rig), calls);
    give_all(&site, taken, EARNED + 4);
    site_close(&site);
}

/* ------------------------------------------------------------------ what users see of a slot */

/*  A site and a slot of `size` bytes in it, with the allocations that earned it. */
static SxvkAllocation site_slot(Site* site, const Setup* setup, VkDeviceSize size,
                                SxvkAllocation* earners) {
    site_open(site, setup);
    earn(site, size, earners);
    return earners[EARNED];
}

static SxvkAllocationInfo info_of(Site* site, SxvkAllocation allocation) {
    SxvkAllocationInfo info;
    sxvkGetAllocationInfo(site->allocator, allocation, &info);
    return info;
}

static void test_names_and_user_data(void** state) {
    SxvkAllocation earners[EARNED + 1], others[3], slot;
    Rig* rig;
    Site site;
    int x;
    (void)state;
    slot = site_slot(&site, NULL, 100, earners);
    rig = site.rig;
    assert_null(info_of(&site, slot).pName);
    assert_null(info_of(&site, slot).pUserData);
    assert_int_equal(sxvkSetAllocationName(site.allocator, slot, "first"), VK_SUCCESS);
    assert_int_equal(sxvkSetAllocationUserData(site.allocator, slot, &x), VK_SUCCESS);
    assert_int_equal(allocate(&site, 99, 1, 0, "second", &others[0]), VK_SUCCESS);
    assert_int_equal(allocate(&site, 98, 1, 0, NULL, &others[1]), VK_SUCCESS);
    assert_int_equal(slab_id(others[0]), slab_id(slot));
    assert_string_equal(info_of(&site, slot).pName, "first");
    assert_ptr_equal(info_of(&site, slot).pUserData, &x);
    assert_string_equal(info_of(&site, others[0]).pName, "second");
    assert_null(info_of(&site, others[1]).pName);
    assert_int_equal(sxvkSetAllocationName(site.allocator, slot, "renamed"), VK_SUCCESS);
    assert_string_equal(info_of(&site, slot).pName, "renamed");
    assert_int_equal(sxvkSetAllocationName(site.allocator, others[0], NULL), VK_SUCCESS);
    assert_null(info_of(&site, others[0]).pName);
    /* The next one in the slot has neither. */
    give(&site, slot);
    others[2] = take(&site, 100);
    assert_int_equal(sxvki_handle_index(others[2]), sxvki_handle_index(slot));
    assert_null(info_of(&site, others[2]).pName);
    assert_null(info_of(&site, others[2]).pUserData);
    assert_int_equal(sxvkSetAllocationUserData(site.allocator, others[2], &site), VK_SUCCESS);
    assert_null(info_of(&site, others[2]).pName);
    rig_expect_silence(rig);
    give_all(&site, others, 3);
    give_all(&site, earners, EARNED);
    site_close(&site);
}

static void test_infos(void** state) {
    SxvkAllocation taken[EARNED + 16];
    VkDeviceSize size;
    Site site;
    (void)state;
    site_open(&site, NULL);
    for (size = 993; size <= 1008; size++) { /* 63 granules, in slots of 64 */
        uint32_t i;
        for (i = 0; i < EARNED + 4; i++) {
            taken[i] = take(&site, size);
        }
        for (i = EARNED; i < EARNED + 4; i++) {
            SxvkAllocationInfo2 info;
            VkMemoryPropertyFlags flags;
            SimMemoryInfo memory;
            const sxvki_slab* slab = slab_of(&site, taken[i]);
            sxvkGetAllocationInfo2(site.allocator, taken[i], &info);
            assert_int_equal(info.allocationInfo.size, size);
            assert_int_equal(info.allocationInfo.memoryType, HOST);
            assert_int_equal(info.allocationInfo.offset,
                             (slab->offset + (i - EARNED) * slab->slot_size) * 16);
            assert_false(info.dedicatedMemory);
            assert_true(sim_memory_info(site.rig->sim, info.allocationInfo.deviceMemory, &memory));
            assert_int_equal(info.blockSize, memory.size);
            assert_null(info.allocationInfo.pMappedData);
            sxvkGetAllocationMemoryProperties(site.allocator, taken[i], &flags);
            assert_int_equal(flags,
                             sim_profile(site.rig->sim)->memory.memoryTypes[HOST].propertyFlags);
        }
        give_all(&site, taken, EARNED + 4);
    }
    site_close(&site);
}

static void test_mapping(void** state) {
    Setup setup = {.type = HOST, .flags = SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT};
    SxvkAllocation earners[EARNED + 1], mapped, slot;
    SimMemoryInfo memory;
    SxvkAllocationInfo info;
    void *first, *second;
    Site site;
    (void)state;
    slot = site_slot(&site, &setup, 100, earners);
    info = info_of(&site, slot);
    assert_int_equal(sxvkMapMemory(site.allocator, slot, &first), VK_SUCCESS);
    assert_int_equal(sxvkMapMemory(site.allocator, slot, &second), VK_SUCCESS);
    assert_ptr_equal(first, second);
    assert_ptr_equal(info_of(&site, slot).pMappedData, first);
    mapped = take_with(&site, 100, SXVK_ALLOCATION_CREATE_MAPPED_BIT);
    assert_int_equal(slab_id(mapped), slab_id(slot));
    assert_ptr_equal((char*)info_of(&site, mapped).pMappedData - info_of(&site, mapped).offset,
                     (char*)first - info.offset);
    sxvkUnmapMemory(site.allocator, slot);
    sxvkUnmapMemory(site.allocator, slot);
    assert_null(info_of(&site, slot).pMappedData);
    rig_expect_silence(site.rig);
    sxvkUnmapMemory(site.allocator, slot);
    rig_expect(site.rig, SXVK_MESSAGE_NOT_MAPPED, 1);
    assert_true(sim_memory_info(site.rig->sim, info.deviceMemory, &memory) && memory.mapped);
    give(&site, mapped); /* which had MAPPED_BIT: no message */
    rig_expect_silence(site.rig);
    assert_true(sim_memory_info(site.rig->sim, info.deviceMemory, &memory) && !memory.mapped);
    assert_int_equal(sxvkMapMemory(site.allocator, slot, &second), VK_SUCCESS);
    give(&site, slot);
    rig_expect(site.rig, SXVK_MESSAGE_FREED_WHILE_MAPPED, 1);
    assert_true(sim_memory_info(site.rig->sim, info.deviceMemory, &memory) && !memory.mapped);
    slot = take(&site, 100); /* not mapped by its past */
    assert_null(info_of(&site, slot).pMappedData);
    give(&site, slot);
    give_all(&site, earners, EARNED);
    site_close(&site);
}

static void test_flushes_and_priority(void** state) {
    Setup setup = {.type = CACHED, .atom = 64};
    SxvkAllocation earners[EARNED + 1], slot;
    SxvkAllocationInfo info;
    SimMemoryInfo memory;
    void* data;
    Site site;
    (void)state;
    slot = site_slot(&site, &setup, 200, earners);
    info = info_of(&site, slot);
    assert_int_equal(info.offset % 64, 0);
    assert_int_equal(sxvkMapMemory(site.allocator, slot, &data), VK_SUCCESS);
    assert_int_equal(sxvkFlushAllocation(site.allocator, slot, 70, 10), VK_SUCCESS);
    assert_true(sim_memory_info(site.rig->sim, info.deviceMemory, &memory));
    assert_int_equal(memory.lastFlush.offset, info.offset + 64);
    assert_int_equal(memory.lastFlush.size, 64);
    assert_int_equal(sxvkInvalidateAllocation(site.allocator, slot, 0, VK_WHOLE_SIZE), VK_SUCCESS);
    assert_true(sim_memory_info(site.rig->sim, info.deviceMemory, &memory));
    assert_int_equal(memory.lastInvalidate.offset, info.offset);
    assert_int_equal(memory.lastInvalidate.size, 256);
    assert_int_equal(sxvkFlushAllocation(site.allocator, slot, 150, 51),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(site.rig, SXVK_MESSAGE_BAD_RANGE, 1);
    sxvkUnmapMemory(site.allocator, slot);
    assert_int_equal(sxvkSetAllocationPriority(site.allocator, slot, 0.5f),
                     VK_ERROR_FEATURE_NOT_PRESENT);
    give_all(&site, earners, EARNED + 1);
    site_close(&site);
}

static void test_contents(void** state) {
    SimProfile profile = sim_profile_discrete();
    RigOptions options = rig_options();
    enum { COUNT = 4600 };
    static SxvkAllocation taken[COUNT];
    uint8_t bytes[48], back[48];
    uint32_t i, slots = 0;
    Site site;
    (void)state;
    memset(&site, 0, sizeof site);
    profile.bufferImageGranularity = 1;
    options.profile = &profile;
    options.sim.backing = true;
    site.rig = rig_create(&options);
    site.allocator = site.rig->allocator;
    site.type = HOST;
    for (i = 0; i < COUNT; i++) {
        taken[i] = take(&site, 48);
        slots += is_slot(taken[i]);
        memset(bytes, (int)(i * 7 & 255), sizeof bytes);
        assert_int_equal(sxvkCopyMemoryToAllocation(site.allocator, bytes, taken[i], 0, 48),
                         VK_SUCCESS);
    }
    assert_true(slots > 50);
    for (i = 0; i < COUNT; i++) {
        memset(bytes, (int)(i * 7 & 255), sizeof bytes);
        assert_int_equal(sxvkCopyAllocationToMemory(site.allocator, taken[i], 0, back, 48),
                         VK_SUCCESS);
        assert_memory_equal(bytes, back, 48);
    }
    give_all(&site, taken, COUNT);
    site_close(&site);
}

/* ------------------------------------------------------------------ handles */

/*  Every function refuses it, with a message each, and nothing changes. */
static void assert_refused(Site* site, SxvkAllocation handle) {
    SxvkStatistics before = rig_statistics(site->rig), after;
    SxvkAllocationInfo info;
    SxvkAllocationInfo2 info2;
    VkMemoryPropertyFlags flags;
    void* data = &info;
    assert_false(sxvkIsAllocationValid(site->allocator, handle));
    rig_expect_silence(site->rig);
    sxvkFreeMemory(site->allocator, handle);
    sxvkFreeMemoryPages(site->allocator, 1, &handle);
    sxvkGetAllocationInfo(site->allocator, handle, &info);
    assert_int_equal(info.size, 0);
    sxvkGetAllocationInfo2(site->allocator, handle, &info2);
    assert_int_equal(info2.blockSize, 0);
    sxvkGetAllocationMemoryProperties(site->allocator, handle, &flags);
    assert_int_equal(sxvkMapMemory(site->allocator, handle, &data), VK_ERROR_VALIDATION_FAILED_EXT);
    assert_null(data);
    sxvkUnmapMemory(site->allocator, handle);
    assert_int_equal(sxvkSetAllocationName(site->allocator, handle, "x"),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_int_equal(sxvkSetAllocationUserData(site->allocator, handle, &info),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_int_equal(sxvkFlushAllocation(site->allocator, handle, 0, 1),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_int_equal(sxvkSetAllocationPriority(site->allocator, handle, 0.5f),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(site->rig, SXVK_MESSAGE_INVALID_ALLOCATION, 11);
    after = rig_statistics(site->rig);
    assert_memory_equal(&before, &after, sizeof after);
    assert_int_equal(sxvkCheckIntegrity(site->allocator), VK_SUCCESS);
}

static void test_bad_handles(void** state) {
    SxvkAllocation earners[EARNED + 1], slot, stale, reused;
    uint32_t index, generation, i;
    Site site, other;
    (void)state;
    slot = site_slot(&site, NULL, 100, earners);
    index = sxvki_handle_index(slot);
    generation =
        sxvki_slab_of(&site.allocator->device.records, index)->slots[index % 64].generation;
    /* Stale, with and without a successor. */
    stale = take(&site, 100);
    give(&site, stale);
    assert_refused(&site, stale);
    reused = take(&site, 100);
    assert_int_equal(sxvki_handle_index(reused), sxvki_handle_index(stale));
    assert_refused(&site, stale);
    give(&site, reused);
    /* Forged: other generations, slots that are not there, slabs that are not there. */
    assert_refused(&site, sxvki_handle_make(generation + 1, index));
    assert_refused(&site, sxvki_handle_make(generation - 1, index));
    assert_refused(&site, sxvki_handle_make(generation + 2, index));
    assert_refused(&site, sxvki_handle_make(generation - 2, index));
    for (i = 0; i < 64; i++) {
        if (i != index % 64) {
            assert_refused(&site,
                           sxvki_handle_make(generation, sxvki_slot_index(slab_id(slot), i)));
            assert_refused(&site, sxvki_handle_make(1, sxvki_slot_index(slab_id(slot), i)));
        }
    }
    for (i = 1; i < SXVKI_SLABS_MAX; i *= 2) {
        assert_refused(&site,
                       sxvki_handle_make(generation, sxvki_slot_index(slab_id(slot) + i, 0)));
    }
    assert_refused(&site, sxvki_handle_make(generation, ANY));
    assert_refused(&site, sxvki_handle_make(generation, index & ~SXVKI_HANDLE_SLAB_BIT));
    assert_refused(&site, sxvki_handle_make(0, index));
    /* Foreign: another allocator's slot of the same place. */
    slot = site_slot(&other, NULL, 100, earners);
    assert_int_equal(sxvki_handle_index(slot), index);
    assert_refused(&site, slot);
    give_all(&other, earners, EARNED + 1);
    site_close(&other);
    release_anchors(&site);
    sxvkTrim(site.allocator);
    site.rig->messages.total = 0;
    /* The slab is still there, with its one slot; closed, its handles are stale as well. */
    assert_int_equal(domain_of(&site)->slab_count, 1);
    slot = sxvki_handle_make(generation, index);
    assert_true(sxvkIsAllocationValid(site.allocator, slot));
    give(&site, slot);
    assert_int_equal(domain_of(&site)->slab_count, 0);
    assert_refused(&site, slot);
    {
        const sxvki_domain* domain = domain_of(&site);
        uint32_t leaks = domain->live_count;
        assert_int_equal(leaks, EARNED); /* their handles were overwritten above */
        sxvkDestroyAllocator(site.allocator);
        site.rig->allocator = NULL;
        rig_expect(site.rig, SXVK_MESSAGE_LEAKED_ALLOCATION, leaks);
        rig_destroy(site.rig);
    }
}

/*  The range of a slab is no allocation, for nobody. */
static VkBool32 VKAPI_PTR find_records(void* pUserData, SxvkAllocator allocator,
                                       SxvkAllocation allocation) {
    uint32_t index = sxvki_handle_index(allocation);
    uint32_t* found = (uint32_t*)pUserData;
    if (is_slot(allocation)) {
        found[1]++;
    } else {
        found[0]++;
        assert_int_equal(
            sxvki_record_at(&allocator->device.records, index)->link_b & SXVKI_STATE_SLAB, 0);
    }
    return found[0] + found[1] == found[2] ? VK_FALSE : VK_TRUE;
}

static void test_for_each(void** state) {
    SxvkAllocation taken[100];
    uint32_t found[3], i;
    Site site;
    (void)state;
    site_open(&site, NULL);
    for (i = 0; i < 100; i++) {
        taken[i] = take(&site, 100);
    }
    memset(found, 0, sizeof found);
    sxvkForEachAllocation(site.allocator, find_records, found);
    assert_int_equal(found[0], ANCHOR_COUNT - ANCHOR_ROOM + EARNED);
    assert_int_equal(found[1], 100 - EARNED);
    for (i = 1; i < 120; i += 7) { /* stops where it is told to, also among slots */
        memset(found, 0, sizeof found);
        found[2] = i;
        sxvkForEachAllocation(site.allocator, find_records, found);
        assert_int_equal(found[0] + found[1], i);
    }
    give_all(&site, taken, 100);
    site_close(&site);
}

/* ------------------------------------------------------------------ churn against a naive count */

typedef enum Kind { KIND_BUFFER, KIND_OPTIMAL, KIND_UNKNOWN } Kind;

typedef struct Item {
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
    VkBuffer buffer;
    VkImage image;
    Kind kind;
    VkDeviceSize alignment;
    char name[16];
    uint32_t visits;
} Item;

#define ITEM_MAX 1500

typedef struct Churn {
    Site site;
    Item items[ITEM_MAX];
    uint32_t count;
    uint64_t random;
    VkDeviceSize hot[6]; /* sizes that come often */
    uint32_t slots;      /* allocations that were slots */
    uint32_t most_slabs;
    uint32_t closed;
    bool images;
    bool by_address; /* the items are sorted so */
} Churn;

static int by_place(const void* a, const void* b) {
    const Item *x = (const Item*)a, *y = (const Item*)b;
    uint64_t m = SIM_HANDLE(x->info.deviceMemory), n = SIM_HANDLE(y->info.deviceMemory);
    if (m != n) {
        return m < n ? -1 : 1;
    }
    return x->info.offset < y->info.offset ? -1 : x->info.offset > y->info.offset;
}

static int by_handle(const void* a, const void* b) {
    uintptr_t x = (uintptr_t)((const Item*)a)->allocation;
    uintptr_t y = (uintptr_t)((const Item*)b)->allocation;
    return x < y ? -1 : x > y;
}

static void churn_take(Churn* churn) {
    Site* site = &churn->site;
    Item* item = &churn->items[churn->count];
    VkDeviceSize size = testing_below(&churn->random, 100) < 70
                            ? churn->hot[testing_below(&churn->random, 6)]
                            : testing_log_uniform(&churn->random, 1, 40000);
    SxvkAllocationCreateInfo info = {.pool = site->pool, .memoryTypeBits = 1u << site->type};
    VkResult result;
    memset(item, 0, sizeof *item);
    item->kind = (Kind)testing_below(&churn->random, 3);
    item->kind = item->kind == KIND_OPTIMAL && !churn->images ? KIND_BUFFER : item->kind;
    item->alignment = (VkDeviceSize)1
                      << (testing_below(&churn->random, 4) == 0 ? testing_below(&churn->random, 14)
                                                                : testing_below(&churn->random, 5));
    info.minAlignment = item->alignment;
    if (testing_below(&churn->random, 10) == 0) {
        (void)snprintf(item->name, sizeof item->name, "n%u",
                       testing_below(&churn->random, 1000000));
        info.pName = item->name;
    }
    info.flags =
        testing_below(&churn->random, 12) == 0 ? SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT : 0;
    if (item->kind == KIND_BUFFER) {
        VkBufferCreateInfo buffer = testing_buffer(size, VK_BUFFER_USAGE_TRANSFER_DST_BIT);
        result = sxvkCreateBuffer(site->allocator, &buffer, &info, &item->buffer, &item->allocation,
                                  &item->info);
    } else if (item->kind == KIND_OPTIMAL) {
        uint32_t side = size < 4096 ? 8 : 40;
        VkImageCreateInfo image = testing_image(side, side, VK_IMAGE_TILING_OPTIMAL);
        result = sxvkCreateImage(site->allocator, &image, &info, &item->image, &item->allocation,
                                 &item->info);
    } else {
        VkMemoryRequirements needs = testing_requirements(size, 1, UINT32_MAX);
        result = sxvkAllocateMemory(site->allocator, &needs, &info, &item->allocation, &item->info);
        assert_int_equal(item->info.size, size);
    }
    assert_int_equal(result, VK_SUCCESS);
    assert_int_equal(item->info.offset % item->alignment, 0);
    churn->slots += is_slot(item->allocation);
    churn->count++;
}

static void churn_give(Churn* churn, uint32_t i) {
    Item* item = &churn->items[i];
    if (item->image != VK_NULL_HANDLE) {
        sxvkDestroyImage(churn->site.allocator, item->image, item->allocation);
    } else {
        sxvkDestroyBuffer(churn->site.allocator, item->buffer, item->allocation);
    }
    assert_false(sxvkIsAllocationValid(churn->site.allocator, item->allocation));
    *item = churn->items[--churn->count];
}

/*  The anchors count as items. */
static void churn_add_anchors(Churn* churn) {
    uint32_t i;
    for (i = 0; i < ANCHOR_COUNT - ANCHOR_ROOM; i++) {
        Item* item = &churn->items[churn->count++];
        memset(item, 0, sizeof *item);
        item->allocation = churn->site.anchors[i];
        item->alignment = 1;
        item->kind = KIND_UNKNOWN;
        sxvkGetAllocationInfo(churn->site.allocator, item->allocation, &item->info);
        churn->site.anchors[i] = VK_NULL_HANDLE;
    }
}

static void add_gap(SxvkDetailedStatistics* stats, VkDeviceSize size) {
    if (size != 0) {
        stats->unusedRangeCount++;
        stats->unusedRangeSizeMin =
            size < stats->unusedRangeSizeMin ? size : stats->unusedRangeSizeMin;
        stats->unusedRangeSizeMax =
            size > stats->unusedRangeSizeMax ? size : stats->unusedRangeSizeMax;
    }
}

/*  What the statistics should say, by looking at the list only. */
static SxvkDetailedStatistics count_naively(const Churn* churn) {
    const Site* site = &churn->site;
    SxvkDetailedStatistics stats;
    uint32_t b, i;
    memset(&stats, 0, sizeof stats);
    stats.allocationSizeMin = VK_WHOLE_SIZE;
    stats.unusedRangeSizeMin = VK_WHOLE_SIZE;
    for (b = 0; b < site->block_count; b++) {
        VkDeviceSize end = 0;
        stats.statistics.blockCount++;
        stats.statistics.blockBytes += site->blocks[b].size;
        for (i = 0; i < churn->count; i++) {
            const SxvkAllocationInfo* info = &churn->items[i].info;
            if (info->deviceMemory == site->blocks[b].memory) {
                add_gap(&stats, info->offset - end);
                end = info->offset + info->size;
                stats.statistics.allocationCount++;
                stats.statistics.allocationBytes += info->size;
                stats.allocationSizeMin =
                    info->size < stats.allocationSizeMin ? info->size : stats.allocationSizeMin;
                stats.allocationSizeMax =
                    info->size > stats.allocationSizeMax ? info->size : stats.allocationSizeMax;
            }
        }
        add_gap(&stats, site->blocks[b].size - end);
    }
    assert_int_equal(stats.statistics.allocationCount, churn->count);
    return stats;
}

static void assert_fast(const SxvkStatistics* seen, const SxvkStatistics* model) {
    assert_int_equal(seen->blockCount, model->blockCount);
    assert_int_equal(seen->blockBytes, model->blockBytes);
    assert_int_equal(seen->allocationCount, model->allocationCount);
    assert_int_equal(seen->allocationBytes, model->allocationBytes);
}

static void assert_detailed(const SxvkDetailedStatistics* seen,
                            const SxvkDetailedStatistics* model) {
    assert_fast(&seen->statistics, &model->statistics);
    assert_int_equal(seen->unusedRangeCount, model->unusedRangeCount);
    assert_int_equal(seen->allocationSizeMin, model->allocationSizeMin);
    assert_int_equal(seen->allocationSizeMax, model->allocationSizeMax);
    assert_int_equal(seen->unusedRangeSizeMin, model->unusedRangeSizeMin);
    assert_int_equal(seen->unusedRangeSizeMax, model->unusedRangeSizeMax);
}

static VkDeviceSize number(const cJSON* object, const char* key) {
    const cJSON* value = cJSON_GetObjectItem(object, key);
    assert_non_null(value);
    return (VkDeviceSize)value->valuedouble;
}

/*  Find the item of a range in the dump: some block has them all, in order. */
static uint32_t match_dump_block(const Churn* churn, const cJSON* block) {
    const cJSON* ranges = cJSON_GetObjectItem(block, "Suballocations");
    const cJSON* range;
    VkDeviceSize end = 0, unused = 0;
    uint32_t b, live = 0, gaps = 0;
    cJSON_ArrayForEach(range, ranges) {
        const char* type = cJSON_GetStringValue(cJSON_GetObjectItem(range, "Type"));
        bool is_free = strcmp(type, "FREE") == 0;
        assert_int_equal(number(range, "Offset"), end);
        end += number(range, "Size");
        gaps += is_free;
        live += !is_free;
        unused += is_free ? number(range, "Size") : 0;
    }
    assert_int_equal(end, number(block, "TotalBytes"));
    assert_int_equal(live, number(block, "Allocations"));
    assert_int_equal(gaps, number(block, "UnusedRanges"));
    assert_int_equal(unused, number(block, "UnusedBytes"));
    for (b = 0; b < churn->site.block_count && live != 0; b++) {
        uint32_t i = 0, matched = 0;
        while (i < churn->count &&
               churn->items[i].info.deviceMemory != churn->site.blocks[b].memory) {
            i++;
        }
        cJSON_ArrayForEach(range, ranges) {
            const char* name = cJSON_GetStringValue(cJSON_GetObjectItem(range, "Name"));
            if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(range, "Type")), "FREE") == 0) {
                continue;
            }
            if (i == churn->count ||
                churn->items[i].info.deviceMemory != churn->site.blocks[b].memory ||
                churn->items[i].info.offset != number(range, "Offset") ||
                churn->items[i].info.size != number(range, "Size") ||
                strcmp(churn->items[i].name, name != NULL ? name : "") != 0) {
                break;
            }
            matched++;
            i++;
        }
        if (matched == live) {
            return live;
        }
    }
    assert_int_equal(live, 0);
    return 0;
}

static uint32_t match_dump_pool(const Churn* churn, const cJSON* pool) {
    const cJSON* block;
    uint32_t matched = 0;
    cJSON_ArrayForEach(block, cJSON_GetObjectItem(pool, "Blocks")) {
        matched += match_dump_block(churn, block);
    }
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(pool, "DedicatedAllocations")), 0);
    return matched;
}

static void check_dump(const Churn* churn, const SxvkDetailedStatistics* model) {
    const cJSON *type, *pool, *stats;
    uint32_t matched = 0;
    char* text;
    cJSON* dump;
    assert_int_equal(sxvkBuildStatsString(churn->site.allocator, &text, VK_TRUE), VK_SUCCESS);
    dump = cJSON_Parse(text);
    assert_non_null(dump);
    stats = cJSON_GetObjectItem(cJSON_GetObjectItem(dump, "Total"), "Stats");
    assert_int_equal(number(stats, "BlockCount"), model->statistics.blockCount);
    assert_int_equal(number(stats, "BlockBytes"), model->statistics.blockBytes);
    assert_int_equal(number(stats, "AllocationCount"), model->statistics.allocationCount);
    assert_int_equal(number(stats, "AllocationBytes"), model->statistics.allocationBytes);
    assert_int_equal(number(stats, "UnusedRangeCount"), model->unusedRangeCount);
    cJSON_ArrayForEach(type, cJSON_GetObjectItem(dump, "DefaultPools")) {
        matched += match_dump_pool(churn, type);
    }
    cJSON_ArrayForEach(type, cJSON_GetObjectItem(dump, "CustomPools")) {
        cJSON_ArrayForEach(pool, type) {
            matched += match_dump_pool(churn, pool);
        }
    }
    assert_int_equal(matched, churn->count);
    cJSON_Delete(dump);
    sxvkFreeStatsString(churn->site.allocator, text);
}

static VkBool32 VKAPI_PTR visit_item(void* pUserData, SxvkAllocator allocator,
                                     SxvkAllocation allocation) {
    Churn* churn = (Churn*)pUserData;
    Item key = {.allocation = allocation};
    Item* item = (Item*)bsearch(&key, churn->items, churn->count, sizeof key, by_handle);
    (void)allocator;
    assert_non_null(item);
    item->visits++;
    return VK_TRUE;
}

/*  Two that follow each other in a memory. */
static void check_neighbours(const Site* site, const Item* a, const Item* b) {
    VkDeviceSize end = a->info.offset + a->info.size;
    bool conflict = a->kind != b->kind || a->kind == KIND_UNKNOWN;
    if (a->info.deviceMemory != b->info.deviceMemory) {
        return;
    }
    assert_true(end <= b->info.offset);
    if (conflict) {
        assert_true((end - 1) / site->granularity != b->info.offset / site->granularity);
    }
    assert_true(site->atom == 1 || (end - 1) / site->atom != b->info.offset / site->atom);
}

static void churn_check(Churn* churn, bool dump) {
    Site* site = &churn->site;
    SxvkDetailedStatistics model, seen;
    SxvkTotalStatistics total;
    SxvkStatistics fast;
    uint32_t i;
    rig_check(site->rig);
    qsort(churn->items, churn->count, sizeof(Item), by_place);
    for (i = 1; i < churn->count; i++) {
        check_neighbours(site, &churn->items[i - 1], &churn->items[i]);
    }
    for (i = 0; i < churn->count; i++) {
        SxvkAllocationInfo info = info_of(site, churn->items[i].allocation);
        assert_true(info.deviceMemory == churn->items[i].info.deviceMemory &&
                    info.offset == churn->items[i].info.offset &&
                    info.size == churn->items[i].info.size);
        assert_string_equal(info.pName != NULL ? info.pName : "", churn->items[i].name);
    }
    model = count_naively(churn);
    sxvkCalculateStatistics(site->allocator, &total);
    assert_detailed(&total.total, &model);
    assert_detailed(&total.memoryType[site->type], &model);
    fast = rig_statistics(site->rig);
    assert_fast(&fast, &model.statistics);
    if (site->pool != NULL) {
        sxvkCalculatePoolStatistics(site->allocator, site->pool, &seen);
        assert_detailed(&seen, &model);
        sxvkGetPoolStatistics(site->allocator, site->pool, &fast);
        assert_fast(&fast, &model.statistics);
    }
    if (dump) {
        check_dump(churn, &model);
    }
    qsort(churn->items, churn->count, sizeof(Item), by_handle);
    for (i = 0; i < churn->count; i++) {
        churn->items[i].visits = 0;
    }
    sxvkForEachAllocation(site->allocator, visit_item, churn);
    for (i = 0; i < churn->count; i++) {
        assert_int_equal(churn->items[i].visits, 1);
    }
}

static uint32_t slab_total(const Site* site) {
    uint32_t i, sum = 0;
    for (i = 0; i < SXVKI_DOMAIN_COUNT; i++) {
        const sxvki_domain* domain = domain_at(site, i);
        sum += domain != NULL ? domain->slab_count : 0;
    }
    return sum;
}

static void churn_run(Churn* churn, const Setup* setup, uint64_t seed, bool images) {
    enum { STEPS = 6000 };
    uint32_t i, step, slabs;
    memset(churn, 0, sizeof *churn);
    churn->random = seed;
    churn->images = images;
    site_open(&churn->site, setup);
    churn_add_anchors(churn);
    for (i = 0; i < 6; i++) {
        churn->hot[i] = testing_log_uniform(&churn->random, 16, i < 4 ? 1000 : 9000);
    }
    for (step = 0; step < STEPS; step++) {
        bool grows = step % 2000 < 1200;
        slabs = slab_total(&churn->site);
        if (churn->count == 0 ||
            (churn->count < ITEM_MAX && testing_below(&churn->random, 100) < (grows ? 85u : 4u))) {
            churn_take(churn);
        } else {
            churn_give(churn, testing_below(&churn->random, churn->count));
        }
        churn->closed += slab_total(&churn->site) < slabs;
        if (slabs > churn->most_slabs) {
            churn->most_slabs = slabs;
        }
        if (step % 500 == 499) {
            churn_check(churn, step % 1000 == 499);
        }
    }
    while (churn->count != 0) {
        churn_give(churn, testing_below(&churn->random, churn->count));
    }
    churn_check(churn, true);
    assert_no_slabs(&churn->site);
    sxvkDestroyPool(churn->site.allocator, churn->site.pool);
    churn->site.pool = VK_NULL_HANDLE;
    site_close(&churn->site);
}

static void test_churn(void** state) {
    static const Setup setups[] = {
        {.type = HOST},
        {.type = HOST, .granularity = 1024},
        {.type = LOCAL, .granularity = 1024},
        {.type = LOCAL, .granularity = 64 * 1024},
        {.type = CACHED, .atom = 64},
        {.type = CACHED, .atom = 256, .granularity = 1024},
        {.type = HOST, .custom = true},
        {.type = LOCAL,
         .granularity = 1024,
         .custom = true,
         .pool = {.flags = SXVK_POOL_CREATE_EXTERNALLY_SYNCHRONIZED_BIT}},
        {.type = HOST, .flags = SXVK_ALLOCATOR_CREATE_EXTERNALLY_SYNCHRONIZED_BIT},
    };
    static Churn churn;
    uint32_t i;
    (void)state;
    for (i = 0; i < sizeof setups / sizeof setups[0]; i++) {
        churn_run(&churn, &setups[i], 100 + i, setups[i].type == LOCAL);
        assert_true(churn.slots > 100);
        assert_true(churn.most_slabs > 5);
        assert_true(churn.closed > 2); /* each one in several steps */
    }
}

/*  A buffer and an optimal image of some 100 KiB: where much lives, slabs come early. */
typedef struct Weight {
    VkBuffer buffer;
    VkImage image;
    SxvkAllocation of_buffer;
    SxvkAllocation of_image;
} Weight;

static void weight_make(const Site* site, Weight* weight) {
    VkBufferCreateInfo buffer = testing_buffer(100 * KIB, VK_BUFFER_USAGE_TRANSFER_DST_BIT);
    VkImageCreateInfo image = testing_image(160, 160, VK_IMAGE_TILING_OPTIMAL);
    SxvkAllocationCreateInfo info = {.memoryTypeBits = 1u << site->type};
    assert_int_equal(sxvkCreateBuffer(site->allocator, &buffer, &info, &weight->buffer,
                                      &weight->of_buffer, NULL),
                     VK_SUCCESS);
    assert_int_equal(
        sxvkCreateImage(site->allocator, &image, &info, &weight->image, &weight->of_image, NULL),
        VK_SUCCESS);
}

static void weight_drop(const Site* site, const Weight* weight) {
    sxvkDestroyBuffer(site->allocator, weight->buffer, weight->of_buffer);
    sxvkDestroyImage(site->allocator, weight->image, weight->of_image);
}

/*  Kinds that are not known: at a granularity of 64 KiB nothing of theirs fits a slot, buffers' do, and
    optimal images have domains and slabs of their own. */
static void test_granularity(void** state) {
    enum { WEIGHTS = SXVKI_SLAB_FEW / (90 * KIB) };
    static Churn churn;
    static Weight weights[WEIGHTS];
    const Setup setup = {.type = LOCAL, .granularity = 64 * 1024};
    uint32_t i, slots[3] = {0};
    (void)state;
    memset(&churn, 0, sizeof churn);
    churn.random = 3;
    churn.images = true;
    site_open(&churn.site, &setup);
    for (i = 0; i < WEIGHTS; i++) {
        weight_make(&churn.site, &weights[i]);
    }
    for (i = 0; i < 6; i++) {
        churn.hot[i] = 250;
    }
    for (i = 0; i < ITEM_MAX; i++) {
        churn_take(&churn);
        slots[churn.items[i].kind] += is_slot(churn.items[i].allocation);
    }
    assert_int_equal(slots[KIND_UNKNOWN], 0);
    assert_true(slots[KIND_BUFFER] > 100);
    assert_true(slots[KIND_OPTIMAL] > 0);
    assert_true(domain_at(&churn.site, SXVKI_DOMAIN_OPTIMAL)->slab_count > 0);
    while (churn.count != 0) {
        churn_give(&churn, churn.count - 1);
    }
    for (i = 0; i < WEIGHTS; i++) {
        weight_drop(&churn.site, &weights[i]);
    }
    site_close(&churn.site);
}

/* ------------------------------------------------------------------ leaks */

typedef struct Leaks {
    uint32_t seen[64];
    uint32_t nameless;
    uint32_t others;
} Leaks;

static void VKAPI_PTR note_leak(void* pUserData, const SxvkMessageInfo* pInfo) {
    Leaks* leaks = (Leaks*)pUserData;
    const char* name = strstr(pInfo->pText, "leak-");
    if (pInfo->message != SXVK_MESSAGE_LEAKED_ALLOCATION) {
        leaks->others++;
    } else if (name != NULL) {
        leaks->seen[strtoul(name + 5, NULL, 10) % 64]++;
    } else {
        leaks->nameless++;
    }
}

static void leave_leaks(Site* site, bool all) {
    SxvkAllocation allocation;
    uint32_t i, slots = 0;
    char name[16];
    for (i = 0; i < 64; i++) {
        (void)snprintf(name, sizeof name, "leak-%u", i);
        assert_int_equal(allocate(site, 300, 1, i % 8 == 0 ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0,
                                  name, &allocation),
                         VK_SUCCESS);
        slots += is_slot(allocation);
        if (i % 9 == 8) {
            void* data;
            assert_int_equal(sxvkMapMemory(site->allocator, allocation, &data), VK_SUCCESS);
        }
        if (!all && i % 3 != 0) {
            give(site, allocation);
            if (i % 9 == 8) {
                site->rig->messages.total = 0;
            }
        }
    }
    assert_true(slots > 20);
}

static void test_leaks(void** state) {
    int custom;
    (void)state;
    for (custom = 0; custom < 2; custom++) {
        Setup setup = {.type = HOST, .custom = custom != 0};
        Leaks leaks;
        uint32_t i;
        Site site;
        site_open(&site, &setup);
        memset(&leaks, 0, sizeof leaks);
        site.allocator->device.reporter.callback = note_leak;
        site.allocator->device.reporter.user_data = &leaks;
        leave_leaks(&site, true);
        if (custom) {
            sxvkDestroyPool(site.allocator, site.pool);
            site.pool = VK_NULL_HANDLE;
            assert_no_slabs(&site);
        }
        sxvkDestroyAllocator(site.allocator);
        site.rig->allocator = NULL;
        for (i = 0; i < 64; i++) {
            assert_int_equal(leaks.seen[i], 1);
        }
        assert_int_equal(leaks.nameless, ANCHOR_COUNT - ANCHOR_ROOM);
        assert_int_equal(leaks.others, 0);
        rig_destroy(site.rig);
    }
}

/* ------------------------------------------------------------------ no host memory */

/*  Take all records that are not in use, so that the next range needs host memory. */
static uint32_t hold_records(Site* site) {
    sxvki_records* records = &site->allocator->device.records;
    sxvki_bins* bins = &domain_of(site)->bins;
    uint32_t held = SXVKI_NONE;
    sxvki_records_give(records, bins->spare);
    bins->spare = SXVKI_NONE;
    bins->spare_count = 0;
    while (records->hot.has_unused != 0) {
        assert_int_equal(sxvki_records_take(records, 1, &held), 1);
    }
    return held;
}

/*  Whatever fails while a slab would be opened, its request gets a plain range, or fails as a whole. */
static void test_host_memory_while_opening(void** state) {
    uint32_t nth, plain = 0, failed = 0;
    bool reached = true;
    (void)state;
    for (nth = 1; reached; nth++) {
        SxvkAllocation taken[3 * EARNED];
        uint32_t i, held, count = EARNED;
        VkResult result;
        Site site;
        site_open(&site, NULL);
        for (i = 0; i < EARNED; i++) {
            taken[i] = take(&site, 100);
        }
        held = hold_records(&site);
        host_fail(&site.rig->host, nth, 1);
        result = allocate(&site, 100, 1, 0, "named", &taken[count]);
        reached = site.rig->host.failed != 0;
        host_fail(&site.rig->host, 1, 0);
        sxvki_records_give(&site.allocator->device.records, held);
        if (result != VK_SUCCESS) {
            assert_int_equal(result, VK_ERROR_OUT_OF_HOST_MEMORY);
            assert_null(taken[count]);
            rig_expect(site.rig, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
            failed++;
        } else {
            plain += reached && !is_slot(taken[count]);
            assert_true(reached || is_slot(taken[count]));
            count++;
        }
        rig_check(site.rig);
        assert_int_equal(live_count(&site), ANCHOR_COUNT - ANCHOR_ROOM + count);
        if (domain_of(&site)->slab_count == 0) { /* it is earned anew */
            uint32_t more = 0;
            do {
                assert_true(more++ <= EARNED);
                taken[count] = take(&site, 100);
            } while (!is_slot(taken[count++]));
        }
        give_all(&site, taken, count);
        site_close(&site);
    }
    assert_true(plain >= 1);
    assert_true(failed >= 1);
    assert_true(nth > 3);
}

/*  The same for the first allocation, which makes pool, domain and classes. */
static void test_host_memory_for_a_domain(void** state) {
    const Setup setup = {.type = HOST};
    uint32_t nth, failed = 0;
    bool reached = true;
    (void)state;
    for (nth = 1; reached; nth++) {
        SxvkAllocation allocation;
        VkResult result;
        Site site;
        site_open_bare(&site, &setup);
        host_fail(&site.rig->host, nth, 1);
        result = allocate(&site, 100, 1, 0, NULL, &allocation);
        reached = site.rig->host.failed != 0;
        host_fail(&site.rig->host, 1, 0);
        if (result != VK_SUCCESS) {
            assert_int_equal(result, VK_ERROR_OUT_OF_HOST_MEMORY);
            rig_expect(site.rig, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
            failed++;
            allocation = take(&site, 100);
        }
        rig_check(site.rig);
        give(&site, allocation);
        site_close(&site);
    }
    assert_true(failed > 3);
}

/*  No hole in the blocks is large enough: plain ranges, as long as that is so. */
static void test_no_room_for_a_slab(void** state) {
    const VkFlags never = SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT;
    static SxvkAllocation all[4000];
    SxvkAllocation taken[30], slot;
    uint32_t i, count = 0;
    Site site;
    (void)state;
    site_open(&site, NULL);
    while (allocate(&site, 14 * KIB, 1, never | SXVK_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT,
                    NULL, &all[count]) == VK_SUCCESS) {
        count++;
        assert_true(count < 4000);
    }
    rig_expect(site.rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 0);
    for (i = 20; i < 250; i += 37) { /* holes, and no hole has the 16 KiB of eight slots */
        give(&site, all[i]);
        all[i] = VK_NULL_HANDLE;
    }
    for (i = 0; i < 30; i++) {
        taken[i] = take_with(&site, 2 * KIB, never);
        assert_false(is_slot(taken[i]));
        assert_no_slabs(&site);
    }
    rig_check(site.rig);
    give_all(&site, all, count);
    /* A failure costs what was earned, so that it is not tried each time: the 17th of these. */
    for (i = 0; i < EARNED - 30 % (EARNED + 1); i++) {
        all[i] = take_with(&site, 2 * KIB, never);
        assert_false(is_slot(all[i]));
    }
    slot = all[i] = take_with(&site, 2 * KIB, never);
    assert_true(is_slot(slot));
    give_all(&site, all, i + 1);
    give_all(&site, taken, 30);
    site_close(&site);
}

/*  Who wants the lowest place gets a slot where there is nothing else. */
static void test_slots_as_a_last_resort(void** state) {
    const VkFlags lowest =
        SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT | SXVK_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT;
    static SxvkAllocation all[4000];
    SxvkAllocation first[EARNED + 1];
    uint32_t count = 0, slots = 0;
    Site site;
    (void)state;
    site_open(&site, NULL);
    earn(&site, 14 * KIB, first);
    while (allocate(&site, 14 * KIB, 1, lowest, NULL, &all[count]) == VK_SUCCESS) {
        slots += is_slot(all[count]);
        count++;
        assert_true(count < 4000);
    }
    rig_expect(site.rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 0);
    assert_true(slots > 0 && is_slot(all[count - 1]));
    assert_int_equal(domain_of(&site)->classes[slab_of(&site, first[EARNED])->class_index].list,
                     SXVKI_NONE);
    give_all(&site, all, count);
    give_all(&site, first, EARNED + 1);
    site_close(&site);
}

/*  The sums of a class have room for 64 GiB: it gets no more slabs at half of that. */
static void test_no_slabs_beyond_what_can_be_counted(void** state) {
    const uint64_t much = SXVKI_SLOTS_BYTES_MAX << SXVKI_SLOTS_COUNT_BITS;
    SxvkAllocation taken[30];
    sxvki_slab_class* c;
    uint32_t i;
    Site site;
    (void)state;
    site_open(&site, NULL);
    c = &domain_of(&site)->classes[sxvki_slab_class_of(sxvki_slab_slot_size(1000 / 16 + 1, 1))];
    c->taken += much;
    for (i = 0; i < 30; i++) {
        taken[i] = take(&site, 1000);
        assert_false(is_slot(taken[i]));
    }
    c->taken -= much;
    give(&site, taken[0]);
    taken[0] = take(&site, 1000);
    assert_true(is_slot(taken[0]));
    give_all(&site, taken, 30);
    site_close(&site);
}

/* ------------------------------------------------------------------ the checkers are checked */

static void assert_broken(Site* site, const char* what) {
    if (sxvkCheckIntegrity(site->allocator) != VK_ERROR_UNKNOWN) {
        fail_msg("not found: %s", what);
    }
    rig_expect(site->rig, SXVK_MESSAGE_BROKEN_INVARIANT, 1);
}

/*  Break one thing, see it found, mend it, see peace. */
#define BREAKS(lvalue, wrong)                                                                      \
    do {                                                                                           \
        unsigned char saved_[sizeof(lvalue)];                                                      \
        memcpy(saved_, &(lvalue), sizeof saved_);                                                  \
        (lvalue) = (wrong);                                                                        \
        assert_broken(&site, #lvalue " = " #wrong);                                                \
        memcpy(&(lvalue), saved_, sizeof saved_);                                                  \
        assert_int_equal(sxvkCheckIntegrity(site.allocator), VK_SUCCESS);                          \
    } while (0)

static void test_broken_slabs_are_found(void** state) {
    SxvkAllocation taken[EARNED + 40], other[EARNED + 1];
    sxvki_slab *full, *slab, *second, *stranger;
    sxvki_records* records;
    sxvki_domain* domain;
    sxvki_slab_class *c, *wrong;
    sxvki_record* r;
    uint32_t i, id;
    Site site;
    (void)state;
    site_open(&site, NULL);
    earn(&site, 100, taken);
    for (i = EARNED + 1; i < EARNED + 40; i++) {
        taken[i] = take(&site, 100);
    }
    earn(&site, 5000, other);
    give(&site, taken[EARNED + 1]);
    give(&site, taken[EARNED + 4]);
    give(&site, taken[EARNED + 20]);
    records = &site.allocator->device.records;
    domain = domain_of(&site);
    slab = slab_of(&site, taken[EARNED]);
    second = slab_of(&site, taken[EARNED + 21]);
    full = slab_of(&site, taken[EARNED + 12]);
    stranger = slab_of(&site, other[EARNED]);
    assert_int_equal(full->word, 0);
    assert_true(slab != second && second != full);
    id = slab_id(taken[EARNED]);
    c = &domain->classes[slab->class_index];
    wrong = &domain->classes[slab->class_index + 1];
    r = sxvki_record_at(records, slab->record);
    assert_int_equal(c->list, slab_id(taken[EARNED + 21]));
    assert_int_equal(second->next, id);

    /* sxvki_slab_is_valid */
    BREAKS(slab->slot_count, 7);
    BREAKS(slab->slot_count, 64);
    BREAKS(slab->slot_size, 0);
    BREAKS(slab->slot_size, SXVKI_SLAB_SIZE_MAX + 1);
    BREAKS(slab->slot_size, slab->slot_size - 1);
    BREAKS(slab->class_index, slab->class_index + 1);
    BREAKS(slab->class_index, slab->class_index - 1);
    BREAKS(slab->word, slab->word | (uint64_t)1 << slab->slot_count);
    BREAKS(slab->word, slab->word | (uint64_t)1 << 62);
    BREAKS(slab->word, slab->word & ~SXVKI_SLAB_HELD); /* listed, and not held */
    BREAKS(slab->word, SXVKI_SLAB_HELD);               /* listed, and full */
    BREAKS(slab->word, 0);
    BREAKS(slab->word, slab->word | 1); /* a free slot that lives */
    BREAKS(slab->slots[1].generation, slab->slots[1].generation + 1);
    BREAKS(slab->slots[4].generation, slab->slots[4].generation + 1);
    BREAKS(slab->slots[62].generation, slab->slots[62].generation + 1); /* behind the last one */
    BREAKS(full->word, 1u << 7 | SXVKI_SLAB_HELD);
    BREAKS(full->class_index, full->class_index + 1);
    BREAKS(full->class_index, full->class_index - 1);

    /* A record and its slab. */
    BREAKS(r->link_a, records->slabs.capacity);
    BREAKS(r->link_a, ANY);
    BREAKS(r->link_a, slab_id(taken[EARNED + 12]));
    BREAKS(r->link_b, 0); /* no slab, an allocation */
    BREAKS(slab->owner, NULL);
    BREAKS(slab->owner, (void*)site.allocator);
    BREAKS(full->owner, NULL);
    BREAKS(slab->record, slab->record + 1);
    BREAKS(slab->block, slab->block + 1);
    BREAKS(slab->offset, slab->offset + 1);
    BREAKS(slab->slot_count, slab->slot_count + 1);
    BREAKS(slab->slot_count, slab->slot_count - 1);
    BREAKS(full->record, 0);
    BREAKS(full->block, full->block + 1);
    BREAKS(full->offset, 0);

    /* The lists. */
    BREAKS(c->list, SXVKI_NONE);
    BREAKS(c->list, id);
    BREAKS(c->list, records->slabs.capacity);
    BREAKS(c->list, slab_id(taken[EARNED + 12])); /* a full one */
    BREAKS(c->list, slab_id(other[EARNED]));      /* of another class */
    BREAKS(wrong->list, id);
    i = sxvki_slab_new(records);
    sxvki_slab_delete(records, i);
    BREAKS(wrong->list, i);
    BREAKS(second->next, SXVKI_NONE);
    BREAKS(second->next, slab_id(taken[EARNED + 21])); /* a circle */
    BREAKS(second->next, slab_id(taken[EARNED + 12]));
    BREAKS(second->next, records->slabs.capacity);
    BREAKS(second->prev, id);
    BREAKS(slab->prev, SXVKI_NONE);
    BREAKS(slab->prev, slab_id(other[EARNED]));
    BREAKS(slab->next, slab_id(taken[EARNED + 21]));
    BREAKS(slab->is_listed, 0);
    BREAKS(full->is_listed, 1);
    BREAKS(stranger->is_listed, 0);

    /* The sums. */
    BREAKS(domain->slab_count, domain->slab_count + 1);
    BREAKS(domain->slab_count, 0);
    BREAKS(domain->slab_bytes, domain->slab_bytes + 16);
    BREAKS(domain->slab_bytes, domain->slab_bytes - 1);
    BREAKS(domain->live_bytes, domain->live_bytes + 16);
    BREAKS(domain->live_count, domain->live_count - 1);

    for (i = EARNED; i < EARNED + 40; i++) {
        if (i != EARNED + 1 && i != EARNED + 4 && i != EARNED + 20) {
            give(&site, taken[i]);
        }
    }
    give_all(&site, taken, EARNED);
    give_all(&site, other, EARNED + 1);
    site_close(&site);
}

/*  What only one look at the lists can find, for all counts are right. */
static void test_broken_lists_are_found(void** state) {
    SxvkAllocation a[EARNED + 1], b[EARNED + 9], c[EARNED + 1];
    SxvkPoolCreateInfo info = {.memoryTypeIndex = HOST};
    SxvkAllocation others[ANCHOR_COUNT];
    sxvki_slab_class *first, *second, *foreign;
    sxvki_domain* domain;
    sxvki_slab* slab;
    SxvkPool pool;
    uint32_t i, id;
    Site site;
    (void)state;
    site_open(&site, NULL);
    domain = domain_of(&site);
    earn(&site, 100, a);
    earn(&site, 200, b);
    for (i = EARNED + 1; i < EARNED + 9; i++) {
        b[i] = take(&site, 200);
    }
    assert_int_equal(sxvkCreatePool(site.allocator, &info, &pool), VK_SUCCESS);
    memcpy(others, site.anchors, sizeof others);
    site.pool = pool;
    anchor(&site);
    earn(&site, 100, c);
    foreign = &domain_of(&site)->classes[sxvki_slab_class_of(7)];
    site.pool = VK_NULL_HANDLE;
    first = &domain->classes[sxvki_slab_class_of(7)];
    second = &domain->classes[sxvki_slab_class_of(13)];
    assert_int_equal(first->list, slab_id(a[EARNED]));
    assert_int_equal(foreign->list, slab_id(c[EARNED]));
    assert_int_equal(second->list, slab_id(b[EARNED + 8]));

    /* Of another domain. */
    id = first->list;
    first->list = foreign->list;
    assert_broken(&site, "a slab of another domain");
    first->list = id;
    assert_int_equal(sxvkCheckIntegrity(site.allocator), VK_SUCCESS);
    /* In the list of another class. */
    domain->classes[1].list = id;
    first->list = SXVKI_NONE;
    assert_broken(&site, "a slab in the list of another class");
    domain->classes[1].list = SXVKI_NONE;
    first->list = id;
    assert_int_equal(sxvkCheckIntegrity(site.allocator), VK_SUCCESS);
    /* One that is listed says no, one that is not says yes. */
    give(&site, b[EARNED]);
    slab = slab_of(&site, b[EARNED + 1]);
    id = second->list;
    assert_ptr_equal(sxvki_slab_at(&site.allocator->device.records, id), slab);
    assert_int_equal(slab->next, slab_id(b[EARNED + 8]));
    second->list = slab->next;
    slab_of(&site, b[EARNED + 8])->prev = SXVKI_NONE;
    slab_of(&site, b[EARNED + 8])->is_listed = 0;
    assert_broken(&site, "a slab that does not know its list");
    slab_of(&site, b[EARNED + 8])->is_listed = 1;
    slab_of(&site, b[EARNED + 8])->prev = id;
    second->list = id;
    assert_int_equal(sxvkCheckIntegrity(site.allocator), VK_SUCCESS);

    b[EARNED] = VK_NULL_HANDLE;
    give_all(&site, a, EARNED + 1);
    give_all(&site, b, EARNED + 9);
    give_all(&site, c, EARNED + 1);
    release_anchors(&site);
    sxvkDestroyPool(site.allocator, pool);
    memcpy(site.anchors, others, sizeof others);
    site_close(&site);
}

/* ------------------------------------------------------------------ other threads, played */

static Site* played;           /* whose locks are looked at */
static SxvkAllocation victim;  /* what the other thread frees */
static uint32_t countdown;     /* assertions until it does */
static uint32_t visited[4096]; /* records that were met */
static uint32_t visited_count;
static bool visiting;

static VkBool32 VKAPI_PTR meet(void* pUserData, SxvkAllocator allocator,
                               SxvkAllocation allocation) {
    uint32_t index = sxvki_handle_index(allocation);
    uint32_t i = 0;
    (void)pUserData;
    (void)allocator;
    while (i < visited_count && visited[i] != index) {
        i++;
    }
    if (i == visited_count && !is_slot(allocation)) {
        assert_true(visited_count < 4096);
        visited[visited_count++] = index;
    }
    return VK_TRUE;
}

static void look_at_all(void) {
    if (!visiting) {
        visiting = true;
        sxvkForEachAllocation(played->allocator, meet, NULL);
        visiting = false;
    }
}

/*  While a slab is opened another thread looks at all allocations, which takes no lock. It must not
    meet the range of the slab, for it may free what it meets. */
static void test_visits_while_a_slab_opens(void** state) {
    SxvkAllocation taken[EARNED + 1];
    uint32_t i, record;
    Site site;
    (void)state;
    site_open(&site, NULL);
    played = &site;
    visited_count = 0;
    for (i = 0; i < EARNED; i++) {
        taken[i] = take(&site, 100);
    }
    at_assertion = look_at_all;
    taken[EARNED] = take(&site, 100);
    at_assertion = NULL;
    record = slab_of(&site, taken[EARNED])->record;
    give_all(&site, taken, EARNED + 1);
    site_close(&site);
    assert_int_equal(visited_count, ANCHOR_COUNT - ANCHOR_ROOM + EARNED);
    for (i = 0; i < visited_count; i++) {
        assert_int_not_equal(visited[i], record);
    }
}

/*  And while it is closed. */
static void test_visits_while_a_slab_closes(void** state) {
    SxvkAllocation taken[EARNED + 1];
    Site site;
    (void)state;
    site_open(&site, NULL);
    played = &site;
    visited_count = 0;
    earn(&site, 100, taken);
    at_assertion = look_at_all;
    give(&site, taken[EARNED]);
    at_assertion = NULL;
    give_all(&site, taken, EARNED);
    site_close(&site);
    assert_int_equal(visited_count, ANCHOR_COUNT - ANCHOR_ROOM + EARNED);
}

/*  While a dump walks a domain under its lock, slots of listed slabs may be given back without it. The
    picture of each block is consistent all the same: its counts are those of its list. */
#define GIVEN_MAX 300
static SxvkAllocation given[GIVEN_MAX];
static uint32_t given_count;
static uint32_t assertion_count;

static void give_now_and_then(void) {
    if (++assertion_count % 16 == 0 && given_count != 0) {
        void (*hook)(void) = at_assertion;
        at_assertion = NULL;
        give(played, given[--given_count]);
        at_assertion = hook;
    }
}

static void test_dump_while_slots_are_freed(void** state) {
    static SxvkAllocation taken[500];
    const cJSON *type, *block, *range;
    uint32_t i, freed;
    Site site;
    cJSON* dump;
    char* text;
    (void)state;
    site_open(&site, NULL);
    played = &site;
    given_count = 0;
    assertion_count = 0;
    for (i = 0; i < 500; i++) {
        taken[i] = take(&site, 100);
    }
    for (i = 0; i < 500; i++) { /* the first slots of a slab stay, and one is free: it is listed */
        uint32_t slot = is_slot(taken[i]) ? sxvki_handle_index(taken[i]) % 64 : 0;
        if (slot == 2) {
            give(&site, taken[i]);
            taken[i] = VK_NULL_HANDLE;
        } else if (slot > 2 && given_count < GIVEN_MAX) {
            given[given_count++] = taken[i];
            taken[i] = VK_NULL_HANDLE;
        }
    }
    freed = given_count;
    at_assertion = give_now_and_then;
    assert_int_equal(sxvkBuildStatsString(site.allocator, &text, VK_TRUE), VK_SUCCESS);
    at_assertion = NULL;
    freed -= given_count;
    dump = cJSON_Parse(text);
    sxvkFreeStatsString(site.allocator, text);
    give_all(&site, given, given_count);
    give_all(&site, taken, 500);
    site_close(&site);
    assert_true(freed > 20);
    cJSON_ArrayForEach(type, cJSON_GetObjectItem(dump, "DefaultPools")) {
        cJSON_ArrayForEach(block, cJSON_GetObjectItem(type, "Blocks")) {
            uint32_t live = 0;
            cJSON_ArrayForEach(range, cJSON_GetObjectItem(block, "Suballocations")) {
                const char* what = cJSON_GetStringValue(cJSON_GetObjectItem(range, "Type"));
                live += strcmp(what, "FREE") != 0;
            }
            assert_int_equal(number(block, "Allocations"), live);
        }
    }
    cJSON_Delete(dump);
}

static bool no_lock_is_held(void) {
    sxvki_device* device = &played->allocator->device;
    return domain_of(played)->lock.word == 0 && device->records.lock.word == 0 &&
           device->blocks_lock.word == 0;
}

static void free_meanwhile(void) {
    if (victim != VK_NULL_HANDLE && no_lock_is_held() && --countdown == 0) {
        SxvkAllocation allocation = victim;
        victim = VK_NULL_HANDLE;
        give(played, allocation);
    }
}

/*  At each point of a free where no lock is held another thread frees the same handle: one of the two
    wins, the other one is told, and nothing else happens. `alone`: the slab is all of its block. */
static void play_double_frees(bool mapped, bool named, bool alone) {
    uint32_t nth;
    bool reached = true;
    for (nth = 1; reached; nth++) {
        SxvkAllocation taken[EARNED + 1];
        uint32_t invalid, i;
        Site site;
        site_open(&site, NULL);
        played = &site;
        for (i = 0; i < EARNED; i++) {
            taken[i] = take(&site, 100);
        }
        assert_int_equal(allocate(&site, 100, 1, mapped ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0,
                                  named ? "twice" : NULL, &taken[EARNED]),
                         VK_SUCCESS);
        assert_true(is_slot(taken[EARNED]));
        give_all(&site, taken, EARNED);
        if (alone) {
            release_anchors(&site);
        }
        victim = taken[EARNED];
        countdown = nth;
        at_assertion = free_meanwhile;
        give(&site, taken[EARNED]);
        at_assertion = NULL;
        reached = victim == VK_NULL_HANDLE;
        victim = VK_NULL_HANDLE;
        invalid = site.rig->messages.counts[SXVK_MESSAGE_INVALID_ALLOCATION];
        assert_int_equal(invalid, reached);
        rig_expect(site.rig, SXVK_MESSAGE_INVALID_ALLOCATION, reached);
        assert_int_equal(sim_errors(site.rig->sim), 0);
        assert_no_slabs(&site);
        for (i = 0; i < site.allocator->device.blocks.capacity; i++) {
            const sxvki_block* block = sxvki_block_at(&site.allocator->device, i);
            assert_true(block->memory != VK_NULL_HANDLE || block->map_word == 0);
        }
        site_close(&site);
    }
    assert_true(nth > 2);
}

static void test_double_frees_meanwhile(void** state) {
    (void)state;
    play_double_frees(false, false, false);
    play_double_frees(false, true, false);
    play_double_frees(false, true, true);
    play_double_frees(true, true, false);
}

static void test_double_frees_of_mapped_slots(void** state) {
    (void)state;
    play_double_frees(true, false, true);
}

/*  A message callback that frees what is being freed, and takes the slot again. */
static Site* eager;
static SxvkAllocation eager_took;
static uint32_t eager_messages[2];

static void VKAPI_PTR free_eagerly(void* pUserData, const SxvkMessageInfo* pInfo) {
    SxvkAllocation* handle = (SxvkAllocation*)pUserData;
    if (pInfo->message == SXVK_MESSAGE_FREED_WHILE_MAPPED) {
        eager_messages[0]++;
        give(eager, *handle);
        eager_took = take(eager, 100);
    } else {
        eager_messages[1] += pInfo->message == SXVK_MESSAGE_INVALID_ALLOCATION;
    }
}

static void test_freed_by_the_message(void** state) {
    SxvkAllocation earners[EARNED + 1], slot;
    Site site;
    void* data;
    (void)state;
    slot = site_slot(&site, NULL, 100, earners);
    assert_int_equal(allocate(&site, 100, 1, 0, "kept", &earners[EARNED]), VK_SUCCESS);
    assert_int_equal(sxvkMapMemory(site.allocator, slot, &data), VK_SUCCESS);
    eager = &site;
    memset(eager_messages, 0, sizeof eager_messages);
    site.allocator->device.reporter.callback = free_eagerly;
    site.allocator->device.reporter.user_data = &slot;
    give(&site, slot);
    site.allocator->device.reporter.callback = messages_callback;
    site.allocator->device.reporter.user_data = &site.rig->messages;
    assert_int_equal(eager_messages[0], 1);
    assert_int_equal(eager_messages[1], 1);
    assert_true(sxvkIsAllocationValid(site.allocator, eager_took));
    assert_false(sxvkIsAllocationValid(site.allocator, slot));
    rig_check(site.rig);
    give(&site, eager_took);
    give_all(&site, earners, EARNED + 1);
    site_close(&site);
}

/* ------------------------------------------------------------------ threads */

#define THREADS     4
#define STALL_COUNT 300

/*  How fast the traders are is up to the machine: so there is no end before SLOTS_LEAST slots were
    taken, if need be in TRADES_MOST trades. */
#define SLOTS_LEAST 1000
#define TRADES_MOST 100000

typedef struct Bazaar {
    Site site;
    uintptr_t stalls[STALL_COUNT]; /* atomic; handles, or 0 */
    uint32_t stop;                 /* atomic, as all that follows */
    uint32_t trades;
    uint32_t slots;
    uint32_t begun; /* allocations, counted before they are made */
    uint32_t ended; /* and after they were freed */
} Bazaar;

typedef struct Trader {
    Bazaar* bazaar;
    uint64_t random;
    pthread_t thread;
} Trader;

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void count(uint32_t* counter) {
    (void)__atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
}

static uint32_t counted(const uint32_t* counter) {
    return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

static void put(Bazaar* bazaar, uint32_t stall, SxvkAllocation allocation) {
    uintptr_t old =
        __atomic_exchange_n(&bazaar->stalls[stall], (uintptr_t)allocation, __ATOMIC_ACQ_REL);
    if (old != 0) {
        sxvkFreeMemory(bazaar->site.allocator, (SxvkAllocation)old);
        count(&bazaar->ended);
    }
}

/*  Small equal ranges that whoever comes by frees. Now and then all goes, so that slabs close. */
static void* trade(void* argument) {
    static const VkDeviceSize sizes[] = {100, 100, 100, 256, 1000, 3000};
    Trader* trader = (Trader*)argument;
    Bazaar* bazaar = trader->bazaar;
    uint32_t i;
    while (!counted(&bazaar->stop)) {
        uint32_t pick = testing_below(&trader->random, 1000);
        SxvkAllocation allocation = VK_NULL_HANDLE;
        if (pick == 0) {
            for (i = 0; i < STALL_COUNT; i++) {
                put(bazaar, i, VK_NULL_HANDLE);
            }
        } else if (pick > 250) {
            VkFlags flags = pick > 900 ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0;
            const char* name = pick > 960 ? "traded" : NULL;
            count(&bazaar->begun);
            if (allocate(&bazaar->site, sizes[testing_below(&trader->random, 6)], 16, flags, name,
                         &allocation) != VK_SUCCESS) {
                abort();
            }
            if (is_slot(allocation)) {
                count(&bazaar->slots);
            }
        }
        put(bazaar, testing_below(&trader->random, STALL_COUNT), allocation);
        count(&bazaar->trades);
    }
    return NULL;
}

/*  A range that a thread met, was odd, and is a slab's with the same generation. */
static VkBool32 VKAPI_PTR meet_no_slab(void* pUserData, SxvkAllocator allocator,
                                       SxvkAllocation allocation) {
    uint32_t index = sxvki_handle_index(allocation);
    const sxvki_records* records = &allocator->device.records;
    if (!is_slot(allocation)) {
        uint32_t state = sxvki_load32(sxvki_state_of(&allocator->device, index));
        if ((state & SXVKI_STATE_SLAB) != 0 && sxvki_handle_is_valid(records, allocation)) {
            ++*(uint32_t*)pUserData;
        }
    }
    return VK_TRUE;
}

/*  Domains are looked at one after the other, while allocations come and go: what is counted lived
    at some time since `ended` was read, so it was begun by now, and had not ended by then. */
static void expect_counted(const Bazaar* bazaar, const SxvkStatistics* stats, uint32_t ended) {
    assert_true(stats->allocationBytes <= stats->blockBytes);
    assert_true(stats->allocationCount <=
                ANCHOR_COUNT - ANCHOR_ROOM + counted(&bazaar->begun) - ended);
}

static void watch_the_bazaar(Bazaar* bazaar, uint32_t round, uint32_t* met) {
    SxvkAllocator allocator = bazaar->site.allocator;
    uint32_t ended = counted(&bazaar->ended);
    SxvkTotalStatistics total;
    SxvkBudget budget;
    char* text;
    switch (round % 8) {
    case 0: assert_int_equal(sxvkCheckIntegrity(allocator), VK_SUCCESS); break;
    case 1:
        assert_int_equal(sxvkBuildStatsString(allocator, &text, VK_TRUE), VK_SUCCESS);
        sxvkFreeStatsString(allocator, text);
        break;
    case 2:
        sxvkCalculateStatistics(allocator, &total);
        expect_counted(bazaar, &total.total.statistics, ended);
        break;
    case 3: (void)sxvkTrim(allocator); break;
    case 4:
        sxvkGetHeapBudget(allocator, 1, &budget);
        expect_counted(bazaar, &budget.statistics, ended);
        break;
    case 5: sxvkSetCurrentFrameIndex(allocator, round * 50); break;
    default: sxvkForEachAllocation(allocator, meet_no_slab, met); break;
    }
}

static void start(Bazaar* bazaar, Trader* traders, void* (*run)(void*), uint64_t seed) {
    uint32_t i;
    for (i = 0; i < THREADS; i++) {
        traders[i].bazaar = bazaar;
        traders[i].random = seed + i;
        assert_int_equal(pthread_create(&traders[i].thread, NULL, run, &traders[i]), 0);
    }
}

static void join(Trader* traders) {
    uint32_t i;
    for (i = 0; i < THREADS; i++) {
        (void)pthread_join(traders[i].thread, NULL);
    }
}

static void run_threads(bool custom) {
    static Bazaar bazaar;
    const Setup setup = {.type = HOST, .custom = custom};
    Trader traders[THREADS];
    SxvkStatistics stats;
    uint32_t round, i, met = 0;
    double end;
    memset(&bazaar, 0, sizeof bazaar);
    site_open(&bazaar.site, &setup);
    bazaar.site.allocator->device.callbacks.pfnAllocate = NULL;
    bazaar.site.allocator->device.callbacks.pfnFree = NULL;
    start(&bazaar, traders, trade, custom ? 77 : 7);
    end = now() + 0.6;
    for (round = 0; now() < end || (counted(&bazaar.slots) <= SLOTS_LEAST &&
                                    counted(&bazaar.trades) <= TRADES_MOST);
         round++) {
        watch_the_bazaar(&bazaar, round, &met);
    }
    __atomic_store_n(&bazaar.stop, 1, __ATOMIC_RELAXED);
    join(traders);
    rig_expect_silence(bazaar.site.rig);
    rig_check(bazaar.site.rig);
    for (i = 0; i < STALL_COUNT; i++) {
        put(&bazaar, i, VK_NULL_HANDLE);
    }
    stats = rig_statistics(bazaar.site.rig);
    assert_int_equal(stats.allocationCount, ANCHOR_COUNT - ANCHOR_ROOM);
    assert_int_equal(stats.allocationBytes, (ANCHOR_COUNT - ANCHOR_ROOM) * ANCHOR_SIZE);
    assert_no_slabs(&bazaar.site);
    assert_true(bazaar.slots > SLOTS_LEAST);
    assert_int_equal(bazaar.begun, bazaar.ended);
    assert_int_equal(met, 0);
    release_anchors(&bazaar.site);
    sxvkDestroyPool(bazaar.site.allocator, bazaar.site.pool);
    bazaar.site.pool = VK_NULL_HANDLE;
    site_close(&bazaar.site);
}

static void test_threads(void** state) {
    (void)state;
    run_threads(false);
}

static void test_threads_in_a_pool(void** state) {
    (void)state;
    run_threads(true);
}

/*  All free the same handles at the same time. */
#define RACE_COUNT 48

typedef struct Race {
    Bazaar bazaar; /* its stalls hold the handles */
    uint32_t arrived;
} Race;

static Race race;

static void* free_the_same(void* argument) {
    Trader* trader = (Trader*)argument;
    uint32_t i, first = testing_below(&trader->random, 4);
    (void)__atomic_add_fetch(&race.arrived, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&race.arrived, __ATOMIC_ACQUIRE) < THREADS) {
    }
    for (i = 0; i < RACE_COUNT; i++) {
        SxvkAllocation allocation = (SxvkAllocation)race.bazaar.stalls[(first + i) % RACE_COUNT];
        sxvkFreeMemory(race.bazaar.site.allocator, allocation);
        if (sxvkIsAllocationValid(race.bazaar.site.allocator, allocation)) {
            abort();
        }
    }
    return NULL;
}

/*  Slots, or plain ranges, which MIN_OFFSET gets. The slabs are opened and closed each round. */
static void race_for(VkFlags flags, bool slots) {
    Site* site = &race.bazaar.site;
    Trader traders[THREADS];
    uint32_t round, i;
    memset(&race, 0, sizeof race);
    site_open(site, NULL);
    for (round = 0; round < 150; round++) {
        SxvkAllocation earners[EARNED + 1];
        earn(site, 100, earners);
        for (i = 0; i < RACE_COUNT; i++) {
            SxvkAllocation allocation = VK_NULL_HANDLE;
            assert_int_equal(allocate(site, 100, 1,
                                      flags | (i % 5 == 0 ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0),
                                      i % 7 == 0 ? "raced" : NULL, &allocation),
                             VK_SUCCESS);
            assert_true(is_slot(allocation) == slots);
            race.bazaar.stalls[i] = (uintptr_t)allocation;
        }
        give(site, earners[EARNED]);
        race.arrived = 0;
        start(&race.bazaar, traders, free_the_same, round);
        join(traders);
        give_all(site, earners, EARNED);
        rig_expect(site->rig, SXVK_MESSAGE_INVALID_ALLOCATION, (THREADS - 1) * RACE_COUNT);
        assert_int_equal(live_count(site), ANCHOR_COUNT - ANCHOR_ROOM);
        assert_no_slabs(site);
        rig_check(site->rig);
    }
    site_close(site);
}

static void test_racing_double_frees(void** state) {
    (void)state;
    race_for(0, true);
}

static void test_racing_double_frees_of_ranges(void** state) {
    (void)state;
    race_for(SXVK_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_sizes),
        cmocka_unit_test(test_slots_are_aligned),
        cmocka_unit_test(test_a_class_earns_its_slab),
        cmocka_unit_test(test_sizes_of_slabs),
        cmocka_unit_test(test_share_of_what_is_live),
        cmocka_unit_test(test_none_in_small_programs),
        cmocka_unit_test(test_lifo),
        cmocka_unit_test(test_empty_slabs_are_closed),
        cmocka_unit_test(test_blocks_of_slabs),
        cmocka_unit_test(test_slabs_are_used_again),
        cmocka_unit_test(test_strategies),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_names_and_user_data),
        cmocka_unit_test(test_infos),
        cmocka_unit_test(test_mapping),
        cmocka_unit_test(test_flushes_and_priority),
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_bad_handles),
        cmocka_unit_test(test_for_each),
        cmocka_unit_test(test_churn),
        cmocka_unit_test(test_granularity),
        cmocka_unit_test(test_leaks),
        cmocka_unit_test(test_host_memory_while_opening),
        cmocka_unit_test(test_host_memory_for_a_domain),
        cmocka_unit_test(test_no_room_for_a_slab),
        cmocka_unit_test(test_slots_as_a_last_resort),
        cmocka_unit_test(test_no_slabs_beyond_what_can_be_counted),
        cmocka_unit_test(test_broken_slabs_are_found),
        cmocka_unit_test(test_broken_lists_are_found),
        cmocka_unit_test(test_visits_while_a_slab_closes),
        cmocka_unit_test(test_double_frees_meanwhile),
        cmocka_unit_test(test_freed_by_the_message),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_threads_in_a_pool),
        cmocka_unit_test(test_racing_double_frees),
        cmocka_unit_test(test_visits_while_a_slab_opens),
        cmocka_unit_test(test_dump_while_slots_are_freed),
        cmocka_unit_test(test_racing_double_frees_of_ranges),
        cmocka_unit_test(test_double_frees_of_mapped_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
