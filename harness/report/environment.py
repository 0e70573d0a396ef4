"""Where every record comes from: commit, versions, machine, command; and the environments, told apart."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.records import MANIFEST, NUM_READERS, RunFolder
from harness.report.data_tables import Column, Row, Table, table
from harness.report.links import Link, link, run_folders, whose
from precall.errors import ConfigError

RECORD_COLUMNS = (
    Column(key="records", label="records", is_choice=True),
    Column(key="group", label="folder", is_choice=True),
    Column(key="record", label="record", kind="link"),
    Column(key="status", label="status", is_choice=True),
    Column(key="environment", label="environment", is_choice=True),
    Column(key="commit", label="commit"),
    Column(key="started_at", label="started (UTC)"),
    Column(key="duration_s", label="took (s)", kind="number", digits=1),
    Column(key="seed", label="seed", kind="number"),
    Column(key="config", label="config", kind="link"),
    Column(key="provenance", label="provenance", kind="link"),
    Column(key="metrics", label="metrics", kind="link"),
    Column(key="events", label="events", kind="link"),
    Column(key="command", label="command"),
    Column(key="error", label="error", is_main=False),
)
MACHINE = ("system", "cpu", "num_cores", "memory_gib", "gpus")
VERSIONS = ("python", "packages", "lock_sha256")
_RAW = {
    "config": "config.yaml",
    "provenance": "provenance.json",
    "metrics": "metrics.json",
    "events": "events.jsonl",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Records with one machine and the same versions. `name` is what the table calls it; dates are days, UTC."""

    name: str
    machine: str
    python: str
    packages: Mapping[str, str]
    locks: Mapping[str, str]
    num_own: int
    num_published: int
    commits: Sequence[str]
    first_day: str
    last_day: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A run folder or a bench's file, with its provenance (empty where it has kept none)."""

    path: Path
    provenance: Mapping[str, Any]
    manifest: Mapping[str, Any]


def records_in(results: Path) -> list[Record]:
    """Return all run folders, then the files of benches, of each kind own ones first. Raises ConfigError for a file
    that is no JSON."""
    with ThreadPoolExecutor(NUM_READERS) as readers:
        runs = list(readers.map(_run, run_folders(results, MANIFEST)))
    benches = [*sorted(results.glob("bench/*.json")), *sorted(results.glob("published/*/*.json"))]
    return [*runs, *(_bench(file) for file in benches)]


def _run(folder: Path) -> Record:
    run = RunFolder(folder)
    has_provenance = (folder / "provenance.json").is_file()
    return Record(
        path=folder,
        provenance=run.read_json("provenance.json") if has_provenance else {},
        manifest=run.manifest or {},
    )


def _bench(file: Path) -> Record:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        what = f"{file.parent.name}/{file.name} is no JSON: {error}"
        raise ConfigError(f"{what}. Remove it; the target that wrote it writes it again.") from error
    return Record(path=file, provenance=record.get("provenance") or {}, manifest={})


def by_environment(records: Sequence[Record], results: Path) -> dict[str, list[Record]]:
    """Return the records with provenance by the name of their environment (E1, ...), the one with most records of your
    own first."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.provenance:
            identity = json.dumps([record.provenance.get(name) for name in (*MACHINE, *VERSIONS)], sort_keys=True)
            groups.setdefault(identity, []).append(record)
    ordered = sorted(groups.values(), key=lambda group: (-_num_own(group, results), _days(group)))
    return {f"E{number}": group for number, group in enumerate(ordered, start=1)}


def environments(groups: Mapping[str, Sequence[Record]], results: Path) -> list[Environment]:
    return [_environment(name, group, _num_own(group, results)) for name, group in groups.items()]


def records_table(records: Sequence[Record], groups: Mapping[str, Sequence[Record]], results: Path) -> Table:
    """Return a row per record."""
    names = {record.path: name for name, group in groups.items() for record in group}
    return table(RECORD_COLUMNS, [_row(record, results, names.get(record.path)) for record in records])


def machine_text(provenance: Mapping[str, Any]) -> str:
    """Return in words what a record ran on."""
    gpus = provenance.get("gpus") or []
    parts = [
        provenance.get("cpu") or "processor not known",
        f"{provenance.get('num_cores')} core{'' if provenance.get('num_cores') == 1 else 's'}",
        f"{provenance.get('memory_gib')} GiB of memory",
        ", ".join(gpus) if gpus else "no GPU",
        provenance.get("system") or "system not known",
    ]
    return "; ".join(parts)


def _num_own(records: Sequence[Record], results: Path) -> int:
    return sum(whose(record.path, results) == "own" for record in records)


def _days(records: Sequence[Record]) -> tuple[str, str]:
    days = [str(record.provenance.get("started_at", ""))[:10] for record in records]
    return min(days), max(days)


def _environment(name: str, records: Sequence[Record], num_own: int) -> Environment:
    provenance = records[0].provenance
    first_day, last_day = _days(records)
    return Environment(
        name=name,
        machine=machine_text(provenance),
        python=str(provenance.get("python")),
        packages=provenance.get("packages") or {},
        locks=provenance.get("lock_sha256") or {},
        num_own=num_own,
        num_published=len(records) - num_own,
        commits=list(dict.fromkeys(commit_text(record.provenance) for record in records)),
        first_day=first_day,
        last_day=last_day,
    )


def commit_text(provenance: Mapping[str, Any]) -> str:
    """Return the commit in short, and whether files had been changed."""
    sha = provenance.get("git_sha")
    if not sha:
        return "not known"
    return sha[:10] + (" and changes" if provenance.get("git_dirty") else "")


def _row(record: Record, results: Path, environment: str | None) -> Row:
    provenance, manifest = record.provenance, record.manifest
    command = provenance.get("command") or []
    return {
        "records": whose(record.path, results),
        "group": record.path.parent.relative_to(results).as_posix(),
        "record": link(record.path, results, text=record.path.name),
        "status": manifest.get("status", "bench"),
        "environment": environment or "not recorded",
        "commit": commit_text(provenance),
        "started_at": str(provenance.get("started_at", ""))[:19].replace("T", " "),
        "duration_s": manifest.get("duration_s"),
        "seed": provenance.get("seed"),
        "command": " ".join(map(str, command)),
        "error": manifest.get("error"),
        **dict(_raw(record, results)),
    }


def _raw(record: Record, results: Path) -> Iterator[tuple[str, Link]]:
    for key, name in _RAW.items():
        if (record.path / name).is_file():
            yield key, link(record.path / name, results, text=name)
