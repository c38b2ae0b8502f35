/*
    test_mail.c - the mail of >>pool: what other threads free than allocate. Which ways a free goes,
    who reads the letters, that statistics are exact, and that no letter keeps a block.

    What many threads do to each other at once is in fuzz_foreign and fuzz_threads.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "testing.h"

#define LOCAL 0 /* memory types of the discrete GPU */
#define HOST  1
#define KIB   ((VkDeviceSize)1 << 10)
#define MIB   ((VkDeviceSize)1 << 20)
#define COUNT 200

/*  Some ranges, or slots, of a pool; by the main thread. */
typedef struct Field {
    Rig* rig;
    SxvkPool pool;
    sxvki_domain* domain; /* of the first allocation */
    SxvkAllocation all[COUNT];
} Field;

static SxvkAllocation take(Field* field, VkDeviceSize size) {
    VkMemoryRequirements requirements = testing_requirements(size, 1, UINT32_MAX);
    SxvkAllocationCreateInfo info = {.pool = field->pool};
    SxvkAllocation allocation;
    assert_int_equal(
        sxvkAllocateMemory(field->rig->allocator, &requirements, &info, &allocation, NULL),
        VK_SUCCESS);
    return allocation;
}

static void field_open(Field* field, Rig* rig, const SxvkPoolCreateInfo* pool, VkDeviceSize size) {
    uint32_t i;
    memset(field, 0, sizeof *field);
    field->rig = rig;
    assert_int_equal(sxvkCreatePool(rig->allocator, pool, &field->pool), VK_SUCCESS);
    for (i = 0; i < COUNT; i++) {
        field->all[i] = take(field, size);
    }
    field->domain =
        sxvki_block_of(&rig->allocator->device, sxvki_handle_index(field->all[0]))->domain;
}

static uint32_t live(Field* field) {
    SxvkStatistics stats;
    sxvkGetPoolStatistics(field->rig->allocator, field->pool, &stats);
    return stats.allocationCount;
}

static uint32_t letters(const Field* field) {
    return (uint32_t)__builtin_popcount(field->domain->mail_bits);
}

/*  Free all[from .. to). */
typedef struct Order {
    Field* field;
    uint32_t from, to;
} Order;

static void* carry_out(void* user) {
    const Order* order = (const Order*)user;
    uint32_t i;
    for (i = order->from; i < order->to; i++) {
        sxvkFreeMemory(order->field->rig->allocator, order->field->all[i]);
    }
    return NULL;
}

static void free_elsewhere(Field* field, uint32_t from, uint32_t to) {
    Order order = {field, from, to};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, carry_out, &order), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static const SxvkPoolCreateInfo one_block = {.memoryTypeIndex = LOCAL, .blockSize = 32 * MIB};

/* ------------------------------------------------------------------ ranges */

/*  Another thread's frees are letters until there is no room, then all are read; who allocates gets
    none of its own. */
static void test_letters(void** state) {
    Rig* rig = rig_create(NULL);
    Field field;
    uint32_t i;
    (void)state;
    field_open(&field, rig, &one_block, 64 * KIB);
    sxvkFreeMemory(rig->allocator, field.all[0]);
    assert_int_equal(letters(&field), 0);
    free_elsewhere(&field, 1, 1 + SXVKI_MAIL_MAX);
    assert_int_equal(letters(&field), SXVKI_MAIL_MAX);
    assert_int_equal(field.domain->live_count, COUNT - 1);
    for (i = 1; i <= SXVKI_MAIL_MAX; i++) { /* dead already */
        assert_false(sxvkIsAllocationValid(rig->allocator, field.all[i]));
        sxvkFreeMemory(rig->allocator, field.all[i]);
    }
    rig_expect(rig, SXVK_MESSAGE_INVALID_ALLOCATION, SXVKI_MAIL_MAX);
    assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_SUCCESS);
    free_elsewhere(&field, 1 + SXVKI_MAIL_MAX, 2 + SXVKI_MAIL_MAX);
    assert_int_equal(letters(&field), 0);
    assert_int_equal(field.domain->live_count, COUNT - 2 - SXVKI_MAIL_MAX);
    /* Statistics read first, and so does a free under the lock. */
    free_elsewhere(&field, 20, 24);
    assert_int_equal(letters(&field), 4);
    assert_int_equal(live(&field), COUNT - 6 - SXVKI_MAIL_MAX);
    assert_int_equal(letters(&field), 0);
    free_elsewhere(&field, 24, 27);
    sxvkFreeMemory(rig->allocator, field.all[27]);
    assert_int_equal(letters(&field), 0);
    /* So does the tick. */
    free_elsewhere(&field, 28, 30);
    assert_int_equal(letters(&field), 2);
    sxvkSetCurrentFrameIndex(rig->allocator, 1);
    assert_int_equal(letters(&field), 0);
    free_elsewhere(&field, 2 + SXVKI_MAIL_MAX, 20);
    free_elsewhere(&field, 30, COUNT);
    assert_int_equal(live(&field), 0);
    rig_check(rig);
    sxvkDestroyPool(rig->allocator, field.pool);
    rig_destroy(rig);
}

