/*
    Replays the memory traffic of a real program on a real Vulkan device, compares every byte, and
    shows what the allocator made of it: a table, and memory at the peak as a JSON dump, as a page to
    look around in and as a picture.

        sh tools/demo.sh            builds and runs it
        sxvk_demo --help            what it takes

    The exit status is 0 only if all bytes came back, nothing reported an error and nothing leaked.
*/

#define _POSIX_C_SOURCE 200809L

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demo_calls.h"
#include "demo_replay.h"
#include "gpu.h"
#include "trace.h"

#ifndef SXVK_TEST_DATA_DIR
#define SXVK_TEST_DATA_DIR "tests/data"
#endif

#define DEFAULT_TRACE SXVK_TEST_DATA_DIR "/traces/warzone-cam1a.trace.xz"

typedef struct Options {
    const char* device;
    const char* trace;
    const char* out;
    bool validate;
    bool list;
} Options;

/*  The counters at one moment. */
typedef struct Snapshot {
    ReplayHeap heaps[VK_MAX_MEMORY_HEAPS];
} Snapshot;

/* --- options ---------------------------------------------------------------------------------- */

static void print_usage(FILE* file) {
    fputs("usage: sxvk_demo [options]\n"
          "  --device NAME|INDEX  a part of the device's name, or its index in --list;\n"
          "                       default: $SXVK_DEVICE, else discrete before integrated before "
          "others\n"
          "  --trace PATH         what to replay, default: " DEFAULT_TRACE "\n"
          "  --out DIR            where the dump and its pictures go, default: build/demo\n"
          "  --validate           run under the Khronos validation layer; slower\n"
          "  --list               list the devices\n"
          "  --help               this text\n",
          file);
}

/*  0: go on; else the exit status + 1. */
static int parse_options(int argc, char** argv, Options* options) {
    *options = (Options){.trace = DEFAULT_TRACE, .out = "build/demo"};
    for (int i = 1; i < argc; ++i) {
        const char** value = strcmp(argv[i], "--device") == 0  ? &options->device
                             : strcmp(argv[i], "--trace") == 0 ? &options->trace
                             : strcmp(argv[i], "--out") == 0   ? &options->out
                                                               : NULL;
        if (value != NULL) {
            if (i + 1 == argc || argv[i + 1][0] == '\0') {
                fprintf(stderr, "sxvk_demo: %s needs a value\n", argv[i]);
                return 3;
            }
            *value = argv[++i];
        } else if (strcmp(argv[i], "--validate") == 0) {
            options->validate = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            options->list = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_usage(stdout);
            return 1;
        } else {
            fprintf(stderr, "sxvk_demo: unknown argument '%s'\n", argv[i]);
            print_usage(stderr);
            return 3;
        }
    }
    return 0;
}

/*  mkdir -p */
static bool make_directory(const char* path) {
    char part[4096];
    int length = snprintf(part, sizeof(part), "%s", path);
    if (length < 0 || (size_t)length >= sizeof(part)) {
        return false;
    }
    for (char* at = part + 1; *at != '\0'; ++at) {
        if (*at == '/') {
            *at = '\0';
            if (mkdir(part, 0777) != 0 && errno != EEXIST) {
                return false;
            }
            *at = '/';
        }
    }
    struct stat status;
    return (mkdir(part, 0777) == 0 || errno == EEXIST) && stat(part, &status) == 0 &&
           S_ISDIR(status.st_mode);
}

/* --- progress --------------------------------------------------------------------------------- */

/*  A bar on a terminal, a line for each tenth elsewhere. */
typedef struct Progress {
    bool terminal;
    uint64_t shown; /* when, or on a pipe how many tenths */
} Progress;

static void show_progress(Progress* progress, size_t done, size_t count, const Replay* replay) {
    VkDeviceSize live = 0;
    for (uint32_t i = 0; i < replay->gpu->memory.memoryHeapCount; ++i) {
        live += replay->heaps[i].live;
    }
    if (!progress->terminal) {
        uint64_t tenths = done * 10 / count;
        if (tenths > progress->shown) {
            progress->shown = tenths;
            printf("  %3" PRIu64 " %%  event %zu of %zu, %s live, %s compared\n", tenths * 10, done,
                   count, BYTE_TEXT(live), BYTE_TEXT(replay->totals.compared));
            fflush(stdout);
        }
        return;
    }
    uint64_t now = now_ns();
    if (done == count || now - progress->shown > 50000000) {
        static const char full[] = "########################################";
        const int width = (int)sizeof(full) - 1;
        int filled = (int)(done * (size_t)width / count);
        progress->shown = now;
        printf("\r  [%.*s%*s] %3zu %%  %s live, %s compared   ", filled, full, width - filled, "",
               done * 100 / count, BYTE_TEXT(live), BYTE_TEXT(replay->totals.compared));
        if (done == count) {
            putchar('\n');
        }
        fflush(stdout);
    }
}

