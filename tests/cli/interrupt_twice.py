"""Two interrupts in a row end `tnn chat`, which waits for a line, and `tnn run`, at once: interrupt_twice.py TNN MODEL"""
import signal
import subprocess
import sys
import time

tnn, model = sys.argv[1:]
run = subprocess.Popen(
    [tnn, "run", model, "-p", "hehi", "--ignore-eos", "-c", "2000000", "-t", "1"],
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
)
run.stdout.read(1)
run.send_signal(signal.SIGSTOP)  # so that both are there when it goes on
run.send_signal(signal.SIGINT)
run.send_signal(signal.SIGTERM)
run.send_signal(signal.SIGCONT)
started = time.monotonic()
run.stdout.read()
run.wait()
assert run.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM), run.returncode
assert time.monotonic() - started < 5
