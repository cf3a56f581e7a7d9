"""Manifests fit the published schemas, carry the weights, and ask for no privileges.

Kubernetes: the strict JSON schemas of 1.33 and 1.37 in `kubernetes-validate` 1.37.0.
KServe: the fields of the models in the `kserve` SDK 0.21.0 (see `kserve_fields`); what a predictor
has in common with a pod is held against Kubernetes' own schema.
"""

import copy
import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import mlops_tasks.cli as cli
from mlops_tasks.errors import SettingsError
from mlops_tasks.serving.traffic.manifests import (
    as_yaml,
    manifests,
    plain_manifests,
    share_of_pods,
    whole_percent,
)
from mlops_tasks.serving.traffic.pods import Deployed
from mlops_tasks.serving.traffic.state import Traffic

VERSIONS = ("1.33", "1.37")
KSERVE = json.loads((Path(__file__).parent / "kserve_fields.json").read_text())
KINDS = {"str": str, "int": int, "bool": bool}
FULL = Deployed(
    name="flight-delay",
    image="registry.example/flight-delay@sha256:" + 64 * "a",
    replicas=10,
    secret="flight-delay-env",
    keys_secret="flight-delay-keys",
    environment={"MLOPS_REGION": "eu"},
    overrides=("stack=team", "stack.stage=prod"),
)
SMALL = Deployed(name="m", image="m:1", replicas=1)
CANARY = Traffic(7, 0.3, 9)


def valid(document: dict[str, Any]) -> None:
    for version in VERSIONS:
        kubernetes_validate.validate(document, version, strict=True)


def valid_for_kserve(document: dict[str, Any]) -> None:
    """Known fields of the right types; the part that is a pod's is a valid pod."""
    assert (document["apiVersion"], document["kind"]) == (
        "serving.kserve.io/v1beta1",
        "InferenceService",
    )
    assert set(document) <= set(KSERVE["v1beta1_inference_service"])
    assert set(document["spec"]) <= set(KSERVE["v1beta1_inference_service_spec"])
    fields, predictor = KSERVE["v1beta1_predictor_spec"], document["spec"]["predictor"]
    for name, value in predictor.items():
        assert name in fields, f"KServe knows no {name}"
        if kind := KINDS.get(fields[name]):
            assert type(value) is kind, name
    own = ("canaryTrafficPercent", "minReplicas", "timeout")
    assert 0 <= predictor.get("canaryTrafficPercent", 0) <= 100
    spec = {name: value for name, value in predictor.items() if name not in own}
    valid({"apiVersion": "v1", "kind": "Pod", "metadata": document["metadata"], "spec": spec})


