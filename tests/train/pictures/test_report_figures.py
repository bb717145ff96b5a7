"""A report's figures: what they show of runs, what they say is healthy, and that nothing is cut off."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.pictures import diagnostics, figures, theme
from awr_mjx.train.pictures.runs import Groups, Run

STD = 20.0


def run_of(name: str, returns: list[float], values: dict[str, list[float]] | None = None, **awr: Any) -> Run:
    """A run that was evaluated every 1,000 steps and 60 s, and what it has logged then."""
    rows: list[dict[str, float]] = []
    for i, mode in enumerate(returns, 1):
        rows.append({"env_steps": 1000 * i, "mode_return": mode, "mode_return_std": STD, "train_seconds": 60.0 * i})
        rows[-1] |= {key: column[i - 1] for key, column in (values or {}).items()}
    return Run(name, settings.to_dict(TrainConfig(env="ant", seed=ord(name[0]), awr=AwrConfig(**awr))), rows)


def edges(axis: Any) -> tuple[list[float], list[float]]:
    """The lower and the upper edge of a panel's band, where its places are 1, 2 and 3 thousand steps."""
    (band,) = axis.collections
    points = band.get_paths()[0].vertices
    at = [points[abs(points[:, 0] - place) < 0.006, 1] for place in (1, 2, 3)]
    return [float(values.min()) for values in at], [float(values.max()) for values in at]


def heard(axis: Any) -> str:
    """What is written above a panel."""
    return " ".join(" ".join(text.get_text().split()) for text in axis.texts)


def test_the_band_of_one_run_is_the_std_of_its_episodes() -> None:
    drawn = figures.curves({"a": [run_of("a", [100.0, 300.0, 200.0])]})
    (axis,) = drawn.axes
    assert edges(axis) == ([80.0, 280.0, 180.0], [120.0, 320.0, 220.0])
    assert "±" in figures.curves_words({"a": [run_of("a", [1.0, 2.0])]})
    assert "in the physics of training" not in figures.curves_words({"a": [run_of("a", [1.0, 2.0])]})
    fast = dataclasses.replace(run_of("a", [1.0, 2.0]), settings={"eval_physics": "fast", "eval_envs": 64, "seed": 0})
    assert "64 whole episodes of the most likely action, in the physics of training." in figures.curves_words(
        {"a": [fast]}
    )
    (minutes,) = axis.child_axes  # of training, along the top
    drawn.draw_without_rendering()
    assert minutes.get_xlabel() == "minutes of training"
    assert minutes.get_xlim()[1] == pytest.approx(axis.get_xlim()[1])  # a minute for a thousand steps


def test_the_band_of_seeds_is_from_the_lowest_to_the_highest() -> None:
    seeds = [run_of("a", [100.0, 300.0, 200.0]), run_of("b", [400.0, 100.0, 300.0])]
    axis, minutes = figures.curves({"two": seeds}).axes
    low, high = edges(axis)
    assert low == pytest.approx([100, 100, 200], abs=1.5) and high == pytest.approx([400, 300, 300], abs=1.5)
    mean = axis.lines[-1]
    assert np.interp([1, 2, 3], *mean.get_data()) == pytest.approx([250.0, 200.0, 250.0], abs=1.0)
    assert minutes.get_xlabel() == "minutes of training"
    words = figures.curves_words({"two": seeds})
    assert "lowest to the highest" in words and "±" not in words
    assert figures.named("two", seeds) == "two (2 seeds)"
    assert figures.named("two", [seeds[0], seeds[0]]) == "two (2 runs)"


def test_where_nothing_was_evaluated_twice_there_is_a_row_for_each_group() -> None:
    groups = {"one": [run_of("a", [100.0])], "two": [run_of("b", [300.0]), run_of("c", [500.0])]}
    (axis,) = figures.curves(groups).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["one", "two (2 seeds)"]
    dots = [list(line.get_xdata()) for line in axis.lines if line.get_marker() == "o" and line.get_mfc() != "none"]
    assert dots == [[100.0], [300.0, 500.0]]
    (bar,) = axis.collections
    assert bar.get_segments()[0][:, 0] == pytest.approx([100 - STD, 100 + STD])


@pytest.mark.parametrize(
    ("span", "limits"),
    [((3000, 3200), (0, 3360)), ((-1200, -200), (-1260, 0)), ((-100, 100), (-110, 110)), ((0, 0), (0, 0.05))],
)
def test_returns_are_seen_against_zero(span: tuple[float, float], limits: tuple[float, float]) -> None:
    assert figures.with_zero(*span) == pytest.approx(limits)


def panels(groups: Groups) -> dict[str, Any]:
    """The panels of diagnostics by their titles."""
    return {axis.texts[0].get_text(): axis for axis in diagnostics.draw(groups).axes}


