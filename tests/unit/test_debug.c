/*  test_debug.c - debugging aids: leaks with their age, logs, fill patterns, names for tools.

    Run by CTest (unit.debug).
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

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)

/* Memory types of the profile below: CACHED is not coherent. */
enum { LOCAL, HOST, CACHED, BAR };

static SimProfile profile;

static RigOptions with_debug(const SxvkDebugInfo* debug) {
    RigOptions options = rig_options();
    profile = sim_profile_discrete();
    profile.memory.memoryTypes[CACHED].propertyFlags &=
        ~(VkFlags)VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    options.profile = &profile;
    options.info.pDebugInfo = debug;
    return options;
}

/* ------------------------------------------------------------------ leaks */

/*  What a callback may do with the allocator while leaks are told. */
typedef struct Inquiry {
    SxvkAllocator allocator;
    uint32_t counts[SXVK_MESSAGE_COUNT];
    uint32_t leaks; /* in each dump */
    bool frees;
} Inquiry;

static uint32_t leaks_in(SxvkAllocator allocator, const char* name) {
    uint32_t count = 0;
    char* dump;
    const char* at;
    assert_int_equal(sxvkBuildStatsString(allocator, &dump, VK_FALSE), VK_SUCCESS);
    at = strstr(dump, "\"Leaks\":");
    while (at != NULL && (at = strstr(at + 1, name)) != NULL) {
        count++;
    }
    sxvkFreeStatsString(allocator, dump);
    return count;
}

static void VKAPI_PTR inquire(void* pUserData, const SxvkMessageInfo* pInfo) {
    Inquiry* inquiry = (Inquiry*)pUserData;
    SxvkTotalStatistics total;
    SxvkBudget budget;
    char* text;
    inquiry->counts[pInfo->message]++;
    sxvkGetHeapBudget(inquiry->allocator, 0, &budget);
    sxvkGetHeapBudget(inquiry->allocator, 1, &budget);
    sxvkCalculateStatistics(inquiry->allocator, &total);
    assert_int_equal(sxvkBuildStatsText(inquiry->allocator, &text), VK_SUCCESS);
    sxvkFreeStatsText(inquiry->allocator, text);
    assert_int_equal(sxvkCheckIntegrity(inquiry->allocator), VK_SUCCESS);
    if (pInfo->message != SXVK_MESSAGE_LEAKED_MODULE) {
        assert_int_equal(leaks_in(inquiry->allocator, "\"Name\": \"lost"), inquiry->leaks);
    }
    if (pInfo->message == SXVK_MESSAGE_LEAKED_ALLOCATION && inquiry->frees) {
        sxvkFreeMemory(inquiry->allocator, pInfo->allocation);
        inquiry->leaks--;
    } else if (pInfo->message == SXVK_MESSAGE_LEAKED_MODULE) {
        VkMemoryRequirements needs = testing_requirements(4096, 16, 1u << LOCAL);
        SxvkAllocationCreateInfo create = {0};
        SxvkAllocation allocation;
        assert_int_equal(total.total.statistics.blockCount, 0);
        assert_int_equal(sxvkAllocateMemory(inquiry->allocator, &needs, &create, &allocation, NULL),
                         VK_SUCCESS);
    }
}

/*  Leaks of several types, in a pool, dedicated and in slabs: while they are told all of them are
    there, and the allocator can be asked anything. */
static void test_questions_while_leaks_are_told(void** state) {
    static const VkDeviceSize sizes[] = {100, 100000, MIB, 300};
    SxvkPoolCreateInfo linear = {.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT,
                                 .memoryTypeIndex = HOST,
                                 .blockSize = 256 * KIB};
    SxvkDebugInfo debug = {.flags = SXVK_DEBUG_TRACK_ALLOCATIONS_BIT};
    RigOptions options = with_debug(&debug);
    uint32_t run, i;
    (void)state;
    for (run = 0; run < 2; run++) {
        SxvkModuleCreateInfo module = {.pName = "streaming"};
        Inquiry inquiry = {.frees = run == 1};
        SxvkModule handle;
        SxvkPool pool;
        Rig* rig;
        options.info.pfnMessage = inquire;
        options.info.pMessageUserData = &inquiry;
        rig = rig_create(&options);
        inquiry.allocator = rig->allocator;
        assert_int_equal(sxvkCreateModule(rig->allocator, &module, &handle), VK_SUCCESS);
        assert_int_equal(sxvkCreatePool(rig->allocator, &linear, &pool), VK_SUCCESS);
        for (i = 0; i < 16; i++) {
            SxvkAllocationCreateInfo create = {.pName = "lost", .module = handle};
            VkMemoryRequirements needs = testing_requirements(sizes[i % 4], 16, 1u << (i / 4));
            SxvkAllocation allocation;
            create.pool = i == 5 ? pool : VK_NULL_HANDLE;
            create.flags = i % 4 == 2 ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
            assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &allocation, NULL),
                             VK_SUCCESS);
        }
        inquiry.leaks = 16;
        assert_int_equal(leaks_in(rig->allocator, "lost"), 0); /* nothing has leaked yet */
        rig_destroy_allocator(rig);
        assert_int_equal(inquiry.counts[SXVK_MESSAGE_LEAKED_ALLOCATION], 16);
        assert_int_equal(inquiry.counts[SXVK_MESSAGE_LEAKED_POOL], 1);
        assert_int_equal(inquiry.counts[SXVK_MESSAGE_LEAKED_MODULE], 1);
        rig_destroy(rig);
    }
}

typedef struct Writer {
    SxvkAllocator allocator;
    char* dump;
} Writer;

static void VKAPI_PTR keep_first_dump(void* pUserData, const SxvkMessageInfo* pInfo) {
    Writer* writer = (Writer*)pUserData;
    char* dump;
    if (pInfo->message == SXVK_MESSAGE_LEAKED_ALLOCATION && writer->dump == NULL) {
        assert_int_equal(sxvkBuildStatsString(writer->allocator, &dump, VK_TRUE), VK_SUCCESS);
        writer->dump = malloc(strlen(dump) + 1);
        strcpy(writer->dump, dump);
        sxvkFreeStatsString(writer->allocator, dump);
    }
}

