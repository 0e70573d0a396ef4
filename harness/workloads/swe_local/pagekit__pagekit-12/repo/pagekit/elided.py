"""Page numbers for a footer: those around the current one, those at both ends, and a sign for what is left out."""

from typing import Iterator, Union

from pagekit.paginator import Paginator

ELLIPSIS = "..."


def elided_range(
    paginator: Paginator, number: int = 1, on_each_side: int = 3, on_ends: int = 2
) -> Iterator[Union[int, str]]:
    """Yield the numbers of the footer for the page `number`.

    Nothing is left out of a range that is short enough to be shown whole.
    """
    number = paginator.validate(number)
    num_pages = paginator.num_pages
    if num_pages <= (on_each_side + on_ends) * 2:
        yield from range(1, num_pages + 1)
        return
    if number > (1 + on_each_side + on_ends) + 1:
        yield from range(1, on_ends + 1)
        yield ELLIPSIS
        yield from range(number - on_each_side, number + 1)
    else:
        yield from range(1, number + 1)
    if number < (num_pages - on_each_side - on_ends) - 1:
        yield from range(number + 1, number + on_each_side + 1)
        yield ELLIPSIS
        yield from range(num_pages - on_ends + 1, num_pages + 1)
    else:
        yield from range(number + 1, num_pages + 1)
