"""The environment that nix runs in: settings without touching anybody's files, and stores of one's own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PrivateStore", "nix_environment"]

_NO_NETWORK_SETTINGS = (
    "substitute = false",
    "substituters =",
    "flake-registry =",
    "use-registries = false",
    "builders =",
)

_NO_NETWORK_VARIABLES = {
    # Nothing listens on the discard port: fetchers and fixed-output derivations fail at once instead of downloading.
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"),
    "no_proxy": "",
    "NO_PROXY": "",
    "GIT_ALLOW_PROTOCOL": "file",
}


@dataclass(frozen=True)
class PrivateStore:
    """A Nix store of one's own below `root`, laid out as ``<root>/nix/store`` and ``<root>/nix/var``.

    It needs neither `/nix` nor a daemon nor root. Its paths differ from those of the machine's store, so nothing can
    be downloaded into it ready-made.
    """

    root: Path

    @property
    def store(self) -> Path:
        """The directory that holds the store paths."""
        return self.root / "nix/store"

    @property
    def state(self) -> Path:
        """The directory that holds the database and the roots."""
        return self.root / "nix/var/nix"

    @property
    def logs(self) -> Path:
        """The directory that holds the builders' logs."""
        return self.root / "nix/var/log/nix"

    @property
    def cache(self) -> Path:
        """The directory that holds what nix caches, such as fetched flakes."""
        return self.root / "cache"


def nix_environment(
    inherited: Mapping[str, str],
    *,
    private_store: PrivateStore | None,
    allow_network: bool,
    max_jobs: int | None,
) -> dict[str, str]:
    """The variables for a nix command, made from the `inherited` ones.

    `NIX_CONFIG` has the last word over the configuration files of user and machine, and those are left alone. With the
    machine's store they keep their say in everything but the network and the features that the nix command needs.
    """
    environment = dict(inherited)
    settings = [
        *environment.get("NIX_CONFIG", "").splitlines(),
        "extra-experimental-features = nix-command flakes",
        "warn-dirty = false",
        # The cache of flake evaluations remembers failures and forgets their messages (seen with Nix 2.8: the third
        # attempt at a `throw` says "is not a derivation"), and concurrent commands find its database busy.
        "eval-cache = false",
    ]
    if max_jobs is not None:
        settings.append(f"max-jobs = {max_jobs}")
    if not allow_network:
        settings += _NO_NETWORK_SETTINGS
        environment |= _NO_NETWORK_VARIABLES
    if private_store is not None:
        settings += ["store = local", "sandbox = false", "build-users-group =", "builders ="]
        if max_jobs is None:
            settings.append("max-jobs = auto")
        environment |= {
            "NIX_REMOTE": "local",
            "NIX_STORE_DIR": str(private_store.store),
            "NIX_STATE_DIR": str(private_store.state),
            "NIX_LOG_DIR": str(private_store.logs),
            "XDG_CACHE_HOME": str(private_store.cache),
        }
    environment["NIX_CONFIG"] = "\n".join(settings)
    return environment | _writable_home(environment, private_store)


def _writable_home(environment: Mapping[str, str], private_store: PrivateStore | None) -> dict[str, str]:
    """Replacements for a home and a cache directory that cannot be written, as on workers that run as a bare user."""
    home = environment.get("HOME", "")
    if home and os.access(home, os.W_OK | os.X_OK):
        return {}
    if private_store is not None:
        return {"HOME": str(private_store.root)}
    own = Path(tempfile.gettempdir()) / f"repx-nix-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    if own.stat().st_uid != os.getuid() or own.is_symlink():
        # Somebody else put it there: nix must not trust a cache in it.
        own = Path(tempfile.mkdtemp(prefix="repx-nix-"))
    return {"HOME": str(own), **({} if "XDG_CACHE_HOME" in environment else {"XDG_CACHE_HOME": str(own / "cache")})}
