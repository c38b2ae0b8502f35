/*
    full_round.c - a GPU filled to the share that you ask for, thinned out, defragmented and filled
    again; then every byte of every resource is read back and compared, and all that over again.

        full_round                      96 MiB: what CTest runs (gpu.full_round)
        full_round --bytes 2G           so much live data
        full_round --share 0.9          of what the heap's budget says is free; not on a CPU
        full_round --rounds 6           3 by default: by ticks, by runs of FULL, of EXTENSIVE, ...
        full_round --seed 7 --threads 16 --no-validation

    It fills the largest device-local heap with movable buffers and images, and frees three fifths
    of them at random. While the library moves the rest, each frame destroys a few and makes others.
    The second filling must reach as far as the first: what was freed must be of use. SXVK_DEVICE
    chooses the device. The exit code is 0 where all bytes are right, each round has left
    little that is not used, and neither the layer nor the allocator had anything to say.

    Where there is no CMake: cc -std=c99 -O2 -DNDEBUG -I. -Itests/support tests/gpu/full_round.c
    tests/support/gpu.c -lvulkan -lm -pthread -o full_round
*/
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "gpu.h"

#define KIB         ((VkDeviceSize)1024)
#define MIB         (1024 * KIB)

#define ALIGNMENT   16  /* of what lies in the noise and in a reader: a texel block at most */
#define SMALLEST    256 /* bytes of a resource */
#define SLACK       (64 * KIB) /* so near to its goal a filling is full */
#define CHUNK       (1 * MIB)  /* that a thread compares at once */
#define TICK_TIME   500        /* us of a tick */
#define TICK_LATE   700        /* us: more than it may be late */
#define TICK_REST   72         /* ticks at rest in a row, then it is over: a run begins within 64 */
#define FRAMES_MAX  100000     /* of one defragmentation */
#define SPARES      4          /* blocks that may be left beside 1.25 bytes for each that lives */
#define COMPLAINTS  10         /* that are printed */
#define THREADS_MAX 256

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "FAILED: line %d: %s\n", __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { IN_FLIGHT = 2, ITEMS_MAX = 1 << 18, LOADS = 256, REGIONS = 32, PIECES = 4096 };

/*  Images rest in this layout, from which they are read back. */
#define HOME VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL

typedef struct Item {
    VkBuffer buffer; /* or */
    VkImage image;
    VkImageCreateInfo imageInfo;
    SxvkAllocation allocation; /* null: nothing is here */
    VkDeviceSize memory;       /* of the allocation */
    VkDeviceSize size;         /* of its contents in a buffer */
    VkDeviceSize start;        /* of its contents in the noise */
    uint64_t frame;            /* that wrote it */
    uint32_t moves;
} Item;

/*  What one thread compares. */
typedef struct Piece {
    const Item* item;
    uint8_t* got;
    const uint8_t* wanted;
    size_t size;
    bool is24; /* of each four bytes the last one is not said */
} Piece;

/*  A mapped buffer. */
typedef struct Carrier {
    VkBuffer buffer;
    SxvkAllocation allocation;
    uint8_t* data;
    VkDeviceSize size;
} Carrier;

typedef struct Frame {
    struct World* world;
    VkCommandBuffer commands; /* null: it is done */
    VkFence fence;
    Carrier reader;
    uint32_t pieceCount;
    uint32_t nextPiece; /* atomic */
    bool isTimed;
    Piece pieces[PIECES];
} Frame;

typedef struct World {
    Gpu gpu;
    SxvkAllocator allocator; /* of what is moved */
    SxvkAllocator carriers;  /* of what is not */
    uint32_t heap;
    uint32_t heapTypes; /* bits of its memory types */
    VkDeviceSize largest;
    VkDeviceSize passBytes;
    Carrier noise;
    uint64_t random;
    uint64_t serial; /* resources so far */
    Item* items;
    uint32_t* freeItems;
    uint32_t itemCount; /* with those that are free */
    uint32_t freeCount;
    VkDeviceSize live;
    Frame frames[IN_FLIGHT];
    uint64_t frame;        /* the next one; begins with 1 */
    bool canDraw;          /* the queue copies depth and stencil */
    VkQueryPool stopwatch; /* null: the queue has none */
    double gpuSeconds;     /* of copies, in this round */
    uint32_t threads;
    uint32_t messages; /* of the allocator; atomic */
    uint64_t wrong;    /* bytes; atomic */
    uint32_t complaints;
} World;

/* --- small things ----------------------------------------------------------------------------- */

