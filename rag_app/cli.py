"""Door 3: commands for operators. Each calls a service and prints; errors are one readable line on stderr."""

import asyncio
import json
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_app.errors import InvalidInput, NotFound, RagError
from rag_app.retrieval.places import described
from rag_app.settings import Settings, load_settings
from rag_app.telemetry import configure_logging, log

if TYPE_CHECKING:  # a start must stay quick: services are imported by the command that needs them
    from rag_app.services.context import Context
    from rag_app.services.knowledge import KnowledgeBaseCard
    from rag_app.services.permissions import Actor

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Documents in, checkable answers out.",
)
user = typer.Typer(no_args_is_help=True, help="People.")
key = typer.Typer(no_args_is_help=True, help="API keys.")
source = typer.Typer(
    no_args_is_help=True, help="Websites, feeds, repositories, buckets and folders that fill a knowledge base."
)
app.add_typer(user, name="user")
app.add_typer(key, name="key")
app.add_typer(source, name="source")
Wait = Annotated[bool, typer.Option("--wait", help="show progress until it has been read")]
SourceId = Annotated[str, typer.Argument(help="id of the source")]
NewAddress = Annotated[str, typer.Option("--address", help="where it is from now on")]


@asynccontextmanager
async def _context(settings: Settings) -> AsyncIterator["Context"]:
    """The running database; in embedded mode one that does not run is started for as long as the command takes."""
    from rag_app.database.embedded import EmbeddedPostgres, running_url
    from rag_app.database.migration import upgrade
    from rag_app.services.context import open_context

    if not settings.embedded or running_url(settings.data_dir):
        async with open_context(settings, pool_size=3) as context:
            yield context
        return
    postgres = EmbeddedPostgres(settings.data_dir)
    url = await asyncio.to_thread(postgres.start)
    try:
        await asyncio.to_thread(upgrade, url)
        async with open_context(settings, url=url, pool_size=3) as context:
            yield context
    finally:
        await asyncio.to_thread(postgres.stop)


def _run(work: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    settings = load_settings()
    quiet = settings.log_level if settings.log_level == "DEBUG" else "WARNING"
    configure_logging(quiet, settings.log_format)
    asyncio.run(work(settings))


@app.command()
def up(
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="port to listen on")] = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="without a worker")] = False,
) -> None:
    """Start everything: database, web, worker."""
    from rag_app.supervisor import up as keep_up

    chosen = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = load_settings(**chosen)
    configure_logging(settings.log_level, settings.log_format)
    for name in settings.without_effect:
        log.warning("setting_without_effect", name=name)
    asyncio.run(keep_up(settings, worker=not no_worker))


@app.command()
def worker() -> None:
    """Run only a worker; any number, on any machine that reaches the database."""
    from rag_app.worker import main as work

    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    asyncio.run(work(settings))


@app.command()
def migrate() -> None:
    """Bring the schema up to date."""

    async def work(settings: Settings) -> None:
        from rag_app.database.engine import resolve_url
        from rag_app.database.migration import newest_revision, upgrade

        if not settings.embedded:
            await asyncio.to_thread(upgrade, settings.database_direct_url or resolve_url(settings))
        async with _context(settings) as context:
            await asyncio.to_thread(upgrade, context.url)
        typer.echo(f"The schema is at revision {newest_revision()}.")

    _run(work)


@app.command()
def setup(
    email: Annotated[str, typer.Option(help="e-mail address of the owner")],
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="read the password from stdin")] = False,
    name: Annotated[str, typer.Option(help="how the owner is called")] = "",
) -> None:
    """Create the first owner without the browser; refuses when one exists."""
    if not password_stdin:
        raise typer.BadParameter("send the password on stdin and give --password-stdin", param_hint="--password-stdin")
    password = sys.stdin.readline().rstrip("\r\n")

    async def work(settings: Settings) -> None:
        from rag_app.services.setup import create_first_owner

        async with _context(settings) as context:
            await create_first_owner(context, email=email, password=password, name=name)
        typer.echo(f"{email} is the owner of this server.")

    _run(work)


@user.command("reset-password")
def reset_password(email: Annotated[str, typer.Argument(help="e-mail address of the person")]) -> None:
    """Print a one-time link with which the person chooses a new password."""

    async def work(settings: Settings) -> None:
        from rag_app.services.people import reset_link_for

        async with _context(settings) as context:
            typer.echo((await reset_link_for(context, email)).url)

    _run(work)


