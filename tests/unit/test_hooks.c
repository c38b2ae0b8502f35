/*  test_hooks.c - the macros for profilers: each allocation once, each free once, scopes that end.

    Run by CTest (unit.hooks).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

/*  A scope ends by itself, as SX_VKALLOC_PROFILE_SCOPE asks: by an attribute in C. */
static void scope_begin(const char* name);
static void scope_end(const char* const* name);

#define SX_VKALLOC_PROFILE_SCOPE(name)                                                             \
    const char* scope_ __attribute__((cleanup(scope_end))) = (name);                               \
    scope_begin(scope_)
#define SX_VKALLOC_ON_ALLOCATE(allocator, allocation, memoryType, size, name)                      \
    on_allocate((allocator), (allocation), (memoryType), (size), (name))
#define SX_VKALLOC_ON_FREE(allocator, allocation, memoryType, size, name)                          \
    on_free((allocator), (allocation), (memoryType), (size), (name))

#include <vulkan/vulkan.h>
struct SxvkAllocator_T;
struct SxvkAllocation_T;
static void on_allocate(struct SxvkAllocator_T* allocator, struct SxvkAllocation_T* allocation,
                        uint32_t memoryType, VkDeviceSize size, const char* name);
static void on_free(struct SxvkAllocator_T* allocator, struct SxvkAllocation_T* allocation,
                    uint32_t memoryType, VkDeviceSize size, const char* name);

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB  ((VkDeviceSize)1 << 10)
#define MIB  ((VkDeviceSize)1 << 20)
#define MOST 4096

enum { LOCAL, HOST, CACHED, BAR };

/* ------------------------------------------------------------------ what was told */

typedef struct Told {
    SxvkAllocation allocation;
    VkDeviceSize size;
    uint32_t type;
    char name[32];
} Told;

static Told told[MOST];
static uint32_t told_count;
static uint32_t allocate_count, free_count;
static bool looks_for_locks;

static int scope_depth, scope_deepest;
static uint32_t scope_count;
static char last_scope[64];

/*  Takes every lock there is: nobody holds one. (A profiler must not; a test may.) */
static void look_for_locks(SxvkAllocator allocator) {
    SxvkBudget budget;
    if (looks_for_locks) {
        sxvkGetHeapBudget(allocator, 0, &budget);
    }
}

static void on_allocate(SxvkAllocator allocator, SxvkAllocation allocation, uint32_t memoryType,
                        VkDeviceSize size, const char* name) {
    Told* entry = &told[told_count++];
    assert_in_range(told_count, 1, MOST - 1);
    entry->allocation = allocation;
    entry->size = size;
    entry->type = memoryType;
    strncpy(entry->name, name != NULL ? name : "", sizeof entry->name - 1);
    entry->name[sizeof entry->name - 1] = 0;
    allocate_count++;
    assert_true(sxvkIsAllocationValid(allocator, allocation));
    look_for_locks(allocator);
}

static void on_free(SxvkAllocator allocator, SxvkAllocation allocation, uint32_t memoryType,
                    VkDeviceSize size, const char* name) {
    uint32_t i = 0;
    while (i < told_count && told[i].allocation != allocation) {
        i++;
    }
    assert_in_range(i, 0, told_count - 1);
    assert_int_equal(told[i].size, size);
    assert_int_equal(told[i].type, memoryType);
    assert_string_equal(told[i].name, name != NULL ? name : "");
    told[i] = told[--told_count];
    free_count++;
    look_for_locks(allocator);
}

static void scope_begin(const char* name) {
    scope_depth++;
    scope_deepest = scope_depth > scope_deepest ? scope_depth : scope_deepest;
    scope_count++;
    strncpy(last_scope, name, sizeof last_scope - 1);
}

static void scope_end(const char* const* name) {
    (void)name;
    scope_depth--;
}

/* ------------------------------------------------------------------ tests */

