"""Reference pages from the code: ``cd docs && ../.venv/ml/bin/python -m generator`` writes ``docs/reference/``.

One module per page, each with ``page() -> str``. The pages are checked in, so that they can be read without building
the site and a change of the surface shows in review; ``tests/docs/test_reference.py`` fails when one is stale.
"""
