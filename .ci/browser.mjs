// Signs in on the page of the local pool in $POOL, as people would: by keyboard alone, by touch, from right to left, with a wrong
// code, with another mail, by pasting, too late, and without an account. Codes live for 60 s here, and may be sent again after 10 s.
import axe from 'axe-core';
import {chromium} from 'playwright-core';
import assert from 'node:assert/strict';

const {endpoint} = JSON.parse(process.env.POOL);
const screenshots = process.argv[2];
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const DESKTOP = {viewport: {width: 1100, height: 800}, locale: 'en'};
const PHONE = {viewport: {width: 360, height: 740}, isMobile: true, hasTouch: true, locale: 'en'};
const ALICE = 'alice@example.com';

async function open(options, address = endpoint) {
  const page = await browser.newPage(options);
  page.on('console', message => assert.notEqual(message.type(), 'error', message.text()));
  page.on('pageerror', error => assert.fail(error));
  // Nothing from elsewhere.
  page.on('request', request => assert(request.url().startsWith(address) || request.url() === 'data:,', request.url()));
  await page.goto(address);
  // Which a browser does when it first draws the page.
  await page.waitForFunction(() => document.activeElement.id === 'username');
  return page;
}

const alertIs = (page, text) => page.waitForFunction(text => document.getElementById('alert').textContent === text, text);
const isAt = (page, step) => page.waitForSelector(`#${step}:not([hidden])`);
const focused = page => page.evaluate(() => document.activeElement.id);
const shot = (page, name) => page.screenshot({path: `${screenshots}/${name}.png`, fullPage: true});

// After a failure the browser notes that a reply was a 400.
const mayFail = page => page.removeAllListeners('console');

// How many mails were sent. They are not told apart by whom they are for: one person signs in at a time.
let mails = 0;

async function newestCode(page) {
  mails += 1;
  await page.waitForFunction(count => document.querySelectorAll('#mails article').length === count, mails);
  const lines = (await page.textContent('#mails article pre')).split('\n');
  return lines.find(line => /^[\p{Cf}\d\s]*\d[\p{Cf}\d\s]*$/u.test(line)).trim();
}

// The metadata of the calls that a page makes from now on.
function metadata(page) {
  const sent = [];
  page.on('request', request => {
    if (request.method() === 'POST') sent.push(request.postDataJSON().ClientMetadata);
  });
  return sent;
}

async function tabTo(page, id) {
  for (let presses = 0; presses < 10; presses++) {
    if (await focused(page) === id) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`${id} is not reached with the Tab key`);
}

async function fitsThePhone(page, what) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(wide, 0, `${what} is wider than a phone`);
}

async function isAccessible(page, step) {
  for (const language of ['en', 'ar']) {
    await page.selectOption('#language', language);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({colorScheme});
      const violations = await page.evaluate(async source => {
        if (!window.axe) (0, eval)(source);
        return (await window.axe.run({iframes: false})).violations;
      }, axe.source);
      const found = violations.map(({id, nodes}) => `${id}: ${nodes.map(node => node.html).join(', ')}`);
      assert.deepEqual(found, [], `${step}, ${language}, ${colorScheme}`);
    }
  }
}

// Too late: begins before the others and ends after them.
const late = await open({...DESKTOP, colorScheme: 'dark'});
const WORDS = await late.evaluate(async () => (await import('/words.js')).WORDS);
await late.click('#begin button');
const lateCode = await newestCode(late);
const expired = late.waitForFunction(
  text => document.getElementById('expires').textContent === text, WORDS.en.expired, {timeout: 90_000},
);

// The same words in every language, in every form that it counts with; up to the longest wait that the functions allow.
const placeholders = text => (text.match(/\{\w+\}/g) ?? []).filter(name => name !== '{n}').sort();
const countedForms = await late.evaluate(languages => Object.fromEntries(languages.map(language => {
  const rules = new Intl.PluralRules(language);
  return [language, [...new Set(Array.from({length: 301}, (_, n) => rules.select(n)))].sort()];
})), Object.keys(WORDS));
for (const [language, words] of Object.entries(WORDS)) {
  assert.deepEqual(Object.keys(words), Object.keys(WORDS.en), language);
  for (const [key, text] of Object.entries(words)) {
    const what = `${key} in ${language}`;
    if (typeof text === 'string') {
      assert.notEqual(text.trim(), '', what);
      assert.deepEqual(placeholders(text), placeholders(WORDS.en[key]), what);
    } else {
      assert.deepEqual(Object.keys(text).sort(), countedForms[language], what);
    }
  }
}

