#!/bin/sh
# The header alone: under each compiler and standard, and with each configuration macro, without a
# warning. CTest runs all of these (label compile).
#
#   sh tests/compile/check.sh standard CC CXX c99      CC and CXX of one family; c99 .. c2x, c++11 .. c++20
#   sh tests/compile/check.sh macros CC CXX [MACRO]    every row of the table below, or those that name MACRO
#   sh tests/compile/check.sh documented               the header's table of macros and the one below agree
#   sh tests/compile/check.sh windows CC CXX           MinGW
#   sh tests/compile/check.sh self-test CC CXX         each of the above fails when it should
#
# HEADER in the environment names another header than the repository's.

set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
header=${HEADER:-$root/sx_vkalloc.h}
warnings="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wundef -Wcast-qual -Werror"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sx_vkalloc.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cp "$header" "$scratch/sx_vkalloc.h"

# --- the table of configurations ----------------------------------------------------------------
#
# One row, one configuration: what is defined (parted by |; a row goes on after one), then what must hold
# of the object file: +name  it defines or refers to this symbol, -name  it does not, and =MACRO  this
# macro is defined after the header. SX_VKALLOC_IMPLEMENTATION is defined in every row. The functions
# test_... are declared in prelude.h.

configurations='
                                                          ; +malloc +vkGetInstanceProcAddr
SX_VKALLOC_STATIC                                         ; -sxvkCreateAllocator
SX_VKALLOC_API extern __attribute__((weak))               ; +sxvkCreateAllocator
SX_VKALLOC_CONFIG_H "test_config.h"                       ; =TEST_CONFIG_H
SX_VKALLOC_VULKAN_H "test_vulkan.h"                       ; =TEST_VULKAN_H
SX_VKALLOC_VULKAN_VERSION 1000000                         ;
SX_VKALLOC_VULKAN_VERSION 1001000                         ;
SX_VKALLOC_VULKAN_VERSION 1002000                         ;
SX_VKALLOC_VULKAN_VERSION 1003000                         ;
SX_VKALLOC_VULKAN_VERSION 1004000                         ;
SX_VKALLOC_STATIC_VULKAN_FUNCTIONS 0                      ; -vkGetInstanceProcAddr -vkGetDeviceProcAddr
SX_VKALLOC_STATIC_VULKAN_FUNCTIONS 1                      ; +vkGetInstanceProcAddr
VK_NO_PROTOTYPES                                          ; -vkGetInstanceProcAddr -vkGetDeviceProcAddr
SX_VKALLOC_DEBUG 0                                        ; -__assert_fail -stderr
SX_VKALLOC_DEBUG 1                                        ; +__assert_fail +stderr
SX_VKALLOC_DEBUG 2                                        ; +__assert_fail +stderr
SX_VKALLOC_DEBUG 3                                        ; +__assert_fail +stderr
NDEBUG                                                    ; -__assert_fail -stderr
SX_VKALLOC_VALIDATE 0                                     ;
SX_VKALLOC_VALIDATE 1                                     ;
SX_VKALLOC_ASSERT(x) test_assert((x) ? 1 : 0) |
SX_VKALLOC_DEBUG 2                                        ; +test_assert -__assert_fail
SX_VKALLOC_MALLOC(n) test_malloc(n) |
SX_VKALLOC_FREE(p) test_free(p)                           ; +test_malloc +test_free -malloc -free
SX_VKALLOC_NO_THREADS 0                                   ; +pthread_mutex_lock
SX_VKALLOC_NO_THREADS 1                                   ; -pthread_mutex_lock
SX_VKALLOC_MUTEX TestMutex |
SX_VKALLOC_MUTEX_INIT(m) test_mutex_init(m) |
SX_VKALLOC_MUTEX_DESTROY(m) test_mutex_destroy(m) |
SX_VKALLOC_MUTEX_LOCK(m) test_mutex_lock(m) |
SX_VKALLOC_MUTEX_UNLOCK(m) test_mutex_unlock(m) ; +test_mutex_init +test_mutex_lock -pthread_mutex_lock
SX_VKALLOC_NO_STATS_STRING 0   ; +sxvkBuildStatsString +sxvkExplainMemoryType +sxvkBuildStatsText
SX_VKALLOC_NO_STATS_STRING 1   ; -sxvkBuildStatsString -sxvkExplainMemoryType -sxvkBuildStatsText
SX_VKALLOC_NO_VIRTUAL 0                                   ; +sxvkVirtualAllocate +sxvkGrowVirtualBlock
SX_VKALLOC_NO_VIRTUAL 1         ; -sxvkVirtualAllocate -sxvkGrowVirtualBlock -sxvkCreateBufferArena
SX_VKALLOC_NO_VIRTUAL 1 | SX_VKALLOC_NO_STATS_STRING 1    ; -sxvkVirtualAllocate -sxvkBuildStatsString
SX_VKALLOC_NO_STDIO 0 | SX_VKALLOC_DEBUG 1                ; +stderr
SX_VKALLOC_NO_STDIO 1 | SX_VKALLOC_DEBUG 1                ; -stderr -fprintf -snprintf -fputs -fwrite
SX_VKALLOC_NO_DEFRAG 0                                    ; +sxvkBeginDefragmentation
SX_VKALLOC_NO_DEFRAG 1                                    ; -sxvkBeginDefragmentation
SX_VKALLOC_NO_UPLOAD 0                                    ; +sxvkCreateFrameRing +sxvkCreateBufferArena
SX_VKALLOC_NO_UPLOAD 1       ; -sxvkCreateFrameRing -sxvkCreateSmartBuffer -sxvkCreateBufferArena
SX_VKALLOC_NO_INTRINSICS 0                                ;
SX_VKALLOC_NO_INTRINSICS 1                                ;
SX_VKALLOC_STACK_TRACES 0                                 ; -backtrace -backtrace_symbols
SX_VKALLOC_STACK_TRACES 1                                 ; +backtrace +backtrace_symbols
SX_VKALLOC_STACK_TRACES 1 | SX_VKALLOC_NO_THREADS 1       ; +backtrace -pthread_mutex_lock
SX_VKALLOC_STACK_TRACES 1 | SX_VKALLOC_NO_STATS_STRING 1  ; +backtrace -sxvkBuildStatsText
SX_VKALLOC_PROFILE_SCOPE(name) test_scope(name)           ; +test_scope
SX_VKALLOC_ON_ALLOCATE(a, allocation, type, size, name) test_made(a, allocation, type, size, name) |
SX_VKALLOC_ON_FREE(a, allocation, type, size, name) test_freed(a, allocation, type, size, name) ; +test_made
'

