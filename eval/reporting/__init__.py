"""What the evaluation commands write: thresholds, results and pictures."""
