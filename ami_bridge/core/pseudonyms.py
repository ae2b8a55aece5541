"""
Pseudonyms: numbers, words and addresses enciphered so that each keeps its shape.

A pseudonym has the length, in characters and in UTF-8 octets, and the kinds of character
of what it stands for: digits for digits, vowels for vowels, capitals for capitals. It is
a permutation of all texts of that shape, chosen by a secret key: the same text always
gets the same pseudonym, two texts never share one, and without the key it can neither be
computed nor found by trying.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

_DIGITS = "0123456789"
_HEXADECIMAL = "0123456789abcdef"
_LOWER_VOWELS, _LOWER_CONSONANTS = "aeiou", "bcdfghjklmnpqrstvwxyz"
#: Capitals share the ranks of their small letters, so that ANNA and Anna stay one word.
_ASCII = {
    letter: alphabet
    for alphabet in (
        _DIGITS,
        _LOWER_VOWELS,
        _LOWER_CONSONANTS,
        _LOWER_VOWELS.upper(),
        _LOWER_CONSONANTS.upper(),
    )
    for letter in alphabet
}
#: An octet of an IPv4 address, by its number of digits.
_OCTETS = {1: range(10), 2: range(10, 100), 3: range(100, 256)}
#: As many as NIST's FF1 has; the construction is the same.
_ROUNDS = 10
#: Pseudonyms that are remembered: a PBX has few numbers and repeats them all day.
_MOST_REMEMBERED = 20_000


class Pseudonyms:
    """
    The pseudonyms that one *key* gives.
    """

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.blake2b(key).digest()
        self._remembered: dict[str, str] = {}
        self._alphabets: dict[tuple[int, str], str] = {}

    def number(self, digits: str) -> str:
        """
        Give the pseudonym of a run of ASCII digits.
        """
        return self._letter_by_letter(digits)

    def word(self, word: str) -> str:
        """
        Give the pseudonym of a word in any script.
        """
        return self._letter_by_letter(word)

    def ip_address(self, address: str) -> str:
        """
        Give the pseudonym of an IPv4 address in dotted form: another valid one.
        """
        octets = [int(octet) for octet in address.split(".")]
        ranges = [_OCTETS[len(octet)] for octet in address.split(".")]
        ranks = [octet - choices.start for octet, choices in zip(octets, ranges, strict=True)]
        ranks = self._encipher("ip", ranks, [len(choices) for choices in ranges])
        new = (choices[rank] for rank, choices in zip(ranks, ranges, strict=True))
        return ".".join(str(octet) for octet in new)

    def hexadecimal(self, address: str) -> str:
        """
        Give the pseudonym of an address in hexadecimal digits and colons (IPv6, MAC).
        """
        digits = address.replace(":", "").lower()
        ranks = [_HEXADECIMAL.index(digit) for digit in digits]
        new = iter(self._encipher("hex", ranks, [len(_HEXADECIMAL)] * len(ranks)))
        lower = re.sub(r"[^:]", lambda _: _HEXADECIMAL[next(new)], address)
        return lower.upper() if address == address.upper() else lower

    def _letter_by_letter(self, text: str) -> str:
        pseudonym = self._remembered.get(text)
        if pseudonym is None:
            alphabets = [self._alphabet(letter) for letter in text]
            ranks = [
                alphabet.index(letter) for alphabet, letter in zip(alphabets, text, strict=True)
            ]
            ranks = self._encipher("text", ranks, [len(alphabet) for alphabet in alphabets])
            pseudonym = "".join(
                alphabet[rank] for alphabet, rank in zip(alphabets, ranks, strict=True)
            )
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[text] = pseudonym
        return pseudonym

    def _alphabet(self, letter: str) -> str:
        """
        Give the letters that may stand for *letter*: its neighbours of the same kind.

        All letters of one block of Unicode need equally many octets in UTF-8.
        """
        if alphabet := _ASCII.get(letter):
            return alphabet
        code = ord(letter)
        kind = unicodedata.category(letter)
        width = 64 if code < 0x800 else 256
        if kind == "Cs":
            # An octet that is no UTF-8, as "surrogateescape" shows it: U+DC80 to U+DCFF.
            width = 128
        block = code - code % width
        key = (block, kind)
        if key not in self._alphabets:
            self._alphabets[key] = "".join(
                neighbour
                for neighbour in map(chr, range(block, block + width))
                if unicodedata.category(neighbour) == kind and neighbour not in _ASCII
            )
        return self._alphabets[key]

    def _encipher(self, kind: str, ranks: Sequence[int], radices: Sequence[int]) -> list[int]:
        """
        Permute the numbers of mixed *radices* by a Feistel network, and give *ranks*' image.
        """
        middle = len(ranks) // 2
        left, left_size = _join(ranks[:middle], radices[:middle])
        right, right_size = _join(ranks[middle:], radices[middle:])
        shape = f"{kind} {' '.join(map(str, radices))}"
        for round_number in range(_ROUNDS):
            if round_number % 2:
                left = (left + self._noise(shape, round_number, right)) % left_size
            else:
                right = (right + self._noise(shape, round_number, left)) % right_size
        return _split(left, radices[:middle]) + _split(right, radices[middle:])

    def _noise(self, shape: str, round_number: int, half: int) -> int:
        octets = f"{shape}/{round_number}/{half}".encode()
        return int.from_bytes(hashlib.blake2b(octets, key=self._key).digest())


def _join(ranks: Sequence[int], radices: Sequence[int]) -> tuple[int, int]:
    """
    Read *ranks* as one number of mixed *radices*; give it and how many such numbers there are.
    """
    number, size = 0, 1
    for rank, radix in zip(ranks, radices, strict=True):
        number, size = number * radix + rank, size * radix
    return number, size


def _split(number: int, radices: Sequence[int]) -> list[int]:
    ranks: list[int] = []
    for radix in reversed(radices):
        number, rank = divmod(number, radix)
        ranks.append(rank)
    return ranks[::-1]
