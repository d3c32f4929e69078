# Files in other types: what each tensor becomes, the bytes of a known mix, and what is refused.
command -v python3 >/dev/null || skip "python3 is not installed"
python3 "$TESTS/cli/make_model.py" tiny.gguf

for type in F32 F16 BF16 Q8_0 Q6_K Q5_K_M Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K_S Q4_1 Q4_0 IQ4_NL IQ4_XS MXFP4 Q3_K_L Q3_K_M \
    Q3_K_S Q2_K q4_k; do
    expect 0 "$TNN" quantize tiny.gguf out.gguf $type --json
    expect_json 'd["copied"] + d["converted"] == 21 and d["fallback"] >= 0'
    expect 0 "$TNN" run out.gguf -p hi -n 3 --ignore-eos --json
    expect_json 'len(d["ids"]) == 3'
done
expect 0 "$TNN" show out.gguf --json --metadata
expect_json 'd["file_type"] == "Q4_K_M" and d["metadata"]["general.quantization_version"] == 2'
expect_json 'd["metadata"]["tokenizer.ggml.merges"] == ["h e", "\u0120 t"]'

# Rows of 32 are too short for the K types.
expect 0 "$TNN" quantize tiny.gguf out.gguf Q4_K_M
expect_err 'do not fit'
expect 0 "$TNN" show out.gguf --json --tensors
expect_json '{t["name"]: t["type"] for t in d["tensors"]}["output.weight"] == "Q8_0"'
expect_json '{t["name"]: t["type"] for t in d["tensors"]}["blk.0.attn_q.weight"] == "Q5_0"'
expect_json 'all(t["type"] == "F32" for t in d["tensors"] if "norm" in t["name"])'

# F32 stays what it is, byte for byte; F16 of Q8_0 is exact, so Q8_0 of it is the same again.
expect 0 "$TNN" quantize tiny.gguf same.gguf F32
expect 0 "$TNN" logits tiny.gguf --prompt-ids '1 2 3' -o a
expect 0 "$TNN" logits same.gguf --prompt-ids '1 2 3' -o b
cmp -s a b || fail "F32 changed"
expect 0 "$TNN" quantize tiny.gguf one.gguf Q8_0 -t 1
expect 0 "$TNN" quantize tiny.gguf two.gguf Q8_0 -t 4
cmp -s one.gguf two.gguf || fail "the number of threads changes the file"
expect 0 "$TNN" quantize one.gguf back.gguf F32
expect_err 'quantised before'
expect 0 "$TNN" quantize back.gguf again.gguf Q8_0
cmp -s one.gguf again.gguf || fail "Q8_0 is not its own fixed point"

expect 0 "$TNN" quantize tiny.gguf out.gguf Q4_0 --plan
[ ! -e nothing.gguf ] && expect_out 'F32 -> Q4_0'
expect 0 "$TNN" quantize tiny.gguf nothing.gguf Q4_0 --plan --json --pure
[ ! -e nothing.gguf ] || fail "--plan wrote a file"
expect_json '{t["name"]: t["type"] for t in d["tensors"]}["output.weight"] == "Q4_0"'
expect_json 'd["bytes_out"] < d["bytes_in"] / 4'
expect 0 "$TNN" quantize tiny.gguf nothing.gguf Q4_0 --plan --json --output-tensor-type f16 --token-embedding-type bf16
expect_json '{t["name"]: t["type"] for t in d["tensors"]}["output.weight"] == "F16"'
expect_json '{t["name"]: t["type"] for t in d["tensors"]}["token_embd.weight"] == "BF16"'

# Refused; what was there stays.
cp one.gguf kept.gguf
expect_error 2 "'Q9_Z'" 'Q4_K_M' -- "$TNN" quantize tiny.gguf kept.gguf Q9_Z
expect_error 2 "'IQ2_XXS'" -- "$TNN" quantize tiny.gguf kept.gguf IQ2_XXS
expect_error 2 'is the input' -- "$TNN" quantize tiny.gguf ./tiny.gguf Q8_0
expect_error 2 'quantised already' -- "$TNN" quantize one.gguf kept.gguf Q4_0 --no-requantize
expect_error 2 '--output-tensor-type' -- "$TNN" quantize tiny.gguf kept.gguf Q8_0 --output-tensor-type X
expect_error 2 'no ordinary file' -- "$TNN" quantize tiny.gguf /dev/null Q8_0
expect_error 2 'no-such-folder' -- "$TNN" quantize tiny.gguf no-such-folder/out.gguf Q8_0
python3 "$TESTS/cli/make_model.py" iq.gguf --iq
expect 0 "$TNN" quantize iq.gguf out.gguf Q8_0 # a vector is copied, whatever its type
python3 - <<'PYTHON'
import struct
data = bytearray(open("tiny.gguf", "rb").read())
data[-8:] = struct.pack("<2f", float("nan"), 1.0)
open("nan.gguf", "wb").write(data)
data[-8:] = struct.pack("<2f", 1e6, 1.0)
open("large.gguf", "wb").write(data)
PYTHON
expect_error 2 'blk.1.ffn_down.weight' 'row 31' 'not finite' -- "$TNN" quantize nan.gguf kept.gguf Q8_0
expect_error 2 'blk.1.ffn_down.weight' 'too large for F16' -- "$TNN" quantize large.gguf kept.gguf F16
expect 0 "$TNN" quantize large.gguf out.gguf BF16
cmp -s one.gguf kept.gguf || fail "a refused call changed a file"
[ "$(find . -name '*.tmp*' | wc -l)" -eq 0 ] || fail "a temporary file is left"

# A split model becomes one file.
python3 "$TESTS/cli/split_model.py" tiny.gguf split
expect_error 2 'is the input' -- "$TNN" quantize split-00001-of-00002.gguf split-00002-of-00002.gguf Q8_0
expect_error 2 'is empty' -- "$TNN" quantize split-00001-of-00002.gguf '' Q8_0
expect 0 "$TNN" quantize split-00001-of-00002.gguf joined.gguf Q8_0
expect 0 "$TNN" show joined.gguf --json --metadata
expect_json 'd["n_tensors"] == 21 and not any(k.startswith("split.") for k in d["metadata"])'
expect 0 "$TNN" logits joined.gguf --prompt-ids '1 2 3' -o a
expect 0 "$TNN" logits one.gguf --prompt-ids '1 2 3' -o b
cmp -s a b || fail "the joined model is another one"
