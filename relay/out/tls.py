"""TLS to strangers: the one context, and words for how it failed that help whoever runs the other end.

The words come from what the receiver sent or showed; they say nothing of our network. Lives here: `make_context`, `explain_tls`.
Does not live here: connecting (`dial`), the outcome itself (`egress`).
"""

from __future__ import annotations

import ssl

CLIENT_CERTIFICATE = "the server wants a client certificate"
TOO_OLD = "the server speaks only TLS below 1.2"
NOT_TLS = "the server does not speak TLS at this port"
NOTHING_IN_COMMON = "the server has no TLS settings in common with us"
NO_SUCH_NAME = "the server has no certificate for this name"
WEAK = "the server's keys or signatures are too weak"
CUT = "the server ended the connection during the TLS handshake"
UNTRUSTED = "the certificate is not trusted"

_OF_CERTIFICATE = {
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "the certificate chain ends in an authority we do not know",
    20: "the certificate is from an authority we do not know, or an intermediate one is missing",
    21: "the certificate is from an authority we do not know, or an intermediate one is missing",
    23: "the certificate was revoked",
    62: "the certificate is for another host",
    64: "the certificate is for another address",
}
_HANDSHAKE, _CERTIFICATE_REQUEST = 22, 13
_WEAK_CODES = frozenset({66, 67, 68})
_OF_REASON = {
    "CERTIFICATE_REQUIRED": CLIENT_CERTIFICATE,
    "BAD_CERTIFICATE": CLIENT_CERTIFICATE,
    "NO_CERTIFICATE": CLIENT_CERTIFICATE,
    "CERTIFICATE_UNKNOWN": CLIENT_CERTIFICATE,
    "UNKNOWN_CA": CLIENT_CERTIFICATE,
    "ACCESS_DENIED": CLIENT_CERTIFICATE,
    "PROTOCOL_VERSION": TOO_OLD,
    "UNSUPPORTED_PROTOCOL": TOO_OLD,
    "WRONG_SSL_VERSION": TOO_OLD,
    "WRONG_VERSION_NUMBER": NOT_TLS,
    "HTTP_REQUEST": NOT_TLS,
    "RECORD_LAYER_FAILURE": NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": NOT_TLS,
    "HANDSHAKE_FAILURE": NOTHING_IN_COMMON,
    "INSUFFICIENT_SECURITY": NOTHING_IN_COMMON,
    "NO_CIPHERS_AVAILABLE": NOTHING_IN_COMMON,
    "UNRECOGNIZED_NAME": NO_SUCH_NAME,
    "DH_KEY_TOO_SMALL": WEAK,
    "BAD_ECPOINT": WEAK,
    "WRONG_SIGNATURE_TYPE": WEAK,
}


class HandshakeCut(ConnectionError):
    """The connection ended before its handshake did."""


class CertificateWanted(ConnectionError):
    """The server asked for a client certificate, got none, and left."""


class _Telling(ssl.SSLObject):
    """Remembers whether the server asked for our certificate: often it then says no more than that it goes."""

    asked_for_ours = False

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except ssl.SSLError as error:
            if self.asked_for_ours:
                error.add_note(CLIENT_CERTIFICATE)
            raise


def _note_message(
    tls: ssl.SSLObject, direction: str, _version: int, kind: int, message: int, _data: bytes
) -> None:
    if direction == "read" and kind == _HANDSHAKE and message == _CERTIFICATE_REQUEST:
        tls.asked_for_ours = True  # type: ignore[attr-defined]  # it is a _Telling


def has_asked_for_ours(tls: ssl.SSLObject | None) -> bool:
    """Whether the other end of a connection of ours asked for a client certificate."""
    return isinstance(tls, _Telling) and tls.asked_for_ours


def make_context() -> ssl.SSLContext:
    """The system's authorities, certificates and names checked, TLS 1.2 or newer."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslobject_class = _Telling
    if hasattr(context, "_msg_callback"):  # meant for debugging; without it, fewer words
        context._msg_callback = _note_message  # noqa: SLF001  # nothing public says it
    return context


def explain_tls(error: BaseException) -> str:
    """Why TLS failed, in words for the receiver's owner; empty where it did not say."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return WEAK if error.verify_code in _WEAK_CODES else _OF_CERTIFICATE.get(error.verify_code, UNTRUSTED)
    if not isinstance(error, ssl.SSLError):
        if isinstance(error, CertificateWanted):
            return CLIENT_CERTIFICATE
        return CUT if isinstance(error, HandshakeCut) else ""
    _, _, alert = (error.reason or "").rpartition("_ALERT_")
    words = _OF_REASON.get(alert, "")
    if words is NOTHING_IN_COMMON and CLIENT_CERTIFICATE in getattr(error, "__notes__", ()):
        return CLIENT_CERTIFICATE
    return words
