/*
    Shows a texture cache that never fails: 96 textures of 128 MiB together are used in turns, in a
    heap of 64 MiB. What was not used for long is made smaller when memory gets scarce, or goes when
    there is none left, and what one frame needs is loaded with fewer mip levels if it must be. Each
    frame reads pixels of all textures that it uses back and compares them.

    Build and run, from the repository:
        cc -std=c99 -I. examples/11_texture_cache.c -o texture_cache -lvulkan -pthread
        ./texture_cache
*/

#include "example_device.h"

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#define HEAP_SIZE     ((VkDeviceSize)64 << 20)
#define TEXTURE_COUNT 96
#define EXTENT        512u /* of the first mip level; 4 bytes a pixel, 1.33 MiB with all levels */
#define MIP_COUNT     10u
#define FRAME_COUNT   30u
#define PROBE         8u /* pixels in each direction that are read back, where there are so many */

typedef struct Texture {
    VkImage image;
    SxvkAllocation allocation;
    uint32_t index;
    uint32_t firstMip; /* levels above it are not in memory */
    int isLocked;      /* it is being made smaller */
} Texture;

typedef struct Cache {
    ExampleDevice example;
    SxvkAllocator allocator;
    SxvkModule module;
    VkBuffer staging;
    SxvkAllocation stagingAllocation;
    unsigned char* pStaging;
    VkBuffer readback;
    SxvkAllocation readbackAllocation;
    const unsigned char* pReadback;
    Texture textures[TEXTURE_COUNT];
    uint32_t memoryTypeBits;
    uint32_t heap;     /* where the textures are */
    uint32_t firstMip; /* of what is loaded now */
    uint32_t loads, evictions, reductions, requests, changes, errors, worstMip;
    SxvkPressureLevel worst;
} Cache;

static uint32_t extent_of(uint32_t mip) {
    return EXTENT >> mip;
}

/*  What would come from a file. */
static uint32_t pixel(uint32_t texture, uint32_t mip, uint32_t x, uint32_t y) {
    return (texture * 16 + mip) * 2654435761u + y * 4099u + x * 7u;
}

/* --- images --- */

static void barrier(const Cache* cache, VkCommandBuffer commands, const Texture* texture,
                    VkImageLayout from, VkImageLayout to) {
    VkImageMemoryBarrier info = {0};
    (void)cache;
    info.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER;
    info.srcAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    info.dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    info.oldLayout = from;
    info.newLayout = to;
    info.srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    info.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    info.image = texture->image;
    info.subresourceRange.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT;
    info.subresourceRange.levelCount = MIP_COUNT - texture->firstMip;
    info.subresourceRange.layerCount = 1;
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT,
                         0, 0, NULL, 0, NULL, 1, &info);
}

static VkImageSubresourceLayers layers_of(const Texture* texture, uint32_t mip) {
    VkImageSubresourceLayers layers = {0};
    layers.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT;
    layers.mipLevel = mip - texture->firstMip;
    layers.layerCount = 1;
    return layers;
}

static VkImageCreateInfo image_info(uint32_t firstMip) {
    VkImageCreateInfo info = {0};
    info.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
    info.imageType = VK_IMAGE_TYPE_2D;
    info.format = VK_FORMAT_R8G8B8A8_UNORM;
    info.extent.width = extent_of(firstMip);
    info.extent.height = extent_of(firstMip);
    info.extent.depth = 1;
    info.mipLevels = MIP_COUNT - firstMip;
    info.arrayLayers = 1;
    info.samples = VK_SAMPLE_COUNT_1_BIT;
    info.usage = VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT |
                 VK_IMAGE_USAGE_TRANSFER_DST_BIT;
    return info;
}

/*  Textures stay in the memory that suits them best: without this the library would go on in the
    next best heap, on most GPUs that of the CPU, before it asks for room. */
