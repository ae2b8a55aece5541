"""
Anonymises recordings: what is left of a stream when nobody can be recognised in it.

Every number, name and address gets a pseudonym of the same shape and length
(`pseudonyms`), the same one wherever it stands, so that a replay of the anonymised stream
tells the same events of the same legs, and the offsets of a recording stay right.

What is not known to be harmless is replaced:

- Headers that hold Asterisk's own facts (states, causes, times, ...) stay, and Uniqueids as
  far as Asterisk makes them: the system's name before them is a name.
- In all other values each word that is not Asterisk's vocabulary, each run of three or more
  digits and each IP or MAC address is replaced. Punctuation stays, ``*`` and ``+`` with it.
  In names every word is replaced. Numbers of one or two digits stay: feature codes, menu
  choices, time-outs; they name nobody.
- A number is a run of digits: 001 has one pseudonym, alone and as a part of 0003*001. Groups
  such as ``(415) 555-0100`` are one number. That 9001 is 001 with a 9 in front is lost.
- Dialplan contexts stay, because rules refer to them, but for numbers of seven digits or more.
- Secrets, and the digits that somebody keys in, are blotted out.
"""

import re

from .pseudonyms import Pseudonyms
from .vocabulary import (
    HARMLESS_ENDINGS,
    HARMLESS_HEADERS,
    HARMLESS_IN_NAMES,
    TECHNOLOGIES,
    VOCABULARY,
)

#: A longer line is anonymised in pieces; no line of Asterisk comes near.
MAXIMUM_LINE_BYTES = 65_536
#: Lines that are remembered with their anonymised form, and how long one may be.
_MOST_REMEMBERED = 20_000
_LONGEST_REMEMBERED = 200

_HEADER = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?P<colon>: ?)(?P<value>.*)", re.DOTALL)
_BANNER = re.compile(r"Asterisk Call Manager/[0-9.]+\s*")
_NAME_HEADER = re.compile(r".*(?:calleridname|connectedlinename|membername|fullname)|callerid\d?")
_SECRET_HEADER = re.compile(
    r".*(?:secret|password|passwd|pin|token|nonce|hash|expectedresponse)|key|.*authkey|.*challenge"
)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
#: A number that is long enough to be a telephone number.
_LONG_NUMBER = re.compile(r"[0-9]{7,}")

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_HEX = "[0-9A-Fa-f]{1,4}"
_END = r"""(?=[\s;,|&/()<>"']|\Z)"""
#: What Asterisk appends to a channel's name: eight hexadecimal digits, fewer in old versions
#: and in other technologies than SIP.
_SUFFIX = rf"-(?:[0-9a-f]{{8}}|[0-9a-f]{{4}}(?=[;,][12]\b)|(?![0-9]{{3}})[0-9a-f]{{1,3}}){_END}"
_TECHNOLOGY = "|".join(TECHNOLOGIES)
#: What a value consists of, the most special first.
_TOKEN = re.compile(
    rf"""
      (?P<unknown><unknown>)
    | \bLocal/(?P<exten>[^@\s]*)@(?P<context>[^\s,;|&/()]*?)(?P<suffix>{_SUFFIX}|{_END})
    | (?P<technology>\b(?:{_TECHNOLOGY})/)(?P<endpoint>[^\s,;|&()]*?)(?P<serial>{_SUFFIX})
    | (?P<kept>
          \b1[0-9]{{9}}\.[0-9]{{1,10}}\b                                  # a Uniqueid
        | \b[0-9a-f]{{8}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{12}}\b
        | \b(?:{_TECHNOLOGY}|Local)/
      )
    | (?P<ip>(?<![0-9.]){_OCTET}(?:\.{_OCTET}){{3}}(?![0-9.]))
    | (?P<hexadecimal>                                                    # IPv6, MAC
        (?<![0-9A-Za-z:])
        (?:(?:{_HEX}:){{5,7}}{_HEX} | (?:{_HEX}:){{1,6}}:(?:{_HEX}:){{0,5}}{_HEX})
        (?![0-9A-Za-z:])
      )
    | (?P<grouped>\(?[0-9]{{1,5}}(?:\)?[ ./-]\(?[0-9]{{2,8}}){{1,5}}(?![0-9]))
    | (?P<digits>[0-9]{{1,64}})
    | (?P<word>[A-Za-z\u00aa\u00b5\u00ba\u00c0-\u1fff\u2070-\u2fff\u3005-\U0010ffff]{{1,64}})
    """,
    re.VERBOSE,
)


