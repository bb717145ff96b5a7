"""Environments of other packages that are not what they should be get one line; what they say of a step is kept."""

import importlib.util
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from flax import struct
from mujoco import mjx

from awr_mjx.envs import registry
from awr_mjx.envs.adapters.adapted import Adapted
from awr_mjx.envs.advance import terms
from awr_mjx.envs.base import BrokenTask
from awr_mjx.envs.checks import check_task

ZERO = jnp.float32(0.0)
needs_brax = pytest.mark.skipif(importlib.util.find_spec("brax") is None, reason="Brax is not installed")
needs_playground = pytest.mark.skipif(
    importlib.util.find_spec("mujoco_playground") is None, reason="Playground is not installed"
)


@struct.dataclass
class TheirState:
    """The fields of Brax's and Playground's states."""

    data: Any
    obs: Any
    reward: jax.Array
    done: jax.Array
    metrics: dict[str, Any]
    info: dict[str, Any]


class Theirs:
    """Moves by the action it gets, rewards that, and fails from 3 on; `obs` and `info` are what they are given as."""

    action_size, dt = 1, 0.1

    def __init__(self, obs: Any = None, info: dict[str, Any] | None = None) -> None:
        self._obs, self._info = obs, info or {}

    def reset(self, rng: jax.Array) -> TheirState:
        return self._state(jnp.zeros(1), ZERO)

    def step(self, state: TheirState, action: jax.Array) -> TheirState:
        return self._state(state.data + action, action[0])

    def _state(self, place: jax.Array, reward: jax.Array) -> TheirState:
        obs = place if self._obs is None else self._obs
        metrics = {"moved": reward, "place": place, "count": jnp.int32(2)}
        return TheirState(place, obs, reward, (place[0] >= 3).astype(jnp.float32), metrics, self._info)


class NoDt(Theirs):
    dt = property()


class OddDt(Theirs):
    dt = "fast"  # type: ignore[assignment]


class ManyActions(Theirs):
    action_size = (2, 3)  # type: ignore[assignment]


class Fails(Theirs):
    def reset(self, rng: jax.Array) -> TheirState:
        raise RuntimeError("no model\nfound")


BOTH = {"position": jnp.zeros(2), "velocity": jnp.ones(3)}


@pytest.mark.parametrize(
    ("inner", "options", "message"),
    [
        (Theirs(BOTH), {}, "observations are a dict with position, velocity, without state: pass obs_key"),
        (Theirs(BOTH), {"obs_key": ("position", "force")}, ".*velocity, without force: pass obs_key"),
        (Theirs({"state": BOTH}), {}, "the observation state is a dict with position, velocity, not an array"),
        (Theirs({"state": jnp.zeros((4, 4))}), {}, r"the observation state has the shape \[4, 4\], not \[O\]"),
        (Theirs(jnp.zeros(0)), {}, r"the observation has the shape \[0\], not \[O\] with O above 0"),
        (Theirs(ZERO), {}, r"the observation has the shape \[\], not \[O\]"),
        (Theirs(info={"name": "hill"}), {}, r"state.info\['name'\] is the str 'hill' after reset, no array"),
        (
            Theirs(info={"truncation": ZERO}),
            {},
            r".* resets episodes itself \(its info has truncation\): pass the bare",
        ),
        (Theirs(info={"Wrap_first_data": ZERO, "a": ZERO}), {}, r".*\(its info has Wrap_first_data\)"),
        (NoDt(), {}, "NoDt has no dt"),
        (OddDt(), {}, "dt and both ends of action_range must be numbers"),
        (object(), {}, "object has no reset, step, action_size, dt"),
        (ManyActions(), {}, r"action_size is \(2, 3\), not a whole number above 0"),
        (Fails(), {}, r"reset raises RuntimeError: no model found \(.*test_adapted.py:\d+\)"),
        (Theirs(), {"episode_length": 0}, "episode_length is 0, not a whole number above 0"),
        (Theirs(), {"episode_length": float("inf")}, "episode_length is inf, not a whole number above 0"),
        (Theirs(), {"action_repeat": 0.5}, "action_repeat is 0.5, not a whole number above 0"),
        (Theirs(), {"action_range": (1.0,)}, "dt and both ends of action_range must be numbers"),
    ],
)
def test_what_cannot_be_a_task_gets_one_line(inner: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BrokenTask, match="^broken task: " + message) as caught:
        Adapted(inner, **options)
    assert "\n" not in str(caught.value)


