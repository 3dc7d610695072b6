"""How files of faces are laid out: each format read and written in one place."""
