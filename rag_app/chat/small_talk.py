"""Recognises messages that only greet, thank or say goodbye, which need no search and are not refused."""

import re
from typing import Literal

SmallTalk = Literal["hello", "thanks", "bye"]

_WORDS: dict[SmallTalk, str] = {
    "hello": "hello hi hey hiya howdy greetings good morning afternoon evening day hallo moin servus guten tag morgen "
    "abend grüezi bonjour bonsoir salut coucou hola buenos buenas días dias tardes noches olá ola oi bom boa dia "
    "tarde noite ciao salve buongiorno buonasera goedemorgen goedemiddag goedenavond goedendag hoi dag",
    "thanks": "thanks thank you thx ty cheers appreciated appreciate great perfect awesome danke dankeschön vielen "
    "dank schön super merci beaucoup gracias muchas muchísimas obrigado obrigada muito grazie mille bedankt dank je "
    "dankjewel u wel",
    "bye": "bye goodbye see you later tschüss tschuess ciao auf wiedersehen au revoir bientôt adiós adios hasta luego "
    "tchau até logo arrivederci tot ziens doei cya",
}  # fmt: skip
_CORE: dict[SmallTalk, str] = {
    "hello": "hello hi hey hiya howdy greetings morning afternoon evening hallo moin servus tag morgen abend grüezi "
    "bonjour bonsoir salut coucou hola buenos buenas olá ola oi bom boa ciao salve buongiorno buonasera goedemorgen "
    "goedemiddag goedenavond goedendag hoi",
    "thanks": "thanks thank thx ty cheers appreciated appreciate danke dankeschön dank merci gracias obrigado obrigada "
    "grazie bedankt dankjewel",
    "bye": "bye goodbye later tschüss tschuess wiedersehen revoir bientôt adiós adios luego tchau logo arrivederci "
    "ziens doei cya",
}  # fmt: skip
_FILLERS = frozenset(
    ["there", "all", "everyone", "so", "very", "much", "a", "lot", "again", "for", "your", "help", "the", "that",
     "dear", "bot", "assistant",
     "ok", "okay", "and", "und", "et", "y", "e", "en", "zusammen", "à", "tous", "todos", "tutti",
     "to", "nice", "day", "have", "sehr", "für", "die", "hilfe"]
)  # fmt: skip
_UNSPACED: dict[SmallTalk, re.Pattern[str]] = {
    "hello": re.compile(r"(?:こんにちは|こんばんは|おはよう(?:ございます)?|你好|您好|嗨|안녕하세요|안녕)[！!。.～~]*"),
    "thanks": re.compile(
        r"(?:ありがとう(?:ございます|ございました)?|谢谢(?:你|您)?|謝謝|감사합니다|고마워요?)[！!。.～~]*"
    ),
    "bye": re.compile(r"(?:さようなら|またね|再见|再見|拜拜|안녕히 ?(?:가세요|계세요))[！!。.～~]*"),
}
_MOST_WORDS = 7


def small_talk_in(message: str) -> SmallTalk | None:
    """What a message that holds nothing but small talk is; None when it asks or says anything else."""
    text = message.strip().lower()
    for kind, pattern in _UNSPACED.items():
        if pattern.fullmatch(text):
            return kind
    words = re.findall(r"[^\W\d_]+", text)
    if not words or len(words) > _MOST_WORDS or "?" in text:
        return None
    for kind in ("thanks", "bye", "hello"):
        allowed = set(_WORDS[kind].split()) | set(_WORDS["hello"].split()) | _FILLERS
        if all(word in allowed for word in words) and any(word in _CORE[kind].split() for word in words):
            return kind
    return None
