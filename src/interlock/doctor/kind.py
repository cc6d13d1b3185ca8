"""What a kind cluster needs. Facts in, findings out; :mod:`interlock.doctor.cluster` gathers the facts."""

from __future__ import annotations

import re

import msgspec

from interlock.doctor.finding import Finding, missing, ok, unknown, warning

UP = "make kind-up"


class KindSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What the cluster is to be, from ``deploy/kind``: its name, the version of Kubeflow Pipelines, the images."""

    cluster: str
    namespace: str
    pipelines_version: str
    images: list[str]


class ToolFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A program: ``version`` is what it says, '' when it is not there; ``problem`` why it does not work."""

    name: str
    version: str
    problem: str = ""


class KindFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What answers. Lists and texts are None where nobody could be asked.

    ``clusters`` by name; ``nodes`` name -> ready; ``pipelines_image`` of the API server of Kubeflow Pipelines, ''
    when it is not installed; ``node_images`` are the images on the nodes.
    """

    tools: list[ToolFacts]
    clusters: list[str] | None = None
    nodes: dict[str, bool] | None = None
    pipelines_image: str | None = None
    node_images: list[str] | None = None


INSTALL = {
    "docker": "install Docker Engine and start it: sudo systemctl start docker",
    "kind": "install kind: https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
    "kubectl": "install kubectl: https://kubernetes.io/docs/tasks/tools/",
}


def judge_kind(facts: KindFacts, setup: KindSetup) -> list[Finding]:
    """Every check, from the tools to the images."""
    return [
        *(_tool(one) for one in facts.tools),
        _cluster(facts, setup),
        _nodes(facts),
        _pipelines(facts, setup),
        *(_image(name, facts) for name in setup.images),
    ]


def _tool(facts: ToolFacts) -> Finding:
    mend = INSTALL.get(facts.name, f"install {facts.name}")
    if not facts.version:
        return missing(facts.name, facts.problem or "not installed", mend)
    if facts.problem:
        return missing(facts.name, f"{facts.version}, but {facts.problem}", mend)
    return ok(facts.name, facts.version)


def _cluster(facts: KindFacts, setup: KindSetup) -> Finding:
    if facts.clusters is None:
        return unknown("cluster", "kind cannot be asked", UP)
    if setup.cluster not in facts.clusters:
        return missing("cluster", f"no {setup.cluster} among {', '.join(facts.clusters) or 'no clusters'}", UP)
    return ok("cluster", setup.cluster)


def _nodes(facts: KindFacts) -> Finding:
    if facts.nodes is None:
        return unknown("nodes", "the cluster does not answer", UP)
    idle = [name for name, ready in facts.nodes.items() if not ready]
    if idle or not facts.nodes:
        return missing("nodes", f"not ready: {', '.join(idle) or 'there is none'}", "kubectl describe nodes")
    return ok("nodes", f"{len(facts.nodes)} ready")


def _pipelines(facts: KindFacts, setup: KindSetup) -> Finding:
    check, wanted = "Kubeflow Pipelines", setup.pipelines_version
    if facts.pipelines_image is None:
        return unknown(check, "the cluster does not answer", UP)
    if not facts.pipelines_image:
        return missing(check, f"not installed in namespace {setup.namespace}", UP)
    found = re.search(r":v?([\w.-]+)(?:@|$)", facts.pipelines_image)
    version = found[1] if found else ""
    if version != wanted:
        return warning(check, f"version {version or facts.pipelines_image}, tested is {wanted}", UP)
    return ok(check, version)


def _image(name: str, facts: KindFacts) -> Finding:
    check = f"image {name}"
    if facts.node_images is None:
        return unknown(check, "the cluster does not answer", UP)
    if not any(one == name or one.endswith(f"/{name}") for one in facts.node_images):
        return missing(check, "not on the nodes", f"make images && {UP}")
    return ok(check, "on the nodes")
