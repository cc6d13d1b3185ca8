"""What `interlock doctor` knows: which prerequisites there are, and the command that mends each.

::

    finding.py    what a check says, and the exit status of many
    local.py      facts of this machine -> findings        machine.py     gathers them
    kind.py       facts of a kind cluster -> findings      cluster.py     gathers them
    cloud.py      facts of a Vertex AI place -> findings   vertex/inspection.py gathers them

Judging is pure; gathering never raises for what it looks for: a thing that cannot be asked is a fact too.
"""
