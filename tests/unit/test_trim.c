/*
    test_trim.c - sxvkTrim and host memory: what is left after a peak, what goes back while something
    lives, handles from before, growth afterwards with every host allocation failing, and threads
    that use the allocator meanwhile, rightly and wrongly.

    Run by CTest (unit.trim), or by hand without arguments. Worth running under ThreadSanitizer.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <time.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"
#include "testing.h"

#define KIB        ((VkDeviceSize)1024)
#define MIB        (1024 * KIB)
#define LOCAL      0
#define HOST       1

#define PEAK       30000
#define FEW        200
#define MANY       8000 /* so many that there are slabs */
#define LEFT_BYTES (16 * 1024)

static SxvkAllocation peak[PEAK];
static SxvkAllocation again[PEAK];

/*  Slots and ranges of two types, and now and then dedicated memory, a name and user data. */
static void fill(Rig* rig, SxvkAllocation* allocations, uint32_t count, uint64_t seed) {
    for (uint32_t i = 0; i < count; i++) {
        SxvkAllocationCreateInfo create = {0};
        VkMemoryRequirements requirements =
            testing_requirements(testing_log_uniform(&seed, 16, 64 * KIB), 16,
                                 1u << (testing_below(&seed, 4) == 0 ? HOST : LOCAL));
        create.flags = i % 97 == 0 ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
        create.pName = i % 53 == 0 ? "named" : NULL;
        create.pUserData = i % 31 == 0 ? &peak[i] : NULL;
        assert_int_equal(
            sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocations[i], NULL),
            VK_SUCCESS);
    }
}

/*  Move the clock on, as far as a trim looks at it. */
static void pass_time(Rig* rig, uint32_t seconds) {
    sxvki_device* device = &rig->allocator->device;
    device->records.hot.retired_at -= seconds;
    device->records.slabs.retired_at -= seconds;
    device->blocks.retired_at -= seconds;
}

/*  Until the host memory is back as well. */
static VkDeviceSize trim(Rig* rig) {
    VkDeviceSize bytes = sxvkTrim(rig->allocator);
    pass_time(rig, SXVKI_TRIM_GRACE);
    assert_int_equal(sxvkTrim(rig->allocator), 0);
    return bytes;
}

static bool has_slots(const SxvkAllocation* allocations, uint32_t count) {
    uint32_t slots = 0;
    for (uint32_t i = 0; i < count; i++) {
        slots += (sxvki_handle_index(allocations[i]) & SXVKI_HANDLE_SLAB_BIT) != 0;
    }
    return slots > count / 4 && slots < count;
}

static void assert_all_stale(Rig* rig, const SxvkAllocation* allocations, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        assert_false(sxvkIsAllocationValid(rig->allocator, allocations[i]));
    }
}

/*  The tables are gone, and little is left but the pools. */
static void assert_trimmed(Rig* rig, uint64_t empty_bytes) {
    const sxvki_device* device = &rig->allocator->device;
    assert_int_equal(device->records.hot.made, 0);
    assert_int_equal(device->records.cold.made, 0);
    assert_int_equal(device->records.slabs.made, 0);
    assert_int_equal(device->blocks.made, 0);
    assert_int_equal(device->trim_state, SXVKI_TRIM_IDLE);
    assert_int_equal(sim_live_memory_count(rig->sim), 0);
    assert_true(rig->host.liveBytes <= LEFT_BYTES);
    assert_true(rig->host.liveBytes >= empty_bytes);
    rig_check(rig);
}

/*  Peak after peak: all goes back each time, everything works in between, and no handle of an
    earlier peak is ever taken for one of a later. */
