"""All traffic switched between two versions under load on the emulator; the last line is JSON.

``lost``: requests without a 200. ``effect_ms``: from the call until the last request was sent that the version
being left still answered. ``call_ms``: the compare-and-set call itself.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from interlock.rehearsal.stage import stage
from interlock.rehearsal.switch import switch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--switches", type=int, default=100)
    parser.add_argument("--per-second", type=int, default=600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder)) as ground:
        done = switch(ground, options.switches, per_second=options.per_second)
    result = {"switches": len(done.effect_ms), "requests": done.requests, "lost": done.lost}
    for name, values in (("effect_ms", done.effect_ms), ("call_ms", done.call_ms)):
        result |= {f"{name}_p50": float(np.median(values)), f"{name}_p99": float(np.quantile(values, 0.99))}
    print(json.dumps({name: round(value, 2) for name, value in result.items()}))


if __name__ == "__main__":
    main()
