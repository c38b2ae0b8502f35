/*
    The picture of memory, see memory_svg.h.

    All bars share one scale: a row of the page stands for a power of two of bytes, the smallest
    that keeps the page to about a screen and a half. Blocks flow like words; one that is larger
    than a row goes on in the next. Ranges too thin to see are drawn together, three pixels wide at
    least, and named together on hover.
*/

#include "memory_svg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MARGIN    24.0
#define ROW_WIDTH      1200.0
#define MAX_ROWS       26
#define BAR_HEIGHT     26.0
#define CAPTION_HEIGHT 14.0
#define ROW_GAP        9.0
#define HEADING_HEIGHT 44.0
#define THIN           3.0 /* narrower ranges are drawn together */
#define CLUSTER_WIDTH  6.0 /* ... up to this width */
#define CLUSTER_NAMES  12
#define CHAR_WIDTH     5.9 /* of the small font, on the safe side */

typedef struct KindStyle {
    const char* name;
    const char* fill;
    const char* ink;
} KindStyle;

static const KindStyle kind_styles[MEMORY_KIND_COUNT] = {
    {"vertex or index buffer", "#4e79a7", "#ffffff"},
    {"uniform buffer", "#76b7b2", "#1f2430"},
    {"storage buffer", "#59a14f", "#ffffff"},
    {"buffer of many uses", "#b07aa1", "#ffffff"},
    {"staging buffer", "#edc948", "#1f2430"},
    {"sampled texture", "#f5a65b", "#1f2430"},
    {"colour attachment", "#e15759", "#ffffff"},
    {"depth or stencil", "#8a6350", "#ffffff"},
    {"other", "#79706e", "#ffffff"},
};

/*  Where a block stands on the page. */
typedef struct Place {
    double x, y; /* of its first bar, below the caption */
    double slot; /* pixels the caption may use */
} Place;

typedef struct Page {
    FILE* file;
    const MemoryPicture* picture;
    Place* places; /* per block */
    double typeY[VK_MAX_MEMORY_TYPES];
    double rowBytes;
    double minSlot, gap; /* pixels for the smallest block, and between blocks */
    double top;          /* below title and legend */
    double height;
    unsigned rows;
} Page;

typedef struct Share {
    VkDeviceSize live, committed;
    uint32_t allocations, blocks;
} Share;

const char* memory_kind_name(MemoryKind kind) {
    return kind_styles[kind].name;
}

const char* byte_text(ByteText* buffer, uint64_t bytes) {
    static const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024.0;
        ++unit;
    }
    snprintf(buffer->text, sizeof(buffer->text), unit == 0 ? "%.0f %s" : "%.1f %s", value,
             units[unit]);
    return buffer->text;
}

static void flags_text(VkMemoryPropertyFlags flags, char* buffer, size_t size) {
    static const char* const names[] = {
        "DEVICE_LOCAL", "HOST_VISIBLE",        "HOST_COHERENT",       "HOST_CACHED", "LAZILY",
        "PROTECTED",    "DEVICE_COHERENT_AMD", "DEVICE_UNCACHED_AMD", "RDMA_NV"};
    size_t used = (size_t)snprintf(buffer, size, "%s", flags == 0 ? "no flags" : "");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        if ((flags & (1u << i)) != 0 && used < size) {
            used += (size_t)snprintf(buffer + used, size - used, used > 0 ? " %s" : "%s", names[i]);
        }
    }
}

static void print_escaped(FILE* file, const char* text) {
    for (; *text != '\0'; ++text) {
        switch (*text) {
        case '&': fputs("&amp;", file); break;
        case '<': fputs("&lt;", file); break;
        case '>': fputs("&gt;", file); break;
        case '"': fputs("&quot;", file); break;
        default:
            /* XML has no way at all to write most control characters. */
            fputc((unsigned char)*text < 0x20 ? ' ' : *text, file);
            break;
        }
    }
}

