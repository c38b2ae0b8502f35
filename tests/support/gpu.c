/*  gpu.c - see gpu.h. */

#include "gpu.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

enum { MAX_DEVICES = 16, MAX_NAMES = 16 };

static bool fail(Gpu* gpu, const char* format, ...) {
    char error[sizeof(gpu->error)];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error, sizeof(error), format, arguments);
    va_end(arguments);
    (void)gpu_close(gpu);
    memcpy(gpu->error, error, sizeof(error));
    return false;
}

/*  Names of layers or extensions to enable. */
typedef struct Names {
    const char* at[MAX_NAMES];
    uint32_t count;
} Names;

static bool has_extension(const VkExtensionProperties* extensions, uint32_t count,
                          const char* name) {
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(extensions[i].extensionName, name) == 0) {
            return true;
        }
    }
    return false;
}

/*  Puts the name on the list where the device knows it. */
static bool want(Names* names, const VkExtensionProperties* extensions, uint32_t count,
                 const char* name) {
    if (names->count == MAX_NAMES || !has_extension(extensions, count, name)) {
        return false;
    }
    names->at[names->count++] = name;
    return true;
}

/* --- instance --------------------------------------------------------------------------------- */

/*  May be called by several threads at once. */
static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT* data,
                                                 void* user) {
    Gpu* gpu = (Gpu*)user;
    (void)types;
    __atomic_fetch_add(&gpu->messageCount, 1, __ATOMIC_RELAXED);
    if (!gpu->quiet) {
        bool isError = (severity & VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT) != 0;
        (void)fprintf(stderr, "validation %s: %s\n", isError ? "error" : "warning", data->pMessage);
    }
    return VK_FALSE;
}

static bool layer_is_there(void) {
    uint32_t count = 0;
    (void)vkEnumerateInstanceLayerProperties(&count, NULL);
    VkLayerProperties* layers = (VkLayerProperties*)calloc(count + 1, sizeof(VkLayerProperties));
    bool found = false;
    if (layers != NULL && vkEnumerateInstanceLayerProperties(&count, layers) == VK_SUCCESS) {
        for (uint32_t i = 0; i < count && !found; i++) {
            found = strcmp(layers[i].layerName, VALIDATION_LAYER) == 0;
        }
    }
    free(layers);
    return found;
}

static bool make_instance(Gpu* gpu, const GpuOptions* options) {
    uint32_t version = VK_API_VERSION_1_0;
    (void)vkEnumerateInstanceVersion(&version);
    gpu->apiVersion = options->apiVersion != 0 ? options->apiVersion : VK_API_VERSION_1_3;
    if (gpu->apiVersion > version) {
        gpu->apiVersion = version;
    }
    gpu->quiet = options->quiet;
    gpu->validated = !options->withoutValidation && layer_is_there();

    /* No GENERAL messages: what the loader says of drivers that do not start is not our concern. */
    VkDebugUtilsMessengerCreateInfoEXT messengerInfo = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = on_message,
        .pUserData = gpu,
    };
    const VkValidationFeatureEnableEXT enable =
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    const VkValidationFeaturesEXT features = {
        .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
        .pNext = &messengerInfo,
        .enabledValidationFeatureCount = 1,
        .pEnabledValidationFeatures = &enable,
    };
    static const char* const layers[] = {VALIDATION_LAYER};
    static const char* const extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME,
                                             VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME};
    const VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .pApplicationName = "sx_vkalloc",
        .apiVersion = gpu->apiVersion,
    };
    const VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = gpu->validated ? &features : NULL,
        .pApplicationInfo = &application,
        .enabledLayerCount = gpu->validated ? 1 : 0,
        .ppEnabledLayerNames = layers,
        .enabledExtensionCount = gpu->validated ? 2 : 0,
        .ppEnabledExtensionNames = extensions,
    };
    VkResult result = vkCreateInstance(&info, NULL, &gpu->instance);
    if (result != VK_SUCCESS) {
        gpu->instance = VK_NULL_HANDLE;
        return fail(gpu, "vkCreateInstance failed (%d): is a Vulkan driver installed?",
                    (int)result);
    }
    if (gpu->validated) {
        PFN_vkCreateDebugUtilsMessengerEXT create = (PFN_vkCreateDebugUtilsMessengerEXT)(void (*)(
            void))vkGetInstanceProcAddr(gpu->instance, "vkCreateDebugUtilsMessengerEXT");
        if (create == NULL ||
            create(gpu->instance, &messengerInfo, NULL, &gpu->messenger) != VK_SUCCESS) {
            return fail(gpu, "the validation layer gives no messenger");
        }
    }
    return true;
}

