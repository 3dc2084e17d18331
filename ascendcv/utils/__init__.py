"""Small helpers that every part may use: errors and files."""
