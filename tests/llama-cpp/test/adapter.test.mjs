// The GGUF adapter gives llama.cpp the answers that Hone gives.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { getLlama } from 'node-llama-cpp';
import { model, root, startHone } from '../../clients/hone.mjs';

const TOKENS = 24;
const base = path.join(root, 'models/SmolLM2-135M-Instruct.Q4_1.gguf');
let hone, llama, weights, adapter, questions;

before(async () => {
  hone = await startHone();
  const rows = (await readFile(path.join(root, 'examples/support-triage/train.jsonl'), 'utf8')).split('\n').filter(Boolean);
  await hone.call('POST', '/finetunes', JSON.stringify({ model, name: 'triage' }));
  await hone.upload('triage', 'training_config.json', JSON.stringify({ n_epochs: 4, batch_size: 4, rank: 8, alpha: 12, use_rslora: true, seed: 3 }));
  await hone.upload('triage', 'training_data.jsonl', `${rows.slice(0, 32).join('\n')}\n`);
  assert.equal((await hone.end('triage')).status, 'ready', hone.log());
  // Learnt by heart: no answer hangs on the rounding of llama.cpp's quantised activations.
  questions = rows.slice(0, 4).map((row) => JSON.parse(row).messages.find((m) => m.role === 'user').content);

  adapter = await hone.download('triage', 'adapter.gguf', hone.folder);
  llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error', maxThreads: 2 });
  weights = await llama.loadModel({ modelPath: base });
});

after(async () => {
  await llama?.dispose();
  await hone?.stop();
});

/** llama.cpp's greedy answer. */
async function answer(question, lora) {
  const text = `<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`;
  const context = await weights.createContext({ contextSize: 512, lora });
  const tokens = [];
  for await (const token of context.getSequence().evaluate(weights.tokenize(text, true), { temperature: 0 })) {
    if (token === weights.tokens.eos || tokens.push(token) === TOKENS) break;
  }
  await context.dispose();
  return weights.detokenize(tokens);
}

const ask = (question, lora) => hone.call('POST', `/run/${model}`, JSON.stringify({ messages: [{ role: 'user', content: question }], lora, max_tokens: TOKENS, temperature: 0 }));

test('llama.cpp with the adapter answers as Hone does', async () => {
  for (const question of questions) {
    const [theirs, ours] = [await answer(question, { adapters: [{ filePath: adapter }] }), (await ask(question, 'triage')).response];
    assert.equal(theirs, ours);
  }
});

test('without the adapter it answers otherwise', async () => {
  assert.notEqual(await answer(questions[0]), (await ask(questions[0], 'triage')).response);
});
