import { shellWord } from './snippets.ts';

/** Code that makes one call of a model, with the key in the environment variable GATEHOUSE_KEY. */
interface ModelSnippets {
  readonly curl: string;
  readonly openaiPython: string;
  readonly openaiTypescript: string;
  readonly anthropicPython: string;
  readonly anthropicTypescript: string;
}

interface ModelExample {
  /** Of the gateway, without a path: `https://gatehouse.example.com`. */
  readonly url: string;
  /** What clients call it. */
  readonly model: string;
  /** It makes embeddings, and writes nothing. */
  readonly isEmbedder: boolean;
}

export function modelSnippets(example: ModelExample): Partial<ModelSnippets> {
  if (example.isEmbedder) return embeddingSnippets(example);
  const { url, model } = example;
  const name = JSON.stringify(model);
  return {
    curl: curl(`${url}/v1/chat/completions`, { model, messages: [{ role: 'user', content: 'Hello' }] }),
    openaiPython: `import os
from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(`${url}/v1`)}, api_key=os.environ["GATEHOUSE_KEY"])
answer = client.chat.completions.create(model=${name}, messages=[{"role": "user", "content": "Hello"}])
print(answer.choices[0].message.content)`,
    openaiTypescript: `import OpenAI from 'openai';

const client = new OpenAI({ baseURL: ${JSON.stringify(`${url}/v1`)}, apiKey: process.env.GATEHOUSE_KEY });
const answer = await client.chat.completions.create({ model: ${name}, messages: [{ role: 'user', content: 'Hello' }] });
console.log(answer.choices[0]?.message.content);`,
    anthropicPython: `import os
from anthropic import Anthropic

client = Anthropic(base_url=${JSON.stringify(url)}, api_key=os.environ["GATEHOUSE_KEY"])
answer = client.messages.create(model=${name}, max_tokens=1024, messages=[{"role": "user", "content": "Hello"}])
print(answer.content[0].text)`,
    anthropicTypescript: `import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic({ baseURL: ${JSON.stringify(url)}, apiKey: process.env.GATEHOUSE_KEY });
const answer = await client.messages.create({ model: ${name}, max_tokens: 1024, messages: [{ role: 'user', content: 'Hello' }] });
console.log(answer.content);`,
  };
}

function embeddingSnippets({ url, model }: ModelExample): Partial<ModelSnippets> {
  const name = JSON.stringify(model);
  return {
    curl: curl(`${url}/v1/embeddings`, { model, input: 'Hello' }),
    openaiPython: `import os
from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(`${url}/v1`)}, api_key=os.environ["GATEHOUSE_KEY"])
print(client.embeddings.create(model=${name}, input="Hello").data[0].embedding)`,
    openaiTypescript: `import OpenAI from 'openai';

const client = new OpenAI({ baseURL: ${JSON.stringify(`${url}/v1`)}, apiKey: process.env.GATEHOUSE_KEY });
const { data } = await client.embeddings.create({ model: ${name}, input: 'Hello' });
console.log(data[0]?.embedding);`,
  };
}

function curl(address: string, body: object): string {
  return [
    `curl -sS ${shellWord(address)}`,
    `-H "Authorization: Bearer $GATEHOUSE_KEY"`,
    `-H 'Content-Type: application/json'`,
    `-d ${shellWord(JSON.stringify(body))}`,
  ].join(' \\\n  ');
}
