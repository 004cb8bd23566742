"""What the commands that start jobs are told, as options; each of them says what it is for in its help."""

from collections.abc import Iterable
from typing import Annotated

import typer

from training.jobs import Refused

DATA, MACHINES, SECURITY, TALK = "Data", "Machines and time", "Security", "Before and after"

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A name in training/recipes; the image has the same.")
]
Region = Annotated[str | None, typer.Option(help="AWS region; by default that of the environment or profile.")]
Profile = Annotated[str | None, typer.Option(help="Profile of AWS's configuration to sign in with.")]

Image = Annotated[str, typer.Option(help="The training image in ECR of the region, with its tag or digest.")]
Role = Annotated[str | None, typer.Option(help="ARN of the role that the job works under.")]
Stack = Annotated[
    str | None, typer.Option(help="A deployed stack, whose role and bucket are taken where none is given.")
]
Output = Annotated[
    str | None,
    typer.Option(help="s3://BUCKET/PREFIX for results and checkpoints; each run has a folder of its own there."),
]
Dataset = Annotated[str | None, typer.Option(help="S3 folder of a dataset version.", rich_help_panel=DATA)]
Champion = Annotated[
    str | None,
    typer.Option(help="S3 folder or model.tar.gz of the model to go on from.", rich_help_panel=DATA),
]
Sources = Annotated[
    str | None,
    typer.Option(
        help="S3 folder of the files that the recipe's sources name; in a stack's bucket under datasets/, where its "
        "role may read.",
        rich_help_panel=DATA,
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(help="S3 folder of a safetensors encoder, where no model hub can be reached.", rich_help_panel=DATA),
]
Smoke = Annotated[
    bool,
    typer.Option("--smoke", help="A few hundred rows and one short epoch, through every stage.", rich_help_panel=DATA),
]
ModelVersion = Annotated[
    str | None,
    typer.Option("--version", help="The version of the model, in place of the recipe's.", rich_help_panel=DATA),
]
Knobs = Annotated[
    list[str] | None,
    typer.Option("--knob", metavar="NAME=VALUE", help="Another value for a knob of the recipe.", rich_help_panel=DATA),
]
InstanceType = Annotated[str, typer.Option(help="What it trains on.", rich_help_panel=MACHINES)]
Instances = Annotated[int, typer.Option(min=1, help="How many of them, as one training.", rich_help_panel=MACHINES)]
Volume = Annotated[int, typer.Option("--volume-gb", min=1, help="Size of each one's volume.", rich_help_panel=MACHINES)]
Spot = Annotated[
    bool, typer.Option("--spot", help="On spare capacity: cheaper, and interrupted at times.", rich_help_panel=MACHINES)
]
MaxHours = Annotated[float, typer.Option(help="The training is stopped after so many.", rich_help_panel=MACHINES)]
MaxWaitHours = Annotated[
    float | None,
    typer.Option(help="With --spot: so many with the waiting (default: twice --max-hours).", rich_help_panel=MACHINES),
]
VolumeKey = Annotated[
    str | None, typer.Option(help="KMS key of the volumes, of types without own disks.", rich_help_panel=SECURITY)
]
OutputKey = Annotated[str | None, typer.Option(help="KMS key of the results in S3.", rich_help_panel=SECURITY)]
EncryptTraffic = Annotated[
    bool | None,
    typer.Option(
        "--encrypt-traffic/--plain-traffic",
        help="Between the instances (default: encrypted if there are several).",
        rich_help_panel=SECURITY,
    ),
]
Subnets = Annotated[
    list[str] | None, typer.Option("--subnet", help="Subnet of a VPC; may be given again.", rich_help_panel=SECURITY)
]
SecurityGroups = Annotated[
    list[str] | None, typer.Option("--security-group", help="Security group in that VPC.", rich_help_panel=SECURITY)
]
Isolated = Annotated[
    bool, typer.Option("--isolated", help="The container has no network at all.", rich_help_panel=SECURITY)
]
TrackingServer = Annotated[
    str | None, typer.Option(help="ARN of an MLflow server on SageMaker that the run is told to.", rich_help_panel=TALK)
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="KEY=VALUE", help="A tag; may be given again.", rich_help_panel=TALK),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Start without asking.", rich_help_panel=TALK)]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Check everything, print the request and start nothing.", rich_help_panel=TALK),
]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Tell its progress until it is done.", rich_help_panel=TALK)
]
Every = Annotated[float, typer.Option("--every", min=0, help="Seconds between two looks at it.", rich_help_panel=TALK)]
Resume = Annotated[
    str | None,
    typer.Option(metavar="RUN", help="Go on with a run of before, from its checkpoints.", rich_help_panel=TALK),
]
Trials = Annotated[int, typer.Option(min=1, help="Trainings in all.", rich_help_panel=MACHINES)]
Parallel = Annotated[
    int, typer.Option(min=1, help="Trainings at a time: fewer learn more from each other.", rich_help_panel=MACHINES)
]
Parent = Annotated[
    str | None, typer.Option(metavar="JOB", help="An earlier tuning job to begin with.", rich_help_panel=DATA)
]


def pairs(given: Iterable[str] | None, option: str) -> dict[str, str]:
    """Read NAME=VALUE options. Raises Refused."""
    found = {}
    for each in given or ():
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise Refused(f"{option} {each!r}: give it as NAME=VALUE")
        found[name] = value
    return found