// By keyboard alone: the address is there and focused.
const page = await open(DESKTOP);
const sent = metadata(page);
assert.equal(await focused(page), 'username');
await page.keyboard.press('Enter');
await isAt(page, 'answer');
assert.equal(await focused(page), 'code');
assert.equal(await page.textContent('#sent'), `If ${ALICE} may sign in, a code of 8 digits is on its way.`);
assert.match(await page.textContent('#wait'), /^You can ask for it again in (10|\d) seconds?\.$/);
const code = await newestCode(page);
assert.equal(await page.getAttribute('#code', 'aria-invalid'), 'false');
await page.keyboard.type('0000 0000');
await page.keyboard.press('Enter');
await alertIs(page, 'That is not the code.');
assert.equal(await page.getAttribute('#alert', 'role'), 'alert');
assert.equal(await page.getAttribute('#code', 'aria-invalid'), 'true');
assert.equal(await page.getAttribute('#code', 'aria-describedby'), 'alert attempts');
assert.equal(await page.textContent('#attempts'), '2 attempts left.');
assert.match(await page.textContent('#expires'), /^The code expires in (1:00|0:5\d)\.$/);
assert.equal(await page.locator(':is([aria-live], [role=alert], [role=status]) :is(#expires, #wait)').count(), 0);
assert.equal(await page.isDisabled('#resend'), true);
await shot(page, 'code-desktop-light');
await page.waitForFunction(() => !document.getElementById('resend').disabled, {}, {timeout: 15_000});
await tabTo(page, 'resend');
await page.keyboard.press('Enter');
// The same code again: whichever mail is read, it is right.
assert.equal(await newestCode(page), code);
await page.waitForFunction(text => document.getElementById('status').textContent === text, 'We have mailed the same code again.');
await page.waitForFunction(() => document.activeElement.id === 'code');
assert.equal(await page.textContent('#attempts'), '2 attempts left.');
await page.keyboard.type(code);
await page.keyboard.press('Enter');
await isAt(page, 'done');
assert.equal(await page.textContent('#verified'), 'Both tokens verify against the public keys.');
assert.equal(JSON.parse(await page.textContent('#claims')).email, ALICE);
assert.equal(await focused(page), 'again');
await shot(page, 'done-desktop-light');
const english = {locale: 'en'};
assert.deepEqual(sent, [english, english, english, {...english, action: 'RESEND'}, english]);

// The mail as people see it, all of it without scrolling, and its text.
const frame = page.locator('#mails iframe').first();
assert.match(await frame.contentFrame().locator('body').innerText(), new RegExp(code));
assert(await frame.evaluate(frame => frame.clientHeight >= frame.contentDocument.documentElement.scrollHeight), 'the mail is cut off');
await page.locator('#mails button').first().press('Enter');
assert.equal(await page.locator('#mails pre').first().isVisible(), true);
assert.equal(await frame.isVisible(), false);
await page.close();

// On a phone, somebody who does not exist sees the same form and gets no mail.
const phone = await open({...PHONE, colorScheme: 'dark'});
await phone.fill('#username', 'nobody@example.com');
await phone.tap('#begin button');
await isAt(phone, 'answer');
for (const left of ['2 attempts left.', '1 attempt left.']) {
  await phone.fill('#code', '1234 5678');
  await phone.tap('#answer button[type=submit]');
  await phone.waitForFunction(left => document.getElementById('attempts').textContent === left, left);
}
await shot(phone, 'code-phone-dark');
const low = await phone.evaluate(() => [...document.querySelectorAll('button, input, select, summary')]
  .filter(element => element.checkVisibility() && element.getBoundingClientRect().height < 44).map(element => element.outerHTML));
assert.deepEqual(low, [], 'too low for a finger');
await phone.fill('#code', '1234 5678');
mayFail(phone);
await phone.tap('#answer button[type=submit]');
await isAt(phone, 'begin');
assert.equal(await phone.textContent('#alert'), 'That did not work. Please begin again.');
assert.equal(await phone.locator('#mails article').count(), mails);
await phone.close();

// From right to left on a phone, by touch. On the way, every language on either form.
const arabic = await open({...PHONE, locale: 'ar-EG', colorScheme: 'light'});
const ar = WORDS.ar;
const sentInArabic = metadata(arabic);
assert.equal(await arabic.getAttribute('html', 'dir'), 'rtl');
await shot(arabic, 'begin-phone-ar-light');

async function everyLanguage(step) {
  for (const [language, words] of Object.entries(WORDS)) {
    await arabic.selectOption('#language', language);
    assert.equal(await arabic.getAttribute('html', 'lang'), language);
    assert.equal(await arabic.getAttribute('html', 'dir'), words.dir);
    await fitsThePhone(arabic, `${step} in ${language}`);
    await shot(arabic, `languages/${step}-${language}`);
  }
}

