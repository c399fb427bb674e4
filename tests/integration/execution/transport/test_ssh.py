"""What is particular to SSH, on a real server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.errors import CommandTimeoutError, HostKeyError, TransportError
from airflow_provider_repx.execution.transport import Completed, SshSettings, SshTransport
from tests.integration.execution.transport.conftest import settings_of
from tests.integration.execution.transport.test_run import wait_for_text, wait_until_gone
from tools.cluster import SshdOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from typing import TypeVar

    from tests.support.cluster import SshServerFactory, UserFactory
    from tools.cluster import ThrowawaySshd, ThrowawayUser

    Value = TypeVar("Value")

pytestmark = [pytest.mark.integration, pytest.mark.ssh]

TIMEOUT = 60.0


def using(settings: SshSettings, action: Callable[[SshTransport], Awaitable[Value]]) -> Value:
    async def scenario() -> Value:
        transport = SshTransport(settings)
        try:
            return await action(transport)
        finally:
            await transport.close()

    return asyncio.run(scenario())


def ran(settings: SshSettings, *command: str) -> Completed:
    return using(settings, lambda transport: transport.run(command, timeout=TIMEOUT))


@pytest.mark.full
def test_two_hundred_commands_share_one_connection(sshd: ThrowawaySshd, ssh_settings: SshSettings) -> None:
    before = sshd.connections_made()

    async def scenario(transport: SshTransport) -> list[Completed]:
        commands = (transport.run(["echo", str(number)], timeout=TIMEOUT) for number in range(200))
        return list(await asyncio.gather(*commands))

    done = using(ssh_settings, scenario)
    assert [(one.exit_code, one.stdout) for one in done] == [(0, f"{number}\n".encode()) for number in range(200)]
    assert sshd.connections_made() == before + 1


def test_a_connection_that_breaks_is_an_error_and_the_next_command_connects_again(
    sshd: ThrowawaySshd, ssh_settings: SshSettings, tmp_path: Path
) -> None:
    async def scenario(transport: SshTransport) -> None:
        command = ["bash", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 600"]
        running = [asyncio.create_task(transport.run(command, timeout=TIMEOUT)) for _ in range(2)]
        await asyncio.to_thread(wait_for_text, tmp_path / "pid")
        assert sshd.kill_sessions() > 0
        for one in running:
            with pytest.raises(TransportError, match=r"@127.0.0.1:\d+: the connection broke.*may or may not have run"):
                await one
        assert (await transport.run(["echo", "again"], timeout=TIMEOUT)).stdout == b"again\n"

    before = sshd.connections_made()
    using(ssh_settings, scenario)
    assert sshd.connections_made() == before + 2
    with contextlib.suppress(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 9)


def test_a_connection_that_died_while_idle_is_not_noticed_by_the_next_command(
    sshd: ThrowawaySshd, ssh_settings: SshSettings
) -> None:
    async def scenario(transport: SshTransport) -> None:
        assert (await transport.run(["true"], timeout=TIMEOUT)).exit_code == 0
        assert sshd.kill_sessions() > 0
        done = await asyncio.gather(*(transport.run(["echo", "on"], timeout=TIMEOUT) for _ in range(5)))
        assert {one.stdout for one in done} == {b"on\n"}

    using(ssh_settings, scenario)


def test_a_server_that_is_down_is_an_error_until_it_is_up(sshd_factory: SshServerFactory) -> None:
    server = sshd_factory()

    async def scenario(transport: SshTransport) -> None:
        assert (await transport.run(["true"], timeout=TIMEOUT)).exit_code == 0
        server.kill()
        server.kill_sessions()
        for _ in range(3):
            with pytest.raises(TransportError, match=rf"{server.user}@127.0.0.1:{server.port}: cannot be reached"):
                await transport.run(["true"], timeout=TIMEOUT)
        await asyncio.to_thread(server.restart)
        deadline = asyncio.get_running_loop().time() + 30
        while True:
            with contextlib.suppress(TransportError):
                assert (await transport.run(["true"], timeout=TIMEOUT)).exit_code == 0
                return
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.1)

    using(settings_of(server), scenario)


def test_an_unknown_host_is_refused(sshd: ThrowawaySshd, ssh_settings: SshSettings, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").touch()
    settings = ssh_settings.model_copy(update={"known_hosts": tmp_path / "known_hosts"})
    with pytest.raises(HostKeyError, match=r"127.0.0.1:\d+: its host key is not in .*SHA256:.*ssh-keyscan") as raised:
        ran(settings, "true")
    shown = subprocess.run(
        ["ssh-keygen", "-lf", sshd.folder / "host_key.pub"], check=True, capture_output=True, text=True
    )
    assert shown.stdout.split()[1] in str(raised.value)


def test_a_changed_host_key_is_refused(sshd_factory: SshServerFactory) -> None:
    server = sshd_factory()
    server.make_key("other_key")
    server.vouch("other_key")
    with pytest.raises(HostKeyError, match="is not the one that is known there"):
        ran(settings_of(server), "true")


def test_a_host_key_may_be_part_of_the_settings(sshd: ThrowawaySshd, ssh_settings: SshSettings) -> None:
    key = " ".join((sshd.folder / "host_key.pub").read_text().split()[:2])
    settings = ssh_settings.model_copy(update={"host_key": key, "known_hosts": None})
    assert ran(settings, "true").exit_code == 0


def test_the_check_of_host_keys_can_only_be_left_out_explicitly_and_with_a_warning(
    ssh_settings: SshSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tmp_path / "config"
    config.write_text("UserKnownHostsFile none\nStrictHostKeyChecking no\n")
    lax = ssh_settings.model_copy(update={"known_hosts": None, "config_file": config})
    with pytest.raises(HostKeyError):
        ran(lax, "true")
    with caplog.at_level(logging.WARNING):
        assert ran(lax.model_copy(update={"verify_host_key": False}), "true").exit_code == 0
    assert "its host key is not checked" in caplog.text


def test_a_wrong_key_names_user_host_and_key(sshd: ThrowawaySshd, ssh_settings: SshSettings) -> None:
    stranger = sshd.make_key("stranger")
    settings = ssh_settings.model_copy(update={"key_file": stranger})
    with pytest.raises(TransportError, match=rf"{sshd.user}@127.0.0.1:{sshd.port}: nobody was let in.*{stranger}"):
        ran(settings, "true")


def test_an_encrypted_key_needs_its_passphrase(sshd_factory: SshServerFactory) -> None:
    server = sshd_factory()
    key = server.make_key("locked", passphrase="open sesame")  # noqa: S106 - of a key made for this test
    server.authorize("user_key", "locked")
    settings = settings_of(server).model_dump() | {"key_file": key}
    with pytest.raises(TransportError, match=rf"the private key cannot be used.*passphrase.*{key}"):
        ran(SshSettings(**settings), "true")
    with pytest.raises(TransportError, match="the private key cannot be used") as raised:
        ran(SshSettings(**settings | {"passphrase": "wrong word"}), "true")
    assert "wrong word" not in str(raised.value)
    assert ran(SshSettings(**settings | {"passphrase": "open sesame"}), "true").exit_code == 0
    text = {"key_file": None, "private_key": key.read_text(), "passphrase": "open sesame"}
    assert ran(SshSettings(**settings | text), "true").exit_code == 0


def test_a_private_key_of_the_settings_is_written_nowhere(
    ssh_settings: SshSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ssh_settings.key_file is not None
    folders = [tmp_path / name for name in ("work", "home", "temporary")]
    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[0])
    monkeypatch.setenv("HOME", str(folders[1]))
    monkeypatch.setenv("TMPDIR", str(folders[2]))
    monkeypatch.setattr(tempfile, "tempdir", None)
    text = {"key_file": None, "private_key": ssh_settings.key_file.read_text()}
    assert ran(SshSettings(**ssh_settings.model_dump() | text), "true").exit_code == 0
    assert [list(folder.rglob("*")) for folder in folders] == [[], [], []]


@pytest.fixture
def agent(sshd: ThrowawaySshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    socket = sshd.folder / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        while subprocess.run(["ssh-add", "-q", sshd.key], capture_output=True, check=False).returncode == 2:
            assert process.poll() is None
        yield
    finally:
        process.kill()
        process.wait()
        socket.unlink(missing_ok=True)


def test_the_agent_is_asked(
    agent: None, ssh_settings: SshSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = ssh_settings.model_copy(update={"key_file": None, "use_agent": True})
    assert ran(settings, "true").exit_code == 0
    with pytest.raises(TransportError, match="nobody was let in"):
        ran(settings.model_copy(update={"use_agent": False}), "true")


def test_aliases_and_jumps_of_the_configuration_file(sshd: ThrowawaySshd, tmp_path: Path) -> None:
    config = tmp_path / "config"
    text = sshd.ssh_config.read_text()
    config.write_text(f"{text}\nHost behind\n    ProxyJump repx\n{text.partition(chr(10))[2]}")
    before = sshd.connections_made()
    assert ran(SshSettings(host="repx", config_file=config), "echo", "alias").stdout == b"alias\n"
    assert sshd.connections_made() == before + 1
    assert ran(SshSettings(host="behind", config_file=config), "echo", "jump").stdout == b"jump\n"
    assert sshd.connections_made() == before + 3


def test_a_missing_file_of_the_settings_is_named(ssh_settings: SshSettings, tmp_path: Path) -> None:
    for field in ("key_file", "known_hosts", "config_file"):
        with pytest.raises(TransportError, match=f"{tmp_path}/none does not exist or cannot be read"):
            ran(ssh_settings.model_copy(update={field: tmp_path / "none"}), "true")


def test_nobody_listens(ssh_settings: SshSettings) -> None:
    with pytest.raises(TransportError, match=r"root@127\.0\.0\.1:1: cannot be reached"):
        ran(ssh_settings.model_copy(update={"port": 1, "user": "root"}), "true")


def test_a_server_that_falls_silent_is_given_up(sshd_factory: SshServerFactory, tmp_path: Path) -> None:
    server = sshd_factory()
    settings = settings_of(server).model_copy(update={"keepalive_interval": 0.5})

    async def scenario(transport: SshTransport) -> None:
        command = ["bash", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 600"]
        running = asyncio.create_task(transport.run(command, timeout=TIMEOUT))
        await asyncio.to_thread(wait_for_text, tmp_path / "pid")
        stopped = server.sessions()
        for session in stopped:
            session.suspend()
        try:
            with pytest.raises(TransportError, match=r"the connection broke"):
                await running
            # One that the silent server has not seen goes over a new connection.
            assert (await transport.run(["echo", "on"], timeout=TIMEOUT)).stdout == b"on\n"
        finally:
            for session in stopped:
                session.resume()

    using(settings, scenario)
    os.kill(int((tmp_path / "pid").read_text()), 9)


def test_a_server_that_never_answers_is_given_up(ssh_settings: SshSettings) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        silent = {"port": listener.getsockname()[1], "connect_timeout": 0.5}
        with pytest.raises(TransportError, match=r"cannot be reached"):
            ran(ssh_settings.model_copy(update=silent), "true")


def test_many_cancelled_commands_leave_no_session_open(ssh_settings: SshSettings) -> None:
    async def scenario(transport: SshTransport) -> None:
        await transport.run(["true"], timeout=TIMEOUT)
        for pause in range(30):
            running = asyncio.create_task(transport.run(["sleep", "600"], timeout=TIMEOUT))
            for _ in range(pause):
                await asyncio.sleep(0)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        done = await asyncio.gather(*(transport.run(["echo", "x"], timeout=TIMEOUT) for _ in range(8)))
        assert {one.stdout for one in done} == {b"x\n"}

    using(ssh_settings, scenario)


def test_a_server_with_fewer_sessions_than_the_settings_allow(sshd_factory: SshServerFactory) -> None:
    server = sshd_factory(SshdOptions(extra=("MaxSessions 2",)))

    async def scenario(transport: SshTransport) -> list[Completed]:
        commands = (transport.run(["bash", "-c", "sleep 0.2; echo x"], timeout=TIMEOUT) for _ in range(8))
        return list(await asyncio.gather(*commands))

    assert {one.stdout for one in using(settings_of(server), scenario)} == {b"x\n"}
    assert server.connections_made() == 2  # the first one checked that a login works


ODD = [
    "",
    "a b",
    "it's",
    '"',
    "$HOME",
    "`id`",
    "!!",
    "!1",
    "\\",
    "\\n",
    "a\nb",
    "*",
    "~",
    "é¿",
    "{a,b}",
    "%",
    "#x",
    "(x)",
]


@pytest.mark.parametrize("shell", ["dash", "bash", "zsh", "tcsh", "fish"])
def test_every_login_shell_passes_arguments_on(
    sshd_factory: SshServerFactory, user_factory: UserFactory, shell: str
) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"needs {shell} (Debian: apt-get install {shell})")
    user = user_factory(shell=path)
    server = sshd_factory(SshdOptions(users=(user.name,)))
    settings = settings_of(server).model_copy(update={"user": user.name})
    done = ran(settings, "printf", "%s\\0", *ODD)
    assert done.stdout.decode().split("\0")[:-1] == ODD
    assert done.stderr == b""
    assert ran(settings, "sh", "-c", "exit 9").exit_code == 9


def test_what_a_login_prints_is_no_output(sshd_factory: SshServerFactory, second_user: ThrowawayUser) -> None:
    server = sshd_factory(SshdOptions(users=(second_user.name,)))
    (second_user.home / ".bashrc").write_text("echo 'Welcome!'; echo 'Quota: 3%' >&2; printf unfinished\n")
    done = ran(
        settings_of(server).model_copy(update={"user": second_user.name}), "bash", "-c", "echo out; echo err >&2"
    )
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


def test_a_login_that_runs_nothing_is_named(sshd_factory: SshServerFactory, user_factory: UserFactory) -> None:
    user = user_factory(shell="/usr/sbin/nologin")  # noqa: S604 - a login shell, not a flag
    server = sshd_factory(SshdOptions(users=(user.name,)))
    with pytest.raises(TransportError, match=r"the login ended before it ran sbatch .*not available"):
        ran(settings_of(server).model_copy(update={"user": user.name}), "sbatch")


def test_an_ordinary_users_command_is_ended_when_its_time_is_up(
    sshd_factory: SshServerFactory, second_user: ThrowawayUser
) -> None:
    server = sshd_factory(SshdOptions(users=(second_user.name,)))
    settings = settings_of(server).model_copy(update={"user": second_user.name})
    script = f"echo $$ > {second_user.home}/pid; sleep 600"
    with pytest.raises(CommandTimeoutError):
        using(settings, lambda transport: transport.run(["bash", "-c", script], timeout=1))
    wait_until_gone(int((second_user.home / "pid").read_text()))


def test_environment_and_search_path_of_the_settings(ssh_settings: SshSettings, tmp_path: Path) -> None:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    (folder / "tool").write_text("#!/bin/sh\necho found\n")
    (folder / "tool").chmod(0o755)
    given = {"environment": (("SLURM_CONF", "/a 'b' $c"),), "search_path": (folder,)}
    settings = ssh_settings.model_copy(update=given)
    assert ran(settings, "tool").stdout == b"found\n"
    assert ran(settings, "printenv", "SLURM_CONF").stdout == b"/a 'b' $c\n"


def test_slurm_answers_over_ssh(slurm_cluster: object, sshd: ThrowawaySshd) -> None:
    assert ran(settings_of(sshd), "sinfo", "-h", "-p", "gpu", "-o", "%D").stdout == b"2\n"
