/*
    test_movable.c - >>movable and >>moves: the library moves resources by itself.

    The simulated device copies when it is told to execute, some frames after the commands were
    recorded: what they name must be there then, so nothing may be destroyed or used again too
    early. Every byte of every resource is compared.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "testing.h"

#define LOCAL 0 /* memory types of the discrete GPU */
#define HOST  1
#define KIB   ((VkDeviceSize)1 << 10)
#define MIB   ((VkDeviceSize)1 << 20)

/* ------------------------------------------------------------------ a program with resources */

#define MOST 17000u

typedef struct Res {
    VkBuffer buffer; /* or an image; both null: there is none */
    VkImage image;
    SxvkAllocation allocation;
    VkDeviceSize size;
    uint64_t seed;
    VkImageLayout layout;
    VkImageLayout nextLayout; /* UNDEFINED: the same */
    bool isRefused;
    bool isIdle;
    uint32_t moves;
} Res;

typedef struct Program {
    Rig* rig;
    Res all[MOST];
    uint64_t seeds;
    uint64_t frame;
    SxvkMoveInfo moves;
    uint32_t asked;
    uint32_t told;
    Res* destroysWhenAsked; /* by the callbacks */
    Res* destroysWhenTold;
} Program;

static bool res_lives(const Res* res) {
    return res->buffer != VK_NULL_HANDLE || res->image != VK_NULL_HANDLE;
}

static unsigned char byte_of(uint64_t seed, VkDeviceSize i) {
    return (unsigned char)((seed + i / 8 * 0x9E3779B97F4A7C15u) >> (24 + i % 8));
}

static void res_fill(Program* p, Res* res) {
    unsigned char* bytes = malloc((size_t)res->size);
    assert_non_null(bytes);
    for (VkDeviceSize i = 0; i < res->size; i++) {
        bytes[i] = byte_of(res->seed, i);
    }
    assert_int_equal(
        sxvkCopyMemoryToAllocation(p->rig->allocator, bytes, res->allocation, 0, res->size),
        VK_SUCCESS);
    free(bytes);
}

static void res_compare(Program* p, const Res* res) {
    unsigned char* bytes = malloc((size_t)res->size);
    SxvkAllocationInfo info;
    VkDeviceMemory memory;
    VkDeviceSize offset;
    bool is_same = true;
    assert_non_null(bytes);
    assert_int_equal(
        sxvkCopyAllocationToMemory(p->rig->allocator, res->allocation, 0, bytes, res->size),
        VK_SUCCESS);
    for (VkDeviceSize i = 0; i < res->size; i++) {
        is_same = is_same && bytes[i] == byte_of(res->seed, i);
    }
    assert_true(is_same);
    free(bytes);
    sxvkGetAllocationInfo(p->rig->allocator, res->allocation, &info);
    assert_ptr_equal(info.pUserData, res);
    if (res->buffer != VK_NULL_HANDLE) {
        assert_true(sim_buffer_binding(p->rig->sim, res->buffer, &memory, &offset));
    } else {
        assert_true(sim_image_binding(p->rig->sim, res->image, &memory, &offset));
    }
    assert_true(memory == info.deviceMemory && offset == info.offset);
}

static void compare(Program* p) {
    for (uint32_t i = 0; i < MOST; i++) {
        if (res_lives(&p->all[i])) {
            res_compare(p, &p->all[i]);
        }
    }
}

static void destroy(Program* p, Res* res) {
    if (res->image != VK_NULL_HANDLE) {
        sxvkDestroyImage(p->rig->allocator, res->image, res->allocation);
    } else {
        sxvkDestroyBuffer(p->rig->allocator, res->buffer, res->allocation);
    }
    memset(res, 0, sizeof *res);
}

static VkBool32 VKAPI_PTR on_query(void* data, const SxvkMovableResource* r, SxvkMoveUsage* usage) {
    Program* p = data;
    Res* res = r->pUserData;
    p->asked++;
    assert_true(res != NULL && res->allocation == r->allocation);
    assert_true(res->buffer == r->buffer && res->image == r->image);
    assert_true((r->buffer != VK_NULL_HANDLE) == (r->pBufferCreateInfo != NULL));
    assert_true((r->image != VK_NULL_HANDLE) == (r->pImageCreateInfo != NULL));
    assert_int_equal(usage->queueFamilyIndex, p->moves.queueFamilyIndex);
    usage->oldLayout = res->layout;
    usage->newLayout = res->nextLayout;
    usage->isIdle = res->isIdle;
    if (p->destroysWhenAsked == res) {
        destroy(p, res);
        p->destroysWhenAsked = NULL;
        return VK_TRUE;
    }
    return !res->isRefused;
}

static void VKAPI_PTR on_moved(void* data, const SxvkMovableResource* before,
                               const SxvkMovableResource* after) {
    Program* p = data;
    Res* res = after->pUserData;
    p->told++;
    if (res == NULL) {
        return; /* destroyed in between */
    }
    assert_true(before->allocation == after->allocation && res->allocation == after->allocation);
    assert_true(res->buffer == before->buffer && res->image == before->image);
    assert_true(after->buffer != before->buffer || after->image != before->image);
    res->buffer = after->buffer;
    res->image = after->image;
    if (res->nextLayout != VK_IMAGE_LAYOUT_UNDEFINED) {
        res->layout = res->nextLayout;
        res->nextLayout = VK_IMAGE_LAYOUT_UNDEFINED;
    }
    res->moves++;
    if (p->destroysWhenTold == res) {
        destroy(p, res);
        p->destroysWhenTold = NULL;
    }
}

/*  Images may live in host memory, so that their bytes can be looked at. */
static void anywhere(void* data, const VkBufferCreateInfo* buffer, const VkImageCreateInfo* image,
                     SimRequirements* needs) {
    (void)data;
    (void)buffer;
    (void)image;
    needs->memory.memoryTypeBits = 0xF;
    needs->prefersDedicated = false;
}

static Program* program_open_with(const RigOptions* with) {
    RigOptions options = with != NULL ? *with : rig_options();
    Program* p = calloc(1, sizeof *p);
    assert_non_null(p);
    options.sim.backing = true;
    p->rig = rig_create(&options);
    p->frame = 1;
    p->moves.commandBuffer = sim_command_buffer(p->rig->sim);
    p->moves.queueFamilyIndex = 3;
    p->moves.value = 1;
    p->moves.pfnQuery = on_query;
    p->moves.pfnMoved = on_moved;
    p->moves.pUserData = p;
    sim_set_requirements(p->rig->sim, anywhere, NULL);
    sim_defer_copies(p->rig->sim, true);
    return p;
}

static Program* program_open(void) {
    return program_open_with(NULL);
}

static void program_close(Program* p) {
    for (uint32_t i = 0; i < MOST; i++) {
        if (res_lives(&p->all[i])) {
            destroy(p, &p->all[i]);
        }
    }
    assert_int_equal(sxvkCheckIntegrity(p->rig->allocator), VK_SUCCESS);
    rig_destroy(p->rig);
    free(p);
}

static Res* place_for(Program* p) {
    uint32_t i = 0;
    while (res_lives(&p->all[i])) {
        assert_true(++i < MOST);
    }
    p->all[i].seed = testing_random(&p->seeds);
    return &p->all[i];
}

static const SxvkAllocationCreateInfo movable_host = {.flags = SXVK_ALLOCATION_CREATE_MOVABLE_BIT,
                                                      .memoryTypeBits = 1u << HOST};

static Res* add_buffer(Program* p, const SxvkAllocationCreateInfo* info, VkDeviceSize size) {
    VkBufferCreateInfo buffer = testing_buffer(size, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    SxvkAllocationCreateInfo with = *info;
    Res* res = place_for(p);
    with.pUserData = res;
    res->size = size;
    if (sxvkCreateBuffer(p->rig->allocator, &buffer, &with, &res->buffer, &res->allocation, NULL) !=
        VK_SUCCESS) {
        assert_true(!res_lives(res) && res->allocation == VK_NULL_HANDLE);
        return NULL;
    }
    res_fill(p, res);
    return res;
}

static VkImageCreateInfo image_info(uint64_t random) {
    VkImageCreateInfo info = testing_image(16u << random % 4, 64, VK_IMAGE_TILING_OPTIMAL);
    info.usage = VK_IMAGE_USAGE_SAMPLED_BIT;
    info.mipLevels = 1 + (uint32_t)(random / 4 % 4);
    info.arrayLayers = 1 + (uint32_t)(random / 16 % 3);
    if (random / 64 % 4 == 0) {
        info.imageType = VK_IMAGE_TYPE_3D;
        info.arrayLayers = 1;
        info.extent.depth = 8;
    } else if (random / 64 % 4 == 1) {
        info.format = VK_FORMAT_D24_UNORM_S8_UINT;
        info.usage = VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT;
    } else if (random / 64 % 4 == 2) {
        info.format = VK_FORMAT_BC1_RGBA_UNORM_BLOCK;
    }
    return info;
}

static Res* add_image(Program* p, const SxvkAllocationCreateInfo* info,
                      const VkImageCreateInfo* image) {
    SxvkAllocationCreateInfo with = *info;
    SxvkAllocationInfo got;
    VkImageMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER};
    Res* res = place_for(p);
    with.pUserData = res;
    if (sxvkCreateImage(p->rig->allocator, image, &with, &res->image, &res->allocation, &got) !=
        VK_SUCCESS) {
        assert_true(!res_lives(res) && res->allocation == VK_NULL_HANDLE);
        return NULL;
    }
    res->size = got.size;
    res->layout = VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL;
    barrier.newLayout = res->layout;
    barrier.image = res->image;
    barrier.subresourceRange.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT;
    barrier.subresourceRange.levelCount = image->mipLevels;
    barrier.subresourceRange.layerCount = image->arrayLayers;
    p->rig->allocator->device.vk.fn.vkCmdPipelineBarrier(
        p->moves.commandBuffer, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
        VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
    res_fill(p, res);
    return res;
}

/*  Buffers and images, of which every `keep`-th stays. */
static void fill(Program* p, const SxvkAllocationCreateInfo* info, uint32_t count, uint32_t keep) {
    uint64_t random = 5;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t draw = testing_random(&random);
        VkImageCreateInfo image = image_info(draw / 8);
        assert_non_null(draw % 8 < 3
                            ? add_image(p, info, &image)
                            : add_buffer(p, info, testing_log_uniform(&random, 64, 96 * KIB)));
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i % keep != 0) {
            destroy(p, &p->all[i]);
        }
    }
}

/*  The device reaches the frame that was just recorded. */
static void end_frame(Program* p) {
    sim_execute_copies(p->rig->sim);
    assert_int_equal(sim_errors(p->rig->sim), 0);
    sxvkCompleteMoves(p->rig->allocator, p->frame);
    p->moves.value = ++p->frame;
    assert_int_equal(sxvkCheckIntegrity(p->rig->allocator), VK_SUCCESS);
}

/*  Record until there is nothing left to do; returns the calls. */
static uint32_t run(Program* p, SxvkDefragmentationContext context) {
    uint32_t calls = 0;
    for (;;) {
        VkResult result = sxvkRecordMoves(p->rig->allocator, context, &p->moves);
        assert_int_equal(sxvkCheckIntegrity(p->rig->allocator), VK_SUCCESS);
        end_frame(p);
        if (result == VK_SUCCESS) {
            return calls;
        }
        assert_true(result == VK_INCOMPLETE || result == VK_NOT_READY);
        assert_true(++calls < 10000);
    }
}

static SxvkDefragmentationContext begin(Program* p, SxvkDefragmentationFlags flags) {
    SxvkDefragmentationInfo info = {.flags = flags | SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT};
    SxvkDefragmentationContext context;
    assert_int_equal(sxvkBeginDefragmentation(p->rig->allocator, &info, &context), VK_SUCCESS);
    return context;
}

static SxvkDefragmentationStats defragment(Program* p, SxvkDefragmentationFlags flags) {
    SxvkDefragmentationContext context = begin(p, flags);
    SxvkDefragmentationStats stats;
    (void)run(p, context);
    sxvkEndDefragmentation(p->rig->allocator, context, &stats);
    return stats;
}

#define FULL SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_FULL_BIT
#define ALL  SXVK_DEFRAGMENTATION_FLAG_ALGORITHM_EXTENSIVE_BIT

/* ------------------------------------------------------------------ moving */

