/*  test_validate.c - every message is provoked through the public API, and a rejected call changes
    nothing.

    test_validate_release.c compiles this file once more without assertions: the checks are the same
    in a release build. Run by CTest (unit.validate, unit.validate_release).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#ifndef SX_VKALLOC_DEBUG
#define SX_VKALLOC_DEBUG 2
#endif
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB     ((VkDeviceSize)1 << 10)
#define MIB     ((VkDeviceSize)1 << 20)
#define INVALID VK_ERROR_VALIDATION_FAILED_EXT

/* Memory types of sim_profile_discrete. */
enum { LOCAL, HOST, CACHED, BAR };

/* -------------------------------------------------------------- what a rejection may not change */

static bool provoked[SXVK_MESSAGE_COUNT];

typedef struct Snapshot {
    SxvkStatistics statistics;
    uint64_t calls;
    uint64_t resources;
    uint64_t hostBytes;
} Snapshot;

static Snapshot look(Rig* rig) {
    Snapshot s;
    memset(&s, 0, sizeof s);
    s.statistics = rig_statistics(rig);
    s.calls = rig_calls(rig);
    s.resources = sim_live_resource_count(rig->sim);
    s.hostBytes = rig->host.liveBytes;
    return s;
}

static void assert_rejected(Rig* rig, const Snapshot* before, SxvkMessage message, int line) {
    static const SxvkMessageSeverity severities[] = {SXVK_MESSAGE_SEVERITY_INFO,
#define X(id, severity, text) SXVK_MESSAGE_SEVERITY_##severity,
                                                     SXVK_MESSAGES(X)
#undef X
    };
    Snapshot after = look(rig);
    assert_memory_equal(before, &after, sizeof after);
    if (rig->messages.last == message) {
        assert_int_equal(rig->messages.lastSeverity, severities[message]);
        provoked[message] = true;
    }
    rig_expect_at(_fail, __FILE__, line, rig, message, 1);
}

