"""Windows are counted in the database: the counts equal what numpy says of the same rows."""

import numpy as np
import pytest
import sqlalchemy as sa

from interlock.errors import EvidenceError
from interlock.monitoring.statements import SCORE
from interlock.monitoring.window import count_window

from .conftest import NOW, draw, log, use_case


def counted(engine, config, reference, **more):
    return count_window(engine, config, reference, version="1", since=NOW - 3600, until=NOW, **more)


def test_counts_equal_numpy(engine, config, reference):
    rows = draw(5, 3000, shift=0.3, kinds="abc", missing=0.1)
    log(engine, rows)
    window = counted(engine, config, reference)
    x = np.array([np.nan if row[0] is None else row[0] for row in rows])
    edges = np.array(reference.features[0].edges)
    there = x[~np.isnan(x)]
    expected = np.bincount(np.searchsorted(edges, there, side="left"), minlength=10).tolist()
    assert window.features["x"] == [*expected, int(np.isnan(x).sum())]
    kinds = np.array([row[1] for row in rows])
    assert window.features["kind"] == [*(int((kinds == each).sum()) for each in "abc"), 0]
    scores = np.array([row[2] for row in rows])
    in_bins = np.bincount(np.searchsorted(reference.score.edges, scores, side="left"), minlength=20).tolist()
    assert window.features[SCORE] == [*in_bins, 0]
    assert window.distinct_keys == 3000


def test_answers_by_slice_and_bin(engine, config, reference):
    rows = draw(6, 2000)
    log(engine, rows)
    window = counted(engine, config, reference)
    for group, mask in (("", "ab"), ("kind=a", "a"), ("kind=b", "b")):
        mine = [row for row in rows if row[1] in mask]
        assert window.total("known", group) == len(mine)
        assert window.total("positives", group) == sum(row[4] for row in mine)
        assert window.total("fn", group) == sum(row[3] == 0 and row[4] == 1 for row in mine)
        assert window.total("scores", group) == pytest.approx(sum(row[2] for row in mine))
        assert window.total("squares", group) == pytest.approx(sum((row[2] - row[4]) ** 2 for row in mine))


def test_an_empty_value_is_a_missing_one(engine, config, reference):
    rows = [(x, None if i % 2 else "", *rest) for i, (x, _, *rest) in enumerate(draw(6, 200))]
    log(engine, rows)
    window = counted(engine, config, reference)
    assert window.features["kind"] == [0, 0, 0, 200]
    bins = [each.bin for each in window.answers["kind="]]
    assert len(bins) == len(set(bins))  # the area under the curve counts rows of a bin as ties


def test_only_the_version_the_endpoint_and_the_window(engine, config, reference):
    rows = draw(7, 50)
    log(engine, rows)
    log(engine, rows, at=NOW - 3600, key="early", outcome=False)
    log(engine, rows, at=NOW + 1, key="late", outcome=False)
    log(engine, rows, version="2", key="other", outcome=False)
    log(engine, rows, endpoint="else", key="elsewhere", outcome=False)
    log(engine, rows, status=500, key="failed", outcome=False)
    log(engine, rows, status=400, key="refused", outcome=False)
    log(engine, rows, latency=900, key="slow", at=NOW, outcome=False)
    window = counted(engine, config, reference)
    assert (window.own.requests, window.own.answered, window.own.failed, window.own.refused) == (200, 100, 50, 50)
    assert (window.own.timed, window.own.slow) == (100, 50)
    assert window.traffic["2"].requests == 50
    assert sum(window.features["x"]) == 100
    assert window.total("n") == 50  # those logged a moment ago are too young to have an outcome
    assert window.newest_outcome == NOW - 599


def test_ranges_and_repeated_keys(engine, reference):
    config = use_case("ranges: [{feature: x, least: -1, most: 1}]")
    rows = draw(8, 1000, missing=0.2)
    log(engine, rows)
    log(engine, rows[:10], outcome=False)
    window = counted(engine, config, reference)
    outside = [row for row in [*rows, *rows[:10]] if row[0] is not None and abs(row[0]) > 1]
    assert window.outside == [len(outside)]
    assert window.distinct_keys == 1000


def test_split_counts_since_it_was_set(engine, config, reference):
    log(engine, draw(9, 30), at=NOW - 900)
    log(engine, draw(9, 20), at=NOW - 100, key="later", version="2", outcome=False)
    assert counted(engine, config, reference, split_since=NOW - 500).split == {"2": 20}
    assert counted(engine, config, reference).split == {"1": 30, "2": 20}


def test_nothing_is_nothing(engine, config, reference):
    window = counted(engine, config, reference)
    assert (window.requests, window.features, window.answers, window.newest_outcome) == (0, {}, {}, None)


def test_a_warehouse_that_cannot_answer_is_an_error(engine, config, reference):
    log(engine, draw(9, 30))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE outcomes"))
    with pytest.raises(EvidenceError, match="no such table"):
        counted(engine, config, reference)


def test_a_window_is_found_by_the_index_also_in_a_log_older_than_it(engine, config, reference):
    from interlock.monitoring.statements import Rows, traffic_statement
    from interlock.warehouse import open_warehouse

    with engine.begin() as connection:
        connection.execute(sa.text("DROP INDEX request_response_log_by_time"))
    again = open_warehouse(engine.url.render_as_string())
    statement = traffic_statement(Rows("shop", "1", 0.0, 1.0), 100.0)
    text = str(statement.compile(again, compile_kwargs={"literal_binds": True}))
    with again.connect() as connection:
        plan = [row.detail for row in connection.execute(sa.text(f"EXPLAIN QUERY PLAN {text}"))]
    assert any("request_response_log_by_time (logging_time>? AND logging_time<?)" in each for each in plan), plan


def test_a_rollout_is_not_led_to_that_index(engine):
    from interlock.rollout.measurement import watermark

    executed = []
    sa.event.listen(engine, "before_cursor_execute", lambda *given: executed.append(given[2:4]))
    watermark(engine, "shop", after=5, matured_before=100.0)
    (text, values), *_ = executed
    with engine.connect() as connection:
        plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]
    assert any("PRIMARY KEY (rowid>?)" in each for each in plan), plan


@pytest.mark.parametrize("dialect", ["postgresql", "bigquery"])
def test_statements_compile_for_the_other_warehouses(config, reference, dialect):
    from interlock.monitoring.statements import Rows, answers_statement, features_statement, traffic_statement

    rows = Rows("shop", "1", 0.0, 1.0)
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        compiler = postgresql.dialect()
    else:
        compiler = pytest.importorskip("sqlalchemy_bigquery").BigQueryDialect()
    for statement in (
        features_statement(rows, reference, config.monitoring.ranges),
        answers_statement(rows, reference.score.edges, config.slices, 1.0),
        traffic_statement(rows, 100.0),
    ):
        text = str(statement.compile(dialect=compiler))
        assert "request_response_log" in text
        assert "GROUP BY" in text
