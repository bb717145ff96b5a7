"""Tasks of other packages, Brax and MuJoCo Playground, behind our protocol."""

from envs.adapters.adapted import Adapted

__all__ = ["Adapted"]
