"""Steps in a text: a line `NAME` or `NAME: NEED NEED` for each."""

from steps.errors import StepError
from steps.graph import Graph


def loads(text: str) -> Graph:
    """Return the steps of a text. Raises StepError, which names the line."""
    graph = Graph()
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        name, _, needs = line.partition(":")
        if not name.strip() or " " in name.strip():
            raise StepError(f"line {number}: {name.strip()!r} is no name of a step")
        graph.add(name.strip(), *needs.split())
    return graph
