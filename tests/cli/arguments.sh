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

# What can be judged without the model is judged before it is looked for.
printf 'some text\n' >text
late='no-such.gguf'
for verb in run chat; do
    expect_error 2 '--repeat-penalty: 0' 'above 0' -- "$TNN" $verb $late --repeat-penalty 0
    expect_error 2 '--kv-type' "'q5_9'" -- "$TNN" $verb $late --kv-type q5_9
    expect_error 2 "'no-template'" 'chatml' -- "$TNN" $verb $late --chat-template no-template
    expect_error 2 '--lora' 'no-adapter: No such file' -- "$TNN" $verb $late --lora no-adapter
    expect_error 2 '--lora text:x' 'the scale' -- "$TNN" $verb $late --lora text:x
done
for verb in run 'logits -o f'; do
    # shellcheck disable=SC2086
    set -- $verb
    v=$1
    shift
    expect_error 2 '--prompt-ids excludes' -- "$TNN" "$v" $late "$@" --prompt-ids 1 -p x
    expect_error 2 '-p and -f exclude' -- "$TNN" "$v" $late "$@" -p x -f text
    expect_error 2 "'7x' is not a token id" -- "$TNN" "$v" $late "$@" --prompt-ids '1,7x'
    expect_error 2 'the prompt is empty' -- "$TNN" "$v" $late "$@" --prompt-ids ''
    expect_error 2 'no-text: No such file' -- "$TNN" "$v" $late "$@" -f no-text
    expect_error 2 'home: Is a directory' -- "$TNN" "$v" $late "$@" -f home
done
expect_error 2 '--raw excludes' -- "$TNN" run $late -p x --raw --system y
expect_error 2 'no-text: No such file' -- "$TNN" tokenize $late -f no-text
expect_error 2 '--jsonl reads standard input' -- "$TNN" tokenize $late --jsonl -p x
expect_error 2 'no-text: No such file' -- "$TNN" eval $late --text no-text
expect_error 2 'no-data: No such file' -- "$TNN" eval $late --data no-data
expect_error 2 "'no-template'" -- "$TNN" eval $late --data text --chat-template no-template
expect_error 2 'no-adapter' -- "$TNN" eval $late --text text --lora no-adapter
expect_error 2 'no-text: No such file' -- "$TNN" merge $late --lora text -o merged --text no-text
expect_error 2 'text is the input' -- "$TNN" merge $late --lora text -o text --text text
expect_error 2 'no-adapter' -- "$TNN" merge $late --lora no-adapter -o merged
expect_error 2 '--type' "'Q9'" -- "$TNN" merge $late --lora text -o merged --type Q9
expect_error 2 "'Q9'" -- "$TNN" quantize $late out.gguf Q9
expect_error 2 '--output-tensor-type' "'Q9'" -- "$TNN" quantize $late out.gguf Q8_0 --output-tensor-type Q9
expect_error 2 '--data: no-data: No such file' -- "$TNN" train lora $late --data no-data
expect_error 2 '--text: no-text: No such file' -- "$TNN" train lora $late --text no-text
expect_error 2 "'no-template'" -- "$TNN" train lora $late --data home --chat-template no-template
# A file that is no model: the settings that only make sense together come first.
expect_error 2 'either a folder' -- "$TNN" train lora not.gguf --out new
expect_error 2 'num_layers 0' -- "$TNN" train lora not.gguf --text text --num-layers 0 --out new
expect_error 2 'lora_modules: attn_x' -- "$TNN" train lora not.gguf --text text --lora-modules attn_x --out new

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
