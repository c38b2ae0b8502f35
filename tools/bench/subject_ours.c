/*
    subject_ours.c - sx_vkalloc, through its public functions, with its locks on.

    The implementation is compiled here and all calls from elsewhere go through function pointers:
    nothing is inlined that would not be in a program.
*/
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "subject.h"

typedef struct Ours {
    Subject base;
    SxvkAllocator allocator;
    SxvkPool pool;
} Ours;

static void VKAPI_PTR ours_message(void* user, const SxvkMessageInfo* pInfo) {
    (void)user;
    /* A sequence that looks for the limit runs into this one on purpose. */
    if (pInfo->message != SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY) {
        die("the allocator says: %s", pInfo->pText);
    }
}

static Subject* ours_open(const Setup* setup) {
    Ours* ours = allocate_or_die(1, sizeof *ours);
    Device* device = device_open(setup);
    SxvkVulkanFunctions functions = {0};
    SxvkAllocatorCreateInfo info = {0};
    ours->base.kind = &subject_ours;
    ours->base.device = device;
    functions.vkGetInstanceProcAddr = sim_get_instance_proc_addr();
    functions.vkGetDeviceProcAddr = sim_get_device_proc_addr();
    info.instance = sim_instance(device->sim);
    info.physicalDevice = sim_physical_device(device->sim);
    info.device = sim_device(device->sim);
    info.vulkanApiVersion = VK_API_VERSION_1_3;
    info.pVulkanFunctions = &functions;
    info.pAllocationCallbacks = &device->host.callbacks;
    info.pfnMessage = ours_message;
    info.preferredLargeHeapBlockSize = setup->mostBytes;
    check(sxvkCreateAllocator(&info, &ours->allocator), "sxvkCreateAllocator");
    if (setup->blockBytes > 0) {
        SxvkPoolCreateInfo pool = {0};
        pool.blockSize = setup->blockBytes;
        pool.maxBlockCount = (size_t)setup->maxBlocks;
        pool.flags =
            (setup->poolIgnoresGranularity ? SXVK_POOL_CREATE_IGNORE_BUFFER_IMAGE_GRANULARITY_BIT
                                           : 0) |
            (setup->poolIsLinear ? SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT : 0);
        check(sxvkCreatePool(ours->allocator, &pool, &ours->pool), "sxvkCreatePool");
    }
    return &ours->base;
}

static void ours_close(Subject* subject) {
    Ours* ours = (Ours*)subject;
    sxvkDestroyPool(ours->allocator, ours->pool);
    sxvkDestroyAllocator(ours->allocator);
    device_close(subject->device);
    free(ours);
}

static void* ours_result(VkResult result, SxvkAllocation allocation) {
    if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY) {
        check(result, "the allocation");
    }
    return allocation;
}

static void* ours_take(Subject* subject, uint64_t size, uint64_t alignment, uint32_t type,
                       SxvkAllocationCreateFlags flags) {
    Ours* ours = (Ours*)subject;
    VkMemoryRequirements requirements = {size, alignment, (uint32_t)1 << type};
    SxvkAllocationCreateInfo info = {0};
    SxvkAllocation allocation;
    info.flags = flags;
    info.pool = ours->pool;
    VkResult result = sxvkAllocateMemory(ours->allocator, &requirements, &info, &allocation, NULL);
    return ours_result(result, allocation);
}

static void* ours_allocate(Subject* subject, uint64_t size, uint64_t alignment, uint32_t type) {
    return ours_take(subject, size, alignment, type, 0);
}

static void* ours_allocate_upper(Subject* subject, uint64_t size, uint64_t alignment) {
    return ours_take(subject, size, alignment, 0, SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT);
}

static void ours_release(Subject* subject, void* allocation) {
    sxvkFreeMemory(((Ours*)subject)->allocator, (SxvkAllocation)allocation);
}

