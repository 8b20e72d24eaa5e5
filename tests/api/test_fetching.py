"""Fetching documents: what is fetched, and that nothing is sent where nothing may be sent."""

import gzip
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx
import pytest

from deployments.errors import AddressRefused, DocumentTooLarge, DocumentUnavailable, OcrError
from serve_app.fetching import Fetcher, FetchSettings
from tests.fakes import FakeReader, client_of, make_app, serving

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.215.14"
PDF = b"%PDF-1.7 not really"


class Network(httpcore.AsyncNetworkBackend):
    """Leads every connection to one port on loopback, and remembers what was asked for."""

    def __init__(self, address: str = "http://127.0.0.1:9") -> None:
        self.port = int(address.rpartition(":")[2])
        self.connected: list[tuple[str, int]] = []
        self.dead: set[str] = set()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.connected.append((host, port))
        if host in self.dead:
            raise httpcore.ConnectError
        return await httpcore.AnyIOBackend().connect_tcp("127.0.0.1", self.port, timeout)


class Names:
    """A name server; a name with several lists of addresses answers with the next one each time."""

    def __init__(self, **names: list[list[str]]) -> None:
        self.names = {name.replace("_", "."): answers for name, answers in names.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.names:
            raise OSError("no such name")
        answers = self.names[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


class Site:
    """A web site whose answer to each path the test sets: status, headers, body.

    A body may be pieces, of which None waits until the client has left.
    """

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.requests: list[tuple[str, dict[str, str]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].lstrip("/")
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((path, headers))
        status, extra, body = self.answers.get(path, (404, {}, b""))
        fields = [(name.encode(), value.encode()) for name, value in extra.items()]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        for piece in body if isinstance(body, list) else [body]:
            if piece is None:
                while (await receive())["type"] != "http.disconnect":
                    pass
            else:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def redirect(location: str, status: int = 302) -> tuple[int, dict[str, str], bytes]:
    return status, {"location": location}, b"go there"


REFUSED_HOSTS = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104 - asked for, not bound
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    f"[::ffff:{PUBLIC}]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::1]",
    "[100::1]",
    "[2001::1]",
    "[2001:db8::1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2a00:1::5efe:7f00:1]",
    "[2a00:1::200:5efe:7f00:1]",
    "[3fff::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fec0::1]",
    "[ff02::1]",
    "localhost",
    "localhost.",
]
ODD_FORMS = [
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.0.0.1",
    "0X7F.0.0.1",
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "1572395534",
    "0x5db8d70e",
    "256.1.1.1",
    "1.2.3.4.5",
    "name.0x",
]


@pytest.mark.parametrize("host", [*REFUSED_HOSTS, *ODD_FORMS])
@pytest.mark.parametrize("port", ["", ":8080"])
async def test_an_address_that_is_not_public_is_refused_before_anything_is_sent(host: str, port: str) -> None:
    network = Network()
    with pytest.raises(AddressRefused):
        await Fetcher(FetchSettings(), backend=network).fetch(f"http://{host}{port}/a.pdf", 100)
    assert network.connected == []


@pytest.mark.parametrize("host", REFUSED_HOSTS)
async def test_so_is_a_name_that_leads_there(host: str) -> None:
    inner = host.strip("[]").replace("%25", "%")
    if inner.startswith("localhost"):
        return
    for answer in ([inner], [PUBLIC, inner]):
        network = Network()
        with pytest.raises(AddressRefused) as caught:
            await Fetcher(FetchSettings(), resolve=Names(site_test=[answer]), backend=network).fetch(
                "https://site.test/a.pdf", 100, "document.document_url"
            )
        assert caught.value.param == "document.document_url"
        assert inner not in str(caught.value), "what a name means inside is not told"
        assert network.connected == []


@pytest.mark.parametrize(
    "address",
    [
        "ftp://site.test/a.pdf",
        "file:///etc/passwd",
        "gopher://site.test/",
        "//site.test/a.pdf",
        "http:///a.pdf",
        "http://",
        "http://user@site.test/",
        "http://user:secret@site.test/",
        "http://user\\@site.test/",
        "http://site.test:0/",
        "http://site.test:99999/",
        "http://site.test:x/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://\u2460.0.0.1/",
        "http://127\u30020\u30020\u30021/",
        "http://%31%32%37.0.0.1/",
        "http://unknown.test/",
        "http://si te.test/",
        "http://site.test/\r\nX-Injected: 1",
        "http://[::1/",
        "http://..../",
        "http://site.test/" + "a" * 9000,
    ],
)
async def test_addresses_that_are_none_to_fetch(address: str) -> None:
    network = Network()
    with pytest.raises(AddressRefused):
        await Fetcher(FetchSettings(), resolve=Names(site_test=[[PUBLIC]]), backend=network).fetch(
            address, 100
        )
    assert network.connected == []


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "100.63.255.255", "172.32.0.1", "2a00:1450::1", "2606:4700::1"]
)
async def test_a_public_address_is_connected_to_as_it_was_resolved(address: str) -> None:
    site = Site(doc=(200, {}, PDF))
    async with serving(site) as base:
        network, names = Network(base), Names(site_test=[[address], ["127.0.0.1"]])
        fetcher = Fetcher(FetchSettings(), resolve=names, backend=network)
        assert await fetcher.fetch("http://site.test:8080/doc?token=1#part", 100) == PDF
    assert network.connected == [(address, 8080)]
    assert names.asked == ["site.test"], "once"
    ((path, headers),) = site.requests
    assert path == "doc"
    assert headers == {
        "host": "site.test:8080",
        "user-agent": "dsocr",
        "accept": "application/pdf, image/*, */*;q=0.1",
        "accept-encoding": "identity",
        "connection": "close",
    }


