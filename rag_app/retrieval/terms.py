"""Turns text into the terms of the lexical leg: lower-case stems, identifiers whole and in parts, CJK bigrams."""

import hashlib
import re
import unicodedata
from functools import lru_cache
from itertools import chain
from uuid import UUID

import Stemmer

from rag_app.retrieval.stopwords import STOP_WORDS

DEFAULT_LANGUAGE = "en"
TERM_SPACE = 1_000_000_000
"""Term hashes are 1..TERM_SPACE, the widest sparse vector that pgvector can hold."""
MAX_TERM_CHARS = 64
_MOST_TOKENS = 50_000
_MOST_HASHES = 50_000

_SNOWBALL = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian",
    "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch",
    "no": "norwegian", "nb": "norwegian", "nn": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip

# Scripts written without spaces between words: Thai, Lao, Myanmar, Khmer, kana, Han, Hangul (spaces part phrases).
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_RUN = f"[{_UNSPACED}\U00020000-\U0003134f]+"
_NUMBER = r"\d{1,3}(?:[,\u202f\u00a0']\d{3})+(?:\.\d+)?(?!\w)|\d+(?:[.,]\d+)+(?!\w)"
# Vowel signs of the scripts of India are no letters to `re`, but stand inside words.
_LETTER = rf"(?:[^\W{_UNSPACED}]|[\u0900-\u0963\u0970-\u0dff])"
# Points of Hebrew and Arabic, which most people leave out, the stretched Arabic line, and marks that joined no letter.
_POINTS = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]"
)
_WORD = rf"{_LETTER}+(?:[-.\u2010\u2011/:@+#&'\u2019]{_LETTER}+)*(?:\+\+|#)?"
_TOKEN = re.compile(f"{_RUN}|{_NUMBER}|{_WORD}")
# The same for ASCII alone, in half the time: most words stand by themselves.
_PLAIN_WORD = r"[A-Za-z_]+(?![-.:/@+#&'\w])"
_PLAIN_JOINED = r"\w+(?:[-.:/@+#&']\w+)*(?:\+\+|#)?"
_PLAIN_TOKEN = re.compile(f"{_PLAIN_WORD}|{_NUMBER}|{_PLAIN_JOINED}", re.ASCII)
_IS_RUN = re.compile(_RUN)
_IS_NUMBER = re.compile(_NUMBER)
_PART = re.compile(r"(?:[^\W_]|[\u0900-\u0963\u0970-\u0dff])+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_IS_CAMEL = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]{2}")
_GROUPS = re.compile(r"\d{1,3}(?:[,\u202f\u00a0 ']\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d+")
_THIN_SPACE = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")  # `1 000` with a space that does not break
_RELEASE = re.compile(r"v?((\d+\.\d+)(?:\.\d+)*)")
_PLAIN_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "œ": "oe", "æ": "ae", "ł": "l", "đ": "d", "ı": "i"})
_JOINTS = re.compile(r"[-\u2010\u2011]")


def terms_of(text: str, language: str) -> list[str]:
    """The terms of a text in reading order, repeats included.

    `language` is an ISO 639-1 code; "" or one without a stemmer uses English stems, which leave other words nearly
    untouched. Never raises; text without letters or digits gives an empty list.
    """
    code = language if language in _SNOWBALL else DEFAULT_LANGUAGE
    tokens = _PLAIN_TOKEN.findall(text) if text.isascii() else _TOKEN.findall(_normal(text))
    return list(chain.from_iterable(map(_known_tokens(code).__getitem__, tokens)))


def _normal(text: str) -> str:
    """One way of writing each letter, without points."""
    return _POINTS.sub("", unicodedata.normalize("NFKC", _THIN_SPACE.sub("", text)))


def term_hash(knowledge_base_id: UUID, term: str, cutting_id: int = 0) -> int:
    """A number 1..TERM_SPACE for a term of one cutting of a knowledge base: each has posting lists of its own."""
    return hashes_of(knowledge_base_id, cutting_id)[term]


def hashes_of(knowledge_base_id: UUID, cutting_id: int = 0) -> dict[str, int]:
    """`term_hash` of every term, as a mapping that computes what it has not met: for many terms at once."""
    return _hashes(knowledge_base_id.bytes + (cutting_id.to_bytes(8) if cutting_id else b""))


