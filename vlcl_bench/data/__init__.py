"""Data sets: where pictures come from, what is in them (manifests), and the store of decoded pictures."""
