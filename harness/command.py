"""The command line: from it to the configurations that Hydra composes, and from errors to how the process ends."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore

from harness.metrics.comparison import MeasurementError
from harness.schema import Config
from precall.errors import BackendError, ConfigError

CONF = Path(__file__).resolve().parent.parent / "conf"


def register_schema() -> None:
    """Make the schema known to Hydra under the name that conf/config.yaml begins with."""
    ConfigStore.instance().store(name="schema", node=Config)


def composed() -> list[Any]:
    """Return the configurations that the command line asks for, all of them before anything is done with one, so that
    experiments can share servers. Empty where it asked for help or for the configuration itself.

    Ends the process with 2 where Hydra cannot compose one; it has said why.
    """
    register_schema()
    nodes: list[Any] = []

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
    def collect(node: Any) -> None:
        nodes.append(node)

    try:
        collect()
    except SystemExit as end:
        sys.exit(2 if end.code == 1 else end.code)
    return nodes


def ending(run: Callable[[], None]) -> None:
    """Call `run`, and end the process as its errors want it: with 2 for what the user must correct, with 1 for what
    went wrong, with 130 when interrupted."""
    again = "The same command again runs only what is missing."
    try:
        run()
    except ConfigError as error:
        _end(f"Configuration: {error}", 2)
    except (BackendError, MeasurementError) as error:
        _end(f"{error}\n{again}", 1)
    except OSError as error:
        _end(f"{error}\nFree the resource that it names; the same command again runs only what is missing.", 1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        _end(f"Interrupted. {again}", 130)


def _end(message: str, code: int) -> None:
    print(message, file=sys.stderr, flush=True)
    sys.exit(code)
