#!/bin/sh
# What the documentation says is done: the code and the commands of README.md, and the commands in the
# head comments of the examples. CTest runs it (compile.readme).
#
#   sh tests/compile/readme.sh
#
# CC and CXX in the environment stand for cc and c++.

set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
readme=$root/README.md
warnings="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wundef -Wcast-qual -Werror"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sx_vkalloc.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin"
ln -s "$root/sx_vkalloc.h" "$scratch/sx_vkalloc.h"
ln -s "$root/examples" "$scratch/examples"
ln -s "$(command -v "${CC:-cc}")" "$scratch/bin/cc"
ln -s "$(command -v "${CXX:-c++}" || echo /nonexistent)" "$scratch/bin/c++"
PATH=$scratch/bin:$PATH
cd "$scratch"

# --- the quick start compiles as written, and works ----------------------------------------------

sed -n '/^```c$/,/^```$/{ /^```/!p; }' "$readme" >quickstart.c
grep -q sxvkCreateBuffer quickstart.c
cat >main.c <<'END'
#include "examples/example_device.h"
VkResult quickstart(VkInstance instance, VkPhysicalDevice physicalDevice, VkDevice device);
int main(void) {
    ExampleDevice example;
    example_create_instance(&example);
    example_create_device(&example);
    EXAMPLE_CHECK(quickstart(example.instance, example.physicalDevice, example.device) == VK_SUCCESS);
    example_destroy(&example);
    return 0;
}
END
# shellcheck disable=SC2086
cc -std=c99 $warnings -I. quickstart.c main.c -o from_readme -lvulkan -pthread
./from_readme
echo "quick start: fine"

# --- a program for VMA, after the sed line --------------------------------------------------------

mkdir migrated
cp "$root/tests/compile/vma_program.c" migrated/
ln -s "$root/sx_vkalloc.h" migrated/sx_vkalloc.h
sed -n '/^    sed -i /,/ \*\.h$/p' "$readme" | sed 's/ \*\.c \*\.cpp \*\.h$/ vma_program.c/' >migrate
grep -q 'vma_program\.c$' migrate
(cd migrated && sh ../migrate)
if sed '1,/\*\//d' migrated/vma_program.c | grep -n '[Vv][Mm][Aa]'; then
    echo "the sed line left names of VMA"
    exit 1
fi
# shellcheck disable=SC2086
cc -std=c99 $warnings -c migrated/vma_program.c -o migrated/vma_program.o
echo "migration: fine"

# --- every documented command line builds a program that runs -------------------------------------

commands=0
for page in "$readme" "$root"/examples/[0-9]*; do
    sed -n 's/^ *\(c[c+]* -std=.*\)$/\1/p' "$page" >commands
    while IFS= read -r command; do
        case $command in
        c++*) command -v c++ >/dev/null || continue ;;
        *_volk.c*) printf '#include <volk.h>\n' | cc -E - >/dev/null 2>&1 || continue ;;
        esac
        sh -c "$command"
        program=$(printf '%s\n' "$command" | sed 's/.* -o \([a-z_]*\).*/\1/')
        "./$program" >log 2>&1 || {
            echo "failed: $program, built by: $command"
            cat log
            exit 1
        }
        commands=$((commands + 1))
    done <commands
done
echo "$commands commands: fine"
[ "$commands" -ge 5 ]
