/*  testing.h - what the tests share: an allocator on a simulated device, and eyes on all it does.

        Rig* rig = rig_create(NULL);                    a discrete GPU, Vulkan 1.3, no flags
        ... sxvkCreateBuffer(rig->allocator, ...) ...
        rig_expect(rig, SXVK_MESSAGE_BAD_SIZE, 1);      this message came once, and no other one
        rig_destroy(rig);                               nothing leaked, no mistake, no more messages

    Options:

        RigOptions options = rig_options();
        SimProfile profile = testing_profile(TESTING_PROFILES, "nvidia_h200_linux_r580");
        options.profile = &profile;
        options.info.flags = SXVK_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
        Rig* rig = rig_create(&options);

    Include <cmocka.h> first and a failure fails the test; without it, it prints and aborts. The
    calling file compiles or links the implementation of sx_vkalloc.h.
*/
#ifndef TESTING_H
#define TESTING_H

#include "sim.h"
#include "sx_vkalloc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ messages */

/*  All messages since the start or the last messages_clear. From any thread. */
typedef struct Messages {
    uint32_t counts[SXVK_MESSAGE_COUNT];
    uint32_t total;
    SxvkMessage last;
    SxvkMessageSeverity lastSeverity;
    char text[512]; /* of the last one */
} Messages;

/*  A PFN_sxvkMessageCallback; pMessages is a Messages*. */
void VKAPI_PTR messages_callback(void* pMessages, const SxvkMessageInfo* pInfo);
void messages_clear(Messages* messages);
const char* message_name(SxvkMessage message); /* "BAD_SIZE" */

/* ------------------------------------------------------------------ host memory */

/*  VkAllocationCallbacks that count, fail on demand and check their caller: blocks freed twice or
    by a stranger, written outside of, leaked. Zero it, then host_init. From any thread. */
typedef struct Host {
    VkAllocationCallbacks callbacks; /* give this to the code under test */
    uint64_t calls;                  /* that asked for memory, since the start */
    uint64_t failed;                 /* of these, how many got none */
    uint64_t failFirst;              /* calls number failFirst .. failLast fail; see host_fail */
    uint64_t failLast;
    uint64_t liveCount;
    uint64_t liveBytes;
    uint64_t mistakes; /* each with a line on stderr */
} Host;

void host_init(Host* host);

/*  From the nth request for memory on (1 = the next one), `times` in a row get none (UINT32_MAX =
    for ever). times 0 ends it. */
void host_fail(Host* host, uint64_t nth, uint32_t times);

/* ------------------------------------------------------------------ rig */

typedef struct RigOptions {
    const SimProfile* profile; /* null: sim_profile_discrete() */
    SimOptions sim;            /* see sim_default_options */
    /* Instance, devices, functions, host memory and messages are filled in where they are null;
       a version of 0 becomes the simulated device's. */
    SxvkAllocatorCreateInfo info;
} RigOptions;

typedef struct Rig {
    Sim* sim;
    SxvkAllocator allocator;
    SxvkAllocatorCreateInfo info; /* what the allocator was made with: make a second one by it */
    SxvkVulkanFunctions functions;
    Host host;
    Messages messages;
} Rig;

RigOptions rig_options(void);

#ifdef CMOCKA_H_
#define TESTING_FAIL _fail
#else
#define TESTING_FAIL testing_abort
#endif
#define TESTING_HERE TESTING_FAIL, __FILE__, __LINE__

/*  Null options: the defaults. */
#define rig_create(options) rig_create_at(TESTING_HERE, (options))

/*  As rig_create, with no allocator yet: for tests of sxvkCreateAllocator with rig->info. */
#define rig_create_bare(options) rig_create_bare_at(TESTING_HERE, (options))

/*  Destroys the allocator and the device. Fails on: broken integrity, leaked memory of device or
    host, mistakes that the simulated device saw, messages that no rig_expect asked for. */
#define rig_destroy(rig) rig_destroy_at(TESTING_HERE, (rig))

/*  The same without the allocator, for tests that expect something of its end; rig->allocator is
    null afterwards. */
#define rig_destroy_allocator(rig) rig_destroy_allocator_at(TESTING_HERE, (rig))

/*  This message came so often and no other one came; then forget them. */
#define rig_expect(rig, message, count) rig_expect_at(TESTING_HERE, (rig), (message), (count))
#define rig_expect_silence(rig)         rig_expect_at(TESTING_HERE, (rig), SXVK_MESSAGE_NONE, 0)

/*  size bytes of this memory type, without flags; must succeed. */
#define rig_allocate(rig, memoryType, size)                                                        \
    rig_allocate_at(TESTING_HERE, (rig), (memoryType), (size))

/*  Integrity holds, and the sum of all pools is what the device says is live. */
#define rig_check(rig) rig_check_at(TESTING_HERE, (rig))

/*  Driver calls of all kinds so far, look-ups of functions left out. */
uint64_t rig_calls(Rig* rig);

/*  Counters of all heaps, by sxvkGetHeapBudget. */
SxvkStatistics rig_statistics(Rig* rig);

/* ------------------------------------------------------------------ small things */

/*  One profile of a file of profiles, which the folder of test data has; aborts if it is not there.
    */
#ifdef SXVK_TEST_DATA_DIR
#define TESTING_PROFILES SXVK_TEST_DATA_DIR "/gpu_profiles.json"
#endif
SimProfile testing_profile(const char* path, const char* name);

VkBufferCreateInfo testing_buffer(VkDeviceSize size, VkBufferUsageFlags usage);
/*  2-D, RGBA8, one level; sampled and copied to. */
VkImageCreateInfo testing_image(uint32_t width, uint32_t height, VkImageTiling tiling);
VkMemoryRequirements testing_requirements(VkDeviceSize size, VkDeviceSize alignment,
                                          uint32_t memoryTypeBits);

/*  splitmix64, and the two draws that the benchmarks use: below(n), and log-uniform in [lo, hi]. */
uint64_t testing_random(uint64_t* pState);
uint32_t testing_below(uint64_t* pState, uint32_t n);
uint64_t testing_log_uniform(uint64_t* pState, uint64_t lo, uint64_t hi);

/* ------------------------------------------------------------------ behind the macros */

typedef void (*TestingFail)(const char* file, int line);

void testing_abort(const char* file, int line);
Rig* rig_create_at(TestingFail fail, const char* file, int line, const RigOptions* options);
Rig* rig_create_bare_at(TestingFail fail, const char* file, int line, const RigOptions* options);
void rig_destroy_at(TestingFail fail, const char* file, int line, Rig* rig);
void rig_destroy_allocator_at(TestingFail fail, const char* file, int line, Rig* rig);
void rig_expect_at(TestingFail fail, const char* file, int line, Rig* rig, SxvkMessage message,
                   uint32_t count);
SxvkAllocation rig_allocate_at(TestingFail fail, const char* file, int line, Rig* rig,
                               uint32_t memoryType, VkDeviceSize size);
void rig_check_at(TestingFail fail, const char* file, int line, Rig* rig);

#ifdef __cplusplus
}
#endif

#endif /* TESTING_H */
