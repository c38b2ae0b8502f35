#include "memview_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SXVK_MEMVIEW_PAGE
#define SXVK_MEMVIEW_PAGE "tools/memview/memview.html"
#endif

/*  The dump goes between these two, which stand in the page once. */
#define OPENING "<script type=\"application/json\" id=\"dump\">"
#define CLOSING "</script>"

/*  The whole file as a string to free; null when it cannot be read. */
static char* read_text(const char* path) {
    FILE* file = fopen(path, "rb");
    char* text = NULL;
    size_t length = 0, capacity = 0, got;
    if (file == NULL) {
        return NULL;
    }
    do {
        if (capacity - length < 65536) {
            capacity = 2 * capacity + 131072;
            char* larger = realloc(text, capacity);
            if (larger == NULL) {
                break;
            }
            text = larger;
        }
        got = fread(text + length, 1, capacity - length - 1, file);
        length += got;
    } while (got > 0);
    bool complete = feof(file) != 0 && ferror(file) == 0;
    fclose(file);
    if (!complete) {
        free(text);
        return NULL;
    }
    text[length] = '\0';
    return text;
}

/*  A < can stand only inside of JSON's strings, where \u003c means the same. Written so, no name can
    end the element, nor open a comment in it. */
static void write_escaped(FILE* file, const char* json) {
    for (const char* at = json; *at != '\0';) {
        size_t plain = strcspn(at, "<");
        fwrite(at, 1, plain, file);
        at += plain;
        if (*at == '<') {
            fputs("\\u003c", file);
            at++;
        }
    }
}

bool memview_page_write(const char* dump, const char* path) {
    char* page = read_text(SXVK_MEMVIEW_PAGE);
    char* place = page != NULL ? strstr(page, OPENING CLOSING) : NULL;
    FILE* file = place != NULL ? fopen(path, "wb") : NULL;
    bool written = false;
    if (file != NULL) {
        place += strlen(OPENING);
        fwrite(page, 1, (size_t)(place - page), file);
        write_escaped(file, dump);
        fputs(place, file);
        written = ferror(file) == 0;
        written = fclose(file) == 0 && written;
    }
    free(page);
    return written;
}
