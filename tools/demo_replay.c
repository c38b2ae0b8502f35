/*
    Replays a recorded program on a real device, see demo_replay.h.

    The order of events is kept exactly. Uploads gather in a command buffer; it is submitted when
    the staging buffer is full, and before each run of destructions, together with the copies back
    of all that will be destroyed.
*/

#include "demo_replay.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo_calls.h"
#include "memview_page.h"

#define MAX_REPORTS       20 /* of one sort; the rest is only counted */
#define STAGING_MIN_BYTES ((VkDeviceSize)32 << 20)
#define HISTORY_FRAMES    4096

static bool replay_fail(Replay* replay, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("\nsxvk_demo: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    replay->stopped = true;
    return false;
}

static bool check_vk(Replay* replay, VkResult result, const char* what) {
    return result == VK_SUCCESS || replay_fail(replay, "%s: VkResult %d", what, (int)result);
}

/* --- patterns --------------------------------------------------------------------------------- */

static uint64_t pattern_word(uint64_t seed, uint64_t index) {
    uint64_t word = (seed + index) * UINT64_C(0x9e3779b97f4a7c15);
    return word ^ (word >> 31);
}

static uint64_t pattern_seed(const ReplayResource* resource, uint32_t region) {
    return ((uint64_t)resource->id << 32 | region) * UINT64_C(0xd1b54a32d192ed03);
}

static void write_pattern(uint8_t* data, VkDeviceSize size, uint64_t seed, uint64_t keep,
                          uint64_t set) {
    for (VkDeviceSize at = 0; at < size; at += 8) {
        uint64_t word = (pattern_word(seed, at / 8) & keep) | set;
        memcpy(data + at, &word, size - at < 8 ? (size_t)(size - at) : 8);
    }
}

/*  Gives the number of bytes that differ in bits of care. */
static uint64_t compare_pattern(const uint8_t* data, VkDeviceSize size, uint64_t seed,
                                const ImageRegion* masks) {
    uint64_t wrong = 0;
    for (VkDeviceSize at = 0; at < size; at += 8) {
        uint64_t expected = (pattern_word(seed, at / 8) & masks->keep) | masks->set;
        uint64_t found = expected;
        memcpy(&found, data + at, size - at < 8 ? (size_t)(size - at) : 8);
        uint64_t difference = (found ^ expected) & masks->care;
        for (; difference != 0; difference >>= 8) {
            wrong += (difference & 0xff) != 0;
        }
    }
    return wrong;
}

/*  A buffer is one region without a format. */
static uint32_t regions_of(const ReplayResource* resource, ImageRegion regions[MAX_IMAGE_REGIONS]) {
    VkDeviceSize bytes;
    if (resource->image != VK_NULL_HANDLE) {
        return image_regions(&resource->imageInfo, regions, &bytes);
    }
    memset(regions, 0, sizeof(*regions));
    regions->size = resource->contentSize;
    regions->keep = UINT64_MAX;
    regions->care = UINT64_MAX;
    return 1;
}

static void write_content(Replay* replay, const ReplayResource* resource, uint8_t* data) {
    ImageRegion regions[MAX_IMAGE_REGIONS];
    uint32_t count = regions_of(resource, regions);
    for (uint32_t i = 0; i < count; ++i) {
        write_pattern(data + regions[i].copy.bufferOffset, regions[i].size,
                      pattern_seed(resource, i), regions[i].keep, regions[i].set);
        replay->totals.written += regions[i].size;
    }
}

static void compare_content(Replay* replay, const ReplayCheck* check) {
    ImageRegion regions[MAX_IMAGE_REGIONS];
    uint32_t count = regions_of(check->resource, regions);
    uint64_t wrong = 0;
    for (uint32_t i = 0; i < count; ++i) {
        wrong +=
            compare_pattern(replay->readback.data + check->offset + regions[i].copy.bufferOffset,
                            regions[i].size, pattern_seed(check->resource, i), &regions[i]);
        replay->totals.compared += regions[i].size;
    }
    if (wrong > 0 && ++replay->totals.wrongResources <= MAX_REPORTS) {
        SxvkAllocationInfo info;
        sxvkGetAllocationInfo(replay->allocator, check->resource->allocation, &info);
        fprintf(stderr, "\nsxvk_demo: %" PRIu64 " bytes of %s differ\n", wrong,
                info.pName != NULL ? info.pName : "a resource");
    }
    replay->totals.wrong += wrong;
    check->resource->verified = true;
}

/* --- the GPU ---------------------------------------------------------------------------------- */

static bool begin_recording(Replay* replay) {
    return replay->commands != VK_NULL_HANDLE ||
           check_vk(replay, gpu_begin(replay->gpu, &replay->commands),
                    "beginning a command buffer");
}

static void memory_barrier(Replay* replay, VkPipelineStageFlags stage, VkAccessFlags access) {
    VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                               .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                               .dstAccessMask = access};
    vkCmdPipelineBarrier(replay->commands, VK_PIPELINE_STAGE_TRANSFER_BIT, stage, 0, 1, &barrier, 0,
                         NULL, 0, NULL);
}

