"""The daemon's settings: one TOML file, `INFERD_*` over it, read once at the edge, then frozen.

Covers: keys, units, defaults, ranges and the errors that name them. `config.example.toml` at the root shows every key and is
compared with this file by a test. Does not cover where the SDK finds the socket: `inferd.address`.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from inferd.messages.control import Priority
from inferd_daemon.ledger import KEEP_ALIVE_S
from inferd_daemon.store.elsewhere import Elsewhere, elsewhere


def _full(path: Path) -> Path:
    """Return a path that means the same wherever the daemon was started."""
    try:
        full = path.expanduser()
    except RuntimeError as homeless:
        raise ValueError(str(homeless)) from None
    if not full.is_absolute():
        raise ValueError(f"expected an absolute path or one below ~, got {path}")
    return full


FullPath = Annotated[Path, Strict(strict=False), AfterValidator(_full)]
"""TOML has no paths, so a string becomes one; everything else must have its own type."""


class Wrong(Exception):
    """A setting cannot be used; the message names key, value and what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Limits(_Section):
    """Bounds on what apps may ask at a time."""

    inflight_per_app: Annotated[int, Field(ge=1, le=256)] = 256
    """Unfinished requests of one connected app."""


class Memory(_Section):
    """How much memory models may hold, and for how long."""

    budget_bytes: Annotated[int, Field(ge=1, le=2**50)] | None = None
    """All models together; None: what the machine can spare."""
    reserve_bytes: Annotated[int, Field(ge=0, le=2**50)] | None = None
    """Kept free for other programs; None: 10 % of the memory, at least 2 GiB."""
    gpu_budget_bytes: Annotated[int, Field(ge=1, le=2**50)] | None = None
    """Of GPUs with memory of their own, all models and all GPUs together; None: what they can spare."""
    gpu_reserve_bytes: Annotated[int, Field(ge=0, le=2**50)] = 512 * 2**20
    """Kept free there for other programs: a desktop and a browser take about as much more when they are busy."""
    keep_alive_s: Annotated[float, Field(ge=0)] = KEEP_ALIVE_S
    """After this long without use a model is unloaded."""
    keep_alive: Mapping[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """The same for single models, by name."""
    pinned: tuple[str, ...] = Field(default=(), strict=False)
    """Models that, once loaded, never leave for another's memory or for want of use."""
    standby: Annotated[int, Field(ge=0, le=1)] = 1
    """Processes without a model that have an engine's libraries imported, for the next load."""


Port = Annotated[int, Field(ge=0, le=65_535)]


class Discover(_Section):
    """Where `inferd discover` looks: ports of this machine (0: not at all) and folders of other programs."""

    ollama_port: Port = 11434
    lm_studio_port: Port = 1234
    llama_cpp_port: Port = 8080
    vllm_mlx_port: Port = 8000
    ollama_dir: FullPath | None = None
    """None: $OLLAMA_MODELS, ~/.ollama/models and /usr/share/ollama/.ollama/models."""
    lm_studio_dir: FullPath | None = None
    """None: ~/.lmstudio/models and ~/.cache/lm-studio/models."""


class AppRules(_Section):
    """What one app, by its name, may do."""

    max_class: Priority = "voice"
    """The most urgent class that it may ask for."""


class Settings(BaseSettings):
    """Every setting of the daemon."""

    model_config = SettingsConfigDict(
        env_prefix="INFERD_", env_nested_delimiter="__", extra="forbid", frozen=True, strict=True
    )

    socket: FullPath | None = None
    """The apps' socket; None: `inferd.sock` in the runtime directory."""
    state_dir: FullPath | None = None
    """Where state and logs are kept; None: `$XDG_STATE_HOME/inferd`."""
    models_dir: FullPath | None = None
    """Where model files are kept; None: `$XDG_DATA_HOME/inferd/models`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["logfmt", "json"] = "logfmt"
    drain_s: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = 30.0
    """How long running requests may go on after SIGTERM."""
    keeper: Literal["child", "external"] = "child"
    """`child`: the daemon starts its keeper and takes it along. `external`: a unit of its own keeps it."""
    default_model: str | None = None
    """The model of requests that name none; None: the only one that is stored, or the starter."""
    limits: Limits = Limits()
    memory: Memory = Memory()
    discover: Discover = Discover()
    apps: Mapping[str, AppRules] = Field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    """Rows on top of the curated ones, read by `catalogue`, which names the keys in its errors."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment stands over the file; nothing else is read."""
        return _TypedEnvironment(settings_cls), init_settings


class _TypedEnvironment(EnvSettingsSource):
    """The environment, its words read as TOML reads them, so that both sources meet the same strict types."""

    def __call__(self) -> dict[str, Any]:
        return {key: _typed(value) for key, value in super().__call__().items()}


def _typed(value: Any) -> Any:  # noqa: ANN401 - a setting of any type
    if isinstance(value, dict):
        return {key: _typed(one) for key, one in value.items()}
    if not isinstance(value, str):
        return value
    try:
        read = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value
    return read if isinstance(read, (bool, int, float)) else value


def default_file() -> Path:
    """Return where the settings are looked for when no file is named."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "inferd" / "config.toml"


def read(file: Path | None) -> Settings:
    """Return the settings of `file` (None: the default file, if it is there) with the environment over it.

    Raises Wrong with the key, and a near match for an unknown one.
    """
    path = file or default_file()
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8")) if file or path.exists() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as unreadable:
        raise Wrong(f"{path}: {unreadable}") from None
    try:
        return Settings(**found)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise Wrong(f"{path}: {key}: {first['msg']}{_near(key, first['type'])}") from None
    except ValueError as invalid:  # an environment variable that is no JSON where a table is wanted
        raise Wrong(f"environment: {invalid}") from None


def _near(key: str, kind: str) -> str:
    if kind != "extra_forbidden":
        return f" (got {os.environ['INFERD_' + key.upper()]!r} from the environment)" if _from_environment(key) else ""
    near = difflib.get_close_matches(key.rpartition(".")[2], known_keys(), 1)
    return f": unknown setting; did you mean {near[0]!r}?" if near else ": unknown setting"


def _from_environment(key: str) -> bool:
    return "INFERD_" + key.upper() in os.environ


def known_keys() -> tuple[str, ...]:
    """Return the names of all keys, those of the sections too."""
    sections: tuple[type[BaseModel], ...] = (Settings, Limits, Memory, Discover, AppRules)
    return tuple(name for section in sections for name in section.model_fields)


def state_dir(settings: Settings) -> Path:
    """Return the state directory; if there is none it is made, 0700. Raises Wrong."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return _private(settings.state_dir or Path(base) / "inferd")


def models_dir(settings: Settings) -> Path:
    """Return the model directory; if there is none it is made, 0700. Raises Wrong."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return _private(settings.models_dir or Path(base) / "inferd" / "models")


def others(settings: Settings) -> Elsewhere:
    """Return where Ollama's and LM Studio's models may be."""
    return elsewhere(ollama_dir=settings.discover.ollama_dir, lm_studio_dir=settings.discover.lm_studio_dir)


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Raise Wrong, with the folder, for whatever the operating system refuses in the block."""
    try:
        yield
    except OSError as refused:
        raise Wrong(f"the folder {folder} cannot be used: {refused}") from refused


def _private(path: Path) -> Path:
    with usable(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
