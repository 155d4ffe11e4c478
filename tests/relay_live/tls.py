"""A certificate authority of the test's own, servers' contexts signed by it, and a server that says why it refuses.

Lives here: `Authority`, and `serve_tls`, a thread with blocking sockets, because asyncio's own server hangs up where others send
an alert. Does not live here: what is said inside (`raw.py`).
"""

from __future__ import annotations

import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs for localhost unless told otherwise; its own certificate is in `path`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's authority")])
        self.path = folder / "authority.pem"
        self.path.write_bytes(self._sign(self._name, self._key, ca=True))

    def server_context(
        self,
        *,
        host: str = "localhost",
        days: int = 1,
        starts: int = -1,
        self_signed: bool = False,
        newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
        wants_certificate: bool = False,
    ) -> ssl.SSLContext:
        """A server's context; `days` and `starts` say when its certificate holds."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        place = self._folder / f"{len(list(self._folder.iterdir()))}.pem"
        signed = self._sign(
            name, key, ca=False, host=host, days=days, starts=starts, alone=key if self_signed else None
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        place.write_bytes(signed + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if newest < ssl.TLSVersion.TLSv1_2 and newest is not ssl.TLSVersion.MAXIMUM_SUPPORTED:
            context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # it is old on purpose
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = newest
        else:
            context.maximum_version = newest
        context.load_cert_chain(place)
        if wants_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.path)
        return context

    def _sign(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        ca: bool,
        host: str = "",
        days: int = 1,
        starts: int = -1,
        alone: ec.EllipticCurvePrivateKey | None = None,
    ) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name if alone is None else name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=starts))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if host:
            try:
                shown: x509.GeneralName = x509.IPAddress(ip_address(host))
            except ValueError:
                shown = x509.DNSName(host)
            builder = builder.add_extension(x509.SubjectAlternativeName([shown]), critical=False)
        return builder.sign(alone or self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@contextmanager
def serve_tls(context: ssl.SSLContext, answer: bytes) -> Iterator[int]:
    """A port where every connection gets a handshake, and one answer; until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_serve, args=(listening, context, answer))
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listening: socket.socket, context: ssl.SSLContext, answer: bytes) -> None:
    while True:
        try:
            sock, _ = listening.accept()
        except OSError:
            return
        with sock, suppress(OSError):
            sock.settimeout(5)
            with context.wrap_socket(sock, server_side=True) as talk:
                talk.recv(65_536)
                talk.sendall(answer)
                talk.recv(1)
