/*  test_stacks.c - SX_VKALLOC_STACK_TRACES: leaks are told with where they were allocated.

    Run by CTest (unit.stacks, and with nothing and much optimised unit.stacks_o0 and unit.stacks_o2).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SX_VKALLOC_STACK_TRACES 1
#define SX_VKALLOC_DEBUG        2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)

enum { LOCAL, HOST };

#if defined(__GLIBC__)

/* ------------------------------------------------------------------ the table */

static uint32_t stack_count(const sxvki_stacks* stacks) {
    uint32_t k, count = 0;
    for (k = 0; k < SXVKI_TABLE_CHUNKS; k++) {
        count += stacks->table.used[k];
    }
    return count;
}

/*  Each stack has one id, however many there are. */
static void test_the_table(void** state) {
    Host counted = {0};
    sxvki_stacks* stacks;
    sxvki_host host;
    uint32_t i, round;
    (void)state;
    host_init(&counted);
    sxvki_host_init(&host, &counted.callbacks);
    stacks = sxvki_stacks_create(&host, 1);
    assert_non_null(stacks);
    for (round = 0; round < 2; round++) {
        for (i = 0; i < 5000; i++) {
            void* callers[SXVKI_STACK_DEPTH];
            uint32_t depth = i % SXVKI_STACK_DEPTH + 1, k, id;
            for (k = 0; k < depth; k++) {
                callers[k] = (void*)(uintptr_t)(i * 100 + k + 1);
            }
            id = sxvki_stacks_add(stacks, &host, callers, depth);
            assert_int_equal(sxvki_stack_at(stacks, id)->depth, depth);
            assert_memory_equal(sxvki_stack_at(stacks, id)->callers, callers,
                                depth * sizeof *callers);
        }
        assert_int_equal(stack_count(stacks), 5000);
    }
    assert_in_range(stacks->chain_count, 5000, 16384);
    sxvki_stacks_destroy(stacks, &host);
    assert_int_equal(counted.liveCount, 0);
}

/*  Without host memory there is no stack, and nothing else fails. */
static void test_no_memory_for_a_stack(void** state) {
    Host counted = {0};
    sxvki_stacks* stacks;
    sxvki_host host;
    void* caller = &counted;
    uint32_t i;
    (void)state;
    host_init(&counted);
    sxvki_host_init(&host, &counted.callbacks);
    stacks = sxvki_stacks_create(&host, 1);
    for (i = 1; i <= 2; i++) {
        host_fail(&counted, i, 1);
        assert_int_equal(sxvki_stacks_add(stacks, &host, &caller, 1), SXVKI_NONE);
    }
    host_fail(&counted, 0, 0);
    assert_int_equal(sxvki_stacks_add(stacks, &host, &caller, 1), 0);
    sxvki_stacks_destroy(stacks, &host);
    assert_int_equal(counted.liveCount, 0);
}

