// The AI SDK with its provider for servers that are compatible with OpenAI, unchanged.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, Output, generateObject, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { model, startHone } from '../hone.mjs';

let hone;
let provider;

const connect = (apiKey) => createOpenAICompatible({ name: 'hone', apiKey, baseURL: `${hone.proxy.url}/v1`, includeUsage: true, supportsStructuredOutputs: true });

before(async () => {
  hone = await startHone('--no-worker');
  provider = connect(hone.token);
});
after(() => hone?.stop());

/** A request without retries, whose warnings are none: each would be a setting that the provider left out. */
const ask = (more) => ({ model: provider(model), prompt: 'Where is my parcel?', maxOutputTokens: 8, temperature: 0, maxRetries: 0, ...more });

function sound(answer) {
  assert.deepEqual(answer.warnings ?? [], []);
  return answer;
}

const triage = z.object({ queue: z.enum(['billing', 'delivery']), urgent: z.boolean() });

/** What the tool was asked for is kept in `calls`. */
const lookUp = (calls) => tool({
  description: 'Finds a parcel.',
  inputSchema: z.object({ number: z.int().min(1).max(999) }),
  execute: async (input) => {
    calls.push(input);
    return { place: 'Bremen' };
  },
});

describe('text', () => {
  test('generateText and streamText give one text', async () => {
    const whole = sound(await generateText(ask()));
    assert.ok(whole.text.length > 0);
    assert.equal(whole.usage.totalTokens, whole.usage.inputTokens + whole.usage.outputTokens);
    assert.equal(whole.finishReason, 'length');
    assert.equal(whole.response.modelId, model);
    const stream = streamText(ask());
    let streamed = '';
    let pieces = 0;
    for await (const piece of stream.textStream) {
      streamed += piece;
      pieces++;
    }
    assert.equal(streamed, whole.text);
    assert.ok(pieces > 1);
    const { inputTokens, outputTokens } = await stream.usage;
    assert.deepEqual({ inputTokens, outputTokens }, { inputTokens: whole.usage.inputTokens, outputTokens: whole.usage.outputTokens });
    assert.equal(await stream.finishReason, whole.finishReason);
  });

  test('settings and a conversation arrive', async () => {
    const request = ask({
      prompt: undefined, system: 'You are brief.', seed: 5, temperature: 1, topP: 0.9, frequencyPenalty: 0.5, presencePenalty: 0.5, stopSequences: ['\n'],
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'Hello.' }] },
        { role: 'assistant', content: 'Hello, how can I help?' },
        { role: 'user', content: 'Where is my parcel?' },
      ],
    });
    const twice = [sound(await generateText(request)), sound(await generateText(request))];
    assert.equal(twice[0].text, twice[1].text);
    assert.ok(!twice[0].text.includes('\n'));
    // The conversation is longer than its last message.
    assert.ok(twice[0].usage.inputTokens > sound(await generateText(ask())).usage.inputTokens);
  });

  test('completionModel', async () => {
    const answer = sound(await generateText(ask({ model: provider.completionModel(model) })));
    assert.equal(answer.usage.outputTokens, 8);
  });
});

describe('objects', () => {
  test('generateObject by schema', async () => {
    const { object } = sound(await generateObject(ask({ schema: triage, maxOutputTokens: 64 })));
    assert.deepEqual(triage.parse(object), object);
  });

  test('Output.object of generateText and streamText is one', async () => {
    const request = ask({ output: Output.object({ schema: triage }), maxOutputTokens: 64 });
    const whole = sound(await generateText(request)).output;
    const stream = streamText(request);
    let last;
    for await (const part of stream.partialOutputStream) last = part;
    assert.deepEqual(last, whole);
    assert.deepEqual(triage.parse(whole), whole);
  });
});

describe('tools', () => {
  const steps = { stopWhen: stepCountIs(2), maxOutputTokens: 64, prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? { type: 'tool', toolName: 'look_up' } : 'none' }) };

  test('are called, and their result goes back', async () => {
    const calls = [];
    const answer = sound(await generateText(ask({ ...steps, tools: { look_up: lookUp(calls) } })));
    assert.deepEqual(answer.steps.map((step) => step.finishReason === 'tool-calls'), [true, false]);
    assert.equal(calls.length, answer.steps[0].toolCalls.length);
    assert.ok(calls.every(({ number }) => Number.isInteger(number)));
    assert.ok(answer.text.length > 0);
    // The call and its result are in the second prompt; the tools themselves, which may not be called there, are not.
    assert.ok(answer.steps[1].usage.inputTokens > sound(await generateText(ask())).usage.inputTokens);
  });

  test('are called in a stream as well, with the same input', async () => {
    const [whole, streamed] = [[], []];
    await generateText(ask({ ...steps, tools: { look_up: lookUp(whole) } }));
    const stream = streamText(ask({ ...steps, tools: { look_up: lookUp(streamed) } }));
    await stream.consumeStream({ onError: (error) => { throw error; } });
    assert.deepEqual(streamed, whole);
    assert.ok(streamed.length > 0);
    assert.deepEqual((await stream.steps).map((step) => step.finishReason === 'tool-calls'), [true, false]);
  });
});

describe('errors', () => {
  const failed = (status, text, retryable = false) => (error) => APICallError.isInstance(error) && error.statusCode === status && text.test(error.message) && error.isRetryable === retryable;

  test('have the message that Hone gives', async () => {
    await assert.rejects(generateText(ask({ model: provider('none') })), failed(404, /none/));
    await assert.rejects(generateText(ask({ temperature: 9 })), failed(400, /temperature/));
    await assert.rejects(generateText(ask({ model: connect('wrong')(model) })), failed(401, /API key/i));
    await assert.rejects(provider.embeddingModel(model).doEmbed({ values: ['x'] }), failed(404, /not offered/));
  });

  test('a schema that cannot be enforced is named', async () => {
    const schema = z.object({ code: z.string().regex(/(?=a)b/) });
    await assert.rejects(generateObject(ask({ schema })), failed(400, /response_format\.json_schema\.schema.*pattern/));
  });
});
