"""The public face, name by name: changing it is a decision, not an accident."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path

import inferd
import inferd.voice
from inferd import errors
from inferd.messages import speech

NAMES = {
    "clients": {"AsyncClient", "Client", "AsyncInferenceHandle", "InferenceHandle", "Priority"},
    "options": {"GenerateOptions", "HearingOptions", "SpeakingOptions"},
    "streams": {
        "AsyncHold",
        "AsyncLoopback",
        "AsyncReplyStream",
        "AsyncStream",
        "Hold",
        "Loopback",
        "ReplyStream",
        "Stream",
    },
    "streams of speech": {
        "AsyncSpeechStream",
        "AsyncSynthesis",
        "AsyncTranscriptStream",
        "AsyncTranscription",
        "SpeechStream",
        "Synthesis",
        "TranscriptStream",
        "Transcription",
    },
    "what is asked": {"Audio", "AudioBlock", "Blob", "ImageBlock", "Message", "Prompt", "TextBlock", "ToolCall"},
    "what is answered": {
        "App",
        "Coverage",
        "DaemonReport",
        "Discovered",
        "Done",
        "FoundServer",
        "GpuMemory",
        "Health",
        "Heard",
        "Likely",
        "MemoryDecision",
        "Model",
        "Pinned",
        "Preflight",
        "Problem",
        "Process",
        "Provider",
        "Registered",
        "Removed",
        "Reply",
        "SmokeStep",
        "SmokeTest",
        "Speech",
        "SpeechHealth",
        "SpeechPolicy",
        "SpeechSetup",
        "SpeechStage",
        "SpokenWord",
        "TokenEstimate",
        "TokenLogprob",
        "Transcript",
        "Trouble",
        "Unregistered",
        "Upgrade",
        "Warmed",
        "accumulate",
    },
    "what is known of models": {
        "CostTier",
        "Endpoint",
        "HubFile",
        "ModelSchema",
        "PackageFile",
        "Performance",
        "TokenCost",
    },
    "events": {
        "AudioChunk",
        "AudioStarted",
        "Final",
        "GenerateEvent",
        "Loading",
        "LoopbackEvent",
        "Parked",
        "Partial",
        "PullEvent",
        "PullProgress",
        "Pulled",
        "Queued",
        "Resumed",
        "SpeechEvent",
        "SpeechStarted",
        "SpeechStopped",
        "TextDelta",
        "ThinkingDelta",
        "ToolCallDelta",
        "ToolCallStart",
        "TranscriptEvent",
        "TranscriptSegment",
        "TranscriptionEvent",
        "Usage",
        "Word",
    },
    "errors": {kind.__name__ for kind in errors.BY_CODE.values()},
    "itself": {"__version__"},
}


def test_the_face_is_exactly_this() -> None:
    assert set(inferd.__all__) == set().union(*NAMES.values())
    assert list(inferd.__all__) == sorted(inferd.__all__)


VOICE = {
    "the session": {"ReplySource", "Session", "Settings", "State", "Turn", "VoiceEvent"},
    "of the user": {"FinalTranscript", "PartialTranscript", "UserStartedSpeaking", "UserStoppedSpeaking"},
    "of the answer": {
        "AgentPaused",
        "AgentResumed",
        "AgentStartedSpeaking",
        "AgentStoppedSpeaking",
        "Failed",
        "Interrupted",
        "ReplyDelta",
        "Thinking",
        "TurnEnded",
    },
}


def test_the_face_of_the_voice_session_is_exactly_this() -> None:
    assert set(inferd.voice.__all__) == set().union(*VOICE.values())
    assert list(inferd.voice.__all__) == sorted(inferd.voice.__all__)
    assert all(getattr(inferd.voice, name) is not None for name in inferd.voice.__all__)


def test_every_name_is_there_and_unknown_ones_are_not() -> None:
    for name in inferd.__all__:
        assert getattr(inferd, name) is not None
    assert not hasattr(inferd, "AsyncClientt")


def test_the_asyncio_client_has_the_blocking_clients_names() -> None:
    def face(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert face(inferd.AsyncClient) == face(inferd.Client) - {"close"} | {"aclose"}
    assert face(inferd.AsyncStream) == face(inferd.Stream) - {"close"} | {"aclose"}
    assert face(inferd.AsyncHold) == face(inferd.Hold)
    for kind in ("ReplyStream", "Loopback", "Transcription", "TranscriptStream", "Synthesis", "SpeechStream"):
        assert face(getattr(inferd, f"Async{kind}")) == face(getattr(inferd, kind)) - {"close"} | {"aclose"}
    for name in face(inferd.Client) - {"close"}:
        blocking, awaited = (inspect.signature(getattr(kind, name)) for kind in (inferd.Client, inferd.AsyncClient))
        assert blocking.parameters == awaited.parameters


def test_every_generate_option_is_a_field_of_the_operation() -> None:
    fields = set(inspect.signature(inferd.messages.operations.Generate).parameters)
    assert set(inferd.GenerateOptions.__annotations__) == fields - {"messages"}


def test_every_option_of_speech_is_a_field_of_its_operation() -> None:
    hearing = inspect.signature(speech.TranscribeStream).parameters
    assert set(inferd.HearingOptions.__annotations__) == set(hearing) - {"rate_hz"}
    for operation in (speech.Synthesize, speech.SynthesizeStream):
        speaking = set(inspect.signature(operation).parameters)
        assert set(inferd.SpeakingOptions.__annotations__) == speaking - {"text", "voice", "rate", "epoch"}
    whole = inspect.signature(inferd.Client.transcribe).parameters
    for name, field in inspect.signature(speech.Transcribe).parameters.items():
        assert name == "audio" or whole[name].default == field.default


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert inferd.__version__ == project["version"]