/*  Allocations read now and then, and before they give up. */
static void test_allocations_read(void** state) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = LOCAL, .blockSize = COUNT * 64 * KIB};
    Rig* rig = rig_create(NULL);
    Field field;
    uint32_t i;
    (void)state;
    info.maxBlockCount = 1;
    field_open(&field, rig, &info, 64 * KIB);
    free_elsewhere(&field, 0, 10);
    assert_int_equal(letters(&field), 10);
    field.domain->op_count = 0; /* the next allocation is not one of those that read anyway */
    field.all[0] = take(&field, 64 * KIB);
    assert_int_equal(letters(&field), 0);
    free_elsewhere(&field, 20, 23);
    field.domain->op_count = 0;
    for (i = 1; i < SXVKI_MAIL_EVERY; i++) {
        field.all[i] = take(&field, 64 * KIB);
        assert_int_equal(letters(&field), 3);
    }
    field.all[i] = take(&field, 64 * KIB);
    assert_int_equal(letters(&field), 0);
    assert_int_equal(live(&field), COUNT - 4);
    rig_check(rig);
    for (i = 0; i < COUNT; i++) {
        if (sxvkIsAllocationValid(rig->allocator, field.all[i])) {
            sxvkFreeMemory(rig->allocator, field.all[i]);
        }
    }
    sxvkDestroyPool(rig->allocator, field.pool);
    rig_destroy(rig);
}

/*  Nobody calls again after the last free, and yet the blocks go: a letter keeps none. */
static void test_no_letter_keeps_a_block(void** state) {
    static const SxvkPoolCreateInfo info = {.memoryTypeIndex = LOCAL, .blockSize = 4 * MIB};
    uint32_t split;
    (void)state;
    for (split = 0; split <= COUNT; split += 7) {
        Rig* rig = rig_create(NULL);
        Field field;
        field_open(&field, rig, &info, 64 * KIB);
        free_elsewhere(&field, 0, split);
        free_elsewhere(&field, split, COUNT);
        assert_int_equal(field.domain->live_count, 0);
        assert_int_equal(letters(&field), 0);
        assert_true(sim_live_memory_count(rig->sim) <= 1);
        sxvkDestroyPool(rig->allocator, field.pool);
        rig_destroy(rig);
    }
}

/*  A writer who was late: his block has stopped being busy when his letter is there. */
static void test_late_letter(void** state) {
    Rig* rig = rig_create(NULL);
    sxvki_block* block;
    Field field;
    (void)state;
    field_open(&field, rig, &one_block, 64 * KIB);
    block = sxvki_block_of(&rig->allocator->device, sxvki_handle_index(field.all[0]));
    assert_int_equal(block->is_busy, 1);
    free_elsewhere(&field, 0, COUNT - SXVKI_BUSY_ABOVE - 1);
    assert_int_equal(live(&field), SXVKI_BUSY_ABOVE + 1);
    assert_int_equal(block->is_busy, 1);
    sxvkFreeMemory(rig->allocator, field.all[COUNT - 1]);
    assert_int_equal(block->is_busy, 0);
    block->is_busy = 1; /* what the writer saw */
    free_elsewhere(&field, COUNT - 2, COUNT - 1);
    assert_int_equal(letters(&field), 1);
    block->is_busy = 0;
    free_elsewhere(&field, COUNT - 3, COUNT - 2);
    assert_int_equal(letters(&field), 0);
    assert_int_equal(field.domain->live_count, SXVKI_BUSY_ABOVE - 2);
    free_elsewhere(&field, COUNT - SXVKI_BUSY_ABOVE - 1, COUNT - 3);
    assert_int_equal(field.domain->live_count, 0);
    sxvkDestroyPool(rig->allocator, field.pool);
    rig_destroy(rig);
}

/*  A reader leaves a letter alone that is still being written. */
static void test_unfinished_letter(void** state) {
    Rig* rig = rig_create(NULL);
    uint32_t index, generation;
    sxvki_record* r;
    Field field;
    (void)state;
    field_open(&field, rig, &one_block, 64 * KIB);
    index = sxvki_handle_index(field.all[5]);
    r = sxvki_record_at(&rig->allocator->device.records, index);
    generation = r->generation;
    r->generation |= SXVKI_GENERATION_CLAIMED;
    field.domain->mail_bits = 1;
    free_elsewhere(&field, 0, 3);
    assert_int_equal(field.domain->mail_bits, 15);
    assert_int_equal(live(&field), COUNT - 3);
    assert_int_equal(field.domain->mail_bits, 1);
    assert_int_equal(sxvkCheckIntegrity(rig->allocator), VK_SUCCESS);
    field.domain->mail[0] = index + 1;
    assert_int_equal(live(&field), COUNT - 4);
    assert_int_equal(field.domain->mail_bits, 0);
    assert_int_equal(field.domain->mail[0], 0);
    assert_int_equal(r->generation, sxvki_generation_after(generation));
    rig_check(rig);
    free_elsewhere(&field, 3, 5);
    free_elsewhere(&field, 6, COUNT);
    sxvkDestroyPool(rig->allocator, field.pool);
    rig_destroy(rig);
}

