/*  test_map.c - mapping, flushing and copying.

    The device checks what reaches the driver (double maps, ranges that are no whole atoms, ranges
    of memory that is not mapped); these tests look at what the user gets. Run by CTest (unit.map).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#define SX_VKALLOC_DEBUG 2
#define SX_VKALLOC_IMPLEMENTATION
#include "testing.h"

#define KIB ((VkDeviceSize)1 << 10)
#define MIB ((VkDeviceSize)1 << 20)

/* Memory types of sim_profile_discrete; here CACHED is not coherent. */
enum { LOCAL, HOST, CACHED, BAR };

static SimProfile atom_profile(VkDeviceSize atom) {
    SimProfile profile = sim_profile_discrete();
    profile.memory.memoryTypes[CACHED].propertyFlags &=
        ~(VkFlags)VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    profile.nonCoherentAtomSize = atom;
    return profile;
}

static Rig* map_rig(VkDeviceSize atom, SxvkAllocatorCreateFlags flags) {
    SimProfile profile = atom_profile(atom);
    RigOptions options = rig_options();
    options.profile = &profile;
    options.sim.backing = true;
    options.info.flags = flags;
    return rig_create(&options);
}

static uint64_t flushes(Rig* rig) {
    return sim_calls(rig->sim, SIM_CALL_FLUSH_MAPPED_MEMORY_RANGES) +
           sim_calls(rig->sim, SIM_CALL_INVALIDATE_MAPPED_MEMORY_RANGES);
}

/* ------------------------------------------------------------------ counts */

static void test_map_counts(void** state) {
    Rig* rig = map_rig(64, 0);
    SxvkAllocation a = rig_allocate(rig, HOST, 1000);
    SxvkAllocation b = rig_allocate(rig, HOST, 1000);
    SxvkAllocationInfo info;
    void* first;
    void* again;
    void* other;
    (void)state;
    sxvkGetAllocationInfo(rig->allocator, a, &info);
    assert_null(info.pMappedData);
    assert_int_equal(sxvkMapMemory(rig->allocator, a, &first), VK_SUCCESS);
    assert_int_equal(sxvkMapMemory(rig->allocator, a, &again), VK_SUCCESS);
    assert_ptr_equal(first, again);
    sxvkGetAllocationInfo(rig->allocator, a, &info);
    assert_ptr_equal(info.pMappedData, first);
    /* Both live in one block: one map of the driver serves them. */
    assert_int_equal(sxvkMapMemory(rig->allocator, b, &other), VK_SUCCESS);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_MAP_MEMORY), 1);
    memset(first, 0x11, 1000);
    memset(other, 0x22, 1000);
    assert_int_equal(((unsigned char*)first)[999], 0x11);

    sxvkUnmapMemory(rig->allocator, a);
    sxvkGetAllocationInfo(rig->allocator, a, &info);
    assert_ptr_equal(info.pMappedData, first);
    sxvkUnmapMemory(rig->allocator, a);
    sxvkGetAllocationInfo(rig->allocator, a, &info);
    assert_null(info.pMappedData);
    sxvkUnmapMemory(rig->allocator, a);
    rig_expect(rig, SXVK_MESSAGE_NOT_MAPPED, 1);
    assert_int_equal(((unsigned char*)other)[0], 0x22);
    sxvkUnmapMemory(rig->allocator, b);

    /* By default the block stays mapped, and the next map costs nothing. */
    assert_int_equal(sxvkMapMemory(rig->allocator, a, &again), VK_SUCCESS);
    assert_ptr_equal(again, first);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_MAP_MEMORY), 1);
    sxvkUnmapMemory(rig->allocator, a);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_UNMAP_MEMORY), 0);
    sxvkFreeMemory(rig->allocator, a);
    sxvkFreeMemory(rig->allocator, b);
    rig_destroy(rig);
}

