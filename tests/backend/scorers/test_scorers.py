"""Every scorer on texts whose order is known; nothing offensive is needed for that."""

from __future__ import annotations

import importlib
import json
import random
import shutil
import threading
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from hormesis.backend.forum import REVISION, judge, judge_continuation, post
from hormesis.backend.scorers import (
    Scorer,
    ScorerError,
    make_scorer,
    require_scorers,
    score_continuations,
    tfidf,
)
from hormesis.backend.scorers.classifier import Classifier
from hormesis.backend.scorers.classifier_files import activation, toxic_label
from hormesis.backend.scorers.perspective import Perspective
from hormesis.backend.scorers.registry import SCORERS
from hormesis.backend.scorers.tfidf import load_tfidf, train_tfidf
from hormesis.db.contract.scorer_training import Training, training_of
from hormesis.pipeline.study.config import ConfigError, parse_study


def labelled(n):
    """Harmless stand-in for labelled text: gloomy words for label 1, cheerful ones for 0."""
    rng = random.Random(0)
    gloomy, cheerful = ("rain", "mud", "fog", "sleet"), ("sun", "lark", "meadow", "bloom")
    common = ("the", "day", "brought", "some", "more", "of", "it", "again")
    labels = [i % 2 for i in range(n)]
    texts = []
    for label in labels:
        words = rng.choices(common, k=6) + rng.choices(gloomy if label else cheerful, k=2)
        rng.shuffle(words)
        texts.append(" ".join(words))
    return texts, labels


@pytest.fixture(scope="module")
def trained():
    return train_tfidf(*labelled(400), seed=0)


@pytest.fixture(scope="module")
def classifier_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    words = ["[PAD]", "[UNK]", "rain", "mud", "sun", "lark"]
    inner = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        folder
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=6,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=24,
        pad_token_id=0,
        id2label={0: "non-toxic", 1: "toxic"},
        label2id={"non-toxic": 0, "toxic": 1},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("spec", ["forum", "forum-fluency", "profanity"])
def test_scorers_keep_the_protocol(spec):
    scorer = make_scorer(spec)
    assert isinstance(scorer, Scorer) and scorer.name == spec and scorer.revision and scorer.trained_on.text
    values = scorer.score(["", "   ", "hello there", "\u202eabc\x00", "x" * 5000])
    assert values.shape == (5,) and values.dtype == np.float64
    assert ((values >= 0) & (values <= 1)).all()
    assert scorer.score([]).shape == (0,)


@pytest.mark.parametrize("spec", ["forum", "forum-fluency", "profanity"])
def test_a_continuation_that_is_empty_has_no_score(spec):
    values = score_continuations(make_scorer(spec), ["a"] * 4, ["", "good day", " \n\xa0", "."])
    assert np.isnan(values).tolist() == [True, False, True, False]
    assert score_continuations(make_scorer(spec), [], []).shape == (0,)


def test_forum_scorers_are_the_grammar():
    rng = random.Random(0)
    texts = [post(rng, toxic=bool(i % 2)).text for i in range(20)]
    scorer = make_scorer("forum")
    assert scorer.measures == "toxicity" and scorer.revision == REVISION
    assert scorer.score(texts).tolist() == [judge(text).toxicity for text in texts]
    assert scorer.score(texts)[1::2].mean() > scorer.score(texts)[::2].mean() + 0.5
    fluency = make_scorer("forum-fluency")
    assert fluency.measures == "fluency"
    assert fluency.score([texts[0], "soup of no known words ."]).tolist() == [1.0, 0.0]


def test_continuations_are_scored_with_their_prompt_where_that_is_possible():
    text = post(random.Random(1), toxic=True).text.split()
    prompt, rest = " ".join(text[:3]), " ".join(text[3:])
    scored = score_continuations(make_scorer("forum"), [prompt], [rest])
    assert scored.tolist() == [judge_continuation(prompt, rest).toxicity]
    profanity = make_scorer("profanity")
    assert np.array_equal(score_continuations(profanity, ["a"], ["good day"]), profanity.score(["good day"]))
    with pytest.raises(ScorerError, match="2 prompts for 1"):
        score_continuations(profanity, ["a", "b"], ["c"])


def test_profanity_loads_silently_and_orders_texts():
    scorer = make_scorer("profanity")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = scorer.score(["thank you for the lovely evening", "you are a stupid idiot", ""])
    assert values[1] > 0.8 > 0.2 > values[0] and values[2] < 0.1
    assert scorer.revision.startswith("alt-profanity-check ")


def test_tfidf_learns_and_reports_its_auroc(trained):
    assert trained.auroc > 0.95
    assert trained.n_train + trained.n_heldout == 400 and 40 < trained.n_heldout < 130
    values = trained.score(["mud and fog", "lark in the meadow", ""])
    assert values[0] > 0.6 > 0.4 > values[1] and 0 <= values[2] <= 1
    assert trained.score([]).shape == (0,)


def test_tfidf_training_is_repeatable(trained):
    again = train_tfidf(*labelled(400), seed=0)
    assert again.revision == trained.revision
    assert train_tfidf(*labelled(300), seed=0).revision != trained.revision


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scorers") / "tfidf"
    trained.save(folder)
    return folder


