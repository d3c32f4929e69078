# A conversation over standard input.
command -v python3 >/dev/null || skip "python3 is not installed"
python3 "$TESTS/cli/make_model.py" tiny.gguf
python3 "$TESTS/cli/make_model.py" base.gguf --no-template --no-tokenizer

say() {
    printf "$1" >said
    shift
    got=0
    "$TNN" chat tiny.gguf --temp 0 "$@" <said >out 2>err || got=$?
    [ $got -eq 0 ] || fail "exit status $got for what was said"
}

say 'hello\nthe end' -n 8 --json
expect_json 'd["template"] == "chatml" and [m["role"] for m in d["messages"]] == ["user", "assistant"] * 2'
expect_json 'd["messages"][0]["content"] == "hello" and d["messages"][2]["content"] == "the end"'
cp out two

# The first answer is what run gives, the second depends on it; text comes as it does there.
expect 0 "$TNN" run tiny.gguf -p hello -n 8 --temp 0 --json
expect_json 'd["text"] == json.load(open("two"))["messages"][1]["content"]'
say 'the end' -n 8 --json
expect_json 'd["messages"][1] != json.load(open("two"))["messages"][3]'
say 'hello\n' -n 8
python3 -c 'import json, sys
sys.exit(open("out", encoding="utf-8").read() != json.load(open("two"))["messages"][1]["content"] + "\n")' ||
    fail "the answer is another one"

# What is known is not computed again.
say 'hello\nhi\nhi\n' -n 4 --timings
[ "$(grep -c 'of them known' err)" -eq 2 ] || fail "the second and third turn reuse the cache"

say 'hello\n/reset\nthe end\n/exit\nnever said\n' -n 8 --json
expect_json '[m["content"] for m in d["messages"] if m["role"] == "user"] == ["the end"]'
say 'one\\\ntwo\r\n\n/help\n' -n 2 --json
expect_json '[m["content"] for m in d["messages"] if m["role"] == "user"] == ["one\ntwo"]'
expect_err '/reset'
say '' --json
expect_json 'd["messages"] == []'
say 'hi\n' -n 2 --system 'be brief' --json
expect_json 'd["messages"][0] == {"role": "system", "content": "be brief"}'

# What an answer is to begin with belongs to the prompt, of run too, and not to the answer.
expect 0 "$TNN" run tiny.gguf -p hello -n 3 --temp 0 --answer-prefix 'the end' --json
cp out with
expect 0 "$TNN" run tiny.gguf -p hello -n 3 --temp 0 --json
expect_json 'json.load(open("with"))["prompt_ids"][:len(d["prompt_ids"])] == d["prompt_ids"] and '\
'json.load(open("with"))["prompt_tokens"] > d["prompt_tokens"]'
say 'hello\n' -n 3 --answer-prefix 'the end' --json
expect_json 'd["messages"][1]["content"] == json.load(open("with"))["text"]'
expect_error 2 '--answer-prefix' -- "$TNN" run tiny.gguf --raw -p hello --answer-prefix x

# Thinking, by a template that tells how; it is judged before a model is opened.
jinja="<|im_start|> {% if add_generation_prompt %}{% if enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
run_on="run tiny.gguf -p hello -n 3 --temp 0 --json"
expect 0 "$TNN" $run_on --chat-template "$jinja" --answer-prefix '<think>

</think>

'
cp out with
expect 0 "$TNN" $run_on --chat-template "$jinja" --think off
expect_json 'json.load(open("with"))["prompt_ids"] == d["prompt_ids"]'
expect 0 "$TNN" $run_on --chat-template "$jinja" --think on
expect_json 'json.load(open("with"))["prompt_tokens"] > d["prompt_tokens"]'
say 'hello\n' -n 3 --chat-template "$jinja" --think off --json
expect_json 'len(d["messages"]) == 2'
expect_error 2 'does not tell how to have it think' -- "$TNN" $run_on --think off
expect_error 2 '--think takes on or off' -- "$TNN" run missing.gguf -p hello --think maybe
expect_error 2 '--think takes on or off' -- "$TNN" chat missing.gguf --think ''
expect_error 2 'give one of them' -- "$TNN" run missing.gguf -p hello --think on --answer-prefix x
expect_error 2 '--think' -- "$TNN" run tiny.gguf --raw -p hello --think on

# The context limit is told; the conversation stays usable.
say 'hello\nhello\n/reset\nhi\n' -n 100 --ignore-eos -c 40 --json
expect_err 'context of 40 tokens is full'
expect_err 'does not fit'
expect_json 'd["messages"][0]["content"] == "hi"'

expect_error 2 'no tokenizer' -- "$TNN" chat base.gguf
