/*
    test_gpu_bringup.c - a real device opens and works, and the validation layer sees what is wrong.

    The other tests on real drivers count on the second part: a layer that is missing or silent would
    let everything pass. Run by CTest (gpu.gpu_bringup), or by hand; SXVK_DEVICE chooses the device.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "gpu.h"

static void open_gpu(Gpu* gpu, const GpuOptions* options) {
    bool opened = gpu_open(gpu, options);
    assert_string_equal(gpu->error, "");
    assert_true(opened);
}

static VkBuffer make_buffer(const Gpu* gpu, VkDeviceSize size) {
    const VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = size,
        .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
    };
    VkBuffer buffer = VK_NULL_HANDLE;
    (void)vkCreateBuffer(gpu->device, &info, NULL, &buffer);
    return buffer;
}

/*  A buffer that the device fills, read back by the host: 1,000 times 0xdecade05. */
static void test_device_fills_a_buffer(void** state) {
    (void)state;
    enum { WORDS = 1000 };
    Gpu gpu;
    open_gpu(&gpu, NULL);
    VkBuffer buffer = make_buffer(&gpu, WORDS * sizeof(uint32_t));
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(gpu.device, buffer, &needs);
    const VkMemoryPropertyFlags wanted =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t type = 0;
    while ((needs.memoryTypeBits & (1u << type)) == 0 ||
           (gpu.memory.memoryTypes[type].propertyFlags & wanted) != wanted) {
        type++;
        assert_true(type < gpu.memory.memoryTypeCount);
    }
    const VkMemoryAllocateInfo allocateInfo = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .allocationSize = needs.size,
        .memoryTypeIndex = type,
    };
    VkDeviceMemory memory;
    assert_int_equal(vkAllocateMemory(gpu.device, &allocateInfo, NULL, &memory), VK_SUCCESS);
    assert_int_equal(vkBindBufferMemory(gpu.device, buffer, memory, 0), VK_SUCCESS);

    VkCommandBuffer commands;
    assert_int_equal(gpu_begin(&gpu, &commands), VK_SUCCESS);
    vkCmdFillBuffer(commands, buffer, 0, VK_WHOLE_SIZE, 0xdecade05u);
    const VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_HOST_READ_BIT,
    };
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                         &barrier, 0, NULL, 0, NULL);
    assert_int_equal(gpu_submit(&gpu, commands), VK_SUCCESS);

    void* data = NULL;
    assert_int_equal(vkMapMemory(gpu.device, memory, 0, VK_WHOLE_SIZE, 0, &data), VK_SUCCESS);
    for (int i = 0; i < WORDS; i++) {
        assert_int_equal(((const uint32_t*)data)[i], 0xdecade05u);
    }
    vkUnmapMemory(gpu.device, memory);
    vkDestroyBuffer(gpu.device, buffer, NULL);
    vkFreeMemory(gpu.device, memory, NULL);
    assert_int_equal(gpu_close(&gpu), 0);
}

/*  Without the layer the next two tests and all others on a driver would mean nothing. */
static void test_layer_watches(void** state) {
    (void)state;
    Gpu gpu;
    open_gpu(&gpu, NULL);
    assert_true(gpu.validated);
    assert_int_equal(gpu_validation_messages(&gpu), 0);
    assert_int_equal(gpu_close(&gpu), 0);
}

static void test_wrong_call_is_a_message(void** state) {
    (void)state;
    Gpu gpu;
    open_gpu(&gpu, &(GpuOptions){.quiet = true});
    VkBuffer buffer = make_buffer(&gpu, 0);
    vkDestroyBuffer(gpu.device, buffer, NULL);
    assert_true(gpu_validation_messages(&gpu) > 0);
    assert_true(gpu_close(&gpu) > 0);
}

static void test_forgotten_object_is_a_message(void** state) {
    (void)state;
    Gpu gpu;
    open_gpu(&gpu, &(GpuOptions){.quiet = true});
    VkBuffer buffer = make_buffer(&gpu, 256);
    assert_true(buffer != VK_NULL_HANDLE);
    assert_int_equal(gpu_validation_messages(&gpu), 0);
    assert_true(gpu_close(&gpu) > 0);
}

