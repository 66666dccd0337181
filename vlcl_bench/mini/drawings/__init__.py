"""Drawings by code: each family of concepts is a module of small programs."""