/* --- device ----------------------------------------------------------------------------------- */

static int rank_of(VkPhysicalDeviceType type) {
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 4;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 3;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return 2;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return 1;
    default: return 0;
    }
}

/*  Is part somewhere in whole, whatever the case? */
static bool contains(const char* whole, const char* part) {
    for (; *whole != '\0'; whole++) {
        size_t i = 0;
        while (part[i] != '\0' &&
               tolower((unsigned char)whole[i]) == tolower((unsigned char)part[i])) {
            i++;
        }
        if (part[i] == '\0') {
            return true;
        }
    }
    return false;
}

/*  Index into names, or -1. */
static int find_wanted(const char* wanted, const VkPhysicalDeviceProperties* properties,
                       uint32_t count) {
    char* end = NULL;
    unsigned long index = strtoul(wanted, &end, 10);
    if (isdigit((unsigned char)wanted[0]) && *end == '\0') {
        return index < count ? (int)index : -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (contains(properties[i].deviceName, wanted)) {
            return (int)i;
        }
    }
    return -1;
}

static bool pick_physical_device(Gpu* gpu, const char* wanted) {
    VkPhysicalDevice devices[MAX_DEVICES];
    VkPhysicalDeviceProperties properties[MAX_DEVICES];
    uint32_t count = MAX_DEVICES;
    VkResult result = vkEnumeratePhysicalDevices(gpu->instance, &count, devices);
    if ((result != VK_SUCCESS && result != VK_INCOMPLETE) || count == 0) {
        return fail(gpu,
                    "no Vulkan device: install a driver, or lavapipe (sh tools/install.sh demo)");
    }
    int best = 0;
    for (uint32_t i = 0; i < count; i++) {
        vkGetPhysicalDeviceProperties(devices[i], &properties[i]);
        if (rank_of(properties[i].deviceType) > rank_of(properties[best].deviceType)) {
            best = (int)i;
        }
    }
    if (wanted != NULL && wanted[0] != '\0') {
        best = find_wanted(wanted, properties, count);
        if (best < 0) {
            char list[384] = "";
            for (uint32_t i = 0; i < count; i++) {
                size_t used = strlen(list);
                (void)snprintf(list + used, sizeof(list) - used, "%s%u %s", i > 0 ? ", " : "", i,
                               properties[i].deviceName);
            }
            return fail(gpu, "no device '%.64s'; there are: %s", wanted, list);
        }
    }
    gpu->physicalDevice = devices[best];
    gpu->properties = properties[best];
    vkGetPhysicalDeviceMemoryProperties(gpu->physicalDevice, &gpu->memory);
    if (gpu->apiVersion > gpu->properties.apiVersion) {
        gpu->apiVersion = gpu->properties.apiVersion;
    }
    return true;
}

static bool pick_queue_family(Gpu* gpu) {
    static const VkQueueFlags wishes[] = {VK_QUEUE_GRAPHICS_BIT, VK_QUEUE_COMPUTE_BIT,
                                          VK_QUEUE_TRANSFER_BIT};
    VkQueueFamilyProperties families[16];
    uint32_t count = 16;
    vkGetPhysicalDeviceQueueFamilyProperties(gpu->physicalDevice, &count, families);
    for (size_t w = 0; w < sizeof(wishes) / sizeof(wishes[0]); w++) {
        for (uint32_t i = 0; i < count; i++) {
            if ((families[i].queueFlags & wishes[w]) != 0) {
                gpu->queueFamily = i;
                return true;
            }
        }
    }
    return fail(gpu, "%s: no queue that can copy", gpu->properties.deviceName);
}

/*  The features that concern memory, as one chain: asked for first, then handed to vkCreateDevice, so
    that all the device has of them is enabled. */
