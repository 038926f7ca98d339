"""A cattrs converter that never bends a value: wrong types, ranges and NaN are errors that name the field.

Covers: the hooks for classes, containers, unions and bounds. Why hooks: cattrs alone turns "5" and 5.9 into 5, "false" into
True, None into "None". Does not cover single values (`values`), frames and message tables (`wire`).

Two looks at a value: the quick one is cattrs' generated code (or `flat`) and only says no. The locating one, for what was
refused, goes field by field and stops at the first wrong one, with its path. Why not cattrs' own detailed mode: it collects
every error, and 6 MiB of wrong blocks took it three minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from cattrs.cols import homogenous_tuple_structure_factory, mapping_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn
from cattrs.preconf.msgpack import MsgpackConverter, make_converter

from inferd import flat, values
from inferd.fields import FieldError, RawBytes, field_error
from inferd.messages.bounds import Blob, Unread
from inferd.messages.operations import BLOCKS, Block
from inferd.values import WANTED, shown

Hook = flat.Structure

Factory = Callable[[Any, MsgpackConverter], Hook]
"""(type, converter) → hook."""


# --- bounds, literals, unions: the same in both looks


def _bounded_hook(annotated: Any, converter: MsgpackConverter) -> Hook:  # noqa: ANN401 - a type, of any kind
    base, *bounds = get_args(annotated)
    inner = converter.get_structure_hook(base)
    is_container = get_origin(base) in (tuple, Mapping)

    def bounded(value: Any, _: Any) -> Any:  # noqa: ANN401
        if is_container and isinstance(value, (list, tuple, Mapping)):  # before a look at a million items
            for bound in bounds:
                values.within(bound, value)
        made = inner(value, base)
        for bound in bounds:
            values.within(bound, made)
        return made

    return bounded


def _literal_hook(wanted: Any, _: object) -> Hook:  # noqa: ANN401 - a type, of any kind
    allowed = frozenset(get_args(wanted))

    def chosen(value: Any, _: Any) -> str:  # noqa: ANN401
        if type(value) is not str or value not in allowed:
            raise ValueError(f"expected {_wanted(wanted)}, got {shown(value)}")
        return value

    return chosen


def _union_hook(union: Any, converter: MsgpackConverter) -> Hook:  # noqa: ANN401 - a type, of any kind
    """Choose the member by the value's own type; every union in the messages can be told apart that way.

    An integer goes to the integer among the members, if there is one: to the number only when there is none.
    """
    members = {
        kind: (converter.get_structure_hook(member), member)
        for member in sorted(get_args(union), key=lambda member: float not in _arrives_as(member))
        for kind in _arrives_as(member)
    }
    expected = " or ".join(dict.fromkeys(_wanted(member) for member in get_args(union)))

    def told_apart(value: Any, _: Any) -> Any:  # noqa: ANN401
        if type(value) not in members:
            raise TypeError(f"expected {expected}, got {shown(value)}")
        hook, member = members[type(value)]
        return hook(value, member)

    return told_apart


def _arrives_as(member: Any) -> tuple[type, ...]:  # noqa: ANN401 - a type, of any kind
    """Return the types in which msgpack delivers a union's member."""
    origin = get_origin(member)
    if origin is Annotated:
        return _arrives_as(get_args(member)[0])
    plain: Mapping[Any, tuple[type, ...]] = {Literal: (str,), tuple: (list, tuple), Mapping: (dict,)}
    if origin in plain:
        return plain[origin]
    if is_dataclass(member):
        return (dict,)
    return {float: (float, int), Blob: (bytes, bytearray, memoryview)}.get(member, (member,))


def _wanted(member: Any) -> str:  # noqa: ANN401 - a type, of any kind
    if get_origin(member) is Literal:
        return f"one of {', '.join(get_args(member))}"
    return WANTED[_arrives_as(member)[0]]


def _block_hook(_: object, converter: MsgpackConverter) -> Hook:
    def block(value: Any, _: Any) -> Block:  # noqa: ANN401
        tag = value.get("type") if isinstance(value, Mapping) else None
        if not isinstance(tag, str) or tag not in BLOCKS:
            raise ValueError(f"expected a block of type {', '.join(BLOCKS)}, got {shown(tag)}")
        made: Block = converter.structure({key: one for key, one in value.items() if key != "type"}, BLOCKS[tag])
        return made

    return block


# --- classes and containers: the quick look


def _message_hook(kind: Any, converter: MsgpackConverter) -> Hook:  # noqa: ANN401 - a class
    """Give cattrs the annotations themselves: from text it would resolve them without their bounds."""
    hints = get_type_hints(kind, include_extras=True)

    @cache
    def whole() -> Hook:
        for field in fields(kind):
            field.type = hints[field.name]
        return _only_if(Mapping, make_dict_structure_fn(kind, converter))

    return flat.hook(kind, hints, whole)


def _list_hook(wanted: Any, converter: MsgpackConverter) -> Hook:  # noqa: ANN401 - a type, of any kind
    return _only_if((list, tuple), homogenous_tuple_structure_factory(wanted, converter))


def _map_hook(wanted: Any, converter: MsgpackConverter) -> Hook:  # noqa: ANN401 - a type, of any kind
    return _only_if(Mapping, mapping_structure_factory(wanted, converter))


