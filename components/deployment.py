"""Stage 8: deployment. Each step resumes from the rollout's journal, so a step that died is run again, not repeated."""

from interlock.components.images import ML
from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Model, Output


@dsl.component(base_image=ML, install_kfp_package=False)
def resolve_candidate(files: Output[Model], candidate: Output[Artifact], config: str, place: str, alias: str) -> str:
    """Find the version that wants to go on and check what it carries.

    Reads: the registry. Writes: ``files`` of the version, ``candidate`` (model-version/v1).
    Returns the version in production, '' if there is none.
    Fails when: no version has ``alias``, it is quarantined, its gates are closed, none of the config's keys has
    signed it where that is asked, or production moved on since.
    """
    from pathlib import Path

    from interlock.config import parse_config
    from interlock.contracts import parse_place, write_contract
    from interlock.registry.resolve import resolve_candidate as resolve
    from interlock.vertex.registry import VertexModelRegistry

    parsed = parse_config(config)
    registry = VertexModelRegistry(parse_place(place), parsed.name)
    keys = parsed.signing.must_have_signed
    resolved = resolve(registry, alias=alias, folder=Path(files.path), must_have_signed=keys)
    write_contract(resolved.candidate, Path(candidate.path))
    return resolved.champion.version if resolved.champion else ""


@dsl.component(base_image=ML, install_kfp_package=False)
def deploy_candidate(
    files: Input[Model], candidate: Input[Artifact], champion: str, config: str, place: str, rollout: str
) -> str:
    """Probe the candidate, deploy it at 0 % and begin the rollout.

    Returns the strategy: ``canary``, or ``direct`` when nothing is in production or the plan has no steps.
    Fails when: the server does not start, or answers something else than training did.
    """
    from pathlib import Path

    from interlock.config import parse_config
    from interlock.contracts import ModelVersion, parse_place, read_contract
    from interlock.rollout.deploy import read_probe
    from interlock.vertex.rollout import begin_rollout

    version = read_contract(Path(candidate.path), ModelVersion)
    probe = read_probe(Path(files.path) / "probe.json")
    parsed = parse_config(config)
    begin_rollout(parse_place(place), parsed, rollout, version, champion, probe)
    return "canary" if champion and parsed.strategy.steps else "direct"


@dsl.component(base_image=ML, install_kfp_package=False)
def shadow_candidate(candidate: Input[Artifact], strategy: str, config: str, place: str, rollout: str) -> str:
    """Where the config asks for it, let the candidate answer logged requests first, on an endpoint of its own.

    Returns ``strategy`` when the candidate may get traffic, else how the rollout ended.
    """
    from pathlib import Path

    from interlock.config import parse_config
    from interlock.contracts import ModelVersion, parse_place, read_contract
    from interlock.vertex.rollout import shadow_rollout

    version = read_contract(Path(candidate.path), ModelVersion)
    outcome = shadow_rollout(parse_place(place), parse_config(config), rollout, version)
    return strategy if outcome == "continue" else outcome


@dsl.component(base_image=ML, install_kfp_package=False)
def shift_traffic(step: int, config: str, place: str, rollout: str) -> str:
    """Give the candidate the weight of ``step``, by compare-and-set. Returns what happened."""
    from interlock.config import parse_config
    from interlock.contracts import parse_place
    from interlock.vertex.rollout import open_rollout

    return str(open_rollout(parse_place(place), parse_config(config), rollout).shift(step))


@dsl.component(base_image=ML, install_kfp_package=False)
def judge_rollout(timeline: Output[HTML], step: int, config: str, place: str, rollout: str) -> str:
    """Look at the evidence until it decides; roll back at once if it says so. Returns ``continue`` or how it ended.

    Writes: ``timeline``, the evidence so far as a picture.
    """
    from interlock.config import parse_config
    from interlock.contracts import parse_place
    from interlock.vertex.rollout import open_rollout, write_timeline

    parsed, where = parse_config(config), parse_place(place)
    outcome = str(open_rollout(where, parsed, rollout).judge(step))
    write_timeline(where, parsed, rollout, timeline.path, step=step)
    return outcome


@dsl.component(base_image=ML, install_kfp_package=False)
def promote_candidate(config: str, place: str, rollout: str) -> str:
    """All traffic and alias ``production`` to the candidate; the old version stays deployed at 0 %."""
    from interlock.config import parse_config
    from interlock.contracts import parse_place
    from interlock.vertex.rollout import open_rollout

    return str(open_rollout(parse_place(place), parse_config(config), rollout).promote())


@dsl.component(base_image=ML, install_kfp_package=False)
def evaluate_deployment(config: str, place: str, rollout: str) -> str:
    """Post-deploy evaluation from outcomes; passed undeploys the old version, worse rolls back."""
    from interlock.config import parse_config
    from interlock.contracts import parse_place
    from interlock.vertex.rollout import open_rollout

    parsed = parse_config(config)
    return str(open_rollout(parse_place(place), parsed, rollout).evaluate(parsed.post_deploy))


@dsl.component(base_image=ML, install_kfp_package=False)
def settle_rollout(
    status: dsl.PipelineTaskFinalStatus, timeline: Output[HTML], config: str, place: str, rollout: str
) -> str:
    """Exit handler: whatever happened, traffic and alias end on the same version. Returns the outcome.

    Writes: ``timeline``, the whole evidence as a picture.
    Fails when: the pipeline went through and yet neither promoted nor rolled back.
    """
    from interlock.config import parse_config
    from interlock.contracts import parse_place
    from interlock.vertex.rollout import settle_rollout as settle
    from interlock.vertex.rollout import write_timeline

    parsed, where = parse_config(config), parse_place(place)
    outcome = settle(where, parsed, rollout, pipeline_state=status.state)
    write_timeline(where, parsed, rollout, timeline.path)
    return outcome
