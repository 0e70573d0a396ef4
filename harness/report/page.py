"""Makes one HTML file of templates, styles, scripts and data, all of them inside it.

Three fences keep text that models and tools have written from becoming markup or script: Jinja escapes every value;
data for the script are compressed and in base64, and the script puts text into text nodes alone; and the page's own
security policy lets the browser run nothing but this script, and load nothing at all.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

VIEW = Path(__file__).resolve().parent / "view"
STYLES = ("page.css", "verdicts.css", "tables.css", "timeline.css")
SCRIPTS = (
    "state.js",
    "elements.js",
    "verdicts.js",
    "table.js",
    "timeline_drawing.js",
    "timeline_details.js",
    "timeline.js",
    "trace.js",
    "start.js",
)


def packed(value: Any) -> str:
    """Return plain data as base64 of compressed JSON; `unpacked` in start.js reads it. The same data gives the same
    text."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def render(**values: Any) -> str:
    """Return the page with `values` in view/page.html.jinja."""
    templates = Environment(
        loader=FileSystemLoader(VIEW),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _joined(STYLES), _joined(SCRIPTS)
    policy = (
        f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = templates.get_template("page.html.jinja")
    return page.render(policy=Markup(policy), style=Markup(style), script=Markup(script), **values)


def _joined(names: Iterable[str]) -> str:
    text = "\n" + "\n".join((VIEW / name).read_text(encoding="utf-8") for name in names)
    assert "</" not in text, "a closing tag in a script or style would end its element"
    return text


def _source(text: str) -> str:
    """Return what a security policy calls an inline script or style with this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
