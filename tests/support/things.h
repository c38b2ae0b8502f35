/*  things.h - buffers with contents, and a program that moves them as a defragmentation asks.

        Things things;
        things_open(&things, rig, 1000);
        Thing* thing = things_add(&things, &info, size);       a buffer full of a pattern of its own
        things_run(&things, context, NULL)                     all passes, every move copied
        things_compare(&things);                               every byte of every thing
        things_close(&things);

    The rig wants SimOptions.backing. The calling file includes the implementation first.
*/
#ifndef THINGS_H
#define THINGS_H

#include <stdlib.h>
#include <string.h>

#include "testing.h"

typedef struct Thing {
    VkBuffer buffer; /* null: there is none */
    SxvkAllocation allocation;
    VkDeviceSize size;
    uint64_t seed;
} Thing;

typedef struct Things {
    Rig* rig;
    Thing* all;
    uint32_t count; /* places in `all`; a thing's place is its user data, plus 1 */
    uint64_t seeds;
    uint64_t moved; /* bytes */
} Things;

#define THINGS_CHECK(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            TESTING_FAIL(__FILE__, __LINE__);                                                      \
        }                                                                                          \
    } while (0)

static inline void things_open(Things* things, Rig* rig, uint32_t count) {
    memset(things, 0, sizeof *things);
    things->rig = rig;
    things->count = count;
    things->all = (Thing*)calloc(count, sizeof *things->all);
    THINGS_CHECK(things->all != NULL);
}

static inline unsigned char things_byte(uint64_t seed, VkDeviceSize i) {
    return (unsigned char)((seed + i / 8 * 0x9E3779B97F4A7C15u) >> (24 + i % 8));
}

/*  Write the pattern of a thing, or compare with it. */
static inline void thing_fill(Things* things, const Thing* thing, int compare) {
    unsigned char* bytes = (unsigned char*)malloc((size_t)thing->size);
    VkDeviceSize i;
    THINGS_CHECK(bytes != NULL);
    if (compare) {
        THINGS_CHECK(sxvkCopyAllocationToMemory(things->rig->allocator, thing->allocation, 0, bytes,
                                                thing->size) == VK_SUCCESS);
        for (i = 0; i < thing->size; i++) {
            THINGS_CHECK(bytes[i] == things_byte(thing->seed, i));
        }
    } else {
        for (i = 0; i < thing->size; i++) {
            bytes[i] = things_byte(thing->seed, i);
        }
        THINGS_CHECK(sxvkCopyMemoryToAllocation(things->rig->allocator, bytes, thing->allocation, 0,
                                                thing->size) == VK_SUCCESS);
    }
    free(bytes);
}

#define THINGS_USAGE                                                                               \
    (VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT |                         \
     VK_BUFFER_USAGE_STORAGE_BUFFER_BIT)

/*  A new thing in a free place; null where there is no memory. */
static inline Thing* things_add(Things* things, const SxvkAllocationCreateInfo* info,
                                VkDeviceSize size) {
    SxvkAllocationCreateInfo with = *info;
    VkBufferCreateInfo buffer = testing_buffer(size, THINGS_USAGE);
    uint32_t i = 0;
    Thing* thing;
    while (things->all[i].buffer != VK_NULL_HANDLE) {
        THINGS_CHECK(++i < things->count);
    }
    thing = &things->all[i];
    with.pUserData = (void*)((uintptr_t)i + 1);
    thing->size = size;
    thing->seed = testing_random(&things->seeds);
    if (sxvkCreateBuffer(things->rig->allocator, &buffer, &with, &thing->buffer, &thing->allocation,
                         NULL) != VK_SUCCESS) {
        thing->buffer = VK_NULL_HANDLE;
        return NULL;
    }
    thing_fill(things, thing, 0);
    return thing;
}

static inline void things_remove(Things* things, Thing* thing) {
    sxvkDestroyBuffer(things->rig->allocator, thing->buffer, thing->allocation);
    memset(thing, 0, sizeof *thing);
}

static inline Thing* things_of(Things* things, SxvkAllocation allocation) {
    SxvkAllocationInfo info;
    sxvkGetAllocationInfo(things->rig->allocator, allocation, &info);
    return info.pUserData != NULL ? &things->all[(uintptr_t)info.pUserData - 1] : NULL;
}

