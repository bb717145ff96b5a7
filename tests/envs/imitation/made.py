"""A small robot whose every measure is known, its clips, and pickles put together by hand."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from awr_mjx.envs.imitation import mjcf
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.clips import Clip
from tests.reference import REFERENCE

# The soles are at height 0. The tails are 0.2 m apart; each ends, 0.3 m behind its joint, in a ball of radius 0.05 m.
ROBOT = """
<mujoco>
  <compiler angle="radian"/>
  <worldbody>
    <body name="trunk" pos="0 0 0.6">
      <freejoint name="root"/>
      <geom type="box" size="0.1 0.2 0.1" mass="5"/>
      <body name="left_leg" pos="0 0.15 -0.1">
        <joint name="left_hip" axis="0 1 0" range="-1 1"/>
        <geom type="capsule" fromto="0 0 -0.05 0 0 -0.3" size="0.04" mass="1"/>
        <body name="left_foot" pos="0 0 -0.4">
          <joint name="left_ankle" axis="0 1 0" range="-1 1"/>
          <geom type="box" size="0.08 0.04 0.02" pos="0 0 -0.08" mass="1"/>
        </body>
      </body>
      <body name="right_leg" pos="0 -0.15 -0.5">
        <geom type="box" size="0.08 0.04 0.02" pos="0 0 -0.08" mass="1"/>
      </body>
      <body name="left_tail" pos="-0.2 0.1 0.2">
        <joint name="left_tail" axis="0 0 1" range="-1 1"/>
        <geom type="sphere" pos="-0.3 0 0" size="0.05" mass="1"/>
      </body>
      <body name="right_tail" pos="-0.2 -0.1 0.2">
        <joint name="right_tail" axis="0 0 1" range="-1 1"/>
        <geom type="sphere" pos="-0.3 0 0" size="0.05" mass="1"/>
      </body>
      {neck}
    </body>
  </worldbody>
</mujoco>
"""
NECK = """
      <body name="head" pos="0 0 0.3">
        <joint name="neck" type="ball"/>
        <geom type="sphere" pos="0 0 0.2" size="0.1" mass="1"/>
      </body>
"""
HINGES = ("left_hip", "left_ankle", "left_tail", "right_tail")
G1 = pathlib.Path(os.environ.get("AWR_MJX_G1", "nowhere"))
needs_g1 = pytest.mark.skipif(
    not (G1.is_file() and (REFERENCE / "g1").is_dir()),
    reason="AWR_MJX_G1 names no MJCF of a Unitree G1, or its clips are not here",
)
needs_motions = pytest.mark.skipif(not (REFERENCE / "motions").is_dir(), reason="DeepMimic's clips are not here")


def robot_file(folder: pathlib.Path, neck: bool = True) -> pathlib.Path:
    """The MJCF of the robot, of hinges alone without its `neck`, a ball."""
    place = folder / "robot.xml"
    place.write_text(ROBOT.format(neck=NECK if neck else ""))
    return place


def robot(folder: pathlib.Path, neck: bool = True) -> Character:
    return mjcf.character(robot_file(folder, neck))


def still(of: Character, frames: int = 31, fps: float = 30.0, loop: bool = True) -> Clip:
    """A clip, of 1 s, of the robot that stands."""
    return Clip(fps, np.tile(of.model.qpos0, (frames, 1)), of.joint_names, loop)


def column(of: Character, joint: str) -> int:
    """Where in a pose a joint's numbers begin."""
    return int(of.model.joint(joint).qposadr[0])


def about(axis: Sequence[float] | np.ndarray, angle: float) -> np.ndarray:
    """The quaternion (w x y z) of a turn by `angle` (rad)."""
    return np.array([np.cos(angle / 2), *(np.sin(angle / 2) * np.array(axis))])


def pickled(values: Mapping[str, Any], version: int = 2) -> bytes:
    """A dictionary of text, numbers, lists and arrays as a pickle, by the codes of version 2 or 5 of the format."""
    found = b"".join(_code(name, version) + _code(value, version) for name, value in values.items())
    return b"\x80" + bytes([version]) + b"}(" + found + b"u."


def _code(value: Any, version: int) -> bytes:
    if isinstance(value, np.ndarray) and version == 5:
        data = np.ascontiguousarray(value, np.float64).tobytes()
        shape = b"(" + b"".join(_code(size, version) for size in value.shape) + b"t"
        kind = b"cnumpy\ndtype\n(X\x02\0\0\0f8I00\nI01\ntR"
        made = b"cnumpy._core.numeric\n_frombuffer\n(\x96" + len(data).to_bytes(8, "little") + data
        return made + kind + shape + b"X\x01\0\0\0CtR"
    if isinstance(value, str):
        return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()
    if isinstance(value, np.ndarray):
        return value.dumps()[2:-1]  # without the mark of the format's version and the end
    if isinstance(value, list):
        return b"](" + b"".join(_code(one, version) for one in value) + b"e"
    if value is None:
        return b"N"
    return f"F{float(value)!r}\n".encode() if isinstance(value, float) else f"I{value}\n".encode()
