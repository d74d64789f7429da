"""Requests to S3 are signed as its reference says, and its answers are read whatever they hold."""

import contextlib
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.errors import DamagedFile
from rag_app.ingestion.s3_wire import Bucket, Keys, listing_query, read_listing, read_refusal, signed

# The example requests of "Authenticating Requests: Using the Authorization Header" in the Amazon S3 API Reference.
MOMENT = datetime(2013, 5, 24, tzinfo=UTC)
KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "https://examplebucket.s3.amazonaws.com"
PUBLISHED = [
    ("/test.txt", {"range": "bytes=0-9"}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    ("/?lifecycle=", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ("/?max-keys=2&prefix=J", {}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
]


@pytest.mark.parametrize(("path", "extra", "signature"), PUBLISHED)
def test_signatures_are_those_that_are_published(path: str, extra: dict[str, str], signature: str) -> None:
    made = signed(HOST + path, "us-east-1", KEYS, moment=MOMENT, extra=extra)
    assert made["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;"
    )
    assert made["authorization"].endswith(f"Signature={signature}") and made["x-amz-date"] == "20130524T000000Z"
    assert signed(HOST + path, "us-east-1", Keys(), moment=MOMENT) == {}


def test_a_bucket_has_an_address() -> None:
    assert Bucket("docs", "eu-central-1").address("a b/c.md") == "https://docs.s3.eu-central-1.amazonaws.com/a%20b/c.md"
    assert Bucket("a.b", "eu-central-1").address("c") == "https://s3.eu-central-1.amazonaws.com/a.b/c"
    assert Bucket("docs", "auto", "https://s3.example.com/v1/").address("c") == "https://s3.example.com/v1/docs/c"
    assert Bucket("docs", "r", "https://h").address(query=listing_query("a/", "x+/=")) == (
        "https://h/docs/?continuation-token=x%2B%2F%3D&encoding-type=url&list-type=2&max-keys=1000&prefix=a%2F"
    )


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_the_client_sends_the_very_address_that_was_signed(word: str) -> None:
    key = "/".join(each for each in word.split("/") if each and not each.startswith("."))
    address = Bucket("docs", "r", "https://h").address(key, listing_query(word, word))
    sent = httpx.URL(address)
    assert str(sent) == address and sent.raw_path.decode() == address.removeprefix("https://h")


@given(st.binary(max_size=200), st.text(max_size=60))
def test_any_answer_is_read_or_refused(content: bytes, words: str) -> None:
    wrapped = f"<ListBucketResult><IsTruncated>true</IsTruncated>{words}</ListBucketResult>".encode("utf-8", "replace")
    for each in (content, wrapped):
        with contextlib.suppress(DamagedFile):
            read_listing(each)
        assert len(read_refusal(each).message) <= 200


def test_listings_and_refusals() -> None:
    found = read_listing(
        b"<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><EncodingType>url</EncodingType>"
        b"<Contents><Key>a+b%2Bc%2520</Key><Size>3</Size><ETag>&quot;e&quot;</ETag></Contents>"
        b"<Contents><Key>no size</Key></Contents><NextContinuationToken>ignored</NextContinuationToken>"
        b"<Contents><Key>d</Key><Size>4</Size><LastModified>2026</LastModified><StorageClass>GLACIER</StorageClass>"
        b"</Contents></ListBucketResult>"
    )
    assert [(each.key, each.size, each.mark, each.is_archived) for each in found.entries] == [
        ("a b+c%20", 3, "3-e", False), ("d", 4, "4-2026", True),
    ]  # fmt: skip
    assert found.following == ""
    said = read_refusal(b"<Error><Code>X</Code><Message>a\n\x1b b" + b"c" * 900 + b"</Message></Error>")
    assert said.code == "" and said.message == ""
    said = read_refusal(b"<Error><Code>X</Code><Message>a\nb</Message><Region>eu-west-1</Region></Error>")
    assert (said.code, said.message, said.region) == ("X", "a b", "eu-west-1")
