/*  fuzz_defrag.c - random programs that defragment, on the simulated device.

    One thread: buffers with contents come and go, and runs of any flags and limits move them; moves
    are copied, ignored or destroyed, things are freed in the middle of a pass, runs stop anywhere,
    host memory and the driver fail now and then. After each run every byte of every buffer is
    compared, every invariant is checked, and what is live must be what it was.

    Threads: some allocate, free, map, compare and ask, while one or two run defragmentations of the
    same pools. This is what ThreadSanitizer should see.

        fuzz_defrag                        a few seconds
        fuzz_defrag --seed 7 --seconds 60  from this seed on
        fuzz_defrag --threads-only, --single-only
*/
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "things.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HOST 1 /* the memory type of the discrete GPU that the CPU sees */
#define KIB  ((VkDeviceSize)1 << 10)
#define MIB  ((VkDeviceSize)1 << 20)

static uint64_t current_seed;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s (seed %llu)\n", __FILE__, __LINE__, #condition,             \
                    (unsigned long long)current_seed);                                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void wait_for(double seconds) {
    struct timespec t;
    t.tv_sec = (time_t)seconds;
    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    (void)nanosleep(&t, NULL);
}

/* ------------------------------------------------------------------ one thread */

#define THINGS 1500u

typedef struct Program {
    Rig* rig;
    Things things;
    SxvkPool pool; /* null: the default pools */
    VkDeviceSize lo, hi;
    uint64_t random;
    uint32_t live;
} Program;

static void program_open(Program* p, uint64_t seed) {
    static const VkDeviceSize highs[] = {2 * KIB, 32 * KIB, 300 * KIB};
    RigOptions options = rig_options();
    SxvkDebugInfo debug = {0};
    SxvkPoolCreateInfo pool = {.memoryTypeIndex = HOST};
    memset(p, 0, sizeof *p);
    p->random = seed;
    options.sim.backing = true;
    debug.margin = testing_below(&p->random, 4) == 0 ? 64 : 0;
    debug.minBufferImageGranularity = testing_below(&p->random, 3) == 0 ? 65536 : 0;
    options.info.pDebugInfo = &debug;
    if (testing_below(&p->random, 4) == 0) {
        options.info.flags |= SXVK_ALLOCATOR_CREATE_EXTERNALLY_SYNCHRONIZED_BIT;
    }
    if (testing_below(&p->random, 3) == 0) {
        options.info.flags |= SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT;
    }
    p->rig = rig_create(&options);
    p->lo = 1 + testing_below(&p->random, 512);
    p->hi = highs[testing_below(&p->random, 3)];
    if (testing_below(&p->random, 2) == 0) {
        pool.blockSize = testing_below(&p->random, 2) == 0 ? 2 * MIB : 0;
        pool.minBlockCount = pool.blockSize != 0 ? testing_below(&p->random, 3) : 0;
        CHECK(sxvkCreatePool(p->rig->allocator, &pool, &p->pool) == VK_SUCCESS);
    }
    things_open(&p->things, p->rig, THINGS);
}

static void program_close(Program* p) {
    things_close(&p->things);
    if (p->pool != VK_NULL_HANDLE) {
        SxvkStatistics stats;
        sxvkGetPoolStatistics(p->rig->allocator, p->pool, &stats);
        CHECK(stats.allocationCount == 0 && stats.allocationBytes == 0);
        sxvkDestroyPool(p->rig->allocator, p->pool);
    }
    CHECK(rig_statistics(p->rig).allocationCount == 0);
    rig_destroy(p->rig);
}

static Thing* random_thing(Program* p) {
    return &p->things.all[testing_below(&p->random, THINGS)];
}

static void program_add(Program* p) {
    static const SxvkAllocationCreateFlags flags[] = {
        0,
        SXVK_ALLOCATION_CREATE_MAPPED_BIT,
        SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT,
        SXVK_ALLOCATION_CREATE_STRATEGY_MIN_OFFSET_BIT,
        SXVK_ALLOCATION_CREATE_PINNED_BIT,
        SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT,
        SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT};
    uint32_t what = testing_below(&p->random, 200);
    SxvkAllocationCreateInfo info = {.pool = p->pool, .memoryTypeBits = 1u << HOST};
    VkDeviceSize size = testing_log_uniform(&p->random, p->lo, p->hi);
    info.flags = what < 7 ? flags[what] : 0;
    info.minAlignment = what == 8 ? (VkDeviceSize)1 << testing_below(&p->random, 18) : 0;
    if (p->live < THINGS && things_add(&p->things, &info, size) != NULL) {
        p->live++;
    }
}

