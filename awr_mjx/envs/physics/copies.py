"""Copies of a model in C MuJoCo, which the host's cores step side by side."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mujoco
import numpy as np

Observe = Callable[[mujoco.MjModel, mujoco.MjData], dict[str, Any]]


class Copies:
    """E = `count` copies of `model`, of which a control step is `substeps` steps.

    Attributes:
      data: MuJoCo's, one for each copy.
    """

    def __init__(self, model: mujoco.MjModel, substeps: int, count: int, threads: int) -> None:
        """Lets up to `threads` cores step them."""
        self._model, self._substeps, self._threads = model, substeps, threads
        self.data = [mujoco.MjData(model) for _ in range(count)]
        self._pool = ThreadPoolExecutor(threads, "mujoco")

    def begin(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Puts all copies at positions [E, nq] and velocities [E, nv], with what follows from them."""
        for i, data in enumerate(self.data):
            mujoco.mj_resetData(self._model, data)
            data.qpos[:], data.qvel[:] = qpos[i], qvel[i]
            mujoco.mj_forward(self._model, data)

    def step(self, ctrl: np.ndarray, which: np.ndarray) -> None:
        """Takes a control step of the copies `which` bool [E], with controls [E, nu]; the others stay."""
        left, lock = list(np.flatnonzero(which)), threading.Lock()

        def work() -> None:  # MuJoCo lets go of Python's lock while it steps
            while True:
                with lock:
                    if not left:
                        return
                    i = left.pop()
                self.data[i].ctrl[:] = ctrl[i]
                mujoco.mj_step(self._model, self.data[i], self._substeps)

        for done in [self._pool.submit(work) for _ in range(min(self._threads, len(left)))]:
            done.result()

    def stack(self, observe: Observe) -> dict[str, np.ndarray]:
        """Returns what `observe` makes of each copy, by name, as float32 [E, ...]."""
        seen = [observe(self._model, data) for data in self.data]
        return {name: np.array([one[name] for one in seen], np.float32) for name in seen[0]}
