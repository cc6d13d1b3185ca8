"""Warm interpreters: really used, really fresh, safe to fork, replaced when they are gone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from interlock.local.environments import environments_for
from interlock.local.warm_pool import WarmPool

ROOT = Path(sys.prefix).parent
ml = dsl.component(base_image="interlock-ml", install_kfp_package=False)
data = dsl.component(base_image="interlock-data", install_kfp_package=False)


@ml
def how() -> str:
    import sys

    return "warm" if any(part.endswith("warm.py") for part in sys.orig_argv) else "plain"


@ml
def draw() -> float:
    import random

    import numpy as np

    return float(np.random.random() + random.random())


@ml
def interlock_loaded(folder: str) -> str:
    import importlib.util
    import sys

    before = [name for name in sys.modules if name.startswith("interlock")]
    return f"{before} {importlib.util.find_spec('interlock') is not None}"


@ml
def use_libraries(port: int, folder: str) -> str:
    import duckdb
    import numpy as np
    import onnxruntime
    import pandas as pd
    import requests
    import sqlalchemy
    import urllib3
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform, storage
    from skl2onnx import to_onnx
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    rng = np.random.default_rng(0)
    x = rng.random((4000, 8)).astype("float32")
    y = (x[:, 0] > x[:, 1]).astype("int64")
    model = HistGradientBoostingClassifier(max_iter=10).fit(x, y)
    RandomForestClassifier(20, n_jobs=2).fit(x, y)
    (x @ x.T).sum()
    session = onnxruntime.InferenceSession(to_onnx(model, x[:1]).SerializeToString())
    session.run(None, {session.get_inputs()[0].name: x[:100]})
    path = f"{folder}/x-{np.random.randint(1 << 30)}.parquet"
    pd.DataFrame(x, columns=list("abcdefgh")).to_parquet(path)
    [(rows, _)] = duckdb.sql(f"select count(*), sum(a) from '{path}'").fetchall()
    assert rows == pd.read_parquet(path, columns=["a"]).shape[0] == 4000
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        assert connection.execute(sqlalchemy.text("select 1")).scalar() == 1
    assert requests.get(f"http://127.0.0.1:{port}/", timeout=10).ok
    assert urllib3.PoolManager().request("GET", f"http://127.0.0.1:{port}/").status == 200
    aiplatform.init(project="p", location="us-central1", credentials=AnonymousCredentials())
    storage.Client(project="p", credentials=AnonymousCredentials())
    return "ok"


@data
def use_tfdv() -> str:
    import numpy as np
    import pandas as pd
    import tensorflow_data_validation as tfdv

    frame = pd.DataFrame({"x": np.arange(500.0), "c": ["a", "b"] * 250})
    statistics = tfdv.generate_statistics_from_dataframe(frame)
    schema = tfdv.infer_schema(statistics)
    frame.loc[0, "c"] = "z"
    anomalies = tfdv.validate_statistics(tfdv.generate_statistics_from_dataframe(frame), schema)
    return ",".join(anomalies.anomaly_info)


@pytest.fixture
def http_port(tmp_path: Path) -> Any:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", str(tmp_path)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline().split(" port ")[1].split()[0])
    yield port
    server.kill()
    server.communicate()


def test_warm_is_used_unless_turned_off(jobs: Any) -> None:
    @dsl.pipeline(name="two")
    def two() -> None:
        how()

    assert jobs.run(two, warm=True).output("how") == "warm"
    assert jobs.run(two, warm=False).output("how") == "plain"


def test_variables_that_are_read_at_import_need_another_interpreter(jobs: Any, tmp_path: Path) -> None:
    @dsl.pipeline(name="one")
    def one() -> None:
        how()
        how().set_env_variable("OMP_NUM_THREADS", "1")

    jobs.state = tmp_path / "state"
    finished = jobs.run(one, warm=True, environment={"OPENBLAS_NUM_THREADS": "1"})
    first = socket_of(jobs.state)
    assert (finished.output("how"), finished.output("how-2")) == ("warm", "plain")
    assert jobs.run(one, warm=True).output("how") == "warm"
    assert socket_of(jobs.state) != first
    wait_gone(first)


def test_a_step_finds_interlock_but_none_of_it_loaded(jobs: Any) -> None:
    @dsl.pipeline(name="fresh")
    def fresh() -> None:
        interlock_loaded(folder="")

    assert jobs.run(fresh, warm=True).output("interlock-loaded") == "[] True"


def test_two_steps_do_not_draw_the_same_random_numbers(jobs: Any) -> None:
    @dsl.pipeline(name="draws")
    def draws() -> None:
        draw()
        draw()

    finished = jobs.run(draws, warm=True)
    assert finished.output("draw") != finished.output("draw-2")


@pytest.mark.slow
def test_libraries_work_in_fork_after_fork(jobs: Any, http_port: int, tmp_path: Path) -> None:
    @dsl.pipeline(name="forks")
    def forks(port: int, folder: str) -> None:
        for _ in range(3):
            use_libraries(port=port, folder=folder)
            use_tfdv()

    for _ in range(2):
        finished = jobs.run(forks, {"port": http_port, "folder": str(tmp_path)}, warm=True)
        assert finished.verdict["state"] == "SUCCEEDED", finished.verdict
        assert {finished.output(f"use-libraries{n}") for n in ("", "-2", "-3")} == {"ok"}
        assert {finished.output(f"use-tfdv{n}") for n in ("", "-2", "-3")} == {"c"}


def pool(state: Path, owner: int, idle_seconds: float = 600) -> WarmPool:
    return WarmPool(state, owner=owner, idle_seconds=idle_seconds, process_environment=dict(os.environ), variables={})


def socket_of(state: Path) -> Path:
    return Path(json.loads((state / "warm-ml.json").read_text())["socket"])


def wait_gone(path: Path) -> None:
    deadline = time.monotonic() + 30
    while path.exists():
        assert time.monotonic() < deadline, f"{path} is still there"
        time.sleep(0.05)


def test_it_ends_when_its_owner_is_gone(tmp_path: Path) -> None:
    environment = environments_for(["interlock-ml"], ROOT)["interlock-ml"]
    owner = subprocess.Popen(["sleep", "300"])
    pool(tmp_path, owner.pid).start(environment)
    socket = socket_of(tmp_path)
    assert socket.exists()
    owner.kill()
    owner.wait()
    wait_gone(socket)


def test_it_ends_when_idle_and_is_started_anew(tmp_path: Path, jobs: Any) -> None:
    environment = environments_for(["interlock-ml"], ROOT)["interlock-ml"]
    pool(tmp_path, os.getpid(), idle_seconds=0).start(environment)
    first = socket_of(tmp_path)
    wait_gone(first)
    pool(tmp_path, os.getpid(), idle_seconds=0).start(environment)
    assert socket_of(tmp_path) != first
    wait_gone(socket_of(tmp_path))


def test_a_step_runs_plainly_when_warm_cannot(jobs: Any, tmp_path: Path) -> None:
    """A listening socket behind which nobody serves: what a warm interpreter that crashed at start leaves."""

    @dsl.pipeline(name="one")
    def one() -> None:
        how()

    broken = tmp_path / "environments" / "ml" / "bin"
    broken.mkdir(parents=True)
    real = ROOT / "ml" / "bin"
    for name in ("python", "python3"):
        script = broken / name
        script.write_text(f'#!/bin/sh\n[ "$1" = -P ] && exit 1\nexec {real / "python"} "$@"\n')
        script.chmod(0o755)
    jobs.state = tmp_path / "state"

    finished = jobs.run(one, warm=True, settings={"INTERLOCK_ENVIRONMENTS": str(tmp_path / "environments")})

    assert finished.output("how") == "plain"
    assert (finished.log_dir / "job.log").read_text().count("no warm interpreter for ml") == 1


def test_a_killed_warm_interpreter_fails_the_step_and_the_next_job_is_fine(jobs: Any, tmp_path: Path) -> None:
    @ml
    def kill_parent() -> None:
        import os
        import signal
        import time

        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(300)

    @dsl.pipeline(name="one")
    def one() -> None:
        kill_parent()

    @dsl.pipeline(name="two")
    def two() -> None:
        how()

    jobs.state = tmp_path / "state"
    assert signal.SIGKILL.name in jobs.run(one, warm=True).end_of("kill-parent")["error"]
    assert jobs.run(two, warm=True).output("how") == "warm"
