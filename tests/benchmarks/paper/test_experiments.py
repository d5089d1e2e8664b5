"""The experiments in ``tuned_examples/paper/``: all are legal, and compare what they say."""

from pathlib import Path
from typing import Any

import pytest
from planned_runs import PaperExperiment, experiment_files, read_experiment_file
from questions import QUESTIONS, question

from rllib_ptm import PTMConfig
from rllib_ptm.cli.read.experiment import read_experiments
from rllib_ptm.config.effects import keys_without_effect

ROOT = Path(__file__).resolve().parents[3]
PAPER = ROOT / "tuned_examples" / "paper"
NAMES = tuple(experiment_files(PAPER))
# What each search has chosen for a method, and the method.
OF_METHOD = {"method", "lr", "mining_lambda", "alpha_anneal_steps"}
OF_CHANGES = {"mining_scale", "priority_temperature", "mining_alpha", "task_baseline"}
OF_PRIORITIES = {"task_draw", "mining_weights", "task_priority", "priority_temperature"}
# The regime that all other experiments share; each of these may differ from it in its keys.
FAST = "large_mt"
OF_EXPERIMENT = {"seed", "env_config", "evaluation_interval", "evaluation_duration"}
# These have the regime of an example: in which variant, and of which example.
EXAMPLES = {
    "paper_small_mt": ("ptm", "ptm_small_mt"),
    "mixed_armies": ("slot_free", "mixed_armies"),
    "random_armies": ("qmix_atten", "random_armies"),
    "uneven_marines": ("rising_lambda", "fast"),
}
# Of stalkers and zealots, whose battles take three times the steps.
REFIL = {
    "win_rate_window_episodes",
    "lr",
    "td_lambda",
    "epsilon_anneal_steps",
    "joint_exploration",
    "episodes_per_training_step",
    "batch_size_episodes",
    "learning_starts_episodes",
    "updates_per_episode",
    "target_update_interval_episodes",
    "buffer_capacity_episodes",
    "mixer",
    "mixing_dim",
    "hypernet_dim",
    "utility_scale",
}
AIDS = {
    "action_head",
    "td_lambda",
    "joint_exploration",
    "joint_exploration_temperature",
    "mixer",
    "mixing_dim",
    "utility_scale",
}
VARIED: dict[str, set[str]] = {
    "parts_small_mt": OF_METHOD | {"mining_weights"},
    "parts_large_mt": OF_METHOD | {"mining_weights"},
    "priorities": OF_PRIORITIES,
    "search_small_mt": OF_METHOD | {"seed"},
    "changes_small_mt": OF_METHOD | OF_CHANGES,
    "changes_large_mt": OF_METHOD | OF_CHANGES,
    "mixed_armies": {"env_config"},
    "uneven_marines": {
        "td_lambda_final",
        "td_lambda_anneal_steps",
        "buffer_capacity_episodes",
    },
}


@pytest.fixture(scope="module", params=NAMES)
def experiment(request: pytest.FixtureRequest) -> PaperExperiment:
    return read_experiment_file(PAPER, request.param)


def test_every_run_has_legal_settings(experiment: PaperExperiment) -> None:
    for run in experiment.variants.values():
        config = PTMConfig().update_from_dict(dict(run.config))
        config.validate()
        # So each variant can be trained alone, too: what is missing may be the runs of one.
        assert keys_without_effect([config]) == {}
    for run in experiment.runs:
        assert set(run.stop) == {"num_env_steps_sampled_lifetime"}


def test_what_is_compared_differs_in_the_declared_keys_only(experiment: PaperExperiment) -> None:
    allowed = VARIED.get(experiment.name, OF_METHOD)
    runs = list(experiment.variants.values())
    assert differing(*(dict(run.config) for run in runs)) - {"seed"} <= allowed
    assert len({tuple(run.stop.items()) for run in runs}) == 1


def test_seeds_are_equal_for_all_variants(experiment: PaperExperiment) -> None:
    if experiment.name.startswith("search"):
        return
    seeds = {
        variant: [run.seed for run in experiment.runs if run.variant == variant]
        for variant in experiment.variants
    }
    assert len(set(map(tuple, seeds.values()))) == 1
    assert next(iter(seeds.values())) == list(range(len(next(iter(seeds.values())))))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in EXAMPLES])