/*  VMA#407, VMA#515: what is not host-visible is refused; MAPPED_BIT there is ignored. */
static void test_not_host_visible(void** state) {
    VkMemoryRequirements requirements = testing_requirements(KIB, 16, 1u << LOCAL);
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT};
    Rig* rig = map_rig(64, 0);
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
    void* data = &data;
    (void)state;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocation, &info),
                     VK_SUCCESS);
    assert_null(info.pMappedData);
    assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_ERROR_MEMORY_MAP_FAILED);
    assert_null(data);
    rig_expect(rig, SXVK_MESSAGE_NOT_HOST_VISIBLE, 1);
    assert_int_equal(sxvkCopyMemoryToAllocation(rig->allocator, &data, allocation, 0, 4),
                     VK_ERROR_MEMORY_MAP_FAILED);
    rig_expect(rig, SXVK_MESSAGE_NOT_HOST_VISIBLE, 1);
    /* Nothing to flush, and no harm in trying. */
    assert_int_equal(sxvkFlushAllocation(rig->allocator, allocation, 0, VK_WHOLE_SIZE), VK_SUCCESS);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_MAP_MEMORY), 0);
    assert_int_equal(flushes(rig), 0);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

/*  255 maps on top of MAPPED_BIT, and no more; the count survives the refusal. */
static void test_too_many_maps(void** state) {
    VkMemoryRequirements requirements = testing_requirements(KIB, 16, 1u << HOST);
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT};
    Rig* rig = map_rig(64, SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT);
    SxvkAllocation allocation;
    SxvkAllocationInfo info;
    void* data;
    int i;
    (void)state;
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocation, &info),
                     VK_SUCCESS);
    for (i = 0; i < 255; i++) {
        assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_SUCCESS);
        assert_ptr_equal(data, info.pMappedData);
    }
    for (i = 0; i < 3; i++) {
        assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data),
                         VK_ERROR_MEMORY_MAP_FAILED);
        rig_expect(rig, SXVK_MESSAGE_TOO_MANY_MAPS, 1);
    }
    for (i = 0; i < 255; i++) {
        sxvkUnmapMemory(rig->allocator, allocation);
    }
    rig_expect_silence(rig);
    sxvkUnmapMemory(rig->allocator,
                    allocation); /* the map of MAPPED_BIT is not the user's to end */
    rig_expect(rig, SXVK_MESSAGE_NOT_MAPPED, 1);
    data = info.pMappedData;
    sxvkGetAllocationInfo(rig->allocator, allocation, &info);
    assert_ptr_equal(info.pMappedData, data);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_UNMAP_MEMORY), 0);
    sxvkFreeMemory(rig->allocator, allocation);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_UNMAP_MEMORY), 1);
    rig_destroy(rig);
}

static void test_mapped_for_life(void** state) {
    VkMemoryRequirements requirements = testing_requirements(100, 16, 1u << HOST);
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT};
    Rig* rig = map_rig(64, SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT);
    SxvkAllocation allocations[20];
    SxvkAllocationInfo info;
    void* data;
    size_t i;
    (void)state;
    for (i = 0; i < 20; i++) {
        create.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT;
        if (i % 5 == 4) {
            create.flags |= SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
        }
        assert_int_equal(
            sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocations[i], &info),
            VK_SUCCESS);
        assert_non_null(info.pMappedData);
        memset(info.pMappedData, (int)i, 100);
        assert_int_equal(sxvkMapMemory(rig->allocator, allocations[i], &data), VK_SUCCESS);
        assert_ptr_equal(data, info.pMappedData);
        sxvkUnmapMemory(rig->allocator, allocations[i]);
    }
    for (i = 0; i < 20; i++) {
        unsigned char expected[100];
        memset(expected, (int)i, sizeof expected);
        sxvkGetAllocationInfo(rig->allocator, allocations[i], &info);
        assert_memory_equal(info.pMappedData, expected, sizeof expected);
        sxvkFreeMemory(rig->allocator, allocations[i]);
    }
    rig_destroy(rig);
}

