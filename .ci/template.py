"""What template.yaml comes to once SAM has expanded it: who may do what."""

from samtranslator.parser.parser import Parser
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoPolicies:
    """Stands in for the table of AWS's managed policies, which needs the network."""

    def load(self):
        return {"AWSLambdaBasicExecutionRole": BASIC}


BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"

with open("template.yaml") as file:
    template = yaml_parse(file.read())
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = "s3://bucket/key"
resources = transform(template, {}, NoPolicies())["Resources"]


def of_type(kind):
    return {name: each for name, each in resources.items() if each["Type"] == kind}


functions = of_type("AWS::Lambda::Function")
assert sorted(functions) == [
    "CreateAuthChallengeFunction", "DefineAuthChallengeFunction", "PreAuthenticationFunction", "VerifyAuthChallengeFunction",
]
for name, function in functions.items():
    assert function["Properties"]["Timeout"] == 5, name



def of_ses(resource):
    region = {"Fn::If": ["HasSESRegion", {"Ref": "SESRegion"}, {"Ref": "AWS::Region"}]}
    return {"Fn::Sub": ["arn:${AWS::Partition}:ses:${Region}:${AWS::AccountId}:" + resource, {"Region": region}]}


# One role per function. All may write logs; create may also send mail, as one sender; create and verify may count.
MAIL = {
    "Sid": "MailFromOneAddress",
    "Effect": "Allow",
    "Action": "ses:SendEmail",
    "Resource": [
        {"Fn::If": ["HasIdentityArn", {"Ref": "SESIdentityArn"}, of_ses("identity/${SESIdentity}")]},
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
ALLOWED = {"CreateAuthChallengeFunctionRole": [MAIL, COUNT], "VerifyAuthChallengeFunctionRole": [COUNT]}


def statements(policy):
    if "Fn::If" in policy:
        condition, policy, otherwise = policy["Fn::If"]
        assert (condition, otherwise) == ("CountsAcrossSignIns", {"Ref": "AWS::NoValue"}), policy
    return policy["PolicyDocument"]["Statement"]


roles = of_type("AWS::IAM::Role")
assert sorted(roles) == sorted(name + "Role" for name in functions)
for name, role in roles.items():
    assert role["Properties"]["ManagedPolicyArns"] == [BASIC], name
    allowed = [each for policy in role["Properties"].get("Policies", []) for each in statements(policy)]
    assert allowed == ALLOWED.get(name, []), (name, allowed)

# What is counted is kept by its key alone, forgotten in time, and by nobody restored.
table = resources["LimitsTable"]
assert table["Condition"] == "CountsAcrossSignIns"
assert table["Properties"]["BillingMode"] == "PAY_PER_REQUEST"
assert table["Properties"]["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": False}

# Templates of one's own come in a layer, if there is one.
layers = functions["CreateAuthChallengeFunction"]["Properties"]["Layers"]
assert layers == {"Fn::If": ["HasTemplateLayer", [{"Ref": "TemplateLayerArn"}], {"Ref": "AWS::NoValue"}]}, layers

# Cognito may invoke each function, for this pool and account only; nobody else may.
permissions = of_type("AWS::Lambda::Permission")
assert sorted(each["Properties"].pop("FunctionName")["Ref"] for each in permissions.values()) == sorted(functions)
for name, permission in permissions.items():
    assert permission["Properties"] == {
        "Action": "lambda:InvokeFunction",
        "Principal": "cognito-idp.amazonaws.com",
        "SourceAccount": {"Ref": "AWS::AccountId"},
        "SourceArn": {"Fn::GetAtt": ["UserPool", "Arn"]},
    }, name

pool = resources["UserPool"]["Properties"]
assert {trigger: arn["Fn::GetAtt"][0] for trigger, arn in pool["LambdaConfig"].items()} == {
    "PreAuthentication": "PreAuthenticationFunction",
    "DefineAuthChallenge": "DefineAuthChallengeFunction",
    "CreateAuthChallenge": "CreateAuthChallengeFunction",
    "VerifyAuthChallengeResponse": "VerifyAuthChallengeFunction",
}
assert pool["UserAttributeUpdateSettings"] == {"AttributesRequireVerificationBeforeUpdate": ["email"]}

client = resources["UserPoolClient"]["Properties"]
assert client["ExplicitAuthFlows"] == ["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
assert client["PreventUserExistenceErrors"] == "ENABLED"
longest_code = template["Parameters"]["CodeValiditySeconds"]["MaxValue"]
assert client["AuthSessionValidity"] * 60 >= longest_code

# The key is made by Secrets Manager and stands nowhere in the template or its outputs.
assert resources["CodeKey"]["Properties"]["GenerateSecretString"]["PasswordLength"] >= 32
assert sorted(template["Outputs"]) == ["UserPoolClientId", "UserPoolId"]
print(f"{len(roles)} roles, {len(permissions)} permissions and the pool are as they should be")
