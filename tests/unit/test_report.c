/*  test_report.c - messages: their list, their text, and where they go.

    Run by CTest (unit.report).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

static sxvki_reporter to(Messages* messages) {
    sxvki_reporter reporter;
    memset(messages, 0, sizeof *messages);
    reporter.callback = messages_callback;
    reporter.user_data = messages;
    return reporter;
}

/*  Every id has a text and a severity, and each text fits with room for names. */
static void test_the_list(void** state) {
    int message, other;
    (void)state;
    assert_int_equal(SXVK_MESSAGE_NONE, 0);
    assert_string_equal(sxvki_message_text(SXVK_MESSAGE_NONE), "");
    for (message = 1; message < SXVK_MESSAGE_COUNT; message++) {
        const char* text = sxvki_message_text((SxvkMessage)message);
        assert_in_range(strlen(text), 10, 80);
        assert_in_range(sxvki_message_severity((SxvkMessage)message), SXVK_MESSAGE_SEVERITY_INFO,
                        SXVK_MESSAGE_SEVERITY_ERROR);
        for (other = 1; other < message; other++) {
            assert_string_not_equal(text, sxvki_message_text((SxvkMessage)other));
        }
    }
    assert_int_equal(sxvki_message_severity(SXVK_MESSAGE_BAD_SIZE), SXVK_MESSAGE_SEVERITY_ERROR);
    assert_int_equal(sxvki_message_severity(SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY),
                     SXVK_MESSAGE_SEVERITY_WARNING);
}

/*  before, then what the message means, then after. */
static const char* expected(const char* before, SxvkMessage message, const char* after) {
    static char text[SXVKI_LINE_SIZE];
    snprintf(text, sizeof text, "%s%s%s", before, sxvki_message_text(message), after);
    return text;
}

/*  "function: field: what it means". */
static void test_text(void** state) {
    Messages messages;
    sxvki_reporter reporter = to(&messages);
    (void)state;
    sxvki_report(&reporter, SXVK_MESSAGE_BAD_SIZE, "sxvkDoThings", "pInfo->size");
    assert_string_equal(messages.text,
                        expected("sxvkDoThings: pInfo->size: ", SXVK_MESSAGE_BAD_SIZE, ""));
    assert_int_equal(messages.last, SXVK_MESSAGE_BAD_SIZE);
    assert_int_equal(messages.lastSeverity, SXVK_MESSAGE_SEVERITY_ERROR);
    sxvki_report(&reporter, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, "sxvkDoThings", NULL);
    assert_string_equal(messages.text,
                        expected("sxvkDoThings: ", SXVK_MESSAGE_OUT_OF_HOST_MEMORY, ""));
    assert_int_equal(messages.lastSeverity, SXVK_MESSAGE_SEVERITY_WARNING);
    assert_int_equal(messages.total, 2);
}

static void test_line(void** state) {
    sxvki_line line;
    size_t i;
    (void)state;
    line.size = 0;
    sxvki_line_add(&line, "a");
    sxvki_line_add_u64(&line, 0, 10);
    sxvki_line_add(&line, " ");
    sxvki_line_add_u64(&line, UINT64_MAX, 10);
    sxvki_line_add(&line, " ");
    sxvki_line_add_u64(&line, UINT64_MAX, 16);
    assert_string_equal(line.text, "a0 18446744073709551615 ffffffffffffffff");

    /* What does not fit is cut off. */
    for (i = 0; i < 200; i++) {
        sxvki_line_add(&line, "123456789 ");
        assert_in_range(line.size, 1, SXVKI_LINE_SIZE - 1);
        assert_int_equal(strlen(line.text), line.size);
    }
    assert_int_equal(line.size, SXVKI_LINE_SIZE - 1);
}

/*  A name that is longer than any message. */
static void test_long_names(void** state) {
    char name[2000];
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocation = rig_allocate(rig, 0, 1000);
    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_int_equal(sxvkSetAllocationName(rig->allocator, allocation, name), VK_SUCCESS);
    rig_destroy_allocator(rig); /* reports it as leaked */
    assert_in_range(strlen(rig->messages.text), 100, SXVKI_LINE_SIZE - 1);
    rig_expect(rig, SXVK_MESSAGE_LEAKED_ALLOCATION, 1);
    rig_destroy(rig);
}

