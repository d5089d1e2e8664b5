"""The player's page in Chromium: what a reader sees and does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer
from rllib_ptm.evaluate.player.page import write_page
from rllib_ptm.evaluate.player.watched import Watched

playwright = pytest.importorskip("playwright.sync_api", reason="it needs playwright")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.is_file(), reason="it needs Chromium: apt install chromium"),
]
TASKS = ["3m_vs_3m", "2m_vs_3m"]


@pytest.fixture(scope="module")
def watched() -> list[Watched]:
    player = CheckpointPlayer("small_mt", tasks=TASKS)
    try:
        return player.watched(2, seed=0, name="small_mt")
    finally:
        player.close()


@pytest.fixture(scope="module")
def address(watched: list[Watched], tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("page") / "x.html"
    write_page(file, watched)
    return file.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page at desktop width. An error in it, or a request to the network, fails the test."""
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    errors, requests = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.wait_for_function("window.player")
    yield page
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    page.close()


def clock(page: Any) -> int:
    return int(page.locator("#clock b").inner_text())


def test_the_keys_move_through_an_episode(page: Any, watched: list[Watched]) -> None:
    last = len(watched[0].episode)
    for key, step in (
        ("ArrowRight", 1),
        ("Shift+ArrowRight", 11),
        ("ArrowLeft", 10),
        ("End", last),
        ("ArrowRight", last),
        ("Home", 0),
        ("ArrowLeft", 0),
    ):
        page.keyboard.press(key)
        assert clock(page) == step, key
    assert page.locator("#live").inner_text().startswith(f"step 0 of {last}, ally")


def test_it_plays_pauses_and_ends(page: Any, watched: list[Watched]) -> None:
    page.locator("#speed").select_option("0.25")  # a step in a second
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").click()
    assert page.evaluate("player.playing") is False
    assert page.evaluate("Number.isInteger(player.state.time)")
    for _ in range(5):
        page.keyboard.press("+")
    assert page.locator("#speed").input_value() == "8"
    page.keyboard.press("Space")  # the button has the focus: it is pressed
    page.wait_for_function(f"player.step === {len(watched[0].episode)}")
    assert page.evaluate("player.playing") is False
    assert (
        "won" in page.locator("#score").inner_text()
        or "lost" in page.locator("#score").inner_text()
    )


def test_the_scrub_bar_and_the_address(page: Any, address: str) -> None:
    box = page.locator("#time").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    middle = page.evaluate("player.episode.steps / 2")
    assert abs(clock(page) - middle) <= 1
    found = re.search(r"#episode=1&step=(\d+)&unit=0", page.url)
    assert found is not None
    assert int(found[1]) == clock(page)
    page.goto(f"{address}#episode=3&step=4&unit=1")
    page.wait_for_function("player.state.number === 2")
    assert clock(page) == 4
    assert page.locator(".chip[aria-pressed=true]").get_attribute("data-chip") == "1"


def test_the_numbers_are_those_of_the_policy(page: Any, watched: list[Watched]) -> None:
    """The panel of an agent shows its utilities, and its attention in each head."""
    one, step = watched[0], 6
    agent = int(one.present.nonzero()[0][1])
    page.evaluate(f"player.moveTo({step}); player.state.selected = null; player.select(1)")
    shown = page.locator("#utilities .row:not(.off)")
    names = [name.lstrip("▸ ") for name in shown.locator(".what").all_inner_texts()]
    values = [float(value) for value in shown.locator(".value").all_inner_texts()]
    expected = {
        one.scene.actions[agent][action]: one.utilities[step, agent, action]
        for action in one.allowed[step, agent].nonzero()[0]
    }
    assert dict(zip(names, values, strict=True)) == pytest.approx(expected, abs=6e-3)
    chosen = page.locator("#utilities .row.chosen .what").inner_text()
    assert chosen == one.scene.actions[agent][one.episode.actions[step, agent]]
    page.locator("#head").select_option("2")
    seen = one.visible[step, agent].nonzero()[0]
    weights = [round(100 * float(one.attention[step, agent, 2, other])) for other in seen]
    rows = page.locator("#attention .row:not(.off) .value").all_inner_texts()
    assert [int(text.removesuffix(" %")) for text in rows] == pytest.approx(weights, abs=1)


