/*
    check_trace.c - is the file that examples/13_trace_events.c leaves one that trace viewers take?
    CTest runs it after the example (example.13_trace_events.file).

        check_trace FILE

    The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
    Prints what is wrong, one line each; exit code 0 only when nothing is.
*/
#include <cjson/cJSON.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static bool expect(bool holds, int event, const char* what) {
    if (!holds) {
        failures++;
        (void)printf("event %d: %s\n", event, what);
    }
    return holds;
}

static char* read_file(const char* path) {
    FILE* file = fopen(path, "rb");
    char* text = calloc(1, 1 << 20);
    if (file == NULL || text == NULL || fread(text, 1, (1 << 20) - 1, file) == 0) {
        (void)fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    (void)fclose(file);
    return text;
}

static double number(const cJSON* event, const char* key, int i) {
    const cJSON* value = cJSON_GetObjectItemCaseSensitive(event, key);
    return expect(cJSON_IsNumber(value), i, key) ? value->valuedouble : 0;
}

/*  What the counters of a trace came to. */
typedef struct Sums {
    int counters;
    int spans;
    double allocations;
    double frees;
    double peak; /* of what heaps have live */
    double last;
    double modules; /* the most bytes of both together */
    double terrain;
} Sums;

static void check_counter(const cJSON* event, const char* name, Sums* sums, int i) {
    const cJSON* arguments = cJSON_GetObjectItemCaseSensitive(event, "args");
    const cJSON* value;
    sums->counters++;
    cJSON_ArrayForEach(value, arguments) {
        expect(cJSON_IsNumber(value) && value->valuedouble >= 0, i, "an arg is no counter");
    }
    if (strcmp(name, "calls") == 0) {
        sums->allocations += number(arguments, "allocations", i);
        sums->frees += number(arguments, "frees", i);
    } else if (strcmp(name, "module terrain") == 0) {
        sums->terrain = number(arguments, "bytes", i);
    } else if (strcmp(name, "module characters") == 0) {
        double both = sums->terrain + number(arguments, "bytes", i);
        sums->modules = both > sums->modules ? both : sums->modules;
    } else if (expect(strncmp(name, "heap ", 5) == 0, i, "an unknown counter")) {
        sums->last = number(arguments, "live", i);
        sums->peak = sums->last > sums->peak ? sums->last : sums->peak;
        (void)number(arguments, "unused", i);
    }
}

int main(int argc, char** argv) {
    char* text = argc == 2 ? read_file(argv[1]) : NULL;
    cJSON* trace = text != NULL ? cJSON_Parse(text) : NULL;
    const cJSON* event;
    Sums sums = {0, 0, 0, 0, 0, 0, 0, 0};
    double before = 0;
    int i = 0;
    if (!cJSON_IsArray(trace)) {
        (void)printf("no array of events\n");
        return 1;
    }
    cJSON_ArrayForEach(event, trace) {
        const cJSON* phase = cJSON_GetObjectItemCaseSensitive(event, "ph");
        const cJSON* name = cJSON_GetObjectItemCaseSensitive(event, "name");
        const cJSON* arguments = cJSON_GetObjectItemCaseSensitive(event, "args");
        double ts = number(event, "ts", i);
        (void)number(event, "pid", i);
        (void)number(event, "tid", i);
        expect(ts >= before, i, "time goes back");
        before = ts;
        if (!expect(cJSON_IsString(phase) && cJSON_IsString(name) && cJSON_IsObject(arguments), i,
                    "ph, name or args is missing")) {
            break;
        }
        if (strcmp(phase->valuestring, "C") == 0) {
            check_counter(event, name->valuestring, &sums, i);
        } else if (expect(strcmp(phase->valuestring, "X") == 0, i, "an unknown phase")) {
            expect(number(event, "dur", i) > 0, i, "a span without time");
            sums.spans++;
        }
        i++;
    }
    expect(sums.spans == 120, i, "not 120 frames");
    expect(sums.counters >= 480, i, "too few counters");
    expect(sums.allocations == 720, i, "not 720 allocations");
    expect(sums.frees > 0 && sums.frees <= sums.allocations, i, "frees do not add up");
    expect(sums.peak > 1000000 && sums.last < sums.peak, i, "the memory does not rise and fall");
    expect(sums.modules > 1000000, i, "the modules have nothing");
    (void)printf("%d events, %d wrong\n", i, failures);
    cJSON_Delete(trace);
    free(text);
    return failures == 0 ? 0 : 1;
}