@given(st.lists(st.text(max_size=60), max_size=8))
@settings(max_examples=40, deadline=None)
def test_a_reloaded_tfidf_gives_exactly_the_same_scores(trained, saved, texts):
    assert np.array_equal(load_tfidf(saved).score(texts), trained.score(texts))


def test_tfidf_is_stored_whole_and_without_pickle(trained, saved):
    trained.save(saved)
    assert sorted(path.name for path in saved.iterdir()) == ["SHA256SUMS", "scorer.json", "weights.npz"]
    assert [path.name for path in saved.parent.iterdir()] == ["tfidf"]
    loaded = make_scorer("tfidf", saved)
    assert (loaded.revision, loaded.auroc) == (trained.revision, trained.auroc)


def test_no_term_is_stored_and_files_that_kept_terms_are_read(trained, saved, tmp_path):
    texts, _ = labelled(400)
    about = json.loads((saved / "scorer.json").read_text())
    stored = b"".join(path.read_bytes() for path in saved.iterdir())
    words = {word for text in texts for word in text.split() if len(word) > 5}
    assert words and not [word for word in words if word.encode() in stored]
    former = shutil.copytree(saved, tmp_path / "former")
    (former / "SHA256SUMS").unlink()
    is_heldout = tfidf._held_out(texts, 0)
    about["vocabularies"] = [
        tfidf._vectorizer(view, min_df=2)
        .fit([text for text, is_out in zip(texts, is_heldout, strict=True) if not is_out])
        .get_feature_names_out()
        .tolist()
        for view in tfidf._VIEWS
    ]
    (former / "scorer.json").write_text(json.dumps(about | {"format": 1, "revision": "tfidf-former"}))
    loaded = load_tfidf(former)
    assert loaded.revision == "tfidf-former"
    assert np.array_equal(loaded.score(texts), trained.score(texts))


def test_a_damaged_or_absent_tfidf_is_one_clear_line(trained, tmp_path):
    with pytest.raises(ScorerError, match="no tfidf scorer here"):
        make_scorer("tfidf", tmp_path)
    with pytest.raises(ScorerError, match="name the folder"):
        make_scorer("tfidf")
    trained.save(tmp_path / "t")
    weights = tmp_path / "t" / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(ScorerError, match="cannot be read"):
        load_tfidf(tmp_path / "t")
    trained.save(tmp_path / "u")
    about = json.loads((tmp_path / "u" / "scorer.json").read_text())
    about["revision"] = "tfidf-other"
    (tmp_path / "u" / "scorer.json").write_text(json.dumps(about))
    (tmp_path / "u" / "SHA256SUMS").unlink()
    with pytest.raises(ScorerError, match="does not match its revision"):
        load_tfidf(tmp_path / "u")


def test_tfidf_needs_both_classes_and_equal_lengths():
    with pytest.raises(ScorerError, match="lacks a class"):
        train_tfidf(["some text"] * 20, [1] * 20)
    with pytest.raises(ScorerError, match="2 texts but 1 labels"):
        train_tfidf(["a", "b"], [1])


def test_classifier_batches_equal_one_by_one(classifier_folder):
    scorer = make_scorer(f"classifier:{classifier_folder}")
    texts = ["rain mud", "sun", "", "lark " * 50, "mud rain sun lark", "rain"]
    together = scorer.score(texts)
    alone = np.array([scorer.score([text])[0] for text in texts])
    assert together == pytest.approx(alone, abs=1e-5) and together[2] == 0
    assert scorer.score([]).shape == (0,) and isinstance(scorer, Scorer)


def test_classifier_takes_the_toxic_label_and_its_own_activation(classifier_folder, tmp_path):
    model = BertForSequenceClassification.from_pretrained(classifier_folder)
    scorer = Classifier(str(classifier_folder))
    ids = torch.tensor([[2, 3]])
    logits = model(ids, attention_mask=torch.ones_like(ids)).logits.detach()
    assert scorer.score(["rain mud"])[0] == pytest.approx(float(torch.softmax(logits, -1)[0, 1]), abs=1e-6)
    model.config.problem_type = "multi_label_classification"
    model.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((classifier_folder / name).read_bytes())
    several = Classifier(str(tmp_path))
    assert several.score(["rain mud"])[0] == pytest.approx(float(torch.sigmoid(logits)[0, 1]), abs=1e-6)
    assert several.revision.split("-")[-1] == scorer.revision.split("-")[-1]


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (["non-toxic", "toxic"], 1),
        (["toxic", "non_toxic"], 0),
        (["severe_toxicity", "toxicity", "insult"], 1),
        (["nothate", "hate"], 1),
        (["neutral", "Toxic"], 1),
        (["not offensive", "offensive"], 1),
        (["toxicity"], 0),
    ],
)
def test_which_label_is_toxic(names, label):
    assert toxic_label(dict(enumerate(names))) == label