/*  Names and mappings go with the free, not with the letter. */
static void test_named_and_mapped(void** state) {
    SxvkPoolCreateInfo info = {.memoryTypeIndex = HOST, .blockSize = 32 * MIB};
    SxvkAllocationInfo allocationInfo;
    Rig* rig = rig_create(NULL);
    Field field;
    void* data;
    (void)state;
    field_open(&field, rig, &info, 64 * KIB);
    assert_int_equal(sxvkSetAllocationName(rig->allocator, field.all[0], "named"), VK_SUCCESS);
    assert_int_equal(sxvkMapMemory(rig->allocator, field.all[1], &data), VK_SUCCESS);
    free_elsewhere(&field, 0, 2);
    rig_expect(rig, SXVK_MESSAGE_FREED_WHILE_MAPPED, 1);
    assert_int_equal(letters(&field), 2);
    assert_int_equal(live(&field), COUNT - 2);
    field.all[0] = take(&field, 128 * KIB); /* both */
    sxvkGetAllocationInfo(rig->allocator, field.all[0], &allocationInfo);
    assert_null(allocationInfo.pName);
    assert_null(allocationInfo.pMappedData);
    sxvkFreeMemory(rig->allocator, field.all[0]);
    free_elsewhere(&field, 2, COUNT);
    sxvkDestroyPool(rig->allocator, field.pool);
    rig_destroy(rig);
}

/*  What is in a letter when the pool goes has not leaked; all else has, once. */
static void test_pool_with_letters(void** state) {
    Rig* rig = rig_create(NULL);
    Field field;
    (void)state;
    field_open(&field, rig, &one_block, 64 * KIB);
    free_elsewhere(&field, 0, 9);
    assert_int_equal(letters(&field), 9);
    sxvkDestroyPool(rig->allocator, field.pool);
    rig_expect(rig, SXVK_MESSAGE_LEAKED_ALLOCATION, COUNT - 9);
    rig_destroy(rig);
}

static void* destroy_pool(void* user) {
    Field* field = (Field*)user;
    sxvkDestroyPool(field->rig->allocator, field->pool);
    return NULL;
}

