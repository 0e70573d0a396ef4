"""`python -m precall.engine.serve --model ... [any vLLM server argument]`: vLLM's API server with the plugin on.

The same as `VLLM_PLUGINS=precall python -m vllm.entrypoints.openai.api_server ...`, and it runs from a checkout in
which precall is not installed. VLLM_PLUGINS names every plugin that may load, of all groups: others that are installed
load only when it names them too.
"""

import os
import sys
from collections.abc import Iterable, MutableMapping
from importlib.metadata import Distribution, DistributionFinder, entry_points
from pathlib import Path

GROUP = "vllm.endpoint_plugins"
PLUGIN = "precall"
ENTRY_POINT = "precall.engine.endpoint:PrecallEndpoint"


class CheckoutDistribution(Distribution):
    """Stands for the metadata that installing precall would write: its name and its entry point."""

    def read_text(self, filename: str) -> str | None:
        texts = {
            "METADATA": f"Metadata-Version: 2.1\nName: {PLUGIN}\nVersion: 0\n",
            "entry_points.txt": f"[{GROUP}]\n{PLUGIN} = {ENTRY_POINT}\n",
        }
        return texts.get(filename)

    def locate_file(self, path: "str | os.PathLike[str]") -> Path:
        return Path(__file__).parents[2] / path


class CheckoutFinder(DistributionFinder):
    """Finds precall's metadata for importlib.metadata; it finds no modules."""

    def find_spec(self, *_: object) -> None:
        return None

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterable[Distribution]:
        name = None if context is None else context.name
        return [CheckoutDistribution()] if name in (None, PLUGIN) else []


def make_plugin_visible() -> None:
    """Have this process find the plugin's entry point, also when precall is not installed."""
    if not any(point.name == PLUGIN for point in entry_points(group=GROUP)):
        sys.meta_path.append(CheckoutFinder())


def allow_plugin(environment: MutableMapping[str, str]) -> None:
    """Add precall to the plugins that vLLM may load."""
    named = environment.get("VLLM_PLUGINS", "").split(",")
    environment["VLLM_PLUGINS"] = ",".join(dict.fromkeys([*filter(None, named), PLUGIN]))


def main() -> None:
    """Start the server; returns when it has ended."""
    make_plugin_visible()
    allow_plugin(os.environ)
    from precall.engine import compat

    compat.check_vllm()
    compat.check_arguments()
    compat.run_api_server()


if __name__ == "__main__":
    main()