/*  Without a callback messages go to stderr, one line each (SX_VKALLOC_DEBUG 1 and up), with their
    stack behind. The text has the tag in it. */
static void test_stderr(void** state) {
    sxvki_reporter reporter = {NULL, NULL};
    SxvkMessageInfo told = {.severity = SXVK_MESSAGE_SEVERITY_INFO,
                            .pText = "a text",
                            .pTag = "renderer",
                            .pStack = "  at main\n"};
    char text[600] = {0};
    FILE* file = tmpfile();
    int saved = dup(STDERR_FILENO);
    (void)state;
    assert_non_null(file);
    fflush(stderr);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    sxvki_report(&reporter, SXVK_MESSAGE_NOT_MAPPED, "sxvkUnmapMemory", "allocation");
    sxvki_report_info(&reporter, &told);
    fflush(stderr);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    rewind(file);
    assert_true(fread(text, 1, sizeof text - 1, file) != 0);
    fclose(file);
    assert_string_equal(
        text, expected("sx_vkalloc: sxvkUnmapMemory: allocation: ", SXVK_MESSAGE_NOT_MAPPED,
                       "\nsx_vkalloc: a text\n  at main\n"));
}

/*  The callback may use the allocator: no lock is held while it runs. */
typedef struct Caller {
    Rig* rig;
    uint32_t calls;
} Caller;

static void VKAPI_PTR use_allocator(void* pUserData, const SxvkMessageInfo* pInfo) {
    Caller* caller = (Caller*)pUserData;
    SxvkTotalStatistics total;
    (void)pInfo;
    caller->calls++;
    sxvkCalculateStatistics(caller->rig->allocator, &total);
    sxvkFreeMemory(caller->rig->allocator, rig_allocate(caller->rig, 1, 100));
}

static void test_callbacks_may_use_the_allocator(void** state) {
    VkMemoryRequirements impossible = testing_requirements((VkDeviceSize)1 << 50, 16, UINT32_MAX);
    SxvkAllocationCreateInfo create = {0};
    RigOptions options = rig_options();
    SxvkDebugInfo debug = {.margin = 16};
    Caller caller = {0};
    SxvkAllocation allocation;
    void* data;
    Rig* rig;
    (void)state;
    options.info.pfnMessage = use_allocator;
    options.info.pMessageUserData = &caller;
    options.info.pDebugInfo = &debug;
    options.sim.backing = true;
    rig = rig_create(&options);
    caller.rig = rig;
    alarm(30); /* a lock that is held would stop it for ever */
    allocation = rig_allocate(rig, 1, 100);
    sxvkUnmapMemory(rig->allocator, allocation); /* not mapped */
    assert_int_equal(caller.calls, 1);
    assert_int_equal(
        sxvkAllocateMemory(rig->allocator, &impossible, &create, &(SxvkAllocation){0}, NULL),
        VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(caller.calls, 2);
    assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_SUCCESS);
    ((unsigned char*)data)[100] = 0;
    assert_int_equal(sxvkCheckCorruption(rig->allocator, UINT32_MAX), VK_ERROR_UNKNOWN);
    assert_int_equal(caller.calls, 3);
    sxvkFreeMemory(rig->allocator, allocation); /* mapped, and corrupted */
    assert_int_equal(caller.calls, 5);
    sxvkFreeMemory(rig->allocator, allocation); /* stale */
    assert_int_equal(caller.calls, 6);
    alarm(0);
    rig_destroy(rig);
}

/*  A callback that frees the allocation that is just being freed: the second free finds it gone. */
typedef struct Impatient {
    Rig* rig;
    SxvkAllocation allocation;
    uint32_t counts[SXVK_MESSAGE_COUNT];
} Impatient;

static void VKAPI_PTR free_it(void* pUserData, const SxvkMessageInfo* pInfo) {
    Impatient* impatient = (Impatient*)pUserData;
    impatient->counts[pInfo->message]++;
    if (pInfo->message == SXVK_MESSAGE_FREED_WHILE_MAPPED) {
        sxvkFreeMemory(impatient->rig->allocator, impatient->allocation);
    }
}