class _Hashes(dict[str, int]):
    """The hashes of terms met before, under one salt."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def __missing__(self, term: str) -> int:
        digest = hashlib.blake2b(term.encode(), digest_size=8, key=self._salt).digest()
        number = int.from_bytes(digest) % TERM_SPACE + 1
        if len(self) >= _MOST_HASHES:
            self.clear()
        self[term] = number
        return number


@lru_cache(maxsize=8)
def _hashes(salt: bytes) -> _Hashes:
    return _Hashes(salt)


@lru_cache(maxsize=64)
def _stemmer(code: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer(_SNOWBALL[code], 0)


class _Tokens(dict[str, tuple[str, ...]]):
    """The terms of tokens met before, in one language."""

    def __init__(self, code: str) -> None:
        self._code = code

    def __missing__(self, token: str) -> tuple[str, ...]:
        terms = _terms_of_token(token, self._code)
        if len(self) >= _MOST_TOKENS:
            self.clear()
        if len(token) <= MAX_TERM_CHARS:
            self[token] = terms
        return terms


@lru_cache(maxsize=64)
def _known_tokens(code: str) -> _Tokens:
    return _Tokens(code)


def _terms_of_token(token: str, code: str) -> tuple[str, ...]:
    if _IS_RUN.fullmatch(token):
        return tuple(_bigrams(token))
    if _IS_NUMBER.fullmatch(token):
        return (_plain_number(token), *_release(token))
    return _terms_of_word(token, code)


def _release(token: str) -> tuple[str, ...]:
    """`3.10` of the version `3.10.2`, both of `v3.10.2`, and `3.10` of `v3.10`."""
    found = _RELEASE.fullmatch(token)
    return tuple(each for each in dict.fromkeys(found.groups()) if each != token) if found else ()


def _terms_of_word(token: str, code: str) -> tuple[str, ...]:
    """A word as one stem; something composed (`ERR_CONN-104`, `maxTokens`, `IL-6`) whole and in parts."""
    whole = token[:MAX_TERM_CHARS].lower()
    parts = [part for piece in _PART.findall(token) for part in _split_camel(piece)]
    if len(parts) == 1 and not whole.endswith(("+", "#")):
        stem = _stem(parts[0].lower(), code)
        return (stem,) if stem else ()
    stems = tuple(stem for part in parts if (stem := _stem(part.lower(), code)))
    if _is_contraction(token):
        return stems
    if whole.isalpha():  # written small, it would be a word like any other
        return (*stems, stem) if (stem := _stem(whole, code)) else stems
    return (*stems, *_release(whole), _JOINTS.sub("-", whole).translate(_PLAIN_LETTERS))


def _is_contraction(token: str) -> bool:
    return ("'" in token or "\u2019" in token) and not any(char.isdigit() for char in token)


def _split_camel(piece: str) -> list[str]:
    if not _IS_CAMEL.search(piece):
        return [piece]
    return _CAMEL.findall(piece) or [piece]


def _stem(word: str, code: str) -> str:
    if word in STOP_WORDS.get(code, ()):
        return ""
    if len(word) > MAX_TERM_CHARS:
        word = word[:MAX_TERM_CHARS]
    return _fold(_stemmer(code).stemWord(word))


def _fold(word: str) -> str:
    """Without accents, so that `cafe` finds `café`; letters of other scripts stay."""
    if word.isascii():
        return word
    plain = "".join(char for char in unicodedata.normalize("NFD", word) if not "\u0300" <= char <= "\u036f")
    return plain.translate(_PLAIN_LETTERS)


def _bigrams(run: str) -> list[str]:
    if len(run) == 1:
        return [run]
    return [run[at : at + 2] for at in range(len(run) - 1)]


def _plain_number(token: str) -> str:
    """`1,000`, `1 000` become `1000`, `1.000,50` becomes `1000.50`; a decimal keeps its mark as a point."""
    if not _GROUPS.fullmatch(token):
        return token.replace(",", ".")
    if "," in token and "." in token and token.rindex(",") > token.rindex("."):
        return token.replace(".", "").replace(",", ".")
    return re.sub(r"[,\u202f\u00a0 ']", "", token)