/*  The maps that were left end with the allocation, not with its block. */
static void test_freed_while_mapped(void** state) {
    Rig* rig = map_rig(64, SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT);
    SxvkAllocation keep = rig_allocate(rig, HOST, 1000);
    SxvkAllocation gone = rig_allocate(rig, HOST, 1000);
    void* kept;
    void* data;
    (void)state;
    assert_int_equal(sxvkSetAllocationName(rig->allocator, gone, "scratch"), VK_SUCCESS);
    assert_int_equal(sxvkMapMemory(rig->allocator, keep, &kept), VK_SUCCESS);
    assert_int_equal(sxvkMapMemory(rig->allocator, gone, &data), VK_SUCCESS);
    assert_int_equal(sxvkMapMemory(rig->allocator, gone, &data), VK_SUCCESS);
    sxvkFreeMemory(rig->allocator, gone);
    assert_non_null(strstr(rig->messages.text, "scratch"));
    rig_expect(rig, SXVK_MESSAGE_FREED_WHILE_MAPPED, 1);
    memset(kept, 1, 1000); /* still there */
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_UNMAP_MEMORY), 0);
    sxvkUnmapMemory(rig->allocator, keep);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_UNMAP_MEMORY), 1);

    /* The place of the freed one is taken anew: it starts unmapped. */
    gone = rig_allocate(rig, HOST, 1000);
    sxvkUnmapMemory(rig->allocator, gone);
    rig_expect(rig, SXVK_MESSAGE_NOT_MAPPED, 1);
    sxvkFreeMemory(rig->allocator, gone);
    sxvkFreeMemory(rig->allocator, keep);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ flush */

/*  Any range of any allocation: what the driver sees is whole atoms, covers the range, and ends
    before the next allocation begins (VMA#83: the tail went past the end of the memory). */
static void flush_random_ranges(VkDeviceSize atom) {
    Rig* rig = map_rig(atom, 0);
    SxvkAllocation allocations[40];
    SxvkAllocationInfo2 infos[40];
    uint64_t seed = atom;
    uint32_t i, step;
    for (i = 0; i < 40; i++) {
        VkDeviceSize size = testing_log_uniform(&seed, 1, 20000);
        VkMemoryRequirements requirements = testing_requirements(size, 1, 1u << CACHED);
        SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_MAPPED_BIT};
        if (i % 4 == 3) {
            create.flags |= SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT;
        }
        assert_int_equal(
            sxvkAllocateMemory(rig->allocator, &requirements, &create, &allocations[i], NULL),
            VK_SUCCESS);
        sxvkGetAllocationInfo2(rig->allocator, allocations[i], &infos[i]);
    }
    for (step = 0; step < 400; step++) {
        uint32_t which = testing_below(&seed, 40);
        const SxvkAllocationInfo2* info = &infos[which];
        VkDeviceSize bytes = info->allocationInfo.size;
        VkDeviceSize offset = testing_below(&seed, (uint32_t)bytes);
        VkDeviceSize size = 1 + testing_below(&seed, (uint32_t)(bytes - offset));
        VkDeviceSize begin = info->allocationInfo.offset + offset;
        VkDeviceSize end;
        VkMappedMemoryRange range;
        SimMemoryInfo memory;
        if (step % 5 == 0) {
            size = VK_WHOLE_SIZE;
        }
        end = size == VK_WHOLE_SIZE ? info->allocationInfo.offset + bytes : begin + size;
        if (step % 2 == 0) {
            assert_int_equal(sxvkFlushAllocation(rig->allocator, allocations[which], offset, size),
                             VK_SUCCESS);
        } else {
            assert_int_equal(
                sxvkInvalidateAllocation(rig->allocator, allocations[which], offset, size),
                VK_SUCCESS);
        }
        assert_true(sim_memory_info(rig->sim, info->allocationInfo.deviceMemory, &memory));
        range = step % 2 == 0 ? memory.lastFlush : memory.lastInvalidate;
        assert_int_equal(range.offset % atom, 0);
        assert_true(range.offset <= begin && range.offset + atom > begin);
        assert_true(range.offset + range.size >= end);
        assert_true(range.size % atom == 0 || range.offset + range.size == info->blockSize);
        for (i = 0; i < 40; i++) { /* no byte of a neighbour */
            const SxvkAllocationInfo* other = &infos[i].allocationInfo;
            assert_true(i == which || other->deviceMemory != range.memory ||
                        other->offset >= range.offset + range.size ||
                        other->offset + other->size <= range.offset);
        }
    }
    assert_int_equal(flushes(rig), 400);
    assert_int_equal(sim_errors(rig->sim), 0);
    sxvkFreeMemoryPages(rig->allocator, 40, allocations);
    rig_destroy(rig);
}

