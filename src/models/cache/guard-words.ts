// English words by which two questions that look alike ask for different things.

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

/** They carry little of what is asked; not in front of the words that decide. */
export const functionWords: ReadonlySet<string> = new Set(
  words(`a an the this that these those is are was were be been being am do does did done doing have has had having i you he she it we they
  me him her us them my your his its our their mine yours and or of in on at for with about as by if so then there here can could would
  should will shall may might must please tell show give explain describe define say let know want need like help just also very really
  what which who whom whose when where why how way ways to into get got make makes made what's it's i'm i'd i've that's there's who's
  city thing things something someone one's kindly exactly actually some any me's
  mean means meaning does work works use uses used using look looks reason procedure process steps step best`),
);

/** Where a sentence may begin with one in capitals that is no name. */
export const openers: ReadonlySet<string> = new Set(
  words(`summarize summarise summary write list translate convert compute calculate compare recommend suggest find open close create make add
  remove delete update change fix solve draft rewrite improve check verify count name outline discuss analyze analyse provide generate
  return print sort rank rate refund cancel order book meet call send reply answer extract classify group plan design build run start stop
  install uninstall enable disable connect set turn read review edit format parse convert estimate forgot given suppose assume imagine
  are is was were did does do has have had can could should would will shall may might must not no yes ok okay hi hello hey dear thanks
  thank in on at of by for from to with without before after during under over between among within since until while because although
  however therefore which whose whom but or and if then than as so all every each most many much few several both either neither none
  any some another other one two three four five six seven eight nine ten my your his her its our their i we you they he she it`),
);

/** Pairs of opposites, or of what is asked for instead of the other. */
export const opposites: readonly (readonly [string, string])[] = words(`
  on:off up:down in:out open:close opened:closed open:closed start:stop start:end begin:end started:stopped enable:disable enabled:disabled
  install:uninstall lock:unlock add:remove add:delete create:delete insert:delete append:remove attach:detach import:export upload:download
  encrypt:decrypt encode:decode compress:decompress zip:unzip push:pull send:receive give:take buy:sell bought:sold lend:borrow
  increase:decrease raise:lower rise:fall grow:shrink expand:collapse upgrade:downgrade promote:demote accelerate:brake widen:narrow
  high:low higher:lower highest:lowest large:small larger:smaller largest:smallest big:small bigger:smaller biggest:smallest long:short
  longer:shorter longest:shortest tall:short taller:shorter tallest:shortest fast:slow faster:slower fastest:slowest quick:slow
  old:new older:newer oldest:newest old:young older:younger oldest:youngest early:late earlier:later earliest:latest heavy:light
  heavier:lighter heaviest:lightest hot:cold hotter:colder hottest:coldest warm:cool warmer:cooler strong:weak stronger:weaker
  strongest:weakest hard:soft hard:easy harder:easier hardest:easiest difficult:easy rich:poor cheap:expensive cheaper:dearer
  cheapest:dearest thick:thin wide:narrow deep:shallow near:far nearest:farthest bright:dark light:dark loud:quiet full:empty
  good:bad better:worse best:worst right:wrong right:left correct:incorrect true:false positive:negative safe:dangerous legal:illegal
  valid:invalid possible:impossible visible:invisible active:passive active:inactive public:private internal:external inner:outer
  local:remote online:offline present:absent alive:dead male:female man:woman men:women boy:girl boys:girls mother:father son:daughter
  brother:sister husband:wife king:queen first:last former:latter previous:next last:next last:this this:next before:after pre:post
  above:below over:under upper:lower top:bottom front:back inside:outside north:south east:west northern:southern eastern:western
  more:less more:fewer most:least most:fewest many:few much:little max:min maximum:minimum maximal:minimal maximize:minimize
  all:none all:some all:any every:no everyone:nobody everything:nothing always:never often:rarely often:seldom usually:rarely
  both:neither with:without pro:con pros:cons advantage:disadvantage advantages:disadvantages benefit:drawback benefits:drawbacks
  strength:weakness strengths:weaknesses win:lose wins:loses won:lost pass:fail passed:failed success:failure succeed:fail
  accept:reject accepted:rejected approve:reject approved:rejected approve:deny allow:deny allow:forbid allowed:forbidden permit:prohibit
  agree:disagree love:hate like:dislike include:exclude included:excluded including:excluding mount:unmount bind:unbind link:unlink
  subscribe:unsubscribe follow:unfollow mute:unmute show:hide visible:hidden read:write input:output import:export credit:debit
  asset:liability profit:loss gain:loss income:expense revenue:cost buyer:seller employer:employee teacher:student parent:child
  question:answer cause:effect theory:practice plus:minus times:plus times:minus divided:times divided:plus multiply:divide add:subtract
  multiply:add sum:difference product:sum product:quotient ascending:descending asc:desc forward:backward forwards:backwards
  clockwise:counterclockwise horizontal:vertical row:column rows:columns odd:even day:night am:pm morning:evening morning:afternoon
  afternoon:evening today:tomorrow today:yesterday tomorrow:yesterday tonight:tomorrow summer:winter spring:autumn spring:fall
  summer:spring summer:autumn winter:spring winter:autumn day:week week:month month:year day:month day:year week:year hour:minute
  minute:second hour:day ceo:cfo ceo:cto cfo:cto beginner:expert child:expert child:adult synonym:antonym synonyms:antonyms
  singular:plural formal:informal hire:fire arrive:depart arrival:departure enter:leave enter:exit entrance:exit login:logout
  commit:revert merge:split join:leave save:discard keep:discard copy:move copy:cut undo:redo approve:revoke grant:revoke
  he:she him:her his:her himself:herself my:your mine:yours
  born:died birth:death married:divorced single:married wet:dry raw:cooked hungry:full`)
  .map((pair) => pair.split(':'))
  .map(([a = '', b = '']) => [a, b] as const);

