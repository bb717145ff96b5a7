"""A folder in which what README and docs tell one to type can be done: its runs, sets and settings are small."""

import functools
import importlib.util
import pathlib
import shutil

from awr_mjx.train import clip, main, record
from awr_mjx.train.engine import restoring
from tests.reference import REFERENCE
from tests.runs import copied, here
from tests.test_readme import ROOT
from tests.trained import make_run

ASSETS = ROOT / "awr_mjx" / "envs" / "imitation" / "assets"
ROBOTS = {"ant", "halfcheetah", "hopper", "walker2d", "humanoid", "lunar_lander", "cartpole", "TASK", "NAME"}
QUICK = "inverted_pendulum"  # which is trained in their place
NETWORKS = "--policy_hidden 8 --value_hidden 8 --batch_size 32 --policy_updates 6 --value_updates 4".split()
ONLINE = "--num_envs 8 --rollout_steps 8 --buffer_blocks 8 --devices 1".split()
EVALUATED = "--eval_envs 2 --num_evals 1".split()
STEPS = 512
# What makes each program's work small. Of an option that is there twice the last counts.
SMALL = {
    "evaluate": ["--episodes", "2"],
    "transfer": ["--episodes", "2"],
    "render": ["--seconds", "0.2"],
    "record": ["--steps", "200"],
    "data fqe": ["--steps", "50", "--networks", "2"],
    "benchmark train": ["--seeds", "1", "--minutes", "0.01"],
    "benchmark ablations": ["--seeds", "1", "--num_steps", "4096", "--at_once", "2"],
    "benchmark loop": ["--num_envs", "32", "--repeats", "1"],
    "benchmark physics": ["--num_envs", "8", "--steps", "1", "--repeats", "1"],
    "benchmark sweep": ["--seeds", "2", "--num_steps", "128"],
    "benchmark gpu": [
        *"--env inverted_pendulum --physics inverted_pendulum --num_envs 32".split(),
        "--train_minutes",
        "0.01",
    ],
}
NEEDED = {"brax": ("peers", "brax/,playground/"), "warp": ("warp",), "minari": ("hopper/best-v0",)}
THEIRS = {"deepmimic": ("DeepMimic/data", "humanoid3d.txt"), "g1": ("mjlab/asset_zoo/robots/unitree_g1/xmls/g1.xml",)}


def missing(args: list[str]) -> str | None:
    """Why a command cannot be tried here, if it cannot."""
    for package, words in NEEDED.items():
        if set(words) & set(args) and importlib.util.find_spec(package) is None:
            return f"needs {package}"
    for name, words in THEIRS.items():
        if set(words) & set(args):
            return f"needs the files of others, {words[0]}: {REFERENCE / name}"
    return "its test is tests/train/benchmarks/test_static.py" if args[:2] == ["benchmark", "static"] else None


def furnish(place: pathlib.Path) -> None:
    """Makes what commands name: runs, sets of data, a robot and its clips, a file of tasks."""
    args = [*NETWORKS, *ONLINE, *EVALUATED, "--num_steps", STEPS, "--run_dir", place / "RUN"]
    assert here(main.main, "--env", QUICK, *args).returncode == 0
    for name in ("demo", "DEMO", "checkpoints/ant-20260101-120000"):
        (place / name).parent.mkdir(exist_ok=True)
        copied(place / "RUN", place / name)
    make_run(place / "HOPPER", "hopper")
    make_run(place / "MARCH", "imitate/march")
    assert here(record.main, "--run", place / "RUN", "--steps", 300, "--out", place / "SET.npz").returncode == 0
    for name in ("SET", "GOOD", "BAD", "good.npz", "bad.npz"):
        shutil.copy(place / "SET.npz", place / name)
    shutil.copy(ASSETS / "humanoid.xml", place / "robot.xml")
    for name in ("walk.npz", "turn.npz", "CLIP.npz"):
        assert here(clip.main, "convert", "march", "--robot", "humanoid", "--out", place / name).returncode == 0
    task = (ROOT / "docs" / "examples" / "my_task.py").read_text()
    (place / "mine.py").write_text(task.replace('register("point"', 'register("mine"'))


@functools.cache
def _steps(run: pathlib.Path) -> list[str]:
    return [str(step) for step in restoring.steps(run)]


def small(page: str, name: str, args: list[str], place: pathlib.Path) -> list[str]:
    """The arguments of a command on a page, with what is here in place of what takes long."""
    kind = f"{name} {args[0]}" if name in ("data", "benchmark") and args else name
    run = "MARCH" if page == "imitation.md" else "HOPPER" if {"--both", "--env.physics"} & set(args) else "RUN"
    instead = {
        "RUN": run,
        "SEED": "0",
        "CLIP": "CLIP.npz",
        "R": "robot.xml",
        "STEP": _steps(place / "RUN")[-1],
        "N": "9",
        "STEPS": "9",
    }
    instead |= {"350208": _steps(place / "demo")[0], "550912": _steps(place / "demo")[-1]}
    trains = kind in ("train", *(f"benchmark {one}" for one in ("train", "ablations", "sweep", "loop")))
    if trains and args != ["--env", "list"]:
        instead |= dict.fromkeys(ROBOTS, QUICK)
    if kind in ("benchmark physics", "check"):
        instead |= {"TASK": "hopper", "NAME": "hopper"}
    found = [instead.get(arg, arg) for arg in args if arg != "..."]
    if name == "record" and "--ring" in args:
        return found
    tiny = ["num_envs=8", "batch_size=16", "policy_updates=2", "value_updates=2", "eval_envs=2"]
    if kind == "benchmark train":
        found += ["--set", *tiny]
    if kind == "benchmark sweep":
        found[found.index("--set") + 1 :] = [*tiny, *found[found.index("--set") + 1 :]]
    if name.startswith("benchmark"):
        runs = [] if kind in ("benchmark loop", "benchmark physics", "benchmark gpu") else ["--folder", _new(place)]
        return [*found, *SMALL[kind], *runs]
    if name == "train" and args != ["--env", "list"]:
        return _training(found, place)
    return [*found, *SMALL.get(kind, [])]


def _training(args: list[str], place: pathlib.Path) -> list[str]:
    if "--resume" in args:
        return [*args, "--num_steps", str(2 * STEPS)]
    if "--from" in args and args[args.index("--from") + 1] == "SET":
        args = ["--env", QUICK, *args]
    collects = [*NETWORKS, *ONLINE, "--num_steps", "128"]
    if "rwr" in args:  # it has no values, and needs whole episodes
        collects = [*NETWORKS[:-2], "--num_envs", "2", "--devices", "1", "--num_steps", "128"]
    learns = [*NETWORKS, "--num_steps", "20"]
    return [*args, *(learns if "--data" in args else collects), *EVALUATED, "--run_dir", _new(place)]


def _new(place: pathlib.Path) -> str:
    return f"new-{len(list(place.iterdir()))}"
