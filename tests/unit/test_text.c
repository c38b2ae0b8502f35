/*
    test_text.c - >>text: numbers as printf writes them, JSON as cJSON reads it, and host memory
    that fails at each place in turn. The seed of the random documents is fixed.

    Run by CTest (unit.text), or by hand without arguments.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"
#include "testing.h"

#define DOCUMENTS 300
#define EXACT     ((uint64_t)1 << 53) /* cJSON holds numbers as double */

typedef struct writer {
    Host counted;
    sxvki_host host;
    sxvki_text text;
    sxvki_json json;
} writer;

static void writer_init(writer* w) {
    host_init(&w->counted);
    sxvki_host_init(&w->host, &w->counted.callbacks);
    sxvki_text_init(&w->text, &w->host);
    memset(&w->json, 0, sizeof(w->json));
    w->json.text = &w->text;
}

static void writer_shutdown(writer* w) {
    sxvki_text_shutdown(&w->text);
    sxvki_text_shutdown(&(sxvki_text){.host = &w->host}); /* nothing was added: nothing to free */
    assert_int_equal(w->counted.liveCount, 0);
    assert_int_equal(w->counted.mistakes, 0);
}

/*  The document that was written; it has no tail, and is not cut short by a zero. */
static cJSON* parse(const writer* w) {
    const char* end = NULL;
    assert_false(w->text.failed);
    assert_int_equal(strlen(w->text.data), w->text.size);
    cJSON* root = cJSON_ParseWithOpts(w->text.data, &end, 1);
    if (root == NULL) {
        print_error("no JSON at \"%.40s\" of\n%s\n", cJSON_GetErrorPtr(), w->text.data);
    }
    assert_non_null(root);
    return root;
}

/* --- text ------------------------------------------------------------------------------------- */

static void test_text_grows(void** state) {
    (void)state;
    static char expected[40000];
    uint64_t seed = 2;
    size_t size = 0;
    writer w;
    writer_init(&w);
    sxvki_text_add(&w.text, "");
    assert_string_equal(w.text.data, "");
    while (size + 700 < sizeof(expected)) {
        char piece[700];
        size_t count = testing_below(&seed, sizeof(piece));
        memset(piece, 'a' + (int)testing_below(&seed, 26), count);
        memcpy(expected + size, piece, count);
        size += count;
        sxvki_text_add_bytes(&w.text, piece, count);
        assert_int_equal(w.text.size, size);
        assert_true(w.text.capacity > size);
        assert_int_equal(w.text.data[size], 0);
        assert_int_equal(w.counted.liveCount, 1);
    }
    assert_memory_equal(w.text.data, expected, size);
    assert_in_range(w.counted.calls, 2, 12); /* it grows by doubling */
    writer_shutdown(&w);
}

static void check_number(uint64_t x) {
    char expected[64];
    writer w;
    writer_init(&w);
    sxvki_text_add_u64(&w.text, x);
    sxvki_text_add(&w.text, " ");
    sxvki_text_add_hex(&w.text, x);
    (void)snprintf(expected, sizeof(expected), "%" PRIu64 " 0x%" PRIx64, x, x);
    assert_string_equal(w.text.data, expected);
    writer_shutdown(&w);
}

static void test_numbers(void** state) {
    (void)state;
    uint64_t seed = 3;
    uint64_t power = 1;
    check_number(0);
    check_number(UINT64_MAX);
    for (int digits = 0; digits < 20; digits++, power *= 10) {
        check_number(power - 1);
        check_number(power);
    }
    for (int i = 0; i < 2000; i++) {
        uint64_t x = testing_random(&seed);
        check_number(x >> testing_below(&seed, 64));
    }
}

/* --- JSON ------------------------------------------------------------------------------------- */

/*  The string comes back as a value and as a key. */
static void check_string(const char* string) {
    writer w;
    writer_init(&w);
    sxvki_json_begin(&w.json, "{");
    sxvki_json_pair_string(&w.json, string, string);
    sxvki_json_end(&w.json, "}");
    cJSON* root = parse(&w);
    const cJSON* item = root->child;
    assert_string_equal(item->string, string);
    assert_string_equal(cJSON_GetStringValue(item), string);
    for (size_t i = 0; i < w.text.size; i++) {
        /* RFC 8259: nothing below U+0020 stands bare in a string; line feeds stand outside only. */
        assert_true((unsigned char)w.text.data[i] >= 32 || w.text.data[i] == '\n');
    }
    cJSON_Delete(root);
    writer_shutdown(&w);
}

