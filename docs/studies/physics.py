"""What each short cut of the fast physics does to a policy: `python -m docs.studies.physics policy.npz --env walker2d`.

Plays the mode action of an exported policy (`python -m train.export`), or of the paper's authors' ant or hopper (their
`ant.npz`), in Gymnasium with its own model and with ours, changed step by step from exact to fast, and around that. All
in CPU MuJoCo, so that the physics is what differs and nothing else. Needs the `dev` extra.
"""

import dataclasses
import functools
import multiprocessing
import pathlib
from collections.abc import Callable
from typing import Annotated, Any

import gymnasium
import mujoco
import numpy as np
import tyro

from awr_mjx.envs.physics import models
from awr_mjx.envs.physics.models import Fast
from awr_mjx.train.console import cli
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.policies import npz_player
from docs.studies import author_policies
from docs.studies.one_step import TASKS

CONVERGED = (100, 50)  # iterations of the solver and of its line search: as many as are needed


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """What to play."""

    policy: Annotated[pathlib.Path, tyro.conf.Positional]
    """An exported policy, or one of the authors'."""
    env: str = "ant"
    """Its task: ant, halfcheetah, hopper, walker2d or humanoid."""
    episodes: int = 16
    """Episodes per variant."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """A model to play in: `settings` on top of the exact one, or Gymnasium's own (None)."""

    label: str
    settings: Fast | None = None
    runge_kutta: bool = False

    def install(self, bare: Any, asset: str) -> None:
        """Puts the model of `awr_mjx/envs/gym/assets/<asset>`, so changed, into Gymnasium's environment `bare`."""
        if not self.settings:
            return
        control_step = bare.dt
        model = bare.model = models.fast(asset, self.settings)
        data = bare.data = mujoco.MjData(model)
        bare.frame_skip = round(control_step / model.opt.timestep)
        if self.runge_kutta:
            model.opt.integrator = mujoco.mjtIntegrator.mjINT_RK4
            model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_EULERDAMP)
        elif self.settings.midpoint:
            bare.do_simulation = functools.partial(midpoint, model, data)


def midpoint(model: mujoco.MjModel, data: mujoco.MjData, control: np.ndarray, steps: int) -> None:
    """So many physics steps with `control` [nu], in CPU MuJoCo: `awr_mjx.envs.physics.integrators.midpoint`."""
    h = model.opt.timestep
    for _ in range(steps):
        qpos, qvel = data.qpos.copy(), data.qvel.copy()
        mujoco.mj_integratePos(model, qpos, qvel, h / 2)
        data.qpos[:], data.qvel[:], data.ctrl[:] = qpos, qvel + h / 2 * data.qacc_warmstart, control
        mujoco.mj_forward(model, data)
        qvel += h * data.qacc
        mujoco.mj_integratePos(model, qpos, qvel, h / 2)
        data.qpos[:], data.qvel[:], data.qacc_warmstart[:] = qpos, qvel, data.qacc


def variants(name: str) -> list[Variant]:
    """The ladder from Gymnasium's model to the fast one of task `name`, and the fast one's neighbours."""
    fast, exact = TASKS[name].fast, models.exact(TASKS[name].asset)
    change = dataclasses.replace
    timestep = float(exact.opt.timestep)
    pairs = Fast(timestep, fast.touching, *CONVERGED, implicit_damping=fast.implicit_damping)
    slow = change(fast, iterations=CONVERGED[0], ls_iterations=CONVERGED[1])
    stiff = change(slow, time_constant=None)
    runge_kutta = exact.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4
    method = "midpoint" if fast.midpoint else "Euler"
    ladder = [
        Variant("Gymnasium"),
        Variant("few contacts", pairs, runge_kutta),
        Variant(f"and {method}, {timestep:g} s", change(stiff, timestep=timestep)),
        Variant(f"and {fast.timestep:g} s", stiff),
        Variant(f"and time constant {fast.time_constant} s", slow),
        Variant(f"and {fast.iterations}/{fast.ls_iterations} iterations: **fast**", fast),
    ]
    for count in ((1, 4), (2, 4), (3, 6), (4, 8)):
        text = f"fast with {count[0]}/{count[1]} iterations"
        ladder.append(Variant(text, change(fast, iterations=count[0], ls_iterations=count[1])))
    for seconds in (0.02, 0.03, 0.04):
        ladder.append(Variant(f"fast with time constant {seconds} s", change(fast, time_constant=seconds)))
    ladder.append(Variant("fast at half the timestep", change(fast, timestep=fast.timestep / 2)))
    other = "Euler" if fast.midpoint else "midpoint"
    ladder.append(Variant(f"fast with {other}", change(fast, midpoint=not fast.midpoint)))
    damping = change(fast, implicit_damping=not fast.implicit_damping)
    ladder.append(Variant(f"fast {'with' if damping.implicit_damping else 'without'} implicit joint damping", damping))
    # What one task does not change has no row of its own.
    first: dict[tuple[Fast | None, bool], Variant] = {}
    for variant in ladder:
        first.setdefault((variant.settings, variant.runge_kutta), variant)
    return list(first.values())


def load(path: str) -> Callable[[Any], Any]:
    """The policy in `path`, of either format, for observations of the task's default size.

    Raises:
      UserError: if it is neither.
    """
    try:
        return npz_player.load(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        try:
            return author_policies.load(pathlib.Path(path))
        except UserError:
            raise UserError(str(error)) from error


def play(job: tuple[str, int, str, int]) -> tuple[float, int]:
    """Plays one episode of (task, variant, policy file, seed); returns its return and length."""
    name, number, path, seed = job
    chosen, policy = variants(name)[number], load(path)
    task = TASKS[name]()
    assert task.gymnasium
    env: Any = gymnasium.make(task.gymnasium.name, **task.gymnasium.options)
    chosen.install(env.unwrapped, task.asset)
    obs, _ = env.reset(seed=seed)
    total, length, ended = 0.0, 0, False
    while not ended:
        action = task.ctrl_limit * np.clip(policy(obs.astype(np.float32)), -1, 1)
        obs, reward, terminated, truncated, _ = env.step(action)
        total, length, ended = total + float(reward), length + 1, terminated or truncated
    env.close()
    return total, length


def main() -> int:
    """Plays every variant and prints the table."""
    description = (__doc__ or "").strip()
    config = cli.parse(StudyConfig, cli.arguments(), prog="python -m docs.studies.physics", description=description)
    if config.episodes <= 0:
        raise UserError(f"episodes must be a positive number, not {config.episodes}")
    if config.env not in TASKS:
        raise UserError(f"env must be one of {', '.join(TASKS)}, not {config.env!r}")
    load(str(config.policy))
    ladder = variants(config.env)
    print("| physics | return | steps |\n|---|---|---|")
    with multiprocessing.Pool() as pool:
        for number, variant in enumerate(ladder):
            jobs = [(config.env, number, str(config.policy), seed) for seed in range(config.episodes)]
            returns, lengths = np.array(pool.map(play, jobs, chunksize=1)).T
            print(
                f"| {variant.label} | {returns.mean():.0f} ± {returns.std():.0f} | {lengths.mean():.0f} |", flush=True
            )
    return 0


if __name__ == "__main__":
    run_program(main)
