"""Pipeline runs: the list, one run as a graph, its logs and artifacts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from interlock.console.classification import classification
from interlock.console.dag import Node, artifact_kinds, graph
from interlock.console.drawing import Box, graph_picture
from interlock.console.page import Page, Part, heading, link, nothing
from interlock.console.reading import Source
from interlock.console.words import kind_of, moment, state_mark, took
from interlock.errors import InputError
from interlock.report import wording
from interlock.report.markup import Content, Html, code, details, element, facts, join, table
from interlock.vertex import catalog
from interlock.vertex.catalog import Job, Task

LOG_BYTES = 200_000
SHOWN_METADATA = 600  # characters; ROC curves and the like are pages long
INLINE_BYTES = 2_000_000
LOG_END = 2_000  # characters of a failed task's log that are shown where it failed
_HTML, _CLASSIFICATION = "system.HTML", "system.ClassificationMetrics"
_OPEN = {"system.Metrics", _CLASSIFICATION}  # short, and what one looks for


def runs_table(jobs: list[Job]) -> Html:
    """Jobs, one a row."""
    if not jobs:
        return nothing("No pipeline has run yet: ", element("code", "interlock submit training"), " starts one.")
    rows = [
        (
            link(f"/runs/{job.id}", job.id),
            job.pipeline,
            state_mark(job.state),
            moment(job.began or job.created),
            took(job.began or job.created, job.ended),
        )
        for job in jobs
    ]
    return table("Runs, newest first", ("Run", "Pipeline", "State", "Began (UTC)", "Took"), rows, numbers=(4,))


def runs_page(source: Source) -> Page:
    """All runs."""
    body = runs_table(catalog.jobs(source.place()))
    return Page(title="Pipeline runs", parts=[Part("title", heading("Pipeline runs")), Part("runs", body)])


def find_job(source: Source, id_: str) -> Job:
    """The job ``id_``; :class:`InputError` if there is none."""
    job = catalog.find_job(source.place(), id_)
    if job is None:
        raise InputError(f"there is no pipeline run {id_}: the list of runs has those there are")
    return job


def run_page(source: Source, id_: str) -> Page:
    """One run."""
    job = find_job(source, id_)
    kinds = artifact_kinds(job.spec)
    boxes, nodes = _boxes(job)
    parts = [
        Part("title", heading(job.id, kicker=job.pipeline, beside=state_mark(job.state))),
        Part("facts", _facts(job)),
        Part("graph", element("div", graph_picture(nodes, boxes), class_="scroll graph-frame")),
        Part("tasks", join([element("h2", "Tasks"), *(task_section(source, job, task, kinds) for task in job.tasks)])),
        Part("parameters", details("Parameters", _parameters(job.parameters))),
    ]
    done = sum(task.state in {"succeeded", "skipped"} for task in job.tasks)
    said = f"Run {job.state}, {wording.plural(done, 'task')} done."
    return Page(title=job.id, parts=parts, trail=[("/runs", "Pipeline runs")], announcement=said, live=not job.is_over)


def _facts(job: Job) -> Html:
    pairs: list[tuple[str, Content]] = [("Began (UTC)", moment(job.began or job.created))]
    if job.ended:
        pairs += [("Ended (UTC)", moment(job.ended)), ("Took", took(job.began or job.created, job.ended))]
    if job.schedule:
        pairs.append(("Started by schedule", job.schedule))
    error = element("p", code(job.error), class_="problem") if job.error else ""
    return join([facts(pairs), error])


def _boxes(job: Job) -> tuple[dict[str, Box], list[Node]]:
    nodes = graph(job.spec)
    runs = {task.name: task for task in job.tasks}  # of a task that ran several times, the last
    boxes = {}
    for node in nodes:
        task = runs.get(node.name)
        if task is None:
            boxes[node.name] = Box(kind="idle", word="not taken" if job.is_over else "waiting")
        else:
            time = took(task.began, task.ended)
            state = "from cache" if task.state == "skipped" else task.state
            word = f"{state}, {time}" if time else state
            boxes[node.name] = Box(kind=kind_of(task.state), word=word, link=f"#task-{task.name}")
    return boxes, nodes


def task_section(source: Source, job: Job, task: Task, kinds: dict[tuple[str, str], str]) -> Html:
    """One task: state, error, output parameters, artifacts (``kinds``: their schema by task and name)."""
    base = f"/runs/{job.id}/{task.name}"
    log = element("a", "Log", href=f"{base}/log", aria_label=f"Log of {task.name}")
    parts: list[Content] = [
        element("h3", task.name, " ", state_mark(task.state), " ", _quiet(took(task.began, task.ended))),
        element("p", log, class_="links"),
    ]
    if task.error:
        parts.append(element("p", code(task.error), class_="problem"))
    if task.state == "failed" and (end := _end_of_log(source, job, task)):
        parts.append(details("The end of its log", element("pre", end, tabindex="0", class_="log")))
    if task.outputs:
        pairs = ((element("span", name, class_="quiet"), code(_text(value))) for name, value in task.outputs.items())
        lines = (element("li", name, " ", value) for name, value in pairs)
        parts.append(element("ul", join(lines), class_="outputs", aria_label="Output parameters"))
    for artifact in task.artifacts:
        parts.append(_artifact(source, base, artifact, kinds.get((task.name, artifact.name), "")))
    return element("section", *parts, id=f"task-{task.name}", class_="task-section")


def _end_of_log(source: Source, job: Job, task: Task) -> str:
    if source.state is None:
        return ""
    try:
        return read_log(source.state, job, task)[-LOG_END:]
    except InputError:
        return ""  # the log's own page says why it is not read


def _quiet(text: str) -> Content:
    return element("span", text, class_="quiet") if text else ""


def _artifact(source: Source, base: str, artifact: catalog.Artifact, kind: str) -> Html:
    about = element("span", kind.removeprefix("system."), class_="quiet")
    drawn = classification(artifact.metadata) if kind == _CLASSIFICATION else {}
    values = [(name, code(_text(value))) for name, value in sorted(artifact.metadata.items()) if name not in drawn]
    inside: list[Content] = [element("p", code(artifact.uri), class_="reason")]
    if drawn:
        inside.append(element("div", *drawn.values(), class_="classification"))
    if values:
        inside.append(facts(values))
    if kind == _HTML and source.state is None and not artifact.uri.startswith(f"gs://{source.place().bucket}/"):
        inside.append(nothing("Not shown: it is not in the bucket that this console reads."))
    elif kind == _HTML:
        inside.append(
            element("iframe", src=f"{base}/artifacts/{artifact.name}", sandbox="", loading="lazy", title=artifact.name)
        )
    opened = {"open": ""} if kind in _OPEN else {}
    return element("details", element("summary", artifact.name, " ", about), *inside, **opened)


def _parameters(parameters: dict[str, Any]) -> Html:
    rows = [(name, element("pre", _text(value), tabindex="0")) for name, value in sorted(parameters.items())]
    return facts(rows) if rows else nothing("None.")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, str) or len(text) <= SHOWN_METADATA:
        return text
    return text[:SHOWN_METADATA] + " \N{HORIZONTAL ELLIPSIS}"


def log_page(source: Source, job_id: str, task_name: str) -> Page:
    """The end of a task's log."""
    job = find_job(source, job_id)
    task = _find_task(job, task_name)
    if source.state is None:
        shown = _cloud_log(task)
    else:
        text = read_log(source.state, job, task)
        shown = element("pre", text, tabindex="0", class_="log") if text else nothing("It wrote nothing.")
    parts = [Part("title", heading(f"Log of {task.name}", beside=state_mark(task.state))), Part("log", shown)]
    trail = [("/runs", "Pipeline runs"), (f"/runs/{job.id}", job.id)]
    return Page(title=f"Log of {task.name}", parts=parts, trail=trail, live=not job.is_over)


