/*  test_history.c - what each frame did, how fragmented memory is, and the report for a log.

    Run by CTest (unit.history).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#define SX_VKALLOC_DEBUG 2
/* Locks that tell before they are taken, so that a test can be another thread at that moment. */
static void before_lock(const void* lock);
#define SX_VKALLOC_MUTEX            pthread_mutex_t
#define SX_VKALLOC_MUTEX_INIT(m)    (pthread_mutex_init(m, NULL) == 0)
#define SX_VKALLOC_MUTEX_DESTROY(m) pthread_mutex_destroy(m)
#define SX_VKALLOC_MUTEX_LOCK(m)    (before_lock(m), pthread_mutex_lock(m))
#define SX_VKALLOC_MUTEX_UNLOCK(m)  pthread_mutex_unlock(m)
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)

enum { LOCAL, HOST, CACHED, BAR };

static Rig* history_rig(uint32_t frames) {
    RigOptions options = rig_options();
    options.info.frameHistoryCount = frames;
    return rig_create(&options);
}

/* ------------------------------------------------------------------ the history */

#define FRAMES 300
#define KEPT   100
#define MOST   3000

typedef struct Model {
    Rig* rig;
    SxvkAllocation live[MOST];
    VkDeviceSize sizes[MOST];
    uint32_t count;
    SxvkFrameStatistics frames[FRAMES]; /* what they must say, but for driver calls and blocks */
    SxvkPool pool;
} Model;

static void allocate_some(Model* model, SxvkFrameStatistics* frame, uint64_t* seed) {
    uint32_t i, n = testing_below(seed, 60);
    for (i = 0; i < n && model->count < MOST; i++) {
        VkDeviceSize size = testing_log_uniform(seed, 1, 256 * KIB);
        VkMemoryRequirements needs = testing_requirements(size, 16, 1u << HOST);
        SxvkAllocationCreateInfo create = {0};
        uint32_t where = testing_below(seed, 10);
        create.pool = where == 0 ? model->pool : NULL;
        create.flags = where == 1 ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
        assert_int_equal(sxvkAllocateMemory(model->rig->allocator, &needs, &create,
                                            &model->live[model->count], NULL),
                         VK_SUCCESS);
        model->sizes[model->count++] = size;
        frame->allocationCount++;
    }
}

static void free_some(Model* model, SxvkFrameStatistics* frame, uint64_t* seed) {
    uint32_t n = testing_below(seed, 20) == 0 ? model->count : testing_below(seed, 60);
    while (n-- > 0 && model->count != 0) {
        uint32_t i = testing_below(seed, model->count--);
        sxvkFreeMemory(model->rig->allocator, model->live[i]);
        model->live[i] = model->live[model->count];
        model->sizes[i] = model->sizes[model->count];
        frame->freeCount++;
    }
}

/*  A pool that comes and goes within a frame, with what is in it. */
static void use_a_pool(Model* model, SxvkFrameStatistics* frame, uint64_t* seed) {
    SxvkPoolCreateInfo info = {.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT,
                               .memoryTypeIndex = HOST,
                               .blockSize = 64 * KIB};
    SxvkAllocationCreateInfo create = {0};
    VkMemoryRequirements needs = testing_requirements(1000, 16, 1u << HOST);
    uint32_t i, n = testing_below(seed, 20);
    SxvkAllocation allocation;
    assert_int_equal(sxvkCreatePool(model->rig->allocator, &info, &create.pool), VK_SUCCESS);
    for (i = 0; i < n; i++) {
        assert_int_equal(
            sxvkAllocateMemory(model->rig->allocator, &needs, &create, &allocation, NULL),
            VK_SUCCESS);
    }
    assert_int_equal(sxvkResetPool(model->rig->allocator, create.pool), VK_SUCCESS);
    sxvkDestroyPool(model->rig->allocator, create.pool);
    frame->allocationCount += n;
    frame->freeCount += n;
}

static uint64_t memory_calls(Rig* rig) {
    return sim_calls(rig->sim, SIM_CALL_ALLOCATE_MEMORY) +
           sim_calls(rig->sim, SIM_CALL_FREE_MEMORY) + sim_calls(rig->sim, SIM_CALL_MAP_MEMORY) +
           sim_calls(rig->sim, SIM_CALL_UNMAP_MEMORY);
}

