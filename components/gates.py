"""Stage 6: gates."""

from interlock.components.images import ML
from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Model, Output


@dsl.component(base_image=ML, install_kfp_package=False)
def judge_candidate(
    verdict: Input[Artifact],
    candidate: Input[Model],
    evaluation: Input[Artifact],
    report: Output[Artifact],
    card: Output[HTML],
    config: str,
):
    """Hold every rule of the five gates against what was measured.

    Reads: ``verdict``, ``candidate``, ``evaluation``.
    Writes: ``report`` (gate-report/v1), passed or not: register_model refuses what did not pass; ``card``, the
    same for people.
    Fails when: the files are about different models or data.
    """
    from pathlib import Path

    from interlock.config import parse_config
    from interlock.contracts import DataVerdict, Evaluation, Manifest, read_contract, write_contract
    from interlock.gates.judge import judge_candidate as judge
    from interlock.report.page import render_version
    from interlock.report.run import VersionReport

    data = read_contract(Path(verdict.path), DataVerdict)
    manifest = read_contract(Path(candidate.path) / "manifest.json", Manifest)
    measured = read_contract(Path(evaluation.path), Evaluation)
    judged = judge(parse_config(config), verdict=data, manifest=manifest, evaluation=measured)
    write_contract(judged, Path(report.path))
    shown = VersionReport(
        version="",
        title=f"{manifest.name} {manifest.model_sha256[:12]}",
        window=manifest.window,
        aliases=[],
        manifest=manifest,
        verdict=data,
        evaluation=measured,
        gates=judged,
    )
    Path(card.path).write_text(render_version(shown), encoding="utf-8")
    report.metadata.update(passed=judged.passed, rules=len(judged.rules))
