"""A fault for the check to find: one commit of a fork that is said to have happened, and has not."""

import pytest

from agents.forks.methods import CopiedTree, _listing


def lose_one_commit(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have the first commit that would change a workspace leave it as it is; return the list in which its fork will
    stand."""
    lost: list[str] = []
    commit = CopiedTree.commit

    def losing(tree: CopiedTree) -> bool:
        if not lost and _listing(tree.layout.states / tree.fork) != tree.before:
            lost.append(tree.fork)
            return True
        return commit(tree)

    monkeypatch.setattr(CopiedTree, "commit", losing)
    return lost
