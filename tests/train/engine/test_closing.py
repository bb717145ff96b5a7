"""The commands with which a training ends can be typed."""

import pathlib
import sys
from typing import Any

import pytest

from envs import registry
from tests.tasks import Chain
from train.engine.closing import next_steps

RUN = pathlib.Path("checkpoints/a run")


def test_a_task_that_every_program_knows() -> None:
    class Drawn(Chain):
        def picture(self, *_: Any) -> None:
            pass

    ship = "ship:  python -m train.export --run 'checkpoints/a run' --out policy.npz"
    assert next_steps(RUN, "cartpole", Chain(), stopped=False) == [ship]
    look = "look:  python -m train.render --run 'checkpoints/a run' --out lunar_lander.mp4"
    assert next_steps(RUN, "lunar_lander", Drawn(), stopped=False) == [look, ship]
    go_on = "go on: python -m train.main --resume 'checkpoints/a run'"
    assert next_steps(RUN, "brax/ant", Chain(), stopped=True) == [go_on, ship]


@pytest.mark.parametrize("name", ["mine", "cartpole"])
def test_a_task_that_only_the_users_program_knows(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert registry.comes_along("cartpole")
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    registry.register(name, Chain)
    monkeypatch.setattr(sys, "argv", ["my programs/mine.py"])
    go_on, rest = next_steps(RUN, name, Chain(), stopped=True)
    assert go_on == "go on: python 'my programs/mine.py' --resume 'checkpoints/a run'"
    assert f"registers {name!r}" in rest
    assert "python -m" not in rest
