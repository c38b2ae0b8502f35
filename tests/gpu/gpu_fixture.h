/*
    gpu_fixture.h - what the tests on a real driver share: a device under the validation layer with an
    allocator on it, and patterns that the GPU carries into buffers and images and back.

    Each test gets a device of its own (fixture_open, fixture_close). Closing it asserts that neither
    the validation layer nor the allocator had anything to say that the test did not expect. The memory
    that carries the patterns is not the allocator's, so its figures stay those of the test.
*/
#ifndef GPU_FIXTURE_H
#define GPU_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu.h"

#include "sx_vkalloc.h" /* implementation.c has the rest */

#define KIB          ((VkDeviceSize)1024)
#define MIB          (1024 * KIB)

#define CARRIER_SIZE ((size_t)(8 * MIB))

typedef struct Fixture {
    Gpu gpu;
    SxvkAllocator allocator;
    pthread_mutex_t messageMutex;
    uint32_t messages[SXVK_MESSAGE_COUNT]; /* not yet expected */
    char lastText[256];
    VkBuffer carrier; /* host-visible, coherent, mapped */
    VkDeviceMemory carrierMemory;
    uint8_t* carrierData;
} Fixture;

#define assert_ok(expression) assert_int_equal((expression), VK_SUCCESS)

/* --- messages ----------------------------------------------------------------------------------- */

static VKAPI_ATTR void VKAPI_CALL fixture_on_message(void* userData, const SxvkMessageInfo* pInfo) {
    Fixture* fixture = (Fixture*)userData;
    (void)pthread_mutex_lock(&fixture->messageMutex);
    fixture->messages[pInfo->message]++;
    (void)snprintf(fixture->lastText, sizeof fixture->lastText, "%s", pInfo->pText);
    (void)pthread_mutex_unlock(&fixture->messageMutex);
}

/*  This message must have come this often since the last call, and no other. */
static inline void expect_messages(Fixture* fixture, SxvkMessage message, uint32_t count) {
    for (uint32_t i = 0; i < SXVK_MESSAGE_COUNT; i++) {
        uint32_t expected = i == (uint32_t)message ? count : 0;
        if (fixture->messages[i] != expected) {
            fail_msg("message %u came %u times, not %u; the last one was: %s", i,
                     fixture->messages[i], expected, fixture->lastText);
        }
    }
    memset(fixture->messages, 0, sizeof fixture->messages);
}

static inline void expect_no_messages(Fixture* fixture) {
    expect_messages(fixture, SXVK_MESSAGE_NONE, 0);
    assert_int_equal(gpu_validation_messages(&fixture->gpu), 0);
}

/* --- device and allocator ----------------------------------------------------------------------- */

static inline uint32_t find_coherent_type(const Fixture* fixture, uint32_t typeBits) {
    const VkMemoryPropertyFlags wanted =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t type = 0;
    while (!(typeBits & (1u << type)) ||
           (fixture->gpu.memory.memoryTypes[type].propertyFlags & wanted) != wanted) {
        type++;
        assert_true(type < fixture->gpu.memory.memoryTypeCount);
    }
    return type;
}

static inline void open_carrier(Fixture* fixture) {
    const VkBufferCreateInfo bufferInfo = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = CARRIER_SIZE,
        .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
    };
    VkDevice device = fixture->gpu.device;
    assert_ok(vkCreateBuffer(device, &bufferInfo, NULL, &fixture->carrier));
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(device, fixture->carrier, &needs);
    const VkMemoryAllocateInfo memoryInfo = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .allocationSize = needs.size,
        .memoryTypeIndex = find_coherent_type(fixture, needs.memoryTypeBits),
    };
    assert_ok(vkAllocateMemory(device, &memoryInfo, NULL, &fixture->carrierMemory));
    assert_ok(vkBindBufferMemory(device, fixture->carrier, fixture->carrierMemory, 0));
    void* data;
    assert_ok(vkMapMemory(device, fixture->carrierMemory, 0, VK_WHOLE_SIZE, 0, &data));
    fixture->carrierData = (uint8_t*)data;
}

