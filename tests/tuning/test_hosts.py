"""One study, workers on hosts of their own: one is killed, one is cut off, and no place is lost."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url

from mlops_tasks.tuning.study import WORKER, open_study, read, unsettled
from tests.tuning.databases import postgres
from tests.tuning.hosts import SERVER, hosts
from tests.tuning.test_study import counts
from tests.tuning.world import World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PLACES, NAP = 36, 0.5


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_study_survives_hosts_that_are_killed_and_cut_off(tmp_path: Path) -> None:
    with contextlib.ExitStack() as running:
        here = running.enter_context(postgres())
        folder = make_url(here).query["host"]
        three = running.enter_context(hosts(3, f"{folder}/.s.PGSQL.5432"))
        there = f"postgresql+psycopg://postgres@{SERVER}/postgres"
        world = World(tmp_path / "shared", here)
        search = world.search(nap=NAP)
        study = open_study(search)
        workers = {
            host.name: world.worker(
                PLACES, folder=tmp_path / host.name, prefix=host.prefix, ledger=there, nap=NAP
            )
            for host in three
        }
        for worker in workers.values():
            running.callback(worker.kill)

        def doing() -> Counter[str]:
            return Counter(each.user_attrs.get(WORKER, "/").split("/")[0] for each in read(study))

        until(lambda: all(doing()[host.name] for host in three))
        killed, cut, whole = three
        workers[killed.name].kill()
        cut.unplug()
        lost = doing()

        out, said = workers[whole.name].communicate(timeout=300)
        assert workers[whole.name].returncode == 0, said
        known = read(study)
        assert unsettled(known, PLACES) == []
        assert counts(search) == dict.fromkeys(range(PLACES), 1), "no place twice, none missing"
        assert int(out) >= PLACES - lost[killed.name] - lost[cut.name]
        _, said = workers[cut.name].communicate(timeout=300)
        assert workers[cut.name].returncode == 1
        assert b"the database of studies does not answer" in said or b"ledger cannot" in said, said
