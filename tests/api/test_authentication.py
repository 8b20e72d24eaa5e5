"""Who is let in."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from deployments.errors import ConfigurationError
from serve_app import api_keys
from serve_app.api.authentication import check_protection
from serve_app.api.settings import ApiSettings
from serve_app.cli import cli
from serve_app.graph import build_app
from serve_app.settings import Settings
from serve_app.sizing import Resources
from tests.fakes import FakeReader, make_app

pytestmark = pytest.mark.anyio


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "keys"


def client_at(address: str | None, app: Any, key: str = "") -> httpx.AsyncClient:
    """A client whose requests come from an address."""

    async def seen_from(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "client": None if address is None else (address, 1)}, receive, send)

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(seen_from), base_url="http://test", headers=headers
    )


async def status(client: httpx.AsyncClient, path: str = "/v1/models") -> int:
    async with client:
        return (await client.get(path)).status_code


HERE, THERE = "127.0.0.1", "192.0.2.7"


@pytest.mark.parametrize(
    ("mode", "host", "client", "needed"),
    [
        ("auto", "127.0.0.1", HERE, False),
        ("auto", "localhost", "::1", False),
        ("auto", "::1", "127.9.9.9", False),
        ("auto", "127.0.0.1", THERE, True),
        ("auto", "127.0.0.1", None, True),
        ("auto", "127.0.0.1", "somewhere", True),
        ("auto", "0.0.0.0", HERE, True),  # noqa: S104 - compared, not bound
        ("auto", "::", HERE, True),
        ("auto", "192.0.2.1", THERE, True),
        ("auto", "my.host", HERE, True),
        ("on", "127.0.0.1", HERE, True),
        ("off", "0.0.0.0", THERE, False),  # noqa: S104 - compared, not bound
    ],
)
async def test_when_a_key_is_needed(
    file: Path, mode: str, host: str, client: str | None, needed: bool
) -> None:
    key = api_keys.new(file, "alice")
    app = make_app(FakeReader(), host=host, authentication=mode, keys_file=file)
    assert await status(client_at(client, app)) == (401 if needed else 200)
    assert await status(client_at(client, app, "wrong")) == (401 if needed else 200)
    assert await status(client_at(client, app, key)) == 200
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
        assert await status(client_at(client, app), path) == 200


async def test_every_other_path_is_behind_the_key(file: Path) -> None:
    app = make_app(FakeReader(), authentication="on", keys_file=file)
    for path in (
        "/v1/ocr",
        "/v1/chat/completions",
        "/nowhere",
        "/healthz/",
        "/v1//healthz",
        "/docs/../v1/models",
    ):
        async with client_at(HERE, app) as client:
            reply = await client.post(path, files={"file": b"%PDF"})
        assert reply.status_code == 401, path
        assert reply.headers["www-authenticate"] == "Bearer"
        assert reply.headers["x-request-id"]
        error = reply.json()["error"]
        assert (error["code"], error["type"]) == ("invalid_api_key", "authentication_error")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic {key}",
        "{key}",
        "Bearer {key}x",
        "Bearer x{key}",
        "Bearer \xff",
        "Bearer {name}",
    ],
)
async def test_what_is_no_key(file: Path, header: str) -> None:
    key = api_keys.new(file, "alice")
    app = make_app(FakeReader(), authentication="on", keys_file=file)
    async with client_at(HERE, app) as client:
        value = header.format(key=key, name="alice").encode("latin-1")
        assert (await client.get("/v1/models", headers={"Authorization": value})).status_code == 401
        spaced = f"bearer   {key} ".encode()
        assert (await client.get("/v1/models", headers={"Authorization": spaced})).status_code == 200


async def test_the_key_names_the_caller_and_stands_nowhere(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    alice, bob = api_keys.new(file, "alice"), api_keys.new(file, "bob")
    reader = FakeReader()
    app = make_app(reader, authentication="on", keys_file=file)
    for key in (alice, bob):
        async with client_at(THERE, app, key) as client:
            assert (await client.post("/v1/ocr", files={"file": b"%PDF"})).status_code == 200
    assert reader.callers == ["alice", "bob"]
    lines = [json.loads(record.message) for record in caplog.records if record.name.endswith("request_log")]
    assert [line["key"] for line in lines] == ["alice", "bob"]
    assert alice not in caplog.text


def test_a_key_is_long_and_kept_as_a_hash_that_others_can_not_read(file: Path) -> None:
    key = api_keys.new(file, "alice")
    assert len(key) > 40
    assert key.removeprefix(api_keys.PREFIX) not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


async def test_keys_come_and_go_while_the_service_runs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "LOOK_INTERVAL_S", 0)
    app = make_app(FakeReader(), authentication="on", keys_file=file)
    alice = api_keys.new(file, "alice")
    assert await status(client_at(HERE, app, alice)) == 200
    bob = api_keys.new(file, "bob")
    api_keys.revoke(file, "alice")
    assert await status(client_at(HERE, app, alice)) == 401
    assert await status(client_at(HERE, app, bob)) == 200
    await asyncio.to_thread(file.write_text, "nonsense\n")
    assert await status(client_at(HERE, app, bob)) == 200, "a slip of the pen locks nobody out"
    await asyncio.to_thread(file.unlink)
    assert await status(client_at(HERE, app, bob)) == 401


def test_a_service_that_would_be_open_to_all_does_not_start(file: Path) -> None:
    settings = ApiSettings(keys_file=file)
    for host in ("127.0.0.1", "::1", "localhost"):
        check_protection(settings, host)
    for host in ("0.0.0.0", "::", "192.0.2.1", "my.host"):  # noqa: S104 - compared, not bound
        with pytest.raises(ConfigurationError, match="dsocr keys new"):
            check_protection(settings, host)
    check_protection(ApiSettings(keys_file=file, authentication="off"), "192.0.2.1")
    whole = Settings.model_validate({"api": {"keys_file": str(file)}, "http": {"host": "192.0.2.1"}})
    with pytest.raises(ConfigurationError, match="dsocr keys new"):
        build_app(whole, Resources(cpus=2, gpus=0))
    api_keys.new(file, "alice")
    check_protection(settings, "192.0.2.1")


def test_a_service_does_not_start_with_a_damaged_file_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("alice is no hash\n")
    for host in ("127.0.0.1", "192.0.2.1"):
        with pytest.raises(ConfigurationError, match="Line 1"):
            check_protection(ApiSettings(keys_file=file), host)
    check_protection(ApiSettings(keys_file=file, authentication="off"), "127.0.0.1")


def test_the_words_that_yaml_takes_for_booleans() -> None:
    assert ApiSettings.model_validate({"authentication": False}).authentication == "off"
    assert ApiSettings.model_validate({"authentication": True}).authentication == "on"


@pytest.mark.parametrize(
    "text", ["alice", "alice sha256:12", "a b sha256:" + "0" * 64, "a sha256:" + "0" * 64 + " b"]
)
def test_a_file_that_is_none_of_keys(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(f"# keys\n\n{text}\n")
    with pytest.raises(ConfigurationError, match="Line 3"):
        api_keys.load(file)


def test_a_file_that_somebody_edited_keeps_what_they_wrote(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(f"# for the scanners\nalice sha256:{'0' * 64}")
    bob = api_keys.new(file, "bob")
    assert api_keys.find(api_keys.load(file), bob) == "bob"
    api_keys.revoke(file, "alice")
    assert list(api_keys.load(file)) == ["bob"]
    assert file.read_text().startswith("# for the scanners\nbob ")


def test_the_command(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSOCR_API__KEYS_FILE", str(file))
    run = CliRunner()
    made = run.invoke(cli, ["keys", "new", "alice"])
    assert made.exit_code == 0
    assert api_keys.find(api_keys.load(file), made.output.strip()) == "alice"
    assert run.invoke(cli, ["keys", "list"]).output == "alice\n"
    for arguments, message in (
        (["new", "alice"], "already"),
        (["new", "a b"], "letters"),
        (["revoke", "bob"], "no key named bob"),
    ):
        failed = run.invoke(cli, ["keys", *arguments])
        assert isinstance(failed.exception, ConfigurationError)
        assert message in str(failed.exception)
    assert run.invoke(cli, ["keys", "revoke", "alice"]).exit_code == 0
    assert run.invoke(cli, ["keys", "list"]).output == ""
