"""Reference methods, one file or one folder each."""