typedef struct Features {
    VkPhysicalDeviceFeatures2 base;
    VkPhysicalDeviceBufferDeviceAddressFeatures bufferDeviceAddress;
    VkPhysicalDeviceMaintenance4Features maintenance4;
#ifdef VK_KHR_maintenance5
    VkPhysicalDeviceMaintenance5FeaturesKHR maintenance5;
#endif
    VkPhysicalDeviceMemoryPriorityFeaturesEXT priority;
    VkPhysicalDevicePageableDeviceLocalMemoryFeaturesEXT pageable;
    VkPhysicalDeviceCoherentMemoryFeaturesAMD coherent;
} Features;

/*  Only structs that the device knows may stand in the chain. */
#define CHAIN(known, member, type)                                                                 \
    do {                                                                                           \
        if (known) {                                                                               \
            features->member.sType = (type);                                                       \
            features->member.pNext = chain;                                                        \
            chain = &features->member;                                                             \
        }                                                                                          \
    } while (0)

static void choose_extensions(Gpu* gpu, Names* names, Features* features) {
    uint32_t count = 0;
    (void)vkEnumerateDeviceExtensionProperties(gpu->physicalDevice, NULL, &count, NULL);
    VkExtensionProperties* known =
        (VkExtensionProperties*)calloc(count + 1, sizeof(VkExtensionProperties));
    if (known == NULL || vkEnumerateDeviceExtensionProperties(gpu->physicalDevice, NULL, &count,
                                                              known) != VK_SUCCESS) {
        count = 0;
    }

    bool is11 = gpu->apiVersion >= VK_API_VERSION_1_1;
    bool is12 = gpu->apiVersion >= VK_API_VERSION_1_2;
    bool is13 = gpu->apiVersion >= VK_API_VERSION_1_3;
    gpu->memoryRequirements2 =
        is11 || want(names, known, count, VK_KHR_GET_MEMORY_REQUIREMENTS_2_EXTENSION_NAME);
    gpu->dedicatedAllocation =
        is11 || (gpu->memoryRequirements2 &&
                 want(names, known, count, VK_KHR_DEDICATED_ALLOCATION_EXTENSION_NAME));
    gpu->bindMemory2 = is11 || want(names, known, count, VK_KHR_BIND_MEMORY_2_EXTENSION_NAME);

    /* With 1.0 the features below cannot be asked for without an instance extension: leave them. */
    if (is11) {
        void* chain = NULL;
        gpu->memoryBudget = want(names, known, count, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
        gpu->memoryPriority = want(names, known, count, VK_EXT_MEMORY_PRIORITY_EXTENSION_NAME);
        gpu->pageableDeviceLocalMemory =
            gpu->memoryPriority &&
            want(names, known, count, VK_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_EXTENSION_NAME);
        gpu->deviceCoherentMemory =
            want(names, known, count, VK_AMD_DEVICE_COHERENT_MEMORY_EXTENSION_NAME);
        gpu->bufferDeviceAddress =
            is12 || want(names, known, count, VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME);
        gpu->maintenance4 = is13 || want(names, known, count, VK_KHR_MAINTENANCE_4_EXTENSION_NAME);

        CHAIN(gpu->memoryPriority, priority,
              VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PRIORITY_FEATURES_EXT);
        CHAIN(gpu->pageableDeviceLocalMemory, pageable,
              VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PAGEABLE_DEVICE_LOCAL_MEMORY_FEATURES_EXT);
        CHAIN(gpu->deviceCoherentMemory, coherent,
              VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COHERENT_MEMORY_FEATURES_AMD);
        CHAIN(gpu->bufferDeviceAddress, bufferDeviceAddress,
              VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES);
        CHAIN(gpu->maintenance4, maintenance4,
              VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES);
#ifdef VK_KHR_maintenance5
        /* It stands on dynamic rendering, which 1.3 has. */
        gpu->maintenance5 = is13 && want(names, known, count, VK_KHR_MAINTENANCE_5_EXTENSION_NAME);
        CHAIN(gpu->maintenance5, maintenance5,
              VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_5_FEATURES_KHR);
#endif

        features->base.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
        features->base.pNext = chain;
        vkGetPhysicalDeviceFeatures2(gpu->physicalDevice, &features->base);
        memset(&features->base.features, 0, sizeof(features->base.features));

        gpu->memoryPriority = features->priority.memoryPriority == VK_TRUE;
        gpu->pageableDeviceLocalMemory = features->pageable.pageableDeviceLocalMemory == VK_TRUE;
        gpu->deviceCoherentMemory = features->coherent.deviceCoherentMemory == VK_TRUE;
        gpu->bufferDeviceAddress = features->bufferDeviceAddress.bufferDeviceAddress == VK_TRUE;
        gpu->maintenance4 = features->maintenance4.maintenance4 == VK_TRUE;
        /* Not ours to use: the layer objects to some of these with other features off. */
        features->bufferDeviceAddress.bufferDeviceAddressCaptureReplay = VK_FALSE;
        features->bufferDeviceAddress.bufferDeviceAddressMultiDevice = VK_FALSE;
    }
    free(known);
}

static bool make_device(Gpu* gpu, const GpuOptions* options) {
    Names names = {{NULL}, 0};
    Features features;
    memset(&features, 0, sizeof(features));
    if (options->withoutExtensions) {
        bool is11 = gpu->apiVersion >= VK_API_VERSION_1_1;
        gpu->memoryRequirements2 = is11;
        gpu->dedicatedAllocation = is11;
        gpu->bindMemory2 = is11;
    } else {
        choose_extensions(gpu, &names, &features);
    }

    const float queuePriority = 1.0f;
    const VkDeviceQueueCreateInfo queueInfo = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueFamilyIndex = gpu->queueFamily,
        .queueCount = 1,
        .pQueuePriorities = &queuePriority,
    };
    const VkDeviceCreateInfo deviceInfo = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = features.base.pNext,
        .queueCreateInfoCount = 1,
        .pQueueCreateInfos = &queueInfo,
        .enabledExtensionCount = names.count,
        .ppEnabledExtensionNames = names.at,
    };
    VkResult result = vkCreateDevice(gpu->physicalDevice, &deviceInfo, NULL, &gpu->device);
    if (result != VK_SUCCESS) {
        gpu->device = VK_NULL_HANDLE;
        return fail(gpu, "%s: vkCreateDevice failed (%d)", gpu->properties.deviceName, (int)result);
    }
    vkGetDeviceQueue(gpu->device, gpu->queueFamily, 0, &gpu->queue);
    const VkCommandPoolCreateInfo poolInfo = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
        .queueFamilyIndex = gpu->queueFamily,
    };
    result = vkCreateCommandPool(gpu->device, &poolInfo, NULL, &gpu->commandPool);
    if (result != VK_SUCCESS) {
        gpu->commandPool = VK_NULL_HANDLE;
        return fail(gpu, "%s: vkCreateCommandPool failed (%d)", gpu->properties.deviceName,
                    (int)result);
    }
    return true;
}

