/*
    sequence_upload.c - pieces of buffers: slices of a frame ring, and pairs of free and allocate in a
    buffer arena, beside pairs of a virtual block and of sxvkAllocateMemory with the same sizes.
*/
#include "report.h"
#include "sequences.h"
#include "subject.h"

#include "sx_vkalloc.h"

#include <stdlib.h>

typedef struct Upload {
    Device* device;
    SxvkAllocator allocator;
    SxvkFrameRing ring;
    SxvkBufferArena arena;
    SxvkVirtualBlock block;
    uint64_t frame;
    bool mixed;
    uint32_t live;
    Random random;
    void** slots;       /* SxvkArenaAllocation, SxvkVirtualAllocation or SxvkAllocation */
    uint64_t hostBytes; /* before the first of them */
} Upload;

static uint64_t upload_size(Upload* upload) {
    return upload->mixed ? random_size(&upload->random, 64, 16384, 1) : 256;
}

static void* arena_take(Upload* upload) {
    SxvkArenaAllocation allocation;
    check(sxvkAllocateFromBufferArena(upload->arena, upload_size(upload), 0, &allocation, NULL),
          "sxvkAllocateFromBufferArena");
    return allocation;
}

static void arena_give(Upload* upload, void* slot) {
    sxvkFreeToBufferArena(upload->arena, (SxvkArenaAllocation)slot);
}

/*  The arena rounds sizes up to 16 bytes, so the block has these as its unit. */
static void* virtual_take(Upload* upload) {
    const SxvkVirtualAllocationCreateInfo info = {.size = (upload_size(upload) + 15) / 16};
    SxvkVirtualAllocation allocation;
    check(sxvkVirtualAllocate(upload->block, &info, &allocation, NULL), "sxvkVirtualAllocate");
    return allocation;
}

static void virtual_give(Upload* upload, void* slot) {
    sxvkVirtualFree(upload->block, (SxvkVirtualAllocation)slot);
}

static void* memory_take(Upload* upload) {
    const VkMemoryRequirements requirements = {upload_size(upload), 16, 1};
    const SxvkAllocationCreateInfo info = {0};
    SxvkAllocation allocation;
    check(sxvkAllocateMemory(upload->allocator, &requirements, &info, &allocation, NULL),
          "sxvkAllocateMemory");
    return allocation;
}

static void memory_give(Upload* upload, void* slot) {
    sxvkFreeMemory(upload->allocator, (SxvkAllocation)slot);
}

/*  1000 slices a frame, three frames in flight. */
static double ring_ns(Upload* upload, uint32_t count) {
    SxvkBufferSlice slice;
    double start = thread_seconds();
    for (uint32_t i = 0; i < count; i++) {
        if (i % 1000 == 0) {
            upload->frame++;
            if (upload->frame > 3) {
                check(sxvkCompleteFrameRing(upload->ring, upload->frame - 3), "complete");
            }
            check(sxvkBeginFrameRing(upload->ring, upload->frame), "sxvkBeginFrameRing");
        }
        check(sxvkAllocateFromFrameRing(upload->ring, 256, 0, &slice), "sxvkAllocateFromFrameRing");
    }
    return (thread_seconds() - start) * 1e9 / count;
}

typedef struct Way {
    const char* name;
    bool mixed;
    void* (*take)(Upload* upload); /* NULL: the ring */
    void (*give)(Upload* upload, void* slot);
} Way;

static const Way ways[] = {
    {"ring, 256 B", false, NULL, NULL},
    {"arena, 256 B", false, arena_take, arena_give},
    {"virtual, 256 B", false, virtual_take, virtual_give},
    {"sxvkAllocateMemory, 256 B", false, memory_take, memory_give},
    {"arena, 64 B-16 KiB", true, arena_take, arena_give},
    {"virtual, 64 B-16 KiB", true, virtual_take, virtual_give},
    {"sxvkAllocateMemory, 64 B-16 KiB", true, memory_take, memory_give},
};
#define WAY_COUNT (sizeof ways / sizeof *ways)

static double pair_ns(Upload* upload, const Way* way, uint32_t count) {
    double start = thread_seconds();
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = random_below(&upload->random, upload->live);
        way->give(upload, upload->slots[slot]);
        upload->slots[slot] = way->take(upload);
    }
    return (thread_seconds() - start) * 1e9 / count;
}

