/*
    Shows a virtual block that manages the descriptors of a bindless table: no memory, no device,
    just slots 0 to N - 1, and so no Vulkan library to link with. A material takes as many
    neighbouring ones as it has textures and gives them back in any order; when the table is full it
    grows, and nobody has to move.

    Build and run, from the repository:
        cc -std=c99 -I. examples/07_virtual_block.c -o virtual_block -pthread
        ./virtual_block
*/

#include <stdio.h>
#include <stdlib.h>

#define SX_VKALLOC_STATIC_VULKAN_FUNCTIONS 0 /* nothing here asks the Vulkan library */
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#define MATERIALS    2000
#define TABLE_SIZE   8192 /* descriptors, at first */
#define REPLACEMENTS 20000

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

typedef struct Material {
    SxvkVirtualAllocation descriptors;
    VkDeviceSize first; /* the index that the shader gets */
} Material;

/*  One texture, or up to eight: colour, normals, roughness ... */
static VkDeviceSize texture_count(void) {
    return (VkDeviceSize)(rand() % 8 + 1);
}

static VkResult make_material(SxvkVirtualBlock table, Material* material) {
    SxvkVirtualAllocationCreateInfo info = {0};
    info.size = texture_count();
    VkResult result = sxvkVirtualAllocate(table, &info, &material->descriptors, &material->first);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY) {
        /* Full. Here a program makes a larger descriptor set and copies the old one over. */
        SxvkStatistics stats;
        sxvkGetVirtualBlockStatistics(table, &stats);
        result = sxvkGrowVirtualBlock(table, stats.blockBytes * 3 / 2);
        if (result == VK_SUCCESS) {
            printf("%u materials in %llu of %llu descriptors: grown by half\n",
                   stats.allocationCount, (unsigned long long)stats.allocationBytes,
                   (unsigned long long)stats.blockBytes);
            result = sxvkVirtualAllocate(table, &info, &material->descriptors, &material->first);
        }
    }
    return result;
}

int main(void) {
    static Material materials[MATERIALS];
    SxvkVirtualBlockCreateInfo tableInfo = {0};
    tableInfo.size = TABLE_SIZE;
    SxvkVirtualBlock table;
    CHECK(sxvkCreateVirtualBlock(&tableInfo, &table) == VK_SUCCESS);

    for (int i = 0; i < MATERIALS; i++) {
        CHECK(make_material(table, &materials[i]) == VK_SUCCESS);
    }
    /* A game that streams: an old one goes, a new one comes. */
    for (int i = 0; i < REPLACEMENTS; i++) {
        Material* material = &materials[rand() % MATERIALS];
        sxvkVirtualFree(table, material->descriptors);
        CHECK(make_material(table, material) == VK_SUCCESS);
    }

    SxvkDetailedStatistics stats;
    sxvkCalculateVirtualBlockStatistics(table, &stats);
    printf("%u materials have %llu descriptors of %llu; unused are %llu, in %u runs, the longest "
           "of %llu\n",
           stats.statistics.allocationCount, (unsigned long long)stats.statistics.allocationBytes,
           (unsigned long long)stats.statistics.blockBytes,
           (unsigned long long)(stats.statistics.blockBytes - stats.statistics.allocationBytes),
           stats.unusedRangeCount, (unsigned long long)stats.unusedRangeSizeMax);
    printf("8 descriptors for each material would take %d\n", MATERIALS * 8);

    sxvkClearVirtualBlock(table); /* all at once; their handles are stale now */
    CHECK(sxvkIsVirtualBlockEmpty(table));
    sxvkDestroyVirtualBlock(table);
    return 0;
}
