"""Kernels of small programs, of which one knows how many there must be, and those of what matters."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.envs import registry
from awr_mjx.train.benchmarks.launches import count
from awr_mjx.train.engine.loop import Loop


def test_loops_count_all_their_turns() -> None:
    """A product in each of 7 turns cannot be fused with what is around it."""

    def turns(number: int) -> int:
        def program(x: jax.Array) -> jax.Array:
            return jax.lax.fori_loop(0, number, lambda _, y: jnp.tanh(y @ y), x)

        return count(jax.jit(program).lower(jnp.ones((64, 64))).compile()).kernels

    assert turns(17) - turns(7) == 10 * (turns(8) - turns(7)) > 0


def test_a_loop_that_depends_on_its_data_is_told() -> None:
    def program(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda y: y.sum() < 100.0, lambda y: y @ y + 1.0, x)

    found = count(jax.jit(program).lower(jnp.ones((8, 8))).compile())
    assert found.loops == 1 and found.kernels >= 1
    assert count(jax.jit(lambda x: x + 1.0).lower(jnp.ones(8)).compile()).loops == 0


def control_step() -> int:
    """Of 64 hoppers: two steps of the physics."""
    env = registry.make("hopper")
    state = jax.eval_shape(jax.vmap(env.reset), jax.random.split(jax.random.key(0), 64))
    action = jax.ShapeDtypeStruct((64, env.action_size), jnp.float32)
    return count(jax.jit(jax.vmap(env.step)).lower(state, action).compile()).kernels


def gradient_step() -> float:
    """Of the policy: what ten more of them add to an iteration."""

    def kernels(updates: int) -> int:
        config = AwrConfig(policy_updates=updates, value_updates=1, batch_size=64, rollout_steps=2, buffer_blocks=2)
        loop = Loop(registry.make("cartpole"), config, 64)
        return count(loop.epoch.lower(loop.template()).compile()).kernels

    return (kernels(13) - kernels(3)) / 10


@pytest.mark.parametrize(("of", "most"), [(control_step, 720), (gradient_step, 70)])
def test_they_do_not_grow(of: Callable[[], float], most: int) -> None:
    """They were 692 and 66."""
    assert most / 2 < of() <= most
