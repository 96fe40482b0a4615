// Signs in to the local pool in $POOL with the clients that web applications use.
import assert from 'node:assert/strict';
import {
  CognitoIdentityProviderClient, GetUserCommand, InitiateAuthCommand, RespondToAuthChallengeCommand, RevokeTokenCommand,
} from '@aws-sdk/client-cognito-identity-provider';
import identity from 'amazon-cognito-identity-js';
import {Amplify} from 'aws-amplify';
import {confirmSignIn, fetchAuthSession, fetchUserAttributes, signIn, signOut} from 'aws-amplify/auth';
import {JwtVerifier} from 'aws-jwt-verify';

const {endpoint, region, userPoolId, clientId, jwksUri, mailbox} = JSON.parse(process.env.POOL);
const ALICE = 'alice@example.com';
const PASSWORD = 'Correct horse 1';

const mails = async to => (await fetch(`${mailbox}?to=${to}`)).json();
const code = async () => (await mails(ALICE))[0].text.split('\n')[2];

// As a server would, that trusts the pool.
const issuer = `${endpoint}/${userPoolId}`;
const verifier = JwtVerifier.create([{issuer, audience: null, jwksUri}]);
verifier.cacheJwks(await (await fetch(jwksUri)).json());
async function verify(idToken, accessToken) {
  const id = await verifier.verify(idToken);
  const access = await verifier.verify(accessToken);
  assert.deepEqual([id.aud, id.token_use, id.email, id['cognito:groups']], [clientId, 'id', ALICE, ['staff']]);
  assert.deepEqual([access.client_id, access.token_use, access.sub], [clientId, 'access', id.sub]);
  await assert.rejects(verifier.verify(idToken.slice(0, -8) + 'AAAAAAAA'));
}

async function withSdk() {
  const client = new CognitoIdentityProviderClient({region, endpoint});
  const initiate = username => client.send(new InitiateAuthCommand({
    ClientId: clientId, AuthFlow: 'CUSTOM_AUTH', AuthParameters: {USERNAME: username}, ClientMetadata: {locale: 'ja'},
  }));
  const respond = (challenge, answer, ClientMetadata, username = ALICE) => client.send(new RespondToAuthChallengeCommand({
    ClientId: clientId, ChallengeName: 'CUSTOM_CHALLENGE', Session: challenge.Session, ClientMetadata,
    ChallengeResponses: {USERNAME: username, ANSWER: answer},
  }));
  const first = await initiate(ALICE);
  const second = await respond(first, '0000 0000');
  assert.equal(second.ChallengeParameters.errorCode, 'CODE_MISMATCH');
  const third = await respond(second, '-', {action: 'RESEND'});
  assert.equal(third.ChallengeParameters.errorCode, 'RESEND_TOO_SOON');
  const {AuthenticationResult: tokens} = await respond(third, await code());
  await assert.rejects(respond(third, await code()), {name: 'NotAuthorizedException', message: /can only be used once/});
  await verify(tokens.IdToken, tokens.AccessToken);

  let nobody = await initiate('nobody@example.com');
  for (let tries = 0; tries < 2; tries++) nobody = await respond(nobody, '0000 0000', {}, 'nobody@example.com');
  const failed = {name: 'NotAuthorizedException', message: 'Incorrect username or password.'};
  await assert.rejects(respond(nobody, '0000 0000', {}, 'nobody@example.com'), failed);
  assert.deepEqual(await mails('nobody@example.com'), []);

  const getUser = () => client.send(new GetUserCommand({AccessToken: tokens.AccessToken}));
  assert.ok((await getUser()).UserAttributes.some(({Name, Value}) => Name === 'email' && Value === ALICE));
  const refresh = () => client.send(new InitiateAuthCommand({
    ClientId: clientId, AuthFlow: 'REFRESH_TOKEN_AUTH', AuthParameters: {REFRESH_TOKEN: tokens.RefreshToken},
  }));
  assert.ok((await refresh()).AuthenticationResult.IdToken);
  await client.send(new RevokeTokenCommand({ClientId: clientId, Token: tokens.RefreshToken}));
  await assert.rejects(refresh(), {name: 'NotAuthorizedException', message: 'Refresh Token has been revoked'});
  await assert.rejects(getUser(), {name: 'NotAuthorizedException'});
}

// amazon-cognito-identity-js tells by callbacks; this waits for the next of them.
function heard(begin) {
  return new Promise((resolve, reject) => begin({
    onSuccess: session => resolve({session}),
    onFailure: reject,
    customChallenge: parameters => resolve({parameters}),
    newPasswordRequired: attributes => resolve({attributes}),
  }));
}

function identityUser(flow, username = ALICE) {
  const pool = new identity.CognitoUserPool({UserPoolId: userPoolId, ClientId: clientId, endpoint});
  const user = new identity.CognitoUser({Username: username, Pool: pool});
  user.setAuthenticationFlowType(flow);
  return user;
}

const verifySession = session => verify(session.getIdToken().getJwtToken(), session.getAccessToken().getJwtToken());
const details = Password => new identity.AuthenticationDetails({Username: ALICE, Password});