static uint64_t splitmix64(uint64_t* state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t below(World* w, uint32_t limit) {
    return (uint32_t)(splitmix64(&w->random) % limit);
}

static double between(World* w, double least, double most) {
    return least + (most - least) * (double)(splitmix64(&w->random) >> 11) * 0x1p-53;
}

static VkDeviceSize aligned(VkDeviceSize size) {
    return (size + ALIGNMENT - 1) & ~(VkDeviceSize)(ALIGNMENT - 1);
}

static double gib(VkDeviceSize bytes) {
    return (double)bytes / (double)(1024 * MIB);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/*  A full heap is what it is here for, so that one message is none. */
static VKAPI_ATTR void VKAPI_CALL on_message(void* userData, const SxvkMessageInfo* info) {
    World* w = (World*)userData;
    if (info->message != SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY) {
        __atomic_fetch_add(&w->messages, 1, __ATOMIC_RELAXED);
        fprintf(stderr, "allocator: %s\n", info->pText);
    }
}

/* --- frames: what is recorded, submitted and waited for together ------------------------------ */

static Frame* current_frame(World* w) {
    return &w->frames[w->frame % IN_FLIGHT];
}

static uint32_t stopwatch_of(const World* w, const Frame* frame) {
    return 2 * (uint32_t)(frame - w->frames);
}

static void wait_for(World* w, Frame* frame) {
    uint64_t times[2];
    if (frame->commands == VK_NULL_HANDLE) {
        return;
    }
    CHECK(vkWaitForFences(w->gpu.device, 1, &frame->fence, VK_TRUE, UINT64_MAX) == VK_SUCCESS);
    vkFreeCommandBuffers(w->gpu.device, w->gpu.commandPool, 1, &frame->commands);
    frame->commands = VK_NULL_HANDLE;
    if (frame->isTimed) {
        CHECK(vkGetQueryPoolResults(w->gpu.device, w->stopwatch, stopwatch_of(w, frame), 2,
                                    sizeof times, times, sizeof times[0],
                                    VK_QUERY_RESULT_64_BIT) == VK_SUCCESS);
        w->gpuSeconds +=
            (double)(times[1] - times[0]) * 1e-9 * (double)w->gpu.properties.limits.timestampPeriod;
        frame->isTimed = false;
    }
}

static void everything_barrier(VkCommandBuffer commands) {
    const VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT,
    };
    const VkPipelineStageFlags stages =
        VK_PIPELINE_STAGE_ALL_COMMANDS_BIT | VK_PIPELINE_STAGE_HOST_BIT;
    vkCmdPipelineBarrier(commands, stages, stages, 0, 1, &barrier, 0, NULL, 0, NULL);
}

/*  Behind this the device is done with all frames but IN_FLIGHT - 1. */
static VkCommandBuffer begin_frame(World* w) {
    Frame* frame = current_frame(w);
    wait_for(w, frame);
    if (w->frame > IN_FLIGHT) {
        sxvkCompleteMoves(w->allocator, w->frame - IN_FLIGHT);
    }
    sxvkSetCurrentFrameIndex(w->allocator, (uint32_t)w->frame);
    CHECK(gpu_begin(&w->gpu, &frame->commands) == VK_SUCCESS);
    everything_barrier(frame->commands);
    return frame->commands;
}

static void submit_frame(World* w) {
    Frame* frame = current_frame(w);
    const VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .commandBufferCount = 1,
        .pCommandBuffers = &frame->commands,
    };
    everything_barrier(frame->commands);
    CHECK(vkEndCommandBuffer(frame->commands) == VK_SUCCESS);
    CHECK(vkResetFences(w->gpu.device, 1, &frame->fence) == VK_SUCCESS);
    CHECK(vkQueueSubmit(w->gpu.queue, 1, &info, frame->fence) == VK_SUCCESS);
    w->frame++;
}

static void finish_frames(World* w) {
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        wait_for(w, &w->frames[i]);
    }
    sxvkCompleteMoves(w->allocator, w->frame - 1);
}

/* --- images ----------------------------------------------------------------------------------- */

typedef struct Kind {
    VkFormat format;
    VkImageType type;
    uint32_t blockBytes; /* of the first aspect */
    uint32_t blockWidth;
    VkImageAspectFlags aspects; /* a second one has a byte for each texel */
} Kind;

#define COLOR         VK_IMAGE_ASPECT_COLOR_BIT
#define DEPTH         VK_IMAGE_ASPECT_DEPTH_BIT
#define STENCIL       VK_IMAGE_ASPECT_STENCIL_BIT
#define DEPTH_STENCIL (DEPTH | STENCIL)

