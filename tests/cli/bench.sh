# Speed: the shape of the report, not the numbers.
model=$TESTS/golden/data/llama-gqa.gguf
expect 0 "$TNN" bench "$model" -p 32 -n 4 -r 3 --json
expect_json 'd["repetitions"] == 3 and d["prefill"]["tokens"] == 32 and d["decode"]["tokens"] == 4'
for stage in prefill decode; do
    expect_json "(lambda r: 0 < r['min'] <= r['median'] <= r['max'])(d['$stage']['tokens_per_second'])"
done
# A model this small lies in a cache, so that even the bandwidth of memory is no bound.
expect_json 'd["prefill"]["share_of_peak"] > 0 and d["decode"]["share_of_bandwidth"] > 0'
expect_json 'all(d[p][k] > 0 for p in ("probe_before", "probe_after") for k in ("f32_gflops", "int8_gops", "read_gbps"))'
expect 0 "$TNN" bench "$model" -p 8 -n 0 -r 1 -t 1 --isa portable
expect_out 'prefill'
expect_out 'machine before'
expect 0 "$TNN" bench "$model" -p 0 -n 2 -r 2 --json
expect_json 'd["prefill"] is None and d["decode"]["tokens"] == 2'
# Behind other tokens, with and without recurrent layers.
for name in llama-gqa qwen35; do
    expect 0 "$TNN" bench "$TESTS/golden/data/$name.gguf" -d 40 -p 8 -n 4 -r 2 --json
    expect_json 'd["depth"] == 40 and d["prefill"]["tokens"] == 8 and d["decode"]["tokens"] == 4'
done
expect_error 2 'no-such.gguf' -- "$TNN" bench no-such.gguf

# Training: both recipes, speed and memory.
for recipe in full lora; do
    expect 0 "$TNN" bench "$model" --train $recipe -p 16 -r 2 --json
    expect_json "d['recipe'] == '$recipe' and d['train']['tokens'] == 16 and d['batch_seconds'] > 0"
    expect_json '(lambda r: 0 < r["min"] <= r["median"] <= r["max"])(d["train"]["tokens_per_second"])'
    expect_json '0 < d["train"]["share_of_peak"] < 2'
    expect 0 "$TNN" bench "$model" --train $recipe -p 16 --grad-checkpoint --memory --json
    expect_json 'd["grad_checkpoint"] and d["peak_bytes"] > d["planned_bytes"] > 0'
done
expect 0 "$TNN" bench "$model" --train lora --lora-rank 4 -p 16 -r 1
expect_out 'forward and gradients'
expect 0 "$TNN" bench "$model" --train full --dtype bf16 -p 16 -r 1 --json
expect_json 'd["dtype"] == "bf16" and d["train"]["tokens_per_second"]["median"] > 0'
expect_error 2 'neither f32 nor bf16' -- "$TNN" bench "$model" --train full --dtype f16
for flag in --memory --grad-checkpoint '--dtype bf16' '--lora-rank 4'; do
    # shellcheck disable=SC2086
    expect_error 2 'add --train' -- "$TNN" bench "$model" $flag
done
expect_error 2 'neither full nor lora' -- "$TNN" bench "$model" --train none
for flag in '-n 128' '-d 0' '-b 512' '--kv-type F16'; do
    # shellcheck disable=SC2086
    expect_error 2 "${flag% *} does not go with --train" -- "$TNN" bench "$model" --train lora $flag
done
