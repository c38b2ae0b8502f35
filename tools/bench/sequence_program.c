/*
    sequence_program.c - what programs do: a game that loads, plays, unloads and loads again; a
    working set so small that it could live in one block; and a frame loop that repeats itself.
*/
#include "contest.h"
#include "defrag.h"
#include "sequences.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ game */

#define GAME_ITEMS 1500u
#define GAME_PART  1200u /* 80 % */

typedef enum GameAction { GAME_LOAD, GAME_REPLACE, GAME_FREE } GameAction;

typedef struct Phase {
    const char* name;
    GameAction action;
    uint32_t count;
} Phase;

static const Phase phases[] = {
    {"load 1500", GAME_LOAD, GAME_ITEMS},   {"replace 10000", GAME_REPLACE, 10000},
    {"unload 80 %", GAME_FREE, GAME_PART},  {"load 1200", GAME_LOAD, GAME_PART},
    {"replace 10000", GAME_REPLACE, 10000}, {"free 1200", GAME_FREE, GAME_PART},
    {"load 1200", GAME_LOAD, GAME_PART},
};

typedef struct Game {
    Subject* subject;
    Random random;
    Resource items[GAME_ITEMS];
    uint32_t count;
    uint64_t live;
    double liveSum, committedSum; /* over the events of a phase */
    uint64_t peakCommitted;
} Game;

/*  RGBA8 with all levels down to one texel, of so many bytes in the first. */
static uint64_t mip_chain(uint64_t base) {
    uint64_t bytes = 0;
    for (; base >= 4; base /= 4) {
        bytes += base;
    }
    return bytes;
}

static void describe_image(ResourceInfo* info, uint64_t size, bool target) {
    info->isImage = true;
    info->alignment = 65536;
    info->size = (size + 255) / 256 * 256;
    info->image.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
    info->image.imageType = VK_IMAGE_TYPE_2D;
    info->image.format = VK_FORMAT_R8G8B8A8_UNORM;
    info->image.extent.width = info->image.extent.height = 64; /* the size is pinned, not this */
    info->image.extent.depth = 1;
    info->image.mipLevels = info->image.arrayLayers = 1;
    info->image.samples = VK_SAMPLE_COUNT_1_BIT;
    info->image.usage = VK_IMAGE_USAGE_SAMPLED_BIT;
    info->image.usage |= target ? VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT : 0;
}

static void draw_item(Random* random, ResourceInfo* info) {
    uint32_t kind = random_below(random, 100);
    memset(info, 0, sizeof *info);
    info->properties = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    if (kind < 70) {
        info->size = random_size(random, 256, 65536, 256);
        info->alignment = 256;
        info->buffer.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
        info->buffer.size = info->size;
        info->buffer.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT;
    } else if (kind < 95) {
        describe_image(info, mip_chain((uint64_t)65536 << 2 * random_below(random, 5)), false);
    } else {
        describe_image(info, random_size(random, 8388608, 67108864, 256), true);
    }
}

static void note_event(Game* game) {
    uint64_t committed = device_committed(game->subject->device);
    game->liveSum += (double)game->live;
    game->committedSum += (double)committed;
    game->peakCommitted = committed > game->peakCommitted ? committed : game->peakCommitted;
}

static void load_item(Game* game, Resource* item) {
    ResourceInfo info;
    draw_item(&game->random, &info);
    memset(item, 0, sizeof *item);
    game->subject->kind->create(game->subject, &info, item);
    game->live += info.size;
    note_event(game);
}

static void free_item(Game* game, Resource* item) {
    game->live -= item->size;
    game->subject->kind->destroy(game->subject, item);
    note_event(game);
}

static void play(Game* game, const Phase* phase) {
    game->liveSum = game->committedSum = 0;
    for (uint32_t i = 0; i < phase->count; i++) {
        uint32_t any = random_below(&game->random, game->count > 0 ? game->count : 1);
        switch (phase->action) {
        case GAME_LOAD: load_item(game, &game->items[game->count++]); break;
        case GAME_REPLACE:
            free_item(game, &game->items[any]);
            load_item(game, &game->items[any]);
            break;
        case GAME_FREE:
            free_item(game, &game->items[any]);
            game->items[any] = game->items[--game->count];
            break;
        }
    }
    if (game->subject->kind->liveBytes(game->subject) != game->live) {
        die("%s counts other live bytes than the game", game->subject->kind->name);
    }
}

static const Column game_columns[] = {
    {"subject", "subject", NULL},
    {"phase", "phase", NULL},
    {"liveMiB", "live MiB", "%.0f"},
    {"average", "committed/live, average", "%.3f"},
    {"atEnd", "at the end", "%.3f"},
    {"blocks", "blocks", "%.0f"},
    {"vkAllocateMemory", "vkAllocateMemory so far", "%.0f"},
    {"hostBytes", "host B", "%.0f"},
};

