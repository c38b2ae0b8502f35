/*
    Counts and times every Vulkan call that an allocator makes, so that the demo can tell the
    allocator's own work from the driver's. Part of the demo.
*/

#ifndef DEMO_CALLS_H
#define DEMO_CALLS_H

#include <stdint.h>

#include "sx_vkalloc.h"

/*  X(name, result or void, parameters, arguments) */
#define DRIVER_CALLS(X)                                                                            \
    X(vkAllocateMemory, VkResult,                                                                  \
      (VkDevice d, const VkMemoryAllocateInfo* i, const VkAllocationCallbacks* c,                  \
       VkDeviceMemory* m),                                                                         \
      (d, i, c, m))                                                                                \
    X(vkFreeMemory, void, (VkDevice d, VkDeviceMemory m, const VkAllocationCallbacks* c),          \
      (d, m, c))                                                                                   \
    X(vkMapMemory, VkResult,                                                                       \
      (VkDevice d, VkDeviceMemory m, VkDeviceSize o, VkDeviceSize s, VkMemoryMapFlags f,           \
       void** p),                                                                                  \
      (d, m, o, s, f, p))                                                                          \
    X(vkUnmapMemory, void, (VkDevice d, VkDeviceMemory m), (d, m))                                 \
    X(vkFlushMappedMemoryRanges, VkResult, (VkDevice d, uint32_t n, const VkMappedMemoryRange* r), \
      (d, n, r))                                                                                   \
    X(vkInvalidateMappedMemoryRanges, VkResult,                                                    \
      (VkDevice d, uint32_t n, const VkMappedMemoryRange* r), (d, n, r))                           \
    X(vkCreateBuffer, VkResult,                                                                    \
      (VkDevice d, const VkBufferCreateInfo* i, const VkAllocationCallbacks* c, VkBuffer* b),      \
      (d, i, c, b))                                                                                \
    X(vkDestroyBuffer, void, (VkDevice d, VkBuffer b, const VkAllocationCallbacks* c), (d, b, c))  \
    X(vkCreateImage, VkResult,                                                                     \
      (VkDevice d, const VkImageCreateInfo* i, const VkAllocationCallbacks* c, VkImage* m),        \
      (d, i, c, m))                                                                                \
    X(vkDestroyImage, void, (VkDevice d, VkImage m, const VkAllocationCallbacks* c), (d, m, c))    \
    X(vkBindBufferMemory, VkResult, (VkDevice d, VkBuffer b, VkDeviceMemory m, VkDeviceSize o),    \
      (d, b, m, o))                                                                                \
    X(vkBindImageMemory, VkResult, (VkDevice d, VkImage i, VkDeviceMemory m, VkDeviceSize o),      \
      (d, i, m, o))                                                                                \
    X(vkBindBufferMemory2, VkResult, (VkDevice d, uint32_t n, const VkBindBufferMemoryInfo* i),    \
      (d, n, i))                                                                                   \
    X(vkBindImageMemory2, VkResult, (VkDevice d, uint32_t n, const VkBindImageMemoryInfo* i),      \
      (d, n, i))                                                                                   \
    X(vkGetBufferMemoryRequirements, void, (VkDevice d, VkBuffer b, VkMemoryRequirements* r),      \
      (d, b, r))                                                                                   \
    X(vkGetImageMemoryRequirements, void, (VkDevice d, VkImage i, VkMemoryRequirements* r),        \
      (d, i, r))                                                                                   \
    X(vkGetBufferMemoryRequirements2, void,                                                        \
      (VkDevice d, const VkBufferMemoryRequirementsInfo2* i, VkMemoryRequirements2* r), (d, i, r)) \
    X(vkGetImageMemoryRequirements2, void,                                                         \
      (VkDevice d, const VkImageMemoryRequirementsInfo2* i, VkMemoryRequirements2* r), (d, i, r))  \
    X(vkGetPhysicalDeviceMemoryProperties2, void,                                                  \
      (VkPhysicalDevice d, VkPhysicalDeviceMemoryProperties2* p), (d, p))

typedef enum DriverCall {
#define DRIVER_CALL_ENUM(name, result, parameters, arguments) DRIVER_CALL_##name,
    DRIVER_CALLS(DRIVER_CALL_ENUM)
#undef DRIVER_CALL_ENUM
        DRIVER_CALL_COUNT
} DriverCall;

typedef struct DriverCalls {
    uint64_t count[DRIVER_CALL_COUNT];
    uint64_t nanoseconds; /* inside the driver, all calls together, and in measuring it */
    uint64_t clockNanoseconds; /* what it costs to read the clock */
} DriverCalls;

/*  A monotonic clock. */
uint64_t now_ns(void);

/*  Fill a function table with the counting functions; what is not counted stays null, for the
    allocator to look up. One allocator at a time. */
void driver_calls_begin(VkInstance instance, VkDevice device, SxvkVulkanFunctions* functions);

const DriverCalls* driver_calls(void);
const char* driver_call_name(DriverCall call);

#endif