def test_several_observations_are_joined() -> None:
    env = Adapted(Theirs(BOTH), obs_key=("velocity", "position"))
    check_task(env)
    assert env.observation_size == 5
    assert env.reset(jax.random.key(0)).obs.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_numbers_of_other_libraries_become_pythons() -> None:
    inner = Theirs()
    inner.action_size, inner.dt = np.int64(1), jnp.float32(0.25)  # type: ignore[assignment]
    env = Adapted(inner, episode_length=np.int32(7))  # type: ignore[arg-type]
    check_task(env)
    assert (type(env.action_size), type(env.episode_length), type(env.dt)) == (int, int, float)


def test_metrics_are_told() -> None:
    env = Adapted(Theirs())
    before = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 2))
    action = jnp.array([[0.5], [-0.5]])
    found = terms(env, before, action, jax.vmap(env.step)(before, action))
    assert {name: x.tolist() for name, x in found.items()} == {"moved": [0.5, -0.5], "count": [2.0, 2.0]}
    assert before.metrics == {}  # a saved run of before has none there


def test_an_action_can_be_repeated() -> None:
    env = Adapted(Theirs(), action_repeat=2)
    check_task(env)
    assert env.dt == 0.2
    step = jax.jit(env.step)
    state = step(env.reset(jax.random.key(0)), jnp.array([0.75]))
    assert (float(state.obs[0]), float(state.reward), float(state.done)) == (1.5, 1.5, 0.0)
    state = step(state, jnp.array([0.75]))
    assert (float(state.obs[0]), float(state.reward), float(state.done)) == (3.0, 1.5, 1.0)
    state = step(env.reset(jax.random.key(0)), jnp.array([9.0]))
    state = step(state, jnp.array([1.0]))  # fails at the first of the two, and stays there
    assert (float(state.obs[0]), float(state.reward), float(state.done)) == (3.0, 1.0, 1.0)


def test_actions_are_scaled_onto_a_range() -> None:
    env = Adapted(Theirs(), action_range=(-1.0, 3.0))
    start = env.reset(jax.random.key(0))
    assert [float(env.step(start, jnp.array([a])).reward) for a in (-2.0, -1.0, 0.0, 1.0)] == [-1.0, -1.0, 1.0, 3.0]


class Slider:
    """A mass on a rail whose motor takes -2 to 3; `scale` is what the environment makes of an action."""

    dt, action_size = 0.02, 1

    def __init__(self, scale: float) -> None:
        self.mj_model = mujoco.MjModel.from_xml_string("""
          <mujoco><worldbody><body><joint name="rail" type="slide"/><geom size="0.1"/></body></worldbody>
          <actuator><motor name="push" joint="rail" ctrlrange="-2 3" ctrllimited="true"/></actuator></mujoco>""")
        self._model, self._scale = mjx.put_model(self.mj_model), scale

    def reset(self, rng: jax.Array) -> TheirState:
        return self._state(mjx.make_data(self._model))

    def step(self, state: TheirState, action: jax.Array) -> TheirState:
        return self._state(mjx.step(self._model, state.data.replace(ctrl=self._scale * action)))

    def _state(self, data: Any) -> TheirState:
        return TheirState(data, jnp.concatenate([data.qpos, data.qvel]), ZERO, ZERO, {}, {})


def test_a_motor_of_another_range_is_not_given_1_without_a_word() -> None:
    with pytest.raises(BrokenTask, match=r"motors as they are, and push takes -2 to 3: pass action_range"):
        Adapted(Slider(scale=1.0))
    Adapted(Slider(scale=2.0))  # it scales by itself
    env = Adapted(Slider(scale=1.0), action_range=(-2.0, 3.0))
    after = jax.jit(lambda key: env.step(env.reset(key), jnp.array([1.0])))(jax.random.key(0))
    assert float(after.data.data.ctrl[0]) == 3.0


@needs_brax
def test_brax_with_its_wrappers_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import brax.envs

        name = "inverted_pendulum"
        for auto_reset in (True, False):
            with pytest.raises(BrokenTask, match=r"info has .*truncation.*: pass the bare environment"):
                Adapted(brax.envs.create(name, backend="mjx", auto_reset=auto_reset))
        Adapted(brax.envs.get_environment(name, backend="mjx"))  # its motor takes -3 to 3; it scales by itself


@needs_playground
def test_playgrounds_action_repeat_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in two of its manipulation tasks; here a task that needs no download is given one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mujoco_playground import registry as theirs

        config = theirs.get_default_config("CartpoleBalance")
        config.action_repeat = 4
        monkeypatch.setattr(theirs, "get_default_config", lambda name: config)
        env: Any = registry.make("playground/CartpoleBalance")
    assert env.action_repeat == 4 and env.episode_length == 250
    assert env.dt == pytest.approx(4 * env.inner.dt)
    start = jax.eval_shape(env.reset, jax.random.key(0))
    assert {"reward/upright", "reward/centered"} <= set(env.terms(start, jnp.zeros(1), start))
