"""Plain colours behind the head, by name."""

from __future__ import annotations

from talkcli.errors import UsageError


def named_color(text: str) -> tuple[int, int, int] | None:
    """The colour that a text names, 0–255 each: ``#1e90ff``, ``#0f8``, ``red``, ``dodgerblue``.

    Returns:
        None where it names none: it may be the path of a picture.

    Raises:
        UsageError: it begins as a colour does, with ``#``, and is none.
    """
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        if text.startswith("#"):
            raise not_a_color(text) from None
        return None
    # CSS clips what lies outside, as in rgb(300, 0, 0).
    red, green, blue = (min(255, max(0, level)) for level in (red, green, blue))
    return red, green, blue


def not_a_color(text: str) -> UsageError:
    """The error for a background that names neither a colour nor a picture."""
    return UsageError(
        f"--bg {text} is not a colour", "write it as #1e90ff or red, or name a picture file"
    )