/*  What a dump says of a leak; and the age of what has not leaked. */
static void test_leaks_in_the_dump(void** state) {
    SxvkModuleCreateInfo module = {.pName = "streaming"};
    SxvkDebugInfo debug = {.flags = SXVK_DEBUG_TRACK_ALLOCATIONS_BIT};
    RigOptions options = with_debug(&debug);
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO, .pName = "lost mesh"};
    VkBufferCreateInfo bufferInfo = testing_buffer(4096, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    SxvkAllocation allocation;
    Writer writer = {0};
    VkBuffer buffer;
    const char* leaks;
    char* dump;
    Rig* rig;
    (void)state;
    options.info.pfnMessage = keep_first_dump;
    options.info.pMessageUserData = &writer;
    rig = rig_create(&options);
    writer.allocator = rig->allocator;
    assert_int_equal(sxvkCreateModule(rig->allocator, &module, &create.module), VK_SUCCESS);
    sxvkSetCurrentFrameIndex(rig->allocator, 5);
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &bufferInfo, &create, &buffer, &allocation, NULL),
        VK_SUCCESS);
    sxvkSetCurrentFrameIndex(rig->allocator, 12);
    assert_int_equal(sxvkBuildStatsString(rig->allocator, &dump, VK_TRUE), VK_SUCCESS);
    assert_non_null(strstr(dump, "\"Age\": 7"));
    assert_null(strstr(dump, "\"Leaks\""));
    sxvkFreeStatsString(rig->allocator, dump);
    rig->allocator->device.vk.fn.vkDestroyBuffer(rig->info.device, buffer,
                                                 rig->info.pAllocationCallbacks);
    rig_destroy_allocator(rig);
    leaks = strstr(writer.dump, "\"Leaks\": [");
    assert_non_null(leaks);
    assert_non_null(strstr(leaks, "\"Type\": \"BUFFER\""));
    assert_non_null(strstr(leaks, "\"Size\": 4096"));
    assert_non_null(strstr(leaks, "\"Name\": \"lost mesh\""));
    assert_non_null(strstr(leaks, "\"Module\": \"streaming\""));
    assert_non_null(strstr(leaks, "\"Age\": 7"));
    assert_non_null(strstr(leaks, "\"MemoryType\": 0"));
    free(writer.dump);
    rig_destroy(rig);
}

typedef struct Tags {
    SxvkMessage last;
    SxvkAllocation allocation;
    char text[600];
    char tag[128];
} Tags;

static void VKAPI_PTR keep_tag(void* pUserData, const SxvkMessageInfo* pInfo) {
    Tags* tags = (Tags*)pUserData;
    tags->last = pInfo->message;
    tags->allocation = pInfo->allocation;
    snprintf(tags->text, sizeof tags->text, "%s", pInfo->pText);
    snprintf(tags->tag, sizeof tags->tag, "%s", pInfo->pTag != NULL ? pInfo->pTag : "");
}

static void expect_tag(const Tags* tags, SxvkMessage message, const char* begin) {
    assert_int_equal(tags->last, message);
    assert_string_equal(tags->tag, "audio");
    assert_non_null(strstr(tags->text, ", module audio"));
    if (strncmp(tags->text, begin, strlen(begin)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", tags->text, begin);
    }
}

/*  Messages about an allocation, made or wanted, say whose it is. */
static void test_messages_have_tags(void** state) {
    SxvkDebugInfo debug = {.flags = SXVK_DEBUG_LOG_MEMORY_TYPES_BIT, .margin = 16};
    RigOptions options = with_debug(&debug);
    SxvkModuleCreateInfo module = {.pName = "audio"};
    SxvkAllocationCreateInfo create = {.pName = "voice",
                                       .flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT};
    VkMemoryRequirements needs = testing_requirements(4096, 16, 1u << HOST);
    SxvkAllocationInfo info;
    SxvkAllocation allocation, bad;
    Tags tags = {0};
    void* data;
    Rig* rig;
    (void)state;
    options.sim.backing = true;
    options.info.pfnMessage = keep_tag;
    options.info.pMessageUserData = &tags;
    rig = rig_create(&options);
    assert_int_equal(sxvkCreateModule(rig->allocator, &module, &create.module), VK_SUCCESS);
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &allocation, &info),
                     VK_SUCCESS);
    expect_tag(&tags, SXVK_MESSAGE_MEMORY_TYPE_CHOSEN, "sxvkAllocateMemory: voice, 4096 bytes, ");
    sxvkUnmapMemory(rig->allocator, allocation);
    expect_tag(&tags, SXVK_MESSAGE_NOT_MAPPED,
               "sxvkUnmapMemory: voice, 4096 bytes of memory type ");
    assert_ptr_equal(tags.allocation, allocation);
    ((char*)info.pMappedData)[4096] = 1;
    assert_int_equal(sxvkCheckCorruption(rig->allocator, UINT32_MAX), VK_ERROR_UNKNOWN);
    expect_tag(&tags, SXVK_MESSAGE_CORRUPTED_MARGIN, "sxvkCheckCorruption: voice, 4096 bytes of ");
    assert_ptr_equal(tags.allocation, allocation);
    sxvkFreeMemory(rig->allocator, allocation);
    needs.memoryTypeBits = 1u << LOCAL;
    needs.size = (VkDeviceSize)1 << 44;
    create.flags = 0;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &bad, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    expect_tag(&tags, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY,
               "sxvkAllocateMemory: voice, 17592186044416 bytes, ");
    needs.size = 4096;
    create.requiredFlags = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &bad, NULL),
                     VK_ERROR_FEATURE_NOT_PRESENT);
    expect_tag(&tags, SXVK_MESSAGE_NO_MEMORY_TYPE, "sxvkAllocateMemory: voice, 4096 bytes, ");
    create.requiredFlags = 0;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &allocation, NULL),
                     VK_SUCCESS);
    assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_ERROR_MEMORY_MAP_FAILED);
    expect_tag(&tags, SXVK_MESSAGE_NOT_HOST_VISIBLE, "sxvkMapMemory: voice, 4096 bytes of ");
    sxvkFreeMemory(rig->allocator, allocation);
    sxvkDestroyModule(rig->allocator, create.module);
    rig_destroy(rig);
}

/*  Messages about a module, or a pool of one, have its name as tag. */
static void test_messages_about_modules_have_tags(void** state) {
    RigOptions options = with_debug(NULL);
    SxvkModuleCreateInfo module = {.pName = "audio"};
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = HOST};
    SxvkModule handle;
    SxvkPool pool;
    Tags tags = {0};
    Rig* rig;
    (void)state;
    options.info.pfnMessage = keep_tag;
    options.info.pMessageUserData = &tags;
    rig = rig_create(&options);
    assert_int_equal(sxvkCreateModule(rig->allocator, &module, &handle), VK_SUCCESS);
    pool_info.module = handle;
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
    assert_int_equal(sxvkSetPoolName(rig->allocator, pool, "sounds"), VK_SUCCESS);
    sxvkDestroyModule(rig->allocator, handle);
    expect_tag(&tags, SXVK_MESSAGE_MODULE_IN_USE,
               "sxvkDestroyModule: sounds, a pool, module audio: ");
    sxvkDestroyPool(rig->allocator, pool);
    assert_int_equal(sxvkCreateModule(rig->allocator, &module, &handle), VK_SUCCESS);
    rig_destroy_allocator(rig);
    assert_int_equal(tags.last, SXVK_MESSAGE_LEAKED_MODULE);
    assert_string_equal(tags.tag, "audio");
    assert_int_equal(strncmp(tags.text, "sxvkDestroyAllocator: audio: ", 29), 0);
    rig_destroy(rig);
}

