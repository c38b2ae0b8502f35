/*
    Shows a frame ring: uniforms for 20 dispatches a frame, three frames in flight, no buffer made and
    nothing freed while it runs. A compute shader reads each slice, a smart buffer brings home what
    it made of them, and every number is checked.

    Build and run, from the repository:
        cc -std=c99 -I. examples/08_frame_ring.c -o frame_ring -lvulkan -pthread
        ./frame_ring
*/

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include "example_device.h"

#define IN_FLIGHT  3
#define FRAMES     100
#define DISPATCHES 20
#define GROUP      64 /* invocations of a dispatch */
#define SETS       16 /* one for each buffer that the ring has ever gone on in */

typedef struct Uniforms {
    uint32_t factor;
    uint32_t offset;
    uint32_t first; /* result */
} Uniforms;

/*  results[first + i] = factor * i + offset, in GLSL:

        layout(local_size_x = 64) in;
        layout(set = 0, binding = 0) uniform Frame { uint factor; uint offset; uint first; } frame;
        layout(set = 0, binding = 1) buffer Results { uint results[]; };
        void main() {
            uint i = gl_GlobalInvocationID.x;
            results[frame.first + i] = frame.factor * i + frame.offset;
        }
*/
static const uint32_t shader[] = {
    0x07230203, 0x00010000, 0x00000000, 0x0000002b, 0x00000000, 0x00020011, 0x00000001, 0x0006000b,
    0x00000001, 0x4c534c47, 0x6474732e, 0x3035342e, 0x00000000, 0x0003000e, 0x00000000, 0x00000001,
    0x0006000f, 0x00000005, 0x00000004, 0x6e69616d, 0x00000000, 0x0000000b, 0x00060010, 0x00000004,
    0x00000011, 0x00000040, 0x00000001, 0x00000001, 0x00040047, 0x0000000b, 0x0000000b, 0x0000001c,
    0x00040047, 0x00000010, 0x00000006, 0x00000004, 0x00050048, 0x00000011, 0x00000000, 0x00000023,
    0x00000000, 0x00030047, 0x00000011, 0x00000003, 0x00040047, 0x00000013, 0x00000022, 0x00000000,
    0x00040047, 0x00000013, 0x00000021, 0x00000001, 0x00050048, 0x00000016, 0x00000000, 0x00000023,
    0x00000000, 0x00050048, 0x00000016, 0x00000001, 0x00000023, 0x00000004, 0x00050048, 0x00000016,
    0x00000002, 0x00000023, 0x00000008, 0x00030047, 0x00000016, 0x00000002, 0x00040047, 0x00000018,
    0x00000022, 0x00000000, 0x00040047, 0x00000018, 0x00000021, 0x00000000, 0x00040047, 0x0000002a,
    0x0000000b, 0x00000019, 0x00020013, 0x00000002, 0x00030021, 0x00000003, 0x00000002, 0x00040015,
    0x00000006, 0x00000020, 0x00000000, 0x00040017, 0x00000009, 0x00000006, 0x00000003, 0x00040020,
    0x0000000a, 0x00000001, 0x00000009, 0x0004003b, 0x0000000a, 0x0000000b, 0x00000001, 0x0004002b,
    0x00000006, 0x0000000c, 0x00000000, 0x00040020, 0x0000000d, 0x00000001, 0x00000006, 0x0003001d,
    0x00000010, 0x00000006, 0x0003001e, 0x00000011, 0x00000010, 0x00040020, 0x00000012, 0x00000002,
    0x00000011, 0x0004003b, 0x00000012, 0x00000013, 0x00000002, 0x00040015, 0x00000014, 0x00000020,
    0x00000001, 0x0004002b, 0x00000014, 0x00000015, 0x00000000, 0x0005001e, 0x00000016, 0x00000006,
    0x00000006, 0x00000006, 0x00040020, 0x00000017, 0x00000002, 0x00000016, 0x0004003b, 0x00000017,
    0x00000018, 0x00000002, 0x0004002b, 0x00000014, 0x00000019, 0x00000002, 0x00040020, 0x0000001a,
    0x00000002, 0x00000006, 0x0004002b, 0x00000014, 0x00000023, 0x00000001, 0x0004002b, 0x00000006,
    0x00000028, 0x00000040, 0x0004002b, 0x00000006, 0x00000029, 0x00000001, 0x0006002c, 0x00000009,
    0x0000002a, 0x00000028, 0x00000029, 0x00000029, 0x00050036, 0x00000002, 0x00000004, 0x00000000,
    0x00000003, 0x000200f8, 0x00000005, 0x00050041, 0x0000000d, 0x0000000e, 0x0000000b, 0x0000000c,
    0x0004003d, 0x00000006, 0x0000000f, 0x0000000e, 0x00050041, 0x0000001a, 0x0000001b, 0x00000018,
    0x00000019, 0x0004003d, 0x00000006, 0x0000001c, 0x0000001b, 0x00050080, 0x00000006, 0x0000001e,
    0x0000001c, 0x0000000f, 0x00050041, 0x0000001a, 0x0000001f, 0x00000018, 0x00000015, 0x0004003d,
    0x00000006, 0x00000020, 0x0000001f, 0x00050084, 0x00000006, 0x00000022, 0x00000020, 0x0000000f,
    0x00050041, 0x0000001a, 0x00000024, 0x00000018, 0x00000023, 0x0004003d, 0x00000006, 0x00000025,
    0x00000024, 0x00050080, 0x00000006, 0x00000026, 0x00000022, 0x00000025, 0x00060041, 0x0000001a,
    0x00000027, 0x00000013, 0x00000015, 0x0000001e, 0x0003003e, 0x00000027, 0x00000026, 0x000100fd,
    0x00010038,
};

