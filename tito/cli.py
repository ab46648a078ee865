"""The command `tito`. Starts fast: each command imports what it needs when it runs."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import typer

from tito.course import CourseError
from tito.lessons import student_commands

app = typer.Typer(
    name="tito",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "The TinyTorch optimization tier: its lessons, from text to graded notebook.\n\n"
        "A lesson is named by number or by name: [bold]14[/bold], [bold]profiling[/bold] or "
        "[bold]14_profiling[/bold].\n\n"
        "Start with [bold]tito status[/bold]; if something does not work, [bold]tito doctor[/bold]."
    ),
)
student_commands.register(app)
if find_spec("tito.lessons.staff_commands") is not None:  # a student's folder has no such file
    from tito.lessons import staff_commands

    staff_commands.register(app)


def main() -> None:
    """Run `tito`: exit code 0 when done, 1 when a check says no, 2 for a mistake in its use."""
    try:
        app(prog_name="tito")
    except CourseError as error:
        _explain(error.message, error.fix)
        sys.exit(2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _explain(f"{where}{error.strerror or error}.", "Correct this and run the command again.")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _explain(message: str, fix: str) -> None:
    """Show one panel: what is wrong, and what to do."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    text = Text(message)
    if fix:
        text.append(f"\n\nWhat to do: {fix}", style="bold")
    Console(stderr=True).print(Panel(text, title="tito", title_align="left", border_style="red"))


if __name__ == "__main__":
    main()
