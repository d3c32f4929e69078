"""What a person at a terminal meets: terminal.py TNN MODEL TEXT. Standard library alone."""
import os
import pty
import select
import sys
import time

tnn, model, text = sys.argv[1:]


def at_terminal(typed, arguments, terminal="xterm"):
    """Exit status and what was shown; the keys of `typed` come when the program has had time to ask for them."""
    pid, screen = pty.fork()
    if pid == 0:
        os.environ["TERM"] = terminal
        os.execv(tnn, [tnn, *arguments])
    time.sleep(0.5)
    os.write(screen, typed)
    shown, until = b"", time.monotonic() + 20
    while time.monotonic() < until and select.select([screen], [], [], until - time.monotonic())[0]:
        try:
            more = os.read(screen, 4096)
        except OSError:  # the other end is closed
            more = b""
        if not more:
            break
        shown += more
    else:
        os.kill(pid, 9)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


# One Ctrl-D ends a text, and Ctrl-C while one is awaited is no error of the input.
status, shown = at_terminal(b"hehi\n\x04", ["run", model, "-p", "-", "-n", "2"])
assert status == 0 and b"2 new" in shown, (status, shown)
status, shown = at_terminal(b"\x03", ["run", model, "-p", "-", "-n", "2"])
assert status == 1 and b"tnn run: interrupted" in shown, (status, shown)

# Progress is a line that does not wrap, and none on a terminal that cannot redraw one.
status, shown = at_terminal(b"", ["eval", model, "--text", text, "-c", "16"])
assert status == 0 and b"\x1b[?7lwindows " in shown and shown.count(b"\x1b[?7l") == shown.count(b"\x1b[?7h"), shown
status, shown = at_terminal(b"", ["eval", model, "--text", text, "-c", "16"], "dumb")
assert status == 0 and b"\x1b" not in shown, shown