typedef struct Program {
    VkDescriptorSetLayout setLayout;
    VkPipelineLayout layout;
    VkPipeline pipeline;
    VkDescriptorPool pool;
    VkDescriptorSet set;
    VkBuffer bound; /* the ring's buffer that the set names */
} Program;

static void create_program(VkDevice device, Program* program) {
    VkDescriptorSetLayoutBinding bindings[2] = {{0}};
    bindings[0].descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER_DYNAMIC;
    bindings[1].binding = 1;
    bindings[1].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    bindings[0].descriptorCount = bindings[1].descriptorCount = 1;
    bindings[0].stageFlags = bindings[1].stageFlags = VK_SHADER_STAGE_COMPUTE_BIT;
    VkDescriptorSetLayoutCreateInfo setInfo = {0};
    setInfo.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
    setInfo.bindingCount = 2;
    setInfo.pBindings = bindings;
    EXAMPLE_CHECK(vkCreateDescriptorSetLayout(device, &setInfo, NULL, &program->setLayout) ==
                  VK_SUCCESS);

    VkPipelineLayoutCreateInfo layoutInfo = {0};
    layoutInfo.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
    layoutInfo.setLayoutCount = 1;
    layoutInfo.pSetLayouts = &program->setLayout;
    EXAMPLE_CHECK(vkCreatePipelineLayout(device, &layoutInfo, NULL, &program->layout) ==
                  VK_SUCCESS);

    VkShaderModuleCreateInfo moduleInfo = {0};
    moduleInfo.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
    moduleInfo.codeSize = sizeof shader;
    moduleInfo.pCode = shader;
    VkShaderModule module;
    EXAMPLE_CHECK(vkCreateShaderModule(device, &moduleInfo, NULL, &module) == VK_SUCCESS);
    VkComputePipelineCreateInfo pipelineInfo = {0};
    pipelineInfo.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
    pipelineInfo.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
    pipelineInfo.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
    pipelineInfo.stage.module = module;
    pipelineInfo.stage.pName = "main";
    pipelineInfo.layout = program->layout;
    EXAMPLE_CHECK(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &pipelineInfo, NULL,
                                           &program->pipeline) == VK_SUCCESS);
    vkDestroyShaderModule(device, module, NULL);

    const VkDescriptorPoolSize sizes[2] = {{VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER_DYNAMIC, SETS},
                                           {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, SETS}};
    VkDescriptorPoolCreateInfo poolInfo = {0};
    poolInfo.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    poolInfo.maxSets = SETS;
    poolInfo.poolSizeCount = 2;
    poolInfo.pPoolSizes = sizes;
    EXAMPLE_CHECK(vkCreateDescriptorPool(device, &poolInfo, NULL, &program->pool) == VK_SUCCESS);
}

