"""Reads subtitles (WebVTT and SubRip): what was said, by whom and when, in paragraphs instead of lines."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from rag_app.errors import DamagedFile, NoText
from rag_app.ingestion.draft import Draft, one_line
from rag_app.ingestion.parsed import ParsedDocument

_TIMING = re.compile(
    r"^\s*((?:\d{1,3}:)?\d{1,2}:\d{2}[.,]\d{1,3})\s*-->\s*((?:\d{1,3}:)?\d{1,2}:\d{2}[.,]\d{1,3})(?:\s.*)?$"
)
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]*)>")
_TAG = re.compile(r"</?(?:[a-zA-Z][^<>\n]*)?>|<\d[\d:.]*>|\{\\[^}]*\}")
_SPEAKER = re.compile(r"^(?:>>\s*)?([A-ZÀ-Þ][\w .'\-À-ÿ]{0,40}):\s+(?=\S)")
_CHANGE = re.compile(r"^(?:>>+|-)\s*")
_SENTENCE_END = (".", "!", "?", "…", "。", "！", "？", '."', '?"', "!”", ".”", "?”")
_PAUSE_MS = 4_000
_PARAGRAPH_CHARS = 500
_LONGEST_PARAGRAPH_CHARS = 1_200


@dataclass(frozen=True, slots=True)
class _Cue:
    """What is shown for a while; times in milliseconds."""

    start: int
    end: int
    speaker: str
    text: str


def parse_captions(text: str) -> ParsedDocument:
    """Paragraphs with their times. Raises DamagedFile without a single time, NoText when nothing is said."""
    if not any(_TIMING.match(line) for line in text.split("\n")):
        raise DamagedFile("The file holds no times such as 00:01:02.000 --> 00:01:05.000.")
    draft = Draft()
    last: _Cue | None = None
    length = 0
    speaker = ""
    for cue in _without_repeats(_cues(text)):
        if last is None or _begins_anew(last, cue, length, speaker):
            named = f"{cue.speaker}: " if cue.speaker else ""
            draft.add("paragraph", named + cue.text)
            length = 0
            speaker = cue.speaker
        else:
            draft.extend(cue.text)
        length += len(cue.text)
        draft.end_place({"time_from": _clock(cue.start), "time_to": _clock(cue.end)})
        last = cue
    if not len(draft):
        raise NoText("The subtitles hold no words.")
    return draft.finish(title=_title(text), metadata={"duration": _clock(last.end if last else 0)})


def _begins_anew(last: _Cue, cue: _Cue, length: int, speaker: str) -> bool:
    if (cue.speaker and cue.speaker != speaker) or cue.start - last.end > _PAUSE_MS:
        return True
    ends = last.text.endswith(_SENTENCE_END)
    return (ends and length >= _PARAGRAPH_CHARS) or length >= _LONGEST_PARAGRAPH_CHARS


def _cues(text: str) -> Iterator[_Cue]:
    lines = text.split("\n")
    timings = [number for number, line in enumerate(lines) if "-->" in line and _TIMING.match(line)]
    for number, following in zip(timings, [*timings[1:], len(lines)], strict=True):
        found = _TIMING.match(lines[number])
        if found is None:
            continue
        body: list[str] = []
        for line in lines[number + 1 : following]:
            if not line.strip():
                break  # a cue ends with an empty line; what follows is a note or the name of the next one
            body.append(line)
        # Some files have no empty lines between cues: the last line is then the number of the next one.
        if number + 1 + len(body) == following < len(lines) and body and body[-1].strip().isdecimal():
            body.pop()
        yield from _spoken(_milliseconds(found.group(1)), _milliseconds(found.group(2)), body)


def _spoken(start: int, end: int, body: list[str]) -> Iterator[_Cue]:
    """One cue per speaker in it."""
    speaker = ""
    words: list[str] = []
    for line in body:
        voice = _VOICE.search(line)
        plain = one_line(html.unescape(_TAG.sub("", _VOICE.sub("", line))))
        named = _SPEAKER.match(plain)
        who = one_line(voice.group(1)) if voice else named.group(1) if named else ""
        if named and not voice:
            plain = plain[named.end() :]
        plain = _CHANGE.sub("", plain)
        if who and who != speaker and words:
            yield _Cue(start, end, speaker, " ".join(words))
            words = []
        speaker = who or speaker
        if plain:
            words.append(plain)
    if words:
        yield _Cue(start, end, speaker, " ".join(words))


def _without_repeats(cues: Iterator[_Cue]) -> Iterator[_Cue]:
    """Rolling subtitles show each line twice: what the cue before ended with is not said again."""
    before = ""
    for cue in cues:
        text = cue.text
        if before and text.startswith(before):
            text = text[len(before) :].strip()
        elif before.endswith(text):
            text = ""
        before = cue.text
        if text:
            yield _Cue(cue.start, cue.end, cue.speaker, text)


def _title(text: str) -> str:
    first = text.lstrip().split("\n", 1)[0]
    return one_line(first.removeprefix("WEBVTT").strip(" -\t")) if first.startswith("WEBVTT") else ""


def _milliseconds(moment: str) -> int:
    whole, _, part = moment.replace(",", ".").partition(".")
    seconds = 0
    for number in whole.split(":"):
        seconds = seconds * 60 + int(number)
    return seconds * 1000 + int(part.ljust(3, "0"))


def _clock(milliseconds: int) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
