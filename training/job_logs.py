"""A job's log lines out of CloudWatch, followed while it runs."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from training.account import Account, answers
from training.job_status import DONE, describe

GROUP = "/aws/sagemaker/TrainingJobs"


def show(account: Account, job: str, every_seconds: float, is_followed: bool, say: Callable[[str], None]) -> None:
    """Tell the lines of all machines of a job, each behind its machine's name; followed, until the job is done."""
    reader = _Reader(account, job)
    while True:
        # Asked first: what is written between the last lines and the end of the job is read once more after it.
        is_done = describe(account, job)["TrainingJobStatus"] in DONE
        for line in reader.lines():
            say(line)
        if is_done or not is_followed:
            return
        time.sleep(every_seconds)


class _Reader:
    """Where the reading of each machine's stream stands."""

    def __init__(self, account: Account, job: str) -> None:
        self.client = account.session.client("logs")
        self.job = job
        self.tokens: dict[str, str] = {}

    def lines(self) -> Iterator[str]:
        """Yield the lines that are new."""
        with answers("the log could not be read"):
            for stream in self._streams():
                # JOB/algo-1-1700000000: the machine is algo-1.
                machine = stream.removeprefix(f"{self.job}/").rpartition("-")[0]
                yield from (f"{machine}: {message}" for message in self._messages(stream))

    def _streams(self) -> list[str]:
        from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it has no types

        pages = self.client.get_paginator("describe_log_streams")
        try:
            found = pages.paginate(logGroupName=GROUP, logStreamNamePrefix=f"{self.job}/").build_full_result()
        except ClientError as error:
            # The account's first job makes the group with its first line.
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return []
            raise
        return [stream["logStreamName"] for stream in found["logStreams"]]

    def _messages(self, stream: str) -> Iterator[str]:
        while True:
            token = {"nextToken": self.tokens[stream]} if stream in self.tokens else {}
            answer: dict[str, Any] = self.client.get_log_events(
                logGroupName=GROUP, logStreamName=stream, startFromHead=True, **token
            )
            yield from (event["message"] for event in answer["events"])
            # At the end, CloudWatch gives the same token again.
            if answer["nextForwardToken"] == self.tokens.get(stream):
                return
            self.tokens[stream] = answer["nextForwardToken"]
