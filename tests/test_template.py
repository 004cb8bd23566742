"""The template's functions, events, stores and sign-in, as CloudFormation will have them in every shape of a stack."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from feedback.sign_in import SIGNED_IN, SIGNED_OUT
from moderato.dynamodb import EXPIRES, table_definition
from moderato.dynamodb_keys import keys_table_definition
from rollout.app import QUESTION_SECONDS
from tests.translated import (
    CONSOLE,
    FUNCTIONS,
    KEY,
    OWN_ISSUER,
    RETRAINING,
    RETRAINING_FUNCTIONS,
    WORKTEAM,
    Resources,
    arn,
    deployed,
    functions_of,
    of_type,
    properties,
    statements,
)

ROOT = Path(__file__).parents[1]
TARGETS = {name: "predict" if name == "Predict" else "light" for name in FUNCTIONS | RETRAINING_FUNCTIONS}
SET_BY_THE_IMAGE = {"MODEL_DIR"}
SET_BY_LAMBDA = {"AWS_REGION"}

# Functions


def test_functions_are_those_that_are_known() -> None:
    assert set(functions_of(deployed())) == FUNCTIONS
    assert set(functions_of(deployed(**RETRAINING))) == FUNCTIONS | RETRAINING_FUNCTIONS


@pytest.mark.parametrize("name", sorted(FUNCTIONS | RETRAINING_FUNCTIONS))
def test_a_function_is_its_handler_in_its_image(name: str) -> None:
    stack = deployed(**RETRAINING)
    function, metadata = properties(stack, f"{name}Function"), stack[f"{name}Function"]["Metadata"]
    room = name.lower()
    assert function["PackageType"] == "Image"
    assert function["ImageConfig"] == {"Command": [f"{room}.main.handler"]}
    assert (ROOT / "functions" / room / "main.py").is_file()
    assert (metadata["Dockerfile"], metadata["DockerContext"]) == ("functions/Dockerfile", ".")
    assert metadata["DockerBuildTarget"] == TARGETS[name]
    assert re.search(rf"^FROM \S+ AS {TARGETS[name]}$", (ROOT / "functions/Dockerfile").read_text(), re.MULTILINE)
    # What is not said in the image's processor kind, Lambda would run elsewhere.
    assert function["Architectures"] == ["x86_64"]


def test_predict_has_the_memory_that_is_asked_for() -> None:
    assert properties(deployed(PredictMemory="3008"), "PredictFunction")["MemorySize"] == "3008"


def test_a_function_that_answers_ends_before_whoever_waits_for_it(stack: Resources) -> None:
    for name in ("Predict", "Feedback"):
        waits_milliseconds = properties(stack, f"{name}Integration")["TimeoutInMillis"]
        assert properties(stack, f"{name}Function")["Timeout"] * 1000 < waits_milliseconds < 30_000
    assert properties(stack, "AuthorizerFunction")["Timeout"] < 10  # so long API Gateway waits for an authorizer


def test_the_hook_has_time_for_slow_answers(stack: Resources) -> None:
    # With less than that left it asks no further question, and refuses.
    assert properties(stack, "RolloutFunction")["Timeout"] > 2 * QUESTION_SECONDS


@pytest.mark.parametrize("name", sorted(FUNCTIONS | RETRAINING_FUNCTIONS))
def test_a_function_is_told_what_its_main_reads(name: str) -> None:
    read = environment_of((ROOT / "functions" / name.lower() / "main.py").read_text())
    for shape in (RETRAINING, {**RETRAINING, "KmsKeyArn": KEY, "LabelingWorkteamArn": WORKTEAM}):
        told = variables(deployed(**shape), name)
        assert set(told) == {"ORT_DISABLE_TELEMETRY"} | (read - SET_BY_THE_IMAGE - SET_BY_LAMBDA)
        assert told["ORT_DISABLE_TELEMETRY"] == "1"
        assert not any(value is None for value in told.values())


def test_a_function_logs_to_a_group_of_its_own(stack: Resources) -> None:
    for name in functions_of(stack):
        assert properties(stack, f"{name}Function")["LoggingConfig"] == {"LogGroup": {"Ref": f"{name}LogGroup"}}


def test_every_log_group_forgets(stack: Resources) -> None:
    groups = of_type(stack, "AWS::Logs::LogGroup")
    assert set(groups) == {f"{name}LogGroup" for name in [*functions_of(stack), "Access"]}
    assert {one["Properties"]["RetentionInDays"] for one in groups.values()} == {"30"}


def test_requests_are_moderated_by_the_live_version_which_every_changed_setting_renews(stack: Resources) -> None:
    [alias] = of_type(stack, "AWS::Lambda::Alias").values()
    assert alias["Properties"]["Name"] == "live"
    # CloudFormation replaces a version whose description changes; nothing else of a function tells it that a value did.
    [version] = of_type(stack, "AWS::Lambda::Version").values()
    predict = properties(stack, "PredictFunction")
    settings = [*predict["Environment"]["Variables"].values(), predict["MemorySize"]]
    told = version["Properties"]["Description"]["Fn::Sub"]
    references = {one["Ref"] for one in settings if isinstance(one, dict)} - {"AWS::StackName"}
    assert {name for name in references if f"${{{name}}}" not in told} == set()
    assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_a_new_version_of_predict_gets_traffic_step_by_step_after_its_hook() -> None:
    stack = deployed()
    update = stack["PredictFunctionAliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    assert update["BeforeAllowTrafficHook"] == {"Ref": "RolloutFunction"}
    group = properties(stack, "PredictFunctionDeploymentGroup")
    assert group["DeploymentConfigName"]["Fn::Sub"][1] == {"ConfigName": "Canary10Percent5Minutes"}
    assert group["ServiceRoleArn"] == arn("DeploymentRole")
    watched = [one["Name"]["Ref"] for one in group["AlarmConfiguration"]["Alarms"]]
    assert watched == ["NewVersionErrorsAlarm", "NewVersionSlowAlarm", "PredictFailuresAlarm"]
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]


def test_a_fix_can_be_rolled_out_while_the_old_version_fails() -> None:
    group = properties(deployed(Rollout="AllAtOnce"), "PredictFunctionDeploymentGroup")
    watched = [one["Name"]["Ref"] for one in group["AlarmConfiguration"]["Alarms"]]
    assert watched == ["NewVersionErrorsAlarm", "NewVersionSlowAlarm"]


def test_the_hook_is_told_the_new_version_and_has_a_name_that_codedeploy_may_call(stack: Resources) -> None:
    hook = properties(stack, "RolloutFunction")
    [version] = [name for name in of_type(stack, "AWS::Lambda::Version") if name.startswith("PredictFunctionVersion")]
    assert hook["Environment"]["Variables"]["NEW_VERSION"] == {"Ref": version}
    assert hook["FunctionName"]["Fn::Sub"].startswith("CodeDeployHook_")


# Events and dead letters


def test_an_event_that_a_function_fails_at_goes_to_its_dead_letters(stack: Resources) -> None:
    called = {name for name in functions_of(stack) if name not in ANSWERING}
    found = of_type(stack, "AWS::Lambda::EventInvokeConfig")
    assert set(found) == {f"{name}FunctionEventInvokeConfig" for name in called}
    for name in called:
        given = found[f"{name}FunctionEventInvokeConfig"]["Properties"]
        assert given["DestinationConfig"] == {"OnFailure": {"Destination": arn(f"{name}DeadLetters")}}
        assert given["FunctionName"] == {"Ref": f"{name}Function"}


ANSWERING = {"Predict", "Feedback", "Authorizer"}
"""Functions whose caller waits for the answer, and can ask again."""


def test_labeling_looks_at_the_reviews_every_hour(stack: Resources) -> None:
    rule = properties(stack, "LabelingSchedule")
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 hour)", "ENABLED")


def test_the_end_of_a_labeling_job_is_told_where_there_can_be_one() -> None:
    assert "LabelingJobChange" not in deployed()
    rule = properties(deployed(LabelingWorkteamArn=WORKTEAM), "LabelingJobChange")
    pattern = rule["EventPattern"]
    assert pattern["source"] == ["aws.sagemaker"]
    assert pattern["detail-type"] == ["SageMaker Ground Truth Labeling Job State Change"]
    assert pattern["detail"] == {"LabelingJobStatus": ["Completed", "Failed", "Stopped"]}


def test_texts_are_compared_once_a_day_and_at_a_time_at_which_repetitions_stay_within_the_hour() -> None:
    assert properties(deployed(), "DriftSchedule")["ScheduleExpression"] == "cron(17 4 * * ? *)"
    assert properties(deployed(), "DriftErrorsAlarm")["Period"] == 3600


def test_every_rule_may_call_its_function_and_has_dead_letters(stack: Resources) -> None:
    rules = of_type(stack, "AWS::Events::Rule")
    assert {name: FUNCTION_OF_RULE[name] for name in rules} == {
        name: rule["Properties"]["Targets"][0]["Arn"]["Fn::GetAtt"][0] for name, rule in rules.items()
    }
    [allowed] = [one for one in statements(stack, "ScheduleDeadLettersPolicy") if one["Effect"] == "Allow"]
    assert allowed["Condition"]["ArnEquals"]["aws:SourceArn"] == [
        arn(name) for name in FUNCTION_OF_RULE if name in rules
    ]
    for name, rule in rules.items():
        [target] = rule["Properties"]["Targets"]
        assert rule["Properties"]["State"] == "ENABLED"
        assert target["DeadLetterConfig"] == {"Arn": arn("ScheduleDeadLetters")}
        assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 10}
        if "RoleArn" not in target:  # what is no function is called by a role instead
            permission = properties(stack, f"{name}Permission")
            assert permission["FunctionName"] == {"Ref": FUNCTION_OF_RULE[name]}
            assert (permission["Principal"], permission["SourceArn"]) == ("events.amazonaws.com", arn(name))


FUNCTION_OF_RULE = {
    "LabelingSchedule": "LabelingFunction",
    "LabelingJobChange": "LabelingFunction",
    "DriftSchedule": "DriftFunction",
    "RetrainingSchedule": "RetrainingFunction",
    "RetrainingWeekly": "RetrainingFunction",
    "DriftRings": "RetrainingFunction",
    "PipelineChange": "RetrainingFunction",
    "PackageChange": "RetrainingFunction",
    "ModelApproval": "ApprovalDestination",
}


def test_every_queue_is_one_of_dead_letters_that_keeps_them_two_weeks_and_takes_them_by_tls(stack: Resources) -> None:
    queues = of_type(stack, "AWS::SQS::Queue")
    called = {name for name in functions_of(stack) if name not in ANSWERING}
    assert set(queues) == {f"{name}DeadLetters" for name in called | {"Schedule"}}
    for name, queue in queues.items():
        assert queue["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600
        denied = [one for one in statements(stack, f"{name}Policy") if one["Effect"] == "Deny"]
        assert [(one["Action"], one["Condition"]) for one in denied] == [("sqs:SendMessage", NO_TLS)]


NO_TLS = {"Bool": {"aws:SecureTransport": "false"}}


# What is kept


def test_the_table_is_the_one_that_the_store_defines(stack: Resources) -> None:
    assert definition_of(stack, "Table") == table_definition("Table")


def test_the_table_of_keys_is_the_one_that_its_store_defines() -> None:
    assert definition_of(deployed(), "KeysTable") == keys_table_definition("KeysTable")
    assert "KeysTable" not in deployed(SharedKeysTable="keys")


@pytest.mark.parametrize("name", ["Table", "KeysTable"])
def test_a_table_forgets_and_can_be_restored(name: str) -> None:
    table = properties(deployed(), name)
    assert table["TimeToLiveSpecification"] == {"AttributeName": EXPIRES, "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


@pytest.mark.parametrize("name", ["Table", "KeysTable", "Bucket", "UserPool"])
def test_what_cannot_be_made_again_survives_its_stack(name: str) -> None:
    resource = deployed(Stage="prod")[name]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_prod_protects_what_cannot_be_made_again() -> None:
    for stage, is_protected in (("prod", True), ("dev", False)):
        stack = deployed(Stage=stage)
        assert {properties(stack, name)["DeletionProtectionEnabled"] for name in ("Table", "KeysTable")} == {
            is_protected
        }
        assert properties(stack, "UserPool")["DeletionProtection"] == ("ACTIVE" if is_protected else "INACTIVE")


def test_the_bucket_is_versioned_private_and_by_tls_only(stack: Resources) -> None:
    bucket = properties(stack, "Bucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    [denied] = statements(stack, "BucketPolicy")
    assert (denied["Effect"], denied["Principal"], denied["Condition"]) == ("Deny", "*", NO_TLS)
    assert denied["Resource"] == [arn("Bucket"), {"Fn::Sub": "${Bucket.Arn}/*"}]


def test_texts_in_the_bucket_are_gone_after_a_month() -> None:
    rules = {one["Id"]: one for one in properties(deployed(), "Bucket")["LifecycleConfiguration"]["Rules"]}
    assert {one["Status"] for one in rules.values()} == {"Enabled"}
    assert (rules["labeling"]["Prefix"], rules["labeling"]["ExpirationInDays"]) == ("labeling/", 30)
    assert rules["labeling"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    # The retraining function deletes the texts of a batch itself; what was in it stays.
    assert rules["batches"] == {
        "Id": "batches",
        "Status": "Enabled",
        "Prefix": "retraining/batches/",
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
    }
    assert rules["old-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}


def test_all_that_is_kept_is_encrypted() -> None:
    stack = deployed()
    queues = of_type(stack, "AWS::SQS::Queue").values()
    assert {one["Properties"]["SqsManagedSseEnabled"] for one in queues} == {True}
    assert encryption_of_bucket(stack) == {"SSEAlgorithm": "AES256"}
    assert properties(stack, "AlarmTopic")["KmsMasterKeyId"] == {"Ref": "AlarmKey"}
    assert properties(stack, "AlarmKey")["EnableKeyRotation"] is True


def test_a_key_of_ones_own_encrypts_all_that_is_kept() -> None:
    stack = deployed(KmsKeyArn=KEY)
    assert {one["Properties"]["KmsKeyId"] for one in of_type(stack, "AWS::Logs::LogGroup").values()} == {KEY}
    assert {one["Properties"]["KmsMasterKeyId"] for one in of_type(stack, "AWS::SQS::Queue").values()} == {KEY}
    assert not any("SqsManagedSseEnabled" in one["Properties"] for one in of_type(stack, "AWS::SQS::Queue").values())
    for table in of_type(stack, "AWS::DynamoDB::Table").values():
        assert table["Properties"]["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY}
    assert encryption_of_bucket(stack) == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    assert properties(stack, "AlarmTopic")["KmsMasterKeyId"] == KEY
    assert "AlarmKey" not in stack


# Who signs in


def test_the_pool_gives_platforms_and_moderators_a_client_each() -> None:
    stack = deployed()
    scopes = [f"moderation/{one['ScopeName']}" for one in properties(stack, "ResourceServer")["Scopes"]]
    assert scopes == ["moderation/moderate", "moderation/feedback"]
    platform, console = properties(stack, "UserPoolClient"), properties(stack, "ConsoleClient")
    assert (platform["GenerateSecret"], platform["AllowedOAuthFlows"]) == (True, ["client_credentials"])
    assert platform["AllowedOAuthScopes"] == ["moderation/moderate"]
    assert (console["GenerateSecret"], console["AllowedOAuthFlows"]) == (False, ["code"])
    assert console["AllowedOAuthScopes"] == ["moderation/feedback"]
    assert properties(stack, "AdjudicatorsGroup")["GroupName"] == "adjudicators"
    assert properties(stack, "UserPool")["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}


def test_people_come_back_from_signing_in_and_out_to_pages_of_the_console() -> None:
    console = properties(deployed(), "ConsoleClient")
    address = "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}"
    assert console["CallbackURLs"] == [{"Fn::Sub": f"{address}{SIGNED_IN}"}]
    assert console["LogoutURLs"] == [{"Fn::Sub": f"{address}{SIGNED_OUT}"}]


def test_tokens_of_the_pool_are_believed_for_its_two_clients_only() -> None:
    told = variables(deployed(), "Authorizer")
    pool = "https://cognito-idp.${AWS::Region}.${AWS::URLSuffix}/${UserPool}"
    assert told["ISSUER"] == {"Fn::Sub": pool}
    assert told["JWKS_URL"] == {"Fn::Sub": f"{pool}/.well-known/jwks.json"}
    assert told["AUDIENCES"] == {"Fn::Sub": "${UserPoolClient},${ConsoleClient}"}


def test_ones_own_issuer_takes_the_place_of_the_pool() -> None:
    stack = deployed(**OWN_ISSUER, **CONSOLE)
    assert not any(one["Type"].startswith("AWS::Cognito") for one in stack.values())
    told = variables(stack, "Authorizer")
    assert (told["ISSUER"], told["AUDIENCES"], told["JWKS_URL"]) == ("https://id.example", "moderato", "")
    asked = {"SIGN_IN_URL": "https://id.example/authorize", "TOKEN_URL": "https://id.example/token", "SIGN_OUT_URL": ""}
    assert variables(stack, "Feedback").items() >= {**asked, "CLIENT_ID": "console"}.items()


def test_keys_may_be_those_of_another_stack() -> None:
    assert variables(deployed(SharedKeysTable="keys"), "Authorizer")["KEYS_TABLE"] == "keys"
    assert variables(deployed(), "Authorizer")["KEYS_TABLE"] == {"Ref": "KeysTable"}


def variables(stack: Resources, name: str) -> dict[str, Any]:
    """Return the environment of a function."""
    found: dict[str, Any] = properties(stack, f"{name}Function")["Environment"]["Variables"]
    return found


def encryption_of_bucket(stack: Resources) -> dict[str, Any]:
    """Return how the bucket encrypts what is put into it."""
    [rule] = properties(stack, "Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    found: dict[str, Any] = rule["ServerSideEncryptionByDefault"]
    return found


def definition_of(stack: Resources, name: str) -> dict[str, Any]:
    """Return a table's definition as the request that would create it."""
    kinds = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    table = properties(stack, name)
    return {"TableName": name, **{kind: table[kind] for kind in kinds if kind in table}}


def environment_of(main: str) -> set[str]:
    """Return the names that a module reads from the environment."""
    reads = [node for node in ast.walk(ast.parse(main)) if isinstance(node, ast.Subscript)]
    return {
        str(node.slice.value)
        for node in reads
        if ast.unparse(node.value) == "os.environ" and isinstance(node.slice, ast.Constant)
    }
