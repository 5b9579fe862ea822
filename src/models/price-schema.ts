import { z } from 'zod';

const amount = z.number().min(0).max(1_000_000);

const rate = z
  .union([
    amount,
    z.strictObject({
      base: amount,
      tiers: z
        .array(
          z.strictObject({
            above: z.int().min(1).describe('Tokens of input above which it holds, for all tokens of the request.'),
            price: amount,
          }),
        )
        .min(1)
        .max(10),
    }),
  ])
  .describe('USD per million tokens; with tiers where large requests cost another price.');

/** What a model costs, as a namespace file and `set_model_price` write it. */
export const priceSchema = z.strictObject({
  input: rate.describe('Tokens that go in.'),
  output: rate.describe('Tokens that come out.'),
  cacheRead: rate.optional().describe('Tokens of the input that the provider had in its cache. Default: as input.'),
  cacheWrite: rate.optional().describe('Tokens of the input that the provider put into its cache. Default: as input.'),
  reasoning: rate.optional().describe('Tokens of the output that nobody sees. Default: as output.'),
});

export type Price = z.output<typeof priceSchema>;
export type Rate = z.output<typeof rate>;
