#!/bin/sh
# Keeps the header in the shape that its first lines promise. POSIX sh and awk; CTest runs all three.
#
#   sh tools/check_layout.sh check [sx_vkalloc.h]       the rules below; prints the figures, then each violation
#   sh tools/check_layout.sh sources                    the rules about text for every other source file
#   sh tools/check_layout.sh self-test [sx_vkalloc.h]   breaks each rule in a copy: the check must notice
#
# Rules, by the name that a violation carries
#   text       ASCII, LF, no tabs, no blanks at line ends, at most 110 columns, a newline at the end,
#              no TODO or FIXME
#   toc        the tags of the table of contents are the tags of the banners, in the same order
#   banner     a banner is three comment lines of one width with its >>tag on the middle one
#   downward   a function uses only what is defined above it; private functions have no prototypes
#   length     no function is longer than 100 lines
#   braces     if, else, for and while always have braces
#   writable   the compiled implementation has no writable variable at file scope

set -eu

# Private functions that may be declared ahead of their definition, and variables that may be written
# (thread-local hints). Each needs a reason here.
allowed_prototypes=""
# sxvki_thread_hint: which shard a thread uses, a guess that may be wrong.
allowed_writable="sxvki_thread_hint"

root=$(cd "$(dirname "$0")/.." && pwd)
mode=${1:-check}
header=${2:-$root/sx_vkalloc.h}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sx_vkalloc.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# check_text FILE: the rule "text".
check_text() {
    LC_ALL=C awk -v file="$1" '
        function bad(what) { printf "%s:%d: text: %s\n", file, NR, what; failed = 1 }
        /[^ -~\t\r]/ { bad("not ASCII") }
        /\t/ { bad("tab") }
        /\r/ { bad("carriage return") }
        / $/ { bad("blanks at the end of the line") }
        length($0) > 110 { bad(length($0) " columns, more than 110") }
        /TODO|FIXME/ { bad("unfinished work") }
        END { exit failed }
    ' "$1" || return 1
    if [ -n "$(tail -c 1 "$1")" ]; then
        echo "$1: text: no newline at the end"
        return 1
    fi
}

