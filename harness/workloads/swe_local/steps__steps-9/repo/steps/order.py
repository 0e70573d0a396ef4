"""The order in which jobs run."""

from typing import Dict, Iterable, List, Set, Tuple

from steps.errors import CycleError, UnknownStep
from steps.graph import Graph


def run_order(graph: Graph) -> List[str]:
    """Return all steps, each after those that it needs; of several that could be next, the one added first.

    Raises UnknownStep for a step that needs one that was never added, and CycleError, which names a cycle.
    """
    missing = {name: graph.needs(name) for name in graph}
    for name, needs in missing.items():
        for need in needs:
            if need not in graph:
                raise UnknownStep(f"{name} needs {need}, which was never added")
    waiting = {name: set(needs) for name, needs in missing.items()}
    ready = {name for name, needs in waiting.items() if not needs}
    order: List[str] = []
    while ready:
        name = ready.pop()
        order.append(name)
        for other, needs in waiting.items():
            if name in needs:
                needs.remove(name)
                if not needs:
                    ready.add(other)
    if len(order) < len(graph):
        raise CycleError(find_cycle(graph, set(graph) - set(order)))
    return order


def batches(graph: Graph) -> List[Tuple[str, ...]]:
    """Return the steps in groups: those of a group need none of each other, and can run at once."""
    level: Dict[str, int] = {}
    for name in run_order(graph):
        level[name] = max((level[need] + 1 for need in graph.needs(name)), default=0)
    groups: List[List[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for name in graph:
        groups[level[name]].append(name)
    return [tuple(group) for group in groups]


def find_cycle(graph: Graph, within: Iterable[str]) -> List[str]:
    """Return a cycle among these steps, of which each needs another of them; its first step stands at its end again."""
    among = set(within)
    name = next(each for each in graph if each in among)
    path: List[str] = []
    seen: Set[str] = set()
    while name not in seen:
        seen.add(name)
        path.append(name)
        name = next(need for need in graph.needs(name) if need in among)
    return [*path[path.index(name) :], name]
