"""Topics: the vocabulary, the perplexity against Spark's bound and a plain count, and rows without any known word."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.clustering import LDA
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.special import gammaln

from headrace.config.preparation import Preparation
from headrace.errors import ConfigError, DataError
from headrace.evaluation import special as evaluation
from headrace.metrics.measure import Difference
from headrace.models.card import ModelCard
from headrace.models.predict import predict
from headrace.models.topics import BOUND, SMOOTHING, TOKENS, Topics, vocabulary, with_bound, with_shares
from headrace.registry import topics
from headrace.registry.gates import Incomparable
from headrace.search.columns import Columns
from headrace.search.grouping import GROUPING
from headrace.search.plan import Plan, plan
from headrace.search.topics import BATCH, TopicModelling, told
from headrace.search.words import fit_words, stop_words, text_columns

pytestmark = pytest.mark.usefixtures("interpreted")

TYPES = {"title": "string", "body": "string"}
COLUMNS = Columns((), (), {}, TYPES, {}, texts=("title", "body"))
SUBJECTS = [[f"{subject}{letter}" for letter in "abcdef"] for subject in ("sea", "law", "bee")]
ODD = [(None, None), ("", "  "), ("?!", None), ("never seen", "before"), ("seaa", ""), (None, "LAWB lawb")]


def planned(**vocabulary_: object) -> Plan:
    ngrams = vocabulary_.pop("ngrams", 1)
    conf = Preparation.model_validate({"vocabulary": vocabulary_, "texts": {"ngrams": ngrams}})
    return plan("words", COLUMNS, conf)


def texts(count: int, seed: int) -> list[tuple[str | None, str | None]]:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        words = rng.choice(SUBJECTS[number % 3], rng.integers(2, 15))
        rows.append((words[0].upper(), " ".join(words[1:])))
    return rows


def framed(spark: SparkSession, rows: list[tuple[str | None, str | None]]) -> DataFrame:
    numbered = [(number, *row, 0.0) for number, row in enumerate(rows)]
    return spark.createDataFrame(numbered, "id int, title string, body string, label double").coalesce(1)


def words_of(row: tuple[str | None, str | None]) -> list[str]:
    return [word for text in row for word in re.findall(r"[^\W_]+", (text or "").lower())]


@pytest.fixture(scope="module")
def fitted(spark: SparkSession):
    """Training rows and held-out ones, odd ones among both; a model of three topics of the former."""
    trains, judged = texts(150, 0) + ODD, texts(60, 1) + ODD
    train, held = framed(spark, trains), framed(spark, judged)
    of = TopicModelling(COLUMNS, planned(), len(trains))
    preparation = of.prepare(train, COLUMNS, of.plan)
    recipe = GROUPING["lda"]
    estimator = recipe.build("topics", {**recipe.first, "topics": 3}, 1, 1)
    model = of.fit(estimator, preparation, preparation.transform(train))
    return of, preparation, model, train, held, trains, judged


def test_words_are_those_of_a_plain_count(spark: SparkSession) -> None:
    rows = [
        ("The cat", "sat: a CAT!"),
        ("don't sit", "Über-cat 42"),
        (None, "sit cat über"),
        ("dog", ""),
        ("sit dog", None),
    ]
    frame = framed(spark, rows)
    stop = set(stop_words(planned().vocabulary))
    rows_with = Counter(word for row in rows for word in set(words_of(row)) - stop)
    for least, most, size in ((1, 1.0, 100), (2, 1.0, 100), (2, 0.5, 100), (1, 1.0, 3), (3, 0.6, 100)):
        found = vocabulary(fit_words(frame, planned(min_rows=least, max_share=most, size=size)))
        kept = sorted((-count, word) for word, count in rows_with.items() if least <= count <= most * len(rows))
        assert found == [word for _, word in kept][:size]
    assert "t" in stop  # `don't` is cut as texts are
    counted = fit_words(frame, planned(min_rows=1))
    place = vocabulary(counted).index("cat")
    assert [row.features.toArray()[place] for row in counted.transform(frame).orderBy("id").collect()] == [
        2,
        1,
        1,
        0,
        0,
    ]


def test_stop_words_go_before_runs_are_made(spark: SparkSession) -> None:
    frame = framed(spark, [("state of the art", ""), ("State, art", None)])
    assert vocabulary(fit_words(frame, planned(ngrams=2))) == ["art", "state", "state art"]
    assert "of the" in vocabulary(fit_words(frame, planned(ngrams=2, min_rows=1, stop_words=[])))
    assert vocabulary(fit_words(frame, planned(leave_out=["Art"]))) == ["state"]
    assert "der" in stop_words(planned(stop_words=["german", "english"]).vocabulary)


def test_no_word_left_is_told(spark: SparkSession) -> None:
    for rows in (ODD[:3], [("the", "and"), ("the", "and")], [("one", "two"), ("three", None)]):
        with pytest.raises(DataError, match=r"no word of title, body is left.*2 training rows or more.*vocabulary"):
            fit_words(framed(spark, rows), planned())


def test_the_bound_is_sparks_without_the_topics_own_part(fitted) -> None:
    """Spark adds how far the topics are from their prior, whatever is judged."""
    _, preparation, model, _, held, _, _ = fitted
    rows = preparation.transform(held)
    topics = Topics.of(model)
    found = with_bound(with_shares(model.transform(rows)), topics).orderBy("id").select(BOUND, TOKENS).toPandas()
    pseudo, prior = model.topicsMatrix().toArray(), model.getTopicConcentration()
    own = ((prior - pseudo) * topics.words).sum() + (gammaln(pseudo) - gammaln(prior)).sum()
    own += (gammaln(prior * len(pseudo)) - gammaln(pseudo.sum(axis=0))).sum()
    assert found[BOUND].sum() + own == pytest.approx(model.logLikelihood(rows), rel=1e-6)
    assert np.exp(-(found[BOUND].sum() + own) / found[TOKENS].sum()) == pytest.approx(np.exp(model.logPerplexity(rows)))


def test_the_bound_lies_below_the_probability_itself(fitted) -> None:
    """Of short texts, by drawing mixtures from the prior a hundred thousand times."""
    _, preparation, model, _, held, _, judged = fitted
    rng, words = np.random.default_rng(0), vocabulary(preparation)
    pseudo = model.topicsMatrix().toArray()
    share = pseudo / pseudo.sum(axis=0)
    mixtures = rng.dirichlet(model.estimatedDocConcentration().toArray(), 100_000)
    found = with_bound(with_shares(model.transform(preparation.transform(held))), Topics.of(model))
    short = found.where(F.col(TOKENS) <= 4).select("id", BOUND).collect()
    assert len(short) >= 5
    for row in short:
        known = [words.index(word) for word in words_of(judged[row["id"]]) if word in words]
        exact = np.log(np.prod(mixtures @ share[known].T, axis=1).mean())
        assert exact - 1.5 < row[BOUND] < exact + 0.05


def test_perplexity_and_baseline(fitted) -> None:
    of, preparation, model, train, held, trains, judged = fitted
    words = vocabulary(preparation)
    seen = Counter(word for row in trains for word in words_of(row))
    likely = {word: seen[word] + SMOOTHING for word in words}
    every = sum(likely.values())
    asked = [word for row in judged for word in words_of(row) if word in likely]
    plain = np.exp(-np.mean([np.log(likely[word] / every) for word in asked]))
    baseline = of.baseline(train, held, "perplexity")
    assert baseline == pytest.approx(plain)
    value = of.value(model, preparation, preparation.transform(train), preparation.transform(held), "perplexity")
    assert value < 0.7 * baseline
    unknown = held.where("title like 'never%' or title is null and body is null")
    assert unknown.count() == 2
    assert np.isnan(of.value(model, preparation, train, preparation.transform(unknown), "perplexity"))
    assert np.isnan(of.baseline(train, unknown, "perplexity"))


def test_topics_are_found_and_told(fitted) -> None:
    of, preparation, model, train, _, trains, _ = fitted
    learned = of.learned(model, preparation, preparation.transform(train))
    named = {place: {word[:3] for word in list(one["words"])[:6]} for place, one in enumerate(learned["topics"])}
    assert sorted(map(sorted, named.values())) == [["bee"], ["law"], ["sea"]]
    subjects = Counter(words_of(row)[0][:3] for row in trains if set(words_of(row)) & {w for s in SUBJECTS for w in s})
    assert {next(iter(named[place])): one["rows"] for place, one in enumerate(learned["topics"])} == dict(subjects)
    assert learned["wordless"] == 4
    assert len(told(learned)) == 3
    many = {"topics": [{"rows": n, "words": {f"w{n}": 1.0}} for n in range(13)]}
    assert told(many)[0] == "topic 12 (12 rows): w12"
    assert told(many)[-1] == "3 more topics"


def test_rows_without_a_known_word_have_no_topic(fitted, tmp_path) -> None:
    """Also when the model was saved, without anything of Headrace's, and read again."""
    _, preparation, model, _, held, _, judged = fitted
    whole = PipelineModel([*preparation.stages, model])
    whole.write().overwrite().save(str(tmp_path / "model"))
    card = ModelCard("topics", TYPES, "int", key=("id",), estimator="lda")
    found = []
    for one in (whole, PipelineModel.load(str(tmp_path / "model"))):
        scored = predict(one, card, held, ["id"], (BOUND, TOKENS))
        assert scored.schema["prediction"].dataType.simpleString() == "int"
        found.append(scored.orderBy("id").toPandas())
    pd.testing.assert_frame_equal(*found)
    scored, known = found[0], set(vocabulary(preparation))
    wordless = [number for number, row in enumerate(judged) if not set(words_of(row)) & known]
    assert wordless == [60, 61, 62, 63]
    assert scored[scored["prediction"].isna()]["id"].tolist() == wordless
    assert scored[scored["probability"].isna()]["id"].tolist() == wordless
    assert scored[scored[BOUND].isna()]["id"].tolist() == wordless
    assert scored["probability"].dropna().between(1 / 3, 1).all()


