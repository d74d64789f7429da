"""Opens Office files that are packed around with a password: what is inside is an ordinary zip of XML."""

from io import BytesIO

from rag_app.errors import DamagedFile, EncryptedFile, MislabelledFile, PasswordNeeded, PasswordWrong, TooMuchContent
from rag_app.ingestion.original import Original, content_of, head_of, size_of

MAX_BYTES = 200_000_000
_MARK_WITHIN = 4_000_000
_ENCRYPTED_MARK = "EncryptedPackage".encode("utf-16-le")


def unlocked(original: Original, password: str | None) -> BytesIO:
    """The document inside (ECMA-376, standard and agile encryption).

    Raises PasswordNeeded, PasswordWrong, EncryptedFile (another kind of protection), DamagedFile, TooMuchContent, and
    MislabelledFile when it is an Office file from before 2007 under a newer name.
    """
    if _ENCRYPTED_MARK not in head_of(original, _MARK_WITHIN):
        raise MislabelledFile("The name says a newer Office format, but the content is an old one: save it anew.")
    if password is None:
        raise PasswordNeeded()
    if size_of(original) > MAX_BYTES:
        raise TooMuchContent()
    import msoffcrypto  # rarely needed
    from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError, ParseError

    opened = BytesIO()
    try:
        file = msoffcrypto.OfficeFile(BytesIO(content_of(original)))
        file.load_key(password=password, verify_password=True)
        file.decrypt(opened)
    except InvalidKeyError as problem:
        raise PasswordWrong() from problem
    except (DecryptionError, NotImplementedError) as problem:
        raise EncryptedFile() from problem
    except (FileFormatError, ParseError, OSError, ValueError, KeyError, IndexError, TypeError) as problem:
        raise DamagedFile() from problem
    opened.seek(0)
    return opened
