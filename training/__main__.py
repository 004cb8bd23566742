"""`python -m training RECIPE`: the whole run, from public files to a model directory that a server can load."""

import argparse
import sys
from pathlib import Path

from training import dataset
from training.config import load_recipe
from training.export import export
from training.package import package
from training.train import train


def main() -> None:
    """Run every stage in order and print the held-out figures. A run that was cut off goes on where it was."""
    arguments = _arguments()
    try:
        recipe = load_recipe(arguments.recipe)
        folder = arguments.output / recipe.name
        print(f"dataset  {folder / 'dataset'}", flush=True)
        data = dataset.build(recipe, arguments.sources, folder / "dataset")
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"training: {error}")
    print(f"train    {folder / 'encoder'}", flush=True)
    try:
        encoder = train(recipe, data, folder)
    except ValueError as error:
        sys.exit(f"training: {error}")
    print(f"export   {folder / 'model.onnx'}", flush=True)
    export(encoder, folder / "model.onnx")
    print(f"package  {folder / 'model'}", flush=True)
    manifest = package(recipe, data, encoder, folder / "model.onnx", folder / "model")
    for name, metric in manifest.metrics.items():
        print(f"{name:20} ROC AUC {metric.roc_auc:.4f}   positives {metric.positives:>5} of {metric.rows}")
    print(f"mean ROC AUC         {sum(m.roc_auc for m in manifest.metrics.values()) / len(manifest.metrics):.4f}")
    print(f"serve it: moderato serve --model {folder / 'model'}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training", description="Train a model by its recipe.")
    parser.add_argument("recipe", help="a name in training/recipes, such as starter")
    parser.add_argument("--sources", type=Path, required=True, help="the folder of the public files, gzipped CSV")
    parser.add_argument("--output", type=Path, default=Path("build"), help="where runs go (default: build)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