static void test_freed_by_its_own_message(void** state) {
    static const SxvkAllocationCreateFlags flags[] = {0,
                                                      SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        VkMemoryRequirements requirements = testing_requirements(1000, 16, 1u << 1);
        SxvkAllocationCreateInfo create = {.flags = flags[i]};
        RigOptions options = rig_options();
        Impatient impatient;
        void* data;
        memset(&impatient, 0, sizeof impatient);
        options.info.pfnMessage = free_it;
        options.info.pMessageUserData = &impatient;
        impatient.rig = rig_create(&options);
        assert_int_equal(sxvkAllocateMemory(impatient.rig->allocator, &requirements, &create,
                                            &impatient.allocation, NULL),
                         VK_SUCCESS);
        assert_int_equal(sxvkMapMemory(impatient.rig->allocator, impatient.allocation, &data),
                         VK_SUCCESS);
        sxvkFreeMemory(impatient.rig->allocator, impatient.allocation);
        assert_int_equal(impatient.counts[SXVK_MESSAGE_FREED_WHILE_MAPPED], 1);
        assert_int_equal(impatient.counts[SXVK_MESSAGE_INVALID_ALLOCATION], 1);
        rig_destroy(impatient.rig);
    }
}

/*  Callbacks that free what a message of the end is about: a leak, plain or dedicated, and a pool. */
typedef struct Cleaner {
    SxvkAllocator allocator;
    SxvkAllocation allocation;
    SxvkPool pool;
    uint32_t counts[SXVK_MESSAGE_COUNT];
} Cleaner;

static void VKAPI_PTR clean_up(void* pUserData, const SxvkMessageInfo* pInfo) {
    Cleaner* cleaner = (Cleaner*)pUserData;
    SxvkAllocation allocation = cleaner->allocation;
    SxvkPool pool = cleaner->pool;
    cleaner->counts[pInfo->message]++;
    if (pInfo->message == SXVK_MESSAGE_LEAKED_ALLOCATION ||
        pInfo->message == SXVK_MESSAGE_CORRUPTED_MARGIN) {
        cleaner->allocation = VK_NULL_HANDLE;
        sxvkFreeMemory(cleaner->allocator, allocation);
    } else if (pInfo->message == SXVK_MESSAGE_LEAKED_POOL) {
        cleaner->pool = VK_NULL_HANDLE;
        sxvkDestroyPool(cleaner->allocator, pool);
    }
}

static void test_leaks_freed_by_their_message(void** state) {
    int dedicated;
    (void)state;
    for (dedicated = 0; dedicated < 2; dedicated++) {
        VkMemoryRequirements requirements = testing_requirements(1000, 16, 1u << 1);
        SxvkAllocationCreateInfo create = {
            .flags = dedicated ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0};
        SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = 1};
        RigOptions options = rig_options();
        Cleaner cleaner;
        Rig* rig;
        memset(&cleaner, 0, sizeof cleaner);
        options.info.pfnMessage = clean_up;
        options.info.pMessageUserData = &cleaner;
        rig = rig_create(&options);
        cleaner.allocator = rig->allocator;
        assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &cleaner.pool), VK_SUCCESS);
        assert_int_equal(
            sxvkAllocateMemory(rig->allocator, &requirements, &create, &cleaner.allocation, NULL),
            VK_SUCCESS);
        sxvkDestroyAllocator(rig->allocator);
        rig->allocator = VK_NULL_HANDLE;
        assert_int_equal(cleaner.counts[SXVK_MESSAGE_LEAKED_ALLOCATION], 1);
        assert_int_equal(cleaner.counts[SXVK_MESSAGE_LEAKED_POOL], 1);
        assert_int_equal(cleaner.counts[SXVK_MESSAGE_INVALID_ALLOCATION], 0);
        rig_destroy(rig);
    }
}

/*  A callback that leaks again with each message: allocations, a pool, a module. */
typedef struct Waster {
    SxvkAllocator allocator;
    VkDeviceSize size;
    SxvkAllocationCreateFlags flags;
    uint32_t counts[SXVK_MESSAGE_COUNT];
} Waster;