/* --- the table -------------------------------------------------------------------------------- */

static void print_row(const char* label, const ReplayHeap* heap) {
    char ratio[16] = "-";
    char each[16] = "-";
    if (heap->live > 0) {
        snprintf(ratio, sizeof(ratio), "%.3f", (double)heap->committed / (double)heap->live);
    }
    if (heap->created > 0) {
        snprintf(each, sizeof(each), "%" PRIu64, heap->createNanoseconds / heap->created);
    }
    printf("  %-18s %10s %10s %10s %11" PRIu64 " %7" PRIu64 " %13" PRIu64 " %14s\n", label,
           BYTE_TEXT(heap->live), BYTE_TEXT(heap->committed), ratio, heap->allocations,
           heap->blocks, heap->allocateCalls + heap->freeCalls, each);
}

static void print_snapshot(const char* heading, const Snapshot* snapshot,
                           const VkPhysicalDeviceMemoryProperties* memory) {
    ReplayHeap total = {0};
    printf("\n%s\n  %-18s %10s %10s %10s %11s %7s %13s %14s\n", heading, "", "live", "committed",
           "comm./live", "allocations", "blocks", "memory calls", "ns/allocation");
    for (uint32_t i = 0; i < memory->memoryHeapCount; ++i) {
        const ReplayHeap* heap = &snapshot->heaps[i];
        char label[64];
        if (heap->created == 0) {
            continue;
        }
        snprintf(label, sizeof(label), "heap %" PRIu32 " (%s)", i,
                 (memory->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0 ? "device"
                                                                                       : "host");
        print_row(label, heap);
        total.live += heap->live;
        total.committed += heap->committed;
        total.allocations += heap->allocations;
        total.blocks += heap->blocks;
        total.created += heap->created;
        total.createNanoseconds += heap->createNanoseconds;
        total.allocateCalls += heap->allocateCalls;
        total.freeCalls += heap->freeCalls;
    }
    print_row("total", &total);
}

static void print_driver_calls(void) {
    const DriverCalls* calls = driver_calls();
    int column = printf("\nDriver calls of the allocator:");
    for (int i = 0; i < DRIVER_CALL_COUNT; ++i) {
        if (calls->count[i] == 0) {
            continue;
        }
        if (column > 80) {
            column = printf("\n   ") - 1;
        }
        column += printf(" %s %" PRIu64, driver_call_name((DriverCall)i), calls->count[i]);
    }
    printf("\n");
}

static void print_totals(const Replay* replay) {
    const ReplayTotals* totals = &replay->totals;
    print_driver_calls();
    printf("  memory calls: vkAllocateMemory and vkFreeMemory; ns/allocation: average of "
           "sxvkCreateBuffer and\n"
           "  sxvkCreateImage so far, without the time inside the driver\n");
    if (totals->liveSum > 0.0) {
        printf("Average committed/live over %" PRIu64 " events: %.3f\n", totals->samples,
               totals->committedSum / totals->liveSum);
    }
    printf("Created %" PRIu64 " buffers and %" PRIu64 " images", totals->buffers, totals->images);
    if (totals->notCompared > 0) {
        printf(", of them %" PRIu64 " not compared (transient, multisampled or of unknown format)",
               totals->notCompared);
    }
    putchar('\n');
    if (totals->trimmed + totals->replaced > 0) {
        printf("Adapted to this device: %" PRIu64 " without their extension bits, %" PRIu64
               " images in another format\n",
               totals->trimmed, totals->replaced);
    }
    if (totals->unsupported + totals->imports > 0) {
        printf("Skipped: %" PRIu64 " unsupported images, %" PRIu64 " imports of memory\n",
               totals->unsupported, totals->imports);
    }
    printf("Bytes: %" PRIu64 " written, %" PRIu64 " copied back by the GPU and compared in %" PRIu64
           " submits, %" PRIu64 " wrong\n",
           totals->written, totals->compared, totals->submits, totals->wrong);
}

/* --- main ------------------------------------------------------------------------------------- */

/*  The event after which the program had most bytes alive; false when out of host memory. */
static bool find_peak(const Trace* trace, size_t* peak) {
    uint64_t* sizes = calloc((size_t)trace->idCount + 1, sizeof(*sizes));
    uint64_t live = 0;
    uint64_t most = 0;
    *peak = 0;
    if (sizes == NULL) {
        return false;
    }
    for (size_t i = 0; i < trace->eventCount; ++i) {
        const TraceEvent* event = &trace->events[i];
        if (event->kind == TRACE_BUFFER || event->kind == TRACE_IMAGE) {
            sizes[event->id] = event->size;
            live += event->size;
        } else if (event->kind == TRACE_DESTROY) {
            live -= sizes[event->id];
        }
        if (live > most) {
            most = live;
            *peak = i;
        }
    }
    free(sizes);
    return true;
}

/*  "tests/data/traces/warzone-cam1a.trace.xz" -> "warzone-cam1a" */
static void program_name(const char* path, char* name, size_t size) {
    const char* slash = strrchr(path, '/');
    snprintf(name, size, "%s", slash != NULL ? slash + 1 : path);
    char* dot = strchr(name, '.');
    if (dot != NULL && dot != name) {
        *dot = '\0';
    }
}

static bool run_events(Replay* replay, const Options* options, Snapshot* atPeak) {
    Progress progress = {.terminal = isatty(STDOUT_FILENO) != 0};
    char path[4096], pagePath[4096];
    size_t peak;
    if (!find_peak(replay->trace, &peak)) {
        fputs("sxvk_demo: out of host memory\n", stderr);
        return false;
    }
    for (size_t i = 0; i < replay->trace->eventCount; ++i) {
        if (!replay_event(replay, i)) {
            return false;
        }
        if (i == peak) {
            memcpy(atPeak->heaps, replay->heaps, sizeof(atPeak->heaps));
            snprintf(path, sizeof(path), "%s/dump.json", options->out);
            snprintf(pagePath, sizeof(pagePath), "%s/memory.html", options->out);
            if (!replay_check(replay) || !replay_write_dump(replay, path, pagePath)) {
                return false;
            }
            snprintf(path, sizeof(path), "%s/memory.svg", options->out);
            if (!replay_write_picture(replay, path)) {
                return false;
            }
        }
        show_progress(&progress, i + 1, replay->trace->eventCount, replay);
    }
    return true;
}

/*  All but what the validation layer says. */
static bool run(const Options* options, Gpu* gpu, const Trace* trace) {
    Replay replay;
    Snapshot atPeak = {0};
    Snapshot atEnd = {0};
    char name[64];
    program_name(options->trace, name, sizeof(name));
    bool passed = replay_begin(&replay, gpu, trace, name) && run_events(&replay, options, &atPeak);
    if (passed) {
        memcpy(atEnd.heaps, replay.heaps, sizeof(atEnd.heaps));
        passed = replay_finish(&replay);
    }
    replay_end(&replay);
    if (!passed) {
        return false;
    }

    print_snapshot("At the peak", &atPeak, &gpu->memory);
    print_snapshot("At the end of the trace", &atEnd, &gpu->memory);
    print_totals(&replay);
    printf("Messages of the allocator: %" PRIu64 " errors, %" PRIu64 " warnings\n",
           replay.totals.errors, replay.totals.warnings);
    for (uint32_t i = 0; i < gpu->memory.memoryHeapCount; ++i) {
        if (replay.heaps[i].blocks != 0) {
            fprintf(stderr, "sxvk_demo: %" PRIu64 " blocks of heap %" PRIu32 " were never freed\n",
                    replay.heaps[i].blocks, i);
            passed = false;
        }
    }
    return passed && replay.totals.wrong == 0 && replay.totals.errors == 0 &&
           replay.totals.compared == replay.totals.written;
}

static bool open_device(const Options* options, Gpu* gpu) {
    const GpuOptions gpuOptions = {.device = options->device,
                                   .withoutValidation = !options->validate};
    if (!gpu_open(gpu, &gpuOptions)) {
        fprintf(stderr, "sxvk_demo: %s\n", gpu->error);
        return false;
    }
    if (options->validate && !gpu->validated) {
        fputs("sxvk_demo: --validate: the Khronos validation layer is not installed\n", stderr);
        gpu_close(gpu);
        return false;
    }
    return true;
}

int main(int argc, char** argv) {
    Options options;
    Trace trace;
    Gpu gpu;
    int status = parse_options(argc, argv, &options);
    if (status != 0) {
        return status - 1;
    }
    if (options.list) {
        return gpu_print_devices(stdout) ? 0 : 1;
    }
    if (!make_directory(options.out)) {
        fprintf(stderr, "sxvk_demo: cannot make the directory %s\n", options.out);
        return 1;
    }
    if (!trace_load(options.trace, &trace)) {
        fprintf(stderr, "sxvk_demo: %s\n", trace.error);
        return 1;
    }
    if (!open_device(&options, &gpu)) {
        trace_free(&trace);
        return 1;
    }
    printf("Device: %s%s\nTrace:  %s, %zu resource events, %s live at its peak\n",
           gpu.properties.deviceName, gpu.validated ? ", under the validation layer" : "",
           trace.app, trace.resourceEvents, BYTE_TEXT(trace.peakLiveBytes));
    bool passed = run(&options, &gpu, &trace);
    trace_free(&trace);
    /* Only now the layer has told of objects that were forgotten. */
    uint32_t messages = gpu_close(&gpu);
    if (options.validate) {
        printf("Messages of the validation layer: %" PRIu32 "\n", messages);
    }
    passed = passed && messages == 0;
    if (passed) {
        printf("Written: %s/dump.json, %s/memory.html, %s/memory.svg\n", options.out, options.out,
               options.out);
    }
    puts(passed ? "All bytes match." : "FAILED");
    return passed ? 0 : 1;
}