static void game_rows(Table* table, Game* game) {
    for (size_t p = 0; p < sizeof phases / sizeof *phases; p++) {
        progress("game: %s, %s", phases[p].name, game->subject->kind->name);
        play(game, &phases[p]);
        Usage usage = usage_of(game->subject);
        table_row(table);
        table_text(table, "subject", game->subject->kind->name);
        table_text(table, "phase", phases[p].name);
        table_number(table, "liveMiB", (double)game->live / (double)MIB);
        table_number(table, "average", game->committedSum / game->liveSum);
        table_usage(table, &usage);
        table_number(table, "atEnd", (double)usage.committedBytes / (double)usage.liveBytes);
    }
}

void run_game(void) {
    const SubjectKind* kinds[MAX_SUBJECTS];
    uint32_t count = subjects_with(HAS_DEVICE, kinds);
    const Setup setup = {.heapBytes = 64 * GIB};
    Game* game = allocate_or_die(1, sizeof *game);
    Table table = TABLE("game", "70 % buffers, 25 % textures with mip chains, 5 % render targets",
                        "averages are those of committed over those of live bytes, over the events "
                        "of the phase",
                        game_columns);
    for (uint32_t i = 0; i < count; i++) {
        memset(game, 0, sizeof *game);
        game->subject = kinds[i]->open(&setup);
        game->random.state = RANDOM_SEED;
        device_pin_requirements(game->subject->device);
        game_rows(&table, game);
        while (game->count > 0) {
            kinds[i]->destroy(game->subject, &game->items[--game->count]);
        }
        kinds[i]->close(game->subject);
    }
    table_print(&table);
    free(game);
}

/*  Play up to the end of a phase, for the sequence "defrag". */
static void game_until(Game* game, size_t end) {
    for (size_t p = 0; p <= end; p++) {
        play(game, &phases[p]);
    }
}

void defrag_game(Table* table) {
    const SubjectKind* kinds[MAX_SUBJECTS];
    uint32_t count = subjects_with(HAS_DEVICE, kinds);
    const Setup setup = {.heapBytes = 64 * GIB};
    Game* game = allocate_or_die(1, sizeof *game);
    for (size_t p = 0; p < sizeof phases / sizeof *phases; p++) {
        for (uint32_t i = 0; i < DEFRAG_ALGORITHMS * count; i++) {
            if (phases[p].action != GAME_FREE || kinds[i / DEFRAG_ALGORITHMS]->defragment == NULL) {
                continue;
            }
            memset(game, 0, sizeof *game);
            game->subject = kinds[i / DEFRAG_ALGORITHMS]->open(&setup);
            game->random.state = RANDOM_SEED;
            device_pin_requirements(game->subject->device);
            game_until(game, p);
            defrag_row(table, p < 3 ? "game, 1200 of 1500 unloaded" : "game, unloaded again",
                       game->subject, i % DEFRAG_ALGORITHMS);
            while (game->count > 0) {
                game->subject->kind->destroy(game->subject, &game->items[--game->count]);
            }
            game->subject->kind->close(game->subject);
        }
    }
    free(game);
}

/* ------------------------------------------------------------------ tiny */

static const Column tiny_columns[] = {
    {"subject", "subject", NULL},
    {"pairs", "pairs", "%.0f"},
    {"vkAllocateMemory", "vkAllocateMemory", "%.0f"},
    {"average", "committed/live, average", "%.3f"},
    {"nsPerPair", "ns a pair (min..max)", "%.1f"},
    {"hostBytes", "host B", "%.0f"},
};

static void tiny_row(Table* table, Contest* contest, uint32_t which) {
    Contestant* contestant = &contest->contestants[which];
    const Churn* churn = &contest->churn;
    Random random = {RANDOM_SEED};
    double live_sum = 0, committed_sum = 0;
    uint64_t sizes[64], live = 0;
    for (uint32_t i = 0; i < churn->live + churn->pairs; i++) {
        uint32_t slot = i < churn->live ? i : random_below(&random, churn->live);
        uint64_t size = random_size(&random, churn->lo, churn->hi, churn->unit);
        if (i >= churn->live) {
            contestant->kind->release(contestant->subject, contestant->slots[slot]);
            live -= sizes[slot];
        }
        contestant->slots[slot] =
            contestant->kind->allocate(contestant->subject, size, churn->alignment, 0);
        sizes[slot] = size;
        live += size;
        if (contestant->slots[slot] == NULL) {
            die("%s: no room", contestant->kind->name);
        }
        live_sum += (double)live;
        committed_sum += (double)device_committed(contestant->subject->device);
    }
    table_row(table);
    table_text(table, "subject", contestant->kind->name);
    table_number(table, "pairs", churn->pairs);
    Usage usage = usage_of(contestant->subject);
    if (usage.liveBytes != live) {
        die("%s counts other live bytes than the sequence", contestant->kind->name);
    }
    table_usage(table, &usage);
    table_number(table, "average", committed_sum / live_sum);
}