def _find_task(job: Job, name: str) -> Task:
    task = next((task for task in reversed(job.tasks) if task.name == name), None)
    if task is None:
        raise InputError(f"task {name} of run {job.id} has not begun")
    return task


def _cloud_log(task: Task) -> Html:
    """Where the log is: this console reads Vertex AI and the bucket, not Cloud Logging."""
    said = nothing("Not known here: logs of this project are in Cloud Logging.")
    if not task.worker:
        return said
    command = f'gcloud logging read \'resource.type="ml_job" AND resource.labels.job_id="{task.worker}"\''
    return join([said, element("pre", command, tabindex="0", class_="log")])


def read_log(state: Path, job: Job, task: Task) -> str:
    """Its last ``LOG_BYTES``; a task that runs has its log where it will be. '' for none."""
    path = Path(task.log) if task.log else state / "jobs" / job.id / "logs" / f"{task.name}.log"
    return _read_within(state, path)[-LOG_BYTES:].decode(errors="replace")


def html_artifact(source: Source, job_id: str, task_name: str, name: str) -> bytes:
    """An HTML artifact; :class:`InputError` for anything else."""
    job = find_job(source, job_id)
    task = _find_task(job, task_name)
    artifact = next((one for one in task.artifacts if one.name == name), None)
    if artifact is None or artifact_kinds(job.spec).get((task_name, name)) != _HTML:
        raise InputError(f"task {task_name} has no HTML artifact {name} that can be shown")
    if source.state is None or artifact.uri.startswith("gs://"):
        return catalog.read_object(source.place(), artifact.uri, INLINE_BYTES)
    return _read_within(source.state, Path(artifact.uri))


def _read_within(folder: Path, path: Path) -> bytes:
    """A file in ``folder``, whatever a job says where it is; b'' if it is not there."""
    resolved = path.resolve()
    if not resolved.is_relative_to(folder.resolve()):
        raise InputError(f"{path.name} is outside of the state folder: the console does not read it")
    try:
        with resolved.open("rb") as file:
            size = resolved.stat().st_size
            file.seek(max(0, size - INLINE_BYTES))
            return file.read()
    except (FileNotFoundError, IsADirectoryError):
        return b""
