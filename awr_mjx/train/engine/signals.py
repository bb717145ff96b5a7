"""Ctrl-C, SIGTERM and a closed terminal: noticed at once, whatever the main thread is at."""

import os
import signal
import threading
import time
from collections.abc import Callable

from awr_mjx.train.console.errors import complain, settle

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN = 1.0  # s; one wish to stop may arrive twice, from the terminal and from a parent process


class Stop:
    """Notices signals that ask to stop.

    At first a signal ends the program at once, for nothing can be lost. Once `careful` is set it is only noted in
    `asked`, so that the work can be put away; a second one ends the program at once.

    Python's handlers run between two steps of its main thread, which stands still while XLA compiles. So a thread of
    its own listens: Python's part in C writes every signal's number into a pipe right away.

    Attributes:
      asked: the name of the first signal, or None.
      careful: whether there is work that could be lost.
      say: shows the last line of a program that ends at once.
    """

    def __init__(self, careful: bool = False, say: Callable[[str], None] = complain) -> None:
        """Listens from now to `close`. SIGHUP is left alone if it is ignored, as under nohup."""
        self.asked: str | None = None
        self.careful, self.say = careful, say
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = {
            number: signal.signal(number, lambda *_: None)
            for number in SIGNALS
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        }
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leaves signals to whoever had them before."""
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._write)
        self._thread.join()

    def _listen(self) -> None:
        asked_at = 0.0
        while number := os.read(self._read, 1):
            if number[0] not in self._before:
                continue
            name = signal.Signals(number[0]).name
            if not self.careful:
                self._leave(number[0], f"stopped by {name} before anything was trained: nothing is lost")
            elif self.asked is None:
                self.asked, asked_at = name, time.monotonic()
            elif time.monotonic() - asked_at > AGAIN:
                self._leave(number[0], f"ended at once by a second signal, {name}")
        os.close(self._read)

    def _leave(self, number: int, line: str) -> None:
        try:
            self.say(line)
            settle()
        finally:
            os._exit(128 + number)
