import pytest

from mounts import Forbidden, Mounts, NotMounted, Rules, normalise


@pytest.mark.parametrize(
    ("path", "normal"),
    [("", "/"), ("//a/./b/", "/a/b"), ("/a/b/../c", "/a/c"), ("/a%20b", "/a b"), ("/a/%2e%2e/b", "/b")],
)
def test_paths_have_one_form(path, normal):
    assert normalise(path) == normal


@pytest.mark.parametrize("path", ["..", "/a/../..", "/%2e%2e/etc"])
def test_no_path_leads_above_its_top(path):
    with pytest.raises(Forbidden):
        normalise(path)


def test_the_longest_prefix_wins():
    mounts = Mounts()
    mounts.mount("/a", "/srv/a/")
    mounts.mount("/a/b", "/srv/b")
    assert mounts.resolve("/a/x.txt") == "/srv/a/x.txt"
    assert mounts.resolve("/a/b/x.txt") == "/srv/b/x.txt"
    assert mounts.resolve("/a/b/") == "/srv/b"
    mounts.unmount("/a/b")
    assert mounts.resolve("/a/b/x.txt") == "/srv/a/b/x.txt"


def test_a_prefix_is_taken_once():
    mounts = Mounts()
    mounts.mount("/a", "/x")
    with pytest.raises(ValueError):
        mounts.mount("/a/", "/y")
    with pytest.raises(NotMounted):
        mounts.resolve("/b")


def test_a_roles_own_rules_come_first():
    rules = Rules()
    rules.allow("*", "/docs")
    rules.deny("guest", "/docs/internal")
    assert rules.is_allowed("guest", "/docs/a")
    assert not rules.is_allowed("guest", "/docs/internal/a")
    assert rules.is_allowed("staff", "/docs/internal/a")
    with pytest.raises(Forbidden):
        rules.check("guest", "/other")
