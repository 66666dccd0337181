"""Pieces of single reference methods that read better in a file of their own; their source counts as the method's."""
