"""One notebook open in JupyterLab, in one page of the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Route
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from .lab_server import LabServer

_STATE = (Path(__file__).parent / "page_state.js").read_text(encoding="utf-8")
_IDLE = """() => {
  const notebook = window.jupyterapp?.shell?.currentWidget;
  return notebook?.sessionContext?.session?.kernel?.status === "idle";
}"""
_END_KERNEL = "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.shutdown()"
_MILLISECONDS = 1000

_HARMLESS = ("ResizeObserver loop",)  # the browser's note on a layout of two passes


class LabPage:
    """Opens a notebook, runs it, and reads what a person would see. Refuses foreign requests."""

    def __init__(
        self, browser: Browser, server: LabServer, size: tuple[int, int] = (1280, 900)
    ) -> None:
        self.refused: list[str] = []
        self.console_errors: list[str] = []
        self._server = server
        self._context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        self._context.route("**/*", self._gate)
        self.page = self._context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.console_errors.append(f"page error: {error}"))

    def _gate(self, route: Route) -> None:
        address = route.request.url
        if address.startswith((f"{self._server.address}/", "data:", "blob:")):
            route.continue_()
        else:
            self.refused.append(address)
            route.abort()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(known in message.text for known in _HARMLESS):
            where = message.location.get("url", "")
            self.console_errors.append(f"{message.text[:300]} ({where})")

    def open(self, notebook: str, seconds: float = 90) -> None:
        """Open `notebook` (its name in the served folder) and wait until its kernel is idle."""
        self.page.goto(
            f"{self._server.address}/lab/tree/{notebook}?token={self._server.token}&reset",
            timeout=seconds * _MILLISECONDS,
        )
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=seconds * _MILLISECONDS)
        self.page.wait_for_function(_IDLE, timeout=seconds * _MILLISECONDS)
        if self.page.locator("#jp-left-stack").is_visible():
            self.command("application:toggle-left-area")

    def run_all(self, seconds: float = 120) -> None:
        """Run all cells and wait until the kernel has nothing left to do."""
        self.page.set_default_timeout(seconds * _MILLISECONDS)
        self.command("notebook:run-all-cells")
        self.wait_idle(seconds)

    def wait_idle(self, seconds: float = 60) -> None:
        """Wait until the kernel is idle."""
        self.page.wait_for_function(_IDLE, timeout=seconds * _MILLISECONDS)

    def command(self, name: str) -> None:
        """Run one of JupyterLab's commands and wait for its end."""
        self.page.evaluate("(name) => window.jupyterapp.commands.execute(name)", name)

    def ask(self, question: str) -> Any:
        """Return what page_state.js says to `question`."""
        return self.page.evaluate(f"() => ({_STATE}).{question}()")

    def wait_for(self, question: str, condition: str, seconds: float = 60) -> None:
        """Wait until `condition`, a JavaScript function, holds for the answer to `question`."""
        self.page.wait_for_function(
            f"() => ({condition})(({_STATE}).{question}())", timeout=seconds * _MILLISECONDS
        )

    def locate(self, selector: str) -> Locator:
        """Return playwright's handle of what `selector` finds."""
        return self.page.locator(selector)

    def follows(self, question: str, condition: str, seconds: float = 20) -> bool:
        """Return whether `condition` comes to hold for the answer to `question`."""
        try:
            self.wait_for(question, condition, seconds)
        except PlaywrightTimeout:
            return False
        return True

    def screenshot(self, path: Path) -> None:
        """Save what is in view as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(path))

    def close(self) -> None:
        """End the notebook's kernel, close the page and forget its cookies."""
        self.page.evaluate(_END_KERNEL)
        self._context.close()
