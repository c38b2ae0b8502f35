/*
    subject_malloc.c - the C library's malloc, mimalloc, and nothing at all; and the list of all.

    mimalloc comes by dlopen: to link with its shared library would put it in the place of malloc,
    and then nobody here would measure the C library's.
*/
#include "subject.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

static Subject* open_with(const SubjectKind* kind) {
    Subject* subject = allocate_or_die(1, sizeof *subject);
    subject->kind = kind;
    return subject;
}

static void close_any(Subject* subject) {
    free(subject);
}

/* ------------------------------------------------------------------ the C library */

static Subject* glibc_open(const Setup* setup) {
    (void)setup;
    return open_with(&subject_glibc);
}

static void* glibc_allocate(Subject* subject, uint64_t size, uint64_t alignment, uint32_t type) {
    (void)subject;
    (void)alignment;
    (void)type;
    return malloc((size_t)size);
}

static void glibc_release(Subject* subject, void* allocation) {
    (void)subject;
    free(allocation);
}

const SubjectKind subject_glibc = {
    .key = "glibc",
#ifdef __GLIBC__
    .name = "glibc malloc",
#else
    .name = "C library malloc",
#endif
    .traits = THREAD_SAFE,
    .open = glibc_open,
    .close = close_any,
    .allocate = glibc_allocate,
    .release = glibc_release,
};

/* ------------------------------------------------------------------ mimalloc */

static struct {
    bool tried;
    void* handle;
    void* (*allocate)(size_t size);
    void (*release)(void* memory);
} mimalloc;

static void* find(void* library, const char* name, void* function, size_t size) {
    void* symbol = dlsym(library, name);
    memcpy(function, &symbol, size); /* ISO C knows no cast from object to function pointers */
    return symbol;
}

static bool mimalloc_available(void) {
    static const char* const names[] = {
#ifdef SXVK_BENCH_MIMALLOC_LIBRARY
        SXVK_BENCH_MIMALLOC_LIBRARY,
#endif
        "libmimalloc.so.2", "libmimalloc.so.2.0", "libmimalloc.so", "libmimalloc.so.3"};
    if (!mimalloc.tried) {
        mimalloc.tried = true;
        for (size_t i = 0; i < sizeof names / sizeof *names && mimalloc.handle == NULL; i++) {
            mimalloc.handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        }
        if (mimalloc.handle != NULL && (find(mimalloc.handle, "mi_malloc", &mimalloc.allocate,
                                             sizeof mimalloc.allocate) == NULL ||
                                        find(mimalloc.handle, "mi_free", &mimalloc.release,
                                             sizeof mimalloc.release) == NULL)) {
            mimalloc.handle = NULL;
        }
    }
    return mimalloc.handle != NULL;
}

static Subject* mimalloc_open(const Setup* setup) {
    (void)setup;
    return open_with(&subject_mimalloc);
}

static void* mimalloc_allocate(Subject* subject, uint64_t size, uint64_t alignment, uint32_t type) {
    (void)subject;
    (void)alignment;
    (void)type;
    return mimalloc.allocate((size_t)size);
}

static void mimalloc_release(Subject* subject, void* allocation) {
    (void)subject;
    mimalloc.release(allocation);
}

const SubjectKind subject_mimalloc = {
    .key = "mimalloc",
    .name = "mimalloc",
    .traits = THREAD_SAFE | FAST,
    .available = mimalloc_available,
    .open = mimalloc_open,
    .close = close_any,
    .allocate = mimalloc_allocate,
    .release = mimalloc_release,
};

/* ------------------------------------------------------------------ nothing */

/*  What its rounds take is the cost of drawing numbers, keeping handles and calling functions. */
static Subject* nothing_open(const Setup* setup) {
    (void)setup;
    return open_with(&subject_nothing);
}

static void* nothing_allocate(Subject* subject, uint64_t size, uint64_t alignment, uint32_t type) {
    (void)size;
    (void)alignment;
    (void)type;
    return subject;
}

static void nothing_release(Subject* subject, void* allocation) {
    (void)subject;
    (void)allocation;
}

const SubjectKind subject_nothing = {
    .key = "nothing",
    .name = "nothing",
    .traits = THREAD_SAFE | NO_PEER,
    .open = nothing_open,
    .close = close_any,
    .allocate = nothing_allocate,
    .release = nothing_release,
};

/* ------------------------------------------------------------------ all of them */

static const SubjectKind* const all_kinds[] = {
    &subject_ours,
    &subject_ours_virtual,
    &subject_mimalloc,
    &subject_glibc,
#ifdef SXVK_BENCH_VMA
    &subject_vma,
    &subject_vma_virtual,
#endif
#ifdef SXVK_BENCH_OFFSET_ALLOCATOR
    &subject_offset_allocator,
#endif
#ifdef SXVK_BENCH_TLSF
    &subject_tlsf,
#endif
    &subject_best_fit,
};
#define KIND_COUNT (sizeof all_kinds / sizeof *all_kinds)

/*  Both mallocs are told to give nothing back to the system, as a device allocator keeps its blocks
    while it works: what is compared is their own work, not the kernel's with pages that come and
    go. The options of mimalloc have one name up to 2.0 and another one since. */
void subjects_prepare(void) {
    (void)setenv("MIMALLOC_ALLOW_DECOMMIT", "0", 0);
    (void)setenv("MIMALLOC_PURGE_DELAY", "-1", 0);
    (void)setenv("MIMALLOC_PAGE_RESET", "0", 0);
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
    (void)mallopt(M_TOP_PAD, 64 << 20);
#endif
}

/*  Is this key one of a comma-separated list? */
static bool is_listed(const char* list, const char* key) {
    size_t length = strlen(key);
    while (list != NULL) {
        if (strncmp(list, key, length) == 0 && (list[length] == ',' || list[length] == '\0')) {
            return true;
        }
        list = strchr(list, ',');
        list = list != NULL ? list + 1 : NULL;
    }
    return false;
}

uint32_t subjects_with(unsigned traits, const SubjectKind* kinds[MAX_SUBJECTS]) {
    uint32_t count = 0;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const SubjectKind* kind = all_kinds[i];
        bool wanted = (kind->traits & (IS_OURS | MODEL)) != 0 || settings.peers == NULL ||
                      is_listed(settings.peers, kind->key);
        bool fits =
            traits == 0 ? (kind->traits & (VIRTUAL | MODEL)) == 0 : (kind->traits & traits) != 0;
        if (wanted && fits && (kind->available == NULL || kind->available())) {
            kinds[count++] = kind;
        }
    }
    return count;
}

const char* subjects_unknown_peer(void) {
    const char* at = settings.peers;
    while (at != NULL && *at != '\0') {
        bool known = strcmp(settings.peers, "none") == 0; /* alone */
        for (size_t i = 0; i < KIND_COUNT && !known; i++) {
            size_t length = strlen(all_kinds[i]->key);
            known = strncmp(at, all_kinds[i]->key, length) == 0 &&
                    (at[length] == ',' || at[length] == '\0') &&
                    (all_kinds[i]->available == NULL || all_kinds[i]->available());
        }
        if (!known) {
            return at;
        }
        at = strchr(at, ',');
        at = at != NULL ? at + 1 : NULL;
    }
    return NULL;
}
