"""Who is connected, which stream belongs to whom, and what goes where: the tables behind the wires.

Covers: every decision of the I/O thread, as plain code: a message or order in, outgoing frames and facts out. Does not
cover sockets, threads and queues (`wires`), nor what a request deserves (`supervisor`).
Rules it keeps: a stream has one terminal event towards the app; events pass only from the life that serves the stream, to
the session that asked; a fenced life is deaf and mute.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, assert_never

from inferd import wire
from inferd.errors import InferenceError, InvalidRequest, ModelNotFound, ProtocolError, UnsupportedMode
from inferd.fields import FieldError
from inferd.messages import control
from inferd.messages.events import Error, State, Terminal
from inferd_actors import messages as actors
from inferd_daemon import crossing
from inferd_daemon.crossing import Frames
from inferd_daemon.session import Peer, Session, Stream

MAX_OFFENCES: Final = 8
"""Malformed messages from one connection before it is closed: a confused client may err, a fuzzer need not be heard."""
MAX_EARLY: Final = 8
"""Messages like `finish` that are kept for a request until an actor has it, and one cancel more: honest apps send one or
two."""
KEEPER_WORDS: Final = (actors.KeeperReady, actors.KeeperTrouble, actors.Spawned, actors.Died)
"""What only the keeper may say: it concerns other lives than the speaker's own."""
KEEPER_LIFE: Final = 0
"""The keeper has no life number of its own; models start at 1."""


class Outgoing(NamedTuple):
    """Frames for one connection; `control` overtakes data that waits for the same peer.

    A tuple, because one is made for every message that passes.
    """

    to_app: bool
    peer_id: bytes
    frames: Frames
    control: bool = False


@dataclass(frozen=True, slots=True)
class Kick:
    """Close one connection."""

    to_app: bool
    peer_id: bytes
    reason: str


@dataclass(slots=True)
class ActorPeer:
    """One connected actor, or the keeper."""

    peer_id: bytes
    life: int
    kind: actors.Kind


