"""The live page in process, beside a true service: what its controls say first, and what it refuses."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from hormesis.dashboard.app_pages.steer.prompt_box import CHOSEN, NEUTRAL
from hormesis.dashboard.app_pages.steer.settings import SIGMAS
from hormesis.dashboard.launch import APP
from hormesis.db.engine import open_writer
from hormesis.db.schema import (
    Checkpoint,
    Condition,
    Generation,
    Metric,
    Prompt,
    PromptSet,
    Score,
    Scorer,
    Study,
)
from hormesis.db.write import write_session
from tests.fixtures.pages import clear_caches
from tests.fixtures.service_world import MATCHED, PREFIX, World
from tests.fixtures.shared_worlds import copy_database

FIRST = "the baker sells soup"


@pytest.fixture(scope="module")
def database(world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Both studies have prompts; the one on real text must not show them unasked."""
    url = copy_database(world.home / "study.sqlite", tmp_path_factory.mktemp("steer") / "study.sqlite")
    engine = open_writer(url)
    with write_session(engine) as session:
        for study in session.query(Study):
            prompts = PromptSet(study_id=study.id, name="prompts", revision="1", source="test")
            session.add(prompts)
            session.flush()
            for place, text in enumerate((FIRST, "rain falls on", "crows spoil the")):
                session.add(
                    Prompt(prompt_set_id=prompts.id, position=place, text=text, kind=None, group=None)
                )
    engine.dispose()
    return url