def _only_if(container: type | tuple[type, ...], inner: Hook) -> Hook:
    """Let cattrs take a container apart, but only if it is one: a string is a fine iterable to cattrs."""

    def checked(value: Any, kind: Any) -> Any:  # noqa: ANN401
        if not isinstance(value, container):
            raise _no_container(container, value)
        return inner(value, kind)

    return checked


def _no_container(container: type | tuple[type, ...], value: object) -> TypeError:
    return TypeError(f"expected {WANTED[dict if container is Mapping else list]}, got {shown(value)}")


# --- classes and containers: the locating look


def _located(step: str, hook: Hook, value: object, kind: object) -> Any:  # noqa: ANN401 - whatever the hook makes
    try:
        return hook(value, kind)
    except Exception as wrong:  # noqa: BLE001 - a class may refuse its fields with any error
        raise field_error(wrong).inside(step) from None


def _locating_message_hook(kind: Any, converter: MsgpackConverter) -> Hook:  # noqa: ANN401 - a class
    hooks = {
        name: (converter.get_structure_hook(hint), hint)
        for name, hint in get_type_hints(kind, include_extras=True).items()
    }
    required = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}

    def located(value: Any, _: Any) -> Any:  # noqa: ANN401
        if not isinstance(value, Mapping):
            raise _no_container(Mapping, value)
        if converter.forbid_extra_keys:
            for key in value:
                if key not in hooks:
                    raise FieldError(str(key), "unknown field")
        for name in hooks:
            if name in required and name not in value:
                raise FieldError(name, "is required")
        made = {name: _located(name, hook, value[name], hint) for name, (hook, hint) in hooks.items() if name in value}
        return kind(**made)

    return located


def _locating_list_hook(wanted: Any, converter: MsgpackConverter) -> Hook:  # noqa: ANN401 - a type, of any kind
    kind = get_args(wanted)[0]
    hook = converter.get_structure_hook(kind)

    def located(value: Any, _: Any) -> Any:  # noqa: ANN401
        if not isinstance(value, (list, tuple)):
            raise _no_container((list, tuple), value)
        return tuple(_located(f"[{index}]", hook, item, kind) for index, item in enumerate(value))

    return located


def _locating_map_hook(wanted: Any, converter: MsgpackConverter) -> Hook:  # noqa: ANN401 - a type, of any kind
    key_kind, kind = get_args(wanted)
    key_hook, hook = converter.get_structure_hook(key_kind), converter.get_structure_hook(kind)

    def located(value: Any, _: Any) -> Any:  # noqa: ANN401
        if not isinstance(value, Mapping):
            raise _no_container(Mapping, value)
        return {
            _located(f"[{key}]", key_hook, key, key_kind): _located(f"[{key}]", hook, item, kind)
            for key, item in value.items()
        }

    return located


# --- the converter


def make_strict(*, unknown_fields_refused: bool, detailed: bool) -> MsgpackConverter:
    """Return a converter that refuses what a message class does not allow.

    `unknown_fields_refused`: True for what asks (an ignored field would be silently different), False for what tells.
    `detailed`: errors are FieldError with the path of the field; slower, for the second look at a value already refused.
    """
    converter = make_converter(
        detailed_validation=False, forbid_extra_keys=unknown_fields_refused, omit_if_default=True
    )
    for kind in (bool, bytes, NoneType, int):
        converter.register_structure_hook(kind, partial(values.exactly, kind))
    converter.register_structure_hook(float, values.number)
    converter.register_structure_hook(str, values.text)
    for applies, factory in _factories(_LOCATING if detailed else _QUICK):
        converter.register_structure_hook_factory(applies, factory)
    converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _: values.plain(value))
    converter.register_structure_hook_func(lambda kind: kind is Blob, values.raw)
    converter.register_structure_hook_func(lambda kind: kind is Unread, partial(values.exactly, dict))
    _register_outward(converter)
    return converter


_QUICK: Final[tuple[Factory, Factory, Factory]] = (_message_hook, _list_hook, _map_hook)
_LOCATING: Final[tuple[Factory, Factory, Factory]] = (
    _locating_message_hook,
    _locating_list_hook,
    _locating_map_hook,
)


def _factories(look: tuple[Factory, Factory, Factory]) -> tuple[tuple[Callable[[Any], bool], Any], ...]:
    message_hook, list_hook, map_hook = look
    return (
        (is_dataclass, message_hook),
        (lambda kind: get_origin(kind) is tuple, list_hook),
        (lambda kind: get_origin(kind) in (Mapping, dict), map_hook),
        (lambda kind: get_origin(kind) is Literal, _literal_hook),
        (lambda kind: get_origin(kind) in (Union, UnionType), _union_hook),
        (lambda kind: get_origin(kind) is Annotated, _bounded_hook),
        (lambda kind: kind == Block, _block_hook),
    )


def _register_outward(converter: MsgpackConverter) -> None:
    converter.register_unstructure_hook_func(lambda kind: kind is Unread, lambda body: body)
    converter.register_unstructure_hook_func(lambda kind: kind is Blob, RawBytes)
    for tag, kind in BLOCKS.items():
        converter.register_unstructure_hook(kind, _tagged(tag, kind, converter))


def _tagged(tag: str, kind: type, converter: MsgpackConverter) -> Callable[[Any], dict[str, object]]:
    inner: Callable[[Any], dict[str, object]] = make_dict_unstructure_fn(kind, converter)
    return lambda block: {"type": tag, **inner(block)}
