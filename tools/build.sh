# Read by tools/demo.sh and tools/test.sh, from the root of the repository. Sets jobs; defines
# configure_and_build.
# shellcheck shell=sh

jobs=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

# configure_and_build DIRECTORY TARGET CMAKE_ARGUMENT...: quiet unless it fails; Ninja where it is installed.
configure_and_build() {
    directory=$1
    target=$2
    shift 2
    # A tree that was configured before keeps its generator: CMake refuses to change it.
    if [ ! -f "$directory/CMakeCache.txt" ] && command -v ninja >/dev/null; then
        set -- -G Ninja "$@"
    fi
    mkdir -p "$directory"
    if ! cmake -S . -B "$directory" "$@" >"$directory/configure.log" 2>&1; then
        cat "$directory/configure.log" >&2
        echo "sx_vkalloc: configuring failed" >&2
        return 1
    fi
    cmake --build "$directory" --target "$target" -j "$jobs"
}