/* --- life and use ----------------------------------------------------------------------------- */

bool gpu_open(Gpu* gpu, const GpuOptions* options) {
    static const GpuOptions defaults = {NULL, 0, false, false, false};
    if (options == NULL) {
        options = &defaults;
    }
    memset(gpu, 0, sizeof(*gpu));
    const char* wanted = options->device != NULL ? options->device : getenv("SXVK_DEVICE");
    return make_instance(gpu, options) && pick_physical_device(gpu, wanted) &&
           pick_queue_family(gpu) && make_device(gpu, options);
}

uint32_t gpu_close(Gpu* gpu) {
    if (gpu->device != VK_NULL_HANDLE) {
        (void)vkDeviceWaitIdle(gpu->device);
        vkDestroyCommandPool(gpu->device, gpu->commandPool, NULL);
        vkDestroyDevice(gpu->device, NULL);
    }
    if (gpu->messenger != VK_NULL_HANDLE) {
        PFN_vkDestroyDebugUtilsMessengerEXT destroy =
            (PFN_vkDestroyDebugUtilsMessengerEXT)(void (*)(void))vkGetInstanceProcAddr(
                gpu->instance, "vkDestroyDebugUtilsMessengerEXT");
        destroy(gpu->instance, gpu->messenger, NULL);
    }
    if (gpu->instance != VK_NULL_HANDLE) {
        vkDestroyInstance(gpu->instance, NULL);
    }
    uint32_t messages = gpu_validation_messages(gpu);
    memset(gpu, 0, sizeof(*gpu));
    return messages;
}

