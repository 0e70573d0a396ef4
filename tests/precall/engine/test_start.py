"""What the engine side refuses at its start, and how vLLM finds it."""

import os
import runpy
import sys
import tomllib
from argparse import Namespace
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

import pytest
import vllm
from fastapi import FastAPI
from vllm.plugins import load_endpoint_plugins
from vllm.plugins.endpoint_plugins.interface import EndpointPlugin

from precall.engine import compat, serve
from precall.engine.compat import PrivateName
from precall.engine.endpoint import PrecallEndpoint
from precall.errors import ConfigError
from tests.precall.engine.worlds import ScriptedChatHandler, engine_client

ROOT = Path(__file__).parents[3]
ARGS = Namespace(additional_config={"precall": {"residency": False}}, api_key=None, tool_call_parser=None)


def state(handler=None):
    return SimpleNamespace(openai_serving_chat=handler)


def test_this_vllm_is_the_one_that_is_expected():
    compat.check_vllm()


@pytest.mark.parametrize("version", ["0.31.9", "0.33.0", "0.320.0", "dev"])
def test_another_version_is_refused(monkeypatch, version):
    monkeypatch.setattr(vllm, "__version__", version)
    with pytest.raises(ConfigError, match=rf"vLLM is {version}.*0\.32"):
        PrecallEndpoint().attach_router(FastAPI())


def test_a_name_that_has_moved_or_takes_other_parameters_is_refused(monkeypatch):
    moved = PrivateName(module="vllm.plugins", path="no_such_name")
    changed = PrivateName(module="vllm.plugins", path="load_plugins_by_group", parameters=())
    gone = PrivateName(module="vllm.plugins", path="load_plugins_by_group", parameters=("group", "no_such_parameter"))
    monkeypatch.setattr(compat, "NAMES", (moved, changed, gone))
    with pytest.raises(ConfigError, match=r"no_such_name is missing.*takes \(group\).*no_such_parameter are passed"):
        compat.check_vllm()


@pytest.mark.parametrize(
    ("client", "named"),
    [
        (engine_client(num_processes=2), "2 API server processes"),
        (engine_client(num_replicas=4), "data_parallel_size is 4"),
        (SimpleNamespace(), "no _client_count"),
    ],
)
async def test_a_server_of_several_processes_is_refused(client, named):
    with pytest.raises(ConfigError, match=named):
        await PrecallEndpoint().init_state(client, state(ScriptedChatHandler()), ARGS)


@pytest.mark.parametrize("argument", ["--api-server-count", "--data-parallel-size"])
def test_a_command_line_that_asks_for_several_is_refused_before_anything_starts(argument):
    compat.check_arguments(["--model", "none", argument, "1"])
    compat.check_arguments(["--model", "none"])
    with pytest.raises(ConfigError, match=f"{argument} is 2; precall's engine side needs 1"):
        compat.check_arguments(["--model", "none", argument, "2"])


async def test_a_server_without_chat_is_refused():
    with pytest.raises(ConfigError, match="no chat handler"):
        await PrecallEndpoint().init_state(engine_client(), state(None), ARGS)


async def test_a_setting_that_does_not_exist_is_refused():
    args = Namespace(additional_config={"precall": {"single_usr": True}}, api_key=None)
    with pytest.raises(ConfigError, match="single_usr"):
        await PrecallEndpoint().init_state(engine_client(), state(ScriptedChatHandler()), args)


def test_vllm_loads_the_plugin_only_when_it_is_named(monkeypatch):
    monkeypatch.setenv("VLLM_PLUGINS", "another")
    assert load_endpoint_plugins(("generate",)) == []
    monkeypatch.setenv("VLLM_PLUGINS", "precall")
    (plugin,) = load_endpoint_plugins(("generate",))
    assert isinstance(plugin, PrecallEndpoint) and isinstance(plugin, EndpointPlugin)
    assert load_endpoint_plugins(("render",)) == []


def test_the_environment_has_the_entry_points_of_this_checkout():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for group, named in project["entry-points"].items():
        found = {point.name: point.value for point in entry_points(group=group) if point.name in named}
        assert found == named, "pip install --no-deps --no-build-isolation -e . makes them so"


def test_serving_where_precall_is_not_installed_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(serve, "GROUP", "a group that nobody has")
    with pytest.raises(ConfigError, match=r"must be installed\. Run `make setup`"):
        serve.main()


@pytest.mark.parametrize(
    ("before", "after"), [(None, "precall"), ("", "precall"), ("a,b", "a,b,precall"), ("precall", "precall")]
)
def test_serving_adds_precall_to_the_plugins_that_may_load(before, after):
    environment = {} if before is None else {"VLLM_PLUGINS": before}
    serve.allow_plugin(environment)
    assert environment["VLLM_PLUGINS"] == after


def test_serve_takes_vllms_arguments(monkeypatch, capsys):
    """As `python -m` runs it, but in this process, which has imported vLLM already."""
    monkeypatch.setattr(sys, "argv", ["serve.py", "--no-such-argument"])
    monkeypatch.setattr(os, "environ", os.environ.copy())  # vLLM sets variables for the processes that it starts
    monkeypatch.delitem(sys.modules, "precall.engine.serve")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("precall.engine.serve", run_name="__main__")
    assert ended.value.code == 2
    assert "unrecognized arguments: --no-such-argument" in capsys.readouterr().err
