"""A rollout that began in the shadow shows what was answered there, and what that decided."""

from __future__ import annotations

import html
import re

import msgspec
import numpy as np
import pytest

from interlock.config import Config, Shadow
from interlock.report import RolloutReport, render_rollout
from interlock.report.timeline import decisions
from interlock.rollout.journal import Entry, Quarantined, RolledBack, RollingBack, Settled, Shadowed, ShadowJudged
from interlock.rollout.pairs import Cell, ShadowCheck
from interlock.rollout.shadow import decide_shadow
from interlock.rollout.strategy import Action

PLAN = Shadow(margin=0.3, minimum_requests=500, maximum_flip_share=0.2)


def batch(k: int, *, worse: float, random: np.random.Generator) -> ShadowCheck:
    """300 requests answered again; a candidate that is ``worse`` misses more delays (cost 5)."""
    both, mine = int(random.binomial(300, 0.04)), int(random.binomial(300, 0.01 + worse))
    theirs = int(random.binomial(300, 0.012))
    cells = [Cell(0.0, 0.0, 300 - both - mine - theirs), Cell(5.0, 5.0, both), Cell(0.0, 5.0, mine)]
    return ShadowCheck(
        after=300 * k,
        until=300 * (k + 1),
        sent=301,
        failed=1,
        flips=mine + theirs,
        distance=6.0,
        candidate_ms=600.0,
        champion_ms=450.0,
        cells=[*cells, Cell(5.0, 0.0, theirs)],
        slices={"carrier=UA": [200, mine], "carrier=<b>": [100, theirs]},
        scores=(60.0, 66.0, 63.0),
    )


def shadowed(config: Config, promoted: RolloutReport, worse: float) -> RolloutReport:
    """``promoted`` with a shadow before it; where the shadow decides against it, that is all there is."""
    random, checks, events = np.random.default_rng(5), [], []
    start = promoted.entries[0]
    for k in range(40):
        checks.append(batch(k, worse=worse, random=random))
        decision = decide_shadow(PLAN, config.strategy.alpha, 5.0, checks, 10.0 * k, on_deadline="roll back")
        events += [Shadowed(check=checks[-1]), ShadowJudged(action=decision.action, verdict=decision.verdict)]
        if decision.action is not Action.HOLD:
            break
    rest = promoted.entries[1:]
    if decision.action is Action.ROLL_BACK:
        reason = decision.verdict.reason
        ending = [RollingBack(reason=reason), RolledBack(reason=reason, seconds=0.1), Quarantined(version="2")]
        ending.append(Settled(outcome="rolled back", production="1"))
        rest = [Entry(number=0, time=start.time, event=event) for event in ending]
    told = [Entry(number=0, time=start.time + k, event=event) for k, event in enumerate(events)]
    return msgspec.structs.replace(
        promoted,
        entries=[start, *told, *rest],
        outcome="rolled back" if decision.action is Action.ROLL_BACK else "promoted",
        strategy=msgspec.structs.replace(config.strategy, shadow=PLAN),
        candidate_requests=0 if decision.action is Action.ROLL_BACK else promoted.candidate_requests,
    )


def text_of(page: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", page).split())


@pytest.fixture(scope="module")
def sound(config: Config, promoted: RolloutReport) -> RolloutReport:
    return shadowed(config, promoted, worse=0.0)


@pytest.fixture(scope="module")
def harmful(config: Config, promoted: RolloutReport) -> RolloutReport:
    return shadowed(config, promoted, worse=0.1)


def test_a_passed_shadow_shows_latency_calibration_slices_and_what_decided(sound: RolloutReport) -> None:
    page = render_rollout(sound)
    text = text_of(page)
    judged = [e.event for e in sound.entries if isinstance(e.event, ShadowJudged)]
    assert judged[-1].action == Action.CONTINUE
    assert html.escape(judged[-1].verdict.reason) in page
    assert "candidate 2.00 ms, champion 1.50 ms" in text
    assert "candidate 0.2200, champion 0.2000, what happened 0.2100" in text
    assert "carrier=&lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count('role="img"') == 2  # the shadow's evidence, and the canary's
    assert [move.what for move in decisions(sound)][1] == "shadow passed: go on"


def test_a_rollout_that_ends_in_the_shadow_draws_no_traffic(harmful: RolloutReport) -> None:
    page = render_rollout(harmful)
    text = text_of(page)
    assert "Shadow ✗ rolled back" in text
    assert "rolled back after it had served 0 requests" in text
    assert page.count('role="img"') == 1
    assert "Traffic share" not in page


def test_a_rollout_without_a_shadow_does_not_mention_one(promoted: RolloutReport) -> None:
    assert "shadow" not in render_rollout(promoted).lower().replace("box-shadow", "")
