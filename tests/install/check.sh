#!/bin/sh
# Installs the package and uses it as a stranger would: with pkg-config and a plain cc, with
# find_package, and by add_subdirectory.
#
#   sh tests/install/check.sh BUILD_DIRECTORY      a configured build of this repository
#
# CC, CMAKE and GENERATOR in the environment say with what; CTest sets them (install.consumer).

set -eu

build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
cmake=${CMAKE:-cmake}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sx_vkalloc.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
prefix="$scratch/a prefix"

"$cmake" --install "$build" --prefix "$prefix"
cp -R "$root/tests/install/consumer" "$scratch/consumer"
consumer=$root/tests/install/consumer/CMakeLists.txt

# expect_version HOW PROGRAM: it runs, and tells the version that pkg-config knows.
expect_version() {
    said=$("$2")
    [ "$said" = "$version" ] || {
        echo "$1: the package says $version, the header $said"
        exit 1
    }
    echo "$1: fine, $said"
}

# configure DIRECTORY ARGUMENT...
configure() {
    directory=$1
    shift
    "$cmake" -G "${GENERATOR:-Unix Makefiles}" -B "$directory" "-DCMAKE_C_COMPILER=${CC:-cc}" \
        "-DCMAKE_PREFIX_PATH=$prefix" "$@"
}

pc=$(find "$prefix" -name sx_vkalloc.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
version=$(pkg-config --modversion sx_vkalloc)

# --- pkg-config; its words are quoted for a shell, since the prefix has a blank
eval "${CC:-cc} -std=c99 \"$scratch/consumer/main.c\" -o \"$scratch/by-pkg-config\" \
    $(pkg-config --cflags --libs sx_vkalloc) -lvulkan"
expect_version pkg-config "$scratch/by-pkg-config"

# --- find_package
configure "$scratch/by-cmake" -S "$scratch/consumer"
"$cmake" --build "$scratch/by-cmake"
expect_version find_package "$scratch/by-cmake/consumer"

# An older or newer minor version is another API.
for asked in 0.2 1.0; do
    sed "s/sx_vkalloc 0.1 REQUIRED/sx_vkalloc $asked REQUIRED/" "$consumer" \
        >"$scratch/consumer/CMakeLists.txt"
    if configure "$scratch/by-$asked" -S "$scratch/consumer" >"$scratch/log" 2>&1; then
        echo "find_package took $version for $asked"
        exit 1
    fi
done

# --- add_subdirectory: the target, and nothing else of ours
sed "s|^find_package(sx_vkalloc.*|add_subdirectory(\"$root\" sx_vkalloc)|" "$consumer" \
    >"$scratch/consumer/CMakeLists.txt"
configure "$scratch/by-subdirectory" -S "$scratch/consumer"
"$cmake" --build "$scratch/by-subdirectory"
expect_version add_subdirectory "$scratch/by-subdirectory/consumer"
targets=$("$cmake" --build "$scratch/by-subdirectory" --target help)
if printf '%s\n' "$targets" | grep -E 'test_|example_|sxvk_demo'; then
    echo "add_subdirectory builds our own programs"
    exit 1
fi
