"""A training inside somebody else's program: what Ctrl-C means there, who listens, and what that one's errors do."""

import dataclasses
import signal
import threading
import time
from collections.abc import Callable

from awr_mjx.train.engine.metrics_log import MetricsLog, Values
from awr_mjx.train.engine.signals import AGAIN, Stop

Listener = Callable[[int, Values], object]
"""Is told of everything that is logged: after how many steps, and the numbers by name. True stops the training."""


class Interrupt(Stop):
    """Notices Ctrl-C, without ever ending the process: before there is work to lose, and the second time, it is the
    KeyboardInterrupt that it always is. Other signals are the business of the program that the training is a guest of.
    """

    def __init__(self) -> None:
        """Listens from now to `close`, if this is the thread that Python tells of signals."""
        self.asked, self.careful = None, False
        self._asked_at = 0.0
        self._heard = threading.current_thread() is threading.main_thread()
        if self._heard:
            self._handler = signal.signal(signal.SIGINT, self._notice)

    def close(self) -> None:
        """Leaves Ctrl-C to whoever had it before."""
        if self._heard:
            signal.signal(signal.SIGINT, self._handler)

    def _notice(self, *_: object) -> None:
        if not self.careful or (self.asked and time.monotonic() - self._asked_at > AGAIN):
            raise KeyboardInterrupt
        if not self.asked:
            self.asked, self._asked_at = "Ctrl-C", time.monotonic()


@dataclasses.dataclass
class Guest:
    """The program in which a training is a guest.

    Attributes:
      told: its listener, if it has one.
      quiet: whether nothing is to be printed but warnings.
    """

    told: Listener | None = None
    quiet: bool = False
    _trouble: list[Exception] = dataclasses.field(default_factory=list)

    def stop(self, log: MetricsLog) -> Stop:
        """What asks the training to stop: Ctrl-C, or the listener, who is told of everything that `log` is.

        Where that one raises something, the training stops as by Ctrl-C, so that it saves.
        """
        stop = Interrupt()

        def tell(steps: int, values: Values) -> None:
            if not self.told or self._trouble:
                return
            try:
                enough = self.told(steps, dict(values))
            except Exception as error:  # of whatever kind somebody else's code raises
                self._trouble.append(error)
                enough = True
            if enough:
                stop.asked = stop.asked or "its listener"

        log.listener = tell
        return stop

    def raise_trouble(self) -> None:
        """Raises what the listener has raised, if anything, once all is saved."""
        if self._trouble:
            raise self._trouble[0]
