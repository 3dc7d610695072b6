"""The settings of a training run, and the tables they come from."""
