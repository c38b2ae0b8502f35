/*
    What every Vulkan program does before it needs memory: an instance, a device, one queue, and a
    way to run commands and wait for them. Shared by the examples, so that each can keep to its idea.
*/

#ifndef EXAMPLE_DEVICE_H
#define EXAMPLE_DEVICE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vulkan/vulkan.h>

/*  The examples end at the first surprise. */
#define EXAMPLE_CHECK(condition) example_check((condition) ? 1 : 0, #condition, __FILE__, __LINE__)

static inline void example_check(int ok, const char* condition, const char* file, int line) {
    if (!ok) {
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, condition);
        exit(1);
    }
}

typedef struct ExampleDevice {
    VkInstance instance;
    VkPhysicalDevice physicalDevice;
    VkDevice device;
    VkQueue queue;
    VkCommandPool commandPool;
} ExampleDevice;

/*  The kind of device to prefer: a discrete GPU, else an integrated one, else whatever runs. */
static inline int example_rank(VkPhysicalDeviceType type) {
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 3;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 2;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return 1;
    default: return 0;
    }
}

static inline void example_create_instance(ExampleDevice* example) {
    VkApplicationInfo application;
    memset(&application, 0, sizeof application);
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.pApplicationName = "sx_vkalloc example";
    application.apiVersion = VK_API_VERSION_1_1;

    VkInstanceCreateInfo info;
    memset(&info, 0, sizeof info);
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    info.pApplicationInfo = &application;
    memset(example, 0, sizeof *example);
    EXAMPLE_CHECK(vkCreateInstance(&info, NULL, &example->instance) == VK_SUCCESS);
}

static inline void example_pick_physical_device(ExampleDevice* example) {
    VkPhysicalDevice devices[16];
    uint32_t count = 16;
    VkResult result = vkEnumeratePhysicalDevices(example->instance, &count, devices);
    EXAMPLE_CHECK(result == VK_SUCCESS || result == VK_INCOMPLETE);
    int best = -1;
    for (uint32_t i = 0; i < count; i++) {
        VkPhysicalDeviceProperties properties;
        vkGetPhysicalDeviceProperties(devices[i], &properties);
        int rank = example_rank(properties.deviceType);
        if (properties.apiVersion >= VK_API_VERSION_1_1 && rank > best) {
            best = rank;
            example->physicalDevice = devices[i];
        }
    }
    EXAMPLE_CHECK(best >= 0 /* no device with Vulkan 1.1 was found */);
}

/*  A queue that can draw or compute can copy as well. */
static inline uint32_t example_pick_queue_family(const ExampleDevice* example) {
    VkQueueFamilyProperties families[32];
    uint32_t count = 32;
    vkGetPhysicalDeviceQueueFamilyProperties(example->physicalDevice, &count, families);
    uint32_t family = 0;
    while (family < count &&
           !(families[family].queueFlags & (VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT))) {
        family++;
    }
    EXAMPLE_CHECK(family < count);
    return family;
}

static inline void example_create_device(ExampleDevice* example) {
    example_pick_physical_device(example);
    uint32_t family = example_pick_queue_family(example);

    const float priority = 1.0f;
    VkDeviceQueueCreateInfo queueInfo;
    memset(&queueInfo, 0, sizeof queueInfo);
    queueInfo.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queueInfo.queueFamilyIndex = family;
    queueInfo.queueCount = 1;
    queueInfo.pQueuePriorities = &priority;

    VkDeviceCreateInfo info;
    memset(&info, 0, sizeof info);
    info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    info.queueCreateInfoCount = 1;
    info.pQueueCreateInfos = &queueInfo;
    EXAMPLE_CHECK(vkCreateDevice(example->physicalDevice, &info, NULL, &example->device) ==
                  VK_SUCCESS);
    vkGetDeviceQueue(example->device, family, 0, &example->queue);

    VkCommandPoolCreateInfo poolInfo;
    memset(&poolInfo, 0, sizeof poolInfo);
    poolInfo.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    poolInfo.queueFamilyIndex = family;
    EXAMPLE_CHECK(vkCreateCommandPool(example->device, &poolInfo, NULL, &example->commandPool) ==
                  VK_SUCCESS);
}

static inline void example_destroy(ExampleDevice* example) {
    vkDestroyCommandPool(example->device, example->commandPool, NULL);
    vkDestroyDevice(example->device, NULL);
    vkDestroyInstance(example->instance, NULL);
}

/*  Commands between these two have run when the second returns, and the CPU may read the results. */
static inline VkCommandBuffer example_begin(const ExampleDevice* example) {
    VkCommandBufferAllocateInfo allocateInfo;
    memset(&allocateInfo, 0, sizeof allocateInfo);
    allocateInfo.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    allocateInfo.commandPool = example->commandPool;
    allocateInfo.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
    allocateInfo.commandBufferCount = 1;
    VkCommandBuffer commands;
    EXAMPLE_CHECK(vkAllocateCommandBuffers(example->device, &allocateInfo, &commands) ==
                  VK_SUCCESS);

    VkCommandBufferBeginInfo beginInfo;
    memset(&beginInfo, 0, sizeof beginInfo);
    beginInfo.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    beginInfo.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    EXAMPLE_CHECK(vkBeginCommandBuffer(commands, &beginInfo) == VK_SUCCESS);
    return commands;
}

static inline void example_submit_and_wait(const ExampleDevice* example, VkCommandBuffer commands) {
    VkMemoryBarrier barrier;
    memset(&barrier, 0, sizeof barrier);
    barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.dstAccessMask = VK_ACCESS_HOST_READ_BIT;
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                         &barrier, 0, NULL, 0, NULL);
    EXAMPLE_CHECK(vkEndCommandBuffer(commands) == VK_SUCCESS);

    VkSubmitInfo submit;
    memset(&submit, 0, sizeof submit);
    submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    submit.commandBufferCount = 1;
    submit.pCommandBuffers = &commands;
    EXAMPLE_CHECK(vkQueueSubmit(example->queue, 1, &submit, VK_NULL_HANDLE) == VK_SUCCESS);
    EXAMPLE_CHECK(vkQueueWaitIdle(example->queue) == VK_SUCCESS);
    vkFreeCommandBuffers(example->device, example->commandPool, 1, &commands);
}

/*  Between two copies, when the second one reads what the first one wrote. */
static inline void example_copy_barrier(VkCommandBuffer commands) {
    VkMemoryBarrier barrier;
    memset(&barrier, 0, sizeof barrier);
    barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT;
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT,
                         0, 1, &barrier, 0, NULL, 0, NULL);
}

/*  "DEVICE_LOCAL HOST_VISIBLE": what the examples print of a memory type. */
static inline void example_print_flags(VkMemoryPropertyFlags flags) {
    static const char* const names[] = {"DEVICE_LOCAL", "HOST_VISIBLE", "HOST_COHERENT",
                                        "HOST_CACHED", "LAZILY_ALLOCATED"};
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (flags & (1u << i)) {
            printf(" %s", names[i]);
        }
    }
}

#ifdef SX_VKALLOC_H
/*  As the first example does it. */
static inline SxvkAllocator example_create_allocator(const ExampleDevice* example) {
    SxvkAllocatorCreateInfo info;
    SxvkAllocator allocator;
    memset(&info, 0, sizeof info);
    info.instance = example->instance;
    info.physicalDevice = example->physicalDevice;
    info.device = example->device;
    info.vulkanApiVersion = VK_API_VERSION_1_1;
    EXAMPLE_CHECK(sxvkCreateAllocator(&info, &allocator) == VK_SUCCESS);
    return allocator;
}
#endif

#endif
