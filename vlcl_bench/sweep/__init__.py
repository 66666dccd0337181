"""Sweeps: many runs from one file, each in a process of its own; the run folders are the only state."""
