"""Download a model: resumable, checked, and in place only when it is complete.

An unfinished download stays as ``FILE.part``, with the server's tag beside it, and the next call
asks for the rest only (RFC 9110, section 14: Range and If-Range). The part is locked while a
download runs, and takes its final name after its SHA-256 has been checked and it has reached the
disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import logging
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from io import FileIO
from pathlib import Path
from typing import Any

from talkcli import __version__
from talkcli.errors import InputError, MissingDependencyError
from talkcli.files.atomic import fsync_path, write_text_atomic
from talkcli.files.check import NO_SPACE, explained_writes, no_space_error, read_json
from talkcli.weights.store import PART, RECORD, check_contents, forget_part, model_path
from talkcli.weights.table import Model

_log = logging.getLogger(__name__)

#: Set to anything but 0, it forbids every download.
OFFLINE_VARIABLE = "TALKCLI_OFFLINE"

_BLOCK = 1 << 18
#: Seconds without a byte after which a connection counts as broken.
_TIMEOUT_S = 30.0
#: Connections in a row that brought nothing new before the download gives up, and the seconds
#: before the next try, which double.
_TRIES, _PAUSE_S = 4, 0.5
#: Space that must be left when the model is complete.
_SPARE_BYTES = 64 << 20
#: What a broken connection raises, in urllib and below it.
_BROKEN = (urllib.error.URLError, http.client.HTTPException, OSError)


def is_offline() -> bool:
    """Whether the environment forbids downloads."""
    return os.environ.get(OFFLINE_VARIABLE, "") not in ("", "0")


def fetch(
    model: Model, advance: Callable[[int], None] = lambda _: None, *, pause_s: float = _PAUSE_S
) -> Path:
    """Download a model, or the rest of it, and install it.

    Args:
        model: an entry of the table.
        advance: called with the number of bytes that have become available since the last call.
        pause_s: seconds before the second try after a broken connection.

    Returns:
        The path of the installed file.

    Raises:
        MissingDependencyError: ``TALKCLI_OFFLINE`` is set, or the server cannot be reached,
            refuses, or breaks off again and again; what has arrived is kept.
        InputError: the disk is full, another process is downloading the model, or the server
            offers another file.
    """
    if is_offline():
        raise MissingDependencyError(
            f"{OFFLINE_VARIABLE} forbids downloads, and {model.name} is not installed",
            f"get {model.url} elsewhere and run: talkcli models pull {model.name} --from FILE",
        )
    target = model_path(model)
    part = target.with_name(target.name + PART)
    with explained_writes(part, "TALKCLI_CACHE"), _locked(part, model) as stream:
        have = _resumable(stream, part, model)
        _check_space(part, model.size - have)
        advance(have)
        _complete(model, stream, part, advance, pause_s)
        _check_or_discard(model, part, target)
        os.replace(part, target)
        fsync_path(target.parent)
    forget_part(target)
    return target


def _complete(
    model: Model, stream: FileIO, part: Path, advance: Callable[[int], None], pause_s: float
) -> None:
    """Connect until the part is complete; getting further than ever before renews the tries."""
    failures, furthest = 0, stream.seek(0, os.SEEK_END)
    while (have := stream.seek(0, os.SEEK_END)) < model.size:
        try:
            _receive(model, stream, part, advance)
            reason = "the connection broke off"
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
                stream.truncate(0)  # part of a longer file
                advance(-have)
            elif error.code < 500 and error.code not in (408, 429):
                raise _refused(model, f"HTTP {error.code} {error.reason}") from error
            reason = f"HTTP {error.code} {error.reason}"
        except _BROKEN as error:
            if isinstance(error, OSError) and _is_local(error):
                raise
            reason = _reason(error)
        now = stream.seek(0, os.SEEK_END)
        failures = 0 if now > furthest else failures + 1
        furthest = max(furthest, now)
        if now < model.size and failures >= _TRIES:
            if now:
                reason += f"; {now / 1e6:.1f} MB have arrived and are kept"
            else:
                forget_part(model_path(model))
            raise _refused(model, reason)
        if now < model.size:
            _log.info("%s: %s after %d bytes; trying again", model.name, reason, now)
            time.sleep(pause_s * 2**failures)
    os.fsync(stream.fileno())


def _receive(model: Model, stream: FileIO, part: Path, advance: Callable[[int], None]) -> None:
    """Append what one connection brings; starts over where the server does not resume."""
    have = stream.seek(0, os.SEEK_END)
    headers = {"User-Agent": f"talkcli/{__version__}", "Accept-Encoding": "identity"}
    tag = _read_record(part).get("tag")
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag:
            headers["If-Range"] = tag
    request = urllib.request.Request(model.url, headers=headers)
    with _opener().open(request, timeout=_TIMEOUT_S) as answer:
        if have and not _continues(answer, have):
            _log.info("%s: the server does not resume; starting over", model.name)
            stream.truncate(0)
            stream.seek(0)
            advance(-have)
            have = 0
        if not have:
            _write_record(part, model, answer.headers.get("ETag"))
        while block := answer.read(_BLOCK):
            if have + len(block) > model.size:
                stream.truncate(0)
                raise InputError(
                    f"{model.url} offers another file than {model.name}: it has more than "
                    f"{model.size} bytes",
                    "use --from FILE with the right one",
                )
            _write_all(stream, block)
            have += len(block)
            advance(len(block))


def _continues(answer: Any, have: int) -> bool:
    """Whether an answer holds the bytes from ``have`` on."""
    start = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return answer.status == 206 and start is not None and int(start[1]) == have


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS with the system's proxies and redirections, and no other scheme."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


@contextmanager
def _locked(part: Path, model: Model) -> Iterator[FileIO]:
    """The part, opened and locked, so that two downloads do not write into one file."""
    handle = os.open(part, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    with FileIO(handle, "r+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another process is downloading {model.name}", "wait for it, or stop it"
            ) from error
        yield stream


def _resumable(stream: FileIO, part: Path, model: Model) -> int:
    """Bytes of an earlier download that can be kept; anything else is dropped."""
    have = stream.seek(0, os.SEEK_END)
    record = _read_record(part)
    same = (record.get("url"), record.get("sha256")) == (model.url, model.sha256)
    if have and (not same or have > model.size):
        stream.truncate(0)
        return 0
    return have


def _read_record(part: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        record = read_json(part.with_name(part.name.removesuffix(PART) + RECORD))
        if isinstance(record, dict):
            return record
    return {}


def _write_record(part: Path, model: Model, tag: str | None) -> None:
    # A weak tag does not promise the same bytes.
    strong = tag if tag and not tag.startswith("W/") else None
    record = {"url": model.url, "sha256": model.sha256, "tag": strong}
    write_text_atomic(part.with_name(part.name.removesuffix(PART) + RECORD), json.dumps(record))


def _write_all(stream: FileIO, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[stream.write(view) :]


def _check_space(part: Path, missing: int) -> None:
    if shutil.disk_usage(part.parent).free < missing + _SPARE_BYTES:
        raise no_space_error(part, "TALKCLI_CACHE")


def _check_or_discard(model: Model, part: Path, target: Path) -> None:
    try:
        check_contents(
            model, part, f"the file behind {model.url} has changed; use --from FILE with another"
        )
    except InputError:
        forget_part(target)
        raise


def _reason(error: BaseException) -> str:
    """What broke a connection, in words; urllib wraps the system's errors."""
    cause = getattr(error, "reason", error)
    told = cause.strerror if isinstance(cause, OSError) else None
    return told or str(cause) or type(cause).__name__


def _is_local(error: OSError) -> bool:
    """Whether an error is one of this machine's disk, and not of the network."""
    return error.errno in NO_SPACE


def _refused(model: Model, reason: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"{model.url} cannot be downloaded: {reason}",
        f"run the same command again to go on, or give a file: "
        f"talkcli models pull {model.name} --from FILE",
    )
