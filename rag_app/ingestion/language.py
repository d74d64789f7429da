"""Tells in which language a text is written."""

import re
from functools import lru_cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

# The languages with a stemmer, those with their own script handling, and neighbours that would be mistaken for them.
LANGUAGES: tuple[str, ...] = (
    "ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "ga", "he", "hi", "hr",
    "hu", "hy", "id", "it", "ja", "ka", "ko", "lt", "lv", "ms", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr",
    "sv", "sw", "ta", "th", "tr", "uk", "ur", "vi", "zh",
)  # fmt: skip
_SAMPLE_CHARS = 1500
_LETTERS_NEEDED = 20
# Frequent, and hardly ever a word of another language of the list above.
_ENGLISH = frozenset(
    {"the", "and", "that", "with", "which", "this", "these", "are", "were", "from", "been", "their", "they", "its",
     "has", "would", "when", "where", "than", "into", "other", "you", "your", "while", "there"}
)  # fmt: skip
_ENGLISH_WORDS = 2  # different ones
_ALSO_ENGLISH = _ENGLISH | frozenset(
    ["of", "to", "in", "is", "was", "for", "by", "as", "on", "at", "an", "be", "a", "it"]
)
_ENGLISH_SHARE = 0.22  # of all words, with those that other languages have too
_PLAIN_SHARE = 0.98  # of all characters: quotation marks, a name with an accent
_NO_WORDS = re.compile(r"https?://\S+|[\d|`#*_=<>/\\{}\[\]()-]+")


def detect(text: str) -> str:
    """ISO 639-1 code of the main language, "" when the text is too short to tell. Looks at three samples only."""
    sample = _NO_WORDS.sub(" ", _sample(text))
    if _is_plainly_english(sample):
        return "en"
    letters = sum(map(str.isalpha, sample))
    dense_script = 0 if sample.isascii() else sum(char > "\u0590" for char in sample if char.isalpha())
    if letters + 4 * dense_script < _LETTERS_NEEDED:
        return ""
    return str(_identifier().classify(sample.lower() if sample.isupper() else sample)[0])


def _is_plainly_english(sample: str) -> bool:
    """Whether so many words are only English that no model need be asked, which takes ten times longer."""
    if not sample.isascii():
        plain = sample.encode("ascii", "ignore").decode()
        if len(plain) < _PLAIN_SHARE * len(sample):
            return False
        sample = plain
    words = sample.lower().split()
    if sum(map(_ALSO_ENGLISH.__contains__, words)) < _ENGLISH_SHARE * len(words):
        return False
    return len(_ENGLISH.intersection(words)) >= _ENGLISH_WORDS


def _sample(text: str) -> str:
    if len(text) <= 3 * _SAMPLE_CHARS:
        return text
    middle = len(text) // 2
    return " ".join((text[:_SAMPLE_CHARS], text[middle : middle + _SAMPLE_CHARS], text[-_SAMPLE_CHARS:]))


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(list(LANGUAGES))
    identifier._full_model = ()  # the tables of all other languages: 27 MB in each parser child
    return identifier
