"""Streams that cannot end a program, or hold it up, whatever has become of the terminal or the pipe behind them."""

import codecs
import contextlib
import os
import select
from typing import TextIO

WAIT = 0.2  # s; for a reader that is behind
PLAIN = "awr_mjx.plain"  # how an encoding is to take characters that it does not have


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    return "".join("+-" if character == "±" else "?" for character in text), error.end


codecs.register_error(PLAIN, _plain)


class Unfailing:
    """A text stream, or None, as one that never raises and never waits for long.

    A pipe may have lost its reader, or its reader may have stopped reading; a terminal may be closed, or stopped by
    Ctrl-S; a disk may be full, and an encoding may not know a character. What cannot be shown then is left out.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Writes what can be written; characters that the encoding does not have become others."""
        if self._stream is not None and self._takes():
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self.write(text.encode(self.encoding, PLAIN).decode(self.encoding))
            except (OSError, ValueError):
                pass
        return len(text)

    def flush(self) -> None:
        """Flushes what can be flushed."""
        if self._stream is not None and self._takes():
            with contextlib.suppress(OSError, ValueError):
                self._stream.flush()

    def settle(self) -> None:
        """Flushes for the last time. What nobody takes goes nowhere, or Python's own attempt would fail too."""
        if self._stream is None:
            return
        try:
            if self._takes():
                self._stream.flush()
                return
        except (OSError, ValueError):
            pass
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        """The file descriptor; raises OSError if there is none, as streams do."""
        if self._stream is None:
            raise OSError("no stream")
        return self._stream.fileno()

    def _takes(self) -> bool:
        """Whether a short write would not have to wait; also where it would fail at once."""
        try:
            return bool(select.select([], [self.fileno()], [], WAIT)[1])
        except (OSError, ValueError):  # closed, or no file
            return True
