/*
    sequence_buffer.c - requests that say what they are for against those that do not, and buffers
    on a real driver against what the driver alone takes for them.
*/
#include "contest.h"
#include "gpu.h"
#include "sequences.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ kinds */

#define BUFFER_COUNT 4096u

typedef enum Request { REQUEST_NOTHING, REQUEST_BUFFER, REQUEST_UNKNOWN, REQUEST_COUNT } Request;

static const char* const request_names[] = {"", "for a buffer", "kind unknown"};

typedef struct Kinds {
    Subject* subjects[REQUEST_COUNT]; /* by what is asked of them; the first takes none */
    void** slots[REQUEST_COUNT];
    Random random[REQUEST_COUNT];
    VkBuffer buffers[REQUEST_COUNT][BUFFER_COUNT]; /* never bound: they only demand */
    uint32_t live, pairs;
} Kinds;

/*  Either way the driver is asked once what the buffer needs. */
static void* request(Kinds* kinds, Request what, VkBuffer buffer) {
    Subject* subject = kinds->subjects[what];
    void* taken = NULL;
    if (what == REQUEST_BUFFER) {
        taken = subject->kind->allocateForBuffer(subject, buffer);
    } else {
        Device* device = subject->device;
        VkBufferMemoryRequirementsInfo2 info = {VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2,
                                                NULL, buffer};
        VkMemoryDedicatedRequirements dedicated = {VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS,
                                                   NULL, VK_FALSE, VK_FALSE};
        VkMemoryRequirements2 needs = {
            VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2, &dedicated, {0, 0, 0}};
        device->vkGetBufferMemoryRequirements2(sim_device(device->sim), &info, &needs);
        taken = what == REQUEST_NOTHING
                    ? device
                    : subject->kind->allocate(subject, needs.memoryRequirements.size,
                                              needs.memoryRequirements.alignment, 0);
    }
    if (taken == NULL) {
        die("%s: no room", subject->kind->name);
    }
    return taken;
}

/*  ns a pair. Requests of no kind measure the sequence and the driver's answer. */
static double kinds_round(Kinds* kinds, Request what) {
    Subject* subject = kinds->subjects[what];
    void** slots = kinds->slots[what];
    Random* random = &kinds->random[what];
    double start = thread_seconds();
    for (uint32_t i = 0; i < kinds->pairs; i++) {
        uint32_t slot = random_below(random, kinds->live);
        VkBuffer buffer = kinds->buffers[what][random_below(random, BUFFER_COUNT)];
        if (what != REQUEST_NOTHING) {
            subject->kind->release(subject, slots[slot]);
        }
        slots[slot] = request(kinds, what, buffer);
    }
    return (thread_seconds() - start) * 1e9 / kinds->pairs;
}

static void kinds_open(Kinds* kinds, const SubjectKind* kind, uint64_t granularity) {
    const Setup setup = {.granularity = granularity, .heapBytes = 64 * GIB};
    kinds->live = (uint32_t)at_scale(10000, 10000, 500);
    kinds->pairs = (uint32_t)at_scale(200000, 60000, 2000);
    for (int what = 0; what < REQUEST_COUNT; what++) {
        Random random = {RANDOM_SEED};
        Subject* subject = kind->open(&setup);
        kinds->subjects[what] = subject;
        kinds->random[what].state = RANDOM_SEED + 1;
        for (uint32_t b = 0; b < BUFFER_COUNT; b++) {
            VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
            info.size = random_size(&random, 256, 262144, 256);
            info.usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT;
            check(subject->device->vkCreateBuffer(sim_device(subject->device->sim), &info, NULL,
                                                  &kinds->buffers[what][b]),
                  "vkCreateBuffer");
        }
        kinds->slots[what] = allocate_or_die(kinds->live, sizeof(void*));
        for (uint32_t i = 0; i < kinds->live; i++) {
            VkBuffer buffer = kinds->buffers[what][random_below(&random, BUFFER_COUNT)];
            kinds->slots[what][i] = request(kinds, (Request)what, buffer);
        }
    }
}

