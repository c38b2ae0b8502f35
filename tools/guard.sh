#!/bin/sh
# Counts the instructions of the main paths (tools/guard/guard.c) and compares them with a table in
# the repository (tools/guard/table.txt). A path that has grown by more than 5 % fails.
#
#   sh tools/guard.sh                count and compare
#   sh tools/guard.sh --update       count and write the table: the growth was on purpose
#   sh tools/guard.sh --self-test    breaks copies of the header: the guard must notice
#
# Exit code: 0 nothing grew, 1 something did or the counting failed, 2 wrong usage, 77 nothing to
# compare with. CC names the compiler; without it gcc, or else cc.

# What is counted: under callgrind, the instructions executed in functions whose names begin with
# sxvk, between the start and the end of a path. These are ours, and nobody else's begin so. The
# simulated driver, malloc, memset, the locks of pthread and the loop around the path are not in it:
# they are not ours, and libc picks its functions by the CPU. So what is called may grow unseen; but
# calls of the driver, which cost most, are counted by themselves and guarded as well. Counts are no
# times: they know nothing of caches, which are for the benchmark. But they are the same in every
# run, however busy the machine, and so can be held to 5 %.
#
# What they depend on is the compiler. The flags that distributions set differently are pinned
# below; the version cannot be. So the table's figures are compared with where the compiler's name,
# its major version and the architecture are those of the table. Elsewhere they would measure the
# difference between two compilers, and a limit wide enough for that would let through what the
# guard is for. There the reference is counted anew: the table has the git id of the header that its
# figures are of, and that header is taken out of the repository, compiled by the same compiler and
# counted in the same way. Where it cannot be had (a shallow clone, an archive, a header that was
# never committed) there is nothing to compare with. Then the guard says so and ends with 77, which
# CTest shows as skipped: not as failed, for nothing was found, and not as passed, for nothing was
# looked at. Continuous integration should have the whole history, or the compiler of the table.

# shellcheck disable=SC2086  # the list of flags is meant to be split

set -eu

limit=5 # percent

root=$(cd "$(dirname "$0")/.." && pwd)
table=$root/tools/guard/table.txt
header=$root/sx_vkalloc.h

usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$root/tools/guard.sh"
}

mode=${1:-check}
case $#:$mode in
0:check | 1:--update | 1:--self-test) ;;
1:--help | 1:-h)
    usage
    exit 0
    ;;
*)
    usage >&2
    exit 2
    ;;
esac

say() {
    echo "guard: $*"
}

if ! command -v valgrind >/dev/null; then
    say "not run: valgrind is not installed"
    exit 77
fi
cc=${CC:-}
if [ -z "$cc" ]; then
    cc=cc
    if command -v gcc >/dev/null; then
        cc=gcc
    fi
fi

if ! command -v "$cc" >/dev/null; then
    say "there is no compiler $cc"
    exit 1
fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/sx_vkalloc.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# --- the compiler -------------------------------------------------------------------------------

# Its name, major version and architecture, and its full version.
cat >"$scratch/family.c" <<'END'
#if defined(__clang__)
family clang __clang_major__ __clang_minor__ __clang_patchlevel__
#elif defined(__GNUC__)
family gcc __GNUC__ __GNUC_MINOR__ __GNUC_PATCHLEVEL__
#endif
END
family=$("$cc" -E -P "$scratch/family.c" | awk '$1 == "family" { print $2, $3, $4, $5 }')
if [ -z "$family" ]; then
    say "not run: $cc is neither gcc nor clang"
    exit 77
fi
architecture=$("$cc" -dumpmachine)
architecture=${architecture%%-*}
compiler="${family%% *} $(echo "$family" | cut -d ' ' -f 2) $architecture"
version=$(echo "$family" | cut -d ' ' -f 2- | tr ' ' .)

