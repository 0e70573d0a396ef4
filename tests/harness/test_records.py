"""Run folders: a run has its name once it has ended, the manifest comes last, and only a finished run counts."""

import errno
import json
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from harness import records
from harness.metrics.comparison import MeasurementError
from harness.records import MANIFEST, RUNNING, RunFolder, check_space, manifests_in
from harness.schema import to_plain
from harness.versions import versions_of
from precall.errors import ConfigError
from precall.events import Event, EventKind
from tests.harness.configs import config_of

EVENTS = [
    Event(kind=EventKind.TRAJECTORY_STARTED, time_s=1.5, trajectory_id="base-1/a"),
    Event(kind=EventKind.DRAFT_ANSWERED, time_s=2.0, trajectory_id="base-1/a", turn=0, data={"calls": [{"name": "f"}]}),
    Event(kind=EventKind.DRAFT_FAILED, time_s=3.0, trajectory_id="base-1/b", turn=1, data={"message": "ü\u2028\ud83d"}),
]


@pytest.fixture
def begun(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "out" / "cell")
    folder.begin(config_of(), {"git_sha": "abc"})
    return folder


def test_a_folder_without_a_manifest_is_not_a_result(begun: RunFolder) -> None:
    begun.append_events("base-1", EVENTS)
    assert begun.manifest is None
    assert not begun.is_finished


def test_a_folder_that_does_not_exist_is_not_a_result(tmp_path: Path) -> None:
    assert not RunFolder(tmp_path / "nothing").is_finished


def test_finishing_writes_the_manifest_last_and_names_the_files_before_it(begun: RunFolder) -> None:
    begun.append_events("base-1", EVENTS)
    begun.write_json("metrics.json", {})
    begun.finish("finished")
    assert begun.is_finished
    assert begun.manifest is not None
    assert begun.manifest["duration_s"] >= 0.0
    assert begun.manifest["files"] == ["config.yaml", "events.jsonl", "metrics.json", "provenance.json"]
    assert sorted(file.name for file in begun.path.iterdir()) == sorted([*begun.manifest["files"], MANIFEST])


def test_a_manifest_that_was_being_written_when_the_process_died_does_not_count(
    begun: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", die)
    with pytest.raises(KeyboardInterrupt):
        begun.finish("finished")
    assert not RunFolder(begun.path).is_finished
    assert not begun.path.exists()


def test_a_failed_run_says_why_and_is_not_finished(begun: RunFolder) -> None:
    begun.finish("failed", "the server has gone")
    assert begun.manifest is not None
    assert begun.manifest["error"] == "the server has gone"
    assert not begun.is_finished


@pytest.mark.parametrize("has_failed", [True, False])
def test_what_an_unfinished_run_left_is_emptied_before_the_next(begun: RunFolder, has_failed: bool) -> None:
    begun.append_events("base-1", EVENTS)
    if has_failed:
        begun.finish("failed", "x")
    again = RunFolder(begun.path)
    again.begin(config_of(), {"git_sha": "def"})
    again.finish("finished")
    assert sorted(file.name for file in again.path.iterdir()) == ["config.yaml", MANIFEST, "provenance.json"]
    assert again.read_json("provenance.json") == {"git_sha": "def"}
    assert list((begun.path.parent / RUNNING).iterdir()) == []


def test_a_run_has_its_name_only_when_it_has_ended(begun: RunFolder) -> None:
    assert not begun.path.exists()
    assert begun.work.parent == begun.path.parent / RUNNING
    begun.finish("failed", "x")
    assert begun.work == begun.path


def test_of_two_runs_of_one_folder_the_second_to_end_says_so_and_leaves_the_first_alone(begun: RunFolder) -> None:
    """As it happens where locks do not reach from one machine to the other."""
    other = RunFolder(begun.path)
    other._attempt = begun.work.with_name(f"{begun.path.name}@elsewhere@1@")
    other._attempt.mkdir()
    other.finish("finished")
    before = {file.name: file.read_bytes() for file in begun.path.iterdir()}
    with pytest.raises(MeasurementError, match=r"cell was finished by another process .*locks .*docs/cluster\.md"):
        begun.finish("finished")
    assert {file.name: file.read_bytes() for file in begun.path.iterdir()} == before
    assert not (begun.path.parent / RUNNING / "cell").exists()


def test_the_manifest_says_with_what_it_was_made(begun: RunFolder) -> None:
    begun.finish("finished")
    assert begun.manifest is not None
    assert begun.manifest["versions"] == versions_of(config_of())


def test_the_manifests_of_a_folder_are_those_of_its_runs(begun: RunFolder) -> None:
    output = begun.path.parent
    assert manifests_in(output) == {}
    assert manifests_in(output / "nothing") == {}
    begun.finish("finished")
    (output / "logs").mkdir()
    assert manifests_in(output) == {"cell": begun.manifest}


def test_a_finished_run_is_never_overwritten(begun: RunFolder) -> None:
    begun.append_events("base-1", EVENTS)
    begun.finish("finished")
    before = {file.name: file.read_bytes() for file in begun.path.iterdir()}
    with pytest.raises(AssertionError, match="holds a finished run"):
        begun.begin(config_of(), {})
    assert {file.name: file.read_bytes() for file in begun.path.iterdir()} == before


def test_events_come_back_as_they_were_by_run_and_in_their_order(begun: RunFolder) -> None:
    begun.append_events("spec-1", EVENTS[::-1])
    begun.append_events("base-1", EVENTS[:2])
    begun.append_events("base-1", EVENTS[2:])
    begun.finish("finished")
    assert list(begun.read_events()) == ["spec-1", "base-1"]
    assert begun.read_events() == {"spec-1": EVENTS[::-1], "base-1": EVENTS}


def test_the_folder_holds_the_resolved_configuration(begun: RunFolder) -> None:
    text = (begun.work / "config.yaml").read_text()
    assert "${" not in text
    assert "hit_rate: 0.8" in text
    structured = OmegaConf.structured(config_of("speculation=off"))
    assert OmegaConf.create(to_plain(config_of("speculation=off"))) == OmegaConf.create(OmegaConf.to_yaml(structured))


def test_the_check_of_the_output_folder_makes_it_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    check_space(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_an_output_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"output is .*file/out; nothing can be written there"):
        check_space(tmp_path / "file" / "out")


def test_an_output_on_a_full_disk_is_refused_with_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=3 * 2**20)
    monkeypatch.setattr(records.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ConfigError, match=r"where 3 MiB are free; results need 200 MiB"):
        check_space(tmp_path)


def test_an_output_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(records, "flock", refuse)
    with pytest.raises(ConfigError, match=r"whose file system has no locks .*docs/cluster\.md"):
        check_space(tmp_path)


def test_json_files_end_with_a_line_break(begun: RunFolder) -> None:
    begun.write_json("a.json", {"b": [1, None]})
    text = (begun.work / "a.json").read_text()
    assert text.endswith("}\n")
    assert json.loads(text) == {"b": [1, None]}
