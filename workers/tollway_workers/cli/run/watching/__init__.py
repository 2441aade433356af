"""What a run shows while it works: its calls, what its jobs wait for, the screen."""
