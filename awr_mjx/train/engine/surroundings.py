"""What the shell or the user's own program has set, where it would stop a run or change its results."""

import json
import os
import pathlib
import subprocess
import sys

import jax

from awr_mjx.train.console.errors import UserError, warn

PROJECT = pathlib.Path(__file__).parents[3]  # the folder that the package lies in


def of_programs() -> dict[str, str]:
    """An environment in which programs that are started find this project, wherever it lies."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))}


ASKS = """
import json, jax
device = jax.devices()[0]
print(json.dumps({"device": device.device_kind, "platform": device.platform, "jax": jax.__version__}))
"""


def first_device() -> dict[str, str]:
    """The first device that JAX finds, its platform and JAX's version; empty where JAX does not start.

    Asked of another process, since the programs to be started are to have the device's memory.
    """
    done = subprocess.run([sys.executable, "-P", "-c", ASKS], capture_output=True, text=True, check=False)
    return dict(json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else {}


def accelerator() -> bool:
    """Whether JAX finds one."""
    return first_device().get("platform", "cpu") != "cpu"


def was_used() -> bool:
    """Whether JAX has made its devices already, for instance for an array in a module of the user's."""
    before = jax.config.jax_num_cpu_devices  # type: ignore[attr-defined]
    try:
        jax.config.update("jax_num_cpu_devices", before + 1)  # refused from then on
    except RuntimeError:
        return True
    jax.config.update("jax_num_cpu_devices", before)
    return False


def refuse_lost_flags(flags: list[str]) -> None:
    """Raises UserError if XLA `flags` that are to be set come too late."""
    if flags and was_used() and jax.default_backend() == "cpu":
        raise UserError(
            "JAX has been used before this program could set it up, as by an array made where a module is imported: "
            "make such arrays with NumPy or in the task's __init__, or name the module with --tasks FILE.py"
        )


def refuse_threads() -> None:
    """Raises UserError if XLA is to have one thread, and has begun with more for another task of this process."""
    if "PJRT_NPROC" not in os.environ and was_used() and jax.default_backend() == "cpu":
        raise UserError(
            "JAX is at work in this process for a task that needs it set up otherwise: use another process for this "
            "one, or set PJRT_NPROC=1 before the first"
        )


def single_precision() -> None:
    """Switches double precision off, with a warning: everything here is made and measured for float32."""
    if jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        jax.config.update("jax_enable_x64", False)
        warn(["double precision (JAX_ENABLE_X64) is switched off: all of this is made for float32"])


def find_devices() -> None:
    """Raises UserError if the platform that the user has chosen is not there."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        chosen = jax.config.jax_platforms  # type: ignore[attr-defined]
        words = " ".join(str(error).split())[:200] or "it is not there"
        raise UserError(f"JAX cannot start with JAX_PLATFORMS={chosen}: {words}: unset it, or set it to cpu") from error


def cache_folder() -> str | None:
    """The folder for compiled programs; None, with a warning, where there is no place for one."""
    try:
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "awr_mjx" / "jax"
        cache.mkdir(parents=True, exist_ok=True)
        if os.access(cache, os.W_OK):
            return str(cache)
        problem = f"{cache} cannot be written to"
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        problem = str(error).rstrip(".")
    warn([f"compiled programs are not kept between processes ({problem}): set JAX_COMPILATION_CACHE_DIR to a folder"])
    return None
