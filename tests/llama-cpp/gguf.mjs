// A Hugging Face folder as the GGUF file that llama.cpp's converter makes of it, in F32 and with one token a character.
import { readFile } from 'node:fs/promises';
import path from 'node:path';

const ALIGNMENT = 32;
const U32 = 4, F32 = 6, BOOL = 7, STRING = 8, ARRAY = 9, I32 = 5;

/** llama.cpp's names of tensors; {} is the layer. */
const NAMES = {
  'model.embed_tokens': 'token_embd',
  'model.norm': 'output_norm',
  lm_head: 'output',
  'model.layers.{}.input_layernorm': 'blk.{}.attn_norm',
  'model.layers.{}.self_attn.q_proj': 'blk.{}.attn_q',
  'model.layers.{}.self_attn.k_proj': 'blk.{}.attn_k',
  'model.layers.{}.self_attn.v_proj': 'blk.{}.attn_v',
  'model.layers.{}.self_attn.qkv_proj': 'blk.{}.attn_qkv',
  'model.layers.{}.self_attn.o_proj': 'blk.{}.attn_output',
  'model.layers.{}.self_attn.q_norm': 'blk.{}.attn_q_norm',
  'model.layers.{}.self_attn.k_norm': 'blk.{}.attn_k_norm',
  'model.layers.{}.post_attention_layernorm': 'blk.{}.ffn_norm',
  'model.layers.{}.mlp.gate_proj': 'blk.{}.ffn_gate',
  'model.layers.{}.mlp.up_proj': 'blk.{}.ffn_up',
  'model.layers.{}.mlp.gate_up_proj': 'blk.{}.ffn_up',
  'model.layers.{}.mlp.down_proj': 'blk.{}.ffn_down',
};

/** Families whose layers have norms behind their parts. */
const NORMS_BEHIND = {
  'model.layers.{}.post_attention_layernorm': 'blk.{}.post_attention_norm',
  'model.layers.{}.pre_feedforward_layernorm': 'blk.{}.ffn_norm',
  'model.layers.{}.post_feedforward_layernorm': 'blk.{}.post_ffw_norm',
};

const ARCHITECTURES = { mistral: 'llama', gemma3_text: 'gemma3' };

/** @returns {Promise<{bytes: Buffer, tokens: string[]}>} */
export async function convert(folder) {
  const config = JSON.parse(await readFile(path.join(folder, 'config.json'), 'utf8'));
  const family = config.model_type, architecture = ARCHITECTURES[family] ?? family;
  const headDim = config.head_dim ?? config.hidden_size / config.num_attention_heads;
  const rotary = Math.round(headDim * (config.partial_rotary_factor ?? 1));
  const tensors = (await readSafetensors(folder)).map(({ name, shape, values }) => {
    const layer = /\.layers\.(\d+)\./.exec(name)?.[1];
    const [, stem, kind] = /^(.*)\.(weight|bias)$/.exec(name.replace(/\.layers\.\d+\./, '.layers.{}.'));
    const behind = /^(gemma[23]|olmo)/.test(family) ? NORMS_BEHIND[stem] : undefined;
    if (['llama', 'mistral', 'smollm3', 'granite'].includes(family) && /\.[qk]_proj$/.test(stem))
      values = permuted(values, stem.endsWith('q_proj') ? config.num_attention_heads : config.num_key_value_heads, shape[0]);
    if (family.startsWith('gemma') && stem.endsWith('norm')) values = values.map((v) => v + 1);
    return { name: `${(behind ?? NAMES[stem]).replace('{}', layer)}.${kind}`, shape, values };
  });
  const scaling = config.rope_scaling;
  if (scaling?.rope_type === 'llama3') tensors.push({ name: 'rope_freqs.weight', shape: [rotary / 2], values: llama3(config, scaling, rotary) });

  const tokens = ['<pad>', '<s>', '</s>', ...Array.from({ length: config.vocab_size - 3 }, (_, i) => (i < 94 ? String.fromCharCode(33 + i) : `<unused${i}>`))];
  const numbers = {
    block_count: config.num_hidden_layers,
    context_length: config.max_position_embeddings,
    embedding_length: config.hidden_size,
    feed_forward_length: config.intermediate_size,
    'attention.head_count': config.num_attention_heads,
    'attention.head_count_kv': config.num_key_value_heads,
    'attention.key_length': headDim,
    'attention.value_length': headDim,
    'attention.sliding_window': /^(gemma[23]|phi3)/.test(family) ? config.sliding_window ?? undefined : undefined,
    'rope.dimension_count': rotary,
    'rope.scaling.original_context_length': config.original_max_position_embeddings,
    vocab_size: config.vocab_size,
  };
  const reals = {
    'attention.layer_norm_rms_epsilon': config.rms_norm_eps,
    'rope.freq_base': config.rope_theta,
    'rope.scaling.factor': scaling?.rope_type === 'linear' ? scaling.factor : undefined,
    attn_logit_softcapping: config.attn_logit_softcapping ?? undefined,
    final_logit_softcapping: config.final_logit_softcapping ?? undefined,
    'attention.scale': config.attention_multiplier,
    embedding_scale: config.embedding_multiplier,
    residual_scale: config.residual_multiplier,
    logit_scale: config.logits_scaling,
  };
  const metadata = [
    ['general.architecture', STRING, architecture],
    ...Object.entries(numbers).filter(([, v]) => v !== undefined).map(([k, v]) => [`${architecture}.${k}`, U32, v]),
    ...Object.entries(reals).filter(([, v]) => v !== undefined).map(([k, v]) => [`${architecture}.${k}`, F32, v]),
    ...(scaling?.rope_type === 'linear' ? [[`${architecture}.rope.scaling.type`, STRING, 'linear']] : []),
    ['tokenizer.ggml.model', STRING, 'gpt2'],
    ['tokenizer.ggml.pre', STRING, 'gpt-2'],
    ['tokenizer.ggml.tokens', ARRAY, [STRING, tokens]],
    ['tokenizer.ggml.token_type', ARRAY, [I32, tokens.map((t, i) => (i < 3 ? 3 : t.startsWith('<unused') ? 5 : 1))]],
    ['tokenizer.ggml.merges', ARRAY, [STRING, []]],
    ['tokenizer.ggml.bos_token_id', U32, 1],
    ['tokenizer.ggml.eos_token_id', U32, 2],
    ['tokenizer.ggml.add_bos_token', BOOL, false],
  ];
  return { bytes: write(metadata, tensors), tokens };
}

