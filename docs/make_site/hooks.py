"""What mkdocs calls while it builds the site: pages of sources, links to them, figures by theme."""

from __future__ import annotations

import re

from links import DOCS, link_in_site, rewritten
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from source_pages import source_pages

# Comments of the tests of the pages, and of what is generated.
_COMMENTS = re.compile(r"^ *<!--.*?-->\n", re.M | re.S)
_PICTURE = re.compile(
    r'<picture><source media="\(prefers-color-scheme: dark\)" srcset="(?P<dark>[^"]*)">'
    r'<img alt="(?P<alt>[^"]*)" src="(?P<light>[^"]*)"></picture>'
)
_IN_PROJECT: dict[str, str] = {}  # path in the site -> path in the project


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds a page for each file outside of ``docs/`` that a page links to."""
    pages = [file for file in files.documentation_pages() if file.inclusion.is_included()]
    _IN_PROJECT.update({file.src_uri: f"{DOCS}/{file.src_uri}" for file in pages})
    own = [(_IN_PROJECT[file.src_uri], file.content_string) for file in pages]
    for place, (path, text) in source_pages(own).items():
        _IN_PROJECT[place] = path
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links to files of the project into links of the site, and drops comments."""
    place = page.file.src_uri
    if page.parent is None:  # it has no neighbours that a list beside it could show
        page.meta.setdefault("hide", ["navigation"])
    path = _IN_PROJECT[place]
    text = rewritten(markdown, lambda target: link_in_site(path, place, target))
    return _PICTURE.sub(_figures, _COMMENTS.sub("", text))


def _figures(match: re.Match[str]) -> str:
    """Both figures of a picture: the style sheet shows that of the reader's theme."""
    alt = match["alt"]
    return (
        f'<img alt="{alt}" src="{match["light"]}#only-light">'
        f'<img alt="{alt}" src="{match["dark"]}#only-dark">'
    )