/*  The call is refused with this message and changes nothing. */
#define REJECTS(rig, id, call)                                                                     \
    do {                                                                                           \
        Snapshot before_ = look(rig);                                                              \
        assert_int_equal(call, INVALID);                                                           \
        assert_rejected((rig), &before_, SXVK_MESSAGE_##id, __LINE__);                             \
    } while (0)

/*  The same where the driver must be asked first. */
#define REJECTS_ASKING(rig, id, call)                                                              \
    do {                                                                                           \
        Snapshot before_ = look(rig);                                                              \
        assert_int_equal(call, INVALID);                                                           \
        before_.calls = rig_calls(rig);                                                            \
        assert_rejected((rig), &before_, SXVK_MESSAGE_##id, __LINE__);                             \
    } while (0)

/*  The same for a function that returns nothing, or something else. */
#define PROTESTS(rig, id, call)                                                                    \
    do {                                                                                           \
        Snapshot before_ = look(rig);                                                              \
        call;                                                                                      \
        assert_rejected((rig), &before_, SXVK_MESSAGE_##id, __LINE__);                             \
    } while (0)

/*  This message, once, of a call that may do something. */
#define EXPECT(rig, id)                                                                            \
    do {                                                                                           \
        provoked[SXVK_MESSAGE_##id] = true;                                                        \
        rig_expect((rig), SXVK_MESSAGE_##id, 1);                                                   \
    } while (0)

/*  Outputs that a failing call must null. */
typedef struct Outputs {
    VkBuffer buffer;
    VkImage image;
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
} Outputs;

static Outputs garbage(void) {
    Outputs o;
    memset(&o, 0xAA, sizeof o);
    return o;
}

static void assert_nulled(const SxvkAllocation* allocation, const SxvkAllocationInfo* info) {
    static const SxvkAllocationInfo zero;
    assert_null(*allocation);
    assert_memory_equal(info, &zero, sizeof zero);
}

/* ------------------------------------------------------------------ sxvkCreateAllocator */

/*  The info is refused by this message; nothing is asked of the device. */
static void refuse(Rig* rig, const SxvkAllocatorCreateInfo* info, SxvkMessage message, int line) {
    SxvkAllocator allocator = (SxvkAllocator)&allocator;
    uint64_t calls = rig_calls(rig);
    assert_int_equal(sxvkCreateAllocator(info, &allocator), INVALID);
    assert_null(allocator);
    assert_int_equal(rig_calls(rig), calls);
    provoked[message] = true;
    rig_expect_at(_fail, __FILE__, line, rig, message, 1);
}

#define REFUSES(rig, id, info) refuse((rig), (info), SXVK_MESSAGE_##id, __LINE__)

static void test_allocator_info(void** state) {
    Rig* rig = rig_create_bare(NULL);
    SxvkAllocatorCreateInfo info = rig->info;
    SxvkAllocator allocator = (SxvkAllocator)&allocator;
    VkAllocationCallbacks half = rig->host.callbacks;
    SxvkDebugInfo debug = {0};
    (void)state;
    assert_int_equal(sxvkCreateAllocator(NULL, &allocator), INVALID);
    assert_null(allocator);
    rig_expect_silence(rig);
    assert_int_equal(sxvkCreateAllocator(&info, NULL), INVALID);
    EXPECT(rig, NULL_ARGUMENT);

    info.flags = 0x80000000u;
    REFUSES(rig, UNKNOWN_FLAGS, &info);
    info = rig->info;
    info.instance = VK_NULL_HANDLE;
    REFUSES(rig, NULL_ARGUMENT, &info);
    info = rig->info;
    info.physicalDevice = VK_NULL_HANDLE;
    REFUSES(rig, NULL_ARGUMENT, &info);
    info = rig->info;
    info.device = VK_NULL_HANDLE;
    REFUSES(rig, NULL_ARGUMENT, &info);
    info = rig->info;
    half.pfnFree = NULL;
    info.pAllocationCallbacks = &half;
    REFUSES(rig, NULL_ARGUMENT, &info);
    info = rig->info;
    info.vulkanApiVersion = 1003000; /* decimal, as SX_VKALLOC_VULKAN_VERSION is */
    REFUSES(rig, BAD_ENUM, &info);

    info = rig->info;
    info.pDebugInfo = &debug;
    debug.flags = 0x20;
    REFUSES(rig, UNKNOWN_FLAGS, &info);
    debug.flags = 0;
    debug.margin = 6;
    REFUSES(rig, BAD_SIZE, &info);
    debug.margin = 65536 + 4;
    REFUSES(rig, BAD_SIZE, &info);
    debug.margin = 0;
    debug.minAlignment = 48;
    REFUSES(rig, BAD_ALIGNMENT, &info);
    debug.minAlignment = (VkDeviceSize)1 << 40;
    REFUSES(rig, BAD_ALIGNMENT, &info);
    debug.minAlignment = 0;
    debug.minBufferImageGranularity = 1000;
    REFUSES(rig, BAD_ALIGNMENT, &info);
    debug.minBufferImageGranularity = (VkDeviceSize)1 << 30;
    REFUSES(rig, BAD_ALIGNMENT, &info);
    debug.minBufferImageGranularity = 0;
    debug.fillOnAllocate = 256;
    REFUSES(rig, BAD_SIZE, &info);
    debug.fillOnAllocate = 255;
    debug.fillOnFree = UINT32_MAX;
    REFUSES(rig, BAD_SIZE, &info);

    info = rig->info;
    info.frameHistoryCount = 65537;
    REFUSES(rig, BAD_SIZE, &info);

    info = rig->info;
    host_fail(&rig->host, 1, 1);
    assert_int_equal(sxvkCreateAllocator(&info, &allocator), VK_ERROR_OUT_OF_HOST_MEMORY);
    assert_null(allocator);
    EXPECT(rig, OUT_OF_HOST_MEMORY);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ SxvkAllocationCreateInfo */

/*  Refused by every function that takes the struct. */
static void refuse_allocation_info(Rig* rig, const SxvkAllocationCreateInfo* create,
                                   SxvkMessage message) {
    VkMemoryRequirements requirements = testing_requirements(KIB, 16, UINT32_MAX);
    VkBufferCreateInfo buffer_info = testing_buffer(KIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(8, 8, VK_IMAGE_TILING_OPTIMAL);
    Outputs o = garbage();
    char* text = (char*)&text;
    uint32_t type = 0;
#define STEP(call)                                                                                 \
    do {                                                                                           \
        Snapshot before = look(rig);                                                               \
        assert_int_equal(call, INVALID);                                                           \
        assert_rejected(rig, &before, message, __LINE__);                                          \
    } while (0)
    STEP(sxvkAllocateMemory(rig->allocator, &requirements, create, &o.allocation, &o.info));
    assert_nulled(&o.allocation, &o.info);
    o = garbage();
    STEP(sxvkAllocateMemoryPages(rig->allocator, &requirements, create, 1, &o.allocation, &o.info));
    assert_nulled(&o.allocation, &o.info);
    o = garbage();
    STEP(sxvkCreateBuffer(rig->allocator, &buffer_info, create, &o.buffer, &o.allocation, &o.info));
    assert_true(o.buffer == VK_NULL_HANDLE);
    assert_nulled(&o.allocation, &o.info);
    o = garbage();
    STEP(sxvkCreateImage(rig->allocator, &image_info, create, &o.image, &o.allocation, &o.info));
    assert_true(o.image == VK_NULL_HANDLE);
    assert_nulled(&o.allocation, &o.info);
    o = garbage();
    STEP(sxvkCreateBuffers(rig->allocator, 1, &buffer_info, create, &o.buffer, &o.allocation,
                           &o.info));
    assert_true(o.buffer == VK_NULL_HANDLE);
    assert_nulled(&o.allocation, &o.info);
    o = garbage();
    STEP(
        sxvkCreateImages(rig->allocator, 1, &image_info, create, &o.image, &o.allocation, &o.info));
    assert_true(o.image == VK_NULL_HANDLE);
    assert_nulled(&o.allocation, &o.info);
    STEP(sxvkFindMemoryTypeIndex(rig->allocator, UINT32_MAX, create, &type));
    assert_int_equal(type, UINT32_MAX);
    type = 0;
    STEP(sxvkFindMemoryTypeIndexForBufferInfo(rig->allocator, &buffer_info, create, &type));
    assert_int_equal(type, UINT32_MAX);
    type = 0;
    STEP(sxvkFindMemoryTypeIndexForImageInfo(rig->allocator, &image_info, create, &type));
    assert_int_equal(type, UINT32_MAX);
    STEP(sxvkExplainMemoryType(rig->allocator, UINT32_MAX, create, NULL, NULL, &text));
    assert_null(text);
#undef STEP
}

/*  The AMD coherent types need a feature of the device. */
static void test_pool_of_a_type_that_is_not_enabled(void) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = 4};
    SimProfile profile =
        testing_profile(TESTING_PROFILES, "amd_rdna_windows_8type_device_coherent");
    RigOptions options = rig_options();
    SxvkPool pool;
    Rig* rig;
    options.profile = &profile;
    rig = rig_create(&options);
    REJECTS(rig, MISSING_FEATURE, sxvkCreatePool(rig->allocator, &info, &pool));
    assert_null(pool);
    rig_destroy(rig);
}

static void test_allocation_info(void** state) {
    static const float bad_priorities[] = {-0.1f, 1.1f, NAN, INFINITY};
    Rig* rig = rig_create(NULL);
    Rig* stranger = rig_create(NULL);
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = HOST};
    VkBaseInStructure chain = {.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO};
    SxvkAllocationCreateInfo create;
    SxvkPool foreign;
    size_t i;
    uint32_t bit;
    (void)state;
    assert_int_equal(sxvkCreatePool(stranger->allocator, &pool_info, &foreign), VK_SUCCESS);
#define REFUSED(id, ...)                                                                           \
    do {                                                                                           \
        create = (SxvkAllocationCreateInfo){__VA_ARGS__};                                          \
        refuse_allocation_info(rig, &create, SXVK_MESSAGE_##id);                                   \
    } while (0)
    refuse_allocation_info(rig, NULL, SXVK_MESSAGE_NULL_ARGUMENT);
    for (bit = 0; bit < 32; bit++) {
        if ((SXVKI_KNOWN_ALLOCATION_FLAGS >> bit & 1) == 0) {
            REFUSED(UNKNOWN_FLAGS, .flags = 1u << bit);
        }
    }
    REFUSED(BAD_ENUM, .usage = (SxvkMemoryUsage)1); /* VMA's GPU_ONLY */
    REFUSED(BAD_ENUM, .usage = (SxvkMemoryUsage)10);
    REFUSED(CONFLICTING_FLAGS, .flags = SXVK_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT |
                                        SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT);
    REFUSED(CONFLICTING_FLAGS,
            .flags = SXVK_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT);
    REFUSED(CONFLICTING_FLAGS, .flags = SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT |
                                        SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT);
    REFUSED(CONFLICTING_FLAGS, .flags = SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT, .pNext = &chain);
    REFUSED(CONFLICTING_FLAGS, .flags = SXVK_ALLOCATION_CREATE_STRATEGY_MIN_MEMORY_BIT |
                                        SXVK_ALLOCATION_CREATE_STRATEGY_MIN_TIME_BIT);
    REFUSED(CONFLICTING_FLAGS, .flags = SXVK_ALLOCATION_CREATE_UPPER_ADDRESS_BIT);
    REFUSED(CONFLICTING_FLAGS, .requiredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
            .avoidedFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
    for (i = 0; i < sizeof bad_priorities / sizeof bad_priorities[0]; i++) {
        REFUSED(BAD_PRIORITY, .priority = bad_priorities[i]);
    }
    REFUSED(BAD_ALIGNMENT, .minAlignment = 24);
    REFUSED(BAD_ALIGNMENT, .minAlignment = (VkDeviceSize)1 << 50);
    REFUSED(INVALID_POOL, .pool = foreign);
#undef REFUSED
    sxvkDestroyPool(stranger->allocator, foreign);
    rig_destroy(stranger);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ memory */

static void test_allocating(void** state) {
    VkMemoryRequirements good = testing_requirements(KIB, 16, UINT32_MAX);
    VkMemoryRequirements bad = good;
    SxvkAllocationCreateInfo create = {0};
    Rig* rig = rig_create(NULL);
    Outputs o = garbage();
    SxvkAllocation pages[3];
    (void)state;
    REJECTS(rig, NULL_ARGUMENT, sxvkAllocateMemory(rig->allocator, &good, &create, NULL, &o.info));
    REJECTS(rig, NULL_ARGUMENT,
            sxvkAllocateMemory(rig->allocator, NULL, &create, &o.allocation, &o.info));
    assert_nulled(&o.allocation, &o.info);
    bad.size = 0;
    REJECTS(rig, BAD_SIZE, sxvkAllocateMemory(rig->allocator, &bad, &create, &o.allocation, NULL));
    bad.size = UINT64_MAX;
    REJECTS(rig, BAD_SIZE, sxvkAllocateMemory(rig->allocator, &bad, &create, &o.allocation, NULL));
    bad = good;
    bad.alignment = 0;
    REJECTS(rig, BAD_ALIGNMENT,
            sxvkAllocateMemory(rig->allocator, &bad, &create, &o.allocation, NULL));
    bad.alignment = 48;
    REJECTS(rig, BAD_ALIGNMENT,
            sxvkAllocateMemory(rig->allocator, &bad, &create, &o.allocation, NULL));
    bad.alignment = (VkDeviceSize)1 << 60;
    REJECTS(rig, BAD_ALIGNMENT,
            sxvkAllocateMemory(rig->allocator, &bad, &create, &o.allocation, NULL));

    REJECTS(rig, NULL_ARGUMENT,
            sxvkAllocateDedicatedMemory(rig->allocator, &good, &create, NULL, NULL, NULL));
    REJECTS(rig, NULL_ARGUMENT,
            sxvkAllocateDedicatedMemory(rig->allocator, &good, NULL, NULL, &o.allocation, NULL));
    REJECTS(rig, NULL_ARGUMENT,
            sxvkAllocateDedicatedMemory(rig->allocator, NULL, &create, NULL, &o.allocation, NULL));
    create.flags = SXVK_ALLOCATION_CREATE_NEVER_ALLOCATE_BIT;
    REJECTS(rig, CONFLICTING_FLAGS,
            sxvkAllocateDedicatedMemory(rig->allocator, &good, &create, NULL, &o.allocation, NULL));
    create.flags = 0;

    REJECTS(rig, NULL_ARGUMENT,
            sxvkAllocateMemoryPages(rig->allocator, &good, &create, 1, NULL, NULL));
    memset(pages, 0xAA, sizeof pages);
    REJECTS(rig, NULL_ARGUMENT,
            sxvkAllocateMemoryPages(rig->allocator, NULL, &create, 3, pages, NULL));
    assert_null(pages[0]);
    assert_null(pages[2]);
    REJECTS(rig, NULL_ARGUMENT,
            sxvkAllocateMemoryPages(rig->allocator, &good, NULL, 3, pages, NULL));

    REJECTS(
        rig, NULL_ARGUMENT,
        sxvkAllocateMemoryForBuffer(rig->allocator, VK_NULL_HANDLE, &create, &o.allocation, NULL));
    REJECTS(
        rig, NULL_ARGUMENT,
        sxvkAllocateMemoryForImage(rig->allocator, VK_NULL_HANDLE, &create, &o.allocation, NULL));

    /* Not a mistake of the caller: warnings. */
    bad = good;
    bad.memoryTypeBits = 0;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &bad, &create, &o.allocation, NULL),
                     VK_ERROR_FEATURE_NOT_PRESENT);
    assert_null(o.allocation);
    EXPECT(rig, NO_MEMORY_TYPE);
    bad = good;
    bad.size = (VkDeviceSize)1 << 50;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &bad, &create, &o.allocation, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_null(o.allocation);
    EXPECT(rig, OUT_OF_DEVICE_MEMORY);
    bad.size = (VkDeviceSize)1 << 62; /* the largest that passes the check */
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &bad, &create, &o.allocation, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    EXPECT(rig, OUT_OF_DEVICE_MEMORY);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ handles of allocations */

/*  Each function that takes an allocation refuses this one. */
static void refuse_handle(Rig* rig, SxvkAllocation bad, SxvkMessage message) {
    static const SxvkAllocationInfo zero;
    static const SxvkAllocationInfo2 zero2;
    VkBufferCreateInfo buffer_info = testing_buffer(16, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(1, 1, VK_IMAGE_TILING_OPTIMAL);
    VkBuffer buffer = (VkBuffer)(uintptr_t)0x1234;
    VkImage image = (VkImage)(uintptr_t)0x1234;
    SxvkAllocationInfo info;
    SxvkAllocationInfo2 info2;
    VkMemoryPropertyFlags flags = 1;
    VkBuffer made_buffer = buffer;
    VkImage made_image = image;
    void* data = &data;
    char bytes[4] = {0};
#define STEP(call)                                                                                 \
    do {                                                                                           \
        Snapshot before = look(rig);                                                               \
        assert_int_equal(call, INVALID);                                                           \
        assert_rejected(rig, &before, message, __LINE__);                                          \
    } while (0)
#define STEP_VOID(call)                                                                            \
    do {                                                                                           \
        Snapshot before = look(rig);                                                               \
        call;                                                                                      \
        assert_rejected(rig, &before, message, __LINE__);                                          \
    } while (0)
    assert_false(sxvkIsAllocationValid(rig->allocator, bad));
    rig_expect_silence(rig);
    STEP(sxvkSetAllocationUserData(rig->allocator, bad, bytes));
    STEP(sxvkSetAllocationName(rig->allocator, bad, "name"));
    STEP(sxvkSetAllocationPriority(rig->allocator, bad, 0.5f));
    STEP(sxvkMapMemory(rig->allocator, bad, &data));
    assert_null(data);
    STEP(sxvkCopyMemoryToAllocation(rig->allocator, bytes, bad, 0, 4));
    STEP(sxvkCopyAllocationToMemory(rig->allocator, bad, 0, bytes, 4));
    STEP(sxvkBindBufferMemory(rig->allocator, bad, buffer));
    STEP(sxvkBindBufferMemory2(rig->allocator, bad, 0, buffer, NULL));
    STEP(sxvkBindImageMemory(rig->allocator, bad, image));
    STEP(sxvkBindImageMemory2(rig->allocator, bad, 0, image, NULL));
    STEP(sxvkCreateAliasingBuffer(rig->allocator, bad, &buffer_info, &made_buffer));
    assert_true(made_buffer == VK_NULL_HANDLE);
    STEP(sxvkCreateAliasingBuffer2(rig->allocator, bad, 0, &buffer_info, &made_buffer));
    STEP(sxvkCreateAliasingImage(rig->allocator, bad, &image_info, &made_image));
    assert_true(made_image == VK_NULL_HANDLE);
    STEP(sxvkCreateAliasingImage2(rig->allocator, bad, 0, &image_info, &made_image));
    memset(&info, 0xAA, sizeof info);
    STEP_VOID(sxvkGetAllocationInfo(rig->allocator, bad, &info));
    assert_memory_equal(&info, &zero, sizeof zero);
    memset(&info2, 0xAA, sizeof info2);
    STEP_VOID(sxvkGetAllocationInfo2(rig->allocator, bad, &info2));
    assert_memory_equal(&info2, &zero2, sizeof zero2);
    STEP_VOID(sxvkGetAllocationMemoryProperties(rig->allocator, bad, &flags));
    assert_int_equal(flags, 0);
    STEP_VOID(sxvkUnmapMemory(rig->allocator, bad));
    STEP(sxvkFlushAllocation(rig->allocator, bad, 0, VK_WHOLE_SIZE));
    STEP(sxvkInvalidateAllocation(rig->allocator, bad, 0, VK_WHOLE_SIZE));
    STEP(sxvkFlushAllocations(rig->allocator, 1, &bad, NULL, NULL));
    STEP(sxvkInvalidateAllocations(rig->allocator, 1, &bad, NULL, NULL));
    if (bad != VK_NULL_HANDLE) { /* which these accept */
        STEP_VOID(sxvkFreeMemory(rig->allocator, bad));
        STEP_VOID(sxvkFreeMemoryPages(rig->allocator, 1, &bad));
        STEP_VOID(sxvkDestroyBuffer(rig->allocator, VK_NULL_HANDLE, bad));
        STEP_VOID(sxvkDestroyImage(rig->allocator, VK_NULL_HANDLE, bad));
        STEP_VOID(sxvkDestroyBuffers(rig->allocator, 1, NULL, &bad));
        STEP_VOID(sxvkDestroyImages(rig->allocator, 1, NULL, &bad));
    }
#undef STEP
#undef STEP_VOID
}

static void test_handles(void** state) {
    Rig* rig = rig_create(NULL);
    Rig* other = rig_create(NULL);
    SxvkAllocation keep = rig_allocate(rig, HOST, KIB);
    SxvkAllocation stale = rig_allocate(rig, HOST, KIB);
    SxvkAllocation foreign = rig_allocate(other, HOST, KIB);
    SxvkAllocation dedicated, again;
    VkMemoryRequirements requirements = testing_requirements(KIB, 16, 1u << HOST);
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    (void)state;
    refuse_handle(rig, VK_NULL_HANDLE, SXVK_MESSAGE_NULL_ARGUMENT);
    sxvkFreeMemory(rig->allocator, stale);
    refuse_handle(rig, stale, SXVK_MESSAGE_INVALID_ALLOCATION);

    /* Its place is taken again: the old handle is still stale, the new one is another. */
    again = rig_allocate(rig, HOST, KIB);
    assert_ptr_not_equal(again, stale);
    refuse_handle(rig, stale, SXVK_MESSAGE_INVALID_ALLOCATION);
    refuse_handle(rig, foreign, SXVK_MESSAGE_INVALID_ALLOCATION);
    refuse_handle(rig, (SxvkAllocation)UINTPTR_MAX, SXVK_MESSAGE_INVALID_ALLOCATION);
    refuse_handle(rig, (SxvkAllocation)(uintptr_t)1, SXVK_MESSAGE_INVALID_ALLOCATION);

    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &dedicated, NULL),
                     VK_SUCCESS);
    sxvkFreeMemory(rig->allocator, dedicated);
    refuse_handle(rig, dedicated, SXVK_MESSAGE_INVALID_ALLOCATION);

    assert_true(sxvkIsAllocationValid(rig->allocator, keep));
    assert_true(sxvkIsAllocationValid(rig->allocator, again));
    assert_true(sxvkIsAllocationValid(other->allocator, foreign));
    sxvkFreeMemory(rig->allocator, keep);
    sxvkFreeMemory(rig->allocator, again);
    sxvkFreeMemory(other->allocator, foreign);
    rig_destroy(other);
    rig_destroy(rig);
}

/*  A buffer and an image of the user that need more than the 1000 bytes that are there. */
static void test_bind_of_what_does_not_fit(Rig* rig, SxvkAllocation allocation) {
    VkBufferCreateInfo buffer_info = testing_buffer(64 * KIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(64, 64, VK_IMAGE_TILING_LINEAR);
    const SxvkVulkanFunctions* fn = &rig->allocator->device.vk.fn;
    VkDevice device = sim_device(rig->sim);
    VkBuffer buffer;
    VkImage image;
    assert_int_equal(fn->vkCreateBuffer(device, &buffer_info, NULL, &buffer), VK_SUCCESS);
    assert_int_equal(fn->vkCreateImage(device, &image_info, NULL, &image), VK_SUCCESS);
    REJECTS_ASKING(rig, BAD_RANGE, sxvkBindBufferMemory(rig->allocator, allocation, buffer));
    REJECTS_ASKING(rig, BAD_RANGE,
                   sxvkBindBufferMemory2(rig->allocator, allocation, 500, buffer, NULL));
    REJECTS_ASKING(rig, BAD_RANGE, sxvkBindImageMemory(rig->allocator, allocation, image));
    fn->vkDestroyBuffer(device, buffer, NULL);
    fn->vkDestroyImage(device, image, NULL);
}

/* ------------------------------------------------------------------ use of allocations */

static void test_ranges(void** state) {
    RigOptions options = rig_options();
    VkBufferCreateInfo buffer_info = testing_buffer(16, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(1, 1, VK_IMAGE_TILING_OPTIMAL);
    SxvkAllocation allocation;
    VkDeviceSize offsets[2] = {0, 2000};
    VkDeviceSize sizes[2] = {VK_WHOLE_SIZE, VK_WHOLE_SIZE};
    SxvkAllocation two[2];
    VkBuffer buffer;
    VkImage image;
    char bytes[4] = {0};
    void* data;
    Rig* rig;
    (void)state;
    options.sim.backing = true;
    rig = rig_create(&options);
    allocation = rig_allocate(rig, HOST, 1000);
    two[0] = two[1] = allocation;
    assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_SUCCESS);
    REJECTS(rig, BAD_RANGE, sxvkFlushAllocation(rig->allocator, allocation, 1001, 0));
    REJECTS(rig, BAD_RANGE, sxvkFlushAllocation(rig->allocator, allocation, 1000, 1));
    REJECTS(rig, BAD_RANGE, sxvkFlushAllocation(rig->allocator, allocation, 1, UINT64_MAX - 1));
    REJECTS(rig, BAD_RANGE,
            sxvkInvalidateAllocation(rig->allocator, allocation, UINT64_MAX, VK_WHOLE_SIZE));
    REJECTS(rig, BAD_RANGE, sxvkFlushAllocations(rig->allocator, 2, two, offsets, NULL));
    sizes[1] = 1001;
    REJECTS(rig, BAD_RANGE, sxvkInvalidateAllocations(rig->allocator, 2, two, NULL, sizes));
    REJECTS(rig, NULL_ARGUMENT, sxvkFlushAllocations(rig->allocator, 1, NULL, NULL, NULL));
    REJECTS(rig, NULL_ARGUMENT, sxvkInvalidateAllocations(rig->allocator, 1, NULL, NULL, NULL));
    sxvkUnmapMemory(rig->allocator, allocation);

    REJECTS(rig, BAD_RANGE, sxvkCopyMemoryToAllocation(rig->allocator, bytes, allocation, 997, 4));
    REJECTS(rig, BAD_RANGE,
            sxvkCopyMemoryToAllocation(rig->allocator, bytes, allocation, UINT64_MAX, 4));
    REJECTS(rig, BAD_RANGE,
            sxvkCopyAllocationToMemory(rig->allocator, allocation, 0, bytes, VK_WHOLE_SIZE));
    REJECTS(rig, NULL_ARGUMENT, sxvkCopyMemoryToAllocation(rig->allocator, NULL, allocation, 0, 4));
    REJECTS(rig, NULL_ARGUMENT, sxvkCopyAllocationToMemory(rig->allocator, allocation, 0, NULL, 4));
    REJECTS(rig, NULL_ARGUMENT, sxvkMapMemory(rig->allocator, allocation, NULL));

    REJECTS(rig, NULL_ARGUMENT, sxvkBindBufferMemory(rig->allocator, allocation, VK_NULL_HANDLE));
    REJECTS(rig, NULL_ARGUMENT, sxvkBindImageMemory(rig->allocator, allocation, VK_NULL_HANDLE));
    REJECTS(rig, BAD_RANGE,
            sxvkBindBufferMemory2(rig->allocator, allocation, 1001, (VkBuffer)(uintptr_t)1, NULL));
    REJECTS(rig, BAD_RANGE,
            sxvkBindImageMemory2(rig->allocator, allocation, 1001, (VkImage)(uintptr_t)1, NULL));
    REJECTS(rig, BAD_RANGE,
            sxvkCreateAliasingBuffer2(rig->allocator, allocation, 985, &buffer_info, &buffer));
    assert_true(buffer == VK_NULL_HANDLE);
    REJECTS(rig, BAD_RANGE,
            sxvkCreateAliasingImage2(rig->allocator, allocation, 1001, &image_info, &image));
    assert_true(image == VK_NULL_HANDLE);
    /* What the resource needs, not only its size, must fit. */
    REJECTS_ASKING(rig, BAD_RANGE,
                   sxvkCreateAliasingImage2(rig->allocator, allocation, 1000, &image_info, &image));
    REJECTS_ASKING(rig, BAD_RANGE,
                   sxvkCreateAliasingImage(rig->allocator, allocation, &image_info, &image));
    assert_true(image == VK_NULL_HANDLE);
    REJECTS_ASKING(rig, BAD_ALIGNMENT,
                   sxvkCreateAliasingBuffer2(rig->allocator, allocation, 1, &buffer_info, &buffer));
    assert_true(buffer == VK_NULL_HANDLE);
    test_bind_of_what_does_not_fit(rig, allocation);
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateAliasingBuffer(rig->allocator, allocation, &buffer_info, NULL));
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateAliasingBuffer(rig->allocator, allocation, NULL, &buffer));
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateAliasingImage(rig->allocator, allocation, &image_info, NULL));
    REJECTS(rig, NULL_ARGUMENT, sxvkCreateAliasingImage(rig->allocator, allocation, NULL, &image));
    REJECTS(rig, BAD_PRIORITY, sxvkSetAllocationPriority(rig->allocator, allocation, NAN));
    REJECTS(rig, BAD_PRIORITY, sxvkSetAllocationPriority(rig->allocator, allocation, 2.0f));
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

/*  What the allocator was not made for. */
static void test_missing_features(void** state) {
    VkBindBufferMemoryDeviceGroupInfo chain = {
        .sType = VK_STRUCTURE_TYPE_BIND_BUFFER_MEMORY_DEVICE_GROUP_INFO};
    VkBufferCreateInfo buffer_info = testing_buffer(16, VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT);
    SxvkAllocationCreateInfo create = {0};
    RigOptions options = rig_options();
    SxvkAllocation allocation;
    Outputs o = garbage();
    Rig* rig;
    (void)state;
    options.sim.apiVersion = VK_API_VERSION_1_0;
    rig = rig_create(&options);
    allocation = rig_allocate(rig, HOST, KIB);
    REJECTS(rig, MISSING_FEATURE,
            sxvkBindBufferMemory2(rig->allocator, allocation, 0, (VkBuffer)(uintptr_t)1, &chain));
    REJECTS(rig, MISSING_FEATURE,
            sxvkBindImageMemory2(rig->allocator, allocation, 0, (VkImage)(uintptr_t)1, &chain));
    REJECTS(
        rig, MISSING_FEATURE,
        sxvkCreateBuffer(rig->allocator, &buffer_info, &create, &o.buffer, &o.allocation, &o.info));
    assert_true(o.buffer == VK_NULL_HANDLE);
    assert_nulled(&o.allocation, &o.info);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

static void test_mapping(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocation device = rig_allocate(rig, LOCAL, KIB);
    SxvkAllocation host = rig_allocate(rig, HOST, KIB);
    Snapshot before;
    void* data = &data;
    int i;
    (void)state;
    /* VMA#407 */
    before = look(rig);
    assert_int_equal(sxvkMapMemory(rig->allocator, device, &data), VK_ERROR_MEMORY_MAP_FAILED);
    assert_null(data);
    assert_rejected(rig, &before, SXVK_MESSAGE_NOT_HOST_VISIBLE, __LINE__);

    PROTESTS(rig, NOT_MAPPED, sxvkUnmapMemory(rig->allocator, host));
    for (i = 0; i < 255; i++) {
        assert_int_equal(sxvkMapMemory(rig->allocator, host, &data), VK_SUCCESS);
    }
    before = look(rig);
    data = &data;
    assert_int_equal(sxvkMapMemory(rig->allocator, host, &data), VK_ERROR_MEMORY_MAP_FAILED);
    assert_null(data);
    assert_rejected(rig, &before, SXVK_MESSAGE_TOO_MANY_MAPS, __LINE__);
    for (i = 0; i < 254; i++) {
        sxvkUnmapMemory(rig->allocator, host);
    }
    rig_expect_silence(rig);
    sxvkFreeMemory(rig->allocator, host);
    EXPECT(rig, FREED_WHILE_MAPPED);
    assert_false(sxvkIsAllocationValid(rig->allocator, host));
    sxvkFreeMemory(rig->allocator, device);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ buffers and images */

static void test_buffer_info(void** state) {
    VkBufferCreateInfo good = testing_buffer(16, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkBufferCreateInfo bad = good;
    SxvkAllocationCreateInfo create = {0};
    Rig* rig = rig_create(NULL);
    Outputs o = garbage();
    uint32_t type = 0;
    char* text;
    (void)state;
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateBuffer(rig->allocator, &good, &create, NULL, &o.allocation, NULL));
    assert_null(o.allocation);
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateBuffer(rig->allocator, &good, &create, &o.buffer, NULL, NULL));
    assert_true(o.buffer == VK_NULL_HANDLE);
    o = garbage();
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateBuffer(rig->allocator, NULL, &create, &o.buffer, &o.allocation, &o.info));
    assert_nulled(&o.allocation, &o.info);
    bad.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
    REJECTS(rig, BAD_STRUCT,
            sxvkCreateBuffer(rig->allocator, &bad, &create, &o.buffer, &o.allocation, NULL));
    bad = good;
    bad.size = 0;
    REJECTS(rig, BAD_SIZE,
            sxvkCreateBuffer(rig->allocator, &bad, &create, &o.buffer, &o.allocation, NULL));
    REJECTS(rig, BAD_SIZE,
            sxvkFindMemoryTypeIndexForBufferInfo(rig->allocator, &bad, &create, &type));
    assert_int_equal(type, UINT32_MAX);
    REJECTS(rig, BAD_SIZE,
            sxvkExplainMemoryType(rig->allocator, UINT32_MAX, &create, &bad, NULL, &text));
    assert_null(text);
    REJECTS(rig, BAD_ALIGNMENT,
            sxvkCreateBufferWithAlignment(rig->allocator, &good, &create, 12, &o.buffer,
                                          &o.allocation, NULL));
    REJECTS(rig, BAD_ALIGNMENT,
            sxvkCreateBufferWithAlignment(rig->allocator, &good, &create, (VkDeviceSize)1 << 63,
                                          &o.buffer, &o.allocation, NULL));
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateBufferWithAlignment(rig->allocator, &good, NULL, 16, &o.buffer, &o.allocation,
                                          NULL));
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateDedicatedBuffer(rig->allocator, &good, NULL, NULL, &o.buffer, &o.allocation,
                                      NULL));
    REJECTS(rig, NULL_ARGUMENT,
            sxvkFindMemoryTypeIndexForBufferInfo(rig->allocator, &good, &create, NULL));
    REJECTS(rig, NULL_ARGUMENT, sxvkFindMemoryTypeIndex(rig->allocator, 1, &create, NULL));
    REJECTS(rig, NULL_ARGUMENT,
            sxvkExplainMemoryType(rig->allocator, UINT32_MAX, &create, NULL, NULL, NULL));
    rig_destroy(rig);
}

static void test_image_info(void** state) {
    VkImageCreateInfo good = testing_image(8, 8, VK_IMAGE_TILING_OPTIMAL);
    VkImageCreateInfo bad = good;
    SxvkAllocationCreateInfo create = {0};
    Rig* rig = rig_create(NULL);
    Outputs o = garbage();
    uint32_t type = 0;
    (void)state;
#define REFUSED(id)                                                                                \
    do {                                                                                           \
        o = garbage();                                                                             \
        REJECTS(rig, id,                                                                           \
                sxvkCreateImage(rig->allocator, &bad, &create, &o.image, &o.allocation, &o.info)); \
        assert_true(o.image == VK_NULL_HANDLE);                                                    \
        assert_nulled(&o.allocation, &o.info);                                                     \
        REJECTS(rig, id,                                                                           \
                sxvkFindMemoryTypeIndexForImageInfo(rig->allocator, &bad, &create, &type));        \
        assert_int_equal(type, UINT32_MAX);                                                        \
        bad = good;                                                                                \
    } while (0)
    bad.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    REFUSED(BAD_STRUCT);
    bad.flags = VK_IMAGE_CREATE_DISJOINT_BIT;
    REFUSED(BAD_STRUCT);
    bad.extent.width = 0;
    REFUSED(BAD_SIZE);
    bad.extent.height = 0;
    REFUSED(BAD_SIZE);
    bad.extent.depth = 0;
    REFUSED(BAD_SIZE);
    bad.mipLevels = 0;
    REFUSED(BAD_SIZE);
    bad.arrayLayers = 0;
    REFUSED(BAD_SIZE);
#undef REFUSED
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateImage(rig->allocator, NULL, &create, &o.image, &o.allocation, NULL));
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateImage(rig->allocator, &good, &create, NULL, &o.allocation, NULL));
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateImage(rig->allocator, &good, &create, &o.image, NULL, NULL));
    REJECTS(
        rig, NULL_ARGUMENT,
        sxvkCreateDedicatedImage(rig->allocator, &good, NULL, NULL, &o.image, &o.allocation, NULL));
    REJECTS(rig, NULL_ARGUMENT,
            sxvkFindMemoryTypeIndexForImageInfo(rig->allocator, &good, &create, NULL));
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ batches */

