"""Configuration: every error names its key, says what is wanted, and never shows a value."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from chains.evm.facts import facts_of
from chains.model import AssetId, BlockHash, BlockRef
from chains.traits import FinalAtDepth, FinalByTag
from gateway.config.file import find_config, load_settings
from gateway.config.settings import Bind, ReadyWhen, Settings
from gateway.config.table import ConfigInvalid
from indexer.rules.policy import ConfirmedBy, Requirement
from relay.proof.notes import COSIGNATURE, encode_verifier_key
from relay.settings import RETRY_SCHEDULE_S, WitnessSettings

KEY = base64.b64encode(bytes(range(32))).decode()
LOCAL = """
[chains.local]
family = "evm"
chain_id = 31337
native = { symbol = "ETH", decimals = 18, slip44 = 60 }
endpoints = ["http://127.0.0.1:8545"]
"""


def load(tmp_path: Path, text: str, **environment: str) -> Settings:
    """Settings from this text."""
    file = tmp_path / "chainbell.toml"
    file.write_text(text)
    return load_settings(file, environment=environment)


def test_without_a_file_the_defaults_hold() -> None:
    settings = load_settings(None, environment={})
    assert settings == Settings()
    assert settings.http.bind == Bind("127.0.0.1", 8480)
    assert settings.relay.retry.schedule_s == RETRY_SCHEDULE_S
    assert settings.chains == {}


def test_witnesses_are_read_with_the_name_and_the_key_they_sign_with(tmp_path: Path) -> None:
    key = bytes(range(32))
    encoded = encode_verifier_key("w.example/1", key, COSIGNATURE)
    text = f'[relay]\nwitnesses = [ {{ url = "https://w.example/", verifier_key = "{encoded}" }} ]'
    assert load(tmp_path, text).relay.witnesses == (WitnessSettings("https://w.example", "w.example/1", key),)


def test_the_file_is_the_given_one_else_the_environments_else_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(None, {}) is None
    (tmp_path / "chainbell.toml").write_text("")
    assert find_config(None, {}) == Path("chainbell.toml")
    assert find_config(None, {"CHAINBELL_CONFIG": "b"}) == Path("b")
    assert find_config("a", {"CHAINBELL_CONFIG": "b"}) == Path("a")


def test_a_relative_data_dir_stands_beside_its_file(tmp_path: Path) -> None:
    assert load(tmp_path, 'data_dir = "./x"').data_dir == tmp_path / "x"


WRONG = [
    ('dat_dir = "x"', "dat_dir: unknown key; did you mean data_dir?"),
    ("data_dir = 7", "data_dir: a string is wanted, not a whole number"),
    ("database = 7", "database: a table is wanted, not a whole number"),
    ("[database]\nurl = 7", "database.url: a string is wanted, not a whole number"),
    ('[database]\nurl = "mysql://x"', "database.url: a URL that starts with postgresql:// is wanted"),
    ('[database]\nurl = "$DATABASE"', "database.url: the environment variable DATABASE is not set"),
    ('[database]\nurl = "postgresql://x"', "secrets.admin_token: must be given with database.url"),
    ('[database]\nurl = "postgresql://x"', "secrets.encryption_key: must be given with database.url"),
    ('[redis]\nurl = "http://x"', "redis.url: a URL that starts with redis:// is wanted"),
    ('[http]\nbind = "8480"', "http.bind: a host and a port are wanted"),
    ('[http]\nbind = "node:1:8480"', "http.bind: an IPv6 address stands in brackets"),
    ('[http]\nbind = "127.0.0.1:99999"', "http.bind: a host and a port are wanted"),
    (
        '[http]\npublic_url = "shop.example"',
        "http.public_url: a URL that starts with http:// or https:// is wanted",
    ),
    ('[http]\nbnid = "x"', "http.bnid: unknown key; did you mean bind?"),
    ('[secrets]\nencryption_key = "short"', "secrets.encryption_key: base64 of 32 bytes is wanted"),
    (
        f'[secrets]\nencryption_key = ["{KEY}", "x"]',
        "secrets.encryption_key[1]: base64 of 32 bytes is wanted",
    ),
    ("[relay]\nretry_schedule_s = []", "relay.retry_schedule_s: 1 to 64 whole numbers of seconds are wanted"),
    ("[relay]\nretry_schedule_s = [5, -1]", "relay.retry_schedule_s: 1 to 64 whole numbers"),
    ("[relay]\nallowed_ports = []", "relay.allowed_ports: 1 to 64 ports are wanted"),
    ("[relay]\nallowed_ports = [443, 65536]", "relay.allowed_ports: 1 to 64 ports are wanted"),
    ("[relay]\nallowed_ports = [true]", "relay.allowed_ports: 1 to 64 ports are wanted"),
    ("[relay]\nhost_in_flight_max = 0", "relay.host_in_flight_max: a number from 1 to 1000 is wanted"),
    (
        '[relay]\nproxy_url = "https://u:p@proxy"',
        "relay.proxy_url: a URL like http://proxy.example:3128 is wanted",
    ),
    (
        '[relay]\nwitnesses = [ { url = "https://w.example", verifier_key = "x" } ]',
        "relay.witnesses[0].verifier_key: this is not a verifier key",
    ),
    (
        '[relay]\nwitnesses = [ { url = "w.example", verifier_key = "x" } ]',
        "relay.witnesses[0].url: a URL is wanted",
    ),
    ("[relay]\nverify_endpoints = 1", "relay.verify_endpoints: true or false is wanted"),
    ("[relay]\nretention_days = -1", "relay.retention_days: "),
    ("[relay]\nretention_max_days = 30", "relay.retention_max_days: does nothing without retention_days"),
    (
        "[relay]\nretention_days = 30\nretention_max_days = 36",
        "relay.retention_max_days: 37 or more is wanted: 7 days above retention_days, to warn in time",
    ),
    ("[relay]\nattempt_timeout_s = 0", "relay.attempt_timeout_s: a number above 0 and up to 60 is wanted"),
    (
        '[relay]\nallow_private_networks = "yes"',
        "relay.allow_private_networks: true or false is wanted, not a string",
    ),
    ('[alerts]\nwebhook_url = "nonsense"', "alerts.webhook_url: a URL that starts with"),
    ("[chains.ethereum]", "chains.ethereum.endpoints: at least one URL of a node is wanted"),
    (
        '[chains.ethereum]\nendpoints = ["ws://x"]',
        "chains.ethereum.endpoints: at least one http:// or https:// URL",
    ),
    (
        '[chains.bitcoin]\nendpoints = ["tcp://x:28332"]',
        "chains.bitcoin.endpoints: at least one http:// or https:// URL is wanted; tcp:// only gives hints",
    ),
    (
        '[chains.bitcoin]\nendpoints = ["http://x", "wss://x"]',
        "chains.bitcoin.endpoints: nodes of the family bitcoin do not speak wss://",
    ),
    (
        '[chains.ethereum]\nendpoints = ["http://x", "tcp://x:1"]',
        "chains.ethereum.endpoints: nodes of the family evm do not speak tcp://",
    ),
    (
        '[chains.bitcoin]\nendpoints = [{ url = "http://me:word@x", cookie_file = "/x" }]',
        "chains.bitcoin.endpoints[0].cookie_file: the URL names a user already",
    ),
    (
        '[chains.bitcoin]\nendpoints = ["http://x"]\nconfirmed = { finality = "safe" }',
        "chains.bitcoin.confirmed.finality: bitcoin has no safe blocks",
    ),
    (
        '[chains.bitcoin]\nendpoints = ["http://x"]\ntraces = true',
        "chains.bitcoin.traces: ",
    ),
    (
        '[chains.mine]\nfamily = "bitcoin"\nchain_id = 7\nnative = { }\nendpoints = ["http://x"]',
        "chains.mine.chain_id: the first 32 digits of a genesis block's hash are wanted",
    ),
    (
        '[chains.bitcoin]\nendpoints = ["http://x"]\nassets = [{ symbol = "X", contract = "script:51", decimals = 1 }]',
        "chains.bitcoin.assets[0].contract: chains of this family have no tokens",
    ),
    (
        '[chains.ethereum]\nendpoints = ["$RPC"]',
        "chains.ethereum.endpoints[0]: the environment variable RPC is not set",
    ),
    (
        '[chains.ethereum]\nendpoints = ["ipc:/x"]',
        "chains.ethereum.endpoints[0]: a URL that starts with http://",
    ),
    ("[chains.ethereum]\nendpoints = [{ }]", "chains.ethereum.endpoints[0].url: must be given"),
    (
        '[chains.ethereum]\nendpoints = [{ url = "http://x", operater = "me" }]',
        "chains.ethereum.endpoints[0].operater: unknown key; did you mean operator?",
    ),
    (
        '[chains.ethereum]\nendpoints = ["http://x"]\nchain_id = 5',
        "chains.ethereum.chain_id: ethereum is chain 1",
    ),
    ('[chains.ethereun]\nendpoints = ["http://x"]', "chains.ethereun.family: must be given"),
    ('[chains.ethereun]\nendpoints = ["http://x"]', "did you mean ethereum?"),
    ('[chains.Local]\nendpoints = ["http://x"]', "chains.Local: an alias is lower-case letters"),
    (LOCAL + "start = -1", 'chains.local.start: "head" or a height is wanted'),
    (LOCAL + "confirmed = { }", "chains.local.confirmed: either confirmations = 12 or finality"),
    (LOCAL + "confirmed = []", "chains.local.confirmed: at least one rule is wanted"),
    (LOCAL + "confirmed = { confirmations = 0 }", "chains.local.confirmed.confirmations: a number from 1 to"),
    (
        LOCAL + 'confirmed = [{ finality = "soon" }]',
        "chains.local.confirmed[0].finality: one of safe, final is wanted",
    ),
    (
        LOCAL + 'confirmed = [{ asset = "eip155:1/slip44:60", confirmations = 1 }]',
        "chains.local.confirmed[0].asset: not the native coin or a listed token",
    ),
    (LOCAL + "final = 12", "chains.local.final: a table is wanted"),
    (LOCAL + 'verification = "none"', "chains.local.verification: one of auto, agreement is wanted"),
    *(
        (
            LOCAL.replace("31337", wrong),
            "chains.local.chain_id: a number from 1 to 9007199254740992 is wanted",
        )
        for wrong in ("0", '"31337"', "9007199254740993", '"eip155:1"')
    ),
    (LOCAL.replace("31337", "true"), "chains.local.chain_id: which chain of its family is wanted"),
    (LOCAL + "block_time_s = 0", "chains.local.block_time_s: a number above 0"),
    (LOCAL + "polling = 1", "chains.local.polling: unknown key"),
    (LOCAL + 'assets = [{ symbol = "X", decimals = 6 }]', "chains.local.assets[0].contract: must be given"),
    (
        LOCAL
        + 'assets = [{ symbol = "X", decimals = 6, contract = "0x5FbDB2315678afecb367f032d93F642f64180aa4" }]',
        "chains.local.assets[0].contract: the EIP-55 checksum does not fit",
    ),
    (
        LOCAL
        + 'assets = [{ symbol = "X", decimals = 6, contract = "0x5FbDB2315678afecb367f032d93F642f64180aa3", '
        + "min_base_units = 0.5 }]",
        "chains.local.assets[0].min_base_units: an amount in base units is wanted",
    ),
    (LOCAL + LOCAL.replace("chains.local", "chains.twin"), "chains.twin: is the same chain as local"),
    ("x = [", "is not TOML"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_is_named_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)
    assert str(tmp_path / "chainbell.toml") in str(caught.value)


def test_one_run_names_every_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, 'dat_dir = "x"\n[http]\nbind = 7\n[chains.ethereum]\n')
    assert len(caught.value.flaws) == 3


SECRET = "s3cr3t-in-a-url"


def test_secrets_are_shown_in_no_error_and_no_repr(tmp_path: Path) -> None:
    text = (
        f'[database]\nurl = "mysql://u:{SECRET}@h/x"\n[secrets]\nencryption_key = "{SECRET}"\nadmin_token = "{SECRET} x"\n'
        f'[chains.ethereum]\nendpoints = ["ftp://u:{SECRET}@h"]\n[alerts]\nwebhook_url = "ftp://{SECRET}"'
    )
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, text)
    assert SECRET not in str(caught.value)
    settings = load(
        tmp_path,
        f'[database]\nurl = "postgresql://u:{SECRET}@h/x"\n[secrets]\nencryption_key = "{KEY}"\n'
        f'admin_token = "{SECRET}"\n[chains.ethereum]\nendpoints = ["https://h/v3/{SECRET}"]',
    )
    assert SECRET not in repr(settings)
    assert KEY not in repr(settings)
    assert settings.database_url.reveal() == f"postgresql://u:{SECRET}@h/x"


def test_a_known_alias_needs_only_an_endpoint_and_may_be_overridden(tmp_path: Path) -> None:
    plain = load(tmp_path, '[chains.ethereum]\nendpoints = ["$RPC"]', RPC="https://node.example").chains[
        "ethereum"
    ]
    assert plain.follow.traits.chain == "eip155:1"
    assert plain.endpoints[0].url == "https://node.example"
    assert plain.follow.confirm_rules
    assert isinstance(plain.follow.finality, FinalByTag)
    changed = load(
        tmp_path,
        '[chains.ethereum]\nendpoints = ["http://x"]\nfinal = { confirmations = 64 }\nblock_time_s = 3\n'
        'start = 7\nassets = []\nverification = "agreement"\nconfirmed = { finality = "safe" }',
    ).chains["ethereum"]
    assert changed.follow.finality == FinalAtDepth(64)
    assert (changed.follow.traits.block_time_s, changed.follow.start_height) == (3, 7)
    assert changed.follow.traits.assets == ()
    assert facts_of(changed.follow.traits).verification_profile == "agreement"
    assert changed.follow.confirm_rules[0].requirement == Requirement(ConfirmedBy.SAFE)


def test_an_unknown_alias_says_what_it_is(tmp_path: Path) -> None:
    chain = load(
        tmp_path,
        LOCAL
        + 'assets = [ { symbol = "USDT", contract = "0x5FbDB2315678afecb367f032d93F642f64180aa3", decimals = 6, '
        + 'min_base_units = "5" } ]\n'
        + 'confirmed = [ { up_to_base_units = "100", asset = "eip155:31337/erc20:0x5FBDB2315678afecb367f032d93F642f64180aa3", '
        + "confirmations = 1 }, { confirmations = 3 } ]",
    ).chains["local"]
    (asset,) = chain.follow.traits.assets
    assert asset.asset_id == "eip155:31337/erc20:0x5fbdb2315678afecb367f032d93f642f64180aa3"
    assert (asset.decimals, asset.min_base_units) == (6, 5)
    assert chain.follow.traits.native.asset_id == "eip155:31337/slip44:60"
    first, second = chain.follow.confirm_rules
    assert (first.asset, first.up_to_base_units) == (asset.asset_id, 100)
    assert second.requirement == Requirement(ConfirmedBy.DEPTH, 3)


ETH, USDC = "eip155:1/slip44:60", "eip155:1/erc20:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"


def bell(limit: str = "") -> str:
    """The line that lists one token of two decimals."""
    more = f', hold_unverified_above = "{limit}"' if limit else ""
    return f'assets = [{{ symbol = "BEL", contract = "0x{"5f" * 20}", decimals = 2{more} }}]'


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", {}),
        ('hold_unverified_above = "0"', {ETH: 0, USDC: 0}),
        ('hold_unverified_above = "never"', {ETH: None, USDC: None}),
        ('hold_unverified_above = { native = "0.5" }', {ETH: 5 * 10**17}),
        ('hold_unverified_above = { tokens = "2500", native = "never" }', {ETH: None, USDC: 2500 * 10**6}),
        ('native = { hold_unverified_above = "3" }', {ETH: 3 * 10**18}),
        ('native = { hold_unverified_above = "3" }\nhold_unverified_above = "0"', {ETH: 3 * 10**18, USDC: 0}),
        (bell("7.250"), {"bell": 725}),
        (bell() + '\nhold_unverified_above = "0"', {"bell": 0, ETH: 0}),
    ],
)
def test_what_one_operators_word_is_good_for_is_said_in_whole_coins(
    tmp_path: Path, text: str, limits: dict[str, int | None]
) -> None:
    settings = load(tmp_path, f'[chains.ethereum]\nendpoints = ["http://x"]\n{text}')
    found = settings.chains["ethereum"].follow.hold_limits
    listed = f"eip155:1/erc20:0x{'5f' * 20}"
    assert {name: found.get(AssetId(listed if name == "bell" else name)) for name in limits} == limits
    assert bool(found) == bool(limits)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('hold_unverified_above = "1000"', 'hold_unverified_above: either "0", "never" or { native'),
        ("hold_unverified_above = false", "hold_unverified_above: either"),
        (
            'hold_unverified_above = { token = "1" }',
            "hold_unverified_above.token: unknown key; did you mean tokens?",
        ),
        ("hold_unverified_above = { native = 1 }", "hold_unverified_above.native: an amount in whole coins"),
        (
            'hold_unverified_above = { native = "1e3" }',
            "hold_unverified_above.native: an amount in whole coins",
        ),
        (
            'hold_unverified_above = { native = "-1" }',
            "hold_unverified_above.native: an amount in whole coins",
        ),
        (
            'hold_unverified_above = { native = "\u0661" }',
            "hold_unverified_above.native: an amount in whole coins",
        ),
        ('hold_unverified_above = { tokens = "0.0000001" }', "at most 6 decimals for "),
        (
            bell("1.001"),
            "assets[0].hold_unverified_above: an amount",
        ),
        (
            bell("Never"),
            "assets[0].hold_unverified_above: an amount",
        ),
    ],
)
def test_a_limit_that_could_mean_something_else_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigInvalid, match=re.escape(said)):
        load(tmp_path, f'[chains.ethereum]\nendpoints = ["http://x"]\n{text}')


def test_endpoints_as_tables_keep_operator_budget_and_headers(tmp_path: Path) -> None:
    chain = load(
        tmp_path,
        '[chains.ethereum]\nendpoints = [ { url = "http://h", operator = "me", requests_per_s = 5, '
        'headers = { Authorization = "$TOKEN" } } ]',
        TOKEN="Bearer x",
    ).chains["ethereum"]
    (endpoint,) = chain.endpoints
    assert (endpoint.operator_name, endpoint.requests_per_s) == ("me", 5)
    assert endpoint.headers == {"Authorization": "Bearer x"}


def test_an_identity_block_is_a_height_and_a_hash(tmp_path: Path) -> None:
    text = LOCAL + 'identity = { height = 12, hash = "0x' + "Ab" * 32 + '" }'
    traits = load(tmp_path, text).chains["local"].follow.traits
    assert traits.identity == BlockRef(12, BlockHash(b"\xab" * 32))
    assert load(tmp_path, LOCAL).chains["local"].follow.traits.identity is None


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("{ height = 12 }", "chains.local.identity.hash: must be given"),
        ('{ hash = "0x00" }', "chains.local.identity.height: must be given"),
        ('{ height = 1, hash = "0x00" }', "chains.local.identity.hash: a block hash is 0x and exactly 64"),
        ('{ height = -1, hash = "0x00" }', "chains.local.identity.height: a number from 0"),
        ('{ height = 1, hash = "0x00", number = 1 }', "chains.local.identity.number: unknown key"),
        ('"0x00"', "chains.local.identity: a table is wanted"),
    ],
)
def test_half_an_identity_block_is_none(tmp_path: Path, block: str, said: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, f"{LOCAL}identity = {block}")
    assert said in str(caught.value)


def test_health_bind_is_read_inside_http_and_at_the_top(tmp_path: Path) -> None:
    assert load(tmp_path, '[http]\nhealth_bind = "0.0.0.0:1"').http.health_bind == Bind("0.0.0.0", 1)
    assert load(tmp_path, 'health_bind = "[::1]:2"').http.health_bind == Bind("::1", 2)


def test_encryption_keys_may_be_several_while_rotating(tmp_path: Path) -> None:
    other = base64.urlsafe_b64encode(bytes(range(224, 256))).decode()
    settings = load(tmp_path, f'[secrets]\nencryption_key = ["{other}", "{KEY}"]')
    assert [key.reveal() for key in settings.secrets.encryption_keys] == [other, KEY]


def test_what_readiness_waits_for_is_one_of_three_words(tmp_path: Path) -> None:
    assert load(tmp_path, "").http.ready_when is ReadyWhen.EVERY_CHAIN
    assert load(tmp_path, '[http]\nready_when = "any_chain"').http.ready_when is ReadyWhen.ANY_CHAIN
    with pytest.raises(ConfigInvalid, match=r"http\.ready_when.*every_chain"):
        load(tmp_path, '[http]\nready_when = "any"')
