"""`python -m tito.lab` serves the right folder, on this machine alone."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tito import lab


def test_the_course_folder_is_served_on_loopback_without_news(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, command: commands.append(command))
    monkeypatch.chdir(tmp_path)
    lab.main(["--no-browser"])
    [command] = commands
    course = Path(lab.__file__).parents[1]
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert "--ServerApp.ip=127.0.0.1" in command
    assert f"--ServerApp.root_dir={course}" in command
    assert "--LabApp.news_url=" in command
    assert command[-1] == "--no-browser"
    assert Path.cwd() == course


def test_another_folder_can_be_served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, command: commands.append(command))
    monkeypatch.chdir(tmp_path)
    lab.main([str(tmp_path)])
    assert f"--ServerApp.root_dir={tmp_path}" in commands[0]


def test_a_missing_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="is no folder"):
        lab.lab_arguments(tmp_path / "nowhere")


def test_the_settings_fetch_nothing() -> None:
    settings = json.loads((lab.SETTINGS_FOLDER / "overrides.json").read_text(encoding="utf-8"))
    notification = settings["@jupyterlab/apputils-extension:notification"]
    assert notification["fetchNews"] == "false"
    assert notification["checkForUpdates"] is False
