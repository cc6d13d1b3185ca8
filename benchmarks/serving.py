"""The model server beside its peers, same model, one process on one core each; the last line is JSON.

Peers: Vertex AI custom prediction routines, KServe's SDK server, MLServer, BentoML; each with the scikit-learn pipeline
and with the same ONNX. Their environments are built here, under ``.venv/bench-*``; one that cannot be built or does
not answer is named in ``missing``, and so is the image where Docker does not have it. Load: wrk on the other core,
closed loop, keep-alive, in windows that take turns.
``c1`` and ``c16`` are connections; every answer of a peer is checked against ours once before it is measured.

``single_…`` one row a request at c16; ``batch64_…`` 64 rows. Ours has its prediction log and metrics on.
``logging_cost``: share of requests a second lost by the prediction log. ``p50_us_c1``: one row, one connection, beside
``echo_p50_us_c1``, the same HTTP stack with a fixed answer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from serving_peers.model import build_model, write_bodies
from serving_peers.peers import ROOT, Running, ask, build, ours, peers, running
from serving_peers.wrk import Load, load, require_wrk

from interlock import __version__

# (rows a request, connections)
LOADS = ((1, 1), (1, 16), (64, 1), (64, 16))
Results = dict[tuple[str, int, int], list[Load]]


def main() -> None:
    """Build, check, measure, say."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=int, default=2)
    arguments.add_argument("--peers", help="only these, names by commas; '' for none")
    options = arguments.parse_args()
    require_wrk()
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as name, ExitStack() as servers:
        folder = Path(name)
        rows = build_model(folder / "model")
        write_bodies(folder, rows)
        live, missing = start_all(servers, folder, options.peers)
        results: Results = {}
        for number in range(options.rounds):
            for batch, connections in LOADS:
                for server in live:
                    bodies = folder / f"{server.server.bodies}-{batch}.jsonl"
                    window = load(server.url, bodies, connections=connections, seconds=options.seconds)
                    results.setdefault((server.server.name, batch, connections), []).append(window)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        memory = next(server for server in live if server.server.name == "interlock").rss_mb()
        start = cold_start(folder)
    table(results, live)
    sizes = size(missing)
    print(json.dumps(summary(results, missing) | start | {"rss_mb": memory} | sizes))


def start_all(servers: ExitStack, folder: Path, only: str | None) -> tuple[list[Running], dict[str, str]]:
    """Everything that runs and answers like ours, and what does not with the reason."""
    live: list[Running] = []
    missing: dict[str, str] = {}
    bodies = {kind: (folder / f"{kind}-64.jsonl").read_bytes().splitlines()[0] for kind in ("v1", "v2")}
    expected: list[float] = []
    chosen = [peer for peer in peers(folder / "model") if only is None or peer.name in only.split(",")]
    wanted = ours(folder / "model", folder / "log") + chosen
    for server in wanted:
        reason = build(server.environment)
        try:
            if reason:
                raise RuntimeError(reason)
            found = servers.enter_context(running(server, folder))
            status, answer = ask(found, bodies[server.bodies])
            if status != 200:
                raise RuntimeError(f"answers {status}: {answer[:200]!r}")
            scores = scores_of(json.loads(answer))
            expected = expected or scores
            if server.name != "echo" and max(abs(a - b) for a, b in zip(scores, expected, strict=True)) > 1e-5:
                raise RuntimeError("answers other probabilities")
        except (RuntimeError, OSError) as error:
            missing[server.name] = str(error)[:300]
            print(f"{server.name}: {error}", file=sys.stderr)
        else:
            live.append(found)
    return live, missing


def scores_of(answer: dict[str, Any]) -> list[float]:
    """Probabilities in an answer of any of the servers."""
    if "outputs" in answer:
        return list(answer["outputs"][0]["data"])
    return [item["probability"] if isinstance(item, dict) else item for item in answer["predictions"]]