static void destroy_program(VkDevice device, Program* program) {
    vkDestroyDescriptorPool(device, program->pool, NULL);
    vkDestroyPipeline(device, program->pipeline, NULL);
    vkDestroyPipelineLayout(device, program->layout, NULL);
    vkDestroyDescriptorSetLayout(device, program->setLayout, NULL);
}

/*  A set for another buffer of the ring: the old one may still be in use. */
static void bind_buffers(VkDevice device, Program* program, VkBuffer uniforms, VkBuffer results) {
    VkDescriptorSetAllocateInfo info = {0};
    info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
    info.descriptorPool = program->pool;
    info.descriptorSetCount = 1;
    info.pSetLayouts = &program->setLayout;
    EXAMPLE_CHECK(vkAllocateDescriptorSets(device, &info, &program->set) == VK_SUCCESS);
    const VkDescriptorBufferInfo buffers[2] = {{uniforms, 0, sizeof(Uniforms)},
                                               {results, 0, VK_WHOLE_SIZE}};
    VkWriteDescriptorSet writes[2] = {{0}};
    for (uint32_t i = 0; i < 2; i++) {
        writes[i].sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
        writes[i].dstSet = program->set;
        writes[i].dstBinding = i;
        writes[i].descriptorCount = 1;
        writes[i].descriptorType =
            i == 0 ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER_DYNAMIC : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        writes[i].pBufferInfo = &buffers[i];
    }
    vkUpdateDescriptorSets(device, 2, writes, 0, NULL);
    program->bound = uniforms;
}

static void record_frame(VkDevice device, Program* program, SxvkFrameRing ring,
                         VkCommandBuffer commands, VkBuffer results, uint32_t frame) {
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, program->pipeline);
    for (uint32_t i = 0; i < DISPATCHES; i++) {
        Uniforms uniforms = {frame, i, ((frame - 1) * DISPATCHES + i) * GROUP};
        SxvkBufferSlice slice;
        EXAMPLE_CHECK(sxvkAllocateFromFrameRing(ring, sizeof uniforms, 0, &slice) == VK_SUCCESS);
        memcpy(slice.pMappedData, &uniforms, sizeof uniforms);
        if (slice.buffer != program->bound) {
            bind_buffers(device, program, slice.buffer, results);
        }
        uint32_t offset = (uint32_t)slice.offset;
        vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, program->layout, 0, 1,
                                &program->set, 1, &offset);
        vkCmdDispatch(commands, 1, 1, 1);
    }
}

