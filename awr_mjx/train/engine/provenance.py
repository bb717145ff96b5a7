"""What a process trains with: command line, time, versions, device."""

import contextlib
import datetime
import hashlib
import importlib.metadata
import os
import pathlib
import subprocess
import sys
from typing import Any

import jax

from awr_mjx.train.console import commands
from awr_mjx.train.engine.surroundings import PROJECT

# Packages whose versions are written down; another version of one that computes may round differently.
COMPUTE = ("jax", "jaxlib", "mujoco", "mujoco-mjx", "flax", "optax")
PACKAGES = ("awr_mjx", *COMPUTE, "orbax-checkpoint")
DRAWS = 2  # how training uses random numbers; 2: starts are taken in turn (docs/decisions.md). 1 is not written down


def now() -> dict[str, Any]:
    """What a process trains with: command line, time, versions, device."""
    time = datetime.datetime.now().astimezone()
    return {
        "argv": [*(["--tasks", file] if (file := os.environ.get(commands.TASKS)) else []), *sys.argv[1:]],
        "started": time.isoformat(timespec="seconds"),
        "packages": packages(),
        "commit": _commit(),
        "draws": DRAWS,
        "tasks": tasks(),
        "device": jax.devices()[0].device_kind,
    }


def tasks() -> str | None:
    """What tells one content of the user's file of tasks from another; None without one."""
    name = os.environ.get(commands.TASKS)
    with contextlib.suppress(OSError):
        return hashlib.sha256(pathlib.Path(name).read_bytes()).hexdigest()[:16] if name else None
    return None


def packages() -> dict[str, str | None]:
    """Versions by package; None for what runs from its source alone, without being installed."""
    found: dict[str, str | None] = dict.fromkeys(PACKAGES)
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _commit() -> str | None:
    """The git commit of this program, `-dirty` if files have changed since; None without git or its folder."""
    if not (PROJECT / ".git").exists():
        return None
    command = ["git", "-C", str(PROJECT), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
