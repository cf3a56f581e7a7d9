"""What servers and monitors need lies under the seal of the package."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_tasks.drift.profile import Profile
from mlops_tasks.governance.record import ACTOR, actor
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.release import open_release, write_release
from mlops_tasks.registry.serving_files import ServingFiles, read_serving_files
from tests.registry.life import PROJECT, Life

FILES = {"serving.json", "model.onnx", "profile.json"}


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ACTOR, "trainer@x.org")
        actor.cache_clear()
        life = Life(tmp_path_factory.mktemp("life"))
        life.people()
        life.train(40)
        yield life
    actor.cache_clear()


def test_a_version_gives_back_what_was_sealed_with_it(life: Life) -> None:
    stack = life.settings().stack
    client = connect(stack)
    release = open_release(client, stack, client.get_model_version(PROJECT, "1"))

    form, profile = release.files.form, release.files.profile
    assert form is not None
    assert [each.name for each in form.features] == ["x", "y"]
    assert form.predictor == "onnx"
    assert release.files.onnx is not None
    assert isinstance(profile, Profile)
    assert profile.columns == ("x", "y", "score")
    run = client.get_run(release.run_id)
    package = Path(run.info.artifact_uri.removeprefix("file://")) / "package"
    assert {each.name for each in package.iterdir()} >= FILES


def test_the_same_evidence_gives_the_same_files(life: Life, tmp_path: Path) -> None:
    evidence = life.evidence(40)
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_release(life.settings(), evidence, tmp_path / name)
        found.append(read_serving_files(tmp_path / name / "package"))

    assert found[0] == found[1]
    assert None not in (found[0].form_content, found[0].onnx, found[0].profile_content)


def test_an_older_package_has_none_of_them(tmp_path: Path) -> None:
    found = read_serving_files(tmp_path)

    assert found == ServingFiles()
    assert (found.form, found.profile) == (None, None)
