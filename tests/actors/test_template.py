"""Chat templates: what honest ones are given, and where hostile ones end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferd.errors import InvalidRequest, LoadFailed
from inferd.messages.operations import Generate, Message
from inferd_actors.engines import missing
from inferd_actors.engines.llama_cpp.template import RENDER_S, ChatTemplate

pytestmark = pytest.mark.skipif("jinja2" in missing("llama_cpp"), reason="jinja2 is not installed")

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message['content'] | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MODEL = "me/model:1"
ASKED = Generate((Message("system", "Be brief."), Message("user", " Hello ")))
Make = Callable[[str], ChatTemplate]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[ChatTemplate] = []

    def begin(source: str) -> ChatTemplate:
        made.append(ChatTemplate(source, name="file.gguf", begin_text="<s>", end_text="</s>"))
        return made[-1]

    yield begin
    for template in made:
        template.close()


def test_a_conversation_becomes_the_prompt(make: Make) -> None:
    rendered = make(CHATML).render(ASKED, MODEL)
    assert rendered == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ bos_token }}{{ eos_token }}", "<s></s>"),
        (
            "{{ messages | tojson }}",
            '[{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hello "}]',
        ),
        ("{{ {'é': '<'} | tojson(indent=1) }}", '{\n "é": "<"\n}'),
        ("{% set ns = namespace(n=1) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}", "2"),
        ("{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role.upper() }}{% endfor %}", "USER"),
        ("{{ 'a,b'.split(',')[-1].strip().startswith('b') }}", "True"),
        ("{% for key, value in messages[0].items() %}{{ key }};{% endfor %}", "role;content;"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ enable_thinking is defined }}", "False"),
        ("{{ tools is none }}", "True"),
    ],
)
def test_templates_find_what_they_expect(make: Make, source: str, expected: str) -> None:
    assert make(source).render(ASKED, MODEL) == expected


def test_thinking_off_reaches_the_template(make: Make) -> None:
    asked = Generate(ASKED.messages, thinking="off")
    assert make("{{ enable_thinking }}").render(asked, MODEL) == "False"


def test_a_refusal_of_the_template_names_the_model_and_says_why(make: Make) -> None:
    template = make("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(InvalidRequest, match=f"{MODEL}.*roles must alternate") as refused:
        template.render(ASKED, MODEL)
    assert refused.value.details["field"] == "body.messages"
    assert refused.value.details["model"] == MODEL


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ messages[0].content.__class__.__base__.__subclasses__() }}",
        "{{ raise_exception.__globals__['os'] }}",
        "{{ (messages | attr('__init__')).__globals__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].content.encode().hex() }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% for i in range(10000000) %}a{% endfor %}",
        "{{ 1 // 0 }}",
    ],
)
def test_what_a_template_has_no_business_with_is_refused(make: Make, source: str) -> None:
    with pytest.raises(InvalidRequest, match=MODEL):
        make(source).render(ASKED, MODEL)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 3000000000 }}",
        "{% for i in range(90000) %}{{ 'a' * 10000 }}{% endfor %}",
        "{% set ns = namespace(t='a') %}{% for i in range(40) %}{% set ns.t = ns.t + ns.t %}{% endfor %}{{ ns.t }}",
        "{{ '%2000000000d' | format(1) }}",
    ],
)
def test_a_template_that_wants_too_much_memory_is_refused_and_the_next_render_works(make: Make, source: str) -> None:
    template = make("{% if messages | length > 1 %}" + source + "{% else %}fine{% endif %}")
    with pytest.raises(InvalidRequest, match=r"memory|characters|died|SecurityError"):
        template.render(ASKED, MODEL)
    assert template.render(Generate(ASKED.messages[:1]), MODEL) == "fine"


LOOPING = (
    "{% if messages | length > 1 %}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    "{% else %}fine{% endif %}"
)


def test_a_template_that_does_not_end_is_stopped_and_the_next_render_works(make: Make) -> None:
    template = make(LOOPING)
    with pytest.raises(InvalidRequest, match=f"longer than {RENDER_S:g} s"):
        template.render(ASKED, MODEL)
    assert template.render(Generate(ASKED.messages[:1]), MODEL) == "fine"


def test_a_render_that_nobody_wants_any_more_is_given_up(make: Make) -> None:
    template = make(LOOPING)
    assert template.render(ASKED, MODEL, still_wanted=lambda: False) is None
    assert template.render(Generate(ASKED.messages[:1]), MODEL) == "fine"


def test_a_template_that_is_none_fails_the_load_by_the_file_s_name() -> None:
    with pytest.raises(LoadFailed, match=r"file\.gguf") as failed:
        ChatTemplate("{% for %}", name="file.gguf", begin_text="", end_text="")
    assert failed.value.details["cause"] == "file_corrupt"


def test_a_long_conversation_passes_whole(make: Make) -> None:
    asked = Generate((Message("user", "é😀" * 1_000_000),))
    rendered = make(CHATML).render(asked, MODEL)
    assert rendered is not None
    assert rendered.count("é😀") == 1_000_000


def test_closing_ends_the_process_also_in_the_middle_of_a_loop(make: Make) -> None:
    template = make(LOOPING)
    template.render(Generate(ASKED.messages[:1]), MODEL)
    process = template.process_id
    assert process is not None
    template.close()
    assert not Path(f"/proc/{process}").exists()
    assert template.process_id is None


def test_nothing_of_this_process_s_environment_is_handed_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERD_CANARY", "planted")
    template = make(CHATML)
    environ = Path(f"/proc/{template.process_id}/environ")
    if not environ.exists():
        pytest.skip("no /proc here")
    assert b"planted" not in environ.read_bytes()
