"""Compiled pipelines in a KFP repository of Artifact Registry, from where Vertex AI takes them by address."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from interlock.errors import EnvironmentProblem


def upload(template: Path, registry: str, tags: Sequence[str]) -> tuple[str, str]:
    """Upload one template with its tags; returns the package's name, which is the pipeline's, and its version.

    ``registry``: https://REGION-kfp.pkg.dev/PROJECT/REPOSITORY, reached with application-default credentials.
    """
    import requests  # type: ignore[import-untyped]
    from google.auth.exceptions import GoogleAuthError
    from kfp.registry import RegistryClient

    try:
        package, version = RegistryClient(host=registry).upload_pipeline(str(template), tags=list(tags))
    except GoogleAuthError as error:
        raise EnvironmentProblem(
            f"no credentials for {registry}: {error}; log in, or run as a service account"
        ) from error
    except requests.RequestException as error:
        raise EnvironmentProblem(f"{registry} does not take {template.name}: {error}") from error
    return package, version
