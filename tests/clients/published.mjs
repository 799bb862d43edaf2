// Stands between a client and Hone, passes everything on, and holds every JSON answer to the original's published schema (openapi-ai.json);
// those of OpenAI's dialect, the events of its streams too, to the document that Hone itself publishes.
import http from 'node:http';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

/** What the published schema says and the original itself does not do: the clients are made for what it does. Each is undone where the schema is read. */
export const knownErrors = [
  {
    path: '/accounts/{account_id}/ai/finetunes', method: 'get', status: '200', what: 'result is an array, not one object',
    mend: (schema) => { schema.properties.result = { type: 'array', items: schema.properties.result }; },
  },
  ...['search', 'authors', 'tasks'].map((what) => ({
    path: what === 'search' ? '/accounts/{account_id}/ai/models/search' : `/accounts/{account_id}/ai/${what}/search`, method: 'get', status: '200',
    what: 'messages are objects with code and message, not strings',
    mend: (schema) => { for (const form of schema.anyOf ?? [schema]) if (form.properties?.messages) form.properties.messages.items = { type: 'object' }; },
  })),
  {
    path: '/accounts/{account_id}/ai/finetunes/{finetune_id}/finetune-assets', method: 'post', status: '200', what: 'result is there: SDK 4 and the Python SDK read it',
    mend: (schema) => { schema.properties.result = { type: 'object' }; schema.required = ['success', 'result']; },
  },
  {
    path: '/accounts/{account_id}/ai/run/{model_name}', method: 'post', status: '200', what: 'response may be empty text, or with response_format the value itself, usage stands beside it, and other kinds of models answer otherwise',
    mend: (schema) => { schema.properties.result = { type: 'object', properties: { response: { type: ['string', 'object'] }, usage: { type: 'object' } }, required: ['response'] }; },
  },
];

/** Errors of the gateway have a null result; the schema of each call knows those of the AI endpoints alone. */
const gateway = {
  type: 'object', required: ['success', 'errors', 'messages', 'result'],
  properties: {
    success: { const: false }, messages: { type: 'array' }, result: { type: 'null' },
    errors: { type: 'array', minItems: 1, items: { type: 'object', required: ['code', 'message'], properties: { code: { type: 'integer' }, message: { type: 'string' } } } },
  },
};

const document = JSON.parse(readFileSync(path.join(import.meta.dirname, 'openapi-ai.json'), 'utf8'));
const ajv = new Ajv({ strict: false, allErrors: true });
addFormats(ajv);
ajv.addSchema({ $id: 'published', components: document.components });

// The newer copy names a component that came along under its older name alone.
const local = (value) => JSON.parse(JSON.stringify(value).replaceAll('iam_token_verify_response_single_segment', 'iam_response_single_segment').replaceAll('"#/components/', '"published#/components/'));
const paths = { ...document.paths_2024, ...document.paths_2026 };
const operations = Object.entries(paths).flatMap(([template, item]) => Object.entries(item).map(([method, operation]) => {
  const pattern = template.replace('{model_name}', '(?:.+)').replace(/\{\w+\}/g, '[^/]+');
  const responses = Object.entries(operation.responses).map(([status, response]) => {
    const schema = local(response.content?.['application/json']?.schema ?? {});
    for (const known of knownErrors) if (known.path === template && known.method === method && known.status === status) known.mend(schema);
    return [status, ajv.compile(schema)];
  });
  return { template, method, pattern: new RegExp(`^/client/v4${pattern}/?$`), responses: Object.fromEntries(responses) };
}));
// Longer templates first: /finetunes/public is no finetune.
operations.sort((a, b) => b.template.length - a.template.length);
const isGateway = ajv.compile(gateway);

