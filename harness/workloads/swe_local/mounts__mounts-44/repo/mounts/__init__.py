"""Folders served under prefixes, and who may see what."""

from mounts.errors import Forbidden, MountError, NotMounted
from mounts.paths import Mounts, is_below, normalise
from mounts.rules import Rules

__all__ = ["Forbidden", "MountError", "Mounts", "NotMounted", "Rules", "is_below", "normalise"]
