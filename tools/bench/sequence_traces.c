/*
    sequence_traces.c - what eight real programs asked for, replayed: each resource demands what the
    recorded driver demanded and goes into memory of the properties that the program chose.
*/
#include "contest.h"
#include "defrag.h"
#include "plot.h"
#include "sequences.h"
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLOT_POINTS 1200u

typedef struct Replay {
    const Trace* trace;
    Subject* subject;
    Resource* resources; /* by id */
    uint64_t live, peakLive, peakCommitted;
    double liveSum, committedSum; /* over all events */
    uint32_t frame;
    bool plain; /* nothing but the operations: a round that is timed as a whole */
    Latencies latencies;
    size_t seen; /* events that a plot would show */
    PlotSeries* liveSeries;
    PlotSeries* committedSeries;
    uint64_t bucketLive, bucketCommitted; /* the most since the last point */
} Replay;

/* ------------------------------------------------------------------ replaying */

static void describe(const TraceEvent* event, ResourceInfo* info) {
    memset(info, 0, sizeof *info);
    info->size = event->size;
    info->alignment = event->align;
    info->prefersDedicated = event->dedicated == 1;
    info->requiresDedicated = event->dedicated == 2;
    info->properties = event->props;
    if (event->kind == TRACE_BUFFER) {
        info->buffer.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
        info->buffer.size = event->size;
        /* The simulated device would want a feature for this one, which changes no placement. */
        info->buffer.usage = event->usage & ~(uint32_t)VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
        return;
    }
    info->isImage = true;
    info->image.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
    info->image.imageType = event->d > 1 ? VK_IMAGE_TYPE_3D : VK_IMAGE_TYPE_2D;
    info->image.format = (VkFormat)event->format;
    info->image.extent.width = event->w;
    info->image.extent.height = event->h;
    info->image.extent.depth = event->d;
    info->image.mipLevels = event->mips;
    info->image.arrayLayers = event->layers;
    info->image.samples = (VkSampleCountFlagBits)event->samples;
    info->image.tiling = event->tiling != 0 ? VK_IMAGE_TILING_LINEAR : VK_IMAGE_TILING_OPTIMAL;
    info->image.usage = event->usage;
}

static void note(Replay* replay) {
    uint64_t committed = device_committed(replay->subject->device);
    replay->peakLive = replay->live > replay->peakLive ? replay->live : replay->peakLive;
    replay->peakCommitted = committed > replay->peakCommitted ? committed : replay->peakCommitted;
    replay->liveSum += (double)replay->live;
    replay->committedSum += (double)committed;
    replay->bucketLive = replay->live > replay->bucketLive ? replay->live : replay->bucketLive;
    replay->bucketCommitted =
        committed > replay->bucketCommitted ? committed : replay->bucketCommitted;
    size_t per_point = replay->trace->resourceEvents / PLOT_POINTS + 1;
    if (++replay->seen % per_point == 0 && replay->liveSeries != NULL) {
        double x = (double)replay->seen;
        plot_point(replay->liveSeries, x, (double)replay->bucketLive * 1e-6, 0, 0);
        plot_point(replay->committedSeries, x, (double)replay->bucketCommitted * 1e-6, 0, 0);
        replay->bucketLive = replay->bucketCommitted = 0;
    }
}

static void create_or_destroy(Replay* replay, const TraceEvent* event) {
    const SubjectKind* kind = replay->subject->kind;
    Resource* resource = &replay->resources[event->id];
    ResourceInfo info;
    if (event->kind == TRACE_DESTROY) {
        replay->live -= resource->size;
        uint64_t start = replay->plain ? 0 : ticks_now();
        kind->destroy(replay->subject, resource);
        if (!replay->plain) {
            latencies_add(&replay->latencies, ticks_now() - start);
        }
    } else {
        describe(event, &info);
        replay->live += event->size;
        uint64_t start = replay->plain ? 0 : ticks_now();
        kind->create(replay->subject, &info, resource);
        if (!replay->plain) {
            latencies_add(&replay->latencies, ticks_now() - start);
        }
    }
}

