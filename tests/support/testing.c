/*  testing.c - see testing.h. Compile with sim.c and cJSON. */

#include "testing.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_UP(counter, n)   ((void)__atomic_add_fetch(&(counter), (n), __ATOMIC_RELAXED))
#define COUNT_DOWN(counter, n) ((void)__atomic_sub_fetch(&(counter), (n), __ATOMIC_RELAXED))

/* ------------------------------------------------------------------ messages */

void VKAPI_PTR messages_callback(void* pMessages, const SxvkMessageInfo* pInfo) {
    Messages* messages = (Messages*)pMessages;
    static int lock;
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) {
    }
    messages->counts[pInfo->message]++;
    messages->total++;
    messages->last = pInfo->message;
    messages->lastSeverity = pInfo->severity;
    snprintf(messages->text, sizeof messages->text, "%s", pInfo->pText);
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

void messages_clear(Messages* messages) {
    memset(messages, 0, sizeof *messages);
}

const char* message_name(SxvkMessage message) {
    static const char* const names[] = {"NONE",
#define X(id, severity, text) #id,
                                        SXVK_MESSAGES(X)
#undef X
    };
    return names[message];
}

/* ------------------------------------------------------------------ host memory */

/*  Stands before each block; GUARD bytes stand behind it. */
typedef struct HostHeader {
    uint64_t magic;
    Host* host;
    void* base; /* what malloc gave */
    size_t size;
} HostHeader;

#define HOST_LIVE  UINT64_C(0x6c6976652d686f73)
#define HOST_DEAD  UINT64_C(0x646561642d686f73)
#define GUARD      16
#define GUARD_BYTE 0xA7

static void host_mistake(Host* host, const char* what, size_t size) {
    COUNT_UP(host->mistakes, 1);
    fprintf(stderr, "host memory: %s, %zu bytes\n", what, size);
}

static void* VKAPI_PTR host_allocate(void* pUserData, size_t size, size_t alignment,
                                     VkSystemAllocationScope scope) {
    Host* host = (Host*)pUserData;
    uint64_t call = __atomic_add_fetch(&host->calls, 1, __ATOMIC_RELAXED);
    HostHeader header;
    uintptr_t address;
    (void)scope;
    if (size == 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) {
        host_mistake(host, "a size of 0 or a bad alignment", size);
        return NULL;
    }
    if (call >= host->failFirst && call <= host->failLast) {
        COUNT_UP(host->failed, 1);
        return NULL;
    }
    header.base = malloc(sizeof header + alignment - 1 + size + GUARD);
    if (header.base == NULL) {
        return NULL;
    }
    header.magic = HOST_LIVE;
    header.host = host;
    header.size = size;
    address =
        ((uintptr_t)header.base + sizeof header + alignment - 1) & ~(uintptr_t)(alignment - 1);
    memcpy((char*)address - sizeof header, &header, sizeof header);
    memset((char*)address, GUARD_BYTE, size + GUARD);
    COUNT_UP(host->liveCount, 1);
    COUNT_UP(host->liveBytes, size);
    return (void*)address;
}

static void VKAPI_PTR host_free(void* pUserData, void* pMemory) {
    Host* host = (Host*)pUserData;
    unsigned char* memory = (unsigned char*)pMemory;
    HostHeader header;
    size_t i;
    if (memory == NULL) {
        return;
    }
    memcpy(&header, memory - sizeof header, sizeof header);
    if (header.magic != HOST_LIVE || header.host != host) {
        host_mistake(host, "freed twice, or never allocated here", 0);
        return;
    }
    for (i = 0; i < GUARD; i++) {
        if (memory[header.size + i] != GUARD_BYTE) {
            host_mistake(host, "written behind its end", header.size);
            break;
        }
    }
    COUNT_DOWN(host->liveCount, 1);
    COUNT_DOWN(host->liveBytes, header.size);
    header.magic = HOST_DEAD;
    memcpy(memory - sizeof header, &header, sizeof header);
    free(header.base);
}

static void* VKAPI_PTR host_reallocate(void* pUserData, void* pOriginal, size_t size,
                                       size_t alignment, VkSystemAllocationScope scope) {
    HostHeader header;
    void* memory;
    if (pOriginal == NULL) {
        return host_allocate(pUserData, size, alignment, scope);
    }
    if (size == 0) {
        host_free(pUserData, pOriginal);
        return NULL;
    }
    memcpy(&header, (char*)pOriginal - sizeof header, sizeof header);
    memory = host_allocate(pUserData, size, alignment, scope);
    if (memory != NULL) {
        memcpy(memory, pOriginal, size < header.size ? size : header.size);
        host_free(pUserData, pOriginal);
    }
    return memory;
}

