"""What kind of answer a question asks for (a person, a time, a number, steps) and whether a sentence offers one."""

import re
from typing import Literal

from rag_app.chat.facts import Facts

Kind = Literal["person", "time", "price", "number", "place", "reason", "steps", "other"]

_OF = r"\b(?:what|which) (?:\w+ )?"
_ASKS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    (
        "price",
        (
            r"\bhow much (?:is|are|(?:do|does|did|will|would)\b.*\b(?:costs?|pay))\b|\bhow expensive\b",
            r"\bwhat (?:do|does|did|will|would)\b.*\bcosts?\b|\b(?:what|which)\b.*\b(?:price|fee|costs? of)\b",
            r"\b(?:was|wie ?viel) kostet\b|\bcombien coûte\b|\bcuánto cuesta\b|\bquanto c[ou]sta\b|\bhoeveel kost\b",
        ),
    ),
    (
        "number",
        (
            r"\bwhat (?:is|are|was|were) (?:[^\s?]+ ){0,6}?(?:sales|revenues?|income|earnings|profits?|margins?|"
            r"expenses?|expenditures?|assets|liabilities|turnover|budget|salary|population|height|weight|temperature)\b",
            r"\bhow (?:many|much|old|long|far|tall|high|large|big|often|fast|deep|wide)\b",
            _OF + r"(?:percentage|percent|number|amount|population|size|rate|price|cost|fraction|length|speed|share)\b",
            r"\bwie ?viele?\b|\bwie (?:lang|alt|hoch|groß|weit|oft)\w*|\bcombien\b|\bcuánt[oa]s?\b|\bquant[oaie]s?\b",
            r"\bhoeveel\b|多少|几|幾|いくつ|いくら|何人|何個|何年間",
        ),
    ),
    (
        "time",
        (
            r"\bwhen\b",
            _OF + r"(?:year|date|day|month|century|decade|time|era|period)\b",
            r"\bwann\b|\bin welchem jahr\b|\bquand\b|\ben quelle année\b|\bcuándo\b|\ben qué año\b|\bquando\b",
            r"\bem que ano\b|\bin che anno\b|\bwanneer\b|いつ|何年|什么时候|何时|哪年|哪一年",
        ),
    ),
    (
        "person",
        (
            r"\bwho(?:m|se)?\b",
            _OF
            + r"(?:person|man|woman|king|queen|president|scientist|author|leader|people|group|company|team|player)\b",
            r"\bwe[rnm]\b|\bwessen\b|\bqui\b|\bquién(?:es)?\b|\bquem\b|\bchi\b|\bwie\b(?= (?:is|was|heeft|had|werd))",
            r"誰|だれ|谁",
        ),
    ),
    (
        "place",
        (
            r"\bwhere\b",
            _OF + r"(?:city|country|state|region|place|location|town|river|continent|area|island|province|county)\b",
            r"\bwo(?:hin|her)?\b|\boù\b|\bd[oó]nde\b|\bonde\b|\bdove\b|\bwaar\b|どこ|哪里|哪儿|在哪",
        ),
    ),
    (
        "reason",
        (
            r"\bwhy\b|\bwarum\b|\bwieso\b|\bweshalb\b|\bpourquoi\b|\bpor qu[eé]\b|\bperché\b|\bwaarom\b",
            r"なぜ|为什么|為什麼",
        ),
    ),
    (
        "steps",
        (
            r"\bhow (?:do|can|could|should|would|may|must) (?:i|we|you|one|someone|somebody|people)\b|\bhow to\b",
            r"\bwhat (?:do|can|could|should|must) (?:i|we|you|one) (?:have to |need to )?do\b",
            r"\bwie (?:\w+ )?(?:ich|man|wir)\b|\bwas (?:muss|soll|kann) (?:ich|man) tun\b",
            r"\bhoe (?:\w+ )?(?:ik|je|men|we)\b",
            r"\bcomment (?:puis-je|faire|peut-on|dois-je|on)\b|\bc[oó]mo (?:puedo|se|hago|posso|faço|devo)\b",
            r"\bcome (?:posso|si|faccio|devo)\b|どうやって|どうすれば|怎么|如何",
        ),
    ),
)
_CUES = tuple((kind, re.compile("|".join(patterns))) for kind, patterns in _ASKS)

