// Reads mails, as the second of two parsers does (`parse FILE…`), or validates their HTML and shows it in a browser
// (`show MAILS SCREENSHOTS`).
import assert from 'node:assert/strict';
import {execFileSync, spawnSync} from 'node:child_process';
import {mkdirSync, readFileSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';

async function parse(...files) {
  const {simpleParser} = await import('mailparser');
  const people = list => (list?.value ?? []).map(({name, address}) => [name, address]);
  const read = async file => {
    const mail = await simpleParser(readFileSync(file), {skipTextToHtml: true, skipHtmlToText: true});
    assert.deepEqual(mail.attachments, [], file);
    return {
      from: people(mail.from), to: people(mail.to), cc: people(mail.cc), bcc: people(mail.bcc), replyTo: people(mail.replyTo),
      subject: mail.subject, autoSubmitted: mail.headers.get('auto-submitted'), date: mail.date.getTime() / 1000,
      messageId: mail.messageId, text: mail.text, html: mail.html.replaceAll('\r\n', '\n'),
    };
  };
  console.log(JSON.stringify(await Promise.all(files.map(read))));
}

// The rules that mails cannot keep.
const MAIL_RULES = {
  // Not every mail program reads <style>.
  'no-inline-style': 'off',
  // Outlook lays tables out by their attributes.
  'no-deprecated-attr': 'off',
  // Every parser adds it; somebody who writes templates need not.
  'prefer-tbody': 'off',
};

async function validate(files, indexes) {
  const {HtmlValidate, formatterFactory} = await import('html-validate');
  const root = {root: true, extends: ['html-validate:recommended']};
  for (const [rules, paths] of [[{}, indexes], [MAIL_RULES, files]]) {
    const report = await new HtmlValidate({...root, rules}).validateMultipleFiles(paths);
    assert.ok(report.valid && report.warningCount === 0, formatterFactory('text')(report.results));
  }

  // W3C's own, where there is a Java to run it.
  if (spawnSync('java', ['-version']).status === 0) {
    const vnu = fileURLToPath(new URL('node_modules/vnu-jar/build/dist/vnu.jar', import.meta.url));
    const obsolete = 'The “(align|border|cellpadding|cellspacing|width)” attribute on the “(table|td)” element is obsolete.*';
    execFileSync('java', ['-jar', vnu, '--Werror', '--filterpattern', obsolete, ...files, ...indexes]);
  }
}

const PROGRAMS = {
  'a mail program': html => html,
  'one that takes <style> away': html => html.replace(/<style>.*?<\/style>|<meta name="(supported-)?color-scheme[^>]*>/gs, ''),
  'a dark page in another direction': html => {
    const host = html.includes('dir="rtl"') ? 'ltr' : 'rtl';
    const [, body] = /<body[^>]*>(.*)<\/body>/s.exec(html);
    return `<!DOCTYPE html><html lang="en" dir="${host}"><title>Inbox</title><body
      style="margin: 0; background-color: #202124; color: #e8eaed; text-align: center"><div>${body}</div></body></html>`;
  },
};

// What is wrong with a mail as it is shown, in words.
function faults() {
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`wider than the window by ${root.scrollWidth - root.clientWidth}`);
  const luminance = ([red, green, blue]) => [red, green, blue]
    .map(part => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const channels = color => color.match(/[\d.]+/g).map(Number);
  const background = element => {
    while (element && channels(getComputedStyle(element).backgroundColor)[3] === 0) element = element.parentElement;
    return element ? channels(getComputedStyle(element).backgroundColor) : [255, 255, 255];
  };
  const outer = document.querySelector('table');
  if (outer.lang === '' || outer.lang === undefined) found.push('no language');
  const cell = document.querySelector('td td');
  const inside = cell.getBoundingClientRect();
  for (const paragraph of cell.querySelectorAll('p')) {
    const style = getComputedStyle(paragraph);
    const text = paragraph.textContent;
    const [lighter, darker] = [channels(style.color), background(paragraph)].map(luminance).sort((a, b) => b - a);
    const contrast = (lighter + 0.05) / (darker + 0.05);
    if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(2)}: ${text}`);
    if (parseFloat(style.fontSize) < 14) found.push(`${style.fontSize}: ${text}`);
    const range = document.createRange();
    range.selectNodeContents(paragraph);
    const [first] = range.getClientRects();
    const all = range.getBoundingClientRect();
    if (paragraph.classList.contains('code')) {
      if (all.height > 1.5 * first.height) found.push(`the code is in two lines: ${text}`);
      if (paragraph.scrollWidth > paragraph.clientWidth) found.push(`the code is wider than its box: ${text}`);
    } else {
      const away = outer.dir === 'rtl' ? inside.right - all.right : all.left - inside.left;
      if (Math.abs(away) > 2) found.push(`${away} px away from where lines begin: ${text}`);
      if (!paragraph.dir && style.direction !== outer.dir) found.push(`runs in the wrong direction: ${text}`);
    }
  }
  return found;
}

async function show(mails, screenshots) {
  const {default: axe} = await import('axe-core');
  const {chromium} = await import('playwright-core');
  mkdirSync(screenshots, {recursive: true});
  const all = readdirSync(mails, {recursive: true}).filter(name => name.endsWith('.html')).map(name => join(mails, name));
  const [indexes, files] = [true, false].map(wanted => all.filter(name => name.endsWith('index.html') === wanted));
  assert.deepEqual([indexes.length, files.length], [2, 2 * 14 + 2]);
  await validate(files, indexes);

  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  const shot = (page, name) => page.screenshot({path: join(screenshots, `${name}.png`), fullPage: true});
  for (const colorScheme of ['light', 'dark']) {
    const page = await browser.newPage({colorScheme, viewport: {width: 320, height: 568}});
    // It has nothing to load.
    await page.route('**/*', route => assert.fail(route.request().url()));
    const accessibility = async () => {
      await page.evaluate(source => (0, eval)(source), axe.source);
      const run = () => window.axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']});
      return (await page.evaluate(run)).violations.map(({id, nodes}) => `${id}: ${nodes.map(node => node.html).join(', ')}`);
    };
    for (const file of files) {
      for (const [program, change] of Object.entries(PROGRAMS)) {
        await page.setContent(change(readFileSync(file, 'utf8')));
        const where = `${file}, ${colorScheme}, in ${program}`;
        assert.deepEqual(await page.evaluate(faults), [], where);
        // The layout is the same in all languages.
        if (/sent|full.(ar|en)/.test(file)) assert.deepEqual(await accessibility(), [], where);
      }
    }
    for (const width of [320, 360, 800]) {
      await page.setViewportSize({width, height: 568});
      for (const name of ['full/ar', 'full/en', 'full/ja', 'sent/aws-ses-v2-local']) {
        for (const [place, change] of Object.values(PROGRAMS).entries()) {
          await page.setContent(change(readFileSync(join(mails, `${name}.html`), 'utf8')));
          if (place === 0 || width === 360) await shot(page, `${name.replace('/', '-')}-${width}-${colorScheme}-${place}`);
        }
      }
    }
    await page.close();
  }
  // Half of its frames are dark by themselves, and those out of sight would not be painted.
  const page = await browser.newPage({colorScheme: null, viewport: {width: 1300, height: 900}});
  await page.goto(pathToFileURL(join(mails, 'full/index.html')).href);
  await page.setViewportSize({width: 1300, height: await page.evaluate(() => document.documentElement.scrollHeight)});
  await shot(page, 'index');
  await browser.close();
  console.log(`${files.length} mails are valid HTML, and can be read in light, in dark, and where a part of it is taken away`);
}

const [, , command, ...words] = process.argv;
await {parse, show}[command](...words);