# Distributions differ in what of this is the default.
flags="-std=c99 -D_POSIX_C_SOURCE=200809L -DNDEBUG -O2 -g0 -fno-pie -fno-lto -fno-stack-protector"
flags="$flags -fomit-frame-pointer -U_FORTIFY_SOURCE"
echo 'int x;' >"$scratch/flag.c"
for flag in -march=x86-64 -mtune=generic -fcf-protection=none -fno-stack-clash-protection \
    -ftrivial-auto-var-init=uninitialized; do
    if "$cc" -Werror $flag -c "$scratch/flag.c" -o "$scratch/flag.o" 2>/dev/null; then
        flags="$flags $flag"
    fi
done

# --- counting -----------------------------------------------------------------------------------

# build HEADER: the program of guard.c with this header, as $scratch/guard.
build() {
    mkdir -p "$scratch/include"
    cp "$1" "$scratch/include/sx_vkalloc.h"
    set -- $flags -I"$scratch/include" -I"$root/tests/support"
    if [ ! -f "$scratch/sim.o" ]; then
        "$cc" "$@" -c "$root/tests/support/sim.c" -o "$scratch/sim.o" || return 1
    fi
    "$cc" "$@" -c "$root/tools/guard/allocator.c" -o "$scratch/allocator.o" &&
        "$cc" "$@" -c "$root/tools/guard/guard.c" -o "$scratch/guard.o" &&
        "$cc" -no-pie "$scratch/allocator.o" "$scratch/guard.o" "$scratch/sim.o" -lcjson -pthread \
            -o "$scratch/guard"
}

# sum_up PATHS PROFILE: callgrind wrote one part per path, in the order of the program's lines. A
# line of costs belongs to the function named last, but the one after "calls=" is what the called
# function took. A name is written in full once, with a number that stands for it from then on.
sum_up() {
    awk '
        function fail(what) {
            print "guard: " what >"/dev/stderr"
            failed = 1
            exit 1
        }
        function function_name(text,    number) {
            number = text
            sub(/\).*/, "", number)
            if (text ~ /\) /) {
                names[number] = substr(text, index(text, ") ") + 2)
            }
            return names[number]
        }
        FNR == NR {
            count[FNR] = $1
            calls[FNR] = $2
            $1 = $2 = ""
            sub(/^ +/, "")
            path[FNR] = $0
            paths = FNR
            next
        }
        /^part: / { part = $2; ours = 0 }
        /^fn=/ { ours = function_name(substr($0, 4)) ~ /^sxvk/ }
        /^cfn=/ { function_name(substr($0, 5)) }
        /^calls=/ { called = 1; next }
        /^[0-9+*-]/ {
            if (called) {
                called = 0
            } else if (ours) {
                sum[part] += $2
            }
        }
        END {
            if (failed) {
                exit 1
            }
            if (!paths || part < paths) {
                fail(paths + 0 " paths and " part + 0 " parts of a profile")
            }
            for (i = 1; i <= paths; i++) {
                if (!sum[i]) {
                    fail("nothing was counted in: " path[i])
                }
                printf "path %12.2f %12.3f  %s\n", sum[i] / count[i], calls[i] / count[i], path[i]
            }
        }
    ' "$1" "$2"
}

# count HEADER RESULT: the lines "path INSTRUCTIONS DRIVER_CALLS NAME" of this header.
count() {
    rm -f "$scratch/profile"
    build "$1" || return 1
    valgrind --command-line-only=yes -q --tool=callgrind --toggle-collect=guard_measured \
        --dump-after=guard_measured --combine-dumps=yes --callgrind-out-file="$scratch/profile" \
        "$scratch/guard" >"$scratch/paths" || return 1
    sum_up "$scratch/paths" "$scratch/profile" >"$2"
}

# --- the table ----------------------------------------------------------------------------------

# entry TABLE WORD: what stands behind this word in the table's head.
entry() {
    sed -n "s/^$2 //p" "$1"
}

# write_table RESULT HEADER: on standard output.
write_table() {
    cat <<END
# Instructions of ours and calls of the driver for one operation of each path. Written by
#     sh tools/guard.sh --update
# which explains it. Change nothing by hand.
compiler $compiler
version $version
header $(git -C "$root" hash-object "$2" 2>/dev/null || echo unknown)
END
    cat "$1"
}

