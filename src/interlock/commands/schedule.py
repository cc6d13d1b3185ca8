"""``interlock schedule``: monitoring by cron, with everything a training that it submits needs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from interlock.settings import state_folder

NEEDED = ("training", "deployment", "monitoring")


def schedule(
    config: Annotated[Path, typer.Option("--config", "-c", help="The use case, a YAML file.")],
    state: Annotated[
        Path, typer.Option("--state", help="Folder of the emulators' state.", default_factory=state_folder)
    ],
    cron: Annotated[
        str, typer.Option(help="Five fields: minute, hour, day of month, month, day of week; TZ=… before.")
    ] = "0 * * * *",
    hours: Annotated[
        float | None, typer.Option(help="Length of a window; monitoring.hours of the config unless given.", min=0.001)
    ] = None,
    place: Annotated[
        Path | None, typer.Option("--place", help="A place on Google Cloud, as JSON, instead of the emulators.")
    ] = None,
    templates: Annotated[
        Path | None, typer.Option(help="With --place: the vertex/ folder that `interlock compile` wrote.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Remove the schedule of this use case instead.")] = False,
) -> None:
    """Monitor production by cron, in place of an earlier schedule; what it finds leads to what the config says."""
    from interlock.commands.place import chosen_place
    from interlock.config import parse_config
    from interlock.submission import compile_pipeline, monitoring_parameters, read_use_case, training_parameters
    from interlock.vertex import schedules

    if (place is None) != (templates is None) and not off:
        raise typer.BadParameter("--place and --templates go together", param_hint="--place")
    where, case = chosen_place(state, place), read_use_case(config)
    name = f"{case.name}-monitoring"
    if off:
        removed = schedules.delete_schedules(where, name)
        sys.stdout.write("".join(f"removed {each}\n" for each in removed) or f"no schedule {name}\n")
        return
    folder = templates or state / "templates"
    files = {each: folder / f"{each}.yaml" if templates else compile_pipeline(each, folder) for each in NEEDED}
    retrain = {
        each: schedules.upload_template(where, files[each], f"{case.name}-{each}")
        for each in ("training", "deployment")
    }
    window = hours or parse_config(case.config, str(config)).monitoring.hours
    training = training_parameters(where, case, start="", end="")
    created = schedules.create_schedule(
        where,
        files["monitoring"],
        name=name,
        cron=cron,
        parameters=monitoring_parameters(where, case, hours=window, retrain=retrain | {"parameters": training}),
    )
    sys.stdout.write(f"{created}\n{cron}: the last {window:g} h of {case.name}\n")
