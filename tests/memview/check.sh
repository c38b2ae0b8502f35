#!/bin/sh
# memview in a headless Chromium: what it shows of dumps, against sums that the test makes itself.
#
#   sh tests/memview/check.sh [-s SHOTS] EMBED LEAKS [DEMO]
#
# EMBED and LEAKS are the programs memview_embed and memview_leaks; with DEMO, the demo, it is run and
# its page looked at as well.
# With -s screenshots are left in the folder SHOTS. CHROMIUM and NODE in the environment name the two
# programs. Exit code: 0 all is well, 1 something is not, 77 there is no Chromium or no Node.js.

set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
shots=
if [ "${1:-}" = -s ]; then
    mkdir -p "$2"
    shots=$(cd "$2" && pwd)
    shift 2
fi
if [ $# -lt 2 ]; then
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi

# first_of NAME...: the first of them that is here.
first_of() {
    for name in "$@"; do
        command -v "$name" && return 0
    done
    return 1
}

chromium=$(first_of "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable) ||
    chromium=false
if ! "$chromium" --version >/dev/null 2>&1; then
    echo "memview is not tested: there is no Chromium here that starts (apt-get install chromium)"
    exit 77
fi
node=$(first_of "${NODE:-}" node nodejs) || node=false
if ! "$node" -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' 2>/dev/null; then
    echo "memview is not tested: there is no Node.js 18 or newer here (apt-get install nodejs)"
    exit 77
fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/sx_vkalloc.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
"$2" "$scratch/leaks.json"
if [ -n "${3:-}" ]; then
    "$3" --out "$scratch/demo" >"$scratch/demo.log" 2>&1 || {
        cat "$scratch/demo.log"
        echo "the demo failed"
        exit 1
    }
fi
"$node" "$root/tests/memview/check.mjs" "$chromium" "$root" "$scratch" "$1" "$shots"
