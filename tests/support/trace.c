/*  trace.c - see trace.h. */

#include "trace.h"

#include <lzma.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- text ------------------------------------------------------------------------------------- */

/*  Zeroes the trace but for the error. */
static bool fail(Trace* trace, const char* format, ...) {
    trace_free(trace);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(trace->error, sizeof(trace->error), format, arguments);
    va_end(arguments);
    return false;
}

/*  The next field of a line as a number; false at the line's end, and for what is no number. */
static bool take_number(const char** cursor, const char* end, unsigned base, uint64_t most,
                        uint64_t* value) {
    const char* at = *cursor;
    if (at == end || *at != ' ') {
        return false;
    }
    at++;
    uint64_t number = 0;
    const char* first = at;
    for (; at < end && *at != ' '; at++) {
        unsigned digit = base;
        if (*at >= '0' && *at <= '9') {
            digit = (unsigned)(*at - '0');
        } else if (*at >= 'a' && *at <= 'f') {
            digit = (unsigned)(*at - 'a') + 10;
        }
        if (digit >= base || number > (most - digit) / base) {
            return false;
        }
        number = number * base + digit;
    }
    *cursor = at;
    *value = number;
    return at > first;
}

/*  Where the fields of a line go, in their order: 32 or 64 bits, decimal or hexadecimal. */
typedef struct Field {
    size_t offset;
    unsigned base;
    bool wide;
} Field;

#define DECIMAL(name)                                                                              \
    { offsetof(TraceEvent, name), 10, sizeof(((TraceEvent*)0)->name) == 8 }
#define HEX(name)                                                                                  \
    { offsetof(TraceEvent, name), 16, sizeof(((TraceEvent*)0)->name) == 8 }

static const Field bufferFields[] = {
    DECIMAL(id),        DECIMAL(size), DECIMAL(align), DECIMAL(typeBits), HEX(usage),
    DECIMAL(dedicated), HEX(props),    DECIMAL(memId), DECIMAL(offset),
};
static const Field imageFields[] = {
    DECIMAL(id),     DECIMAL(size),      DECIMAL(align),   DECIMAL(typeBits), HEX(usage),
    DECIMAL(tiling), DECIMAL(dedicated), DECIMAL(w),       DECIMAL(h),        DECIMAL(d),
    DECIMAL(mips),   DECIMAL(layers),    DECIMAL(format),  HEX(props),        DECIMAL(memId),
    DECIMAL(offset), DECIMAL(samples),   HEX(createFlags),
};
static const Field memoryFields[] = {
    DECIMAL(id), DECIMAL(size), DECIMAL(typeIndex), DECIMAL(dedicated), DECIMAL(imported),
};
static const Field idFields[] = {DECIMAL(id)};
static const Field submitFields[] = {DECIMAL(n)};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool parse_line(const char* line, const char* end, TraceEvent* event) {
    const Field* fields = NULL;
    size_t count = 0;
    switch (line[0]) {
    case TRACE_BUFFER:
        fields = bufferFields;
        count = COUNT(bufferFields);
        break;
    case TRACE_IMAGE:
        fields = imageFields;
        count = COUNT(imageFields);
        break;
    case TRACE_ALLOCATE:
        fields = memoryFields;
        count = COUNT(memoryFields);
        break;
    case TRACE_DESTROY:
    case TRACE_FREE:
        fields = idFields;
        count = COUNT(idFields);
        break;
    case TRACE_SUBMIT:
        fields = submitFields;
        count = COUNT(submitFields);
        break;
    case TRACE_PRESENT: break;
    default: return false;
    }
    memset(event, 0, sizeof(*event));
    event->kind = (TraceKind)line[0];
    line++;
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 0;
        if (!take_number(&line, end, fields[i].base, fields[i].wide ? UINT64_MAX : UINT32_MAX,
                         &value)) {
            return false;
        }
        char* field = (char*)event + fields[i].offset;
        if (fields[i].wide) {
            memcpy(field, &value, sizeof(value));
        } else {
            uint32_t narrow = (uint32_t)value;
            memcpy(field, &narrow, sizeof(narrow));
        }
    }
    return line == end;
}

/* --- meaning ---------------------------------------------------------------------------------- */

/*  What an id stands for while it lives: its kind, and the size of a resource. */
typedef struct Life {
    char kind; /* 0 = never seen, 'x' = gone */
    uint64_t size;
} Life;

typedef struct Lives {
    Life* at;
    size_t capacity;
} Lives;

/*  Ids count up from 1: a table up to the highest is small, and one far out is a mistake. */
static Life* find_life(Lives* lives, uint32_t id) {
    if (id == 0 || id > (1u << 26)) {
        return NULL;
    }
    if (id >= lives->capacity) {
        size_t capacity = (size_t)id * 2 + 64;
        Life* grown = (Life*)realloc(lives->at, capacity * sizeof(Life));
        if (grown == NULL) {
            return NULL;
        }
        memset(grown + lives->capacity, 0, (capacity - lives->capacity) * sizeof(Life));
        lives->at = grown;
        lives->capacity = capacity;
    }
    return &lives->at[id];
}