static void kinds_close(Kinds* kinds) {
    for (int what = 0; what < REQUEST_COUNT; what++) {
        Subject* subject = kinds->subjects[what];
        for (uint32_t i = 0; i < kinds->live && what != REQUEST_NOTHING; i++) {
            subject->kind->release(subject, kinds->slots[what][i]);
        }
        for (uint32_t b = 0; b < BUFFER_COUNT; b++) {
            subject->device->vkDestroyBuffer(sim_device(subject->device->sim),
                                             kinds->buffers[what][b], NULL);
        }
        subject->kind->close(subject);
        free(kinds->slots[what]);
    }
}

static const Column kind_columns[] = {
    {"subject", "subject", NULL},          {"granularity", "granularity", "%.0f"},
    {"request", "request", NULL},          {"nsPerPair", "ns a pair (min..max)", "%.1f"},
    {"toBuffer", "to a buffer's", "%.2f"}, {"committedOverLive", "committed/live", "%.3f"},
    {"hostBytes", "host B", "%.0f"},
};

static void kinds_case(Table* table, Kinds* kinds, const SubjectKind* kind, uint64_t granularity) {
    double times[REQUEST_COUNT][MAX_ROUNDS], ratios[MAX_ROUNDS];
    memset(kinds, 0, sizeof *kinds);
    kinds_open(kinds, kind, granularity);
    for (uint32_t round = 0; round <= settings.rounds; round++) { /* the first one warms up */
        progress("kinds: granularity %u, round %u of %u, %s", (unsigned)granularity, round,
                 settings.rounds, kind->name);
        double nothing = kinds_round(kinds, REQUEST_NOTHING);
        for (uint32_t turn = 0; turn < 2; turn++) {
            Request what = (round + turn) % 2 == 0 ? REQUEST_BUFFER : REQUEST_UNKNOWN;
            double time = fmax(kinds_round(kinds, what) - nothing, 0);
            times[what][round > 0 ? round - 1 : 0] = time;
        }
    }
    for (uint32_t round = 0; round < settings.rounds; round++) {
        ratios[round] = times[REQUEST_UNKNOWN][round] / fmax(times[REQUEST_BUFFER][round], 1e-3);
    }
    for (int what = REQUEST_BUFFER; what < REQUEST_COUNT; what++) {
        Usage usage = usage_of(kinds->subjects[what]);
        table_row(table);
        table_text(table, "subject", kind->name);
        table_number(table, "granularity", (double)granularity);
        table_text(table, "request", request_names[what]);
        table_spread(table, "nsPerPair", spread_of(times[what], settings.rounds));
        if (what == REQUEST_UNKNOWN) {
            table_spread(table, "toBuffer", spread_of(ratios, settings.rounds));
        }
        table_usage(table, &usage);
    }
    kinds_close(kinds);
}

void run_kinds(void) {
    const SubjectKind* kinds[MAX_SUBJECTS];
    uint32_t count = subjects_with(HAS_DEVICE, kinds);
    Kinds* state = allocate_or_die(1, sizeof *state);
    Table table = TABLE("kinds", "churn of 256 B-256 KiB, asked for a buffer or for an unknown use",
                        "both ask the driver once what the buffer needs; that time is taken off",
                        kind_columns);
    for (uint32_t i = 0; i < count; i++) {
        kinds_case(&table, state, kinds[i], 1024);
        kinds_case(&table, state, kinds[i], 65536);
    }
    table_print(&table);
    free(state);
}

/* ------------------------------------------------------------------ createbuffer */

#define BUFFER_BYTES 65536u
#define KEPT_BUFFERS 64u /* so that no block comes or goes */
#define BATCH        256u

