# tnn run: text and ids, determinism, prefix of options, ends, interrupts.
command -v python3 >/dev/null || skip "python3 is not installed"
python3 "$TESTS/cli/make_model.py" tiny.gguf
python3 "$TESTS/cli/make_model.py" base.gguf --no-template

# A base model goes on with the text; an instruct model gets a message, unless --raw.
expect 0 "$TNN" run base.gguf -p hehi -n 5 --temp 0 --json
cp out raw
expect_json 'd["prompt_ids"] == [0, 260, 108, 109] and len(d["ids"]) == 5 and d["finish_reason"] == "length"'
expect_json 'd["prompt_tokens"] == 4 and d["generated_tokens"] == 5 and d["decode_tokens_per_second"] > 0'
expect 0 "$TNN" run tiny.gguf -p hehi -n 5 --temp 0 --json --raw
expect_json 'd["ids"] == json.load(open("raw"))["ids"] and d["text"] == json.load(open("raw"))["text"]'
expect 0 "$TNN" run tiny.gguf --prompt-ids '0 260,108 109' -n 5 --temp 0 --json
expect_json 'd["ids"] == json.load(open("raw"))["ids"]'
expect 0 "$TNN" run tiny.gguf -p hehi -n 5 --temp 0 --json
expect_json 'd["prompt_ids"][:2] == [0, 1] and 260 in d["prompt_ids"] and len(d["prompt_ids"]) > 10'
expect 0 "$TNN" run base.gguf --system 'hi' --chat-template chatml -p hehi -n 1 --json
expect_json 'd["prompt_ids"].count(1) == 3 and d["prompt_ids"].count(2) == 2'
expect 0 "$TNN" run tiny.gguf -p '<|im_end|>' -n 1 --json
expect_json 'd["prompt_ids"].count(2) == 1' # what a message says is no control token
expect_error 2 '--raw excludes' -- "$TNN" run tiny.gguf -p x --raw --system y
expect_error 2 'add --raw' -- "$TNN" run tiny.gguf -p x --no-bos
expect_error 2 'chat-template' -- "$TNN" run base.gguf -p x --chat-template no-such-template

# The prompt from files and standard input; text to stdout, the rest to stderr.
printf hehi >text
expect 0 "$TNN" run base.gguf -f text -n 5 --temp 0 --json
expect_json 'd["ids"] == json.load(open("raw"))["ids"]'
for dash in '' '-p -' '-f -'; do
    # shellcheck disable=SC2086
    "$TNN" run base.gguf $dash -n 5 --temp 0 --json <text >out
    expect_json 'd["ids"] == json.load(open("raw"))["ids"]'
done
expect 0 "$TNN" run base.gguf -p hehi -n 5 --temp 0
python3 -c 'import json, sys
sys.exit(open("out", encoding="utf-8").read() != json.load(open("raw"))["text"] + "\n")' || fail "the text is another one"
expect_err 'prompt 4 tokens'
expect_err 'length'
expect 0 "$TNN" run base.gguf -p hehi -n 5 --temp 0 -q
[ ! -s err ] || fail "-q prints no timings"
expect 0 "$TNN" run base.gguf -p hehi -n 0 --json
expect_json 'd["ids"] == [] and d["text"] == "" and d["finish_reason"] == "length"'
expect_error 2 'no-such.txt' -- "$TNN" run base.gguf -f no-such.txt
expect_error 2 'prompt is empty' -- "$TNN" run tiny.gguf -p ''

# Same seed, same ids, whatever the threads, batches, and the way the file is read.
expect 0 "$TNN" run base.gguf -p hehi -n 40 --seed 5 --json
cp out seeded
for options in '-t 1' '-t 3' '-b 1' '--no-mmap' '--top-k 40 --temp 0.8 --top-p 0.95 --min-p 0.05'; do
    # shellcheck disable=SC2086
    expect 0 "$TNN" run base.gguf -p hehi -n 40 --seed 5 --json $options
    expect_json 'd["ids"] == json.load(open("seeded"))["ids"] and d["seed"] == 5' || fail "other ids with $options"
