/*
    What the demo has to know of image formats: how to copy every texel of an image to and from a
    buffer, and what to make of an image that a device does not support. Part of the demo.
*/

#ifndef DEMO_FORMAT_H
#define DEMO_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

/*  32 mips of two aspects. */
#define MAX_IMAGE_REGIONS 64

/*  One mip and aspect of all layers, as tightly packed bytes. A pattern of 64-bit words becomes
    (word & keep) | set before it is written, so that it is a number that the format can hold; the
    bits of care come back from a copy. */
typedef struct ImageRegion {
    VkBufferImageCopy copy;
    VkDeviceSize size;
    uint64_t keep, set, care;
} ImageRegion;

/*  All regions of an image, one after the other from offset 0. Gives their number and the bytes
    they take; 0 where the image cannot be copied: transient, multisampled, or of a format that is
    unknown here. */
uint32_t image_regions(const VkImageCreateInfo* info, ImageRegion regions[MAX_IMAGE_REGIONS],
                       VkDeviceSize* bytes);

VkImageAspectFlags image_aspects(VkFormat format);

typedef enum ImageFit {
    IMAGE_FIT_EXACT,
    IMAGE_FIT_TRIMMED,  /* usage or create flags went that belong to extensions */
    IMAGE_FIT_REPLACED, /* another format of the same texel size, or a part of the usage */
    IMAGE_FIT_NONE      /* unsupported whatever we try */
} ImageFit;

/*  Make an image legal on a device, and add the usages of copies. */
ImageFit fit_image(VkPhysicalDevice physicalDevice, VkImageCreateInfo* info);

#endif
