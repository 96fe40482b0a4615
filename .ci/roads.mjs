// Takes the two programs from the page, runs the one and parses the other, and looks at what matters for security.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "@cdktf/hcl2json";

const here = dirname(fileURLToPath(import.meta.url));
const page = readFileSync("docs/deploy.md", "utf8");
const program = (language) => page.match(new RegExp("```" + language + "\\n([^]*?)```"))[1];
const FUNCTIONS = ["pre-authentication", "define-auth-challenge", "create-auth-challenge", "verify-auth-challenge"];

// The CDK wants the zips to be there; what is in them does not matter here.
for (const name of FUNCTIONS) {
  mkdirSync(join(here, "target/lambda", name), { recursive: true });
  writeFileSync(join(here, "target/lambda", name, "bootstrap.zip"), "");
}
writeFileSync(join(here, "sign-in.mjs"), program("js"));
const made = spawnSync("node", ["sign-in.mjs"], {
  cwd: here, stdio: "inherit", env: { ...process.env, CDK_OUTDIR: join(here, "cdk.out"), JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION: "1" },
});
assert.equal(made.status, 0);
cpSync(join(here, "cdk.out/SignIn.template.json"), join(here, "sign-in.template.json"));
const { Resources } = JSON.parse(readFileSync(join(here, "sign-in.template.json"), "utf8"));
const ofType = (type) => Object.values(Resources).filter((each) => each.Type === type).map((each) => each.Properties);

const permissions = ofType("AWS::Lambda::Permission");
assert.equal(permissions.length, 4);
for (const permission of permissions) {
  assert.ok(permission.SourceArn["Fn::GetAtt"][0].startsWith("Pool"));
  assert.deepEqual(permission.SourceAccount, { Ref: "AWS::AccountId" });
}
const statements = ofType("AWS::IAM::Policy").flatMap((policy) => policy.PolicyDocument.Statement);
assert.deepEqual(statements.map(({ Action }) => Action).sort(), ["dynamodb:UpdateItem", "dynamodb:UpdateItem", "ses:SendEmail"]);
const mailsAs = statements.find(({ Action }) => Action === "ses:SendEmail").Resource.map((arn) => arn["Fn::Join"][1].at(-1).split("/")[1]);
assert.deepEqual(mailsAs, ["example.com", "sign-in@example.com"]);
assert.deepEqual(ofType("AWS::Lambda::Function").map((each) => each.Timeout), [5, 5, 5, 5]);
for (const { Type, DeletionPolicy } of Object.values(Resources).filter(({ Type }) => Type.startsWith("AWS::Cognito::"))) {
  assert.equal(DeletionPolicy, "Retain", Type);
}
const [client] = ofType("AWS::Cognito::UserPoolClient");
assert.deepEqual(client.ExplicitAuthFlows, ["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]);
assert.equal(client.PreventUserExistenceErrors, "ENABLED");
assert.equal(client.AuthSessionValidity, 15);
const [pool] = ofType("AWS::Cognito::UserPool");
assert.equal(Object.keys(pool.LambdaConfig).length, 4);
assert.deepEqual(pool.UserAttributeUpdateSettings, { AttributesRequireVerificationBeforeUpdate: ["email"] });
assert.equal(pool.UsernameConfiguration.CaseSensitive, false);
assert.deepEqual(pool.AccountRecoverySetting, { RecoveryMechanisms: [{ Name: "admin_only", Priority: 1 }] });
const [table] = ofType("AWS::DynamoDB::Table");
assert.deepEqual(table.TimeToLiveSpecification, { AttributeName: "expires", Enabled: true });

const { resource } = await parse("main.tf", program("hcl"));
assert.equal(resource.aws_lambda_function.function[0].timeout, 5);
assert.ok(resource.aws_lambda_permission.cognito[0].source_account);
assert.match(program("hcl"), /Resource += \["\$\{local\.identity\}\/\$\{var\.identity\}", "\$\{local\.identity\}\/\$\{var\.sender\}"\]/);
const [terraformPool] = resource.aws_cognito_user_pool.people;
assert.equal(terraformPool.account_recovery_setting[0].recovery_mechanism[0].name, "admin_only");
const [terraformClient] = resource.aws_cognito_user_pool_client.app;
assert.deepEqual(terraformClient.explicit_auth_flows, client.ExplicitAuthFlows);
assert.equal(terraformClient.auth_session_validity, client.AuthSessionValidity);
console.log("the CDK makes what the page says; Terraform's program can be read (its provider is not at hand to check it further)");
