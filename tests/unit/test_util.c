/*
    test_util.c - >>util: alignment, checked arithmetic and bit scans against loops that cannot be
    wrong. The seed of the random values is fixed.

    Run by CTest (unit.util), or by hand without arguments.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"
#include "testing.h"

#define RANDOM_VALUES 20000

typedef void (*visit)(uint64_t x);

/*  0 and every power of two, each with both neighbours, and random values of every width. */
static void visit_values(visit f) {
    uint64_t seed = 1;
    f(0);
    f(UINT64_MAX);
    for (uint32_t bit = 0; bit < 64; bit++) {
        uint64_t power = (uint64_t)1 << bit;
        f(power - 1);
        f(power);
        f(power + 1);
    }
    for (int i = 0; i < RANDOM_VALUES; i++) {
        uint64_t x = testing_random(&seed);
        f(x >> testing_random(&seed) % 64);
    }
}

/* --- loops to compare with -------------------------------------------------------------------- */

static uint32_t naive_high_bit(uint64_t x) {
    uint32_t high = 0;
    for (uint32_t bit = 0; bit < 64; bit++) {
        if (x & (uint64_t)1 << bit) {
            high = bit;
        }
    }
    return high;
}

static uint32_t naive_low_bit(uint64_t x) {
    uint32_t bit = 0;
    while ((x & (uint64_t)1 << bit) == 0) {
        bit++;
    }
    return bit;
}

static uint32_t naive_count_bits(uint64_t x) {
    uint32_t count = 0;
    for (uint32_t bit = 0; bit < 64; bit++) {
        count += (uint32_t)(x >> bit) & 1;
    }
    return count;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void check_bits(uint64_t x) {
    assert_int_equal(sxvki_count_bits((uint32_t)x), naive_count_bits(x & UINT32_MAX));
    assert_int_equal(sxvki_is_pow2(x), naive_count_bits(x) == 1);
    if (x != 0) {
        assert_int_equal(sxvki_high_bit(x), naive_high_bit(x));
        assert_int_equal(sxvki_low_bit(x), naive_low_bit(x));
    }
}

static void test_bit_scans(void** state) {
    (void)state;
    visit_values(check_bits);
}

/*  Of the powers of two, the last that is not above x, and the first that is not below. */
static void check_powers(uint64_t x) {
    uint64_t floor = 0;
    uint64_t ceil = 0;
    if (x == 0) {
        return;
    }
    for (uint32_t bit = 0; bit < 64; bit++) {
        uint64_t power = (uint64_t)1 << bit;
        if (power <= x) {
            floor = power;
        }
        if (power >= x && ceil == 0) {
            ceil = power;
        }
    }
    assert_true(sxvki_pow2_floor(x) == floor);
    if (ceil != 0) {
        assert_true(sxvki_pow2_ceil(x) == ceil);
    }
}

static void test_powers_of_two(void** state) {
    (void)state;
    const uint64_t top = (uint64_t)1 << 63;
    visit_values(check_powers);
    assert_true(sxvki_pow2_floor(UINT64_MAX) == top);
    assert_true(sxvki_pow2_ceil(top) == top);
    assert_true(sxvki_pow2_ceil(top - 1) == top);
    assert_true(sxvki_pow2_ceil(0) == 1);
    assert_true(sxvki_pow2_ceil(1) == 1);
}

static void check_alignment(uint64_t x) {
    for (uint32_t shift = 0; shift < 40; shift++) {
        uint64_t alignment = (uint64_t)1 << shift;
        uint64_t below = x / alignment * alignment;
        assert_true(sxvki_align_down(x, alignment) == below);
        if (x <= UINT64_MAX - alignment) {
            assert_true(sxvki_align_up(x, alignment) == (below == x ? x : below + alignment));
        }
    }
}

static void test_alignment(void** state) {
    (void)state;
    visit_values(check_alignment);
    for (uint64_t x = 0; x < 300; x++) {
        check_alignment(x);
    }
}

static void check_saturation(uint64_t x) {
    static const uint64_t edges[] = {0, 1, UINT32_MAX, INT64_MAX, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        uint64_t y = edges[i];
        assert_true(sxvki_saturating_add(x, y) == (x > UINT64_MAX - y ? UINT64_MAX : x + y));
        assert_true(sxvki_saturating_add(y, x) == sxvki_saturating_add(x, y));
        assert_true(sxvki_saturating_sub(x, y) == (x < y ? 0 : x - y));
        assert_true(sxvki_saturating_sub(y, x) == (y < x ? 0 : y - x));
        assert_true(sxvki_min64(x, y) == (x < y ? x : y) && sxvki_min64(y, x) == sxvki_min64(x, y));
        assert_true(sxvki_max64(x, y) == (x < y ? y : x) && sxvki_max64(y, x) == sxvki_max64(x, y));
    }
}

static void test_saturation_and_order(void** state) {
    (void)state;
    visit_values(check_saturation);
}

/*  Users of the mix take its top byte as a slot: pointers a page apart must reach all of them. */
static void test_mix_spreads_pointers(void** state) {
    (void)state;
    for (uint32_t shift = 4; shift <= 16; shift += 4) {
        uint32_t hits[256] = {0};
        for (uint64_t i = 0; i < 256 * 16; i++) {
            hits[sxvki_mix(0x00007F0000000000u + (i << shift)) >> 56]++;
        }
        for (uint32_t slot = 0; slot < 256; slot++) {
            assert_in_range(hits[slot], 1, 64);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bit_scans),
        cmocka_unit_test(test_powers_of_two),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_saturation_and_order),
        cmocka_unit_test(test_mix_spreads_pointers),
    };
    return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