await isAccessible(arabic, 'begin');
await everyLanguage('begin');
await arabic.selectOption('#language', 'ar');
await arabic.tap('#begin button');
await isAt(arabic, 'answer');
const arabicCode = await newestCode(arabic);
await arabic.fill('#code', '0000 0000');
await arabic.tap('#answer button[type=submit]');
await alertIs(arabic, ar.mismatch);
assert.equal(await arabic.textContent('#attempts'), ar.attempts.two);
assert.equal(await arabic.locator('#sent bdi').first().textContent(), ALICE);
await arabic.emulateMedia({colorScheme: 'light'});
await shot(arabic, 'code-phone-ar-light');
await arabic.emulateMedia({colorScheme: 'dark'});
await shot(arabic, 'code-phone-ar-dark');
await everyLanguage('code');
assert.equal(await arabic.textContent('#alert'), WORDS.he.mismatch);
await isAccessible(arabic, 'code');
// In the digits of the language, as its keyboard has them.
await arabic.fill('#code', arabicCode.replace(/\d/g, digit => '٠١٢٣٤٥٦٧٨٩'[digit]));
await arabic.tap('#answer button[type=submit]');
await isAt(arabic, 'done');
assert.equal(await arabic.textContent('#verified'), ar.verified);
assert.equal(await arabic.textContent('#alert'), '');
await shot(arabic, 'done-phone-ar-dark');
await isAccessible(arabic, 'done');
assert.deepEqual(sentInArabic, Array(4).fill({locale: 'ar'}));
await arabic.close();

// By paste, at the other name of this machine. The clipboard holds what a mail in Hebrew gives: spaces, and marks of direction.
const hebrew = await open(
  {...DESKTOP, locale: 'he', permissions: ['clipboard-read', 'clipboard-write']}, endpoint.replace('127.0.0.1', 'localhost'),
);
const copy = text => hebrew.evaluate(text => navigator.clipboard.writeText(text), text);
await hebrew.keyboard.press('Enter');
await isAt(hebrew, 'answer');
const hebrewCode = `\u200f${await newestCode(hebrew)}\u200f`;
await shot(hebrew, 'code-desktop-he');
await copy('hello');
await tabTo(hebrew, 'paste');
await hebrew.keyboard.press('Enter');
await hebrew.waitForFunction(() => document.activeElement.id === 'code' && document.getElementById('code').value === 'hello');
await copy(hebrewCode);
await tabTo(hebrew, 'paste');
await hebrew.keyboard.press('Enter');
await isAt(hebrew, 'done');
assert.equal(await hebrew.textContent('#verified'), WORDS.he.verified);
await shot(hebrew, 'done-desktop-he');
await hebrew.keyboard.press('Enter');
await isAt(hebrew, 'begin');
await hebrew.keyboard.press('Enter');
await isAt(hebrew, 'answer');
await copy(await newestCode(hebrew));
await hebrew.keyboard.press('Control+V');
await isAt(hebrew, 'done');
await hebrew.close();

// What can go wrong is told in words of the page; whoever comes through again goes on. The clipboard is not for this page.
const japanese = await open({...PHONE, locale: 'ja', colorScheme: 'light'});
const ja = WORDS.ja;
mayFail(japanese);
for (const [kind, message, told] of [
  ['NotAuthorizedException', 'Incorrect username or password.', ja.refused],
  ['UserLambdaValidationException', 'CreateAuthChallenge failed with error The code could not be sent, please try again.', ja.notSent],
  ['TooManyRequestsException', 'Rate exceeded', ja.failed.replace('{message}', 'Rate exceeded')],
]) {
  await japanese.route(`${endpoint}/`, route => route.fulfill({status: 400, json: {__type: kind, message}}), {times: 1});
  await japanese.tap('#begin button');
  await alertIs(japanese, told);
}
assert.equal(await japanese.locator('#alert bdi[lang=en][dir=ltr]').textContent(), 'Rate exceeded');
await japanese.context().setOffline(true);
await japanese.tap('#begin button');
await alertIs(japanese, ja.unreachable);
await shot(japanese, 'unreachable-phone-ja-light');
await japanese.context().setOffline(false);
await japanese.tap('#begin button');
await isAt(japanese, 'answer');
const japaneseCode = await newestCode(japanese);
await japanese.focus('#restart');
await japanese.tap('#paste');
await japanese.waitForFunction(() => document.activeElement.id === 'code');
// What cannot be the code costs nothing.
const calls = metadata(japanese);
await japanese.fill('#code', '12');
await japanese.tap('#answer button[type=submit]');
await alertIs(japanese, ja.mismatch);
assert.deepEqual(calls, []);
// The reply is lost: the Session is spent, and one begins again.
await japanese.fill('#code', japaneseCode);
await japanese.route(`${endpoint}/`, async route => {
  await route.fetch();
  await route.abort();
}, {times: 1});
await japanese.tap('#answer button[type=submit]');
await alertIs(japanese, ja.unreachable);
await isAt(japanese, 'begin');
await japanese.tap('#begin button');
await isAt(japanese, 'answer');
await japanese.fill('#code', await newestCode(japanese));
await japanese.tap('#answer button[type=submit]');
await isAt(japanese, 'done');
// Without scrolling.
assert.ok((await japanese.locator('#result').boundingBox()).y >= 0);
await shot(japanese, 'done-phone-ja-light');
await japanese.close();