static void program_remove(Program* p, Thing* thing) {
    if (thing->buffer != VK_NULL_HANDLE) {
        things_remove(&p->things, thing);
        p->live--;
    }
}

/*  Load, then unload most. */
static void program_load(Program* p) {
    uint32_t count = 200 + testing_below(&p->random, THINGS - 200), keep, i;
    keep = testing_below(&p->random, 100);
    for (i = 0; i < count; i++) {
        program_add(p);
    }
    for (i = 0; i < THINGS; i++) {
        if (testing_below(&p->random, 100) >= keep) {
            program_remove(p, &p->things.all[i]);
        }
    }
}

/*  What happened to a move before its pass ends. */
typedef enum Fate { COPIED, IGNORED, DESTROYED, FREED } Fate;

/*  The copy is there: what it was copied from goes only once the pass has ended. */
static void play_move(Program* p, SxvkDefragmentationMove* move) {
    uint32_t what = testing_below(&p->random, 40);
    Fate fate = what == 0 ? IGNORED : what == 1 ? DESTROYED : what == 2 ? FREED : COPIED;
    Thing* thing = things_of(&p->things, move->srcAllocation);
    const VkAllocationCallbacks* driver = p->rig->allocator->device.host.driver_callbacks;
    SxvkAllocationInfo source, target;
    sxvkGetAllocationInfo(p->rig->allocator, move->srcAllocation, &source);
    sxvkGetAllocationInfo(p->rig->allocator, move->dstTmpAllocation, &target);
    CHECK(source.size == target.size && source.memoryType == target.memoryType);
    CHECK(source.deviceMemory != target.deviceMemory);
    CHECK((source.pMappedData != NULL) <= (target.pMappedData != NULL));
    move->operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_IGNORE;
    if (fate == COPIED) {
        things_move(&p->things, move);
        move->operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_COPY;
    } else if (fate == DESTROYED) {
        p->rig->allocator->device.vk.fn.vkDestroyBuffer(sim_device(p->rig->sim), thing->buffer,
                                                        driver);
        memset(thing, 0, sizeof *thing);
        p->live--;
        move->operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_DESTROY;
    } else if (fate == FREED) {
        program_remove(p, thing);
        move->operation =
            (SxvkDefragmentationMoveOperation)testing_below(&p->random, 3); /* all the same */
    }
}

