/*
    What the demo has to know of image formats, see demo_format.h.
*/

#include "demo_format.h"

#include <string.h>

#define COPY_USAGE                                                                                 \
    ((VkImageUsageFlags)(VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT))

typedef struct TexelBlock {
    VkFormat last; /* of a run of formats that are alike */
    uint8_t bytes, width, height;
} TexelBlock;

/*  The formats of Vulkan 1.0, numbered without gaps; of depth formats the bytes of their depth. */
static const TexelBlock texel_blocks[] = {
    {VK_FORMAT_UNDEFINED, 0, 1, 1},
    {VK_FORMAT_R4G4_UNORM_PACK8, 1, 1, 1},
    {VK_FORMAT_A1R5G5B5_UNORM_PACK16, 2, 1, 1},
    {VK_FORMAT_R8_SRGB, 1, 1, 1},
    {VK_FORMAT_R8G8_SRGB, 2, 1, 1},
    {VK_FORMAT_B8G8R8_SRGB, 3, 1, 1},
    {VK_FORMAT_A2B10G10R10_SINT_PACK32, 4, 1, 1},
    {VK_FORMAT_R16_SFLOAT, 2, 1, 1},
    {VK_FORMAT_R16G16_SFLOAT, 4, 1, 1},
    {VK_FORMAT_R16G16B16_SFLOAT, 6, 1, 1},
    {VK_FORMAT_R16G16B16A16_SFLOAT, 8, 1, 1},
    {VK_FORMAT_R32_SFLOAT, 4, 1, 1},
    {VK_FORMAT_R32G32_SFLOAT, 8, 1, 1},
    {VK_FORMAT_R32G32B32_SFLOAT, 12, 1, 1},
    {VK_FORMAT_R32G32B32A32_SFLOAT, 16, 1, 1},
    {VK_FORMAT_R64_SFLOAT, 8, 1, 1},
    {VK_FORMAT_R64G64_SFLOAT, 16, 1, 1},
    {VK_FORMAT_R64G64B64_SFLOAT, 24, 1, 1},
    {VK_FORMAT_R64G64B64A64_SFLOAT, 32, 1, 1},
    {VK_FORMAT_E5B9G9R9_UFLOAT_PACK32, 4, 1, 1},
    {VK_FORMAT_D16_UNORM, 2, 1, 1},
    {VK_FORMAT_D32_SFLOAT, 4, 1, 1},
    {VK_FORMAT_S8_UINT, 1, 1, 1},
    {VK_FORMAT_D16_UNORM_S8_UINT, 2, 1, 1},
    {VK_FORMAT_D32_SFLOAT_S8_UINT, 4, 1, 1},
    {VK_FORMAT_BC1_RGBA_SRGB_BLOCK, 8, 4, 4},
    {VK_FORMAT_BC3_SRGB_BLOCK, 16, 4, 4},
    {VK_FORMAT_BC4_SNORM_BLOCK, 8, 4, 4},
    {VK_FORMAT_BC7_SRGB_BLOCK, 16, 4, 4},
    {VK_FORMAT_ETC2_R8G8B8A1_SRGB_BLOCK, 8, 4, 4},
    {VK_FORMAT_ETC2_R8G8B8A8_SRGB_BLOCK, 16, 4, 4},
    {VK_FORMAT_EAC_R11_SNORM_BLOCK, 8, 4, 4},
    {VK_FORMAT_EAC_R11G11_SNORM_BLOCK, 16, 4, 4},
    {VK_FORMAT_ASTC_4x4_SRGB_BLOCK, 16, 4, 4},
    {VK_FORMAT_ASTC_5x4_SRGB_BLOCK, 16, 5, 4},
    {VK_FORMAT_ASTC_5x5_SRGB_BLOCK, 16, 5, 5},
    {VK_FORMAT_ASTC_6x5_SRGB_BLOCK, 16, 6, 5},
    {VK_FORMAT_ASTC_6x6_SRGB_BLOCK, 16, 6, 6},
    {VK_FORMAT_ASTC_8x5_SRGB_BLOCK, 16, 8, 5},
    {VK_FORMAT_ASTC_8x6_SRGB_BLOCK, 16, 8, 6},
    {VK_FORMAT_ASTC_8x8_SRGB_BLOCK, 16, 8, 8},
    {VK_FORMAT_ASTC_10x5_SRGB_BLOCK, 16, 10, 5},
    {VK_FORMAT_ASTC_10x6_SRGB_BLOCK, 16, 10, 6},
    {VK_FORMAT_ASTC_10x8_SRGB_BLOCK, 16, 10, 8},
    {VK_FORMAT_ASTC_10x10_SRGB_BLOCK, 16, 10, 10},
    {VK_FORMAT_ASTC_12x10_SRGB_BLOCK, 16, 12, 10},
    {VK_FORMAT_ASTC_12x12_SRGB_BLOCK, 16, 12, 12},
};

