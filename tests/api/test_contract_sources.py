"""Sources as a program sees them: add, read, change, stop, delete."""

from typing import Any

import httpx
import pytest

from rag_app.api.app import PREFIX
from tests.api.cast import Cast


@pytest.fixture
async def owner(cast: Cast) -> httpx.AsyncClient:
    """A program of the owner."""
    return await cast.program((await cast.key(await cast.owner()))[1])


@pytest.fixture
async def base(owner: httpx.AsyncClient) -> str:
    """A knowledge base."""
    return str((await owner.post(f"{PREFIX}/knowledge-bases", json={"name": "Handbook"})).json()["id"])


WEBSITE: dict[str, Any] = {
    "kind": "website",
    "address": "docs.example.com/guide/",
    "settings": {"max_pages": 100, "exclude": ["/guide/old/*"]},
    "schedule": {"cron": "0 3 * * 1", "time_zone": "Europe/Berlin"},
}


async def test_a_source_is_added_with_its_first_run(owner: httpx.AsyncClient, base: str) -> None:
    answer = await owner.post(f"{PREFIX}/knowledge-bases/{base}/sources", json=WEBSITE)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["kind"], made["address"], made["name"]) == (
        "website", "https://docs.example.com/guide/", "docs.example.com/guide",
    )  # fmt: skip
    assert made["settings"]["max_pages"] == 100 and made["settings"]["max_depth"] == 20
    assert made["schedule"] == WEBSITE["schedule"] and made["next_run_at"] and made["state"] == "active"
    assert made["last_run"]["status"] == "queued"
    listed = (await owner.get(f"{PREFIX}/knowledge-bases/{base}/sources")).json()
    assert [each["id"] for each in listed["items"]] == [made["id"]] and listed["next_cursor"] is None
    busy = await owner.post(f"{PREFIX}/sources/{made['id']}/run")
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "busy")
    tasks = (await owner.get(f"{PREFIX}/tasks")).json()["items"]
    assert [(each["kind"], each["id"]) for each in tasks] == [("crawl", made["last_run"]["task_id"])]


async def test_a_source_is_stopped_changed_and_deleted(owner: httpx.AsyncClient, base: str) -> None:
    made = (await owner.post(f"{PREFIX}/knowledge-bases/{base}/sources", json=WEBSITE)).json()
    source = f"{PREFIX}/sources/{made['id']}"
    stopped = (await owner.post(f"{source}/stop")).json()
    assert (stopped["status"], stopped["error"]["code"]) == ("cancelled", "cancelled")
    assert (await owner.post(f"{source}/stop")).status_code == 409
    again = await owner.post(f"{source}/run", json={"confirm_removals": True})
    assert again.status_code == 202
    runs = (await owner.get(f"{source}/runs")).json()["items"]
    assert [each["status"] for each in runs] == ["queued", "cancelled"]
    assert (await owner.get(f"{source}/pages?status=added")).json()["items"] == []
    moving = await owner.patch(source, json={"address": "https://docs.example.com/other/"})
    assert (moving.status_code, moving.json()["error"]["code"]) == (409, "busy")
    await owner.post(f"{source}/stop")
    moved = (await owner.patch(source, json={"address": "docs.example.com/other/"})).json()
    assert (moved["address"], moved["name"]) == ("https://docs.example.com/other/", "docs.example.com/other")
    changes: dict[str, Any] = {"name": "Guide", "settings": {"max_pages": 7}, "schedule": {"every_minutes": 60}}
    changed = (await owner.patch(source, json=changes)).json()
    assert (changed["name"], changed["settings"]["max_pages"], changed["settings"]["exclude"]) == (
        "Guide", 7, ["/guide/old/*"],
    )  # fmt: skip
    assert changed["schedule"] == {"every_minutes": 60}
    paused = (await owner.patch(source, json={"state": "paused"})).json()
    assert (paused["state"], paused["next_run_at"]) == ("paused", None)
    by_hand = (await owner.patch(source, json={"schedule": {}, "state": "active"})).json()
    assert (by_hand["schedule"], by_hand["next_run_at"]) == ({}, None)
    assert (await owner.delete(f"{source}?documents=delete")).status_code == 204
    assert (await owner.get(source)).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "ftp"}, {"address": ""}, {"address": "file:///etc/passwd"}, {"address": "http://10.0.0.1/"},
        {"settings": {"max_pages": 0}}, {"settings": {"workspace_id": "x"}}, {"schedule": {"cron": "never"}},
        {"schedule": {"cron": "0 3 * * *", "time_zone": "Mars"}}, {"schedule": {"every_minutes": 1}}, {"id": "x"},
        {"kind": "folder", "address": "/etc"},
    ],
)  # fmt: skip
async def test_what_cannot_be_a_source_is_refused(owner: httpx.AsyncClient, base: str, wrong: dict[str, Any]) -> None:
    answer = await owner.post(f"{PREFIX}/knowledge-bases/{base}/sources", json=WEBSITE | wrong)
    assert answer.status_code == 422, answer.text
    assert (await owner.get(f"{PREFIX}/knowledge-bases/{base}/sources")).json()["items"] == []


