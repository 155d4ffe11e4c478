"""Fetches a bitcoind for the tests without installing anything: Debian's packages, unpacked into this checkout.

`python -m tests.devnet.bitcoind_install` (make bitcoind) puts the node and the libraries that it was built with into the
ignored folder `.bitcoind`.  The mirror is the one that apt uses here; every package is held against the SHA-256 of the
suite's index, and the index against the suite's release file, whose signature gpgv checks with Debian's own keys.
Starting the node is `bitcoind`.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.devnet.anvil import REPOSITORY

SUITE = "forky"
INDEX = "main/binary-amd64/Packages.xz"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
FOLDER = REPOSITORY / ".bitcoind"
READY = FOLDER / ".ready"
PACKAGES: Sequence[str] = (
    "bitcoin-knots",
    "libstdc++6",
    "libgcc-s1",
    "libc6",
    "libevent-core-2.1-7t64",
    "libevent-extra-2.1-7t64",
    "libevent-pthreads-2.1-7t64",
    "libzmq5",
    "libsodium26",
    "libpgm-5.3-0t64",
    "libnorm1t64",
    "libgssapi-krb5-2",
    "libkrb5-3",
    "libk5crypto3",
    "libcom-err2",
    "libkrb5support0",
    "libkeyutils1",
    "libsqlite3-0",
    "libbsd0",
    "libmd0",
)
DEADLINE_S = 120.0
PACKAGE_BYTES_MAX = 64 * 1024 * 1024


class NotInstalled(Exception):
    """The node could not be fetched; says why."""


def install() -> None:
    """Fetch, check and unpack; does nothing where that was done."""
    if READY.exists():
        return
    for tool in ("apt-get", "dpkg", "gpgv"):
        if shutil.which(tool) is None:
            raise NotInstalled(f"there is no {tool} here: put a bitcoind on PATH instead")
    mirror = _ask_mirror()
    index = _fetch_index(mirror)
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "root").mkdir(parents=True)
    for name in PACKAGES:
        path, digest = _find_package(index, name)
        package = FOLDER / f"{name}.deb"
        package.write_bytes(_fetch_checked(f"{mirror}/{path}", digest))
        subprocess.run(["dpkg", "-x", str(package), str(FOLDER / "root")], check=True)
        package.unlink()
    READY.touch()


def _ask_mirror() -> str:
    """Where this machine's apt has its packages from."""
    shown = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"], check=True, capture_output=True, text=True
    )
    for line in shown.stdout.splitlines():
        if line.startswith(("http://", "https://")):
            return line.rstrip("/")
    raise NotInstalled("apt names no mirror: put a bitcoind on PATH instead")


def _fetch_index(mirror: str) -> str:
    """The suite's list of packages, as its signed release file names it."""
    release = _fetch(f"{mirror}/dists/{SUITE}/InRelease")
    checked = subprocess.run(
        ["gpgv", "--keyring", str(KEYS), "--output", "-", "-"],
        input=release,
        capture_output=True,
        check=False,
    )
    if checked.returncode:
        raise NotInstalled(f"the release file of {SUITE} is not signed with {KEYS}")
    section = checked.stdout.decode().partition("\nSHA256:\n")[2]
    found = re.search(rf"^ ([0-9a-f]{{64}}) +[0-9]+ {re.escape(INDEX)}$", section, re.MULTILINE)
    if found is None:
        raise NotInstalled(f"the release file of {SUITE} does not name {INDEX}")
    return lzma.decompress(_fetch_checked(f"{mirror}/dists/{SUITE}/{INDEX}", found[1])).decode()


def _find_package(index: str, name: str) -> tuple[str, str]:
    """Where a package lies beneath the mirror, and its SHA-256."""
    stanza = re.search(rf"^Package: {re.escape(name)}\n(?:.+\n)*", index, re.MULTILINE)
    fields = dict(line.split(": ", 1) for line in stanza[0].splitlines() if ": " in line) if stanza else {}
    if "Filename" not in fields or "SHA256" not in fields:
        raise NotInstalled(f"{SUITE} has no package {name} any more")
    return fields["Filename"], fields["SHA256"]


def _fetch_checked(url: str, digest: str) -> bytes:
    content = _fetch(url)
    if hashlib.sha256(content).hexdigest() != digest:
        raise NotInstalled(f"{url.rpartition('/')[2]} is not what its index says")
    return content


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:  # a mirror that the machine's owner chose
        content: bytes = answer.read(PACKAGE_BYTES_MAX + 1)
    if len(content) > PACKAGE_BYTES_MAX:
        raise NotInstalled(f"{url.rpartition('/')[2]} is larger than {PACKAGE_BYTES_MAX} bytes")
    return content


if __name__ == "__main__":
    try:
        install()
    except (NotInstalled, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"bitcoind: {error}")
