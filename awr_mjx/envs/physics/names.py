"""Names of what a MuJoCo model has, for files, plots and whoever reads numbers without the code."""

from typing import Any

import mujoco

_FREE = (("x", "y", "z", "qw", "qx", "qy", "qz"), ("vx", "vy", "vz", "wx", "wy", "wz"))
_BALL = (("qw", "qx", "qy", "qz"), ("wx", "wy", "wz"))


def _joints(model: Any, which: int) -> list[str]:
    """Names of all positions (`which` 0) or velocities (1), in MuJoCo's order."""
    found = []
    for i in range(model.njnt):
        joint = model.joint(i)
        name = joint.name or f"joint_{i}"
        if joint.type == mujoco.mjtJoint.mjJNT_FREE:
            found += [f"{name}_{part}" for part in _FREE[which]]
        elif joint.type == mujoco.mjtJoint.mjJNT_BALL:
            found += [f"{name}_{part}" for part in _BALL[which]]
        else:
            found.append(name if which == 0 else f"{name}_velocity")
    return found


def positions(model: Any) -> list[str]:
    """Names of the `nq` positions of a MuJoCo model: its joints', with the parts of those that have several."""
    return _joints(model, 0)


def velocities(model: Any) -> list[str]:
    """Names of the `nv` velocities of a MuJoCo model."""
    return _joints(model, 1)


def actuators(model: Any) -> list[str]:
    """Names of the `nu` actuators of a MuJoCo model."""
    return [model.actuator(i).name or f"actuator_{i}" for i in range(model.nu)]
