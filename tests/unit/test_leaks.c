/*  test_leaks.c - planted leaks: in thousands of random runs all of them are told, and nothing else.

    Run by CTest (unit.leaks, and with stacks unit.leaks_stacks).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)

enum { LOCAL, HOST, CACHED, BAR };

#define RUNS       10000
#define PLANTS     24
#define STEPS      40
#define NAME_SIZE  32
#define HEDGE      90 /* what it takes to have slabs for WEED_SIZE */
#define HEDGE_SIZE (60 * KIB)
#define WEEDS      40
#define WEED_SIZE  500

/*  Where a plant stands. */
enum { ANYWHERE, LARGE, DEDICATED, LINEAR, FIXED, MOVABLE, SLAB, PLACES };

typedef struct Plant {
    SxvkAllocation allocation;
    VkBuffer buffer; /* of a movable one */
    VkDeviceSize size;
    uint32_t type;
    uint32_t frame;
    uint32_t place;
    char name[NAME_SIZE]; /* "" for none */
    bool has_module;
    bool is_told;
} Plant;

typedef struct Garden {
    Rig* rig;
    SxvkAllocator allocator;
    SxvkPool linear;
    SxvkPool fixed;
    SxvkModule module;
    bool fixed_has_module;
    bool has_slabs; /* in this run */
    uint32_t modules_told;
    const char* destroyer;
    uint32_t frame;
    uint32_t count;
    Plant plants[PLANTS];
    SxvkAllocation hedge[HEDGE + WEEDS];
    uint32_t wrong; /* messages that fit to no plant */
    uint64_t told[PLACES];
    uint64_t told_of_module;
    uint64_t told_in_slots;
} Garden;

static void plant(Garden* garden, uint64_t* seed);

/*  With stacks the first line is the place in `plant`, below; else there is none. */
static bool stack_is_right(const char* stack) {
#if SX_VKALLOC_STACK_TRACES && defined(__GLIBC__)
    const char* address = stack != NULL ? strstr(stack, "[0x") : NULL;
    uintptr_t at = address != NULL ? (uintptr_t)strtoull(address + 1, NULL, 16) : 0;
    return at > (uintptr_t)plant && at < (uintptr_t)plant + 8192 && strchr(stack, '\n') > address;
#else
    return SX_VKALLOC_STACK_TRACES || stack == NULL;
#endif
}

/*  The message tells a plant that was not told yet, by handle, name, size, module and age. */
static bool is_about(Garden* garden, const Plant* plant, const SxvkMessageInfo* pInfo) {
    char expected[256];
    SxvkAllocationInfo info;
    uint32_t age = garden->frame - plant->frame;
    const char* tag = plant->has_module ? "garden" : "";
    if (plant->allocation != pInfo->allocation || plant->is_told) {
        return false;
    }
    sxvkGetAllocationInfo(garden->allocator, pInfo->allocation, &info);
    snprintf(expected, sizeof expected,
             "%s: %s, %llu bytes of memory type %u%s, %u frames old: ", garden->destroyer,
             plant->name[0] != 0 ? plant->name : "(no name)", (unsigned long long)plant->size,
             plant->type, plant->has_module ? ", module garden" : "", age);
    return strncmp(pInfo->pText, expected, strlen(expected)) == 0 && pInfo->age == age &&
           pInfo->severity == SXVK_MESSAGE_SEVERITY_ERROR &&
           strcmp(pInfo->pTag != NULL ? pInfo->pTag : "", tag) == 0 &&
           stack_is_right(pInfo->pStack) && info.size == plant->size &&
           info.memoryType == plant->type &&
           strcmp(info.pName != NULL ? info.pName : "", plant->name) == 0;
}

static void VKAPI_PTR check_leak(void* pUserData, const SxvkMessageInfo* pInfo) {
    Garden* garden = (Garden*)pUserData;
    uint32_t i;
    if (pInfo->message == SXVK_MESSAGE_LEAKED_MODULE) {
        garden->modules_told++;
        return;
    }
    for (i = 0; pInfo->message == SXVK_MESSAGE_LEAKED_ALLOCATION && i < garden->count; i++) {
        Plant* p = &garden->plants[i];
        if (is_about(garden, p, pInfo)) {
            p->is_told = true;
            garden->told[p->place]++;
            garden->told_of_module += p->has_module;
            garden->told_in_slots +=
                (sxvki_allocation_index(pInfo->allocation) & SXVKI_HANDLE_SLAB_BIT) != 0;
            return;
        }
    }
    garden->wrong++;
    fprintf(stderr, "a message that is wrong: %s\n%s", pInfo->pText,
            pInfo->pStack != NULL ? pInfo->pStack : "");
}