void host_init(Host* host) {
    memset(host, 0, sizeof *host);
    host->callbacks.pUserData = host;
    host->callbacks.pfnAllocation = host_allocate;
    host->callbacks.pfnReallocation = host_reallocate;
    host->callbacks.pfnFree = host_free;
    host->failFirst = UINT64_MAX;
}

void host_fail(Host* host, uint64_t nth, uint32_t times) {
    host->failFirst = times == 0 ? UINT64_MAX : host->calls + nth;
    host->failLast = times == UINT32_MAX ? UINT64_MAX : host->calls + nth + times - 1;
    if (times == 0) {
        host->failLast = 0;
    }
}

/* ------------------------------------------------------------------ rig */

void testing_abort(const char* file, int line) {
    fprintf(stderr, "%s:%d: failed\n", file, line);
    abort();
}

RigOptions rig_options(void) {
    RigOptions options;
    memset(&options, 0, sizeof options);
    options.sim = sim_default_options();
    return options;
}

Rig* rig_create_bare_at(TestingFail fail, const char* file, int line, const RigOptions* options) {
    RigOptions defaults = rig_options();
    SimProfile profile = sim_profile_discrete();
    Rig* rig = (Rig*)calloc(1, sizeof *rig);
    if (options == NULL) {
        options = &defaults;
    }
    if (rig == NULL) {
        fail(file, line);
        return NULL;
    }
    rig->sim = sim_create(options->profile != NULL ? options->profile : &profile, &options->sim);
    if (rig->sim == NULL) {
        fail(file, line);
        return NULL;
    }
    host_init(&rig->host);
    rig->functions.vkGetInstanceProcAddr = sim_get_instance_proc_addr();
    rig->functions.vkGetDeviceProcAddr = sim_get_device_proc_addr();
    rig->info = options->info;
    rig->info.instance = sim_instance(rig->sim);
    rig->info.physicalDevice = sim_physical_device(rig->sim);
    rig->info.device = sim_device(rig->sim);
    if (rig->info.vulkanApiVersion == 0) {
        rig->info.vulkanApiVersion = options->sim.apiVersion;
    }
    if (rig->info.pVulkanFunctions == NULL) {
        rig->info.pVulkanFunctions = &rig->functions;
    }
    if (rig->info.pAllocationCallbacks == NULL) {
        rig->info.pAllocationCallbacks = &rig->host.callbacks;
    }
    if (rig->info.pfnMessage == NULL) {
        rig->info.pfnMessage = messages_callback;
        rig->info.pMessageUserData = &rig->messages;
    }
    return rig;
}

Rig* rig_create_at(TestingFail fail, const char* file, int line, const RigOptions* options) {
    Rig* rig = rig_create_bare_at(fail, file, line, options);
    VkResult result = sxvkCreateAllocator(&rig->info, &rig->allocator);
    if (result != VK_SUCCESS) {
        fprintf(stderr, "sxvkCreateAllocator: VkResult %d, %s\n", (int)result, rig->messages.text);
        fail(file, line);
    }
    return rig;
}

void rig_expect_at(TestingFail fail, const char* file, int line, Rig* rig, SxvkMessage message,
                   uint32_t count) {
    const Messages* m = &rig->messages;
    uint32_t found = m->counts[message];
    if (found != count || m->total != count) {
        fprintf(stderr,
                "%s came %u times, expected %u; all messages: %u, the last one: %s, \"%s\"\n",
                message_name(message), found, count, m->total, message_name(m->last), m->text);
        fail(file, line);
    }
    messages_clear(&rig->messages);
}

uint64_t rig_calls(Rig* rig) {
    return sim_calls(rig->sim, SIM_CALL_ANY);
}

SxvkStatistics rig_statistics(Rig* rig) {
    uint32_t heapCount = sim_profile(rig->sim)->memory.memoryHeapCount;
    SxvkStatistics sum;
    uint32_t h;
    memset(&sum, 0, sizeof sum);
    for (h = 0; h < heapCount; h++) {
        SxvkBudget budget;
        sxvkGetHeapBudget(rig->allocator, h, &budget);
        sum.blockCount += budget.statistics.blockCount;
        sum.allocationCount += budget.statistics.allocationCount;
        sum.blockBytes += budget.statistics.blockBytes;
        sum.allocationBytes += budget.statistics.allocationBytes;
    }
    return sum;
}

SxvkAllocation rig_allocate_at(TestingFail fail, const char* file, int line, Rig* rig,
                               uint32_t memoryType, VkDeviceSize size) {
    VkMemoryRequirements requirements = testing_requirements(size, 1, 1u << memoryType);
    SxvkAllocationCreateInfo info;
    SxvkAllocation allocation;
    VkResult result;
    memset(&info, 0, sizeof info);
    result = sxvkAllocateMemory(rig->allocator, &requirements, &info, &allocation, NULL);
    if (result != VK_SUCCESS) {
        fprintf(stderr, "sxvkAllocateMemory, %" PRIu64 " bytes of type %u: VkResult %d\n", size,
                memoryType, (int)result);
        fail(file, line);
    }
    return allocation;
}

