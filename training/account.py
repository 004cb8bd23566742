"""An AWS account as whoever is signed in sees it, and its refusals as one sentence each."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from training.jobs import Refused

Sessions = Callable[[str | None, str | None], Any]
"""Makes a boto3 session of a profile's and a region's name, either of which may be left to the environment."""

SIGN_IN = "try `aws sts get-caller-identity`, or sign in by `aws sso login`"
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})


class Unchecked(Exception):
    """Something could not be looked at, for want of a permission: its name. The job may still be right."""


@dataclass(frozen=True)
class Account:
    """Whom the credentials belong to, and the region that is worked in."""

    session: Any
    number: str
    region: str


def sessions(profile: str | None, region: str | None) -> Any:
    """Make a boto3 session, as the commands do outside of tests."""
    try:
        import boto3  # type: ignore[import-untyped]  # it has no types
        from botocore.exceptions import ProfileNotFound  # type: ignore[import-untyped]  # it has no types
    except ImportError as error:
        raise Refused(not_installed(str(error.name))) from None
    try:
        return boto3.Session(profile_name=profile, region_name=region)
    except ProfileNotFound:
        raise Refused(
            f"no profile {profile!r} in AWS's configuration here; `aws configure list-profiles` lists them"
        ) from None


def not_installed(package: str) -> str:
    """Say which Python has a package that the commands for AWS need."""
    return (
        f"{package} is not installed here: run it with the Python of .venv-sagemaker, "
        "which `make sagemaker-environment` makes"
    )


def open_account(session: Any) -> Account:
    """Return the account that a session works in. Raises Refused without a region, or credentials that are taken."""
    region = check_region(session)
    with answers("who is signed in could not be asked"):
        number = session.client("sts", region_name=region).get_caller_identity()["Account"]
    return Account(session, number, region)


def check_region(session: Any) -> str:
    """Return the region that a session is for. Raises Refused without one that SageMaker is in; nothing is called."""
    region: str | None = session.region_name
    if not region:
        raise Refused("no region is known: give --region, or set AWS_REGION")
    known = [
        name for part in session.get_available_partitions() for name in session.get_available_regions("sagemaker", part)
    ]
    if region not in known:
        raise Refused(f"{region!r} is no region that SageMaker is in{near(region, known)}")
    return region


def stack_outputs(account: Account, stack: str) -> Mapping[str, str]:
    """Return what a stack of the template tells: its bucket, its role. Raises Refused where it is not there."""
    client = account.session.client("cloudformation")
    with answers(f"stack {stack} could not be asked", {"ValidationError": f"no stack {stack!r} in {account.region}"}):
        found = client.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in found}


@contextmanager
def answers(otherwise: str, sentences: Mapping[str, str] | None = None, needless: str | None = None) -> Iterator[None]:
    """Turn what AWS refuses within into Refused: a sentence of its own by the error's code, or `otherwise` and why.

    `needless` names what is looked at for safety alone: where that is not permitted, Unchecked is raised.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        NoCredentialsError,
        SSOTokenLoadError,
        TokenRetrievalError,
        UnauthorizedSSOTokenError,
    )

    try:
        yield
    except NoCredentialsError:
        raise Refused(f"nobody is signed in to AWS here: {SIGN_IN}") from None
    except (CredentialRetrievalError, SSOTokenLoadError, TokenRetrievalError, UnauthorizedSSOTokenError):
        raise Refused(f"the sign-in to AWS has ended: {SIGN_IN}") from None
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if needless is not None and code in _DENIED:
            raise Unchecked(needless) from None
        if code in ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"):
            raise Refused(f"AWS does not take these credentials ({code}): {SIGN_IN}") from None
        if sentences and code in sentences:
            raise Refused(sentences[code]) from None
        raise Refused(f"{otherwise}: {code}, {error.response['Error'].get('Message', '').rstrip('.')}") from None
    except BotoCoreError as error:
        raise Refused(f"{otherwise}: {error}") from None


def near(name: str, known: list[str]) -> str:
    """Name what may have been meant, as the end of a sentence; nothing where nothing is near."""
    found = difflib.get_close_matches(name, known, n=3, cutoff=0.7)
    return f": did you mean {' or '.join(found)}?" if found else ""
