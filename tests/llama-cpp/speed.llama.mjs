// llama.cpp's rates on the embedded base, as one line of JSON: node speed.llama.mjs MODEL TOKENS THREADS PROMPT_TOKENS
import { getLlama } from 'node-llama-cpp';

const [modelPath, tokens, threads, promptTokens] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const text = 'Explain in a few sentences how a sailing ship can move against the wind, and why it cannot sail straight into it. ';
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error', maxThreads: threads });
const model = await llama.loadModel({ modelPath });

/** A prompt of exactly so many tokens, then greedy tokens without regard to the end of the answer. */
async function measure(length, count) {
  const context = await model.createContext({ contextSize: length + count + 64, batchSize: 512, threads });
  const sequence = context.getSequence();
  const prompt = model.tokenize(text.repeat(Math.ceil(length / 20)), false).slice(0, length);
  const began = performance.now();
  let first, produced = 0;
  for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    first ??= performance.now();
    if (++produced > count) break;
  }
  const rates = { prompt: prompt.length / (first - began) * 1000, decode: (produced - 1) / (performance.now() - first) * 1000, first: first - began };
  await context.dispose();
  return rates;
}

await measure(32, 8); // warm
const [long, short] = [await measure(promptTokens, 1), await measure(100, tokens)];
console.log(JSON.stringify({ decode_tokens_per_s: short.decode, prompt_tokens_per_s: long.prompt, first_token_ms: short.first }));
await llama.dispose();
process.exit(0);
