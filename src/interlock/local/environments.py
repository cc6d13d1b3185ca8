"""Which Python environment stands in for a container image of Interlock's on this machine.

The images of one build differ only in what is installed in them, so a virtual environment per image is
the same evidence without a container daemon. ``…/interlock-ml:v1`` runs in ``<root>/ml``. Other Python images and
packages that components install by themselves are the business of :mod:`interlock.local.python_images`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from interlock.errors import EnvironmentProblem

PREFIX = "interlock-"

# The laptop serves from, and runs the emulator in, the environment that also trains.
STANDS_IN = {"serve": "ml", "emulator": "ml"}

# Slow to import and safe to fork with. Cheap ones first: a step that arrives during the preload gets what
# is loaded so far. onnxruntime is left out: importing it starts a thread of its own, and costs 0.1 s only.
PRELOAD = {
    "ml": (
        "kfp.dsl",
        "kfp.dsl.executor",
        "msgspec",
        "yaml",
        "numpy",
        "pandas",
        "pyarrow.parquet",
        "duckdb",
        "sqlalchemy",
        "sklearn.ensemble",
        "sklearn.pipeline",
        "sklearn.compose",
        "sklearn.preprocessing",
        "sklearn.metrics",
        "sklearn.linear_model",
        "scipy.stats",
        "skl2onnx",
        "google.cloud.storage",
        "google.cloud.aiplatform",
    ),
    "data": (
        "kfp.dsl",
        "kfp.dsl.executor",
        "msgspec",
        "yaml",
        "numpy",
        "pandas",
        "pyarrow.parquet",
        "tensorflow_data_validation",
    ),
}

# TensorFlow writes a page of notices at import; a step's log must show the step.
VARIABLES = {"data": {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore::FutureWarning"}}


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual environment: interpreter, modules a warm interpreter preloads, variables its steps get.

    Without a preload there is no warm interpreter: nothing would be gained.
    """

    name: str
    python: Path
    preload: tuple[str, ...] = ()
    variables: dict[str, str] = {}


def image_name(image: str) -> str:
    """``europe-docker.pkg.dev/p/r/interlock-ml:v1@sha256:…`` -> ``interlock-ml``."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def python_for(image: str, root: Path) -> Path:
    """The interpreter that stands in for ``image``; :class:`EnvironmentProblem` if there is none."""
    return environments_for([image], root)[image].python


def environments_for(images: Iterable[str], root: Path) -> dict[str, Environment]:
    """An environment per image. One :class:`EnvironmentProblem` names every image that has none."""
    found: dict[str, Environment] = {}
    problems = []
    for image in sorted(set(images)):
        name = image_name(image)
        if not name.startswith(PREFIX):
            problems.append(f"image {image!r} is not one of Interlock's (name starting with {PREFIX!r})")
            continue
        short = name.removeprefix(PREFIX)
        environment = _environment(STANDS_IN.get(short, short), root)
        if environment.python.exists():
            found[image] = environment
        else:
            problems.append(f"image {image!r} needs {environment.python}, which does not exist")
    if problems:
        raise EnvironmentProblem(
            f"{'; '.join(problems)}: create it, or point INTERLOCK_ENVIRONMENTS at the folder of environments"
        )
    return found


def _environment(name: str, root: Path) -> Environment:
    return Environment(
        name=name,
        python=root.absolute() / name / "bin" / "python",
        preload=PRELOAD.get(name, ("kfp.dsl", "kfp.dsl.executor")),
        variables=VARIABLES.get(name, {}),
    )
