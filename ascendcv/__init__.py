"""Base layers for video restoration: operations, layers, data, training and metrics."""
