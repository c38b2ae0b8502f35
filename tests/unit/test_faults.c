/*  test_faults.c - the fault sweep: every host allocation and every driver call fails once, and for
    ever.

    Each public operation that can fail runs on a fresh device with the n-th request for host
    memory, or the n-th driver call of one kind, failing; n grows until no fault is hit any more.
    After a failure the outputs are null, the result is negative, what is allocated is what was
    allocated, the integrity check passes, the same call succeeds once the fault is gone, and
    nothing leaks. A call may succeed in spite of a fault where there is another way (a smaller
    block, another memory type).

    Run by CTest (unit.faults).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)

/* Memory types of the profile below: CACHED is not coherent. */
enum { LOCAL, HOST, CACHED, BAR };

#define PAGES 200
#define BATCH 40 /* more than one call binds */

/* ------------------------------------------------------------------ operations */

typedef struct Context {
    Rig* rig;
    SxvkAllocator allocator;
    /* What a setup has made. */
    SxvkAllocation have;
    VkBuffer haveBuffer;
    VkImage haveImage;
    SxvkPool havePool;
    SxvkFrameRing haveRing;
    SxvkSmartBuffer haveSmart;
    SxvkBufferArena haveArena;
    /* Outputs of the operation. */
    VkBuffer buffer;
    VkImage image;
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
    SxvkAllocation pages[PAGES];
    SxvkAllocationInfo pageInfos[PAGES];
    VkBuffer buffers[BATCH]; /* their allocations are the first pages */
    VkImage images[BATCH];
    SxvkPool pool;
    SxvkFrameRing ring;
    SxvkSmartBuffer smart;
    SxvkBufferArena arena;
    SxvkArenaAllocation slot;
    SxvkBufferSlice slice;
    char* text;
    void* data;
    uint32_t type;
    unsigned char bytes[300];
} Context;

enum {
    OUT_BUFFER = 1,
    OUT_IMAGE = 2,
    OUT_ALLOCATION = 4,
    OUT_PAGES = 8,
    OUT_POOL = 16,
    OUT_TEXT = 32,
    OUT_DATA = 64,
    OUT_TYPE = 128,
    OUT_BUFFERS = 256,
    OUT_IMAGES = 512,
    OUT_RING = 1024,
    OUT_SMART = 2048,
    OUT_ARENA = 4096,
    OUT_SLOT = 8192,
    OUT_SLICE = 16384
};

typedef struct Operation {
    const char* name;
    uint32_t outputs;
    void (*setup)(Context* c); /* optional */
    VkResult (*run)(Context* c);
    void (*undo)(Context* c); /* after a success; optional */
    VkDeviceSize margin;
    bool old; /* Vulkan 1.0 without extensions */
} Operation;

static SxvkAllocationCreateInfo automatic(SxvkAllocationCreateFlags flags, uint32_t types) {
    SxvkAllocationCreateInfo create = {
        .usage = SXVK_MEMORY_USAGE_AUTO, .flags = flags, .memoryTypeBits = types};
    return create;
}

