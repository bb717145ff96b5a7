"""How close one control step of the exact physics is to Gymnasium's: `python -m docs.studies.one_step --env hopper`.

Plays random actions, or the mode action of an exported policy (`--policy policy.npz`), in Gymnasium v5 and repeats
every step from Gymnasium's state in ours, in float32. Prints the errors of observation and reward terms. Needs the
`dev` extra.

One difference is known: where a capsule on the floor stands within 30 degrees of upright, MJX turns the tangents of its
friction pyramid to the world's axes, while C MuJoCo keeps them along the capsule. In space (not in the plane) such
steps differ by what friction can do, so they are counted and shown apart; a few more have such a contact only within a
stage of the integrator, unseen from outside. `--frictionless` takes friction out of both, and with it the difference.
"""

import copy
import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from awr_mjx.envs.gym import locomotion
from awr_mjx.envs.gym.gym_mujoco import GymTask
from awr_mjx.envs.physics.integrators import Physics
from awr_mjx.envs.physics.mjx_task import MjxTask
from awr_mjx.train.console import cli
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.engine import jax_setup
from awr_mjx.train.policies import npz_player

TASKS: dict[str, type[GymTask]] = {
    "ant": locomotion.Ant,
    "halfcheetah": locomotion.HalfCheetah,
    "hopper": locomotion.Hopper,
    "walker2d": locomotion.Walker2d,
    "humanoid": locomotion.Humanoid,
}
TERMS = {"forward": "forward", "healthy": "survive", "control": "ctrl", "contact": "contact"}
UPRIGHT = 0.55  # sine of a capsule's angle with the normal; MJX changes tangents below 0.5, and within a step it moves


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """What to compare."""

    env: str = "hopper"
    """Task: ant, halfcheetah, hopper, walker2d or humanoid."""
    policy: pathlib.Path | None = None
    """An exported policy to play; random actions if not given."""
    states: int = 200
    """Steps to compare."""
    frictionless: bool = False
    """Compare without friction."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Errors of S steps, ours against Gymnasium's.

    Attributes:
      parts: absolute errors of the observation's parts: positions [S, .], velocities [S, .], the bulky rest [S, .].
      terms: absolute errors of the reward's terms and of their sum, each [S].
      done: whether the end of the episode is the same, bool [S].
      turned: whether a capsule on the floor is nearly upright, bool [S].
    """

    parts: dict[str, np.ndarray]
    terms: dict[str, np.ndarray]
    done: np.ndarray
    turned: np.ndarray


def twin(env: GymTask) -> Any:
    """Returns Gymnasium's environment of `env`, bare; humanoid's with the Newton solver, as MJX has no PGS."""
    assert env.gymnasium is not None
    made: Any = gymnasium.make(env.gymnasium.name, disable_env_checker=True, **env.gymnasium.options).unwrapped
    if made.model.opt.solver != env.mj_model.opt.solver:
        made.model.opt.solver, made.model.opt.iterations = env.mj_model.opt.solver, env.mj_model.opt.iterations
    return made


def forward_position(env: GymTask, theirs: Any) -> float:
    """What the forward reward measures, in Gymnasium's data (m)."""
    if isinstance(env, locomotion.Ant):
        return float(theirs.data.body("torso").xpos[0])
    if isinstance(env, locomotion.Humanoid):
        return float(theirs.model.body_mass @ theirs.data.xipos[:, 0] / theirs.model.body_mass.sum())
    return float(theirs.data.qpos[0])


def turns(theirs: Any, control: np.ndarray) -> bool:
    """Whether in the coming control step with `control` [A] a nearly upright capsule touches the floor."""
    model, data = theirs.model, copy.copy(theirs.data)
    data.ctrl[:] = control
    found = nearly_upright(model, data)
    for _ in range(theirs.frame_skip):
        mujoco.mj_step(model, data)
        found = found or nearly_upright(model, data)
    return found


