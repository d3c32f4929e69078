# A real model: what it says, and that nothing about the machine changes it.
[ -n "$MODEL" ] || skip "no model to run; tools/get-model fetches one"

expect 0 "$TNN" show "$MODEL" --json
expect_json 'd["architecture"] == "llama" and d["runs"] and d["chat_template"] == "chatml" and d["file_type"] == "Q4_1"'
expect 0 "$TNN" tokenize "$MODEL" -p 'Hello <|im_end|> world'
expect_out_is '19556 216 2 905'

expect 0 "$TNN" run "$MODEL" --raw -p 'The capital of France is' -n 12 --temp 0 --json -t 1
expect_json '"Paris" in d["text"]'
cp out one
expect 0 "$TNN" run "$MODEL" --raw -p 'The capital of France is' -n 12 --temp 0 --json -t 2
expect_json 'd["ids"] == json.load(open("one"))["ids"]'
expect 0 "$TNN" run "$MODEL" --raw -p 'The capital of France is' -n 12 --temp 0 --json -t 2 -b 2
expect_json '"Paris" in d["text"]'

expect 0 "$TNN" run "$MODEL" -p 'What is gravity?' -n 24 --temp 0 --json
expect_json '"ravity" in d["text"] and d["text"].isprintable()'
printf 'My name is Ada.\nWhat is my name?\n' >said
"$TNN" chat "$MODEL" --temp 0 -n 24 --json <said >out
expect_json 'len(d["messages"]) == 4 and all(m["content"] for m in d["messages"])'

[ -e "$SHARED/data/wikitext2-test.txt" ] || skip "no texts in $SHARED"
expect 0 "$TNN" eval "$MODEL" --text "$SHARED/data/wikitext2-test.txt" -c 128 --chunks 4 --json
expect_json '10 < d["ppl"] < 60 and d["tokens"] == 312144'