bool gpu_print_devices(FILE* file) {
    static const char* const kinds[] = {"other", "CPU", "virtual", "integrated", "discrete"};
    static const GpuOptions options = {.withoutValidation = true};
    VkPhysicalDevice devices[MAX_DEVICES];
    uint32_t count = MAX_DEVICES;
    Gpu gpu;
    memset(&gpu, 0, sizeof(gpu));
    if (!make_instance(&gpu, &options) ||
        vkEnumeratePhysicalDevices(gpu.instance, &count, devices) < VK_SUCCESS) {
        count = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        VkPhysicalDeviceProperties properties;
        vkGetPhysicalDeviceProperties(devices[i], &properties);
        (void)fprintf(file, "%u %s (%s)\n", i, properties.deviceName,
                      kinds[rank_of(properties.deviceType)]);
    }
    (void)gpu_close(&gpu);
    return count > 0;
}

uint32_t gpu_validation_messages(const Gpu* gpu) {
    return __atomic_load_n(&gpu->messageCount, __ATOMIC_RELAXED);
}

SxvkAllocatorCreateInfo gpu_allocator_info(const Gpu* gpu) {
    const struct {
        bool enabled;
        SxvkAllocatorCreateFlagBits flag;
    } flags[] = {
        {gpu->dedicatedAllocation, SXVK_ALLOCATOR_CREATE_KHR_DEDICATED_ALLOCATION_BIT},
        {gpu->bindMemory2, SXVK_ALLOCATOR_CREATE_KHR_BIND_MEMORY2_BIT},
        {gpu->memoryBudget, SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT},
        {gpu->deviceCoherentMemory, SXVK_ALLOCATOR_CREATE_AMD_DEVICE_COHERENT_MEMORY_BIT},
        {gpu->bufferDeviceAddress, SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT},
        {gpu->memoryPriority, SXVK_ALLOCATOR_CREATE_EXT_MEMORY_PRIORITY_BIT},
        {gpu->maintenance4, SXVK_ALLOCATOR_CREATE_KHR_MAINTENANCE4_BIT},
        {gpu->maintenance5, SXVK_ALLOCATOR_CREATE_KHR_MAINTENANCE5_BIT},
        {gpu->messenger != VK_NULL_HANDLE, SXVK_ALLOCATOR_CREATE_EXT_DEBUG_UTILS_BIT},
        {gpu->pageableDeviceLocalMemory,
         SXVK_ALLOCATOR_CREATE_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_BIT},
    };
    SxvkAllocatorCreateInfo info;
    memset(&info, 0, sizeof(info));
    info.instance = gpu->instance;
    info.physicalDevice = gpu->physicalDevice;
    info.device = gpu->device;
    info.vulkanApiVersion = gpu->apiVersion;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        info.flags |= flags[i].enabled ? (SxvkAllocatorCreateFlags)flags[i].flag : 0;
    }
    return info;
}

VkResult gpu_begin(Gpu* gpu, VkCommandBuffer* commands) {
    const VkCommandBufferAllocateInfo allocateInfo = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = gpu->commandPool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1,
    };
    const VkCommandBufferBeginInfo beginInfo = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
        .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
    };
    VkResult result = vkAllocateCommandBuffers(gpu->device, &allocateInfo, commands);
    if (result != VK_SUCCESS) {
        *commands = VK_NULL_HANDLE;
        return result;
    }
    result = vkBeginCommandBuffer(*commands, &beginInfo);
    if (result != VK_SUCCESS) {
        vkFreeCommandBuffers(gpu->device, gpu->commandPool, 1, commands);
        *commands = VK_NULL_HANDLE;
    }
    return result;
}

VkResult gpu_submit(Gpu* gpu, VkCommandBuffer commands) {
    const VkFenceCreateInfo fenceInfo = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    const VkSubmitInfo submitInfo = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .commandBufferCount = 1,
        .pCommandBuffers = &commands,
    };
    VkFence fence = VK_NULL_HANDLE;
    VkResult result = vkEndCommandBuffer(commands);
    if (result == VK_SUCCESS) {
        result = vkCreateFence(gpu->device, &fenceInfo, NULL, &fence);
    }
    if (result == VK_SUCCESS) {
        result = vkQueueSubmit(gpu->queue, 1, &submitInfo, fence);
    }
    if (result == VK_SUCCESS) {
        result = vkWaitForFences(gpu->device, 1, &fence, VK_TRUE, UINT64_MAX);
    }
    vkDestroyFence(gpu->device, fence, NULL);
    vkFreeCommandBuffers(gpu->device, gpu->commandPool, 1, &commands);
    return result;
}
