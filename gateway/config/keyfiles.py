"""The admin token and the encryption keys: as configured, or made once and kept in data_dir with mode 0600.

Lives here: making them so that two processes starting together end with the same ones, and judging file modes for
`doctor`. Does not live here: reading the configuration (`file`), what is encrypted (relay.keys.secretbox).
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config.settings import Secret, Settings
from gateway.config.shapes import ENCRYPTION_KEY_BYTES, decode_encryption_key
from gateway.config.table import ConfigInvalid

ADMIN_TOKEN_FILE = "admin-token"
ENCRYPTION_KEY_FILE = "encryption-key"
TOKEN_BYTES = 32
PRIVATE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Keys:
    """What this installation keeps secret; the first encryption key encrypts, every one decrypts."""

    admin_token: Secret
    encryption_keys: tuple[bytes, ...] = field(repr=False)


def load_keys(settings: Settings) -> Keys:
    """The secrets; those that were not configured are made at the first call. Raises ConfigInvalid."""
    token = settings.secrets.admin_token or Secret(
        _read_or_make(settings.data_dir, ADMIN_TOKEN_FILE, secrets.token_urlsafe(TOKEN_BYTES))
    )
    texts = [key.reveal() for key in settings.secrets.encryption_keys]
    if not texts:
        fresh = base64.b64encode(os.urandom(ENCRYPTION_KEY_BYTES)).decode()
        texts = _read_or_make(settings.data_dir, ENCRYPTION_KEY_FILE, fresh).split()
    keys = [decode_encryption_key(text) for text in texts]
    if not token or not keys or None in keys:
        raise ConfigInvalid(
            [
                f"{settings.data_dir}: {ADMIN_TOKEN_FILE} or {ENCRYPTION_KEY_FILE} is damaged; put back the file of a backup"
            ]
        )
    return Keys(token, tuple(key for key in keys if key is not None))


def read_configured(settings: Settings) -> dict[str, str]:
    """The secrets in use as they are written, by file name: what a backup takes along."""
    keys = [key.reveal() for key in settings.secrets.encryption_keys]
    token = settings.secrets.admin_token.reveal()
    return {
        ADMIN_TOKEN_FILE: token or (settings.data_dir / ADMIN_TOKEN_FILE).read_text(encoding="ascii").strip(),
        ENCRYPTION_KEY_FILE: "\n".join(keys)
        or (settings.data_dir / ENCRYPTION_KEY_FILE).read_text(encoding="ascii").strip(),
    }


def keep_restored(settings: Settings, keys: Mapping[str, str]) -> list[Path]:
    """Put a backup's secrets where generated ones stand; what stood there is set aside. Returns the files written."""
    generated = {
        ADMIN_TOKEN_FILE: not settings.secrets.admin_token,
        ENCRYPTION_KEY_FILE: not settings.secrets.encryption_keys,
    }
    written = []
    for name, text in keys.items():
        path = settings.data_dir / name
        if not generated.get(name, False) or (
            path.exists() and path.read_text(encoding="ascii").strip() == text.strip()
        ):
            continue
        make_data_dir(settings.data_dir)
        if path.exists():
            path.rename(path.with_name(f"{name}.before-restore"))
        _make(path, text.strip())
        written.append(path)
    return written


def make_data_dir(data_dir: Path) -> None:
    """Make the folder, closed to others; ConfigInvalid where that is not possible."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigInvalid([f"data_dir: {data_dir} can not be made: {error.strerror}"]) from error


def _read_or_make(data_dir: Path, name: str, fresh: str) -> str:
    path = data_dir / name
    make_data_dir(data_dir)
    try:
        if not path.exists():
            _make(path, fresh)
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid([f"data_dir: {path} can not be read: {error}"]) from error


def _make(path: Path, text: str) -> None:
    """Appears whole or not at all; whoever comes second finds the first one's."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, PRIVATE_MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)
    except FileExistsError:
        pass
    finally:
        partial.unlink()


def secret_files(settings: Settings) -> list[Path]:
    """The files of this installation that only its owner may read, as far as they exist."""
    files = [settings.data_dir / ADMIN_TOKEN_FILE, settings.data_dir / ENCRYPTION_KEY_FILE]
    if settings.source is not None:
        files.append(settings.source)
    return [file for file in files if file.exists()]


def is_open_to_others(path: Path) -> bool:
    """Whether group or others may read it."""
    return bool(path.stat().st_mode & 0o077)
