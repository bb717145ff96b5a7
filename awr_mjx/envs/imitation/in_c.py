"""Imitation in C MuJoCo, with a converged solver and steps as fine as one likes: does it hold there?"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from awr_mjx.envs import tables
from awr_mjx.envs.imitation.characters import BALL, Character
from awr_mjx.envs.imitation.task import Imitation
from awr_mjx.envs.physics.integrators import Physics

Drive = Literal["servo", "stable_pd"]
ROUNDS, NEAR = 100, 1e-3  # until servos give what was assumed, by the share of what they are asked for
CONVERGED = (100, 50, 1e-10)  # steps of the solver, of its line search, and the tolerance at which it stops


class InC:
    """A robot with servos in C MuJoCo.

    With "servo" they are those of training (`awr_mjx.envs.physics.servo`), at the end of the step; with "stable_pd"
    those of DeepMimic's simulation (Tan, Liu, Turk 2011), whose torques are found without contacts, cut, and then held.

    Attributes:
      data: MuJoCo's; set its `qpos` and `qvel` to begin.
      limited: how often a servo was at its limit so far.
    """

    def __init__(self, robot: Character, timestep: float, touching: tuple[int, ...], drive: Drive = "servo") -> None:
        """Takes steps of `timestep` s, and the bodies that meet the floor."""
        self._robot, self._drive, m = robot, drive, robot.model.__copy__()
        m.opt.timestep = timestep
        m.opt.iterations, m.opt.ls_iterations, m.opt.tolerance = CONVERGED
        for geom in robot.geoms:
            m.geom_contype[geom] = int(m.geom_bodyid[geom] in touching)
        m.body_contype[list(touching)] = 1  # MuJoCo looks at bodies first
        self._model, self._armature = m, m.dof_armature.copy()
        self.data, self.limited = mujoco.MjData(m), 0

    def step(self, target: np.ndarray) -> None:
        """Takes one step with the servos pulling to pose `target` [nq]."""
        m, data, robot, h = self._model, self.data, self._robot, self._model.opt.timestep
        pull = robot.kp * self._error(target) - (h * robot.kp + robot.kd) * data.qvel
        if self._drive == "servo":
            self._drive_servos(pull, h * robot.kd + h * h * robot.kp)
        else:
            stiff, inertia = h * robot.kd, np.zeros((m.nv, m.nv))
            mujoco.mj_fwdPosition(m, data)
            mujoco.mj_fwdVelocity(m, data)
            mujoco.mj_fullM(m, data, inertia)
            smooth = pull + data.qfrc_passive - data.qfrc_bias
            asked = pull - stiff * np.linalg.solve(inertia + np.diag(stiff), smooth)
            share = self._share(asked)
            data.qfrc_applied[:] = share * asked
            self.limited += self._count(share)
        mujoco.mj_step(m, data)

    def _drive_servos(self, pull: np.ndarray, stiff: np.ndarray) -> None:
        """Sets the servos' torques to those at the end of the step, as much of them as the servos can give.

        Of a torque pull - stiff a, `share` is given: that share of `stiff` is armature, and that of `pull` is applied.
        MuJoCo is asked for the acceleration a, which tells the shares, until they are what was assumed.
        """
        m, data, share = self._model, self.data, np.ones(self._model.nv)
        for _ in range(ROUNDS):
            m.dof_armature[:], data.qfrc_applied[:] = self._armature + share * stiff, share * pull
            mujoco.mj_forward(m, data)
            found = self._share(pull - stiff * data.qacc)
            if np.abs(found - share).max() < NEAR:
                break
            share = found
        self.limited += self._count(share)

    def _share(self, torque: np.ndarray) -> np.ndarray:
        """Which share of torques [nv] the servos can give [nv]; a ball's limit is that of its norm."""
        m, share = self._model, np.ones(self._model.nv)
        for joint in range(1, m.njnt):
            own = slice(m.jnt_dofadr[joint], m.jnt_dofadr[joint] + (3 if m.jnt_type[joint] == BALL else 1))
            share[own] = min(1.0, self._robot.torque_limit[joint] / max(float(np.linalg.norm(torque[own])), 1e-9))
        return share

    def _count(self, share: np.ndarray) -> int:
        return sum(share[self._model.jnt_dofadr[joint]] < 1 for joint in range(1, self._model.njnt))

    def _error(self, target: np.ndarray) -> np.ndarray:
        """From the joints to their targets [nv] (rad)."""
        m, qpos, found = self._model, self.data.qpos, np.zeros(self._model.nv)
        for joint in range(1, m.njnt):
            q, v = m.jnt_qposadr[joint], m.jnt_dofadr[joint]
            if m.jnt_type[joint] == BALL:
                mujoco.mju_subQuat(found[v : v + 3], target[q : q + 4], qpos[q : q + 4])
            else:
                found[v] = target[q] - qpos[q]
        return found


def play(
    task: Imitation,
    act: Callable[[jax.Array], jax.Array],
    keys: jax.Array,
    timestep: float,
    drive: Drive = "servo",
    tell: Callable[[int], None] = lambda step: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Plays episodes in C MuJoCo, where every body meets the floor.

    Args:
      task: the task.
      act: observations [E, O] -> actions [E, A].
      keys: of the episodes' starts, typed PRNG keys [E].
      timestep: of C MuJoCo (s); a control step is a whole number of them, rounded.
      drive: how the servos are simulated.
      tell: called with the number of control steps so far.

    Returns:
      Returns float64 [E] and lengths int [E] of the episodes, by the task's own reward and rule of what is a fall.
    """
    count, bodies = len(keys), tuple(range(1, task.mj_model.nbody))
    steps = max(1, round(task.dt / timestep))
    target, arrived = (tables.jit(jax.vmap(function), task) for function in (task.target, task.arrived))
    state = tables.jit(jax.vmap(task.reset), task)(keys)
    sims = [InC(task.robot, task.dt / steps, bodies, drive) for _ in range(count)]
    returns, lengths, alive = np.zeros(count), np.zeros(count, int), np.ones(count, bool)
    _place(sims, state.data.physics, np.ones(count, bool))
    for step in range(task.episode_length):
        poses = np.asarray(target(state, act(state.obs)), np.float64)
        for i in np.flatnonzero(alive):
            for _ in range(steps):
                sims[i].step(poses[i])
        physics = Physics(
            jnp.asarray(np.array([sim.data.qpos for sim in sims]), jnp.float32),
            jnp.asarray(np.array([sim.data.qvel for sim in sims]), jnp.float32),
            jnp.zeros((count, task.mj_model.nv)),
        )
        state = arrived(state, physics)
        # Where a clip that is no loop was over, the robot was put where it begins.
        _place(sims, state.data.physics, alive & (np.asarray(state.data.physics.qpos) != physics.qpos).any(axis=1))
        returns += alive * np.asarray(state.reward, np.float64)
        lengths += alive
        alive &= np.asarray(state.done) == 0
        tell(step + 1)
        if not alive.any():
            break
    return returns, lengths


def _place(sims: list[InC], physics: Physics, which: np.ndarray) -> None:
    for i in np.flatnonzero(which):
        sims[i].data.qpos[:], sims[i].data.qvel[:] = physics.qpos[i], physics.qvel[i]
