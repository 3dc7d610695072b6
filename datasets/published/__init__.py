"""Datasets that others publish: what they are, where they come from, and whether they are here."""
