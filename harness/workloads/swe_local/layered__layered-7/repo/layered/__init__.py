"""Settings in layers."""

from layered.merge import merge
from layered.settings import Settings
from layered.toml_like import loads

__all__ = ["Settings", "loads", "merge"]
