"""What template.yaml comes to once SAM has expanded it: who may do what."""

import json
import os
import re
import subprocess
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoPolicies:
    """Stands in for the table of AWS's managed policies, which needs the network."""

    def load(self):
        return {}


def fail(kind, error, trace):
    sys.__excepthook__(kind, error, trace)
    print(json.dumps({"gate": "G20", "holds": False}))


sys.excepthook = fail
with open("template.yaml") as file:
    template = yaml_parse(file.read())
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = "s3://bucket/key"
resources = transform(template, {}, NoPolicies())["Resources"]


def of_type(kind):
    return {name: each for name, each in resources.items() if each["Type"] == kind}


functions = of_type("AWS::Lambda::Function")
# Those around a sign-in are there only if their parameters ask for them, and whatever belongs to one goes with it.
CONDITIONS = {
    "CreateAuthChallenge": None, "DefineAuthChallenge": None, "PreAuthentication": None, "VerifyAuthChallenge": None,
    "PreSignUp": "PeopleSignUp", "PreTokenGeneration": "JudgesTokens", "PostAuthentication": "VerifiesByCode",
}
assert sorted(functions) == sorted(f"{name}Function" for name in CONDITIONS)
for name, condition in CONDITIONS.items():
    assert functions[f"{name}Function"]["Properties"]["Timeout"] == 5, name
    assert functions[f"{name}Function"]["Properties"]["Role"] == {"Fn::GetAtt": [f"{name}FunctionRole", "Arn"]}, name
    logging = functions[f"{name}Function"]["Properties"]["LoggingConfig"]
    assert logging["LogGroup"] == {"Ref": f"{name}LogGroup"}, name
    assert resources[f"{name}LogGroup"]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}, name
    for part in ["Function", "FunctionRole", "LogGroup", "Permission"]:
        assert resources[f"{name}{part}"].get("Condition") == condition, (name, part)
for parameter in ["SelfSignUp", "AutoConfirm", "VerifyByCode", "OnlyByCode", "SignInClaims"]:
    assert template["Parameters"][parameter]["Default"] == "false", parameter
is_true = lambda parameter: {"Fn::Equals": [{"Ref": parameter}, "true"]}
assert template["Conditions"]["PeopleSignUp"] == is_true("SelfSignUp")
assert template["Conditions"]["JudgesTokens"] == {"Fn::Or": [is_true("OnlyByCode"), is_true("SignInClaims")]}
assert template["Conditions"]["VerifiesByCode"] == {
    "Fn::And": [is_true("VerifyByCode"), {"Condition": "CountsAcrossSignIns"}]
}
# An attack takes calls of these two from nobody else.
for name, function in functions.items():
    bounded = {"Fn::If": ["HasReservedConcurrency", {"Ref": "ReservedConcurrency"}, {"Ref": "AWS::NoValue"}]}
    expected = bounded if name in ["CreateAuthChallengeFunction", "VerifyAuthChallengeFunction"] else None
    assert function["Properties"].get("ReservedConcurrentExecutions") == expected, name


def of_ses(resource):
    region = {"Fn::If": ["HasSESRegion", {"Ref": "SESRegion"}, {"Ref": "AWS::Region"}]}
    return {"Fn::Sub": ["arn:${AWS::Partition}:ses:${Region}:${AWS::AccountId}:" + resource, {"Region": region}]}


# One role per function. All may write to their own log; create may also send mail, as one sender; create and verify may count; and
# post-authentication may look at counts, and verify addresses in this pool.
MAIL = {
    "Sid": "MailFromOneAddress",
    "Effect": "Allow",
    "Action": "ses:SendEmail",
    "Resource": [
        {"Fn::If": ["HasIdentityArn", {"Ref": "SESIdentityArn"}, of_ses("identity/${SESIdentity}")]},
        # An address that is verified beside its domain is the identity that SES asks for.
        {"Fn::If": ["HasIdentityArn", {"Ref": "AWS::NoValue"}, of_ses("identity/${SESFromAddress}")]},
        {"Fn::If": ["HasConfigurationSet", of_ses("configuration-set/${SESConfigurationSet}"), {"Ref": "AWS::NoValue"}]},
    ],
    "Condition": {"StringEquals": {"ses:FromAddress": {"Ref": "SESFromAddress"}}},
}
COUNT = {
    "Sid": "CountForAccounts",
    "Effect": "Allow",
    "Action": "dynamodb:UpdateItem",
    "Resource": {"Fn::GetAtt": ["LimitsTable", "Arn"]},
}
LOOK = COUNT | {"Sid": "LookForProofs"}
ALLOWED = {
    "CreateAuthChallengeFunctionRole": [MAIL, COUNT],
    "VerifyAuthChallengeFunctionRole": [COUNT],
    "PostAuthenticationFunctionRole": [LOOK],
}


