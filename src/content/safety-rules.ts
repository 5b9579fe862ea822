import { gate, patternRule, type Rule } from './rule.ts';

// What models are asked for and should not say, by words and phrases: it finds what is said plainly, in English and, for the commonest
// phrases, in German, French and Spanish. Every phrase begins with a word, has a bounded number of words in between, and has a word of
// `safetyAnchors` in it.

/** Up to so many words in between. */
const words = (most: number) => `(?:[ ,'-]{1,3}[a-z]{1,16}){0,${most}}[ ,'-]{1,3}`;
const people =
  '(?:jews?|juden?|juifs?|judios?|muslims?|muslime|musulmans?|musulmanes|moslems?|christians?|blacks?|black people|whites?|white people|arabs?|araber|arabes|asians?|mexicans?|immigrants?|immigrants|inmigrantes|migrants?|migranten|refugees|refugies|fluchtlinge|auslander|foreigners|etrangers|gays?|gay people|homosexuals?|homosexuelle|homosexuels|maricones|lesbians?|trans people|gypsies|roma|women|disabled people|infidels|unbelievers)';
const persons =
  '(?:someone|somebody|a person|people|a human|a man|a woman|a child|(?:my|your|his|her|the|an?) (?:ex|wife|husband|girlfriend|boyfriend|boss|neighbou?rs?|parents?|mother|father|mom|dad|teacher|classmates?|coworkers?|roommate|family|president|mayor))';

interface SafetyRule extends Pick<Rule, 'id' | 'category' | 'severity' | 'title'> {
  readonly phrases: readonly string[];
}

function safetyRule({ phrases, ...rule }: SafetyRule): Rule {
  const pattern = new RegExp(`(?<![A-Za-z0-9])(?:${phrases.join('|')})(?![A-Za-z0-9])`, 'gi');
  return patternRule({ ...rule, pattern, gates: gate.safetyWords });
}

const violence: readonly SafetyRule[] = [
  {
    id: 'violence/threat',
    category: 'violence',
    severity: 'high',
    title: 'A threat to hurt or kill somebody',
    phrases: [
      `(?:i|we)(?:'ll| will| am going to|'m going to| are going to|'re going to| am gonna|m gonna|'m gonna| shall)(?: [a-z]{1,12}){0,2} (?:kill|murder|stab|shoot|strangle|behead|slaughter|beat) (?:you(?! an? (?:e-?mail|message|note|text|line))|him|her|them|your|all of you|every one of)`,
      'ich (?:bringe|werde|bring) (?:dich|euch|ihn|sie|deine familie)(?: [a-z]{1,12}){0,2} (?:um|umbringen|toten|abstechen|erschiessen)',
      '(?:je vais|on va) (?:te|vous|le|la|les) (?:tuer|buter|egorger|massacrer)',
      '(?:te|lo|la|los|las) (?:voy|vamos) a matar|(?:voy|vamos) a matar(?:te|lo|la|los|las)',
    ],
  },
  {
    id: 'violence/incitement',
    category: 'violence',
    severity: 'high',
    title: 'A call to hurt or kill people',
    phrases: [
      `(?:kill|shoot|stab|burn|behead|slaughter|bomb|murder)(?: all| every| those| these| the| them){1,3} (?:people|cops|police|pigs|politicians|journalists|teachers|${people})`,
      '(?:totet|erschiesst|verbrennt|erschlagt) (?:alle|die|diese) [a-z]{3,16}',
      '(?:tuez|brulez|egorgez)(?:-les| les| tous les| ces) [a-z]{3,16}',
      '(?:maten|quemen|mata) a (?:todos|los|las|esos) [a-z]{3,16}',
    ],
  },
  {
    id: 'violence/planning',
    category: 'violence',
    severity: 'critical',
    title: 'Asks how to kill or hurt somebody',
    phrases: [
      `(?:how|way|ways|steps|plan|help me|want)${words(4)}(?:kill|murder|poison|stab|strangle|suffocate|torture|kidnap|assassinate|get rid of the body of) ${persons}`,
      '(?:plan|carry out|commit)(?: a| an| the)? (?:mass shooting|school shooting|massacre|terror attack|terrorist attack)',
      'wie (?:kann|konnte|soll|wurde)? ?(?:ich|man)(?: [a-z]{1,12}){1,4} (?:umbringen|vergiften|ermorden|toten)',
      'comment (?:tuer|empoisonner|assassiner) (?:quelqu.un|mon|ma|une personne)',
      'como (?:matar|envenenar|asesinar) a (?:alguien|mi|una persona)',
    ],
  },
  {
    id: 'violence/gore',
    category: 'violence',
    severity: 'medium',
    title: 'Torture and mutilation in detail',
    phrases: [
      `(?:describe|description|write|detail|details|show|graphic|vivid)${words(6)}(?:dismember|dismemberment|disembowel|disembowell?ing|decapitation|decapitating|beheading|mutilation|mutilated|tortured to death|flaying|gore)`,
    ],
  },
];

