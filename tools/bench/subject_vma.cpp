// subject_vma.cpp - AMD's Vulkan Memory Allocator with its default settings; compiled only where
// SX_VKALLOC_BENCH_VMA_DIR says where the user's vk_mem_alloc.h (3.0 or newer) is.

#define VMA_STATIC_VULKAN_FUNCTIONS  0
#define VMA_DYNAMIC_VULKAN_FUNCTIONS 1
#define VMA_IMPLEMENTATION
#include <vk_mem_alloc.h>

#include "subject.h"

#include <cstdlib>

namespace {

struct Vma {
    Subject base;
    VmaAllocator allocator;
    VmaPool pool;
};

VmaAllocator allocator_of(Subject* subject) {
    return reinterpret_cast<Vma*>(subject)->allocator;
}

VmaAllocation allocation_of(void* allocation) {
    return static_cast<VmaAllocation>(allocation);
}

Subject* vma_open(const Setup* setup) {
    Vma* vma = static_cast<Vma*>(allocate_or_die(1, sizeof(Vma)));
    Device* device = device_open(setup);
    VmaVulkanFunctions functions = {};
    VmaAllocatorCreateInfo info = {};
    vma->base.kind = &subject_vma;
    vma->base.device = device;
    functions.vkGetInstanceProcAddr = sim_get_instance_proc_addr();
    functions.vkGetDeviceProcAddr = sim_get_device_proc_addr();
    info.instance = sim_instance(device->sim);
    info.physicalDevice = sim_physical_device(device->sim);
    info.device = sim_device(device->sim);
    info.vulkanApiVersion = VK_API_VERSION_1_3;
    info.pVulkanFunctions = &functions;
    info.pAllocationCallbacks = &device->host.callbacks;
    check(vmaCreateAllocator(&info, &vma->allocator), "vmaCreateAllocator");
    if (setup->blockBytes > 0) {
        VmaPoolCreateInfo pool = {};
        pool.blockSize = setup->blockBytes;
        pool.maxBlockCount = static_cast<size_t>(setup->maxBlocks);
        pool.flags =
            (setup->poolIgnoresGranularity ? VMA_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT
                                           : 0) |
            (setup->poolIsLinear ? VMA_POOL_CREATE_LINEAR_ALGORITHM_BIT : 0);
        check(vmaCreatePool(vma->allocator, &pool, &vma->pool), "vmaCreatePool");
    }
    return &vma->base;
}

void vma_close(Subject* subject) {
    Vma* vma = reinterpret_cast<Vma*>(subject);
    Device* device = subject->device;
    if (vma->pool != VK_NULL_HANDLE) {
        vmaDestroyPool(vma->allocator, vma->pool);
    }
    vmaDestroyAllocator(vma->allocator);
    device_close(device);
    std::free(vma);
}

void* vma_result(VkResult result, VmaAllocation allocation) {
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY) {
        return nullptr;
    }
    check(result, "VMA's allocation");
    return allocation;
}

void* vma_take(Subject* subject, uint64_t size, uint64_t alignment, uint32_t type,
               VmaAllocationCreateFlags flags) {
    VkMemoryRequirements requirements = {size, alignment, 1u << type};
    VmaAllocationCreateInfo info = {};
    VmaAllocation allocation = VK_NULL_HANDLE;
    info.flags = flags;
    info.pool = reinterpret_cast<Vma*>(subject)->pool;
    VkResult result =
        vmaAllocateMemory(allocator_of(subject), &requirements, &info, &allocation, nullptr);
    return vma_result(result, allocation);
}

void* vma_allocate(Subject* subject, uint64_t size, uint64_t alignment, uint32_t type) {
    return vma_take(subject, size, alignment, type, 0);
}

void* vma_allocate_upper(Subject* subject, uint64_t size, uint64_t alignment) {
    return vma_take(subject, size, alignment, 0, VMA_ALLOCATION_CREATE_UPPER_ADDRESS_BIT);
}

void vma_release(Subject* subject, void* allocation) {
    vmaFreeMemory(allocator_of(subject), allocation_of(allocation));
}

void* vma_allocate_for_buffer(Subject* subject, VkBuffer buffer) {
    VmaAllocationCreateInfo info = {};
    VmaAllocation allocation = VK_NULL_HANDLE;
    info.memoryTypeBits = 1;
    VkResult result =
        vmaAllocateMemoryForBuffer(allocator_of(subject), buffer, &info, &allocation, nullptr);
    return vma_result(result, allocation);
}

void vma_create(Subject* subject, const ResourceInfo* wanted, Resource* resource) {
    VmaAllocationCreateInfo info = {};
    VmaAllocation allocation = VK_NULL_HANDLE;
    info.requiredFlags = wanted->properties;
    info.memoryTypeBits = device_type_bit(subject->device, wanted->properties);
    subject->device->wanted = wanted;
    check(wanted->isImage ? vmaCreateImage(allocator_of(subject), &wanted->image, &info,
                                           &resource->image, &allocation, nullptr)
                          : vmaCreateBuffer(allocator_of(subject), &wanted->buffer, &info,
                                            &resource->buffer, &allocation, nullptr),
          wanted->isImage ? "vmaCreateImage" : "vmaCreateBuffer");
    resource->allocation = allocation;
    resource->size = wanted->size;
}

void vma_destroy(Subject* subject, Resource* resource) {
    VmaAllocation allocation = allocation_of(resource->allocation);
    if (resource->image != VK_NULL_HANDLE) {
        vmaDestroyImage(allocator_of(subject), resource->image, allocation);
    } else {
        vmaDestroyBuffer(allocator_of(subject), resource->buffer, allocation);
    }
    *resource = Resource();
}