void run_tiny(void) {
    const Churn churn = {
        "tiny", 64, 256, 1048576, 256, 256, (uint32_t)at_scale(200000, 200000, 20000)};
    const Setup setup = {0};
    Contest contest;
    Table table = TABLE("tiny", "churn with 64 live of 256 B-1 MiB",
                        "the average is that of committed over that of live bytes, over all pairs",
                        tiny_columns);
    contest_open(&contest, &churn, &setup, HAS_DEVICE);
    for (uint32_t i = 0; i < contest.count; i++) {
        progress("tiny: %s", contest.contestants[i].kind->name);
        tiny_row(&table, &contest, i); /* on a fresh allocator; the timed rounds come after it */
    }
    for (uint32_t i = 0; i < churn.live; i++) {
        contest.nothing.slots[i] = contest.nothing.subject;
    }
    contest_run(&contest);
    for (uint32_t i = 0; i < contest.count; i++) {
        table.row = cJSON_GetArrayItem(table.rows, (int)i);
        table_spread(&table, "nsPerPair",
                     spread_of(contest.contestants[i].nsPerPair, settings.rounds));
    }
    contest_empty(&contest);
    contest_close(&contest);
    table_print(&table);
}

/* ------------------------------------------------------------------ frames */

#define FRAME_SET 500u

static const Column frame_columns[] = {
    {"order", "each frame", NULL},      {"subject", "subject", NULL},
    {"frames", "frames", "%.0f"},       {"driverCalls", "driver calls", "%.0f"},
    {"nsPerPair", "ns a pair", "%.1f"}, {"committedOverLive", "committed/live", "%.3f"},
    {"hostBytes", "host B", "%.0f"},
};

typedef struct FrameLoop {
    Subject* subject;
    uint64_t sizes[FRAME_SET];
    void* now[FRAME_SET];
    void* last[FRAME_SET]; /* of the frame before, where allocations come first */
    bool allocateFirst;
    uint32_t frame;
} FrameLoop;

static void free_set(FrameLoop* loop, void** set) {
    for (uint32_t i = 0; i < FRAME_SET; i++) {
        if (set[i] != NULL) {
            loop->subject->kind->release(loop->subject, set[i]);
            set[i] = NULL;
        }
    }
}

static void run_frame(FrameLoop* loop) {
    if (loop->allocateFirst) {
        memcpy(loop->last, loop->now, sizeof loop->last);
    } else {
        free_set(loop, loop->now);
    }
    for (uint32_t i = 0; i < FRAME_SET; i++) {
        loop->now[i] = loop->subject->kind->allocate(loop->subject, loop->sizes[i], 256, 0);
        if (loop->now[i] == NULL) {
            die("%s: no room in frame %u", loop->subject->kind->name, loop->frame);
        }
    }
    if (loop->allocateFirst) {
        free_set(loop, loop->last);
    }
    loop->subject->kind->tick(loop->subject, ++loop->frame);
}

static void frame_row(Table* table, const SubjectKind* kind, bool allocate_first) {
    const Setup setup = {0};
    /* Longer than any block that is empty is kept: what goes, goes now. */
    const uint32_t warm_up = 2000, frames = (uint32_t)at_scale(4000, 2000, 1500);
    FrameLoop* loop = allocate_or_die(1, sizeof *loop);
    Random random = {RANDOM_SEED};
    loop->subject = kind->open(&setup);
    loop->allocateFirst = allocate_first;
    for (uint32_t i = 0; i < FRAME_SET; i++) {
        loop->sizes[i] = random_size(&random, 256, 1048576, 256);
    }
    progress("frames: %s", kind->name);
    for (uint32_t i = 0; i < warm_up; i++) {
        run_frame(loop);
    }
    uint64_t calls = device_driver_calls(loop->subject->device);
    double start = thread_seconds();
    for (uint32_t i = 0; i < frames; i++) {
        run_frame(loop);
    }
    double seconds = thread_seconds() - start;
    calls = device_driver_calls(loop->subject->device) - calls;
    Usage usage = usage_of(loop->subject);
    table_row(table);
    table_text(table, "order", allocate_first ? "allocate, then free" : "free, then allocate");
    table_text(table, "subject", kind->name);
    table_number(table, "frames", frames);
    table_number(table, "driverCalls", (double)calls);
    table_number(table, "nsPerPair", seconds * 1e9 / ((double)frames * FRAME_SET));
    table_usage(table, &usage);
    free_set(loop, loop->now);
    kind->close(loop->subject);
    free(loop);
}

void run_frames(void) {
    const SubjectKind* kinds[MAX_SUBJECTS];
    uint32_t count = subjects_with(HAS_DEVICE, kinds);
    Table table = TABLE("frames", "the same 500 allocations of 256 B-1 MiB, anew each frame",
                        "driver calls of any kind after 2000 frames of warm-up: 0 is what there "
                        "should be",
                        frame_columns);
    for (uint32_t i = 0; i < count; i++) {
        frame_row(&table, kinds[i], false);
        frame_row(&table, kinds[i], true);
    }
    table_print(&table);
}
