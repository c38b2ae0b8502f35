/*
    allocator.c - what tools/guard.sh counts: the header alone, so that nothing of it is inlined
    into the paths of guard.c. The counting goes by names: ours, and no others, begin with sxvk.
*/
#define SX_VKALLOC_STATIC_VULKAN_FUNCTIONS 0
#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"
