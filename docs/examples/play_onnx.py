"""Plays an exported policy in its Gymnasium environment with NumPy, Gymnasium and onnxruntime alone.

    python play_onnx.py policy.onnx 100

plays 100 episodes of the most probable action and prints their mean return. Copy this file to where it is needed.
"""

import json
import sys

import gymnasium
import numpy as np
import onnxruntime


def main(path: str, episodes: int) -> None:
    """Plays `episodes` whole episodes, with seeds 0, 1, ..., of the policy in file `path`."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    told = {name: json.loads(value) for name, value in session.get_modelmeta().custom_metadata_map.items()}
    twin = told["gymnasium"]
    if twin is None:
        sys.exit(f"error: {told['task']} follows no Gymnasium environment")
    env = gymnasium.make(twin["name"], **twin["options"])
    returns = []
    for episode in range(episodes):
        obs, _ = env.reset(seed=episode)
        total, ended = 0.0, False
        while not ended:
            action = session.run(["action"], {"obs": np.asarray(obs, np.float32)[None]})[0][0]
            if told["discrete"]:
                action = int(action)
            else:  # the network's output is not clipped; -1 to 1 stands for the environment's own range
                action = twin["action_scale"] * np.clip(action, told["action_low"], told["action_high"])
            obs, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            ended = terminated or truncated
        returns.append(total)
    print(f"{twin['name']}: {np.mean(returns):.1f} ± {np.std(returns):.1f} over {episodes} episodes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python play_onnx.py policy.onnx EPISODES")
    main(sys.argv[1], int(sys.argv[2]))