static void choose_heap(Cache* cache) {
    VkImageCreateInfo info = image_info(0);
    SxvkAllocationCreateInfo allocationInfo = {0};
    const VkPhysicalDeviceMemoryProperties* memory;
    uint32_t type;
    allocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;
    EXAMPLE_CHECK(sxvkFindMemoryTypeIndexForImageInfo(cache->allocator, &info, &allocationInfo,
                                                      &type) == VK_SUCCESS);
    sxvkGetMemoryProperties(cache->allocator, &memory);
    cache->memoryTypeBits = 1u << type;
    cache->heap = memory->memoryTypes[type].heapIndex;
}

/*  An image of the texture from a mip level on. If memory runs out, the callback below makes room
    and the library tries once more. */
static void create_image(Cache* cache, Texture* texture, uint32_t firstMip) {
    VkImageCreateInfo info = image_info(firstMip);
    SxvkAllocationCreateInfo allocationInfo = {0};
    allocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;
    allocationInfo.memoryTypeBits = cache->memoryTypeBits;
    allocationInfo.module = cache->module;
    allocationInfo.pUserData = texture;
    /* Into variables of its own: the callback must not find what is only half made. */
    VkImage image;
    SxvkAllocation allocation;
    EXAMPLE_CHECK(sxvkCreateImage(cache->allocator, &info, &allocationInfo, &image, &allocation,
                                  NULL) == VK_SUCCESS);
    texture->image = image;
    texture->allocation = allocation;
    texture->firstMip = firstMip;
}

static void evict(Cache* cache, Texture* texture) {
    sxvkDestroyImage(cache->allocator, texture->image, texture->allocation);
    texture->image = VK_NULL_HANDLE;
    texture->allocation = VK_NULL_HANDLE;
    cache->evictions++;
}

/* --- pressure --- */

/*  Evict what was used longest ago, until so many bytes went; nothing that this frame uses. All
    commands so far have run: a program with frames in flight would spare these as well, by age. */
static int evict_coldest(Cache* cache, uint32_t heap, VkDeviceSize bytes) {
    SxvkColdAllocation cold[16];
    uint32_t count = 16;
    int any = 0;
    EXAMPLE_CHECK(sxvkGetColdestAllocations(cache->allocator, heap, cache->module, bytes, &count,
                                            cold) == VK_SUCCESS);
    for (uint32_t i = 0; i < count && cold[i].age > 0; i++) {
        SxvkAllocationInfo info;
        sxvkGetAllocationInfo(cache->allocator, cold[i].allocation, &info);
        Texture* texture = (Texture*)info.pUserData;
        if (!texture->isLocked) {
            evict(cache, texture);
            any = 1;
        }
    }
    return any;
}

/*  This frame alone needs too much: less detail from now on, also for what it has loaded. */
static int lower_quality(Cache* cache) {
    if (cache->firstMip + 1 == MIP_COUNT) {
        return 0;
    }
    cache->firstMip++;
    for (uint32_t i = 0; i < TEXTURE_COUNT; i++) {
        Texture* texture = &cache->textures[i];
        if (texture->image != VK_NULL_HANDLE && !texture->isLocked &&
            texture->firstMip < cache->firstMip) {
            evict(cache, texture);
        }
    }
    return 1;
}

static VkBool32 VKAPI_PTR on_pressure(void* pUserData, SxvkAllocator allocator,
                                      const SxvkPressureInfo* pInfo) {
    Cache* cache = (Cache*)pUserData;
    (void)allocator;
    if (pInfo->bytesNeeded == 0) { /* a level has changed: the end of the frame looks at it */
        cache->changes++;
        cache->worst = pInfo->level > cache->worst ? pInfo->level : cache->worst;
        return VK_FALSE;
    }
    cache->requests++;
    return evict_coldest(cache, pInfo->heapIndex, pInfo->bytesNeeded) || lower_quality(cache);
}

/*  The library's messages; none may say that memory ran out. */
static void VKAPI_PTR on_message(void* pUserData, const SxvkMessageInfo* pInfo) {
    ((Cache*)pUserData)->errors++;
    fprintf(stderr, "%s\n", pInfo->pText);
}

/* --- loading --- */

