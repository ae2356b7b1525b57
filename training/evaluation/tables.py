"""Tables of an evaluation's main numbers, for the terminal."""

from rich.table import Table

from training.report.schema import DetectorReport, Interval, PersonasReport, SenseReport


def detector_table(report: DetectorReport) -> Table:
    """Return a table of one detector, with a row for each set."""
    speed = f"{report.single_p50_ms:.1f} ms per text, {report.texts_per_s:.0f} texts/s"
    title = f"detector {report.name} {report.content_hash[:12]}, {speed}"
    table = Table("set", "rows", "accuracy", "macro-F1", "ECE", title=title)
    for name, result in report.sets.items():
        table.add_row(
            name,
            str(result.rows),
            _format(result.accuracy, 4, 3),
            _format(result.macro_f1, 4, 3),
            f"{result.ece_after:.4f}",
        )
    return table


def personas_table(report: PersonasReport) -> Table:
    """Return a table of the personas, with a row for each arm."""
    columns = ("persona", "arm", "hit rate", "masked", "distinct-2", "words", "echo", "finished")
    table = Table(*columns, title="personas")
    for each in report.personas:
        for name, arm in each.arms.items():
            table.add_row(
                each.persona,
                name,
                _format(arm.hit_rate, 2, 2),
                f"{arm.masked_hit_rate.value:.2f}",
                f"{arm.distinct_2:.2f}",
                f"{arm.words_mean:.0f}",
                f"{arm.echo_rate:.3f}",
                f"{arm.stop_rate:.3f}",
            )
    return table


def sense_table(report: SenseReport) -> Table:
    """Return a table of the measures of sense, with a row for each arm."""
    columns = (
        "arm",
        "message P@1",
        "MRR",
        "answer P@1",
        "MRR",
        "trigram",
        "distinct-2",
        "self-BLEU",
    )
    table = Table(*columns, title=f"sense, by {report.encoder}")
    for name, arm in report.arms.items():
        table.add_row(
            name,
            _format(arm.message_p1, 2, 2),
            f"{arm.message_mrr:.2f}",
            _format(arm.answer_p1, 2, 2),
            f"{arm.answer_mrr:.2f}",
            f"{arm.trigram_share:.3f} {arm.trigram}",
            f"{arm.distinct_2:.2f}",
            f"{arm.self_bleu:.2f}",
        )
    return table


def _format(estimate: Interval, digits: int, bound_digits: int) -> str:
    low = f"{estimate.low:.{bound_digits}f}"
    high = f"{estimate.high:.{bound_digits}f}"
    return f"{estimate.value:.{digits}f} ({low} to {high})"
