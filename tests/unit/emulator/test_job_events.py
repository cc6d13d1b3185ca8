from interlock.emulator.job_events import TaskEvent, ended, with_task

JOB = {"name": "j", "state": "PIPELINE_STATE_RUNNING", "jobDetail": {"taskDetails": []}}


def event(state, seconds=0.0, **fields):
    return TaskEvent(
        task="train", state=state, time=1_700_000_000 + seconds, log=fields.pop("log", "train.log"), **fields
    )


def details(job):
    return job["jobDetail"]["taskDetails"]


def test_task_runs_and_succeeds():
    running = with_task(JOB, event("RUNNING"))
    assert details(running)[0]["state"] == "RUNNING"
    assert "endTime" not in details(running)[0]
    finished = event("SUCCEEDED", 5, outputs={"auc": 0.8}, artifacts={"model": "/m"}, metadata={"model": {"k": 1}})
    (detail,) = details(with_task(running, finished))
    assert (detail["startTime"], detail["endTime"]) == (
        "2023-11-14T22:13:20.000000Z",
        "2023-11-14T22:13:25.000000Z",
    )
    assert detail["execution"]["metadata"]["output:auc"] == 0.8
    assert detail["outputs"]["model"]["artifacts"][0] == {
        "displayName": "model",
        "uri": "/m",
        "metadata": {"k": 1},
    }
    assert [status["state"] for status in detail["pipelineTaskStatus"]] == ["RUNNING", "SUCCEEDED"]


def test_two_runs_of_one_task_are_two_details():
    job = with_task(with_task(JOB, event("RUNNING")), event("RUNNING", log="train-2.log"))
    job = with_task(job, event("FAILED", log="train-2.log", error="no rows"))
    assert [detail["state"] for detail in details(job)] == ["RUNNING", "FAILED"]
    assert details(job)[1]["error"]["message"] == "no rows"


def test_end_closes_what_still_ran():
    job = ended(with_task(JOB, event("RUNNING")), "FAILED", "killed")
    assert (job["state"], job["error"]["message"]) == ("PIPELINE_STATE_FAILED", "killed")
    assert details(job)[0]["state"] == "CANCELLED"
    assert "error" not in ended(JOB, "SUCCEEDED")
    assert JOB["jobDetail"]["taskDetails"] == []
