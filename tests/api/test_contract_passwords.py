"""Encrypted files over REST: asked for their password, opened with it, and the password comes back nowhere."""

import io
from typing import Any

import httpx
import pytest
from pypdf import PdfReader, PdfWriter
from reportlab.pdfgen.canvas import Canvas

from tests.api.cast import Cast
from tests.workspaces import open_workshop, work_off

V1 = "/api/v1"
PASSWORD = "open sesame"


def locked_pdf() -> bytes:
    plain, locked = io.BytesIO(), io.BytesIO()
    canvas = Canvas(plain)
    canvas.drawString(72, 700, "The refund is paid within five working days.")
    canvas.save()
    writer = PdfWriter(PdfReader(plain))
    writer.encrypt(user_password=PASSWORD, owner_password="owner", algorithm="AES-256")
    writer.write(locked)
    return locked.getvalue()


async def work(cast: Cast) -> None:
    async with open_workshop(cast.context) as workshop:
        await work_off(cast.context, workshop)


async def retried(program: httpx.AsyncClient, document: str, body: Any) -> httpx.Response:
    return await program.post(f"{V1}/documents/{document}/retry", json=body)


@pytest.fixture
async def program(cast: Cast) -> httpx.AsyncClient:
    """A program of the owner."""
    return await cast.program((await cast.key(await cast.owner()))[1])


async def test_a_password_is_asked_for_tried_and_never_shown(
    cast: Cast, program: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    base = (await program.post(f"{V1}/knowledge-bases", json={"name": "Contracts"})).json()["id"]
    address = f"{V1}/knowledge-bases/{base}/documents"
    sent = await program.post(address, files={"files": ("secret.pdf", locked_pdf())})
    document = sent.json()["items"][0]["id"]
    await work(cast)
    failed = (await program.get(f"{V1}/documents/{document}")).json()
    assert (failed["status"], failed["error"]["code"]) == ("failed", "password_needed")
    for body in ({"password": ""}, {"password": "x" * 501}, {"password": 1}, {"passphrase": "x"}, {"password": "\0"}):
        answer = await retried(program, document, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_error")
        assert "x" * 501 not in answer.text
    assert (await retried(program, document, {"password": "guess"})).status_code == 202
    await work(cast)
    assert (await program.get(f"{V1}/documents/{document}")).json()["error"]["code"] == "password_wrong"
    opened = await retried(program, document, {"password": PASSWORD})
    assert opened.status_code == 202 and PASSWORD not in opened.text
    await work(cast)
    ready = await program.get(f"{V1}/documents/{document}")
    assert ready.json()["status"] == "ready" and PASSWORD not in ready.text
    assert PASSWORD not in (await program.get(f"{V1}/tasks")).text + caplog.text
    again = await retried(program, document, {"password": PASSWORD})
    assert again.status_code == 422 and "does not ask" in again.json()["error"]["message"]
    assert (await retried(program, document, None)).status_code == 409
