"""Bodies of the commands that say more than one call and one line."""
