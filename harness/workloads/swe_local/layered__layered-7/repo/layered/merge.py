"""Merging of tables."""

from typing import Any, Dict, Mapping


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Dict[str, Any]:
    """Return a new table with the values of both; `above` wins, tables are merged key by key."""
    result: Dict[str, Any] = {}
    for key in (*below, *(key for key in above if key not in below)):
        low, high = below.get(key), above.get(key, below.get(key))
        if isinstance(low, Mapping) and isinstance(high, Mapping):
            result[key] = merge(low, high if key in above else {})
        elif isinstance(high, Mapping):
            result[key] = merge(high, {})
        elif isinstance(high, list):
            result[key] = list(high)
        else:
            result[key] = high
    return result