static VkBufferCreateInfo buffer_info(VkDeviceSize size) {
    return testing_buffer(size,
                          VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
}

static void free_allocation(Context* c) {
    sxvkFreeMemory(c->allocator, c->allocation);
}

static VkResult run_allocate(Context* c) {
    VkMemoryRequirements requirements = testing_requirements(1000, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo create = {0};
    return sxvkAllocateMemory(c->allocator, &requirements, &create, &c->allocation, &c->info);
}

static VkResult run_allocate_with_everything(Context* c) {
    VkMemoryRequirements requirements = testing_requirements(1000, 16, UINT32_MAX);
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT |
                                                SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT,
                                       .usage = SXVK_MEMORY_USAGE_AUTO,
                                       .pName = "a name",
                                       .pUserData = &requirements};
    return sxvkAllocateMemory(c->allocator, &requirements, &create, &c->allocation, &c->info);
}

static VkResult run_allocate_dedicated(Context* c) {
    VkMemoryRequirements requirements = testing_requirements(1000, 16, 1u << HOST);
    VkExportMemoryAllocateInfo chain = {.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
                                        .handleTypes =
                                            VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT, .pName = "own"};
    return sxvkAllocateDedicatedMemory(c->allocator, &requirements, &create, &chain, &c->allocation,
                                       &c->info);
}

static VkResult run_allocate_pages(Context* c) {
    VkMemoryRequirements requirements[PAGES];
    SxvkAllocationCreateInfo creates[PAGES];
    size_t i;
    memset(creates, 0, sizeof creates);
    for (i = 0; i < PAGES; i++) {
        requirements[i] =
            testing_requirements(i % 50 == 49 ? 40 * MIB : 500 + i, 16, 1u << (i % 3));
        if (i % 70 == 69) {
            creates[i].pName = "page";
        }
    }
    return sxvkAllocateMemoryPages(c->allocator, requirements, creates, PAGES, c->pages,
                                   c->pageInfos);
}

static void free_pages(Context* c) {
    sxvkFreeMemoryPages(c->allocator, PAGES, c->pages);
}

static void make_buffer(Context* c) {
    SxvkAllocationCreateInfo create = automatic(SXVK_ALLOCATION_CREATE_DONT_BIND_BIT, 0);
    VkBufferCreateInfo info = buffer_info(1000);
    assert_int_equal(sxvkCreateBuffer(c->allocator, &info, &create, &c->haveBuffer, &c->have, NULL),
                     VK_SUCCESS);
}

static void make_image(Context* c) {
    SxvkAllocationCreateInfo create = automatic(SXVK_ALLOCATION_CREATE_DONT_BIND_BIT, 0);
    VkImageCreateInfo info = testing_image(32, 32, VK_IMAGE_TILING_OPTIMAL);
    assert_int_equal(sxvkCreateImage(c->allocator, &info, &create, &c->haveImage, &c->have, NULL),
                     VK_SUCCESS);
}

static VkResult run_allocate_for_buffer(Context* c) {
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    return sxvkAllocateMemoryForBuffer(c->allocator, c->haveBuffer, &create, &c->allocation,
                                       &c->info);
}

static VkResult run_allocate_for_image(Context* c) {
    SxvkAllocationCreateInfo create = {.pName = "image"};
    return sxvkAllocateMemoryForImage(c->allocator, c->haveImage, &create, &c->allocation,
                                      &c->info);
}

static VkResult run_bind_buffer(Context* c) {
    return sxvkBindBufferMemory(c->allocator, c->have, c->haveBuffer);
}

static VkResult run_bind_image(Context* c) {
    VkBindImageMemoryDeviceGroupInfo chain = {
        .sType = VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_DEVICE_GROUP_INFO};
    return sxvkBindImageMemory2(c->allocator, c->have, 0, c->haveImage, &chain);
}

static VkResult run_create_buffer(Context* c) {
    SxvkAllocationCreateInfo create = automatic(0, 0);
    VkBufferCreateInfo info = buffer_info(70 * KIB);
    return sxvkCreateBuffer(c->allocator, &info, &create, &c->buffer, &c->allocation, &c->info);
}

static VkResult run_create_mapped_buffer(Context* c) {
    SxvkAllocationCreateInfo create =
        automatic(SXVK_ALLOCATION_CREATE_MAPPED_BIT | SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT,
                  1u << CACHED);
    VkBufferCreateInfo info = buffer_info(1000);
    create.pName = "mapped";
    return sxvkCreateBufferWithAlignment(c->allocator, &info, &create, 4096, &c->buffer,
                                         &c->allocation, &c->info);
}

static VkResult run_create_dedicated_buffer(Context* c) {
    SxvkAllocationCreateInfo create = automatic(0, 0);
    VkBufferCreateInfo info = buffer_info(1000);
    create.pUserData = c;
    return sxvkCreateDedicatedBuffer(c->allocator, &info, &create, NULL, &c->buffer, &c->allocation,
                                     &c->info);
}

static void destroy_buffer(Context* c) {
    sxvkDestroyBuffer(c->allocator, c->buffer, c->allocation);
}

static VkResult run_create_image(Context* c) {
    SxvkAllocationCreateInfo create = automatic(0, 0);
    VkImageCreateInfo info = testing_image(256, 256, VK_IMAGE_TILING_OPTIMAL);
    return sxvkCreateImage(c->allocator, &info, &create, &c->image, &c->allocation, &c->info);
}

static VkResult run_create_dedicated_image(Context* c) {
    SxvkAllocationCreateInfo create = automatic(0, 0);
    VkImageCreateInfo info = testing_image(16, 16, VK_IMAGE_TILING_OPTIMAL);
    create.pName = "target";
    return sxvkCreateDedicatedImage(c->allocator, &info, &create, NULL, &c->image, &c->allocation,
                                    &c->info);
}

static void destroy_image(Context* c) {
    sxvkDestroyImage(c->allocator, c->image, c->allocation);
}

/*  In a batch: some that stand alone, are mapped, have a name, are not bound. */
static SxvkAllocationCreateInfo batch_element(size_t i) {
    SxvkAllocationCreateInfo create = automatic(0, 0);
    switch (i % 10) {
    case 3: create.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT; break;
    case 5: create.pName = "of a batch"; break;
    case 7:
        create.flags =
            SXVK_ALLOCATION_CREATE_MAPPED_BIT | SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;
        break;
    case 8: create.flags = SXVK_ALLOCATION_CREATE_DONT_BIND_BIT; break;
    default: break;
    }
    return create;
}

static VkResult run_create_buffers(Context* c) {
    VkBufferCreateInfo infos[BATCH];
    SxvkAllocationCreateInfo creates[BATCH];
    size_t i;
    for (i = 0; i < BATCH; i++) {
        infos[i] = buffer_info(i == 20 ? 40 * MIB : 1000 + i);
        creates[i] = batch_element(i);
    }
    return sxvkCreateBuffers(c->allocator, BATCH, infos, creates, c->buffers, c->pages,
                             c->pageInfos);
}

static void destroy_buffers(Context* c) {
    sxvkDestroyBuffers(c->allocator, BATCH, c->buffers, c->pages);
}

static VkResult run_create_images(Context* c) {
    VkImageCreateInfo infos[BATCH];
    SxvkAllocationCreateInfo creates[BATCH];
    size_t i;
    for (i = 0; i < BATCH; i++) {
        infos[i] = testing_image(16 + (uint32_t)i, 16,
                                 i % 10 == 7 ? VK_IMAGE_TILING_LINEAR : VK_IMAGE_TILING_OPTIMAL);
        creates[i] = batch_element(i);
    }
    return sxvkCreateImages(c->allocator, BATCH, infos, creates, c->images, c->pages, c->pageInfos);
}

static void destroy_images(Context* c) {
    sxvkDestroyImages(c->allocator, BATCH, c->images, c->pages);
}

static void make_memory(Context* c) {
    c->have = rig_allocate(c->rig, CACHED, 64 * KIB);
}

static VkResult run_alias_buffer(Context* c) {
    VkBufferCreateInfo info = buffer_info(300);
    return sxvkCreateAliasingBuffer2(c->allocator, c->have, 256, &info, &c->buffer);
}

static VkResult run_alias_image(Context* c) {
    VkImageCreateInfo info = testing_image(8, 8, VK_IMAGE_TILING_LINEAR);
    return sxvkCreateAliasingImage(c->allocator, c->have, &info, &c->image);
}

static void destroy_alias(Context* c) {
    sxvkDestroyBuffer(c->allocator, c->buffer, VK_NULL_HANDLE);
    sxvkDestroyImage(c->allocator, c->image, VK_NULL_HANDLE);
}

static VkResult run_create_pool(Context* c) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = HOST, .blockSize = MIB, .minBlockCount = 3};
    return sxvkCreatePool(c->allocator, &info, &c->pool);
}

