"""What a method prints, on its way to the terminal: without what could drive it."""

from __future__ import annotations

import codecs
import contextlib
import os
import threading

from vlcl_bench.common.plain import plain

MOST_READ = 1 << 16
END = 2.0
"""Seconds in which the last words must have come, once the process has ended."""


def plain_words(text: object, most: int = 4000) -> str:
    """Text of the process's without what could drive a terminal; bytes that were no UTF-8 are shown as such.

    A question mark stands for each such character: a flood of them grows no longer on its way.
    """
    return plain(str(text)[:most].replace("\r\n", "\n").replace("\t", "    "), lines=True, instead="?")


class Output:
    """A pipe whose end ``theirs`` a process prints to; what comes is written to standard error, as :func:`plain_words`.

    A carriage return begins a new line, so that nothing that was said can be overwritten.
    """

    def __init__(self, target: int = 2) -> None:
        self._ours, self.theirs = os.pipe()
        self._target = target
        self._thread = threading.Thread(target=self._pass_on, name="what the method prints", daemon=True)

    def begin(self) -> None:
        """Begin to pass on; the process has its end, and this one lets go of it."""
        os.close(self.theirs)
        self._thread.start()

    def end(self) -> None:
        """Wait for the last words; harmless when it never began."""
        if self._thread.is_alive():
            self._thread.join(END)

    def _pass_on(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        while True:
            data = os.read(self._ours, MOST_READ)
            said = decoder.decode(data, final=not data).replace("\r\n", "\n").replace("\r", "\n")
            left = memoryview(plain_words(said, 4 * MOST_READ).encode())
            with contextlib.suppress(OSError):  # standard error was closed: nobody listens
                while left:
                    left = left[os.write(self._target, left) :]
            if not data:
                os.close(self._ours)
                return