REPOSITORY: dict[str, Any] = {
    "kind": "git",
    "address": "https://github.com/owner/handbook/tree/main/docs",
    "settings": {"max_total_mb": 50},
    "secret": {"token": "a-t0ken"},
    "run": False,
}
BUCKET: dict[str, Any] = {
    "kind": "s3",
    "address": "s3://docs/handbook/",
    "settings": {"region": "eu-central-1"},
    "secret": {"access_key": "AKIDt0ken", "secret_key": "a-secret-t0ken"},
    "run": False,
}


WRONG_SECRETS: list[dict[str, Any]] = [
    {"kind": "website"}, {"secret": {"password": "t"}}, {"secret": {"user": "u"}}, {"address": "http://example.com/a"},
    {"secret": {"token": "a b"}}, {"secret": "t"}, {**BUCKET, "address": "https://docs"},
    {**BUCKET, "settings": {"endpoint": "http://10.0.0.1"}}, {**BUCKET, "secret": {"access_key": "a"}},
]  # fmt: skip


async def test_secrets_of_a_source_are_taken_and_never_given_back(owner: httpx.AsyncClient, base: str) -> None:
    sources = f"{PREFIX}/knowledge-bases/{base}/sources"
    made = [
        await owner.post(sources, json=body, headers={"Idempotency-Key": body["kind"]}) for body in (REPOSITORY, BUCKET)
    ]
    again = await owner.post(sources, json=BUCKET, headers={"Idempotency-Key": "s3"})
    assert [each.status_code for each in made] == [201, 201] and again.json() == made[1].json()
    first, second = (each.json() for each in made)
    assert (first["address"], first["settings"]["branch"], first["settings"]["prefix"], first["name"]) == (
        "https://github.com/owner/handbook", "main", "/docs/", "github.com/owner/handbook",
    )  # fmt: skip
    assert (second["name"], second["settings"]["region"], second["has_secret"]) == (
        "docs/handbook",
        "eu-central-1",
        True,
    )
    changed = await owner.patch(f"{PREFIX}/sources/{first['id']}", json={"settings": {"branch": "next"}})
    assert (changed.json()["settings"]["branch"], changed.json()["has_secret"]) == ("next", True)
    moved = await owner.patch(
        f"{PREFIX}/sources/{second['id']}", json={"settings": {"endpoint": "https://s3.example.com"}}
    )
    assert (moved.status_code, moved.json()["error"]["code"]) == (422, "validation_error")
    bare = await owner.patch(f"{PREFIX}/sources/{first['id']}", json={"secret": {}})
    assert bare.json()["has_secret"] is False
    for wrong in WRONG_SECRETS:
        assert (await owner.post(sources, json=REPOSITORY | wrong)).status_code == 422, wrong
    everything = [*made, again, changed, moved, bare, await owner.get(sources), await owner.get(f"{PREFIX}/audit")]
    assert not any("t0ken" in each.text for each in everything)
