"""Reads what this process has counted, as a Prometheus server would, and what a block of code has added to it."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families


def read(text: str | None = None) -> dict[str, float]:
    """Return the samples of precall by name and labels, from the text of a /metrics, else from this process."""
    families = text_string_to_metric_families(text or generate_latest(REGISTRY).decode())
    return {
        " ".join([sample.name, *sample.labels.values()]).strip(): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("precall_") and not sample.name.endswith("_created")
    }


@contextmanager
def counted() -> Iterator[dict[str, float]]:
    """Give a dictionary that holds, after the block, what it has added to the counters."""
    before = {name: value for name, value in read().items() if "_total" in name}
    added: dict[str, float] = {}
    yield added
    after = {name: value for name, value in read().items() if "_total" in name}
    added |= {name: after[name] - before.get(name, 0.0) for name in after if after[name] != before.get(name, 0.0)}
