"""The site builds without a warning, and shows what it should."""

from __future__ import annotations

import html
import inspect
import os
import re
import subprocess
import sys
from types import ModuleType

import pytest
from generate import PAGES, generated
from links import project_path, rewritten
from page_blocks import ROOT
from pymdownx.slugs import slugify

import rllib_ptm
from rllib_ptm import environment, envs, results

LONGEST_README = 150  # lines
BESIDE_THE_CODE = ["README.md", "benchmarks/README.md", "CONTRIBUTING.md", "CHANGELOG.md"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages of the site, without what the theme adds around them."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return {str(f.relative_to(folder)): f.read_text() for f in folder.rglob("*.html")}


def article(page: str) -> str:
    return page.partition("<article")[2].partition("</article>")[0]


@pytest.mark.parametrize("page", PAGES)
def test_what_follows_from_the_code_is_up_to_date(page: str) -> None:
    found = (ROOT / "docs" / page).read_text()
    assert found == generated(page), "run `make docs`, which writes this page, and commit it"


def test_the_home_page_links_every_page_and_none_twice_in_its_table() -> None:
    home = (ROOT / "docs" / "index.md").read_text()
    tree = re.findall(r"^ +- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert len(tree) > 20
    assert [page for page in tree if f"({page}" not in home] == []
    table = re.findall(r"\]\(([^)]+)\)", home.partition("## All pages")[2])
    assert sorted(table) == sorted(set(table))


@pytest.mark.parametrize("package", [rllib_ptm, envs, environment, results])
def test_every_public_name_is_on_the_page_of_the_api(
    package: ModuleType, site: dict[str, str]
) -> None:
    page = article(site["reference/api.html"])
    shown = " ".join(html.unescape(re.sub("<[^>]*>", "", page)).split())
    for name in package.__all__:
        assert re.search(rf'id="rllib_ptm[\w.]*\.{name}"', page), name
        value = getattr(package, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            summary = (inspect.getdoc(value) or "").partition("\n")[0].replace("`", "")
            assert " ".join(summary.split()) in shown, name


def test_markdown_does_not_show_through(site: dict[str, str]) -> None:
    for name, page in site.items():
        text = re.sub(r"<(pre|code)\b.*?</\1>", "", article(page), flags=re.DOTALL)
        odd = re.search(
            r"<p>[^<]*\n *(- |\* |\d+\. |\|).*|\]\([^)]*\)|<!-- (not run|slow|run).*", text
        )
        assert odd is None, f"{name}: {odd[0] if odd else ''}"


def test_nothing_is_loaded_from_the_network(site: dict[str, str]) -> None:
    for page in site.values():
        loaded = re.findall(r"<(?:script|img|link|source|iframe)\b[^>]*>", page)
        assert not [
            tag for tag in loaded if re.search(r'(?:src|href|srcset)="?(?:https?:)?//', tag)
        ]


@pytest.mark.parametrize("page", [p for p in BESIDE_THE_CODE if (ROOT / p).is_file()])
def test_the_links_beside_the_code_lead_somewhere(page: str) -> None:
    def check(target: str) -> str:
        path, _, anchor = target.partition("#")
        file = ROOT / project_path(page, path)
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            heads = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert anchor in {slugify(case="lower")(head, "-") for head in heads}, target
        return target

    rewritten((ROOT / page).read_text(), check)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README
