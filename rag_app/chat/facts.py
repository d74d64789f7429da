"""What a sentence states, as far as it can be compared: content terms, numbers, names, and what is denied."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from rag_app.chat.lexicon import NO_SPACE_NEGATIONS, SCALES, negations, number_words, question_words
from rag_app.retrieval.terms import terms_of

_MARKDOWN = re.compile(r"^[ \t]*(?:#{1,6}|>|[-*•‣]|\d{1,3}[.)])[ \t]+|[*_`#|]+|~~", re.MULTILINE)
_TOKEN = re.compile(r"\d+(?:[.,'\u2019\u00a0\u202f]\d+)*|[^\W\d_]+(?:['’\u2010-\u2011-][^\W_]+|\d+[^\W_]*)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:[.,'\u2019\u00a0\u202f]\d{3})+")
_UNCASED_NOUNS = frozenset({"de"})  # every noun is written with a capital there, so a capital marks no name
_SCOPE = 3  # content terms after (or before) a negation that it is taken to deny


@dataclass(frozen=True, slots=True)
class Number:
    """One number with every value its spelling may have (`1.000` is 1 or 1000)."""

    spelling: str
    values: frozenset[float]


@dataclass(frozen=True, slots=True)
class Facts:
    """The comparable content of a text. `terms` are in reading order, repeats included."""

    terms: tuple[str, ...]
    numbers: tuple[Number, ...]
    names: tuple[str, ...]  # folded to lower case
    words: frozenset[str]  # every word, lower case, without accents
    denied: tuple[frozenset[str], ...]  # per negation: the terms near it


def fold(word: str) -> str:
    """Lower case without accents and possessive."""
    word = re.sub(r"['’]s?$", "", word).lower()
    return "".join(char for char in unicodedata.normalize("NFD", word) if not unicodedata.combining(char))


def plain(text: str) -> str:
    """The text without Markdown's marks, list numbers included."""
    return _MARKDOWN.sub(" ", unicodedata.normalize("NFKC", text))


def content_terms(text: str, language: str) -> list[str]:
    """Terms that carry topic: without question words, repeats included."""
    asking = _asking_terms(language)
    return [term for term in terms_of(text, language) if term not in asking]


@lru_cache(maxsize=32)
def _asking_terms(language: str) -> frozenset[str]:
    return frozenset(term for word in question_words(language) for term in terms_of(word, language))


@lru_cache(maxsize=4096)
def facts_of(text: str, language: str) -> Facts:
    """Read the facts of a sentence or passage; `language` is ISO 639-1."""
    clean = plain(text)
    tokens = list(_TOKEN.finditer(clean))
    return Facts(
        terms=tuple(content_terms(clean, language)),
        numbers=tuple(_numbers(clean, tokens, language)),
        names=tuple(_names(clean, tokens, language)),
        words=frozenset(fold(token.group()) for token in tokens),
        denied=tuple(_denied(clean, tokens, language)),
    )


def _values(spelling: str) -> set[float]:
    """Every reading of digits with separators."""
    digits = re.sub(r"\D", "", spelling)
    found: set[float] = set()
    if digits == spelling or _THOUSANDS.fullmatch(spelling):
        found.add(float(digits))
    whole, mark, rest = re.match(r"(\d+)([.,]?)(\d*)", spelling).groups()  # type: ignore[union-attr] # digits first
    if mark and len(spelling) == len(whole) + 1 + len(rest):
        found.add(float(f"{whole}.{rest}"))
    head = re.fullmatch(r"((?:\d{1,3})(?:[.,'’]\d{3})+)([.,])(\d+)", spelling)
    if head:
        found.add(float(f"{re.sub(chr(92) + 'D', '', head[1])}.{head[3]}"))
    return found or {float(digits)}


def _numbers(text: str, tokens: list[re.Match[str]], language: str) -> list[Number]:
    """Numbers in digits and words, with a scale word (`3 million`) multiplied in."""
    words = number_words(language)
    found: list[Number] = []
    for at, token in enumerate(tokens):
        spelling = token.group()
        lower = spelling.lower()
        if spelling[0].isdigit():
            values = _values(spelling)
        elif lower in words:
            values = {float(words[lower])}
        elif "-" in lower and all(part in words for part in lower.split("-")):
            values = {float(sum(words[part] for part in lower.split("-")))}
        else:
            continue
        following = tokens[at + 1].group().lower() if at + 1 < len(tokens) else ""
        scale = SCALES.get(following)
        if scale and text[token.end() : tokens[at + 1].start()].strip(" \u00a0-") == "":
            values = values | {value * scale for value in values}
        found.append(Number(spelling, frozenset(values)))
    return found


def _names(text: str, tokens: list[re.Match[str]], language: str) -> list[str]:
    """Capitalised words that do not stand first in a sentence, acronyms, and words with digits in them."""
    found = []
    for at, token in enumerate(tokens):
        word = token.group()
        if word[0].isdigit() or len(word) < 2:
            continue
        acronym = len(word) > 1 and word.isupper()
        identifier = any(char.isdigit() for char in word)
        capital = word[0].isupper() and language not in _UNCASED_NOUNS and not _opens(text, tokens, at)
        inner = any(char.isupper() for char in word[1:])
        if (acronym or identifier or capital or inner) and terms_of(word, language):
            found.append(fold(word))
    return found


def _opens(text: str, tokens: list[re.Match[str]], at: int) -> bool:
    """Whether a token stands first in its sentence and its capital therefore says nothing."""
    if at == 0:
        return not (len(tokens) > 1 and tokens[1].group()[0].isupper())
    between = text[tokens[at - 1].end() : tokens[at].start()]
    return bool(re.search(r"[.!?:]\s|\n|[“\"«„]", between))


def _denied(text: str, tokens: list[re.Match[str]], language: str) -> list[frozenset[str]]:
    """For each negation the terms near it."""
    listed = negations(language)
    found = []
    for at, token in enumerate(tokens):
        word = token.group().lower().replace("’", "'")
        if word not in listed and not word.endswith("n't"):
            continue
        if word in {"ne", "no"} and language in {"fr"}:
            continue
        after = _near(tokens[at + 1 :], language) or _near(tokens[:at][::-1], language)
        found.append(frozenset(after))
    found.extend(
        frozenset(terms_of(text[max(0, match.start() - 6) : match.end()], language))
        for match in NO_SPACE_NEGATIONS.finditer(text)
    )
    return found


def _near(tokens: list[re.Match[str]], language: str) -> list[str]:
    found: list[str] = []
    for token in tokens[:8]:
        found.extend(terms_of(token.group(), language))
        if len(found) >= _SCOPE:
            break
    return found