@pytest.mark.parametrize("names", [["positive", "negative"], ["LABEL_0", "LABEL_1"], ["score"], []])
def test_no_toxic_label_is_refused(names):
    """An index is never guessed: the other one would turn every result round."""
    with pytest.raises(ScorerError, match=r"no label means toxic .*id2label into config"):
        toxic_label(dict(enumerate(names)))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"problem_type": "multi_label_classification"}, "sigmoid"),
        ({"problem_type": "single_label_classification"}, "softmax"),
        ({"problem_type": "regression"}, "none"),
        ({"function_to_apply": "sigmoid", "problem_type": "single_label_classification"}, "sigmoid"),
        ({"id2label": {"0": "toxic"}}, "sigmoid"),
        ({"id2label": {"0": "toxic", "1": "fine"}}, "softmax"),
    ],
)
def test_the_configuration_says_how_outputs_become_probabilities(settings, expected):
    assert activation(settings) == expected


def test_labels_that_may_exclude_each_other_or_not_are_refused():
    with pytest.raises(ScorerError, match="whether its 3 labels exclude each other: write problem_type"):
        activation({"id2label": {"0": "toxic", "1": "insult", "2": "threat"}})


def test_a_classifier_states_what_it_was_trained_on(classifier_folder, tmp_path):
    """Declared for those that are known, by the model card for others, else not stated."""
    folder = shutil.copytree(classifier_folder, tmp_path / "classifier")
    assert Classifier(str(folder)).trained_on == Training(text="not stated")
    (folder / "README.md").write_text("---\ndatasets:\n- google/civil_comments\n---\nA card.\n")
    assert Classifier(str(folder)).trained_on.data == ("google/civil_comments",)
    (folder / "README.md").write_text("---\ndatasets: [\n---\n")
    assert Classifier(str(folder)).trained_on.text == "not stated"
    pinned = f"classifier:unitary/toxic-bert@{'0' * 40}"
    assert (
        training_of(pinned).platforms == ("Wikipedia talk pages",) == training_of("profanity").platforms[:1]
    )


def test_pickled_weights_are_refused(classifier_folder, tmp_path):
    for path in classifier_folder.iterdir():
        if path.suffix == ".json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save(
        BertForSequenceClassification.from_pretrained(classifier_folder).state_dict(),
        tmp_path / "pytorch_model.bin",
    )
    with pytest.raises(ScorerError, match="holds no safetensors"):
        Classifier(str(tmp_path))


class Service(BaseHTTPRequestHandler):
    """A local stand-in for the service, over real HTTP: refuses the first request, then answers."""

    queries: ClassVar[list[dict]] = []
    refusals: ClassVar[list[int]] = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.refusals.pop(0) if self.refusals else 200
        value = 0.9 if "mud" in body["comment"]["text"] else 0.1
        answer = json.dumps({"attributeScores": {"TOXICITY": {"summaryScore": {"value": value}}}}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.queries.append({"key": self.headers["x-goog-api-key"], **body})

    def log_message(self, *args):
        pass


@pytest.fixture
def service():
    server = HTTPServer(("127.0.0.1", 0), Service)
    Service.queries, Service.refusals = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_perspective_retries_and_reads_the_score(service):
    Service.refusals = [429, 503]
    scorer = Perspective(key="k", address=service, per_second=500, first_wait=0.01)
    assert scorer.score(["mud", "", "sun"]).tolist() == [0.9, 0.0, 0.1]
    assert len(Service.queries) == 4 and {query["key"] for query in Service.queries} == {"k"}
    assert scorer.revision.startswith("perspective TOXICITY 20")


def test_perspective_gives_up_clearly(service, monkeypatch):
    Service.refusals = [403]
    with pytest.raises(ScorerError, match=r"HTTP 403.*closes on 31 December 2026.*name another scorer"):
        Perspective(key="k", address=service, per_second=500, first_wait=0.01).score(["a"])
    Service.refusals = [500] * 3
    with pytest.raises(ScorerError, match="after 3 attempts"):
        Perspective(key="k", address=service, per_second=500, first_wait=0.01, attempts=3).score(["a"])
    monkeypatch.delenv("PERSPECTIVE_API_KEY", raising=False)
    for refuse in (lambda: make_scorer("perspective"), lambda: require_scorers(["forum", "perspective"])):
        with pytest.raises(ScorerError, match=r"set PERSPECTIVE_API_KEY .Perspective closes on 31"):
            refuse()


@pytest.mark.parametrize("spec", ["", "nothing", "classifier:", "tf-idf", "forum:x"])
def test_an_unknown_scorer_is_named(spec):
    with pytest.raises(ScorerError, match="unknown scorer"):
        make_scorer(spec)
    with pytest.raises(ConfigError, match=r"evaluation\.scorers\.1: unknown scorer .*known: forum"):
        parse_study({"name": "x", "evaluation": {"scorers": ["forum", spec]}})


@pytest.mark.parametrize("entry", SCORERS, ids=lambda entry: entry.name)
def test_every_declared_scorer_has_its_code(entry):
    module, _, name = entry.loader.partition(":")
    assert callable(getattr(importlib.import_module(f"hormesis.backend.scorers.{module}"), name))
    assert not entry.fluency or make_scorer(entry.fluency).measures == "fluency"
