"""``validation.engine: dataflow``: the options of a Dataflow job, and where it reads and writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interlock.config import Dataflow, Validation
from interlock.errors import ConfigError


def dataflow_options(settings: Dataflow, *, job_name: str) -> list[str]:
    """Beam's command line for ``settings``, whose keys have the names of Google's own pipeline components."""
    temp = settings.temp_location.rstrip("/")
    options = {
        "runner": "DataflowRunner",
        "project": settings.project,
        "region": settings.location,
        "job_name": job_name,
        "temp_location": f"{temp}/temp",
        "staging_location": f"{temp}/staging",
        "worker_machine_type": settings.dataflow_machine_type,
        "max_num_workers": str(settings.dataflow_max_num_workers),
        "disk_size_gb": str(settings.dataflow_disk_size_gb),
        "subnetwork": settings.dataflow_subnetwork,
        "service_account_email": settings.dataflow_service_account,
        "dataflow_kms_key": settings.encryption_spec_key_name,
        "sdk_container_image": settings.sdk_container_image,
    }
    flags = [f"--{name}={value}" for name, value in options.items() if value]
    flags.append("--use_public_ips" if settings.dataflow_use_public_ips else "--no_use_public_ips")
    return flags


def cloud_path(path: Path) -> str:
    """``gs://…`` of a file under the mount ``/gcs`` that pipelines see; :class:`ConfigError` for any other."""
    if path.parts[:2] != ("/", "gcs"):
        raise ConfigError(
            f"validation.engine: dataflow: {path} is on this machine, where its workers cannot read it; "
            "run the pipeline on Vertex AI, or set engine: local"
        )
    return "gs://" + "/".join(path.parts[2:])


def dataflow_statistics(wanted: Validation, table: Path, *, sha256: str, slices: list[str], weight: str = "") -> Any:
    """Statistics of ``table`` computed by Dataflow. ``sha256`` of its values makes the names of job and result."""
    if wanted.dataflow is None:
        raise ConfigError("validation.engine: dataflow needs validation.dataflow beside it")
    import apache_beam  # noqa: F401  # before TFDV is loaded, which else comes up without Google Cloud

    from interlock.validation.beam_statistics import beam_statistics

    name = f"interlock-statistics-{sha256[:16]}"
    return beam_statistics(
        cloud_path(table),
        f"{wanted.dataflow.temp_location.rstrip('/')}/{name}.pb",
        slices=slices,
        weight=weight,
        options=dataflow_options(wanted.dataflow, job_name=name),
    )