static void test_every_character(void** state) {
    (void)state;
    for (int c = 1; c < 128; c++) {
        char string[] = {(char)c, 0, 0, 0, 0};
        check_string(string);
        memcpy(string, (char[]){'a', (char)c, (char)c, 'b', 0}, 5);
        check_string(string);
    }
    check_string("");
    check_string("\\\"\\\\\"\"\n\r\t\b\f\x01\x1F/");
    check_string("\\u0041 stays six characters");
}

/*  Beyond ASCII all bytes pass: names are UTF-8, of 2, 3 and 4 bytes. */
static void test_utf8_passes(void** state) {
    (void)state;
    static const char name[] =
        "\xC2\x80 \xC3\xA9 \xDF\xBF \xE2\x82\xAC \xEF\xBF\xBD \xF0\x9F\x8E\xAE";
    writer w;
    check_string(name);
    check_string("\"\xC3\xA9\\\xF0\x9F\x8E\xAE\n");
    writer_init(&w);
    sxvki_json_string(&w.json, name);
    assert_int_equal(w.text.size, strlen(name) + 2);
    assert_memory_equal(w.text.data + 1, name, strlen(name));
    writer_shutdown(&w);
}

static void test_controls_are_written_in_full(void** state) {
    (void)state;
    for (unsigned c = 1; c < 32; c++) {
        char expected[16];
        writer w;
        writer_init(&w);
        sxvki_json_string(&w.json, (char[]){(char)c, 0});
        (void)snprintf(expected, sizeof(expected), "\"\\u%04x\"", c);
        assert_string_equal(w.text.data, expected);
        writer_shutdown(&w);
    }
}

static void test_layout(void** state) {
    (void)state;
    writer w;
    writer_init(&w);
    sxvki_json_begin(&w.json, "{");
    sxvki_json_key(&w.json, "no object");
    sxvki_json_begin(&w.json, "{");
    sxvki_json_end(&w.json, "}");
    sxvki_json_key(&w.json, "no list");
    sxvki_json_begin(&w.json, "[");
    sxvki_json_end(&w.json, "]");
    sxvki_json_key_u64(&w.json, "Heap ", 3);
    sxvki_json_begin(&w.json, "[");
    sxvki_json_u64(&w.json, 1);
    sxvki_json_begin(&w.json, "[");
    sxvki_json_end(&w.json, "]");
    sxvki_json_string(&w.json, "two");
    sxvki_json_end(&w.json, "]");
    sxvki_json_pair_u64(&w.json, "last", UINT64_MAX);
    sxvki_json_end(&w.json, "}");
    assert_string_equal(w.text.data, "{\n"
                                     "  \"no object\": {},\n"
                                     "  \"no list\": [],\n"
                                     "  \"Heap 3\": [\n"
                                     "    1,\n"
                                     "    [],\n"
                                     "    \"two\"\n"
                                     "  ],\n"
                                     "  \"last\": 18446744073709551615\n"
                                     "}");
    cJSON_Delete(parse(&w));
    writer_shutdown(&w);
}

/*  As deep as the writer promises, with an element before and behind each inner list. */
static void test_deepest_nesting(void** state) {
    (void)state;
    enum { DEEPEST = SXVKI_JSON_DEPTH - 1 };
    writer w;
    writer_init(&w);
    for (uint64_t depth = 1; depth <= DEEPEST; depth++) {
        sxvki_json_begin(&w.json, "[");
        sxvki_json_u64(&w.json, depth);
    }
    for (uint64_t depth = DEEPEST; depth >= 1; depth--) {
        sxvki_json_u64(&w.json, 100 + depth);
        sxvki_json_end(&w.json, "]");
    }
    cJSON* root = parse(&w);
    const cJSON* list = root;
    for (int depth = 1; depth <= DEEPEST; depth++) {
        int size = cJSON_GetArraySize(list);
        assert_int_equal(size, depth == DEEPEST ? 2 : 3);
        assert_int_equal(cJSON_GetArrayItem(list, 0)->valueint, depth);
        assert_int_equal(cJSON_GetArrayItem(list, size - 1)->valueint, 100 + depth);
        list = cJSON_GetArrayItem(list, 1);
    }
    cJSON_Delete(root);
    writer_shutdown(&w);
}

