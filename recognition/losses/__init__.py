"""The losses of the paper as symbols, from an embedding to what is minimised."""
