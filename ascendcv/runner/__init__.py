"""Training: devices, optimizers, schedules, checkpoints and the trainer."""
