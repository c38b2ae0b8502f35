/*  test_pressure.c - levels of heaps and modules, the callback, asking for memory, and what was not
    touched for long.

    Run by CTest (unit.pressure).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)
#define GIB ((VkDeviceSize)1 << 30)

/* Memory types of sim_profile_discrete, and their heaps. */
enum { LOCAL, HOST, CACHED, BAR };
enum { LOCAL_HEAP, HOST_HEAP };

#define NORMAL   SXVK_PRESSURE_LEVEL_NORMAL
#define WARNING  SXVK_PRESSURE_LEVEL_WARNING
#define CRITICAL SXVK_PRESSURE_LEVEL_CRITICAL
#define OVER     SXVK_PRESSURE_LEVEL_OVER

/*  What the callback was told, and what it is to do. */
typedef struct Log {
    Rig* rig;
    SxvkPressureInfo told[256];
    uint32_t count;
    uint32_t depth;
    uint32_t deepest;
    VkBool32 answer;
    void (*act)(struct Log* log, const SxvkPressureInfo* info); /* optional */
    SxvkAllocation victim;
    SxvkModule module;
    SxvkPool pool;
    SxvkFrameRing ring;
    SxvkBufferArena arena;
    SxvkArenaAllocation slice;
    SxvkBufferSlice inside;
} Log;

static VkBool32 VKAPI_PTR note(void* context, SxvkAllocator allocator,
                               const SxvkPressureInfo* info) {
    Log* log = (Log*)context;
    assert_true(log->rig == NULL || log->rig->allocator == allocator);
    assert_true(log->count < 256);
    log->told[log->count++] = *info;
    log->deepest = ++log->depth > log->deepest ? log->depth : log->deepest;
    if (log->act != NULL) {
        log->act(log, info);
    }
    log->depth--;
    return log->answer;
}

/*  A budget of 100 MiB in the heap of LOCAL, of which others hold `others`. */
static Rig* pressure_rig(Log* log, VkDeviceSize others) {
    static SxvkPressureCreateInfo pressure;
    RigOptions options = rig_options();
    Rig* rig;
    memset(log, 0, sizeof *log);
    memset(&pressure, 0, sizeof pressure);
    pressure.pfnCallback = note;
    pressure.pUserData = log;
    options.info.pPressureInfo = &pressure;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    rig = rig_create_bare(&options);
    sim_set_budget(rig->sim, LOCAL_HEAP, 100 * MIB, others);
    assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator), VK_SUCCESS);
    log->rig = rig;
    return rig;
}

static SxvkAllocation dedicated(Rig* rig, VkDeviceSize size) {
    VkMemoryRequirements requirements = testing_requirements(size, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo info = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    SxvkAllocation allocation;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &allocation, NULL),
                     VK_SUCCESS);
    return allocation;
}

static SxvkBudget budget_of(Rig* rig, uint32_t heap) {
    SxvkBudget budget;
    sxvkGetHeapBudget(rig->allocator, heap, &budget);
    return budget;
}

/*  The last thing told is this change of the heap, and there were so many things. */
static void expect_told(const Log* log, uint32_t count, int from, int to) {
    const SxvkPressureInfo* last = &log->told[count - 1];
    assert_int_equal(log->count, count);
    assert_int_equal(last->previousLevel, from);
    assert_int_equal(last->level, to);
    assert_int_equal(last->heapIndex, LOCAL_HEAP);
    assert_null(last->module);
    assert_int_equal(last->bytesNeeded, 0);
    assert_int_equal(budget_of(log->rig, LOCAL_HEAP).level, to);
}

/* ------------------------------------------------------------------ levels as such */

static void test_limits(void** state) {
    static const SxvkPressureCreateInfo info = {.criticalThreshold = 0.95f, .hysteresis = 0.05f};
    static const uint64_t budgets[] = {
        0, 1, 2, 3, 19, 100, 1000, MIB, 100 * GIB, 1000000007, UINT64_MAX - 1, UINT64_MAX};
    size_t i;
    (void)state;
    for (i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
        sxvki_limits limits;
        uint64_t seed = i, budget = budgets[i];
        uint32_t level, last = NORMAL, n;
        sxvki_limits_init(&limits, &info, 0.85f, budget);
        for (level = WARNING; level <= OVER; level++) {
            assert_true(limits.from[level] >= limits.from[level - 1]);
            assert_true(limits.back[level] <= limits.from[level] && limits.back[level] != 0);
        }
        /* From every level: nothing is normal, more than all of it over. */
        for (level = NORMAL; level <= OVER; level++) {
            assert_int_equal(sxvki_level_after(&limits, level, 0), NORMAL);
            if (budget != UINT64_MAX) {
                assert_int_equal(sxvki_level_after(&limits, level, budget + 1), OVER);
                assert_int_equal(sxvki_level_after(&limits, level, UINT64_MAX), OVER);
            }
        }
        /* It stays where it is, for the same usage; and more usage is no lower level. */
        for (n = 0; n < 1000; n++) {
            uint64_t usage = testing_log_uniform(&seed, 1, budget / 2 + 2);
            uint64_t more = usage + testing_log_uniform(&seed, 1, budget / 2 + 1) - 1;
            uint32_t of_more;
            last = sxvki_level_after(&limits, last, usage);
            assert_int_equal(sxvki_level_after(&limits, last, usage), last);
            of_more = sxvki_level_after(&limits, last, more);
            assert_true(of_more >= last);
        }
    }
}

/*  A gauge is not left by the bytes that it was set by, whatever others hold, less than nothing
    included: it would be queued again with each block. */
static void test_gauge_stays(void** state) {
    static const SxvkPressureCreateInfo info = {.criticalThreshold = 0.95f, .hysteresis = 0.05f};
    static const uint64_t budgets[] = {0, 1, 19, 1000, 100 * GIB, UINT64_MAX - 1, UINT64_MAX};
    uint64_t seed = 7;
    uint32_t level = NORMAL, i;
    (void)state;
    for (i = 0; i < 20000; i++) {
        uint64_t budget = budgets[testing_below(&seed, 7)];
        uint64_t bytes = testing_log_uniform(&seed, 1, budget / 2 + 2) - 1;
        uint64_t others = testing_log_uniform(&seed, 1, budget / 4 + 2) - 1;
        sxvki_limits limits;
        sxvki_gauge gauge;
        others = i % 2 ? others : 0 - others;
        sxvki_limits_init(&limits, &info, 0.85f, budget);
        level = sxvki_level_after(&limits, level, sxvki_add_signed(bytes, others));
        memset(&gauge, 0, sizeof gauge);
        sxvki_gauge_set(&gauge, &limits, level, others);
        assert_int_equal(gauge.level, level);
        assert_false(sxvki_gauge_is_left(&gauge, bytes));
    }
}

/*  All of it is all of it, at the end of 64 bits as well, and no share is more than a larger one. */
static void test_shares(void** state) {
    static const float shares[] = {0.0f, 0.05f, 0.5f, 0.95f, 0.99999994f, 1.0f};
    static const uint64_t wholes[] = {0,
                                      1,
                                      1000,
                                      (UINT64_C(1) << 63) - 1,
                                      UINT64_C(1) << 63,
                                      (UINT64_C(1) << 63) + 1,
                                      UINT64_MAX - 1,
                                      UINT64_MAX};
    size_t i, k;
    (void)state;
    for (i = 0; i < sizeof wholes / sizeof wholes[0]; i++) {
        uint64_t last = 0;
        for (k = 0; k < sizeof shares / sizeof shares[0]; k++) {
            uint64_t share = sxvki_share_of(wholes[i], shares[k]);
            assert_true(share >= last && share <= wholes[i]);
            last = share;
        }
        assert_true(last == wholes[i]);
    }
}

/*  100 bytes: from 85, 95 and 101 on; back below 80, 90 and 96. */
static void test_hysteresis(void** state) {
    static const struct {
        uint32_t usage, level;
    } steps[] = {{84, NORMAL},   {86, WARNING},  {81, WARNING}, {79, NORMAL}, {84, NORMAL},
                 {96, CRITICAL}, {91, CRITICAL}, {88, WARNING}, {101, OVER},  {97, OVER},
                 {94, CRITICAL}, {101, OVER},    {10, NORMAL},  {200, OVER},  {95, CRITICAL}};
    static const SxvkPressureCreateInfo info = {.criticalThreshold = 0.95f, .hysteresis = 0.05f};
    uint32_t level = NORMAL;
    sxvki_limits limits;
    size_t i;
    (void)state;
    sxvki_limits_init(&limits, &info, 0.85f, 100);
    for (i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        level = sxvki_level_after(&limits, level, steps[i].usage);
        assert_int_equal(level, steps[i].level);
    }
}