async function readSafetensors(folder) {
  const index = await readFile(path.join(folder, 'model.safetensors.index.json'), 'utf8').then(JSON.parse, () => null);
  const files = index ? [...new Set(Object.values(index.weight_map))] : ['model.safetensors'];
  const found = [];
  for (const file of files) {
    const bytes = await readFile(path.join(folder, file));
    const start = 8 + Number(bytes.readBigUInt64LE(0));
    const { __metadata__, ...tensors } = JSON.parse(bytes.toString('utf8', 8, start));
    for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(tensors)) {
      if (dtype !== 'F32') throw new Error(`${name} is ${dtype}`);
      found.push({ name, shape, values: new Float32Array(bytes.buffer.slice(bytes.byteOffset + start + from, bytes.byteOffset + start + to)) });
    }
  }
  return found;
}

/** Rows of a head in the order of rotary pairs that are neighbours. */
function permuted(values, heads, rows) {
  const width = values.length / rows, half = rows / heads / 2, result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / (2 * half)), part = Math.floor(row / half) % 2, pair = row % half;
    result.set(values.subarray(row * width, (row + 1) * width), (head * 2 * half + 2 * pair + part) * width);
  }
  return result;
}

/** What divides each rotary frequency (Llama 3.1). */
function llama3({ rope_theta: theta }, { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: context }, rotary) {
  return Float32Array.from({ length: rotary / 2 }, (_, i) => {
    const wave = 2 * Math.PI * theta ** (2 * i / rotary);
    if (wave < context / high) return 1;
    if (wave > context / low) return factor;
    const smooth = (context / wave - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

function write(metadata, tensors) {
  const parts = [];
  const u32 = (value) => { const b = Buffer.alloc(4); b.writeUInt32LE(value); parts.push(b); };
  const u64 = (value) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(value)); parts.push(b); };
  const text = (value) => { const b = Buffer.from(value); u64(b.length); parts.push(b); };
  const write = {
    [U32]: u32,
    [I32]: u32,
    [F32]: (value) => { const b = Buffer.alloc(4); b.writeFloatLE(value); parts.push(b); },
    [BOOL]: (value) => parts.push(Buffer.from([value ? 1 : 0])),
    [STRING]: text,
    [ARRAY]: ([type, values]) => { u32(type); u64(values.length); values.forEach(write[type]); },
  };
  parts.push(Buffer.from('GGUF'));
  u32(3);
  u64(tensors.length);
  u64(metadata.length);
  for (const [key, type, value] of metadata) { text(key); u32(type); write[type](value); }
  let offset = 0;
  for (const { name, shape, values } of tensors) {
    text(name);
    u32(shape.length);
    shape.toReversed().forEach(u64);
    u32(0);
    u64(offset);
    offset += padded(values.byteLength);
  }
  const header = Buffer.concat(parts);
  const data = tensors.map(({ values }) => pad(Buffer.from(values.buffer, values.byteOffset, values.byteLength)));
  return Buffer.concat([pad(header), ...data]);
}

const padded = (length) => Math.ceil(length / ALIGNMENT) * ALIGNMENT;
const pad = (bytes) => Buffer.concat([bytes, Buffer.alloc(padded(bytes.length) - bytes.length)]);
