"""Frames in, restored frames out."""
