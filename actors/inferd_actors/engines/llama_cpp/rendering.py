"""The program that renders a chat template: a process of its own, since the template is somebody's program.

Covers: the sandbox, the limits of memory, processor time and output, and the talk with the engine over stdin and stdout.
Run by path, it needs nothing but jinja2. See also: `template`, the engine's side, which adds the limit of wall time.
Each message is 4 bytes of length (big-endian) and as much JSON: first the template, answered once it is compiled, then one
conversation after the other. It ends when its parent does: stdin is then at its end.
Why a process: jinja2's sandbox is no limit of resources. Two nested loops of 4,000 ran 0.9 s, `'a' * 3e9` took 2.8 GiB.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import Template

MEMORY_BYTES: Final = 512 * 2**20
"""Address space: the interpreter takes 50 MB; an 8 MB conversation is copied some ten times, four bytes a letter."""
CPU_S: Final = 3
"""Beyond the engine's wall time of 2 s: this one ends a loop whose engine was killed."""
OUTPUT_CHARS: Final = 32 * 2**20
"""Four times the longest conversation that a message can carry."""
LENGTH: Final = struct.Struct(">I")

# fmt: off
HARMLESS: Final = frozenset((
    "capitalize", "count", "endswith", "find", "get", "index", "isalnum", "isalpha", "isdecimal", "isdigit",
    "islower", "isnumeric", "isspace", "isupper", "items", "join", "keys", "lower", "lstrip", "partition",
    "removeprefix", "removesuffix", "replace", "rfind", "rpartition", "rsplit", "rstrip", "split", "splitlines",
    "startswith", "strip", "swapcase", "title", "upper", "values",
))
# fmt: on
"""Methods of texts, lists and maps that templates may call; everything else of them stays closed."""
PLAIN: Final = (str, bytes, int, float, list, tuple, dict, type(None))


class Sandbox(ImmutableSandboxedEnvironment):
    """What a template can reach: its own variables, loops and macros, and harmless methods of plain values."""

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        self.globals.pop("lipsum")
        self.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        self.filters["tojson"] = _to_json

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401 - whatever a template touches
        """Tell whether a template may read this attribute."""
        if isinstance(obj, PLAIN) and attr not in HARMLESS:
            return False
        return super().is_safe_attribute(obj, attr, value)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)


def _to_json(value: object, indent: int | None = None, *, sort_keys: bool = False, ensure_ascii: bool = False) -> str:
    """Return JSON as models were trained on it: jinja2's own filter escapes for HTML."""
    return json.dumps(value, indent=indent, sort_keys=sort_keys, ensure_ascii=ensure_ascii)


def render(template: Template, variables: Mapping[str, object]) -> str:
    """Return the prompt. Raises TemplateError, or whatever error hostile code brings about."""
    text = template.render(variables)
    if len(text) > OUTPUT_CHARS:
        raise TemplateError(f"the prompt has {len(text):,} characters; {OUTPUT_CHARS:,} may be")
    return text


def _checked(sandbox: Sandbox, source: str) -> str:
    """Return nothing for a template that compiles. Raises TemplateSyntaxError."""
    sandbox.from_string(source)
    return ""


def _attempt(task: Callable[[], str]) -> dict[str, str]:
    try:
        return {"text": task()}
    except MemoryError:
        return {"problem": f"it wants more than {MEMORY_BYTES // 2**20} MiB of memory"}
    except Exception as reason:  # noqa: BLE001 - a template can bring about any error, and each is its own
        return {"problem": f"{type(reason).__name__}: {reason}"[:2000]}


def _limit_time() -> None:
    """Let this process use `CPU_S` more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU_S, most))


def _read() -> Any:  # noqa: ANN401 - JSON
    head = sys.stdin.buffer.read(LENGTH.size)
    if len(head) < LENGTH.size:
        os._exit(0)
    return json.loads(sys.stdin.buffer.read(LENGTH.unpack(head)[0]))


def _write(answer: Mapping[str, str]) -> None:
    data = json.dumps(answer).encode()
    sys.stdout.buffer.write(LENGTH.pack(len(data)) + data)
    sys.stdout.buffer.flush()


def main() -> None:
    """Serve until stdin ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold somebody's prompt
    if sys.platform != "darwin":  # there the system's own libraries alone map hundreds of gigabytes
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sandbox = Sandbox()
    source = _read()["template"]
    _write(_attempt(lambda: _checked(sandbox, source)))
    template = sandbox.from_string(source)
    while True:
        variables = _read()
        _limit_time()
        _write(_attempt(partial(render, template, variables)))


if __name__ == "__main__":
    main()
