/** Most characters that a judge is asked about at once, from the end of what was said: what came last is what is new. */
export const mostJudged = 32_000;
