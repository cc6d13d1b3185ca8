"""From a version in the registry to production, or back.

1. resolve_candidate   gates passed? digest right? not quarantined? same champion?
2. deploy_candidate    probed, then 0 % beside the champion
   shadow_candidate    where the config has a shadow: logged requests answered again, on an endpoint of its own
3. for each canary step: shift_traffic, judge_rollout -> continue, or roll back there and then
4. promote_candidate   100 %, alias ``production``; the old version is kept warm
5. evaluate_deployment from outcomes; then the old version is undeployed
   settle_rollout      exit handler: traffic and alias agree, always

The first version of a model has nothing to be compared with and goes from 2 to 4; so do blue-green and direct. The
plan in the config may have fewer steps than the pipeline; the rest do nothing.
"""

from interlock.components.deployment import (
    deploy_candidate,
    evaluate_deployment,
    judge_rollout,
    promote_candidate,
    resolve_candidate,
    settle_rollout,
    shadow_candidate,
    shift_traffic,
)
from kfp import dsl

STEPS = 4  # the most that config.Strategy.steps allows


def live(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Every step reads or moves live traffic: one answered from a cache would have done nothing."""
    return task.set_caching_options(False)


def finish(known: dict):
    """Promote, then evaluate what was promoted."""
    promoted = live(promote_candidate(**known))
    live(evaluate_deployment(**known)).after(promoted)


def ramp(known: dict, step: int):
    """Canary step ``step`` and, if the evidence lets it, all that follow."""
    shifted = live(shift_traffic(step=step, **known)).set_display_name(f"shift traffic, step {step + 1}")
    judged = live(judge_rollout(step=step, **known)).after(shifted).set_display_name(f"judge rollout, step {step + 1}")
    with dsl.If(judged.outputs["Output"] == "continue", name=f"step-{step + 1}-passed"):
        if step + 1 < STEPS:
            ramp(known, step + 1)
        else:
            finish(known)


@dsl.pipeline(name="interlock-deployment", description="From a version in the registry to production, or back.")
def deployment(config: str, place: str, alias: str = "staging"):
    """Deploy the version with ``alias`` by the config's strategy."""
    rollout = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    known = {"config": config, "place": place, "rollout": rollout}

    settle = live(settle_rollout(**known))
    with dsl.ExitHandler(settle, name="rollout"):
        resolved = live(resolve_candidate(config=config, place=place, alias=alias))
        candidate = resolved.outputs["candidate"]
        deployed = live(
            deploy_candidate(
                files=resolved.outputs["files"],
                candidate=candidate,
                champion=resolved.outputs["Output"],
                **known,
            )
        )
        shadowed = live(shadow_candidate(candidate=candidate, strategy=deployed.output, **known))
        with dsl.If(shadowed.output == "direct", name="switch"):
            finish(known)
        with dsl.If(shadowed.output == "canary", name="canary"):
            ramp(known, step=0)
