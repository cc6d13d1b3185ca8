"""Vertex AI Model Monitoring v2 from the same config: a monitor of the version, and a job over the last window.

The baseline is the training table of the config, which Google must be able to read, with every feature in it:
``bq://`` or ``gs://``, nothing joined or derived.
https://cloud.google.com/vertex-ai/docs/model-monitoring/overview
"""

from __future__ import annotations

import contextlib
from typing import Any

from interlock.config import Config
from interlock.contracts import ModelVersion, MonitoringAction, Place
from interlock.errors import ConfigError, EnvironmentProblem
from interlock.vertex.client import finished, parent, service

METRIC = "jensen_shannon_divergence"
THRESHOLD = 0.3  # Google's own default
ANSWERS = {"binary": ("probability", "float"), "regression": ("value", "float"), "multiclass": ("label", "categorical")}


def monitor_request(place: Place, config: Config, version: ModelVersion) -> Any:
    """``CreateModelMonitorRequest``: what is monitored, and what its fields are."""
    from google.cloud import aiplatform_v1beta1 as v1

    field, (answer, kind) = v1.ModelMonitoringSchema.FieldSchema, ANSWERS[config.task]
    target = v1.ModelMonitor.ModelMonitoringTarget
    return v1.CreateModelMonitorRequest(
        parent=parent(place),
        model_monitor_id=f"{config.name}-{version.version}",
        model_monitor=v1.ModelMonitor(
            display_name=f"{config.name} {version.version}",
            model_monitoring_target=target(
                vertex_model=target.VertexModelSource(model=version.name, model_version_id=version.version)
            ),
            training_dataset=v1.ModelMonitoringInput(columnized_dataset=_training_dataset(config)),
            tabular_objective=_objective(config),
            model_monitoring_schema=v1.ModelMonitoringSchema(
                feature_fields=[
                    *(field(name=name, data_type="float") for name in config.features.numbers),
                    *(field(name=name, data_type="categorical") for name in config.features.categories),
                ],
                prediction_fields=[field(name=answer, data_type=kind)],
                ground_truth_fields=[
                    field(name=config.label.name, data_type="float" if config.task == "regression" else "categorical")
                ],
            ),
        ),
    )


def job_request(place: Place, config: Config, monitor: str, version: ModelVersion, *, hours: float) -> Any:
    """``CreateModelMonitoringJobRequest``: the endpoint's log of the last ``hours`` against the training rows."""
    from google.cloud import aiplatform_v1beta1 as v1

    inputs = v1.ModelMonitoringInput
    endpoint = f"{parent(place)}/endpoints/{config.name}"
    return v1.CreateModelMonitoringJobRequest(
        parent=monitor,
        model_monitoring_job=v1.ModelMonitoringJob(
            display_name=f"{config.name} {version.version}, {hours:g} h",
            model_monitoring_spec=v1.ModelMonitoringSpec(
                objective_spec=v1.ModelMonitoringObjectiveSpec(
                    tabular_objective=_objective(config),
                    baseline_dataset=inputs(columnized_dataset=_training_dataset(config)),
                    target_dataset=inputs(
                        vertex_endpoint_logs=inputs.VertexEndpointLogs(endpoints=[endpoint]),
                        time_offset=inputs.TimeOffset(offset="0h", window=f"{max(1, round(hours))}h"),
                    ),
                ),
                output_spec=v1.ModelMonitoringOutputSpec(
                    gcs_base_directory=v1.GcsDestination(
                        output_uri_prefix=f"gs://{place.bucket}/model_monitoring/{config.name}"
                    )
                ),
                notification_spec=v1.ModelMonitoringNotificationSpec(enable_cloud_logging=True),
            ),
        ),
    )


def create_monitoring_job(place: Place, config: Config, version: ModelVersion, *, hours: float) -> str:
    """Create the monitor unless it is there, and a job; the job's name."""
    from google.api_core.exceptions import Conflict, GoogleAPICallError

    request = monitor_request(place, config, version)
    client = service(place, "ModelMonitoring", "v1beta1")  # v2 of Model Monitoring has no other
    name = f"{request.parent}/modelMonitors/{request.model_monitor_id}"
    try:
        with contextlib.suppress(Conflict):  # it is there: over REST the SDK says no more
            name = finished(client.create_model_monitor(request=request), seconds=300).name
        job = client.create_model_monitoring_job(request=job_request(place, config, name, version, hours=hours))
    except GoogleAPICallError as error:
        raise EnvironmentProblem(
            f"Vertex AI Model Monitoring: {error.message}; the emulator has none: set monitoring.vertex_monitor to "
            "false there"
        ) from error
    return str(job.name)


def created(place: Place, config: Config, version: ModelVersion, *, hours: float) -> MonitoringAction:
    """:func:`create_monitoring_job`, and how it went."""
    because = ["monitoring.vertex_monitor"]
    try:
        job = create_monitoring_job(place, config, version, hours=hours)
    except (ConfigError, EnvironmentProblem) as error:
        return MonitoringAction(action="vertex monitor", because=because, outcome="failed", detail=str(error))
    return MonitoringAction(action="vertex monitor", because=because, outcome="done", detail=job)


def _training_dataset(config: Config) -> Any:
    from google.cloud import aiplatform_v1beta1 as v1

    dataset, table = v1.ModelMonitoringInput.ModelMonitoringDataset, config.source.table
    elsewhere = [*(name for join in config.source.join for name in join.columns), *config.features.derived]
    if missing := sorted(set(elsewhere) & set(config.features.names)):
        raise ConfigError(
            f"monitoring.vertex_monitor: features {', '.join(missing)} are not in source.table, and Google reads only "
            "that: let source.table be a table or view that has them"
        )
    if table.startswith("bq://"):
        source = dataset.ModelMonitoringBigQuerySource(table_uri=table)
        return dataset(bigquery_source=source, timestamp_field=config.source.time)
    if table.startswith("gs://"):
        kind = dataset.ModelMonitoringGcsSource
        source = kind(gcs_uri=table, format_=kind.DataFormat.CSV)
        return dataset(gcs_source=source, timestamp_field=config.source.time)
    raise ConfigError(f"monitoring.vertex_monitor: source.table {table} is not bq:// or gs://: Google cannot read it")


def _objective(config: Config) -> Any:
    from google.cloud import aiplatform_v1beta1 as v1

    def drift(features: list[str]) -> Any:
        limit = v1.ModelMonitoringAlertCondition(threshold=config.monitoring.drift_limit or THRESHOLD)
        return v1.ModelMonitoringObjectiveSpec.DataDriftSpec(
            features=features,
            categorical_metric_type=METRIC,
            numeric_metric_type=METRIC,
            default_categorical_alert_condition=limit,
            default_numeric_alert_condition=limit,
        )

    return v1.ModelMonitoringObjectiveSpec.TabularObjective(
        feature_drift_spec=drift(config.features.names), prediction_output_drift_spec=drift([ANSWERS[config.task][0]])
    )
