#!/bin/sh
# Installs what is missing, builds, and runs every test; ends with CTest's summary. Exit code 0 only
# when all passed.
#
#   sh tools/test.sh                    every test, those that run our code also under ASan and UBSan
#   sh tools/test.sh --plain            without the sanitized twins: the quickest round
#   sh tools/test.sh --sanitize         only the sanitized twins
#   sh tools/test.sh --tsan             the sanitized twins under TSan instead
#   sh tools/test.sh -L unit -R bins    whatever else is given goes to ctest; the labels are unit,
#                                       fuzz, gpu, bench, example, compile, layout, install

set -eu
cd "$(dirname "$0")/.."

build=build/test
variants="plain;asan"
while [ $# -gt 0 ]; do
    case $1 in
    --plain) variants="plain" ;;
    --sanitize) variants="asan" ;;
    --tsan) variants="tsan" ;;
    *) break ;;
    esac
    shift
done

sh tools/install.sh test
. tools/build.sh

configure_and_build "$build" all -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DSX_VKALLOC_TEST_VARIANTS=$variants"
ctest --test-dir "$build" --output-on-failure --no-tests=error -j "$jobs" "$@"