static void assert_frame(const SxvkFrameStatistics* is, const SxvkFrameStatistics* expected) {
    assert_int_equal(is->frameIndex, expected->frameIndex);
    assert_int_equal(is->allocationCount, expected->allocationCount);
    assert_int_equal(is->freeCount, expected->freeCount);
    assert_int_equal(is->driverCallCount, expected->driverCallCount);
    assert_int_equal(is->liveCount, expected->liveCount);
    assert_int_equal(is->liveBytes, expected->liveBytes);
    assert_int_equal(is->committedBytes, expected->committedBytes);
}

/*  Every frame is as a model says: slots, ranges, dedicated memory, pools that go, trims. */
static void test_frames_are_as_the_model_says(void** state) {
    static Model model;
    static SxvkFrameStatistics seen[KEPT + 1];
    SxvkPoolCreateInfo poolInfo = {.memoryTypeIndex = HOST, .blockSize = MIB};
    uint64_t seed = 77, calls = 0;
    uint32_t f, i, count;
    (void)state;
    model.rig = history_rig(KEPT);
    assert_int_equal(sxvkCreatePool(model.rig->allocator, &poolInfo, &model.pool), VK_SUCCESS);
    for (f = 0; f < FRAMES; f++) {
        SxvkFrameStatistics* frame = &model.frames[f];
        uint32_t k;
        frame->frameIndex = f * 3;
        allocate_some(&model, frame, &seed);
        free_some(&model, frame, &seed);
        if (testing_below(&seed, 8) == 0) {
            use_a_pool(&model, frame, &seed);
        }
        if (testing_below(&seed, 16) == 0) {
            sxvkTrim(model.rig->allocator);
        }
        frame->liveCount = model.count;
        for (k = 0; k < model.count; k++) {
            frame->liveBytes += model.sizes[k];
        }
        frame->committedBytes = sim_live_memory_total(model.rig->sim);
        frame->driverCallCount = (uint32_t)(memory_calls(model.rig) - calls);
        calls = memory_calls(model.rig);
        sxvkSetCurrentFrameIndex(model.rig->allocator, (f + 1) * 3);
        count = KEPT + 1;
        assert_int_equal(sxvkGetFrameHistory(model.rig->allocator, &count, seen), VK_SUCCESS);
        assert_int_equal(count, f + 1 < KEPT ? f + 1 : KEPT);
        for (i = 0; i < count; i++) {
            assert_frame(&seen[i], &model.frames[f + 1 - count + i]);
        }
    }
    while (model.count != 0) {
        sxvkFreeMemory(model.rig->allocator, model.live[--model.count]);
    }
    sxvkDestroyPool(model.rig->allocator, model.pool);
    rig_destroy(model.rig);
}

