# Text to ids and back, one by one and line by line.
command -v python3 >/dev/null || skip "python3 is not installed"
python3 "$TESTS/cli/make_model.py" tiny.gguf
python3 "$TESTS/cli/make_model.py" vocab.gguf --vocab-only

# 0 <|bos|>, 1 <|im_start|>, 2 <|im_end|>; "he" is 260, "h" 108, "i" 109.
expect 0 "$TNN" tokenize tiny.gguf -p hehi
expect_out_is '0 260 108 109'
expect 0 "$TNN" tokenize vocab.gguf -p hehi
expect_out_is '0 260 108 109'
expect 0 "$TNN" tokenize tiny.gguf -p 'hi<|im_end|>' --no-bos
expect_out_is '108 109 2'
expect 0 "$TNN" tokenize tiny.gguf -p '<|im_end|>' --no-bos --no-special
[ "$(wc -w <out)" -eq 10 ] || fail "ten characters of plain text"
expect 0 "$TNN" tokenize tiny.gguf -p '' --no-bos
expect_out_is ''
printf 'hehi' >text
expect 0 "$TNN" tokenize tiny.gguf -f text
expect_out_is '0 260 108 109'
expect 0 "$TNN" tokenize tiny.gguf <text
expect_out_is '0 260 108 109'
expect 0 "$TNN" tokenize tiny.gguf -p hehi --json
expect_json 'd == {"n": 4, "ids": [0, 260, 108, 109], "tokens": ["<|bos|>", "he", "h", "i"]}'

expect 0 "$TNN" tokenize tiny.gguf --decode -p '260 108,109 2'
expect_out_is 'hehi<|im_end|>'
expect 0 "$TNN" tokenize tiny.gguf --decode -p '260 2' --no-special
expect_out_is 'he'
expect 0 "$TNN" tokenize tiny.gguf --decode -p '260 260' --json
expect_json 'd == {"n": 2, "ids": [260, 260], "text": "hehe"}'
# Every byte comes back.
python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(1, 256)) * 3)' >bytes
expect 0 "$TNN" tokenize tiny.gguf -f bytes --no-bos --no-special
cp out ids
expect 0 "$TNN" tokenize tiny.gguf --decode -f ids
python3 -c 'import sys
sys.exit(open("out", "rb").read() != open("bytes", "rb").read().decode("utf-8", "replace").encode() + b"\n")' ||
    fail "ill-formed bytes become U+FFFD, all others come back"

printf '"hehi"\n"a\\u0000b"\r\n""\n"hehi"' >lines
expect 0 "$TNN" tokenize tiny.gguf --jsonl --no-bos <lines
[ "$(sed -n 1p out)" = '[260, 108, 109]' ] && [ "$(sed -n 3p out)" = '[]' ] && [ "$(wc -l <out)" -eq 4 ] ||
    fail "one array a line"
cp out arrays
expect 0 "$TNN" tokenize tiny.gguf --jsonl --decode <arrays
[ "$(sed -n 1p out)" = '"hehi"' ] && [ "$(sed -n 2p out)" = '"a\u0000b"' ] || fail "one string a line"

# Failures name the line.
bad() {
    printf "$1" >lines
    got=0
    "$TNN" tokenize tiny.gguf --jsonl ${3-} <lines >out 2>err || got=$?
    [ $got -eq 2 ] || fail "exit status $got for the lines $1"
    expect_err "$2"
}
bad '"ok"\n[1]\n' 'line 2'
bad '"ok"\n"cut' 'line 2'
bad '\n' 'line 1'
bad '"\\ud800"\n' 'line 1'
bad '"\377"\n' 'line 1'
bad '{"text": "no"}\n' 'line 1'
bad '[1, 2, 262]\n' 'token id 262' --decode
bad '[1, 2.5]\n' 'line 1' --decode
expect 0 "$TNN" tokenize tiny.gguf --jsonl </dev/null
[ ! -s out ] || fail "no lines, no arrays"

expect_error 2 'has no tokenizer' -- "$TNN" tokenize "$TESTS/golden/data/qwen2.gguf" -p x
expect_error 2 'outside the vocabulary' -- "$TNN" tokenize tiny.gguf --decode -p '1 262'
expect_error 2 '-p and -f' -- "$TNN" tokenize tiny.gguf -p x -f text
expect_error 2 '--jsonl' -- "$TNN" tokenize tiny.gguf --jsonl -p x
expect_error 2 '--jsonl' -- "$TNN" tokenize tiny.gguf --jsonl --json
