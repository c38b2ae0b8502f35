/*
    mistake.c - makes one mistake that the validation layer must report: it shows that the test of the
    examples, which looks for such reports in their output, can fail.

    Run by CTest (example.mistake_is_seen).
*/
#include <stddef.h>

#include <vulkan/vulkan.h>

int main(void) {
    const VkInstanceCreateInfo instanceInfo = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
    VkInstance instance;
    VkPhysicalDevice physicalDevice;
    uint32_t count = 1;
    if (vkCreateInstance(&instanceInfo, NULL, &instance) != VK_SUCCESS ||
        vkEnumeratePhysicalDevices(instance, &count, &physicalDevice) < 0 || count == 0) {
        return 1;
    }
    const float priority = 1.0f;
    const VkDeviceQueueCreateInfo queueInfo = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                               .queueCount = 1,
                                               .pQueuePriorities = &priority};
    const VkDeviceCreateInfo deviceInfo = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                           .queueCreateInfoCount = 1,
                                           .pQueueCreateInfos = &queueInfo};
    VkDevice device;
    if (vkCreateDevice(physicalDevice, &deviceInfo, NULL, &device) != VK_SUCCESS) {
        return 1;
    }
    const VkBufferCreateInfo bufferInfo = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                           .size = 0, /* the mistake */
                                           .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    VkBuffer buffer = VK_NULL_HANDLE;
    if (vkCreateBuffer(device, &bufferInfo, NULL, &buffer) == VK_SUCCESS) {
        vkDestroyBuffer(device, buffer, NULL);
    }
    vkDestroyDevice(device, NULL);
    vkDestroyInstance(instance, NULL);
    return 0;
}
