"""What Gymnasium's MuJoCo locomotion tasks have in common, on MJX; the tasks are in `awr_mjx.envs.gym.locomotion`."""

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import mujoco

from awr_mjx.envs.base import State, Twin
from awr_mjx.envs.gym.exact import Exact
from awr_mjx.envs.physics import integrators, models, names, randomize
from awr_mjx.envs.physics.integrators import Physics
from awr_mjx.envs.physics.mjx_task import MjxTask, mjx

PhysicsName = Literal["fast", "exact", "paper"]


class GymTask(MjxTask):
    """A task that rewards moving along +x, being healthy, and small controls.

    Reward: `forward_weight` * velocity along x (m/s, over the control step) + `healthy_reward` if healthy
    - `control_weight` * sum of squared controls - contact cost (Ant and Humanoid with `full_obs`: see there).
    The episode ends where the task is not healthy.

    Actions are in [-1, 1], clipped; the control is `ctrl_limit` times that, in Gymnasium's units. Gymnasium charges for
    the action before it is clipped, which for actions inside the range is the same.

    `physics` is a way of `awr_mjx.envs.physics.models`: "fast" and "exact" follow Gymnasium v5's rules, "paper" those
    of v2, which the AWR paper used: there the healthy reward is paid in the step of a failure too and contact forces
    are 0.
    """

    asset: ClassVar[str]
    exact_frame_skip: ClassVar[int]
    fast: ClassVar[models.Fast]
    total_mass: ClassVar[float | None] = None  # kg, where the task's model fixes it
    gymnasium_solver: ClassVar[tuple[mujoco.mjtSolver, int] | None] = None  # and iterations, where MJX has it not
    paper_friction: ClassVar[dict[str, float]] = {}  # of geoms, where Gymnasium has changed it since v2

    episode_length = 1000
    floor_directions = 1  # velocities along the floor: 1 in the plane, 2 in space
    ctrl_limit = 1.0
    forward_weight = 1.0
    healthy_reward = 1.0
    control_weight = 1e-3
    reset_noise = 5e-3

    def __init__(
        self, physics: PhysicsName = "fast", full_obs: bool = False, randomize: bool = False, impl: str = "jax"
    ) -> None:
        """Builds the task.

        `full_obs` adds the bulky observations that Gymnasium has for it, if any; `randomize` gives every episode its
        own masses, friction, gains and pushes (`awr_mjx.envs.physics.randomize`); `impl` is MJX's backend, jax or warp.
        """
        exact = models.exact(self.asset)
        if physics == "exact":
            model = exact
        elif physics == "fast":
            model = models.fast(self.asset, self.fast)
        else:
            model = models.paper(self.asset, self.total_mass, self.paper_friction)
        self.v2, self.full_obs, self.randomize = physics == "paper", full_obs, randomize
        self._approximate = physics == "fast"
        control_step = float(exact.opt.timestep) * self.exact_frame_skip
        frame_skip = round(control_step / float(model.opt.timestep))
        midpoint = integrators.midpoint if self._approximate and self.fast.midpoint else None
        super().__init__(model, frame_skip, impl, midpoint, on_floor=self._approximate)
        self._qpos0 = jnp.asarray(model.qpos0, jnp.float32)
        self.observation_size = jax.eval_shape(self.reset, jax.random.key(0)).obs.shape[0]

    def reset(self, key: jax.Array) -> State:
        """Returns a start state: the model's pose and rest, with the task's noise drawn with `key`."""
        key, key_fields, key_gains, key_pushes = jax.random.split(key, 4)
        qpos, qvel = self.draw_start(key)
        seen = self.observe_start(qpos, qvel)
        info: dict[str, Any] = {"x": self.forward_position(qpos, seen)}
        if self.randomize:
            info["fields"] = randomize.draw(self._model, key_fields)
            info["gains"] = randomize.draw_gains(self.action_size, key_gains)
            info["pushes"] = key_pushes
        zero = jnp.zeros((), jnp.float32)
        metrics = dict.fromkeys(("reward_forward", "reward_healthy", "reward_control", "reward_contact"), zero)
        physics = self.init_physics(qpos, qvel)
        return State(physics, self.observe(qpos, qvel, seen), zero, zero, metrics, info)

    def step(self, state: State, action: jax.Array) -> State:
        """Returns the state after one control step of `dt` seconds with `action` float32 [A], clipped to [-1, 1]."""
        ctrl = self.control(action)
        before, info = state.data, state.info
        if self.randomize:
            pushes, key = jax.random.split(info["pushes"])
            before = before.replace(qvel=randomize.push(before.qvel, self.floor_directions, key))
            physics, seen = self.step_physics(before, info["gains"] * ctrl, info["fields"])
            info = info | {"pushes": pushes}
        else:
            physics, seen = self.step_physics(before, ctrl)
        return self.arrived(info, ctrl, physics, seen)

    def control(self, action: jax.Array) -> jax.Array:
        """Returns the control float32 [A] of `action` [A], in Gymnasium's units."""
        return self.ctrl_limit * jnp.clip(action.astype(jnp.float32), -1.0, 1.0)

    def arrived(self, info: dict[str, Any], ctrl: jax.Array, physics: Physics, seen: dict[str, jax.Array]) -> State:
        """Returns the state where `physics` is, what the step showed is `seen` [...], and `info` is that of before.

        `ctrl` float32 [A] is what has been charged for.
        """
        qpos, qvel = physics.qpos, physics.qvel
        x = self.forward_position(qpos, seen)
        healthy = self.is_healthy(qpos, qvel)
        paid = jnp.float32(1.0) if self.v2 else healthy.astype(jnp.float32)
        metrics = {
            "reward_forward": self.forward_weight * (x - info["x"]) / self.dt,
            "reward_healthy": self.healthy_reward * paid,
            "reward_control": -self.control_weight * jnp.sum(jnp.square(ctrl)),
            "reward_contact": -self.contact_cost(seen),
        }
        done = 1.0 - healthy.astype(jnp.float32)
        info = info | {"x": x}
        return State(physics, self.observe(qpos, qvel, seen), sum(metrics.values()), done, metrics, info)

    @property
    def observation_names(self) -> list[str]:
        """Names of the O observations: positions but those along the floor, velocities, and numbers for `full_obs`."""
        model = self.mj_model
        known = names.positions(model)[self.floor_directions :] + names.velocities(model)
        return known + [f"full_obs_{i}" for i in range(self.observation_size - len(known))]

    @property
    def gymnasium(self) -> Twin | None:
        """The Gymnasium v5 environment of the same rules and observations; none for the paper's physics and rules."""
        if self.v2:
            return None
        return Twin(f"{type(self).__name__}-v5", self.gymnasium_options(), self.ctrl_limit)

    def exact(self, count: int, threads: int) -> Exact | None:
        """Returns `count` robots of this task as Gymnasium has them, which `threads` cores step; None if these are."""
        return Exact(self, count, threads) if self._approximate else None

    # What a task may have of its own.

    def gymnasium_options(self) -> dict[str, Any]:
        """Returns what makes Gymnasium's environment observe and reward the same."""
        return {}

    def draw_start(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns start positions [nq] and velocities [nv]: the model's pose, both + U(-noise, noise)."""
        key_qpos, key_qvel = jax.random.split(key)
        noise, nv = self.reset_noise, self.mj_model.nv
        qpos = self._qpos0 + jax.random.uniform(key_qpos, self._qpos0.shape, jnp.float32, -noise, noise)
        return qpos, jax.random.uniform(key_qvel, (nv,), jnp.float32, -noise, noise)

    def is_healthy(self, qpos: jax.Array, qvel: jax.Array) -> jax.Array:
        """Returns bool []: the episode goes on."""
        raise NotImplementedError

    def observe(self, qpos: jax.Array, qvel: jax.Array, seen: dict[str, jax.Array]) -> jax.Array:
        """Returns the observation float32 [O] of positions [nq], velocities [nv] and what the physics step showed."""
        raise NotImplementedError

    def observe_in_c(self, model: mujoco.MjModel, data: mujoco.MjData) -> dict[str, Any]:
        """Returns the same of C MuJoCo's data, under v5."""
        return {}

    def observe_start(self, qpos: jax.Array, qvel: jax.Array) -> dict[str, jax.Array]:
        """Returns what `observe_data` would for a start state [nq], [nv], before any step; no forces act yet."""
        return {}

    def observe_data(self, model: mjx.Model, data: mjx.Data) -> dict[str, jax.Array]:
        """Returns what the task observes or rewards beyond positions and velocities, arrays [...] by name."""
        return {}

    def forward_position(self, qpos: jax.Array, seen: dict[str, jax.Array]) -> jax.Array:
        """Returns x (m) [], whose velocity the forward reward measures."""
        return seen.get("x", qpos[0])

    def contact_cost(self, seen: dict[str, jax.Array]) -> jax.Array:
        """Returns the cost float32 [] of contact forces."""
        return jnp.zeros((), jnp.float32)
