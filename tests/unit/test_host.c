/*
    test_host.c - >>host: memory by callbacks and by malloc, and tables, which never move, grow by
    chunks and change nothing where they cannot grow.

    Run by CTest (unit.host), or by hand without arguments.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>

/*  The malloc path goes through these. What they give is off by 8: no alignment comes for free. */
static void* odd_malloc(size_t size);
static void odd_free(void* memory);
#define SX_VKALLOC_MALLOC(n) odd_malloc(n)
#define SX_VKALLOC_FREE(p)   odd_free(p)
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"
#include "testing.h"

#define ODD      8
#define ODD_BYTE 0xC3 /* stands in front of what is given, and must stay */

static size_t odd_live;
static size_t odd_calls;
static size_t odd_asked;
static bool odd_fails;

static void* odd_malloc(size_t size) {
    char* base = odd_fails ? NULL : malloc(size + ODD);
    odd_calls++;
    odd_asked = size;
    if (base == NULL) {
        return NULL;
    }
    memset(base, ODD_BYTE, ODD);
    odd_live++;
    return base + ODD;
}

static void odd_free(void* memory) {
    unsigned char* base = (unsigned char*)memory - ODD;
    assert_non_null(memory);
    for (int i = 0; i < ODD; i++) {
        assert_int_equal(base[i], ODD_BYTE);
    }
    odd_live--;
    free(base);
}

static bool is_aligned(const void* memory, size_t alignment) {
    return ((uintptr_t)memory & (alignment - 1)) == 0;
}

/* --- allocation ------------------------------------------------------------------------------- */

/*  Every byte asked for is usable, and no other one is touched: ASan looks behind the end. */
static void test_malloc_path_aligns(void** state) {
    (void)state;
    static const size_t sizes[] = {1, 7, 64, 1000, 70000};
    sxvki_host host;
    sxvki_host_init(&host, NULL);
    assert_null(host.driver_callbacks);
    for (size_t alignment = 1; alignment <= 65536; alignment *= 2) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            char* memory = sxvki_host_alloc(&host, sizes[i], alignment);
            assert_non_null(memory);
            assert_true(is_aligned(memory, alignment));
            memset(memory, 0x5A, sizes[i]);
            assert_int_equal(odd_live, 1);
            sxvki_host_free(&host, memory);
            assert_int_equal(odd_live, 0);
        }
    }
}

static void test_malloc_path_fails_in_peace(void** state) {
    (void)state;
    sxvki_host host;
    sxvki_host_init(&host, NULL);
    odd_fails = true;
    assert_null(sxvki_host_alloc(&host, 100, 64));
    assert_null(sxvki_host_alloc_zeroed(&host, 100));
    odd_fails = false;
    sxvki_host_free(&host, NULL);
    assert_int_equal(odd_live, 0);
}

/*  Size and room for the alignment must not wrap to a small number. */
static void test_malloc_path_refuses_overflow(void** state) {
    (void)state;
    sxvki_host host;
    sxvki_host_init(&host, NULL);
    odd_calls = 0;
    odd_fails = true;
    for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
        size_t room = alignment - 1 + sizeof(void*);
        assert_null(sxvki_host_alloc(&host, SIZE_MAX, alignment));
        assert_null(sxvki_host_alloc(&host, SIZE_MAX - room + 1, alignment));
        assert_int_equal(odd_calls, 0);
        assert_null(sxvki_host_alloc(&host, SIZE_MAX - room, alignment)); /* malloc says no */
        assert_int_equal(odd_asked, SIZE_MAX);
        odd_calls = 0;
    }
    odd_fails = false;
}

/*  What a callback is told, and what it gets. */
typedef struct call {
    size_t size;
    size_t alignment;
    VkSystemAllocationScope scope;
    void* freed;
    int user; /* its address is the user data */
} call;

static void* VKAPI_PTR note_allocation(void* user, size_t size, size_t alignment,
                                       VkSystemAllocationScope scope) {
    call* c = user;
    c->size = size;
    c->alignment = alignment;
    c->scope = scope;
    return &c->user;
}

static void VKAPI_PTR note_free(void* user, void* memory) {
    call* c = user;
    c->freed = memory;
}

