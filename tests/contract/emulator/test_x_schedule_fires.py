"""A schedule of every minute, made when the session began, has fired by now. Last, so that nobody waits for it."""


def test_a_schedule_fires_by_the_clock(emulator, wait_until):
    schedule = wait_until(
        lambda: (found := emulator.request("GET", emulator.minutely)[1]) and found["startedRunCount"] != "0" and found,
        seconds=75,
    )
    assert (schedule["state"], schedule["startedRunCount"]) == ("COMPLETED", "1")
    job = schedule["lastScheduledRunResponse"]["runResponse"].partition("/us-central1/")[2]
    ended = wait_until(
        lambda: (found := emulator.request("GET", job)[1])["state"] != "PIPELINE_STATE_RUNNING" and found, seconds=30
    )
    assert ended["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert ended["scheduleName"] == schedule["name"]
    listed = emulator.request("GET", f"pipelineJobs?filter=schedule_name={schedule['name']}")[1]["pipelineJobs"]
    assert [each["name"] for each in listed] == [ended["name"]]
