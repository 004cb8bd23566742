"""The template as CloudFormation will have it: what no linter looks at, held over every shape that a stack can have."""

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from feedback.sign_in import SIGNED_IN, SIGNED_OUT
from moderato.access import is_open
from moderato.dynamodb import EXPIRES, table_definition
from moderato.dynamodb_keys import keys_table_definition
from moderato.openapi import document
from tests.translated import (
    CONSOLE,
    FUNCTIONS,
    KEY,
    OWN_ISSUER,
    SHAPES,
    WORKTEAM,
    Resource,
    Resources,
    arn,
    deployed,
    objections,
    of_type,
    properties,
    source,
    statements,
)

ROOT = Path(__file__).parents[1]
ROUTES = {
    "GET /healthz": "Predict",
    "POST /moderate": "Predict",
    "GET /model": "Predict",
    "GET /readyz": "Predict",
    "GET /openapi.json": "Predict",
    "ANY /{proxy+}": "Predict",
    "ANY /": "Predict",
    "ANY /feedback": "Feedback",
    "ANY /feedback/{proxy+}": "Feedback",
    "ANY /decisions": "Feedback",
    "ANY /decisions/{proxy+}": "Feedback",
    "ANY /reviews": "Feedback",
    "ANY /reviews/{proxy+}": "Feedback",
    "GET /loop": "Feedback",
    "GET /labels.manifest": "Feedback",
    "ANY /console": "Feedback",
    "ANY /console/{proxy+}": "Feedback",
}
SECONDS = {"Predict": 20, "Feedback": 20, "Authorizer": 9, "Labeling": 900, "Rollout": 300}
MEGABYTES = {"Predict": "1769", "Feedback": 1024, "Authorizer": 1024, "Labeling": 512, "Rollout": 512}
TARGETS = {"Predict": "predict", "Feedback": "light", "Authorizer": "light", "Labeling": "light", "Rollout": "light"}
SET_BY_THE_IMAGE = {"MODEL_DIR"}
SET_BY_LAMBDA = {"AWS_REGION"}

# `$context` has more: the path, the query, the address, what an error says, and whatever the authorizer found.
LOGGED = {
    "requestId",
    "requestTime",
    "routeKey",
    "status",
    "responseLength",
    "responseLatency",
    "integrationLatency",
    "integrationStatus",
    "integration.requestId",
    "error.responseType",
}


@pytest.fixture(params=SHAPES)
def stack(request: pytest.FixtureRequest) -> Resources:
    """Return the resources of a stack, of each shape in turn."""
    return deployed(**SHAPES[request.param])


def routes(stack: Resources) -> dict[str, Resource]:
    """Return the properties of each route by its key."""
    return {
        one["Properties"]["RouteKey"]: one["Properties"] for one in of_type(stack, "AWS::ApiGatewayV2::Route").values()
    }


# The API


def test_every_route_but_healthz_asks_the_authorizer(stack: Resources) -> None:
    unguarded = {key for key, route in routes(stack).items() if route["AuthorizationType"] != "CUSTOM"}
    assert unguarded == {"GET /healthz"}
    guarded = {key: route["AuthorizerId"] for key, route in routes(stack).items() if key not in unguarded}
    assert set(map(json.dumps, guarded.values())) == {'{"Ref": "Authorizer"}'}


def test_what_no_authorizer_guards_the_functions_keep_open_too() -> None:
    assert is_open("GET", "/healthz")


def test_each_route_leads_to_its_function(stack: Resources) -> None:
    targets = {key: route["Target"]["Fn::Sub"] for key, route in routes(stack).items()}
    assert targets == {key: f"integrations/${{{name}Integration}}" for key, name in ROUTES.items()}


def test_every_operation_of_the_api_reaches_the_function_that_has_it() -> None:
    operations = [(method.upper(), path) for path, there in document()["paths"].items() for method in there]
    assert len(operations) > 10
    of_room = {room: routes_of(room) for room in ("predict", "feedback")}
    for method, path in operations:
        room = integration_of(method, path.replace("{id}", "x")).lower()
        assert (method, path.replace("{id}", "<>")) in of_room[room]


