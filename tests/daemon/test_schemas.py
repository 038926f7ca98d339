"""Schemas: every row is read or refused by name, what is told can be registered again, and layers lie over each other."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields, replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_values import messages

from inferd import wire
from inferd.errors import InvalidRequest, ModelNotFound
from inferd.messages.operations import Generate
from inferd.messages.schemas import CostTier, ModelSchema, Performance, TokenCost
from inferd_actors import engines
from inferd_daemon.catalogue import (
    FileSource,
    HubSource,
    LmStudioSource,
    ModelId,
    OllamaSource,
    PackageSource,
    RemoteSource,
    Schema,
    UrlSource,
    curated,
    told,
)
from inferd_daemon.catalogue.rows import DEFAULT_CAPABILITIES, Row, schema_from
from inferd_daemon.catalogue.schema import SERVED, Capability, Engine, Parameter, Trust
from inferd_daemon.catalogue.upgrades import expected_bytes

ME = ModelId("me", "mine", "q4")
SHA256 = "0123456789abcdef" * 4

words = st.text(st.characters(codec="utf-8"), max_size=20)
positive = st.integers(1, 2**53 - 1)
prices = st.floats(0, 1e6).map(lambda value: value + 0.0)
sources = st.sampled_from(
    [
        FileSource("/models/x.gguf", SHA256),
        HubSource("org/model-GGUF", "main", "a/model.gguf", 7, SHA256),
        HubSource("org/model-GGUF", "v1.0", "model.gguf"),
        PackageSource("tiny", "1.0", SHA256, 10, "tiny/x.gguf", 9, SHA256),
        UrlSource("https://models.invalid/x.gguf", sha256=SHA256),
        OllamaSource("hf.co/org/Model-GGUF:Q4_K_M"),
        LmStudioSource("org/model-GGUF/model.gguf", SHA256),
    ]
)
some = st.builds(
    Schema,
    id=st.just(ME),
    name=words.filter(bool),
    engine=st.sampled_from(["llama_cpp", "faster_whisper", "piper"]),
    source=sources,
    capabilities=st.lists(st.sampled_from(get_args(Capability)), min_size=1, max_size=3).map(tuple),
    family=words,
    upstream_family=words,
    context_tokens=st.none() | positive,
    output_limit_tokens=st.none() | positive,
    parameters=st.none() | positive,
    quantization=words,
    size_bytes=st.none() | positive,
    engine_options=st.dictionaries(words.filter(bool), st.booleans() | st.integers(0, 9) | prices | words, max_size=3),
    supported_parameters=st.none() | st.lists(st.sampled_from(get_args(Parameter)), max_size=3).map(tuple),
    performance=st.lists(st.builds(Performance, words, prices), max_size=2).map(tuple),
    cost=st.none()
    | st.builds(
        TokenCost,
        prices,
        prices,
        prices,
        st.lists(st.builds(CostTier, positive, prices, prices), max_size=16).map(tuple),
    ),
    benchmarks=st.dictionaries(words.filter(bool), prices, max_size=2),
    tags=st.lists(words.filter(bool), max_size=2).map(tuple),
    license=words,
    trust=st.sampled_from(get_args(Trust)),
    deprecated=st.booleans(),
    replaced_by=st.none() | st.just(ModelId("me", "next", "q4")),
    replaced_reason=words,
)
remote = some.map(
    lambda one: replace(one, engine="remote", source=RemoteSource("http://127.0.0.1:1234", "openai", "their name"))
)


def row_of(schema: ModelSchema) -> dict[str, object]:
    return {key: value for key, value in wire.fields_of(schema).items() if key not in ("id", "origin")}


@given(some | remote)
def test_what_is_told_of_a_model_can_be_registered_and_is_the_same_model(schema: Schema) -> None:
    assert schema_from(str(schema.id), row_of(told(schema, "user")), {}) == schema


@given(messages(ModelSchema).map(lambda schema: replace(schema, id=str(ME))))
def test_any_schema_that_the_wire_lets_through_is_read_or_refused_by_name(schema: ModelSchema) -> None:
    field = ""
    try:
        field = f'models."{schema_from(schema.id, row_of(schema), {}).id}"'
    except InvalidRequest as refused:
        field = str(refused.details["field"])
    assert field.startswith(f'models."{ME}"')


def test_rows_have_the_keys_that_schemas_on_the_wire_have() -> None:
    assert {one.name for one in fields(Row)} == {one.name for one in fields(ModelSchema)} - {"id", "origin"}


def test_the_words_of_rows_are_those_of_the_rest_of_the_house() -> None:
    assert set(get_args(Parameter)) == {one.name for one in fields(Generate)} - {"messages"}
    assert set(engines.ROOMS) == SERVED
    assert set(DEFAULT_CAPABILITIES) == set(get_args(Engine))
    models = {wire.tag(kind) for kind in wire.OPERATIONS.values()} & {"generate", "loopback"}
    assert models <= set(get_args(Capability))


@pytest.mark.parametrize(
    ("table", "field", "problem"),
    [
        ({"engine": "remote"}, "remote", "base_url, protocol and model"),
        ({"engine": "piper"}, "file", "or one of package, hub, url"),
        ({"engine": "remote", "file": "/x"}, "engine", "does not go with"),
        ({"engine": "piper", "remote": {"base_url": "http://h", "protocol": "openai", "model": "m"}}, "engine", "go"),
        ({"engine": "remote", "remote": {"base_url": "ftp://h", "protocol": "openai", "model": "m"}}, "remote", "http"),
        (
            {"engine": "remote", "remote": {"base_url": "http://me:key@h", "protocol": "openai", "model": "m"}},
            "remote",
            "without user",
        ),
        (
            {"engine": "remote", "remote": {"base_url": "http://h", "protocol": "smtp", "model": "m"}},
            "remote",
            "openai",
        ),
        ({"engine": "llama_cpp", "hub": {"repo": "x", "revision": "main", "file": "a"}}, "hub", "OWNER/NAME"),
        ({"engine": "llama_cpp", "hub": {"repo": "o/x", "revision": "../a", "file": "a"}}, "hub", "revision"),
        ({"engine": "llama_cpp", "hub": {"repo": "o/x", "revision": "main", "file": "../a"}}, "hub", "file"),
        ({"engine": "llama_cpp", "hub": {"repo": "o/x", "revision": "m", "file": "a"}, "file": "/x"}, "file", "both"),
        ({"engine": "echo", "replaced_by": "no id"}, "replaced_by", "no model id"),
        ({"engine": "echo", "supported_parameters": ["temprature"]}, "supported_parameters", "temperature"),
        ({"engine": "echo", "trust": "everybody"}, "trust", "maker, converter"),
        ({"engine": "echo", "deprecated": 1}, "deprecated", "true or false"),
        ({"engine": "echo", "benchmarks": {"x": float("inf")}}, "benchmarks", "finite"),
        (
            {"engine": "echo", "cost": {"input_usd_per_million_tokens": 1, "output_usd_per_million_tokens": 1, "x": 1}},
            "cost",
            "unknown",
        ),
    ],
)
def test_a_wrong_row_names_its_key_and_what_is_allowed(table: dict[str, object], field: str, problem: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        schema_from(str(ME), table, {})
    assert str(caught.value.details["field"]).startswith(f'models."{ME}".{field}')
    assert problem in str(caught.value)


# --- layers

good = st.fixed_dictionaries({"engine": st.just("echo")}, optional={"family": words, "context_tokens": positive})
bad: st.SearchStrategy[object] = st.sampled_from(
    [{}, {"engine": "vllm"}, {"engine": "echo", "zzz": 1}, [], 7, None, "engine"]
)
names = st.sampled_from([f"me/model-{letter}:x" for letter in "abcdefgh"])


@given(st.dictionaries(names, good), st.dictionaries(names, bad))
def test_one_wrong_row_costs_no_other_and_says_why_when_it_is_asked_for(
    right: dict[str, dict[str, object]], wrong: dict[str, object]
) -> None:
    base = curated()
    rows: dict[str, object] = {**right, **wrong}
    merged = base.with_usable_rows(rows)
    for name in right.keys() - wrong.keys():
        assert str(merged.find(name).id) == name
    for name in wrong:
        with pytest.raises(ModelNotFound, match="cannot be used"):
            merged.find(name)
    assert {schema.id for schema in base.schemas} <= {schema.id for schema in merged.schemas}
    assert set(merged.broken) == set(wrong)


@given(st.dictionaries(names, good), st.dictionaries(names, good))
def test_a_layer_changes_what_it_names_and_the_order_inside_it_does_not_matter(
    below: dict[str, dict[str, object]], above: dict[str, dict[str, object]]
) -> None:
    merged = curated().with_rows(below).with_rows(above)
    for name in below.keys() | above.keys():
        found = merged.find(name)
        expected = {**below.get(name, {}), **above.get(name, {})}
        assert (found.family, found.context_tokens) == (expected.get("family", ""), expected.get("context_tokens"))
    again = curated().with_rows(dict(reversed(below.items()))).with_rows(dict(reversed(above.items())))
    assert set(map(str, (one.id for one in again.schemas))) == set(map(str, (one.id for one in merged.schemas)))


# --- the curated list


def test_every_task_has_a_small_and_a_larger_model() -> None:
    sizes: defaultdict[str, set[str]] = defaultdict(set)
    for schema in curated().schemas:
        for task in schema.tags[:1]:
            sizes[task] |= {tag for tag in schema.tags if tag in ("small", "medium", "large")}
    assert {"small", "medium", "large"} <= sizes["chat"]
    for task in ("code", "embeddings", "rerank", "vision", "speech-in", "speech-out"):
        assert "small" in sizes[task], task
        assert sizes[task] & {"medium", "large"}, task
    assert "large" in sizes["reasoning"]


@pytest.mark.parametrize("schema", curated().schemas, ids=lambda schema: str(schema.id))
def test_every_curated_row_says_what_one_has_to_know(schema: Schema) -> None:
    assert schema.trust in ("maker", "converter")
    assert schema.license
    assert schema.cost is None
    if isinstance(schema.source, HubSource):
        assert schema.source.sha256 is None
        assert schema.parameters
        assert schema.quantization
        assert expected_bytes(schema) > 0
    if schema.replaced_by is not None:
        assert curated().find(str(schema.replaced_by)).deprecated is False
        assert schema.replaced_reason


def test_a_model_is_usable_if_this_version_has_an_operation_for_it() -> None:
    known = {str(schema.id): schema for schema in curated().schemas}
    usable = {name for name, schema in known.items() if schema.is_usable}
    assert str(curated().starter_id) in usable
    assert {name for name in known if "generate" in known[name].capabilities and known[name].is_served} <= usable
    assert not any(known[name].capabilities == ("embed",) for name in usable), "until there is the operation"
