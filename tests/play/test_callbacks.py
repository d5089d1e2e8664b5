"""An env runner calls RLlib's callbacks, with RLlib's arguments and in its order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.env.env_context import EnvContext

from rllib_ptm.algorithm import PTMConfig
from rllib_ptm.play.callbacks import EPISODE_EVENTS, RUNNER_EVENTS
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.live_episode import LiveEpisode

MakeRunner = Callable[..., TeamEnvRunner]
MakeConfig = Callable[..., PTMConfig]
Calls = list[tuple[str, dict[str, Any]]]
COMMON = {"env_runner", "metrics_logger"}
ARGUMENTS = {  # as RLlib's SingleAgentEnvRunner passes them
    "on_environment_created": COMMON | {"env", "env_context"},
    "on_sample_end": COMMON | {"samples"},
    **dict.fromkeys(EPISODE_EVENTS, COMMON | {"episode", "env", "rl_module", "env_index"}),
    "on_episode_end": COMMON | {"episode", "env", "rl_module", "env_index", "prev_episode_chunks"},
}


def recorder(calls: Calls) -> type[RLlibCallback]:
    """A class that notes every call of an env runner's events."""

    def method(event: str) -> Callable[..., None]:
        return lambda self, **arguments: calls.append((event, arguments))

    return type("Recorder", (RLlibCallback,), {event: method(event) for event in RUNNER_EVENTS})


def fingerprint(episodes: list[Any]) -> list[tuple[Any, ...]]:
    return [(e.task, e.seed, e.success, e.get_return(), len(e)) for e in episodes]


def by_episode(calls: Calls) -> dict[str, list[str]]:
    """The events of each episode, in their order."""
    events = defaultdict(list)
    for event, arguments in calls:
        if event in EPISODE_EVENTS:
            events[arguments["episode"].id_].append(event)
    return events


def test_every_event_comes_with_rllibs_arguments(
    make_runner: MakeRunner, make_config: MakeConfig
) -> None:
    calls: Calls = []
    functions: list[str] = []
    config = make_config().callbacks(
        recorder(calls), on_sample_end=[lambda **kwargs: functions.append("on_sample_end")] * 2
    )
    runner = make_runner(config)
    samples = runner.sample(num_episodes=9, epsilon=1.0)
    assert {event for event, _ in calls} == set(RUNNER_EVENTS)
    for event, arguments in calls:
        assert arguments.keys() == ARGUMENTS[event], event
        assert arguments["env_runner"] is runner
        assert arguments["metrics_logger"] is runner.metrics
        assert arguments.get("rl_module", runner.module) is runner.module
    (event, first), (last_event, last) = calls[0], calls[-1]
    assert (event, last_event) == ("on_environment_created", "on_sample_end")
    assert isinstance(first["env_context"], EnvContext)
    assert first["env_context"] == config.env_config
    assert last["samples"] is samples
    assert functions == ["on_sample_end"] * 2
    assert first["env"].num_restarts == 0


def test_each_episode_is_created_started_stepped_and_ended(
    make_runner: MakeRunner, make_config: MakeConfig
) -> None:
    calls: Calls = []
    runner = make_runner(make_config().callbacks(recorder(calls)))
    samples = runner.sample(num_episodes=12, epsilon=1.0)
    ended = [a["episode"] for event, a in calls if event == "on_episode_end"]
    assert fingerprint(ended) == fingerprint(samples)
    for episode in ended:
        created, started, *steps, end = by_episode(calls)[episode.id_]
        assert (created, started, end) == EPISODE_EVENTS[:2] + EPISODE_EVENTS[3:]
        assert steps == ["on_episode_step"] * len(episode)
    unended = by_episode(calls).keys() - {episode.id_ for episode in ended}
    assert len(unended) == 8  # each battle has an episode in progress
    places = Counter(a["env_index"] for event, a in calls if event == "on_episode_start")
    assert set(places) == set(range(8))


