"""Where what a figure draws may lie: a run of your own first, else rows of ours that came with the checkout."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paper_figures import data, timelines
from paper_figures.data import NothingToDraw

PUBLISHED = data.RESULTS / "published"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One input of a figure. `places` are paths below results/, the first that can be drawn is taken; `{scale}` stands
    for the scale of your runs. `load` reads one and raises NothingToDraw where there is nothing; `files` are those that
    it has read, `origins` say how the numbers of what it has loaded came about."""

    places: tuple[str, ...]
    load: Callable[[Path], Any]
    files: Callable[[Path], Sequence[Path]]
    origins: Callable[[Any], Iterable[str]]

    def find(self, scale: str, *, is_published: bool = False) -> "Found":
        """Return what the first place has that can be drawn, of all or of those that came with the checkout. Raises
        NothingToDraw, with what the very first lacks."""
        reasons: list[str] = []
        for place in (place for place in self.places if place.startswith("published/") or not is_published):
            try:
                return self.at(data.RESULTS / place.format(scale=scale))
            except NothingToDraw as reason:
                reasons.append(str(reason))
        raise NothingToDraw(reasons[0])

    def at(self, path: Path) -> "Found":
        """Return what there is at `path`. Raises NothingToDraw if that cannot be drawn."""
        loaded = self.load(path)
        return Found(path=path, loaded=loaded, files=tuple(self.files(path)), origins=tuple(self.origins(loaded)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found at `path` and loaded from `files`, and how its numbers came about."""

    path: Path
    loaded: Any
    files: tuple[Path, ...]
    origins: tuple[str, ...]

    @property
    def is_published(self) -> bool:
        return self.path.resolve().is_relative_to(PUBLISHED)


def cells(*experiments: str, columns: Sequence[str]) -> Source:
    """The cells of the first of `experiments` that has any, with these columns."""
    return Source(
        places=_folders(experiments, published=("reproduce", "pocket", "local", "simulated")),
        load=lambda path: data.load_cells(path, columns=columns),
        files=lambda path: [path / "cells.parquet"],
        origins=lambda frame: frame["origin"].unique(),
    )


def runs(*experiments: str, mode: str) -> Source:
    """The timelines of a cell of the first of `experiments` that has one with this mode of speculation."""
    return Source(
        places=_folders(experiments, published=("smoke", "reproduce")),
        load=lambda path: timelines.load(path, mode=mode),
        files=lambda path: timelines.files(path, mode=mode),
        origins=lambda run: [run.cell["origin"]],
    )


def bench(*names: str, command: str, keys: Sequence[str] = (), published: str = "engine") -> Source:
    """A folder with benches of these names, by name, each with `keys`; the first must be there. `command` makes it, and
    ours lies in the folder `published` of what is published."""

    def load(path: Path) -> dict[str, Any]:
        there = [name for name in names if name == names[0] or (path / f"{name}.json").is_file()]
        return {name: data.load_bench(path / f"{name}.json", command=command, keys=keys) for name in there}

    return Source(
        places=("bench", f"published/{published}"),
        load=load,
        files=lambda path: [file for name in names if (file := path / f"{name}.json").is_file()],
        # Without a word: the real engine, forced to recorded tokens.
        origins=lambda found: [each.get("origin", "replayed") for each in found.values()],
    )


def _folders(experiments: Sequence[str], *, published: Sequence[str]) -> tuple[str, ...]:
    """Return your runs first, then those in these folders of what is published."""
    own = [f"runs/{{scale}}/{experiment}" for experiment in experiments]
    return (*own, *(f"published/{folder}/{experiment}" for experiment in experiments for folder in published))
