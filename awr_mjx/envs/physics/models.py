"""One MuJoCo model per task, and three ways to simulate it: exact, fast, and as in the paper.

`exact` is the file in `envs/gym/assets`: Gymnasium v5's model with its integrator and a converged solver. `fast`
changes what large batches pay most for, and `paper` undoes what MuJoCo has changed since the paper's experiments.
"""

import dataclasses
import pathlib

import mujoco
import numpy as np

ASSETS = pathlib.Path(__file__).parents[1] / "gym" / "assets"


@dataclasses.dataclass(frozen=True)
class Fast:
    """How the fast physics of a task differs from the exact one; what each costs in fidelity is in docs/decisions.md.

    It integrates with Euler's method or with `awr_mjx.envs.physics.integrators.midpoint`.

    Attributes:
      timestep: seconds per physics step.
      touching: names of the geoms that touch the floor; all others touch nothing.
      iterations: of the constraint solver.
      ls_iterations: of its line search.
      time_constant: seconds in which joint limits and contacts give way; None leaves the model's.
      midpoint: integrate with the midpoint method.
      implicit_damping: of the joints, in Euler's method; factorises one more matrix per step.
      contacts: the most contacts at once, the deepest ones; None for all. MJX alone looks at this, not CPU MuJoCo.
    """

    timestep: float
    touching: tuple[str, ...]
    iterations: int = 2
    ls_iterations: int = 4
    time_constant: float | None = None
    midpoint: bool = False
    implicit_damping: bool = False
    contacts: int | None = None


def exact(asset: str) -> mujoco.MjModel:
    """Returns the model of `envs/gym/assets/<asset>`."""
    return mujoco.MjModel.from_xml_path(str(ASSETS / asset))


def fast(asset: str, settings: Fast) -> mujoco.MjModel:
    """Returns the model of `envs/gym/assets/<asset>`, changed by `settings`."""
    spec = mujoco.MjSpec.from_file(str(ASSETS / asset))
    for geom in spec.geoms:
        geom.contype, geom.conaffinity = int(geom.name in settings.touching), int(geom.name == "floor")
    if settings.contacts is not None:
        limit = spec.add_numeric()
        limit.name, limit.size, limit.data = "max_contact_points", 1, [settings.contacts]
    model = spec.compile()
    model.opt.timestep = settings.timestep
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_EULER
    if not settings.implicit_damping:
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_EULERDAMP
    model.opt.iterations, model.opt.ls_iterations = settings.iterations, settings.ls_iterations
    if settings.time_constant is not None:
        model.jnt_solref[:, 0] = model.geom_solref[:, 0] = settings.time_constant
    return model


def paper(asset: str, total_mass: float | None, friction: dict[str, float]) -> mujoco.MjModel:
    """Returns the model of `envs/gym/assets/<asset>` as MuJoCo 2.0 saw it, with the solver cut to 4 iterations.

    MuJoCo 2.0 took a capsule's volume for pi r^2 (2h + r), without the 4/3, and the margin of a contact for the larger
    of two margins, where today's MuJoCo takes their sum. `total_mass` in kg is for models that fix it; `friction` gives
    the sliding friction of geoms that Gymnasium changed since.
    """
    spec = mujoco.MjSpec.from_file(str(ASSETS / asset))
    for geom in spec.geoms:
        if geom.type == mujoco.mjtGeom.mjGEOM_CAPSULE:
            ends = np.asarray(geom.fromto)
            half = geom.size[1] if np.isnan(ends[0]) else np.linalg.norm(ends[3:] - ends[:3]) / 2
            geom.mass = geom.density * np.pi * geom.size[0] ** 2 * (2 * half + geom.size[0])
    model = spec.compile()
    if total_mass is not None:
        mujoco.mj_setTotalmass(model, total_mass)
        mujoco.mj_setConst(model, mujoco.MjData(model))
    for name, value in friction.items():
        model.geom(name).friction[0] = value
    model.geom_margin *= 0.5
    model.opt.iterations, model.opt.ls_iterations = 4, 8
    return model
