"""Random texts of paragraphs that can be told apart, and what an author may do to them between two versions."""

import random
from dataclasses import dataclass, replace

EDITS_PER_TEXT = 10
_WORDS = (
    *("harbour", "lantern", "meadow", "copper", "willow", "granite", "orchard", "signal", "timber", "valley", "anchor"),
    *("barrel", "candle", "dragon", "engine", "feather", "garden", "hammer", "island", "jacket", "kettle", "ladder"),
    *("mirror", "needle", "oyster", "pepper", "quarry", "ribbon", "saddle", "the", "the", "of", "and", "in"),
)


@dataclass(frozen=True)
class Paragraph:
    """One paragraph; `key` stays with it through all revisions."""

    key: int
    text: str


def some_text(dice: random.Random) -> list[Paragraph]:
    """Between 6 and 20 paragraphs; some resemble each other as rows of a form do."""
    form = _sentence(dice, 9)
    made = []
    for key in range(dice.randrange(6, 20)):
        if dice.random() < 0.25:
            words = form.split()
            words[dice.randrange(len(words))] = f"number{key}"
            made.append(Paragraph(key, " ".join(words)))
        else:
            made.append(Paragraph(key, " ".join(_sentence(dice, 14) for _ in range(dice.randrange(1, 5)))))
    return [replace(each, text=f"{each.text} mark{each.key}.") for each in made]


def revised(dice: random.Random, paragraphs: list[Paragraph]) -> list[Paragraph]:
    """A later version: paragraphs come, go, move, and change a little or altogether."""
    after = list(paragraphs)
    for _ in range(dice.randrange(0, 5)):
        place = dice.randrange(len(after))
        act = dice.choice(("insert", "delete", "move", "touch", "rewrite"))
        if act == "insert":
            after.insert(place, Paragraph(dice.randrange(1000, 10**9), _sentence(dice, 20)))
        elif act == "delete" and len(after) > 2:
            after.pop(place)
        elif act == "move":
            after.insert(dice.randrange(len(after)), after.pop(place))
        elif act == "touch":
            words = after[place].text.split()
            words[dice.randrange(len(words))] = "changed"
            after[place] = replace(after[place], text=" ".join(words))
        elif act == "rewrite":
            after[place] = replace(after[place], text=_sentence(dice, 25))
    return after


def _sentence(dice: random.Random, size: int) -> str:
    return " ".join(dice.choices(_WORDS, k=size)).capitalize() + "."
