"""A small part of TOML: [tables], and keys with numbers, booleans and texts."""

from typing import Any, Dict

_WORDS = {"true": True, "false": False}


def loads(text: str) -> Dict[str, Any]:
    """Return the table of a text. Raises ValueError, which names the line."""
    result: Dict[str, Any] = {}
    table = result
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            table = result
            for key in line[1:-1].split("."):
                table = table.setdefault(key.strip(), {})
            continue
        key, sign, value = line.partition("=")
        if not sign:
            raise ValueError(f"line {number}: {line!r} is neither a table nor a key with a value")
        table[key.strip()] = _value(value.strip(), number)
    return result


def _value(text: str, number: int) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1]
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise ValueError(f"line {number}: {text!r} is no value") from None