static void replay_event(Replay* replay, const TraceEvent* event) {
    switch (event->kind) {
    case TRACE_BUFFER:
    case TRACE_IMAGE:
    case TRACE_DESTROY:
        create_or_destroy(replay, event);
        if (!replay->plain) {
            note(replay);
        }
        break;
    case TRACE_PRESENT: replay->subject->kind->tick(replay->subject, ++replay->frame); break;
    case TRACE_ALLOCATE:
    case TRACE_FREE:
    case TRACE_SUBMIT: break;
    }
}

static void replay_all(Replay* replay) {
    for (size_t i = 0; i < replay->trace->eventCount; i++) {
        replay_event(replay, &replay->trace->events[i]);
    }
}

static void check_replay(Replay* replay) {
    if (!replay->plain && replay->peakLive != replay->trace->peakLiveBytes) {
        die("the trace was not replayed as it stands");
    }
    if (replay->subject->kind->liveBytes(replay->subject) != replay->live) {
        die("%s counts other live bytes than the trace", replay->subject->kind->name);
    }
    if (replay->subject->kind->checkIntegrity != NULL) {
        replay->subject->kind->checkIntegrity(replay->subject);
    }
}

static void replay_end(Replay* replay) {
    for (uint32_t id = 0; id < replay->trace->idCount; id++) {
        if (replay->resources[id].allocation != NULL) {
            replay->subject->kind->destroy(replay->subject, &replay->resources[id]);
        }
    }
    replay->subject->kind->close(replay->subject);
    latencies_free(&replay->latencies);
    free(replay->resources);
}

/* ------------------------------------------------------------------ figures */

static const Column trace_columns[] = {
    {"trace", "trace", NULL},
    {"peakLiveMB", "peak live MB", "%.1f"},
    {"barMiB", "BAR MiB", "%.0f"},
    {"subject", "subject", NULL},
    {"atPeak", "committed/live at peak", "%.3f"},
    {"average", "average", "%.3f"},
    {"vkAllocateMemory", "vkAllocateMemory", "%.0f"},
    {"nsPerOperation", "ns an operation (min..max)", "%.0f"},
    {"operation.p50", "p50", "%.0f"},
    {"operation.p99", "p99", "%.0f"},
    {"hostBytes", "host B", "%.0f"},
};

/*  The traces were recorded with 256 MiB of device memory that the CPU sees, in a driver that did
    not hold programs to it: blender-heavy keeps 1.4 GB there. It gets 2 GiB. */
static uint64_t bar_bytes(const Trace* trace) {
    const VkMemoryPropertyFlags bar = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT |
                                      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                      VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint64_t* sizes = allocate_or_die(trace->idCount, sizeof *sizes);
    uint64_t live = 0, peak = 0;
    for (size_t i = 0; i < trace->eventCount; i++) {
        const TraceEvent* event = &trace->events[i];
        if ((event->kind == TRACE_BUFFER || event->kind == TRACE_IMAGE) && event->props == bar) {
            sizes[event->id] = event->size;
            live += event->size;
            peak = live > peak ? live : peak;
        } else if (event->kind == TRACE_DESTROY) {
            live -= sizes[event->id];
        }
    }
    free(sizes);
    return peak < 192 * MIB ? 256 * MIB : 2 * GIB;
}

static void replay_begin(Replay* replay, const Trace* trace, const SubjectKind* kind) {
    const Setup setup = {.barBytes = bar_bytes(trace)};
    memset(replay, 0, sizeof *replay);
    replay->trace = trace;
    replay->subject = kind->open(&setup);
    replay->resources = allocate_or_die(trace->idCount, sizeof *replay->resources);
    latencies_init(&replay->latencies, trace->resourceEvents);
    device_pin_requirements(replay->subject->device);
}

static void trace_row(Table* table, const char* name, Replay* replay, const double* times,
                      size_t rounds) {
    table_row(table);
    table_text(table, "trace", name);
    table_number(table, "peakLiveMB", (double)replay->peakLive * 1e-6);
    table_text(table, "subject", replay->subject->kind->name);
    table_number(table, "barMiB",
                 (double)replay->subject->device->memory.memoryHeaps[2].size / (double)MIB);
    table_number(table, "operations", (double)replay->latencies.count);
    table_number(table, "peakCommittedMB", (double)replay->peakCommitted * 1e-6);
    table_number(table, "atPeak", (double)replay->peakCommitted / (double)replay->peakLive);
    table_number(table, "average", replay->committedSum / replay->liveSum);
    table_spread(table, "nsPerOperation", spread_of(times, rounds));
    table_percentiles(table, "operation", latencies_percentiles(&replay->latencies));
    Usage usage = usage_of(replay->subject);
    table_usage(table, &usage);
}

