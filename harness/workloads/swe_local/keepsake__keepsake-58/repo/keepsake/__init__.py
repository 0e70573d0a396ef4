"""Results of functions, kept."""

from keepsake.cache import Cache, Info
from keepsake.decorator import keep
from keepsake.keys import make_key

__all__ = ["Cache", "Info", "keep", "make_key"]
