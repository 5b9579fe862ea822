/** Makes a test for names: `*` stands for any run of characters, everything else for itself. Takes linear time on any input. */
export function compileGlob(pattern: string): (text: string) => boolean {
  const parts = pattern.split('*');
  const first = parts[0] ?? '';
  if (parts.length === 1) return (text) => text === pattern;
  const last = parts.at(-1) ?? '';
  const middle = parts.slice(1, -1).filter((part) => part !== '');
  if (first === '' && last === '' && middle.length === 0) return () => true;
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    // The leftmost place for each part leaves the most room for the next: nothing is ever tried again.
    let from = first.length;
    const end = text.length - last.length;
    for (const part of middle) {
      const at = text.indexOf(part, from);
      if (at < 0) return false;
      from = at + part.length;
      if (from > end) return false;
    }
    return true;
  };
}
