"""
Pseudonyms keep the shape of what they stand for, and are a permutation.
"""

import ipaddress
import itertools
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.pseudonyms import Pseudonyms

PSEUDONYMS = Pseudonyms(b"a key")
WORDS = ["Alice", "McDONALD", "O", "Größe", "Łukasz", "Анна", "株式会社", "محمد", "😀", "e\u0301"]


def kinds(text: str) -> list[str]:
    """
    Give the kind of each character.
    """
    return [unicodedata.category(letter) for letter in text]


@pytest.mark.parametrize("word", WORDS)
def test_word_keeps_its_shape(word: str) -> None:
    """
    A word's pseudonym has letters of the same kinds and needs as many octets.
    """
    pseudonym = PSEUDONYMS.word(word)

    assert kinds(pseudonym) == kinds(word)
    assert len(pseudonym.encode()) == len(word.encode())


@pytest.mark.parametrize("length", [1, 2, 3])
def test_numbers_of_one_length_are_permuted(length: int) -> None:
    """
    No two numbers share a pseudonym, and every pseudonym is a number of that length.
    """
    numbers = ["".join(digits) for digits in itertools.product("0123456789", repeat=length)]

    assert sorted(map(PSEUDONYMS.number, numbers)) == numbers


@given(
    st.text("0123456789", min_size=4, max_size=64), st.text("0123456789", min_size=4, max_size=64)
)
def test_two_numbers_have_two_pseudonyms(one: str, other: str) -> None:
    """
    Also of longer numbers no two share a pseudonym, whose length is theirs.
    """
    assert (PSEUDONYMS.number(one) == PSEUDONYMS.number(other)) == (one == other)
    assert re.fullmatch(rf"[0-9]{{{len(one)}}}", PSEUDONYMS.number(one))


@given(st.text(min_size=1, max_size=64), st.text(min_size=1, max_size=64))
def test_any_characters_can_be_a_word(one: str, other: str) -> None:
    """
    Words of any characters keep their kinds, their octets and their difference.
    """
    pseudonym = PSEUDONYMS.word(one)

    assert kinds(pseudonym) == kinds(one)
    assert len(pseudonym.encode(errors="surrogatepass")) == len(one.encode(errors="surrogatepass"))
    assert (pseudonym == PSEUDONYMS.word(other)) == (one == other)


def test_case_does_not_make_another_name() -> None:
    """
    A word in capitals has the pseudonym of the same word in small letters, in capitals.
    """
    assert PSEUDONYMS.word("ALICE") == PSEUDONYMS.word("alice").upper()
    assert PSEUDONYMS.word("Alice") == PSEUDONYMS.word("alice").title()


def test_another_key_gives_other_pseudonyms() -> None:
    """
    Pseudonyms of two recordings cannot be compared; those of one key are always the same.
    """
    assert Pseudonyms(b"a key").number("14155550100") == PSEUDONYMS.number("14155550100")
    assert Pseudonyms(b"another").number("14155550100") != PSEUDONYMS.number("14155550100")


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_an_ip_address_becomes_another(one: ipaddress.IPv4Address, other: object) -> None:
    """
    An IPv4 address becomes a valid one, written with as many digits, different for each.
    """
    pseudonym = PSEUDONYMS.ip_address(str(one))

    assert ipaddress.IPv4Address(pseudonym)
    assert [*map(len, pseudonym.split("."))] == [*map(len, str(one).split("."))]
    assert (pseudonym == PSEUDONYMS.ip_address(str(other))) == (one == other)


@pytest.mark.parametrize("address", ["2001:db8::1", "00:15:65:AB:CD:EF", "fe80::1:2"])
def test_hexadecimal_addresses_keep_their_shape(address: str) -> None:
    """
    IPv6 and MAC addresses keep their colons and the case of their digits.
    """
    pseudonym = PSEUDONYMS.hexadecimal(address)

    digit = "[0-9A-F]" if address.isupper() else "[0-9a-f]"
    assert re.fullmatch(re.sub("[^:]", digit, address), pseudonym)
    assert pseudonym != address


def test_a_phone_book_needs_little_memory() -> None:
    """
    What is remembered is bounded, and forgetting changes no pseudonym.
    """
    pseudonyms = Pseudonyms(b"a key")
    for number in range(30_000):
        pseudonyms.number(f"{number:07}")

    assert len(pseudonyms._remembered) <= 20_000
    assert pseudonyms.number("0000001") == PSEUDONYMS.number("0000001")
