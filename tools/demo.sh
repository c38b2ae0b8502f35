#!/bin/sh
# Installs what is missing, builds the demo and runs it: a real program's Vulkan memory traffic,
# replayed on the best device of this machine, every byte compared. Leaves build/demo/memory.html, to
# look around in memory with a browser, and dump.json and memory.svg beside it.
#
#   sh tools/demo.sh                       the best device found
#   sh tools/demo.sh --help                what else it takes: another trace, another device, ...
#   SXVK_DEVICE=llvmpipe sh tools/demo.sh  a device by a part of its name, or by its index

set -eu
cd "$(dirname "$0")/.."

sh tools/install.sh demo
. tools/build.sh

mkdir -p build/demo
configure_and_build build/demo/cmake sxvk_demo -DCMAKE_BUILD_TYPE=Release \
    -DSX_VKALLOC_BUILD_TESTS=OFF -DSX_VKALLOC_BUILD_EXAMPLES=OFF -DSX_VKALLOC_WERROR=OFF
exec build/demo/cmake/tools/sxvk_demo "$@"
