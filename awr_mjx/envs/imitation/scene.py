"""What is around a robot that imitates: the floor, and, for pictures, sky, light and a camera that goes with it."""

import mujoco
import numpy as np

from awr_mjx.envs import drawing
from awr_mjx.envs.imitation.characters import FLOOR

FRICTION = 0.9  # of the floor; MuJoCo takes the larger of two, so that of a robot's feet counts where it is larger
CAMERA = "track"
# As the Gym tasks' scene.xml.
BODY = (0.9, 0.55, 0.25, 1.0)  # of a robot whose file does not say how it looks
SKY, HORIZON = drawing.unit(drawing.SKY), drawing.unit(drawing.HORIZON)
CHECKS, MARK = ((0.32, 0.38, 0.44), (0.42, 0.48, 0.54)), (0.55, 0.6, 0.65)


def furnish(spec: mujoco.MjSpec) -> None:
    """Adds a floor at height 0, and what pictures need, to a robot's model, before it is compiled."""
    texture = mujoco.mjtTexture
    for sky in [one for one in spec.textures if one.type == texture.mjTEXTURE_SKYBOX]:
        spec.delete(sky)  # the first that is there would be shown
    taken = {one.name for one in (*spec.textures, *spec.materials)}
    name = next(name for name in (FLOOR + "_" * i for i in range(len(taken) + 1)) if name not in taken)
    _texture(spec, "", texture.mjTEXTURE_SKYBOX, mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, SKY, HORIZON)
    checks = _texture(spec, name, texture.mjTEXTURE_2D, mujoco.mjtBuiltin.mjBUILTIN_CHECKER, *CHECKS)
    checks.mark, checks.markrgb = mujoco.mjtMark.mjMARK_EDGE, MARK
    material = spec.add_material(name=name, texrepeat=[1, 1], texuniform=True)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    floor = spec.worldbody.add_geom(name=FLOOR, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 10], material=name)
    floor.contype, floor.conaffinity, floor.condim = 0, 1, 3
    floor.friction[0], floor.rgba = FRICTION, [1.0] * 4
    light = spec.worldbody.add_light(pos=[0, 0, 4], dir=[0.3, 0.4, -1], mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM)
    light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    light.diffuse, light.specular = [0.6] * 3, [0.2] * 3
    spec.visual.headlight.ambient, spec.visual.headlight.diffuse = [0.35] * 3, [0.4] * 3
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    spec.visual.quality.shadowsize, spec.visual.map.shadowclip, spec.visual.map.znear = 2048, 4.0, 0.02
    root = next(iter(spec.worldbody.bodies))
    if CAMERA not in [camera.name for camera in spec.cameras]:
        camera = root.add_camera(name=CAMERA, mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM, pos=[0, -2.6, 0.4])
        axes = np.array([[1.0, 0, 0], [0, 0.22, 0.975], [0, -0.975, 0.22]]).T
        mujoco.mju_mat2Quat(camera.quat, axes.reshape(-1))


def _texture(
    spec: mujoco.MjSpec,
    name: str,
    kind: mujoco.mjtTexture,
    builtin: mujoco.mjtBuiltin,
    first: tuple[float, float, float],
    second: tuple[float, float, float],
) -> mujoco.MjsTexture:
    size = 256 if kind == mujoco.mjtTexture.mjTEXTURE_SKYBOX else 300
    found = spec.add_texture(name=name, type=kind, builtin=builtin, width=size, height=size)
    found.rgb1, found.rgb2 = first, second
    return found
