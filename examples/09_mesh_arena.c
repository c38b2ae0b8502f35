/*
    Shows a buffer arena: vertices and indices of 500 meshes in a few buffers, uploaded through a
    frame ring. Some meshes go and others come, and the device sees each one whole. Where they are
    stands in a table for shaders: a smart buffer, which is written alike on every GPU.

    Build and run, from the repository:
        cc -std=c99 -I. examples/09_mesh_arena.c -o mesh_arena -lvulkan -pthread
        ./mesh_arena
*/

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "example_device.h"

#define MESHES 500

typedef struct Mesh {
    SxvkArenaAllocation allocation;
    SxvkBufferSlice slice; /* bind slice.buffer, draw from slice.offset */
    uint32_t seed;
} Mesh;

/*  Stands for the vertices and indices of a mesh. */
static unsigned char mesh_byte(uint32_t seed, VkDeviceSize i) {
    return (unsigned char)(seed * 31 + i * 7);
}

static void load_mesh(SxvkBufferArena arena, SxvkFrameRing ring, VkCommandBuffer commands,
                      Mesh* mesh, uint32_t seed) {
    VkDeviceSize size = 500 + seed * 7919 % 20000;
    EXAMPLE_CHECK(sxvkAllocateFromBufferArena(arena, size, 0, &mesh->allocation, &mesh->slice) ==
                  VK_SUCCESS);
    mesh->seed = seed;
    SxvkBufferSlice staging;
    EXAMPLE_CHECK(sxvkAllocateFromFrameRing(ring, size, 0, &staging) == VK_SUCCESS);
    for (VkDeviceSize i = 0; i < size; i++) {
        ((unsigned char*)staging.pMappedData)[i] = mesh_byte(seed, i);
    }
    const VkBufferCopy region = {staging.offset, mesh->slice.offset, size};
    vkCmdCopyBuffer(commands, staging.buffer, mesh->slice.buffer, 1, &region);
}

/*  Offset and size of each mesh. */
typedef struct Table {
    uint32_t rows[MESHES][2];
} Table;

static Table make_table(const Mesh* meshes) {
    Table table;
    for (uint32_t m = 0; m < MESHES; m++) {
        table.rows[m][0] = (uint32_t)meshes[m].slice.offset;
        table.rows[m][1] = (uint32_t)meshes[m].slice.size;
    }
    return table;
}

/*  Straight into memory, or by a copy that is recorded: that is the library's business. */
static void write_table(SxvkSmartBuffer rows, VkCommandBuffer commands, const Mesh* meshes) {
    Table table = make_table(meshes);
    EXAMPLE_CHECK(sxvkWriteSmartBuffer(rows, commands, 0, sizeof table, &table) == VK_SUCCESS);
}

/*  Copy all meshes and the table into the smart buffer and look at every byte. */
static VkDeviceSize check_meshes(const ExampleDevice* example, const Mesh* meshes,
                                 SxvkSmartBuffer rows, SxvkSmartBuffer seen) {
    SxvkSmartBufferInfo where, table;
    sxvkGetSmartBufferInfo(seen, &where);
    sxvkGetSmartBufferInfo(rows, &table);
    VkCommandBuffer commands = example_begin(example);
    VkDeviceSize total = 0;
    for (uint32_t m = 0; m < MESHES; m++) {
        const VkBufferCopy region = {meshes[m].slice.offset, total, meshes[m].slice.size};
        vkCmdCopyBuffer(commands, meshes[m].slice.buffer, where.slice.buffer, 1, &region);
        total += meshes[m].slice.size;
    }
    const VkBufferCopy all_rows = {table.slice.offset, total, sizeof(Table)};
    vkCmdCopyBuffer(commands, table.slice.buffer, where.slice.buffer, 1, &all_rows);
    EXAMPLE_CHECK(sxvkRecordSmartBufferRead(seen, commands, 0, total + sizeof(Table)) ==
                  VK_SUCCESS);
    example_submit_and_wait(example, commands);

    unsigned char* bytes = (unsigned char*)malloc((size_t)total + sizeof(Table));
    EXAMPLE_CHECK(bytes != NULL);
    EXAMPLE_CHECK(sxvkReadSmartBuffer(seen, 0, total + sizeof(Table), bytes) == VK_SUCCESS);
    VkDeviceSize at = 0;
    for (uint32_t m = 0; m < MESHES; m++) {
        for (VkDeviceSize i = 0; i < meshes[m].slice.size; i++) {
            EXAMPLE_CHECK(bytes[at + i] == mesh_byte(meshes[m].seed, i));
        }
        at += meshes[m].slice.size;
    }
    const Table expected = make_table(meshes);
    EXAMPLE_CHECK(memcmp(bytes + total, &expected, sizeof expected) == 0);
    free(bytes);
    return total;
}

int main(void) {
    static Mesh meshes[MESHES];
    ExampleDevice example;
    example_create_instance(&example);
    example_create_device(&example);
    SxvkAllocator allocator = example_create_allocator(&example);

    SxvkBufferArenaCreateInfo arenaInfo = {0};
    arenaInfo.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_INDEX_BUFFER_BIT |
                      VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT;
    arenaInfo.pName = "meshes";
    SxvkBufferArena arena;
    EXAMPLE_CHECK(sxvkCreateBufferArena(allocator, &arenaInfo, &arena) == VK_SUCCESS);
    SxvkFrameRingCreateInfo ringInfo = {0}; /* for staging: no usage but copies */
    SxvkFrameRing ring;
    EXAMPLE_CHECK(sxvkCreateFrameRing(allocator, &ringInfo, &ring) == VK_SUCCESS);
    SxvkSmartBufferCreateInfo seenInfo = {0};
    seenInfo.size = MESHES * 20500 + sizeof(Table);
    seenInfo.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT; /* nothing else: to read back */
    seenInfo.ring = ring;
    SxvkSmartBuffer seen;
    EXAMPLE_CHECK(sxvkCreateSmartBuffer(allocator, &seenInfo, &seen) == VK_SUCCESS);
    SxvkSmartBufferCreateInfo rowsInfo = {0};
    rowsInfo.size = sizeof(Table);
    rowsInfo.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT;
    rowsInfo.access = SXVK_SMART_BUFFER_ACCESS_STATIC; /* the GPU is idle when it is written */
    rowsInfo.ring = ring;
    SxvkSmartBuffer rows;
    EXAMPLE_CHECK(sxvkCreateSmartBuffer(allocator, &rowsInfo, &rows) == VK_SUCCESS);

    uint64_t step = 1;
    EXAMPLE_CHECK(sxvkBeginFrameRing(ring, step) == VK_SUCCESS);
    VkCommandBuffer commands = example_begin(&example);
    for (uint32_t m = 0; m < MESHES; m++) {
        load_mesh(arena, ring, commands, &meshes[m], m);
    }
    example_submit_and_wait(&example, commands);
    EXAMPLE_CHECK(sxvkCompleteFrameRing(ring, step) == VK_SUCCESS);

    /* Every third goes, and others come into the gaps. */
    step++;
    EXAMPLE_CHECK(sxvkBeginFrameRing(ring, step) == VK_SUCCESS);
    commands = example_begin(&example);
    for (uint32_t m = 0; m < MESHES; m += 3) {
        sxvkFreeToBufferArena(arena, meshes[m].allocation);
    }
    for (uint32_t m = 0; m < MESHES; m += 3) {
        load_mesh(arena, ring, commands, &meshes[m], m + MESHES);
    }
    write_table(rows, commands, meshes);
    example_submit_and_wait(&example, commands);
    EXAMPLE_CHECK(sxvkCompleteFrameRing(ring, step) == VK_SUCCESS);
    VkDeviceSize total = check_meshes(&example, meshes, rows, seen);

    SxvkStatistics stats;
    sxvkGetBufferArenaStatistics(arena, &stats);
    printf("%u meshes of %u KiB in %u buffers, together %u KiB; %u buffers, and the three driver "
           "calls for each, were not needed\n",
           stats.allocationCount, (uint32_t)(total / 1024), stats.blockCount,
           (uint32_t)(stats.blockBytes / 1024), stats.allocationCount - stats.blockCount);

    for (uint32_t m = 0; m < MESHES; m++) {
        sxvkFreeToBufferArena(arena, meshes[m].allocation);
    }
    sxvkDestroySmartBuffer(allocator, rows);
    sxvkDestroySmartBuffer(allocator, seen);
    sxvkDestroyFrameRing(allocator, ring);
    sxvkDestroyBufferArena(allocator, arena);
    sxvkDestroyAllocator(allocator);
    example_destroy(&example);
    return 0;
}
