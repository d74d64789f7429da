"""What was hidden or corrected in a document, and the forms that do it."""

from typing import Any

import reflex as rx

from rag_app.errors import InvalidInput, NotFound, RagError
from rag_app.services.documents import StoredPassage, document_passages, get_document
from rag_app.services.edit_cards import document_edits, note_origin
from rag_app.services.edits import NewEdit, add_edit, undo_edit, whole_sentences
from rag_app.services.versions import document_versions
from rag_app.state.change_rows import EditMark, changed_part, edit_mark, places_of
from rag_app.state.document import DocumentState
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.surroundings import surroundings
from rag_app.state.wording import counted

LONGEST_PASSAGE = 20_000
NO_MARK = EditMark("", "", "", "", "", "", "", "", "", "", "", "")


class EditsState(SessionState):
    """Marks and forms on the passages of a document."""

    marks: list[EditMark] = []
    waiting: str = ""  # how many of them are in conflict, in words
    origin: EditMark = NO_MARK
    settling: bool = False
    problem: str = ""
    form: str = ""  # "" | hide | correct
    form_passage: str = ""
    form_text: str = ""
    form_problem: str = ""

    @rx.event
    async def load(self) -> None:
        """Open the page."""
        self.marks, self.origin, self.form, self.settling = [], NO_MARK, "", False
        self.waiting = ""
        async with self._trying("problem"):
            await self._read()

    @rx.event
    async def refresh(self) -> None:
        """Read the marks again after another version came into use."""
        if self._segment(0) != "documents":
            return
        async with self._trying("problem"):
            await self._read()

    async def _read(self) -> None:
        context, actor, document_id = surroundings(), await self._actor(), self._segment_id(1)
        card = await get_document(context, actor, document_id)
        self.marks = [edit_mark(each) for each in await document_edits(context, actor, document_id)]
        waiting = sum(mark.message != "" for mark in self.marks)
        self.waiting = counted(waiting, "change made here waits", "changes made here wait") if waiting else ""
        origin = await note_origin(context, actor, document_id) if card.kind == "note" else None
        self.origin = edit_mark(origin) if origin else NO_MARK

    @rx.event
    async def settle(self) -> Any:
        """Read again until what was edited is searchable with its surroundings."""
        if self._segment(0) != "documents":
            self.settling = False
            return None
        try:
            found = await document_versions(surroundings(), await self._actor(), self._segment_id(1))
            self.settling = any(each.is_active and each.state in ("queued", "working") for each in found)
            await self._read()
        except RagError:
            self.settling = False
        return DocumentState.reread

    @rx.event
    async def open_form(self, form: str, passage_id: str) -> Any:
        """Ask what of a passage to hide, or what it should say."""
        self.form = ""
        async with self._trying():
            passage = await self._passage(passage_id)
            self.form, self.form_passage = (form if form in ("hide", "correct") else ""), passage_id
            self.form_text, self.form_problem = passage.text[:LONGEST_PASSAGE], ""
        return None if self.form else [DocumentState.reread, EditsState.refresh]

    @rx.event
    def close_form(self) -> None:
        """Never mind."""
        self.form = ""

    async def _passage(self, passage_id: str, text: str = "") -> StoredPassage:
        """The passage, or the one of the same text that took its place. Raises NotFound."""
        wanted = as_id(passage_id)
        stored = await document_passages(surroundings(), await self._actor(), self._segment_id(1))
        same = [each for each in stored if text and each.text == text]
        found = next((each for each in stored if each.id == wanted), same[0] if len(same) == 1 else None)
        if found is None:
            raise NotFound("This passage has changed meanwhile; the page shows the document as it is now.")
        return found

    @rx.event
    async def submit(self, form: dict[str, Any]) -> Any:
        """Hide the words, or put the correction in their place."""
        words = as_text(form.get("words"), LONGEST_PASSAGE)
        async with self._trying("form_problem"):
            passage = await self._passage(self.form_passage, self.form_text)
            place = as_text(form.get("place"), 10)
            near = int(place) if place.isascii() and place.isdigit() else -1
            new = hidden(passage, words, near) if self.form == "hide" else corrected(passage, words)
            await add_edit(surroundings(), await self._actor(), self._segment_id(1), new)
            self.form, self.settling = "", True
            await self._read()
            self._say("Hidden: it is found and quoted no more." if new.kind == "hide" else "Corrected.")
        return DocumentState.reread

    @rx.event
    async def undo(self, edit_id: str) -> Any:
        """Take an edit back."""
        async with self._trying():
            await undo_edit(surroundings(), await self._actor(), as_id(edit_id))
            self.settling = True
            await self._read()
        return DocumentState.reread


def hidden(passage: StoredPassage, words: str, near: int = -1) -> NewEdit:
    """Hide these words of a passage, those that begin at the character `near` (or after white space) if given.

    Raises InvalidInput when they do not stand there, or not once.
    """
    places = places_of(words, passage.text)
    if len(places) > 1 and near >= 0:
        places = places_of(words, passage.text[near:])[:1]
        places = [(near + start, near + end) for start, end in places]
    if len(places) != 1:
        raise InvalidInput(
            "These words do not stand in the passage: leave only words of it."
            if not places
            else "These words stand there more than once: leave some more of what is around them."
        )
    start, end = places[0]
    return NewEdit("hide", passage.char_from + start, passage.char_from + end)


def corrected(passage: StoredPassage, words: str) -> NewEdit:
    """Correct the sentences of a passage that were changed; a sentence that was taken out is hidden."""
    after = words.replace("\r\n", "\n").strip()
    if after == passage.text.strip():
        raise InvalidInput("Nothing was changed.")
    if not after:
        raise InvalidInput("To take the passage out, hide it.")
    start, end, text = changed_part(passage.text, after)
    touched = min(start, len(passage.text) - 1)
    while touched and start == end and passage.text[touched].isspace():
        touched -= 1  # words that were put in go with the sentence before them
    low, high = whole_sentences(passage.text, touched, max(end, touched + 1))
    high = max(high, end)
    text = f"{passage.text[low:start]}{text}{passage.text[end:high]}".strip()
    kind = NewEdit("correct", passage.char_from + low, passage.char_from + high, text)
    return kind if text else NewEdit("hide", passage.char_from + low, passage.char_from + high)
