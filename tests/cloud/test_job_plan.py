"""Every option of the commands reaches the plan of the job: one that is renamed in one place alone is not lost."""

import msgspec
import pytest
import typer

from training.job_plan import Asked
from training.launch import app

ABOUT_THE_COMMAND = {"yes", "dry_run", "wait", "every", "region", "profile"}
"""Options that say whom to ask and whom to tell, and nothing of the job."""


@pytest.mark.parametrize(
    ("command", "others"), [("train", {"trials", "parallel", "parent"}), ("tune", {"smoke", "version", "resume"})]
)
def test_the_options_of_a_command_are_the_fields_of_what_is_asked(command: str, others: set[str]) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    options = {each.name for each in group.commands[command].params}
    fields = {each.name for each in msgspec.structs.fields(Asked)}
    assert options - ABOUT_THE_COMMAND == fields - others
