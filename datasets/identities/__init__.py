"""People compared and chosen by their embeddings."""
