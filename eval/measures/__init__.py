"""What embeddings are worth, as numbers."""
