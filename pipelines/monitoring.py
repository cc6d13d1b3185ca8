"""A look at live traffic, to be run on a schedule: `interlock schedule`.

1. monitor_deployment   the last hours of the version in production: ok, alert or error; alert, roll back, train
2. deploy_retrained     where a training was submitted: its result, through the deployment pipeline

The training and the deployment are pipelines of their own, with gates and evidence of their own.
"""

from interlock.components.monitoring import deploy_retrained, monitor_deployment
from kfp import dsl


@dsl.pipeline(name="interlock-monitoring", description="Live traffic against what was trained on and evaluated.")
def monitoring(config: str, place: str, hours: float = 24.0, retrain: str = ""):
    """Judge the last ``hours`` of the version in production; ``retrain``: what a training is submitted with."""
    # Traffic changes though the parameters do not: an answer from a cache would be an old one.
    monitored = monitor_deployment(config=config, place=place, hours=hours, retrain=retrain)
    monitored.set_caching_options(False)
    training = monitored.outputs["training"]
    with dsl.If(training != "", name="retrained"):
        deployed = deploy_retrained(config=config, place=place, retrain=retrain, training=training)
        deployed.set_caching_options(False)
