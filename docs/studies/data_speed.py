"""How fast logged data come to the device, how much room they take there, and how fast the policy learns from them.

python -m docs.studies.data_speed

One million steps of 11 observations and 3 actions in a thousand episodes, written as npz and as a Minari set (with the
`minari` extra) into a temporary folder.
"""

import dataclasses
import os
import pathlib
import tempfile
import time

import jax
import numpy as np

from awr_mjx.algorithm import static
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner
from awr_mjx.train.datasets import minari_format, packing, reading, writing
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.engine.jax_setup import start_jax

EPISODES, STEPS, OBS, ACTIONS = 1000, 1000, 11, 3
UPDATES = 4000


def made() -> DataSet:
    """Episodes of numbers by chance, all ended by a time limit; arrays as `DataSet` has them."""
    rng = np.random.default_rng(0)
    rows = EPISODES * STEPS
    return DataSet(
        observations=rng.standard_normal((rows + EPISODES, OBS), np.float32),
        actions=rng.uniform(-1, 1, (rows, ACTIONS)).astype(np.float32),
        rewards=rng.standard_normal(rows, np.float32),
        steps=np.full(EPISODES, STEPS),
        terminated=np.zeros(EPISODES, bool),
        truncated=np.ones(EPISODES, bool),
    )


def payload(found: DataSet) -> int:
    """Bytes of the set's own arrays."""
    per_step = found.rewards.nbytes + found.actions.nbytes + 2 * len(found.rewards)  # and two flags a step
    return found.observations.nbytes + per_step


def main() -> None:
    """Prints what it measures."""
    start_jax()
    jax.block_until_ready(jax.device_put(np.zeros(1)))
    found = made()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[minari_format.ROOT] = folder
        for out in (str(pathlib.Path(folder) / "set.npz"), "speed/set-v0"):
            place = writing.write(found, out)
            for _ in range(2):  # the second time the file is in the system's cache
                begun = time.perf_counter()
                ring = jax.device_put(packing.packed([reading.read(str(place))]))
                jax.block_until_ready(ring)
                print(f"{out.rpartition('/')[2]}: {time.perf_counter() - begun:.2f} s from the file to the device")
    held = sum(x.nbytes for x in jax.tree.leaves(ring))
    ratio = held / payload(found)
    print(f"on the device: {held / 1e6:.1f} MB, {ratio:.3f} times the payload; lanes {ring.rows.valid.shape}")
    config = AwrConfig(batch_size=256, policy_lr=1e-3, policy_updates=UPDATES)
    learner = Learner(config, OBS, ACTIONS, False, static.draw)
    state = learner.init(jax.random.key(0))
    weights = jax.numpy.where(ring.rows.valid, 1.0, 0.0)
    regress = jax.jit(learner.regress_policy)
    for key in jax.random.split(jax.random.key(1), 2):
        begun = time.perf_counter()
        state, _ = jax.block_until_ready(regress(state, ring, weights, key))
        seconds = time.perf_counter() - begun
    widths = "-".join(map(str, dataclasses.asdict(config)["policy_hidden"]))
    print(f"policy {widths}, minibatches of 256: {UPDATES / seconds:,.0f} steps/s")


if __name__ == "__main__":
    main()
