/** The tools of an upstream as an HTTP API would describe them: what arrives and comes back is the same. */
export function apiDescription({ name, tools }: { readonly name: string; readonly tools: number }): object {
  const ids = Array.from({ length: tools }, (_, index) => `${name}_echo_${index}`);
  return {
    openapi: '3.1.0',
    info: { title: name, version: '1.0.0' },
    servers: [{ url: '/api' }],
    paths: Object.fromEntries(ids.map((id) => [`/${id}`, { get: operation(id) }])),
  };
}

function operation(id: string): object {
  return {
    operationId: id,
    summary: `Look up ${id}`,
    description: `Looks up records of ${id} and returns the text it was given. Use it when a person asks for one record by its reference.`,
    parameters: [
      { name: 'text', in: 'query', required: true, schema: { type: 'string' }, description: 'The text to return.' },
      { name: 'limit', in: 'query', schema: { type: 'integer', minimum: 1, maximum: 100 } },
      { name: 'order', in: 'query', schema: { type: 'string', enum: ['newest', 'oldest'] } },
    ],
    responses: {
      200: {
        description: 'The record.',
        content: {
          'application/json': { schema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] } },
        },
      },
    },
  };
}
