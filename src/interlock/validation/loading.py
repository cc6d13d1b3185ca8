"""Loads the parts of TensorFlow Data Validation that are used, without TensorFlow where that works.

TensorFlow takes two thirds of TFDV's import time and none of the work here. A placeholder stands in for it while
the modules load and becomes the real thing if anybody touches it. Apache Beam comes up as if installed without its
``gcp`` extra, which halves its import. Where the layout of TFDV changed so that this fails, the ordinary import takes
over: slower, same results. A process that is to run Beam on Google Cloud imports ``apache_beam`` first.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

from interlock.errors import EnvironmentProblem

PACKAGE = "tensorflow_data_validation"
STATISTICS = f"{PACKAGE}.statistics.stats_impl"
EXTENSION = f"{PACKAGE}.pywrap.tensorflow_data_validation_extension"
OPTIONAL = ("apitools", "google.api_core", "google.cloud", "pymongo")  # what Beam does without when it is missing


class _OnUse(ModuleType):
    """Becomes the module of the same name when an attribute is read that is not a module inside it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        inside = f"{self.__name__}.{name}"
        if hasattr(self, "__path__") and importlib.util.find_spec(inside) is not None:
            return importlib.import_module(inside)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def statistics_module() -> Any:
    """TFDV's ``stats_impl``."""
    return _load(STATISTICS)


def native_validation() -> Any:
    """The C++ functions InferSchema, UpdateSchema and ValidateFeatureStatistics, on serialized protos."""
    return _load(EXTENSION).validation


def _load(name: str) -> ModuleType:
    spec = importlib.util.find_spec(PACKAGE) if PACKAGE not in sys.modules else None
    if spec is None and PACKAGE not in sys.modules:
        raise EnvironmentProblem(
            f"{PACKAGE} is not installed in {sys.prefix}: run this in the data environment (make setup)"
        )
    if PACKAGE in sys.modules or "tensorflow" in sys.modules or spec is None:
        return importlib.import_module(name)
    package = _OnUse(PACKAGE)
    package.__path__ = list(spec.submodule_search_locations or [])
    sys.modules[PACKAGE] = package
    sys.modules["tensorflow"] = _OnUse("tensorflow")
    absent = [each for each in OPTIONAL if each not in sys.modules and "apache_beam" not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: importing it is an ImportError
    try:
        for needed in (EXTENSION, STATISTICS):
            importlib.import_module(needed)
        return sys.modules[name]
    except (ImportError, AttributeError, TypeError):
        _forget(absent)
        for loaded in [each for each in sys.modules if each.partition(".")[0] == PACKAGE]:
            del sys.modules[loaded]
        return importlib.import_module(name)
    finally:
        _forget(absent)


def _forget(absent: list[str]) -> None:
    """Later imports find the real modules again."""
    for name in absent:
        if sys.modules.get(name, name) is None:
            del sys.modules[name]
    if isinstance(sys.modules.get("tensorflow"), _OnUse):
        del sys.modules["tensorflow"]
