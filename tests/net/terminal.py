# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A terminal of 24 lines and 80 columns, unless told otherwise, for programs that draw: what stands on it, and keys
that go in."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from tap import check

LINES, COLUMNS = 24, 80
CONTROL = re.compile(rb"\x1b\[\??([0-9;]*)([A-Za-z])|\x1b[()].|\x1b[=>]|[\x00-\x1f]")


class Terminal:
    """Runs a command on it. A vt100, as the fewest sequences are understood by it."""

    def __init__(self, command, environment=None, columns=COLUMNS, lines=LINES):
        self.columns, self.lines = columns, lines
        self.longest = 0    # columns that a line took, those beyond the right edge too
        self.pid, self.fd = pty.fork()
        if not self.pid:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", self.lines, self.columns, 0, 0))
            os.execvpe(command[0], [str(word) for word in command],
                       dict(os.environ, TERM="vt100", **(environment or {})))
        self.cells = [[" "] * self.columns for _ in range(self.lines)]
        self.line = self.column = 0
        self.rest, self.status = b"", None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait(5)
        os.close(self.fd)

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def text(self):
        return "\n".join("".join(line).rstrip() for line in self.cells)

    def wait_for(self, wanted, seconds=10):
        """Waits until the screen shows this; returns the screen."""
        end = time.monotonic() + seconds
        while wanted not in self.text():
            check(time.monotonic() < end and self.read(), f"no {wanted!r} on the screen:\n{self.text()}")
        return self.text()

    def wait(self, seconds=10):
        """Its exit code, once it has ended; what it wrote until then is on the screen."""
        end = time.monotonic() + seconds
        while self.read():
            check(time.monotonic() < end, f"it has not ended:\n{self.text()}")
        self.status = os.waitpid(self.pid, 0)[1]
        return os.waitstatus_to_exitcode(self.status)

    def read(self):
        """Takes what was written, for a moment at most. False once the program has closed its side."""
        if select.select([self.fd], [], [], 0.1)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return False
            if not data:
                return False
            self.show(self.rest + data)
        return True

    def show(self, data):
        # A sequence may be cut in two.
        cut = data.rfind(b"\x1b")
        self.rest = data[cut:] if cut >= 0 and not CONTROL.match(data, cut) else b""
        data = data[:len(data) - len(self.rest)]
        at = 0
        for found in CONTROL.finditer(data):
            self.put(data[at:found.start()].decode(errors="replace"))
            self.control(found)
            at = found.end()
        self.put(data[at:].decode(errors="replace"))

    def put(self, text):
        for letter in text:
            if self.line < self.lines and self.column < self.columns:
                self.cells[self.line][self.column] = letter
            self.column += 1
            self.longest = max(self.longest, self.column)

    def control(self, found):
        numbers = [int(number) if number else 0 for number in (found[1] or b"").split(b";")]
        first, kind = numbers[0], found[2].decode() if found[2] else ""
        if kind in "Hf" and kind:
            self.line, self.column = max(first, 1) - 1, max(numbers[1] if len(numbers) > 1 else 1, 1) - 1
        elif kind in "AB" and kind:
            self.line = min(max(self.line + max(first, 1) * (1 if kind == "B" else -1), 0), self.lines - 1)
        elif kind in "CD" and kind:
            self.column = max(self.column + max(first, 1) * (1 if kind == "C" else -1), 0)
        elif kind == "J":
            self.cells[self.line][self.column:] = [" "] * max(self.columns - self.column, 0)
            for line in range(self.line + 1, self.lines):
                self.cells[line] = [" "] * self.columns
        elif kind == "K":
            start, end = (0, self.column + 1) if first == 1 else (self.column, self.columns)
            self.cells[self.line][start:end] = [" "] * max(end - start, 0)
        elif found[0] == b"\r":
            self.column = 0
        elif found[0] == b"\n":
            self.line = min(self.line + 1, self.lines - 1)
        elif found[0] == b"\b":
            self.column = max(self.column - 1, 0)
