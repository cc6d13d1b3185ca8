"""The report of a run says what happened, hides nothing, trusts nobody's text and needs no other file."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from interlock.errors import EnvironmentProblem
from interlock.report import (
    RolloutReport,
    RunReport,
    VersionReport,
    render_report,
    render_rollout,
    render_version,
    write_report,
)
from interlock.report.headline import headlines
from interlock.rollout.journal import Judged, RollingBack
from interlock.rollout.strategy import Action

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """What a browser would read: text, ids, links, labels; complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        found = dict(attrs)
        if "id" in found:
            self.ids.append(found["id"] or "")
        for name in ("src", "href", "action", "data", "srcset", "xlink:href"):
            if name in found:
                self.targets.append(found[name] or "")
        if tag == "svg":
            self.images.append(found)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="session")
def rendered(run: RunReport) -> str:
    return render_report(run)


@pytest.fixture(scope="session")
def page(rendered: str) -> Page:
    return Page(rendered)


def reason_of(rollout: RolloutReport, action: Action) -> str:
    events = [entry.event for entry in rollout.entries]
    return [e.verdict.reason for e in events if isinstance(e, Judged) and e.action == action][-1]


def test_the_verdict_comes_first_in_two_sentences(
    page: Page, run: RunReport, promoted: RolloutReport, rolled_back: RolloutReport
) -> None:
    sentences = [headline.sentence for headline in headlines(run)]
    assert len(sentences) == 2
    assert re.match(r"Version 2 passed every offline gate and was promoted after [\d,]+ requests", sentences[0])
    served = f"{rolled_back.candidate_requests:,} requests"
    assert sentences[1].startswith(
        f"Version 3 passed every offline gate and was rolled back after it had served {served}; 0.12 s after"
    )
    assert page.text.index(sentences[0]) < page.text.index(sentences[1]) < page.text.index("Versions of this run")


def test_every_decision_stands_with_its_inequality(page: Page, run: RunReport) -> None:
    for rollout in run.rollouts:
        for entry in rollout.entries:
            if isinstance(entry.event, Judged):
                assert entry.event.verdict.reason in page.text
    limit, margin = 1 / run.rollouts[2].strategy.alpha, run.rollouts[1].strategy.steps[-1].margin
    assert f">= {limit:g}: worse" in reason_of(run.rollouts[2], Action.ROLL_BACK)
    assert f"not worse than +{margin:.0%}" in reason_of(run.rollouts[1], Action.CONTINUE)


def test_every_gate_rule_is_there_with_its_verdict(page: Page, run: RunReport) -> None:
    for version in run.versions:
        assert version.gates.rules
        for rule in version.gates.rules:
            assert rule.reason in page.text
            assert rule.rule in page.text
    assert "not enough data, does not block" in page.text


def test_versions_are_told_with_aliases_and_provenance(page: Page, run: RunReport) -> None:
    for version in run.versions:
        manifest = version.manifest
        for word in (version.title, *version.aliases, manifest.model_sha256, manifest.git_revision):
            assert word in page.text
    assert "scikit-learn" in page.text
    assert "0.9190 to 0.9270" in page.text


def test_nothing_outside_the_file_is_needed(rendered: str, page: Page) -> None:
    assert "http:" not in rendered
    assert "https:" not in rendered
    assert "@import" not in rendered
    assert "url(" not in rendered.replace("url(#", "")
    assert all(target.startswith("#") for target in page.targets)
    assert not {"script", "link", "iframe", "img", "object", "embed"} & set(page.tags)


