"""Does it matter how large rewards are? Cartpole with all rewards times 1e-4, 1e-2, 1, 1e2 and 1e4.

python -m docs.studies.reward_scale [horizon | SET]

Online, it prints env steps to a mode return of 475 (in the task's own rewards), seeds 0, 1 and 2: with values in units
of the returns, or in those of the horizon. With a SET of cartpole, it learns from that by `train.main`, and prints the
mode return in Gymnasium.
"""

import dataclasses
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import jax
import numpy as np

from awr_mjx.envs import registry
from awr_mjx.train.datasets import reading, writing
from awr_mjx.train.engine.evaluation import Evaluator
from awr_mjx.train.engine.jax_setup import start_jax
from awr_mjx.train.engine.loop import Loop
from awr_mjx.train.engine.presets import preset
from awr_mjx.train.engine.streams import stream

SCALES, SEEDS, REACHED = (1e-4, 1e-2, 1.0, 1e2, 1e4), 3, 475.0
EPISODES, MOST = 64, 600_000  # episodes of an evaluation, env steps of a training


class Scaled:
    """A task with its rewards times `scale`."""

    def __init__(self, env: Any, scale: float) -> None:
        self._env, self._scale = env, scale

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def step(self, state: Any, action: jax.Array) -> Any:
        """One control step; the reward is a scalar []."""
        after = self._env.step(state, action)
        return after.replace(reward=after.reward * self._scale)


def steps_to_reach(scale: float, seed: int, units: Any) -> int | None:
    """Env steps until the mode action's return is `REACHED` times `scale`; None if it is not in `MOST`."""
    config, env = preset("cartpole"), Scaled(registry.make("cartpole"), scale)
    awr = dataclasses.replace(config.awr, value_units=units)
    loop = Loop(env, awr, config.num_envs, config.epoch_iterations)
    evaluate, state = Evaluator(loop.env, loop.learner, EPISODES), loop.init(seed)
    per_epoch = config.num_envs * awr.rollout_steps * config.epoch_iterations
    for steps in range(per_epoch, MOST + 1, per_epoch):
        state, _ = loop.epoch(state)
        learned = state.learner
        found = evaluate(learned.policy, learned.normalizer, stream(seed, "evaluation"))
        if found.returns.mean() >= REACHED * scale:
            return steps
    return None


def from_data(source: str) -> None:
    """Prints a line a scale: what Gymnasium says of a run on the set with its rewards scaled, seed 0."""
    found = reading.read(source)
    for scale in SCALES:
        with tempfile.TemporaryDirectory() as folder:
            place, run = pathlib.Path(folder) / "scaled.npz", pathlib.Path(folder) / "run"
            writing.write(dataclasses.replace(found, rewards=found.rewards * np.float32(scale)), str(place))
            for args in (
                ["train.main", "--data", place, "--env", "cartpole", "--num_evals", "1", "--run_dir", run],
                ["train.transfer", "--run", run],
            ):
                done = subprocess.run(
                    [sys.executable, "-m", *map(str, args)], capture_output=True, text=True, check=True
                )
        print(f"rewards x {scale:g}: {done.stdout.strip().splitlines()[0]}", flush=True)


def main() -> None:
    """Prints a line a scale."""
    units = sys.argv[1] if len(sys.argv) > 1 else "returns"
    if units not in ("returns", "horizon"):
        return from_data(units)
    start_jax()
    for scale in SCALES:
        found = [steps_to_reach(scale, seed, units) for seed in range(SEEDS)]
        shown = ", ".join(f"{steps:,}" if steps else f"not in {MOST:,}" for steps in found)
        print(f"rewards x {scale:g}, values in units of the {units}: {shown}", flush=True)


if __name__ == "__main__":
    main()
