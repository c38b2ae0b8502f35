// subject_offset_allocator.cpp - sebbbi's OffsetAllocator; compiled only where
// SX_VKALLOC_BENCH_OFFSET_ALLOCATOR_DIR says where offsetAllocator.hpp and .cpp are.
//
// It knows 32-bit numbers and no alignments: one unit is the grain of the sequence, which all sizes
// and alignments are multiples of, or are rounded up to.

#include <offsetAllocator.hpp>

#include "subject.h"

#include <cstdlib>

namespace {

struct Offsets {
    Subject base;
    OffsetAllocator::Allocator* allocator;
    uint64_t grain;
};

Subject* offsets_open(const Setup* setup) {
    Offsets* offsets = static_cast<Offsets*>(allocate_or_die(1, sizeof(Offsets)));
    uint64_t units = setup->spanBytes / setup->grain;
    if (units > UINT32_MAX) {
        die("%llu units are too many for OffsetAllocator", static_cast<unsigned long long>(units));
    }
    offsets->base.kind = &subject_offset_allocator;
    offsets->grain = setup->grain;
    // A record for each allocation, and one for each hole between two of them.
    offsets->allocator =
        new OffsetAllocator::Allocator(static_cast<uint32_t>(units), setup->maxLive * 2 + 16);
    return &offsets->base;
}

void offsets_close(Subject* subject) {
    Offsets* offsets = reinterpret_cast<Offsets*>(subject);
    delete offsets->allocator;
    std::free(offsets);
}

void* offsets_allocate(Subject* subject, uint64_t size, uint64_t, uint32_t) {
    Offsets* offsets = reinterpret_cast<Offsets*>(subject);
    uint64_t units = (size + offsets->grain - 1) / offsets->grain;
    OffsetAllocator::Allocation allocation =
        offsets->allocator->allocate(static_cast<uint32_t>(units));
    if (allocation.offset == OffsetAllocator::Allocation::NO_SPACE) {
        return nullptr;
    }
    // Both numbers in one handle, and never null.
    uint64_t handle = (static_cast<uint64_t>(allocation.metadata) + 1) << 32 | allocation.offset;
    return reinterpret_cast<void*>(static_cast<uintptr_t>(handle));
}

void offsets_release(Subject* subject, void* handle) {
    uint64_t bits = reinterpret_cast<uintptr_t>(handle);
    OffsetAllocator::Allocation allocation;
    allocation.offset = static_cast<uint32_t>(bits);
    allocation.metadata =
        static_cast<OffsetAllocator::NodeIndex>(static_cast<uint32_t>(bits >> 32) - 1);
    reinterpret_cast<Offsets*>(subject)->allocator->free(allocation);
}

} // namespace

extern "C" const SubjectKind subject_offset_allocator = {
    "offset_allocator",
    "OffsetAllocator",
    FIXED_RANGE,
    nullptr,
    offsets_open,
    offsets_close,
    offsets_allocate,
    offsets_release,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
};
