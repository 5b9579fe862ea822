/** How bad a finding is. What is above `low` is never taken without a person. */
export const severities = ['none', 'low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof severities)[number];

/** What is looked for in the texts of a definition beyond what content rules look for in any text. */
interface DefinitionRule {
  readonly code: string;
  readonly severity: Exclude<Severity, 'none'>;
  readonly title: string;
  /** On folded text. Every repetition is bounded and every alternative begins with a literal, so that it takes linear time. */
  readonly pattern: RegExp;
}

const people = '(?:user|users|human|humans|person|people|customer|operator|anyone|anybody|them|owner)';
const secretPlaces =
  '(?:\\.ssh\\b|id_rsa|id_ed25519|id_ecdsa|\\.aws[\\\\/]|\\.netrc|\\.npmrc|\\.pypirc|\\.kube[\\\\/]|\\.docker[\\\\/]|\\.git-credentials|\\.gnupg|\\.bash_history|\\.zsh_history|/etc/passwd|/etc/shadow|/proc/self|wallet\\.dat|(?:claude_desktop_config|mcp|mcp_config)\\.json|\\.cursor[\\\\/]|\\.codeium[\\\\/]|login keychain|seed phrase|(?<![\\w.])\\.env(?:\\.\\w{1,20})?\\b)';

/**
 * A description says what a tool does. What it says about other tools, about the person at the other end, or about places that no
 * argument names, is said to the model alone.
 */
export const definitionRules: readonly DefinitionRule[] = [
  {
    code: 'attention-markup',
    severity: 'high',
    title: 'Markup that makes a model take a text for more than a description',
    pattern:
      /<\/?\s{0,2}(?:important|system|critical|secret|hidden|instructions?|assistant|admin|override|urgent|sys|prompt|rules?|directive)(?:[\s_-][\w -]{0,30})?>|\[(?:system|system prompt|inst|admin|hidden|internal|assistant|developer)(?: [\w ]{1,30})?\]|#{2,6}\s{0,3}(?:system|new instructions?|hidden|admin) {0,2}(?:prompt|message|override|instructions?)?\s{0,3}[:\n]/gi,
  },
  {
    code: 'keeps-from-person',
    severity: 'high',
    title: 'Wants something kept from the person whom the model works for',
    pattern: new RegExp(
      `(?:do not|don't|dont|never|must not|should not|shouldn't|avoid|without|no need to) (?:\\w{1,12} )?(?:tell|telling|mention|mentioning|inform|informing|notify|notifying|alert|alerting|reveal|revealing|disclose|disclosing|show|showing|let|letting|ask|asking|bother|bothering|warn|warning|report)[^.!?\\n]{0,60}\\b${people}\\b|without (?:the |their |his |her |any )?${people}(?:'s|s')? (?:knowledge|consent|noticing|knowing|awareness|permission|approval)|(?:keep|hide|conceal) (?:this|it|that|these)[^.!?\\n]{0,40}(?:from|secret|hidden|confidential|between us)`,
      'gi',
    ),
  },
  {
    code: 'covert-action',
    severity: 'high',
    title: 'Wants something done that nobody is to notice',
    pattern:
      /\b(?:silently|secretly|quietly|covertly|discreetly|in the background,?) (?:\w{1,12} )?(?:send|sends|call|calls|read|reads|upload|uploads|copy|copies|append|include|includes|collect|collects|run|runs|execute|forward|forwards|add|insert|replace|modify|change|post|email|fetch|record|transmit|also)\b|\b(?:exfiltrat\w{1,6}|keylog\w{0,6}|backdoor)\b/gi,
  },
  {
    code: 'other-tools',
    severity: 'high',
    title: 'Says how other tools are to be used',
    pattern:
      /\b(?:before|after|whenever|when|prior to|each time|every time)[^.!?\n]{0,24} (?:using|calling|invoking|running|executing|you use|you call|use|call) (?:of )?(?:any|every|each|all|all other|any other|another|other) (?:\w{1,15} )?(?:tool|tools|function|functions)\b|\b(?:any|every|all|another) other (?:\w{1,15} )?(?:tools?|functions?) (?:is|are|gets?|was|were|has been) (?:called|used|invoked|run|executed)\b|\b(?:instead of|rather than|in place of|ignore|do not use|don't use|never use|never call|stop using|disable|avoid|replaces?|overrides?|supersedes?) (?:all |any |every |the )?(?:of the )?other (?:\w{1,15} )?(?:tools?|functions?|servers?|mcp)\b|\b(?:applies|apply|applicable) to (?:all|every|any) (?:other )?(?:\w{1,15} )?(?:tools?|functions?|calls)\b/gi,
  },
  {
    code: 'claims-all-calls',
    severity: 'medium',
    title: 'Wants to be used for everything, or before everything else',
    pattern:
      /\b(?:always|must) (?:\w{1,10} )?(?:use|call|invoke|prefer|choose|pick|select|run) (?:this|me)(?: (?:tool|function|server))?[^.!?\n]{0,24} (?:first|instead|over|before (?:any|every|all|anything|responding|answering)|for (?:all|every|any|each))\b|\b(?:use|call|invoke|run) this (?:tool |function )?(?:for|on|with|at|before|after) (?:every|each|all|any) (?:single )?(?:\w{1,12} )?(?:request|requests|question|questions|task|tasks|message|messages|response|responses|conversation|conversations|prompt|prompts|turn|turns|answer|answers|query|queries)\b|\bbest (?:and only )?tool (?:available|there is|for (?:everything|any))|\bthe only (?:correct|trusted|approved|safe|allowed) (?:tool|function|way)\b/gi,
  },
  {
    code: 'local-secrets',
    severity: 'high',
    title: 'Names places where a machine keeps its secrets',
    pattern: new RegExp(secretPlaces, 'gi'),
  },
  {
    code: 'wants-context',
    severity: 'high',
    title: 'Wants what was said or done elsewhere in the conversation',
    pattern:
      /\b(?:include|put|pass|provide|add|attach|append|send|fill in|fill|insert|paste|copy|contains?|contain|write|set|repeat|dump|supply|summari[sz]e|base64|encode)[^.!?\n]{0,60}\b(?:conversation|chat history|chat log|message history|transcript of|system prompt|developer prompt|your (?:instructions|prompt|reasoning|thoughts?|context|memory|chain of thought)|chain[- ]of[- ]thought|(?:previous|earlier|prior|all|other|last) (?:user )?(?:messages|tool (?:calls|results|outputs|responses)|results of other|outputs of other)|names? of (?:all|other|every) (?:available )?tools?|list of (?:all |available )?(?:your )?tools|user's (?:messages|secrets?|passwords?|credentials?|api keys?|tokens?|ssh))\b/gi,
  },
  {
    code: 'reads-for-arguments',
    severity: 'high',
    title: 'Wants files or variables read to fill an argument with',
    pattern:
      /\b(?:read|open|cat|load|fetch|get|access|look up|retrieve)[^.!?\n]{0,60}\b(?:and|then|to) (?:\w{1,12} )?(?:pass|put|send|include|provide|use|add|attach|append|paste|supply|encode)[^.!?\n]{0,40}\b(?:its|the|their|all)? ?(?:content|contents|value|values|result|data|text|output)?[^.!?\n]{0,20}\b(?:as|in|into|to|here|through|via|with)\b[^.!?\n]{0,20}\b(?:this|the|a|an|here|argument|parameter|field|sidenote|note|metadata)\b|\b(?:value|values|contents?|dump|output) of (?:all |the |every )?(?:your |environment |env )(?:variables?|vars?|environment|files?)\b|\bprocess\.env\b|\bprintenv\b|\$\{?(?:AWS_SECRET|OPENAI_API|ANTHROPIC_API|GITHUB_TOKEN|DATABASE_URL)\w{0,20}/gi,
  },
  {
    code: 'sends-away',
    severity: 'high',
    title: 'Wants something sent to an address that is written into it',
    pattern:
      /\b(?:send|sends|post|posts|forward|forwards|upload|uploads|email|emails|mail|transmit|exfiltrate|bcc|cc|copy|report|deliver|ship|mirror|leak|submit|push)\b[^.!?\n]{0,80}\b(?:to|at|via|with|using|through)\b[^!?\n]{0,20}(?:https?:\/\/|ftp:\/\/|wss?:\/\/|[\w.+-]{1,40}@[\w-]{1,40}\.[a-z]{2,10}\b|\b(?:\d{1,3}\.){3}\d{1,3}\b|\+\d{7,15}\b)|\b(?:bcc|cc)\b[^.!?\n]{0,30}[\w.+-]{1,40}@[\w-]{1,40}\.[a-z]{2,10}\b|\b(?:recipient|proxy|webhook|callback|endpoint|destination|all (?:emails|messages|payments|requests))\b[^.!?\n]{0,40}\b(?:must|should|always|needs? to|have to|has to)\b[^!?\n]{0,30}(?:https?:\/\/|[\w.+-]{1,40}@[\w-]{1,40}\.[a-z]{2,10}|\+\d{7,15}\b|0x[0-9a-f]{40}\b)/gi,
  },
  {
    code: 'skips-consent',
    severity: 'high',
    title: 'Says that nobody needs to be asked, or that somebody already agreed',
    pattern:
      /\b(?:skip|skips|bypass|bypasses|without|no need for|omit|suppress|disable|ignore|never require|do not (?:require|wait for|ask for|request)|don't (?:require|wait for|ask for|request))\b (?:\w{1,12} ){0,3}(?:confirmation|confirmations|approval|approvals|permission prompts?|consent|safety checks?|guardrails|security checks?|human review|access control)\b|\b(?:pre-?authori[sz]ed|already (?:approved|consented|authori[sz]ed|agreed|granted|confirmed))\b|\b(?:user|users|admin|administrator|owner)\b (?:has|have) (?:already )?(?:approved|consented|authori[sz]ed|agreed|granted|given)\b|\bdisable (?:the )?(?:safety|security|guardrails?|sandbox|logging|audit)\b/gi,
  },
  {
    code: 'claims-authority',
    severity: 'high',
    title: 'Speaks as if it were the operator or the maker of the model',
    pattern:
      /\b(?:new|updated|additional|mandatory|special|hidden|real|actual|secret|override) (?:system )?(?:instructions?|directives?|orders)\b[^.\n]{0,10}[:.]|\b(?:system|admin|administrator|developer|security|compliance|anthropic|openai|operator) (?:override|directive|notice|mandate|instruction|requirement|policy)\b[^.\n]{0,3}:|\b(?:takes?|has|have|with) (?:the )?(?:precedence|priority) over (?:all|any|every|the|your|other)\b|\b(?:as|per|by) (?:the )?(?:company|security|compliance|system) (?:policy|rule|requirement)s?,? (?:you|the (?:assistant|model|agent|ai))\b|\b(?:you|the (?:assistant|model|agent|ai|llm)) (?:must|shall|are required to|need to|have to) (?:\w{1,10} )?(?:obey|comply|follow (?:these|this|the following)|treat this)\b|\b(?:obeys? (?:me|it|this|these|them)|answers? only to|only rule is|your new (?:task|role|goal|job|objective)|supersedes? (?:everything|all)|polic(?:y|ies) (?:is|are) void|comply with the (?:text|following))\b|\battention,? (?:ai|assistant|model|llm|agent|claude|gpt|chatgpt)\b|\b(?:note|message|instruction|instructions|reminder) (?:to|for) (?:the )?(?:ai|assistant|model|llm|agent|claude|gpt|chatgpt)\b/gi,
  },
  {
    code: 'runs-download',
    severity: 'high',
    title: 'Wants something fetched and run',
    pattern:
      /\b(?:curl|wget|iwr|invoke-webrequest)\b[^\n]{0,200}(?:\||&&|;)\s{0,3}(?:sudo )?(?:sh|bash|zsh|python3?|node|iex|powershell)\b|\bpowershell(?:\.exe)?\s{1,3}-e(?:nc|ncodedcommand)?\b|\brm -rf? [/~]|\b(?:bash|sh) -c ["'][^"'\n]{0,100}\b(?:curl|wget|nc)\b/gi,
  },
  {
    code: 'hidden-answer',
    severity: 'medium',
    title: 'Says what the model is to answer, whatever comes back',
    pattern:
      /\b(?:always|only|must|simply|just) (?:answer|respond|reply|say|tell (?:the )?user|report|claim|pretend)\b[^.!?\n]{0,40}(?:"|'|that (?:everything|it|all|the (?:operation|task|transfer|payment))|success)|\bpretend (?:that|to|you|this|it)\b/gi,
  },
  {
    code: 'encoded-text',
    severity: 'medium',
    title: 'A long run of encoded text',
    pattern:
      /(?<![A-Za-z0-9+/=_-])(?=[A-Za-z0-9+/]{0,40}[0-9])(?=[A-Za-z0-9+/]{0,40}[A-Z])[A-Za-z0-9+/]{80}|(?:\\x[0-9a-f]{2}){12}|(?:%[0-9a-f]{2}){12}|(?:&#x?[0-9a-f]{2,5};){8}/gi,
  },
];

/** Names of arguments that have been used to get at a conversation; some mean nothing bad in a tool that passes prompts on. */
export const suspiciousArguments: ReadonlyMap<string, Severity> = new Map([
  ...(
    [
      'sidenote',
      'sidenotes',
      'conversationhistory',
      'chathistory',
      'messagehistory',
      'chatlog',
      'toolcallhistory',
      'toolslist',
      'availabletools',
      'chainofthought',
      'hiddenreasoning',
      'fullconversation',
      'conversationcontext',
      'envvars',
      'environmentvariables',
      'mcpconfig',
      'sshkey',
      'privatekeycontents',
    ] as const
  ).map((name) => [name, 'medium'] as const),
  ...(['systemprompt', 'usermessages', 'modelname', 'previousmessages'] as const).map((name) => [name, 'low'] as const),
]);
