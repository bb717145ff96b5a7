"""The locomotion tasks against Gymnasium: models, one step of the exact physics, rules, starts."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs import locomotion, models, registry
from envs.mjx_task import Physics

gym = pytest.importorskip("gymnasium")

TASKS = {
    "ant": locomotion.Ant,
    "halfcheetah": locomotion.HalfCheetah,
    "hopper": locomotion.Hopper,
    "walker2d": locomotion.Walker2d,
    "humanoid": locomotion.Humanoid,
}
FEET = "_foot"  # the ant's added spheres


def twin(env):
    made = gym.make(env.gymnasium.name, disable_env_checker=True, **env.gymnasium.options).unwrapped
    if env.mj_model.opt.solver != made.model.opt.solver:  # humanoid: PGS, cut off at 50 iterations, is not in MJX
        made.model.opt.solver, made.model.opt.iterations = env.mj_model.opt.solver, env.mj_model.opt.iterations
    return made


def position(env, theirs):
    """What the forward reward measures, in Gymnasium's data."""
    if isinstance(env, locomotion.Ant):
        return theirs.data.body("torso").xpos[0]
    if isinstance(env, locomotion.Humanoid):
        return theirs.model.body_mass @ theirs.data.xipos[:, 0] / theirs.model.body_mass.sum()
    return theirs.data.qpos[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TASKS)
def test_models_have_gymnasiums_numbers(name):
    ours, theirs = models.exact(f"{name}.xml"), twin(TASKS[name]("exact")).model
    for field in dir(theirs):
        value = getattr(theirs, field)
        if not isinstance(value, np.ndarray) or not field.startswith(("body_", "jnt_", "dof_", "actuator_", "qpos")):
            continue
        if value.dtype.kind != "f" or field in ("body_user", "body_margin"):
            continue
        np.testing.assert_allclose(getattr(ours, field), value, atol=1e-9, err_msg=field)
    kept = [i for i in range(ours.ngeom) if not ours.geom(i).name.endswith(FEET) or name != "ant"]
    for field in ("condim", "contype", "conaffinity", "friction", "margin", "solref", "solimp", "pos", "quat", "type"):
        a, b = getattr(ours, f"geom_{field}")[kept], getattr(theirs, f"geom_{field}")
        np.testing.assert_allclose(a, b, atol=1e-9, err_msg=field)
    for field in ("timestep", "integrator", "cone", "disableflags", "iterations", "ls_iterations"):
        assert getattr(ours.opt, field) == getattr(theirs.opt, field), field


# What float32 leaves of one control step, in the units of the observation; the median over states is far below. Where a
# capsule stands within 30 degrees of upright, MJX turns the tangents of its contact's friction pyramid differently from
# C; that changes the friction of those steps of the ant, which are told apart and only counted.
TOLERANCE = {"hopper": 1e-4, "walker2d": 5e-4, "halfcheetah": 5e-4, "ant": 5e-3, "humanoid": 5e-2}


@pytest.mark.parametrize("name", TASKS)
def test_one_step_of_the_exact_physics_is_gymnasiums(name):
    env = TASKS[name]("exact", full_obs=True)
    theirs, rng = twin(env), np.random.default_rng(0)
    theirs.reset(seed=0)
    rows = []
    while len(rows) < 200:
        action = rng.uniform(-0.8, 0.8, env.action_size) * rng.choice([0.2, 1.0])
        data = theirs.data
        before = *(x.copy() for x in (data.qpos, data.qvel, data.qacc_warmstart)), position(env, theirs), action
        obs, reward, terminated, _, info = theirs.step(action * env.ctrl_limit)
        terms = [info.get(f"reward_{term}", 0.0) for term in ("forward", "survive", "ctrl", "contact")]
        rows.append((before, obs, terms, reward, terminated))
        if terminated or rng.random() < 0.01:
            theirs.reset()
    theirs.close()

    def step(qpos, qvel, warmstart, x, action):
        state = env.reset(jax.random.key(0))
        return env.step(state.replace(data=Physics(qpos, qvel, warmstart), info={"x": x}), action)

    starts = (jnp.asarray(np.array(part), jnp.float32) for part in zip(*(row[0] for row in rows), strict=True))
    state = jax.jit(jax.vmap(step))(*starts)
    want = np.array([row[1] for row in rows])
    error = np.abs(np.asarray(state.obs) - want).max(axis=1)
    same = np.ones(len(rows), bool)
    if name == "ant":
        same = error < TOLERANCE[name]
        assert same.mean() > 0.9
    assert np.median(error) < 2e-5 and error[same].max() < TOLERANCE[name], np.sort(error)[-5:]
    terms = np.array([row[2] for row in rows])
    for i, term in enumerate(("forward", "healthy", "control", "contact")):
        got = np.asarray(state.metrics[f"reward_{term}"])
        np.testing.assert_allclose(got[same], terms[same, i], atol=5e-4, err_msg=term)
    np.testing.assert_allclose(np.asarray(state.reward)[same], np.array([r[3] for r in rows])[same], atol=5e-4)
    np.testing.assert_array_equal(np.asarray(state.done), [r[4] for r in rows])


@pytest.mark.parametrize("name", TASKS)
def test_starts_are_gymnasiums(name):
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
def test_observations_have_gymnasiums_sizes(name, options, size):
    assert registry.make(name, registry.TaskOptions(**options)).observation_size == size


def test_paper_models_have_the_masses_of_the_papers_mujoco():
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


AUTHORS = pathlib.Path(__file__).parents[2] / "shared" / "reference" / "author_policies"


@pytest.mark.skipif(not AUTHORS.is_dir(), reason="the authors' policies are not here")
@pytest.mark.parametrize(("name", "least"), [("hopper", 3300)])
def test_authors_policy_plays_in_the_papers_task(name, least):
    assert np.mean(authors_returns(name, 4)) > least


def authors_returns(name, episodes):
    with np.load(AUTHORS / f"{name}.npz", allow_pickle=False) as file:
        p = {key: jnp.asarray(file[key]) for key in file.files}
    env = registry.make(f"paper/{name}", registry.TaskOptions(full_obs=name == "ant"))

    def act(obs):
        h = (obs - p["obs_mean"]) / p["obs_std"]
        for layer in (0, 1):
            h = jax.nn.relu(h @ p[f"kernel_{layer}"] + p[f"bias_{layer}"])
        return ((h @ p["kernel_out"] + p["bias_out"]) * p["action_std"] + p["action_mean"]) / env.ctrl_limit

    def row(carry, _):
        state, alive = carry
        state = jax.vmap(env.step)(state, act(state.obs))
        return (state, alive & (state.done == 0)), jnp.where(alive, state.reward, 0)

    def play(key):
        state = jax.vmap(env.reset)(jax.random.split(key, episodes))
        return jax.lax.scan(row, (state, jnp.ones(episodes, bool)), None, length=1000)[1].sum(0)

    return np.asarray(jax.jit(play)(jax.random.key(0)))