static void test_callbacks_are_told_all(void** state) {
    (void)state;
    call c = {.size = 0};
    VkAllocationCallbacks callbacks = {
        .pUserData = &c, .pfnAllocation = note_allocation, .pfnFree = note_free};
    sxvki_host host;
    sxvki_host_init(&host, &callbacks);
    memset(&callbacks, 0, sizeof(callbacks)); /* they were copied, for the driver too */
    assert_ptr_equal(host.driver_callbacks, &host.callbacks);
    assert_ptr_equal(host.driver_callbacks->pUserData, &c);
    for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
        void* memory = sxvki_host_alloc(&host, alignment + 3, alignment);
        assert_ptr_equal(memory, &c.user);
        assert_int_equal(c.size, alignment + 3);
        assert_int_equal(c.alignment, alignment);
        assert_int_equal(c.scope, VK_SYSTEM_ALLOCATION_SCOPE_OBJECT);
        c.freed = NULL;
        sxvki_host_free(&host, memory);
        assert_ptr_equal(c.freed, memory);
    }
    c.freed = &c;
    sxvki_host_free(&host, NULL);
    assert_ptr_equal(c.freed, &c);
    assert_int_equal(odd_live, 0);
}

static void test_zeroed_and_strings(void** state) {
    (void)state;
    Host counted;
    sxvki_host host;
    host_init(&counted);
    sxvki_host_init(&host, &counted.callbacks);

    unsigned char* zeroed = sxvki_host_alloc_zeroed(&host, 1000);
    assert_true(is_aligned(zeroed, 64));
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(zeroed[i], 0);
    }
    sxvki_host_free(&host, zeroed);

    static const char* const texts[] = {"", "a", "a name of some length, \xC3\xA9"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char* copy = NULL;
        assert_true(sxvki_host_copy_string(&host, texts[i], &copy));
        assert_string_equal(copy, texts[i]);
        assert_ptr_not_equal(copy, texts[i]);
        sxvki_host_free(&host, copy);
    }

    char* copy = &(char){'x'};
    assert_true(sxvki_host_copy_string(&host, NULL, &copy));
    assert_null(copy);
    copy = &(char){'x'};
    host_fail(&counted, 1, 1);
    assert_false(sxvki_host_copy_string(&host, "text", &copy));
    assert_null(copy);
    assert_int_equal(counted.liveCount, 0);
    assert_int_equal(counted.mistakes, 0);
}

/* --- tables ----------------------------------------------------------------------------------- */

typedef struct element {
    uint64_t number;
    uint32_t extra; /* 12 bytes of use: the size is no power of two on every ABI */
} element;

static element* element_at(const sxvki_table* table, uint32_t index) {
    return sxvki_table_at(table, index, table->first_shift, sizeof(element));
}

static void check_numbers(const sxvki_table* table, uint32_t count, uint64_t salt) {
    for (uint32_t i = 0; i < count; i++) {
        const element* e = element_at(table, i);
        assert_int_equal(e->number, i * salt);
        assert_int_equal(e->extra, ~i);
    }
}

/*  Elements keep their addresses and contents, lie apart, and new ones are zero. */
static void test_table_never_moves(void** state) {
    (void)state;
    enum { CHUNKS = 8 };
    Host counted;
    sxvki_host host;
    host_init(&counted);
    sxvki_host_init(&host, &counted.callbacks);
    for (uint32_t shift = 0; shift <= 6; shift += 3) {
        const uint32_t first = 1u << shift;
        sxvki_table table;
        element* seen[(1u << 6) << CHUNKS];
        sxvki_table_init(&table, shift, sizeof(element), 0);
        for (uint32_t k = 0; k < CHUNKS; k++) {
            uint32_t from = 0, to = 0;
            assert_true(sxvki_table_grow(&table, &host, UINT32_MAX, &from, &to));
            assert_int_equal(from, (first << k) - first);
            assert_int_equal(to, (first << (k + 1)) - first);
            assert_int_equal(table.capacity, from); /* not yet published */
            assert_int_equal(counted.liveCount, k + 1);
            sxvki_table_publish(&table, to);
            for (uint32_t i = from; i < to; i++) {
                element* e = element_at(&table, i);
                assert_int_equal(e->number, 0);
                assert_int_equal(e->extra, 0);
                e->number = (uint64_t)i * 3;
                e->extra = ~i;
                seen[i] = e;
            }
        }
        check_numbers(&table, table.capacity, 3);
        for (uint32_t i = 0; i < table.capacity; i++) {
            assert_ptr_equal(element_at(&table, i), seen[i]);
        }
        sxvki_table_shutdown(&table, &host);
        assert_int_equal(table.capacity, 0);
        assert_int_equal(counted.liveCount, 0);
    }
    assert_int_equal(counted.mistakes, 0);
}