/*  An allocator that wants a history and stacks, and gets no memory for one of them. */
static void test_no_memory_for_an_allocator(void** state) {
    RigOptions options = rig_options();
    SxvkAllocator allocator;
    uint32_t n;
    Rig* rig;
    (void)state;
    options.info.frameHistoryCount = 100;
    rig = rig_create_bare(&options);
    for (n = 1;; n++) {
        VkResult result;
        host_fail(&rig->host, n, 1);
        result = sxvkCreateAllocator(&rig->info, &allocator);
        host_fail(&rig->host, 0, 0);
        if (result == VK_SUCCESS) {
            break;
        }
        assert_int_equal(result, VK_ERROR_OUT_OF_HOST_MEMORY);
        assert_null(allocator);
        assert_int_equal(rig->host.liveCount, 0);
        rig_expect(rig, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
    }
    assert_int_equal(n, 4); /* the allocator, the stacks, the history */
    sxvkDestroyAllocator(allocator);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ leaks */

typedef struct Leaks {
    uint32_t count;
    uint32_t with_stack;
    uint32_t frames[8];
    char stacks[8][4096];
} Leaks;

static void VKAPI_PTR note(void* pUserData, const SxvkMessageInfo* pInfo) {
    Leaks* leaks = (Leaks*)pUserData;
    assert_int_equal(pInfo->message, SXVK_MESSAGE_LEAKED_ALLOCATION);
    leaks->with_stack += pInfo->pStack != NULL;
    if (leaks->count < 8) {
        leaks->frames[leaks->count] = pInfo->age;
        snprintf(leaks->stacks[leaks->count], sizeof leaks->stacks[0], "%s",
                 pInfo->pStack != NULL ? pInfo->pStack : "");
    }
    leaks->count++;
}

/*  Of another depth for each caller, so that the stacks differ. */
static __attribute__((noinline)) SxvkAllocation allocate_deeply(Rig* rig, uint32_t depth) {
    volatile uint32_t more = depth;
    SxvkAllocation allocation =
        more == 0 ? rig_allocate(rig, LOCAL, 100) : allocate_deeply(rig, depth - 1);
    more = 0; /* no tail call */
    return allocation;
}

static void test_leaks_have_stacks(void** state) {
    static Leaks leaks;
    RigOptions options = rig_options();
    uint32_t i;
    Rig* rig;
    (void)state;
    options.info.pfnMessage = note;
    options.info.pMessageUserData = &leaks;
    rig = rig_create(&options);
    for (i = 0; i < 100; i++) {
        sxvkFreeMemory(rig->allocator, allocate_deeply(rig, 2)); /* all from one place */
    }
    assert_int_equal(stack_count((sxvki_stacks*)rig->allocator->device.stacks), 1);
    sxvkSetCurrentFrameIndex(rig->allocator, 5);
    for (i = 0; i < 3; i++) {
        allocate_deeply(rig, i);
    }
    sxvkSetCurrentFrameIndex(rig->allocator, 9);
    assert_in_range(stack_count((sxvki_stacks*)rig->allocator->device.stacks), 3, 4);
    rig_destroy_allocator(rig);
    assert_int_equal(leaks.count, 3);
    assert_int_equal(leaks.with_stack, 3);
    for (i = 0; i < 3; i++) {
        const char* line;
        uint32_t lines = 0;
        assert_int_equal(leaks.frames[i], 4); /* without a flag */
        for (line = leaks.stacks[i]; *line != 0; line = strchr(line, '\n') + 1) {
            assert_int_equal(strncmp(line, "  at ", 5), 0);
            lines++;
        }
        assert_in_range(lines, 3, SXVKI_STACK_DEPTH);
        assert_non_null(strstr(leaks.stacks[i], "0x")); /* at least addresses */
    }
    assert_string_not_equal(leaks.stacks[0], leaks.stacks[1]);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ the first frame */

#define MAKER static __attribute__((noinline)) SxvkAllocation
#define MADE  __asm__ __volatile__("") /* behind the call: no tail call */

static VkMemoryRequirements needs = {.size = 1000, .alignment = 16, .memoryTypeBits = 1u << LOCAL};

MAKER by_memory(SxvkAllocator allocator, const SxvkAllocationCreateInfo* create) {
    SxvkAllocation made = VK_NULL_HANDLE;
    VkResult result = sxvkAllocateMemory(allocator, &needs, create, &made, NULL);
    MADE;
    return result == VK_SUCCESS ? made : VK_NULL_HANDLE;
}

MAKER by_dedicated(SxvkAllocator allocator, const SxvkAllocationCreateInfo* create) {
    SxvkAllocation made = VK_NULL_HANDLE;
    VkResult result = sxvkAllocateDedicatedMemory(allocator, &needs, create, NULL, &made, NULL);
    MADE;
    return result == VK_SUCCESS ? made : VK_NULL_HANDLE;
}

MAKER by_pages(SxvkAllocator allocator, const SxvkAllocationCreateInfo* create) {
    SxvkAllocation made = VK_NULL_HANDLE;
    VkResult result = sxvkAllocateMemoryPages(allocator, &needs, create, 1, &made, NULL);
    MADE;
    return result == VK_SUCCESS ? made : VK_NULL_HANDLE;
}

static VkBuffer buffer;
static VkImage image;

MAKER by_buffer(SxvkAllocator allocator, const SxvkAllocationCreateInfo* create) {
    VkBufferCreateInfo info = testing_buffer(1000, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    SxvkAllocation made = VK_NULL_HANDLE;
    VkResult result = sxvkCreateBuffer(allocator, &info, create, &buffer, &made, NULL);
    MADE;
    return result == VK_SUCCESS ? made : VK_NULL_HANDLE;
}

MAKER by_aligned_buffer(SxvkAllocator allocator, const SxvkAllocationCreateInfo* create) {
    VkBufferCreateInfo info = testing_buffer(1000, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    SxvkAllocation made = VK_NULL_HANDLE;
    VkResult result =
        sxvkCreateBufferWithAlignment(allocator, &info, create, 64, &buffer, &made, NULL);
    MADE;
    return result == VK_SUCCESS ? made : VK_NULL_HANDLE;
}

MAKER by_buffers(SxvkAllocator allocator, const SxvkAllocationCreateInfo* create) {
    VkBufferCreateInfo info = testing_buffer(1000, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    SxvkAllocation made = VK_NULL_HANDLE;
    VkResult result = sxvkCreateBuffers(allocator, 1, &info, create, &buffer, &made, NULL);
    MADE;
    return result == VK_SUCCESS ? made : VK_NULL_HANDLE;
}

MAKER by_image(SxvkAllocator allocator, const SxvkAllocationCreateInfo* create) {
    VkImageCreateInfo info = testing_image(64, 64, VK_IMAGE_TILING_OPTIMAL);
    SxvkAllocation made = VK_NULL_HANDLE;
    VkResult result = sxvkCreateImage(allocator, &info, create, &image, &made, NULL);
    MADE;
    return result == VK_SUCCESS ? made : VK_NULL_HANDLE;
}

MAKER by_images(SxvkAllocator allocator, const SxvkAllocationCreateInfo* create) {
    VkImageCreateInfo info = testing_image(64, 64, VK_IMAGE_TILING_OPTIMAL);
    SxvkAllocation made = VK_NULL_HANDLE;
    VkResult result = sxvkCreateImages(allocator, 1, &info, create, &image, &made, NULL);
    MADE;
    return result == VK_SUCCESS ? made : VK_NULL_HANDLE;
}

typedef SxvkAllocation (*Maker)(SxvkAllocator allocator, const SxvkAllocationCreateInfo* create);

/*  Is the first frame of this allocation in that function? */
static void expect_first_frame(SxvkAllocator allocator, SxvkAllocation made, Maker maker) {
    const sxvki_device* device = &allocator->device;
    uint32_t age, id;
    uintptr_t first;
    sxvki_origin_read(device, sxvki_allocation_index(made), &age, &id);
    assert_int_not_equal(id, SXVKI_NONE);
    first = (uintptr_t)sxvki_stack_at((const sxvki_stacks*)device->stacks, id)->callers[0];
    assert_in_range(first, (uintptr_t)maker + 1, (uintptr_t)maker + 1024);
}

/*  However many functions of the library are on the stack, it begins where that was called: by each
    way to allocate, the short one of the hot path and the long ones. */
static void test_stacks_begin_at_the_caller(void** state) {
    static const Maker makers[] = {by_memory,         by_dedicated, by_pages, by_buffer,
                                   by_aligned_buffer, by_buffers,   by_image, by_images};
    Rig* rig = rig_create(NULL);
    SxvkPoolCreateInfo linear = {.memoryTypeIndex = LOCAL,
                                 .flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT};
    SxvkModuleCreateInfo module = {.pName = "module"};
    SxvkModule handle;
    SxvkPool pool;
    uint32_t i, way;
    (void)state;
    assert_int_equal(sxvkCreatePool(rig->allocator, &linear, &pool), VK_SUCCESS);
    assert_int_equal(sxvkCreateModule(rig->allocator, &module, &handle), VK_SUCCESS);
    for (i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        for (way = 0; way < 6; way++) {
            SxvkAllocationCreateInfo create = {0};
            SxvkAllocation made;
            create.pool = way == 1 ? pool : VK_NULL_HANDLE;
            create.module = way == 2 ? handle : VK_NULL_HANDLE;
            create.pName = way == 3 ? "name" : NULL;
            create.flags = way == 4 ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
            if (way == 5 && (makers[i] == by_buffer || makers[i] == by_image)) {
                create.flags = SXVK_ALLOCATION_CREATE_MOVABLE_BIT;
            }
            buffer = VK_NULL_HANDLE;
            image = VK_NULL_HANDLE;
            made = makers[i](rig->allocator, &create);
            assert_non_null(made);
            expect_first_frame(rig->allocator, made, makers[i]);
            if (image != VK_NULL_HANDLE) {
                sxvkDestroyImage(rig->allocator, image, made);
            } else {
                sxvkDestroyBuffer(rig->allocator, buffer, made);
            }
        }
    }
    sxvkDestroyModule(rig->allocator, handle);
    sxvkDestroyPool(rig->allocator, pool);
    rig_destroy(rig);
}

/*  A callback for want of memory that allocates, between the entry of another allocation and its
    stack: that is whole then, with the caller somewhere in it. */
static VkBool32 VKAPI_PTR allocate_inside(void* pUserData, SxvkAllocator allocator,
                                          const SxvkPressureInfo* pInfo) {
    Rig* rig = (Rig*)pUserData;
    SxvkAllocationCreateInfo create = {0};
    if (pInfo->bytesNeeded == 0) {
        return VK_FALSE;
    }
    sxvkFreeMemory(allocator, by_memory(allocator, &create));
    return sxvkSetHeapSizeLimit(allocator, 0, VK_WHOLE_SIZE) == VK_SUCCESS && rig != NULL;
}

static void test_a_stack_around_another(void** state) {
    RigOptions options = rig_options();
    SxvkPressureCreateInfo pressure = {.pfnCallback = allocate_inside};
    SxvkAllocationCreateInfo create = {0};
    const sxvki_device* device;
    const sxvki_stack* stack;
    SxvkAllocation made;
    uint32_t age, id, i = 0;
    Rig* rig;
    (void)state;
    options.info.pPressureInfo = &pressure;
    pressure.pUserData = &options;
    rig = rig_create(&options);
    device = &rig->allocator->device;
    rig_allocate(rig, LOCAL, 100); /* a block for what the callback wants */
    assert_int_equal(sxvkSetHeapSizeLimit(rig->allocator, 0, 1024 * KIB), VK_SUCCESS);
    made = by_dedicated(rig->allocator, &create);
    assert_non_null(made);
    sxvki_origin_read(device, sxvki_allocation_index(made), &age, &id);
    stack = sxvki_stack_at((const sxvki_stacks*)device->stacks, id);
    while (i < stack->depth && ((uintptr_t)stack->callers[i] <= (uintptr_t)by_dedicated ||
                                (uintptr_t)stack->callers[i] > (uintptr_t)by_dedicated + 1024)) {
        i++;
    }
    assert_in_range(i, 1, stack->depth - 1);
    rig_destroy_allocator(rig);
    rig_expect(rig, SXVK_MESSAGE_LEAKED_ALLOCATION, 2);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ threads */

static void* allocate_and_free(void* argument) {
    Rig* rig = (Rig*)argument;
    uint32_t i;
    for (i = 0; i < 300; i++) {
        sxvkFreeMemory(rig->allocator, allocate_deeply(rig, i % 30));
    }
    return NULL;
}

static void test_threads(void** state) {
    Rig* rig = rig_create(NULL);
    pthread_t threads[4];
    uint32_t i;
    (void)state;
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_and_free, rig), 0);
    }
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    rig_destroy(rig);
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
#if defined(__GLIBC__)
        cmocka_unit_test(test_the_table),
        cmocka_unit_test(test_no_memory_for_a_stack),
        cmocka_unit_test(test_no_memory_for_an_allocator),
        cmocka_unit_test(test_leaks_have_stacks),
        cmocka_unit_test(test_stacks_begin_at_the_caller),
        cmocka_unit_test(test_a_stack_around_another),
        cmocka_unit_test(test_threads),
#else
        {0},
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
