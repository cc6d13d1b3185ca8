"""What a person sees while jobs run: one line per finished task."""

from __future__ import annotations

import time

from rich.console import Console

from interlock.vertex.jobs import JobState

SIGNS = {
    "succeeded": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "cancelled": "[yellow]-[/]",
    "skipped": "[dim]·[/]",
}


class TaskLines:
    """Prints a line when a task ends; on a terminal also shows the one that runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("submitted")
        self._seen: dict[str, str] = {}

    def __enter__(self) -> TaskLines:
        if self._console.is_terminal:
            self._status.start()
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def __call__(self, job: JobState) -> None:
        """See the job's newest state."""
        for task in job.tasks:
            before, self._seen[task.name] = self._seen.get(task.name), task.state
            if task.state == "running":
                self._status.update(f"{task.name} …")
            if task.state in SIGNS and before != task.state:
                seconds = "" if task.seconds is None else f"{task.seconds:6.1f} s"
                self._console.print(f"    {SIGNS[task.state]} {task.name:<24}{seconds}", highlight=False)
                if task.state == "failed" and task.error:
                    self._console.print(f"      {task.error}", style="red", highlight=False, markup=False)
