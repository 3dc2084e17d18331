"""A first look: a clip that ships, and a sample that is made."""
