/*
    main.c - the benchmark of sx_vkalloc: speed and waste on the simulated device, as ratios to
    peers in the same process.

        cmake -S . -B build/bench -DCMAKE_BUILD_TYPE=Release
        cmake --build build/bench --target sxvk_bench
        build/bench/tools/sxvk_bench --help

    A round of ours and a round of each peer alternate; times are medians of rounds, CPU time of the
    thread, and everything checks itself: a result that is not expected ends the run.
*/
#include "report.h"
#include "sequences.h"
#include "subject.h"

#include "sx_vkalloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SXVK_TEST_DATA_DIR
#define SXVK_TEST_DATA_DIR "tests/data"
#endif

typedef struct Sequence {
    const char* name;
    const char* what;
    void (*run)(void);
} Sequence;

static const Sequence sequences[] = {
    {"churn", "free one of N at random, allocate another size; each operation's time", run_churn},
    {"tight", "churn in one block of 1.15 times the live bytes: what fails", run_tight},
    {"virtual", "churn in a virtual block, and in a tight one against best fit", run_virtual},
    {"fill", "allocate 100k, free them in order, in reverse, at random", run_fill},
    {"holes", "one allocation among 61,680 and 986,880 holes just too small", run_holes},
    {"blocks", "100k live in 2 to some 1,240 blocks", run_blocks},
    {"game", "load, play, unload, load: committed / live in each phase", run_game},
    {"tiny", "64 live, 200k pairs: calls of vkAllocateMemory", run_tiny},
    {"frames", "the same allocations each frame: driver calls after a warm-up", run_frames},
    {"linear", "ring, stack, two stacks, a frame freed or reset, in linear pools and blocks",
     run_linear},
    {"kinds", "requests for a buffer against requests of unknown kind", run_kinds},
    {"threads", "churn by threads; one memory type, several, foreign frees", run_threads},
    {"traces", "what eight real programs asked for", run_traces},
    {"createbuffer", "sxvkCreateBuffer and batches on a real driver, against the driver alone",
     run_createbuffer},
    {"upload", "slices of a frame ring, pairs in a buffer arena", run_upload},
    {"defrag", "game, traces and small ones after an unload: committed / live before and after",
     run_defrag},
    {"host", "CPU bytes: empty, per allocation, after all is freed", run_host},
};
#define SEQUENCE_COUNT (sizeof sequences / sizeof *sequences)

/* ------------------------------------------------------------------ arguments */

static void print_help(void) {
    (void)printf(
        "usage: sxvk_bench [OPTION]... [SEQUENCE]...\n\n"
        "Measures sx_vkalloc on a simulated device, beside the peers that are there. Without a\n"
        "SEQUENCE it runs all of them:\n\n");
    for (size_t s = 0; s < SEQUENCE_COUNT; s++) {
        (void)printf("  %-14s %s\n", sequences[s].name, sequences[s].what);
    }
    (void)printf(
        "\nOptions\n"
        "  --quick             everything, smaller: less than a minute on two cores\n"
        "  --smoke             everything, tiny: to see that it works, not to measure\n"
        "  --json FILE         write all figures as JSON, with quartiles\n"
        "  --plots DIRECTORY   write SVG plots: churn.svg and a trace-*.svg for each trace\n"
        "  --peers LIST        only these, by comma: mimalloc, glibc, vma, offset_allocator,\n"
        "                      tlsf; or none. Default: all that are there\n"
        "  --rounds N          measured rounds, 1 to 99; default 9, with --quick 5\n"
        "  --threads N         at most so many threads, 1 to 64; default: the cores\n"
        "  --granularity N     bufferImageGranularity of the simulated device; default 1024\n"
        "  --max-live N        leave out what keeps more allocations alive in churn and host\n"
        "  --device NAME       of createbuffer: part of a device's name, or its index; default:\n"
        "                      what SXVK_DEVICE in the environment names, else llvmpipe\n"
        "  --data DIRECTORY    where the recorded traces are: tests/data\n"
        "  --progress          say on stderr what is going on, as it does on a terminal anyway\n"
        "  --list              print the names of the sequences\n"
        "  --help              print this\n\n"
        "mimalloc is found when the program starts. VMA, OffsetAllocator and TLSF are there when\n"
        "CMake was told where they are: SX_VKALLOC_BENCH_VMA_DIR (vk_mem_alloc.h),\n"
        "SX_VKALLOC_BENCH_OFFSET_ALLOCATOR_DIR (offsetAllocator.hpp and .cpp) and\n"
        "SX_VKALLOC_BENCH_TLSF_DIR (tlsf.h and .c).\n\n"
        "Exit code: 0, 1 when something failed, 2 for wrong arguments.\n");
}

