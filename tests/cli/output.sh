# Results that cannot be written: the path and the reason, an exit status, nothing half-written, and the old file kept.
command -v python3 >/dev/null || skip "python3 is not installed"
python3 "$TESTS/cli/make_model.py" tiny.gguf
printf 'the hero went home and he said that the time has come.\n' >text
steps="--text text --batch-size 1 --max-seq-length 16 --iters 1"
# shellcheck disable=SC2086
expect 0 "$TNN" train lora tiny.gguf $steps --out pair
long=$(printf '%0300d' 0)
mkdir locked
chmod a-w locked
read_only= # for root there may be none
for folder in /sys locked; do
    if [ -d $folder ] && [ ! -w $folder ]; then read_only=$folder; fi
done

# produce VERB PATH: a command that writes to PATH.
# shellcheck disable=SC2086
produce() {
    case $1 in
    quantize) set -- quantize tiny.gguf "$2" Q8_0 ;;
    merge) set -- merge tiny.gguf --lora pair/adapter.gguf -o "$2" ;;
    logits) set -- logits tiny.gguf -p 'the end' -o "$2" ;;
    cache) set -- run tiny.gguf -p 'the end' -n 1 --json --prompt-cache "$2" ;;
    taps) set -- run tiny.gguf -p 'the end' -n 1 --json --tap 'blk.*' --tap-out "$2" ;;
    eval) set -- eval tiny.gguf --text text -c 8 --tap 'blk.*' --tap-out "$2" ;;
    tokenizer) set -- tokenizer train --text text --vocab-size 300 -o "$2" ;;
    train) set -- train lora tiny.gguf $steps --out "$2" ;;
    full) set -- train full tiny.gguf $steps --out "$2" ;;
    esac
    "$TNN" "$@"
}

# The folder holds what it held, and `kept` its one line.
nothing_left() {
    rm -f out err texts json_error
    # shellcheck disable=SC2012
    [ "$(ls)" = "$before" ] || fail "$1 left something behind: $(ls)"
    [ "$(cat kept)" = old ] || fail "$1 changed a file it could not write"
}

echo old >kept
rm -f out err
before=$(ls)
for verb in quantize merge logits cache taps eval tokenizer train; do
    expect_error 2 'text/x' 'text' -- produce $verb text/x
    expect_error 2 'is empty' -- produce $verb ''
    [ -z "$read_only" ] || expect_error 2 "$read_only/x" 'the folder' -- produce $verb $read_only/x
    [ $verb = train ] || expect_error 2 'no-such-folder: No such file or directory' -- produce $verb no-such-folder/x
    nothing_left $verb
done
for verb in quantize merge logits cache taps eval tokenizer; do
    expect_error 1 "$long: File name too long" -- produce $verb "$long"
    nothing_left $verb
done
expect_error 2 "$long: File name too long" -- produce train "$long"
nothing_left train

# Room for 1 KiB a file: what a full disk does, without one.
full() { (
    trap '' XFSZ
    ulimit -f 2
    "$@"
); }
for verb in quantize merge logits cache taps eval tokenizer; do
    expect_error 1 'cannot write new: ' 'bytes are needed' -- full produce $verb new
    nothing_left $verb
    [ $verb = cache ] && continue # which is read first
    expect_error 1 'cannot write kept: ' 'bytes are needed' -- full produce $verb kept
    nothing_left $verb
done

# A run keeps its folder: nothing half-written is in it, and it goes on where there is room.
expect 1 full produce full run
expect_err 'cannot write run/model.gguf: '
expect_err 'step 1 was not saved: cannot write run/checkpoints/step-0000000001.ckpt: '
[ -z "$(find run -name '*.tmp-*' -o -name '*.ckpt' -o -name model.gguf)" ] || fail "half a file: $(find run)"
expect 0 "$TNN" train --resume run
[ -s run/model.gguf ] || fail "the run did not go on"
