"""deploy/kubernetes: valid by Kubernetes' own schemas, and whole in what no schema sees."""

import re
from typing import Any

import pytest

from predict.hosting.app import ROUTES
from predict.hosting.server import GRACE_SECONDS
from tests.manifests import (
    FILES,
    KUSTOMIZATION,
    VERSIONS,
    complaints,
    containers,
    manifests,
    pod_templates,
    the,
)
from tests.test_dockerfile import DOCKERFILE

SLOWEST_REQUEST_SECONDS = 10
NOT_SERVING = {"training-job.yaml", "trainjob.yaml"}
"""Jobs, which are started one by one and not with the service."""


def labels(manifest: Any) -> Any:
    """Return the labels of the pods of the service."""
    (template,) = pod_templates(manifest)
    return template["metadata"]["labels"]


def predict() -> Any:
    """Return the one container of the service's pods."""
    (container,) = containers(the("Deployment"))
    return container


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", FILES)
def test_every_object_is_valid_by_the_schemas_of_kubernetes(name: str, version: str) -> None:
    found = manifests(name)
    assert found
    assert [complaint for manifest in found for complaint in complaints(manifest, version)] == []


def test_the_schemas_see_a_misspelt_field_a_wrong_type_and_a_pod_within_an_extension() -> None:
    deployment = the("Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    assert "readynessProbe" in str(complaints(deployment, "1.37"))
    service = the("Service")
    service["spec"]["ports"][0]["port"] = "eighty"
    assert "eighty" in str(complaints(service, "1.37"))
    extension = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {"Worker": deployment["spec"]}}
    assert "readynessProbe" in str(complaints(extension, "1.37"))


@pytest.mark.parametrize("name", FILES)
def test_no_pod_has_more_rights_than_it_needs(name: str) -> None:
    for manifest in manifests(name):
        for template in pod_templates(manifest):
            assert template["spec"]["automountServiceAccountToken"] is False
        for container in containers(manifest):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert "memory" in container["resources"]["limits"]
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])


def test_the_kustomization_has_all_that_serves_and_names_the_image_by_digest() -> None:
    assert set(KUSTOMIZATION["resources"]) == set(FILES) - NOT_SERVING
    (image,) = KUSTOMIZATION["images"]
    assert image["name"] == predict()["image"]
    assert re.fullmatch("sha256:[0-9a-f]{64}", image["digest"])


def test_everything_that_names_the_pods_finds_them() -> None:
    deployment = the("Deployment")
    pods = labels(deployment)
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        the("Service")["spec"]["selector"],
        the("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        the("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *[
            constraint["labelSelector"]["matchLabels"]
            for constraint in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        ],
    ]
    assert len(selectors) == 6
    for selector in selectors:
        assert selector
        assert selector.items() <= pods.items()


def test_everything_that_names_the_port_finds_one_that_is_served() -> None:
    (port,) = predict()["ports"]
    # What the server listens on where nobody says otherwise; functions/predict/hosting/main.py.
    assert port["containerPort"] == 8080
    (service_port,) = the("Service")["spec"]["ports"]
    ((allowed,),) = [rule["ports"] for rule in the("NetworkPolicy")["spec"]["ingress"]]
    probes = [predict()[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {service_port["targetPort"], allowed["port"], *[probe["port"] for probe in probes]} == {port["name"]}
    assert {ROUTES[probe["path"]] for probe in probes} == {"GET"}


def test_the_autoscaler_scales_the_deployment_by_what_it_asks_for() -> None:
    scaler, deployment = the("HorizontalPodAutoscaler")["spec"], the("Deployment")
    assert scaler["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"],
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }
    # Both would say how many there are, and each deployment would undo what the autoscaler did.
    assert "replicas" not in deployment["spec"]
    assert [metric["resource"]["name"] for metric in scaler["metrics"]] == ["cpu"]
    assert "cpu" in predict()["resources"]["requests"]


def test_a_drained_node_leaves_somebody_who_answers() -> None:
    fewest = the("HorizontalPodAutoscaler")["spec"]["minReplicas"]
    assert fewest > the("PodDisruptionBudget")["spec"]["maxUnavailable"]
    assert the("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_a_pod_has_the_time_to_answer_what_is_under_way() -> None:
    pod = the("Deployment")["spec"]["template"]["spec"]
    pause = predict()["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > pause + GRACE_SECONDS + SLOWEST_REQUEST_SECONDS


def test_the_image_is_run_as_it_is_meant_to_be() -> None:
    assert predict()["args"] == ["serve"]
    assert "command" not in predict()
    pod = the("Deployment")["spec"]["template"]["spec"]
    user, group = pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]
    assert DOCKERFILE.split(" AS predict\n")[1].count(f"\nUSER {user}:{group}\n") == 1
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert predict()["securityContext"]["readOnlyRootFilesystem"] is True
    assert predict()["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_nothing_goes_out_and_nobody_without_the_label_comes_in() -> None:
    policy = the("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    assert [rule["from"] for rule in policy["ingress"]] == [
        [{"podSelector": {"matchLabels": {"moderato-client": "true"}}}]
    ]
