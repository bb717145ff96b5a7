"""Checkpoints of states that have arrays without elements."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.envs.base import State
from awr_mjx.train.engine.checkpointing import Checkpoints
from awr_mjx.train.engine.loop import Loop
from awr_mjx.train.engine.restoring import restore
from tests.tasks import Walk, leaves_of
from tests.trained import pendulum_run, python, refusal  # noqa: F401


class Hollow(Walk):
    """Its state has an array without elements, as Brax's and MJX's states do."""

    def reset(self, key: jax.Array) -> State:
        state = super().reset(key)
        return dataclasses.replace(state, data=state.data | {"nothing": jnp.zeros((0, 3))})


def test_a_state_with_empty_arrays_is_saved_and_restored(tmp_path: pathlib.Path) -> None:
    loop = Loop(Hollow(), AwrConfig(batch_size=8), 4)
    state = loop.init(0)
    saves = Checkpoints(tmp_path, keep=1, with_ring=True)
    assert saves.save(state, 32) is None and saves.wait() is None
    saves.close()
    step, restored, warnings = restore(tmp_path, jax.eval_shape(lambda: state))
    want, got = leaves_of(state), leaves_of(restored)
    assert step == 32 and not warnings and any(leaf.size == 0 for leaf in want.values())
    assert want.keys() == got.keys()
    for name, leaf in want.items():
        np.testing.assert_array_equal(got[name], leaf, err_msg=name)