/*  Null asks for the number, a small array gets the latest, without a history there is none. */
static void test_how_many(void** state) {
    Rig* rig = history_rig(4);
    SxvkFrameStatistics frames[8];
    uint32_t count = 99, f;
    (void)state;
    assert_int_equal(sxvkGetFrameHistory(rig->allocator, &count, NULL), VK_SUCCESS);
    assert_int_equal(count, 0);
    for (f = 1; f <= 6; f++) {
        sxvkSetCurrentFrameIndex(rig->allocator, f);
    }
    assert_int_equal(sxvkGetFrameHistory(rig->allocator, &count, NULL), VK_SUCCESS);
    assert_int_equal(count, 4);
    count = 2;
    assert_int_equal(sxvkGetFrameHistory(rig->allocator, &count, frames), VK_SUCCESS);
    assert_int_equal(count, 2);
    assert_int_equal(frames[0].frameIndex, 4);
    assert_int_equal(frames[1].frameIndex, 5);
    count = 8;
    assert_int_equal(sxvkGetFrameHistory(rig->allocator, &count, frames), VK_SUCCESS);
    assert_int_equal(count, 4);
    assert_int_equal(frames[0].frameIndex, 2);
    assert_int_equal(frames[3].frameIndex, 5);
    assert_int_equal(sxvkGetFrameHistory(rig->allocator, NULL, frames),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    assert_int_equal(sxvkGetFrameHistory(NULL, &count, frames), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_destroy(rig);

    rig = rig_create(NULL);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    count = 8;
    assert_int_equal(sxvkGetFrameHistory(rig->allocator, &count, frames), VK_SUCCESS);
    assert_int_equal(count, 0);
    rig_destroy(rig);
}

/*  Maps count; a pool whose user may be in it at this moment is left out, and does not come in when
    it goes. */
static void test_what_counts(void** state) {
    Rig* rig = history_rig(4);
    SxvkPoolCreateInfo poolInfo = {.flags = SXVK_POOL_CREATE_EXTERNALLY_SYNCHRONIZED_BIT,
                                   .memoryTypeIndex = HOST,
                                   .blockSize = MIB};
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT};
    VkMemoryRequirements needs = testing_requirements(1000, 16, 1u << HOST);
    SxvkFrameStatistics frames[4];
    SxvkAllocation allocation;
    uint32_t count = 4;
    (void)state;
    assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &create.pool), VK_SUCCESS);
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &allocation, NULL),
                     VK_SUCCESS);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    sxvkFreeMemory(rig->allocator, allocation);
    sxvkDestroyPool(rig->allocator, create.pool);
    sxvkSetCurrentFrameIndex(rig->allocator, 2);
    assert_int_equal(sxvkGetFrameHistory(rig->allocator, &count, frames), VK_SUCCESS);
    assert_int_equal(count, 2);
    assert_int_equal(frames[0].allocationCount + frames[0].freeCount + frames[0].liveCount, 0);
    assert_int_equal(frames[0].driverCallCount, 2); /* vkAllocateMemory, vkMapMemory */
    assert_int_equal(frames[0].committedBytes, MIB);
    assert_int_equal(frames[1].allocationCount + frames[1].freeCount + frames[1].liveCount, 0);
    assert_int_equal(frames[1].driverCallCount, 1);
    assert_int_equal(frames[1].committedBytes, 0);
    rig_destroy(rig);
}

/*  The dump has the same figures. */
static void test_dump(void** state) {
    static const char* const keys[] = {"Frame",       "LiveBytes", "CommittedBytes",
                                       "Allocations", "Frees",     "DriverCalls"};
    Rig* rig = history_rig(3);
    SxvkFrameStatistics frames[3];
    SxvkAllocation a, b;
    uint32_t count = 3, i, k;
    cJSON *dump, *history;
    char* text;
    (void)state;
    a = rig_allocate(rig, LOCAL, 1000);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    b = rig_allocate(rig, LOCAL, 3 * MIB);
    sxvkFreeMemory(rig->allocator, a);
    sxvkSetCurrentFrameIndex(rig->allocator, 2);
    assert_int_equal(sxvkGetFrameHistory(rig->allocator, &count, frames), VK_SUCCESS);
    assert_int_equal(count, 2);
    assert_int_equal(sxvkBuildStatsString(rig->allocator, &text, VK_FALSE), VK_SUCCESS);
    dump = cJSON_Parse(text);
    assert_non_null(dump);
    history = cJSON_GetObjectItem(dump, "History");
    assert_int_equal(cJSON_GetArraySize(history), 2);
    for (i = 0; i < 2; i++) {
        const cJSON* entry = cJSON_GetArrayItem(history, (int)i);
        uint64_t expected[6];
        expected[0] = frames[i].frameIndex;
        expected[1] = frames[i].liveBytes;
        expected[2] = frames[i].committedBytes;
        expected[3] = frames[i].allocationCount;
        expected[4] = frames[i].freeCount;
        expected[5] = frames[i].driverCallCount;
        for (k = 0; k < 6; k++) {
            const cJSON* value = cJSON_GetObjectItem(entry, keys[k]);
            assert_non_null(value);
            assert_int_equal((uint64_t)value->valuedouble, expected[k]);
        }
    }
    assert_int_equal(frames[1].allocationCount, 1);
    assert_int_equal(frames[1].freeCount, 1);
    assert_int_equal(frames[1].liveBytes, 3 * MIB);
    cJSON_Delete(dump);
    sxvkFreeStatsString(rig->allocator, text);
    sxvkFreeMemory(rig->allocator, b);
    rig_destroy(rig);

    rig = rig_create(NULL);
    assert_int_equal(sxvkBuildStatsString(rig->allocator, &text, VK_FALSE), VK_SUCCESS);
    assert_null(strstr(text, "History"));
    sxvkFreeStatsString(rig->allocator, text);
    rig_destroy(rig);
}

