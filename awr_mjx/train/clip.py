"""Looks at a motion clip, rewrites it, and makes a film of it: `python -m train.clip check CLIP --robot R`.

Beside `check` there are `convert CLIP --robot R --out OTHER.npz` and `preview CLIP --robot R --out FILM`.
"""

import dataclasses
import math
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from awr_mjx.envs import graphics
from awr_mjx.train.console import cli, files
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.pictures import film
from awr_mjx.train.pictures.painters import prepare_graphics

if TYPE_CHECKING:  # they import MuJoCo, which must not be before it is known whether there will be pictures
    from awr_mjx.envs.imitation.characters import Character
    from awr_mjx.envs.imitation.clips import Clip
    from awr_mjx.envs.imitation.inspection import Inspection

KINDS = {
    "check": "whether a clip is sound: limits, floor, feet, seam, speeds, bodies inside each other",
    "convert": "write a clip as an npz of ours, or a part of it",
    "preview": "make a film of a clip",
}
MARCH = "march"
FPS_LEAST = 20.0  # with fewer frames the speeds between them are guesses
HEIGHT = 0.03  # m: the lowest point may be so far from the floor (`reference.TOUCHES`)
SLIDE = 0.3  # m/s
SEAM, SEAM_HEIGHT = 0.1, 0.02  # rad; m
FASTEST = 30.0  # rad/s
OVERLAP = 0.01  # m


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which clip, of which robot."""

    clip: tyro.conf.Positional[str]
    """A clip: npz (of several projects), DeepMimic's JSON, CSV, a pickle, or `march`, which is computed."""
    robot: str = "humanoid"
    """Whose clip it is: an MJCF file (.xml), a character file of DeepMimic's (.txt, .json), or `humanoid`, our own."""
    fps: float | None = None
    """Frames per second, where the file does not say."""
    quaternion: Literal["wxyz", "xyzw"] | None = None
    """The order of numbers in a quaternion, where a CSV does not show it."""

    def read(self) -> "tuple[Character, Clip]":
        """Reads the robot and its clip.

        Raises:
          BadCharacter: if the robot cannot imitate.
          BadClip: if the clip cannot be read, or is not the robot's.
        """
        from awr_mjx.envs.imitation import clips, march, readers, robots

        if self.fps is not None and not clips.FPS[0] <= self.fps <= clips.FPS[1]:
            raise UserError(f"fps must be from {clips.FPS[0]:g} to {clips.FPS[1]:g}, not {self.fps:g}")
        found = robots.robot(self.robot)
        if self.clip != MARCH:
            motion = readers.read(pathlib.Path(self.clip), found, self.fps or 0.0, self.quaternion)
            if self.quaternion and pathlib.Path(self.clip).suffix.lower() != ".csv":
                raise UserError(f"the order of the quaternions in {self.clip} is known: leave --quaternion out")
            if self.fps and abs(motion.fps - self.fps) > 1e-6 * self.fps:
                raise UserError(f"{self.clip} says that it has {motion.fps:g} frames per second: leave --fps out")
            return found, motion
        if self.robot != robots.OWN:
            raise UserError(f"the {MARCH} is one of our own humanoid: leave --robot {self.robot} out")
        if self.fps is not None or self.quaternion:
            raise UserError(f"the {MARCH} has {march.FPS} frames per second: leave --fps and --quaternion out")
        return found, march.march(found)


@dataclasses.dataclass(frozen=True)
class Check:
    """Look at a clip."""

    wanted: Annotated[Wanted, tyro.conf.arg(name="")]


