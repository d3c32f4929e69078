# A model file that is cut short while it is mapped: one line, exit status 2. Without mmap nothing happens.
command -v python3 >/dev/null || skip "python3 is not installed"
make="python3 $TESTS/cli/make_model.py"

# cut FLAGS...: a conversation, the file cut after the first answer; leaves the exit status in $got
cut_while_open() {
    $make tiny.gguf
    python3 - "$TNN" "$@" <<'PYTHON' >out 2>err && got=0 || got=$?
import os, subprocess, sys
chat = subprocess.Popen([sys.argv[1], "chat", "tiny.gguf", "-n", "2", "--temp", "0", *sys.argv[2:]],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
chat.stdin.write(b"hello\n")
chat.stdin.flush()
chat.stdout.read(1)
os.truncate("tiny.gguf", 4096)
try:
    chat.stdin.write(b"more\n" * 3)
    chat.stdin.close()
except BrokenPipeError:  # it met the end of the file within its first answer
    pass
chat.stdout.read()
sys.exit(chat.wait())
PYTHON
}

cut_while_open
[ $got -eq 2 ] || fail "exit status $got"
[ "$(wc -l <err)" -eq 1 ] || fail "an error is one line"
expect_err 'cut short'
cut_while_open --no-mmap
[ $got -eq 0 ] || fail "exit status $got without mmap"
