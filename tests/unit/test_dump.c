/*  test_dump.c - the detailed dump while others change what it walks.

    A dump lets go of all locks between portions. "Others" are a hook in the locks here: just before
    the first one is taken, and after the last one is dropped, it frees, allocates, resets, trims and
    destroys.
    Whatever it does, the dump is JSON, its ranges follow each other without overlap or hole, each is
    one that was there, none comes twice, and none is missing that was there all the time. */
#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void (*unlocked)(void);
static int locks; /* held */

static void take_lock(int* mutex) {
    if (locks == 0 && unlocked != NULL) {
        unlocked();
    }
    if (*mutex != 0) {
        abort();
    }
    *mutex = 1;
    locks++;
}

static void drop_lock(int* mutex) {
    *mutex = 0;
    locks--;
    if (locks == 0 && unlocked != NULL) {
        unlocked();
    }
}

#define SX_VKALLOC_MUTEX            int
#define SX_VKALLOC_MUTEX_INIT(m)    (*(m) = 0, 1)
#define SX_VKALLOC_MUTEX_DESTROY(m) ((void)(m))
#define SX_VKALLOC_MUTEX_LOCK(m)    take_lock(m)
#define SX_VKALLOC_MUTEX_UNLOCK(m)  drop_lock(m)
#define SX_VKALLOC_DEBUG            2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define LIVE_MAX 1500 /* many portions */
#define EVER_MAX 200000
#define STAY_MAX 800
#define BULK_MAX 300 /* slabs want that much else is live */

typedef enum Kind { RANGES, SLOTS, LINEAR, RESETS, DEDICATED, DESTROYED } Kind;

/*  Where an allocation was; its user data is the index of this. */
typedef struct Place {
    VkDeviceSize offset, size;
    bool listed; /* the dump has it */
} Place;

typedef struct World {
    Rig* rig;
    SxvkPool pool;
    Kind kind;
    uint64_t random;
    SxvkAllocation live[LIVE_MAX];
    uint32_t live_count;
    SxvkAllocation stay[STAY_MAX]; /* nobody touches these */
    uint32_t stay_count;
    uint32_t ever;
    uint32_t calls;
    uint32_t every; /* how seldom the hook does something */
    uint32_t done;  /* what it did */
    Place places[EVER_MAX];
} World;

static World world;

static SxvkAllocation take_size(VkDeviceSize size) {
    VkMemoryRequirements needs = testing_requirements(size, 16, 2);
    SxvkAllocationCreateInfo info = {.pool = world.pool};
    SxvkAllocationInfo got;
    SxvkAllocation allocation;
    assert_true(world.ever + 1 < EVER_MAX);
    info.flags = world.kind == DEDICATED ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
    info.pUserData = (void*)(uintptr_t)++world.ever;
    info.pName = world.ever % 8 == 0 ? "named" : NULL;
    assert_int_equal(sxvkAllocateMemory(world.rig->allocator, &needs, &info, &allocation, &got),
                     VK_SUCCESS);
    world.places[world.ever] = (Place){got.offset, got.size, false};
    return allocation;
}

static SxvkAllocation take(void) {
    return take_size(world.kind == SLOTS ? 256 : 3000 + testing_below(&world.random, 9000));
}

static void give(uint32_t i) {
    sxvkFreeMemory(world.rig->allocator, world.live[i]);
    world.live[i] = world.live[--world.live_count];
}

/*  Half of the time much is freed at once, so that nothing is left of what the dump has seen. */
static void change_something(void) {
    uint32_t what = testing_below(&world.random, 100);
    uint32_t i;
    if (world.kind == DESTROYED && what < 5) {
        sxvkFreeMemoryPages(world.rig->allocator, world.live_count, world.live);
        sxvkDestroyPool(world.rig->allocator, world.pool);
        world.pool = VK_NULL_HANDLE;
        world.live_count = 0;
        unlocked = NULL;
    } else if (world.kind == RESETS && what < 10) {
        assert_int_equal(sxvkResetPool(world.rig->allocator, world.pool), VK_SUCCESS);
        world.live_count = 0;
    } else if (what < 15) {
        while (world.live_count > LIVE_MAX / 3) {
            give(testing_below(&world.random, world.live_count));
        }
    } else if (what < 20) {
        (void)sxvkTrim(world.rig->allocator);
    } else if (what < 60) {
        for (i = 0; i < 200 && world.live_count != 0; i++) {
            give(testing_below(&world.random, world.live_count));
        }
    } else {
        for (i = 0; i < 200 && world.live_count != LIVE_MAX; i++) {
            world.live[world.live_count++] = take();
        }
    }
    world.done++;
}

static void meddle(void) {
    if (++world.calls % world.every == 0 && world.ever < EVER_MAX - 500) {
        unlocked = NULL;
        change_something();
        unlocked = world.kind == DESTROYED && world.pool == NULL ? NULL : meddle;
    }
}

static VkDeviceSize number(const cJSON* object, const char* key) {
    const cJSON* value = cJSON_GetObjectItemCaseSensitive(object, key);
    assert_true(cJSON_IsNumber(value));
    return (VkDeviceSize)value->valuedouble;
}

/*  Returns null for what is free. */
static Place* see_range(const cJSON* range) {
    const char* type = cJSON_GetStringValue(cJSON_GetObjectItem(range, "Type"));
    const char* data = cJSON_GetStringValue(cJSON_GetObjectItem(range, "CustomData"));
    unsigned long index;
    if (strcmp(type, "FREE") == 0) {
        return NULL;
    }
    assert_non_null(data);
    index = strtoul(data, NULL, 16);
    assert_true(index != 0 && index <= world.ever);
    assert_int_equal(cJSON_GetObjectItem(range, "Name") != NULL, index % 8 == 0);
    assert_false(world.places[index].listed);
    world.places[index].listed = true;
    assert_int_equal(number(range, "Size"), world.places[index].size);
    return &world.places[index];
}

