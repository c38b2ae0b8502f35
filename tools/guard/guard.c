/*
    guard.c - walks the main paths of the allocator on the simulated device, for tools/guard.sh to
    count instructions under callgrind.

    Each path gets a device and an allocator of its own, is walked once to warm up, and then again
    inside guard_measured, which is the function that callgrind collects in. All choices come from
    one seed. Per path one line on stdout: how many operations were measured, how many calls of the
    driver they took, and the name.
*/
#include "sim.h"
#include "sx_vkalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB           ((VkDeviceSize)1 << 10)
#define MIB           ((VkDeviceSize)1 << 20)
#define GIB           ((VkDeviceSize)1 << 30)

#define BUFFER_COUNT  1024u /* unbound ones of different sizes, to allocate memory for */
#define POOL_COUNT    8u
#define PAGE_COUNT    16u
#define BATCH_COUNT   64u
#define TYPE_LOCAL    0u /* the types of device_open */
#define TYPE_COHERENT 1u
#define TYPE_CACHED   4u /* not coherent */

static void die(const char* what, long value) {
    (void)fprintf(stderr, "guard: %s (%ld)\n", what, value);
    exit(1);
}

static void check(VkResult result, const char* what) {
    if (result != VK_SUCCESS) {
        die(what, (long)result);
    }
}

/* ------------------------------------------------------------------ random numbers */

static uint64_t random_state; /* splitmix64 */

