"""From the path of a request to a file."""

from typing import List, Optional, Tuple
from urllib.parse import unquote

from mounts.errors import Forbidden, NotMounted


def normalise(path: str) -> str:
    """Return a path with one slash between its parts, without . and .., and without a slash at its end.

    Raises Forbidden for a path that would lead above its top.
    """
    parts: List[str] = []
    for part in unquote(path).split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                raise Forbidden(f"{path!r} leads above its top")
            parts.pop()
        else:
            parts.append(part)
    return "/" + "/".join(parts)


def is_below(path: str, prefix: str) -> bool:
    """Whether a normalised path is a normalised prefix, or lies below it."""
    return path.startswith(prefix)


class Mounts:
    """Folders that are served under prefixes. The longest prefix that fits a path wins."""

    def __init__(self) -> None:
        self._mounted: List[Tuple[str, str]] = []

    def mount(self, prefix: str, folder: str) -> None:
        """Serve `folder` under `prefix`. Raises ValueError for a prefix that is taken."""
        prefix = normalise(prefix)
        if any(taken == prefix for taken, _ in self._mounted):
            raise ValueError(f"{prefix} is taken")
        self._mounted.append((prefix, folder.rstrip("/") or "/"))
        self._mounted.sort(key=lambda entry: len(entry[0]), reverse=True)

    def unmount(self, prefix: str) -> None:
        prefix = normalise(prefix)
        remaining = [entry for entry in self._mounted if entry[0] != prefix]
        if len(remaining) == len(self._mounted):
            raise NotMounted(f"nothing is mounted at {prefix}")
        self._mounted = remaining

    def find(self, path: str) -> Optional[Tuple[str, str]]:
        """Return prefix and folder for a normalised path, None if nothing fits."""
        for prefix, folder in self._mounted:
            if is_below(path, prefix):
                return prefix, folder
        return None

    def resolve(self, path: str) -> str:
        """Return the file that a request's path stands for. Raises Forbidden or NotMounted."""
        path = normalise(path)
        found = self.find(path)
        if found is None:
            raise NotMounted(f"nothing is mounted for {path}")
        prefix, folder = found
        rest = path[len(prefix) :].strip("/")
        return f"{folder.rstrip('/')}/{rest}" if rest else folder
