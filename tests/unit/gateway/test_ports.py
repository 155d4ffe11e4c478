"""The ports that programs of the demo and of these tests are started on."""

from __future__ import annotations

import socket
from itertools import islice
from pathlib import Path

import pytest

from gateway.demo import ports
from gateway.demo.ports import choose_port


def test_no_port_is_chosen_that_the_kernel_gives_to_others() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    chosen = [choose_port() for _ in range(500)]
    assert len(set(chosen)) == 500, "each call chooses another"
    if first - ports.LOWEST > ports.PORT_COUNT_MIN:
        assert not [one for one in chosen if first <= one <= last]


def test_a_port_that_is_somebodys_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(ports, "_PORTS", iter([taken.getsockname()[1], 12_345]))
        assert choose_port() == 12_345


@pytest.mark.parametrize("said", ["", "word", "1024 65535", "9000\t65535", "-5 3"])
def test_a_range_that_leaves_no_room_or_says_nothing_is_no_reason_to_stop(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "range"
    file.write_text(said)
    monkeypatch.setattr(ports, "_RANGE_FILE", file)
    assert all(ports.LOWEST <= one <= ports.HIGHEST_USUAL for one in islice(ports._list_ports(), 100))