class Switchboard:
    """The tables. Feed it messages and orders; then take `sends` and `facts`, both in order, and clear them."""

    def __init__(self, welcome: control.Welcome, resolve: Callable[[str], str]) -> None:
        """`resolve`: a model's name as people write it → its id; raises ModelNotFound."""
        self._welcome = welcome
        self._resolve = resolve
        self._numbers = itertools.count(1)
        self._sessions: dict[int, Session] = {}
        self._by_peer: dict[bytes, Session] = {}
        self._streams: dict[int, Stream] = {}
        self._actors: dict[bytes, ActorPeer] = {}
        self._lives: dict[int, ActorPeer] = {}
        self._expected: dict[int, crossing.Expect] = {}
        self._serving: dict[str, int] = {}
        self._offences: dict[bytes, int] = {}
        self.sends: list[Outgoing | Kick] = []
        self.facts: list[crossing.Fact] = []
        self.events_total = 0

    # --- apps

    def app_said(self, peer_id: bytes, peer: Peer, frames: Frames, now_s: float) -> None:
        """Take one message of an app; malformed ones are answered and counted, and go no further."""
        session = self._by_peer.get(peer_id)
        try:
            wire.check_frames(frames, self._welcome.limits)
            message: object = wire.decode(frames, wire.FROM_APP)
        except InferenceError as wrong:
            self._offended(peer_id, session, wrong)
            return
        if isinstance(message, control.Hello):
            self._greet(peer_id, peer, message)
        elif session is None:
            self._offended(peer_id, None, ProtocolError("say hello first"))
        elif session.peer != peer:
            self._refuse(peer_id, "permission_denied", "this connection belongs to another process")
        else:
            self._app_message(session, message, frames, now_s)

    def _offended(self, peer_id: bytes, session: Session | None, wrong: InferenceError) -> None:
        request = wrong.details.get("request")
        if session is not None and type(request) is int and request > 0 and request not in session.streams:
            self._end_unopened(session, request, wrong)
        else:
            self._refuse(peer_id, wrong.code, wrong.message)
        self._offences[peer_id] = count = self._offences.get(peer_id, 0) + 1
        if count >= MAX_OFFENCES:
            self.sends.append(Kick(to_app=True, peer_id=peer_id, reason=wrong.message))

    def _refuse(self, peer_id: bytes, code: str, message: str) -> None:
        self._send_app(peer_id, wire.encode(control.Refused(code, message[:4096])), control_first=True)

    def _greet(self, peer_id: bytes, peer: Peer, hello: control.Hello) -> None:
        problem = _unable(hello, self._welcome)
        if problem:
            self._refuse(peer_id, "version_mismatch", problem)
            return
        self._end_session(peer_id)
        session = Session(next(self._numbers), peer_id, peer, hello.app, hello.app_session, self._welcome.limits)
        self._sessions[session.number] = self._by_peer[peer_id] = session
        self._send_app(peer_id, wire.encode(self._welcome), control_first=True)
        self.facts.append(crossing.AppCame(session.number, session.app, session.app_session, peer))

    def _app_message(self, session: Session, message: object, frames: Frames, now_s: float) -> None:
        match message:  # what comes often stands first
            case control.Ping():
                self._ping(session, message)
            case control.Request():
                self._open(session, message, frames, now_s)
            case control.Credit():
                self._credit(session, message, frames)
            case control.Cancel():
                self._cancel(session, message, frames)
            case control.Feed() | control.Finish() | control.Pause() | control.Resume() | control.Played():
                stream = session.streams.get(message.request)
                if stream is not None:
                    self._uplink(session, stream, message, frames)
            case control.Reattach():
                self._reattach(session, message)
            case control.Goodbye():
                self._end_session(session.peer_id)
            case _:
                self._refuse(session.peer_id, "protocol_error", f"{wire.tag(type(message))} is not for the daemon")

    def _open(self, session: Session, request: control.Request, frames: Frames, now_s: float) -> None:
        if request.id in session.streams:
            return  # sent again after a reconnect, or twice: the first one counts
        limit = session.limits.inflight
        if len(session.streams) >= limit:
            full = f"{len(session.streams)} requests of {session.app} are unfinished; {limit} may be. Await some first"
            self._end_unopened(session, request.id, InferenceError(full), code="queue_full", retryable=True)
            return
        window = request.window
        stream = Stream(
            next(self._numbers),
            session.number,
            request.id,
            window.limit_seq,
            window.limit_bytes,
            now_s,
            frames=frames,
        )
        try:
            session.open_stream(stream)
        except InvalidRequest as wrong:
            self._end_unopened(session, request.id, wrong)
            return
        self._streams[stream.number] = stream
        size_bytes = sum(map(len, frames))
        self.facts.append(crossing.Arrived(stream.number, session.number, request, now_s, size_bytes))

    def _end_unopened(
        self, session: Session, request: int, wrong: InferenceError, *, code: str = "", retryable: bool = False
    ) -> None:
        error = Error(
            code or wrong.code, wrong.message[:4096], retryable or wrong.retryable, details=dict(wrong.details)
        )
        self._send_events(session, [wire.pack_event(request, 1, error)])

    def _credit(self, session: Session, credit: control.Credit, frames: Frames) -> None:
        stream = session.streams.get(credit.request)
        if stream is None:
            return
        try:
            changed = session.widen(stream, credit.seen_seq, credit.limit_seq, credit.limit_bytes)
        except InvalidRequest as wrong:
            self._refuse(session.peer_id, wrong.code, wrong.message)
            return
        if changed:
            self._forward(stream, frames)

    def _cancel(self, session: Session, cancel: control.Cancel, frames: Frames) -> None:
        stream = session.streams.get(cancel.request)
        if stream is None:
            return
        if stream.life:
            self._forward(stream, frames)
        elif len(stream.early) <= MAX_EARLY:  # the loop may be dispatching it just now: its actor must hear of it, too
            stream.early.append(frames)
        self.facts.append(crossing.CancelAsked(stream.number))

    def _uplink(self, session: Session, stream: Stream, message: control.Streamwise, frames: Frames) -> None:
        """Pass an uplink message on, or keep it for the actor that will serve the stream; data needs a window first."""
        if stream.life:
            self._forward(stream, frames)
        elif isinstance(message, control.Feed) or len(stream.early) >= MAX_EARLY:
            text = f"request {stream.request} is not being served yet, so nothing may be fed: wait for `granted`"
            self._refuse(session.peer_id, InvalidRequest.code, text)
        else:
            stream.early.append(frames)

    def _forward(self, stream: Stream, frames: Frames) -> None:
        """Pass the app's message to the stream's actor, unopened; before dispatch there is nobody to pass it to."""
        if stream.life:
            self._send_actor(stream.life, actors.Forward(stream.number), frames)

    def _reattach(self, session: Session, wanted: control.Reattach) -> None:
        """No stream outlives its app's connection yet, so every reattach finds it gone."""
        if wanted.request in session.streams:
            return
        gone = Error(
            "connection_lost",
            "the connection broke and this request's stream is gone; ask again",
            retryable=True,
            details={"started": True},
        )
        self._send_events(session, [wire.pack_event(wanted.request, wanted.seen_seq + 1, gone)])

    def _ping(self, session: Session, ping: control.Ping) -> None:
        """Answer, or have the model's process answer."""
        problem = ("", "")
        if ping.model is not None:
            try:
                actor = self._pinged(ping.model)
            except (ModelNotFound, UnsupportedMode) as unable:
                problem = (unable.code, unable.message[:4096])
            else:
                frames = actors.forward_ping(session.number, ping.nonce)
                self.sends.append(Outgoing(to_app=False, peer_id=actor.peer_id, frames=frames))
                return
        self._pong(session, ping.nonce, 0, *problem)

    def _pinged(self, name: str) -> ActorPeer:
        model = self._resolve(name)
        life = self._serving.get(model, 0)
        actor = self._lives.get(life) if life else None
        if actor is None:
            raise UnsupportedMode(f"{model} is not loaded: a ping does not load; send it a request first")
        return actor

    def app_gone(self, peer_id: bytes) -> None:
        """Forget a connection; its streams stay until the loop or their actors end them, unheard."""
        self._offences.pop(peer_id, None)
        self._end_session(peer_id)

    def _end_session(self, peer_id: bytes) -> None:
        """Forget an app, but not its offences: another hello on the same connection makes nobody a new peer."""
        session = self._by_peer.pop(peer_id, None)
        if session is not None:
            del self._sessions[session.number]
            self.facts.append(crossing.AppLeft(session.number))

    # --- actors

    def actor_said(self, peer_id: bytes, peer: Peer, frames: Frames, now_s: float) -> None:
        """Take one message of an actor or the keeper; what is malformed or of a fenced life is dropped."""
        actor = self._actors.get(peer_id)
        try:
            route = actors.read_route(frames[0])
            if actor is None:
                self._actor_hello(peer_id, peer, wire.decode(frames[1:], actors.FROM_ACTOR))
            elif route.kind == actors.KIND_EVENTS:
                self._pass_events(actor, route, frames, now_s)
            elif route.kind == actors.KIND_PONG:
                self._pass_pong(route.session, actors.read_nonce(frames[1:]), actor.life)
            else:
                self._actor_speaks(actor, wire.decode(frames[1:], actors.FROM_ACTOR))
        except InferenceError as wrong:
            self.sends.append(Kick(to_app=False, peer_id=peer_id, reason=wrong.message))

    def _actor_hello(self, peer_id: bytes, peer: Peer, hello: object) -> None:
        if not isinstance(hello, actors.ActorHello):
            raise ProtocolError("an actor's first message is its hello")
        expected = self._expected.get(hello.life)
        if expected is None or expected.secret != hello.secret or expected.kind != hello.kind:
            raise ProtocolError(f"nobody expects a {hello.kind} of life {hello.life} with this secret")
        if hello.protocol != control.PROTOCOL_VERSION:
            raise ProtocolError(f"life {hello.life} speaks protocol {hello.protocol}, not {control.PROTOCOL_VERSION}")
        if peer.pid not in (0, hello.pid):
            raise ProtocolError(f"the hello names pid {hello.pid}, the kernel says {peer.pid}")
        earlier = self._lives.get(hello.life)
        if earlier is not None:  # it connected anew, and its old line has not been seen to close
            self.actor_gone(earlier.peer_id)
            self.sends.append(Kick(to_app=False, peer_id=earlier.peer_id, reason=f"life {hello.life} connected anew"))
        self._actors[peer_id] = self._lives[hello.life] = ActorPeer(peer_id, hello.life, hello.kind)
        self._send_actor(hello.life, actors.ActorWelcome(self._welcome.instance))
        self.facts.append(crossing.ActorCame(hello))

    def _pass_pong(self, number: int, nonce: int, life: int) -> None:
        """Answer an app in our own words: an actor may say nothing to an app whose streams it does not serve."""
        session = self._sessions.get(number)
        if session is not None:
            self._pong(session, nonce, life)

    def _pong(self, session: Session, nonce: int, life: int, code: str = "", message: str = "") -> None:
        pong = control.Pong(nonce, self._welcome.instance, life, code, message)
        self._send_app(session.peer_id, wire.encode(pong), control_first=True)

    def _actor_speaks(self, actor: ActorPeer, message: object) -> None:
        if isinstance(message, KEEPER_WORDS) and actor.life != KEEPER_LIFE:
            raise ProtocolError(f"life {actor.life} says {wire.tag(type(message))}, which is the keeper's to say")
        self.facts.append(crossing.ActorSaid(actor.life, message))

    def _pass_events(self, actor: ActorPeer, route: actors.Route, frames: Frames, now_s: float) -> None:
        rows, moved, ends = route.rows, list[Stream](), list[Stream]()
        for row in rows:
            stream = self._streams.get(row.stream)
            if stream is None or stream.life != actor.life or stream.session != route.session:
                raise ProtocolError(f"life {actor.life} sent events of stream {row.stream}, which is not its own")
            moved.append(stream)
            if row.is_terminal:
                ends.append(stream)
        body = 1 + len(ends)
        if len(frames) <= body or (len(rows) > 1 and len({row.stream for row in rows}) < len(rows)):
            raise ProtocolError(f"life {actor.life} sent rows that its frames do not bear out")
        ended = [
            crossing.Ended(stream.number, _facts(frame)) for stream, frame in zip(ends, frames[1:body], strict=True)
        ]
        for row, stream in zip(rows, moved, strict=True):
            stream.last_seq = max(stream.last_seq, row.last_seq)
            stream.progressed_s = now_s
            self.events_total += row.n_events
        session = self._sessions.get(route.session)
        if session is not None:
            self._send_app(session.peer_id, frames[body:])
        for stream in ends:
            self._close(stream)
        self.facts += ended

    def actor_gone(self, peer_id: bytes) -> None:
        """Forget an actor's connection; the loop decides what becomes of its streams."""
        actor = self._actors.pop(peer_id, None)
        if actor is not None:
            self._lives.pop(actor.life, None)
            self.facts.append(crossing.ActorLost(actor.life, actor.kind))

    # --- orders

    def obey(self, order: crossing.Order) -> None:
        """Carry out one order of the loop; orders about streams that have ended change nothing."""
        match order:
            case crossing.Tell():
                self._tell(order.stream, order.event)
            case crossing.Conclude():
                self._conclude(order.stream, order.event)
            case crossing.Dispatch():
                self._dispatch(order)
            case crossing.EndAtActor():
                stream = self._streams.get(order.stream)
                if stream is not None and stream.life:
                    self._send_actor(stream.life, actors.End(stream.number, order.reason))
            case crossing.AskProgress():
                stream = self._streams.get(order.stream)
                if stream is not None:
                    self.facts.append(crossing.LastProgress(stream.number, stream.progressed_s))
            case crossing.Expect():
                self._expected[order.life] = order
            case crossing.Fence():
                self._fence(order.life)
            case crossing.Serve():
                self._serving[order.model] = order.life
            case crossing.ToActor():
                self._send_actor(order.life, order.message)
            case crossing.Farewell():
                bye = wire.encode(control.Goodbye(order.reason, order.retry_after_ms))
                for session in self._sessions.values():
                    self._send_app(session.peer_id, bye, control_first=True)
            case _:
                assert_never(order)

    def _tell(self, number: int, event: State) -> None:
        stream = self._streams.get(number)
        session = self._sessions.get(stream.session) if stream else None
        if stream is not None and session is not None:
            self._send_events(session, [wire.pack_event(stream.request, wire.STATE_SEQ, event)])

    def _conclude(self, number: int, event: Terminal) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        session = self._sessions.get(stream.session)
        if session is not None:
            self._send_events(session, [_packed_end(stream, event)])
        self._close(stream)

    def _dispatch(self, order: crossing.Dispatch) -> None:
        stream = self._streams.get(order.stream)
        if stream is None:
            return
        submit = replace(order.submit, limit_seq=stream.limit_seq, limit_bytes=stream.limit_bytes)
        stream.life = order.life
        self._send_actor(order.life, submit, stream.frames or ())
        for frames in stream.early:
            self._forward(stream, frames)
        stream.frames, stream.early = None, []

    def _fence(self, life: int) -> None:
        self._expected.pop(life, None)
        actor = self._lives.get(life)
        if actor is not None:
            self.actor_gone(actor.peer_id)
            self.sends.append(Kick(to_app=False, peer_id=actor.peer_id, reason=f"life {life} is fenced"))

    # --- common

    def _close(self, stream: Stream) -> None:
        del self._streams[stream.number]
        session = self._sessions.get(stream.session)
        if session is not None:
            session.close_stream(stream)

    def _send_app(self, peer_id: bytes, frames: Frames, *, control_first: bool = False) -> None:
        self.sends.append(Outgoing(to_app=True, peer_id=peer_id, frames=frames, control=control_first))

    def _send_events(self, session: Session, packed: Sequence[wire.PackedEvent]) -> None:
        self.events_total += len(packed)
        self._send_app(session.peer_id, wire.join_events(packed))

    def _send_actor(self, life: int, message: object, behind: Frames = ()) -> None:
        actor = self._lives.get(life)
        if actor is not None:
            frames = [*wire.encode(message), *behind]
            self.sends.append(Outgoing(to_app=False, peer_id=actor.peer_id, frames=frames))

    @property
    def counts(self) -> tuple[int, int, int]:
        """Return how many sessions, streams and actors there are: what a leak would show in."""
        return len(self._sessions), len(self._streams), len(self._actors)


