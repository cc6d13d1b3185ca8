"""Runs compiled pipelines on this machine: kfp.local, one virtual environment per image, or containers.

``python -m interlock.local.job JOBFILE`` runs a job (:mod:`interlock.local.job`) and reports JSON lines
(:mod:`interlock.local.events`). The only package of Interlock that imports kfp.
"""
