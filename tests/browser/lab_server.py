"""A JupyterLab of its own: free loopback port, random token, its own settings and folders."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType

from tito.lab import SETTINGS_FOLDER, lab_arguments

_PRIVATE_FOLDERS = {
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
    "IPYTHONDIR": "ipython",
    "JUPYTERLAB_SETTINGS_DIR": "user-settings",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
}


class LabServer:
    """Serves the folder `root`, which it makes and removes, while its `with` block runs."""

    def __init__(self, theme: str = "JupyterLab Light", start_seconds: float = 90) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lab-"))
        self.root = self._folder / "course"
        self.root.mkdir()
        self._theme = theme
        self._start_seconds = start_seconds
        self.token = secrets.token_hex(16)
        self.port = _free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> LabServer:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        for variable, name in _PRIVATE_FOLDERS.items():
            (self._folder / name).mkdir()
            environment[variable] = str(self._folder / name)
        self._log = (self._folder / "lab.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *self._arguments()],
            cwd=self.root,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def add(self, source: Path) -> str:
        """Copy a file into the served folder and return its name there."""
        shutil.copy(source, self.root / source.name)
        return source.name

    def log(self) -> str:
        """Return what the server wrote so far."""
        return (self._folder / "lab.log").read_text(encoding="utf-8", errors="replace")

    def _arguments(self) -> list[str]:
        return [
            *lab_arguments(self.root, self._settings_folder()),
            "--no-browser",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}",
            "--LabApp.expose_app_in_browser=True",  # window.jupyterapp: its commands run cells
            "--ServerApp.terminals_enabled=False",
        ]

    def _settings_folder(self) -> Path:
        """Write the course's settings, with every cell laid out whether in view or not."""
        settings = json.loads((SETTINGS_FOLDER / "overrides.json").read_text(encoding="utf-8"))
        tracker = settings.setdefault("@jupyterlab/notebook-extension:tracker", {})
        tracker["windowingMode"] = "none"
        settings["@jupyterlab/apputils-extension:themes"] = {"theme": self._theme}
        folder = self._folder / "settings"
        folder.mkdir()
        (folder / "overrides.json").write_text(json.dumps(settings), encoding="utf-8")
        return folder

    def _wait(self) -> None:
        end = time.monotonic() + self._start_seconds
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(
                    f"JupyterLab ended with {self._process.returncode}:\n{self.log()}"
                )
            try:
                status = f"{self.address}/api/status?token={self.token}"
                with urllib.request.urlopen(status, timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError(f"JupyterLab did not answer in {self._start_seconds} s:\n{self.log()}")

    def _stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()  # the server ends its kernels before itself
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
