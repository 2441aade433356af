"""Who answers a run, and what it goes on with: its state file, its names, its lock."""