/*  The same by a thread that allocates nothing: it would post what it frees. */
static void test_pool_destroyed_elsewhere(void** state) {
    Rig* rig = rig_create(NULL);
    pthread_t thread;
    Field field;
    (void)state;
    field_open(&field, rig, &one_block, 64 * KIB);
    free_elsewhere(&field, 0, 9);
    assert_int_equal(pthread_create(&thread, NULL, destroy_pool, &field), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    rig_expect(rig, SXVK_MESSAGE_LEAKED_ALLOCATION, COUNT - 9);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ slots */

/*  A letter says that a slab belongs into its list; that it ran empty needs none. */
static void test_slabs(void** state) {
    enum { ANCHORS = SXVKI_SLAB_FEW / (100 * KIB) + 1 };
    static const SxvkPoolCreateInfo info = {.memoryTypeIndex = LOCAL};
    Rig* rig = rig_create(NULL);
    SxvkAllocation anchors[ANCHORS], found;
    uint32_t i, index = 0;
    const sxvki_slab* slab = NULL;
    Field field;
    (void)state;
    memset(&field, 0, sizeof field);
    field.rig = rig;
    assert_int_equal(sxvkCreatePool(rig->allocator, &info, &field.pool), VK_SUCCESS);
    for (i = 0; i < ANCHORS; i++) { /* so much lives here that there are slabs */
        anchors[i] = take(&field, 100 * KIB);
    }
    for (i = 0; i < COUNT; i++) {
        field.all[i] = take(&field, 1024);
    }
    field.domain =
        sxvki_block_of(&rig->allocator->device, sxvki_handle_index(field.all[0]))->domain;
    for (i = 0; i < COUNT; i++) { /* a full one */
        index = sxvki_handle_index(field.all[i]);
        if (index & SXVKI_HANDLE_SLAB_BIT) {
            slab = sxvki_slab_of(&rig->allocator->device.records, index);
            if (slab->word == 0) {
                break;
            }
        }
    }
    assert_true(i < COUNT);
    free_elsewhere(&field, i, i + 1);
    assert_int_equal(letters(&field), 1);
    assert_int_equal(slab->is_listed, 0);
    assert_int_equal(live(&field), COUNT + ANCHORS - 1); /* and read by that */
    assert_int_equal(slab->is_listed, 1);
    found = take(&field, 1024); /* the latest slab comes first */
    assert_int_equal(sxvki_slot_slab(sxvki_handle_index(found)), sxvki_slot_slab(index));
    assert_int_equal(slab->word, 0);
    /* The first free is posted; the last one of the slab closes it, and the letter is late. */
    field.all[i] = found;
    free_elsewhere(&field, i, i + 1);
    assert_int_equal(letters(&field), 1);
    free_elsewhere(&field, 0, i);
    free_elsewhere(&field, i + 1, COUNT);
    rig_check(rig);
    assert_int_equal(live(&field), ANCHORS);
    assert_int_equal(field.domain->slab_count, 0);
    assert_int_equal(letters(&field), 0);
    for (i = 0; i < ANCHORS; i++) {
        sxvkFreeMemory(rig->allocator, anchors[i]);
    }
    sxvkDestroyPool(rig->allocator, field.pool);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ no mail */

static void test_externally_synchronized(void** state) {
    RigOptions options = rig_options();
    Rig* rig;
    Field field;
    (void)state;
    options.info.flags = SXVK_ALLOCATOR_CREATE_EXTERNALLY_SYNCHRONIZED_BIT;
    rig = rig_create(&options);
    field_open(&field, rig, &one_block, 64 * KIB);
    free_elsewhere(&field, 0, COUNT / 2);
    assert_int_equal(letters(&field), 0);
    assert_int_equal(field.domain->live_count, COUNT / 2);
    rig_check(rig);
    free_elsewhere(&field, COUNT / 2, COUNT);
    assert_int_equal(field.domain->live_count, 0);
    sxvkDestroyPool(rig->allocator, field.pool);
    rig_destroy(rig);
}

/* ------------------------------------------------------------------ callbacks */

typedef struct Avenger {
    Messages messages;
    Field* field;
} Avenger;

static void VKAPI_PTR destroy_when_told(void* user, const SxvkMessageInfo* pInfo) {
    Avenger* avenger = (Avenger*)user;
    messages_callback(&avenger->messages, pInfo);
    if (pInfo->message == SXVK_MESSAGE_FREED_WHILE_MAPPED) {
        sxvkDestroyPool(avenger->field->rig->allocator, avenger->field->pool);
    }
}

/*  The message that a free left a mapping comes when the range is back: its callback may destroy the
    pool, and finds what is still alive there, but not what is being freed. */
static void destroy_in_callback(const SxvkPoolCreateInfo* info, VkDeviceSize size) {
    RigOptions options = rig_options();
    Avenger avenger;
    Field field;
    Rig* rig;
    void* data;
    memset(&avenger, 0, sizeof avenger);
    avenger.field = &field;
    options.info.pfnMessage = destroy_when_told;
    options.info.pMessageUserData = &avenger;
    rig = rig_create(&options);
    field_open(&field, rig, info, size);
    assert_int_equal(sxvkMapMemory(rig->allocator, field.all[COUNT - 1], &data), VK_SUCCESS);
    sxvkFreeMemory(rig->allocator, field.all[COUNT - 1]);
    assert_int_equal(avenger.messages.counts[SXVK_MESSAGE_FREED_WHILE_MAPPED], 1);
    assert_int_equal(avenger.messages.counts[SXVK_MESSAGE_LEAKED_ALLOCATION], COUNT - 1);
    assert_int_equal(avenger.messages.total, COUNT);
    assert_int_equal(sim_live_memory_count(rig->sim), 0);
    rig_destroy(rig);
}

static void test_pool_destroyed_in_callback(void** state) {
    static const SxvkPoolCreateInfo fixed = {.memoryTypeIndex = HOST, .blockSize = 32 * MIB};
    static const SxvkPoolCreateInfo growing = {.memoryTypeIndex = HOST};
    (void)state;
    destroy_in_callback(&fixed, 64 * KIB);
    destroy_in_callback(&growing, 64 * KIB);
    destroy_in_callback(&growing, 12 * KIB); /* the last ones are slots */
    destroy_in_callback(&growing, 16 * MIB); /* dedicated */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_allocations_read),
        cmocka_unit_test(test_no_letter_keeps_a_block),
        cmocka_unit_test(test_late_letter),
        cmocka_unit_test(test_unfinished_letter),
        cmocka_unit_test(test_named_and_mapped),
        cmocka_unit_test(test_pool_with_letters),
        cmocka_unit_test(test_pool_destroyed_elsewhere),
        cmocka_unit_test(test_slabs),
        cmocka_unit_test(test_externally_synchronized),
        cmocka_unit_test(test_pool_destroyed_in_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
