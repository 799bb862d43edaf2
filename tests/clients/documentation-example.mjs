// The create call as the SDK's documentation has it. The client finds its token and its address in the environment.
const { default: Cloudflare } = await import(process.argv[2]);
const [account_id, model, name] = process.argv.slice(3);

const client = new Cloudflare();

const finetune = await client.ai.finetunes.create({ account_id, model, name });

console.log(finetune.id);