/*  Null when the event makes sense after those before it, else what is wrong with it. */
static const char* follow(Trace* trace, Lives* lives, const TraceEvent* event,
                          uint64_t* liveBytes) {
    if (event->kind == TRACE_PRESENT || event->kind == TRACE_SUBMIT) {
        return NULL;
    }
    Life* life = find_life(lives, event->id);
    if (life == NULL) {
        return "bad id";
    }
    if (event->kind == TRACE_DESTROY || event->kind == TRACE_FREE) {
        bool isMemory = life->kind == TRACE_ALLOCATE;
        if (life->kind == 0 || life->kind == 'x' || isMemory != (event->kind == TRACE_FREE)) {
            return "id of nothing that is alive";
        }
        if (event->kind == TRACE_DESTROY) {
            *liveBytes -= life->size;
            trace->resourceEvents++;
        }
        life->kind = 'x';
        return NULL;
    }
    if (life->kind != 0) {
        return "id used twice";
    }
    if (event->size == 0) {
        return "size is zero";
    }
    life->kind = (char)event->kind;
    life->size = event->size;
    if (event->id >= trace->idCount) {
        trace->idCount = event->id + 1;
    }
    if (event->kind == TRACE_ALLOCATE) {
        return NULL;
    }
    if (event->align == 0 || (event->align & (event->align - 1)) != 0) {
        return "alignment is not a power of two";
    }
    Life* memory = find_life(lives, event->memId);
    if (memory == NULL || memory->kind != TRACE_ALLOCATE) {
        return "memory is not alive";
    }
    if (event->size > memory->size || event->offset > memory->size - event->size) {
        return "resource leaves its memory";
    }
    trace->resourceEvents++;
    *liveBytes += event->size;
    if (*liveBytes > trace->peakLiveBytes) {
        trace->peakLiveBytes = *liveBytes;
    }
    return NULL;
}

/*  Lines that start with # describe the run; of these only the program's name is kept. */
static void parse_comment(const char* line, const char* end, Trace* trace) {
    static const char key[] = "# app: ";
    size_t keyLength = sizeof(key) - 1;
    if ((size_t)(end - line) > keyLength && memcmp(line, key, keyLength) == 0) {
        (void)snprintf(trace->app, sizeof(trace->app), "%.*s", (int)(end - line - (int)keyLength),
                       line + keyLength);
    }
}

static bool parse_lines(const char* name, const char* text, size_t size, Trace* trace,
                        Lives* lives) {
    size_t capacity = 0;
    uint64_t liveBytes = 0;
    unsigned long number = 0;
    const char* textEnd = text + size;
    for (const char* line = text; line < textEnd;) {
        number++;
        const char* end = (const char*)memchr(line, '\n', (size_t)(textEnd - line));
        if (end == NULL) {
            return fail(trace, "%s:%lu: the last line has no end; is the file whole?", name,
                        number);
        }
        if (line[0] == '#') {
            parse_comment(line, end, trace);
            line = end + 1;
            continue;
        }
        if (trace->eventCount == capacity) {
            capacity = capacity * 2 + 1024;
            TraceEvent* grown = (TraceEvent*)realloc(trace->events, capacity * sizeof(TraceEvent));
            if (grown == NULL) {
                return fail(trace, "%s: out of memory", name);
            }
            trace->events = grown;
        }
        TraceEvent* event = &trace->events[trace->eventCount];
        const char* problem = "malformed line";
        if (parse_line(line, end, event)) {
            problem = follow(trace, lives, event, &liveBytes);
        }
        if (problem != NULL) {
            return fail(trace, "%s:%lu: %s: %.*s", name, number, problem, (int)(end - line), line);
        }
        trace->eventCount++;
        line = end + 1;
    }
    return trace->eventCount > 0 || fail(trace, "%s: no events", name);
}

bool trace_parse(const char* name, const char* text, size_t size, Trace* trace) {
    Lives lives = {NULL, 0};
    memset(trace, 0, sizeof(*trace));
    bool good = parse_lines(name, text, size, trace, &lives);
    free(lives.at);
    return good;
}

/* --- file ------------------------------------------------------------------------------------- */

/*  Grows text by what the decoder gives until the stream ends. Null: *error says why. */
static char* decode(FILE* file, lzma_stream* stream, size_t* size, const char** error) {
    uint8_t input[16384];
    size_t capacity = 1 << 20;
    char* text = (char*)malloc(capacity);
    *error = "out of memory";
    while (text != NULL) {
        if (stream->avail_in == 0) {
            stream->next_in = input;
            stream->avail_in = fread(input, 1, sizeof(input), file);
            if (ferror(file)) {
                *error = "cannot be read";
                break;
            }
        }
        if ((size_t)stream->total_out == capacity) {
            capacity *= 2;
            char* grown = (char*)realloc(text, capacity);
            if (grown == NULL) {
                break;
            }
            text = grown;
        }
        stream->next_out = (uint8_t*)text + stream->total_out;
        stream->avail_out = capacity - (size_t)stream->total_out;
        lzma_ret result = lzma_code(stream, feof(file) ? LZMA_FINISH : LZMA_RUN);
        if (result == LZMA_STREAM_END) {
            *size = (size_t)stream->total_out;
            return text;
        }
        if (result != LZMA_OK) {
            *error = result == LZMA_BUF_ERROR ? "the xz file is cut off" : "not a sound xz file";
            break;
        }
    }
    free(text);
    return NULL;
}

bool trace_load(const char* path, Trace* trace) {
    memset(trace, 0, sizeof(*trace));
    FILE* file = fopen(path, "rb");
    if (file == NULL) {
        return fail(trace, "%s: cannot be opened", path);
    }
    lzma_stream stream = LZMA_STREAM_INIT;
    const char* error = "out of memory";
    char* text = NULL;
    size_t size = 0;
    if (lzma_stream_decoder(&stream, UINT64_MAX, 0) == LZMA_OK) {
        text = decode(file, &stream, &size, &error);
    }
    lzma_end(&stream);
    (void)fclose(file);
    if (text == NULL) {
        return fail(trace, "%s: %s", path, error);
    }
    bool good = trace_parse(path, text, size, trace);
    free(text);
    return good;
}

void trace_free(Trace* trace) {
    free(trace->events);
    memset(trace, 0, sizeof(*trace));
}
