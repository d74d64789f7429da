"""Where a passage and a quote stand in the original, from the upload to the citation: rows of a sheet, a time."""

from email.message import EmailMessage
from io import BytesIO
from typing import Any

import httpx
import openpyxl
import pytest

from tests.api.cast import Cast
from tests.workspaces import open_workshop, work_off

V1 = "/api/v1"


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "Stock"
    book.active.append(["Article", "Where it lies"])
    for number in range(2, 302):
        book.active.append([f"Bolt of size {number}", f"Shelf {number * 7}"])
    book.active["A150"], book.active["B150"] = "The zanzibar valve", "The zanzibar valve lies in the blue cabinet."
    file = BytesIO()
    book.save(file)
    return file.getvalue()


SUBTITLES = b"""WEBVTT

00:00:01.000 --> 00:00:04.000
<v Ann>Welcome to the talk about sourdough bread.

00:00:04.500 --> 00:00:09.000
The starter is fed twice a day with rye flour.
"""


def mail(body: str) -> bytes:
    """A mail with a table of customers attached."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ops@example.com", "all@example.com", "Outage on Monday"
    message.set_content(body)
    table = "Customer,Minutes down\nMiller,40\nNorthwind,25\nContoso,10\n"
    message.add_attachment(table.encode(), maintype="text", subtype="csv", filename="affected.csv")
    return message.as_bytes()


SHORT_BODY = "The outage was caused by an expired certificate of the gateway.\n"
LONG_BODY = "\n\n".join(f"Step {n}: " + "we looked at the logs. " * 20 for n in range(1, 8)) + "\n\n" + SHORT_BODY


@pytest.mark.parametrize("body", [SHORT_BODY, LONG_BODY], ids=["one passage", "several passages"])
@pytest.mark.parametrize(
    ("question", "quote", "place"),
    [
        ("What was the outage caused by?", "expired certificate", {}),
        ("How many minutes was Northwind down?", "Northwind", {"part": "affected.csv", "rows": [3, 3]}),
    ],
)
async def test_a_quote_from_the_body_of_a_mail_does_not_name_its_attachment(
    cast: Cast, body: str, question: str, quote: str, place: dict[str, Any]
) -> None:
    program = await cast.program((await cast.key(await cast.owner()))[1])
    base = (await program.post(f"{V1}/knowledge-bases", json={"name": "Mails"})).json()["id"]
    await program.post(f"{V1}/knowledge-bases/{base}/documents", files={"files": ("outage.eml", mail(body))})
    async with open_workshop(cast.context) as workshop:
        await work_off(cast.context, workshop)
    said = (await program.post(f"{V1}/knowledge-bases/{base}/chat", json={"message": question})).json()
    [cited] = [each for each in said["citations"] if quote in each["quote"]]
    assert cited["place"] == place
    for each in said["citations"]:
        assert bool(each["place"]) == (each["quote"] not in body)


@pytest.mark.parametrize(
    ("name", "content", "question", "passage", "citation"),
    [
        ("stock.xlsx", workbook(), "Where does the zanzibar valve lie?", {"sheet": "Stock"}, {"rows": [150, 150]}),
        (
            "talk.vtt",
            SUBTITLES,
            "How often is the starter fed with rye flour?",
            {"time_from": "00:00:01.000", "time_to": "00:00:09.000"},
            {"time_from": "00:00:04.500", "time_to": "00:00:09.000"},
        ),
    ],
)
async def test_a_citation_names_the_place_of_its_quote(
    cast: Cast, name: str, content: bytes, question: str, passage: dict[str, Any], citation: dict[str, Any]
) -> None:
    program = await cast.program((await cast.key(await cast.owner()))[1])
    base = (await program.post(f"{V1}/knowledge-bases", json={"name": "Places"})).json()["id"]
    sent = await program.post(f"{V1}/knowledge-bases/{base}/documents", files={"files": (name, content)})
    async with open_workshop(cast.context) as workshop:
        await work_off(cast.context, workshop)
    document = sent.json()["items"][0]["id"]
    found = await program.post(f"{V1}/knowledge-bases/{base}/search", json={"query": question})
    best = found.json()["passages"][0]["place"]
    assert passage.items() <= best.items()
    if "rows" in best:
        assert best["rows"][0] <= 150 <= best["rows"][1]
    stored = (await program.get(f"{V1}/documents/{document}/passages")).json()["items"]
    assert any(each["place"] for each in stored)
    text = (await program.get(f"{V1}/documents/{document}/text")).json()
    assert text["places"] and all(text["text"][each["char_from"] : each["char_to"]].strip() for each in text["places"])
    said: httpx.Response = await program.post(f"{V1}/knowledge-bases/{base}/chat", json={"message": question})
    [quoted] = said.json()["citations"][:1]
    assert {**best, **citation} == quoted["place"]