/*  Where the device has no images of one of them, it has of the first. */
static const Kind kinds[] = {
    {VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, 4, 1, COLOR},
    {VK_FORMAT_R8_UNORM, VK_IMAGE_TYPE_2D, 1, 1, COLOR},
    {VK_FORMAT_R16G16B16A16_SFLOAT, VK_IMAGE_TYPE_2D, 8, 1, COLOR},
    {VK_FORMAT_R32G32B32A32_UINT, VK_IMAGE_TYPE_2D, 16, 1, COLOR},
    {VK_FORMAT_BC1_RGBA_UNORM_BLOCK, VK_IMAGE_TYPE_2D, 8, 4, COLOR},
    {VK_FORMAT_BC7_UNORM_BLOCK, VK_IMAGE_TYPE_2D, 16, 4, COLOR},
    {VK_FORMAT_R8G8B8A8_UINT, VK_IMAGE_TYPE_3D, 4, 1, COLOR},
    {VK_FORMAT_R16_SFLOAT, VK_IMAGE_TYPE_3D, 2, 1, COLOR},
    {VK_FORMAT_D16_UNORM, VK_IMAGE_TYPE_2D, 2, 1, DEPTH},
    {VK_FORMAT_D32_SFLOAT, VK_IMAGE_TYPE_2D, 4, 1, DEPTH},
    {VK_FORMAT_S8_UINT, VK_IMAGE_TYPE_2D, 1, 1, STENCIL},
    {VK_FORMAT_D24_UNORM_S8_UINT, VK_IMAGE_TYPE_2D, 4, 1, DEPTH_STENCIL},
    {VK_FORMAT_D32_SFLOAT_S8_UINT, VK_IMAGE_TYPE_2D, 4, 1, DEPTH_STENCIL},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static uint32_t madeOf[KINDS];

static uint32_t kind_of(const VkImageCreateInfo* info) {
    uint32_t i = 0;
    while (kinds[i].format != info->format || kinds[i].type != info->imageType) {
        i++;
    }
    return i;
}

static uint32_t mip_extent(uint32_t extent, uint32_t mip) {
    return extent >> mip > 0 ? extent >> mip : 1;
}

/*  Where in a buffer the aspects and mips of an image are, each with all its layers. */
typedef struct Regions {
    uint32_t count;
    VkDeviceSize end;
    VkBufferImageCopy at[REGIONS];
    VkDeviceSize size[REGIONS];
} Regions;

static Regions regions_of(const VkImageCreateInfo* info, VkDeviceSize offset) {
    const Kind* kind = &kinds[kind_of(info)];
    Regions r = {.count = 0};
    for (uint32_t bit = COLOR; bit <= STENCIL; bit *= 2) {
        uint32_t bytes = bit == STENCIL && kind->aspects != STENCIL ? 1 : kind->blockBytes;
        for (uint32_t mip = 0; mip < info->mipLevels && (kind->aspects & bit) != 0; mip++) {
            VkExtent3D extent = {mip_extent(info->extent.width, mip),
                                 mip_extent(info->extent.height, mip),
                                 mip_extent(info->extent.depth, mip)};
            VkDeviceSize columns = (extent.width + kind->blockWidth - 1) / kind->blockWidth;
            VkDeviceSize rows = (extent.height + kind->blockWidth - 1) / kind->blockWidth;
            r.at[r.count] = (VkBufferImageCopy){
                .bufferOffset = offset,
                .imageSubresource = {bit, mip, 0, info->arrayLayers},
                .imageExtent = extent,
            };
            r.size[r.count] = columns * rows * extent.depth * info->arrayLayers * bytes;
            offset = aligned(offset + r.size[r.count++]);
        }
    }
    r.end = offset;
    return r;
}

static bool image_is_possible(const World* w, const Kind* kind, const VkImageCreateInfo* info) {
    VkImageFormatProperties most;
    VkResult result = vkGetPhysicalDeviceImageFormatProperties(
        w->gpu.physicalDevice, info->format, info->imageType, info->tiling, info->usage, 0, &most);
    return result == VK_SUCCESS && (w->canDraw || kind->aspects == COLOR) &&
           info->extent.width <= most.maxExtent.width &&
           info->extent.height <= most.maxExtent.height &&
           info->extent.depth <= most.maxExtent.depth && info->mipLevels <= most.maxMipLevels &&
           info->arrayLayers <= most.maxArrayLayers;
}

/*  Of about so many bytes, between half and twice as wide as high. */
static VkImageCreateInfo shape_image(World* w, const Kind* kind, VkDeviceSize bytes) {
    bool is3D = kind->type == VK_IMAGE_TYPE_3D;
    uint32_t slices = 1 + (below(w, 2) == 0 ? below(w, is3D ? 32 : 6) : 0);
    double blocks = fmax(0.75 * (double)bytes / kind->blockBytes / slices, 1);
    uint32_t columns = (uint32_t)fmax(sqrt(blocks) * exp2(between(w, -0.5, 0.5)), 1);
    uint32_t rows = (uint32_t)fmax(blocks / columns, 1);
    uint32_t mips = 1;
    while (below(w, 8) != 0 && (columns > rows ? columns : rows) >> mips != 0) {
        mips++;
    }
    return (VkImageCreateInfo){
        .sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
        .imageType = kind->type,
        .format = kind->format,
        .extent = {columns * kind->blockWidth, rows * kind->blockWidth, is3D ? slices : 1},
        .mipLevels = mips,
        .arrayLayers = is3D ? 1 : slices,
        .samples = VK_SAMPLE_COUNT_1_BIT,
        .tiling = VK_IMAGE_TILING_OPTIMAL,
        .usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT |
                 VK_IMAGE_USAGE_SAMPLED_BIT,
    };
}

static VkImageCreateInfo draw_image(World* w, VkDeviceSize bytes) {
    const Kind* kind = &kinds[below(w, KINDS)];
    VkImageCreateInfo info = shape_image(w, kind, bytes);
    while (!image_is_possible(w, kind, &info)) {
        kind = &kinds[0];
        bytes -= bytes / 8;
        info = shape_image(w, kind, bytes);
    }
    return info;
}

static void layout_barrier(VkCommandBuffer commands, const Item* item, VkImageLayout from,
                           VkImageLayout to) {
    const VkImageMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
        .oldLayout = from,
        .newLayout = to,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .image = item->image,
        .subresourceRange = {kinds[kind_of(&item->imageInfo)].aspects, 0, VK_REMAINING_MIP_LEVELS,
                             0, VK_REMAINING_ARRAY_LAYERS},
    };
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT,
                         0, 0, NULL, 0, NULL, 1, &barrier);
}

/* --- contents: each resource has a stretch of the noise, and begins where no other one does --- */

/*  Where a word of it is taken for depth as a float, that is from 0 to 1, and is normalised. */
static void make_noise(World* w) {
    for (VkDeviceSize i = 0; i < w->noise.size; i += 4) {
        uint64_t random = splitmix64(&w->random);
        uint32_t word = (0x20000000u + (uint32_t)(random >> 32) % 31 * 0x01000000u) |
                        ((uint32_t)random & 0x00FFFFFFu);
        memcpy(w->noise.data + i, &word, 4);
    }
}