def summary(results: Results, missing: dict[str, str]) -> dict[str, Any]:
    """Medians and their ratios; None where a side is missing."""

    def median(name: str, batch: int, connections: int) -> float | None:
        windows = results.get((name, batch, connections))
        return statistics.median(window.rps for window in windows) if windows else None

    def ratio(value: float | None, by: float | None) -> float | None:
        return round(value / by, 2) if value and by else None

    def best(batch: int) -> tuple[float, str]:
        names = {name for name, _, _ in results if name.endswith("_onnx")}
        return max(((median(name, batch, 16) or 0.0, name) for name in names), default=(0.0, ""))

    def latency(name: str) -> dict[str, float]:
        windows = results[name, 1, 1]
        return {
            "p50": statistics.median(window.p50_us for window in windows),
            "p99": statistics.median(window.p99_us for window in windows),
        }

    single, batch64 = median("interlock", 1, 16), median("interlock", 64, 16)
    paired = zip(results["interlock", 1, 16], results["interlock_no_log", 1, 16], strict=True)
    own, echo = latency("interlock"), latency("echo")
    return {
        "single_rps": round(single or 0),
        "batch64_rps": round(batch64 or 0),
        "single_rps_ratio_cpr": ratio(single, median("cpr_sklearn", 1, 16)),
        "single_rps_ratio_best_onnx_peer": ratio(single, best(1)[0]),
        "batch64_rps_ratio_best_onnx_peer": ratio(batch64, best(64)[0]),
        "best_onnx_peer": [best(1)[1], best(64)[1]],
        "fallback_ratio_cpr": ratio(median("interlock_sklearn", 1, 16), median("cpr_sklearn", 1, 16)),
        "logging_cost": round(1 - statistics.median(a.rps / b.rps for a, b in paired), 3),
        "p50_us_c1": own["p50"],
        "p99_us_c1": own["p99"],
        "echo_p50_us_c1": echo["p50"],
        "echo_p99_us_c1": echo["p99"],
        "echo_rps_ratio": ratio(single, median("echo", 1, 16)),
        "errors": sum(window.errors for windows in results.values() for window in windows),
        "missing": missing,
        "load_average": round(os.getloadavg()[0], 1),
    }


def cold_start(folder: Path) -> dict[str, float]:
    """Seconds from nothing to the first connection, median of five."""
    server = ours(folder / "model", folder / "log")[0]
    times = []
    for _ in range(5):
        with running(server, folder) as live:
            times.append(live.started_seconds)
    return {"cold_start_s": round(statistics.median(times), 3)}


def size(missing: dict[str, str]) -> dict[str, float | None]:
    """Megabytes of our image, or the reason in ``missing``; and of the packages it holds, as installed here."""
    files = (ROOT / ".venv/bench-serve/lib").rglob("*")
    total = sum(file.stat().st_size for file in files if file.is_file() and "__pycache__" not in file.parts)
    image = f"interlock-serve:{__version__}"
    try:
        done = subprocess.run(
            ["docker", "image", "inspect", "--format", "{{.Size}}", image],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        missing["image_mb"] = f"docker does not answer: {error}"
    else:
        if done.returncode == 0:
            return {"image_mb": round(int(done.stdout) / 1e6, 1), "serve_packages_mb": round(total / 1e6, 1)}
        missing["image_mb"] = f"{' '.join(done.stderr.split())[:200]}; make images builds {image}"
    return {"image_mb": None, "serve_packages_mb": round(total / 1e6, 1)}


def table(results: Results, live: list[Running]) -> None:
    """Requests a second and p50 for people."""
    print(f"{'server':20}" + "".join(f"{f'b{batch} c{connections}':>22}" for batch, connections in LOADS))
    for server in live:
        cells = []
        for batch, connections in LOADS:
            windows = results[server.server.name, batch, connections]
            rps = statistics.median(window.rps for window in windows)
            p50 = statistics.median(window.p50_us for window in windows)
            cells.append(f"{rps:>10.0f} / {p50:>6.0f} us")
        print(f"{server.server.name:20}" + "".join(f"{cell:>22}" for cell in cells))


if __name__ == "__main__":
    main()
