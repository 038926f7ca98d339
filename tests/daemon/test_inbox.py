"""The order in which events are decided on and commands carried out."""

from __future__ import annotations

from inferd_daemon.inbox import Inbox


def test_what_comes_of_a_command_follows_after_all_commands_of_its_event() -> None:
    story: list[str] = []

    def decide(event: str, now_s: float) -> list[str]:
        story.append(f"{event} at {now_s:g}")
        return [f"{event}.1", f"{event}.2"] if event == "one" else []

    def carry_out(command: str, now_s: float) -> None:
        story.append(command)
        inbox.put(f"of {command}", now_s=now_s)

    inbox = Inbox(decide, carry_out)
    inbox.put("one", "two", now_s=3.0)
    assert story == ["one at 3", "one.1", "one.2", "two at 3", "of one.1 at 3", "of one.2 at 3"]


def test_a_bug_in_one_command_costs_neither_the_next_one_nor_the_next_event() -> None:
    done: list[int] = []

    def carry_out(command: int, _now_s: float) -> None:
        if command == 1:
            raise ValueError("a bug")
        done.append(command)

    inbox: Inbox[int, int] = Inbox(lambda event, _now_s: range(event), carry_out)
    inbox.put(3, now_s=0.0)
    inbox.put(3, now_s=0.0)
    assert done == [0, 2, 0, 2]
