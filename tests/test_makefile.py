"""What `make setup` would install, by the NVIDIA driver that answers."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parent.parent


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("says", "status", "extra"),
    [
        ("580.65.06", 0, "cuda13"),
        ("590.44.01\n590.44.01", 0, "cuda13"),
        ("570.195.03", 0, "cuda12"),
        ("535.104.05\n535.104.05", 0, "cuda12"),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9, None),
        ("", 127, None),
    ],
)
def test_the_cuda_build_of_jax_is_one_that_the_driver_can_run(
    tmp_path: pathlib.Path, says: str, status: int, extra: str | None
) -> None:
    fake = tmp_path / "nvidia-smi"
    fake.write_text(f'#!/bin/sh\ncat <<"END"\n{says}\nEND\nexit {status}\n')
    fake.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("JAX_EXTRA", None)
    command = ["make", "--dry-run", "--always-make", "--directory", str(ROOT), "setup"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert ("jax[" in done.stdout) == (extra is not None)
    assert extra is None or f'"jax[{extra}]"' in done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("args", "ant"),
    [
        ("", True),
        ("--num_steps 5", True),
        ("--env.full_obs True", True),
        ("--tasks my--env.py", True),
        ("--env cartpole", False),
        ("--env=cartpole", False),
        ("--resume run", False),
    ],
)
def test_ant_is_trained_where_nothing_else_is_named(args: str, ant: bool) -> None:
    command = ["make", "--dry-run", "--directory", str(ROOT), "train", f"ARGS={args}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ("train.main --env ant " in done.stdout) == ant
    assert ("20 to 60 minutes" in done.stdout) == (not args)
    assert args in done.stdout
