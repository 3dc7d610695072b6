"""What a training run says and keeps about its progress."""
