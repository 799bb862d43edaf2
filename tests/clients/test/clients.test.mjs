import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { model, run, sha256, startHone } from '../hone.mjs';

const here = path.resolve(import.meta.dirname, '..');
const files = ['adapter_config.json', 'adapter_model.safetensors'];
let hone;
let adapter;

before(async () => {
  hone = await startHone();
  adapter = await hone.train('trained');
});
after(() => hone?.stop());

/** What is listed of a finetune is ready and has the bytes that were uploaded. */
async function assertReady(name) {
  const finetune = await hone.call('GET', `/finetunes/${name}`);
  assert.equal(finetune.status, 'ready');
  const assets = await hone.call('GET', `/finetunes/${name}/finetune-assets`);
  for (const file of files) assert.equal(assets.find((a) => a.file_name === file).sha256, await sha256(path.join(adapter, file)));
  return finetune;
}

for (const major of [4, 5, 6, 7]) {
  describe(`cloudflare ${major}`, () => {
    const name = `sdk-${major}`;
    let Cloudflare;
    let client;
    let created;

    before(async () => {
      ({ default: Cloudflare } = await import(`cloudflare${major}`));
      client = new Cloudflare({ apiToken: hone.token, baseURL: hone.baseURL, maxRetries: 0 });
    });

    test('ai.finetunes.create', async () => {
      created = await client.ai.finetunes.create({ account_id: hone.accountId, model, name, description: 'by the SDK', public: true });
      assert.match(created.id, /^[0-9a-f]{8}-[0-9a-f-]{27}$/);
      assert.equal(created.name, name);
      assert.equal(created.model, model);
      assert.equal(created.public, true);
      assert.ok(!Number.isNaN(Date.parse(created.created_at)));
    });

    test('ai.finetunes.create of a name that exists is refused once, with the id', async () => {
      let requests = 0;
      const retrying = new Cloudflare({ apiToken: hone.token, baseURL: hone.baseURL, fetch: (...args) => { requests++; return fetch(...args); } });
      await assert.rejects(retrying.ai.finetunes.create({ account_id: hone.accountId, model, name }), (error) => {
        assert.equal(error.status, 409);
        assert.ok(error.errors[0].message.includes(created.id));
        return true;
      });
      assert.equal(requests, 1);
    });

    test('ai.finetunes.list', async () => {
      const list = await client.ai.finetunes.list({ account_id: hone.accountId });
      const mine = [...list].find((f) => f.id === created.id);
      assert.equal(mine.name, name);
      assert.equal(mine.status, 'awaiting_assets');
    });

    test('ai.finetunes.public.list', async () => {
      const found = [];
      for await (const finetune of client.ai.finetunes.public.list({ account_id: hone.accountId, limit: 100, offset: 0, orderBy: 'created_at' })) found.push(finetune);
      const mine = found.filter((f) => f.id === created.id);
      assert.equal(mine.length, 1);
      assert.equal(mine[0].public, true);
    });

    test('ai.run with a lora that is not ready says so', async () => {
      await assert.rejects(client.ai.run(model, { account_id: hone.accountId, prompt: 'x', lora: name }), (error) => {
        assert.equal(error.status, 400);
        assert.equal(error.errors[0].code, 3039);
        return true;
      });
    });

    test('ai.finetunes.assets.create', async () => {
      for (const file of files) {
        const answer = await client.ai.finetunes.assets.create(created.id, { account_id: hone.accountId, file_name: file, file: createReadStream(path.join(adapter, file)) });
        if (major === 4) assert.equal(answer.file_name, file);
        else assert.equal(answer.success, true);
      }
      await assertReady(name);
    });

    test('ai.run with lora, by name and by id', async () => {
      const ask = { account_id: hone.accountId, messages: [{ role: 'user', content: 'Where is my parcel?' }], max_tokens: 8, temperature: 0, seed: 1 };
      const byName = await client.ai.run(model, { ...ask, lora: name });
      const byId = await client.ai.run(model, { ...ask, lora: created.id });
      assert.equal(typeof byName.response, 'string');
      assert.equal(byName.response, byId.response);
      assert.equal(byName.usage.total_tokens, byName.usage.prompt_tokens + byName.usage.completion_tokens);
      // The same adapter under the name that it was trained with: the same text.
      assert.equal((await client.ai.run(model, { ...ask, lora: 'trained' })).response, byName.response);
    });

    test('ai.models.list', async () => {
      const names = [];
      for await (const item of client.ai.models.list({ account_id: hone.accountId })) names.push(item.name);
      assert.equal(names.filter((n) => n === model).length, 1);
    });

    test('ai.models.schema.get, ai.authors.list, ai.tasks.list', async () => {
      const schema = await client.ai.models.schema.get({ account_id: hone.accountId, model });
      assert.equal(schema.input.properties.max_tokens.default, 256);
      assert.equal(schema.output.type, 'object');
      await assert.rejects(client.ai.models.schema.get({ account_id: hone.accountId, model: '@cf/none/none' }), (error) => error.status === 400 && error.errors[0].code === 5007);
      const names = async (list) => { const all = []; for await (const item of list) all.push(item.name); return all; };
      assert.deepEqual(await names(client.ai.authors.list({ account_id: hone.accountId })), ['huggingfacetb']);
      assert.deepEqual(await names(client.ai.tasks.list({ account_id: hone.accountId })), ['Text Generation']);
    });

    test('ai.run with stream sends pieces, the usage, and [DONE]', async () => {
      const response = await client.ai.run(model, { account_id: hone.accountId, prompt: 'Where is my parcel?', max_tokens: 8, temperature: 0, stream: true }).asResponse();
      assert.match(response.headers.get('content-type'), /^text\/event-stream/);
      const lines = (await response.text()).split('\n\n').filter(Boolean);
      assert.equal(lines.at(-1), 'data: [DONE]');
      const events = lines.slice(0, -1).map((line) => JSON.parse(line.slice(6)));
      const whole = await client.ai.run(model, { account_id: hone.accountId, prompt: 'Where is my parcel?', max_tokens: 8, temperature: 0 });
      assert.equal(events.map((event) => event.response).join(''), whole.response);
      assert.deepEqual(events.at(-1).usage, whole.usage);
      assert.ok(events.slice(0, -1).every((event) => event.usage === undefined));
    });

    test('ai.run with response_format answers with the value, with tools with a call', async () => {
      const ask = { account_id: hone.accountId, messages: [{ role: 'user', content: 'How warm is it in Oslo?' }], max_tokens: 200, temperature: 0 };
      const city = { type: 'object', properties: { city: { enum: ['Oslo', 'Rome'] }, degrees: { type: 'integer', minimum: 0, maximum: 40 } }, required: ['city', 'degrees'], additionalProperties: false };
      const { response } = await client.ai.run(model, { ...ask, response_format: { type: 'json_schema', json_schema: city } });
      assert.deepEqual(Object.keys(response).sort(), ['city', 'degrees']);
      assert.ok(['Oslo', 'Rome'].includes(response.city) && Number.isInteger(response.degrees) && response.degrees >= 0 && response.degrees <= 40, JSON.stringify(response));
      const { tool_calls: [call] } = await client.ai.run(model, { ...ask, tools: [{ name: 'weather', description: 'Of a city.', parameters: city }], tool_choice: 'required' });
      assert.equal(call.name, 'weather');
      assert.deepEqual(Object.keys(call.arguments).sort(), ['city', 'degrees']);
      const refused = (part) => (error) => error.status === 400 && error.errors[0].code === 5006 && error.errors[0].message.includes(part);
      await assert.rejects(client.ai.run(model, { ...ask, response_format: { type: 'json_schema', json_schema: { not: {} } } }), refused('$.not'));
      await assert.rejects(client.ai.run(model, { ...ask, tools: [{ name: 'a b' }] }), refused('tools[0].name'));
      await assert.rejects(client.ai.run(model, { ...ask, options: { rejectIfBusy: 'yes' } }), refused('options.rejectIfBusy'));
    });

    test('ai.run says what is wrong', async () => {
      const code = (status, expected) => (error) => error.status === status && error.errors[0].code === expected;
      await assert.rejects(client.ai.run('@cf/none/none', { account_id: hone.accountId, prompt: 'x' }), code(400, 5007));
      await assert.rejects(client.ai.run(model, { account_id: hone.accountId, prompt: 'x', max_tokens: 0 }), code(400, 5006));
      await assert.rejects(client.ai.run(model, { account_id: hone.accountId, prompt: 'x', lora: 'nobody' }), code(404, 3037));
      await assert.rejects(client.ai.finetunes.create({ account_id: hone.accountId, model: '@cf/none/none', name: 'x' }), code(400, 1000));
      await assert.rejects(client.ai.finetunes.assets.create('nobody', { account_id: hone.accountId, file_name: files[0], file: createReadStream(path.join(adapter, files[0])) }), code(400, 1000));
      // Not offered.
      if (client.ai.toMarkdown?.supported) await assert.rejects((async () => { for await (const _ of client.ai.toMarkdown.supported({ account_id: hone.accountId })); })(), code(404, 7000));
    });

    test('user.tokens.verify, accounts.tokens.verify', async () => {
      const verified = await client.user.tokens.verify();
      assert.equal(verified.status, 'active');
      assert.match(verified.id, /^[0-9a-f]{32}$/);
      assert.equal((await client.accounts.tokens.verify({ account_id: hone.accountId })).id, verified.id);
      const wrong = new Cloudflare({ apiToken: 'wrong', baseURL: hone.baseURL, maxRetries: 0 });
      await assert.rejects(wrong.user.tokens.verify(), (error) => error.status === 401 && error.errors[0].code === 1000);
    });

    test('email and key in place of a token', async () => {
      const keyed = new Cloudflare({ apiEmail: hone.email, apiKey: hone.key, apiToken: null, baseURL: hone.baseURL, maxRetries: 0 });
      assert.ok([...await keyed.ai.finetunes.list({ account_id: hone.accountId })].length > 0);
    });

    test('the documentation\'s example, with a token and an address in the environment alone', async () => {
      const result = await run(process.execPath, [path.join(here, 'documentation-example.mjs'), `cloudflare${major}`, hone.accountId, model, `documentation-${major}`],
        { CLOUDFLARE_API_TOKEN: hone.token, CLOUDFLARE_BASE_URL: hone.baseURL }, here);
      assert.equal(result.code, 0, result.err);
      assert.equal((await hone.call('GET', `/finetunes/documentation-${major}`)).id, result.out.trim());
    });
  });
}

