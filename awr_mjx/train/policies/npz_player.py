"""Plays an exported policy with NumPy alone. This file imports nothing else: copy it to where the policy is needed.

    from npz_player import load

    policy = load("policy.npz")
    action = policy(obs)

`python npz_player.py policy.npz` prints what the policy is for: its task, sizes, seconds per action and so on.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

FORMAT = "awr_mjx policy"
VERSION = 1

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: 0.5 * x * (1 + np.tanh(0.5 * x)),  # x * sigmoid(x), in a form that cannot overflow
    "tanh": np.tanh,
}


class Policy:
    """A trained policy, called with observations.

    Attributes:
      metadata: what the policy is for, by name; `control_dt` is the seconds between two actions.
      action_std: float32 [A], the standard deviation that exploration had in training; None for discrete actions.
    """

    def __init__(self, metadata: dict[str, Any], arrays: dict[str, Any]) -> None:
        self.metadata = metadata
        self.action_std = arrays.get("action_std")
        self._mean, self._std = arrays["obs_mean"], arrays["obs_std"]
        names = [f"hidden_{i}" for i in range(len(metadata["hidden"]))] + ["out"]
        self._layers = [(arrays[name + "_kernel"], arrays[name + "_bias"]) for name in names]
        self._activation = ACTIVATIONS[metadata["activation"]]

    def __call__(self, obs: Any) -> Any:
        """The most probable action for an observation [O], or actions for observations [B, O], in the task's own units.

        Continuous actions are float32 [A] or [B, A], in units of [-1, 1] but *not* clipped to it: the task does that,
        here and in training. Discrete ones are an int, or integers [B], from 0 to A - 1.
        """
        output = self.output(obs)
        if not self.metadata["discrete"]:
            return output
        choice = np.argmax(output, axis=-1)
        return int(choice) if choice.ndim == 0 else choice

    def output(self, obs: Any) -> Any:
        """The network's output float32 [A] or [B, A]: the mean action, or the logits of discrete actions."""
        obs = np.asarray(obs, np.float32)
        size = self.metadata["observation_size"]
        if obs.ndim not in (1, 2) or obs.shape[-1] != size:
            raise ValueError(f"this policy takes observations [{size}] or [B, {size}], not {list(obs.shape)}")
        clip = self.metadata["obs_clip"]
        x = np.clip((obs - self._mean) / self._std, -clip, clip)
        for kernel, bias in self._layers[:-1]:
            x = self._activation(x @ kernel + bias)
        kernel, bias = self._layers[-1]
        return x @ kernel + bias


def load(path: Any) -> Policy:
    """The policy in file `path`.

    Raises:
      OSError: if the file cannot be read.
      ValueError: if it is not an exported policy, or of a later version than this player.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        metadata = json.loads(str(arrays.pop("metadata")))
        if metadata["format"] != FORMAT:
            raise KeyError("format")
    except OSError:
        raise
    except Exception as error:  # whatever NumPy, zip or JSON make of a file that is something else
        raise ValueError(f"{path} is not an exported policy") from error
    if metadata["format_version"] != VERSION:
        raise ValueError(f"{path} has format version {metadata['format_version']}; this player reads {VERSION}")
    return Policy(metadata, arrays)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python npz_player.py policy.npz")
    try:
        print(json.dumps(load(sys.argv[1]).metadata, indent=1))
    except (OSError, ValueError) as problem:
        sys.exit(f"error: {problem}")