static void test_flush_in_whole_atoms(void** state) {
    (void)state;
    flush_random_ranges(1);
    flush_random_ranges(64);
    flush_random_ranges(128);
    flush_random_ranges(256);
    flush_random_ranges(4096);
}

static void test_coherent_memory_needs_no_flush(void** state) {
    Rig* rig = map_rig(64, 0);
    SxvkAllocation allocation = rig_allocate(rig, HOST, 1000);
    void* data;
    (void)state;
    assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_SUCCESS);
    assert_int_equal(sxvkFlushAllocation(rig->allocator, allocation, 0, VK_WHOLE_SIZE), VK_SUCCESS);
    assert_int_equal(sxvkInvalidateAllocation(rig->allocator, allocation, 5, 7), VK_SUCCESS);
    assert_int_equal(flushes(rig), 0);
    sxvkUnmapMemory(rig->allocator, allocation);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

static void assert_not_mapped(Rig* rig, SxvkAllocation allocation) {
    uint64_t before = rig_calls(rig);
    assert_int_equal(sxvkFlushAllocation(rig->allocator, allocation, 0, VK_WHOLE_SIZE),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NOT_MAPPED, 1);
    assert_int_equal(sxvkInvalidateAllocation(rig->allocator, allocation, 3, 4),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NOT_MAPPED, 1);
    assert_int_equal(sxvkFlushAllocations(rig->allocator, 1, &allocation, NULL, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NOT_MAPPED, 1);
    assert_int_equal(sxvkInvalidateAllocations(rig->allocator, 1, &allocation, NULL, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NOT_MAPPED, 1);
    assert_int_equal(rig_calls(rig), before);
}

/*  VUID-VkMappedMemoryRange-memory-00684: what is flushed must be mapped. That is said before the
    driver is called; where no flush is needed there is nothing to be wrong. */
static void test_flush_without_map(void** state) {
    static const uint32_t coherent[] = {LOCAL, HOST, BAR};
    VkMemoryRequirements requirements = testing_requirements(1000, 16, 1u << CACHED);
    SxvkAllocationCreateInfo create = {.flags = SXVK_ALLOCATION_CREATE_DEDICATED_MEMORY_BIT};
    Rig* rig = map_rig(64, SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT);
    SxvkAllocation mixed[3], allocation;
    void* data;
    size_t i;
    (void)state;
    for (i = 0; i < 3; i++) {
        allocation = rig_allocate(rig, coherent[i], 1000);
        assert_int_equal(sxvkFlushAllocation(rig->allocator, allocation, 0, VK_WHOLE_SIZE),
                         VK_SUCCESS);
        assert_int_equal(sxvkInvalidateAllocation(rig->allocator, allocation, 3, 4), VK_SUCCESS);
        assert_int_equal(sxvkFlushAllocations(rig->allocator, 1, &allocation, NULL, NULL),
                         VK_SUCCESS);
        assert_int_equal(sxvkInvalidateAllocations(rig->allocator, 1, &allocation, NULL, NULL),
                         VK_SUCCESS);
        sxvkFreeMemory(rig->allocator, allocation);
    }
    mixed[0] = rig_allocate(rig, CACHED, 1000);
    mixed[1] = rig_allocate(rig, HOST, 1000);
    assert_int_equal(sxvkAllocateMemory(rig->allocator, &requirements, &create, &mixed[2], NULL),
                     VK_SUCCESS);
    assert_not_mapped(rig, mixed[0]);
    assert_not_mapped(rig, mixed[2]);

    /* One of several: none is flushed. */
    assert_int_equal(sxvkMapMemory(rig->allocator, mixed[0], &data), VK_SUCCESS);
    assert_int_equal(sxvkFlushAllocations(rig->allocator, 3, mixed, NULL, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NOT_MAPPED, 1);
    assert_int_equal(flushes(rig), 0);
    assert_int_equal(sxvkMapMemory(rig->allocator, mixed[2], &data), VK_SUCCESS);
    assert_int_equal(sxvkInvalidateAllocations(rig->allocator, 3, mixed, NULL, NULL), VK_SUCCESS);
    assert_int_equal(flushes(rig), 1);

    /* A null handle among them: again none is flushed. */
    allocation = mixed[1];
    mixed[1] = VK_NULL_HANDLE;
    assert_int_equal(sxvkFlushAllocations(rig->allocator, 3, mixed, NULL, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    assert_int_equal(sxvkInvalidateAllocations(rig->allocator, 3, mixed, NULL, NULL),
                     VK_ERROR_VALIDATION_FAILED_EXT);
    rig_expect(rig, SXVK_MESSAGE_NULL_ARGUMENT, 1);
    assert_int_equal(flushes(rig), 1);
    mixed[1] = allocation;

    /* The last map has ended, and with it the block's. */
    sxvkUnmapMemory(rig->allocator, mixed[0]);
    sxvkUnmapMemory(rig->allocator, mixed[2]);
    assert_not_mapped(rig, mixed[0]);
    assert_not_mapped(rig, mixed[2]);
    sxvkFreeMemoryPages(rig->allocator, 3, mixed);
    rig_destroy(rig);
}

/*  At most 32 ranges a driver call; those without need of a flush take no place. */
static void test_batches(void** state) {
    Rig* rig = map_rig(64, 0);
    SxvkAllocation allocations[100];
    VkDeviceSize offsets[100];
    VkDeviceSize sizes[100];
    void* data;
    uint32_t i;
    (void)state;
    for (i = 0; i < 100; i++) {
        offsets[i] = i;
        sizes[i] = i % 2 != 0 ? VK_WHOLE_SIZE : 1;
        allocations[i] = rig_allocate(rig, CACHED, 100 + i);
        assert_int_equal(sxvkMapMemory(rig->allocator, allocations[i], &data), VK_SUCCESS);
    }
    assert_int_equal(sxvkFlushAllocations(rig->allocator, 100, allocations, offsets, sizes),
                     VK_SUCCESS);
    assert_int_equal(flushes(rig), 4);
    assert_int_equal(sxvkInvalidateAllocations(rig->allocator, 64, allocations, NULL, NULL),
                     VK_SUCCESS);
    assert_int_equal(flushes(rig), 6);
    assert_int_equal(sxvkFlushAllocations(rig->allocator, 1, allocations, NULL, NULL), VK_SUCCESS);
    assert_int_equal(flushes(rig), 7);

    /* Nothing to do for any of these. */
    for (i = 0; i < 100; i++) {
        sizes[i] = 0;
    }
    assert_int_equal(sxvkFlushAllocations(rig->allocator, 100, allocations, NULL, sizes),
                     VK_SUCCESS);
    assert_int_equal(flushes(rig), 7);
    for (i = 0; i < 100; i++) {
        sxvkUnmapMemory(rig->allocator, allocations[i]);
    }
    sxvkFreeMemoryPages(rig->allocator, 100, allocations);
    rig_destroy(rig);
}

/*  A failing batch ends it, and its result comes back. */
static void test_flush_failure(void** state) {
    Rig* rig = map_rig(64, 0);
    SxvkAllocation allocation = rig_allocate(rig, CACHED, 100);
    SxvkAllocation many[70];
    void* data;
    size_t i;
    (void)state;
    for (i = 0; i < 70; i++) {
        many[i] = allocation;
    }
    assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_SUCCESS);
    assert_true(sim_fail(rig->sim, SIM_CALL_FLUSH_MAPPED_MEMORY_RANGES, 2, 1,
                         VK_ERROR_OUT_OF_DEVICE_MEMORY));
    assert_int_equal(sxvkFlushAllocations(rig->allocator, 70, many, NULL, NULL),
                     VK_ERROR_OUT_OF_DEVICE_MEMORY);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_DEVICE_MEMORY, 1);
    assert_int_equal(flushes(rig), 2);
    sxvkUnmapMemory(rig->allocator, allocation);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

/*  A driver that answers with something that is neither success nor an error. */
static void test_positive_results(void** state) {
    Rig* rig = map_rig(64, 0);
    SxvkAllocation allocation = rig_allocate(rig, CACHED, 100);
    void* data = &data;
    (void)state;
    assert_true(sim_fail(rig->sim, SIM_CALL_MAP_MEMORY, 1, 1, VK_INCOMPLETE));
    assert_true(sxvkMapMemory(rig->allocator, allocation, &data) < 0);
    assert_null(data);
    assert_int_equal(sxvkMapMemory(rig->allocator, allocation, &data), VK_SUCCESS);
    assert_true(sim_fail(rig->sim, SIM_CALL_FLUSH_MAPPED_MEMORY_RANGES, 1, 1, VK_NOT_READY));
    assert_true(sxvkFlushAllocation(rig->allocator, allocation, 0, VK_WHOLE_SIZE) < 0);
    sxvkUnmapMemory(rig->allocator, allocation);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ copies */

/*  Both ways through every host-visible type, at odd offsets; every byte is compared, and
    neighbours keep theirs. */
static void copy_both_ways(Rig* rig, uint32_t type) {
    static unsigned char sent[9000], back[9000];
    SxvkAllocation allocations[10];
    uint64_t seed = type;
    uint32_t i;
    for (i = 0; i < 10; i++) {
        allocations[i] = rig_allocate(rig, type, 5000);
        memset(sent, (int)(i + 1), sizeof sent);
        assert_int_equal(sxvkCopyMemoryToAllocation(rig->allocator, sent, allocations[i], 0, 5000),
                         VK_SUCCESS);
    }
    for (i = 0; i < 100; i++) {
        SxvkAllocation allocation = allocations[i % 8 + 1];
        VkDeviceSize offset = testing_below(&seed, 5000);
        VkDeviceSize size = 1 + testing_below(&seed, (uint32_t)(5000 - offset));
        VkDeviceSize byte;
        for (byte = 0; byte < size; byte++) {
            sent[byte] = (unsigned char)testing_random(&seed);
        }
        assert_int_equal(sxvkCopyMemoryToAllocation(rig->allocator, sent, allocation, offset, size),
                         VK_SUCCESS);
        memset(back, 0, sizeof back);
        assert_int_equal(sxvkCopyAllocationToMemory(rig->allocator, allocation, offset, back, size),
                         VK_SUCCESS);
        assert_memory_equal(sent, back, (size_t)size);
        assert_int_equal(back[size], 0); /* not a byte more */
    }
    for (i = 0; i < 10; i += 9) {
        memset(sent, (int)(i + 1), sizeof sent);
        assert_int_equal(sxvkCopyAllocationToMemory(rig->allocator, allocations[i], 0, back, 5000),
                         VK_SUCCESS);
        assert_memory_equal(sent, back, 5000);
    }
    sxvkFreeMemoryPages(rig->allocator, 10, allocations);
}

static void test_copies(void** state) {
    static const SxvkAllocatorCreateFlags flags[] = {0,
                                                     SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT};
    size_t i;
    uint32_t type;
    (void)state;
    for (i = 0; i < 2; i++) {
        Rig* rig = map_rig(256, flags[i]);
        for (type = HOST; type <= BAR; type++) {
            copy_both_ways(rig, type);
        }
        rig_destroy(rig);
    }
}

/*  A copy flushes after it wrote, invalidates before it reads, and leaves no map behind. */
static void test_copies_are_flushed(void** state) {
    Rig* rig = map_rig(64, SXVK_ALLOCATOR_CREATE_UNMAP_UNUSED_BLOCKS_BIT);
    SxvkAllocation allocation = rig_allocate(rig, CACHED, 1000);
    SxvkAllocationInfo info;
    SimMemoryInfo memory;
    unsigned char bytes[100] = {1, 2, 3};
    (void)state;
    sxvkGetAllocationInfo(rig->allocator, allocation, &info);
    assert_int_equal(sxvkCopyMemoryToAllocation(rig->allocator, bytes, allocation, 500, 100),
                     VK_SUCCESS);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_FLUSH_MAPPED_MEMORY_RANGES), 1);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_INVALIDATE_MAPPED_MEMORY_RANGES), 0);
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_true(memory.lastFlush.offset <= info.offset + 500);
    assert_true(memory.lastFlush.offset + memory.lastFlush.size >= info.offset + 600);
    assert_false(memory.mapped);
    assert_int_equal(sxvkCopyAllocationToMemory(rig->allocator, allocation, 500, bytes, 100),
                     VK_SUCCESS);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_FLUSH_MAPPED_MEMORY_RANGES), 1);
    assert_int_equal(sim_calls(rig->sim, SIM_CALL_INVALIDATE_MAPPED_MEMORY_RANGES), 1);
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_false(memory.mapped);

    /* Nothing to copy: nothing is done. */
    sim_reset_calls(rig->sim);
    assert_int_equal(sxvkCopyMemoryToAllocation(rig->allocator, NULL, allocation, 1000, 0),
                     VK_SUCCESS);
    assert_int_equal(sxvkCopyAllocationToMemory(rig->allocator, allocation, 0, NULL, 0),
                     VK_SUCCESS);
    assert_int_equal(rig_calls(rig), 0);

    /* Where the invalidation fails, the user's memory is not touched. */
    memset(bytes, 0x77, sizeof bytes);
    assert_true(sim_fail(rig->sim, SIM_CALL_INVALIDATE_MAPPED_MEMORY_RANGES, 1, 1,
                         VK_ERROR_OUT_OF_HOST_MEMORY));
    assert_int_equal(sxvkCopyAllocationToMemory(rig->allocator, allocation, 500, bytes, 100),
                     VK_ERROR_OUT_OF_HOST_MEMORY);
    rig_expect(rig, SXVK_MESSAGE_OUT_OF_HOST_MEMORY, 1);
    assert_int_equal(bytes[0], 0x77);
    assert_true(sim_memory_info(rig->sim, info.deviceMemory, &memory));
    assert_false(memory.mapped);
    sxvkFreeMemory(rig->allocator, allocation);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_counts),
        cmocka_unit_test(test_not_host_visible),
        cmocka_unit_test(test_too_many_maps),
        cmocka_unit_test(test_mapped_for_life),
        cmocka_unit_test(test_freed_while_mapped),
        cmocka_unit_test(test_flush_in_whole_atoms),
        cmocka_unit_test(test_coherent_memory_needs_no_flush),
        cmocka_unit_test(test_flush_without_map),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_flush_failure),
        cmocka_unit_test(test_positive_results),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_copies_are_flushed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
