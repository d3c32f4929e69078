#!/bin/sh
# Runs one case over the built command, in an empty folder of its own that goes when the case ends.
#
#   tests/cli/run.sh TNN CASE.sh
#
# A case is a POSIX shell script. It is run with -eu and finds the helpers of tests/support/cli.sh. It has
#   $TNN       the command
#   $TESTS     the folder tests/
#   $MODEL     SmolLM2-135M-Instruct where tools/get-model has fetched it, else empty
#   $EXAMPLES  the folder of the built examples
#   $SHARED    texts and vocabularies; may not exist
# Exit code 77 is a skip.
set -eu
TNN=$(realpath "$1")
CASE=$(realpath "$2")
TESTS=$(realpath "$(dirname "$0")/..")
SHARED=${TNN_SHARED:-$TESTS/../../shared}
EXAMPLES=${EXAMPLES:-$(dirname "$TNN")/examples}
MODEL=${XDG_CACHE_HOME:-$HOME/.cache}/tinynn/SmolLM2-135M-Instruct-Q4_1.gguf
[ -e "$MODEL" ] || MODEL=
export TNN TESTS SHARED EXAMPLES MODEL

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
# What a user has set must not change a result.
unset TNN_SHARED HF_HOME HF_HUB_CACHE OLLAMA_MODELS LLAMA_CACHE XDG_CACHE_HOME
HOME=$work/home LC_ALL=C.UTF-8
export HOME LC_ALL
mkdir home

. "$TESTS/support/cli.sh"
. "$CASE"
