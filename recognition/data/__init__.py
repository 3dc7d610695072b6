"""Training data: batches of images or triplets from a record file."""
