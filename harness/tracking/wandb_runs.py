"""Runs in Weights & Biases, as this kit opens them: they ask nothing, send nothing but themselves, and harm nothing.

W&B is a copy for people to look at. Whatever fails in its library or its service is said once; from then on the process
goes on without it.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from harness.schema import Config, TrackerMode
from precall.errors import ConfigError

T = TypeVar("T")

INIT_TIMEOUT_S = 30.0
FINISH_TIMEOUT_S = 60.0
"""What is not sent by then stays on disk, for `wandb sync`."""
NO_KEY = "tracker.mode is online; it needs an account of Weights & Biases, and no key of one is known here. "
REMEDY = "Log in with `wandb login`, give the key in WANDB_API_KEY, or set tracker.mode=offline."


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What a run is opened with. `folder` is where the library makes its folder `wandb`; `run_id` is unique in the
    project, and the same whenever the same thing is run again."""

    mode: TrackerMode
    project: str
    group: str
    job_type: str
    name: str
    run_id: str
    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    finish_timeout_s: float = FINISH_TIMEOUT_S


def run_id_of(folder: Path, name: str) -> str:
    """Return the id of a run by what it is about: `name` in a folder of results."""
    return hashlib.sha256(f"{folder.resolve()}/{name}".encode()).hexdigest()[:16]


def mode_of(config: Config) -> TrackerMode:
    """Return the mode of a configuration's runs: offline where it is left open and jobs have no network."""
    mode = config.tracker.mode
    return TrackerMode.offline if mode is TrackerMode.auto and config.jobs.is_offline else mode


def check_login(config: Config) -> None:
    """Raise ConfigError where runs are to be online and no account is known."""
    if config.tracker.mode is not TrackerMode.online:
        return
    try:
        is_logged_in = _is_logged_in()
    except Exception as error:  # the library's own, for a key that is in no form of theirs
        raise ConfigError(f"tracker.mode is online, and the account's key cannot be read: {error}. {REMEDY}") from error
    if not is_logged_in:
        raise ConfigError(NO_KEY + REMEDY)


class WandbRuns:
    """Opens runs, and keeps whatever goes wrong in them from what is tracked. `say` gets what has to be said."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.has_failed = False

    def attempt(self, action: Callable[[Any], T]) -> T | None:
        """Return what `action` returns of the library `wandb`; None where something fails, or has failed before."""
        if self.has_failed:
            return None
        try:
            with _no_logging_errors():
                return action(_library())
        except Exception as error:  # an edge, as that of a splice: a measurement outlives its copy
            self.has_failed = True
            self._say(
                f"W&B is left out from here on: {type(error).__name__}: {error}. The results themselves lack nothing."
            )
            with suppress(Exception), _no_logging_errors():  # or the library does it at the end, with a traceback
                _library().teardown()
            return None

    def prepare(self) -> None:
        """Start the service, and the threads here that all runs share."""
        self.attempt(lambda wandb: wandb.setup())

    def open(self, settings: RunSettings) -> "WandbRun":
        """Return a run that has begun. An offline one takes the place of what an earlier one of its id has left."""
        return WandbRun(self, self.attempt(lambda wandb: _init(wandb, settings)))


class WandbRun:
    """A run that is open; `handle` is the library's own, None where it could not be opened."""

    def __init__(self, runs: WandbRuns, handle: Any) -> None:
        self._runs = runs
        self.handle = handle

    def log(self, metrics: dict[str, Any]) -> None:
        """Add a row to the run's history; what is None was not measured, and is left out."""
        measured = {key: value for key, value in metrics.items() if value is not None}
        self._runs.attempt(lambda _: self.handle.log(measured))

    def finish(self, exit_code: int) -> None:
        self._runs.attempt(lambda _: self.handle.finish(exit_code=exit_code))


class DeferredRun:
    """A run that is opened, written and closed when it is finished: for virtual time, which waits for the threads that
    an open run may have."""

    def __init__(self, runs: WandbRuns, settings: RunSettings) -> None:
        self._runs = runs
        self._settings = settings
        self._rows: list[dict[str, Any]] = []

    def log(self, metrics: dict[str, Any]) -> None:
        self._rows.append(metrics)

    def finish(self, exit_code: int) -> None:
        run = self._runs.open(self._settings)
        for row in self._rows:
            run.log(row)
        run.finish(exit_code)


def left_offline(folder: Path, run_id: str) -> list[Path]:
    """Return the folders that offline runs of this id have left, whose names begin with when they were opened."""
    return sorted((folder / "wandb").glob(f"offline-run-*-{run_id}"))


def _init(wandb: Any, settings: RunSettings) -> Any:
    mode = settings.mode
    if mode is TrackerMode.auto:
        mode = TrackerMode.online if _is_logged_in() else TrackerMode.offline
    settings.folder.mkdir(parents=True, exist_ok=True)
    if mode is TrackerMode.offline:
        for left in left_offline(settings.folder, settings.run_id):
            shutil.rmtree(left, ignore_errors=True)
    return wandb.init(
        project=settings.project,
        group=settings.group,
        job_type=settings.job_type,
        name=settings.name,
        id=settings.run_id,
        resume="allow",
        reinit="create_new",  # a process may have several at a time
        dir=str(settings.folder),
        mode=mode.value,
        config=settings.config,
        settings=wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_stats=True,
            init_timeout=INIT_TIMEOUT_S,
            finish_timeout=settings.finish_timeout_s,
            finish_timeout_raises=True,
        ),
    )


@contextmanager
def _no_logging_errors() -> Iterator[None]:
    # On a full disk each line of the library's log of its own would print a traceback.
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    finally:
        logging.raiseExceptions = before


def _library() -> Any:
    # It otherwise looks for updates, asks questions on a terminal, and sends its makers how it is used, also of runs
    # that are offline.
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    return wandb


def _is_logged_in() -> bool:
    wandb = _library()
    from wandb.sdk.lib.wbauth import wbnetrc

    return "WANDB_API_KEY" in os.environ or wbnetrc.read_netrc_auth(host=wandb.Settings().base_url) is not None