static TexelBlock texel_block(VkFormat format) {
    for (size_t i = 0; i < sizeof(texel_blocks) / sizeof(texel_blocks[0]); ++i) {
        if (format <= texel_blocks[i].last) {
            return texel_blocks[i];
        }
    }
    return texel_blocks[0];
}

VkImageAspectFlags image_aspects(VkFormat format) {
    switch (format) {
    case VK_FORMAT_D16_UNORM:
    case VK_FORMAT_X8_D24_UNORM_PACK32:
    case VK_FORMAT_D32_SFLOAT: return VK_IMAGE_ASPECT_DEPTH_BIT;
    case VK_FORMAT_S8_UINT: return VK_IMAGE_ASPECT_STENCIL_BIT;
    case VK_FORMAT_D16_UNORM_S8_UINT:
    case VK_FORMAT_D24_UNORM_S8_UINT:
    case VK_FORMAT_D32_SFLOAT_S8_UINT:
        return VK_IMAGE_ASPECT_DEPTH_BIT | VK_IMAGE_ASPECT_STENCIL_BIT;
    default: return VK_IMAGE_ASPECT_COLOR_BIT;
    }
}

static uint32_t mip_extent(uint32_t extent, uint32_t mip) {
    return extent >> mip > 0 ? extent >> mip : 1;
}

/*  Which bits of a word a depth format can hold. Floats become numbers in [0.5, 1): the bits of
    others may change in a copy, and a copy takes depths in [0, 1] only. */
static void mask_region(ImageRegion* region, VkFormat format) {
    region->keep = UINT64_MAX;
    region->set = 0;
    region->care = UINT64_MAX;
    if (region->copy.imageSubresource.aspectMask != VK_IMAGE_ASPECT_DEPTH_BIT) {
        return;
    }
    if (format == VK_FORMAT_D32_SFLOAT || format == VK_FORMAT_D32_SFLOAT_S8_UINT) {
        region->keep = UINT64_C(0x007fffff007fffff);
        region->set = UINT64_C(0x3f0000003f000000);
    } else if (format == VK_FORMAT_X8_D24_UNORM_PACK32 || format == VK_FORMAT_D24_UNORM_S8_UINT) {
        region->care = UINT64_C(0x00ffffff00ffffff);
    }
}

uint32_t image_regions(const VkImageCreateInfo* info, ImageRegion regions[MAX_IMAGE_REGIONS],
                       VkDeviceSize* bytes) {
    const TexelBlock block = texel_block(info->format);
    uint32_t count = 0;
    *bytes = 0;
    if ((info->usage & COPY_USAGE) != COPY_USAGE || info->samples != VK_SAMPLE_COUNT_1_BIT ||
        block.bytes == 0) {
        return 0;
    }
    for (VkImageAspectFlags aspect = VK_IMAGE_ASPECT_COLOR_BIT;
         aspect <= VK_IMAGE_ASPECT_STENCIL_BIT; aspect <<= 1) {
        if ((image_aspects(info->format) & aspect) == 0) {
            continue;
        }
        /* Vulkan wants multiples of 4 and of the texel block; 16 suits the pattern's words too. */
        const VkDeviceSize texel = aspect == VK_IMAGE_ASPECT_STENCIL_BIT ? 1 : block.bytes;
        const VkDeviceSize unit = texel * 16;
        for (uint32_t mip = 0; mip < info->mipLevels && count < MAX_IMAGE_REGIONS; ++mip) {
            ImageRegion* region = &regions[count++];
            VkExtent3D extent = {mip_extent(info->extent.width, mip),
                                 mip_extent(info->extent.height, mip),
                                 mip_extent(info->extent.depth, mip)};
            memset(region, 0, sizeof(*region));
            *bytes = (*bytes + unit - 1) / unit * unit;
            region->copy.bufferOffset = *bytes;
            region->copy.imageSubresource.aspectMask = aspect;
            region->copy.imageSubresource.mipLevel = mip;
            region->copy.imageSubresource.layerCount = info->arrayLayers;
            region->copy.imageExtent = extent;
            region->size = texel * ((extent.width + block.width - 1u) / block.width) *
                           ((extent.height + block.height - 1u) / block.height) * extent.depth *
                           info->arrayLayers;
            mask_region(region, info->format);
            *bytes += region->size;
        }
    }
    return count;
}

