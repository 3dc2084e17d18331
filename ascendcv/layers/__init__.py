"""Layers with the padding, initialisation and statistics of the published networks."""
