"""The command ``talkcli``: the commands it knows, and the only place that exits.

Imports nothing heavy: ``talkcli --help`` answers before torch could even begin to load.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Annotated

import typer

from talkcli import __version__, runtime
from talkcli.cli.animate import animate_command, drive_command
from talkcli.cli.bench import bench_command
from talkcli.cli.doctor import doctor_command
from talkcli.cli.export import export_command
from talkcli.cli.reconstruct import reconstruct_command
from talkcli.cli.render import render_command
from talkcli.cli.show import UnwritableAnswerError
from talkcli.cli.status import status_command
from talkcli.cli.track import track_command
from talkcli.cli.train import train_app
from talkcli.errors import (
    InputError,
    InterruptedRunError,
    MissingDependencyError,
    TalkcliError,
    UsageError,
)
from talkcli.signals import on_ending

_NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR}
#: What Typer returns for a command that Ctrl-C has ended.
_TYPER_INTERRUPTED = 130

app = typer.Typer(
    name="talkcli",
    help="A portrait and a speech file become a talking video, on a plain CPU.",
    epilog="Exit codes: 0 done, 1 bug, 2 usage, 3 bad input, 4 something missing, 5 interrupted.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("animate")(animate_command)
app.command("reconstruct")(reconstruct_command)
app.command("drive")(drive_command)
app.command("render")(render_command)
app.command("track")(track_command)
app.command("export")(export_command)
app.command("status")(status_command)
app.command("doctor")(doctor_command)
app.command("bench")(bench_command)
app.add_typer(train_app, name="train")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"talkcli {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """A portrait and a speech file become a talking video, on a plain CPU."""


def main() -> None:
    """Entry point of the ``talkcli`` script."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path with letters that the terminal's encoding lacks is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    # Progress that nobody can read is no reason either.
    sys.stderr = runtime.lenient(sys.stderr)
    code = run(sys.argv[1:])
    if code == InterruptedRunError.exit_code:
        # A second signal, or a library's thread that the first one left hanging, could still
        # change the code while the interpreter winds down. Everything of ours is closed.
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Args:
        arguments: without the program's name; empty shows the help.

    Returns:
        The exit code. Errors have been written to stderr, one line each.
    """
    debug = "--debug" in arguments
    interrupts: list[int] = []
    restore = _on_signals(interrupts)
    try:
        runtime.configure()
        if not debug:
            runtime.silence_native_logs()
        code = typer.main.get_command(app).main(
            args=list(arguments) or ["--help"], prog_name="talkcli", standalone_mode=False
        )
        if interrupts or code == _TYPER_INTERRUPTED:
            raise KeyboardInterrupt
        sys.stdout.flush()
        return int(code or 0)
    except SystemExit as exit_request:
        # Shell completion ends this way.
        return int(exit_request.code or 0)
    except BrokenPipeError:
        # Whoever read stdout has gone (``| head``) and has what it wanted. Python would complain
        # again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except BaseException as error:  # noqa: BLE001 - every failure ends in a line and a code
        explained = _interrupted() if interrupts else explain(error)
        if debug:
            traceback.print_exc()
        sys.stderr.write(f"talkcli: {_one_line(str(explained))}\n")
        if "--json" in arguments:
            _answer(explained)
        return explained.exit_code
    finally:
        restore()


def explain(error: BaseException) -> TalkcliError:
    """Any exception as what failed, why, the mend and an exit code."""
    if isinstance(error, TalkcliError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return _interrupted()
    if hasattr(error, "format_message"):
        # Typer's own errors. Their class has another home since Typer brings its own click.
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "talkcli"
        return UsageError(error.format_message().rstrip("."), f"see {command} --help")
    if isinstance(error, UnwritableAnswerError):
        return InputError(
            f"the answer cannot be written to stdout ({error}); what was made is there",
            "send stdout elsewhere",
        )
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        place = f" ({error.filename})" if error.filename else ""
        return InputError(
            f"the disk is full{place}", "free some space, or choose another place with -o and -p"
        )
    if isinstance(error, OSError) and error.errno in _REFUSED:
        return InputError(
            f"{error.filename or 'a file'}: {error.strerror}",
            "check the rights or choose another place with -o and -p",
        )
    if isinstance(error, ImportError) and not (error.name or "").startswith("talkcli"):
        return MissingDependencyError(
            f"a library cannot be loaded ({error})", "run: talkcli doctor"
        )
    if isinstance(error, MemoryError):
        return TalkcliError("the memory is full", "choose a smaller --size")
    return TalkcliError(
        f"unexpected {type(error).__name__}: {error}",
        "this is a bug: run it again with --debug and report what it shows",
    )


def _interrupted() -> InterruptedRunError:
    return InterruptedRunError(
        "interrupted; no half-written file is left",
        "the same command resumes with what is finished",
    )


def _answer(error: TalkcliError) -> None:
    """The failure as an object on stdout, for programs."""
    answer = {"error": error.what, "code": error.exit_code, "mend": error.fix}
    with contextlib.suppress(OSError):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _on_signals(interrupts: list[int]) -> Callable[[], None]:
    """Let what ends a command unwind the stack once; returns what puts the old handlers back.

    The list is filled even where the exception that they raise is replaced by another one on its
    way, such as a broken pipe to an encoder that got the same signal.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        if len(interrupts) == 1:
            raise KeyboardInterrupt

    try:
        before = on_ending(stop)
    except ValueError:
        # Not the main thread (an embedding program): its own handlers stay.
        return lambda: None

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore
