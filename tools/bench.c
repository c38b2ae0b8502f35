/*
    bench.c - speed and waste of the allocator on the simulated device, as ratios to mimalloc.

        cc -O2 -DNDEBUG -I. -Itests/support tools/bench.c tests/support/sim.c tests/support/trace.c
           -DSXVK_BENCH_MIMALLOC=1 -lmimalloc -lcjson -llzma -lpthread -o bench
        ./bench [churn] [blocks] [holes] [traces]        no argument: all of them

    churn     fill with N, then free a random one and allocate another size in its place: ns a pair,
              against malloc + free of mimalloc with the same sizes in the same run
    blocks    the same 10k live in a pool of 2 blocks and in one of 1,000
    holes     one allocation among 61,680 holes that are just too small
    traces    what eight real programs asked for: committed / live at its peak and as the ratio of the
              averages over all events, and driver calls

    Times are CPU time of the thread, the median of several rounds that alternate with the peer's.
*/
#define SX_VKALLOC_IMPLEMENTATION
#define SX_VKALLOC_STATIC_VULKAN_FUNCTIONS 0
#define _POSIX_C_SOURCE 200809L
#include "sx_vkalloc.h"

#include "sim.h"
#include "trace.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#ifndef SXVK_BENCH_MIMALLOC
#define SXVK_BENCH_MIMALLOC 0
#endif
#if SXVK_BENCH_MIMALLOC
#include <mimalloc.h>
#define PEER_NAME "mimalloc"
#define PEER_MALLOC(n) mi_malloc(n)
#define PEER_FREE(p) mi_free(p)
#else
#define PEER_NAME "glibc malloc"
#define PEER_MALLOC(n) malloc(n)
#define PEER_FREE(p) free(p)
#endif

#ifndef SXVK_TEST_DATA_DIR
#define SXVK_TEST_DATA_DIR "tests/data"
#endif

#define ROUNDS 7

static void die(const char* what, VkResult result) {
    fprintf(stderr, "bench: %s failed with %d\n", what, (int)result);
    exit(1);
}

static void check(VkResult result, const char* what) {
    if (result != VK_SUCCESS) {
        die(what, result);
    }
}

/* --- the sequences of the design: anyone can repeat them --- */

typedef struct Random {
    uint64_t state;
} Random;

