"""The table of the tool cache API: made from the types, and the one in the documentation."""

from pathlib import Path

import pytest

from paper_figures import api_table

ROOT = Path(__file__).resolve().parents[2]


def test_the_documentation_holds_the_table_that_the_types_give() -> None:
    page = (ROOT / "docs" / "tool-cache.md").read_text(encoding="utf-8")
    remedy = "print it with `python -m paper_figures api_table` and put it into docs/tool-cache.md"
    assert api_table.table() in page, remedy


def test_the_table_has_the_papers_fields_and_marks_ours() -> None:
    rows = [line.split(" | ") for line in api_table.table().splitlines()[2:]]
    fields = {row[0].strip("| `"): (row[1], row[2].startswith("ours: ")) for row in rows}
    assert fields == {
        "name": ("string", False),
        "params": ("object, optional", False),
        "output": ("any JSON value", False),
        "keep_alive": ("number, optional", False),
        "running": ("boolean, optional", True),
        "cached": ("integer", False),
    }


@pytest.mark.parametrize(("name", "is_optional"), [("name", False), ("output", False), ("params", True)])
def test_what_may_be_left_out_is_what_the_endpoint_takes_without(name: str, is_optional: bool) -> None:
    assert api_table.is_optional(name) == is_optional
