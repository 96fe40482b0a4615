// What the page does: signs in as a client of Cognito would, and shows the mailbox. What it says is in words.js.
import {WORDS} from './words.js';

const $ = id => document.getElementById(id);
const pool = fetch('local-pool.json').then(reply => reply.json());

let language; // a key of WORDS
let words; // in that language
let challenge = null; // what is to be answered: {username, typed, session, parameters}
let alerted = null; // what the alert says: {key, values}
let told = null; // the words for what was done
let verified = null; // whether the last tokens are
let busy = false;

// ---- Language

// The language of ours that a tag asks for, if there is one. Regions do not count, scripts do: Portuguese of Portugal is
// answered in that of Brazil, but Chinese of Taiwan is not written as in Beijing.
function ours(tag) {
  const asWritten = tag => {
    const {language, script} = new Intl.Locale(tag).maximize();
    return `${language}-${script}`;
  };
  try {
    return Object.keys(WORDS).find(known => asWritten(known) === asWritten(tag));
  } catch {
    return undefined; // no tag at all
  }
}

function chosenLanguage() {
  const asked = ours(new URLSearchParams(location.search).get('lang'));
  if (asked) localStorage.setItem('language', asked);
  return asked ?? ours(localStorage.getItem('language')) ?? navigator.languages.map(ours).find(Boolean) ?? 'en';
}

const number = (n, options) => new Intl.NumberFormat(language, options).format(n);
const clock = seconds => `${number(Math.floor(seconds / 60))}:${number(seconds % 60, {minimumIntegerDigits: 2})}`;

function count(key, n) {
  const forms = words[key];
  return (forms[new Intl.PluralRules(language).select(n)] ?? forms.other).replace('{n}', number(n));
}

// Each value is isolated: addresses and messages that run the other way would carry the words around them along.
function fill(element, text, values = {}) {
  const isolated = value => {
    const bdi = document.createElement('bdi');
    return Object.assign(bdi, typeof value === 'string' ? {textContent: value} : value);
  };
  element.replaceChildren(...text.split(/\{(\w+)\}/).map((part, i) => i % 2 ? isolated(values[part]) : part));
}

// ---- What is shown

// What is to be done next in each step, and gets the focus.
const NEXT = {begin: 'username', answer: 'code', done: 'again'};

function show(step) {
  for (const id in NEXT) $(id).hidden = id !== step;
  focus();
}

function focus() {
  for (const id in NEXT) if (!$(id).hidden) $(NEXT[id]).focus();
}

function say(key, values) {
  alerted = key && {key, values};
  fill($('alert'), key ? words[key] : '', values);
  const wrong = key === 'mismatch';
  $('code').setAttribute('aria-invalid', wrong);
  // Without the time that is left, which would be read out every second.
  $('code').setAttribute('aria-describedby', wrong ? 'alert attempts' : 'sent attempts');
}

function speak(tag) {
  language = tag;
  words = WORDS[tag];
  document.documentElement.lang = language;
  document.documentElement.dir = words.dir;
  document.title = `${words.signIn} · local-pool`;
  $('language').value = language;
  for (const element of document.querySelectorAll('[data-words]')) element.textContent = words[element.dataset.words];
  for (const [mail, article] of articles) caption(article, JSON.parse(mail));
  render();
}

// What depends on how far the sign-in is.
function render() {
  if (alerted) say(alerted.key, alerted.values);
  $('status').textContent = told ? words[told] : '';
  if (verified !== null) $('verified').textContent = verified ? words.verified : words.notVerified;
  if (challenge) {
    // Functions of others may say nothing of this.
    const {codeLength, codeAlphabet, attemptsLeft} = challenge.parameters;
    const length = SYMBOL[codeAlphabet] && count(codeAlphabet, Number(codeLength));
    fill($('sent'), length ? words.sent : '', {who: challenge.typed, length});
    $('attempts').textContent = attemptsLeft ? count('attempts', Number(attemptsLeft)) : '';
  }
  tick();
}

function tick() {
  if (!challenge) return;
  const {expiresAt, resendAfter} = challenge.parameters;
  const seconds = until => Math.max(0, Math.ceil(until - Date.now() / 1000));
  const [left, wait] = [seconds(expiresAt), seconds(resendAfter)];
  fill($('expires'), expiresAt ? words[left ? 'expires' : 'expired'] : '', {time: clock(left)});
  $('wait').textContent = wait ? count('wait', wait) : '';
  $('resend').disabled = busy || wait > 0;
}

// ---- The sign-in

