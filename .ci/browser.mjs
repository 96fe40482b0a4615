// Signs in on the page of the local pool in $POOL, as a person would: by keyboard, with a wrong code first.
import {chromium} from 'playwright-core';
import assert from 'node:assert/strict';

const {endpoint} = JSON.parse(process.env.POOL);
const screenshots = process.argv[2];
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

async function open(options) {
  const page = await browser.newPage(options);
  page.on('console', message => assert.notEqual(message.type(), 'error', message.text()));
  page.on('pageerror', error => assert.fail(error));
  await page.goto(endpoint);
  return page;
}

async function newestCode(page, mails) {
  await page.waitForFunction(count => document.querySelectorAll('#mails article').length === count, mails);
  return (await page.textContent('#mails article pre')).split('\n')[2];
}

// By keyboard alone: the address is there and focused.
const page = await open({viewport: {width: 1100, height: 800}});
assert.equal(await page.evaluate(() => document.activeElement.id), 'username');
await page.keyboard.press('Enter');
await page.waitForSelector('#answer:not([hidden])');
assert.equal(await page.evaluate(() => document.activeElement.id), 'code');
const code = await newestCode(page, 1);
await page.keyboard.type('0000 0000');
await page.keyboard.press('Enter');
await page.waitForFunction(() => document.getElementById('alert').textContent === 'That is not the code.');
assert.match(await page.textContent('#left'), /^2 tries left, for (10:00|9:5\d) minutes\.$/);
assert.equal(await page.isDisabled('#resend'), true);
await page.screenshot({path: `${screenshots}/code-desktop-light.png`});
await page.keyboard.type(code);
await page.keyboard.press('Enter');
await page.waitForSelector('#done:not([hidden])');
assert.equal(await page.textContent('#verified'), 'Both tokens verify against the public keys.');
assert.equal(JSON.parse(await page.textContent('#claims')).email, 'alice@example.com');
await page.screenshot({path: `${screenshots}/done-desktop-light.png`});

// On a phone, in the dark, somebody who does not exist sees the same form and gets no mail.
const phone = await open({viewport: {width: 360, height: 740}, colorScheme: 'dark', isMobile: true, hasTouch: true});
await phone.fill('#username', 'nobody@example.com');
await phone.tap('#begin button');
await phone.waitForSelector('#answer:not([hidden])');
for (const left of ['2 tries', '1 try']) {
  await phone.fill('#code', '1234 5678');
  await phone.tap('#answer button[type=submit]');
  await phone.waitForFunction(left => document.getElementById('left').textContent.startsWith(left), left);
}
await phone.screenshot({path: `${screenshots}/code-phone-dark.png`, fullPage: true});
const overflow = await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
assert.equal(overflow, 0, 'the page is wider than the phone');
await phone.fill('#code', '1234 5678');
phone.removeAllListeners('console'); // The failure of the last try is a 400, which the browser notes.
await phone.tap('#answer button[type=submit]');
await phone.waitForSelector('#begin:not([hidden])');
assert.equal(await phone.textContent('#alert'), 'Incorrect username or password.');
assert.equal(await phone.locator('#mails article').count(), 1);

await browser.close();
console.log('signed in on the page, by keyboard, with tokens that verify; refused on a phone');
