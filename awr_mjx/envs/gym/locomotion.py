"""Gymnasium's Ant, HalfCheetah, Hopper, Walker2d and Humanoid, rules v5 and v2; what they share is in `GymTask`.

Observations are positions (m, rad, unit quaternions) without those along the floor, then velocities (m/s, rad/s).
"""

from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from awr_mjx.envs.gym.gym_mujoco import GymTask
from awr_mjx.envs.physics.mjx_task import mjx
from awr_mjx.envs.physics.models import Fast


class Ant(GymTask):
    """Gymnasium's Ant: run along +x on four legs.

    Observation float32 [27]: height, quaternion and 8 joint angles, 14 velocities. `full_obs` adds the contact forces:
    [105] under v5 (13 bodies x 6, clipped to [-1, 1]), [111] under v2 (14 x 6, zeros as in the paper's MuJoCo).
    Action [8]: joint torques in units of 150 N m, in Gymnasium's order (legs 4, 1, 2, 3; hip before ankle).
    Healthy: all numbers finite and height of the torso in [0.2, 1.0] m.
    Contact cost, v5 with `full_obs` only: 5e-4 * sum of squared clipped contact forces.
    """

    asset = "ant.xml"
    exact_frame_skip = 5
    fast = Fast(
        timestep=0.01,
        # Not spheres at their ends: MuJoCo lays the friction pyramid along a capsule, and gaits depend on that.
        touching=("front_left_shin_geom", "front_right_shin_geom", "back_left_shin_geom", "back_right_shin_geom"),
        contacts=4,
        iterations=3,
        ls_iterations=4,
        time_constant=0.03,
    )
    floor_directions = 2
    control_weight = 0.5
    reset_noise = 0.1
    healthy_z = (0.2, 1.0)
    contact_weight = 5e-4

    def draw_start(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns positions [15] + U(-0.1, 0.1) and velocities [14] 0.1 N(0, 1)."""
        key_qpos, key_qvel = jax.random.split(key)
        noise = self.reset_noise
        qpos = self._qpos0 + jax.random.uniform(key_qpos, self._qpos0.shape, jnp.float32, -noise, noise)
        return qpos, noise * jax.random.normal(key_qvel, (self.mj_model.nv,), jnp.float32)

    def gymnasium_options(self) -> dict[str, Any]:
        """Returns options of Ant-v5 without contact forces, unless they are observed."""
        return {} if self.full_obs else {"include_cfrc_ext_in_observation": False, "contact_cost_weight": 0.0}

    def is_healthy(self, qpos: jax.Array, qvel: jax.Array) -> jax.Array:
        """Returns bool []: finite, and the height in its range."""
        low, high = self.healthy_z
        return jnp.isfinite(qpos).all() & jnp.isfinite(qvel).all() & (low <= qpos[2]) & (qpos[2] <= high)

    def observe(self, qpos: jax.Array, qvel: jax.Array, seen: dict[str, jax.Array]) -> jax.Array:
        """Returns float32 [27], [105] or [111]."""
        return jnp.concatenate([qpos[2:], qvel, *([seen["contact"]] if self.full_obs else [])])

    def observe_data(self, model: mjx.Model, data: mjx.Data) -> dict[str, jax.Array]:
        """Returns the torso's `x` [] and, with `full_obs`, the clipped `contact` forces [78] or [84]."""
        seen = {"x": data.xpos[1, 0]}
        if self.full_obs:
            seen["contact"] = jnp.zeros(84) if self.v2 else jnp.clip(contact_forces(model, data), -1.0, 1.0)
        return seen

    def observe_in_c(self, model: mujoco.MjModel, data: mujoco.MjData) -> dict[str, Any]:
        """Returns the same of C MuJoCo's data, under v5."""
        seen = {"x": data.xpos[1, 0]}
        return seen | ({"contact": np.clip(contact_forces_in_c(model, data), -1.0, 1.0)} if self.full_obs else {})

    def observe_start(self, qpos: jax.Array, qvel: jax.Array) -> dict[str, jax.Array]:
        """Returns the same for a start state [15], [14]: nothing touches yet."""
        bodies = 14 if self.v2 else 13
        return {"x": qpos[0]} | ({"contact": jnp.zeros(6 * bodies)} if self.full_obs else {})

    def contact_cost(self, seen: dict[str, jax.Array]) -> jax.Array:
        """Returns float32 []: 0 unless contact forces are observed."""
        if not self.full_obs:
            return super().contact_cost(seen)
        return self.contact_weight * jnp.sum(jnp.square(seen["contact"]))


class HalfCheetah(GymTask):
    """Gymnasium's HalfCheetah: run along +x in the plane. Never fails.

    Observation float32 [17]: height, pitch and 6 joint angles, 9 velocities. Action [6]: joint torques in units of 120,
    90, 60, 120, 60 and 30 N m.
    """

    asset = "halfcheetah.xml"
    exact_frame_skip = 5
    fast = Fast(
        timestep=0.01,
        touching=("torso", "head", "bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"),
        iterations=3,
        ls_iterations=6,
        implicit_damping=True,
    )
    total_mass = 14.0
    control_weight = 0.1
    healthy_reward = 0.0
    reset_noise = 0.1

    def draw_start(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns positions [9] + U(-0.1, 0.1) and velocities [9] 0.1 N(0, 1)."""
        key_qpos, key_qvel = jax.random.split(key)
        noise = self.reset_noise
        qpos = self._qpos0 + jax.random.uniform(key_qpos, self._qpos0.shape, jnp.float32, -noise, noise)
        return qpos, noise * jax.random.normal(key_qvel, (self.mj_model.nv,), jnp.float32)

    def is_healthy(self, qpos: jax.Array, qvel: jax.Array) -> jax.Array:
        """Returns bool []: always."""
        return jnp.asarray(True)

    def observe(self, qpos: jax.Array, qvel: jax.Array, seen: dict[str, jax.Array]) -> jax.Array:
        """Returns float32 [17]."""
        return jnp.concatenate([qpos[1:], qvel])


class Hopper(GymTask):
    """Gymnasium's Hopper: hop along +x on one leg in the plane.

    Observation float32 [11]: height, pitch and 3 joint angles, 6 velocities clipped to [-10, 10]. Action [3]: joint
    torques in units of 200 N m.
    Healthy: height > 0.7 m, |pitch| < 0.2 rad, all other numbers but the position within 100.
    """

    asset = "hopper.xml"
    exact_frame_skip = 4
    fast = Fast(timestep=0.004, touching=("foot_geom",), iterations=3, ls_iterations=6, midpoint=True)

    def is_healthy(self, qpos: jax.Array, qvel: jax.Array) -> jax.Array:
        """Returns bool []: upright, high enough, no number wild."""
        calm = (jnp.abs(jnp.concatenate([qpos[2:], qvel])) < 100.0).all()
        return calm & (qpos[1] > 0.7) & (jnp.abs(qpos[2]) < 0.2)

    def observe(self, qpos: jax.Array, qvel: jax.Array, seen: dict[str, jax.Array]) -> jax.Array:
        """Returns float32 [11]."""
        return jnp.concatenate([qpos[1:], jnp.clip(qvel, -10.0, 10.0)])


class Walker2d(GymTask):
    """Gymnasium's Walker2d: walk along +x on two legs in the plane.

    Observation float32 [17]: height, pitch and 6 joint angles, 9 velocities clipped to [-10, 10]. Action [6]: joint
    torques in units of 100 N m.
    Healthy: height in (0.8, 2.0) m, |pitch| < 1 rad.
    """

    asset = "walker2d.xml"
    exact_frame_skip = 4
    fast = Fast(
        timestep=0.004,
        touching=("foot_geom", "foot_left_geom"),
        iterations=3,
        ls_iterations=6,
        midpoint=True,
    )
    paper_friction = {"foot_geom": 0.9}  # noqa: RUF012

    def is_healthy(self, qpos: jax.Array, qvel: jax.Array) -> jax.Array:
        """Returns bool []: upright, and the height in its range."""
        return (0.8 < qpos[1]) & (qpos[1] < 2.0) & (jnp.abs(qpos[2]) < 1.0)

    def observe(self, qpos: jax.Array, qvel: jax.Array, seen: dict[str, jax.Array]) -> jax.Array:
        """Returns float32 [17]."""
        return jnp.concatenate([qpos[1:], jnp.clip(qvel, -10.0, 10.0)])


class Humanoid(GymTask):
    """Gymnasium's Humanoid: walk along +x on two legs.

    Observation float32 [45]: height, quaternion and 17 joint angles, 23 velocities. `full_obs` adds, as Gymnasium does,
    inertias and velocities of the bodies about the centre of mass, joint torques and contact forces: [348] under v5
    (13 bodies x (10 + 6 + 6), 17 torques). Under v2 there are always [376], with the world's body, all 23 torques, and
    contact forces that are 0.
    Action [17]: in units of 0.4 x the gears (25 to 300 N m).
    Forward is the centre of mass, at 1.25 a m/s. Healthy: height of the torso in (1, 2) m.
    Contact cost, v5 with `full_obs` only: 5e-7 * sum of squared contact forces, at most 10.
    """

    asset = "humanoid.xml"
    exact_frame_skip = 5
    fast = Fast(timestep=0.005, touching=("right_foot", "left_foot"))
    gymnasium_solver = (mujoco.mjtSolver.mjSOL_PGS, 50)
    floor_directions = 2
    ctrl_limit = 0.4
    forward_weight = 1.25
    healthy_reward = 5.0
    control_weight = 0.1
    reset_noise = 0.01
    contact_weight = 5e-7

    def gymnasium_options(self) -> dict[str, Any]:
        """Returns options of Humanoid-v5 without the bulky observations, unless they are observed."""
        bulky = ("cinert", "cvel", "qfrc_actuator", "cfrc_ext")
        off: dict[str, Any] = {f"include_{name}_in_observation": False for name in bulky}
        return {} if self.full_obs else off | {"contact_cost_weight": 0.0}

    def is_healthy(self, qpos: jax.Array, qvel: jax.Array) -> jax.Array:
        """Returns bool []: the height in its range."""
        return (1.0 < qpos[2]) & (qpos[2] < 2.0)

    def observe(self, qpos: jax.Array, qvel: jax.Array, seen: dict[str, jax.Array]) -> jax.Array:
        """Returns float32 [45], [348] or [376]."""
        parts = [qpos[2:], qvel]
        if self.full_obs or self.v2:
            parts += [seen[name] for name in ("inertia", "velocity", "torque", "contact")]
        return jnp.concatenate(parts)

    def observe_data(self, model: mjx.Model, data: mjx.Data) -> dict[str, jax.Array]:
        """Returns the centre of mass's `x` [] and, with `full_obs` or under v2, the bulky observations, flat [...]."""
        mass = model.body_mass
        seen = {"x": jnp.dot(mass, data.xipos[:, 0]) / jnp.sum(mass)}
        if not (self.full_obs or self.v2):
            return seen
        body, dof = (0, 0) if self.v2 else (1, 6)
        seen["inertia"] = data._impl.cinert[body:].reshape(-1)
        seen["velocity"] = data.cvel[body:].reshape(-1)
        seen["torque"] = data.qfrc_actuator[dof:]
        seen["contact"] = jnp.zeros(84) if self.v2 else contact_forces(model, data)
        return seen

    def observe_in_c(self, model: mujoco.MjModel, data: mujoco.MjData) -> dict[str, Any]:
        """Returns the same of C MuJoCo's data, under v5."""
        seen = {"x": model.body_mass @ data.xipos[:, 0] / model.body_mass.sum()}
        if not self.full_obs:
            return seen
        seen |= {"inertia": data.cinert[1:].ravel(), "velocity": data.cvel[1:].ravel()}
        return seen | {"torque": data.qfrc_actuator[6:].copy(), "contact": contact_forces_in_c(model, data)}

    def observe_start(self, qpos: jax.Array, qvel: jax.Array) -> dict[str, jax.Array]:
        """Returns the same for a start state [24], [23], where no forces act."""
        data = self._template.replace(qpos=qpos, qvel=qvel)
        data = mjx.com_vel(self._model, mjx.com_pos(self._model, mjx.kinematics(self._model, data)))
        return self.observe_data(self._model, data)

    def contact_cost(self, seen: dict[str, jax.Array]) -> jax.Array:
        """Returns float32 []: 0 unless contact forces are observed."""
        if not self.full_obs or self.v2:
            return super().contact_cost(seen)
        return jnp.minimum(self.contact_weight * jnp.sum(jnp.square(seen["contact"])), 10.0)


def contact_forces(model: mjx.Model, data: mjx.Data) -> jax.Array:
    """Returns forces and torques on every body but the world float32 [(nbody - 1) * 6] (N m, N): C's `cfrc_ext`."""
    return mjx.rne_postconstraint(model, data)._impl.cfrc_ext[1:].reshape(-1)


def contact_forces_in_c(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """Returns the same of C MuJoCo's data, float64 [(nbody - 1) * 6]."""
    mujoco.mj_rnePostConstraint(model, data)
    return data.cfrc_ext[1:].ravel()