static void test_after_a_peak(void** state) {
    Rig* rig = rig_create(NULL);
    const uint64_t empty_bytes = rig->host.liveBytes;
    uint64_t first_bytes = 0;
    (void)state;
    trim(rig);
    assert_int_equal(rig->host.liveBytes, empty_bytes);
    fill(rig, peak, PEAK, 1);
    assert_true(has_slots(peak, PEAK));
    sxvkFreeMemoryPages(rig->allocator, PEAK, peak);
    for (uint32_t round = 0; round < 4; round++) {
        assert_true(rig->host.liveBytes > 20 * LEFT_BYTES);
        assert_true(trim(rig) != 0);
        assert_trimmed(rig, empty_bytes);
        first_bytes = round == 0 ? rig->host.liveBytes : first_bytes;
        assert_int_equal(rig->host.liveBytes, first_bytes);
        assert_all_stale(rig, peak, PEAK);
        fill(rig, again, PEAK, round);
        assert_all_stale(rig, peak, PEAK);
        for (uint32_t i = 0; i < PEAK; i += 100) {
            assert_true(sxvkIsAllocationValid(rig->allocator, again[i]));
            sxvkFreeMemory(rig->allocator, peak[i]);
        }
        rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, PEAK / 100);
        rig_check(rig);
        sxvkFreeMemoryPages(rig->allocator, PEAK, again);
        if (round % 2 == 0) {
            memcpy(peak, again, sizeof peak);
        }
    }
    rig_destroy(rig);
}

/*  The chunks above what lives go back; what lives stays as it is. */
static void test_while_some_live(void** state) {
    static SxvkAllocationInfo before[FEW];
    Rig* rig = rig_create(NULL);
    uint64_t peak_bytes;
    (void)state;
    fill(rig, peak, PEAK, 7);
    for (uint32_t i = 0; i < FEW; i++) {
        sxvkGetAllocationInfo(rig->allocator, peak[i], &before[i]);
    }
    sxvkFreeMemoryPages(rig->allocator, PEAK - FEW, peak + FEW);
    peak_bytes = rig->host.liveBytes;
    trim(rig);
    assert_true(rig->host.liveBytes < peak_bytes / 4);
    assert_all_stale(rig, peak + FEW, PEAK - FEW);
    fill(rig, again, PEAK, 8);
    assert_all_stale(rig, peak + FEW, PEAK - FEW);
    for (uint32_t i = 0; i < FEW; i++) {
        SxvkAllocationInfo info;
        sxvkGetAllocationInfo(rig->allocator, peak[i], &info);
        assert_memory_equal(&info, &before[i], sizeof info);
    }
    rig_check(rig);
    sxvkFreeMemoryPages(rig->allocator, PEAK, again);
    sxvkFreeMemoryPages(rig->allocator, FEW, peak);
    trim(rig);
    assert_trimmed(rig, 0);
    rig_destroy(rig);
}

/*  A block that minBlockCount keeps has its records, and its pool goes on. */
static void test_with_a_kept_block(void** state) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = LOCAL, .blockSize = MIB, .minBlockCount = 1};
    SxvkAllocationCreateInfo create = {0};
    VkMemoryRequirements requirements = testing_requirements(KIB, 16, 1u << LOCAL);
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocation;
    (void)state;
    fill(rig, peak, PEAK, 3);
    assert_int_equal(sxvkCreatePool(rig->allocator, &info, &create.pool), VK_SUCCESS);
    sxvkFreeMemoryPages(rig->allocator, PEAK, peak);
    for (uint32_t round = 0; round < 3; round++) {
        trim(rig);
        assert_int_equal(sim_live_memory_count(rig->sim), 1);
        rig_check(rig);
        assert_int_equal(
            sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocation, NULL),
            VK_SUCCESS);
        sxvkFreeMemory(rig->allocator, allocation);
    }
    sxvkDestroyPool(rig->allocator, create.pool);
    trim(rig);
    assert_trimmed(rig, 0);
    rig_destroy(rig);
}

/*  What resets left goes back in several portions, with and without a range that lives, and no
    handle of it becomes valid again. */
