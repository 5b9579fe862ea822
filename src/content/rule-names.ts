/** The ids of all rules, which policies are checked against without loading the rules themselves. A test compares the two. */
export const ruleIds: readonly string[] = Object.entries({
  secrets: [
    'gatehouse-key aws-access-key aws-secret-key github-token gitlab-token slack-token anthropic-key openai-key google-key stripe-key',
    'package-token service-token json-web-token private-key url-password authorization-header assignment password',
  ],
  'personal-data': ['email phone card iban us-ssn german-tax-id'],
  'prompt-injection': [
    'instruction-override instruction-override-cjk role-play exfiltration concealment tool-order role-markup image-exfiltration',
  ],
  'hidden-text': [
    'tag-characters variation-selectors bidi-controls invisible-characters mixed-alphabets control-characters html-comment html-style',
    'far-away',
  ],
  violence: ['threat incitement planning gore'],
  'self-harm': ['intent method encouragement'],
  sexual: ['minors explicit request'],
  hate: ['dehumanizing extermination slur ideology harassment'],
  illicit: ['weapons drugs'],
  profanity: ['strong'],
}).flatMap(([category, lines]) => lines.flatMap((line) => line.split(' ').map((name) => `${category}/${name}`)));

/** What is done where a rule finds something, from the mildest to the strictest. */
export const actions = ['flag', 'redact', 'block'] as const;
export type ContentAction = (typeof actions)[number];