async def test_the_next_address_is_tried_where_the_first_does_not_answer() -> None:
    async with serving(Site(doc=(200, {}, PDF))) as base:
        network = Network(base)
        network.dead = {PUBLIC}
        fetcher = Fetcher(FetchSettings(), resolve=Names(site_test=[[PUBLIC, "8.8.8.8"]]), backend=network)
        assert await fetcher.fetch("http://site.test/doc", 100) == PDF
        assert network.connected == [(PUBLIC, 80), ("8.8.8.8", 80)]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/a",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:10.0.0.1]/",
        "http://2130706433/",
        "//inside.test/a",
        "https://inside.test/a",
        "file:///etc/passwd",
        "http://user:secret@site.test/doc",
        "http://site.test:x/",
    ],
)
async def test_a_redirect_is_looked_at_like_the_first_address(location: str) -> None:
    async with serving(Site(hop=redirect(location), doc=(200, {}, PDF))) as base:
        network = Network(base)
        names = Names(site_test=[[PUBLIC]], inside_test=[["10.0.0.1"]])
        names.names["127.0.0.1"] = [["127.0.0.1"]]
        names.names["169.254.169.254"] = [["169.254.169.254"]]
        with pytest.raises(AddressRefused):
            await Fetcher(FetchSettings(), resolve=names, backend=network).fetch("http://site.test/hop", 100)
        assert network.connected == [(PUBLIC, 80)]