const selfHarm: readonly SafetyRule[] = [
  {
    id: 'self-harm/intent',
    category: 'self-harm',
    severity: 'critical',
    title: 'Somebody says they want to hurt or kill themselves',
    phrases: [
      "i(?:'m| am| have thoughts| will|'ll| want| wanna| need| plan| just| really| think| have| going| decided| m| keep| thinking| about| of| should| to| gonna){0,5} (?:kill(?:ing)? myself|end(?:ing)? my (?:own )?life|hurt(?:ing)? myself|cut(?:ting)? myself|harm(?:ing)? myself|commit(?:ting)? suicide|suicide)",
      "(?:i (?:just |really |only )?(?:want to|wanna) die(?! laughing| for)|i wish i was dead|i wish i were dead|i don'?t want to live|i do not want to live|better off dead|i feel suicidal|i'?m suicidal|i am suicidal)",
      'ich (?:will|mochte|werde|wurde) (?:nicht mehr leben|sterben|mich umbringen|mir das leben nehmen|mich toten|mich ritzen)',
      'je (?:veux|vais) (?:mourir|me suicider|me tuer|en finir avec la vie)',
      '(?:quiero|voy a) (?:morirme|morir|matarme|suicidarme|quitarme la vida)',
    ],
  },
  {
    id: 'self-harm/method',
    category: 'self-harm',
    severity: 'critical',
    title: 'Asks for ways to kill or hurt oneself',
    phrases: [
      `(?:how|ways?|method|methods|painless|painlessly|quickest|easiest)${words(4)}(?:kill (?:myself|yourself|oneself)|commit suicide|suicide|end (?:my|your) (?:own )?life|hang (?:myself|yourself)|overdose on|die without pain|cut (?:myself|yourself)|starve myself)`,
      'how (?:many|much)(?: [a-z0-9]{1,16}){1,5} (?:would kill me|will kill me|to die|to overdose|lethal)',
      'wie (?:kann|konnte) ich mich (?:umbringen|toten|erhangen)|methoden? (?:fur|zum) (?:suizid|selbstmord)',
      'comment (?:me suicider|se suicider|me tuer)|como (?:suicidarme|suicidarse|matarme)',
    ],
  },
  {
    id: 'self-harm/encouragement',
    category: 'self-harm',
    severity: 'critical',
    title: 'Tells somebody to hurt or kill themselves',
    phrases: [
      '(?:go|just|please|should|better|to|and|you) (?:kill yourself|hang yourself|end your life|cut yourself|slit your wrists)|(?<![A-Za-z] )kill yourself',
      'bring dich (?:doch )?(?:einfach )?um|hang dich auf|suicide-toi|pends-toi|suicidate|matate',
    ],
  },
];

const sexual: readonly SafetyRule[] = [
  {
    id: 'sexual/minors',
    category: 'sexual',
    severity: 'critical',
    title: 'Children and sex in one phrase',
    phrases: [
      `(?:child|children|kids?|minors?|underage|under-age|preteens?|pre-teens?|toddlers?|schoolgirls?|schoolboys?|lolita|loli|(?:[1-9]|1[0-7])[ -]years?[ -]olds?)${words(5)}(?:porn|pornography|nudes?|naked|erotic|erotica|sex(?! ed| education| offen| ratio| abuse)|sexual(?! abuse| assault| exploitation| education| health| violence| predator| offen| content)|sexy|sexually explicit)`,
      `(?:porn|nudes?|nude pictures|erotic|erotica|sex|sexual|sexy|explicit)${words(5)}(?:with|of|about|involving|between|featuring)(?: an?| the| two| some)? (?:child|children|kids?|minors?|underage|preteens?|toddlers?|schoolgirls?|schoolboys?|(?:[1-9]|1[0-7])[ -]years?[ -]olds?)`,
      '(?:nude|naked|sexy) (?:child|children|kids?|minors?|toddlers?|schoolgirls?|schoolboys?)|kinderporno(?:s|grafie)?|pedopornographi(?:e|que)|pornografia infantil|pornographie infantile',
    ],
  },
  {
    id: 'sexual/explicit',
    category: 'sexual',
    severity: 'medium',
    title: 'Words for sexual acts',
    phrases: [
      'blow ?jobs?|hand ?jobs?|cum ?shots?|deep ?throat(?:ing)?|gang ?bangs?|cream ?pies? porn|dildos?|masturbat(?:e|es|ing|ion)|porn(?:o|os|hub|ography|ographic)?|hentai|horny|send nudes|anal sex|oral sex|threesomes?|orgasms?',
      '(?:her|his|my|your|their) (?:wet |hard |throbbing |tight )?(?:pussy|cock|clit|tits|dick|penis|nipples|vagina)',
      'ficken mit|wichsen|blasen lassen|porno(?:film|filme|s)?|follar(?:te|me|la)?|mamadas?|baise-moi|sucer (?:sa|ta|ma) (?:bite|queue)|polvo salvaje',
    ],
  },
  {
    id: 'sexual/request',
    category: 'sexual',
    severity: 'medium',
    title: 'Asks for erotic text or role-play',
    phrases: [
      `(?:write|describe|roleplay|role-play|generate|create|tell|continue)${words(6)}(?:erotica|erotic (?:story|scene|fiction|role-?play|chat)|sex scene|smut|nsfw (?:story|scene|chat|role-?play)|sexting)`,
      '(?:schreib|erzahl)(?:e|en)?(?: [a-z]{1,12}){0,4} (?:erotische|sexgeschichte|sexszene)(?: [a-z]{1,12})?',
      '(?:ecris|raconte)(?:-moi)?(?: [a-z]{1,12}){0,4} (?:erotique|sexuelle)|(?:escribe|cuenta)(?:me)?(?: [a-z]{1,12}){0,4} (?:erotica|erotico|sexual)',
    ],
  },
];

