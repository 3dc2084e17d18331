"""From a checkpoint to files that other programs run, and what a network costs."""