@key.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="what the key is for")],
    scopes: Annotated[str, typer.Option(help="comma-separated; none = all that the owner may do")] = "",
) -> None:
    """Print a new API key and nothing else; it is shown once."""

    async def work(settings: Settings) -> None:
        from rag_app.services.accounts import operator
        from rag_app.services.api_keys import create_key as create

        async with _context(settings) as context:
            wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
            _, made = await create(context, await operator(context), name=name, scopes=wanted)
            typer.echo(made)

    _run(work)


@app.command()
def ingest(
    sources: Annotated[list[str], typer.Argument(metavar="PATH_OR_URL…", help="files, folders or web addresses")],
    kb: Annotated[str, typer.Option(help="name of the knowledge base; made if there is none")],
    wait: Annotated[bool, typer.Option("--wait", help="show progress until all is read")] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="read the password of encrypted files from stdin")
    ] = False,
) -> None:
    """Add files, folders or addresses to a knowledge base; what was added before gets a new version if it changed."""
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None

    async def work(settings: Settings) -> None:
        from rag_app.services.bulk import add_sources, watch
        from rag_app.worker import working_if_nobody_does

        async with _context(settings) as context, working_if_nobody_does(context, wanted=wait):
            actor = await _operator(context)
            batch = await add_sources(context, actor, kb, sources, password=password)
            for refused in batch.refused:
                typer.echo(f"refused: {refused.name}: {refused.reason}", err=True)
            if not wait:
                typer.echo(batch.said(kb))
                failed = bool(batch.refused)
            else:
                failed = not await watch(context, actor, batch) or bool(batch.refused)
        if failed:
            raise typer.Exit(1)

    _run(work)


@source.command("add")
def add_source(
    address: Annotated[str, typer.Argument(help="web address, s3://bucket/prefix, or a folder of RAG_SOURCE_FOLDERS")],
    kb: Annotated[str, typer.Option(help="name of the knowledge base; made if there is none")],
    kind: Annotated[str, typer.Option(help="website, page, feed, git, s3 or folder")] = "website",
    chosen: Annotated[list[str] | None, typer.Option("--set", help="such as branch=main or prefix=docs/")] = None,
    user: Annotated[str, typer.Option(help="access key of a bucket; name that a token wants")] = "",
    secret_stdin: Annotated[bool, typer.Option("--secret-stdin", help="token or secret key from stdin")] = False,
    cron: Annotated[str, typer.Option(help="when to read it again: minute hour day month weekday")] = "",
    time_zone: Annotated[str, typer.Option(help="of the line of cron")] = "UTC",
    wait: Wait = False,
) -> None:
    """Add a source, print its id, and read it."""
    asked: dict[str, Any] = {"kind": kind, "address": address, "cron": cron, "time_zone": time_zone, "user": user}
    asked |= {"settings": chosen or [], "secret": sys.stdin.readline().strip() if secret_stdin else ""}
    _on_sources(lambda sources, *who: sources.add_and_read(*who, kb, asked=asked, wait=wait), worker=wait)


@source.command("run")
def run_source(source_id: SourceId, address: NewAddress = "", wait: Wait = False) -> None:
    """Read a source again, at another address if one is given."""
    _on_sources(lambda sources, *who: sources.read_again(*who, source_id, address=address, wait=wait), worker=wait)


@source.command("list")
def show_sources(kb: Annotated[str, typer.Option(help="name of the knowledge base")]) -> None:
    """List the sources of a knowledge base."""
    _on_sources(lambda sources, *who: sources.print_sources(*who, kb), worker=False)


def _on_sources(use: Callable[..., Coroutine[Any, Any, bool]], *, worker: bool) -> None:
    async def work(settings: Settings) -> None:
        from rag_app.services import source_watch
        from rag_app.worker import working_if_nobody_does

        async with _context(settings) as context, working_if_nobody_does(context, wanted=worker):
            if not await use(source_watch, context, await _operator(context)):
                raise typer.Exit(1)

    _run(work)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="what you want to know")],
    kb: Annotated[str, typer.Option(help="name of a knowledge base")] = "",
    bot: Annotated[str, typer.Option(help="name or slug of a bot")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print the final object")] = False,
) -> None:
    """Stream a cited answer."""
    if bool(kb) == bool(bot):
        raise typer.BadParameter("give either --kb or --bot")

    async def work(settings: Settings) -> None:
        from rag_app.services import answers
        from rag_app.services.answers import Question

        async with _context(settings) as context:
            actor = await _operator(context)
            bot_id = await _bot_id(context, actor, kb=kb, bot=bot)
            started = await answers.ask(context, actor, bot_id, Question(question, via="cli"))
            async for _, kind, data in answers.follow(context, actor, started.message_id):
                if kind == "token" and not as_json:
                    typer.echo(data["text"], nl=False)
                elif kind == "error":
                    raise _ended(data)
                elif kind == "done":
                    typer.echo(json.dumps(data, ensure_ascii=False, indent=2) if as_json else _sources(data))

    _run(work)


