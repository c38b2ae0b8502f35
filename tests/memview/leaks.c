/*  memview_leaks DUMP: a dump with leaks as a program gets it, in the callback of their messages. */

#include <stdio.h>
#include <stdlib.h>

#define SX_VKALLOC_STACK_TRACES 1
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

typedef struct Writer {
    SxvkAllocator allocator;
    const char* path;
    bool written;
} Writer;

static void VKAPI_PTR write_at_first_leak(void* pUserData, const SxvkMessageInfo* pInfo) {
    Writer* writer = (Writer*)pUserData;
    FILE* file;
    char* dump;
    if (pInfo->message != SXVK_MESSAGE_LEAKED_ALLOCATION || writer->written ||
        sxvkBuildStatsString(writer->allocator, &dump, VK_TRUE) != VK_SUCCESS) {
        return;
    }
    file = fopen(writer->path, "wb");
    writer->written = file != NULL && fputs(dump, file) >= 0;
    if (file != NULL && fclose(file) != 0) {
        writer->written = false;
    }
    sxvkFreeStatsString(writer->allocator, dump);
}

int main(int argc, char** argv) {
    Writer writer = {VK_NULL_HANDLE, argc == 2 ? argv[1] : "", false};
    SxvkModuleCreateInfo module = {.pName = "streaming", .softLimit = 1 << 20};
    RigOptions options = rig_options();
    Rig* rig;
    options.info.pfnMessage = write_at_first_leak;
    options.info.pMessageUserData = &writer;
    rig = rig_create(&options);
    writer.allocator = rig->allocator;
    SxvkAllocationCreateInfo create = {0};
    if (sxvkCreateModule(rig->allocator, &module, &create.module) != VK_SUCCESS) {
        return 1;
    }
    for (uint32_t i = 1; i <= 3; i++) {
        VkMemoryRequirements needs = testing_requirements(65536 * i, 16, 1u << (i - 1));
        SxvkAllocation allocation;
        char name[32];
        snprintf(name, sizeof name, "forgotten %u", i);
        create.pName = name;
        create.flags = i == 2 ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
        if (sxvkAllocateMemory(rig->allocator, &needs, &create, &allocation, NULL) != VK_SUCCESS) {
            return 1;
        }
    }
    sxvkSetCurrentFrameIndex(rig->allocator, 17);
    rig_destroy_allocator(rig);
    rig_destroy(rig);
    return writer.written ? 0 : 1;
}
