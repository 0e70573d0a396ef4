"""The rows of a data set: from the hub, or from a file in its schema."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from precall.errors import ConfigError

Row = Mapping[str, Any]
_FILE_KINDS = {".json": "json", ".jsonl": "json", ".parquet": "parquet"}


def read_rows(dataset: str, split: str, subset: str | None = None) -> list[Row]:
    """Return the rows of a `split` (and `subset`, where the hub has several) of the data set with this hub name, or of
    a file (json, jsonl, parquet), which has neither. Raises ConfigError for one that cannot be read."""
    import datasets
    from datasets.exceptions import DatasetsError

    kind = _FILE_KINDS.get(Path(dataset).suffix)
    try:
        if kind is None:
            rows: Any = datasets.load_dataset(dataset, subset, split=split)
        else:
            rows = datasets.load_dataset(kind, data_files=dataset, split="train")
        return list(rows)
    except (OSError, ValueError, DatasetsError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigError(
            f"workload.dataset is {dataset!r} (split {split}), which cannot be read: {reason}. It must be the name of "
            "a data set on the hub, or a json, jsonl or parquet file in its schema, for machines without a network."
        ) from error