static void VKAPI_PTR waste(void* pUserData, const SxvkMessageInfo* pInfo) {
    Waster* waster = (Waster*)pUserData;
    VkMemoryRequirements requirements = testing_requirements(waster->size, 16, 1u << 1);
    SxvkAllocationCreateInfo create = {.flags = waster->flags};
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = 1};
    SxvkModuleCreateInfo module_info = {0};
    SxvkAllocation allocation;
    SxvkModule module;
    SxvkPool pool;
    char name[32];
    uint32_t i, count = ++waster->counts[pInfo->message];
    assert_in_range(count, 1, 20000);
    for (i = 0; i < 2; i++) {
        assert_int_equal(
            sxvkAllocateMemory(waster->allocator, &requirements, &create, &allocation, NULL),
            VK_SUCCESS);
    }
    if (pInfo->message != SXVK_MESSAGE_LEAKED_ALLOCATION) {
        snprintf(name, sizeof name, "waste %d %u", (int)pInfo->message, count);
        module_info.pName = name;
        assert_int_equal(sxvkCreatePool(waster->allocator, &pool_info, &pool), VK_SUCCESS);
        assert_int_equal(sxvkCreateModule(waster->allocator, &module_info, &module), VK_SUCCESS);
    }
}

/*  It ends, all is freed, and what leaked before is told. */
static void test_leaks_of_the_message(void** state) {
    static const VkDeviceSize sizes[] = {100, 1000, 100000};
    size_t i;
    (void)state;
    for (i = 0; i < 6; i++) {
        RigOptions options = rig_options();
        SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = 1};
        SxvkModuleCreateInfo module_info = {.pName = "lost"};
        Waster waster = {.size = sizes[i % 3]};
        SxvkModule module;
        SxvkPool pool;
        Rig* rig;
        waster.flags = i < 3 ? 0 : SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
        options.info.pfnMessage = waste;
        options.info.pMessageUserData = &waster;
        rig = rig_create(&options);
        waster.allocator = rig->allocator;
        assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
        assert_int_equal(sxvkCreateModule(rig->allocator, &module_info, &module), VK_SUCCESS);
        rig_allocate(rig, 1, 1000);
        rig_allocate(rig, 0, 100000);
        rig_destroy_allocator(rig); /* no VkDeviceMemory, and no host memory, is left */
        assert_true(waster.counts[SXVK_MESSAGE_LEAKED_ALLOCATION] >= 2);
        assert_int_equal(waster.counts[SXVK_MESSAGE_LEAKED_POOL], 1);
        assert_true(waster.counts[SXVK_MESSAGE_LEAKED_MODULE] >= 1);
        rig_destroy(rig);
    }
}

/*  The same of a pool that is destroyed, in which it leaks. */
typedef struct PoolWaster {
    SxvkAllocator allocator;
    SxvkAllocationCreateInfo create;
    uint32_t count;
} PoolWaster;

static void VKAPI_PTR waste_in_pool(void* pUserData, const SxvkMessageInfo* pInfo) {
    PoolWaster* waster = (PoolWaster*)pUserData;
    VkMemoryRequirements requirements = testing_requirements(1000, 16, 1u << 1);
    SxvkAllocation allocation;
    assert_int_equal(pInfo->message, SXVK_MESSAGE_LEAKED_ALLOCATION);
    assert_in_range(++waster->count, 1, 1000);
    assert_int_equal(
        sxvkAllocateMemory(waster->allocator, &requirements, &waster->create, &allocation, NULL),
        VK_SUCCESS);
}

