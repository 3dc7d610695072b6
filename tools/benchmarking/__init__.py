"""What the benchmark times, and how contenders take turns."""
