"""Names, rows and lookup: what a name means, and what a row may say."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inferd.errors import InvalidRequest, ModelNotFound
from inferd_daemon.catalogue import (
    BuiltinSource,
    Catalogue,
    FileSource,
    HubSource,
    LmStudioSource,
    ModelId,
    OllamaSource,
    PackageSource,
    Source,
    UrlSource,
    curated,
)

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

STARTER = "huggingfacetb/smollm2-135m-instruct:q4_1"
SHA256 = "0123456789abcdef" * 4

FIRST = string.ascii_lowercase + string.digits
segments = st.builds(
    str.__add__, st.sampled_from(FIRST), st.text(st.sampled_from(FIRST + "._-"), min_size=0, max_size=20)
)
ids = st.builds(ModelId, segments, st.lists(segments, min_size=1, max_size=3).map("/".join), segments)


def _refusal_or_result(make: Callable[[], T]) -> tuple[str, T | None]:
    """Return what a refusal says, fit for any terminal, or what was made."""
    try:
        return "", make()
    except (ValueError, ModelNotFound) as refused:
        text = str(refused)
    assert text.isascii()
    assert text.isprintable()
    return text, None


@given(ids)
def test_an_id_survives_its_text(model: ModelId) -> None:
    assert ModelId.parse(str(model)) == model


@given(st.text())
def test_any_text_is_an_id_or_refused(text: str) -> None:
    refusal, model = _refusal_or_result(lambda: ModelId.parse(text))

    assert refusal or str(model) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "smollm2",
        "a/b",
        "a:b",
        "a/b:",
        "/b:c",
        "a/:c",
        "a//b:c",
        "../../etc:passwd",
        "a/../b:c",
        "a/.hidden:c",
        "/etc/passwd:x",
        "a/b:c\n",
        "a/b:c\0",
        "a/b:../c",
        "A/b:c",
        "a/ß:c",
        "a/b\\c:d",
        "a/b:c:d",
        "a/-rf:c",
        f"a/{'b' * 65}:c",
        f"a/{'/'.join(['b' * 60] * 5)}:c",
    ],
)
def test_hostile_ids_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no model id"):
        ModelId.parse(text)


def test_parts_that_would_read_differently_are_refused() -> None:
    with pytest.raises(ValueError, match="is no model id"):
        ModelId("a/b", "c", "d")


@pytest.mark.parametrize(
    "name",
    [
        STARTER,
        "huggingfacetb/smollm2-135m-instruct",
        "smollm2-135m-instruct:q4_1",
        "smollm2-135m-instruct",
        "smollm2",
        "SmolLM2",
    ],
)
def test_every_unique_name_of_the_starter_finds_it(name: str) -> None:
    assert str(curated().find(name).id) == STARTER


def test_the_starter_is_what_the_package_holds() -> None:
    starter = curated().starter

    assert str(starter.id) == STARTER
    assert starter.engine == "llama_cpp"
    assert starter.context_tokens == 8192
    assert starter.license == "Apache-2.0"
    assert starter.cost is None
    assert isinstance(starter.source, PackageSource)
    assert starter.source.file_name == "SmolLM2-135M-Instruct.Q4_1.gguf"


def test_echo_needs_no_file() -> None:
    echo = curated().find("echo")

    assert str(echo.id) == "inferd/echo:default"
    assert echo.source == BuiltinSource()
    assert echo.capabilities == ("generate", "loopback")


def test_an_unknown_name_is_an_error_with_near_matches() -> None:
    with pytest.raises(ModelNotFound, match="smolm2") as caught:
        curated().find("smolm2")

    near = caught.value.details["near"]
    assert isinstance(near, tuple)
    assert near[0] == STARTER
    assert STARTER in str(caught.value)


@given(st.text(max_size=2000))
def test_no_name_breaks_the_lookup(name: str) -> None:
    refusal, found = _refusal_or_result(lambda: curated().find(name))

    assert len(refusal) < 1000
    assert found is None or name.lower() in {*found.id.short_names, found.family}


def test_a_name_of_two_models_lists_both() -> None:
    catalogue = curated().with_rows({"inferd/echo:slow": {"engine": "echo"}})

    assert str(catalogue.find("echo:slow").id) == "inferd/echo:slow"
    with pytest.raises(ModelNotFound, match="could be 2 models") as caught:
        catalogue.find("echo")
    assert caught.value.details["near"] == ("inferd/echo:default", "inferd/echo:slow")


def test_a_model_called_like_another_ones_family_is_meant_by_its_name() -> None:
    catalogue = curated().with_rows({"me/smollm2:mine": {"engine": "echo"}})

    assert str(catalogue.find("smollm2").id) == "me/smollm2:mine"


@given(st.lists(ids, min_size=1, max_size=6, unique=True))
def test_every_full_id_finds_its_own_model(models: list[ModelId]) -> None:
    assume(not {schema.id for schema in curated().schemas} & set(models))
    catalogue = curated().with_rows({str(model): {"engine": "echo"} for model in models})

    for model in models:
        assert catalogue.find(str(model)).id == model
    assert len(catalogue.schemas) == len(curated().schemas) + len(models)


def test_rows_leave_the_catalogue_they_came_to_as_it_was() -> None:
    before = curated()
    after = before.with_rows({"me/mine:q4": {"engine": "llama_cpp", "file": "/models/mine.gguf"}})

    assert len(before.schemas) == len(curated().schemas)
    assert after.find("mine").source == FileSource("/models/mine.gguf")
    assert after.find("mine").capabilities == ("generate",)
    assert after.starter == before.starter


def test_a_row_changes_only_what_it_names() -> None:
    known = curated().starter
    changed = curated().with_rows({STARTER: {"context_tokens": 2048, "engine_options": {"threads": 2}}}).starter

    assert (changed.context_tokens, dict(changed.engine_options)) == (2048, {"threads": 2})
    assert (changed.source, changed.name, changed.license) == (known.source, known.name, known.license)


def test_options_keep_their_kinds() -> None:
    options = {"threads": 2, "rate": 2.0, "flash": True, "kv": "q8_0"}
    row = {"engine": "echo", "engine_options": options}
    found = curated().with_rows({"me/echo:mine": row}).find("me/echo").engine_options

    assert [(key, type(value)) for key, value in found.items()] == [
        (key, type(value)) for key, value in options.items()
    ]


def test_options_cannot_be_changed_behind_the_catalogues_back() -> None:
    options = {"threads": 2}
    row = {"engine": "echo", "engine_options": options}
    schema = curated().with_rows({"me/echo:mine": row}).find("me/echo")
    options["threads"] = 99

    assert schema.engine_options == {"threads": 2}
    with pytest.raises(TypeError):
        schema.engine_options["threads"] = 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("table", "field", "problem"),
    [
        ({}, "engine", "is required"),
        ({"engine": "vllm"}, "engine", "echo, llama_cpp"),
        ({"engine": "llama_cpp"}, "file", "required"),
        ({"engine": "llama_cpp", "file": "relative.gguf"}, "file", "absolute"),
        ({"engine": "llama_cpp", "file": "~root/x.gguf"}, "file", "absolute"),
        ({"engine": "llama_cpp", "file": "/x", "sha256": "ABC"}, "file", "64 digits"),
        ({"engine": "echo", "sha256": SHA256}, "sha256", "none of them is there"),
        ({"engine": "llama_cpp", "ollama": "tiny", "sha256": SHA256}, "sha256", "none of them is there"),
        ({"engine": "llama_cpp", "ollama": "../tiny"}, "ollama", "as `ollama list` writes it"),
        ({"engine": "llama_cpp", "lmstudio": "tiny.gguf"}, "lmstudio", "PUBLISHER/REPOSITORY/FILE"),
        ({"engine": "llama_cpp", "url": "ftp://a.org/x"}, "url", "http"),
        ({"engine": "llama_cpp", "url": ""}, "url", "1"),
        ({"engine": "llama_cpp", "url": "https://a.org/x", "ollama": "tiny"}, "url", "got both"),
        ({"engine": "echo", "context_tokens": "8192"}, "context_tokens", "expected"),
        ({"engine": "echo", "context_tokens": 8192.0}, "context_tokens", "expected"),
        ({"engine": "echo", "context_tokens": True}, "context_tokens", "expected"),
        ({"engine": "echo", "context_tokens": 0}, "context_tokens", "1 to"),
        ({"engine": "echo", "engine_options": {"a": [1]}}, "engine_options", "expected"),
        ({"engine": "echo", "engine_options": {"a": float("nan")}}, "engine_options", "finite"),
        ({"engine": "echo", "capabilities": ["fly"]}, "capabilities", "generate, loopback"),
        ({"engine": "echo", "capabilities": "generate"}, "capabilities", "expected"),
        ({"engine": "echo", "context_token": 1}, "context_token", "did you mean context_tokens"),
        ({"engine": "echo", "zzz": 1}, "zzz", "known are engine"),
        ({"engine": "llama_cpp", "package": {"package": "x"}}, "package", "is required"),
        ({"engine": "echo", "cost": {"input_usd_per_million_tokens": 1}}, "cost", "is required"),
        (
            {"engine": "echo", "cost": {"input_usd_per_million_tokens": 1, "output_usd_per_million_tokens": -1}},
            "cost",
            "0.0 to",
        ),
    ],
)
def test_a_wrong_row_names_model_key_and_what_is_allowed(table: dict[str, object], field: str, problem: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        curated().with_rows({"me/mine:q4": table})

    assert str(caught.value.details["field"]).startswith('models."me/mine:q4".')
    assert field in str(caught.value.details["field"])
    assert problem in str(caught.value)


def test_a_row_with_two_sources_is_refused() -> None:
    package = {
        "package": "some-model",
        "version": "1.0",
        "wheel_sha256": SHA256,
        "wheel_bytes": 10,
        "member": "some_model/weights.gguf",
        "size_bytes": 10,
        "sha256": SHA256,
    }
    row = {"engine": "llama_cpp", "package": package}

    assert curated().with_rows({"me/mine:q4": row}).find("mine").source == PackageSource(
        "some-model", "1.0", SHA256, 10, "some_model/weights.gguf", 10, SHA256
    )
    with pytest.raises(InvalidRequest, match="either file or package"):
        curated().with_rows({"me/mine:q4": {**row, "file": "/x"}})


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ({"url": "https://a.org/x", "sha256": SHA256}, UrlSource("https://a.org/x", None, SHA256)),
        ({"hub": {"repo": "a/b", "revision": "main", "file": "c"}}, HubSource("a/b", "main", "c")),
        ({"ollama": "llama3.2:1b"}, OllamaSource("llama3.2:1b")),
        ({"lmstudio": "a/b/c.gguf"}, LmStudioSource("a/b/c.gguf")),
    ],
)
def test_a_row_may_name_any_source(said: dict[str, object], source: Source) -> None:
    assert curated().with_rows({"me/mine:q4": {"engine": "llama_cpp", **said}}).find("mine").source == source


def test_a_hostile_id_of_a_row_is_named_without_its_control_characters() -> None:
    with pytest.raises(InvalidRequest, match="is no model id") as caught:
        curated().with_rows({"../../\x1b[2Jetc": {"engine": "echo"}})

    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"package": "x --index-url http://evil"},
        {"package": "x\n--no-index"},
        {"package": "-r"},
        {"package": "git+https://evil"},
        {"version": "1.0 --hash=sha256:00"},
        {"version": "1.0\n"},
        {"version": "*"},
        {"wheel_sha256": "../../x"},
        {"sha256": SHA256.upper()},
        {"sha256": SHA256 + "\n"},
        {"member": "../x"},
        {"member": "/etc/passwd"},
        {"member": "a/./b"},
        {"member": "a\\..\\b"},
        {"member": "a\0b"},
        {"member": ""},
        {"size_bytes": 0},
        {"wheel_bytes": -1},
    ],
)
def test_what_reaches_pip_or_chooses_a_file_is_checked_where_it_is_made(change: dict[str, str | int]) -> None:
    fields: dict[str, str | int] = {
        "package": "x",
        "version": "1.0",
        "wheel_sha256": SHA256,
        "wheel_bytes": 1,
        "member": "x/y",
        "size_bytes": 1,
        "sha256": SHA256,
    }
    assert PackageSource(**fields).package == "x"  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=next(iter(change))):
        PackageSource(**{**fields, **change})  # type: ignore[arg-type]


def test_digests_of_other_sources_are_checked_too() -> None:
    assert HubSource("org/model", "main", "model.gguf").sha256 is None
    assert UrlSource("https://models.invalid/x.gguf", 7, SHA256).size_bytes == 7
    for make in (
        lambda: HubSource("org/model", "main", "model.gguf", sha256="x"),
        lambda: UrlSource("https://models.invalid/x.gguf", sha256="x"),
        lambda: FileSource("/x", sha256="x"),
        lambda: LmStudioSource("a/b/c", sha256="x"),
    ):
        with pytest.raises(ValueError, match="sha256"):
            make()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://a.org/x",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "https://a.org:0/x",
        "https://a.org:99999/x",
        "https://a.org:port/x",
        "https://[::1/x",
        "https://a.org/x y",
        "https://a.org/x\n",
        "https://\u0430.org/x",
        "https://a.org/" + "x" * 2000,
        "HTTPS://a.org/x",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url: expected"):
        UrlSource(url)


@pytest.mark.parametrize("url", ["https://me:hunter2@a.org/x", "https://hunter2@a.org/x"])
def test_an_address_with_a_password_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="password") as caught:
        UrlSource(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"repo": "tiny"}, "repo"),
        ({"repo": "../tiny"}, "repo"),
        ({"repo": "a/b/c"}, "repo"),
        ({"revision": "a/../b"}, "revision"),
        ({"revision": ""}, "revision"),
        ({"file": "../x"}, "file"),
        ({"file": "/x"}, "file"),
        ({"file": "a\0"}, "file"),
    ],
)
def test_a_hubs_names_are_checked(change: dict[str, str], field: str) -> None:
    with pytest.raises(ValueError, match=f"{field}: expected"):
        HubSource(**{"repo": "a/b", "revision": "main", "file": "c/d.gguf", **change})  # type: ignore[arg-type]


def test_a_list_with_one_id_twice_or_no_starter_is_refused() -> None:
    echo = curated().find("echo")

    with pytest.raises(ValueError, match="listed twice"):
        Catalogue((echo, echo), echo.id)
    with pytest.raises(ValueError, match="starter"):
        Catalogue((echo,), ModelId.parse(STARTER))
