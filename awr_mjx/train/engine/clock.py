"""What a run's time goes to."""

import time


class Clock:
    """What a run's time goes to: seconds by name, from one `note` to the next."""

    def __init__(self, program_start: float, compile: float) -> None:
        """`program_start` is on `time.monotonic`; the training program took `compile` seconds to be compiled."""
        self.seconds = {"train": 0.0, "evaluate": 0.0, "save": 0.0, "compile": compile}
        self._start, self._before, self._last = program_start, 0.0, time.monotonic()

    def go_on(self, newest: dict[str, float]) -> None:
        """Counts on from the newest line of a resumed run's log; what was lost after it is not counted."""
        for name in ("train", "evaluate", "save"):
            self.seconds[name] = newest.get(f"{name}_seconds", 0.0)
        self._before = newest.get("wall_seconds", 0.0)

    def start(self) -> None:
        """Counts from now."""
        self._last = time.monotonic()

    def note(self, name: str) -> float:
        """Puts the time since the last `start` or `note` down to `name`, and returns it."""
        now = time.monotonic()
        passed, self._last = now - self._last, now
        self.seconds[name] += passed
        return passed

    def wall(self) -> float:
        """Seconds since the program started, those of a resumed run added."""
        return self._before + time.monotonic() - self._start

    def report(self) -> dict[str, float]:
        """Seconds of everything so far, and `wall_seconds`."""
        return {f"{name}_seconds": seconds for name, seconds in self.seconds.items()} | {"wall_seconds": self.wall()}