def statements(policy):
    if "Fn::If" in policy:
        condition, policy, otherwise = policy["Fn::If"]
        assert (condition, otherwise) == ("CountsAcrossSignIns", {"Ref": "AWS::NoValue"}), policy
    return policy["PolicyDocument"]["Statement"]


roles = of_type("AWS::IAM::Role")
assert sorted(roles) == sorted(name + "Role" for name in functions)
for name, role in roles.items():
    assert sorted(role["Properties"]) == ["AssumeRolePolicyDocument", "Policies"], name
    assert role["Properties"]["AssumeRolePolicyDocument"]["Statement"] == [{
        "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole",
    }], name
    log = {
        "Sid": "WriteLog",
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": {"Fn::GetAtt": [name.replace("FunctionRole", "LogGroup"), "Arn"]},
    }
    allowed = [each for policy in role["Properties"]["Policies"] for each in statements(policy)]
    assert allowed == [log, *ALLOWED.get(name, [])], (name, allowed)

POOL = {"Fn::If": [
    "MakesUserPool",
    {"Fn::GetAtt": ["UserPool", "Arn"]},
    {"Fn::Sub": "arn:${AWS::Partition}:cognito-idp:${AWS::Region}:${AWS::AccountId}:userpool/${ExistingUserPoolId}"},
]}
policies = of_type("AWS::IAM::Policy")
assert list(policies) == ["PostAuthenticationPolicy"]
policy = policies["PostAuthenticationPolicy"]
assert policy["Condition"] == "VerifiesByCode"
assert policy["Properties"]["Roles"] == [{"Ref": "PostAuthenticationFunctionRole"}]
assert policy["Properties"]["PolicyDocument"]["Statement"] == [{
    "Sid": "VerifyAddresses",
    "Effect": "Allow",
    "Action": "cognito-idp:AdminUpdateUserAttributes",
    "Resource": POOL,
}]

# Whatever stands in a policy names one thing there: no place of it takes a wildcard.
for name, example in {
    "SESFromAddress": "sign-in@example.com", "SESIdentity": "sign-in@example.com", "SESConfigurationSet": "my-set",
    "SESIdentityArn": "arn:aws:ses:eu-west-1:111122223333:identity/example.com", "ExistingUserPoolId": "eu-west-1_AbCdEfGhI",
    "SESRegion": "eu-west-1",
}.items():
    takes = re.compile(template["Parameters"][name]["AllowedPattern"]).fullmatch
    assert takes(example), name
    places = range(len(example) + 1)
    assert not any(takes(example[:place] + wildcard + example[place:]) for place in places for wildcard in "*?"), name

# What is counted is kept by its key alone, forgotten in time, and by nobody restored.
table = resources["LimitsTable"]
assert table["Condition"] == "CountsAcrossSignIns"
assert table["Properties"]["BillingMode"] == "PAY_PER_REQUEST"
assert table["Properties"]["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": False}

# Templates of one's own come in a layer, if there is one.
layers = functions["CreateAuthChallengeFunction"]["Properties"]["Layers"]
assert layers == [{"Fn::If": ["HasTemplateLayer", {"Ref": "TemplateLayerArn"}, {"Ref": "AWS::NoValue"}]}], layers

