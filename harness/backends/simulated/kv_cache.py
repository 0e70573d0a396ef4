"""The KV cache of a simulated engine: blocks in use, and blocks that are kept for their content (prefix caching).

Content is addressed by segments, not by tokens: a prompt is a path of segments (key, number of tokens), and two prompts
share what the same keys say from the beginning on. Only full blocks are shared. A prefix that ends in the middle of a
segment is not recognised, so a segment should be what requests share as a whole: the tools, a history, one turn.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.backends.simulated.rates import EngineLimits


class Segment(NamedTuple):
    """A piece of a prompt. Equal keys behind equal paths mean equal tokens."""

    key: Hashable
    num_tokens: int


@dataclass(slots=True, kw_only=True, eq=False)
class Node:
    """The full blocks that end within one segment of a path; `num_kept` of them, from the front, are in the cache."""

    node_id: int
    address: tuple[int, Hashable]
    first_block: int
    num_blocks: int
    num_kept: int
    num_users: int = 0


@dataclass(slots=True, kw_only=True)
class KVCache:
    """Counts blocks: `num_held` are in use, `num_idle` are kept for their content and make room when needed."""

    limits: EngineLimits
    num_held: int = field(default=0, init=False)
    num_idle: int = field(default=0, init=False)
    _nodes: dict[tuple[int, Hashable], Node] = field(default_factory=dict, init=False)
    _idle: OrderedDict[int, Node] = field(default_factory=OrderedDict, init=False)  # the least recently used first
    _num_made: int = field(default=0, init=False)

    @property
    def num_available(self) -> int:
        """Blocks that can be had, the kept ones included."""
        return self.limits.num_blocks - self.num_held

    def match(self, path: Sequence[Segment]) -> tuple[list[Node], int]:
        """Return the nodes of the longest cached prefix of `path` and how many of its tokens need not be computed: at
        least the last one must be, in whole blocks."""
        nodes: list[Node] = []
        parent, num_blocks, num_tokens = 0, 0, 0
        if self.limits.is_prefix_caching:
            for segment in path:
                node = self._nodes.get((parent, segment.key))
                if node is None:
                    break
                nodes.append(node)
                num_blocks = node.first_block + node.num_kept
                if node.num_kept < node.num_blocks:
                    break
                parent = node.node_id
        for segment in path:
            num_tokens += segment.num_tokens
        size = self.limits.block_size
        return nodes, min(num_blocks, (num_tokens - 1) // size) * size

    def use(self, nodes: Sequence[Node]) -> None:
        """Take idle nodes into use; call it before anything else is taken."""
        for node in nodes:
            if node.num_users == 0:
                del self._idle[node.node_id]
                self.num_idle -= node.num_kept
                self.num_held += node.num_kept
            node.num_users += 1

    def take(self, num_blocks: int) -> None:
        """Take blocks, `num_available` at most, from those that are free, then from those that are idle the longest."""
        self.num_held += num_blocks
        excess = self.num_held + self.num_idle - self.limits.num_blocks
        assert self.num_held <= self.limits.num_blocks, f"{num_blocks} blocks were taken, and too few are available"
        while excess > 0:
            node = next(iter(self._idle.values()))
            num_evicted = min(excess, node.num_kept)
            node.num_kept -= num_evicted
            self.num_idle -= num_evicted
            excess -= num_evicted
            if node.num_kept == 0:
                del self._idle[node.node_id], self._nodes[node.address]

    def give(self, num_blocks: int) -> None:
        """Give back blocks whose content is not kept."""
        self.num_held -= num_blocks

    def keep(self, path: Sequence[Segment], nodes: list[Node]) -> int:
        """Extend `nodes`, the used beginning of `path`, to all of it, and return how many blocks passed from their
        user's own to the cache. What another user brought in meanwhile stays the user's own."""
        if not self.limits.is_prefix_caching:
            return 0
        num_passed, num_tokens = 0, 0
        for index in range(len(nodes)):
            num_tokens += path[index].num_tokens
        if nodes:
            last = nodes[-1]
            num_passed = last.num_blocks - last.num_kept  # a part of it had been evicted
            last.num_kept = last.num_blocks
        size = self.limits.block_size
        for segment in path[len(nodes) :]:
            address = (nodes[-1].node_id if nodes else 0, segment.key)
            if address in self._nodes:
                break
            first = num_tokens // size
            num_tokens += segment.num_tokens
            num_blocks = num_tokens // size - first
            self._num_made += 1
            node = Node(
                node_id=self._num_made,
                address=address,
                first_block=first,
                num_blocks=num_blocks,
                num_kept=num_blocks,
                num_users=1,
            )
            self._nodes[address] = node
            nodes.append(node)
            num_passed += num_blocks
        return num_passed

    def leave(self, nodes: Sequence[Node]) -> None:
        """End the use of `nodes`. What nobody uses becomes idle, the end of a path before its beginning."""
        for node in reversed(nodes):
            node.num_users -= 1
            if node.num_users == 0:
                self.num_held -= node.num_kept
                self.num_idle += node.num_kept
                self._idle[node.node_id] = node