const hate: readonly SafetyRule[] = [
  {
    id: 'hate/dehumanizing',
    category: 'hate',
    severity: 'high',
    title: 'Calls a group of people less than human',
    phrases: [
      `(?:all |the |these |those |alle |die |les |los |las )?${people} (?:are|sind|sont|son)(?: [a-z]{1,12}){0,3} (?:vermin|animals|subhumans?|sub-human|parasites?|parasiten|cockroaches|rats|scum|filth|savages|monkeys|apes|inferior|ungeziefer|untermenschen|tiere|abschaum|animaux|vermine|sous-hommes|animales|escoria|ratas|basura|a disease|a plague|a cancer)`,
    ],
  },
  {
    id: 'hate/extermination',
    category: 'hate',
    severity: 'critical',
    title: 'Calls for a group of people to be killed or driven out',
    phrases: [
      `(?:(?:gas|exterminate|eradicate|lynch|hang|deport|wipe out|get rid of)(?: all| the| those| every){1,2}|death to(?: all| the)?|mort aux|muerte a los|tod den|vergast die) ${people}`,
      `${people} (?:(?:should|must|need to|deserve to)(?: all)? (?:be (?:killed|exterminated|gassed|deported|shot|hanged|wiped out)|die|burn)|raus)`,
    ],
  },
  {
    id: 'hate/slur',
    category: 'hate',
    severity: 'high',
    title: 'A slur',
    phrases: [
      'niggers?|niggas?|faggots?|kikes?|spics|wetbacks?|towelheads?|ragheads?|chinks|gooks|trannies|tranny|retards?|sandniggers?',
      'kanaken?|schwuchteln?|zigeunerpack|judensau|bougnoules?|negres|youpins?|sudacas?|maricon(?:es)?|moros de mierda',
    ],
  },
  {
    id: 'hate/ideology',
    category: 'hate',
    severity: 'high',
    title: 'Words by which those who preach hate greet each other',
    phrases: [
      'white power|heil hitler|sieg heil|white genocide|race traitors?|racial purity|14/88|great replacement is real|gas chambers (?:were|are) a lie',
    ],
  },
  {
    id: 'hate/harassment',
    category: 'hate',
    severity: 'medium',
    title: 'Insults somebody directly',
    phrases: [
      "(?:you'?re|you are|ur|u are)(?: all)?(?: just)?(?: such)?(?: an?)?(?: (?!not|no|never)[a-z]{1,12})? (?:worthless|pathetic|stupid|idiots?|morons?|losers?|disgusting|imbecile|scumbag|piece of (?:shit|garbage|trash)|waste of (?:space|air|oxygen)|ugly|dumb|retarded)",
      'nobody (?:likes|loves|would miss) you|everyone hates you|no one would miss you',
      'du bist (?:so )?(?:ein |eine )?(?:[a-z]{1,12} )?(?:wertlos|dumm|idiot|versager|vollidiot|hasslich|missgeburt|nichts wert|schlampe)',
      "(?:tu es|t'es|vous etes) (?:un |une )?(?:[a-z]{1,12} )?(?:idiote?|connard|connasse|imbecile|nulle|debile|moche|merde)",
      '(?:eres|sois) (?:un |una )?(?:[a-z]{1,12} )?(?:idiota|inutil|imbecil|estupid[oa]|basura|asqueros[oa])',
    ],
  },
];

