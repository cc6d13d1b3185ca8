"""Every question that rollouts and monitoring ask, in BigQuery's SQL. BigQuery itself cannot be asked here."""

import re

import pytest
import sqlalchemy as sa
from sqlalchemy_bigquery import BigQueryDialect

from interlock.config import Metric
from interlock.rollout.measurement import counting
from interlock.warehouse import metadata, rollout_journal, serving_log

METRICS = [
    Metric(name="cost", value="cost", role="business", cap=5),
    Metric(name="revenue", value="amount", role="business", cap=100),
    Metric(name="errors", value="error", role="guardrail"),
    Metric(name="slow", value="slow", role="guardrail", slow_ms=250),
]


def sql(statement):
    return str(statement.compile(dialect=BigQueryDialect()))


@pytest.mark.parametrize(
    "statement",
    [
        sa.select(serving_log()),
        counting("flights", ["1", "2"], after=1, until=9, metrics=METRICS),
    ],
    ids=["serving log", "counts"],
)
def test_json_is_read_as_text_with_a_path_that_is_known_when_planned(statement):
    text = sql(statement)
    assert "json_extract" not in text.lower()
    read = set(re.findall(r"JSON_VALUE\(`request_response_log`\.`(\w+)`, '\$\[0\]\.(\w+)'\)", text))
    assert {("request_payload", "row_key"), ("response_payload", "label")} <= read
    assert text.count("JSON_VALUE(") == len(re.findall(r"JSON_VALUE\([^,]+, '\$", text)), (
        "a path is not in the statement"
    )


def test_the_journal_leaves_its_number_to_the_tables_default():
    text = sql(rollout_journal.insert().values(rollout="r", time=1.0, event="e", detail="{}"))
    assert "`entry`" not in text


def test_no_table_needs_what_bigquery_has_not():
    for table in metadata.sorted_tables:
        for column in table.columns:
            assert sa.types.to_instance(column.type).compile(dialect=BigQueryDialect()) in {
                "STRING",
                "INT64",
                "FLOAT64",
            }
