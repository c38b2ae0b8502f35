/*
    main.c - uses the installed header: the version of the package is the header's, and a call links and
    answers. Built and run by tests/install/check.sh.
*/
#define SX_VKALLOC_IMPLEMENTATION
#include <sx_vkalloc.h>

#include <stdio.h>

int main(void) {
    SxvkAllocator allocator = VK_NULL_HANDLE;
    VkResult result = sxvkCreateAllocator(NULL, &allocator);
    printf("%d.%d.%d\n", SX_VKALLOC_VERSION_MAJOR, SX_VKALLOC_VERSION_MINOR,
           SX_VKALLOC_VERSION_PATCH);
    return result != VK_SUCCESS && allocator == VK_NULL_HANDLE ? 0 : 1;
}
