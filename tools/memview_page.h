/*
    memview (memview/memview.html) with a dump inside: one file to look at and to pass on. Part of
    the demo; it makes no Vulkan call.
*/

#ifndef MEMVIEW_PAGE_H
#define MEMVIEW_PAGE_H

#include <stdbool.h>

/*  dump: JSON text, as sxvkBuildStatsString makes it. False when memview cannot be read or the file
    cannot be written. */
bool memview_page_write(const char* dump, const char* path);

#endif
