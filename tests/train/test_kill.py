"""kill -9 at random moments, saves among them: nothing before the last finished save is ever lost.

Three moments; `AWR_MJX_KILLS=20` makes them twenty.
"""

import json
import os
import pathlib
import subprocess
import time

import numpy as np

from awr_mjx.train.engine import restoring
from awr_mjx.train.main import main
from tests.runs import PER_ITERATION, SMALL, about, here, restored, same, train, training

KILLS = int(os.environ.get("AWR_MJX_KILLS", "3"))


def logged(run: pathlib.Path) -> list[int]:
    """Env steps of the training's lines in the log, of which the newest may be half a line."""
    *lines, rest = (run / "metrics.jsonl").read_text().split("\n")
    every = [json.loads(line) for line in lines] + ([] if rest == "" else [{}])
    return [values["env_steps"] for values in every if "reward_per_step" in values]


def test_kill_9_loses_at_most_the_work_since_the_last_finished_save(tmp_path: pathlib.Path) -> None:
    """Each resume starts from the newest finished save, and in the end all is as in a run that was never killed."""
    run, rng = tmp_path / "run", np.random.default_rng(0)
    args = [*SMALL, "--num_steps", str(10**9), "--checkpoint_seconds", "0.05", "--run_dir", str(run)]
    newest, resumes = 0, 0
    for kill in range(KILLS):
        with training(*args, stdout=subprocess.DEVNULL) as process:
            early = kill % 5 == 4  # while it starts, too
            end = time.monotonic() + 120
            while not early and max(restoring.steps(run), default=0) <= newest and process.poll() is None:
                assert time.monotonic() < end, "waited in vain"
                time.sleep(0.01)
            time.sleep(float(rng.uniform(0, 4 if early else 0.5)))
            assert process.poll() is None
            process.kill()
            assert process.communicate()[1] == ""
        history = about(run).get("resumed", [])
        if len(history) > resumes:  # it was killed after it had begun to train again
            assert history[-1]["env_steps"] == newest
            resumes = len(history)
        newest = restoring.steps(run)[-1]
        steps = logged(run)
        assert steps == [PER_ITERATION * (i + 1) for i in range(len(steps))]
        assert steps[-1] >= newest
        args = ["--resume", str(run)]
    assert resumes > 0
    end_at = newest + 2 * PER_ITERATION
    assert here(main, "--resume", run, "--num_steps", end_at).returncode == 0
    assert logged(run) == list(range(PER_ITERATION, end_at + 1, PER_ITERATION))
    assert not list((run / "checkpoints").glob("*tmp*"))
    train(tmp_path / "whole", end_at // PER_ITERATION)
    step, leaves = restored(run)
    assert step == end_at
    same(leaves, restored(tmp_path / "whole")[1])
