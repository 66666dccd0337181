"""The engine: one run, from stage 0 to a record, that can be killed at any point and continued."""
