"""A file that is opened ahead of its load: the load goes on with it if it is the same still, and answers alike in any case."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from engine_kinds import is_offloaded
from listening_sink import ListeningSink

from inferd.errors import LoadFailed
from inferd.messages.events import Finished, TextDelta
from inferd.messages.operations import Generate, Message
from inferd_actors import engines
from inferd_actors.engine import Engine, StreamId, Submission

pytestmark = pytest.mark.skipif(
    bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is not installed"
)

OPTIONS = {"context_tokens": 256, "shelf_bytes": 0, "gpu_layers": 0}
"""Where there is a GPU, too: for one, no file is opened ahead."""


@pytest.fixture
def file(tiny_models: Mapping[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copyfile(tiny_models["chat"], tmp_path / "tiny.gguf"))


def renderers() -> list[int]:
    """Return the processes that render templates for this one."""
    children = psutil.Process().children()
    return [one.pid for one in children if any(word.endswith("rendering.py") for word in one.cmdline())]


@contextmanager
def opened(file: Path) -> Iterator[tuple[ListeningSink, Engine]]:
    """Have a file opened ahead, and the engine with it, until the engine has been closed."""
    maker = engines.open_ahead("llama_cpp", str(file), OPTIONS)
    assert maker is not None
    sink = ListeningSink()
    engine = maker(sink)
    yield sink, engine
    engine.close()
    assert renderers() == []


def load(engine: Engine, file: Path, options: Mapping[str, int] = OPTIONS) -> list[str]:
    """Load, and return the phases that this went through."""
    phases: list[str] = []
    engine.load(str(file), dict(options), lambda _done, phase: phases.append(phase))
    return phases


def answer(sink: ListeningSink, engine: Engine) -> str:
    asked = Generate((Message("user", "hello"),), max_tokens=8, temperature=0.0)
    engine.submit(Submission(StreamId(1), "me/model:1", asked, "interactive", "salt", 0.0, 0.0))
    events = sink.whole(StreamId(1))
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.fixture
def plain(file: Path) -> str:
    """Return the answer of an engine that had nothing opened before."""
    sink = ListeningSink()
    engine = engines.factory("llama_cpp")(sink)
    load(engine, file)
    text = answer(sink, engine)
    engine.close()
    return text


def test_the_load_of_an_open_file_goes_on_with_it(file: Path, plain: str) -> None:
    with opened(file) as (sink, engine):
        before = renderers()
        load(engine, file)
        assert renderers() == before
        assert len(before) == 1
        assert answer(sink, engine) == plain


def test_a_load_with_the_same_settings_has_its_cache_and_one_with_others_makes_its_own(file: Path, plain: str) -> None:
    for options, was_made in ((OPTIONS, True), ({**OPTIONS, "context_tokens": 128}, False)):
        with opened(file) as (sink, engine):
            assert ("preparing the cache" not in load(engine, file, options)) == was_made
            assert answer(sink, engine) == plain


def test_the_load_of_another_file_lets_go_of_the_open_one(file: Path, plain: str) -> None:
    other = Path(shutil.copyfile(file, file.with_name("other.gguf")))
    with opened(other) as (sink, engine):
        before = renderers()
        load(engine, file)
        assert set(renderers()).isdisjoint(before)
        assert answer(sink, engine) == plain


def test_a_file_that_took_its_place_is_read(file: Path, plain: str) -> None:
    with opened(file) as (sink, engine):
        before = renderers()
        file.with_name("new.gguf").write_bytes(file.read_bytes())
        file.with_name("new.gguf").replace(file)
        load(engine, file)
        assert set(renderers()).isdisjoint(before)
        assert answer(sink, engine) == plain


def test_a_file_that_is_gone_is_missing_although_it_is_open(file: Path) -> None:
    with opened(file) as (_sink, engine):
        file.unlink()
        with pytest.raises(LoadFailed) as failed:
            load(engine, file)
        assert failed.value.details["cause"] == "file_missing"


def test_the_death_of_the_process_that_renders_costs_no_request(file: Path, plain: str) -> None:
    with opened(file) as (sink, engine):
        (renderer,) = renderers()
        os.kill(renderer, signal.SIGKILL)
        os.waitid(os.P_PID, renderer, os.WEXITED | os.WNOWAIT)
        load(engine, file)
        assert answer(sink, engine) == plain


def test_what_cannot_be_opened_says_why_and_leaves_nothing_behind(tmp_path: Path) -> None:
    page = tmp_path / "page.gguf"
    page.write_bytes(b"<html>not found</html>")
    with pytest.raises(LoadFailed, match="<htm"):
        engines.open_ahead("llama_cpp", str(page), OPTIONS)
    assert renderers() == []


def test_engines_that_open_nothing_ahead_say_so() -> None:
    assert engines.open_ahead("echo", "", {}) is None


def test_a_file_for_a_gpu_is_opened_when_somebody_asks(file: Path) -> None:
    if not is_offloaded():
        pytest.skip("llama.cpp computes on no GPU here")
    assert engines.open_ahead("llama_cpp", str(file), {**OPTIONS, "gpu_layers": -1}) is None
