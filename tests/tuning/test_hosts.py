"""One study, workers on hosts of their own: one is killed, one is cut off, and no place is lost."""

import contextlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from mlops_tasks.tuning.standing import standing
from mlops_tasks.tuning.study import ERROR, SLOT, WORKER, open_study, read, tidy, unsettled
from tests.deployments.conftest import until
from tests.tuning.hosts import ADDRESS, hosts
from tests.tuning.test_study import counts
from tests.tuning.world import ROOT, World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PLACES = 36
WORDS = {"nap": 0.5, "grace_seconds": 8}  # a machine under load must not look dead
ZONES = ("Asia/Karachi", "UTC", "America/Phoenix")
HOLD = """
import sys, time
from pathlib import Path
from sqlalchemy import text
from mlops_tasks.governance.ledger import Ledger
from mlops_tasks.tuning.storage import open_storage
from tests.tuning.world import World
storage = open_storage(World(Path(sys.argv[1]), sys.argv[2]).settings().stack, 60)
with Ledger(sys.argv[2]).writing(), storage.engine.begin() as connection:
    connection.execute(text("SELECT * FROM trials FOR UPDATE"))
    print("held", flush=True)
    time.sleep(3600)
"""


def test_a_study_survives_hosts_that_are_killed_and_cut_off(tmp_path: Path) -> None:
    with contextlib.ExitStack() as running:
        here, three = running.enter_context(hosts(3))
        world = World(tmp_path / "shared", here)
        search = world.search(**WORDS)
        study = open_study(search)
        workers = {
            host.name: world.worker(
                PLACES,
                folder=tmp_path / host.name,
                prefix=host.prefix(zone),
                ledger=ADDRESS,
                **WORDS,
            )
            for host, zone in zip(three, ZONES, strict=True)
        }
        for worker in workers.values():
            running.callback(worker.communicate)
            running.callback(worker.kill)

        def doing() -> Counter[str]:
            return Counter(each.user_attrs.get(WORKER, "/").split("/")[0] for each in read(study))

        until("a host does nothing", lambda: all(doing()[host.name] for host in three))
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
        found = standing(study, search, PLACES)
        assert (found.left, sum(found.counts.values())) == (0, PLACES)
        assert not [each for each in known if ERROR in each.user_attrs]
        again = [each.user_attrs.get(WORKER, "/") for each in known if each.state.name == "FAIL"]
        assert {each.split("/")[0] for each in again} <= {killed.name, cut.name, ""}
        assert len(again) <= 2, "only what the lost hosts were at is done again"
        _, said = workers[cut.name].communicate(timeout=300)
        assert workers[cut.name].returncode == 1
        assert b"the database of studies does not answer" in said or b"ledger cannot" in said, said


@pytest.mark.timeout(240)
def test_what_a_host_holds_that_is_cut_off_comes_free(tmp_path: Path) -> None:
    with contextlib.ExitStack() as running:
        here, (cut,) = running.enter_context(hosts(1))
        search = World(tmp_path, here).search()
        study = open_study(search)
        tidy(study, search, 2)
        command = [*cut.prefix(), sys.executable, "-c", HOLD, str(tmp_path), ADDRESS]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "MLOPS_REGION": "eu"}
        holder = running.enter_context(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        )
        running.callback(holder.kill)
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        cut.unplug()
        tidy(study, search, 3)
        assert sorted(trial.user_attrs[SLOT] for trial in read(study)) == [0, 1, 2]
        assert study.ask().user_attrs[SLOT] == 0
        assert holder.poll() is None, "it was not the process that let go"