@pytest.fixture(autouse=True)
def surroundings(database: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORMESIS_DB", database)
    monkeypatch.setenv("HORMESIS_SERVICE", address)
    clear_caches()


def opened(**query: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    app._page_hash = calc_hash("steer")
    app.run()
    assert not app.exception
    return app


def choices(app: AppTest, key: str) -> list[str]:
    return [str(app.selectbox(key=f"{key}{number}").value) for number in range(1, 5)]


def warnings(app: AppTest) -> str:
    return " ".join(str(warning.value) for warning in app.warning)


def captions(app: AppTest) -> str:
    return " ".join(str(caption.value) for caption in app.caption)


def test_panes_begin_with_the_most_toxic_arm_step_by_step(world: World) -> None:
    # This arm has one measured strength and none that was matched to a cost.
    app = opened(study="forum")
    ten = "10 % toxic, seed 0"
    assert app.session_state["panes"] == 2
    assert "panes begin at strengths that were measured: 2" in captions(app)
    app = opened(study="forum", panes="4")
    assert choices(app, "model") == [ten] * 4
    assert choices(app, "method") == ["none", "iti", "iti", "iti"]
    assert [app.number_input(key=f"strength{number}").value for number in (2, 3, 4)] == [2.0, 4.0, 8.0]
    # The method a pane begins with is one that its own model offers.
    app = opened(study="forum", panes="4", model3=ten, model4="slow")
    assert choices(app, "method") == ["none", "iti", "iti", "none"]
    app.selectbox(key="method3").set_value("prompt").run()
    assert [str(block.value) for block in app.code] == [PREFIX.strip()]


def test_panes_of_a_model_with_matched_costs_stand_at_these_costs(world: World) -> None:
    none = "0 % toxic, seed 0"
    app = opened(study="forum", panes="4", **{f"model{number}": none for number in range(1, 5)})
    assert [app.session_state[f"cost{number}"] for number in (2, 3, 4)] == list(MATCHED)
    assert "Strength 2.5, cost 0.060 [0.040, 0.080] nats" in captions(app)
    # A strength in a link means that strength, and one may go back to a cost.
    app = opened(study="forum", model2=none, strength2="3.5")
    assert app.session_state["cost2"] == SIGMAS
    assert app.number_input(key="strength2").value == 3.5
    app.session_state["cost2"] = 0.06
    app.run()
    assert "Strength 2.5, cost 0.060" in captions(app)
    # The other way, the strength begins where the cost had led; a model without costs takes it as well.
    app = opened(study="forum", model2=none)
    app.session_state["cost2"] = SIGMAS
    app.run()
    assert app.number_input(key="strength2").value == MATCHED[0.02]
    app = opened(study="forum", model2=none)
    app.selectbox(key="model2").set_value("10 % toxic, seed 0").run()
    assert not app.exception and app.number_input(key="strength2").value == 2.0


def test_a_model_without_weights_is_not_offered_and_the_page_says_why() -> None:
    app = opened(study="forum")
    assert not [label for label in app.selectbox(key="model1").options if "gone" in label]
    assert "gone cannot be steered here: the weights are gone." in captions(app)


def test_a_prompt_of_real_text_is_not_shown_before_it_is_asked_for() -> None:
    assert opened(study="forum").text_area(key="prompt").value == FIRST
    app = opened(study="real")
    assert app.text_area(key="prompt").value == NEUTRAL
    assert not any(FIRST in str(element.value) for element in (*app.markdown, *app.caption))
    app.text_area(key="prompt").set_value(" ")
    app.button(key="generate").click().run()
    assert "Write a prompt first" in warnings(app)


def test_the_first_prompt_is_a_harmless_one_on_which_steering_does_something(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three prompts: a hostile one with the largest fall, and two neutral ones."""
    url = copy_database(database.removeprefix("sqlite:///"), tmp_path / "study.sqlite")
    engine = open_writer(url)
    with write_session(engine) as session:
        scorer = Scorer(name="forum", revision="1", measures="toxicity")
        session.add(scorer)
        conditions = {
            condition.key: condition
            for condition in session.query(Condition).join(Checkpoint).where(Checkpoint.name == "dose-10")
        }
        iti = conditions["iti/mass_mean/fixed-2"]
        iti.matched_cost = 0.06
        none = Condition(checkpoint_id=iti.checkpoint_id, key="none", method="none", strength=0.0, n_heads=0,
                         scope="generated", parameters={})  # fmt: skip
        session.add(none)
        session.flush()
        session.add(Metric(checkpoint_id=iti.checkpoint_id, condition_id=none.id, scorer_id=scorer.id,
                           key="t", name="toxicity", value=0.5, n=3, unit="", interval=""))  # fmt: skip
        prompts = session.query(Prompt).join(PromptSet).join(Study).where(Study.name == "forum")
        kinds = ("neutral", "neutral", "hostile")
        for prompt, kind, before, after in zip(prompts, kinds, (0.4, 0.6, 0.9), (0.3, 0.1, 0.0), strict=True):
            prompt.kind = kind
            for condition, value in ((none, before), (iti, after)):
                text = Generation(condition_id=condition.id, prompt_id=prompt.id, sample=0, text="x",
                                  tokens=9, finished=True)  # fmt: skip
                session.add(text)
                session.flush()
                session.add(Score(generation_id=text.id, scorer_id=scorer.id, value=value))
    engine.dispose()
    monkeypatch.setenv("HORMESIS_DB", url)
    clear_caches()
    app = opened(study="forum")
    assert app.text_area(key="prompt").value == "rain falls on"
    # It was chosen for the effect on it, and the page says so as long as it stands there.
    assert CHOSEN in captions(app)
    app.text_area(key="prompt").set_value(FIRST).run()
    assert CHOSEN not in captions(app)


def test_a_prompt_comes_from_the_link_and_goes_into_it() -> None:
    app = opened(study="forum", prompt="from the link")
    assert app.text_area(key="prompt").value == "from the link"
    app.text_area(key="prompt").set_value("typed here").run()
    assert app.query_params["prompt"] in ("typed here", ["typed here"])
    app.text_area(key="prompt").set_value(FIRST).run()
    assert "prompt" not in app.query_params


def test_an_answer_is_of_the_settings_on_the_page_and_pages_begin_at_the_first_text() -> None:
    app = opened(study="forum", texts="4 texts each", panes="2")
    assert CHOSEN not in captions(app)
    app.button(key="generate").click().run()
    for _ in range(240):
        if "Run 1: done" in captions(app):
            break
        time.sleep(0.25)
        app.run()
    unrun = "these settings have not been run"
    assert "n = 4 texts of one prompt" in headline(app) and unrun not in headline(app)
    app.session_state["text"] = 3
    app.run()
    assert app.session_state["text"] == 3
    for key, value in (("prompt", "rain falls on"), ("seed", 5), ("panes", 3)):
        app.session_state[key], before = value, app.session_state[key]
        app.run()
        assert unrun in headline(app) and "Run 1, of other settings: " in captions(app)
        assert app.session_state["text"] == 1
        app.session_state[key] = before
        app.run()
        assert unrun not in headline(app)


def headline(app: AppTest) -> str:
    return next(str(block.value) for block in app.markdown if str(block.value).startswith("####"))


def test_a_prompt_that_is_too_long_is_refused_in_one_line() -> None:
    app = opened(study="forum")
    app.text_area(key="prompt").set_value("😀" * 25_000)
    app.button(key="generate").click().run()
    assert "The prompt has 25,000 characters; this page takes at most 2,000." in warnings(app)
    assert "prompt" not in app.query_params


LOADED = {
    "https://a.example/steer?method2=DPO&model2=10+%25+toxic%2C+seed+0": {"method2": "dpo"},
    "?direction2=Probe+weights&scope2=All+positions&strength2=3.5": {
        "direction2": "probe", "scope2": "all", "strength2": 3.5,
    },
    "?direction2=probe&scope2=generated": {"direction2": "probe", "scope2": "generated"},
}  # fmt: skip


@pytest.mark.parametrize("link", LOADED)
def test_a_link_sets_the_controls(link: str) -> None:
    app = opened(study="forum")
    app.text_area(key="load_text").set_value(link)
    app.button(key="load").click().run()
    assert not app.exception and not app.warning
    for key, value in LOADED[link].items():
        assert app.session_state[key] == value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nonsense", "neither a link"),
        ("{", "not valid JSON"),
        ("?method2=SFT", "cannot be put under the method 'SFT'"),
        ("?model1=nobody", "does not offer the checkpoint 'nobody'"),
        ("?scope2=some", "has no scope 'some'"),
        ("?strength2=99", "from 0 to 32"),
        ('{"panes": [{"checkpoint_id": 999}]}', "no checkpoint 999"),
        ("?prompt=" + "x" * 2001, "at most 2,000 characters"),
    ],
)
def test_what_does_not_fit_is_said_and_changes_nothing(text: str, part: str) -> None:
    app = opened(study="forum")
    before = settings_of(app)
    app.text_area(key="load_text").set_value(text)
    app.button(key="load").click().run()
    assert part in warnings(app)
    assert settings_of(app) == before


def settings_of(app: AppTest) -> dict[str, object]:
    keys = ("prompt", "panes", "model1", "method1", "model2", "method2", "strength2", "scope2", "seed")
    return {key: app.session_state[key] for key in keys}


def test_what_the_service_would_refuse_is_refused_before_it_is_sent(world: World) -> None:
    app = opened(study="forum")
    app.text_area(key="prompt").set_value("bell \x07").run()
    app.button(key="generate").click().run()
    assert not app.exception and "control character U+0007 at position 5" in warnings(app)