#define BATCH 50

/*  One of many fails, in the second portion: the message is about that one. Where it is an image,
    its size is known once the driver has made it. */
static void test_failures_of_batches_have_names(void** state) {
    static SxvkAllocationCreateInfo creates[BATCH];
    static VkMemoryRequirements needs[BATCH];
    static VkBufferCreateInfo bufferInfos[BATCH];
    static VkImageCreateInfo imageInfos[BATCH];
    static SxvkAllocation allocations[BATCH];
    static VkBuffer buffers[BATCH];
    static VkImage images[BATCH];
    RigOptions options = with_debug(NULL);
    SxvkModuleCreateInfo module = {.pName = "audio"};
    const uint32_t bad = 40;
    SxvkModule handle;
    Tags tags = {0};
    Rig* rig;
    uint32_t i;
    (void)state;
    options.info.pfnMessage = keep_tag;
    options.info.pMessageUserData = &tags;
    rig = rig_create(&options);
    assert_int_equal(sxvkCreateModule(rig->allocator, &module, &handle), VK_SUCCESS);
    for (i = 0; i < BATCH; i++) {
        memset(&creates[i], 0, sizeof creates[i]);
        creates[i].pName = i == bad ? "voice" : "other";
        creates[i].module = i == bad ? handle : VK_NULL_HANDLE;
        needs[i] = testing_requirements(i == bad ? (VkDeviceSize)1 << 44 : 1000, 16, 1u << LOCAL);
        bufferInfos[i] = testing_buffer(1000 + 24 * i, VK_BUFFER_USAGE_TRANSFER_DST_BIT);
        imageInfos[i] = testing_image(64, 64, VK_IMAGE_TILING_OPTIMAL);
    }
    assert_int_equal(
        sxvkAllocateMemoryPages(rig->allocator, needs, creates, BATCH, allocations, NULL),
        VK_ERROR_OUT_OF_DEVICE_MEMORY);
    expect_tag(&tags, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY,
               "sxvkAllocateMemoryPages: voice, 17592186044416 bytes, module audio: ");
    creates[bad].requiredFlags = VK_MEMORY_PROPERTY_PROTECTED_BIT;
    assert_int_equal(
        sxvkCreateBuffers(rig->allocator, BATCH, bufferInfos, creates, buffers, allocations, NULL),
        VK_ERROR_FEATURE_NOT_PRESENT);
    expect_tag(&tags, SXVK_MESSAGE_NO_MEMORY_TYPE,
               "sxvkCreateBuffers: voice, 1960 bytes, module audio: ");
    assert_int_equal(
        sxvkCreateImages(rig->allocator, BATCH, imageInfos, creates, images, allocations, NULL),
        VK_ERROR_FEATURE_NOT_PRESENT);
    expect_tag(&tags, SXVK_MESSAGE_NO_MEMORY_TYPE,
               "sxvkCreateImages: voice, 16384 bytes, module audio: ");
    assert_int_equal(sxvkCreateImage(rig->allocator, &imageInfos[0], &creates[bad], &images[0],
                                     &allocations[0], NULL),
                     VK_ERROR_FEATURE_NOT_PRESENT);
    expect_tag(&tags, SXVK_MESSAGE_NO_MEMORY_TYPE,
               "sxvkCreateImage: voice, 16384 bytes, module audio: ");
    creates[bad].requiredFlags = 0;
    assert_true(
        sim_fail(rig->sim, SIM_CALL_CREATE_BUFFER, bad + 1, 1, VK_ERROR_OUT_OF_DEVICE_MEMORY));
    assert_int_equal(
        sxvkCreateBuffers(rig->allocator, BATCH, bufferInfos, creates, buffers, allocations, NULL),
        VK_ERROR_OUT_OF_DEVICE_MEMORY);
    expect_tag(&tags, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY,
               "sxvkCreateBuffers: voice, 1960 bytes, module audio: ");
    assert_true(
        sim_fail(rig->sim, SIM_CALL_CREATE_IMAGE, bad + 1, 1, VK_ERROR_OUT_OF_DEVICE_MEMORY));
    assert_int_equal(
        sxvkCreateImages(rig->allocator, BATCH, imageInfos, creates, images, allocations, NULL),
        VK_ERROR_OUT_OF_DEVICE_MEMORY);
    expect_tag(&tags, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, "sxvkCreateImages: voice, module audio: ");
    assert_true(sim_fail(rig->sim, SIM_CALL_CREATE_IMAGE, 1, 1, VK_ERROR_OUT_OF_HOST_MEMORY));
    assert_int_equal(sxvkCreateImage(rig->allocator, &imageInfos[0], &creates[bad], &images[0],
                                     &allocations[0], NULL),
                     VK_ERROR_OUT_OF_HOST_MEMORY);
    expect_tag(&tags, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, "sxvkCreateImage: voice, module audio: ");
    /* To bind many at once fails as a whole. */
    assert_true(
        sim_fail(rig->sim, SIM_CALL_BIND_BUFFER_MEMORY2, 1, 1, VK_ERROR_OUT_OF_HOST_MEMORY));
    assert_int_equal(
        sxvkCreateBuffers(rig->allocator, BATCH, bufferInfos, creates, buffers, allocations, NULL),
        VK_ERROR_OUT_OF_HOST_MEMORY);
    assert_int_equal(tags.last, SXVK_MESSAGE_OUT_OF_HOST_MEMORY);
    assert_int_equal(strncmp(tags.text, "sxvkCreateBuffers: ", 19), 0);
    sxvkDestroyModule(rig->allocator, handle);
    rig_destroy(rig);
}

