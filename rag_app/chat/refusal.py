"""Recognises a model's answer that says the documents do not hold what was asked."""

import re

_SAYS_NO = re.compile(
    r"\b(?:not|n['’]t|no|none|nothing|cannot|unable)\b[^.!?\n]{0,60}\b(?:documents?|passages?|sources?|context|texts?|information|excerpts?|answer)\b"
    r"|\b(?:documents?|passages?|sources?|context|texts?|information|excerpts?)\b[^.!?\n]{0,60}\b(?:not|n['’]t|nothing|no)\b"
    r"|\b(?:i (?:do not|don['’]t) know|i (?:could not|couldn['’]t|cannot|can['’]t) (?:find|answer))\b"
    r"|\b(?:keine?|nicht|nichts)\b[^.!?\n]{0,60}\b(?:dokumente?n?|textstellen?|quellen?|angaben?|informationen?|hinweise?)\b"
    r"|\b(?:dokumente?n?|textstellen?|quellen?|unterlagen)\b[^.!?\n]{0,60}\b(?:keine?n?|nicht|nichts)\b"
    r"|\b(?:pas|aucun|aucune|rien)\b[^.!?\n]{0,60}\b(?:documents?|passages?|sources?|informations?|extraits?|réponse)\b"
    r"|\b(?:documents?|passages?|sources?|extraits?)\b[^.!?\n]{0,60}\b(?:pas|aucune?|rien)\b"
    r"|\b(?:no|ninguna?|nada|não|nenhuma?|non|nessuna?|niente)\b[^.!?\n]{0,60}\b(?:documentos?|pasajes?|fuentes?|información|informação|"
    r"informações|trechos?|documenti|passaggi|informazioni|fonti)\b"
    r"|\b(?:documentos?|pasajes?|fuentes?|trechos?|documenti|passaggi|fonti)\b[^.!?\n]{0,60}\b(?:no|ninguna?|nada|não|nenhuma?|non|nessuna?)\b"
    r"|\b(?:niet|geen|niets)\b[^.!?\n]{0,60}\b(?:documenten|passages|bronnen|informatie)\b"
    r"|\b(?:documenten|passages|bronnen)\b[^.!?\n]{0,60}\b(?:niet|geen|niets)\b"
    r"|(?:文書|文档|文件|資料|资料|ドキュメント)[^。！？\n]{0,30}(?:ません|ない|没有|沒有|未|无|無)"
    r"|(?:見つかりません|わかりません|没有找到|未找到|没有提到|找不到)",
    re.IGNORECASE,
)
_READ = 400  # characters at the start of an answer in which it would say so


def says_not_found(answer: str) -> bool:
    """Whether the beginning of an answer says that the documents do not answer. Meant for one without citations."""
    return bool(_SAYS_NO.search(answer[:_READ]))
