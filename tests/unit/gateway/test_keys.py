"""API keys, generated secrets and what logs show of them."""

from __future__ import annotations

import stat
import uuid
from pathlib import Path

import pytest

from gateway.apikeys import decode_api_key, is_same_secret, new_api_key
from gateway.config.keyfiles import (
    ADMIN_TOKEN_FILE,
    ENCRYPTION_KEY_FILE,
    keep_restored,
    load_keys,
    read_configured,
)
from gateway.config.settings import Secret, SecretSettings, Settings
from gateway.config.table import ConfigInvalid
from gateway.process.observe import REDACTED, Damper, redact


def test_a_key_reads_back_and_only_its_own_hash_fits() -> None:
    key = new_api_key(uuid.uuid4())
    assert decode_api_key(key.text) == key
    assert decode_api_key(key.text.upper().replace("CB_", "cb_", 1)) == key
    assert is_same_secret(key.secret, key.secret_hash)
    assert not is_same_secret(new_api_key(key.id).secret, key.secret_hash)
    assert key.text not in repr(key)


@pytest.mark.parametrize(
    "text", ["", "cb_", "cb_x", "xx_" + "0" * 78, "cb_" + "0" * 77, "cb_" + "u" * 78, "cb_" + "z" * 78]
)
def test_what_is_not_a_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode_api_key(text)


def test_secrets_are_made_once_and_closed_to_others(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    keys = load_keys(settings)
    assert load_keys(settings) == keys
    assert len(keys.encryption_keys[0]) == 32
    for name in (ADMIN_TOKEN_FILE, ENCRYPTION_KEY_FILE):
        assert stat.S_IMODE((settings.data_dir / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700


def test_given_secrets_make_no_files(tmp_path: Path) -> None:
    made = load_keys(Settings(data_dir=tmp_path / "made"))
    text = (tmp_path / "made" / ENCRYPTION_KEY_FILE).read_text().strip()
    given = Settings(
        data_dir=tmp_path / "given", secrets=SecretSettings(Secret("a-token"), (Secret(text), Secret(text)))
    )
    keys = load_keys(given)
    assert keys.encryption_keys == made.encryption_keys * 2
    assert keys.admin_token == Secret("a-token")
    assert not (tmp_path / "given").exists()


def test_a_damaged_key_file_is_named(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    load_keys(settings)
    (tmp_path / ENCRYPTION_KEY_FILE).write_text("nonsense")
    with pytest.raises(ConfigInvalid, match="encryption-key is damaged"):
        load_keys(settings)


def test_restored_keys_replace_generated_ones_and_set_them_aside(tmp_path: Path) -> None:
    source = Settings(data_dir=tmp_path / "a")
    load_keys(source)
    target = Settings(data_dir=tmp_path / "b")
    before = load_keys(target)
    keep_restored(target, read_configured(source))
    assert load_keys(target) == load_keys(source)
    assert load_keys(target) != before
    assert (tmp_path / "b" / f"{ENCRYPTION_KEY_FILE}.before-restore").exists()
    assert keep_restored(target, read_configured(source)) == []


LEAKS = [
    {"url": "postgresql://user:s3cret@host/db"},
    {"note": "sent Authorization: Bearer s3cret"},
    {"detail": {"api_key": "s3cret"}},
    {"password": "s3cret"},
    {"items": ["whsec_s3cret"]},
    {"error": ValueError("GET https://node.example/v3/s3crets3crets3crets3crets3cret failed")},
    {"key": "cb_s3crets3crets3crets3crets3crets3cret"},
]


@pytest.mark.parametrize("event", LEAKS)
def test_logs_show_no_secret(event: dict[str, object]) -> None:
    shown = str(redact(None, "", dict(event)))
    assert "s3cret" not in shown
    assert REDACTED in shown


def test_logs_keep_what_is_no_secret() -> None:
    event: dict[str, object] = {
        "event": "chain-started",
        "height": 7,
        "tx": "0x" + "ab" * 32,
        "path": "/v1/keys/x",
    }
    assert redact(None, "", dict(event)) == event


def test_a_repeated_failure_speaks_once_a_minute_and_once_when_over() -> None:
    damper = Damper()
    assert damper.fails("x", 0.0) == 1
    assert [damper.fails("x", now_s) for now_s in (1.0, 30.0, 59.0)] == [None, None, None]
    assert damper.fails("x", 61.0) == 4
    assert damper.recovers("x")
    assert not damper.recovers("x")