/*  What the allocator of this fixture is made with; a test may change it and make its own. */
static inline SxvkAllocatorCreateInfo fixture_allocator_info(Fixture* fixture) {
    SxvkAllocatorCreateInfo info = gpu_allocator_info(&fixture->gpu);
    info.pfnMessage = fixture_on_message;
    info.pMessageUserData = fixture;
    return info;
}

static inline void fixture_open_device(Fixture* fixture, const GpuOptions* options) {
    memset(fixture, 0, sizeof *fixture);
    (void)pthread_mutex_init(&fixture->messageMutex, NULL);
    bool opened = gpu_open(&fixture->gpu, options);
    assert_string_equal(fixture->gpu.error, "");
    assert_true(opened);
    assert_true(fixture->gpu.validated);
    open_carrier(fixture);
}

static inline void fixture_close_device(Fixture* fixture) {
    vkDestroyBuffer(fixture->gpu.device, fixture->carrier, NULL);
    vkFreeMemory(fixture->gpu.device, fixture->carrierMemory, NULL);
    assert_int_equal(gpu_close(&fixture->gpu), 0);
    (void)pthread_mutex_destroy(&fixture->messageMutex);
}

/*  cmocka's set-up and tear-down of one test. */
static inline int fixture_open(void** state) {
    Fixture* fixture = (Fixture*)malloc(sizeof(Fixture));
    assert_non_null(fixture);
    fixture_open_device(fixture, NULL);
    SxvkAllocatorCreateInfo info = fixture_allocator_info(fixture);
    assert_ok(sxvkCreateAllocator(&info, &fixture->allocator));
    *state = fixture;
    return 0;
}

static inline int fixture_close(void** state) {
    Fixture* fixture = (Fixture*)*state;
    expect_no_messages(fixture);
    if (fixture->allocator != NULL) {
        assert_ok(sxvkCheckIntegrity(fixture->allocator));
        sxvkDestroyAllocator(fixture->allocator);
        expect_no_messages(fixture);
    }
    fixture_close_device(fixture);
    free(fixture);
    return 0;
}

#define gpu_test(function) cmocka_unit_test_setup_teardown(function, fixture_open, fixture_close)

/* --- patterns ----------------------------------------------------------------------------------- */

static inline uint64_t splitmix64(uint64_t* state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t random_below(uint64_t* state, uint64_t limit) {
    return splitmix64(state) % limit;
}

static inline void fill_pattern(uint8_t* data, size_t size, uint64_t seed) {
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = splitmix64(&seed);
        memcpy(data + i, &word, size - i < 8 ? size - i : 8);
    }
}

static inline void check_pattern(const uint8_t* data, size_t size, uint64_t seed) {
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = splitmix64(&seed);
        if (memcmp(data + i, &word, size - i < 8 ? size - i : 8) != 0) {
            fail_msg("bytes differ within 8 of offset %llu of %llu", (unsigned long long)i,
                     (unsigned long long)size);
        }
    }
}

/* --- the GPU carries them ----------------------------------------------------------------------- */

static inline void everything_barrier(VkCommandBuffer commands) {
    const VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT,
    };
    const VkPipelineStageFlags stages =
        VK_PIPELINE_STAGE_ALL_COMMANDS_BIT | VK_PIPELINE_STAGE_HOST_BIT;
    vkCmdPipelineBarrier(commands, stages, stages, 0, 1, &barrier, 0, NULL, 0, NULL);
}

static inline void gpu_copy_buffer(Fixture* fixture, VkBuffer from, VkBuffer to,
                                   VkDeviceSize size) {
    VkCommandBuffer commands;
    assert_ok(gpu_begin(&fixture->gpu, &commands));
    const VkBufferCopy region = {.size = size};
    everything_barrier(commands);
    vkCmdCopyBuffer(commands, from, to, 1, &region);
    everything_barrier(commands);
    assert_ok(gpu_submit(&fixture->gpu, commands));
}