static uint64_t random_next(void) {
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t random_below(uint32_t n) {
    return (uint32_t)(random_next() % n);
}

/*  As many in each power of two; lo and hi are two of them. */
static VkDeviceSize random_size(VkDeviceSize lo, VkDeviceSize hi) {
    uint32_t steps = 0;
    VkDeviceSize base;
    while (lo << steps < hi) {
        steps++;
    }
    if (steps == 0) {
        return lo;
    }
    base = lo << random_below(steps);
    return base + random_next() % base;
}

/* ------------------------------------------------------------------ a world for one path */

typedef struct World World;

typedef struct Item {
    SxvkAllocation allocation;
    SxvkVirtualAllocation range;
    VkBuffer buffer;
    VkImage image;
} Item;

/*  What is alive while a path is walked. */
typedef struct Scene {
    void (*make)(World* world, Item* item);
    void (*drop)(World* world, Item* item);
    VkDeviceSize lo, hi; /* sizes in bytes, powers of two */
    uint32_t live;
    uint32_t type;          /* index of the memory type */
    uint32_t pools;         /* custom pools, where the memory then comes from */
    VkDeviceSize blockSize; /* of the custom pools */
    SxvkPoolCreateFlags poolFlags;
} Scene;

struct World {
    const Scene* scene;
    Sim* sim;
    SxvkAllocatorCreateInfo info;
    SxvkVulkanFunctions functions;
    SxvkAllocator allocator;
    SxvkPool pools[POOL_COUNT];
    SxvkVirtualBlock block; /* made when first needed */
    SxvkModule module;      /* the same */
    VkBuffer buffers[BUFFER_COUNT];
    Item* items;
    uint32_t* order; /* in which the items have their turn */
    uint32_t frame;
};

static void VKAPI_PTR on_message(void* user, const SxvkMessageInfo* pInfo) {
    (void)user;
    die(pInfo->pText, (long)pInfo->message);
}

static SxvkAllocationCreateInfo creation(World* world) {
    SxvkAllocationCreateInfo info;
    memset(&info, 0, sizeof info);
    if (world->scene->pools > 0) {
        info.pool = world->pools[random_below(world->scene->pools)];
    } else {
        info.memoryTypeBits = (uint32_t)1 << world->scene->type;
    }
    return info;
}

static VkBufferCreateInfo buffer_info(const Scene* scene) {
    VkBufferCreateInfo info;
    memset(&info, 0, sizeof info);
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = random_size(scene->lo, scene->hi);
    info.usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    return info;
}

static void device_open(World* world) {
    SimProfile profile = sim_profile_discrete();
    SimOptions options = sim_default_options();
    VkMemoryType* cached = &profile.memory.memoryTypes[TYPE_CACHED];
    options.checks = false;
    options.backing = false;
    profile.maxMemoryAllocationCount = UINT32_MAX;
    profile.memory.memoryHeaps[0].size = 64 * GIB;
    profile.memory.memoryTypeCount = TYPE_CACHED + 1;
    cached->heapIndex = 1;
    cached->propertyFlags =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    world->sim = sim_create(&profile, &options);
    if (world->sim == NULL) {
        die("no simulated device", 0);
    }
}

static void world_shuffle(World* world) {
    uint32_t i;
    for (i = 0; i < world->scene->live; i++) {
        uint32_t other = random_below(i + 1);
        world->order[i] = world->order[other];
        world->order[other] = i;
    }
}

static void world_open(World* world, const Scene* scene) {
    PFN_vkCreateBuffer create_buffer;
    uint32_t i;
    memset(world, 0, sizeof *world);
    random_state = 0x5eed;
    world->scene = scene;
    device_open(world);
    world->functions.vkGetInstanceProcAddr = sim_get_instance_proc_addr();
    world->functions.vkGetDeviceProcAddr = sim_get_device_proc_addr();
    world->info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
    world->info.instance = sim_instance(world->sim);
    world->info.physicalDevice = sim_physical_device(world->sim);
    world->info.device = sim_device(world->sim);
    world->info.vulkanApiVersion = VK_API_VERSION_1_3;
    world->info.pVulkanFunctions = &world->functions;
    world->info.pfnMessage = on_message;
    check(sxvkCreateAllocator(&world->info, &world->allocator), "sxvkCreateAllocator");
    for (i = 0; i < scene->pools; i++) {
        SxvkPoolCreateInfo pool;
        memset(&pool, 0, sizeof pool);
        pool.memoryTypeIndex = scene->type;
        pool.blockSize = scene->blockSize;
        pool.flags = scene->poolFlags;
        check(sxvkCreatePool(world->allocator, &pool, &world->pools[i]), "sxvkCreatePool");
    }
    create_buffer = (PFN_vkCreateBuffer)world->functions.vkGetDeviceProcAddr(sim_device(world->sim),
                                                                             "vkCreateBuffer");
    for (i = 0; i < BUFFER_COUNT; i++) {
        VkBufferCreateInfo info = buffer_info(scene);
        check(create_buffer(sim_device(world->sim), &info, NULL, &world->buffers[i]),
              "vkCreateBuffer");
    }
    world->items = calloc(scene->live, sizeof *world->items);
    world->order = calloc(scene->live, sizeof *world->order);
    if (world->items == NULL || world->order == NULL) {
        die("no memory", 0);
    }
    for (i = 0; i < scene->live; i++) {
        scene->make(world, &world->items[i]);
    }
}

static void world_close(World* world) {
    PFN_vkDestroyBuffer destroy_buffer = (PFN_vkDestroyBuffer)world->functions.vkGetDeviceProcAddr(
        sim_device(world->sim), "vkDestroyBuffer");
    uint32_t i;
    for (i = 0; i < world->scene->live; i++) {
        world->scene->drop(world, &world->items[i]);
    }
    for (i = 0; i < BUFFER_COUNT; i++) {
        destroy_buffer(sim_device(world->sim), world->buffers[i], NULL);
    }
    for (i = 0; i < world->scene->pools; i++) {
        sxvkDestroyPool(world->allocator, world->pools[i]);
    }
    sxvkDestroyVirtualBlock(world->block);
    sxvkDestroyModule(world->allocator, world->module);
    sxvkDestroyAllocator(world->allocator);
    if (sim_destroy(world->sim) != 0) {
        die("leaks", 0);
    }
    free(world->items);
    free(world->order);
}

/* ------------------------------------------------------------------ what items are */

/*  Memory for a buffer that exists. */
static void make_memory(World* world, Item* item) {
    SxvkAllocationCreateInfo info = creation(world);
    VkBuffer buffer = world->buffers[random_below(BUFFER_COUNT)];
    check(sxvkAllocateMemoryForBuffer(world->allocator, buffer, &info, &item->allocation, NULL),
          "sxvkAllocateMemoryForBuffer");
}

/*  The same for a module. */
static void make_owned(World* world, Item* item) {
    SxvkAllocationCreateInfo info = creation(world);
    VkBuffer buffer = world->buffers[random_below(BUFFER_COUNT)];
    if (world->module == NULL) {
        SxvkModuleCreateInfo module;
        memset(&module, 0, sizeof module);
        module.pName = "module";
        module.softLimit = GIB;
        check(sxvkCreateModule(world->allocator, &module, &world->module), "sxvkCreateModule");
    }
    info.module = world->module;
    check(sxvkAllocateMemoryForBuffer(world->allocator, buffer, &info, &item->allocation, NULL),
          "sxvkAllocateMemoryForBuffer");
}

/*  Memory for nobody knows what. */
static void make_unknown(World* world, Item* item) {
    SxvkAllocationCreateInfo info = creation(world);
    VkMemoryRequirements needs = {0, 256, 0};
    needs.size = random_size(world->scene->lo, world->scene->hi);
    needs.memoryTypeBits = (uint32_t)1 << world->scene->type;
    check(sxvkAllocateMemory(world->allocator, &needs, &info, &item->allocation, NULL),
          "sxvkAllocateMemory");
}

static void make_dedicated(World* world, Item* item) {
    SxvkAllocationCreateInfo info = creation(world);
    VkMemoryRequirements needs = {0, 256, 0};
    needs.size = random_size(world->scene->lo, world->scene->hi);
    needs.memoryTypeBits = (uint32_t)1 << world->scene->type;
    check(
        sxvkAllocateDedicatedMemory(world->allocator, &needs, &info, NULL, &item->allocation, NULL),
        "sxvkAllocateDedicatedMemory");
}

static void drop_memory(World* world, Item* item) {
    sxvkFreeMemory(world->allocator, item->allocation);
    item->allocation = NULL;
}

/*  A range of a virtual block that is twice as large as what lives in it. */
static void make_range(World* world, Item* item) {
    SxvkVirtualAllocationCreateInfo info;
    VkDeviceSize offset;
    if (world->block == NULL) {
        SxvkVirtualBlockCreateInfo block;
        memset(&block, 0, sizeof block);
        block.size = world->scene->hi * world->scene->live * 2;
        block.pfnMessage = on_message;
        check(sxvkCreateVirtualBlock(&block, &world->block), "sxvkCreateVirtualBlock");
    }
    memset(&info, 0, sizeof info);
    info.size = random_size(world->scene->lo, world->scene->hi);
    info.alignment = 16;
    check(sxvkVirtualAllocate(world->block, &info, &item->range, &offset), "sxvkVirtualAllocate");
}

static void drop_range(World* world, Item* item) {
    sxvkVirtualFree(world->block, item->range);
    item->range = NULL;
}

/*  As a program would ask for it, and with the answer about where it lies. */
static void make_buffer(World* world, Item* item) {
    SxvkAllocationCreateInfo info;
    SxvkAllocationInfo answer;
    VkBufferCreateInfo buffer = buffer_info(world->scene);
    memset(&info, 0, sizeof info);
    info.usage = SXVK_MEMORY_USAGE_AUTO;
    check(sxvkCreateBuffer(world->allocator, &buffer, &info, &item->buffer, &item->allocation,
                           &answer),
          "sxvkCreateBuffer");
}

static void drop_buffer(World* world, Item* item) {
    sxvkDestroyBuffer(world->allocator, item->buffer, item->allocation);
    memset(item, 0, sizeof *item);
}

static void make_image(World* world, Item* item) {
    SxvkAllocationCreateInfo info;
    SxvkAllocationInfo answer;
    VkImageCreateInfo image;
    memset(&info, 0, sizeof info);
    info.usage = SXVK_MEMORY_USAGE_AUTO;
    memset(&image, 0, sizeof image);
    image.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
    image.imageType = VK_IMAGE_TYPE_2D;
    image.format = VK_FORMAT_R8G8B8A8_UNORM;
    image.extent.width = (uint32_t)1 << (5 + random_below(5));
    image.extent.height = (uint32_t)1 << (5 + random_below(5));
    image.extent.depth = 1;
    image.mipLevels = 1;
    image.arrayLayers = 1;
    image.samples = VK_SAMPLE_COUNT_1_BIT;
    image.tiling = VK_IMAGE_TILING_OPTIMAL;
    image.usage = VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
    check(
        sxvkCreateImage(world->allocator, &image, &info, &item->image, &item->allocation, &answer),
        "sxvkCreateImage");
}

static void drop_image(World* world, Item* item) {
    sxvkDestroyImage(world->allocator, item->image, item->allocation);
    memset(item, 0, sizeof *item);
}

/* ------------------------------------------------------------------ steps of count operations */

static Item* item_at(World* world, uint32_t turn) {
    return &world->items[world->order[turn % world->scene->live]];
}

static void step_make(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        world->scene->make(world, item_at(world, i));
    }
}