static void wrong(const char* text, const char* about) BENCH_NORETURN;
static void wrong(const char* text, const char* about) {
    (void)fprintf(stderr, "sxvk_bench: %s '%s'; see --help\n", text, about);
    exit(2);
}

static const char* value_of(int argc, char** argv, int* at) {
    if (*at + 1 >= argc) {
        wrong("a value is missing behind", argv[*at]);
    }
    return argv[++*at];
}

static uint64_t number_of(int argc, char** argv, int* at, uint64_t min, uint64_t max) {
    const char* name = argv[*at];
    const char* text = value_of(argc, argv, at);
    char* end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < min || value > max) {
        (void)fprintf(stderr, "sxvk_bench: %s takes a number from %llu to %llu, not '%s'\n", name,
                      (unsigned long long)min, (unsigned long long)max, text);
        exit(2);
    }
    return value;
}

static void note_sequence(bool* wanted, const char* name) {
    for (size_t s = 0; s < SEQUENCE_COUNT; s++) {
        if (strcmp(name, sequences[s].name) == 0) {
            wanted[s] = true;
            return;
        }
    }
    wrong(*name == '-' ? "there is no option" : "there is no sequence", name);
}

/*  True when it was an option with a value. */
static bool parse_value(int argc, char** argv, int* at) {
    const char* name = argv[*at];
    const char** texts[] = {&settings.jsonPath, &settings.plotsPath, &settings.peers,
                            &settings.device, &settings.dataPath};
    static const char* const text_names[] = {"--json", "--plots", "--peers", "--device", "--data"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(name, text_names[i]) == 0) {
            *texts[i] = value_of(argc, argv, at);
            return true;
        }
    }
    if (strcmp(name, "--rounds") == 0) {
        settings.rounds = (uint32_t)number_of(argc, argv, at, 1, MAX_ROUNDS);
    } else if (strcmp(name, "--threads") == 0) {
        settings.threads = (uint32_t)number_of(argc, argv, at, 1, MAX_THREADS);
    } else if (strcmp(name, "--max-live") == 0) {
        settings.maxLive = number_of(argc, argv, at, 1, UINT32_MAX);
    } else if (strcmp(name, "--granularity") == 0) {
        settings.granularity = number_of(argc, argv, at, 1, 1 << 20);
        if ((settings.granularity & (settings.granularity - 1)) != 0) {
            wrong("a granularity is a power of two, not", argv[*at]);
        }
    } else {
        return false;
    }
    return true;
}

static void parse(int argc, char** argv, bool* wanted) {
    for (int at = 1; at < argc; at++) {
        const char* name = argv[at];
        if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
            print_help();
            exit(0);
        } else if (strcmp(name, "--list") == 0) {
            for (size_t s = 0; s < SEQUENCE_COUNT; s++) {
                (void)puts(sequences[s].name);
            }
            exit(0);
        } else if (strcmp(name, "--quick") == 0) {
            settings.scale = SCALE_QUICK;
        } else if (strcmp(name, "--smoke") == 0) {
            settings.scale = SCALE_SMOKE;
        } else if (strcmp(name, "--progress") == 0) {
            settings.progress = true;
        } else if (!parse_value(argc, argv, &at)) {
            note_sequence(wanted, name);
        }
    }
}

/*  What is wrong should be said now, not after minutes of measuring. */
static void check_settings(void) {
    struct stat status;
    const char* peer = subjects_unknown_peer();
    if (peer != NULL) {
        wrong("there is no peer, in this build,", peer);
    }
    if (settings.jsonPath != NULL && strcmp(settings.jsonPath, "-") == 0) {
        wrong("the tables are on standard output, so --json takes a file, not", "-");
    }
    if (settings.plotsPath != NULL && mkdir(settings.plotsPath, 0777) != 0 && errno != EEXIST) {
        wrong("cannot make the folder", settings.plotsPath);
    }
    if (settings.plotsPath != NULL &&
        (stat(settings.plotsPath, &status) != 0 || !S_ISDIR(status.st_mode))) {
        wrong("this is no folder:", settings.plotsPath);
    }
    if (settings.jsonPath != NULL) {
        FILE* file = fopen(settings.jsonPath, "a");
        if (file == NULL || fclose(file) != 0) {
            wrong("cannot write", settings.jsonPath);
        }
    }
}