def test_what_an_episode_tells_at_each_event(
    make_runner: MakeRunner, make_config: MakeConfig
) -> None:
    seen: list[str] = []

    def created(*, episode: LiveEpisode, **kwargs: Any) -> None:
        assert (episode.is_reset, episode.composition) == (False, None)
        assert episode.task in ("2m_vs_2m", "3m_vs_3m", "2m_vs_3m")
        episode.custom_data["steps"] = 0

    def started(*, episode: LiveEpisode, **kwargs: Any) -> None:
        assert (episode.is_reset, episode.t, episode.get_return()) == (True, 0, 0.0)
        assert len(episode.get_observations()) == 1
        assert episode.composition == episode.task

    def stepped(*, episode: LiveEpisode, **kwargs: Any) -> None:
        episode.custom_data["steps"] += 1
        assert episode.custom_data["steps"] == len(episode) == episode.t
        assert episode.get_return() == pytest.approx(sum(episode.get_rewards()))
        assert episode.get_actions(-1).shape == (3,)
        (row,) = episode.get_observations([-1])
        assert row["entities"].shape[0] == 6
        assert episode.get_infos(0) == {"task": episode.task, "composition": episode.composition}
        np.testing.assert_array_equal(episode.records[-1]["last_action"], episode.get_actions(-1))

    def ended(*, episode: LiveEpisode, metrics_logger: Any, **kwargs: Any) -> None:
        assert episode.is_done
        assert episode.is_terminated != episode.is_truncated
        assert episode.get_infos(-1) == {
            **episode.get_infos(0),
            "is_success": episode.success,
        }
        assert len(episode.get_observations(slice(-2, None))) == 2
        assert len(episode.records) == len(episode.get_rewards()) + 1 == episode.env_steps() + 1
        metrics_logger.log_value("my_return", episode.get_return(), window=100)
        seen.append(episode.id_)

    config = make_config().callbacks(
        on_episode_created=created,
        on_episode_start=started,
        on_episode_step=stepped,
        on_episode_end=ended,
    )
    runner = make_runner(config)
    samples = runner.sample(num_episodes=10, epsilon=1.0)
    assert len(seen) == len(set(seen)) == len(samples)
    mean = np.mean([episode.get_return() for episode in samples])
    assert runner.get_metrics()["my_return"].peek() == pytest.approx(mean)


def test_infos_name_the_composition_that_a_family_has_drawn(
    make_runner: MakeRunner, make_config: MakeConfig
) -> None:
    drawn: dict[int, str] = {}

    def ended(*, episode: LiveEpisode, **kwargs: Any) -> None:
        (composition,) = {info["composition"] for info in episode.get_infos()}
        allies = episode.get_observations(0)["present"][:3].sum()
        assert composition == f"{allies}m"
        drawn[episode.seed] = composition

    config = make_config().callbacks(on_episode_end=ended)
    config.environment(env_config={"tasks": "2-3m"})
    make_runner(config).sample(num_episodes=8, epsilon=1.0)
    assert set(drawn.values()) == {"2m", "3m"}


def test_callbacks_change_no_episode_and_cost_nothing_where_there_are_none(
    make_runner: MakeRunner, make_config: MakeConfig
) -> None:
    plain, watched = make_runner(), make_runner(make_config().callbacks(recorder([])))
    watched.set_state(plain.get_state())
    played = [runner.sample(num_episodes=10, epsilon=0.5) for runner in (plain, watched)]
    assert fingerprint(played[0]) == fingerprint(played[1])
    assert plain.callbacks.watcher(plain._game, plain.make_env()) is None


def test_episodes_of_an_evaluation_call_them_too(
    make_runner: MakeRunner, make_config: MakeConfig
) -> None:
    calls: Calls = []
    runner = make_runner(make_config().callbacks(recorder(calls)))
    schedule = [(task, seed) for task in runner.task_names for seed in range(4)]
    episodes = runner.play_exactly(schedule)
    events = Counter(event for event, _ in calls)
    assert events["on_sample_end"] == 1
    for event in ("on_episode_created", "on_episode_start", "on_episode_end"):
        assert events[event] == 12  # idle battles have no episode
    assert events["on_episode_step"] == sum(len(episode) for episode in episodes)


def test_an_episode_that_resumes_starts_with_the_steps_it_has(
    make_runner: MakeRunner, make_config: MakeConfig
) -> None:
    before: Calls = []
    after: Calls = []
    first = make_runner(make_config().callbacks(recorder(before)))
    first.sample(num_episodes=3, epsilon=1.0)
    saved = first.get_episodes_in_progress()
    started: list[int] = []
    resumed = make_runner(
        make_config().callbacks(
            recorder(after),
            on_episode_start=lambda *, episode, **kwargs: started.append(len(episode)),
        )
    )
    resumed.set_state(first.get_state())
    assert resumed.set_episodes_in_progress(saved) is None
    open_before = {a["env_index"]: a["episode"] for event, a in before if event in EPISODE_EVENTS}
    at_start = [(a["env_index"], a["episode"]) for e, a in after if e == "on_episode_start"]
    assert any(started)
    for place, episode in at_start:
        assert fingerprint([episode]) == fingerprint([open_before[place]])
    samples = resumed.sample(num_episodes=6, epsilon=1.0)
    ended = [a["episode"] for event, a in after if event == "on_episode_end"]
    assert fingerprint(ended) == fingerprint(samples)


def test_an_error_of_a_callback_is_the_runs_error(
    make_runner: MakeRunner, make_config: MakeConfig
) -> None:
    def fails(**kwargs: Any) -> None:
        raise ZeroDivisionError("mine")

    for event in RUNNER_EVENTS:
        runner = make_runner(make_config().callbacks(**{event: fails}))
        with pytest.raises(ZeroDivisionError, match="mine"):
            runner.sample(num_episodes=1)
        runner.stop()
