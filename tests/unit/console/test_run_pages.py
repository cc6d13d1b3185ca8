"""Logs and artifacts: only of the run, only in the state folder, never as markup."""

import pytest

from interlock.console.reading import Source
from interlock.console.run_pages import LOG_BYTES, LOG_END, read_log, runs_table, task_section
from interlock.errors import InputError
from interlock.vertex.catalog import Job, Task


def no_place():
    raise AssertionError("nothing is asked of the place")


def source(state):
    return Source(place=no_place, token="t", where="here", state=state)


def job(**changes):
    return Job(**{"id": "one", "pipeline": "p", "state": "running", "created": 1.0, **changes})


def test_log_of_a_task_that_runs_is_found_where_it_will_be(tmp_path):
    log = tmp_path / "jobs" / "one" / "logs" / "train.log"
    log.parent.mkdir(parents=True)
    log.write_text("fitting")
    assert read_log(tmp_path, job(), Task(name="train", state="running")) == "fitting"


def test_a_log_that_is_not_there_yet_is_empty(tmp_path):
    assert read_log(tmp_path, job(), Task(name="train", state="running")) == ""


def test_a_long_log_is_cut_at_the_front(tmp_path):
    (tmp_path / "a.log").write_text("x" * LOG_BYTES + "end")
    text = read_log(tmp_path, job(), Task(name="a", state="failed", log=str(tmp_path / "a.log")))
    assert len(text) == LOG_BYTES
    assert text.endswith("end")


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret", "state/../../secret"])
def test_files_outside_of_the_state_folder_are_not_read(tmp_path, path):
    state = tmp_path / "state"
    state.mkdir()
    (tmp_path / "secret").write_text("s")
    log = path if path.startswith("/") else str(state / path)
    with pytest.raises(InputError, match="outside of the state folder"):
        read_log(state, job(), Task(name="a", state="failed", log=log))


def test_a_link_out_of_the_state_folder_is_not_followed(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (tmp_path / "secret").write_text("s")
    (state / "a.log").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="outside"):
        read_log(state, job(), Task(name="a", state="failed", log=str(state / "a.log")))


def test_a_task_that_failed_shows_the_end_of_its_log(tmp_path):
    (tmp_path / "a.log").write_text("first" + "x" * LOG_END + "<b>last</b>")
    shown = task_section(source(tmp_path), job(), Task(name="a", state="failed", log=str(tmp_path / "a.log")), {})
    assert "&lt;b&gt;last" in shown
    assert "first" not in shown


@pytest.mark.parametrize(("state", "log"), [("failed", "/etc/passwd"), ("succeeded", "a.log"), ("failed", "none.log")])
def test_no_other_log_is_shown_among_the_tasks(tmp_path, state, log):
    (tmp_path / "a.log").write_text("fitted")
    shown = task_section(source(tmp_path), job(), Task(name="a", state=state, log=str(tmp_path / log)), {})
    assert "end of its log" not in shown
    assert "Log of a" in shown


def test_names_of_runs_are_text():
    hostile = "<img src=x onerror=alert(1)>"
    assert "<img" not in runs_table([job(id=hostile, pipeline=hostile, state=hostile)])
