"""Frames in and out: image files, data sets, degradations, training input."""
