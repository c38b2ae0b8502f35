/*
    Shows the allocator in C++11: owners that release what they hold, std::unique_ptr for the
    allocator and a small movable class for a buffer with its memory.

    Build and run, from the repository:
        c++ -std=c++11 -I. examples/06_cpp.cpp -o cpp -lvulkan -pthread
        ./cpp
*/

#include "example_device.h"

#define SX_VKALLOC_IMPLEMENTATION
#include "sx_vkalloc.h"

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

struct AllocatorDeleter {
    void operator()(SxvkAllocator allocator) const {
        sxvkDestroyAllocator(allocator);
    }
};
using Allocator = std::unique_ptr<SxvkAllocator_T, AllocatorDeleter>;

/*  A buffer and its memory, with one owner at a time. The allocator must outlive it. */
class Buffer {
  public:
    Buffer() = default;

    Buffer(SxvkAllocator allocator, VkDeviceSize size, VkBufferUsageFlags usage,
           SxvkAllocationCreateFlags flags = 0)
        : allocator_(allocator) {
        VkBufferCreateInfo bufferInfo = {};
        bufferInfo.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
        bufferInfo.size = size;
        bufferInfo.usage = usage;
        SxvkAllocationCreateInfo allocationInfo = {};
        allocationInfo.usage = SXVK_MEMORY_USAGE_AUTO;
        allocationInfo.flags = flags;
        if (sxvkCreateBuffer(allocator, &bufferInfo, &allocationInfo, &buffer_, &allocation_,
                             nullptr) != VK_SUCCESS) {
            throw std::runtime_error("no memory for a buffer");
        }
    }

    Buffer(Buffer&& other) noexcept {
        swap(other);
    }

    Buffer& operator=(Buffer&& other) noexcept {
        Buffer moved(std::move(other));
        swap(moved);
        return *this;
    }

    ~Buffer() {
        if (allocator_) {
            sxvkDestroyBuffer(allocator_, buffer_, allocation_);
        }
    }

    VkBuffer get() const {
        return buffer_;
    }

    SxvkAllocation allocation() const {
        return allocation_;
    }

  private:
    void swap(Buffer& other) noexcept {
        std::swap(allocator_, other.allocator_);
        std::swap(buffer_, other.buffer_);
        std::swap(allocation_, other.allocation_);
    }

    SxvkAllocator allocator_ = nullptr;
    VkBuffer buffer_ = VK_NULL_HANDLE;
    SxvkAllocation allocation_ = nullptr;
};

static uint32_t count_allocations(SxvkAllocator allocator) {
    SxvkTotalStatistics statistics;
    sxvkCalculateStatistics(allocator, &statistics);
    return statistics.total.statistics.allocationCount;
}

static void use(const ExampleDevice& example) {
    SxvkAllocatorCreateInfo info = {};
    info.instance = example.instance;
    info.physicalDevice = example.physicalDevice;
    info.device = example.device;
    info.vulkanApiVersion = VK_API_VERSION_1_1;
    SxvkAllocator created = nullptr;
    EXAMPLE_CHECK(sxvkCreateAllocator(&info, &created) == VK_SUCCESS);
    Allocator allocator(created);

    {
        std::vector<Buffer> buffers;
        for (VkDeviceSize i = 1; i <= 10; i++) {
            buffers.emplace_back(allocator.get(), i * 1000, VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
            EXAMPLE_CHECK(buffers.back().get() != VK_NULL_HANDLE);
        }
        EXAMPLE_CHECK(count_allocations(allocator.get()) == 10);

        Buffer kept = std::move(buffers.front());
        buffers.clear();
        EXAMPLE_CHECK(count_allocations(allocator.get()) == 1);
        EXAMPLE_CHECK(sxvkIsAllocationValid(allocator.get(), kept.allocation()));

        kept = Buffer(allocator.get(), 4096, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT,
                      SXVK_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT);
        EXAMPLE_CHECK(count_allocations(allocator.get()) == 1);
    }
    EXAMPLE_CHECK(count_allocations(allocator.get()) == 0);
}

int main() {
    ExampleDevice example;
    example_create_instance(&example);
    example_create_device(&example);
    use(example);
    example_destroy(&example);
    printf("11 buffers came and went, each with its owner\n");
    return 0;
}
