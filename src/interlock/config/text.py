"""The YAML that a config file is written in: of 1.2's booleans, so that the rule key ``on`` is text.

YAML 1.1, which PyYAML reads by itself, takes ``on``, ``off``, ``yes`` and ``no`` for true and false, keys included.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

BOOLEAN = "tag:yaml.org,2002:bool"


class Loader(yaml.SafeLoader):
    """Plain values only, as :class:`yaml.SafeLoader` has it."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(BOOLEAN, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def read_yaml(text: str) -> Any:
    """What stands in ``text``; :class:`yaml.YAMLError` if it is not YAML."""
    return yaml.load(text, Loader=Loader)
