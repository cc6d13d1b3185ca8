"""The story: wiring only. Read training.py, pick a stage, go one layer down."""
