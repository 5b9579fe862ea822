// Who held the key that asked: none of these decides on it. Null for what was asked before this was kept.
export const approvalHolders = ['alter table approvals add column holders text'] as const;
