"""Settings: where they come from, and that nothing is silently ignored."""

from pathlib import Path

import pytest

from deployments.errors import ConfigurationError
from serve_app.settings import load_settings


def test_the_stronger_source_wins_and_the_weaker_fills_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("http: {port: 1111, host: 127.0.0.2}\nlimits: {max_pages: 7}\n")
    monkeypatch.setenv("DSOCR_SETTINGS", str(file))
    monkeypatch.setenv("DSOCR_HTTP__PORT", "2222")
    settings = load_settings({"limits": {"max_bytes": 5}})
    assert (settings.http.host, settings.http.port) == ("127.0.0.2", 2222)
    assert (settings.limits.max_pages, settings.limits.max_bytes) == (7, 5)


@pytest.mark.parametrize("content", [b"- a\n- b\n", b"\xff\xfeabc", b"a: [", b"word"])
def test_a_file_that_is_none_of_settings(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(content)
    monkeypatch.setenv("DSOCR_SETTINGS", str(file))
    with pytest.raises(ConfigurationError, match=r"YAML mapping|can't be read"):
        load_settings()


@pytest.mark.parametrize(
    ("overrides", "environment", "named"),
    [
        ({"modle": {}}, {}, "modle"),
        ({"model": {"vllm": {"max_num_seq": 1}}}, {}, "model.vllm.max_num_seq"),
        ({"http": {"port": 70000}}, {}, "http.port"),
        ({"model": {"vllm": {"ngram": {}}}}, {}, "model.vllm.ngram"),
        ({"reading": {"ladder": {"text": [{"ngram_size": 1}]}}}, {}, "at least 2"),
        ({"views": {"base_size": 640}}, {}, "views.base_size .* must equal model.vllm.base_size"),
        ({}, {"DSOCR_HTTP__PROT": "1"}, "http.prot"),
        ({}, {"DSOCR_MODLE__ENGINE": "vllm"}, "DSOCR_MODLE__ENGINE"),
        ({}, {"DSOCR_HTTP_PORT": "8001"}, "DSOCR_HTTP_PORT"),
        ({}, {"DSOCR_SETTINGS": "/nowhere.yaml"}, "/nowhere.yaml"),
    ],
)
def test_a_key_or_value_that_cannot_be_is_named(
    overrides: dict[str, object], environment: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=named):
        load_settings(overrides)


def test_what_kubernetes_says_of_its_services_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT": "8000",
        "SERVICE_PORT_SERVE": "8000",
        "PORT": "tcp://10.0.0.1:8000",
        "PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "PORT_8000_TCP_PROTO": "tcp",
    }.items():
        monkeypatch.setenv(f"DSOCR_{name}", value)
        monkeypatch.setenv(f"DSOCR_SERVE_SVC_{name}", value)
    assert load_settings().http.port == 8000


def test_a_settings_file_that_is_no_yaml_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("http: [unclosed")
    monkeypatch.setenv("DSOCR_SETTINGS", str(file))
    with pytest.raises(ConfigurationError, match="can't be read"):
        load_settings()