def nearly_upright(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """Whether a capsule that touches the floor stands within about 30 degrees of upright."""
    for contact in data.contact:
        if mujoco.mjtGeom.mjGEOM_PLANE in model.geom_type[contact.geom]:
            other = next(g for g in contact.geom if model.geom_type[g] != mujoco.mjtGeom.mjGEOM_PLANE)
            axis = data.geom_xmat[other].reshape(3, 3)[:, 2]
            if model.geom_type[other] == mujoco.mjtGeom.mjGEOM_CAPSULE and np.hypot(axis[0], axis[1]) < UPRIGHT:
                return True
    return False


def compare(
    name: str, policy: Callable[[np.ndarray], np.ndarray] | None, states: int, frictionless: bool = False
) -> Comparison:
    """Compares `states` steps of task `name` under `policy` (observations [O] to actions [A]), or under random actions.

    Random episodes are cut at random, so that starts and falls are both among the states.
    """
    env = TASKS[name]("exact", full_obs=True)
    small = TASKS[name]("exact").observation_size
    seed = 0
    theirs, rng = twin(env), np.random.default_rng(seed)
    if frictionless:
        env.mj_model.geom_condim[:] = theirs.model.geom_condim[:] = 1
        MjxTask.__init__(env, env.mj_model, env.frame_skip)
    obs, _ = theirs.reset(seed=seed)
    befores: list[Any] = []
    want: list[np.ndarray] = []
    terms, ended, turned = [], [], []
    while len(want) < states:
        if policy is None:
            action = rng.uniform(-0.8, 0.8, env.action_size) * rng.choice([0.2, 1.0])
        else:
            noise = 0.1 * rng.standard_normal(env.action_size)  # so that the states are not those of one periodic gait
            action = np.clip(policy(obs[:small].astype(np.float32)) + noise, -1.0, 1.0)
        data = theirs.data
        state = data.qpos.copy(), data.qvel.copy(), data.qacc_warmstart.copy(), forward_position(env, theirs), action
        upright = env.floor_directions == 2 and turns(theirs, action * env.ctrl_limit)
        obs, reward, terminated, _, info = theirs.step(action * env.ctrl_limit)
        if policy is None or rng.random() < 0.2 or terminated:  # along the whole of trained episodes
            befores.append(state)
            want.append(obs)
            terms.append([info.get(f"reward_{term}", 0.0) for term in TERMS.values()] + [reward])
            ended.append(terminated)
            turned.append(upright)
        if terminated or rng.random() < (0.01 if policy is None else 0.002):
            obs, _ = theirs.reset()
    theirs.close()

    def step(qpos: jax.Array, qvel: jax.Array, warmstart: jax.Array, x: jax.Array, action: jax.Array) -> Any:
        state = env.reset(jax.random.key(0))
        return env.step(state.replace(data=Physics(qpos, qvel, warmstart), info={"x": x}), action)  # type: ignore[attr-defined]

    columns = (jnp.asarray(np.array(column), jnp.float32) for column in zip(*befores, strict=True))
    ours = jax.jit(jax.vmap(step))(*columns)
    error = np.abs(np.asarray(ours.obs) - np.array(want))
    positions = small - env.mj_model.nv
    parts = {"positions": error[:, :positions], "velocities": error[:, positions:small], "rest": error[:, small:]}
    got = [np.asarray(ours.metrics[f"reward_{term}"]) for term in TERMS] + [np.asarray(ours.reward)]
    wrong = np.abs(np.stack(got, axis=1) - np.array(terms))
    return Comparison(
        parts={part: values for part, values in parts.items() if values.size},
        terms=dict(zip((*TERMS, "reward"), wrong.T, strict=True)),
        done=np.asarray(ours.done) == np.array(ended),
        turned=np.array(turned),
    )


def main() -> int:
    """Prints one row per part of the observation and per term of the reward."""
    description = (__doc__ or "").strip()
    config = cli.parse(StudyConfig, cli.arguments(), prog="python -m docs.studies.one_step", description=description)
    if config.env not in TASKS:
        raise UserError(f"env must be one of {', '.join(TASKS)}, not {config.env!r}")
    policy = None
    if config.policy is not None:
        try:
            policy = npz_player.load(str(config.policy))
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {config.policy}: {error}") from error
    jax_setup.start_jax()
    found = compare(config.env, policy, config.states, config.frictionless)
    groups = {"": ~found.turned, ", upright capsule": found.turned}
    print("| steps | error of | median | 99 % | largest |\n|---|---|---|---|---|")
    for label, chosen in groups.items():
        for what, errors in (found.parts | found.terms).items():
            if chosen.any():
                worst = errors[chosen].reshape(chosen.sum(), -1).max(axis=1)
                figures = " | ".join(f"{q:.1e}" for q in (np.median(worst), np.quantile(worst, 0.99), worst.max()))
                print(f"| {chosen.sum()}{label} | {what} | {figures} |")
    print(f"ends of episodes equal: {found.done.sum()} of {config.states}")
    return 0


if __name__ == "__main__":
    run_program(main)