/* ------------------------------------------------------------------ heaps */

static void test_heap_up_and_down(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    SxvkAllocation a[6];
    SxvkBudget budget;
    (void)state;
    a[0] = dedicated(rig, 80 * MIB);
    assert_int_equal(log.count, 0);
    a[1] = dedicated(rig, 6 * MIB);
    expect_told(&log, 1, NORMAL, WARNING);
    assert_int_equal(log.told[0].usage, 86 * MIB);
    assert_int_equal(log.told[0].budget, 100 * MIB);
    a[2] = dedicated(rig, 3 * MIB);
    assert_int_equal(log.count, 1); /* once */
    a[3] = dedicated(rig, 7 * MIB);
    expect_told(&log, 2, WARNING, CRITICAL);
    budget = budget_of(rig, LOCAL_HEAP);
    assert_true(budget.percentage > 95.9f && budget.percentage < 96.1f);
    assert_false(budget.isOverBudget);
    a[4] = dedicated(rig, 4 * MIB);
    assert_int_equal(log.count, 2); /* all of it is not more than all of it */
    a[5] = dedicated(rig, KIB);
    expect_told(&log, 3, CRITICAL, OVER);
    budget = budget_of(rig, LOCAL_HEAP);
    assert_true(budget.percentage > 100.0f && budget.percentage < 100.1f);
    assert_true(budget.isOverBudget);
    sxvkFreeMemory(rig->allocator, a[5]);
    assert_int_equal(log.count, 3); /* 100 %: not so far below */
    sxvkFreeMemory(rig->allocator, a[4]);
    assert_int_equal(log.count, 3); /* 96 % */
    sxvkFreeMemory(rig->allocator, a[2]);
    expect_told(&log, 4, OVER, CRITICAL); /* 93 % */
    sxvkFreeMemory(rig->allocator, a[3]);
    expect_told(&log, 5, CRITICAL, WARNING); /* 86 % */
    sxvkFreeMemory(rig->allocator, a[0]);
    expect_told(&log, 6, WARNING, NORMAL);
    a[0] = dedicated(rig, 120 * MIB); /* all levels at once are one change */
    expect_told(&log, 7, NORMAL, OVER);
    sxvkFreeMemory(rig->allocator, a[0]);
    expect_told(&log, 8, OVER, NORMAL);
    sxvkFreeMemory(rig->allocator, a[1]);
    assert_int_equal(log.count, 8);
    assert_int_equal(log.deepest, 1);
    rig_destroy(rig);
}

/*  What others do shows at the tick; a budget that shrinks, and one that makes no sense. */
static void test_heap_by_tick(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 50 * MIB);
    SxvkAllocation a = dedicated(rig, 20 * MIB);
    (void)state;
    assert_int_equal(log.count, 0);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    assert_int_equal(log.count, 0);
    sim_set_budget(rig->sim, LOCAL_HEAP, 100 * MIB, 70 * MIB);
    assert_int_equal(budget_of(rig, LOCAL_HEAP).level, NORMAL);
    sxvkSetCurrentFrameIndex(rig->allocator, 2);
    expect_told(&log, 1, NORMAL, WARNING);
    sxvkSetCurrentFrameIndex(rig->allocator, 3);
    assert_int_equal(log.count, 1);
    sim_set_budget(rig->sim, LOCAL_HEAP, 10 * MIB, 0); /* below what we hold */
    sxvkSetCurrentFrameIndex(rig->allocator, 4);
    expect_told(&log, 2, WARNING, OVER);
    assert_int_equal(log.told[1].usage, 20 * MIB);
    assert_int_equal(log.told[1].budget, 10 * MIB);
    assert_true(budget_of(rig, LOCAL_HEAP).percentage == 200.0f);
    sim_set_budget(rig->sim, LOCAL_HEAP, UINT64_MAX, 0); /* 16 EiB */
    sxvkSetCurrentFrameIndex(rig->allocator, 5);
    expect_told(&log, 3, OVER, NORMAL);
    sim_set_budget(rig->sim, LOCAL_HEAP, 0, UINT64_MAX); /* it does not know */
    sxvkSetCurrentFrameIndex(rig->allocator, 6);
    sim_set_budget(rig->sim, LOCAL_HEAP, 9 * GIB, 0); /* more than the heap has */
    sxvkSetCurrentFrameIndex(rig->allocator, 7);
    assert_int_equal(log.count, 3);
    assert_int_equal(budget_of(rig, LOCAL_HEAP).budget, 8 * GIB);
    sxvkFreeMemory(rig->allocator, a);
    rig_destroy(rig);
}

/*  What is true from the start is told by the first tick; a heap of which the budget is nothing is
    over it with the first byte. */
static void test_heap_from_the_start(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 120 * MIB);
    (void)state;
    assert_int_equal(log.count, 0);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    expect_told(&log, 1, NORMAL, OVER);
    rig_destroy(rig);
}

static void test_heap_size_limit(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    VkMemoryRequirements requirements = testing_requirements(10 * MIB, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo info = {0};
    SxvkAllocation a = dedicated(rig, 50 * MIB), b;
    (void)state;
    assert_int_equal(sxvkSetHeapSizeLimit(rig->allocator, LOCAL_HEAP, 40 * MIB), VK_SUCCESS);
    expect_told(&log, 1, NORMAL, OVER);
    assert_int_equal(budget_of(rig, LOCAL_HEAP).budget, 40 * MIB);
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &b, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    assert_int_equal(log.count, 2); /* it was asked for memory */
    assert_int_equal(log.told[1].bytesNeeded, 10 * MIB);
    rig_check(rig);
    sxvkFreeMemory(rig->allocator, a);
    expect_told(&log, 3, OVER, NORMAL);
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &b, NULL),
                     VK_SUCCESS);
    assert_int_equal(sxvkSetHeapSizeLimit(rig->allocator, LOCAL_HEAP, VK_WHOLE_SIZE), VK_SUCCESS);
    assert_int_equal(budget_of(rig, LOCAL_HEAP).budget, 100 * MIB);
    assert_int_equal(sxvkSetHeapSizeLimit(rig->allocator, HOST_HEAP, GIB), VK_SUCCESS);
    assert_int_equal(budget_of(rig, HOST_HEAP).budget, GIB);
    sxvkFreeMemory(rig->allocator, b);
    rig_destroy(rig);
}

static void test_own_thresholds(void** state) {
    static const struct {
        SxvkPressureCreateInfo info;
        const char* field;
    } bad[] = {{{.warningThreshold = 1.1f}, "->warningThreshold"},
               {{.criticalThreshold = -0.5f}, "->criticalThreshold"},
               {{.criticalThreshold = 1.5f}, "->criticalThreshold"},
               {{.warningThreshold = 0.9f, .criticalThreshold = 0.5f}, "->criticalThreshold"},
               {{.warningThreshold = 0.97f}, "->criticalThreshold"}, /* which is 0.95 */
               {{.hysteresis = 0.6f}, "->hysteresis"}};
    SxvkPressureCreateInfo pressure = {
        .warningThreshold = 0.5f, .criticalThreshold = 0.6f, .hysteresis = 0.2f};
    VkDeviceSize limits[3] = {125 * MIB, VK_WHOLE_SIZE, VK_WHOLE_SIZE}; /* a budget of 100 */
    RigOptions options = rig_options();
    SxvkAllocation a, b;
    Rig* rig;
    Log log;
    size_t i;
    (void)state;
    memset(&log, 0, sizeof log);
    pressure.pfnCallback = note;
    pressure.pUserData = &log;
    options.info.pPressureInfo = &pressure;
    options.info.pHeapSizeLimit = limits;
    rig = rig_create(&options);
    log.rig = rig;
    a = dedicated(rig, 45 * MIB);
    b = dedicated(rig, 10 * MIB);
    expect_told(&log, 1, NORMAL, WARNING);
    sxvkFreeMemory(rig->allocator, b);
    assert_int_equal(log.count, 1); /* 45 %, more than 50 less 20 */
    b = dedicated(rig, 20 * MIB);
    expect_told(&log, 2, WARNING, CRITICAL);
    sxvkFreeMemory(rig->allocator, a);
    expect_told(&log, 3, CRITICAL, NORMAL);
    sxvkFreeMemory(rig->allocator, b);
    rig_destroy(rig);
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        options.info.pPressureInfo = &bad[i].info;
        rig = rig_create_bare(&options);
        assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator),
                         VK_ERROR_VALIDATION_FAILED_EXT);
        assert_non_null(strstr(rig->messages.text, bad[i].field));
        rig_expect(rig, SXVK_MESSAGE_BAD_SHARE, 1);
        rig_destroy(rig);
    }
}

