import type { Anchor } from '../anchors.ts';
import { gate } from '../rule.ts';

/** What a word can be in a sentence that gives a model orders; one word can be several. Bits. */
export const part = {
  /** Gives up what was said: "ignore", "forget". */
  drop: 1,
  /** What came before: "previous", "above". */
  before: 2,
  /** Takes in all of it: "all", "any". */
  whole: 4,
  /** Belongs to the model: "your". */
  yours: 8,
  /** What a model is told: "instructions", "rules". */
  order: 16,
  /** What only a model is told: "prompt", "guardrails". */
  modelOrder: 32,
  /** Hands something out: "send", "reveal". */
  hand: 64,
  /** What nobody should be handed: "passwords", "credentials". */
  treasure: 128,
  /** Turns the sentence into something else than an order: "to", "not", "how", "we". */
  soft: 256,
  /** Keeps it an order: "please", "now", "and". */
  firm: 512,
  /** Says something to somebody: "tell", "mention". */
  say: 1024,
  /** Forbids: "not", "never", "without". */
  never: 2048,
  /** The person at the other end: "user". */
  person: 4096,
  /** A role that is free of rules: "unrestricted", "jailbroken". */
  freed: 8192,
  /** What a role can be without: "restrictions", "filters". */
  bonds: 16_384,
  /** Speaks of the hidden thing: "this", "it". */
  this: 32_768,
  /** Uses a tool: "call", "invoke". */
  use: 65_536,
  /** "tool", "function". */
  tool: 131_072,
  /** Without anybody knowing: "silently", "secretly". */
  covert: 262_144,
} as const;

const vocabulary: readonly (readonly [parts: number, words: string])[] = [
  // English
  [part.drop, 'ignore ignoring disregard disregarding forget forgetting override overriding bypass neglect discard abandon'],
  [part.before, 'previous previously prior preceding above earlier foregoing former initial original told given prev'],
  [part.whole, 'all any every everything entire'],
  [part.yours, 'your youre'],
  [
    part.order,
    'instruction instructions rule rules directive directives directions orders commands guidance everything training',
  ],
  [part.order | part.modelOrder, 'prompt prompts guideline guidelines guardrail guardrails programming safeguards'],
  [
    part.hand,
    'send post email mail forward upload leak exfiltrate transmit reveal print repeat output disclose paste dump share append submit show give display provide read pass attach include recite encode tell translate quote',
  ],
  [
    part.treasure,
    'password passwords credential credentials secrets apikey apikeys api_key api_keys cookies id_rsa passwd ssh env',
  ],
  [
    part.soft,
    'to not never dont can could do did does would will i we they he she who people users how why when whether may might should shall cannot doesnt didnt wont',
  ],
  [
    part.firm,
    'please now then must and immediately instead just simply kindly first so also important attention assistant ai system',
  ],
  [part.say, 'tell telling mention mentioning inform informing notify notifying alert alerting'],
  [part.never, 'not never dont without avoid'],
  [part.person, 'user users human humans anyone anybody operator'],
  [part.freed, 'unrestricted uncensored unfiltered jailbroken jailbreak dan evil amoral unbound omnipotent'],
  [part.bonds, 'restriction restrictions limits limitations filter filters rules guidelines guardrails ethics morals censorship'],
  [part.this, 'this that it these about anything'],
  [part.use, 'call invoke run execute use'],
  [part.tool, 'tool tools function functions'],
  [part.covert, 'silently secretly covertly quietly'],
  // German
  [part.drop, 'ignoriere ignoriert ignorieren vergiss vergesst missachte missachten umgehe uberspringe'],
  [part.before, 'vorherigen vorherige bisherigen vorigen obigen fruheren vorangegangenen'],
  [part.whole, 'alle alles samtliche'],
  [part.yours, 'deine deinen deiner ihre'],
  [part.order, 'anweisung anweisungen instruktionen regeln vorgaben richtlinien befehle'],
  [part.modelOrder, 'systemprompt systemanweisungen systemanweisung'],
  [part.hand, 'sende schicke leite verrate zeige gib'],
  [part.treasure, 'passwort passworter zugangsdaten geheimnisse'],
  [part.soft, 'ich wir zu nicht kann wie warum man'],
  [part.firm, 'bitte jetzt sofort und'],
  [part.freed, 'uneingeschrankter uneingeschrankte unzensierte unzensierter'],
  // French
  [part.drop, 'ignorez ignorer oublie oubliez oublier'],
  [part.before, 'precedentes precedents precedente anterieures'],
  [part.whole, 'toutes tous tout'],
  [part.yours, 'tes vos ton votre'],
  [part.order, 'consignes regles directives'],
  [part.hand, 'envoie envoyez revele revelez affiche affichez transmets'],
  [part.treasure, 'identifiants'],
  [part.soft, 'pour ne pas nous je comment pourquoi'],
  [part.firm, 'veuillez maintenant et'],
  // Spanish, Portuguese, Italian
  [part.drop, 'ignora ignoren ignorar olvida olvide olvidar omite esqueca esquece desconsidere ignorare dimentica dimenticate'],
  [part.before, 'anteriores anterior previas previos precedenti precedente'],
  [part.whole, 'todas todos todo tutte tutti tutto'],
  [part.yours, 'tus tu sus su suas sua seu seus tue tuo tuoi'],
  [
    part.order,
    'instrucciones reglas indicaciones directrices ordenes instrucoes regras diretrizes istruzioni regole direttive indicazioni',
  ],
  [part.hand, 'envia envie revela revele manda reenvia muestra mostra invia rivela mostrami'],
  [part.treasure, 'contrasenas contrasena credenciales senhas credenciais credenziali'],
  [part.soft, 'para no nao non como perche porque noi nosotros'],
  [part.firm, 'ahora agora adesso y e'],
  // Dutch, Polish, Turkish
  [part.drop, 'negeer vergeet zignoruj zapomnij'],
  [part.before, 'vorige eerdere voorgaande poprzednie wczesniejsze'],
  [part.order, 'instructies regels opdrachten instrukcje polecenia zasady'],
  [part.yours, 'jouw je twoje'],
  // Russian and Ukrainian
  [part.drop, 'игнорируи игнорируите забудь забудьте ігноруи ігноруите'],
  [part.before, 'предыдущие предыдущих прошлые прежние попередні'],
  [part.whole, 'все всі'],
  [part.yours, 'твои свои ваши'],
  [part.order, 'инструкции указания правила команды інструкції вказівки'],
  [part.hand, 'отправь отправьте раскрои покажи'],
  [part.treasure, 'пароли пароль'],
];

