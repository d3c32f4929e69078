# What a file holds, whether it runs, and files that do not.
command -v python3 >/dev/null || skip "python3 is not installed"
make="python3 $TESTS/cli/make_model.py"
$make tiny.gguf

expect 0 "$TNN" show tiny.gguf
expect_out 'llama'
expect_out 'BPE/gpt-2, 262 tokens, BOS 0 <|bos|>, EOS 2 <|im_end|>, BOS is added'
expect_out 'chatml'
expect_out 'tiny ?[31mtest?' # a name cannot move the cursor
expect_out 'yes'
expect 0 "$TNN" show tiny.gguf --tensors --metadata
expect_out 'blk.1.ffn_down.weight'
expect_out '[64, 32]'
expect_out 'tokenizer.ggml.merges = ["h e"'

expect 0 "$TNN" show tiny.gguf --json
expect_json 'd["architecture"] == "llama" and d["runs"] is True and d["why_not"] is None and d["chat_template"] == "chatml"'
expect_json 'd["hyperparameters"]["attention.head_count_kv"] == 2 and d["hyperparameters"]["rope.freq_base"] == 10000'
expect_json 'd["types"] == {"F32": {"count": 21, "bytes": 141440}} and d["n_tensors"] == 21 and "tensors" not in d'
expect_json 'd["tokenizer"]["bos"] == 0 and d["tokenizer"]["add_bos"] is True'
expect_json 'd["memory"]["n_ctx"] == 256 and d["memory"]["kv_cache"] == 2 * 2 * 256 * 16 * 2'
expect 0 "$TNN" show tiny.gguf --json -c 100 --kv-type f32 --tensors --metadata
expect_json 'd["memory"]["kv_cache"] == 2 * 2 * 100 * 16 * 4'
expect_json 'd["tensors"][0] == {"name": "token_embd.weight", "type": "F32", "ne": [32, 262], "bytes": 33536}'
expect_json 'd["metadata"]["tokenizer.ggml.tokens"] == {"type": "string", "count": 262}'

# Files that cannot be run are shown all the same, and why.
$make falcon.gguf --arch falcon
$make iq.gguf --iq
$make vocab.gguf --vocab-only
expect 0 "$TNN" show falcon.gguf --json
expect_json 'd["runs"] is False and "falcon" in d["why_not"] and "llama" in d["why_not"] and d["memory"] is None'
expect 0 "$TNN" show iq.gguf --json
expect_json 'd["types"]["IQ2_XXS"]["count"] == 1'
expect 0 "$TNN" show vocab.gguf
expect_out 'no: '
expect_error 2 'falcon' -- "$TNN" run falcon.gguf -p x
for name in llama-gqa qwen2 qwen3 smollm3; do
    expect 0 "$TNN" show "$TESTS/golden/data/$name.gguf" --json
    expect_json 'd["runs"] and d["tokenizer"] is None'
done
