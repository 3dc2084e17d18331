"""One tree of settings: defaults, YAML files and overrides, checked before anything runs."""

from ascendvsr.config.loading import load_config, save_config

__all__ = ["load_config", "save_config"]
