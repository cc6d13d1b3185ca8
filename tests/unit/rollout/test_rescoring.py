"""The old version is asked again on the same requests: what the world did meanwhile cancels out."""

import json

import pytest

from interlock.config import Cost
from interlock.errors import EvidenceError
from interlock.rollout.rescoring import SAMPLE, Paired, rescore
from interlock.warehouse import metadata, open_warehouse, outcomes, request_response_log

COST = Cost(false_positive=1, false_negative=5)


class Remembering:
    """A rescorer whose labels are fixed by row key."""

    def __init__(self, labels):
        self.known, self.asked = labels, []

    def labels(self, version, instances):
        self.asked.append((version, [instance["row_key"] for instance in instances]))
        return [self.known[instance["row_key"]] for instance in instances]


@pytest.fixture
def engine(tmp_path):
    return open_warehouse(f"sqlite:///{tmp_path / 'w.db'}")


def fill(engine, rows):
    """Rows of (key, promoted version's label or None for a failure, outcome or None, deployed model)."""
    with engine.begin() as connection:
        for key, label, outcome, deployed in rows:
            answer = [] if label is None else [{"probability": 0.5, "label": label}]
            connection.execute(
                request_response_log.insert(),
                {
                    "endpoint": "e",
                    "deployed_model_id": deployed,
                    "model_version": "2",
                    "logging_time": 1.0,
                    "request_id": key,
                    "request_payload": json.dumps([{"row_key": key, "x": 1.5}]),
                    "response_payload": json.dumps(answer),
                    "status": 500 if label is None else 200,
                    "latency_ms": 1.0,
                },
            )
            if outcome is not None:
                connection.execute(outcomes.insert(), {"row_key": key, "outcome": outcome, "time": 2.0})


def compared(engine, rescorer, after=0, until=10**9):
    return rescore(
        engine,
        rescorer,
        endpoint="e",
        deployed_model_id="c",
        champion="1",
        after=after,
        until=until,
        cost=COST,
    )


def test_costs_are_paired_row_by_row(engine):
    fill(engine, [("a", 1, 0, "c"), ("b", 0, 1, "c"), ("c", 1, 1, "c"), ("d", 0, 0, "c")])
    rescorer = Remembering({"a": 0, "b": 0, "c": 0, "d": 0})
    paired = compared(engine, rescorer)
    assert (paired.n, paired.candidate, paired.champion, paired.different) == (4, 6.0, 10.0, 2)
    assert paired.gap(0.0) == pytest.approx(-1.0)
    assert paired.gap(0.5) == pytest.approx((6 - 15) / 4)
    # rows: candidate 1, 5, 0, 0 and champion 0, 5, 5, 0
    gaps = [1, 0, -5, 0]
    mean = sum(gaps) / 4
    assert paired.gap_variance(0.0) == pytest.approx(sum((gap - mean) ** 2 for gap in gaps) / 4)
    assert rescorer.asked == [("1", ["a", "b", "c", "d"])]


def test_equal_decisions_have_no_gap_whatever_the_world_did(engine):
    fill(engine, [(str(i), i % 2, (i + 1) % 2, "c") for i in range(50)])
    paired = compared(engine, Remembering({str(i): i % 2 for i in range(50)}))
    assert paired.gap(0.0) == 0
    assert paired.gap_variance(0.0) == 0
    assert paired.different == 0


def test_only_answered_rows_with_an_outcome_of_this_deployment_count(engine):
    fill(engine, [("a", 1, 0, "c"), ("b", None, 1, "c"), ("c", 1, None, "c"), ("d", 1, 0, "b")])
    assert compared(engine, Remembering({"a": 1})).n == 1


def test_the_range_of_the_log_is_respected_and_the_sample_bounded(engine):
    fill(engine, [(str(i), 1, 0, "c") for i in range(10)])
    rescorer = Remembering({str(i): 1 for i in range(10)})
    assert compared(engine, rescorer, after=2, until=6).n == 4
    assert SAMPLE <= 10_000  # what the server decodes in one body


def test_nothing_to_compare_is_empty_not_equal(engine):
    assert compared(engine, Remembering({})) == Paired()


def test_a_warehouse_that_cannot_be_read_is_an_error(engine):
    metadata.drop_all(engine)
    with pytest.raises(EvidenceError, match="warehouse cannot be read"):
        compared(engine, Remembering({}))