#define BATCH 40

typedef struct Batch {
    VkBufferCreateInfo bufferInfos[BATCH];
    VkImageCreateInfo imageInfos[BATCH];
    SxvkAllocationCreateInfo creates[BATCH];
    VkBuffer buffers[BATCH];
    VkImage images[BATCH];
    SxvkAllocation allocations[BATCH];
    SxvkAllocationInfo infos[BATCH];
} Batch;

static Batch good_batch(void) {
    Batch b;
    size_t i;
    memset(&b, 0xAA, sizeof b);
    for (i = 0; i < BATCH; i++) {
        b.bufferInfos[i] = testing_buffer(KIB + i, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        b.imageInfos[i] = testing_image(8, 8, VK_IMAGE_TILING_OPTIMAL);
        memset(&b.creates[i], 0, sizeof b.creates[i]);
    }
    return b;
}

static void assert_batch_nulled(const Batch* b, bool images) {
    size_t i;
    for (i = 0; i < BATCH; i++) {
        assert_true(images ? b->images[i] == VK_NULL_HANDLE : b->buffers[i] == VK_NULL_HANDLE);
        assert_nulled(&b->allocations[i], &b->infos[i]);
    }
}

/*  Both creates refuse the batch before they ask the driver anything; the message names them. */
static void refuse_batch(Rig* rig, const Batch* bad, SxvkMessage message, bool buffers,
                         bool images) {
    if (buffers) {
        Batch b = *bad;
        Snapshot before = look(rig);
        assert_int_equal(sxvkCreateBuffers(rig->allocator, BATCH, b.bufferInfos, b.creates,
                                           b.buffers, b.allocations, b.infos),
                         INVALID);
        assert_batch_nulled(&b, false);
        assert_non_null(strstr(rig->messages.text, "sxvkCreateBuffers"));
        assert_rejected(rig, &before, message, __LINE__);
    }
    if (images) {
        Batch b = *bad;
        Snapshot before = look(rig);
        assert_int_equal(sxvkCreateImages(rig->allocator, BATCH, b.imageInfos, b.creates, b.images,
                                          b.allocations, b.infos),
                         INVALID);
        assert_batch_nulled(&b, true);
        assert_non_null(strstr(rig->messages.text, "sxvkCreateImages"));
        assert_rejected(rig, &before, message, __LINE__);
    }
}

/*  One bad element, wherever it stands. */
static void test_batch_elements(void** state) {
    static const size_t places[] = {0, 1, BATCH / 2, BATCH - 1};
    Rig* rig = rig_create(NULL);
    Rig* stranger = rig_create(NULL);
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = HOST};
    SxvkPool foreign;
    size_t i;
    (void)state;
    assert_int_equal(sxvkCreatePool(stranger->allocator, &pool_info, &foreign), VK_SUCCESS);
    for (i = 0; i < sizeof places / sizeof places[0]; i++) {
        Batch b;
#define REFUSED(id, buffers, images, member, value)                                                \
    do {                                                                                           \
        b = good_batch();                                                                          \
        b.member = (value);                                                                        \
        refuse_batch(rig, &b, SXVK_MESSAGE_##id, (buffers), (images));                             \
    } while (0)
        REFUSED(BAD_SIZE, true, false, bufferInfos[places[i]].size, 0);
        REFUSED(BAD_STRUCT, true, false, bufferInfos[places[i]].sType,
                VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO);
        REFUSED(MISSING_FEATURE, true, false, bufferInfos[places[i]].usage,
                VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT);
        REFUSED(BAD_SIZE, false, true, imageInfos[places[i]].extent.depth, 0);
        REFUSED(BAD_STRUCT, false, true, imageInfos[places[i]].flags, VK_IMAGE_CREATE_DISJOINT_BIT);
        REFUSED(UNKNOWN_FLAGS, true, true, creates[places[i]].flags, 0x80000000u);
        REFUSED(BAD_ALIGNMENT, true, true, creates[places[i]].minAlignment, 24);
        REFUSED(BAD_PRIORITY, true, true, creates[places[i]].priority, NAN);
        REFUSED(INVALID_POOL, true, true, creates[places[i]].pool, foreign);
#undef REFUSED
    }
    sxvkDestroyPool(stranger->allocator, foreign);
    rig_destroy(stranger);
    rig_destroy(rig);
}

static void test_batch_arrays(void** state) {
    Rig* rig = rig_create(NULL);
    Batch b;
    (void)state;
    b = good_batch();
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateBuffers(rig->allocator, BATCH, NULL, b.creates, b.buffers, b.allocations,
                              b.infos));
    assert_batch_nulled(&b, false);
    b = good_batch();
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateBuffers(rig->allocator, BATCH, b.bufferInfos, NULL, b.buffers, b.allocations,
                              b.infos));
    assert_batch_nulled(&b, false);
    b = good_batch();
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateBuffers(rig->allocator, BATCH, b.bufferInfos, b.creates, NULL, b.allocations,
                              b.infos));
    memset(b.buffers, 0, sizeof b.buffers);
    assert_batch_nulled(&b, false);
    b = good_batch();
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateBuffers(rig->allocator, BATCH, b.bufferInfos, b.creates, b.buffers, NULL,
                              b.infos));
    memset(b.allocations, 0, sizeof b.allocations);
    assert_batch_nulled(&b, false);
    b = good_batch();
    REJECTS(
        rig, NULL_ARGUMENT,
        sxvkCreateImages(rig->allocator, BATCH, NULL, b.creates, b.images, b.allocations, b.infos));
    assert_batch_nulled(&b, true);
    b = good_batch();
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateImages(rig->allocator, BATCH, b.imageInfos, NULL, b.images, b.allocations,
                             b.infos));
    assert_batch_nulled(&b, true);
    b = good_batch();
    REJECTS(rig, NULL_ARGUMENT,
            sxvkCreateImages(rig->allocator, BATCH, b.imageInfos, b.creates, NULL, b.allocations,
                             b.infos));
    memset(b.images, 0, sizeof b.images);
    assert_batch_nulled(&b, true);
    b = good_batch();
    REJECTS(
        rig, NULL_ARGUMENT,
        sxvkCreateImages(rig->allocator, BATCH, b.imageInfos, b.creates, b.images, NULL, b.infos));
    memset(b.allocations, 0, sizeof b.allocations);
    assert_batch_nulled(&b, true);
    rig_destroy(rig);
}