/*  Through the carrier into a buffer with TRANSFER_DST, and from one with TRANSFER_SRC. */
static inline void gpu_write_buffer(Fixture* fixture, VkBuffer buffer, size_t size, uint64_t seed) {
    assert_true(size <= CARRIER_SIZE);
    fill_pattern(fixture->carrierData, size, seed);
    gpu_copy_buffer(fixture, fixture->carrier, buffer, size);
}

static inline void gpu_check_buffer(Fixture* fixture, VkBuffer buffer, size_t size, uint64_t seed) {
    assert_true(size <= CARRIER_SIZE);
    memset(fixture->carrierData, 0xcc, size);
    gpu_copy_buffer(fixture, buffer, fixture->carrier, size);
    check_pattern(fixture->carrierData, size, seed);
}

/*  Of the formats that the tests use: the size of a texel block, and how many texels wide it is. */
typedef struct FormatLayout {
    VkFormat format;
    uint32_t blockBytes;
    uint32_t blockWidth;
    VkImageAspectFlags aspect;
} FormatLayout;

static inline FormatLayout format_layout(VkFormat format) {
    static const FormatLayout layouts[] = {
        {VK_FORMAT_R8_UNORM, 1, 1, VK_IMAGE_ASPECT_COLOR_BIT},
        {VK_FORMAT_R5G6B5_UNORM_PACK16, 2, 1, VK_IMAGE_ASPECT_COLOR_BIT},
        {VK_FORMAT_R8G8B8A8_UNORM, 4, 1, VK_IMAGE_ASPECT_COLOR_BIT},
        {VK_FORMAT_R32G32B32A32_UINT, 16, 1, VK_IMAGE_ASPECT_COLOR_BIT},
        {VK_FORMAT_BC1_RGBA_UNORM_BLOCK, 8, 4, VK_IMAGE_ASPECT_COLOR_BIT},
        {VK_FORMAT_D16_UNORM, 2, 1, VK_IMAGE_ASPECT_DEPTH_BIT},
    };
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        if (layouts[i].format == format) {
            return layouts[i];
        }
    }
    fail_msg("format %d is not in the table", (int)format);
    return layouts[0];
}

static inline uint32_t mip_extent(uint32_t extent, uint32_t level) {
    return extent >> level > 0 ? extent >> level : 1;
}

/*  Where in the carrier each mip level is, with all its layers. */
typedef struct ImageRegions {
    VkBufferImageCopy at[16];
    size_t size[16];
} ImageRegions;

static inline ImageRegions image_regions(const VkImageCreateInfo* info) {
    FormatLayout layout = format_layout(info->format);
    ImageRegions regions;
    size_t offset = 0;
    for (uint32_t level = 0; level < info->mipLevels; level++) {
        VkExtent3D extent = {mip_extent(info->extent.width, level),
                             mip_extent(info->extent.height, level),
                             mip_extent(info->extent.depth, level)};
        size_t columns = (extent.width + layout.blockWidth - 1) / layout.blockWidth;
        size_t rows = (extent.height + layout.blockWidth - 1) / layout.blockWidth;
        regions.at[level] = (VkBufferImageCopy){
            .bufferOffset = offset,
            .imageSubresource = {layout.aspect, level, 0, info->arrayLayers},
            .imageExtent = extent,
        };
        regions.size[level] = columns * rows * extent.depth * layout.blockBytes * info->arrayLayers;
        offset = (offset + regions.size[level] + 15) & ~(size_t)15;
    }
    assert_true(offset <= CARRIER_SIZE);
    return regions;
}

static inline void image_barrier(VkCommandBuffer commands, VkImage image,
                                 const VkImageCreateInfo* info, VkImageLayout from,
                                 VkImageLayout to) {
    const VkImageMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT,
        .oldLayout = from,
        .newLayout = to,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .image = image,
        .subresourceRange = {format_layout(info->format).aspect, 0, info->mipLevels, 0,
                             info->arrayLayers},
    };
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                         VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
}

/*  Fills every texel; the image is in TRANSFER_SRC_OPTIMAL afterwards, as gpu_check_image wants it. */
static inline void gpu_write_image(Fixture* fixture, VkImage image, const VkImageCreateInfo* info,
                                   uint64_t seed) {
    ImageRegions regions = image_regions(info);
    for (uint32_t level = 0; level < info->mipLevels; level++) {
        fill_pattern(fixture->carrierData + regions.at[level].bufferOffset, regions.size[level],
                     seed + level);
    }
    VkCommandBuffer commands;
    assert_ok(gpu_begin(&fixture->gpu, &commands));
    image_barrier(commands, image, info, VK_IMAGE_LAYOUT_UNDEFINED,
                  VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    vkCmdCopyBufferToImage(commands, fixture->carrier, image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                           info->mipLevels, regions.at);
    image_barrier(commands, image, info, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                  VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    assert_ok(gpu_submit(&fixture->gpu, commands));
}

static inline void gpu_check_image(Fixture* fixture, VkImage image, const VkImageCreateInfo* info,
                                   uint64_t seed) {
    ImageRegions regions = image_regions(info);
    uint32_t last = info->mipLevels - 1;
    memset(fixture->carrierData, 0xcc, (size_t)regions.at[last].bufferOffset + regions.size[last]);
    VkCommandBuffer commands;
    assert_ok(gpu_begin(&fixture->gpu, &commands));
    vkCmdCopyImageToBuffer(commands, image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, fixture->carrier,
                           info->mipLevels, regions.at);
    everything_barrier(commands);
    assert_ok(gpu_submit(&fixture->gpu, commands));
    for (uint32_t level = 0; level < info->mipLevels; level++) {
        check_pattern(fixture->carrierData + regions.at[level].bufferOffset, regions.size[level],
                      seed + level);
    }
}

/*  Can this device make such an image? */
static inline bool image_is_possible(const Fixture* fixture, const VkImageCreateInfo* info) {
    VkImageFormatProperties properties;
    VkResult result = vkGetPhysicalDeviceImageFormatProperties(
        fixture->gpu.physicalDevice, info->format, info->imageType, info->tiling, info->usage,
        info->flags, &properties);
    return result == VK_SUCCESS && info->extent.width <= properties.maxExtent.width &&
           info->extent.height <= properties.maxExtent.height &&
           info->extent.depth <= properties.maxExtent.depth &&
           info->mipLevels <= properties.maxMipLevels &&
           info->arrayLayers <= properties.maxArrayLayers &&
           (info->samples & properties.sampleCounts) != 0;
}

/* --- create infos that most tests want ---------------------------------------------------------- */

static inline VkBufferCreateInfo buffer_info(VkDeviceSize size, VkBufferUsageFlags usage) {
    return (VkBufferCreateInfo){
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = size,
        .usage = usage | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
    };
}

static inline VkImageCreateInfo image_info(VkFormat format, uint32_t width, uint32_t height,
                                           uint32_t mipLevels) {
    return (VkImageCreateInfo){
        .sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
        .imageType = VK_IMAGE_TYPE_2D,
        .format = format,
        .extent = {width, height, 1},
        .mipLevels = mipLevels,
        .arrayLayers = 1,
        .samples = VK_SAMPLE_COUNT_1_BIT,
        .tiling = VK_IMAGE_TILING_OPTIMAL,
        .usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT |
                 VK_IMAGE_USAGE_SAMPLED_BIT,
    };
}

static inline SxvkAllocationCreateInfo auto_info(SxvkAllocationCreateFlags flags) {
    return (SxvkAllocationCreateInfo){.usage = SXVK_MEMORY_USAGE_AUTO, .flags = flags};
}

#endif /* GPU_FIXTURE_H */
