"""Protocols: frozen streams, each a versioned TOML file with a fingerprint over everything that changes a number."""
