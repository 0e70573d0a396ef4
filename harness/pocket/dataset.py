"""Tasks of the pocket world as a Hugging Face data set on disk, one folder per split.

    python -m harness.pocket.dataset FOLDER [--num-tasks N] [--seed S]

Columns, all text: task_id, kind, split; messages, tools and state as JSON. `datasets.load_from_disk` reads a folder.
"""

import argparse
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from agents.task import Task
from harness.pocket.functions import TaskState
from harness.pocket.tools import Toolbox
from harness.pocket.values import Split
from harness.pocket.world import Kind, PocketTask, PocketTurn, draw_tasks, messages_of, tools_of
from precall.calls import ToolCall
from precall.errors import ConfigError

COLUMNS = ("task_id", "kind", "split", "messages", "tools", "state")
_REMEDY = "Write it anew with `python -m harness.pocket.dataset FOLDER`."


def write_tasks(tasks: Sequence[PocketTask], split: Split, folder: Path) -> None:
    """Write tasks as the data set `folder`. Raises ConfigError where something is there, or no task is given."""
    import datasets

    if not tasks:
        raise ConfigError("tasks is empty; a data set must hold at least 1 task. Draw some with draw_tasks.")
    if folder.exists():
        raise ConfigError(f"The folder {folder} exists; a data set is not overwritten. Remove it or name another one.")
    rows = [_to_row(task, split) for task in tasks]
    with _no_progress_bars():
        datasets.Dataset.from_list(rows).save_to_disk(folder)


def read_tasks(folder: Path) -> list[PocketTask]:
    """Return the tasks of the data set `folder`, in order. Raises ConfigError for a folder that holds none."""
    import datasets

    try:
        with _no_progress_bars():
            data: Any = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's own are among them
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigError(f"The folder {folder} must be a data set on disk, and is not: {reason} {_REMEDY}") from error
    columns = getattr(data, "column_names", None)
    if not isinstance(data, datasets.Dataset) or set(COLUMNS) - set(data.column_names):
        raise ConfigError(f"The data set {folder} has the columns {columns}; it must have {list(COLUMNS)}. {_REMEDY}")
    return [_read_row(folder, index, row) for index, row in enumerate(data.to_list())]


def _to_row(task: PocketTask, split: Split) -> dict[str, str]:
    toolbox = task.task.make_tools
    assert isinstance(toolbox, Toolbox), "a task of the pocket world makes its tools from a toolbox"
    return {
        "task_id": task.task.task_id,
        "kind": task.kind,
        "split": split,
        "messages": json.dumps(messages_of(task)),
        "tools": json.dumps(tools_of(task)),
        "state": json.dumps(asdict(toolbox.state)),
    }


def _read_row(folder: Path, index: int, row: Mapping[str, Any]) -> PocketTask:
    try:
        task = _to_task(row)
        is_of_this_world = tools_of(task) == json.loads(row["tools"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ConfigError(f"Row {index} of {folder} must be a task, and is not: {problem}. {_REMEDY}") from error
    if not is_of_this_world:
        raise ConfigError(
            f"Row {index} of {folder} offers tools that are not those of harness/pocket/tools.py; they must be. "
            f"{_REMEDY}"
        )
    return task


def _to_task(row: Mapping[str, Any]) -> PocketTask:
    if row["kind"] not in get_args(Kind):
        raise ValueError(f"kind is {row['kind']!r}, none of {', '.join(get_args(Kind))}")
    first, *others = json.loads(row["messages"])
    turns = tuple(_read_turns(others))
    state = {name: tuple((key, value) for key, value in entries) for name, entries in json.loads(row["state"]).items()}
    names = tuple(tool["function"]["name"] for tool in json.loads(row["tools"]))
    task = Task(
        task_id=row["task_id"],
        user_turns=((first,),),
        make_tools=Toolbox(names=names, state=TaskState(**state)),
        reference_calls=(tuple(call for turn in turns for call in turn.calls),),
    )
    return PocketTask(task=task, kind=row["kind"], turns=turns)


def _read_turns(messages: Sequence[Mapping[str, Any]]) -> Iterator[PocketTurn]:
    observations = {each["tool_call_id"]: each["content"] for each in messages if each["role"] == "tool"}
    for message in messages:
        if message["role"] == "assistant":
            calls = tuple(
                ToolCall(name=each["function"]["name"], arguments=each["function"]["arguments"], call_id=each["id"])
                for each in message.get("tool_calls", ())
            )
            yield PocketTurn(
                reasoning=message["reasoning"],
                content=message["content"],
                calls=calls,
                observations=tuple(observations[call.call_id] for call in calls),
            )


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    import datasets

    was_disabled = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not was_disabled:
            datasets.enable_progress_bars()


def main() -> None:
    parser = argparse.ArgumentParser(description="Write tasks of the pocket world as data sets, one folder per split.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--num-tasks", type=int, default=1000, help="of each split (default 1000)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        for split in get_args(Split):
            tasks = draw_tasks(arguments.num_tasks, seed=arguments.seed, split=split)
            write_tasks(tasks, split, arguments.folder / split)
            print(f"{len(tasks)} tasks in {arguments.folder / split}")
    except ConfigError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
