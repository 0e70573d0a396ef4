"""Who may see what. A rule holds for a prefix and all below it; of several that fit, the longest decides."""

from typing import Dict, List, Tuple

from mounts.errors import Forbidden
from mounts.paths import is_below, normalise

EVERYONE = "*"


class Rules:
    def __init__(self) -> None:
        self._rules: Dict[str, List[Tuple[str, bool]]] = {}

    def allow(self, role: str, prefix: str) -> None:
        self._add(role, prefix, True)

    def deny(self, role: str, prefix: str) -> None:
        self._add(role, prefix, False)

    def _add(self, role: str, prefix: str, is_allowed: bool) -> None:
        rules = self._rules.setdefault(role, [])
        rules.append((normalise(prefix), is_allowed))
        rules.sort(key=lambda rule: len(rule[0]), reverse=True)

    def is_allowed(self, role: str, path: str) -> bool:
        """Whether a role may see a path; what no rule speaks of is refused. A role's own rules come before those of
        everyone."""
        path = normalise(path)
        for name in (role, EVERYONE):
            for prefix, is_allowed in self._rules.get(name, ()):
                if is_below(path, prefix):
                    return is_allowed
        return False

    def check(self, role: str, path: str) -> None:
        """Raise Forbidden unless the role may see the path."""
        if not self.is_allowed(role, path):
            raise Forbidden(f"{role} may not see {path}")