def test_what_is_constant_has_no_panel_but_its_value() -> None:
    values = {"beta": [0.2, 0.2 + 1e-8, 0.2], "kl": [0.1, 0.2, 0.3]}
    groups = {"a": [run_of("a", [1, 2, 3], values)], "b": [run_of("b", [1, 2, 3], values | {"beta": [0.5] * 3})]}
    assert list(panels(groups)) == ["KL of an iteration (nats)"]
    assert diagnostics.words(groups).endswith("Constant, so without a panel: temperature beta 0.2 or 0.5.")
    groups["b"] = [run_of("b", [1, 2, 3], values | {"beta": [0.5, 0.4, 0.3]})]
    assert list(panels(groups)) == ["KL of an iteration (nats)", "Temperature beta"]
    assert "Constant" not in diagnostics.words(groups)


@pytest.mark.parametrize(
    ("beta", "share", "clipped"), [(1.0, 0.40, 0.0014), (0.5, 0.29, 0.0671), (0.3, 0.34, 0.1844), (0.05, 0.47, 0.4404)]
)
def test_what_gaussian_advantages_give(beta: float, share: float, clipped: float) -> None:
    """Shares were worked out apart from this code; a weight is at its limit where A > beta ln 20, by a normal table."""
    found = diagnostics.gaussian(settings.to_dict(TrainConfig(awr=AwrConfig(beta=beta, weight_max=20.0)))["awr"])
    assert found is not None
    assert found[0] == pytest.approx(share, abs=0.006) and found[1] == pytest.approx(clipped, abs=2e-4)


@pytest.mark.parametrize("other", [{"advantage": "raw"}, {"weighting": "uniform"}, {"target_ess": 0.4}])
def test_it_is_known_of_plain_weights_alone(other: dict[str, Any]) -> None:
    assert diagnostics.gaussian(settings.to_dict(TrainConfig(awr=AwrConfig(**other)))["awr"]) is None


def test_each_panel_says_what_is_healthy_under_its_settings() -> None:
    names = [name for name in diagnostics.DIAGNOSTICS if not name.startswith("held_out")]
    values = {name: [0.1, 0.2, 0.3] for name in names}
    found = panels({"a": [run_of("a", [1, 2, 3], values, target_kl=0.25, learn_std=True, std_min=0.05)]})
    assert len(found) == len(names)
    for title, axis in found.items():
        assert len(heard(axis)) > len(title) + 30, f"{title} says nothing"
        assert max(map(len, axis.texts[1].get_text().splitlines())) <= 58 and axis.texts[1].get_text().count("\n") < 3
    kl, std = found["KL of an iteration (nats)"], found["Std of the actions"]
    assert "target_kl (dashed)" in heard(kl) and kl.lines[-1].get_ydata()[0] == 0.25
    assert "floor std_min (dashed)" in heard(std) and std.lines[-1].get_ydata()[0] == 0.05
    free = panels({"a": [run_of("a", [1, 2, 3], values)]})["KL of an iteration (nats)"]
    assert "Without target_kl" in heard(free) and len(free.lines) == 1


def test_a_peak_does_not_flatten_the_rest_and_is_told() -> None:
    kl = [0.1] * 99 + [5.0]
    low = [-40.0] + [0.5] * 99
    found = panels({"a": [run_of("a", [1.0] * 100, {"kl": kl, "explained_variance": low})]})
    assert found["KL of an iteration (nats)"].get_ylim()[1] < 0.2
    assert heard(found["KL of an iteration (nats)"]).endswith("Highest: 5.")
    assert found["Critic: explained variance"].get_ylim()[0] == pytest.approx(-1, abs=0.2)
    assert heard(found["Critic: explained variance"]).endswith("Lowest: -40.")


def test_a_legend_has_whole_names_and_hides_nothing() -> None:
    values = {"kl": [0.1, 0.2, 0.3]}
    names = [f"std {i}, " + "policy_hidden [1024, 512], " * 3 + "weight_max 5" for i in range(10)]
    groups = {name: [run_of("a", [1, 2, 3], values)] for name in names}
    for drawn in (figures.curves(groups), diagnostics.draw(groups)):
        drawn.draw_without_rendering()
        (legend,) = drawn.legends
        assert [" ".join(text.get_text().split()) for text in legend.get_texts()] == names
        box = legend.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= drawn.bbox.x1 and box.y1 <= drawn.bbox.y1
        assert not any(box.overlaps(axis.get_window_extent()) for axis in drawn.axes)
    looks = {tuple(theme.line_of(i).values()) for i in range(len(names))}
    assert len(looks) == len(names)


def test_a_figure_in_a_page_has_the_colours_of_the_page() -> None:
    svg = theme.inline(figures.curves({"a": [run_of("a", [100.0, 300.0])]}), "a &amp; b")
    assert svg.startswith('<svg role="img" aria-label="a &amp; b"')
    assert "var(--c0)" in svg and "var(--ink)" in svg and "var(--grid)" in svg
    assert not any(light in svg for light, _ in theme.COLOURS.values())
    assert ">Mode return: ant</text>" in svg  # text is text, which can be found and read out
