"""
Rules files: what they mean.
"""

import re
from pathlib import Path

import attrs
import pytest

from ami_bridge.config import load_config
from ami_bridge.config.report import describe
from ami_bridge.config.section import Section
from ami_bridge.core.call_events import EventType, HangupDialect
from ami_bridge.core.extensions import Party, PartyKind
from ami_bridge.core.rules import BodyFormat, ExtensionPattern, Method
from ami_bridge.core.signing import NO_CREDENTIALS, Credentials
from ami_bridge.settings import (
    AsteriskSettings,
    Config,
    StoreSettings,
    TlsSettings,
    TlsVerification,
)
from tests.unit.rules_files import DEFAULT_FILE, load, problems, request, write_examples

# -- the annotated default -------------------------------------------------------------


def test_the_default_file_is_the_built_in_default() -> None:
    """
    What stands uncommented in rules.toml is what holds without a file.
    """
    environ = {"STATE_DIRECTORY": "/var/lib/ami-bridge"}
    store = StoreSettings(Path("/var/lib/ami-bridge/outbox.sqlite"))

    assert load_config(None, environ) == Config(store=store)
    assert load_config(DEFAULT_FILE, environ) == Config(store=store, source=DEFAULT_FILE)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """
    Give the default file with all its examples in force.
    """
    return write_examples(tmp_path)


def test_the_examples_of_the_default_file_work(examples: Path) -> None:
    """
    Uncommented, every example in rules.toml is in force and means what its comment says.
    """
    config = load_config(examples, {})

    assert config.warnings == ()
    assert config.asterisk.secret == "s3cret"
    assert config.asterisk.tls == TlsSettings(
        TlsVerification.FULL, examples.parent / "asterisk-ca.pem", "pbx.example.org"
    )
    who = config.correlator.who_is_who
    assert who.identify("SIP/150010001-1", "any").extension == "150010*001"
    assert who.identify("IAX2/042-1", "acme").extension == "0007*042"
    assert who.identify("SIP/provider-1-1", "any").kind is PartyKind.OUTSIDE
    assert who.identify("DAHDI/5-1", "any").extension == "0003*005"
    assert config.correlator.public_numbers == {"0003*001": "+15550100001"}
    smallest, everything, last = config.rules
    assert [rule.method for rule in config.rules] == [Method.GET, Method.POST, Method.GET]
    assert everything.parameters["title"].text == "{CallerIDName} <{CallerIDNum}>"
    assert everything.headers == {"X-Source": "pbx"}
    assert smallest.credentials == NO_CREDENTIALS
    assert everything.credentials == Credentials("Basic cGJ4OnMzY3JldA==", (b"s3cret" * 4,))
    assert last.credentials == Credentials("Bearer s3cret")
    assert config.store.path == examples.parent / "outbox.sqlite"