def _packed_end(stream: Stream, event: Terminal) -> wire.PackedEvent:
    """Return the end of a stream; of one that cannot be put into msgpack (half a character in a path) only its code."""
    try:
        return wire.pack_event(stream.request, stream.last_seq + 1, event)
    except FieldError as unfit:
        code = event.code if isinstance(event, Error) else InferenceError.code
        text = f"the daemon's answer could not be encoded: {str(unfit)!a}"
        return wire.pack_event(stream.request, stream.last_seq + 1, Error(code, text[:4096], retryable=False))


def _facts(frame: wire.Frame) -> actors.Facts:
    fields = wire.unpack(frame)
    if not isinstance(fields, dict):
        raise ProtocolError("a facts frame is a map")
    return wire.from_fields(fields, actors.Facts)


def _unable(hello: control.Hello, welcome: control.Welcome) -> str:
    if not hello.protocol_min <= welcome.protocol <= hello.protocol_max:
        return (
            f"this daemon speaks protocol {welcome.protocol}, the app {hello.protocol_min} to {hello.protocol_max}: "
            "upgrade the older one"
        )
    unknown = sorted(set(hello.required) - set(welcome.capabilities))
    return f"the app requires {', '.join(unknown)}, which this daemon does not have: upgrade it" if unknown else ""
