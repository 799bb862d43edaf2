// The page at /docs in a browser: it shows every call of the document, and asks no other host for anything.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startHone } from '../hone.mjs';

// The packaged Chromium is one for Linux on x64.
const skip = process.platform === 'linux' && process.arch === 'x64' ? false : 'no browser';

test('/docs shows every call', { skip, timeout: 180_000 }, async () => {
  const { default: chromium } = await import('@sparticuz/chromium');
  const { default: puppeteer } = await import('puppeteer-core');
  const hone = await startHone('--no-worker');
  try {
    const browser = await puppeteer.launch({ args: chromium.args, executablePath: await chromium.executablePath(), headless: 'shell' });
    try {
      const page = await browser.newPage();
      await page.setViewport({ width: 1400, height: 1000 });
      const wrong = [];
      page.on('pageerror', (error) => wrong.push(error.message));
      page.on('console', (message) => { if (message.type() === 'error') wrong.push(message.text()); });
      page.on('request', (request) => { if (!new RegExp(`^(${hone.url}/|data:|blob:)`).test(request.url())) wrong.push(request.url()); });
      await page.goto(`${hone.url}/docs/`, { waitUntil: 'networkidle2' });
      await page.waitForSelector('aside button[aria-expanded=false]');
      // Each chapter that is closed is opened: the next one is another then.
      for (let closed; (closed = await page.$('aside button[aria-expanded=false]')); await page.waitForFunction((button) => button.ariaExpanded !== 'false', {}, closed)) await closed.evaluate((button) => button.click());
      const { paths } = await (await fetch(`${hone.url}/openapi.json`)).json();
      const calls = Object.values(paths).flatMap((item) => Object.values(item)).filter((operation) => operation.responses).map((operation) => operation.summary);
      assert.ok(calls.length > 40);
      await page.waitForFunction((names) => names.every((name) => document.body.textContent.includes(name)), {}, calls);
      assert.deepEqual(wrong, []);
    } finally {
      await browser.close();
    }
  } finally {
    await hone.stop();
  }
});
