# Runs from the command: what they leave in their folder, plans, resuming, interrupts, and what is refused.
command -v python3 >/dev/null || skip "python3 is not installed"
python3 "$TESTS/cli/make_model.py" tiny.gguf
python3 -c 'print("the hero went home and he said that the time has come. " * 60)' >text
mkdir data
cat >data/train.jsonl <<'JSON'
{"messages": [{"role": "user", "content": "he?"}, {"role": "assistant", "content": "the one"}, {"role": "user", "content": "she?"}, {"role": "assistant", "content": "the two"}]}
{"messages": [{"role": "user", "content": "it?"}, {"role": "assistant", "content": "the three"}]}
JSON
cp data/train.jsonl data/valid.jsonl
small="--batch-size 2 --max-seq-length 64 -t 2"
shape="--d-model 32 --n-layers 2 --n-heads 4 --n-kv-heads 2 --d-ff 64"

# check_events DIR STEPS: objects in order; steps that rise; the keys that readers count on.
cat >events.py <<'PYTHON'
import json, sys
events = [json.loads(line) for line in open(sys.argv[1] + "/events.jsonl")]
steps = [e for e in events if e["kind"] == "step"]
assert events[0]["kind"] == "run_start" and events[-1]["kind"] == "run_end", events
assert [e["step"] for e in steps] == sorted({e["step"] for e in steps}) and steps[-1]["step"] == int(sys.argv[2]), steps
for e in steps:
    assert all(k in e for k in ("step", "loss", "lr", "grad_norm", "tokens", "wall_us")), e
PYTHON
check_events() {
    python3 events.py "$1" "$2" 2>err || fail "events of $1"
}

# From scratch, then again the same, with one thread.
# shellcheck disable=SC2086
expect 0 "$TNN" train scratch --text text --tokenizer bytes $shape $small --iters 25 --out one --json
expect_json 'd["result"] == "one/model.gguf" and d["steps"] == 25 and d["loss"] < 5 and d["val_loss"] is None'
expect_err 'step 25/25  loss'
check_events one 25
grep -q '<svg' one/report.html || fail "no curves in the report"
expect 0 "$TNN" run one/model.gguf -p "the hero" -n 4 --json
# shellcheck disable=SC2086
expect 0 "$TNN" train scratch --text text --tokenizer bytes $shape $small --iters 25 --out two -t 1
expect_out 'two/model.gguf'
cmp -s one/model.gguf two/model.gguf || fail "the number of threads changes the model"

# Samples before, during and after.
# shellcheck disable=SC2086
expect 0 "$TNN" train scratch --text text --tokenizer bytes $shape $small --iters 120 --steps-per-eval 50 \
    --learning-rate 1e-2 --sample-prompt '<the hero>' --sample-tokens 20 --out samples
python3 - <<'PYTHON' || fail "samples"
import json
events = [json.loads(line) for line in open("samples/events.jsonl")]
samples = [e for e in events if e["kind"] == "sample"]
assert [e["step"] for e in samples] == [0, 50, 100, 120], samples
assert all(e["prompt"] == "<the hero>" for e in samples) and samples[0]["text"] != samples[-1]["text"]
assert samples[-1]["text"], samples
report = open("samples/report.html").read()
assert "&lt;the hero&gt;" in report and "step 120" in report and "<the hero>" not in report
PYTHON

# What a page or an event may not hold is shown by what stands for it: a NUL that is sampled, a name of a folder.
printf '\0<b>\001\033[31m%.0s' $(seq 400) >controls
odd=$(printf 'odd\377<&')
# shellcheck disable=SC2086
expect 0 "$TNN" train scratch --text controls --tokenizer bytes $shape $small --iters 60 --steps-per-eval 60 \
    --learning-rate 1e-2 --sample-prompt '<b>' --sample-tokens 20 --out "$odd" --json
expect_json 'd["out"] == "odd\ufffd<&" and d["report"] == "odd\ufffd<&/report.html"'
python3 - <<'PYTHON' || fail "control characters"
import json
sample = [json.loads(line) for line in open(b"odd\xff<&/events.jsonl") if '"sample"' in line][-1]
assert sample["text"].startswith("\1\33[31m\ufffd<b>\1\33[31m\ufffd"), sample
page = open(b"odd\xff<&/report.html", encoding="utf-8").read()
assert "<h1>odd\ufffd&lt;&amp;</h1>" in page and "\u2401\u241b[31m\ufffd&lt;b&gt;" in page, page[-2000:]
assert not any(ord(c) < 32 and c != "\n" for c in page)
PYTHON