/*  A stale or foreign handle is told about and keeps nobody else alive; what stands beside it in
    the other array is not touched. */
static void test_destroying_bad_batches(void** state) {
    Rig* rig = rig_create(NULL);
    Rig* stranger = rig_create(NULL);
    SxvkAllocation foreign = rig_allocate(stranger, HOST, KIB);
    SxvkAllocation own;
    Batch b = good_batch();
    (void)state;
    assert_int_equal(sxvkCreateBuffers(rig->allocator, BATCH, b.bufferInfos, b.creates, b.buffers,
                                       b.allocations, NULL),
                     VK_SUCCESS);
    sxvkDestroyBuffer(rig->allocator, b.buffers[BATCH / 2], b.allocations[BATCH / 2]);
    sxvkDestroyBuffers(rig->allocator, BATCH, b.buffers, b.allocations);
    assert_non_null(strstr(rig->messages.text, "sxvkDestroyBuffers"));
    EXPECT(rig, INVALID_ALLOCATION);
    assert_int_equal(sim_live_resource_count(rig->sim), 0);
    assert_int_equal(rig_statistics(rig).allocationCount, 0);

    assert_int_equal(sxvkCreateImages(rig->allocator, BATCH, b.imageInfos, b.creates, b.images,
                                      b.allocations, NULL),
                     VK_SUCCESS);
    own = b.allocations[1];
    b.allocations[1] = foreign;
    sxvkDestroyImages(rig->allocator, BATCH, b.images, b.allocations);
    assert_non_null(strstr(rig->messages.text, "sxvkDestroyImages"));
    EXPECT(rig, INVALID_ALLOCATION);
    assert_int_equal(sim_live_resource_count(rig->sim), 1);
    assert_int_equal(rig_statistics(rig).allocationCount, 1);
    sxvkDestroyImage(rig->allocator, b.images[1], own);
    assert_int_equal(sim_errors(rig->sim), 0);

    sxvkFreeMemory(stranger->allocator, foreign);
    rig_destroy(stranger);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ pools, indices, leaks */

static void test_pools(void** state) {
    Rig* rig = rig_create(NULL);
    Rig* stranger = rig_create(NULL);
    SxvkPoolCreateInfo good = {.memoryTypeIndex = HOST};
    SxvkPoolCreateInfo bad;
    SxvkDetailedStatistics detailed;
    SxvkStatistics stats;
    SxvkPool pool = (SxvkPool)&pool;
    SxvkPool foreign;
    const char* name;
    uint32_t bit;
    (void)state;
    assert_int_equal(sxvkCreatePool(stranger->allocator, &good, &foreign), VK_SUCCESS);
#define REFUSED(id, ...)                                                                           \
    do {                                                                                           \
        bad = (SxvkPoolCreateInfo){.memoryTypeIndex = HOST, __VA_ARGS__};                          \
        pool = (SxvkPool)&pool;                                                                    \
        REJECTS(rig, id, sxvkCreatePool(rig->allocator, &bad, &pool));                             \
        assert_null(pool);                                                                         \
    } while (0)
    REJECTS(rig, NULL_ARGUMENT, sxvkCreatePool(rig->allocator, NULL, &pool));
    assert_null(pool);
    REJECTS(rig, NULL_ARGUMENT, sxvkCreatePool(rig->allocator, &good, NULL));
    for (bit = 0; bit < 32; bit++) {
        if ((SXVKI_KNOWN_POOL_FLAGS >> bit & 1) == 0) {
            REFUSED(UNKNOWN_FLAGS, .flags = 1u << bit);
        }
    }
    bad = good;
    bad.memoryTypeIndex = 4;
    REJECTS(rig, BAD_INDEX, sxvkCreatePool(rig->allocator, &bad, &pool));
    test_pool_of_a_type_that_is_not_enabled();
    REFUSED(BAD_SIZE, .blockSize = (VkDeviceSize)1 << 42);
    REFUSED(BAD_SIZE, .blockSize = UINT64_MAX);
    REFUSED(BAD_SIZE, .minBlockCount = 3, .maxBlockCount = 2);
    REFUSED(BAD_PRIORITY, .priority = -1.0f);
    REFUSED(BAD_PRIORITY, .priority = NAN);
    REFUSED(BAD_ALIGNMENT, .minAllocationAlignment = 3);
    REFUSED(BAD_ALIGNMENT, .minAllocationAlignment = (VkDeviceSize)1 << 60);
#undef REFUSED

    REJECTS(rig, INVALID_POOL, sxvkSetPoolName(rig->allocator, foreign, "mine"));
    REJECTS(rig, NULL_ARGUMENT, sxvkSetPoolName(rig->allocator, VK_NULL_HANDLE, "mine"));
    name = "untouched";
    PROTESTS(rig, INVALID_POOL, sxvkGetPoolName(rig->allocator, foreign, &name));
    assert_null(name);
    PROTESTS(rig, INVALID_POOL, sxvkDestroyPool(rig->allocator, foreign));
    memset(&stats, 0xAA, sizeof stats);
    PROTESTS(rig, INVALID_POOL, sxvkGetPoolStatistics(rig->allocator, foreign, &stats));
    assert_int_equal(stats.blockCount, 0);
    memset(&detailed, 0xAA, sizeof detailed);
    PROTESTS(rig, INVALID_POOL, sxvkCalculatePoolStatistics(rig->allocator, foreign, &detailed));
    assert_int_equal(detailed.statistics.blockBytes, 0);
    REJECTS(rig, INVALID_POOL, sxvkCheckPoolCorruption(rig->allocator, foreign));
    REJECTS(rig, INVALID_POOL, sxvkResetPool(rig->allocator, foreign));
    REJECTS(rig, NULL_ARGUMENT, sxvkResetPool(rig->allocator, VK_NULL_HANDLE));
    sxvkDestroyPool(stranger->allocator, foreign);
    rig_destroy(stranger);
    rig_destroy(rig);
}

static void test_indices(void** state) {
    static const SxvkBudget zero;
    Rig* rig = rig_create(NULL);
    VkMemoryPropertyFlags flags = 1;
    SxvkBudget budget;
    (void)state;
    memset(&budget, 0xAA, sizeof budget);
    PROTESTS(rig, BAD_INDEX, sxvkGetHeapBudget(rig->allocator, 3, &budget));
    assert_memory_equal(&budget, &zero, sizeof zero);
    PROTESTS(rig, BAD_INDEX, sxvkGetMemoryTypeProperties(rig->allocator, 4, &flags));
    assert_int_equal(flags, 0);
    REJECTS(rig, NULL_ARGUMENT, sxvkBuildStatsString(rig->allocator, NULL, VK_FALSE));
    rig_destroy(rig);
}

static void test_leaks(void** state) {
    SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = HOST};
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocation = rig_allocate(rig, LOCAL, 4321);
    SxvkPool pool;
    (void)state;
    assert_int_equal(sxvkSetAllocationName(rig->allocator, allocation, "grass"), VK_SUCCESS);
    rig_destroy_allocator(rig);
    assert_non_null(strstr(rig->messages.text, "grass"));
    assert_non_null(strstr(rig->messages.text, "4321"));
    EXPECT(rig, LEAKED_ALLOCATION);

    assert_int_equal(sxvkCreateAllocator(&rig->info, &rig->allocator), VK_SUCCESS);
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &pool), VK_SUCCESS);
    assert_int_equal(sxvkSetPoolName(rig->allocator, pool, "level 3"), VK_SUCCESS);
    rig_destroy_allocator(rig);
    assert_non_null(strstr(rig->messages.text, "level 3"));
    EXPECT(rig, LEAKED_POOL);
    rig_destroy(rig);
}

