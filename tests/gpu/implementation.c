/*
    implementation.c - the allocator that the tests on a real driver link: compiled once for all of
    them, with every internal check after every change.
*/
#define SX_VKALLOC_DEBUG 3
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"