static void test_after_resets(void** state) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = LOCAL,
                               .flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT};
    const uint32_t count = 5 * SXVKI_SWEEP_PORTION + 3;
    const VkMemoryRequirements requirements = testing_requirements(KIB, 16, 1u << LOCAL);
    Rig* rig = rig_create(NULL);
    SxvkAllocationCreateInfo creates[2] = {{0}, {0}};
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(sxvkCreatePool(rig->allocator, &info, &creates[i].pool), VK_SUCCESS);
    }
    for (uint32_t round = 0; round < 3; round++) {
        SxvkAllocation last;
        for (uint32_t i = 0; i < 2 * count; i++) {
            assert_int_equal(
                sxvkAllocateMemory(rig->allocator, &requirements, &creates[i % 2], &again[i], NULL),
                VK_SUCCESS);
        }
        if (round == 0) {
            memcpy(peak, again, 2 * count * sizeof *peak);
        }
        sxvkResetPool(rig->allocator, creates[0].pool);
        sxvkResetPool(rig->allocator, creates[1].pool);
        assert_int_equal(
            sxvkAllocateMemory(rig->allocator, &requirements, &creates[1], &last, NULL),
            VK_SUCCESS);
        trim(rig);
        assert_int_equal(sim_live_memory_count(rig->sim), 1);
        assert_true(sxvkIsAllocationValid(rig->allocator, last));
        assert_all_stale(rig, peak, 2 * count);
        assert_all_stale(rig, again, 2 * count);
        rig_check(rig);
        sxvkFreeMemory(rig->allocator, last);
        trim(rig);
        assert_int_equal(rig->allocator->device.records.hot.made, 0);
        assert_all_stale(rig, peak, 2 * count);
    }
    sxvkDestroyPool(rig->allocator, creates[0].pool);
    sxvkDestroyPool(rig->allocator, creates[1].pool);
    trim(rig);
    assert_trimmed(rig, 0);
    rig_destroy(rig);
}

/*  A record and a slot that have lived nearly as often as generations can tell: a trim after any
    number of lives starts behind the latest of them, so that the first handle stays stale. */
static void test_many_lives(void** state) {
    Rig* rig = rig_create(NULL);
    const sxvki_records* records = &rig->allocator->device.records;
    (void)state;
    fill(rig, peak, MANY, 20);
    assert_true(has_slots(peak, MANY));
    sxvkFreeMemoryPages(rig->allocator, MANY, peak);
    for (uint32_t lives = 1; lives < 1u << 30; lives += (1u << 29) - 100) {
        const uint32_t latest = (records->origin + 2 * lives) & ~SXVKI_GENERATION_CLAIMED;
        fill(rig, again, MANY, lives);
        sxvkFreeMemoryPages(rig->allocator, MANY, again);
        *sxvki_generation_of(records, sxvki_handle_index(again[MANY - 1])) = latest;
        trim(rig);
        assert_int_equal(records->hot.made + records->slabs.made, 0);
        assert_true(((records->first_generation - latest) & ~SXVKI_GENERATION_CLAIMED) < 16);
        fill(rig, again, MANY, 20);
        assert_all_stale(rig, peak, MANY);
        sxvkFreeMemoryPages(rig->allocator, MANY, again);
    }
    rig_destroy(rig);
}

/*  From every host allocation that growth needs after a trim on all fail: an error, no leak, and
    the next try succeeds. */
static void test_growth_fails(void** state) {
    uint32_t failures = 0;
    bool reached = true;
    (void)state;
    for (uint64_t nth = 1; reached; nth++) {
        const VkMemoryRequirements requirements = testing_requirements(KIB, 16, 1u << LOCAL);
        const SxvkAllocationCreateInfo create = {.pName = "named"};
        Rig* rig = rig_create(NULL);
        SxvkAllocation allocation;
        VkResult result;
        fill(rig, peak, 2000, 5);
        sxvkFreeMemoryPages(rig->allocator, 2000, peak);
        trim(rig);
        host_fail(&rig->host, nth, UINT32_MAX);
        result = sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocation, NULL);
        reached = rig->host.failed != 0;
        host_fail(&rig->host, 0, 0);
        if (reached) {
            assert_int_equal(result, VK_ERROR_OUT_OF_HOST_MEMORY);
            assert_null(allocation);
            rig_expect(rig, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
            rig_check(rig);
            failures++;
        } else {
            assert_int_equal(result, VK_SUCCESS);
            sxvkFreeMemory(rig->allocator, allocation);
        }
        fill(rig, again, 2000, 6);
        assert_all_stale(rig, peak, 2000);
        rig_check(rig);
        sxvkFreeMemoryPages(rig->allocator, 2000, again);
        trim(rig);
        assert_trimmed(rig, 0);
        rig_destroy(rig);
    }
    assert_true(failures >= 7); /* heads, cold and hot table, blocks, classes, cold page, name */
}

