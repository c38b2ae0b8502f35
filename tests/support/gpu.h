/*
    gpu.h - a real Vulkan device for tests and tools, watched by the validation layer.

        Gpu gpu;
        if (!gpu_open(&gpu, NULL)) {
            fprintf(stderr, "%s\n", gpu.error);
            return 1;
        }
        SxvkAllocatorCreateInfo info = gpu_allocator_info(&gpu);
        ...
        uint32_t messages = gpu_close(&gpu);   (expected: 0)

    The device is the one that SXVK_DEVICE in the environment names (part of a name, or an index),
    else the best one: discrete, integrated, virtual, CPU. Compile and link: gpu.c, the Vulkan loader.
*/
#ifndef GPU_H
#define GPU_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sx_vkalloc.h"

#ifdef __cplusplus
extern "C" {
#endif

/*  Zero is the default of each. */
typedef struct GpuOptions {
    const char* device;     /* part of a name, or an index; NULL = as said above */
    uint32_t apiVersion;    /* highest version to use, VK_API_VERSION_1_x; 0 = 1.3 */
    bool withoutExtensions; /* enable no device extension and no feature */
    bool withoutValidation;
    bool quiet; /* count the layer's messages, do not print them */
} GpuOptions;

typedef struct Gpu {
    VkInstance instance;
    VkPhysicalDevice physicalDevice;
    VkDevice device;
    uint32_t queueFamily; /* can copy; can draw as well where there is one that can */
    VkQueue queue;
    VkCommandPool commandPool;
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
    uint32_t apiVersion; /* of instance and device together, what the allocator is to be told */
    bool validated;      /* the layer is there and watches */

    /* What is enabled on the device. */
    bool dedicatedAllocation; /* these three: core in 1.1, else by their extensions */
    bool bindMemory2;
    bool memoryRequirements2;
    bool bufferDeviceAddress;
    bool maintenance4;
    bool maintenance5;
    bool memoryBudget;
    bool memoryPriority;
    bool pageableDeviceLocalMemory;
    bool deviceCoherentMemory;

    char error[512]; /* why gpu_open failed */
    VkDebugUtilsMessengerEXT messenger;
    uint32_t messageCount;
    bool quiet;
} Gpu;

/*  options may be NULL. On failure all is undone and gpu->error says why. gpu must not move. */
bool gpu_open(Gpu* gpu, const GpuOptions* options);

/*  Accepts a zeroed gpu and one that failed to open. Returns the number of validation messages of the
    whole life: the layer reports forgotten objects only here. */
uint32_t gpu_close(Gpu* gpu);

/*  A line for each device: the index and the name that GpuOptions::device takes, and the kind.
    False: there is none. */
bool gpu_print_devices(FILE* file);

/*  Warnings and errors of the layer so far. */
uint32_t gpu_validation_messages(const Gpu* gpu);

/*  How an allocator for this device is to be made: handles, version, flags for all that is enabled. */
SxvkAllocatorCreateInfo gpu_allocator_info(const Gpu* gpu);

/*  Record between the two; the second submits, waits until the device is done and frees the buffer.
    From one thread at a time. */
VkResult gpu_begin(Gpu* gpu, VkCommandBuffer* commands);
VkResult gpu_submit(Gpu* gpu, VkCommandBuffer commands);

#ifdef __cplusplus
}
#endif

#endif /* GPU_H */
