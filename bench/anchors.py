"""Random edits of random texts that are then revised: applied at the right words, reported, or wrong.

Pure text, no database. Each text gets ten edits; some of its paragraphs resemble each other as rows of a form do. The
revision lets paragraphs come, go, move and change. A misplaced edit is a failure; a reported one is a conflict that a
person resolves.
"""

import argparse
import json
import random
import re
import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

from rag_app.ingestion.anchors import Words, make_anchor
from rag_app.ingestion.edits import Edit, hash_of, place_edits
from tests.edit_texts import EDITS_PER_TEXT, Paragraph, revised, some_text


def measure(texts: int, seed: int) -> Counter[str]:
    """What became of all edits of so many texts."""
    found: Counter[str] = Counter()
    for number in range(texts):
        dice = random.Random(seed * 1_000_003 + number)
        old = some_text(dice)
        body = "\n\n".join(each.text for each in old)
        words = Words(body)
        edits = [_edit(dice, old, words) for _ in range(EDITS_PER_TEXT)]
        new = revised(dice, old)
        after = "\n\n".join(each.text for each in new)
        survivors = {each.key: each.text for each in new}
        for (_, paragraph), placement in zip(edits, place_edits(after, [each for each, _ in edits]), strict=True):
            found["edits"] += 1
            if placement.span is None:
                found[f"reported: {placement.reason}"] += 1
                found["reported though unchanged"] += survivors.get(paragraph.key) == paragraph.text
            else:
                is_right = _owner(new, placement.span[0]) == paragraph.key
                found["applied" if is_right else "applied at the wrong words"] += 1
    return found


def _edit(dice: random.Random, paragraphs: list[Paragraph], words: Words) -> tuple[Edit, Paragraph]:
    paragraph = dice.choice(paragraphs)
    start = words.text.index(paragraph.text)
    spans = [each.span() for each in re.finditer(r"\w+", paragraph.text)]
    first = dice.randrange(len(spans))
    last = min(len(spans) - 1, first + dice.choice((0, 2, 8, 30)))
    anchor = make_anchor(words, start + spans[first][0], start + spans[last][1])
    return Edit(uuid4(), "hide", anchor, hash_of(words.text), "", 1), paragraph


def _owner(paragraphs: list[Paragraph], place: int) -> int:
    position = 0
    for paragraph in paragraphs:
        position += len(paragraph.text) + 2
        if place < position:
            return paragraph.key
    return -1


def main(arguments: list[str]) -> int:
    """Measure and print; 1 when an edit was applied at the wrong words."""
    parser = argparse.ArgumentParser(prog="bench anchors", description=__doc__)
    parser.add_argument("--texts", type=int, default=300, help="ten edits each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    found = measure(options.texts, options.seed)
    for name, count in sorted(found.items()):
        print(f"{name:<32}{count:>8,}  {count / found['edits']:7.2%}")
    print(f"{'ms per edit':<32}{1000 * (time.perf_counter() - started) / found['edits']:>8.1f}")
    if options.json:
        options.json.write_text(json.dumps(found), encoding="utf-8")
    return 1 if found["applied at the wrong words"] else 0
