/*
    test_trace.c - the trace reader gives what the README of tests/data/traces says, and refuses what
    is malformed.

    Run by CTest (unit.trace), or by hand without arguments.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace.h"

#define TRACES SXVK_TEST_DATA_DIR "/traces/"

/* --- real traces ------------------------------------------------------------------------------ */

/*  Each row of the README's table: events, and peak live MB, the first two figures. */
static void test_every_trace_is_as_its_readme_says(void** state) {
    (void)state;
    FILE* readme = fopen(TRACES "README.md", "r");
    assert_non_null(readme);
    int rows = 0;
    char line[1024];
    while (fgets(line, sizeof(line), readme) != NULL) {
        char name[64];
        unsigned long events;
        double peakMb;
        if (sscanf(line, "| %63s | %lu | %lf |", name, &events, &peakMb) != 3) {
            continue;
        }
        rows++;
        char path[1024];
        (void)snprintf(path, sizeof(path), TRACES "%s.trace.xz", name);
        Trace trace;
        bool loaded = trace_load(path, &trace);
        assert_string_equal(trace.error, "");
        assert_true(loaded);
        assert_int_equal(trace.resourceEvents, events);
        assert_true(fabs((double)trace.peakLiveBytes / 1e6 - peakMb) <= 0.1);
        assert_true(trace.app[0] != '\0');
        trace_free(&trace);
        assert_null(trace.events);
    }
    (void)fclose(readme);
    assert_int_equal(rows, 8);
}

static void test_fields_of_every_kind(void** state) {
    (void)state;
    static const char text[] = "# restrace 1\n"
                               "# app: some game 1.0\n"
                               "M 1 8589934592 3 1 2\n"
                               "B 2 1000 256 15 219ff 1 e 1 4294967296\n"
                               "I 3 5000 1024 7 44 1 2 640 480 5 10 6 37 7 1 0 4 10\n"
                               "P\n"
                               "S 12\n"
                               "F 2\n"
                               "F 3\n"
                               "# device destroyed\n"
                               "D 1\n";
    Trace trace;
    assert_true(trace_parse("text", text, sizeof(text) - 1, &trace));
    assert_int_equal(trace.eventCount, 8);
    assert_int_equal(trace.resourceEvents, 4);
    assert_int_equal(trace.idCount, 4);
    assert_int_equal(trace.peakLiveBytes, 6000);
    assert_string_equal(trace.app, "some game 1.0");

    static const TraceEvent memory = {.kind = TRACE_ALLOCATE,
                                      .id = 1,
                                      .size = 8589934592u,
                                      .typeIndex = 3,
                                      .dedicated = 1,
                                      .imported = 2};
    static const TraceEvent buffer = {.kind = TRACE_BUFFER,
                                      .id = 2,
                                      .size = 1000,
                                      .align = 256,
                                      .typeBits = 15,
                                      .usage = 0x219ff,
                                      .dedicated = 1,
                                      .props = 0xe,
                                      .memId = 1,
                                      .offset = 4294967296u};
    static const TraceEvent image = {.kind = TRACE_IMAGE,
                                     .id = 3,
                                     .size = 5000,
                                     .align = 1024,
                                     .typeBits = 7,
                                     .usage = 0x44,
                                     .tiling = 1,
                                     .dedicated = 2,
                                     .w = 640,
                                     .h = 480,
                                     .d = 5,
                                     .mips = 10,
                                     .layers = 6,
                                     .format = 37,
                                     .props = 7,
                                     .memId = 1,
                                     .offset = 0,
                                     .samples = 4,
                                     .createFlags = 0x10};
    assert_memory_equal(&trace.events[0], &memory, sizeof(memory));
    assert_memory_equal(&trace.events[1], &buffer, sizeof(buffer));
    assert_memory_equal(&trace.events[2], &image, sizeof(image));
    assert_int_equal(trace.events[3].kind, TRACE_PRESENT);
    assert_int_equal(trace.events[4].kind, TRACE_SUBMIT);
    assert_int_equal(trace.events[4].n, 12);
    assert_int_equal(trace.events[5].kind, TRACE_DESTROY);
    assert_int_equal(trace.events[5].id, 2);
    assert_int_equal(trace.events[7].kind, TRACE_FREE);
    assert_int_equal(trace.events[7].id, 1);
    trace_free(&trace);
}

/* --- refused input ---------------------------------------------------------------------------- */

