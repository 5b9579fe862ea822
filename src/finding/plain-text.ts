/** The longest text that is looked at, in characters: a description is read by people, and what is longer than this is not. */
export const longestText = 8_000;

/** A description without what is there to format it: tags of HTML, and the addresses of links. */
export function plainText(text: string): string {
  return text
    .slice(0, longestText)
    .replaceAll(/<\/?[a-z][a-z\d]{0,10}(\s[^<>]{0,400})?\/?>/gi, ' ')
    .replaceAll(/\]\([^()\s]{0,400}\)/g, '] ')
    .replaceAll(/https?:\/\/[^\s)>\]]+/g, ' ');
}

/** The first sentence, and the rest. */
export function firstSentence(text: string): readonly [string, string] {
  const end = /[.!?:](\s|$)|\n/.exec(text)?.index ?? text.length;
  return [text.slice(0, end), text.slice(end)];
}

/** What is said of something besides that it is deprecated; undefined where that is not said. */
export function afterDeprecation(text: string): string | undefined {
  const found = /^\W{0,5}deprecated\b\W{0,5}/i.exec(text);
  return found === null ? undefined : text.slice(found[0].length);
}