/* --- the time of grace ------------------------------------------------------------------------ */

/*  Tables stay until two seconds are counted, then the next trim or tick frees them. */
static void test_grace(void** state) {
    (void)state;
    for (uint32_t by_tick = 0; by_tick < 2; by_tick++) {
        Rig* rig = rig_create(NULL);
        const sxvki_device* device = &rig->allocator->device;
        uint64_t bytes;
        fill(rig, peak, PEAK, 13);
        sxvkFreeMemoryPages(rig->allocator, PEAK, peak);
        assert_true(sxvkTrim(rig->allocator) != 0);
        bytes = rig->host.liveBytes;
        assert_true(bytes > 20 * LEFT_BYTES);
        assert_int_equal(device->records.hot.capacity, 0);
        for (uint32_t second = 0; second <= SXVKI_TRIM_GRACE; second++) {
            assert_int_equal(device->trim_state, SXVKI_TRIM_WAITS);
            assert_int_equal(rig->host.liveBytes, bytes);
            assert_all_stale(rig, peak, PEAK);
            pass_time(rig, second == SXVKI_TRIM_GRACE ? 1 : 0);
            by_tick ? sxvkSetCurrentFrameIndex(rig->allocator, second)
                    : (void)sxvkTrim(rig->allocator);
        }
        pass_time(rig, 1);
        by_tick ? sxvkSetCurrentFrameIndex(rig->allocator, 9) : (void)sxvkTrim(rig->allocator);
        assert_trimmed(rig, 0);
        rig_destroy(rig);
    }
}

/*  Once in use again the tables begin a new time of grace. */
static void test_grace_begins_anew(void** state) {
    Rig* rig = rig_create(NULL);
    const sxvki_device* device = &rig->allocator->device;
    (void)state;
    fill(rig, peak, PEAK, 14);
    sxvkFreeMemoryPages(rig->allocator, PEAK, peak);
    sxvkTrim(rig->allocator);
    pass_time(rig, SXVKI_TRIM_GRACE);
    fill(rig, again, PEAK, 15);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    assert_int_equal(device->trim_state, SXVKI_TRIM_IDLE);
    assert_all_stale(rig, peak, PEAK);
    rig_check(rig);
    sxvkFreeMemoryPages(rig->allocator, PEAK, again);
    sxvkTrim(rig->allocator);
    assert_int_equal(device->trim_state, SXVKI_TRIM_WAITS);
    sxvkSetCurrentFrameIndex(rig->allocator, 2);
    assert_true(device->records.hot.made != 0);
    trim(rig);
    assert_trimmed(rig, 0);
    rig_destroy(rig);
}

/*  A clock that was set back by an hour does not end the time of grace, nor make it an hour. */
static void test_clock_set_back(void** state) {
    Rig* rig = rig_create(NULL);
    (void)state;
    fill(rig, peak, 1000, 16);
    sxvkFreeMemoryPages(rig->allocator, 1000, peak);
    sxvkTrim(rig->allocator);
    pass_time(rig, (uint32_t)-3600);
    sxvkTrim(rig->allocator);
    assert_true(rig->allocator->device.records.hot.made != 0);
    trim(rig);
    assert_trimmed(rig, 0);
    rig_destroy(rig);
}