static __attribute__((noinline)) void plant(Garden* garden, uint64_t* seed) {
    Plant* p = &garden->plants[garden->count];
    SxvkAllocationCreateInfo create = {0};
    VkMemoryRequirements needs;
    VkResult result;
    memset(p, 0, sizeof *p);
    p->place = testing_below(seed, garden->has_slabs ? PLACES : SLAB);
    p->type = p->place == LINEAR || p->place == FIXED ? HOST
              : p->place == SLAB                      ? LOCAL
                                                      : testing_below(seed, 4);
    p->size = p->place == SLAB
                  ? WEED_SIZE
                  : testing_log_uniform(seed, 1, p->place == LARGE ? 8 * MIB : 64 * KIB);
    p->frame = garden->frame;
    if (testing_below(seed, 2) == 0) {
        snprintf(p->name, sizeof p->name, "plant %u", testing_below(seed, 1000000));
        create.pName = p->name;
    }
    create.flags = p->place == DEDICATED ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
    create.pool = p->place == LINEAR  ? garden->linear
                  : p->place == FIXED ? garden->fixed
                                      : VK_NULL_HANDLE;
    p->has_module = testing_below(seed, 3) == 0;
    create.module = p->has_module ? garden->module : VK_NULL_HANDLE;
    p->has_module |= p->place == FIXED && garden->fixed_has_module;
    if (p->type != LOCAL && p->place != MOVABLE && testing_below(seed, 3) == 0) {
        create.flags |= SXVK_ALLOCATION_CREATE_MAPPED_BIT;
    }
    needs = testing_requirements(p->size, 16, 1u << p->type);
    if (p->place == MOVABLE) {
        VkBufferCreateInfo info = testing_buffer(p->size, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
        SxvkAllocationInfo made;
        create.flags |= SXVK_ALLOCATION_CREATE_MOVABLE_BIT;
        create.usage = SXVK_MEMORY_USAGE_AUTO;
        result =
            sxvkCreateBuffer(garden->allocator, &info, &create, &p->buffer, &p->allocation, &made);
        p->size = made.size;
        p->type = made.memoryType;
    } else {
        result = sxvkAllocateMemory(garden->allocator, &needs, &create, &p->allocation, NULL);
    }
    assert_int_equal(result, VK_SUCCESS);
    garden->count++;
}

static void uproot(Garden* garden, uint32_t i) {
    sxvkDestroyBuffer(garden->allocator, garden->plants[i].buffer, garden->plants[i].allocation);
    garden->plants[i] = garden->plants[--garden->count];
}

/*  Enough that small allocations get slots; all of it is cut down in the end. */
static void grow_hedge(Garden* garden) {
    uint32_t i;
    for (i = 0; i < HEDGE + WEEDS; i++) {
        VkMemoryRequirements needs =
            testing_requirements(i < HEDGE ? HEDGE_SIZE : WEED_SIZE, 16, 1u << LOCAL);
        SxvkAllocationCreateInfo create = {0};
        assert_int_equal(
            sxvkAllocateMemory(garden->allocator, &needs, &create, &garden->hedge[i], NULL),
            VK_SUCCESS);
    }
}

/*  A pool that goes tells its own. */
static void destroy_pool(Garden* garden, SxvkPool pool) {
    uint32_t i, kept = 0;
    uint32_t before = garden->count;
    garden->destroyer = "sxvkDestroyPool";
    sxvkDestroyPool(garden->allocator, pool);
    for (i = 0; i < before; i++) {
        if (!garden->plants[i].is_told) {
            assert_true(sxvkIsAllocationValid(garden->allocator, garden->plants[i].allocation));
            garden->plants[kept++] = garden->plants[i];
        }
    }
    garden->count = kept;
}

static void destroy_allocator(Garden* garden) {
    const sxvki_vk* vk = &garden->allocator->device.vk;
    PFN_vkDestroyBuffer destroy = vk->fn.vkDestroyBuffer;
    uint32_t i;
    garden->destroyer = "sxvkDestroyAllocator";
    for (i = 0; i < garden->count; i++) { /* of the memory alone the library is in charge */
        destroy(garden->rig->info.device, garden->plants[i].buffer,
                garden->rig->info.pAllocationCallbacks);
    }
    sxvkDestroyAllocator(garden->allocator);
    for (i = 0; i < garden->count; i++) {
        assert_true(garden->plants[i].is_told);
    }
}

static void one_run(Garden* garden, uint64_t* seed) {
    SxvkPoolCreateInfo linear = {.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT,
                                 .memoryTypeIndex = HOST,
                                 .blockSize = 256 * KIB};
    SxvkPoolCreateInfo fixed = {.memoryTypeIndex = HOST, .blockSize = 256 * KIB};
    SxvkModuleCreateInfo module = {.pName = "garden"};
    uint32_t steps = testing_below(seed, STEPS);
    uint32_t i;
    assert_int_equal(sxvkCreateAllocator(&garden->rig->info, &garden->allocator), VK_SUCCESS);
    assert_int_equal(sxvkCreateModule(garden->allocator, &module, &garden->module), VK_SUCCESS);
    assert_int_equal(sxvkCreatePool(garden->allocator, &linear, &garden->linear), VK_SUCCESS);
    garden->fixed_has_module = testing_below(seed, 2) == 0;
    fixed.module = garden->fixed_has_module ? garden->module : VK_NULL_HANDLE;
    assert_int_equal(sxvkCreatePool(garden->allocator, &fixed, &garden->fixed), VK_SUCCESS);
    garden->frame = testing_below(seed, 2) == 0 ? UINT32_MAX - 10 : 1; /* it may wrap */
    garden->count = 0;
    sxvkSetCurrentFrameIndex(garden->allocator, garden->frame);
    garden->has_slabs = testing_below(seed, 8) == 0;
    if (garden->has_slabs) {
        grow_hedge(garden);
    }
    for (i = 0; i < steps; i++) {
        uint32_t action = testing_below(seed, 8);
        if (action < 4 && garden->count < PLANTS) {
            plant(garden, seed);
        } else if (action < 7 && garden->count != 0) {
            uproot(garden, testing_below(seed, garden->count));
        } else {
            garden->frame += testing_below(seed, 5);
            sxvkSetCurrentFrameIndex(garden->allocator, garden->frame);
        }
    }
    for (i = testing_below(seed, 2) * garden->count; i > 0; i--) {
        uproot(garden, 0); /* every other run frees all */
    }
    for (i = 0; garden->has_slabs && i < HEDGE + WEEDS; i++) {
        sxvkFreeMemory(garden->allocator, garden->hedge[i]);
    }
    destroy_pool(garden, garden->linear);
    destroy_pool(garden, garden->fixed);
    destroy_allocator(garden);
    assert_int_equal(garden->wrong, 0);
}

/*  Every allocation that is alive at the end is told once, with its name, size, module, age, and
    stack, and nothing else is but the module: ranges, slots, dedicated ones, those of pools, and
    those that the library can move. */
static void test_planted_leaks(void** state) {
    static Garden garden;
    SxvkDebugInfo debug = {.flags = SXVK_DEBUG_TRACK_ALLOCATIONS_BIT};
    RigOptions options = rig_options();
    uint64_t seed = 0x1EAC;
    uint32_t run, place;
    (void)state;
    options.sim.checks = false;
    options.info.pDebugInfo = SX_VKALLOC_STACK_TRACES ? NULL : &debug; /* which imply the flag */
    options.info.pfnMessage = check_leak;
    options.info.pMessageUserData = &garden;
    garden.rig = rig_create_bare(&options);
    for (run = 0; run < RUNS; run++) {
        one_run(&garden, &seed);
    }
    for (place = 0; place < PLACES; place++) {
        assert_in_range(garden.told[place], RUNS / 50, RUNS * PLANTS);
    }
    assert_in_range(garden.told_of_module, RUNS / 2, RUNS * PLANTS);
    assert_in_range(garden.told_in_slots, RUNS / 50, RUNS * PLANTS);
    assert_int_equal(garden.modules_told, RUNS);
    rig_destroy(garden.rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_planted_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
