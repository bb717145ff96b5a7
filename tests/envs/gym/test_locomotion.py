"""The locomotion tasks against Gymnasium: models, one step of the exact physics, rules, starts."""

from typing import Any

import jax
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.envs.physics import models
from tests.reference import REFERENCE

pytest.importorskip("gymnasium")
from docs.studies import author_policies, one_step
from docs.studies.one_step import TASKS, twin


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TASKS)
def test_models_have_gymnasiums_numbers(name: str) -> None:
    ours, theirs = models.exact(f"{name}.xml"), twin(TASKS[name]("exact")).model
    for field in dir(theirs):
        value = getattr(theirs, field)
        if not isinstance(value, np.ndarray) or not field.startswith(("body_", "jnt_", "dof_", "actuator_", "qpos")):
            continue
        if value.dtype.kind != "f" or field in ("body_user", "body_margin"):
            continue
        np.testing.assert_allclose(getattr(ours, field), value, atol=1e-9, err_msg=field)
    for field in ("condim", "contype", "conaffinity", "friction", "margin", "solref", "solimp", "pos", "quat", "type"):
        a, b = getattr(ours, f"geom_{field}"), getattr(theirs, f"geom_{field}")
        np.testing.assert_allclose(a, b, atol=1e-9, err_msg=field)
    for field in ("timestep", "integrator", "cone", "disableflags", "iterations", "ls_iterations"):
        assert getattr(ours.opt, field) == getattr(theirs.opt, field), field


# What float32 leaves of one control step: the largest error over 200 states of the observation's positions (m, rad),
# velocities (m/s, rad/s) and the rest, and of the reward and its terms. Half of the states have errors below 2e-5: the
# constraint solver stops at a relative 1e-8 of its cost, and what float32 rounds there, stiff contacts and limits
# amplify now and then. The ant is compared without friction, and so without the tangents that MJX turns
# (docs.studies.one_step).
TOLERANCE = {
    "hopper": (1e-6, 1e-4, 0, 1e-5),
    "walker2d": (1e-5, 5e-4, 0, 1e-4),
    "halfcheetah": (1e-5, 5e-4, 0, 1e-4),
    "ant": (2e-5, 1e-3, 1e-3, 1e-4),
    "humanoid": (1e-5, 5e-4, 5e-2, 1e-4),
}


@pytest.mark.parametrize("name", TOLERANCE)
def test_one_step_of_the_exact_physics_is_gymnasiums(name: str) -> None:
    found = one_step.compare(name, None, 200, frictionless=name == "ant")
    positions, velocities, rest, reward = TOLERANCE[name]
    for part, bound in (("positions", positions), ("velocities", velocities), ("rest", rest)):
        if part in found.parts:
            half = 1e-4 if (name, part) == ("humanoid", "rest") else 2e-5  # its forces are thousands of newtons
            assert np.median(found.parts[part].max(axis=1)) < half, part
            assert found.parts[part].max() < bound, part
    for term, error in found.terms.items():
        assert error.max() < reward, term
    assert found.done.all()


@pytest.mark.parametrize("name", TASKS)
def test_starts_are_gymnasiums(name: str) -> None:
    env = TASKS[name]("fast")
    theirs = twin(env)
    theirs.reset(seed=0)
    wanted = []
    for _ in range(2000):
        theirs.reset()
        wanted.append(np.concatenate([theirs.data.qpos, theirs.data.qvel]))
    data = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), 4000)).data
    got, want = np.concatenate([data.qpos, data.qvel], axis=1), np.array(wanted)
    noise = env.reset_noise
    np.testing.assert_allclose(got.mean(0), want.mean(0), atol=0.12 * noise)
    np.testing.assert_allclose(got.std(0), want.std(0), rtol=0.1)
    uniform = slice(0, len(env.mj_model.qpos0))
    np.testing.assert_allclose(got[:, uniform].max(0), want[:, uniform].max(0), atol=0.02 * noise)
    np.testing.assert_allclose(got[:, uniform].min(0), want[:, uniform].min(0), atol=0.02 * noise)
    theirs.close()


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("ant", {}, 27),
        ("ant", {"full_obs": True}, 105),
        ("paper/ant", {}, 27),
        ("paper/ant", {"full_obs": True}, 111),
        ("halfcheetah", {}, 17),
        ("hopper", {}, 11),
        ("walker2d", {}, 17),
        ("humanoid", {}, 45),
        ("humanoid", {"full_obs": True}, 348),
        ("paper/humanoid", {}, 376),
    ],
)
def test_observations_have_gymnasiums_sizes(name: str, options: dict[str, Any], size: int) -> None:
    assert registry.make(name, registry.TaskOptions(**options)).observation_size == size


def test_paper_models_have_the_masses_of_the_papers_mujoco() -> None:
    """Total masses in kg, from running today's and yesterday's formula for a capsule's volume."""
    for name, mass in {
        "humanoid": 39.646,
        "hopper": 15.265,
        "walker2d": 22.698,
        "ant": 0.879,
        "halfcheetah": 14,
    }.items():
        model = TASKS[name]("paper").mj_model
        assert model.body_mass.sum() == pytest.approx(mass, abs=6e-4), name


AUTHORS = REFERENCE / "author_policies"


@pytest.mark.skipif(not AUTHORS.is_dir(), reason="the authors' policies are not here")
def test_authors_hopper_plays_in_the_papers_task() -> None:
    """The others too, but that takes minutes: python -m docs.studies.author_policies."""
    returns = author_policies.play("hopper", author_policies.load(AUTHORS / "hopper.npz"), 4)
    assert np.mean(returns) > 3300