/*  Every way to allocate and to free, by chance; what was told is what is alive. */
static void test_balance(void** state) {
    static SxvkAllocation live[1000];
    static VkBuffer buffers[1000];
    Rig* rig = rig_create(NULL);
    SxvkPoolCreateInfo poolInfo = {.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT,
                                   .memoryTypeIndex = HOST,
                                   .blockSize = 256 * KIB};
    SxvkPool linear;
    uint64_t seed = 5;
    uint32_t count = 0, step, in_pool = 0;
    (void)state;
    looks_for_locks = true;
    told_count = allocate_count = free_count = 0;
    assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &linear), VK_SUCCESS);
    for (step = 0; step < 6000; step++) {
        uint32_t action = testing_below(&seed, 12);
        SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO, .pName = "some"};
        VkBufferCreateInfo bufferInfo = testing_buffer(16 * testing_log_uniform(&seed, 1, 8 * KIB),
                                                       VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
        create.pName = testing_below(&seed, 2) ? create.pName : NULL;
        if (action < 4 && count < 900) {
            create.flags = action == 3 ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
            assert_int_equal(sxvkCreateBuffer(rig->allocator, &bufferInfo, &create, &buffers[count],
                                              &live[count], NULL),
                             VK_SUCCESS);
            count++;
        } else if (action == 4 && count < 900) {
            SxvkAllocationCreateInfo creates[40];
            VkBufferCreateInfo infos[40];
            uint32_t i;
            for (i = 0; i < 40; i++) {
                creates[i] = create;
                infos[i] = bufferInfo;
            }
            assert_int_equal(sxvkCreateBuffers(rig->allocator, 40, infos, creates, &buffers[count],
                                               &live[count], NULL),
                             VK_SUCCESS);
            count += 40;
        } else if (action < 9 && count != 0) {
            uint32_t i = testing_below(&seed, count--);
            sxvkDestroyBuffer(rig->allocator, buffers[i], live[i]);
            buffers[i] = buffers[count];
            live[i] = live[count];
        } else if (action == 9 && count >= 40) {
            count -= 40;
            sxvkDestroyBuffers(rig->allocator, 40, &buffers[count], &live[count]);
        } else if (action == 10) {
            VkMemoryRequirements needs = testing_requirements(1000, 16, 1u << HOST);
            SxvkAllocationCreateInfo pooled = {.pool = linear};
            SxvkAllocation allocation;
            assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &pooled, &allocation, NULL),
                             VK_SUCCESS);
            in_pool++;
        } else if (action == 11 && testing_below(&seed, 10) == 0) {
            assert_int_equal(sxvkResetPool(rig->allocator, linear), VK_SUCCESS);
            in_pool = 0;
        }
        assert_int_equal(told_count, count + in_pool);
    }
    sxvkDestroyBuffers(rig->allocator, count, buffers, live);
    assert_int_equal(told_count, in_pool);
    looks_for_locks = false;                 /* who destroys it is alone */
    sxvkDestroyPool(rig->allocator, linear); /* leaks are freed as well */
    assert_int_equal(told_count, 0);
    assert_int_equal(allocate_count, free_count);
    assert_in_range(allocate_count, 2000, 100000);
    rig_expect(rig, SXVK_MESSAGE_LEAKED_ALLOCATION, in_pool);
    rig_destroy(rig);
    assert_int_equal(scope_depth, 0);
}

/*  What fails on its way is told neither as made nor as freed; a bad handle is not told. */
static void test_failures(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT, .pName = "x"};
    VkMemoryRequirements needs = testing_requirements(100, 16, 1u << HOST);
    SxvkAllocation allocation;
    (void)state;
    told_count = allocate_count = free_count = 0;
    sim_fail(rig->sim, SIM_CALL_MAP_MEMORY, 1, 1, VK_ERROR_MEMORY_MAP_FAILED);
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &allocation, NULL),
                     VK_ERROR_MEMORY_MAP_FAILED);
    assert_int_equal(allocate_count + free_count, 0);
    allocation = rig_allocate(rig, HOST, 100);
    sxvkFreeMemory(rig->allocator, allocation);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, 1);
    assert_int_equal(allocate_count, 1);
    assert_int_equal(free_count, 1);
    rig_destroy(rig);
}

/*  A buffer whose binding fails was told, and is told to be gone. */
static void test_failed_bind(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO};
    VkBufferCreateInfo info = testing_buffer(1024, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    SxvkAllocation allocation;
    VkBuffer buffer;
    (void)state;
    told_count = allocate_count = free_count = 0;
    sim_fail(rig->sim, SIM_CALL_BIND_BUFFER_MEMORY, 1, 1, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    sim_fail(rig->sim, SIM_CALL_BIND_BUFFER_MEMORY2, 1, 1, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &info, &create, &buffer, &allocation, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    assert_int_equal(allocate_count, free_count);
    assert_int_equal(told_count, 0);
    rig_destroy(rig);
}

/*  Scopes nest: the driver's call within ours. */
static void test_scopes(void** state) {
    Rig* rig = rig_create(NULL);
    (void)state;
    scope_depth = scope_deepest = 0;
    scope_count = 0;
    sxvkFreeMemory(rig->allocator, rig_allocate(rig, LOCAL, 16 * MIB));
    assert_int_equal(scope_deepest, 2);
    assert_int_equal(scope_depth, 0);
    assert_int_equal(scope_count, 4);
    assert_string_equal(last_scope, "vkFreeMemory");
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    assert_string_equal(last_scope, "sxvkSetCurrentFrameIndex");
    rig_destroy(rig);
    assert_int_equal(scope_depth, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_balance),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_failed_bind),
        cmocka_unit_test(test_scopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
