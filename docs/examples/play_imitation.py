"""Plays an exported policy of an imitate/ task in C MuJoCo, with MuJoCo, NumPy and onnxruntime alone.

    python play_imitation.py policy.onnx 100

plays whole episodes of the most probable action, begun anywhere in the clips, and prints how long the robot stayed up
and how far its joints were from the clip's. The robot, its servos and the clips are in the file's metadata,
`deployment`. Copy this file to where it is needed.
"""

import argparse
import json
from typing import Any

import mujoco
import numpy as np
import onnxruntime

TIMESTEP = 1 / 480  # s, of C MuJoCo; a control step is a whole number of them
FREE = 6  # coordinates of the root


class Imitator:
    """A robot with servos that imitates clips; `data` is MuJoCo's, `episode_length` counts steps of `control_dt` s."""

    def __init__(self, metadata: dict[str, Any], timestep: float = TIMESTEP) -> None:
        """Takes a policy's metadata and the length of a step of C MuJoCo (s)."""
        told = metadata["deployment"]
        m = self.model = mujoco.MjModel.from_xml_string(told["mjcf"])
        self.data = mujoco.MjData(m)
        self.control_dt, self.episode_length = metadata["control_dt"], told["episode_length"]
        self._substeps = max(1, round(self.control_dt / timestep))
        m.opt.timestep = self.control_dt / self._substeps
        m.opt.iterations, m.opt.ls_iterations, m.opt.tolerance = 100, 50, 1e-10  # a converged solver
        self._kp, self._kd = np.array(told["kp"]), np.array(told["kd"])
        limits = [np.inf if limit is None else limit for limit in told["torque_limit"]]
        self._servos = [(np.flatnonzero(m.dof_jntid == joint), limits[joint]) for joint in range(1, m.njnt)]
        self._armature = m.dof_armature.copy()
        self.clips = [{name: np.array(table) for name, table in clip.items()} for clip in told["clips"]]
        self._rows = round(self.control_dt / told["timestep"])  # of a clip in a control step
        self._ahead = round(told["ahead"] / told["timestep"])
        self._absolute, self._scale = told["actions"] == "absolute", told["action_scale"]
        self._middle = np.array(told["middle"])
        self._ends = [m.body(name).id for name in told["ends"]]
        self._may_touch = [0, *(m.body(name).id for name in told["may_touch"])]

    def start_anywhere(self, rng: np.random.Generator) -> None:
        """Begins an episode as in training."""
        clip = self.clips[rng.integers(len(self.clips))]
        rows = len(clip["qpos"])
        self.start(clip, int(rng.integers(rows if clip["loop"] else max(rows - self._rows, 1))))

    def start(self, clip: dict[str, np.ndarray], row: int) -> None:
        """Begins an episode at a row of one of the clips, in its pose and at its speed."""
        mujoco.mj_resetData(self.model, self.data)
        self._clip, self._row = clip, row
        self._origin, self._angle = np.zeros(2), 0.0  # where the clip's origin is, and how far it is turned
        self.data.qpos[:], self.data.qvel[:] = clip["qpos"][row], clip["qvel"][row]
        self.data.qpos[2] += clip["lift"][row]  # so that nothing is below the floor
        mujoco.mj_fwdPosition(self.model, self.data)

    def observation(self) -> np.ndarray:
        """What the policy sees, float32 [O]."""
        qpos, qvel = self.data.qpos, self.data.qvel
        axes = self.data.xmat[self.model.jnt_bodyid[0]].reshape(3, 3)
        back = -np.arctan2(axes[1, 0], axes[0, 0])  # from the robot's heading to the world's x
        angle = 2 * np.pi * self._row / len(self._clip["qpos"])
        phase = [np.cos(angle), np.sin(angle)] if self._clip["loop"] else [angle / np.pi - 1, 0.0]
        apart = self._difference(self._wanted())
        ends = self.data.xpos[self._ends] - [qpos[0], qpos[1], 0.0]
        parts = [
            phase,
            qpos[2:3],
            axes[2],  # the world's vertical in the robot's axes
            _turned(back, qvel[:2]),
            qvel[2:],
            _turned(back, apart[:2]),
            apart[2:],
            self._difference(self._pose_ahead())[FREE:],
            np.column_stack([_turned(back, ends[:, :2]), ends[:, 2]]).reshape(-1),
        ]
        return np.concatenate(parts).astype(np.float32)

    def target(self, action: np.ndarray) -> np.ndarray:
        """The pose [nq] that the servos pull to after `action` [A]; the root's part means nothing."""
        pose = (self._middle if self._absolute else self._pose_ahead()).copy()
        change = np.append(np.zeros(FREE), self._scale * np.clip(action, -1.0, 1.0))
        mujoco.mj_integratePos(self.model, pose, change, 1.0)
        return pose

    def step(self, action: np.ndarray) -> tuple[float, bool]:
        """Makes a control step; returns the error of the joints (rad, root mean square) and whether the robot fell."""
        target = self.target(action)
        for _ in range(self._substeps):
            self._physics_step(target)
        over = self._advance()
        mujoco.mj_fwdPosition(self.model, self.data)
        error = np.sqrt(np.square(self._difference(self._wanted())[FREE:]).sum() / len(self._servos))
        touching = self.model.geom_bodyid[self.data.contact.geom[self.data.contact.dist < 0]]
        fallen = not np.isin(touching, self._may_touch).all()
        if over:  # a clip that is no loop: the robot is put where it begins, and goes on
            self.start(self._clip, 0)
        return float(error), fallen

    def _physics_step(self, target: np.ndarray) -> None:
        """One step of C MuJoCo, with servos whose torque kp (target - q) - kd q' is that at the end of the step.

        The part of it that depends on the acceleration adds h kd + h^2 kp to the inertia's diagonal: to the armature.
        A servo that would give more than it can gives that share of both; MuJoCo is asked until the shares are right.
        """
        m, data, h = self.model, self.data, self.model.opt.timestep
        stiff = h * self._kd + h * h * self._kp
        pull = self._kp * self._difference(target) - (h * self._kp + self._kd) * data.qvel
        share = np.ones(m.nv)
        for _ in range(100):
            m.dof_armature[:], data.qfrc_applied[:] = self._armature + share * stiff, share * pull
            mujoco.mj_forward(m, data)
            torque, assumed = pull - stiff * data.qacc, share.copy()
            for dofs, limit in self._servos:
                share[dofs] = min(1.0, limit / max(float(np.linalg.norm(torque[dofs])), 1e-9))
            if np.abs(share - assumed).max() < 1e-3:
                break
        mujoco.mj_step(m, data)

    def _advance(self) -> bool:
        """Moves on in the clip; returns whether one that is no loop is over."""
        self._row, rows = self._row + self._rows, len(self._clip["qpos"])
        if not self._clip["loop"]:
            self._row = min(self._row, rows - 1)
            return self._row + self._rows >= rows  # there is no next
        if self._row >= rows:  # the next cycle begins where the robot is, turned as far as a cycle turns
            self._row -= rows
            self._angle += self._clip["cycle"][2]
            self._origin = self.data.qpos[:2] - _turned(self._angle, self._clip["qpos"][self._row, :2])
        return False

    def _wanted(self) -> np.ndarray:
        """The pose [nq] that is imitated now."""
        pose = self._clip["qpos"][self._row].copy()
        pose[:2] = _turned(self._angle, pose[:2]) + self._origin
        turn = np.array([np.cos(self._angle / 2), 0.0, 0.0, np.sin(self._angle / 2)])
        mujoco.mju_mulQuat(pose[3:7], turn, pose[3:7].copy())
        return pose

    def _pose_ahead(self) -> np.ndarray:
        """The clip's pose [nq] a little later: servos lag behind their targets."""
        row, rows = self._row + self._ahead, len(self._clip["qpos"])
        return self._clip["qpos"][row % rows if self._clip["loop"] else min(row, rows - 1)]

    def _difference(self, pose: np.ndarray) -> np.ndarray:
        """From the robot's pose to another [nv] (m in world axes, rad in each joint's own)."""
        found = np.zeros(self.model.nv)
        mujoco.mj_differentiatePos(self.model, found, 1.0, self.data.qpos, pose)
        return found


