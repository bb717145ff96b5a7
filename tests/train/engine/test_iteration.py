"""One iteration on two devices: what each does by itself, what all have in common, and which data go where."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.algorithm import replay
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner, LearnerState
from awr_mjx.train.engine import loop as loop_module
from awr_mjx.train.engine.loop import LAYOUT, Loop, TrainState
from tests.devices import AXIS, on_devices
from tests.tasks import Walk, leaves_of

DEVICES, N = 2, 16
CONFIG = AwrConfig(
    rollout_steps=4, buffer_blocks=2, policy_hidden=(), value_hidden=(), batch_size=32, policy_updates=1,
    value_updates=1, learn_std=True,
)  # fmt: skip


class Watched(Learner):
    """Learns nothing; its metrics are the places that an update would draw and the live observations it was given."""

    def update(self, state: LearnerState, ring: replay.Ring, live_obs: Any, key: Any) -> Any:
        places = replay.draw(ring, key, 64)
        found = {"time": places.time, "env": places.env, "live": live_obs, "newest": self._newest(ring)}
        return state, found

    def _newest(self, ring: replay.Ring) -> Any:
        return ring.rows.obs[ring.head - 1]


@functools.cache
def run(iterations: int = 8) -> list[tuple[TrainState, dict[str, np.ndarray]]]:
    """States and metrics after each iteration, all with a leading axis [2] of devices."""
    assert loop_module.AXIS == AXIS
    loop = Loop(Walk(episode_length=2), CONFIG, N // DEVICES)  # what one device does
    loop.learner = Watched(CONFIG, 3, 1, discrete=False)
    key = jax.random.key(0)
    state = on_devices(lambda _: loop.first(key))(jnp.zeros(DEVICES))
    step, found = on_devices(loop.iteration), []
    for _ in range(iterations):
        state, metrics = step(state)
        found.append((state, {name: np.asarray(x) for name, x in metrics.items()}))
    return found


def test_each_device_draws_its_own_places() -> None:
    for _, metrics in run():
        for name in ("time", "env"):
            assert (metrics[name][0] != metrics[name][1]).mean() > 0.3, name


def test_each_device_has_environments_and_actions_of_its_own() -> None:
    for state, _ in (run()[0], run()[-1]):
        births = state.ring.rows.obs[:, : int(state.ring.filled[0]), :, 0]
        for leaf in (state.ring.rows.action[:, : int(state.ring.filled[0])], births, state.env.pool.obs[..., 0]):
            one, other = np.asarray(leaf)
            assert not np.isin(one, other).any()


def test_what_is_the_same_on_all_devices_stays_the_same() -> None:
    """The learner, the counters and the key of the next iteration: as the layout says, which takes the first's."""
    for state, _ in run():
        for part in ("learner", "counts", "key"):
            assert getattr(LAYOUT, part) == loop_module.SAME
            for name, x in leaves_of(getattr(state, part)).items():
                np.testing.assert_array_equal(x[0], x[1], err_msg=part + name)
    assert int(jax.tree.map(lambda x: x[0], run()[-1][0].counts).episodes) > 100


def test_no_two_iterations_draw_alike() -> None:
    drawn = {metrics["time"][0].tobytes() for _, metrics in run()}
    assert len(drawn) == len(run())
    actions = np.concatenate([np.asarray(state.ring.rows.action)[0].ravel() for state, _ in run()[1::2]])
    assert len(np.unique(actions)) == actions.size


def test_the_pool_of_resets_is_drawn_anew() -> None:
    """In each iteration at least a fifth of it, and always with starts that there were not before."""
    pools = [np.asarray(state.env.pool.obs)[..., 0] for state, _ in run()]
    for number, (before, after) in enumerate(itertools.pairwise(pools), start=1):
        changed = after != before
        assert changed.mean() > 0.2
        assert not np.isin(after[changed], pools[:number]).any()
        assert len(np.unique(after)) == after.size


def test_update_sees_the_newest_rows_and_the_observations_after_them() -> None:
    """The place after the newest row's is the live one, unless that row was a reset."""
    for state, metrics in run():
        np.testing.assert_array_equal(metrics["live"], state.env.env.obs)
        rows = jax.tree.map(np.asarray, state.ring.rows)
        newest = int(state.ring.head[0]) - 1
        np.testing.assert_array_equal(metrics["newest"], rows.obs[:, newest])
        valid = rows.valid[:, newest]
        births, steps = (metrics["live"][..., i] - rows.obs[:, newest, :, i] for i in (0, 1))
        assert (births[valid] == 0).all()
        assert (steps[valid] == 1).all()
        assert (metrics["live"][..., 1][~valid] == 0).all()  # a fresh start


def test_the_normaliser_sees_each_row_once() -> None:
    total = 0
    for state, _ in run():
        newest = (np.arange(4) + int(state.ring.head[0]) - 4) % 8
        total += int(np.asarray(state.ring.rows.valid)[:, newest].sum())
        assert int(state.learner.normalizer.count[0]) == total
