// Each family's GGUF gives Hone the probabilities that llama.cpp has, alone and with the adapter that Hone writes for llama.cpp.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { getLlama } from 'node-llama-cpp';
import { root, startHone } from '../../clients/hone.mjs';
import { convert } from '../gguf.mjs';

const FAMILIES = ['llama', 'llama3', 'qwen2', 'qwen3', 'gemma', 'gemma2', 'gemma3', 'phi3', 'smollm3', 'olmo2', 'granite'];
const PROMPT = 'Whoever-reads-this-to-its-end-has-read-some-fifty-tokens.';
const TOKENS = 8;
const references = path.join(root, 'tests/references/models');
const vocabularies = new Map();
let hone, llama, folder;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hone-families-'));
  for (const family of FAMILIES) {
    const { bytes, tokens } = await convert(path.join(references, family));
    await writeFile(path.join(folder, `${family}.gguf`), bytes);
    vocabularies.set(family, tokens);
  }
  hone = await startHone('--models', folder);
  llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error', maxThreads: 1 });
});

after(async () => {
  await llama?.dispose();
  await hone?.stop();
  await rm(folder, { recursive: true, force: true });
});

for (const family of FAMILIES) {
  test(family, async () => {
    const model = `@local/${family}`;
    const weights = await llama.loadModel({ modelPath: path.join(folder, `${family}.gguf`) });
    const base = await answer(model);
    await compare(base, weights, family);

    const { id } = await hone.call('POST', '/finetunes', JSON.stringify({ model, name: family }));
    for (const file of ['adapter_config.json', 'adapter_model.safetensors']) await hone.upload(family, file, await readFile(path.join(references, family, 'adapter', file)));
    const adapted = await answer(`ft:${model}:${hone.accountId}:${family}:${id}`);
    assert.notDeepEqual(adapted, base);
    const target = await mkdir(path.join(folder, `${family}-adapter`), { recursive: true });
    await compare(adapted, weights, family, { adapters: [{ filePath: await hone.download(family, 'adapter.gguf', target) }] });
    await weights.dispose();
  });
}

/** Hone's greedy tokens after the prompt, each with the log probabilities of the five best. */
async function answer(model) {
  const response = await fetch(`${hone.url}/v1/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${hone.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, prompt: PROMPT, max_tokens: TOKENS, temperature: 0, logprobs: 5 }),
  });
  const answer = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  const { tokens, top_logprobs: tops } = answer.choices[0].logprobs;
  return tokens.map((token, i) => ({ token, top: tops[i] }));
}

/** Holds the log probabilities to those of llama.cpp, whose GELU is a table of 16-bit numbers. */
async function compare(answer, weights, family, lora) {
  const tolerance = family.startsWith('gemma') ? 1e-2 : 1e-4, vocabulary = vocabularies.get(family);
  const context = await weights.createContext({ contextSize: 128, experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32', flashAttention: false, lora });
  const sequence = context.getSequence();
  let next = [...PROMPT], read = 0;
  for (const { token, top } of answer) {
    const { value } = await sequence.evaluateWithMetadata(next.map((t) => vocabulary.indexOf(t)), { probabilities: true }, { temperature: 1, topK: 0, topP: 1, minP: 0, yieldEogToken: true }).next();
    for (const [best, logProbability] of Object.entries(top)) {
      const theirs = Math.log(value.probabilities.get(vocabulary.indexOf(best)));
      assert.ok(Math.abs(logProbability - theirs) < tolerance, `${best} after ${read + next.length} tokens: ${logProbability}, llama.cpp has ${theirs}`);
    }
    read += next.length;
    await sequence.eraseContextTokenRanges([{ start: read, end: read + 1 }]); // what llama.cpp drew
    next = [token];
  }
  await context.dispose();
}