/*  ns an operation, of CPU time: the allocator, the simulated driver, and describing resources. */
static double plain_round(const Trace* trace, const SubjectKind* kind) {
    Replay replay;
    replay_begin(&replay, trace, kind);
    replay.plain = true;
    double start = thread_seconds();
    replay_all(&replay);
    double seconds = thread_seconds() - start;
    check_replay(&replay);
    replay_end(&replay);
    return seconds * 1e9 / (double)trace->resourceEvents;
}

static const char* const names[] = {"gcompris",      "stk-candela",    "minetest",
                                    "warzone-cam1a", "openarena-demo", "nexuiz",
                                    "blender-heavy", "stellarium"};

static size_t trace_count(void) {
    return (size_t)at_scale(sizeof names / sizeof *names, sizeof names / sizeof *names, 2);
}

static bool load_trace(const char* name, Trace* trace) {
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/traces/%s.trace.xz", settings.dataPath, name);
    return trace_load(path, trace);
}

static void run_trace(Table* table, const char* name) {
    const SubjectKind* kinds[MAX_SUBJECTS];
    uint32_t count = subjects_with(HAS_DEVICE, kinds);
    const uint32_t rounds = settings.rounds;
    char subtitle[160], file_name[80];
    double times[MAX_SUBJECTS][MAX_ROUNDS];
    Trace trace;
    if (!load_trace(name, &trace)) {
        die("%s", trace.error);
    }
    (void)snprintf(subtitle, sizeof subtitle, "%s, all memory types together; %zu resource events",
                   name, trace.resourceEvents);
    Plot plot = {.title = "Live and committed memory over a trace",
                 .subtitle = subtitle,
                 .xLabel = "resources created and destroyed so far",
                 .yLabel = "MB"};
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < count; i++) {
            progress("traces: %s, round %u of %u, %s", name, round + 1, rounds, kinds[i]->name);
            times[i][round] = plain_round(&trace, kinds[i]);
        }
    }
    PlotSeries* live = plot_series(&plot, "live", PLOT_AREA, PLOT_POINTS + 2);
    for (uint32_t i = 0; i < count; i++) {
        Replay replay;
        replay_begin(&replay, &trace, kinds[i]);
        live->count = 0; /* the same for all */
        replay.liveSeries = live;
        replay.committedSeries = plot_series(&plot, kinds[i]->name, PLOT_LINE, PLOT_POINTS + 2);
        replay_all(&replay);
        check_replay(&replay);
        trace_row(table, name, &replay, times[i], rounds);
        replay_end(&replay);
    }
    (void)snprintf(file_name, sizeof file_name, "trace-%s.svg", name);
    plot_write(&plot, file_name);
    trace_free(&trace);
}

/*  Each trace to its end, for the sequence "defrag". */
void defrag_traces(Table* table) {
    const SubjectKind* kinds[MAX_SUBJECTS];
    uint32_t count = subjects_with(HAS_DEVICE, kinds);
    for (size_t t = 0; t < trace_count(); t++) {
        Trace trace;
        if (!load_trace(names[t], &trace)) {
            die("%s", trace.error);
        }
        for (uint32_t i = 0; i < DEFRAG_ALGORITHMS * count; i++) {
            const SubjectKind* kind = kinds[i / DEFRAG_ALGORITHMS];
            Replay replay;
            if (kind->defragment == NULL) {
                continue;
            }
            replay_begin(&replay, &trace, kind);
            replay.plain = true;
            replay_all(&replay);
            check_replay(&replay);
            defrag_row(table, names[t], replay.subject, i % DEFRAG_ALGORITHMS);
            replay_end(&replay);
        }
        trace_free(&trace);
    }
}

void run_traces(void) {
    const size_t count = trace_count();
    Table table = TABLE("traces", "what real programs asked for, create and destroy",
                        "average: that of committed over that of live bytes, over all events; ns "
                        "are CPU time, the percentiles wall time, with the simulated driver in it",
                        trace_columns);
    for (size_t i = 0; i < count; i++) {
        run_trace(&table, names[i]);
    }
    table_print(&table);
}