static void destroy_pool(Context* c) {
    sxvkDestroyPool(c->allocator, c->pool);
}

static void make_pool(Context* c) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = HOST, .blockSize = MIB};
    assert_int_equal(sxvkCreatePool(c->allocator, &info, &c->havePool), VK_SUCCESS);
}

static VkResult run_allocate_in_pool(Context* c) {
    VkMemoryRequirements requirements = testing_requirements(1000, 16, UINT32_MAX);
    SxvkAllocationCreateInfo create = {.pool = c->havePool};
    return sxvkAllocateMemory(c->allocator, &requirements, &create, &c->allocation, &c->info);
}

static VkResult run_set_pool_name(Context* c) {
    return sxvkSetPoolName(c->allocator, c->havePool, "named");
}

static VkResult run_set_name(Context* c) {
    return sxvkSetAllocationName(c->allocator, c->have, "named");
}

static VkResult run_set_user_data(Context* c) {
    return sxvkSetAllocationUserData(c->allocator, c->have, c);
}

static VkResult run_map(Context* c) {
    return sxvkMapMemory(c->allocator, c->have, &c->data);
}

static void unmap(Context* c) {
    sxvkUnmapMemory(c->allocator, c->have);
}

static void make_mapped(Context* c) {
    void* data;
    make_memory(c);
    assert_int_equal(sxvkMapMemory(c->allocator, c->have, &data), VK_SUCCESS);
}

static VkResult run_flush(Context* c) {
    return sxvkFlushAllocation(c->allocator, c->have, 3, 300);
}

static VkResult run_invalidate(Context* c) {
    SxvkAllocation many[70];
    size_t i;
    for (i = 0; i < 70; i++) {
        many[i] = c->have;
    }
    return sxvkInvalidateAllocations(c->allocator, 70, many, NULL, NULL);
}

static VkResult run_copy_to(Context* c) {
    return sxvkCopyMemoryToAllocation(c->allocator, c->bytes, c->have, 5, sizeof c->bytes);
}

static VkResult run_copy_from(Context* c) {
    return sxvkCopyAllocationToMemory(c->allocator, c->have, 5, c->bytes, sizeof c->bytes);
}

static void make_some(Context* c) {
    make_pool(c);
    make_memory(c);
    assert_int_equal(sxvkSetAllocationName(c->allocator, c->have, "in the dump"), VK_SUCCESS);
}

static VkResult run_build_stats(Context* c) {
    return sxvkBuildStatsString(c->allocator, &c->text, VK_TRUE);
}

static VkResult run_build_text(Context* c) {
    sxvkSetCurrentFrameIndex(c->allocator, 1);
    return sxvkBuildStatsText(c->allocator, &c->text);
}

static VkResult run_explain(Context* c) {
    SxvkAllocationCreateInfo create = automatic(0, 0);
    VkBufferCreateInfo info = buffer_info(300);
    return sxvkExplainMemoryType(c->allocator, UINT32_MAX, &create, &info, NULL, &c->text);
}

static void free_text(Context* c) {
    sxvkFreeStatsString(c->allocator, c->text);
}

static VkResult run_find_for_buffer(Context* c) {
    SxvkAllocationCreateInfo create = automatic(0, 0);
    VkBufferCreateInfo info = buffer_info(300);
    return sxvkFindMemoryTypeIndexForBufferInfo(c->allocator, &info, &create, &c->type);
}

static VkResult run_find_for_image(Context* c) {
    SxvkAllocationCreateInfo create = automatic(0, 0);
    VkImageCreateInfo info = testing_image(8, 8, VK_IMAGE_TILING_OPTIMAL);
    return sxvkFindMemoryTypeIndexForImageInfo(c->allocator, &info, &create, &c->type);
}

/*  An allocation that takes what another one left: the block is full, so it must grow. */
static void make_full_block(Context* c) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = HOST, .blockSize = MIB};
    VkMemoryRequirements requirements = testing_requirements(MIB, 16, UINT32_MAX);
    SxvkAllocationCreateInfo create = {0};
    assert_int_equal(sxvkCreatePool(c->allocator, &info, &c->havePool), VK_SUCCESS);
    create.pool = c->havePool;
    assert_int_equal(sxvkAllocateMemory(c->allocator, &requirements, &create, &c->have, NULL),
                     VK_SUCCESS);
}

static VkResult run_allocate_on_host(Context* c) {
    VkMemoryRequirements requirements = testing_requirements(1000, 16, 1u << HOST);
    SxvkAllocationCreateInfo create = {0};
    return sxvkAllocateMemory(c->allocator, &requirements, &create, &c->allocation, &c->info);
}

/* --- pieces of buffers --- */

static SxvkFrameRing new_ring(Context* c) {
    SxvkFrameRingCreateInfo info = {.size = 4096, .pName = "ring"};
    SxvkFrameRing ring;
    assert_int_equal(sxvkCreateFrameRing(c->allocator, &info, &ring), VK_SUCCESS);
    assert_int_equal(sxvkBeginFrameRing(ring, 1), VK_SUCCESS);
    return ring;
}

static VkResult run_create_ring(Context* c) {
    SxvkFrameRingCreateInfo info = {.usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT, .pName = "ring"};
    return sxvkCreateFrameRing(c->allocator, &info, &c->ring);
}

static void destroy_ring(Context* c) {
    sxvkDestroyFrameRing(c->allocator, c->ring);
}

static void make_ring(Context* c) {
    c->haveRing = new_ring(c);
}

/*  Too large for the ring; it stays as it was, and then goes on in another buffer. */
static VkResult run_overflow(Context* c) {
    VkResult result = sxvkAllocateFromFrameRing(c->haveRing, 100 * KIB, 0, &c->slice);
    assert_true(sxvki_ring_is_valid(c->haveRing));
    return result;
}

static VkResult create_smart(Context* c, SxvkSmartBufferAccess access) {
    SxvkSmartBufferCreateInfo info = {.size = 1000,
                                      .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
                                      .access = access,
                                      .ring = c->haveRing,
                                      .pName = "smart"};
    return sxvkCreateSmartBuffer(c->allocator, &info, &c->smart);
}

static VkResult run_create_static(Context* c) {
    return create_smart(c, SXVK_SMART_BUFFER_ACCESS_STATIC);
}

static VkResult run_create_dynamic(Context* c) {
    return create_smart(c, SXVK_SMART_BUFFER_ACCESS_DYNAMIC);
}

/*  Two buffers: the device's, and the one that the CPU reads. */
static VkResult run_create_readback(Context* c) {
    return create_smart(c, SXVK_SMART_BUFFER_ACCESS_READBACK);
}

static void destroy_smart(Context* c) {
    sxvkDestroySmartBuffer(c->allocator, c->smart);
}

static void make_static(Context* c) {
    make_ring(c);
    assert_int_equal(run_create_static(c), VK_SUCCESS);
    c->haveSmart = c->smart;
}

static void make_readback(Context* c) {
    make_ring(c);
    assert_int_equal(run_create_readback(c), VK_SUCCESS);
    c->haveSmart = c->smart;
}

/*  Its staging does not fit into what is left of the ring. */
static VkResult run_write_staged(Context* c) {
    const sxvki_ring_buffer* b = (const sxvki_ring_buffer*)c->haveRing->current;
    SxvkBufferSlice rest;
    while (sxvki_ring_head(b) - b->tail < 4096) {
        assert_int_equal(sxvkAllocateFromFrameRing(c->haveRing, 512, 0, &rest), VK_SUCCESS);
    }
    return sxvkWriteSmartBuffer(c->haveSmart, sim_command_buffer(c->rig->sim), 10, 200, c->bytes);
}

static VkResult run_read_back(Context* c) {
    return sxvkReadSmartBuffer(c->haveSmart, 10, 200, c->bytes);
}

static VkResult run_create_arena(Context* c) {
    SxvkBufferArenaCreateInfo info = {.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT, .pName = "arena"};
    return sxvkCreateBufferArena(c->allocator, &info, &c->arena);
}

static void destroy_arena(Context* c) {
    sxvkDestroyBufferArena(c->allocator, c->arena);
}

static void make_arena(Context* c) {
    assert_int_equal(run_create_arena(c), VK_SUCCESS);
    c->haveArena = c->arena;
}

static VkResult run_allocate_slice(Context* c) {
    VkResult result = sxvkAllocateFromBufferArena(c->haveArena, 1000, 0, &c->slot, &c->slice);
    assert_true(sxvki_arena_is_valid(c->haveArena));
    return result;
}

static void free_slice(Context* c) {
    sxvkFreeToBufferArena(c->haveArena, c->slot);
}

static const Operation operations[] = {
    {"sxvkAllocateMemory", OUT_ALLOCATION, NULL, run_allocate, free_allocation, 0, false},
    {"sxvkAllocateMemory, mapped and named", OUT_ALLOCATION, NULL, run_allocate_with_everything,
     free_allocation, 0, false},
    {"sxvkAllocateMemory, with a margin, filled and tracked", OUT_ALLOCATION, NULL,
     run_allocate_on_host, free_allocation, 16, false},
    {"sxvkAllocateDedicatedMemory", OUT_ALLOCATION, NULL, run_allocate_dedicated, free_allocation,
     0, false},
    {"sxvkAllocateMemoryPages", OUT_PAGES, NULL, run_allocate_pages, free_pages, 0, false},
    {"sxvkAllocateMemoryForBuffer", OUT_ALLOCATION, make_buffer, run_allocate_for_buffer,
     free_allocation, 0, false},
    {"sxvkAllocateMemoryForImage", OUT_ALLOCATION, make_image, run_allocate_for_image,
     free_allocation, 0, false},
    {"sxvkBindBufferMemory", 0, make_buffer, run_bind_buffer, NULL, 0, false},
    {"sxvkBindImageMemory2", 0, make_image, run_bind_image, NULL, 0, false},
    {"sxvkCreateBuffer", OUT_BUFFER | OUT_ALLOCATION, NULL, run_create_buffer, destroy_buffer, 0,
     false},
    {"sxvkCreateBuffer, Vulkan 1.0", OUT_BUFFER | OUT_ALLOCATION, NULL, run_create_buffer,
     destroy_buffer, 0, true},
    {"sxvkCreateBufferWithAlignment, mapped", OUT_BUFFER | OUT_ALLOCATION, NULL,
     run_create_mapped_buffer, destroy_buffer, 0, false},
    {"sxvkCreateDedicatedBuffer", OUT_BUFFER | OUT_ALLOCATION, NULL, run_create_dedicated_buffer,
     destroy_buffer, 0, false},
    {"sxvkCreateImage", OUT_IMAGE | OUT_ALLOCATION, NULL, run_create_image, destroy_image, 0,
     false},
    {"sxvkCreateDedicatedImage", OUT_IMAGE | OUT_ALLOCATION, NULL, run_create_dedicated_image,
     destroy_image, 0, false},
    {"sxvkCreateBuffers", OUT_BUFFERS, NULL, run_create_buffers, destroy_buffers, 0, false},
    {"sxvkCreateBuffers, Vulkan 1.0", OUT_BUFFERS, NULL, run_create_buffers, destroy_buffers, 0,
     true},
    {"sxvkCreateImages", OUT_IMAGES, NULL, run_create_images, destroy_images, 0, false},
    {"sxvkCreateImages, Vulkan 1.0", OUT_IMAGES, NULL, run_create_images, destroy_images, 0, true},
    {"sxvkCreateAliasingBuffer2", OUT_BUFFER, make_memory, run_alias_buffer, destroy_alias, 0,
     false},
    {"sxvkCreateAliasingImage", OUT_IMAGE, make_memory, run_alias_image, destroy_alias, 0, false},
    {"sxvkCreatePool", OUT_POOL, NULL, run_create_pool, destroy_pool, 0, false},
    {"sxvkAllocateMemory, first of a pool", OUT_ALLOCATION, make_pool, run_allocate_in_pool,
     free_allocation, 0, false},
    {"sxvkAllocateMemory, second block of a pool", OUT_ALLOCATION, make_full_block,
     run_allocate_in_pool, free_allocation, 0, false},
    {"sxvkSetPoolName", 0, make_pool, run_set_pool_name, NULL, 0, false},
    {"sxvkSetAllocationName", 0, make_memory, run_set_name, NULL, 0, false},
    {"sxvkSetAllocationUserData", 0, make_memory, run_set_user_data, NULL, 0, false},
    {"sxvkMapMemory", OUT_DATA, make_memory, run_map, unmap, 0, false},
    {"sxvkFlushAllocation", 0, make_mapped, run_flush, NULL, 0, false},
    {"sxvkInvalidateAllocations", 0, make_mapped, run_invalidate, NULL, 0, false},
    {"sxvkCopyMemoryToAllocation", 0, make_memory, run_copy_to, NULL, 0, false},
    {"sxvkCopyAllocationToMemory", 0, make_memory, run_copy_from, NULL, 0, false},
    {"sxvkBuildStatsString", OUT_TEXT, make_some, run_build_stats, free_text, 0, false},
    {"sxvkBuildStatsText", OUT_TEXT, make_some, run_build_text, free_text, 0, false},
    {"sxvkExplainMemoryType", OUT_TEXT, NULL, run_explain, free_text, 0, false},
    {"sxvkCreateFrameRing", OUT_RING, NULL, run_create_ring, destroy_ring, 0, false},
    {"sxvkAllocateFromFrameRing, full", OUT_SLICE, make_ring, run_overflow, NULL, 0, false},
    {"sxvkCreateSmartBuffer, static", OUT_SMART, make_ring, run_create_static, destroy_smart, 0,
     false},
    {"sxvkCreateSmartBuffer, dynamic", OUT_SMART, make_ring, run_create_dynamic, destroy_smart, 0,
     true},
    {"sxvkCreateSmartBuffer, readback", OUT_SMART, make_ring, run_create_readback, destroy_smart, 0,
     false},
    {"sxvkWriteSmartBuffer, staged", 0, make_static, run_write_staged, NULL, 0, false},
    {"sxvkReadSmartBuffer", 0, make_readback, run_read_back, NULL, 0, false},
    {"sxvkCreateBufferArena", OUT_ARENA, NULL, run_create_arena, destroy_arena, 0, false},
    {"sxvkAllocateFromBufferArena", OUT_SLOT | OUT_SLICE, make_arena, run_allocate_slice,
     free_slice, 0, false},
    {"sxvkFindMemoryTypeIndexForBufferInfo", OUT_TYPE, NULL, run_find_for_buffer, NULL, 0, true},
    {"sxvkFindMemoryTypeIndexForImageInfo", OUT_TYPE, NULL, run_find_for_image, NULL, 0, true},
};

/* ------------------------------------------------------------------ the sweep */

static void dirty_outputs(Context* c) {
    memset(&c->buffer, 0xAA, sizeof c->buffer);
    memset(&c->image, 0xAA, sizeof c->image);
    memset(&c->allocation, 0xAA, sizeof c->allocation);
    memset(&c->info, 0xAA, sizeof c->info);
    memset(c->pages, 0xAA, sizeof c->pages);
    memset(c->pageInfos, 0xAA, sizeof c->pageInfos);
    memset(c->buffers, 0xAA, sizeof c->buffers);
    memset(c->images, 0xAA, sizeof c->images);
    memset(&c->pool, 0xAA, sizeof c->pool);
    memset(&c->ring, 0xAA, sizeof c->ring);
    memset(&c->smart, 0xAA, sizeof c->smart);
    memset(&c->arena, 0xAA, sizeof c->arena);
    memset(&c->slot, 0xAA, sizeof c->slot);
    memset(&c->slice, 0xAA, sizeof c->slice);
    memset(&c->text, 0xAA, sizeof c->text);
    memset(&c->data, 0xAA, sizeof c->data);
    c->type = 0;
}

/*  Those that the operation does not have are nulled, so that an undo may look at all. */
static void null_unused_outputs(Context* c, uint32_t outputs) {
    c->buffer = outputs & OUT_BUFFER ? c->buffer : VK_NULL_HANDLE;
    c->image = outputs & OUT_IMAGE ? c->image : VK_NULL_HANDLE;
}

static void assert_outputs_null(const Context* c, uint32_t outputs) {
    static const SxvkAllocationInfo zero;
    size_t i;
    assert_true((outputs & OUT_BUFFER) == 0 || c->buffer == VK_NULL_HANDLE);
    assert_true((outputs & OUT_IMAGE) == 0 || c->image == VK_NULL_HANDLE);
    assert_true((outputs & OUT_POOL) == 0 || c->pool == NULL);
    assert_true((outputs & OUT_RING) == 0 || c->ring == NULL);
    assert_true((outputs & OUT_SMART) == 0 || c->smart == NULL);
    assert_true((outputs & OUT_ARENA) == 0 || c->arena == NULL);
    assert_true((outputs & OUT_SLOT) == 0 || c->slot == NULL);
    assert_true((outputs & OUT_SLICE) == 0 || c->slice.buffer == VK_NULL_HANDLE);
    assert_true((outputs & OUT_TEXT) == 0 || c->text == NULL);
    assert_true((outputs & OUT_DATA) == 0 || c->data == NULL);
    assert_true((outputs & OUT_TYPE) == 0 || c->type == UINT32_MAX);
    if (outputs & OUT_ALLOCATION) {
        assert_null(c->allocation);
        assert_memory_equal(&c->info, &zero, sizeof zero);
    }
    for (i = 0; i < PAGES && (outputs & OUT_PAGES) != 0; i++) {
        assert_null(c->pages[i]);
        assert_memory_equal(&c->pageInfos[i], &zero, sizeof zero);
    }
    for (i = 0; i < BATCH && (outputs & (OUT_BUFFERS | OUT_IMAGES)) != 0; i++) {
        assert_true((outputs & OUT_BUFFERS) == 0 || c->buffers[i] == VK_NULL_HANDLE);
        assert_true((outputs & OUT_IMAGES) == 0 || c->images[i] == VK_NULL_HANDLE);
        assert_null(c->pages[i]);
        assert_memory_equal(&c->pageInfos[i], &zero, sizeof zero);
    }
}

static Rig* fault_rig(const Operation* operation, SxvkDebugInfo* debug) {
    SimProfile profile = sim_profile_discrete();
    RigOptions options = rig_options();
    profile.memory.memoryTypes[CACHED].propertyFlags &=
        ~(VkFlags)VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    options.profile = &profile;
    options.sim.backing = true;
    if (operation->old) {
        options.sim.apiVersion = VK_API_VERSION_1_0;
        options.sim.khrNames = false;
    }
    memset(debug, 0, sizeof *debug);
    debug->margin = operation->margin;
    if (operation->margin != 0) {
        debug->flags = SXVK_DEBUG_TRACK_ALLOCATIONS_BIT;
        debug->fillOnAllocate = 1;
        debug->fillOnFree = 2;
    }
    options.info.frameHistoryCount = 4;
    options.info.pDebugInfo = debug;
    return rig_create(&options);
}

/*  One kind of fault: host memory, or a driver call with a result. */
typedef struct Fault {
    bool host;
    SimCall call;
    VkResult result;
    uint32_t times;
} Fault;

static uint64_t faults_hit(Rig* rig) {
    return rig->host.failed + sim_faults_fired(rig->sim);
}

/*  What failed for want of memory is told once, whatever was tried on the way; what succeeded in
    spite of a fault says nothing. */
static void assert_told_once(Rig* rig, const Operation* operation, VkResult result) {
    SxvkMessage message = result == VK_ERROR_OUT_OF_HOST_MEMORY ? SXVK_MESSAGE_OUT_OF_HOST_MEMORY
                          : result == VK_ERROR_OUT_OF_DEVICE_MEMORY
                              ? SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY
                              : SXVK_MESSAGE_NONE;
    uint32_t count = message != SXVK_MESSAGE_NONE;
    if (rig->messages.total != count || rig->messages.counts[message] != count) {
        fail_msg("%s, result %d: %u messages, the last one: %s", operation->name, (int)result,
                 rig->messages.total, rig->messages.text);
    }
    messages_clear(&rig->messages);
}

