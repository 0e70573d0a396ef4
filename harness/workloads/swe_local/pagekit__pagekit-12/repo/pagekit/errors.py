"""What can be wrong with the number of a page."""


class PageError(Exception):
    """A page that does not exist."""


class InvalidPage(PageError):
    """The number of the page is none."""


class EmptyPage(PageError):
    """There is no page of this number."""
