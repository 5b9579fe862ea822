import { adminConfig, adminNamespace } from '../admin/admin-upstream.ts';
import type { NamespaceConfig } from '../catalog/namespace-config.ts';

/** The gateway's own administration, as the catalog has it. */
export const adminNamespaceConfig: NamespaceConfig = {
  name: adminNamespace,
  description: 'Administration of this gateway.',
  file: '',
  upstreams: [adminConfig],
  toolboxes: [
    {
      name: adminNamespace,
      namespace: adminNamespace,
      title: 'Administration',
      description: 'Everything that an operator of this gateway can do, as far as the caller may.',
      include: [`${adminNamespace}/*`],
      exclude: [],
      names: 'one-to-one',
      search: 'off',
      pinned: [],
    },
  ],
  policy: {},
};