def test_the_regime_is_the_same_in_all_experiments(name: str) -> None:
    ours = next(iter(read_experiment_file(PAPER, name).runs)).config
    theirs = next(iter(read_experiment_file(PAPER, FAST).runs)).config
    allowed = OF_METHOD | OF_EXPERIMENT | OF_PRIORITIES | OF_CHANGES
    allowed |= REFIL if name.startswith("refil") else set()
    allowed |= AIDS if name.endswith("_plain") else set()
    assert differing(dict(ours), dict(theirs)) <= allowed


def test_the_plain_experiment_differs_by_the_aids_only() -> None:
    plain = read_experiment_file(PAPER, "refil_3-8sz_plain").variants
    aided = read_experiment_file(PAPER, "refil_3-8sz").variants
    assert plain.keys() == aided.keys()
    for variant, run in plain.items():
        assert differing(dict(run.config), dict(aided[variant].config)) == AIDS | {"env_config"}
        frames = {one.config["env_config"]["team_frame"] for one in (run, aided[variant])}
        assert frames == {False, True}


def test_methods_learn_with_the_same_rate_where_the_page_says_so() -> None:
    for name in ("large_mt", "refil_3-8sz", "refil_3-8sz_plain", "refil_5-11sz"):
        runs = read_experiment_file(PAPER, name).runs
        assert len({repr(run.config["lr"]) for run in runs}) == 1, name


def test_equal_learning_rates_are_all_that_differs_from_small_mt() -> None:
    equal = read_experiment_file(PAPER, "equal_lr_small_mt").runs
    tuned = read_experiment_file(PAPER, "small_mt").variants
    assert {(run.method, run.config["lr"], run.seed) for run in equal} == {
        (method, lr, seed) for method in tuned for lr in (0.0005, 0.001) for seed in range(5)
    }
    for run in equal:
        other = tuned[run.method]
        assert run.stop == other.stop
        assert differing(dict(run.config), dict(other.config)) <= {"lr", "seed"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_regime_of_an_example(name: str) -> None:
    variant, example_name = EXAMPLES[name]
    (example,) = read_experiments(ROOT / "tuned_examples" / f"{example_name}.yaml")
    run = read_experiment_file(PAPER, name).variants[variant]
    assert run.method == example.config["method"]
    ours = {key: value for key, value in run.config.items() if key != "env_config"}
    other = {key for key, value in ours.items() if example.config.get(key, object()) != value}
    assert other <= {"evaluation_interval", "evaluation_duration"}
    for key, value in run.config["env_config"].items():
        assert example.config["env_config"][key] == value


def test_ablations_and_lambdas_have_the_settings_of_ptm() -> None:
    for suite in ("small_mt", "large_mt"):
        if suite not in NAMES:
            continue
        ptm = read_experiment_file(PAPER, suite).variants["ptm"].config
        for run in read_experiment_file(PAPER, f"parts_{suite}").runs:
            for key in {"lr", "mining_lambda", "alpha_anneal_steps"} & run.config.keys():
                assert run.config[key] == ptm[key], (suite, run.variant, key)
        if suite == "small_mt":
            for run in read_experiment_file(PAPER, "lambda_small_mt").runs:
                other = {"alpha_anneal_steps"} if run.config["mining_lambda"] == 0 else set()
                assert differing(dict(run.config), dict(ptm)) <= {"mining_lambda", "seed"} | other


def test_every_question_has_its_experiment() -> None:
    assert set(NAMES) <= set(QUESTIONS)
    for name in NAMES:
        asked = question(name)
        for other, variants in asked.beside.items():
            if other in NAMES:
                assert set(variants) <= set(read_experiment_file(PAPER, other).variants)
        for entry in read_experiment_file(PAPER, name).entries:
            assert not set(entry.tasks) & set(asked.further_tasks)


def differing(*configs: dict[str, Any]) -> set[str]:
    """The keys in which some configs differ; a key that is missing counts as its default."""
    defaults = PTMConfig().to_dict()
    full = [{**{k: defaults.get(k) for k in set().union(*configs)}, **one} for one in configs]
    return {key for key in full[0] if any(one[key] != full[0][key] for one in full)}
