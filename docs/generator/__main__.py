"""Write every reference page."""

from __future__ import annotations

from pathlib import Path

from generator.pages import PAGES

FOLDER = Path(__file__).parents[1] / "reference"

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