static void see_pool(const cJSON* pool) {
    const cJSON *block, *range;
    cJSON_ArrayForEach(block, cJSON_GetObjectItem(pool, "Blocks")) {
        VkDeviceSize end = 0;
        uint32_t live = 0, unused = 0;
        bool was_free = false;
        cJSON_ArrayForEach(range, cJSON_GetObjectItem(block, "Suballocations")) {
            const Place* place = see_range(range);
            assert_int_equal(number(range, "Offset"), end);
            assert_true(place == NULL || place->offset == end);
            assert_false(place == NULL && was_free);
            was_free = place == NULL;
            end += number(range, "Size");
            *(place != NULL ? &live : &unused) += 1;
        }
        assert_int_equal(end, number(block, "TotalBytes"));
        assert_int_equal(live, number(block, "Allocations"));
        assert_int_equal(unused, number(block, "UnusedRanges"));
    }
    cJSON_ArrayForEach(range, cJSON_GetObjectItem(pool, "DedicatedAllocations")) {
        assert_non_null(see_range(range));
    }
}

static void dump_while_others_work(void) {
    const cJSON *type, *pool;
    cJSON* dump;
    char* text;
    uint32_t i;
    world.done = 0;
    unlocked = meddle;
    assert_int_equal(sxvkBuildStatsString(world.rig->allocator, &text, VK_TRUE), VK_SUCCESS);
    unlocked = NULL;
    assert_true(world.done > 0);
    dump = cJSON_ParseWithOpts(text, NULL, 1);
    assert_non_null(dump);
    sxvkFreeStatsString(world.rig->allocator, text);
    cJSON_ArrayForEach(type, cJSON_GetObjectItem(dump, "DefaultPools")) {
        see_pool(type);
    }
    cJSON_ArrayForEach(type, cJSON_GetObjectItem(dump, "CustomPools")) {
        cJSON_ArrayForEach(pool, type) {
            see_pool(pool);
        }
    }
    cJSON_Delete(dump);
    for (i = 0; i < world.stay_count; i++) {
        SxvkAllocationInfo info;
        sxvkGetAllocationInfo(world.rig->allocator, world.stay[i], &info);
        assert_true(world.places[(uintptr_t)info.pUserData].listed);
    }
    rig_check(world.rig);
}

/*  With something that stays, or without: then the dump may lose all that it has seen. */
static void meddle_with(Kind kind, bool stay, uint32_t every, uint64_t seed) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = 1};
    RigOptions options = rig_options();
    SimProfile profile = sim_profile_discrete();
    SxvkPool other = VK_NULL_HANDLE;
    memset(&world, 0, sizeof world);
    options.profile = &profile;
    world.rig = rig_create(&options);
    world.kind = kind;
    world.random = seed;
    world.every = every;
    if (kind == LINEAR || kind == RESETS) {
        info.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT;
        info.blockSize = (VkDeviceSize)4 << 20;
    }
    if (kind >= LINEAR && kind != DEDICATED) {
        assert_int_equal(sxvkCreatePool(world.rig->allocator, &info, &world.pool), VK_SUCCESS);
    }
    while (kind == SLOTS && world.stay_count != BULK_MAX) {
        world.stay[world.stay_count++] = take_size((VkDeviceSize)120 << 10);
    }
    while (world.live_count != LIVE_MAX) {
        world.live[world.live_count++] = take();
        if (stay && world.stay_count < STAY_MAX && world.live_count % 3 == 0) {
            world.stay[world.stay_count++] = take();
        }
    }
    assert_true(kind != SLOTS ||
                (sxvki_handle_index(world.live[LIVE_MAX - 1]) & SXVKI_HANDLE_SLAB_BIT) != 0);
    if (kind == DESTROYED) { /* another one stays in the list */
        assert_int_equal(sxvkCreatePool(world.rig->allocator, &info, &other), VK_SUCCESS);
    }
    dump_while_others_work();
    sxvkDestroyPool(world.rig->allocator, other);
    sxvkFreeMemoryPages(world.rig->allocator, world.stay_count, world.stay);
    sxvkFreeMemoryPages(world.rig->allocator, world.live_count, world.live);
    sxvkDestroyPool(world.rig->allocator, world.pool);
    rig_expect_silence(world.rig);
    rig_destroy(world.rig);
}

static void meddle_often(Kind kind, bool may_stay) {
    static const uint32_t every[] = {1, 2, 3, 7};
    uint64_t seed;
    for (seed = 1; seed <= 16; seed++) {
        meddle_with(kind, may_stay && seed % 2 != 0, every[seed % 4], seed);
    }
}

static void test_ranges(void** state) {
    (void)state;
    meddle_often(RANGES, true);
}

static void test_slots(void** state) {
    (void)state;
    meddle_often(SLOTS, true);
}

static void test_a_linear_pool(void** state) {
    (void)state;
    meddle_often(LINEAR, true);
}

static void test_resets(void** state) {
    (void)state;
    meddle_often(RESETS, false);
}

static void test_dedicated_allocations(void** state) {
    (void)state;
    meddle_often(DEDICATED, true);
}

static void test_a_pool_that_is_destroyed(void** state) {
    (void)state;
    meddle_often(DESTROYED, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_a_linear_pool),
        cmocka_unit_test(test_resets),
        cmocka_unit_test(test_dedicated_allocations),
        cmocka_unit_test(test_a_pool_that_is_destroyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
