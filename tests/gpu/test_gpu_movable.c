/*
    test_gpu_movable.c - the library moves buffers, and images of many formats with mips, layers and
    depth, on a real driver, while they are written in the same command buffer and destroyed in
    flight. The layer watches, its synchronisation checks as well, and every byte is compared after
    each round.

    Run by CTest (gpu.gpu_movable), or by hand: test_gpu_movable [seed]. SXVK_DEVICE chooses the
    device.
*/
#include "gpu_fixture.h"

/*  The layout of images, but while they are written or read. */
#define HOME VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL

static uint64_t firstSeed = 0x1234;

enum { ITEMS = 400, ROUNDS = 24, REGIONS = 32 };

typedef struct Item {
    VkBuffer buffer; /* or */
    VkImage image;
    VkDeviceSize size; /* of a buffer */
    VkImageCreateInfo imageInfo;
    SxvkAllocation allocation; /* null: nothing is here */
    uint64_t seed;
    uint32_t moves;
    VkImageLayout layout;     /* of an image */
    VkImageLayout nextLayout; /* behind the move that was asked about last */
} Item;

typedef struct Level {
    Fixture* fixture;
    uint64_t random;
    uint64_t frame;
    SxvkMoveInfo moves;
    Item items[ITEMS];
    uint32_t moved, refused, destroyed, rewritten;
} Level;

/* --- contents ------------------------------------------------------------------------------------ */

/*  How the bytes of an aspect look in a buffer. */
typedef enum Bits { BITS_ALL, BITS_24_OF_32, BITS_FLOAT } Bits;

typedef struct Kind {
    VkFormat format;
    VkImageType type;
    uint32_t blockBytes; /* of the first aspect */
    uint32_t blockWidth;
    VkImageAspectFlags aspects; /* a second one has a byte for each texel */
    Bits bits;
} Kind;

