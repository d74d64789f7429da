"""Terms, weights and closeness: what the lexical leg makes of a text."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.retrieval.proximity import Proximity, proximity, wanted
from rag_app.retrieval.stopwords import STOP_WORDS
from rag_app.retrieval.terms import MAX_TERM_CHARS, TERM_SPACE, term_hash, terms_of
from rag_app.retrieval.weights import HIGHEST_WEIGHT, document_weights, inverse_document_frequency


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The databases were normalized", "en", ["databas", "normal"]),
        ("Die verkauften Häuser", "de", ["verkauft", "haus"]),
        ("ERR_CONN-104", "en", ["err", "conn", "104", "err_conn-104"]),
        ("maxTokens", "en", ["max", "token", "maxtoken"]),
        ("C++ and C#", "en", ["c", "c++", "c", "c#"]),
        ("1,000 or 3.5 or 2,5", "de", ["1000", "or", "3.5", "or", "2.5"]),
        ("café cafe", "fr", ["caf", "caf"]),
        ("東京都", "ja", ["東京", "京都"]),
        ("退 a", "zh", ["退"]),
        ("It's the dog's", "en", ["dog"]),
        ("", "en", []),
        ("?! … 🙂", "", []),
    ],
)
def test_terms(text: str, language: str, expected: list[str]) -> None:
    assert terms_of(text, language) == expected


# Two forms of one word, as a document and a question would have them.
FORMS = (
    ("ar", "المكتبات", "مكتبة"), ("ar", "مُدَرِّس", "مدرس"), ("da", "bøgerne", "bøger"), ("de", "Rechnungen", "Rechnung"),
    ("de", "STRASSE", "Straße"), ("de", "Münchner", "munchner"),
    ("el", "βιβλίων", "βιβλία"), ("en", "invoices", "invoice"),
    ("es", "facturación", "facturaciones"), ("et", "raamatud", "raamatu"), ("fi", "laskut", "lasku"),
    ("fr", "factures", "facture"), ("he", "סֵפֶר", "ספר"), ("hi", "किताबें", "किताब"), ("hu", "könyvek", "könyv"),
    ("id", "membaca", "baca"), ("it", "fatture", "fattura"), ("lt", "knygos", "knyga"), ("ne", "किताबहरू", "किताब"),
    ("nl", "boeken", "boek"), ("no", "bøkene", "bøker"), ("pt", "faturas", "fatura"),
    ("ro", "facturile", "facturi"),
    ("ru", "счетами", "счета"), ("ru", "Ёлка", "елки"), ("sr", "књиге", "књига"), ("sv", "fakturorna", "fakturor"),
    ("ta", "புத்தகங்கள்", "புத்தகம்"), ("tr", "IŞIK", "ışık"), ("vi", "Đà Nẵng", "da nang"), ("pl", "Łódź", "lodz"),
)  # fmt: skip


@pytest.mark.parametrize(("language", "written", "asked"), FORMS)
def test_a_word_is_found_in_another_form(language: str, written: str, asked: str) -> None:
    assert terms_of(written, language) == terms_of(asked, language) != []


@pytest.mark.parametrize(
    ("language", "word"), [("hi", "विद्यार्थी"), ("ta", "புத்தகம்"), ("bn", "বাংলাদেশ"), ("te", "పుస్తకం"), ("ml", "പുസ്തകം")]
)
def test_words_of_the_scripts_of_india_stay_whole(language: str, word: str) -> None:
    assert len(terms_of(word, language)) == 1


@pytest.mark.parametrize(
    ("language", "written", "asked"),
    [
        ("zh", "北京大学图书馆", "大学"),
        ("ja", "東京都庁へ行く", "都庁"),
        ("ko", "서울특별시", "서울"),
        ("th", "ห้องสมุดแห่งชาติ", "ห้องสมุด"),
    ],
)
def test_a_part_of_text_without_spaces_is_found(language: str, written: str, asked: str) -> None:
    assert set(terms_of(asked, language)) <= set(terms_of(written, language))


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("ERR_CONN-104", ["ERR_CONN-104", "err_conn-104", "104", "conn"]),
        ("Python 3.10.2 is here", ["3.10.2", "3.10", "python"]),
        ("since v3.10.2", ["v3.10.2", "3.10.2", "3.10"]),
        ("since v3.10", ["v3.10", "3.10"]),
        ("/etc/nginx/nginx.conf", ["etc/nginx/nginx.conf", "nginx.conf", "nginx"]),
        ("getUserName()", ["getUserName", "getusername", "user name"]),
        ("HTTPServer", ["HTTPServer", "httpserver", "http server"]),
        ("snake_case_name", ["snake_case_name", "case"]),
        ("kubectl --no-cache", ["no-cache", "--no-cache", "cache"]),
        ("ann@example.com", ["ann@example.com", "example"]),
        ("C++17 and F#", ["c++", "f#"]),
        ("1.000,50", ["1,000.50", "1000.50"]),
        ("12,345,678", ["12345678", "12\u202f345\u202f678"]),
        ("2024-11-20", ["2024-11-20", "2024"]),
    ],
)
@pytest.mark.parametrize("language", ["en", "de", "ru", "zh"])
def test_codes_are_found_whole_and_in_parts(written: str, asked: list[str], language: str) -> None:
    held = set(terms_of(written, language))
    for each in asked:
        if each == "nginx.conf":  # the last parts of a path are found one by one
            assert {"nginx", "conf"} <= held
        else:
            assert held & set(terms_of(each, language)), each


@given(st.text(st.sampled_from("aZ09__..,:'#+-@/& %\n"), max_size=40))
def test_plain_text_is_cut_as_any_text_is(text: str) -> None:
    # Beside a letter outside ASCII the general cutting is at work, without it the quick one.
    assert terms_of(f"{text} \u00e9", "en") == [*terms_of(f"{text} ", "en"), "e"]


def test_an_identifier_is_found_whole_and_in_parts() -> None:
    inside = set(terms_of("See error ERR_CONN-104, or v1.2.3 of node.js (IL-6).", "en"))
    assert {"err_conn-104", "104", "v1.2.3", "node.js", "il-6"} <= inside


def test_hyphens_of_all_kinds_are_one() -> None:
    assert terms_of("IL\u20116", "en") == terms_of("IL-6", "en")


@pytest.mark.parametrize("language", ["", "xx", "zh"])
def test_a_language_without_a_stemmer_is_read_like_the_question(language: str) -> None:
    assert terms_of("normalized databases", language) == terms_of("normalized databases", "en")


@given(st.text(max_size=300), st.sampled_from(["", "en", "de", "fr", "ja", "ar", "ru", "tr", "xx"]))
def test_any_text_gives_terms_that_can_be_stored(text: str, language: str) -> None:
    base = UUID(int=1)
    for term in terms_of(text, language):
        assert term
        assert len(term) <= MAX_TERM_CHARS + 1
        assert 1 <= term_hash(base, term) <= TERM_SPACE


@given(st.text(min_size=1, max_size=40))
def test_knowledge_bases_do_not_share_hashes(term: str) -> None:
    one, two = UUID(int=1), UUID(int=2)
    assert term_hash(one, term) == term_hash(one, term)
    assert term_hash(one, term) != term_hash(two, term)


def test_hashes_spread() -> None:
    base = uuid4()
    assert len({term_hash(base, str(number)) for number in range(20_000)}) > 19_990


def test_stop_words_are_lower_case() -> None:
    assert all(word == word.lower() for words in STOP_WORDS.values() for word in words)


@given(
    st.lists(st.sampled_from("abcdef"), max_size=60),
    st.lists(st.sampled_from("abcdef"), max_size=8),
)
def test_weights_are_bounded_and_grow_with_the_count(text: list[str], context: list[str]) -> None:
    weights, length = document_weights(text, context)
    assert length == len(text) + len(context)
    assert weights.keys() == set(text) | set(context)
    assert all(0 < weight < HIGHEST_WEIGHT for weight in weights.values())
    if "a" in text:
        shorter = [term for term in text if term != "b"]
        assert document_weights([*shorter, "a"], context)[0]["a"] > document_weights([*shorter, "z"], context)[0]["a"]


def test_a_title_counts() -> None:
    assert document_weights(["a", "b"], ["a"])[0]["a"] > document_weights(["a", "b"], ["c"])[0]["a"]


@given(st.integers(0, 10_000), st.integers(-5, 20_000))
def test_idf_is_never_negative_and_falls(passages: int, containing: int) -> None:
    idf = inverse_document_frequency(passages, containing)
    assert idf >= 0
    assert idf >= inverse_document_frequency(passages, containing + 1)


IDF = {"red": 1.0, "big": 2.0, "ship": 3.0}
ASKED = ["big", "red", "ship"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing here", Proximity(0.0, 0.0)),
        ("big red ship", Proximity(1.0, 1.0)),
        ("ship red big", Proximity(1.0, 0.0)),
        ("red ship " + "word " * 40 + "big", Proximity(4 / 6, 0.5)),
        ("ship ship ship", Proximity(0.5, 0.0)),
    ],
)
def test_closeness(text: str, expected: Proximity) -> None:
    found = proximity(wanted(ASKED, IDF), text=text, language="en")
    assert found.window == pytest.approx(expected.window)
    assert found.phrases == pytest.approx(expected.phrases)


def test_closeness_of_nothing_asked() -> None:
    assert proximity(wanted([], {}), text="big red ship", language="en") == Proximity()
    assert proximity(wanted(["a"], {"a": 0.0}), text="a", language="en") == Proximity()


@given(st.lists(st.sampled_from(["red", "big", "ship", "other"]), max_size=80))
def test_the_window_is_the_best_there_is(words: list[str]) -> None:
    windows = [set(words[start : start + 20]) for start in range(max(1, len(words)))]
    best = max(sum(IDF.get(word, 0.0) for word in each) for each in windows) / 6
    assert proximity(wanted(ASKED, IDF), text=" ".join(words), language="en").window == pytest.approx(best)