# Lambda drops no line, and with it what it counts: the functions' own level does not.
for name, function in functions.items():
    assert function["Properties"]["LoggingConfig"] == {
        "LogFormat": "JSON", "ApplicationLogLevel": "TRACE", "LogGroup": {"Ref": name.replace("Function", "LogGroup")},
    }, name
    assert function["Properties"]["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == {"Ref": "LogLevel"}, name

# Cognito may invoke each function, for this pool and account only; nobody else may.
permissions = of_type("AWS::Lambda::Permission")
assert sorted(each["Properties"].pop("FunctionName")["Ref"] for each in permissions.values()) == sorted(functions)
for name, permission in permissions.items():
    assert permission["Properties"] == {
        "Action": "lambda:InvokeFunction",
        "Principal": "cognito-idp.amazonaws.com",
        "SourceAccount": {"Ref": "AWS::AccountId"},
        "SourceArn": POOL,
    }, name

# With a pool that is there, none is made.
assert {resources[each].get("Condition") for each in ["UserPool", "UserPoolClient"]} == {"MakesUserPool"}
assert template["Conditions"]["MakesUserPool"] == {"Fn::Equals": [{"Ref": "ExistingUserPoolId"}, ""]}
# Users are nowhere else, and apps have the client's id compiled in: a stack takes neither away.
for name in ["UserPool", "UserPoolClient"]:
    assert (resources[name]["DeletionPolicy"], resources[name]["UpdateReplacePolicy"]) == ("Retain", "Retain"), name
pool = resources["UserPool"]["Properties"]
arn = lambda name: {"Fn::GetAtt": [name, "Arn"]}
only_if = lambda condition, value: {"Fn::If": [condition, value, {"Ref": "AWS::NoValue"}]}
assert pool["LambdaConfig"] == {
    "PreAuthentication": arn("PreAuthenticationFunction"),
    "DefineAuthChallenge": arn("DefineAuthChallengeFunction"),
    "CreateAuthChallenge": arn("CreateAuthChallengeFunction"),
    "VerifyAuthChallengeResponse": arn("VerifyAuthChallengeFunction"),
    "PreSignUp": only_if("PeopleSignUp", arn("PreSignUpFunction")),
    "PreTokenGenerationConfig": only_if("JudgesTokens", {
        "LambdaArn": arn("PreTokenGenerationFunction"), "LambdaVersion": {"Ref": "PreTokenGenerationVersion"},
    }),
    "PostAuthentication": only_if("VerifiesByCode", arn("PostAuthenticationFunction")),
}
assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": {"Fn::If": ["PeopleSignUp", False, True]}}
assert template["Conditions"]["PeopleHavePasswords"] == is_true("PasswordFirst")
assert pool["AccountRecoverySetting"] == {
    "RecoveryMechanisms": [{"Name": {"Fn::If": ["PeopleHavePasswords", "verified_email", "admin_only"]}, "Priority": 1}],
}
assert pool["Policies"]["PasswordPolicy"] == {
    "TemporaryPasswordValidityDays": 365, "MinimumLength": 8,
    "RequireLowercase": True, "RequireNumbers": True, "RequireSymbols": True, "RequireUppercase": True,
}
assert pool["UserAttributeUpdateSettings"] == {"AttributesRequireVerificationBeforeUpdate": ["email"]}

client = resources["UserPoolClient"]["Properties"]
assert client["ExplicitAuthFlows"] == ["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
assert client["PreventUserExistenceErrors"] == "ENABLED"
longest_code = template["Parameters"]["CodeValiditySeconds"]["MaxValue"]
assert client["AuthSessionValidity"] * 60 >= longest_code

# The key is made by Secrets Manager and stands nowhere in the template or its outputs.
assert resources["CodeKey"]["Properties"]["GenerateSecretString"]["PasswordLength"] >= 32
assert sorted(template["Outputs"]) == sorted([*(f"{name}FunctionArn" for name in CONDITIONS), "UserPoolClientId", "UserPoolId"])

# What the functions would not start with is not deployed, as far as a template can tell; and nothing else is refused.
def value(expression, parameters):
    [(function, given)] = expression.items() if isinstance(expression, dict) else [("", expression)]
    if function == "Ref":
        return parameters[given]
    values = [value(each, parameters) for each in given] if isinstance(given, list) else given
    match function:
        case "Fn::Equals": return values[0] == values[1]
        case "Fn::Not": return not values[0]
        case "Fn::And": return all(values)
        case "Fn::Or": return any(values)
        case "Fn::Contains": return values[1] in values[0]
        case "": return values


def is_deployed(parameters):
    return all(
        value(assertion["Assert"], parameters)
        for rule in template["Rules"].values() if value(rule["RuleCondition"], parameters)
        for assertion in rule["Assertions"]
    )


DEFAULTS = {name: str(parameter.get("Default")) for name, parameter in template["Parameters"].items()}
for changed, expected in [
    ({}, True), ({"CodeLength": "6"}, False), ({"CodeLength": "6", "MailsPerDay": "1"}, False),
    ({"CodeLength": "6", "MailsPerDay": "1", "MaxAttempts": "2"}, True), ({"CodeLength": "7"}, False),
    ({"CodeLength": "7", "MaxAttempts": "1"}, False), ({"CodeLength": "7", "MailsPerDay": "9"}, True), ({"CodeLength": "9"}, True),
    ({"CodeLength": "6", "CodeAlphabet": "letters"}, True), ({"CodeLength": "6", "AcceptRisk": "0.03"}, True),
    ({"CountAcrossSignIns": "false"}, False), ({"CountAcrossSignIns": "false", "CodeAlphabet": "letters"}, False),
    ({"CountAcrossSignIns": "false", "CodeAlphabet": "letters", "CodeLength": "10"}, True),
    ({"CountAcrossSignIns": "false", "AcceptRisk": "1"}, True),
]:
    parameters = DEFAULTS | changed
    environment = {
        "CODE_ALPHABET": parameters["CodeAlphabet"], "CODE_LENGTH": parameters["CodeLength"],
        "MAX_ATTEMPTS": parameters["MaxAttempts"], "MAILS_PER_DAY": parameters["MailsPerDay"],
    }
    if parameters["CountAcrossSignIns"] == "true":
        environment["LIMITS_TABLE"] = "limits"
    risk = subprocess.run(
        ["cargo", "run", "--quiet", "--", "risk"], env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True,
    )
    chance = float(re.search(r"Chance that one is right +([0-9.e+-]+)", risk.stdout)[1])
    assert (chance <= float(parameters["AcceptRisk"])) == is_deployed(parameters) == expected, (changed, chance)

# The console shows each parameter once.
groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
assert sorted(each for group in groups for each in group["Parameters"]) == sorted(template["Parameters"])
for name, parameter in template["Parameters"].items():
    assert parameter["Description"], name

# What each alarm looks at and how, from when on it rings, and whether it looks at every function.
ALARMS = {
    # Anybody can have sign-ins refused, as often as they like.
    "ErrorsAlarm": ({("Errors", "Sum"), ("Refused", "Sum")}, "SUM(METRICS(\"m\")) - SUM([SUM(METRICS(\"m\")) * 0, refused])", 0, True),
    "ThrottlesAlarm": ({("Throttles", "Sum")}, "SUM(METRICS(\"m\"))", 0, True),
    # Cognito gives up after 5 s.
    "DurationAlarm": ({("Duration", "Maximum")}, "MAX(METRICS(\"m\"))", 4000, True),
    "LimitsUnavailableAlarm": ({("LimitsUnavailable", "Sum")}, "m0", 0, False),
    "SendFailedAlarm": ({("SendFailed", "Sum")}, "m0", 0, False),
    "WrongCodesAlarm": (
        {("CodeRejected", "Sum"), ("CodeAccepted", "Sum")},
        "IF(m0 + FILL(m1, 0) >= 20, 100 * m0 / (m0 + FILL(m1, 0)), 0)", 50, False,
    ),
}

# Alarms and dashboard look at functions that are there, and at metrics that there are.
with open("shared/src/metrics.rs") as file:
    METRICS = set(re.findall(r'"([A-Z][A-Za-z]+)"', file.read())) - {"Count", "Seconds"}
alarms = of_type("AWS::CloudWatch::Alarm")
assert sorted(alarms) == sorted(ALARMS)
for name, alarm in alarms.items():
    assert alarm["Condition"] == ("HasAlarms" if ALARMS[name][3] else "HasAlarmsOfMetrics"), name
    watched, seen, expressions = {}, set(), []
    for metric in alarm["Properties"]["Metrics"]:
        condition, metric, _ = metric.get("Fn::If", [None, metric, None])
        if "MetricStat" not in metric:
            expressions.append(metric["Expression"])
            continue
        looked_at = metric["MetricStat"]["Metric"]
        [dimension] = looked_at["Dimensions"]
        if looked_at["Namespace"] == "AWS/Lambda":
            assert dimension["Name"] == "FunctionName", name
            watched[dimension["Value"]["Ref"].removesuffix("Function")] = condition
        else:
            assert looked_at["Namespace"] == {"Ref": "PowertoolsMetricsNamespace"}, name
            assert dimension == {"Name": "service", "Value": {"Ref": "AWS::StackName"}}, name
            assert looked_at["MetricName"] in METRICS, name
        seen.add((looked_at["MetricName"], metric["MetricStat"]["Stat"]))
    metrics, expression, threshold, watches_all = ALARMS[name]
    properties = alarm["Properties"]
    assert (seen, expressions, properties["Threshold"]) == (metrics, [expression], threshold), name
    assert properties["ComparisonOperator"] == "GreaterThanThreshold", name
    assert watched == (CONDITIONS if watches_all else {}), (name, watched)
dashboard = resources["SignInDashboard"]
assert dashboard["Condition"] == "HasDashboard"
shown = json.loads(dashboard["Properties"]["DashboardBody"]["Fn::Sub"])
named = {metric[1] for widget in shown["widgets"] for metric in widget["properties"]["metrics"] if len(metric) > 2}
assert named - {"Duration"} <= METRICS, named
print(f"{len(roles)} roles, {len(permissions)} permissions, {len(alarms)} alarms and the pool are as they should be")
print(json.dumps({"gate": "G20", "roles": len(roles), "permissions": len(permissions), "alarms": len(alarms)}))
