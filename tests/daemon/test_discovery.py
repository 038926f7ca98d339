"""Looking around: what servers and folders of other programs hold becomes rows that can be registered, or is passed over."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_server import serving

from inferd import wire
from inferd.messages.schemas import ModelSchema
from inferd_daemon.catalogue.rows import schema_from
from inferd_daemon.discovery import Places, answers, look, servers
from inferd_daemon.discovery.naming import named, quantization
from inferd_daemon.store import Elsewhere, Store

GGUF = b"GGUF" + bytes(60)
DIGEST = "ab" * 32
OLLAMA = {
    "models": [
        {
            "name": "llama3.2:3b",
            "size": 2_019_393_189,
            "details": {"family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"},
        },
        {"name": "hf.co/Someone/Some-GGUF:Q8_0"},
    ]
}
LM_STUDIO = {
    "data": [
        {"id": "qwen2.5-vl-7b", "type": "vlm", "arch": "qwen2vl", "quantization": "4bit", "max_context_length": 32768},
        {"id": "nomic-embed", "type": "embeddings"},
    ]
}
LLAMA_CPP = {
    "data": [
        {"id": "m.gguf", "owned_by": "llamacpp", "meta": {"n_params": 7, "size": 9, "n_ctx_train": 4096}},
    ]
}
VLLM_MLX = {"data": [{"id": "mlx-community/Qwen3-4B-4bit", "owned_by": "vllm-mlx", "max_model_len": 8192}]}


def places(
    *, ports: Mapping[answers.Kind, int] | None = None, ollama: Path | None = None, lm_studio: Path | None = None
) -> Places:
    return Places(
        tuple((ports or {}).items()),
        Elsewhere(() if ollama is None else (ollama,), () if lm_studio is None else (lm_studio,)),
    )


def registered(schema: ModelSchema) -> None:
    """Take it as `register` would."""
    row = {key: value for key, value in wire.fields_of(schema).items() if key not in ("id", "origin")}
    assert str(schema_from(schema.id, row, {}).id) == schema.id


# --- servers


@pytest.mark.parametrize(
    ("kind", "answer", "ids"),
    [
        ("ollama", OLLAMA, ["ollama-server/hf.co/someone/some-gguf:q8_0", "ollama-server/llama3.2:3b"]),
        ("lm_studio", LM_STUDIO, ["lm-studio-server/nomic-embed:default", "lm-studio-server/qwen2.5-vl-7b:default"]),
        ("llama_cpp", LLAMA_CPP, ["llama-cpp-server/m.gguf:default"]),
        ("vllm_mlx", VLLM_MLX, ["vllm-mlx-server/mlx-community/qwen3-4b-4bit:default"]),
    ],
)
def test_each_kind_of_server_is_found_with_its_models(kind: answers.Kind, answer: object, ids: list[str]) -> None:
    with serving({answers.PATHS[kind]: answer}) as server:
        found = look(places(ports={kind: server.port}))
    (one,) = found.servers
    assert (one.kind, one.base_url, one.models, one.problem) == (kind, f"http://127.0.0.1:{server.port}", len(ids), "")
    assert sorted(schema.id for schema in found.schemas) == ids
    for schema in found.schemas:
        assert schema.engine == "remote"
        registered(schema)


def test_what_a_server_tells_besides_the_name_is_kept() -> None:
    with serving({"/api/tags": OLLAMA}) as server:
        llama = look(places(ports={"ollama": server.port})).schemas[0]
    assert (llama.family, llama.parameters, llama.quantization) == ("llama", 3_200_000_000, "Q4_K_M")
    assert llama.size_bytes == 2_019_393_189
    assert llama.remote is not None
    assert (llama.remote.protocol, llama.remote.model) == ("ollama", "llama3.2:3b")


def test_who_answers_says_more_than_the_port() -> None:
    with serving({"/v1/models": LLAMA_CPP}) as server:
        found = look(places(ports={"vllm_mlx": server.port}))
    assert [one.kind for one in found.servers] == ["llama_cpp"]


def test_nobody_there_is_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        free = listening.getsockname()[1]
    assert look(places(ports={"ollama": free, "llama_cpp": 0})) == type(look(places()))((), ())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>hello</html>", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b" " * (servers.MAX_BYTES + 1), "more than"),
        ({"models": "none"}, "no list under 'models'"),
        ([], "no list under 'models'"),
        (None, "status 404"),
    ],
    ids=["html", "deep", "long", "no-list", "list", "404"],
)
def test_an_answer_that_is_none_is_told_and_stops_nothing(answer: object, words: str) -> None:
    with serving({} if answer is None else {"/api/tags": answer}) as bad, serving({"/v1/models": LLAMA_CPP}) as good:
        found = look(places(ports={"ollama": bad.port, "llama_cpp": good.port}))
    ollama, llama_cpp = found.servers
    assert words in ollama.problem
    assert (llama_cpp.models, len(found.schemas)) == (1, 1)


def test_a_server_that_trickles_or_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "PATIENCE_S", 0.2)
    with serving({"/api/tags": OLLAMA}, trickles=True) as slow, socket.create_server(("127.0.0.1", 0)) as mute:
        found = look(places(ports={"ollama": slow.port, "llama_cpp": mute.getsockname()[1]}))
    assert ["did not answer" in one.problem for one in found.servers] == [True, True]


def test_a_redirect_is_not_followed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        port = listening.getsockname()[1]

        def redirect() -> None:
            line, _ = listening.accept()
            with line:
                line.recv(4096)
                line.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://example.invalid/\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=redirect)
        thread.start()
        with pytest.raises(servers.Unusable, match="status 302"):
            servers.get(port, "/v1/models")
        thread.join()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["models", "data", "id", "name", "size", "details", "meta", "owned_by", "type"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(list(answers.PATHS)), json_values)
def test_any_answer_gives_rows_that_can_be_registered_or_is_no_list(kind: answers.Kind, said: object) -> None:
    for answer in (said, {"models": [said], "data": [said]}):
        try:
            found = answers.models(kind, answer, "http://127.0.0.1:1234")
        except answers.Unclear:
            continue
        for schema in found.schemas:
            registered(schema)


# --- names


@given(st.text(), st.text())
def test_any_name_becomes_an_id_or_none(model: str, variant: str) -> None:
    made = named("ollama", model, variant)
    assert made is None or str(made).startswith("ollama/")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Qwen3-8B-Q4_K_M", "Q4_K_M"),
        ("model.IQ3_XXS", "IQ3_XXS"),
        ("gpt-oss-20b-mxfp4", "MXFP4"),
        ("llama3.2:3b-instruct-fp16", "FP16"),
        ("Qwen3-30B-UD-Q4_K_XL", "Q4_K_XL"),
        ("q4u-chat", ""),
        ("llama3.2:3b", ""),
    ],
)
def test_a_quantization_is_read_from_a_name(name: str, kind: str) -> None:
    assert quantization(name) == kind


# --- folders


def ollama_folder(root: Path, name: str, manifest: object, blob: bytes | None = GGUF) -> Path:
    place = root / "manifests" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    (root / "blobs").mkdir(exist_ok=True)
    if blob is not None:
        (root / "blobs" / f"sha256-{DIGEST}").write_bytes(blob)
    return root


def manifest(digest: object = f"sha256:{DIGEST}") -> object:
    return {
        "layers": [
            {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:" + "cd" * 32},
            {"mediaType": "application/vnd.ollama.image.model", "digest": digest},
        ]
    }


def test_a_file_of_ollama_is_found_under_the_name_that_ollama_gives_it(tmp_path: Path) -> None:
    root = ollama_folder(tmp_path, "registry.ollama.ai/library/llama3.2/3b", manifest())
    (schema,) = look(places(ollama=root)).schemas
    assert (schema.id, schema.engine, schema.size_bytes) == ("ollama/llama3.2:3b", "llama_cpp", len(GGUF))
    assert (schema.ollama, schema.file) == ("llama3.2:3b", None)
    registered(schema)


def test_what_is_found_and_registered_is_found_by_the_store(tmp_path: Path) -> None:
    """Also where the folders are others than usual, and names that cannot stand in a row are files."""
    digest = hashlib.sha256(GGUF).hexdigest()
    ollama = ollama_folder(tmp_path / "o", "registry.ollama.ai/library/tiny/1b", manifest(f"sha256:{digest}"), None)
    ollama_folder(ollama, "hf.co/Someone/Some-GGUF/Q8_0", manifest(f"sha256:{digest}"), None)
    (ollama / "blobs" / f"sha256-{digest}").write_bytes(GGUF)
    for name in ("a/b/c-Q4_0.gguf", "a/b c/d-Q4_0.gguf"):
        (tmp_path / "l" / name).parent.mkdir(parents=True)
        (tmp_path / "l" / name).write_bytes(GGUF)
    there = Elsewhere((ollama,), (tmp_path / "l",))
    store = Store(tmp_path / "store", there)

    found = look(Places((), there)).schemas
    told = {schema.id: (schema.ollama or schema.lmstudio or "", schema.file is None) for schema in found}
    assert told == {
        "ollama/hf.co/someone/some-gguf:q8_0": ("hf.co/Someone/Some-GGUF:Q8_0", True),
        "ollama/tiny:1b": ("tiny:1b", True),
        "lmstudio/a/b:c-q4_0": ("a/b/c-Q4_0.gguf", True),
        "lmstudio/a/b-c:d-q4_0": ("", False),
    }
    for schema in found:
        row = {key: value for key, value in wire.fields_of(schema).items() if key not in ("id", "origin")}
        place = store.pull(schema_from(schema.id, row, {}), lambda progress: None, threading.Event())
        assert place is not None
        assert place.read_bytes() == GGUF


@pytest.mark.parametrize(
    ("said", "blob"),
    [
        ("{", GGUF),
        ("[" * 100_000, GGUF),
        ({"layers": 7}, GGUF),
        ({"layers": []}, GGUF),
        (manifest("sha256:../../../etc/passwd"), GGUF),
        (manifest(7), GGUF),
        (manifest(), b"PK\x03\x04"),
        (manifest(), None),
    ],
    ids=["half", "deep", "number", "empty", "path", "digest", "no-gguf", "no-blob"],
)
def test_what_is_damaged_in_ollamas_folder_is_passed_over(tmp_path: Path, said: object, blob: bytes | None) -> None:
    root = ollama_folder(tmp_path, "registry.ollama.ai/library/llama3.2/3b", said, blob)
    assert look(places(ollama=root)).schemas == ()


def test_files_of_lm_studio_are_found_and_projectors_and_later_parts_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "Publisher" / "Some-Model-GGUF"
    folder.mkdir(parents=True)
    for name in (
        "Some-Model-Q4_K_M.gguf",
        "mmproj-Some-Model-F16.gguf",
        "Big-Q8_0-00001-of-00002.gguf",
        "Big-Q8_0-00002-of-00002.gguf",
        "README.md",
    ):
        (folder / name).write_bytes(GGUF)
    (folder / "empty-Q4_0.gguf").touch()
    found = look(places(lm_studio=tmp_path)).schemas
    assert [schema.id for schema in found] == [
        "lmstudio/publisher/some-model-gguf:big-q8_0-00001-of-00002",
        "lmstudio/publisher/some-model-gguf:some-model-q4_k_m",
    ]
    assert [schema.quantization for schema in found] == ["Q8_0", "Q4_K_M"]
    for schema in found:
        registered(schema)


def test_folders_that_are_circles_pipes_and_names_in_no_encoding_stop_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "circle").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe-Q4_0.gguf")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff-Q4_0.gguf")).write_bytes(GGUF)
    (folder / "good-Q4_0.gguf").write_bytes(GGUF)
    before = sorted(tmp_path.rglob("*"))
    assert [schema.id for schema in look(places(lm_studio=tmp_path)).schemas] == ["lmstudio/a/b:good-q4_0"]
    assert sorted(tmp_path.rglob("*")) == before


def test_folders_that_are_not_there_hold_nothing(tmp_path: Path) -> None:
    assert look(places(ollama=tmp_path / "no", lm_studio=tmp_path / "no")).schemas == ()
