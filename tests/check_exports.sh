#!/bin/sh
# The shared library exports the public names and no others.
#
#   tests/check_exports.sh LIBTNN.SO
set -eu
names=$(nm -D --defined-only "$1" | awk '$2 != "A" { print $3 }')
[ -n "$names" ] || { echo "$1 exports nothing" >&2; exit 1; }
if printf '%s\n' "$names" | grep -vE '^tnn_[a-z0-9]'; then
    echo "not public names" >&2
    exit 1
fi
