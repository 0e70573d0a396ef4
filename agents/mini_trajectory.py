"""Writes a trajectory as mini-swe-agent does (NAME.traj.json), for its inspector and what else reads that form.

    python -m minisweagent.run.utilities.inspector FOLDER

Source: DefaultAgent.serialize in mini-swe-agent's agents/default.py, format mini-swe-agent-1.1.
"""

import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents import mini
from agents.trajectory import Status, Trajectory
from precall.calls import ToolCall, parse_arguments
from precall.errors import MalformedCallError

FORMAT = "mini-swe-agent-1.1"
EXIT_STATUS = {
    Status.FINISHED: "Submitted",
    Status.TURN_LIMIT: "LimitsExceeded",
    Status.FORMAT_ERRORS: "RepeatedFormatError",
    Status.FAILED: "BackendError",
}


def write_mini_trajectory(folder: Path, trajectory: Trajectory, model_name: str) -> Path:
    """Write `trajectory` below `folder`, whole or not at all, and return the file's path."""
    path = folder / f"{trajectory.task_id.replace('/', '_')}.traj.json"
    partial = path.with_suffix(".partial")
    folder.mkdir(parents=True, exist_ok=True)
    partial.write_text(json.dumps(to_mini(trajectory, model_name), indent=2), encoding="utf-8")
    partial.replace(path)
    return path


def to_mini(trajectory: Trajectory, model_name: str) -> dict[str, Any]:
    """Return a trajectory in mini-swe-agent's form. Costs are 0: our models have no price."""
    exit_status = EXIT_STATUS[trajectory.status]
    messages = [_message(message) for message in trajectory.messages]
    submission = ""
    while messages and messages[-1]["role"] == "tool":
        patch = mini.submission(messages[-1]["content"])
        if patch is None:
            break
        submission = patch
        messages.pop()  # mini-swe-agent shows a submission as the exit, and not as an observation
    if trajectory.grade is not None and not submission:
        submission = trajectory.grade.details.get("model_patch", "")
    exit_message = {
        "role": "exit",
        "content": trajectory.error or submission or exit_status,
        "extra": {"exit_status": exit_status, "submission": submission},
    }
    return {
        "info": {
            "model_stats": {"instance_cost": 0.0, "api_calls": len(trajectory.turns)},
            "config": {
                "agent_type": "agents.function_calling.FunctionCallingAgent",
                "model": {"model_name": model_name},
                "environment_type": "agents.sandbox.sandbox.Sandbox",
            },
            "mini_version": importlib.metadata.version("mini-swe-agent"),
            "exit_status": exit_status,
            "submission": submission,
        },
        "instance_id": trajectory.task_id,
        "messages": [*messages, exit_message],
        "trajectory_format": FORMAT,
    }


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(message)
    if "reasoning" in shown:
        shown["reasoning_content"] = shown.pop("reasoning")
    if message["role"] == "assistant":
        calls = message.get("tool_calls", ())
        shown["extra"] = {"actions": [_action(call) for call in calls]}
    return shown


def _action(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    try:
        arguments = parse_arguments(ToolCall(name=function["name"], arguments=function["arguments"]))
    except MalformedCallError:
        arguments = {}
    command = arguments.get("command", f"{function['name']} {function['arguments']}")
    return {"command": command, "tool_call_id": call["id"]}