/* ------------------------------------------------------------------ modules */

static SxvkAllocation allocate_for(Rig* rig, SxvkModule module, uint32_t type, VkDeviceSize size) {
    VkMemoryRequirements requirements = testing_requirements(size, 16, 1u << type);
    SxvkAllocationCreateInfo info = {.module = module};
    SxvkAllocation allocation;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &allocation, NULL),
                     VK_SUCCESS);
    return allocation;
}

static void test_module_levels(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    SxvkModuleCreateInfo info = {.pName = "m", .softLimit = 1000 * KIB, .warningThreshold = 0.5f};
    SxvkModuleStatistics stats;
    SxvkAllocation a[100];
    SxvkModule module, free_one;
    uint32_t i;
    (void)state;
    assert_int_equal(sxvkCreateModule(rig->allocator, &info, &module), VK_SUCCESS);
    info.pName = "without limit";
    info.softLimit = 0;
    assert_int_equal(sxvkCreateModule(rig->allocator, &info, &free_one), VK_SUCCESS);
    for (i = 0; i < 100; i++) { /* 1200 KiB */
        static const uint32_t counts[] = {41, 79, 83};
        uint32_t expected = 0, k;
        a[i] = allocate_for(rig, module, i % 2 ? LOCAL : HOST, 12 * KIB);
        for (k = 0; k < 3; k++) {
            expected += i >= counts[k];
        }
        assert_int_equal(log.count, expected);
        sxvkGetModuleStatistics(rig->allocator, module, &stats);
        assert_int_equal(stats.level, expected);
    }
    for (i = 0; i < 3; i++) {
        assert_ptr_equal(log.told[i].module, module);
        assert_int_equal(log.told[i].heapIndex, UINT32_MAX);
        assert_int_equal(log.told[i].previousLevel, i);
        assert_int_equal(log.told[i].level, i + 1);
        assert_int_equal(log.told[i].budget, 1000 * KIB);
    }
    sxvkFreeMemoryPages(rig->allocator, 100, a);
    assert_true(log.count > 3 && log.count <= 6);
    assert_int_equal(log.told[log.count - 1].level, NORMAL);
    i = log.count;
    a[0] = allocate_for(rig, free_one, HOST, 30 * MIB);
    sxvkFreeMemory(rig->allocator, a[0]);
    assert_int_equal(log.count, i);
    sxvkDestroyModule(rig->allocator, module);
    sxvkDestroyModule(rig->allocator, free_one);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ inside of the callback */

/*  Everything that a program might do there. A lock that the caller of the callback kept would be
    waited for, for ever. */
static void do_everything(Log* log, const SxvkPressureInfo* info) {
    SxvkAllocator allocator = log->rig->allocator;
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = HOST, .minBlockCount = 1, .blockSize = MIB};
    SxvkModuleCreateInfo module_info = {.pName = "made inside"};
    SxvkTotalStatistics total;
    SxvkAllocation small, large;
    SxvkColdAllocation cold;
    SxvkModule module;
    SxvkBudget budget;
    uint32_t count = 1;
    SxvkPool pool;
    char* text;
    (void)info;
    if (log->depth > 1) {
        return;
    }
    assert_int_equal(sxvkCreateModule(allocator, &module_info, &module), VK_SUCCESS);
    assert_int_equal(sxvkCreatePool(allocator, &pool_info, &pool), VK_SUCCESS);
    small = allocate_for(log->rig, module, HOST, 100);
    large = allocate_for(log->rig, module, LOCAL, KIB);
    assert_int_equal(sxvkTouchAllocation(allocator, small), VK_SUCCESS);
    assert_int_equal(sxvkGetColdestAllocations(allocator, UINT32_MAX, NULL, 0, &count, &cold),
                     VK_SUCCESS);
    assert_int_equal(count, 1);
    sxvkGetHeapBudget(allocator, 0, &budget);
    sxvkCalculateStatistics(allocator, &total);
    assert_int_equal(sxvkBuildStatsString(allocator, &text, VK_TRUE), VK_SUCCESS);
    sxvkFreeStatsString(allocator, text);
    assert_int_equal(sxvkCheckIntegrity(allocator), VK_SUCCESS);
    sxvkSetCurrentFrameIndex(allocator, 77);
    sxvkFreeMemory(allocator, small);
    sxvkFreeMemory(allocator, large);
    sxvkDestroyPool(allocator, pool);
    sxvkDestroyModule(allocator, module);
    sxvkTrim(allocator);
}

static void test_no_lock_is_held(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    VkMemoryRequirements requirements = testing_requirements(9 * GIB, 16, 1u << LOCAL);
    SxvkModuleCreateInfo module_info = {.pName = "m", .softLimit = 10 * KIB};
    SxvkAllocationCreateInfo info = {0};
    SxvkAllocation a, b, none;
    SxvkModule module;
    (void)state;
    log.act = do_everything;
    assert_int_equal(sxvkCreateModule(rig->allocator, &module_info, &module), VK_SUCCESS);
    a = dedicated(rig, 90 * MIB); /* a heap, by an allocation and a free */
    sxvkFreeMemory(rig->allocator, a);
    assert_int_equal(log.count, 2);
    a = allocate_for(rig, module, LOCAL, 200); /* a module: a slot, a range, dedicated memory */
    b = allocate_for(rig, module, LOCAL, 50 * KIB);
    sxvkFreeMemory(rig->allocator, b);
    sxvkFreeMemory(rig->allocator, a);
    a = allocate_for(rig, module, LOCAL, 30 * MIB);
    sxvkFreeMemory(rig->allocator, a);
    assert_int_equal(log.count, 6);
    sim_set_budget(rig->sim, LOCAL_HEAP, 100 * MIB, 99 * MIB); /* the tick */
    sxvkSetCurrentFrameIndex(rig->allocator, 5);
    assert_true(log.count >= 7);
    sim_fail(rig->sim, SIM_CALL_ALLOCATE_MEMORY, 1, UINT32_MAX, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    log.act = NULL; /* a failure; what is more than the heap is not asked for */
    log.count = 0;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &none, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(log.count, 0);
    sim_clear_faults(rig->sim);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    sxvkDestroyModule(rig->allocator, module);
    rig_destroy(rig);
}

/*  A callback that undoes each change drives the level up and down. It is never called within
    itself, and does not run for ever. */
static void up_and_down(Log* log, const SxvkPressureInfo* info) {
    if (info->level == NORMAL) {
        log->victim = dedicated(log->rig, 90 * MIB);
    } else if (log->victim != VK_NULL_HANDLE) {
        sxvkFreeMemory(log->rig->allocator, log->victim);
        log->victim = VK_NULL_HANDLE;
    }
}

static void test_no_endless_recursion(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    SxvkAllocation first = dedicated(rig, 90 * MIB);
    (void)state;
    expect_told(&log, 1, NORMAL, WARNING);
    log.act = up_and_down;
    sxvkFreeMemory(rig->allocator, first);
    assert_int_equal(log.deepest, 1);
    assert_int_equal(log.count, 1 + SXVKI_SETTLE_ROUNDS);
    sxvkSetCurrentFrameIndex(rig->allocator, 1); /* the rest is told by the next calls */
    assert_int_equal(log.count, 1 + 2 * SXVKI_SETTLE_ROUNDS);
    log.act = NULL;
    sxvkFreeMemory(rig->allocator, log.victim);
    sxvkSetCurrentFrameIndex(rig->allocator, 2);
    assert_int_equal(budget_of(rig, LOCAL_HEAP).level, NORMAL);
    rig_destroy(rig);
}

/*  The module that is under pressure goes, and its pool, and its memory, inside of the callback. */
static void destroy_it(Log* log, const SxvkPressureInfo* info) {
    if (info->module != VK_NULL_HANDLE && info->module == log->module) {
        SxvkPool pool = log->pool;
        log->module = VK_NULL_HANDLE;
        log->pool = VK_NULL_HANDLE;
        sxvkResetPool(log->rig->allocator, pool);
        sxvkDestroyPool(log->rig->allocator, pool);
        sxvkDestroyModule(log->rig->allocator, info->module);
    }
}

static void test_destroyed_inside(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    SxvkModuleCreateInfo module_info = {.pName = "m", .softLimit = 100 * KIB};
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = LOCAL, .blockSize = MIB};
    VkMemoryRequirements requirements = testing_requirements(200 * KIB, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo info = {0};
    SxvkAllocation gone;
    (void)state;
    assert_int_equal(sxvkCreateModule(rig->allocator, &module_info, &log.module), VK_SUCCESS);
    pool_info.module = log.module;
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &log.pool), VK_SUCCESS);
    info.pool = log.pool;
    log.act = destroy_it;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &gone, NULL),
                     VK_SUCCESS);
    assert_null(log.module);
    assert_false(sxvkIsAllocationValid(rig->allocator, gone));
    assert_int_equal(sim_live_memory_count(rig->sim), 0);
    assert_int_equal(log.count, 1);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ asking for memory */