static void step_drop(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        world->scene->drop(world, item_at(world, i));
    }
}

static void step_replace(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        world->scene->drop(world, item_at(world, i));
        world->scene->make(world, item_at(world, i));
    }
}

static void step_renew(World* world, uint32_t count) {
    step_drop(world, count);
    step_make(world, count);
}

static void step_make_pages(World* world, uint32_t count) {
    SxvkAllocation pages[PAGE_COUNT];
    SxvkAllocationCreateInfo infos[PAGE_COUNT];
    VkMemoryRequirements needs[PAGE_COUNT];
    for (uint32_t i = 0; i < PAGE_COUNT; i++) {
        infos[i] = creation(world);
        needs[i].size = needs[i].alignment = 64 * KIB;
        needs[i].memoryTypeBits = (uint32_t)1 << world->scene->type;
    }
    for (uint32_t i = 0; i < count; i++) {
        check(sxvkAllocateMemoryPages(world->allocator, needs, infos, PAGE_COUNT, pages, NULL),
              "sxvkAllocateMemoryPages");
        sxvkFreeMemoryPages(world->allocator, PAGE_COUNT, pages);
    }
}

static void step_make_batch(World* world, uint32_t count) {
    VkBufferCreateInfo infos[BATCH_COUNT];
    SxvkAllocationCreateInfo hows[BATCH_COUNT];
    VkBuffer made[BATCH_COUNT];
    SxvkAllocation allocations[BATCH_COUNT];
    memset(hows, 0, sizeof hows);
    for (uint32_t i = 0; i < BATCH_COUNT; i++) {
        hows[i].usage = SXVK_MEMORY_USAGE_AUTO;
        infos[i] = buffer_info(world->scene);
    }
    for (uint32_t i = 0; i < count; i++) {
        check(
            sxvkCreateBuffers(world->allocator, BATCH_COUNT, infos, hows, made, allocations, NULL),
            "sxvkCreateBuffers");
        sxvkDestroyBuffers(world->allocator, BATCH_COUNT, made, allocations);
    }
}

