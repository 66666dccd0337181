"""Auto-Seed VL2: the method, and what the page that describes it claims."""