static void free_victim(Log* log, const SxvkPressureInfo* info) {
    if (info->bytesNeeded != 0 && log->victim != VK_NULL_HANDLE) {
        sxvkFreeMemory(log->rig->allocator, log->victim);
        log->victim = VK_NULL_HANDLE;
    }
}

static void test_asks_once_and_tries_again(void** state) {
    static const VkBool32 answers[] = {VK_TRUE, VK_FALSE};
    size_t i, within;
    (void)state;
    for (within = 0; within < 2; within++) {
        for (i = 0; i < 2; i++) {
            VkMemoryRequirements requirements = testing_requirements(40 * MIB, 16, 1u << LOCAL);
            SxvkAllocationCreateInfo info = {
                .flags = within ? (VkFlags)SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT : 0};
            Log log;
            Rig* rig = pressure_rig(&log, 0);
            SxvkAllocation a, b;
            VkResult result;
            uint64_t calls;
            if (!within) {
                sim_heap_limit(rig->sim, LOCAL_HEAP, 100 * MIB);
            }
            log.victim = dedicated(rig, 70 * MIB);
            log.act = free_victim;
            log.answer = answers[i];
            result = sxvkAllocateMemory(rig->allocator, &requirements, &info, &a, NULL);
            assert_int_equal(result, answers[i] ? VK_SUCCESS : VK_ERROR_OUT_OF_DEVICE_MEMORY);
            assert_int_equal(log.count, 1);
            assert_int_equal(log.told[0].bytesNeeded, 40 * MIB);
            assert_int_equal(log.told[0].heapIndex, LOCAL_HEAP);
            assert_int_equal(log.told[0].usage, 70 * MIB);
            rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, !answers[i]);
            sxvkFreeMemory(rig->allocator, a);

            /* Whatever it says, it is asked once, and the allocation tried at most twice. */
            a = dedicated(rig, 70 * MIB);
            log.count = 0;
            sim_reset_calls(rig->sim);
            result = sxvkAllocateMemory(rig->allocator, &requirements, &info, &b, NULL);
            calls = sim_calls(rig->sim, SIM_CALL_ALLOCATE_MEMORY);
            assert_int_equal(result, VK_ERROR_OUT_OF_DEVICE_MEMORY);
            assert_int_equal(log.count, 1);
            assert_true(within ? calls == 0 : calls <= 6);
            rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
            sxvkFreeMemory(rig->allocator, a);
            rig_destroy(rig);
        }
    }
}

/*  Where memory of ranges was freed, which costs no driver call; and a batch, and a buffer. */
static void test_asks_in_every_way(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    VkMemoryRequirements requirements[3];
    SxvkAllocationCreateInfo infos[3];
    VkBufferCreateInfo buffer_info = testing_buffer(90 * MIB, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    SxvkAllocation made[3], own;
    VkBuffer buffer;
    uint32_t i;
    (void)state;
    memset(infos, 0, sizeof infos);
    for (i = 0; i < 3; i++) {
        requirements[i] = testing_requirements(30 * MIB, 16, 1u << LOCAL);
    }
    sim_heap_limit(rig->sim, LOCAL_HEAP, 100 * MIB);
    log.act = free_victim;
    log.answer = VK_TRUE;
    log.victim = dedicated(rig, 20 * MIB);
    assert_int_equal(sxvkAllocateMemoryPages(rig->allocator, requirements, infos, 3, made, NULL),
                     VK_SUCCESS);
    assert_null(log.victim);
    sxvkFreeMemoryPages(rig->allocator, 3, made);
    log.victim = dedicated(rig, 20 * MIB);
    infos[0].requiredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    infos[0].memoryTypeBits = 1u << LOCAL;
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &buffer_info, &infos[0], &buffer, &own, NULL),
                     VK_SUCCESS);
    assert_null(log.victim);
    sxvkDestroyBuffer(rig->allocator, buffer, own);
    rig_expect_silence(rig);
    rig_destroy(rig);
}

/*  Each heap that would do is asked for, once and the best first, until one is enough: those of the
    first choice, and those of the second; not one that is too small. */
static void free_in_host(Log* log, const SxvkPressureInfo* info) {
    if (info->heapIndex == HOST_HEAP) {
        sxvkFreeMemory(log->rig->allocator, log->victim);
        log->victim = VK_NULL_HANDLE;
    }
    log->answer = info->heapIndex == HOST_HEAP;
}

static void test_asks_for_each_heap(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    VkMemoryRequirements requirements = testing_requirements(300 * MIB, 16, 0xF);
    SxvkAllocationCreateInfo info = {0};
    SxvkAllocation a;
    uint32_t i;
    (void)state;
    sim_heap_limit(rig->sim, LOCAL_HEAP, 100 * MIB);
    sim_heap_limit(rig->sim, HOST_HEAP, 1000 * MIB);
    for (i = 0; i < 5; i++) {
        log.act = NULL;
        log.victim = rig_allocate(rig, HOST, 900 * MIB);
        log.act = free_in_host;
        log.count = 0;
        memset(&info, 0, sizeof info);
        if (i == 0) { /* the window is the best, and smaller than what is wanted */
            info.requiredFlags = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
            info.preferredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
        } else if (i == 1) { /* there is no type of the first choice */
            info.requiredFlags = VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT;
            info.fallbackRequiredFlags = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
        } else if (i == 2) { /* the first choice and the second are full */
            info.requiredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
            info.fallbackUsage = SXVK_MEMORY_USAGE_AUTO_PREFER_HOST;
        } else { /* two heaps of the first choice, which the second names again */
            info.preferredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
            info.fallbackUsage = SXVK_MEMORY_USAGE_AUTO_PREFER_HOST;
            log.act = i == 3 ? free_in_host : NULL;
            log.answer = VK_FALSE;
        }
        assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &a, NULL),
                         i == 4 ? VK_ERROR_OUT_OF_DEVICE_MEMORY : VK_SUCCESS);
        assert_int_equal(log.count, i < 2 ? 1 : 2);
        assert_int_equal(log.told[log.count - 1].heapIndex, HOST_HEAP);
        assert_int_equal(log.told[log.count - 1].bytesNeeded, 300 * MIB);
        assert_int_equal(log.told[0].heapIndex, i < 2 ? HOST_HEAP : LOCAL_HEAP);
        rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, i == 4);
        sxvkFreeMemory(rig->allocator, a);
        sxvkFreeMemory(rig->allocator, log.victim);
    }
    rig_destroy(rig);
}

/*  Limits that the user set himself are no want of memory; nor can a type that is not there, or
    more than the heap has, be made room for. With a fallback nothing fails. */
static void test_does_not_ask(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = LOCAL, .blockSize = MIB, .maxBlockCount = 1};
    VkMemoryRequirements requirements = testing_requirements(MIB, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo info = {0};
    SxvkAllocation a, b;
    SxvkPool pool;
    (void)state;
    log.answer = VK_TRUE;
    info.flags = SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &a, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    info.flags = 0;
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
    info.pool = pool;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &a, NULL),
                     VK_SUCCESS);
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &b, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    rig_expect_silence(rig);
    requirements.size = 2 * MIB; /* more than a block */
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &b, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    info.pool = VK_NULL_HANDLE;
    info.requiredFlags = VK_MEMORY_PROPERTY_PROTECTED_BIT;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &b, NULL),
                     VK_ERROR_FEATURE_NOT_PRESENT);
    rig_expect(rig, SXVK_MESSAGE_NO_MEMORY_TYPE, 1);
    sim_heap_limit(rig->sim, LOCAL_HEAP, 2 * MIB);
    requirements = testing_requirements(20 * MIB, 16, UINT32_MAX);
    info.requiredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    info.memoryTypeBits = 1u << LOCAL | 1u << HOST;
    info.fallbackUsage = SXVK_MEMORY_USAGE_AUTO_PREFER_HOST;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &b, NULL),
                     VK_SUCCESS);
    assert_int_equal(log.count, 0);
    sxvkFreeMemory(rig->allocator, a);
    sxvkFreeMemory(rig->allocator, b);
    sxvkDestroyPool(rig->allocator, pool);
    rig_destroy(rig);
}

