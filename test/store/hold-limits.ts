// Takes what it is told to, says so, and then does nothing until it is killed: address, lease in ms, demands, cost, how often.
import { systemClock } from '../../src/clock.ts';
import { openRedisCounters } from '../../src/store/redis/counters.ts';

const [url = '', leaseMs = '', demands = '', cost = '', count = ''] = process.argv.slice(2);
const warn = (error: unknown) => console.error(error);
const counters = await openRedisCounters({ url, clock: systemClock, leaseMs: Number(leaseMs), answerWithinMs: 5_000, warn });
for (let n = 0; n < Number(count); n += 1) await counters.take(JSON.parse(demands), JSON.parse(cost));
console.log('held');
setInterval(() => {}, 1_000);
