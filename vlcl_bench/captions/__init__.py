"""Streams of captioned pictures: retrieval both ways, captions from a bank, and their scores."""