/*  The starts, ALIGNMENT apart, in a scattered order; it repeats after as many as there are. */
static VkDeviceSize next_start(World* w) {
    uint64_t starts = w->largest / ALIGNMENT; /* a power of two: the step is odd */
    return w->serial++ * 0x9E3779B1u % starts * ALIGNMENT;
}

static void write_item(World* w, VkCommandBuffer commands, const Item* item) {
    if (item->buffer != VK_NULL_HANDLE) {
        const VkBufferCopy all = {item->start, 0, item->size};
        vkCmdCopyBuffer(commands, w->noise.buffer, item->buffer, 1, &all);
    } else {
        Regions r = regions_of(&item->imageInfo, item->start);
        layout_barrier(commands, item, VK_IMAGE_LAYOUT_UNDEFINED,
                       VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
        vkCmdCopyBufferToImage(commands, w->noise.buffer, item->image,
                               VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, r.count, r.at);
        layout_barrier(commands, item, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, HOME);
    }
}

static void add_pieces(const World* w, Frame* frame, const Item* item, VkDeviceSize offset,
                       VkDeviceSize size, VkDeviceSize from, bool is24) {
    for (VkDeviceSize at = 0; at < size; at += CHUNK) {
        frame->pieces[frame->pieceCount++] = (Piece){
            .item = item,
            .got = frame->reader.data + offset + at,
            .wanted = w->noise.data + from + at,
            .size = (size_t)(size - at < CHUNK ? size - at : CHUNK),
            .is24 = is24,
        };
    }
}

static void read_item(const World* w, Frame* frame, const Item* item, VkDeviceSize offset) {
    if (item->buffer != VK_NULL_HANDLE) {
        const VkBufferCopy all = {0, offset, item->size};
        vkCmdCopyBuffer(frame->commands, item->buffer, frame->reader.buffer, 1, &all);
        add_pieces(w, frame, item, offset, item->size, item->start, false);
    } else {
        Regions r = regions_of(&item->imageInfo, offset);
        vkCmdCopyImageToBuffer(frame->commands, item->image, HOME, frame->reader.buffer, r.count,
                               r.at);
        for (uint32_t i = 0; i < r.count; i++) {
            add_pieces(w, frame, item, r.at[i].bufferOffset, r.size[i],
                       item->start + r.at[i].bufferOffset - offset,
                       item->imageInfo.format == VK_FORMAT_D24_UNORM_S8_UINT &&
                           r.at[i].imageSubresource.aspectMask == DEPTH);
        }
    }
}

/*  Records the reading of as many items as the frame's reader holds. Returns the next one. */
static uint32_t read_items(const World* w, Frame* frame, uint32_t first, VkDeviceSize* bytes) {
    VkDeviceSize offset = 0;
    frame->pieceCount = 0;
    frame->nextPiece = 0;
    for (; first < w->itemCount; first++) {
        const Item* item = &w->items[first];
        if (item->allocation == VK_NULL_HANDLE) {
            continue;
        }
        if (offset + item->size > frame->reader.size ||
            frame->pieceCount + REGIONS + item->size / CHUNK > PIECES) {
            break;
        }
        read_item(w, frame, item, offset);
        offset = aligned(offset + item->size);
        *bytes += item->size;
    }
    return first;
}

static void complain(World* w, const Piece* piece, size_t at) {
    const Item* item = piece->item;
    if (__atomic_fetch_add(&w->complaints, 1, __ATOMIC_RELAXED) < COMPLAINTS) {
        fprintf(
            stderr, "wrong: byte %llu of %llu, %s, format %d, moved %u times\n",
            (unsigned long long)((VkDeviceSize)(piece->wanted - w->noise.data) - item->start + at),
            (unsigned long long)item->size, item->buffer ? "buffer" : "image",
            (int)item->imageInfo.format, item->moves);
    }
}

static void compare_piece(World* w, const Piece* piece) {
    uint64_t wrong = 0;
    size_t first = 0;
    if (piece->is24 || memcmp(piece->got, piece->wanted, piece->size) != 0) {
        for (size_t i = piece->size; i-- > 0;) {
            if (piece->got[i] != piece->wanted[i] && !(piece->is24 && i % 4 == 3)) {
                first = i;
                wrong++;
            }
        }
    }
    if (wrong != 0) {
        __atomic_fetch_add(&w->wrong, wrong, __ATOMIC_RELAXED);
        complain(w, piece, first);
    }
    memset(piece->got, 0xCC, piece->size); /* what the next frame does not write is seen */
}

static void* compare_pieces(void* data) {
    Frame* frame = (Frame*)data;
    for (;;) {
        uint32_t i = __atomic_fetch_add(&frame->nextPiece, 1, __ATOMIC_RELAXED);
        if (i >= frame->pieceCount) {
            return NULL;
        }
        compare_piece(frame->world, &frame->pieces[i]);
    }
}

static void compare_frame(World* w, Frame* frame) {
    pthread_t threads[THREADS_MAX];
    uint32_t count = 0;
    wait_for(w, frame);
    while (count + 1 < w->threads &&
           pthread_create(&threads[count], NULL, compare_pieces, frame) == 0) {
        count++;
    }
    (void)compare_pieces(frame);
    while (count > 0) {
        (void)pthread_join(threads[--count], NULL);
    }
}

/*  Every byte: one frame is read by the device while the one before is compared. */
static VkDeviceSize compare_all(World* w) {
    VkDeviceSize bytes = 0;
    Frame* before = NULL;
    uint32_t next = 0;
    while (next < w->itemCount) {
        Frame* frame = current_frame(w);
        (void)begin_frame(w);
        next = read_items(w, frame, next, &bytes);
        submit_frame(w);
        if (before != NULL) {
            compare_frame(w, before);
        }
        before = frame;
    }
    if (before != NULL) {
        compare_frame(w, before);
    }
    return bytes;
}

/* --- loading and unloading -------------------------------------------------------------------- */

static Item* take_item(World* w) {
    if (w->freeCount > 0) {
        return &w->items[w->freeItems[--w->freeCount]];
    }
    CHECK(w->itemCount < ITEMS_MAX);
    return &w->items[w->itemCount++];
}

static void give_item(World* w, Item* item) {
    memset(item, 0, sizeof *item);
    w->freeItems[w->freeCount++] = (uint32_t)(item - w->items);
}

/*  A buffer or an image of at most so many bytes, or a little more. */
static VkResult load_item(World* w, VkCommandBuffer commands, VkDeviceSize most) {
    double limit = fmax((double)(most < w->largest ? most : w->largest), SMALLEST);
    VkDeviceSize size = (VkDeviceSize)(SMALLEST * exp2(between(w, 0, log2(limit / SMALLEST))));
    Item* item = take_item(w);
    const SxvkAllocationCreateInfo info = {
        .flags = SXVK_ALLOCATION_CREATE_MOVABLE_BIT | SXVK_ALLOCATION_CREATE_WITHIN_BUDGET_BIT,
        .usage = SXVK_MEMORY_USAGE_AUTO_PREFER_DEVICE,
        .memoryTypeBits = w->heapTypes,
        .pUserData = item,
    };
    SxvkAllocationInfo got;
    VkResult result;
    item->start = next_start(w);
    item->frame = w->frame;
    if (below(w, 2) == 0) {
        const VkBufferCreateInfo buffer = {
            .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
            .size = size,
            .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
        };
        item->size = size;
        result =
            sxvkCreateBuffer(w->allocator, &buffer, &info, &item->buffer, &item->allocation, &got);
    } else {
        item->imageInfo = draw_image(w, size);
        item->size = regions_of(&item->imageInfo, 0).end;
        madeOf[kind_of(&item->imageInfo)]++;
        result = sxvkCreateImage(w->allocator, &item->imageInfo, &info, &item->image,
                                 &item->allocation, &got);
    }
    CHECK(item->size <= 2 * w->largest);
    if (result != VK_SUCCESS) {
        give_item(w, item);
        return result;
    }
    item->memory = got.size;
    w->live += got.size;
    write_item(w, commands, item);
    return VK_SUCCESS;
}

static void unload_item(World* w, Item* item) {
    w->live -= item->memory;
    if (item->image != VK_NULL_HANDLE) {
        sxvkDestroyImage(w->allocator, item->image, item->allocation);
    } else {
        sxvkDestroyBuffer(w->allocator, item->buffer, item->allocation);
    }
    give_item(w, item);
}

/*  Loads until so much is live. False: the heap takes no more. */
static bool fill(World* w, VkDeviceSize goal) {
    VkResult result = VK_SUCCESS;
    while (result == VK_SUCCESS && w->live + SLACK < goal) {
        VkCommandBuffer commands = begin_frame(w);
        for (uint32_t i = 0; i < LOADS && result == VK_SUCCESS && w->live + SLACK < goal; i++) {
            result = load_item(w, commands, goal - w->live);
        }
        submit_frame(w);
    }
    finish_frames(w);
    CHECK(result == VK_SUCCESS || result == VK_ERROR_OUT_OF_DEVICE_MEMORY);
    return result == VK_SUCCESS;
}

/*  So many of a hundred, at random. */
static void thin_out(World* w, uint32_t percent) {
    for (uint32_t i = 0; i < w->itemCount; i++) {
        if (w->items[i].allocation != VK_NULL_HANDLE && below(w, 100) < percent) {
            unload_item(w, &w->items[i]);
        }
    }
}

/*  Some go, also those that are being moved, but none that a frame in flight wrote; some come. */
static void churn(World* w, VkCommandBuffer commands, VkDeviceSize goal) {
    for (uint32_t i = 0; i < 4; i++) {
        Item* item = &w->items[below(w, w->itemCount)];
        if (item->allocation != VK_NULL_HANDLE && item->frame + IN_FLIGHT <= w->frame) {
            unload_item(w, item);
        }
    }
    for (uint32_t i = 0; i < 4 && w->live + SLACK < goal; i++) {
        VkResult result = load_item(w, commands, goal - w->live);
        CHECK(result == VK_SUCCESS || result == VK_ERROR_OUT_OF_DEVICE_MEMORY);
    }
}

/* --- defragmentation -------------------------------------------------------------------------- */

/*  What this program does with a resource in a frame: it copies. */
static VKAPI_ATTR VkBool32 VKAPI_CALL on_query(void* userData, const SxvkMovableResource* resource,
                                               SxvkMoveUsage* usage) {
    (void)userData;
    (void)resource;
    usage->oldLayout = HOME;
    usage->srcStages = VK_PIPELINE_STAGE_TRANSFER_BIT;
    usage->srcAccess = VK_ACCESS_TRANSFER_WRITE_BIT;
    usage->dstStages = VK_PIPELINE_STAGE_TRANSFER_BIT;
    usage->dstAccess = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    return VK_TRUE;
}

static VKAPI_ATTR void VKAPI_CALL on_moved(void* userData, const SxvkMovableResource* before,
                                           const SxvkMovableResource* after) {
    Item* item = (Item*)after->pUserData;
    (void)userData;
    CHECK(item->allocation == after->allocation);
    CHECK(item->buffer == before->buffer && item->image == before->image);
    item->buffer = after->buffer;
    item->image = after->image;
    item->moves++;
}

typedef struct Work {
    SxvkDefragmentationFlags algorithm; /* 0: by ticks */
    SxvkDefragmentationContext context;
    uint32_t calls;  /* of the tick, or of sxvkRecordMoves */
    uint32_t atWork; /* calls that were not the last, or at rest */
    uint32_t late;   /* calls above TICK_LATE */
    double longest;  /* s, of one call */
} Work;

static VkResult move_some(World* w, Work* work, VkCommandBuffer commands) {
    SxvkDefragmentationTickInfo tick = {
        .flags = SXVK_DEFRAGMENTATION_TICK_IDLE_BIT,
        .maxBytes = w->passBytes,
    };
    double began = seconds(), took;
    VkResult result;
    tick.moves.commandBuffer = commands;
    tick.moves.queueFamilyIndex = w->gpu.queueFamily;
    tick.moves.value = w->frame;
    tick.moves.maxMicroseconds = work->algorithm == 0 ? TICK_TIME : 0;
    tick.moves.pfnQuery = on_query;
    tick.moves.pfnMoved = on_moved;
    result = work->algorithm == 0 ? sxvkDefragmentationTick(w->allocator, &tick)
                                  : sxvkRecordMoves(w->allocator, work->context, &tick.moves);
    took = seconds() - began;
    work->longest = fmax(work->longest, took);
    work->late += took * 1e6 > TICK_LATE;
    work->calls++;
    work->atWork += result != VK_SUCCESS;
    CHECK(result >= 0);
    return result;
}

/*  One frame, with the copies under the stopwatch. */
static VkResult play_frame(World* w, Work* work, VkDeviceSize goal) {
    Frame* frame = current_frame(w);
    VkCommandBuffer commands = begin_frame(w);
    uint32_t query = stopwatch_of(w, frame);
    VkResult result;
    churn(w, commands, goal);
    if (w->stopwatch != VK_NULL_HANDLE) {
        everything_barrier(commands);
        vkCmdResetQueryPool(commands, w->stopwatch, query, 2);
        vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, w->stopwatch, query);
    }
    result = move_some(w, work, commands);
    if (w->stopwatch != VK_NULL_HANDLE) {
        vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, w->stopwatch,
                            query + 1);
        frame->isTimed = result != VK_SUCCESS;
    }
    submit_frame(w);
    return result;
}