static void test_table_failed_growth_changes_nothing(void** state) {
    (void)state;
    Host counted;
    sxvki_host host;
    sxvki_table table;
    uint32_t from = 77, to = 78;
    host_init(&counted);
    sxvki_host_init(&host, &counted.callbacks);
    sxvki_table_init(&table, 2, sizeof(element), 0);
    for (int k = 0; k < 5; k++) {
        sxvki_table before;
        memcpy(&before, &table, sizeof(table));
        from = 77;
        to = 78;
        host_fail(&counted, 1, 1);
        assert_false(sxvki_table_grow(&table, &host, UINT32_MAX, &from, &to));
        assert_memory_equal(&table, &before, sizeof(table));
        assert_true(from == 77 && to == 78);
        assert_true(sxvki_table_grow(&table, &host, UINT32_MAX, &from, &to));
        assert_int_equal(from, before.capacity);
        sxvki_table_publish(&table, to);
    }
    assert_int_equal(counted.failed, 5);
    sxvki_table_shutdown(&table, &host);
    sxvki_table_shutdown(&table, &host); /* a zeroed one is all right */
    assert_int_equal(counted.liveCount, 0);
    assert_int_equal(counted.mistakes, 0);
}

/*  A chunk may be taken into use bit by bit: one allocation, and only what is used is written. */
static void test_table_grows_in_steps(void** state) {
    Host counted;
    sxvki_host host;
    sxvki_table table;
    uint32_t from, to, i, step = 0;
    (void)state;
    host_init(&counted);
    sxvki_host_init(&host, &counted.callbacks);
    sxvki_table_init(&table, 3, sizeof(element), 0);
    while (table.capacity < 500) {
        uint32_t capacity = table.capacity;
        uint32_t room = 8; /* to the end of the chunk */
        while (capacity + 8 >= 2 * room) {
            room *= 2;
        }
        room = 2 * room - 8 - capacity;
        assert_true(sxvki_table_grow(&table, &host, 1 + step++ % 7, &from, &to));
        assert_int_equal(from, capacity);
        assert_int_equal(to - from, 1 + (step - 1) % 7 < room ? 1 + (step - 1) % 7 : room);
        sxvki_table_publish(&table, to);
        for (i = from; i < to; i++) {
            assert_int_equal(element_at(&table, i)->number, 0);
            element_at(&table, i)->number = i;
        }
    }
    for (i = 0; i < table.capacity; i++) {
        assert_int_equal(element_at(&table, i)->number, i);
    }
    assert_int_equal(counted.calls, 6); /* 8, 16 .. 256 elements */
    sxvki_table_shutdown(&table, &host);
    assert_int_equal(counted.liveCount, 0);
}

/*  A full table asks for no memory. Its chunks are not needed to see that, only its capacity. */
static void test_table_capacity_limits(void** state) {
    (void)state;
    Host counted;
    sxvki_host host;
    uint32_t from, to;
    host_init(&counted);
    sxvki_host_init(&host, &counted.callbacks);
    for (uint32_t shift = 0; shift <= 16; shift++) {
        uint32_t first = 1u << shift;
        /* Chunks run out, or 31 bits of index. */
        uint32_t chunks = shift + SXVKI_TABLE_CHUNKS <= 31 ? SXVKI_TABLE_CHUNKS : 31 - shift;
        sxvki_table table;
        sxvki_table_init(&table, shift, 1, 0);
        table.capacity = (first << chunks) - first;
        assert_false(sxvki_table_grow(&table, &host, UINT32_MAX, &from, &to));
        assert_int_equal(counted.calls, 0);
        assert_null(table.chunks[SXVKI_TABLE_CHUNKS - 1]);
    }

    /* One chunk less than full: it tries. */
    sxvki_table table;
    sxvki_table_init(&table, 6, 1, 0);
    table.capacity = (64u << 24) - 64;
    host_fail(&counted, 1, 1);
    assert_false(sxvki_table_grow(&table, &host, UINT32_MAX, &from, &to));
    assert_int_equal(counted.calls, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malloc_path_aligns),
        cmocka_unit_test(test_malloc_path_fails_in_peace),
        cmocka_unit_test(test_malloc_path_refuses_overflow),
        cmocka_unit_test(test_callbacks_are_told_all),
        cmocka_unit_test(test_zeroed_and_strings),
        cmocka_unit_test(test_table_never_moves),
        cmocka_unit_test(test_table_failed_growth_changes_nothing),
        cmocka_unit_test(test_table_grows_in_steps),
        cmocka_unit_test(test_table_capacity_limits),
    };
    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
