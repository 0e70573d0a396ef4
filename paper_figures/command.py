"""The command line of the figures, and how one is drawn from its sources."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from paper_figures import data, style
from paper_figures.data import NothingToDraw
from paper_figures.sources import Found, Source
from precall.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One figure, or a table as Markdown. `shows` says in a sentence what is to be seen. `draw` gets what each of
    `sources` loads, then the published numbers named in `paper`. `about` says what it is drawn from where that is no
    file; its `origin` is then that of the numbers."""

    name: str
    shows: str
    draw: Callable[..., Figure | str]
    sources: tuple[Source, ...] = ()
    paper: tuple[str, ...] = ()
    about: dict[str, object] = field(default_factory=dict)


def render(drawing: Drawing, found: Sequence[Found], out: Path) -> tuple[Path, ...]:
    """Draw from `found`, one for each source, and return the files that were written below `out`."""
    papers = [data.load_paper(name) for name in drawing.paper]
    files = [file for each in found for file in each.files]
    drawn_from = data.identity(*files, *map(data.paper_file, drawing.paper)) | drawing.about
    shown = [data.shown(each.path) for each in found]
    # Without --out: where the files lie does not change what is in them.
    command = " ".join(["python -m paper_figures", drawing.name, *(["--from", *shown] if shown else [])])
    with style.applied():
        drawn = drawing.draw(*(each.loaded for each in found), *papers)
        if isinstance(drawn, str):
            return (style.save_text(drawn, out / drawing.name, command=command),)
        if published := [data.shown(each.path) for each in found if each.is_published]:
            style.mark_published(drawn, published)
        origins = {origin for each in found for origin in each.origins} or {str(drawing.about["origin"])}
        about = {"Description": drawing.shows, "Origin": " and ".join(sorted(origins))}
        return style.save(drawn, out / drawing.name, data=drawn_from, command=command, about=about)


def find(drawing: Drawing, scale: str, paths: Sequence[Path] | None = None) -> list[Found]:
    """Return what there is of a figure's sources, at `paths` if there are any. What is compared must come from one
    machine: where only some are yours, all are the published ones. Raises NothingToDraw if one is missing."""
    if paths:
        return [source.at(path) for source, path in zip(drawing.sources, paths, strict=True)]
    found = [source.find(scale) for source in drawing.sources]
    if len({each.is_published for each in found}) == 1 or not found:
        return found
    try:
        return [source.find(scale, is_published=True) for source in drawing.sources]
    except NothingToDraw as error:
        own, published = (next(each.path for each in found if each.is_published is kind) for kind in (False, True))
        raise NothingToDraw(
            f"{data.shown(own)} is yours and {data.shown(published)} is published; both must come from one machine. "
            f"Run `python -m harness.run experiment={published.name}`, or name folders with --from."
        ) from error


def main(drawings: Sequence[Drawing]) -> None:
    """Draw the figures that were asked for, by default all that can be drawn, and print the files."""
    by_name = {drawing.name: drawing for drawing in drawings}
    parser = argparse.ArgumentParser(prog="python -m paper_figures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(by_name)}; default: all")
    parser.add_argument("--from", dest="paths", nargs="+", type=Path, help="draw the figure from these folders")
    parser.add_argument("--scale", default="local", help="whose runs are drawn, if there are any (default: local)")
    parser.add_argument("--out", type=Path, default=data.RESULTS / "figures")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in by_name]:
        parser.error(f"there is no figure {unknown[0]}; the figures are {', '.join(by_name)}")
    chosen = [by_name[name] for name in arguments.names] or list(drawings)
    if arguments.paths and (len(chosen) != 1 or len(arguments.paths) != len(chosen[0].sources)):
        number = len(chosen[0].sources) if len(chosen) == 1 else "one figure and its"
        parser.error(f"--from has {len(arguments.paths)} folders; it takes {number}")
    missing, wrong = [], []
    for drawing in chosen:
        try:
            for file in render(drawing, find(drawing, arguments.scale, arguments.paths), arguments.out):
                print(data.shown(file))
        except NothingToDraw as reason:
            missing.append(f"not drawn: {drawing.name}: {reason}")
        except ConfigError as error:
            wrong.append(f"{drawing.name}: {error}")
        except (LookupError, TypeError, ValueError, OSError) as error:
            # An edge: a record that is broken must not cost the others their drawing; the command fails all the same.
            wrong.append(
                f"{drawing.name}: {type(error).__name__}: {error}. Make its records anew, or correct the figure."
            )
    for line in (*missing, *wrong):
        print(line, file=sys.stderr)
    sys.exit(1 if wrong or (missing and arguments.names) else 0)
