"""
Where connections lead, and where they never do: on real sockets.
"""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator

import aiohttp
import attrs
import pytest

from ami_bridge.adapters.connecting import AddressOf, Connections, connector
from ami_bridge.core.destinations import Destinations
from ami_bridge.settings import DeliverySettings
from tests.integration.asking import ALLOWED, NOWHERE, ask, ask_once
from tests.integration.receivers import HERE, ScriptedReceiver, after, status, until


def to(**destinations: tuple[str, ...]) -> DeliverySettings:
    """
    Give settings that allow *destinations*.
    """
    return attrs.evolve(NOWHERE, destinations=Destinations(**destinations))  # type: ignore[arg-type]


Answers = dict[str, list[list[str]]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """
    Give the names that the system knows: each answer is given once, the last one for ever.
    """
    known: Answers = {}
    monkeypatch.setattr(socket, "getaddrinfo", _knowing(known))
    return known


def _knowing(known: Answers) -> Callable[..., list[tuple[object, ...]]]:
    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        answers = known[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in found
        ]

    return getaddrinfo


# -- addresses in the URL --------------------------------------------------------------

SPELLINGS = [
    pytest.param("127.0.0.1", id="plain"),
    pytest.param("127.1", id="short"),
    pytest.param("2130706433", id="decimal"),
    pytest.param("0x7f000001", id="hexadecimal"),
    pytest.param("0177.0.0.1", id="octal"),
    pytest.param("0", id="nothing"),
    pytest.param("0.0.0.0", id="no address"),  # noqa: S104 - nobody is bound to it
    pytest.param("[::1]", id="IPv6"),
    pytest.param("[::]", id="no address of IPv6"),
    pytest.param("[::ffff:127.0.0.1]", id="mapped"),
    pytest.param("[::ffff:7f00:1]", id="mapped, in hexadecimal"),
    pytest.param("[0:0:0:0:0:ffff:7f00:0001]", id="mapped, in full"),
    pytest.param("[::127.0.0.1]", id="compatible"),
    pytest.param("[64:ff9b::7f00:1]", id="NAT64"),
    pytest.param("[2002:7f00:1::]", id="6to4"),
    pytest.param("localhost", id="by name"),
]


@pytest.mark.parametrize("host", SPELLINGS)
async def test_this_machine_in_any_spelling(host: str) -> None:
    """
    However this machine is written in the URL, nothing is connected to.
    """
    async with ScriptedReceiver() as receiver:
        with contextlib.suppress(OSError):
            async with ScriptedReceiver(host="::1", port=receiver.port) as other:
                said = await ask_once(NOWHERE, f"http://{host}:{receiver.port}/x")
                assert other.heard == []
        assert receiver.connections == set()

    assert isinstance(said, str)
    assert "not contacted" in said or "not a canonical IPv4 address" in said or "not known" in said


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f000001", "[::ffff:127.0.0.1]", "localhost"])
async def test_an_allowed_network(host: str) -> None:
    """
    What is in an allowed network is connected to, however it is written.
    """
    async with ScriptedReceiver() as receiver:
        assert await ask_once(ALLOWED, f"http://{host}:{receiver.port}/x") == 200

    assert [heard.raw_path for heard in receiver.heard] == ["/x"]


async def test_an_allowed_network_of_ipv6() -> None:
    """
    Networks of IPv6 are allowed like those of IPv4.
    """
    try:
        async with ScriptedReceiver(host="::1") as receiver:
            assert await ask_once(ALLOWED, f"{receiver.url}/x") == 200
    except OSError:
        pytest.skip("this machine has no IPv6")


async def test_what_the_operator_reads() -> None:
    """
    The reason is a sentence with the address and the line to add, without decoration.
    """
    said = await ask_once(NOWHERE, "http://127.0.0.1:1/x")

    assert said == (
        "127.0.0.1 is a loopback address and not contacted; "
        'to allow it, in [delivery]: allow_networks = ["127.0.0.1/32"]'
    )


async def test_other_failures_keep_their_words() -> None:
    """
    A connection that fails for another reason says that reason.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        said = await ask_once(ALLOWED, f"http://127.0.0.1:{free.getsockname()[1]}/")

    assert "Connect call failed" in str(said)


# -- names -----------------------------------------------------------------------------


async def test_a_name_that_leads_here(names: Answers) -> None:
    """
    It is the address of a name that counts; all that were refused are told.
    """
    names["crm.example"] = [["127.0.0.1", "::1"]]

    said = await ask_once(NOWHERE, "http://crm.example:1/")

    assert isinstance(said, str)
    assert "crm.example has the address 127.0.0.1, which is a loopback address" in said
    assert "crm.example has the address ::1, which is a loopback address" in said
    assert 'allow_hosts = ["crm.example"]' in said
    assert "Errno" not in said


async def test_one_good_address_is_enough(names: Answers) -> None:
    """
    Of several addresses of a name, only those that are allowed are connected to.
    """
    settings = to(allow_networks=(ipaddress.ip_network("127.0.0.2/32"),))  # type: ignore[arg-type]
    async with ScriptedReceiver(host="127.0.0.2") as good:
        names["crm.example"] = [["127.0.0.1", "127.0.0.2"]]
        async with ScriptedReceiver(port=good.port) as bad:
            assert await ask_once(settings, f"http://crm.example:{good.port}/") == 200

    assert len(good.heard) == 1
    assert bad.connections == set()


@pytest.mark.parametrize("cached", [True, False])
async def test_rebinding(names: Answers, cached: bool) -> None:
    """
    A name whose address changes after it was found good is judged by its new address.
    """
    settings = to(allow_networks=(ipaddress.ip_network("127.0.0.2/32"),))  # type: ignore[arg-type]
    names["crm.example"] = [["127.0.0.2"], ["127.0.0.1"]]
    async with (
        ScriptedReceiver(host="127.0.0.2", always=status(200, Connection="close")) as good,
        ScriptedReceiver(port=good.port) as bad,
        aiohttp.ClientSession(connector=connector(settings)) as session,
    ):
        url = f"http://crm.example:{good.port}/"
        async with session.get(url) as response:
            assert response.status == 200
        if not cached:
            assert isinstance(session.connector, aiohttp.TCPConnector)
            session.connector.clear_dns_cache()
            with pytest.raises(aiohttp.ClientConnectorError, match=r"the address 127\.0\.0\.1"):
                await session.get(url)
        else:
            async with session.get(url) as response:
                assert response.status == 200

    assert len(good.heard) == (2 if cached else 1)
    assert bad.connections == set()


async def test_an_allowed_host_vouches_for_no_other(names: Answers) -> None:
    """
    A host that may have any address is told apart from others at the same one, all at once.
    """
    settings = to(allow_hosts=("crm.lan",))
    names["crm.lan"] = names["evil.example"] = [["127.0.0.1"]]
    async with ScriptedReceiver(always=after(0.001)) as receiver, Connections(settings) as lines:
        good, evil = f"http://crm.lan:{receiver.port}/", f"http://evil.example:{receiver.port}/"
        literal = f"http://127.0.0.1:{receiver.port}/"
        for _ in range(3):
            said = await asyncio.gather(*(ask(lines, url) for url in (good, evil, literal) * 10))
            assert said[0::3] == [200] * 10
            assert all("evil.example has the address" in str(words) for words in said[1::3])
            assert all("127.0.0.1 is a loopback" in str(words) for words in said[2::3])

    assert {heard.headers["Host"] for heard in receiver.heard} == {f"crm.lan:{receiver.port}"}
    assert len(receiver.connections) <= 10


async def test_several_addresses_at_once(names: Answers) -> None:
    """
    In a race of several addresses each one still knows its host.
    """
    names["crm.lan"] = names["evil.example"] = [["::1", "127.0.0.1"]]
    async with ScriptedReceiver() as receiver, Connections(to(allow_hosts=("crm.lan",))) as lines:
        good, evil = await asyncio.gather(
            ask(lines, f"http://crm.lan:{receiver.port}/"),
            ask(lines, f"http://evil.example:{receiver.port}/"),
        )

    assert good == 200
    assert "not contacted" in str(evil)
    assert len(receiver.heard) == 1


async def test_only_hosts(names: Answers) -> None:
    """
    Where only some hosts are contacted, others are not even looked up.
    """
    settings = attrs.evolve(
        ALLOWED, destinations=attrs.evolve(HERE, only_hosts=("crm.lan", "*.office.example"))
    )
    asked: list[str] = []
    names["crm.lan"] = names["a.office.example"] = [["127.0.0.1"]]
    known = socket.getaddrinfo

    def noting(host: str, *rest: object, **more: object) -> object:
        asked.append(host)
        return known(host, *rest, **more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", noting)
        async with ScriptedReceiver() as receiver, Connections(settings) as lines:
            said = [
                await ask(lines, f"http://{host}:{receiver.port}/")
                for host in ("crm.lan", "a.office.example", "evil.example", "127.0.0.1")
            ]

    assert said[:2] == [200, 200]
    assert "evil.example is not contacted: it is not among only_hosts" in str(said[2])
    assert "127.0.0.1 is not contacted: it is not among only_hosts" in str(said[3])
    assert asked == ["crm.lan", "a.office.example"]


def test_an_address_keeps_its_host() -> None:
    """
    An address that knows its host is an address as any other.
    """
    address = AddressOf.made("127.0.0.1", "crm.lan")

    assert (address, address.host) == ("127.0.0.1", "crm.lan")
    assert socket.inet_aton(address) == b"\x7f\0\0\1"


# -- name servers that do not answer ---------------------------------------------------


@pytest.fixture
def hanging(names: Answers, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """
    Let names that begin with `slow` be found only when the event is set.
    """
    answers = threading.Event()
    known = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: object, **more: object) -> object:
        if host.startswith("slow"):
            answers.wait()
        return known(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    names["live.lan"] = [["127.0.0.1"]]
    yield answers
    answers.set()


async def test_hanging_name_servers(hanging: threading.Event) -> None:
    """
    However many names are not answered for, others are found, and files are read meanwhile.
    """
    settings = attrs.evolve(ALLOWED, connect_timeout_seconds=60.0, total_timeout_seconds=60.0)
    async with ScriptedReceiver() as receiver, Connections(settings) as lines:
        stuck = [
            asyncio.create_task(ask(lines, f"http://slow{number}.lan:{receiver.port}/"))
            for number in range(64)
        ]
        await until(lambda: sum("slow" in thread.name for thread in threading.enumerate()) == 64)
        async with asyncio.timeout(5):
            assert await ask(lines, f"http://live.lan:{receiver.port}/") == 200
            assert await asyncio.to_thread(lambda: 1) == 1
        assert not any(task.done() for task in stuck)
        hanging.set()
        assert {str(words)[:30] for words in await asyncio.gather(*stuck)} == {
            f"Cannot connect to host slow{number}.lan"[:30] for number in range(64)
        }


async def test_a_name_that_hangs_times_out(hanging: threading.Event) -> None:
    """
    A name that is not answered for costs the connect time-out, and one thread however often.
    """
    settings = attrs.evolve(ALLOWED, connect_timeout_seconds=0.02)
    async with Connections(settings) as lines:
        for _ in range(3):
            assert "timeout" in str(await ask(lines, "http://slow.lan:1/")).lower()
        assert sum("slow" in thread.name for thread in threading.enumerate()) == 1
    hanging.set()


async def test_an_answer_that_comes_too_late(hanging: threading.Event) -> None:
    """
    What a name server says when nobody listens any more disturbs nobody.
    """
    loop = asyncio.new_event_loop()
    settings = attrs.evolve(ALLOWED, connect_timeout_seconds=0.02)

    def in_another_loop() -> None:
        loop.run_until_complete(ask_once(settings, "http://slow.lan:1/"))
        loop.close()

    await asyncio.to_thread(in_another_loop)
    (late,) = [thread for thread in threading.enumerate() if "slow" in thread.name]
    hanging.set()
    await asyncio.to_thread(late.join, 5)

    assert not late.is_alive()
