"""Environment variables: the ones that ``settings.py``, the one reader of the environment, asks for."""

from __future__ import annotations

import ast
import inspect
import re
from typing import NamedTuple

from generator.markdown import heading, sentences, table
from interlock import settings

# Where the docstrings of settings.py do not say it; what they say is not repeated here.
MEANINGS = {
    "AIP_STORAGE_URI": "model server: folder with the model, `gs://…` or a path; required",
    "AIP_HTTP_PORT": "model server: port, 0 for any free one",
    "AIP_HEALTH_ROUTE": "model server: path of the health check",
    "AIP_PREDICT_ROUTE": "model server: path of predictions",
    "AIP_MODEL_VERSION": "model server: version in every answer; digits of the model's digest without it",
    "AIP_DEPLOYED_MODEL_ID": "model server: deployed model id; Vertex AI and the emulator set it",
    "STORAGE_EMULATOR_HOST": "address of a storage emulator; Cloud Storage without it",
    "INTERLOCK_ALLOW_PICKLE": "`1` lets a server load pickles, which can run any code",
    "INTERLOCK_SERVER_HOST": "model server: address to listen on; a container needs 0.0.0.0",
    "INTERLOCK_WORKERS": "model server: processes on the one port",
    "INTERLOCK_DRAIN_SECONDS": "model server: time for requests in flight after SIGTERM",
    "INTERLOCK_REQUEST_SECONDS": "model server: time a client has to send a request, or to take an answer",
    "INTERLOCK_MAX_CONNECTIONS": "model server: connections per worker; one more gets 503",
    "INTERLOCK_PREDICTION_LOG": "model server: folder for requests and answers; no log without it",
    "INTERLOCK_PREDICTION_LOG_SHARE": "model server: share of the answers that is logged",
    "INTERLOCK_STATE": "state folder of the local stack",
    "INTERLOCK_ENVIRONMENTS": "folder with one virtual environment per image; that of the running one without it",
    "INTERLOCK_WARM": "`0` runs every pipeline step as a plain process, without a warm interpreter",
    "INTERLOCK_WARM_MINUTES": "a warm interpreter ends after this long without work",
    "INTERLOCK_TOKEN": "emulator: clients must send it as a bearer token; needed beyond loopback",
}
NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")


class Variable(NamedTuple):
    """``field`` of which struct the value becomes, '' if none; ``told``: docstring of the function that reads it."""

    name: str
    default: str
    field: str
    told: str


def page() -> str:
    """The page."""
    rows = [(f"`{v.name}`", f"`{v.default}`" if v.default else "", meaning(v)) for v in variables()]
    text = heading(
        "Environment variables",
        "Read in one place, `src/interlock/settings.py`; everything else takes its settings as arguments. "
        "`interlock up --print-env` prints what a program needs to talk to the emulators.",
    )
    return f"{text}\n{table(('variable', 'default', 'meaning'), rows)}"


def meaning(variable: Variable) -> str:
    """In words: of :data:`MEANINGS`, else what a docstring of settings.py says about the variable or its field."""
    if variable.name in MEANINGS:
        return MEANINGS[variable.name]
    documents = [kind.__doc__ or "" for kind in vars(settings).values() if inspect.isclass(kind)]
    about = [sentences(text, variable.field) for text in documents if variable.field]
    return next((text for text in about if text), "") or sentences(variable.told, variable.name)


def variables() -> list[Variable]:
    """Every variable that the settings read, by name."""
    tree = ast.parse(inspect.getsource(settings))
    found: dict[str, Variable] = {}
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        fields = {
            id(call): keyword.arg or ""
            for keyword in ast.walk(function)
            if isinstance(keyword, ast.keyword)
            for call in ast.walk(keyword.value)
        }
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            texts = [one.value for one in call.args if isinstance(one, ast.Constant)]
            if texts and isinstance(texts[0], str) and NAME.fullmatch(texts[0]):
                default = str(texts[1]) if len(texts) > 1 else ""
                told = ast.get_docstring(function) or ""
                found.setdefault(texts[0], Variable(texts[0], default, fields.get(id(call), ""), told))
    return [found[name] for name in sorted(found)]
