"""The ``talkcli`` command: its subcommands, and the only place that exits the process.

Imports nothing heavy, so that ``talkcli --help`` answers without loading torch.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import io
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from types import FrameType
from typing import Annotated, Any

import typer

from talkcli import __version__, runtime
from talkcli.cli.flags import Command, Group
from talkcli.cli.show import UnwritableAnswerError
from talkcli.errors import (
    InputError,
    InterruptedRunError,
    MissingDependencyError,
    TalkcliError,
    UsageError,
)
from talkcli.files.check import NO_SPACE
from talkcli.signals import on_ending

_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR}
#: What Typer returns for a command ended by Ctrl-C.
_TYPER_INTERRUPTED = 130
#: Seconds after which an interrupt that Python has dropped is raised again.
_AGAIN_S = 0.02
#: Characters of an error. Options may have 100,000, two usual paths and a fix have 500.
_LONGEST_LINE = 2000

#: Where each command is, and each group of commands.
_COMMANDS = {
    "animate": "animate:animate_command",
    "reconstruct": "reconstruct:reconstruct_command",
    "drive": "animate:drive_command",
    "render": "render:render_command",
    "track": "track:track_command",
    "preprocess": "preprocess:preprocess_command",
    "export": "export:export_command",
    "fit": "fit:fit_command",
    "eval": "evaluate:eval_command",
    "status": "status:status_command",
    "doctor": "doctor:doctor_command",
    "bench": "bench:bench_command",
    "qc": "qc:qc_command",
}
_GROUPS = {"models": "models:models_app", "train": "train:train_app"}


def command_line(called: str = "") -> typer.Typer:
    """The command line as Typer's app.

    Args:
        called: the command that is about to run. Importing the others takes a tenth of a second,
            so that they are left out, unless there is no such command.
    """
    app = typer.Typer(
        name="talkcli",
        cls=Group,
        help="Make a talking-head video from one portrait and a speech file, on an ordinary CPU.",
        epilog="Exit codes: 0 success, 1 bug, 2 usage, 3 bad input, 4 something missing, "
        "5 interrupted, 6 quality.",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    known = called in _COMMANDS or called in _GROUPS
    for name, place in _COMMANDS.items():
        if name == called or not known:
            app.command(name, cls=Command)(_imported(place))
    for name, place in _GROUPS.items():
        if name == called or not known:
            app.add_typer(_imported(place), name=name)
    return app


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"talkcli.cli.{module}"), name)


def __getattr__(name: str) -> Any:
    if name == "app":
        return command_line()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"talkcli {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Make a talking-head video from one portrait and a speech file, on an ordinary CPU."""


def main() -> None:
    """Entry point of the ``talkcli`` script."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path with characters that the terminal cannot encode is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    # Neither is progress that cannot be written anywhere.
    sys.stderr = runtime.lenient(sys.stderr)
    code = run(sys.argv[1:])
    # The work is done and its code is settled; the interpreter takes a while to wind down.
    on_ending(signal.SIG_IGN)
    if code == InterruptedRunError.exit_code:
        # A second signal, or a library thread left hanging by the first, could still change the
        # exit code while the interpreter shuts down. All of our own files are closed by now.
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Args:
        arguments: without the program name; empty shows the help.

    Returns:
        The exit code. An error has been written to stderr as one line.
    """
    debug = "--debug" in arguments
    interrupts: list[int] = []
    restore = _on_signals(interrupts)
    try:
        runtime.configure()
        if not debug:
            runtime.silence_native_logs()
        app = command_line(arguments[0] if arguments else "")
        code = typer.main.get_command(app).main(
            args=list(arguments) or ["--help"], prog_name="talkcli", standalone_mode=False
        )
        if interrupts or code == _TYPER_INTERRUPTED:
            raise KeyboardInterrupt
        sys.stdout.flush()
        return int(code or 0)
    except SystemExit as exit_request:
        # Typer exits this way when the pipe behind stdout breaks, and so does shell completion.
        if isinstance(exit_request.__context__, BrokenPipeError):
            return _nobody_reads()
        return int(exit_request.code or 0)
    except BrokenPipeError:
        return _nobody_reads()
    except BaseException as error:  # noqa: BLE001 - every failure ends in a line and a code
        explained = _interrupted() if interrupts else explain(error)
        if debug:
            traceback.print_exc()
        sys.stderr.write(f"talkcli: {_one_line(str(explained))}\n")
        if "--json" in arguments and not explained.answered:
            _answer(explained)
        return explained.exit_code
    finally:
        restore()