static void step_map(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        void* data;
        check(sxvkMapMemory(world->allocator, item_at(world, i)->allocation, &data),
              "sxvkMapMemory");
    }
}

static void step_unmap(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        sxvkUnmapMemory(world->allocator, item_at(world, i)->allocation);
    }
}

static void step_flush(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        check(
            sxvkFlushAllocation(world->allocator, item_at(world, i)->allocation, 0, VK_WHOLE_SIZE),
            "sxvkFlushAllocation");
    }
}

static void step_info(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        SxvkAllocationInfo info;
        sxvkGetAllocationInfo(world->allocator, item_at(world, i)->allocation, &info);
    }
}

static void step_user_data(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        check(sxvkSetAllocationUserData(world->allocator, item_at(world, i)->allocation, world),
              "sxvkSetAllocationUserData");
    }
}

static void step_touch(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        check(sxvkTouchAllocation(world->allocator, item_at(world, i)->allocation),
              "sxvkTouchAllocation");
    }
}

static void step_module(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        SxvkModuleStatistics statistics;
        sxvkGetModuleStatistics(world->allocator, world->module, &statistics);
    }
}

static void step_coldest(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        SxvkColdAllocation cold[64];
        uint32_t found = 64;
        check(sxvkGetColdestAllocations(world->allocator, 0, NULL, 0, &found, cold),
              "sxvkGetColdestAllocations");
    }
}

static void step_budget(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        SxvkBudget budget;
        sxvkGetHeapBudget(world->allocator, i % 3, &budget);
    }
}

static void step_frame(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        sxvkSetCurrentFrameIndex(world->allocator, ++world->frame);
    }
}

