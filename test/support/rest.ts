import type { Gateway } from './gateway.ts';

/** What an operator asks of a gateway that runs, `GET /consumers`. `Body` is what the test expects there. */
export async function rest<Body>(
  gateway: Pick<Gateway, 'url' | 'key'>,
  route: string,
  body?: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly body: Body & { readonly error?: { readonly code: string } } }> {
  const [method = '', path = ''] = route.split(' ');
  const response = await fetch(`${gateway.url}/api${path}`, {
    method,
    headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: JSON.parse(await response.text()) };
}

/** The same where it has to succeed. */
export async function restDone<Body>(
  gateway: Pick<Gateway, 'url' | 'key'>,
  route: string,
  asked?: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<Body> {
  const { status, body } = await rest<Body>(gateway, route, asked, headers);
  if (status !== 200) throw new Error(`${route} was answered with ${status}: ${JSON.stringify(body)}`);
  return body;
}