def containers(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for each in documents:
        if each["kind"] == "Deployment":
            found += each["spec"]["template"]["spec"]["containers"]
        elif each["kind"] == "InferenceService":
            found += each["spec"]["predictor"]["containers"]
    return found


def named(documents: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == kind}


@pytest.mark.parametrize("deployed", [FULL, SMALL])
@pytest.mark.parametrize("traffic", [Traffic(), CANARY, Traffic(7, 1.0, None)])
def test_they_fit_the_schemas(deployed: Deployed, traffic: Traffic) -> None:
    files = manifests(deployed, traffic)
    for name, documents in files.items():
        again = list(yaml.safe_load_all(as_yaml(documents)))
        assert again == documents
        for document in again:
            valid_for_kserve(document) if name.startswith("kserve") else valid(document)
    assert files == manifests(deployed, traffic)


def test_the_schemas_would_find_a_mistake() -> None:
    files = manifests(FULL, CANARY)
    deployment = copy.deepcopy(named(files["kubernetes.yaml"], "Deployment")["flight-delay-canary"])
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        valid(deployment)
    service = copy.deepcopy(files["kserve-2-canary.yaml"][0])
    service["spec"]["predictor"]["canaryTrafficPercentage"] = 10
    with pytest.raises(AssertionError, match="KServe knows no"):
        valid_for_kserve(service)
    service = copy.deepcopy(files["kserve-2-canary.yaml"][0])
    service["spec"]["predictor"]["containers"][0]["resources"]["limits"] = "1Gi"
    with pytest.raises(kubernetes_validate.ValidationError):
        valid_for_kserve(service)


def test_the_split_is_in_them() -> None:
    files = manifests(FULL, CANARY)
    plain = files["kubernetes.yaml"]
    deployments = named(plain, "Deployment")
    assert {name: each["spec"]["replicas"] for name, each in deployments.items()} == {
        "flight-delay-champion": 7,
        "flight-delay-canary": 3,
    }
    [first], [second] = files["kserve-1-champion.yaml"], files["kserve-2-canary.yaml"]
    assert "canaryTrafficPercent" not in first["spec"]["predictor"]
    assert second["spec"]["predictor"]["canaryTrafficPercent"] == 30
    assert first["metadata"] == second["metadata"], "one service, two revisions"
    follows, pinned = ["--no-canary"], ["--version", "7"]
    said = [each["command"][6:-4] for each in containers([*plain, first, second])]
    assert said == [follows, pinned, follows, pinned], "only a canary is pinned"

    alone = manifests(FULL, Traffic(None, 0.0, 9))
    assert set(alone) == {"kubernetes.yaml", "kserve-1-champion.yaml"}
    [only] = named(alone["kubernetes.yaml"], "Deployment").values()
    assert only["spec"]["replicas"] == 10


def test_services_select_the_pods_that_they_are_for() -> None:
    documents = plain_manifests(FULL, CANARY)
    pods = {
        name: each["spec"]["template"]["metadata"]["labels"].items()
        for name, each in named(documents, "Deployment").items()
    }
    reached = {
        name: {pod for pod, labels in pods.items() if each["spec"]["selector"].items() <= labels}
        for name, each in named(documents, "Service").items()
    }
    champion, canary = "flight-delay-champion", "flight-delay-canary"
    both = {champion, canary}
    assert reached == {"flight-delay": both, champion: {champion}, canary: {canary}}
    for each in named(documents, "Deployment").values():
        labels = each["spec"]["template"]["metadata"]["labels"].items()
        assert each["spec"]["selector"]["matchLabels"].items() <= labels
        [port] = [p["name"] for p in each["spec"]["template"]["spec"]["containers"][0]["ports"]]
        assert {
            s["spec"]["ports"][0]["targetPort"] for s in named(documents, "Service").values()
        } == {port}


def test_pods_have_no_privileges_and_write_only_where_they_must() -> None:
    files = manifests(FULL, CANARY)
    found = containers([document for documents in files.values() for document in documents])
    assert len(found) == 4
    for each in found:
        rights = each["securityContext"]
        assert rights["runAsNonRoot"]
        assert rights["runAsUser"] > 0
        assert rights["readOnlyRootFilesystem"]
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
        assert each["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
        assert each["resources"]["requests"] == each["resources"]["limits"]
        probes = {name: each[name]["httpGet"] for name in each if name.endswith("Probe")}
        port = each["ports"][0]["name"]
        assert probes == {
            "startupProbe": {"path": "/healthz", "port": port},
            "livenessProbe": {"path": "/healthz", "port": port},
            "readinessProbe": {"path": "/readyz", "port": port},
        }
        mounts = {m["mountPath"]: m.get("readOnly", False) for m in each["volumeMounts"]}
        assert mounts == {"/var/lib/mlops": False, "/tmp": False, "/var/lib/mlops/keys": True}
        variables = {each["name"]: each["value"] for each in each["env"]}
        assert variables["MLOPS_HOME"] == "/var/lib/mlops"
        assert variables["MLOPS_REGION"] == "eu"
        assert each["envFrom"] == [{"secretRef": {"name": "flight-delay-env"}}]
    for document in files["kubernetes.yaml"]:
        if document["kind"] == "Deployment":
            assert document["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_the_command_is_one_that_there_is() -> None:
    import typer

    assert cli.main
    serve = typer.main.get_command(cli.app).commands["serve"]  # type: ignore[attr-defined]
    pods = containers(plain_manifests(FULL, CANARY))
    for each, expected in zip(pods, ({"canary": False}, {"version": "7"}), strict=True):
        assert each["command"][:2] == ["mlops", "serve"]
        words = serve.make_parser(serve.make_context("serve", [])).parse_args(each["command"][2:])[
            0
        ]
        assert words.items() >= expected.items()
        assert ("canary" in words) != ("version" in words)
        assert (words["host"], words["port"]) == ("0.0.0.0", "8080")
        assert words["overrides"] == ["stack=team", "stack.stage=prod"]


@given(st.integers(1, 200), st.floats(0.0, 1.0))
def test_pods_are_shared_as_closely_as_whole_pods_allow(replicas: int, weight: float) -> None:
    champion, canary = share_of_pods(replicas, weight)
    total = champion + canary
    if weight in (0.0, 1.0):
        assert (champion, canary)[weight == 0.0] == 0
        assert total == replicas
        return
    assert champion >= 1
    assert canary >= 1
    assert total == max(replicas, 2)
    best = min(range(1, total), key=lambda pods: abs(pods / total - weight))
    assert abs(canary / total - weight) == pytest.approx(abs(best / total - weight))


def test_percents_are_whole_and_never_more_than_was_decided() -> None:
    for hundredths in range(1, 101):
        assert whole_percent(hundredths / 100) == hundredths
    assert whole_percent(0.129) == 12
    with pytest.raises(SettingsError, match="whole percent"):
        whole_percent(0.009)


@pytest.mark.parametrize(
    "how",
    [
        {"name": "Flight_Delay"},
        {"name": "x" * 60},
        {"replicas": 0},
        {"memory": "1 GB"},
        {"cpu": "half"},
    ],
)
def test_what_kubernetes_would_refuse_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        Deployed(**{"name": "m", "image": "m:1", **how})
    assert caught.value.next_step