/*  What fails inside of the callback for want of memory just fails. */
static void fail_inside(Log* log, const SxvkPressureInfo* info) {
    VkMemoryRequirements requirements = testing_requirements(50 * MIB, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo wish = {0};
    SxvkAllocation none;
    assert_int_equal(info->bytesNeeded, 40 * MIB);
    assert_int_equal(sxvkAllocateMemory(log->rig->allocator, &requirements, &wish, &none, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
}

static void test_fails_inside(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    VkMemoryRequirements requirements = testing_requirements(40 * MIB, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo info = {0};
    SxvkAllocation none;
    (void)state;
    sim_heap_limit(rig->sim, LOCAL_HEAP, 10 * MIB);
    log.act = fail_inside;
    log.answer = VK_TRUE;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &none, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.deepest, 1);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 2);
    rig_destroy(rig);
}

/*  Room in what the thread has looked at in vain before it asked: no driver call is needed. */
static void test_asks_for_ranges(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    VkMemoryRequirements requirements = testing_requirements(MIB, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo info = {0};
    SxvkAllocation live[256], again;
    uint32_t count = 0;
    (void)state;
    live[count++] = rig_allocate(rig, LOCAL, MIB);
    sim_fail(rig->sim, SIM_CALL_ALLOCATE_MEMORY, 1, UINT32_MAX, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    while (sxvkAllocateMemory(rig->allocator, &requirements, &info, &live[count], NULL) ==
           VK_SUCCESS) {
        assert_true(++count < 256);
    }
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    log.count = 0;
    log.victim = live[--count];
    log.act = free_victim;
    log.answer = VK_TRUE;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &info, &again, NULL),
                     VK_SUCCESS);
    assert_int_equal(log.count, 1);
    rig_expect_silence(rig);
    sxvkFreeMemory(rig->allocator, again);
    sxvkFreeMemoryPages(rig->allocator, count, live);
    rig_destroy(rig);
}

/*  The same for what would have memory of its own rather than a new block: the room is taken, though
    the device has some again. */
static void free_range_and_clear(Log* log, const SxvkPressureInfo* info) {
    free_victim(log, info);
    sim_clear_faults(log->rig->sim);
    sim_reset_calls(log->rig->sim);
}

static void test_asks_for_large_ranges(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    VkMemoryRequirements requirements = testing_requirements(4 * MIB, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo plain = {0};
    SxvkAllocationCreateInfo tight = {.flags = SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT};
    SxvkAllocation live[64], again;
    SxvkAllocationInfo2 got;
    uint32_t count = 0;
    (void)state;
    live[count++] = rig_allocate(rig, LOCAL, 4 * MIB);
    sim_fail(rig->sim, SIM_CALL_ALLOCATE_MEMORY, 1, UINT32_MAX, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    while (sxvkAllocateMemory(rig->allocator, &requirements, &plain, &live[count], NULL) ==
           VK_SUCCESS) {
        assert_true(++count < 64);
    }
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    log.victim = live[--count];
    log.act = free_range_and_clear;
    log.answer = VK_TRUE;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &tight, &again, NULL),
                     VK_SUCCESS);
    sxvkGetAllocationInfo2(rig->allocator, again, &got);
    assert_false(got.dedicatedMemory);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_ALLOCATE_MEMORY), 0);
    sxvkFreeMemory(rig->allocator, again);
    sxvkFreeMemoryPages(rig->allocator, count, live);
    rig_destroy(rig);
}

/*  Each of the first blocks of a pool. */
static void free_and_fill(Log* log, const SxvkPressureInfo* info) {
    free_victim(log, info);
    log->answer = log->count <= 2;
    if (log->count == 1) {
        log->victim = dedicated(log->rig, 35 * MIB);
    }
}

static void test_asks_for_blocks_of_a_pool(void** state) {
    SxvkPoolCreateInfo pool_info = {
        .memoryTypeIndex = LOCAL, .blockSize = 20 * MIB, .minBlockCount = 4};
    VkFlags linear;
    (void)state;
    for (linear = 0; linear < 2; linear++) {
        Log log;
        Rig* rig = pressure_rig(&log, 0);
        SxvkPool pool;
        sim_heap_limit(rig->sim, LOCAL_HEAP, 80 * MIB);
        pool_info.flags = linear * (VkFlags)SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT;
        log.victim = dedicated(rig, 75 * MIB);
        log.act = free_and_fill;
        assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
        assert_int_equal(log.told[0].bytesNeeded, 20 * MIB);
        assert_int_equal(log.told[0].heapIndex, LOCAL_HEAP);
        assert_int_equal(log.told[0].usage, 75 * MIB);
        assert_int_equal(log.told[1].bytesNeeded, 20 * MIB);
        assert_int_equal(log.told[1].usage, 75 * MIB); /* 35, and two blocks */
        assert_int_equal(log.count, 2);
        sxvkDestroyPool(rig->allocator, pool);
        rig_expect_silence(rig);

        /* Once for a block, whatever it says; and not for what is more than the heap. */
        log.act = NULL;
        log.answer = VK_TRUE;
        log.count = 0;
        pool_info.minBlockCount = 5;
        assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool),
                         VK_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_null(pool);
        assert_int_equal(log.told[0].bytesNeeded, 20 * MIB);
        assert_int_equal(log.count, 1);
        pool_info.minBlockCount = 4;
        rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
        sim_heap_limit(rig->sim, LOCAL_HEAP, MIB);
        assert_int_equal(sxvkSetHeapSizeLimit(rig->allocator, LOCAL_HEAP, 19 * MIB), VK_SUCCESS);
        log.count = 0;
        assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool),
                         VK_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_int_equal(log.count, 0);
        rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
        rig_destroy(rig);
    }
}

/* ------------------------------------------------------------------ rings and arenas */

/*  Both in pools, so that it is known which heap is full. */
static Rig* upload_rig(Log* log) {
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = LOCAL};
    SxvkBufferArenaCreateInfo arena_info = {.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT,
                                            .bufferSize = 8 * MIB};
    SxvkFrameRingCreateInfo ring_info = {.usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT};
    Rig* rig = pressure_rig(log, 0);
    sim_set_budget(rig->sim, HOST_HEAP, 100 * MIB, 0);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &log->pool), VK_SUCCESS);
    arena_info.pool = log->pool;
    assert_int_equal(sxvkCreateBufferArena(rig->allocator, &arena_info, &log->arena), VK_SUCCESS);
    pool_info.memoryTypeIndex = HOST;
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &ring_info.pool), VK_SUCCESS);
    assert_int_equal(sxvkCreateFrameRing(rig->allocator, &ring_info, &log->ring), VK_SUCCESS);
    assert_int_equal(sxvkBeginFrameRing(log->ring, 1), VK_SUCCESS);
    assert_int_equal(log->count, 0);
    return rig;
}

static void upload_rig_destroy(Log* log) {
    Rig* rig = log->rig;
    SxvkPool pool = log->ring->plan.info.pool;
    log->act = NULL;
    assert_true(sxvki_ring_is_valid(log->ring));
    assert_true(sxvki_arena_is_valid(log->arena));
    assert_false(log->ring->is_growing);
    assert_false(log->arena->is_growing);
    sxvkDestroyFrameRing(rig->allocator, log->ring);
    sxvkDestroyBufferArena(rig->allocator, log->arena);
    sxvkDestroyPool(rig->allocator, log->pool);
    sxvkDestroyPool(rig->allocator, pool);
    rig_destroy(rig);
}

