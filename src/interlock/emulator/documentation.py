"""``python -m interlock.emulator.documentation docs/emulator.md``: write its lists anew, from the code."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from interlock.emulator.surface import RPCS

FIRST = "## Calls\n"


def generated() -> str:
    """The page from its heading "Calls" on."""
    lines = [FIRST]
    for service, calls in groupby(RPCS, key=lambda rpc: rpc.service):
        lines.append(f"### {service}\n\n| call | REST, below the location | |\n|---|---|---|")
        for rpc in calls:
            served = "served" if rpc.served else "501"
            lines.append(f"| {rpc.name} | `{rpc.method} {rpc.pattern}` | {served} |")
        lines.append("")
    lines.append("Every other path answers 501 and names itself.\n\n## Assumptions about the real service\n")
    lines.append("None of these could be checked against Google Cloud. Each is marked in the code.\n")
    lines += [f"* `{module}`: {text}" for module, text in assumptions()]
    return "\n".join(lines) + "\n"


def assumptions() -> Iterator[tuple[str, str]]:
    """(module, sentence) of each "Assumption: …" in the code of this package, up to the end of its paragraph."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path == Path(__file__):
            continue
        text = re.sub(r"\n\s*#\s*", " ", path.read_text(encoding="utf-8"))
        for found in re.finditer(r'Assumption: (.+?\.)(?=\s*(?:"""|\n|$)| [A-Z])', text, re.DOTALL):
            yield path.stem, " ".join(found[1].split())


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(page.read_text(encoding="utf-8").partition(FIRST)[0] + generated(), encoding="utf-8")