/*  Long names, ends of lines in names, and bytes that are no UTF-8. */
static void test_odd_names(void** state) {
    static const char broken[] = "a\xC3\xA4 \xFF \xC3 \xE2\x82";
    RigOptions options = with_debug(NULL);
    SxvkModuleCreateInfo module = {0};
    SxvkAllocationCreateInfo create = {0};
    VkMemoryRequirements needs = testing_requirements(4096, 16, 1u << HOST);
    SxvkAllocation allocation;
    char name[700], long_tag[100];
    Tags tags = {0};
    char* dump;
    Rig* rig;
    uint32_t i;
    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    name[10] = '\n';
    for (i = 0; i < 40; i++) {
        memcpy(long_tag + 2 * i, "\xC3\xA4", 3); /* 63 bytes end inside of one */
    }
    options.info.pfnMessage = keep_tag;
    options.info.pMessageUserData = &tags;
    rig = rig_create(&options);
    module.pName = long_tag;
    create.pName = name;
    assert_int_equal(sxvkCreateModule(rig->allocator, &module, &create.module), VK_SUCCESS);
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &allocation, NULL),
                     VK_SUCCESS);
    sxvkUnmapMemory(rig->allocator, allocation);
    assert_int_equal(strlen(tags.tag), 62);
    assert_null(strchr(tags.text, '\n'));
    assert_non_null(strstr(tags.text, ", 4096 bytes of memory type 1, module "));
    assert_non_null(strstr(tags.text, "not mapped"));
    assert_int_equal(sxvkSetAllocationName(rig->allocator, allocation, broken), VK_SUCCESS);
    assert_int_equal(sxvkBuildStatsString(rig->allocator, &dump, VK_TRUE), VK_SUCCESS);
    assert_non_null(strstr(dump, "\"a\xC3\xA4 \\ufffd \\ufffd \\ufffd\\ufffd\""));
    sxvkFreeStatsString(rig->allocator, dump);
    sxvkUnmapMemory(rig->allocator, allocation);
    assert_non_null(strstr(tags.text, ": a\xC3\xA4 ? ? ??, 4096 bytes"));
    sxvkFreeMemory(rig->allocator, allocation);
    sxvkDestroyModule(rig->allocator, create.module);
    rig_destroy(rig);
}

/*  A name cannot look like a line of the report for a log. */
static void test_odd_names_in_the_report(void** state) {
    static const char forged[] = "a\nheap 0: \x1B[2J\r\x7F\xFFz";
    static const char clean[] = "a heap 0:  [2J  ?z";
    RigOptions options = with_debug(NULL);
    SxvkModuleCreateInfo module = {.pName = forged};
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = HOST};
    SxvkAllocationCreateInfo create = {.pName = forged};
    VkMemoryRequirements needs = testing_requirements(4096, 16, 1u << HOST);
    Rig* rig = rig_create(&options);
    SxvkAllocation allocation;
    const char* at;
    uint32_t count = 0;
    SxvkPool pool;
    char* text;
    (void)state;
    assert_int_equal(sxvkCreateModule(rig->allocator, &module, &create.module), VK_SUCCESS);
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
    assert_int_equal(sxvkSetPoolName(rig->allocator, pool, forged), VK_SUCCESS);
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &allocation, NULL),
                     VK_SUCCESS);
    assert_int_equal(sxvkBuildStatsText(rig->allocator, &text), VK_SUCCESS);
    for (at = strstr(text, clean); at != NULL; at = strstr(at + 1, clean)) {
        count++;
    }
    assert_int_equal(count, 4); /* the pool, the module, the allocation and its module */
    assert_null(strpbrk(text, "\x1B\r\x7F\xFF"));
    assert_null(strstr(text, "\nheap 0: "));
    sxvkFreeStatsText(rig->allocator, text);
    sxvkFreeMemory(rig->allocator, allocation);
    sxvkDestroyPool(rig->allocator, pool);
    sxvkDestroyModule(rig->allocator, create.module);
    rig_destroy(rig);
}

/*  Without the flag there is no age, and no memory is spent for it. */
static void test_age_is_unknown(void** state) {
    Rig* rig = rig_create(NULL);
    (void)state;
    rig_allocate(rig, LOCAL, 100);
    assert_null(sxvki_cold_find(&rig->allocator->device.records, 0));
    rig_destroy_allocator(rig);
    assert_null(strstr(rig->messages.text, "frames"));
    rig_expect(rig, SXVK_MESSAGE_LEAKED_ALLOCATION, 1);
    rig_destroy(rig);
}

/*  The age goes with the allocation: what a place had before does not matter. */
static void test_age_is_of_the_allocation(void** state) {
    static const VkDeviceSize sizes[] = {256, 64 * KIB, 16 * MIB};
    SxvkDebugInfo debug = {.flags = SXVK_DEBUG_TRACK_ALLOCATIONS_BIT};
    RigOptions options = with_debug(&debug);
    size_t i;
    (void)state;
    for (i = 0; i < 3; i++) {
        Rig* rig = rig_create(&options);
        SxvkAllocation many[100];
        uint32_t k;
        for (k = 0; k < 100; k++) {
            many[k] = rig_allocate(rig, LOCAL, sizes[i]);
        }
        sxvkSetCurrentFrameIndex(rig->allocator, 500);
        for (k = 0; k < 100; k++) {
            sxvkFreeMemory(rig->allocator, many[k]);
        }
        rig_allocate(rig, LOCAL, sizes[i]);
        sxvkSetCurrentFrameIndex(rig->allocator, 517);
        rig_destroy_allocator(rig);
        assert_non_null(strstr(rig->messages.text, ", 17 frames old: "));
        rig_expect(rig, SXVK_MESSAGE_LEAKED_ALLOCATION, 1);
        rig_destroy(rig);
    }
}

/* ------------------------------------------------------------------ logs */

#define LINES 64

typedef struct Log {
    uint32_t count;
    SxvkMessage messages[LINES];
    SxvkAllocation allocations[LINES];
    char texts[LINES][160];
    SxvkAllocator allocator;
    int depth;
} Log;

/*  Uses the allocator, so no lock is held. */
static void VKAPI_PTR write_log(void* pUserData, const SxvkMessageInfo* pInfo) {
    Log* log = (Log*)pUserData;
    SxvkTotalStatistics total;
    if (log->depth != 0) {
        return;
    }
    log->depth++;
    assert_in_range(log->count, 0, LINES - 1);
    assert_int_equal(pInfo->severity, SXVK_MESSAGE_SEVERITY_INFO);
    log->messages[log->count] = pInfo->message;
    log->allocations[log->count] = pInfo->allocation;
    snprintf(log->texts[log->count++], sizeof log->texts[0], "%s", pInfo->pText);
    if (log->allocator != NULL) {
        VkMemoryRequirements needs = testing_requirements(64, 16, 1u << LOCAL);
        SxvkAllocationCreateInfo create = {0};
        SxvkAllocation allocation;
        sxvkCalculateStatistics(log->allocator, &total);
        assert_int_equal(sxvkAllocateMemory(log->allocator, &needs, &create, &allocation, NULL),
                         VK_SUCCESS);
        sxvkFreeMemory(log->allocator, allocation);
    }
    log->depth--;
}