# Names that are no configuration: the guard, the version, and what the header must not react to.
not_configuration='SX_VKALLOC_H SX_VKALLOC_VERSION_MAJOR SX_VKALLOC_VERSION_MINOR SX_VKALLOC_VERSION_PATCH'

# --- sources ------------------------------------------------------------------------------------

# public_functions COMPILER: what the header declares under the definitions of defines.h.
public_functions() {
    printf '#include "defines.h"\n#include "sx_vkalloc.h"\n' >"$scratch/declared.c"
    "$1" -I"$scratch" -E -P "$scratch/declared.c" | grep -o '\<sxvk[A-Z][A-Za-z0-9]*(' | tr -d '(' | sort -u
}

# write_sources COMPILER: implementation.*, which has the declarations first and the implementation after
# them, and declarations.* and other.*; each refers to every public function, so that linking shows that
# all of them exist.
write_sources() {
    public_functions "$1" >"$scratch/names"
    [ "$(wc -l <"$scratch/names")" -ge 50 ] || {
        echo "only $(wc -l <"$scratch/names") public functions found"
        return 1
    }
    for unit in implementation declarations other; do
        {
            echo '#include "defines.h"'
            echo '#include "sx_vkalloc.h"'
            if [ $unit = implementation ]; then
                printf '#define SX_VKALLOC_IMPLEMENTATION\n#include "sx_vkalloc.h"\n'
            fi
            printf 'typedef void (*AnyFunction)(void);\n'
            printf '#ifdef __cplusplus\nextern "C" {\n#endif\n'
            printf 'extern const AnyFunction %s_table[];\n' $unit
            printf 'const AnyFunction %s_table[] = {\n' $unit
            sed 's/.*/    (AnyFunction)&,/' "$scratch/names"
            printf '    0};\n'
            if [ $unit = declarations ]; then
                printf 'extern const AnyFunction implementation_table[];\n'
                printf 'extern const AnyFunction other_table[];\n'
            fi
            printf '#ifdef __cplusplus\n}\n#endif\n'
            if [ $unit = declarations ]; then
                printf 'int main(void) {\n    int i = 0;\n'
                printf '    while (declarations_table[i] != 0 &&\n'
                printf '           declarations_table[i] == other_table[i] &&\n'
                printf '           declarations_table[i] == implementation_table[i]) {\n'
                printf '        i++;\n    }\n'
                printf '    return i == %d ? 0 : 1;\n}\n' "$(wc -l <"$scratch/names")"
            fi
        } >"$scratch/$unit.c"
        cp "$scratch/$unit.c" "$scratch/$unit.cpp"
    done
}

