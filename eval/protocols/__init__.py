"""Who is compared with whom in each benchmark."""
