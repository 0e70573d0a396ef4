"""Who a response belongs to: the secret that comes with the chat request and with every post for it."""

import hashlib
from collections.abc import Mapping
from typing import Any

from precall.engine.store import Owner
from precall.errors import ToolCacheError
from precall.wire import OPTIONS_FIELD, SECRET_HEADER, ResponseOptions, parse_options

MIN_SECRET_CHARS = 16
MAX_SECRET_CHARS = 256


def owner_of(headers: Mapping[str, str]) -> Owner:
    """Return the owner that a request's headers name, None without a secret.

    Only a digest is kept. Raises ToolCacheError (400) for a secret that is too short to be one, or too long.
    """
    secret = headers.get(SECRET_HEADER)
    if secret is None:
        return None
    if not MIN_SECRET_CHARS <= len(secret) <= MAX_SECRET_CHARS:
        rule = f"it must have {MIN_SECRET_CHARS} to {MAX_SECRET_CHARS}"
        raise ToolCacheError(400, f"{SECRET_HEADER} has {len(secret)} characters; {rule}. Draw it at random.")
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def has_opted_in(body_extras: Mapping[str, Any] | None, headers: Mapping[str, str]) -> bool:
    """Return whether a chat request opts in: by the field `precall` of its body, or by a secret."""
    return SECRET_HEADER in headers or OPTIONS_FIELD in (body_extras or {})


def check_opt_in(body_extras: Mapping[str, Any] | None, owner: Owner, is_single_user: bool) -> ResponseOptions:
    """Return a request's options. Raises ToolCacheError (400) when it opts in in a way that cannot be served."""
    options = parse_options((body_extras or {}).get(OPTIONS_FIELD, {}))
    if owner is None and not is_single_user:
        what = f"The request opts in with {OPTIONS_FIELD} but has no {SECRET_HEADER}, and the server has several users"
        raise ToolCacheError(400, f"{what}; send a random secret with it, and the same with every post.")
    return options