static void choose_defaults(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    settings.dataPath = SXVK_TEST_DATA_DIR;
    settings.granularity = 1024;
    settings.maxLive = UINT32_MAX;
    settings.threads = (uint32_t)(cores < 1 ? 1 : cores > MAX_THREADS ? MAX_THREADS : cores);
    settings.progressOnTerminal = isatty(2) == 1;
    settings.progress = settings.progressOnTerminal;
}

/* ------------------------------------------------------------------ what was measured on what */

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif

#ifdef NDEBUG
#define ASSERTIONS false
#else
#define ASSERTIONS true
#endif
#ifdef __OPTIMIZE__
#define OPTIMISED true
#else
#define OPTIMISED false
#endif

static void describe_run(void) {
    static const char* const scales[] = {"full", "quick", "smoke"};
    const SubjectKind* kinds[MAX_SUBJECTS];
    uint32_t count = subjects_with(0, kinds);
    cJSON* root = report_root();
    char version[32];
    (void)snprintf(version, sizeof version, "%d.%d.%d", SX_VKALLOC_VERSION_MAJOR,
                   SX_VKALLOC_VERSION_MINOR, SX_VKALLOC_VERSION_PATCH);
    (void)cJSON_AddStringToObject(root, "sxVkalloc", version);
    (void)cJSON_AddStringToObject(root, "compiler", COMPILER);
    (void)cJSON_AddBoolToObject(root, "optimised", OPTIMISED);
    (void)cJSON_AddBoolToObject(root, "assertions", ASSERTIONS);
    (void)cJSON_AddStringToObject(root, "scale", scales[settings.scale]);
    (void)cJSON_AddNumberToObject(root, "rounds", settings.rounds);
    (void)cJSON_AddNumberToObject(root, "threads", settings.threads);
    (void)cJSON_AddNumberToObject(root, "bufferImageGranularity", (double)settings.granularity);
    (void)cJSON_AddStringToObject(root, "operationClock", ticks_name());
    (void)cJSON_AddNumberToObject(root, "operationClockCostNs", ticks_cost_ns());
    (void)cJSON_AddNumberToObject(root, "operationClockStepNs", ticks_step_ns());
    cJSON* peers = cJSON_AddArrayToObject(root, "subjects");
    (void)printf("sx_vkalloc %s, %s, %s%s\n", version, COMPILER,
                 OPTIMISED ? "optimised" : "NOT OPTIMISED",
                 ASSERTIONS ? ", WITH ASSERTIONS: times mean nothing" : "");
    (void)printf("%s run, %u rounds, up to %u threads, bufferImageGranularity %llu\n",
                 scales[settings.scale], settings.rounds, settings.threads,
                 (unsigned long long)settings.granularity);
    (void)printf("single operations: %s, in steps of %.1f ns; it costs %.1f ns itself (taken off)\n"
                 "measured:",
                 ticks_name(), ticks_step_ns(), ticks_cost_ns());
    for (uint32_t i = 0; i < count; i++) {
        (void)printf("%s %s", i > 0 ? "," : "", kinds[i]->name);
        (void)cJSON_AddItemToArray(peers, cJSON_CreateString(kinds[i]->name));
    }
    (void)putchar('\n');
    (void)fflush(stdout);
}

static void add_seconds(const char* name, double seconds) {
    cJSON* all = cJSON_GetObjectItemCaseSensitive(report_root(), "secondsOf");
    (void)cJSON_AddNumberToObject(all, name, seconds);
}

int main(int argc, char** argv) {
    bool wanted[SEQUENCE_COUNT] = {false};
    bool all = true;
    choose_defaults();
    subjects_prepare();
    parse(argc, argv, wanted);
    check_settings();
    if (settings.rounds == 0) {
        settings.rounds = (uint32_t)at_scale(9, 5, 2);
    }
    for (size_t s = 0; s < SEQUENCE_COUNT; s++) {
        all = all && !wanted[s];
    }
    double start = wall_seconds();
    ticks_calibrate();
    report_begin();
    describe_run();
    (void)cJSON_AddObjectToObject(report_root(), "secondsOf");
    for (size_t s = 0; s < SEQUENCE_COUNT; s++) {
        if (all || wanted[s]) {
            double begin = wall_seconds();
            sequences[s].run();
            add_seconds(sequences[s].name, wall_seconds() - begin);
        }
    }
    progress_end();
    double seconds = wall_seconds() - start;
    (void)cJSON_AddNumberToObject(report_root(), "seconds", seconds);
    (void)printf("\n%.1f s\n", seconds);
    if (settings.jsonPath != NULL) {
        report_write(settings.jsonPath);
    }
    report_free();
    return 0;
}
