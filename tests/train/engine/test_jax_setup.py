"""How JAX is set up: threads, devices, memory, and products in full float32."""

import dataclasses
import os
import re

import jax
import jax.numpy as jnp
import pytest

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.envs import registry
from awr_mjx.envs.base import Env
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import container, jax_setup, surroundings
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.loop import Loop


class Environment(dict[str, str]):
    """Stands for `os.environ`, so that nothing of this process changes."""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    found = Environment()
    monkeypatch.setattr(os, "environ", found)
    monkeypatch.setattr(surroundings, "was_used", lambda: False)
    return found


@pytest.mark.parametrize(
    ("cores", "devices", "lapack", "given", "threads"),
    [
        (2, 1, True, {}, "1"),
        (2, 1, False, {}, None),
        (64, 1, True, {}, None),
        (64, 8, True, {}, None),
        (64, 9, True, {}, "1"),  # fewer than 8 threads for each device
        (64, 64, True, {}, "1"),
        (64, 64, False, {}, None),
        (64, 1, True, {"XLA_FLAGS": "--xla_force_host_platform_device_count=16"}, "1"),
        (2, 1, True, {"PJRT_NPROC": "4"}, "4"),
    ],
)
def test_one_thread_where_few_could_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
    environment: Environment,
    cores: int,
    devices: int,
    lapack: bool,
    given: dict[str, str],
    threads: str | None,
) -> None:
    environment.update(given)
    monkeypatch.setattr(jax_setup, "cores", lambda: cores)
    jax_setup.start_jax(lapack, devices)
    assert environment.get("PJRT_NPROC") == threads


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    for limit, found in ((None, 64), (2, 2), (100, 64)):
        monkeypatch.setattr(container, "cores", lambda limit=limit: limit)
        assert jax_setup.cores() == found


@pytest.mark.parametrize(
    ("num_envs", "batch_size", "there", "devices"),
    [
        (2048, 4096, 2, 2),
        (2048, 4096, 64, 64),
        (64, 256, 64, 2),  # 32 environments each, not one
        (1024, 256, 64, 4),  # 64 rows of a minibatch each, not four
        (96, 4096, 4, 2),  # 4096 is no multiple of 3
        (16, 64, 16, 1),
        (1, 1, 16, 1),
    ],
)
def test_every_device_has_a_least_share(num_envs: int, batch_size: int, there: int, devices: int) -> None:
    assert jax_setup.fitting_devices(num_envs, batch_size, there) == devices


def test_devices_are_as_many_as_asked_for_or_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "device_count", lambda: 16)
    small = TrainConfig(num_envs=32, awr=AwrConfig(batch_size=32))
    assert jax_setup.choose_devices(small).devices == 1
    assert jax_setup.choose_devices(dataclasses.replace(small, devices=16)).devices == 16
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    with pytest.raises(UserError, match="devices is 2, but there is 1: lower it"):
        jax_setup.choose_devices(dataclasses.replace(small, devices=2))
    with pytest.raises(UserError, match="was begun on 2 devices and needs 2, but there is 1: "):
        jax_setup.choose_devices(dataclasses.replace(small, devices=2), resumed=True)


@pytest.mark.parametrize("given", [None, "true"])
def test_an_accelerators_memory_is_reserved_by_trainings_alone(environment: Environment, given: str | None) -> None:
    """Else what is played beside a training finds nothing left, or leaves nothing to a training that starts."""
    if given:
        environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = given
    jax_setup.start_jax(reserve=True)
    assert environment.get("XLA_PYTHON_CLIENT_PREALLOCATE") == given
    jax_setup.start_jax()
    assert environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == (given or "false")


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
