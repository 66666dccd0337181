"""CGIL: the method and its autoencoders."""