/*  What the ring or arena holds changes the level, and it is told when the call is done. */
static void test_growth_is_told(void** state) {
    SxvkArenaAllocation first, second;
    SxvkBufferSlice slice;
    Log log;
    Rig* rig = upload_rig(&log);
    (void)state;
    assert_int_equal(sxvkAllocateFromBufferArena(log.arena, 90 * MIB, 0, &first, NULL), VK_SUCCESS);
    expect_told(&log, 1, NORMAL, WARNING);
    assert_int_equal(sxvkAllocateFromBufferArena(log.arena, KIB, 0, &second, NULL), VK_SUCCESS);
    expect_told(&log, 2, WARNING, CRITICAL);
    sxvkFreeToBufferArena(log.arena, second);
    sxvkFreeToBufferArena(log.arena, first);
    sxvkTrim(rig->allocator);
    expect_told(&log, log.count, log.told[log.count - 1].previousLevel, NORMAL);

    log.count = 0;
    assert_int_equal(sxvkAllocateFromFrameRing(log.ring, 60 * MIB, 0, &slice), VK_SUCCESS);
    assert_int_equal(sxvkAllocateFromFrameRing(log.ring, 20 * MIB, 0, &slice), VK_SUCCESS);
    assert_true(log.count >= 1);
    assert_int_equal(log.told[log.count - 1].heapIndex, HOST_HEAP);
    assert_int_equal(budget_of(rig, HOST_HEAP).level, OVER);
    assert_int_equal(log.told[log.count - 1].level, OVER);
    upload_rig_destroy(&log);
}

/*  Of the sizes that a ring or an arena tries only the last one is asked for; and nothing where a
    smaller one does. */
