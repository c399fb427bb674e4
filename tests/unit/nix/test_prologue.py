"""The beginning of every job script: RepX's contract for how a job is started."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_repx.nix.assemble.scripts import compose

pytestmark = pytest.mark.unit

DUMP = """
for name in "${!parameters[@]}"; do printf '%s\\0%s\\0' "$name" "${parameters[$name]}"; done > "$out/parameters"
for name in "${!inputs[@]}"; do printf '%s\\0%s\\0' "$name" "${inputs[$name]}"; done > "$out/inputs"
"""


@dataclass
class Script:
    """A job script in a folder of its own."""

    folder: Path
    text: str = DUMP
    defaults: dict[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ("/nonexistent/bin",)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def run(self, inputs: str | None = None, parameters: str | None = None) -> subprocess.CompletedProcess[str]:
        script = self.folder / "script"
        script.write_bytes(compose("/usr/bin/env bash", self.path, self.text, self.defaults))
        arguments = ["bash", str(script), str(self.out)]
        for name, content in (("inputs", inputs), ("parameters", parameters)):
            file = self.folder / f"{name}.json"
            if content is not None:
                file.write_bytes(content.encode("utf-8", "surrogatepass"))
            arguments.append(str(file))
        return subprocess.run(arguments, capture_output=True, text=True, errors="replace", timeout=60, check=False)

    def dumped(self, name: str) -> dict[str, str]:
        words = (self.out / name).read_bytes().decode().split("\0")[:-1]
        return dict(zip(words[::2], words[1::2], strict=True))


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# NUL cannot be in a bash variable, lone surrogates not in UTF-8.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)
scalars = st.one_of(texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none())


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(texts.filter(lambda name: name not in ("", "@", "*")), scalars, max_size=6),
    st.booleans(),
    st.sampled_from([None, 1, 2]),
)
def test_any_flat_object_is_loaded(
    tmp_path_factory: Any, values: dict[str, Any], ascii_only: bool, indent: Any
) -> None:
    script = Script(tmp_path_factory.mktemp("job"))

    finished = script.run(parameters=json.dumps(values, ensure_ascii=ascii_only, indent=indent))

    assert finished.returncode == 0, finished.stderr
    assert script.dumped("parameters") == {name: as_text(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r'{"a":"\u00e9\ud83d\ude00\/\"\\\b\f\n\r\t"}', {"a": 'é😀/"\\\b\f\n\r\t'}),
        ('\n{ "a" :\t1e5 ,\r\n"b":-0.5E+3} \n', {"a": "1e5", "b": "-0.5E+3"}),
        ('{"a":1,"a":2}', {"a": "2"}),
        ('{"$(touch x)":"$(touch y)`touch z`","a]b":"c[0]"}', {"$(touch x)": "$(touch y)`touch z`", "a]b": "c[0]"}),
        ("{}", {}),
        (" { } ", {}),
        (json.dumps({"long": "x" * 100_000}), {"long": "x" * 100_000}),
        (json.dumps({f"name {number}": number for number in range(300)}), {f"name {n}": str(n) for n in range(300)}),
    ],
)
def test_json_is_read_exactly(script: Script, written: str, read: dict[str, str]) -> None:
    finished = script.run(parameters=written)

    assert finished.returncode == 0, finished.stderr
    assert script.dumped("parameters") == read
    assert {path.name for path in script.out.iterdir()} == {"inputs", "parameters"}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("{", "malformed JSON near"),
        ('{"a"}', "malformed JSON near"),
        ('{"a":}', "malformed JSON near"),
        ('{"a":1', "malformed JSON near"),
        ('{"a":1,}', "malformed JSON near"),
        ('{"a":01}', "malformed JSON near"),
        ('{"a":1.}', "malformed JSON near"),
        ('{"a":nul}', "malformed JSON near"),
        ('{"a":"b}', "malformed JSON near"),
        ('{"a":"\n"}', "malformed JSON near"),
        (r'{"a":"\x"}', "malformed JSON near"),
        (r'{"a":"\u12"}', "malformed JSON near"),
        ("{'a':1}", "malformed JSON near"),
        ('{"a":1}{', "malformed JSON after the object"),
        ('{"a":1} 2', "malformed JSON after the object"),
        ('{"a":[1]}', "'a' is a list or an object; only text, numbers, booleans and null are possible"),
        ('{"a":{"b":1}}', "'a' is a list or an object; only text, numbers, booleans and null are possible"),
        (r'{"a":"\u0000"}', "'a' holds a character that bash cannot hold"),
        (r'{"a":"\ud800"}', "'a' holds a character that bash cannot hold"),
        ('{"a":"\0"}', "a NUL byte is no JSON"),
        ('{"":1}', "a name is empty"),
    ],
)
def test_malformed_json_stops_the_job(script: Script, written: str, message: str) -> None:
    script.text = 'echo ran > "$out/ran"'

    finished = script.run(parameters=written)

    assert finished.returncode == 1
    assert f"repx: {script.folder}/parameters.json: {message}" in finished.stderr
    assert not (script.out / "ran").exists()


def test_missing_files_are_no_inputs_and_no_parameters(script: Script) -> None:
    assert script.run().returncode == 0
    assert script.dumped("inputs") == script.dumped("parameters") == {}


def test_defaults_give_way_to_inputs(script: Script) -> None:
    given_file, default = script.folder / "given", script.folder / "it's a default"
    given_file.touch()
    default.touch()
    script.defaults = {"data": str(default), "other input": str(default)}

    assert script.run(inputs=json.dumps({"data": str(given_file)})).returncode == 0
    assert script.dumped("inputs") == {"data": str(given_file), "other input": str(default)}


def test_the_out_folder_is_emptied_but_for_slurm_s_logs(script: Script) -> None:
    (script.out / "old/deep").mkdir(parents=True)
    (script.out / "old/deep/file").touch()
    (script.out / ".hidden").touch()
    (script.out / "slurm-12.out").touch()
    (script.out / "old").chmod(0o555)
    script.text = 'pwd; echo new > "$out/new"'

    finished = script.run()

    assert finished.returncode == 0, finished.stderr
    assert {path.name for path in script.out.iterdir()} == {"new", "slurm-12.out"}
    assert finished.stdout.strip() == str(script.out)


def test_a_script_stops_at_the_first_error(script: Script) -> None:
    for text in ("false", "true | false | true", 'echo "$not_set"'):
        script.text = f"{text}\ntouch reached"

        assert script.run().returncode != 0
        assert not (script.out / "reached").exists()


def test_the_trace_begins_with_the_stage_s_own_text(script: Script) -> None:
    script.text = "echo hello"

    finished = script.run(parameters='{"secret": "value"}')

    assert finished.stderr == "+ echo hello\n"


def test_the_script_s_programs_come_before_the_caller_s(script: Script) -> None:
    folder = script.folder / "own programs"
    folder.mkdir()
    (folder / "hello").write_text("#!/bin/sh\necho own\n")
    (folder / "hello").chmod(0o755)
    script.path = (str(folder),)
    script.text = "hello; command -v ls"

    finished = script.run()

    assert finished.stdout.split()[0] == "own"
    assert finished.returncode == 0


def test_what_a_job_s_programs_see(script: Script) -> None:
    script.text = "env"

    finished = script.run(inputs="{}", parameters="{}")

    seen = dict(line.split("=", 1) for line in finished.stdout.splitlines() if "=" in line)
    assert seen["out"] == str(script.out)
    assert seen["inputs_json"] == str(script.folder / "inputs.json")
    assert seen["parameters_json"] == str(script.folder / "parameters.json")


def test_the_script_waits_for_its_inputs(script: Script, tmp_path: Path) -> None:
    late = tmp_path / "late"
    programs = tmp_path / "programs"
    programs.mkdir()
    # Instead of sleeping, the first pause brings the file about.
    (programs / "sleep").write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/pauses\ntouch {late}\n')
    (programs / "sleep").chmod(0o755)
    script.path = (str(programs),)

    finished = script.run(inputs=json.dumps({"data": str(late)}))

    assert finished.returncode == 0
    assert (tmp_path / "pauses").read_text() == "2\n"


def test_the_script_gives_up_on_an_input_after_30_seconds(script: Script, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sleep").write_text("#!/bin/sh\nexit 0\n")
    (programs / "sleep").chmod(0o755)
    script.path = (str(programs),)
    # `SECONDS` is bash's own clock: a job that has waited for long.
    script.text = "true"
    composed = compose("/usr/bin/env bash", script.path, "true", {}).replace(b"SECONDS + 30", b"SECONDS + 0")
    (tmp_path / "script").write_bytes(composed)
    (tmp_path / "inputs.json").write_text('{"data": "/nonexistent/data"}')

    finished = subprocess.run(
        ["bash", str(tmp_path / "script"), str(tmp_path / "out"), str(tmp_path / "inputs.json")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert finished.returncode == 1
    assert finished.stderr == "repx: input 'data' is not readable after 30 seconds: /nonexistent/data\n"


def test_the_beginning_itself_passes_shellcheck(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(compose("/usr/bin/env bash", ("/bin",), "true", {}))
    try:
        finished = subprocess.run(
            ["shellcheck", "--severity=warning", "--exclude=SC2034", str(script)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("needs shellcheck")
    assert finished.stdout == ""


def test_file_names_with_anything_in_them(tmp_path: Path) -> None:
    folder = tmp_path / "a b'c\"d$e"
    folder.mkdir()
    script = Script(folder)

    assert script.run(inputs="{}", parameters='{"a": 1}').returncode == 0
    assert script.dumped("parameters") == {"a": "1"}
    assert list(tmp_path.iterdir()) == [folder]
