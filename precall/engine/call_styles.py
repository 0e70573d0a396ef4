"""How a model writes a call, from behind its opener to before the end of the turn, in several JSON styles.

For hermes models the first style is taken from the model's own chat template. The others are the common ways in which
models write JSON; a draft in a wrong style is rejected at its first differing token, and drafted anew from there in
the right one.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from precall.errors import ConfigError

OPENER = "<tool_call>"
CLOSER = "</tool_call>"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStyle:
    """`before` name `between` arguments `after`, the arguments as JSON with these separators.

    The three parts are the form's own and may hold control tokens; name and arguments may not.
    """

    before: str
    between: str
    after: str
    item_separator: str
    key_separator: str

    def parts(self, name: str, arguments: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Return the style's own pieces, and the name and arguments that stand between them."""
        separators = (self.item_separator, self.key_separator)
        encoded = json.dumps(arguments, ensure_ascii=False, separators=separators)
        texts = [text.encode(errors="replace").decode() for text in (name, encoded)]  # no half surrogate pairs
        return [self.before, self.between, self.after], texts


def _hermes(edge: str, space: str) -> CallStyle:
    return CallStyle(
        before=f'{edge}{{"name":{space}"',
        between=f'",{space}"arguments":{space}',
        after=f"}}{edge}{CLOSER}",
        item_separator=f",{space}",
        key_separator=f":{space}",
    )


def _harmony(before: str, between: str, space: str) -> CallStyle:
    return CallStyle(before=before, between=between, after="", item_separator=f",{space}", key_separator=f":{space}")


HERMES = tuple(_hermes(edge, space) for edge in ("\n", "") for space in (" ", ""))
HARMONY = tuple(
    _harmony(" to=functions.", between, space)
    for between in (" <|constrain|>json<|message|>", "<|constrain|>json<|message|>", " json<|message|>")
    for space in ("", " ")
)


def probe() -> tuple[str, dict[str, Any]]:
    """Return a name and arguments that no template text holds, to be rendered for `hermes_style`."""
    return f"n{secrets.token_hex(8)}", {"a": secrets.token_hex(8), "b": [1, {"c": "ü"}]}


def hermes_style(rendered: str, name: str, arguments: Mapping[str, Any]) -> CallStyle:
    """Return the style in which a chat template has rendered the call of `probe`.

    Raises ConfigError when it stands there in another form than opener, name, JSON of the arguments, closer.
    """
    start, end = rendered.rfind(OPENER), rendered.rfind(CLOSER)
    body = rendered[start + len(OPENER) : end + len(CLOSER)] if 0 <= start < end else ""
    before, found, rest = body.partition(name)
    for item_separator, key_separator in ((", ", ": "), (",", ":"), (", ", ":"), (",", ": ")):
        separators = (item_separator, key_separator)
        encoded = json.dumps(arguments, ensure_ascii=False, separators=separators)
        between, has_arguments, after = rest.partition(encoded)
        if found and has_arguments:
            return CallStyle(
                before=before,
                between=between,
                after=after,
                item_separator=item_separator,
                key_separator=key_separator,
            )
    raise ConfigError(f"The chat template does not write calls as {OPENER}, name, JSON arguments, {CLOSER}.")
