"""Figures for Prometheus: those of this process, and the sums of what all workers have counted."""

import json
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import text

from rag_app.errors import NotReady, RagError
from rag_app.jobs.queue import waiting_jobs
from rag_app.services.context import Context
from rag_app.telemetry import WORKER_METRICS, exposition, log, queue_depth

_ADD = text(
    "INSERT INTO figures (name, labels, value) VALUES (:name, :labels, :value) "
    "ON CONFLICT (name, labels) DO UPDATE SET value = figures.value + excluded.value"
)
_ALL = text("SELECT name, labels, value FROM figures ORDER BY name, labels")
_Key = tuple[str, str]


class Tally:
    """Adds what this process counts to the sums in the database, each count once."""

    def __init__(self) -> None:
        self._told = dict(_counts())  # counted before: by another worker in this process, perhaps told by it

    async def publish(self, context: Context) -> None:
        """Tell what was counted since the last time; when the database is away, the next time."""
        before, self._told = self._told, dict(_counts())
        fresh = {key: value - before.get(key, 0.0) for key, value in self._told.items()}
        # In one order, so that two workers never wait for each other in a ring.
        rows: list[dict[str, Any]] = [
            {"name": name, "labels": labels, "value": value} for (name, labels), value in sorted(fresh.items()) if value
        ]
        if not rows:
            return
        try:
            async with context.transaction() as session:
                await (await session.connection()).execute(_ADD, rows)
        except RagError as problem:
            log.warning("figures_wait", code=problem.code)
            for row in rows:
                self._told[row["name"], row["labels"]] -= row["value"]


async def all_figures(context: Context) -> bytes:
    """All figures in Prometheus' text format; those from the database are left out while it is away."""
    try:
        async with context.transaction() as session:
            queue_depth.set(await waiting_jobs(session))
            rows = [(row.name, row.labels, row.value) for row in await session.execute(_ALL)]
    except NotReady:
        return exposition()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Sums(rows))
    return exposition() + generate_latest(registry)


class _Sums(Collector):
    """The sums from the database, in the form of the counters they come from."""

    def __init__(self, rows: list[tuple[str, str, float]]) -> None:
        self._rows = rows

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One family for each counter of the workers."""
        for family in WORKER_METRICS.collect():
            found = [(json.loads(labels), value) for name, labels, value in self._rows if name == family.name]
            names = sorted({name for labels, _ in found for name in labels})
            shown = CounterMetricFamily(family.name, family.documentation, labels=names)
            for labels, value in found:
                shown.add_metric([labels.get(name, "") for name in names], value)
            yield shown


def _counts() -> Iterator[tuple[_Key, float]]:
    for family in WORKER_METRICS.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                yield (family.name, json.dumps(sample.labels, sort_keys=True)), sample.value
