"""MuJoCo without graphics: it wants those that `MUJOCO_GL` names as soon as it is imported, and tasks draw nothing."""

import importlib
import os
import sys


def do_without() -> None:
    """Lets MuJoCo be imported where the graphics that `MUJOCO_GL` asks for are not there."""
    if "mujoco" in sys.modules or not os.environ.get("MUJOCO_GL"):
        return
    try:
        importlib.import_module("mujoco")
    except Exception:  # of many kinds: by OpenGL, its Python bindings, or MuJoCo
        os.environ["MUJOCO_GL"] = "disable"
        for name in [name for name in sys.modules if name.partition(".")[0] == "mujoco"]:
            del sys.modules[name]
