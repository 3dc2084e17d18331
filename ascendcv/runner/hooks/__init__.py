"""What a training run does beside training, one file each."""