static void expect_line(const Log* log, uint32_t i, SxvkMessage message, SxvkAllocation allocation,
                        const char* begin) {
    assert_in_range(log->count, i + 1, LINES);
    assert_int_equal(log->messages[i], message);
    assert_ptr_equal(log->allocations[i], allocation);
    if (strncmp(log->texts[i], begin, strlen(begin)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", log->texts[i], begin);
    }
}

static Rig* logging_rig(Log* log, SxvkDebugFlags flags) {
    SxvkDebugInfo debug = {.flags = flags};
    RigOptions options = with_debug(&debug);
    Rig* rig;
    memset(log, 0, sizeof *log);
    options.info.pfnMessage = write_log;
    options.info.pMessageUserData = log;
    rig = rig_create(&options);
    log->allocator = rig->allocator;
    return rig;
}

/*  Each kind of memory, by each way to free it. */
static void test_log_allocations_and_frees(void** state) {
    Log log;
    Rig* rig = logging_rig(&log, SXVK_DEBUG_LOG_ALLOCATIONS_BIT | SXVK_DEBUG_LOG_FREES_BIT);
    SxvkAllocationCreateInfo create = {.pName = "mesh", .usage = SXVK_MEMORY_USAGE_AUTO};
    VkBufferCreateInfo bufferInfo = testing_buffer(1024, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    VkBuffer buffer;
    SxvkAllocation a, pages[3];
    SxvkAllocationCreateInfo creates[3] = {{0}};
    VkMemoryRequirements needs[3];
    uint32_t i;
    (void)state;
    assert_int_equal(sxvkCreateBuffer(rig->allocator, &bufferInfo, &create, &buffer, &a, NULL),
                     VK_SUCCESS);
    expect_line(&log, 0, SXVK_MESSAGE_ALLOCATED, a,
                "sxvkCreateBuffer: mesh, 1024 bytes of memory type 0: ");
    sxvkDestroyBuffer(rig->allocator, buffer, a);
    expect_line(&log, 1, SXVK_MESSAGE_FREED, a,
                "sxvkDestroyBuffer: mesh, 1024 bytes of memory type 0: ");
    for (i = 0; i < 3; i++) {
        needs[i] = testing_requirements(100 + i, 16, 1u << HOST);
    }
    creates[1].flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    assert_int_equal(sxvkAllocateMemoryPages(rig->allocator, needs, creates, 3, pages, NULL),
                     VK_SUCCESS);
    sxvkFreeMemoryPages(rig->allocator, 3, pages);
    for (i = 0; i < 3; i++) {
        char text[96];
        snprintf(text, sizeof text, "sxvkAllocateMemoryPages: (no name), %u bytes", 100 + i);
        expect_line(&log, 2 + i, SXVK_MESSAGE_ALLOCATED, pages[i], text);
        snprintf(text, sizeof text, "sxvkFreeMemoryPages: (no name), %u bytes", 100 + i);
        expect_line(&log, 5 + i, SXVK_MESSAGE_FREED, pages[i], text);
    }
    assert_int_equal(log.count, 8);
    log.depth = 1;
    sxvkFreeMemory(rig->allocator, a); /* stale: an error, and no free */
    log.depth = 0;
    assert_int_equal(log.count, 8);
    rig_destroy(rig);
}

/*  What a reset frees is told, too. */
static void test_log_resets(void** state) {
    static const SxvkPoolCreateFlags flags[] = {0, SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT};
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        Log log;
        Rig* rig = logging_rig(&log, SXVK_DEBUG_LOG_FREES_BIT);
        SxvkPoolCreateInfo poolInfo = {
            .flags = flags[i], .memoryTypeIndex = HOST, .blockSize = 64 * KIB};
        SxvkAllocationCreateInfo create = {0};
        VkMemoryRequirements needs = testing_requirements(30 * KIB, 16, 1u << HOST);
        SxvkAllocation allocations[5];
        uint32_t k;
        log.allocator = NULL;
        assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &create.pool), VK_SUCCESS);
        for (k = 0; k < 5; k++) {
            create.flags = k == 4 ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT : 0;
            assert_int_equal(
                sxvkAllocateMemory(rig->allocator, &needs, &create, &allocations[k], NULL),
                VK_SUCCESS);
        }
        assert_int_equal(log.count, 0);
        assert_int_equal(sxvkResetPool(rig->allocator, create.pool), VK_SUCCESS);
        assert_int_equal(log.count, 5);
        for (k = 0; k < 5; k++) {
            uint32_t line = 0;
            while (line < 5 && log.allocations[line] != allocations[k]) {
                line++;
            }
            assert_in_range(line, 0, 4);
            expect_line(&log, line, SXVK_MESSAGE_FREED, allocations[k],
                        "sxvkResetPool: (no name), 30720 bytes of memory type 1: ");
        }
        sxvkDestroyPool(rig->allocator, create.pool);
        assert_int_equal(log.count, 5);
        rig_destroy(rig);
    }
}

/*  The choice that was taken, and by what. */
static void test_log_memory_types(void** state) {
    Log log;
    Rig* rig = logging_rig(&log, SXVK_DEBUG_LOG_MEMORY_TYPES_BIT);
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO, .pName = "mesh"};
    SxvkAllocationCreateInfo pooled = {0};
    SxvkPoolCreateInfo poolInfo = {.memoryTypeIndex = CACHED};
    VkBufferCreateInfo bufferInfo = testing_buffer(1024, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    VkMemoryRequirements needs = testing_requirements(500, 16, UINT32_MAX);
    VkBuffer buffers[2];
    SxvkAllocation allocations[3];
    (void)state;
    log.allocator = NULL;
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &bufferInfo, &create, &buffers[0], &allocations[0], NULL),
        VK_SUCCESS);
    expect_line(&log, 0, SXVK_MESSAGE_MEMORY_TYPE_CHOSEN, NULL,
                "sxvkCreateBuffer: mesh, 1024 bytes: type 0 of heap 0, choice 1 of 3: ");
    sim_heap_limit(rig->sim, 0, 1);
    create.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &bufferInfo, &create, &buffers[1], &allocations[1], NULL),
        VK_SUCCESS);
    assert_int_equal(log.count, 2);
    assert_null(strstr(log.texts[1], "type 0"));
    assert_non_null(strstr(log.texts[1], " of 3: "));
    assert_null(strstr(log.texts[1], "choice 1 of 3"));
    assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &pooled.pool), VK_SUCCESS);
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &pooled, &allocations[2], NULL),
                     VK_SUCCESS);
    expect_line(&log, 2, SXVK_MESSAGE_MEMORY_TYPE_CHOSEN, NULL,
                "sxvkAllocateMemory: (no name), 500 bytes: type 2 of heap 1, by its pool: ");
    sxvkFreeMemory(rig->allocator, allocations[2]);
    sxvkDestroyPool(rig->allocator, pooled.pool);
    sxvkDestroyBuffer(rig->allocator, buffers[0], allocations[0]);
    sxvkDestroyBuffer(rig->allocator, buffers[1], allocations[1]);
    assert_int_equal(log.count, 3);
    rig_destroy(rig);
}