def test_every_link_and_every_reference_of_a_picture_has_its_target(rendered: str, page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    referred = {target[1:] for target in page.targets} | set(re.findall(r"url\(#([^)]+)\)", rendered))
    assert referred <= set(page.ids)


def test_pictures_are_described_and_follow_the_page_colours(rendered: str, page: Page) -> None:
    assert len(page.images) == 2 + 3 + 4 + 4  # rollouts; the first version has no champion to be drawn against
    for image in page.images:
        assert image["role"] == "img"
        assert len(image["aria-label"] or "") > 40
    assert page.tags.count("figcaption") == len(page.images)
    svg = "".join(re.findall(r"<svg.*?</svg>", rendered, flags=re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= {"#ffffff"}  # clip paths aside, only variables
    assert "var(--candidate)" in svg
    assert "prefers-color-scheme: dark" in rendered


def test_tables_have_captions_and_headed_rows(rendered: str, page: Page) -> None:
    assert page.tags.count("table") == page.tags.count("caption")
    assert all('scope="row"' in row for row in re.findall(r"<tbody>.*?</tr>", rendered, flags=re.DOTALL))


def test_equal_runs_give_equal_bytes(run: RunReport, rendered: str) -> None:
    assert render_report(msgspec.structs.replace(run)) == rendered


def test_text_from_outside_is_only_text(run: RunReport) -> None:
    evil = "<script>alert('x')</script>&\"$x$"
    version = run.versions[2]
    measures = [
        msgspec.structs.replace(m, slice=f"carrier={evil}") if m.slice == "carrier=UA" else m
        for m in version.evaluation.measures
    ]
    rules = [
        msgspec.structs.replace(r, slice=f"carrier={evil}", reason=evil) if r.slice == "carrier=UA" else r
        for r in version.gates.rules
    ]
    hostile = msgspec.structs.replace(
        version,
        title=evil,
        aliases=[evil],
        evaluation=msgspec.structs.replace(version.evaluation, measures=measures),
        gates=msgspec.structs.replace(version.gates, rules=rules),
    )
    rollout = msgspec.structs.replace(run.rollouts[2], title=evil, rollout_id=evil)
    text = render_report(msgspec.structs.replace(run, title=evil, versions=[hostile], rollouts=[rollout]))
    found = Page(text)
    assert "script" not in found.tags
    assert "<script" not in text
    assert html.escape(evil) in text
    assert evil in found.text


def test_a_version_kept_out_by_a_gate_is_the_headline(run: RunReport, kept_out: VersionReport) -> None:
    alone = msgspec.structs.replace(run, versions=[kept_out], rollouts=[])
    (headline,) = headlines(alone)
    assert (headline.word, headline.kind) == ("kept out", "bad")
    assert headline.reason == "auc 0.7810, lower 95 % bound 0.7770 < 0.85"
    text = Page(render_report(alone)).text
    assert "kept out by the gates" in text
    assert "No version was deployed in this run." in text


def test_a_first_deployment_alone_is_told(run: RunReport, first: RolloutReport) -> None:
    alone = msgspec.structs.replace(run, rollouts=[first])
    assert [headline.word for headline in headlines(alone)] == ["promoted"]
    assert "as the first version" in Page(render_report(alone)).text


def test_a_rollback_ordered_by_a_person_says_so(rolled_back: RolloutReport) -> None:
    entries = [
        msgspec.structs.replace(e, event=RollingBack(reason="too many complaints", forced=True))
        if isinstance(e.event, RollingBack)
        else e
        for e in rolled_back.entries
        if not isinstance(e.event, Judged)
    ]
    text = Page(render_rollout(msgspec.structs.replace(rolled_back, entries=entries))).text
    assert "rollback ordered by a person" in text
    assert "too many complaints" in text


def test_a_rollout_that_never_began_is_still_a_page(rolled_back: RolloutReport) -> None:
    empty = msgspec.structs.replace(
        rolled_back, entries=[], outcome="not started", seconds_to_restore=None, candidate_requests=0
    )
    assert "ended without a verdict: not started" in Page(render_rollout(empty)).text


def test_parts_are_pages_of_their_own(rolled_back: RolloutReport, run: RunReport) -> None:
    for text, word in (
        (render_rollout(rolled_back), "quarantined"),
        (render_version(run.versions[1]), "Confusion at threshold"),
    ):
        assert text.startswith("<!doctype html>")
        assert word in Page(text).text
        assert "http" not in text.replace("http-equiv", "")


def test_a_rollout_alone_says_what_was_compared_where_and_by_which_plan(rolled_back: RolloutReport) -> None:
    text = Page(render_rollout(rolled_back)).text
    start = rolled_back.start
    assert start is not None
    assert f"Rollout {rolled_back.rollout_id} on endpoint {start.endpoint}, began " in text
    assert f"version {start.champion_version}, deployed as {start.champion_deployed}" in text
    assert f'"alpha": {rolled_back.strategy.alpha}' in text
    assert text.count(f"version {start.candidate_version} quarantined") == 1


def test_a_version_without_slices_or_anomalies_is_drawn(run: RunReport) -> None:
    version = run.versions[0]
    measures = [m for m in version.evaluation.measures if not m.slice]
    plain = msgspec.structs.replace(
        version,
        evaluation=msgspec.structs.replace(version.evaluation, measures=measures),
        verdict=msgspec.structs.replace(version.verdict, anomalies=[]),
    )
    found = Page(render_version(plain))
    assert len(found.images) == 2  # ROC and calibration
    assert "no anomaly" in found.text


def test_the_file_is_written_whole(run: RunReport, rendered: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(run, path)
    assert path.read_text(encoding="utf-8") == rendered
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_named(run: RunReport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentProblem, match=r"report .* not written: .*; choose another folder"):
        write_report(run, tmp_path / "file" / "report.html")
