"""A training run: its loop, learner, optimizer, states and verification."""