typedef struct Real {
    Gpu gpu;
    HostMemory host;
    SxvkAllocator allocator;
    VkBuffer keptBuffers[KEPT_BUFFERS];
    SxvkAllocation kept[KEPT_BUFFERS];
    VkDeviceMemory memory; /* of the floor: it binds what it makes here */
    PFN_vkCreateBuffer vkCreateBuffer;
    PFN_vkDestroyBuffer vkDestroyBuffer;
    PFN_vkGetBufferMemoryRequirements vkGetBufferMemoryRequirements;
    PFN_vkBindBufferMemory vkBindBufferMemory;
    PFN_vkBindBufferMemory2 vkBindBufferMemory2; /* NULL: older than Vulkan 1.1 */
    /* Of a batch. */
    VkBufferCreateInfo infos[BATCH];
    SxvkAllocationCreateInfo how[BATCH];
    VkBuffer buffers[BATCH];
    SxvkAllocation allocations[BATCH];
    VkBindBufferMemoryInfo binds[BATCH];
} Real;

static VkBufferCreateInfo real_buffer(void) {
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
    info.size = BUFFER_BYTES;
    info.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    return info;
}

static double real_ours(Real* real, uint32_t pairs) {
    VkBufferCreateInfo info = real_buffer();
    SxvkAllocationCreateInfo how = {.usage = SXVK_MEMORY_USAGE_AUTO};
    double start = thread_seconds();
    for (uint32_t i = 0; i < pairs; i++) {
        VkBuffer buffer;
        SxvkAllocation allocation;
        check(sxvkCreateBuffer(real->allocator, &info, &how, &buffer, &allocation, NULL),
              "sxvkCreateBuffer");
        sxvkDestroyBuffer(real->allocator, buffer, allocation);
    }
    return (thread_seconds() - start) * 1e9 / pairs;
}

/*  The driver gets the callbacks that it gets from the allocator, too. */
static double real_floor(Real* real, uint32_t pairs) {
    VkBufferCreateInfo info = real_buffer();
    VkDevice device = real->gpu.device;
    const VkAllocationCallbacks* host = &real->host.callbacks;
    double start = thread_seconds();
    for (uint32_t i = 0; i < pairs; i++) {
        VkBuffer buffer;
        VkMemoryRequirements needs;
        check(real->vkCreateBuffer(device, &info, host, &buffer), "vkCreateBuffer");
        real->vkGetBufferMemoryRequirements(device, buffer, &needs);
        check(real->vkBindBufferMemory(device, buffer, real->memory, 0), "vkBindBufferMemory");
        real->vkDestroyBuffer(device, buffer, host);
    }
    return (thread_seconds() - start) * 1e9 / pairs;
}

/*  The other three make BATCH buffers and then destroy them: by one call each, */
static double real_batches(Real* real, uint32_t pairs) {
    double start = thread_seconds();
    for (uint32_t i = 0; i < pairs; i += BATCH) {
        check(sxvkCreateBuffers(real->allocator, BATCH, real->infos, real->how, real->buffers,
                                real->allocations, NULL),
              "sxvkCreateBuffers");
        sxvkDestroyBuffers(real->allocator, BATCH, real->buffers, real->allocations);
    }
    return (thread_seconds() - start) * 1e9 / pairs;
}

/*  one by one, */
static double real_one_by_one(Real* real, uint32_t pairs) {
    double start = thread_seconds();
    for (uint32_t i = 0; i < pairs; i += BATCH) {
        for (uint32_t b = 0; b < BATCH; b++) {
            check(sxvkCreateBuffer(real->allocator, &real->infos[b], &real->how[b],
                                   &real->buffers[b], &real->allocations[b], NULL),
                  "sxvkCreateBuffer");
        }
        for (uint32_t b = 0; b < BATCH; b++) {
            sxvkDestroyBuffer(real->allocator, real->buffers[b], real->allocations[b]);
        }
    }
    return (thread_seconds() - start) * 1e9 / pairs;
}

