"""Tokens of the emulated user pool: those that it gives, and some that it would not give, signed by its own key."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
import httpx
import jwt

from moderato.access import Scope
from tests.live.deployment import Deployment


@dataclass(frozen=True)
class Issuer:
    """The pool's signing key, and what a good token of it says."""

    pem: bytes
    key_id: str
    claims: dict[str, Any]

    @classmethod
    def of(cls, deployment: Deployment, pem: Path) -> "Issuer":
        """Learn from a token that the pool gives what its tokens look like; then its signing key is in this file."""
        token = platform_token(deployment)
        claims = jwt.decode(token, options={"verify_signature": False})
        return cls(pem.read_bytes(), jwt.get_unverified_header(token)["kid"], claims)

    def sign(self, **claims: Any) -> str:
        """Return a token like the pool's, but for these claims; None takes one away."""
        changed = {name: value for name, value in (self.claims | claims).items() if value is not None}
        return jwt.encode(changed, self.pem, "RS256", headers={"kid": self.key_id})

    def of_person(self, name: str, *groups: str) -> str:
        """Return the token of somebody who signed in to the console."""
        return self.sign(sub=name, username=name, scope=Scope.FEEDBACK.value, **{"cognito:groups": list(groups)})


def platform_token(deployment: Deployment) -> str:
    """Return a token as a platform's programs get it: by client credentials, to moderate."""
    client_id = deployment.outputs["PlatformClientId"]
    described = boto3.client("cognito-idp").describe_user_pool_client(
        UserPoolId=deployment.outputs["UserPoolId"], ClientId=client_id
    )
    answer = httpx.post(
        deployment.outputs["TokenUrl"],
        data={"grant_type": "client_credentials", "scope": Scope.MODERATE.value},
        auth=(client_id, described["UserPoolClient"]["ClientSecret"]),
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])