/* --- unsupported images ----------------------------------------------------------------------- */

static bool is_supported(VkPhysicalDevice physicalDevice, const VkImageCreateInfo* info) {
    VkImageFormatProperties limits;
    return vkGetPhysicalDeviceImageFormatProperties(physicalDevice, info->format, info->imageType,
                                                    info->tiling, info->usage, info->flags,
                                                    &limits) == VK_SUCCESS &&
           info->extent.width <= limits.maxExtent.width &&
           info->extent.height <= limits.maxExtent.height &&
           info->extent.depth <= limits.maxExtent.depth && info->mipLevels <= limits.maxMipLevels &&
           info->arrayLayers <= limits.maxArrayLayers && (info->samples & limits.sampleCounts) != 0;
}

/*  A format that devices have, with the same bytes per texel, or the next to it. */
static VkFormat substitute_format(VkFormat format) {
    const VkImageAspectFlags aspects = image_aspects(format);
    if (aspects == VK_IMAGE_ASPECT_DEPTH_BIT) {
        return format == VK_FORMAT_D32_SFLOAT ? VK_FORMAT_X8_D24_UNORM_PACK32
                                              : VK_FORMAT_D32_SFLOAT;
    }
    if (aspects != VK_IMAGE_ASPECT_COLOR_BIT) {
        return format == VK_FORMAT_D24_UNORM_S8_UINT ? VK_FORMAT_D32_SFLOAT_S8_UINT
                                                     : VK_FORMAT_D24_UNORM_S8_UINT;
    }
    switch (texel_block(format).bytes) {
    case 1: return VK_FORMAT_R8_UNORM;
    case 2: return VK_FORMAT_R8G8_UNORM;
    case 3:
    case 4: return VK_FORMAT_R8G8B8A8_UNORM;
    case 6:
    case 8: return VK_FORMAT_R16G16B16A16_SFLOAT;
    default: return VK_FORMAT_R32G32B32A32_SFLOAT;
    }
}

ImageFit fit_image(VkPhysicalDevice physicalDevice, VkImageCreateInfo* info) {
    const VkImageUsageFlags coreUsage = 0xff;
    const VkImageCreateFlags coreFlags =
        VK_IMAGE_CREATE_MUTABLE_FORMAT_BIT | VK_IMAGE_CREATE_CUBE_COMPATIBLE_BIT |
        VK_IMAGE_CREATE_2D_ARRAY_COMPATIBLE_BIT | VK_IMAGE_CREATE_BLOCK_TEXEL_VIEW_COMPATIBLE_BIT |
        VK_IMAGE_CREATE_EXTENDED_USAGE_BIT;
    ImageFit fit = IMAGE_FIT_EXACT;
    if ((info->usage & ~coreUsage) != 0 || (info->flags & ~coreFlags) != 0) {
        info->usage &= coreUsage;
        info->flags &= coreFlags;
        fit = IMAGE_FIT_TRIMMED;
    }
    /* A transient attachment may not be copied. */
    if ((info->usage & VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT) == 0) {
        info->usage |= COPY_USAGE;
    }
    if (is_supported(physicalDevice, info)) {
        return fit;
    }
    const TexelBlock block = texel_block(info->format);
    info->flags = 0;
    info->format = substitute_format(info->format);
    if (image_aspects(info->format) == VK_IMAGE_ASPECT_COLOR_BIT) {
        /* A texel for each compressed block. */
        info->extent.width = (info->extent.width + block.width - 1u) / block.width;
        info->extent.height = (info->extent.height + block.height - 1u) / block.height;
        for (uint32_t side = info->extent.width | info->extent.height | info->extent.depth;
             info->mipLevels > 1 && side >> (info->mipLevels - 1) == 0;) {
            info->mipLevels -= 1;
        }
    }
    if (is_supported(physicalDevice, info)) {
        return IMAGE_FIT_REPLACED;
    }
    info->usage = COPY_USAGE | VK_IMAGE_USAGE_SAMPLED_BIT;
    return is_supported(physicalDevice, info) ? IMAGE_FIT_REPLACED : IMAGE_FIT_NONE;
}
