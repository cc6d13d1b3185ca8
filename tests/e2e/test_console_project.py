"""`interlock console` of a project: the same API, but no state folder, and nothing may be written.

The emulator stands for Vertex AI: the console is told its place as it would be told a project's.
"""

import re
import subprocess
from contextlib import contextmanager

import msgspec
import pytest
import sqlalchemy as sa

from interlock.errors import InputError
from interlock.vertex.catalog import read_object
from interlock.vertex.client import bucket

from .console_stage import INTERLOCK, opened
from .test_console import Browser, token

CARD = "<!doctype html><p>A card of the pipeline.</p>"


@contextmanager
def console(*arguments):
    """A `interlock console` in the foreground, as a browser sees it."""
    command = [str(INTERLOCK), "console", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            line = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert found, line + process.stdout.read()
            browser = Browser(found.group())
            browser.said = line
            yield browser
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("project")) as ground:
        ground.path = ground.rollout("4713")
        yield ground


def place_file(ground, folder, **changes):
    path = folder / "place.json"
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(ground.stage.place, **changes)))
    return path


@pytest.fixture(scope="module")
def project(ground, tmp_path_factory):
    with console("--place", place_file(ground, tmp_path_factory.mktemp("place"))) as browser:
        yield browser


@pytest.mark.parametrize(
    ("path", "subject"),
    [
        ("/", "version 2 against version 1 is in step 1"),
        ("/models", "version 2"),
        ("/models/stage/2", "ROC curve"),
        ("/endpoints/stage", "Traffic: version 1 70 %, version 2 30 %"),
        ("/rollouts", "stage: version 2"),
        ("/runs", "No pipeline has run yet"),
        ("/schedules", "No schedule yet"),
        ("/history", "before the rollout"),
    ],
)
def test_a_project_is_read_through_the_api_alone(project, path, subject):
    assert subject in project.get(path)


def test_it_says_that_it_is_read_only_and_offers_no_rollback(ground, project):
    assert "read-only" in project.said
    assert "read-only" in project.get("/")
    assert "/rollback" not in project.get(ground.path)
    before = ground.shares()
    form = {"token": "guess", "reason": "no"}
    assert project.send("GET", f"{ground.path}/rollback")[0].status == 404
    assert project.post(f"{ground.path}/rollback", form)[0].status == 403
    assert ground.shares() == before == {"1": 70, "2": 30}


def test_reading_creates_nothing_in_the_warehouse(ground, tmp_path):
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    with console("--place", place_file(ground, tmp_path, warehouse=url)) as browser:
        assert "rollout_journal" in browser.get("/rollouts", status=502)
    assert sa.inspect(sa.create_engine(url)).get_table_names() == []


def test_without_a_warehouse_pages_say_what_is_not_known(ground, tmp_path):
    with console("--place", place_file(ground, tmp_path, warehouse="")) as browser:
        for path in ("/", "/models/stage/2", "/endpoints/stage"):
            text = browser.get(path)
            assert "start it with --warehouse" in text
            assert "No rollout yet" not in text
        assert "Traffic: version 1 70 %, version 2 30 %" in browser.get("/endpoints/stage")
        for path in ("/rollouts", "/rollouts/4713", "/history"):
            assert "start it with --warehouse" in browser.get(path, status=503)


def test_without_a_bucket_a_version_says_that_its_files_are_not_read(ground, tmp_path):
    with console("--place", place_file(ground, tmp_path, bucket="")) as browser:
        assert "no --bucket was given" in browser.get("/models/stage/2")
        assert "version 2" in browser.get("/models/stage")


def test_an_artifact_is_read_from_the_bucket_and_from_nowhere_else(ground):
    place = ground.stage.place
    bucket(place).blob("cards/card.html").upload_from_string(CARD)
    address = f"gs://{place.bucket}/cards/card.html"
    assert read_object(place, address, 1000) == CARD.encode()
    assert read_object(place, address, 15) == CARD.encode()[:15]
    for elsewhere in ("gs://other/cards/card.html", "/etc/passwd", f"gs://{place.bucket}x/card.html"):
        with pytest.raises(InputError, match="is not in bucket"):
            read_object(place, elsewhere, 1000)
    with pytest.raises(InputError, match="cannot be read"):
        read_object(place, f"gs://{place.bucket}/cards/none.html", 1000)


def test_rollback_of_a_project_needs_to_be_asked_for(ground, tmp_path):
    with console("--place", place_file(ground, tmp_path), "--writable") as browser:
        page = browser.get(f"{ground.path}/rollback")
        assert "read-only" not in browser.said
        answer, _ = browser.post(f"{ground.path}/rollback", {"token": token(page), "reason": "drill"})
        assert answer.status == 303
    assert ground.shares() == {"1": 100}


def test_a_writable_project_needs_a_journal(tmp_path):
    command = [str(INTERLOCK), "console", "--project", "p", "--writable"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "--warehouse" in done.stderr + done.stdout
