// LangChain's client for Workers AI, unchanged.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ChatCloudflareWorkersAI, CloudflareWorkersAI } from '@langchain/cloudflare';
import { model, startHone } from '../hone.mjs';

let hone;
let fields;
before(async () => {
  hone = await startHone();
  fields = { model, cloudflareAccountId: hone.accountId, cloudflareApiToken: hone.token, baseUrl: `${hone.baseURL}/accounts/${hone.accountId}/ai/run`, maxRetries: 0 };
});
after(() => hone?.stop());

test('a chat answers', async () => {
  const answer = await new ChatCloudflareWorkersAI(fields).invoke([['system', 'Answer in one word.'], ['human', 'Name a colour.']]);
  assert.equal(typeof answer.content, 'string');
  assert.notEqual(answer.content, '');
});

test('a chat streams in pieces', async () => {
  const pieces = [];
  for await (const piece of await new ChatCloudflareWorkersAI(fields).stream([['human', 'Count to five.']])) pieces.push(piece.content);
  assert.ok(pieces.filter(Boolean).length > 1, JSON.stringify(pieces));
});

test('a completion answers', async () => {
  const text = await new CloudflareWorkersAI(fields).invoke('The capital of France is');
  assert.notEqual(text, '');
});

test('a model that is not there is an error with its status', async () => {
  await assert.rejects(new ChatCloudflareWorkersAI({ ...fields, model: '@cf/none/none' }).invoke('hello'), (error) => /400/.test(error.message));
});