/*  Each stands behind "M 1 4096 0 0 0" and "B 2 100 16 1 1 0 1 1 0", so in line 3. */
static const struct {
    const char* lines;
    const char* problem;
} refused[] = {
    {"X 3\n", "malformed line"},
    {"\n", "malformed line"},
    {"M 3 100 0 0\n", "malformed line"},                    /* a field short */
    {"M 3 100 0 0 0 0\n", "malformed line"},                /* a field more */
    {"M 3 100 0 0 \n", "malformed line"},                   /* an empty field */
    {"M 3  100 0 0 0\n", "malformed line"},                 /* two blanks */
    {"M 3 1e2 0 0 0\n", "malformed line"},                  /* not decimal */
    {"M 3 -1 0 0 0\n", "malformed line"},                   /* not unsigned */
    {"B 3 1 16 1 xyz 0 1 1 0\n", "malformed line"},         /* not hexadecimal */
    {"M 3 18446744073709551616 0 0 0\n", "malformed line"}, /* 2^64 */
    {"M 4294967296 100 0 0 0\n", "malformed line"},         /* 2^32 */
    {"P 1\n", "malformed line"},
    {"S\n", "malformed line"},
    {"M 0 100 0 0 0\n", "bad id"},
    {"M 4294967295 100 0 0 0\n", "bad id"},
    {"M 3 0 0 0 0\n", "size is zero"},
    {"M 1 100 0 0 0\n", "id used twice"},
    {"B 2 100 16 1 1 0 1 1 0\n", "id used twice"},
    {"F 2\nB 2 100 16 1 1 0 1 1 0\n", "id used twice"},
    {"F 7\n", "id of nothing that is alive"},
    {"F 1000000\n", "id of nothing that is alive"},
    {"F 1\n", "id of nothing that is alive"}, /* a memory */
    {"D 2\n", "id of nothing that is alive"}, /* a buffer */
    {"F 2\nF 2\n", "id of nothing that is alive"},
    {"B 3 100 48 1 1 0 1 1 0\n", "alignment is not a power of two"},
    {"B 3 100 0 1 1 0 1 1 0\n", "alignment is not a power of two"},
    {"B 3 100 16 1 1 0 1 9 0\n", "memory is not alive"},
    {"B 3 100 16 1 1 0 1 2 0\n", "memory is not alive"}, /* that is the buffer */
    {"F 2\nD 1\nB 3 100 16 1 1 0 1 1 0\n", "memory is not alive"},
    {"B 3 100 16 1 1 0 1 1 3997\n", "resource leaves its memory"},
    {"B 3 4097 16 1 1 0 1 1 0\n", "resource leaves its memory"},
    {"B 3 100 16 1 1 0 1 1 18446744073709551615\n", "resource leaves its memory"},
    {"P", "the last line has no end"},
};

static void test_bad_lines_are_refused_with_their_number(void** state) {
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        char text[256];
        int length = snprintf(text, sizeof(text), "M 1 4096 0 0 0\nB 2 100 16 1 1 0 1 1 0\n%s",
                              refused[i].lines);
        Trace trace;
        assert_false(trace_parse("text", text, (size_t)length, &trace));
        assert_null(trace.events);
        assert_int_equal(trace.eventCount, 0);

        unsigned lineNumber = text[length - 1] == '\n' ? 0 : 1; /* the last line is the bad one */
        for (int c = 0; c < length; c++) {
            lineNumber += text[c] == '\n' ? 1 : 0;
        }
        char start[64];
        (void)snprintf(start, sizeof(start), "text:%u: %s", lineNumber, refused[i].problem);
        assert_memory_equal(trace.error, start, strlen(start));
        trace_free(&trace);
    }
}

/* --- files ------------------------------------------------------------------------------------ */

static void expect_no_load(const char* path, const char* problem) {
    Trace trace;
    assert_false(trace_load(path, &trace));
    assert_non_null(strstr(trace.error, problem));
    assert_non_null(strstr(trace.error, path));
    assert_null(trace.events);
}

/*  Writes the first `size` bytes of a real trace to a file, with one byte turned at `flip`. */
static void write_part(const char* path, size_t size, size_t flip) {
    FILE* whole = fopen(TRACES "gcompris.trace.xz", "rb");
    FILE* part = fopen(path, "wb");
    assert_non_null(whole);
    assert_non_null(part);
    for (size_t i = 0; i < size; i++) {
        int byte = fgetc(whole);
        if (byte == EOF) {
            break;
        }
        assert_int_not_equal(fputc(i == flip ? byte ^ 0x55 : byte, part), EOF);
    }
    (void)fclose(whole);
    assert_int_equal(fclose(part), 0);
}

static void test_bad_files_are_refused(void** state) {
    (void)state;
    char path[] = "test_trace_XXXXXX";
    int handle = mkstemp(path);
    assert_true(handle >= 0);
    (void)close(handle);

    expect_no_load("no/such/file.trace.xz", "cannot be opened");
    expect_no_load(TRACES "README.md", "not a sound xz file");
    write_part(path, 4000, SIZE_MAX);
    expect_no_load(path, "cut off");
    write_part(path, 0, SIZE_MAX);
    expect_no_load(path, "cut off");
    write_part(path, SIZE_MAX, 3000);
    expect_no_load(path, "not a sound xz file");

    /* The same way of writing gives a good file when nothing is turned. */
    write_part(path, SIZE_MAX, SIZE_MAX);
    Trace trace;
    assert_true(trace_load(path, &trace));
    trace_free(&trace);
    assert_int_equal(remove(path), 0);
}

static void test_freeing_nothing_is_fine(void** state) {
    (void)state;
    Trace trace;
    memset(&trace, 0, sizeof(trace));
    trace_free(&trace);
    trace_free(&trace);
    assert_null(trace.events);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_trace_is_as_its_readme_says),
        cmocka_unit_test(test_fields_of_every_kind),
        cmocka_unit_test(test_bad_lines_are_refused_with_their_number),
        cmocka_unit_test(test_bad_files_are_refused),
        cmocka_unit_test(test_freeing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