done
expect 0 "$TNN" run base.gguf -p hehi -n 40 --seed 6 --json
expect_json 'd["ids"] != json.load(open("seeded"))["ids"]'
for options in '--kv-type f32' '--kv-type bf16' '--isa portable' '--repeat-penalty 1.3 --repeat-last-n -1' \
    '--presence-penalty 1 --frequency-penalty 0.5' '--typical 0.5'; do
    # shellcheck disable=SC2086
    expect 0 "$TNN" run base.gguf -p hehi -n 8 --seed 5 --json $options
    expect_json 'len(d["ids"]) == 8'
done

# Ends: a stop string, the context, a prompt that is too long.
stop=$(python3 -c 'import json
text = json.load(open("seeded"))["text"]
print(next(c for c in text[3:] if c.isascii() and c.isprintable() and c != " "))')
expect 0 "$TNN" run base.gguf -p hehi -n 40 --seed 5 --stop "$stop" --stop 'never there' --json
expect_json "d['finish_reason'] == 'stop' and '$stop' not in d['text'] and json.load(open('seeded'))['text'].startswith(d['text'])"
expect 0 "$TNN" run base.gguf -p hehi -c 20 --ignore-eos --json
expect_json 'd["finish_reason"] == "context" and d["generated_tokens"] == 16'
expect_error 2 '300 tokens' 'context' '-c' -- "$TNN" run base.gguf -c 100 --prompt-ids "$(seq -s ' ' 0 261) $(seq -s ' ' 1 38)"
expect 0 "$TNN" run base.gguf -c 300 -b 7 -n 2 --prompt-ids "$(seq -s ' ' 0 261)" --temp 0 --json
cp out long
expect 0 "$TNN" run base.gguf -c 300 -n 2 --prompt-ids "$(seq -s ' ' 0 261)" --temp 0 --json
expect_json 'd["ids"] == json.load(open("long"))["ids"]'

# Taps: rows of the prompt and of every new token.
expect 0 "$TNN" run base.gguf -p hehi -n 6 --temp 0 --tap embed --tap 'blk.*.resid_post' --json
expect_json '[t["name"] for t in d["taps"]] == ["embed", "blk.0.resid_post", "blk.1.resid_post"]'
expect_json 'd["taps"][0]["rows"] >= 9 and d["taps"][0]["features"] == 32'
expect 0 "$TNN" run base.gguf -p hehi -n 6 --temp 0 --tap final_norm
expect_err 'final_norm'

# An interrupt ends the text, not the result.
"$TNN" run base.gguf -p hehi --ignore-eos -c 2000000 -t 1 --json >out 2>err &
pid=$!
sleep 1
kill -INT $pid
got=0
wait $pid || got=$?
[ $got -eq 0 ] || fail "exit status $got after an interrupt"
expect_json 'd["finish_reason"] == "cancelled" and len(d["ids"]) > 0'
# A second one while the first is not heard yet ends at once.
python3 "$TESTS/cli/interrupt_twice.py" "$TNN" base.gguf || fail "two interrupts"
python3 -c 'print("the hero went home. " * 8)' >text
python3 "$TESTS/cli/terminal.py" "$TNN" base.gguf text || fail "at a terminal"

# Files that are written: the folder is there, and none is what is read.
expect_error 2 'no-such-folder' -- "$TNN" run base.gguf -p hehi --prompt-cache no-such-folder/x
expect_error 2 'no-such-folder' -- "$TNN" run base.gguf -p hehi --tap embed --tap-out no-such-folder/x
cp base.gguf kept.gguf
expect_error 2 'is the input' -- "$TNN" run base.gguf -p hehi --tap embed --tap-out ./base.gguf
expect_error 2 'is the input' -- "$TNN" eval base.gguf --text text --tap embed --tap-out base.gguf
cmp -s base.gguf kept.gguf || fail "the model was written over"
# A prompt that is known as a whole is computed at no speed.
for known in False True; do
    expect 0 "$TNN" run base.gguf -p hehi -n 2 --prompt-cache cache --json
    expect_json "(d['prompt_tokens_per_second'] == 0) == $known"
done
# What is wrong with a flag is said before the model is looked for; a context the model does not know is told.
expect_error 2 "'q4_0'" -- "$TNN" run no-such.gguf -p hehi --kv-type q4_0
expect_error 2 'empty glob' -- "$TNN" run no-such.gguf -p hehi --tap ''
expect 0 "$TNN" run base.gguf -p hehi -n 1 -c 100000
expect_err 'longer than the'