static void image_barrier(Replay* replay, const ReplayResource* resource, VkImageLayout from,
                          VkImageLayout to) {
    const bool fresh = from == VK_IMAGE_LAYOUT_UNDEFINED;
    VkImageMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
        .srcAccessMask = fresh ? 0 : VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = fresh ? VK_ACCESS_TRANSFER_WRITE_BIT : VK_ACCESS_TRANSFER_READ_BIT,
        .oldLayout = from,
        .newLayout = to,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .image = resource->image,
        .subresourceRange = {.aspectMask = image_aspects(resource->imageInfo.format),
                             .levelCount = VK_REMAINING_MIP_LEVELS,
                             .layerCount = VK_REMAINING_ARRAY_LAYERS},
    };
    vkCmdPipelineBarrier(replay->commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
                         VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
}

/*  Submit what is recorded, wait, and compare what was copied back. */
static bool flush(Replay* replay) {
    VkCommandBuffer commands = replay->commands;
    if (commands == VK_NULL_HANDLE) {
        return true;
    }
    memory_barrier(replay, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    replay->commands = VK_NULL_HANDLE;
    VkResult result =
        sxvkFlushAllocation(replay->stagingAllocator, replay->upload.allocation, 0, VK_WHOLE_SIZE);
    if (!check_vk(replay, result, "sxvkFlushAllocation") ||
        !check_vk(replay, gpu_submit(replay->gpu, commands), "submitting copies to the device")) {
        return false;
    }
    result = sxvkInvalidateAllocation(replay->stagingAllocator, replay->readback.allocation, 0,
                                      VK_WHOLE_SIZE);
    if (!check_vk(replay, result, "sxvkInvalidateAllocation")) {
        return false;
    }
    for (size_t i = 0; i < replay->checkCount; ++i) {
        compare_content(replay, &replay->checks[i]);
    }
    replay->checkCount = 0;
    replay->upload.used = 0;
    replay->readback.used = 0;
    replay->totals.submits += 1;
    return true;
}

/*  Take room from a staging buffer, which is as large as the largest resource at least. Regions of
    images start at multiples of their texel size, so a resource does at one of all: 3 * 256. */
static bool reserve(Replay* replay, ReplayStaging* staging, VkDeviceSize size,
                    VkDeviceSize* offset) {
    *offset = (staging->used + 767) / 768 * 768;
    if (*offset + size > staging->capacity) {
        if (!flush(replay)) {
            return false;
        }
        *offset = 0;
    }
    staging->used = *offset + size;
    return begin_recording(replay);
}

static void place_regions(const ReplayResource* resource, VkDeviceSize offset, uint32_t* count,
                          VkBufferImageCopy copies[MAX_IMAGE_REGIONS]) {
    ImageRegion regions[MAX_IMAGE_REGIONS];
    *count = regions_of(resource, regions);
    for (uint32_t i = 0; i < *count; ++i) {
        copies[i] = regions[i].copy;
        copies[i].bufferOffset += offset;
    }
}

static bool fill_through_staging(Replay* replay, const ReplayResource* resource) {
    VkDeviceSize offset;
    if (!reserve(replay, &replay->upload, resource->contentSize, &offset)) {
        return false;
    }
    write_content(replay, resource, replay->upload.data + offset);
    if (resource->image == VK_NULL_HANDLE) {
        VkBufferCopy copy = {offset, 0, resource->contentSize};
        vkCmdCopyBuffer(replay->commands, replay->upload.buffer, resource->buffer, 1, &copy);
        return true;
    }
    VkBufferImageCopy copies[MAX_IMAGE_REGIONS];
    uint32_t count;
    place_regions(resource, offset, &count, copies);
    image_barrier(replay, resource, VK_IMAGE_LAYOUT_UNDEFINED,
                  VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    vkCmdCopyBufferToImage(replay->commands, replay->upload.buffer, resource->image,
                           VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, count, copies);
    image_barrier(replay, resource, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                  VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    return true;
}

static bool fill_by_mapping(Replay* replay, const ReplayResource* resource) {
    void* data;
    if (!check_vk(replay, sxvkMapMemory(replay->allocator, resource->allocation, &data),
                  "sxvkMapMemory")) {
        return false;
    }
    write_content(replay, resource, data);
    VkResult result =
        sxvkFlushAllocation(replay->allocator, resource->allocation, 0, VK_WHOLE_SIZE);
    sxvkUnmapMemory(replay->allocator, resource->allocation);
    return check_vk(replay, result, "sxvkFlushAllocation");
}

static bool fill(Replay* replay, const ReplayResource* resource) {
    VkMemoryPropertyFlags flags;
    if (resource->contentSize == 0) {
        replay->totals.notCompared += 1;
        return true;
    }
    sxvkGetAllocationMemoryProperties(replay->allocator, resource->allocation, &flags);
    if (resource->hostAccess && resource->buffer != VK_NULL_HANDLE &&
        (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0) {
        return fill_by_mapping(replay, resource);
    }
    return fill_through_staging(replay, resource);
}

/*  Record the copy back of a resource; the next flush compares it. */
static bool verify(Replay* replay, ReplayResource* resource) {
    VkDeviceSize offset;
    if (resource->contentSize == 0 || resource->verified) {
        return true;
    }
    if (replay->checkCount == replay->checkCapacity && !flush(replay)) {
        return false;
    }
    if (!reserve(replay, &replay->readback, resource->contentSize, &offset)) {
        return false;
    }
    if (replay->checkCount == 0) {
        memory_barrier(replay, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_READ_BIT);
    }
    replay->checks[replay->checkCount++] = (ReplayCheck){resource, offset};
    if (resource->image == VK_NULL_HANDLE) {
        VkBufferCopy copy = {0, offset, resource->contentSize};
        vkCmdCopyBuffer(replay->commands, resource->buffer, replay->readback.buffer, 1, &copy);
        return true;
    }
    VkBufferImageCopy copies[MAX_IMAGE_REGIONS];
    uint32_t count;
    place_regions(resource, offset, &count, copies);
    vkCmdCopyImageToBuffer(replay->commands, resource->image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
                           replay->readback.buffer, count, copies);
    return true;
}

/* --- resources -------------------------------------------------------------------------------- */

static MemoryKind kind_of_buffer(VkBufferUsageFlags usage) {
    static const struct {
        MemoryKind kind;
        VkBufferUsageFlags usage;
    } uses[] = {
        {MEMORY_KIND_VERTEX, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_INDEX_BUFFER_BIT},
        {MEMORY_KIND_UNIFORM,
         VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT},
        {MEMORY_KIND_STORAGE,
         VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT},
        {MEMORY_KIND_OTHER, VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT},
    };
    MemoryKind kind = MEMORY_KIND_STAGING;
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); ++i) {
        if ((usage & uses[i].usage) != 0) {
            kind = kind == MEMORY_KIND_STAGING ? uses[i].kind : MEMORY_KIND_MIXED;
        }
    }
    return kind;
}

/*  OpenGL over Vulkan makes every texture a possible attachment; what has mips is a texture. */
static MemoryKind kind_of_image(const VkImageCreateInfo* info) {
    if ((info->usage & VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT) != 0 ||
        image_aspects(info->format) != VK_IMAGE_ASPECT_COLOR_BIT) {
        return MEMORY_KIND_DEPTH;
    }
    if ((info->usage & VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT) != 0 && info->mipLevels == 1) {
        return MEMORY_KIND_COLOUR;
    }
    if ((info->usage & VK_IMAGE_USAGE_SAMPLED_BIT) != 0) {
        return MEMORY_KIND_TEXTURE;
    }
    return (info->usage & VK_IMAGE_USAGE_STORAGE_BIT) != 0 ? MEMORY_KIND_STORAGE
                                                           : MEMORY_KIND_OTHER;
}

/*  What the program meant by the memory type that it chose. */
static SxvkAllocationCreateInfo allocation_info(VkMemoryPropertyFlags properties, void* pUserData) {
    SxvkAllocationCreateInfo info = {.usage = SXVK_MEMORY_USAGE_AUTO_PREFER_DEVICE,
                                     .pUserData = pUserData};
    if ((properties & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0) {
        info.flags = (properties & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0
                         ? SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT
                         : SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT;
        if ((properties & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) == 0) {
            info.usage = SXVK_MEMORY_USAGE_AUTO_PREFER_HOST;
        }
    }
    return info;
}

static void prepare_buffer(Replay* replay, const TraceEvent* event, ReplayResource* resource,
                           VkBufferCreateInfo* info) {
    /* Newer bits belong to extensions that the device may not have. */
    const VkBufferUsageFlags coreUsage = 0x1ff;
    *info = (VkBufferCreateInfo){
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = event->size,
        .usage = (event->usage & coreUsage) | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT,
    };
    resource->kind = kind_of_buffer(event->usage & coreUsage);
    resource->hostAccess = (event->props & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0;
    resource->contentSize = event->size;
    replay->totals.trimmed += (event->usage & ~coreUsage) != 0;
}

/*  False where the device has nothing like it. */
static bool prepare_image(Replay* replay, const TraceEvent* event, ReplayResource* resource) {
    const bool volume =
        event->d > 1 || (event->createFlags & VK_IMAGE_CREATE_2D_ARRAY_COMPATIBLE_BIT) != 0;
    ImageRegion regions[MAX_IMAGE_REGIONS];
    resource->imageInfo = (VkImageCreateInfo){
        .sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
        .flags = event->createFlags,
        .imageType = volume ? VK_IMAGE_TYPE_3D : VK_IMAGE_TYPE_2D,
        .format = (VkFormat)event->format,
        .extent = {event->w, event->h, event->d},
        .mipLevels = event->mips,
        .arrayLayers = event->layers,
        .samples = (VkSampleCountFlagBits)event->samples,
        .tiling = (VkImageTiling)event->tiling,
        .usage = event->usage,
    };
    ImageFit fit = fit_image(replay->gpu->physicalDevice, &resource->imageInfo);
    image_regions(&resource->imageInfo, regions, &resource->contentSize);
    if (resource->contentSize > replay->upload.capacity) {
        resource->contentSize = 0; /* another format made it larger than all that the trace has */
    }
    resource->kind = kind_of_image(&resource->imageInfo);
    replay->totals.trimmed += fit == IMAGE_FIT_TRIMMED;
    replay->totals.replaced += fit == IMAGE_FIT_REPLACED;
    replay->totals.unsupported += fit == IMAGE_FIT_NONE;
    return fit != IMAGE_FIT_NONE;
}

/*  For the picture, the dump and every message, so it is no part of the time measured. */
static bool name_resource(Replay* replay, const ReplayResource* resource) {
    char name[160];
    char extent[64] = "";
    if (resource->image != VK_NULL_HANDLE) {
        snprintf(extent, sizeof(extent), "%" PRIu32 " x %" PRIu32 ", ",
                 resource->imageInfo.extent.width, resource->imageInfo.extent.height);
    }
    /* "warzone" of "warzone-cam1a": short names fit into the bars of the picture. */
    snprintf(name, sizeof(name), "%.*s %s %" PRIu32 " (%s%s)", (int)strcspn(replay->program, "-"),
             replay->program, memory_kind_name(resource->kind), resource->id, extent,
             BYTE_TEXT(resource->allocationSize));
    return check_vk(replay, sxvkSetAllocationName(replay->allocator, resource->allocation, name),
                    "sxvkSetAllocationName");
}

static bool create_failed(Replay* replay, const TraceEvent* event, VkResult result) {
    VkDeviceSize live = 0;
    VkDeviceSize committed = 0;
    for (uint32_t i = 0; i < replay->gpu->memory.memoryHeapCount; ++i) {
        live += replay->heaps[i].live;
        committed += replay->heaps[i].committed;
    }
    return replay_fail(replay, "%s %" PRIu32 " of the trace, %s: %s (%s live in %s committed)",
                       event->kind == TRACE_BUFFER ? "buffer" : "image", event->id,
                       BYTE_TEXT(event->size),
                       result == VK_ERROR_OUT_OF_DEVICE_MEMORY ? "the device is out of memory"
                       : result == VK_ERROR_OUT_OF_HOST_MEMORY ? "out of host memory"
                                                               : "cannot be created",
                       BYTE_TEXT(live), BYTE_TEXT(committed));
}

static bool create(Replay* replay, const TraceEvent* event) {
    const bool isImage = event->kind == TRACE_IMAGE;
    ReplayResource* resource = &replay->resources[replay->resourceCount];
    VkBufferCreateInfo bufferInfo;
    SxvkAllocationInfo info;
    memset(resource, 0, sizeof(*resource));
    resource->id = event->id;
    if (!isImage) {
        prepare_buffer(replay, event, resource, &bufferInfo);
    } else if (!prepare_image(replay, event, resource)) {
        return true;
    }
    /* The CPU can make sense of an image where its tiling is linear. */
    const bool mappable = !isImage || event->tiling == VK_IMAGE_TILING_LINEAR;
    SxvkAllocationCreateInfo allocation = allocation_info(mappable ? event->props : 0, resource);
    allocation.module = replay->modules[resource->kind];

    const uint64_t driverBefore = driver_calls()->nanoseconds;
    const uint64_t start = now_ns();
    VkResult result = isImage
                          ? sxvkCreateImage(replay->allocator, &resource->imageInfo, &allocation,
                                            &resource->image, &resource->allocation, &info)
                          : sxvkCreateBuffer(replay->allocator, &bufferInfo, &allocation,
                                             &resource->buffer, &resource->allocation, &info);
    const uint64_t elapsed = now_ns() - start;
    const uint64_t notOurs =
        driver_calls()->nanoseconds - driverBefore + driver_calls()->clockNanoseconds;
    if (result != VK_SUCCESS) {
        return create_failed(replay, event, result);
    }

    replay->resourceOfId[event->id] = (uint32_t)++replay->resourceCount;
    replay->totals.buffers += !isImage;
    replay->totals.images += isImage;
    resource->heap = replay->gpu->memory.memoryTypes[info.memoryType].heapIndex;
    resource->allocationSize = info.size;
    ReplayHeap* heap = &replay->heaps[resource->heap];
    heap->live += info.size;
    heap->allocations += 1;
    heap->created += 1;
    heap->createNanoseconds += elapsed > notOurs ? elapsed - notOurs : 0;
    return name_resource(replay, resource) && fill(replay, resource);
}

static void destroy(Replay* replay, ReplayResource* resource) {
    ReplayHeap* heap = &replay->heaps[resource->heap];
    heap->live -= resource->allocationSize;
    heap->allocations -= 1;
    if (resource->image != VK_NULL_HANDLE) {
        sxvkDestroyImage(replay->allocator, resource->image, resource->allocation);
    } else {
        sxvkDestroyBuffer(replay->allocator, resource->buffer, resource->allocation);
    }
    replay->resourceOfId[resource->id] = 0;
}

static ReplayResource* find_resource(Replay* replay, uint32_t id) {
    uint32_t index = replay->resourceOfId[id];
    return index > 0 ? &replay->resources[index - 1] : NULL;
}

/*  Copy back all that the destructions from index on will destroy. */
static bool verify_run(Replay* replay, size_t index) {
    for (size_t i = index; i < replay->trace->eventCount; ++i) {
        const TraceEvent* event = &replay->trace->events[i];
        if (event->kind == TRACE_BUFFER || event->kind == TRACE_IMAGE) {
            break;
        }
        ReplayResource* resource =
            event->kind == TRACE_DESTROY ? find_resource(replay, event->id) : NULL;
        if (resource != NULL && !verify(replay, resource)) {
            return false;
        }
    }
    return flush(replay);
}

static void sample_memory(Replay* replay) {
    for (uint32_t i = 0; i < replay->gpu->memory.memoryHeapCount; ++i) {
        replay->totals.liveSum += (double)replay->heaps[i].live;
        replay->totals.committedSum += (double)replay->heaps[i].committed;
    }
    replay->totals.samples += 1;
}

bool replay_event(Replay* replay, size_t index) {
    const TraceEvent* event = &replay->trace->events[index];
    ReplayResource* resource;
    switch (event->kind) {
    case TRACE_BUFFER:
    case TRACE_IMAGE:
        if (!create(replay, event)) {
            return false;
        }
        sample_memory(replay);
        break;
    case TRACE_DESTROY:
        resource = find_resource(replay, event->id);
        if (resource == NULL) {
            break; /* unsupported here */
        }
        if (resource->contentSize > 0 && !resource->verified && !verify_run(replay, index)) {
            return false;
        }
        destroy(replay, resource);
        sample_memory(replay);
        break;
    case TRACE_PRESENT: sxvkSetCurrentFrameIndex(replay->allocator, ++replay->frame); break;
    default: break;
    }
    return true;
}

/* --- the whole -------------------------------------------------------------------------------- */

static void VKAPI_PTR on_message(void* pUserData, const SxvkMessageInfo* pInfo) {
    Replay* replay = pUserData;
    replay->totals.errors += pInfo->severity == SXVK_MESSAGE_SEVERITY_ERROR;
    replay->totals.warnings += pInfo->severity == SXVK_MESSAGE_SEVERITY_WARNING;
    if (replay->totals.errors + replay->totals.warnings <= MAX_REPORTS) {
        fprintf(stderr, "\nsxvk_demo: the allocator says: %s\n", pInfo->pText);
    }
}

static void VKAPI_PTR on_allocate(SxvkAllocator allocator, uint32_t memoryType,
                                  VkDeviceMemory memory, VkDeviceSize size, void* pUserData) {
    Replay* replay = pUserData;
    ReplayHeap* heap = &replay->heaps[replay->gpu->memory.memoryTypes[memoryType].heapIndex];
    (void)allocator;
    heap->committed += size;
    heap->blocks += 1;
    heap->allocateCalls += 1;
    if (replay->blockCount == replay->blockCapacity) {
        size_t capacity = replay->blockCapacity * 2 + 64;
        ReplayBlock* blocks = realloc(replay->blocks, capacity * sizeof(*blocks));
        if (blocks == NULL) {
            replay_fail(replay, "out of host memory");
            return;
        }
        replay->blocks = blocks;
        replay->blockCapacity = capacity;
    }
    replay->blocks[replay->blockCount++] =
        (ReplayBlock){memory, size, memoryType, heap->allocateCalls};
}

static void VKAPI_PTR on_free(SxvkAllocator allocator, uint32_t memoryType, VkDeviceMemory memory,
                              VkDeviceSize size, void* pUserData) {
    Replay* replay = pUserData;
    ReplayHeap* heap = &replay->heaps[replay->gpu->memory.memoryTypes[memoryType].heapIndex];
    (void)allocator;
    heap->committed -= size;
    heap->blocks -= 1;
    heap->freeCalls += 1;
    for (size_t i = 0; i < replay->blockCount; ++i) {
        if (replay->blocks[i].memory == memory) {
            replay->blocks[i] = replay->blocks[--replay->blockCount];
            return;
        }
    }
}

static VkDeviceSize largest_content(const Trace* trace) {
    VkDeviceSize largest = 0;
    for (size_t i = 0; i < trace->eventCount; ++i) {
        const TraceEvent* event = &trace->events[i];
        if (event->kind == TRACE_BUFFER || event->kind == TRACE_IMAGE) {
            largest = event->size > largest ? event->size : largest;
        }
    }
    return largest;
}

static bool create_staging(Replay* replay, ReplayStaging* staging, VkBufferUsageFlags usage,
                           SxvkAllocationCreateFlags access) {
    VkBufferCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = staging->capacity, .usage = usage};
    SxvkAllocationCreateInfo allocation = {.flags = access | SXVK_ALLOCATION_CREATE_MAPPED_BIT,
                                           .usage = SXVK_MEMORY_USAGE_AUTO_PREFER_HOST,
                                           .pName = "staging of the demo"};
    SxvkAllocationInfo info;
    if (!check_vk(replay,
                  sxvkCreateBuffer(replay->stagingAllocator, &create, &allocation, &staging->buffer,
                                   &staging->allocation, &info),
                  "creating a staging buffer")) {
        return false;
    }
    staging->data = info.pMappedData;
    return true;
}

static bool create_allocators(Replay* replay) {
    SxvkVulkanFunctions functions = {0};
    SxvkDeviceMemoryCallbacks callbacks = {on_allocate, on_free, replay};
    SxvkAllocatorCreateInfo info = gpu_allocator_info(replay->gpu);
    info.pfnMessage = on_message;
    info.pMessageUserData = replay;
    if (!check_vk(replay, sxvkCreateAllocator(&info, &replay->stagingAllocator),
                  "sxvkCreateAllocator")) {
        return false;
    }
    driver_calls_begin(replay->gpu->instance, replay->gpu->device, &functions);
    info.pVulkanFunctions = &functions;
    info.pDeviceMemoryCallbacks = &callbacks;
    info.frameHistoryCount = HISTORY_FRAMES;
    return check_vk(replay, sxvkCreateAllocator(&info, &replay->allocator), "sxvkCreateAllocator");
}

/*  One for each kind of resource, by the names that the picture has for them. */
static bool create_modules(Replay* replay) {
    for (int kind = 0; kind < MEMORY_KIND_COUNT; ++kind) {
        SxvkModuleCreateInfo info = {.pName = memory_kind_name((MemoryKind)kind)};
        if (!check_vk(replay, sxvkCreateModule(replay->allocator, &info, &replay->modules[kind]),
                      "sxvkCreateModule")) {
            return false;
        }
    }
    return true;
}

bool replay_begin(Replay* replay, Gpu* gpu, const Trace* trace, const char* program) {
    memset(replay, 0, sizeof(*replay));
    replay->gpu = gpu;
    replay->trace = trace;
    snprintf(replay->program, sizeof(replay->program), "%s", program);
    for (size_t i = 0; i < trace->eventCount; ++i) {
        replay->totals.imports +=
            trace->events[i].kind == TRACE_ALLOCATE && trace->events[i].imported != 0;
    }

    replay->checkCapacity = 4096;
    replay->resources = calloc(trace->eventCount + 1, sizeof(*replay->resources));
    replay->resourceOfId = calloc((size_t)trace->idCount + 1, sizeof(*replay->resourceOfId));
    replay->checks = calloc(replay->checkCapacity, sizeof(*replay->checks));
    if (replay->resources == NULL || replay->resourceOfId == NULL || replay->checks == NULL) {
        return replay_fail(replay, "out of host memory");
    }
    /* The sizes of another device may be a little different, and regions start at round offsets. */
    VkDeviceSize capacity = largest_content(trace) / 3 * 4 + ((VkDeviceSize)1 << 20);
    replay->upload.capacity = capacity < STAGING_MIN_BYTES ? STAGING_MIN_BYTES : capacity;
    replay->readback.capacity = replay->upload.capacity;
    return create_allocators(replay) && create_modules(replay) &&
           create_staging(replay, &replay->upload, VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
                          SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT) &&
           create_staging(replay, &replay->readback, VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                          SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT);
}

bool replay_check(Replay* replay) {
    SxvkTotalStatistics statistics;
    sxvkCalculateStatistics(replay->allocator, &statistics);
    for (uint32_t i = 0; i < replay->gpu->memory.memoryHeapCount; ++i) {
        const SxvkStatistics* theirs = &statistics.memoryHeap[i].statistics;
        const ReplayHeap* ours = &replay->heaps[i];
        if (theirs->allocationBytes != ours->live || theirs->blockBytes != ours->committed ||
            theirs->allocationCount != ours->allocations || theirs->blockCount != ours->blocks) {
            return replay_fail(
                replay,
                "heap %" PRIu32 ": the allocator's statistics are %" PRIu64 " bytes of %" PRIu32
                " allocations in %" PRIu64 " bytes of %" PRIu32 " blocks, but we count %" PRIu64
                ", %" PRIu64 ", %" PRIu64 " and %" PRIu64,
                i, theirs->allocationBytes, theirs->allocationCount, theirs->blockBytes,
                theirs->blockCount, ours->live, ours->allocations, ours->committed, ours->blocks);
        }
    }
    return check_vk(replay, sxvkCheckIntegrity(replay->allocator), "sxvkCheckIntegrity");
}

bool replay_write_dump(Replay* replay, const char* path, const char* pagePath) {
    char* dump;
    if (!check_vk(replay, sxvkBuildStatsString(replay->allocator, &dump, VK_TRUE),
                  "sxvkBuildStatsString")) {
        return false;
    }
    FILE* file = fopen(path, "w");
    bool written = file != NULL && fputs(dump, file) >= 0;
    if (file != NULL && fclose(file) != 0) {
        written = false;
    }
    bool pageWritten = memview_page_write(dump, pagePath);
    sxvkFreeStatsString(replay->allocator, dump);
    return (written || replay_fail(replay, "cannot write %s", path)) &&
           (pageWritten || replay_fail(replay, "cannot make %s", pagePath));
}

/* --- the picture ------------------------------------------------------------------------------ */

typedef struct PictureBuilder {
    Replay* replay;
    MemoryBlock* blocks;
    MemoryRange* ranges;
    size_t rangeCount, rangeCapacity;
} PictureBuilder;

static VkBool32 VKAPI_PTR add_range(void* pUserData, SxvkAllocator allocator,
                                    SxvkAllocation allocation) {
    PictureBuilder* builder = pUserData;
    SxvkAllocationInfo2 info;
    sxvkGetAllocationInfo2(allocator, allocation, &info);
    const ReplayResource* resource = info.allocationInfo.pUserData;
    for (uint32_t i = 0; i < builder->replay->blockCount; ++i) {
        if (builder->replay->blocks[i].memory == info.allocationInfo.deviceMemory &&
            builder->rangeCount < builder->rangeCapacity) {
            builder->blocks[i].dedicated = info.dedicatedMemory == VK_TRUE;
            builder->ranges[builder->rangeCount++] =
                (MemoryRange){i, info.allocationInfo.offset, info.allocationInfo.size,
                              resource->kind, info.allocationInfo.pName};
            return VK_TRUE;
        }
    }
    replay_fail(builder->replay, "an allocation lies in memory that the allocator does not hold");
    return VK_FALSE;
}

/*  Small blocks first, so that they share rows; equal ones in the order in which they were made. */
static int compare_blocks(const void* left, const void* right) {
    const ReplayBlock* a = left;
    const ReplayBlock* b = right;
    if (a->size != b->size) {
        return a->size < b->size ? -1 : 1;
    }
    return a->serial < b->serial ? -1 : a->serial > b->serial;
}

static bool draw_picture(PictureBuilder* builder, const char* path) {
    Replay* replay = builder->replay;
    VkDeviceSize live = 0;
    VkDeviceSize committed = 0;
    char title[160];
    char subtitle[512];
    qsort(replay->blocks, replay->blockCount, sizeof(*replay->blocks), compare_blocks);
    for (size_t i = 0; i < replay->blockCount; ++i) {
        builder->blocks[i].size = replay->blocks[i].size;
        builder->blocks[i].type = replay->blocks[i].type;
        committed += replay->blocks[i].size;
    }
    sxvkForEachAllocation(replay->allocator, add_range, builder);
    if (replay->stopped) {
        return false;
    }
    for (size_t i = 0; i < builder->rangeCount; ++i) {
        live += builder->ranges[i].size;
    }
    snprintf(title, sizeof(title), "%s at its peak", replay->program);
    snprintf(subtitle, sizeof(subtitle),
             "%s live in %s committed (%.3f)  -  %zu resources in %zu blocks  -  %s",
             BYTE_TEXT(live), BYTE_TEXT(committed),
             live > 0 ? (double)committed / (double)live : 0.0, builder->rangeCount,
             replay->blockCount, replay->gpu->properties.deviceName);
    MemoryPicture picture = {title,
                             subtitle,
                             &replay->gpu->memory,
                             builder->blocks,
                             (uint32_t)replay->blockCount,
                             builder->ranges,
                             builder->rangeCount};
    return memory_svg_write(&picture, path) || replay_fail(replay, "cannot write %s", path);
}

bool replay_write_picture(Replay* replay, const char* path) {
    PictureBuilder builder = {.replay = replay};
    for (uint32_t i = 0; i < replay->gpu->memory.memoryHeapCount; ++i) {
        builder.rangeCapacity += (size_t)replay->heaps[i].allocations;
    }
    builder.blocks = calloc(replay->blockCount + 1, sizeof(*builder.blocks));
    builder.ranges = calloc(builder.rangeCapacity + 1, sizeof(*builder.ranges));
    bool drawn = builder.blocks != NULL && builder.ranges != NULL
                     ? draw_picture(&builder, path)
                     : replay_fail(replay, "out of host memory");
    free(builder.blocks);
    free(builder.ranges);
    return drawn;
}

/* --- the end ---------------------------------------------------------------------------------- */

bool replay_finish(Replay* replay) {
    SxvkTotalStatistics statistics;
    for (size_t i = 0; i < replay->resourceCount; ++i) {
        ReplayResource* resource = &replay->resources[i];
        if (replay->resourceOfId[resource->id] != 0 && !verify(replay, resource)) {
            return false;
        }
    }
    if (!flush(replay)) {
        return false;
    }
    for (size_t i = 0; i < replay->resourceCount; ++i) {
        if (replay->resourceOfId[replay->resources[i].id] != 0) {
            destroy(replay, &replay->resources[i]);
        }
    }
    sxvkCalculateStatistics(replay->allocator, &statistics);
    if (statistics.total.statistics.allocationCount != 0) {
        return replay_fail(replay, "the allocator still counts %" PRIu32 " allocations",
                           statistics.total.statistics.allocationCount);
    }
    return replay_check(replay);
}

void replay_end(Replay* replay) {
    if (replay->gpu == NULL) {
        return;
    }
    vkDeviceWaitIdle(replay->gpu->device);
    for (size_t i = 0; i < replay->resourceCount; ++i) {
        if (replay->resourceOfId[replay->resources[i].id] != 0) {
            destroy(replay, &replay->resources[i]);
        }
    }
    if (replay->stagingAllocator != NULL) {
        sxvkDestroyBuffer(replay->stagingAllocator, replay->upload.buffer,
                          replay->upload.allocation);
        sxvkDestroyBuffer(replay->stagingAllocator, replay->readback.buffer,
                          replay->readback.allocation);
    }
    for (int kind = 0; kind < MEMORY_KIND_COUNT; ++kind) {
        sxvkDestroyModule(replay->allocator, replay->modules[kind]);
    }
    sxvkDestroyAllocator(replay->allocator);
    sxvkDestroyAllocator(replay->stagingAllocator);
    free(replay->resources);
    free(replay->resourceOfId);
    free(replay->checks);
    free(replay->blocks);
    replay->resources = NULL;
    replay->resourceOfId = NULL;
    replay->checks = NULL;
    replay->blocks = NULL;
}
