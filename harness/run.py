"""`python -m harness.run experiment=NAME [overrides]`: runs an experiment, or with -m several, sharing their servers.

The last line on stdout is one JSON object with the figures of every setting; it is kept in results/bench/ too.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from rich.console import Console

from harness import tables
from harness.bench import write_bench
from harness.closing_table import print_closing_table
from harness.experiment import Experiment, check_before_start
from harness.metrics.comparison import MeasurementError
from harness.schema import BackendKind, Config
from harness.servers import ServerPool
from harness.sweep import expand
from precall.errors import BackendError, ConfigError
from precall.testing.virtual_time import run_virtual


def register_schema() -> None:
    """Make the schema known to Hydra under the name that conf/config.yaml begins with."""
    ConfigStore.instance().store(name="schema", node=Config)


def run_experiment(node: Any, pool: ServerPool) -> None:
    """Run one composed configuration. Raises what ends the run."""
    cells = expand(node)
    check_before_start(cells)
    is_simulated = cells[0].config.backend.kind is BackendKind.simulated
    # In virtual time there is no bar: the thread that draws it would hold the clock.
    console = Console(stderr=True, force_terminal=False if is_simulated else None)
    run = _run(Experiment(cells, pool, console), pool)
    frame = run_virtual(run) if is_simulated else asyncio.run(run)
    records = tables.summarise(frame)
    print_closing_table(records, console)
    config = cells[0].config
    write_bench(
        config.experiment,
        {"experiment": config.experiment, "scale": config.scale.name, "settings": records},
        config.seed,
    )


async def _run(experiment: Experiment, pool: ServerPool) -> Any:
    # A terminated run cleans up as an interrupted one does.
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await experiment.run()
    except BaseException:
        await pool.aclose()
        raise


def main() -> None:
    register_schema()
    pool = ServerPool()
    is_composed = False

    @hydra.main(
        version_base="1.3", config_path=str(Path(__file__).resolve().parent.parent / "conf"), config_name="config"
    )
    def run(node: Any) -> None:
        nonlocal is_composed
        is_composed = True
        try:
            run_experiment(node, pool)
        except ConfigError as error:
            _end(f"Configuration: {error}", 2)
        except (BackendError, MeasurementError) as error:
            _end(f"{error}\nThe same command again runs only what is missing.", 1)
        except OSError as error:
            _end(f"{error}\nFree the resource that it names; the same command again runs only what is missing.", 1)
        except (KeyboardInterrupt, asyncio.CancelledError):
            _end("Interrupted. The same command again runs only what is missing.", 130)

    try:
        run()
    except SystemExit as end:
        # Hydra ends with 1 when it cannot compose a configuration, which is the user's to correct.
        if end.code == 1 and not is_composed:
            sys.exit(2)
        raise
    finally:
        asyncio.run(pool.aclose())


def _end(message: str, code: int) -> None:
    print(message, file=sys.stderr, flush=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