/** Parts of a word, by the word as folding leaves it: lower case, no accents. */
export const parts: ReadonlyMap<string, number> = new Map(
  vocabulary
    .flatMap(([bits, words]) => words.split(' ').map((word) => [word, bits] as const))
    .reduce((map, [word, bits]) => map.set(word, (map.get(word) ?? 0) | bits), new Map<string, number>()),
);

function anchors(gates: number, words: readonly string[]): readonly Anchor[] {
  return words.flatMap((line) => line.split(', ')).map((text) => ({ text, gate: gates }));
}

/** At least one of these stands in every sentence that the rules find in Latin script; the rarer they are, the less is read twice. */
export const injectionAnchors = anchors(gate.injectionWords, [
  // Give up what was said.
  'ignore, ignori, ignora, ignoru, disreg, forget, overri, bypass, neglect, discard, abandon, stop follow, stop obey, set aside, throw away, desconsid, vergis, vergess, vergeet, missacht',
  'umgehe, uberspringe, oublie, olvida, olvide, esquec, dimentic, negeer, zignor, zapomn',
  // Hand out what is nobody's business.
  'prompt, passwor, passwo, /passwd, creden, secrets, api key, api_key, apikey, private key, ssh key, access key, secret key, id_rsa',
  'access token, auth token, session token, bearer token, .ssh/i, env var, environment var, conversation hist, chat hist, message hist',
  'cookies, initial inst, system inst, hidden inst, original inst, secret inst, internal inst, systemanw, contras, zugangs, identifiants',
  'geheimnisse, senhas',
  // Keep it from somebody.
  'mention, inform t, inform a, informing, notify, alert t, alerting, tell the, tell an, telling, from the u, keep this, keep it, silently, secretly, covertly, quietly',
  'without ask, without conf, without appr, without perm',
  // Be somebody else.
  'are now, from now, act as, pretend, imagine, simulate, behave as, respond as, rolepl, role pl, unrestr, uncenso, unfilt, jailbr, developer mode, god mode',
  'debug mode, dan mode, admin mode, unsafe mode, uneing, unzensi, du bist, maintenant, ahora eres',
]);

/** One of these stands in all markup of roles and tool calls. */
export const markAnchors = anchors(gate.roleMarks, [
  '|im_st, |im_en, <|syst, <|assi, <|endo, <|star, <|eot_, [inst], [/inst, <<sys>, <</sys, tool_c, tool_u, tool_r, function_c, function_r',
  'ools/c, invoke n',
]);

/** The same for words with other letters, where a text is looked at by characters. */
export const foreignAnchors =
  /忽略|无视|無視|忘记|忘記|忘れ|命令|不要理会|指示|指令|提示词|игнорир|забудь|ігнору|инструкц|парол|이전|지시|무시|निर्देश|تجاهل|esqueç|überspring|contraseñ/i;