# compile COMPILER STANDARD UNIT OPTIONS...: to UNIT.o, as the language that the standard is of.
compile() (
    compiler=$1
    standard=$2
    unit=$3
    shift 3
    case $standard in
    c++*) source=$scratch/$unit.cpp ;;
    *) source=$scratch/$unit.c ;;
    esac
    # shellcheck disable=SC2086
    "$compiler" -std="$standard" $warnings -U_FORTIFY_SOURCE -I"$scratch" "$@" \
        -c "$source" -o "$scratch/$unit.o"
)

# --- one standard -------------------------------------------------------------------------------

# The implementation and a user in this standard, and a user in the other language, become one program.
check_standard() {
    cc=$1
    cxx=$2
    standard=$3
    : >"$scratch/defines.h"
    case $standard in
    c++*)
        compiler=$cxx
        write_sources "$cc"
        compile "$cc" c99 other -O2
        ;;
    *)
        compiler=$cc
        write_sources "$cc"
        compile "$cxx" c++11 other -O2
        ;;
    esac
    # Warnings differ by what the optimiser learns; the other levels once for each language.
    case $standard in
    c99 | c++11)
        for level in -O0 -Os -O3; do
            compile "$compiler" "$standard" implementation $level -DNDEBUG
        done
        ;;
    esac
    compile "$compiler" "$standard" implementation -O2
    compile "$compiler" "$standard" declarations -O2
    cd "$scratch"
    if ! "$cxx" implementation.o declarations.o other.o -o program -lvulkan -pthread >link.log 2>&1; then
        head -n 20 link.log
        return 1
    fi
    ./program
}

# --- every macro --------------------------------------------------------------------------------

write_prelude() {
    cat >"$scratch/prelude.h" <<'EOF'
#ifndef PRELUDE_H
#define PRELUDE_H
#include <stddef.h>
#include <stdint.h>
typedef struct TestMutex {
    int state;
} TestMutex;
#ifdef __cplusplus
extern "C" {
#endif
void* test_malloc(size_t size);
void test_free(void* memory);
void test_assert(int condition);
int test_mutex_init(TestMutex* mutex);
void test_mutex_destroy(TestMutex* mutex);
void test_mutex_lock(TestMutex* mutex);
void test_mutex_unlock(TestMutex* mutex);
void test_scope(const char* name);
void test_made(const void* allocator, const void* allocation, unsigned type, uint64_t size,
               const char* name);
void test_freed(const void* allocator, const void* allocation, unsigned type, uint64_t size,
                const char* name);
#ifdef __cplusplus
}
#endif
#endif
EOF
    printf '#define TEST_CONFIG_H\n' >"$scratch/test_config.h"
    printf '#define TEST_VULKAN_H\n#include <vulkan/vulkan.h>\n' >"$scratch/test_vulkan.h"
}

# check_symbols EXPECTATION...: of implementation.o.
check_symbols() (
    nm -g "$scratch/implementation.o" | awk '{ print $NF }' | sed 's/@.*//' >"$scratch/symbols"
    for expectation in "$@"; do
        name=${expectation#?}
        case $expectation in
        +*)
            if ! grep -qx "$name" "$scratch/symbols"; then
                echo "  the object does not refer to $name"
                return 1
            fi
            ;;
        -*)
            if grep -qx "$name" "$scratch/symbols"; then
                echo "  the object refers to $name"
                return 1
            fi
            ;;
        =*) ;;
        *) echo "  bad expectation $expectation" && return 1 ;;
        esac
    done
)

