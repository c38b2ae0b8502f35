/*
    check_report.c - is the report of `sxvk_bench --smoke --json FILE --plots DIRECTORY` complete
    and sane? CTest runs it after the benchmark (bench.report).

        check_report FILE DIRECTORY

    Prints what is wrong, one line each; exit code 0 only when nothing is.
*/
#include <cjson/cJSON.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned failures;
static unsigned checks;

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
expect(bool holds, const char* format, ...) {
    va_list arguments;
    checks++;
    if (holds) {
        return;
    }
    failures++;
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)putchar('\n');
}

static char* read_file(const char* path) {
    FILE* file = fopen(path, "rb");
    char* text = NULL;
    if (file == NULL) {
        return NULL;
    }
    if (fseek(file, 0, SEEK_END) == 0) {
        long size = ftell(file);
        text = size >= 0 ? calloc((size_t)size + 1, 1) : NULL;
        rewind(file);
        if (text != NULL && fread(text, 1, (size_t)size, file) != (size_t)size) {
            free(text);
            text = NULL;
        }
    }
    (void)fclose(file);
    return text;
}

/* ------------------------------------------------------------------ rows */

typedef struct Row {
    const char* table;
    int index;
    const cJSON* json;
} Row;

/*  A number between the two; "allocate.p99" is the member of an object. */
static double number(const Row* row, const char* key, double min, double max) {
    char outer[64];
    const char* dot = strchr(key, '.');
    const cJSON* object = row->json;
    if (dot != NULL) {
        (void)snprintf(outer, sizeof outer, "%.*s", (int)(dot - key), key);
        object = cJSON_GetObjectItemCaseSensitive(object, outer);
    }
    const cJSON* item = cJSON_GetObjectItemCaseSensitive(object, dot != NULL ? dot + 1 : key);
    expect(cJSON_IsNumber(item), "%s[%d]: no number '%s'", row->table, row->index, key);
    if (!cJSON_IsNumber(item)) {
        return 0;
    }
    expect(item->valuedouble >= min && item->valuedouble <= max, "%s[%d].%s is %g, not in %g .. %g",
           row->table, row->index, key, item->valuedouble, min, max);
    return item->valuedouble;
}

static void spread(const Row* row, const char* key, double min, double max) {
    char path[5][64];
    double values[5];
    static const char* const members[] = {"min", "q1", "median", "q3", "max"};
    for (size_t i = 0; i < 5; i++) {
        (void)snprintf(path[i], sizeof path[i], "%s.%s", key, members[i]);
        values[i] = number(row, path[i], min, max);
        expect(i == 0 || values[i] >= values[i - 1], "%s[%d].%s: %s is below %s", row->table,
               row->index, key, members[i], i > 0 ? members[i - 1] : "");
    }
}

static void percentiles(const Row* row, const char* key) {
    char path[64];
    double last = 0;
    static const char* const members[] = {"p50", "p99", "p999", "max"};
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s.%s", key, members[i]);
        double value = number(row, path, 0, 1e10);
        expect(value >= last, "%s[%d].%s is below the one before", row->table, row->index, path);
        last = value;
    }
}

static bool is_ours(const Row* row) {
    const cJSON* subject = cJSON_GetObjectItemCaseSensitive(row->json, "subject");
    expect(cJSON_IsString(subject), "%s[%d]: no subject", row->table, row->index);
    return cJSON_IsString(subject) && strcmp(subject->valuestring, "sx_vkalloc") == 0;
}

static void usage(const Row* row) {
    double live = number(row, "liveBytes", 1, 1e12);
    double committed = number(row, "committedBytes", live, 1e12);
    double ratio = number(row, "committedOverLive", 1, 100);
    expect(ratio > committed / live * 0.999 && ratio < committed / live * 1.001,
           "%s[%d]: committed / live is not the quotient", row->table, row->index);
    (void)number(row, "blocks", 1, 1e6);
    (void)number(row, "vkAllocateMemory", 1, 1e7);
    (void)number(row, "hostBytes", 1, 1e10);
}

/* ------------------------------------------------------------------ one function per table */

#define NS_MIN 0.0
#define NS_MAX 1e8

static void check_churn(const Row* row) {
    (void)number(row, "live", 1, 1e7);
    spread(row, "nsPerPair", NS_MIN, NS_MAX);
    if (is_ours(row)) {
        usage(row);
        double empty = number(row, "hostBytesEmpty", 1, 1e8);
        (void)number(row, "hostBytesAfterTrim", empty, 2 * empty);
        (void)number(row, "hostBytesPerLive", 1, 1e5);
    } else {
        spread(row, "ratio", 0, 1e6);
    }
}