static void test_growth_asks_once(void** state) {
    SxvkArenaAllocation slice;
    SxvkBufferSlice where;
    SxvkAllocation most;
    Log log;
    Rig* rig = upload_rig(&log);
    (void)state;
    log.answer = VK_TRUE;
    sim_heap_limit(rig->sim, LOCAL_HEAP, 70 * MIB);
    sim_heap_limit(rig->sim, HOST_HEAP, 70 * MIB);
    most = dedicated(rig, 68 * MIB);
    assert_int_equal(sxvkAllocateFromBufferArena(log.arena, 60000, 0, &slice, NULL), VK_SUCCESS);
    assert_int_equal(log.count, 0);
    assert_int_equal(sxvkAllocateFromBufferArena(log.arena, 3 * MIB, 0, &log.slice, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.told[0].bytesNeeded, 3 * MIB);
    assert_int_equal(log.told[0].heapIndex, LOCAL_HEAP);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    sxvkFreeToBufferArena(log.arena, slice);
    sxvkFreeMemory(rig->allocator, most);

    log.count = 0;
    assert_int_equal(sxvkAllocateFromFrameRing(log.ring, 32 * MIB, 0, &where), VK_SUCCESS);
    assert_int_equal(sxvkAllocateFromFrameRing(log.ring, 30 * MIB, 0, &where), VK_SUCCESS);
    assert_int_equal(log.count, 0); /* in 32 MiB, though 64 are tried */
    assert_int_equal(sxvkAllocateFromFrameRing(log.ring, 30 * MIB, 0, &where),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.told[0].bytesNeeded, 32 * MIB);
    assert_int_equal(log.told[0].heapIndex, HOST_HEAP);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    upload_rig_destroy(&log);
}

/*  The callback for want of memory uses the very ring or arena that wants it: before there is room,
    and after. */
static void use_arena_inside(Log* log, const SxvkPressureInfo* info) {
    SxvkBufferSlice slice;
    if (info->bytesNeeded != 0) {
        assert_int_equal(sxvkAllocateFromBufferArena(log->arena, 10 * MIB, 0, &log->slice, &slice),
                         VK_ERROR_OUT_OF_DEVICE_MEMORY);
        sim_clear_faults(log->rig->sim);
        assert_int_equal(sxvkAllocateFromBufferArena(log->arena, 10 * MIB, 0, &log->slice, &slice),
                         VK_SUCCESS);
    }
}

static void use_ring_inside(Log* log, const SxvkPressureInfo* info) {
    SxvkBufferSlice slice;
    if (info->bytesNeeded != 0) {
        assert_int_equal(sxvkAllocateFromFrameRing(log->ring, 10 * MIB, 0, &slice),
                         VK_ERROR_OUT_OF_DEVICE_MEMORY);
        sim_clear_faults(log->rig->sim);
        assert_int_equal(sxvkAllocateFromFrameRing(log->ring, 10 * MIB, 0, &slice), VK_SUCCESS);
        log->inside = slice;
    }
}

static void test_growth_used_inside(void** state) {
    SxvkArenaAllocation own;
    SxvkBufferSlice slice;
    Log log;
    Rig* rig = upload_rig(&log);
    (void)state;
    log.answer = VK_TRUE;
    log.act = use_arena_inside;
    sim_fail(rig->sim, SIM_CALL_ALLOCATE_MEMORY, 1, UINT32_MAX, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(sxvkAllocateFromBufferArena(log.arena, 10 * MIB, 0, &own, &slice), VK_SUCCESS);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.deepest, 1);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    sxvkFreeToBufferArena(log.arena, own);
    sxvkFreeToBufferArena(log.arena, log.slice);

    log.act = use_ring_inside;
    log.count = 0;
    sim_fail(rig->sim, SIM_CALL_ALLOCATE_MEMORY, 1, UINT32_MAX, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(sxvkAllocateFromFrameRing(log.ring, 10 * MIB, 0, &slice), VK_SUCCESS);
    assert_true(slice.buffer != log.inside.buffer || slice.offset >= log.inside.offset + 10 * MIB);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.deepest, 1);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    upload_rig_destroy(&log);
}

/*  It makes room in the ring or arena itself, where the device has none: that is looked for, though
    nothing else was freed. */
static void free_slice_inside(Log* log, const SxvkPressureInfo* info) {
    if (info->bytesNeeded != 0) {
        sxvkFreeToBufferArena(log->arena, log->slice);
    }
}

static void complete_inside(Log* log, const SxvkPressureInfo* info) {
    if (info->bytesNeeded != 0) {
        assert_int_equal(sxvkCompleteFrameRing(log->ring, 1), VK_SUCCESS);
    }
}

static void test_growth_finds_room_inside(void** state) {
    SxvkArenaAllocation slices[3];
    SxvkBufferSlice slice;
    uint32_t i;
    Log log;
    Rig* rig = upload_rig(&log);
    (void)state;
    for (i = 0; i < 2; i++) {
        assert_int_equal(sxvkAllocateFromBufferArena(log.arena, 4 * MIB, 0, &slices[i], &slice),
                         VK_SUCCESS);
    }
    log.slice = slices[0];
    log.act = free_slice_inside;
    sim_fail(rig->sim, SIM_CALL_ALLOCATE_MEMORY, 1, UINT32_MAX, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(sxvkAllocateFromBufferArena(log.arena, 4 * MIB, 0, &slices[2], &slice),
                     VK_SUCCESS);
    assert_int_equal(log.count, 1);
    sim_clear_faults(rig->sim);
    assert_int_equal(sxvkAllocateFromFrameRing(log.ring, 16 * MIB, 0, &slice), VK_SUCCESS);
    assert_int_equal(sxvkBeginFrameRing(log.ring, 2), VK_SUCCESS);
    log.act = complete_inside;
    log.count = 0;
    sim_fail(rig->sim, SIM_CALL_ALLOCATE_MEMORY, 1, UINT32_MAX, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(sxvkAllocateFromFrameRing(log.ring, 16 * MIB, 0, &slice), VK_SUCCESS);
    assert_int_equal(log.count, 1);
    rig_expect_silence(rig);
    sxvkFreeToBufferArena(log.arena, slices[1]);
    sxvkFreeToBufferArena(log.arena, slices[2]);
    upload_rig_destroy(&log);
}

/* ------------------------------------------------------------------ what is cold */

static uint32_t coldest(Rig* rig, uint32_t heap, SxvkModule module, VkDeviceSize bytes,
                        uint32_t most, SxvkColdAllocation* found) {
    uint32_t count = most;
    assert_int_equal(sxvkGetColdestAllocations(rig->allocator, heap, module, bytes, &count, found),
                     VK_SUCCESS);
    assert_true(count <= most);
    return count;
}

static void test_coldest(void** state) {
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    SxvkModuleCreateInfo module_info = {.pName = "m"};
    SxvkColdAllocation found[8];
    SxvkAllocation a[6];
    SxvkModule module;
    uint32_t i;
    (void)state;
    assert_int_equal(sxvkCreateModule(rig->allocator, &module_info, &module), VK_SUCCESS);
    a[0] = rig_allocate(rig, LOCAL, 100);       /* a range, as the first of its size */
    a[1] = rig_allocate(rig, LOCAL, 100 * KIB); /* a range */
    a[2] = dedicated(rig, 10 * MIB);
    a[3] = rig_allocate(rig, HOST, 200 * KIB);
    a[4] = allocate_for(rig, module, LOCAL, 300 * KIB);
    a[5] = rig_allocate(rig, LOCAL, 400 * KIB); /* never touched */
    assert_int_equal(coldest(rig, UINT32_MAX, NULL, 0, 8, found), 0);
    for (i = 0; i < 5; i++) {
        sxvkSetCurrentFrameIndex(rig->allocator, 100 + 10 * i);
        assert_int_equal(sxvkTouchAllocation(rig->allocator, a[i]), VK_SUCCESS);
    }
    sxvkSetCurrentFrameIndex(rig->allocator, 150);
    assert_int_equal(coldest(rig, UINT32_MAX, NULL, 0, 8, found), 5);
    for (i = 0; i < 5; i++) {
        assert_ptr_equal(found[i].allocation, a[i]);
        assert_int_equal(found[i].age, 50 - 10 * i);
        assert_int_equal(found[i].heapIndex, i == 3 ? HOST_HEAP : LOCAL_HEAP);
        assert_ptr_equal(found[i].module, i == 4 ? module : NULL);
    }
    assert_int_equal(found[2].size, 10 * MIB);
    assert_int_equal(coldest(rig, HOST_HEAP, NULL, 0, 8, found), 1);
    assert_ptr_equal(found[0].allocation, a[3]);
    assert_int_equal(coldest(rig, LOCAL_HEAP, module, 0, 8, found), 1);
    assert_ptr_equal(found[0].allocation, a[4]);
    assert_int_equal(coldest(rig, LOCAL_HEAP, NULL, 0, 2, found), 2);
    assert_ptr_equal(found[1].allocation, a[1]);
    assert_int_equal(coldest(rig, LOCAL_HEAP, NULL, 0, 0, found), 0);
    /* So many that they have the bytes together, and no more. */
    assert_int_equal(coldest(rig, LOCAL_HEAP, NULL, 100, 8, found), 1);
    assert_int_equal(coldest(rig, LOCAL_HEAP, NULL, 101, 8, found), 2);
    assert_int_equal(coldest(rig, LOCAL_HEAP, NULL, MIB, 8, found), 3);
    assert_int_equal(coldest(rig, LOCAL_HEAP, NULL, GIB, 8, found), 4);

    assert_int_equal(sxvkTouchAllocation(rig->allocator, a[0]), VK_SUCCESS);
    sxvkFreeMemory(rig->allocator, a[1]);
    assert_int_equal(coldest(rig, LOCAL_HEAP, NULL, 0, 8, found), 3);
    assert_ptr_equal(found[0].allocation, a[2]);
    assert_ptr_equal(found[2].allocation, a[0]);
    assert_int_equal(found[2].age, 0);
    a[1] = rig_allocate(rig, LOCAL, 100 * KIB); /* the same place: not touched */
    assert_int_equal(coldest(rig, LOCAL_HEAP, NULL, 0, 8, found), 3);

    /* The frame number may wrap. */
    sxvkSetCurrentFrameIndex(rig->allocator, UINT32_MAX);
    assert_int_equal(sxvkTouchAllocation(rig->allocator, a[1]), VK_SUCCESS);
    sxvkSetCurrentFrameIndex(rig->allocator, 3);
    assert_int_equal(coldest(rig, HOST_HEAP, NULL, 0, 8, found), 1);
    assert_int_equal(coldest(rig, LOCAL_HEAP, NULL, 0, 8, found), 4);
    assert_ptr_equal(found[3].allocation, a[1]);
    assert_int_equal(found[3].age, 4);
    assert_int_equal(sxvkGetColdestAllocations(rig->allocator, 3, NULL, 0, &i, found),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_BAD_INDEX, 1);
    sxvkFreeMemoryPages(rig->allocator, 6, a);
    sxvkDestroyModule(rig->allocator, module);
    rig_destroy(rig);
}

typedef struct Model {
    SxvkAllocation allocation;
    VkDeviceSize size;
    uint32_t frame;
    bool touched;
} Model;

static int colder_first(const void* p, const void* q) {
    const Model* a = (const Model*)p;
    const Model* b = (const Model*)q;
    return a->frame != b->frame  ? (a->frame < b->frame ? -1 : 1)
           : (a->size > b->size) ? -1
                                 : a->size < b->size;
}

/*  Against a sorted list, with slots, ranges, dedicated memory and linear pools. */
static void test_coldest_against_a_model(void** state) {
    enum { COUNT = 600 };
    Rig* rig = rig_create(NULL);
    SxvkPoolCreateInfo pool_info = {.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT,
                                    .memoryTypeIndex = HOST,
                                    .blockSize = 4 * MIB};
    static Model models[COUNT], sorted[COUNT];
    static SxvkColdAllocation found[COUNT];
    uint64_t seed = 3;
    SxvkPool pool;
    uint32_t round, i, count, k;
    (void)state;
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
    memset(models, 0, sizeof models);
    for (round = 0; round < 40; round++) {
        sxvkSetCurrentFrameIndex(rig->allocator, 1000 + round);
        for (i = 0; i < COUNT; i++) {
            Model* m = &models[i];
            if (testing_below(&seed, 4) == 0) {
                VkMemoryRequirements requirements;
                SxvkAllocationCreateInfo info = {.pool = i % 10 == 0 ? pool : VK_NULL_HANDLE};
                sxvkFreeMemory(rig->allocator, m->allocation);
                m->size = 1 + i + COUNT * (VkDeviceSize)testing_log_uniform(&seed, 1, 100);
                requirements = testing_requirements(m->size, 16, 1u << HOST);
                info.flags = i % 50 == 7 ? (VkFlags)SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
                assert_int_equal(
                    sxvkAllocateMemory(rig->allocator, &requirements, &info, &m->allocation, NULL),
                    VK_SUCCESS);
                m->touched = false;
            }
            if (m->allocation != VK_NULL_HANDLE && testing_below(&seed, 5) == 0) {
                assert_int_equal(sxvkTouchAllocation(rig->allocator, m->allocation), VK_SUCCESS);
                m->touched = true;
                m->frame = 1000 + round;
            }
        }
        for (i = 0, count = 0; i < COUNT; i++) {
            if (models[i].touched) {
                sorted[count++] = models[i];
            }
        }
        qsort(sorted, count, sizeof *sorted, colder_first);
        k = round % 2 ? COUNT : 1 + testing_below(&seed, COUNT);
        k = coldest(rig, HOST_HEAP, NULL, 0, k, found);
        assert_true(k <= count);
        for (i = 0; i < k; i++) {
            assert_ptr_equal(found[i].allocation, sorted[i].allocation);
            assert_int_equal(found[i].size, sorted[i].size);
            assert_int_equal(found[i].age, 1000 + round - sorted[i].frame);
        }
        if (round % 2) {
            assert_int_equal(k, count);
        }
        if (round % 10 == 9) { /* a reset makes them all cold in another sense */
            assert_int_equal(sxvkResetPool(rig->allocator, pool), VK_SUCCESS);
            for (i = 0; i < COUNT; i += 10) {
                models[i].allocation = VK_NULL_HANDLE;
                models[i].touched = false;
            }
        }
    }
    for (i = 0; i < COUNT; i++) {
        sxvkFreeMemory(rig->allocator, models[i].allocation);
    }
    assert_int_equal(coldest(rig, UINT32_MAX, NULL, 0, COUNT, found), 0);
    sxvkDestroyPool(rig->allocator, pool);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ threads */

typedef struct Worker {
    Rig* rig;
    SxvkModule module;
    uint64_t seed;
    VkFlags flags;
    VkDeviceSize most;
    VkDeviceSize least;
    uint32_t succeeded;
} Worker;

static void* churn(void* context) {
    Worker* w = (Worker*)context;
    SxvkAllocation live[32];
    SxvkColdAllocation found[16];
    uint32_t i, count;
    memset(live, 0, sizeof live);
    for (i = 0; i < 1500; i++) {
        uint32_t slot = testing_below(&w->seed, 32);
        VkMemoryRequirements requirements =
            testing_requirements(testing_log_uniform(&w->seed, w->least, w->most), 16, 1u << LOCAL);
        SxvkAllocationCreateInfo info = {.flags = w->flags, .module = w->module};
        sxvkFreeMemory(w->rig->allocator, live[slot]);
        w->succeeded += sxvkAllocateMemory(w->rig->allocator, &requirements, &info, &live[slot],
                                           NULL) == VK_SUCCESS;
        if (live[slot] != VK_NULL_HANDLE &&
            sxvkTouchAllocation(w->rig->allocator, live[slot]) != VK_SUCCESS) {
            return w;
        }
        if (i % 50 == 0) {
            count = 16;
            if (sxvkGetColdestAllocations(w->rig->allocator, LOCAL_HEAP, NULL, 0, &count, found) !=
                VK_SUCCESS) {
                return w;
            }
            sxvkSetCurrentFrameIndex(w->rig->allocator, i);
        }
        if (i % 97 == 0) {
            sxvkTrim(w->rig->allocator);
        }
    }
    sxvkFreeMemoryPages(w->rig->allocator, 32, live);
    return NULL;
}

static void run_threads(Worker* workers, uint32_t count) {
    pthread_t threads[8];
    uint32_t i;
    for (i = 0; i < count; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &workers[i]), 0);
    }
    for (i = 0; i < count; i++) {
        void* broken;
        pthread_join(threads[i], &broken);
        assert_null(broken);
    }
}

/*  Levels are told one after the other, each from the level that was told last, whoever changes
    them; and when all is over they are what they should be. */
typedef struct Chain {
    SxvkModule module;
    uint32_t inside;   /* atomic */
    uint32_t level[2]; /* of the heap, of the module */
    uint32_t count;
    uint32_t broken;
} Chain;

static VkBool32 VKAPI_PTR follow(void* context, SxvkAllocator allocator,
                                 const SxvkPressureInfo* info) {
    Chain* chain = (Chain*)context;
    uint32_t* level = &chain->level[info->module != VK_NULL_HANDLE];
    (void)allocator;
    if (info->bytesNeeded != 0) {
        return VK_FALSE;
    }
    chain->broken += __atomic_add_fetch(&chain->inside, 1, __ATOMIC_ACQ_REL) != 1;
    chain->broken += *level != (uint32_t)info->previousLevel || *level == (uint32_t)info->level;
    *level = (uint32_t)info->level;
    chain->count++;
    __atomic_sub_fetch(&chain->inside, 1, __ATOMIC_ACQ_REL);
    return VK_FALSE;
}

static void test_threads_and_levels(void** state) {
    VkDeviceSize limits[3] = {40 * MIB, VK_WHOLE_SIZE, VK_WHOLE_SIZE};
    SxvkPressureCreateInfo pressure = {.pfnCallback = follow};
    SxvkModuleCreateInfo module_info = {.pName = "m", .softLimit = 10 * MIB};
    RigOptions options = rig_options();
    SxvkModuleStatistics stats;
    Worker workers[4];
    Chain chain;
    uint32_t i;
    Rig* rig;
    (void)state;
    memset(&chain, 0, sizeof chain);
    pressure.pUserData = &chain;
    options.info.pPressureInfo = &pressure;
    options.info.pHeapSizeLimit = limits;
    rig = rig_create(&options);
    assert_int_equal(sxvkCreateModule(rig->allocator, &module_info, &chain.module), VK_SUCCESS);
    for (i = 0; i < 4; i++) {
        workers[i] =
            (Worker){.rig = rig, .module = chain.module, .seed = i, .least = 100, .most = MIB};
    }
    run_threads(workers, 4);
    sxvkTrim(rig->allocator);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    messages_clear(&rig->messages);
    assert_int_equal(chain.broken, 0);
    assert_true(chain.count >= 2);
    assert_int_equal(chain.level[0], NORMAL);
    assert_int_equal(chain.level[1], NORMAL);
    assert_int_equal(budget_of(rig, LOCAL_HEAP).level, NORMAL);
    sxvkGetModuleStatistics(rig->allocator, chain.module, &stats);
    assert_int_equal(stats.level, NORMAL);
    assert_int_equal(stats.allocationCount, 0);
    assert_int_equal(stats.allocationBytes, 0);
    sxvkDestroyModule(rig->allocator, chain.module);
    rig_destroy(rig);
}

/*  WITHIN_BUDGET never takes a heap over its budget, with any number of threads: with what the
    driver says, and with the estimate. */
static void test_threads_within_budget(void** state) {
    uint32_t with, i;
    (void)state;
    for (with = 0; with < 2; with++) {
        VkDeviceSize limits[3] = {100 * MIB, VK_WHOLE_SIZE, VK_WHOLE_SIZE};
        RigOptions options = rig_options();
        Worker workers[8];
        uint32_t succeeded = 0;
        Rig* rig;
        options.info.flags = with ? (VkFlags)SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT : 0;
        options.info.pHeapSizeLimit = limits;
        rig = rig_create_bare(&options);
        sim_set_budget(rig->sim, LOCAL_HEAP, 90 * MIB, 10 * MIB);
        assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator), VK_SUCCESS);
        for (i = 0; i < 8; i++) {
            workers[i] = (Worker){
                .rig = rig,
                .seed = i,
                .flags = SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT |
                         (i % 2 ? (VkFlags)SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0),
                .least = 10 * KIB,
                .most = 8 * MIB};
        }
        run_threads(workers, 8);
        for (i = 0; i < 8; i++) {
            succeeded += workers[i].succeeded;
        }
        assert_true(sim_peak_memory_bytes(rig->sim, LOCAL_HEAP) <= 80 * MIB);
        assert_true(sim_peak_memory_bytes(rig->sim, LOCAL_HEAP) > 60 * MIB);
        assert_int_equal(rig->messages.counts[SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY],
                         8 * 1500 - succeeded);
        assert_true(succeeded < 8 * 1500);
        messages_clear(&rig->messages);
        rig_destroy(rig);
    }
}

