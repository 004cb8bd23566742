"""The reference of a model: how its scores spread on held-out natural texts, by which drift is seen when it serves.

    python -m training.reference MODEL DATASET --version 2.0.1

gives one to a model that was made without, and seals it anew under another version; its network stays as it is.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from moderato.artifact import MANIFEST, Manifest, Reference, load_manifest, record_file, verify_files, write_manifest
from moderato.drift import Observation, describe
from moderato.errors import BrokenModel
from moderato.policy import Policy, decide, default_policy
from moderato.scorer import Scorer
from training import dataset
from training.config import RecipeError
from training.evaluate import POSITIVE, Judged, judge

CARD = "card.md"


def reference_of(scorer: Scorer, natural: Judged) -> Reference:
    """The scores and flags of natural texts as they are served, by the thresholds that the model ships with.

    The reversal rate is what moderators would overturn if they saw every flag: 1 - precision, by the labels that the
    dataset has. A flag is right where the text belongs to any category that acts; one without a label says nothing.
    """
    policy, names = default_policy(scorer.manifest), scorer.manifest.category_names
    observations = [_observe(scorer.calibrate(logits), policy) for logits in natural.logits.tolist()]
    acting = [names.index(name) for name in policy.thresholds]
    labels = natural.labels[[bool(one.flagged) for one in observations]][:, acting]
    judged = labels[~np.isnan(labels).all(axis=1)]
    return describe(observations, names, [not (row >= POSITIVE).any() for row in judged])


def add_reference(directory: Path, dataset_folder: Path, version: str) -> Manifest:
    """Give a model its reference, and seal it as another version; return its manifest.

    Raises BrokenModel when it does not load, and RecipeError when the dataset is not the one that it was trained on.
    """
    manifest = load_manifest(directory)
    verify_files(directory, manifest)
    digest = dataset.verify(dataset_folder)["digest"]
    if digest != manifest.dataset.digest:
        trained_on = f"{manifest.dataset.name} {manifest.dataset.version}"
        raise RecipeError(
            f"{dataset_folder} is not dataset {trained_on}, on whose held-out texts {directory} was measured"
        )
    rows = [row for row in dataset.load(dataset_folder, "test") if row.natural]
    if not rows:
        raise RecipeError(f"{dataset_folder} holds out no natural texts, so there is nothing to take a reference on")
    scorer = Scorer.load(directory)
    reference = reference_of(scorer, judge(scorer, rows, "held-out natural texts"))
    _seal(directory, msgspec.structs.replace(manifest, version=version, reference=reference), manifest.version)
    return Scorer.load(directory).manifest


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; what a person can mend is one sentence on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model directory, changed in place")
    parser.add_argument("dataset", type=Path, help="the dataset version that it was trained on")
    parser.add_argument("--version", required=True, help="the version that it has from now on")
    options = parser.parse_args(arguments)
    try:
        manifest = add_reference(options.model, options.dataset, options.version)
    except (BrokenModel, RecipeError) as error:
        sys.exit(f"training: {error}")
    print(f"{options.model}: {manifest.name} {manifest.version} has a reference now")


def _observe(scores: Mapping[str, float], policy: Policy) -> Observation:
    return Observation(scores, frozenset(reason.category for reason in decide(scores, policy).reasons))


def _seal(directory: Path, manifest: Manifest, before: str) -> None:
    (directory / MANIFEST).unlink()  # a directory that has it is whole, and until the end this one is not
    card = directory / CARD
    title = f"# {manifest.name} "
    told = card.read_text(encoding="utf-8").replace(f"{title}{before}\n", f"{title}{manifest.version}\n", 1)
    card.write_text(told, encoding="utf-8")
    files = {name: record_file(directory / name) for name in manifest.files}
    write_manifest(directory, msgspec.structs.replace(manifest, files=files))


if __name__ == "__main__":
    main()