static void step_find_type(World* world, uint32_t count) {
    SxvkAllocationCreateInfo info;
    memset(&info, 0, sizeof info);
    info.usage = SXVK_MEMORY_USAGE_AUTO;
    info.flags = SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t type;
        check(sxvkFindMemoryTypeIndex(world->allocator, UINT32_MAX, &info, &type),
              "sxvkFindMemoryTypeIndex");
    }
}

static void step_allocator(World* world, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        SxvkAllocator allocator;
        check(sxvkCreateAllocator(&world->info, &allocator), "sxvkCreateAllocator");
        sxvkDestroyAllocator(allocator);
    }
}

/* ------------------------------------------------------------------ the paths */

#define MEMORY make_memory, drop_memory
#define RANGE  make_range, drop_range

static const Scene slots = {MEMORY, 256, 256, 10000, TYPE_LOCAL, 0, 0, 0};
static const Scene owned = {make_owned, drop_memory, 256, 256, 10000, TYPE_LOCAL, 0, 0, 0};
static const Scene small_ranges = {MEMORY, 64 * KIB, 64 * KIB, 10000, TYPE_LOCAL, 0, 0, 0};
static const Scene large_ranges = {MEMORY, 2 * MIB, 2 * MIB, 1000, TYPE_LOCAL, 0, 0, 0};
static const Scene mixed = {MEMORY, 256, MIB, 10000, TYPE_LOCAL, 0, 0, 0};
static const Scene unknown = {make_unknown, drop_memory, 256, MIB, 10000, TYPE_LOCAL, 0, 0, 0};
static const Scene pools = {MEMORY, 256, MIB, 4000, TYPE_LOCAL, POOL_COUNT, 64 * MIB, 0};
static const Scene blocks = {MEMORY, MIB, MIB, 400, TYPE_LOCAL, 1, MIB, 0};
static const Scene linear = {make_unknown,
                             drop_memory,
                             256,
                             64 * KIB,
                             2000,
                             TYPE_LOCAL,
                             1,
                             256 * MIB,
                             SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT};
static const Scene dedicated = {make_dedicated, drop_memory, 4 * MIB, 4 * MIB, 1000,
                                TYPE_LOCAL,     0,           0,       0};
static const Scene buffers = {make_buffer, drop_buffer, 256, MIB, 4000, TYPE_LOCAL, 0, 0, 0};
static const Scene images = {make_image, drop_image, KIB, KIB, 2000, TYPE_LOCAL, 0, 0, 0};
static const Scene coherent = {MEMORY, 256, 64 * KIB, 2000, TYPE_COHERENT, 0, 0, 0};
static const Scene not_coherent = {MEMORY, 256, 64 * KIB, 2000, TYPE_CACHED, 0, 0, 0};
static const Scene virtual_slots = {RANGE, 256, 256, 10000, TYPE_LOCAL, 0, 0, 0};
static const Scene virtual_ranges = {RANGE, 2 * MIB, 2 * MIB, 10000, TYPE_LOCAL, 0, 0, 0};
static const Scene virtual_mixed = {RANGE, 256, MIB, 10000, TYPE_LOCAL, 0, 0, 0};
static const Scene equal_buffers = {make_buffer, drop_buffer, 64 * KIB, 64 * KIB, 4000,
                                    TYPE_LOCAL,  0,           0,        0};

/*  The steps before and after bring about the state that the measured one needs, and undo it. */
typedef struct Path {
    const char* name;
    const Scene* scene;
    void (*before)(World* world, uint32_t count);
    void (*measured)(World* world, uint32_t count);
    void (*after)(World* world, uint32_t count);
    uint32_t count;
} Path;