def test_every_page_of_the_console_reaches_the_feedback_function() -> None:
    pages = {path for _, path in routes_of("feedback") if path.startswith("/console")}
    assert len(pages) > 5
    assert {integration_of("GET", path) for path in pages} == {"Feedback"}


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1alpha1/comments:analyze", "/$discovery/rest", "/nowhere", "/"])
def test_all_other_paths_reach_the_predict_function(path: str) -> None:
    assert integration_of("POST", path) == "Predict"


def test_the_authorizer_is_asked_at_every_request(stack: Resources) -> None:
    assert properties(stack, "Authorizer") == {
        "ApiId": {"Ref": "Api"},
        "Name": "platform",
        "AuthorizerType": "REQUEST",
        "AuthorizerUri": {
            "Fn::Sub": [
                "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function}/invocations",
                {"Function": arn("AuthorizerFunction")},
            ]
        },
        "AuthorizerPayloadFormatVersion": "2.0",
        "AuthorizerResultTtlInSeconds": 0,
        "EnableSimpleResponses": True,
    }


def test_the_api_is_throttled_and_logs_neither_texts_nor_keys_nor_people(stack: Resources) -> None:
    stage = properties(stack, "ApiStage")
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": "100", "ThrottlingBurstLimit": "200"}
    assert stage["AccessLogSettings"]["DestinationArn"] == arn("AccessLogGroup")
    logged = json.loads(stage["AccessLogSettings"]["Format"])
    assert {value.removeprefix("$context.") for value in logged.values()} == LOGGED


def test_the_api_calls_its_functions_and_no_other_api_may(stack: Resources) -> None:
    called = {
        "Predict": {"Ref": "PredictFunctionAliaslive"},
        "Feedback": arn("FeedbackFunction"),
        "Authorizer": arn("AuthorizerFunction"),
    }
    sources = {"Predict": "${Api}/*", "Feedback": "${Api}/*", "Authorizer": "${Api}/authorizers/${Authorizer}"}
    for name, tail in sources.items():
        permission = properties(stack, f"{name}Permission")
        assert permission["FunctionName"] == called[name]
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert permission["SourceArn"]["Fn::Sub"].endswith(f":execute-api:${{AWS::Region}}:${{AWS::AccountId}}:{tail}")
    for name in ("Predict", "Feedback"):
        assert properties(stack, f"{name}Integration")["IntegrationUri"] == called[name]


# Functions


def test_functions_are_those_that_are_known(stack: Resources) -> None:
    assert set(of_type(stack, "AWS::Lambda::Function")) == {f"{name}Function" for name in FUNCTIONS}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_is_its_handler_in_its_image(stack: Resources, name: str) -> None:
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


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_has_its_memory_and_its_time(stack: Resources, name: str) -> None:
    function = properties(stack, f"{name}Function")
    assert function["MemorySize"] == MEGABYTES[name]
    assert function["Timeout"] == SECONDS[name]


def test_a_function_that_answers_ends_before_the_api_does(stack: Resources) -> None:
    integrations = of_type(stack, "AWS::ApiGatewayV2::Integration").values()
    assert {one["Properties"]["TimeoutInMillis"] for one in integrations} == {29_000}
    assert SECONDS["Predict"] < 29 > SECONDS["Feedback"]
    assert SECONDS["Authorizer"] < 10  # so long API Gateway waits for an authorizer


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_is_told_what_its_main_reads(stack: Resources, name: str) -> None:
    read = environment_of((ROOT / "functions" / name.lower() / "main.py").read_text())
    told = properties(stack, f"{name}Function")["Environment"]["Variables"]
    assert set(told) == {"ORT_DISABLE_TELEMETRY"} | (read - SET_BY_THE_IMAGE - SET_BY_LAMBDA)
    assert told["ORT_DISABLE_TELEMETRY"] == "1"
    assert not any(value is None for value in told.values())


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_logs_to_a_group_of_its_own(stack: Resources, name: str) -> None:
    assert properties(stack, f"{name}Function")["LoggingConfig"] == {"LogGroup": {"Ref": f"{name}LogGroup"}}


def test_every_log_group_forgets(stack: Resources) -> None:
    groups = of_type(stack, "AWS::Logs::LogGroup")
    assert set(groups) == {f"{name}LogGroup" for name in FUNCTIONS | {"Access"}}
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