/*  Returns whether the fault was hit; `failed` counts the operations that failed by it. */
static bool run_once(const Operation* operation, const Fault* fault, uint32_t nth,
                     uint32_t* failed) {
    SxvkDebugInfo debug;
    Context context;
    SxvkStatistics before, after;
    uint64_t resources;
    VkResult result;
    bool hit;
    memset(&context, 0, sizeof context);
    context.rig = fault_rig(operation, &debug);
    context.allocator = context.rig->allocator;
    if (operation->setup != NULL) {
        operation->setup(&context);
    }
    dirty_outputs(&context);
    null_unused_outputs(&context, operation->outputs);
    before = rig_statistics(context.rig);
    resources = sim_live_resource_count(context.rig->sim);
    if (fault->host) {
        host_fail(&context.rig->host, nth, fault->times);
    } else {
        assert_true(sim_fail(context.rig->sim, fault->call, nth, fault->times, fault->result));
    }
    result = operation->run(&context);
    hit = faults_hit(context.rig) != 0;
    host_fail(&context.rig->host, 0, 0);
    sim_clear_faults(context.rig->sim);
    assert_told_once(context.rig, operation, result);
    if (result != VK_SUCCESS) {
        (*failed)++;
        assert_true(hit);
        assert_true(result < 0);
        assert_outputs_null(&context, operation->outputs);
        after = rig_statistics(context.rig);
        assert_int_equal(after.allocationCount, before.allocationCount);
        assert_int_equal(after.allocationBytes, before.allocationBytes);
        assert_int_equal(sim_live_resource_count(context.rig->sim), resources);
        if (fault->host) {
            assert_int_equal(result, VK_ERROR_OUT_OF_HOST_MEMORY);
        }
        rig_check(context.rig);
        assert_int_equal(operation->run(&context), VK_SUCCESS);
    }
    if (operation->undo != NULL) {
        operation->undo(&context);
    }
    sxvkDestroyBuffer(context.allocator, context.haveBuffer, VK_NULL_HANDLE);
    sxvkDestroyImage(context.allocator, context.haveImage, VK_NULL_HANDLE);
    messages_clear(
        &context.rig->messages); /* faults are reported; which ones is for unit.validate */
    if (operation->setup == make_mapped) {
        sxvkUnmapMemory(context.allocator, context.have);
    }
    sxvkFreeMemory(context.allocator, context.have);
    sxvkDestroyPool(context.allocator, context.havePool);
    sxvkDestroyBufferArena(context.allocator, context.haveArena);
    sxvkDestroySmartBuffer(context.allocator, context.haveSmart);
    sxvkDestroyFrameRing(context.allocator, context.haveRing);
    assert_int_equal(rig_statistics(context.rig).allocationCount, 0);
    rig_destroy(context.rig);
    return hit;
}

/*  All n for one kind of fault. */
static void sweep(const Operation* operation, const Fault* fault, uint32_t* hits,
                  uint32_t* failed) {
    uint32_t nth = 1;
    while (run_once(operation, fault, nth, failed)) {
        (*hits)++;
        nth++;
        if (nth > 1000) {
            fail_msg("%s: no end of faults", operation->name);
        }
    }
}

/*  Among others VMA 3dd4b20 (a crash when dedicated memory was not to be had), 6a63f2c, a420c3d
    (what many pages left in the budget when one failed) and 7bd97fa (a pool that leaked: also where
    its first blocks fail). */
static void test_sweep(void** state) {
    static const VkResult results[] = {VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_OUT_OF_HOST_MEMORY,
                                       VK_ERROR_UNKNOWN};
    const uint32_t times[] = {1, UINT32_MAX};
    uint32_t total_hits = 0, total_failed = 0;
    size_t i, t, r;
    int call;
    (void)state;
    for (i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        const Operation* operation = &operations[i];
        uint32_t hits = 0, failed = 0;
        for (t = 0; t < 2; t++) {
            Fault fault = {.host = true, .times = times[t]};
            sweep(operation, &fault, &hits, &failed);
            for (call = 0; call < SIM_CALL_COUNT; call++) {
                for (r = 0; r < sizeof results / sizeof results[0]; r++) {
                    Fault device = {.call = (SimCall)call, .times = times[t], .result = results[r]};
                    if (sim_call_is_failable((SimCall)call)) {
                        sweep(operation, &device, &hits, &failed);
                    }
                }
            }
        }
        if (failed == 0) {
            fail_msg("%s never failed", operation->name);
        }
        total_hits += hits;
        total_failed += failed;
    }
    printf("%u faults hit in %zu operations, %u of them made the operation fail\n", total_hits,
           sizeof operations / sizeof operations[0], total_failed);
}

static const Operation* operation_named(const char* name) {
    size_t i = 0;
    while (i < sizeof operations / sizeof operations[0] && strcmp(operations[i].name, name) != 0) {
        i++;
    }
    assert_true(i < sizeof operations / sizeof operations[0]);
    return &operations[i];
}

