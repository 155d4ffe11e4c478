"""A websocket is believed while it names what providers show, in time, and no longer."""

from __future__ import annotations

from chains.hints import EARN_FIRST, EARN_MAX, HintTrust


def earn(trust: HintTrust, *, heads: int = EARN_FIRST, now_s: float = 0.0) -> float:
    """So many heads are named, then shown."""
    for number in range(heads):
        now_s += 12.0
        assert trust.note_told(f"{now_s}/{number}", now_s)
        trust.note_seen(f"{now_s}/{number}", now_s)
    return now_s


def test_belief_is_earned_by_naming_what_is_shown() -> None:
    trust = HintTrust(12.0)
    trust.note_seen("0x0", 0.0)
    assert not trust.is_live(0.0)
    now_s = earn(trust, heads=1)
    assert not trust.is_live(now_s)
    assert trust.is_live(earn(trust, heads=1, now_s=now_s))


def test_naming_what_the_timer_found_a_moment_before_is_in_time_and_no_hint() -> None:
    trust = HintTrust(12.0)
    now_s = earn(trust, heads=1)
    trust.note_seen("0xa", now_s + 12.0)
    assert not trust.note_told("0xa", now_s + 12.2), "nothing to look for"
    assert trust.is_live(now_s + 12.2)


def test_a_block_that_was_not_named_ends_belief() -> None:
    trust = HintTrust(12.0)
    now_s = earn(trust)
    trust.note_seen("0xa", now_s + 24.0)
    assert trust.is_live(now_s + 24.0), "it may be on its way"
    assert not trust.is_live(now_s + 26.0)
    assert trust.note_told("0xa", now_s + 27.0) is False
    assert not trust.is_live(now_s + 27.0)


def test_naming_other_blocks_than_are_shown_ends_belief() -> None:
    trust = HintTrust(12.0)
    now_s = earn(trust)
    for number in range(10):
        now_s += 12.0
        trust.note_told(f"lie {number}", now_s)
        trust.note_seen(f"true {number}", now_s)
        now_s += 2.0
        assert not trust.is_live(now_s)


def test_belief_that_was_lost_is_dearer_and_in_the_end_cheap_again() -> None:
    trust = HintTrust(12.0)
    now_s = earn(trust)
    trust.note_seen("0xa", now_s + 12.0)
    assert not trust.is_live(now_s + 20.0)
    now_s = earn(trust, now_s=now_s + 20.0)
    assert not trust.is_live(now_s), "twice as many are wanted"
    now_s = earn(trust, heads=EARN_MAX, now_s=now_s)
    assert trust.is_live(now_s)
    trust.note_seen("0xb", now_s + 12.0)
    assert not trust.is_live(now_s + 20.0)
    assert trust.is_live(earn(trust, heads=2 * EARN_FIRST, now_s=now_s + 20.0))


def test_silence_that_nobody_relied_on_makes_belief_no_dearer() -> None:
    trust = HintTrust(12.0)
    now_s = earn(trust)
    for number in range(20):
        now_s += 12.0
        trust.note_seen(f"untold {number}", now_s)
    assert not trust.is_live(now_s + 12.0)
    assert trust.is_live(earn(trust, heads=2 * EARN_FIRST, now_s=now_s + 12.0))


def test_another_subscription_earns_it_anew() -> None:
    trust = HintTrust(12.0)
    now_s = earn(trust)
    trust.forget()
    assert not trust.is_live(now_s)


def test_a_provider_that_is_asked_twice_shows_nothing_new() -> None:
    trust = HintTrust(12.0)
    now_s = earn(trust)
    trust.note_seen("0xa", now_s + 12.0)
    trust.note_told("0xa", now_s + 12.1)
    for seconds in range(100):
        trust.note_seen("0xa", now_s + 13.0 + seconds)
    assert trust.is_live(now_s + 120.0)


def test_a_subscription_that_stands_is_taken_at_its_word_while_no_head_comes() -> None:
    trust = HintTrust(12.0)
    trust.note_seen("0xa", 0.0)
    assert not trust.would_tell(0.0), "nobody listens"
    trust.note_open()
    trust.note_seen("0xa", 3600.0)
    assert trust.would_tell(3600.0)
    assert not trust.is_live(3600.0), "that is earned"
    trust.forget()
    assert not trust.would_tell(3600.0)


def test_a_subscription_that_kept_a_head_to_itself_is_not_even_when_it_is_renewed() -> None:
    trust = HintTrust(12.0)
    trust.note_seen("0xa", 0.0)
    trust.note_open()
    trust.note_seen("0xb", 100.0)
    assert trust.would_tell(101.0), "it may be on its way"
    assert not trust.would_tell(102.0)
    trust.forget()
    trust.note_open()
    assert not trust.would_tell(200.0)
    trust.note_told("0xc", 201.0)
    assert not trust.would_tell(201.0), "of another"
    trust.note_told("0xb", 202.0)
    assert trust.would_tell(202.0), "late is not silent"
    trust.note_seen("0xd", 203.0)
    assert not trust.would_tell(206.0)
    assert trust.would_tell(earn(trust, now_s=200.0))


def test_the_head_that_was_there_before_is_nobodys_to_name() -> None:
    trust = HintTrust(12.0)
    trust.note_open()
    trust.note_seen("0xa", 0.0)
    assert trust.would_tell(100.0)


def test_the_head_that_was_named_alone_since_the_last_look_is_what_the_next_will_show() -> None:
    trust = HintTrust(12.0)
    assert trust.name_next(0.0) is None
    now_s = earn(trust)
    assert trust.name_next(now_s) is None, "it was shown"
    trust.note_told("next", now_s)
    assert trust.name_next(now_s) == "next"
    trust.note_told("one more", now_s)
    assert trust.name_next(now_s) is None, "a look would show more than one block"
    trust.note_seen("one more", now_s)
    trust.note_told("third", now_s)
    assert trust.name_next(now_s) == "third"
    trust.forget()
    assert trust.name_next(now_s) is None


def test_who_is_not_believed_names_nothing() -> None:
    trust = HintTrust(12.0)
    now_s = earn(trust, heads=1)
    trust.note_told("next", now_s)
    assert trust.name_next(now_s) is None