@dataclasses.dataclass(frozen=True)
class Convert:
    """Write a clip as an npz of ours."""

    wanted: Annotated[Wanted, tyro.conf.arg(name="")]
    out: pathlib.Path
    """NAME.npz."""
    loop: bool | None = None
    """Whether it goes on from its first frame; as the file says, or, of a part, false, if not given."""
    up: Annotated[float, tyro.conf.arg(name="raise")] = 0.0
    """What to add to the root's height (m)."""
    start: float | None = None
    """Leave out what is before this time (s), to the nearest frame."""
    end: float | None = None
    """Leave out what is after this time (s), to the nearest frame."""

    def validate(self) -> None:
        """Raises UserError for the first setting that makes no sense."""
        if self.out.suffix.lower() != ".npz":
            raise UserError(f"out must end in .npz, not {self.out.suffix or 'nothing'}")
        if not math.isfinite(self.up):
            raise UserError(f"raise must be a number of m, not {self.up}")
        start, end = self.start or 0.0, math.inf if self.end is None else self.end
        if not 0 <= start < end:
            raise UserError(f"start must be from 0 s and before end, not {start:g} and {end:g}")
        files.check_writable(self.out, "name another file with --out")
        files.refuse_clashes({"--out": self.out}, [self.wanted.clip])


@dataclasses.dataclass(frozen=True)
class Preview:
    """Make a film of a clip, of three cycles if it is a loop."""

    wanted: Annotated[Wanted, tyro.conf.arg(name="")]
    out: pathlib.Path
    """File to write: .mp4, .gif, or .png for a sheet of 8 frames spread over the time."""
    width: int | None = None
    """Pixels of a frame; even for .mp4. If not given 1280 (.gif 480, .png 640)."""
    height: int | None = None
    """Pixels of a frame; even for .mp4. If not given 720 (.gif 270, .png 360)."""

    def validate(self) -> None:
        """Raises UserError for the first setting that makes no sense."""
        film.RenderConfig(pathlib.Path(), width=self.width, height=self.height).validate(self.out.suffix.lower())
        files.check_writable(self.out, "name another file with --out")


def main() -> int:
    """Does what the first argument names."""
    does: cli.Does = {"check": (Check, check), "convert": (Convert, convert), "preview": (Preview, preview)}
    return cli.run(KINDS, does, program("clip"), "CLIP")


def check(config: Check) -> int:
    """Prints what is to be known of a clip, a line each, which begins with whether that is sound."""
    graphics.do_without()
    robot, motion = config.wanted.read()
    from awr_mjx.envs.imitation import inspection

    for words in robot.left_out:
        print(f"look  robot: {words}")
    for sound, words in described(inspection.inspect(robot, motion)):
        print(f"{'ok' if sound else 'look':<5} {words}")
    return 0


def described(seen: "Inspection") -> Iterator[tuple[bool, str]]:
    """What `inspect` found, a line each, with whether it is sound."""
    few = "" if seen.fps >= FPS_LEAST else ": speeds between so few are guesses"
    yield not few, f"duration: {_frames(seen.frames, seen.fps, seen.seconds, seen.loop)}{few}"
    if seen.beyond:
        yield (
            False,
            f"joint limits: {seen.beyond} of {seen.frames} frames beyond, the worst {seen.beyond_joint} by "
            f"{seen.beyond_most:.3f} rad",
        )
    else:
        yield True, "joint limits: no joint beyond"
    low = f"height: lowest point {seen.lowest:z.3f} m, median {seen.lowest_median:z.3f} m"
    if abs(seen.lowest) > HEIGHT:
        yield False, f"{low}; --raise {seen.to_floor:z.3f} puts the lowest on the floor"
    else:
        yield True, f"{low}; the lowest is on the floor with {seen.to_floor:+z.3f} m"
    if seen.slide_body:
        slide = f"{seen.slide:z.3f} m/s at most, {seen.slide_body} at {seen.slide_frame / seen.fps:.2f} s"
        yield seen.slide <= SLIDE, f"feet: slide at {slide}"
    else:
        yield False, "feet: nothing that may touch the floor stands on it"
    yield _seam(seen)
    jumps = ", ".join(f"{frame / seen.fps:.2f} s" for frame in seen.jumps[:5]) + ", ..." * (len(seen.jumps) > 5)
    count = f"{len(seen.jumps)} jump{'s' * (len(seen.jumps) > 1)}"
    speed = (
        f"speed: {seen.fastest:z.1f} rad/s at most, {seen.fastest_joint}"
        if seen.fastest_joint
        else "speed: no joint moves"
    )
    yield (
        seen.fastest <= FASTEST and not seen.jumps,
        f"{speed}; {f'{count}, at {jumps}' if seen.jumps else 'no jumps'}",
    )
    if seen.overlap_bodies:
        pair = " and ".join(seen.overlap_bodies)
        deep = f"{pair} are {seen.overlap:.3f} m inside each other at {seen.overlap_frame / seen.fps:.2f} s"
        yield seen.overlap <= OVERLAP, f"bodies: {deep}"
    else:
        yield True, "bodies: none inside another"
    floor = f"floor: {', '.join(seen.touching) or 'no body'} may touch it"
    if seen.fallen:
        floor += (
            f"; on its {seen.fallen_body} in {seen.fallen} of {seen.frames} frames, each a fall without --env.touch"
        )
    yield bool(seen.touching) and not seen.fallen, floor