/*  and by the driver alone, which binds all of them at once where it can. */
static double real_batch_floor(Real* real, uint32_t pairs) {
    VkDevice device = real->gpu.device;
    const VkAllocationCallbacks* host = &real->host.callbacks;
    double start = thread_seconds();
    for (uint32_t i = 0; i < pairs; i += BATCH) {
        for (uint32_t b = 0; b < BATCH; b++) {
            VkMemoryRequirements needs;
            VkBindBufferMemoryInfo* bind = &real->binds[b];
            check(real->vkCreateBuffer(device, &real->infos[b], host, &real->buffers[b]),
                  "vkCreateBuffer");
            real->vkGetBufferMemoryRequirements(device, real->buffers[b], &needs);
            memset(bind, 0, sizeof *bind);
            bind->sType = VK_STRUCTURE_TYPE_BIND_BUFFER_MEMORY_INFO;
            bind->buffer = real->buffers[b];
            bind->memory = real->memory;
        }
        if (real->vkBindBufferMemory2 != NULL) {
            check(real->vkBindBufferMemory2(device, BATCH, real->binds), "vkBindBufferMemory2");
        }
        for (uint32_t b = 0; b < BATCH && real->vkBindBufferMemory2 == NULL; b++) {
            check(real->vkBindBufferMemory(device, real->buffers[b], real->memory, 0),
                  "vkBindBufferMemory");
        }
        for (uint32_t b = 0; b < BATCH; b++) {
            real->vkDestroyBuffer(device, real->buffers[b], host);
        }
    }
    return (thread_seconds() - start) * 1e9 / pairs;
}

