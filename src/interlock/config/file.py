"""The one file that describes a use case. Nothing else in the code knows what the table is about.

The file is YAML, read into frozen structs. Unknown keys, wrong types and impossible values are refused with
file, key, value and what is allowed, before anything runs. ``examples/flights/config.yaml`` shows every key.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import yaml

from interlock.config.impossible import impossible_values
from interlock.config.messages import explain
from interlock.config.text import read_yaml
from interlock.config.use_case import Config
from interlock.errors import ConfigError


def parse_config(text: str, file: str = "config") -> Config:
    """Read and check config text. ``file`` is only for messages."""
    try:
        raw = read_yaml(text)
    except yaml.YAMLError as error:
        hint = "; indent with spaces, YAML takes no tabs" if "'\\t'" in str(error) else ""
        raise ConfigError(f"{file}: not YAML: {' '.join(str(error).split())}{hint}") from error
    try:
        config = msgspec.convert(raw, type=Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {explain(error, raw)}") from error
    for problem in impossible_values(config):
        raise ConfigError(f"{file}: {problem}")
    return config


def load_config(path: Path) -> Config:
    """Read the config file at ``path``."""
    return parse_config(read_config_text(path), str(path))


def read_config_text(path: Path) -> str:
    """The text of the file, as pipelines take it."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise ConfigError(
            f"{path}: {reason}; give a config file; `interlock init TABLE --label COLUMN` writes one"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error


def config_sha256(text: str) -> str:
    """Fingerprint of a config text."""
    return hashlib.sha256(text.encode()).hexdigest()
