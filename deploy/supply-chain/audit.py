"""Known vulnerabilities in the locks, by pip-audit: `make audit`.

::

    python audit.py [--require] [--osv-url URL] [LOCK...]

pip-audit calls a package that its source does not know "no known vulnerabilities". So each source is asked first about
a release that has had advisories for years; a source that finds nothing there has no advisory data, and is not
believed. Exit status: 0 nothing found, or nobody could be asked (said loudly); 1 vulnerabilities; with --require also
1 when nobody could be asked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
IMAGES = ("ml", "data-1.16", "data-1.21", "serve", "emulator")
KNOWN_BAD = "urllib3==1.26.4"  # CVE-2021-33503, and later ones
SECONDS = 900


def run(requirements: Path, source: list[str]) -> tuple[list[dict[str, Any]], str]:
    """Dependencies as pip-audit reports them; else why there is no report."""
    command = [str(Path(sys.executable).with_name("pip-audit")), "--requirement", str(requirements), "--disable-pip"]
    command += ["--no-deps", "--format=json", "--progress-spinner=off", "--timeout=15", *source]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        return json.loads(done.stdout)["dependencies"], ""
    except subprocess.TimeoutExpired:
        return [], f"no answer in {SECONDS} s"
    except (ValueError, KeyError):
        return [], (done.stderr.strip().splitlines() or ["no message"])[-1][:160]


def trusted(source: list[str]) -> str:
    """Why ``source`` is not to be believed; '' if it knows what everybody knows."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(KNOWN_BAD + "\n")
        file.flush()
        found, problem = run(Path(file.name), source)
    if problem:
        return problem
    return "" if any(one.get("vulns") for one in found) else f"knows no advisory for {KNOWN_BAD}: it has no data"


def findings(dependencies: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Vulnerabilities, one line each; and the packages that were not looked at."""
    bad = [
        f"{one['name']} {one['version']}: {vuln['id']}, mended in {', '.join(vuln['fix_versions']) or 'no release'}"
        for one in dependencies
        for vuln in one.get("vulns", [])
    ]
    return bad, [one["name"] for one in dependencies if "skip_reason" in one]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("locks", nargs="*", type=Path, default=[ROOT / "requirements" / f"{n}.lock" for n in IMAGES])
    parser.add_argument("--require", action="store_true", help="fail when nobody can be asked")
    parser.add_argument("--osv-url", help="ask this OSV API only")
    given = parser.parse_args(arguments)
    osv = ["--vulnerability-service=osv"]
    sources = {"osv": [*osv, f"--osv-url={given.osv_url}"]} if given.osv_url else {}
    sources = sources or {"pypi": ["--vulnerability-service=pypi"], "osv": osv}
    doubts = {}
    for name, source in sources.items():
        doubts[name] = trusted(source)
        if not doubts[name]:
            return audit(given.locks, name, source)
    reasons = "; ".join(f"{name}: {why}" for name, why in doubts.items())
    sys.stdout.write(f"audit: SKIPPED, NOTHING WAS LOOKED AT: no source of advisories answers ({reasons})\n")
    return 1 if given.require else 0


def audit(locks: list[Path], name: str, source: list[str]) -> int:
    """Look at each lock; 1 when one has a vulnerability or could not be looked at."""
    status = 0
    for lock in locks:
        dependencies, problem = run(lock, source)
        bad, skipped = findings(dependencies)
        for line in [*([problem] if problem else []), *bad]:
            sys.stdout.write(f"audit: {lock.name}: {line}\n")
        if skipped:
            sys.stdout.write(f"audit: {lock.name}: NOT looked at: {', '.join(skipped)}\n")
        count = len(dependencies) - len(skipped)
        sys.stdout.write(f"audit: {lock.name}: {len(bad)} vulnerabilities in {count} packages, by {name}\n")
        status |= bool(bad or problem or not count)
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
