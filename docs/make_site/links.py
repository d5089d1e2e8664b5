"""Links of pages: to other pages, and to files of the project outside of ``docs/``.

The pages are written for a reader of the repository: a link to a source file is a relative path.
The site has a page ``source/PATH`` for each file and folder that some page links to.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs"
SOURCE = "source"  # the folder of the site that shows files outside of ``docs/``

_CODE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2|(?<!`)(`+)(?!`).*?(?<!`)\3(?!`)", re.M | re.S)
_LINK = re.compile(r"(\]\()([^()\s]+)(?=[)\s])|((?:href|src|srcset)=\")([^\"\s]+)(?=\")")


def targets(text: str) -> Iterator[str]:
    """The relative targets of a page's links and pictures, without their anchors.

    Args:
        text: The page, in Markdown.
    """
    found: list[str] = []
    rewritten(text, lambda target: found.append(target) or target)  # type: ignore[func-returns-value]
    return (path for path in (target.partition("#")[0] for target in found) if path)


def rewritten(text: str, change: Callable[[str], str]) -> str:
    """The page with other targets of its links; code stays as it is.

    Args:
        text: The page, in Markdown.
        change: Gives a relative target, with its anchor, another one.
    """

    def change_link(match: re.Match[str]) -> str:
        start, target = match[1] or match[3], match[2] or match[4]
        relative = not re.match(r"[a-z]+:|#|/", target)
        return start + (change(target) if relative else target)

    parts, end = [], 0
    for code in _CODE.finditer(text):
        # The text of a link may be code: its target comes after the code.
        parts += [_LINK.sub(change_link, text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _LINK.sub(change_link, text[end:])])


def project_path(page: str, target: str) -> str:
    """Where a link leads.

    Args:
        page: The page's path in the project.
        target: The target of a link in it, without an anchor.

    Returns:
        A path in the project, which need not exist.
    """
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), target))


def site_path(path: str) -> str | None:
    """The path of a file in the site's folder of pages.

    Args:
        path: Its path in the project.

    Returns:
        None if there is no such file or folder in the project.
    """
    if path.startswith(f"{DOCS}/") and path.endswith((".md", ".svg", ".png", ".gif", ".html")):
        return path.removeprefix(f"{DOCS}/")
    if path == "README.md":
        return "index.md"
    place = ROOT / path
    if path.startswith("..") or not place.exists():
        return None
    if place.is_dir():
        return f"{SOURCE}/{path}/index.md"
    return f"{SOURCE}/{path}" if path.endswith(".md") else f"{SOURCE}/{path}.md"


def link_in_site(page: str, place: str, target: str) -> str:
    """The target that a link has in the site.

    Args:
        page: The page's path in the project.
        place: The page's path in the site.
        target: The link's target, with its anchor.

    Returns:
        The same target if there is no such file; the build names it then.
    """
    path, mark, anchor = target.partition("#")
    there = site_path(project_path(page, path))
    if there is None:
        return target
    return posixpath.relpath(there, posixpath.dirname(place) or ".") + mark + anchor
