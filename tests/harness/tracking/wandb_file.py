"""Reads the file of an offline W&B run: LevelDB's log format with a header of its own, protobuf records inside."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE_HEADER_BYTES, BLOCK_BYTES, RECORD_HEADER_BYTES = 7, 32 * 1024, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def read_records(path: Path) -> Iterator[Any]:
    """Yield the records of the file in their order; one that is still being written is left out."""
    from wandb.proto import wandb_internal_pb2

    for data in _read_frames(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        yield record


def _read_frames(data: bytes) -> Iterator[bytes]:
    assert data.startswith(b":W&B"), "this is no file of a W&B run"
    position, parts = FILE_HEADER_BYTES, b""
    while position < len(data):
        left = BLOCK_BYTES - position % BLOCK_BYTES
        if left < RECORD_HEADER_BYTES:  # padding
            position += left
            continue
        size = int.from_bytes(data[position + 4 : position + 6], "little")
        kind = data[position + 6]
        assert kind in (FULL, FIRST, MIDDLE, LAST), f"a frame at byte {position} is of kind {kind}"
        position += RECORD_HEADER_BYTES
        if position + size > len(data):
            return
        parts += data[position : position + size]
        position += size
        if kind in (FULL, LAST):
            yield parts
            parts = b""
