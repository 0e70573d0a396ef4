"""What comes from mini-swe-agent: its prompt templates, its form of observations, and the marker that ends its work.

The package is not imported: that would make a folder in the home directory, load a file of secrets from there and print
a banner. Its configuration is read as a data file. Source: mini-swe-agent 2, config/benchmarks/swebench.yaml and
models/utils/actions_toolcall.py.
"""

import functools
import importlib.util
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined, Template

from precall.errors import ConfigError

CONFIG = "config/benchmarks/swebench.yaml"
IMAGE_FOLDER = "/testbed"  # where the templates have the repository, as SWE-bench's images do
MARKER = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
NO_CALL = "No tool calls found in the response. Every response MUST include at least one tool call."
MAX_FORMAT_ERRORS = 3  # AgentConfig.max_consecutive_format_errors
BASH_PARAMETERS = {
    "type": "object",
    "properties": {"command": {"type": "string", "description": "The bash command to execute"}},
    "required": ["command"],
}
BASH_DESCRIPTION = "Execute a bash command"


@functools.cache
def package_folder() -> Path:
    """Return the folder of the installed package. Raises ConfigError when it is not there."""
    spec = importlib.util.find_spec("minisweagent")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("mini-swe-agent is not installed; agent=swe takes its prompts from it. Run make setup.")
    return Path(spec.submodule_search_locations[0])


@functools.cache
def config() -> dict[str, Any]:
    """Return the configuration with which mini-swe-agent works on SWE-bench: agent, environment, model."""
    return yaml.safe_load((package_folder() / CONFIG).read_text(encoding="utf-8"))


def system_prompt() -> str:
    return _render(config()["agent"]["system_template"])


def instance_prompt(problem: str, folder: str) -> str:
    """Return the first user message for the problem of a repository that lies in `folder`."""
    return _render(config()["agent"]["instance_template"].replace(IMAGE_FOLDER, folder), task=problem)


def observation(returncode: int | None, output: str, exception_info: str = "") -> str:
    """Return what the target is shown of a command; a command that a limit stopped has the return code -1 there."""
    seen = {
        "returncode": -1 if returncode is None else returncode,
        "output": output,
        "exception_info": exception_info,
    }
    return _render(config()["model"]["observation_template"], output=seen)


def format_error(finish_reason: str | None) -> str:
    """Return what the target is told after a turn without a call."""
    template = config()["model"]["format_error_template"]
    return _render(template, error=NO_CALL, actions=[], has_tool_calls=False, finish_reason=finish_reason)


def submission(output: str) -> str | None:
    """Return what a command has submitted if its output begins with the marker, else None."""
    first, _, rest = output.lstrip().partition("\n")
    return rest if first.strip() == MARKER else None


def _render(template: str, **variables: Any) -> str:
    return _compiled(template).render(**variables)


@functools.cache
def _compiled(template: str) -> Template:
    return Template(template, undefined=StrictUndefined)
