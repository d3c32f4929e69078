# The caches of other tools, and models by name.
command -v python3 >/dev/null || skip "python3 is not installed"
python3 "$TESTS/cli/make_model.py" tiny.gguf

expect 0 "$TNN" list
expect_err 'no models found'
expect 0 "$TNN" list --json
expect_json 'd == {"models": [], "cut": None}'

# put FILE: a copy, so that each is a file of its own.
put() {
    mkdir -p "$(dirname "$1")"
    cp tiny.gguf "$1"
}
hub=$HOME/.cache/huggingface/hub/models--acme--Tiny-GGUF
put "$hub/blobs/abc"
mkdir -p "$hub/snapshots/rev1" "$hub/snapshots/rev0" "$hub/refs"
ln -s ../../blobs/abc "$hub/snapshots/rev1/tiny-Q8_0.gguf"
put "$hub/snapshots/rev0/tiny-old.gguf"
printf rev1 >"$hub/refs/main"

ollama=$HOME/.ollama/models
put "$ollama/blobs/sha256-0123"
mkdir -p "$ollama/manifests/registry.ollama.ai/library/tinyllama"
cat >"$ollama/manifests/registry.ollama.ai/library/tinyllama/latest" <<'MANIFEST'
{"schemaVersion": 2, "layers": [
 {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:9999"},
 {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:0123"}]}
MANIFEST
echo '{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../x"}]}' \
    >"$ollama/manifests/registry.ollama.ai/library/tinyllama/odd"
echo 'nonsense' >"$ollama/manifests/registry.ollama.ai/library/tinyllama/broken"

put "$HOME/.lmstudio/models/someone/Some-Model/some-model-Q4_K_M.gguf"
put "$HOME/.cache/llama.cpp/cached.gguf"
put "$HOME/.cache/tinynn/ours.gguf"
put models/here.gguf
put models/big-00001-of-00003.gguf
put models/big-00002-of-00003.gguf
put models/big-00003-of-00003.gguf
ln -s "$HOME/.cache/tinynn/ours.gguf" models/same-file.gguf
echo nonsense >models/broken.gguf
ln -s nowhere models/dangling.gguf
mkdir -p models/loop && ln -s .. models/loop/back

expect 0 "$TNN" list --json
size=$(wc -c <tiny.gguf)
expect_json "{m['name']: m['source'] for m in d['models']} == {
    'acme/Tiny-GGUF/tiny-Q8_0': 'huggingface', 'tinyllama:latest': 'ollama',
    'someone/Some-Model/some-model-Q4_K_M': 'lmstudio', 'cached': 'llama.cpp', 'ours': 'tinynn',
    'here': 'models', 'big': 'models', 'broken': 'models'}"
expect_json "{m['name']: m['bytes'] for m in d['models']}['big'] == 3 * $size"
expect_json "[m for m in d['models'] if m['name'] == 'here'][0]['architecture'] == 'llama'"
expect_json "[m for m in d['models'] if m['name'] == 'broken'][0]['architecture'] is None"
expect 0 "$TNN" list
! grep -q 'not all models' err || fail "a loop of links is told as a cut"
expect_out 'tinyllama:latest'
expect_out 'not a readable GGUF file'
expect 0 "$TNN" list --paths
expect_out "$ollama/blobs/sha256-0123"

# Each name is a MODEL; so is its end, or a part, if it is the only one.
for name in acme/Tiny-GGUF/tiny-Q8_0 tiny-q8_0 tinyllama:latest tinyllama some-model-Q4_K_M cached ours here HERE.gguf; do
    expect 0 "$TNN" show "$name"
done
expect_error 2 'acme/Tiny-GGUF/tiny-Q8_0' 'tinyllama:latest' 'more of the name' -- "$TNN" show tiny
expect_error 2 "called 'unheard-of'" 'tnn list' -- "$TNN" show unheard-of
expect_error 2 'standard input' -- "$TNN" show - <"$TNN" # and not whatever model has a dash in its name
expect_error 2 "called 'her.gguf'" -- "$TNN" show her.gguf # a file name means that file

# Where the environment points elsewhere, nothing else is looked at.
mkdir other
put other/hub/models--a--b/snapshots/r/x.gguf
put other/llama/y.gguf
put other/cache/tinynn/z.gguf
rm -r models
expect 0 env HF_HOME="$PWD/other" LLAMA_CACHE="$PWD/other/llama" OLLAMA_MODELS="$PWD/other" XDG_CACHE_HOME="$PWD/other/cache" \
    "$TNN" list --json
expect_json "sorted(m['name'] for m in d['models']) == ['a/b/x', 'someone/Some-Model/some-model-Q4_K_M', 'y', 'z']"
expect 0 env HF_HUB_CACHE="$PWD/other/hub" HOME=/nonexistent "$TNN" list --json
expect_json "[m['name'] for m in d['models']] == ['a/b/x']"

# What is beyond the bounds is left out and told.
mkdir -p deep/1/2/3/4/5/6 far/1/2/3/4/5/6/7
put deep/1/2/3/4/5/6/x.gguf
put far/1/2/3/4/5/6/7/x.gguf
expect 0 env LLAMA_CACHE="$PWD/deep" HOME=/nonexistent "$TNN" list --json
expect_json "[m['name'] for m in d['models']] == ['1/2/3/4/5/6/x'] and d['cut'] is None"
expect 0 env LLAMA_CACHE="$PWD/far" HOME=/nonexistent "$TNN" list --json
expect_json "d['models'] == [] and '6 deep' in d['cut']"
expect_err 'not all models are listed'
mkdir many
python3 -c 'for i in range(4100): open(f"many/{i}.gguf", "w").close()'
expect 0 env LLAMA_CACHE="$PWD/many" HOME=/nonexistent "$TNN" list --json
expect_json "len(d['models']) == 4096 and '4096 models' in d['cut']"
mkdir broad
python3 -c 'for i in range(66000): open(f"broad/{i}", "w").close()' 2>err || skip "no room for many files"
expect 0 env LLAMA_CACHE="$PWD/broad" HOME=/nonexistent "$TNN" list
expect_err '65536 entries'