def _nobody_reads() -> int:
    """The reader of stdout (``| head``) has what it wanted and is gone, which is no failure.

    Without another stdout Python would report the broken pipe again at exit.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def explain(error: BaseException) -> TalkcliError:
    """Turn any exception into an error that says what failed, why, and how to fix it."""
    if isinstance(error, TalkcliError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return _interrupted()
    if hasattr(error, "format_message"):
        # Typer's own errors, known by this method: Typer vendors click, so the class has moved.
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "talkcli"
        return UsageError(error.format_message().rstrip("."), f"see {command} --help")
    if isinstance(error, UnwritableAnswerError):
        return InputError(
            f"the result cannot be written to stdout ({error}); the output files are complete",
            "redirect stdout elsewhere",
        )
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        place = f" ({error.filename})" if error.filename else ""
        return InputError(
            f"the disk is full{place}", "free some space, or choose other locations with -o and -p"
        )
    if isinstance(error, OSError) and error.errno in _REFUSED:
        return InputError(
            f"{error.filename or 'a file'}: {error.strerror}",
            "check the permissions, or choose other locations with -o and -p",
        )
    if isinstance(error, ImportError) and not (error.name or "").startswith("talkcli"):
        return MissingDependencyError(
            f"a library cannot be loaded ({error})", "run: talkcli doctor"
        )
    if isinstance(error, MemoryError):
        return TalkcliError("out of memory", "choose a smaller --size")
    return TalkcliError(
        f"unexpected {type(error).__name__}: {error}",
        "this is a bug: run the command again with --debug and report the output",
    )


def _interrupted() -> InterruptedRunError:
    return InterruptedRunError(
        "interrupted; no partial output was left behind",
        "run the same command again: it resumes from the finished stages",
    )


def _answer(error: TalkcliError) -> None:
    """Write the failure as a JSON object to stdout, for programs."""
    answer = {"error": error.what, "code": error.exit_code, "mend": error.fix}
    with contextlib.suppress(OSError):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _one_line(text: str) -> str:
    """The text without line breaks, and without the middle of an endless name or value."""
    line = " ".join(text.split())
    if len(line) <= _LONGEST_LINE:
        return line
    half = _LONGEST_LINE // 2
    return f"{line[:half]} ... {line[-half:]}"


def _on_signals(interrupts: list[int]) -> Callable[[], None]:
    """Let the first terminating signal unwind the stack; ignore further ones.

    Every signal is noted in the list, even if the exception that it raises is replaced by another
    on its way up, such as a broken pipe to an encoder that received the same signal. Where Python
    drops the exception, in a destructor or in what C code calls (LLVM, while kernels compile), it
    is raised once more. Where C code prints it and goes on with an error of its own (numpy, whose
    import fails), nothing is printed.

    Returns:
        A function that restores the previous handlers.
    """
    dropped: list[threading.Timer] = []

    def stop(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        if len(interrupts) == 1 or dropped:
            while dropped:
                dropped.pop().cancel()
            raise KeyboardInterrupt

    def unraisable(told: sys.UnraisableHookArgs) -> None:
        if not (interrupts and isinstance(told.exc_value, KeyboardInterrupt)):
            tell_unraisable(told)
            return
        # Raised here it would be dropped as well.
        dropped.append(threading.Timer(_AGAIN_S, _thread.interrupt_main))
        dropped[-1].start()

    def uncaught(kind: type[BaseException], value: BaseException, trace: Any) -> None:
        if not (interrupts and issubclass(kind, KeyboardInterrupt)):
            tell_uncaught(kind, value, trace)

    try:
        before = on_ending(stop)
    except ValueError:
        # Not the main thread (an embedding program): its own handlers stay.
        return lambda: None
    tell_unraisable, sys.unraisablehook = sys.unraisablehook, unraisable
    tell_uncaught, sys.excepthook = sys.excepthook, uncaught

    def restore() -> None:
        for timer in dropped:
            timer.cancel()
        sys.unraisablehook, sys.excepthook = tell_unraisable, tell_uncaught
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore
