/*
    Shows movable resources: a level of meshes and textures is loaded, four fifths of it unloaded,
    and sxvkDefragmentationTick gives the memory back while every frame draws all that is left.
    It prints what is committed and what is live on the way, and the longest frame, and checks every
    pixel and every mesh at the end.

    Build and run, from the repository:
        cc -std=c99 -I. examples/15_level_loader.c -o level_loader -lvulkan -pthread
        ./level_loader
*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#endif

#include <time.h>

#include "example_device.h"

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#define IN_FLIGHT  2
#define THINGS     1500
#define TILES      40 /* in a row of the canvas: one for each thing */
#define TILE       8  /* pixels */
#define FRAMES_MAX 3000

/*  A mesh (a buffer full of its number) or a texture (of a colour of its own). */
typedef struct Thing {
    VkBuffer buffer;
    VkImage image;
    SxvkAllocation allocation; /* null: not loaded */
    VkDeviceSize size;         /* of a buffer */
    uint32_t width;            /* of an image */
    uint32_t moves;
} Thing;

typedef struct Frame {
    VkCommandBuffer commands;
    VkFence fence;
} Frame;

typedef struct Game {
    ExampleDevice gpu;
    SxvkAllocator allocator;
    Thing things[THINGS];
    Frame frames[IN_FLIGHT];
    uint64_t frame; /* the one that is recorded; begins with 1 */
    VkImage canvas;
    SxvkAllocation canvasMemory;
    uint32_t random;
    double longest; /* ms */
} Game;

static uint32_t draw_number(Game* game, uint32_t below) {
    game->random = game->random * 1664525u + 1013904223u;
    return (game->random >> 8) % below;
}

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static VkClearColorValue colour_of(uint32_t thing) {
    VkClearColorValue colour = {{0}};
    colour.uint32[0] = thing & 0xFF;
    colour.uint32[1] = thing >> 8;
    colour.uint32[2] = 7;
    colour.uint32[3] = 1;
    return colour;
}

static void image_barrier(VkCommandBuffer commands, VkImage image, VkImageLayout from,
                          VkImageLayout to) {
    VkImageMemoryBarrier barrier = {0};
    barrier.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER;
    barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.oldLayout = from;
    barrier.newLayout = to;
    barrier.srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    barrier.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    barrier.image = image;
    barrier.subresourceRange.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT;
    barrier.subresourceRange.levelCount = VK_REMAINING_MIP_LEVELS;
    barrier.subresourceRange.layerCount = 1;
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT,
                         0, 0, NULL, 0, NULL, 1, &barrier);
}

static VkImageCreateInfo image_info(uint32_t width, uint32_t mipLevels, VkImageUsageFlags usage) {
    VkImageCreateInfo info = {0};
    info.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
    info.imageType = VK_IMAGE_TYPE_2D;
    info.format = VK_FORMAT_R8G8B8A8_UINT;
    info.extent.width = width;
    info.extent.height = width;
    info.extent.depth = 1;
    info.mipLevels = mipLevels;
    info.arrayLayers = 1;
    info.samples = VK_SAMPLE_COUNT_1_BIT;
    info.usage = usage;
    return info;
}

/* --- the level ------------------------------------------------------------------------------- */

