"""The data folder of a laptop's server, as a run of the pipeline sees it: labels, champion, dataset versions.

What is served is imported inside the functions: a pipeline that takes nothing from a data folder needs none of it.
"""

import os
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from moderato.artifact import load_manifest
from training import dataset
from training.additions import read_additions
from training.jobs import Refused


@dataclass(frozen=True)
class DataFolder:
    """A folder that `moderato serve` keeps its records in."""

    path: Path

    def champion(self) -> Path:
        """Return the directory of the model in use. Raises BrokenModel."""
        from local.models import champions_of

        return champions_of(self.path).current()

    def dataset(self, model: Path) -> Path:
        """Return the youngest version of the line that a model was trained on. Raises Refused where none is at hand."""
        from local.lineage import Lineage

        record = load_manifest(model).dataset
        version = Lineage.find(self.path, with_models=False).youngest(record.digest)
        if version is None:
            raise Refused(
                f"dataset {record.name} {record.version}, which the champion was trained on, is not at hand: name the "
                "folder of the version to grow by --dataset"
            )
        return version.folder

    def write_labels(self, model: Path, folder: Path) -> Path:
        """Write every accepted label, and what was erased, as a batch into a folder. Raises Refused without a store.

        Labels of versions that are kept here are marked, where a promotion was cut off before it could do so.
        """
        from local.databases import existing_store
        from local.label_files import write_batch
        from local.options import Refused as RefusedThere

        try:
            self._mark_labels()
            with existing_store(self.path) as store:
                write_batch(store, load_manifest(model).category_names, folder)
        except RefusedThere as refused:
            raise Refused(str(refused)) from None
        return folder

    def promote(self, model: Path, version: Path, sources: Path | None) -> int:
        """Keep the dataset version and run `moderato promote`, as a person would; return its exit status.

        Once it is the champion's, the labels of the version are marked, so that who gave them can no longer take them
        back; otherwise the version goes again, and they are as they were. Who is killed in between leaves a version
        whose labels the next batch marks.
        """
        described = dataset.describe(version)
        kept = self._versions / described["name"] / described["version"]
        if is_new := not kept.is_dir():
            # Where no version is looked for: half of one would be taken for it.
            part = self._versions / f".{kept.parent.name}-{kept.name}.part"
            shutil.copytree(version, part, dirs_exist_ok=True)
            kept.parent.mkdir(exist_ok=True)
            part.rename(kept)
        command = [sys.executable, "-m", "local", "promote", str(model), "--dataset", str(kept)]
        command += ["--data-dir", str(self.path)]
        command += [] if sources is None else ["--templates", str(sources)]
        environment = {name: value for name, value in os.environ.items() if name not in ("DATA_DIR", "MODEL_DIR")}
        status = subprocess.run(command, env=environment, check=False).returncode
        if load_manifest(self.champion()).dataset.digest == described["digest"]:
            self._mark_labels()
        elif is_new:
            shutil.rmtree(kept)
        return status

    @property
    def _versions(self) -> Path:
        from local.datasets import GROWN

        return self.path / GROWN

    def _mark_labels(self) -> None:
        """Mark the labels of every version that is kept here; those that are marked keep the mark that they have."""
        from local.assembly import DATABASE
        from moderato.sqlite import SqliteStore

        if not (self.path / DATABASE).is_file():
            return
        with closing(SqliteStore(self.path / DATABASE)) as store:
            # The oldest first: a label keeps its first mark.
            for path in sorted(self._versions.glob("*/*/dataset.json"), key=lambda path: path.stat().st_mtime):
                described = dataset.describe(path.parent)
                reviews = [each.review_id for each in read_additions(path.parent)]
                store.mark_labels(reviews, f"{described['name']}/{described['version']}")
