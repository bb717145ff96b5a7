"""What is shown fits, is worth its place, and cannot fail, whatever becomes of the terminal."""

import io
import os
import re
import sys
import time
from typing import Any

import pytest

from awr_mjx.train.console import screen
from awr_mjx.train.console.errors import Failed, UserError, run_program
from awr_mjx.train.console.screen import Screen
from awr_mjx.train.console.unfailing import Unfailing

VALUES = {"env_steps_per_second": 18_720.0, "reward_per_step": 0.5234}


class Terminal(io.StringIO):
    """A terminal that keeps what it was sent; one that is `gone` takes nothing."""

    def __init__(self, gone: BaseException | None = None) -> None:
        super().__init__()
        self.gone = gone

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.gone:
            raise self.gone
        return super().write(text)


def many() -> list[screen.Field]:
    whole = ("of 28,000,000 env steps or 30 minutes", "of 28M steps or 30 minutes")
    return screen.fields(3_145_728, whole, 0.11, "2:49", VALUES, 2228.4, 12)


@pytest.mark.parametrize("width", [10, 30, 60, 80, 100, 140, 200])
def test_the_progress_line_fits(width: int) -> None:
    line = screen.fit(many(), width)
    assert 0 < len(line) <= width
    assert line.startswith("11%")
    assert ("2:49 left" in line) == (width >= 30)
    assert ("18,720 env steps/s" in line) == (width >= 140)


class ZMQInteractiveShell:
    """As what runs a notebook's cells is called, by which libraries know it."""


def test_a_notebook_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it is a terminal, and would show each step of a line that moves below the one before."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("builtins.get_ipython", ZMQInteractiveShell, raising=False)
    monkeypatch.setattr("rich.console.get_ipython", ZMQInteractiveShell, raising=False)
    shown = Screen(28_000_000, 0.0)
    shown.progress(3_145_728, 0.11, None, VALUES, 2228.4, 0)
    shown.progress(3_245_728, 0.12, 169.0, VALUES, 2228.4, 0)
    shown.close()
    assert "\x1b" not in terminal.getvalue() and terminal.getvalue().count("11%") == 1


def test_at_80_columns_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    shown = Screen(28_000_000, 0.0)
    shown.progress(3_145_728, 0.11, None, VALUES, 2228.4, 0)
    shown.progress(3_245_728, 0.12, 169.0, VALUES, 2228.4, 0)
    shown.close()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", text) if "left" in line]
    assert lines
    assert all(len(line) < 80 for line in lines)
    assert re.search(r"12%, 2:49 left, return 2,228, 3.25M of 28M steps, 18.7k/s, reward 0.523$", lines[-1]), lines[-1]


def test_what_there_is_not_is_not_shown() -> None:
    found = screen.fields(10, ("of 20 env steps", "of 20 steps"), 0.5, "", {"env_steps_per_second": 5.0}, None, 0)
    assert found == [("50%", "50%"), ("10 of 20 env steps", "10 of 20 steps"), ("5 env steps/s", "5/s")]


def test_small_returns_have_digits_too() -> None:
    found = [screen.number(value) for value in (2228.4, 123.4, 12.34, 0.004123, -0.5, 0.0)]
    assert found == ["2,228", "123", "12.3", "0.00412", "-0.5", "0"]


def test_times_are_for_people() -> None:
    assert [screen.duration(seconds) for seconds in (9.4, 100.0, 5940.0)] == ["0:09", "1:40", "1:39:00"]


@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "Broken pipe"), OSError(5, "Input/output error"), ValueError("closed")]
)
def test_a_terminal_that_is_gone_is_nobodys_concern(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    shown = Screen(100, 0.0)
    terminal.gone = error
    shown.say("a line")
    shown.progress(10, 0.1, None, VALUES, None, 0)
    shown.close()


def test_no_stdout_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    shown = Screen(100, 0.0)
    shown.say("a line")
    shown.progress(10, 0.1, None, VALUES, None, 0)
    shown.close()


def test_an_encoding_without_the_character() -> None:
    written = io.BytesIO()
    stream = Unfailing(io.TextIOWrapper(written, encoding="ascii"))
    stream.write("12 ± 3 in ./ß\n")
    stream.flush()
    assert written.getvalue() == b"12 +- 3 in ./?\n"


def test_brackets_in_a_name_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(100, 0.0).say("run: checkpoints/[bold]x")
    assert capsys.readouterr().out == "run: checkpoints/[bold]x\n"


def status(error: BaseException) -> int:
    def main() -> int:
        raise error

    with pytest.raises(SystemExit) as stop:
        run_program(main)
    return int(stop.value.code or 0)


def test_what_ends_a_program_is_one_line_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert [status(UserError("a\nb")), status(Failed("c")), status(KeyboardInterrupt())] == [2, 1, 130]
    assert capsys.readouterr().err == "error: a b\nerror: c\ninterrupted\n"


def test_an_encoding_that_lacks_a_character_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every program, whether or not it writes through `Unfailing`."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    with pytest.raises(SystemExit):
        run_program(lambda: (Unfailing(sys.stdout).write("1 ± 2 é\n") and print("3 ± 4")) or 0)
    assert written.getvalue() == b"1 +- 2 ?\n3 +- 4\n"


def test_an_output_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk behind stdout, and an encoding without "±"."""
    with open("/dev/full", "w", encoding="ascii") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as stop:
            run_program(lambda: print("12 ± 3", flush=True) or 0)
    assert stop.value.code == 1
    assert capsys.readouterr().err == "error: the output cannot be written: No space left on device\n"


def test_a_pipe_that_is_closed_has_a_status_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is still to be flushed at the end is no second error."""
    reader, writer = os.pipe()
    os.close(reader)
    stream: Any = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stdout", stream)
    stream.write("words")
    assert status(BrokenPipeError()) == 141
    stream.close()


def test_in_a_pipe_a_long_wait_has_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(screen, "BUSY_SECONDS", 0.1)
    shown = Screen(None, 3.0)
    said = ""
    with shown.busy("evaluating"):
        end = time.monotonic() + 60
        while not said and time.monotonic() < end:
            time.sleep(0.02)
            said = capsys.readouterr().out
    assert said == "evaluating ...\n"
    with shown.busy("compiling", said=True):
        time.sleep(0.3)
    monkeypatch.setattr(screen, "BUSY_SECONDS", 0.5)
    with shown.busy("saving"):
        pass
    time.sleep(0.7)
    assert not capsys.readouterr().out


def test_what_it_waits_for_takes_the_place_of_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """And in the end nothing of the line that moves is left, in which the newest mode return is not."""
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    shown = Screen(None, 3.0)
    with shown.busy("compiling"):
        time.sleep(0.4)
    shown.progress(20_480, 0.5, 100.0, VALUES, 82.8, 0)
    with shown.busy("evaluating"):
        time.sleep(0.4)
    shown.close()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    assert any(re.fullmatch(r"\S* ?compiling 0:00", line) for line in lines), lines
    (shown_while, *_) = [line for line in lines if "evaluating" in line]
    assert re.search(r"50%, evaluating 0:00, return 82.8, 20.5k steps, 1:30 of 3:00, 18.7k/s", shown_while)
    assert "left" not in shown_while and terminal.getvalue().rstrip("\n").endswith("\x1b[2K")