_MONTHS = (
    r"\b(?:january|february|march|april|june|july|august|september|october|november|december|januar|februar|märz|mai|"
    r"juni|juli|oktober|dezember|janvier|février|avril|juin|juillet|août|octobre|novembre|décembre|enero|febrero|marzo|"
    r"mayo|junio|julio|agosto|octubre|diciembre)\b"
)
_TIME = re.compile(
    r"\b1\d{3}s?\b|\b20\d\ds?\b|\b\d{1,2}(?:st|nd|rd|th) century|\bcentur(?:y|ies)\b|\b\d{1,2}:\d\d\b|"
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b \d|" + _MONTHS + "|"
    r"\b(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b|\d年|\d月|世紀|世纪",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"\b(?:in|at|near|from|on|to|across|within|of|outside|around|through|à|en|bei|aus|nach|am|im|em|op|te)\b "
    r"(?:the |der |la |le |el |o |a |il )?[^\W\d_a-zà-ÿ]"
)
_MONEY = re.compile(
    r"[$€£¥₹]\s?\d[\d.,]*|\b\d[\d.,]*\s?(?:[$€£¥₹]|(?:eur|usd|gbp|chf|jpy|euros?|dollars?|pounds?|cents?|francs?|yen)\b)"
    r"|\b(?:eur|usd|gbp|chf|jpy)\s?\d[\d.,]*|\d円|\d元",
    re.IGNORECASE,
)
_PRICED = re.compile(
    r"\b(?:prices?|costs?|priced|fees?|charges?|much|expensive|kosten|kostet|preise?|prix|coûte|precio|cuesta|prezzo|"
    r"costa|preço|custa|kost|prijs)\b",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"\b(?:because|since|due to|so that|in order|as a result|therefore|caused?|reason|leads?|led|to avoid|weil|denn|da|"
    r"damit|deshalb|wegen|parce que|car|afin|porque|para que|pois|perché|poiché|omdat|zodat)\b|ため|から|因为|由于",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"`[^`]+`|^\W*(?:(?:to|if|when|in|on|under|at) [^,]{3,90}, )?(?:please |then |first,? |next,? |now |simply |just )?"
    r"(?:open|click|press|select|choose|pick|run|use|set|enter|type|send|go to|navigate|install|copy|paste|upload|add|"
    r"create|make|call|pass|put|give|provide|include|specify|start|stop|restart|enable|disable|turn|switch|remove|delete|"
    r"change|replace|rename|save|download|drag|log in|sign in|sign up|visit|follow|check|ask|write|begin|try|ensure|"
    r"öffne\w*|klick\w*|wähle\w*|drück\w*|gib|geben sie|starte\w*|ouvr\w*|cliqu\w*|choisi\w*|saisi\w*|abr[ae]\w*|haga|"
    r"seleccion\w*|selecion\w*|cliqu\w*|apri\w*|clicca\w*|scegli\w*|klik\w*|kies|druk)\b|"
    r"\byou (?:can|must|need|have to)\b",
    re.IGNORECASE,
)


def asked_kind(question: str) -> Kind:
    """The kind of answer a question wants; "other" when nothing tells."""
    lower = question.lower()
    return next((kind for kind, cue in _CUES if cue.search(lower)), "other")


def words_meant(kind: Kind, question: str) -> str:
    """The words of a question that an answer of this kind says by its form: "18 EUR" is a cost without the word."""
    return " ".join(_PRICED.findall(question)) if kind == "price" else ""


def offers(kind: Kind, sentence: str, *, there: Facts, asked: Facts, header: str = "") -> bool | None:
    """Whether the sentence holds something of the kind that the question does not hold itself; None = cannot tell.

    `header` is that of the table whose row it is.
    """
    if kind == "price":  # an amount of money, or a number under a header that says it is one
        priced = bool(_MONEY.search(sentence)) or (bool(_PRICED.search(header)) and bool(there.numbers))
        return priced and offers("number", sentence, there=there, asked=asked)
    if kind == "number":
        known = {number.spelling for number in asked.numbers}
        return any(number.spelling not in known for number in there.numbers)
    if kind == "person":
        return any(name not in asked.words for name in there.names)
    if kind == "time":
        return any(match.group().lower() not in asked.words for match in _TIME.finditer(sentence))
    if kind == "place":
        return bool(_PLACE.search(sentence)) and any(name not in asked.words for name in there.names)
    if kind == "reason":
        return bool(_REASON.search(sentence))
    if kind == "steps":
        return bool(_STEP.search(sentence))
    return None