describe('wrangler', () => {
  let home;
  let environment;

  before(async () => {
    home = await mkdtemp(path.join(hone.folder, 'home-'));
    environment = {
      PATH: process.env.PATH, HOME: home, XDG_CONFIG_HOME: home, CI: '1', NO_COLOR: '1', FORCE_COLOR: '0', WRANGLER_SEND_METRICS: 'false', WRANGLER_HIDE_BANNER: 'true',
      CLOUDFLARE_API_TOKEN: hone.token, CLOUDFLARE_API_BASE_URL: hone.baseURL,
    };
  });

  const wrangler = (args, env = {}) => run(process.execPath, [path.join(here, 'node_modules/wrangler/bin/wrangler.js'), ...args], { ...environment, ...env }, home);

  test('ai finetune create uploads the adapter that Hone trained', async () => {
    const result = await wrangler(['ai', 'finetune', 'create', model, 'by-wrangler', adapter], { CLOUDFLARE_ACCOUNT_ID: hone.accountId });
    assert.doesNotMatch(result.out + result.err, /ERROR|🚨/, result.out + result.err);
    const finetune = await assertReady('by-wrangler');
    const answer = await hone.call('POST', `/run/${model}`, JSON.stringify({ prompt: 'Where is my parcel?', lora: finetune.id, max_tokens: 4 }));
    assert.equal(typeof answer.response, 'string');
  });

  test('ai finetune create of a name that exists shows the reason', async () => {
    const result = await wrangler(['ai', 'finetune', 'create', model, 'by-wrangler', adapter], { CLOUDFLARE_ACCOUNT_ID: hone.accountId });
    const { id } = await hone.call('GET', '/finetunes/by-wrangler');
    assert.ok((result.out + result.err).includes(id), result.out + result.err);
  });

  test('ai finetune list --json', async () => {
    const result = await wrangler(['ai', 'finetune', 'list', '--json'], { CLOUDFLARE_ACCOUNT_ID: hone.accountId });
    const list = JSON.parse(result.out);
    assert.equal(list.find((f) => f.name === 'by-wrangler').status, 'ready');
    assert.equal(list.find((f) => f.name === 'trained').status, 'ready');
  });

  test('ai finetune list', async () => {
    const result = await wrangler(['ai', 'finetune', 'list'], { CLOUDFLARE_ACCOUNT_ID: hone.accountId });
    assert.ok(result.out.includes('by-wrangler'), result.out + result.err);
  });

  test('ai models, with the account found by itself', async () => {
    const result = await wrangler(['ai', 'models', '--json']);
    const models = JSON.parse(result.out);
    assert.equal(models.filter((m) => m.name === model).length, 1);
    assert.equal(models.find((m) => m.name === model).task.name, 'Text Generation');
  });

  test('whoami', async () => {
    const result = await wrangler(['whoami']);
    assert.ok(result.out.includes(hone.accountId), result.out + result.err);
    assert.ok(result.out.includes(hone.email), result.out + result.err);
    assert.doesNotMatch(result.out + result.err, /ERROR/);
  });

  test('a wrong token is said to be wrong', async () => {
    const result = await wrangler(['ai', 'finetune', 'list'], { CLOUDFLARE_ACCOUNT_ID: hone.accountId, CLOUDFLARE_API_TOKEN: 'wrong' });
    assert.match(result.out + result.err, /Authentication error \[code: 10000\]/);
  });
});
