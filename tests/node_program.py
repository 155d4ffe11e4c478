"""Programs for Node that tests run: JSON in on stdin, JSON out on stdout. Here: `run_node`. Not here: the programs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

NODE_TIMEOUT_S = 60


def run_node(script: Path, given: object) -> Any:
    """Run a program of ours on this; what it printed, parsed. Node comes with npm, which `make setup` asks for."""
    node = shutil.which("node")
    assert node is not None, "node is not on PATH"
    done = subprocess.run(
        [node, str(script)],
        input=json.dumps(given).encode(),
        capture_output=True,
        timeout=NODE_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)
