/** Says which gateway a request comes from: one that is asked by itself, under whatever name, refuses instead of going round. */
export const hopHeader = 'x-gatehouse-hop';
