"""A look at live traffic, to be run on a schedule."""

from interlock.components.monitoring import monitor_deployment
from kfp import dsl


@dsl.pipeline(name="interlock-monitoring", description="Live traffic against what was evaluated.")
def monitoring(config: str, place: str, hours: float = 24.0):
    """Judge the last ``hours`` of the version in production."""
    monitor_deployment(config=config, place=place, hours=hours)