static uint64_t random_next(Random* random) {
    uint64_t z = (random->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint32_t random_below(Random* random, uint32_t n) {
    return (uint32_t)(((random_next(random) >> 32) * n) >> 32);
}

/*  Log-uniform, a multiple of 256. */
static uint64_t random_size(Random* random, double lo, double hi) {
    double u = (double)(random_next(random) >> 11) * 0x1p-53;
    uint64_t size = (uint64_t)(lo * exp2(u * log2(hi / lo)));
    return (size + 255) / 256 * 256;
}

static double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare_doubles(const void* a, const void* b) {
    double x = *(const double*)a;
    double y = *(const double*)b;
    return (x > y) - (x < y);
}

static double median(double* values, int count) {
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return values[count / 2];
}

/* --- an allocator on a simulated device --- */

typedef struct Bench {
    Sim* sim;
    SxvkAllocator allocator;
} Bench;

static void bench_open(Bench* bench) {
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    SxvkVulkanFunctions functions = {0};
    SxvkAllocatorCreateInfo info = {0};
    options.checks = false;
    options.backing = false;
    profile.maxMemoryAllocationCount = UINT32_MAX;
    profile.memory.memoryHeaps[2].size = (VkDeviceSize)2 << 30; /* blender keeps 1.4 GB there */
    bench->sim = sim_create(&profile, &options);
    functions.vkGetInstanceProcAddr = sim_get_instance_proc_addr();
    functions.vkGetDeviceProcAddr = sim_get_device_proc_addr();
    info.instance = sim_instance(bench->sim);
    info.physicalDevice = sim_physical_device(bench->sim);
    info.device = sim_device(bench->sim);
    info.vulkanApiVersion = VK_API_VERSION_1_3;
    info.pVulkanFunctions = &functions;
    check(sxvkCreateAllocator(&info, &bench->allocator), "sxvkCreateAllocator");
}

static void bench_close(Bench* bench) {
    sxvkDestroyAllocator(bench->allocator);
    sim_destroy(bench->sim);
}

/*  Device memory for a buffer, by its requirements alone. */
static SxvkAllocation bench_allocate(Bench* bench, SxvkPool pool, uint64_t size) {
    VkMemoryRequirements requirements = {.size = size, .alignment = 256, .memoryTypeBits = 1};
    SxvkAllocationCreateInfo info = {.usage = SXVK_MEMORY_USAGE_AUTO, .pool = pool};
    SxvkAllocation allocation;
    check(sxvkAllocateMemory(bench->allocator, &requirements, &info, &allocation, NULL),
          "sxvkAllocateMemory");
    return allocation;
}

static double committed_over_live(Bench* bench) {
    SxvkBudget budget;
    sxvkGetHeapBudget(bench->allocator, 0, &budget);
    return (double)budget.statistics.blockBytes / (double)budget.statistics.allocationBytes;
}

/* --- churn --- */

typedef struct Churn {
    uint32_t live;
    double hi;
    uint32_t pairs; /* of one round */
} Churn;

/*  ns a pair of one round; ours where bench is not null, else the peer's. */
static double churn_round(Bench* bench, SxvkPool pool, void** slots, const Churn* churn,
                          Random* random) {
    double start = thread_seconds();
    for (uint32_t i = 0; i < churn->pairs; i++) {
        uint32_t slot = random_below(random, churn->live);
        uint64_t size = random_size(random, 256, churn->hi);
        if (bench != NULL) {
            sxvkFreeMemory(bench->allocator, (SxvkAllocation)slots[slot]);
            slots[slot] = bench_allocate(bench, pool, size);
        } else {
            PEER_FREE(slots[slot]);
            slots[slot] = PEER_MALLOC(size);
        }
    }
    return (thread_seconds() - start) * 1e9 / churn->pairs;
}

/*  What the generator of the sequence costs by itself. */
static double churn_empty_round(const Churn* churn, Random* random) {
    double start = thread_seconds();
    volatile uint64_t sink = 0;
    for (uint32_t i = 0; i < churn->pairs; i++) {
        sink = random_below(random, churn->live);
        sink = random_size(random, 256, churn->hi);
    }
    (void)sink;
    return (thread_seconds() - start) * 1e9 / churn->pairs;
}

static void run_churn(void) {
    const Churn cases[] = {{1000, 1048576, 400000},
                           {10000, 1048576, 400000},
                           {100000, 262144, 400000},
                           {1000000, 16384, 1000000}};
    printf("churn      live   ns/pair  %s   ratio   committed/live  blocks\n", PEER_NAME);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const Churn* churn = &cases[c];
        void** ours = malloc(churn->live * sizeof *ours);
        void** theirs = malloc(churn->live * sizeof *theirs);
        double our_times[ROUNDS], their_times[ROUNDS], ratios[ROUNDS];
        Random random = {0x1234}, peer_random = {0x1234}, empty_random = {0x1234};
        SxvkBudget budget;
        Bench bench;
        bench_open(&bench);
        for (uint32_t i = 0; i < churn->live; i++) {
            uint64_t size = random_size(&random, 256, churn->hi);
            ours[i] = bench_allocate(&bench, NULL, size);
            theirs[i] = PEER_MALLOC(size);
        }
        churn_round(&bench, NULL, ours, churn, &random);
        churn_round(NULL, NULL, theirs, churn, &peer_random);
        for (int round = 0; round < ROUNDS; round++) {
            double empty = churn_empty_round(churn, &empty_random);
            our_times[round] = churn_round(&bench, NULL, ours, churn, &random) - empty;
            their_times[round] = churn_round(NULL, NULL, theirs, churn, &peer_random) - empty;
            ratios[round] = our_times[round] / their_times[round];
        }
        sxvkGetHeapBudget(bench.allocator, 0, &budget);
        printf("      %9u  %8.1f  %8.1f  %6.2f        %8.3f     %6u\n", churn->live,
               median(our_times, ROUNDS), median(their_times, ROUNDS), median(ratios, ROUNDS),
               committed_over_live(&bench), budget.statistics.blockCount);
        for (uint32_t i = 0; i < churn->live; i++) {
            sxvkFreeMemory(bench.allocator, (SxvkAllocation)ours[i]);
            PEER_FREE(theirs[i]);
        }
        bench_close(&bench);
        free(ours);
        free(theirs);
    }
}

/* --- blocks: does their number cost anything? --- */

static double blocks_time(uint64_t block_size, uint32_t* block_count) {
    const Churn churn = {10000, 262144, 400000};
    double times[ROUNDS];
    void** slots = malloc(churn.live * sizeof *slots);
    Random random = {0x1234}, empty_random = {0x1234};
    SxvkPoolCreateInfo info = {.memoryTypeIndex = 0, .blockSize = block_size};
    SxvkStatistics stats;
    SxvkPool pool;
    Bench bench;
    bench_open(&bench);
    check(sxvkCreatePool(bench.allocator, &info, &pool), "sxvkCreatePool");
    for (uint32_t i = 0; i < churn.live; i++) {
        slots[i] = bench_allocate(&bench, pool, random_size(&random, 256, churn.hi));
    }
    churn_round(&bench, pool, slots, &churn, &random);
    for (int round = 0; round < ROUNDS; round++) {
        double empty = churn_empty_round(&churn, &empty_random);
        times[round] = churn_round(&bench, pool, slots, &churn, &random) - empty;
    }
    sxvkGetPoolStatistics(bench.allocator, pool, &stats);
    *block_count = stats.blockCount;
    for (uint32_t i = 0; i < churn.live; i++) {
        sxvkFreeMemory(bench.allocator, (SxvkAllocation)slots[i]);
    }
    sxvkDestroyPool(bench.allocator, pool);
    bench_close(&bench);
    free(slots);
    return median(times, ROUNDS);
}

static void run_blocks(void) {
    uint32_t few, many;
    double few_time = blocks_time((uint64_t)256 << 20, &few);
    double many_time = blocks_time(400 * 1024, &many);
    printf("blocks     10000 live: %.1f ns a pair in %u blocks, %.1f ns in %u: ratio %.2f\n", few_time,
           few, many_time, many, many_time / few_time);
}

/* --- holes --- */

static void run_holes(void) {
    enum { HOLES = 61680, TRIES = 4096 };
    SxvkAllocation* keep = malloc(HOLES * sizeof *keep);
    SxvkAllocation* holes = malloc(HOLES * sizeof *holes);
    SxvkAllocation* tries = malloc(TRIES * sizeof *tries);
    SxvkPoolCreateInfo info = {.memoryTypeIndex = 0, .blockSize = (uint64_t)256 << 20,
                               .flags = SXVK_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT};
    double times[ROUNDS];
    SxvkPool pool;
    Bench bench;
    bench_open(&bench);
    check(sxvkCreatePool(bench.allocator, &info, &pool), "sxvkCreatePool");
    for (uint32_t i = 0; i < HOLES; i++) {
        holes[i] = bench_allocate(&bench, pool, 4096);
        keep[i] = bench_allocate(&bench, pool, 256);
    }
    for (uint32_t i = 0; i < HOLES; i++) {
        sxvkFreeMemory(bench.allocator, holes[i]);
    }
    for (int round = 0; round < ROUNDS; round++) {
        double start = thread_seconds();
        for (uint32_t i = 0; i < TRIES; i++) {
            tries[i] = bench_allocate(&bench, pool, 4100);
        }
        times[round] = (thread_seconds() - start) * 1e9 / TRIES;
        for (uint32_t i = 0; i < TRIES; i++) {
            sxvkFreeMemory(bench.allocator, tries[i]);
        }
    }
    printf("holes      one of 4100 bytes among %d holes of 4096: %.1f ns\n", HOLES,
           median(times, ROUNDS));
    for (uint32_t i = 0; i < HOLES; i++) {
        sxvkFreeMemory(bench.allocator, keep[i]);
    }
    sxvkDestroyPool(bench.allocator, pool);
    bench_close(&bench);
    free(keep);
    free(holes);
    free(tries);
}

/* --- traces --- */

/*  The simulated device gives each resource what the trace says that the real one asked for. */
static void trace_requirements(void* user, const VkBufferCreateInfo* buffer,
                               const VkImageCreateInfo* image, SimRequirements* requirements) {
    const TraceEvent* event = *(const TraceEvent* const*)user;
    (void)buffer;
    (void)image;
    requirements->memory.size = event->size;
    requirements->memory.alignment = event->align;
    requirements->prefersDedicated = event->dedicated == 1;
    requirements->requiresDedicated = event->dedicated == 2;
}

typedef struct Resource {
    VkBuffer buffer;
    VkImage image;
    SxvkAllocation allocation;
    uint64_t size;
} Resource;

static void trace_create(Bench* bench, const TraceEvent* event, Resource* resource) {
    SxvkAllocationCreateInfo info = {.requiredFlags = event->props};
    VkResult result;
    /* Exactly the flags that the program chose. */
    info.memoryTypeBits = event->props == 1 ? 1 : event->props == 6 ? 2 : event->props == 14 ? 4 : 8;
    if (event->kind == TRACE_BUFFER) {
        VkBufferCreateInfo buffer = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
        buffer.size = event->size;
        buffer.usage = event->usage & ~(uint32_t)VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
        result = sxvkCreateBuffer(bench->allocator, &buffer, &info, &resource->buffer,
                                  &resource->allocation, NULL);
    } else {
        VkImageCreateInfo image = {.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO};
        image.imageType = event->d > 1 ? VK_IMAGE_TYPE_3D : VK_IMAGE_TYPE_2D;
        image.format = (VkFormat)event->format;
        image.extent = (VkExtent3D){event->w, event->h, event->d};
        image.mipLevels = event->mips;
        image.arrayLayers = event->layers;
        image.samples = (VkSampleCountFlagBits)event->samples;
        image.tiling = event->tiling ? VK_IMAGE_TILING_LINEAR : VK_IMAGE_TILING_OPTIMAL;
        image.usage = event->usage;
        result = sxvkCreateImage(bench->allocator, &image, &info, &resource->image,
                                 &resource->allocation, NULL);
    }
    check(result, "creating a resource of the trace");
    resource->size = event->size;
}

static void trace_destroy(Bench* bench, Resource* resource) {
    if (resource->buffer != VK_NULL_HANDLE) {
        sxvkDestroyBuffer(bench->allocator, resource->buffer, resource->allocation);
    } else if (resource->image != VK_NULL_HANDLE) {
        sxvkDestroyImage(bench->allocator, resource->image, resource->allocation);
    }
    *resource = (Resource){0};
}

static void run_trace(const char* name) {
    const TraceEvent* current = NULL;
    uint64_t live = 0, peak_live = 0, peak_committed = 0;
    uint32_t frame = 0;
    double live_sum = 0, committed_sum = 0, seconds = 0;
    size_t operations = 0;
    char path[512];
    Trace trace;
    Bench bench;
    snprintf(path, sizeof path, "%s/traces/%s.trace.xz", SXVK_TEST_DATA_DIR, name);
    if (!trace_load(path, &trace)) {
        fprintf(stderr, "bench: %s\n", trace.error);
        exit(1);
    }
    Resource* resources = calloc(trace.idCount, sizeof *resources);
    bench_open(&bench);
    sim_set_requirements(bench.sim, trace_requirements, &current);
    for (size_t i = 0; i < trace.eventCount; i++) {
        const TraceEvent* event = &trace.events[i];
        double start = thread_seconds();
        current = event;
        switch (event->kind) {
        case TRACE_BUFFER:
        case TRACE_IMAGE:
            trace_create(&bench, event, &resources[event->id]);
            live += event->size;
            break;
        case TRACE_DESTROY:
            live -= resources[event->id].size;
            trace_destroy(&bench, &resources[event->id]);
            break;
        case TRACE_PRESENT:
            sxvkSetCurrentFrameIndex(bench.allocator, ++frame);
            continue;
        default:
            continue;
        }
        seconds += thread_seconds() - start;
        operations++;
        uint64_t committed = 0;
        for (uint32_t heap = 0; heap < 3; heap++) {
            committed += sim_live_memory_bytes(bench.sim, heap);
        }
        peak_live = live > peak_live ? live : peak_live;
        peak_committed = committed > peak_committed ? committed : peak_committed;
        live_sum += (double)live;
        committed_sum += (double)committed;
    }
    printf("traces     %-15s %7.1f MB peak  committed/live %.3f at peak, %.3f average  %4u "
           "vkAllocateMemory  %4.0f ns/op\n",
           name, (double)peak_live * 1e-6, (double)peak_committed / (double)peak_live,
           committed_sum / live_sum, (unsigned)sim_calls(bench.sim, SIM_CALL_ALLOCATE_MEMORY),
           seconds * 1e9 / (double)operations);
    for (uint32_t id = 0; id < trace.idCount; id++) {
        trace_destroy(&bench, &resources[id]);
    }
    bench_close(&bench);
    free(resources);
    trace_free(&trace);
}

static void run_traces(void) {
    static const char* const names[] = {"blender-heavy", "gcompris",       "minetest",
                                        "nexuiz",        "openarena-demo", "stellarium",
                                        "stk-candela",   "warzone-cam1a"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        run_trace(names[i]);
    }
}

int main(int argc, char** argv) {
    static const struct {
        const char* name;
        void (*run)(void);
    } sequences[] = {
        {"churn", run_churn}, {"blocks", run_blocks}, {"holes", run_holes}, {"traces", run_traces}};
    const size_t count = sizeof sequences / sizeof *sequences;
    for (int a = 1; a < argc; a++) {
        size_t s = 0;
        while (s < count && strcmp(argv[a], sequences[s].name) != 0) {
            s++;
        }
        if (s == count) {
            fprintf(stderr, "bench: no sequence '%s'; there are churn, blocks, holes, traces\n",
                    argv[a]);
            return 2;
        }
    }
    for (size_t s = 0; s < count; s++) {
        int wanted = argc == 1;
        for (int a = 1; a < argc; a++) {
            wanted |= strcmp(argv[a], sequences[s].name) == 0;
        }
        if (wanted) {
            sequences[s].run();
        }
    }
    return 0;
}
