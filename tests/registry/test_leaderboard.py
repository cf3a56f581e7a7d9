"""What `mlops compare` shows: the runs of a project, and the versions of the stage in question."""

from pathlib import Path

from mlops_tasks.registry.leaderboard import leaderboard
from tests.registry.life import Life


def test_versions_are_those_of_the_stage_that_is_asked_about(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.people()
    dev = life.settings()
    prod = dev.model_copy(update={"stack": dev.stack.model_copy(update={"stage": "prod"})})

    developed = life.train(40)
    trained = [life.register(life.evidence(leaf, prod), prod) for leaf in (20, 10)]
    assert [each.model for each in (developed, *trained)] == ["demo", "demo.prod", "demo.prod"]

    here = {row.run_id: row.version for row in leaderboard(dev)}
    there = {row.run_id: row.version for row in leaderboard(prod)}
    assert here == {developed.run_id: 1} | {each.run_id: None for each in trained}
    assert there == {developed.run_id: None, trained[0].run_id: 1, trained[1].run_id: 2}
