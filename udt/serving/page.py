"""The page at /: one file with its style and its script inside, and the policy that says so."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from importlib import resources
from typing import NamedTuple


class Page(NamedTuple):
    """What is sent for /.

    Attributes
    ----------
    html : bytes
        The page.
    policy : str
        Its Content-Security-Policy: nothing but its own style, its own script and this server.
    """

    html: bytes
    policy: str


@functools.cache
def read_page() -> Page:
    """Return the page that ships with udt."""
    html = resources.files("udt.serving").joinpath("page.html").read_text("utf-8")
    style, script = (_hash(html, tag) for tag in ("style", "script"))
    policy = (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html.encode(), policy)


def _hash(html: str, tag: str) -> str:
    """Return what a policy calls the page's one element of a tag."""
    (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