static void check_latency(const Row* row) {
    (void)number(row, "operations", 1, 1e8);
    percentiles(row, "allocate");
    percentiles(row, "free");
}

static void check_virtual(const Row* row) {
    (void)number(row, "live", 1, 1e7);
    spread(row, "nsPerPair", NS_MIN, NS_MAX);
    if (!is_ours(row)) {
        spread(row, "ratio", 0, 1e6);
    }
}

static void check_tight(const Row* row) {
    double attempts = number(row, "attempts", 1, 1e9);
    (void)number(row, "failures", 0, attempts);
    spread(row, "nsPerPair", NS_MIN, NS_MAX);
}

static void check_fill(const Row* row) {
    spread(row, "nsPerAllocate", NS_MIN, NS_MAX);
    spread(row, "nsPerFree", NS_MIN, NS_MAX);
}

static void check_holes(const Row* row) {
    (void)number(row, "holes", 1, 1e7);
    spread(row, "nsPerAllocate", 1, NS_MAX);
    percentiles(row, "allocate");
}

static void check_blocks(const Row* row) {
    usage(row);
    spread(row, "nsPerPair", NS_MIN, NS_MAX);
    spread(row, "toFewest", 0, 1e3);
}

static void check_game(const Row* row) {
    usage(row);
    (void)number(row, "average", 1, 100);
    (void)number(row, "atEnd", 1, 100);
}

static void check_tiny(const Row* row) {
    usage(row);
    (void)number(row, "average", 1, 100);
    spread(row, "nsPerPair", NS_MIN, NS_MAX);
}

static void check_frames(const Row* row) {
    usage(row);
    (void)number(row, "driverCalls", 0, 1e7);
    (void)number(row, "nsPerPair", 1, NS_MAX);
}

static void check_linear(const Row* row) {
    const cJSON* pattern = cJSON_GetObjectItemCaseSensitive(row->json, "pattern");
    expect(cJSON_IsString(pattern), "%s[%d]: not said which pattern", row->table, row->index);
    spread(row, "nsPerPair", NS_MIN, NS_MAX);
}

static void check_kinds(const Row* row) {
    usage(row);
    (void)number(row, "granularity", 1024, 65536);
    spread(row, "nsPerPair", NS_MIN, NS_MAX);
}

static void check_threads(const Row* row) {
    (void)number(row, "threads", 1, 64);
    spread(row, "nsPerPair", NS_MIN, NS_MAX);
    spread(row, "throughput", 1e-3, 1e3);
    if (is_ours(row)) {
        usage(row);
        (void)number(row, "committedToOne", 0.1, 10);
    }
}

static void check_traces(const Row* row) {
    (void)number(row, "peakLiveMB", 1, 1e5);
    (void)number(row, "atPeak", 1, 100);
    (void)number(row, "average", 1, 100);
    spread(row, "nsPerOperation", 1, NS_MAX);
    percentiles(row, "operation");
}

static int batches; /* rows of them; one, unless there is no device */

static void check_createbuffer(const Row* row) {
    if (cJSON_GetObjectItemCaseSensitive(row->json, "leftOut") != NULL) {
        (void)printf("createbuffer was left out: no device\n");
        batches++;
        return;
    }
    const cJSON* made = cJSON_GetObjectItemCaseSensitive(row->json, "made");
    expect(cJSON_IsString(made), "%s[%d]: not said how made", row->table, row->index);
    (void)number(row, "buffers", 1, 256);
    spread(row, "nsPerPair", 1, NS_MAX);
    if (is_ours(row)) {
        spread(row, "toFloor", 0.1, 1e3);
        if (cJSON_IsString(made) && strcmp(made->valuestring, "in a batch") == 0) {
            spread(row, "toOneByOne", 1e-2, 1e2);
            batches++;
        }
    }
}

static void check_host(const Row* row) {
    double empty = number(row, "hostBytesEmpty", 1, 1e8);
    double full = number(row, "hostBytes", empty, 1e10);
    (void)number(row, "hostPeakBytes", full, 1e10);
    (void)number(row, "hostBytesAfterTrim", empty, is_ours(row) ? 2 * empty : 1e10);
    (void)number(row, "hostBytesPerLive", 1, 1e5);
}

