"""How each family of networks is trained."""
