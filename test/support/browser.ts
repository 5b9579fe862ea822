/** A browser as far as signing in needs one: cookies per host, redirects by hand, and a person who clicks on the only link. */
interface Browser {
  /** Opens an address and follows redirects. */
  visit(url: string): Promise<Visited>;
  /** Opens an address and stops there. */
  step(url: string): Promise<Visited>;
  /** Opens our start page, clicks on its link, and follows redirects to the end. */
  signIn(url: string): Promise<Visited>;
  readonly cookies: Map<string, string>;
}

export interface Visited {
  readonly url: string;
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Every address on the way, the last one included. */
  readonly way: readonly string[];
}

export function openBrowser(): Browser {
  // By host and name; the tests' servers differ by port, which cookies do not.
  const cookies = new Map<string, string>();

  async function step(url: string, way: readonly string[] = []): Promise<Visited> {
    const own = Array.from(cookies).flatMap(([key, value]) => {
      const [host = '', name = ''] = key.split(' ');
      return host === new URL(url).host ? [`${name}=${value}`] : [];
    });
    const response = await fetch(url, { redirect: 'manual', headers: own.length === 0 ? {} : { cookie: own.join('; ') } });
    for (const cookie of response.headers.getSetCookie()) {
      const [name = '', value = ''] = (cookie.split(';')[0] ?? '').split('=', 2);
      cookies.set(`${new URL(url).host} ${name}`, value);
    }
    return { url, status: response.status, headers: response.headers, text: await response.text(), way: [...way, url] };
  }

  async function visit(url: string): Promise<Visited> {
    let at = await step(url);
    while (at.status >= 300 && at.status < 400 && at.way.length < 20) {
      at = await step(new URL(at.headers.get('location') ?? '', at.url).href, at.way);
    }
    return at;
  }

  return {
    cookies,
    step: (url) => step(url),
    visit,
    async signIn(url) {
      const start = await step(url);
      const link = linkOn(start.text);
      return link === undefined ? start : await visit(new URL(link, url).href);
    },
  };
}

/** The address of the only link on a page. */
export function linkOn(html: string): string | undefined {
  return /href="([^"]+)"/.exec(html)?.[1]?.replaceAll('&amp;', '&');
}