def test_the_tests_perplexity_is_of_words_and_not_of_rows(fitted) -> None:
    of, preparation, model, train, held, _, _ = fitted
    card = ModelCard("topics", TYPES, "int", key=("id",), estimator="lda")
    whole = PipelineModel([*preparation.stages, model])
    rows = held.withColumn("third", F.when(F.col("id") < 60, F.col("id") % 3))
    scored = predict(whole, card, rows, ["id", "third"], evaluation.INNER["topics"])
    found = evaluation.measures(scored, card, ["id"], ["third"], 1, 0)
    overall = next(one for one in found if one.slice_column is None)
    value = of.value(model, preparation, train, preparation.transform(held), "perplexity")
    assert overall.value == pytest.approx(value)
    assert overall.lower < overall.value < overall.upper
    assert overall.rows == 66
    each = scored.toPandas()
    slices = {one.slice_value: one.value for one in found if one.slice_column}
    for third, some in each.groupby(each["third"].map(lambda v: "null" if pd.isna(v) else str(int(v)))):
        assert slices[third] == pytest.approx(np.exp(-some[BOUND].sum() / some[TOKENS].sum()))


def test_a_share_of_rows_counts_whole_rows(spark: SparkSession) -> None:
    """Floats do not decide: 100 * 0.29 is 28.999999999999996."""
    frame = framed(spark, [("often" if number < 29 else "", "always") for number in range(100)])
    assert vocabulary(fit_words(frame, planned(max_share=0.29))) == ["often"]
    frame = framed(
        spark, [("often" if number < 30 else "seldom" if number < 40 else "", None) for number in range(100)]
    )
    assert vocabulary(fit_words(frame, planned(max_share=0.29))) == ["seldom"]


