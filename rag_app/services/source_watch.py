"""Sources for the command line: added with their knowledge base, watched to the end of a run, listed."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from rag_app.errors import InvalidInput, NotFound
from rag_app.services.context import Context
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base, find_knowledge_base
from rag_app.services.paging import LARGEST_LIMIT, PageRequest
from rag_app.services.permissions import Actor
from rag_app.services.source_runs import RunCard, get_run, start_run
from rag_app.services.source_secrets import named_secret
from rag_app.services.source_settings import SourceSettings
from rag_app.services.sources import NewSource, create_source, find_source_id, list_sources, update_source

POLL_S = 0.3


async def add_and_read(context: Context, actor: Actor, kb: str, *, asked: Mapping[str, Any], wait: bool) -> bool:
    """Add a source to the knowledge base of this name, made if there is none, print its id and start its first run.

    `asked` holds kind, address, cron, time_zone, settings (name=value), user, secret. True unless a run that was waited
    for went wrong.
    """
    base = await find_knowledge_base(context, actor, kb)
    base = base or await create_knowledge_base(context, actor, NewKnowledgeBase(kb))
    schedule = {"cron": asked["cron"], "time_zone": asked["time_zone"]} if asked["cron"] else {}
    new = NewSource(
        asked["kind"],
        asked["address"],
        settings=dict(_setting(each) for each in asked["settings"]),
        schedule=schedule,
        secret=named_secret(asked["kind"], asked["user"], asked["secret"]),
    )
    source = await create_source(context, actor, base.id, new)
    return await read_again(context, actor, str(source.id), wait=wait)


def _setting(line: str) -> tuple[str, Any]:
    """Name and value of `name=value`; figures are figures, patterns stand between commas. Raises InvalidInput."""
    name, is_said, value = line.partition("=")
    kept = {each.name: each.type for each in fields(SourceSettings)}.get(name.strip())
    if not is_said or kept is None:
        raise InvalidInput(f"--set {line}: a setting of a source as name=value is expected", field=name)
    try:
        read: dict[Any, Callable[[str], Any]] = {int: int, float: float, tuple[str, ...]: lambda all_: all_.split(",")}
        return name.strip(), read.get(kept, str)(value.strip())
    except ValueError as problem:
        raise InvalidInput(f"--set {name}: a figure is expected", field=name) from problem


async def read_again(context: Context, actor: Actor, source_id: str, *, wait: bool, address: str = "") -> bool:
    """Start a run of the source whose id begins so, print the id, and watch the run if wanted.

    An address takes the place of the one it had. Raises NotFound, InvalidInput (the beginning is that of several),
    Busy, and what `update_source` raises.
    """
    wanted = await find_source_id(context, actor, source_id)
    if address:
        await update_source(context, actor, wanted, changes={"address": address})
    run = await start_run(context, actor, wanted)
    Console().print(str(wanted), highlight=False)
    return not wait or await _watch(context, actor, run.id)


async def _watch(context: Context, actor: Actor, run_id: UUID) -> bool:
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[pages]}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("reading", total=1.0, pages="")
        while (run := await get_run(context, actor, run_id)).status in ("queued", "running"):
            progress.update(bar, completed=run.progress, pages=f"{run.visited:,} of {run.found:,}")
            await asyncio.sleep(POLL_S)
        progress.update(bar, completed=1.0, pages=f"{run.visited:,} read")
    console.print(_figures(run), highlight=False)
    if run.error:
        console.print(run.error.message, highlight=False, markup=False)
    return run.status == "done"


def _figures(run: RunCard) -> str:
    counts = ("added", "changed", "unchanged", "removed", "failed", "skipped")
    words = ", ".join(f"{getattr(run, name):,} {name}" for name in counts)
    kept = f"; {run.held_back:,} that seem gone were kept" if run.held_back else ""
    return f"{run.status}: {words}{kept}"


async def print_sources(context: Context, actor: Actor, kb: str) -> bool:
    """The sources of the knowledge base of this name, each under its whole id. Raises NotFound."""
    base = await find_knowledge_base(context, actor, kb)
    if base is None:
        raise NotFound(f"There is no knowledge base called “{kb}”.")
    cards = (await list_sources(context, actor, base.id, PageRequest(limit=LARGEST_LIMIT))).items
    console = Console(soft_wrap=True, highlight=False, markup=False)  # whole lines, however narrow the place is
    for card in cards:
        following = "paused" if card.state == "paused" else "no schedule"
        if card.next_run_at:
            following = card.next_run_at.strftime("next run %Y-%m-%d %H:%M UTC")
        console.print(card.id)
        console.print(f"  {card.kind} {card.name}: {card.pages:,} documents, {following}")
        console.print(f"  {_figures(card.last_run) if card.last_run else 'not read yet'}")
    return True