# Low-rank pairs over a model; nothing in the model changes.
cp tiny.gguf before.gguf
# shellcheck disable=SC2086
expect 0 "$TNN" train lora tiny.gguf --data data --iters 12 --learning-rate 1e-2 --lora-rank 4 --lora-alpha 8 --seed 3 \
    $small --steps-per-report 1 --steps-per-eval 4 --out lora --json
expect_json 'd["best_val_loss"] <= d["val_loss"] < 5'
check_events lora 12
cp out ended
expect 0 "$TNN" train --resume lora --json
expect_json 'all(abs(d[k] / json.load(open("ended"))[k] - 1) < 1e-6 for k in ("steps", "loss", "val_loss", "best_val_loss", "tokens"))'
check_events lora 12
cmp -s tiny.gguf before.gguf || fail "the base model changed"
[ -s lora/adapter.gguf ] && [ -s lora/best.gguf ] || fail "adapter.gguf or best.gguf is missing"
# shellcheck disable=SC2086
expect 0 "$TNN" train full tiny.gguf --data data --iters 3 --learning-rate 1e-3 $small --mask-prompt --out full
[ -s full/model.gguf ] || fail "model.gguf is missing"
# shellcheck disable=SC2086
expect 0 "$TNN" train warm-start tiny.gguf --text text --num-epochs 1 $small --out warm --json
python3 -c 'import json; c = json.load(open("warm/config.json")); assert c["iters"] > 1 and c["num_epochs"] == 1' ||
    fail "num_epochs does not set iters"
# shellcheck disable=SC2086
expect 0 "$TNN" train lens tiny.gguf --text text $shape --d-model 16 --iters 3 $small --out lens
expect 0 "$TNN" run lens/model.gguf -p "the hero" -n 4 --json

# Taps and the gradient of every parameter go into the events.
# shellcheck disable=SC2086
expect 0 "$TNN" train full tiny.gguf --data data --iters 2 --steps-per-report 1 $small --grad-stats \
    --tap 'blk.*.resid_post' --out watched
python3 - <<'PYTHON' || fail "taps and gradients"
import json, math, re
events = [json.loads(line) for line in open("watched/events.jsonl")]
taps = [e for e in events if e["kind"] == "tap"]
grads = [e for e in events if e["kind"] == "grad"]
assert {e["name"] for e in taps} == {"blk.0.resid_post", "blk.1.resid_post"} and all(e["rms"] > 0 for e in taps)
for step in (1, 2):
    of_step = [e for e in grads if e["step"] == step]
    assert len({e["name"] for e in of_step}) == len(of_step) == 21
    norm = next(e["grad_norm"] for e in events if e["kind"] == "step" and e["step"] == step)
    assert abs(math.sqrt(sum(e["norm"] ** 2 for e in of_step)) / norm - 1) < 1e-4
# Two steps: their axis has no step twice.
curves = open("watched/report.html").read().split("<figure>")[1:]
for curve in curves:
    steps = re.findall(r"text-anchor=middle>(\d+)<", curve)
    assert len(steps) == len(set(steps)) >= 2, steps
PYTHON

# More taps than a page has room for: what is not drawn is told.
expect 0 "$TNN" train scratch --text text --tokenizer bytes --d-model 8 --n-heads 1 --d-ff 8 --n-layers 70 --iters 1 \
    --batch-size 1 --max-seq-length 16 --tap 'blk.*' --out deep
[ "$(grep -c '<figure>' deep/report.html)" = 256 ] || fail "curves of many taps"
grep -q 'first 256 curves.*events.jsonl' deep/report.html || fail "curves that are not drawn are not told"
! grep -q 'events.jsonl' watched/report.html || fail "nothing is left out of the report"

# Settings that checkpoints do not fit: the run does not begin again over them.
cp -r lora edited
sed -i 's/"lora_rank": 4/"lora_rank": 2/' edited/config.json
expect 1 "$TNN" train --resume edited
grep -q 'config.json' err || fail "what to do about settings that changed"
cmp -s lora/events.jsonl edited/events.jsonl || fail "the events of a run whose settings changed"

