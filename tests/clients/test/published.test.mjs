// The published schema itself: that answers are held to it, and that each of its known errors is one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, knownErrors } from '../published.mjs';

const root = '/client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/ai';
const finetune = { id: 'bc451aef-f723-4b26-a6b2-901afd2e7a8a', name: 'n', model: 'm', public: false, created_at: '2026-11-28T12:00:00.000Z', modified_at: '2026-11-28T12:00:00.000Z' };
const ok = (result) => ({ result, success: true, errors: [], messages: [] });

test('an answer as it should be passes', () => {
  assert.equal(check('POST', `${root}/finetunes`, 200, ok(finetune)), undefined);
  assert.equal(check('GET', `${root}/finetunes/`, 200, ok([finetune])), undefined);
});

test('an answer off the schema is told', () => {
  const { id, ...nameless } = finetune;
  assert.match(check('POST', `${root}/finetunes`, 200, ok(nameless)), /must have required property 'id'/);
  assert.match(check('GET', `${root}/finetunes/public`, 200, ok([{ ...finetune, created_at: 'yesterday' }])), /date-time/);
  assert.match(check('GET', `${root}/models/search`, 200, { result: [], success: true }), /required property/);
  assert.match(check('POST', `${root}/run/@cf/a/b`, 400, { errors: 'no', success: false }), /array|required/);
});

test('each known error has a call of the document, and is needed', () => {
  assert.equal(new Set(knownErrors.map((known) => `${known.method} ${known.path} ${known.status}`)).size, knownErrors.length);
  assert.match(check('GET', `${root}/finetunes`, 200, ok(finetune)), /must be array/);
});