static const Kind kinds[] = {
    {VK_FORMAT_R8_UNORM, VK_IMAGE_TYPE_2D, 1, 1, VK_IMAGE_ASPECT_COLOR_BIT, BITS_ALL},
    {VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, 4, 1, VK_IMAGE_ASPECT_COLOR_BIT, BITS_ALL},
    {VK_FORMAT_R16G16B16A16_SFLOAT, VK_IMAGE_TYPE_2D, 8, 1, VK_IMAGE_ASPECT_COLOR_BIT, BITS_ALL},
    {VK_FORMAT_R8G8B8A8_UINT, VK_IMAGE_TYPE_3D, 4, 1, VK_IMAGE_ASPECT_COLOR_BIT, BITS_ALL},
    {VK_FORMAT_R32_UINT, VK_IMAGE_TYPE_1D, 4, 1, VK_IMAGE_ASPECT_COLOR_BIT, BITS_ALL},
    {VK_FORMAT_BC1_RGBA_UNORM_BLOCK, VK_IMAGE_TYPE_2D, 8, 4, VK_IMAGE_ASPECT_COLOR_BIT, BITS_ALL},
    {VK_FORMAT_D16_UNORM, VK_IMAGE_TYPE_2D, 2, 1, VK_IMAGE_ASPECT_DEPTH_BIT, BITS_ALL},
    {VK_FORMAT_D32_SFLOAT, VK_IMAGE_TYPE_2D, 4, 1, VK_IMAGE_ASPECT_DEPTH_BIT, BITS_FLOAT},
    {VK_FORMAT_S8_UINT, VK_IMAGE_TYPE_2D, 1, 1, VK_IMAGE_ASPECT_STENCIL_BIT, BITS_ALL},
    {VK_FORMAT_D24_UNORM_S8_UINT, VK_IMAGE_TYPE_2D, 4, 1,
     VK_IMAGE_ASPECT_DEPTH_BIT | VK_IMAGE_ASPECT_STENCIL_BIT, BITS_24_OF_32},
    {VK_FORMAT_D32_SFLOAT_S8_UINT, VK_IMAGE_TYPE_2D, 4, 1,
     VK_IMAGE_ASPECT_DEPTH_BIT | VK_IMAGE_ASPECT_STENCIL_BIT, BITS_FLOAT},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static uint32_t possibleCount[KINDS]; /* images made of each */

static const Kind* kind_of(const VkImageCreateInfo* info) {
    for (uint32_t i = 0; i < KINDS; i++) {
        if (kinds[i].format == info->format && kinds[i].type == info->imageType) {
            return &kinds[i];
        }
    }
    fail_msg("format %d is not in the table", (int)info->format);
    return NULL;
}

/*  Where in the carrier the aspects and mips of an image are, each with all its layers. */
typedef struct Regions {
    uint32_t count;
    VkBufferImageCopy at[REGIONS];
    size_t size[REGIONS];
    Bits bits[REGIONS];
} Regions;

static Regions regions_of(const VkImageCreateInfo* info) {
    const Kind* kind = kind_of(info);
    Regions r = {.count = 0};
    size_t offset = 0;
    for (uint32_t bit = 1; bit <= VK_IMAGE_ASPECT_STENCIL_BIT; bit *= 2) {
        if ((kind->aspects & bit) == 0) {
            continue;
        }
        bool second = bit == VK_IMAGE_ASPECT_STENCIL_BIT && kind->aspects != bit;
        for (uint32_t mip = 0; mip < info->mipLevels; mip++) {
            VkExtent3D extent = {mip_extent(info->extent.width, mip),
                                 mip_extent(info->extent.height, mip),
                                 mip_extent(info->extent.depth, mip)};
            size_t columns = (extent.width + kind->blockWidth - 1) / kind->blockWidth;
            size_t rows = (extent.height + kind->blockWidth - 1) / kind->blockWidth;
            r.at[r.count] = (VkBufferImageCopy){
                .bufferOffset = offset,
                .imageSubresource = {bit, mip, 0, info->arrayLayers},
                .imageExtent = extent,
            };
            r.size[r.count] =
                columns * rows * extent.depth * info->arrayLayers * (second ? 1 : kind->blockBytes);
            r.bits[r.count] = second ? BITS_ALL : kind->bits;
            offset = (offset + r.size[r.count] + 15) & ~(size_t)15;
            assert_true(++r.count < REGIONS);
        }
    }
    assert_true(offset <= CARRIER_SIZE);
    return r;
}

/*  A word as the device may keep it: depth is from 0 to 1. */
static uint32_t depth_word(uint32_t word, Bits bits) {
    float depth = (float)(word >> 8) / (float)(1u << 24);
    if (bits == BITS_FLOAT) {
        memcpy(&word, &depth, 4);
        return word;
    }
    return word & 0xFFFFFF;
}

static void fill_region(uint8_t* data, size_t size, Bits bits, uint64_t seed) {
    fill_pattern(data, size, seed);
    for (size_t i = 0; i + 4 <= size && bits != BITS_ALL; i += 4) {
        uint32_t word;
        memcpy(&word, data + i, 4);
        word = depth_word(word, bits);
        memcpy(data + i, &word, 4);
    }
}

static void check_region(const uint8_t* data, size_t size, Bits bits, uint64_t seed) {
    uint8_t* wanted = (uint8_t*)malloc(size + 8);
    assert_non_null(wanted);
    fill_region(wanted, size, bits, seed);
    for (size_t i = 0; i + 4 <= size && bits == BITS_24_OF_32; i += 4) {
        wanted[i + 3] = data[i + 3]; /* what is there is not said */
    }
    if (memcmp(wanted, data, size) != 0) {
        fail_msg("%llu bytes differ somewhere", (unsigned long long)size);
    }
    free(wanted);
}

static void layout_barrier(VkCommandBuffer commands, const Item* item, VkImageLayout from,
                           VkImageLayout to) {
    const VkImageMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT,
        .oldLayout = from,
        .newLayout = to,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .image = item->image,
        .subresourceRange = {kind_of(&item->imageInfo)->aspects, 0, item->imageInfo.mipLevels, 0,
                             item->imageInfo.arrayLayers},
    };
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                         VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
}

