"""The main job: versions of a model trained, deployed and judged against replayed live traffic, on this machine."""