#define THREADS 4
#define ROUNDS  4000

typedef struct Worker {
    Rig* rig;
    uint64_t seed;
    uint32_t allocations;
} Worker;

static void* work(void* argument) {
    Worker* worker = (Worker*)argument;
    SxvkAllocation live[16] = {0};
    uint32_t i;
    for (i = 0; i < ROUNDS; i++) {
        uint32_t k = testing_below(&worker->seed, 16);
        VkMemoryRequirements needs =
            testing_requirements(testing_log_uniform(&worker->seed, 16, 128 * KIB), 16, 1u << HOST);
        SxvkAllocationCreateInfo create = {0};
        sxvkFreeMemory(worker->rig->allocator, live[k]);
        assert_int_equal(
            sxvkAllocateMemory(worker->rig->allocator, &needs, &create, &live[k], NULL),
            VK_SUCCESS);
        worker->allocations++;
    }
    for (i = 0; i < 16; i++) {
        sxvkFreeMemory(worker->rig->allocator, live[i]);
    }
    return NULL;
}

/*  While others allocate and free: no count is lost, and none comes twice. */
static void test_threads(void** state) {
    static SxvkFrameStatistics frames[1000];
    Rig* rig = history_rig(1000);
    pthread_t threads[THREADS];
    Worker workers[THREADS];
    uint64_t made = 0, freed = 0;
    uint32_t i, count = 1000;
    (void)state;
    for (i = 0; i < THREADS; i++) {
        workers[i].rig = rig;
        workers[i].seed = i;
        workers[i].allocations = 0;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (i = 0; i < 900; i++) {
        char* text;
        sxvkSetCurrentFrameIndex(rig->allocator, i);
        if (i % 100 == 0) {
            assert_int_equal(sxvkBuildStatsText(rig->allocator, &text), VK_SUCCESS);
            sxvkFreeStatsText(rig->allocator, text);
        }
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    sxvkSetCurrentFrameIndex(rig->allocator, 901);
    assert_int_equal(sxvkGetFrameHistory(rig->allocator, &count, frames), VK_SUCCESS);
    for (i = 0; i < count; i++) {
        made += frames[i].allocationCount;
        freed += frames[i].freeCount;
    }
    assert_int_equal(made, THREADS * ROUNDS);
    assert_int_equal(freed, THREADS * ROUNDS);
    assert_int_equal(frames[count - 1].liveCount, 0);
    assert_int_equal(frames[count - 1].liveBytes, 0);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ fragmentation */

static float fragmentation_of(Rig* rig, SxvkPool pool) {
    SxvkDetailedStatistics stats;
    sxvkCalculatePoolStatistics(rig->allocator, pool, &stats);
    return stats.fragmentation;
}

static void assert_near(double is, double expected) {
    if (is < expected - 1e-5 || is > expected + 1e-5) {
        fail_msg("%f is not %f", is, expected);
    }
}

/*  1 - what the largest holes of the blocks have of all that is unused. */
static void test_fragmentation(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkPoolCreateInfo poolInfo = {.memoryTypeIndex = HOST, .blockSize = 64 * KIB};
    SxvkAllocationCreateInfo create = {0};
    VkMemoryRequirements needs = testing_requirements(8 * KIB, 16, 1u << HOST);
    SxvkAllocation a[16];
    SxvkTotalStatistics total;
    uint32_t i;
    (void)state;
    sxvkCalculateStatistics(rig->allocator, &total);
    assert_near(total.total.fragmentation, 0); /* nothing is unused */
    assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &create.pool), VK_SUCCESS);
    for (i = 0; i < 16; i++) {
        assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &a[i], NULL),
                         VK_SUCCESS);
    }
    assert_near(fragmentation_of(rig, create.pool), 0); /* two full blocks */
    sxvkFreeMemory(rig->allocator, a[1]);
    assert_near(fragmentation_of(rig, create.pool), 0); /* one hole */
    sxvkFreeMemory(rig->allocator, a[9]);
    assert_near(fragmentation_of(rig, create.pool), 0); /* one in each block */
    sxvkFreeMemory(rig->allocator, a[3]);
    assert_near(fragmentation_of(rig, create.pool), 1.0 / 3);
    sxvkFreeMemory(rig->allocator, a[4]); /* holes of 8 and 16 KiB, and 8 KiB */
    assert_near(fragmentation_of(rig, create.pool), 1.0 / 4);
    sxvkFreeMemory(rig->allocator, a[2]); /* one of 32 KiB, and 8 KiB */
    assert_near(fragmentation_of(rig, create.pool), 0);
    sxvkFreeMemory(rig->allocator, a[11]);
    sxvkFreeMemory(rig->allocator, a[13]);
    sxvkFreeMemory(rig->allocator, a[15]);
    assert_near(fragmentation_of(rig, create.pool), 1 - 40.0 / 64);
    sxvkCalculateStatistics(rig->allocator, &total);
    assert_near(total.memoryType[HOST].fragmentation, 1 - 40.0 / 64);
    assert_near(total.memoryHeap[1].fragmentation, 1 - 40.0 / 64);
    assert_near(total.memoryHeap[0].fragmentation, 0);
    assert_near(total.total.fragmentation, 1 - 40.0 / 64);
    assert_int_equal(total.total.largestRangeBytes, 40 * KIB);
    {
        char* text;
        assert_int_equal(sxvkBuildStatsString(rig->allocator, &text, VK_TRUE), VK_SUCCESS);
        assert_non_null(strstr(text, "\"Fragmentation\": 0.3750"));
        assert_non_null(strstr(text, "\"Fragmentation\": 0.0000"));
        sxvkFreeStatsString(rig->allocator, text);
    }
    assert_int_equal(sxvkResetPool(rig->allocator, create.pool), VK_SUCCESS);
    sxvkDestroyPool(rig->allocator, create.pool);
    rig_destroy(rig);
}