static void test_everything_moves(void** state) {
    Program* p = program_open();
    SxvkMoveStatistics moved;
    SxvkDefragmentationStats stats;
    (void)state;
    for (uint32_t round = 0; round < 3; round++) {
        SxvkStatistics before, after;
        fill(p, &movable_host, 900, 4 + round);
        before = rig_statistics(p->rig);
        stats = defragment(p, FULL);
        after = rig_statistics(p->rig);
        compare(p);
        assert_int_equal(before.allocationCount, after.allocationCount);
        assert_int_equal(before.allocationBytes, after.allocationBytes);
        assert_int_equal(before.blockBytes - after.blockBytes, stats.bytesFreed);
        assert_true(stats.bytesFreed > 0 && stats.bytesMoved < stats.bytesFreed);
        rig_check(p->rig);
    }
    sxvkGetMoveStatistics(p->rig->allocator, &moved);
    assert_int_equal(moved.moveCount, p->told);
    assert_int_equal(moved.movesInFlight, 0);
    assert_int_equal(moved.bytesInFlight, 0);
    assert_true(moved.passCount != 0 && moved.blocksFreed != 0 && moved.bytesMoved != 0);
    program_close(p);
}

/*  A pass at a time, several frames in flight. */
static void test_flights_overlap(void** state) {
    Program* p = program_open();
    SxvkDefragmentationInfo info = {
        .flags = FULL | SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT,
        .maxBytesPerPass = 256 * KIB,
        .maxAllocationsPerPass = 7,
    };
    SxvkDefragmentationContext context;
    VkResult result = VK_INCOMPLETE;
    uint32_t frames = 0;
    (void)state;
    fill(p, &movable_host, 900, 5);
    assert_int_equal(sxvkBeginDefragmentation(p->rig->allocator, &info, &context), VK_SUCCESS);
    while (result != VK_SUCCESS) {
        uint32_t told = p->told;
        result = sxvkRecordMoves(p->rig->allocator, context, &p->moves);
        assert_true(result == VK_SUCCESS || result == VK_INCOMPLETE || result == VK_NOT_READY);
        assert_true(p->told - told <= 7);
        if (++frames % 3 == 0 || result == VK_NOT_READY) {
            end_frame(p);
        } else {
            p->moves.value = ++p->frame;
        }
        assert_true(frames < 10000);
    }
    sxvkEndDefragmentation(p->rig->allocator, context, NULL);
    assert_true(frames > 10);
    end_frame(p);
    compare(p);
    program_close(p);
}

/*  What others find in the middle of a creation. */
static struct {
    PFN_vkBindBufferMemory real;
    SxvkAllocator allocator;
    uint32_t found;
    uint32_t pinned;
} intrusion;