/*  An allocation that fails on its way is neither told as made nor as freed. */
static void test_log_of_failures(void** state) {
    Log log;
    Rig* rig = logging_rig(&log, SXVK_DEBUG_LOG_ALLOCATIONS_BIT | SXVK_DEBUG_LOG_FREES_BIT);
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT};
    VkMemoryRequirements needs = testing_requirements(500, 16, 1u << HOST);
    SxvkAllocation allocation;
    (void)state;
    log.depth = 1; /* the failure itself is a warning */
    sim_fail(rig->sim, SIM_CALL_MAP_MEMORY, 1, 1, VK_ERROR_MEMORY_MAP_FAILED);
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &allocation, NULL),
                     VK_ERROR_MEMORY_MAP_FAILED);
    assert_int_equal(log.count, 0);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ fill patterns */

#define MADE  0xA5
#define FREED 0x5A

static void expect_bytes(const unsigned char* bytes, VkDeviceSize size, unsigned char value) {
    VkDeviceSize i;
    for (i = 0; i < size; i++) {
        if (bytes[i] != value) {
            fail_msg("byte %llu of %llu is 0x%02x, not 0x%02x", (unsigned long long)i,
                     (unsigned long long)size, bytes[i], value);
        }
    }
}

/*  What was freed, looked at before its VkDeviceMemory goes. */
typedef struct Grave {
    VkDeviceMemory memory;
    const unsigned char* bytes;
    VkDeviceSize size;
    uint32_t seen;
} Grave;

static void VKAPI_PTR look_into_grave(SxvkAllocator allocator, uint32_t memoryType,
                                      VkDeviceMemory memory, VkDeviceSize size, void* pUserData) {
    Grave* grave = (Grave*)pUserData;
    (void)allocator;
    (void)memoryType;
    (void)size;
    if (memory == grave->memory) {
        expect_bytes(grave->bytes, grave->size, FREED);
        grave->seen++;
    }
}

static unsigned char* bytes_of(Rig* rig, SxvkAllocation allocation) {
    sxvki_view view = sxvki_look(&rig->allocator->device, sxvki_allocation_index(allocation));
    char* data = sxvki_block_pointer(view.block);
    assert_non_null(data);
    return (unsigned char*)data + view.offset;
}

/*  Three neighbours; the middle one is freed. */
static void fill_and_free(Rig* rig, const SxvkAllocationCreateInfo* create, uint32_t type,
                          VkDeviceSize size, Grave* grave) {
    VkMemoryRequirements needs = testing_requirements(size, 4, 1u << type);
    SxvkAllocation allocations[3];
    SxvkAllocationInfo info;
    unsigned char* bytes[3];
    uint32_t i;
    for (i = 0; i < 3; i++) {
        assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, create, &allocations[i], &info),
                         VK_SUCCESS);
        bytes[i] = bytes_of(rig, allocations[i]);
        expect_bytes(bytes[i], size, MADE);
        memset(bytes[i], 1, size);
        if (type == CACHED) {
            SimMemoryInfo memory;
            assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
            assert_int_equal(memory.lastFlush.sType, VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE);
            assert_int_equal(memory.lastFlush.offset, info.offset);
        }
        if (i == 1) {
            grave->memory = info.deviceMemory;
            grave->bytes = bytes[1];
            grave->size = size;
        }
    }
    sxvkFreeMemory(rig->allocator, allocations[1]);
    if (sim_memory_info(rig->sim, grave->memory, &(SimMemoryInfo){0})) {
        expect_bytes(bytes[1], size, FREED);
    }
    expect_bytes(bytes[0], size, 1);
    expect_bytes(bytes[2], size, 1);
    grave->memory = VK_NULL_HANDLE;
    sxvkFreeMemory(rig->allocator, allocations[0]);
    sxvkFreeMemory(rig->allocator, allocations[2]);
}

/*  In slabs, ranges, dedicated memory and linear pools, coherent or not, with a margin or without,
    to the last byte and no further. */
static void test_fill(void** state) {
    static const VkDeviceSize sizes[] = {1, 63, 100, 4096, 40001, MIB + 3};
    static const VkDeviceSize margins[] = {0, 16};
    static const uint32_t types[] = {HOST, CACHED, BAR};
    size_t m, s, t, where;
    (void)state;
    for (m = 0; m < 2; m++) {
        SxvkDebugInfo debug = {.margin = margins[m], .fillOnAllocate = MADE, .fillOnFree = FREED};
        RigOptions options = with_debug(&debug);
        Grave grave = {VK_NULL_HANDLE, NULL, 0, 0};
        SxvkDeviceMemoryCallbacks callbacks = {.pfnFree = look_into_grave, .pUserData = &grave};
        Rig* rig;
        options.sim.backing = true;
        options.info.pDeviceMemoryCallbacks = &callbacks;
        rig = rig_create(&options);
        for (t = 0; t < 3; t++) {
            SxvkPoolCreateInfo poolInfo = {.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT,
                                           .memoryTypeIndex = types[t],
                                           .blockSize = 8 * MIB};
            SxvkPool pool;
            uint32_t k;
            SxvkAllocation warm[40];
            assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &pool), VK_SUCCESS);
            for (k = 0; k < 40; k++) { /* earns slabs */
                warm[k] = rig_allocate(rig, types[t], 100);
            }
            for (s = 0; s < 6; s++) {
                for (where = 0; where < 4; where++) {
                    SxvkAllocationCreateInfo create = {0};
                    create.pool = where == 1 ? pool : NULL;
                    create.flags = where == 2   ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT
                                   : where == 3 ? SXVK_ALLOCATION_CREATE_MAPPED_BIT
                                                : 0;
                    fill_and_free(rig, &create, types[t], sizes[s], &grave);
                }
            }
            for (k = 0; k < 40; k++) {
                sxvkFreeMemory(rig->allocator, warm[k]);
            }
            sxvkDestroyPool(rig->allocator, pool);
        }
        assert_int_equal(grave.seen, 3 * 6); /* the dedicated ones */
        rig_expect_silence(rig);
        rig_destroy(rig);
    }
}

/*  Each by itself; what cannot be mapped or may have been imported is left alone. */
static void test_fill_one_side(void** state) {
    SxvkDebugInfo debug = {.fillOnAllocate = MADE};
    RigOptions options = with_debug(&debug);
    VkExportMemoryAllocateInfo chain = {VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO, NULL, 0};
    SxvkAllocationCreateInfo create = {0};
    VkMemoryRequirements needs = testing_requirements(1000, 4, 1u << HOST);
    SxvkAllocation keep, allocation;
    unsigned char* bytes;
    Rig* rig;
    (void)state;
    options.sim.backing = true;
    rig = rig_create(&options);
    keep = rig_allocate(rig, HOST, 1000);
    allocation = rig_allocate(rig, HOST, 1000);
    bytes = bytes_of(rig, allocation);
    sxvkFreeMemory(rig->allocator, allocation);
    expect_bytes(bytes, 1000, MADE); /* the free left it */
    sxvkFreeMemory(rig->allocator, keep);
    rig_destroy(rig);

    debug.fillOnAllocate = 0;
    debug.fillOnFree = FREED;
    rig = rig_create(&options);
    keep = rig_allocate(rig, HOST, 1000);
    allocation = rig_allocate(rig, HOST, 1000);
    bytes = bytes_of(rig, allocation);
    memset(bytes, 7, 1000);
    sxvkFreeMemory(rig->allocator, allocation);
    expect_bytes(bytes, 1000, FREED);
    sxvkFreeMemory(rig->allocator, keep);
    sxvkFreeMemory(rig->allocator, rig_allocate(rig, LOCAL, 1000));
    sim_reset_calls(rig->sim);
    create.pNext = &chain;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &allocation, NULL),
                     VK_SUCCESS);
    sxvkFreeMemory(rig->allocator, allocation);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_MAP_MEMORY), 0);
    rig_destroy(rig);
}