static void check_upload(const Row* row) {
    const cJSON* what = cJSON_GetObjectItemCaseSensitive(row->json, "what");
    expect(cJSON_IsString(what), "upload[%d]: no 'what'", row->index);
    spread(row, "nsPerOperation", 0.1, 1e6);
    (void)number(row, "driverCalls", 1, 1e6);
    (void)number(row, "hostBytesPerLive", 0.1, 1e5);
}

static void check_defrag(const Row* row) {
    double live = number(row, "liveMiB", 0, 1e6);
    (void)number(row, "blocksBefore", 0, 1e6);
    (void)number(row, "bytesFreed", 0, 1e12);
    (void)number(row, "moves", 0, 1e6);
    (void)number(row, "milliseconds", 0, 1e5);
    if (live > 0) { /* some traces end with nothing */
        double before = number(row, "before", 1, 100);
        (void)number(row, "committedOverLive", 1, before);
        (void)number(row, "movedOverFreed", 0, 100);
    }
}

static void check_ticks(const Row* row) {
    double before = number(row, "before", 1, 100);
    double blocks = number(row, "blocksBefore", 2, 1e6);
    (void)number(row, "committedOverLive", 1, before);
    (void)number(row, "blocks", 1, blocks);
    (void)number(row, "ticks", 2, 1e6);
    (void)number(row, "longestMicroseconds", 1, 1e6);
}

static const struct {
    const char* table;
    int rows; /* at least; of ours alone */
    void (*check)(const Row* row);
} tables[] = {
    {"churn", 7, check_churn},     {"latency", 7, check_latency},
    {"tight", 2, check_tight},     {"fill", 3, check_fill},
    {"virtual", 5, check_virtual}, {"virtualTight", 6, check_tight},
    {"holes", 2, check_holes},     {"blocks", 4, check_blocks},
    {"game", 7, check_game},       {"tiny", 1, check_tiny},
    {"frames", 2, check_frames},   {"kinds", 4, check_kinds},
    {"threads", 3, check_threads}, {"traces", 2, check_traces},
    {"host", 3, check_host},       {"createbuffer", 1, check_createbuffer},
    {"upload", 5, check_upload},   {"linear", 5, check_linear},
    {"defrag", 16, check_defrag},  {"ticks", 6, check_ticks},
};

/* ------------------------------------------------------------------ the whole */

static void check_tables(const cJSON* root) {
    const cJSON* sequences = cJSON_GetObjectItemCaseSensitive(root, "sequences");
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        const cJSON* rows = cJSON_GetObjectItemCaseSensitive(sequences, tables[t].table);
        int count = cJSON_GetArraySize(rows);
        expect(count >= tables[t].rows, "%s: %d rows, fewer than %d", tables[t].table, count,
               tables[t].rows);
        for (int i = 0; i < count; i++) {
            Row row = {tables[t].table, i, cJSON_GetArrayItem(rows, i)};
            tables[t].check(&row);
        }
    }
}

static void check_plot(const char* directory, const char* name) {
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    char* text = read_file(path);
    size_t length = text != NULL ? strlen(text) : 0;
    expect(length > 1000 && strncmp(text, "<svg ", 5) == 0 &&
               strcmp(text + length - 7, "</svg>\n") == 0,
           "%s is no whole SVG file", path);
    expect(text == NULL || strstr(text, "nan") == NULL, "%s has coordinates that are no numbers",
           path);
    free(text);
}

int main(int argc, char** argv) {
    if (argc != 3) {
        (void)fprintf(stderr, "usage: check_report FILE DIRECTORY\n");
        return 2;
    }
    char* text = read_file(argv[1]);
    cJSON* root = text != NULL ? cJSON_Parse(text) : NULL;
    expect(root != NULL, "%s is no JSON", argv[1]);
    if (root != NULL) {
        Row run = {"run", 0, root};
        (void)number(&run, "rounds", 1, 99);
        (void)number(&run, "operationClockCostNs", 0, 1e5);
        check_tables(root);
        expect(batches == 1, "createbuffer: %d rows of batches, not one", batches);
        check_plot(argv[2], "churn.svg");
        check_plot(argv[2], "trace-gcompris.svg");
    }
    cJSON_Delete(root);
    free(text);
    (void)printf("%u checks, %u failures\n", checks, failures);
    return failures == 0 ? 0 : 1;
}