// Functions of others say nothing of a code: then any text is an answer.
const stranger = await open(DESKTOP);
await stranger.route(`${endpoint}/`, async route => {
  const response = await route.fetch();
  const json = await response.json();
  if (json.ChallengeParameters?.nextStep !== 'PROVIDE_AUTH_PARAMETERS') json.ChallengeParameters = {question: 'pet'};
  await route.fulfill({response, json});
});
await stranger.click('#begin button');
await isAt(stranger, 'answer');
assert.equal(await stranger.textContent('#sent') + await stranger.textContent('p:has(> #wait)'), '');
await newestCode(stranger);
const sentToStranger = metadata(stranger);
await stranger.fill('#code', ' a cat');
await stranger.keyboard.press('Enter');
await stranger.waitForFunction(() => document.getElementById('code').value === '');
assert.equal(sentToStranger.length, 1);
await stranger.close();

// The language is the browser's, or the next best; then the one that was asked for, also at the next visit.
for (const [locale, language] of [['pt-PT', 'pt-BR'], ['zh-CN', 'zh-Hans'], ['zh-TW', 'en'], ['sv', 'en']]) {
  const page = await open({...DESKTOP, locale});
  assert.equal(await page.getAttribute('html', 'lang'), language, locale);
  await page.close();
}
const polyglot = await open(DESKTOP);
for (const [query, language] of [
  ['?lang=iw', 'he'], ['', 'he'], ['?lang=zh-TW', 'he'], ['?lang=%00', 'he'], ['?lang=zh', 'zh-Hans'],
]) {
  await polyglot.goto(endpoint + query);
  assert.equal(await polyglot.getAttribute('html', 'lang'), language, query);
}
await polyglot.selectOption('#language', 'pl');
await polyglot.reload();
assert.equal(await polyglot.getAttribute('html', 'lang'), 'pl');
await polyglot.close();

await shot(late, 'code-desktop-dark');
await expired;
mayFail(late);
await late.fill('#code', lateCode);
await late.click('#answer button[type=submit]');
await isAt(late, 'begin');
assert.equal(await late.textContent('#alert'), 'The code has expired. Please ask for a new one.');
assert.equal(await focused(late), 'username');
await shot(late, 'expired-desktop-dark');
await late.close();

// A mail can run nothing and load nothing; one without HTML is shown as text.
const reader = await open(DESKTOP);
const refused = [];
reader.removeAllListeners('console').removeAllListeners('request');
reader.on('console', message => refused.push(message.text()));
reader.on('requestfailed', request => refused.push(`${request.url()} ${request.failure().errorText}`));
for (const [subject, parts] of [
  ['سلام', {Text: {Data: 'نص 1234'}}],
  ['Hostile', {
    Text: {Data: 'text'},
    Html: {Data: `<title>a</title><p style="color: red">mail</p><script>parent.document.title = 'changed'</script>
      <img src="https://example.com/pixel.png" onerror="parent.document.title = 'changed'">`},
  }],
]) {
  mails += 1;
  const content = {Simple: {Subject: {Data: subject}, Body: parts}};
  const sent = await fetch(`${endpoint}/v2/email/outbound-emails`, {
    method: 'POST', headers: {authorization: 'AWS4-HMAC-SHA256 test'},
    body: JSON.stringify({FromEmailAddress: 'a@example.com', Destination: {ToAddresses: [ALICE]}, Content: content}),
  });
  assert.equal(sent.status, 200);
}
await reader.waitForFunction(count => document.querySelectorAll('#mails article').length === count, mails);
const hostile = reader.locator('#mails article').first();
const inMail = hostile.locator('iframe').contentFrame();
assert.equal(await inMail.locator('p').evaluate(p => getComputedStyle(p).color), 'rgb(255, 0, 0)');
assert.equal(await reader.title(), 'Sign in · local-pool');
assert(refused.includes('https://example.com/pixel.png csp'), refused.join());
assert(refused.some(text => text.includes('sandboxed')), refused.join());
const plain = reader.locator('#mails article').nth(1);
assert.equal(await plain.locator('pre').isVisible(), true);
assert.equal(await plain.locator('iframe, button').count(), 0);
await reader.close();

await browser.close();
console.log('signed in on the page by keyboard, by touch from right to left, and by paste; refused without an account, and too late');