static void test_virtual_fragmentation(void** state) {
    SxvkVirtualBlockCreateInfo info = {.size = 1000};
    SxvkVirtualAllocationCreateInfo create = {
        .size = 100, .flags = SXVK_VIRTUAL_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT};
    SxvkVirtualAllocation a[10];
    SxvkDetailedStatistics stats;
    SxvkVirtualBlock block;
    uint32_t i;
    (void)state;
    assert_int_equal(sxvkCreateVirtualBlock(&info, &block), VK_SUCCESS);
    for (i = 0; i < 10; i++) {
        assert_int_equal(sxvkVirtualAllocate(block, &create, &a[i], NULL), VK_SUCCESS);
    }
    sxvkVirtualFree(block, a[0]);
    sxvkVirtualFree(block, a[5]);
    sxvkVirtualFree(block, a[6]);
    sxvkCalculateVirtualBlockStatistics(block, &stats);
    assert_near(stats.fragmentation, 1.0 / 3);
    assert_int_equal(stats.largestRangeBytes, 200);
    sxvkClearVirtualBlock(block);
    sxvkCalculateVirtualBlockStatistics(block, &stats);
    assert_near(stats.fragmentation, 0);
    sxvkDestroyVirtualBlock(block);
}

/* ------------------------------------------------------------------ a pool that goes meanwhile */

typedef struct Intruder {
    SxvkAllocator allocator; /* null: sleeps */
    SxvkPool pool;
    uint32_t passes; /* of the lock of the pools, until it strikes */
} Intruder;

static Intruder intruder;

static void before_lock(const void* lock) {
    SxvkAllocator allocator = intruder.allocator;
    if (allocator != NULL && lock == (const void*)&allocator->pools_lock &&
        intruder.passes-- == 0) {
        intruder.allocator = NULL;
        sxvkDestroyPool(allocator, intruder.pool);
    }
}

