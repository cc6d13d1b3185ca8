"""The Beam pipeline gives the statistics of the local engine, in worker processes of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from interlock.config import Config, Dataflow, Validation, parse_config
from interlock.errors import ConfigError
from interlock.validation.dataflow import cloud_path, dataflow_options, dataflow_statistics

SETTINGS = Dataflow(project="p", location="us-central1", temp_location="gs://b/temp/", sdk_container_image="image")

COMPARE = """
import json, sys
from pathlib import Path
import apache_beam
from interlock.validation.beam_statistics import beam_statistics
from interlock.validation.equality import differences
from interlock.validation.statistics import compute_statistics
table, output = sys.argv[1:]
options = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
           "--direct_running_mode=multi_processing", "--direct_num_workers=2"]
by_beam = beam_statistics(table, output, slices=["kind"], options=options)
ours = compute_statistics(Path(table), slices=["kind"])
print(json.dumps([differences(by_beam, ours), [each.name for each in by_beam.datasets]]))
"""


@pytest.mark.slow
def test_beam_equals_local(tmp_path: Path, in_data) -> None:
    n = 3000
    table = pa.table(
        {
            "id": range(n),
            "x": [None if i % 17 == 0 else (i * 37 % 1009) / 8 for i in range(n)],
            "kind": [None if i % 50 == 0 else "abc"[i % 3] for i in range(n)],
            "many": [f"v{i * 31 % 700}" for i in range(n)],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=500)
    found, names = in_data(COMPARE, tmp_path / "t.parquet", tmp_path / "statistics.pb")
    assert found == []
    assert names == ["All Examples", "kind_a", "kind_b", "kind_c"]


def test_unknown_columns_are_refused_before_the_job(tmp_path: Path, in_data) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "t.parquet")
    code = """
import json, sys
from interlock.errors import InterlockError
from interlock.validation.beam_statistics import beam_statistics
try:
    beam_statistics(sys.argv[1], "unused", slices=["planet"], options=[])
except InterlockError as error:
    print(json.dumps(str(error)))
"""
    assert "no column planet" in in_data(code, tmp_path / "t.parquet")


PARSE = """
import json, sys
from apache_beam.options.pipeline_options import PipelineOptions
print(json.dumps(PipelineOptions(json.loads(sys.argv[1])).get_all_options(drop_default=True)))
"""


def test_beam_understands_every_option(in_data) -> None:
    settings = msgspec.structs.replace(
        SETTINGS,
        dataflow_subnetwork="regions/us-central1/subnetworks/s",
        dataflow_use_public_ips=False,
        dataflow_service_account="sa@p.iam",
        encryption_spec_key_name="projects/p/key",
    )
    found = in_data(PARSE, json.dumps(dataflow_options(settings, job_name="job")))
    assert {name: found[name] for name in sorted(found)} == {
        "dataflow_kms_key": "projects/p/key",
        "disk_size_gb": 40,
        "job_name": "job",
        "max_num_workers": 25,
        "project": "p",
        "region": "us-central1",
        "runner": "DataflowRunner",
        "sdk_container_image": "image",
        "service_account_email": "sa@p.iam",
        "staging_location": "gs://b/temp/staging",
        "subnetwork": "regions/us-central1/subnetworks/s",
        "temp_location": "gs://b/temp/temp",
        "use_public_ips": False,
        "machine_type": "n1-standard-16",
    }


def test_only_cloud_storage_reaches_the_workers(tmp_path: Path) -> None:
    assert cloud_path(Path("/gcs/b/run/table/table.parquet")) == "gs://b/run/table/table.parquet"
    with pytest.raises(ConfigError, match="is on this machine, where its workers cannot read it"):
        cloud_path(tmp_path / "table.parquet")


def config(validation: dict[str, Any]) -> Config:
    raw = yaml.safe_load((Path(__file__).parents[3] / "examples/flights/config.yaml").read_text())
    return parse_config(yaml.safe_dump({**raw, "validation": validation}))


def test_dataflow_needs_its_section() -> None:
    for validation in ({"engine": "dataflow"}, {"dataflow": msgspec.to_builtins(SETTINGS)}):
        with pytest.raises(ConfigError, match=r"validation\.dataflow: belongs to engine: dataflow"):
            config(validation)
    with pytest.raises(ConfigError, match="temp_location"):
        config({"engine": "dataflow", "dataflow": {**msgspec.to_builtins(SETTINGS), "temp_location": "/tmp"}})
    with pytest.raises(ConfigError, match=r"needs validation\.dataflow"):
        dataflow_statistics(Validation(engine="dataflow"), Path("t"), sha256="s", slices=[])
