"""Steps and what they need."""

from typing import Dict, Iterator, Tuple

from steps.errors import StepError


class Graph:
    """Steps in the order in which they were added, each with the steps that it needs."""

    def __init__(self) -> None:
        self._needs: Dict[str, Tuple[str, ...]] = {}

    def add(self, name: str, *needs: str) -> "Graph":
        """Add a step. What it needs may be added later. Raises StepError for a name that is taken."""
        if name in self._needs:
            raise StepError(f"{name} was added before")
        self._needs[name] = tuple(dict.fromkeys(needs))
        return self

    def needs(self, name: str) -> Tuple[str, ...]:
        return self._needs[name]

    def __contains__(self, name: object) -> bool:
        return name in self._needs

    def __iter__(self) -> Iterator[str]:
        return iter(self._needs)

    def __len__(self) -> int:
        return len(self._needs)
