/*
    Shows how to draw memory over time: counters for each heap and each module, and what each frame
    did, as trace events in a file that https://ui.perfetto.dev and chrome://tracing open.

    Build and run, from the repository:
        cc -std=c99 -I. examples/13_trace_events.c -o trace_events -lvulkan -pthread
        ./trace_events
*/

#include "example_device.h"

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#define FILE_NAME "memory_trace.json"
#define BUFFERS   256
#define FRAMES    120

/*  The format: an array of events. "C" is a counter, whose args are drawn one on the other; "X" is a
    span of time. ts and dur are microseconds, pid and tid are any numbers. */
typedef struct Trace {
    FILE* file;
    int count;
    uint64_t now; /* microseconds; a program takes its clock */
} Trace;

static void begin_event(Trace* trace, const char* phase, const char* name) {
    fprintf(trace->file, "%s{\"ph\":\"%s\",\"name\":\"%s\",\"ts\":%llu,\"pid\":1,\"tid\":1",
            trace->count++ == 0 ? "[\n" : ",\n", phase, name, (unsigned long long)trace->now);
}

static void count(Trace* trace, const char* name, const char* a, uint64_t x, const char* b,
                  uint64_t y) {
    begin_event(trace, "C", name);
    fprintf(trace->file, ",\"args\":{\"%s\":%llu,\"%s\":%llu}}", a, (unsigned long long)x, b,
            (unsigned long long)y);
}

/*  One counter for each heap: sxvkGetHeapBudget reads counters, so every frame may ask. */
static void trace_heaps(Trace* trace, SxvkAllocator allocator) {
    const VkPhysicalDeviceMemoryProperties* properties;
    sxvkGetMemoryProperties(allocator, &properties);
    for (uint32_t h = 0; h < properties->memoryHeapCount; h++) {
        SxvkBudget budget;
        char name[32];
        sxvkGetHeapBudget(allocator, h, &budget);
        snprintf(name, sizeof name, "heap %u", h);
        /* Live and the rest of committed, which together are what the heap holds. */
        count(trace, name, "live", budget.statistics.allocationBytes, "unused",
              budget.statistics.blockBytes - budget.statistics.allocationBytes);
    }
}

/*  And one for each module, drawn by its name. */
static void trace_module(Trace* trace, SxvkAllocator allocator, SxvkModule module) {
    SxvkModuleStatistics stats;
    char name[64];
    sxvkGetModuleStatistics(allocator, module, &stats);
    snprintf(name, sizeof name, "module %s", stats.pName);
    count(trace, name, "bytes", stats.allocationBytes, "allocations", stats.allocationCount);
}

/*  What the frame that has just ended did. */
static void trace_frame(Trace* trace, SxvkAllocator allocator, uint64_t duration) {
    SxvkFrameStatistics frame;
    uint32_t frames = 1;
    EXAMPLE_CHECK(sxvkGetFrameHistory(allocator, &frames, &frame) == VK_SUCCESS && frames == 1);
    begin_event(trace, "X", "frame");
    fprintf(trace->file, ",\"dur\":%llu,\"args\":{\"frame\":%u,\"driver calls\":%u}}",
            (unsigned long long)duration, frame.frameIndex, frame.driverCallCount);
    count(trace, "calls", "allocations", frame.allocationCount, "frees", frame.freeCount);
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
    info.frameHistoryCount = 1; /* read after each frame */
    SxvkAllocator allocator;
    EXAMPLE_CHECK(sxvkCreateAllocator(&info, &allocator) == VK_SUCCESS);

    SxvkModule modules[2];
    for (uint32_t i = 0; i < 2; i++) {
        SxvkModuleCreateInfo moduleInfo = {0};
        moduleInfo.pName = i == 0 ? "terrain" : "characters";
        EXAMPLE_CHECK(sxvkCreateModule(allocator, &moduleInfo, &modules[i]) == VK_SUCCESS);
    }

    Trace trace = {fopen(FILE_NAME, "w"), 0, 0};
    EXAMPLE_CHECK(trace.file != NULL);

    VkBuffer buffers[BUFFERS] = {VK_NULL_HANDLE};
    SxvkAllocation allocations[BUFFERS] = {VK_NULL_HANDLE};
    VkBufferCreateInfo bufferInfo = {0};
    bufferInfo.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    bufferInfo.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    SxvkAllocationCreateInfo allocationInfo = {0};
    allocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        /* Loads for a while, then unloads. */
        for (uint32_t i = 0; i < 8; i++) {
            uint32_t k = (frame * 8 + i) % BUFFERS;
            sxvkDestroyBuffer(allocator, buffers[k], allocations[k]);
            buffers[k] = VK_NULL_HANDLE;
            allocations[k] = VK_NULL_HANDLE;
            if (frame < FRAMES * 3 / 4) {
                allocationInfo.module = modules[k % 3 == 0];
                bufferInfo.size = 1000 + (frame * 7919u + i * 104729u) % 500000;
                EXAMPLE_CHECK(sxvkCreateBuffer(allocator, &bufferInfo, &allocationInfo, &buffers[k],
                                               &allocations[k], NULL) == VK_SUCCESS);
            }
        }
        sxvkSetCurrentFrameIndex(allocator, frame + 1);
        trace_frame(&trace, allocator, 16667);
        trace.now += 16667;
        trace_heaps(&trace, allocator);
        trace_module(&trace, allocator, modules[0]);
        trace_module(&trace, allocator, modules[1]);
    }
    fprintf(trace.file, "\n]\n");
    EXAMPLE_CHECK(fclose(trace.file) == 0);
    printf("%d events in " FILE_NAME "\n", trace.count);

    sxvkDestroyBuffers(allocator, BUFFERS, buffers, allocations);
    sxvkDestroyModule(allocator, modules[0]);
    sxvkDestroyModule(allocator, modules[1]);
    sxvkDestroyAllocator(allocator);
    example_destroy(&example);
    return 0;
}