# Data that changed before a run goes on are told.
mkdir moving
cp data/train.jsonl moving
# shellcheck disable=SC2086
expect 0 "$TNN" train full tiny.gguf --data moving $small --iters 1 --out moved
expect 0 "$TNN" train --resume moved
! grep -q 'data have changed' err || fail "the data are the same"
sed 's/one/six/' data/train.jsonl >moving/train.jsonl
expect 0 "$TNN" train --resume moved
expect_err 'the data have changed'

# A template that the result's file does not name is told; one that it names is not.
# shellcheck disable=SC2086
expect 0 "$TNN" train scratch --data data --tokenizer bytes --chat-template chatml $shape --max-seq-length 256 \
    --batch-size 1 --iters 1 --out chat
expect_err 'chat with it by --chat-template chatml'
# shellcheck disable=SC2086
expect 0 "$TNN" train full tiny.gguf --data data --chat-template chatml $small --iters 1 --out named
! grep -q 'chat with it' err || fail "the model's own template is told as another"

# Of a batch that is mostly padding, its tokens alone count.
for size in 2 40; do
    expect 0 "$TNN" train full tiny.gguf --data data --iters 1 --batch-size $size --max-seq-length 64 --tap embed \
        --out padded$size
    python3 -c 'import json, sys
print(*[e["rms"] for e in map(json.loads, open(sys.argv[1])) if e["kind"] == "tap"])' padded$size/events.jsonl >rms$size
done
cmp -s rms2 rms40 && [ -s rms2 ] || fail "padding counts in taps"

# A new body has the width of the embeddings it takes, and its heads share that.
# shellcheck disable=SC2086
expect 0 "$TNN" train warm-start one/model.gguf --new-body --n-layers 1 --n-heads 4 --text text --iters 1 $small --out body
expect 0 "$TNN" show body/model.gguf
expect_out '4 heads of 8'

# Behind the embeddings of a donor the loss begins near that of guessing, whatever their size; the rate is that of scratch.
# shellcheck disable=SC2086
expect 0 "$TNN" train warm-start tiny.gguf --new-body --n-layers 1 --n-heads 4 --text text --iters 1 $small --out fitted --json
cp out first
expect 0 "$TNN" show tiny.gguf --json
expect_json 'abs(json.load(open("first"))["loss"] - __import__("math").log(d["tokenizer"]["n_vocab"])) < 0.2'
# shellcheck disable=SC2086
expect 0 "$TNN" train warm-start tiny.gguf --lr 2e-5 --new-body --n-layers 1 --n-heads 4 --text text --iters 1 $small --out slow
python3 -c 'import json
rates = [json.load(open(run + "/config.json"))["learning_rate"] for run in ("warm", "fitted", "slow")]
assert rates == [1e-5, 1e-3, 2e-5], rates' || fail "learning rates of warm-start"

# A run without --out gets a folder of its own.
# shellcheck disable=SC2086
expect 0 "$TNN" train scratch --text text --tokenizer tiny.gguf $shape $small --iters 1
[ -s "$(head -1 out)" ] || fail "the result is not where it was said to be"
expect_out 'runs/scratch-'

# Stopped halfway, a run with dropout ends as one that was not.
lora="$TNN train lora tiny.gguf --text text --lora-dropout 0.3 --iters 400 $small --learning-rate 1e-3 --save-every 0"
$lora --out whole-lora >out 2>err || fail "the whole run"
: >err
$lora --out halves-lora >out 2>err &
pid=$!
while ! grep -q '^step 10/' err; do sleep 0.02; done
kill $pid
wait $pid && fail "the run was not stopped"
expect 0 "$TNN" train --resume halves-lora
cmp -s whole-lora/adapter.gguf halves-lora/adapter.gguf || fail "the resumed run gives another adapter"

# Muon, for the matrices of the blocks.
# shellcheck disable=SC2086
expect 0 "$TNN" train scratch --text text --tokenizer bytes $shape $small --iters 25 --optimizer muon --out muon --json
expect_json 'd["loss"] < 5'

