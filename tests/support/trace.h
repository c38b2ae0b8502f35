/*
    trace.h - reads the recorded allocation traces of tests/data/traces (see the README there).

        Trace trace;
        if (!trace_load("warzone-cam1a.trace.xz", &trace)) {
            fprintf(stderr, "%s\n", trace.error);
        }
        for (size_t i = 0; i < trace.eventCount; i++) {
            ... trace.events[i] ...
        }
        trace_free(&trace);

    What it hands out is checked: ids are new when they appear and alive when they are used,
    alignments are powers of two, and a resource lies in a memory that is alive. Compile and link:
    trace.c, liblzma.
*/
#ifndef TRACE_H
#define TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*  The letter that starts the line. */
typedef enum TraceKind {
    TRACE_BUFFER = 'B',
    TRACE_IMAGE = 'I',
    TRACE_DESTROY = 'F', /* of a buffer or image: id */
    TRACE_ALLOCATE =
        'M', /* the program's own vkAllocateMemory: id, size, typeIndex, dedicated, imported */
    TRACE_FREE = 'D', /* its vkFreeMemory: id */
    TRACE_PRESENT = 'P',
    TRACE_SUBMIT = 'S' /* n queue submits */
} TraceKind;

/*  Fields that a kind does not have are 0. Vulkan's numbers are kept as numbers. */
typedef struct TraceEvent {
    TraceKind kind;
    uint32_t id; /* buffers, images and memories share one space and never use an id twice */
    uint64_t size;
    uint64_t align;
    uint32_t typeBits;  /* memoryTypeBits */
    uint32_t usage;     /* VkBufferUsageFlags or VkImageUsageFlags */
    uint32_t dedicated; /* 0 none, 1 prefers, 2 requires; of M: 1 = was dedicated */
    uint32_t props;     /* VkMemoryPropertyFlags of the type that the program chose */
    uint32_t memId;     /* the M where it was bound, and there at */
    uint64_t offset;
    uint32_t tiling; /* VkImageTiling; this and what follows: images */
    uint32_t w;
    uint32_t h;
    uint32_t d;
    uint32_t mips;
    uint32_t layers;
    uint32_t format; /* VkFormat */
    uint32_t samples;
    uint32_t createFlags;
    uint32_t typeIndex; /* of M */
    uint32_t imported;  /* of M: 0 no, 1 file descriptor, 2 host pointer */
    uint32_t n;         /* of S */
} TraceEvent;

typedef struct Trace {
    TraceEvent* events;
    size_t eventCount;
    uint32_t idCount;       /* ids are below this */
    size_t resourceEvents;  /* B, I and F */
    uint64_t peakLiveBytes; /* of buffers and images */
    char app[128];          /* what was recorded, from the "# app:" line */
    char error[256];        /* why loading failed; "" = it did not */
} Trace;

/*  Read a .trace.xz file. False on failure: error tells file, line and reason, the rest is zero. */
bool trace_load(const char* path, Trace* trace);

/*  The same for text in memory; name stands in for the file name in errors. */
bool trace_parse(const char* name, const char* text, size_t size, Trace* trace);

/*  Accepts a zeroed trace, and one that failed to load. */
void trace_free(Trace* trace);

#ifdef __cplusplus
}
#endif

#endif /* TRACE_H */