const illicit: readonly SafetyRule[] = [
  {
    id: 'illicit/weapons',
    category: 'illicit',
    severity: 'critical',
    title: 'Asks how to make a bomb, a poison for many or an unlawful gun',
    phrases: [
      `(?:how|instructions?|recipe|steps?|guide|tutorial|manual|help me|show me|blueprints?)${words(6)}(?:(?<!bath |photo |f )bombs?(?! calorimeter| shelter| cyclone| detection| disposal| squad)|pipe ?bombs?|explosives?(?! detection| ordnance)|explosive device|ied|detonators?|molotovs?|molotov cocktails?|napalm|thermite|nerve (?:gas|agent)|sarin|ricin|mustard gas|anthrax|ghost guns?|bump stocks?|chemical weapons?|biological weapons?|nuclear weapons?|dirty bomb)`,
      `(?:make|build|assemble|synthesi[sz]e|3d[ -]?print)(?: an?| some| my| your own| the){0,2}(?: [a-z]{1,12}){0,2} (?:pipe ?bomb|ied|nail bomb|molotov|sarin|ricin|nerve agent|ghost gun|untraceable gun|car bomb|fertili[sz]er bomb)`,
      '(?:wie|anleitung|rezept)(?: [a-z]{1,12}){0,6} (?:bombe|rohrbombe|bomben|sprengstoff|sprengsatz|molotowcocktails?|nervengas|rizin)',
      '(?:comment|recette|instructions)(?: [a-z]{1,12}){0,6} (?:bombe(?! de bain)|bombes|explosifs?|cocktails? molotov|ricine)',
      '(?:como|receta|instrucciones)(?: [a-z]{1,12}){0,6} (?:bomba(?! de agua| de calor)|bombas|explosivos?|coctel molotov|ricina)',
    ],
  },
  {
    id: 'illicit/drugs',
    category: 'illicit',
    severity: 'high',
    title: 'Asks how to make or get hard drugs',
    phrases: [
      `(?:how|instructions?|recipe|steps?|guide|tutorial|help me|show me|where)${words(5)}(?:cook|make|making|synthesi[sz]e|synthesi[sz]ing|synthesis of|extract|produce|buy|order|smuggle|sell|get)${words(4)}(?:meth|crystal meth|methamphetamine|crack|cocaine|heroin|mdma|ecstasy|lsd|fentanyl|ghb|dmt|ketamine)`,
      '(?:cook|synthesi[sz]e|smuggle)(?: [a-z]{1,12}){0,2} (?:meth|methamphetamine|crystal meth|crack cocaine|cocaine|heroin|mdma|lsd|fentanyl|ghb)',
      '(?:wie|wo|anleitung)(?: [a-z]{1,12}){0,6} (?:crystal meth|meth|kokain|heroin|mdma|fentanyl|lsd)(?: [a-z]{1,12}){0,4} (?:herstelle|herstellen|kochen|koche|kaufen|kaufe|mache|machen)',
      '(?:comment|ou)(?: [a-z]{1,12}){0,4} (?:fabriquer|cuisiner|synthetiser|acheter)(?: [a-z]{1,12}){0,3} (?:meth|methamphetamine|cocaine|heroine|mdma|fentanyl|lsd)',
      '(?:como|donde)(?: [a-z]{1,12}){0,4} (?:fabricar|cocinar|sintetizar|comprar|hacer)(?: [a-z]{1,12}){0,3} (?:metanfetamina|cocaina|heroina|mdma|fentanilo|lsd)',
    ],
  },
];

const profanity: readonly SafetyRule[] = [
  {
    id: 'profanity/strong',
    category: 'profanity',
    severity: 'low',
    title: 'Swear words',
    phrases: [
      '(?:mother)?fuck(?:s|ed|er|ers|ing|in|face|wit|tard)?|f\\*\\*k(?:ing|er)?|f\\*ck(?:ing|er)?|stfu|(?:bull|horse|dip)?shit(?:s|ty|ting|head|hole|show)?|sh[1*]t|cunts?|bitch(?:es|y)?|assholes?|arseholes?|dickheads?|twats?|wankers?|bastards?|pricks|bollocks|goddamn(?:ed|it)?',
      'schei(?:ss|ß)(?:e|egal|dreck|t)?|arschl(?:och|ocher)|wichser|hurensohn|fick(?:t|en)? (?:dich|euch)|verfickte?r?|fotze|miststuck',
      'putain|merde|connards?|connasses?|salopes?|salauds?|encules?|va te faire foutre|nique ta mere|bordel de merde',
      'mierda|puta(?:s)?|hijos? de puta|cabron(?:es)?|pendej[oa]s?|joder|gilipollas|chinga(?:r|da)?|vete a la verga',
    ],
  },
];

/** Rules of content safety. A seat-belt: they find words, not meaning. */
export const safetyRules: readonly Rule[] = [...violence, ...selfHarm, ...sexual, ...hate, ...illicit, ...profanity].map(
  safetyRule,
);
