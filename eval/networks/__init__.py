"""Trained networks: their checkpoints, and the one way from images to embeddings."""