static void defragment(World* w, Work* work) {
    const SxvkDefragmentationInfo info = {
        .flags = work->algorithm | SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT,
        .maxBytesPerPass = w->passBytes,
    };
    VkDeviceSize goal = w->live;
    uint32_t atRest = 0;
    if (work->algorithm != 0) {
        CHECK(sxvkBeginDefragmentation(w->allocator, &info, &work->context) == VK_SUCCESS);
    }
    while (atRest < (work->algorithm != 0 ? 1 : TICK_REST)) {
        atRest = play_frame(w, work, goal) == VK_SUCCESS ? atRest + 1 : 0;
        CHECK(work->calls < FRAMES_MAX);
    }
    finish_frames(w);
    if (work->algorithm != 0) {
        sxvkEndDefragmentation(w->allocator, work->context, NULL);
    }
}

/* --- rounds ----------------------------------------------------------------------------------- */

/*  Prints what is there, and that it is no more than the heap. Returns bytes of blocks. */
static VkDeviceSize report(const World* w, const char* what, double began) {
    SxvkBudget budget;
    sxvkGetHeapBudget(w->allocator, w->heap, &budget);
    printf("  %-13s %8.3f GiB live, %8.3f GiB committed, %5.3f for 1, %u blocks, %u resources"
           ", %.2f s\n",
           what, gib(w->live), gib(budget.statistics.blockBytes),
           (double)budget.statistics.blockBytes / fmax((double)w->live, 1),
           budget.statistics.blockCount, w->itemCount - w->freeCount, seconds() - began);
    (void)fflush(stdout);
    CHECK(budget.statistics.allocationBytes == w->live);
    CHECK(budget.statistics.blockBytes <= w->gpu.memory.memoryHeaps[w->heap].size);
    return budget.statistics.blockBytes;
}