# compare REFERENCE RESULT: a line per path; fails where one grew too much, is new, or is gone.
compare() {
    awk -v limit="$limit" '
        function difference(now, before) {
            return before > 0 ? (now / before - 1) * 100 : now > 0 ? 100 : 0
        }
        $1 != "path" { next }
        {
            instructions = $2
            calls = $3
            $1 = $2 = $3 = ""
            sub(/^ +/, "")
        }
        FNR == NR {
            old[$0] = instructions
            old_calls[$0] = calls
            next
        }
        FNR != NR && !heading++ {
            printf "%-36s %12s %12s %8s   %s\n", "", "instructions", "before", "", "driver calls"
        }
        {
            seen[$0] = 1
            if (!($0 in old)) {
                printf "%-36s %12.2f %12s %8s   %.3f  NEW\n", $0, instructions, "-", "", calls
                grown++
                next
            }
            percent = difference(instructions, old[$0])
            call_percent = difference(calls, old_calls[$0])
            note = ""
            if (percent > limit || call_percent > limit) {
                note = "  GREW"
                grown++
            } else if (percent < -limit || call_percent < -limit) {
                note = "  shrank"
                shrank++
            }
            printf "%-36s %12.2f %12.2f %+7.2f%%   %.3f", $0, instructions, old[$0], percent, calls
            if (calls != old_calls[$0]) {
                printf " (%.3f)", old_calls[$0]
            }
            print note
        }
        END {
            for (name in old) {
                if (!(name in seen)) {
                    printf "%-36s %12s %12.2f  GONE\n", name, "-", old[name]
                    grown++
                }
            }
            if (shrank) {
                print "guard: " shrank " shrank by more than " limit " %: keep that, by"
                print "    sh tools/guard.sh --update"
            }
            if (grown) {
                print "guard: " grown " grew by more than " limit " %, or are new, or gone."
                print "If that is on purpose:"
                print "    sh tools/guard.sh --update"
            }
            exit grown > 0
        }
    ' "$1" "$2"
}

# reference_of TABLE RESULT: counts the header that the table was made of, into RESULT.
reference_of() {
    id=$(entry "$1" header)
    if ! git -C "$root" cat-file blob "$id" >"$scratch/reference.h" 2>/dev/null; then
        say "skipped: the header of the table, $id, is not in this repository"
        return 1
    fi
    if ! count "$scratch/reference.h" "$2"; then
        say "skipped: the header of the table, $id, does not compile with tools/guard"
        return 1
    fi
}

# warn_of_lost TABLE: says so if the repository neither has the header of the table nor will have.
warn_of_lost() {
    id=$(entry "$1" header)
    if [ "$(git -C "$root" rev-parse --is-shallow-repository 2>/dev/null)" = false ] &&
        [ "$(git -C "$root" hash-object "$header")" != "$id" ] &&
        ! git -C "$root" cat-file -e "$id" 2>/dev/null; then
        say "the table is of a header that was not committed: other compilers cannot count it."
        say "Commit the header as it was when you wrote the table, or write it again."
    fi
}

# judge RESULT TABLE: 0, 1 or 77, as on top.
judge() {
    if [ ! -f "$2" ]; then
        say "there is no $2: sh tools/guard.sh --update"
        return 1
    fi
    if [ "$(entry "$2" compiler)" = "$compiler" ]; then
        say "$compiler ($version), against the table ($(entry "$2" version))"
        reference=$2
        warn_of_lost "$2"
    else
        say "$compiler ($version), but the table is of $(entry "$2" compiler):"
        say "the header of the table is counted anew"
        reference=$scratch/reference
        reference_of "$2" "$reference" || return 77
    fi
    compare "$reference" "$1"
}

# --- the guard, guarded -------------------------------------------------------------------------