/*  A batch is all or none also when the first 32 are bound and the others cannot be. */
static void test_bind_of_the_second_batch(void** state) {
    static const struct {
        const char* name;
        SimCall call;
        uint32_t binds;
    } batches[] = {
        {"sxvkCreateBuffers", SIM_CALL_BIND_BUFFER_MEMORY2, 2},
        {"sxvkCreateBuffers, Vulkan 1.0", SIM_CALL_BIND_BUFFER_MEMORY, BATCH - BATCH / 10},
        {"sxvkCreateImages", SIM_CALL_BIND_IMAGE_MEMORY2, 2},
        {"sxvkCreateImages, Vulkan 1.0", SIM_CALL_BIND_IMAGE_MEMORY, BATCH - BATCH / 10},
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        const Operation* operation = operation_named(batches[i].name);
        Fault fault = {.call = batches[i].call, .times = 1, .result = VK_ERROR_OUT_OF_HOST_MEMORY};
        uint32_t failed = 0;
        assert_true(run_once(operation, &fault, batches[i].binds, &failed));
        assert_int_equal(failed, 1);
        assert_false(run_once(operation, &fault, batches[i].binds + 1, &failed));
        assert_int_equal(failed, 1);
    }
}

/*  The allocator itself: every request for host memory. */
static void test_create_allocator(void** state) {
    const uint32_t times[] = {1, UINT32_MAX};
    size_t t;
    (void)state;
    for (t = 0; t < 2; t++) {
        uint32_t nth = 1;
        bool hit = true;
        while (hit) {
            Rig* rig = rig_create_bare(NULL);
            SxvkAllocator allocator = (SxvkAllocator)&allocator;
            VkResult result;
            host_fail(&rig->host, nth++, times[t]);
            result = sxvkCreateAllocator(&rig->info, &allocator);
            hit = rig->host.failed != 0;
            host_fail(&rig->host, 0, 0);
            if (hit) {
                assert_int_equal(result, VK_ERROR_OUT_OF_HOST_MEMORY);
                assert_null(allocator);
                assert_int_equal(rig->host.liveCount, 0);
                rig_expect(rig, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
                assert_int_equal(sxvkCreateAllocator(&rig->info, &allocator), VK_SUCCESS);
            } else {
                assert_int_equal(result, VK_SUCCESS);
                assert_true(nth > 2);
            }
            sxvkDestroyAllocator(allocator);
            rig_destroy(rig);
        }
    }
}

/*  Freeing needs nothing that could fail. */
static void test_freeing_never_fails(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocations[400];
    SxvkPoolCreateInfo info = {.memoryTypeIndex = HOST, .minBlockCount = 2, .blockSize = MIB};
    SxvkPool pool;
    uint64_t requests;
    size_t i;
    (void)state;
    assert_int_equal(sxvkCreatePool(rig->allocator, &info, &pool), VK_SUCCESS);
    for (i = 0; i < 400; i++) {
        allocations[i] =
            rig_allocate(rig, (uint32_t)(i % 4), i % 100 == 0 ? 30 * MIB : 100 + 1000 * i);
    }
    host_fail(&rig->host, 1, UINT32_MAX);
    assert_true(sim_fail(rig->sim, SIM_CALL_ANY_FAILABLE, 1, UINT32_MAX, VK_ERROR_UNKNOWN));
    requests = rig->host.calls;
    for (i = 0; i < 400; i++) {
        sxvkFreeMemory(rig->allocator, allocations[i * 37 % 400]);
    }
    sxvkSetCurrentFrameIndex(rig->allocator, 5000);
    sxvkTrim(rig->allocator);
    sxvkDestroyPool(rig->allocator, pool);
    assert_int_equal(sim_live_memory_count(rig->sim), 0);
    rig_destroy_allocator(rig);
    assert_int_equal(rig->host.calls, requests);
    rig_destroy(rig);
}

/*  A long run in which host memory fails at random: whatever succeeded is there, whatever failed is
    not. */
static void test_random_host_failures(void** state) {
    uint64_t seed = 99;
    Rig* rig = rig_create(NULL);
    SxvkAllocation live[300] = {0};
    uint32_t failed = 0;
    uint32_t alive = 0;
    uint32_t i;
    (void)state;
    for (i = 0; i < 6000; i++) {
        uint32_t slot = testing_below(&seed, 300);
        VkMemoryRequirements requirements = testing_requirements(
            testing_log_uniform(&seed, 16, 3 * MIB), 16, 1u << testing_below(&seed, 3));
        SxvkAllocationCreateInfo create = {.pName = testing_below(&seed, 8) == 0 ? "some" : NULL};
        alive -= live[slot] != NULL;
        sxvkFreeMemory(rig->allocator, live[slot]);
        if (testing_below(&seed, 3) == 0) {
            host_fail(&rig->host, 1 + testing_below(&seed, 3), 1 + testing_below(&seed, 3));
        }
        if (sxvkAllocateMemory(rig->allocator, &requirements, &create, &live[slot], NULL) ==
            VK_SUCCESS) {
            alive++;
        } else {
            assert_null(live[slot]);
            failed++;
        }
        host_fail(&rig->host, 0, 0);
        if (i % 256 == 0) {
            rig_check(rig);
        }
        assert_int_equal(rig_statistics(rig).allocationCount, alive);
    }
    assert_true(failed > 10);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, failed);
    sxvkFreeMemoryPages(rig->allocator, 300, live);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_allocator),         cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_bind_of_the_second_batch), cmocka_unit_test(test_freeing_never_fails),
        cmocka_unit_test(test_random_host_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
