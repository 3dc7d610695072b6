"""What is wrong with a file of faces, and whether a dataset is here."""