# check_structure FILE: the rules "toc", "banner", "downward", "length" and "braces", and the figures.
check_structure() {
    LC_ALL=C awk -v file="$1" -v allowed_prototypes="$allowed_prototypes" '
        function bad(line, rule, what) { printf "%s:%d: %s: %s\n", file, line, rule, what; failed = 1 }

        # What is left of a line without comments and the contents of strings; remembers open comments.
        function code_of(text,    out, at, quote) {
            out = ""
            while (text != "") {
                if (in_comment) {
                    at = index(text, "*/")
                    if (!at) {
                        return out
                    }
                    text = substr(text, at + 2)
                    in_comment = 0
                    continue
                }
                if (!match(text, /\/\*|\/\/|"|\047/)) {
                    return out text
                }
                out = out substr(text, 1, RSTART - 1)
                quote = substr(text, RSTART, 1)
                if (quote == "/") {
                    if (substr(text, RSTART, 2) == "//") {
                        return out
                    }
                    in_comment = 1
                    text = substr(text, RSTART + 2)
                    continue
                }
                text = substr(text, RSTART + 1)
                while (text != "" && substr(text, 1, 1) != quote) {
                    text = substr(text, substr(text, 1, 1) == "\\" ? 3 : 2)
                }
                text = substr(text, 2)
                out = out quote quote
            }
            return out
        }

        # The name in front of the first parenthesis of a declaration.
        function declared_name(text) {
            sub(/\(.*/, "", text)
            sub(/ +$/, "", text)
            sub(/.*[^A-Za-z0-9_]/, "", text)
            return text
        }

        function parentheses(text,    copy) {
            copy = text
            return gsub(/\(/, "", copy) - gsub(/\)/, "", text)
        }

        # Every private and public name that stands in this code.
        function note_uses(text,    name) {
            while (match(text, /sxvki?_?[A-Za-z0-9_]+/)) {
                name = substr(text, RSTART, RLENGTH)
                if (RSTART == 1 || substr(text, RSTART - 1, 1) !~ /[A-Za-z0-9_]/) {
                    if (!(name in first_use) && (implementation || name ~ /^sxvki_/)) {
                        first_use[name] = NR
                    }
                }
                text = substr(text, RSTART + RLENGTH)
            }
        }

        { line[NR] = $0 }

        # --- table of contents and banners
        /^CONTENTS/ { in_contents = 1 }
        in_contents && /^[A-Z]/ && !/^CONTENTS/ { in_contents = 0 }
        in_contents {
            rest = $0
            while (match(rest, />>[a-z0-9]+/)) {
                contents = contents " " substr(rest, RSTART, RLENGTH)
                rest = substr(rest, RSTART + RLENGTH)
            }
        }
        !in_contents && />>[a-z0-9]+  / {
            match($0, />>[a-z0-9]+/)
            banners = banners " " substr($0, RSTART, RLENGTH)
            banner_line[NR] = 1
        }
        /Stop here if you only want/ { implementation = NR }

        # --- code
        {
            code = code_of($0)
            continued = in_directive
            in_directive = (continued || code ~ /^ *#/) && code ~ /\\$/
            directive = continued || code ~ /^ *#/
            if ($0 !~ /^ *$/) {
                if (code ~ /^ *$/) {
                    comment_lines++
                } else {
                    code_lines++
                }
            }
            if (length($0) > 100) {
                wide_lines++
            }

            bare = code
            sub(/ *\\?$/, "", bare)
            if (bare ~ /^ *(\} )?else$/ ||
                (bare ~ /^ *(\} )?(else )?(if|for|while) \(/ && bare !~ /^ *\} while/ &&
                    parentheses(bare) == 0 && bare !~ /[{}]$/)) {
                bad(NR, "braces", "a statement without braces")
            }
            note_uses(code)
        }
        !directive && code != "" {
            if (in_function) {
                if (code ~ /^\}/) {
                    in_function = 0
                    size = NR - function_line + 1
                    sizes[size]++
                    functions++
                    if (size > longest) {
                        longest = size
                    }
                    if (size > 100) {
                        bad(function_line, "length", function_name " has " size " lines, more than 100")
                    }
                }
            } else {
                if (head == "" && code ~ /^[A-Za-z_]/ && code !~ /^(typedef|extern "")/) {
                    head = code
                    head_line = NR
                } else if (head != "") {
                    head = head " " code
                }
                if (head ~ /; *$/ || head ~ /[{}] *;? *$/) {
                    name = declared_name(head)
                    if (head ~ /\{ *$/ && head ~ /\(/ && head !~ /=/ && name != "") {
                        in_function = 1
                        function_line = head_line
                        function_name = name
                        if (!(name in definition)) {
                            definition[name] = head_line
                        }
                    } else if (head ~ /\) *; *$/ && head !~ /=/ && name ~ /^sxvki_/) {
                        prototype[name] = head_line
                    }
                    head = ""
                }
            }
        }

        END {
            if (contents == "") {
                bad(1, "toc", "no table of contents")
            }
            if (contents != banners) {
                bad(1, "toc", "contents:" contents "; banners:" banners)
            }
            for (n in banner_line) {
                n += 0
                if (line[n] !~ /^\/\*  >>[a-z0-9]+  .*[^ ] +\*\/$/ || line[n - 1] !~ /^\/\* =+ \*\/$/ ||
                    line[n - 1] != line[n + 1] || length(line[n]) != length(line[n - 1])) {
                    bad(n, "banner", "not three comment lines of one width around the tag")
                }
            }
            allowed = " " allowed_prototypes " "
            for (name in prototype) {
                if (!index(allowed, " " name " ")) {
                    bad(prototype[name], "downward", "prototype of " name)
                }
            }
            for (name in definition) {
                if (name in first_use && first_use[name] < definition[name] && !(name in prototype)) {
                    bad(first_use[name], "downward", name " is defined below, in line " definition[name])
                }
            }
            for (size = 1; size <= longest; size++) {
                seen += sizes[size]
                if (!median && seen * 2 >= functions) {
                    median = size
                }
                if (!p90 && seen * 10 >= functions * 9) {
                    p90 = size
                }
            }
            printf "%d lines: code %d, comments %d, wider than 100 columns %d; ", NR, code_lines,
                comment_lines, wide_lines
            printf "%d functions: median %d, p90 %d, longest %d lines\n", functions, median, p90, longest
            exit failed
        }
    ' "$1"
}

# check_writable FILE: the rule "writable".
check_writable() {
    printf '#define SX_VKALLOC_IMPLEMENTATION\n#include "%s"\n' "$1" >"$scratch/writable.c"
    # Position-independent code would move constant tables of pointers to a section that nm calls writable.
    ${CC:-cc} -std=c99 -O1 -fno-pic -fno-pie -c "$scratch/writable.c" -o "$scratch/writable.o" || return 1
    nm "$scratch/writable.o" | awk -v file="$1" -v allowed=" $allowed_writable " '
        $(NF - 1) ~ /^[BbCDdSsGgu]$/ && !index(allowed, " " $NF " ") {
            printf "%s:1: writable: %s\n", file, $NF
            failed = 1
        }
        END { exit failed }
    '
}

# check_header FILE [RULE]: all rules; when only one matters, the compiler is asked only for its own.
check_header() {
    result=0
    check_text "$1" || result=1
    check_structure "$1" || result=1
    case ${2:-writable} in
    writable) check_writable "$1" || result=1 ;;
    esac
    return $result
}

# check_sources: the rule "text" for our other files.
check_sources() {
    result=0
    (cd "$root" && find CMakeLists.txt .ci cmake examples tests tools -type f ! -path '*/data/*') \
        >"$scratch/sources"
    while IFS= read -r source; do
        # This file and no other has to name what it looks for.
        if [ "$source" != tools/check_layout.sh ]; then
            check_text "$root/$source" || result=1
        fi
    done <"$scratch/sources"
    echo "$(wc -l <"$scratch/sources") files"
    return $result
}

