#!/bin/sh
# Holds the source to its layers: which folder may include which, and where vector intrinsics may stand.
#
#   tests/check_layers.sh [ROOT]
set -eu
cd "${1:-$(dirname "$0")/..}"

# In order: each includes itself and those before it. CMakeLists.txt has the same list.
layers="base quant gguf core ops cpu llm text engine recipes"

find src include cmd examples -name '*.[ch]' | LC_ALL=C sort | xargs grep -HnE '^[[:space:]]*#[[:space:]]*include' |
    awk -v layers="$layers" '
    function complain(why) { print file ":" line ": " why; failed = 1 }
    function exists(path,    first) { if ((getline first < path) < 0) return 0; close(path); return 1 }
    BEGIN { n = split(layers, name, " "); for (i = 1; i <= n; i++) rank[name[i]] = i }
    {
        split($0, part, ":"); file = part[1]; line = part[2]
        text = substr($0, length(file) + length(line) + 3)
        quoted = match(text, /"[^"]+"/)
        if (!quoted && !match(text, /<[^>]+>/)) { complain("cannot read this include"); next }
        target = substr(text, RSTART + 1, RLENGTH - 2)
        split(file, folder, "/"); layer = folder[2]

        if (folder[1] == "include") {
            if (quoted) complain("a public header includes <tinynn/...> and the C library only: " target)
        } else if (folder[1] == "cmd" || folder[1] == "examples") {
            if (quoted && !exists(folder[1] "/" target))
                complain(folder[1] "/ uses the public headers and its own files only: " target)
        } else if (!(layer in rank)) {
            complain("src/" layer " is not a layer"); exit
        } else if (quoted) {
            split(target, to, "/")
            if (!(to[1] in rank)) complain("write includes from src/: " target)
            else if (rank[to[1]] > rank[layer]) complain(layer " must not include " to[1] ": " target)
            else if (!exists("src/" target)) complain("no such file: src/" target)
        }
        # A spinning thread says so with one pause instruction; nothing else outside the kernels needs these.
        if (target ~ /^(.*intrin|arm_.*|simde\/.*)\.h$/ && file !~ /^src\/cpu\/(x86|arm)\// &&
            file ":" target != "src/base/threads.c:emmintrin.h")
            complain("intrinsics belong in src/cpu/x86 and src/cpu/arm: " target)
    }
    END { exit failed }'

# A block kernel written with compiler built-ins would pass the check above.
if grep -rnE '\b_mm(256|512)?_|\bv(ld|st)[1-4]q?_|__builtin_(ia32|neon)|\b__(m128|m256|m512)' src include cmd examples \
    --include='*.[ch]' | grep -vE '^src/cpu/(x86|arm)/|^src/base/threads.c:[0-9]+:.*_mm_pause\(\)'; then
    echo "intrinsics belong in src/cpu/x86 and src/cpu/arm" >&2
    exit 1
fi
