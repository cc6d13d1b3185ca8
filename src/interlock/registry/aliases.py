"""Where a version stands, as aliases. An alias is on one version at a time; giving it moves it.

::

    staging ------> production ------> previous
       |                |
       +--- rolled back +----> quarantined-<version>
"""

STAGING = "staging"  # passed every gate, waits for deployment
PRODUCTION = "production"  # has the traffic
PREVIOUS = "previous"  # had it before


def quarantine_alias(version: str) -> str:
    """The mark of a version that was rolled back: an alias, because the console shows it and one call sets it."""
    return f"quarantined-{version}"
