# Learning a tokenizer: the file is one that the other verbs take, and the same each time.
command -v python3 >/dev/null || skip "python3 is not installed"
text=$TESTS/golden/data/bpe-small.txt

expect 0 "$TNN" tokenizer train --text "$text" --vocab-size 300 -o bpe.gguf
expect_out "bpe.gguf: 300 tokens, 43 merges"
cp bpe.gguf first.gguf
expect 0 "$TNN" tokenizer train -f "$text" --vocab-size=300 -o bpe.gguf --json
cmp bpe.gguf first.gguf || fail "the same text, another file"
expect_json '(d["vocab_size"], d["merges"], d["out"]) == (300, 43, "bpe.gguf")'
expect_json 'abs(d["bytes_per_token"] - d["bytes"] / d["tokens"]) < 1e-6'
n=$(python3 -c 'import json; print(json.load(open("out"))["tokens"])')

expect 0 "$TNN" tokenize bpe.gguf -f "$text"
[ "$(wc -w <out)" -eq "$n" ] || fail "the text has $n tokens"
cp out ids
expect 0 "$TNN" tokenize bpe.gguf --decode -f ids
printf '\n' | cat "$text" - | cmp - out || fail "the text comes back"
expect 0 "$TNN" show bpe.gguf
expect_out "smollm"

# Two texts and standard input; --chat; a training takes the file.
printf 'hello hello hello' >more
expect 0 "$TNN" tokenizer train --text more --text - --chat -o chat.gguf <"$text"
expect_err "no further pair occurs 2 times"
expect 0 "$TNN" tokenize chat.gguf -p '<|im_start|>'
expect_out_is 1
expect 0 "$TNN" train scratch --tokenizer chat.gguf --text "$text" --d-model 32 --n-layers 1 --n-heads 2 --d-ff 32 \
    --max-seq-length 32 --batch-size 1 --iters 1 --out run -t 1
expect 0 "$TNN" run run/model.gguf --raw -p hello -n 4 -t 1

expect_error 2 "'learn'" train -- "$TNN" tokenizer learn --text more -o x.gguf
expect_error 2 ACTION -- "$TNN" tokenizer
expect_error 2 --text -- "$TNN" tokenizer train -o x.gguf
expect_error 2 '-o FILE' -- "$TNN" tokenizer train --text more
expect_error 2 no-such -- "$TNN" tokenizer train --text no-such -o x.gguf
expect_error 2 vocab -- "$TNN" tokenizer train --text more -o x.gguf --vocab-size 256
expect_error 2 259 -- "$TNN" tokenizer train --text more -o x.gguf --vocab-size 258 --chat
expect_error 2 "pre 'none'" -- "$TNN" tokenizer train --text more -o x.gguf --pre none
expect_error 2 'is the input' -- "$TNN" tokenizer train --text "$text" --text more -o ./more
: >empty
expect_error 2 'no text' -- "$TNN" tokenizer train --text empty -o x.gguf
expect_error 2 no-folder -- "$TNN" tokenizer train --text more -o no-folder/x.gguf
[ ! -e x.gguf ] || fail "a failure leaves no file"