async def test_a_name_that_changes_its_mind_between_redirects_is_caught() -> None:
    async with serving(Site(hop=redirect("/doc"), doc=(200, {}, PDF))) as base:
        network = Network(base)
        names = Names(site_test=[[PUBLIC], ["127.0.0.1"]])
        with pytest.raises(AddressRefused):
            await Fetcher(FetchSettings(), resolve=names, backend=network).fetch("http://site.test/hop", 100)
        assert network.connected == [(PUBLIC, 80)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_up_to_a_bound(status: int) -> None:
    site = Site(one=redirect("two", status), two=redirect("/doc", status), doc=(200, {}, PDF))
    async with serving(site) as base:
        for allowed, expected in ((2, PDF), (1, None)):
            settings = FetchSettings(max_redirects=allowed)
            fetcher = Fetcher(settings, resolve=Names(site_test=[[PUBLIC]]), backend=Network(base))
            if expected is None:
                with pytest.raises(DocumentUnavailable, match="too often"):
                    await fetcher.fetch("http://site.test/one", 100)
            else:
                assert await fetcher.fetch("http://site.test/one", 100) == expected


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((200, {"content-length": "101"}, b"x" * 101), DocumentTooLarge),
        ((200, {}, [b"x" * 60, b"x" * 60, None]), DocumentTooLarge),
        ((200, {"content-encoding": "gzip"}, gzip.compress(b"x" * 100_000)), DocumentUnavailable),
        ((200, {}, [b"x", None]), DocumentUnavailable),
        ((200, {"content-length": "50"}, b"x"), DocumentUnavailable),
        ((404, {}, b"no"), DocumentUnavailable),
        ((204, {}, b""), DocumentUnavailable),
        ((302, {}, b""), DocumentUnavailable),
        ((500, {}, b"no"), DocumentUnavailable),
    ],
)
async def test_answers_that_are_no_document(answer: Any, error: type[OcrError]) -> None:
    settings = FetchSettings(allow_private_networks=True, timeout_s=1)
    async with serving(Site(doc=answer)) as base:
        with pytest.raises(error):
            await Fetcher(settings).fetch(f"{base}/doc", 100)


async def test_a_server_that_refuses_the_connection() -> None:
    async with serving(Site()) as base:
        pass
    with pytest.raises(DocumentUnavailable, match=r"127\.0\.0\.1 can't be reached"):
        await Fetcher(FetchSettings(allow_private_networks=True)).fetch(f"{base}/doc", 100)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fd00:ec2::254]", "0.1.2.3", "224.0.0.1", "[::ffff:127.0.0.1]"]
)
async def test_some_places_are_refused_even_where_private_networks_are_allowed(host: str) -> None:
    network = Network()
    with pytest.raises(AddressRefused):
        await Fetcher(FetchSettings(allow_private_networks=True), backend=network).fetch(
            f"http://{host}/", 100
        )
    assert network.connected == []


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(Site(doc=(200, {}, PDF))) as base:
        fetcher = Fetcher(FetchSettings(allow_private_networks=True))
        assert await fetcher.fetch(f"{base}/doc", 100) == PDF


@pytest.mark.parametrize("kind", ["document_url", "image_url"])
async def test_a_request_with_an_address(kind: str) -> None:
    site, reader = Site(doc=(200, {}, PDF)), FakeReader()
    async with (
        serving(site) as base,
        client_of(make_app(reader, fetch={"allow_private_networks": True})) as client,
    ):
        document = {"type": kind, kind: f"{base}/doc"}
        headers = {"Authorization": "Bearer secret", "Cookie": "a=b"}
        reply = await client.post("/v1/ocr", json={"document": document}, headers=headers)
        assert reply.status_code == 200, reply.text
        missing = await client.post("/v1/ocr", json={"document": {"type": kind, kind: f"{base}/no"}})
    assert reader.documents == [PDF]
    assert not {"authorization", "cookie"} & set(site.requests[0][1])
    assert missing.status_code == 422
    assert missing.json()["error"]["code"] == "document_unavailable"
    assert missing.json()["error"]["param"] == f"document.{kind}"


async def test_fetching_can_be_switched_off() -> None:
    async with client_of(make_app(FakeReader(), fetch={"enabled": False})) as client:
        document = {"type": "document_url", "document_url": f"http://{PUBLIC}/a.pdf"}
        reply: httpx.Response = await client.post("/v1/ocr", json={"document": document})
    assert reply.status_code == 400
    assert "does not fetch addresses" in reply.json()["error"]["message"]