static void* ours_allocate_for_buffer(Subject* subject, VkBuffer buffer) {
    Ours* ours = (Ours*)subject;
    SxvkAllocationCreateInfo info = {0};
    SxvkAllocation allocation;
    info.memoryTypeBits = 1;
    VkResult result =
        sxvkAllocateMemoryForBuffer(ours->allocator, buffer, &info, &allocation, NULL);
    return ours_result(result, allocation);
}

static void ours_create(Subject* subject, const ResourceInfo* wanted, Resource* resource) {
    Ours* ours = (Ours*)subject;
    SxvkAllocationCreateInfo info = {0};
    SxvkAllocation allocation = NULL;
    VkResult result;
    info.requiredFlags = wanted->properties;
    info.memoryTypeBits = device_type_bit(subject->device, wanted->properties);
    subject->device->wanted = wanted;
    if (wanted->isImage) {
        result = sxvkCreateImage(ours->allocator, &wanted->image, &info, &resource->image,
                                 &allocation, NULL);
    } else {
        result = sxvkCreateBuffer(ours->allocator, &wanted->buffer, &info, &resource->buffer,
                                  &allocation, NULL);
    }
    check(result, wanted->isImage ? "sxvkCreateImage" : "sxvkCreateBuffer");
    resource->allocation = allocation;
    resource->size = wanted->size;
}

static void ours_destroy(Subject* subject, Resource* resource) {
    SxvkAllocator allocator = ((Ours*)subject)->allocator;
    SxvkAllocation allocation = (SxvkAllocation)resource->allocation;
    if (resource->image != VK_NULL_HANDLE) {
        sxvkDestroyImage(allocator, resource->image, allocation);
    } else {
        sxvkDestroyBuffer(allocator, resource->buffer, allocation);
    }
    memset(resource, 0, sizeof *resource);
}

static uint64_t ours_live_bytes(Subject* subject) {
    uint64_t live = 0;
    for (uint32_t heap = 0; heap < subject->device->memory.memoryHeapCount; heap++) {
        SxvkBudget budget;
        sxvkGetHeapBudget(((Ours*)subject)->allocator, heap, &budget);
        live += budget.statistics.allocationBytes;
    }
    return live;
}

static void ours_tick(Subject* subject, uint32_t frame) {
    sxvkSetCurrentFrameIndex(((Ours*)subject)->allocator, frame);
}

static void ours_trim(Subject* subject) {
    (void)sxvkTrim(((Ours*)subject)->allocator);
}

static void ours_check_integrity(Subject* subject) {
    check(sxvkCheckIntegrity(((Ours*)subject)->allocator), "sxvkCheckIntegrity");
}

/*  Time since it was last asked: so long nobody could have stopped it. */
typedef struct Portions {
    double last, longest;
} Portions;

static void portions_note(Portions* portions) {
    double now = wall_seconds();
    double portion = now - portions->last;
    portions->longest = portion > portions->longest ? portion : portions->longest;
    portions->last = wall_seconds();
}

static VkBool32 VKAPI_PTR ours_breaks(void* user) {
    portions_note((Portions*)user);
    return VK_FALSE;
}

/*  The contents are nobody's business here, nor are the resources bound to the old places. */
static void ours_defragment(Subject* subject, Defragmentation* run) {
    SxvkAllocator allocator = ((Ours*)subject)->allocator;
    Portions portions = {0};
    SxvkDefragmentationInfo info = {.flags = (SxvkDefragmentationFlags)1 << run->algorithm,
                                    .maxBytesPerPass = run->passBytes,
                                    .pfnBreakCallback = ours_breaks,
                                    .pBreakCallbackUserData = &portions};
    SxvkDefragmentationContext context;
    SxvkDefragmentationPassMoveInfo pass;
    SxvkDefragmentationStats stats;
    double start = thread_seconds();
    check(sxvkBeginDefragmentation(allocator, &info, &context), "sxvkBeginDefragmentation");
    for (run->passes = 0;; run->passes++) {
        portions.last = wall_seconds();
        VkResult result = sxvkBeginDefragmentationPass(allocator, context, &pass);
        portions_note(&portions);
        if (result != VK_INCOMPLETE) {
            check(result, "sxvkBeginDefragmentationPass");
            break;
        }
        result = sxvkEndDefragmentationPass(allocator, context, &pass);
        check(result == VK_INCOMPLETE ? VK_SUCCESS : result, "sxvkEndDefragmentationPass");
    }
    sxvkEndDefragmentation(allocator, context, &stats);
    run->seconds = thread_seconds() - start;
    run->longestSeconds = portions.longest;
    run->bytesMoved = stats.bytesMoved;
    run->bytesFreed = stats.bytesFreed;
    run->moves = stats.allocationsMoved;
}

