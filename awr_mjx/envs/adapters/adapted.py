"""Tasks of other packages behind our protocol: their physics and rewards, our vectorisation, resets and time limits."""

import operator
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from awr_mjx.envs.adapters.motors import unscaled_motor
from awr_mjx.envs.advance import strong
from awr_mjx.envs.base import BrokenTask, State
from awr_mjx.envs.checks import shapes
from awr_mjx.envs.physics import names

# What Brax's and Playground's wrappers leave in `info`.
WRAPPED = ("truncation", "first_obs", "first_state", "first_data", "first_pipeline_state")


class Adapted:
    """An environment object of Brax or MuJoCo Playground, or one that looks like it, as a task.

        registry.register("mine", lambda: Adapted(MyBraxEnv(), episode_length=500))

    Its `reset(rng)` and `step(state, action)` must not reset by themselves: pass the bare environment, without
    wrappers. Actions are clipped to [-1, 1] before it sees them. Its `metrics` are logged like a task's own.

    Attributes:
      inner: the environment itself.
    """

    discrete = False

    def __init__(
        self,
        inner: Any,
        episode_length: int = 1000,
        obs_key: str | tuple[str, ...] = "state",
        action_repeat: int = 1,
        action_range: tuple[float, float] | None = None,
    ) -> None:
        """`inner` has `reset`, `step`, `action_size` and `dt` (seconds).

        Args:
          inner: the environment.
          episode_length: time limit in control steps of ours.
          obs_key: where observations are a dict, the one to use; several are joined.
          action_repeat: steps of `inner` in one control step, whose rewards are added up.
          action_range: what `inner` takes, onto which actions are scaled. None is -1 to 1, as Brax's and Playground's
            own trainers have it; an environment that hands such actions to motors of another range is refused then.

        Raises:
          BrokenTask: if `inner` cannot be a task.
        """
        missing = [name for name in ("reset", "step", "action_size", "dt") if not hasattr(inner, name)]
        if missing:
            raise BrokenTask(f"broken task: {type(inner).__name__} has no {', '.join(missing)}")
        self.inner, self._keys = inner, (obs_key,) if isinstance(obs_key, str) else tuple(obs_key)
        self.action_size = _whole("action_size", inner.action_size)
        self.episode_length = _whole("episode_length", episode_length)
        self.action_repeat = _whole("action_repeat", action_repeat)
        try:
            self.dt = float(inner.dt) * self.action_repeat
            self._low, self._high = map(float, action_range or (-1.0, 1.0))
        except (TypeError, ValueError) as error:
            raise BrokenTask(f"broken task: dt and both ends of action_range must be numbers ({error})") from error
        model = getattr(inner, "mj_model", None) or getattr(getattr(inner, "sys", None), "mj_model", None)
        if model is not None:  # Playground has it, Brax keeps it in `sys`
            self.mj_model = model
            if self.mj_model.nu == self.action_size:
                self.action_names = names.actuators(self.mj_model)
        start = shapes("reset", lambda key: self.inner.reset(jax.random.key_data(key)), jax.random.key(0))
        self._check(start)
        self.observation_size = shapes("reset", self.reset, jax.random.key(0)).obs.shape[0]
        if model is not None and action_range is None and model.nu == self.action_size:
            motor = unscaled_motor(self.mj_model, inner.step, start)
            if motor:
                raise BrokenTask(
                    f"broken task: {type(inner).__name__} hands actions of -1 to 1 to its motors as they are, and "
                    f"{motor}: pass action_range, (-1, 1) to leave it so"
                )

    def reset(self, key: jax.Array) -> State:
        """Returns the first state of an episode drawn with `key`; `data` holds the environment's own state."""
        return self._translate(self.inner.reset(jax.random.key_data(key)))

    def step(self, state: State, action: jax.Array) -> State:
        """Returns the state one control step later with `action` float32 [A], clipped to [-1, 1]."""
        action = jnp.clip(action, -1.0, 1.0)
        if (self._low, self._high) != (-1.0, 1.0):
            action = self._low + (self._high - self._low) * (action + 1.0) / 2.0
        if self.action_repeat == 1:
            return self._translate(self.inner.step(state.data, action))

        def once(before: State, _: None) -> tuple[State, None]:
            after = strong(self._translate(self.inner.step(before.data, action)))
            after = after.replace(reward=before.reward + after.reward)
            return jax.tree.map(lambda a, b: jnp.where(before.done > 0, a, b), before, after), None

        start = state.replace(reward=jnp.zeros((), jnp.float32), done=jnp.zeros((), jnp.float32))  # type: ignore[attr-defined]
        return jax.lax.scan(once, start, length=self.action_repeat)[0]

    def terms(self, state: State, action: jax.Array, after: State) -> dict[str, jax.Array]:
        """Returns the environment's own `metrics` of the step to `after`, float32 [] by name."""
        return dict(getattr(after.data, "metrics", None) or {})

    def positions(self, state: State) -> jax.Array:
        """Returns the MuJoCo model's positions [nq], for pictures."""
        inner = state.data
        data = inner.pipeline_state if hasattr(inner, "pipeline_state") else inner.data
        return data.qpos if hasattr(data, "qpos") else data.q

    def _translate(self, inner: Any) -> State:
        obs = inner.obs
        if isinstance(obs, Mapping):
            parts = [obs[key] for key in self._keys]
            obs = parts[0] if len(parts) == 1 else jnp.concatenate(parts)
        obs, reward, done = (jnp.asarray(x, jnp.float32) for x in (obs, inner.reward, inner.done))
        return State(inner, obs, reward, done)

    def _check(self, start: Any) -> None:
        """Looks at the shapes of a start state: is it a bare environment, and what of it is to be observed."""
        wrapped = [name for name in getattr(start, "info", {}) if str(name).endswith(WRAPPED)]
        if wrapped:
            raise BrokenTask(
                f"broken task: {type(self.inner).__name__} limits or resets episodes itself (its info has "
                f"{', '.join(wrapped)}): pass the bare environment, such as brax.envs.get_environment(...)"
            )
        obs = start.obs
        if isinstance(obs, Mapping):
            there = ", ".join(map(str, obs))
            unknown = [key for key in self._keys if key not in obs]
            if unknown:
                raise BrokenTask(
                    f"broken task: observations are a dict with {there}, without {', '.join(unknown)}: pass obs_key, a "
                    f"name or a tuple of names to join"
                )
            obs = {key: obs[key] for key in self._keys}
        for name, part in obs.items() if isinstance(obs, Mapping) else [("", obs)]:
            where = f"the observation {name}" if name else "the observation"
            if not hasattr(part, "shape"):
                inside = f" with {', '.join(map(str, part))}" if isinstance(part, Mapping) else ""
                raise BrokenTask(f"broken task: {where} is a {type(part).__name__}{inside}, not an array [O]")
            if len(part.shape) != 1 or part.shape[0] == 0:
                raise BrokenTask(f"broken task: {where} has the shape {list(part.shape)}, not [O] with O above 0")


def _whole(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise BrokenTask(f"broken task: {name} is {value!r}, not a whole number above 0")
    return number
