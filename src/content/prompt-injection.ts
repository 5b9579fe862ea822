import { concealAt } from './injection/conceal.ts';
import { handOutAt } from './injection/hand-out.ts';
import { overrideAt } from './injection/override.ts';
import { roleAt } from './injection/role-play.ts';
import { sentenceRule } from './injection/sentence-rule.ts';
import { toolOrderAt } from './injection/tool-order.ts';
import { gate, patternRule, type Rule } from './rule.ts';

const category = 'prompt-injection';
const gates = gate.injectionWords;

/**
 * Text that gives orders to the model which reads it. Sentences are scored word by word, so that "ignore the previous commit" is no
 * order and "we told them to ignore previous instructions" is a report of one.
 */
export const promptInjectionRules: readonly Rule[] = [
  {
    id: 'prompt-injection/instruction-override',
    title: 'Tells the model to give up its instructions',
    category,
    severity: 'high',
    gates,
    reads: 'folded',
    find: sentenceRule(overrideAt),
  },
  patternRule({
    id: 'prompt-injection/instruction-override-cjk',
    title: 'Tells the model to give up its instructions, in Chinese, Japanese, Korean, Arabic or Hindi',
    category,
    severity: 'high',
    gates: gate.foreign,
    pattern:
      /(?:忽略|无视|無視|忘记|忘記|不要理会)[^\n。!?！？]{0,16}(?:指令|指示|提示|规则|規則|设定|命令|要求)|(?:以前|前|上記|これまで|今まで|すべて|全て)[^\n。!?！？]{0,12}(?:指示|命令|指令|プロンプト|フロンフト)[^\n。!?！？]{0,6}(?:無視|忘れ)|(?:이전|위의|모든)[^\n.!?]{0,16}(?:지시|명령|프롬프트)[^\n.!?]{0,12}(?:무시|잊)|تجاهل[^\n.!؟]{0,20}(?:التعليمات|تعليمات|الأوامر|الاوامر)|(?:पिछले|सभी)[^\n.!?।]{0,20}निर्देश[^\n.!?।]{0,16}(?:अनदेखा|भूल)/gu,
  }),
  {
    id: 'prompt-injection/role-play',
    title: 'Gives the model a role without rules',
    category,
    severity: 'high',
    gates,
    reads: 'folded',
    find: sentenceRule(roleAt),
  },
  {
    id: 'prompt-injection/exfiltration',
    title: 'Asks the model to hand out its prompt, secrets or history',
    category,
    severity: 'high',
    gates,
    reads: 'folded',
    find: sentenceRule(handOutAt),
  },
  {
    id: 'prompt-injection/concealment',
    title: 'Asks the model to keep something from the person it works for',
    category,
    severity: 'high',
    gates,
    reads: 'folded',
    find: sentenceRule(concealAt),
  },
  {
    id: 'prompt-injection/tool-order',
    title: 'Orders a tool to be used unasked',
    category,
    severity: 'high',
    gates,
    reads: 'folded',
    find: sentenceRule(toolOrderAt),
  },
  patternRule({
    id: 'prompt-injection/role-markup',
    title: 'Markup by which a conversation or a tool call is told from its content',
    category,
    severity: 'high',
    gates: gate.roleMarks,
    pattern:
      /<\|(?:im_start|start_header_id)\|>\s{0,4}(?:system|user|assistant|tool)|<\|(?:im_end|eot_id|endoftext)\|>\s{0,4}(?:<\||\S)|<\|(?:system|assistant)\|>|\[\/?INST\]\s{0,4}\S|<<\/?SYS>>|<\/?(?:antml:)?(?:tool_calls?|tool_use|tool_results?|function_calls?|function_results?)>\s{0,8}[<{[]|<(?:antml:)?invoke name=|"method"\s{0,4}:\s{0,4}"tools\/call"/gi,
  }),
  patternRule({
    id: 'prompt-injection/image-exfiltration',
    title: 'An image whose address carries data away when it is shown',
    category,
    severity: 'high',
    gates: gate.image,
    pattern:
      /!\[[^[\]\n]{0,200}\]\(\s{0,4}<?(https?:\/\/[^\s)>]{4,2000})|<img[^<>]{0,200}?\ssrc\s{0,4}=\s{0,4}["']?(https?:\/\/[^\s"'>]{4,2000})/gi,
    accepts: (_, [, markdown, html]) => carriesData(markdown ?? html ?? ''),
  }),
];

// A place to be filled in, or a parameter that is named for what it takes away and holds something.
function carriesData(url: string): boolean {
  const query = url.slice(url.search(/[?#]/) + 1);
  if (/[{<[]|%7b|%3c|\$\(|(?:DATA|SECRET|HISTORY|BASE64|PROMPT|CONTENT|SUMMARY|CONVERSATION|PASSWORD)(?:_|\b)/.test(url))
    return true;
  return (
    query.length < url.length &&
    /(?:^|[&;])(?:data|secret|leak|payload|history|prompt|conversation|chat|exfil|stolen|context|pw|password|token|key|memory)=[^&]{6}/i.test(
      query,
    )
  );
}