/** What is wrong with an answer; undefined: nothing, or the document does not know the call. */
export function check(method, pathname, status, body) {
  const operation = operations.find((o) => o.method === method.toLowerCase() && o.pattern.test(pathname));
  if (!operation) return undefined;
  const expected = operation.responses[status] ?? (status >= 400 && status < 500 ? operation.responses['4XX'] ?? operation.responses['400'] : undefined);
  const validators = status < 400 ? [expected] : [expected, isGateway].filter(Boolean);
  if (validators.some((validate) => validate?.(body))) return undefined;
  return `${method} ${pathname} ${status}: ${ajv.errorsText((expected ?? isGateway).errors)}`;
}

/** Hone's own document: what is wrong with an answer under either address of OpenAI's dialect; undefined: nothing, or it is no call of it. */
async function openAI(url) {
  const { paths } = await (await fetch(`${url}/openapi.json`)).json();
  const own = new Ajv2020({ strict: false, allErrors: true });
  addFormats(own);
  const calls = Object.entries(paths).filter(([template]) => template.startsWith('/v1/')).flatMap(([template, item]) => Object.entries(item).filter(([, operation]) => operation.responses).map(([method, operation]) => {
    const pattern = template.replace('/{model}', '/.+').replace(/\{\w+\}/g, '[^/]+');
    return { method, pattern: new RegExp(`^(?:/client/v4/accounts/[^/]+/ai)?${pattern}/?$`), responses: operation.responses };
  }));
  const compiled = new Map();
  return (method, pathname, status, type, text) => {
    const call = calls.find((o) => o.method === method.toLowerCase() && o.pattern.test(pathname));
    // An unknown path, a wrong method: no call's.
    if (!call) return undefined;
    const schema = call.responses[status]?.content?.[type]?.schema;
    if (!schema) return `${method} ${pathname} ${status} ${type} is not in the document`;
    if (!compiled.has(schema)) compiled.set(schema, own.compile(schema));
    const validate = compiled.get(schema);
    const values = type === 'application/json' ? [text] : text.split('\n').filter((line) => line.startsWith('data: ') && line !== 'data: [DONE]').map((line) => line.slice(6));
    return values.every((value) => validate(JSON.parse(value))) ? undefined : `${method} ${pathname} ${status}: ${own.errorsText(validate.errors)}`;
  };
}

/** A proxy before a server. `requests` has each request's method, path, and status; `violations` what was off the schema; `failNext` is a status that the next request gets in place of the server's. */
export async function startProxy(url) {
  const proxy = { requests: [], violations: [], checked: 0, failNext: undefined };
  const checkOpenAI = await openAI(url);
  const agent = new http.Agent({ keepAlive: true });
  const server = http.createServer((request, response) => {
    const pathname = request.url.split('?')[0];
    const note = { method: request.method, path: pathname, status: 0 };
    proxy.requests.push(note);
    if (proxy.failNext) {
      note.status = proxy.failNext;
      proxy.failNext = undefined;
      request.resume();
      response.writeHead(note.status, { 'content-type': 'application/json' }).end('{"success":false,"errors":[{"code":10503,"message":"Try again"}],"messages":[],"result":null}');
      return;
    }
    const target = http.request(url + request.url, { method: request.method, headers: { ...request.headers, host: new URL(url).host }, agent }, (answer) => {
      note.status = answer.statusCode;
      response.writeHead(answer.statusCode, answer.headers);
      const type = answer.headers['content-type']?.split(';')[0];
      const pieces = type === 'application/json' || type === 'text/event-stream' ? [] : undefined;
      answer.on('data', (chunk) => { pieces?.push(chunk); response.write(chunk); });
      answer.on('end', () => {
        if (pieces && request.method !== 'HEAD') {
          proxy.checked++;
          const text = Buffer.concat(pieces).toString();
          const wrong = (type === 'application/json' ? check(request.method, decodeURI(pathname), answer.statusCode, JSON.parse(text)) : undefined)
            ?? checkOpenAI(request.method, pathname, answer.statusCode, type, text);
          if (wrong) proxy.violations.push(wrong);
        }
        response.end();
      });
      answer.on('error', () => response.destroy());
    });
    target.on('error', () => response.destroy());
    response.on('close', () => target.destroy());
    request.pipe(target);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  proxy.stop = async () => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return proxy;
}