# --- the checker, checked -----------------------------------------------------------------------

# with TEXT: the header with this text as the first thing of the implementation.
with() {
    text=$1 awk '{ print } /^#define SXVKI_IMPLEMENTATION_GUARD/ { print ENVIRON["text"] }' "$header"
}

# expect RULE WHAT: the header on standard input breaks this rule, which the header itself does not.
expect() {
    cat >"$scratch/broken.h"
    tests=$((tests + 1))
    if grep -q ": $1: " "$scratch/clean"; then
        problem="the header itself breaks it"
    elif cmp -s "$scratch/broken.h" "$header"; then
        problem="the copy is like the header"
    elif check_header "$scratch/broken.h" "$1" >"$scratch/report" 2>&1; then
        problem="the check passed"
    elif ! grep -q ": $1: " "$scratch/report"; then
        problem="another rule noticed: $(cat "$scratch/report")"
    else
        return 0
    fi
    echo "self-test of '$1' with $2: $problem"
    failures=$((failures + 1))
}

self_test() {
    tests=0
    failures=0
    check_header "$header" >"$scratch/clean" 2>&1 || true

    # Not as pipes: the counters live in this shell.
    try() {
        with "$3" >"$scratch/in"
        expect "$1" "$2" <"$scratch/in"
    }
    edit() {
        sed "$3" "$header" >"$scratch/in"
        expect "$1" "$2" <"$scratch/in"
    }

    try text "a letter beyond ASCII" "$(printf '/* caf\303\251 */')"
    try text "a tab" "$(printf '/*\ttab */')"
    try text "a blank at the end of a line" '/* blank */ '
    try text "a line of 111 columns" "/* $(printf '%0105d' 0) */"
    try text "unfinished work" '/* TODO */'
    edit text "carriage returns" "s/\$/$(printf '\r')/"
    printf '%s' "$(cat "$header")" >"$scratch/in"
    expect text "no newline at the end" <"$scratch/in"

    edit toc "a tag that no banner has" '1,/>>config /s/>>config />>konfig /'
    edit toc "two tags in another order" \
        '1,/>>config /{ s/>>config />>swap /; s/>>types />>config /; s/>>swap />>types /; }'
    edit toc "a banner that the contents do not have" '/^\/\*  >>types /s/>>types />>typos /'
    edit banner "a banner of two widths" '/^\/\*  >>types /s/ \*\/$/*\//'
    edit banner "a banner without its upper line" '/^\/\* =* \*\/$/{ N; /\n\/\*  >>types /s/^[^\n]*\n//; }'

    later='static int sxvki_probe(void) {
    return sxvki_probe_later();
}
static int sxvki_probe_later(void) {
    return 1;
}'
    try downward "a call of a function defined below" "$later"
    try downward "a prototype" "static int sxvki_probe_later(void);
$later"
    try length "a function of 101 lines" "static void sxvki_probe(void) {
$(awk 'BEGIN { for (i = 0; i < 99; i++) print "    (void)0;" }')
}"
    try braces "an if without braces" 'static int sxvki_probe(int x) {
    if (x > (1))
        return 1;
    return 0;
}'
    try braces "a for in one line" 'static void sxvki_probe(int x) {
    for (; x > (1); x--) x--;
}'
    try braces "an else without braces" 'static void sxvki_probe(int x) {
    if (x) {
        x = 1;
    } else
        x = 2;
}'
    try writable "a global variable" 'int sxvki_probe = 1;'
    try writable "a static variable in a function" 'int sxvki_probe(void);
int sxvki_probe(void) {
    static int count;
    return ++count;
}'

    # What is allowed stays allowed.
    with 'static int sxvki_probe(int x) {
    do {
        x--;
    } while (x > 1);
    if (x > 1 &&
        x < 3) {
        x = (int)sizeof("sxvki_probe_later(): if (x) y;");
    }
    return x; /* sxvki_probe_later: if (x) y; */
}
static const char* const sxvki_probe_names[] = {"a", "b"};
static int sxvki_probe_later(void) {
    return sxvki_probe(sxvki_probe_names[0][0]);
}
int sxvkProbe(void) {
    return sxvki_probe_later();
}' >"$scratch/in"
    tests=$((tests + 1))
    check_header "$scratch/in" >"$scratch/report" 2>&1 || true
    if [ "$(grep -c ': [a-z]*: ' "$scratch/report")" != "$(grep -c ': [a-z]*: ' "$scratch/clean")" ]; then
        echo "self-test: good code was taken for bad:"
        cat "$scratch/report"
        failures=$((failures + 1))
    fi

    echo "$tests self-tests, $failures failures"
    [ $failures = 0 ]
}

case $mode in
check) check_header "$header" ;;
sources) check_sources ;;
self-test) self_test ;;
*)
    echo "usage: sh tools/check_layout.sh [check|sources|self-test] [header]" >&2
    exit 2
    ;;
esac
