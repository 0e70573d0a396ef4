"""The data set on disk: round trip, and clear errors for a folder that is none."""

import json
import socket
from pathlib import Path

import datasets
import pytest

from harness.pocket.dataset import COLUMNS, read_tasks, write_tasks
from harness.pocket.world import PocketTask, draw_tasks
from precall.errors import ConfigError


@pytest.fixture(scope="module")
def tasks() -> list[PocketTask]:
    return draw_tasks(60, seed=0, split="held_out")


@pytest.fixture(scope="module")
def rows(tasks: list[PocketTask], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    folder = tmp_path_factory.mktemp("rows") / "tasks"
    write_tasks(tasks, "held_out", folder)
    return datasets.load_from_disk(str(folder)).to_list()


def save(rows: list[dict[str, str]], folder: Path) -> Path:
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(rows).save_to_disk(folder)
    return folder


def test_what_is_written_is_read_back_silently_and_without_a_network(
    tasks: list[PocketTask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    datasets.enable_progress_bars()
    write_tasks(tasks, "held_out", tmp_path / "tasks")
    read = read_tasks(tmp_path / "tasks")
    assert read == tasks
    assert [tool.to_openai() for tool in read[0].task.make_tools()] == [
        tool.to_openai() for tool in tasks[0].task.make_tools()
    ]
    assert capfd.readouterr() == ("", "")
    assert not datasets.are_progress_bars_disabled()


def test_the_columns_say_what_a_task_is(tasks: list[PocketTask], rows: list[dict[str, str]]):
    assert set(rows[0]) == set(COLUMNS)
    assert [row["task_id"] for row in rows] == [task.task.task_id for task in tasks]
    assert {row["split"] for row in rows} == {"held_out"}
    assert json.loads(rows[0]["messages"])[0]["role"] == "user"
    assert json.loads(rows[0]["tools"])[0]["type"] == "function"


def test_a_data_set_is_not_overwritten_and_not_empty(tasks: list[PocketTask], tmp_path: Path):
    with pytest.raises(ConfigError, match="tasks is empty; a data set must hold at least 1 task"):
        write_tasks([], "train", tmp_path / "none")
    (tmp_path / "there").mkdir()
    with pytest.raises(ConfigError, match=r"there exists; a data set is not overwritten\. Remove it"):
        write_tasks(tasks, "train", tmp_path / "there")


@pytest.mark.parametrize("damage", ["missing", "empty", "a file cut off", "no description"])
def test_a_folder_that_is_no_data_set_is_named_with_the_remedy(damage: str, tasks: list[PocketTask], tmp_path: Path):
    folder = tmp_path / "tasks"
    if damage == "empty":
        folder.mkdir()
    elif damage != "missing":
        write_tasks(tasks, "held_out", folder)
    if damage == "a file cut off":
        (file,) = folder.glob("*.arrow")
        file.write_bytes(file.read_bytes()[:300])
    if damage == "no description":
        (folder / "state.json").write_text("{}")
    with pytest.raises(ConfigError, match=rf"{folder} must be a data set on disk, and is not: .+Write it anew"):
        read_tasks(folder)


def test_a_data_set_without_a_column_is_named_with_those_it_has(rows: list[dict[str, str]], tmp_path: Path):
    short = [{name: row[name] for name in ("task_id", "messages")} for row in rows]
    with pytest.raises(ConfigError, match=r"has the columns \['task_id', 'messages'\]; it must have \['task_"):
        read_tasks(save(short, tmp_path / "tasks"))


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("kind", "odd", "kind is 'odd'"),
        ("messages", "[{", "JSONDecodeError"),
        ("messages", "[]", "not enough values"),
        ("messages", '[{"role": "user", "content": "Hi"}, {"role": "assistant"}]', "KeyError: 'reasoning'"),
        ("state", '{"files": [["Belplan"]]}', "ValueError"),
        ("state", '{"roofs": []}', "roofs"),
        ("state", "[]", "AttributeError"),
        ("tools", '[{"type": "function", "function": {"name": "cook"}}]', "names holds 'cook'"),
    ],
)
def test_a_row_that_is_no_task_is_named_with_what_is_wrong(
    column: str, value: str, problem: str, rows: list[dict[str, str]], tmp_path: Path
):
    damaged = [*rows[:2], {**rows[2], column: value}]
    with pytest.raises(ConfigError, match=rf"Row 2 of .+tasks must be a task, and is not: .*{problem}.*Write it anew"):
        read_tasks(save(damaged, tmp_path / "tasks"))


def test_a_data_set_of_other_tools_is_refused(rows: list[dict[str, str]], tmp_path: Path):
    tools = json.loads(rows[0]["tools"])
    tools[0]["function"]["description"] = "Something else"
    other = [{**rows[0], "tools": json.dumps(tools)}]
    with pytest.raises(ConfigError, match=r"Row 0 of .+ offers tools that are not those of .+; they must be"):
        read_tasks(save(other, tmp_path / "tasks"))
