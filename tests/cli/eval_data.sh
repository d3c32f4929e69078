# The loss of answers: that of a validation, and that of the rows of logits.
command -v python3 >/dev/null || skip "python3 is not installed"
python3 "$TESTS/cli/make_model.py" tiny.gguf
mkdir data
cat >data/train.jsonl <<'JSON'
{"messages": [{"role": "user", "content": "he?"}, {"role": "assistant", "content": "the one"}, {"role": "user", "content": "she?"}, {"role": "assistant", "content": "the two"}]}
{"messages": [{"role": "user", "content": "it?"}, {"role": "assistant", "content": "the three"}]}
{"messages": [{"role": "user", "content": "the time has come?"}, {"role": "assistant", "content": "the hero went home and he said so. the hero went home and he said so"}]}
JSON
cp data/train.jsonl data/valid.jsonl

# validation RUN N: the loss of the N-th validation of a run.
validation() {
    python3 -c 'import json, sys
events = [json.loads(line) for line in open(sys.argv[1] + "/events.jsonl")]
print([e["loss"] for e in events if e["kind"] == "eval"][int(sys.argv[2])])' "$1" "$2"
}

# Before and after a run, over weights of several types; every row, and rows of which one is cut.
"$TNN" quantize tiny.gguf q8.gguf Q8_0 2>err || fail "quantize"
for model in tiny.gguf q8.gguf; do
    for flags in "--max-seq-length 64" "--max-seq-length 128 --no-mask-prompt" "--max-seq-length 256 --system so"; do
        rm -rf run
        # shellcheck disable=SC2086
        expect 0 "$TNN" train lora $model --data data --iters 2 --learning-rate 1e-2 --batch-size 2 --val-batches -1 \
            --out run $flags
        # shellcheck disable=SC2086
        expect 0 "$TNN" eval $model --data data $flags --json
        expect_json "abs(d['loss'] / $(validation run 0) - 1) < 1e-6"
        # shellcheck disable=SC2086
        expect 0 "$TNN" eval $model --lora run/adapter.gguf --data data/valid.jsonl $flags --json -t 1 -b 7
        expect_json "abs(d['loss'] / $(validation run -1) - 1) < 1e-6 and abs(d['loss'] / $(validation run 0) - 1) > 1e-3"
    done
done

# Counts are those of --plan, and rows that lose their end are told.
expect 0 "$TNN" eval tiny.gguf --data data --max-seq-length 64 --json
cp out scores
expect_err '1 of 3 rows were longer than 64 tokens'
expect_json 'd["file"] == "data/valid.jsonl" and d["max_seq_length"] == 64 and d["cut"] == 1 and d["sequences"] == 3'
"$TNN" train lora tiny.gguf --data data --max-seq-length 64 --batch-size 1 --plan --json >plan 2>err || fail "plan"
python3 -c 'import json
d, p = json.load(open("scores")), json.load(open("plan"))["valid"]
assert (d["scored"], d["tokens"], d["rows"], d["cut"], d["skipped"]) == (
    p["trained_tokens"], p["tokens"], p["rows"], p["cut"], p["skipped"]), (d, p)' || fail "counts"

# By hand: rows of logits of each conversation, summed over the answers.
cat >reference.py <<'PYTHON'
"""reference.py: loss and accuracy of the answers in data/valid.jsonl, a row at a time with tnn logits."""
import json, math, os, struct, subprocess
tnn = os.environ["TNN"]
def ids_of(text):
    return [int(x) for x in subprocess.run([tnn, "tokenize", "tiny.gguf", "-p", text], check=True, capture_output=True, text=True).stdout.split()]
sums, hits, n = 0.0, 0, 0
for line in open("data/valid.jsonl"):
    text, ids, scored = "", [], []
    for m in json.loads(line)["messages"]:
        begin = text + "<|im_start|>" + m["role"] + "\n"
        inside = begin + m["content"] + "<|im_end|>"
        text = inside + "\n"
        for part, counts in ((begin, False), (inside, m["role"] == "assistant"), (text, False)):
            now = ids_of(part)
            assert now[:len(ids)] == ids
            scored += [counts] * (len(now) - len(ids))
            ids = now
    subprocess.run([tnn, "logits", "tiny.gguf", "-o", "rows", "--prompt-ids", " ".join(map(str, ids))], check=True)
    rows = open("rows", "rb").read()
    n_vocab = len(rows) // 4 // len(ids)
    for t in range(1, len(ids)):
        if not scored[t]:
            continue
        row = struct.unpack_from(f"<{n_vocab}f", rows, 4 * n_vocab * (t - 1))
        top = max(row)
        sums += math.log(sum(math.exp(x - top) for x in row)) + top - row[ids[t]]
        hits += row[ids[t]] == top
        n += 1
print(n, sums / n, hits / n)
PYTHON
expect 0 "$TNN" eval tiny.gguf --data data --json
python3 reference.py >reference || fail "the reference"
expect_json "(lambda n, loss, accuracy: d['scored'] == int(n) and abs(d['loss'] - float(loss)) < 1e-5
    and d['accuracy'] == float(accuracy) and abs(d['ppl'] / 2.718281828459045 ** d['loss'] - 1) < 1e-9)(
    *open('reference').read().split())"