/*  Nobody else can be looking: all goes at once. */
static void test_no_grace(void** state) {
    RigOptions options = rig_options();
    Rig* rig;
    (void)state;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXTERNALLY_SYNCHRONIZED_BIT;
    rig = rig_create(&options);
    fill(rig, peak, 1000, 17);
    sxvkFreeMemoryPages(rig->allocator, 1000, peak);
    sxvkTrim(rig->allocator);
    assert_trimmed(rig, 0);
    rig_destroy(rig);
}

/*  What is retired while the allocator goes. */
static void test_destroy_in_grace(void** state) {
    Rig* rig = rig_create(NULL);
    (void)state;
    fill(rig, peak, 1000, 18);
    sxvkFreeMemoryPages(rig->allocator, 1000, peak);
    sxvkTrim(rig->allocator);
    assert_int_equal(rig->allocator->device.trim_state, SXVKI_TRIM_WAITS);
    rig_destroy(rig); /* fails on a leak */
}

/* --- between the steps of a trim -------------------------------------------------------------- */

/*  Another thread needs an element before the chunks are freed: they stay, with its generations. */
static void test_needed_meanwhile(void** state) {
    Rig* rig = rig_create(NULL);
    sxvki_device* device = &rig->allocator->device;
    (void)state;
    fill(rig, peak, PEAK, 9);
    sxvkFreeMemoryPages(rig->allocator, PEAK, peak);
    sxvki_release_empty(rig->allocator, 0, UINT32_MAX, 0);
    sxvki_trim_domains(rig->allocator);
    const uint32_t hot = device->records.hot.capacity;
    const uint32_t slabs = device->records.slabs.capacity;
    const uint32_t blocks = device->blocks.capacity;
    assert_true(sxvki_device_retire(device));
    assert_int_equal(device->records.hot.capacity, 0);
    assert_int_equal(device->records.slabs.capacity, 0);
    assert_int_equal(device->blocks.capacity, 0);
    assert_all_stale(rig, peak, PEAK);
    fill(rig, again, 8, 10); /* too few for slabs */
    assert_int_equal(device->records.hot.capacity, hot);
    assert_int_equal(device->records.slabs.capacity, 0);
    assert_int_equal(device->blocks.capacity, blocks);
    pass_time(rig, SXVKI_TRIM_GRACE);
    assert_false(sxvki_device_drop(device));
    assert_int_equal(device->records.hot.capacity, hot);
    assert_int_equal(device->records.slabs.made, 0);
    assert_int_equal(device->blocks.made, blocks);
    assert_true(slabs != 0);
    rig_check(rig);
    sxvkFreeMemoryPages(rig->allocator, 8, again);
    fill(rig, again, PEAK, 11);
    assert_all_stale(rig, peak, PEAK);
    sxvkFreeMemoryPages(rig->allocator, PEAK, again);
    trim(rig);
    assert_trimmed(rig, 0);
    rig_destroy(rig);
}

static uint32_t met;

static VkBool32 VKAPI_PTR free_and_trim(void* pUserData, SxvkAllocator allocator,
                                        SxvkAllocation allocation) {
    met++;
    assert_true(sxvkIsAllocationValid(allocator, allocation));
    sxvkFreeMemory(allocator, allocation);
    sxvkTrim(allocator);
    pass_time(pUserData, SXVKI_TRIM_GRACE);
    sxvkSetCurrentFrameIndex(allocator, met);
    return VK_TRUE;
}

/*  A callback of sxvkForEachAllocation frees all and trims: the walk still finds its tables. */
static void test_trim_in_a_walk(void** state) {
    Rig* rig = rig_create(NULL);
    (void)state;
    fill(rig, peak, 3000, 12);
    assert_true(has_slots(peak, 3000));
    met = 0;
    sxvkForEachAllocation(rig->allocator, free_and_trim, rig);
    assert_int_equal(met, 3000);
    assert_true(rig->allocator->device.records.hot.made != 0);
    assert_int_equal(rig->allocator->device.records.pins, 0);
    trim(rig);
    assert_trimmed(rig, 0);
    rig_destroy(rig);
}

/* --- threads ---------------------------------------------------------------------------------- */

