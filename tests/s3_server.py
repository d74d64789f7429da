"""A server of the test's own that speaks the wire format of S3: listings in pages, objects, verified signatures."""

import hashlib
import hmac
import re
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, quote, quote_plus, unquote
from xml.sax.saxutils import escape

from tests.served import Served

ACCESS, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-central-1"
_CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request,\s*SignedHeaders=([^,]+),\s*Signature=(\w+)"
)


class S3Server(Served):
    """One bucket called `docs`. `canned` (status, body) answers everything instead; `is_public` asks for no keys."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.archived: set[str] = set()
        self.asked: list[str] = []
        self.canned: tuple[int, bytes] | None = None
        self.is_public = False
        self.page_size = 3
        self.faults: dict[str, list[int]] = {}  # key -> statuses that come before the object does
        super().__init__(self._visitor())

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        """The answer to a GET."""
        self.asked.append(path)
        if self.canned is not None:
            return self.canned
        if problem := self._unsigned(path, headers):
            return 403 if problem != "AuthorizationHeaderMalformed" else 400, error(problem, Region=REGION)
        place, _, query = path.partition("?")
        bucket, _, key = unquote(place).lstrip("/").partition("/")
        if bucket != "docs":
            return 404, error("NoSuchBucket")
        if not key:
            return 200, self._listing(dict(parse_qsl(query)))
        if self.faults.get(key):
            return self.faults[key].pop(0), error("SlowDown")
        if key in self.archived:
            return 403, error("InvalidObjectState")
        return (200, self.objects[key]) if key in self.objects else (404, error("NoSuchKey"))

    def _unsigned(self, path: str, headers: dict[str, str]) -> str:
        """What is wrong with the signature, worked out anew from what came over the wire; "" = nothing."""
        found = _CREDENTIAL.fullmatch(headers.get("authorization", ""))
        if found is None:
            return "" if self.is_public and "authorization" not in headers else "AccessDenied"
        access, day, region, names, signature = found.groups()
        if access != ACCESS:
            return "InvalidAccessKeyId"
        if region != REGION:
            return "AuthorizationHeaderMalformed"
        place, _, query = path.partition("?")
        pairs = sorted(
            (quote(n, safe="-_.~"), quote(v, safe="-_.~")) for n, v in parse_qsl(query, keep_blank_values=True)
        )
        lines = "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in names.split(";"))
        canonical = "\n".join([
            "GET", quote(unquote(place), safe="/-_.~"), "&".join(f"{n}={v}" for n, v in pairs), lines, names,
            headers["x-amz-content-sha256"],
        ])  # fmt: skip
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{day}/{region}/s3/aws4_request\n{digest}"
        key = b"AWS4" + SECRET.encode()
        for part in (day, region, "s3", "aws4_request", text):
            key = hmac.digest(key, part.encode(), "sha256")
        is_dated = headers["x-amz-date"].startswith(day) and {"host", "x-amz-date"} <= set(names.split(";"))
        return "" if is_dated and hmac.compare_digest(key.hex(), signature) else "SignatureDoesNotMatch"

    def _listing(self, asked: dict[str, str]) -> bytes:
        names = sorted(each for each in self.objects if each.startswith(asked.get("prefix", "")))
        start = int(asked.get("continuation-token", "0+/=").removesuffix("+/="))
        page = names[start : start + self.page_size]
        entries = "".join(
            f"<Contents><Key>{quote_plus(each, safe='/')}</Key><Size>{len(self.objects[each])}</Size>"
            f"<ETag>&quot;{hashlib.md5(self.objects[each]).hexdigest()}&quot;</ETag>"
            f"<StorageClass>{'GLACIER' if each in self.archived else 'STANDARD'}</StorageClass></Contents>"
            for each in page
        )
        is_cut = start + self.page_size < len(names)
        more = f"<NextContinuationToken>{start + self.page_size}+/=</NextContinuationToken>" if is_cut else ""
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<EncodingType>url</EncodingType><IsTruncated>{str(is_cut).lower()}</IsTruncated>{entries}{more}"
            f"</ListBucketResult>"
        ).encode()

    def _visitor(server) -> type[BaseHTTPRequestHandler]:
        class Visitor(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, body = server.answer(self.path, {name.lower(): value for name, value in self.headers.items()})
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        return Visitor


def error(code: str, **more: str) -> bytes:
    """An error as S3 words it."""
    fields = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in more.items())
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message>{fields}</Error>".encode()
