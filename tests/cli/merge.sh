# Adapters beside a model, and merged into one: the same logits, within what the types can hold.
command -v python3 >/dev/null || skip "python3 is not installed"
python3 "$TESTS/cli/make_model.py" tiny.gguf
python3 -c 'print("the hero went home and he said that the time has come. " * 40)' >text
"$TNN" train lora tiny.gguf --text text --iters 60 --learning-rate 2e-2 --batch-size 2 --max-seq-length 48 --lora-rank 4 \
    --out lora -t 2 >out 2>err || fail "training an adapter"
adapter=lora/adapter.gguf
ids='5 9 40 77 123 9 5'

# The largest difference of two files of F32, over the largest value of the first.
cat >apart.py <<'PYTHON'
import struct, sys
a, b = (struct.unpack(f"<{len(d) // 4}f", d) for d in (open(p, "rb").read() for p in sys.argv[1:3]))
assert len(a) == len(b)
print(max(abs(x - y) for x, y in zip(a, b)) / max(map(abs, a)))
PYTHON
# apart A B LEAST MOST: the difference lies between.
apart() {
    found=$(python3 apart.py "$1" "$2")
    python3 -c "import sys; sys.exit(not $3 <= $found <= $4)" || fail "$1 and $2 are $found apart, not $3 to $4"
}

expect 0 "$TNN" logits tiny.gguf --prompt-ids "$ids" -o base
expect 0 "$TNN" logits tiny.gguf --lora $adapter --prompt-ids "$ids" -o with
apart base with 0.01 10
expect 0 "$TNN" logits tiny.gguf --lora $adapter:0 --prompt-ids "$ids" -o none
apart base none 0 0
expect 0 "$TNN" logits tiny.gguf --lora $adapter:0.25 --lora $adapter:0.75 --prompt-ids "$ids" -o parts
apart with parts 0 1e-4
expect 0 "$TNN" eval tiny.gguf --text text -c 32 --json
cp out plain
expect 0 "$TNN" eval tiny.gguf --lora $adapter --text text -c 32 --json
expect_json 'd["ppl"] < 0.5 * json.load(open("plain"))["ppl"]'
expect 0 "$TNN" run tiny.gguf --lora $adapter --raw -p "the hero" -n 8 --temp 0 --json
cp out generated
echo "he" | expect 0 "$TNN" chat tiny.gguf --lora $adapter -n 4 --json

expect 0 "$TNN" merge tiny.gguf --lora $adapter -o merged.gguf
expect_out '14 tensors written anew, 7 copied'
expect 0 "$TNN" logits merged.gguf --prompt-ids "$ids" -o merged
apart with merged 0 1e-4
expect 0 "$TNN" run merged.gguf --raw -p "the hero" -n 8 --temp 0 --json
expect_json 'd["text"] == json.load(open("generated"))["text"]'
expect 0 "$TNN" merge tiny.gguf --lora $adapter -o two.gguf -t 1
cmp -s merged.gguf two.gguf || fail "the number of threads changes the file"
expect 0 "$TNN" merge tiny.gguf --lora $adapter:0 -o same.gguf
cmp -s same.gguf tiny.gguf || {
    expect 0 "$TNN" logits same.gguf --prompt-ids "$ids" -o none
    apart base none 0 0
}

# What rounding costs is told, and more bits cost less.
kl=
for type in F32 Q8_0 Q4_0; do
    expect 0 "$TNN" merge tiny.gguf --lora $adapter -o out.gguf --type $type --text text -c 32 --chunks 4 --json
    expect_json 'd["scored"] == 4 * 31 and 0 <= d["kl"] <= d["kl_max"] and d["ref_ppl"] > 1'
    kl="$kl $(python3 -c 'import json; print(json.load(open("out"))["kl"])')"
done
# shellcheck disable=SC2086
python3 -c 'import sys; f32, q8, q4 = map(float, sys.argv[1:]); sys.exit(not (f32 < 1e-6 and f32 < q8 < q4))' $kl ||
    fail "KL of F32, Q8_0, Q4_0: $kl"

# A quantised base keeps its types.
expect 0 "$TNN" quantize tiny.gguf q8.gguf Q8_0
expect 0 "$TNN" merge q8.gguf --lora $adapter -o q8-merged.gguf --text text -c 32 --chunks 4
expect_out 'KL '
expect 0 "$TNN" show q8-merged.gguf --json --tensors
expect_json '{t["type"] for t in d["tensors"] if "attn_q.weight" in t["name"]} == {"Q8_0"} and d["file_type"] == "Q8_0"'

# The base is known by its norms: its quantisations pass, a model trained further is told.
[ ! -s err ] || fail "an adapter over a quantisation of its base is told"
expect 0 "$TNN" train full tiny.gguf --text text --iters 1 --max-seq-length 48 --out further
for verb in 'run further/model.gguf --raw -p he -n 1' 'merge further/model.gguf -o further.gguf'; do
    # shellcheck disable=SC2086
    expect 0 "$TNN" $verb --lora $adapter
    expect_err "tnn ${verb%% *}: note: $adapter was trained over other weights than this model's"
    expect_err 'use it with its own model'
done

# Refused, in one line.
expect_error 2 '--lora FILE is missing' -- "$TNN" merge tiny.gguf -o x.gguf
expect_error 2 '-o FILE is missing' -- "$TNN" merge tiny.gguf --lora $adapter
expect_error 2 'is the input' -- "$TNN" merge tiny.gguf --lora $adapter -o ./tiny.gguf
expect_error 2 'is the input' -- "$TNN" merge tiny.gguf --lora $adapter:0.5 -o ./$adapter
expect_error 2 'is the input' -- "$TNN" merge tiny.gguf --lora $adapter -o text --text text
expect_error 2 'less than one window of 100000' -- "$TNN" merge tiny.gguf --lora $adapter -o x.gguf --text text -c 100000
expect_error 2 'no-such' -- "$TNN" merge tiny.gguf --lora $adapter -o x.gguf --text no-such
expect_error 2 "'Q9'" -- "$TNN" merge tiny.gguf --lora $adapter -o x.gguf --type Q9
expect_error 2 'no adapter' -- "$TNN" run tiny.gguf --lora tiny.gguf -p x
expect_error 2 'no-such.gguf' -- "$TNN" run tiny.gguf --lora no-such.gguf -p x
expect_error 2 'the scale' -- "$TNN" run tiny.gguf --lora $adapter:much -p x
[ ! -e x.gguf ] || fail "a refused call wrote a file"
