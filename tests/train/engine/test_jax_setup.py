"""How JAX is set up: no threads that wait for each other in batched LAPACK, and products in full float32."""

import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from awr_mjx.config import AwrConfig
from envs import registry
from envs.base import Env
from train.engine.loop import Loop

START = """
import os
os.sched_getaffinity = lambda _: set(range({cores}))
from train.engine.jax_setup import start_jax
start_jax({lapack})
print(os.environ.get("PJRT_NPROC"))
"""


@pytest.mark.parametrize(
    ("cores", "lapack", "chosen", "threads"),
    [(2, True, None, "1"), (2, False, None, "None"), (64, True, None, "None"), (2, True, "4", "4")],
)
def test_one_thread_where_few_could_wait_for_each_other(
    cores: int, lapack: bool, chosen: str | None, threads: str
) -> None:
    env = {name: value for name, value in os.environ.items() if name != "PJRT_NPROC"}
    env |= {"PJRT_NPROC": chosen} if chosen else {}
    code = START.format(cores=cores, lapack=lapack)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.split() == [threads]


def programs(env: Env) -> str:
    """The text of a task's reset and step as XLA gets them."""
    key = jax.random.key(0)
    state = jax.eval_shape(env.reset, key)
    action = jnp.zeros((), int) if env.discrete else jnp.zeros(env.action_size)
    return jax.jit(env.reset).lower(key).as_text() + jax.jit(env.step).lower(state, action).as_text()


@pytest.mark.parametrize("name", ["ant", "halfcheetah", "hopper", "walker2d", "humanoid", "cartpole"])
def test_fast_physics_factorises_nothing_in_lapack(name: str) -> None:
    assert not registry.calls_lapack(name, registry.TaskOptions())
    assert "lapack" not in programs(registry.make(name))


def test_exact_physics_factorises_in_lapack() -> None:
    options = registry.TaskOptions(physics="exact")
    assert registry.calls_lapack("hopper", options)
    assert "lapack" in programs(registry.make("hopper", options))


def test_other_tasks_may_call_lapack() -> None:
    assert registry.calls_lapack("ant", registry.TaskOptions(impl="warp"))
    assert registry.calls_lapack("paper/ant", registry.TaskOptions())
    assert registry.calls_lapack("brax/ant", registry.TaskOptions())


@pytest.mark.parametrize("name", ["ant", "cartpole"])
def test_no_matrix_product_may_be_rounded_to_tf32(name: str) -> None:
    env = registry.make(name)
    config = AwrConfig(rollout_steps=1, buffer_blocks=1, batch_size=8, policy_updates=1, value_updates=1)
    loop = Loop(env, config, num_envs=8)
    text = loop.epoch.lower(loop.template()).as_text()
    products = re.findall(r"dot_general.*", text)
    assert products
    assert all("precision = [HIGHEST, HIGHEST]" in product for product in products)