# check_configuration CC CXX DEFINITIONS EXPECTATIONS
check_configuration() {
    {
        echo '#include "prelude.h"'
        printf '%s\n' "$3" | tr '|' '\n' | sed -n 's/^ *\(.*[^ ]\) *$/#define \1/p'
    } >"$scratch/defines.h"
    write_sources "$1" || return 1
    for expectation in $4; do
        case $expectation in
        =*)
            for unit in implementation declarations; do
                printf '#ifndef %s\n#error "not defined: %s"\n#endif\n' "${expectation#=}" \
                    "${expectation#=}" | tee -a "$scratch/$unit.c" >>"$scratch/$unit.cpp"
            done
            ;;
        esac
    done
    compile "$2" c++11 implementation -O0 || return 1
    compile "$1" c99 implementation -O0 || return 1
    # shellcheck disable=SC2086
    check_symbols $4 || return 1
    case $3 in
    SX_VKALLOC_STATIC) return 0 ;; # its functions belong to one file
    esac
    compile "$1" c99 declarations -O0 && compile "$2" c++11 other -O0
}

check_macros() {
    failed=0
    rows=0
    write_prelude
    printf '%s' "$configurations" | sed '/^$/d; :more
        /| *$/{ N; s/\n/ /; b more
        }' >"$scratch/rows"
    while IFS=';' read -r definitions expectations; do
        definitions=$(printf '%s' "$definitions" | sed 's/^ *//; s/ *$//')
        case $definitions in
        *"${3:-}"*) ;;
        *) continue ;;
        esac
        rows=$((rows + 1))
        if ! check_configuration "$1" "$2" "$definitions" "$expectations" >"$scratch/log" 2>&1; then
            echo "failed with: ${definitions:-nothing defined}"
            head -n 20 "$scratch/log"
            failed=1
        fi
    done <"$scratch/rows"
    echo "$rows configurations"
    [ $rows -gt 0 ] && [ $failed = 0 ]
}

# --- the table against the header ---------------------------------------------------------------

names_in() {
    grep -o 'SX_VKALLOC_[A-Z][A-Z_]*[A-Z]\|SX_VKALLOC_H\>' | sort -u
}

check_documented() {
    awk '
        /^\/\*  >>config / { inside = 1 }
        /^\/\*  >>types / { inside = 0 }
        inside && /^    SX_VKALLOC_/ { sub(/[^A-Z_].*/, "", $1); print $1 }
    ' "$header" | sort -u >"$scratch/documented"
    { printf '%s' "$configurations" && echo SX_VKALLOC_IMPLEMENTATION; } | names_in >"$scratch/tested"
    printf '%s' "$not_configuration" | tr ' ' '\n' | sort -u >"$scratch/known"
    sort -u "$scratch/documented" "$scratch/known" >"$scratch/may_be_used"
    names_in <"$header" >"$scratch/used"
    result=0
    for name in $(comm -23 "$scratch/documented" "$scratch/tested"); do
        echo "$name is documented, but no configuration in tests/compile/check.sh has it"
        result=1
    done
    for name in $(comm -13 "$scratch/documented" "$scratch/tested"); do
        echo "$name is tested, but the header does not document it"
        result=1
    done
    for name in $(comm -23 "$scratch/used" "$scratch/may_be_used"); do
        echo "$name stands in the header, but not in its table of macros"
        result=1
    done
    [ -s "$scratch/documented" ] || result=1
    return $result
}

# --- Windows ------------------------------------------------------------------------------------

# The Vulkan headers are the same everywhere, but the other headers beside them are not: link to these alone.
check_windows() {
    vulkan=$(printf '#include <vulkan/vulkan.h>\n' | cc -E - |
        sed -n 's|^# 1 "\(.*\)/vulkan/vulkan.h".*|\1|p' | head -n 1)
    [ -n "$vulkan" ]
    ln -s "$vulkan/vulkan" "$scratch/vulkan"
    [ ! -d "$vulkan/vk_video" ] || ln -s "$vulkan/vk_video" "$scratch/vk_video"
    : >"$scratch/defines.h"
    write_sources "$1"
    compile "$1" c99 implementation -O2
    compile "$1" c99 declarations -O2
    compile "$2" c++11 implementation -O2
}