# A model that has learned the rows by heart: hits count.
expect 0 "$TNN" train full tiny.gguf --data data --iters 120 --learning-rate 1e-2 --batch-size 2 --max-seq-length 256 \
    --out learned
expect 0 "$TNN" eval learned/model.gguf --data data --json
expect_json 'd["accuracy"] > 0.9 and d["loss"] < 0.5'

# test.jsonl comes before valid.jsonl; rows of text are scored whole.
echo '{"text": "the hero went home."}' >data/test.jsonl
expect 0 "$TNN" eval tiny.gguf --data data/ --tap 'blk.*.resid_post' --tap-out taps.gguf
expect_out 'accuracy'
expect_out 'test.jsonl'
expect_err 'blk.1.resid_post'
expect 0 "$TNN" eval tiny.gguf --data data --json --tap embed
expect_json 'd["rows"] == 1 and d["scored"] == d["tokens"] - 1 and d["taps"][0]["rows"] == d["tokens"]'

# What is not finite is counted in taps, and statistics are of the rest.
expect 0 "$TNN" logits tiny.gguf --lora run/adapter.gguf:1e37 --prompt-ids "5 6 7" -o rows --json --tap embed \
    --tap blk.0.resid_post --tap final_norm
expect_json '[t["not_finite"] for t in d["taps"]][0] == 0 and d["taps"][0]["max"] < 10'
expect_json 'd["taps"][-1]["not_finite"] == d["taps"][-1]["rows"] * d["taps"][-1]["features"]'
expect_json 'all(d["taps"][-1][k] is None for k in ("mean", "std", "rms", "min", "max"))'
expect 0 "$TNN" logits tiny.gguf --lora run/adapter.gguf:1e37 --prompt-ids "5 6 7" -o rows --tap final_norm
expect_err 'values not finite'
expect_error 2 'not finite' -- "$TNN" eval tiny.gguf --lora run/adapter.gguf:1e37 --data data

expect_error 2 '--text FILE is missing' '--data' -- "$TNN" eval tiny.gguf
expect_error 2 'exclude each other' -- "$TNN" eval tiny.gguf --data data --text data/test.jsonl
expect_error 2 '--chunks is for a text' -- "$TNN" eval tiny.gguf --data data --chunks 3
expect_error 2 '--kv-type is for a text' -- "$TNN" eval tiny.gguf --data data --kv-type f32
expect_error 2 '--system is for --data' -- "$TNN" eval tiny.gguf --text data/test.jsonl --system x
expect_error 2 'no-such' -- "$TNN" eval tiny.gguf --data no-such
mkdir empty
expect_error 2 'neither test.jsonl nor valid.jsonl' -- "$TNN" eval tiny.gguf --data empty
: >empty/test.jsonl
expect_error 2 'empty/test.jsonl' '0 rows' -- "$TNN" eval tiny.gguf --data empty
expect_error 2 'tiny.gguf:1' -- "$TNN" eval tiny.gguf --data tiny.gguf
expect_error 2 'no tokenizer' -- "$TNN" eval "$TESTS/golden/data/qwen2.gguf" --data data
expect_error 2 'no-such-template' -- "$TNN" eval tiny.gguf --data data --chat-template no-such-template
expect_error 2 'logits' 'matches no stage' -- "$TNN" eval tiny.gguf --data data --tap logits
expect_error 2 'is the input' -- "$TNN" eval tiny.gguf --data data --tap embed --tap-out data/test.jsonl
expect_error 2 '2 to 1048576' -- "$TNN" eval tiny.gguf --data data -c 16777216
# Adapters beside an output of its own, one or several: the loss is that of the model they are merged into.
printf 'the hero went home and he said that the time has come.\n' >text
small="--batch-size 1 --max-seq-length 16"
# shellcheck disable=SC2086
expect 0 "$TNN" train scratch --text text --tokenizer tiny.gguf --d-model 32 --n-heads 2 --n-layers 1 --d-ff 32 --untied $small \
    --iters 1 --save-type F32 --out untied
rank=2
for name in a b; do
    # shellcheck disable=SC2086
    expect 0 "$TNN" train lora untied/model.gguf --text text $small --iters 5 --learning-rate 0.05 --lora-modules output \
        --lora-rank $rank --seed $rank --out pair-$name
    rank=$((rank + 1))
done
# merged LORA...: the loss with them is another than without, and that of the merged model.
expect 0 "$TNN" eval untied/model.gguf --data data --json
cp out without
merged() {
    expect 0 "$TNN" merge untied/model.gguf "$@" -o merged.gguf
    expect 0 "$TNN" eval merged.gguf --data data --json
    cp out merged
    expect 0 "$TNN" eval untied/model.gguf --data data "$@" --json
    expect_json "abs(d['loss'] / json.load(open('merged'))['loss'] - 1) < 1e-5"
    expect_json "abs(d['loss'] / json.load(open('without'))['loss'] - 1) > 1e-3"
}
merged --lora pair-a/adapter.gguf
merged --lora pair-a/adapter.gguf --lora pair-b/adapter.gguf
merged --lora pair-b/adapter.gguf:0.5 --lora pair-a/adapter.gguf:2 --lora pair-b/adapter.gguf