static void upload(Cache* cache, const Texture* texture) {
    VkBufferImageCopy regions[MIP_COUNT] = {{0}};
    VkDeviceSize at = 0;
    uint32_t count = 0;
    for (uint32_t mip = texture->firstMip; mip < MIP_COUNT; mip++, count++) {
        uint32_t extent = extent_of(mip);
        uint32_t* pixels = (uint32_t*)(void*)(cache->pStaging + at);
        for (uint32_t y = 0; y < extent; y++) {
            for (uint32_t x = 0; x < extent; x++) {
                pixels[y * extent + x] = pixel(texture->index, mip, x, y);
            }
        }
        regions[count].bufferOffset = at;
        regions[count].imageSubresource = layers_of(texture, mip);
        regions[count].imageExtent.width = extent;
        regions[count].imageExtent.height = extent;
        regions[count].imageExtent.depth = 1;
        at += (VkDeviceSize)extent * extent * 4;
    }
    EXAMPLE_CHECK(sxvkFlushAllocation(cache->allocator, cache->stagingAllocation, 0, at) ==
                  VK_SUCCESS);
    VkCommandBuffer commands = example_begin(&cache->example);
    barrier(cache, commands, texture, VK_IMAGE_LAYOUT_UNDEFINED,
            VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    vkCmdCopyBufferToImage(commands, cache->staging, texture->image,
                           VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, count, regions);
    barrier(cache, commands, texture, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
            VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    example_submit_and_wait(&cache->example, commands);
    cache->loads++;
}

/*  Make all textures of the frame resident. Loading the last one may have lowered the quality, and
    evicted the first: then once more, at most once for each mip level. */
static void acquire(Cache* cache, uint32_t first, uint32_t count) {
    int is_complete;
    for (uint32_t i = 0; i < count; i++) {
        Texture* texture = &cache->textures[(first + i) % TEXTURE_COUNT];
        if (texture->image != VK_NULL_HANDLE) { /* from now on it is not cold */
            EXAMPLE_CHECK(sxvkTouchAllocation(cache->allocator, texture->allocation) == VK_SUCCESS);
        }
    }
    do {
        uint32_t quality = cache->firstMip;
        for (uint32_t i = 0; i < count; i++) {
            Texture* texture = &cache->textures[(first + i) % TEXTURE_COUNT];
            if (texture->image == VK_NULL_HANDLE) {
                create_image(cache, texture, cache->firstMip);
                EXAMPLE_CHECK(sxvkTouchAllocation(cache->allocator, texture->allocation) ==
                              VK_SUCCESS);
                upload(cache, texture);
            }
        }
        is_complete = quality == cache->firstMip;
    } while (!is_complete);
    cache->worstMip = cache->firstMip > cache->worstMip ? cache->firstMip : cache->worstMip;
}

/*  Drop the first mip level: a smaller image, into which the GPU copies the rest. */
static void reduce(Cache* cache, Texture* texture) {
    Texture old = *texture;
    if (old.firstMip + 1 == MIP_COUNT) {
        return;
    }
    texture->isLocked = 1;
    create_image(cache, texture, old.firstMip + 1);
    VkCommandBuffer commands = example_begin(&cache->example);
    barrier(cache, commands, texture, VK_IMAGE_LAYOUT_UNDEFINED,
            VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    for (uint32_t mip = texture->firstMip; mip < MIP_COUNT; mip++) {
        VkImageCopy region = {0};
        region.srcSubresource = layers_of(&old, mip);
        region.dstSubresource = layers_of(texture, mip);
        region.extent.width = extent_of(mip);
        region.extent.height = extent_of(mip);
        region.extent.depth = 1;
        vkCmdCopyImage(commands, old.image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, texture->image,
                       VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &region);
    }
    barrier(cache, commands, texture, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
            VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    example_submit_and_wait(&cache->example, commands);
    EXAMPLE_CHECK(sxvkTouchAllocation(cache->allocator, texture->allocation) == VK_SUCCESS);
    sxvkDestroyImage(cache->allocator, old.image, old.allocation);
    texture->isLocked = 0;
    cache->reductions++;
}

/* --- frames --- */

/*  Read a corner of the first and of a later mip level of each texture. */
static void use(Cache* cache, uint32_t first, uint32_t count) {
    const VkDeviceSize slot = PROBE * PROBE * 4;
    VkCommandBuffer commands = example_begin(&cache->example);
    for (uint32_t i = 0; i < 2 * count; i++) {
        const Texture* texture = &cache->textures[(first + i / 2) % TEXTURE_COUNT];
        uint32_t mip = i % 2 ? MIP_COUNT - 1 : texture->firstMip;
        uint32_t extent = extent_of(mip) < PROBE ? extent_of(mip) : PROBE;
        VkBufferImageCopy region = {0};
        region.bufferOffset = i * slot;
        region.imageSubresource = layers_of(texture, mip);
        region.imageOffset.x = (int32_t)(extent_of(mip) - extent);
        region.imageOffset.y = (int32_t)(extent_of(mip) - extent);
        region.imageExtent.width = extent;
        region.imageExtent.height = extent;
        region.imageExtent.depth = 1;
        vkCmdCopyImageToBuffer(commands, texture->image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
                               cache->readback, 1, &region);
    }
    example_submit_and_wait(&cache->example, commands);
    EXAMPLE_CHECK(sxvkInvalidateAllocation(cache->allocator, cache->readbackAllocation, 0,
                                           VK_WHOLE_SIZE) == VK_SUCCESS);
    for (uint32_t i = 0; i < 2 * count; i++) {
        const Texture* texture = &cache->textures[(first + i / 2) % TEXTURE_COUNT];
        uint32_t mip = i % 2 ? MIP_COUNT - 1 : texture->firstMip;
        uint32_t extent = extent_of(mip) < PROBE ? extent_of(mip) : PROBE;
        uint32_t corner = extent_of(mip) - extent;
        for (uint32_t k = 0; k < extent * extent; k++) {
            uint32_t seen;
            memcpy(&seen, cache->pReadback + i * slot + 4 * k, 4);
            EXAMPLE_CHECK(seen ==
                          pixel(texture->index, mip, corner + k % extent, corner + k / extent));
        }
    }
}

/*  Act before memory runs out: what is coldest loses a level; and with much room to spare, what is
    loaded next is better again. */
static void end_frame(Cache* cache) {
    SxvkBudget budget;
    sxvkGetHeapBudget(cache->allocator, cache->heap, &budget);
    if (budget.level >= SXVK_PRESSURE_LEVEL_WARNING) {
        SxvkColdAllocation cold[8];
        uint32_t count = 8;
        EXAMPLE_CHECK(sxvkGetColdestAllocations(cache->allocator, cache->heap, cache->module, 0,
                                                &count, cold) == VK_SUCCESS);
        for (uint32_t i = 0; i < count && cold[i].age > 0; i++) {
            SxvkAllocationInfo info;
            if (sxvkIsAllocationValid(cache->allocator, cold[i].allocation)) { /* not evicted */
                sxvkGetAllocationInfo(cache->allocator, cold[i].allocation, &info);
                reduce(cache, (Texture*)info.pUserData);
            }
        }
    } else if (budget.percentage < 50.0f && cache->firstMip > 0) {
        cache->firstMip--;
    }
}

/*  A mapped buffer; they take 1.5 MiB of the heap where there is but one. */
static void* create_buffer(Cache* cache, VkDeviceSize size, VkBufferUsageFlags usage,
                           SxvkAllocationCreateFlags flags, VkBuffer* buffer,
                           SxvkAllocation* allocation) {
    VkBufferCreateInfo info = {0};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = size;
    info.usage = usage;
    SxvkAllocationCreateInfo allocationInfo = {0};
    allocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;
    allocationInfo.flags = flags | SXVK_ALLOCATION_CREATE_MAPPED_BIT;
    allocationInfo.pName = "transfer";
    SxvkAllocationInfo made;
    EXAMPLE_CHECK(sxvkCreateBuffer(cache->allocator, &info, &allocationInfo, buffer, allocation,
                                   &made) == VK_SUCCESS);
    return made.pMappedData;
}

int main(void) {
    static Cache cache;
    example_create_instance(&cache.example);
    example_create_device(&cache.example);

    VkDeviceSize limits[VK_MAX_MEMORY_HEAPS];
    for (uint32_t i = 0; i < VK_MAX_MEMORY_HEAPS; i++) {
        limits[i] = HEAP_SIZE;
    }
    SxvkPressureCreateInfo pressure = {0};
    pressure.pfnCallback = on_pressure;
    pressure.pUserData = &cache;
    SxvkAllocatorCreateInfo info = {0};
    info.instance = cache.example.instance;
    info.physicalDevice = cache.example.physicalDevice;
    info.device = cache.example.device;
    info.vulkanApiVersion = VK_API_VERSION_1_1;
    info.pHeapSizeLimit = limits;
    info.pPressureInfo = &pressure;
    info.pfnMessage = on_message;
    info.pMessageUserData = &cache;
    EXAMPLE_CHECK(sxvkCreateAllocator(&info, &cache.allocator) == VK_SUCCESS);

    choose_heap(&cache);

    SxvkModuleCreateInfo moduleInfo = {0};
    moduleInfo.pName = "textures";
    moduleInfo.strategy = SXVK_MODULE_STRATEGY_MEMORY;
    EXAMPLE_CHECK(sxvkCreateModule(cache.allocator, &moduleInfo, &cache.module) == VK_SUCCESS);
    cache.pStaging = (unsigned char*)create_buffer(
        &cache, EXTENT * EXTENT * 4 * 4 / 3 + 64, VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
        SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT, &cache.staging,
        &cache.stagingAllocation);
    cache.pReadback = (const unsigned char*)create_buffer(
        &cache, 2 * TEXTURE_COUNT * PROBE * PROBE * 4, VK_BUFFER_USAGE_TRANSFER_DST_BIT,
        SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT, &cache.readback, &cache.readbackAllocation);

    for (uint32_t frame = 1; frame <= FRAME_COUNT; frame++) {
        /* A walk through all textures, 12 to 24 at a time; and a look over 72 at once, which would
           be 96 MiB. */
        uint32_t count = frame % 10 == 8 ? 72 : 12 + frame % 13;
        sxvkSetCurrentFrameIndex(cache.allocator, frame);
        for (uint32_t i = 0; i < TEXTURE_COUNT; i++) {
            cache.textures[i].index = i;
        }
        acquire(&cache, frame * 9, count);
        use(&cache, frame * 9, count);
        end_frame(&cache);
    }

    SxvkModuleStatistics stats;
    SxvkBudget budget;
    sxvkGetModuleStatistics(cache.allocator, cache.module, &stats);
    sxvkGetHeapBudget(cache.allocator, cache.heap, &budget);
    printf("%u textures, %u frames in %u MiB: %u loads, %u evicted, %u made smaller\n",
           TEXTURE_COUNT, FRAME_COUNT, (unsigned)(HEAP_SIZE >> 20), cache.loads, cache.evictions,
           cache.reductions);
    printf("pressure: %u changes, the worst level %u, asked for memory %u times, down to mip %u\n",
           cache.changes, (unsigned)cache.worst, cache.requests, cache.worstMip);
    printf("textures hold %.1f MiB now, %.1f at most; of the budget %.0f %% are in use\n",
           (double)stats.allocationBytes / (1 << 20), (double)stats.peakBytes / (1 << 20),
           (double)budget.percentage);
    EXAMPLE_CHECK(cache.errors == 0);
    EXAMPLE_CHECK(cache.reductions != 0 && cache.worst != SXVK_PRESSURE_LEVEL_NORMAL);
    EXAMPLE_CHECK(cache.worstMip != 0 && stats.peakBytes <= HEAP_SIZE);

    for (uint32_t i = 0; i < TEXTURE_COUNT; i++) {
        sxvkDestroyImage(cache.allocator, cache.textures[i].image, cache.textures[i].allocation);
    }
    sxvkDestroyBuffer(cache.allocator, cache.staging, cache.stagingAllocation);
    sxvkDestroyBuffer(cache.allocator, cache.readback, cache.readbackAllocation);
    sxvkDestroyModule(cache.allocator, cache.module);
    sxvkDestroyAllocator(cache.allocator);
    example_destroy(&cache.example);
    EXAMPLE_CHECK(cache.errors == 0);
    return 0;
}
