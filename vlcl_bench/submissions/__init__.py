"""Submissions: writing a new one, checking it as data and as code, adding records, running it again."""
