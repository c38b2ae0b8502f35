#!/bin/sh
# Finds what building sx_vkalloc needs and installs what is missing, asking for no input.
#
#   sh tools/install.sh demo    for tools/demo.sh: compiler, CMake, Vulkan headers, loader and a
#                               driver, liblzma
#   sh tools/install.sh test    for tools/test.sh: the same, the validation layer, test libraries, clang,
#                               valgrind, and Chromium and Node.js for memview
#
# Knows Debian and Ubuntu (apt-get), Fedora (dnf) and Arch (pacman). Needs root or password-less sudo
# only when something is missing; where it may not install it names the packages and the command, and
# exits with 1. Nothing is looked up on the network while nothing is missing. Optional things come
# along with the others, never on their own account, and may stay missing: the tests that want them
# are then shown as not run.

# shellcheck disable=SC2086,SC2046  # lists of words are meant to be split, all through

set -eu

mode=${1:-test}
case $mode in
demo | test) ;;
*)
    echo "usage: sh tools/install.sh [demo|test]" >&2
    exit 2
    ;;
esac

# --- what is needed: one check per thing, by use where that is quick -----------------------------

scratch=$(mktemp -d "${TMPDIR:-/tmp}/sx_vkalloc.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

c_compiler=${CC:-cc}
data_dirs="${XDG_DATA_HOME:-${HOME:-/root}/.local/share}:${XDG_DATA_DIRS:-/usr/local/share:/usr/share}:/etc"

# compiles LANGUAGE COMPILER [OPTION]: it compiles and links a program, standard library included.
compiles() {
    printf '#include <stdlib.h>\nint main(void) { return abs(0); }\n' >"$scratch/a.$1"
    "$2" ${3:-} "$scratch/a.$1" -o "$scratch/a.out" 2>/dev/null
}

# links HEADER LIBRARY: a program finds this header and links this library.
links() {
    {
        printf '#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <setjmp.h>\n'
        printf '#include <%s>\nint main(void) { return 0; }\n' "$1"
    } >"$scratch/b.c"
    "$c_compiler" "$scratch/b.c" "-l$2" -o "$scratch/b.out" 2>/dev/null
}

# one_of PROGRAM...: one of them is here.
one_of() {
    for program in "$@"; do
        command -v "$program" >/dev/null && return 0
    done
    return 1
}

# manifest SUBDIR PATTERN: the Vulkan loader would find a JSON file of this name.
manifest() (
    IFS=:
    for directory in $data_dirs; do
        for file in "$directory"/vulkan/$1/$2; do
            [ -f "$file" ] && exit 0
        done
    done
    exit 1
)

have() {
    case $1 in
    c-compiler) compiles c "$c_compiler" ;;
    cxx-compiler) compiles cpp "${CXX:-c++}" ;;
    sanitizers) compiles c "$c_compiler" -fsanitize=address,undefined ;;
    clang) compiles c clang && compiles cpp clang++ ;;
    cmake)
        cmake --version 2>/dev/null | awk '
            /version/ { split($3, v, "."); found = v[1] > 3 || (v[1] == 3 && v[2] >= 20) }
            END { exit !found }'
        ;;
    build-tool) one_of ninja make ;;
    pkg-config) command -v pkg-config >/dev/null ;;
    vulkan) links vulkan/vulkan.h vulkan ;;
    vulkan-driver) [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] || manifest icd.d '*.json' ;;
    lavapipe) manifest icd.d 'lvp_icd*.json' ;;
    validation) [ -n "${VK_LAYER_PATH:-}" ] || manifest explicit_layer.d '*khronos_validation.json' ;;
    lzma) links lzma.h lzma ;;
    cjson) links cjson/cJSON.h cjson ;;
    cmocka) links cmocka.h cmocka ;;
    mimalloc) links mimalloc.h mimalloc ;;
    valgrind) command -v valgrind >/dev/null ;;
    volk) printf '#include <volk.h>\n' | "$c_compiler" -E - >/dev/null 2>&1 ;;
    chromium) one_of chromium chromium-browser google-chrome google-chrome-stable ;;
    nodejs) one_of node nodejs ;;
    esac
}

