"""Metrics: each defined once, each with its advice, counted as a worker tells."""

from pathlib import Path

from manual_clock import ManualClock
from prometheus_client import generate_latest
from samples import NOW, lane, progress

from tollway_schemas.attempt import Attempt, Billed
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.provenance import Provenance
from tollway_schemas.reply import Answer
from tollway_schemas.usage import PICO_PER_USD, Usage
from tollway_workers.job.envelopes import instant
from tollway_workers.job.outcome import Completed, Failed
from tollway_workers.telemetry import definitions
from tollway_workers.telemetry.definitions import Metric
from tollway_workers.telemetry.embedder_events import EmbedderCall
from tollway_workers.telemetry.metrics import Metrics

ALL = [each for each in vars(definitions).values() if isinstance(each, Metric)]


#: Operation, provider and model of the lane.
_GENAI = ("chat", "scripted", "scripted")


def metrics() -> Metrics:
    return Metrics({"main": lane()}, ManualClock(NOW + 2.0))


def value(subject: Metrics, name: str, **labels: str) -> float | None:
    return subject.registry.get_sample_value(name, labels)


def attempt(**fields: object) -> Attempt:
    given: dict[str, object] = {"number": 1, "lane": "main", "provider": "p", "model": "m"}
    given |= {"started_at": instant(NOW), "latency": 0.5, **fields}
    return Attempt.model_validate(given)


def test_every_metric_has_a_name_of_its_own_a_meaning_and_advice() -> None:
    assert len({each.name for each in ALL}) == len(ALL)
    for each in ALL:
        assert each.meaning.endswith(".")
        assert each.advice.endswith(".")
        assert (each.kind == "counter") == each.name.endswith("_total")


def test_every_definition_is_served() -> None:
    text = generate_latest(metrics().registry).decode()

    for each in ALL:
        assert f"# HELP {each.name} " in text


def test_the_operations_page_says_of_every_metric_what_the_code_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()

    for each in ALL:
        labels = "".join(f" `{label}`" for label in each.labels)
        assert f"| `{each.name}`{labels} | {each.meaning} | {each.advice} |\n" in page


def test_a_call_is_counted_by_its_ending_tokens_and_money() -> None:
    subject = metrics()
    usage = Usage(input_total=10, output_total=5)

    subject.call_ended("main", attempt(usage=usage, cost=PICO_PER_USD, billed=Billed.YES))
    subject.call_ended("main", attempt(failure_class=FailureClass.TRANSIENT))

    assert value(subject, "tollway_attempts_total", lane="main", ending="ok") == 1
    assert value(subject, "tollway_attempts_total", lane="main", ending="transient") == 1
    assert value(subject, "tollway_cost_usd_total", lane="main") == 1
    assert value(subject, "tollway_unpriced_calls_total", lane="main") == 0


def test_what_vectors_take_is_counted_by_embedder() -> None:
    subject = metrics()
    embedders = subject.state.embedders

    embedders.embedder_called(EmbedderCall("e", "ok", 0.2, 3, 40, PICO_PER_USD))
    embedders.embedder_called(EmbedderCall("e", "ok", 0.2, 1, 10, None))
    embedders.embedder_called(EmbedderCall("e", "transient", 0.2, 1))

    assert value(subject, "tollway_embedder_calls_total", embedder="e", ending="ok") == 2
    assert value(subject, "tollway_embedder_calls_total", embedder="e", ending="transient") == 1
    assert value(subject, "tollway_embedder_texts_total", embedder="e") == 5
    assert value(subject, "tollway_embedder_tokens_total", embedder="e") == 50
    assert value(subject, "tollway_embedder_cost_usd_total", embedder="e") == 1
    assert value(subject, "tollway_embedder_unpriced_calls_total", embedder="e") == 1


def test_a_slow_call_and_a_first_token_are_counted() -> None:
    subject = metrics()

    subject.call_slow("main")
    subject.call_ended("main", attempt(first_token=0.25))
    subject.call_ended("main", attempt(number=2))

    name = definitions.FIRST_TOKEN_SECONDS.name
    labels = dict(zip(definitions.FIRST_TOKEN_SECONDS.labels, _GENAI, strict=True))
    assert value(subject, "tollway_slow_calls_total", lane="main") == 1
    assert value(subject, f"{name}_count", **labels) == 1
    assert value(subject, f"{name}_sum", **labels) == 0.25


def test_a_good_call_without_a_price_is_counted_as_such() -> None:
    subject = metrics()

    subject.call_ended("main", attempt(usage=Usage(input_total=1)))

    assert value(subject, "tollway_unpriced_calls_total", lane="main") == 1


def test_jobs_and_refused_records_are_counted_by_how_they_ended() -> None:
    subject, waiting = metrics(), progress()
    failure = Failure(failure_class=FailureClass.EXPIRED, message="late")

    subject.job_ended(waiting, Completed(Answer(text="x"), Provenance.LIVE, "main", None))
    subject.job_ended(waiting, Failed(failure))
    subject.record_refused("extract", failure)
    subject.write_failed(ConnectionError())

    for outcome in ("completed", "failed"):
        assert value(subject, "tollway_jobs_total", route="extract", outcome=outcome) == 1
    assert value(subject, "tollway_job_duration_seconds_sum", route="extract") == 4.0
    assert value(subject, "tollway_records_refused_total", failure_class="expired") == 1
    assert value(subject, "tollway_write_failures_total") == 1
