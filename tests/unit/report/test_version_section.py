"""A version's page says who waived what, what moved in the data, and copes with tasks that have no ROC curve."""

from __future__ import annotations

import re

import msgspec
import pytest

from interlock.contracts import Anomaly, Comparison, Measure, RuleResult
from interlock.report import RunReport, VersionReport, render_report, render_version
from interlock.report.evaluation_pictures import describe_calibration
from interlock.report.slices_picture import compared_rows, measured_rows

WAIVER = "ana@example.com until 2026-12-01: <b>known</b> gap in origin=LGA"


@pytest.fixture
def version(run: RunReport) -> VersionReport:
    """The second version: it was compared with a champion."""
    return run.versions[1]


def text_of(page: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", page).split())


def test_a_waived_rule_and_a_waived_anomaly_say_who_and_why(version: VersionReport) -> None:
    rule = RuleResult(
        gate="metrics",
        rule="auc",
        slice="origin=LGA",
        value=0.7,
        limit=0.8,
        verdict="fail",
        reason="0.7 < 0.8",
        blocking=False,
        waiver=WAIVER,
    )
    anomaly = Anomaly("dest", "unexpected value", "9", "0", "9 > 0", blocking=False, waiver=WAIVER)
    waived = msgspec.structs.replace(
        version,
        gates=msgspec.structs.replace(version.gates, rules=[rule, *version.gates.rules]),
        verdict=msgspec.structs.replace(version.verdict, anomalies=[anomaly]),
    )
    page = render_version(waived)
    assert (
        page.count("waived: ana@example.com until 2026-12-01: &lt;b&gt;known&lt;/b&gt;") == 3
    )  # all rules have it too
    assert "fail, waived" in text_of(page)
    assert "1 anomaly, none blocking, 1 waived" in page


def test_drift_names_alarms_first_and_rows_that_broke_a_rule_are_there(version: VersionReport) -> None:
    text = text_of(render_version(version))
    assert "1 of 2 features over the limit" in text
    assert text.index("wind_gust 0.142 0.1 ✗ over the limit") < text.index("temp 0.031 0.1 ✓ within")
    assert "1407 LEX" in text


def test_calibration_is_drawn_and_told(version: VersionReport) -> None:
    page = render_version(version)
    assert describe_calibration(version.evaluation) in page
    assert "share of label 1" in page


def test_the_difference_to_the_champion_is_drawn_for_every_slice(version: VersionReport) -> None:
    page = render_version(version)
    assert 'aria-label="AUC, candidate minus champion on 16 slices' in page
    assert "Against the champion, on every slice" in page


def test_a_slice_is_held_against_the_limit_of_its_own_gate(version: VersionReport) -> None:
    evaluation, gates = version.evaluation, version.gates
    limits = {row.label: row.limit for row in measured_rows(evaluation.measures, gates, "auc")}
    assert limits["origin=LGA"] == 0.8
    assert limits["carrier=UA"] == 0.7
    against = {row.label: row.limit for row in compared_rows(evaluation.slice_comparisons, gates, "auc")}
    regression = {r.slice: r.limit for r in gates.rules if (r.gate, r.rule) == ("regression", "auc") and r.slice}
    assert against["carrier=UA"] == regression["carrier=UA"]


def test_a_champion_that_could_not_be_scored_is_not_passed_over(version: VersionReport) -> None:
    evaluation = msgspec.structs.replace(
        version.evaluation, comparisons=[], slice_comparisons=[], champion_unscorable="version 1 wants input gate"
    )
    page = render_version(msgspec.structs.replace(version, evaluation=evaluation))
    assert "version 1 wants input gate" in page
    assert "First version" not in page


def measured(metric: str, value: float, slice_: str = "") -> Measure:
    return Measure(metric=metric, slice=slice_, n=500, value=value, low=value - 0.1, high=value + 0.1)


def test_a_regression_has_no_curve_and_no_confusion(run: RunReport, version: VersionReport) -> None:
    better = Comparison(metric="rmse", n=500, candidate=9.0, champion=9.5, difference=-0.5, low=-0.6, high=-0.4)
    evaluation = msgspec.structs.replace(
        version.evaluation,
        task="regression",
        threshold=0.0,
        measures=[measured("mae", 6.0), measured("rmse", 9.0), measured("rmse", 11.0, "origin=LGA")],
        comparisons=[better],
        slice_comparisons=[msgspec.structs.replace(better, slice="origin=LGA")],
        confusion=[],
        roc=[],
        calibration=[[-20.0, -18.0, 50.0], [40.0, 41.0, 50.0]],
    )
    regression = msgspec.structs.replace(version, evaluation=evaluation)
    page = render_version(regression)
    text = text_of(page)
    assert "rmse by slice" in page
    assert "left of the line is better" in page
    assert "mean label" in page
    assert "ROC" not in page
    assert "Confusion" not in page
    assert "✓ better" in text
    assert "rmse (95 %)" in render_report(msgspec.structs.replace(run, versions=[regression]))


def test_three_classes_have_a_confusion_of_nine_cells(version: VersionReport) -> None:
    evaluation = msgspec.structs.replace(
        version.evaluation,
        task="multiclass",
        classes=["early", "late", "<b>never</b>"],
        roc=[],
        confusion=[[5, 1, 0], [1, 5, 0], [0, 2, 6]],
        measures=[measured("accuracy", 0.8)],
    )
    text = text_of(render_version(msgspec.structs.replace(version, evaluation=evaluation)))
    assert "predicted early" in text
    assert "actually &lt;b&gt;never&lt;/b&gt;" in text
    assert "at threshold" not in text.partition("Confusion")[2][:40]