# packages MANAGER THING: the names of the packages that bring it.
packages() {
    case $1:$2 in
    apt-get:c-compiler) echo gcc libc6-dev ;;
    apt-get:cxx-compiler) echo g++ ;;
    apt-get:sanitizers) echo gcc ;;
    apt-get:pkg-config) echo pkg-config ;;
    apt-get:vulkan) echo libvulkan-dev ;;
    apt-get:vulkan-driver | apt-get:lavapipe) echo mesa-vulkan-drivers ;;
    apt-get:validation) echo vulkan-validationlayers ;;
    apt-get:lzma) echo liblzma-dev ;;
    apt-get:cjson) echo libcjson-dev ;;
    apt-get:cmocka) echo libcmocka-dev ;;
    apt-get:mimalloc) echo libmimalloc-dev ;;
    apt-get:volk) echo libvulkan-volk-dev ;;

    dnf:c-compiler) echo gcc glibc-devel ;;
    dnf:cxx-compiler) echo gcc-c++ ;;
    dnf:sanitizers) echo libasan libubsan ;;
    dnf:pkg-config) echo pkgconf-pkg-config ;;
    dnf:vulkan) echo vulkan-headers vulkan-loader-devel ;;
    dnf:vulkan-driver | dnf:lavapipe) echo mesa-vulkan-drivers ;;
    dnf:validation) echo vulkan-validation-layers ;;
    dnf:lzma) echo xz-devel ;;
    dnf:cjson) echo cjson-devel ;;
    dnf:cmocka) echo libcmocka-devel ;;
    dnf:mimalloc) echo mimalloc-devel ;;
    dnf:volk) echo vulkan-volk-devel ;;

    pacman:c-compiler | pacman:cxx-compiler | pacman:sanitizers) echo gcc ;;
    pacman:pkg-config) echo pkgconf ;;
    pacman:vulkan) echo vulkan-headers vulkan-icd-loader ;;
    pacman:vulkan-driver | pacman:lavapipe) echo vulkan-swrast ;;
    pacman:validation) echo vulkan-validation-layers ;;
    pacman:lzma) echo xz ;;

    pacman:build-tool) echo ninja ;;
    *:build-tool) echo ninja-build ;;
    *:*) echo "$2" ;;
    esac
}

required="c-compiler cxx-compiler cmake build-tool vulkan vulkan-driver lzma"
optional="lavapipe validation"
if [ "$mode" = test ]; then
    required="$required sanitizers lavapipe validation pkg-config cjson cmocka"
    optional="clang volk mimalloc valgrind chromium nodejs"
fi

# missing THING...: those of them that are not here.
missing() {
    for thing in "$@"; do
        have "$thing" || printf '%s ' "$thing"
    done
}

missing_required=$(missing $required)
[ -n "$missing_required" ] || exit 0
missing_optional=$(missing $optional)

# --- install it ----------------------------------------------------------------------------------

manager=
for candidate in apt-get dnf pacman; do
    if command -v $candidate >/dev/null; then
        manager=$candidate
        break
    fi
done

wanted=
for thing in $missing_required; do
    wanted="$wanted $(packages "${manager:-none}" "$thing")"
done
wanted=$(printf '%s\n' $wanted | sort -u | tr '\n' ' ')

as_root=
if [ "$(id -u)" != 0 ]; then
    as_root="sudo -n"
fi

case $manager in
apt-get) install="env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends" ;;
dnf) install="dnf install -y" ;;
pacman) install="pacman -S --needed --noconfirm" ;;
*) install= ;;
esac

# may_install: there is a package manager that we know, and the right to use it.
may_install() {
    [ -n "$install" ] && { [ -z "$as_root" ] || $as_root true 2>/dev/null; }
}

if ! may_install; then
    {
        echo "sx_vkalloc: missing: $missing_required"
        if [ -n "$install" ]; then
            echo "This user may not install packages. Run as root, then try again:"
            echo "    ${install#env DEBIAN_FRONTEND=noninteractive } $wanted"
        else
            echo "apt-get, dnf and pacman are not here. Install them as your system does, then try again."
        fi
    } >&2
    exit 1
fi

# Package lists are fetched only now. A failure here is not yet one: they may be known already. Arch
# wants no new list without an upgrade of everything, so there only where there is no list yet.
case $manager in
apt-get) $as_root apt-get update -q || true ;;
pacman) ls /var/lib/pacman/sync/*.db >/dev/null 2>&1 || $as_root pacman -Sy --noconfirm || true ;;
esac </dev/null

echo "sx_vkalloc: installing $wanted"
$as_root $install $wanted </dev/null || true
for thing in $(missing $missing_optional); do
    names=$(packages $manager "$thing")
    echo "sx_vkalloc: installing $names (optional)"
    $as_root $install $names </dev/null || echo "sx_vkalloc: going on without $thing"
done

# --- believe nothing: look again -----------------------------------------------------------------

still_missing=$(missing $missing_required)
if [ -n "$still_missing" ]; then
    {
        echo "sx_vkalloc: still missing after the installation: $still_missing"
        echo "What was tried: $as_root $install $wanted"
        case $still_missing in
        *cmake*) echo "CMake 3.20 or newer is needed; this system may know only an older one." ;;
        esac
    } >&2
    exit 1
fi
