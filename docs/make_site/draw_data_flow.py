"""Draws the way of the data: ``python docs/make_site/draw_data_flow.py`` writes both themes."""

from __future__ import annotations

from svg import FOLDER, THEMES, Theme, arrow, box, drawing, text

NAME = "data-flow"
WIDTH, HEIGHT = 780, 330
TITLE = (
    "Data flows from the environment through play, replay buffer, batch and losses to the weights; "
    "the weights make the policy that plays. Success rates make priorities, which weigh episodes "
    "and may draw tasks."
)
_STATIONS = ("environment", "play", "replay", "batch", "losses", "weights")
_ENDS = ("environment", "play", "losses", "weights")
_FLOWS = ("observations", "episodes", "32 episodes", "Q values", "gradients")
_LEFT, _TOP, _BOX, _TALL, _GAP = 6, 70, 106, 46, 26.4


def draw(theme: Theme) -> str:
    """The drawing in the colours of a theme."""
    middle = {
        name: _LEFT + _BOX / 2 + number * (_BOX + _GAP) for number, name in enumerate(_STATIONS)
    }
    y, below = _TOP + _TALL / 2, _TOP + _TALL
    parts = []
    for name, x in middle.items():
        parts += [
            box(x - _BOX / 2, _TOP, _BOX, _TALL, theme.main, theme.main_fill),
            text(x, y, name, theme.text, 14, weight=600),
        ]
    ends = list(middle.values())
    for start, end, what in zip(ends[:-1], ends[1:], _FLOWS, strict=True):
        parts += [
            arrow([(start + _BOX / 2 + 2, y), (end - _BOX / 2 - 2, y)], theme.main),
            text((start + end) / 2, _TOP - 14, what, theme.quiet, 12),
        ]
    environment, play, losses, weights = (middle[name] for name in _ENDS)
    parts += [
        arrow([(weights, _TOP), (weights, 22), (play, 22), (play, _TOP - 2)], theme.main),
        text((play + weights) / 2, 11, "the new policy", theme.text, 12),
        arrow(
            [(play - 30, below), (play - 30, 150), (environment, 150), (environment, below + 2)],
            theme.main,
        ),
        text((play - 30 + environment) / 2, 162, "actions", theme.quiet, 12),
    ]
    row, tall = 220, 46
    rates, omega = play + 72, middle["batch"] + 40
    for x, words in ((rates, "success rates"), (omega, "priorities ω")):
        parts += [
            box(x - 62, row, 124, tall, theme.other, theme.other_fill),
            text(x, row + tall / 2, words, theme.text, 14, weight=600),
        ]
    parts += [
        arrow([(play + 32, below), (play + 32, row - 2)], theme.other),
        text(play + 40, 168, "who succeeded", theme.quiet, 12, "start"),
        arrow([(rates + 64, row + tall / 2), (omega - 64, row + tall / 2)], theme.other),
        arrow(
            [(omega + 62, row + tall / 2), (losses, row + tall / 2), (losses, below + 2)],
            theme.other,
        ),
        text(losses - 10, 168, "weights of the episodes", theme.quiet, 12, "end"),
        arrow(
            [(omega, row + tall), (omega, 300), (play - 12, 300), (play - 12, below + 2)],
            theme.other,
            dashed=True,
        ),
        text((play + omega) / 2, 314, "draw of tasks, with task_draw: priority", theme.quiet, 12),
    ]
    return drawing(WIDTH, HEIGHT, TITLE, parts, theme)


if __name__ == "__main__":
    for each in THEMES:
        (FOLDER / f"{NAME}-{each.name}.svg").write_text(draw(each), encoding="utf-8")
