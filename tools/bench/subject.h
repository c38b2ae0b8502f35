/*
    subject.h - what is measured: our allocator and its peers behind one set of function pointers,
    so that all pay the same for being called.

    Three sorts: those that hand out Vulkan memory (HAS_DEVICE: ours, VMA), those that hand out
    ranges of one span of addresses that we give them (FIXED_RANGE: OffsetAllocator, TLSF), and the
    malloc of the process and of mimalloc, which stand for what a fast allocator costs. The virtual
    blocks of ours and of VMA (VIRTUAL) and a best-fit model stand apart, with a sequence of theirs.
*/
#ifndef SUBJECT_H
#define SUBJECT_H

#include "bench.h"
#include "sim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ the simulated device */

/*  Zero is the default of each. */
typedef struct Setup {
    uint64_t granularity; /* bufferImageGranularity, bytes; 0 = as in the settings */
    uint64_t heapBytes;   /* of the first heap; 0 = 8 GiB */
    uint64_t barBytes;    /* of the heap that the CPU sees of it; 0 = 256 MiB */
    uint32_t typeCount;   /* equal device-local types; 0 = the four of a discrete GPU */
    /* A custom pool of blocks of so many bytes in type 0; 0 = the default pools. */
    uint64_t blockBytes;
    uint64_t maxBlocks; /* of the custom pool; 0 = no limit */
    uint64_t mostBytes; /* of a block of the default pools; 0 = as the allocator likes */
    bool poolIgnoresGranularity;
    bool poolIsLinear;
    /* FIXED_RANGE subjects: the span they hand out, the grain of all sizes, and the number of
       allocations that they must have records for. */
    uint64_t spanBytes;
    uint64_t grain;
    uint32_t maxLive;
} Setup;

/*  Counts what an allocator asks of the host; the sizes are those that were asked for. */
typedef struct HostMemory {
    VkAllocationCallbacks callbacks;
    uint64_t bytes, peakBytes, count; /* atomic */
} HostMemory;

/*  What a resource is and what the driver is to demand for it. */
typedef struct ResourceInfo {
    bool isImage;
    VkBufferCreateInfo buffer;
    VkImageCreateInfo image;
    uint64_t size, alignment;
    bool prefersDedicated, requiresDedicated;
    VkMemoryPropertyFlags properties; /* of the only memory type that may be taken */
} ResourceInfo;

typedef struct Device {
    Sim* sim;
    HostMemory host;
    VkPhysicalDeviceMemoryProperties memory;
    const ResourceInfo* wanted; /* the resource that is being made */
    PFN_vkCreateBuffer vkCreateBuffer;
    PFN_vkDestroyBuffer vkDestroyBuffer;
    PFN_vkGetBufferMemoryRequirements2 vkGetBufferMemoryRequirements2;
} Device;

Device* device_open(const Setup* setup);
void device_close(Device* device); /* dies when the allocator leaked memory of device or host */

/*  Of now on every resource demands what device->wanted says. */
void device_pin_requirements(Device* device);

/*  The type with exactly these properties, as a bit. */
uint32_t device_type_bit(const Device* device, VkMemoryPropertyFlags properties);

uint64_t device_committed(const Device* device);
uint64_t device_driver_calls(const Device* device); /* of all kinds */
uint64_t device_memory_calls(const Device* device); /* of vkAllocateMemory */

void host_init(HostMemory* host);

/* ------------------------------------------------------------------ subjects */

typedef enum Traits {
    HAS_DEVICE = 1,
    FIXED_RANGE = 2,
    THREAD_SAFE = 4,
    IS_OURS = 8,
    NO_PEER = 16, /* measures the cost of the sequence itself */
    VIRTUAL = 32, /* hands out plain numbers of such a span: only where it is asked for */
    MODEL = 64,   /* says what could be, its times mean nothing: only where it is asked for */
    FAST = 128    /* what all else is held against */
} Traits;