/*  What a reset frees at once is filled. */
static void test_fill_by_reset(void** state) {
    SxvkDebugInfo debug = {.fillOnFree = FREED};
    RigOptions options = with_debug(&debug);
    SxvkPoolCreateInfo poolInfo = {.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT,
                                   .memoryTypeIndex = HOST,
                                   .blockSize = 64 * KIB};
    SxvkAllocationCreateInfo create = {0};
    VkMemoryRequirements needs = testing_requirements(20000, 4, 1u << HOST);
    unsigned char* bytes[7];
    SxvkAllocation allocation;
    uint32_t i;
    Rig* rig;
    (void)state;
    options.sim.backing = true;
    rig = rig_create(&options);
    assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &create.pool), VK_SUCCESS);
    for (i = 0; i < 7; i++) { /* in three blocks */
        assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &allocation, NULL),
                         VK_SUCCESS);
        bytes[i] = bytes_of(rig, allocation);
        memset(bytes[i], 7, 20000);
    }
    assert_int_equal(sxvkResetPool(rig->allocator, create.pool), VK_SUCCESS);
    for (i = 0; i < 7; i++) {
        expect_bytes(bytes[i], 20000, FREED);
    }
    sxvkDestroyPool(rig->allocator, create.pool);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ all at once, in threads */

#define THREADS 3
#define ROUNDS  1500

typedef struct Worker {
    Rig* rig;
    SxvkPool pool;
    uint64_t seed;
} Worker;

static void* work(void* argument) {
    Worker* worker = (Worker*)argument;
    SxvkAllocator allocator = worker->rig->allocator;
    SxvkAllocation live[16] = {VK_NULL_HANDLE};
    uint32_t i;
    for (i = 0; i < ROUNDS; i++) {
        uint32_t k = testing_below(&worker->seed, 16);
        uint32_t kind = testing_below(&worker->seed, 8);
        VkDeviceSize size = testing_log_uniform(&worker->seed, 1, 16 * KIB);
        VkMemoryRequirements needs = testing_requirements(size, 4, 1u << HOST);
        SxvkAllocationCreateInfo create = {0};
        create.pool = kind == 0 ? worker->pool : NULL;
        create.flags = kind == 1   ? SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT
                       : kind == 2 ? SXVK_ALLOCATION_CREATE_MAPPED_BIT
                                   : 0;
        create.pName = kind == 3 ? "a name" : NULL;
        sxvkFreeMemory(allocator, live[k]);
        assert_int_equal(sxvkAllocateMemory(allocator, &needs, &create, &live[k], NULL),
                         VK_SUCCESS);
        memset(bytes_of(worker->rig, live[k]), (int)i, size);
    }
    sxvkFreeMemoryPages(allocator, 16, live);
    return NULL;
}

