"""Keys under which results are kept."""

import inspect
from typing import Any, Callable, Hashable, Mapping, Tuple

Normalise = Callable[..., Tuple[Tuple[Any, ...], Mapping[str, Any]]]


def normaliser(function: Callable[..., Any]) -> Normalise:
    """Return what brings the arguments of a call into one form: f(1), f(a=1) and f(1, b=<its default>) are one call."""
    signature = inspect.signature(function)

    def normalise(*args: Any, **kwargs: Any) -> Tuple[Tuple[Any, ...], Mapping[str, Any]]:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.args, bound.kwargs

    return normalise


def make_key(args: Tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable:
    """Return the key of a call; two calls have the same key if and only if their arguments are equal."""
    parts = [str(arg) for arg in args]
    parts += [f"{name}={value}" for name, value in sorted(kwargs.items())]
    return "|".join(parts)
