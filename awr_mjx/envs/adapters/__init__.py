"""Tasks of other packages, Brax and MuJoCo Playground, behind our protocol."""

from awr_mjx.envs.adapters.adapted import Adapted

__all__ = ["Adapted"]