typedef struct Movable {
    VkBuffer buffer;
    SxvkAllocation allocation; /* null: it is gone */
} Movable;

static VkBool32 VKAPI_PTR ours_may_move(void* user, const SxvkMovableResource* pResource,
                                        SxvkMoveUsage* pUsage) {
    (void)user;
    (void)pResource;
    (void)pUsage;
    return VK_TRUE;
}

static void VKAPI_PTR ours_has_moved(void* user, const SxvkMovableResource* pOld,
                                     const SxvkMovableResource* pNew) {
    (void)user;
    (void)pOld;
    ((Movable*)pNew->pUserData)->buffer = pNew->buffer;
}

static void ours_make_movables(SxvkAllocator allocator, const Background* run, Movable* all) {
    VkBufferCreateInfo buffer = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                 .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT};
    SxvkAllocationCreateInfo info = {.flags = SXVK_ALLOCATION_CREATE_MOVABLE_BIT,
                                     .usage = SXVK_MEMORY_USAGE_AUTO};
    Random random = {run->seed};
    for (uint32_t i = 0; i < run->buffers; i++) {
        buffer.size = random_size(&random, run->least, run->most, 1);
        info.pUserData = &all[i];
        check(sxvkCreateBuffer(allocator, &buffer, &info, &all[i].buffer, &all[i].allocation, NULL),
              "sxvkCreateBuffer");
    }
    for (uint32_t i = 0; i < run->buffers; i++) {
        if (random_below(&random, 5) != 0) {
            sxvkDestroyBuffer(allocator, all[i].buffer, all[i].allocation);
            all[i].allocation = VK_NULL_HANDLE;
        }
    }
}

static double ours_waste(SxvkAllocator allocator, uint64_t* blocks) {
    SxvkTotalStatistics stats;
    sxvkCalculateStatistics(allocator, &stats);
    *blocks = stats.total.statistics.blockCount;
    return (double)stats.total.statistics.blockBytes /
           (double)stats.total.statistics.allocationBytes;
}

/*  Nothing is submitted: the device has done what it was told two frames ago. */
static void ours_background(Subject* subject, Background* run) {
    SxvkAllocator allocator = ((Ours*)subject)->allocator;
    Movable* all = allocate_or_die(run->buffers, sizeof *all);
    SxvkDefragmentationTickInfo tick = {
        .moves = {.commandBuffer = sim_command_buffer(subject->device->sim),
                  .maxMicroseconds = run->budgetMicroseconds,
                  .pfnQuery = ours_may_move,
                  .pfnMoved = ours_has_moved}};
    VkResult result = VK_INCOMPLETE;
    ours_make_movables(allocator, run, all);
    run->before = ours_waste(allocator, &run->blocksBefore);
    run->longestSeconds = 0;
    for (run->ticks = 0; result == VK_INCOMPLETE; run->ticks++) {
        tick.moves.value++;
        if (tick.moves.value > 2) {
            sxvkCompleteMoves(allocator, tick.moves.value - 2);
        }
        double start = thread_seconds();
        result = sxvkDefragmentationTick(allocator, &tick);
        double took = thread_seconds() - start;
        run->longestSeconds = took > run->longestSeconds ? took : run->longestSeconds;
    }
    check(result, "sxvkDefragmentationTick");
    run->after = ours_waste(allocator, &run->blocks);
    for (uint32_t i = 0; i < run->buffers; i++) {
        if (all[i].allocation != VK_NULL_HANDLE) {
            sxvkDestroyBuffer(allocator, all[i].buffer, all[i].allocation);
        }
    }
    free(all);
}