static int compare_ranges(const void* left, const void* right) {
    const MemoryRange* a = left;
    const MemoryRange* b = right;
    if (a->block != b->block) {
        return a->block < b->block ? -1 : 1;
    }
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static Share share_of(const MemoryPicture* picture, uint32_t typeBits) {
    Share share = {0, 0, 0, 0};
    for (uint32_t i = 0; i < picture->blockCount; ++i) {
        if ((typeBits >> picture->blocks[i].type & 1u) != 0) {
            share.committed += picture->blocks[i].size;
            share.blocks += 1;
        }
    }
    for (size_t i = 0; i < picture->rangeCount; ++i) {
        if ((typeBits >> picture->blocks[picture->ranges[i].block].type & 1u) != 0) {
            share.live += picture->ranges[i].size;
            share.allocations += 1;
        }
    }
    return share;
}

static uint32_t types_of_heap(const MemoryPicture* picture, uint32_t heap) {
    uint32_t bits = 0;
    for (uint32_t i = 0; i < picture->properties->memoryTypeCount; ++i) {
        bits |= picture->properties->memoryTypes[i].heapIndex == heap ? 1u << i : 0u;
    }
    return bits;
}

/* --- layout ----------------------------------------------------------------------------------- */

static double width_of(const Page* page, double bytes) {
    return bytes / page->rowBytes * ROW_WIDTH;
}

static unsigned rows_of(const Page* page, VkDeviceSize size) {
    unsigned rows = (unsigned)((double)size / page->rowBytes);
    return (double)rows * page->rowBytes < (double)size ? rows + 1 : rows;
}

/*  Put the blocks of one memory type from y on; gives the y below them. */
static double place_type(Page* page, uint32_t type, double y) {
    const double row = CAPTION_HEIGHT + BAR_HEIGHT + ROW_GAP;
    double x = 0;
    y += CAPTION_HEIGHT;
    for (uint32_t i = 0; i < page->picture->blockCount; ++i) {
        const MemoryBlock* block = &page->picture->blocks[i];
        if (block->type != type) {
            continue;
        }
        unsigned rows = rows_of(page, block->size);
        double slot = rows > 1 ? ROW_WIDTH : width_of(page, (double)block->size);
        slot = slot < page->minSlot ? page->minSlot : slot;
        if (x > 0 && x + slot > ROW_WIDTH) {
            x = 0;
            y += row;
            page->rows += 1;
        }
        page->places[i].x = PAGE_MARGIN + x;
        page->places[i].y = y;
        page->places[i].slot = slot;
        x += slot + page->gap;
        y += (rows - 1) * (BAR_HEIGHT + 3.0);
        page->rows += rows - 1;
    }
    page->rows += 1;
    return y + BAR_HEIGHT + ROW_GAP;
}

static void place_all(Page* page) {
    const MemoryPicture* picture = page->picture;
    double y = page->top;
    page->rows = 0;
    for (uint32_t heap = 0; heap < picture->properties->memoryHeapCount; ++heap) {
        for (uint32_t type = 0; type < picture->properties->memoryTypeCount; ++type) {
            if (picture->properties->memoryTypes[type].heapIndex != heap ||
                share_of(picture, 1u << type).blocks == 0) {
                continue;
            }
            page->typeY[type] = y;
            y = place_type(page, type, y + HEADING_HEIGHT) + 8.0;
        }
    }
    page->height = y + PAGE_MARGIN;
}

/*  The largest scale at which all blocks fit on the page. Short bars have room for a caption,
    unless there are too many. */
static void choose_scale(Page* page) {
    static const double slots[] = {74.0, 24.0, 6.0};
    const double committed = (double)share_of(page->picture, UINT32_MAX).committed;
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); ++i) {
        page->minSlot = slots[i];
        page->gap = slots[i] / 6.0;
        page->rowBytes = 1024.0 * 1024.0;
        place_all(page);
        while (page->rows > MAX_ROWS && page->rowBytes < committed) {
            page->rowBytes *= 2.0;
            place_all(page);
        }
        if (page->rows <= MAX_ROWS) {
            return;
        }
    }
}

/* --- drawing ---------------------------------------------------------------------------------- */

/*  An open rectangle with a hover text; the caller writes the text and calls close_rect. */
static void open_rect(Page* page, double x, double y, double width, const char* cls) {
    fprintf(page->file,
            "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.0f\"><title>", cls,
            x, y, width, BAR_HEIGHT);
}

static void close_rect(Page* page) {
    fputs("</title></rect>\n", page->file);
}

static void draw_text(Page* page, double x, double y, const char* cls, const char* text) {
    fprintf(page->file, "<text class=\"%s\" x=\"%.2f\" y=\"%.2f\">", cls, x, y);
    print_escaped(page->file, text);
    fputs("</text>\n", page->file);
}

/*  The name in the bar, or its part before the parenthesis, if it fits. */
static void draw_label(Page* page, double x, double y, double width, const MemoryRange* range) {
    char label[128];
    snprintf(label, sizeof(label), "%s", range->name);
    if ((double)strlen(label) * CHAR_WIDTH > width - 8.0) {
        char* parenthesis = strstr(label, " (");
        if (parenthesis != NULL) {
            *parenthesis = '\0';
        }
    }
    if ((double)strlen(label) * CHAR_WIDTH <= width - 8.0) {
        char cls[16];
        snprintf(cls, sizeof(cls), "l l%d", (int)range->kind);
        draw_text(page, x + 4.0, y + BAR_HEIGHT / 2 + 3.5, cls, label);
    }
}

static void draw_free(Page* page, double x, double y, double width, double bytes) {
    if (width >= 1.0) {
        open_rect(page, x, y, width, "f");
        fprintf(page->file, "free, %s", BYTE_TEXT((uint64_t)bytes));
        close_rect(page);
    }
}

/*  count neighbours that are too thin each; the colour is that of the kind with the most bytes. */
static void draw_cluster(Page* page, double x, double y, double width, const MemoryRange* ranges,
                         size_t count) {
    VkDeviceSize bytes[MEMORY_KIND_COUNT] = {0};
    VkDeviceSize total = 0;
    size_t most = 0;
    char cls[16];
    for (size_t i = 0; i < count; ++i) {
        bytes[ranges[i].kind] += ranges[i].size;
        total += ranges[i].size;
    }
    for (size_t kind = 1; kind < MEMORY_KIND_COUNT; ++kind) {
        most = bytes[kind] > bytes[most] ? kind : most;
    }
    /* A white outline would eat up a narrow bar. */
    snprintf(cls, sizeof(cls), "%s k%d", width < CLUSTER_WIDTH ? "n" : "r", (int)most);
    open_rect(page, x, y, width, cls);
    if (count > 1) {
        fprintf(page->file, "%zu resources, %s:\n", count, BYTE_TEXT(total));
    }
    for (size_t i = 0; i < count && i < CLUSTER_NAMES; ++i) {
        fputs(i > 0 ? "\n" : "", page->file);
        print_escaped(page->file, ranges[i].name);
    }
    if (count > CLUSTER_NAMES) {
        fprintf(page->file, "\nand %zu more", count - CLUSTER_NAMES);
    }
    close_rect(page);
}

/*  Draw the part of a block between two of its offsets as one bar. */
static void draw_bar(Page* page, double left, double y, double from, double to,
                     const MemoryRange* ranges, size_t count) {
    double drawn = left; /* what is left of it is taken */
    double cursor = from;
    fprintf(page->file,
            "<rect class=\"b\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.0f\"/>\n", left, y,
            width_of(page, to - from), BAR_HEIGHT);
    for (size_t i = 0; i < count;) {
        double begin = (double)ranges[i].offset;
        double end = begin + (double)ranges[i].size;
        if (end <= from || begin >= to) {
            ++i;
            continue;
        }
        begin = begin < from ? from : begin;
        end = end > to ? to : end;
        if (begin > cursor) {
            draw_free(page, left + width_of(page, cursor - from), y, width_of(page, begin - cursor),
                      begin - cursor);
        }
        double x = left + width_of(page, begin - from);
        size_t taken = 1;
        x = x < drawn ? drawn : x;
        if (width_of(page, end - begin) < THIN) {
            for (; i + taken < count; ++taken) {
                const MemoryRange* next = &ranges[i + taken];
                double nextEnd = (double)next->offset + (double)next->size;
                if (width_of(page, (double)next->size) >= THIN || nextEnd > to ||
                    width_of(page, (double)next->offset - end) > 1.0 ||
                    width_of(page, nextEnd - begin) > CLUSTER_WIDTH) {
                    break;
                }
                end = nextEnd;
            }
        }
        double width = left + width_of(page, end - from) - x;
        width = width < THIN ? THIN : width;
        draw_cluster(page, x, y, width, &ranges[i], taken);
        if (taken == 1) {
            draw_label(page, x, y, width, &ranges[i]);
        }
        drawn = x + width;
        cursor = end;
        i += taken;
    }
    if (to > cursor) {
        draw_free(page, left + width_of(page, cursor - from), y, width_of(page, to - cursor),
                  to - cursor);
    }
}

