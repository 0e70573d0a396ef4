"""A command that is talked to: it lasts as long as its block, under the limits of every other command."""

import asyncio
import os

import pytest

from agents.sandbox.apptainer import Apptainer
from agents.sandbox.dialogue import open_dialogue
from agents.sandbox.launch import Launch, ReadOnly
from agents.sandbox.limits import Limit, Limits
from agents.sandbox.results import SandboxError
from agents.sandbox.sandbox import Sandbox
from tests.agents.sandbox.sandboxes import SMALL, attempt, empty_workspace, processes_with, shell


@pytest.fixture
def workspace():
    with empty_workspace() as folder:
        yield folder


async def receive(dialogue):
    return await asyncio.get_running_loop().sock_recv(dialogue.channel, 100)


async def test_a_command_answers_over_its_stdin_and_ends_with_the_block_and_its_children_too(workspace):
    word = f"precall-talks-{os.getpid()}"
    command = shell(f'sleep 60 & : {word}; while read -r line; do echo "got $line" >&0; done')
    async with open_dialogue(Sandbox(SMALL), command, workspace, relieve=lambda: False) as dialogue:
        for text in (b"a", b"b"):
            await asyncio.get_running_loop().sock_sendall(dialogue.channel, text + b"\n")
            assert await receive(dialogue) == b"got " + text + b"\n"
        assert processes_with(word)
    assert processes_with(word) == []


async def test_at_a_limit_what_can_be_spared_goes_first_and_then_the_command(workspace):
    asked = []

    def relieve():
        asked.append(1)
        return len(asked) < 3

    fill = "for i in 1 2 3 4 5 6 7 8 9 10; do head -c 2M /dev/zero > many$i; done; sleep 60"
    async with open_dialogue(Sandbox(SMALL), shell(fill), workspace, relieve=relieve) as dialogue:
        assert await receive(dialogue) == b""  # it has ended
        assert dialogue.stopped_by is Limit.SIZE
    assert len(asked) == 3


async def test_its_last_words_are_what_it_wrote_to_stderr(workspace):
    command = shell("echo oh no >&2; echo up >&0; sleep 60")
    async with open_dialogue(Sandbox(SMALL), command, workspace, relieve=lambda: False) as dialogue:
        assert await receive(dialogue) == b"up\n"
        assert await dialogue.end() == "oh no\n"


async def test_a_set_up_that_fails_is_an_error_with_its_reason(workspace):
    class Broken:
        def launch(self, command, view, limits, gate):
            return Launch(arguments=["sh", "-c", "echo no namespaces >&2; exit 1"])

    with pytest.raises(SandboxError, match="no namespaces"):
        async with open_dialogue(Sandbox(SMALL, Broken()), ["true"], workspace, relieve=lambda: False):
            pass


async def test_with_a_folder_to_read_no_folder_can_be_written_to(workspace):
    (workspace / "given").write_text("text")
    code = (
        "cat given; for d in . /tmp /dev/shm /dev /; do touch $d/new && echo $d; done; find / -xdev -writable -type d"
    )
    assert (await attempt(shell(code), ReadOnly(folder=workspace))).stdout == "text"


def test_apptainer_refuses_what_must_write_nothing(tmp_path, monkeypatch):
    (tmp_path / "apptainer").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match="needs bubblewrap"):
        Apptainer(tmp_path / "image").launch(["true"], ReadOnly(folder=tmp_path), Limits())