/*  A pool goes while a frame ends: what was allocated in it counts once. */
static void test_pool_goes_while_a_frame_ends(void** state) {
    uint32_t passes;
    (void)state;
    for (passes = 0; passes < 2; passes++) {
        Rig* rig = history_rig(8);
        SxvkPoolCreateInfo poolInfo = {.memoryTypeIndex = HOST};
        SxvkAllocationCreateInfo create = {0};
        VkMemoryRequirements needs = testing_requirements(1000, 16, 1u << HOST);
        SxvkFrameStatistics frames[8];
        SxvkAllocation allocation;
        uint32_t i, count = 8;
        assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &create.pool), VK_SUCCESS);
        for (i = 0; i < 20; i++) {
            assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &allocation, NULL),
                             VK_SUCCESS);
            sxvkFreeMemory(rig->allocator, allocation);
        }
        sxvkSetCurrentFrameIndex(rig->allocator, 1);
        intruder.passes = passes;
        intruder.pool = create.pool;
        intruder.allocator = rig->allocator;
        sxvkSetCurrentFrameIndex(rig->allocator, 2);
        if (intruder.allocator != NULL) { /* the lock is taken only once by now */
            intruder.allocator = NULL;
            sxvkDestroyPool(rig->allocator, create.pool);
        }
        sxvkSetCurrentFrameIndex(rig->allocator, 3);
        assert_int_equal(sxvkGetFrameHistory(rig->allocator, &count, frames), VK_SUCCESS);
        assert_int_equal(count, 3);
        assert_int_equal(frames[0].allocationCount, 20);
        assert_int_equal(frames[1].allocationCount, 0);
        assert_int_equal(frames[2].allocationCount, 0);
        assert_int_equal(frames[1].freeCount + frames[2].freeCount, 0);
        rig_destroy(rig);
    }
}

/* ------------------------------------------------------------------ the report */

static uint32_t times_in(const char* text, const char* part) {
    uint32_t n = 0;
    for (text = strstr(text, part); text != NULL; text = strstr(text + 1, part)) {
        n++;
    }
    return n;
}

/*  Modules, whose the largest ones are, and the pressure. */
static void test_report_of_modules(void** state) {
    Rig* rig = history_rig(8);
    SxvkModuleCreateInfo info = {.pName = "audio", .softLimit = 64 * KIB};
    SxvkAllocationCreateInfo create = {.pName = "voices"};
    VkMemoryRequirements needs = testing_requirements(60 * KIB, 16, 1u << HOST);
    SxvkAllocation allocation;
    char* text;
    (void)state;
    assert_int_equal(sxvkCreateModule(rig->allocator, &info, &create.module), VK_SUCCESS);
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &allocation, NULL),
                     VK_SUCCESS);
    assert_int_equal(sxvkBuildStatsText(rig->allocator, &text), VK_SUCCESS);
    assert_non_null(strstr(text, "module audio: 1 allocations, 60.00 KiB, at most 60.00 KiB; soft "
                                 "limit 64.00 KiB, pressure WARNING\n"));
    assert_non_null(strstr(text, "60.00 KiB of type 1: voices, module audio\n"));
    assert_non_null(strstr(text, ", pressure NORMAL\n"));
    sxvkFreeStatsText(rig->allocator, text);
    sxvkFreeMemory(rig->allocator, allocation);
    sxvkDestroyModule(rig->allocator, create.module);
    rig_destroy(rig);
}

