"""Processes that ask one study for trials at the same moments: each trial goes to one of them."""

import contextlib
import multiprocessing
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mlops_tasks.tuning.study import SLOT, open_study, tidy
from tests.tuning.databases import postgres
from tests.tuning.world import World

SPAWN = multiprocessing.get_context("spawn")
ASKING, PLACES = 4, 60


def claim(folder: Path, ledger: str, together: Any, answers: Any) -> None:
    study = open_study(World(folder, ledger).search())
    found = []
    for _ in range(PLACES // ASKING):
        together.wait(120)
        trial = study.ask()
        if SLOT in trial.user_attrs:
            found.append(trial.number)
    answers.put(found)


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_two_processes_get_the_same_trial(tmp_path: Path, database: str) -> None:
    with contextlib.ExitStack() as stack:
        ledger = stack.enter_context(postgres()) if database == "postgresql" else ""
        search = World(tmp_path, ledger).search()
        tidy(open_study(search), search, PLACES)
        together, answers = SPAWN.Barrier(ASKING), SPAWN.Queue()
        processes = [
            SPAWN.Process(target=claim, args=(tmp_path, ledger, together, answers))
            for _ in range(ASKING)
        ]
        for process in processes:
            process.start()
        found = [answers.get(timeout=300) for _ in processes]
        for process in processes:
            process.join()
    assert Counter(number for each in found for number in each) == dict.fromkeys(range(PLACES), 1)