# --plan writes nothing, and shows what is learned: every answer, and nothing else.
expect 0 "$TNN" train lora tiny.gguf --data data --iters 12 --max-seq-length 128 --batch-size 1 --plan --json --out plan
[ ! -e plan ] || fail "--plan wrote a folder"
expect_json '[x["text"] for x in d["first_row"] if x["learned"]] == ["the one<|im_end|>", "the two<|im_end|>"]'
expect_json 'd["seconds"] > 12 * d["seconds_per_step"] + d["validation_seconds"] + d["save_seconds"]'
expect_json 'd["validation_seconds"] > 0 and d["save_seconds"] > 0 and d["loading_seconds"] > 0'
expect_json 'd["steps"] == 12 and d["train"]["rows"] == 2 and 0 < d["seconds"] < 60 and d["parameters"] > 0'
expect 0 "$TNN" train lora tiny.gguf --data data --iters 12 --max-seq-length 128 --batch-size 1 --plan --no-mask-prompt
expect_out 'under loss'
expect_out 'learned  '

# A batch asked for in more tokens than an epoch has is no longer than that: no padding is computed.
expect 0 "$TNN" train lora tiny.gguf --data data --iters 2 --max-seq-length 128 --batch-size 64 --plan --json
expect_json 'd["tokens_per_step"] == d["train"]["tokens"] < 128'

# An interrupt saves and ends with status 1; the resumed run gives what an uninterrupted one does, in BF16 as well.
run="$TNN train scratch --text text --tokenizer bytes $shape --batch-size 2 --max-seq-length 64 -t 1 --iters 1500 --save-every 0"
for signal in INT TERM; do
    dtype=f32
    [ $signal = INT ] || dtype=bf16
    rm -rf whole halves
    $run --dtype $dtype --out whole >out 2>err || fail "the whole run"
    : >err # the last run's output in it would end the wait before this one has begun
    $run --dtype $dtype --out halves >out 2>err &
    pid=$!
    while ! grep -q '^step 10/' err; do sleep 0.02; done
    kill -$signal $pid
    code=0
    wait $pid || code=$?
    [ $code -eq 1 ] || fail "an interrupted run ends with $code"
    expect_err 'saved; tnn train --resume halves goes on'
    expect 0 "$TNN" train --resume halves
    expect_err 'goes on from step'
    cmp -s whole/model.gguf halves/model.gguf || fail "the resumed run gives another model"
    check_events halves 1500
done

# Two at once end it at once; from the last checkpoint the run goes on as ever, and half a checkpoint is cleared away.
rm -r halves
: >err
$run --save-every 100 --dtype bf16 --out halves >out 2>err &
pid=$!
while ! grep -q '^step 110/' err; do sleep 0.02; done
kill -STOP $pid # so that both are there when it goes on
kill -INT $pid
kill -TERM $pid
kill -CONT $pid
code=0
wait $pid || code=$?
[ $code -eq 130 ] || [ $code -eq 143 ] || fail "a run that was interrupted twice ends with $code"
expect_err 'saves and ends after this step; a second signal ends it now'
! grep -q ', which is saved' err || fail "a run that was interrupted twice went on to save"
: >halves/checkpoints/step-0000000200.ckpt.tmp-1-0
: >halves/best.gguf.tmp-1-0
: >halves/adapter.gguf.tmp-1-0
: >halves/mine.tmp-1-0
expect 0 "$TNN" train --resume halves
expect_err 'goes on from step'
[ ! -e halves/checkpoints/step-0000000200.ckpt.tmp-1-0 ] || fail "half a checkpoint is left"
[ ! -e halves/best.gguf.tmp-1-0 ] && [ ! -e halves/adapter.gguf.tmp-1-0 ] || fail "half a result is left"
[ -e halves/mine.tmp-1-0 ] || fail "a file that is none of the run's is gone"
cmp -s whole/model.gguf halves/model.gguf || fail "after two interrupts, the resumed run gives another model"
check_events halves 1500