static void random_failures(Program* p, int on) {
    host_fail(&p->rig->host, 0, 0);
    sim_clear_faults(p->rig->sim);
    if (on && testing_below(&p->random, 3) == 0) {
        host_fail(&p->rig->host, 1 + testing_below(&p->random, 6),
                  1 + testing_below(&p->random, 3));
    }
    if (on && testing_below(&p->random, 3) == 0) {
        (void)sim_fail(p->rig->sim, SIM_CALL_ALLOCATE_MEMORY, 1, 2, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    }
    if (on && testing_below(&p->random, 3) == 0) {
        (void)sim_fail(p->rig->sim, SIM_CALL_MAP_MEMORY, 1, 1, VK_ERROR_MEMORY_MAP_FAILED);
    }
}

static VkBool32 VKAPI_PTR sometimes(void* user) {
    return testing_below((uint64_t*)user, 20) == 0;
}

/*  One pass; returns 0 when the run is over. */
static int play_pass(Program* p, SxvkDefragmentationContext context) {
    int fails = testing_below(&p->random, 4) == 0;
    SxvkDefragmentationPassMoveInfo pass;
    VkResult result;
    uint32_t i;
    random_failures(p, fails);
    result = sxvkBeginDefragmentationPass(p->rig->allocator, context, &pass);
    random_failures(p, 0);
    CHECK(result == VK_SUCCESS || result == VK_INCOMPLETE ||
          (fails && result == VK_ERROR_OUT_OF_HOST_MEMORY));
    CHECK(sxvkCheckIntegrity(p->rig->allocator) == VK_SUCCESS);
    if (result != VK_INCOMPLETE) {
        return result != VK_SUCCESS;
    }
    for (i = 0; i < pass.moveCount; i++) {
        play_move(p, &pass.pMoves[i]);
    }
    for (i = testing_below(&p->random, 3); i != 0; i--) { /* life goes on */
        program_add(p);
        program_remove(p, random_thing(p));
    }
    result = sxvkEndDefragmentationPass(p->rig->allocator, context, &pass);
    CHECK(result == VK_SUCCESS || result == VK_INCOMPLETE);
    CHECK(sxvkCheckIntegrity(p->rig->allocator) == VK_SUCCESS);
    return result == VK_INCOMPLETE;
}

static void play_run(Program* p) {
    SxvkDefragmentationInfo info = {.pool = testing_below(&p->random, 8) != 0 ? p->pool : NULL};
    SxvkDefragmentationContext context;
    SxvkDefragmentationStats stats;
    uint32_t stop = testing_below(&p->random, 5) == 0 ? testing_below(&p->random, 6) : UINT32_MAX;
    uint32_t passes = 0;
    info.flags = testing_below(&p->random, 5) == 0
                     ? 0
                     : (SxvkDefragmentationFlags)1 << testing_below(&p->random, 4);
    info.flags |= testing_below(&p->random, 2) ? SXVK_DEFRAGMENTATION_FLAG_MOVE_MAPPED_BIT : 0;
    info.maxBytesPerPass =
        testing_below(&p->random, 3) == 0 ? 1 + testing_below(&p->random, 1 << 20) : 0;
    info.maxAllocationsPerPass =
        testing_below(&p->random, 3) == 0 ? 1 + testing_below(&p->random, 50) : 0;
    if (testing_below(&p->random, 3) == 0) {
        info.pfnBreakCallback = sometimes;
        info.pBreakCallbackUserData = &p->random;
    }
    CHECK(sxvkBeginDefragmentation(p->rig->allocator, &info, &context) == VK_SUCCESS);
    while (passes++ < stop && play_pass(p, context)) {
        CHECK(passes < 1000000);
    }
    if (stop != UINT32_MAX) { /* in the middle of a pass: nothing of it happens */
        SxvkDefragmentationPassMoveInfo pass;
        (void)sxvkBeginDefragmentationPass(p->rig->allocator, context, &pass);
    }
    sxvkEndDefragmentation(p->rig->allocator, context, &stats);
    messages_clear(&p->rig->messages); /* of failures that were asked for */
    CHECK(sxvkCheckIntegrity(p->rig->allocator) == VK_SUCCESS);
}

static void check_program(Program* p) {
    SxvkStatistics stats = rig_statistics(p->rig);
    CHECK(stats.allocationCount == p->live);
    things_compare(&p->things);
    rig_check(p->rig);
}

static void run_program(uint64_t seed) {
    uint32_t rounds, i;
    Program p;
    current_seed = seed;
    program_open(&p, seed);
    rounds = 1 + testing_below(&p.random, 6);
    for (i = 0; i < rounds; i++) {
        program_load(&p);
        play_run(&p);
        check_program(&p);
    }
    program_close(&p);
}

/* ------------------------------------------------------------------ threads */

#define PLACES  400u
#define WORKERS 3u

/*  An allocation with contents, which its lock guards; no buffer, so that nothing outlives it. */
typedef struct Place {
    pthread_mutex_t lock;
    SxvkAllocation allocation;
    VkDeviceSize size;
    uint64_t seed;
} Place;

typedef struct Field {
    Rig* rig;
    SxvkPool pools[2]; /* the first is null: default */
    Place places[PLACES];
    int stop;             /* atomic */
    uint64_t moved, gone; /* atomic */
} Field;

typedef struct Worker {
    Field* field;
    uint64_t random;
} Worker;

static void place_fill(Field* field, const Place* place, int compare) {
    void* data;
    VkDeviceSize i;
    CHECK(sxvkMapMemory(field->rig->allocator, place->allocation, &data) == VK_SUCCESS);
    for (i = 0; i < place->size; i += 61) {
        if (compare) {
            CHECK(((unsigned char*)data)[i] == things_byte(place->seed, i));
        } else {
            ((unsigned char*)data)[i] = things_byte(place->seed, i);
        }
    }
    sxvkUnmapMemory(field->rig->allocator, place->allocation);
}

static void work_on(Worker* worker, Place* place) {
    Field* field = worker->field;
    SxvkAllocator allocator = field->rig->allocator;
    uint32_t what = testing_below(&worker->random, 8);
    SxvkAllocationInfo info;
    if (place->allocation == VK_NULL_HANDLE) {
        SxvkAllocationCreateInfo create = {0};
        VkMemoryRequirements needs;
        create.pool = field->pools[testing_below(&worker->random, 2)];
        create.flags =
            testing_below(&worker->random, 50) == 0 ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0;
        place->size = testing_log_uniform(&worker->random, 64, 64 * KIB);
        place->seed = testing_random(&worker->random);
        needs = testing_requirements(place->size, 16, 1u << HOST);
        if (what < 3 && sxvkAllocateMemory(allocator, &needs, &create, &place->allocation, NULL) ==
                            VK_SUCCESS) {
            place_fill(field, place, 0);
        }
        return;
    }
    switch (what) {
    case 0:
    case 1:
    case 2:
        sxvkFreeMemory(allocator, place->allocation);
        place->allocation = VK_NULL_HANDLE;
        break;
    case 3: place_fill(field, place, 1); break;
    case 4: CHECK(sxvkIsAllocationValid(allocator, place->allocation)); break;
    case 5:
        CHECK(sxvkSetAllocationName(allocator, place->allocation, "somebody") == VK_SUCCESS);
        break;
    case 6: {
        SxvkAllocationInfo2 more;
        sxvkGetAllocationInfo2(allocator, place->allocation, &more);
        CHECK(more.blockSize >= place->size);
        break;
    }
    default:
        sxvkGetAllocationInfo(allocator, place->allocation, &info);
        CHECK(info.size == place->size && info.deviceMemory != VK_NULL_HANDLE);
        break;
    }
}

static void* work(void* user) {
    Worker* worker = (Worker*)user;
    while (!__atomic_load_n(&worker->field->stop, __ATOMIC_ACQUIRE)) {
        Place* place = &worker->field->places[testing_below(&worker->random, PLACES)];
        pthread_mutex_lock(&place->lock);
        work_on(worker, place);
        pthread_mutex_unlock(&place->lock);
    }
    return NULL;
}

/*  Copy under the lock of the place; it may be freed, and read, between that and the end of the pass;
    but not written. */
static int copy_move(Field* field, const SxvkDefragmentationMove* move) {
    SxvkAllocator allocator = field->rig->allocator;
    uint32_t i;
    for (i = 0; i < PLACES; i++) {
        Place* place = &field->places[i];
        void *from, *to;
        int is_it;
        pthread_mutex_lock(&place->lock);
        is_it = place->allocation == move->srcAllocation;
        if (is_it) {
            CHECK(sxvkMapMemory(allocator, move->srcAllocation, &from) == VK_SUCCESS);
            CHECK(sxvkMapMemory(allocator, move->dstTmpAllocation, &to) == VK_SUCCESS);
            memcpy(to, from, (size_t)place->size);
            sxvkUnmapMemory(allocator, move->dstTmpAllocation);
            sxvkUnmapMemory(allocator, move->srcAllocation);
        }
        pthread_mutex_unlock(&place->lock);
        if (is_it) {
            return 1;
        }
    }
    return 0;
}

static void* defragment(void* user) {
    Worker* worker = (Worker*)user;
    Field* field = worker->field;
    SxvkAllocator allocator = field->rig->allocator;
    while (!__atomic_load_n(&field->stop, __ATOMIC_ACQUIRE)) {
        SxvkDefragmentationInfo info = {0};
        SxvkDefragmentationContext context;
        SxvkDefragmentationPassMoveInfo pass;
        SxvkDefragmentationStats stats;
        uint32_t i, passes = 0;
        info.pool = field->pools[testing_below(&worker->random, 2)];
        info.flags = (SxvkDefragmentationFlags)1 << testing_below(&worker->random, 4);
        info.maxAllocationsPerPass = 1 + testing_below(&worker->random, 60);
        CHECK(sxvkBeginDefragmentation(allocator, &info, &context) == VK_SUCCESS);
        while (sxvkBeginDefragmentationPass(allocator, context, &pass) == VK_INCOMPLETE &&
               passes++ < 100) {
            for (i = 0; i < pass.moveCount; i++) {
                if (!copy_move(field, &pass.pMoves[i])) {
                    pass.pMoves[i].operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_IGNORE;
                    __atomic_fetch_add(&field->gone, 1, __ATOMIC_RELAXED);
                }
            }
            while (sxvkEndDefragmentationPass(allocator, context, &pass) == VK_NOT_READY) {
                sched_yield(); /* somebody reads it */
            }
        }
        sxvkEndDefragmentation(allocator, context, &stats);
        __atomic_fetch_add(&field->moved, stats.allocationsMoved, __ATOMIC_RELAXED);
    }
    return NULL;
}

static VkBool32 VKAPI_PTR count_one(void* user, SxvkAllocator allocator,
                                    SxvkAllocation allocation) {
    (void)allocator;
    (void)allocation;
    ++*(uint32_t*)user;
    return VK_TRUE;
}

/*  Statistics, dumps and checks while it goes on. */
static void* watch(void* user) {
    Worker* worker = (Worker*)user;
    SxvkAllocator allocator = worker->field->rig->allocator;
    while (!__atomic_load_n(&worker->field->stop, __ATOMIC_ACQUIRE)) {
        SxvkTotalStatistics total;
        uint32_t count = 0;
        char* text = NULL;
        CHECK(sxvkCheckIntegrity(allocator) == VK_SUCCESS);
        sxvkCalculateStatistics(allocator, &total);
        CHECK(sxvkBuildStatsString(allocator, &text, VK_TRUE) == VK_SUCCESS);
        sxvkFreeStatsString(allocator, text);
        sxvkForEachAllocation(allocator, count_one, &count);
        (void)sxvkTrim(allocator);
        wait_for(0.001);
    }
    return NULL;
}

static void run_threads(uint64_t seed, double seconds) {
    static Field field;
    RigOptions options = rig_options();
    SxvkPoolCreateInfo pool = {.memoryTypeIndex = HOST, .blockSize = MIB};
    pthread_t threads[WORKERS + 3];
    Worker workers[WORKERS + 3];
    uint32_t i, alive = 0;
    current_seed = seed;
    memset(&field, 0, sizeof field);
    options.sim.backing = true;
    field.rig = rig_create(&options);
    CHECK(sxvkCreatePool(field.rig->allocator, &pool, &field.pools[1]) == VK_SUCCESS);
    for (i = 0; i < PLACES; i++) {
        CHECK(pthread_mutex_init(&field.places[i].lock, NULL) == 0);
    }
    for (i = 0; i < WORKERS + 3; i++) {
        workers[i].field = &field;
        workers[i].random = seed * 100 + i;
        CHECK(pthread_create(&threads[i], NULL,
                             i < WORKERS       ? work
                             : i < WORKERS + 2 ? defragment
                                               : watch,
                             &workers[i]) == 0);
    }
    wait_for(seconds);
    __atomic_store_n(&field.stop, 1, __ATOMIC_RELEASE);
    for (i = 0; i < WORKERS + 3; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    for (i = 0; i < PLACES; i++) {
        Place* place = &field.places[i];
        if (place->allocation != VK_NULL_HANDLE) {
            place_fill(&field, place, 1);
            alive++;
        }
    }
    CHECK(rig_statistics(field.rig).allocationCount == alive);
    for (i = 0; i < PLACES; i++) {
        if (field.places[i].allocation != VK_NULL_HANDLE) {
            sxvkFreeMemory(field.rig->allocator, field.places[i].allocation);
        }
        pthread_mutex_destroy(&field.places[i].lock);
    }
    printf("threads: %llu moved, %llu ignored\n", (unsigned long long)field.moved,
           (unsigned long long)field.gone);
    sxvkDestroyPool(field.rig->allocator, field.pools[1]);
    rig_destroy(field.rig);
}

/* ------------------------------------------------------------------ arguments */

int main(int argc, char** argv) {
    double seconds = 5, start = now();
    int single = 1, threads = 1, i;
    uint64_t seed = 1, programs = 0;
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
            seconds = strtod(argv[++i], NULL);
        } else if (strcmp(argv[i], "--threads-only") == 0) {
            single = 0;
        } else if (strcmp(argv[i], "--single-only") == 0) {
            threads = 0;
        } else {
            fprintf(stderr, "usage: fuzz_defrag [--seed N] [--seconds S] [--threads-only] "
                            "[--single-only]\n");
            return 2;
        }
    }
    (void)alarm((unsigned)seconds + 120); /* a deadlock ends here */
    if (threads) {
        run_threads(seed, seconds / (single ? 2 : 1));
    }
    for (; single && now() - start < seconds; seed++) {
        run_program(seed);
        programs++;
    }
    printf("%llu programs, the last seed was %llu\n", (unsigned long long)programs,
           (unsigned long long)seed - 1);
    return 0;
}
