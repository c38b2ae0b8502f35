/*
    Counts and times every Vulkan call that an allocator makes, see demo_calls.h.
*/

#define _POSIX_C_SOURCE 200809L

#include "demo_calls.h"

#include <time.h>

/*  Vulkan functions have no user data, so what they count has to be global. */
static DriverCalls calls;

static struct {
#define DRIVER_CALL_MEMBER(name, result, parameters, arguments) PFN_##name name;
    DRIVER_CALLS(DRIVER_CALL_MEMBER)
#undef DRIVER_CALL_MEMBER
} driver;

uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#define COUNTED_VkResult(name, parameters, arguments)                                              \
    static VKAPI_ATTR VkResult VKAPI_CALL counted_##name parameters {                              \
        uint64_t start = now_ns();                                                                 \
        VkResult result = driver.name arguments;                                                   \
        calls.nanoseconds += now_ns() - start + calls.clockNanoseconds;                            \
        calls.count[DRIVER_CALL_##name] += 1;                                                      \
        return result;                                                                             \
    }
#define COUNTED_void(name, parameters, arguments)                                                  \
    static VKAPI_ATTR void VKAPI_CALL counted_##name parameters {                                  \
        uint64_t start = now_ns();                                                                 \
        driver.name arguments;                                                                     \
        calls.nanoseconds += now_ns() - start + calls.clockNanoseconds;                            \
        calls.count[DRIVER_CALL_##name] += 1;                                                      \
    }
#define COUNTED(name, result, parameters, arguments) COUNTED_##result(name, parameters, arguments)
DRIVER_CALLS(COUNTED)
#undef COUNTED

static uint64_t measure_clock(void) {
    enum { READINGS = 10000 };
    uint64_t start = now_ns();
    for (int i = 0; i < READINGS; ++i) {
        now_ns();
    }
    return (now_ns() - start) / READINGS;
}

void driver_calls_begin(VkInstance instance, VkDevice device, SxvkVulkanFunctions* functions) {
    calls.clockNanoseconds = measure_clock();
    /* The instance's pointers serve functions of either kind; the device's, where it has one, skip
       the loader's dispatch. */
#define FIND_CALL(name, result, parameters, arguments)                                             \
    driver.name = (PFN_##name)vkGetDeviceProcAddr(device, #name);                                  \
    if (driver.name == NULL) {                                                                     \
        driver.name = (PFN_##name)vkGetInstanceProcAddr(instance, #name);                          \
    }                                                                                              \
    functions->name = driver.name != NULL ? counted_##name : NULL;
    DRIVER_CALLS(FIND_CALL)
#undef FIND_CALL
}

const DriverCalls* driver_calls(void) {
    return &calls;
}

const char* driver_call_name(DriverCall call) {
    static const char* const names[DRIVER_CALL_COUNT] = {
#define DRIVER_CALL_NAME(name, result, parameters, arguments) #name,
        DRIVER_CALLS(DRIVER_CALL_NAME)
#undef DRIVER_CALL_NAME
    };
    return names[call];
}