#define THREADS 3
#define ROUNDS  25
#define CROWD   600
#define STALLS  256

typedef struct Crowd {
    Rig* rig;
    void* stalls[STALLS]; /* handles that whoever comes next frees */
    uint32_t running;
} Crowd;

typedef struct Worker {
    Crowd* crowd;
    uint64_t seed;
    SxvkAllocation mine[CROWD];
} Worker;

/*  Leave a handle, or null, in a stall, and take what was there. */
static SxvkAllocation barter(Crowd* crowd, uint32_t i, SxvkAllocation mine) {
    void* seen = sxvki_load_ptr(&crowd->stalls[i]);
    while (!sxvki_cas_ptr(&crowd->stalls[i], &seen, mine)) {
    }
    return (SxvkAllocation)seen;
}

static VkBool32 VKAPI_PTR count_them(void* pUserData, SxvkAllocator allocator,
                                     SxvkAllocation allocation) {
    (void)allocator;
    (void)allocation;
    ++*(uint32_t*)pUserData;
    return VK_TRUE;
}

/*  Fill up, change some with the others, and free everything: the tables run empty between. */
static void* come_and_go(void* argument) {
    Worker* w = argument;
    Crowd* crowd = w->crowd;
    SxvkAllocator allocator = crowd->rig->allocator;
    void* failed = NULL;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        SxvkAllocation stale;
        uint32_t seen = 0;
        for (uint32_t i = 0; i < CROWD; i++) {
            const SxvkAllocationCreateInfo create = {.pUserData = i % 16 == 0 ? w : NULL};
            VkMemoryRequirements requirements = testing_requirements(
                i < 32 ? 32 * KIB : testing_log_uniform(&w->seed, 64, KIB), 16, 1u << LOCAL);
            if (sxvkAllocateMemory(allocator, &requirements, &create, &w->mine[i], NULL) !=
                VK_SUCCESS) {
                failed = w;
            }
        }
        for (uint32_t i = 0; i < CROWD; i += 2) {
            w->mine[i] = barter(crowd, testing_below(&w->seed, STALLS), w->mine[i]);
        }
        stale = w->mine[1]; /* was never bartered */
        if (round % 8 == 0) {
            sxvkForEachAllocation(allocator, count_them, &seen);
        }
        sxvkFreeMemoryPages(allocator, CROWD, w->mine);
        for (uint32_t i = 0; i < STALLS; i++) {
            sxvkFreeMemory(allocator, barter(crowd, i, VK_NULL_HANDLE));
            failed = sxvkIsAllocationValid(allocator, stale) ? w : failed;
        }
    }
    return failed;
}

static void* trim_all_the_time(void* argument) {
    Crowd* crowd = argument;
    while (sxvki_load32(&crowd->running)) {
        (void)sxvkTrim(crowd->rig->allocator);
    }
    return NULL;
}

static void test_threads(void** state) {
    static Worker workers[THREADS];
    static Crowd crowd;
    pthread_t threads[THREADS], trimmers[2];
    (void)state;
    memset(&crowd, 0, sizeof crowd);
    crowd.rig = rig_create(NULL);
    crowd.running = 1;
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&trimmers[i], NULL, trim_all_the_time, &crowd), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i].crowd = &crowd;
        workers[i].seed = i + 1;
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        void* failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    sxvki_store32(&crowd.running, 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(trimmers[i], NULL), 0);
    }
    for (uint32_t i = 0; i < STALLS; i++) {
        sxvkFreeMemory(crowd.rig->allocator, (SxvkAllocation)crowd.stalls[i]);
    }
    rig_expect_silence(crowd.rig);
    trim(crowd.rig);
    assert_int_equal(crowd.rig->allocator->device.records.hot.made, 0);
    assert_int_equal(crowd.rig->allocator->device.records.slabs.made, 0);
    rig_destroy(crowd.rig);
}

/* --- stale handles ---------------------------------------------------------------------------- */

#define PEAKS 3

