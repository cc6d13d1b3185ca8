"""What monitoring asks of Google Cloud: requests made of the real SDK types, sent over real HTTP where it can be."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
import requests

from interlock.contracts import ModelVersion, MonitoringCheck, MonitoringReport, Place
from interlock.errors import ConfigError, ContractError, EnvironmentProblem
from interlock.vertex import metrics, model_monitor
from interlock.vertex.monitoring import parse_retrain, training_window

from .conftest import CONFIG, NOW, use_case

PLACE = Place(project="p", location="us-central1", bucket="b", warehouse="sqlite://")
VERSION = ModelVersion(
    name="projects/p/locations/us-central1/models/shop", version="7", aliases=[], artifact_uri="gs://b/m"
)


MONITOR = "projects/p/locations/us-central1/modelMonitors/shop-7"
JOB = f"{MONITOR}/modelMonitoringJobs/1"
CREATED = {"@type": "type.googleapis.com/google.cloud.aiplatform.v1beta1.ModelMonitor", "name": MONITOR}
ANSWERS = {  # by the last word of the path
    "a new monitor": {
        "modelMonitors": (200, {"name": f"{MONITOR}/operations/1", "done": True, "response": CREATED}),
        "modelMonitoringJobs": (200, {"name": JOB}),
    },
    "a monitor that is there": {"modelMonitors": (409, {}), "modelMonitoringJobs": (200, {"name": JOB})},
}


def with_table(table):
    from interlock.config import parse_config

    return parse_config(CONFIG.replace("table: none", f"table: '{table}'").replace("MORE", "drift_limit: 0.2"))


def test_monitor_request_names_version_features_and_limits():
    request = model_monitor.monitor_request(PLACE, with_table("bq://p.d.t"), VERSION)
    assert request.parent == "projects/p/locations/us-central1"
    assert request.model_monitor_id == "shop-7"
    monitor = request.model_monitor
    assert monitor.model_monitoring_target.vertex_model.model_version_id == "7"
    assert monitor.training_dataset.columnized_dataset.bigquery_source.table_uri == "bq://p.d.t"
    fields = {field.name: field.data_type for field in monitor.model_monitoring_schema.feature_fields}
    assert fields == {"x": "float", "kind": "categorical"}
    drift = monitor.tabular_objective.feature_drift_spec
    assert list(drift.features) == ["x", "kind"]
    assert drift.default_numeric_alert_condition.threshold == 0.2
    assert drift.numeric_metric_type == "jensen_shannon_divergence"


def test_job_request_reads_the_endpoints_log_of_the_window():
    name = "projects/p/locations/us-central1/modelMonitors/shop-7"
    request = model_monitor.job_request(PLACE, with_table("gs://b/rows.csv"), name, VERSION, hours=24)
    assert request.parent == name
    spec = request.model_monitoring_job.model_monitoring_spec
    target = spec.objective_spec.target_dataset
    assert list(target.vertex_endpoint_logs.endpoints) == ["projects/p/locations/us-central1/endpoints/shop"]
    assert target.time_offset.window == "24h"
    assert spec.objective_spec.baseline_dataset.columnized_dataset.gcs_source.gcs_uri == "gs://b/rows.csv"
    assert spec.output_spec.gcs_base_directory.output_uri_prefix == "gs://b/model_monitoring/shop"


def test_a_table_that_google_cannot_read_is_said_not_hidden():
    with pytest.raises(ConfigError, match=r"source\.table local\.csv is not bq:// or gs://"):
        model_monitor.monitor_request(PLACE, with_table("local.csv"), VERSION)
    done = model_monitor.created(PLACE, with_table("local.csv"), VERSION, hours=1)
    assert done.outcome == "failed"


def test_a_feature_that_is_not_in_the_table_is_said_not_hidden():
    from interlock.config import parse_config

    text = CONFIG.replace("table: none", "table: 'bq://p.d.t'").replace("MORE", "")
    text = text.replace("categories: [kind]", "categories: [kind], derived: {x: y + 1}")
    with pytest.raises(ConfigError, match=r"features x are not in source\.table, and Google reads only that"):
        model_monitor.monitor_request(PLACE, parse_config(text), VERSION)


@pytest.mark.parametrize(
    ("task", "prediction", "truth"),
    [
        ("binary", ("probability", "float"), ("bought", "categorical")),
        ("regression", ("value", "float"), ("bought", "float")),
        ("multiclass", ("label", "categorical"), ("bought", "categorical")),
    ],
)
def test_answers_and_outcomes_are_of_the_task(task, prediction, truth):
    config = msgspec.structs.replace(with_table("bq://p.d.t"), task=task)
    monitor = model_monitor.monitor_request(PLACE, config, VERSION).model_monitor
    fields = monitor.model_monitoring_schema
    assert [(each.name, each.data_type) for each in fields.prediction_fields] == [prediction]
    assert [(each.name, each.data_type) for each in fields.ground_truth_fields] == [truth]
    assert list(monitor.tabular_objective.prediction_output_drift_spec.features) == [prediction[0]]


@pytest.fixture
def receiver():
    """An HTTP server in the place of Google: keeps what it is sent, answers with ``status``, or as ``ANSWERS`` say."""
    received, status = [], [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            code, document = ANSWERS.get(status[0], {}).get(
                self.path.partition("?")[0].rpartition("/")[2], (status[0], {})
            )
            body = json.dumps(document if code == 200 else {"error": {"code": code, "message": "no"}}).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", received, status
    server.shutdown()
    server.server_close()


def test_the_real_client_sends_it_and_an_emulator_without_it_is_told(receiver):
    address, received, status = receiver
    status[0] = 501
    place = msgspec.structs.replace(PLACE, api_endpoint=address)
    done = model_monitor.created(place, with_table("bq://p.d.t"), VERSION, hours=1)
    assert (done.action, done.outcome) == ("vertex monitor", "failed")
    assert "set monitoring.vertex_monitor to false there" in done.detail
    path, body = received[0]
    assert path.startswith("/v1beta1/projects/p/locations/us-central1/modelMonitors")
    assert json.loads(body)["displayName"] == "shop 7"


@pytest.mark.parametrize("answers", ANSWERS)
def test_the_real_client_makes_the_monitor_once_and_a_job(receiver, answers):
    address, received, status = receiver
    status[0] = answers
    place = msgspec.structs.replace(PLACE, api_endpoint=address)
    done = model_monitor.created(place, with_table("bq://p.d.t"), VERSION, hours=24)
    assert (done.outcome, done.detail) == ("done", JOB)
    (_, made), (path, job) = received
    assert path.partition("?")[0] == f"/v1beta1/{MONITOR}/modelMonitoringJobs"
    assert json.loads(made)["modelMonitoringTarget"]["vertexModel"]["modelVersionId"] == "7"
    target = json.loads(job)["modelMonitoringSpec"]["objectiveSpec"]["targetDataset"]
    assert target["timeOffset"] == {"offset": "0h", "window": "24h"}


def report():
    checks = [
        MonitoringCheck(check="skew", about=name, status=status, reason="")
        for name, status in (("x", "alarm"), ("y", "alarm"), ("z", "ok"))
    ]
    return MonitoringReport(
        endpoint="shop", version="7", since=NOW - 3600, until=NOW, requests=1, failed=0, with_outcome=0, cost=None,
        expected_cost=None, score_divergence=None, verdict="alert", reasons=[], checks=checks,
    )  # fmt: skip


def test_cloud_metric(receiver):
    address, received, status = receiver
    assert metrics.write(PLACE, report(), requests.Session(), address) == "2 series"
    path, body = received[0]
    assert path == "/v3/projects/p/timeSeries"
    verdict, alarms = json.loads(body)["timeSeries"]
    assert verdict["points"][0]["value"] == {"int64Value": "1"}
    assert verdict["metric"]["labels"] == {"endpoint": "shop", "version": "7"}
    assert alarms["metric"] == {
        "type": "custom.googleapis.com/interlock/monitoring/alarms",
        "labels": {"endpoint": "shop", "version": "7", "check": "skew"},
    }
    assert alarms["points"][0]["value"] == {"int64Value": "2"}
    status[0] = 403
    with pytest.raises(EnvironmentProblem, match=r"403; the account needs roles/monitoring.metricWriter"):
        metrics.write(PLACE, report(), requests.Session(), address)


def test_training_window():
    now = 1_700_000_000.0  # 2023-11-14
    assert training_window(use_case(), now) == ("", "")
    asked = 'retraining: {days: 30, end: ""}'
    assert training_window(use_case(asked), now) == ("2023-10-15", "")


def test_retrain_parameter():
    assert parse_retrain("") is None
    with pytest.raises(ContractError, match="pass what `interlock schedule` writes"):
        parse_retrain('{"training": 1}')