def _seam(seen: "Inspection") -> tuple[bool, str]:
    if not seen.loop:
        return True, "seam: none, for it is no loop"
    closes = seen.seam_angle <= SEAM and seen.seam_tilt <= SEAM and abs(seen.seam_height) <= SEAM_HEIGHT
    joint = f" ({seen.seam_joint})" if seen.seam_angle > SEAM else ""
    how = "closes" if closes else "does not close"
    return closes, (
        f"seam: the pose {how}: joints to {seen.seam_angle:z.3f} rad{joint}, root to {seen.seam_height:z.3f} m in "
        f"height and {seen.seam_tilt:z.3f} rad; a cycle turns by {seen.seam_turn:z.3f} rad"
    )


def _frames(frames: int, fps: float, seconds: float, loop: bool) -> str:
    return f"{frames} frames at {fps:.4g} per second, {seconds:.4g} s, {'a loop' if loop else 'no loop'}"


def convert(config: Convert) -> int:
    """Writes a clip as an npz of ours."""
    config.validate()
    graphics.do_without()
    robot, motion = config.wanted.read()
    from awr_mjx.envs.imitation import readers

    if config.start is not None or config.end is not None:
        motion = _part(motion, config.start or 0.0, motion.seconds if config.end is None else config.end)
        motion = readers.long_enough(motion, robot, "what is left")
    if config.loop is not None:
        motion = dataclasses.replace(motion, loop=config.loop)
    qpos = motion.qpos.copy()
    qpos[:, 2] += config.up
    motion = dataclasses.replace(motion, qpos=qpos)
    with files.replacing(config.out) as part:
        motion.save(part)
    joints = f"{robot.model.njnt - 1} joints of {robot.name}"
    print(f"written to {config.out}: {_frames(len(qpos), motion.fps, motion.seconds, motion.loop)}, {joints}")
    return 0


def _part(motion: "Clip", start: float, end: float) -> "Clip":
    """What is between two times (s); no loop.

    Raises:
      UserError: if that is less than two frames, or not in the clip.
    """
    if not start < end <= motion.seconds + 0.5 / motion.fps:
        raise UserError(
            f"start and end must be in the clip, which lasts {motion.seconds:.4g} s, not {start:g} and {end:g}"
        )
    first, last = round(start * motion.fps), min(round(end * motion.fps), len(motion.qpos) - 1)
    if last <= first:
        raise UserError(f"there is one frame from {start:g} to {end:g} s: a motion has two or more")
    return dataclasses.replace(motion, qpos=motion.qpos[first : last + 1], loop=False)


def preview(config: Preview) -> int:
    """Writes the film and prints what it shows."""
    config.validate()
    if trouble := prepare_graphics():
        raise trouble
    robot, motion = config.wanted.read()
    from awr_mjx.train.pictures.clip_film import film_clip

    count, fps, seconds, (width, height) = film_clip(robot, motion, config.out, config.width, config.height)
    rate = "" if config.out.suffix.lower() == ".png" else f" at {float(fps):.4g} per second"
    print(f"{config.out}: {count} frames{rate}, {seconds:.4g} s, {width}x{height}")
    return 0


if __name__ == "__main__":
    run_program(main)