def test_units_are_where_they_were(page: Any, watched: list[Watched]) -> None:
    one, step = watched[0], 5
    page.evaluate(f"player.moveTo({step})")
    here = one.present.nonzero()[0]
    for number, slot in enumerate(here):
        unit = page.locator(f'.unit[data-thing="{number}"]')
        assert unit.is_visible() == bool(one.scene.alive[step, slot])
        x, y = map(float, re.findall(r"[\d.]+", unit.get_attribute("transform"))[:2])
        east, north = one.scene.position[step, slot]
        assert (x / 40 - 16, 16 - y / 40) == pytest.approx((east, north), abs=0.02)
        assert unit.get_attribute("aria-label").startswith(one.scene.things[slot].name)


def test_units_are_chosen_by_mouse_and_keys(page: Any) -> None:
    page.locator('.unit[data-thing="2"]').click()
    assert page.locator("#card .name b").inner_text() == page.evaluate(
        "player.episode.things[2].name"
    )
    page.keyboard.press("ArrowDown")
    assert page.evaluate("player.state.selected") == 3
    assert "Attention of the agents to it" in page.locator("#attention").inner_text()
    page.keyboard.press("Escape")
    assert "Select a unit" in page.locator("#card").inner_text()


def test_layers_and_themes(page: Any) -> None:
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#map .sight").count() == 1 or page.locator(".chip.gone").count() > 0
    for key, drawn in (("s", "#map .sight"), ("a", "#map .attends"), ("t", "#map .trail")):
        page.keyboard.press(key)
        assert page.locator(drawn).count() == 0, drawn
    before = page.locator("#map").get_attribute("viewBox")
    page.keyboard.press("f")
    assert page.locator("#map").get_attribute("viewBox") != before
    page.keyboard.press("d")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()


def test_episodes(page: Any, watched: list[Watched]) -> None:
    assert page.locator("#episode option").count() == len(watched)
    page.keyboard.press("]")
    page.keyboard.press("]")
    assert page.evaluate("player.episode.task") == TASKS[1]
    assert page.get_by_role("button", name="Previous episode").is_enabled()
    page.keyboard.press("]")
    assert page.get_by_role("button", name="Next episode").is_disabled()


def test_every_control_has_a_name(page: Any) -> None:
    unnamed = page.evaluate(
        """[...document.querySelectorAll('button, select, input')].filter((control) =>
             !(control.ariaLabel || control.closest('label') || control.textContent.trim())
           ).map((control) => control.outerHTML)"""
    )
    assert unnamed == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_screen(
    browser: Any, address: str, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 740}, color_scheme=scheme)
    page.goto(f"{address}#episode=1&step=12&unit=1")
    page.wait_for_function("window.player")
    assert page.locator("html").get_attribute("data-theme") == scheme
    wide = page.evaluate(
        """[...document.querySelectorAll('header *, main *:not(#map *):not(#scrub):not(#curves *)')]
             .filter((part) => part.getClientRects().length)
             .filter((part) => part.getBoundingClientRect().right > innerWidth + 0.5)
             .map((part) => part.outerHTML.slice(0, 80))"""
    )
    assert wide == []
    page.close()


def test_a_reader_who_wants_no_motion_sees_whole_steps(browser: Any, address: str) -> None:
    page = browser.new_page(reduced_motion="reduce")
    page.goto(address)
    page.wait_for_function("window.player")
    page.evaluate("player.state.time = 3.5; player.draw()")
    moved = page.locator('.unit[data-thing="0"]').get_attribute("transform")
    page.evaluate("player.moveTo(3)")
    assert page.locator('.unit[data-thing="0"]').get_attribute("transform") == moved
    page.close()