static void report_moves(const World* w, const Work* work, const SxvkMoveStatistics* before,
                         const SxvkMoveStatistics* after) {
    VkDeviceSize moved = after->bytesMoved - before->bytesMoved;
    VkDeviceSize freed = after->bytesFreed - before->bytesFreed;
    printf("  moved %.3f GiB (%u resources), freed %.3f GiB (%u blocks): %.3f for 1; %u refused\n",
           gib(moved), after->moveCount - before->moveCount, gib(freed),
           after->blocksFreed - before->blocksFreed, (double)moved / fmax((double)freed, 1),
           after->refusedCount - before->refusedCount);
    printf("  %u calls, %u at work, %u above %d us, the longest %.0f us, all %.1f ms", work->calls,
           work->atWork, work->late, TICK_LATE, work->longest * 1e6,
           (double)(after->microseconds - before->microseconds) / 1e3);
    if (w->stopwatch != VK_NULL_HANDLE) {
        printf("; the device copied for %.1f ms, %.1f GB/s", w->gpuSeconds * 1e3,
               (double)moved / 1e9 / fmax(w->gpuSeconds, 1e-9));
    }
    printf("\n");
}

/*  Returns whether all went well. */
static bool play_round(World* w, uint32_t round, VkDeviceSize goal) {
    static const struct {
        const char* name;
        SxvkDefragmentationFlags algorithm;
    } ways[] = {
        {"ticks", 0},
        {"a run, FULL", SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_FULL_BIT},
        {"a run, EXTENSIVE", SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT},
    };
    Work work = {.algorithm = ways[round % 3].algorithm};
    SxvkMoveStatistics before, after;
    VkDeviceSize committed, left, bytes;
    double began = seconds();
    bool isFull, isSmaller;
    printf("round %u, by %s\n", round + 1, ways[round % 3].name);
    thin_out(w, 60);
    committed = report(w, "thinned out", began);
    w->gpuSeconds = 0;
    sxvkGetMoveStatistics(w->allocator, &before);
    began = seconds();
    defragment(w, &work);
    sxvkGetMoveStatistics(w->allocator, &after);
    left = report(w, "defragmented", began);
    isSmaller = left < committed && left <= w->live + w->live / 4 + SPARES * w->passBytes &&
                after.movesInFlight == 0;
    report_moves(w, &work, &before, &after);
    began = seconds();
    isFull = fill(w, goal);
    (void)report(w, "filled again", began);
    began = seconds();
    bytes = compare_all(w);
    printf("  compared %llu bytes in %.2f s: %llu wrong; %u validation messages, %u of the "
           "allocator\n",
           (unsigned long long)bytes, seconds() - began, (unsigned long long)w->wrong,
           gpu_validation_messages(&w->gpu), w->messages);
    if (!isFull || !isSmaller) {
        printf("  FAILED: %s\n", isFull ? "too little was freed" : "it cannot be filled again");
    }
    return isFull && isSmaller && w->wrong == 0;
}

