# Stacks of Gated DeltaNet and attention from the command: trained, resumed, adapted, merged, shown, and run.
command -v python3 >/dev/null || skip "python3 is not installed"
python3 -c 'print("the hero went home and he said that the time has come. " * 60)' >text
common="--text text --tokenizer bytes --batch-size 2 --max-seq-length 48"
shape="--d-model 32 --n-layers 4 --n-heads 4 --n-kv-heads 2 --d-ff 64"
gdn="--layer-kinds gdn,gdn,gdn,attention --gdn-key-heads 2 --gdn-value-heads 4 --gdn-head-dim 8"

# The same bits with any number of threads, whatever is tapped, and after a restart from any checkpoint.
# shellcheck disable=SC2086
expect 0 "$TNN" train scratch $common $shape $gdn --iters 30 --save-every 10 --keep 9 -t 2 --out one --json
expect_json 'd["loss"] < 5'
# shellcheck disable=SC2086
expect 0 "$TNN" train scratch $common $shape $gdn --iters 30 --save-every 0 -t 1 --out two \
    --tap 'blk.*.gdn_state'
cmp -s one/model.gguf two/model.gguf || fail "the number of threads, or a tap, changes the model"
python3 - <<'PYTHON' || fail "taps of states"
import json
events = [json.loads(line) for line in open("two/events.jsonl")]
taps = [e for e in events if e["kind"] == "tap"]
assert [(e["step"], e["name"]) for e in taps] == [
    (step, f"blk.{layer}.gdn_state") for step in (1, 10, 20, 30) for layer in range(3)]
assert all(0 < e["mean"] <= e["rms"] for e in taps)
assert "RMS of blk.2.gdn_state" in open("two/report.html").read()
PYTHON
cp -r one half
rm half/model.gguf half/checkpoints/step-0000000020.ckpt half/checkpoints/step-0000000030.ckpt
expect 0 "$TNN" train --resume half
expect_err 'goes on from step 10'
cmp -s one/model.gguf half/model.gguf || fail "the resumed run gives another model"

# What it is, layer by layer.
expect 0 "$TNN" show one/model.gguf --json
expect_json 'd["architecture"] == "qwen35" and d["runs"] and d["hyperparameters"]["full_attention_interval"] == 4'
expect_json '[l["mixer"] for l in d["layers"]] == 3 * ["gated_delta_net"] + ["attention"]'
expect_json 'd["layers"][0]["parameters"] == 2*32 + 32*64 + 2*32*32 + 2*32*4 + 4*64 + 2*4 + 8 + 3*32*64'
# Three layers of states (4 heads of 8 x 8, three rows of 64 for the convolution), one of attention.
expect_json 'd["memory"]["kv_cache"] == 3 * 4 * (4*8*8 + 3*64) + 2*2 * 2*8 * 48'
expect 0 "$TNN" show one/model.gguf
expect_out '0  gated_delta_net  4 heads of 8, 2 of keys, conv 4'
expect_out '3  attention        4 heads of 8, 2 of keys, gated'

# A prompt at once and id by id, floats and quantised; perplexity; taps.
expect 0 "$TNN" logits one/model.gguf --prompt-ids "5 6 7 8 9 10 11 12 13" -b 9 --kv-type f32 -o at-once
expect 0 "$TNN" logits one/model.gguf --prompt-ids "5 6 7 8 9 10 11 12 13" -b 1 --kv-type f32 -o one-by-one
python3 - <<'PYTHON' || fail "a prompt at once is not the same as id by id"
import array
a, b = (array.array("f", open(name, "rb").read()) for name in ("at-once", "one-by-one"))
assert len(a) == len(b) == 9 * 257 and max(abs(x - y) for x, y in zip(a, b)) < 1e-4
PYTHON
expect 0 "$TNN" quantize one/model.gguf q8.gguf Q8_0
expect 0 "$TNN" run q8.gguf -p "the hero" -n 6 --temp 0 --json --tap 'blk.*.gdn_state' --tap blk.0.decay --tap blk.1.beta
expect_json 'len(d["taps"]) == 5 and all(t["min"] > 0 for t in d["taps"] if "gdn_state" in t["name"])'
expect_json 'all(t["max"] < 0 for t in d["taps"] if "decay" in t["name"])'
for recipe in lora full; do
    expect 0 "$TNN" bench one/model.gguf --train $recipe -p 16 -r 1 --memory
done
expect 0 "$TNN" eval one/model.gguf --text text -c 24

# A computed prompt is kept in a file, and taken up as far as it is the same.
expect 0 "$TNN" run one/model.gguf -p "the hero went" -n 6 --temp 0 --json
cp out want
for known in 0 13; do
    expect 0 "$TNN" run one/model.gguf -p "the hero went" -n 6 --temp 0 --prompt-cache prompt
    if [ $known -gt 0 ]; then expect_err "prompt 13 tokens, $known of them known"; fi
