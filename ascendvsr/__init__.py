"""Video restoration networks for Keras 3, with their weights, training, restoration and export."""

__version__ = "0.1.0"