# --- the checks, checked ------------------------------------------------------------------------

# fails WHAT MESSAGE COMMAND...: this run of the script on the broken copy must fail, and say MESSAGE.
fails() {
    what=$1
    message=$2
    shift 2
    tests=$((tests + 1))
    if cmp -s "$broken" "$header"; then
        echo "self-test: $what: the copy is like the header"
        failures=$((failures + 1))
    elif HEADER=$broken sh "$0" "$@" >"$scratch/log" 2>&1; then
        echo "self-test: $what was not noticed by '$*'"
        failures=$((failures + 1))
    elif ! grep -q -e "$message" "$scratch/log"; then
        echo "self-test: $what: '$*' failed for another reason:"
        head -n 10 "$scratch/log"
        failures=$((failures + 1))
    fi
}

# with TEXT: a copy of the header with this as the first thing of the implementation.
with() {
    text=$1 awk '{ print } /^#define SXVKI_IMPLEMENTATION_GUARD/ { print ENVIRON["text"] }' "$header" \
        >"$broken"
}

self_test() {
    cc=$1
    cxx=$2
    tests=0
    failures=0
    mkdir "$scratch/broken"
    broken=$scratch/broken/sx_vkalloc.h

    with 'static int sxvki_probe(int x) { int y; { int x = 1; y = x; } return x + y; }'
    fails "a warning" "shadow\\]" standard "$cc" "$cxx" c99
    with 'SX_VKALLOC_API int sxvkProbe(unsigned x); SX_VKALLOC_API int sxvkProbe(unsigned x) { return x; }'
    fails "a conversion" "sign-conversion\\]" standard "$cc" "$cxx" c11
    with 'typedef struct SxvkiProbe { struct { int a; }; } SxvkiProbe;'
    fails "C11 in C99" "unnamed\|anonymous" standard "$cc" "$cxx" c99
    with 'SX_VKALLOC_API int* sxvkProbe(void* x); SX_VKALLOC_API int* sxvkProbe(void* x) { return x; }'
    fails "C in C++" sxvkProbe standard "$cc" "$cxx" c++11
    sed 's/^SX_VKALLOC_API void sxvkFreeMemory(/SX_VKALLOC_API void sxvkProbe(void);\n&/' "$header" >"$broken"
    fails "a function that is declared only" "undefined reference.*sxvkProbe" standard "$cc" "$cxx" c11
    sed 's/^extern "C" {$/extern "C++" {/' "$header" >"$broken"
    fails "C++ linkage" "undefined reference" standard "$cc" "$cxx" c11
    with '#error probe'
    fails "an error" "#error" windows "$cc" "$cxx"

    with '#undef SX_VKALLOC_ASSERT
#define SX_VKALLOC_ASSERT(x) assert(x)'
    fails "a macro without effect" test_assert macros "$cc" "$cxx" SX_VKALLOC_ASSERT
    sed 's/ SX_VKALLOC_CONFIG_H$/ SX_VKALLOC_KONFIG_H/' "$header" >"$broken"
    fails "a misspelt macro" TEST_CONFIG_H macros "$cc" "$cxx" SX_VKALLOC_CONFIG_H
    fails "a macro that is not documented" KONFIG_H documented
    sed 's/^    SX_VKALLOC_NO_STDIO /    SX_VKALLOC_NO_PROBE  1\n&/' "$header" >"$broken"
    fails "a documented macro that is not tested" NO_PROBE documented
    sed '/^    SX_VKALLOC_NO_STDIO /d' "$header" >"$broken"
    fails "a tested macro that is not documented" NO_STDIO documented

    with '/* */'
    fails "a standard that does not exist" c98 standard "$cc" "$cxx" c98
    fails "a compiler that does not exist" none standard "$cc-none" "$cxx-none" c99

    echo "$tests self-tests, $failures failures"
    [ $failures = 0 ]
}

case ${1:-} in
standard) check_standard "$2" "$3" "$4" ;;
macros) check_macros "$2" "$3" "${4:-}" ;;
documented) check_documented ;;
windows) check_windows "$2" "$3" ;;
self-test) self_test "$2" "$3" ;;
*)
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