/*  Everything is switched on; others look at it all meanwhile. */
static void test_threads(void** state) {
    SxvkDebugInfo debug = {.flags = SXVK_DEBUG_TRACK_ALLOCATIONS_BIT |
                                    SXVK_DEBUG_LOG_ALLOCATIONS_BIT | SXVK_DEBUG_LOG_FREES_BIT |
                                    SXVK_DEBUG_LOG_MEMORY_TYPES_BIT,
                           .margin = 16,
                           .fillOnAllocate = MADE,
                           .fillOnFree = FREED};
    RigOptions options = with_debug(&debug);
    SxvkPoolCreateInfo poolInfo = {.flags = SXVK_POOL_CREATE_LINEAR_ALGORITHM_BIT,
                                   .memoryTypeIndex = HOST,
                                   .blockSize = 256 * KIB};
    Worker workers[THREADS];
    pthread_t threads[THREADS];
    uint32_t i;
    Rig* rig;
    (void)state;
    options.sim.backing = true;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_DEBUG_UTILS_BIT;
    rig = rig_create(&options);
    assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &workers[0].pool), VK_SUCCESS);
    for (i = 0; i < THREADS; i++) {
        workers[i].rig = rig;
        workers[i].pool = workers[0].pool;
        workers[i].seed = i;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (i = 0; i < 60; i++) {
        char* text;
        VkResult result = sxvkCheckCorruption(rig->allocator, UINT32_MAX);
        assert_true(result == VK_SUCCESS || result == VK_ERROR_FEATURE_NOT_PRESENT);
        assert_int_equal(sxvkSetPoolName(rig->allocator, workers[0].pool, i % 2 ? "odd" : "even"),
                         VK_SUCCESS);
        assert_int_equal(sxvkBuildStatsText(rig->allocator, &text), VK_SUCCESS);
        sxvkFreeStatsText(rig->allocator, text);
        sxvkSetCurrentFrameIndex(rig->allocator, i);
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(rig->messages.counts[SXVK_MESSAGE_ALLOCATED], THREADS * ROUNDS);
    assert_int_equal(rig->messages.counts[SXVK_MESSAGE_FREED], THREADS * ROUNDS);
    assert_in_range(rig->messages.counts[SXVK_MESSAGE_MEMORY_TYPE_CHOSEN], THREADS * ROUNDS / 2,
                    THREADS * ROUNDS);
    assert_int_equal(rig->messages.total,
                     2 * THREADS * ROUNDS + rig->messages.counts[SXVK_MESSAGE_MEMORY_TYPE_CHOSEN]);
    messages_clear(&rig->messages);
    sxvkDestroyPool(rig->allocator, workers[0].pool);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ names for tools */

static const char* name_of(Rig* rig, uint64_t handle) {
    return sim_object_name(rig->sim, handle);
}

static VkDeviceMemory memory_of(Rig* rig, SxvkAllocation allocation) {
    SxvkAllocationInfo info;
    sxvkGetAllocationInfo(rig->allocator, allocation, &info);
    return info.deviceMemory;
}

static void test_names(void** state) {
    RigOptions options = rig_options();
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO, .pName = "vertices"};
    SxvkAllocationCreateInfo creates[3] = {{.usage = SXVK_MEMORY_USAGE_AUTO, .pName = "first"},
                                           {.usage = SXVK_MEMORY_USAGE_AUTO},
                                           {.usage = SXVK_MEMORY_USAGE_AUTO, .pName = "third"}};
    VkBufferCreateInfo bufferInfo = testing_buffer(1024, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    VkImageCreateInfo imageInfo = testing_image(64, 64, VK_IMAGE_TILING_OPTIMAL);
    VkBufferCreateInfo bufferInfos[3] = {bufferInfo, bufferInfo, bufferInfo};
    VkImageCreateInfo imageInfos[3] = {imageInfo, imageInfo, imageInfo};
    SxvkPoolCreateInfo poolInfo = {.memoryTypeIndex = HOST};
    VkBuffer buffer, buffers[3];
    VkImage image, images[3];
    SxvkAllocation of_buffer, of_image, allocations[3];
    Rig* rig;
    (void)state;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_DEBUG_UTILS_BIT;
    rig = rig_create(&options);
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &bufferInfo, &create, &buffer, &of_buffer, NULL),
        VK_SUCCESS);
    assert_string_equal(name_of(rig, SIM_HANDLE(buffer)), "vertices");
    assert_string_equal(name_of(rig, SIM_HANDLE(memory_of(rig, of_buffer))),
                        "sx_vkalloc type 0, block 0");
    create.pName = "albedo";
    create.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
    assert_int_equal(sxvkCreateImage(rig->allocator, &imageInfo, &create, &image, &of_image, NULL),
                     VK_SUCCESS);
    assert_string_equal(name_of(rig, SIM_HANDLE(image)), "albedo");
    assert_string_equal(name_of(rig, SIM_HANDLE(memory_of(rig, of_image))), "albedo");
    sxvkDestroyImage(rig->allocator, image, of_image);
    create.pName = NULL;
    assert_int_equal(sxvkCreateImage(rig->allocator, &imageInfo, &create, &image, &of_image, NULL),
                     VK_SUCCESS);
    assert_string_equal(name_of(rig, SIM_HANDLE(image)), "");
    assert_string_equal(name_of(rig, SIM_HANDLE(memory_of(rig, of_image))),
                        "sx_vkalloc type 0, dedicated 1");
    sxvkDestroyImage(rig->allocator, image, of_image);
    sxvkDestroyBuffer(rig->allocator, buffer, of_buffer);

    assert_int_equal(
        sxvkCreateBuffers(rig->allocator, 3, bufferInfos, creates, buffers, allocations, NULL),
        VK_SUCCESS);
    assert_string_equal(name_of(rig, SIM_HANDLE(buffers[0])), "first");
    assert_string_equal(name_of(rig, SIM_HANDLE(buffers[1])), "");
    assert_string_equal(name_of(rig, SIM_HANDLE(buffers[2])), "third");
    sxvkDestroyBuffers(rig->allocator, 3, buffers, allocations);
    assert_int_equal(
        sxvkCreateImages(rig->allocator, 3, imageInfos, creates, images, allocations, NULL),
        VK_SUCCESS);
    assert_string_equal(name_of(rig, SIM_HANDLE(images[0])), "first");
    assert_string_equal(name_of(rig, SIM_HANDLE(images[2])), "third");
    sxvkDestroyImages(rig->allocator, 3, images, allocations);

    memset(&create, 0, sizeof create);
    assert_int_equal(sxvkCreatePool(rig->allocator, &poolInfo, &create.pool), VK_SUCCESS);
    assert_int_equal(sxvkSetPoolName(rig->allocator, create.pool, "streaming"), VK_SUCCESS);
    {
        VkMemoryRequirements needs = testing_requirements(100, 16, 1u << HOST);
        const char* name;
        assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &create, &of_buffer, NULL),
                         VK_SUCCESS);
        name = name_of(rig, SIM_HANDLE(memory_of(rig, of_buffer)));
        assert_int_equal(strncmp(name, "sx_vkalloc pool streaming, type 1, block ", 41), 0);
        sxvkFreeMemory(rig->allocator, of_buffer);
    }
    sxvkDestroyPool(rig->allocator, create.pool);
    rig_destroy(rig);
}

/*  A name is no reason to fail; without the flag there is none; without the function it is refused,
    found through the instance where the device does not have it. */
static void test_names_are_optional(void** state) {
    RigOptions options = rig_options();
    SxvkAllocationCreateInfo create = {.usage = SXVK_MEMORY_USAGE_AUTO, .pName = "vertices"};
    VkBufferCreateInfo bufferInfo = testing_buffer(1024, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    SxvkAllocation allocation;
    VkBuffer buffer;
    SxvkAllocator none;
    Rig* rig = rig_create(NULL);
    (void)state;
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &bufferInfo, &create, &buffer, &allocation, NULL),
        VK_SUCCESS);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_SET_DEBUG_UTILS_OBJECT_NAME), 0);
    sxvkDestroyBuffer(rig->allocator, buffer, allocation);
    rig_destroy(rig);

    options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_DEBUG_UTILS_BIT;
    rig = rig_create(&options);
    sim_fail(rig->sim, SIM_CALL_SET_DEBUG_UTILS_OBJECT_NAME, 1, UINT32_MAX,
             VK_ERROR_OUT_OF_HOST_MEMORY);
    assert_int_equal(
        sxvkCreateBuffer(rig->allocator, &bufferInfo, &create, &buffer, &allocation, NULL),
        VK_SUCCESS);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_SET_DEBUG_UTILS_OBJECT_NAME), 2);
    sxvkDestroyBuffer(rig->allocator, buffer, allocation);
    rig_destroy(rig);

    options.sim.debugUtils = false;
    rig = rig_create_bare(&options);
    assert_int_equal(sxvkCreateAllocator(&rig->info, &none), VK_ERROR_VALIDATION_FAILED_EXT);
    assert_non_null(strstr(rig->messages.text, "vkSetDebugUtilsObjectNameEXT"));
    rig_expect(rig, SXVK_MESSAGE_MISSING_FUNCTION, 1);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions_while_leaks_are_told),
        cmocka_unit_test(test_leaks_in_the_dump),
        cmocka_unit_test(test_messages_have_tags),
        cmocka_unit_test(test_messages_about_modules_have_tags),
        cmocka_unit_test(test_failures_of_batches_have_names),
        cmocka_unit_test(test_odd_names),
        cmocka_unit_test(test_odd_names_in_the_report),
        cmocka_unit_test(test_age_is_unknown),
        cmocka_unit_test(test_age_is_of_the_allocation),
        cmocka_unit_test(test_log_allocations_and_frees),
        cmocka_unit_test(test_log_resets),
        cmocka_unit_test(test_log_memory_types),
        cmocka_unit_test(test_log_of_failures),
        cmocka_unit_test(test_fill),
        cmocka_unit_test(test_fill_one_side),
        cmocka_unit_test(test_fill_by_reset),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_names_are_optional),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
