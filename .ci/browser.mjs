// Signs in on the page of the local pool in $POOL, as people would: by keyboard alone, with a wrong code, with another mail, too
// late, and without an account. Codes live for 60 s here, and may be sent again after 10 s.
import {chromium} from 'playwright-core';
import assert from 'node:assert/strict';

const {endpoint} = JSON.parse(process.env.POOL);
const screenshots = process.argv[2];
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const DESKTOP = {viewport: {width: 1100, height: 800}};
const PHONE = {viewport: {width: 360, height: 740}, isMobile: true, hasTouch: true};

async function open(options) {
  const page = await browser.newPage(options);
  page.on('console', message => assert.notEqual(message.type(), 'error', message.text()));
  page.on('pageerror', error => assert.fail(error));
  await page.goto(endpoint);
  return page;
}

const alertIs = (page, text) => page.waitForFunction(text => document.getElementById('alert').textContent === text, text);
const focused = page => page.evaluate(() => document.activeElement.id);
const shot = (page, name) => page.screenshot({path: `${screenshots}/${name}.png`, fullPage: true});

// The code of the newest of so many mails, to whom they are not told apart: one person signs in at a time.
async function newestCode(page, mails) {
  await page.waitForFunction(count => document.querySelectorAll('#mails article').length === count, mails);
  return (await page.textContent('#mails article pre')).split('\n')[2];
}

// After a failure the browser notes that a reply was a 400.
const mayFail = page => page.removeAllListeners('console');

async function tabTo(page, id) {
  for (let presses = 0; presses < 10; presses++) {
    if (await focused(page) === id) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`${id} is not reached with the Tab key`);
}

// Too late: begins before the others and ends after them.
const late = await open({...DESKTOP, colorScheme: 'dark'});
await late.click('#begin button');
const lateCode = await newestCode(late, 1);
const expired = late.waitForFunction(() => /for 0:00 minutes/.test(document.getElementById('left').textContent), {}, {timeout: 90_000});

// By keyboard alone: the address is there and focused.
const page = await open(DESKTOP);
assert.equal(await focused(page), 'username');
await page.keyboard.press('Enter');
await page.waitForSelector('#answer:not([hidden])');
assert.equal(await focused(page), 'code');
const code = await newestCode(page, 2);
await page.keyboard.type('0000 0000');
await page.keyboard.press('Enter');
await alertIs(page, 'That is not the code.');
assert.match(await page.textContent('#left'), /^2 tries left, for (1:00|0:5\d) minutes\.$/);
assert.equal(await page.isDisabled('#resend'), true);
await shot(page, 'code-desktop-light');
await page.waitForFunction(() => !document.getElementById('resend').disabled, {}, {timeout: 15_000});
await tabTo(page, 'resend');
await page.keyboard.press('Enter');
// The same code again: whichever mail is read, it is right.
assert.equal(await newestCode(page, 3), code);
await page.waitForFunction(() => document.activeElement.id === 'code');
assert.match(await page.textContent('#left'), /^2 tries left, /);
await page.keyboard.type(code);
await page.keyboard.press('Enter');
await page.waitForSelector('#done:not([hidden])');
assert.equal(await page.textContent('#verified'), 'Both tokens verify against the public keys.');
assert.equal(JSON.parse(await page.textContent('#claims')).email, 'alice@example.com');
assert.equal(await focused(page), 'again');
await shot(page, 'done-desktop-light');
await page.close();

// On a phone, somebody who does not exist sees the same form and gets no mail.
const phone = await open({...PHONE, colorScheme: 'dark'});
await phone.fill('#username', 'nobody@example.com');
await phone.tap('#begin button');
await phone.waitForSelector('#answer:not([hidden])');
for (const left of ['2 tries', '1 try']) {
  await phone.fill('#code', '1234 5678');
  await phone.tap('#answer button[type=submit]');
  await phone.waitForFunction(left => document.getElementById('left').textContent.startsWith(left), left);
}
await shot(phone, 'code-phone-dark');
const overflow = await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
assert.equal(overflow, 0, 'the page is wider than the phone');
await phone.fill('#code', '1234 5678');
mayFail(phone);
await phone.tap('#answer button[type=submit]');
await phone.waitForSelector('#begin:not([hidden])');
assert.equal(await phone.textContent('#alert'), 'Incorrect username or password.');
assert.equal(await phone.locator('#mails article').count(), 3);
await phone.close();

const light = await open({...PHONE, colorScheme: 'light'});
await light.tap('#begin button');
await light.waitForSelector('#answer:not([hidden])');
await shot(light, 'code-phone-light');
await light.close();

await shot(late, 'code-desktop-dark');
await expired;
mayFail(late);
await late.fill('#code', lateCode);
await late.click('#answer button[type=submit]');
await late.waitForSelector('#begin:not([hidden])');
assert.equal(await late.textContent('#alert'), 'The time for this code is over. Please ask for a new one.');
assert.equal(await focused(late), 'username');
await shot(late, 'expired-desktop-dark');

await browser.close();
console.log('signed in on the page by keyboard, with a wrong code and another mail first; refused without an account, and too late');