@pytest.mark.parametrize("name", ["Labeling", "Rollout"])
def test_an_event_that_a_function_fails_at_goes_to_its_dead_letters(stack: Resources, name: str) -> None:
    found = properties(stack, f"{name}FunctionEventInvokeConfig")
    assert found["DestinationConfig"] == {"OnFailure": {"Destination": arn(f"{name}DeadLetters")}}
    assert found["FunctionName"] == {"Ref": f"{name}Function"}


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


def test_every_rule_may_call_its_function_and_has_dead_letters(stack: Resources) -> None:
    rules = of_type(stack, "AWS::Events::Rule")
    assert rules
    for name, rule in rules.items():
        [target] = rule["Properties"]["Targets"]
        assert target["Arn"] == arn("LabelingFunction")
        assert target["DeadLetterConfig"] == {"Arn": arn("ScheduleDeadLetters")}
        permission = properties(stack, f"{name}Permission")
        assert permission["FunctionName"] == {"Ref": "LabelingFunction"}
        assert (permission["Principal"], permission["SourceArn"]) == ("events.amazonaws.com", arn(name))
        [allowed] = [one for one in statements(stack, "ScheduleDeadLettersPolicy") if one["Effect"] == "Allow"]
        assert arn(name) in allowed["Condition"]["ArnEquals"]["aws:SourceArn"]


def test_every_queue_is_one_of_dead_letters_that_keeps_them_two_weeks_and_takes_them_by_tls(stack: Resources) -> None:
    queues = of_type(stack, "AWS::SQS::Queue")
    assert set(queues) == {"LabelingDeadLetters", "RolloutDeadLetters", "ScheduleDeadLetters"}
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


# Parameters


def test_every_parameter_is_described_and_constrained_and_has_a_default() -> None:
    parameters = source()["Parameters"]
    limits = {"AllowedValues", "AllowedPattern", "MinValue", "MaxLength"}
    assert [name for name, one in parameters.items() if len(one["Description"].split()) < 5] == []
    assert [name for name, one in parameters.items() if not limits & set(one)] == []
    assert [name for name, one in parameters.items() if "Default" not in one] == []
    for name, one in parameters.items():
        assert re.search(one.get("AllowedPattern", ""), str(one["Default"])), name


def test_every_parameter_is_shown_in_a_group() -> None:
    groups = source()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(source()["Parameters"])


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_that_make_sense_are_accepted(name: str) -> None:
    assert objections(**SHAPES[name]) == []


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        ({"OidcIssuer": "https://id.example", "OidcAudiences": "moderato"}, "one place"),
        ({"CreateUserPool": "false", "OidcIssuer": "https://id.example"}, "OidcAudiences is needed"),
        ({"CreateUserPool": "false", "OidcAudiences": "moderato"}, "OidcIssuer, which is empty"),
        ({"CreateUserPool": "false", "OidcJwksUrl": "https://id.example/keys"}, "OidcIssuer, which is empty"),
        ({"CreateUserPool": "false", **CONSOLE}, "client of OidcIssuer"),
        ({**OWN_ISSUER, "OidcClientId": "console"}, "OidcAuthorizeUrl"),
        ({**OWN_ISSUER, "OidcClientId": "console", "OidcAuthorizeUrl": "https://id.example/authorize"}, "OidcTokenUrl"),
        ({**OWN_ISSUER, "OidcTokenUrl": "https://id.example/token"}, "OidcClientId is empty"),
        ({"OidcClientId": "console"}, "client of its own"),
        ({"CreateUserPool": "false", "SignInPrefix": "us"}, "SignInPrefix"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(parameters: dict[str, str], part: str) -> None:
    assert any(part in objection for objection in objections(**parameters))


def test_a_work_team_is_refused_where_ground_truth_has_no_text_tasks() -> None:
    assert objections(region="eu-north-1", LabelingWorkteamArn=WORKTEAM)
    assert not objections(region="eu-north-1")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("Tenant", "coral-1", "Coral 1"),
        ("KmsKeyArn", KEY, "alias/moderato"),
        ("AlarmEmail", "ops@example.org", "ops"),
        ("LabelingWorkteamArn", WORKTEAM, "private-crowd/one"),
        ("OidcIssuer", "https://id.example/realms/one", "http://id.example"),
        ("OidcAudiences", "one,two", "one, two"),
        ("OidcTokenUrl", "https://id.example/token", "id.example/token"),
        ("SignInPrefix", "moderato-1", "-moderato"),
        ("SharedKeysTable", "prod-KeysTable-1", "arn:aws:dynamodb:eu-west-1:1:table/keys"),
    ],
)
def test_a_parameter_refuses_what_it_cannot_be(name: str, good: str, bad: str) -> None:
    pattern = source()["Parameters"][name]["AllowedPattern"]
    assert re.fullmatch(pattern, good)
    assert not re.fullmatch(pattern, bad)


