"""The SWE agent's tools open, search, edit and run_tests, in the sandbox."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from agents.forks.methods import Copies
from agents.forks.workspace import Workspace
from agents.swe_tools import tools_agent
from precall.tools import Effect, Tool
from tests.agents.forks.workspaces import folder, sandbox

TEST = """
def test_one():
    assert 1 + 1 == 2


def test_other():
    assert 1 + 1 == 3
"""
pytestmark = pytest.mark.sandbox
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


@asynccontextmanager
async def tools() -> AsyncGenerator[tuple[dict[str, Tool], Workspace], None]:
    with folder() as root:
        source = root / "source"
        (source / "pkg").mkdir(parents=True)
        (source / "pkg" / "a.py").write_text("".join(f"line {number}\n" for number in range(1, 501)))
        (source / "pkg" / "crlf.txt").write_bytes(b"one\r\ntwo\r\n")
        (source / "test_it.py").write_text(TEST)
        (source / "binary").write_bytes(b"\xff\xfeline 1\n")
        (source / "out").symlink_to("/etc/passwd")
        (source / "away").symlink_to("/etc")
        workspace = Workspace.create(root / "workspace", source, sandbox(), Copies())
        try:
            made = tools_agent(timeout_s=120.0).make_tools(workspace, ALONE)
            yield {tool.name: tool for tool in made}, workspace
        finally:
            await workspace.aclose()


async def test_open_shows_numbered_lines_and_says_where_the_file_goes_on() -> None:
    async with tools() as (made, _):
        assert await made["open"].function(path="pkg/a.py", start_line=3, end_line=4) == (
            "     3  line 3\n     4  line 4\n[pkg/a.py goes on to line 500]\n"
        )
        whole = await made["open"].function(path="pkg/a.py")
        assert len(whole.splitlines()) == 401
        assert "start_line is 900; pkg/a.py has 500 lines." in await made["open"].function(
            path="pkg/a.py", start_line=900
        )
        assert await made["open"].function(path="pkg") == "Error: pkg is a folder; it holds a.py, crlf.txt.\n"
        assert "cannot be read" in await made["open"].function(path="gone")
        assert "not a text file" in await made["open"].function(path="binary")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "out", "away/passwd", "pkg/../../etc/passwd"])
async def test_no_path_and_no_link_leads_out(path: str) -> None:
    async with tools() as (made, _):
        assert "is outside the workspace" in await made["open"].function(path=path)
        assert "is outside the workspace" in await made["search"].function(text="root", path=path)
        assert "is outside the workspace" in await made["edit"].function(path=path, old="root", new="x")


async def test_search_lists_the_lines_of_text_files_and_follows_no_link() -> None:
    async with tools() as (made, _):
        found = await made["search"].function(text="line 49")
        assert found.splitlines()[:2] == ["pkg/a.py:49: line 49", "pkg/a.py:490: line 490"]
        assert len(found.splitlines()) == 11
        assert (await made["search"].function(text="line")).splitlines()[-1] == "[400 more lines]"
        assert await made["search"].function(text="sandbox:") == "No line has 'sandbox:'.\n"
        assert await made["search"].function(text="two", path="pkg/crlf.txt") == "pkg/crlf.txt:2: two\n"


async def test_edit_replaces_a_text_that_occurs_once_and_leaves_line_ends_alone() -> None:
    async with tools() as (made, workspace):
        assert await made["edit"].function(path="pkg/crlf.txt", old="two", new="2") == (
            "pkg/crlf.txt is changed, at line 2.\n"
        )
        assert (workspace.tree / "pkg" / "crlf.txt").read_bytes() == b"one\r\n2\r\n"
        for old, num in (("line 49", 11), ("gone", 0), ("", 0)):
            assert f"old occurs {num} times" in await made["edit"].function(path="pkg/a.py", old=old, new="x")
        assert "missing" in await made["edit"].function(path="pkg/a.py", old="line 49\n")


async def test_run_tests_says_which_fail_and_nothing_that_changes_from_run_to_run() -> None:
    async with tools() as (made, _):
        reports = {await made["run_tests"].function() for _ in range(2)}
        assert len(reports) == 1
        assert "1 failed, 1 passed in (time)" in reports.pop()
        assert "FAILED test_it.py::test_other" in await made["run_tests"].function(paths=["test_it.py"])
        assert "file or directory not found: ./-h" in await made["run_tests"].function(paths=["-h"])


async def test_reading_leaves_forks_good_and_writing_runs_in_them() -> None:
    async with tools() as (made, _):
        effects = {name: tool.effect for name, tool in made.items()}
        assert effects == {
            "open": Effect.READ,
            "search": Effect.READ,
            "edit": Effect.WORKSPACE,
            "run_tests": Effect.WORKSPACE,
        }
        assert made["edit"].fork is not None
        fork = await made["edit"].fork()
        await made["open"].function(path="pkg/a.py")
        await made["search"].function(text="line")
        await fork.function(path="pkg/crlf.txt", old="two", new="2")
        assert "two" in await made["open"].function(path="pkg/crlf.txt")
        assert await fork.commit() is True
        assert "2  2" in await made["open"].function(path="pkg/crlf.txt")