typedef struct Subject Subject;

/*  A defragmentation of all default pools, every move committed: what it cost. */
typedef struct Defragmentation {
    uint32_t algorithm; /* 0 fast, 1 balanced, 2 full, 3 extensive */
    uint64_t passBytes; /* at most, of each pass */
    uint64_t bytesMoved, bytesFreed;
    uint32_t moves, passes;
    double seconds;        /* CPU time in the allocator */
    double longestSeconds; /* wall time of the longest planning portion: between two asks whether to
                              stop */
} Defragmentation;

/*  A program with movable buffers, of which four fifths go; then the allocator defragments in the
    background, frame by frame. */
typedef struct Background {
    uint32_t buffers, budgetMicroseconds;
    double least, most; /* bytes of a buffer */
    uint64_t seed;
    uint64_t blocksBefore, blocks;
    double before, after;  /* committed / live */
    uint32_t ticks;        /* at work */
    double longestSeconds; /* CPU time of the longest one */
} Background;

typedef struct Resource {
    void* allocation;
    VkBuffer buffer;
    VkImage image;
    uint64_t size;
} Resource;

typedef struct SubjectKind {
    const char* key; /* in JSON and --peers */
    const char* name;
    unsigned traits;
    bool (*available)(void); /* optional */
    Subject* (*open)(const Setup* setup);
    void (*close)(Subject* subject);
    /* NULL: no room; every other failure dies. Type is the index of the memory type. */
    void* (*allocate)(Subject* subject, uint64_t size, uint64_t alignment, uint32_t type);
    void (*release)(Subject* subject, void* allocation);

    /* What follows: HAS_DEVICE. */
    void* (*allocateForBuffer)(Subject* subject, VkBuffer buffer);
    void (*create)(Subject* subject, const ResourceInfo* info, Resource* resource);
    void (*destroy)(Subject* subject, Resource* resource);
    uint64_t (*liveBytes)(Subject* subject);
    void (*tick)(Subject* subject, uint32_t frame);
    void (*trim)(Subject* subject);                             /* optional */
    void (*checkIntegrity)(Subject* subject);                   /* optional */
    void (*defragment)(Subject* subject, Defragmentation* run); /* optional */
    void (*background)(Subject* subject, Background* run);      /* optional */
    /* Optional, for a linear pool: from the end downwards; all at once. */
    void* (*allocateUpper)(Subject* subject, uint64_t size, uint64_t alignment);
    void (*reset)(Subject* subject);
} SubjectKind;

/*  Each kind has a struct that begins with this. */
struct Subject {
    const SubjectKind* kind;
    Device* device; /* NULL without HAS_DEVICE */
};

extern const SubjectKind subject_ours;
extern const SubjectKind subject_ours_virtual;
extern const SubjectKind subject_best_fit;
extern const SubjectKind subject_glibc;
extern const SubjectKind subject_mimalloc;
extern const SubjectKind subject_nothing;
#ifdef SXVK_BENCH_VMA
extern const SubjectKind subject_vma;
extern const SubjectKind subject_vma_virtual;
#endif
#ifdef SXVK_BENCH_OFFSET_ALLOCATOR
extern const SubjectKind subject_offset_allocator;
#endif
#ifdef SXVK_BENCH_TLSF
extern const SubjectKind subject_tlsf;
#endif

#define MAX_SUBJECTS 8

/*  Call first: tells the mallocs to keep their memory, see subject_malloc.c. */
void subjects_prepare(void);

/*  Ours first, then the peers that are there, were asked for, and have one of these traits (0 =
    all but VIRTUAL and MODEL). Returns their number. */
uint32_t subjects_with(unsigned traits, const SubjectKind* kinds[MAX_SUBJECTS]);

/*  NULL, or a key in settings.peers that is no peer. */
const char* subjects_unknown_peer(void);

#ifdef __cplusplus
}
#endif

#endif /* SUBJECT_H */
