"""What a command shows of its work, on a terminal and in a pipe."""

import io
import re
import sys
import time

import pytest

from awr_mjx.train.console import working
from tests.train.console.test_screen import Terminal


def test_a_pipe_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "FIRST", 0.1)
    monkeypatch.setattr(working, "BETWEEN", 0.1)
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    for i in working.track(range(4), "drawing ant.mp4"):
        if i == 0:
            _until(pipe, "drawing ant.mp4 ...")
        if i == 1:
            _until(pipe, "25%")
        if i == 3:
            _until(pipe, "75%")
    lines = pipe.getvalue().splitlines()
    assert lines[0] == "drawing ant.mp4 ..." and "drawing ant.mp4: 25%" in lines
    assert any(re.fullmatch(r"drawing ant\.mp4: 75%, \d+:\d\d left", line) for line in lines), lines


def test_the_first_of_it_says_nothing_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is compiled, which takes longest."""
    monkeypatch.setattr(working, "FIRST", 0.1)
    monkeypatch.setattr(working, "BETWEEN", 0.1)
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with working.working("playing", 1000) as tell:
        time.sleep(1.5)
        tell(1)
        _until(pipe, "0%")
        tell(999)
        _until(pipe, "100%")
    (last, *_) = [line for line in pipe.getvalue().splitlines() if "left" in line]
    assert last == "playing: 100%, 0:00 left"


def _until(pipe: io.StringIO, words: str) -> None:
    """Works until a line has been written: on a busy machine a thread's turn may come late."""
    end = time.monotonic() + 60
    while words not in pipe.getvalue() and time.monotonic() < end:
        time.sleep(0.02)


def test_what_is_done_at_once_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    assert list(working.track("abc", "reading")) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="as it was"), working.working("writing", 2.0):
        raise ValueError("as it was")
    assert pipe.getvalue() == ""


def test_a_terminal_has_a_bar_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for _ in working.track(iter("ab"), "playing", total=2):
        time.sleep(0.15)
    assert "playing" in terminal.getvalue() and terminal.getvalue().rstrip("\n").endswith("\x1b[2K")