static void draw_block(Page* page, uint32_t index, const MemoryRange* ranges, size_t count) {
    const MemoryBlock* block = &page->picture->blocks[index];
    const Place* place = &page->places[index];
    double y = place->y;
    VkDeviceSize live = 0;
    char caption[128];
    for (size_t i = 0; i < count; ++i) {
        live += ranges[i].size;
    }
    double percent = (double)live / (double)block->size * 100.0;
    char used[16];
    snprintf(used, sizeof(used), percent > 0.0 && percent < 1.0 ? "<1 %%" : "%.0f %%", percent);
    snprintf(caption, sizeof(caption), "%s, %zu %s, %s used", BYTE_TEXT(block->size), count,
             count == 1 ? "resource" : "resources", used);
    if (block->dedicated || (double)strlen(caption) * CHAR_WIDTH > place->slot) {
        snprintf(caption, sizeof(caption), "%s, %s", BYTE_TEXT(block->size), used);
    }
    if (block->dedicated && place->slot > 150.0) {
        snprintf(caption, sizeof(caption), "%s, dedicated", BYTE_TEXT(block->size));
    }
    if ((double)strlen(caption) * CHAR_WIDTH <= place->slot + page->gap) {
        draw_text(page, place->x, y - 4.0, "c", caption);
    }
    for (double from = 0; from < (double)block->size; from += page->rowBytes) {
        double to = from + page->rowBytes;
        to = to > (double)block->size ? (double)block->size : to;
        draw_bar(page, place->x, y, from, to, ranges, count);
        y += BAR_HEIGHT + 3.0;
    }
}

static void draw_style(Page* page) {
    fputs("<style>\n"
          "text { font-family: system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2430 }\n"
          ".t { font-size: 20px; font-weight: bold }\n"
          ".s { font-size: 13px }\n"
          ".h { font-size: 13px; font-weight: bold }\n"
          ".c { font-size: 10px; fill: #5a6270 }\n"
          ".l { font-size: 10px; pointer-events: none }\n"
          ".b { fill: #eceff3; stroke: #9aa3b0; stroke-width: 1 }\n"
          ".f { fill: #eceff3 }\n"
          ".r { stroke: #ffffff; stroke-width: 0.5 }\n"
          ".r:hover, .n:hover, .f:hover { stroke: #000000; stroke-width: 1.5 }\n",
          page->file);
    for (int i = 0; i < MEMORY_KIND_COUNT; ++i) {
        fprintf(page->file, ".k%d { fill: %s } .l%d { fill: %s }\n", i, kind_styles[i].fill, i,
                kind_styles[i].ink);
    }
    fputs("</style>\n", page->file);
}

static void draw_legend_entry(Page* page, unsigned slot, const char* cls, const char* text) {
    double x = PAGE_MARGIN + (slot % 4) * (ROW_WIDTH / 4);
    double y = 84.0 + (slot / 4) * 20.0;
    fprintf(page->file, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"14\"/>\n",
            cls, x, y);
    draw_text(page, x + 20.0, y + 11.5, "s", text);
}

/*  The kinds that occur, with their bytes and numbers. Gives the y below. */
static double draw_legend(Page* page, bool draw) {
    VkDeviceSize bytes[MEMORY_KIND_COUNT] = {0};
    size_t numbers[MEMORY_KIND_COUNT] = {0};
    Share all = share_of(page->picture, UINT32_MAX);
    unsigned slot = 0;
    char text[128];
    for (size_t i = 0; i < page->picture->rangeCount; ++i) {
        bytes[page->picture->ranges[i].kind] += page->picture->ranges[i].size;
        numbers[page->picture->ranges[i].kind] += 1;
    }
    for (int i = 0; i < MEMORY_KIND_COUNT; ++i) {
        if (numbers[i] == 0) {
            continue;
        }
        if (draw) {
            char cls[16];
            snprintf(cls, sizeof(cls), "r k%d", i);
            snprintf(text, sizeof(text), "%s: %zu, %s", kind_styles[i].name, numbers[i],
                     BYTE_TEXT(bytes[i]));
            draw_legend_entry(page, slot, cls, text);
        }
        ++slot;
    }
    if (draw) {
        snprintf(text, sizeof(text), "free: %s", BYTE_TEXT(all.committed - all.live));
        draw_legend_entry(page, slot, "b", text);
    }
    return 84.0 + (slot / 4 + 1) * 20.0 + 14.0;
}

static void draw_headings(Page* page) {
    const VkPhysicalDeviceMemoryProperties* properties = page->picture->properties;
    for (uint32_t type = 0; type < properties->memoryTypeCount; ++type) {
        Share share = share_of(page->picture, 1u << type);
        uint32_t heap = properties->memoryTypes[type].heapIndex;
        Share heapShare = share_of(page->picture, types_of_heap(page->picture, heap));
        char flags[160];
        char text[512];
        if (share.blocks == 0) {
            continue;
        }
        flags_text(properties->memoryTypes[type].propertyFlags, flags, sizeof(flags));
        snprintf(text, sizeof(text), "Heap %" PRIu32 ", type %" PRIu32 ": %s", heap, type, flags);
        fprintf(page->file,
                "<line x1=\"%.1f\" y1=\"%.2f\" x2=\"%.1f\" y2=\"%.2f\" stroke=\"#c9ced6\"/>\n",
                PAGE_MARGIN, page->typeY[type], PAGE_MARGIN + ROW_WIDTH, page->typeY[type]);
        draw_text(page, PAGE_MARGIN, page->typeY[type] + 19.0, "h", text);
        snprintf(text, sizeof(text),
                 "%s live in %s committed (%.3f), %" PRIu32 " %s in %" PRIu32
                 " %s; %s of the heap's %s committed",
                 BYTE_TEXT(share.live), BYTE_TEXT(share.committed),
                 share.live > 0 ? (double)share.committed / (double)share.live : 0.0,
                 share.allocations, share.allocations == 1 ? "resource" : "resources", share.blocks,
                 share.blocks == 1 ? "block" : "blocks", BYTE_TEXT(heapShare.committed),
                 BYTE_TEXT(properties->memoryHeaps[heap].size));
        draw_text(page, PAGE_MARGIN, page->typeY[type] + 36.0, "s", text);
    }
}

static void draw_page(Page* page) {
    const MemoryPicture* picture = page->picture;
    char text[64];
    fprintf(page->file,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\">\n",
            ROW_WIDTH + 2 * PAGE_MARGIN, page->height, ROW_WIDTH + 2 * PAGE_MARGIN, page->height);
    draw_style(page);
    fputs("<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n", page->file);
    draw_text(page, PAGE_MARGIN, 40.0, "t", picture->title);
    draw_text(page, PAGE_MARGIN, 64.0, "s", picture->subtitle);
    draw_legend(page, true);
    /* An eighth of a row is a round number of bytes, and stands here as a ruler. */
    snprintf(text, sizeof(text), "%s", BYTE_TEXT((uint64_t)(page->rowBytes / 8)));
    fprintf(page->file,
            "<path d=\"M%.1f 32v8h%.1fv-8\" fill=\"none\" stroke=\"#1f2430\"/>\n"
            "<text class=\"c\" text-anchor=\"middle\" x=\"%.1f\" y=\"34\">%s</text>\n",
            PAGE_MARGIN + ROW_WIDTH * 7 / 8, ROW_WIDTH / 8, PAGE_MARGIN + ROW_WIDTH * 15 / 16,
            text);
    draw_headings(page);
    for (uint32_t i = 0, first = 0; i < picture->blockCount; ++i) {
        size_t count = 0;
        while (first + count < picture->rangeCount && picture->ranges[first + count].block == i) {
            ++count;
        }
        draw_block(page, i, picture->ranges + first, count);
        first += (uint32_t)count;
    }
    fputs("</svg>\n", page->file);
}

bool memory_svg_write(const MemoryPicture* picture, const char* path) {
    Page page = {0};
    page.picture = picture;
    page.places = calloc(picture->blockCount + 1u, sizeof(*page.places));
    if (page.places == NULL) {
        return false;
    }
    qsort(picture->ranges, picture->rangeCount, sizeof(*picture->ranges), compare_ranges);
    page.top = draw_legend(&page, false);
    choose_scale(&page);
    page.file = fopen(path, "w");
    if (page.file != NULL) {
        draw_page(&page);
    }
    bool failed = page.file == NULL || ferror(page.file) != 0;
    if (page.file != NULL && fclose(page.file) != 0) {
        failed = true;
    }
    free(page.places);
    return !failed;
}
