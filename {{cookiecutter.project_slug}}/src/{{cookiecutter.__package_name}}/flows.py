"""The flows of this project. Each step is a task of `mlops_tasks`; what it does is said there."""

from pathlib import Path

from mlops_tasks.artifacts import Dataset, Registration
from mlops_tasks.evaluation.backtest import Backtest
from mlops_tasks.monitoring.due import windows_due
from mlops_tasks.monitoring.late import late_windows
from mlops_tasks.monitoring.publication import WindowReport
from mlops_tasks.platform.approval_wait import wait_for_approval
from mlops_tasks.platform.entry import enter
from mlops_tasks.platform.runners import StackRunner, finished
from mlops_tasks.platform.tuning import Tuned, search
from mlops_tasks.references import code
from mlops_tasks.serving.prediction_log.retention import Retired
from mlops_tasks.settings import ModelSettings
from mlops_tasks.tasks import (
    admit,
    answering_champion,
    assess,
    call_for_training,
    compare,
    current_champion,
    cut_windows,
    decide,
    detect,
    evaluate,
    fit,
    gather,
    judge,
    propose,
    publish,
    record_backtest,
    register,
    reigning_champion,
    retire_log,
    score_batch,
    show,
    snapshot,
    split,
    trace,
    try_parameters,
    validate,
)
from mlops_tasks.training import baselines
from prefect import flow

ROOT = Path(__file__).parents[2]
PACKAGE = "{{ cookiecutter.__package_name }}"
RIVALS = ("trivial", "linear")


@flow(name="train", task_runner=StackRunner())
def train(overrides: list[str] | None = None, alarm: str = "") -> Registration:
    """Train a candidate, hold it against baselines and champion, and let it in if it is better."""
    settings = enter(ROOT, overrides, alarm)
    data, seed, store = settings.data, settings.seed, settings.stack.store
    contract, models = code(f"{PACKAGE}.schema:Flights"), code(f"{PACKAGE}.model:MODELS")

    raw = snapshot(str(ROOT), data.path, store=store, residency=settings.residency)
    rows = validate(raw, contract, data, store=store)
    parts = split(rows, contract, data, seed, store=store)
    candidate = fit(parts, models, settings.model, seed, store=store)
    evaluation = evaluate(candidate, parts.comparison, settings.evaluation, store=store)

    baseline = code(baselines.REFERENCE)
    fitted = finished(
        fit.submit(parts, baseline, ModelSettings(name=name), seed, store=store) for name in RIVALS
    )
    rivals = dict(zip(RIVALS, fitted, strict=True))
    champion = current_champion(settings.stack, settings.registered_model)
    if champion and champion.candidate != candidate:
        rivals["champion"] = champion.candidate
    comparisons = compare(evaluation, rivals, parts.comparison, settings.evaluation, seed)
    reigning = champion.candidate.digest if champion else None
    decision = judge(candidate, evaluation, comparisons, settings.policy, champion_digest=reigning)
    lineage = trace(str(ROOT), settings, raw, models)
    registration = register(
        settings, candidate, evaluation, comparisons, decision, lineage, overrides or []
    )
    registration = propose(str(ROOT), settings, registration)
    wait_for_approval(registration, settings.policy.approval.expires_hours)
    return registration


@flow(name="tune", task_runner=StackRunner())
def tune(
    overrides: list[str] | None = None, trials: int | None = None, workers: int | None = None
) -> Tuned:
    """Look for better parameters of the model, on the training rows alone."""
    settings = enter(ROOT, overrides)
    data, seed, store = settings.data, settings.seed, settings.stack.store
    contract, models = code(f"{PACKAGE}.schema:Flights"), code(f"{PACKAGE}.model:MODELS")

    raw = snapshot(str(ROOT), data.path, store=store, residency=settings.residency)
    rows = validate(raw, contract, data, store=store)
    parts = split(rows, contract, data, seed, store=store)
    return search(settings, parts, models, try_parameters, trials=trials, workers=workers)


@flow(name="backtest", task_runner=StackRunner())
def backtest(
    overrides: list[str] | None = None, windows: int = 6, sliding: bool = False
) -> Backtest:
    """Train before each of several moments, and judge on what followed."""
    settings = enter(ROOT, overrides)
    data, seed, store = settings.data, settings.seed, settings.stack.store
    contract, models = code(f"{PACKAGE}.schema:Flights"), code(f"{PACKAGE}.model:MODELS")

    raw = snapshot(str(ROOT), data.path, store=store, residency=settings.residency)
    rows = validate(raw, contract, data, store=store)
    parts = cut_windows(rows, contract, data, windows, sliding, store=store)
    fitted = finished(fit.submit(each, models, settings.model, seed, store=store) for each in parts)
    measured = finished(
        evaluate.submit(model, each.comparison, settings.evaluation, store=store)
        for model, each in zip(fitted, parts, strict=True)
    )
    return record_backtest(settings, parts, measured, sliding)


@flow(name="score", task_runner=StackRunner())
def score(overrides: list[str] | None = None) -> Dataset:
    """Score the rows of a window with the champion."""
    settings = enter(ROOT, overrides)
    data, store = settings.data, settings.stack.store
    champion = reigning_champion(settings)
    raw = snapshot(str(ROOT), data.path, store=store, residency=settings.residency)
    rows = admit(raw, code(f"{PACKAGE}.schema:Flights"), data, store=store)
    return score_batch(champion, rows, store=store)


@flow(name="retire")
def retire(overrides: list[str] | None = None) -> Retired:
    """Delete what the prediction log may not keep any longer, on record."""
    return retire_log(enter(ROOT, overrides))


@flow(name="monitor")
def monitor(
    overrides: list[str] | None = None,
    start: str | None = None,
    end: str | None = None,
    retrain: list[str] | None = None,
) -> WindowReport:
    """Hold windows of live traffic against what the champion learned; call for a retraining."""
    settings = enter(ROOT, overrides)
    due = windows_due(settings, start, end)
    for window in due:
        champion = answering_champion(settings, window)
        traffic = gather(settings, champion, window)
        drift = detect(settings, champion, traffic, window)
        health = assess(settings, champion, traffic, window)
        alarm = decide(settings, champion, window, drift.report, overrides or [], retrain)
        called = call_for_training(settings) if window == due[-1] else ()
        report = publish(settings, champion, window, traffic, drift, health, alarm, called)
    for late in late_windows(settings, window):
        monitor.fn(overrides, *late)
    show(report)
    return report
