"""Passwords: which new ones are refused, and the slow hash kept off the event loop."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

from rag_app.errors import InvalidInput
from rag_app.security import hash_password, verify_password

SHORTEST = 10
LONGEST = 200
# Each hash takes 64 MB for a tenth of a second: a crowd at the door must wait, not fill the memory.
_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")

# Words that frequent passwords are made of; digits, signs and doubled words around them add nothing.
_WORDS = """
password passwort passwd passw pass passphrase parola contrasena motdepasse senha wachtwoord haslo
qwerty qwertz azerty qwertyuiop qwertzuiop azertyuiop asdfghjkl asdf asdfgh zxcvbnm yxcvbnm qazwsx qazwsxedc
qweasdzxc qweasd asdfjkl poiuytrewq mnbvcxz lkjhgfdsa zaqwsx xswqaz qwer qweqwe asdasd
welcome willkommen bienvenue letmein login logmein openup opensesame master admin administrator root user guest
test testing tester default changeme changeit changethis secret secure security private access superuser system
iloveyou ilove loveyou lovely love sunshine princess princesa monkey dragon shadow football baseball basketball
superman batman spiderman pokemon starwars naruto trustno whatever computer internet samsung google facebook
michael jennifer jessica ashley daniel charlie jordan michelle nicole matthew andrew thomas robert summer winter
spring autumn freedom flower chocolate butterfly hello hellohello helloworld abc abcd abcde abcdef abcdefg abcabc
abcdefgh abcdefghij company ragapp rag knowledge chatbot liverpool chelsea arsenal barcelona manchester mustang
killer hunter hottie cookie banana orange purple yellow blink blinkblink tinkerbell babygirl angel angels
correcthorsebatterystaple
"""
_FREQUENT = frozenset(_WORDS.split())
_LOOKALIKES = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"})
_ROWS = ("01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop")


def check_new_password(password: str, *, email: str = "", name: str = "") -> None:
    """Refuse a password that is short, long, frequent or about its owner. Raises InvalidInput with the reason."""
    if len(password) < SHORTEST:
        raise InvalidInput(f"The password needs at least {SHORTEST} characters.", field="password")
    if len(password) > LONGEST:
        raise InvalidInput(f"The password has more than {LONGEST} characters.", field="password")
    if "\x00" in password:
        raise InvalidInput("The password holds a character that cannot be typed.", field="password")
    if is_frequent(password) or _is_about(password, email, name):
        raise InvalidInput("This password is easy to guess; take a few unrelated words instead.", field="password")


def is_frequent(password: str) -> bool:
    """True when a guesser would try it early: a frequent word with decoration, a row of keys, a repetition."""
    plain = password.lower()
    letters = re.sub(r"[^a-z]", "", plain)
    bare = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", plain)
    shapes = {letters, bare, re.sub(r"[^a-z]", "", bare.translate(_LOOKALIKES)), _unrepeated(letters)}
    # Many signs beside a short word are a password of their own.
    decorated = len(plain) - len(bare) <= 8 and len(set(plain)) < 16 and bool(shapes & _FREQUENT)
    return decorated or len(set(plain)) < 5 or len(_unrepeated(plain)) < 6 or _is_row(plain)


def _unrepeated(text: str) -> str:
    for size in range(1, len(text) // 2 + 1):
        if len(text) % size == 0 and text[:size] * (len(text) // size) == text:
            return text[:size]
    return text


def _is_row(text: str) -> bool:
    return any(text in row * 2 or text in (row * 2)[::-1] for row in _ROWS)


def _is_about(password: str, email: str, name: str) -> bool:
    plain = re.sub(r"[\W\d_]", "", password.lower())
    own = {email.lower(), email.lower().partition("@")[0], name.lower(), *name.lower().split()}
    return password.lower() in own or plain in {re.sub(r"[\W\d_]", "", each) for each in own if len(each) > 2}


async def hash_slowly(password: str) -> str:
    """Argon2id hash of a password, in a thread."""
    return await asyncio.get_running_loop().run_in_executor(_pool, hash_password, password)


async def verify_slowly(password: str, password_hash: str | None) -> bool:
    """True when the password fits, in a thread; as slow for an unknown person (None)."""
    given = password if len(password) <= LONGEST else ""
    return await asyncio.get_running_loop().run_in_executor(_pool, verify_password, given, password_hash)
