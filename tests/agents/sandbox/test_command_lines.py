"""The command lines, word by word, where nothing can be run: Apptainer, another user, other folders."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from agents.sandbox import identity
from agents.sandbox.apptainer import Apptainer
from agents.sandbox.launch import GATE
from agents.sandbox.limits import Limits
from agents.sandbox.overlay import Overlay
from agents.sandbox.results import SandboxError
from precall.errors import ConfigError


@pytest.fixture
def apptainer(tmp_path, monkeypatch):
    program = tmp_path / "apptainer"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return Apptainer(Path("/images/python.sif"))


def test_apptainer_is_given_the_workspace_no_network_a_fixed_environment_and_the_limits(apptainer):
    launch = apptainer.launch(["bash", "-c", "true"], Path("/runs/w"), Limits(max_processes=7))
    words = list(launch.arguments)
    assert [Path(words[0]).name, *words[1:3]] == ["apptainer", "--quiet", "exec"]
    assert {"--containall", "--cleanenv", "--no-home", "--no-privs"} < set(words)
    assert words[words.index("--network") + 1] == "none"
    assert words[words.index("--bind") + 1] == "/runs/w:/workspace:rw"
    assert "PATH=/usr/local/bin:/usr/bin:/bin" in words
    tail = words[words.index("/images/python.sif") + 1 :]
    assert tail == [*GATE, *Limits(max_processes=7).prlimit(), "bash", "-c", "true"]
    assert "--nproc=7" in tail
    assert launch.status is None


def test_apptainer_refuses_what_its_options_cannot_say(apptainer):
    with pytest.raises(SandboxError, match="Rename the folder"):
        apptainer.launch(["true"], Path("/runs/a:b"), Limits())
    with pytest.raises(SandboxError, match="by copying"):
        apptainer.launch(["true"], Overlay(root=Path("/runs/w"), lower="states/0", fork="forks/1"), Limits())


def test_without_apptainer_the_error_says_how_to_load_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match="module load apptainer"):
        Apptainer(Path("/images/python.sif"))


OVERLAY = Overlay(root=Path("/runs/w"), lower="states/0", fork="forks/1")


def test_an_ordinary_user_stays_and_mounts_in_a_user_namespace(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert identity.stage([Path("/a"), Path("/b")]) == ([], [Path("/a"), Path("/b")])
    assert identity.become_sandbox_user() == []
    assert identity.sandbox_uid() == 1234
    words, merged = OVERLAY.mount(Path("/runs/w"))
    assert words[:4] == ["unshare", "--user", "--map-root-user", "--mount"]
    assert words[-4:] == ["/runs/w", "states/0", "forks/1", "userxattr"]
    assert merged == Path("/runs/w/forks/1/merged")


def test_root_binds_its_sources_where_the_other_user_can_see_them_and_becomes_that_user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    words, staged = identity.stage([Path("/home/w"), Path("/mnt/data/python")])
    folder = staged[0].parent
    assert folder != Path("/mnt")  # mounting there would hide the second source
    assert staged == [folder / "0", folder / "1"]
    assert words[:4] == ["unshare", "--mount", "--propagation", "private"]
    assert words[words.index("sh") + 1 :] == [str(folder), "/home/w", "/mnt/data/python", "--"]
    assert identity.become_sandbox_user() == ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "--"]
    words, merged = OVERLAY.mount(folder / "0")
    assert words[0] == "/bin/sh"  # in the namespace that is there already
    assert words[-1].startswith("redirect_dir=on,")
    assert merged == folder / "0/forks/1/merged"


def test_root_without_a_folder_to_mount_on_is_told_so(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SandboxError, match="Create one of them"):
        identity.stage([folder / "w" for folder in identity.STAGES])


@pytest.mark.parametrize(("release", "is_set"), [("5.13.9-x", False), ("5.14.0", True), ("6.1.0-30-amd64", True)])
def test_processes_are_limited_by_the_kernel_where_it_counts_them_per_namespace(monkeypatch, release, is_set):
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    assert ("--nproc=64" in Limits().prlimit()) is is_set


@pytest.mark.parametrize("name", ["max_memory_mib", "max_processes", "max_output_kib"])
def test_a_limit_below_one_is_refused_and_named(name):
    with pytest.raises(ConfigError, match=f"{name} of the sandbox is 0; it must be at least 1"):
        Limits(**{name: 0})