#define LOOK_UP(real, name)                                                                        \
    ((real)->name = (PFN_##name)vkGetDeviceProcAddr((real)->gpu.device, #name))

/*  False: no device; gpu.error says why. The software driver where nobody asks for another: its
    figures are the same on every machine's GPU. */
static bool real_open(Real* real) {
    GpuOptions options = {.device = settings.device, .withoutValidation = true};
    if (options.device == NULL && getenv("SXVK_DEVICE") == NULL) {
        options.device = "llvmpipe";
    }
    if (!gpu_open(&real->gpu, &options)) {
        return false; /* all is undone; to close it would forget why */
    }
    SxvkAllocatorCreateInfo info = gpu_allocator_info(&real->gpu);
    host_init(&real->host);
    info.pAllocationCallbacks = &real->host.callbacks;
    check(sxvkCreateAllocator(&info, &real->allocator), "sxvkCreateAllocator");
    if (LOOK_UP(real, vkCreateBuffer) == NULL || LOOK_UP(real, vkDestroyBuffer) == NULL ||
        LOOK_UP(real, vkGetBufferMemoryRequirements) == NULL ||
        LOOK_UP(real, vkBindBufferMemory) == NULL) {
        die("the driver lacks functions of Vulkan 1.0");
    }
    if (info.vulkanApiVersion >= VK_API_VERSION_1_1) {
        (void)LOOK_UP(real, vkBindBufferMemory2);
    }
    return true;
}

/*  Kept buffers, with room for a batch between them. The floor binds to the memory that the last
    one lies in, which overlaps and harms nobody: no GPU works on it. */
static void real_fill(Real* real) {
    const uint32_t apart = 1 + BATCH / KEPT_BUFFERS;
    SxvkAllocationInfo where = {0};
    uint32_t gaps = 0;
    for (uint32_t i = 0; i < BATCH; i++) {
        real->infos[i] = real_buffer();
        real->how[i].usage = SXVK_MEMORY_USAGE_AUTO;
    }
    for (uint32_t i = 0; i < KEPT_BUFFERS * apart; i++) {
        bool keep = i % apart == apart - 1;
        check(sxvkCreateBuffer(real->allocator, &real->infos[0], &real->how[0],
                               keep ? &real->keptBuffers[i / apart] : &real->buffers[gaps],
                               keep ? &real->kept[i / apart] : &real->allocations[gaps], &where),
              "sxvkCreateBuffer");
        gaps += !keep;
    }
    real->memory = where.deviceMemory;
    sxvkDestroyBuffers(real->allocator, gaps, real->buffers, real->allocations);
}

static void real_close(Real* real) {
    for (uint32_t i = 0; i < KEPT_BUFFERS; i++) {
        sxvkDestroyBuffer(real->allocator, real->keptBuffers[i], real->kept[i]);
    }
    sxvkDestroyAllocator(real->allocator);
    (void)gpu_close(&real->gpu);
}

static const Column real_columns[] = {
    {"subject", "subject", NULL},
    {"buffers", "at a time", "%.0f"},
    {"made", "made", NULL},
    {"device", "device", NULL},
    {"nsPerPair", "ns a pair (min..max)", "%.0f"},
    {"toFloor", "to the floor (min..max)", "%.3f"},
    {"toOneByOne", "to one by one (min..max)", "%.3f"},
    {"hostBytes", "host B", "%.0f"},
};

typedef enum Way {
    WAY_OURS,
    WAY_FLOOR,
    WAY_ONE_BY_ONE,
    WAY_BATCHES,
    WAY_BATCH_FLOOR,
    WAY_COUNT
} Way;

static const struct {
    const char* subject;
    const char* made;
    double (*round)(Real* real, uint32_t pairs);
    uint32_t buffers; /* that live at a time */
    Way floor;
} ways[WAY_COUNT] = {
    {"sx_vkalloc", "one by one", real_ours, 1, WAY_FLOOR},
    {"floor", "one by one", real_floor, 1, WAY_FLOOR},
    {"sx_vkalloc", "one by one", real_one_by_one, BATCH, WAY_BATCH_FLOOR},
    {"sx_vkalloc", "in a batch", real_batches, BATCH, WAY_BATCH_FLOOR},
    {"floor", "in a batch", real_batch_floor, BATCH, WAY_BATCH_FLOOR},
};

typedef double WayTimes[WAY_COUNT][MAX_ROUNDS];

static Spread real_ratio(WayTimes times, Way way, Way base) {
    double ratios[MAX_ROUNDS];
    for (uint32_t round = 0; round < settings.rounds; round++) {
        ratios[round] = times[way][round] / times[base][round];
    }
    return spread_of(ratios, settings.rounds);
}

static void real_row(Table* table, Real* real, WayTimes times, Way way) {
    table_row(table);
    table_text(table, "subject", ways[way].subject);
    table_number(table, "buffers", ways[way].buffers);
    table_text(table, "made", ways[way].made);
    table_text(table, "device", real->gpu.properties.deviceName);
    table_spread(table, "nsPerPair", spread_of(times[way], settings.rounds));
    if (way != ways[way].floor) {
        table_spread(table, "toFloor", real_ratio(times, way, ways[way].floor));
        table_number(table, "hostBytes", (double)real->host.bytes);
    }
    if (way == WAY_BATCHES) {
        table_spread(table, "toOneByOne", real_ratio(times, way, WAY_ONE_BY_ONE));
    }
}

void run_createbuffer(void) {
    const uint32_t pairs = BATCH * (uint32_t)at_scale(1000, 100, 2);
    WayTimes times;
    Real* real = allocate_or_die(1, sizeof *real);
    Table table = TABLE("createbuffer", "a buffer of 64 KiB made and destroyed on a real driver",
                        "the floor is what no library can avoid: vkCreateBuffer, requirements, "
                        "binding to memory that is there, vkDestroyBuffer",
                        real_columns);
    progress("createbuffer: looking for a device");
    if (!real_open(real)) {
        progress_end();
        if (settings.device != NULL) {
            die("createbuffer: %s", real->gpu.error); /* asked for by name */
        }
        (void)printf("\ncreatebuffer: left out: %s\n", real->gpu.error);
        table_row(&table);
        table_text(&table, "leftOut", real->gpu.error);
        free(real);
        return;
    }
    real_fill(real);
    for (uint32_t round = 0; round <= settings.rounds; round++) { /* the first one warms up */
        progress("createbuffer: round %u of %u", round, settings.rounds);
        for (uint32_t turn = 0; turn < WAY_COUNT; turn++) {
            uint32_t way = round % 2 == 0 ? turn : WAY_COUNT - 1 - turn;
            times[way][round > 0 ? round - 1 : 0] = ways[way].round(real, pairs);
        }
    }
    for (int way = 0; way < WAY_COUNT; way++) {
        real_row(&table, real, times, (Way)way);
    }
    real_close(real);
    table_print(&table);
    free(real);
}
