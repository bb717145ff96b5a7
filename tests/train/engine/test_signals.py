"""Signals: noted, left alone where they were ignored, and given back."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from awr_mjx.train.engine.signals import Stop
from tests.runs import running
from tests.trained import wait_for


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_noted_and_one_that_comes_twice_at_once_is_one(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    stop = Stop(careful=True)
    try:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        wait_for(lambda: stop.asked is not None)
        assert stop.asked == number.name
    finally:
        stop.close()
    assert signal.getsignal(number) == before


def test_under_nohup_a_closed_terminal_means_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = Stop(careful=True)
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.1)
        stop.close()
        assert stop.asked is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


# The main thread is in C for a long time, as it is while XLA compiles.
BUSY = """
import ctypes, sys
from awr_mjx.train.engine.signals import Stop
stop = Stop(careful="careful" in sys.argv)
print("ready", flush=True)
while True:
    ctypes.CDLL(None).sleep(60)
"""


@pytest.mark.parametrize("careful", [False, True])
def test_a_program_that_has_nothing_to_lose_or_is_asked_twice_ends_at_once(careful: bool) -> None:
    root = str(pathlib.Path(__file__).parents[3])
    command = [sys.executable, "-c", BUSY, "careful" * careful]
    with running(command, env=os.environ | {"PYTHONPATH": root}) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        if careful:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1.5)
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=90)
    assert process.returncode == 130
    assert len(err.splitlines()) == 1
    assert ("nothing is lost" in err) == (not careful)
