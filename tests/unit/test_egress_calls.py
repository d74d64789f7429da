"""Requests other than plain visits go through the same guarded client and keep to the same rules."""

import pytest

from rag_app.egress import Call, Limits
from rag_app.errors import BlockedAddress, FetchFailed
from tests.unit.test_egress import LIMITS, answer, redirect, serving


async def test_a_call_takes_the_answer_as_it_is() -> None:
    pages = {"/error": answer(b"no", "403 Forbidden"), "/moved": redirect("/error"), "/fine": answer(b"x" * 1000)}
    pieces: list[bytes] = []
    async with serving(lambda path: pages[path]) as web, web.egress().visit() as visit:
        for path, status, body in (("/error", 403, b"no"), ("/moved", 302, b""), ("/fine", 200, b"")):
            call = Call(f"http://public.test{path}", {"x-extra": "1", "Host": "other"}, b"question", pieces.append)
            found = await visit.call(call, Limits(1000, 5))
            assert (found.status, found.body) == (status, body)
        assert b"".join(pieces) == b"x" * 1000
        assert len(web.hits) == 3 and all(
            each.startswith("POST ") and "host: public.test" in each.lower() for each in web.hits
        )
        assert (await visit.call(Call("http://public.test/fine"), Limits(1000, 5))).body == b"x" * 1000
        assert web.hits[-1].startswith("GET ")


async def test_a_call_keeps_to_the_rules() -> None:
    async with serving(lambda _: answer(b"x" * 1001)) as web, web.egress().visit() as visit:
        with pytest.raises(FetchFailed, match="more than"):
            await visit.call(Call("http://public.test/", take=lambda _: None), Limits(1000, 5))
        for address in (f"http://127.0.0.1:{web.port}/", "http://169.254.169.254/", "file:///etc/passwd"):
            with pytest.raises(BlockedAddress):
                await visit.call(Call(address, body=b""), LIMITS)
        assert len(web.hits) == 1