async function call(operation, body) {
  const reply = await fetch('/', {
    method: 'POST',
    headers: {'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'AWSCognitoIdentityProviderService.' + operation},
    body: JSON.stringify({ClientId: (await pool).clientId, ...body}),
  }).catch(() => { throw new Refusal('unreachable'); });
  const json = await reply.json();
  if (!reply.ok) throw refusal(json);
  return json;
}

// A call that came to nothing, and the words for it.
class Refusal extends Error {
  constructor(key) {
    super(key);
    this.key = key;
  }
}

function refusal({__type: kind, message}) {
  if (kind === 'NotAuthorizedException') return new Refusal('refused');
  if (kind === 'UserLambdaValidationException' && message.includes('could not be sent')) return new Refusal('notSent');
  return new Error(message);
}

// Other words than our own are for developers, and English.
function complain(error) {
  if (error instanceof Refusal) say(error.key);
  else say('failed', {message: {textContent: error.message, lang: 'en', dir: 'ltr'}});
}

const ERRORS = {CODE_MISMATCH: 'mismatch', RESEND_TOO_SOON: 'tooSoon', RESEND_LIMIT: 'resendLimit'};

async function begin() {
  const typed = $('username').value.trim();
  try {
    let reply = await call('InitiateAuth', {
      AuthFlow: 'CUSTOM_AUTH', AuthParameters: {USERNAME: typed}, ClientMetadata: {locale: language},
    });
    const {nextStep, USERNAME} = reply.ChallengeParameters;
    if (nextStep === 'PROVIDE_AUTH_PARAMETERS') reply = await answer({username: USERNAME, session: reply.Session}, '-');
    present(reply, {username: USERNAME, typed});
  } catch (error) {
    complain(error);
  }
}

// Cognito keeps no metadata: the language goes with every answer.
function answer({username, session}, text, metadata) {
  return call('RespondToAuthChallenge', {
    ChallengeName: 'CUSTOM_CHALLENGE', Session: session,
    ChallengeResponses: {USERNAME: username, ANSWER: text}, ClientMetadata: {locale: language, ...metadata},
  });
}

function present(reply, {username, typed}, resent) {
  const parameters = reply.ChallengeParameters;
  challenge = {username, typed, session: reply.Session, parameters};
  $('code').value = '';
  $('code').inputMode = parameters.codeAlphabet === 'digits' ? 'numeric' : 'text';
  told = resent && !parameters.errorCode ? 'resent' : null;
  say(ERRORS[parameters.errorCode] ?? null);
  render();
  show('answer');
}

async function respond(text, metadata) {
  const expired = Date.now() / 1000 >= Number(challenge.parameters.expiresAt);
  try {
    const reply = await answer(challenge, text, metadata);
    if (reply.AuthenticationResult) await finish(reply.AuthenticationResult);
    else present(reply, challenge, metadata?.action === 'RESEND');
  } catch (error) {
    // Also when no reply came: the Session may have been spent, and serves once.
    restart();
    complain(expired ? new Refusal('expired') : error);
  }
}

function restart() {
  challenge = null;
  say(null);
  show('begin');
}

async function finish(result) {
  verified = await verify(result.IdToken) && await verify(result.AccessToken);
  challenge = null;
  $('claims').textContent = JSON.stringify(claims(result.IdToken), null, 2);
  $('tokens').textContent = JSON.stringify(result, null, 2);
  render();
  show('done');
}

const decode = part => Uint8Array.from(atob(part.replaceAll('-', '+').replaceAll('_', '/')), c => c.charCodeAt(0));
const claims = token => JSON.parse(new TextDecoder().decode(decode(token.split('.')[1])));

async function verify(token) {
  const [header, body, signature] = token.split('.');
  const {kid} = JSON.parse(new TextDecoder().decode(decode(header)));
  // By its path alone: to a page that was opened at localhost, the address that tokens name is another origin.
  const {keys} = await fetch(new URL((await pool).jwksUri).pathname).then(reply => reply.json());
  const algorithm = {name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256'};
  const key = await crypto.subtle.importKey('jwk', keys.find(key => key.kid === kid), algorithm, false, ['verify']);
  return crypto.subtle.verify(algorithm, key, decode(signature), new TextEncoder().encode(`${header}.${body}`));
}

// ---- The code

// A digit of any script, and the twenty letters in either case, as the functions read them.
const SYMBOL = {digits: '\\p{Nd}', letters: '[B-DF-HJ-NP-TV-XZb-df-hj-np-tv-xz]'};

// The code that a text is, however it was copied out of a mail, or null. Where nobody says what a code looks like, any text is one.
function codeIn(text) {
  const {codeAlphabet, codeLength} = challenge.parameters;
  if (!SYMBOL[codeAlphabet]) return text.trim() || null;
  const code = text.replace(/[\s\p{Pd}\p{Cf}]/gu, '');
  return new RegExp(`^${SYMBOL[codeAlphabet]}{${codeLength}}$`, 'u').test(code) ? code : null;
}

// Signs in with a text if it can only be a code.
function take(text) {
  const code = codeIn(text);
  if (code === null || !SYMBOL[challenge.parameters.codeAlphabet]) return false;
  $('code').value = code;
  $('answer').requestSubmit();
  return true;
}

// What cannot be the code is not sent: each answer costs an attempt.
async function submit() {
  const code = codeIn($('code').value);
  if (code === null) say('mismatch');
  else await respond(code);
}

$('code').addEventListener('paste', event => {
  if (take(event.clipboardData.getData('text'))) event.preventDefault();
});

$('paste').hidden = !navigator.clipboard?.readText;
$('paste').addEventListener('click', async () => {
  // Whoever does not let us read it can still paste it into the field.
  const text = await navigator.clipboard.readText().catch(() => '');
  if (!challenge || take(text)) return;
  if (text) $('code').value = text.trim().slice(0, $('code').maxLength);
  $('code').focus();
});

// ---- What people do

// One call at a time: a Session serves once.
function guard(action) {
  return async event => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    const buttons = [...document.querySelectorAll('main form button')].filter(button => !button.disabled);
    for (const button of buttons) button.disabled = true;
    // So that the same words are news once more.
    say(null);
    told = null;
    $('status').textContent = '';
    try {
      await action();
    } finally {
      busy = false;
      for (const button of buttons) button.disabled = false;
      tick();
      focus(); // which a disabled button did not get
    }
  };
}

$('begin').addEventListener('submit', guard(begin));
$('answer').addEventListener('submit', guard(submit));
$('resend').addEventListener('click', guard(() => respond('-', {action: 'RESEND'})));
$('restart').addEventListener('click', restart);
$('again').addEventListener('click', restart);

for (const known in WORDS) {
  const option = new Option(WORDS[known].name, known);
  option.lang = known;
  $('language').add(option);
}
$('language').addEventListener('change', () => {
  localStorage.setItem('language', $('language').value);
  history.replaceState(null, '', location.pathname); // whose query may have asked for another
  speak($('language').value);
});

// ---- The mailbox

const articles = new Map(); // by mail, as JSON

function articleOf({subject, text, html}) {
  const article = document.createElement('article');
  const add = (name, properties) => article.appendChild(Object.assign(document.createElement(name), properties));
  add('h3', {dir: 'auto', textContent: subject});
  add('p', {className: 'quiet'});
  const plain = html && add('button', {type: 'button'});
  // Of the same origin, so that it can be measured, and without scripts, so that this is of no use to anybody else.
  const frame = html && add('iframe', {title: subject, loading: 'lazy', sandbox: 'allow-same-origin', srcdoc: html});
  const pre = add('pre', {dir: 'auto', textContent: text});
  if (html) {
    const show = asText => {
      plain.setAttribute('aria-pressed', asText);
      frame.hidden = asText;
      pre.hidden = !asText;
      fit(frame);
    };
    plain.addEventListener('click', () => show(!frame.hidden));
    frame.addEventListener('load', () => fit(frame));
    show(false);
  }
  return article;
}

// As high as its mail, which scrolls with the page then.
function fit(frame) {
  const mail = frame.contentDocument?.documentElement;
  if (mail && !frame.hidden) frame.style.blockSize = `${Math.ceil(mail.getBoundingClientRect().height) + 2}px`;
}
addEventListener('resize', () => document.querySelectorAll('iframe').forEach(fit));

function caption(article, {to, at}) {
  const time = new Intl.DateTimeFormat(language, {timeStyle: 'medium'}).format(new Date(at));
  fill(article.querySelector('p'), words.mailTo, {to, time});
  const plain = article.querySelector('button');
  if (plain) plain.textContent = words.plainText;
}

async function poll() {
  const mails = await fetch('mailbox').then(reply => reply.json()).catch(() => null);
  if (mails) {
    const known = new Set(mails.map(mail => JSON.stringify(mail)));
    for (const [mail, article] of articles) {
      if (!known.has(mail) && articles.delete(mail)) article.remove();
    }
    // The newest comes first. Those that are shown stay where they are: a frame that is moved loads anew.
    for (const mail of [...known].reverse()) {
      if (articles.has(mail)) continue;
      articles.set(mail, articleOf(JSON.parse(mail)));
      caption(articles.get(mail), JSON.parse(mail));
      $('mails').prepend(articles.get(mail));
    }
  }
  setTimeout(poll, 1000);
}

speak(chosenLanguage());
setInterval(tick, 1000);
poll();