int main(void) {
    ExampleDevice example;
    example_create_instance(&example);
    example_create_device(&example);
    SxvkAllocator allocator = example_create_allocator(&example);
    Program program = {0};
    create_program(example.device, &program);

    /* Small on purpose: the ring finds out by itself what three frames need. */
    SxvkFrameRingCreateInfo ringInfo = {0};
    ringInfo.usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT;
    ringInfo.size = 256;
    SxvkFrameRing ring;
    EXAMPLE_CHECK(sxvkCreateFrameRing(allocator, &ringInfo, &ring) == VK_SUCCESS);
    SxvkSmartBufferCreateInfo resultsInfo = {0};
    resultsInfo.size = FRAMES * DISPATCHES * GROUP * sizeof(uint32_t);
    resultsInfo.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
    resultsInfo.access = SXVK_SMART_BUFFER_ACCESS_READBACK;
    resultsInfo.ring = ring;
    SxvkSmartBuffer results;
    EXAMPLE_CHECK(sxvkCreateSmartBuffer(allocator, &resultsInfo, &results) == VK_SUCCESS);
    SxvkSmartBufferInfo where;
    sxvkGetSmartBufferInfo(results, &where);

    VkFence fences[IN_FLIGHT];
    VkCommandBuffer commands[IN_FLIGHT] = {0};
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        const VkFenceCreateInfo fenceInfo = {VK_STRUCTURE_TYPE_FENCE_CREATE_INFO, NULL, 0};
        EXAMPLE_CHECK(vkCreateFence(example.device, &fenceInfo, NULL, &fences[i]) == VK_SUCCESS);
    }
    for (uint32_t frame = 1; frame <= FRAMES; frame++) {
        uint32_t slot = frame % IN_FLIGHT;
        if (frame > IN_FLIGHT) { /* the frame that used this slot before */
            EXAMPLE_CHECK(vkWaitForFences(example.device, 1, &fences[slot], VK_TRUE, UINT64_MAX) ==
                          VK_SUCCESS);
            EXAMPLE_CHECK(vkResetFences(example.device, 1, &fences[slot]) == VK_SUCCESS);
            EXAMPLE_CHECK(sxvkCompleteFrameRing(ring, frame - IN_FLIGHT) == VK_SUCCESS);
            vkFreeCommandBuffers(example.device, example.commandPool, 1, &commands[slot]);
        }
        EXAMPLE_CHECK(sxvkBeginFrameRing(ring, frame) == VK_SUCCESS);
        commands[slot] = example_begin(&example);
        record_frame(example.device, &program, ring, commands[slot], where.slice.buffer, frame);
        if (frame == FRAMES) {
            EXAMPLE_CHECK(sxvkRecordSmartBufferRead(results, commands[slot], 0, resultsInfo.size) ==
                          VK_SUCCESS);
        }
        EXAMPLE_CHECK(vkEndCommandBuffer(commands[slot]) == VK_SUCCESS);
        VkSubmitInfo submit = {0};
        submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
        submit.commandBufferCount = 1;
        submit.pCommandBuffers = &commands[slot];
        EXAMPLE_CHECK(vkQueueSubmit(example.queue, 1, &submit, fences[slot]) == VK_SUCCESS);
    }
    EXAMPLE_CHECK(vkQueueWaitIdle(example.queue) == VK_SUCCESS);

    uint32_t* seen = (uint32_t*)malloc((size_t)resultsInfo.size);
    EXAMPLE_CHECK(seen != NULL);
    EXAMPLE_CHECK(sxvkReadSmartBuffer(results, 0, resultsInfo.size, seen) == VK_SUCCESS);
    for (uint32_t n = 0; n < FRAMES * DISPATCHES * GROUP; n++) {
        uint32_t frame = n / (DISPATCHES * GROUP) + 1;
        EXAMPLE_CHECK(seen[n] == frame * (n % GROUP) + n / GROUP % DISPATCHES);
    }
    free(seen);

    SxvkFrameRingStatistics stats;
    sxvkGetFrameRingStatistics(ring, &stats);
    printf("%d numbers are right; %d slices came out of %u buffers, %d were not made\n",
           FRAMES * DISPATCHES * GROUP, FRAMES * DISPATCHES, stats.spillCount + 1,
           FRAMES * DISPATCHES - (int)stats.spillCount - 1);
    printf("the ring grew from 256 to %u bytes; a frame needs %u, %u were in flight at most\n",
           (uint32_t)stats.size, (uint32_t)stats.peakFrameBytes, (uint32_t)stats.peakBytesInFlight);

    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        vkDestroyFence(example.device, fences[i], NULL);
    }
    sxvkDestroySmartBuffer(allocator, results);
    sxvkDestroyFrameRing(allocator, ring);
    destroy_program(example.device, &program);
    sxvkDestroyAllocator(allocator);
    example_destroy(&example);
    return 0;
}
