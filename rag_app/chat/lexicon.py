"""Small closed word classes per language that the checks and the follow-up rule need: questions, negation, numbers."""

import re
from functools import lru_cache

from rag_app.retrieval.stopwords import STOP_WORDS

LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "nl")

_QUESTION_WORDS = {
    "en": "who whom whose what which when where why how many much long often old far name list give tell explain "
    "describe define please",
    "de": "wer wen wem wessen was welche welcher welches welchem welchen wann wo wohin woher warum wieso weshalb wie "
    "viel viele lange oft nenne nennen erkläre erklären bitte",
    "fr": "quel quelle quels quelles quand où pourquoi comment combien quoi lequel laquelle lesquels est-ce cite "
    "explique expliquez donne donnez",
    "es": "quién quien quiénes cuál cuáles cual qué cuándo cuando dónde donde adónde por cómo cuánto cuánta cuántos "
    "cuántas nombra explica explique dime",
    "pt": "quem qual quais quê quando onde porque porquê por como quanto quanta quantos quantas explique diga nomeie",
    "it": "chi quale quali cosa quando dove perché come quanto quanta quanti quante spiega dimmi",
    "nl": "wie wat welke welk wanneer waar waarom hoe hoeveel noem leg uit geef",
}

_NEGATIONS = {
    "en": "not no never neither nor none nobody nothing nowhere cannot without lack lacks lacked lacking fail fails "
    "failed unable hardly unlikely n't",
    "de": "nicht kein keine keiner keinem keinen keines nie niemals niemand nichts nirgends weder ohne kaum",
    "fr": "pas ne jamais aucun aucune rien personne ni sans non nullement",
    "es": "no nunca jamás ningún ninguna ninguno nadie nada ni sin tampoco",
    "pt": "não nunca jamais nenhum nenhuma ninguém nada nem sem tampouco",
    "it": "non mai nessun nessuna nessuno niente nulla né senza neanche neppure",
    "nl": "niet geen nooit niemand niets nergens noch zonder nauwelijks",
}
NO_SPACE_NEGATIONS = re.compile(r"ません|ない|なかった|ず(?=[、。]|に)|不|没|沒|未|无|無|非|别|않|못|없")

_NUMBER_WORDS = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn "
    "siebzehn achtzehn neunzehn zwanzig",
    "fr": "zéro - deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize - - - vingt",
    "es": "cero - dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis "
    "diecisiete dieciocho diecinueve veinte",
    "pt": "zero - dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze dezesseis dezessete "
    "dezoito dezenove vinte",
    "it": "zero - due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici "
    "diciassette diciotto diciannove venti",
    "nl": "nul - twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien "
    "achttien negentien twintig",
}
_TENS = {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_TENS |= {"dreißig": 30, "vierzig": 40, "fünfzig": 50, "sechzig": 60, "siebzig": 70, "achtzig": 80, "neunzig": 90}
SCALES = {
    "hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "hundert": 100, "tausend": 1_000, "millionen": 10**6, "milliarde": 10**9, "milliarden": 10**9,
    "mille": 1_000, "millions": 10**6, "milliard": 10**9, "milliards": 10**9, "mil": 1_000, "millón": 10**6,
    "millones": 10**6, "milhão": 10**6, "milhões": 10**6, "milione": 10**6, "milioni": 10**6, "miljoen": 10**6,
    "miljard": 10**9, "bn": 10**9, "mn": 10**6,
}  # fmt: skip

# Pairs that turn a statement round; each side is a set of stems as `terms_of` makes them for English.
OPPOSITES = tuple(
    (frozenset(left.split()), frozenset(right.split()))
    for left, right in (
        ("increas rais elev higher greater", "decreas reduc lower declin diminish"),
        ("more most", "less least fewer fewest"),
        ("before prior preced", "after follow subsequ"),
        ("promot enhanc stimul activ induc", "inhibit suppress prevent block impair"),
        ("first earliest", "last latest final"),
        ("largest biggest greatest", "smallest tiniest"),
        ("above over", "below under beneath"),
        ("allow permit", "forbid forbidden prohibit ban deni"),
        ("accept approv", "reject refus"),
        ("alway", "never rare seldom"),
        ("success succeed", "fail failur"),
        ("north northern", "south southern"),
        ("east eastern", "west western"),
        ("maximum", "minimum"),
        ("posit", "negat"),
        ("win won", "lose lost"),
        ("open", "close"),
        ("enabl", "disabl"),
        ("includ", "exclud"),
    )
)


def _words(table: dict[str, str], language: str) -> frozenset[str]:
    return frozenset(table.get(language, table["en"]).split())


@lru_cache(maxsize=16)
def question_words(language: str) -> frozenset[str]:
    """Lower-case words that ask and carry no topic; English for a language without a list."""
    return _words(_QUESTION_WORDS, language)


@lru_cache(maxsize=16)
def negations(language: str) -> frozenset[str]:
    """Lower-case words that deny; English for a language without a list."""
    return _words(_NEGATIONS, language)


@lru_cache(maxsize=16)
def number_words(language: str) -> dict[str, int]:
    """Number word -> value, 0..90, without the word for one, which is an article or a pronoun in most languages."""
    listed = _NUMBER_WORDS.get(language, _NUMBER_WORDS["en"]).split()
    return {word: value for value, word in enumerate(listed) if word != "-" and value != 1} | _TENS


@lru_cache(maxsize=1)
def _hints() -> dict[str, frozenset[str]]:
    found = {}
    for language in LANGUAGES:
        words = frozenset(STOP_WORDS.get(language, frozenset())) | question_words(language) | negations(language)
        found[language] = frozenset(word for word in words if len(word) > 1)
    return found


_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
)


def language_of(text: str, fallback: str = "en") -> str:
    """The language a short text is most likely written in (ISO 639-1), by script, else by its small words."""
    for code, script in _SCRIPTS:
        if len(script.findall(text)) * 4 > len(text):
            return code
    words = re.findall(r"[^\W\d_]+", text.lower())
    counts = {language: sum(word in hints for word in words) for language, hints in _hints().items()}
    best = max(counts.values())
    if best == 0 or counts.get(fallback, 0) == best:
        return fallback or "en"
    return max(counts, key=lambda language: (counts[language], -LANGUAGES.index(language)))
