/*
    Shows how a profiler learns of GPU memory: the hooks of the allocator feed the memory pools of
    Tracy, one for each memory type, and its zones. Without Tracy the example brings a recorder with
    the same macros, which checks that what was allocated is freed.

    Build and run, from the repository:
        cc -std=c99 -I. examples/12_tracy.c -o tracy -lvulkan -pthread
        ./tracy

    With Tracy (https://github.com/wolfpld/tracy): cmake -DSX_VKALLOC_TRACY_DIR=..., or compile its
    public/TracyClient.cpp and this with -DTRACY_ENABLE and -I.../public, and link with the C++
    compiler. Then connect its profiler.
*/

#include "example_device.h"

#ifdef TRACY_ENABLE

#include <tracy/TracyC.h>

#else /* the recorder: the few macros of TracyC.h that are used here */

#define MOST 256

typedef struct Entry {
    const void* pointer; /* null: nothing here */
    size_t size;
    const char* pool;
} Entry;

typedef struct Zone {
    const char* name;
} Zone;

static struct Recorder {
    Entry entries[MOST];
    size_t liveBytes;
    size_t peakBytes;
    int allocations;
    int frees;
    int zones;
    int depth; /* zones that have not ended */
    int mistakes;
} recorder;

static Entry* find(const void* pointer) {
    int i = 0;
    while (i < MOST - 1 && recorder.entries[i].pointer != pointer) {
        i++;
    }
    return &recorder.entries[i];
}

static void record_alloc(const void* pointer, size_t size, const char* pool) {
    Entry* entry = find(NULL);
    recorder.mistakes += entry->pointer != NULL || find(pointer)->pointer == pointer;
    entry->pointer = pointer;
    entry->size = size;
    entry->pool = pool;
    recorder.allocations++;
    recorder.liveBytes += size;
    recorder.peakBytes =
        recorder.liveBytes > recorder.peakBytes ? recorder.liveBytes : recorder.peakBytes;
}

static void record_free(const void* pointer, const char* pool) {
    Entry* entry = find(pointer);
    recorder.mistakes += entry->pointer != pointer || entry->pool != pool;
    entry->pointer = NULL;
    recorder.frees++;
    recorder.liveBytes -= entry->size;
}

static Zone record_begin(const char* name) {
    Zone zone = {name};
    recorder.zones++;
    recorder.depth++;
    return zone;
}

static void record_end(Zone zone) {
    recorder.mistakes += zone.name == NULL || recorder.depth == 0;
    recorder.depth--;
}

typedef Zone TracyCZoneCtx;
#define TracyCZoneN(context, name, active) TracyCZoneCtx context = record_begin(name)
#define TracyCZoneEnd(context)             record_end(context)
#define TracyCAllocN(pointer, size, name)  record_alloc(pointer, size, name)
#define TracyCFreeN(pointer, name)         record_free(pointer, name)

#endif

/*  A zone that ends where its scope does: an attribute of GCC and Clang in C, ZoneScopedN in C++. */
static void end_zone(TracyCZoneCtx* zone) {
    TracyCZoneEnd(*zone);
}

#define SX_VKALLOC_PROFILE_SCOPE(name)                                                             \
    TracyCZoneN(zone_, name, 1);                                                                   \
    TracyCZoneCtx ends_ __attribute__((cleanup(end_zone))) = zone_;                                \
    (void)ends_

/*  Tracy tells pools apart by the address of their names. The handle of an allocation is no address,
    but as unique as one while the allocation lives. */
static const char* const poolNames[] = {"GPU type 0", "GPU type 1", "GPU type 2", "GPU type 3",
                                        "GPU type 4", "GPU type 5", "GPU type 6", "other types"};
#define POOL_NAME(type) poolNames[(type) < 7 ? (type) : 7]

#define SX_VKALLOC_ON_ALLOCATE(allocator, allocation, memoryType, size, name)                      \
    TracyCAllocN((const void*)(allocation), (size_t)(size), POOL_NAME(memoryType))
#define SX_VKALLOC_ON_FREE(allocator, allocation, memoryType, size, name)                          \
    TracyCFreeN((const void*)(allocation), POOL_NAME(memoryType))

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#define BUFFERS 100

/*  Something to see: buffers that come and go. */
static void work(SxvkAllocator allocator) {
    VkBuffer buffers[BUFFERS] = {VK_NULL_HANDLE};
    SxvkAllocation allocations[BUFFERS] = {VK_NULL_HANDLE};
    VkBufferCreateInfo bufferInfo = {0};
    bufferInfo.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    bufferInfo.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    SxvkAllocationCreateInfo allocationInfo = {0};
    allocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;
    for (uint32_t frame = 0; frame < 20; frame++) {
        for (uint32_t i = 0; i < 20; i++) {
            uint32_t k = (frame * 37 + i * 11) % BUFFERS;
            bufferInfo.size = 256 + (frame * 7919u + i * 104729u) % 100000;
            sxvkDestroyBuffer(allocator, buffers[k], allocations[k]);
            EXAMPLE_CHECK(sxvkCreateBuffer(allocator, &bufferInfo, &allocationInfo, &buffers[k],
                                           &allocations[k], NULL) == VK_SUCCESS);
        }
        sxvkSetCurrentFrameIndex(allocator, frame + 1);
    }
    sxvkDestroyBuffers(allocator, BUFFERS, buffers, allocations);
}

int main(void) {
    ExampleDevice example;
    example_create_instance(&example);
    example_create_device(&example);

    SxvkAllocatorCreateInfo info = {0};
    info.instance = example.instance;
    info.physicalDevice = example.physicalDevice;
    info.device = example.device;
    info.vulkanApiVersion = VK_API_VERSION_1_1;
    SxvkAllocator allocator;
    EXAMPLE_CHECK(sxvkCreateAllocator(&info, &allocator) == VK_SUCCESS);
    work(allocator);
    sxvkDestroyAllocator(allocator);

#ifndef TRACY_ENABLE
    printf("%d allocations, %d frees, %lu bytes at most, %d zones\n", recorder.allocations,
           recorder.frees, (unsigned long)recorder.peakBytes, recorder.zones);
    EXAMPLE_CHECK(recorder.mistakes == 0 && recorder.depth == 0 && recorder.liveBytes == 0);
    EXAMPLE_CHECK(recorder.allocations == 400 && recorder.frees == 400);
#endif
    example_destroy(&example);
    return 0;
}