class Anonymiser:
    """
    The anonymised form of one stream, under a secret *key* that nobody needs to know later.
    """

    def __init__(self, key: bytes) -> None:
        self._pseudonyms = Pseudonyms(key)
        self._remembered: dict[bytes, bytes] = {}
        self._tail = b""

    def feed(self, chunk: bytes) -> bytes:
        """
        Take the next bytes of the stream; return the whole lines they complete, anonymised.

        All that is returned is as long as all that was taken, a last line aside that is
        not complete yet.
        """
        *lines, self._tail = (self._tail + chunk).split(b"\n")
        done = [self._line(line) + b"\n" for line in lines]
        while len(self._tail) > MAXIMUM_LINE_BYTES:
            head, self._tail = self._tail[:MAXIMUM_LINE_BYTES], self._tail[MAXIMUM_LINE_BYTES:]
            done.append(self._line(head))
        return b"".join(done)

    def finish(self) -> bytes:
        """
        Return what is left: a last line without an end.
        """
        line, self._tail = self._tail, b""
        return self._line(line)

    def _line(self, line: bytes) -> bytes:
        done = self._remembered.get(line)
        if done is None:
            text = line.decode(errors="surrogateescape")
            done = self._anonymised(text).encode(errors="surrogateescape")
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            if len(line) <= _LONGEST_REMEMBERED:
                self._remembered[line] = done
        return done

    def _anonymised(self, line: str) -> str:
        header = _HEADER.fullmatch(line)
        if header is None:
            return line if _BANNER.fullmatch(line) else self._text(line)
        name, value = header["name"].lower(), header["value"]
        return header["name"] + header["colon"] + self._value(name, value)

    def _value(self, name: str, value: str) -> str:
        """
        Anonymise the *value* of the header *name* (in small letters).
        """
        if name in HARMLESS_HEADERS or name.endswith(HARMLESS_ENDINGS):
            return value
        if name.endswith("context"):
            return self._context(value)
        if name in ("variable", "chanvariable"):
            identifier, equals, rest = value.partition("=")
            if _IDENTIFIER.fullmatch(identifier.rstrip()):
                return self._context(identifier) + equals + self._text(rest)
        if _SECRET_HEADER.fullmatch(name):
            return _blotted(value)
        if name == "digit":
            return re.sub(r"[0-9A-Da-d]", "0", value)
        return self._text(value, is_name=_NAME_HEADER.fullmatch(name) is not None)

    def _context(self, context: str) -> str:
        return _LONG_NUMBER.sub(lambda number: self._pseudonyms.number(number[0]), context)

    def _text(self, text: str, *, is_name: bool = False) -> str:
        """
        Replace what is not known to be harmless in *text*.
        """
        harmless = HARMLESS_IN_NAMES if is_name else VOCABULARY
        return _TOKEN.sub(lambda token: self._token(token, harmless), text)

    def _token(self, token: re.Match[str], harmless: frozenset[str]) -> str:
        match token.lastgroup:
            case "suffix":
                exten, context = self._text(token["exten"]), self._context(token["context"])
                done = f"Local/{exten}@{context}{token['suffix']}"
            case "serial":
                done = token["technology"] + self._text(token["endpoint"]) + token["serial"]
            case "ip":
                done = self._pseudonyms.ip_address(token[0])
            case "hexadecimal":
                done = self._pseudonyms.hexadecimal(token[0])
            case "grouped":
                done = self._grouped(token[0])
            case "digits" if len(token[0]) > 2:
                done = self._pseudonyms.number(token[0])
            case "word":
                done = self._word(token[0], harmless)
            case _:
                done = token[0]
        return done

    def _grouped(self, text: str) -> str:
        """
        Take groups of digits for one number if they are as many as a telephone number has.
        """
        digits = re.sub(r"[^0-9]", "", text)
        if len(digits) < 7:
            return re.sub(r"[0-9]{3,}", lambda run: self._pseudonyms.number(run[0]), text)
        pseudonym = iter(self._pseudonyms.number(digits))
        return re.sub(r"[0-9]", lambda _: next(pseudonym), text)

    def _word(self, word: str, harmless: frozenset[str]) -> str:
        if word.lower() in harmless or (harmless is VOCABULARY and len(word) == 1):
            return word
        pseudonym = self._pseudonyms.word(word)
        # A pseudonym that reads like a harmless word would be taken for that word. Going
        # on to the pseudonym's pseudonym leaves two words two pseudonyms.
        while pseudonym.lower() in harmless:
            pseudonym = self._pseudonyms.word(pseudonym)
        return pseudonym


def _blotted(secret: str) -> str:
    """
    Give a text as long as *secret* in octets that says nothing else of it.
    """
    octets = secret.encode(errors="surrogateescape")
    line_end = "\r" if octets.endswith(b"\r") else ""
    return "x" * (len(octets) - len(line_end)) + line_end


def anonymise(recording: bytes, key: bytes) -> bytes:
    """
    Anonymise a whole *recording* under *key*.
    """
    anonymiser = Anonymiser(key)
    return anonymiser.feed(recording) + anonymiser.finish()
