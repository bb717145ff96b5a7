"""Others' clips: each layout from known numbers, and what is in a file that is no clip."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from awr_mjx.envs.imitation import readers
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.errors import BadClip
from awr_mjx.envs.imitation.readers import Order
from tests.envs.imitation.made import G1, HINGES, about, column, needs_g1, pickled, robot
from tests.reference import REFERENCE

T = 4
YAW = np.linspace(0.5, 1.1, T)
ROOT = np.column_stack([np.linspace(0, 1, T), np.linspace(0, -0.3, T), np.full(T, 0.6)])
TURN = np.array([about((0, 0, 1), yaw) for yaw in YAW])
# Of each joint its own number, and of each frame another hundredth.
ANGLES = np.arange(1, 5) / 10 + np.arange(T)[:, None] / 100
WANTED = np.concatenate([ROOT, TURN, ANGLES], axis=1)
XYZW = np.roll(TURN, -1, axis=1)


@pytest.fixture
def hinged(tmp_path: pathlib.Path) -> Character:
    """A robot of four hinges."""
    return robot(tmp_path, neck=False)


def read(place: pathlib.Path, of: Character, fps: float = 0.0, order: Order | None = None) -> None:
    """The file holds WANTED at 50 frames per second, and no loop."""
    found = readers.read(place, of, fps, order)
    np.testing.assert_allclose(found.qpos, WANTED, atol=1e-12)
    assert (found.fps, found.loop, found.joint_names) == (50.0, False, of.joint_names)


def saved(place: pathlib.Path, **arrays: Any) -> pathlib.Path:
    np.savez(place / "clip.npz", **arrays)
    return place / "clip.npz"


def text(place: pathlib.Path, rows: np.ndarray) -> pathlib.Path:
    np.savetxt(place / "clip.csv", rows, delimiter=",", fmt="%.17g")
    return place / "clip.csv"


def dumped(place: pathlib.Path, values: Mapping[str, Any], version: int = 2) -> pathlib.Path:
    (place / "clip.pkl").write_bytes(pickled(values, version))
    return place / "clip.pkl"


def test_the_robot_is_as_the_numbers_below_say(hinged: Character) -> None:
    assert hinged.joint_names == ("root", *HINGES)
    assert hinged.model.nq == WANTED.shape[1]


@pytest.mark.parametrize("order", ["wxyz", "xyzw"])
def test_csv_in_either_order(order: Order, hinged: Character, tmp_path: pathlib.Path) -> None:
    place = text(tmp_path, np.concatenate([ROOT, TURN if order == "wxyz" else XYZW, ANGLES], axis=1))
    read(place, hinged, 50.0)  # it is recognised,
    read(place, hinged, 50.0, order)  # or said


def test_csv_of_a_robot_that_is_always_turned_round_needs_the_order(hinged: Character, tmp_path: pathlib.Path) -> None:
    """Turned by pi about z, (0, 0, 0, 1), it is upright whichever way that is read."""
    rows = WANTED.copy()
    rows[:, 3:7] = (0, 0, 0, 1)
    place = text(tmp_path, rows)
    with pytest.raises(BadClip, match="give --quaternion wxyz, or xyzw"):
        readers.read(place, hinged, 50.0)
    np.testing.assert_array_equal(readers.read(place, hinged, 50.0, "wxyz").qpos[:, 3:7], [(0, 0, 0, 1)] * T)
    np.testing.assert_array_equal(readers.read(place, hinged, 50.0, "xyzw").qpos[:, 3:7], [(1, 0, 0, 0)] * T)


def test_mjlabs_npz(hinged: Character, tmp_path: pathlib.Path) -> None:
    bodies = {"body_pos_w": np.stack([ROOT, ROOT + 1], axis=1), "body_quat_w": np.stack([TURN, TURN[::-1]], axis=1)}
    read(saved(tmp_path, fps=np.array([50]), joint_pos=ANGLES, joint_vel=ANGLES, **bodies), hinged)
    read(saved(tmp_path, joint_pos=ANGLES, **bodies), hinged, 50.0)


def test_joints_that_are_named_may_be_in_another_order(hinged: Character, tmp_path: pathlib.Path) -> None:
    other = [2, 0, 3, 1]
    bodies = {"body_pos_w": ROOT[:, None], "body_quat_w": TURN[:, None]}
    names = np.array(HINGES)[other]
    read(saved(tmp_path, fps=[50], joint_pos=ANGLES[:, other], joint_names=names, **bodies), hinged)
    read(saved(tmp_path, fps=[50], joint_pos=ANGLES, joint_names=np.array(HINGES, bytes), **bodies), hinged)


def test_holosomas_npz_has_the_root_among_the_joints(hinged: Character, tmp_path: pathlib.Path) -> None:
    read(saved(tmp_path, fps=50, joint_pos=WANTED, joint_names=np.array(HINGES)), hinged)


def test_loco_mujocos_npz(hinged: Character, tmp_path: pathlib.Path) -> None:
    read(saved(tmp_path, qpos=WANTED, qvel=WANTED, frequency=50.0), hinged)
    read(saved(tmp_path, qpos=WANTED, frequency=50.0, joint_names=np.array(hinged.joint_names)), hinged)
    read(saved(tmp_path, qpos=WANTED, frequency=50.0, metadata=np.array([None])), hinged)  # nobody needs that


def test_our_npz(hinged: Character, tmp_path: pathlib.Path) -> None:
    read(saved(tmp_path, fps=50.0, qpos=WANTED, joint_names=np.array(hinged.joint_names), loop=False), hinged)


@pytest.mark.parametrize("version", [2, 5])
def test_gmrs_pickle(version: int, hinged: Character, tmp_path: pathlib.Path) -> None:
    values = {"fps": 50, "root_pos": ROOT, "root_rot": XYZW, "dof_pos": ANGLES, "local_body_pos": None}
    place = dumped(tmp_path, values, version)
    read(place, hinged)
    place.write_bytes(place.read_bytes().replace(b"numpy._core", b"numpy.core"))  # as NumPy 1 called it
    read(place, hinged)
    read(dumped(tmp_path, values | {"link_body_list": ["a", "b"], "fps": np.array(50.0)}, version), hinged)


def test_mimickits_pickle_has_rotation_vectors_of_balls(tmp_path: pathlib.Path) -> None:
    of = robot(tmp_path)
    nod = np.array([0.3, -0.2, 0.1])
    frames = np.concatenate([ROOT, np.outer(YAW, [0, 0, 1]), ANGLES, np.tile(nod, (T, 1))], axis=1)
    frames[1, -3:] = 0
    found = readers.read(dumped(tmp_path, {"fps": 50, "loop_mode": 1, "frames": frames.tolist()}), of)
    np.testing.assert_allclose(found.qpos[:, :11], WANTED, atol=1e-12)
    angle = np.linalg.norm(nod)
    head = np.array([about(nod / angle, float(angle)) if frame != 1 else (1, 0, 0, 0) for frame in range(T)])
    np.testing.assert_allclose(found.qpos[:, column(of, "neck") :], head, atol=1e-12)
    assert found.loop
    assert not readers.read(dumped(tmp_path, {"fps": 50, "loop_mode": 0, "frames": frames}), of).loop


def test_a_pickle_with_code_in_it_runs_nothing(hinged: Character, tmp_path: pathlib.Path) -> None:
    mark, place = tmp_path / "mark", tmp_path / "clip.pkl"
    for module, name in (
        ("posix", "system"),
        ("builtins", "eval"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
    ):
        place.write_bytes(f"c{module}\n{name}\n(S'touch {mark}'\ntR.".encode())
        with pytest.raises(BadClip, match=f"it would run {module}.{name}, and only arrays") as caught:
            readers.read(place, hinged)
        assert str(caught.value).startswith(f"{place}: ")
        assert not mark.exists()


def test_bytes_in_a_pickle_are_of_one_encoding(hinged: Character, tmp_path: pathlib.Path) -> None:
    (tmp_path / "clip.pkl").write_bytes(b"c_codecs\nencode\n(X\x01\0\0\0aX\x04\0\0\0zlibtR.")
    with pytest.raises(BadClip, match="it holds text in zlib, and only arrays"):
        readers.read(tmp_path / "clip.pkl", hinged)


REFUSED: list[tuple[str, Callable[[pathlib.Path], Any], str]] = [
    ("clip.bvh", lambda place: place.touch(), "ends in .bvh: a clip is npz"),
    ("clip", lambda place: place.touch(), "ends in nothing"),
    ("clip.csv", lambda place: None, "there is no file "),
    ("clip.npz", lambda place: place.mkdir(), "is a folder: name a file"),
    ("clip.csv", lambda place: place.touch(), "is empty"),
    ("clip.csv", lambda place: place.write_text("x,y,z\n1,2,3\n"), "rows of numbers without a header: "),
    ("clip.csv", lambda place: place.write_text("1,2,3\n4,5\n"), "cannot be read"),
    ("clip.csv", lambda place: place.write_bytes(b"\xff\xfe1,2"), "cannot be read"),
    ("clip.csv", lambda place: text(place.parent, WANTED[:, :6]), "has 6 columns"),
    ("clip.csv", lambda place: text(place.parent, WANTED[:, :10]), "has 3 joint angles a frame, and robot 4 numbers"),
    ("clip.csv", lambda place: text(place.parent, WANTED[:1]), "has 1 frame: "),
    (
        "clip.csv",
        lambda place: text(place.parent, np.where(WANTED == 1, np.nan, WANTED)),
        "not finite in 1 of 4 frames",
    ),
    ("clip.csv", lambda place: text(place.parent, WANTED / 2), "a quaternion of length 0.5 in frame 0, numbers 3 to 6"),
    (
        "clip.csv",
        lambda place: text(place.parent, np.tile([0, 0, 1, 0.2] + [0] * 7, (2, 1))),
        "a quaternion of length 0.2",
    ),
    ("clip.npz", lambda place: saved(place.parent, qpos=WANTED), "has qpos: a clip is npz"),
    ("clip.npz", lambda place: saved(place.parent), "has nothing: "),
    (
        "clip.npz",
        lambda place: saved(place.parent, qpos=WANTED[:, :9], frequency=50),
        "has 9 numbers a frame, and the robot 11",
    ),
    ("clip.npz", lambda place: saved(place.parent, qpos=np.array([None]), frequency=50), "holds qpos as a pickle"),
    (
        "clip.npz",
        lambda place: saved(place.parent, qpos=WANTED, frequency=50, joint_names=np.array(["a", "b", "c", "d"])),
        "a is the clip's alone, left_hip is the robot's alone",
    ),
    (
        "clip.npz",
        lambda place: saved(place.parent, fps=50, joint_pos=WANTED, joint_names=np.array(["a", "b", "c", "d"])),
        "a is the clip's alone, left_hip is the robot's alone",
    ),
    ("clip.npz", lambda place: saved(place.parent, fps=50, joint_pos=ANGLES), "has fps, joint_pos: a clip is"),
    (
        "clip.npz",
        lambda place: saved(place.parent, fps=50, joint_pos=ANGLES, body_pos_w=ROOT, body_quat_w=TURN),
        "cannot be read",
    ),
    ("clip.pkl", lambda place: place.touch(), "cannot be read: EOFError"),
    ("clip.pkl", lambda place: place.write_bytes(pickled({"fps": 50, "dof_pos": ANGLES})[:-40]), "cannot be read"),
    ("clip.pkl", lambda place: dumped(place.parent, {"frames": [0]}), "neither MimicKit's nor GMR's"),
    ("clip.pkl", lambda place: dumped(place.parent, {"fps": 50, "poses": [0]}), "has fps, poses: a clip is"),
    ("clip.pkl", lambda place: dumped(place.parent, {"fps": 50, "frames": [0]}), "has 1 numbers a frame"),
    ("clip.pkl", lambda place: dumped(place.parent, {"fps": 50, "frames": np.zeros((3, 9))}), "has 9 numbers a frame"),
    (
        "clip.pkl",
        lambda place: dumped(place.parent, {"fps": 0, "frames": np.zeros((3, 10))}),
        "has 0 frames per second",
    ),
    ("clip.pkl", lambda place: dumped(place.parent, {"fps": "x", "frames": np.zeros((3, 10))}), "has fps ['x']"),
    (
        "clip.npz",
        lambda place: saved(place.parent, qpos=WANTED, frequency=50.0, split_points=[0, 1, len(WANTED)]),
        "holds 2 motions: write each into a file of its own",
    ),
    ("clip.npz", lambda place: saved(place.parent, qpos=WANTED[:2], frequency=50.0), "lasts 0.02 s: that must be two"),
    ("clip.npz", lambda place: place.write_bytes(b"no archive at all"), "cannot be read: it is no npz"),
    (
        "clip.pkl",
        lambda place: dumped(place.parent, {"fps": 50, "root_pos": ROOT, "root_rot": XYZW[1:], "dof_pos": ANGLES}),
        "cannot be read",
    ),
]


@pytest.mark.parametrize(
    ("name", "write", "words"), REFUSED, ids=[f"{i} {row[2][:20]}" for i, row in enumerate(REFUSED)]
)
def test_what_is_no_clip_is_refused(
    name: str, write: Callable[[pathlib.Path], Any], words: str, hinged: Character, tmp_path: pathlib.Path
) -> None:
    write(tmp_path / name)
    with pytest.raises(BadClip) as caught:
        readers.read(tmp_path / name, hinged, 50.0 if name.endswith("csv") else 0.0)
    assert words in str(caught.value)
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_the_rate_is_the_files_or_else_the_one_given(hinged: Character, tmp_path: pathlib.Path) -> None:
    place = saved(tmp_path, qpos=WANTED, frequency=50.0)
    read(place, hinged, 30.0, "xyzw")  # what a file says counts
    with pytest.raises(BadClip, match="does not say how many frames a second has: give --fps"):
        readers.read(text(tmp_path, WANTED), hinged)


def test_endings_may_be_in_capitals(hinged: Character, tmp_path: pathlib.Path) -> None:
    read(text(tmp_path, WANTED).rename(tmp_path / "CLIP.CSV"), hinged, 50.0)


@needs_g1
@pytest.mark.parametrize("name", ["g1_walk", "g1_dance"])
def test_clips_of_a_g1(name: str) -> None:
    from awr_mjx.envs.imitation import mjcf

    of = mjcf.character(G1)
    found = readers.read(REFERENCE / "g1" / f"{name}.csv", of, 30.0)
    rows = np.array([line.split(",") for line in (REFERENCE / "g1" / f"{name}.csv").read_text().split()], float)
    np.testing.assert_allclose(np.abs((found.qpos[:, 3:7] * rows[:, 3:7]).sum(axis=1)), 1, atol=1e-6)
    np.testing.assert_array_equal(found.qpos[:, [0, 1, 2, *range(7, 36)]], rows[:, [0, 1, 2, *range(7, 36)]])
    assert found.seconds == pytest.approx(149 / 30)
