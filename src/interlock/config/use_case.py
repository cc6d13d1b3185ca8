"""The whole config file."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from interlock.config.data import FeatureSet, Label, Source, Split, Validation
from interlock.config.gates import Gates
from interlock.config.monitoring import Monitoring
from interlock.config.rollout import Metric, PostDeploy, Serving, Strategy
from interlock.config.section import Name, Section, Slug
from interlock.config.signing import Signing
from interlock.config.training import FREE, Cost, Training
from interlock.contracts import Task


class Config(Section, frozen=True, kw_only=True):
    """The whole file. ``cost`` belongs to binary tasks, which need it."""

    name: Slug
    task: Task = "binary"
    seed: int = 0
    source: Source
    label: Label
    features: FeatureSet
    slices: list[Name] = []
    slice_pairs: list[Annotated[list[Name], Meta(min_length=2, max_length=2)]] = []
    split: Split = Split()
    validation: Validation = Validation()
    training: Training = Training()
    cost: Cost = FREE
    gates: Gates
    metrics: Annotated[list[Metric], Meta(min_length=1)]
    strategy: Strategy
    post_deploy: PostDeploy = PostDeploy()
    monitoring: Monitoring = Monitoring()
    serving: Serving = Serving()
    signing: Signing = Signing()