async function withIdentityJs() {
  const user = identityUser('CUSTOM_AUTH');
  const asked = await heard(callbacks => user.initiateAuth(details(), callbacks));
  assert.equal(asked.parameters.nextStep, 'PROVIDE_CODE');
  const again = await heard(callbacks => user.sendCustomChallengeAnswer('0000 0000', callbacks));
  assert.equal(again.parameters.errorCode, 'CODE_MISMATCH');
  const answer = await code();
  const {session} = await heard(callbacks => user.sendCustomChallengeAnswer(answer, callbacks));
  await verifySession(session);
  const refreshed = await new Promise((resolve, reject) =>
    user.refreshSession(session.getRefreshToken(), (error, renewed) => error ? reject(error) : resolve(renewed)));
  await verifySession(refreshed);
  await new Promise((onSuccess, onFailure) => user.globalSignOut({onSuccess, onFailure}));
}

async function withIdentityJsAndAPassword() {
  for (const flow of ['USER_SRP_AUTH', 'USER_PASSWORD_AUTH']) {
    const wrong = heard(callbacks => identityUser(flow).authenticateUser(details('Correct horse 2'), callbacks));
    await assert.rejects(wrong, {code: 'NotAuthorizedException', message: 'Incorrect username or password.'});
    const {session} = await heard(callbacks => identityUser(flow).authenticateUser(details(PASSWORD), callbacks));
    await verifySession(session);
  }
  const carol = identityUser('USER_SRP_AUTH', 'carol@example.com');
  const temporary = new identity.AuthenticationDetails({Username: 'carol@example.com', Password: 'Temporary horse 1'});
  const asked = await heard(callbacks => carol.authenticateUser(temporary, callbacks));
  assert.equal(asked.attributes.email, 'carol@example.com');
  const {session} = await heard(callbacks => carol.completeNewPasswordChallenge('Correct horse 3', {}, callbacks));
  assert.equal(session.getIdToken().payload.email, 'carol@example.com');
}

async function withIdentityJsPasswordFirst() {
  const user = identityUser('CUSTOM_AUTH');
  const asked = await heard(callbacks => user.authenticateUser(details(PASSWORD), callbacks));
  assert.equal(asked.parameters.challenge, 'EMAIL_OTP');
  const answer = await code();
  const {session} = await heard(callbacks => user.sendCustomChallengeAnswer(answer, callbacks));
  await verifySession(session);
  const wrong = heard(callbacks => identityUser('CUSTOM_AUTH').authenticateUser(details('Correct horse 2'), callbacks));
  await assert.rejects(wrong, {code: 'NotAuthorizedException'});
}

Amplify.configure({Auth: {Cognito: {userPoolId, userPoolClientId: clientId, userPoolEndpoint: endpoint}}});

async function finishWithAmplify(step) {
  assert.equal(step.signInStep, 'CONFIRM_SIGN_IN_WITH_CUSTOM_CHALLENGE');
  assert.equal(step.additionalInfo.attemptsLeft, '3');
  const wrong = await confirmSignIn({challengeResponse: '0000 0000'});
  assert.equal(wrong.nextStep.signInStep, 'CONFIRM_SIGN_IN_WITH_CUSTOM_CHALLENGE');
  assert.equal(wrong.nextStep.additionalInfo.errorCode, 'CODE_MISMATCH');
  const resend = await confirmSignIn({challengeResponse: '-', options: {clientMetadata: {action: 'RESEND'}}});
  assert.equal(resend.nextStep.additionalInfo.errorCode, 'RESEND_TOO_SOON');
  const done = await confirmSignIn({challengeResponse: await code()});
  assert.equal(done.nextStep.signInStep, 'DONE');
  await verifyAmplifySession();
}

async function verifyAmplifySession() {
  const {tokens} = await fetchAuthSession();
  await verify(tokens.idToken.toString(), tokens.accessToken.toString());
  const renewed = await fetchAuthSession({forceRefresh: true});
  await verify(renewed.tokens.idToken.toString(), renewed.tokens.accessToken.toString());
  assert.equal((await fetchUserAttributes()).email, ALICE);
  await signOut({global: true});
  assert.equal((await fetchAuthSession()).tokens, undefined);
}

async function withAmplify() {
  const {nextStep} = await signIn({username: ALICE, options: {authFlowType: 'CUSTOM_WITHOUT_SRP'}});
  await finishWithAmplify(nextStep);
  for (const authFlowType of ['USER_SRP_AUTH', 'USER_PASSWORD_AUTH']) {
    const wrong = signIn({username: ALICE, password: 'Correct horse 2', options: {authFlowType}});
    await assert.rejects(wrong, {name: 'NotAuthorizedException'});
    const {isSignedIn} = await signIn({username: ALICE, password: PASSWORD, options: {authFlowType}});
    assert.equal(isSignedIn, true);
    await verifyAmplifySession();
  }
}

async function withAmplifyPasswordFirst() {
  const options = {authFlowType: 'CUSTOM_WITH_SRP'};
  await assert.rejects(signIn({username: ALICE, password: 'Correct horse 2', options}), {name: 'NotAuthorizedException'});
  const {nextStep} = await signIn({username: ALICE, password: PASSWORD, options});
  await finishWithAmplify(nextStep);
  await assert.rejects(signIn({username: ALICE, options: {authFlowType: 'CUSTOM_WITHOUT_SRP'}}), {name: 'NotAuthorizedException'});
}

const RUNS = {
  'without-password': [withSdk, withIdentityJs, withIdentityJsAndAPassword, withAmplify],
  'password-first': [withIdentityJsPasswordFirst, withAmplifyPasswordFirst],
};
for (const run of RUNS[process.argv[2]]) {
  await run();
  console.log(`${run.name}: signed in, and the tokens verify`);
}
