/**
 * Who has used a connection so far. Once it was more than one, a message that does not name its call may belong to a call that
 * is over, of somebody else than whose call is in flight now.
 */
export class Principals {
  #first: string | undefined;
  isMixed = false;

  add(principal: string): void {
    this.#first ??= principal;
    if (principal !== this.#first) this.isMixed = true;
  }
}
