"""Tasks of other packages behind our protocol, with stand-ins for them; the real ones where they are installed."""

import dataclasses
import importlib.util
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from awr_mjx.envs import registry
from awr_mjx.envs.adapters.adapted import Adapted
from awr_mjx.envs.base import BrokenTask, Env, UnknownTask
from awr_mjx.envs.checks import check_task
from awr_mjx.envs.registry import TaskOptions
from awr_mjx.envs.vector import VectorEnv


@struct.dataclass
class TheirState:
    place: jax.Array
    obs: Any
    reward: jax.Array
    done: jax.Array


@dataclasses.dataclass
class Theirs:
    """Looks like an environment of Brax's: it moves by the action it gets, rewards that, and fails beyond 3."""

    as_dict: bool = False
    action_size: int = 1
    dt: float = 0.1

    def reset(self, rng: jax.Array) -> Any:
        assert rng.dtype == jnp.uint32 and rng.shape == (2,), "Brax wants raw keys"
        return self._state(jax.random.uniform(rng, (1,)), jnp.zeros(()))

    def step(self, state: Any, action: jax.Array) -> Any:
        return self._state(state.place + action, action[0])

    def _state(self, place: jax.Array, reward: jax.Array) -> Any:
        obs = {"state": place, "privileged_state": jnp.ones(7)} if self.as_dict else place
        return TheirState(place, obs, reward, (place[0] > 3).astype(jnp.float32))


@pytest.mark.parametrize("as_dict", [False, True])
def test_an_adapted_environment_speaks_the_protocol(as_dict: bool) -> None:
    env = Adapted(Theirs(as_dict), episode_length=5)
    assert isinstance(env, Env)
    assert (env.observation_size, env.action_size, env.episode_length, env.dt) == (1, 1, 5, 0.1)
    check_task(env)
    state = env.reset(jax.random.key(0))
    state = env.step(state, jnp.array([7.0]))  # clipped to 1 before it gets there
    assert float(state.reward) == 1.0 and float(state.done) == 0.0
    assert 1.0 <= float(state.obs[0]) <= 2.0


def test_an_adapted_environment_is_reset_and_limited_by_us() -> None:
    venv = VectorEnv(Adapted(Theirs(), episode_length=1000), 8)
    state = venv.init(jax.random.key(0))
    step = jax.jit(venv.step)
    terminated = 0
    for i in range(20):
        state, outcome = step(state, jnp.ones((8, 1)), jax.random.key(i))
        terminated += int(outcome.terminated.sum())
        assert np.abs(state.env.obs).max() <= 4.0
    assert terminated >= 24  # four steps to a failure and one to be reset: every environment fails 4 times in 20


def test_three_lines_register_a_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    registry.register("mine", lambda: Adapted(Theirs(), episode_length=7), "my own")
    assert registry.make("mine").episode_length == 7 and registry.source("mine") == "my own"


class NaNAtReset(Theirs):
    def reset(self, rng: jax.Array) -> Any:
        return self._state(jnp.full(1, jnp.nan), jnp.zeros(()))


def test_a_broken_environment_is_reported_before_training() -> None:
    with pytest.raises(BrokenTask, match="not finite"):
        check_task(Adapted(NaNAtReset()))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("hoper", {}, "did you mean 'hopper'"),
        ("paper/antt", {}, "did you mean 'paper/ant'"),
        ("cartpole", {"full_obs": True}, "has no option --env.full_obs (it has: none)"),
        ("paper/ant", {"physics": "exact"}, "has no option --env.physics"),
        ("ant", {"backend": "spring"}, "has no option --env.backend"),
    ],
)
def test_bad_names_and_options_get_one_line(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UnknownTask) as error:
        registry.make(name, TaskOptions(**options))
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "package"), [("brax/ant", "brax"), ("playground/CheetahRun", "mujoco_playground")])
def test_a_missing_package_names_its_extra(name: str, package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from awr_mjx.envs import registry\n"
        f"try: registry.make({name!r})\n"
        f"except registry.UnknownTask as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert f"pip install -e '.[{name.split('/', maxsplit=1)[0]}]' in the clone" in out and out.count("\n") == 1


@pytest.mark.skipif(importlib.util.find_spec("brax") is None, reason="Brax is not installed")
@pytest.mark.filterwarnings("ignore")
def test_brax_names_are_known_and_wrong_ones_are_not() -> None:
    env: Any = registry.make("brax/ant")
    assert env.observation_size == 27
    assert env.positions(env.reset(jax.random.key(0))).shape == (env.mj_model.nq,)  # it can be shown
    with pytest.raises(UnknownTask, match="did you mean 'brax/ant'"):
        registry.make("brax/antt")


@pytest.mark.skipif(importlib.util.find_spec("mujoco_playground") is None, reason="Playground is not installed")
@pytest.mark.filterwarnings("ignore")
def test_playground_names_are_known() -> None:
    env: Any = registry.make("playground/CartpoleBalance")
    assert env.action_size == 1
    assert env.positions(env.reset(jax.random.key(0))).shape == (env.mj_model.nq,)  # it can be shown


@pytest.mark.skipif(importlib.util.find_spec("warp") is None, reason="Warp is not installed")
@pytest.mark.filterwarnings("ignore")
def test_warp_steps_like_jax() -> None:
    envs = {impl: registry.make("hopper", TaskOptions(impl=impl)) for impl in ("jax", "warp")}
    start = jax.vmap(envs["jax"].reset)(jax.random.split(jax.random.key(0), 64))
    actions = jax.random.uniform(jax.random.key(1), (64, 3), minval=-1.0, maxval=1.0)
    after = {}
    for impl, env in envs.items():
        state, step = start, jax.jit(jax.vmap(env.step))
        for _ in range(10):
            state = step(state, actions)
        after[impl] = np.asarray(state.obs)
    error = np.abs(after["jax"] - after["warp"]).max(axis=1)
    assert np.median(error) < 1e-4 and np.quantile(error, 0.9) < 1e-2  # two float32 solvers, stopped early


def test_a_batch_that_is_too_large_for_a_task_is_refused() -> None:
    env = Adapted(Theirs())
    env.max_envs = 8  # type: ignore[attr-defined]
    VectorEnv(env, 8)
    with pytest.raises(BrokenTask, match="lower num_envs"):
        VectorEnv(env, 9)