static inline void things_compare(Things* things) {
    uint32_t i;
    for (i = 0; i < things->count; i++) {
        Thing* thing = &things->all[i];
        if (thing->buffer != VK_NULL_HANDLE) {
            SxvkAllocationInfo info;
            VkDeviceMemory memory;
            VkDeviceSize offset;
            thing_fill(things, thing, 1);
            sxvkGetAllocationInfo(things->rig->allocator, thing->allocation, &info);
            THINGS_CHECK(info.pUserData == (void*)((uintptr_t)i + 1));
            THINGS_CHECK(info.size >= thing->size); /* the driver may want more */
            THINGS_CHECK(sim_buffer_binding(things->rig->sim, thing->buffer, &memory, &offset));
            THINGS_CHECK(memory == info.deviceMemory && offset == info.offset);
        }
    }
}

/*  What a program does about one move: a new buffer there, a copy, and the old buffer goes. */
static inline void things_move(Things* things, const SxvkDefragmentationMove* move) {
    Rig* rig = things->rig;
    const SxvkVulkanFunctions* fn = &rig->allocator->device.vk.fn;
    const VkAllocationCallbacks* driver = rig->allocator->device.host.driver_callbacks;
    Thing* thing = things_of(things, move->srcAllocation);
    VkBufferCreateInfo info;
    VkBufferCopy region = {0, 0, 0};
    VkBuffer moved = VK_NULL_HANDLE;
    THINGS_CHECK(thing != NULL && thing->allocation == move->srcAllocation);
    info = testing_buffer(thing->size, THINGS_USAGE);
    region.size = thing->size;
    THINGS_CHECK(fn->vkCreateBuffer(sim_device(rig->sim), &info, driver, &moved) == VK_SUCCESS);
    THINGS_CHECK(sxvkBindBufferMemory(rig->allocator, move->dstTmpAllocation, moved) == VK_SUCCESS);
    fn->vkCmdCopyBuffer(sim_command_buffer(rig->sim), thing->buffer, moved, 1, &region);
    fn->vkDestroyBuffer(sim_device(rig->sim), thing->buffer, driver);
    thing->buffer = moved;
    things->moved += thing->size;
}

/*  All passes of a run that was begun, every move copied; returns their number. */
static inline uint32_t things_run(Things* things, SxvkDefragmentationContext context) {
    SxvkDefragmentationPassMoveInfo pass;
    uint32_t i, passes = 0;
    for (;;) {
        VkResult result = sxvkBeginDefragmentationPass(things->rig->allocator, context, &pass);
        THINGS_CHECK(result == VK_SUCCESS || result == VK_INCOMPLETE);
        if (result == VK_SUCCESS) {
            THINGS_CHECK(pass.moveCount == 0);
            return passes;
        }
        for (i = 0; i < pass.moveCount; i++) {
            things_move(things, &pass.pMoves[i]);
        }
        THINGS_CHECK(sxvkCheckIntegrity(things->rig->allocator) == VK_SUCCESS);
        result = sxvkEndDefragmentationPass(things->rig->allocator, context, &pass);
        THINGS_CHECK(result == VK_SUCCESS || result == VK_INCOMPLETE);
        THINGS_CHECK(sxvkCheckIntegrity(things->rig->allocator) == VK_SUCCESS);
        THINGS_CHECK(++passes < 100000);
    }
}

/*  Begin, run, end. */
static inline SxvkDefragmentationStats things_defragment(Things* things,
                                                         const SxvkDefragmentationInfo* info) {
    SxvkDefragmentationContext context = NULL;
    SxvkDefragmentationStats stats;
    THINGS_CHECK(sxvkBeginDefragmentation(things->rig->allocator, info, &context) == VK_SUCCESS);
    (void)things_run(things, context);
    sxvkEndDefragmentation(things->rig->allocator, context, &stats);
    THINGS_CHECK(sxvkCheckIntegrity(things->rig->allocator) == VK_SUCCESS);
    return stats;
}

static inline void things_close(Things* things) {
    uint32_t i;
    for (i = 0; i < things->count; i++) {
        if (things->all[i].buffer != VK_NULL_HANDLE) {
            things_remove(things, &things->all[i]);
        }
    }
    free(things->all);
}

#endif /* THINGS_H */
