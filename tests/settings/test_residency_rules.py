"""What a policy of residency forbids, all at once, and what counts as being inside a place."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tasks.errors import ResidencyRefused
from mlops_tasks.settings.compose import compose
from mlops_tasks.settings.residency import is_within, without_secrets

SEGMENT = st.text("abcdefghij0123456789-_", min_size=1, max_size=8)
PREFIXES = ("s3://eu", "s3://lake/eu", "https://mlflow.eu/api", "/srv/eu", "file:///srv/eu")


def misplaced(root: Path, *overrides: str) -> list[str]:
    with pytest.raises(ResidencyRefused) as caught:
        compose(root, overrides)
    assert "policy.residency" in caught.value.next_step
    return caught.value.what.split("; ")


def test_the_template_as_it_is_breaks_no_rule(root: Path) -> None:
    settings = compose(root)
    assert settings.misplaced == ()
    assert settings.residency.regions == ("local",)


def test_all_that_is_wrong_is_said_at_once(root: Path) -> None:
    found = misplaced(
        root,
        "stack.regions.compute=us-east-1",
        "stack.regions.registry=''",
        "stack.store='s3://user:hunter22@us-lake/store?key=hunter22'",
        "stack.artifact_root=/srv/elsewhere",
    )
    assert [line.split(" ")[0] for line in found] == [
        "stack.regions.compute",
        "stack.regions.registry",
        "stack.artifact_root",
        "stack.store",
    ]
    assert "may only be in local" in found[0]
    assert "nobody has said where it is" in found[1]
    assert "$MLOPS_HOME" in found[2]
    assert "hunter22" not in "".join(found)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.regions=[]", "data.regions is empty"),
        ("data.classification=''", "data.classification is empty"),
        ("data.classification=personal", "has no such rule, only public"),
        ("~policy.residency", "has no such rule, only none"),
        ("policy.residency.public.regions=[]", "regions is empty: such data may be nowhere"),
        ("policy.residency.public.uri_prefixes=[]", "such data may be kept nowhere"),
        ("policy.residency.public.uri_prefixes=['']", "may only be kept within"),
        ("policy.residency.public.regions=[eu]", "'public' data may only be in eu"),
        ("data.regions=[eu]", "'public' data may only be in local"),
        ("~stack.regions", "stack.regions.storage is empty"),
        ("stack.tracking_uri=http://127.0.0.1:5000", "stack.tracking_uri = "),
    ],
)
def test_what_is_not_allowed_in_words_is_forbidden(root: Path, override: str, said: str) -> None:
    assert any(said in line for line in misplaced(root, override))
    assert compose(root, [override], placed=False), "a rollback needs no place"


def test_two_lists_allow_what_both_allow(root: Path) -> None:
    rules = "policy.residency.public.regions=[eu,local,us]"
    settings = compose(root, [rules, "data.regions=[us,local,mars]"])
    assert settings.residency.regions == ("local", "us")


@pytest.mark.parametrize(
    ("uri", "prefix", "inside"),
    [
        ("s3://eu-copy/x", "s3://eu", False),
        ("s3://eu/x", "gs://eu", False),
        ("s3://EU/x", "s3://eu", True),
        ("S3://eu", "s3://eu/", True),
        ("s3://lake/eu/../us", "s3://lake/eu", False),
        ("s3://lake/eu/%2e%2e/us", "s3://lake/eu", False),
        ("s3://lake/europe", "s3://lake/eu", False),
        ("azure://us@account/x", "azure://eu@account", False),
        ("https://ann:pw@mlflow.eu/x", "https://mlflow.eu", True),
        ("https://mlflow.eu@evil.us/x", "https://mlflow.eu", False),
        ("http://mlflow.eu", "https://mlflow.eu", False),
        ("mlflow-artifacts:/1", "/srv", False),
        ("sqlite:////srv/eu/a.db", "/srv/eu", True),
        ("sqlite:////srv/eu/../us/a.db", "/srv/eu", False),
        ("sqlite+pysqlite:////srv/eu/a.db?x=1", "/srv/eu", True),
        ("file:///srv/eu/x", "/srv/eu", True),
        ("/srv/eu/..", "/srv/eu", False),
        ("/srv/eu", "", False),
        ("", "/", False),
        ("/anything", "/", True),
    ],
)
def test_inside(uri: str, prefix: str, inside: bool) -> None:
    assert is_within(uri, prefix) is inside


@given(st.sampled_from(PREFIXES), st.lists(SEGMENT, min_size=1, max_size=3), SEGMENT)
def test_a_prefix_ends_where_a_folder_ends(prefix: str, parts: list[str], more: str) -> None:
    assert is_within(prefix + "/" + "/".join(parts), prefix)
    assert is_within(prefix, prefix + "/")
    assert not is_within(prefix + more + "/" + "/".join(parts), prefix)
    assert not is_within(prefix + "/../" + more + "x", prefix + "/" + more)


def test_a_link_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "us").mkdir()
    (tmp_path / "eu").mkdir()
    os.symlink(tmp_path / "us", tmp_path / "eu" / "store")
    assert not is_within(f"{tmp_path}/eu/store/x", f"{tmp_path}/eu")
    assert is_within(f"{tmp_path}/eu/other", f"{tmp_path}/eu")


def test_the_home_of_each_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", "/home/ann/.mlops")
    assert is_within("sqlite:////home/ann/.mlops/mlflow.db", "$MLOPS_HOME")
    assert not is_within("/home/bob/.mlops/store", "$MLOPS_HOME")


def test_addresses_are_told_without_secrets() -> None:
    assert without_secrets("s3://ann:pw@lake/x?token=pw") == "s3://lake/x"