static void test_hazard_is_a_message(void** state) {
    (void)state;
    Gpu gpu;
    open_gpu(&gpu, &(GpuOptions){.quiet = true});
    VkBuffer buffer = make_buffer(&gpu, 256);
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(gpu.device, buffer, &needs);
    uint32_t type = 0;
    while ((needs.memoryTypeBits & (1u << type)) == 0) {
        type++;
    }
    const VkMemoryAllocateInfo allocateInfo = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .allocationSize = needs.size,
        .memoryTypeIndex = type,
    };
    VkDeviceMemory memory;
    assert_int_equal(vkAllocateMemory(gpu.device, &allocateInfo, NULL, &memory), VK_SUCCESS);
    assert_int_equal(vkBindBufferMemory(gpu.device, buffer, memory, 0), VK_SUCCESS);
    VkCommandBuffer commands;
    assert_int_equal(gpu_begin(&gpu, &commands), VK_SUCCESS);
    vkCmdFillBuffer(commands, buffer, 0, VK_WHOLE_SIZE, 1);
    vkCmdFillBuffer(commands, buffer, 0, VK_WHOLE_SIZE, 2); /* no barrier between the two writes */
    assert_int_equal(gpu_submit(&gpu, commands), VK_SUCCESS);
    assert_true(gpu_validation_messages(&gpu) > 0);
    vkDestroyBuffer(gpu.device, buffer, NULL);
    vkFreeMemory(gpu.device, memory, NULL);
    assert_true(gpu_close(&gpu) > 0);
}

/*  Versions and extensions that a user may have; the create info tells the allocator of them. */
static void test_versions_and_extensions(void** state) {
    (void)state;
    static const uint32_t versions[] = {VK_API_VERSION_1_0, VK_API_VERSION_1_1, VK_API_VERSION_1_2,
                                        VK_API_VERSION_1_3};
    for (size_t i = 0; i < 4; i++) {
        for (int without = 0; without < 2; without++) {
            Gpu gpu;
            open_gpu(&gpu,
                     &(GpuOptions){.apiVersion = versions[i], .withoutExtensions = without == 1});
            assert_true(gpu.apiVersion <= versions[i]);
            SxvkAllocatorCreateInfo info = gpu_allocator_info(&gpu);
            assert_true(info.instance == gpu.instance && info.device == gpu.device);
            assert_true(info.physicalDevice == gpu.physicalDevice);
            assert_int_equal(info.vulkanApiVersion, gpu.apiVersion);
            bool bind2 = (info.flags & SXVK_ALLOCATOR_CREATE_KHR_BIND_MEMORY2_BIT) != 0;
            bool address = (info.flags & SXVK_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT) != 0;
            assert_int_equal(bind2, gpu.bindMemory2);
            assert_int_equal(address, gpu.bufferDeviceAddress);
            if (without == 1) {
                assert_false(gpu.memoryBudget || gpu.memoryPriority || gpu.bufferDeviceAddress);
                assert_int_equal(gpu.bindMemory2, gpu.apiVersion >= VK_API_VERSION_1_1);
            }
            assert_int_equal(gpu_close(&gpu), 0);
        }
    }
}

static void test_device_by_name_and_index(void** state) {
    (void)state;
    Gpu gpu;
    open_gpu(&gpu, &(GpuOptions){.device = "0"});
    char name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "%s", gpu.properties.deviceName);
    assert_int_equal(gpu_close(&gpu), 0);

    FILE* list = tmpfile();
    assert_non_null(list);
    assert_true(gpu_print_devices(list));
    rewind(list);
    char line[512];
    assert_non_null(fgets(line, sizeof(line), list));
    assert_memory_equal(line, "0 ", 2);
    assert_memory_equal(line + 2, name, strlen(name));
    (void)fclose(list);

    name[0] = (char)(name[0] ^ 0x20); /* the other case */
    name[4] = '\0';
    open_gpu(&gpu, &(GpuOptions){.device = name});
    name[0] = (char)(name[0] ^ 0x20);
    assert_memory_equal(gpu.properties.deviceName, name, 4);
    assert_int_equal(gpu_close(&gpu), 0);

    static const char* const unknown[] = {"no such device", "99", "-1"};
    for (size_t i = 0; i < 3; i++) {
        assert_false(gpu_open(&gpu, &(GpuOptions){.device = unknown[i]}));
        assert_non_null(strstr(gpu.error, unknown[i]));
        assert_true(gpu.instance == VK_NULL_HANDLE);
        assert_int_equal(gpu_close(&gpu), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_watches),
        cmocka_unit_test(test_device_fills_a_buffer),
        cmocka_unit_test(test_wrong_call_is_a_message),
        cmocka_unit_test(test_forgotten_object_is_a_message),
        cmocka_unit_test(test_hazard_is_a_message),
        cmocka_unit_test(test_versions_and_extensions),
        cmocka_unit_test(test_device_by_name_and_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
