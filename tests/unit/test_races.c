/*  test_races.c - what another thread does between two steps, however short the time is.

    Compiled with a call at the start of each function, where another thread may be let do something,
    once. Run by CTest (unit.races).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define MIB ((VkDeviceSize)1 << 20)

enum { LOCAL, HOST };

/*  What is done, by another thread, when this function is about to begin. */
static struct {
    void* function;
    void* (*act)(void*);
    void* argument;
    uint32_t count;
} intruder;

void __cyg_profile_func_enter(void* function, void* caller) __attribute__((no_instrument_function));
void __cyg_profile_func_exit(void* function, void* caller) __attribute__((no_instrument_function));

void __cyg_profile_func_enter(void* function, void* caller) {
    pthread_t thread;
    (void)caller;
    if (function == intruder.function) {
        intruder.function = NULL;
        intruder.count++;
        assert_int_equal(pthread_create(&thread, NULL, intruder.act, intruder.argument), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

void __cyg_profile_func_exit(void* function, void* caller) {
    (void)function;
    (void)caller;
}

static void let(void (*function)(void), void* (*act)(void*), void* argument) {
    intruder.function = (void*)(uintptr_t)function;
    intruder.act = act;
    intruder.argument = argument;
}

/*  The levels that were told, the newest last. */
typedef struct Levels {
    Rig* rig;
    SxvkModule module; /* of what the other thread makes */
    SxvkAllocation made;
    uint32_t count;
    SxvkPressureLevel told[8];
} Levels;

static VkBool32 VKAPI_PTR note_level(void* pUserData, SxvkAllocator allocator,
                                     const SxvkPressureInfo* pInfo) {
    Levels* levels = (Levels*)pUserData;
    (void)allocator;
    assert_in_range(levels->count, 0, 7);
    levels->told[levels->count++] = pInfo->level;
    return VK_FALSE;
}

static SxvkAllocation make(Levels* levels, SxvkModule module, VkDeviceSize size) {
    VkMemoryRequirements needs = testing_requirements(size, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    SxvkAllocation allocation;
    create.module = module;
    assert_int_equal(sxvkAllocateMemory(levels->rig->allocator, &needs, &create, &allocation, NULL),
                     VK_SUCCESS);
    return allocation;
}

static void* make_150(void* argument) {
    Levels* levels = (Levels*)argument;
    levels->made = make(levels, levels->module, 150 * MIB);
    return NULL;
}

static Rig* rig_with_levels(Levels* levels, VkDeviceSize limit) {
    static VkDeviceSize limits[VK_MAX_MEMORY_HEAPS];
    static SxvkPressureCreateInfo pressure;
    RigOptions options = rig_options();
    uint32_t h;
    memset(levels, 0, sizeof *levels);
    memset(&pressure, 0, sizeof pressure);
    pressure.pfnCallback = note_level;
    pressure.pUserData = levels;
    for (h = 0; h < VK_MAX_MEMORY_HEAPS; h++) {
        limits[h] = h == 0 ? limit : VK_WHOLE_SIZE;
    }
    options.info.flags = 0; /* no answers of the driver, which would be news */
    options.info.pPressureInfo = &pressure;
    options.info.pHeapSizeLimit = limits;
    levels->rig = rig_create(&options);
    sxvkSetCurrentFrameIndex(levels->rig->allocator, 0);
    return levels->rig;
}

/*  A heap falls from 88 to 78 % of its budget; before that is published another thread takes it to
    93 %. In the end the level is that of 93 %. */
static void test_level_of_a_heap(void** state) {
    SxvkAllocation most, more;
    SxvkBudget budget;
    Levels levels;
    Rig* rig = rig_with_levels(&levels, 1250 * MIB); /* 80 % of it are the budget */
    (void)state;
    most = make(&levels, VK_NULL_HANDLE, 780 * MIB);
    more = make(&levels, VK_NULL_HANDLE, 100 * MIB);
    assert_int_equal(levels.count, 1);
    assert_int_equal(levels.told[0], SXVK_PRESSURE_LEVEL_WARNING);
    let((void (*)(void))sxvki_gauge_set, make_150, &levels);
    sxvkFreeMemory(rig->allocator, more);
    assert_int_equal(intruder.count, 1);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    sxvkGetHeapBudget(rig->allocator, 0, &budget);
    assert_int_equal(budget.usage, 930 * MIB);
    assert_int_equal(budget.level, SXVK_PRESSURE_LEVEL_WARNING);
    assert_int_equal(levels.told[levels.count - 1], SXVK_PRESSURE_LEVEL_WARNING);
    sxvkFreeMemory(rig->allocator, most);
    sxvkFreeMemory(rig->allocator, levels.made);
    rig_destroy(rig);
}

/*  The same of a module with a soft limit. */
static void test_level_of_a_module(void** state) {
    SxvkModuleCreateInfo info = {.pName = "textures", .softLimit = 1000 * MIB};
    SxvkModuleStatistics stats;
    SxvkAllocation most, more;
    Levels levels;
    Rig* rig = rig_with_levels(&levels, VK_WHOLE_SIZE);
    (void)state;
    intruder.count = 0;
    assert_int_equal(sxvkCreateModule(rig->allocator, &info, &levels.module), VK_SUCCESS);
    most = make(&levels, levels.module, 780 * MIB);
    more = make(&levels, levels.module, 100 * MIB);
    assert_int_equal(levels.told[0], SXVK_PRESSURE_LEVEL_WARNING);
    let((void (*)(void))sxvki_gauge_set, make_150, &levels);
    sxvkFreeMemory(rig->allocator, more);
    assert_int_equal(intruder.count, 1);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    sxvkGetModuleStatistics(rig->allocator, levels.module, &stats);
    assert_int_equal(stats.allocationBytes, 930 * MIB);
    assert_int_equal(stats.level, SXVK_PRESSURE_LEVEL_WARNING);
    sxvkFreeMemory(rig->allocator, most);
    sxvkFreeMemory(rig->allocator, levels.made);
    sxvkDestroyModule(rig->allocator, levels.module);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level_of_a_heap),
        cmocka_unit_test(test_level_of_a_module),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
