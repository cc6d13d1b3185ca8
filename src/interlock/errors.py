"""Every exception Interlock raises on purpose.

::

    InterlockError                a person can act on it; the command line prints it as one line
    ├── ConfigError               the config file is wrong                      -> mend the file
    ├── InputError                a table, file or parameter cannot be used     -> mend the input
    ├── ContractError             a file between two stages is not what it says -> re-run the stage that wrote it
    ├── GateFailed                a gate closed                                 -> read the gate report
    ├── RegistryError             the registry refused or does not hold it      -> see the message
    ├── EndpointError             the endpoint refused                          -> see the message
    │   └── ConcurrentChange      somebody else changed it first                -> read afresh and decide again
    ├── EvidenceError             a metric cannot be measured                   -> never read as healthy
    └── EnvironmentProblem        a port, disk, process or service is missing   -> see the message

Messages name the thing, the value, the limit and the next step.
"""

from __future__ import annotations


class InterlockError(Exception):
    """Base of every deliberate failure. ``exit_code`` is what the command line returns."""

    exit_code = 1


class ConfigError(InterlockError):
    """The config file is wrong. The message names file, key, value and what is allowed."""

    exit_code = 2


class InputError(InterlockError):
    """A table, file or parameter cannot be used."""

    exit_code = 2


class ContractError(InterlockError):
    """A file handed from one stage to the next does not hold what its contract says."""


class GateFailed(InterlockError):
    """A gate closed: the candidate must not go on."""

    exit_code = 3


class RegistryError(InterlockError):
    """The model registry refused a call, or does not hold what was asked for."""


class EndpointError(InterlockError):
    """The endpoint refused a call."""


class ConcurrentChange(EndpointError):
    """The etag was stale: somebody else changed the resource first. Read afresh and decide again."""


class EvidenceError(InterlockError):
    """A metric could not be measured. Callers hold or roll back; they never promote."""


class EnvironmentProblem(InterlockError):
    """A port, a disk, a process or a service that is needed is not there."""
