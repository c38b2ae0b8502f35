/*
    Replays a recorded program on a real device: creates the resources that it had, fills each with
    a pattern of its own, and before it goes reads it back through the GPU and compares every byte.
    Part of the demo.
*/

#ifndef DEMO_REPLAY_H
#define DEMO_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "demo_format.h"
#include "gpu.h"
#include "memory_svg.h"
#include "sx_vkalloc.h"
#include "trace.h"

typedef struct ReplayResource {
    uint32_t id; /* in the trace */
    MemoryKind kind;
    VkBuffer buffer;
    VkImage image;
    SxvkAllocation allocation;
    uint32_t heap;
    VkDeviceSize allocationSize;
    VkDeviceSize contentSize; /* bytes to write and compare; 0 = cannot be copied */
    bool hostAccess;          /* the program mapped it */
    bool verified;
    VkImageCreateInfo imageInfo;
} ReplayResource;

/*  What the demo keeps count of, apart from the allocator. */
typedef struct ReplayHeap {
    VkDeviceSize live, committed;
    uint64_t allocations, blocks;        /* alive */
    uint64_t created, createNanoseconds; /* all so far, without the driver's time */
    uint64_t allocateCalls, freeCalls;   /* vkAllocateMemory, vkFreeMemory */
} ReplayHeap;

typedef struct ReplayBlock {
    VkDeviceMemory memory;
    VkDeviceSize size;
    uint32_t type;
    uint64_t serial;
} ReplayBlock;

/*  A buffer that moves bytes between the CPU and the GPU, filled from the front until the GPU is
    waited for. */
typedef struct ReplayStaging {
    VkBuffer buffer;
    SxvkAllocation allocation;
    uint8_t* data;
    VkDeviceSize capacity, used;
} ReplayStaging;

typedef struct ReplayCheck {
    ReplayResource* resource;
    VkDeviceSize offset; /* in the readback buffer */
} ReplayCheck;

typedef struct ReplayTotals {
    uint64_t buffers, images;
    uint64_t trimmed, replaced, unsupported; /* see ImageFit; trimmed counts buffers as well */
    uint64_t notCompared;                    /* created, but there is no way to copy them */
    uint64_t imports;                        /* memory that the program imported */
    uint64_t written, compared, wrong;       /* bytes */
    uint64_t wrongResources;
    uint64_t submits;
    uint64_t errors, warnings;    /* messages of the allocator */
    double liveSum, committedSum; /* bytes after each event, to average them */
    uint64_t samples;
} ReplayTotals;

typedef struct Replay {
    Gpu* gpu;
    const Trace* trace;
    char program[64]; /* its name */
    SxvkAllocator allocator;
    SxvkModule modules[MEMORY_KIND_COUNT]; /* of what is allocated, by its kind */
    /* The staging buffers stay out of the program's figures. */
    SxvkAllocator stagingAllocator;
    ReplayStaging upload, readback;
    VkCommandBuffer commands; /* being recorded, or null */
    uint32_t frame;
    bool stopped; /* something failed and was reported */
    ReplayResource* resources;
    size_t resourceCount;
    uint32_t* resourceOfId; /* index + 1 */
    ReplayCheck* checks;    /* recorded, to be compared after the next submit */
    size_t checkCount, checkCapacity;
    ReplayBlock* blocks;
    size_t blockCount, blockCapacity;
    ReplayHeap heaps[VK_MAX_MEMORY_HEAPS];
    ReplayTotals totals;
} Replay;

/*  Each function reports what fails, and then gives false. */
bool replay_begin(Replay* replay, Gpu* gpu, const Trace* trace, const char* program);
bool replay_event(Replay* replay, size_t index);

/*  Does the allocator agree with our own count of it, and with itself? */
bool replay_check(Replay* replay);

/*  The dump by itself, and inside of memview. */
bool replay_write_dump(Replay* replay, const char* path, const char* pagePath);
bool replay_write_picture(Replay* replay, const char* path);

/*  Compare and destroy what is still alive; then the allocator must be empty. */
bool replay_finish(Replay* replay);

/*  Release everything, in any state. */
void replay_end(Replay* replay);

#endif
