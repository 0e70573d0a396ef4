"""The paper's table of the tool cache API, from the types in precall/wire.py; docs/tool-cache.md holds it."""

import json
from collections.abc import Mapping
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from paper_figures.command import Drawing
from precall.errors import ToolCacheError
from precall.wire import ROUTE, CacheAnswer, ToolOutput, parse_post, wire_of

_KINDS = {str: "string", float: "number", int: "integer", bool: "boolean", Any: "any JSON value", Mapping: "object"}


def table() -> str:
    """Return the table as Markdown: the fields of an entry, then that of the answer."""
    rows = [*_rows(ToolOutput), *_rows(CacheAnswer)]
    return "| field | type | meaning |\n|---|---|---|\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _rows(kind: type) -> list[tuple[str, str, str]]:
    hints = get_type_hints(kind)
    return [
        (
            f"`{wire.name}`",
            _json_type(hints[field]) + (", optional" if kind is ToolOutput and is_optional(wire.name) else ""),
            ("ours: " if wire.is_ours else "") + ("in the answer: " if kind is CacheAnswer else "") + wire.meaning,
        )
        for field, wire in wire_of(kind).items()
    ]


def _json_type(hint: Any) -> str:
    (kind,) = [part for part in get_args(hint) if part is not NoneType] if NoneType in get_args(hint) else [hint]
    return _KINDS[_abc_of(kind)]


def _abc_of(kind: Any) -> Any:
    return Mapping if get_origin(kind) is not None else kind


def is_optional(name: str) -> bool:
    """Return whether the endpoint takes an entry without the field `name`."""
    entry = {"name": "tool", "params": {}, "output": "text", "keep_alive": 1.0}
    try:
        parse_post(json.dumps([{key: value for key, value in entry.items() if key != name}]).encode())
    except ToolCacheError:
        return False
    return True


def _draw() -> str:
    return f"`POST {ROUTE}`: a JSON array of entries; 200 with one field.\n\n{table()}"


DRAWING = Drawing(name="api_table", shows="The fields of the tool cache API, from the types.", draw=_draw)