static const Path paths[] = {
    {"allocate a slot (256 B)", &slots, step_drop, step_make, NULL, 2000},
    {"free a slot (256 B)", &slots, NULL, step_drop, step_make, 2000},
    {"allocate a small range (64 KiB)", &small_ranges, step_drop, step_make, NULL, 2000},
    {"free a small range (64 KiB)", &small_ranges, NULL, step_drop, step_make, 2000},
    {"allocate a large range (2 MiB)", &large_ranges, step_drop, step_make, NULL, 400},
    {"free a large range (2 MiB)", &large_ranges, NULL, step_drop, step_make, 400},
    {"free and allocate, mixed sizes", &mixed, NULL, step_replace, NULL, 4000},
    {"free and allocate, of unknown kind", &unknown, NULL, step_replace, NULL, 4000},
    {"free and allocate, in 8 custom pools", &pools, NULL, step_replace, NULL, 4000},
    {"allocate in a linear pool", &linear, step_drop, step_make, NULL, 2000},
    {"free in a linear pool", &linear, NULL, step_drop, step_make, 2000},
    {"allocate and free 16 pages", &small_ranges, NULL, step_make_pages, NULL, 200},
    {"allocate in a new block", &blocks, step_drop, step_make, NULL, 200},
    {"free the last range of a block", &blocks, NULL, step_drop, step_make, 200},
    {"allocate dedicated memory", &dedicated, step_drop, step_make, NULL, 400},
    {"free dedicated memory", &dedicated, NULL, step_drop, step_make, 400},
    {"create a buffer", &buffers, step_drop, step_make, NULL, 1000},
    {"destroy a buffer", &buffers, NULL, step_drop, step_make, 1000},
    {"create and destroy 64 in a batch", &equal_buffers, NULL, step_make_batch, NULL, 50},
    {"create an image", &images, step_drop, step_make, NULL, 1000},
    {"destroy an image", &images, NULL, step_drop, step_make, 1000},
    {"map", &coherent, NULL, step_map, step_unmap, 2000},
    {"unmap", &coherent, step_map, step_unmap, NULL, 2000},
    {"flush, coherent", &coherent, step_map, step_flush, step_unmap, 2000},
    {"flush, not coherent", &not_coherent, step_map, step_flush, step_unmap, 2000},
    {"get allocation info", &mixed, NULL, step_info, NULL, 4000},
    {"set user data", &coherent, NULL, step_user_data, NULL, 2000},
    {"allocate a slot for a module", &owned, step_drop, step_make, NULL, 2000},
    {"free a slot of a module", &owned, NULL, step_drop, step_make, 2000},
    {"get a module's statistics", &owned, NULL, step_module, NULL, 400},
    {"touch", &coherent, NULL, step_touch, NULL, 2000},
    {"find the 64 coldest of 10,000", &mixed, step_touch, step_coldest, NULL, 20},
    {"virtual allocate and free, slots", &virtual_slots, NULL, step_renew, NULL, 4000},
    {"virtual allocate and free, ranges", &virtual_ranges, NULL, step_renew, NULL, 4000},
    {"virtual free and allocate, mixed", &virtual_mixed, NULL, step_replace, NULL, 4000},
    {"find a memory type", &coherent, NULL, step_find_type, NULL, 400},
    {"get a heap's budget", &pools, NULL, step_budget, NULL, 400},
    {"set the frame, 8 custom pools", &pools, NULL, step_frame, NULL, 400},
    {"create and destroy an allocator", &coherent, NULL, step_allocator, NULL, 20},
};

/*  callgrind collects in here, and dumps what it has whenever this is left. */
void guard_measured(const Path* path, World* world);

__attribute__((noinline)) void guard_measured(const Path* path, World* world) {
    path->measured(world, path->count);
    __asm__ volatile("" ::: "memory"); /* no tail call: it would leave this function too early */
}

static void walk_unmeasured(const Path* path, World* world) {
    path->measured(world, path->count);
}

/*  Returns how many calls of the driver the measured step made. */
static uint64_t walk(const Path* path, World* world, void (*step)(const Path*, World*)) {
    uint64_t calls;
    world_shuffle(world);
    if (path->before != NULL) {
        path->before(world, path->count);
    }
    calls = sim_calls(world->sim, SIM_CALL_ANY);
    step(path, world);
    calls = sim_calls(world->sim, SIM_CALL_ANY) - calls;
    if (path->after != NULL) {
        path->after(world, path->count);
    }
    return calls;
}

int main(void) {
    static World world;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        uint64_t calls;
        world_open(&world, paths[i].scene);
        (void)walk(&paths[i], &world, walk_unmeasured);
        calls = walk(&paths[i], &world, guard_measured);
        world_close(&world);
        (void)printf("%u %llu %s\n", (unsigned)paths[i].count, (unsigned long long)calls,
                     paths[i].name);
    }
    return 0;
}
