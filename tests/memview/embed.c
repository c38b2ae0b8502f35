/*  memview_embed DUMP PAGE: what the demo does with its dump, for any file. */

#include <stdio.h>

#include "memview_page.h"

int main(int argc, char** argv) {
    static char dump[16 << 20];
    FILE* file = argc == 3 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL) {
        fputs("usage: memview_embed DUMP PAGE\n", stderr);
        return 2;
    }
    size_t length = fread(dump, 1, sizeof(dump) - 1, file);
    fclose(file);
    dump[length] = '\0';
    return memview_page_write(dump, argv[2]) ? 0 : 1;
}
