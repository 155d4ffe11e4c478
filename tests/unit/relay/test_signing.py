"""Signatures: the published vectors, the reference implementation, and what must never be signed."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
import standardwebhooks

from relay.keys import signing

ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP_S = 1614265330
BODY = b'{"test": 2432232314}'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="


def test_the_vectors_of_standard_webhooks_come_out() -> None:
    header = signing.sign(
        ID,
        TIMESTAMP_S,
        BODY,
        secrets=[signing.decode_secret(SECRET)],
        signing_keys=[signing.decode_signing_key(PRIVATE)],
    )
    assert header == f"{V1} {V1A}"


def test_every_secret_still_valid_signs_in_order_before_the_key() -> None:
    old, new = b"o" * 32, b"n" * 32
    key = signing.signing_key_from_seed(bytes(32))
    header = signing.sign("evt_1", TIMESTAMP_S, BODY, secrets=[new, old], signing_keys=[key])
    assert [part.partition(",")[0] for part in header.split()] == ["v1", "v1", "v1a"]
    alone = signing.sign("evt_1", TIMESTAMP_S, BODY, secrets=[new], signing_keys=[])
    assert header.split()[0] == alone


def test_the_reference_implementation_accepts_what_we_sign() -> None:
    now = datetime.now(UTC)
    secret = signing.encode_secret(bytes(range(32)))
    signature = signing.sign(
        "evt_1",
        int(now.timestamp()),
        BODY,
        secrets=[b"x" * 24, bytes(range(32))],
        signing_keys=[signing.signing_key_from_seed(bytes(32))],
    )
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    assert standardwebhooks.Webhook(secret).verify(BODY, headers) == {"test": 2432232314}
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(BODY + b" ", headers)


def test_an_id_with_a_dot_or_no_key_at_all_is_never_signed() -> None:
    with pytest.raises(AssertionError):
        signing.sign("evt.1", TIMESTAMP_S, BODY, secrets=[b"x" * 32], signing_keys=[])
    with pytest.raises(AssertionError):
        signing.sign("evt_1", TIMESTAMP_S, BODY, secrets=[], signing_keys=[])


def test_secrets_and_keys_are_read_back_as_written() -> None:
    assert signing.decode_secret(signing.encode_secret(b"s" * 24)) == b"s" * 24
    key = signing.decode_signing_key("whsk_" + base64.b64encode(bytes(32)).decode())
    public = signing.encode_public_key(signing.public_bytes(key))
    assert public.startswith("whpk_")
    assert len(base64.b64decode(public[5:])) == 32


# RFC 8032, 7.1, tests 1 to 3: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize("seed, public_key, message, signature", RFC_8032)
def test_our_keys_are_those_of_rfc_8032(seed: str, public_key: str, message: str, signature: str) -> None:
    key = signing.signing_key_from_seed(bytes.fromhex(seed))
    assert signing.public_bytes(key).hex() == public_key
    assert key.sign(bytes.fromhex(message)).hex() == signature


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_!!!", "abc", "whsec_" + base64.b64encode(b"short").decode()]
)
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        signing.decode_secret(text)


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_secret_of_a_wrong_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError):
        signing.encode_secret(bytes(size))


def test_a_signing_key_whose_halves_do_not_match_is_refused() -> None:
    with pytest.raises(ValueError):
        signing.decode_signing_key("whsk_" + base64.b64encode(bytes(64)).decode())
    with pytest.raises(ValueError):
        signing.decode_signing_key("whsk_" + base64.b64encode(bytes(31)).decode())
