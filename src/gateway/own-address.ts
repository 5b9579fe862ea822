import type { Settings } from '../settings.ts';

/** Where clients and people find this gateway. */
export interface OwnAddress {
  /** Undefined until there is one that a browser can open. */
  publicUrl(): string | undefined;
  /** The address that tokens are issued for. */
  ownUrl(): string;
  /** The setting wins over what is told here. */
  listensAt(url: string): void;
}

export function ownAddress({ publicUrl: setting, port }: Pick<Settings, 'publicUrl' | 'port'>): OwnAddress {
  let publicUrl = setting;
  return {
    publicUrl: () => publicUrl,
    ownUrl: () => publicUrl ?? `http://127.0.0.1:${port}`,
    listensAt(url) {
      publicUrl ??= url;
    },
  };
}
