// Hone beside llama.cpp on the same file in the same run, as one line of JSON: node speed.mjs [TOKENS] [PROMPT_TOKENS]
// Not a test: what comes out hangs on the machine.
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { executable, root } from '../clients/hone.mjs';

const [tokens = '128', promptTokens = '512'] = process.argv.slice(2);
const model = path.join(root, 'models/SmolLM2-135M-Instruct.Q4_1.gguf'), threads = String(availableParallelism());
const run = (program, ...args) => JSON.parse(execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim().split('\n').at(-1));
const llama = run(process.execPath, path.join(import.meta.dirname, 'speed.llama.mjs'), model, tokens, threads, promptTokens);
const [program, ...leading] = executable();
const hone = run(program, ...leading, 'bench', 'serve', '--model', model, '--tokens', tokens, '--prompt-tokens', promptTokens, '--threads', threads, '--json');
const named = Object.fromEntries(Object.entries(llama).map(([name, value]) => [`llama_cpp_${name}`, value]));
console.log(JSON.stringify({
  ...hone,
  ...named,
  decode_to_llama_cpp: hone.decode_tokens_per_s / llama.decode_tokens_per_s,
  prompt_to_llama_cpp: hone.prompt_tokens_per_s / llama.prompt_tokens_per_s,
  first_token_to_llama_cpp: hone.first_token_ms / llama.first_token_ms,
}));
