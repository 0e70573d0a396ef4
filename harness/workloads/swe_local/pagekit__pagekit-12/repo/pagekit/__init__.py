"""Pages of anything that has a length and can be sliced."""

from pagekit.elided import ELLIPSIS, elided_range
from pagekit.errors import EmptyPage, InvalidPage, PageError
from pagekit.paginator import Page, Paginator

__all__ = ["ELLIPSIS", "EmptyPage", "InvalidPage", "Page", "PageError", "Paginator", "elided_range"]