def test_a_round_looks_at_a_batch_and_not_at_a_share(fitted) -> None:
    """Rows are counted once for all trials, and however many there are, a round reads no more of them."""
    _, preparation, _, train, _, _, _ = fitted
    recipe = GROUPING["lda"]
    for rows, share in ((1_000_000, 0.01), (BATCH, 1.0), (10, 1.0), (0, 1.0)):
        estimator = recipe.build("topics", {**recipe.first, "topics": 2}, 1, 1).setMaxIter(2)
        TopicModelling(COLUMNS, planned(), rows).fit(estimator, preparation, preparation.transform(train))
        assert estimator.getSubsamplingRate() == share


CARD = ModelCard("topics", TYPES, "int", key=("id",), estimator="lda")


def trained(frame: DataFrame, how: Plan, iterations: int = 25, **params: object) -> tuple[PipelineModel, ModelCard]:
    of = TopicModelling(COLUMNS, how, frame.count())
    preparation, recipe = of.prepare(frame, COLUMNS, how), GROUPING["lda"]
    estimator = recipe.build("topics", {**recipe.first, "topics": 3, **params}, 1, 1).setMaxIter(iterations)
    return PipelineModel([*preparation.stages, of.fit(estimator, preparation, preparation.transform(frame))]), CARD


def test_versions_of_other_words_are_compared_over_all_of_them(fitted) -> None:
    """Against a plain count. A word that a version does not know is as likely to it as in the training rows."""
    _, _, _, train, held, trains, judged = fitted
    good, few = trained(train, planned()), trained(train, planned(size=6))
    bad = trained(train.union(framed(train.sparkSession, [("rare rare", "thing")] * 2)), planned(), 1, topics=2)
    known = [set(vocabulary(one)) for one, _ in (good, few, bad)]
    assert (len(known[0] - known[1]), known[2] - known[0]) == (12, {"rare", "thing"})
    naive = {}
    for name, (one, its) in {"good": good, "few": few}.items():
        rows = predict(one, its, held, ["id"], (BOUND, TOKENS)).toPandas()
        naive[name] = np.exp(-rows[BOUND].sum() / rows[TOKENS].sum())
    assert naive["few"] < naive["good"]  # fewer words are easier to foretell
    for new, old, better in ((good, few, True), (few, good, False), (good, bad, True), (bad, good, False)):
        found = topics.compared((new, old), train, held, ["id"], 0)
        assert isinstance(found, Difference)
        assert (found.lower > 0, found.upper < 0) == (better, not better)
        every = set(vocabulary(new[0])) | set(vocabulary(old[0]))
        seen = Counter(word for row in trains for word in words_of(row))
        each = [_plain(one, its, held, judged, seen, every) for one, its in (new, old)]
        assert found.value == pytest.approx(each[1] - each[0], rel=1e-6)
    same = topics.compared((good, good), train, held, ["id"], 0)
    assert (same.value, same.lower, same.upper) == (0, 0, 0)


