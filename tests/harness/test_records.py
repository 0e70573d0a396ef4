"""Run folders: the manifest comes last, and only a finished run counts."""

import json
import shutil
from pathlib import Path

import pytest

from harness import records
from harness.records import MANIFEST, RunFolder, check_space
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
    assert begun.manifest["files"] == ["config.yaml", "events.jsonl", "metrics.json", "provenance.json"]
    assert sorted(file.name for file in begun.path.iterdir()) == sorted([*begun.manifest["files"], MANIFEST])


def test_a_manifest_that_was_being_written_when_the_process_died_does_not_count(
    begun: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        begun.finish("finished")
    assert not begun.is_finished


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
    begun.begin(config_of(), {"git_sha": "def"})
    assert sorted(file.name for file in begun.path.iterdir()) == ["config.yaml", "provenance.json"]
    assert begun.read_json("provenance.json") == {"git_sha": "def"}


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
    assert list(begun.read_events()) == ["spec-1", "base-1"]
    assert begun.read_events() == {"spec-1": EVENTS[::-1], "base-1": EVENTS}


def test_the_folder_holds_the_resolved_configuration(begun: RunFolder) -> None:
    text = (begun.path / "config.yaml").read_text()
    assert "${" not in text
    assert "hit_rate: 0.8" in text


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


def test_json_files_end_with_a_line_break(begun: RunFolder) -> None:
    begun.write_json("a.json", {"b": [1, None]})
    text = (begun.path / "a.json").read_text()
    assert text.endswith("}\n")
    assert json.loads(text) == {"b": [1, None]}
