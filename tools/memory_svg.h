/*
    A picture of memory: one bar per block, to scale, with what lives in it. Part of the demo, but
    it makes no Vulkan call: the caller describes heaps, types, blocks and ranges.
*/

#ifndef MEMORY_SVG_H
#define MEMORY_SVG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

typedef enum MemoryKind {
    MEMORY_KIND_VERTEX,
    MEMORY_KIND_UNIFORM,
    MEMORY_KIND_STORAGE,
    MEMORY_KIND_MIXED,
    MEMORY_KIND_STAGING,
    MEMORY_KIND_TEXTURE,
    MEMORY_KIND_COLOUR,
    MEMORY_KIND_DEPTH,
    MEMORY_KIND_OTHER,
    MEMORY_KIND_COUNT
} MemoryKind;

typedef struct MemoryRange {
    uint32_t block; /* index into MemoryPicture::blocks */
    VkDeviceSize offset;
    VkDeviceSize size;
    MemoryKind kind;
    const char* name;
} MemoryRange;

typedef struct MemoryBlock {
    uint32_t type; /* memory type index */
    VkDeviceSize size;
    bool dedicated;
} MemoryBlock;

typedef struct MemoryPicture {
    const char* title;
    const char* subtitle;
    const VkPhysicalDeviceMemoryProperties* properties;
    const MemoryBlock* blocks; /* drawn in this order within their memory type */
    uint32_t blockCount;
    MemoryRange* ranges; /* get sorted */
    size_t rangeCount;
} MemoryPicture;

const char* memory_kind_name(MemoryKind kind);

/*  "512 B", "64.0 KiB", "1.5 GiB"; the text lives as long as the block that asks for it. */
#define BYTE_TEXT(bytes) byte_text(&(ByteText){""}, bytes)

typedef struct ByteText {
    char text[24];
} ByteText;

const char* byte_text(ByteText* buffer, uint64_t bytes);

/*  False when the file cannot be written or memory runs out. */
bool memory_svg_write(const MemoryPicture* picture, const char* path);

#endif
