"""The manifests of deploy/kubernetes, and what is wrong with one by the schemas of Kubernetes itself, offline."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import yaml

FOLDER = Path(__file__).parents[1] / "deploy" / "kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
FILES = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
VERSIONS = ("1.30", "1.37")
"""The oldest Kubernetes that has all we use (a pause before SIGTERM), and the newest whose schemas are at hand."""

Manifest = dict[str, Any]


def manifests(name: str) -> list[Manifest]:
    """Return the objects of one file."""
    return [manifest for manifest in yaml.safe_load_all((FOLDER / name).read_text()) if manifest]


def the(kind: str) -> Manifest:
    """Return the one object of a kind that is applied with the service."""
    files = KUSTOMIZATION["resources"]
    (found,) = [manifest for name in files for manifest in manifests(name) if manifest["kind"] == kind]
    return found


def complaints(manifest: Manifest, version: str) -> list[str]:
    """Return what one version of Kubernetes has against an object, unknown fields too.

    Of a kind that a cluster has by an extension, only the pods in it can be looked at.
    """
    if not _is_built_in(manifest["apiVersion"].partition("/")[0]):
        pods = [{"apiVersion": "v1", "kind": "PodTemplate", "template": pod} for pod in pod_templates(manifest)]
        return [complaint for pod in pods for complaint in complaints(pod, version)]
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'/'.join(map(str, error.path))}: {error.message}"]
    return []


def pod_templates(manifest: Manifest) -> list[Manifest]:
    """Return the templates of the pods that an object makes, wherever they are in it."""
    return list(_templates(manifest))


def containers(manifest: Manifest) -> list[Manifest]:
    """Return the containers of all pods that an object makes."""
    return [container for template in pod_templates(manifest) for container in template["spec"]["containers"]]


def _is_built_in(group: str) -> bool:
    return "." not in group or group.endswith(".k8s.io")


def _templates(part: Any) -> Iterator[Manifest]:
    if isinstance(part, list):
        for each in part:
            yield from _templates(each)
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "template" and "containers" in value.get("spec", {}):
                yield value
            else:
                yield from _templates(value)
