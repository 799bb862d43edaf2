// A real `hone serve` on a free port over a fresh data folder, and what the tests ask of it directly.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { startProxy } from './published.mjs';

export const root = path.resolve(import.meta.dirname, '../..');
export const model = '@cf/huggingfacetb/smollm2-135m-instruct';

export function executable() {
  const given = process.env.HONE_EXECUTABLE ?? path.join(root, 'src/Hone/bin/Release/net10.0/hone');
  if (!existsSync(given)) throw new Error(`${given} does not exist: build src/Hone, or set HONE_EXECUTABLE`);
  return given.endsWith('.dll') ? ['dotnet', given] : [given];
}

/** @param options of `hone serve`, beside those that make it a child */
export async function startHone(...options) {
  const folder = await mkdtemp(path.join(tmpdir(), 'hone-clients-'));
  const [program, ...leading] = executable();
  const child = spawn(program, [...leading, 'serve', '--listen', 'http://127.0.0.1:0', '--data', path.join(folder, 'data'), '--json', '--until-input-ends', ...options], { stdio: ['pipe', 'pipe', 'pipe'] });
  let log = '';
  child.stderr.on('data', (text) => { log += text; });
  const ended = once(child, 'exit');
  const line = createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  const first = await Promise.race([line, ended.then(() => undefined)]);
  if (!first?.value) throw new Error(`hone serve did not start:\n${log}`);
  const { url, account_id: accountId, token, email, key } = JSON.parse(first.value);
  return new Hone({ child, ended, folder, url, accountId, token, email, key, log: () => log, proxy: await startProxy(url) });
}

class Hone {
  constructor(fields) {
    Object.assign(this, fields);
    // Clients come through the proxy, which holds every answer to the published schema.
    this.baseURL = `${this.proxy.url}/client/v4`;
  }

  /** The result of a call, or an error with the whole answer. */
  async call(method, route, body) {
    const response = await fetch(`${this.baseURL}/accounts/${this.accountId}/ai${route}`, { method, body, headers: { authorization: `Bearer ${this.token}` } });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${text}`);
    return JSON.parse(text).result;
  }

  async upload(finetune, fileName, bytes) {
    const form = new FormData();
    form.set('file_name', fileName);
    form.set('file', new Blob([bytes]));
    return this.call('POST', `/finetunes/${finetune}/finetune-assets`, form);
  }

  /** Follows the events to the final state. */
  async end(finetune) {
    const response = await fetch(`${this.baseURL}/accounts/${this.accountId}/ai/finetunes/${finetune}/events`, { headers: { authorization: `Bearer ${this.token}`, accept: 'text/event-stream' } });
    let text = '';
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) text += chunk;
    const last = text.trimEnd().split('\n\n').at(-1);
    if (!last.startsWith('event: state\n')) throw new Error(`the stream ended with ${last}`);
    return JSON.parse(last.split('\ndata: ')[1]);
  }

  /** Trains a small adapter on the example's first rows and downloads it into a folder. */
  async train(name) {
    const rows = (await readFile(path.join(root, 'examples/support-triage/train.jsonl'), 'utf8')).split('\n').slice(0, 12).join('\n');
    await this.call('POST', '/finetunes', JSON.stringify({ model, name }));
    await this.upload(name, 'training_config.json', JSON.stringify({ n_epochs: 1, batch_size: 6, rank: 4, seed: 7 }));
    await this.upload(name, 'training_data.jsonl', `${rows}\n`);
    const state = await this.end(name);
    if (state.status !== 'ready') throw new Error(`training ended ${state.status}: ${JSON.stringify(state.error)}\n${this.log()}`);
    const folder = await mkdtemp(path.join(this.folder, 'adapter-'));
    for (const file of ['adapter_config.json', 'adapter_model.safetensors']) await this.download(name, file, folder);
    return folder;
  }

  /** Writes a finetune's file into a folder, and answers its path. */
  async download(finetune, file, folder) {
    const response = await fetch(`${this.baseURL}/accounts/${this.accountId}/ai/finetunes/${finetune}/finetune-assets/${file}`, { headers: { authorization: `Bearer ${this.token}` } });
    if (!response.ok) throw new Error(`${file}: ${response.status} ${await response.text()}`);
    const target = path.join(folder, file);
    await writeFile(target, Buffer.from(await response.arrayBuffer()));
    return target;
  }

  async stop() {
    await this.proxy.stop();
    this.child.stdin.end();
    const [code] = await this.ended;
    await rm(this.folder, { recursive: true });
    if (code !== 0) throw new Error(`hone serve ended with ${code}:\n${this.log()}`);
    assert.deepEqual([...new Set(this.proxy.violations)], [], 'answers off the published schema');
  }
}

export const sha256 = async (file) => createHash('sha256').update(await readFile(file)).digest('hex');

/** Runs a program to its end with this environment and no other. */
export async function run(program, args, env, cwd) {
  const child = spawn(program, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (text) => { out += text; });
  child.stderr.on('data', (text) => { err += text; });
  const [code] = await once(child, 'close');
  return { code, out, err };
}
