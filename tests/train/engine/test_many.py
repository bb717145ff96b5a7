"""Many trainings in one program: each is as it is alone, on one device and on two."""

import functools

import jax
import numpy as np
import pytest

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.envs.base import Env
from awr_mjx.train.engine.loop import Loop, TrainState
from awr_mjx.train.engine.many import Many
from tests.devices import two_devices
from tests.tasks import Broken, Chain, leaves_of

SEEDS = (3, 0, 8, 5)
SMALL = AwrConfig(
    rollout_steps=2, buffer_blocks=4, policy_hidden=(8,), value_hidden=(8,), batch_size=32, policy_updates=2,
    value_updates=3, learn_std=True, target_kl=0.01,
)  # fmt: skip
MONTE_CARLO = AwrConfig(
    rollout_steps=4, buffer_blocks=4, policy_hidden=(8,), value_hidden=(8,), batch_size=32, policy_updates=2,
    value_updates=3, returns="monte_carlo", episodes="newest",
)  # fmt: skip
CLOSE = 1e-5


def as_alone(loop: Loop, states: list[TrainState], metrics: dict[str, np.ndarray], epochs: int) -> None:
    """After `epochs` each of the `states` is what `loop` gives for its seed, and so are the newest `metrics`."""
    for i, (seed, state) in enumerate(zip(SEEDS, states, strict=True)):
        alone = loop.init(seed)
        for _ in range(epochs):
            alone, told = loop.epoch(alone)
        found, wanted = leaves_of(state), leaves_of(alone)
        assert found.keys() == wanted.keys() and len(found) > 40
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value, CLOSE, CLOSE, err_msg=name)
        for name, value in told.items():
            np.testing.assert_allclose(metrics[name][i], value, CLOSE, CLOSE, err_msg=name)


@functools.cache
def chains() -> Many:
    return Many(Loop(Chain(64, "never", episode_length=3), SMALL, 64, epoch_iterations=3), len(SEEDS))


@pytest.mark.parametrize(
    ("env", "config"), [(Chain(discrete=True), MONTE_CARLO), (Broken(steps=0.1, resets=0.1), SMALL)]
)
def test_each_is_as_it_is_alone(env: Env, config: AwrConfig) -> None:
    """Over 6 iterations of two epochs, in which the ring wraps around and the pool of resets is re-drawn."""
    loop = Loop(env, config, 64, epoch_iterations=3)
    many = Many(loop, len(SEEDS))
    state = many.init(SEEDS)
    epoch, _ = many.compile()
    for _ in range(2):
        state, metrics = epoch(state)
    told = {name: np.asarray(value) for name, value in metrics.items()}
    as_alone(loop, [many.training(state, i) for i in range(len(SEEDS))], told, 2)


def test_they_are_not_the_same() -> None:
    state = chains().init(SEEDS)
    one, other = (leaves_of(chains().training(state, i).learner.policy) for i in range(2))
    assert any(not np.array_equal(x, other[name]) for name, x in one.items())


def test_taken_apart_and_put_together_it_is_the_same() -> None:
    many, state = chains(), chains().init(SEEDS)
    again = many.together([many.training(state, i) for i in range(len(SEEDS))])
    assert str(jax.tree.structure(again)) == str(jax.tree.structure(many.template()))
    for name, x in leaves_of(state).items():
        np.testing.assert_array_equal(x, leaves_of(again)[name], err_msg=name)
    for x, want in zip(jax.tree.leaves(again), jax.tree.leaves(many.template()), strict=True):
        assert x.sharding.is_equivalent_to(want.sharding, x.ndim) and x.shape == want.shape
    learned = many.training(state, 1, whole=False)
    assert learned.ring is None and learned.env is None and int(learned.counts.env_steps) == 0


TWO = """
from tests.train.engine.test_many import *
loop = Loop(Chain(64, "never", episode_length=3), SMALL, 64, epoch_iterations=3)
many = Many(loop, len(SEEDS), devices=2)
state, metrics = many.compile()[0](many.init(SEEDS))
assert len(state.learner.env_steps.sharding.device_set) == 2
apart = [many.training(state, i) for i in range(len(SEEDS))]
as_alone(loop, apart, {name: np.asarray(value) for name, value in metrics.items()}, 1)
print(json.dumps({"devices": [sorted({d.id for leaf in jax.tree.leaves(x) for d in leaf.devices()}) for x in apart]}))
"""


def test_two_devices_share_them_out() -> None:
    assert two_devices(TWO) == {"devices": [[0], [0], [1], [1]]}
