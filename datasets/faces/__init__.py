"""From a photograph to an aligned crop of a face."""
