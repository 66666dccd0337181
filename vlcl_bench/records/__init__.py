"""Records: what a finished run leaves, and scoring it again."""
