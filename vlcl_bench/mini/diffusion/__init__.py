"""The mini text-to-image model: its pipeline, names, training, and how well its pictures are recognised."""