done
expect 0 "$TNN" run one/model.gguf -p "the hero went" -n 6 --temp 0 --prompt-cache prompt --json
python3 -c 'import json; assert json.load(open("want"))["ids"] == json.load(open("out"))["ids"]' || fail "a kept prompt changes the text"
expect 0 "$TNN" run one/model.gguf -p "the hero went home" -n 6 --temp 0 --prompt-cache prompt
expect_err 'prompt 18 tokens, 13 of them known'
expect_error 2 'another model' -- "$TNN" run q8.gguf -p "the hero" -n 1 --prompt-cache prompt
expect_error 2 'not a saved sequence' -- "$TNN" run q8.gguf -p "the hero" -n 1 --prompt-cache text

# Pairs beside every linear; merged, they give the same model.
# shellcheck disable=SC2086
expect 0 "$TNN" train lora one/model.gguf --text text --batch-size 2 --max-seq-length 48 --iters 5 --learning-rate 1e-2 \
    --out lora
expect 0 "$TNN" show lora/adapter.gguf --json --tensors
expect_json 'len(d["tensors"]) == 2 * (3 * 8 + 7)'
for part in attn_qkv attn_gate ssm_alpha ssm_beta ssm_out; do
    expect_json "any(t['name'] == 'blk.2.$part.weight.lora_a' for t in d['tensors'])"
done
expect 0 "$TNN" merge one/model.gguf --lora lora/adapter.gguf -o merged.gguf --json
ids="5 6 7 8 9 10 11 12 13"
expect 0 "$TNN" logits one/model.gguf --lora lora/adapter.gguf --prompt-ids "$ids" --kv-type f32 -o beside
expect 0 "$TNN" logits merged.gguf --prompt-ids "$ids" --kv-type f32 -o merged
python3 - <<'PYTHON' || fail "the merged model is not the adapted one"
import array
a, b = (array.array("f", open(name, "rb").read()) for name in ("beside", "merged"))
c = array.array("f", open("at-once", "rb").read())
assert max(abs(x - y) for x, y in zip(a, b)) < 1e-3 < max(abs(x - y) for x, y in zip(a, c))
PYTHON
expect 0 "$TNN" train lora one/model.gguf --text text --batch-size 1 --max-seq-length 48 --iters 1 \
    --lora-modules ssm_out,attn_q --num-layers 1 --out last
expect 0 "$TNN" show last/adapter.gguf --json --tensors
expect_json '[t["name"] for t in d["tensors"]] == ["blk.3.attn_q.weight.lora_a", "blk.3.attn_q.weight.lora_b"]'

# Every weight; a new body behind a lens; simplified layers under a name of their own.
expect 0 "$TNN" train full one/model.gguf --text text --batch-size 2 --max-seq-length 48 --iters 3 --out full
expect 0 "$TNN" run full/model.gguf -p "the hero" -n 4 --json
# shellcheck disable=SC2086
expect 0 "$TNN" train lens one/model.gguf --text text --batch-size 2 --max-seq-length 48 --iters 3 $gdn $shape \
    --d-model 16 --out lens
expect 0 "$TNN" run lens/model.gguf -p "the hero" -n 4 --json
# shellcheck disable=SC2086
expect 0 "$TNN" train scratch $common $shape --layer-kinds gdn,attention --gdn-conv 0 --iters 5 --out simple
expect 0 "$TNN" show simple/model.gguf --json
expect_json 'd["architecture"] == "llama-gdn" and d["runs"] and [l["ffn"] for l in d["layers"]] == 2 * [None, "swiglu"]'
expect 0 "$TNN" run simple/model.gguf -p "the hero" -n 4 --json
# shellcheck disable=SC2086
expect 0 "$TNN" train scratch $common --like one/model.gguf --iters 1 --out like
expect 0 "$TNN" show like/model.gguf --json
expect_json '[l["mixer"] for l in d["layers"]] == 3 * ["gated_delta_net"] + ["attention"]'
# A shape is taken without the layers that predict further tokens.
# shellcheck disable=SC2086
expect 0 "$TNN" train scratch $common --like "$TESTS/golden/data/qwen35-mtp.gguf" --iters 1 --out stack
expect 0 "$TNN" show stack/model.gguf --json
expect_json '[l["mixer"] for l in d["layers"]] == ["gated_delta_net", "attention"]'
expect_json 'd["hyperparameters"]["block_count"] == 2'

# What is refused.
scratch="$TNN train scratch $common $shape --iters 1 --out none"
expect_error 2 'tap blk.1.gdn_state matches no stage' -- $scratch --layer-kinds gdn,attention --tap blk.1.gdn_state
expect_error 2 '"gnd" is neither attention nor gdn' -- $scratch --layer-kinds attention,gnd
expect_error 2 '"" is neither' -- $scratch --layer-kinds gdn,
expect_error 2 'gdn_value_heads 3 is no multiple of gdn_key_heads 2' -- $scratch --layer-kinds gdn --gdn-key-heads 2 \
    --gdn-value-heads 3
expect_error 2 'gdn_conv 1' -- $scratch --layer-kinds gdn --gdn-conv 1
expect_error 2 '--layer-kinds does not go with the recipe full' -- "$TNN" train full one/model.gguf --text text \
    --layer-kinds gdn --out none