def test_there_is_a_configuration_for_each_stage() -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert set(config) - {"version"} == {"default", "dev", "prod"}
    for name, stage in (("default", "dev"), ("dev", "dev"), ("prod", "prod")):
        given = config[name]["deploy"]["parameters"]
        overrides = dict(one.split("=", 1) for one in given["parameter_overrides"])
        assert overrides["Stage"] == stage
        assert set(overrides) <= set(source()["Parameters"])
        assert objections(**overrides) == []
        assert f"stage={stage}" in given["tags"]
        assert given["capabilities"] == "CAPABILITY_IAM"


def test_what_a_client_needs_is_an_output() -> None:
    described = {name: one["Description"] for name, one in source()["Outputs"].items()}
    assert set(described) == {
        "ApiUrl", "ConsoleUrl", "DashboardUrl", "Tenant", "TableName", "KeysTableName", "BucketName", "AlarmTopicArn",
        "LabelingDeadLettersUrl", "PredictFunctionName", "FeedbackFunctionName", "LabelingFunctionName",
        "AuthorizerFunctionName", "UserPoolId", "TokenUrl", "PlatformClientId", "ConsoleClientId",
    }  # fmt: skip
    assert all(described.values())


def test_every_check_that_is_left_out_has_its_reason() -> None:
    skipped = re.findall(r"^  - (CKV_\w+)(.*)$", (ROOT / ".checkov.yaml").read_text(), re.MULTILINE)
    assert len(skipped) == 6
    assert [check for check, reason in skipped if len(reason.split()) < 8] == []
    resources = source()["Resources"].values()
    here = [skip for one in resources for skip in one.get("Metadata", {}).get("checkov", {}).get("skip", [])]
    assert [skip["id"] for skip in here] == ["CKV_AWS_119", "CKV_AWS_119", "CKV_AWS_18"]
    assert [skip for skip in here if len(skip["comment"].split()) < 8] == []


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


def integration_of(method: str, path: str) -> str:
    """Return the function that API Gateway chooses: the exact path first, then the longest that ends in {proxy+}."""
    found = [key for key in ROUTES if matches(key, method, path)]
    return ROUTES[max(found, key=lambda key: ("{" not in key, len(key), not key.startswith("ANY")))]


def matches(key: str, method: str, path: str) -> bool:
    """Return whether a route takes a request."""
    route_method, route_path = key.split(" ")
    pattern = re.escape(route_path).replace(re.escape("{proxy+}"), ".+")
    return route_method in ("ANY", method) and re.fullmatch(pattern, path) is not None


def routes_of(room: str) -> set[tuple[str, str]]:
    """Return the methods and paths of the routes that a function's modules declare; what varies in a path is <>."""
    found = set()
    for path in (ROOT / "functions" / room).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                found |= {route for one in node.decorator_list if (route := route_of(one)) is not None}
    return found


def route_of(decorator: ast.expr) -> tuple[str, str] | None:
    """Return the method and path of `@resolver.get("/...")` or `@site.open("GET", "/...")`."""
    if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
        return None
    texts = [one.value for one in decorator.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    method = texts[0] if len(texts) > 1 else decorator.func.attr
    if not texts or not texts[-1].startswith("/"):
        return None
    return method.upper(), re.sub(r"<\w+>", "<>", texts[-1])


def environment_of(main: str) -> set[str]:
    """Return the names that a module reads from the environment."""
    reads = [node for node in ast.walk(ast.parse(main)) if isinstance(node, ast.Subscript)]
    return {
        str(node.slice.value)
        for node in reads
        if ast.unparse(node.value) == "os.environ" and isinstance(node.slice, ast.Constant)
    }
