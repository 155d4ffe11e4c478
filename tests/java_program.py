"""The verifier in Java, which tests run: a question a line on stdin, an answer a line on stdout.

Here: compiling and asking it. Not here: its source (tests/unit/relay/third), the questions.
"""

from __future__ import annotations

import atexit
import base64
import functools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).resolve().parent / "unit" / "relay" / "third"
JAVA_TIMEOUT_S = 120
Json = Any


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def ask_java(questions: Sequence[Json]) -> list[Json]:
    """What it answers to each; skips by name where there is no JDK, which CI does not allow."""
    javac, java = shutil.which("javac"), shutil.which("java")
    if javac is None or java is None:
        pytest.skip(
            "no JDK 17 or newer on PATH (Debian: default-jdk-headless), which the verifier in a third language needs"
        )
    lines = "".join(f"{json.dumps(question)}\n" for question in questions)
    answers = [
        json.loads(line)
        for line in _run([java, "-cp", str(_compile(javac)), "Verify"], lines.encode()).splitlines()
    ]
    assert len(answers) == len(questions)
    for question, answer in zip(questions, answers, strict=True):
        assert "crashed" not in answer, (answer, question)
    return answers


@functools.cache
def _compile(javac: str) -> Path:
    """A folder with the classes, made once in this process and gone with it."""
    folder = Path(tempfile.mkdtemp(prefix="chainbell-java-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _run([javac, "-d", str(folder), *map(str, sorted(SOURCES.glob("*.java")))], b"")
    return folder


def _run(command: Sequence[str], given: bytes) -> bytes:
    done = subprocess.run(command, input=given, capture_output=True, timeout=JAVA_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
