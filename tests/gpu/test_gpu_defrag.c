/*
    test_gpu_defrag.c - buffers, and images of several formats with mips and layers, are moved on a
    real driver: levels are loaded, most of them unloaded, and what is left is defragmented, round
    after round. The GPU copies, and every byte is compared after each round.

    Run by CTest (gpu.gpu_defrag), or by hand: test_gpu_defrag [seed]. SXVK_DEVICE chooses the device.
*/
#include "gpu_fixture.h"

static uint64_t firstSeed = 0x1234;

enum { ITEMS = 600, ROUNDS = 8 };

typedef struct Item {
    VkBuffer buffer; /* or */
    VkImage image;
    VkBufferCreateInfo bufferInfo;
    VkImageCreateInfo imageInfo;
    SxvkAllocation allocation; /* null: nothing is here */
    uint64_t seed;
} Item;

typedef struct Level {
    Fixture* fixture;
    uint64_t random;
    Item items[ITEMS];
    uint32_t moved, ignored, destroyed;
} Level;

static void load_item(Level* level, Item* item) {
    SxvkAllocationCreateInfo info = auto_info(0);
    SxvkAllocator allocator = level->fixture->allocator;
    memset(item, 0, sizeof *item);
    item->seed = splitmix64(&level->random);
    info.pUserData = item;
    if (random_below(&level->random, 3) == 0) {
        static const VkFormat formats[] = {VK_FORMAT_R8_UNORM, VK_FORMAT_R8G8B8A8_UNORM,
                                           VK_FORMAT_R32G32B32A32_UINT, VK_FORMAT_D16_UNORM,
                                           VK_FORMAT_R5G6B5_UNORM_PACK16};
        uint32_t width = 8 + (uint32_t)random_below(&level->random, 120);
        uint32_t height = 8 + (uint32_t)random_below(&level->random, 120);
        item->imageInfo = image_info(formats[random_below(&level->random, 5)], width, height,
                                     1 + (uint32_t)random_below(&level->random, 4));
        item->imageInfo.arrayLayers = 1 + (uint32_t)random_below(&level->random, 3);
        if (!image_is_possible(level->fixture, &item->imageInfo)) {
            item->imageInfo.format = VK_FORMAT_R8G8B8A8_UNORM;
        }
        assert_ok(sxvkCreateImage(allocator, &item->imageInfo, &info, &item->image,
                                  &item->allocation, NULL));
        gpu_write_image(level->fixture, item->image, &item->imageInfo, item->seed);
    } else {
        VkDeviceSize size = (VkDeviceSize)1 << (4 + random_below(&level->random, 14));
        item->bufferInfo = buffer_info(size + random_below(&level->random, size),
                                       VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        assert_ok(sxvkCreateBuffer(allocator, &item->bufferInfo, &info, &item->buffer,
                                   &item->allocation, NULL));
        gpu_write_buffer(level->fixture, item->buffer, (size_t)item->bufferInfo.size, item->seed);
    }
}

static void check_item(const Level* level, const Item* item) {
    if (item->image != VK_NULL_HANDLE) {
        gpu_check_image(level->fixture, item->image, &item->imageInfo, item->seed);
    } else {
        gpu_check_buffer(level->fixture, item->buffer, (size_t)item->bufferInfo.size, item->seed);
    }
}

static void unload_item(const Level* level, Item* item) {
    SxvkAllocator allocator = level->fixture->allocator;
    check_item(level, item);
    sxvkDestroyImage(allocator, item->image, item->image ? item->allocation : VK_NULL_HANDLE);
    sxvkDestroyBuffer(allocator, item->buffer, item->buffer ? item->allocation : VK_NULL_HANDLE);
    memset(item, 0, sizeof *item);
}

/*  Of one move: the old resource, to be destroyed once the copy is done. */
typedef struct Old {
    VkBuffer buffer;
    VkImage image;
} Old;

static void copy_image(VkCommandBuffer commands, const Item* item, VkImage to) {
    VkImageCopy regions[16];
    const VkImageCreateInfo* info = &item->imageInfo;
    VkImageAspectFlags aspect = format_layout(info->format).aspect;
    for (uint32_t mip = 0; mip < info->mipLevels; mip++) {
        VkImageSubresourceLayers layers = {aspect, mip, 0, info->arrayLayers};
        regions[mip] = (VkImageCopy){
            .srcSubresource = layers,
            .dstSubresource = layers,
            .extent = {mip_extent(info->extent.width, mip), mip_extent(info->extent.height, mip),
                       1},
        };
    }
    image_barrier(commands, to, info, VK_IMAGE_LAYOUT_UNDEFINED,
                  VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    vkCmdCopyImage(commands, item->image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, to,
                   VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, info->mipLevels, regions);
    image_barrier(commands, to, info, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                  VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
}

/*  A new resource at the target, and the copy to it. */
static Old record_move(Level* level, VkCommandBuffer commands, const SxvkDefragmentationMove* move,
                       Item* item) {
    VkDevice device = level->fixture->gpu.device;
    SxvkAllocator allocator = level->fixture->allocator;
    Old old = {item->buffer, item->image};
    if (item->image != VK_NULL_HANDLE) {
        VkImage image;
        assert_ok(vkCreateImage(device, &item->imageInfo, NULL, &image));
        assert_ok(sxvkBindImageMemory(allocator, move->dstTmpAllocation, image));
        copy_image(commands, item, image);
        item->image = image;
    } else {
        const VkBufferCopy region = {.size = item->bufferInfo.size};
        VkBuffer buffer;
        assert_ok(vkCreateBuffer(device, &item->bufferInfo, NULL, &buffer));
        assert_ok(sxvkBindBufferMemory(allocator, move->dstTmpAllocation, buffer));
        vkCmdCopyBuffer(commands, item->buffer, buffer, 1, &region);
        item->buffer = buffer;
    }
    return old;
}

static void play_pass(Level* level, SxvkDefragmentationPassMoveInfo* pass) {
    VkDevice device = level->fixture->gpu.device;
    Old* olds = (Old*)calloc(pass->moveCount + 1, sizeof *olds);
    VkCommandBuffer commands;
    assert_non_null(olds);
    assert_ok(gpu_begin(&level->fixture->gpu, &commands));
    everything_barrier(commands);
    for (uint32_t i = 0; i < pass->moveCount; i++) {
        SxvkDefragmentationMove* move = &pass->pMoves[i];
        SxvkAllocationInfo info;
        Item* item;
        sxvkGetAllocationInfo(level->fixture->allocator, move->srcAllocation, &info);
        item = (Item*)info.pUserData;
        assert_ptr_equal(item->allocation, move->srcAllocation);
        switch (random_below(&level->random, 40)) {
        case 0:
            move->operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_IGNORE;
            level->ignored++;
            break;
        case 1:
            move->operation = SXVK_DEFRAGMENTATION_MOVE_OPERATION_DESTROY;
            olds[i] = (Old){item->buffer, item->image};
            memset(item, 0, sizeof *item);
            level->destroyed++;
            break;
        default:
            olds[i] = record_move(level, commands, move, item);
            level->moved++;
            break;
        }
    }
    everything_barrier(commands);
    assert_ok(gpu_submit(&level->fixture->gpu, commands));
    for (uint32_t i = 0; i < pass->moveCount; i++) {
        vkDestroyBuffer(device, olds[i].buffer, NULL);
        vkDestroyImage(device, olds[i].image, NULL);
    }
    free(olds);
}

static void defragment(Level* level) {
    SxvkAllocator allocator = level->fixture->allocator;
    SxvkDefragmentationInfo info = {
        .flags = (SxvkDefragmentationFlags)1 << random_below(&level->random, 4),
        .maxBytesPerPass = random_below(&level->random, 2) ? 4 * MIB : 0,
        .maxAllocationsPerPass = 1 + (uint32_t)random_below(&level->random, 100),
    };
    SxvkDefragmentationContext context;
    SxvkDefragmentationPassMoveInfo pass;
    SxvkDefragmentationStats stats;
    SxvkTotalStatistics before, after;
    uint32_t destroyed = level->destroyed;
    sxvkCalculateStatistics(allocator, &before);
    assert_ok(sxvkBeginDefragmentation(allocator, &info, &context));
    while (sxvkBeginDefragmentationPass(allocator, context, &pass) == VK_INCOMPLETE) {
        play_pass(level, &pass);
        assert_true(sxvkEndDefragmentationPass(allocator, context, &pass) >= 0);
        assert_int_equal(pass.moveCount, 0);
    }
    sxvkEndDefragmentation(allocator, context, &stats);
    sxvkCalculateStatistics(allocator, &after);
    assert_int_equal(after.total.statistics.allocationCount,
                     before.total.statistics.allocationCount - (level->destroyed - destroyed));
    assert_int_equal(before.total.statistics.blockBytes - after.total.statistics.blockBytes,
                     stats.bytesFreed);
}

static void test_levels(void** state) {
    static Level level;
    SxvkTotalStatistics total;
    memset(&level, 0, sizeof level);
    level.fixture = (Fixture*)*state;
    level.random = firstSeed;
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
    assert_true(level.moved > 100);
    assert_true(level.ignored > 0);
    assert_true(level.destroyed > 0);
    for (uint32_t i = 0; i < ITEMS; i++) {
        if (level.items[i].allocation != VK_NULL_HANDLE) {
            unload_item(&level, &level.items[i]);
        }
    }
    sxvkCalculateStatistics(level.fixture->allocator, &total);
    assert_int_equal(total.total.statistics.allocationCount, 0);
}

int main(int argc, char** argv) {
    const struct CMUnitTest tests[] = {gpu_test(test_levels)};
    if (argc > 1) {
        firstSeed = strtoull(argv[1], NULL, 0);
    }
    return cmocka_run_group_tests_name("gpu_defrag", tests, NULL, NULL);
}