/** What makes a word say the opposite when it is put before it. */
export const reversing: readonly string[] = words('un in im il ir dis non de mis anti counter');

export const negations: ReadonlySet<string> = new Set(
  words('not no never none nobody nothing nowhere neither nor without cannot hardly barely except unless lacking'),
);

/** Words that are numbers; what is before the colon is the number. */
const numberTable =
  words(`0:zero 1:one 2:two 3:three 4:four 5:five 6:six 7:seven 8:eight 9:nine 10:ten 11:eleven 12:twelve 13:thirteen
  14:fourteen 15:fifteen 16:sixteen 17:seventeen 18:eighteen 19:nineteen 20:twenty 30:thirty 40:forty 50:fifty 60:sixty 70:seventy
  80:eighty 90:ninety 100:hundred 1000:thousand 1000000:million 1000000000:billion 12:dozen 0.5:half 0.25:quarter 1st:first 2nd:second
  3rd:third 4th:fourth 5th:fifth 6th:sixth 7th:seventh 8th:eighth 9th:ninth 10th:tenth 2x:twice 2x:double 3x:triple 2x:doubled`);
export const numbers: ReadonlyMap<string, string> = new Map(
  numberTable.map((entry) => entry.split(':')).map(([number = '', word = '']) => [word, number]),
);

/** Units by every name they have; the first is the one they go by. */
const unitTable = `km kilometer kilometers kilometre kilometres;m meter meters metre metres;cm centimeter centimeters centimetre centimetres;
  mm millimeter millimeters millimetre millimetres;mile miles mi;ft foot feet;inch inches;yd yard yards;kg kilogram kilograms kilo kilos;
  g gram grams;mg milligram milligrams;mcg microgram micrograms;lb lbs pound pounds;oz ounce ounces;ton tons tonne tonnes;
  l liter liters litre litres;ml milliliter milliliters millilitre millilitres;gallon gallons;cup cups;tbsp tablespoon tablespoons;
  tsp teaspoon teaspoons;pint pints;quart quarts;c celsius;f fahrenheit;kelvin;ms millisecond milliseconds;s sec second's seconds;min mins
  minute minutes;h hr hrs hour hours;day days;week weeks;month months;year years;decade decades;century centuries;kb kilobyte kilobytes;
  mb megabyte megabytes;gb gigabyte gigabytes;tb terabyte terabytes;bit bits;byte bytes;kbit kbps;mbit mbps;gbit gbps;hz hertz;khz;mhz;ghz;
  w watt watts;kw kilowatt kilowatts;kwh;v volt volts;amp amps ampere amperes;ohm ohms;j joule joules;kj;cal calorie calories;kcal;pa pascal;
  bar bars;psi;mph;kmh;knot knots;degree degrees;radian radians;percent %;usd $ dollar dollars;eur € euro euros;gbp £ sterling;yen jpy ¥;
  inr rupee rupees;cny yuan;chf franc francs;cent cents;acre acres;hectare hectares;sqm;mol moles;px pixel pixels;pt;rem;em`;
export const units: ReadonlyMap<string, string> = new Map(
  unitTable.split(';').flatMap((unit) => {
    const names = words(unit);
    return names.map((name) => [name, names[0] as string] as const);
  }),
);

/** Days, months and times that a question is about. */
export const dates: ReadonlyMap<string, string> = new Map(
  words(`monday:mon tuesday:tue wednesday:wed thursday:thu friday:fri saturday:sat sunday:sun january:jan february:feb march:mar april:apr
  june:jun july:jul august:aug september:sep october:oct november:nov december:dec`)
    .map((entry) => entry.split(':'))
    .flatMap(([long = '', short = '']) => [
      [long, long],
      [short, long],
    ]),
);
export const times: ReadonlySet<string> = new Set(
  words('today tomorrow yesterday tonight now currently weekend weekday noon midnight morning evening afternoon am pm bc ad'),
);

