"""Speech to speech: a conversation by voice, with turns, interruptions and the account of what was heard.

    import inferd
    import inferd.voice

Covers: the public face of the session. Rooms: `turns` decides who speaks (pure), with `answer`, `playback`, `conversation`,
`wording`; `session`, `writing` and `voicing` carry it out on an `AsyncClient`; `events` and `settings` are what an app sees.
Apart from `import inferd`, since it needs asyncio.
"""

from __future__ import annotations

from inferd.voice.events import (
    AgentPaused,
    AgentResumed,
    AgentStartedSpeaking,
    AgentStoppedSpeaking,
    Failed,
    FinalTranscript,
    Interrupted,
    PartialTranscript,
    ReplyDelta,
    Thinking,
    Turn,
    TurnEnded,
    UserStartedSpeaking,
    UserStoppedSpeaking,
    VoiceEvent,
)
from inferd.voice.session import ReplySource, Session
from inferd.voice.settings import Settings
from inferd.voice.turns import State

__all__ = [
    "AgentPaused",
    "AgentResumed",
    "AgentStartedSpeaking",
    "AgentStoppedSpeaking",
    "Failed",
    "FinalTranscript",
    "Interrupted",
    "PartialTranscript",
    "ReplyDelta",
    "ReplySource",
    "Session",
    "Settings",
    "State",
    "Thinking",
    "Turn",
    "TurnEnded",
    "UserStartedSpeaking",
    "UserStoppedSpeaking",
    "VoiceEvent",
]