uint64_t vma_live_bytes(Subject* subject) {
    VmaBudget budgets[VK_MAX_MEMORY_HEAPS];
    uint64_t live = 0;
    vmaGetHeapBudgets(allocator_of(subject), budgets);
    for (uint32_t heap = 0; heap < subject->device->memory.memoryHeapCount; heap++) {
        live += budgets[heap].statistics.allocationBytes;
    }
    return live;
}

void vma_tick(Subject* subject, uint32_t frame) {
    vmaSetCurrentFrameIndex(allocator_of(subject), frame);
}

// Its flags have the values of ours. What it says it has freed is not what the device sees, so that
// is counted there.
void vma_defragment(Subject* subject, Defragmentation* run) {
    VmaAllocator allocator = allocator_of(subject);
    uint64_t committed = device_committed(subject->device);
    VmaDefragmentationInfo info = {};
    VmaDefragmentationContext context = VK_NULL_HANDLE;
    VmaDefragmentationPassMoveInfo pass = {};
    VmaDefragmentationStats stats = {};
    double start = thread_seconds();
    info.flags = static_cast<VmaDefragmentationFlags>(1) << run->algorithm;
    info.maxBytesPerPass = run->passBytes;
    check(vmaBeginDefragmentation(allocator, &info, &context), "vmaBeginDefragmentation");
    for (run->passes = 0;; run->passes++) {
        double began = wall_seconds();
        VkResult result = vmaBeginDefragmentationPass(allocator, context, &pass);
        double took = wall_seconds() - began;
        run->longestSeconds = took > run->longestSeconds ? took : run->longestSeconds;
        if (result == VK_SUCCESS) {
            break;
        }
        check(result == VK_INCOMPLETE ? VK_SUCCESS : result, "vmaBeginDefragmentationPass");
        result = vmaEndDefragmentationPass(allocator, context, &pass);
        if (result == VK_SUCCESS) {
            run->passes++;
            break;
        }
        check(result == VK_INCOMPLETE ? VK_SUCCESS : result, "vmaEndDefragmentationPass");
    }
    vmaEndDefragmentation(allocator, context, &stats);
    run->seconds = thread_seconds() - start;
    run->bytesMoved = stats.bytesMoved;
    run->bytesFreed = committed - device_committed(subject->device);
    run->moves = stats.allocationsMoved;
}

struct VmaVirtual {
    Subject base;
    VmaVirtualBlock block;
};

Subject* vma_virtual_open(const Setup* setup) {
    VmaVirtual* vma = static_cast<VmaVirtual*>(allocate_or_die(1, sizeof(VmaVirtual)));
    VmaVirtualBlockCreateInfo info = {};
    info.size = setup->spanBytes;
    info.flags = setup->poolIsLinear ? VMA_VIRTUAL_BLOCK_CREATE_LINEAR_ALGORITHM_BIT : 0;
    vma->base.kind = &subject_vma_virtual;
    check(vmaCreateVirtualBlock(&info, &vma->block), "vmaCreateVirtualBlock");
    return &vma->base;
}

void vma_virtual_close(Subject* subject) {
    VmaVirtual* vma = reinterpret_cast<VmaVirtual*>(subject);
    vmaDestroyVirtualBlock(vma->block);
    std::free(vma);
}

// The handle is a number of 64 bits there; none is 0 but the null handle.
void* vma_virtual_take(Subject* subject, uint64_t size, uint64_t alignment,
                       VmaVirtualAllocationCreateFlags flags) {
    VmaVirtualAllocationCreateInfo info = {};
    VmaVirtualAllocation allocation = VK_NULL_HANDLE;
    VkDeviceSize offset;
    info.size = size;
    info.alignment = alignment;
    info.flags = flags;
    VkResult result = vmaVirtualAllocate(reinterpret_cast<VmaVirtual*>(subject)->block, &info,
                                         &allocation, &offset);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY) {
        return nullptr;
    }
    check(result, "vmaVirtualAllocate");
    return reinterpret_cast<void*>((uintptr_t)allocation);
}

void* vma_virtual_allocate(Subject* subject, uint64_t size, uint64_t alignment, uint32_t) {
    return vma_virtual_take(subject, size, alignment, 0);
}

void* vma_virtual_allocate_upper(Subject* subject, uint64_t size, uint64_t alignment) {
    return vma_virtual_take(subject, size, alignment,
                            VMA_VIRTUAL_ALLOCATION_CREATE_UPPER_ADDRESS_BIT);
}

void vma_virtual_reset(Subject* subject) {
    vmaClearVirtualBlock(reinterpret_cast<VmaVirtual*>(subject)->block);
}

void vma_virtual_release(Subject* subject, void* allocation) {
    vmaVirtualFree(reinterpret_cast<VmaVirtual*>(subject)->block,
                   (VmaVirtualAllocation)(uintptr_t)allocation);
}

} // namespace

extern "C" const SubjectKind subject_vma = {
    "vma",
    "VMA",
    HAS_DEVICE | THREAD_SAFE,
    nullptr,
    vma_open,
    vma_close,
    vma_allocate,
    vma_release,
    vma_allocate_for_buffer,
    vma_create,
    vma_destroy,
    vma_live_bytes,
    vma_tick,
    nullptr,
    nullptr,
    vma_defragment,
    nullptr,
    vma_allocate_upper,
    nullptr,
};

extern "C" const SubjectKind subject_vma_virtual = {
    "vma_virtual",
    "VMA, virtual block",
    VIRTUAL,
    nullptr,
    vma_virtual_open,
    vma_virtual_close,
    vma_virtual_allocate,
    vma_virtual_release,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    vma_virtual_allocate_upper,
    vma_virtual_reset,
};