/** What is asked for. Two of different kinds do not ask the same. */
export const askedFor: ReadonlyMap<string, string> = new Map([
  ['who', 'person'],
  ['whom', 'person'],
  ['whose', 'person'],
  ['when', 'time'],
  ['where', 'place'],
  ['why', 'reason'],
]);

/** Names that are rarely written with a capital. */
export const lowerCaseNames: ReadonlySet<string> = new Set(
  words(`python java javascript typescript ruby rust golang kotlin swift scala perl php haskell bash powershell sql mysql postgres postgresql
  sqlite mongodb redis docker kubernetes linux windows macos ubuntu debian fedora android ios react angular vue django flask rails spring
  node npm yarn pip git github gitlab aws azure gcp excel word outlook slack teams jira chrome firefox safari english german french
  spanish italian portuguese dutch russian chinese japanese korean arabic hindi latin greek`),
);

/** After these, the order of what is named says something. */
export const directions: ReadonlySet<string> = new Set(
  words(
    'from to into onto than before after by over under above below between versus vs minus divided per toward towards against',
  ),
);

/** Words that may stand for each other without a change of what is asked. */
const sameTable = `good great nice;begin start;fix repair;buy purchase;big large;biggest largest;quick fast;fastest quickest;mistake error;
  photo picture image;film movie;holiday vacation;phone telephone;car automobile;doctor physician;job work;build construct;
  answer reply;aid help;assist help;start launch;choose pick select;cost price;wrong incorrect;error fault;show display;
  method approach technique;main primary;kid child;kids children;delete erase;unwell sick ill;author writer;cellphone mobile`;
export const sameAs: ReadonlyMap<string, ReadonlySet<string>> = (() => {
  const groups = new Map<string, Set<string>>();
  for (const group of sameTable.split(';')) {
    const all = words(group);
    for (const word of all) {
      const known = groups.get(word) ?? new Set<string>();
      for (const other of all) known.add(other);
      groups.set(word, known);
    }
  }
  return groups;
})();

/** Units that are everyday words as well: only after a number. */
export const looseUnits: ReadonlySet<string> = new Set(
  words(
    'm g l c f s h j w v mi min day week month year decade century cup bar ft knot cent pt em rem ton lb second degree yen acre',
  ),
);

/** Before what may stand at the beginning or at the end. */
export const placing: ReadonlySet<string> = new Set(words('in on at with for during within using under'));

/** They say nothing at all. */
export const fillers: ReadonlySet<string> = new Set(words('the a an please kindly just exactly'));

/** Small words that may stand for each other. */
export const alike: readonly ReadonlySet<string>[] = [
  'can could may might',
  'is are',
  'do does',
  'what which',
  'i we you one',
  'to into',
  'show tell give',
  'explain describe',
].map((group) => new Set(words(group)));

/** Questions that hold one of these ask for more than yes or no. */
export const questionWords: ReadonlySet<string> = new Set(words('what which who whom whose when where why how'));

/** A question that begins with one of these asks for yes or no. */
export const auxiliaries: ReadonlySet<string> = new Set(
  words('is are am was were do does did can could should would will shall may might must has have had'),
);

export const tenses: ReadonlyMap<string, 'past' | 'future'> = new Map([
  ...words('was were did had').map((word) => [word, 'past'] as const),
  ...words('will shall').map((word) => [word, 'future'] as const),
]);

/** Who is spoken of, and is neither of those who speak. */
export const others: ReadonlyMap<string, string> = new Map(
  words('he:he him:he his:he himself:he she:she her:she hers:she herself:she they:they them:they their:they theirs:they')
    .map((entry) => entry.split(':'))
    .map(([word = '', other = '']) => [word, other] as const),
);

/** "The best way" is a way like any other. */
export const ways: ReadonlySet<string> = new Set(words('way ways method approach practice practices procedure process'));

/** Units that are others in capitals: bits and bytes, milli and mega, a gram and a generation of networks. */
export const caseUnits: ReadonlySet<string> = new Set(
  words('m g k t s h a b mb kb gb tb pb kbps mbps gbps mw mv ma ms mg mj mpa pa mm ml mf mmol ps ns'),
);

/** Words that other languages can hardly do without, and English can. */
export const foreignWords: ReadonlySet<string> = new Set(
  words(`der das und ist nicht ein eine einen einem einer ich wir sie wie wer warum wann welche welcher welches kein keine für auf zu dem
  bei aus nach oder aber auch mein meine dein darf muss soll kann
  qué quién cuál cómo cuándo dónde cuánto una unos es está que por muy más también puedo
  les une quel quelle quels pourquoi où quand qui je nous vous dans avec sont pas
  perché quando quale sono è della gli het een niet waar wanneer waarom ik wij zijn voor
  não quem onde qual quanto meu minha são uma`),
);

/** A question may begin with any two of these. */
export const asking: ReadonlySet<string> = new Set(words('what is are tell me show give i need'));

/** After "how" they ask the same. */
export const doable: ReadonlySet<string> = new Set(words('do does can could'));
