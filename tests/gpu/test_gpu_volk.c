/*
    test_gpu_volk.c - the allocator beside volk, without prototypes: functions imported from volk's
    globals, after volkLoadInstance and after volkLoadDevice.

    It brings up its own device, because volk's globals have the names of the functions that the other
    tests link. Run by CTest (gpu.gpu_volk) where volk is installed, or by hand.
*/
#define VOLK_IMPLEMENTATION
#include <volk.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#define SX_VKALLOC_DEBUG 3
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#define assert_ok(expression) assert_int_equal((expression), VK_SUCCESS)

static uint32_t layerMessages, allocatorMessages;

static VKAPI_ATTR VkBool32 VKAPI_CALL on_layer_message(
    VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
    const VkDebugUtilsMessengerCallbackDataEXT* data, void* user) {
    (void)severity;
    (void)types;
    (void)user;
    layerMessages++;
    print_error("validation: %s\n", data->pMessage);
    return VK_FALSE;
}

static VKAPI_ATTR void VKAPI_CALL on_message(void* userData, const SxvkMessageInfo* pInfo) {
    (void)userData;
    allocatorMessages++;
    print_error("allocator: %s\n", pInfo->pText);
}

static VkInstance make_instance(VkDebugUtilsMessengerEXT* pMessenger) {
    static const char* const layers[] = {"VK_LAYER_KHRONOS_validation"};
    static const char* const extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME};
    const VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = on_layer_message,
    };
    const VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .apiVersion = VK_API_VERSION_1_1,
    };
    const VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = &messenger, /* watches vkDestroyInstance too */
        .pApplicationInfo = &application,
        .enabledLayerCount = 1,
        .ppEnabledLayerNames = layers,
        .enabledExtensionCount = 1,
        .ppEnabledExtensionNames = extensions,
    };
    VkInstance instance;
    assert_ok(vkCreateInstance(&info, NULL, &instance));
    volkLoadInstance(instance);
    assert_ok(vkCreateDebugUtilsMessengerEXT(instance, &messenger, NULL, pMessenger));
    return instance;
}

static VkDevice make_device(VkInstance instance, VkPhysicalDevice* physicalDevice) {
    uint32_t count = 1;
    assert_true(vkEnumeratePhysicalDevices(instance, &count, physicalDevice) >= 0 && count == 1);
    const float priority = 1.0f;
    const VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueCount = 1,
        .pQueuePriorities = &priority,
    };
    const VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .queueCreateInfoCount = 1,
        .pQueueCreateInfos = &queue,
    };
    VkDevice device;
    assert_ok(vkCreateDevice(*physicalDevice, &info, NULL, &device));
    return device;
}

static void use_allocator(SxvkAllocatorCreateInfo* info) {
    SxvkVulkanFunctions functions;
    assert_ok(sxvkImportVulkanFunctionsFromVolk(info, &functions));
    assert_true(functions.vkGetDeviceProcAddr == vkGetDeviceProcAddr);
    assert_non_null(functions.vkCreateBuffer);
    assert_non_null(functions.vkBindImageMemory2);
    info->pVulkanFunctions = &functions;
    SxvkAllocator allocator;
    assert_ok(sxvkCreateAllocator(info, &allocator));

    const VkBufferCreateInfo bufferInfo = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = 5000,
        .usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT,
    };
    const SxvkAllocationCreateInfo allocationInfo = {
        .usage = SXVK_MEMORY_USAGE_AUTO,
        .flags = SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT,
    };
    VkBuffer buffer;
    SxvkAllocation allocation;
    assert_ok(
        sxvkCreateBuffer(allocator, &bufferInfo, &allocationInfo, &buffer, &allocation, NULL));
    uint8_t sent[5000], received[5000];
    for (size_t i = 0; i < sizeof sent; i++) {
        sent[i] = (uint8_t)(i * 7);
    }
    memset(received, 0, sizeof received);
    assert_ok(sxvkCopyMemoryToAllocation(allocator, sent, allocation, 0, sizeof sent));
    assert_ok(sxvkCopyAllocationToMemory(allocator, allocation, 0, received, sizeof received));
    assert_memory_equal(sent, received, sizeof sent);
    sxvkDestroyBuffer(allocator, buffer, allocation);
    sxvkDestroyAllocator(allocator);
}

static void test_volk(void** state) {
    (void)state;
    assert_ok(volkInitialize());
    VkDebugUtilsMessengerEXT messenger;
    VkInstance instance = make_instance(&messenger);
    SxvkAllocatorCreateInfo info = {
        .instance = instance,
        .vulkanApiVersion = VK_API_VERSION_1_1,
        .pfnMessage = on_message,
    };
    info.device = make_device(instance, &info.physicalDevice);
    use_allocator(&info); /* by the loader, for any device */
    PFN_vkCreateBuffer general = vkCreateBuffer;
    volkLoadDevice(info.device);
    assert_true(vkCreateBuffer != general);
    use_allocator(&info); /* by the device's own functions */
    vkDestroyDevice(info.device, NULL);
    vkDestroyDebugUtilsMessengerEXT(instance, messenger, NULL);
    vkDestroyInstance(instance, NULL);
    assert_int_equal(layerMessages, 0);
    assert_int_equal(allocatorMessages, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_volk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
