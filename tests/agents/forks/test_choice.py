"""Which way of forking is taken."""

import os

import pytest

from agents.forks import choice
from agents.forks.choice import can_overlay, choose_method
from tests.agents.forks.workspaces import folder, sandbox, write_tree


@pytest.fixture
def root():
    with folder() as path:
        yield path


async def test_a_small_tree_is_copied(root):
    assert (await choose_method(write_tree(root), root, sandbox())).name == "copy"


@pytest.mark.skipif(os.geteuid() != 0, reason="the overlays of ordinary users cannot rename folders")
async def test_a_large_tree_is_overlaid_where_an_overlay_behaves_as_the_tree(root, monkeypatch):
    monkeypatch.setattr(choice, "MIN_FILES_FOR_OVERLAY", 5)
    assert (await choose_method(write_tree(root), root, sandbox())).name == "overlay"
    assert sorted(path.name for path in root.iterdir()) == ["source"]


async def test_a_large_tree_is_copied_where_no_overlay_can_be_mounted(root, monkeypatch):
    monkeypatch.setattr(choice, "MIN_FILES_FOR_OVERLAY", 5)
    monkeypatch.setattr("agents.sandbox.overlay._ROOT_OPTIONS", "no-such-option")
    monkeypatch.setattr("agents.sandbox.overlay._USER_OPTIONS", "no-such-option")
    assert (await choose_method(write_tree(root), root, sandbox())).name == "copy"
    assert sorted(path.name for path in root.iterdir()) == ["source"]


async def test_an_overlay_in_which_folders_cannot_be_renamed_is_not_taken(root, monkeypatch):
    monkeypatch.setattr("agents.sandbox.overlay._ROOT_OPTIONS", "redirect_dir=nofollow")
    assert not await can_overlay(root, sandbox())