/* --- setting up ------------------------------------------------------------------------------- */

/*  All are numbers, with K, M or G behind them if you like. */
typedef struct Options {
    double bytes; /* 0: 96 MiB, or the share */
    double share; /* 0: of no interest */
    double rounds;
    double seed;
    double threads;
    bool withoutValidation;
} Options;

static double parse_number(const char* text) {
    char* unit;
    double number = strtod(text, &unit);
    const char* units = "KMG";
    const char* found = *unit != 0 ? strchr(units, *unit) : NULL;
    CHECK(unit != text && (*unit == 0 || found != NULL));
    return found != NULL ? ldexp(number, 10 * (int)(found - units + 1)) : number;
}

static Options parse(int argc, char** argv) {
    Options o = {.rounds = 3, .seed = 1, .threads = (double)sysconf(_SC_NPROCESSORS_ONLN)};
    const struct {
        const char* name;
        double* value;
    } numbers[] = {
        {"--bytes", &o.bytes}, {"--share", &o.share},     {"--rounds", &o.rounds},
        {"--seed", &o.seed},   {"--threads", &o.threads},
    };
    for (int i = 1; i < argc; i++) {
        size_t n = 0;
        if (strcmp(argv[i], "--no-validation") == 0) {
            o.withoutValidation = true;
            continue;
        }
        while (n < sizeof numbers / sizeof numbers[0] && strcmp(argv[i], numbers[n].name) != 0) {
            n++;
        }
        if (n == sizeof numbers / sizeof numbers[0] || ++i == argc) {
            fprintf(stderr, "%s: no such option, or no value for it\n", argv[i - (i == argc)]);
            exit(2);
        }
        *numbers[n].value = parse_number(argv[i]);
    }
    o.threads = fmin(fmax(o.threads, 1), THREADS_MAX);
    return o;
}

static void choose_heap(World* w) {
    const VkPhysicalDeviceMemoryProperties* memory = &w->gpu.memory;
    VkDeviceSize largest = 0;
    for (uint32_t i = 0; i < memory->memoryHeapCount; i++) {
        bool isLocal = (memory->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0;
        if (isLocal && memory->memoryHeaps[i].size > largest) {
            largest = memory->memoryHeaps[i].size;
            w->heap = i;
        }
    }
    for (uint32_t i = 0; i < memory->memoryTypeCount; i++) {
        w->heapTypes |= memory->memoryTypes[i].heapIndex == w->heap ? 1u << i : 0;
    }
}

static void choose_queue(World* w) {
    VkQueueFamilyProperties families[32];
    uint32_t count = 32;
    const VkQueryPoolCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
        .queryType = VK_QUERY_TYPE_TIMESTAMP,
        .queryCount = 2 * IN_FLIGHT,
    };
    vkGetPhysicalDeviceQueueFamilyProperties(w->gpu.physicalDevice, &count, families);
    w->canDraw = (families[w->gpu.queueFamily].queueFlags & VK_QUEUE_GRAPHICS_BIT) != 0;
    if (families[w->gpu.queueFamily].timestampValidBits != 0) {
        CHECK(vkCreateQueryPool(w->gpu.device, &info, NULL, &w->stopwatch) == VK_SUCCESS);
    }
}

