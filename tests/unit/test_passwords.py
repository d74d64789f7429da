"""Which passwords are refused, and how addresses of callers are grouped."""

import pytest

from rag_app.errors import InvalidInput
from rag_app.services.passwords import check_new_password, is_frequent
from rag_app.services.throttle import network_of


@pytest.mark.parametrize(
    "password",
    [
        "1234567890", "0123456789", "9876543210", "123456789012", "qwertyuiop", "poiuytrewq", "asdfghjkl1",
        "password12", "Password123", "P@ssw0rd123", "password1!", "passwordpassword", "iloveyou123", "welcome2024",
        "Welcome1234", "admin12345", "letmein1234", "changeme123", "aaaaaaaaaa", "1111111111", "abababababab",
        "abcdefghij", "qwerty12345", "qwerty123456", "football123", "sunshine12", "1q1q1q1q1q", "123123123123",
        "monkey1234", "dragon12345", "princess123", "!!!password", "superman2023", "trustno1111", "zxcvbnm123",
        "a1b2c3d4e5f6g7",
    ],
)  # fmt: skip
def test_frequent_passwords_are_refused(password: str) -> None:
    assert is_frequent(password)
    with pytest.raises(InvalidInput, match="guess"):
        check_new_password(password)


@pytest.mark.parametrize(
    "password",
    [
        "four unrelated words here", "correct battery lamp", "xK9#mQ2$vL7p", "Tr0ub4dor&3xyz", "ünïcödé-pässwörd",
        "mein hund heißt bello", "кошка сидит на окне", "正しい馬のバッテリーです", "q8Zr-41kd-Pm0w",
    ],
)  # fmt: skip
def test_good_passwords_pass(password: str) -> None:
    check_new_password(password, email="ada@example.com", name="Ada Lovelace")


@pytest.mark.parametrize("password", ["short", "123456789", "x" * 201, "with a \x00 in it", ""])
def test_length_and_characters_are_limited(password: str) -> None:
    with pytest.raises(InvalidInput):
        check_new_password(password)


@pytest.mark.parametrize("password", ["ada.lovelace@example.com", "ada.lovelace", "AdaLovelace1843", "lovelace99!!"])
def test_a_password_is_not_about_its_owner(password: str) -> None:
    with pytest.raises(InvalidInput):
        check_new_password(password, email="ada.lovelace@example.com", name="Ada Lovelace")


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("not an address", "not an address"),
    ],
)
def test_addresses_of_one_customer_count_together(ip: str, network: str) -> None:
    assert network_of(ip) == network
