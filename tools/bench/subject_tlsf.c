/*
    subject_tlsf.c - Matthew Conte's TLSF; compiled only where SX_VKALLOC_BENCH_TLSF_DIR says where
    tlsf.h and tlsf.c are.

    It keeps its records inside the memory that it hands out, so the span is mapped, and the pages
    that it writes to become real.
*/
#include <tlsf.h>

#include "subject.h"

#include <stdlib.h>
#include <sys/mman.h>

/*  Strict C99 hides these two; the values are Linux's. */
#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS 0x20
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0x4000
#endif

typedef struct Tlsf {
    Subject base;
    tlsf_t allocator;
    void* span;
    size_t spanBytes;
} Tlsf;

static Subject* tlsf_subject_open(const Setup* setup) {
    Tlsf* tlsf = allocate_or_die(1, sizeof *tlsf);
    tlsf->base.kind = &subject_tlsf;
    tlsf->spanBytes = (size_t)setup->spanBytes;
    tlsf->span = mmap(NULL, tlsf->spanBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (tlsf->span == MAP_FAILED) {
        die("no %zu bytes of address space for TLSF", tlsf->spanBytes);
    }
    /* TLSF takes no pool larger than its block size limit: several, then, for a large span. */
    tlsf->allocator = tlsf_create(malloc(tlsf_size()));
    size_t most = tlsf_block_size_max() - tlsf_pool_overhead();
    for (size_t at = 0; at + tlsf_pool_overhead() + 4096 < tlsf->spanBytes;) {
        size_t bytes = tlsf->spanBytes - at < most ? tlsf->spanBytes - at : most / 4096 * 4096;
        if (tlsf_add_pool(tlsf->allocator, (char*)tlsf->span + at, bytes) == NULL) {
            die("TLSF takes no pool of %zu bytes", bytes);
        }
        at += bytes;
    }
    return &tlsf->base;
}

static void tlsf_subject_close(Subject* subject) {
    Tlsf* tlsf = (Tlsf*)subject;
    tlsf_destroy(tlsf->allocator);
    free(tlsf->allocator);
    (void)munmap(tlsf->span, tlsf->spanBytes);
    free(tlsf);
}

static void* tlsf_allocate(Subject* subject, uint64_t size, uint64_t alignment, uint32_t type) {
    (void)type;
    return tlsf_memalign(((Tlsf*)subject)->allocator, (size_t)alignment, (size_t)size);
}

static void tlsf_release(Subject* subject, void* allocation) {
    tlsf_free(((Tlsf*)subject)->allocator, allocation);
}

const SubjectKind subject_tlsf = {
    .key = "tlsf",
    .name = "TLSF",
    .traits = FIXED_RANGE,
    .open = tlsf_subject_open,
    .close = tlsf_subject_close,
    .allocate = tlsf_allocate,
    .release = tlsf_release,
};
