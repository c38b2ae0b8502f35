/*
    device.c - the simulated device that allocators are measured on, see subject.h.
*/
#include "subject.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ host memory */

/*  Stands in front of each host allocation. */
typedef struct HostHeader {
    void* start; /* what malloc gave */
    size_t size;
} HostHeader;

static void host_count(HostMemory* host, size_t size) {
    uint64_t bytes = __atomic_add_fetch(&host->bytes, size, __ATOMIC_RELAXED);
    uint64_t peak = __atomic_load_n(&host->peakBytes, __ATOMIC_RELAXED);
    while (bytes > peak && !__atomic_compare_exchange_n(&host->peakBytes, &peak, bytes, true,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    (void)__atomic_add_fetch(&host->count, 1, __ATOMIC_RELAXED);
}

static void* VKAPI_PTR host_allocate(void* user, size_t size, size_t alignment,
                                     VkSystemAllocationScope scope) {
    (void)scope;
    size_t pad = alignment > sizeof(HostHeader) ? alignment : sizeof(HostHeader);
    char* start = malloc(size + 2 * pad);
    if (start == NULL) {
        return NULL;
    }
    uintptr_t address = ((uintptr_t)start + 2 * pad - 1) / pad * pad;
    address += address - (uintptr_t)start < sizeof(HostHeader) ? pad : 0;
    char* memory = start + (address - (uintptr_t)start);
    HostHeader header = {start, size};
    memcpy(memory - sizeof header, &header, sizeof header);
    host_count((HostMemory*)user, size);
    return memory;
}

static HostHeader host_header(const void* memory) {
    HostHeader header;
    memcpy(&header, (const char*)memory - sizeof header, sizeof header);
    return header;
}

static void VKAPI_PTR host_free(void* user, void* memory) {
    HostMemory* host = (HostMemory*)user;
    if (memory != NULL) {
        HostHeader header = host_header(memory);
        (void)__atomic_sub_fetch(&host->bytes, header.size, __ATOMIC_RELAXED);
        (void)__atomic_sub_fetch(&host->count, 1, __ATOMIC_RELAXED);
        free(header.start);
    }
}

static void* VKAPI_PTR host_reallocate(void* user, void* original, size_t size, size_t alignment,
                                       VkSystemAllocationScope scope) {
    void* memory = size > 0 ? host_allocate(user, size, alignment, scope) : NULL;
    if (original != NULL && (memory != NULL || size == 0)) {
        size_t old = host_header(original).size;
        if (memory != NULL) {
            memcpy(memory, original, old < size ? old : size);
        }
        host_free(user, original);
    }
    return memory;
}

void host_init(HostMemory* host) {
    memset(host, 0, sizeof *host);
    host->callbacks.pUserData = host;
    host->callbacks.pfnAllocation = host_allocate;
    host->callbacks.pfnReallocation = host_reallocate;
    host->callbacks.pfnFree = host_free;
}

/* ------------------------------------------------------------------ device */

static SimProfile device_profile(const Setup* setup) {
    SimProfile profile = sim_profile_discrete();
    profile.maxMemoryAllocationCount = UINT32_MAX;
    profile.bufferImageGranularity =
        setup->granularity > 0 ? setup->granularity : settings.granularity;
    if (setup->barBytes > 0) {
        profile.memory.memoryHeaps[2].size = setup->barBytes;
    }
    if (setup->heapBytes > 0) {
        profile.memory.memoryHeaps[0].size = setup->heapBytes;
    }
    if (setup->typeCount > 0) {
        profile.memory.memoryTypeCount = setup->typeCount;
        for (uint32_t type = 0; type < setup->typeCount; type++) {
            profile.memory.memoryTypes[type].propertyFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
            profile.memory.memoryTypes[type].heapIndex = 0;
        }
    }
    return profile;
}

Device* device_open(const Setup* setup) {
    Device* device = allocate_or_die(1, sizeof *device);
    SimProfile profile = device_profile(setup);
    SimOptions options = sim_default_options();
    options.checks = false; /* they cost time, and the tests have them on */
    options.backing = false;
    device->sim = sim_create(&profile, &options);
    if (device->sim == NULL) {
        die("no simulated device");
    }
    host_init(&device->host);
    device->memory = profile.memory;
    PFN_vkGetDeviceProcAddr get = sim_get_device_proc_addr();
    VkDevice handle = sim_device(device->sim);
    device->vkCreateBuffer = (PFN_vkCreateBuffer)get(handle, "vkCreateBuffer");
    device->vkDestroyBuffer = (PFN_vkDestroyBuffer)get(handle, "vkDestroyBuffer");
    device->vkGetBufferMemoryRequirements2 =
        (PFN_vkGetBufferMemoryRequirements2)get(handle, "vkGetBufferMemoryRequirements2");
    return device;
}

void device_close(Device* device) {
    if (device->host.bytes != 0 || device->host.count != 0) {
        die("the allocator leaked %llu bytes of host memory",
            (unsigned long long)device->host.bytes);
    }
    if (sim_destroy(device->sim) != 0) {
        die("the allocator leaked device memory");
    }
    free(device);
}

static void give_wanted(void* user, const VkBufferCreateInfo* buffer,
                        const VkImageCreateInfo* image, SimRequirements* requirements) {
    const Device* device = (const Device*)user;
    (void)buffer;
    (void)image;
    requirements->memory.size = device->wanted->size;
    requirements->memory.alignment = device->wanted->alignment;
    requirements->prefersDedicated = device->wanted->prefersDedicated;
    requirements->requiresDedicated = device->wanted->requiresDedicated;
}

void device_pin_requirements(Device* device) {
    sim_set_requirements(device->sim, give_wanted, device);
}

uint32_t device_type_bit(const Device* device, VkMemoryPropertyFlags properties) {
    for (uint32_t type = 0; type < device->memory.memoryTypeCount; type++) {
        if (device->memory.memoryTypes[type].propertyFlags == properties) {
            return (uint32_t)1 << type;
        }
    }
    die("no memory type has the properties %#x", properties);
}

uint64_t device_committed(const Device* device) {
    return sim_live_memory_total(device->sim);
}

uint64_t device_driver_calls(const Device* device) {
    return sim_calls(device->sim, SIM_CALL_ANY);
}

uint64_t device_memory_calls(const Device* device) {
    return sim_calls(device->sim, SIM_CALL_ALLOCATE_MEMORY);
}