static VkBool32 VKAPI_PTR look_if_pinned(void* data, SxvkAllocator allocator,
                                         SxvkAllocation allocation) {
    uint32_t index = sxvki_allocation_index(allocation);
    (void)data;
    intrusion.found++;
    intrusion.pinned += (*sxvki_state_of(&allocator->device, index) & SXVKI_STATE_PINNED) != 0;
    return VK_TRUE;
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_intruded(VkDevice device, VkBuffer buffer,
                                                    VkDeviceMemory memory, VkDeviceSize offset) {
    sxvkForEachAllocation(intrusion.allocator, look_if_pinned, NULL);
    return intrusion.real(device, buffer, memory, offset);
}

/*  Without an entry passes would take it for one of their own: so it is pinned up to then. */
static void test_pinned_while_it_is_made(void** state) {
    Program* p = program_open();
    sxvki_vk* vk = &p->rig->allocator->device.vk;
    (void)state;
    memset(&intrusion, 0, sizeof intrusion);
    intrusion.allocator = p->rig->allocator;
    intrusion.real = vk->fn.vkBindBufferMemory;
    vk->fn.vkBindBufferMemory = bind_intruded;
    assert_non_null(add_buffer(p, &movable_host, 20000));
    vk->fn.vkBindBufferMemory = intrusion.real;
    assert_int_equal(intrusion.found, 1);
    assert_int_equal(intrusion.pinned, 1);
    sxvkForEachAllocation(p->rig->allocator, look_if_pinned, NULL);
    assert_int_equal(intrusion.found, 2);
    assert_int_equal(intrusion.pinned, 1);
    program_close(p);
}

/*  What is not movable stays, with its block; passes leave alone what is. */
static void test_others_stay(void** state) {
    Program* p = program_open();
    SxvkAllocationCreateInfo plain = {.memoryTypeBits = 1u << HOST};
    SxvkDefragmentationInfo info = {.flags = ALL};
    SxvkDefragmentationPassMoveInfo pass;
    SxvkDefragmentationContext context;
    SxvkDefragmentationStats stats;
    (void)state;
    fill(p, &plain, 300, 5);
    stats = defragment(p, ALL);
    assert_int_equal(stats.allocationsMoved, 0);
    for (uint32_t i = 0; i < MOST; i++) {
        if (res_lives(&p->all[i])) {
            destroy(p, &p->all[i]);
        }
    }
    fill(p, &movable_host, 300, 5);
    assert_int_equal(sxvkBeginDefragmentation(p->rig->allocator, &info, &context), VK_SUCCESS);
    assert_int_equal(sxvkBeginDefragmentationPass(p->rig->allocator, context, &pass), VK_SUCCESS);
    assert_int_equal(sxvkRecordMoves(p->rig->allocator, context, &p->moves),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(p->rig, SXVK_MESSAGE_BAD_STRUCT, 1);
    sxvkEndDefragmentation(p->rig->allocator, context, NULL);
    context = begin(p, ALL);
    assert_int_equal(sxvkBeginDefragmentationPass(p->rig->allocator, context, &pass),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(p->rig, SXVK_MESSAGE_BAD_STRUCT, 1);
    (void)run(p, context);
    sxvkEndDefragmentation(p->rig->allocator, context, &stats);
    assert_true(stats.allocationsMoved != 0);
    compare(p);
    program_close(p);
}

static void test_a_move_is_refused(void** state) {
    Program* p = program_open();
    SxvkMoveStatistics stats;
    (void)state;
    fill(p, &movable_host, 600, 5);
    for (uint32_t i = 0; i < MOST; i++) {
        p->all[i].isRefused = i % 15 == 0;
    }
    (void)defragment(p, FULL);
    compare(p);
    for (uint32_t i = 0; i < MOST; i++) {
        assert_true(!p->all[i].isRefused || p->all[i].moves == 0);
        p->all[i].isRefused = false;
    }
    sxvkGetMoveStatistics(p->rig->allocator, &stats);
    assert_true(stats.refusedCount != 0);
    /* Of another queue family, and exclusive. */
    p->moves.queueFamilyIndex = 4;
    (void)defragment(p, FULL);
    compare(p);
    program_close(p);
}

static VkBool32 VKAPI_PTR elsewhere(void* data, const SxvkMovableResource* r,
                                    SxvkMoveUsage* usage) {
    VkBool32 answer = on_query(data, r, usage);
    usage->queueFamilyIndex = 9;
    return answer;
}

static void test_another_family_owns_it(void** state) {
    Program* p = program_open();
    (void)state;
    fill(p, &movable_host, 300, 5);
    p->moves.pfnQuery = elsewhere;
    assert_int_equal(defragment(p, FULL).allocationsMoved, 0);
    assert_true(p->asked != 0);
    p->moves.pfnQuery = on_query;
    assert_true(defragment(p, FULL).allocationsMoved != 0);
    compare(p);
    program_close(p);
}

/* ------------------------------------------------------------------ destroying */

/*  While it flies: later, with the old one, and the handle is invalid from now on. */
static void test_destroyed_in_flight(void** state) {
    Program* p = program_open();
    SxvkDefragmentationContext context;
    uint32_t destroyed = 0;
    (void)state;
    fill(p, &movable_host, 900, 5);
    context = begin(p, FULL);
    for (;;) {
        VkResult result = sxvkRecordMoves(p->rig->allocator, context, &p->moves);
        for (uint32_t i = 0; i < MOST; i++) {
            Res* res = &p->all[i];
            if (res_lives(res) && res->moves != 0 && i % 2 == 0) {
                uint64_t objects = sim_live_resource_count(p->rig->sim);
                SxvkAllocation allocation = res->allocation;
                VkBuffer buffer = res->buffer;
                destroy(p, res);
                destroyed++;
                assert_false(sxvkIsAllocationValid(p->rig->allocator, allocation));
                assert_int_equal(sim_live_resource_count(p->rig->sim), objects);
                if (destroyed == 1) { /* twice */
                    sxvkDestroyBuffer(p->rig->allocator, buffer, allocation);
                    rig_expect(p->rig, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
                }
            }
        }
        assert_int_equal(sxvkCheckIntegrity(p->rig->allocator), VK_SUCCESS);
        end_frame(p);
        if (result == VK_SUCCESS) {
            break;
        }
        for (uint32_t i = 0; i < MOST; i++) {
            p->all[i].moves = 0;
        }
    }
    assert_true(destroyed > 20);
    sxvkEndDefragmentation(p->rig->allocator, context, NULL);
    compare(p);
    rig_check(p->rig);
    program_close(p);
}

/*  Inside of the callbacks, and with a handle from before the move. */
static void test_destroyed_by_callbacks(void** state) {
    Program* p = program_open();
    (void)state;
    fill(p, &movable_host, 600, 5);
    for (uint32_t round = 0; round < 8; round++) {
        SxvkDefragmentationContext context = begin(p, ALL);
        for (uint32_t i = round; i < MOST; i++) {
            if (res_lives(&p->all[i])) {
                p->destroysWhenAsked = round % 2 == 0 ? &p->all[i] : NULL;
                p->destroysWhenTold = round % 2 != 0 ? &p->all[i] : NULL;
                break;
            }
        }
        (void)run(p, context);
        sxvkEndDefragmentation(p->rig->allocator, context, NULL);
        compare(p);
    }
    program_close(p);
}

static void test_destroyed_by_its_old_handle(void** state) {
    Program* p = program_open();
    VkBuffer old[MOST];
    (void)state;
    fill(p, &movable_host, 600, 5);
    for (uint32_t i = 0; i < MOST; i++) {
        old[i] = p->all[i].buffer;
    }
    (void)defragment(p, ALL);
    for (uint32_t i = 0; i < MOST; i++) {
        if (p->all[i].buffer != VK_NULL_HANDLE) {
            sxvkDestroyBuffer(p->rig->allocator, old[i], p->all[i].allocation);
            memset(&p->all[i], 0, sizeof p->all[i]);
        }
    }
    program_close(p);
}

/*  The context, a pool, the allocator, with flights in the air. */
static void test_owners_end_in_flight(void** state) {
    const SxvkPoolCreateInfo blocks = {.memoryTypeIndex = HOST, .blockSize = 1 << 20};
    (void)state;
    for (uint32_t round = 0; round < 4; round++) {
        Program* p = program_open();
        SxvkAllocator allocator = p->rig->allocator;
        SxvkAllocationCreateInfo info = movable_host;
        SxvkDefragmentationInfo begun = {
            .flags = FULL | SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT, .maxBytesPerPass = MIB};
        SxvkDefragmentationContext context;
        SxvkPool pool;
        assert_int_equal(sxvkCreatePool(allocator, &blocks, &pool), VK_SUCCESS);
        info.pool = round == 3 ? VK_NULL_HANDLE : pool;
        begun.pool = info.pool;
        fill(p, &info, 600, 5);
        assert_int_equal(sxvkBeginDefragmentation(allocator, &begun, &context), VK_SUCCESS);
        assert_int_equal(sxvkRecordMoves(allocator, context, &p->moves), VK_INCOMPLETE);
        assert_true(p->told != 0);
        if (round != 2) {
            sxvkEndDefragmentation(allocator, context, NULL);
            assert_int_equal(sxvkCheckIntegrity(allocator), VK_SUCCESS);
        }
        sim_execute_copies(p->rig->sim);
        if (round == 0 || round == 3) {
            end_frame(p);
            compare(p);
        }
        if (round == 3) {
            sxvkDestroyPool(allocator, pool);
            program_close(p);
            continue;
        }
        for (uint32_t i = 0; i < MOST; i++) {
            if (res_lives(&p->all[i]) && round != 1) {
                destroy(p, &p->all[i]);
            } else if (res_lives(&p->all[i])) { /* with sxvkResetPool the handles are the user's */
                const SxvkVulkanFunctions* fn = &allocator->device.vk.fn;
                const VkAllocationCallbacks* host = allocator->device.host.driver_callbacks;
                fn->vkDestroyBuffer(sim_device(p->rig->sim), p->all[i].buffer, host);
                fn->vkDestroyImage(sim_device(p->rig->sim), p->all[i].image, host);
                memset(&p->all[i], 0, sizeof p->all[i]);
            }
        }
        if (round == 1) {
            assert_int_equal(sxvkResetPool(allocator, pool), VK_SUCCESS);
        }
        if (round == 2) {
            sxvkEndDefragmentation(allocator, context, NULL);
        }
        sxvkDestroyPool(allocator, pool);
        program_close(p);
    }
}

/* ------------------------------------------------------------------ by the CPU */

static uint64_t thread_microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void test_the_cpu_copies(void** state) {
    Program* p = program_open();
    SxvkDefragmentationStats stats;
    (void)state;
    p->moves.commandBuffer = VK_NULL_HANDLE;
    for (uint32_t i = 0; i < 900; i++) {
        assert_non_null(add_buffer(p, &movable_host, testing_log_uniform(&p->seeds, 64, 96 * KIB)));
    }
    for (uint32_t i = 0; i < 900; i++) {
        if (i % 5 != 0) {
            destroy(p, &p->all[i]);
        }
    }
    assert_int_equal(defragment(p, FULL).allocationsMoved, 0); /* not allowed */
    p->moves.flags = SXVK_MOVE_CPU_COPY_BIT;
    assert_int_equal(defragment(p, FULL).allocationsMoved, 0); /* not idle */
    for (uint32_t i = 0; i < MOST; i++) {
        p->all[i].isIdle = true;
    }
    stats = defragment(p, FULL);
    assert_true(stats.allocationsMoved != 0 && stats.bytesFreed != 0);
    assert_int_equal(sim_calls(p->rig->sim, SIM_CALL_CMD_COPY_BUFFER), 0);
    compare(p);
    program_close(p);
}

/*  What the CPU cannot copy in the time of a call stays, or is left to the device. */
static void test_the_cpu_has_no_time(void** state) {
    Program* p = program_open();
    VkCommandBuffer commands = p->moves.commandBuffer;
    SxvkDefragmentationStats stats;
    uint64_t began, longest = 0;
    (void)state;
    for (uint32_t i = 0; i < 24; i++) {
        assert_non_null(add_buffer(p, &movable_host, 3 * MIB));
        p->all[i].isIdle = true;
    }
    for (uint32_t i = 0; i < 24; i++) {
        if (i % 4 != 0) {
            destroy(p, &p->all[i]);
        }
    }
    p->moves.flags = SXVK_MOVE_CPU_COPY_BIT;
    p->moves.maxMicroseconds = 40;
    p->moves.commandBuffer = VK_NULL_HANDLE;
    for (SxvkDefragmentationContext context = begin(p, ALL);;) {
        VkResult result;
        began = thread_microseconds();
        result = sxvkRecordMoves(p->rig->allocator, context, &p->moves);
        began = thread_microseconds() - began;
        longest = began > longest ? began : longest;
        if (result == VK_SUCCESS) {
            sxvkEndDefragmentation(p->rig->allocator, context, &stats);
            break;
        }
        assert_int_equal(result, VK_INCOMPLETE);
    }
    assert_int_equal(stats.allocationsMoved, 0);
    p->moves.commandBuffer = commands;
    assert_true(defragment(p, ALL).allocationsMoved != 0);
    assert_true(sim_calls(p->rig->sim, SIM_CALL_CMD_COPY_BUFFER) != 0);
    compare(p);
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_in_range(longest, 0, 300);
#endif
    program_close(p);
}

/* ------------------------------------------------------------------ names for tools */

/*  What moves keeps its name, and each block has one, also those that a run makes. */
static void test_names_move(void** state) {
    RigOptions options = rig_options();
    SxvkAllocationCreateInfo with = movable_host;
    SxvkAllocationInfo info;
    uint32_t moved = 0;
    Program* p;
    (void)state;
    options.info.flags |= SXVK_ALLOCATOR_CREATE_EXT_DEBUG_UTILS_BIT;
    options.sim.debugUtils = true;
    p = program_open_with(&options);
    with.pName = "terrain";
    fill(p, &with, 500, 3);
    (void)defragment(p, ALL);
    for (uint32_t i = 0; i < 500; i += 3) {
        const Res* res = &p->all[i];
        uint64_t handle =
            res->buffer != VK_NULL_HANDLE ? SIM_HANDLE(res->buffer) : SIM_HANDLE(res->image);
        assert_string_equal(sim_object_name(p->rig->sim, handle), "terrain");
        sxvkGetAllocationInfo(p->rig->allocator, res->allocation, &info);
        assert_non_null(
            strstr(sim_object_name(p->rig->sim, SIM_HANDLE(info.deviceMemory)), ", block "));
        moved += res->moves != 0;
    }
    assert_true(moved > 30);
    program_close(p);
}

/* ------------------------------------------------------------------ what it is made of */

typedef struct Seen {
    uint32_t images;
    uint32_t buffers;
    uint32_t wrong;
} Seen;

static void check_infos(void* data, const VkBufferCreateInfo* buffer,
                        const VkImageCreateInfo* image, SimRequirements* needs) {
    Seen* seen = data;
    anywhere(NULL, buffer, image, needs);
    if (image != NULL) {
        const VkImageFormatListCreateInfo* formats =
            sxvki_chain_find(image->pNext, VK_STRUCTURE_TYPE_IMAGE_FORMAT_LIST_CREATE_INFO);
        const VkImageStencilUsageCreateInfo* stencil =
            sxvki_chain_find(image->pNext, VK_STRUCTURE_TYPE_IMAGE_STENCIL_USAGE_CREATE_INFO);
        seen->images++;
        seen->wrong += formats == NULL || formats->viewFormatCount != 2 ||
                       formats->pViewFormats[1] != VK_FORMAT_R8G8B8A8_SRGB || stencil == NULL ||
                       (stencil->stencilUsage & VK_IMAGE_USAGE_TRANSFER_SRC_BIT) == 0 ||
                       image->queueFamilyIndexCount != 2 || image->pQueueFamilyIndices[1] != 7 ||
                       (image->usage & VK_IMAGE_USAGE_TRANSFER_DST_BIT) == 0;
    } else {
        seen->buffers++;
        seen->wrong += buffer->queueFamilyIndexCount != 2 || buffer->pQueueFamilyIndices[1] != 7 ||
                       (buffer->usage & VK_BUFFER_USAGE_TRANSFER_SRC_BIT) == 0;
    }
}

/*  The info is copied with its lists, which its owner forgets at once. */
static void test_infos_are_kept(void** state) {
    Program* p = program_open();
    Seen seen = {0, 0, 0};
    (void)state;
    sim_set_requirements(p->rig->sim, check_infos, &seen);
    for (uint32_t i = 0; i < 400; i++) {
        uint32_t families[2] = {1, 7};
        VkFormat views[2] = {VK_FORMAT_R8G8B8A8_UNORM, VK_FORMAT_R8G8B8A8_SRGB};
        VkImageStencilUsageCreateInfo stencil = {
            .sType = VK_STRUCTURE_TYPE_IMAGE_STENCIL_USAGE_CREATE_INFO,
            .stencilUsage = VK_IMAGE_USAGE_SAMPLED_BIT};
        VkImageFormatListCreateInfo formats = {.sType =
                                                   VK_STRUCTURE_TYPE_IMAGE_FORMAT_LIST_CREATE_INFO,
                                               .pNext = &stencil,
                                               .viewFormatCount = 2,
                                               .pViewFormats = views};
        VkImageCreateInfo image = testing_image(64, 64, VK_IMAGE_TILING_OPTIMAL);
        VkBufferCreateInfo buffer = testing_buffer(30000, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        SxvkAllocationCreateInfo info = movable_host;
        Res* res = place_for(p);
        info.pUserData = res;
        res->size = 16000;
        if (i % 2 == 0) {
            image.pNext = &formats;
            image.sharingMode = VK_SHARING_MODE_CONCURRENT;
            image.queueFamilyIndexCount = 2;
            image.pQueueFamilyIndices = families;
            assert_int_equal(sxvkCreateImage(p->rig->allocator, &image, &info, &res->image,
                                             &res->allocation, NULL),
                             VK_SUCCESS);
            res->layout = VK_IMAGE_LAYOUT_UNDEFINED; /* nothing to copy */
        } else {
            buffer.sharingMode = VK_SHARING_MODE_CONCURRENT;
            buffer.queueFamilyIndexCount = 2;
            buffer.pQueueFamilyIndices = families;
            assert_int_equal(sxvkCreateBuffer(p->rig->allocator, &buffer, &info, &res->buffer,
                                              &res->allocation, NULL),
                             VK_SUCCESS);
        }
        memset(families, 0xFF, sizeof families);
        memset(views, 0xFF, sizeof views);
    }
    for (uint32_t i = 0; i < 400; i++) {
        if (i % 6 > 1) {
            destroy(p, &p->all[i]);
        }
    }
    p->moves.pfnQuery = elsewhere; /* concurrent: who owns it does not matter */
    assert_true(defragment(p, FULL).allocationsMoved > 10);
    assert_int_equal(sim_calls(p->rig->sim, SIM_CALL_CMD_COPY_IMAGE), 0);
    assert_true(seen.images > 200 && seen.buffers > 200);
    assert_int_equal(seen.wrong, 0);
    sim_set_requirements(p->rig->sim, anywhere, NULL);
    program_close(p);
}

static void refuse_buffer(Program* p, VkBufferCreateInfo buffer, SxvkAllocationCreateInfo info,
                          SxvkMessage message) {
    VkBuffer made;
    SxvkAllocation allocation;
    info.flags |= SXVK_ALLOCATION_CREATE_MOVABLE_BIT;
    assert_int_equal(sxvkCreateBuffer(p->rig->allocator, &buffer, &info, &made, &allocation, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_true(made == VK_NULL_HANDLE && allocation == VK_NULL_HANDLE);
    rig_expect(p->rig, message, 1);
}

static void refuse_image(Program* p, VkImageCreateInfo image) {
    VkImage made;
    SxvkAllocation allocation;
    assert_int_equal(
        sxvkCreateImage(p->rig->allocator, &image, &movable_host, &made, &allocation, NULL),
        VK_ERROR_VALIDATION_FAILED_EXT);
    assert_true(made == VK_NULL_HANDLE && allocation == VK_NULL_HANDLE);
    rig_expect(p->rig, SXVK_MESSAGE_BAD_STRUCT, 1);
}

static void test_what_cannot_be_movable(void** state) {
    Program* p = program_open();
    const VkBufferCreateInfo buffer = testing_buffer(1000, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    const VkImageCreateInfo image = testing_image(64, 64, VK_IMAGE_TILING_OPTIMAL);
    const SxvkAllocationCreateInfo info = {0};
    VkExternalMemoryBufferCreateInfo external = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO};
    const VkMemoryRequirements needs = testing_requirements(1000, 16, 0xF);
    const SxvkPoolCreateInfo lane = {.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT};
    SxvkAllocation allocation;
    VkBuffer made;
    SxvkPool pool;
    (void)state;
#define BUFFER(member, value, message)                                                             \
    do {                                                                                           \
        VkBufferCreateInfo b = buffer;                                                             \
        b.member = value;                                                                          \
        refuse_buffer(p, b, info, message);                                                        \
    } while (0)
#define IMAGE(member, value)                                                                       \
    do {                                                                                           \
        VkImageCreateInfo i = image;                                                               \
        i.member = value;                                                                          \
        refuse_image(p, i);                                                                        \
    } while (0)
#define INFO(member, value)                                                                        \
    do {                                                                                           \
        SxvkAllocationCreateInfo a = info;                                                         \
        a.member = value;                                                                          \
        refuse_buffer(p, buffer, a, SXVK_MESSAGE_CONFLICTING_FLAGS);                               \
    } while (0)
    BUFFER(flags, VK_BUFFER_CREATE_SPARSE_BINDING_BIT, SXVK_MESSAGE_BAD_STRUCT);
    BUFFER(flags, VK_BUFFER_CREATE_PROTECTED_BIT, SXVK_MESSAGE_BAD_STRUCT);
    BUFFER(usage, VK_BUFFER_USAGE_ACCELERATION_STRUCTURE_STORAGE_BIT_KHR, SXVK_MESSAGE_BAD_STRUCT);
    BUFFER(usage, 0x01000000 /* MICROMAP_STORAGE_BIT_EXT */, SXVK_MESSAGE_BAD_STRUCT);
    BUFFER(pNext, &external, SXVK_MESSAGE_BAD_STRUCT);
    IMAGE(flags, VK_IMAGE_CREATE_SPARSE_BINDING_BIT);
    IMAGE(flags, VK_IMAGE_CREATE_PROTECTED_BIT);
    IMAGE(usage, VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT);
    IMAGE(format, VK_FORMAT_G8_B8R8_2PLANE_420_UNORM);
    IMAGE(tiling, VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT);
    IMAGE(pNext, &external);
    IMAGE(mipLevels, 33);
    INFO(flags, SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT);
    INFO(flags, SXVK_ALLOCATION_CREATE_PINNED_BIT);
    INFO(flags, SXVK_ALLOCATION_CREATE_CAN_ALIAS_BIT);
    INFO(flags, SXVK_ALLOCATION_CREATE_DONT_BIND_BIT);
    INFO(pNext, &external);
    assert_int_equal(sxvkCreatePool(p->rig->allocator, &lane, &pool), VK_SUCCESS);
    INFO(pool, pool);
    sxvkDestroyPool(p->rig->allocator, pool);
    /* Other functions know nothing of resources, or make many. */
    assert_int_equal(
        sxvkAllocateMemory(p->rig->allocator, &needs, &movable_host, &allocation, NULL),
        VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(p->rig, SXVK_MESSAGE_CONFLICTING_FLAGS, 1);
    assert_int_equal(
        sxvkCreateBuffers(p->rig->allocator, 1, &buffer, &movable_host, &made, &allocation, NULL),
        VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(p->rig, SXVK_MESSAGE_CONFLICTING_FLAGS, 1);
    program_close(p);
}

/*  What else is bound there would be left behind. */
static void test_nothing_else_is_bound(void** state) {
    Program* p = program_open();
    SxvkAllocator allocator = p->rig->allocator;
    const VkBufferCreateInfo buffer = testing_buffer(1000, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    const VkImageCreateInfo image = testing_image(4, 4, VK_IMAGE_TILING_OPTIMAL);
    const Res* res = add_buffer(p, &movable_host, 64 * KIB);
    VkBuffer alias = VK_NULL_HANDLE;
    VkImage imageAlias = VK_NULL_HANDLE;
    (void)state;
    assert_int_equal(sxvkCreateAliasingBuffer(allocator, res->allocation, &buffer, &alias),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_int_equal(sxvkCreateAliasingImage(allocator, res->allocation, &image, &imageAlias),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_true(alias == VK_NULL_HANDLE && imageAlias == VK_NULL_HANDLE);
    assert_int_equal(sxvkBindBufferMemory(allocator, res->allocation, res->buffer),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    assert_int_equal(sxvkBindImageMemory2(allocator, res->allocation, 0, imageAlias, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(p->rig, SXVK_MESSAGE_CONFLICTING_FLAGS, 4);
    program_close(p);
}

/*  One plane, though with its neighbours' numbers. */
static void test_formats_of_one_plane(void** state) {
    const uint32_t one[] = {1000156000, 1000156001, 1000156007, 1000156011,
                            1000156017, 1000156021, 1000156027, 1000156028};
    const uint32_t more[] = {1000156002, 1000156006, 1000156012, 1000156016, 1000156022,
                             1000156026, 1000156029, 1000156033, 1000330000, 1000330003};
    (void)state;
    for (size_t i = 0; i < sizeof one / sizeof one[0]; i++) {
        assert_false(sxvki_format_is_planar((VkFormat)one[i]));
    }
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        assert_true(sxvki_format_is_planar((VkFormat)more[i]));
    }
}

static void test_arguments(void** state) {
    Program* p = program_open();
    SxvkAllocator allocator = p->rig->allocator;
    SxvkDefragmentationContext context = begin(p, 0);
    SxvkDefragmentationTickInfo tick = {.moves = p->moves};
    SxvkMoveInfo moves;
    (void)state;
#define MOVES(member, value, message)                                                              \
    do {                                                                                           \
        moves = p->moves;                                                                          \
        moves.member = value;                                                                      \
        assert_int_equal(sxvkRecordMoves(allocator, context, &moves),                              \
                         VK_ERROR_VALIDATION_FAILED_EXT);                                          \
        rig_expect(p->rig, SXVK_MESSAGE_##message, 1);                                             \
    } while (0)
    MOVES(flags, 4, UNKNOWN_FLAGS);
    MOVES(pfnQuery, NULL, NULL_ARGUMENT);
    MOVES(pfnMoved, NULL, NULL_ARGUMENT);
    MOVES(value, 0, BAD_FRAME_VALUE);
    sxvkCompleteMoves(allocator, 5);
    sxvkCompleteMoves(allocator, 4);
    MOVES(value, 5, BAD_FRAME_VALUE);
    assert_int_equal(sxvkRecordMoves(allocator, context, NULL), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(p->rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    tick.flags = 4;
    assert_int_equal(sxvkDefragmentationTick(allocator, &tick), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(p->rig, SXVK_MESSAGE_UNKNOWN_FLAGS, 1);
    tick.flags = 0;
    tick.wasteShare = 1.5f;
    assert_int_equal(sxvkDefragmentationTick(allocator, &tick), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(p->rig, SXVK_MESSAGE_BAD_SIZE, 1);
    moves = p->moves;
    moves.value = 6;
    assert_int_equal(sxvkMakeRoom(allocator, 99, MIB, &moves), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(p->rig, SXVK_MESSAGE_BAD_INDEX, 1);
    assert_int_equal(sxvkMakeRoom(allocator, HOST, 0, &moves), VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(p->rig, SXVK_MESSAGE_BAD_SIZE, 1);
    sxvkEndDefragmentation(allocator, context, NULL);
    program_close(p);
}

/* ------------------------------------------------------------------ failures */

static VkBool32 VKAPI_PTR shy(void* data, const SxvkMovableResource* r, SxvkMoveUsage* usage) {
    Program* p = data;
    (void)on_query(data, r, usage);
    return p->asked % 64 != 63;
}

/*  Let the nth call of the driver, or request for host memory, fail, once or from then on, while
    resources are moved: nothing is lost, and without failures it goes on. */
static void sweep(bool host, bool for_ever) {
    uint32_t failed = 0;
    for (uint32_t nth = 1; nth < 200; nth += 1 + nth / 6) {
        Program* p = program_open();
        SxvkDefragmentationContext context;
        uint32_t calls = 0;
        bool fired;
        fill(p, &movable_host, 200, 4);
        context = begin(p, ALL);
        p->moves.pfnQuery = shy;
        if (host) {
            host_fail(&p->rig->host, nth, for_ever ? UINT32_MAX : 1);
        } else {
            assert_true(sim_fail(p->rig->sim, SIM_CALL_ANY_FAILABLE, nth, for_ever ? UINT32_MAX : 1,
                                 VK_ERROR_OUT_OF_DEVICE_MEMORY));
        }
        while (calls++ < 40) {
            VkResult result = sxvkRecordMoves(p->rig->allocator, context, &p->moves);
            assert_int_equal(sxvkCheckIntegrity(p->rig->allocator), VK_SUCCESS);
            end_frame(p);
            failed += result < 0;
            if (result == VK_SUCCESS) {
                break;
            }
        }
        fired = sim_faults_fired(p->rig->sim) != 0;
        sim_clear_faults(p->rig->sim);
        host_fail(&p->rig->host, 0, 0);
        compare(p);
        (void)run(p, context);
        sxvkEndDefragmentation(p->rig->allocator, context, NULL);
        compare(p);
        messages_clear(&p->rig->messages);
        (void)defragment(p, ALL);
        compare(p);
        rig_check(p->rig);
        program_close(p);
        if (!host && !fired) {
            break;
        }
    }
    assert_true(host || !for_ever || failed != 0);
}

static void test_the_driver_fails_once(void** state) {
    (void)state;
    sweep(false, false);
}

static void test_the_driver_fails(void** state) {
    (void)state;
    sweep(false, true);
}

static void test_the_host_fails_once(void** state) {
    (void)state;
    sweep(true, false);
}

static void test_the_host_fails(void** state) {
    (void)state;
    sweep(true, true);
}

/*  To create one. */
static void test_creation_fails(void** state) {
    Program* p = program_open();
    (void)state;
    for (uint32_t nth = 1; nth < 30; nth++) {
        VkImageCreateInfo image = image_info(nth);
        host_fail(&p->rig->host, nth, 1);
        (void)add_buffer(p, &movable_host, 5000 + nth * 1000);
        (void)add_image(p, &movable_host, &image);
        host_fail(&p->rig->host, 0, 0);
        messages_clear(&p->rig->messages);
    }
    for (uint32_t nth = 1; nth < 6; nth++) {
        VkImageCreateInfo image = image_info(nth);
        assert_true(
            sim_fail(p->rig->sim, SIM_CALL_ANY_FAILABLE, nth, 1, VK_ERROR_OUT_OF_DEVICE_MEMORY));
        (void)add_image(p, &movable_host, &image);
        sim_clear_faults(p->rig->sim);
        messages_clear(&p->rig->messages);
    }
    compare(p);
    program_close(p);
}

/*  Entries of what has gone take no room, whichever way it went; trimmed, none at all. */
static void test_entries_go(void** state) {
    Program* p = program_open();
    SxvkAllocator allocator = p->rig->allocator;
    SxvkDefragmentationContext context;
    uint64_t live;
    (void)state;
    (void)add_buffer(p, &(SxvkAllocationCreateInfo){.memoryTypeBits = 1u << HOST}, 100);
    for (uint32_t i = 0; i < 500; i++) {
        Res* res = add_buffer(p, &movable_host, 300);
        sxvki_destroy_pair(&allocator->device, res->buffer, VK_NULL_HANDLE);
        if (i % 2 != 0) {
            sxvkFreeMemory(allocator, res->allocation);
        } else {
            sxvkFreeMemoryPages(allocator, 1, &res->allocation);
        }
        memset(res, 0, sizeof *res);
        assert_int_equal(allocator->movables.count, 0);
    }
    assert_in_range(allocator->movables.tables->entries.made, 1, 16);
    /* And those that are moving at that moment. */
    fill(p, &movable_host, 300, 4);
    context = begin(p, ALL);
    assert_int_equal(sxvkRecordMoves(allocator, context, &p->moves), VK_INCOMPLETE);
    sim_execute_copies(p->rig->sim);
    for (uint32_t i = 0; i < MOST; i++) {
        Res* res = &p->all[i];
        if (res->moves != 0) {
            sxvki_destroy_pair(&allocator->device, res->buffer, res->image);
            sxvkFreeMemory(allocator, res->allocation);
            memset(res, 0, sizeof *res);
        }
    }
    end_frame(p);
    (void)run(p, context);
    sxvkEndDefragmentation(allocator, context, NULL);
    for (uint32_t i = 1; i < MOST; i++) {
        if (res_lives(&p->all[i])) {
            destroy(p, &p->all[i]);
        }
    }
    assert_int_equal(allocator->movables.count, 0);
    live = p->rig->host.liveBytes;
    (void)sxvkTrim(allocator);
    assert_int_equal(allocator->movables.tables->entries.made, 0);
    assert_true(p->rig->host.liveBytes + 100 * sizeof(sxvki_movable) <= live);
    program_close(p);
}

/* ------------------------------------------------------------------ ticks, evacuation, room */

/*  Ticks until the run that is wanted is over; returns those at work. */
static uint32_t tick_until_done(Program* p, SxvkDefragmentationTickInfo* info, uint64_t* longest) {
    uint32_t at_work = 0, at_rest = 0;
    while (at_rest < 100) {
        uint64_t began = thread_microseconds();
        uint64_t took;
        VkResult result;
        info->moves.value = p->frame;
        result = sxvkDefragmentationTick(p->rig->allocator, info);
        took = thread_microseconds() - began;
        *longest = took > *longest ? took : *longest;
        assert_true(result == VK_SUCCESS || result == VK_INCOMPLETE);
        sxvkSetCurrentFrameIndex(p->rig->allocator, (uint32_t)p->frame);
        at_work += result == VK_INCOMPLETE;
        at_rest = result == VK_SUCCESS ? at_rest + 1 : 0;
        end_frame(p);
        assert_true(at_work < 5000);
    }
    return at_work;
}

/*  The same figures in the dump, and the frames' in sum. */
static void check_figures(Program* p, const SxvkMoveStatistics* moved) {
    SxvkFrameStatistics frames[400];
    uint32_t count = 400;
    uint64_t bytes = 0;
    uint32_t made = 0, freed = 0;
    char wanted[64];
    char* text;
    assert_int_equal(sxvkGetFrameHistory(p->rig->allocator, &count, frames), VK_SUCCESS);
    for (uint32_t i = 0; i < count; i++) {
        bytes += frames[i].movedBytes;
        made += frames[i].allocationCount;
        freed += frames[i].freeCount;
    }
    assert_int_equal(made, 2000); /* moves are none */
    assert_int_equal(freed, 1600);
    assert_true(bytes >= moved->bytesMoved && bytes != 0);
    assert_int_equal(sxvkBuildStatsString(p->rig->allocator, &text, VK_FALSE), VK_SUCCESS);
    (void)snprintf(wanted, sizeof wanted, "\"MovedBytes\": %llu",
                   (unsigned long long)moved->bytesMoved);
    assert_non_null(strstr(text, "\"Moves\": {"));
    assert_non_null(strstr(text, wanted));
    sxvkFreeStatsString(p->rig->allocator, text);
}

static void test_ticks(void** state) {
    RigOptions options = rig_options();
    Program* p;
    SxvkDefragmentationTickInfo info = {.maxBytes = MIB / 2};
    SxvkStatistics stats;
    SxvkMoveStatistics moved;
    uint64_t longest = 0;
    uint32_t moves;
    (void)state;
    options.info.frameHistoryCount = 400;
    p = program_open_with(&options);
    info.moves = p->moves;
    assert_int_equal(tick_until_done(p, &info, &longest), 0); /* nothing is there */
    for (uint32_t i = 0; i < 2000; i++) {
        assert_non_null(
            add_buffer(p, &movable_host, testing_log_uniform(&p->seeds, 256, 64 * KIB)));
    }
    assert_int_equal(tick_until_done(p, &info, &longest), 0); /* all is used */
    for (uint32_t i = 0; i < 2000; i++) {
        if (i % 5 != 0) {
            destroy(p, &p->all[i]);
        }
    }
    longest = 0;
    assert_true(tick_until_done(p, &info, &longest) > 5);
    compare(p);
    stats = rig_statistics(p->rig);
    assert_true((double)stats.blockBytes <= 1.4 * (double)stats.allocationBytes);
    sxvkGetMoveStatistics(p->rig->allocator, &moved);
    assert_int_equal(moved.runCount, 1);
    assert_true(moved.fragmentationBefore > 0.5f && moved.fragmentationAfter < 0.3f);
    assert_true(moved.bytesMoved <= moved.bytesFreed / 2);
    assert_true(moved.longestMicroseconds != 0 && moved.microseconds != 0);
    check_figures(p, &moved);
    /* Not again for what is left. */
    moves = moved.moveCount;
    assert_int_equal(tick_until_done(p, &info, &longest), 0);
    sxvkGetMoveStatistics(p->rig->allocator, &moved);
    assert_int_equal(moved.moveCount, moves);
    /* But when there is time. */
    info.flags = SXVK_DEFRAGMENTATION_TICK_IDLE_BIT;
    assert_true(tick_until_done(p, &info, &longest) > 1);
    stats = rig_statistics(p->rig);
    assert_true((double)stats.blockBytes <= 1.2 * (double)stats.allocationBytes);
    assert_int_equal(tick_until_done(p, &info, &longest), 0);
    compare(p);
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_in_range(longest, 0, 700); /* a budget of 500 us, and 0.2 ms */
#endif
    program_close(p);
}

/* ---- how long a tick takes: with a budget of a microsecond it is one step */

#define LOAD 24000u

typedef struct Load {
    Rig* rig;
    VkBuffer buffers[LOAD];
    SxvkAllocation allocations[LOAD];
    uint64_t random;
    SxvkDefragmentationTickInfo tick;
    uint64_t longest;   /* microseconds of a tick */
    uint64_t mostFrees; /* of device memory in a tick */
} Load;

static VkBool32 VKAPI_PTR agree(void* data, const SxvkMovableResource* r, SxvkMoveUsage* usage) {
    (void)data;
    (void)r;
    (void)usage;
    return VK_TRUE;
}

static void VKAPI_PTR load_note(void* data, const SxvkMovableResource* before,
                                const SxvkMovableResource* after) {
    (void)data;
    (void)before;
    *(VkBuffer*)after->pUserData = after->buffer;
}

static void load_add(Load* load, uint32_t i, VkDeviceSize least, VkDeviceSize most) {
    VkBufferCreateInfo buffer = testing_buffer(testing_log_uniform(&load->random, least, most),
                                               VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    SxvkAllocationCreateInfo info = {.flags = SXVK_ALLOCATION_CREATE_MOVABLE_BIT,
                                     .memoryTypeBits = 1u << LOCAL,
                                     .pUserData = &load->buffers[i]};
    assert_int_equal(sxvkCreateBuffer(load->rig->allocator, &buffer, &info, &load->buffers[i],
                                      &load->allocations[i], NULL),
                     VK_SUCCESS);
}

static void load_free(Load* load, uint32_t i) {
    sxvkDestroyBuffer(load->rig->allocator, load->buffers[i], load->allocations[i]);
    load->allocations[i] = VK_NULL_HANDLE;
}

/*  So many buffers, of which so many of a hundred stay. */
static Load* load_open(uint64_t seed, uint32_t count, VkDeviceSize least, VkDeviceSize most,
                       VkDeviceSize block, uint32_t keep) {
    RigOptions options = rig_options();
    Load* load = calloc(1, sizeof *load);
    assert_non_null(load);
    options.sim.backing = false;
    options.info.preferredLargeHeapBlockSize = block;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    load->rig = rig_create(&options);
    load->random = seed;
    load->tick.moves = (SxvkMoveInfo){.commandBuffer = sim_command_buffer(load->rig->sim),
                                      .value = 1,
                                      .maxMicroseconds = 1,
                                      .pfnQuery = agree,
                                      .pfnMoved = load_note};
    for (uint32_t i = 0; i < count; i++) {
        load_add(load, i, least, most);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (testing_below(&load->random, 100) >= keep) {
            load_free(load, i);
        }
    }
    return load;
}

static VkResult load_tick(Load* load) {
    uint64_t frees = sim_calls(load->rig->sim, SIM_CALL_FREE_MEMORY);
    uint64_t took;
    VkResult result;
    if (load->tick.moves.value > 2) {
        sxvkCompleteMoves(load->rig->allocator, load->tick.moves.value - 2);
        frees = sim_calls(load->rig->sim, SIM_CALL_FREE_MEMORY);
    }
    took = thread_microseconds();
    result = sxvkDefragmentationTick(load->rig->allocator, &load->tick);
    took = thread_microseconds() - took;
    frees = sim_calls(load->rig->sim, SIM_CALL_FREE_MEMORY) - frees;
    load->longest = took > load->longest ? took : load->longest;
    load->mostFrees = frees > load->mostFrees ? frees : load->mostFrees;
    load->tick.moves.value++;
    assert_true(result == VK_SUCCESS || result == VK_INCOMPLETE);
    return result;
}

static void load_tick_until(Load* load, VkResult wanted) {
    uint32_t ticks = 0;
    while (load_tick(load) != wanted) {
        assert_true(++ticks < 1000000);
    }
}

static void load_close(Load* load) {
    assert_int_equal(sxvkCheckIntegrity(load->rig->allocator), VK_SUCCESS);
    sxvkCompleteMoves(load->rig->allocator, load->tick.moves.value);
    for (uint32_t i = 0; i < LOAD; i++) {
        if (load->allocations[i] != VK_NULL_HANDLE) {
            sxvkDestroyBuffer(load->rig->allocator, load->buffers[i], load->allocations[i]);
        }
    }
    rig_destroy(load->rig);
    free(load);
}

/*  Several hundred blocks, to the end. */
static void load_many_blocks(Load* load) {
    SxvkStatistics stats;
    load_tick_until(load, VK_INCOMPLETE);
    load_tick_until(load, VK_SUCCESS);
    stats = rig_statistics(load->rig);
    assert_true((double)stats.blockBytes <= 1.25 * (double)stats.allocationBytes);
}

/*  The same, until most blocks are frozen, and somebody needs the room. */
static void load_stop(Load* load) {
    uint32_t i;
    load_tick_until(load, VK_INCOMPLETE);
    for (i = 0; i < 600; i++) {
        assert_int_equal(load_tick(load), VK_INCOMPLETE);
    }
    for (i = 0; sxvki_load64(&load->rig->allocator->device.revivals) == 0; i++) {
        assert_true(i < LOAD);
        if (load->allocations[i] == VK_NULL_HANDLE) {
            load_add(load, i, 16 * KIB, 64 * KIB);
        }
    }
    load_tick_until(load, VK_SUCCESS);
    assert_true(load->rig->allocator->movables.tick == NULL);
}

/*  Few blocks, in which a lot lives. */
static void load_many_moves(Load* load) {
    load_tick_until(load, VK_INCOMPLETE);
    load_tick_until(load, VK_SUCCESS);
}

/*  The longest tick of the best of some rounds: others use the machine as well. */
static uint64_t longest_tick(void (*play)(Load* load), VkDeviceSize least, VkDeviceSize most,
                             VkDeviceSize block) {
    uint64_t best = UINT64_MAX;
    for (uint64_t round = 0; round < 8 && best > 100; round++) {
        Load* load = load_open(round, LOAD, least, most, block, 20);
        play(load);
        assert_in_range(load->mostFrees, 0, 1);
        best = load->longest < best ? load->longest : best;
        load_close(load);
    }
    return best;
}

/*  No step is long, whatever there is: a tick is over its budget by one step at most. */
static void test_no_tick_is_long(void** state) {
    uint64_t longest[3];
    (void)state;
    longest[0] = longest_tick(load_many_blocks, 16 * KIB, 64 * KIB, MIB);
    longest[1] = longest_tick(load_stop, 16 * KIB, 64 * KIB, MIB);
    longest[2] = longest_tick(load_many_moves, 256, 4 * KIB, 0);
    print_message("longest ticks: %llu, %llu, %llu us\n", (unsigned long long)longest[0],
                  (unsigned long long)longest[1], (unsigned long long)longest[2]);
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    for (uint32_t i = 0; i < 3; i++) {
        assert_in_range(longest[i], 0, 200);
    }
#endif
}

/*  A few go and others come in each frame, as in any program. It needs room of what a run is about
    to free, more than once, and the run ends as if nothing had happened. */
static void test_ticks_beside_a_trickle(void** state) {
    Load* load = load_open(1, LOAD, 4 * KIB, 256 * KIB, MIB, 40);
    SxvkStatistics stats;
    uint32_t frames = 0, at_rest = 0;
    (void)state;
    load->tick.moves.maxMicroseconds = 10000000; /* bytes end a tick, and not a slow machine */
    load->tick.maxBytes = MIB;
    while (at_rest < 70) {
        for (uint32_t done = 0; done < 4;) {
            uint32_t i = testing_below(&load->random, LOAD);
            if (done % 2 == 0 && load->allocations[i] != VK_NULL_HANDLE) {
                load_free(load, i);
                done++;
            } else if (done % 2 != 0 && load->allocations[i] == VK_NULL_HANDLE) {
                load_add(load, i, 4 * KIB, 256 * KIB);
                done++;
            }
        }
        at_rest = load_tick(load) == VK_SUCCESS ? at_rest + 1 : 0;
        assert_true(++frames < 1000);
    }
    stats = rig_statistics(load->rig);
    assert_true(sxvki_load64(&load->rig->allocator->device.revivals) > 1);
    assert_true((double)stats.blockBytes <= 1.15 * (double)stats.allocationBytes);
    load_close(load);
}

/*  A heap with nothing to move in it is full, and is asked in each frame: that ends no run. */
static void test_ticks_beside_a_full_heap(void** state) {
    Load* load = load_open(1, LOAD / 16, 16 * KIB, 64 * KIB, MIB, 40);
    SxvkAllocator allocator = load->rig->allocator;
    SxvkAllocationCreateInfo bar = {.memoryTypeBits = 1u << 3};
    VkBufferCreateInfo info = testing_buffer(200 * KIB, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
    VkBuffer buffers[64];
    SxvkAllocation allocations[64];
    uint32_t count = 0, frames = 0;
    (void)state;
    load->tick.moves.maxMicroseconds = 10000000;
    load->tick.maxBytes = 256 * KIB;
    assert_int_equal(sxvkSetHeapSizeLimit(allocator, 2, 8 * MIB), VK_SUCCESS);
    info.size = 200; /* another domain, which is looked through, too */
    assert_int_equal(
        sxvkCreateBuffer(allocator, &info, &bar, &buffers[count], &allocations[count], NULL),
        VK_SUCCESS);
    count++;
    info.size = 200 * KIB;
    while (sxvkCreateBuffer(allocator, &info, &bar, &buffers[count], &allocations[count], NULL) ==
           VK_SUCCESS) {
        assert_true(++count < 64);
    }
    load_tick_until(load, VK_INCOMPLETE);
    do {
        assert_int_equal(
            sxvkCreateBuffer(allocator, &info, &bar, &buffers[count], &allocations[count], NULL),
            VK_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_true(++frames < 1000);
    } while (load_tick(load) == VK_INCOMPLETE);
    assert_true(frames > 10);
    while (count != 0) {
        count--;
        sxvkDestroyBuffer(allocator, buffers[count], allocations[count]);
    }
    rig_expect(load->rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, frames + 1);
    assert_int_equal(sxvki_load64(&allocator->device.pinches), 0);
    load_close(load);
}

/*  The heap's budget has no room for another block when a frozen one is needed: the run ends, moves
    nothing more, and another one begins soon. */
static void test_a_tight_heap_ends_ticks(void** state) {
    Load* load = load_open(1, LOAD, 16 * KIB, 64 * KIB, MIB, 40);
    SxvkAllocator allocator = load->rig->allocator;
    SxvkMoveStatistics then, now;
    SxvkStatistics stats;
    uint32_t i;
    (void)state;
    load->tick.moves.maxMicroseconds = 10000000;
    load->tick.maxBytes = MIB;
    load_tick_until(load, VK_INCOMPLETE);
    sim_set_budget(load->rig->sim, 0, rig_statistics(load->rig).blockBytes + MIB / 2, 0);
    sxvkSetCurrentFrameIndex(allocator, 1);
    for (i = 0; sxvki_load64(&allocator->device.revivals) == 0; i++) {
        assert_true(i < LOAD);
        if (load->allocations[i] == VK_NULL_HANDLE) {
            load_add(load, i, 16 * KIB, 64 * KIB);
        }
    }
    sxvkGetMoveStatistics(allocator, &then);
    (void)load_tick(load);
    (void)load_tick(load);
    (void)load_tick(load);
    assert_int_equal(load_tick(load), VK_SUCCESS);
    assert_true(allocator->movables.tick == NULL);
    sxvkGetMoveStatistics(allocator, &now);
    assert_int_equal(now.moveCount, then.moveCount);
    for (i = 0; i < 70 && load_tick(load) == VK_SUCCESS; i++) {
    }
    assert_in_range(i, 50, 65);
    load_tick_until(load, VK_SUCCESS);
    stats = rig_statistics(load->rig);
    assert_true((double)stats.blockBytes <= 1.25 * (double)stats.allocationBytes);
    load_close(load);
}

/*  All blocks that a run is about to free are needed after all: nothing is left to do. */
static void test_ticks_give_way(void** state) {
    Program* p = program_open();
    SxvkDefragmentationTickInfo info = {.moves = p->moves, .maxBytes = 64 * KIB};
    uint32_t ticks = 0;
    (void)state;
    info.moves.maxMicroseconds = 10000000; /* bytes end a tick, and not a slow machine */
    fill(p, &movable_host, 1500, 5);
    do {
        info.moves.value = p->frame;
        assert_true(ticks++ < 100);
    } while (sxvkDefragmentationTick(p->rig->allocator, &info) == VK_SUCCESS);
    for (uint32_t i = 0; i < 600; i++) {
        assert_non_null(add_buffer(p, &movable_host, 20000));
    }
    assert_true(sxvki_load64(&p->rig->allocator->device.revivals) != 0);
    end_frame(p);
    info.moves.value = p->frame;
    assert_int_equal(sxvkDefragmentationTick(p->rig->allocator, &info), VK_SUCCESS);
    assert_true(p->rig->allocator->movables.tick == NULL);
    end_frame(p);
    compare(p);
    program_close(p);
}

static void test_a_block_is_evacuated(void** state) {
    Program* p = program_open();
    SxvkDefragmentationInfo begun = {.flags = SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT};
    SxvkDefragmentationContext context;
    SxvkDefragmentationStats stats;
    SxvkAllocationCreateInfo dedicated = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT,
                                          .memoryTypeBits = 1u << HOST};
    SxvkAllocationInfo first, info;
    uint32_t there = 0;
    Res* lone;
    (void)state;
    fill(p, &movable_host, 600, 2); /* half full: too dear for others */
    sxvkGetAllocationInfo(p->rig->allocator, p->all[300].allocation, &first);
    assert_int_equal(
        sxvkBeginEvacuation(p->rig->allocator, p->all[300].allocation, &begun, &context),
        VK_SUCCESS);
    (void)run(p, context);
    sxvkEndDefragmentation(p->rig->allocator, context, &stats);
    assert_int_equal(stats.deviceMemoryBlocksFreed, 1);
    for (uint32_t i = 0; i < MOST; i++) {
        if (res_lives(&p->all[i])) {
            sxvkGetAllocationInfo(p->rig->allocator, p->all[i].allocation, &info);
            there += info.deviceMemory == first.deviceMemory;
        }
    }
    assert_int_equal(there, 0);
    compare(p);
    lone = add_buffer(p, &dedicated, 5000);
    assert_int_equal(sxvkBeginEvacuation(p->rig->allocator, lone->allocation, &begun, &context),
                     VK_ERROR_FEATURE_NOT_PRESENT);
    rig_expect(p->rig, SXVK_MESSAGE_CONFLICTING_FLAGS, 1);
    program_close(p);
}

/*  Without flags: by sxvkRecordMoves, because the allocation is movable. */
static void test_an_evacuation_without_flags(void** state) {
    Program* p = program_open();
    SxvkDefragmentationInfo info = {0};
    SxvkDefragmentationContext context;
    SxvkDefragmentationStats stats;
    (void)state;
    fill(p, &movable_host, 600, 2);
    assert_int_equal(
        sxvkBeginEvacuation(p->rig->allocator, p->all[300].allocation, &info, &context),
        VK_SUCCESS);
    (void)run(p, context);
    sxvkEndDefragmentation(p->rig->allocator, context, &stats);
    assert_int_equal(stats.deviceMemoryBlocksFreed, 1);
    compare(p);
    program_close(p);
}

/*  A tick never moves what is larger than its budget of bytes. */
static void test_ticks_leave_large_ones(void** state) {
    Program* p = program_open();
    SxvkDefragmentationTickInfo info = {.moves = p->moves, .maxBytes = 64 * KIB};
    uint64_t longest = 0;
    (void)state;
    for (uint32_t i = 0; i < 60; i++) {
        assert_non_null(add_buffer(p, &movable_host, MIB));
    }
    for (uint32_t i = 0; i < 60; i++) {
        if (i % 4 != 0) {
            destroy(p, &p->all[i]);
        }
    }
    (void)tick_until_done(p, &info, &longest);
    assert_int_equal(p->told, 0);
    info.maxBytes = 0;
    info.flags = SXVK_DEFRAGMENTATION_TICK_IDLE_BIT;
    p->rig->allocator->movables.rest = 0;
    (void)tick_until_done(p, &info, &longest);
    assert_true(p->told != 0);
    compare(p);
    program_close(p);
}

/*  What is mapped for ever stays, unless the user says otherwise; and what was freed is told, also
    when that is after the call. */
static void test_room_of_what_is_mapped(void** state) {
    Program* p = program_open();
    SxvkAllocationCreateInfo mapped = movable_host;
    SxvkStatistics before, after;
    SxvkMoveStatistics moved;
    (void)state;
    mapped.flags |= SXVK_ALLOCATION_CREATE_MAPPED_BIT;
    fill(p, &mapped, 600, 5);
    (void)sxvkTrim(p->rig->allocator);
    (void)sxvkMakeRoom(p->rig->allocator, HOST, 4 * MIB, &p->moves);
    end_frame(p);
    assert_int_equal(p->told, 0);
    p->moves.flags = SXVK_MOVE_MAPPED_BIT;
    sxvkGetMoveStatistics(p->rig->allocator, &moved);
    before = rig_statistics(p->rig);
    before.blockBytes += moved.bytesFreed;
    assert_int_equal(sxvkMakeRoom(p->rig->allocator, HOST, 4 * MIB, &p->moves), VK_INCOMPLETE);
    end_frame(p);
    assert_true(p->told != 0);
    after = rig_statistics(p->rig);
    sxvkGetMoveStatistics(p->rig->allocator, &moved);
    assert_true(moved.blocksFreed != 0);
    assert_int_equal(moved.bytesFreed, before.blockBytes - after.blockBytes);
    compare(p);
    program_close(p);
}

static void test_room_is_made(void** state) {
    Program* p = program_open();
    SxvkStatistics before, after;
    (void)state;
    fill(p, &movable_host, 1500, 5);
    before = rig_statistics(p->rig);
    /* On the device: later. */
    assert_int_equal(sxvkMakeRoom(p->rig->allocator, HOST, 4 * MIB, &p->moves), VK_INCOMPLETE);
    end_frame(p);
    after = rig_statistics(p->rig);
    assert_true(before.blockBytes - after.blockBytes >= 4 * MIB);
    compare(p);
    /* More than there is. */
    assert_int_equal(sxvkMakeRoom(p->rig->allocator, HOST, 400 * MIB, &p->moves),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    end_frame(p);
    compare(p);
    program_close(p);
    /* By the CPU: at once. */
    p = program_open();
    p->moves.flags = SXVK_MOVE_CPU_COPY_BIT;
    p->moves.commandBuffer = VK_NULL_HANDLE;
    for (uint32_t i = 0; i < 900; i++) {
        Res* res = add_buffer(p, &movable_host, testing_log_uniform(&p->seeds, 64, 96 * KIB));
        assert_non_null(res);
        res->isIdle = true;
    }
    for (uint32_t i = 0; i < 900; i++) {
        if (i % 5 != 0) {
            destroy(p, &p->all[i]);
        }
    }
    before = rig_statistics(p->rig);
    assert_int_equal(sxvkMakeRoom(p->rig->allocator, HOST, 4 * MIB, &p->moves), VK_SUCCESS);
    after = rig_statistics(p->rig);
    assert_true(before.blockBytes - after.blockBytes >= 4 * MIB);
    compare(p);
    program_close(p);
}

/*  A run of ticks has the blocks that are cheapest to empty: it gives way. */
static void test_room_is_made_beside_ticks(void** state) {
    Program* p = program_open();
    SxvkDefragmentationTickInfo info = {.moves = p->moves, .maxBytes = 64 * KIB};
    SxvkStatistics before, after;
    uint32_t ticks = 0;
    (void)state;
    info.moves.maxMicroseconds = 10000000;
    fill(p, &movable_host, 1500, 5);
    do {
        info.moves.value = p->frame;
        assert_true(ticks++ < 100);
    } while (sxvkDefragmentationTick(p->rig->allocator, &info) == VK_SUCCESS);
    end_frame(p);
    assert_non_null(p->rig->allocator->movables.tick);
    before = rig_statistics(p->rig);
    assert_int_equal(sxvkMakeRoom(p->rig->allocator, HOST, 4 * MIB, &p->moves), VK_INCOMPLETE);
    assert_null(p->rig->allocator->movables.tick);
    end_frame(p);
    after = rig_statistics(p->rig);
    assert_true(before.blockBytes - after.blockBytes >= 4 * MIB);
    compare(p);
    program_close(p);
}

/* ------------------------------------------------------------------ what its user says counts */

/*  Behind a move an image is in the layout that was asked for: the device complains of a barrier
    that says anything else. */
static void test_layouts_change(void** state) {
    Program* p = program_open();
    VkImageMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER};
    uint32_t moved = 0;
    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        VkImageCreateInfo image = testing_image(64, 64, VK_IMAGE_TILING_OPTIMAL);
        assert_non_null(add_image(p, &movable_host, &image));
        p->all[i].nextLayout = i % 2 == 0 ? VK_IMAGE_LAYOUT_GENERAL : VK_IMAGE_LAYOUT_UNDEFINED;
    }
    for (uint32_t i = 0; i < 300; i++) {
        if (i % 7 > 1) {
            destroy(p, &p->all[i]);
        }
    }
    (void)defragment(p, ALL);
    for (uint32_t i = 0; i < 300; i++) {
        const Res* res = &p->all[i];
        if (res_lives(res) && res->moves != 0) {
            barrier.oldLayout = res->layout;
            barrier.newLayout = VK_IMAGE_LAYOUT_GENERAL;
            barrier.image = res->image;
            barrier.subresourceRange =
                (VkImageSubresourceRange){VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
            p->rig->allocator->device.vk.fn.vkCmdPipelineBarrier(
                p->moves.commandBuffer, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
            moved += res->layout == VK_IMAGE_LAYOUT_GENERAL;
        }
    }
    assert_true(moved > 5);
    assert_int_equal(sim_errors(p->rig->sim), 0);
    compare(p);
    program_close(p);
}

static VkBool32 VKAPI_PTR always(void* data) {
    (*(uint32_t*)data)++;
    return VK_TRUE;
}

/*  A call ends when the callback or the clock says so. */
static void test_calls_end(void** state) {
    uint32_t calls[3], asked = 0;
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        Program* p = program_open();
        SxvkDefragmentationInfo info = {.flags = ALL | SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT};
        SxvkDefragmentationContext context;
        fill(p, &movable_host, 300, 5);
        info.pfnBreakCallback = i == 1 ? always : NULL;
        info.pBreakCallbackUserData = &asked;
        p->moves.maxMicroseconds = i == 2 ? 1 : 0;
        assert_int_equal(sxvkBeginDefragmentation(p->rig->allocator, &info, &context), VK_SUCCESS);
        calls[i] = run(p, context);
        sxvkEndDefragmentation(p->rig->allocator, context, NULL);
        compare(p);
        program_close(p);
    }
    assert_true(calls[0] < 10 && calls[1] > 5 * calls[0] + 20 && calls[2] > 5 * calls[0] + 20);
    assert_true(asked >= calls[1]);
}

/*  Does a run begin within as many ticks as it takes at most? */
static bool load_begins(Load* load, float share, SxvkDefragmentationTickFlags flags) {
    load->tick.wasteShare = share;
    load->tick.flags = flags;
    for (uint32_t i = 0; i < 80; i++) {
        if (load_tick(load) == VK_INCOMPLETE) {
            return true;
        }
    }
    return false;
}

/*  Three fifths are not used: that begins a run where less is the limit, or half the limit and
    there is time, or a heap is over its budget. */
static void test_when_ticks_begin(void** state) {
    for (uint32_t i = 0; i < 4; i++) {
        Load* load = load_open(1, LOAD / 4, 16 * KIB, 64 * KIB, MIB, 40);
        (void)state;
        assert_false(load_begins(load, 0.9f, 0));
        switch (i) {
        case 0: assert_true(load_begins(load, 0.5f, 0)); break;
        case 1: assert_true(load_begins(load, 0.9f, SXVK_DEFRAGMENTATION_TICK_IDLE_BIT)); break;
        case 2: assert_true(load_begins(load, 0, 0)); break;
        default:
            sim_set_budget(load->rig->sim, 0, rig_statistics(load->rig).blockBytes / 2, 0);
            sxvkSetCurrentFrameIndex(load->rig->allocator, 1);
            assert_true(load_begins(load, 0.9f, 0));
        }
        load_close(load);
    }
}

/*  What is mapped moves by ticks where their flag says so. */
static void test_ticks_of_what_is_mapped(void** state) {
    Program* p = program_open();
    SxvkDefragmentationTickInfo info = {.moves = p->moves};
    SxvkAllocationCreateInfo mapped = movable_host;
    uint64_t longest = 0;
    (void)state;
    mapped.flags |= SXVK_ALLOCATION_CREATE_MAPPED_BIT;
    fill(p, &mapped, 600, 5);
    (void)tick_until_done(p, &info, &longest);
    assert_int_equal(p->told, 0);
    p->rig->allocator->movables.rest = 0;
    info.flags = SXVK_DEFRAGMENTATION_TICK_MOVE_MAPPED_BIT;
    (void)tick_until_done(p, &info, &longest);
    assert_true(p->told != 0);
    compare(p);
    program_close(p);
}

/*  Room in one heap is not made in another one, and makes no blocks. */
static void test_room_in_its_heap(void** state) {
    Program* p = program_open();
    uint64_t made;
    (void)state;
    fill(p, &movable_host, 600, 5);
    assert_int_equal(sxvkMakeRoom(p->rig->allocator, LOCAL, 4 * MIB, &p->moves),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    end_frame(p);
    assert_int_equal(p->told, 0);
    made = sim_calls(p->rig->sim, SIM_CALL_ALLOCATE_MEMORY);
    assert_int_equal(sxvkMakeRoom(p->rig->allocator, HOST, 400 * MIB, &p->moves),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    end_frame(p);
    assert_true(p->told != 0);
    assert_int_equal(sim_calls(p->rig->sim, SIM_CALL_ALLOCATE_MEMORY), made);
    compare(p);
    program_close(p);
}

/*  What the CPU copies in memory that is not coherent is flushed. */
static void test_copies_are_flushed(void** state) {
    SimProfile profile = sim_profile_discrete();
    RigOptions options = rig_options();
    SxvkDefragmentationStats stats;
    uint64_t flushed, invalidated;
    Program* p;
    (void)state;
    profile.memory.memoryTypes[HOST].propertyFlags &=
        ~(VkFlags)VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    options.profile = &profile;
    p = program_open_with(&options);
    fill(p, &movable_host, 300, 5);
    for (uint32_t i = 0; i < MOST; i++) {
        p->all[i].isIdle = true;
    }
    p->moves.flags = SXVK_MOVE_CPU_COPY_BIT;
    p->moves.commandBuffer = VK_NULL_HANDLE;
    flushed = sim_calls(p->rig->sim, SIM_CALL_FLUSH_MAPPED_MEMORY_RANGES);
    invalidated = sim_calls(p->rig->sim, SIM_CALL_INVALIDATE_MAPPED_MEMORY_RANGES);
    stats = defragment(p, ALL);
    assert_true(stats.allocationsMoved != 0);
    assert_true(sim_calls(p->rig->sim, SIM_CALL_FLUSH_MAPPED_MEMORY_RANGES) >=
                flushed + stats.allocationsMoved);
    assert_true(sim_calls(p->rig->sim, SIM_CALL_INVALIDATE_MAPPED_MEMORY_RANGES) >=
                invalidated + stats.allocationsMoved);
    compare(p);
    program_close(p);
}

/*  A driver that asks for more than before, for the same resource. */
static void wants_more(void* data, const VkBufferCreateInfo* buffer, const VkImageCreateInfo* image,
                       SimRequirements* needs) {
    uint32_t what = *(uint32_t*)data;
    anywhere(NULL, buffer, image, needs);
    if (what == 0) {
        needs->memory.size += 64 * KIB;
    } else if (what == 1) {
        needs->memory.alignment = MIB;
    } else {
        needs->memory.memoryTypeBits = 1u << LOCAL;
    }
}

/*  What was made again does not fit: it stays where it was, as it was. */
static void test_what_does_not_fit(void** state) {
    (void)state;
    for (uint32_t what = 0; what < 3; what++) {
        Program* p = program_open();
        SxvkDefragmentationContext context;
        SxvkMoveStatistics stats;
        fill(p, &movable_host, 300, 5);
        sim_set_requirements(p->rig->sim, wants_more, &what);
        context = begin(p, ALL);
        for (VkResult result = VK_INCOMPLETE; result != VK_SUCCESS;) {
            result = sxvkRecordMoves(p->rig->allocator, context, &p->moves);
            assert_true(result == VK_SUCCESS || result == VK_INCOMPLETE || result == VK_NOT_READY ||
                        result == VK_ERROR_FEATURE_NOT_PRESENT);
            end_frame(p);
        }
        sxvkEndDefragmentation(p->rig->allocator, context, NULL);
        messages_clear(&p->rig->messages);
        sxvkGetMoveStatistics(p->rig->allocator, &stats);
        assert_true(stats.refusedCount != 0);
        assert_int_equal(sim_errors(p->rig->sim), 0);
        compare(p);
        program_close(p);
    }
}

/* ------------------------------------------------------------------ threads */

enum { WORKERS = 3, OWN = 120 };

/*  What a thread holds; handles change under it, as the callback says. */
typedef struct Worker {
    Rig* rig;
    const uint32_t* moved; /* atomic; of all */
    uint64_t random;
    pthread_mutex_t mutex; /* guards `buffers`, not the calls */
    VkBuffer buffers[OWN];
    SxvkAllocation allocations[OWN];
} Worker;

typedef struct Workers {
    Worker all[WORKERS];
    uint32_t moved; /* atomic */
    bool ends;      /* atomic */
} Workers;

static VkBool32 VKAPI_PTR yes(void* data, const SxvkMovableResource* r, SxvkMoveUsage* usage) {
    (void)data;
    usage->isIdle = ((uintptr_t)r->allocation >> 3) % 2 == 0;
    return VK_TRUE;
}

static void VKAPI_PTR tell_worker(void* data, const SxvkMovableResource* before,
                                  const SxvkMovableResource* after) {
    Workers* workers = data;
    for (uint32_t w = 0; w < WORKERS; w++) {
        Worker* worker = &workers->all[w];
        (void)pthread_mutex_lock(&worker->mutex);
        for (uint32_t i = 0; i < OWN; i++) {
            if (worker->allocations[i] == after->allocation &&
                worker->buffers[i] == before->buffer) {
                worker->buffers[i] = after->buffer;
            }
        }
        (void)pthread_mutex_unlock(&worker->mutex);
    }
    (void)__atomic_add_fetch(&workers->moved, 1, __ATOMIC_RELAXED);
}

static void* work(void* data) {
    Worker* worker = data;
    bool has_moved = false; /* something, anywhere */
    for (uint32_t step = 0; step < 6000 || (!has_moved && step < 6000000); step++) {
        uint32_t i = testing_below(&worker->random, OWN);
        VkBuffer buffer;
        SxvkAllocation allocation;
        void* mapped;
        has_moved = __atomic_load_n(worker->moved, __ATOMIC_RELAXED) != 0;
        (void)pthread_mutex_lock(&worker->mutex);
        buffer = worker->buffers[i];
        allocation = worker->allocations[i];
        worker->buffers[i] = VK_NULL_HANDLE;
        worker->allocations[i] = VK_NULL_HANDLE;
        (void)pthread_mutex_unlock(&worker->mutex);
        if (buffer != VK_NULL_HANDLE) { /* it may be moved right now: its last handle is found */
            if (step % 4 == 0 &&
                sxvkMapMemory(worker->rig->allocator, allocation, &mapped) == VK_SUCCESS) {
                sxvkUnmapMemory(worker->rig->allocator, allocation);
            }
            sxvkDestroyBuffer(worker->rig->allocator, buffer, allocation);
        } else {
            VkDeviceSize size = testing_log_uniform(&worker->random, 64, 64 * KIB);
            VkBufferCreateInfo info = testing_buffer(size, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
            if (sxvkCreateBuffer(worker->rig->allocator, &info, &movable_host, &buffer, &allocation,
                                 NULL) == VK_SUCCESS) {
                (void)pthread_mutex_lock(&worker->mutex);
                worker->buffers[i] = buffer;
                worker->allocations[i] = allocation;
                (void)pthread_mutex_unlock(&worker->mutex);
            }
        }
    }
    return NULL;
}

static void* keep_moving(void* data) {
    Program* p = data;
    Workers* workers = p->moves.pUserData;
    while (!__atomic_load_n(&workers->ends, __ATOMIC_ACQUIRE)) {
        SxvkDefragmentationInfo info = {.flags = FULL | SXVK_DEFRAGMENTATION_FLAG_MOVABLES_ONLY_BIT,
                                        .maxBytesPerPass = MIB};
        SxvkDefragmentationContext context;
        VkResult result = VK_INCOMPLETE;
        assert_int_equal(sxvkBeginDefragmentation(p->rig->allocator, &info, &context), VK_SUCCESS);
        for (uint32_t calls = 0; calls < 50 && result != VK_SUCCESS; calls++) {
            result = sxvkRecordMoves(p->rig->allocator, context, &p->moves);
            assert_true(result >= 0);
            sim_execute_copies(p->rig->sim);
            sxvkCompleteMoves(p->rig->allocator, p->frame);
            p->moves.value = ++p->frame;
        }
        sxvkEndDefragmentation(p->rig->allocator, context, NULL);
    }
    return NULL;
}

#define OTHERS 60000u

/*  Small ones, slots of slabs, are in flight; their blocks are needed after all, and then not; and
    another run comes by. What the device still copies from is nobody else's until it has. */
static void test_slots_in_flight(void** state) {
    Program* p = program_open();
    SxvkAllocator allocator = p->rig->allocator;
    const SxvkAllocationCreateInfo plain = {.memoryTypeBits = 1u << HOST};
    const VkMemoryRequirements large = testing_requirements(255 * KIB, 64, 1u << HOST);
    const uint64_t* revivals = &allocator->device.revivals;
    SxvkDefragmentationContext first, second;
    SxvkAllocation ballast[256];
    const VkBufferCreateInfo small = testing_buffer(512, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    static VkBuffer buffers[OTHERS];
    static SxvkAllocation allocations[OTHERS];
    uint32_t away = 0, others = 0;
    (void)state;
    for (uint32_t i = 0; i < 256; i++) { /* so that there are slabs, and no room elsewhere */
        assert_int_equal(sxvkAllocateMemory(allocator, &large, &plain, &ballast[i], NULL),
                         VK_SUCCESS);
    }
    for (uint32_t i = 0; i < 16000; i++) {
        assert_non_null(add_buffer(p, &movable_host, 512));
    }
    for (uint32_t i = 0; i < 16000; i++) {
        if (i % 6 != 0) {
            destroy(p, &p->all[i]);
        }
    }
    first = begin(p, ALL);
    while (sxvkRecordMoves(allocator, first, &p->moves) == VK_INCOMPLETE) {
    }
    for (uint32_t i = 0; i < MOST; i++) {
        uint32_t index = sxvki_allocation_index(p->all[i].allocation);
        away += res_lives(&p->all[i]) && (index & SXVKI_HANDLE_SLAB_BIT) != 0 &&
                sxvki_slot_is_away(&allocator->device, index);
    }
    assert_true(away > 50);
    for (; others < OTHERS && sxvki_load64(revivals) < 12; others++) {
        assert_int_equal(sxvkCreateBuffer(allocator, &small, &plain, &buffers[others],
                                          &allocations[others], NULL),
                         VK_SUCCESS);
    }
    assert_true(sxvki_load64(revivals) != 0);
    sxvkDestroyBuffers(allocator, others, buffers, allocations);
    second = begin(p, ALL);
    while (sxvkRecordMoves(allocator, second, &p->moves) == VK_INCOMPLETE) {
    }
    for (others = 0; others < 20000; others++) { /* the simulated device tells of overlaps */
        assert_int_equal(sxvkCreateBuffer(allocator, &small, &plain, &buffers[others],
                                          &allocations[others], NULL),
                         VK_SUCCESS);
    }
    end_frame(p);
    compare(p);
    sxvkDestroyBuffers(allocator, others, buffers, allocations);
    (void)run(p, second);
    sxvkEndDefragmentation(allocator, first, NULL);
    sxvkEndDefragmentation(allocator, second, NULL);
    compare(p);
    sxvkFreeMemoryPages(allocator, 256, ballast);
    program_close(p);
}

/*  Others begin and end runs while a pool with one goes. */
static void* begin_and_end(void* data) {
    Program* p = data;
    const SxvkDefragmentationInfo info = {0};
    SxvkDefragmentationContext context;
    for (uint32_t i = 0; i < 300; i++) {
        assert_int_equal(sxvkBeginDefragmentation(p->rig->allocator, &info, &context), VK_SUCCESS);
        sxvkEndDefragmentation(p->rig->allocator, context, NULL);
    }
    return NULL;
}

static void test_pools_go_beside_runs(void** state) {
    Program* p = program_open();
    const SxvkPoolCreateInfo info = {.memoryTypeIndex = HOST};
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, begin_and_end, p), 0);
    for (uint32_t i = 0; i < 300; i++) {
        SxvkDefragmentationInfo run = {0};
        SxvkDefragmentationContext context;
        assert_int_equal(sxvkCreatePool(p->rig->allocator, &info, &run.pool), VK_SUCCESS);
        assert_int_equal(sxvkBeginDefragmentation(p->rig->allocator, &run, &context), VK_SUCCESS);
        sxvkDestroyPool(p->rig->allocator, run.pool);
        sxvkEndDefragmentation(p->rig->allocator, context, NULL);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    program_close(p);
}

/*  Others make, map and destroy what is moved. */
static void test_threads(void** state) {
    static Workers workers;
    Program* p = program_open();
    pthread_t threads[WORKERS], mover;
    (void)state;
    p->moves.pfnQuery = yes;
    p->moves.pfnMoved = tell_worker;
    p->moves.pUserData = &workers;
    p->moves.flags = SXVK_MOVE_CPU_COPY_BIT;
    for (uint32_t w = 0; w < WORKERS; w++) {
        workers.all[w].rig = p->rig;
        workers.all[w].moved = &workers.moved;
        workers.all[w].random = w;
        assert_int_equal(pthread_mutex_init(&workers.all[w].mutex, NULL), 0);
    }
    assert_int_equal(pthread_create(&mover, NULL, keep_moving, p), 0);
    for (uint32_t w = 0; w < WORKERS; w++) {
        assert_int_equal(pthread_create(&threads[w], NULL, work, &workers.all[w]), 0);
    }
    for (uint32_t w = 0; w < WORKERS; w++) {
        assert_int_equal(pthread_join(threads[w], NULL), 0);
    }
    __atomic_store_n(&workers.ends, true, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(mover, NULL), 0);
    assert_true(workers.moved != 0);
    for (uint32_t w = 0; w < WORKERS; w++) {
        for (uint32_t i = 0; i < OWN; i++) {
            sxvkDestroyBuffer(p->rig->allocator, workers.all[w].buffers[i],
                              workers.all[w].allocations[i]);
        }
        (void)pthread_mutex_destroy(&workers.all[w].mutex);
    }
    assert_int_equal(sim_errors(p->rig->sim), 0);
    rig_check(p->rig);
    program_close(p);
}

/*  They ask about what is moved, and make and free memory of another type. */
typedef struct Asker {
    Program* p;
    uint64_t asked; /* atomic, as is the next */
    bool ends;
    uint32_t wrong;
} Asker;

static void* ask(void* data) {
    Asker* asker = data;
    SxvkAllocator allocator = asker->p->rig->allocator;
    VkMemoryRequirements needs = testing_requirements(1000, 64, 1u << 2);
    SxvkAllocationCreateInfo dedicated = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT,
                                          .memoryTypeBits = 1u << 2};
    while (!__atomic_load_n(&asker->ends, __ATOMIC_ACQUIRE)) {
        SxvkAllocation other = VK_NULL_HANDLE;
        assert_int_equal(sxvkAllocateMemory(allocator, &needs, &dedicated, &other, NULL),
                         VK_SUCCESS);
        for (uint32_t i = 0; i < 600; i += 5) {
            Res* res = &asker->p->all[i];
            SxvkAllocationInfo2 info;
            VkMemoryPropertyFlags flags;
            sxvkGetAllocationInfo2(allocator, res->allocation, &info);
            asker->wrong += info.allocationInfo.memoryType != HOST ||
                            info.allocationInfo.deviceMemory == VK_NULL_HANDLE ||
                            info.dedicatedMemory || info.blockSize < info.allocationInfo.size;
            sxvkGetAllocationMemoryProperties(allocator, res->allocation, &flags);
            asker->wrong += (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) == 0;
            (void)sxvkSetAllocationUserData(allocator, res->allocation, res);
        }
        sxvkFreeMemory(allocator, other);
        __atomic_add_fetch(&asker->asked, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/*  The answers are all old or all new, though blocks go, and others take their entries. */
static void test_asked_while_it_moves(void** state) {
    Program* p = program_open();
    Asker askers[2] = {{.p = p}, {.p = p}};
    pthread_t threads[2];
    uint32_t moved = 0;
    (void)state;
    for (uint32_t i = 0; i < 600; i++) {
        assert_non_null(add_buffer(p, &movable_host, 30000));
    }
    for (uint32_t i = 0; i < 600; i++) {
        if (i % 5 != 0) {
            destroy(p, &p->all[i]);
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
    }
    while (__atomic_load_n(&askers[0].asked, __ATOMIC_ACQUIRE) == 0 ||
           __atomic_load_n(&askers[1].asked, __ATOMIC_ACQUIRE) == 0) {
    }
    for (uint32_t round = 0; round < 20; round++) {
        SxvkAllocation spread[200];
        VkBuffer buffers[200];
        VkBufferCreateInfo info = testing_buffer(30000, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        for (uint32_t i = 0; i < 200; i++) { /* others, which go: there are holes again */
            assert_int_equal(sxvkCreateBuffer(p->rig->allocator, &info, &movable_host, &buffers[i],
                                              &spread[i], NULL),
                             VK_SUCCESS);
        }
        for (uint32_t i = 0; i < 200; i++) {
            sxvkDestroyBuffer(p->rig->allocator, buffers[i], spread[i]);
        }
        moved += defragment(p, ALL).allocationsMoved;
    }
    for (uint32_t i = 0; i < 2; i++) {
        __atomic_store_n(&askers[i].ends, true, __ATOMIC_RELEASE);
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(askers[i].wrong, 0);
    }
    assert_true(moved != 0);
    compare(p);
    program_close(p);
}

static SxvkDefragmentationContext misused;

static VkBool32 VKAPI_PTR misuse(void* data, const SxvkMovableResource* r, SxvkMoveUsage* usage) {
    Program* p = data;
    usage->oldLayout = ((Res*)r->pUserData)->layout;
    if (p->asked++ == 0) {
        sxvkEndDefragmentation(p->rig->allocator, misused, NULL);
        assert_int_equal(sxvkRecordMoves(p->rig->allocator, misused, &p->moves),
                         VK_ERROR_VALIDATION_FAILED_EXT);
    }
    return VK_TRUE;
}

/*  A context in a callback of its own, and one that was ended while its moves are under way. */
static void test_contexts_at_the_wrong_time(void** state) {
    Program* p = program_open();
    SxvkAllocator allocator = p->rig->allocator;
    (void)state;
    fill(p, &movable_host, 300, 4);
    misused = begin(p, ALL);
    p->moves.pfnQuery = misuse;
    assert_int_equal(sxvkRecordMoves(allocator, misused, &p->moves), VK_INCOMPLETE);
    rig_expect(p->rig, SXVK_MESSAGE_BAD_STRUCT, 2);
    sxvkEndDefragmentation(allocator, misused, NULL);
    sxvkEndDefragmentation(allocator, misused, NULL);
    assert_int_equal(sxvkRecordMoves(allocator, misused, &p->moves),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(p->rig, SXVK_MESSAGE_BAD_STRUCT, 2);
    end_frame(p);
    compare(p);
    while (p->rig->allocator->first_context != NULL) { /* its moves have landed: it is freed */
        end_frame(p);
    }
    sxvkEndDefragmentation(allocator, misused, NULL);
    rig_expect(p->rig, SXVK_MESSAGE_BAD_STRUCT, 1);
    program_close(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_moves),
        cmocka_unit_test(test_flights_overlap),
        cmocka_unit_test(test_pinned_while_it_is_made),
        cmocka_unit_test(test_others_stay),
        cmocka_unit_test(test_a_move_is_refused),
        cmocka_unit_test(test_another_family_owns_it),
        cmocka_unit_test(test_destroyed_in_flight),
        cmocka_unit_test(test_destroyed_by_callbacks),
        cmocka_unit_test(test_destroyed_by_its_old_handle),
        cmocka_unit_test(test_owners_end_in_flight),
        cmocka_unit_test(test_the_cpu_copies),
        cmocka_unit_test(test_the_cpu_has_no_time),
        cmocka_unit_test(test_names_move),
        cmocka_unit_test(test_infos_are_kept),
        cmocka_unit_test(test_what_cannot_be_movable),
        cmocka_unit_test(test_nothing_else_is_bound),
        cmocka_unit_test(test_formats_of_one_plane),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_the_driver_fails_once),
        cmocka_unit_test(test_the_driver_fails),
        cmocka_unit_test(test_the_host_fails_once),
        cmocka_unit_test(test_the_host_fails),
        cmocka_unit_test(test_creation_fails),
        cmocka_unit_test(test_entries_go),
        cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_no_tick_is_long),
        cmocka_unit_test(test_ticks_beside_a_trickle),
        cmocka_unit_test(test_ticks_beside_a_full_heap),
        cmocka_unit_test(test_a_tight_heap_ends_ticks),
        cmocka_unit_test(test_ticks_give_way),
        cmocka_unit_test(test_a_block_is_evacuated),
        cmocka_unit_test(test_room_is_made),
        cmocka_unit_test(test_room_is_made_beside_ticks),
        cmocka_unit_test(test_an_evacuation_without_flags),
        cmocka_unit_test(test_ticks_leave_large_ones),
        cmocka_unit_test(test_room_of_what_is_mapped),
        cmocka_unit_test(test_layouts_change),
        cmocka_unit_test(test_calls_end),
        cmocka_unit_test(test_when_ticks_begin),
        cmocka_unit_test(test_ticks_of_what_is_mapped),
        cmocka_unit_test(test_room_in_its_heap),
        cmocka_unit_test(test_copies_are_flushed),
        cmocka_unit_test(test_what_does_not_fit),
        cmocka_unit_test(test_slots_in_flight),
        cmocka_unit_test(test_pools_go_beside_runs),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_contexts_at_the_wrong_time),
        cmocka_unit_test(test_asked_while_it_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
