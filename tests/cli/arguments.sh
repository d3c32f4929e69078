# Help, mistyped words, and values that no verb may take.
model=$TESTS/golden/data/llama-gqa.gguf
verbs="run chat show list tokenize logits eval quantize bench version"

expect 2 "$TNN"
expect_out 'tnn VERB'
expect 0 "$TNN" help
for verb in $verbs; do
    expect 0 "$TNN" help
    expect_out "  $verb "
    expect 0 "$TNN" help "$verb"
    cp out by_help
    expect 0 "$TNN" "$verb" --help
    cmp -s out by_help || fail "tnn help $verb and tnn $verb --help differ"
    expect_out "tnn $verb"
done
expect 0 "$TNN" run --help
for default in 'default: 0.8' 'default: 40' 'default: 0.95' 'default: 0.05' 'default: 64' 'default: 512' 'default: F16'; do
    expect_out "$default"
done
expect 0 "$TNN" --version
expect_out 'tnn '
expect 0 "$TNN" version --json
expect_json 'd["version"] and d["isa"]'

expect_error 2 "unknown verb 'rn'" "did you mean 'run'" -- "$TNN" rn
expect_error 2 "unknown verb 'zzzzzz'" 'tnn help' -- "$TNN" zzzzzz
expect_error 2 "unknown verb 'zzzzzz'" -- "$TNN" help zzzzzz
expect_error 2 "unknown option '--tmp'" "did you mean '--temp'" -- "$TNN" run "$model" --tmp 1
expect_error 2 "unknown option '--top_k'" "did you mean '--top-k'" -- "$TNN" run "$model" --top_k 1
expect_error 2 "unknown option '--temp'" 'tnn help eval' -- "$TNN" eval "$model" --temp 1
expect_error 2 '-n needs a value' -- "$TNN" run "$model" -n
expect_error 2 '--json takes no value' -- "$TNN" run "$model" --json=yes
expect_error 2 "one argument too many: 'more'" -- "$TNN" run "$model" more
expect_error 2 'MODEL is missing' -- "$TNN" run -n 1
expect_error 2 'TYPE is missing' -- "$TNN" quantize "$model" out.gguf
expect 0 "$TNN" show -m "$model"
expect 0 "$TNN" show -- "$model"

# Values: the option and what it was given are named.
expect_error 2 '-n' '-5' 'out of range' -- "$TNN" run "$model" -n -5
expect_error 2 '-n' 'many' 'not a whole number' -- "$TNN" run "$model" -n many
expect_error 2 '-n' '99999999999999999999' 'out of range' -- "$TNN" run "$model" -n 99999999999999999999
expect_error 2 '-c' '0 is out of range' -- "$TNN" run "$model" -c 0
expect_error 2 '-c' '-1 is out of range' -- "$TNN" run "$model" -c -1
expect_error 2 '--ctx-size' '1099511627776 is out of range' -- "$TNN" run "$model" --ctx-size 1099511627776
expect_error 2 '-b' '0 is out of range' -- "$TNN" run "$model" -b 0
expect_error 2 '-t' '-2 is out of range' -- "$TNN" run "$model" -t -2
for value in nan NaN inf -inf 1e999 hot ''; do
    expect_error 2 '--temp' 'not a number' -- "$TNN" run "$model" --temp "$value"
done
expect_error 2 '--temp' '-1 is out of range' -- "$TNN" run "$model" --temp -1
expect_error 2 '--top-p' '1.5 is out of range' -- "$TNN" run "$model" --top-p=1.5
expect_error 2 '--min-p' 'nan' -- "$TNN" run "$model" --min-p nan
expect_error 2 '--repeat-penalty' 'inf' -- "$TNN" run "$model" --repeat-penalty inf
expect_error 2 '--seed' '-2 is out of range' -- "$TNN" run "$model" --seed -2
expect_error 2 '--kv-type' "'q5_9'" -- "$TNN" run "$model" --prompt-ids 1 --kv-type q5_9
expect_error 2 '--isa' 'sse9' -- "$TNN" run "$model" --prompt-ids 1 --isa sse9
expect_error 2 '--chunks' '-9' -- "$TNN" eval "$model" --text "$model" --chunks -9
expect_error 2 '-r' '0 is out of range' -- "$TNN" bench "$model" -r 0
expect_error 2 'nothing to measure' -- "$TNN" bench "$model" -p 0 -n 0

# Token ids.
for verb in run 'logits -o f'; do
    # shellcheck disable=SC2086
    set -- $verb
    v=$1
    shift
    expect_error 2 'token id -1' 'outside the vocabulary' -- "$TNN" "$v" "$model" "$@" --prompt-ids '1 -1'
    expect_error 2 'token id 100000' 'outside the vocabulary' -- "$TNN" "$v" "$model" "$@" --prompt-ids '1 100000'
    expect_error 2 'token id 18446744073709551617' -- "$TNN" "$v" "$model" "$@" --prompt-ids '18446744073709551617'
    expect_error 2 "'x7' is not a token id" -- "$TNN" "$v" "$model" "$@" --prompt-ids '1 x7'
    expect_error 2 "'7x' is not a token id" -- "$TNN" "$v" "$model" "$@" --prompt-ids '7x'
    expect_error 2 'prompt is empty' -- "$TNN" "$v" "$model" "$@" --prompt-ids ' '
    expect_error 2 'no tokenizer' '--prompt-ids' -- "$TNN" "$v" "$model" "$@" -p hello
done

# Files.
expect_error 2 'no-such.gguf' -- "$TNN" show no-such.gguf
expect_error 2 'is a folder' -- "$TNN" show .
echo nonsense >not.gguf
: >empty.gguf
expect_error 2 'not.gguf' -- "$TNN" show not.gguf
expect_error 2 'empty.gguf' -- "$TNN" run empty.gguf -p x
head -c 1000 "$model" >cut.gguf
expect_error 2 'cut.gguf' -- "$TNN" run cut.gguf --prompt-ids 1

# A result that cannot be written is a failure.
if [ -w /dev/full ]; then
    for command in 'help run' 'version --json' "show $model --json"; do
        got=0
        # shellcheck disable=SC2086
        "$TNN" $command >/dev/full 2>err || got=$?
        [ $got -eq 1 ] || fail "exit status $got where the disk is full: $command"
        [ "$(wc -l <err)" -eq 1 ] || fail "an error is one line: $command"
    done
fi
