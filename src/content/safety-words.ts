import type { Anchor } from './anchors.ts';
import { gate } from './rule.ts';

/** No anchor of these is shorter. */
export const shortestSafetyWord = 4;

/** One of these stands in everything that the rules of content safety find. */
export const safetyAnchors: readonly Anchor[] = [
  // Violence
  'kill|murd|stab|shoo|strang|behead|slaug|beat |bring d|bringe|toten|totet|abste|erschi|ersch|verbr|tuer|buter|egorg|massac',
  'matar|tuez|brule|maten|queme|mata a|burn|bomb|poiso|suffo|tortur|kidnap|assass|get rid|vergif|ermord|empois|envene|asesin',
  'mass sh|school sh|terror|dismem|disemb|decap|mutil|flaying|gore',
  // Self-harm
  'myself|suic|y life|n life|r life|to die|na die|dead|to live|mehr le|sterb|das leb|ritzen|mourir|finir|morir|la vida|yourself',
  'overdo|out pain|starve|lethal|selbst|erhang|your wr|pends-|matat|hang d|miss yo',
  // Sexual
  'porn|nude|naked|erot| sex|sex |sexu|sexy|blow j|blowj|hand j|handj|cum s|cumsh|throat|gangb|gang b|creamp|cream p|dildo',
  'mastu|henta|horny|anal s|oral s|threes|orgas|pussy|cock |clit |tits |dick |penis|nippl|vagin|fick|wichs|blasen|folla',
  'mamad|baise-|sucer|polvo s|smut|nsfw|sext|explicit|kinderp|pedop',
  // Hate
  ' jew|jew |jews|jude|juif|judi|musl|musu|mosl|chris|black|white|arab|asian|mexic|immig|inmig|migra|refug|fluch|ausl|foreig',
  'etran|gays| gay|gay |homos|maric|lesbi|trans p|gyps|roma|women|disab|infid|unbel|nigg|fagg|kike|spics|wetba|towelh|raghe',
  'chink|gooks|trann|retard|sandn|kanak|schwuch|zigeu|bougn|negre|youp|sudac|moros |heil h|sieg h|race t|racial p|14/88',
  'great rep|gas cha|worthl|pathet|stupid|idiot|moron|loser|disgus|imbec|scum|piece of|waste of|ugly|dumb|nobody|hates y|wertl',
  'dumm|versag|vollid|hassl|missge|nichts w|schlam|conna|nulle|debile|moche|merde|inutil|estup|basura|asqueros',
  // Weapons and drugs
  'explos| ied|ied |detona|molot|napalm|thermi|nerve |sarin|ricin|mustard g|anthra|ghost g|bump st|weapon|untrac|spreng|nerveng',
  'rizin|meth|metanf|crack|cocai|heroi|mdma|ecsta| lsd|lsd |fenta| ghb|ghb | dmt|dmt |ketam|kokain',
  // Profanity
  'fuck|f**k|f*ck|stfu|shit|sh1t|sh*t|cunt|bitch|assho|arseh|dickh|twat|wanke|basta|prick|bollo|godda|schei|arschl|hurens',
  'verfi|fotze|mistst|puta|salop|salau|encul|foutre|nique |mierd|cabr|pende|joder|gilip|ching|verga',
]
  .flatMap((line) => line.split('|'))
  .map((text) => ({ text, gate: gate.safetyWords }));

/** The same for words with accents, which are folded only where something in a text is worth it. */
export const foreignSafetyAnchors =
  /töte|flücht|häss|häß|brûle|égorg|n[éè]gre|étrang|réfug|méth|héro|heroí|cocaï|débil|imbéc|inútil|estúp|érot|erót|pédop|décap|möcht/i;
