# `make demo`, with fewer steps: the model that ships speaks like a play, learns rows, and answers otherwise than before.
model=$TESTS/../models/shakespeare.gguf

[ "$(wc -c <"$model")" -le 4000000 ] || fail "the model takes at most 4 MB"
expect 0 "$TNN" run "$model" --raw -p ROMEO: -n 80 --seed 1
grep -qE '^[A-Z][A-Za-z ]+:$' out || fail "a speaker's name on a line of its own"

expect 0 "$TESTS/../tools/demo" "$TNN" runs/demo 10
expect_err "step 10/10"
expect_err "runs/demo/report.html"
[ -s runs/demo/model.gguf ] && [ -s runs/demo/report.html ] || fail "the run has its result and its report"
for question in 'Who are you?' 'What should I eat?' 'Tell me a tale.'; do
    expect 0 "$TNN" run "$model" -p "$question" -n 40 --temp 0
    cp out before
    expect 0 "$TNN" run runs/demo/model.gguf -p "$question" -n 40 --temp 0
    ! cmp -s out before || fail "'$question' is answered as before"
done