/*  What a defragmentation frees is told when the call that freed it is done. */
static void test_defragmentation_tells(void** state) {
    enum { COUNT = 920 };
    static SxvkAllocation many[COUNT];
    SxvkDefragmentationInfo info = {.flags = SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_FULL_BIT};
    SxvkDefragmentationPassMoveInfo pass;
    SxvkDefragmentationContext context;
    Log log;
    Rig* rig = pressure_rig(&log, 0);
    VkMemoryRequirements needs = testing_requirements(100 * KIB, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo create = {0};
    uint32_t i, passes = 0;
    (void)state;
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &many[i], NULL),
                         VK_SUCCESS);
    }
    for (i = 0; i < COUNT; i++) {
        if (i % 4 != 0) {
            sxvkFreeMemory(rig->allocator, many[i]);
        }
    }
    assert_int_not_equal(budget_of(rig, LOCAL_HEAP).level, NORMAL);
    assert_int_equal(sxvkBeginDefragmentation(rig->allocator, &info, &context), VK_SUCCESS);
    while (sxvkBeginDefragmentationPass(rig->allocator, context, &pass) == VK_INCOMPLETE) {
        VkResult result = sxvkEndDefragmentationPass(rig->allocator, context, &pass);
        assert_int_equal(rig->allocator->device.pressure.queue, 0);
        passes++;
        if (result == VK_SUCCESS) {
            break;
        }
    }
    sxvkEndDefragmentation(rig->allocator, context, NULL);
    assert_int_equal(rig->allocator->device.pressure.queue, 0);
    assert_true(passes > 0);
    assert_int_equal(budget_of(rig, LOCAL_HEAP).level, NORMAL);
    assert_int_equal(log.told[log.count - 1].level, NORMAL);
    for (i = 0; i < COUNT; i += 4) {
        sxvkFreeMemory(rig->allocator, many[i]);
    }
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defragmentation_tells),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_gauge_stays),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_hysteresis),
        cmocka_unit_test(test_heap_up_and_down),
        cmocka_unit_test(test_heap_by_tick),
        cmocka_unit_test(test_heap_from_the_start),
        cmocka_unit_test(test_heap_size_limit),
        cmocka_unit_test(test_own_thresholds),
        cmocka_unit_test(test_module_levels),
        cmocka_unit_test(test_no_lock_is_held),
        cmocka_unit_test(test_no_endless_recursion),
        cmocka_unit_test(test_destroyed_inside),
        cmocka_unit_test(test_asks_once_and_tries_again),
        cmocka_unit_test(test_asks_in_every_way),
        cmocka_unit_test(test_asks_for_each_heap),
        cmocka_unit_test(test_does_not_ask),
        cmocka_unit_test(test_fails_inside),
        cmocka_unit_test(test_asks_for_ranges),
        cmocka_unit_test(test_asks_for_large_ranges),
        cmocka_unit_test(test_asks_for_blocks_of_a_pool),
        cmocka_unit_test(test_growth_is_told),
        cmocka_unit_test(test_growth_asks_once),
        cmocka_unit_test(test_growth_used_inside),
        cmocka_unit_test(test_growth_finds_room_inside),
        cmocka_unit_test(test_coldest),
        cmocka_unit_test(test_coldest_against_a_model),
        cmocka_unit_test(test_threads_and_levels),
        cmocka_unit_test(test_threads_within_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