def _plain(
    model: PipelineModel,
    card: ModelCard,
    held: DataFrame,
    judged: list[tuple[str | None, str | None]],
    seen: Counter[str],
    every: set[str],
) -> float:
    known = set(vocabulary(model))
    share = {word: (seen[word] + SMOOTHING) / sum(seen[one] + SMOOTHING for one in every) for word in every}
    among = np.log(sum(share[word] for word in known))
    bounds = predict(model, card, held, ["id"], (BOUND,)).toPandas().set_index("id")[BOUND].fillna(0)
    asked = [[word for word in words_of(row) if word in every] for row in judged]
    besides = [sum(among if word in known else np.log(share[word]) for word in words) for words in asked]
    return float(np.exp(-(bounds.sum() + sum(besides)) / sum(map(len, asked))))


def test_of_the_same_words_it_is_the_perplexities_own_difference(fitted) -> None:
    _, _, _, train, held, _, _ = fitted
    pair = trained(train, planned()), trained(train, planned(), 1)
    assert vocabulary(pair[0][0]) == vocabulary(pair[1][0])
    found = topics.compared(pair, train, held, ["id"], 0)
    each = []
    for one, its in pair:
        rows = predict(one, its, held, ["id"], (BOUND, TOKENS)).toPandas()
        each.append(np.exp(-rows[BOUND].sum() / rows[TOKENS].sum()))
    assert found.value == pytest.approx(each[1] - each[0])


def test_versions_that_make_other_words_of_a_text_are_not_compared(fitted) -> None:
    """Also where their vocabularies are the same."""
    _, preparation, model, train, held, _, _ = fitted
    whole = PipelineModel([*preparation.stages, model]), CARD
    counts = preparation.stages[-1]
    titles = Columns((), (), {}, TYPES, {}, texts=("title",))
    conf = Preparation.model_validate({"vocabulary": {"min_rows": 1}})
    others = [
        fit_words(train, plan("words", titles, conf)),
        fit_words(train, planned(ngrams=2)),
        fit_words(train, planned(leave_out=["beea"])),
    ]
    for other in others:
        same = PipelineModel([*other.stages[:-1], counts, model]), CARD
        assert vocabulary(same[0]) == vocabulary(whole[0])
        assert topics.compared((whole, same), train, held, ["id"], 0) == Incomparable(topics.OTHER_WORDS)
    unused = fit_words(train, planned(leave_out=["nowhere"]))  # makes the same words
    same = PipelineModel([*unused.stages[:-1], counts, model]), CARD
    assert isinstance(topics.compared((whole, same), train, held, ["id"], 0), Difference)
    unknown = held.where("id >= 60 and id < 64")
    assert topics.compared((whole, whole), train, unknown, ["id"], 0) == Incomparable(topics.NO_WORD)


def test_columns_that_are_no_texts_are_refused_in_words() -> None:
    types = {"title": "string", "price": "double", "body": "string", "at": "timestamp"}
    plain = Preparation()
    assert text_columns(types, ["body"], plain).texts == ("body",)
    assert text_columns(types, ["body", "title"], plain).used == TYPES
    assert text_columns({"title": "string"}, [], plain).texts == ("title",)
    for given, texts_, says in (
        (types, [], r"'price' is double, 'at' is timestamp; name those that are to be read, as \[title, body\]"),
        (types, ["price"], r"texts\[0\]: 'price' is double, and topics are of words; features of text: title, body"),
        (types, ["boddy"], "no feature is called 'boddy'; features of text: title, body.*did you mean 'body'"),
        ({"price": "double"}, [], "'price' is double; there is no feature of text"),
    ):
        with pytest.raises(ConfigError, match=says):
            text_columns(given, texts_, plain)
    other = Preparation.model_validate({"columns": {"boddy": {"ngrams": 2}}})
    with pytest.raises(ConfigError, match=r"search.preparation.columns.boddy: no feature is called 'boddy'"):
        text_columns(types, ["body"], other)


def test_an_estimator_is_as_its_parameters_say() -> None:
    made = GROUPING["lda"].build("topics", {"topics": 4, "doc_concentration": 0.2, "topic_concentration": 0.05}, 7, 1)
    assert isinstance(made, LDA)
    assert (made.getK(), made.getSeed(), made.getOptimizer()) == (4, 7, "online")
    assert made.getDocConcentration() == [0.2] * 4
    assert made.getTopicConcentration() == 0.05