static void random_string(uint64_t* seed, char* string) {
    static const char* const pieces[] = {
        "\"", "\\", "\n",   "\t", "\x01", "\x1F",     "/",            "{",               "]",
        ",",  ":",  "name", " ",  "\x7F", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8E\xAE"};
    string[0] = 0;
    for (uint32_t i = testing_below(seed, 12); i != 0; i--) {
        strcat(string, pieces[testing_below(seed, sizeof(pieces) / sizeof(pieces[0]))]);
    }
}

/*  The same random value by the writer, and by cJSON. */
static cJSON* write_value(sxvki_json* json, uint64_t* seed, int depth) {
    char string[64], key[80];
    uint32_t kind = testing_below(seed, depth < 6 ? 4 : 2);
    if (kind == 0) {
        uint64_t x = testing_random(seed) % EXACT;
        sxvki_json_u64(json, x);
        return cJSON_CreateNumber((double)x);
    }
    if (kind == 1) {
        random_string(seed, string);
        sxvki_json_string(json, string);
        return cJSON_CreateString(string);
    }
    cJSON* container = kind == 2 ? cJSON_CreateArray() : cJSON_CreateObject();
    uint32_t count = testing_below(seed, 5);
    sxvki_json_begin(json, kind == 2 ? "[" : "{");
    for (uint32_t i = 0; i < count; i++) {
        if (kind == 2) {
            (void)cJSON_AddItemToArray(container, write_value(json, seed, depth + 1));
            continue;
        }
        if (testing_below(seed, 2) == 0) {
            (void)snprintf(key, sizeof(key), "Key %u", i);
            sxvki_json_key_u64(json, "Key ", i);
        } else {
            random_string(seed, string);
            (void)snprintf(key, sizeof(key), "%u%s", i, string); /* keys are unique */
            sxvki_json_key(json, key);
        }
        (void)cJSON_AddItemToObject(container, key, write_value(json, seed, depth + 1));
    }
    sxvki_json_end(json, kind == 2 ? "]" : "}");
    return container;
}

static void test_random_documents(void** state) {
    (void)state;
    for (uint64_t document = 0; document < DOCUMENTS; document++) {
        uint64_t seed = document;
        writer w;
        writer_init(&w);
        cJSON* expected = write_value(&w.json, &seed, 0);
        cJSON* root = parse(&w);
        if (!cJSON_Compare(root, expected, 1)) {
            fail_msg("document of seed %" PRIu64 " differs:\n%s", document, w.text.data);
        }
        cJSON_Delete(root);
        cJSON_Delete(expected);
        writer_shutdown(&w);
    }
}

/* --- failing host memory ---------------------------------------------------------------------- */

static void write_much(sxvki_json* json) {
    sxvki_json_begin(json, "{");
    for (uint64_t i = 0; i < 400; i++) {
        sxvki_json_key_u64(json, "Number ", i);
        sxvki_json_begin(json, "[");
        sxvki_json_u64(json, i);
        sxvki_json_string(json, "some \"text\" to fill the buffer with");
        sxvki_text_add_hex(json->text, i);
        sxvki_json_end(json, "]");
    }
    sxvki_json_end(json, "}");
}

/*  Each growth fails in turn, once: the text stays failed, and what it held before stays whole. */
static void test_each_growth_fails(void** state) {
    (void)state;
    writer whole;
    writer_init(&whole);
    write_much(&whole.json);
    assert_in_range(whole.counted.calls, 5, 20);
    for (uint64_t nth = 1; nth <= whole.counted.calls; nth++) {
        writer w;
        writer_init(&w);
        host_fail(&w.counted, nth, 1);
        write_much(&w.json);
        assert_int_equal(w.text.failed, 1);
        assert_int_equal(w.counted.calls, nth); /* nothing was asked for after it */
        assert_int_equal(w.counted.liveCount, nth == 1 ? 0 : 1);
        assert_true(w.text.size < whole.text.size);
        if (nth > 1) {
            assert_int_equal(w.text.data[w.text.size], 0);
            assert_memory_equal(w.text.data, whole.text.data, w.text.size);
        } else {
            assert_null(w.text.data);
        }
        writer_shutdown(&w);
    }
    writer_shutdown(&whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_grows),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_every_character),
        cmocka_unit_test(test_utf8_passes),
        cmocka_unit_test(test_controls_are_written_in_full),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_deepest_nesting),
        cmocka_unit_test(test_random_documents),
        cmocka_unit_test(test_each_growth_fails),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
