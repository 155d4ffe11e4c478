"""Writes the tables of `chains.md` from the catalogue and the profiles.

    .venv/bin/python -m docs.render_chains          say whether the page is behind: status 1
    .venv/bin/python -m docs.render_chains --write  bring it up to date

The prose between the markers' blocks is written by hand; a test compares the
rest with what this script makes.
"""

# ruff: noqa: INP001 - docs/ is a folder of pages, not a package

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from chains import catalog
from chains.catalog import CatalogueEntry, Seen, TokenStatus
from chains.evm.facts import facts_of
from chains.evm.verify import PROFILES, Check, Mode
from chains.families import rules_of
from chains.family import FamilyRules
from chains.traits import Family, FinalAtDepth

PAGE = Path(__file__).with_name("chains.md")
BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SIGNS = {
    Mode.ENFORCED: "✓",
    Mode.ON_TRIAL: "✓ once held",
    Mode.BEST_EFFORT: "when it holds",
    Mode.ABSENT: "–",
}


def rules_for(found: CatalogueEntry) -> FamilyRules:
    """What the network's family brings."""
    return rules_of(found.traits.family)


def render_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def describe_seconds(seconds: float | None) -> str:
    """A duration as people say it."""
    if seconds is None:
        return "not measured"
    if seconds < 120:
        return f"{seconds:g} s"
    if seconds < 7200:
        return f"{seconds / 60:g} min"
    return f"{seconds / 3600:g} h"


def describe_final(found: CatalogueEntry) -> str:
    """The chain's finality rule in a few words."""
    rule = found.traits.finality
    if isinstance(rule, FinalAtDepth):
        return "at inclusion" if rule.confirmations == 1 else f"at {rule.confirmations} confirmations"
    return "`finalized`"


def describe_confirmed(found: CatalogueEntry) -> str:
    """The default policy in a few words."""
    rule = found.confirmed
    if rule.confirmations is None:
        return f"`{rule.finality}`"
    return "at inclusion" if rule.confirmations == 1 else f"{rule.confirmations} confirmations"


def render_networks() -> str:
    """One row a network."""
    head = ("alias", "chain", "coin", "block time", "final", "usually after", "`safe`", "confirmed by default",
            "rewind bound", "profile")  # fmt: skip
    return render_table(
        head,
        (
            (
                ", ".join(f"`{alias}`" for alias in found.aliases),
                f"{found.name} `{found.traits.chain}`",
                f"{found.traits.native.symbol} `{found.traits.native.asset_id.partition('/')[2]}`",
                f"{found.traits.block_time_s:g} s",
                describe_final(found),
                describe_seconds(found.final_after_s),
                "yes" if rules_for(found).facts.tells_safe(found.traits) else "no",
                describe_confirmed(found),
                f"{found.traits.reorg_window_blocks:,}",
                f"`{rules_for(found).facts.describe_verification(found.traits).profile}`",
            )
            for found in catalog.entries()
        ),
    )


def render_profiles() -> str:
    """One row a profile of the EVM family, one column a check."""
    used: dict[str, list[str]] = {}
    for found in catalog.entries():
        if found.traits.family is not Family.EVM:
            continue
        used.setdefault(facts_of(found.traits).verification_profile, []).append(found.traits.alias)
    rows = [
        (f"`{name}`", *(SIGNS[profile.modes[check]] for check in Check), ", ".join(used.get(name, ["–"])))
        for name, profile in PROFILES.items()
    ]
    summaries = "".join(f"- `{name}`: {profile.summary}.\n" for name, profile in PROFILES.items())
    return render_table(("profile", *(check.value for check in Check), "networks"), rows) + "\n" + summaries


def render_tokens() -> str:
    """One row a token contract."""
    rows = []
    for found in catalog.entries():
        for token in found.tokens:
            assert token.asset.contract is not None
            status = "" if token.status is TokenStatus.ACTIVE else "superseded: list it to look for it"
            flags = ", ".join(token.flags)
            rows.append(
                (
                    found.traits.alias,
                    token.asset.symbol,
                    f"`{rules_for(found).format_address(found.traits.chain, token.asset.contract)}`",
                    str(token.asset.decimals),
                    token.issuance.replace("_", " "),
                    "; ".join(part for part in (status, flags) if part),
                )
            )
    return render_table(("network", "symbol", "contract", "decimals", "issued", "note"), rows)


def render_notes() -> str:
    """What to know about each network, and where its facts are from."""
    parts = []
    for found in catalog.entries():
        excluded = facts_of(found.traits).excluded_emitters if found.traits.family is Family.EVM else ()
        emitters = ", ".join(
            f"`{rules_for(found).format_address(found.traits.chain, emitter)}`" for emitter in excluded
        )
        notes = [note[0].upper() + note[1:] for note in found.notes]
        if emitters:
            notes.append(f"Not counted as tokens: {emitters}")
        notes.append(SEEN[found.seen])
        lines = "".join(f"- {note}.\n" for note in notes)
        parts.append(f"### {found.name}\n\n{lines}- Sources: {'; '.join(found.sources)}.\n")
    return "\n".join(parts)


SEEN = {
    Seen.BLOCK: "Seen here: whole blocks of it",
    Seen.HEADER: "Seen here: headers of it, and no whole block",
    Seen.NODE: "Seen here: a node of it",
    Seen.NOTHING: "Seen here: nothing of its own; it is held to the rules of its family until its blocks show them",
}

RENDERERS = {
    "networks": render_networks,
    "profiles": render_profiles,
    "tokens": render_tokens,
    "notes": render_notes,
}


def render_page(text: str) -> str:
    """The page with every generated block made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{RENDERERS[found[2]]()}\n{found[3]}", text)


def main() -> int:
    """Compare or write; 1 when the page was behind."""
    before = PAGE.read_text(encoding="utf-8")
    after = render_page(before)
    if before == after:
        return 0
    if "--write" in sys.argv[1:]:
        PAGE.write_text(after, encoding="utf-8")
        return 0
    sys.stderr.write(f"{PAGE.name} is behind the catalogue: run python -m docs.render_chains --write\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
