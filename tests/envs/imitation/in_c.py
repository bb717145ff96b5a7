"""The servos of imitation in C MuJoCo, written on their own: what ours is held against."""

import mujoco
import numpy as np

from envs.imitation.characters import BALL, Character


class ServoInC:
    """A robot with servos at the end of the step and their limits, in C MuJoCo with a converged solver."""

    def __init__(self, robot: Character, may_touch: tuple[int, ...], timestep: float) -> None:
        self.robot, self.model = robot, robot.model.__copy__()
        m = self.model
        m.opt.timestep, m.opt.iterations, m.opt.ls_iterations, m.opt.tolerance = timestep, 100, 50, 1e-10
        for geom in robot.geoms:
            m.geom_contype[geom] = int(m.geom_bodyid[geom] in may_touch)
        m.body_contype[list(may_touch)] = 1  # MuJoCo looks at bodies first
        self._armature, self.data = m.dof_armature.copy(), mujoco.MjData(m)
        self.limited = 0  # how often a servo was at its limit

    def error(self, target: np.ndarray) -> np.ndarray:
        m, qpos, found = self.model, self.data.qpos, np.zeros(self.model.nv)
        for joint in range(1, m.njnt):
            q, v = m.jnt_qposadr[joint], m.jnt_dofadr[joint]
            if m.jnt_type[joint] == BALL:
                mujoco.mju_subQuat(found[v : v + 3], target[q : q + 4], qpos[q : q + 4])
            else:
                found[v] = target[q] - qpos[q]
        return found

    def step(self, target: np.ndarray) -> None:
        m, data, robot, h = self.model, self.data, self.robot, self.model.opt.timestep
        m.dof_armature[:], data.qfrc_applied[:] = self._armature, 0
        mujoco.mj_fwdPosition(m, data)
        mujoco.mj_fwdVelocity(m, data)
        inertia = np.zeros((m.nv, m.nv))
        mujoco.mj_fullM(m, data, inertia)
        stiff = h * robot.kd + h * h * robot.kp
        pull = robot.kp * self.error(target) - (h * robot.kp + robot.kd) * data.qvel
        predicted = np.linalg.solve(inertia + np.diag(stiff), pull + data.qfrc_passive - data.qfrc_bias)
        torque = pull - stiff * predicted
        for joint in range(1, m.njnt):
            own = m.dof_jntid == joint
            norm = np.linalg.norm(torque[own])
            if norm > robot.torque_limit[joint]:
                pull[own], stiff[own] = torque[own] * robot.torque_limit[joint] / norm, 0.0
                self.limited += 1
        m.dof_armature[:], data.qfrc_applied[:] = self._armature + stiff, pull
        mujoco.mj_step(m, data)


def apart(robot: Character, a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square of the joints' angles (rad) between two poses [nq]."""
    m, found = robot.model, np.zeros(robot.model.nv)
    mujoco.mj_differentiatePos(m, found, 1.0, np.asarray(a, float), np.asarray(b, float))
    return float(np.sqrt(np.square(found[6:]).sum() / (m.njnt - 1)))