/*  How much is to be live: never all that is free. */
static VkDeviceSize choose_goal(const World* w, const Options* o) {
    bool isCpu = w->gpu.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    VkDeviceSize goal = (VkDeviceSize)o->bytes;
    SxvkBudget budget;
    double room;
    sxvkGetHeapBudget(w->carriers, w->heap, &budget);
    room = (double)budget.budget - (double)budget.usage;
    if (goal == 0) {
        goal = o->share > 0 && !isCpu ? (VkDeviceSize)(room * o->share) : 96 * MIB;
    }
    printf("%s: heap %u of %.3f GiB, %.3f GiB free; %.3f GiB are to be live, seed %.0f, %s\n",
           w->gpu.properties.deviceName, w->heap, gib(w->gpu.memory.memoryHeaps[w->heap].size),
           room / (double)(1024 * MIB), gib(goal), o->seed,
           w->gpu.validated ? "validated" : "not validated");
    CHECK(goal >= 16 * MIB && (double)goal < room);
    return goal;
}

static void open_carrier(World* w, Carrier* carrier, VkDeviceSize size) {
    const VkBufferCreateInfo buffer = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = size,
        .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
    };
    const SxvkAllocationCreateInfo info = {
        .flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT | SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT,
        .usage = SXVK_MEMORY_USAGE_AUTO_PREFER_HOST,
        .requiredFlags = VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
    };
    SxvkAllocationInfo got;
    CHECK(sxvkCreateBuffer(w->carriers, &buffer, &info, &carrier->buffer, &carrier->allocation,
                           &got) == VK_SUCCESS);
    carrier->data = (uint8_t*)got.pMappedData;
    carrier->size = size;
}

/*  The sizes go with the goal, so that a small one is a small picture of a large one. */
static VkDeviceSize open_world(World* w, const Options* o) {
    const GpuOptions options = {.withoutValidation = o->withoutValidation};
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    SxvkAllocatorCreateInfo info;
    VkDeviceSize goal;
    if (!gpu_open(&w->gpu, &options)) {
        fprintf(stderr, "%s\n", w->gpu.error);
        exit(1);
    }
    choose_heap(w);
    choose_queue(w);
    info = gpu_allocator_info(&w->gpu);
    info.pfnMessage = on_message;
    info.pMessageUserData = w;
    CHECK(sxvkCreateAllocator(&info, &w->carriers) == VK_SUCCESS);
    goal = choose_goal(w, o);
    for (w->largest = 256 * KIB; w->largest < 64 * MIB && w->largest < goal / 128;
         w->largest *= 2) {
    }
    w->passBytes = 4 * w->largest;
    info.preferredLargeHeapBlockSize = 4 * w->largest;
    CHECK(sxvkCreateAllocator(&info, &w->allocator) == VK_SUCCESS);

    w->random = (uint64_t)o->seed;
    w->threads = (uint32_t)o->threads;
    w->frame = 1;
    w->items = (Item*)calloc(ITEMS_MAX, sizeof(Item));
    w->freeItems = (uint32_t*)calloc(ITEMS_MAX, sizeof(uint32_t));
    CHECK(w->items != NULL && w->freeItems != NULL);
    open_carrier(w, &w->noise, 3 * w->largest);
    make_noise(w);
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        w->frames[i].world = w;
        open_carrier(w, &w->frames[i].reader, 2 * w->largest);
        CHECK(vkCreateFence(w->gpu.device, &fence, NULL, &w->frames[i].fence) == VK_SUCCESS);
    }
    return goal;
}

/*  Returns whether nobody has had anything to say. */
static bool close_world(World* w) {
    uint32_t messages;
    thin_out(w, 100);
    CHECK(w->live == 0);
    CHECK(sxvkCheckIntegrity(w->allocator) == VK_SUCCESS);
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        sxvkDestroyBuffer(w->carriers, w->frames[i].reader.buffer, w->frames[i].reader.allocation);
        vkDestroyFence(w->gpu.device, w->frames[i].fence, NULL);
    }
    sxvkDestroyBuffer(w->carriers, w->noise.buffer, w->noise.allocation);
    vkDestroyQueryPool(w->gpu.device, w->stopwatch, NULL);
    sxvkDestroyAllocator(w->allocator);
    sxvkDestroyAllocator(w->carriers);
    messages = gpu_close(&w->gpu) + w->messages;
    free(w->items);
    free(w->freeItems);
    return messages == 0;
}

int main(int argc, char** argv) {
    static World w;
    Options options = parse(argc, argv);
    VkDeviceSize goal = open_world(&w, &options);
    double began = seconds();
    bool isGood = true;
    if (!fill(&w, goal)) {
        goal = w.live - w.live / 64;
        printf("the heap takes less: from now on it is filled to %.3f GiB\n", gib(goal));
    }
    (void)report(&w, "filled", began);
    for (uint32_t round = 0; round < options.rounds; round++) {
        isGood = play_round(&w, round, goal) && isGood;
    }
    printf("images of format:");
    for (uint32_t i = 0; i < KINDS; i++) {
        printf(" %d: %u%s", (int)kinds[i].format, madeOf[i], i + 1 < KINDS ? "," : "\n");
    }
    isGood = close_world(&w) && isGood;
    printf("%s, %.1f s\n", isGood ? "all is well" : "FAILED", seconds() - began);
    return isGood ? 0 : 1;
}
