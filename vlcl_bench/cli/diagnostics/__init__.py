"""What this machine is and has, and whether the backbone gives what was published."""