# slowed FUNCTION COUNT: the header with so many more instructions in this public function.
slowed() {
    awk -v name="$1" -v count="$2" '
        { print }
        /^#define SXVKI_IMPLEMENTATION_GUARD/ { implementation = 1 }
        implementation && $0 ~ "^(SX_VKALLOC_API.* )?" name "[(]" { inside = 1 }
        inside && /\{$/ {
            print "    __asm__ __volatile__(\".rept " count "\\n nop\\n .endr\");"
            inside = implementation = 0
        }
    ' "$header"
}

# expect STATUS TEXT WHAT RESULT TABLE: this verdict, and this text in it.
expect() {
    tests=$((tests + 1))
    status=0
    judge "$4" "$5" >"$scratch/report" 2>&1 || status=$?
    if [ "$status" = "$1" ] && grep -q -e "$2" "$scratch/report"; then
        return 0
    fi
    say "self-test with $3: exit code $status and not $1, or not '$2' in:"
    cat "$scratch/report"
    failures=$((failures + 1))
}

self_test() {
    tests=0
    failures=0
    count "$header" "$scratch/plain" || return 1
    cost=$(awk '$1 == "path" && /  create a buffer$/ { print int($2) }' "$scratch/plain")
    slowed sxvkCreateBuffer $((cost * 6 / 100 + 1)) >"$scratch/more6.h"
    slowed sxvkCreateBuffer $((cost * 3 / 100)) >"$scratch/more3.h"
    count "$scratch/more6.h" "$scratch/more6" || return 1
    count "$scratch/more3.h" "$scratch/more3" || return 1

    write_table "$scratch/plain" "$header" >"$scratch/table"
    expect 0 'create a buffer .* +0\.00%' "the same" "$scratch/plain" "$scratch/table"
    expect 1 'create a buffer .*GREW' "6 % more" "$scratch/more6" "$scratch/table"
    if [ "$(grep -c GREW "$scratch/report")" != 1 ]; then
        say "self-test: one path was slowed down, and not one was noticed"
        failures=$((failures + 1))
    fi
    expect 0 'create a buffer .* +[23]\.[0-9]*%' "3 % more" "$scratch/more3" "$scratch/table"
    write_table "$scratch/more6" "$scratch/more6.h" >"$scratch/more6.table"
    expect 0 'create a buffer .*shrank' "6 % less" "$scratch/plain" "$scratch/more6.table"
    sed '/  create a buffer$/s/3\.000/2.000/' "$scratch/table" >"$scratch/calls.table"
    expect 1 'create a buffer .*GREW' "a call of the driver more" "$scratch/plain" \
        "$scratch/calls.table"
    sed '/  map$/d' "$scratch/table" >"$scratch/short.table"
    expect 1 'map .*NEW' "a path that the table lacks" "$scratch/plain" "$scratch/short.table"
    echo 'path 1.00 1.000  nothing' | cat "$scratch/table" - >"$scratch/long.table"
    expect 1 'nothing .*GONE' "a path that only the table has" "$scratch/plain" \
        "$scratch/long.table"

    # A table of another compiler.
    sed 's/^compiler .*/compiler other 1 none/; s/^header .*/header unknown/' "$scratch/table" \
        >"$scratch/other.table"
    expect 77 'skipped' "a reference that is not there" "$scratch/plain" "$scratch/other.table"
    id=$(git -C "$root" rev-parse -q --verify HEAD:sx_vkalloc.h 2>/dev/null || true)
    if [ -n "$id" ] && [ "$(git -C "$root" hash-object "$header")" = "$id" ]; then
        sed "s/^header .*/header $id/" "$scratch/other.table" >"$scratch/id.table"
        expect 1 'create a buffer .*GREW' "6 % more, another compiler" "$scratch/more6" \
            "$scratch/id.table"
    fi

    say "$tests self-tests, $failures failures"
    [ $failures = 0 ]
}

case $mode in
check)
    count "$header" "$scratch/result"
    status=0
    judge "$scratch/result" "$table" || status=$?
    exit $status
    ;;
--update)
    count "$header" "$scratch/result"
    if [ -f "$table" ] && [ "$(entry "$table" compiler)" = "$compiler" ]; then
        compare "$table" "$scratch/result" | sed '/^guard:/d; /^If that/d; /^    sh /d' || true
    fi
    write_table "$scratch/result" "$header" >"$scratch/table"
    cp "$scratch/table" "$table"
    say "wrote ${table#"$root"/}: $compiler ($version)"
    ;;
--self-test) self_test ;;
esac
