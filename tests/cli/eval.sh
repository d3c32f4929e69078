# Perplexity, against the same sum over the logits that tnn logits writes.
command -v python3 >/dev/null || skip "python3 is not installed"
python3 "$TESTS/cli/make_model.py" tiny.gguf
python3 -c 'print("the hero went home and he said that the time has come. " * 8)' >text

cat >reference.py <<'PYTHON'
"""reference.py N_CTX BOS: perplexity of the ids in the file `ids`, windows computed one by one with tnn logits."""
import math, os, struct, subprocess, sys
n_ctx, bos = int(sys.argv[1]), int(sys.argv[2])
ids = [int(x) for x in open("ids").read().split()]
nll = []
for w in range(len(ids) // n_ctx):
    window = ids[w * n_ctx:(w + 1) * n_ctx]
    fed = [bos] + window[1:] if bos >= 0 else window
    subprocess.run([os.environ["TNN"], "logits", "tiny.gguf", "-o", "rows", "--prompt-ids", " ".join(map(str, fed))], check=True)
    rows = open("rows", "rb").read()
    n_vocab = len(rows) // 4 // n_ctx
    for t in range(n_ctx // 2, n_ctx - 1):
        row = struct.unpack_from(f"<{n_vocab}f", rows, 4 * n_vocab * t)
        top = max(row)
        nll.append(math.log(sum(math.exp(x - top) for x in row)) + top - row[window[t + 1]])
mean = sum(nll) / len(nll)
deviation = math.sqrt((sum(x * x for x in nll) / len(nll) - mean * mean) / (len(nll) - 1))
print(len(nll), math.exp(mean), math.exp(mean) * deviation)
PYTHON

# check BOS FLAGS...
check() {
    bos=$1
    shift
    # shellcheck disable=SC2068
    "$TNN" tokenize tiny.gguf -f text $@ >ids
    for n_ctx in 16 33; do
        # shellcheck disable=SC2068
        expect 0 "$TNN" eval tiny.gguf --text text -c $n_ctx --kv-type f32 --json $@
        python3 reference.py $n_ctx "$bos" >reference
        expect_json "(lambda n, ppl, error: d['scored'] == int(n) and abs(d['ppl'] / float(ppl) - 1) < 1e-4
            and abs(d['ppl_error'] / float(error) - 1) < 1e-3)(*open('reference').read().split())"
    done
}
check 0
check -1 --no-bos

expect 0 "$TNN" eval tiny.gguf --text text -c 16 --json
cp out all
expect_json 'd["windows"] == d["tokens"] // 16 and d["scored"] == 7 * d["windows"] and d["n_ctx"] == 16'
expect 0 "$TNN" eval tiny.gguf --text text -c 16 --json -t 1 -b 3
expect_json 'abs(d["ppl"] / json.load(open("all"))["ppl"] - 1) < 1e-4'
expect 0 "$TNN" eval tiny.gguf --text text -c 16 --json -t 3
expect_json 'd["ppl"] == json.load(open("all"))["ppl"]'
expect 0 "$TNN" eval tiny.gguf --text text -c 16 --chunks 3 --tap final_norm
expect_out 'ppl '
expect_out '21 tokens scored in 3 windows of 16'
expect_err 'final_norm'
expect 0 "$TNN" eval tiny.gguf -f - -c 16 --chunks 1 --json --tap embed --tap-out taps.gguf <text
expect_json 'd["taps"][0]["rows"] == 15'
[ -s taps.gguf ] || fail "no taps written"

expect_error 2 '--text FILE is missing' -- "$TNN" eval tiny.gguf
expect_error 2 'no-such.txt' -- "$TNN" eval tiny.gguf --text no-such.txt
echo short >short
expect_error 2 'less than one window of 256' -- "$TNN" eval tiny.gguf -c 256 --text short
expect_error 2 'no tokenizer' -- "$TNN" eval "$TESTS/golden/data/qwen2.gguf" --text text
expect_error 2 'out of range' -- "$TNN" eval tiny.gguf --text text -c 3
