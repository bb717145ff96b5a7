"""What a shell or a user's program has set: one line or a warning, and the same results."""

import os
import pathlib
import subprocess
import sys

import jax
import pytest

from awr_mjx.train.engine import surroundings

START = """
import jax
{before}
from awr_mjx.train.console.errors import run_program
from awr_mjx.train.engine.jax_setup import start_jax

def main():
    start_jax(cpu_devices=2)
    start_jax(lapack=False)
    from awr_mjx.envs import registry
    registry.make('cartpole')
    import mujoco
    print(jax.numpy.ones(1, float).dtype, jax.device_count())
    return 0

run_program(main)
"""


def start(before: str = "", **variables: str) -> tuple[int, str, str]:
    """Status, output and the only line of errors of a program that starts JAX (twice) on two CPU devices."""
    plain = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "PJRT_NPROC")}
    command = [sys.executable, "-c", START.format(before=before)]
    done = subprocess.run(command, capture_output=True, text=True, env=plain | variables, check=False)
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stdout, done.stderr


def test_double_precision_is_off_and_mujoco_needs_no_graphics() -> None:
    status, out, err = start(JAX_ENABLE_X64="1", MUJOCO_GL="osmesa")  # not installed with MuJoCo
    assert (status, out) == (0, "float32 2\n")
    assert err.startswith("warning: double precision (JAX_ENABLE_X64) is switched off")


def test_a_platform_that_is_not_there_is_one_line() -> None:
    status, _, err = start(JAX_PLATFORMS="cuda")
    assert status == 2
    assert err.startswith("error: JAX cannot start with JAX_PLATFORMS=cuda: ") and "unset it" in err


def test_a_program_that_has_used_jax_before_is_told_what_to_do() -> None:
    status, _, err = start("import jax.numpy as jnp; TABLE = jnp.arange(3)")
    assert status == 2
    assert err.startswith("error: JAX has been used before") and "NumPy" in err and "--tasks" in err


def test_jax_is_noticed_when_it_is_used() -> None:
    assert jax.device_count()
    before = jax.config.jax_num_cpu_devices  # type: ignore[attr-defined]
    assert surroundings.was_used()
    assert jax.config.jax_num_cpu_devices == before  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", ["", "/dev/null", "/proc"])
def test_without_a_place_for_compiled_programs_there_is_a_warning(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def homeless() -> pathlib.Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(pathlib.Path, "home", homeless)
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    assert surroundings.cache_folder() is None
    err = capsys.readouterr().err
    assert err.startswith("warning: compiled programs are not kept") and "JAX_COMPILATION_CACHE_DIR" in err
    assert err.count("\n") == 1


def test_compiled_programs_have_a_place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert surroundings.cache_folder() == str(tmp_path / "awr_mjx" / "jax")


@pytest.mark.parametrize(
    ("told", "status", "there"),
    [
        ('{"platform": "gpu"}\n', 0, True),
        ('a remark\n{"platform": "cuda"}\n', 0, True),
        ('{"platform": "cpu"}\n', 0, False),
        ("", 1, False),
    ],
)
def test_an_accelerator_is_asked_for(told: str, status: int, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess[str]([], status, told)
    monkeypatch.setattr(surroundings.subprocess, "run", lambda *_, **__: done)
    assert surroundings.accelerator() is there


def test_the_first_device_is_that_of_this_process() -> None:
    device = jax.devices()[0]
    known = {"device": device.device_kind, "platform": device.platform, "jax": jax.__version__}
    assert surroundings.first_device() == known