/*  What a module is refused for; the rest is for unit.module. */
static void test_modules(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkModuleCreateInfo info = {.pName = "rocks"};
    SxvkAllocationCreateInfo wish = {0};
    VkMemoryRequirements requirements = testing_requirements(KIB, 16, 1u << LOCAL);
    SxvkAllocation allocation;
    SxvkModule module;
    (void)state;
    assert_int_equal(sxvkCreateModule(rig->allocator, &info, &module), VK_SUCCESS);
    wish.module = module;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &wish, &allocation, NULL),
                     VK_SUCCESS);
    sxvkDestroyModule(rig->allocator, module);
    assert_non_null(strstr(rig->messages.text, "rocks"));
    EXPECT(rig, MODULE_IN_USE);
    PROTESTS(rig, INVALID_MODULE, sxvkDestroyModule(rig->allocator, module));
    sxvkFreeMemory(rig->allocator, allocation);
    REJECTS(rig, INVALID_MODULE,
            sxvkAllocateMemory(rig->allocator, &requirements, &wish, &allocation, NULL));
    wish.module = VK_NULL_HANDLE;
    wish.fallbackUsage = (SxvkMemoryUsage)1;
    REJECTS(rig, BAD_ENUM,
            sxvkAllocateMemory(rig->allocator, &requirements, &wish, &allocation, NULL));
    REJECTS(rig, BAD_INDEX, sxvkSetHeapSizeLimit(rig->allocator, 3, MIB));
    info.pName = "grass";
    info.warningThreshold = 1.5f;
    REJECTS(rig, BAD_SHARE, sxvkCreateModule(rig->allocator, &info, &module));
    info.pName = "rocks";
    info.warningThreshold = 0.0f;
    REJECTS(rig, INVALID_ALLOCATION, sxvkTouchAllocation(rig->allocator, (SxvkAllocation)77));
    assert_int_equal(sxvkCreateModule(rig->allocator, &info, &module), VK_SUCCESS);
    rig_destroy_allocator(rig);
    assert_non_null(strstr(rig->messages.text, "rocks"));
    EXPECT(rig, LEAKED_MODULE);
    rig_destroy(rig);
}

