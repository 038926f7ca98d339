"""Files that are open: each once, shared, the ones used last kept, never closed under anybody's hands."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from inferd.errors import LoadFailed
from inferd_actors.opened import Opened

PATIENCE_S = 30.0


class Book:
    """An opened file that knows whether it is open."""

    def __init__(self, path: str) -> None:
        if not Path(path).exists():
            raise LoadFailed(f"{path} is not there")
        self.path = path
        self.closed = False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = [tmp_path / name for name in "abcd"]
    for path in paths:
        path.write_text("book")
    return [str(path) for path in paths]


def test_a_file_is_opened_once_and_stays_open(files: list[str]) -> None:
    opened = Opened(Book, kept=2)
    with opened.lent(files[0]) as first, opened.lent(files[0]) as second:
        assert first is second
    with opened.lent(files[0]) as third:
        assert third is first
    assert not first.closed
    opened.close()
    assert first.closed


def test_the_one_used_longest_ago_goes_first(files: list[str]) -> None:
    opened = Opened(Book, kept=2)
    books = {}
    for at in (0, 1, 0, 2):
        with opened.lent(files[at]) as book:
            books[at] = book
    assert [books[at].closed for at in (0, 1, 2)] == [False, True, False]
    assert len(opened) == 2


def test_nothing_is_closed_while_somebody_uses_it(files: list[str]) -> None:
    opened = Opened(Book, kept=1)
    with opened.lent(files[0]) as held:
        for path in files[1:]:
            with opened.lent(path):
                pass
        assert not held.closed
        opened.close()
        assert not held.closed
    assert len(opened) == 1
    with opened.lent(files[1]):
        pass
    assert held.closed


def test_a_file_that_changed_is_opened_anew(files: list[str]) -> None:
    opened = Opened(Book)
    with opened.lent(files[0]) as before:
        pass
    Path(files[0] + ".new").write_text("another book")
    os.replace(files[0] + ".new", files[0])  # noqa: PTH105 - as a store publishes
    with opened.lent(files[0]) as after:
        assert after is not before


def test_a_file_that_cannot_be_opened_is_tried_again(files: list[str]) -> None:
    opened = Opened(Book)
    missing = files[0] + ".none"
    with pytest.raises(LoadFailed), opened.lent(missing):
        raise AssertionError
    assert len(opened) == 0
    Path(missing).write_text("here now")
    with opened.lent(missing) as book:
        assert book.path == missing


def test_a_slow_file_holds_up_nobody_who_asks_for_another(files: list[str]) -> None:
    goes_on, reached, slow_books = threading.Event(), threading.Event(), list[Book]()

    def slowly(path: str) -> Book:
        if path == files[0]:
            reached.set()
            assert goes_on.wait(PATIENCE_S)
        return Book(path)

    opened = Opened(slowly)

    def ask() -> None:
        with opened.lent(files[0]) as book:
            slow_books.append(book)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert reached.wait(PATIENCE_S)
    with opened.lent(files[1]) as other:
        assert other.path == files[1]
    goes_on.set()
    for thread in threads:
        thread.join()
    assert slow_books[0] is slow_books[1], "it was opened twice"
