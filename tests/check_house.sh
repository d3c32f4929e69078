#!/bin/sh
# House rules that a compiler does not check: what the library must never call, and how long a file may be.
#
#   tests/check_house.sh [ROOT]
set -eu
cd "${1:-$(dirname "$0")/..}"
status=0

# The library neither prints, nor ends the process, nor reads the environment, and keeps no hidden state.
if grep -rnE '(^|[^_[:alnum:]])(printf|puts|putchar|perror|exit|_exit|abort|assert|getenv|setlocale|strtok|rand|srand|system)[[:space:]]*\(|\b(stdout|stderr)\b' \
    src --include='*.[ch]' | grep -vE ':[[:space:]]*(/?\*|//)'; then
    echo "the library must not call these: return a status, log through the session" >&2
    status=1
fi

# Kernels and generated tables may be long.
long=$(find src include cmd tests bench examples -name '*.[ch]' ! -path 'src/cpu/x86/*' ! -path 'src/cpu/arm/*' \
    ! -name '*_table*.[ch]' -exec awk 'END { if (NR > 1000) print FILENAME ": " NR " lines" }' {} \;)
if [ -n "$long" ]; then
    printf '%s\n' "$long" "files stay under 1000 lines" >&2
    status=1
fi

if grep -rnE '\b(TODO|FIXME|XXX|HACK)\b' src include cmd tests bench examples tools --include='*.[ch]' --include='*.py'; then
    echo "finish it, or say it in an issue" >&2
    status=1
fi
for header in include/tinynn/*.h; do
    [ "$header" = include/tinynn/tnn.h ] || grep -qF "<tinynn/${header##*/}>" include/tinynn/tnn.h || {
        echo "include/tinynn/tnn.h does not include $header" >&2
        status=1
    }
done
exit $status