void rig_check_at(TestingFail fail, const char* file, int line, Rig* rig) {
    SxvkStatistics sum = rig_statistics(rig);
    uint64_t count = sim_live_memory_count(rig->sim);
    VkDeviceSize bytes = sim_live_memory_total(rig->sim);
    if (sxvkCheckIntegrity(rig->allocator) != VK_SUCCESS) {
        fprintf(stderr, "integrity: %s\n", rig->messages.text);
        fail(file, line);
    }
    if (sum.blockCount != count || sum.blockBytes != bytes) {
        fprintf(stderr,
                "statistics say %u blocks, %" PRIu64 " bytes; the device has %" PRIu64 ", %" PRIu64
                "\n",
                sum.blockCount, sum.blockBytes, count, bytes);
        fail(file, line);
    }
}

void rig_destroy_allocator_at(TestingFail fail, const char* file, int line, Rig* rig) {
    if (rig->allocator != NULL) {
        rig_check_at(fail, file, line, rig);
        sxvkDestroyAllocator(rig->allocator);
        rig->allocator = NULL;
    }
}

void rig_destroy_at(TestingFail fail, const char* file, int line, Rig* rig) {
    uint64_t errors, leaks;
    int wrong = 0;
    rig_destroy_allocator_at(fail, file, line, rig);
    rig_expect_at(fail, file, line, rig, SXVK_MESSAGE_NONE, 0);
    errors = sim_errors(rig->sim);
    leaks = sim_destroy(rig->sim);
    if (errors != 0 || leaks != 0) {
        fprintf(stderr, "the device saw %" PRIu64 " mistakes and %" PRIu64 " leaks\n", errors,
                leaks);
        wrong = 1;
    }
    if (rig->host.liveCount != 0 || rig->host.mistakes != 0) {
        fprintf(stderr, "host memory: %" PRIu64 " leaks, %" PRIu64 " bytes, %" PRIu64 " mistakes\n",
                rig->host.liveCount, rig->host.liveBytes, rig->host.mistakes);
        wrong = 1;
    }
    free(rig);
    if (wrong) {
        fail(file, line);
    }
}

/* ------------------------------------------------------------------ small things */

SimProfile testing_profile(const char* path, const char* name) {
    SimProfile* profiles = NULL;
    uint32_t count = 0;
    SimProfile found;
    const SimProfile* profile = NULL;
    if (sim_load_profiles(path, &profiles, &count)) {
        profile = sim_find_profile(profiles, count, name);
    }
    if (profile == NULL) {
        fprintf(stderr, "no profile %s in %s\n", name, path);
        abort();
    }
    found = *profile;
    sim_free_profiles(profiles);
    return found;
}

VkBufferCreateInfo testing_buffer(VkDeviceSize size, VkBufferUsageFlags usage) {
    VkBufferCreateInfo info;
    memset(&info, 0, sizeof info);
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = size;
    info.usage = usage;
    return info;
}

VkImageCreateInfo testing_image(uint32_t width, uint32_t height, VkImageTiling tiling) {
    VkImageCreateInfo info;
    memset(&info, 0, sizeof info);
    info.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO;
    info.imageType = VK_IMAGE_TYPE_2D;
    info.format = VK_FORMAT_R8G8B8A8_UNORM;
    info.extent.width = width;
    info.extent.height = height;
    info.extent.depth = 1;
    info.mipLevels = 1;
    info.arrayLayers = 1;
    info.samples = VK_SAMPLE_COUNT_1_BIT;
    info.tiling = tiling;
    info.usage = VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
    return info;
}

VkMemoryRequirements testing_requirements(VkDeviceSize size, VkDeviceSize alignment,
                                          uint32_t memoryTypeBits) {
    VkMemoryRequirements requirements;
    requirements.size = size;
    requirements.alignment = alignment;
    requirements.memoryTypeBits = memoryTypeBits;
    return requirements;
}

uint64_t testing_random(uint64_t* pState) {
    uint64_t x = *pState += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

uint32_t testing_below(uint64_t* pState, uint32_t n) {
    return (uint32_t)(((testing_random(pState) >> 32) * n) >> 32);
}

uint64_t testing_log_uniform(uint64_t* pState, uint64_t lo, uint64_t hi) {
    double u = (double)(testing_random(pState) >> 11) * 0x1p-53;
    return (uint64_t)floor((double)lo * exp2(u * log2((double)hi / (double)lo)));
}