static void write_image(const Level* level, const Item* item) {
    Regions r = regions_of(&item->imageInfo);
    VkCommandBuffer commands;
    for (uint32_t i = 0; i < r.count; i++) {
        fill_region(level->fixture->carrierData + r.at[i].bufferOffset, r.size[i], r.bits[i],
                    item->seed + i);
    }
    assert_ok(gpu_begin(&level->fixture->gpu, &commands));
    layout_barrier(commands, item, VK_IMAGE_LAYOUT_UNDEFINED, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    vkCmdCopyBufferToImage(commands, level->fixture->carrier, item->image,
                           VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, r.count, r.at);
    layout_barrier(commands, item, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, HOME);
    assert_ok(gpu_submit(&level->fixture->gpu, commands));
}

static void check_item(const Level* level, const Item* item) {
    Regions r;
    VkCommandBuffer commands;
    if (item->image == VK_NULL_HANDLE) {
        gpu_check_buffer(level->fixture, item->buffer, (size_t)item->size, item->seed);
        return;
    }
    r = regions_of(&item->imageInfo);
    assert_ok(gpu_begin(&level->fixture->gpu, &commands));
    layout_barrier(commands, item, item->layout, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    vkCmdCopyImageToBuffer(commands, item->image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
                           level->fixture->carrier, r.count, r.at);
    layout_barrier(commands, item, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, item->layout);
    everything_barrier(commands);
    assert_ok(gpu_submit(&level->fixture->gpu, commands));
    for (uint32_t i = 0; i < r.count; i++) {
        check_region(level->fixture->carrierData + r.at[i].bufferOffset, r.size[i], r.bits[i],
                     item->seed + i);
    }
}

/* --- the program ---------------------------------------------------------------------------------- */

static VkImageCreateInfo draw_image(Level* level) {
    uint32_t drawn = (uint32_t)random_below(&level->random, KINDS);
    const Kind* kind = &kinds[drawn];
    VkImageCreateInfo info =
        image_info(kind->format, 4 * (2 + (uint32_t)random_below(&level->random, 30)),
                   4 * (2 + (uint32_t)random_below(&level->random, 30)),
                   1 + (uint32_t)random_below(&level->random, 4));
    info.imageType = kind->type;
    info.arrayLayers = 1 + (uint32_t)random_below(&level->random, 3);
    if (kind->type == VK_IMAGE_TYPE_3D) {
        info.arrayLayers = 1;
        info.extent.depth = 1 + (uint32_t)random_below(&level->random, 9);
    } else if (kind->type == VK_IMAGE_TYPE_1D) {
        info.extent.height = 1;
    }
    if (!image_is_possible(level->fixture, &info)) {
        drawn = 1;
        info.format = kinds[1].format;
        info.imageType = kinds[1].type;
    }
    possibleCount[drawn]++;
    return info;
}

static void load_item(Level* level, Item* item) {
    SxvkAllocationCreateInfo info = auto_info(SXVK_ALLOCATION_CREATE_MOVABLE_BIT);
    SxvkAllocator allocator = level->fixture->allocator;
    memset(item, 0, sizeof *item);
    item->seed = splitmix64(&level->random);
    info.pUserData = item;
    if (random_below(&level->random, 2) == 0) {
        item->imageInfo = draw_image(level);
        item->layout = HOME;
        assert_ok(sxvkCreateImage(allocator, &item->imageInfo, &info, &item->image,
                                  &item->allocation, NULL));
        write_image(level, item);
    } else {
        VkDeviceSize size = (VkDeviceSize)1 << (4 + random_below(&level->random, 14));
        VkBufferCreateInfo buffer;
        item->size = (size + random_below(&level->random, size)) & ~(VkDeviceSize)3;
        buffer = buffer_info(item->size, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        assert_ok(
            sxvkCreateBuffer(allocator, &buffer, &info, &item->buffer, &item->allocation, NULL));
        gpu_write_buffer(level->fixture, item->buffer, (size_t)item->size, item->seed);
    }
}

static void unload_item(const Level* level, Item* item) {
    SxvkAllocator allocator = level->fixture->allocator;
    sxvkDestroyImage(allocator, item->image, item->image ? item->allocation : VK_NULL_HANDLE);
    sxvkDestroyBuffer(allocator, item->buffer, item->buffer ? item->allocation : VK_NULL_HANDLE);
    memset(item, 0, sizeof *item);
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_query(void* userData, const SxvkMovableResource* resource,
                                               SxvkMoveUsage* usage) {
    Level* level = (Level*)userData;
    Item* item = (Item*)resource->pUserData;
    assert_true(item->allocation == resource->allocation);
    assert_true(item->buffer == resource->buffer && item->image == resource->image);
    usage->oldLayout = item->layout;
    item->nextLayout = random_below(&level->random, 2) == 0 ? HOME : VK_IMAGE_LAYOUT_GENERAL;
    usage->newLayout = item->nextLayout;
    if (random_below(&level->random, 2) == 0) { /* no more than what is true */
        usage->srcStages = VK_PIPELINE_STAGE_TRANSFER_BIT;
        usage->srcAccess = VK_ACCESS_TRANSFER_WRITE_BIT;
        usage->dstStages = VK_PIPELINE_STAGE_TRANSFER_BIT;
        usage->dstAccess = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    }
    if (random_below(&level->random, 60) == 0) {
        level->refused++;
        return VK_FALSE;
    }
    return VK_TRUE;
}

static VKAPI_ATTR void VKAPI_CALL on_moved(void* userData, const SxvkMovableResource* before,
                                           const SxvkMovableResource* after) {
    Level* level = (Level*)userData;
    Item* item = (Item*)after->pUserData;
    assert_true(item->buffer == before->buffer && item->image == before->image);
    item->buffer = after->buffer;
    item->image = after->image;
    item->layout = item->nextLayout;
    item->moves++;
    level->moved++;
}

/*  New contents for some buffers, from the carrier, with no barrier behind them. */
static void rewrite_some(Level* level, VkCommandBuffer commands) {
    VkDeviceSize offset = 0;
    for (uint32_t i = 0; i < ITEMS; i++) {
        Item* item = &level->items[i];
        if (item->buffer != VK_NULL_HANDLE && random_below(&level->random, 4) == 0 &&
            offset + item->size < CARRIER_SIZE) {
            const VkBufferCopy region = {offset, 0, item->size};
            item->seed = splitmix64(&level->random);
            fill_pattern(level->fixture->carrierData + offset, (size_t)item->size, item->seed);
            vkCmdCopyBuffer(commands, level->fixture->carrier, item->buffer, 1, &region);
            offset += (item->size + 15) & ~(VkDeviceSize)15;
            level->rewritten++;
        }
    }
}

/*  One frame: write, move, and write again what was moved. */
static VkResult play_frame(Level* level, SxvkDefragmentationContext context) {
    SxvkAllocator allocator = level->fixture->allocator;
    VkCommandBuffer commands;
    VkResult result;
    assert_ok(gpu_begin(&level->fixture->gpu, &commands));
    everything_barrier(commands);
    rewrite_some(level, commands);
    level->moves.commandBuffer = commands;
    level->moves.value = ++level->frame;
    result = sxvkRecordMoves(allocator, context, &level->moves);
    assert_true(result == VK_SUCCESS || result == VK_INCOMPLETE || result == VK_NOT_READY);
    for (uint32_t i = 0; i < ITEMS; i++) {
        Item* item = &level->items[i];
        if (item->moves != 0 && item->buffer != VK_NULL_HANDLE &&
            random_below(&level->random, 4) == 0) {
            vkCmdFillBuffer(commands, item->buffer, 0, VK_WHOLE_SIZE, 0);
            item->seed = 0; /* destroyed below */
        }
    }
    everything_barrier(commands);
    for (uint32_t i = 0; i < ITEMS; i++) { /* of those that fly */
        Item* item = &level->items[i];
        if (item->moves != 0 && (item->seed == 0 || random_below(&level->random, 20) == 0)) {
            unload_item(level, item);
            level->destroyed++;
        }
        item->moves = 0;
    }
    assert_ok(gpu_submit(&level->fixture->gpu, commands));
    sxvkCompleteMoves(allocator, level->frame - (result == VK_NOT_READY ? 0 : 1));
    return result;
}

static void defragment(Level* level) {
    SxvkAllocator allocator = level->fixture->allocator;
    SxvkDefragmentationInfo info = {
        .flags = ((SxvkDefragmentationFlags)1 << random_below(&level->random, 4)) |
                 SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT,
        .maxBytesPerPass = random_below(&level->random, 2) ? 2 * MIB : 0,
        .maxAllocationsPerPass = 1 + (uint32_t)random_below(&level->random, 60),
    };
    SxvkDefragmentationContext context;
    uint32_t frames = 0;
    assert_ok(sxvkBeginDefragmentation(allocator, &info, &context));
    for (;;) {
        VkResult result = play_frame(level, context);
        if (result == VK_SUCCESS || (frames++ > 5 && random_below(&level->random, 30) == 0)) {
            break;
        }
    }
    sxvkEndDefragmentation(allocator, context, NULL);
    sxvkCompleteMoves(allocator, level->frame);
}

static void test_levels(void** state) {
    static Level level;
    SxvkTotalStatistics total;
    SxvkMoveStatistics moved;
    memset(&level, 0, sizeof level);
    level.fixture = (Fixture*)*state;
    level.random = firstSeed;
    level.moves.queueFamilyIndex = level.fixture->gpu.queueFamily;
    level.moves.pfnQuery = on_query;
    level.moves.pfnMoved = on_moved;
    level.moves.pUserData = &level;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < ITEMS; i++) {
            if (level.items[i].allocation == VK_NULL_HANDLE) {
                load_item(&level, &level.items[i]);
            }
        }
        for (uint32_t i = 0; i < ITEMS; i++) {
            if (random_below(&level.random, 5) != 0) {
                unload_item(&level, &level.items[i]);
            }
        }
        defragment(&level);
        expect_no_messages(level.fixture);
        for (uint32_t i = 0; i < ITEMS; i++) {
            if (level.items[i].allocation != VK_NULL_HANDLE) {
                check_item(&level, &level.items[i]);
            }
        }
    }
    assert_true(level.moved > 100 && level.rewritten > 0);
    assert_true(level.refused > 0 && level.destroyed > 0);
    sxvkGetMoveStatistics(level.fixture->allocator, &moved);
    assert_int_equal(moved.moveCount, level.moved);
    assert_int_equal(moved.movesInFlight, 0);
    for (uint32_t i = 0; i < ITEMS; i++) {
        if (level.items[i].allocation != VK_NULL_HANDLE) {
            unload_item(&level, &level.items[i]);
        }
    }
    sxvkCalculateStatistics(level.fixture->allocator, &total);
    assert_int_equal(total.total.statistics.allocationCount, 0);
    for (uint32_t i = 0; i < KINDS; i++) {
        print_message("format %d: %u images\n", (int)kinds[i].format, possibleCount[i]);
    }
    print_message("%u moved, %u refused, %u destroyed in flight, %u rewritten\n", level.moved,
                  level.refused, level.destroyed, level.rewritten);
}

int main(int argc, char** argv) {
    const struct CMUnitTest tests[] = {gpu_test(test_levels)};
    if (argc > 1) {
        firstSeed = strtoull(argv[1], NULL, 0);
    }
    /* Under both names that the layer has had for it. */
    (void)setenv("VK_LAYER_ENABLES", "VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT",
                 0);
    (void)setenv("VK_VALIDATION_VALIDATE_SYNC", "true", 0);
    return cmocka_run_group_tests_name("gpu_movable", tests, NULL, NULL);
}
