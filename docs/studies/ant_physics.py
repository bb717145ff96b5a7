"""What short cuts in the ant's physics do to a trained policy: `python -m docs.studies.ant_physics policy.npz`.

Plays the mode action of an exported policy (`python -m train.export`), or of the paper's authors' (their `ant.npz`),
in variants of `envs/assets/ant.xml` with CPU MuJoCo and in Gymnasium's Ant-v5, and prints one row of a table each.
`--episodes` sets how many (default 24). Needs the `dev` extra.
"""

import dataclasses
import multiprocessing
import pathlib
from collections.abc import Callable
from typing import Annotated, Any

import gymnasium
import mujoco
import numpy as np
import tyro

from docs.studies import author_policies
from envs import models
from envs.locomotion import Ant
from train import cli, npz_player
from train.errors import UserError, run_program

DT = 0.05  # seconds per control step

# seconds per physics step, integrator, solver iterations, line search, time constant of limits and contacts (s)
VARIANTS: list[tuple[float, str, int, int, float]] = [
    (0.01, "RK4", 100, 50, 0.02),
    (0.01, "RK4", 1, 4, 0.02),
    (0.005, "Euler", 100, 50, 0.02),
    (0.005, "Euler", 2, 4, 0.02),
    (0.005, "Euler", 1, 4, 0.02),
    (0.01, "Euler", 100, 50, 0.02),
    (0.01, "Euler", 2, 4, 0.02),
    (0.01, "Euler", 1, 4, 0.02),
    (0.01, "Euler", 100, 50, 0.03),
    (0.01, "Euler", 3, 6, 0.03),
    (0.01, "Euler", 2, 4, 0.03),  # ours
    (0.01, "Euler", 1, 4, 0.03),
    (0.01, "Euler", 100, 50, 0.04),
    (0.01, "Euler", 2, 4, 0.04),
    (0.0125, "Euler", 2, 4, 0.03),
]


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """What to play."""

    policy: Annotated[pathlib.Path, tyro.conf.Positional]
    """An exported policy, or the authors' ant.npz."""
    episodes: int = 24
    """Episodes per variant."""


def variant(number: int) -> mujoco.MjModel:
    """The ant of `envs/assets` with the settings of `VARIANTS[number]`."""
    timestep, integrator, iterations, line_search, time_constant = VARIANTS[number]
    model = models.fast(Ant.asset, Ant.fast)
    model.opt.timestep = timestep
    model.opt.integrator = getattr(mujoco.mjtIntegrator, f"mjINT_{integrator.upper()}")
    model.opt.iterations, model.opt.ls_iterations = iterations, line_search
    model.jnt_solref[:, 0] = model.geom_solref[:, 0] = time_constant
    return model


def load(path: str) -> Callable[[Any], Any]:
    """The policy in `path`, of either format.

    Raises:
      UserError: if it is neither.
    """
    try:
        return npz_player.load(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        try:
            act = author_policies.load(pathlib.Path(path))
        except UserError:
            raise UserError(str(error)) from error
        # For Ant-v2's 111 observations, whose last 84 were zeros.
        return lambda obs: act(np.concatenate([obs, np.zeros(84, np.float32)]))


def play(job: tuple[int | None, str, int]) -> tuple[float, int, float]:
    """Plays one episode of (variant, policy file, seed); returns its return, length and last height (m).

    The variant is a place in `VARIANTS`, or None for Gymnasium.
    """
    number, path, seed = job
    policy = load(path)
    if number is None:
        env = gymnasium.make("Ant-v5", include_cfrc_ext_in_observation=False, contact_cost_weight=0.0)
        obs, _ = env.reset(seed=seed)
        total, length, ended = 0.0, 0, False
        while not ended:
            obs, reward, terminated, truncated, _ = env.step(np.clip(policy(obs.astype(np.float32)), -1, 1))
            total, length, ended = total + float(reward), length + 1, terminated or truncated
        return total, length, float(obs[0])

    model, rng = variant(number), np.random.default_rng(seed)
    data = mujoco.MjData(model)
    data.qpos[:] += rng.uniform(-Ant.reset_noise, Ant.reset_noise, model.nq)
    data.qvel[:] = Ant.reset_noise * rng.standard_normal(model.nv)
    total, length, healthy = 0.0, 0, True
    while healthy and length < Ant.episode_length:
        action = np.clip(policy(np.concatenate([data.qpos[2:], data.qvel]).astype(np.float32)), -1, 1)
        data.ctrl[:], before = action, data.qpos[0]
        for _ in range(round(DT / model.opt.timestep)):
            mujoco.mj_step(model, data)
        healthy = bool(Ant.healthy_z[0] <= data.qpos[2] <= Ant.healthy_z[1])
        total += (data.qpos[0] - before) / DT + healthy - Ant.control_weight * float(np.square(action).sum())
        length += 1
    return total, length, float(data.qpos[2])


def main() -> int:
    """Plays every variant and prints the table."""
    description = (__doc__ or "").strip()
    config = cli.parse(StudyConfig, cli.arguments(), prog="python -m docs.studies.ant_physics", description=description)
    if config.episodes <= 0:
        raise UserError(f"episodes must be a positive number, not {config.episodes}")
    load(str(config.policy))
    variants = [None, *range(len(VARIANTS))]
    jobs = [(number, str(config.policy), seed) for number in variants for seed in range(config.episodes)]
    with multiprocessing.Pool() as pool:
        episodes = np.array(pool.map(play, jobs, chunksize=1)).reshape(len(variants), config.episodes, 3)
    print("| step, iterations / line search, time constant | return | per step | ended above 1.0 m | below 0.2 m |")
    print("|---|---|---|---|---|")
    for number, (returns, lengths, heights) in zip(variants, episodes.transpose(0, 2, 1), strict=True):
        early = lengths < Ant.episode_length
        high, low = np.sum(early & (heights > Ant.healthy_z[1])), np.sum(early & (heights < Ant.healthy_z[0]))
        per_step = returns.sum() / lengths.sum()
        print(f"| {label(number)} | {returns.mean():.0f} ± {returns.std():.0f} | {per_step:.2f} | {high} | {low} |")
    return 0


def label(number: int | None) -> str:
    """What the table calls a variant."""
    if number is None:
        return "Gymnasium Ant-v5"
    timestep, integrator, iterations, line_search, time_constant = VARIANTS[number]
    return f"{integrator} {timestep} s, {iterations}/{line_search}, {time_constant} s"


if __name__ == "__main__":
    run_program(main)