static void test_report(void** state) {
    Rig* rig = history_rig(8);
    SxvkPoolCreateInfo poolInfo = {.memoryTypeIndex = HOST, .blockSize = 64 * KIB};
    SxvkAllocationCreateInfo create = {0};
    SxvkAllocation a[20];
    char name[200];
    char* text;
    uint32_t i;
    (void)state;
    assert_int_equal(sxvkBuildStatsText(rig->allocator, &text), VK_SUCCESS);
    assert_non_null(strstr(text, "no allocations\n"));
    assert_non_null(strstr(text, "0 blocks, 0 B; 0 allocations, 0 B; 0 holes"));
    sxvkFreeStatsText(rig->allocator, text);

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &create.pool), VK_SUCCESS);
    assert_int_equal(sxvkSetPoolName(rig->allocator, create.pool, "streaming"), VK_SUCCESS);
    for (i = 0; i < 20; i++) {
        VkMemoryRequirements needs =
            testing_requirements((i * 7 % 20 + 1) * KIB + 512, 16, 1u << HOST);
        char text_of_name[32];
        snprintf(text_of_name, sizeof text_of_name, "item %u", i * 7 % 20);
        create.pName = i * 7 % 20 == 10 ? name : i * 7 % 20 == 11 ? NULL : text_of_name;
        assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &a[i], NULL),
                         VK_SUCCESS);
        if (i == 9) {
            sxvkSetCurrentFrameIndex(rig->allocator, 41);
        }
    }
    sxvkSetCurrentFrameIndex(rig->allocator, 42);
    assert_int_equal(sxvkBuildStatsText(rig->allocator, &text), VK_SUCCESS);
    assert_non_null(strstr(text, ", frame 42\n"));
    assert_non_null(strstr(text, "heap 1, none, 16.00 GiB: uses "));
    assert_non_null(strstr(text, "pool streaming, type 1\n"));
    assert_non_null(strstr(text, "largest allocations\n    20.50 KiB of type 1: item 19\n"
                                 "    19.50 KiB of type 1: item 18\n"));
    assert_int_equal(times_in(text, " of type 1: "), 16); /* the largest */
    assert_int_equal(times_in(text, " of type 1: (no name)\n"), 1);
    assert_int_equal(times_in(text, "item 4\n"), 1);
    assert_int_equal(times_in(text, "item 3\n"), 0);
    assert_int_equal(times_in(text, "xxxxxxxx"), 63 - 7); /* cut off */
    assert_non_null(strstr(text, "last 2 frames: 20 allocations, 0 frees, "));
    assert_non_null(strstr(text, "; at most 220.00 KiB live, "));
    sxvkFreeStatsText(rig->allocator, text);
    for (i = 0; i < 20; i++) {
        sxvkFreeMemory(rig->allocator, a[i]);
    }
    sxvkDestroyPool(rig->allocator, create.pool);
    assert_int_equal(sxvkBuildStatsText(rig->allocator, NULL), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    rig_destroy(rig);
}

/*  Units and places. */
static void test_numbers(void** state) {
    static const struct {
        uint64_t bytes;
        const char* text;
    } sizes[] = {{0, "0 B"},
                 {1023, "1023 B"},
                 {1024, "1.00 KiB"},
                 {1536, "1.50 KiB"},
                 {MIB - 1, "1023.99 KiB"},
                 {MIB + 52 * KIB, "1.05 MiB"},
                 {(uint64_t)3 << 40, "3.00 TiB"},
                 {UINT64_MAX, "16777215.99 TiB"}};
    static const struct {
        double ratio;
        const char* text;
    } ratios[] = {{0, "0.0000"}, {0.00005, "0.0001"}, {0.375, "0.3750"}, {0.99999, "1.0000"}};
    sxvki_host host;
    sxvki_text text;
    size_t i;
    (void)state;
    sxvki_host_init(&host, NULL);
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        sxvki_text_init(&text, &host);
        sxvki_text_add_bytes_of(&text, sizes[i].bytes);
        assert_string_equal(text.data, sizes[i].text);
        sxvki_text_shutdown(&text);
    }
    for (i = 0; i < sizeof ratios / sizeof ratios[0]; i++) {
        sxvki_text_init(&text, &host);
        sxvki_text_add_ratio(&text, ratios[i].ratio);
        assert_string_equal(text.data, ratios[i].text);
        sxvki_text_shutdown(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_are_as_the_model_says),
        cmocka_unit_test(test_how_many),
        cmocka_unit_test(test_what_counts),
        cmocka_unit_test(test_dump),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_fragmentation),
        cmocka_unit_test(test_virtual_fragmentation),
        cmocka_unit_test(test_pool_goes_while_a_frame_ends),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_report_of_modules),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
