# Logits of the tiny models, against float64 rows that were computed elsewhere.
command -v python3 >/dev/null || skip "python3 is not installed"
data=$TESTS/golden/data
ids=$(cat "$data/prompt.ids")

cat >compare.py <<'PYTHON'
import struct, sys
got, want, n_vocab = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read(), int(sys.argv[3])
got, want = struct.unpack(f"<{len(got) // 4}f", got), struct.unpack(f"<{len(want) // 8}d", want)
assert len(got) == len(want) and len(got) % n_vocab == 0, (len(got), len(want))
worst = max(abs(a - b) for a, b in zip(got, want))
sys.exit(f"greatest difference {worst}" if worst > 1e-4 else 0)
PYTHON

while read -r name n_vocab; do
    expect 0 "$TNN" logits "$data/$name.gguf" --prompt-ids "$ids" -o rows
    [ ! -s out ] || fail "rows go to the file alone"
    python3 compare.py rows "$data/$name.logits.f64" "$n_vocab" || fail "logits of $name"
done <"$data/cases.txt"

name=llama-gqa model=$data/llama-gqa.gguf
expect 0 "$TNN" logits "$model" --prompt-ids "$ids" -o rows --json
expect_json 'd["rows"] == len(d["ids"]) and d["bytes"] == 4 * d["rows"] * d["n_vocab"]'
"$TNN" logits "$model" --prompt-ids "$ids" -o - >by_pipe
cmp -s rows by_pipe || fail "standard output has other rows"
"$TNN" logits "$model" --prompt-ids "$ids" -o again -t 1
cmp -s rows again || fail "one thread gives other rows"
"$TNN" logits "$model" --prompt-ids "$ids" -o again --no-mmap
cmp -s rows again || fail "without mmap the rows are others"
"$TNN" logits "$model" --prompt-ids "$ids" -o by_one -b 1
python3 compare.py by_one $data/$name.logits.f64 96 || fail "one token at a time gives other logits"

# Statistics and rows of taps; the logits tap is the rows themselves.
expect 0 "$TNN" logits "$model" --prompt-ids "$ids" -o rows --json --tap logits --tap 'blk.*.ffn_out' --tap-out taps.gguf
expect_json 'all(t["rows"] == d["rows"] for t in d["taps"]) and d["taps"][-1]["name"] == "logits"'
expect_json 'all(t["min"] <= t["mean"] <= t["max"] and t["rms"] > 0 for t in d["taps"])'
expect 0 "$TNN" show taps.gguf --tensors
expect_out 'blk.0.ffn_out'
python3 -c 'import sys; sys.exit(open("rows", "rb").read() not in open("taps.gguf", "rb").read())' ||
    fail "the tap of the logits is not the rows"

expect_error 2 '-o FILE is missing' -- "$TNN" logits "$model" --prompt-ids 1
expect_error 2 'no-such-folder/rows' -- "$TNN" logits "$model" --prompt-ids 1 -o no-such-folder/rows
cp "$model" model.gguf
expect_error 2 'is the input' -- "$TNN" logits model.gguf --prompt-ids 1 -o ./model.gguf
ln -s model.gguf link.gguf
expect_error 2 'is the input' -- "$TNN" logits link.gguf --prompt-ids 1 -o model.gguf
expect_error 2 'is the input' -- "$TNN" logits model.gguf --prompt-ids 1 -o rows --tap embed --tap-out link.gguf
expect_error 2 'is the input' -- "$TNN" logits "$model" --lora model.gguf:0.5 --prompt-ids 1 -o model.gguf
expect_error 2 'is the input' -- "$TNN" logits "$model" --lora model.gguf --prompt-ids 1 -o rows --tap embed --tap-out model.gguf
cmp -s model.gguf "$model" || fail "the model was written over"
mkdir folder
expect_error 2 'folder: Is a directory' -- "$TNN" logits "$model" --prompt-ids 1 -o folder
rm -f twice
expect_error 2 'written twice' -- "$TNN" logits "$model" --prompt-ids 1 -o twice --tap embed --tap-out "$PWD/twice"

# A file is replaced whole, or stays as it was.
echo before >kept
expect_error 2 'outside the vocabulary' -- "$TNN" logits "$model" --prompt-ids 999999 -o kept
grep -q before kept || fail "a file was lost"
if (ulimit -f 1 2>/dev/null); then
    code=0
    (trap '' XFSZ; ulimit -f 1; "$TNN" logits "$model" --prompt-ids "$ids" -o kept 2>err) || code=$?
    [ $code -eq 1 ] || fail "a file that cannot be written in full: status $code"
    grep -q before kept && [ "$(find . -name 'kept*' | wc -l)" -eq 1 ] || fail "a file was lost, or half of one is left"
fi
echo 'a prompt' >prompt.txt
expect_error 2 'is the input' -- "$TNN" logits model.gguf -f prompt.txt -o ./prompt.txt
expect_error 2 'is the input' -- "$TNN" logits model.gguf -f prompt.txt -o rows --tap embed --tap-out prompt.txt
expect_error 2 'is the input' -- "$TNN" run model.gguf -f prompt.txt --tap embed --tap-out prompt.txt
grep -q 'a prompt' prompt.txt || fail "the prompt was written over"
expect 0 "$TNN" logits "$model" --prompt-ids 1 -o "$(printf 'rows\377')" --json
expect_json 'd["out"] == "rows\ufffd"'
expect_error 2 '--json' -- "$TNN" logits "$model" --prompt-ids 1 -o - --json
expect_error 2 'no-such-tap' 'resid_post' -- "$TNN" logits "$model" --prompt-ids 1 -o rows --tap no-such-tap
expect_error 2 '--tap-out' -- "$TNN" logits "$model" --prompt-ids 1 -o rows --tap-out x
if [ -w /dev/full ]; then
    expect_error 1 '/dev/full' 'No space left' -- "$TNN" logits "$model" --prompt-ids "$ids" -o /dev/full
    code=0
    "$TNN" logits "$model" --prompt-ids "$ids" -o - >/dev/full 2>err || code=$?
    [ $code -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q 'standard output' err || fail "a full standard output: $(cat err)"
fi