static void upload_open(Upload* upload, const Way* way) {
    const Setup setup = {0};
    const SxvkFrameRingCreateInfo ringInfo = {.usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT};
    const SxvkBufferArenaCreateInfo arenaInfo = {.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT};
    upload->device = device_open(&setup);
    const SxvkVirtualBlockCreateInfo blockInfo = {
        .size = 1 << 28, .pAllocationCallbacks = &upload->device->host.callbacks};
    const SxvkVulkanFunctions functions = {.vkGetInstanceProcAddr = sim_get_instance_proc_addr(),
                                           .vkGetDeviceProcAddr = sim_get_device_proc_addr()};
    const SxvkAllocatorCreateInfo info = {
        .instance = sim_instance(upload->device->sim),
        .physicalDevice = sim_physical_device(upload->device->sim),
        .device = sim_device(upload->device->sim),
        .vulkanApiVersion = VK_API_VERSION_1_3,
        .pVulkanFunctions = &functions,
        .pAllocationCallbacks = &upload->device->host.callbacks,
    };
    upload->mixed = way->mixed;
    upload->random.state = RANDOM_SEED;
    check(sxvkCreateAllocator(&info, &upload->allocator), "sxvkCreateAllocator");
    check(sxvkCreateFrameRing(upload->allocator, &ringInfo, &upload->ring), "sxvkCreateFrameRing");
    check(sxvkCreateBufferArena(upload->allocator, &arenaInfo, &upload->arena),
          "sxvkCreateBufferArena");
    check(sxvkCreateVirtualBlock(&blockInfo, &upload->block), "sxvkCreateVirtualBlock");
    upload->hostBytes = upload->device->host.bytes;
    for (uint32_t i = 0; way->take != NULL && i < upload->live; i++) {
        upload->slots[i] = way->take(upload);
    }
}

static void upload_close(Upload* upload, const Way* way) {
    for (uint32_t i = 0; way->take != NULL && i < upload->live; i++) {
        way->give(upload, upload->slots[i]);
    }
    sxvkDestroyVirtualBlock(upload->block);
    sxvkDestroyBufferArena(upload->allocator, upload->arena);
    sxvkDestroyFrameRing(upload->allocator, upload->ring);
    sxvkDestroyAllocator(upload->allocator);
    device_close(upload->device);
}

static const Column columns[] = {
    {"what", "what", NULL},
    {"live", "live", "%.0f"},
    {"nsPerOperation", "ns", "%.1f"},
    {"driverCalls", "driver calls", "%.0f"},
    {"hostBytesPerLive", "B/live", "%.1f"},
};

void run_upload(void) {
    const uint32_t count = (uint32_t)at_scale(1000000, 200000, 2000);
    Table table =
        TABLE("upload", "Pieces of buffers: a slice of a ring, a pair in an arena",
              "driver calls of all kinds, from the first allocation to the last", columns);
    for (size_t w = 0; w < WAY_COUNT; w++) {
        const Way* way = &ways[w];
        double ns[MAX_ROUNDS];
        Upload upload = {0};
        upload.live = (uint32_t)at_scale(100000, 100000, 1000);
        upload.slots = allocate_or_die(upload.live, sizeof *upload.slots);
        progress("upload: %s", way->name);
        upload_open(&upload, way);
        for (uint32_t round = 0; round <= settings.rounds; round++) { /* the first warms up */
            double one = way->take == NULL ? ring_ns(&upload, count) : pair_ns(&upload, way, count);
            ns[round > 0 ? round - 1 : 0] = one;
        }
        table_row(&table);
        table_text(&table, "what", way->name);
        table_number(&table, "live", way->take == NULL ? 3000 : upload.live);
        table_spread(&table, "nsPerOperation", spread_of(ns, settings.rounds));
        table_number(&table, "driverCalls", (double)device_driver_calls(upload.device));
        table_number(&table, "hostBytesPerLive",
                     (double)(upload.device->host.bytes - upload.hostBytes) /
                         (way->take == NULL ? 3000 : upload.live));
        upload_close(&upload, way);
        free(upload.slots);
    }
    progress_end();
    table_print(&table);
}
