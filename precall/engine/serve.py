"""`python -m precall.engine.serve --model ... [any vLLM server argument]`: vLLM's API server with the plugin on.

The same as `VLLM_PLUGINS=precall python -m vllm.entrypoints.openai.api_server ...`, but it says so when the plugin
cannot be found, which vLLM does not. VLLM_PLUGINS names every plugin that may load, of all groups: others that are
installed load only when it names them too.
"""

import os
from collections.abc import MutableMapping
from importlib.metadata import entry_points

from precall.errors import ConfigError

GROUP = "vllm.endpoint_plugins"
PLUGIN = "precall"


def check_installed() -> None:
    """Raise ConfigError unless vLLM will find the plugin."""
    if not any(point.name == PLUGIN for point in entry_points(group=GROUP)):
        remedy = "Run `make setup`, or `pip install --no-deps -e .` in the checkout"
        raise ConfigError(f"The entry point {PLUGIN} of {GROUP} is missing; precall must be installed. {remedy}.")


def allow_plugin(environment: MutableMapping[str, str]) -> None:
    """Add precall to the plugins that vLLM may load."""
    named = environment.get("VLLM_PLUGINS", "").split(",")
    environment["VLLM_PLUGINS"] = ",".join(dict.fromkeys([*filter(None, named), PLUGIN]))


def main() -> None:
    """Start the server; returns when it has ended."""
    check_installed()
    allow_plugin(os.environ)
    from precall.engine import compat

    compat.check_vllm()
    compat.check_arguments()
    compat.run_api_server()


if __name__ == "__main__":
    main()
