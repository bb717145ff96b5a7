"""What other packages print and warn of while they build a task is not shown."""

import pathlib
import types
import warnings
from typing import Any

import mujoco
import pytest

from awr_mjx.envs.adapters import brax_tasks, playground_tasks

DEPRECATED = """
<mujoco><compiler settotalmass="1"/><worldbody><body><geom size="1"/></body></worldbody></mujoco>
"""


def noisy(*_: Any, **__: Any) -> Any:
    print("Failed to import warp")
    mujoco.MjModel.from_xml_string(DEPRECATED)
    warnings.warn("Brax is not actively being maintained", stacklevel=1)


class Config(dict[str, int]):
    """Playground's settings: a dict whose values are attributes too."""

    @property
    def episode_length(self) -> int:
        return self["episode_length"]


@pytest.mark.parametrize(("module", "package"), [(brax_tasks, "_brax"), (playground_tasks, "_playground")])
def test_building_a_task_is_quiet(
    module: Any,
    package: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config(episode_length=10)
    loud = types.SimpleNamespace(get_environment=noisy, load=noisy, get_default_config=lambda _: config)
    monkeypatch.setattr(module, package, lambda: loud)
    monkeypatch.setattr(module, "Adapted", lambda *_, **__: "the task")
    assert module.make("ant") == "the task"  # a warning would be an error here
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())  # MuJoCo's log
