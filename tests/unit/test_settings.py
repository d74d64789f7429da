"""A wrong or unknown setting stops the start and says which, why, and what is expected."""

from pathlib import Path

import pytest

from rag_app.errors import SettingsError
from rag_app.settings import Settings, load_settings


def test_nothing_needs_to_be_set() -> None:
    settings = load_settings()
    assert settings.embedded
    assert settings.port == 8000
    assert settings.host == "127.0.0.1"
    assert settings.chat_model == "local/extractive"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("RAG_PORT", "0", "1 to 65535"),
        ("RAG_PORT", "70000", "1 to 65535"),
        ("RAG_PORT", "http", "port to listen on"),
        ("RAG_LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING or ERROR"),
        ("RAG_LOG_FORMAT", "xml", "text or json"),
        ("RAG_PUBLIC_URL", "rag.example.com", "https://"),
        ("RAG_DATABASE_URL", "mysql://x", "postgresql://"),
        ("RAG_SECRET_KEY", "short", "32 bytes"),
        ("RAG_TRUSTED_PROXY_HOPS", "-1", "0 to 10"),
        ("RAG_DRAIN_S", "-1", "0 to 600"),
        ("RAG_MAX_UPLOAD_MB", "0", "MB"),
        ("RAG_KEPT_VERSIONS", "0", "1 to 10000"),
    ],
)
def test_a_bad_value_names_setting_problem_and_expectation(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert caught.value.message.startswith(f"{name}: ")
    assert expected in caught.value.message
    assert "(expected: " in caught.value.message


def test_a_refused_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_SECRET_KEY", "too-short-secret")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "too-short-secret" not in caught.value.message


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_PORT", "x")
    monkeypatch.setenv("RAG_LOG_FORMAT", "x")
    with pytest.raises(SettingsError, match=r"RAG_PORT.*RAG_LOG_FORMAT|RAG_LOG_FORMAT.*RAG_PORT"):
        load_settings()


def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_PROT", "8001")
    with pytest.raises(SettingsError, match=r"unknown setting RAG_PROT .*RAG_PORT"):
        load_settings()


def test_names_of_other_parts_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_BENCH_DATA", "elsewhere")
    monkeypatch.setenv("RAGS_TO_RICHES", "1")
    load_settings()


@pytest.mark.parametrize("line", ["RAG_PORT=8123", "export RAG_PORT=8123", "rag_port = 8123", 'RAG_PORT="8123"'])
def test_the_env_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    (tmp_path / ".env").write_text(f"# a comment\n\n{line}\nOTHER=1\n", encoding="utf-8")
    assert load_settings().port == 8123


def test_the_environment_stands_above_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    (tmp_path / ".env").write_text("RAG_PORT=8123\n", encoding="utf-8")
    monkeypatch.setenv("RAG_PORT", "8124")
    assert load_settings().port == 8124


def test_an_unknown_name_in_the_env_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("export RAG_COLOUR=red\n#RAG_HIDDEN=1\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="unknown setting RAG_COLOUR "):
        load_settings()


def test_the_log_level_may_be_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_LOG_LEVEL", "debug")
    assert load_settings().log_level == "DEBUG"


def test_private_hosts_are_a_list() -> None:
    settings = load_settings(allowed_private_hosts=" Ollama.lan:11434, 10.0.0.7 ,,")
    assert settings.private_hosts == {"ollama.lan:11434", "10.0.0.7"}


def test_the_end_of_an_address_is_cut() -> None:
    assert load_settings(public_url="https://rag.example.com/").public_url == "https://rag.example.com"


def test_settings_that_nothing_follows_yet_are_named() -> None:
    settings = Settings(smtp_url="smtp://mail.example.com", redis_url="redis://cache.example.com")
    assert settings.without_effect == ("RAG_REDIS_URL", "RAG_SMTP_URL")
    assert Settings().without_effect == ()