static void test_corruption(void** state) {
    SxvkDebugInfo debug = {.margin = 16};
    RigOptions options = rig_options();
    SxvkAllocation allocation;
    void* data;
    Rig* rig;
    (void)state;
    options.info.pDebugInfo = &debug;
    options.sim.backing = true;
    rig = rig_create(&options);
    allocation = rig_allocate(rig, HOST, 100);
    assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_SUCCESS);
    ((unsigned char*)data)[100] ^= 1;
    sxvkUnmapMemory(rig->allocator, allocation);
    assert_int_equal(sxvkCheckCorruption(rig->allocator, UINT32_MAX), VK_ERROR_UNKNOWN);
    EXPECT(rig, CORRUPTED_MARGIN);
    sxvkFreeMemory(rig->allocator, allocation);
    EXPECT(rig, CORRUPTED_MARGIN);
    rig_destroy(rig);
}

static void test_logs(void** state) {
    SxvkDebugInfo debug = {.flags = SXVK_DEBUG_LOG_MEMORY_TYPES_BIT};
    RigOptions options = rig_options();
    SxvkAllocation allocation;
    Rig* rig;
    (void)state;
    options.info.pDebugInfo = &debug;
    rig = rig_create(&options);
    sxvkFreeMemory(rig->allocator, rig_allocate(rig, LOCAL, 100));
    EXPECT(rig, MEMORY_TYPE_CHOSEN);
    rig_destroy(rig);
    debug.flags = SXVK_DEBUG_LOG_ALLOCATIONS_BIT;
    rig = rig_create(&options);
    allocation = rig_allocate(rig, LOCAL, 100);
    EXPECT(rig, ALLOCATED);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
    debug.flags = SXVK_DEBUG_LOG_FREES_BIT;
    rig = rig_create(&options);
    sxvkFreeMemory(rig->allocator, rig_allocate(rig, LOCAL, 100));
    EXPECT(rig, FREED);
    rig_destroy(rig);
}

