"""One file a family of networks: how its checkpoints are recognised, and what names they have besides."""