static void load_texture(Game* game, VkCommandBuffer commands, uint32_t i) {
    Thing* thing = &game->things[i];
    const VkClearColorValue colour = colour_of(i);
    const VkImageSubresourceRange all = {VK_IMAGE_ASPECT_COLOR_BIT, 0, VK_REMAINING_MIP_LEVELS, 0,
                                         1};
    SxvkAllocationCreateInfo info = {0};
    VkImageCreateInfo image;
    thing->width = 16u << draw_number(game, 4);
    image = image_info(thing->width, 4, VK_IMAGE_USAGE_SAMPLED_BIT);
    info.usage = SXVK_MEMORY_USAGE_AUTO;
    info.flags = SXVK_ALLOCATION_CREATE_MOVABLE_BIT;
    info.pUserData = thing;
    EXAMPLE_CHECK(sxvkCreateImage(game->allocator, &image, &info, &thing->image, &thing->allocation,
                                  NULL) == VK_SUCCESS);
    image_barrier(commands, thing->image, VK_IMAGE_LAYOUT_UNDEFINED,
                  VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    vkCmdClearColorImage(commands, thing->image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, &colour, 1,
                         &all);
    image_barrier(commands, thing->image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                  VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
}

static void load_mesh(Game* game, VkCommandBuffer commands, uint32_t i) {
    Thing* thing = &game->things[i];
    VkBufferCreateInfo buffer = {0};
    SxvkAllocationCreateInfo info = {0};
    thing->size = 4 * (64 + draw_number(game, 16 * 1024));
    buffer.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    buffer.size = thing->size;
    buffer.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT;
    info.usage = SXVK_MEMORY_USAGE_AUTO;
    info.flags = SXVK_ALLOCATION_CREATE_MOVABLE_BIT;
    info.pUserData = thing;
    EXAMPLE_CHECK(sxvkCreateBuffer(game->allocator, &buffer, &info, &thing->buffer,
                                   &thing->allocation, NULL) == VK_SUCCESS);
    vkCmdFillBuffer(commands, thing->buffer, 0, VK_WHOLE_SIZE, i);
}

static void load_level(Game* game) {
    VkCommandBuffer commands = example_begin(&game->gpu);
    for (uint32_t i = 0; i < THINGS; i++) {
        if (i % 3 == 0) {
            load_texture(game, commands, i);
        } else {
            load_mesh(game, commands, i);
        }
    }
    example_submit_and_wait(&game->gpu, commands);
}

static void unload(Game* game, Thing* thing) {
    if (thing->image != VK_NULL_HANDLE) {
        sxvkDestroyImage(game->allocator, thing->image, thing->allocation);
    } else {
        sxvkDestroyBuffer(game->allocator, thing->buffer, thing->allocation);
    }
    memset(thing, 0, sizeof *thing);
}

static void print_memory(Game* game, const char* when) {
    SxvkTotalStatistics stats;
    sxvkCalculateStatistics(game->allocator, &stats);
    printf("%-12s %7.2f MiB committed, %7.2f MiB live, %.2f for 1\n", when,
           (double)stats.total.statistics.blockBytes / 1048576,
           (double)stats.total.statistics.allocationBytes / 1048576,
           (double)stats.total.statistics.blockBytes /
               (double)stats.total.statistics.allocationBytes);
}

/* --- moving: all that it takes ---------------------------------------------------------------- */

/*  Textures rest in TRANSFER_SRC, because that is what drawing wants. Nobody writes to them. */
static VkBool32 VKAPI_PTR on_query(void* userData, const SxvkMovableResource* resource,
                                   SxvkMoveUsage* usage) {
    (void)userData;
    (void)resource;
    usage->oldLayout = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    usage->srcStages = VK_PIPELINE_STAGE_TRANSFER_BIT;
    usage->srcAccess = 0;
    usage->dstStages = VK_PIPELINE_STAGE_TRANSFER_BIT;
    usage->dstAccess = VK_ACCESS_TRANSFER_READ_BIT;
    return VK_TRUE;
}

/*  From here on the frame draws with the new handle. Views and descriptors would be made anew. */
static void VKAPI_PTR on_moved(void* userData, const SxvkMovableResource* before,
                               const SxvkMovableResource* after) {
    Thing* thing = (Thing*)after->pUserData;
    (void)userData;
    (void)before;
    thing->buffer = after->buffer;
    thing->image = after->image;
    thing->moves++;
}

static VkResult tick(Game* game, VkCommandBuffer commands) {
    SxvkDefragmentationTickInfo info = {0};
    info.flags = SXVK_DEFRAGMENTATION_TICK_IDLE_BIT; /* nothing is being loaded now */
    info.maxBytes = 1 << 20;
    info.moves.commandBuffer = commands;
    info.moves.value = game->frame;
    info.moves.pfnQuery = on_query;
    info.moves.pfnMoved = on_moved;
    return sxvkDefragmentationTick(game->allocator, &info);
}

/* --- drawing ---------------------------------------------------------------------------------- */

static void draw(Game* game, VkCommandBuffer commands) {
    image_barrier(commands, game->canvas, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                  VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    for (uint32_t i = 0; i < THINGS; i++) {
        const Thing* thing = &game->things[i];
        int32_t x = (int32_t)(i % TILES * TILE);
        int32_t y = (int32_t)(i / TILES * TILE);
        VkImageBlit blit = {0};
        if (thing->image == VK_NULL_HANDLE) {
            continue;
        }
        blit.srcSubresource.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT;
        blit.srcSubresource.mipLevel = i / 3 % 4;
        blit.srcSubresource.layerCount = 1;
        blit.srcOffsets[1].x = (int32_t)(thing->width >> blit.srcSubresource.mipLevel);
        blit.srcOffsets[1].y = blit.srcOffsets[1].x;
        blit.srcOffsets[1].z = 1;
        blit.dstSubresource = blit.srcSubresource;
        blit.dstSubresource.mipLevel = 0;
        blit.dstOffsets[0].x = x;
        blit.dstOffsets[0].y = y;
        blit.dstOffsets[1].x = x + TILE;
        blit.dstOffsets[1].y = y + TILE;
        blit.dstOffsets[1].z = 1;
        vkCmdBlitImage(commands, thing->image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, game->canvas,
                       VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &blit, VK_FILTER_NEAREST);
    }
}

/*  Wait for the frame before the last, record, submit; the time is that of the CPU's work. */
static VkResult play_frame(Game* game) {
    Frame* frame = &game->frames[game->frame % IN_FLIGHT];
    VkSubmitInfo submit = {0};
    VkResult result;
    double began, took;
    EXAMPLE_CHECK(vkWaitForFences(game->gpu.device, 1, &frame->fence, VK_TRUE, UINT64_MAX) ==
                  VK_SUCCESS);
    EXAMPLE_CHECK(vkResetFences(game->gpu.device, 1, &frame->fence) == VK_SUCCESS);
    began = milliseconds();
    if (game->frame > IN_FLIGHT) {
        sxvkCompleteMoves(game->allocator, game->frame - IN_FLIGHT);
    }
    sxvkSetCurrentFrameIndex(game->allocator, (uint32_t)game->frame);
    if (frame->commands != VK_NULL_HANDLE) {
        vkFreeCommandBuffers(game->gpu.device, game->gpu.commandPool, 1, &frame->commands);
    }
    frame->commands = example_begin(&game->gpu);
    result = tick(game, frame->commands);
    EXAMPLE_CHECK(result == VK_SUCCESS || result == VK_INCOMPLETE);
    draw(game, frame->commands);
    EXAMPLE_CHECK(vkEndCommandBuffer(frame->commands) == VK_SUCCESS);
    took = milliseconds() - began;
    game->longest = took > game->longest ? took : game->longest;
    submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    submit.commandBufferCount = 1;
    submit.pCommandBuffers = &frame->commands;
    EXAMPLE_CHECK(vkQueueSubmit(game->gpu.queue, 1, &submit, frame->fence) == VK_SUCCESS);
    game->frame++;
    return result;
}

/*  Frames until the run that the first ticks begin is over. */
static uint32_t play(Game* game) {
    uint32_t frames = 0, at_work = 0;
    VkResult result = VK_SUCCESS;
    game->longest = 0;
    while (frames < 100 || result == VK_INCOMPLETE) {
        result = play_frame(game);
        at_work += result == VK_INCOMPLETE;
        if (at_work == 5 && result == VK_INCOMPLETE) {
            print_memory(game, "at work:");
        }
        EXAMPLE_CHECK(++frames < FRAMES_MAX);
    }
    EXAMPLE_CHECK(vkDeviceWaitIdle(game->gpu.device) == VK_SUCCESS);
    sxvkCompleteMoves(game->allocator, game->frame - 1);
    return frames;
}

/* --- checking --------------------------------------------------------------------------------- */

static void check(Game* game) {
    const VkDeviceSize canvasSize = (VkDeviceSize)TILES * TILE * TILES * TILE * 4;
    VkBufferCreateInfo buffer = {0};
    SxvkAllocationCreateInfo info = {0};
    SxvkAllocationInfo got;
    SxvkAllocation allocation;
    VkBuffer readback;
    VkCommandBuffer commands;
    VkBufferImageCopy region = {0};
    VkDeviceSize offset = canvasSize;
    const uint8_t* pixels;
    const uint32_t* words;
    for (uint32_t i = 0; i < THINGS; i++) {
        offset += game->things[i].size;
    }
    buffer.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    buffer.size = offset;
    buffer.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    info.usage = SXVK_MEMORY_USAGE_AUTO;
    info.flags = SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT | SXVK_ALLOCATION_CREATE_MAPPED_BIT;
    EXAMPLE_CHECK(sxvkCreateBuffer(game->allocator, &buffer, &info, &readback, &allocation, &got) ==
                  VK_SUCCESS);
    commands = example_begin(&game->gpu);
    image_barrier(commands, game->canvas, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                  VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    region.imageSubresource.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT;
    region.imageSubresource.layerCount = 1;
    region.imageExtent.width = region.imageExtent.height = TILES * TILE;
    region.imageExtent.depth = 1;
    vkCmdCopyImageToBuffer(commands, game->canvas, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, readback,
                           1, &region);
    offset = canvasSize;
    for (uint32_t i = 0; i < THINGS; i++) {
        if (game->things[i].buffer != VK_NULL_HANDLE) {
            VkBufferCopy copy = {0, offset, game->things[i].size};
            vkCmdCopyBuffer(commands, game->things[i].buffer, readback, 1, &copy);
            offset += game->things[i].size;
        }
    }
    example_submit_and_wait(&game->gpu, commands);
    EXAMPLE_CHECK(sxvkInvalidateAllocation(game->allocator, allocation, 0, VK_WHOLE_SIZE) ==
                  VK_SUCCESS);

    pixels = (const uint8_t*)got.pMappedData;
    words = (const uint32_t*)(const void*)(pixels + canvasSize);
    for (uint32_t i = 0; i < THINGS; i++) {
        for (uint32_t y = 0; y < TILE && game->things[i].image != VK_NULL_HANDLE; y++) {
            for (uint32_t x = 0; x < TILE; x++) {
                const uint8_t* pixel =
                    pixels + 4 * ((i / TILES * TILE + y) * TILES * TILE + i % TILES * TILE + x);
                EXAMPLE_CHECK(pixel[0] == (i & 0xFF) && pixel[1] == i >> 8 && pixel[2] == 7);
            }
        }
        for (VkDeviceSize k = 0; k < game->things[i].size / 4; k++) {
            EXAMPLE_CHECK(*words++ == i);
        }
    }
    sxvkDestroyBuffer(game->allocator, readback, allocation);
}

/* --- setting up ------------------------------------------------------------------------------- */

static void create_frames(Game* game) {
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        VkFenceCreateInfo fence = {0};
        fence.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
        fence.flags = VK_FENCE_CREATE_SIGNALED_BIT;
        EXAMPLE_CHECK(vkCreateFence(game->gpu.device, &fence, NULL, &game->frames[i].fence) ==
                      VK_SUCCESS);
    }
}

static void create_canvas(Game* game) {
    const VkImageCreateInfo image = image_info(
        TILES * TILE, 1, VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT);
    SxvkAllocationCreateInfo info = {0};
    VkCommandBuffer commands;
    info.usage = SXVK_MEMORY_USAGE_AUTO;
    info.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    EXAMPLE_CHECK(sxvkCreateImage(game->allocator, &image, &info, &game->canvas,
                                  &game->canvasMemory, NULL) == VK_SUCCESS);
    commands = example_begin(&game->gpu);
    image_barrier(commands, game->canvas, VK_IMAGE_LAYOUT_UNDEFINED,
                  VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    example_submit_and_wait(&game->gpu, commands);
}

int main(void) {
    static Game game;
    SxvkAllocatorCreateInfo info = {0};
    SxvkMoveStatistics moved;
    uint32_t frames;
    example_create_instance(&game.gpu);
    example_create_device(&game.gpu);
    info.instance = game.gpu.instance;
    info.physicalDevice = game.gpu.physicalDevice;
    info.device = game.gpu.device;
    info.vulkanApiVersion = VK_API_VERSION_1_1;
    EXAMPLE_CHECK(sxvkCreateAllocator(&info, &game.allocator) == VK_SUCCESS);
    game.frame = 1;
    create_canvas(&game);
    create_frames(&game);

    load_level(&game);
    print_memory(&game, "loaded:");
    for (uint32_t i = 0; i < THINGS; i++) {
        if (draw_number(&game, 5) != 0) {
            unload(&game, &game.things[i]);
        }
    }
    print_memory(&game, "unloaded:");
    frames = play(&game);
    print_memory(&game, "after:");
    sxvkGetMoveStatistics(game.allocator, &moved);
    printf("%u frames, the longest took %.2f ms, a tick at most %.2f ms\n", frames, game.longest,
           (double)moved.longestMicroseconds / 1e3);
    printf("%u moves, %.2f MiB moved, %.2f MiB given back in %u blocks\n", moved.moveCount,
           (double)moved.bytesMoved / 1048576, (double)moved.bytesFreed / 1048576,
           moved.blocksFreed);
    EXAMPLE_CHECK(moved.moveCount != 0 && moved.bytesFreed > moved.bytesMoved);
    check(&game);

    for (uint32_t i = 0; i < THINGS; i++) {
        if (game.things[i].allocation != VK_NULL_HANDLE) {
            unload(&game, &game.things[i]);
        }
    }
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        vkDestroyFence(game.gpu.device, game.frames[i].fence, NULL);
    }
    sxvkDestroyImage(game.allocator, game.canvas, game.canvasMemory);
    sxvkDestroyAllocator(game.allocator);
    example_destroy(&game.gpu);
    printf("every pixel and every mesh is as it was\n");
    return 0;
}