def _turned(angle: float, xy: np.ndarray) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return xy @ np.array([[c, s], [-s, c]])


def read(path: str) -> tuple[Any, dict[str, Any]]:
    """The policy in a file, as a function of an observation [O] that gives an action [A], and its metadata."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    metadata = {name: json.loads(value) for name, value in session.get_modelmeta().custom_metadata_map.items()}
    return lambda obs: session.run(["action"], {"obs": obs[None]})[0][0], metadata


def main() -> None:
    """Plays episodes and prints how they went."""
    parser = argparse.ArgumentParser(description="Plays an exported policy of an imitate/ task in C MuJoCo.")
    parser.add_argument("policy", help="ONNX file")
    parser.add_argument("episodes", type=int)
    chosen = parser.parse_args()
    if chosen.episodes < 1:
        parser.error("episodes must be 1 or more")
    try:
        act, metadata = read(chosen.policy)
    except Exception as problem:  # whatever onnxruntime makes of a file that is something else
        words = " ".join(str(problem).split())
        parser.error(
            f"{chosen.policy} cannot be read: it must be ONNX, as of awr-mjx export --out policy.onnx; {words}"
        )
    if "deployment" not in metadata:
        parser.error(f"{chosen.policy} has no robot and no clips to play it with: it is of no imitate/ task")
    robot, rng = Imitator(metadata), np.random.default_rng(0)
    lengths, errors = [0] * chosen.episodes, []
    for episode in range(chosen.episodes):
        robot.start_anywhere(rng)
        fallen = False
        while lengths[episode] < robot.episode_length and not fallen:
            error, fallen = robot.step(act(robot.observation()))
            lengths[episode] += 1
            errors.append(error)
    seconds, whole = np.mean(lengths) * robot.control_dt, np.mean(np.array(lengths) == robot.episode_length)
    print(f"{metadata['task']}: {chosen.episodes} episodes of {seconds:.2f} s on average, {whole:.0%} whole")
    print(f"joint error {np.mean(errors):.3f} rad")


if __name__ == "__main__":
    main()