@app.command()
def reindex(
    kb: Annotated[str, typer.Option(help="name of the knowledge base")],
    model: Annotated[str, typer.Option(help="embedding model; none = as it is")] = "",
    passage_tokens: Annotated[int, typer.Option(help="wanted size of a passage; 0 = as it is")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what it would take")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="show progress until the new index is in use")] = False,
) -> None:
    """Search with another model or passages; takes over by itself. Way back: Settings in the console, two weeks."""

    async def work(settings: Settings) -> None:
        from rag_app.services.index_estimate import estimate_index
        from rag_app.services.index_watch import expected, watch_index
        from rag_app.services.indexes import NewIndex, start_index
        from rag_app.worker import working_if_nobody_does

        new = NewIndex(model or None, passage_tokens or None, auto_flip=True)
        async with _context(settings) as context, working_if_nobody_does(context, wanted=wait and not dry_run):
            actor = await _operator(context)
            base_id = (await _base(context, actor, kb)).id
            typer.echo(expected(await estimate_index(context, actor, base_id, new)))
            if dry_run:
                return
            begun = await start_index(context, actor, base_id, new)
            if wait:
                await watch_index(context, actor, base_id, begun.id, say=typer.echo)
                typer.echo("The new index is in use.")

    _run(work)


@app.command()
def reranker(name: Annotated[str, typer.Argument(help="for example ms-marco-minilm-l6")]) -> None:
    """Download a reranker that runs on this machine; a bot uses it as local/NAME."""

    async def work(settings: Settings) -> None:
        from rich.progress import DownloadColumn, Progress, TaskID, TextColumn

        from rag_app.providers.reranker_files import PREFIX, download

        with Progress(TextColumn("{task.description}"), *Progress.get_default_columns(), DownloadColumn()) as shown:
            lines: dict[str, TaskID] = {}

            def told(file: str, come: int, total: int) -> None:
                if file not in lines:
                    lines[file] = shown.add_task(file)
                shown.update(lines[file], completed=come, total=total or None)

            folder = await download(settings.data_dir, PREFIX + name, told)
        typer.echo(f"{PREFIX}{name} is ready in {folder}.")

    _run(work)


@app.command()
def doctor() -> None:
    """Look at everything the server depends on; exit 1 if something failed."""

    async def work(settings: Settings) -> None:
        from rag_app.services.doctor import examine

        failed = False
        async with _context(settings) as context:
            async for finding in examine(context):
                typer.echo(f"{finding.state:<8} {finding.subject:<12} {finding.message}")
                failed = failed or finding.state == "failed"
        if failed:
            raise typer.Exit(1)

    _run(work)


async def _operator(context: "Context") -> "Actor":
    from rag_app.services.accounts import operator

    return await operator(context)


async def _bot_id(context: "Context", actor: "Actor", *, kb: str, bot: str) -> Any:
    from rag_app.services.bots import find_bot, implicit_bot

    if bot:
        found = await find_bot(context, actor, bot)
        if found is None:
            raise NotFound(f"There is no bot called “{bot}”.")
        return found.id
    return (await implicit_bot(context, actor, (await _base(context, actor, kb)).id)).id


async def _base(context: "Context", actor: "Actor", kb: str) -> "KnowledgeBaseCard":
    from rag_app.services.knowledge import find_knowledge_base

    base = await find_knowledge_base(context, actor, kb)
    if base is None:
        raise NotFound(f"There is no knowledge base called “{kb}”.")
    return base


def _ended(data: dict[str, Any]) -> RagError:
    problem = RagError(data["message"])
    problem.code = data["code"]
    return problem


def _sources(done: dict[str, Any]) -> str:
    lines = ["", ""]
    for citation in done["citations"]:
        place = described(citation["place"], citation["page_from"], citation["page_to"])
        where = f", {place}" if place else ""
        lines.append(f"[{citation['n']}] {citation['title']}{where}: “{' '.join(citation['quote'].split())}”")
    return "\n".join(lines).rstrip()


def main() -> None:
    """Run a command. Exit codes: 0 done, 1 the work failed, 2 wrong use."""
    try:
        app()
    except RagError as problem:
        _complain(problem)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _complain(problem: RagError) -> None:
    if os.environ.get("RAG_LOG_LEVEL", "").upper() == "DEBUG":
        traceback.print_exc()
    typer.echo(f"error {problem.code}: {problem.message}", err=True)
    raise SystemExit(2 if isinstance(problem, InvalidInput) else 1)