static void test_broken_invariant(void** state) {
    Rig* rig = rig_create(NULL);
    SxvkAllocation allocation = rig_allocate(rig, LOCAL, 100);
    sxvki_domain* domain = sxvki_pool_domain(sxvki_default_pool(rig->allocator, LOCAL), 0);
    (void)state;
    domain->live_bytes++;
    assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_ERROR_UNKNOWN);
    EXPECT(rig, BROKEN_INVARIANT);
    domain->live_bytes--;
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

static PFN_vkVoidFunction VKAPI_PTR without_map(VkDevice device, const char* pName) {
    return strcmp(pName, "vkMapMemory") == 0 ? NULL : sim_get_device_proc_addr()(device, pName);
}

static PFN_vkVoidFunction VKAPI_PTR without_map_either(VkInstance instance, const char* pName) {
    return strcmp(pName, "vkMapMemory") == 0 ? NULL : sim_get_instance_proc_addr()(instance, pName);
}

static void test_missing_function(void** state) {
    Rig* rig = rig_create_bare(NULL);
    SxvkAllocator allocator = (SxvkAllocator)&allocator;
    (void)state;
    rig->functions.vkGetDeviceProcAddr = without_map;
    rig->functions.vkGetInstanceProcAddr = without_map_either;
    assert_int_equal(sxvkCreateAllocator(&rig->info, &allocator), INVALID);
    assert_null(allocator);
    assert_non_null(strstr(rig->messages.text, "vkMapMemory"));
    EXPECT(rig, MISSING_FUNCTION);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ null handles */

/*  Destroy and Free accept null; there is nobody to tell about a null allocator. */
static void test_null_is_accepted(void** state) {
    const SxvkAllocation nothing[3] = {0};
    Rig* rig = rig_create(NULL);
    (void)state;
    sxvkDestroyAllocator(VK_NULL_HANDLE);
    sxvkFreeMemory(rig->allocator, VK_NULL_HANDLE);
    sxvkFreeMemoryPages(rig->allocator, 3, nothing);
    sxvkFreeMemoryPages(rig->allocator, 3, NULL);
    sxvkFreeMemoryPages(rig->allocator, 0, NULL);
    sxvkDestroyBuffer(rig->allocator, VK_NULL_HANDLE, VK_NULL_HANDLE);
    sxvkDestroyImage(rig->allocator, VK_NULL_HANDLE, VK_NULL_HANDLE);
    sxvkDestroyBuffers(rig->allocator, 3, NULL, nothing);
    sxvkDestroyBuffers(rig->allocator, 3, NULL, NULL);
    sxvkDestroyImages(rig->allocator, 3, NULL, nothing);
    sxvkDestroyImages(rig->allocator, 3, NULL, NULL);
    sxvkDestroyPool(rig->allocator, VK_NULL_HANDLE);
    sxvkFreeStatsString(rig->allocator, NULL);
    sxvkForEachAllocation(rig->allocator, NULL, NULL);
    assert_int_equal(sxvkFlushAllocations(rig->allocator, 0, NULL, NULL, NULL), VK_SUCCESS);
    assert_int_equal(sxvkAllocateMemoryPages(rig->allocator, NULL, NULL, 0, NULL, NULL),
                     VK_SUCCESS);
    sxvkGetAllocatorInfo(rig->allocator, NULL);
    sxvkGetPhysicalDeviceProperties(rig->allocator, NULL);
    sxvkGetMemoryProperties(rig->allocator, NULL);
    sxvkGetMemoryTypeProperties(rig->allocator, 0, NULL);
    sxvkGetHeapBudget(rig->allocator, 0, NULL);
    sxvkCalculateStatistics(rig->allocator, NULL);
    sxvkGetAllocationInfo(rig->allocator, VK_NULL_HANDLE, NULL);
    sxvkGetAllocationInfo2(rig->allocator, VK_NULL_HANDLE, NULL);
    sxvkGetAllocationMemoryProperties(rig->allocator, VK_NULL_HANDLE, NULL);
    sxvkGetPoolName(rig->allocator, VK_NULL_HANDLE, NULL);
    sxvkGetPoolStatistics(rig->allocator, VK_NULL_HANDLE, NULL);
    sxvkCalculatePoolStatistics(rig->allocator, VK_NULL_HANDLE, NULL);
    rig_expect_silence(rig);
    rig_destroy(rig);
}

static void test_null_allocator(void** state) {
    VkMemoryRequirements requirements = testing_requirements(KIB, 16, UINT32_MAX);
    VkBufferCreateInfo buffer_info = testing_buffer(KIB, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    VkImageCreateInfo image_info = testing_image(8, 8, VK_IMAGE_TILING_OPTIMAL);
    SxvkAllocation some = (SxvkAllocation)(uintptr_t)1;
    VkBuffer buffer = (VkBuffer)(uintptr_t)1;
    VkImage image = (VkImage)(uintptr_t)1;
    SxvkAllocationCreateInfo create = {0};
    SxvkPoolCreateInfo pool_info = {0};
    SxvkTotalStatistics total;
    SxvkBudget budget;
    uint32_t count;
    SxvkPool pool = (SxvkPool)&pool;
    Outputs o = garbage();
    uint32_t type = 0;
    char bytes[4] = {0};
    void* data = &data;
    char* text = bytes;
    (void)state;
    assert_int_equal(sxvkAllocateMemory(NULL, &requirements, &create, &o.allocation, &o.info),
                     INVALID);
    assert_nulled(&o.allocation, &o.info);
    o = garbage();
    assert_int_equal(
        sxvkAllocateDedicatedMemory(NULL, &requirements, &create, NULL, &o.allocation, &o.info),
        INVALID);
    assert_nulled(&o.allocation, &o.info);
    o = garbage();
    assert_int_equal(
        sxvkAllocateMemoryPages(NULL, &requirements, &create, 1, &o.allocation, &o.info), INVALID);
    assert_nulled(&o.allocation, &o.info);
    o = garbage();
    assert_int_equal(sxvkAllocateMemoryForBuffer(NULL, buffer, &create, &o.allocation, &o.info),
                     INVALID);
    assert_nulled(&o.allocation, &o.info);
    o = garbage();
    assert_int_equal(sxvkAllocateMemoryForImage(NULL, image, &create, &o.allocation, &o.info),
                     INVALID);
    assert_nulled(&o.allocation, &o.info);
    o = garbage();
    assert_int_equal(
        sxvkCreateBuffer(NULL, &buffer_info, &create, &o.buffer, &o.allocation, &o.info), INVALID);
    assert_true(o.buffer == VK_NULL_HANDLE);
    assert_nulled(&o.allocation, &o.info);
    assert_int_equal(sxvkCreateBufferWithAlignment(NULL, &buffer_info, &create, 16, &o.buffer,
                                                   &o.allocation, NULL),
                     INVALID);
    assert_int_equal(sxvkCreateDedicatedBuffer(NULL, &buffer_info, &create, NULL, &o.buffer,
                                               &o.allocation, NULL),
                     INVALID);
    o = garbage();
    assert_int_equal(sxvkCreateImage(NULL, &image_info, &create, &o.image, &o.allocation, &o.info),
                     INVALID);
    assert_true(o.image == VK_NULL_HANDLE);
    assert_nulled(&o.allocation, &o.info);
    assert_int_equal(
        sxvkCreateDedicatedImage(NULL, &image_info, &create, NULL, &o.image, &o.allocation, NULL),
        INVALID);
    o = garbage();
    assert_int_equal(
        sxvkCreateBuffers(NULL, 1, &buffer_info, &create, &o.buffer, &o.allocation, &o.info),
        INVALID);
    assert_true(o.buffer == VK_NULL_HANDLE);
    assert_nulled(&o.allocation, &o.info);
    o = garbage();
    assert_int_equal(
        sxvkCreateImages(NULL, 1, &image_info, &create, &o.image, &o.allocation, &o.info), INVALID);
    assert_true(o.image == VK_NULL_HANDLE);
    assert_nulled(&o.allocation, &o.info);
    /* and nobody is told what else is wrong */
    assert_int_equal(sxvkCreateBufferWithAlignment(NULL, NULL, &create, 3, NULL, NULL, NULL),
                     INVALID);
    assert_int_equal(sxvkCreateBuffer(NULL, NULL, NULL, NULL, NULL, NULL), INVALID);
    assert_int_equal(sxvkCreateImage(NULL, NULL, NULL, NULL, NULL, NULL), INVALID);
    assert_int_equal(sxvkCreateDedicatedBuffer(NULL, NULL, NULL, NULL, NULL, NULL, NULL), INVALID);
    assert_int_equal(sxvkCreateDedicatedBuffer(NULL, NULL, &create, NULL, NULL, NULL, NULL),
                     INVALID);
    assert_int_equal(sxvkCreateDedicatedImage(NULL, NULL, NULL, NULL, NULL, NULL, NULL), INVALID);
    assert_int_equal(sxvkCreateDedicatedImage(NULL, NULL, &create, NULL, NULL, NULL, NULL),
                     INVALID);
    assert_int_equal(sxvkCreateBuffers(NULL, 1, NULL, NULL, NULL, NULL, NULL), INVALID);
    assert_int_equal(sxvkCreateImages(NULL, 1, NULL, NULL, NULL, NULL, NULL), INVALID);
    assert_int_equal(sxvkAllocateMemoryPages(NULL, NULL, NULL, 1, NULL, NULL), INVALID);
    assert_int_equal(sxvkCreateAliasingBuffer2(NULL, some, 3, NULL, NULL), INVALID);
    assert_int_equal(sxvkCreateAliasingImage2(NULL, some, 3, NULL, NULL), INVALID);
    assert_int_equal(sxvkCreatePool(NULL, &pool_info, &pool), INVALID);
    assert_null(pool);
    assert_int_equal(sxvkSetPoolName(NULL, pool, "x"), INVALID);
    assert_int_equal(sxvkFindMemoryTypeIndex(NULL, 1, &create, &type), INVALID);
    assert_int_equal(type, UINT32_MAX);
    type = 0;
    assert_int_equal(sxvkFindMemoryTypeIndexForBufferInfo(NULL, &buffer_info, &create, &type),
                     INVALID);
    assert_int_equal(type, UINT32_MAX);
    type = 0;
    assert_int_equal(sxvkFindMemoryTypeIndexForImageInfo(NULL, &image_info, &create, &type),
                     INVALID);
    assert_int_equal(type, UINT32_MAX);
    assert_int_equal(sxvkExplainMemoryType(NULL, 1, &create, NULL, NULL, &text), INVALID);
    assert_null(text);
    assert_int_equal(sxvkMapMemory(NULL, some, &data), INVALID);
    assert_null(data);
    assert_int_equal(sxvkSetAllocationUserData(NULL, some, NULL), INVALID);
    assert_int_equal(sxvkSetAllocationName(NULL, some, NULL), INVALID);
    assert_int_equal(sxvkSetAllocationPriority(NULL, some, 0.5f), INVALID);
    assert_int_equal(sxvkFlushAllocation(NULL, some, 0, 1), INVALID);
    assert_int_equal(sxvkInvalidateAllocation(NULL, some, 0, 1), INVALID);
    assert_int_equal(sxvkFlushAllocations(NULL, 1, &some, NULL, NULL), INVALID);
    assert_int_equal(sxvkInvalidateAllocations(NULL, 1, &some, NULL, NULL), INVALID);
    assert_int_equal(sxvkCopyMemoryToAllocation(NULL, bytes, some, 0, 1), INVALID);
    assert_int_equal(sxvkCopyAllocationToMemory(NULL, some, 0, bytes, 1), INVALID);
    assert_int_equal(sxvkBindBufferMemory(NULL, some, buffer), INVALID);
    assert_int_equal(sxvkBindBufferMemory2(NULL, some, 0, buffer, NULL), INVALID);
    assert_int_equal(sxvkBindImageMemory(NULL, some, image), INVALID);
    assert_int_equal(sxvkBindImageMemory2(NULL, some, 0, image, NULL), INVALID);
    assert_int_equal(sxvkCreateAliasingBuffer(NULL, some, &buffer_info, &o.buffer), INVALID);
    assert_int_equal(sxvkCreateAliasingBuffer2(NULL, some, 0, &buffer_info, &o.buffer), INVALID);
    assert_int_equal(sxvkCreateAliasingImage(NULL, some, &image_info, &o.image), INVALID);
    assert_int_equal(sxvkCreateAliasingImage2(NULL, some, 0, &image_info, &o.image), INVALID);
    text = bytes;
    assert_int_equal(sxvkBuildStatsString(NULL, &text, VK_TRUE), INVALID);
    assert_null(text);
    assert_int_equal(sxvkCheckCorruption(NULL, 1), INVALID);
    assert_int_equal(sxvkCheckPoolCorruption(NULL, pool), INVALID);
    assert_int_equal(sxvkCheckIntegrity(NULL), INVALID);

    sxvkFreeMemory(NULL, some);
    sxvkFreeMemoryPages(NULL, 1, &some);
    sxvkUnmapMemory(NULL, some);
    sxvkDestroyBuffer(NULL, buffer, some);
    sxvkDestroyImage(NULL, image, some);
    sxvkDestroyBuffers(NULL, 1, &buffer, &some);
    sxvkDestroyImages(NULL, 1, &image, &some);
    sxvkDestroyPool(NULL, (SxvkPool)&pool);
    sxvkFreeStatsString(NULL, bytes);
    sxvkSetCurrentFrameIndex(NULL, 1);
    assert_int_equal(sxvkTrim(NULL), 0);
    assert_false(sxvkIsAllocationValid(NULL, some));
    assert_int_equal(sxvkTouchAllocation(NULL, some), INVALID);
    assert_int_equal(sxvkSetHeapSizeLimit(NULL, 0, 1), INVALID);
    assert_int_equal(sxvkGetColdestAllocations(NULL, 0, VK_NULL_HANDLE, 0, NULL, NULL), INVALID);
    count = 3;
    assert_int_equal(sxvkGetColdestAllocations(NULL, 0, VK_NULL_HANDLE, 0, &count, NULL), INVALID);
    assert_int_equal(count, 0);
    count = 77;
    assert_int_equal(sxvkGetFrameHistory(NULL, &count, NULL), INVALID);
    assert_int_equal(count, 0);
    assert_null(sxvkGetAllocationModule(NULL, some));
    memset(&budget, 0xAA, sizeof budget);
    sxvkGetHeapBudget(NULL, 0, &budget);
    assert_int_equal(budget.budget, 0);
    memset(&total, 0xAA, sizeof total);
    sxvkCalculateStatistics(NULL, &total);
    assert_int_equal(total.total.statistics.blockCount, 0);
}

/*  Values of a frame ring; the rest of what >>upload refuses is for unit.upload. */
static void test_frame_values(void** state) {
    Rig* rig = rig_create(NULL);
    const SxvkFrameRingCreateInfo info = {.size = 0};
    SxvkFrameRing ring;
    SxvkBufferSlice slice;
    (void)state;
    assert_int_equal(sxvkCreateFrameRing(rig->allocator, &info, &ring), VK_SUCCESS);
    REJECTS(rig, BAD_FRAME_VALUE, sxvkAllocateFromFrameRing(ring, 16, 0, &slice));
    REJECTS(rig, BAD_FRAME_VALUE, sxvkCompleteFrameRing(ring, 1));
    assert_int_equal(sxvkBeginFrameRing(ring, 7), VK_SUCCESS);
    REJECTS(rig, BAD_FRAME_VALUE, sxvkBeginFrameRing(ring, 7));
    sxvkDestroyFrameRing(rig->allocator, ring);
    rig_destroy(rig);
}

/*  What is mapped for ever would move to a block that cannot be mapped; unit.defrag has the rest. */
static void test_move_failed(void** state) {
    RigOptions options = rig_options();
    const SxvkPoolCreateInfo pool_info = {.memoryTypeIndex = 1, .blockSize = 1 << 20};
    const VkMemoryRequirements needs = testing_requirements(200 << 10, 16, 1u << 1);
    SxvkAllocationCreateInfo info = {0};
    SxvkDefragmentationInfo run = {.flags = SXVK_DEFRAGMENTATION_FLAG_MOVE_MAPPED_BIT};
    SxvkDefragmentationContext context;
    SxvkDefragmentationPassMoveInfo pass;
    SxvkAllocation all[6];
    Rig* rig;
    (void)state;
    options.info.flags = SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT;
    rig = rig_create(&options);
    assert_int_equal(sxvkCreatePool(rig->allocator, &pool_info, &run.pool), VK_SUCCESS);
    info.pool = run.pool;
    for (uint32_t i = 0; i < 6; i++) {
        info.flags = i == 5 ? SXVK_ALLOCATION_CREATE_MAPPED_BIT : 0;
        assert_int_equal(sxvkAllocateMemory(rig->allocator, &needs, &info, &all[i], NULL),
                         VK_SUCCESS);
    }
    sxvkFreeMemoryPages(rig->allocator, 3, all);
    assert_true(sim_fail(rig->sim, SIM_CALL_MAP_MEMORY, 1, 1, VK_ERROR_MEMORY_MAP_FAILED));
    assert_int_equal(sxvkBeginDefragmentation(rig->allocator, &run, &context), VK_SUCCESS);
    (void)sxvkBeginDefragmentationPass(rig->allocator, context, &pass);
    EXPECT(rig, MOVE_FAILED);
    sxvkEndDefragmentation(rig->allocator, context, NULL);
    sxvkFreeMemoryPages(rig->allocator, 3, &all[3]);
    sxvkDestroyPool(rig->allocator, run.pool);
    rig_destroy(rig);
}

/*  Last: nothing in SXVK_MESSAGES was left out above. */
static void test_every_message_was_provoked(void** state) {
    int message;
    (void)state;
    for (message = SXVK_MESSAGE_NONE + 1; message < SXVK_MESSAGE_COUNT; message++) {
        if (!provoked[message]) {
            fail_msg("%s was not provoked", message_name((SxvkMessage)message));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocator_info),
        cmocka_unit_test(test_allocation_info),
        cmocka_unit_test(test_allocating),
        cmocka_unit_test(test_handles),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_missing_features),
        cmocka_unit_test(test_mapping),
        cmocka_unit_test(test_buffer_info),
        cmocka_unit_test(test_image_info),
        cmocka_unit_test(test_batch_elements),
        cmocka_unit_test(test_batch_arrays),
        cmocka_unit_test(test_frame_values),
        cmocka_unit_test(test_destroying_bad_batches),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_indices),
        cmocka_unit_test(test_leaks),
        cmocka_unit_test(test_modules),
        cmocka_unit_test(test_corruption),
        cmocka_unit_test(test_logs),
        cmocka_unit_test(test_broken_invariant),
        cmocka_unit_test(test_missing_function),
        cmocka_unit_test(test_null_is_accepted),
        cmocka_unit_test(test_null_allocator),
        cmocka_unit_test(test_move_failed),
        cmocka_unit_test(test_every_message_was_provoked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