def test_the_default_file_knows_every_key(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    There is no key that rules.toml does not mention.
    """
    asked: set[str] = set()
    take = Section._take

    def noting(section: Section, key: str) -> object:
        asked.add(key)
        return take(section, key)

    monkeypatch.setattr(Section, "_take", noting)
    load_config(examples, {})
    text = DEFAULT_FILE.read_text(encoding="utf-8")

    assert len(asked) > 50
    assert [key for key in asked if not re.search(rf"\b{re.escape(key)}\b", text)] == []


# -- what a file means -----------------------------------------------------------------


def test_the_smallest_file(tmp_path: Path) -> None:
    """
    A URL is enough: every event of every extension, as GET.
    """
    (rule,) = load(tmp_path, '[[requests]]\nurl = "http://crm.example/"').rules

    assert rule.events == frozenset(EventType)
    assert rule.extensions == (ExtensionPattern("*"),)
    assert (rule.method, rule.enabled, rule.format) == (Method.GET, True, BodyFormat.FORM)


@pytest.mark.parametrize(
    ("written", "events"),
    [
        pytest.param('"Dial-In"', {EventType.DIAL_IN}, id="one"),
        pytest.param('["dial-in", "HANGUP"]', {EventType.DIAL_IN, EventType.HANGUP}, id="any case"),
        pytest.param('"Answer"', {EventType.ANSWER_IN, EventType.ANSWER_OUT}, id="both answers"),
        pytest.param('["Answer-In"]', {EventType.ANSWER_IN}, id="one of the answers"),
    ],
)
def test_events(tmp_path: Path, written: str, events: set[EventType]) -> None:
    """
    `event` is one event or several, in any case; Answer stands for both kinds.
    """
    assert load(tmp_path, request(f"event = {written}")).rules[0].events == events


def test_everything_of_a_request(tmp_path: Path) -> None:
    """
    All attributes of a request arrive in its rule.
    """
    config = load(
        tmp_path,
        request(
            'id = "a.b-1"\nextension = ["0003*2*", "0004*"]\nevent = "Hangup"\nmethod = "post"\n'
            'status = "disabled"\nnotes = "one\\ntwo"\nformat = "json"\nomit_empty = true\n'
            'fields = ["eventid"]\nhangup_status = "detailed"\n'
            'parameters.x = "{CallID}"\nheaders.X-Y = " z "'
        ),
    )
    (rule,) = config.rules

    assert (rule.id, rule.method, rule.enabled, rule.notes) == (
        "a.b-1",
        Method.POST,
        False,
        "one\ntwo",
    )
    assert rule.extensions == (ExtensionPattern("0003*2*"), ExtensionPattern("0004*"))
    assert (rule.format, rule.omit_empty, rule.fields) == (BodyFormat.JSON, True, ("EventID",))
    assert rule.hangup_dialect is HangupDialect.DETAILED
    assert (rule.parameters["x"].text, rule.headers) == ("{CallID}", {"X-Y": "z"})


def test_derived_ids_are_stable(tmp_path: Path) -> None:
    """
    A request without an id has one by what it asks for: this value may never change.
    """
    written = 'extension = ["0003*", "0004*"]\nevent = ["Hangup", "Dial-In"]'
    turned = 'notes = "x"\nevent = ["dial-in", "hangup"]\nextension = ["0004*", "0003*"]'

    (rule,) = load(tmp_path, request(written)).rules
    (again,) = load(tmp_path, request(turned)).rules

    assert rule.id == again.id == "fd3637762acc5dd18c0ff5c0e38ed2f1"
    assert (
        load(tmp_path, request('method = "POST"')).rules[0].id
        != load(tmp_path, request("")).rules[0].id
    )


def test_general_keys(tmp_path: Path) -> None:
    """
    What holds for all calls arrives in the correlator's settings.
    """
    config = load(
        tmp_path,
        'hangup_status = "detailed"\noriginate = "dial-in"\nfeature_codes = ["\\\\*8.*"]\n'
        'anonymous_numbers = ["anonymous"]\n[asterisk]\nname = "pbx1"\n',
    )

    assert config.hangup_dialect is HangupDialect.DETAILED
    assert config.delivery_terms.dialect is HangupDialect.DETAILED
    assert config.correlator.originate_is_dial_in
    assert config.correlator.feature_codes == (re.compile(r"\*8.*"),)
    assert config.correlator.anonymous_numbers == {"anonymous"}
    assert config.correlator.pbx == config.asterisk.name == "pbx1"


@pytest.mark.parametrize(
    ("written", "channel", "context", "party"),
    [
        pytest.param("", "SIP/101-1", "", "0001*101", id="built-in patterns"),
        pytest.param('default_tenant = "0003"', "SIP/101-1", "", "0003*101", id="other tenant"),
        pytest.param("default_patterns = false", "SIP/101-1", "", "", id="none built in"),
        pytest.param('trunks = ["SIP/101"]', "SIP/101-1", "", "", id="a trunk"),
        pytest.param('trunks = ["SIP/101"]', "PJSIP/101-1", "", "0001*101", id="its technology"),
        pytest.param('endpoints."SIP/desk" = "7*1"', "SIP/desk-1", "", "7*1", id="the table"),
        pytest.param(
            "[[extensions.patterns]]\npattern = 'ext(?P<number>[0-9]+)'",
            "SIP/ext7-1",
            "",
            "0001*7",
            id="the default tenant in an own pattern",
        ),
        pytest.param(
            "[[extensions.patterns]]\npattern = '[0-9]+'\ncontexts = ['acme']\ntenant = '0007'",
            "SIP/101-1",
            "acme",
            "0007*101",
            id="by context",
        ),
        pytest.param(
            "[[extensions.patterns]]\npattern = '[0-9]+'\ncontexts = ['acme']\ntenant = '0007'",
            "SIP/101-1",
            "other",
            "0001*101",
            id="not by another context",
        ),
    ],
)
def test_who_is_who(tmp_path: Path, written: str, channel: str, context: str, party: str) -> None:
    """
    Endpoints, trunks, own patterns and built-in ones are tried in this order.
    """
    who = load(tmp_path, f"[extensions]\n{written}").correlator.who_is_who

    assert who.identify(channel, context).extension == party


def test_nobody(tmp_path: Path) -> None:
    """
    An endpoint that is nobody is no party at all.
    """
    who = load(tmp_path, '[extensions]\nnobody = ["SIP/999"]').correlator.who_is_who

    assert who.identify("SIP/999-1", "") == Party(PartyKind.NOBODY)


def test_tls_port(tmp_path: Path) -> None:
    """
    With TLS the port is 5039, unless the file says otherwise.
    """
    assert load(tmp_path, "[asterisk.tls]").asterisk.port == 5039
    assert load(tmp_path, "[asterisk]\nport = 7\ntls.verification = 'none'").asterisk.port == 7
    assert load(tmp_path, "").asterisk.port == AsteriskSettings().port == 5038


def test_zero_is_a_value(tmp_path: Path) -> None:
    """
    A zero where it is allowed is not taken for a missing value.
    """
    assert load(tmp_path, "[delivery]\ndrain_seconds = 0").delivery.drain_seconds == 0


def test_byte_order_mark(tmp_path: Path) -> None:
    """
    A file that an editor began with a byte order mark is read.
    """
    path = tmp_path / "rules.toml"
    path.write_bytes(b'\xef\xbb\xbfhangup_status = "detailed"')

    assert load_config(path, {}).hangup_dialect is HangupDialect.DETAILED


# -- several PBXs ----------------------------------------------------------------------

SEVERAL = """
[[asterisk]]
name = "berlin"
secret_env = "BERLIN"

[[asterisk]]
name = "bonn.2"
host = "bonn.example.org"
default_tenant = "0002"
tls.verification = "none"

[extensions]
endpoints."SIP/desk" = "0009*1"
trunks = ["SIP/300"]
patterns = [
  { pattern = "x(?P<number>[0-9]+)" },
  { pattern = "y(?P<number>[0-9]+)", tenant = "0007" },
]
"""


def test_several_pbxs(tmp_path: Path) -> None:
    """
    Each [[asterisk]] is a PBX with its own connection, and its name in front of its CallIDs.
    """
    berlin, bonn = load(tmp_path, SEVERAL, {"BERLIN": "s"}).pbxs

    assert (berlin.name, berlin.asterisk.address, berlin.asterisk.secret) == (
        "berlin",
        "127.0.0.1:5038",
        "s",
    )
    assert (bonn.name, bonn.asterisk.address, bonn.asterisk.secret) == (
        "bonn.2",
        "bonn.example.org:5039",
        "",
    )
    assert (berlin.correlator.pbx, bonn.correlator.pbx) == ("berlin", "bonn.2")


@pytest.mark.parametrize(
    ("channel", "berlin", "bonn"),
    [
        pytest.param("SIP/201-1", "0001*201", "0002*201", id="the built-in patterns"),
        pytest.param("SIP/x201-1", "0001*201", "0002*201", id="an own pattern without a tenant"),
        pytest.param("SIP/y201-1", "0007*201", "0007*201", id="one with a tenant"),
        pytest.param("SIP/desk-1", "0009*1", "0009*1", id="the table"),
        pytest.param("SIP/300-1", "", "", id="a trunk"),
    ],
)
def test_default_tenant_of_a_pbx(tmp_path: Path, channel: str, berlin: str, bonn: str) -> None:
    """
    Extensions whose endpoint tells no tenant are told apart by their PBX's default one.
    """
    pbxs = load(tmp_path, SEVERAL, {"BERLIN": "s"}).pbxs
    found = [pbx.correlator.who_is_who.identify(channel, "").extension for pbx in pbxs]

    assert found == [berlin, bonn]


def test_one_pbx_in_a_list_needs_no_name(tmp_path: Path) -> None:
    """
    A single [[asterisk]] is what [asterisk] is.
    """
    listed = load(tmp_path, "[[asterisk]]\nport = 7")

    assert listed == load(tmp_path, "[asterisk]\nport = 7")


def test_the_same_pbx_twice(tmp_path: Path) -> None:
    """
    Two names for one address are warned about.
    """
    config = load(tmp_path, "[[asterisk]]\nname = 'a'\n[[asterisk]]\nname = 'b'")

    assert [warning.path for warning in config.warnings] == ["asterisk[1].host"]
    assert "127.0.0.1:5038 is asterisk[0], too" in config.warnings[0].message


def test_one_of_several_pbxs(tmp_path: Path) -> None:
    """
    A configuration can be cut down to one PBX, by its name.
    """
    config = load(tmp_path, SEVERAL, {"BERLIN": "s"})

    assert config.only("bonn.2") == attrs.evolve(config, pbxs=config.pbxs[1:])
    assert config.only("bonn") is None


# -- secrets ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    ['secret_file = "s"', 'secret_env = "S"', 'secret_credential = "s"'],
)
def test_places_of_the_secret(tmp_path: Path, written: str) -> None:
    """
    The secret comes from a file, the environment or systemd, without its line break.
    """
    (tmp_path / "s").write_text("geheim ß\n", encoding="utf-8")
    environ = {"S": "geheim ß", "CREDENTIALS_DIRECTORY": str(tmp_path)}

    config = load(tmp_path, f"[asterisk]\n{written}", environ)

    assert config.asterisk.secret == "geheim ß"
    assert config.warnings == ()
    assert "geheim" not in repr(config)
    assert "geheim" not in "\n".join(describe(config))


def test_inline_secret(tmp_path: Path) -> None:
    """
    A secret in the rules file works, and is warned about without being shown.
    """
    config = load(tmp_path, '[asterisk]\nsecret = "geheim"')

    assert config.asterisk.secret == "geheim"
    assert [warning.path for warning in config.warnings] == ["asterisk.secret"]
    assert "geheim" not in repr(config)


@pytest.mark.parametrize(
    ("written", "path", "message"),
    [
        pytest.param(
            'secret_file = "nowhere"',
            "asterisk.secret_file",
            "nowhere: No such file or directory",
            id="no such file",
        ),
        pytest.param('secret_file = "."', "asterisk.secret_file", "Is a directory", id="a folder"),
        pytest.param('secret_file = "empty"', "asterisk.secret_file", "it is empty", id="empty"),
        pytest.param('secret_file = "latin"', "asterisk.secret_file", "not UTF-8", id="not UTF-8"),
        pytest.param('secret_file = "two"', "asterisk.secret_file", "line breaks", id="two lines"),
        pytest.param(
            'secret_env = "NOTHING"',
            "asterisk.secret_env",
            "there is no environment variable NOTHING",
            id="no such variable",
        ),
        pytest.param(
            'secret_credential = "x"',
            "asterisk.secret_credential",
            "LoadCredential=",
            id="not under systemd",
        ),
        pytest.param("secret = 5", "asterisk.secret", "expected a string", id="a number"),
        pytest.param(
            'secret = "geheim"\nsecret_env = "S"',
            "asterisk.secret_env",
            "only one place of the secret can hold",
            id="two places",
        ),
    ],
)
def test_secrets_that_cannot_be_read(tmp_path: Path, written: str, path: str, message: str) -> None:
    """
    A secret that cannot be had is a problem that says why, and shows nothing of it.
    """
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "latin").write_bytes(b"geheim\xff")
    (tmp_path / "two").write_text("geheim\ngeheim\n")

    ((found_path, found_message),) = problems(tmp_path, f"[asterisk]\n{written}")

    assert found_path == path
    assert message in found_message
    assert "geheim" not in found_message


def test_a_secret_that_is_not_needed(tmp_path: Path) -> None:
    """
    For a replay, a secret that cannot be read is a warning.
    """
    config = load(tmp_path, '[asterisk]\nsecret_file = "nowhere"', secret_needed=False)

    assert config.asterisk.secret == ""
    assert [warning.path for warning in config.warnings] == ["asterisk.secret_file"]


# -- URLs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "url"),
    [
        pytest.param("http://h/p?a=%2b*+;b#c", "http://h/p?a=%2b*+;b#c", id="kept as it is"),
        pytest.param("https://h/ä?ö=%C3%BC", "https://h/%C3%A4?%C3%B6=%C3%BC", id="letters"),
        pytest.param("HTTP://H:81", "http://H:81", id="the scheme in any case"),
        pytest.param("http://[::1]:81/x", "http://[::1]:81/x", id="IPv6"),
        pytest.param("http://h/{x}?y={z}", "http://h/{x}?y={z}", id="braces of somebody else"),
    ],
)
def test_urls(tmp_path: Path, written: str, url: str) -> None:
    """
    A URL stays as it is written, but that letters beyond ASCII are percent-encoded.
    """
    assert load(tmp_path, f'[[requests]]\nurl = "{written}"').rules[0].url == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("https://h/a#b", "# is for browsers", id="a fragment"),
        pytest.param("https://h/?rate=5%", "has a % that", id="a percent sign at the end"),
        pytest.param("https://h/%zz", "has a % that", id="a percent sign before letters"),
        pytest.param("https://0x7f.1/", "a loopback address", id="an old spelling of an address"),
    ],
)
def test_odd_urls(tmp_path: Path, url: str, said: str) -> None:
    """
    What is probably a mistake in a URL is a warning, and the URL stays as it is written.
    """
    config = load(tmp_path, f'[[requests]]\nurl = "{url}"')

    (warning,) = config.warnings
    assert (config.rules[0].url, warning.path) == (url, "requests[0].url")
    assert said in warning.message


def test_user_in_the_url(tmp_path: Path) -> None:
    """
    A user in the URL becomes credentials, so that the password is in nothing shown or stored.
    """
    config = load(tmp_path, '[[requests]]\nurl = "https://us%40er:geh%C3%A4im@h:81/x@y?a=b"')
    (rule,) = config.rules

    assert rule.url == "https://h:81/x@y?a=b"
    assert rule.headers == {}
    assert rule.credentials.authorization == "Basic dXNAZXI6Z2Vow6RpbQ=="
    assert "dXNAZ" not in repr(config)
    assert [warning.path for warning in config.warnings] == ["requests[0].url"]
