// A client that hangs up takes its stream out of the engine.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { model, startHone } from '../hone.mjs';

const PLACES = 32; // streams that an engine computes at once
const TOKENS = 900; // minutes of computing for all of them together
const PATIENCE = 120_000;

let hone;
before(async () => { hone = await startHone(); });
after(async () => { await hone?.stop(); });

const ask = (body, signal) => fetch(`${hone.baseURL}/accounts/${hone.accountId}/ai/run/${model}`, {
  method: 'POST', signal, headers: { authorization: `Bearer ${hone.token}` }, body: JSON.stringify({ raw: true, temperature: 0, ...body }),
});

test('clients that hang up make room at once for the one that waits', { timeout: 3 * PATIENCE }, async () => {
  const hangUp = new AbortController();
  const prompt = '1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16';
  const readers = await Promise.all(Array.from({ length: PLACES }, async () => {
    const response = await ask({ prompt, max_tokens: TOKENS, stream: true }, hangUp.signal);
    assert.equal(response.status, 200);
    const reader = response.body.getReader();
    assert.equal((await reader.read()).done, false);
    return reader;
  }));
  let answered = false;
  const waiting = ask({ prompt: 'Name a colour:', max_tokens: 1 }, AbortSignal.timeout(PATIENCE)).then(async (response) => {
    answered = true;
    return response.json();
  });
  for (let i = 0; i < 3; i++) await readers[0].read();
  assert.equal(answered, false, 'there was a free place: the test shows nothing');

  hangUp.abort();

  assert.equal((await waiting).result.usage.completion_tokens, 1);
});
