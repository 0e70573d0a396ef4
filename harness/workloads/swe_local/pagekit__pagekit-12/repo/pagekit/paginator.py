"""Splits a sequence into pages."""

from dataclasses import dataclass
from typing import Generic, Iterator, Sequence, TypeVar

from pagekit.errors import EmptyPage, InvalidPage

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page. Numbers of pages and of items count from 1, as people do."""

    number: int
    items: Sequence[T]
    paginator: "Paginator[T]"

    def __len__(self) -> int:
        return len(self.items)

    @property
    def has_next(self) -> bool:
        return self.number < self.paginator.num_pages

    @property
    def has_previous(self) -> bool:
        return self.number > 1

    @property
    def start_index(self) -> int:
        """The number of the first item, 0 if there is none."""
        if self.paginator.count == 0:
            return 0
        return (self.number - 1) * self.paginator.per_page + 1

    @property
    def end_index(self) -> int:
        """The number of the last item."""
        if self.number == self.paginator.num_pages:
            return self.paginator.count
        return self.number * self.paginator.per_page


class Paginator(Generic[T]):
    """Pages of `per_page` items. Up to `orphans` items that would be alone on a last page go onto the one before."""

    def __init__(self, items: Sequence[T], per_page: int, orphans: int = 0, allow_empty: bool = True) -> None:
        if per_page < 1:
            raise ValueError(f"per_page is {per_page}; it must be at least 1")
        if not 0 <= orphans < per_page:
            raise ValueError(f"orphans is {orphans}; it must be from 0 to below per_page")
        self.items = items
        self.per_page = per_page
        self.orphans = orphans
        self.allow_empty = allow_empty

    @property
    def count(self) -> int:
        return len(self.items)

    @property
    def num_pages(self) -> int:
        if self.count == 0:
            return 1 if self.allow_empty else 0
        hits = max(1, self.count - self.orphans)
        return hits // self.per_page + 1

    def validate(self, number: object) -> int:
        """Return `number` as an integer. Raises InvalidPage or EmptyPage."""
        try:
            value = int(number)  # type: ignore[call-overload]
        except (TypeError, ValueError):
            raise InvalidPage(f"page {number!r} is not an integer") from None
        if value < 1:
            raise EmptyPage(f"page {value} is less than 1")
        if value > self.num_pages:
            raise EmptyPage(f"page {value} holds nothing; the last is {self.num_pages}")
        return value

    def page(self, number: object) -> Page[T]:
        value = self.validate(number)
        bottom = (value - 1) * self.per_page
        top = bottom + self.per_page
        if top + self.orphans >= self.count:
            top = self.count
        return Page(value, self.items[bottom:top], self)

    def get_page(self, number: object) -> Page[T]:
        """Return the page, the first one for what is no number, and the last one for a number out of range."""
        try:
            value = self.validate(number)
        except InvalidPage:
            value = 1
        except EmptyPage:
            value = self.num_pages
        return self.page(value)

    def __iter__(self) -> Iterator[Page[T]]:
        for number in range(1, self.num_pages + 1):
            yield self.page(number)
