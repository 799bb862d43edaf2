// The official openai client, unchanged, against both addresses of the dialect.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import OpenAI, { AuthenticationError, BadRequestError, NotFoundError, PermissionDeniedError, RateLimitError, toFile } from 'openai';
import { LengthFinishReasonError } from 'openai/error';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { model, root, startHone } from '../hone.mjs';

let hone;
let client;
let rows;

before(async () => {
  // Jobs are asked for often here.
  hone = await startHone('--rate-limit', 'off');
  client = new OpenAI({ apiKey: hone.token, baseURL: `${hone.proxy.url}/v1`, maxRetries: 0 });
  rows = (await readFile(path.join(root, 'examples/support-triage/train.jsonl'), 'utf8')).trimEnd().split('\n');
});
after(() => hone?.stop());

const data = (count, from = 0) => `${rows.slice(from, from + count).join('\n')}\n`;
const upload = (text, name = 'train.jsonl') => client.files.create({ file: new File([text], name), purpose: 'fine-tune' });
const small = { type: 'supervised', supervised: { hyperparameters: { n_epochs: 2, batch_size: 6, learning_rate_multiplier: 1 } } };

/** Asks until the job is as wanted; a job that ends otherwise fails the test with its error. */
async function reach(id, wanted, api = client) {
  for (;;) {
    const job = await api.fineTuning.jobs.retrieve(id);
    if (wanted(job)) return job;
    if (['failed', 'cancelled', 'succeeded'].includes(job.status)) throw new Error(`the job is ${job.status}: ${JSON.stringify(job.error)}\n${hone.log()}`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

async function messages(id) {
  const all = [];
  for await (const event of client.fineTuning.jobs.listEvents(id, { limit: 7 })) all.unshift(event.message);
  return all;
}

describe('files', () => {
  test('create, retrieve, list, content, delete', async () => {
    const made = await upload(data(12), 'ä.jsonl');
    assert.equal(made.filename, 'ä.jsonl');
    assert.equal(made.bytes, Buffer.byteLength(data(12)));
    assert.deepEqual(await client.files.retrieve(made.id), made);
    const listed = [];
    for await (const file of client.files.list({ purpose: 'fine-tune', limit: 1 })) listed.push(file.id);
    assert.equal(listed.filter((id) => id === made.id).length, 1);
    assert.equal(await (await client.files.content(made.id)).text(), data(12));
    assert.equal((await client.files.delete(made.id)).deleted, true);
    await assert.rejects(client.files.retrieve(made.id), NotFoundError);
    await assert.rejects(client.files.create({ file: new File(['x'], 'x'), purpose: 'assistants' }), (error) => error instanceof BadRequestError && error.param === 'purpose');
  });

  test('uploads: parts, completed in their order; cancel', async () => {
    const text = Buffer.from(data(12));
    const made = await client.uploads.create({ filename: 'parts.jsonl', purpose: 'fine-tune', bytes: text.length, mime_type: 'text/jsonl' });
    const second = await client.uploads.parts.create(made.id, { data: await toFile(text.subarray(500)) });
    const first = await client.uploads.parts.create(made.id, { data: await toFile(text.subarray(0, 500)) });
    const done = await client.uploads.complete(made.id, { part_ids: [first.id, second.id] });
    assert.equal(done.status, 'completed');
    assert.equal(await (await client.files.content(done.file.id)).text(), data(12));
    const other = await client.uploads.create({ filename: 'x', purpose: 'fine-tune', bytes: 1, mime_type: 'text/jsonl' });
    assert.equal((await client.uploads.cancel(other.id)).status, 'cancelled');
  });
});

describe('a job', () => {
  let job;

  before(async () => {
    const training = await upload(data(12));
    const validation = await upload(data(12, 12), 'valid.jsonl');
    job = await client.fineTuning.jobs.create({ model, training_file: training.id, validation_file: validation.id, suffix: 'triage', seed: 7, metadata: { team: 'support' }, method: small });
    assert.match(job.id, /^ftjob-/);
    job = await reach(job.id, (j) => j.status === 'succeeded');
  });

  test('has its fields when it has succeeded', async () => {
    assert.equal(job.fine_tuned_model, `ft:${model}:${hone.accountId}:triage:${job.fine_tuned_model.split(':').at(-1)}`);
    assert.ok(job.trained_tokens > 0);
    assert.ok(job.finished_at >= job.created_at);
    assert.equal(job.error, null);
    assert.equal(job.estimated_finish, null);
    assert.deepEqual(job.hyperparameters, { n_epochs: 2, batch_size: 6, learning_rate_multiplier: 1 });
    assert.equal(job.result_files.length, 1);
  });

  test('tells of itself in the original\'s order', async () => {
    const told = await messages(job.id);
    const order = [/^Created fine-tuning job: ftjob-/, /^Validating training file: file-\w+ and validation file: file-/, /^Files validated, moving job to queued state$/, /^Fine-tuning job started$/, /^Step 1\/4: training loss=/, /^Step 4\/4: training loss=/, /^New fine-tuned model created: ft:/, /^The job has successfully completed$/];
    const places = order.map((text) => told.findIndex((m) => text.test(m)));
    assert.ok(places.every((p) => p >= 0), told.join('\n'));
    assert.deepEqual(places, places.toSorted((a, b) => a - b));
  });

  test('has a checkpoint an epoch, each of which answers', async () => {
    const checkpoints = [];
    for await (const checkpoint of client.fineTuning.jobs.checkpoints.list(job.id, { limit: 1 })) checkpoints.push(checkpoint);
    assert.deepEqual(checkpoints.map((c) => c.step_number), [4, 2]);
    for (const checkpoint of checkpoints) {
      assert.equal(checkpoint.fine_tuned_model_checkpoint, `${job.fine_tuned_model}:ckpt-step-${checkpoint.step_number}`);
      assert.ok(checkpoint.metrics.train_loss > 0 && checkpoint.metrics.full_valid_loss > 0);
      const answer = await ask({ model: checkpoint.fine_tuned_model_checkpoint });
      assert.equal(answer.model, checkpoint.fine_tuned_model_checkpoint);
      assert.equal(typeof answer.choices[0].message.content, 'string');
    }
    // After the last step the adapter is the model's.
    const [last, model1] = [await ask({ model: checkpoints[0].fine_tuned_model_checkpoint }), await ask({ model: job.fine_tuned_model })];
    assert.equal(last.choices[0].message.content, model1.choices[0].message.content);
  });

  test('has a result file', async () => {
    const [id] = job.result_files;
    assert.equal((await client.files.retrieve(id)).purpose, 'fine-tune-results');
    const lines = (await (await client.files.content(id)).text()).trimEnd().split('\n');
    assert.equal(lines[0], 'step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy');
    assert.equal(lines.length, 5);
    assert.match(lines[1], /^1,\d+(\.\d+)?,\d+(\.\d+)?,,$/);
    assert.match(lines[4], /^4,[\d.]+,[\d.]+,[\d.]+,[\d.]+$/);
  });

  test('is a finetune of the other dialect', async () => {
    const finetune = await hone.call('GET', `/finetunes/${job.fine_tuned_model.split(':').at(-1)}`);
    assert.equal(finetune.status, 'ready');
    const prompt = { messages: [{ role: 'user', content: 'Where is my parcel?' }], max_tokens: 8, temperature: 0 };
    const there = await hone.call('POST', `/run/${model}`, JSON.stringify({ ...prompt, lora: finetune.id }));
    assert.equal(there.response, (await ask({ model: job.fine_tuned_model })).choices[0].message.content);
  });

  test('is gone on with, by preference pairs', async () => {
    const pairs = data(12).trimEnd().split('\n').map((row) => {
      const { messages } = JSON.parse(row);
      return JSON.stringify({ input: { messages: messages.slice(0, -1) }, preferred_output: messages.slice(-1), non_preferred_output: [{ role: 'assistant', content: 'I cannot say.' }] });
    });
    const file = await upload(`${pairs.join('\n')}\n`);
    const checkpoint = `${job.fine_tuned_model}:ckpt-step-2`;
    const made = await client.fineTuning.jobs.create({ model: checkpoint, training_file: file.id, method: { type: 'dpo', dpo: { hyperparameters: { n_epochs: 1, batch_size: 6 } } } });
    assert.equal(made.model, checkpoint);
    const done = await reach(made.id, (j) => j.status === 'succeeded');
    const [, first, second] = (await (await client.files.content(done.result_files[0])).text()).trimEnd().split('\n').map((line) => Number(line.split(',')[1]));
    assert.ok(Math.abs(first - Math.log(2)) < 1e-4, `DPO begins at ${first}: its reference is not the model it goes on with`);
    assert.ok(second < first);
    assert.equal(typeof (await ask({ model: done.fine_tuned_model })).choices[0].message.content, 'string');
    await client.models.delete(done.fine_tuned_model);
  });

  test('is found by its metadata, and its model in the list; deleting that deletes it', async () => {
    const found = [];
    for await (const other of client.fineTuning.jobs.list({ limit: 1, metadata: { team: 'support' } })) found.push(other.id);
    assert.deepEqual(found, [job.id]);
    const names = [];
    for await (const item of client.models.list()) names.push(item.id);
    for (const name of [model, job.fine_tuned_model, `${job.fine_tuned_model}:ckpt-step-2`]) assert.ok(names.includes(name), name);
    assert.equal((await client.models.retrieve(job.fine_tuned_model)).owned_by, hone.accountId);
    await assert.rejects(client.models.delete(model), PermissionDeniedError);
    assert.equal((await client.models.delete(job.fine_tuned_model)).deleted, true);
    await assert.rejects(client.fineTuning.jobs.retrieve(job.id), NotFoundError);
    await assert.rejects(ask({ model: job.fine_tuned_model }), NotFoundError);
  });

  test('with a broken row fails and names its line', async () => {
    const file = await upload(`${data(11)}{"messages":[]}\n`);
    const made = await client.fineTuning.jobs.create({ model, training_file: file.id });
    const failed = await reach(made.id, (j) => j.status === 'failed');
    assert.equal(failed.error.param, 'training_file');
    assert.match(failed.error.message, /line 12/i);
  });

  test('pause, resume, cancel', async () => {
    const file = await upload(data(60));
    const made = await client.fineTuning.jobs.create({ model, training_file: file.id, hyperparameters: { n_epochs: 50, batch_size: 6 } });
    const events = await client.fineTuning.jobs.listEvents(made.id);
    assert.ok(events.data.length > 0);
    await reach(made.id, (j) => j.status === 'running' && j.estimated_finish > 0);
    await client.fineTuning.jobs.pause(made.id);
    await reach(made.id, (j) => j.status === 'paused');
    await assert.rejects(client.models.delete(`ft:${model}:x:y:z`), NotFoundError);
    assert.equal((await client.fineTuning.jobs.resume(made.id)).status, 'queued');
    await reach(made.id, (j) => j.status === 'running');
    const told = async () => (await messages(made.id)).some((m) => /^Fine-tuning job resumed from step \d+$/.test(m));
    while (!await told()) await new Promise((resolve) => { setTimeout(resolve, 100); });
    assert.equal((await client.fineTuning.jobs.cancel(made.id)).status, 'cancelled');
    for (const verb of ['cancel', 'pause', 'resume']) await assert.rejects(client.fineTuning.jobs[verb](made.id), BadRequestError);
    for (;;) {
      const job = await client.fineTuning.jobs.retrieve(made.id);
      assert.equal(job.status, 'cancelled');
      if (job.finished_at > 0) break;
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  });
});

const ask = (more) => client.chat.completions.create({ model, messages: [{ role: 'user', content: 'Where is my parcel?' }], max_tokens: 8, temperature: 0, ...more });

describe('chat.completions', () => {
  test('create, stream and the .stream() helper give one text', async () => {
    const whole = await ask();
    const text = whole.choices[0].message.content;
    assert.equal(whole.object, 'chat.completion');
    assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
    let streamed = '';
    let usage;
    for await (const chunk of await ask({ stream: true, stream_options: { include_usage: true } })) {
      streamed += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    assert.equal(streamed, text);
    assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
    const helper = client.chat.completions.stream({ model, messages: [{ role: 'user', content: 'Where is my parcel?' }], max_tokens: 8, temperature: 0 });
    assert.equal(await helper.finalContent(), text);
    assert.equal((await helper.finalChatCompletion()).choices[0].finish_reason, whole.choices[0].finish_reason);
  });

  test('n answers with a seed are the same again', async () => {
    const twice = await Promise.all([1, 2].map(() => ask({ n: 3, seed: 5, temperature: 1 })));
    assert.equal(twice[0].choices.length, 3);
    assert.deepEqual(twice[0].choices, twice[1].choices);
  });

  test('under the account\'s address as well', async () => {
    const other = new OpenAI({ apiKey: hone.token, baseURL: `${hone.proxy.url}/client/v4/accounts/${hone.accountId}/ai/v1`, maxRetries: 0 });
    assert.equal((await other.models.retrieve(model)).id, model);
    assert.ok((await other.files.list()).data.length >= 0);
  });

  test('log-probabilities', async () => {
    const { content } = (await ask({ logprobs: true, top_logprobs: 2 })).choices[0].logprobs;
    assert.ok(content.length > 0);
    for (const token of content) {
      assert.ok(token.logprob <= 0);
      assert.equal(token.top_logprobs.length, 2);
      // The greedy token is the likeliest one.
      assert.equal(token.top_logprobs[0].token, token.token);
    }
  });

  test('logit_bias forces a token, keeps to a schema, and knows the vocabulary', async () => {
    const { content } = (await ask({ logit_bias: { 300: 100 }, temperature: 1, max_tokens: 4, logprobs: true })).choices[0].logprobs;
    assert.equal(content.length, 4);
    assert.equal(new Set(content.map((token) => token.token)).size, 1);
    const response_format = { type: 'json_schema', json_schema: { name: 'one', schema: { enum: ['a', 'b'] } } };
    assert.ok(['"a"', '"b"'].includes((await ask({ logit_bias: { 300: 100 }, response_format })).choices[0].message.content));
    await assert.rejects(ask({ logit_bias: { 49152: 1 } }), (error) => error instanceof BadRequestError && /49152/.test(error.message));
  });

  /** All that the client's helper writes of a schema is enforced. */
  const ticket = z.object({
    queue: z.enum(['billing', 'delivery']),
    urgent: z.boolean(),
    priority: z.int().min(1).max(5),
    note: z.string().max(12).nullable(),
    customer: z.object({ name: z.string().min(1).max(12), mail: z.email(), id: z.uuid(), since: z.iso.date().nullable(), at: z.iso.datetime(), address: z.ipv4() }),
    tags: z.array(z.enum(['late', 'lost', 'paid'])).min(1).max(3),
    place: z.tuple([z.literal('shelf'), z.int().min(0).max(90)]),
    cause: z.discriminatedUnion('kind', [z.object({ kind: z.literal('weather'), days: z.int().min(0).max(9) }), z.object({ kind: z.literal('other'), known: z.boolean() })]),
    counts: z.record(z.enum(['in', 'out']), z.number().min(0).max(1)),
    code: z.string().startsWith('HN-').max(8),
    before: z.union([z.int().positive().max(99), z.null()]),
  });
  const request = { model, messages: [{ role: 'user', content: 'My parcel is late.' }], max_tokens: 800, temperature: 0 };

  test('parse with a schema of zod', async () => {
    const { finish_reason, message } = (await client.chat.completions.parse({ ...request, response_format: zodResponseFormat(ticket, 'ticket') })).choices[0];
    assert.equal(finish_reason, 'stop');
    assert.deepEqual(ticket.parse(JSON.parse(message.content)), message.parsed);
  });

  test('parse with a schema that refers to itself, streamed', async () => {
    const thread = z.object({ from: z.enum(['us', 'them']), get answers() { return z.array(thread).max(1); } });
    const stream = client.chat.completions.stream({ ...request, temperature: 2, seed: 1, response_format: zodResponseFormat(z.object({ thread }), 'threads') });
    const { finish_reason, message } = (await stream.finalChatCompletion()).choices[0];
    assert.equal(finish_reason, 'stop');
    assert.ok(['us', 'them'].includes(message.parsed.thread.from));
  });

  test('parse says that an answer was cut', async () => {
    await assert.rejects(client.chat.completions.parse({ ...request, max_tokens: 4, response_format: zodResponseFormat(ticket, 'ticket') }), LengthFinishReasonError);
  });

  test('parse with a schema that cannot be enforced names the keyword', async () => {
    const schema = z.object({ parts: z.array(z.object({ number: z.int().multipleOf(2) })) });
    await assert.rejects(client.chat.completions.parse({ ...request, response_format: zodResponseFormat(schema, 'parts') }),
      (error) => error instanceof BadRequestError && error.param === 'response_format' && /\$\.properties\.parts\.items\.properties\.number\.multipleOf/.test(error.message));
  });

  test('parse reads the arguments of a function of zod', async () => {
    const look = zodFunction({ name: 'look_up', parameters: z.object({ number: z.int().min(1).max(999), kind: z.enum(['parcel', 'letter']) }) });
    const { message } = (await client.chat.completions.parse({ ...request, tools: [look], tool_choice: 'required', parallel_tool_calls: false })).choices[0];
    const { number, kind } = message.tool_calls[0].function.parsed_arguments;
    assert.ok(Number.isInteger(number) && number >= 1 && number <= 999 && ['parcel', 'letter'].includes(kind));
  });

  test('tools are called where they must be', async () => {
    const tools = [{ type: 'function', function: { name: 'look_up', description: 'Finds a parcel.', parameters: { type: 'object', properties: { number: { type: 'integer' } }, required: ['number'], additionalProperties: false } } }];
    const [choice] = (await ask({ tools, tool_choice: { type: 'function', function: { name: 'look_up' } }, max_tokens: 96 })).choices;
    assert.equal(choice.finish_reason, 'tool_calls');
    assert.equal(choice.message.tool_calls[0].function.name, 'look_up');
    assert.ok(Number.isInteger(JSON.parse(choice.message.tool_calls[0].function.arguments).number));
  });

  test('completions score a prompt, which may come as tokens: what evaluation harnesses ask for', async () => {
    const prompt = 'The capital of France is';
    const said = (await client.completions.create({ model, prompt, max_tokens: 8, temperature: 0, logprobs: 1 })).choices[0];
    const scored = async (given, more) => (await client.completions.create({ model, prompt: given, echo: true, logprobs: 1, max_tokens: 1, temperature: 0, ...more })).choices[0];
    const close = (a, b) => a.forEach((x, i) => assert.ok(Math.abs(x - b[i]) < 1e-3, `${i}: ${x}, ${b[i]}`));

    const whole = await scored(prompt + said.text);
    const { tokens, token_logprobs: figures, top_logprobs: best, text_offset: offsets } = whole.logprobs;
    assert.equal(tokens.join(''), whole.text);
    assert.ok(whole.text.startsWith(prompt + said.text));
    assert.deepEqual([figures[0], best[0]], [null, {}]);
    assert.deepEqual(tokens.slice(-9, -1), said.logprobs.tokens);
    close(figures.slice(-9, -1), said.logprobs.token_logprobs);
    for (const [i, token] of tokens.entries()) {
      assert.ok(whole.text.startsWith(token, offsets[i]));
      if (i >= tokens.length - 9) assert.deepEqual(Object.keys(best[i]), [token], 'greedy tokens are the likeliest');
    }

    // More than a pass takes of a prompt at once begins with the same figures.
    const long = await scored(`${prompt}. `.repeat(70));
    assert.ok(long.logprobs.tokens.length > 400);
    close(long.logprobs.token_logprobs.slice(1, 5), figures.slice(1, 5));
    assert.ok(long.logprobs.token_logprobs.slice(1).every((x) => x < 0));

    const ids = [504, 3575, 282, 4649, 314];
    const [byText, byIds] = [await scored(prompt), await scored(ids)];
    assert.equal(byIds.text, byText.text);
    close(byIds.logprobs.token_logprobs.slice(1), byText.logprobs.token_logprobs.slice(1));
    const plain = await client.completions.create({ model, prompt: [ids, ids], echo: true, max_tokens: 1, temperature: 0 });
    assert.deepEqual(plain.choices.map((c) => c.text), [byText.text, byText.text]);
    await assert.rejects(client.completions.create({ model, prompt: [49152] }), /'prompt' names the token 49152/);

    let text = '';
    const pieces = [];
    for await (const chunk of await client.completions.create({ model, prompt: ids, echo: true, logprobs: 1, max_tokens: 1, temperature: 0, stream: true })) {
      text += chunk.choices[0].text;
      pieces.push(...(chunk.choices[0].logprobs?.token_logprobs ?? []));
    }
    assert.equal(text, byText.text);
    assert.deepEqual(pieces, byIds.logprobs.token_logprobs);
  });

  test('completions', async () => {
    const answer = await client.completions.create({ model, prompt: 'The parcel is', max_tokens: 4, temperature: 0 });
    assert.equal(answer.object, 'text_completion');
    let streamed = '';
    for await (const chunk of await client.completions.create({ model, prompt: 'The parcel is', max_tokens: 4, temperature: 0, stream: true })) streamed += chunk.choices[0]?.text ?? '';
    assert.equal(streamed, answer.choices[0].text);
  });
});

describe('errors', () => {
  test('have the client\'s types, codes and request ids', async () => {
    await assert.rejects(ask({ model: 'gpt-none' }), (error) => error instanceof NotFoundError && error.code === 'model_not_found' && error.param === 'model' && /^req_/.test(error.requestID));
    await assert.rejects(ask({ temperature: 9 }), (error) => error instanceof BadRequestError && error.type === 'invalid_request_error' && error.param === 'temperature');
    await assert.rejects(ask({ top_logprobs: 2 }), BadRequestError);
    await assert.rejects(client.embeddings.create({ model, input: 'x' }), (error) => error instanceof NotFoundError && /not offered/.test(error.message));
    await assert.rejects(client.fineTuning.jobs.retrieve('ftjob-none'), NotFoundError);
    await assert.rejects(client.fineTuning.jobs.create({ model, training_file: 'file-none' }), (error) => error instanceof BadRequestError && error.param === 'training_file');
    const wrong = new OpenAI({ apiKey: 'wrong', baseURL: `${hone.proxy.url}/v1`, maxRetries: 0 });
    await assert.rejects(wrong.models.list(), (error) => error instanceof AuthenticationError && error.code === 'invalid_api_key');
  });

  test('too many requests are a RateLimitError that says when to come back', async () => {
    const strict = await startHone('--rate-limit', '2/300', '--no-worker');
    try {
      const hasty = new OpenAI({ apiKey: strict.token, baseURL: `${strict.proxy.url}/v1`, maxRetries: 0 });
      await hasty.models.list();
      await hasty.models.list();
      await assert.rejects(hasty.models.list(), (error) => error instanceof RateLimitError && error.code === 'rate_limit_exceeded' && error.type === 'requests'
        && Number(error.headers.get('retry-after')) > 0 && error.headers.get('x-ratelimit-limit-requests') === '2' && error.headers.get('x-ratelimit-remaining-requests') === '0');
    } finally {
      await strict.stop();
    }
  });

  test('a full account is a RateLimitError that is not repeated', async () => {
    const small = await startHone('--finetunes-per-account', '1', '--no-worker');
    try {
      const api = new OpenAI({ apiKey: small.token, baseURL: `${small.proxy.url}/v1`, maxRetries: 2 });
      const file = await api.files.create({ file: new File([data(12)], 'rows.jsonl'), purpose: 'fine-tune' });
      await api.fineTuning.jobs.create({ model, training_file: file.id });
      const from = small.proxy.requests.length;
      await assert.rejects(api.fineTuning.jobs.create({ model, training_file: file.id }), (error) => error instanceof RateLimitError && error.code === 'insufficient_quota' && error.type === 'insufficient_quota');
      assert.equal(small.proxy.requests.length, from + 1);
    } finally {
      await small.stop();
    }
  });
});