# Refused, in one line.
expect_error 2 'RECIPE is missing' -- "$TNN" train
expect_error 2 "'lorra' is no recipe" -- "$TNN" train lorra tiny.gguf
expect_error 2 'MODEL is missing' -- "$TNN" train full --data data
expect_error 2 'scratch takes no MODEL' -- "$TNN" train scratch tiny.gguf --data data
expect_error 2 '--lora-rank does not go with the recipe full' -- "$TNN" train full tiny.gguf --data data --lora-rank 4
expect_error 2 '--iters 0' 'from 1' -- "$TNN" train full tiny.gguf --data data --iters 0
expect_error 2 '--optimizer lion' 'adamw' -- "$TNN" train full tiny.gguf --data data --optimizer lion
expect_error 2 "did you mean '--learning-rate'" -- "$TNN" train full tiny.gguf --data data --learning_rates 1
expect_error 2 'in f32 or bf16' -- "$TNN" train full tiny.gguf --data data --dtype f16
expect_error 2 'attn_qq' 'attn_q, attn_k' -- "$TNN" train lora tiny.gguf --data data --lora-modules attn_q,attn_qq
expect_error 2 'tied to the token embedding' 'recipe full' -- "$TNN" train lora one/model.gguf --text text --lora-modules output
expect_error 2 'Q4_K' 'no whole blocks' -- "$TNN" train full tiny.gguf --data data --save-type Q4_K --out unsaved
for type in Q8_1 Q8_K I8 F64 IQ2_XXS Q4_K_M; do
    expect_error 2 "$type" 'is no type' -- "$TNN" train full tiny.gguf --data data --save-type $type --out unsaved
done
[ ! -e unsaved ] || fail "a run began whose result cannot be written"
expect_error 2 'num_layers 0' -- "$TNN" train lora tiny.gguf --data data --num-layers 0
expect_error 2 'matches no stage' -- "$TNN" train full tiny.gguf --data data --tap 'blk.*.nothing'
expect_error 2 'cut at 4 tokens' -- "$TNN" train lora tiny.gguf --data data --max-seq-length 4
for value in inf nan -1 1e9; do
    expect_error 2 "--learning-rate $value" -- "$TNN" train lora tiny.gguf --data data --learning-rate $value
done
expect_error 2 '--lora-rank 0' -- "$TNN" train lora tiny.gguf --data data --lora-rank 0
expect_error 2 'n_layers needs new_body' -- "$TNN" train warm-start tiny.gguf --text text --n-layers 1
expect_error 2 'd_model 48' 'are 32 wide' -- "$TNN" train warm-start one/model.gguf --new-body --text text --d-model 48
expect_error 2 'n_layers does not go with like' -- "$TNN" train scratch --like tiny.gguf --tokenizer tiny.gguf \
    --text text --n-layers 1
expect_error 2 'give layer_kinds' -- "$TNN" train scratch --tokenizer bytes --text text --gdn-conv 2
expect_error 2 'valid_text goes with text' -- "$TNN" train full tiny.gguf --data data --valid-text text
expect_error 2 'val_batches 0' -- "$TNN" train full tiny.gguf --data data --val-batches 0
expect_error 2 'patience 3 needs a validation' -- "$TNN" train full tiny.gguf --text text --patience 3
expect_error 2 'system is no valid UTF-8' -- "$TNN" train full tiny.gguf --data data --system "$(printf 'caf\351')"
expect_error 2 'either a folder' -- "$TNN" train full tiny.gguf
expect_error 2 'no-such' -- "$TNN" train full tiny.gguf --data no-such
expect_error 2 'holds a run already' '--resume one' -- "$TNN" train full tiny.gguf --data data --out one
mkdir holds
# shellcheck disable=SC2086
for name in model.gguf best.gguf events.jsonl report.html; do
    cp tiny.gguf holds/$name
    expect_error 2 "holds/$name is there already" 'another folder' -- \
        "$TNN" train full holds/$name --text text $small --iters 1 --out holds
    cmp -s holds/$name tiny.gguf || fail "a run wrote over the model that it trains"
    rm holds/$name
done
[ ! -e holds/checkpoints ] || fail "a refused run left something"
expect_error 2 'leave --iters' -- "$TNN" train --resume one --iters 4
expect_error 2 'nothing-here/config.json' -- "$TNN" train --resume nothing-here
python3 "$TESTS/cli/split_model.py" tiny.gguf split
expect 0 "$TNN" train lora split-00001-of-00002.gguf --text text --iters 1 --max-seq-length 16 --out split
printf x >>split-00002-of-00002.gguf
expect_error 1 'has changed since this run began' 'put the old file back' -- "$TNN" train --resume split
printf x >>tiny.gguf
expect_error 1 'has changed since this run began' -- "$TNN" train --resume lora
