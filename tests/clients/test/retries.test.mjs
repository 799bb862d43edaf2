// What SDKs repeat by themselves, seen by the proxy between: 429 and 5xx, and not a name that exists.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { model, startHone } from '../hone.mjs';

let hone;
let limited;
before(async () => {
  hone = await startHone();
  limited = await startHone('--rate-limit', '2/2');
});
after(async () => {
  await hone?.stop();
  await limited?.stop();
});

const statuses = (server, from) => server.proxy.requests.slice(from).map((request) => request.status);

for (const major of [4, 5, 6, 7]) {
  describe(`cloudflare ${major}`, () => {
    let Cloudflare;
    before(async () => { ({ default: Cloudflare } = await import(`cloudflare${major}`)); });
    test('a 5xx is repeated', async () => {
      const client = new Cloudflare({ apiToken: hone.token, baseURL: hone.baseURL });
      const from = hone.proxy.requests.length;
      hone.proxy.failNext = 503;
      await client.ai.finetunes.list({ account_id: hone.accountId });
      assert.deepEqual(statuses(hone, from), [503, 200]);
    });

    test('a 409 is not', async () => {
      const client = new Cloudflare({ apiToken: hone.token, baseURL: hone.baseURL });
      await client.ai.finetunes.create({ account_id: hone.accountId, model, name: `twice-${major}` });
      const from = hone.proxy.requests.length;
      await assert.rejects(client.ai.finetunes.create({ account_id: hone.accountId, model, name: `twice-${major}` }), (error) => error.status === 409);
      assert.deepEqual(statuses(hone, from), [409]);
    });

    test('a 429 is repeated after the time that it names', async () => {
      const client = new Cloudflare({ apiToken: limited.token, baseURL: limited.baseURL });
      const from = limited.proxy.requests.length;
      const start = performance.now();
      // The third within the window waits for the next one.
      for (let i = 0; i < 3; i++) await client.ai.finetunes.list({ account_id: limited.accountId });
      const seen = statuses(limited, from);
      assert.equal(seen.filter((status) => status === 200).length, 3);
      assert.ok(seen.includes(429), JSON.stringify(seen));
      assert.ok(performance.now() - start >= 900, 'it was not waited for');
    });
  });
}

describe('openai', () => {
  const connect = (server) => new OpenAI({ apiKey: server.token, baseURL: `${server.proxy.url}/v1` });

  test('a 5xx is repeated', async () => {
    const from = hone.proxy.requests.length;
    hone.proxy.failNext = 503;
    await connect(hone).models.list();
    assert.deepEqual(statuses(hone, from), [503, 200]);
  });

  test('a 429 is repeated after the time that it names', async () => {
    const client = connect(limited);
    const from = limited.proxy.requests.length;
    const start = performance.now();
    for (let i = 0; i < 3; i++) await client.models.list();
    const seen = statuses(limited, from);
    assert.equal(seen.filter((status) => status === 200).length, 3);
    assert.ok(seen.includes(429), JSON.stringify(seen));
    assert.ok(performance.now() - start >= 900, 'it was not waited for');
  });
});
