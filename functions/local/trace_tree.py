"""The trace as people read it on a terminal: a tree."""

from collections.abc import Mapping, Sequence

from rich.text import Text
from rich.tree import Tree

from local.tables import printable
from local.trace import STORED, DecisionTrace, FeedbackTrace, LabelTrace, ModelTrace, RecordTrace, VersionTrace


def model_tree(trace: ModelTrace, most_labels: int) -> Tree:
    """Return where a model comes from; of each dataset version at most so many labels."""
    tree = Tree(_text(f"model {trace.name} {trace.version}", trace.sha256[:12], style="bold"))
    if trace.parent is not None:
        tree.add(_text("training went on from model", trace.parent[:12]))
    for version in trace.datasets:
        _add_version(tree, version, most_labels)
    return tree


def record_tree(trace: RecordTrace) -> Tree:
    """Return where a decision, feedback or review came from, and where it led to."""
    tree = Tree(_text(trace.id, style="bold"))
    _add_label(tree, trace.label)
    if not trace.datasets:
        tree.add(_text("in no dataset version at hand"))
    for dataset in trace.datasets:
        use = "kept out of training, to compare models by" if trace.held_out else "trained on"
        tree.add(_text(f"dataset {dataset.name} {dataset.version}", use))
    for model in trace.models:
        tree.add(_text(f"model {model.name} {model.version}", model.sha256[:12], model.directory))
    return tree


def _add_version(tree: Tree, version: VersionTrace, most_labels: int) -> None:
    where = "not at hand" if version.folder is None else f"{len(version.labels):,} labels added"
    branch = tree.add(_text(f"dataset {version.name} {version.version}", where))
    for label in version.labels[:most_labels]:
        _add_label(branch, label)
    if len(version.labels) > most_labels:
        branch.add(_text(f"... and {len(version.labels) - most_labels:,} more labels: --json has all"))


def _add_label(tree: Tree, label: LabelTrace) -> None:
    branch = tree.add(_text(f"review {label.review_id}", *_state(label.state), label.reason, label.status))
    if label.values is not None:
        names = f"by {', '.join(label.annotators)}" if label.annotators else None
        branch.add(_text(f"label: {_values(label.values)}", label.method, names, label.settled))
    for answer in label.answers:
        said = "skipped" if answer.labels is None else ", ".join(answer.labels) or "none"
        kind = "adjudication" if answer.is_adjudication else "annotation"
        branch.add(_text(f"{kind} of {answer.annotator}: {said}", answer.created))
    for feedback in label.feedback:
        _add_feedback(branch, feedback)
    if label.decision is not None:
        _add_decision(branch, label.decision)


def _add_feedback(tree: Tree, feedback: FeedbackTrace) -> None:
    said = None
    if feedback.state == STORED:
        said = f"{feedback.moderator}: {_said(feedback.correct, feedback.labels)}"
    tree.add(_text(f"feedback {feedback.feedback_id}", *_state(feedback.state), said, feedback.created))


def _add_decision(tree: Tree, decision: DecisionTrace) -> None:
    tree.add(
        _text(
            f"decision {decision.decision_id}",
            *_state(decision.state),
            decision.action,
            decision.model,
            decision.created,
        )
    )


def _state(state: str) -> Sequence[str]:
    return [] if state == STORED else [state]


def _said(correct: bool | None, labels: Mapping[str, bool] | None) -> str:
    return _values(labels) if labels is not None else "correct" if correct else "wrong"


def _values(values: Mapping[str, bool | None]) -> str:
    chosen = [name for name, belongs in values.items() if belongs]
    undecided = [f"{name}?" for name, belongs in values.items() if belongs is None]
    return ", ".join([*chosen, *undecided]) or "none"


def _text(head: str, *rest: str | None, style: str = "") -> Text:
    # Names and ids come from files and from people: no markup, and nothing that drives a terminal.
    line = Text(printable(head), style=style)
    for each in rest:
        if each:
            line.append(f"  {printable(each)}", style="dim")
    return line