typedef struct Misuser {
    Rig* rig;
    uint32_t start;
    uint32_t* running;
} Misuser;

static void VKAPI_PTR count_calls(void* pUserData, const SxvkMessageInfo* pInfo) {
    if (pInfo->message == SXVK_MESSAGE_INVALID_ALLOCATION) {
        sxvki_add64(pUserData, 1);
    }
}

/*  Free what was freed long ago, again and again. Now and then it also works as it should: then
    it has been in the pool's locks, and ThreadSanitizer sees what it did before and after. */
static void* free_stale(void* argument) {
    const Misuser* m = argument;
    const SxvkAllocationCreateInfo create = {0};
    const VkMemoryRequirements requirements = testing_requirements(64 * KIB, 16, 1u << LOCAL);
    void* failed = NULL;
    for (uint32_t i = m->start; sxvki_load32(m->running); i++) {
        SxvkAllocationInfo info;
        sxvkFreeMemory(m->rig->allocator, peak[i % PEAK]);
        sxvkGetAllocationInfo(m->rig->allocator, peak[(i + 7919) % PEAK], &info);
        failed = info.deviceMemory != VK_NULL_HANDLE ? argument : failed;
        if (i % 64 == 0) {
            SxvkAllocation mine;
            if (sxvkAllocateMemory(m->rig->allocator, &requirements, &create, &mine, NULL) !=
                VK_SUCCESS) {
                failed = argument;
            }
            sxvkFreeMemory(m->rig->allocator, mine);
        }
    }
    return failed;
}

/*  The tables come and go, by the real clock, while threads free what was freed before. */
static void test_stale_handles(void** state) {
    RigOptions options = rig_options();
    sxvki_shared64 stale_calls = 0;
    uint32_t running = 1;
    pthread_t threads[2];
    Misuser misusers[2];
    uint64_t bytes;
    Rig* rig;
    (void)state;
    rig = rig_create_bare(&options);
    rig->info.pfnMessage = count_calls;
    rig->info.pMessageUserData = &stale_calls;
    assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator), VK_SUCCESS);
    fill(rig, peak, PEAK, 19);
    sxvkFreeMemoryPages(rig->allocator, PEAK, peak);
    for (uint32_t i = 0; i < 2; i++) {
        misusers[i] = (Misuser){rig, i * 100, &running};
        assert_int_equal(pthread_create(&threads[i], NULL, free_stale, &misusers[i]), 0);
    }
    for (uint32_t i = 0; i < PEAKS; i++) {
        fill(rig, again, PEAK, i);
        sxvkFreeMemoryPages(rig->allocator, PEAK, again);
        sxvkTrim(rig->allocator);
    }
    bytes = sxvki_load64(&rig->host.liveBytes);
    assert_int_equal(sxvki_load32(&rig->allocator->device.trim_state), SXVKI_TRIM_WAITS);
    for (uint32_t ms = 0; sxvki_load32(&rig->allocator->device.trim_state) != SXVKI_TRIM_IDLE;
         ms += 100) {
        assert_true(ms < 20000);
        assert_int_equal(nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL), 0);
        sxvkSetCurrentFrameIndex(rig->allocator, ms);
    }
    sxvki_store32(&running, 0);
    for (uint32_t i = 0; i < 2; i++) {
        void* failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_true(stale_calls != 0);
    assert_true(rig->host.liveBytes < bytes);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after_a_peak),
        cmocka_unit_test(test_while_some_live),
        cmocka_unit_test(test_with_a_kept_block),
        cmocka_unit_test(test_growth_fails),
        cmocka_unit_test(test_needed_meanwhile),
        cmocka_unit_test(test_trim_in_a_walk),
        cmocka_unit_test(test_after_resets),
        cmocka_unit_test(test_many_lives),
        cmocka_unit_test(test_grace),
        cmocka_unit_test(test_grace_begins_anew),
        cmocka_unit_test(test_clock_set_back),
        cmocka_unit_test(test_no_grace),
        cmocka_unit_test(test_destroy_in_grace),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_stale_handles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
