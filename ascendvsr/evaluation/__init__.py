"""What a network reaches on frames with ground truth."""
