#!/bin/sh
# Installs what is missing, builds, and runs every test; ends with CTest's summary. Exit code 0 only
# when all passed.
#
#   sh tools/test.sh                    every test, those that run our code also under ASan and UBSan
#   sh tools/test.sh --plain            without the sanitized twins: the quickest round
#   sh tools/test.sh --sanitize         only the sanitized twins
#   sh tools/test.sh --tsan             the sanitized twins under TSan instead
#   sh tools/test.sh -L unit -R bins    -L -LE -R -E -j -V -VV -N go to ctest; the labels are unit,
#                                       fuzz, gpu, bench, example, compile, layout, guard, memview, install

set -eu
cd "$(dirname "$0")/.."

usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' tools/test.sh
}

build=build/test
variants="plain;asan"
count=$#
while [ "$count" -gt 0 ]; do
    argument=$1
    shift
    count=$((count - 1))
    case $argument in
    --plain) variants="plain" ;;
    --sanitize) variants="asan" ;;
    --tsan) variants="tsan" ;;
    --help | -h)
        usage
        exit 0
        ;;
    -L | -LE | -R | -E | -j)
        if [ "$count" -eq 0 ]; then
            echo "tools/test.sh: $argument wants a value" >&2
            exit 2
        fi
        set -- "$@" "$argument" "$1"
        shift
        count=$((count - 1))
        ;;
    -V | -VV | -N) set -- "$@" "$argument" ;;
    *)
        echo "tools/test.sh: unknown argument $argument" >&2
        usage >&2
        exit 2
        ;;
    esac
done

sh tools/install.sh test
. tools/build.sh

configure_and_build "$build" all -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DSX_VKALLOC_TEST_VARIANTS=$variants"
ctest --test-dir "$build" --output-on-failure --no-tests=error -j "$jobs" "$@"
