"""How fast is the harness? Measured by a command, never by a test."""
