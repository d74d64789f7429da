"""A file as a new version of a given document: the same rules as an upload, only that the document is named."""

from dataclasses import replace
from uuid import UUID

from rag_app.errors import Conflict, InvalidInput
from rag_app.services.acceptance import ARCHIVE, PRIORITY_FILE, Accepted, accept, defer_reading, lock_identities
from rag_app.services.context import Context
from rag_app.services.documents import get_document
from rag_app.services.intake import IncomingFile, stored_content
from rag_app.services.permissions import Actor, permit


async def add_version(context: Context, actor: Actor, document_id: UUID, file: IncomingFile) -> Accepted:
    """Take a file as a new version on top; the same bytes as those of the latest one change nothing.

    Raises NotFound, Conflict when the document did not come as a file or the file is an archive, and what is wrong
    with the file itself.
    """
    permit(actor, "document.add")
    document = await get_document(context, actor, document_id)
    if document.kind != "file":
        raise Conflict("Only a document that came as a file takes a file as its new version.")
    if file.external_id is not None or file.path is not None:
        raise InvalidInput("external_id: the document has its own", field="external_id")
    content = await stored_content(context, actor, file)
    if content.kind == ARCHIVE:
        raise Conflict("An archive cannot be a version of a file: add it as a document of its own.")
    kb = document.knowledge_base_id
    content = replace(content, document_id=document_id, external_id=document.external_id)
    async with context.transaction() as session:
        await lock_identities(session, kb, [content])
        accepted, version_id = await accept(session, actor, kb, content)
        if version_id:
            await defer_reading(context, session, kb, [version_id], PRIORITY_FILE)
    return accepted