static void ours_reset(Subject* subject) {
    Ours* ours = (Ours*)subject;
    check(sxvkResetPool(ours->allocator, ours->pool), "sxvkResetPool");
}

const SubjectKind subject_ours = {
    .key = "sx_vkalloc",
    .name = "sx_vkalloc",
    .traits = HAS_DEVICE | THREAD_SAFE | IS_OURS,
    .open = ours_open,
    .close = ours_close,
    .allocate = ours_allocate,
    .release = ours_release,
    .allocateForBuffer = ours_allocate_for_buffer,
    .create = ours_create,
    .destroy = ours_destroy,
    .liveBytes = ours_live_bytes,
    .tick = ours_tick,
    .trim = ours_trim,
    .checkIntegrity = ours_check_integrity,
    .defragment = ours_defragment,
    .background = ours_background,
    .allocateUpper = ours_allocate_upper,
    .reset = ours_reset,
};

/* ------------------------------------------------------------------ virtual blocks */

typedef struct OursVirtual {
    Subject base;
    SxvkVirtualBlock block;
} OursVirtual;

static Subject* ours_virtual_open(const Setup* setup) {
    OursVirtual* ours = allocate_or_die(1, sizeof *ours);
    SxvkVirtualBlockCreateInfo info = {
        .size = setup->spanBytes,
        .flags = setup->poolIsLinear ? SXVK_VIRTUAL_BLOCK_CREATE_LINEAR_ALGORITHM_BIT : 0,
    };
    ours->base.kind = &subject_ours_virtual;
    check(sxvkCreateVirtualBlock(&info, &ours->block), "sxvkCreateVirtualBlock");
    return &ours->base;
}

static void ours_virtual_close(Subject* subject) {
    OursVirtual* ours = (OursVirtual*)subject;
    if (!sxvkIsVirtualBlockEmpty(ours->block)) {
        die("the virtual block is not empty");
    }
    sxvkDestroyVirtualBlock(ours->block);
    free(ours);
}

static void* ours_virtual_take(Subject* subject, uint64_t size, uint64_t alignment,
                               SxvkVirtualAllocationCreateFlags flags) {
    SxvkVirtualAllocationCreateInfo info = {.size = size, .alignment = alignment, .flags = flags};
    SxvkVirtualAllocation allocation;
    VkDeviceSize offset;
    VkResult result =
        sxvkVirtualAllocate(((OursVirtual*)subject)->block, &info, &allocation, &offset);
    if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY) {
        check(result, "sxvkVirtualAllocate");
    }
    return allocation;
}

static void* ours_virtual_allocate(Subject* subject, uint64_t size, uint64_t alignment,
                                   uint32_t type) {
    (void)type;
    return ours_virtual_take(subject, size, alignment, 0);
}

static void* ours_virtual_allocate_upper(Subject* subject, uint64_t size, uint64_t alignment) {
    return ours_virtual_take(subject, size, alignment,
                             SXVK_VIRTUAL_ALLOCATION_CREATE_UPPER_ADDRESS_BIT);
}

static void ours_virtual_reset(Subject* subject) {
    sxvkClearVirtualBlock(((OursVirtual*)subject)->block);
}

static void ours_virtual_release(Subject* subject, void* allocation) {
    sxvkVirtualFree(((OursVirtual*)subject)->block, (SxvkVirtualAllocation)allocation);
}

const SubjectKind subject_ours_virtual = {
    .key = "sx_vkalloc_virtual",
    .name = "sx_vkalloc",
    .traits = VIRTUAL | IS_OURS,
    .open = ours_virtual_open,
    .close = ours_virtual_close,
    .allocate = ours_virtual_allocate,
    .release = ours_virtual_release,
    .allocateUpper = ours_virtual_allocate_upper,
    .reset = ours_virtual_reset,
};