static void test_leaks_of_the_message_in_its_pool(void** state) {
    size_t i;
    (void)state;
    for (i = 0; i < 4; i++) {
        RigOptions options = rig_options();
        SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = 1};
        VkMemoryRequirements requirements = testing_requirements(1000, 16, 1u << 1);
        PoolWaster waster = {0};
        SxvkAllocation allocation;
        SxvkPool pool;
        Rig* rig;
        uint32_t k;
        pool_info.flags = i % 2 == 0 ? 0 : SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT;
        options.info.pfnMessage = waste_in_pool;
        options.info.pMessageUserData = &waster;
        rig = rig_create(&options);
        waster.allocator = rig->allocator;
        assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
        waster.create.pool = pool;
        waster.create.flags = i < 2 ? 0 : SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
        for (k = 0; k < 3; k++) {
            assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &waster.create,
                                                &allocation, NULL),
                             VK_SUCCESS);
        }
        sxvkDestroyPool(rig->allocator, pool);
        assert_int_equal(waster.count, 3); /* as many as there were */
        assert_int_equal(sim_live_memory_count(rig->sim), 0);
        rig_destroy_allocator(rig);
        rig_destroy(rig);
    }
}

/*  What a thread is freeing may be unmapped at any moment: nobody looks at its margin. */
static void test_margin_of_a_claimed_allocation(void** state) {
    SxvkDebugInfo debug = {.margin = 16};
    RigOptions options = rig_options();
    SxvkAllocation allocation;
    uint32_t* word;
    void* data;
    Rig* rig;
    (void)state;
    options.info.pDebugInfo = &debug;
    options.sim.backing = true;
    rig = rig_create(&options);
    allocation = rig_allocate(rig, 1, 100);
    assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_SUCCESS);
    ((unsigned char*)data)[100] ^= 1;
    word = sxvki_generation_of(&rig->allocator->device.records, sxvki_handle_index(allocation));
    *word |= SXVKI_GENERATION_CLAIMED;
    assert_int_equal(sxvkCheckCorruption(rig->allocator, UINT32_MAX), VK_ERROR_FEATURE_NOT_PRESENT);
    *word &= ~SXVKI_GENERATION_CLAIMED;
    assert_int_equal(sxvkCheckCorruption(rig->allocator, UINT32_MAX), VK_ERROR_UNKNOWN);
    rig_expect(rig, SXVK_MESSAGE_CORRUPTED_MARGIN, 1);
    ((unsigned char*)data)[100] ^= 1;
    sxvkUnmapMemory(rig->allocator, allocation);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

/*  A callback that frees the allocation with the broken margin: told once, and the outer free finds
    the allocation gone; also where its block went with it. */
static void test_corrupted_freed_by_its_message(void** state) {
    SxvkDebugInfo debug = {.margin = 16};
    RigOptions options = rig_options();
    SxvkAllocation allocation;
    Cleaner cleaner;
    void* data;
    Rig* rig;
    int mapped;
    (void)state;
    memset(&cleaner, 0, sizeof cleaner);
    options.info.pDebugInfo = &debug;
    options.info.pfnMessage = clean_up;
    options.info.pMessageUserData = &cleaner;
    options.sim.backing = true;
    for (mapped = 0; mapped < 2; mapped++) {
        memset(cleaner.counts, 0, sizeof cleaner.counts);
        rig = rig_create(&options);
        cleaner.allocator = rig->allocator;
        allocation = rig_allocate(rig, 1, 100);
        cleaner.allocation = allocation;
        assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_SUCCESS);
        ((unsigned char*)data)[100] = 0;
        if (!mapped) {
            sxvkUnmapMemory(rig->allocator, allocation);
        }
        sxvkFreeMemory(rig->allocator, allocation);
        assert_int_equal(cleaner.counts[SXVK_MESSAGE_CORRUPTED_MARGIN], 1);
        assert_int_equal(cleaner.counts[SXVK_MESSAGE_FREED_WHILE_MAPPED], mapped);
        assert_int_equal(cleaner.counts[SXVK_MESSAGE_INVALID_ALLOCATION], 1);
        rig_destroy(rig);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_list),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_stderr),
        cmocka_unit_test(test_callbacks_may_use_the_allocator),
        cmocka_unit_test(test_freed_by_its_own_message),
        cmocka_unit_test(test_leaks_freed_by_their_message),
        cmocka_unit_test(test_leaks_of_the_message),
        cmocka_unit_test(test_leaks_of_the_message_in_its_pool),
        cmocka_unit_test(test_corrupted_freed_by_its_message),
        cmocka_unit_test(test_margin_of_a_claimed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
